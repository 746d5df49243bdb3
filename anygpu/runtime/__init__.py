"""Devices, memory and launches: bytes, names and buffers, never IR."""

"""Passes over KERNEL IR: functions from kernels to kernels, and analyses. Their order is ``engine/compile.py``'s."""

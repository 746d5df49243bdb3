"""One file a target: intrinsics, address spaces, kernel ABI, capabilities."""

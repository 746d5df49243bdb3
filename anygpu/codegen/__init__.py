"""From KERNEL IR to LLVM IR, and from there to each target's machine code."""

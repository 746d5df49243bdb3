"""The intermediate representations: what kernels and array programs become, whatever they were written in."""

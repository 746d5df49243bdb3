"""The command line: `anygpu demo`, `info`, `inspect` and `cache`."""

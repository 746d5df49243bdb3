"""``python -m anygpu.cli``: the command line where the ``anygpu`` script is not on the path."""

import sys

from anygpu.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

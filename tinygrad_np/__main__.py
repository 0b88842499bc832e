"""Entry point of the command line: `python -m tinygrad_np`."""

import sys

from tinygrad_np.cli import main

if __name__ == "__main__":
    sys.exit(main())

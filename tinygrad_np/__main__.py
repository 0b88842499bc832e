"""python -m tinygrad_np: the command line."""

import sys

from tinygrad_np.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Entry point of the command line: `python -m tinygrad_np`."""

import sys

from tinygrad_np.cli import main
from tinygrad_np.runtime.startup import run_interruptibly

if __name__ == "__main__":
    sys.exit(run_interruptibly(main))

"""`python -m tests.soak`: run the hostile tests and print a table."""

import sys

from tests.soak.run import main

if __name__ == "__main__":
    sys.exit(main())

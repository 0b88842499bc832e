"""Cases by family: a name, and a function of a random generator that returns the expression as
written here, as written in PyTorch, and the arrays that both are given.
"""

import importlib
from pathlib import Path

CASES = {
    name: case
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "tools")
    for name, case in importlib.import_module(f"{__name__}.{path.stem}").CASES.items()
}

"""Cases by family.

Each case has a name and a function of a random generator, which returns our expression, PyTorch's,
and the input arrays of both.
"""

import importlib
from pathlib import Path

CASES = {
    name: case
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "tools")
    for name, case in importlib.import_module(f"{__name__}.{path.stem}").CASES.items()
}

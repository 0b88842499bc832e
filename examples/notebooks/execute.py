"""Execute the notebooks in place, or check that their stored outputs are up to date.

    python examples/notebooks/execute.py
    python examples/notebooks/execute.py --check
    python examples/notebooks/execute.py examples/notebooks/02_a_convolution_by_hand.ipynb

The kernels have access to neither MNIST nor a network, so the outputs are those of the bundled
digits on every machine. What differs between two runs is removed: execution times, kernel versions
and random ids. Bitmaps are stored with 128 colors, which makes them about three times smaller.

`--check` writes nothing. It executes the notebooks and compares the text that each cell prints with
the stored text; numbers may differ by 0.1%. Cells tagged `varies` are executed but not compared.
Pictures are not compared.
"""

import base64
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program, show
from tinygrad_np.errors import ArgumentError, DataError, TinygradNpError
from tinygrad_np.files import read_bytes, read_json, write_bytes

FOLDER = Path(__file__).parent
SIZE_LIMIT = 300_000  # bytes: a notebook stays fast to open and to review
VARIES = "varies"
_COLORS = 128  # changes no pixel of the figures by more than 4%
RTOL, ATOL = 1e-3, 1e-6

# A notebook and its cells and outputs, as in the JSON of the file.
Json = dict[str, Any]

_PNG = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=\\\s]+")
_BASE64 = re.compile(r"base64,[A-Za-z0-9+/=\\\s]*")
_PRIVATE_PATH = re.compile(r"(?<![\w.:/])/(home|root|tmp|usr|work|Users|opt|mnt|var)/|\b[A-Z]:\\\\")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_RANDOM_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w])")


class NotebookError(TinygradNpError):
    """Raised if a notebook fails, or if its stored form or outputs are wrong."""


def main() -> None:
    """Execute or check the notebooks given on the command line, by default all."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("notebooks", nargs="*", type=path, metavar="NOTEBOOK")
    parser.add_argument("--check", action="store_true", help="only compare with the stored outputs")
    args = parser.parse_args()
    faults: list[str] = []
    for file in args.notebooks or sorted(FOLDER.glob("*.ipynb")):
        stored = read_json(file)
        executed = clean(execute(stored, file.name))
        content = (json.dumps(executed, indent=1, ensure_ascii=False) + "\n").encode()
        if args.check:
            found = stored_faults(stored, len(read_bytes(file)))
            found += differences(stored, executed)
        else:
            found = stored_faults(executed, len(content))
            write_bytes(file, content)
        show(f"{file.name}: {len(content) / 1000:.0f} KB, {'ok' if not found else 'FAILED'}")
        faults += [f"{file.name}: {fault}" for fault in found]
    if faults:
        raise NotebookError("\n  ".join([f"{len(faults)} faults in the notebooks:", *faults]))


def execute(notebook: Json, name: str) -> Json:
    """Run all cells in a new kernel, without MNIST and network; return the executed notebook.

    Raises:
        ArgumentError: if nbclient, ipykernel or nbformat is not installed.
        DataError: if the file is not a valid notebook.
        NotebookError: if a cell raises.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise ArgumentError(
            f"execute: expected nbclient, ipykernel and nbformat to be installed ({error}). "
            'Run `python -m pip install -e ".[notebooks]"`.'
        ) from error
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise DataError(f"{name}: cannot read the notebook ({error}).") from error
    document = nbformat.reads(json.dumps(notebook), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            document,
            timeout=300,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(FOLDER)}},
        )
        try:
            client.execute(env=environment(Path(folder)))
        except CellExecutionError as error:
            raise NotebookError(
                f"{name}: a cell raised an error.\n{_ANSI.sub('', str(error))}"
            ) from error
    return json.loads(nbformat.writes(document))  # type: ignore[no-any-return]


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a kernel: no datasets, no network, one thread, an empty cache.

    MPLBACKEND is left to the kernel, which displays figures below their cell.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if "TINYGRAD" not in name and name.lower() not in ("mplbackend", "no_proxy")
    }
    # Nothing listens at this proxy, so downloads fail immediately.
    refused = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    caches = {name: str(folder) for name in ("XDG_CACHE_HOME", "IPYTHONDIR")}
    return (
        kept
        | refused
        | caches
        | {"TINYGRAD_NP_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    )


def clean(notebook: Json) -> Json:
    """Return a notebook with stable ids and without what differs between two runs."""
    cells = []
    for position, cell in enumerate(notebook["cells"]):
        tags = cell["metadata"].get("tags")
        kept: Json = {
            "cell_type": cell["cell_type"],
            "id": f"cell-{position:02}",
            "metadata": {"tags": tags} if tags else {},
        }
        if cell["cell_type"] == "code":
            kept["execution_count"] = cell["execution_count"]
            kept["outputs"] = [
                _clean_output(output) for output in cell["outputs"] if not _is_download(output)
            ]
        cells.append(kept | {"source": cell["source"]})
    metadata = {
        "executed": fingerprint(notebook),
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _is_download(output: Json) -> bool:
    """Return whether an output only reports attempts to download, which fail in `environment`."""
    lines = _text(output.get("text", "")).splitlines()
    return bool(lines) and all(line.startswith("Downloading http") for line in lines)


def _clean_output(output: Json) -> Json:
    """Number the random ids, for example those of an animation, and reduce the bitmaps."""
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = _reduced(_text(data["image/png"]))
    if "text/html" in data:
        html = _PNG.sub(lambda found: _reduced(found[0]), _text(data["text/html"]))
        ids = dict.fromkeys(_RANDOM_ID.findall(_BASE64.sub("", html)))
        for number, found in enumerate(ids):
            html = html.replace(found, f"{number:032x}")
        data["text/html"] = html.splitlines(keepends=True)
    return output


def _reduced(encoded: str) -> str:
    """Return a base64-encoded PNG with a palette, unless that is larger."""
    encoded = re.sub(r"[\\\s]", "", encoded)  # the line breaks of JavaScript and MIME
    content = base64.b64decode(encoded)
    with Image.open(io.BytesIO(content)) as opened:
        if opened.mode == "P" or opened.getextrema()[3:] not in ((), ((255, 255),)):
            return encoded  # done before, or transparent
        image = opened.convert("RGB")
        # The first keeps few colors exactly; the second keeps rare ones, as in a color bar.
        few = image.getcolors(_COLORS) is not None
        method = Image.Quantize.MEDIANCUT if few else Image.Quantize.MAXCOVERAGE
        buffer = io.BytesIO()
        image.quantize(_COLORS, method, kmeans=3).save(buffer, format="png", optimize=True)
    return base64.b64encode(min(content, buffer.getvalue(), key=len)).decode()


def fingerprint(notebook: Json) -> str:
    """Return a hash of the sources of all code cells."""
    sources = [_text(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def stored_faults(notebook: Json, size: int) -> list[str]:
    """Return what is wrong with a stored notebook; needs no kernel.

    Its code must be what was executed, from top to bottom and without errors or warnings; the
    outputs must be complete and contain no paths or addresses of the machine that ran them.
    """
    faults = []
    if size >= SIZE_LIMIT:
        faults.append(f"expected less than {SIZE_LIMIT} bytes, got {size}")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if notebook["metadata"].get("executed") != fingerprint(notebook):
        faults.append("the code was edited after its execution; run examples/notebooks/execute.py")
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        faults.append("expected the cells to be executed once each, from top to bottom")
    if not any(cell["outputs"] for cell in code):
        faults.append("expected stored outputs, got none")
    for cell in code:
        place = f"cell {cell['execution_count']}"
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                faults.append(f"{place}: stored the error {output['ename']}: {output['evalue']}")
            elif output.get("name") == "stderr":
                faults.append(f"{place}: wrote to stderr: {_text(output['text']).strip()}")
            text = _BASE64.sub("", "\n".join(_texts(output)))
            for kind, pattern in (("path", _PRIVATE_PATH), ("address", _ADDRESS)):
                if match := pattern.search(text):
                    around = text[max(0, match.start() - 20) : match.end() + 40]
                    faults.append(f"{place}: the output contains a machine's {kind}: {around!r}")
    return faults


def differences(stored: Json, executed: Json) -> list[str]:
    """Return the cells whose text output differs from the stored one."""
    faults = []
    for old, new in zip(stored["cells"], executed["cells"], strict=True):
        if old["cell_type"] != "code" or VARIES in old["metadata"].get("tags", []):
            continue
        before, after = _plain_text(old), _plain_text(new)
        if not is_close(before, after):
            place = f"cell {new['execution_count']}"
            faults.append(f"{place}: expected the stored output {before!r}, got {after!r}")
    return faults


def is_close(first: str, second: str) -> bool:
    """Return whether two texts agree up to whitespace and the rounding of numbers.

    >>> is_close("loss 0.1234, 3 epochs", "loss  0.12341, 3 epochs")
    True
    >>> is_close("loss 0.1234, 3 epochs", "loss 0.1234, 4 epochs")
    False
    """
    texts, numbers = [], []
    for text in (first, second):
        texts.append("".join(_NUMBER.sub("0", text).split()))
        numbers.append([float(number) for number in _NUMBER.findall(text)])
    return texts[0] == texts[1] and all(
        abs(a - b) <= ATOL + RTOL * abs(a) for a, b in zip(*numbers, strict=True)
    )


def _plain_text(cell: Json) -> str:
    """Return what a cell prints, and its results and displays as plain text."""
    plain = []
    for output in cell["outputs"]:
        found = output["text"] if "text" in output else output.get("data", {}).get("text/plain", "")
        plain.append(_text(found))
    return "\n".join(plain)


def _texts(output: Json) -> Iterator[str]:
    """Yield the texts of an output: streams, tracebacks, and all data but bitmaps."""
    yield _text(output.get("text", ""))
    yield _text(output.get("traceback", ""))
    for kind, value in output.get("data", {}).items():
        if not kind.startswith("image/") or kind == "image/svg+xml":
            yield value if isinstance(value, str) else json.dumps(value)


def _text(value: str | list[str]) -> str:
    """Return a text that a notebook may store as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


if __name__ == "__main__":
    sys.exit(run_program(main))

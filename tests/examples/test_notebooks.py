"""Tests of the stored notebooks, without a kernel, and of the script that executes them."""

import base64
import copy
import io
import json
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from notebooks import execute
from tests.test_prose import findings
from tests.tools import each, rng
from tinygrad_np.console import run_program

FILES = sorted(execute.FOLDER.glob("*.ipynb"))


def test_kernels_have_no_network(monkeypatch, tmp_path):
    """Also where the caller exempts hosts from the proxy, which nothing listens at."""
    for name in ("no_proxy", "NO_PROXY", "TINYGRAD_NP_DATA", "MPLBACKEND"):
        monkeypatch.setenv(name, "*")
    found = execute.environment(tmp_path)
    assert {"no_proxy", "NO_PROXY", "TINYGRAD_NP_DATA", "MPLBACKEND"}.isdisjoint(found)
    assert found["https_proxy"] == "http://127.0.0.1:9"


by_file = each("file", FILES, ids=lambda file: file.stem)


def cell(source, *outputs, tags=()):
    """Return a code cell."""
    return {
        "cell_type": "code",
        "id": "one",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
        "execution_count": 1,
        "outputs": list(outputs),
    }


def stream(text, name="stdout"):
    """Return an output of a cell that prints a text."""
    return {"output_type": "stream", "name": name, "text": text}


def notebook(*cells):
    """Return an executed notebook."""
    raw = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return execute.clean(raw)


@by_file
def test_stored_notebook_is_valid(file):
    content = file.read_bytes()
    stored = json.loads(content)
    nbformat.validate(stored)
    assert execute.stored_faults(stored, len(content)) == []


@by_file
def test_stored_notebook_has_stable_form(file):
    stored = json.loads(file.read_bytes())
    assert execute.clean(stored) == stored


@by_file
def test_text_of_notebook_has_no_retired_phrases(file):
    found = []
    for number, part in enumerate(json.loads(file.read_bytes())["cells"]):
        text = "".join(part["source"])
        found += [f"cell {number}: {bad!r}: {instead}" for bad, instead in findings(text)]
    assert not found, "\n".join(found)


@by_file
def test_notebook_begins_with_a_title(file):
    first = json.loads(file.read_bytes())["cells"][0]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")


def test_readme_lists_all_notebooks():
    text = (execute.FOLDER / "README.md").read_text(encoding="utf-8")
    missing = [file.name for file in FILES if f"]({file.name})" not in text]
    assert not missing


def test_good_notebook_has_no_faults():
    assert execute.stored_faults(notebook(cell("print(1)", stream("1\n"))), 1000) == []


@each(
    ("output", "fault"),
    [
        (stream("careful", "stderr"), "cell 1: wrote to stderr: careful"),
        (stream("/home/ada/net.py"), "contains a machine's path"),
        (stream("<Thing at 0x7f00deadbeef>"), "contains a machine's address"),
        (
            {"output_type": "error", "ename": "KeyError", "evalue": "'a'", "traceback": []},
            "cell 1: stored the error KeyError: 'a'",
        ),
    ],
)
def test_bad_output_is_a_fault(output, fault):
    (found,) = execute.stored_faults(notebook(cell("print(1)", output)), 1000)
    assert fault in found


def test_size_order_and_missing_outputs_are_faults():
    bad = notebook(cell("1"))
    bad["cells"][0]["execution_count"] = 4
    found = execute.stored_faults(bad, execute.SIZE_LIMIT)
    for part in ("less than 300000 bytes", "from top to bottom", "stored outputs, got none"):
        assert any(part in fault for fault in found), part


def test_edited_code_is_a_fault():
    edited = notebook(cell("print(1)", stream("1\n")))
    edited["cells"][0]["source"] = "print(2)"
    assert "edited after its execution" in execute.stored_faults(edited, 1000)[0]


def test_bitmaps_may_contain_anything():
    picture = "data:image/jpeg;base64,/home/AAAA"
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": picture}}
    assert execute.stored_faults(notebook(cell("show()", output)), 1000) == []


def test_random_ids_are_numbered():
    ids = ["0123456789abcdef" * 2, "fedcba9876543210" * 2]
    html = f'<img id="_img{ids[0]}"><i id="{ids[1]}"> {ids[0]}'
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}
    cleaned = notebook(cell("show()", output))["cells"][0]["outputs"][0]["data"]["text/html"]
    assert cleaned == [html.replace(ids[0], f"{0:032x}").replace(ids[1], f"{1:032x}")]


def encoded(image):
    """Return an image as base64-encoded PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def test_bitmaps_get_a_palette():
    before = rng().integers(0, 16, (40, 60, 1)) * np.array([17, 8, 4])
    picture = encoded(Image.fromarray(before.astype(np.uint8)))
    html = f'<img src="data:image/png;base64,{picture[:40]}\\\n{picture[40:]}">'
    data = {"image/png": picture, "text/html": html}
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    cleaned = notebook(cell("show()", output))["cells"][0]["outputs"][0]["data"]
    reduced = cleaned["image/png"]
    assert len(reduced) < len(picture) / 2
    assert cleaned["text/html"] == [f'<img src="data:image/png;base64,{reduced}">']
    image = Image.open(io.BytesIO(base64.b64decode(reduced)))
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), before)


def test_attempts_to_download_are_removed():
    lines = "Downloading https://a/b.gz\nDownloading http://c/b.gz\n"
    code = cell("load()", stream(lines, "stderr"), stream(f"{lines}done\n"))
    assert notebook(code)["cells"][0]["outputs"] == code["outputs"][1:]


def test_transparent_bitmaps_are_kept():
    picture = encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))
    output = {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}}
    cleaned = notebook(cell("show()", output))["cells"][0]["outputs"][0]["data"]
    assert cleaned["image/png"] == picture


@each(
    ("first", "second", "same"),
    [
        ("accuracy 0.9512\n", "accuracy  0.9513\n", True),
        ("accuracy 0.9512\n", "accuracy 0.9612\n", False),
        ("-1.5e-3", "-1.5001e-3", True),
        ("1.5", "-1.5", False),
        ("1e-9", "-3e-9", True),
        ("layer1", "layer2", False),
        ("[1. 2.]", "[1. 2. 3.]", False),
        ("True", "False", False),
    ],
)
def test_text_is_compared_up_to_rounding(first, second, same):
    assert execute.is_close(first, second) is same


def test_differences_name_the_cell_unless_it_varies():
    old = notebook(cell("f()", stream("1")), cell("g()", stream("2"), tags=[execute.VARIES]))
    new = copy.deepcopy(old)
    for part in new["cells"]:
        part["outputs"][0]["text"] = "7"
    assert execute.differences(old, new) == ["cell 1: expected the stored output '1', got '7'"]


def command(monkeypatch, *arguments):
    """Run the script in this process; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["execute.py", *map(str, arguments)])
    return run_program(execute.main)


@pytest.fixture
def written(tmp_path):
    """Return the path of a notebook that was never executed."""
    raw = notebook(cell("import os\nprint(os.environ.get('TINYGRAD_NP_DATA'), 0.5)"))
    raw["cells"][0]["execution_count"] = None
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(raw))
    return path


@pytest.mark.slow
def test_script_executes_in_place_and_then_checks(written, monkeypatch, capsys):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("TINYGRAD_NP_DATA", "somewhere")
    assert command(monkeypatch, "--check", written) == 1
    assert "stored outputs, got none" in capsys.readouterr().err
    assert command(monkeypatch, written) == 0
    stored = json.loads(written.read_bytes())
    assert stored["cells"][0]["outputs"] == [stream("None 0.5\n") | {"text": ["None 0.5\n"]}]
    assert command(monkeypatch, "--check", written) == 0
    written.write_text(written.read_text().replace("None 0.5\\n", "None 0.6\\n"))
    before = written.read_bytes()
    assert command(monkeypatch, "--check", written) == 1
    assert "cell 1: expected the stored output 'None 0.6" in capsys.readouterr().err
    assert written.read_bytes() == before


@pytest.mark.slow
def test_script_reports_a_cell_that_raises_and_writes_nothing(written, monkeypatch, capsys):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    written.write_text(json.dumps(notebook(cell("1 / 0"))))
    before = written.read_bytes()
    assert command(monkeypatch, written) == 1
    assert "a.ipynb: a cell raised an error" in capsys.readouterr().err
    assert written.read_bytes() == before


def test_file_that_is_not_a_notebook_is_reported(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.ipynb"
    path.write_text("[")
    assert command(monkeypatch, "--check", path) == 1
    assert "a.ipynb: cannot parse the file as JSON" in capsys.readouterr().err


def test_missing_packages_are_named(written, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nbclient", None)
    assert command(monkeypatch, written) == 2
    assert '`python -m pip install -e ".[notebooks]"`' in capsys.readouterr().err
    assert Path(written).exists()

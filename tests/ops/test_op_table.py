"""The table of all ops matches their definitions."""

from tests.ops.op_table import PATH, table
from tinygrad_np import ops


def test_table_is_current():
    assert PATH.read_text(encoding="utf-8") == table(), "run python -m tests.ops.op_table"


def test_rows_show_the_definitions():
    page = table()
    assert "| `exp` | e^x | x: `mul(grad_out, out)` | x: out |  |  | 1 |" in page
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert rows["relu"].startswith("| `relu` | max(x, 0) | x: `")
    assert rows["relu"].endswith(" | 0 at 0 | 1 |")
    assert " | x, weight, bias: by definition, `" in rows["batch_norm"]
    assert (
        " | x, weight, bias, moments | `kernels.batch_norm_grads`; reads x, " in rows["batch_norm"]
    )


def test_every_row_shows_definition_and_kernel():
    cells = {
        line.split("`")[1]: line.split(" | ") for line in table().splitlines() if "| `" in line
    }
    for op in ops.table.values():
        assert ("by definition" in cells[op.name][2]) == (op.definition is not None)
        assert bool(cells[op.name][4].strip()) == (op.backward is not None)


def test_every_op_with_a_kink_documents_its_subgradient():
    assert [op.name for op in ops.table.values() if op.samples.kinks and not op.subgradient] == []

"""The page of all ops is what the records say."""

from tests.ops.op_table import PATH, table
from tinygrad_np import ops


def test_the_page_is_current():
    assert PATH.read_text(encoding="utf-8") == table(), "run python -m tests.ops.op_table"


def test_every_op_has_a_row():
    page = table()
    assert [name for name in ops.table if f"| `{name}` |" not in page] == []


def test_a_row_says_what_the_record_does():
    assert "| `exp` | e^x | x: `mul(grad_out, out)` | x: out |  | 1 |" in table()
    relu = "| `relu` | max(x, 0) | x: `_where_not_0(grad_out, out, reuse)` | x: out |"
    assert f"{relu} 0 at 0 | 1 |" in table()


def test_every_op_with_a_kink_says_what_it_chose():
    assert [op.name for op in ops.table.values() if op.kinks and not op.subgradient] == []

"""The short form of each row of the soak run."""

import pytest

from tests.soak.rows import ROWS, run_row
from tests.soak.run import load_rows

pytestmark = pytest.mark.slow

load_rows()


@pytest.mark.soak
@pytest.mark.parametrize("name", ROWS)
def test_row(name, tmp_path):
    one = ROWS[name]
    result = run_row(one, one.indices(is_short=True), 0, tmp_path, is_short=True)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.tried
    failures = [f"{count} x index {index}: {text}" for count, index, text in result.kinds()]
    assert not failures, "\n".join([f"{name}: {one.catches}", *failures, f"files: {tmp_path}"])

"""The rows of the soak run can fail: each detects a fault planted in the package."""

import gc

import numpy as np
import pytest

from tests.soak import aliasing, disk, extremes, memory, mutations, threads
from tests.soak.rows import ROWS, Attempt, Row, everywhere, run_row
from tests.soak.run import load_rows, table
from tinygrad_np import Tensor, data, ops, train
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.errors import DataError
from tinygrad_np.runtime.state import Recording, thread

pytestmark = pytest.mark.slow

load_rows()


def failures_of(check, folder, count=40):
    """Run a check of the soak run in short form; return the messages of its failures."""
    found = next(one for one in ROWS.values() if one.check is check)
    indices = found.indices(is_short=True)[:count]
    return [text for _, text in run_row(found, indices, 0, folder, is_short=True).failures]


def check_sometimes(attempt: Attempt):
    (attempt.folder / "kept.txt").write_text("evidence")
    assert attempt.rng.random() < 0.5, f"failed at {attempt.index}"
    if attempt.index == 3:
        raise KeyError("foreign")


def test_failures_are_counted_kept_and_repeatable(tmp_path):
    one = Row("Some row", check_sometimes, 20, 5, "faults", everywhere)
    assert one.indices(is_short=True) == [0, 5, 10, 14, 19]
    result = run_row(one, one.indices(is_short=False), 7, tmp_path, is_short=False)
    assert result.tried == 20
    assert 0 < result.survived < 20
    failed = [index for index, _ in result.failures]
    assert {path.name for path in tmp_path.iterdir()} == {f"some-row-{index}" for index in failed}
    again = run_row(one, failed[:1], 7, tmp_path, is_short=False)
    assert again.failures == result.failures[:1]
    assert run_row(one, list(range(20)), 8, tmp_path, is_short=False).failures != result.failures
    ours = [kind for kind in result.kinds() if "failed at" in kind[2]]
    assert len(ours) == 1
    assert f"| Some row | 20 | {result.survived} |" in table([result], 7)


def test_a_skipped_row_says_why(tmp_path):
    one = Row("row", check_sometimes, 20, 5, "faults", lambda: "needs a moon")
    result = run_row(one, [0], 0, tmp_path, is_short=True)
    assert (result.tried, result.skipped) == (0, "needs a moon")
    assert "skipped: needs a moon" in table([result], 0)


def test_a_warning_is_a_failure(tmp_path):
    one = Row("row", lambda attempt: np.float32(1) / np.float32(0), 1, 1, "faults", everywhere)
    result = run_row(one, [0], 0, tmp_path, is_short=True)
    assert "RuntimeWarning" in result.failures[0][1]


def damaged(function, **changes):
    """Return a wrapper of a function that changes its result, its DataErrors, or both."""

    def call(path, *arguments):
        try:
            return changes["result"](function(path, *arguments))
        except DataError:
            if "error" in changes:
                raise changes["error"] from None
            raise

    return call


def test_damaged_weights_are_noticed(tmp_path, monkeypatch):
    negate = damaged(
        train.load, result=lambda state: {name: -array for name, array in state.items()}
    )
    monkeypatch.setattr(train, "load", damaged(negate, result=dict, error=KeyError("foreign")))
    assert any("KeyError" in text for text in failures_of(mutations.weights, tmp_path))


def test_a_half_loaded_trainer_is_noticed(tmp_path, monkeypatch):
    mutations._resume_file()

    def load(self, path):
        self.model[1].bias.data[0] = 5
        raise DataError(f"{path}: refused, but changed.")

    monkeypatch.setattr(train.Trainer, "load", load)
    found = failures_of(mutations.resume, tmp_path)
    assert len(found) == 40
    assert all(text.startswith("changed by a load that failed: model") for text in found), found


def test_a_config_with_a_wrong_type_is_noticed(tmp_path, monkeypatch):
    def read(path):
        config = RunConfig()
        object.__setattr__(config, "epochs", 3.0)
        return config

    monkeypatch.setattr(RunConfig, "read", read)
    assert "epochs became float" in failures_of(mutations.config, tmp_path)[0]


def test_wrong_entries_of_an_idx_file_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "read_idx", damaged(data.read_idx, result=lambda array: array.T))
    assert any("shape" in text for text in failures_of(mutations.idx, tmp_path, 200))


def test_an_empty_image_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        data, "load_digit", damaged(data.load_digit, result=lambda image: 0 * image)
    )
    assert any("maximum of 0" in text for text in failures_of(mutations.images, tmp_path, 200))


def test_a_graph_that_only_the_collector_frees_is_noticed(tmp_path, monkeypatch):
    def step(self):
        loss = self.loss()
        loss.node.hooks = {0.0: loss.node}  # a cycle

    monkeypatch.setattr(memory, "KINDS", [step] * len(memory.KINDS))
    found = failures_of(memory.slope, tmp_path, 1)
    gc.collect()
    assert "nodes of finished steps are alive" in found[0]


def test_a_mode_shared_by_all_threads_is_noticed(tmp_path, monkeypatch):
    state = thread.state

    class Shared:
        pass

    shared = Shared()
    shared.state = state
    for module in ("runtime.state", "autograd.dispatch", "autograd.backward"):
        monkeypatch.setattr(f"tinygrad_np.{module}.thread", shared, raising=False)
    before = state.recording, list(state.outer_modes)
    try:
        assert failures_of(threads.modes, tmp_path)
    finally:
        state.recording, state.outer_modes[:] = before


def test_a_mode_that_stays_off_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(Recording, "__exit__", lambda self, *error: None)
    assert "recording" in failures_of(threads.modes, tmp_path, 1)[0]


def test_an_overwritten_upstream_gradient_is_noticed(tmp_path, monkeypatch):
    def vjp(grad_out):
        if isinstance(grad_out, np.ndarray) and grad_out.size:
            grad_out *= 2
        return grad_out

    neg = ops.table["neg"]
    monkeypatch.setitem(neg.vjps, "x", vjp)
    neg.plans.clear()
    monkeypatch.setattr(aliasing, "cases", lambda: [(neg, 3)])
    try:
        assert failures_of(aliasing.shared_memory, tmp_path, 1)
    finally:
        neg.plans.clear()


def test_a_change_that_is_not_recorded_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(Variable, "mark_changed", lambda self: None)
    monkeypatch.setattr(aliasing, "cases", lambda: [(ops.table["exp"], 3), (ops.table["mul"], 3)])
    found = failures_of(aliasing.changed_in_between, tmp_path)
    assert any("differs without an error" in text for text in found)


def test_a_tensor_that_shares_its_array_is_noticed(tmp_path, monkeypatch):
    def share(array):
        return Tensor.from_numpy(array)

    share.from_numpy = Tensor.from_numpy
    monkeypatch.setattr(aliasing, "Tensor", share)
    assert "Tensor(array) shares memory" in failures_of(aliasing.copies, tmp_path)


def test_a_file_written_in_place_is_noticed(tmp_path, monkeypatch):
    def write(path, content):
        try:
            path.write_bytes(content)
        except OSError as error:
            raise DataError(f"{path}: cannot write the file ({error.strerror}).") from error

    monkeypatch.setattr("tinygrad_np.train.weights.write_bytes", write)
    disk.WRITERS["train.save"].write(tmp_path / "warmup")
    found = failures_of(disk.write_stops, tmp_path)
    assert any(text.startswith("train.save") and "the old file" in text for text in found)


def test_a_file_written_without_error_handling_is_noticed(tmp_path, monkeypatch):
    def write(path, content):
        temporary = path.with_name(f".{path.name}.temporary")
        temporary.write_bytes(content)
        temporary.replace(path)

    monkeypatch.setattr("tinygrad_np.train.weights.write_bytes", write)
    disk._calls.cache_clear()
    disk._fault_cases.cache_clear()
    try:
        found = failures_of(disk.each_call_fails, tmp_path)
    finally:
        disk._calls.cache_clear()
        disk._fault_cases.cache_clear()
    assert any(text.startswith("train.save, ENOSPC") and "OSError" in text for text in found)


def test_a_formula_that_overflows_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(Tensor, "softplus", lambda x: (x.exp() + 1).log())
    found = failures_of(extremes.unary, tmp_path, count=1000)
    assert any(text.startswith("softplus") and "gives inf" in text for text in found)


def test_faults_compares_kinds_and_digits():
    truth = np.array([1.0, 1e40, -1e40, np.nan, 0.0, 3.4028235e38, 1e-50, 2.0])
    right = np.array([1.0, np.inf, -np.inf, np.nan, -0.0, np.inf, 0.0, 2.00001], np.float32)
    wrong = np.array([1.1, 3e38, np.inf, 0.0, 1e-9, np.nan, 1e-30, np.nan], np.float32)
    assert not extremes.faults(right, truth).any()
    assert extremes.faults(wrong, truth).all()

"""profile(): calls, bytes and module of each op; and what a run depends on beside the code."""

import re
import threading
import time

import numpy as np
import pytest
import threadpoolctl

import tinygrad_np
from tinygrad_np import Tensor, debug, nn, no_grad, op, ops, profile
from tinygrad_np.errors import ArgumentError, GraphError
from tinygrad_np.memory import pool
from tinygrad_np.tape import mode


class SmallCNN(nn.Module):
    """Two convolutions, of which the second is in a module within, and a linear layer."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, generator=generator)
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, generator=generator), nn.ReLU())
        self.head = nn.Linear(8 * 6 * 6, 10, generator=generator)

    def forward(self, x):
        """Return (N, 10)."""
        return self.head(self.body(self.conv(x).relu()).flatten(1))


def step(model, x):
    """Run one training step without the optimizer."""
    labels = np.zeros(len(x.data), np.int64)
    model.zero_grad()
    model(x).cross_entropy(labels).backward()


@pytest.fixture(scope="module")
def table():
    """Return the profile of two steps of a small CNN."""
    model, x = SmallCNN(), Tensor.ones(2, 1, 6, 6)
    with profile() as table:
        for _ in range(2):
            step(model, x)
    return table


def row_of(table, op, module=""):
    """Return the one row of an op in a module."""
    (row,) = (row for row in table.rows() if (row.op, row.module) == (op, module))
    return row


def test_there_is_a_row_for_each_op_in_each_module(table):
    assert {(row.op, row.module) for row in table.rows()} == {
        ("conv2d", "conv"),
        ("relu", "SmallCNN"),
        ("conv2d", "body.0"),
        ("relu", "body.1"),
        ("reshape", "SmallCNN"),
        ("linear", "head"),
        ("cross_entropy", ""),
    }


@pytest.mark.parametrize(
    ("op", "module", "calls", "nbytes", "backward_calls", "backward_nbytes"),
    [
        # The first convolution's input wants no gradient: weight (4, 1, 3, 3) and bias (4,).
        ("conv2d", "conv", 2, 2 * 4 * (2 * 4 * 36), 4, 2 * 4 * (36 + 4)),
        # Input (2, 4, 6, 6), weight (8, 4, 3, 3), bias (8,).
        ("conv2d", "body.0", 2, 2 * 4 * (2 * 8 * 36), 6, 2 * 4 * (2 * 4 * 36 + 288 + 8)),
        ("relu", "SmallCNN", 2, 2 * 4 * (2 * 4 * 36), 2, 2 * 4 * (2 * 4 * 36)),
        ("relu", "body.1", 2, 2 * 4 * (2 * 8 * 36), 2, 2 * 4 * (2 * 8 * 36)),
        ("cross_entropy", "", 2, 2 * 4, 2, 2 * 4 * 20),
    ],
)
def test_calls_and_bytes(table, op, module, calls, nbytes, backward_calls, backward_nbytes):
    row = row_of(table, op, module)
    assert (row.calls, row.nbytes) == (calls, nbytes)
    assert (row.backward_calls, row.backward_nbytes) == (backward_calls, backward_nbytes)


def test_what_took_longest_comes_first(table):
    seconds = [row.seconds + row.backward_seconds for row in table.rows()]
    assert seconds == sorted(seconds, reverse=True)
    assert all(row.seconds > 0 and row.backward_seconds > 0 for row in table.rows())


def test_a_long_backward_comes_first_too():
    def slow(grad_out):
        time.sleep(0.005)
        return grad_out

    slow_back = op("x", vjps={"x": slow})(lambda x: x * 1)
    with profile() as table:
        slow_back(Tensor([1.0], requires_grad=True).exp()).backward()
    first, second = table.rows()
    assert (first.op, second.op) == ("<lambda>", "exp")
    assert first.backward_seconds > 0.004 > first.seconds


def test_it_prints_as_a_table(table):
    heading, units, *lines = str(table).splitlines()
    assert heading.split() == ["op", "module", "forward", "backward", "share"]
    assert units.split() == ["calls", "ms", "MB"] * 2
    assert len(lines) == len(table.rows()) == 7
    assert len({len(line) for line in lines}) == 1
    for line, row in zip(lines, table.rows(), strict=True):
        name, *module, calls, ms, megabytes, back, back_ms, back_megabytes, share = line.split()
        assert (name, "".join(module)) == (row.op, row.module)
        assert (int(calls), int(back)) == (row.calls, row.backward_calls)
        assert float(ms) == pytest.approx(1e3 * row.seconds, abs=5e-4)
        assert float(back_ms) == pytest.approx(1e3 * row.backward_seconds, abs=5e-4)
        assert float(megabytes) == pytest.approx(row.nbytes / 1e6, abs=5e-4)
        assert float(back_megabytes) == pytest.approx(row.backward_nbytes / 1e6, abs=5e-4)
        assert share.endswith("%")
    assert sum(float(line.split()[-1][:-1]) for line in lines) == pytest.approx(100, abs=0.5)


def test_an_empty_one_prints_its_heading():
    with profile() as table:
        pass
    assert table.rows() == []
    assert len(str(table).splitlines()) == 2


def test_ops_within_a_vjp_are_part_of_it():
    """The sigmoid's VJP multiplies; a gradient of the gradient has rows of its own."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    with profile() as table:
        y = x.sigmoid()
        (slope,) = y.gradient(x, gradient=[1.0, 1.0], create_graph=True)
    assert [row.op for row in table.rows()] == ["sigmoid"]
    assert row_of(table, "sigmoid").backward_calls == 1
    with profile() as table:
        slope.sum().backward()
    assert "mul" in {row.op for row in table.rows()}


def test_ops_within_an_op_are_part_of_it():
    @op("2 exp(x)", vjps={"x": lambda grad_out, out: grad_out * out})
    def doubled(x):
        return ops.mul(ops.exp(x), 2)

    with profile() as table:
        doubled(Tensor([1.0]))
    assert [row.op for row in table.rows()] == ["doubled"]


def test_what_is_not_recorded_is_counted_too():
    with profile() as table, no_grad():
        Tensor.ones(3).exp()
        ops.exp(np.ones(3))
    assert (row_of(table, "exp").calls, row_of(table, "exp").nbytes) == (2, 12 + 24)


def test_one_table_can_be_filled_several_times():
    table = profile()
    for count in (1, 2):
        with table:
            Tensor.ones(3).exp()
        Tensor.ones(3).exp()
        assert row_of(table, "exp").calls == count


def test_both_of_two_see_everything_inside():
    with profile() as outer:
        Tensor(1.0).exp()
        with profile() as inner, debug():
            Tensor(1.0).exp()
    assert row_of(outer, "exp").calls == 2
    assert row_of(inner, "exp").calls == 1


def test_it_counts_its_own_thread_only_and_ends_with_an_exception():
    table, thread = profile(), threading.Thread(target=lambda: Tensor(1.0).exp())

    @table
    def fail():
        thread.start()
        thread.join()
        Tensor(1.0).log()
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    Tensor(1.0).sin()
    assert [row.op for row in table.rows()] == ["log"]
    assert mode.now.observer is None


def test_numbers_are_the_same_with_it():
    x = Tensor.ones(2, 1, 6, 6)

    def run():
        model = SmallCNN()
        step(model, x)
        return [parameter.grad.tolist() for parameter in model.parameters()]

    with profile():
        inside = run()
    assert inside == run()


def test_what_is_no_array_is_refused_as_without_a_profile():
    @op("3", vjps={"x": lambda grad_out: grad_out})
    def number(x):
        return 3.0

    @op("x", vjps={"x": lambda grad_out: None})
    def nothing(x):
        return x * 1

    x = Tensor(np.ones(2), requires_grad=True)
    with profile():
        with pytest.raises(GraphError, match="number: the forward returned a float"):
            number(x)
        with pytest.raises(GraphError, match="'nothing' for input 0 returned a NoneType"):
            nothing(x).sum().backward()


# Configuration.


def blas():
    """Return the libraries that multiply matrices, as threadpoolctl sees them now."""
    return [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


def shown(capsys):
    """Return the lines that show_config prints."""
    tinygrad_np.show_config()
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def no_pins(monkeypatch):
    """Take from the environment what would add lines."""
    for name in ("CORETYPE", "L2_SIZE", "NUM_THREADS"):
        monkeypatch.delenv(f"OPENBLAS_{name}", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return monkeypatch


def test_the_configuration_has_its_lines(capsys, no_pins):
    ours, python, cores, *libraries, memory = shown(capsys)
    assert ours == f"tinygrad_np {tinygrad_np.__version__}"
    assert re.fullmatch(rf"Python 3\.\d+\.\S+, NumPy {re.escape(np.__version__)}, \S+", python)
    assert re.fullmatch(r"CPU cores for this process: [1-9]\d*", cores)
    assert len(libraries) == len(blas())
    for line, library in zip(libraries, blas(), strict=True):
        assert line.startswith(f"BLAS: {library['internal_api']} {library['version']}, kernels for")
        assert line.endswith(f", {library['num_threads']} threads")
    assert re.fullmatch(
        r"recycled memory: (off|at most \d+ MiB idle), \d+\.\d MiB idle now", memory
    )


@pytest.mark.parametrize(("limit", "text"), [(0, "off"), (64 * 2**20, "at most 64 MiB idle")])
def test_recycled_memory_is_shown(capsys, monkeypatch, limit, text):
    monkeypatch.setattr(pool, "limit", limit)
    assert shown(capsys)[-1].startswith(f"recycled memory: {text}, ")


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("OPENBLAS_CORETYPE", "  <- may hold this CPU back: unset it before Python starts"),
        ("OPENBLAS_L2_SIZE", "  <- may hold this CPU back: unset it before Python starts"),
        ("OPENBLAS_NUM_THREADS", ""),
        ("OMP_NUM_THREADS", ""),
    ],
)
def test_variables_that_pin_blas_are_shown(capsys, no_pins, name, remark):
    assert not [line for line in shown(capsys) if name in line]
    no_pins.setenv(name, "7")
    (line,) = (line for line in shown(capsys) if name in line)
    assert line.startswith(f"{name}=7{remark}")
    assert bool(remark) == ("hold" in line)


def test_the_number_of_threads_can_be_set_and_set_back(capsys):
    before = [library["num_threads"] for library in blas()]
    assert before
    try:
        for count in (1, 2, 1):
            tinygrad_np.set_num_threads(count)
            assert [library["num_threads"] for library in blas()] == [count] * len(before)
            assert f", {count} threads" in "\n".join(shown(capsys))
    finally:
        tinygrad_np.set_num_threads(max(before))
    assert [library["num_threads"] for library in blas()] == before


@pytest.mark.parametrize("count", [0, -2, 1.5, "2", None])
def test_a_number_of_threads_that_is_none_is_refused(count):
    before = [library["num_threads"] for library in blas()]
    message = rf"set_num_threads: got {count!r}, expected an integer of at least 1"
    with pytest.raises(ArgumentError, match=message):
        tinygrad_np.set_num_threads(count)
    assert [library["num_threads"] for library in blas()] == before

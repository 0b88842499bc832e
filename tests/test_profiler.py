"""profile(): calls, bytes, FLOPs and module of each op. show_config() and thread counts."""

import re
import threading
import time

import numpy as np
import pytest
import threadpoolctl

import tinygrad_np
from models import MnistCNN
from tests.tools import each, leaf
from tinygrad_np import Tensor, debug, enable_grad, nn, no_grad, op, ops, profile
from tinygrad_np.errors import ArgumentError, GraphError, ShapeError
from tinygrad_np.runtime import info
from tinygrad_np.runtime import threads as parallel
from tinygrad_np.runtime.memory import pool
from tinygrad_np.runtime.state import thread


class SmallCNN(nn.Module):
    """Two convolutions, the second in a nested module, and a linear layer."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, generator=generator)
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, generator=generator), nn.ReLU())
        self.head = nn.Linear(8 * 6 * 6, 10, generator=generator)

    def forward(self, x):
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
    """Return the only row of an op in a module."""
    (row,) = (row for row in table.rows() if (row.op, row.module) == (op, module))
    return row


def test_one_row_per_op_and_module(table):
    assert {(row.op, row.module) for row in table.rows()} == {
        ("conv2d", "conv"),
        ("relu", "SmallCNN"),
        ("conv2d", "body.0"),
        ("relu", "body.1"),
        ("reshape", "SmallCNN"),
        ("linear", "head"),
        ("cross_entropy_rows", ""),
    }


@each(
    "op,module,nbytes,backward_nbytes",
    [
        # One kernel call computes all gradients of a convolution.
        # The input of the first convolution needs no gradient: weight (4, 1, 3, 3), bias (4,).
        ("conv2d", "conv", 2 * 4 * (2 * 4 * 36), 2 * 4 * (36 + 4)),
        # Input (2, 4, 6, 6), weight (8, 4, 3, 3), bias (8,).
        ("conv2d", "body.0", 2 * 4 * (2 * 8 * 36), 2 * 4 * (2 * 4 * 36 + 288 + 8)),
        ("relu", "SmallCNN", 2 * 4 * (2 * 4 * 36), 2 * 4 * (2 * 4 * 36)),
        ("relu", "body.1", 2 * 4 * (2 * 8 * 36), 2 * 4 * (2 * 8 * 36)),
        ("cross_entropy_rows", "", 2 * 4, 2 * 4 * 20),
    ],
)
def test_rows_count_calls_and_bytes(table, op, module, nbytes, backward_nbytes):
    row = row_of(table, op, module)
    assert (row.calls, row.nbytes) == (2, nbytes)
    assert (row.backward_calls, row.backward_nbytes) == (2, backward_nbytes)


def test_rows_are_sorted_by_time(table):
    seconds = [row.seconds + row.backward_seconds for row in table.rows()]
    assert seconds == sorted(seconds, reverse=True)
    assert all(row.seconds > 0 and row.backward_seconds > 0 for row in table.rows())


def test_backward_time_counts_for_the_order():
    def slow(grad_out):
        time.sleep(0.005)
        return grad_out

    slow_back = op("x", vjps={"x": slow})(lambda x: x * 1)
    with profile() as table:
        slow_back(leaf([1.0]).exp()).backward()
    first, second = table.rows()
    assert (first.op, second.op) == ("<lambda>", "exp")
    assert first.backward_seconds > 0.004 > first.seconds


def test_printed_table_is_aligned(table):
    groups, heading, *lines = str(table).splitlines()
    assert groups.split("-")[0].isspace()
    assert [word for word in groups.split() if word.isalpha()] == ["forward", "backward"]
    assert [len(groups), groups.index("-  -") + 1] == [
        heading.rindex("MFLOP") + 5,
        heading.index("MFLOP") + 5,
    ]
    half = ["calls", "ms", "MB", "MFLOP"]
    assert heading.split() == ["op", "module", *half, *half, "GFLOP/s", "share"]
    assert len({len(line) for line in (heading, *lines)}) == 1
    assert len(heading) < 120
    assert [set(lines.pop(position)) for position in (0, -2)] == [{"-"}] * 2
    rows = [*table.rows(), table.total()]
    for line, row in zip(lines, rows, strict=True):
        name, *module = line.split()[:-10]
        assert (name, "".join(module)) == (row.op, row.module)
        calls, ms, megabytes, mflop, back, back_ms, back_megabytes, back_mflop, rate = map(
            float, line.split()[-10:-1]
        )
        assert (calls, back) == (row.calls, row.backward_calls)
        seconds = row.seconds + row.backward_seconds
        shown = [ms, back_ms, megabytes, back_megabytes, mflop, back_mflop, rate / 10]
        values = [1e3 * row.seconds, 1e3 * row.backward_seconds]
        values += [row.nbytes / 1e6, row.backward_nbytes / 1e6]
        values += [row.flops / 1e6, row.backward_flops / 1e6]
        values += [(row.flops + row.backward_flops) / seconds / 1e10]
        assert shown == pytest.approx(values, abs=5.1e-4)
    shares = [line.split()[-1] for line in lines]
    assert shares[-1] == "100.0%"
    assert sum(float(share[:-1]) for share in shares[:-1]) == pytest.approx(100, abs=0.5)


def test_columns_fit_long_module_names():
    model = nn.Module()
    model.a_layer_with_a_rather_long_name = nn.Sequential(nn.ReLU())
    model.forward = lambda x: model.a_layer_with_a_rather_long_name(x)
    with profile() as table:
        model(Tensor.ones(3))
    *_, relu, _, total = str(table).splitlines()
    assert relu.startswith("relu   a_layer_with_a_rather_long_name.0      1  ")
    assert total.startswith(f"total  {'':33}      1  ")


def test_total_is_the_sum_of_the_rows(table):
    total = table.total()
    assert (total.op, total.module) == ("total", "")
    for name in ("calls", "seconds", "nbytes", "flops"):
        for field in (name, f"backward_{name}"):
            parts = [getattr(row, field) for row in table.rows()]
            assert getattr(total, field) == pytest.approx(sum(parts))
            assert getattr(total, field) > 0


def test_empty_profile_prints_a_note():
    with profile() as table:
        pass
    assert table.rows() == []
    assert table.total() == type(table.total())("total", "")
    assert str(table) == "profile: no ops recorded yet"


# FLOPs. tests/ops/test_flops.py checks the forward FLOPs of each op against hand counts.


def test_flops_of_a_training_step_match_hand_counts():
    """Hand counts, from the shapes in the model's comments, for batch size 2."""
    model = MnistCNN(np.random.default_rng(0))
    with profile() as table:
        step(model, Tensor.ones(2, 1, 28, 28))
    conv1 = 2 * 2 * 32 * 28 * 28 * 9
    conv2 = 2 * 2 * 64 * 14 * 14 * 9 * 32
    fc1, fc2 = 2 * 2 * 128 * 3136, 2 * 2 * 10 * 128
    units1, units2 = 2 * 32 * 28 * 28, 2 * 64 * 14 * 14
    assert {(row.op, row.module): (row.flops, row.backward_flops) for row in table.rows()} == {
        # Backward: one product of the same size per input that needs a gradient, plus the sum for
        # the bias. The images need no gradient.
        ("conv2d", "conv1"): (conv1 + units1, conv1 + units1),
        ("conv2d", "conv2"): (conv2 + units2, 2 * conv2 + units2),
        ("linear", "fc1"): (fc1 + 256, 2 * fc1 + 256),
        ("linear", "fc2"): (fc2 + 20, 2 * fc2 + 20),
        # Four elements per window; one addition backward.
        ("max_pool", "pool"): (units1 + units2, (units1 + units2) // 4),
        ("relu", "relu"): (units1 + units2 + 256, units1 + units2 + 256),
        ("dropout_with_mask", "dropout"): (512, 512),
        ("reshape", "flatten"): (0, 0),
        ("cross_entropy_rows", ""): (5 * 20 + 2 * 2, 20),
    }


@each(
    "function,count",
    [
        # The upstream gradient is returned unchanged: nothing is computed.
        (lambda x: x + 1, 0),
        (lambda x: x.reshape(6), 0),
        # A quotient of arrays, computed without ops: 1 per element of the result.
        (lambda x: x.log(), 6),
        # The op sin is counted, the product of arrays is not.
        (lambda x: x.cos(), 6 + 6),
        (lambda x: x @ np.ones((3, 4), np.float32), 2 * 6 * 4),
    ],
)
def test_flops_of_a_vjp_are_the_sum_over_its_ops(function, count):
    out = function(leaf(np.ones((2, 3), np.float32)))
    with profile() as table:
        out.backward(np.ones(out.shape, np.float32))
    assert table.total().flops == 0
    assert table.total().backward_flops == count


def test_flops_with_create_graph_are_counted_once():
    """With create_graph, operators in a VJP run as ops as well."""
    x, w = leaf(np.ones((2, 3))), leaf(np.ones((3, 4)))
    with profile() as table:
        y = (x @ w).tanh()
        x_grad, w_grad = y.gradient(x, w, gradient=np.ones((2, 4)), create_graph=True)
    assert {row.op: row.flops for row in table.rows()} == {"batched_matmul": 48, "tanh": 8}
    # tanh: grad_out (1 - out out).
    backward = {row.op: row.backward_flops for row in table.rows()}
    assert backward == {"batched_matmul": 96, "tanh": 24}
    with profile() as table:
        (x_grad.sum() + w_grad.sum()).backward()
    second = row_of(table, "batched_matmul")
    # Two gradients for each of three products: the first one and the two in its gradients.
    assert (second.calls, second.backward_calls, second.backward_flops) == (0, 6, 6 * 48)


def test_flops_of_a_definition_are_counted_for_its_ops():
    logits = leaf(np.ones((3, 4)))
    with profile() as table:
        loss = logits.cross_entropy([0, 1, 2])
        loss.gradient(logits, create_graph=True)
    fused = row_of(table, "cross_entropy_rows")
    assert (fused.calls, fused.backward_calls, fused.backward_flops) == (1, 0, 0)
    assert row_of(table, "log_softmax").flops == 5 * 12
    assert row_of(table, "log_softmax").backward_flops > 12


def test_flops_of_nested_ops_are_counted_once():
    @op("2 exp(x)", vjps={"x": lambda grad_out, x: ops.mul(grad_out, doubled(x))}, flops=2)
    def doubled(x):
        return ops.mul(ops.exp(x), 2)

    with profile() as table:
        doubled(leaf(1.0, 2.0, 3.0)).sum().backward()
    assert {row.op for row in table.rows()} == {"doubled", "sum"}
    row = row_of(table, "doubled")
    assert (row.calls, row.flops) == (1, 6)
    assert (row.backward_calls, row.backward_flops) == (1, 6 + 3)


def test_backward_inside_a_vjp_counts_for_the_vjp():
    def inner(grad_out):
        x = leaf(1.0, 2.0)
        with enable_grad():
            x.exp().sum().backward()
        return ops.mul(grad_out, x.grad.data)

    own = op("x", vjps={"x": inner})(lambda x: x * 1)
    with profile() as table:
        own(leaf(1.0, 1.0)).backward([1.0, 1.0])
        Tensor(1.0).exp()
    rows = {row.op: row for row in table.rows()}
    assert set(rows) == {"<lambda>", "exp"}
    assert (rows["exp"].calls, rows["exp"].backward_calls) == (1, 0)
    # exp, its sum, the product in the VJP of exp, and the last product: 2 elements each.
    assert (rows["<lambda>"].backward_calls, rows["<lambda>"].backward_flops) == (1, 8)


def test_backward_inside_an_op_counts_for_the_op():
    @op("the slope of e^x")
    def slope(x):
        x = leaf(x)
        x.exp().sum().backward()
        return x.grad.data

    with profile() as table:
        slope(np.ones(3, np.float32))
    (row,) = table.rows()
    assert (row.op, row.calls, row.flops, row.backward_calls) == ("slope", 1, 3, 0)


def test_profile_continues_after_a_failing_vjp():
    @op("x", vjps={"x": lambda grad_out: ops.reshape(grad_out, (5,))})
    def failing(x):
        return x * 1

    with profile() as table:
        with pytest.raises(ShapeError):
            failing(leaf([1.0])).backward()
        Tensor([1.0, 2.0]).exp()
    assert row_of(table, "failing").backward_calls == 0
    assert (row_of(table, "exp").calls, row_of(table, "exp").flops) == (1, 2)


def test_nested_profiles_and_debug_count_the_same_flops():
    x = leaf(np.ones(3))
    outer, inner = profile(), profile()
    for watching in ((outer, debug(), inner), (inner, outer, debug())):
        with watching[0], watching[1], watching[2]:
            x.sin().backward(np.ones(3))
    for table in (outer, inner):
        assert (row_of(table, "sin").flops, row_of(table, "sin").backward_flops) == (6, 6)


def test_flops_are_counted_only_while_profiling():
    counted = []

    @op("2 x", flops=lambda x, out, factor: counted.append((x.shape, out.shape, factor)) or 7)
    def scaled(x, y=None, *, factor=2):
        return x * factor

    scaled(Tensor.ones(2, 3))
    assert counted == []
    with profile() as table:
        scaled(Tensor.ones(2, 3))
        scaled(np.ones(4), 1.0, factor=3)
    assert counted == [((2, 3), (2, 3), 2), ((4,), (4,), 3)]
    assert row_of(table, "scaled").flops == 14


def test_flops_function_receives_numbers_as_0d_arrays():
    product = op("x y", flops=lambda x, y: x.size + y.size)(lambda x, y: x * y)
    with profile() as table:
        product(Tensor.ones(3), 2.0)
    assert table.total().flops == 4


def test_flops_of_a_kernel_default_to_one_per_element():
    def kernel(grad_out, a, b, wanted):
        return [grad_out * b if wanted[0] else None, grad_out * a if wanted[1] else None]

    def count(grad_out, a, wanted, scale):
        assert a.shape == grad_out.shape
        return scale * sum(wanted) * grad_out.size

    def product(a, b, *, scale=10):
        return a * b

    vjps = {"a": lambda grad_out, b: grad_out * b, "b": lambda grad_out, a: grad_out * a}
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    for options, expected in (({}, 6), ({"backward_flops": count}, 60)):
        own = op("a b", vjps=vjps, backward=kernel, **options)(product)
        with profile() as table:
            own(a, b).backward(np.ones((2, 3)))
            own(a, b).gradient(a, gradient=np.ones((2, 3)))
        row = row_of(table, "product")
        assert (row.calls, row.backward_calls) == (2, 2)
        assert (row.backward_nbytes, row.backward_flops) == (3 * 48, 3 * expected)


def test_unrecorded_ops_and_views_are_counted():
    with profile() as table, no_grad():
        Tensor.ones(3).exp()
        ops.exp(np.ones(3))
        ops.transpose(np.ones((2, 3)))
    assert (row_of(table, "exp").calls, row_of(table, "exp").nbytes) == (2, 12 + 24)
    assert (row_of(table, "transpose").calls, row_of(table, "transpose").nbytes) == (1, 48)


def test_profile_can_be_entered_repeatedly():
    table = profile()
    for count in (1, 2):
        with table:
            Tensor.ones(3).exp()
        Tensor.ones(3).exp()
        assert row_of(table, "exp").calls == count


def test_profile_is_per_thread_and_ends_with_an_exception():
    table, other = profile(), threading.Thread(target=lambda: Tensor(1.0).exp())

    @table
    def fail():
        other.start()
        other.join()
        Tensor(1.0).log()
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    Tensor(1.0).sin()
    assert [row.op for row in table.rows()] == ["log"]
    assert thread.state.observers == []


def test_invalid_results_raise_inside_a_profile():
    number = op("3")(lambda x: 3.0)
    nothing = op("x", vjps={"x": lambda grad_out: None})(lambda x: x * 1)
    with profile():
        with pytest.raises(GraphError, match="forward function to return an array, got float"):
            number(leaf(1.0, 1.0))
        with pytest.raises(GraphError, match=r"input 0 to be .*, got NoneType"):
            nothing(leaf(1.0, 1.0)).sum().backward()


# Configuration.


def blas():
    """Return the loaded BLAS libraries, as reported by threadpoolctl."""
    return [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


def shown(capsys):
    """Return the lines printed by show_config."""
    tinygrad_np.show_config()
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def no_pins(monkeypatch):
    """Remove environment variables that add lines to the output of show_config."""
    for name in ("CORETYPE", "L2_SIZE", "NUM_THREADS"):
        monkeypatch.delenv(f"OPENBLAS_{name}", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return monkeypatch


def test_show_config_prints_versions_threads_and_memory(capsys, no_pins):
    ours, python, cores, threads, *libraries, memory = shown(capsys)
    assert ours == f"tinygrad_np {tinygrad_np.__version__}"
    assert re.fullmatch(rf"Python 3\.\d+\.\S+, NumPy {re.escape(np.__version__)}, \S+", python)
    assert re.fullmatch(r"CPU cores available to this process: [1-9]\d*", cores)
    assert re.fullmatch(r"threads: [1-9]\d*, from \S.*", threads)
    assert len(libraries) == len(blas())
    for line, library in zip(libraries, blas(), strict=True):
        assert line.startswith(f"BLAS: {library['internal_api']} {library['version']}, kernels for")
        assert line.endswith(f", {library['num_threads']} threads")
    assert re.fullmatch(r"memory pool: (off|at most \d+ MiB idle), \d+\.\d MiB idle now", memory)


@each("limit,text", [(0, "off"), (64 * 2**20, "at most 64 MiB idle")])
def test_show_config_shows_the_memory_pool(capsys, monkeypatch, limit, text):
    monkeypatch.setattr(pool, "limit", limit)
    assert shown(capsys)[-1].startswith(f"memory pool: {text}, ")


@each("name", ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_show_config_shows_blas_variables(capsys, no_pins, name):
    assert not [line for line in shown(capsys) if name in line]
    no_pins.setenv(name, "7")
    (line,) = (line for line in shown(capsys) if name in line)
    remark = "  <- may slow down NumPy on this CPU. Unset it before Python starts, and compare."
    assert line == f"{name}=7" + remark * (name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"))


def test_set_num_threads_limits_blas(capsys):
    before = [library["num_threads"] for library in blas()]
    assert before
    try:
        for count in (1, 2, 1):
            tinygrad_np.set_num_threads(count)
            assert tinygrad_np.get_num_threads() == count
            assert f"threads: {count}, from set_num_threads" in shown(capsys)
            assert [library["num_threads"] for library in blas()] == [count] * len(before)
            assert f", {count} threads" in "\n".join(shown(capsys))
    finally:
        tinygrad_np.set_num_threads(max(before))
    assert [library["num_threads"] for library in blas()] == [max(before)] * len(before)


def test_show_config_shows_the_source_of_the_thread_count(capsys, no_pins):
    for given, line in [
        (None, r"threads: [1-9]\d*, from the CPU cores available to this process"),
        ("3", "threads: 3, from TINYGRAD_NP_THREADS"),
        ("two", "threads: TINYGRAD_NP_THREADS: expected an integer >= 1, got 'two'."),
    ]:
        workers = parallel.Workers()
        workers._blas = []
        no_pins.setattr(info, "workers", workers)
        no_pins.delenv("TINYGRAD_NP_THREADS", raising=False)
        if given is not None:
            no_pins.setenv("TINYGRAD_NP_THREADS", given)
        assert re.fullmatch(line, shown(capsys)[3])
    with pytest.raises(ArgumentError, match=r"TINYGRAD_NP_THREADS: .*, got 'two'"):
        tinygrad_np.get_num_threads()


@each("count", [0, -2, 1.5, "2", None])
def test_invalid_thread_count_raises(count):
    before = [library["num_threads"] for library in blas()]
    message = rf"set_num_threads: expected `count` to be an integer >= 1, got {count!r}\."
    with pytest.raises(ArgumentError, match=message):
        tinygrad_np.set_num_threads(count)
    assert [library["num_threads"] for library in blas()] == [max(before)] * len(before)


def test_variadic_kernel_reports_its_own_flops():
    total = op(
        "sum of xs",
        vjps={"xs": lambda grad_out, xs: grad_out},
        backward=lambda grad_out, xs: [ops.mul(grad_out, 1.0) for _ in xs],
        backward_flops=lambda grad_out, xs: 7 * len(xs),
    )(lambda *xs: np.sum(xs, axis=0))
    with profile() as table:
        total(*[leaf(np.ones(5)) for _ in range(3)]).backward(np.ones(5))
    assert {row.op: row.backward_flops for row in table.rows()}["<lambda>"] == 21


def test_rows_and_table_are_sorted_by_a_column():
    with profile() as table:
        x = Tensor(np.ones((40, 40)))
        x @ x
        for _ in range(3):
            x + 1
    assert [row.op for row in table.rows(by="flops")] == ["batched_matmul", "add"]
    assert [row.op for row in table.rows(by="calls")] == ["add", "batched_matmul"]
    assert [row.op for row in table.rows(by="nbytes")] == ["add", "batched_matmul"]
    assert [row.op for row in table.rows(by="op")] == ["add", "batched_matmul"]
    assert [row.op for row in table.rows(by="module")] == ["add", "batched_matmul"]
    seconds = [row.seconds for row in table.rows()]
    assert seconds == sorted(seconds, reverse=True)
    names = [line.split()[0] for line in str(table.table(by="flops")).splitlines()[3:5]]
    assert names == ["batched_matmul", "add"]
    assert table._repr_html_() == table.table()._repr_html_()


def test_unknown_column_raises():
    message = r"^profile: expected `by` to be 'seconds', .* or 'module', got 'time'\.$"
    with pytest.raises(ArgumentError, match=message):
        profile().table(by="time")

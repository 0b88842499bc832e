"""debug() and observers: errors name the op and the source line of its call."""

import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each, leaf
from tinygrad_np import Tensor, debug, nn, op, ops, profile
from tinygrad_np.errors import GraphError, NotFiniteError, TinygradNpError
from tinygrad_np.observer import Observer
from tinygrad_np.runtime.state import thread as this_thread

TEXT = Path(__file__).read_text(encoding="utf-8").splitlines()


def line_with(mark):
    """Return the location and text, as in a message, of the line of this file ending in `mark`."""
    (number,) = (n for n, line in enumerate(TEXT, 1) if line.endswith(f"# {mark}"))
    return f"{__file__}:{number}, in ", f": {TEXT[number - 1].strip()}"


def is_called_at(note, op, mark):
    """Return whether a note says that `op` was called at the line ending in `mark`."""
    place, text = line_with(mark)
    return note.startswith(f"op {op!r} (output shape (") and (
        f") was called at {place}" in note and note.endswith(text)
    )


def copier(name, vjp, **options):
    """Return an op that copies its input."""

    def copy(x):
        return x * 1

    copy.__name__ = name
    return op("x", vjps={"x": vjp}, **options)(copy)


def fail(grad_out):
    """A VJP that raises an error."""
    raise KeyError("of mine")


class Logs(nn.Module):
    """A layer that applies the logarithm."""

    def forward(self, x):
        return x.log()  # inside a module


class Nest(nn.Module):
    """A module that contains other modules."""

    def __init__(self):
        self.body = nn.Sequential(nn.ReLU(), Logs())

    def forward(self, x):
        return self.body(x)


# Forward pass.


def test_nan_names_op_shapes_and_line():
    x = leaf(4.0, -1.0, -9.0)
    with debug(), pytest.raises(NotFiniteError) as caught:
        (x * 1).sqrt()  # the first nan
    place, text = line_with("the first nan")
    assert str(caught.value) == (
        "debug: op 'sqrt' returned nan in 2 of 3 elements, the first at (1,). Its inputs were (3,) "
        "float64 from -9 to 4. It was called at "
        f"{place}test_nan_names_op_shapes_and_line{text}"
    )
    assert isinstance(caught.value, TinygradNpError)
    assert isinstance(caught.value, ArithmeticError)


@each(
    "function,message",
    [
        (lambda x: x.exp(), r"op 'exp' returned inf in 1 of 2 elements, the first at \(1,\)"),
        (lambda x: 1 / (x - 1), r"op 'div' returned inf.* inputs were \(\) int64, \(2,\) float"),
        (lambda x: (x - 1).log(), r"op 'log' returned inf in 1 of 2 elements, the first at \(0,\)"),
        (lambda x: x**400, r"op 'pow' returned inf"),
        (lambda x: x.reshape(1, 2).exp().sum(), r"op 'exp' returned inf in .* first at \(0, 1\)"),
    ],
)
def test_inf_names_op_without_numpy_warnings(function, message):
    x = leaf(1.0, 1e30)
    with debug(), pytest.raises(NotFiniteError, match=message):
        function(x)


@each(
    "function,message",
    [
        (
            lambda: leaf(1.0, np.nan) * 2,
            r"'mul' returned nan in 1 of 2 .* inputs were \(2,\) float64 containing nan",
        ),
        (lambda: Tensor([-1.0]).log(), "op 'log' returned nan"),
        (lambda: ops.log(np.array([-1.0])), "op 'log' returned nan"),
        (
            lambda: Tensor([]).mean(),
            r"op 'mean' returned nan in .* inputs were \(0,\) float32\. It",
        ),
        (
            lambda: Tensor([[np.nan, 1.0]]).linear(Tensor.ones(3, 2), None),
            r"inputs were \(1, 2\) \S+ containing nan, \(3, 2\) (?!.*object)",
        ),
        (
            lambda: leaf([1.0, 2.0]).masked_fill(np.ones((1, 2), bool), -np.inf).softmax(-1),
            r"returned nan in .* inputs were \(1, \d\) .* containing inf",
        ),
    ],
)
def test_message_describes_the_inputs(function, message):
    with debug(), pytest.raises(NotFiniteError, match=message):
        function()


@pytest.mark.parametrize(("model", "path"), [(Nest(), "body.1"), (Logs(), "Logs")])
def test_message_names_the_module(model, path):
    x = leaf([0.0]) if path == "body.1" else leaf([-1.0])
    place, text = line_with("inside a module")
    message = re.escape(f"It was called at {place}forward{text} (module {path})")
    with debug(), pytest.raises(NotFiniteError, match=f"{message}$"):
        model(x)


def test_masks_of_minus_inf_are_allowed():
    mask = np.array([[False, True, True], [False, False, True]])
    x = leaf([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    with debug():
        for masked in (x.masked_fill(mask, -np.inf), x + np.where(mask, -np.inf, 0.0)):
            for function in (Tensor.softmax, Tensor.log_softmax, Tensor.logsumexp):
                function(masked, -1).exp().sum().backward(retain_graph=True)
            masked.max(1).sum().backward()
    assert np.isfinite(x.grad.data).all()


@each(
    "function",
    [
        lambda: Tensor([]) * 2,
        lambda: Tensor([1, 2]) // 1,
        lambda: Tensor([1.0, 5.0]).clip(None, 2.0),
        lambda: Tensor(2.0).sqrt(),
        lambda: Tensor.ones(1, 1, 3, 3).max_pool2d(padding=1),
        lambda: Tensor([[1.0, 2.0]]).sort()[1],
    ],
)
def test_finite_ops_pass(function):
    with debug():
        found = function()
    assert found.tolist() == function().tolist()


# Backward pass.


def test_inf_from_a_vjp_names_the_line_of_the_forward():
    x = leaf(4.0, 0.0)
    with debug():
        y = x.sqrt()  # the root
        with pytest.raises(NotFiniteError) as caught:
            (y * 3).sum().backward()
    place, text = line_with("the root")
    assert str(caught.value) == (
        "debug: the VJP of op 'sqrt' for input 0 (x) returned inf in 1 of 2 elements, the first at "
        "(1,). The upstream gradient was (2,) float64 from 3 to 3. The op was called at "
        f"{place}test_inf_from_a_vjp_names_the_line_of_the_forward{text}"
    )
    assert caught.value.__notes__ == ["raised in the VJP for input 0 of op 'sqrt'"]
    assert x.grad is None


def test_inf_from_a_vjp_names_the_module():
    odd = copier("odd", lambda grad_out: grad_out * np.nan)

    class Odd(nn.Module):
        def forward(self, x):
            return odd(x)

    with debug():
        out = nn.Sequential(nn.ReLU(), Odd())(leaf([1.0])).sum()
        with pytest.raises(NotFiniteError, match=r"op 'odd' .* return odd\(x\) \(module 1\)\n"):
            out.backward()


def test_intermediate_results_of_a_vjp_are_not_checked():
    half = copier("half", lambda grad_out, x: grad_out * ops.exp(ops.log(x)))
    unguarded = copier("unguarded", lambda grad_out, x: grad_out * ops.log(x))
    x = leaf(0.0, 2.0)
    with debug():
        half(x).sum().backward()
        with pytest.raises(
            NotFiniteError, match=r"^debug: the VJP of op 'unguarded' .* returned inf"
        ):
            unguarded(x).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]


def test_error_in_a_definition_names_the_line_of_the_forward():
    broken = op("x", definition=fail, differentiable=("x",))(lambda x: x * 1)
    disguised = op("x", definition=ops.sqrt, differentiable=("x",))(lambda x: x * 1)
    with debug():
        y = broken(leaf([1.0]))  # to be defined
        with pytest.raises(KeyError) as caught:
            y.sum().backward()
        z = disguised(leaf([0.0]))  # sqrt in disguise
        with pytest.raises(NotFiniteError, match="VJP of op 'sqrt'") as found:
            z.sum().backward()
    assert is_called_at(caught.value.__notes__[-1], "<lambda>", "to be defined")
    assert is_called_at(found.value.__notes__[-1], "<lambda>", "sqrt in disguise")


def test_infinite_second_derivative_names_its_op():
    """The derivative of x^1.5 at 0 is 0, and its second derivative there is infinite."""
    x = leaf(4.0, 0.0)
    with debug():
        (slope,) = (x**1.5).sum().gradient(x, create_graph=True)
        assert slope.tolist() == [3.0, 0.0]
        with pytest.raises(NotFiniteError, match="the VJP of op 'pow' for input 0"):
            slope.sum().backward()


def test_inf_from_upstream_or_outside_debug_is_allowed():
    x, y = leaf(1.0, 2.0), leaf([0.0])
    with debug():
        (x * 2).backward(np.array([np.inf, 1.0]))
        root = y.sqrt()
    with np.errstate(divide="ignore"):
        root.backward()
    assert [x.grad.tolist(), y.grad.tolist()] == [[np.inf, 2.0], [np.inf]]


def test_message_says_that_the_forward_ran_outside_debug():
    y = leaf([0.0]).sqrt()
    with (
        debug(),
        pytest.raises(NotFiniteError, match=r"The op was called at a line outside debug\(\)"),
    ):
        y.backward()


def test_error_in_a_vjp_names_the_line_of_the_forward():
    with debug():
        y = copier("wrong", fail)(leaf([1.0]))  # that fails
        with pytest.raises(KeyError, match="of mine") as caught:
            y.sum().backward()
    first, second = caught.value.__notes__
    assert first == "raised in the VJP for input 0 of op 'wrong'"
    assert is_called_at(second, "wrong", "that fails")


@each(
    "vjp,message",
    [
        (
            lambda grad_out, x: grad_out[:1].reshape(1, 1),
            "to be of shape (2,) and dtype float64, got (1, 1) float64.",
        ),
        (lambda grad_out, x: grad_out.astype(np.float32), "dtype float64, got (2,) float32."),
        (lambda grad_out, x: None, "dtype float64, got NoneType."),
        (lambda grad_out, x: grad_out @ np.ones(3), "mismatch"),
    ],
)
def test_invalid_vjp_result_names_the_line_of_the_forward(vjp, message):
    with debug():
        y = copier("wrong", vjp)(leaf(1.0, 2.0))  # that does not fit
        with pytest.raises((GraphError, ValueError)) as caught:
            y.sum().backward()
    assert message in str(caught.value)
    (note,) = (note for note in caught.value.__notes__ if "was called at" in note)
    assert is_called_at(note, "wrong", "that does not fit")


def test_inf_from_a_kernel_names_the_line_of_the_forward():
    @op(
        "a b",
        vjps={"a": lambda grad_out, b: grad_out * b, "b": lambda grad_out, a: grad_out * a},
        backward=lambda grad_out, a, b: [grad_out * b, grad_out / a],
    )
    def product(a, b):
        return a * b

    with debug():
        y = product(leaf(1.0, 0.0), leaf(2.0, 2.0))  # the product
        with pytest.raises(NotFiniteError) as caught:
            y.sum().backward()
    place, text = line_with("the product")
    assert str(caught.value) == (
        "debug: the backward kernel of op 'product' for input 1 (b) returned inf in 1 of 2 "
        "elements, the first at (1,). The upstream gradient was (2,) float64 from 1 to 1. The op "
        f"was called at {place}test_inf_from_a_kernel_names_the_line_of_the_forward{text}"
    )
    assert caught.value.__notes__ == ["raised in the backward kernel of op 'product'"]


def test_directory_with_the_package_name_as_prefix_is_user_code():
    source = "def run(x):\n    return x.sqrt()\n"
    path = Path(tinygrad_np.__file__).parent
    names = {}
    exec(compile(source, f"{path}_of_mine{os.sep}model.py", "exec"), names)
    with debug(), pytest.raises(NotFiniteError, match=r"_of_mine.model\.py:2, in run"):
        names["run"](Tensor([-1.0]))


# Scope: decorators, threads and nesting.


def test_debug_decorates_recursive_functions():
    @debug()
    def product_of_roots(x):
        root = x.sqrt()  # decorated
        return x if x.item() <= 1 else root * product_of_roots(x - 1)

    assert product_of_roots(Tensor(2.0)).item() == pytest.approx(2**0.5)
    place, text = line_with("decorated")
    with pytest.raises(NotFiniteError, match=re.escape(f"{place}product_of_roots{text}")):
        product_of_roots(Tensor([-4.0]))
    assert this_thread.state.observers == []


def test_observer_entered_twice_sees_each_op_once():
    outer, inner = profile(), profile()
    with outer, inner, outer:
        Tensor(1.0).exp()
    assert [[row.calls for row in table.rows()] for table in (outer, inner)] == [[1], [1]]
    assert this_thread.state.observers == []


def test_decorated_function_runs_on_two_threads():
    """Each thread has its own observers, and they are restored on exit."""
    inside = threading.Event()
    left = []

    @debug()
    def checked(action):
        action()
        with pytest.raises(NotFiniteError):
            Tensor([-1.0]).sqrt()

    def wait():
        inside.set()
        assert leave.wait(10)

    def run():
        checked(wait)
        left.append(this_thread.state.observers)

    def meanwhile():
        leave.set()
        thread.join()

    leave, thread = threading.Event(), threading.Thread(target=run)
    with profile() as table:
        thread.start()
        assert inside.wait(10)
        checked(meanwhile)
    assert left == [[]]
    assert [row.op for row in table.rows()] == ["sqrt"]
    assert this_thread.state.observers == []


def test_debug_works_inside_and_outside_profile():
    for first, second in ((debug(), profile()), (profile(), debug())):
        with first, second:
            y = leaf(4.0, 0.0).sqrt()
            with pytest.raises(NotFiniteError, match=r"VJP of op 'sqrt' .* y = leaf\(4.0, 0.0\)"):
                y.sum().backward()
            with pytest.raises(NotFiniteError, match="op 'log' returned inf"):
                y.log()
        table = first if hasattr(first, "rows") else second
        calls = {row.op: row.calls for row in table.rows()}
        assert (calls["sqrt"], calls["sum"]) == (1, 1)


def test_nested_debug_reports_nodes_of_both():
    broken = copier("broken", fail)
    with debug():
        before = broken(leaf([1.0]))  # before the inner one
        with debug():
            within = broken(leaf([1.0]))  # inside the inner one
            with pytest.raises(KeyError) as caught:
                before.backward()
        with pytest.raises(KeyError) as later:
            within.backward()
    notes = caught.value.__notes__
    assert any(is_called_at(note, "broken", "before the inner one") for note in notes)
    assert is_called_at(later.value.__notes__[-1], "broken", "inside the inner one")


class Watch(Observer):
    """An observer that logs the start and end of each event."""

    def __init__(self, name, seen):
        self.name, self.seen = name, seen

    def note(self, event, call):
        """Log an event before and after `call` runs."""
        self.seen.append(f"{self.name} {event}")
        result = call()
        self.seen.append(f"/{self.name} {event}")
        return result

    def on_forward(self, op, arrays, options, call):
        return self.note(f"forward {op.name}", call)

    def on_record(self, node, call):
        return self.note(f"record {node.op.name}", call)

    def on_gradient(self, node, position, grad_out, call):
        return self.note(f"gradient {node.op.name} {position}", call)

    def on_error(self, node, error, call):
        return self.note(f"{type(error).__name__} {node.op.name}", call)


def test_last_observer_entered_is_outermost():
    seen = []
    once = copier("once", lambda grad_out: grad_out)
    with Watch("first", seen), Watch("second", seen):
        y = once(leaf([1.0]))
        y.backward(np.ones(1))
    events = ["forward once", "record once", "gradient once 0"]
    assert seen == [
        text
        for event in events
        for text in (f"second {event}", f"first {event}", f"/first {event}", f"/second {event}")
    ]


def test_observers_see_kernels_and_errors():
    seen = []
    kernel = copier("kernel", lambda grad_out: grad_out, backward=lambda grad_out: [grad_out * 1])
    broken = copier("broken", lambda grad_out: 1 / 0)
    x = leaf([1.0])
    y, z = kernel(x), broken(x)
    with Watch("a", seen):
        y.backward(np.ones(1), retain_graph=True)
        y.gradient(x, gradient=np.ones(1), create_graph=True)
        with pytest.raises(ZeroDivisionError):
            z.backward(np.ones(1))
    assert seen == [
        *("a gradient kernel -1", "/a gradient kernel -1"),
        *("a gradient kernel 0", "/a gradient kernel 0"),
        *("a gradient broken 0", "a ZeroDivisionError broken", "/a ZeroDivisionError broken"),
    ]


def test_observer_can_replace_a_result():
    class Doubling(Observer):
        def on_forward(self, op, arrays, options, call):
            return call() * 2

    with Doubling():
        assert (Tensor([1.0]) * 3).tolist() == [6.0]
    assert (Tensor([1.0]) * 3).tolist() == [3.0]


def test_exception_restores_the_previous_observers():
    with profile() as table:
        with pytest.raises(KeyError), debug():
            raise KeyError
        assert this_thread.state.observers == [table]
        with np.errstate(invalid="ignore"):
            assert Tensor([-1.0]).sqrt().isnan().item()
    assert this_thread.state.observers == []

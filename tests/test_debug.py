"""debug(): the first nan or inf, or a VJP that fails, names its op and the line that ran it."""

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
    """Return what a message says of the one line of this file that ends in a mark."""
    (number,) = (n for n, line in enumerate(TEXT, 1) if line.endswith(f"# {mark}"))
    return f"{__file__}:{number}, in ", f": {TEXT[number - 1].strip()}"


def is_recorded_at(note, op, mark):
    """Whether a note says that an op was recorded at the line with a mark."""
    place, text = line_with(mark)
    return note.startswith(f"op {op!r} (output (") and (
        f") was recorded at {place}" in note and note.endswith(text)
    )


def copier(name, vjp, **options):
    """Return an op that copies its input."""

    def copy(x):
        return x * 1

    copy.__name__ = name
    return op("x", vjps={"x": vjp}, **options)(copy)


def fail(grad_out):
    """Stand for a faulty VJP."""
    raise KeyError("of mine")


class Logs(nn.Module):
    """A layer that takes logarithms."""

    def forward(self, x):
        """Return the logarithm."""
        return x.log()  # within a module


class Nest(nn.Module):
    """A module within a module."""

    def __init__(self):
        self.body = nn.Sequential(nn.ReLU(), Logs())

    def forward(self, x):
        """Return the body's result."""
        return self.body(x)


# The forward.


def test_nan_names_the_op_its_shapes_and_the_line():
    x = leaf(4.0, -1.0, -9.0)
    with debug(), pytest.raises(NotFiniteError) as caught:
        (x * 1).sqrt()  # the first nan
    place, text = line_with("the first nan")
    assert str(caught.value) == (
        "debug: op 'sqrt' gave nan, 2 of 3 entries, the first at (1,); it got (3,) float64 from -9 "
        f"to 4; at {place}test_nan_names_the_op_its_shapes_and_the_line{text}"
    )
    assert isinstance(caught.value, TinygradNpError)
    assert isinstance(caught.value, ArithmeticError)


@each(
    "function,message",
    [
        (lambda x: x.exp(), r"op 'exp' gave inf, 1 of 2 entries, the first at \(1,\)"),
        (lambda x: 1 / (x - 1), r"op 'div' gave inf.* it got \(\) int64, \(2,\) float"),
        (lambda x: (x - 1).log(), r"op 'log' gave inf, 1 of 2 entries, the first at \(0,\)"),
        (lambda x: x**400, r"op 'pow' gave inf"),
        (lambda x: x.reshape(1, 2).exp().sum(), r"op 'exp' gave inf, .* the first at \(0, 1\)"),
    ],
)
def test_inf_names_the_op_without_numpys_warnings(function, message):
    x = leaf(1.0, 1e30)
    with debug(), pytest.raises(NotFiniteError, match=message):
        function(x)


@each(
    "function,message",
    [
        (
            lambda: leaf(1.0, np.nan) * 2,
            r"'mul' gave nan, 1 of 2 .* it got \(2,\) float64 with nan",
        ),
        (lambda: Tensor([-1.0]).log(), "op 'log' gave nan"),
        (lambda: ops.log(np.array([-1.0])), "op 'log' gave nan"),
        (lambda: Tensor([]).mean(), r"op 'mean' gave nan, .* it got \(0,\) float32; at"),
        (
            lambda: Tensor([[np.nan, 1.0]]).linear(Tensor.ones(3, 2), None),
            r"it got \(1, 2\) \S+ with nan in it, \(3, 2\) (?!.*object)",
        ),
        (
            lambda: leaf([1.0, 2.0]).masked_fill(np.ones((1, 2), bool), -np.inf).softmax(-1),
            r"gave nan, .* it got \(1, \d\) .* with inf",
        ),
    ],
)
def test_the_first_op_that_meets_odd_data_describes_it(function, message):
    with debug(), pytest.raises(NotFiniteError, match=message):
        function()


@pytest.mark.parametrize(("model", "path"), [(Nest(), "body.1"), (Logs(), "Logs")])
def test_the_module_is_named(model, path):
    x = leaf([0.0]) if path == "body.1" else leaf([-1.0])
    place, text = line_with("within a module")
    message = re.escape(f" in module {path}; at {place}forward{text}")
    with debug(), pytest.raises(NotFiniteError, match=f"{message}$"):
        model(x)


def test_masks_of_minus_inf_are_let_pass():
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
def test_ordinary_ops_pass(function):
    with debug():
        found = function()
    assert found.tolist() == function().tolist()


# The backward.


def test_a_vjp_that_gives_inf_names_the_line_of_the_forward():
    x = leaf(4.0, 0.0)
    with debug():
        y = x.sqrt()  # the root
        with pytest.raises(NotFiniteError) as caught:
            (y * 3).sum().backward()
    place, text = line_with("the root")
    assert str(caught.value) == (
        "debug: the VJP of op 'sqrt' for input 0 (x) gave inf, 1 of 2 entries, the first at (1,); "
        "the gradient of its output was (2,) float64 from 3 to 3; the op was recorded at "
        f"{place}test_a_vjp_that_gives_inf_names_the_line_of_the_forward{text}"
    )
    assert caught.value.__notes__ == ["in the VJP for input 0 of op 'sqrt'"]
    assert x.grad is None


def test_a_vjp_in_a_module_names_it():
    odd = copier("odd", lambda grad_out: grad_out * np.nan)

    class Odd(nn.Module):
        def forward(self, x):
            return odd(x)

    with debug():
        out = nn.Sequential(nn.ReLU(), Odd())(leaf([1.0])).sum()
        with pytest.raises(NotFiniteError, match=r"op 'odd' .* return odd\(x\) in module 1\n"):
            out.backward()


def test_what_a_vjp_computes_on_its_way_may_be_anything():
    half = copier("half", lambda grad_out, x: grad_out * ops.exp(ops.log(x)))
    unguarded = copier("unguarded", lambda grad_out, x: grad_out * ops.log(x))
    x = leaf(0.0, 2.0)
    with debug():
        half(x).sum().backward()
        with pytest.raises(NotFiniteError, match=r"^debug: the VJP of op 'unguarded' .* gave inf"):
            unguarded(x).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]


def test_a_definition_that_fails_names_the_line_of_the_forward():
    broken = op("x", definition=fail, differentiable=("x",))(lambda x: x * 1)
    disguised = op("x", definition=ops.sqrt, differentiable=("x",))(lambda x: x * 1)
    with debug():
        y = broken(leaf([1.0]))  # to be defined
        with pytest.raises(KeyError) as caught:
            y.sum().backward()
        z = disguised(leaf([0.0]))  # sqrt in disguise
        with pytest.raises(NotFiniteError, match="VJP of op 'sqrt'") as found:
            z.sum().backward()
    assert is_recorded_at(caught.value.__notes__[-1], "<lambda>", "to be defined")
    assert is_recorded_at(found.value.__notes__[-1], "<lambda>", "sqrt in disguise")


def test_a_second_derivative_that_is_not_finite_names_its_op():
    """x^1.5 has the slope 0 at 0, whose own slope is infinite."""
    x = leaf(4.0, 0.0)
    with debug():
        (slope,) = (x**1.5).sum().gradient(x, create_graph=True)
        assert slope.tolist() == [3.0, 0.0]
        with pytest.raises(NotFiniteError, match="the VJP of op 'pow' for input 0"):
            slope.sum().backward()


def test_inf_that_is_handed_down_or_met_outside_is_let_pass():
    x, y = leaf(1.0, 2.0), leaf([0.0])
    with debug():
        (x * 2).backward(np.array([np.inf, 1.0]))
        root = y.sqrt()
    with np.errstate(divide="ignore"):
        root.backward()
    assert [x.grad.tolist(), y.grad.tolist()] == [[np.inf, 2.0], [np.inf]]


def test_a_forward_outside_is_said_to_be_outside():
    y = leaf([0.0]).sqrt()
    with debug(), pytest.raises(NotFiniteError, match="was recorded at a line outside debug"):
        y.backward()


def test_a_vjp_that_raises_names_the_line_of_the_forward():
    with debug():
        y = copier("wrong", fail)(leaf([1.0]))  # that fails
        with pytest.raises(KeyError, match="of mine") as caught:
            y.sum().backward()
    first, second = caught.value.__notes__
    assert first == "in the VJP for input 0 of op 'wrong'"
    assert is_recorded_at(second, "wrong", "that fails")


@each(
    "vjp,message",
    [
        (
            lambda grad_out, x: grad_out[:1].reshape(1, 1),
            "to be of shape (2,) and dtype float64, got (1, 1) float64",
        ),
        (lambda grad_out, x: grad_out.astype(np.float32), "dtype float64, got (2,) float32"),
        (lambda grad_out, x: None, "dtype float64, got a NoneType"),
        (lambda grad_out, x: grad_out @ np.ones(3), "mismatch"),
    ],
)
def test_a_vjp_that_returns_what_does_not_fit_names_the_line_of_the_forward(vjp, message):
    with debug():
        y = copier("wrong", vjp)(leaf(1.0, 2.0))  # that does not fit
        with pytest.raises((GraphError, ValueError)) as caught:
            y.sum().backward()
    assert message in str(caught.value)
    (note,) = (note for note in caught.value.__notes__ if "recorded" in note)
    assert is_recorded_at(note, "wrong", "that does not fit")


def test_a_kernel_that_gives_inf_names_the_line_of_the_forward():
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
        "debug: the backward kernel of op 'product' for input 1 (b) gave inf, 1 of 2 entries, the "
        "first at (1,); the gradient of its output was (2,) float64 from 1 to 1; the op was "
        f"recorded at {place}test_a_kernel_that_gives_inf_names_the_line_of_the_forward{text}"
    )
    assert caught.value.__notes__ == ["in the backward kernel of op 'product'"]


def test_a_folder_that_begins_like_the_package_is_the_users():
    source = "def run(x):\n    return x.sqrt()\n"
    path = Path(tinygrad_np.__file__).parent
    names = {}
    exec(compile(source, f"{path}_of_mine{os.sep}model.py", "exec"), names)
    with debug(), pytest.raises(NotFiniteError, match=r"_of_mine.model\.py:2, in run"):
        names["run"](Tensor([-1.0]))


# Where it holds.


def test_it_decorates_functions_also_recursive_ones():
    @debug()
    def product_of_roots(x):
        root = x.sqrt()  # decorated
        return x if x.item() <= 1 else root * product_of_roots(x - 1)

    assert product_of_roots(Tensor(2.0)).item() == pytest.approx(2**0.5)
    place, text = line_with("decorated")
    with pytest.raises(NotFiniteError, match=re.escape(f"{place}product_of_roots{text}")):
        product_of_roots(Tensor([-4.0]))
    assert this_thread.state.observers == []


def test_one_that_is_entered_again_within_another_still_sees_each_op_once():
    outer, inner = profile(), profile()
    with outer, inner, outer:
        Tensor(1.0).exp()
    assert [[row.calls for row in table.rows()] for table in (outer, inner)] == [[1], [1]]
    assert this_thread.state.observers == []


def test_a_decorated_function_runs_on_two_threads_at_once():
    """Each is left as it was found, and watched by what was entered there."""
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


def test_it_looks_through_a_profile_inside_and_outside():
    for first, second in ((debug(), profile()), (profile(), debug())):
        with first, second:
            y = leaf(4.0, 0.0).sqrt()
            with pytest.raises(NotFiniteError, match=r"VJP of op 'sqrt' .* y = leaf\(4.0, 0.0\)"):
                y.sum().backward()
            with pytest.raises(NotFiniteError, match="op 'log' gave inf"):
                y.log()
        table = first if hasattr(first, "rows") else second
        calls = {row.op: row.calls for row in table.rows()}
        assert (calls["sqrt"], calls["sum"]) == (1, 1)


def test_one_within_another_tells_it_what_it_sees():
    broken = copier("broken", fail)
    with debug():
        before = broken(leaf([1.0]))  # before the inner one
        with debug():
            within = broken(leaf([1.0]))  # within the inner one
            with pytest.raises(KeyError) as caught:
                before.backward()
        with pytest.raises(KeyError) as later:
            within.backward()
    notes = caught.value.__notes__
    assert any(is_recorded_at(note, "broken", "before the inner one") for note in notes)
    assert is_recorded_at(later.value.__notes__[-1], "broken", "within the inner one")


class Watch(Observer):
    """An observer that notes what it sees, before and after."""

    def __init__(self, name, seen):
        self.name, self.seen = name, seen

    def note(self, event, call):
        """Run a call between two notes."""
        self.seen.append(f"{self.name} {event}")
        result = call()
        self.seen.append(f"/{self.name} {event}")
        return result

    def on_forward(self, op, arrays, options, call):
        """Note a forward."""
        return self.note(f"forward {op.name}", call)

    def on_record(self, node, call):
        """Note a node."""
        return self.note(f"record {node.op.name}", call)

    def on_gradient(self, node, position, grad_out, call):
        """Note a VJP or kernel."""
        return self.note(f"gradient {node.op.name} {position}", call)

    def on_error(self, node, error, call):
        """Note an error."""
        return self.note(f"{type(error).__name__} {node.op.name}", call)


def test_observers_wrap_each_other_the_one_entered_first_innermost():
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


def test_observers_see_a_kernel_as_one_call_and_each_error():
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


def test_what_an_observer_returns_is_what_counts():
    class Doubling(Observer):
        def on_forward(self, op, arrays, options, call):
            return call() * 2

    with Doubling():
        assert (Tensor([1.0]) * 3).tolist() == [6.0]
    assert (Tensor([1.0]) * 3).tolist() == [3.0]


def test_after_an_exception_it_is_off_and_what_was_before_is_on():
    with profile() as table:
        with pytest.raises(KeyError), debug():
            raise KeyError
        assert this_thread.state.observers == [table]
        with np.errstate(invalid="ignore"):
            assert Tensor([-1.0]).sqrt().isnan().item()
    assert this_thread.state.observers == []

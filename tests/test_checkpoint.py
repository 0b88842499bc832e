"""checkpoint(): the same values and gradients as a plain call, with less memory."""

import functools
import gc
import weakref

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each, leaf, normal, rng
from tinygrad_np import Tensor, checkpoint, debug, nn, no_grad, profile, random, viz
from tinygrad_np.autograd.tape import Node
from tinygrad_np.errors import DtypeError, GraphError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.transforms import grad, hessian, jvp


def run_plainly(function, *args):
    """Call `function` without a checkpoint."""
    return function(*args)


def block(x):
    """Apply ops that save many intermediate arrays."""
    return ((x.exp() + 1).log() * x.sin()).tanh()


def nodes_under(tensor):
    """Return the nodes of a graph."""
    seen, waiting = set(), [tensor.node]
    while waiting:
        node = waiting.pop()
        if type(node) is Node and node not in seen:
            seen.add(node)
            waiting += node.edges
    return seen


def saved_bytes(tensor):
    """Return the total size of the distinct arrays that a graph saves for its backward pass."""
    arrays = {}
    for node in nodes_under(tensor):
        call = node.options.get("call")
        args = [a.data for a in call.args if isinstance(a, Tensor)] if call else []
        arrays |= {id(a): a.nbytes for a in (*node.saved, *args) if isinstance(a, np.ndarray)}
    return sum(arrays.values())


# Values and gradients.


def twice(run):
    """Return values and derivatives of a function that calls its middle part with `run`.

    These are the value, and the first and second gradients of an input, a parameter and an
    intermediate result.
    """
    x, weight = leaf(0.3, -0.7, 1.1), leaf(0.5, 2.0, -1.0)
    between = x * x + weight
    inside = run(lambda t: block(t * weight) + between * x.cos(), between * 2)
    out = (inside * inside).sum() + between.sum()
    wanted = x, weight, between
    first = out.gradient(*wanted, create_graph=True)
    second = sum((slope * slope).sum() for slope in first).gradient(*wanted)
    out.backward()
    return [out, *first, *second, x.grad, weight.grad]


def test_values_and_gradients_match_the_plain_call():
    """Covers arguments, and closed-over leaves and results, including a result and its input."""
    found, expected = twice(checkpoint), twice(run_plainly)
    assert len(found) == 9
    assert found[0].tolist() == expected[0].tolist()
    for ours, plain in zip(found, expected, strict=True):
        assert (ours.shape, ours.dtype) == (plain.shape, plain.dtype)
        np.testing.assert_allclose(ours.data, plain.data, rtol=1e-13)


def nested(x):
    """Call a checkpoint on the result of a checkpoint."""
    return checkpoint(block, checkpoint(block, x) * x)


def test_first_and_second_gradients_match_differences():
    points = normal(2, 3)
    gradcheck(lambda x: checkpoint(block, x), [points])
    gradgradcheck(lambda x: checkpoint(block, x), [points])
    gradcheck(lambda x, y: checkpoint(lambda x: block(x) * y, x), [points, points[::-1]])
    for check in (gradcheck, gradgradcheck):
        check(lambda x: checkpoint(nested, x), [points[0, :2]])


def test_transforms_of_a_checkpoint_match_the_plain_call():
    x = Tensor(np.array([0.3, -0.7]))

    def function(run):
        return lambda x: run(block, x).sum()

    for transform in (grad, hessian, lambda f: lambda x: jvp(f)(x, [1.0, 2.0])[1]):
        found, expected = (transform(function(run))(x) for run in (checkpoint, run_plainly))
        assert np.abs(expected.data).max() > 0.1
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-12)


def test_arguments_without_gradient_are_accepted():
    x, constant = leaf(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    out = checkpoint(lambda x, c, n, a: x * c * n + a, x, constant, 2, np.ones(2))
    assert out.tolist() == [7.0, 17.0]
    out.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0]
    assert constant.grad is None


def test_gradient_selects_targets_and_runs_no_other_hooks():
    x, weight, log = leaf([2.0]), leaf([3.0]), []
    out = checkpoint(lambda x: x * x * weight, x)
    handle = x.register_hook(log.append)
    assert out.gradient(weight)[0].item() == 4.0
    handle.remove()
    assert log == []
    assert [slope.item() for slope in out.gradient(x, weight)] == [12.0, 4.0]
    assert x.grad is weight.grad is None


def test_retain_graph_allows_a_second_backward():
    x = leaf(1.0, 2.0)
    out = checkpoint(block, x).sum()
    out.backward(retain_graph=True)
    first = x.grad.data.copy()
    out.backward()
    assert x.grad.tolist() == (2 * first).tolist()
    with pytest.raises(GraphError, match="was freed"):
        out.backward()


@each("function", [lambda x: x, lambda x: Tensor(3.0), lambda x: x.detach()])
def test_result_without_new_nodes_is_returned_unchanged(function):
    x, between = leaf([1.0]), leaf([1.0]) * 2
    out = checkpoint(function, x)
    assert out.requires_grad == function(x).requires_grad
    assert out.node is None
    assert checkpoint(lambda x: x, between) is between
    assert checkpoint(lambda x: between, x) is between


def test_checkpoint_inside_no_grad_is_a_plain_call():
    x = leaf(1.0, 2.0)
    with no_grad():
        out = checkpoint(block, x)
    assert not out.requires_grad
    assert out.tolist() == block(x).tolist()


def test_function_that_returns_no_tensor_raises():
    with pytest.raises(DtypeError, match="expected the function to return a Tensor, got tuple"):
        checkpoint(lambda x: (x, x), leaf([1.0]))


# Memory.


def test_checkpoint_saves_less_memory():
    """Four blocks of eight ops save only their inputs."""

    def saved(run):
        x = Tensor(np.ones(1000), requires_grad=True)
        out = x
        for _ in range(4):
            out = run(block, out)
        return saved_bytes(out), len(nodes_under(out))

    (ours, count), (plain, _) = saved(checkpoint), saved(run_plainly)
    assert count == 4
    assert ours == 4 * 8000
    assert plain > 4 * ours


def test_intermediate_arrays_are_freed():
    x, made = leaf(1.0, 2.0), []

    def function(x):
        hidden = x.exp()
        made.append(weakref.ref(hidden.data))
        return (hidden * hidden).sum()

    gc.disable()
    try:
        out = checkpoint(function, x)
        assert [reference() for reference in made] == [None]
        out.backward()
        assert [reference() for reference in made] == [None, None]
    finally:
        gc.enable()


# Random numbers.


def dropped(x):
    """Apply dropout with the default generator."""
    return x.dropout(0.5) * x


def test_dropout_repeats_its_mask():
    x = Tensor(np.ones(64), requires_grad=True)
    out = checkpoint(dropped, x)
    Tensor.rand(7)
    out.sum().backward()
    assert 0 < np.count_nonzero(out.data) < 64
    assert x.grad.tolist() == (2 * out.data).tolist()


def test_second_run_does_not_advance_the_default_generator():
    def draw(run):
        tinygrad_np.manual_seed(3)
        x = leaf(1.0, 2.0, 3.0)
        out = run(dropped, run(dropped, x))
        first = Tensor.rand(3)
        out.sum().backward()
        return [out.tolist(), first.tolist(), Tensor.rand(3).tolist(), x.grad.tolist()]

    assert draw(checkpoint) == draw(run_plainly)


def test_second_run_does_not_reseed_the_default_generator():
    def seeded(x):
        tinygrad_np.manual_seed(5)
        return dropped(x)

    def draw(run):
        out = run(seeded, leaf(1.0, 2.0, 3.0))
        Tensor.rand(3)
        out.sum().backward()
        return Tensor.rand(3).tolist()

    assert draw(checkpoint) == draw(run_plainly)


def test_failing_backward_restores_the_generator():
    x, runs = leaf(1.0, 2.0), []

    def function(x):
        runs.append(Tensor.rand(2))
        if len(runs) == 2:
            raise KeyError("second run")
        return x * 2

    out = checkpoint(function, x).sum()
    Tensor.rand(3)
    expected = random.state()
    with pytest.raises(KeyError, match="second run"):
        out.backward()
    assert random.state() == expected


class Noise(nn.Module):
    """Draw from its own generator without a function of the package."""

    def __init__(self):
        self.generator = rng(3)

    def forward(self, x):
        return x * self.generator.random(x.shape)


class OwnDropout(nn.Module):
    """Dropout with its own generators, and with the default generator."""

    def __init__(self):
        self.layers = [
            nn.Dropout(0.5, generator=rng(1)),
            nn.Dropout2d(0.5, generator=rng(2)),
            nn.Dropout(0.5),
        ]
        self.linear = nn.Linear(3, 3, generator=rng(0))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.linear(x)


class Average(nn.Module):
    """Buffers that are changed in place, in a list, through `.data`, and by assignment."""

    def __init__(self):
        self.total = Tensor.zeros(3)
        self.parts = [Tensor.zeros(3)]
        self.direct = Tensor.ones(3)
        self.assigned = Tensor.ones(3)
        self.unchanged = Tensor.full((3,), 2.0)

    def forward(self, x):
        scale = self.total + self.parts[0] + self.direct + self.assigned + self.unchanged
        mean = x.detach().mean((0, 2, 3))
        with no_grad():
            self.total[:] = self.total + mean
            self.parts[0][:] = mean
            self.direct.data[...] = (self.direct * mean).data
            self.assigned = self.assigned * 0.5 + mean
        return x * scale.reshape(3, 1, 1)


def norm():
    return nn.BatchNorm2d(3)


def norm_with_mean_of_all():
    return nn.BatchNorm2d(3, momentum=None)


def tracking_instance_norm():
    return nn.InstanceNorm2d(3, track_running_stats=True)


STATEFUL = [Noise, OwnDropout, Average, norm, norm_with_mean_of_all, tracking_instance_norm]


def state_of(model):
    """Return the buffers and the states of the generators in a model, and of the default one."""
    generators = [
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, np.random.Generator)
    ]
    states = [generator.bit_generator.state for generator in generators]
    return {name: a.tolist() for name, a in model.state_dict().items()}, states, random.state()


def outcome(make, run):
    """Return gradients and final state of a model in two calls by `run`."""
    tinygrad_np.manual_seed(4)
    model = make()
    x = Tensor(normal(4, 3, 5, 3).astype(np.float32), requires_grad=True)
    out = run(model, run(model, x) * 2)
    before = state_of(model)
    out.sum().backward()
    return [out.tolist(), x.grad.tolist()], before, state_of(model)


def by_lambda(model, x):
    return checkpoint(lambda x: model(x), x)


def by_method(model, x):
    return checkpoint(model.forward, x)


def by_partial(model, x):
    return checkpoint(functools.partial(lambda model, x: model.forward(x), model), x)


def inside_another(model, x):
    return checkpoint(lambda x: checkpoint(model, checkpoint(lambda x: x + 0, x)) * 1, x)


@each("run", [checkpoint, by_lambda, by_method, by_partial, inside_another])
@each("make", STATEFUL)
def test_buffers_and_generators_end_as_after_one_forward(make, run):
    """After forward and backward, and with the gradients of a plain call."""
    found, expected = outcome(make, run), outcome(make, run_plainly)
    for ours, plain in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)
    assert found[1:] == expected[1:]
    if make is not OwnDropout and make is not Noise:
        assert expected[1][0] != state_of(make())[0]


def test_generator_may_be_an_argument_or_a_variable():
    """It may be used directly, and several calls may share it."""
    x = Tensor(np.ones(64), requires_grad=True)

    def outcome(run):
        x.grad, generator = None, rng(0)
        out = run(lambda x, generator: x * generator.random(64), x, generator)
        out = run(lambda x: x * generator.random(64), out)
        out = run(lambda x: x.dropout(0.5, generator=generator), out)
        generator.random(3)
        out.sum().backward()
        return out.tolist(), x.grad.tolist(), generator.bit_generator.state

    assert outcome(checkpoint) == outcome(run_plainly)


def test_graph_that_saved_a_buffer_stays_valid():
    """The second run must not invalidate arrays that other parts of the graph saved."""
    layer = nn.BatchNorm1d(2)
    x = Tensor(normal(4, 2).astype(np.float32), requires_grad=True)
    out = checkpoint(layer, x).sum() + (x * layer.running_var).sum()
    out.backward()
    np.testing.assert_allclose(x.grad.data, np.tile(layer.running_var.data, (4, 1)), atol=1e-6)


def test_failing_second_run_restores_buffers():
    layer, runs = nn.BatchNorm1d(2), []

    def function(x):
        runs.append(layer(x))
        if len(runs) == 2:
            raise KeyError("second run")
        return runs[0]

    out = checkpoint(function, leaf(normal(4, 2).astype(np.float32))).sum()
    before = state_of(layer)
    with pytest.raises(KeyError, match="second run"):
        out.backward()
    assert state_of(layer) == before


def test_unchanged_buffers_are_not_kept():
    """The graph keeps no copy of buffers that the call does not change."""
    layer = norm().eval()
    out = checkpoint(layer, leaf(normal(1, 3, 2, 2).astype(np.float32)))
    assert out.node.options["call"].before.buffers == {}


def test_drawing_from_an_unknown_generator_raises():
    holder = type("Holder", (), {})()
    holder.generator = rng()
    x = leaf(np.ones(64))
    out = checkpoint(lambda x: x * holder.generator.random(64), x).sum()
    message = (
        "checkpoint: expected <lambda> to return the same result when it runs again .*, got a "
        "different one. Random numbers must come from .* an argument or a variable"
    )
    with pytest.raises(GraphError, match=message):
        out.backward()


# Changes between the forward and the backward pass.


@each(
    "values,function",
    [
        ((1.0, 2.0), lambda x, other: block(x)),
        # The result would not change: 0 times anything is 0.
        ((0.0, 0.0), lambda x, other: x * other),
    ],
)
def test_argument_changed_in_place_raises(values, function):
    for position, other in ((0, 3.0), (1, 4.0)):
        args = leaf(*values), Tensor([other, other])
        out = checkpoint(function, *args).sum()
        with no_grad():
            args[position][0] = 5.0
        with pytest.raises(GraphError, match=r"op 'checkpointed_call' .* changed in place"):
            out.backward()


def test_parameter_changed_in_place_raises():
    x, weight = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = checkpoint(lambda x: x * weight, x).sum()
    with no_grad():
        weight[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'checkpointed_call' .* changed in place"):
        out.backward()


def test_different_second_result_raises():
    x, scales = leaf(1.0, 2.0), [2.0, 3.0]
    out = checkpoint(lambda x: x * scales.pop(), x).sum()
    with pytest.raises(GraphError, match="to return the same result when it runs again"):
        out.backward()


def test_view_result_tracks_changes_of_its_argument():
    x = leaf(1.0, 2.0)
    view = checkpoint(lambda x: x.reshape(2, 1), x)
    out = (view * view).sum()
    with no_grad():
        x[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'mul' .* was changed in place"):
        out.gradient(view)


def test_nan_results_compare_equal():
    x = leaf(-1.0, 4.0)
    with np.errstate(invalid="ignore"):
        out = checkpoint(Tensor.sqrt, x)
        out.backward(np.array([0.0, 1.0]))
    assert x.grad.data[1] == 0.25


# With debug, profile and viz.


def test_debug_names_the_line_of_a_failing_checkpoint():
    scales = [2.0, 3.0]
    with debug():
        out = checkpoint(lambda x: x * scales.pop(), leaf([1.0]))  # that line
        with pytest.raises(GraphError, match="to return the same result") as caught:
            out.sum().backward()
    (note,) = caught.value.__notes__
    assert note.startswith("op 'checkpointed_call' (output shape (1,)) was called at ")
    assert note.endswith("# that line")


def test_checkpoint_belongs_to_the_calling_module():
    class Model(nn.Module):
        def __init__(self):
            self.body = nn.Sequential(nn.Linear(2, 2))

        def forward(self, x):
            return checkpoint(self.body, x)

    model = nn.Sequential(nn.ReLU(), Model())
    out = model(Tensor.ones(1, 2))
    assert out.node.scope.path == "1"
    assert "checkpoint" in viz.draw(out, level="op").source


def test_debug_and_profile_see_the_second_run():
    x = leaf(4.0, 0.0)
    with profile() as table:
        checkpoint(lambda x: x.exp() + 1, x).sum().backward()
    rows = {row.op: row for row in table.rows()}
    assert (rows["exp"].calls, rows["exp"].backward_calls) == (2, 1)
    with debug():
        out = checkpoint(lambda x: x.sqrt() + 1, x).sum()  # the line
        with pytest.raises(ArithmeticError, match=r"VJP of op 'sqrt' .*: out = .* # the line"):
            out.backward()


def test_result_can_be_changed_in_place():
    x = leaf(1.0, 2.0)
    y = checkpoint(lambda x: x * x, x)
    y *= 3
    y[0] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 12.0]

"""Optimizers against their formulas, their groups and state, and what they refuse."""

import copy
import functools
import math
import re

import numpy as np
import pytest

from tests.optim.tools import assert_close, assert_equal
from tests.tools import each
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, GraphError, ShapeError

STEPS = 10


SHAPES = [(3, 4), (4,), (1,), ()]


def weights():
    """Return float64 arrays, the same in each call."""
    generator = np.random.default_rng(0)
    return [np.asarray(generator.standard_normal(shape)) for shape in SHAPES]


@functools.cache
def gradients(step):
    """Return the gradients of a step, one for each of `weights`; they are read-only."""
    generator = np.random.default_rng([1, step])
    grads = [np.asarray(generator.standard_normal(shape)) for shape in SHAPES]
    for grad in grads:
        grad.flags.writeable = False
    return grads


def parameters(dtype=np.float64):
    """Return `weights` as parameters."""
    return [nn.Parameter(array.astype(dtype)) for array in weights()]


def run(optimizer, steps=STEPS, first=0):
    """Take steps by the gradients of their numbers."""
    for step in range(first, first + steps):
        own = [p for group in optimizer.param_groups for p in group["params"]]
        for parameter, grad in zip(own, gradients(step), strict=True):
            parameter.grad = Tensor(grad.astype(parameter.dtype))
        optimizer.step()


def arrays_of(params):
    """Return copies of the arrays."""
    return [parameter.numpy().copy() for parameter in params]


def one(**options):
    """Return a parameter, with a name if one is given, and a gradient unless grad=None."""
    parameter = nn.Parameter(np.array([1.0, 2.0]))
    parameter.name = options.get("name", "")
    parameter.grad = options.get("grad", Tensor(np.array([1.0, 1.0])))
    return parameter


# The formulas.


def sgd_by_hand(w, grads, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """Return a parameter after the steps of SGD from `w`."""
    v = None
    for g in grads:
        g = g + weight_decay * w
        v = g if v is None else momentum * v + (1 - dampening) * g
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def decay(w, g, lr, weight_decay=0.0, decoupled_weight_decay=False):
    """Return a parameter and its gradient, one of them with weight decay."""
    return (w - lr * weight_decay * w, g) if decoupled_weight_decay else (w, g + weight_decay * w)


def adam_by_hand(w, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, **decays):
    """Return a parameter after the steps of Adam from `w`."""
    m, v, largest = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        w, g = decay(w, g, lr, **decays)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v)
        second = largest if amsgrad else v
        corrected_m, corrected_v = m / (1 - betas[0] ** t), second / (1 - betas[1] ** t)
        w = w - lr * corrected_m / (np.sqrt(corrected_v) + eps)
    return w


def adamw_by_hand(w, grads, weight_decay=0.01, **options):
    """Return a parameter after the steps of AdamW from `w`."""
    options |= {"weight_decay": weight_decay, "decoupled_weight_decay": True}
    return adam_by_hand(w, grads, **options)


def nadam_by_hand(w, grads, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3, **decays):
    """Return a parameter after the steps of NAdam from `w`."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, len(grads) + 2)]
    for t, g in enumerate(grads, 1):
        w, g = decay(w, g, lr, **decays)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        ahead = mu[t] * m / (1 - math.prod(mu[: t + 1]))
        ahead += (1 - mu[t - 1]) * g / (1 - math.prod(mu[:t]))
        w = w - lr * ahead / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def rmsprop_by_hand(
    w, grads, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False
):
    """Return a parameter after the steps of RMSprop from `w`."""
    m, v, b = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for g in grads:
        g = g + weight_decay * w
        v = alpha * v + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - m**2 if centered else v) + eps)
        w = w - lr * b
    return w


def adagrad_by_hand(
    w, grads, lr=0.01, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10
):
    """Return a parameter after the steps of Adagrad from `w`."""
    total = np.full_like(w, initial_accumulator_value)
    for step, g in enumerate(grads):
        g = g + weight_decay * w
        total = total + g**2
        w = w - lr / (1 + step * lr_decay) * g / (np.sqrt(total) + eps)
    return w


def adadelta_by_hand(w, grads, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    """Return a parameter after the steps of Adadelta from `w`."""
    u, v = np.zeros_like(w), np.zeros_like(w)
    for g in grads:
        g = g + weight_decay * w
        v = rho * v + (1 - rho) * g**2
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta**2
        w = w - lr * delta
    return w


def lamb_by_hand(w, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
    """Return a parameter after the steps of LAMB from `w`: You et al. 2020, algorithm 2."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        r = (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        r = r + weight_decay * w
        w = w - lr * np.sqrt((w**2).sum()) / np.sqrt((r**2).sum()) * r
    return w


BY_HAND = {
    optim.SGD: sgd_by_hand,
    optim.Adam: adam_by_hand,
    optim.AdamW: adamw_by_hand,
    optim.NAdam: nadam_by_hand,
    optim.RMSprop: rmsprop_by_hand,
    optim.Adagrad: adagrad_by_hand,
    optim.Adadelta: adadelta_by_hand,
    optim.LAMB: lamb_by_hand,
}
EACH = each("kind", BY_HAND)
OPTIONS = {
    optim.SGD: [
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.4},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.3},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.3},
        {"lr": 0.0, "momentum": 0.9},
    ],
    optim.Adam: [
        {},
        {"lr": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.7)},
        {"lr": 0.1, "betas": (0.0, 0.0)},
        {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.3},
        {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.7)},
        {"lr": 0.1, "decoupled_weight_decay": True, "weight_decay": 0.3},
    ],
    optim.AdamW: [
        {},
        {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.3},
        {"lr": 0.1, "weight_decay": 0.0},
        {"lr": 0.1, "betas": (0.5, 0.7), "amsgrad": True, "eps": 0.1},
    ],
    optim.NAdam: [
        {},
        {"lr": 0.1, "betas": (0.5, 0.7)},
        {"lr": 0.1, "momentum_decay": 0.5, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True},
    ],
    optim.RMSprop: [
        {},
        {"lr": 0.1, "alpha": 0.7, "eps": 0.1},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3},
        {"lr": 0.01, "alpha": 0.7, "centered": True},
        {"lr": 0.01, "alpha": 0.7, "centered": True, "momentum": 0.5, "weight_decay": 0.3},
    ],
    optim.Adagrad: [
        {},
        {"lr": 0.1, "lr_decay": 0.2},
        {"lr": 0.1, "weight_decay": 0.3, "eps": 0.1},
        {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.3, "initial_accumulator_value": 0.5},
    ],
    optim.Adadelta: [{}, {"lr": 0.5, "rho": 0.7}, {"eps": 0.01, "weight_decay": 0.3}],
    optim.LAMB: [
        {},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3},
        {"lr": 0.1, "weight_decay": 0.0},
        {"lr": 0.1, "weight_decay": 0.3},
    ],
}


def expected_of(kind, options):
    """Return each of `weights` after ten steps of the formula, with its own one of the options."""
    grads = zip(*map(gradients, range(STEPS)), strict=True)
    parts = zip(weights(), grads, options, strict=True)
    return [BY_HAND[kind](w, g, **own) for w, g, own in parts]


@each(("kind", "options"), [(kind, own) for kind in BY_HAND for own in OPTIONS[kind]])
@pytest.mark.usefixtures("dirty_memory")
def test_formula(kind, options):
    """Ten steps are those of the formula, whatever was in the memory of scratch arrays."""
    expected = expected_of(kind, [options] * len(SHAPES))
    params, halves = parameters(), parameters(np.float32)
    optimizer = kind(params, **options)
    run(optimizer)
    assert_close(arrays_of(params), expected)
    values = [value for state in optimizer.state for value in state.values()]
    assert all(isinstance(value, np.ndarray | int | float) for value in values)
    # float32 parameters stay float32, in the same arrays.
    before = [parameter.data for parameter in halves]
    run(kind(halves, **options))
    for parameter, array, values in zip(halves, before, expected, strict=True):
        assert parameter.data is array
        assert parameter.dtype == np.float32
        np.testing.assert_allclose(array, values, rtol=1e-4, atol=1e-5)


BETAS = {"betas": (0.9, 0.999), "eps": 1e-8}
ADAM = {"lr": 0.001, **BETAS, "amsgrad": False, "decoupled_weight_decay": False}
RMSPROP = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False}
ADAGRAD = {"lr": 0.01, "lr_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10}


@each(
    ("kind", "options"),
    [
        (optim.SGD, {"lr": 0.001, "momentum": 0.0, "dampening": 0.0, "nesterov": False}),
        (optim.Adam, ADAM),
        (optim.AdamW, ADAM | {"weight_decay": 0.01, "decoupled_weight_decay": True}),
        (
            optim.NAdam,
            BETAS | {"lr": 2e-3, "momentum_decay": 4e-3, "decoupled_weight_decay": False},
        ),
        (optim.RMSprop, RMSPROP),
        (optim.Adagrad, ADAGRAD),
        (optim.Adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
        (optim.LAMB, BETAS | {"lr": 0.001, "eps": 1e-6, "weight_decay": 0.01}),
    ],
)
def test_default_options(kind, options):
    """Defaults are PyTorch's, and for LAMB those of its paper's experiments; else no decay."""
    expected = {"weight_decay": 0.0, **options, "params": 1}
    assert kind([one()]).state_dict()["param_groups"] == [expected]


# Parameters and groups.


@each(
    ("kind", "options"),
    [
        (optim.SGD, [{"weight_decay": 0.3}, {"lr": 0.2, "momentum": 0.5}, {}, {"momentum": 0.9}]),
        (optim.Adam, [{"weight_decay": 1}, {"betas": (0.5, 0.7)}, {"eps": 0.1}, {"amsgrad": True}]),
        (optim.AdamW, [{"weight_decay": 0.3}, {"lr": 0.2}, {"eps": 0.1}, {}]),
        (optim.NAdam, [{"weight_decay": 0.3}, {"momentum_decay": 0.1}, {}, {}]),
        (optim.RMSprop, [{"weight_decay": 0.3}, {"alpha": 0.5}, {"momentum": 0.5}, {"lr": 0.2}]),
        (
            optim.Adagrad,
            [{"weight_decay": 0.3}, {"lr_decay": 0.5}, {"initial_accumulator_value": 1.0}, {}],
        ),
        (optim.Adadelta, [{"weight_decay": 0.3}, {"rho": 0.5}, {"lr": 2.0}, {}]),
        (optim.LAMB, [{"weight_decay": 0.0}, {"lr": 0.2}, {"eps": 0.1}, {}]),
    ],
)
def test_groups(kind, options):
    """A group has options of its own, and else the optimizer's."""
    params = parameters()
    run(kind([{"params": [p], **own} for p, own in zip(params, options, strict=True)], lr=0.1))
    assert_close(arrays_of(params), expected_of(kind, [{"lr": 0.1, **own} for own in options]))


def test_lr_can_be_changed():
    """A schedule changes a group's lr between steps."""
    parameter = one()
    optimizer = optim.SGD([parameter], lr=1.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 10.0
    optimizer.step()
    assert parameter.tolist() == [1 - 11, 2 - 11]


def test_named_parameters():
    """Parameters may come as pairs with their names, in a group too."""
    layer = nn.Linear(2, 1)
    for params in (layer.named_parameters(), [{"params": layer.named_parameters()}]):
        group = optim.SGD(params).param_groups[0]
        assert [id(p) for p in group["params"]] == [id(layer.weight), id(layer.bias)]


def test_plain_tensors():
    """Any leaf will do, not only Parameters."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    optim.SGD([x], lr=0.25).step()
    assert x.tolist() == [0.5, 1.0]


@EACH
def test_frozen_parameters(kind):
    """They stay, whatever gradient they have, with weight decay too; thawed they are trained."""
    frozen, without, odd, free = one(), one(grad=None), one(grad=Tensor(np.ones(3))), one()
    for parameter in (frozen, without, odd):
        parameter.requires_grad = False
    groups = [{"params": [frozen, without]}, {"params": [odd, free]}]
    optimizer = kind(groups, lr=0.1, weight_decay=0.5)
    optimizer.step()
    assert frozen.tolist() == without.tolist() == odd.tolist() == [1.0, 2.0] != free.tolist()
    frozen.requires_grad = True
    optimizer.step()
    assert frozen.tolist() != [1.0, 2.0]
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in (frozen, odd, free))


@EACH
def test_gradient_is_only_read(kind):
    """A gradient stays as it is, and need not be writable, nor contiguous."""
    array = np.arange(6.0).reshape(3, 2).T
    array.flags.writeable = False
    params = [nn.Parameter(np.ones((2, 3))) for _ in range(2)]
    for parameter, grad in zip(params, (array, array.copy()), strict=True):
        parameter.grad = Tensor.from_numpy(grad)
        optimizer = kind([parameter], lr=0.1, weight_decay=0.5)
        for _ in range(3):
            optimizer.step()
        np.testing.assert_array_equal(grad, array)
    assert_equal(*([parameter.numpy()] for parameter in params))


def test_momentum_keeps_its_own_memory():
    """A gradient that is changed after a step does not change the momentum."""
    parameter = one()
    optimizer = optim.SGD([parameter], lr=1.0, momentum=0.5)
    optimizer.step()  # v = 1, w = 0 and 1
    parameter.grad.data[...] = 0
    optimizer.step()  # v = 0.5
    assert parameter.tolist() == [-0.5, 0.5]


def test_large_parameters():
    """Arrays that come out of the pool of recycled memory give the same numbers."""
    start, grad = (np.random.default_rng(n).standard_normal((300, 200)) for n in (0, 1))
    parameter = nn.Parameter(start)
    parameter.grad = Tensor(grad)
    optimizer = optim.SGD([parameter], lr=0.1, momentum=0.5, nesterov=True)
    optimizer.step()
    optimizer.step()
    expected = start - 0.1 * 1.5 * grad - 0.1 * (grad + 0.5 * 1.5 * grad)
    assert_close([parameter.numpy()], [expected])


# Missing gradients.


@EACH
def test_missing_gradient_is_named(kind):
    """A parameter without a gradient is an error with its path, its shape and what to do."""
    block = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    optimizer = kind(block.parameters())
    block[0](Tensor.ones(1, 3)).sum().backward()
    words = (
        r"parameter 1.weight, of shape \(1, 2\), has no grad.*backward\(\).*requires_grad = False"
    )
    with pytest.raises(GraphError, match=rf"^{kind.__name__}.step: {words}"):
        optimizer.step()


@pytest.mark.parametrize("tensor", [one(grad=None), Tensor([1.0], requires_grad=True)])
def test_missing_gradient_of_the_nameless(tensor):
    """Without a path the position is named."""
    with pytest.raises(GraphError, match=r"parameter 2, of shape"):
        optim.SGD([one(), one(), tensor]).step()


@EACH
def test_missing_gradient_changes_nothing(kind):
    """Parameters that come before the one without a gradient are not changed, nor their state."""
    first, last = one(), one()
    optimizer = kind([{"params": [first]}, {"params": [last]}], lr=0.1)
    optimizer.step()
    values, state = arrays_of([first, last]), optimizer.state_dict()
    last.grad = None
    with pytest.raises(GraphError):
        optimizer.step()
    assert_equal(arrays_of([first, last]), values)
    assert repr(optimizer.state_dict()) == repr(state)


# Gradients that do not fit.


@pytest.mark.slow
@EACH
@each(
    ("grad", "words"),
    [
        (np.ones(3), "a gradient of shape (3,), float64, expected its own (2,), float64"),
        (np.ones((2, 1)), "a gradient of shape (2, 1), float64, expected its own (2,)"),
        (np.ones(()), "a gradient of shape (), float64, expected its own (2,), float64"),
        (np.ones(2, np.float32), "a gradient of shape (2,), float32, expected its own (2,), float"),
        (np.ones(2, int), "a gradient of shape (2,), int64, expected its own (2,), float64"),
    ],
)
def test_gradient_is_checked(kind, grad, words):
    """A gradient has its parameter's shape and dtype; else it is named and nothing is changed."""
    first, last = one(), one(name="fc.bias", grad=Tensor(grad))
    optimizer = kind([{"params": [first]}, {"params": [last]}], lr=0.1, weight_decay=0.5)
    with pytest.raises(ShapeError, match=re.escape(f".step: parameter fc.bias has {words}")):
        optimizer.step()
    assert first.tolist() == last.tolist() == [1.0, 2.0]
    assert optimizer.state == [{}, {}]


# Graphs that a step makes stale.


@EACH
def test_step_makes_graphs_stale(kind):
    """A graph that saved a weight from before the step refuses its backward: no wrong number."""
    parameter = one()
    loss = (parameter * parameter).sum()
    kind([parameter], lr=0.1).step()
    with pytest.raises(GraphError, match=r"op 'mul' .* changed in place"):
        loss.backward()


def test_step_spares_other_graphs():
    """A graph that saved none of the weights goes on."""
    parameter = one(grad=None)
    loss = (parameter + 1).sum()
    parameter.grad = Tensor(np.zeros(2))
    optim.SGD([parameter], lr=0.1).step()
    loss.backward()
    assert parameter.grad.tolist() == [1.0, 1.0]


def test_step_spares_frozen_graphs():
    """A frozen weight is not changed: a graph that saved it goes on."""
    frozen, free = one(), one()
    frozen.requires_grad = False
    x = Tensor(np.ones(2), requires_grad=True)
    loss = (x * frozen).sum()
    optim.SGD([frozen, free]).step()
    loss.backward()
    assert x.grad.tolist() == [1.0, 2.0]


# What is refused.


def grouped(*params, **options):
    """Return a group."""
    return {"params": list(params), **options}


@EACH
@each(
    ("params", "words"),
    [
        (list, "got no parameters; give model.parameters()"),
        (lambda: nn.ReLU().parameters(), "got no parameters"),
        (lambda: [one()] * 2, "parameter 1 was given twice"),
        (lambda: [one(name="fc.bias")] * 2, "parameter fc.bias was given twice"),
        (lambda: [grouped(one(name="fc.bias"))] * 2, "parameter fc.bias was given twice"),
        (lambda: nn.Linear(2, 1), "got a Linear, expected several tensors, as of model.param"),
        (one, "got a Parameter, expected several tensors, as of model.parameters(), or groups"),
        (lambda: [one() * 2], "got Tensor as a parameter, expected leaf Tensors"),
        (lambda: [np.ones(2)], "got ndarray as a parameter, expected leaf Tensors"),
        (lambda: ["weight"], "got str as a parameter"),
        (lambda: [("weight", 1.0)], "got float as a parameter"),
        (lambda: [one(), grouped(one())], "got dict as a parameter"),
        (lambda: [grouped(one()), one()], 'got Parameter, expected a group with "params"'),
        (lambda: [{"lr": 0.1}], 'got dict, expected a group with "params"'),
        (lambda: [grouped(one(), b=1, a=2)], "unknown options ['a', 'b'] in a group, expected ['"),
    ],
)
def test_parameters_are_checked(kind, params, words):
    """What cannot be optimized is refused at once."""
    with pytest.raises(ArgumentError, match=f"^{kind.__name__}: {re.escape(words)}"):
        kind(params())


@each(
    ("kind", "options", "words"),
    [
        (optim.SGD, {"lr": -0.1}, "SGD lr: got -0.1, expected a finite number of at least 0"),
        (optim.SGD, {"lr": math.nan}, "SGD lr: got nan"),
        (optim.SGD, {"momentum": -0.5}, "SGD momentum: got -0.5"),
        (optim.SGD, {"momentum": math.nan}, "SGD momentum: got nan"),
        (optim.SGD, {"dampening": -0.5}, "SGD dampening: got -0.5"),
        (optim.SGD, {"weight_decay": -1}, "SGD weight_decay: got -1"),
        (optim.SGD, {"lr": math.inf}, "SGD lr: got inf"),
        (optim.SGD, {"lr": "0.1"}, "SGD lr: got '0.1'"),
        (optim.SGD, {"lr": None}, "SGD lr: got None"),
        (optim.SGD, {"nesterov": True}, "expected a momentum above 0 and no dampening"),
        (optim.SGD, {"nesterov": True, "momentum": 1, "dampening": 0.1}, "SGD nesterov: expected"),
        (optim.Adam, {"lr": -0.1}, "Adam lr: got -0.1, expected a finite number of at least 0"),
        (optim.Adam, {"lr": math.nan}, "Adam lr: got nan"),
        (optim.Adam, {"eps": -1e-8}, "Adam eps: got -1e-08"),
        (optim.Adam, {"weight_decay": -1}, "Adam weight_decay: got -1"),
        (optim.Adam, {"betas": (1.0, 0.9)}, "Adam betas: got (1.0, 0.9), expected two numbers"),
        (optim.Adam, {"betas": (0.9, 1.0)}, "Adam betas: got (0.9, 1.0)"),
        (optim.Adam, {"betas": (-0.1, 0.9)}, "Adam betas: got (-0.1, 0.9)"),
        (optim.Adam, {"betas": (0.9, math.nan)}, "Adam betas: got (0.9, nan)"),
        (optim.Adam, {"betas": 0.9}, "Adam betas: got 0.9, expected two numbers"),
        (optim.Adam, {"betas": (0.9,)}, "Adam betas: got (0.9,), expected two numbers"),
        (optim.Adam, {"betas": (0.9, 0.9, 0.9)}, "Adam betas: got (0.9, 0.9, 0.9), expected two"),
        (optim.AdamW, {"eps": -1}, "AdamW eps: got -1"),
        (optim.AdamW, {"betas": (1.0, 0.9)}, "AdamW betas: got (1.0, 0.9)"),
        (optim.NAdam, {"momentum_decay": -1}, "NAdam momentum_decay: got -1"),
        (optim.NAdam, {"weight_decay": -1}, "NAdam weight_decay: got -1"),
        (optim.NAdam, {"betas": (0.9, 1.0)}, "NAdam betas: got (0.9, 1.0)"),
        (optim.RMSprop, {"momentum": -1}, "RMSprop momentum: got -1"),
        (optim.RMSprop, {"alpha": 1.5}, "RMSprop alpha: got 1.5, expected a number from 0 to 1"),
        (optim.RMSprop, {"alpha": math.nan}, "RMSprop alpha: got nan, expected a number from"),
        (optim.RMSprop, {"alpha": "a"}, "RMSprop alpha: got 'a', expected a number from 0 to 1"),
        (optim.RMSprop, {"eps": math.inf}, "RMSprop eps: got inf"),
        (optim.Adagrad, {"lr_decay": -1}, "Adagrad lr_decay: got -1"),
        (optim.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value: got -1"),
        (optim.Adadelta, {"rho": -0.1}, "Adadelta rho: got -0.1, expected a number from 0 to 1"),
        (optim.Adadelta, {"eps": -1}, "Adadelta eps: got -1"),
        (optim.LAMB, {"lr": -1}, "LAMB lr: got -1"),
        (optim.LAMB, {"betas": 0.9}, "LAMB betas: got 0.9, expected two numbers"),
    ],
)
def test_options_are_checked(kind, options, words):
    """An option out of range is refused with its name and value: alone, in a group, and in a state
    dict, which then changes nothing.
    """
    with pytest.raises(ArgumentError, match=re.escape(words)):
        kind([one()], **options)
    with pytest.raises(ArgumentError, match=re.escape(words)):
        kind([grouped(one()), grouped(one(), **options)])
    groups = [grouped(one()), grouped(one())]
    optimizer = kind(groups, lr=0.1)
    optimizer.step()
    before, state = repr(optimizer.state_dict()), kind(groups, lr=0.2).state_dict()
    state["param_groups"][1] |= options
    with pytest.raises(ArgumentError, match=re.escape(words)):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before


@EACH
def test_options_of_a_group_replace_the_defaults(kind):
    """An option is checked with those that it is used with: a group's own with the defaults."""
    optimizer = kind([{"params": [one()], "lr": 0.0}], lr=0.1)
    assert optimizer.param_groups[0]["lr"] == 0.0
    with pytest.raises(ArgumentError, match="SGD nesterov: expected a momentum above 0"):
        optim.SGD([{"params": [one()], "momentum": 0.0}], momentum=0.9, nesterov=True)


# State dicts.


STATEFUL = each(
    ("kind", "options"),
    [
        (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.3}),
        (optim.Adam, {"lr": 0.1, "weight_decay": 0.3}),
        (optim.Adam, {"lr": 0.1, "amsgrad": True}),
        (optim.AdamW, {"lr": 0.1, "weight_decay": 0.3}),
        (optim.NAdam, {"lr": 0.1, "weight_decay": 0.3}),
        (optim.RMSprop, {"lr": 0.1, "momentum": 0.9, "centered": True, "alpha": 0.9}),
        (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1}),
        (optim.Adadelta, {"lr": 0.1, "weight_decay": 0.3}),
        (optim.LAMB, {"lr": 0.1}),
    ],
)


@STATEFUL
@each("dtype", [np.float32, np.float64])
def test_going_on_from_a_state_dict(kind, options, dtype):
    """A new optimizer with the old one's state goes on with the same bits."""
    params = parameters(dtype)
    whole = kind(params, **options)
    run(whole, 5)
    state, others = whole.state_dict(), [nn.Parameter(array) for array in arrays_of(params)]
    run(whole, 5, first=5)
    resumed = kind(others)
    resumed.load_state_dict(state)
    run(resumed, 5, first=5)
    assert_equal(arrays_of(others), arrays_of(params))


@STATEFUL
def test_state_dict_has_the_options(kind, options):
    """A state dict has each group's options, and for its parameters their number."""
    groups = [{"params": [one(), one()]}, {"params": [one()], "lr": 0.5}]
    first, second = kind(groups, **options).state_dict()["param_groups"]
    assert (options | {"params": 2}).items() <= first.items()
    assert (options | {"params": 1, "lr": 0.5}).items() <= second.items()


@STATEFUL
def test_going_on_from_a_copy(kind, options):
    """A deep copy of parameters and optimizer, taken in mid-run, goes on with the same bits."""
    params = parameters()
    optimizer = kind(params, **options)
    run(optimizer, 5)
    copied, others = copy.deepcopy((optimizer, params))
    run(optimizer, 5, first=5)
    run(copied, 5, first=5)
    assert_equal(arrays_of(others), arrays_of(params))
    assert all(a is not b for a, b in zip(params, others, strict=True))


@STATEFUL
def test_state_dict_copies(kind, options):
    """Steps do not change a state dict taken before, nor what it was loaded from."""
    optimizer = kind(parameters(), **options)
    run(optimizer, 2)
    state = optimizer.state_dict()
    before = copy.deepcopy(state)
    other = kind(parameters(), **options)
    other.load_state_dict(state)
    run(optimizer, 2)
    run(other, 2)
    assert repr(state) == repr(before)


@STATEFUL
def test_state_dict_of_a_new_optimizer(kind, options):
    """Before the first step there is no state; loading that starts afresh."""
    optimizer = kind(parameters(), **options)
    fresh = optimizer.state_dict()
    assert fresh["state"] == [{}] * len(SHAPES)
    run(optimizer, 2)
    assert all(optimizer.state_dict()["state"])
    optimizer.load_state_dict(fresh)
    assert optimizer.state_dict()["state"] == [{}] * len(SHAPES)


def test_state_of_frozen_parameters():
    """State goes by position, so that a frozen parameter between others does no harm."""

    def optimizer():
        params = parameters()
        params[1].requires_grad = False
        return optim.SGD(params, lr=0.1, momentum=0.9)

    one_way, resumed = optimizer(), optimizer()
    run(one_way, 3)
    state = one_way.state_dict()
    assert [bool(values) for values in state["state"]] == [True, False, True, True]
    resumed.load_state_dict(state)
    assert repr(resumed.state_dict()) == repr(state)


@each(
    "state",
    [
        optim.SGD([grouped(one()), grouped(one())]).state_dict(),
        optim.SGD([grouped(one(), one()), grouped(one())]).state_dict(),
        optim.SGD([grouped(one()), grouped(one(), one())]).state_dict() | {"state": [{}]},
        optim.SGD([one(), one(), one()]).state_dict(),
        optim.Adam([grouped(one()), grouped(one(), one())]).state_dict(),
    ],
)
def test_loading_of_another_optimizer(state):
    """The state of another optimizer, or of other groups, is refused, and nothing is changed."""
    optimizer = optim.SGD([{"params": [one()]}, {"params": [one(), one()]}], lr=0.1, momentum=0.9)
    optimizer.step()
    before = repr(optimizer.state_dict())
    words = "this state is of another optimizer, or of other groups of parameters"
    with pytest.raises(ArgumentError, match=f"^SGD.load_state_dict: {words}"):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before


@EACH
def test_loading_what_is_no_state(kind):
    """The state dict of a model is told by its names."""
    words = re.escape(".load_state_dict: got ['bias', 'weight'], expected state and param_groups")
    with pytest.raises(ArgumentError, match=f"^{kind.__name__}{words}"):
        kind([one()]).load_state_dict(nn.Linear(2, 1).state_dict())


def test_loading_another_shape():
    """State of another shape is refused, with both shapes, and nothing is changed."""
    larger = optim.SGD(parameters(), lr=0.5, momentum=0.9)
    run(larger, 1)
    optimizer = optim.SGD(parameters()[::-1], lr=0.1)
    words = re.escape("momentum_buffer of parameter 0 has shape (3, 4), expected ()")
    with pytest.raises(ShapeError, match=words):
        optimizer.load_state_dict(larger.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state_dict()["state"] == [{}] * len(SHAPES)


@EACH
def test_loading_of_each_other_optimizer(kind):
    """No optimizer takes another's state, but Adam takes AdamW's: one class with an option."""
    for other in BY_HAND:
        optimizer, state = kind([one()]), other([one()], lr=0.3).state_dict()
        if other is kind or (kind, other) == (optim.Adam, optim.AdamW):
            optimizer.load_state_dict(state)
            assert optimizer.param_groups[0]["lr"] == 0.3
        else:
            with pytest.raises(ArgumentError, match=f"^{kind.__name__}"):
                optimizer.load_state_dict(state)
            assert optimizer.param_groups[0]["lr"] != 0.3


# What single ones promise beyond their formulas.


def test_adamw_is_not_adam():
    """AdamW refuses decay within the gradient, from a group or from Adam's state."""
    words = "^AdamW decoupled_weight_decay: got False, expected True"
    with pytest.raises(ArgumentError, match=words):
        optim.AdamW([{"params": [one()], "decoupled_weight_decay": False}])
    with pytest.raises(ArgumentError, match=words):
        optim.AdamW([one()]).load_state_dict(optim.Adam([one()]).state_dict())


@pytest.mark.parametrize("grad", [[1.0, -2.0], [0.0, 0.0]])
def test_lamb_starts_from_zero(grad):
    """Weights that are all 0, and steps that are, have the factor 1: no standstill, no nan."""
    parameter = nn.Parameter(np.zeros(2))
    parameter.grad = Tensor(np.array(grad))
    optim.LAMB([parameter], lr=0.5).step()
    np.testing.assert_allclose(parameter.numpy(), -0.5 * np.sign(grad), rtol=1e-5)


def test_lamb_stays_on_zero_steps():
    """A gradient of 0 without decay makes a step of 0, whose length is divided by nothing."""
    parameter = one(grad=Tensor(np.zeros(2)))
    optim.LAMB([parameter], lr=0.5, weight_decay=0.0).step()
    assert parameter.tolist() == [1.0, 2.0]


def test_centered_rmsprop_of_constant_gradients():
    """A variance that rounding makes negative is 0 and not nan, as PyTorch has it."""
    parameter = nn.Parameter(np.zeros(100, np.float32))
    parameter.grad = Tensor(np.linspace(0.1, 1, 100, dtype=np.float32))
    optimizer = optim.RMSprop([parameter], lr=0.01, alpha=0.9, centered=True, eps=0.1)
    for _ in range(300):
        optimizer.step()
    (state,) = optimizer.state
    assert (state["square"] < state["mean"] ** 2).any()
    assert np.isfinite(parameter.numpy()).all()

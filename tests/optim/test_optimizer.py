"""Optimizers: formulas, parameter groups, state dicts and errors."""

import copy
import functools
import math
import re
import warnings

import numpy as np
import pytest

from tests.optim.tools import assert_close, assert_equal
from tests.tools import each, leaf
from tinygrad_np import Tensor, nn, no_grad, optim
from tinygrad_np.errors import (
    ArgumentError,
    GraphError,
    MissingGradientWarning,
    ShapeError,
)

STEPS = 10


SHAPES = [(3, 4), (4,), (1,), ()]


def weights():
    """Return float64 arrays, the same in each call."""
    generator = np.random.default_rng(0)
    return [np.asarray(generator.standard_normal(shape)) for shape in SHAPES]


@functools.cache
def gradients(step):
    """Return the read-only gradients of a step, one per array of `weights`."""
    generator = np.random.default_rng([1, step])
    grads = [np.asarray(generator.standard_normal(shape)) for shape in SHAPES]
    for grad in grads:
        grad.flags.writeable = False
    return grads


def parameters(dtype=np.float64):
    """Return `weights` as parameters."""
    return [nn.Parameter(array.astype(dtype)) for array in weights()]


def run(optimizer, steps=STEPS, first=0):
    """Take steps with the gradients of steps `first`, `first` + 1 and so on."""
    for step in range(first, first + steps):
        own = [p for group in optimizer.param_groups for p in group["params"]]
        for parameter, grad in zip(own, gradients(step), strict=True):
            parameter.grad = Tensor(grad.astype(parameter.dtype))
        optimizer.step()


def arrays_of(params):
    """Return copies of the parameters' arrays."""
    return [parameter.numpy().copy() for parameter in params]


def one(**options):
    """Return a parameter with two entries, an optional name, and a gradient unless grad=None."""
    parameter = nn.Parameter(np.array([1.0, 2.0]))
    parameter.name = options.get("name", "")
    parameter.grad = options.get("grad", Tensor(np.array([1.0, 1.0])))
    return parameter


# The formulas.


def sgd_by_hand(w, grads, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """Return the parameter `w` after SGD steps."""
    v = None
    for g in grads:
        g = g + weight_decay * w
        v = g if v is None else momentum * v + (1 - dampening) * g
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def decay(w, g, lr, weight_decay=0.0, decoupled_weight_decay=False):
    """Apply weight decay to the parameter or to the gradient; return both."""
    return (w - lr * weight_decay * w, g) if decoupled_weight_decay else (w, g + weight_decay * w)


def adam_by_hand(w, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, **decays):
    """Return the parameter `w` after Adam steps."""
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
    """Return the parameter `w` after AdamW steps."""
    options |= {"weight_decay": weight_decay, "decoupled_weight_decay": True}
    return adam_by_hand(w, grads, **options)


def nadam_by_hand(w, grads, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3, **decays):
    """Return the parameter `w` after NAdam steps."""
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
    """Return the parameter `w` after RMSprop steps."""
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
    """Return the parameter `w` after Adagrad steps."""
    total = np.full_like(w, initial_accumulator_value)
    for step, g in enumerate(grads):
        g = g + weight_decay * w
        total = total + g**2
        w = w - lr / (1 + step * lr_decay) * g / (np.sqrt(total) + eps)
    return w


def adadelta_by_hand(w, grads, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    """Return the parameter `w` after Adadelta steps."""
    u, v = np.zeros_like(w), np.zeros_like(w)
    for g in grads:
        g = g + weight_decay * w
        v = rho * v + (1 - rho) * g**2
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta**2
        w = w - lr * delta
    return w


def lamb_by_hand(w, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
    """Return the parameter `w` after LAMB steps (You et al. 2020, algorithm 2)."""
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
    """Return each of `weights` after ten steps of the formula, with its own options."""
    grads = zip(*map(gradients, range(STEPS)), strict=True)
    parts = zip(weights(), grads, options, strict=True)
    return [BY_HAND[kind](w, g, **own) for w, g, own in parts]


@each(("kind", "options"), [(kind, own) for kind in BY_HAND for own in OPTIONS[kind]])
@pytest.mark.usefixtures("dirty_memory")
def test_steps_match_the_formula(kind, options):
    """Ten steps follow the formula, whatever the scratch arrays contained before."""
    expected = expected_of(kind, [options] * len(SHAPES))
    params, halves = parameters(), parameters(np.float32)
    optimizer = kind(params, **options)
    run(optimizer)
    assert_close(arrays_of(params), expected)
    values = [value for state in optimizer.state for value in state.values()]
    assert all(isinstance(value, np.ndarray | int | float) for value in values)
    # float32 parameters keep their dtype and their arrays.
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
def test_defaults_match_pytorch_or_the_lamb_paper(kind, options):
    """Defaults are PyTorch's, or, for LAMB, those of the paper's experiments."""
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
def test_group_options_override_defaults(kind, options):
    params = parameters()
    run(kind([{"params": [p], **own} for p, own in zip(params, options, strict=True)], lr=0.1))
    assert_close(arrays_of(params), expected_of(kind, [{"lr": 0.1, **own} for own in options]))


def test_lr_can_change_between_steps():
    parameter = one()
    optimizer = optim.SGD([parameter], lr=1.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 10.0
    optimizer.step()
    assert parameter.tolist() == [1 - 11, 2 - 11]


def test_parameters_may_be_named_pairs():
    """Parameters may be (name, tensor) pairs, also in a group."""
    layer = nn.Linear(2, 1)
    for params in (layer.named_parameters(), [{"params": layer.named_parameters()}]):
        group = optim.SGD(params).param_groups[0]
        assert [id(p) for p in group["params"]] == [id(layer.weight), id(layer.bias)]


def test_any_leaf_tensor_can_be_optimized():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    optim.SGD([x], lr=0.25).step()
    assert x.tolist() == [0.5, 1.0]


@EACH
def test_frozen_parameters_never_change(kind):
    """Frozen parameters never change, even with weight decay; unfrozen ones do."""
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
def test_steps_do_not_modify_the_gradient(kind):
    """A gradient may be read-only and non-contiguous, and is not modified."""
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


def test_momentum_does_not_alias_the_gradient():
    parameter = one()
    optimizer = optim.SGD([parameter], lr=1.0, momentum=0.5)
    optimizer.step()  # v = 1, w = 0 and 1
    parameter.grad.data[...] = 0
    optimizer.step()  # v = 0.5
    assert parameter.tolist() == [-0.5, 0.5]


def test_pooled_scratch_arrays_do_not_change_the_update():
    """Scratch arrays from the pool of recycled memory give the same numbers."""
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
def test_no_gradient_at_all_raises(kind):
    """The error gives the first parameter's name and shape, and the remedy."""
    block = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    optimizer = kind(block.parameters())
    words = (
        r"expected a gradient for parameter '0.weight' of shape \(2, 3\), got none for any "
        r"parameter. Call backward\(\)"
    )
    with pytest.raises(GraphError, match=rf"^{kind.__name__}.step: {words}"):
        optimizer.step()


def test_missing_gradient_error_skips_frozen_parameters():
    frozen = nn.Parameter([1.0], requires_grad=False)
    with pytest.raises(GraphError, match=r"parameter '1' of shape \(2,\)"):
        optim.SGD([frozen, one(grad=None)]).step()
    optim.SGD([frozen]).step()


@EACH
def test_parameters_without_a_gradient_are_skipped_with_one_warning(kind):
    """Neither the parameter nor its state changes; the others are updated as without it."""
    first, skipped, alone = one(), one(grad=None, name="head.bias"), one()
    frozen = nn.Parameter([1.0], requires_grad=False)
    optimizer, other = kind([first, frozen, skipped]), kind([alone])
    words = re.escape(
        f"{kind.__name__}.step: no gradient for 'head.bias', which this step leaves unchanged. If "
        "the loss should depend on them"
    )
    with pytest.warns(MissingGradientWarning, match=f"^{words}") as caught:
        optimizer.step()
    assert caught[0].filename == __file__
    optimizer.step()  # warnings are errors here
    for _ in range(2):
        other.step()
    assert skipped.tolist() == [1.0, 2.0]
    assert optimizer.state[1:] == [{}, {}]
    assert_equal(arrays_of([first]), arrays_of([alone]))
    skipped.grad = Tensor(np.ones(2))
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert skipped.tolist() != [1.0, 2.0]


def test_an_error_for_the_warning_leaves_all_parameters_unchanged():
    first = one()
    optimizer = optim.SGD([first, one(grad=None)])
    with warnings.catch_warnings(action="error"), pytest.raises(MissingGradientWarning):
        optimizer.step()
    assert first.tolist() == [1.0, 2.0]


def test_the_warning_names_at_most_five_parameters():
    others = [one(grad=None) for _ in range(7)]
    with pytest.warns(MissingGradientWarning, match="for '1', '2', '3', '4', '5' and 2 more, whi"):
        optim.SGD([one(), *others]).step()


# PyTorch's habits.


def test_step_calls_the_closure_and_returns_its_loss():
    parameter = one(grad=None)
    optimizer = optim.SGD([parameter], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (parameter * parameter).sum()
        loss.backward()
        return loss

    with no_grad():
        assert optimizer.step(closure).item() == 5.0
    assert parameter.tolist() == [0.5, 1.0]


def test_zero_grad_sets_none_or_zeros():
    first, other = one(), one(grad=None)
    kept = first.grad
    optimizer = optim.SGD([first, other])
    optimizer.zero_grad(set_to_none=False)
    assert first.grad.tolist() == [0.0, 0.0]
    assert first.grad.dtype == np.float64
    assert kept.tolist() == [1.0, 1.0]
    assert other.grad is None
    optimizer.zero_grad()
    assert first.grad is None


def test_added_group_is_trained_like_a_group_of_the_constructor():
    later, usual = [one(), one()], [one(), one()]
    optimizer = optim.SGD(later[:1], lr=0.1, momentum=0.5)
    optimizer.add_param_group({"params": later[1], "lr": np.float64(0.2)})
    other = optim.SGD([{"params": usual[:1]}, {"params": usual[1:], "lr": 0.2}], 0.1, momentum=0.5)
    assert repr(optimizer) == repr(other)
    for _ in range(2):
        optimizer.step()
        other.step()
    assert_equal(arrays_of(later), arrays_of(usual))
    other.load_state_dict(optimizer.state_dict())


@each(
    ("group", "words"),
    [
        ({"lr": 0.1}, """a mapping with "params", got the keys ['lr']."""),
        (3, 'a mapping with "params", got int.'),
        ({"params": [one()], "beta": 1}, "to be among ['dampening', "),
        ({"params": [one()], "lr": -1.0}, "expected `lr` to be"),
        ({"params": one(name="w") * 2}, "leaf tensors, got an op result."),
    ],
)
def test_invalid_added_group_raises(group, words):
    """The optimizer is left unchanged."""
    optimizer = optim.SGD([one()], lr=0.1)
    with pytest.raises(ArgumentError, match=re.escape(words)):
        optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == len(optimizer.state) == 1


@each("edit", [lambda p: p.pop(0), lambda p: p.reverse(), lambda p: p.append(leaf([1.0]))])
@each("use", ["step", "state_dict", "load_state_dict"])
def test_editing_the_parameters_of_a_group_raises(edit, use):
    """The states, stored by position, would silently belong to other parameters."""
    params = [nn.Parameter([1.0]), nn.Parameter([2.0])]
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    (params[0] * 3 + params[1]).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    before = [p.item() for p in params]
    edit(optimizer.param_groups[0]["params"])
    with pytest.raises(ArgumentError, match=rf"^SGD\.{use}: expected .*edited.*add_param_group"):
        getattr(optimizer, use)(*[state] if use == "load_state_dict" else [])
    assert [p.item() for p in params] == before


def test_adding_a_parameter_twice_raises():
    parameter = one(name="w")
    optimizer = optim.SGD([parameter])
    with pytest.raises(ArgumentError, match="each parameter once, got parameter 'w' twice"):
        optimizer.add_param_group({"params": [parameter]})
    with pytest.raises(ShapeError, match=r"parameter '1' of shape \(2,\)"):
        optim.Muon([nn.Parameter([[1.0]])]).add_param_group({"params": [one()]})


# Mismatched gradients.


@pytest.mark.slow
@EACH
@each(
    ("grad", "words"),
    [
        (np.ones(3), "got (3,) and float64."),
        (np.ones((2, 1)), "got (2, 1) and float64."),
        (np.ones(()), "got () and float64."),
        (np.ones(2, np.float32), "got (2,) and float32."),
        (np.ones(2, int), "got (2,) and int64."),
    ],
)
def test_mismatched_gradient_raises(kind, grad, words):
    """The error names the parameter, and nothing changes."""
    first, last = one(), one(name="fc.bias", grad=Tensor(grad))
    optimizer = kind([{"params": [first]}, {"params": [last]}], lr=0.1, weight_decay=0.5)
    words = f"the gradient of parameter 'fc.bias' to have shape (2,) and dtype float64, {words}"
    with pytest.raises(ShapeError, match=re.escape(f"{kind.__name__}.step: expected {words}")):
        optimizer.step()
    assert first.tolist() == last.tolist() == [1.0, 2.0]
    assert optimizer.state == [{}, {}]


# Stale graphs.


@EACH
def test_step_makes_graphs_stale(kind):
    """backward() raises if a step changed a weight that the graph saved."""
    parameter = one()
    loss = (parameter * parameter).sum()
    kind([parameter], lr=0.1).step()
    with pytest.raises(GraphError, match=r"op 'mul' .* changed in place"):
        loss.backward()


def test_step_keeps_graphs_that_saved_no_weights():
    parameter = one(grad=None)
    loss = (parameter + 1).sum()
    parameter.grad = Tensor(np.zeros(2))
    optim.SGD([parameter], lr=0.1).step()
    loss.backward()
    assert parameter.grad.tolist() == [1.0, 1.0]


def test_step_keeps_graphs_that_saved_frozen_weights():
    frozen, free = one(), one()
    frozen.requires_grad = False
    x = Tensor(np.ones(2), requires_grad=True)
    loss = (x * frozen).sum()
    optim.SGD([frozen, free]).step()
    loss.backward()
    assert x.grad.tolist() == [1.0, 2.0]


# Invalid arguments.


def grouped(*params, **options):
    """Return a parameter group."""
    return {"params": list(params), **options}


@EACH
def test_views_of_a_dict_are_ordered(kind):
    named = dict(nn.Linear(2, 1).named_parameters())
    for params in (named.values(), named.items(), [{"params": named.values()}]):
        (group,) = kind(params, lr=0.1).param_groups
        assert list(map(id, group["params"])) == list(map(id, named.values()))


@EACH
@each(
    ("params", "words"),
    [
        (list, "at least one parameter, got none. Try model.parameters()."),
        (lambda: nn.ReLU().parameters(), "at least one parameter, got none."),
        (lambda: [one()] * 2, "each parameter once, got parameter '1' twice."),
        (lambda: [one(name="fc.bias")] * 2, "each parameter once, got parameter 'fc.bias' twice."),
        (
            lambda: [grouped(one(name="fc.bias"))] * 2,
            "each parameter once, got parameter 'fc.bias' twice.",
        ),
        (
            lambda: {one(), one()},
            "parameters in a fixed order, got set. Pass a list, or model.parameters().",
        ),
        (
            lambda: frozenset([one()]),
            "parameters in a fixed order, got frozenset. Pass a list, or model.parameters().",
        ),
        (
            lambda: [{"params": {one(), one()}}],
            "parameters in a fixed order, got set. Pass a list, or model.parameters().",
        ),
        (lambda: 3, "an iterable of tensors, got int. Try model.parameters()."),
        (
            lambda: nn.Linear(2, 1),
            "an iterable of tensors, got Linear. Try model.parameters()",
        ),
        (one, "an iterable of tensors, got Parameter. Try model.param"),
        (lambda: [one() * 2], "parameters to be leaf tensors, got an op result. Try model.param"),
        (lambda: [np.ones(2)], "parameters to be leaf tensors, got ndarray. Try model.parameters"),
        (lambda: ["weight"], "parameters to be leaf tensors, got str."),
        (lambda: [("weight", 1.0)], "parameters to be leaf tensors, got float."),
        (lambda: [one(), grouped(one())], "parameters to be leaf tensors, got dict."),
        (
            lambda: [grouped(one()), one()],
            'each parameter group to be a mapping with "params", got Parameter.',
        ),
        (
            lambda: [{"lr": 0.1}],
            """each parameter group to be a mapping with "params", got the keys ['lr'].""",
        ),
        (
            lambda: [grouped(one(), b=1, a=2)],
            "the options of a parameter group to be among ['...'], got ['a', 'b'].",
        ),
    ],
)
def test_invalid_parameters_raise(kind, params, words):
    words = re.escape(words).replace(r"\.\.\.", ".*")
    with pytest.raises(ArgumentError, match=f"^{kind.__name__}: expected {words}"):
        kind(params())


@each(
    ("kind", "options", "words"),
    [
        (optim.SGD, {"lr": -0.1}, "SGD: expected `lr` to be a finite number >= 0, got -0.1."),
        (optim.SGD, {"lr": math.nan}, "SGD: expected `lr` to be a finite number >= 0, got nan."),
        (
            optim.SGD,
            {"momentum": -0.5},
            "SGD: expected `momentum` to be a finite number >= 0, got -0.5.",
        ),
        (
            optim.SGD,
            {"momentum": math.nan},
            "SGD: expected `momentum` to be a finite number >= 0, got nan.",
        ),
        (
            optim.SGD,
            {"dampening": -0.5},
            "SGD: expected `dampening` to be a finite number >= 0, got -0.5.",
        ),
        (
            optim.SGD,
            {"weight_decay": -1},
            "SGD: expected `weight_decay` to be a finite number >= 0, got -1.",
        ),
        (optim.SGD, {"lr": math.inf}, "SGD: expected `lr` to be a finite number >= 0, got inf."),
        (optim.SGD, {"lr": "0.1"}, "SGD: expected `lr` to be a finite number >= 0, got '0.1'."),
        (optim.SGD, {"lr": None}, "SGD: expected `lr` to be a finite number >= 0, got None."),
        (
            optim.SGD,
            {"nesterov": True},
            "SGD: expected `momentum` above 0 and `dampening` 0 with nesterov=True, got "
            "momentum=0.0 and dampening=0.0.",
        ),
        (
            optim.SGD,
            {"nesterov": True, "momentum": 1, "dampening": 0.1},
            "SGD: expected `momentum` above 0 and `dampening` 0 with nesterov=True, got "
            "momentum=1 and dampening=0.1.",
        ),
        (optim.Adam, {"lr": -0.1}, "Adam: expected `lr` to be a finite number >= 0, got -0.1."),
        (optim.Adam, {"lr": math.nan}, "Adam: expected `lr` to be a finite number >= 0, got nan."),
        (
            optim.Adam,
            {"eps": -1e-8},
            "Adam: expected `eps` to be a finite number >= 0, got -1e-08.",
        ),
        (
            optim.Adam,
            {"weight_decay": -1},
            "Adam: expected `weight_decay` to be a finite number >= 0, got -1.",
        ),
        (
            optim.Adam,
            {"betas": (1.0, 0.9)},
            "Adam: expected `betas` to be >= 0 and below 1, got (1.0, 0.9).",
        ),
        (
            optim.Adam,
            {"betas": (0.9, 1.0)},
            "Adam: expected `betas` to be >= 0 and below 1, got (0.9, 1.0).",
        ),
        (
            optim.Adam,
            {"betas": (-0.1, 0.9)},
            "Adam: expected `betas` to be >= 0 and below 1, got (-0.1, 0.9).",
        ),
        (
            optim.Adam,
            {"betas": (0.9, math.nan)},
            "Adam: expected `betas` to be >= 0 and below 1, got (0.9, nan).",
        ),
        (optim.Adam, {"betas": 0.9}, "Adam: expected `betas` to be two numbers, got 0.9."),
        (optim.Adam, {"betas": (0.9,)}, "Adam: expected `betas` to be two numbers, got (0.9,)."),
        (
            optim.Adam,
            {"betas": (0.9, 0.9, 0.9)},
            "Adam: expected `betas` to be two numbers, got (0.9, 0.9, 0.9).",
        ),
        (optim.AdamW, {"eps": -1}, "AdamW: expected `eps` to be a finite number >= 0, got -1."),
        (
            optim.AdamW,
            {"betas": (1.0, 0.9)},
            "AdamW: expected `betas` to be >= 0 and below 1, got (1.0, 0.9).",
        ),
        (
            optim.NAdam,
            {"momentum_decay": -1},
            "NAdam: expected `momentum_decay` to be a finite number >= 0, got -1.",
        ),
        (
            optim.NAdam,
            {"weight_decay": -1},
            "NAdam: expected `weight_decay` to be a finite number >= 0, got -1.",
        ),
        (
            optim.NAdam,
            {"betas": (0.9, 1.0)},
            "NAdam: expected `betas` to be >= 0 and below 1, got (0.9, 1.0).",
        ),
        (
            optim.RMSprop,
            {"momentum": -1},
            "RMSprop: expected `momentum` to be a finite number >= 0, got -1.",
        ),
        (
            optim.RMSprop,
            {"alpha": 1.5},
            "RMSprop: expected `alpha` to be a number from 0 to 1, got 1.5.",
        ),
        (
            optim.RMSprop,
            {"alpha": math.nan},
            "RMSprop: expected `alpha` to be a number from 0 to 1, got nan.",
        ),
        (
            optim.RMSprop,
            {"alpha": "a"},
            "RMSprop: expected `alpha` to be a number from 0 to 1, got 'a'.",
        ),
        (
            optim.RMSprop,
            {"eps": math.inf},
            "RMSprop: expected `eps` to be a finite number >= 0, got inf.",
        ),
        (
            optim.Adagrad,
            {"lr_decay": -1},
            "Adagrad: expected `lr_decay` to be a finite number >= 0, got -1.",
        ),
        (
            optim.Adagrad,
            {"initial_accumulator_value": -1},
            "Adagrad: expected `initial_accumulator_value` to be a finite number >= 0, got -1.",
        ),
        (
            optim.Adadelta,
            {"rho": -0.1},
            "Adadelta: expected `rho` to be a number from 0 to 1, got -0.1.",
        ),
        (
            optim.Adadelta,
            {"eps": -1},
            "Adadelta: expected `eps` to be a finite number >= 0, got -1.",
        ),
        (optim.LAMB, {"lr": -1}, "LAMB: expected `lr` to be a finite number >= 0, got -1."),
        (optim.LAMB, {"betas": 0.9}, "LAMB: expected `betas` to be two numbers, got 0.9."),
    ],
)
def test_invalid_options_raise(kind, options, words):
    """Also in a group, and in a state dict, which then changes nothing."""
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
def test_group_options_are_checked_together_with_defaults(kind):
    optimizer = kind([{"params": [one()], "lr": 0.0}], lr=0.1)
    assert optimizer.param_groups[0]["lr"] == 0.0
    with pytest.raises(ArgumentError, match=r"^SGD: expected `momentum` above 0 and `dampening` 0"):
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
def test_optimizer_resumes_bit_for_bit_from_its_state_dict(kind, options, dtype):
    """A new optimizer with the loaded state continues bit for bit."""
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
def test_state_dict_contains_group_options(kind, options):
    groups = [{"params": [one(), one()]}, {"params": [one()], "lr": 0.5}]
    first, second = kind(groups, **options).state_dict()["param_groups"]
    assert (options | {"params": 2}).items() <= first.items()
    assert (options | {"params": 1, "lr": 0.5}).items() <= second.items()


@STATEFUL
def test_deepcopy_continues_bit_for_bit(kind, options):
    """A deep copy of optimizer and parameters continues bit for bit."""
    params = parameters()
    optimizer = kind(params, **options)
    run(optimizer, 5)
    copied, others = copy.deepcopy((optimizer, params))
    run(optimizer, 5, first=5)
    run(copied, 5, first=5)
    assert_equal(arrays_of(others), arrays_of(params))
    assert all(a is not b for a, b in zip(params, others, strict=True))


@STATEFUL
def test_later_steps_change_no_state_dict(kind, options):
    """Later steps change neither a saved state dict nor a loaded one."""
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
def test_state_dict_of_a_new_optimizer_is_empty(kind, options):
    """It has no state, and loading it resets the state."""
    optimizer = kind(parameters(), **options)
    fresh = optimizer.state_dict()
    assert fresh["state"] == [{}] * len(SHAPES)
    run(optimizer, 2)
    assert all(optimizer.state_dict()["state"])
    optimizer.load_state_dict(fresh)
    assert optimizer.state_dict()["state"] == [{}] * len(SHAPES)


def test_state_dict_skips_frozen_parameters():
    """State is stored by position, so frozen parameters are skipped correctly."""

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
        optim.SGD([one(), one(), one()]).state_dict(),
        optim.Adam([grouped(one()), grouped(one(), one())]).state_dict(),
    ],
)
def test_loading_state_of_other_groups_raises(state):
    """The optimizer is left unchanged."""
    optimizer = optim.SGD([{"params": [one()]}, {"params": [one(), one()]}], lr=0.1, momentum=0.9)
    optimizer.step()
    before = repr(optimizer.state_dict())
    names = "dampening, lr, momentum, nesterov, weight_decay"
    words = (
        "SGD.load_state_dict: expected the parameter groups "
        f"[1 parameters with {names}; 2 parameters with {names}], got ["
    )
    with pytest.raises(ArgumentError, match="^" + re.escape(words) + r"\d parameters with .*\]\.$"):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before


def test_loading_a_wrong_number_of_states_raises():
    optimizer = optim.SGD([one(), one()])
    with pytest.raises(ArgumentError, match=r"expected the states of 2 parameters, got 1\.$"):
        optimizer.load_state_dict(optimizer.state_dict() | {"state": [{}]})


@EACH
def test_loading_a_model_state_dict_raises(kind):
    words = "expected the entries ['param_groups', 'state'], got ['bias', 'weight']."
    with pytest.raises(
        ArgumentError, match=f"^{kind.__name__}.load_state_dict: {re.escape(words)}"
    ):
        kind([one()]).load_state_dict(nn.Linear(2, 1).state_dict())


def test_loading_state_of_other_shapes_raises():
    """The optimizer is left unchanged."""
    larger = optim.SGD(parameters(), lr=0.5, momentum=0.9)
    run(larger, 1)
    optimizer = optim.SGD(parameters()[::-1], lr=0.1)
    words = re.escape(
        "SGD.load_state_dict: expected `state['0'].momentum_buffer` to be an array of shape () and "
        "dtype float64, got an array of shape (3, 4) and dtype float64."
    )
    with pytest.raises(ShapeError, match=words):
        optimizer.load_state_dict(larger.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state_dict()["state"] == [{}] * len(SHAPES)


@EACH
def test_loading_state_of_other_optimizers_raises(kind):
    """Only Adam loads AdamW's state: AdamW is Adam with an option set."""
    for other in BY_HAND:
        optimizer, state = kind([one()]), other([one()], lr=0.3).state_dict()
        if other is kind or (kind, other) == (optim.Adam, optim.AdamW):
            optimizer.load_state_dict(state)
            assert optimizer.param_groups[0]["lr"] == 0.3
        else:
            with pytest.raises(ArgumentError, match=f"^{kind.__name__}"):
                optimizer.load_state_dict(state)
            assert optimizer.param_groups[0]["lr"] != 0.3


# Behavior of single optimizers beyond their formulas.


def test_adamw_rejects_coupled_weight_decay():
    """Neither a group nor Adam's state can turn it on."""
    words = "^AdamW: expected `decoupled_weight_decay` to be True, got False"
    with pytest.raises(ArgumentError, match=words):
        optim.AdamW([{"params": [one()], "decoupled_weight_decay": False}])
    with pytest.raises(ArgumentError, match=words):
        optim.AdamW([one()]).load_state_dict(optim.Adam([one()]).state_dict())


@pytest.mark.parametrize("grad", [[1.0, -2.0], [0.0, 0.0]])
def test_lamb_uses_factor_1_for_zero_weights(grad):
    """Zero weights or a zero update use the factor 1: no standstill, no nan."""
    parameter = nn.Parameter(np.zeros(2))
    parameter.grad = Tensor(np.array(grad))
    optim.LAMB([parameter], lr=0.5).step()
    np.testing.assert_allclose(parameter.numpy(), -0.5 * np.sign(grad), rtol=1e-5)


def test_lamb_with_zero_update_changes_nothing():
    """A zero gradient without decay changes nothing and divides by nothing."""
    parameter = one(grad=Tensor(np.zeros(2)))
    optim.LAMB([parameter], lr=0.5, weight_decay=0.0).step()
    assert parameter.tolist() == [1.0, 2.0]


def test_centered_rmsprop_clips_negative_variances():
    """A variance that rounding makes negative is clipped to 0; PyTorch returns nan."""
    parameter = nn.Parameter(np.zeros(100, np.float32))
    parameter.grad = Tensor(np.linspace(0.1, 1, 100, dtype=np.float32))
    optimizer = optim.RMSprop([parameter], lr=0.01, alpha=0.9, centered=True, eps=0.1)
    for _ in range(300):
        optimizer.step()
    (state,) = optimizer.state
    assert (state["square"] < state["mean"] ** 2).any()
    assert np.isfinite(parameter.numpy()).all()


HALF_KINDS = [
    *(functools.partial(optim.SGD, momentum=momentum) for momentum in (0.0, 0.9)),
    optim.Adam,
    functools.partial(optim.Adam, amsgrad=True),
    optim.AdamW,
    optim.NAdam,
    optim.RMSprop,
    functools.partial(optim.RMSprop, centered=True, momentum=0.9),
    optim.Adagrad,
    optim.Adadelta,
    optim.LAMB,
    optim.Muon,
]


@each("make", HALF_KINDS)
@each("size", [0.0, 1e-7, 1e-4, 1.0, 1000.0])
def test_float16_parameters_are_updated_in_float32(make, size):
    """The result is that of a float32 parameter, rounded; eps and squares would underflow."""
    start = np.array([[1.0, -2.0, 0.5]], np.float16)
    grad = (np.array([[1.0, -1.0, 0.0]]) * size).astype(np.float16)
    half, single = nn.Parameter(start), nn.Parameter(start.astype(np.float32))
    optimizers = [make([weight], lr=0.01) for weight in (half, single)]
    for _ in range(3):
        for weight, optimizer in zip((half, single), optimizers, strict=True):
            weight.grad = Tensor(grad.astype(weight.dtype))
            optimizer.step()
        np.testing.assert_array_equal(half.data, single.data.astype(np.float16), strict=True)
        single.data[...] = half.data
        arrays = [v for v in optimizers[0].state[0].values() if isinstance(v, np.ndarray)]
        assert {array.dtype for array in arrays} <= {np.dtype(np.float32)}
    assert np.isfinite(half.data).all()


def test_adam_trains_a_float16_model():
    generator = np.random.default_rng(0)
    x = Tensor(generator.standard_normal((64, 4)).astype(np.float16))
    y = x.sum(axis=1, keepdim=True) * 0.5
    layer = nn.Linear(4, 1).astype(np.float16)
    optimizer = optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = ((layer(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]

"""Moving averages of weights: formula, swapping, state dicts and errors."""

import re

import numpy as np
import pytest

from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, GraphError, ShapeError


def network(dtype=np.float64):
    """Return a model with parameters and buffers."""
    layers = nn.Linear(3, 4, generator=rng(0)), nn.BatchNorm1d(4)
    return nn.Sequential(*layers).astype(dtype)


def change(model, seed):
    """Change parameters and buffers, as a training step does."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=rng(seed))
    model(Tensor(rng(seed).standard_normal((5, 3)).astype(model[0].weight.dtype)))


@each("decay", [0.0, 0.9, 1.0])
def test_average_matches_the_formula(decay):
    """The first update copies; buffers are always copied."""
    model = network()
    ema = optim.EMA(model, decay)
    assert_same(ema.averages, model.state_dict())
    expected = None
    for seed in range(1, 5):
        change(model, seed)
        ema.update()
        state = model.state_dict()
        weight = state["0.weight"]
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        np.testing.assert_allclose(ema.averages["0.weight"], expected, rtol=1e-14)
        for name in ("1.running_mean", "1.num_batches_tracked"):
            np.testing.assert_array_equal(ema.averages[name], state[name], strict=True)
    assert ema.updates == 4
    assert ema.averages.keys() == state.keys()


def test_frozen_parameters_keep_their_bits():
    model = network(np.float32)
    ema = optim.EMA(model, 0.7)
    for _ in range(5):
        ema.update()
    assert_same(ema.averages, model.state_dict())


def test_averages_of_float16_are_float32():
    model = nn.Linear(1, 1, bias=False).half()
    ema = optim.EMA(model)
    for value in (1.0, 2.0):
        nn.init.constant_(model.weight, value)
        ema.update()
    assert ema.averages["weight"].dtype == np.float32
    assert ema.averages["weight"].item() == pytest.approx(1.001)
    with ema.averaged():
        assert model.weight.dtype == np.float16


def test_averages_are_in_the_model_only_inside_the_block():
    model = network().eval()
    ema = optim.EMA(model, 0.5)
    for seed in (1, 2):
        change(model, seed)
        ema.update()
    own, objects = model.state_dict(), [*model.parameters(), *model.buffers()]
    before = ema.state_dict()
    for _ in range(2):
        with ema.averaged():
            assert_same(model.state_dict(), ema.averages)
            change(model.train(), 3)
        assert_same(model.state_dict(), own)
    assert_same(ema.averages, before["averages"])
    assert list(map(id, objects)) == list(map(id, [*model.parameters(), *model.buffers()]))


def test_an_exception_restores_the_weights():
    model = network()
    ema = optim.EMA(model)
    change(model, 1)
    own = model.state_dict()
    with pytest.raises(KeyError), ema.averaged():
        raise KeyError
    assert_same(model.state_dict(), own)


@each("attribute", ["cache", "bias"])
def test_weights_are_restored_after_the_block_adds_or_removes_a_tensor(attribute):
    model = nn.Linear(3, 2)
    ema = optim.EMA(model)
    nn.init.constant_(model.weight, 7.0)
    with ema.averaged():
        setattr(model, attribute, None if attribute == "bias" else Tensor([1.0]))
    assert set(model.weight.numpy().ravel()) == {7}


def test_a_buffer_of_another_shape_is_named():
    model = network()
    ema = optim.EMA(model)
    before = ema.state_dict()
    model[1].running_mean = Tensor(np.zeros((2, 4)))
    words = r"EMA: expected '1\.running_mean' of shape \(4,\), as at construction, got \(2, 4\)\."
    for use in (ema.update, ema.averaged().__enter__):
        with pytest.raises(ShapeError, match=words):
            use()
    assert_same(ema.averages, before["averages"])


def test_swapping_invalidates_a_live_graph():
    model = nn.Linear(2, 1)
    ema = optim.EMA(model)
    loss = (model.weight * model.weight).sum()
    with ema.averaged(), pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_state_dict_resumes_the_average():
    """A resumed average has the bits of one that was not interrupted."""
    model = network()
    whole, resumed = optim.EMA(model, 0.8), optim.EMA(model, 0.8)
    for seed in range(4):
        change(model, seed)
        whole.update()
        if seed == 1:
            state = whole.state_dict()
            resumed.load_state_dict(state)
            state["averages"]["0.weight"][...] = 7
        elif seed > 1:
            resumed.update()
    assert_same(resumed.averages, whole.averages)
    assert resumed.updates == whole.updates == 4


def test_tied_weights_are_averaged_once():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    assert list(optim.EMA(model).averages) == ["0.weight"]


def test_repr_shows_the_number_of_updates():
    ema = optim.EMA(nn.Linear(1, 1), 0.99)
    ema.update()
    assert repr(ema) == "EMA(decay=0.99): 1 update"


@each(
    ("call", "error", "words"),
    [
        (lambda e: optim.EMA(nn.Linear), ArgumentError, "to be a module, got the class Linear."),
        (lambda e: optim.EMA([e]), ArgumentError, "EMA: expected `model` to be a module, got list"),
        (lambda e: optim.EMA(nn.ReLU(), 1.5), ArgumentError, "EMA: expected `decay` to be"),
        (lambda e: e.load_state_dict({}), ArgumentError, "EMA.load_state_dict: expected"),
        (
            lambda e: e.load_state_dict(optim.EMA(nn.Linear(3, 2)).state_dict()),
            ArgumentError,
            "EMA.load_state_dict: expected `averages`",
        ),
        (
            lambda e: e.load_state_dict(
                {"updates": 1, "averages": {**e.averages, "0.bias": np.zeros(3)}}
            ),
            ShapeError,
            "EMA.load_state_dict: expected `averages.0.bias`",
        ),
    ],
)
def test_invalid_arguments_raise(call, error, words):
    ema = optim.EMA(network())
    before = ema.state_dict()
    with pytest.raises(error, match=re.escape(words)):
        call(ema)
    assert_same(ema.averages, before["averages"])


def test_a_model_that_got_another_parameter_raises():
    model = network()
    ema = optim.EMA(model)
    model.register_parameter("extra", nn.Parameter([1.0]))
    for use in (ema.update, ema.averaged().__enter__):
        with pytest.raises(ArgumentError, match=r"^EMA: .* a model that differs in extra\.$"):
            use()

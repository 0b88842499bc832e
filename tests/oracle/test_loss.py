"""Loss modules compared with torch.nn: arguments, values, gradients and state dicts."""

import inspect

import numpy as np
import pytest

from tests.oracle.compare import agree, compare
from tests.oracle.pytorch import torch
from tests.tools import each, naming
from tinygrad_np import Tensor, nn
from tinygrad_np.nn import loss as losses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss"),  # KLDivLoss
]

NAMES = [
    name
    for name, value in vars(losses).items()
    if name.endswith("Loss") and not name.startswith("_") and inspect.isclass(value)
]
DEPRECATED = {"size_average", "reduce"}
WEIGHT = np.array([0.5, 2.0, 1.0])
# Options of each module besides the reduction; arrays become tensors of each side.
OPTIONS = {
    "MSELoss": [{}],
    "L1Loss": [{}],
    "SmoothL1Loss": [{}, {"beta": 0.5}, {"beta": 0.0}],
    "HuberLoss": [{}, {"delta": 0.5}],
    "CrossEntropyLoss": [
        {},
        {"weight": WEIGHT},
        {"ignore_index": 1},
        {"weight": WEIGHT, "ignore_index": 0, "label_smoothing": 0.2},
    ],
    "NLLLoss": [{}, {"weight": WEIGHT}, {"weight": WEIGHT, "ignore_index": 0}],
    "BCELoss": [{}, {"weight": WEIGHT}],
    "BCEWithLogitsLoss": [{}, {"weight": WEIGHT}, {"pos_weight": WEIGHT}],
    "KLDivLoss": [{}, {"log_target": True}],
    "TripletMarginLoss": [{}, {"margin": 0.5, "p": 1.0, "swap": True}],
}
CLASSES = {"CrossEntropyLoss", "NLLLoss"}


def pair(name, options):
    """Return our module and PyTorch's."""
    ours, theirs = ({**options} for _ in range(2))
    for key, value in options.items():
        if isinstance(value, np.ndarray):
            ours[key], theirs[key] = Tensor(value), torch.tensor(value)
    return getattr(nn, name)(**ours), getattr(torch.nn, name)(**theirs)


def test_every_loss_is_compared():
    assert set(OPTIONS) == set(NAMES)
    assert set(NAMES) <= set(nn.__all__)


@each("name", NAMES)
def test_arguments_match_pytorch(name):
    ours, theirs = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(side, name)).parameters.values()
            if p.name not in DEPRECATED
        ]
        for side in (nn, torch.nn)
    )
    assert ours == theirs


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_losses_match_pytorch(name, dtype):
    """Values and gradients with each reduction, and the names in the state dict."""
    generator = np.random.default_rng(0)
    reductions = ["mean", "sum", "none", *(["batchmean"] if name == "KLDivLoss" else [])]
    for options in OPTIONS[name]:
        for reduction in reductions:
            with naming(f"{options} {reduction}"):
                ours, theirs = pair(name, {**options, "reduction": reduction})
                assert list(ours.state_dict()) == list(theirs.state_dict())
                ours.astype(dtype)
                theirs.to(getattr(torch, dtype.__name__))
                if name in CLASSES:
                    target = np.array([0, 1, 2, 1])
                    arrays = [generator.standard_normal((4, 3))]
                    compare(
                        lambda x, m=ours, t=target: m(x, Tensor(t)),
                        lambda x, m=theirs, t=target: m(x, torch.tensor(t)),
                        arrays,
                        dtype,
                        order=1,
                    )
                else:
                    count = 3 if name == "TripletMarginLoss" else 2
                    arrays = [generator.uniform(0.1, 0.9, (4, 3)) for _ in range(count)]
                    compare(ours, theirs, arrays, dtype, order=1)


@pytest.mark.parametrize("name", sorted(CLASSES))
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_only_ignored_targets_match_pytorch(name, reduction):
    """The mean is nan, the sum 0."""
    ours, theirs = pair(name, {"reduction": reduction})
    x, target = np.ones((2, 3)), np.array([-100, -100])
    agree([ours(Tensor(x), Tensor(target))], [theirs(torch.tensor(x), torch.tensor(target))])


def test_weights_travel_both_ways():
    ours, theirs = pair("CrossEntropyLoss", {"weight": WEIGHT})
    ours.load_state_dict({"weight": WEIGHT + 1})
    theirs.load_state_dict({"weight": torch.tensor(ours.state_dict()["weight"])})
    assert theirs.weight.tolist() == [1.5, 3.0, 2.0]

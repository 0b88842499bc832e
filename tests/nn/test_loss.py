"""Loss modules: options, buffers, refused shapes, and training with them."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

OF_PAIRS = [
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.KLDivLoss,
]


@each("kind", OF_PAIRS)
def test_target_that_would_broadcast_raises_with_both_shapes(kind):
    with pytest.raises(ShapeError, match=r"\(4, 1\), got \(4,\) .* target\.reshape\(4, 1\)"):
        kind()(Tensor.full((4, 1), 0.5), Tensor.full((4,), 0.5))
    with pytest.raises(ShapeError, match=r"\(4,\), got \(4, 1\)"):
        kind()(Tensor.full((4,), 0.5), Tensor.full((4, 1), 0.5))
    with pytest.raises(ShapeError, match=r"\(2, 3\), got \(3,\)"):
        kind()(Tensor.full((2, 3), 0.5), Tensor.full((3,), 0.5))


@each("kind", [*OF_PAIRS, nn.CrossEntropyLoss, nn.NLLLoss])
def test_unknown_reduction_raises(kind):
    with pytest.raises(ArgumentError, match=r"expected `reduction` to be one of .*, got 'avg'"):
        kind(reduction="avg")(Tensor([[0.5]]), Tensor([[0.5]]))


@each(
    ("loss", "text"),
    [
        (nn.MSELoss(), "MSELoss()"),
        (nn.L1Loss("sum"), "L1Loss(reduction='sum')"),
        (nn.HuberLoss(delta=2.0), "HuberLoss(delta=2.0)"),
        (nn.SmoothL1Loss("none", 0.5), "SmoothL1Loss(beta=0.5, reduction='none')"),
        (
            nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1),
            "CrossEntropyLoss(ignore_index=0, label_smoothing=0.1)",
        ),
        (nn.NLLLoss(ignore_index=1), "NLLLoss(ignore_index=1)"),
        (nn.KLDivLoss("batchmean", True), "KLDivLoss(log_target=True, reduction='batchmean')"),
        (nn.TripletMarginLoss(0.5, swap=True), "TripletMarginLoss(margin=0.5, swap=True)"),
    ],
)
def test_repr_shows_the_options_that_were_changed(loss, text):
    assert repr(loss) == text


def test_weights_are_buffers_that_follow_the_dtype():
    loss = nn.BCEWithLogitsLoss(weight=[1.0, 2.0], pos_weight=np.array([3.0, 4.0]))
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert [value.dtype for value in loss.buffers()] == [np.float32, np.float64]
    loss.astype(np.float32)
    assert {value.dtype for value in loss.buffers()} == {np.dtype(np.float32)}
    assert list(loss.parameters()) == []
    assert list(nn.CrossEntropyLoss().state_dict()) == []


def test_weight_in_float64_does_not_widen_the_loss():
    weight = np.array([1.0, 2.0])
    logits = Tensor([[0.5, 0.25]])
    for loss, target in [
        (nn.CrossEntropyLoss(weight), Tensor([1])),
        (nn.NLLLoss(weight), Tensor([1])),
        (nn.BCELoss(weight), Tensor([[0.0, 1.0]])),
        (nn.BCEWithLogitsLoss(weight), Tensor([[0.0, 1.0]])),
    ]:
        assert loss(logits, target).dtype == np.float32


def test_arrays_are_accepted_and_lists_are_not():
    loss = nn.MSELoss()
    assert loss(np.ones(2, np.float32), np.zeros(2)).item() == 1.0
    with pytest.raises(DtypeError, match="Wrap lists in Tensor"):
        loss(Tensor([1.0]), [1.0])


def test_mean_with_class_weights_divides_by_their_sum():
    """Each row has loss log 2, whatever the weights are."""
    x, target = Tensor.zeros(3, 2), Tensor([0, 1, 1])
    loss = nn.CrossEntropyLoss(weight=[1.0, 3.0])
    assert loss(x, target).item() == pytest.approx(np.log(2))
    total = nn.CrossEntropyLoss([1.0, 3.0], reduction="sum")(x, target)
    assert total.item() == pytest.approx(7 * np.log(2))


def test_ignored_targets_have_no_gradient():
    x = leaf(np.ones((3, 2)))
    nn.CrossEntropyLoss()(x, Tensor([0, -100, 1])).backward()
    assert x.grad.tolist() == [[-0.25, 0.25], [0.0, 0.0], [0.25, -0.25]]


def test_a_model_learns_with_a_loss_module():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((32, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    model, loss = nn.Linear(3, 1, generator=generator), nn.HuberLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.3)
    first = loss(model(x), y).item()
    for _ in range(30):
        optimizer.zero_grad()
        error = loss(model(x), y)
        error.backward()
        optimizer.step()
    assert error.item() < first / 100

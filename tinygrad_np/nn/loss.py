"""Loss modules with PyTorch's arguments. Each calls the function in `nn.functional`."""

from typing import Any, ClassVar

from numpy.typing import ArrayLike

from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn import functional
from tinygrad_np.nn.module import Layer
from tinygrad_np.nn.parts import options_note

Weight = Tensor | ArrayLike | None


def _buffer(weight: Weight) -> Tensor | None:
    return weight if weight is None or isinstance(weight, Tensor) else Tensor(weight)


class _Loss(Layer):
    """Base class of losses: the reduction, and options that `repr` shows if they were changed."""

    _usual: ClassVar[dict[str, Any]] = {}

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def extra_repr(self) -> str:
        """Return the options that differ from their defaults."""
        return options_note(self, **self._usual, reduction="mean").removeprefix(", ")


class MSELoss(_Loss):
    """Mean squared error: the mean of (input - target)².

    Args:
        reduction: "mean", "sum", or "none" for one loss per entry.

    Raises:
        ArgumentError: in a call, if `reduction` is unknown.
        ShapeError: in a call, if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MSELoss()(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of `input` against a target of the same shape."""
        return functional.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Mean absolute error: the mean of |input - target|.

    The arguments and errors are those of `MSELoss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.L1Loss()(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of `input` against a target of the same shape."""
        return functional.l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """Squared error near 0, absolute error elsewhere: Huber loss divided by beta (Girshick 2015).

    The loss is d² / (2 beta) where |d| < beta, otherwise |d| - beta / 2, with d = input - target.

    Args:
        reduction: "mean", "sum" or "none".
        beta: size of the error above which the loss is linear; 0 gives `L1Loss`.

    Raises:
        ArgumentError: in a call, if `reduction` is unknown, or `beta` is negative.
        ShapeError: in a call, if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SmoothL1Loss()(Tensor([3.0]), Tensor([0.0]))
    Tensor(2.5)
    """

    _usual: ClassVar[dict[str, Any]] = {"beta": 1.0}

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of `input` against a target of the same shape."""
        return functional.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Squared error near 0, linear elsewhere (Huber 1964).

    The loss is d² / 2 where |d| < delta, otherwise delta (|d| - delta / 2), with
    d = input - target.

    Args:
        reduction: "mean", "sum" or "none".
        delta: size of the error above which the loss is linear.

    Raises:
        ArgumentError: in a call, if `reduction` is unknown, or `delta` is not above 0.
        ShapeError: in a call, if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.HuberLoss(delta=2.0)(Tensor([3.0]), Tensor([0.0]))
    Tensor(4.)
    """

    _usual: ClassVar[dict[str, Any]] = {"delta": 1.0}

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of `input` against a target of the same shape."""
        return functional.huber_loss(input, target, self.reduction, self.delta)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of logits against class indices or class probabilities.

    For class probabilities q, the loss is -Σ weight q log softmax(input) over the class axis, which
    is axis 1; a class index stands for probability 1 of that class.

    Args:
        weight: one number per class, kept as a buffer; 1 by default.
        ignore_index: class index whose entries are left out of the loss and the mean.
        reduction: "mean" (over class indices, divided by the sum of their weights), "sum" or
            "none".
        label_smoothing: probability that is taken from the target and shared by all classes.

    Raises:
        ArgumentError: in a call, if an option is invalid, or a label is out of range.
        DtypeError: in a call, if class indices are not integers.
        ShapeError: in a call, if the shapes do not match.

    >>> from tinygrad_np import Tensor, nn
    >>> loss = nn.CrossEntropyLoss()(Tensor([[0.0, 0.0], [0.0, 0.0]]), Tensor([1, 0]))
    >>> round(loss.item(), 4)
    0.6931
    """

    _usual: ClassVar[dict[str, Any]] = {"ignore_index": -100, "label_smoothing": 0.0}

    def __init__(
        self,
        weight: Weight = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (N, C, ...) against indices (N, ...) or probabilities."""
        return functional.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """Negative log-likelihood of log-probabilities against class indices.

    `NLLLoss` of `log_softmax` is `CrossEntropyLoss`; its arguments and errors are the same.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.NLLLoss()(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), Tensor([1, 0]))
    Tensor(2.5)
    """

    _usual: ClassVar[dict[str, Any]] = {"ignore_index": -100}

    def __init__(
        self, weight: Weight = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of log-probabilities (N, C, ...) against class indices (N, ...)."""
        return functional.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities against targets from 0 to 1.

    Args:
        weight: factor for each loss, kept as a buffer; broadcasts to the shape of the input.
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: in a call, if a probability is outside 0 to 1, or `reduction` is unknown.
        ShapeError: in a call, if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor, nn
    >>> round(nn.BCELoss()(Tensor([0.5]), Tensor([1.0])).item(), 4)
    0.6931
    """

    def __init__(self, weight: Weight = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of probabilities against a target of the same shape."""
        return functional.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of sigmoid(input) against targets from 0 to 1, without overflow.

    Args:
        weight: factor for each loss, kept as a buffer; broadcasts to the shape of the input.
        reduction: "mean", "sum" or "none".
        pos_weight: factor for the loss of positive targets, kept as a buffer.

    Raises:
        ArgumentError: in a call, if `reduction` is unknown.
        ShapeError: in a call, if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor, nn
    >>> round(nn.BCEWithLogitsLoss()(Tensor([0.0]), Tensor([1.0])).item(), 4)
    0.6931
    """

    def __init__(
        self, weight: Weight = None, reduction: str = "mean", pos_weight: Weight = None
    ) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.pos_weight = _buffer(pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits against a target of the same shape."""
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence target (log target - input) of log-probabilities.

    Args:
        reduction: "batchmean", the sum divided by the length of the first axis, which is the
            divergence; "mean", the sum divided by the number of entries; "sum" or "none".
        log_target: whether the target holds log-probabilities.

    Raises:
        ArgumentError: in a call, if `reduction` is unknown.
        ShapeError: in a call, if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor, nn
    >>> p = Tensor([[0.5, 0.5]])
    >>> nn.KLDivLoss("batchmean")(p.log(), Tensor([[1.0, 0.0]])).item()
    0.6931
    """

    _usual: ClassVar[dict[str, Any]] = {"log_target": False}

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of log-probabilities against a target of the same shape."""
        return functional.kl_div(input, target, self.reduction, self.log_target)


class TripletMarginLoss(_Loss):
    """Triplet loss: max(d(anchor, positive) - d(anchor, negative) + margin, 0).

    The distance d is the p-norm of the difference along the last axis (Balntas et al. 2016).

    Args:
        margin: smallest difference of the two distances for which the loss is 0.
        p: order of the norm.
        eps: number added to each difference, which keeps the gradient of equal vectors finite.
        swap: whether to use d(positive, negative) where it is less than d(anchor, negative).
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: in a call, if `reduction` is unknown, or `margin` is not above 0.
        ShapeError: in a call, if the shapes do not match.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.TripletMarginLoss()(Tensor([[0.0]]), Tensor([[2.0]]), Tensor([[1.5]]))
    Tensor(1.5)
    """

    _usual: ClassVar[dict[str, Any]] = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False}

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of vectors (..., D)."""
        return functional.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )

"""Shared by the tests of whole models: the models, three ways to compute gradients, a comparison.

Each way returns the same triple: the loss, a dict of gradients by parameter name, and the gradient
of the images.
"""

import numpy as np

from models import DigitsCNN, LabCNN, MnistCNN, MnistCNNLight
from tests.by_hand import im2col, networks
from tinygrad_np import Tensor

MODELS = {
    "MnistCNN": MnistCNN,
    "MnistCNNLight": MnistCNNLight,
    "LabCNN": LabCNN,
    "DigitsCNN": DigitsCNN,
}
NETWORKS = {
    "MnistCNN": networks.two_conv,
    "MnistCNNLight": networks.two_conv,
    "LabCNN": networks.one_conv_two_linear,
    "DigitsCNN": networks.one_conv_one_linear,
}
HAS_DROPOUT = ["MnistCNN", "MnistCNNLight"]

# Rounding errors of float32 sums are a few 1e-7 of the largest entry. Closer to a kink than this
# margin, they may change the sign.
SAFE_MARGIN = 1e-6


def new_model(name, seed, dtype):
    """Return a model with weights and dropout masks drawn from `seed`."""
    model = MODELS[name](np.random.default_rng(seed)).astype(dtype)
    if name in HAS_DROPOUT:
        model.dropout.generator = mask_generator(seed)
    return model


def mask_generator(seed):
    """Return the generator that draws the dropout masks of `new_model(..., seed, ...)`."""
    return np.random.default_rng([seed, 1])


def draw_kept(name, weights, batch, generator):
    """Draw the next dropout mask (N, hidden), or return None for a model without dropout."""
    if name not in HAS_DROPOUT:
        return None
    hidden = len(weights["fc1.bias"])
    return generator.random((batch, hidden), np.float32) >= networks.DROPOUT


def weights_of(model):
    """Return the state dict in float64; the cast from float32 is exact."""
    return {name: array.astype(np.float64) for name, array in model.state_dict().items()}


def draw_batch(name, batch, generator, dtype=np.float64):
    """Return random normal images and random labels."""
    side = 8 if name == "DigitsCNN" else 28
    images = generator.standard_normal((batch, 1, side, side)).astype(dtype)  # N, 1, H, W
    labels = generator.integers(0, 10, batch)  # N
    return images, labels


def draw_batch_away_from_kinks(name, weights, kept, batch, generator):
    """Draw float32 images until rounding cannot decide the result of any relu or pooling window.

    The gradient jumps at a kink, where float32 and float64 may correctly differ by more than any
    tolerance.
    """
    while True:
        images, labels = draw_batch(name, batch, generator, np.float32)
        watch = KinkWatch()
        by_hand(name, watch, weights, images.astype(np.float64), labels, kept)
        if watch.margin > SAFE_MARGIN:
            return images, labels


class KinkWatch:
    """The layers of `im2col`, recording how close relu and max pooling come to a kink."""

    def __init__(self):
        self.margin = np.inf

    def __getattr__(self, name):
        return getattr(im2col, name)

    def relu(self, x):
        """Return max(x, 0), and record the smallest |x| relative to the largest."""
        self.margin = min(self.margin, np.min(np.abs(x)) / np.max(np.abs(x)))
        return im2col.relu(x)

    def max_pool2d(self, x):
        """Return the maxima, and record the smallest lead of a maximum, relative to the largest."""
        columns = np.sort(im2col.pool_columns(x), axis=0)  # 4, N C P Q
        lead = columns[-1] - columns[-2]  # N C P Q
        # A window of zeros after relu passes no gradient, so its ties do not matter.
        alive = columns[-1] > 0  # N C P Q
        self.margin = min(self.margin, np.min(lead[alive]) / np.max(columns))
        return im2col.max_pool2d(x)


def by_hand(name, layers, weights, images, labels, kept=None):
    """Return the triple of the network written by hand on `loops` or `im2col`."""
    if kept is None:
        return NETWORKS[name](layers, weights, images, labels)
    return NETWORKS[name](layers, weights, images, labels, kept)


def autodiff(model, images, labels):
    """Return the triple computed by tinygrad_np."""
    x = Tensor(images, requires_grad=True)
    model.zero_grad()
    loss = model(x).cross_entropy(labels)
    loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    return loss.item(), gradients, x.grad.numpy()


def relative_error(found, reference):
    """Return max|found - reference| / max|reference| over the entries of one array.

    The error is relative to the whole array rather than to each entry: an entry that cancels to
    nearly 0 carries the rounding errors of its large summands, in any order of summation.
    """
    return np.max(np.abs(found - reference)) / np.max(np.abs(reference))


def disagreements(found, reference, tolerance):
    """Return, by name, the errors of two triples that exceed `tolerance`.

    >>> found = (1.0, {"w": np.array([2.0, 3.003])}, np.array([4.0]))
    >>> reference = (1.0, {"w": np.array([2.0, 3.0])}, np.array([4.0]))
    >>> disagreements(found, reference, 1e-2)
    {}
    >>> list(disagreements(found, reference, 1e-4))
    ['w']
    """
    found_arrays, reference_arrays = named(found), named(reference)
    if found_arrays.keys() != reference_arrays.keys():
        return {"names": found_arrays.keys() ^ reference_arrays.keys()}
    worse = {}
    for name, array in found_arrays.items():
        if np.shape(array) != np.shape(reference_arrays[name]):
            worse[name] = (np.shape(array), np.shape(reference_arrays[name]))
            continue
        error = float(relative_error(array, reference_arrays[name]))
        if not error <= tolerance:  # also true for nan
            worse[name] = error
    return worse


def named(triple):
    """Return the arrays of a triple by name."""
    loss, gradients, grad_images = triple
    return {"loss": loss, **gradients, "images": grad_images}

"""What the tests of whole models share: the models, the ways to their gradients, the comparison.

Each way returns the same triple: the loss, a dict of gradients by parameter name, the gradient for
the images.
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

# A float32 sum may be off by a few 1e-7 of the largest; nearer to a kink than this its sign is
# anybody's guess.
SAFE_MARGIN = 1e-6


def new_model(name, seed, dtype):
    """Return a model whose weights, and after them whose dropout masks, are drawn from `seed`."""
    model = MODELS[name](np.random.default_rng(seed)).astype(dtype)
    if name in HAS_DROPOUT:
        model.dropout.generator = mask_generator(seed)
    return model


def mask_generator(seed):
    """Return the generator of the dropout masks of `new_model(..., seed, ...)`."""
    return np.random.default_rng([seed, 1])


def draw_kept(name, weights, batch, generator):
    """Draw the next mask (N, hidden), or None for a model without dropout."""
    if name not in HAS_DROPOUT:
        return None
    hidden = len(weights["fc1.bias"])
    return generator.random((batch, hidden), np.float32) >= networks.DROPOUT


def weights_of(model):
    """Return the state dict in float64: of float32 weights the very same numbers."""
    return {name: array.astype(np.float64) for name, array in model.state_dict().items()}


def draw_batch(name, batch, generator, dtype=np.float64):
    """Return random normal images and random labels."""
    side = 8 if name == "DigitsCNN" else 28
    images = generator.standard_normal((batch, 1, side, side)).astype(dtype)  # N, 1, H, W
    labels = generator.integers(0, 10, batch)  # N
    return images, labels


def draw_batch_away_from_kinks(name, weights, kept, batch, generator):
    """Draw float32 images until no relu and no pool window is so close that rounding decides.

    At a kink the gradient jumps: there float32 and float64 may rightly differ by more than any
    tolerance, on either side of it.
    """
    while True:
        images, labels = draw_batch(name, batch, generator, np.float32)
        watch = KinkWatch()
        by_hand(name, watch, weights, images.astype(np.float64), labels, kept)
        if watch.margin > SAFE_MARGIN:
            return images, labels


class KinkWatch:
    """The layers of `im2col`, noting how close any relu comes to 0 and any pool window to a tie."""

    def __init__(self):
        self.margin = np.inf

    def __getattr__(self, name):
        return getattr(im2col, name)

    def relu(self, x):
        """Return max(x, 0), and note the smallest |x| as a part of the largest."""
        self.margin = min(self.margin, np.min(np.abs(x)) / np.max(np.abs(x)))
        return im2col.relu(x)

    def max_pool2d(self, x):
        """Return the maxima, and note the smallest lead of a winner as a part of the largest x."""
        columns = np.sort(im2col.pool_columns(x), axis=0)  # 4, N C P Q
        lead = columns[-1] - columns[-2]  # N C P Q
        # Where relu left nothing but zeros it also stops the gradient, whoever wins.
        alive = columns[-1] > 0  # N C P Q
        self.margin = min(self.margin, np.min(lead[alive]) / np.max(columns))
        return im2col.max_pool2d(x)


def by_hand(name, layers, weights, images, labels, kept=None):
    """Return the triple of the network written by hand, on `loops` or `im2col`."""
    if kept is None:
        return NETWORKS[name](layers, weights, images, labels)
    return NETWORKS[name](layers, weights, images, labels, kept)


def autodiff(model, images, labels):
    """Return the triple of tinygrad_np."""
    x = Tensor(images, requires_grad=True)
    model.zero_grad()
    loss = model(x).cross_entropy(labels)
    loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    return loss.item(), gradients, x.grad.numpy()


def relative_error(found, reference):
    """Return max|found - reference| / max|reference|, over the entries of one array.

    The norm is the array's, not the entry's: an entry that cancels to nearly 0 carries the rounding
    of the large terms that it is a sum of, in any order of summation.
    """
    return np.max(np.abs(found - reference)) / np.max(np.abs(reference))


def disagreements(found, reference, tolerance):
    """Return, by name, what of two triples differs by more than `tolerance`, and by how much.

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
        if not error <= tolerance:  # so that nan is caught
            worse[name] = error
    return worse


def named(triple):
    """Return the arrays of a triple by name."""
    loss, gradients, grad_images = triple
    return {"loss": loss, **gradients, "images": grad_images}

"""Backpropagate MnistCNN by hand in NumPy, and compare each step with what the tape found.

    python examples/by_hand_vs_autodiff.py

This is a lesson to be read from top to bottom, next to models/mnist_cnn.py. One learns that
backpropagation is a line of calculus for each line of the forward pass, in the opposite order, and
that `loss.backward()` does nothing else. Then: break a line of `backward`, run again, and see that
the first row of the second table that is DIFFERENT names it.

Letters of shapes: N images, C channels in, K channels out, H W height and width, R S the kernel.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import shared
from models import MnistCNN
from tinygrad_np import Tensor, data, viz
from tinygrad_np.files import make_folder

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]  # by name: values, gradients, weights
DROPOUT = 0.25
NAMES = ["images", "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flat"]
NAMES += ["fc1", "relu3", "dropout", "fc2"]  # in the order of MnistCNN.forward
TOLERANCE = 100  # times the spacing of numbers at 1

# ---- The layers: what goes in, what comes out, and how a gradient goes back --------------------


def columns_of(x: Array) -> Array:
    """Return, as a row for each place of a 3x3 kernel, the pixels under it: N H W, C R S."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))  # N, C, H+2, W+2
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))  # N, C, H, W, R, S
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def conv(x: Array, weight: Array, bias: Array) -> Array:
    """out[n,k,i,j] = bias[k] + sum over c,r,s of padded[n,c,i+r,j+s] weight[k,c,r,s].

    With the pixels laid out in rows this is one product of matrices.
    """
    n, _, h, w = x.shape
    rows = columns_of(x) @ weight.reshape(len(weight), -1).T + bias  # N H W, K
    return rows.reshape(n, h, w, -1).transpose(0, 3, 1, 2)  # N, K, H, W


def conv_backward(grad_out: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return the gradients for x, weight and bias.

    Of a product out = A B:  grad_A = grad_out Bᵀ,  grad_B = Aᵀ grad_out.
    """
    n, c, h, w = x.shape
    rows = grad_out.transpose(0, 2, 3, 1).reshape(n * h * w, -1)  # N H W, K
    grad_weight = (rows.T @ columns_of(x)).reshape(weight.shape)  # K, C, R, S
    grad_bias = rows.sum(axis=0)  # K: the bias was added at each place, so its gradient is a sum
    grad_columns = (rows @ weight.reshape(len(weight), -1)).reshape(n, h, w, c, 3, 3)
    # A pixel was copied into nine columns: its gradient is the sum of theirs.
    grad_padded = np.zeros((n, c, h + 2, w + 2), x.dtype)
    for r, s in np.ndindex(3, 3):
        grad_padded[:, :, r : r + h, s : s + w] += grad_columns[..., r, s].transpose(0, 3, 1, 2)
    return grad_padded[:, :, 1:-1, 1:-1], grad_weight, grad_bias


def windows_of(x: Array) -> Array:
    """Return the four pixels of each 2x2 window: N, C, H/2, W/2, 4."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)


def max_pool_backward(grad_out: Array, x: Array) -> Array:
    """Hand each window's gradient to its largest pixel (the first of equals); the others get 0."""
    n, c, h, w = x.shape
    grad_windows = np.zeros((n, c, h // 2, w // 2, 4), x.dtype)
    winners = windows_of(x).argmax(axis=-1, keepdims=True)  # N, C, H/2, W/2, 1
    np.put_along_axis(grad_windows, winners, grad_out[..., None], axis=-1)
    return grad_windows.reshape(n, c, h // 2, w // 2, 2, 2).swapaxes(3, 4).reshape(x.shape)


# ---- The network ------------------------------------------------------------------------------


def forward(weights: Arrays, images: Array, labels: Array, scale: Array) -> Arrays:
    """Return all that is computed on the way to the loss: backward needs it again."""
    v = {"images": images}  # N, 1, 28, 28
    v["conv1"] = conv(images, weights["conv1.weight"], weights["conv1.bias"])  # N, 32, 28, 28
    v["relu1"] = np.maximum(v["conv1"], 0)  # N, 32, 28, 28
    v["pool1"] = windows_of(v["relu1"]).max(axis=-1)  # N, 32, 14, 14
    v["conv2"] = conv(v["pool1"], weights["conv2.weight"], weights["conv2.bias"])  # N, 64, 14, 14
    v["relu2"] = np.maximum(v["conv2"], 0)  # N, 64, 14, 14
    v["pool2"] = windows_of(v["relu2"]).max(axis=-1)  # N, 64, 7, 7
    v["flat"] = v["pool2"].reshape(len(images), -1)  # N, 3136
    v["fc1"] = v["flat"] @ weights["fc1.weight"].T + weights["fc1.bias"]  # N, 128
    v["relu3"] = np.maximum(v["fc1"], 0)  # N, 128
    v["dropout"] = v["relu3"] * scale  # N, 128: times 0, or 1 / (1 - p) to keep the mean
    v["fc2"] = v["dropout"] @ weights["fc2.weight"].T + weights["fc2.bias"]  # N, 10: the logits
    # loss = mean over n of -log softmax(z)[label] = mean of log(sum over m of e^z[m]) - z[label].
    z = v["fc2"] - v["fc2"].max(axis=1, keepdims=True)  # N, 10: the largest 0, so no overflow
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(labels)), labels]  # N
    v["loss"] = losses.mean()  # one number
    return v


def backward(v: Arrays, weights: Arrays, labels: Array, scale: Array) -> Arrays:
    """Return the gradient of the loss for each value of `forward` and for each weight.

    Every line takes the gradient for what a layer put out and makes that for what it was given.
    """
    g = {}
    # d loss / d z[n,m] = (softmax(z)[n,m] - [m is the label of n]) / N
    powers = np.exp(v["fc2"] - v["fc2"].max(axis=1, keepdims=True))  # N, 10
    one_hot = np.eye(10, dtype=powers.dtype)[labels]  # N, 10
    g["fc2"] = (powers / powers.sum(axis=1, keepdims=True) - one_hot) / len(labels)  # N, 10
    # out = x weightᵀ + bias:  grad_x = grad_out weight, grad_weight = grad_outᵀ x
    g["dropout"] = g["fc2"] @ weights["fc2.weight"]  # N, 128
    g["fc2.weight"] = g["fc2"].T @ v["dropout"]  # 10, 128
    g["fc2.bias"] = g["fc2"].sum(axis=0)  # 10
    # out = x scale:  grad_x = grad_out scale, with the mask that forward used
    g["relu3"] = g["dropout"] * scale  # N, 128
    # out = max(x, 0):  grad_x = grad_out where x > 0, else 0
    g["fc1"] = g["relu3"] * (v["fc1"] > 0)  # N, 128
    # Another linear layer, the same two products.
    g["flat"] = g["fc1"] @ weights["fc1.weight"]  # N, 3136
    g["fc1.weight"] = g["fc1"].T @ v["flat"]  # 128, 3136
    g["fc1.bias"] = g["fc1"].sum(axis=0)  # 128
    # The same numbers in another shape have the same gradients in that shape.
    g["pool2"] = g["flat"].reshape(v["pool2"].shape)  # N, 64, 7, 7
    # out = max of four:  d out / d x = 1 for the winner, 0 for the others
    g["relu2"] = max_pool_backward(g["pool2"], v["relu2"])  # N, 64, 14, 14
    g["conv2"] = g["relu2"] * (v["conv2"] > 0)  # N, 64, 14, 14
    # out = columns weightᵀ + bias: a linear layer, whose columns lead back to the pixels
    g["pool1"], g["conv2.weight"], g["conv2.bias"] = conv_backward(
        g["conv2"], v["pool1"], weights["conv2.weight"]
    )  # N, 32, 14, 14; 64, 32, 3, 3; 64
    g["relu1"] = max_pool_backward(g["pool1"], v["relu1"])  # N, 32, 28, 28
    g["conv1"] = g["relu1"] * (v["conv1"] > 0)  # N, 32, 28, 28
    g["images"], g["conv1.weight"], g["conv1.bias"] = conv_backward(
        g["conv1"], v["images"], weights["conv1.weight"]
    )  # N, 1, 28, 28; 32, 1, 3, 3; 32
    return g


# ---- The same by the tape, and the comparison ---------------------------------------------------


def by_tape(model: MnistCNN, images: Array, labels: Array) -> tuple[Arrays, Arrays]:
    """Return the values and the gradients of the package: the loss, and `loss.backward()`."""
    outputs = [Tensor(images, requires_grad=True)]

    def note(module: Any, inputs: Any, output: Tensor) -> None:
        output.retain_grad()  # else only leaves, such as weights, have a .grad
        outputs.append(output)

    handles = [layer.register_forward_hook(note) for layer in model.children()]
    model.zero_grad()
    loss = model(outputs[0]).cross_entropy(labels)
    loss.backward()
    for handle in handles:
        handle.remove()
    named = dict(zip(NAMES, outputs, strict=True))
    values = {name: tensor.data for name, tensor in named.items()} | {"loss": loss.data}
    grads = {name: t.grad.data for name, t in [*named.items(), *model.named_parameters()]}
    return values, grads


def compare(dtype: type) -> dict[str, float]:
    """Print both tables in one dtype; return the relative differences of the gradients."""
    model = MnistCNN(np.random.default_rng(0)).astype(dtype)
    weights = model.state_dict()
    images, labels = data.digits(size=28)[0].batch(slice(0, 4))  # N, 1, 28, 28; N
    # A little noise: in the even background of a digit all pixels of a window tie.
    images += 0.1 * np.random.default_rng(2).standard_normal(images.shape, np.float32)
    images = images.astype(dtype)
    # Two generators of one seed draw the same mask: one for the model, one for us.
    model.dropout.generator = np.random.default_rng(1)
    kept = np.random.default_rng(1).random((len(images), 128), np.float32) >= DROPOUT
    scale = kept.astype(dtype) / np.asarray(1 - DROPOUT, dtype)  # N, 128

    values = forward(weights, images, labels, scale)
    grads = backward(values, weights, labels, scale)
    tape_values, tape_grads = by_tape(model, images, labels)
    name, eps = np.dtype(dtype).name, float(np.finfo(dtype).eps)
    print(f"\n{name}, in which the number after 1 is 1 + {eps:.1e}\n")
    table("forward: value", values, tape_values, TOLERANCE * eps)
    return table("backward: gradient for", grads, tape_grads, TOLERANCE * eps)


def table(title: str, hand: Arrays, tape: Arrays, tolerance: float) -> dict[str, float]:
    """Print a line for each array; return its largest difference by its largest entry.

    By the array's largest entry, since an entry near 0 that remains of large terms carries their
    rounding.
    """
    print(f"{title:24}{'shape':18}{'largest difference':>20}{'relative':>10}  verdict")
    differences = {}
    for name, array in hand.items():
        difference = np.abs(array - tape[name]).max()
        relative = differences[name] = float(difference / max(np.abs(array).max(), 1e-30))
        # Written so that nan is different, too.
        verdict = "the same" if relative <= tolerance else "DIFFERENT"
        shape = "x".join(map(str, array.shape)) or "number"
        print(f"{name:24}{shape:18}{difference:20.1e}{relative:10.1e}  {verdict}")
    print()
    return differences


def picture(differences: dict[str, dict[str, float]]) -> Figure:
    """Show how far hand and tape are apart, in float32 and in float64."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    for dtype, found in differences.items():
        (points,) = axes.plot(list(found.values()), list(found), "o", label=dtype)
        axes.axvline(float(np.finfo(dtype).eps), color=points.get_color(), ls="--", alpha=0.6)
    axes.set(xscale="log", xlim=(1e-17, 1), xlabel="relative difference of hand and tape")
    axes.set_title("Gradients, from the loss back; dashed: the spacing of numbers at 1")
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


ADVICE = """\
Both sides compute the same sums, some in another order, and each addition is rounded by up to half
of that spacing. Over the few thousand terms of a sum, and from layer to layer, that comes to a few
spacings: about 1e-15 in float64 and a few 1e-7 in float32. A mistake in the calculus is far larger,
and the same in both: so gradients are checked in float64, where nothing can be mistaken for
rounding. (Beware of kinks: where relu is given 0, or two pixels of a window tie, rounding may
choose the side, and float32 may then differ much more in that entry, with nobody being wrong.)
"""


def main() -> int:
    """Compare hand and tape, in float64 and float32; return 0, or 1 where they differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    default = Path("runs/by_hand_vs_autodiff")
    parser.add_argument("--out", type=Path, default=default, help="%(default)s")
    out: Path = parser.parse_args().out
    differences = {np.dtype(dtype).name: compare(dtype) for dtype in (np.float64, np.float32)}
    print(ADVICE)
    make_folder(out, "--out")
    viz.save(picture(differences), out / "differences.png")
    print(f"The differences as a picture: {out / 'differences.png'}")
    limit = TOLERANCE * np.finfo(np.float64).eps
    wrong = [name for name, found in differences["float64"].items() if not found <= limit]
    if wrong:
        print(f"error: hand and tape differ, first in the gradient for {wrong[0]}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(shared.run(main))

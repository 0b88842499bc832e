"""Compute the gradients of MnistCNN by hand in NumPy and check each one against autodiff.

    python examples/by_hand_vs_autodiff.py

Read this file from top to bottom, alongside models/mnist_cnn.py. It shows that backpropagation is
one line of calculus per line of the forward pass, taken in reverse order, and that
`loss.backward()` does exactly that.

The script prints two tables per dtype (float64, then float32): every intermediate value of the
forward pass, and every gradient of the backward pass, each with the largest difference between the
two computations. It saves a plot of the gradient differences to
runs/by_hand_vs_autodiff/differences.png and exits with status 1 if any float64 gradient differs.

To see that the comparison finds mistakes, change a line of `backward` and run the script again: the
first row marked DIFFERENT in the second table names the broken line.

Shape letters: N images, C input channels, K output channels, H x W image size, R x S kernel size.
"""

import sys
from typing import Any

import numpy as np

import shared
from models import MnistCNN
from tinygrad_np import Tensor, data, viz
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]  # values, gradients or weights by name
DROPOUT = 0.25
NAMES = ["images", "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flat"]
NAMES += ["fc1", "relu3", "dropout", "fc2"]  # in the order of MnistCNN.forward
TOLERANCE = 100  # in units of machine epsilon

# ---- Layers: forward and backward ---------------------------------------------------------------


def columns_of(x: Array) -> Array:
    """Return the pixels under a 3x3 kernel at each position, one row per position (im2col).

    The image is padded by 1, so there are H * W positions and the result has shape
    (N * H * W, C * R * S).
    """
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))  # N, C, H+2, W+2
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))  # N, C, H, W, R, S
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def conv(x: Array, weight: Array, bias: Array) -> Array:
    """Return the 3x3 convolution of x, zero-padded by 1.

    out[n,k,i,j] = bias[k] + sum over c,r,s of padded[n,c,i+r,j+s] weight[k,c,r,s].

    With the pixels under the kernel laid out in rows (`columns_of`), all these sums are one matrix
    product.
    """
    n, _, h, w = x.shape
    rows = columns_of(x) @ weight.reshape(len(weight), -1).T + bias  # N*H*W, K
    return rows.reshape(n, h, w, -1).transpose(0, 3, 1, 2)  # N, K, H, W


def conv_backward(grad_out: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return the gradients with respect to x, weight and bias.

    The forward pass is a matrix product, so the gradients of its two factors are matrix products:
    for out = A B,  grad_A = grad_out Bᵀ  and  grad_B = Aᵀ grad_out.  Here A holds the columns and B
    is the transposed weight matrix.
    """
    n, c, h, w = x.shape
    rows = grad_out.transpose(0, 2, 3, 1).reshape(n * h * w, -1)  # N*H*W, K
    grad_weight = (rows.T @ columns_of(x)).reshape(weight.shape)  # K, C, R, S
    grad_bias = rows.sum(axis=0)  # K: added at every position, so the gradient sums over them
    grad_columns = (rows @ weight.reshape(len(weight), -1)).reshape(n, h, w, c, 3, 3)
    # im2col copied each pixel into up to nine rows, so its gradient is the sum over those copies.
    grad_padded = np.zeros((n, c, h + 2, w + 2), x.dtype)
    for r, s in np.ndindex(3, 3):
        grad_padded[:, :, r : r + h, s : s + w] += grad_columns[..., r, s].transpose(0, 3, 1, 2)
    return grad_padded[:, :, 1:-1, 1:-1], grad_weight, grad_bias


def windows_of(x: Array) -> Array:
    """Return the four pixels of each 2x2 window: N, C, H/2, W/2, 4."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)


def max_pool_backward(grad_out: Array, x: Array) -> Array:
    """Return the gradient with respect to x, the input of a 2x2 max pooling.

    The maximum equals one of the four pixels, so each window's gradient goes to that pixel (the
    first one if several tie) and the other three get 0.
    """
    n, c, h, w = x.shape
    grad_windows = np.zeros((n, c, h // 2, w // 2, 4), x.dtype)
    winners = windows_of(x).argmax(axis=-1, keepdims=True)  # N, C, H/2, W/2, 1
    np.put_along_axis(grad_windows, winners, grad_out[..., None], axis=-1)
    return grad_windows.reshape(n, c, h // 2, w // 2, 2, 2).swapaxes(3, 4).reshape(x.shape)


# ---- The network --------------------------------------------------------------------------------


def forward(weights: Arrays, images: Array, labels: Array, scale: Array) -> Arrays:
    """Return every intermediate value, and the loss; `backward` needs them.

    `scale` is the dropout mask: 0 for a dropped unit, 1 / (1 - p) for a kept one.
    """
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
    v["dropout"] = v["relu3"] * scale  # N, 128: dropout that keeps the expected value
    v["fc2"] = v["dropout"] @ weights["fc2.weight"].T + weights["fc2.bias"]  # N, 10: the logits
    # Cross-entropy: loss = mean over n of -log softmax(z)[label]
    #                     = mean over n of log(sum over m of e^z[m]) - z[label].
    # Subtracting the largest logit leaves the loss unchanged and keeps exp from overflowing.
    z = v["fc2"] - v["fc2"].max(axis=1, keepdims=True)  # N, 10
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(labels)), labels]  # N
    v["loss"] = losses.mean()  # scalar
    return v


def backward(v: Arrays, weights: Arrays, labels: Array, scale: Array) -> Arrays:
    """Return the gradient of the loss with respect to every value of `forward` and every weight.

    The lines follow those of `forward` in reverse order. Each line takes the gradient with respect
    to a layer's output (`grad_out` in the formulas) and applies the chain rule to get the gradients
    with respect to the layer's inputs. g[name] is d loss / d v[name], or d loss / d weights[name].
    """
    g = {}
    # Cross-entropy and softmax together:
    # d loss / d z[n,m] = (softmax(z)[n,m] - one_hot[n,m]) / N
    powers = np.exp(v["fc2"] - v["fc2"].max(axis=1, keepdims=True))  # N, 10
    one_hot = np.eye(10, dtype=powers.dtype)[labels]  # N, 10
    g["fc2"] = (powers / powers.sum(axis=1, keepdims=True) - one_hot) / len(labels)  # N, 10
    # Linear: out = x weightᵀ + bias, so grad_x = grad_out weight, grad_weight = grad_outᵀ x, and
    # grad_bias sums grad_out over the batch, because the bias was broadcast over it.
    g["dropout"] = g["fc2"] @ weights["fc2.weight"]  # N, 128
    g["fc2.weight"] = g["fc2"].T @ v["dropout"]  # 10, 128
    g["fc2.bias"] = g["fc2"].sum(axis=0)  # 10
    # Dropout: out = x scale, so grad_x = grad_out scale, with the same mask as in the forward pass.
    g["relu3"] = g["dropout"] * scale  # N, 128
    # ReLU: out = max(x, 0), so grad_x = grad_out where x > 0, and 0 elsewhere.
    g["fc1"] = g["relu3"] * (v["fc1"] > 0)  # N, 128
    # Another linear layer: the same two products and the same sum.
    g["flat"] = g["fc1"] @ weights["fc1.weight"]  # N, 3136
    g["fc1.weight"] = g["fc1"].T @ v["flat"]  # 128, 3136
    g["fc1.bias"] = g["fc1"].sum(axis=0)  # 128
    # Flatten only reshapes, so its gradient is reshaped back.
    g["pool2"] = g["flat"].reshape(v["pool2"].shape)  # N, 64, 7, 7
    # Max pooling: d out / d x is 1 for the largest of the four pixels, 0 for the others.
    g["relu2"] = max_pool_backward(g["pool2"], v["relu2"])  # N, 64, 14, 14
    g["conv2"] = g["relu2"] * (v["conv2"] > 0)  # N, 64, 14, 14
    # Convolution: out = columns weightᵀ + bias is a linear layer; the gradient with respect to the
    # columns is then added back onto the pixels that they were copied from.
    g["pool1"], g["conv2.weight"], g["conv2.bias"] = conv_backward(
        g["conv2"], v["pool1"], weights["conv2.weight"]
    )  # N, 32, 14, 14; 64, 32, 3, 3; 64
    g["relu1"] = max_pool_backward(g["pool1"], v["relu1"])  # N, 32, 28, 28
    g["conv1"] = g["relu1"] * (v["conv1"] > 0)  # N, 32, 28, 28
    g["images"], g["conv1.weight"], g["conv1.bias"] = conv_backward(
        g["conv1"], v["images"], weights["conv1.weight"]
    )  # N, 1, 28, 28; 32, 1, 3, 3; 32
    return g


# ---- Autodiff, and the comparison ---------------------------------------------------------------


def by_tape(model: MnistCNN, images: Array, labels: Array) -> tuple[Arrays, Arrays]:
    """Return the values that the model computes, and the gradients from `loss.backward()`."""
    outputs = [Tensor(images, requires_grad=True)]

    def note(module: Any, inputs: Any, output: Tensor) -> None:
        output.retain_grad()  # by default only leaves, such as weights, get a .grad
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
    """Print both tables for `dtype`; return the relative difference of each gradient."""
    model = MnistCNN(np.random.default_rng(0)).astype(dtype)
    weights = model.state_dict()
    images, labels = data.digits(size=28)[0].batch(slice(0, 4))  # N, 1, 28, 28; N
    # Noise breaks ties: in the uniform background of a digit, all pixels of a window are equal.
    images += 0.1 * np.random.default_rng(2).standard_normal(images.shape, np.float32)
    images = images.astype(dtype)
    # Two generators with the same seed draw the same dropout mask for the model and for us.
    model.dropout.generator = np.random.default_rng(1)
    kept = np.random.default_rng(1).random((len(images), 128), np.float32) >= DROPOUT
    scale = kept.astype(dtype) / np.asarray(1 - DROPOUT, dtype)  # N, 128

    values = forward(weights, images, labels, scale)
    grads = backward(values, weights, labels, scale)
    tape_values, tape_grads = by_tape(model, images, labels)
    name, eps = np.dtype(dtype).name, float(np.finfo(dtype).eps)
    print(f"\n{name} (machine epsilon {eps:.1e})\n")
    table("forward: value", values, tape_values, TOLERANCE * eps)
    return table("backward: gradient of", grads, tape_grads, TOLERANCE * eps)


def table(title: str, hand: Arrays, tape: Arrays, tolerance: float) -> dict[str, float]:
    """Print one row per array; return each array's relative difference.

    The relative difference is the largest difference divided by the array's largest entry. Dividing
    entry by entry would be misleading: an entry near 0 that is the sum of large terms carries the
    rounding errors of those terms.
    """
    print(f"{title:24}{'shape':18}{'largest difference':>20}{'relative':>10}  verdict")
    differences = {}
    for name, array in hand.items():
        difference = np.abs(array - tape[name]).max()
        relative = differences[name] = float(difference / max(np.abs(array).max(), 1e-30))
        # With this comparison, nan counts as different.
        verdict = "same" if relative <= tolerance else "DIFFERENT"
        shape = "x".join(map(str, array.shape)) or "scalar"
        print(f"{name:24}{shape:18}{difference:20.1e}{relative:10.1e}  {verdict}")
    print()
    return differences


def picture(differences: dict[str, dict[str, float]]) -> viz.Figure:
    """Plot the relative difference of each gradient, in float32 and float64."""
    figure = viz.Figure((8, 6))
    axes = figure.subplots()
    for dtype, found in differences.items():
        (points,) = axes.plot(list(found.values()), list(found), "o", label=dtype)
        axes.axvline(float(np.finfo(dtype).eps), color=points.get_color(), ls="--", alpha=0.6)
    axes.set(xscale="log", xlim=(1e-17, 1), xlabel="relative difference, by hand vs. autodiff")
    axes.set_title("Gradients in backward order (dashed lines: machine epsilon)")
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


ADVICE = """\
Both computations form the same sums, some of them in a different order, and each addition rounds by
up to half of machine epsilon. Over sums of a few thousand terms and several layers, these errors
grow to a few epsilon: about 1e-15 in float64 and a few 1e-7 in float32. A mistake in the calculus
causes a far larger difference, of the same size in both dtypes. That is why gradients are checked
in float64, where rounding cannot be mistaken for an error. Watch out for kinks: where a relu input
is close to 0, or two pixels of a pooling window nearly tie, rounding can decide which branch is
taken. A float32 entry may then differ much more although neither computation is wrong.
"""


def main() -> int:
    """Compare in float64 and float32; return 1 if a float64 gradient differs, else 0."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    text = "output directory (default: runs/by_hand_vs_autodiff, with a number if it exists)"
    parser.add_argument("--out", type=path, metavar="DIR", help=text)
    args = parser.parse_args()
    differences = {np.dtype(dtype).name: compare(dtype) for dtype in (np.float64, np.float32)}
    print(ADVICE)
    out = shared.output_folder(args.out, "runs/by_hand_vs_autodiff")
    viz.save(picture(differences), out / "differences.png")
    print(f"plot of the differences: {out / 'differences.png'}")
    limit = TOLERANCE * np.finfo(np.float64).eps
    wrong = [name for name, found in differences["float64"].items() if not found <= limit]
    if wrong:
        print(
            "error: the gradients by hand and by autodiff differ, starting with the gradient of "
            f"{wrong[0]}.",
            file=sys.stderr,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run_program(main))

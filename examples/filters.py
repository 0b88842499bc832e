"""Apply ten classic convolution filters to a photograph, and work small examples by hand.

    python examples/filters.py

It shows that a convolution slides a small table of weights over an image, that edge detection,
blurring and sharpening differ only in those weights, and how padding, stride and pooling determine
the output size.

It prints four worked examples, each checked against the result computed by hand, and saves the
filtered photograph to runs/filters/filters.png. Filter outputs are clipped to 0..255 there, so an
edge filter shows only the edges where its sum is positive, for example those from dark to light.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import get_sample_data
from PIL import Image

import shared
from tinygrad_np import Tensor, TinygradNpError, viz
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program
from tinygrad_np.data.filters import FILTERS
from tinygrad_np.viz.figure import grid

Matrix = np.ndarray[Any, Any]


class WrongNumberError(TinygradNpError):
    """Raised if a worked example differs from the result computed by hand."""


def main() -> None:
    """Print the worked examples and plot the filtered photograph."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="output directory (default: runs/filters, with a number if it exists)",
    )
    args = parser.parse_args()
    print("The output size of a convolution or pooling, along each axis:\n")
    print("    out = floor((in + 2 padding - kernel) / stride) + 1\n")
    convolutions()
    poolings()
    out = shared.output_folder(args.out, "runs/filters")
    photo = photograph()
    viz.save(gallery(photo), out / "filters.png")
    height, width = photo.shape
    print(f"plot of ten filters on a {height}x{width} photograph: {out / 'filters.png'}")


def convolve(image: Matrix, kernel: Matrix, padding: int = 0, stride: int = 1) -> Matrix:
    """Convolve an image (H, W) with a kernel (R, S); return an image (P, Q).

    out[p, q] = sum over r, s of padded[stride p + r, stride q + s] kernel[r, s]. P and Q are
    given by `output_size`. The kernel is not flipped: convolution in deep learning is what signal
    processing calls cross-correlation.
    """
    # conv2d takes a batch of multi-channel images: 1, 1, H, W and 1, 1, R, S.
    x, weight = Tensor(image[None, None]), Tensor(kernel[None, None])
    out: Matrix = x.conv2d(weight, padding=padding, stride=stride).data[0, 0]
    return out  # P, Q


def pool(image: Matrix, kind: str, window: int) -> Matrix:
    """Replace each window of an image (H, W) with its maximum or average, and return the result."""
    x = Tensor(image[None, None])  # 1, 1, H, W
    pooled = x.max_pool2d(window) if kind == "max" else x.avg_pool2d(window)
    out: Matrix = pooled.data[0, 0]
    return out  # P, Q


def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Return the output size along one axis; pixels left over at the end are ignored."""
    return (size + 2 * padding - kernel) // stride + 1


def convolutions() -> None:
    """Print three convolutions of matrices small enough to compute by hand."""
    rows = np.array([[255, 1, 2]] * 3, np.float32)
    column = np.array([[0, 1, 0]] * 3, np.float32)
    print("1. No padding: the kernel fits at one position and sums the middle column: 1 + 1 + 1.")
    show_example(rows, column, [[3]])
    print(
        "2. Padding 1: a border of zeros keeps the image size. Each entry is the sum of three\n"
        "   pixels of its column; in the top and bottom rows, one of the three is a border zero."
    )
    show_example(rows, column, [[510, 2, 4], [765, 3, 6], [510, 2, 4]], padding=1)
    print(
        "3. Stride 3: the kernel moves three pixels at a time. Along each axis it starts at 0 and\n"
        "   at 3. At each position it sums 25 ones."
    )
    show_example(
        np.ones((8, 8), np.float32), np.ones((5, 5), np.float32), [[25, 25], [25, 25]], stride=3
    )


def show_example(
    image: Matrix,
    kernel: Matrix,
    expected: Sequence[Sequence[int]],
    *,
    padding: int = 0,
    stride: int = 1,
) -> None:
    """Print a convolution and check it against the result computed by hand."""
    found = convolve(image, kernel, padding, stride)
    size = output_size(len(image), len(kernel), padding, stride)
    print(beside(image, "*", kernel, "=", found))
    print(
        f"    size: floor(({len(image)} + 2x{padding} - {len(kernel)}) / {stride}) + 1 = {size}\n"
    )
    check(f"convolution with padding {padding}, stride {stride}", found, np.array(expected))
    check("output size formula", np.array(found.shape), np.array([size, size]))


def poolings() -> None:
    """Print max and average pooling of one matrix."""
    numbers = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    print(
        "4. Pooling 2x2: no weights, and the stride equals the window size. Max pooling keeps the\n"
        "   largest of the four entries, wherever it is; average pooling mixes all four."
    )
    found = {kind: pool(numbers, kind, 2) for kind in ("max", "average")}
    print(beside(numbers, "max", found["max"], "  average", found["average"]))
    print(f"    size: floor((4 + 2x0 - 2) / 2) + 1 = {output_size(4, 2, stride=2)}\n")
    check("max pooling", found["max"], np.array([[6, 8], [14, 16]]))
    check("average pooling", found["average"], np.array([[3.5, 5.5], [11.5, 13.5]]))


def check(what: str, found: Matrix, expected: Matrix) -> None:
    """Raise WrongNumberError unless the result equals the one computed by hand."""
    if not np.array_equal(found, expected):
        raise WrongNumberError(f"{what}: expected {expected.tolist()}, got {found.tolist()}.")


def beside(*parts: Matrix | str) -> str:
    """Format matrices and operators side by side, vertically centered."""
    blocks = [[part] if isinstance(part, str) else lines_of(part) for part in parts]
    height = max(len(block) for block in blocks)
    columns = []
    for block in blocks:
        above = (height - len(block)) // 2
        lines = [""] * above + block + [""] * (height - above - len(block))
        columns.append([line.ljust(len(max(block, key=len))) for line in lines])
    return "\n".join(f"    {'   '.join(line)}".rstrip() for line in zip(*columns, strict=True))


def lines_of(matrix: Matrix) -> list[str]:
    """Format a matrix, one line per row, with aligned columns."""
    texts = [[f"{number:g}" for number in row] for row in matrix]
    width = max(len(text) for row in texts for text in row)
    return [" ".join(text.rjust(width) for text in row) for row in texts]


def photograph() -> Matrix:
    """Return a crop of matplotlib's photograph of Grace Hopper, in grayscale, of shape (H, W).

    The photograph is a work of the US Navy and in the public domain.
    """
    path = get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(path) as image:
        # A small crop, so that the effect on single pixels is visible.
        face = image.convert("L").crop((176, 24, 400, 312))
        return np.asarray(face, np.float32)


def gallery(photo: Matrix) -> viz.Figure:
    """Plot the photograph, the output of the ten filters, and four poolings."""
    pictures = {"original": photo}
    for name, (weights, divisor) in FILTERS.items():
        kernel = np.array(weights, np.float32) / divisor
        found = convolve(photo, kernel, padding=len(kernel) // 2)  # H, W
        pictures[name] = found.clip(0, 255)
    for window in (4, 8):
        for kind in ("max", "average"):
            pictures[f"{kind} pooling {window}x{window}"] = pool(photo, kind, window)
    names = list(pictures)

    def draw(axes: Axes, position: int) -> None:
        picture = pictures[names[position]]
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(f"{names[position]}\n{picture.shape[0]}x{picture.shape[1]}", fontsize=11)

    return grid(len(names), draw, size=(2.8, 3.9), columns=5)


if __name__ == "__main__":
    sys.exit(run_program(main))

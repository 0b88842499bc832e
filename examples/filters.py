"""See what a convolution does: ten classic filters on a photograph, and sums to check by head.

    python examples/filters.py

One learns that a convolution is a small table of weights that slides over an image, that edge
detector, blur and sharpening differ in nothing but those nine numbers, and how padding, stride and
pooling set the size of what comes out. The worked examples are printed and checked; the pictures go
to runs/filters/filters.png. What a filter gives is cut to 0..255 there: of the edges only those
along which its sum is positive, such as from dark to light, are to be seen.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.figure import Figure
from PIL import Image

import shared
from tinygrad_np import Tensor, TinygradNpError, viz
from tinygrad_np.files import make_folder

Matrix = np.ndarray[Any, Any]

# The weights of each filter, and what they are divided by. Weights that sum to 1 keep the
# brightness; where they sum to 0 an even area comes out black, and only changes are seen.
FILTERS: dict[str, tuple[list[list[int]], int]] = {
    "horizontal edges": ([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], 1),
    "vertical edges": ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], 1),
    "Sobel, left to right": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1),
    "Sobel, bottom to top": ([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], 1),
    "Laplacian": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1),
    "Gaussian 3x3": ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16),
    "Gaussian 5x5": (
        [
            [1, 4, 6, 4, 1],
            [4, 16, 24, 16, 4],
            [6, 24, 36, 24, 6],
            [4, 16, 24, 16, 4],
            [1, 4, 6, 4, 1],
        ],
        256,
    ),
    "edge enhancement": ([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], 1),
    "mean": ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 9),
}


class WrongNumberError(TinygradNpError):
    """A worked example came out otherwise than on paper."""


def main() -> None:
    """Print the worked examples and draw the gallery."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("runs/filters"), help="%(default)s")
    out: Path = parser.parse_args().out
    print("How large is what comes out? Along each axis,\n")
    print("    out = floor((in + 2 padding - kernel) / stride) + 1\n")
    convolutions()
    poolings()
    make_folder(out, "--out")
    photo = photograph()
    viz.save(gallery(photo), out / "filters.png")
    height, width = photo.shape
    print(f"Ten filters on a photograph of {height}x{width} pixels: {out / 'filters.png'}")


def convolve(image: Matrix, kernel: Matrix, padding: int = 0, stride: int = 1) -> Matrix:
    """Slide a kernel (R, S) over an image (H, W), and return the sums of products (P, Q).

    out[p, q] = sum over r, s of padded[stride p + r, stride q + s] kernel[r, s]. The kernel is not
    turned round: what deep learning calls a convolution is the cross-correlation of the textbooks.
    """
    # conv2d takes a batch of images of several channels: 1, 1, H, W and 1, 1, R, S.
    x, weight = Tensor(image[None, None]), Tensor(kernel[None, None])
    out: Matrix = x.conv2d(weight, padding=padding, stride=stride).data[0, 0]
    return out  # P, Q


def pool(image: Matrix, kind: str, window: int) -> Matrix:
    """Put the maximum or the average in the place of each window of an image (H, W)."""
    x = Tensor(image[None, None])  # 1, 1, H, W
    pooled = x.max_pool2d(window) if kind == "max" else x.avg_pool2d(window)
    out: Matrix = pooled.data[0, 0]
    return out  # P, Q


def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Return the formula's answer; what is left over at the end is not visited."""
    return (size + 2 * padding - kernel) // stride + 1


def convolutions() -> None:
    """Work three convolutions out on matrices small enough for paper."""
    rows = np.array([[255, 1, 2]] * 3, np.float32)
    column = np.array([[0, 1, 0]] * 3, np.float32)
    print(
        "1. No padding. The kernel fits in one place only; it takes the middle column: 1 + 1 + 1."
    )
    show_example(rows, column, [[3]])
    print(
        "2. Padding 1: a frame of zeros, and the image keeps its size. Each entry is its column's\n"
        "   sum of three; at the upper and lower edge one of the three is a 0 of the frame."
    )
    show_example(rows, column, [[510, 2, 4], [765, 3, 6], [510, 2, 4]], padding=1)
    print(
        "3. Stride 3: the kernel moves on by three. It starts at 0 and at 3, and adds up 25\n"
        "   ones each time."
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
    """Print a convolution, and compare it with what it is on paper."""
    found = convolve(image, kernel, padding, stride)
    size = output_size(len(image), len(kernel), padding, stride)
    print(beside(image, "*", kernel, "=", found))
    print(
        f"    size: floor(({len(image)} + 2x{padding} - {len(kernel)}) / {stride}) + 1 = {size}\n"
    )
    check(f"convolution with padding {padding}, stride {stride}", found, np.array(expected))
    check("the formula of the size", np.array(found.shape), np.array([size, size]))


def poolings() -> None:
    """Pool one matrix by maximum and by mean."""
    numbers = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    print(
        "4. Pooling 2x2: no weights, and a stride as long as the window. The maximum keeps the\n"
        "   strongest answer of four, wherever it stood; the average keeps a little of each."
    )
    found = {kind: pool(numbers, kind, 2) for kind in ("max", "average")}
    print(beside(numbers, "max", found["max"], "  average", found["average"]))
    print(f"    size: floor((4 + 2x0 - 2) / 2) + 1 = {output_size(4, 2, stride=2)}\n")
    check("max pooling", found["max"], np.array([[6, 8], [14, 16]]))
    check("average pooling", found["average"], np.array([[3.5, 5.5], [11.5, 13.5]]))


def check(what: str, found: Matrix, expected: Matrix) -> None:
    """Raise WrongNumberError unless every entry is as on paper."""
    if not np.array_equal(found, expected):
        raise WrongNumberError(f"{what}: got {found.tolist()}, expected {expected.tolist()}")


def beside(*parts: Matrix | str) -> str:
    """Return matrices and signs as text, side by side, each centred in height."""
    blocks = [[part] if isinstance(part, str) else lines_of(part) for part in parts]
    height = max(len(block) for block in blocks)
    columns = []
    for block in blocks:
        above = (height - len(block)) // 2
        lines = [""] * above + block + [""] * (height - above - len(block))
        columns.append([line.ljust(len(max(block, key=len))) for line in lines])
    return "\n".join(f"    {'   '.join(line)}".rstrip() for line in zip(*columns, strict=True))


def lines_of(matrix: Matrix) -> list[str]:
    """Return a line for each row, numbers in columns."""
    texts = [[f"{number:g}" for number in row] for row in matrix]
    width = max(len(text) for row in texts for text in row)
    return [" ".join(text.rjust(width) for text in row) for row in texts]


def photograph() -> Matrix:
    """Return a part of the photograph of Grace Hopper that comes with matplotlib: grey, (H, W).

    It is a work of the US Navy, and so in the public domain.
    """
    path = get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(path) as image:
        # Small enough that the picture shows what happens to single pixels.
        face = image.convert("L").crop((176, 24, 400, 312))
        return np.asarray(face, np.float32)


def gallery(photo: Matrix) -> Figure:
    """Show the photograph, the ten filters' results, and four poolings."""
    pictures = {"the photograph": photo}
    for name, (weights, divisor) in FILTERS.items():
        kernel = np.array(weights, np.float32) / divisor
        found = convolve(photo, kernel, padding=len(kernel) // 2)  # H, W as before
        pictures[name] = found.clip(0, 255)
    for window in (4, 8):
        for kind in ("max", "average"):
            pictures[f"{kind} pooling {window}x{window}"] = pool(photo, kind, window)
    figure = Figure(figsize=(14, 10.5), layout="constrained")
    panels = figure.subplots(3, 5).ravel()
    for axes, (name, picture) in zip(panels, pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(f"{name}\n{picture.shape[0]}x{picture.shape[1]}", fontsize=11)
        axes.axis("off")
    return figure


if __name__ == "__main__":
    sys.exit(shared.run(main))

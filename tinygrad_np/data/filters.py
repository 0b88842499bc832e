"""Ten classic filters of image processing, for `conv2d`."""

# The weights of each filter and their divisor. Weights that sum to 1 preserve the brightness;
# weights that sum to 0 turn uniform areas black, so that only changes remain.
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

"""The teaching examples as a reader runs them: what they print is true, and a fault is seen."""

import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

import by_hand_vs_autodiff
import debugging
import filters
import shared
from models import MnistCNN
from tests.examples.test_mnist import ROOT, environment


def run(folder, name, *flags):
    """Run an example with `--out folder/out`, and return what it printed."""
    command = [sys.executable, str(ROOT / "examples" / name), "--out", str(folder / "out"), *flags]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(folder), cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def run_here(module, folder, monkeypatch):
    """Run an example's `main` in this process, in which parts of it can be replaced."""
    monkeypatch.setattr(sys, "argv", [module.__name__, "--out", str(folder / "out")])
    return shared.run(module.main)


# ---- filters.py ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_filters(tmp_path):
    printed = run(tmp_path, "filters.py")
    assert "floor((in + 2 padding - kernel) / stride) + 1" in printed
    matrices = re.sub(" +", " ", printed)
    assert "\n 255 1 2 * 0 1 0 = 3\n" in matrices
    assert "510 2 4\n 255 1 2 * 0 1 0 = 765 3 6\n 255 1 2 0 1 0 510 2 4\n" in matrices
    assert "* 1 1 1 1 1 = 25 25\n 1 1 1 1 1 1 1 1 1 1 1 1 1 25 25\n" in matrices
    assert "5 6 7 8 max 6 8 average 3.5 5.5\n 9 10 11 12 14 16 11.5 13.5\n" in matrices
    assert "floor((8 + 2x0 - 5) / 3) + 1 = 2" in printed
    picture = imread(tmp_path / "out" / "filters.png")
    assert min(picture.shape[:2]) > 1000
    assert picture[..., 0].std() > 0.2


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("stride", [1, 3])
def test_filters_convolve_is_the_sum_it_says(padding, stride):
    generator = np.random.default_rng(0)
    image, kernel = generator.random((9, 8)), generator.random((3, 3))
    found = filters.convolve(image, kernel, padding, stride)
    sizes = [filters.output_size(size, 3, padding, stride) for size in image.shape]
    padded = np.pad(image, padding)
    expected = np.zeros(sizes)
    for p, q in np.ndindex(*sizes):
        under = padded[stride * p : stride * p + 3, stride * q : stride * q + 3]
        expected[p, q] = (under * kernel).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# Dark above and bright below, the other way round, dark at the left and bright at the right.
STEPS = {
    "down": np.repeat([0.0, 1.0], 5)[:, None] * np.ones(10),
    "up": np.repeat([1.0, 0.0], 5)[:, None] * np.ones(10),
    "right": np.repeat([0.0, 1.0], 5) * np.ones((10, 1)),
}


@pytest.mark.parametrize(
    ("name", "step", "strongest"),
    [
        ("horizontal edges", "down", 3),
        ("horizontal edges", "right", 0),
        ("vertical edges", "right", 3),
        ("vertical edges", "down", 0),
        ("Sobel, left to right", "right", 4),
        ("Sobel, bottom to top", "up", 4),
        ("Laplacian", "down", 1),
        ("sharpen", "down", 2),
        ("edge enhancement", "down", 4),
        ("Gaussian 3x3", "down", 1),
        ("Gaussian 5x5", "down", 1),
        ("mean", "down", 1),
    ],
)
def test_filters_see_what_their_names_say(name, step, strongest):
    weights, divisor = filters.FILTERS[name]
    found = filters.convolve(STEPS[step], np.array(weights) / divisor)
    assert found.max() == pytest.approx(strongest, abs=1e-12)


# The tutorial's gallery, as it is written there.
GALLERY = """
-1 -1 -1; 0 0 0; 1 1 1
-1 0 1; -1 0 1; -1 0 1
-1 0 1; -2 0 2; -1 0 1
1 2 1; 0 0 0; -1 -2 -1
0 1 0; 1 -4 1; 0 1 0
0 -1 0; -1 5 -1; 0 -1 0
1 2 1; 2 4 2; 1 2 1 / 16
1 4 6 4 1; 4 16 24 16 4; 6 24 36 24 6; 4 16 24 16 4; 1 4 6 4 1 / 256
-1 -1 -1; -1 9 -1; -1 -1 -1
1 1 1; 1 1 1; 1 1 1 / 9
"""


def test_filters_there_are_ten_and_the_blurs_keep_the_brightness():
    lines = GALLERY.strip().splitlines()
    for line, (weights, by) in zip(lines, filters.FILTERS.values(), strict=True):
        rows, _, divisor = line.partition(" / ")
        assert [[int(word) for word in row.split()] for row in rows.split(";")] == weights
        assert int(divisor or 1) == by
    sums = [np.sum(weights) / by for weights, by in filters.FILTERS.values()]
    assert sorted(sums) == [0] * 5 + [1] * 5


def test_filters_are_shown_side_by_side_at_the_photographs_size():
    """With a border of zeros, 2 wide for 5x5, and clipped to 0..255, as their sums are not."""
    photo = filters.photograph()
    shown = filters.gallery(photo).axes
    for axes, (weights, by) in zip(shown[1:11], filters.FILTERS.values(), strict=True):
        picture = np.asarray(axes.images[0].get_array())
        assert picture.shape == photo.shape
        border = {3: 1, 5: 2}[len(weights)]
        padded, kernel = np.pad(photo, border), np.array(weights) / by
        corner = (padded[: len(kernel), : len(kernel)] * kernel).sum()
        assert picture[0, 0] == pytest.approx(np.clip(corner, 0, 255), abs=1e-2)
        assert picture.min() >= 0
        assert picture.max() <= 255


@pytest.mark.parametrize(
    ("function", "what"), [("convolve", "convolution with padding 0"), ("pool", "max pooling")]
)
def test_filters_refuse_a_wrong_number(tmp_path, monkeypatch, capsys, function, what):
    right = getattr(filters, function)
    monkeypatch.setattr(filters, function, lambda *arguments: right(*arguments) + 1)
    assert run_here(filters, tmp_path, monkeypatch) == 1
    assert f"error: {what}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", [filters, by_hand_vs_autodiff, debugging])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, capsys, module):
    (tmp_path / "out").write_text("a file")
    for long in ("compare", "stuck", "exploding", "not_a_number", "shapes", "memory", "picture"):
        monkeypatch.setattr(module, long, lambda *arguments: {}, raising=False)
    assert run_here(module, tmp_path, monkeypatch) == 1
    assert f"error: --out: {tmp_path / 'out'}" in capsys.readouterr().err


# ---- by_hand_vs_autodiff.py ---------------------------------------------------------------------


@pytest.mark.slow
def test_by_hand_and_the_tape_agree(tmp_path):
    printed = run(tmp_path, "by_hand_vs_autodiff.py")
    assert "DIFFERENT" not in printed
    in_64, in_32 = printed.split("float32, in which")
    for part, least in ((in_64, 1e-14), (in_32, 1e-5)):
        forward, backward = part.split("backward: gradient for")
        rows = dict(re.findall(r"^(\S+) .* (\S+)  the same$", forward, re.MULTILINE))
        assert list(rows) == [*by_hand_vs_autodiff.NAMES, "loss"]
        rows = dict(re.findall(r"^(\S+) .* (\S+)  the same$", backward, re.MULTILINE))
        parameters = {name for name, _ in MnistCNN().named_parameters()}
        assert rows.keys() == {*by_hand_vs_autodiff.NAMES, *parameters}
        assert max(map(float, rows.values())) < least
    assert (tmp_path / "out" / "differences.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "fault", "first"),
    [
        ("max_pool_backward", lambda grad: 1.001 * grad, "relu2"),
        ("conv_backward", lambda grads: (grads[0], -grads[1], grads[2]), "conv2.weight"),
        ("conv_backward", lambda grads: (grads[0], grads[1], grads[2] * np.nan), "conv2.bias"),
        ("conv", lambda out: 1.001 * out, "fc2"),
    ],
)
def test_by_hand_shows_where_a_fault_is(tmp_path, monkeypatch, capsys, function, fault, first):
    right = getattr(by_hand_vs_autodiff, function)
    monkeypatch.setattr(by_hand_vs_autodiff, function, lambda *given: fault(right(*given)))
    assert run_here(by_hand_vs_autodiff, tmp_path, monkeypatch) == 1
    printed, errors = capsys.readouterr()
    assert f"differ, first in the gradient for {first}\n" in errors
    assert re.search(rf"^{re.escape(first)} .* DIFFERENT$", printed, re.MULTILINE)


# ---- debugging.py -------------------------------------------------------------------------------


def losses_after(text, printed):
    """Return the losses that are listed behind a text."""
    found = re.search(re.escape(text) + r"((?:[ ,]*\d+(?:\.\d\d|e\+\d\d))+)", printed)
    return [float(loss) for loss in found[1].replace(",", " ").split()]


@pytest.mark.slow
def test_debugging_shows_symptoms_tools_and_cures(tmp_path):
    printed = " ".join(run(tmp_path, "debugging.py", "--quick").split())
    for name in ("all zero", "sigmoids", "dead relus"):
        losses = losses_after(f"{name}: loss by epoch ", printed)
        assert losses == pytest.approx([2.303] * 3, abs=0.03)
    exploded = losses_after("learning rate 2: loss by step ", printed)
    assert exploded[0] < 5
    assert exploded[-1] > 100
    assert "the Trainer's NotFiniteError: Trainer.fit: the loss is" in printed
    assert "debug: op 'log' gave inf" in printed
    assert "in own_loss: return -chosen.log().mean()" in printed
    assert "debug: the VJP of op 'sqrt' for input 0 (x) gave inf" in printed
    assert "got input (64, 128) and weight (10, 512)" in printed
    assert "3 Flatten (1, 128) 0" in printed
    assert "logits of shape (64, 10)" in printed
    for cure in (
        "He and relu: loss by epoch ",
        "lr 0.1: loss by epoch ",
        "lr 2, clip_norm 0.1: loss by epoch ",
        "which takes no log of 0: ",
        "sqrt(x + 1e-12): loss by epoch ",
    ):
        losses = losses_after(cure, printed)
        assert len(losses) == 3
        assert losses[-1] < 1.2 < losses[0], cure
    _, memory = printed.split("5. Memory fills up")
    held = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+) bytes", memory)]
    graphs, _, numbers = held
    assert graphs > 20 * numbers
    assert (tmp_path / "out" / "gradients.png").exists()


def test_debugging_gradients_vanish_through_sigmoids_only():
    sigmoids = debugging.gradient_norms(debugging.network(debugging.nn.Sigmoid, he=False))
    relus = debugging.gradient_norms(debugging.network(debugging.nn.ReLU))
    assert list(sigmoids.values()) == sorted(sigmoids.values())
    assert sigmoids["1.weight"] < 1e-4 * sigmoids["13.weight"]
    assert relus["1.weight"] > 0.1 * relus["13.weight"]

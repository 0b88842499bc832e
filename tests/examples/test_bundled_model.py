"""Tests of examples/bundled_model.py and of the weights that it wrote into the package."""

import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import bundled_model
from models import MnistCNNLight
from tests.examples.tools import real_mnist, run
from tinygrad_np import data, train
from tinygrad_np.data.photo import read_digit
from tinygrad_np.errors import ArgumentError
from tinygrad_np.train.weights import load_with_metadata

pytestmark = pytest.mark.slow

BUNDLED = bundled_model.PACKAGE / bundled_model.MODEL


FILES = (bundled_model.MODEL, bundled_model.DETECTOR)


def load(path):
    model = MnistCNNLight()
    model.load_state_dict(train.load(path))
    return model


def accuracy(model, dataset):
    logits = train.predict(model, data.DataLoader(dataset, 500))
    return train.accuracy(logits, dataset.labels)


def unstandardized_mnist():
    _, test_set = data.mnist(os.environ["TINYGRAD_NP_DATA"])
    return replace(test_set, mean=0.0, std=1.0)


def test_short_run_writes_weights(tmp_path):
    done = run("bundled_model", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    model = load(tmp_path / "out" / bundled_model.MODEL)
    _, held_out = data.digits(28)
    assert f"after 1 epochs: held-out accuracy {accuracy(model, held_out):.2%}" in done.stdout
    _, metadata = load_with_metadata(tmp_path / "out" / bundled_model.MODEL)
    assert metadata["epochs"] == "1"
    detector = bundled_model.make_detector()
    detector.load_state_dict(train.load(tmp_path / "out" / bundled_model.DETECTOR))


def test_short_run_does_not_replace_the_files_of_the_package(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bundled_model", "--quick"])
    with pytest.raises(ArgumentError, match="--quick: expected --out, so that"):
        bundled_model.parse_arguments()


def test_variants_are_framed_and_depend_on_the_seed():
    images = bundled_model.enlarge(data.digits()[0].images[:20, 0])
    one, same, other = (
        bundled_model.vary(images, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert (one == same).all()
    assert (one != other).any(axis=(1, 2)).all()
    assert one.shape == (20, 28, 28)
    sides = np.maximum(one.any(axis=1).sum(axis=1), one.any(axis=2).sum(axis=1))
    assert np.isin(sides, (19, 20)).all()  # faint ink is rounded to 0


def test_variant_without_change_is_the_digit():
    """Sharpened at the middle of its range, with the width and the position kept."""

    class Middle:
        def uniform(self, low, high, size):
            return np.zeros(size) if low < 0 else np.full(size, (low + high) / 2)

        def standard_normal(self, size):
            return np.zeros(size)

    images = data.digits()[0].images[:20, 0]
    varied = bundled_model.vary(bundled_model.enlarge(images), Middle())
    plain = data.digits(28)[0].images[:20, 0]
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(varied, plain, strict=True)]
    assert min(likeness) > 0.75


def test_bundled_model_is_small_and_reads_the_bundled_digits():
    sizes = [(bundled_model.PACKAGE / name).stat().st_size for name in FILES]
    assert max(sizes) < 200_000
    _, held_out = data.digits(28)
    found = accuracy(load(BUNDLED), held_out)
    assert found >= 0.95
    _, metadata = load_with_metadata(BUNDLED)
    assert metadata["model"] == "MnistCNNLight"
    assert abs(float(metadata["held-out accuracy"]) - found) < 0.01


@real_mnist
def test_bundled_model_reads_mnist():
    """89.3% were measured; it was not trained on MNIST."""
    assert accuracy(load(BUNDLED), unstandardized_mnist()) >= 0.87


@real_mnist
def test_bundled_model_reads_mnist_drawn_on_a_page():
    test_set = unstandardized_mnist().first(200)
    images = []
    for image in test_set.images[:, 0]:
        page, file = Image.new("L", (280, 280), "white"), io.BytesIO()
        page.paste(Image.fromarray(255 - image).resize((224, 224)), (40, 20))
        page.save(file, "PNG")
        images.append(read_digit(file.getvalue())[0])
    drawn = replace(test_set, images=np.stack(images))
    found = accuracy(load(BUNDLED), drawn)
    print(f"accuracy on {len(images)} drawn digits: {found:.1%}")
    assert found >= 0.87

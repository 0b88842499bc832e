"""The file of corrections: appended to, shortened, limited, and never overwritten if damaged."""

import threading

import numpy as np
import pytest

from tinygrad_np import train
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.playground import corrections as module
from tinygrad_np.playground.corrections import Corrections


def image(value):
    return np.full((1, 28, 28), value, np.uint8)


@pytest.fixture
def saved(tmp_path):
    return Corrections(tmp_path / "runs" / "corrections.safetensors")


def test_corrections_are_appended_and_the_last_one_is_removed(saved):
    for value, label in ((10, 3), (20, 3), (30, 7)):
        saved.add(image(value), label)
    assert saved.counts() == [0, 0, 0, 2, 0, 0, 0, 1, 0, 0]
    saved.remove_last()
    found = train.load(saved.path)
    assert (found["images"].dtype, found["images"].shape) == (np.uint8, (2, 1, 28, 28))
    assert found["images"][:, 0, 0, 0].tolist() == [10, 20]
    assert (found["labels"].dtype, found["labels"].tolist()) == (np.int64, [3, 3])


def test_without_corrections_there_is_no_file(saved):
    assert saved.counts() == [0] * 10
    with pytest.raises(ArgumentError, match="corrections: expected at least one to remove"):
        saved.remove_last()
    with pytest.raises(ArgumentError, match="corrections: expected an image with ink"):
        saved.add(image(0), 1)
    assert not saved.path.exists()
    saved.add(image(1), 0)
    saved.remove_last()
    assert not saved.path.exists()


def test_the_number_of_corrections_is_limited(saved, monkeypatch):
    monkeypatch.setattr(module, "MAX_CORRECTIONS", 2)
    saved.add(image(1), 1)
    saved.add(image(2), 2)
    with pytest.raises(ArgumentError, match="corrections: expected at most 2"):
        saved.add(image(3), 3)
    assert sum(saved.counts()) == 2


GOOD = {"images": np.zeros((2, 1, 28, 28), np.uint8), "labels": np.array([1, 2])}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.array([1, 10])}, "expected `labels` from 0 to 9, got 10"),
        ({"labels": np.array([1])}, "`labels` of shape"),
        ({"labels": np.array([1.0, 2.0])}, "an integer dtype"),
        ({"images": np.zeros((2, 28, 28), np.uint8)}, "`images` of shape"),
        ({"images": np.zeros((2, 1, 28, 28), np.float32)}, "dtype uint8"),
    ],
)
def test_other_content_is_refused_and_kept(saved, changes, words):
    saved.path.parent.mkdir()
    train.save(saved.path, GOOD | changes)
    check_refused(saved, words)


def test_a_damaged_file_is_refused_and_kept(saved):
    saved.path.parent.mkdir()
    saved.path.write_bytes(b"half a file")
    check_refused(saved, "expected a safetensors file")


def check_refused(saved, words):
    before = saved.path.read_bytes()
    for act in (saved.counts, saved.remove_last, lambda: saved.add(image(1), 1)):
        with pytest.raises(DataError, match=words) as caught:
            act()
        assert str(caught.value).endswith("Move the file away to start over.")
    assert saved.path.read_bytes() == before


def test_corrections_of_several_threads_are_all_saved(saved):
    threads = [threading.Thread(target=saved.add, args=(image(9), n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert saved.counts() == [1] * 8 + [0, 0]

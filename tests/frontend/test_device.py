"""Devices: the CPU, and an error for all others."""

import copy
import pickle

import pytest

from tests.tools import each
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.device import device


def test_device_reads_like_pytorch():
    cpu, numbered = device("cpu"), device("cpu:0")
    assert (repr(cpu), str(cpu), f"{cpu}") == ("device(type='cpu')", "cpu", "cpu")
    assert repr(numbered) == "device(type='cpu', index=0)"
    assert (cpu.type, cpu.index, numbered.index) == ("cpu", None, 0)
    assert device(cpu) == cpu == "cpu" != numbered
    assert len({cpu, device("cpu")}) == 1
    for copied in (copy.deepcopy(numbered), pickle.loads(pickle.dumps(numbered))):
        assert (type(copied), copied) == (device, numbered)


def test_device_is_frozen():
    with pytest.raises(AttributeError):
        device("cpu").type = "cuda"
    with pytest.raises(AttributeError):
        device("cpu").name = "cuda"


@each("name", ["cuda", "cuda:0", "mps", "cpu:1", None, 0])
def test_other_devices_raise(name):
    with pytest.raises(ArgumentError, match=rf"^device: expected 'cpu', got '{name}'\."):
        device(name)


def test_tensors_are_on_the_cpu():
    x = Tensor([1.0])
    assert x.device == device("cpu")
    assert x.cpu() is x
    with pytest.raises(ArgumentError, match=r"expected 'cpu', got 'cuda'\. All tensors are on"):
        x.cuda()

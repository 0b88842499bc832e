"""Joining tensors."""

from tinygrad_np import Tensor


def test_a_list_of_tensors_is_joined():
    a, b = Tensor([1, 2]), Tensor([3])
    assert Tensor.cat([a, b]).tolist() == a.cat(b).tolist() == [1, 2, 3]

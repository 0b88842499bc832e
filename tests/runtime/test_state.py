"""no_grad and enable_grad: nested, as decorators, after errors, and per thread."""

import threading

import pytest

from tests.tools import leaf
from tinygrad_np import enable_grad, no_grad


def test_enable_grad_inside_no_grad():
    x = leaf(2.0)
    with no_grad():
        assert not (x * x).requires_grad
        with enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_ends_with_an_exception():
    x = leaf(2.0)
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (x * x).requires_grad


def test_no_grad_decorates_recursive_functions():
    x = leaf(2.0)

    @no_grad()
    def power(n):
        return x if n == 0 else power(n - 1) * x

    assert not power(3).requires_grad
    assert (x * x).requires_grad


def test_one_no_grad_can_be_entered_twice():
    x, off = leaf(2.0), no_grad()
    with off, off:
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_is_local_to_its_thread():
    x, seen = leaf(2.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_one_no_grad_in_two_threads():
    off, x = no_grad(), leaf(1.0)
    inside, leave = threading.Event(), threading.Event()

    def work():
        with no_grad(), off:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with off:
        leave.set()
        thread.join()
    assert (x * x).requires_grad

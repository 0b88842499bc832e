"""Recycled memory for large arrays: half the time of naive NumPy is the page faults of fresh ones.

A block is lent out as a fresh array made over it by `np.frombuffer`. Views and memoryviews keep
that array alive; when nobody refers to it any more, its weak reference's callback takes the block
back. So a block that comes out of the pool is never the memory of a live array.
"""

import functools
import os
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError

Array = np.ndarray[Any, np.dtype[Any]]

SMALL = 1 << 18
"""Below this many bytes an array comes from NumPy: malloc is quicker than our bookkeeping."""

_ALIGNMENT = 64
_GRAIN = 1 << 16


class _Loan(weakref.ref[Array]):
    """A weak reference to a lent array that knows the block under it."""

    __slots__ = ("block",)
    block: memoryview


class Pool:
    """Blocks of memory lent out as arrays and lent again when the arrays are gone.

    `limit` bounds the bytes that lie idle; 0 switches recycling off. All counting is done under
    the lock, for which neither lending nor taking back waits: a callback may run at any moment,
    also within the lock on the same thread. It appends to a deque, and who gets the lock next
    counts what is there.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.idle_bytes = 0
        self._idle: dict[int, list[memoryview]] = {}
        self._returned: deque[memoryview] = deque()
        self._loans: dict[int, _Loan] = {}
        self._lock = threading.Lock()

    def empty(self, count: int, dtype: np.dtype[Any]) -> Array:
        """Return an uninitialised 1-D array of `count` entries over a block of this pool."""
        nbytes = count * dtype.itemsize
        size = -(-nbytes // _GRAIN) * _GRAIN
        block = None
        # Not got: another thread counts, or this one does, below a signal handler or a finalizer.
        if self._lock.acquire(blocking=False):
            try:
                if self._returned:
                    self._sort()
                waiting = self._idle.get(size)
                if waiting:
                    block = waiting.pop()
                    self.idle_bytes -= size
            finally:
                self._lock.release()
        if block is None:
            block = _allocate_aligned(size)
        array = np.frombuffer(block, dtype, count)
        loan = _Loan(array, self._take_back)
        loan.block = block
        self._loans[id(loan)] = loan
        return array

    def set_limit(self, nbytes: int) -> None:
        """Bound the idle memory by `nbytes`; 0 gives all of it back and switches recycling off."""
        if nbytes < 0:
            raise ArgumentError(f"memory limit: got {nbytes} bytes, expected 0 (off) or more")
        with self._lock:
            self.limit = nbytes
            self._sort()
            self._shrink()

    def forget_other_threads(self) -> None:
        """Start with a free lock in a forked child, where its holder does not exist, and count
        anew: it may have been about to.
        """
        self._lock = threading.Lock()
        self.idle_bytes = sum(size * len(blocks) for size, blocks in self._idle.items())

    def _take_back(self, loan: Any) -> None:
        del self._loans[id(loan)]
        self._returned.append(loan.block)
        if self._lock.acquire(blocking=False):
            try:
                self._sort()
            finally:
                self._lock.release()

    def _sort(self) -> None:
        while self._returned:
            block = self._returned.popleft()
            size = block.nbytes
            # The size that was used last comes last.
            waiting = self._idle.pop(size, [])
            waiting.append(block)
            self._idle[size] = waiting
            self.idle_bytes += size
        if self.idle_bytes > self.limit:
            self._shrink()

    def _shrink(self) -> None:
        """Drop blocks of the sizes that were not used for longest."""
        for size in list(self._idle):
            blocks = self._idle[size]
            while blocks and self.idle_bytes > self.limit:
                blocks.pop()
                self.idle_bytes -= size
            if not blocks:
                del self._idle[size]


def _allocate_aligned(nbytes: int) -> memoryview:
    """Return memory as a memoryview: a view of an array over an array would skip the one between
    and hold the one below, so that the lent array could die before its views.
    """
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes].data


pool = Pool(limit=1 << 29)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget_other_threads)


@functools.lru_cache(maxsize=256)
def _orders(strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the axes in the order of memory, and the place of each axis in that order."""
    order = sorted(range(len(strides)), key=strides.__getitem__, reverse=True)
    return order, [order.index(axis) for axis in range(len(strides))]


def empty(shape: tuple[int, ...], dtype: Any, like: Array | None = None) -> Array:
    """Return an uninitialised array, recycled if it is large, in the memory order of `like`.

    `like` must have as many axes as `shape`; without it the array is C-contiguous.

    >>> empty((2, 3), np.float32).shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    count = 1
    for length in shape:
        count *= length
    if like is not None and not like.flags.c_contiguous:
        order, back = _orders(like.strides)
        return empty(tuple([shape[axis] for axis in order]), dtype).transpose(back)
    if count * dtype.itemsize < SMALL or pool.limit == 0:
        return np.empty(shape, dtype)
    return pool.empty(count, dtype).reshape(shape)


def is_shared(array: Array, other: Array) -> bool:
    """Return whether writing to an array may change another.

    >>> x = np.zeros(4)
    >>> is_shared(x, x[1:]), is_shared(x, x.copy())
    (True, False)
    """
    owner = other if other.base is None else other.base
    if array.base is None and getattr(owner, "base", array) is None:
        # Both owners are known, which takes half the time of comparing addresses. The base of some
        # views, such as those of as_strided, is an object that does not own the memory itself.
        return owner is array
    return np.may_share_memory(array, other)

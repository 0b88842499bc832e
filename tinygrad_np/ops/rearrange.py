"""Reordering, merging and splitting axes by a formula with names (Rogozhnikov 2022, einops)."""

import math
import re

from tinygrad_np.autograd.dispatch import V
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.ops.shape import permute, reshape

_NAME = r"(?:[A-Za-z_]\w*|\.\.\.|1(?!\w))"
_GROUP = rf"\((?:\s*{_NAME})*\s*\)"
_SIDE = rf"(?:\s*(?:{_NAME}|{_GROUP}))*\s*"
Groups = list[tuple[str, ...]]
"""The names of the axes that form each axis of a tensor; none for an axis of length 1."""


def rearrange(x: V, formula: str, /, **sizes: int) -> V:
    """Reorder, split and merge axes, as `einops.rearrange` does.

    Args:
        x: the input.
        formula: the axes of x and of the result, for example "b (h w) c -> b c h w". Parentheses
            merge axes; 1 is an axis of length 1; "..." stands for any number of axes.
        **sizes: lengths of axes; those that can be computed from the shape may be omitted.

    Raises:
        ArgumentError: if the formula is invalid, does not have the same names on both sides, or
            lacks a name in `sizes`, or if a size is not an integer >= 1.
        ShapeError: if the formula does not fit the shape of x.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2, 3, 4]]).rearrange("b (h w) -> b w h", h=2)
    Tensor([[[1, 3],
             [2, 4]]])
    """
    check_integer("rearrange", 1, **sizes)
    left, right = _parse(formula, len(x.shape))
    names, order = ([name for group in side for name in group] for side in (left, right))
    if len(set(names)) != len(names) or sorted(names) != sorted(order):
        raise ArgumentError(
            f"rearrange: expected each name once on each side of '->', got {formula!r}."
        )
    if unknown := [name for name in sizes if name not in names]:
        raise ArgumentError(
            f"rearrange: expected sizes of names in {formula!r}, got {', '.join(unknown)}."
        )
    lengths = dict(sizes)
    for group, length in zip(left, x.shape, strict=True):
        _measure(formula, x.shape, group, length, lengths)
    apart = reshape(x, shape=[lengths[name] for name in names])
    moved = permute(apart, order=[names.index(name) for name in order])
    return reshape(moved, shape=[math.prod([lengths[name] for name in group]) for group in right])


def _parse(formula: str, rank: int) -> tuple[Groups, Groups]:
    """Return the axes of the input, which has `rank` axes, and those of the result."""
    if not isinstance(formula, str) or not re.fullmatch(f"{_SIDE}->{_SIDE}", formula):
        raise ArgumentError(
            "rearrange: expected `formula` to consist of names, parentheses, 1 and '...', as in "
            f"'b (h w) c -> b c h w', got {formula!r}."
        )
    sides = [re.findall(f"{_GROUP}|{_NAME}", side) for side in formula.split("->")]
    hidden = rank - len(sides[0]) + sides[0].count("...")
    if hidden < 0 or (hidden and "..." not in sides[0]):
        count = f"at least {len(sides[0]) - 1}" if "..." in sides[0] else len(sides[0])
        raise ShapeError(
            f"rearrange: expected a tensor with {count} axes for {formula!r}, got {rank}."
        )
    axes = [f"...{i}" for i in range(hidden)]
    left, right = ([axis for term in side for axis in _expand(term, axes)] for side in sides)
    return left, right


def _expand(term: str, axes: list[str]) -> Groups:
    """Return the axes for a name or a group in parentheses, with `axes` in the place of "..."."""
    if term == "...":
        return [(axis,) for axis in axes]
    names = [name for name in re.findall(_NAME, term) if name != "1"]
    return [tuple([axis for name in names for axis in (axes if name == "..." else [name])])]


def _measure(
    formula: str, shape: tuple[int, ...], group: tuple[str, ...], length: int, sizes: dict[str, int]
) -> None:
    """Add the missing length of a group to `sizes`; check that its lengths multiply to `length`."""
    known = math.prod([sizes[name] for name in group if name in sizes])
    missing = [name for name in group if name not in sizes]
    if len(missing) > 1:
        raise ArgumentError(
            f"rearrange: expected sizes for all but one of {', '.join(missing)} in {formula!r}."
        )
    if missing and length % known == 0:
        sizes[missing[0]] = length // known
    elif missing or known != length:
        raise ShapeError(
            f"rearrange: expected an axis of length {length} for ({' '.join(group)}) in "
            f"{formula!r} with shape {shape}, got "
            f"{', '.join([f'{name}={sizes[name]}' for name in group if name in sizes]) or 1}."
        )

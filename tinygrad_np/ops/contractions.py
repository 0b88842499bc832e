"""Einstein's summation: products of any number of tensors, written as letters.

What a formula can say beyond products (diagonals, sums of one operand, broadcasting) is done
first, by ops that have their own gradients. What is left is one op whose gradient is, for each
operand, the same op on the upstream gradient and the other operands.
"""

import math
import re
import string
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import op
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import einsum as kernels
from tinygrad_np.ops.linalg import diagonal, operand
from tinygrad_np.ops.reduce import sum
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.runtime.memory import Array


def _einsum_vjp(grad_out: Any, xs: Any, position: int, formula: str) -> Any:
    left, wanted = formula.split("->")
    terms = left.split(",")
    others = [x for p, x in enumerate(xs) if p != position]
    other_terms = [term for p, term in enumerate(terms) if p != position]
    return _einsum(
        grad_out, *others, formula=f"{','.join([wanted, *other_terms])}->{terms[position]}"
    )


def _einsum_flops(xs: Any, formula: str) -> int:
    """Count a multiplication for each product of entries, and an addition where letters are summed
    over: pair by pair, in the order in which the kernel contracts."""
    left, wanted = formula.split("->")
    waiting = left.split(",")
    sizes = dict(zip(left.replace(",", ""), (n for x in xs for n in x.shape), strict=True))
    count = 0
    for positions in np.einsum_path(formula, *xs, optimize="greedy")[0][1:]:
        chosen = [waiting.pop(position) for position in sorted(positions, reverse=True)]
        while len(chosen) > 1:
            letters = set(chosen.pop() + chosen.pop())
            kept = letters & set(wanted + "".join(waiting + chosen))
            products = math.prod(sizes[letter] for letter in letters)
            count += products if kept == letters else 2 * products
            chosen.append("".join(kept))
        waiting += chosen
    return count


@op(
    "Σ x₁ x₂ ..., over the letters that the result has not",
    vjps={"xs": _einsum_vjp},
    flops=_einsum_flops,
)
def _einsum(*xs: Array, formula: str) -> Array:
    """Contract two or more arrays. No letter is twice in a term; each is in two terms or in the
    result, and stands for one length."""
    left, wanted = formula.split("->")
    return kernels.einsum(xs, left.split(","), wanted)


def einsum(formula: str, *operands: Any, dtype: Any = None) -> Any:
    """Return the sum of products that `formula` says, as in "ij,jk->ik".

    A letter names an axis of each operand that has it; those not named behind "->" are summed over.
    A letter twice in a term reads a diagonal, "..." stands for axes that broadcast, as do axes of
    length 1, and without "->" the result has the letters that occur once, in alphabetical order,
    behind those of "...". Operands come one by one or as one list, and are cast to `dtype` first,
    if given. The order of contraction is the cheapest that NumPy finds. Raises ArgumentError for a
    formula that says nothing, ShapeError for operands that it does not fit.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> Tensor.einsum("ij,jk->ik", x, x)
    Tensor([[ 7., 10.],
            [15., 22.]])
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    text = _checked(formula)
    xs = [operand("einsum", x, dtype) for x in operands]
    terms, wanted = _parsed(formula, text, [len(x.shape) for x in xs])
    simple = [_without_repeats(formula, x, term) for x, term in zip(xs, terms, strict=True)]
    sizes = _sizes(formula, simple)
    simple = [_without_ones(x, term, sizes) for x, term in simple]
    simple = [
        _without_own(x, term, wanted + "".join(t for q, (_, t) in enumerate(simple) if q != p))
        for p, (x, term) in enumerate(simple)
    ]
    if len(simple) == 1:
        ((x, term),) = simple
        return permute(x, order=tuple(term.index(letter) for letter in wanted))
    left = ",".join(term for _, term in simple)
    return _einsum(*[x for x, _ in simple], formula=f"{left}->{wanted}")


def _checked(formula: Any) -> str:
    """Return the formula without spaces; refuse what is none."""
    if not isinstance(formula, str):
        raise DtypeError(
            f"einsum: got a {type(formula).__name__} as the formula, which goes first, as in "
            "Tensor.einsum('ij,jk->ik', a, b)"
        )
    text = formula.replace(" ", "")
    term = r"[a-zA-Z]*(\.\.\.)?[a-zA-Z]*"
    if not re.fullmatch(rf"{term}(,{term})*(->{term})?", text):
        raise ArgumentError(
            f"einsum: got the formula {formula!r}, expected letters, with a comma between operands "
            "and at most one '...' for each, as in 'ij,jk->ik' or '...ij,j'"
        )
    return text


def _parsed(formula: str, text: str, ranks: list[int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, with letters for the axes of "..."."""
    left, arrow, wanted = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(
            f"einsum: got {len(ranks)} operands for {formula!r}, which has {len(terms)} terms"
        )
    hidden = _hidden(formula, terms, ranks)
    named = sorted(set(left) - set(",."))
    if not arrow:
        wanted = "..." + "".join(letter for letter in named if left.count(letter) == 1)
    for letter in wanted.replace(".", ""):
        if letter not in named or wanted.count(letter) > 1:
            what = "twice" if letter in named else "not among the operands'"
            raise ArgumentError(f"einsum: letter {letter!r} of the result of {formula!r} is {what}")
    # Letters of their own for the axes of "...", which are aligned at the last of them.
    spare = [letter for letter in string.ascii_letters if letter not in named]
    if max(hidden) > len(spare):
        raise ShapeError(f"einsum: {formula!r} on {ranks} axes needs more than 52 letters")
    ellipsis = "".join(spare[: max(hidden)])
    terms = [
        term.replace("...", ellipsis[len(ellipsis) - count :])
        for term, count in zip(terms, hidden, strict=True)
    ]
    return terms, wanted.replace("...", ellipsis)


def _hidden(formula: str, terms: list[str], ranks: list[int]) -> list[int]:
    """Return how many axes the "..." of each term stands for; 0 where there is none."""
    counts = [rank - len(term.replace(".", "")) for term, rank in zip(terms, ranks, strict=True)]
    for position, (term, rank, count) in enumerate(zip(terms, ranks, counts, strict=True)):
        if count < 0 or (count and "." not in term):
            raise ShapeError(
                f"einsum: operand {position} has {rank} axes, but its term {term!r} in {formula!r} "
                f"names {rank - count}; '...' stands for any number of axes"
            )
    return counts


def _without_repeats(formula: str, x: Any, term: str) -> tuple[Any, str]:
    """Return the diagonal for each letter that is twice in a term."""
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            first, second = term.index(letter), term.rindex(letter)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"einsum: letter {letter!r} of {formula!r} stands for {x.shape[first]} and "
                    f"{x.shape[second]} in the same operand, of which a diagonal is read"
                )
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return x, term


def _sizes(formula: str, simple: list[tuple[Any, str]]) -> dict[str, int]:
    """Return for each letter the length that it stands for; ones give way to others."""
    sizes: dict[str, int] = {}
    for x, term in simple:
        for letter, length in zip(term, x.shape, strict=True):
            known = sizes.get(letter, 1)
            if known != 1 and length not in (1, known):
                what = f"letter {letter!r}" if letter in formula else "'...'"
                raise ShapeError(
                    f"einsum: {what} of {formula!r} stands for {known} and for {length}; got "
                    f"shapes {', '.join(str(other.shape) for other, _ in simple)}"
                )
            sizes[letter] = length if known == 1 else known
    return sizes


def _without_ones(x: Any, term: str, sizes: dict[str, int]) -> tuple[Any, str]:
    """Drop axes of length 1 that others have longer: the product broadcasts them by itself."""
    kept = [a for a, letter in enumerate(term) if x.shape[a] == sizes[letter]]
    if len(kept) < len(term):
        x = reshape(x, shape=tuple(x.shape[a] for a in kept))
    return x, "".join(term[a] for a in kept)


def _without_own(x: Any, term: str, others: str) -> tuple[Any, str]:
    """Sum over the letters that are in no other term nor in the result."""
    own = tuple(a for a, letter in enumerate(term) if letter not in others)
    if own:
        x = sum(x, axis=own)
    return x, "".join(letter for letter in term if letter in others)

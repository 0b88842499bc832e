"""Einstein summation: products of any number of tensors, with axes named by letters.

`einsum` first handles diagonals, sums over a single operand and broadcasting, using ops that have
their own gradients. The rest is one op, `contract`, whose gradient for an operand is the same op on
the upstream gradient and the other operands.
"""

import math
import re
import string
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import einsum as kernels
from tinygrad_np.ops.linalg import diagonal, read_operand
from tinygrad_np.ops.reduce import sum
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value


def _contract_vjp(grad_out: Value, xs: Sequence[Value], position: int, formula: str) -> Value:
    left, wanted = formula.split("->")
    terms = left.split(",")
    others = [x for p, x in enumerate(xs) if p != position]
    other_terms = [term for p, term in enumerate(terms) if p != position]
    return contract(
        grad_out, *others, formula=f"{','.join([wanted, *other_terms])}->{terms[position]}"
    )


def _contract_flops(xs: Sequence[Array], formula: str) -> int:
    """Count one multiplication per product of entries, plus one addition if letters are summed.

    Pairs are counted in the order in which the kernel contracts them.
    """
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
    "Σ x₁ x₂ ..., over the letters that are not in the result",
    vjps={"xs": _contract_vjp},
    flops=_contract_flops,
)
def contract(*xs: Array, formula: str) -> Array:
    """Contract two or more arrays.

    No term repeats a letter. Each letter occurs in at least two terms or in the result, and
    has one length.
    """
    left, wanted = formula.split("->")
    return kernels.einsum(xs, left.split(","), wanted)


def einsum(formula: str, *operands: V, dtype: DTypeLike | None = None) -> V:
    """Sum products of entries as `formula` specifies, for example "ij,jk->ik".

    Args:
        formula: one term per operand, with a letter per axis. Letters that are missing after "->"
            are summed over. A letter that occurs twice in a term selects a diagonal. "..." stands
            for axes that broadcast; axes of length 1 broadcast as well. Without "->" the result has
            the axes of "...", then the letters that occur once, in alphabetical order.
        operands: tensors, as separate arguments or as one list.
        dtype: if given, the operands are cast to it first.

    Raises:
        ArgumentError: if the formula is not valid.
        DtypeError: if `formula` is not a string, an operand is neither a Tensor nor an ndarray, or
            `dtype` is not a float, int or bool dtype.
        ShapeError: if the formula does not match the shapes of the operands.

    The operands are contracted in pairs, in the order of NumPy's "greedy" path.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> Tensor.einsum("ij,jk->ik", x, x)
    Tensor([[ 7., 10.],
            [15., 22.]])
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    text = _strip(formula)
    xs = [read_operand("einsum", x, dtype) for x in operands]
    terms, wanted = _parse(formula, text, [len(x.shape) for x in xs])
    simple = [_take_diagonals(formula, x, term) for x, term in zip(xs, terms, strict=True)]
    sizes = _measure(formula, simple)
    simple = [_drop_ones(x, term, sizes) for x, term in simple]
    simple = [
        _sum_own(x, term, wanted + "".join(t for q, (_, t) in enumerate(simple) if q != p))
        for p, (x, term) in enumerate(simple)
    ]
    if len(simple) == 1:
        ((x, term),) = simple
        return permute(x, order=tuple(term.index(letter) for letter in wanted))
    left = ",".join(term for _, term in simple)
    return contract(*[x for x, _ in simple], formula=f"{left}->{wanted}")


def _strip(formula: object) -> str:
    """Return the formula without spaces; raise unless it is a valid formula."""
    if not isinstance(formula, str):
        raise DtypeError(
            "einsum: expected a formula as the first argument, got "
            f"{type(formula).__name__}. Try Tensor.einsum('ij,jk->ik', a, b)."
        )
    text = formula.replace(" ", "")
    term = r"[a-zA-Z]*(\.\.\.)?[a-zA-Z]*"
    if not re.fullmatch(rf"{term}(,{term})*(->{term})?", text):
        raise ArgumentError(
            "einsum: expected `formula` to consist of letters, commas between operands and at most "
            f"one '...' per operand, as in 'ij,jk->ik' or '...ij,j', got {formula!r}."
        )
    return text


def _parse(formula: str, text: str, ranks: list[int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, with "..." replaced by letters."""
    left, arrow, wanted = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(
            f"einsum: expected {len(terms)} operands for {formula!r}, got {len(ranks)}."
        )
    hidden = _count_hidden(formula, terms, ranks)
    named = sorted(set(left) - set(",."))
    if not arrow:
        wanted = "..." + "".join(letter for letter in named if left.count(letter) == 1)
    for letter in wanted.replace(".", ""):
        if letter not in named or wanted.count(letter) > 1:
            raise ArgumentError(
                f"einsum: expected the result of {formula!r} to use each letter of the operands at "
                f"most once and no others, got {letter!r}{' more than once' * (letter in named)}."
            )
    # The axes of "..." get unused letters, aligned at the last axis.
    spare = [letter for letter in string.ascii_letters if letter not in named]
    if max(hidden) > len(spare):
        raise ShapeError(f"einsum: expected at most 52 axes, got {ranks} for {formula!r}.")
    ellipsis = "".join(spare[: max(hidden)])
    terms = [
        term.replace("...", ellipsis[len(ellipsis) - count :])
        for term, count in zip(terms, hidden, strict=True)
    ]
    return terms, wanted.replace("...", ellipsis)


def _count_hidden(formula: str, terms: list[str], ranks: list[int]) -> list[int]:
    """Count the axes that "..." stands for in each term."""
    counts = [rank - len(term.replace(".", "")) for term, rank in zip(terms, ranks, strict=True)]
    for position, (term, rank, count) in enumerate(zip(terms, ranks, counts, strict=True)):
        if count < 0 or (count and "." not in term):
            axes = "1 axis" if rank - count == 1 else f"{rank - count} axes"
            remedy = " Use '...' for extra axes." if count > 0 else ""
            raise ShapeError(
                f"einsum: expected operand {position} to have {'at least ' * ('.' in term)}{axes}, "
                f"as {term!r} in {formula!r}, got {rank}.{remedy}"
            )
    return counts


def _take_diagonals(formula: str, x: V, term: str) -> tuple[V, str]:
    """Take the diagonal for each letter that occurs twice in a term."""
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            first, second = term.index(letter), term.rindex(letter)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"einsum: expected one length for letter {letter!r} in {formula!r}, got "
                    f"{x.shape[first]} and {x.shape[second]} in the same operand."
                )
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return x, term


def _measure(formula: str, simple: Sequence[tuple[Value, str]]) -> dict[str, int]:
    """Return the axis length for each letter; a length of 1 broadcasts."""
    sizes: dict[str, int] = {}
    for x, term in simple:
        for letter, length in zip(term, x.shape, strict=True):
            known = sizes.get(letter, 1)
            if known != 1 and length not in (1, known):
                what = f"letter {letter!r}" if letter in formula else "'...'"
                raise ShapeError(
                    f"einsum: expected {what} to have one length in all operands of {formula!r}, "
                    f"got {known} and {length} in shapes "
                    f"{', '.join(str(other.shape) for other, _ in simple)}."
                )
            sizes[letter] = length if known == 1 else known
    return sizes


def _drop_ones(x: V, term: str, sizes: dict[str, int]) -> tuple[V, str]:
    """Drop axes of length 1 that are longer in other operands; the product broadcasts them."""
    kept = [a for a, letter in enumerate(term) if x.shape[a] == sizes[letter]]
    if len(kept) < len(term):
        x = reshape(x, shape=tuple(x.shape[a] for a in kept))
    return x, "".join(term[a] for a in kept)


def _sum_own(x: V, term: str, others: str) -> tuple[V, str]:
    """Sum over the letters that occur in no other term and not in the result."""
    own = tuple(a for a, letter in enumerate(term) if letter not in others)
    if own:
        x = sum(x, axis=own)
    return x, "".join(letter for letter in term if letter in others)

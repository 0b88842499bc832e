"""Expressions of the Backprop tab: a small language over Python's grammar, which is never executed.

`parse` reads the text with `ast` and translates the nodes that it knows; it refuses all others.
The result consists of numbers, names and `Call`s of known functions; `evaluate` records the graph.
"""

import ast
import difflib
import keyword
import math
import operator
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import is_real
from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.tensor import Tensor

MAX_LENGTH, MAX_NODES, MAX_DEPTH, MAX_VARIABLES = 200, 60, 20, 12
MAX_NUMBER = 1e6

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}
# fmt: off
_UNARY = (
    "abs", "acos", "asin", "atan", "cos", "cosh", "erf", "exp", "gelu", "log", "log10", "log2",
    "mish", "neg", "relu", "sigmoid", "silu", "sin", "sinh", "softplus", "softsign", "sqrt",
    "square", "tan", "tanh",
)
# fmt: on
_BINARY = ("maximum", "minimum")
FUNCTIONS = _UNARY + _BINARY
"""Names of functions, which are methods of Tensor."""
CONSTANTS = {"pi": math.pi, "e": math.e}
_OTHER_NAMES = {"max": "maximum", "min": "minimum", "ln": "log", "pow": "**"}
_RUN: dict[str, Callable[..., Tensor]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
} | {name: getattr(ops, name) for name in FUNCTIONS}

# CPython 3.11 counts the depth of trees for all threads together, and may raise SystemError.
_PARSING = threading.Lock()

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<operator>\*\*|[-+*/(),.=])|(?P<end>[;\n])|(?P<space>[ \t]+)",
    re.ASCII,
)
_ALLOWED = "Allowed: numbers, names, + - * / **, parentheses and functions such as tanh(x)."


@dataclass(frozen=True)
class Call:
    """A function or operator and what it is applied to."""

    function: str
    inputs: tuple["Term", ...]


Term: TypeAlias = Call | float | str
"""A call, a number or a name."""


@dataclass(frozen=True)
class Expression:
    """Assignments in their order; the last is the result, whose name is empty if it has none."""

    assignments: tuple[tuple[str, Term], ...]
    variables: tuple[str, ...]
    """Names that are not assigned and no constants, in the order of their first use."""


class Evaluation(NamedTuple):
    """The tensors of an expression."""

    result: Tensor
    names: dict[str, Tensor]
    """Variables and intermediate results by name."""


def parse(text: str) -> Expression:
    """Return the expression that a text describes.

    It consists of numbers, names, + - * / **, parentheses, and functions or methods: `tanh(x)` is
    `x.tanh()`. `pi` and `e` are constants. Assignments such as `d = a*b`, in lines of their own or
    followed by `;`, name intermediate results; the last line is the result.

    Raises:
        ArgumentError: if the text is anything else, or too long.

    >>> parse("d = a*b + 2; d.tanh()").variables
    ('a', 'b')
    >>> parse("a +* b")
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: expression: expected a number, a name or `(`, got `*` at
    column 4. Allowed: numbers, names, + - * / **, parentheses and functions such as tanh(x).
    """
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_LENGTH:
        if not isinstance(text, str):
            got = type(text).__name__
        else:
            got = f"{len(text)} characters" if text.strip() else "an empty text"
        raise ArgumentError(
            f"expression: expected a formula of up to {MAX_LENGTH} characters, got {got}. "
            "Try ((a*b + c).tanh())**2."
        )
    return _Parser(text.replace("\r\n", "\n")).parse()


def evaluate(expression: Expression, values: Mapping[str, float]) -> Evaluation:
    """Record the graph of an expression in float64.

    Args:
        expression: what `parse` returned.
        values: a number for each variable.

    Raises:
        ArgumentError: if a value is missing, not a number, not finite, or above a million.

    A result of nan or inf is not an error.

    >>> result, names = evaluate(parse("x*x + x"), {"x": 3.0})
    >>> result.backward()
    >>> result.item(), names["x"].grad.item()
    (12.0, 7.0)
    """
    found: dict[str, Tensor | float] = {}
    for name in expression.variables:
        value = values.get(name, math.nan)
        if not is_real(value) or not abs(value) <= MAX_NUMBER:
            raise ArgumentError(
                f"expression: expected the value of `{name}` to be a number from "
                f"{-MAX_NUMBER:,.0f} to {MAX_NUMBER:,.0f}, got {value!r:.40}."
            )
        found[name] = Tensor(float(value), dtype=np.float64, requires_grad=True)
    with np.errstate(all="ignore"):
        for name, term in expression.assignments:
            found[name] = result = _compute(term, found)
    # Every line but the last is used by a later one, so that the result depends on each variable.
    assert isinstance(result, Tensor)
    names = {name: one for name, one in found.items() if name and isinstance(one, Tensor)}
    return Evaluation(result, names)


def _compute(term: Term, names: Mapping[str, Tensor | float]) -> Tensor | float:
    """Compute a term: a Tensor, or a number if it contains no variable."""
    if isinstance(term, float):
        return term
    if isinstance(term, str):
        return names[term]
    inputs = [_compute(one, names) for one in term.inputs]
    run = _RUN[term.function]
    if any(isinstance(one, Tensor) for one in inputs):
        if term.function == "*" and isinstance(inputs[0], float):
            # Otherwise `2*x` would be recorded as `x*2`.
            inputs[0] = Tensor(inputs[0], dtype=np.float64)
        return run(*inputs)
    # Numbers stay numbers: no node is recorded for them.
    return float(run(*[Tensor(one, dtype=np.float64) for one in inputs]).item())


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Parser:
    """A text, and the names found in it so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._assigned: dict[str, int] = {}
        self._used: list[str] = []
        self._nodes = 0
        self._start = 0

    def parse(self) -> Expression:
        found = []
        for tokens in self._lines():
            name, start = "", tokens[0].start
            if len(tokens) > 1 and tokens[0].kind == "name" and tokens[1].text == "=":
                name, tokens = tokens[0].text, tokens[2:]
            self._check_order(tokens)
            term = self._parse_term(tokens)
            if isinstance(term, str) and (name or term not in self._assigned):
                got, remedy = f"`{term}`", f"Try {term}**2."
                raise self._error("an operation or a function", got, tokens[0].start, remedy)
            if name in (*self._assigned, *self._used, *FUNCTIONS, *CONSTANTS):
                raise self._error("a new name before `=`", f"`{name}`", start, "")
            if name:
                self._assigned[name] = start
            found.append((name, term))
        for name, _ in found[:-1]:
            if name not in self._used:
                start = self._assigned.get(name, 0)
                got = f"`{name}`, which no line uses" if name else "a line without a name"
                raise self._error("a name that later lines use, as in `d = a*b`", got, start, "")
        variables = tuple(dict.fromkeys(n for n in self._used if n not in self._assigned))
        if not variables:
            raise ArgumentError("expression: expected at least one variable, got none.")
        if len(variables) > MAX_VARIABLES:
            raise ArgumentError(
                f"expression: expected at most {MAX_VARIABLES} variables, got {len(variables)}."
            )
        return Expression(tuple(found), variables)

    def _error(
        self, expected: str, got: _Token | str, start: int, remedy: str = _ALLOWED
    ) -> ArgumentError:
        """Return an error about the place `start` in the text."""
        before = self.text[:start]
        line, column = before.count("\n") + 1, start - before.rfind("\n")
        place = f"line {line}, column {column}" if "\n" in self.text.strip() else f"column {column}"
        got = f"`{got.text[:20]}`" if isinstance(got, _Token) else got
        return ArgumentError(
            f"expression: expected {expected}, got {got} at {place}. {remedy}".strip()
        )

    # Tokens: what is checked before Python's parser sees the text.

    def _lines(self) -> list[list[_Token]]:
        """Return the tokens of each line that is not empty."""
        lines: list[list[_Token]] = [[]]
        depth = 0
        for token in self._tokens():
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth < 0:
                raise self._error("`(` before `)`", token, token.start, "")
            if depth > MAX_DEPTH:
                raise self._error(f"at most {MAX_DEPTH} nested `(`", "more", token.start, "")
            if token.kind == "end" and depth == 0:
                lines.append([])
            elif token.text == ";":
                raise self._error("`)`", token, token.start, "")
            elif token.kind != "end":
                lines[-1].append(token)
        if depth:
            raise self._error("`)`", "the end", len(self.text), "")
        return [line for line in lines if line]

    def _tokens(self) -> list[_Token]:
        found = []
        place = 0
        while place < len(self.text):
            match = _TOKEN.match(self.text, place)
            if match is None:
                character = self.text[place]
                got = f"`{character}`" if character.isprintable() else f"`{ascii(character)[1:-1]}`"
                remedy = "Use ** for powers." if character == "^" else _ALLOWED
                raise self._error("an expression", got, place, remedy)
            token = _Token(str(match.lastgroup), match[0], place)
            place = match.end()
            if token.kind == "number" and not float(token.text) <= MAX_NUMBER:
                raise self._error(f"a number up to {MAX_NUMBER:,.0f}", token, token.start, "")
            if token.kind == "name" and (keyword.iskeyword(token.text) or token.text[0] == "_"):
                raise self._error(
                    "a name that begins with a letter, other than Python's keywords",
                    token,
                    token.start,
                )
            if token.kind != "space":
                found.append(token)
        return found

    def _check_order(self, tokens: list[_Token]) -> None:
        """Raise an error about the first token that cannot follow those before it."""
        wants_value = True
        before = last = ""
        for token in tokens:
            if last == "." and token.kind != "name":
                raise self._error("a function such as `tanh` after `.`", token, token.start)
            begins_value = token.kind in ("name", "number") or token.text == "("
            ends_call = token.text == ")" and last == "(" and before.isidentifier()
            if wants_value and not (begins_value or ends_call or token.text in "+-"):
                raise self._error("a number, a name or `(`", token, token.start)
            if not wants_value and begins_value and not (token.text == "(" and last.isidentifier()):
                raise self._error("an operator such as `*`", token, token.start)
            if token.text == "=":
                raise self._error(
                    "`=` only after the name at the start of a line", token, token.start
                )
            wants_value = token.kind == "operator" and token.text != ")"
            before, last = last, token.text
        if wants_value:
            end = tokens[-1].start + len(tokens[-1].text) if tokens else len(self.text)
            raise self._error("a number, a name or `(`", "the end", end)

    # The tree.

    def _parse_term(self, tokens: list[_Token]) -> Term:
        self._start = tokens[0].start
        source = self.text[self._start : tokens[-1].start + len(tokens[-1].text)]
        try:
            # In parentheses, so that it is one expression, which may go over several lines.
            with _PARSING:
                tree = ast.parse(f"({source})", mode="eval").body
        except SyntaxError as error:
            raise self._error("an expression", f"`{source[:20]}`", self._start) from error
        return self._translate(tree)

    def _offset(self, line: int, column: int) -> int:
        """Return the place in the text of a place in Python's tree."""
        lines = self.text[self._start :].split("\n")[: line - 1]
        # The first line begins with a parenthesis that is not in the text.
        inside = sum(len(before) + 1 for before in lines) + column - (line == 1)
        return self._start + max(inside, 0)

    def _translate(self, node: ast.expr) -> Term:
        """Return a node of Python's tree as a term."""
        start = self._offset(node.lineno, node.col_offset)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._error(
                f"at most {MAX_NODES} operations, numbers and names", "more", start, ""
            )
        match node:
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.Name(id=name):
                if name in FUNCTIONS:
                    raise self._error(f"`{name}(...)`", f"`{name}`", start, "")
                if name in CONSTANTS:
                    return CONSTANTS[name]
                self._used.append(name)
                return name
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._translate(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                term = self._translate(operand)
                return -term if isinstance(term, float) else Call("neg", (term,))
            case ast.BinOp(op=symbol, left=left, right=right) if type(symbol) in _OPERATORS:
                return self._call(_OPERATORS[type(symbol)], [left, right])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                self._check_call(name, len(args), start)
                return self._call(name, args)
            case ast.Call(func=ast.Attribute(value=owner, attr=name) as method, keywords=[]):
                end = self._offset(method.end_lineno or 1, method.end_col_offset or 0)
                self._check_call(name, len(node.args) + 1, end - len(name))
                return self._call(name, [owner, *node.args])
            case ast.Attribute(attr=name):
                raise self._error(f"`.{name}(...)`", f"`.{name}`", start)
            case ast.Tuple():
                raise self._error("one value", "several, separated by commas", start)
            case _:
                raise self._error("an expression", f"`{self.text[start:][:20]}`", start)

    def _call(self, function: str, inputs: list[ast.expr]) -> Call:
        return Call(function, tuple(self._translate(one) for one in inputs))

    def _check_call(self, name: str, count: int, start: int) -> None:
        if name not in FUNCTIONS:
            similar = difflib.get_close_matches(name, FUNCTIONS, 1)
            if name in _OTHER_NAMES:
                remedy = f"Use {_OTHER_NAMES[name]}."
            elif similar:
                remedy = f"Did you mean {similar[0]}?"
            else:
                remedy = f"Allowed: {', '.join(FUNCTIONS)}."
            raise self._error("a function", f"`{name}`", start, remedy)
        wanted = 2 if name in _BINARY else 1
        if count != wanted:
            arguments = "1 argument" if wanted == 1 else f"{wanted} arguments"
            raise self._error(f"{arguments} of `{name}`", str(count), start, "")

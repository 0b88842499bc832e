"""The language of the Backprop tab: what it means, and that nothing else is accepted."""

import contextlib
import random

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground import expression
from tinygrad_np.playground.expression import evaluate, parse

A, B, C = 0.5, -3.0, 2.0


def result(text, **values):
    return evaluate(parse(text), {"a": A, "b": B, "c": C} | values).result.item()


@each(
    "text,expected",
    [
        ("a + b*c", A + B * C),
        ("(a + b)*c", (A + B) * C),
        ("a - b - c", A - B - C),
        ("a / b / c", A / B / C),
        ("-a**2", -(A**2)),
        ("2**-c", 2**-C),
        ("2**c**a", 2 ** (C**A)),
        ("+a*-b", A * -B),
        ("1.5e1*a + .5 + 2.", 7.5 + 2.5),
        ("((a*b + c).tanh())**2", np.tanh(A * B + C) ** 2),
        ("maximum(a, b) - minimum(a, b)", A - B),
        ("a.maximum(3)", 3),
        ("maximum(3, a)", 3),
        ("exp(2)*a", np.exp(2) * A),
        ("d = a*b + c; d.tanh()", np.tanh(A * B + C)),
        ("d = a*b\n\nf = d + c\r\ny = (d\n * f)\n", A * B * (A * B + C)),
        ("w = 2*3; w*a", 6 * A),
        ("w = 2; w*a", 2 * A),
        ("d = a*b; d", A * B),
        ("cos(pi)*a + e", np.e - A),
        ("-pi*a", -np.pi * A),
    ],
)
def test_expressions_mean_what_they_mean_in_python(text, expected):
    assert result(text) == pytest.approx(expected, rel=1e-12)


@each("name", expression.FUNCTIONS)
def test_both_spellings_of_a_function_are_the_method_of_tensor(name):
    others = [0.25] if name in ("maximum", "minimum") else []
    expected = getattr(Tensor(0.5, dtype=np.float64), name)(*others).item()
    assert result(f"{name}({', '.join(map(str, ['a', *others]))})") == expected
    assert result(f"a.{name}({', '.join(map(str, others))})") == expected


def test_variables_come_in_the_order_of_their_first_use():
    assert parse("d = z + a*z; y = d*b").variables == ("z", "a", "b")


def test_constants_are_no_variables():
    assert parse("pi*x + e").variables == ("x",)


def test_gradients_arrive_at_shared_variables():
    found, names = evaluate(parse("d = a*b; d*a + a"), {"a": A, "b": B})
    found.backward()
    assert names["a"].grad.item() == pytest.approx(2 * A * B + 1)
    assert names["b"].grad.item() == pytest.approx(A * A)
    assert list(names) == ["a", "b", "d"]


def test_values_are_float64():
    assert evaluate(parse("a + 1e-12"), {"a": 1}).result.item() == 1 + 1e-12


@each("text", ["log(a)", "a / 0", "sqrt(a)", "exp(exp(exp(-9*a)))", "(a + 1)**-1", "a**0.5"])
def test_results_that_are_not_finite_are_no_error(text):
    assert not np.isfinite(evaluate(parse(text), {"a": -1}).result.item())


@each("value", [None, "1", True, np.nan, np.inf, 1.1e6, 10**400, [1.0]])
def test_values_are_numbers(value):
    with pytest.raises(
        ArgumentError, match=r"expected the value of `a` to be a number from -1,000"
    ):
        evaluate(parse("a + 1"), {"a": value})


def test_a_value_for_each_variable_is_needed():
    with pytest.raises(ArgumentError, match=r"^expression: expected the value of `b` .* got nan\."):
        evaluate(parse("a + b"), {"a": 1})


@each(
    "text,words",
    [
        ("a +* b", "expected a number, a name or `(`, got `*` at column 4. Allowed: numbers"),
        ("a +", "expected a number, a name or `(`, got the end at column 4"),
        ("a // b", "expected a number, a name or `(`, got `/` at column 4"),
        ("y = ", "expected a number, a name or `(`, got the end at column"),
        ("()", "expected a number, a name or `(`, got `)` at column 2"),
        ("exp(a,)", "expected a number, a name or `(`, got `)` at column 7"),
        ("exp(*a)", "got `*` at column 5"),
        ("2a", "expected an operator such as `*`, got `a` at column 2"),
        ("a(b + c)", "expected a function, got `a` at column 1. Allowed: abs, acos,"),
        ("(a)(b)", "expected an operator such as `*`, got `(` at column 4"),
        ("a\n*b", "expected an operation or a function, got `a` at line 1, column 1"),
        ("a", "expected an operation or a function, got `a` at column 1. Try a**2."),
        ("y = a; y*b", "expected an operation or a function, got `a` at column 5"),
        ("a^2", "expected an expression, got `^` at column 2. Use ** for powers."),
        ("a\x00", r"expected an expression, got `\x00` at column 2"),
        ("max(a, b)", "expected a function, got `max` at column 1. Use maximum."),
        ("a.min(b)", "expected a function, got `min` at column 3. Use minimum."),
        ("ln(a)", "Use log."),
        ("pow(a, 2)", "Use **."),
        ("sigm(a)", "expected a function, got `sigm` at column 1. Did you mean sigmoid?"),
        ("arctan(a)", "Did you mean atan?"),
        ("pi = a*2", "expected a new name before `=`, got `pi` at column 1"),
        ("a*b +\n2", "got the end at line 1, column 6"),
        ("((a)", "expected `)`, got the end at column 5"),
        ("a) + (b", "expected `(` before `)`, got `)` at column 2"),
        ("(a; b)", "expected `)`, got `;` at column 3"),
        ("(" * 21 + "a" + ")" * 21, "expected at most 20 nested `(`, got more at column 21"),
        ("a.b + 1", "expected `.b(...)`, got `.b` at column"),
        ("a.sin", "expected `.sin(...)`, got `.sin` at column"),
        ("a.(b)", "expected a function such as `tanh` after `.`, got `(` at column 3"),
        ("(a\n + b).foo()", "expected a function, got `foo` at line 2, column 7"),
        ("sin + 1", "expected `sin(...)`, got `sin` at column 1"),
        ("sin()", "expected 1 argument of `sin`, got 0 at column 1"),
        ("1 + a.maximum()", "expected 2 arguments of `maximum`, got 1 at column 7"),
        ("a, b", "expected one value, got several, separated by commas"),
        (
            "sin(x=a)",
            "expected `=` only after the name at the start of a line, got `=` at column 6",
        ),
        ("a == b", "got `=` at column 4"),
        ("01*a", "expected an expression, got `01*a` at column 1"),
        ("1_0*a", "expected a name that begins with a letter, other than Python's keywords"),
        ("a*1000001", "expected a number up to 1,000,000, got `1000001` at column 3"),
        ("a*1e999", "expected a number up to 1,000,000, got `1e999` at column 3"),
        ("2 + 3", "expected at least one variable, got none."),
        ("2", "expected at least one variable, got none."),
        ("1/0", "expected at least one variable, got none."),
        ("pi*e", "expected at least one variable, got none."),
        ("+".join(f"v{i}" for i in range(13)), "expected at most 12 variables, got 13."),
        ("+".join("a" * 31), "expected at most 60 operations, numbers and names, got more"),
        ("a = a*2", "expected a new name before `=`, got `a` at column 1"),
        ("d = a*2; d = d*2; d*a", "expected a new name before `=`, got `d` at column 10"),
        ("sin = a*2", "expected a new name before `=`, got `sin` at column 1"),
        ("d = a*2; a*3", "expected a name that later lines use, as in `d = a*b`, got `d`"),
        ("a*2; a*3", "got a line without a name at column 1"),
        ("", "expected a formula of up to 200 characters, got an empty text"),
        (" \n ", "expected a formula of up to 200 characters, got an empty text"),
        ("a+" * 100 + "a", "expected a formula of up to 200 characters, got 201 characters"),
        (b"a*b", "got bytes"),
        (None, "got NoneType"),
    ],
)
def test_errors_say_what_is_wrong_and_where(text, words):
    with pytest.raises(ArgumentError) as caught:
        parse(text)
    assert str(caught.value).startswith("expression: expected ")
    assert words in str(caught.value)


PYTHON = [
    "__import__('os').system('true')", "a.__class__", "().__class__.__bases__", "lambda: a",
    "[a for a in b]", "{a: b}", "{a}", "[a]", "a[0]", "f'{a}'", "'a'*9", "b'a'", "(a := 1)",
    "a if b else c", "a and b", "not a", "a < b", "a is b", "a in b", "await a", "yield a",
    "import os", "from os import path", "exec(a)", "eval(a)", "open(a)", "print(a)", "del a",
    "global a", "pass", "def f(): pass", "class A: pass", "while 1: pass", "a: int = 1", "a += 1",
    "@a", "a @ b", "a % b", "a // b", "a & b", "a | b", "a ^ b", "~a", "a << b", "1j*a", "0x1f*a",
    "0b1*a", "0o7*a", "...", "None", "True*a", "*a", "**a", "sin(*a)", "sin(**a)", "sin(a)(b)",
    "a.data", "a.backward()", "a.sum()", "a._node", "a.tolist()", "a.sin().__init__()", "a # b",
    "a\\\n*b", "a\x00*b", "a\x0c*b", "\ufeffa*b", "\u0430*b", "\uff45xp(a)", "\U0001d41a*b", "ª*b",
    "a²", "a×b", "a−b", "٣*a", "a\u2028*b", "a\u00a0*b", "\ud800*a", "print", "assert a",
]  # fmt: skip


@each("text", PYTHON)
def test_other_python_is_refused(text):
    with pytest.raises(ArgumentError, match=r"^expression: expected .* at (line 1, )?column \d+\."):
        parse(text)


def test_large_powers_are_floats():
    assert result("a + 9**9**9**9") == np.inf


def test_random_texts_are_refused_or_mean_what_they_mean_in_python():
    generator = random.Random(0)
    pieces = [
        *"abc().,=;\n _19:[]{}'\"\\@#é",
        "a",
        "b",
        "c",
        "(",
        ")",
        "2",
        "+",
        "-",
        "*",
        "/",
        "**",
    ]
    accepted = 0
    for trial in range(6000):
        pool = pieces if trial % 3 == 0 else pieces[-11:]
        text = "".join(generator.choices(pool, k=generator.randint(1, 9)))
        try:
            parsed = parse(text)
        except ArgumentError:
            continue
        found = evaluate(parsed, dict.fromkeys(parsed.variables, 1.5)).result.item()
        if not set(text) <= set("abc12+-*/()"):
            continue
        accepted += 1
        with contextlib.suppress(ZeroDivisionError, OverflowError):
            assert found == pytest.approx(
                eval(text, dict.fromkeys(parsed.variables, 1.5)), nan_ok=True
            )
    assert accepted > 100

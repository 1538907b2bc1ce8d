"""Rules such as ``layers * units <= 4096`` as checked syntax trees; nothing of Python is run.

A rule knows numbers, text in quotes, True and False, names of parameters (with dots, or between
backquotes when they are no Python names), ``+ - * / % **``, comparisons, ``and or not`` and
``min max abs log exp sqrt``. Undefined arithmetic, such as the logarithm of 0, is not a number, and
a comparison with it does not hold.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.space_scale import is_number

Ops = Mapping[Any, Callable[..., Any]]
Kind = str  # "number", "truth" or "text"; "mixed" for choices of several kinds

_LONGEST = 1000  # characters; a longer rule is not one that a person reads
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`([^`]+)`")
_ARGUMENTS = {
    **dict.fromkeys(("min", "max"), (2, 99)),
    **dict.fromkeys(("abs", "log", "exp", "sqrt"), (1, 1)),
}
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.Pow)
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_EQUALITY = (ast.Eq, ast.NotEq)
_KNOWN = (
    *(ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Constant, ast.Name, ast.Load),
    *(ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, *_ARITHMETIC, *_ORDER, *_EQUALITY),
)


def _divided(a: float, b: float) -> float:
    return a / b if b else math.nan


def _rest(a: float, b: float) -> float:
    return a % b if b else math.nan


def _power(a: float, b: float) -> float:
    try:
        power = math.pow(a, b)
    except (OverflowError, ValueError):
        return math.nan
    return power if math.isfinite(power) else math.nan


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _first(choose: Callable[[Iterable[float]], float], *numbers: float) -> float:
    return math.nan if any(map(math.isnan, numbers)) else choose(numbers)


SHARED: Ops = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: operator.and_,
    ast.Or: operator.or_,
    ast.Not: lambda x: x ^ True,
    "abs": abs,
}
SCALAR: Ops = {
    **SHARED,
    ast.Div: _divided,
    ast.Mod: _rest,
    ast.Pow: _power,
    "min": functools.partial(_first, min),
    "max": functools.partial(_first, max),
    "log": lambda x: math.log(x) if x > 0 else math.nan,
    "exp": _exp,
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
}


@dataclass(frozen=True, eq=False)
class Expression:
    """A rule that has been read.

    Attributes:
        tree: Its syntax tree; the identifiers are names of parameters.
        names: The parameters that it names.
    """

    tree: ast.expr
    names: frozenset[str]


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Read a rule.

    Args:
        text: As written.

    Returns:
        The rule, made of nothing but what this module knows.

    Raises:
        SpaceError: When it is not of this form; names every part that is not.
    """
    if len(text) > _LONGEST:
        rule = f"a constraint has at most {_LONGEST} characters"
        raise SpaceError(Problem(rule, f"{len(text)}", "constraints", "split it in several"))
    quoted: list[str] = []

    def marked(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        quoted.append(match[1])
        return f" _quoted_{len(quoted) - 1}_ "

    try:
        parsed = ast.parse(_QUOTED.sub(marked, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        rule = f"a constraint must be an inequality: {getattr(error, 'msg', None) or error}"
        raise SpaceError(Problem(rule, text, "constraints", _EXAMPLE)) from None
    tree = _Named(quoted).visit(parsed)
    problems = [Problem(rule, text, "constraints", remedy) for rule, remedy in _strange(tree)]
    if problems:
        raise SpaceError(problems)
    return Expression(tree, frozenset(_names(tree)))


_EXAMPLE = 'write it like "layers * units <= 4096"'


class _Named(ast.NodeTransformer):
    """Makes one identifier of ``trees.rate`` and of what stood between backquotes."""

    def __init__(self, quoted: list[str]) -> None:
        self.quoted = {f"_quoted_{i}_": name for i, name in enumerate(quoted)}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.quoted.get(node.id, node.id), ast.Load())

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        inner = self.visit(node.value)
        return ast.Name(f"{inner.id}.{node.attr}", ast.Load()) if _is_name(inner) else node


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def _strange(tree: ast.expr) -> Iterator[tuple[str, str]]:
    """What a rule may not contain, and what to write instead."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
            if name not in _ARGUMENTS:
                yield f"{name!r} is no function of constraints", did_you_mean(name, [*_ARGUMENTS])
                continue
            least, most = _ARGUMENTS[name]
            if node.keywords or not least <= len(node.args) <= most:
                wanted = "one argument" if most == 1 else "two arguments or more"
                yield f"{name} takes {wanted}", f"not {ast.unparse(node)}"
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, bool | str) and not is_number(node.value):
                yield f"{ast.unparse(node)} is no number, text, True or False", _EXAMPLE
        elif not isinstance(node, _KNOWN):
            yield f"a constraint cannot contain {_shown(node)}", _EXAMPLE


def _shown(node: ast.AST) -> str:
    return repr(ast.unparse(node)) if isinstance(node, ast.expr) else f"'{type(node).__name__}'"


def _names(tree: ast.expr) -> Iterator[str]:
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in functions:
            yield node.id


def value(node: ast.expr, names: Mapping[str, Any], ops: Ops) -> Any:
    """What a part of a rule evaluates to.

    Args:
        node: The part.
        names: Values of all parameters that it names; numbers as floats, or arrays.
        ops: `SCALAR`, or the same operations on arrays.

    Returns:
        A number, text or truth value, or an array of them.
    """
    match node:
        case ast.Name():
            return names[node.id]
        case ast.BinOp():
            return ops[type(node.op)](value(node.left, names, ops), value(node.right, names, ops))
        case ast.UnaryOp():
            return ops[type(node.op)](value(node.operand, names, ops))
        case ast.BoolOp():
            parts = (value(part, names, ops) for part in node.values)
            return functools.reduce(ops[type(node.op)], parts)
        case ast.Compare():
            sides = [value(side, names, ops) for side in (node.left, *node.comparators)]
            pairs = zip(node.ops, itertools.pairwise(sides), strict=True)
            return functools.reduce(ops[ast.And], (ops[type(op)](*pair) for op, pair in pairs))
        case ast.Call(func=ast.Name(id=name)):
            return ops[name](*(value(part, names, ops) for part in node.args))
        case ast.Constant(value=bool() | str()):
            return node.value
        case ast.Constant(value=int() | float() as number):
            return float(number)
    raise AssertionError(f"{ast.dump(node)} does not pass `parse`")


def misfits(tree: ast.expr, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """What does not fit together in a rule, such as text that is multiplied.

    Args:
        tree: Of a rule that has been read.
        kinds: Of every parameter that it names.

    Yields:
        One clause for each.
    """
    if _kind(tree, kinds) != "truth":
        yield "it says nothing that can hold or not"
    for node in ast.walk(tree):
        for part, wanted in _wanted(node):
            if _kind(part, kinds) != wanted:
                yield f"{ast.unparse(part)} is no {wanted}"
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            for op, (a, b) in zip(node.ops, itertools.pairwise(sides), strict=True):
                pair = {_kind(a, kinds), _kind(b, kinds)} - {"mixed"}
                if isinstance(op, _EQUALITY) and len(pair) > 1:
                    yield f"{ast.unparse(a)} and {ast.unparse(b)} can never be equal"


def _wanted(node: ast.AST) -> Iterable[tuple[ast.expr, Kind]]:
    """Parts of a node, and of which kind they must be."""
    match node:
        case ast.BinOp():
            return [(node.left, "number"), (node.right, "number")]
        case ast.UnaryOp():
            return [(node.operand, "truth" if isinstance(node.op, ast.Not) else "number")]
        case ast.BoolOp():
            return [(part, "truth") for part in node.values]
        case ast.Call():
            return [(part, "number") for part in node.args]
        case ast.Compare():
            sides = (node.left, *node.comparators)
            pairs = zip(node.ops, itertools.pairwise(sides), strict=True)
            return [(s, "number") for op, pair in pairs if isinstance(op, _ORDER) for s in pair]
    return []


def _kind(node: ast.expr, kinds: Mapping[str, Kind]) -> Kind:
    match node:
        case ast.Name():
            return kinds[node.id]
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return "truth"
        case ast.Constant(value=bool()):
            return "truth"
        case ast.Constant(value=str()):
            return "text"
    return "number"


def compared(tree: ast.expr) -> Iterator[tuple[str, Any]]:
    """Names of parameters with each constant that they are compared with for equality."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = (node.left, *node.comparators)
        for op, pair in zip(node.ops, itertools.pairwise(sides), strict=True):
            for a, b in (pair, pair[::-1]):
                if not isinstance(op, _EQUALITY):
                    continue
                if isinstance(a, ast.Name) and isinstance(b, ast.Constant):
                    yield a.id, b.value


def written(tree: ast.expr, rename: Callable[[str], str]) -> str:
    """The text of a rule with other names of its parameters.

    Args:
        tree: Of a rule that has been read.
        rename: From a parameter's name to its new one.

    Returns:
        Text that `parse` reads.
    """
    tree = copy.deepcopy(tree)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    class Renamed(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return node if id(node) in functions else ast.Name(quoted(rename(node.id)), ast.Load())

    return ast.unparse(Renamed().visit(tree))


def quoted(name: str) -> str:
    """A parameter's name as it is written in a rule."""
    try:
        plain = isinstance(ast.parse(name, mode="eval").body, ast.Name | ast.Attribute)
    except (SyntaxError, ValueError):
        plain = False
    return name if plain and re.fullmatch(r"[\w.]+", name) else f"`{name}`"

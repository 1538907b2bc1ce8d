"""The exception tree is the one its docstring draws; messages help."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core import errors
from attain.core.errors import (
    AttainError,
    DataError,
    Exit,
    Problem,
    SpaceError,
    SpecError,
    did_you_mean,
)
from attain.core.types import Task

_LINE = re.compile(
    r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?:exit code )?(?P<code>\d)", re.M
)


def _drawn():
    """Name, parent and exit code of each class in the drawing."""
    path = []
    for match in _LINE.finditer(errors.__doc__):
        depth = len(match["indent"]) // 4
        path = [*path[:depth], match["name"]]
        yield match["name"], path[-2] if depth else None, int(match["code"])


def _public():
    for name, item in inspect.getmembers(errors, inspect.isclass):
        if issubclass(item, AttainError) and not name.startswith("_"):
            parent = next((c for c in item.__mro__[1:] if not c.__name__.startswith("_")), None)
            yield name, None if item is AttainError else parent.__name__, int(item.exit_code)


def test_the_drawing_is_the_tree():
    """Every class, its parent and its exit code are drawn as they are; none is missing."""
    drawn = sorted(_drawn())
    assert drawn == sorted(_public())
    assert len(drawn) == 13


def test_exit_codes_are_the_documented_ones():
    """Nine codes from 0 to 8; no two share a number."""
    assert [code.value for code in Exit] == list(range(9))


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("r"), "r"),
        (Problem("r", "v"), "r (got v)"),
        (Problem("r", "v", "p", "do this"), "p: r (got v) — do this"),
        (Problem("r", remedy="do this"), "r — do this"),
    ],
)
def test_a_problem_in_words(problem, text):
    """Place, rule, value and remedy, each only when it is known."""
    assert str(problem) == text


@pytest.mark.parametrize("kind", [SpecError, DataError, SpaceError])
def test_many_problems_in_one_error(kind):
    """Problems are kept as data and told one a line; a single one needs no list."""
    both = kind([Problem("first", "1"), Problem("second")])
    assert str(both) == "first (got 1)\nsecond"
    assert len(both.problems) == 2
    assert kind(Problem("only")).problems == (Problem("only"),)
    assert kind(iter([Problem("lazy")])).problems == (Problem("lazy"),)


def test_a_near_name_is_suggested():
    """A typing mistake gets the intended name, nonsense gets the list."""
    assert did_you_mean("lightbgm", ["lightgbm", "linear"]) == "did you mean 'lightgbm'?"
    assert did_you_mean("qqq", ["b", "a"]) == "use one of: a, b"
    assert did_you_mean("generatoin", list(Task)) == "did you mean 'generation'?"


@given(st.text(), st.lists(st.text(min_size=1), min_size=1))
def test_a_suggestion_is_always_a_known_name(name, known):
    """Whatever was typed, only valid names are offered."""
    answer = did_you_mean(name, known)
    near = [repr(k) for k in known]
    assert answer == "use one of: " + ", ".join(sorted(known)) or any(n in answer for n in near)

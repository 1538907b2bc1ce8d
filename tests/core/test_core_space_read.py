"""The form that people write: read with all problems at once, written, and changed mid-study."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.errors import SpaceError
from attain.core.space import (
    Categorical,
    Condition,
    Constraint,
    Float,
    Forbidden,
    Int,
    Ordinal,
    Space,
)
from attain.core.space_change import RULES
from attain.core.space_read import plain_space, read_space, space_yaml

_TEXT = """
lr: {low: 1e-5, high: 0.1, scale: log, prior: [1e-3, 1], unit: per step}
booster: [gbtree, dart]
depth: {low: 1, high: 9, default: 3, when: {booster: dart}}
share: {low: 0, high: 1, kind: float, step: 0.25}
size: {choices: [s, m, l], ordered: true, prior: {m: 2, l: 1}, default: m}
flag: [true, false, 2]
forbidden: [{booster: dart, depth: [8, 9]}]
constraints: ["lr * depth <= 0.5"]
"""
_SPACE = Space(
    (
        Float(name="lr", low=1e-5, high=0.1, scale="log", prior=(1e-3, 1.0), unit="per step"),
        Categorical(name="booster", choices=("gbtree", "dart")),
        Int(name="depth", low=1, high=9, default=3, when=(Condition("booster", ("dart",)),)),
        Float(name="share", low=0.0, high=1.0, step=0.25),
        Ordinal(name="size", choices=("s", "m", "l"), prior=(0.0, 2.0, 1.0), default="m"),
        Categorical(name="flag", choices=(True, False, 2)),
    ),
    forbidden=(Forbidden((Condition("booster", ("dart",)), Condition("depth", (8, 9)))),),
    constraints=(Constraint("lr * depth <= 0.5"),),
)


def test_a_space_is_read_as_people_write_it():
    """Ranges, lists, conditions, priors and clauses, from YAML, JSON, a mapping and a Space."""
    got = read_space(_TEXT)
    assert got == _SPACE
    assert [type(c) for c in got["flag"].choices] == [bool, bool, int]
    assert read_space(json.dumps(plain_space(_SPACE))) == _SPACE
    assert read_space(_SPACE) is _SPACE


def test_a_space_is_read_from_a_file(tmp_path):
    """A path is a file, and one that is not there is told."""
    path = tmp_path / "space.yaml"
    path.write_text(_TEXT, encoding="utf-8")
    assert read_space(path) == _SPACE
    with pytest.raises(SpaceError, match="the file of a space must be readable text"):
        read_space(tmp_path / "gone.yaml")


def test_the_example_of_the_documentation_is_read():
    """What the guide shows is a sound space with all that it explains."""
    guide = Path(__file__).resolve().parents[2] / "docs" / "search-spaces.md"
    text = guide.read_text(encoding="utf-8").partition("```yaml")[2].partition("```")[0]
    space = read_space(text)
    assert len(space) == 7
    assert len(space.clauses) == 2


def test_python_has_shorter_forms():
    """Tuples are ranges, whole bounds make whole numbers, parameters stand for themselves."""
    own = Int(name="own", low=1, high=2)
    got = read_space({"x": (0.0, 1.0), "n": (1, 9), "r": (1e-3, 1.0, "log"), "own": own})
    assert got.parameters == (
        Float(name="x", low=0.0, high=1.0),
        Int(name="n", low=1, high=9),
        Float(name="r", low=1e-3, high=1.0, scale="log"),
        own,
    )


def test_the_long_form_has_room_for_any_name():
    """Parameters called like clauses stand under ``parameters``; alone that is a name, too."""
    parameters = {"version": {"low": 1, "high": 3}, "parameters": [1, 2]}
    got = read_space({"parameters": parameters, "version": 4, "retired": ["old"]})
    assert [p.name for p in got] == ["version", "parameters"]
    assert (got.version, got.retired) == (4, ("old",))
    assert read_space(plain_space(got)) == got
    assert read_space({"parameters": {"low": 0.0, "high": 1.0}})["parameters"].high == 1.0


def test_all_problems_are_told_at_once():
    """One message for each, with place and what to write; none that only follows from another."""
    with pytest.raises(SpaceError, match="did you mean 'high'") as caught:
        read_space(
            """
lr: {low: 1e-5, hihg: 0.1, scale: log}
swapped: {low: 2, high: 1}
fixed: 3
depth: {low: 1, high: 9, scale: lgo, when: {boster: dart}}
booster: [gbtree, dart]
far: {low: 0, high: .inf, when: 5}
child: {low: 0, high: 1, when: {lr: 3}}
forbidden: [{booster: drt}]
constraints: ["depht < 3", "lr <"]
"""
        )
    told = [(p.place, p.rule.partition(":")[0]) for p in caught.value.problems]
    assert told == [
        ("lr", "there is no such setting"),
        ("lr", "a parameter needs high"),
        ("fixed", "a parameter must be a range or a list"),
        ("far.when", "conditions must be a mapping from parents to values"),
        ("far.high", "high must be a finite number"),
        ("swapped", "low must be below high"),
        ("depth", "a scale must be known"),
        ("depth", "a condition must name a parameter of the space"),
        ("forbidden", "a forbidden value must be in range"),
        ("constraints", "the constraint 'depht < 3' must name parameters of the space"),
        ("constraints", "a constraint must be an inequality"),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("- a\n- b", "a space must be a mapping such as"),
        ("a: [1, 2\n", "line 2: a space must be valid YAML or JSON"),
        ("a: [1]\na: [2]", "must be valid YAML or JSON: found duplicate key"),
        (None, r"a space must be a mapping such as .* \(got None\)"),
        ({"x": {"low": "0", "high": 1}}, r"x.low: low must be a finite number \(got '0'\)"),
        ({"x": {"low": True, "high": 2}}, "x.low: low must be a finite number"),
        ({"x": {"low": 0, "high": 1, "scale": 3}}, "x.scale: scale must be one of linear, log"),
        ({"x": {"low": 0, "high": 1, "limits": [1]}}, "limits must be two numbers"),
        ({"x": {"low": 0, "high": 1, "prior": 3}}, "prior must be two numbers"),
        ({"x": {"low": 0, "high": 1, "kind": "real"}}, "kind must be float or int"),
        ({"x": {"low": 0, "high": 1.5, "kind": "int"}}, "high of an int parameter must be a whole"),
        ({"x": {"low": 0, "high": 1, "effect": "big"}}, "effect must be capacity, regularisation"),
        ({"x": {"low": 0, "high": 1, "priority": 1.5}}, "priority must be a whole number"),
        ({"x": {"choices": "ab"}}, "choices must be a list"),
        ({"x": {"ordered": True}}, "a parameter needs choices"),
        ({"x": []}, "choices must not be empty"),
        ({"x": [None]}, "choices must be text, finite numbers or booleans"),
        ({"x": [[1], {"a": 1}]}, "choices must be text, finite numbers or booleans"),
        ({"x": {"choices": ["ab", "b"], "prior": {"aab": 1}}}, "weighs the choices.*mean 'ab'"),
        ({"x": {"choices": ["a"], "prior": ["b"]}}, "a prior has one weight for each choice"),
        ({"x": [1], "y": {"choices": [1], "when": {"x": []}}}, "y.when.x: a condition needs a"),
        ({"x": [1], "y": {"choices": [1], "when": {"x": None}}}, "a condition needs a value"),
        ({"x": Int(name="y", low=0, high=1)}, "a parameter is known by its own name"),
        ({"x": [1], "forbidden": {"x": 1}}, "forbidden must be a list of combinations"),
        ({"x": [1], "constraints": "x < 1"}, "constraints must be a list of texts"),
        ({"x": [1], "version": 0}, "a version is a whole number from 1"),
        ({"parameters": {"x": [1]}, "forbiden": []}, "did you mean 'forbidden'"),
        ({"x": (1, 0)}, "low must be below high"),
        ({"x": {"low": 0, "high": 1, "scale": "log"}}, "a log scale needs low > 0"),
        ({"x": {"low": 0, "high": 1, "step": math.nan}}, "step must be a finite number"),
    ],
)
def test_what_cannot_be_read(source, message):
    """Each fault has its message; nothing but `SpaceError` comes out."""
    with pytest.raises(SpaceError, match=message):
        read_space(source)


_words = st.text(st.characters(codec="ascii", exclude_categories=("C",)), min_size=1, max_size=6)
_scalars = st.one_of(_words, st.booleans(), st.integers(-99, 99), st.floats(-1e6, 1e6))


@st.composite
def _parameters(draw, name, parents):
    when = ()
    if parents and draw(st.booleans()):
        parent = draw(st.sampled_from(parents))
        when = (Condition(parent.name, tuple(draw(st.sets(st.sampled_from(parent.choices))))),)
        when = when if when[0].values else ()
    shared = {"name": name, "when": when, "unit": draw(_words), "priority": draw(st.integers(1, 3))}
    if draw(st.booleans()):
        values = draw(st.lists(_scalars, min_size=1, max_size=4))
        choices = tuple({(type(v), v): v for v in values}.values())
        prior = draw(st.none() | st.just(tuple(1.0 + i for i in range(len(choices)))))
        kind = draw(st.sampled_from([Categorical, Ordinal]))
        return kind(choices=choices, prior=prior, **shared)
    kind = draw(st.sampled_from([Float, Int]))
    scale = draw(st.sampled_from(["linear", "log", "symlog"]))
    low, step = draw(st.integers(1, 9)), draw(st.none() | st.integers(1, 5))
    low, high = (float(low), low + 20.5) if kind is Float else (low, low + 20)
    prior = draw(st.none() | st.just((5.0, 0.5)))
    return kind(low=low, high=high, scale=scale, step=step, prior=prior, **shared)


@st.composite
def _spaces(draw):
    parameters = []
    for name in draw(st.lists(_words, max_size=4, unique=True)):
        parents = [p for p in parameters if isinstance(p, Categorical)]
        parameters.append(draw(_parameters(name, parents)))
    return Space(tuple(parameters), draw(st.integers(1, 3)), retired=("gone",))


read_space("x: [1]")  # loads the reader, which takes a while


@given(_spaces())
def test_what_is_written_is_read_back(space):
    """In YAML and in JSON, any space comes back equal, types of choices included."""
    for text in (space_yaml(space), json.dumps(plain_space(space))):
        back = read_space(text)
        assert back == space
        for mine, theirs in zip(space, back, strict=True):
            assert type(mine) is type(theirs)
            if isinstance(mine, Categorical):
                assert list(map(type, mine.choices)) == list(map(type, theirs.choices))


_OLD = Space(
    (
        Float(name="rate", low=0.1, high=0.9, step=0.2),
        Categorical(name="kind", choices=("a", "b")),
        Ordinal(name="size", choices=("s", "m", "l")),
        Int(name="depth", low=1, high=9, step=2),
    ),
    version=3,
)


@pytest.mark.parametrize(
    "changed",
    [
        Float(name="rate", low=0.1, high=0.5, step=0.2),
        Float(name="rate", low=0.0, high=2.0, step=0.1),
        Float(name="rate", low=0.05, high=0.9, scale="log"),
        Categorical(name="kind", choices=("b", "c", "a")),
        Ordinal(name="size", choices=("xs", "s", "l", "xl")),
        Int(name="depth", low=-1, high=99, step=2),
        Float(name="depth", low=1.0, high=9.0),
        Int(name="new", low=1, high=2, default=1),
    ],
)
def test_what_may_change_while_a_study_runs(changed):
    """Wider and narrower ranges, finer grids, choices, new parameters: a version higher."""
    new = _OLD.extended(changed)
    assert new.version == 4
    assert new[changed.name] == changed
    assert len(new) == len(_OLD) + (changed.name == "new")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (Int(name="new", low=1, high=2), "must state the value that earlier trials had"),
        (Float(name="rate", low=0.1, high=0.9, step=0.4), "a grid can only become finer"),
        (Float(name="rate", low=0.0, high=0.9, step=0.2), "use a part of 0.2 as step"),
        (Int(name="rate", low=0, high=1), "a float parameter cannot become an int"),
        (Categorical(name="rate", choices=(0.1,)), "a number cannot become a list of choices"),
        (Int(name="kind", low=1, high=2), "a number cannot become a list of choices"),
        (Ordinal(name="size", choices=("l", "m")), "ordered choices must keep their order"),
        (Categorical(name="size", choices=("s", "m")), "an ordered list cannot become"),
        (Float(name="rate", low=0.9, high=0.1, step=0.2), "low must be below high"),
    ],
)
def test_what_would_cost_the_history(changed, message):
    """Each rule of `RULES` that can be broken has its message."""
    assert len(RULES) == 8
    with pytest.raises(SpaceError, match=message):
        _OLD.extended(changed)


def test_parameters_leave_for_good():
    """Their names are remembered, so that their trials still count, and cannot come back."""
    new = _OLD.extended(removed=["depth"])
    assert [p.name for p in new] == ["rate", "kind", "size"]
    assert new.retired == ("depth",)
    with pytest.raises(SpaceError, match="a removed parameter's name cannot be used again"):
        new.extended(Int(name="depth", low=1, high=9, default=1))
    with pytest.raises(SpaceError, match=r"only a parameter of the space can be removed.*'rate'"):
        new.extended(removed=["rte"])
    with pytest.raises(SpaceError, match="cannot be changed and removed at once"):
        new.extended(Float(name="rate", low=0.0, high=1.0), removed=["rate"])


def test_clauses_come_and_go():
    """Both kinds may be exchanged; what is not named stays; removed parameters must be in none."""
    clause = Constraint("depth * rate <= 8")
    new = _OLD.extended(constraints=(clause,))
    assert new.extended(Int(name="more", low=1, high=2, default=1)).constraints == (clause,)
    assert new.replacing(Int(name="depth", low=1, high=7, step=2)).constraints == (clause,)
    with pytest.raises(SpaceError, match="the constraint 'depth \\* rate <= 8' must name"):
        new.extended(removed=["depth"])
    assert new.extended(removed=["depth"], constraints=()).clauses == ()


@pytest.mark.parametrize("name", ["?`G.3*", "- x", "é: b", "null", "1e3", " a", "%b", "@c", "a #b"])
def test_names_that_yaml_would_misread_are_quoted(name):
    """Text that means something else to a YAML reader is read back as it was."""
    space = Space((Categorical(name=name, choices=(name, "other"), unit=name),))
    assert read_space(space_yaml(space)) == space

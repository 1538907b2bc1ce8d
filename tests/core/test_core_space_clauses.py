"""Forbidden combinations and constraints: what they mean, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core import codec
from attain.core.errors import SpaceError
from attain.core.space import (
    Categorical,
    Condition,
    Constraint,
    Float,
    Forbidden,
    Int,
    Space,
    prefixed,
    prefixed_clauses,
)
from attain.core.space_expression import SCALAR, parse, value, written

_BOOSTER = Categorical(name="booster", choices=("plain", "dart"))
_DEPTH = Int(name="depth", low=1, high=9, when=(Condition("booster", ("dart",)),))
_UNITS = Int(name="units", low=1, high=64)
_NEVER = Forbidden((Condition("booster", ("dart",)), Condition("depth", (8, 9))))


def _space(*constraints, forbidden=(), parameters=(_BOOSTER, _DEPTH, _UNITS)):
    return Space(
        parameters, forbidden=tuple(forbidden), constraints=tuple(map(Constraint, constraints))
    )


@pytest.mark.parametrize(
    ("config", "fine"),
    [
        ({"booster": "plain"}, True),
        ({"booster": "dart", "depth": 7}, True),
        ({"booster": "dart", "depth": 8}, False),
    ],
)
def test_a_forbidden_combination_is_one_of_all_its_values(config, fine):
    """All values together are refused; one of them alone, or an inactive parameter, is not."""
    space = _space(forbidden=[_NEVER])
    assert space.allows(config) is space.contains({"units": 3, **config}) is fine


@pytest.mark.parametrize(
    ("text", "x", "y", "holds"),
    [
        ("x + y <= 3", 1, 2, True),
        ("x * y < 2", 1, 2, False),
        ("0 < x < y <= 2", 1, 2, True),
        ("0 < x < y <= 2", 2, 1, False),
        ("x ** 2 + y ** 2 <= 5.0", 1, 2, True),
        ("x % 2 == 1 and y / 2 == 1", 1, 2, True),
        ("not x > y", 1, 2, True),
        ("x == 0 or 1 / x < 1", 0, 1, True),
        ("1 / x < 1", 0, 1, False),
        ("1 / x >= 1 or 1 / x < 1", 0, 1, False),
        ("x % (y - y) == 0", 1, 1, False),
        ("log(x) < 1", 0, 1, False),
        ("log(x) < 1", 1, 1, True),
        ("sqrt(x - 2) >= 0", 1, 1, False),
        ("sqrt(x) == 2", 4, 1, True),
        ("exp(x) > 1000", 7, 1, True),
        ("exp(x * 1000) > 1", 7, 1, True),
        ("abs(x - y) == 3", 1, 4, True),
        ("max(x, y) - min(x, y, 1) == 3", 1, 4, True),
        ("max(x, 1 / (x - x)) < 99", 1, 4, False),
        ("x ** y ** x ** y > 0", 9, 9, False),
        ("(0 - x) ** 0.5 != 1", 4, 4, True),
        ("-x < +y", 1, 1, True),
    ],
)
def test_what_a_constraint_means(text, x, y, holds):
    """Python's arithmetic; what is undefined is not a number, with which no comparison holds."""
    assert Constraint(text).breaks({"x": x, "y": y}) is not holds


def test_a_constraint_says_nothing_of_inactive_parameters():
    """Where one of its parameters does not exist, it does not apply."""
    space = _space("depth * units <= 64", parameters=(_BOOSTER, _DEPTH, _UNITS))
    assert space.contains({"booster": "plain", "units": 64})
    assert not space.contains({"booster": "dart", "units": 64, "depth": 2})
    assert space.contains({"booster": "dart", "units": 32, "depth": 2})


def test_constraints_compare_choices_with_their_values():
    """Text with text, truth values by themselves, numbers of a list like numbers."""
    flag = Categorical(name="flag", choices=(True, False))
    size = Categorical(name="size", choices=(16, 32, 64))
    space = Space(
        (_BOOSTER, flag, size),
        constraints=(Constraint("booster == 'plain' or flag"), Constraint("not flag or size < 64")),
    )
    assert not space.allows({"booster": "dart", "flag": False, "size": 16})
    assert space.allows({"booster": "dart", "flag": True, "size": 32})
    assert not space.allows({"booster": "plain", "flag": True, "size": 64})


def test_names_that_python_does_not_know_are_quoted():
    """Dots need nothing, other signs and keywords backquotes; quotes protect text with both."""
    parameters = (
        Float(name="trees.rate", low=0.0, high=1.0),
        Float(name="lambda", low=0.0, high=1.0),
        Float(name="a-b", low=0.0, high=1.0),
        Categorical(name="mark", choices=("`x`", "y")),
    )
    text = "trees.rate + `lambda` * `a-b` < 1 and mark != '`x`'"
    clause = Constraint(text)
    assert clause.names == {"trees.rate", "lambda", "a-b", "mark"}
    config = {"trees.rate": 0.5, "lambda": 0.5, "a-b": 0.5, "mark": "y"}
    assert not clause.breaks(config)
    assert clause.breaks({**config, "mark": "`x`"})
    defaults = Space((*parameters[:3], Categorical(name="mark", choices=("y", "`x`"))))
    assert not clause.breaks(defaults.defaults())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth <", "a constraint must be an inequality: invalid syntax.*write it like"),
        ("", "a constraint must be an inequality"),
        ("depth < 3; import os", "a constraint must be an inequality"),
        ("depth", "it says nothing that can hold or not"),
        ("depth + 1", "it says nothing that can hold or not"),
        ("__import__('os') == 1", "'__import__' is no function of constraints"),
        ("units.__class__ == 1", r"must name parameters of the space \(got units.__class__\)"),
        ("(1).real < units", "a constraint cannot contain"),
        ("[u for u in units] == 1", "a constraint cannot contain"),
        ("(lambda: 1)() < units", "is no function of constraints"),
        ("units if units else 1", "a constraint cannot contain"),
        ("units[0] < 1", "a constraint cannot contain"),
        ("units in (1, 2)", "a constraint cannot contain"),
        ("units // 2 < 1", "a constraint cannot contain 'FloorDiv'"),
        ("units < None", "None is no number, text, True or False"),
        ("units < 1j", "1j is no number"),
        ("units < 1e999", "is no number"),
        ("f'{units}' == 'a'", "a constraint cannot contain"),
        ("units < (units := 3)", "a constraint cannot contain"),
        ("lgo(units) < 1", "'lgo' is no function of constraints.*did you mean 'log'"),
        ("max(units) < 1", "max takes two arguments or more"),
        ("log(units, 2) < 1", "log takes one argument"),
        ("unit < 3", r"the constraint 'unit < 3' must name parameters.*did you mean 'units'"),
        ("1 < 2", "a constraint must name a parameter"),
        ("booster < 3", "a constraint must make sense: booster is no number"),
        ("booster + units < 3", "booster is no number"),
        ("units and depth < 3", "units is no truth"),
        ("booster == 3", "booster and 3 can never be equal"),
        ("booster == 'drat'", r"compare booster with one of its values \(got 'drat'\)"),
        ("units < " + "(" * 300 + "1" + ")" * 300, "a constraint must be an inequality"),
        ("units < " + "1 + " * 400 + "1", "a constraint has at most 1000 characters"),
    ],
)
def test_what_a_constraint_cannot_be(text, message):
    """Nothing but arithmetic and comparisons of parameters passes, and it must make sense."""
    with pytest.raises(SpaceError, match=message):
        _space(text)


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        (Forbidden(()), "a forbidden combination must name a value"),
        (Forbidden((Condition("boster", ("dart",)),)), "did you mean 'booster'"),
        (
            Forbidden((Condition("depth", (10,)),)),
            r"a forbidden value must be in range \(got depth is 10\)",
        ),
    ],
)
def test_unsound_combinations_are_refused(clause, message):
    """A combination names parameters and values that exist."""
    with pytest.raises(SpaceError, match=message):
        _space(forbidden=[clause])


def test_all_clauses_that_are_wrong_are_told_at_once():
    """Two broken constraints and a broken combination are three problems."""
    with pytest.raises(SpaceError, match="did you mean 'units'") as caught:
        _space("unit < 3", "depth <", forbidden=[Forbidden(())])
    assert len(caught.value.problems) == 3


def test_defaults_keep_the_clauses():
    """Defaults that break one are refused, with the clause and values that would do."""
    message = r"the defaults must keep every clause \(got units = 32, which breaks: units < 10\)"
    with pytest.raises(SpaceError, match=message + " — set other defaults, such as units = 1"):
        _space("units < 10")
    fine = Int(name="units", low=1, high=64, default=9)
    assert _space("units < 10", parameters=(fine,)).defaults() == {"units": 9}


@pytest.mark.parametrize(
    ("parameters", "constraints", "forbidden"),
    [
        ((_BOOSTER,), (), [Forbidden((Condition("booster", ("plain", "dart")),))]),
        ((_UNITS,), ("units < 10", "units > 10"), ()),
        ((_UNITS, Int(name="more", low=1, high=300)), ("units * more == 19201",), ()),
        (
            (_BOOSTER, _DEPTH),
            ("depth > 5",),
            [
                Forbidden((Condition("booster", ("plain",)),)),
                Forbidden((Condition("depth", (6, 7, 8, 9)),)),
            ],
        ),
    ],
)
def test_clauses_that_leave_nothing_are_found(parameters, constraints, forbidden):
    """On finite spaces exactly, however little would be left."""
    message = "the clauses must leave a configuration .* — drop or loosen one of them$"
    with pytest.raises(SpaceError, match=message):
        _space(*constraints, forbidden=forbidden, parameters=parameters)


def test_the_only_configuration_that_is_left_is_found():
    """One of nineteen thousand products is right: it is offered as the default."""
    more = Int(name="more", low=1, high=300)
    with pytest.raises(SpaceError, match="such as units = 64, more = 300"):
        _space("units * more >= 64 * 300", parameters=(_UNITS, more))


def test_what_cannot_be_listed_is_drawn():
    """On a continuum the message says that this was a search, not a proof."""
    x = Float(name="x", low=0.0, high=1.0)
    message = "none of 20000 draws keeps them all .* or set defaults that keep them"
    with pytest.raises(SpaceError, match=message):
        _space("x > 2", parameters=(x,))
    with pytest.raises(SpaceError, match=r"set other defaults, such as x = 0\.[6-9]"):
        _space("x > 0.6", parameters=(x,))


def test_check_names_the_broken_clauses():
    """The message has the clause, the values that break it, and where it stands."""
    space = _space("depth * units <= 64", forbidden=[_NEVER])
    with pytest.raises(SpaceError, match="never booster is dart and depth is 8 or 9") as caught:
        space.check({"booster": "dart", "depth": 8, "units": 64})
    assert [p.value for p in caught.value.problems] == [
        "booster = dart, depth = 8",
        "depth = 8, units = 64",
    ]


def test_clauses_are_printed_and_survive_json():
    """One line each after the parameters; records of spaces without clauses still read."""
    space = _space("depth * units <= 64", forbidden=[_NEVER])
    assert str(space).splitlines()[-2:] == [
        "never booster is dart and depth is 8 or 9",
        "depth * units <= 64",
    ]
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    old = {"parameters": codec.encode(space.parameters), "version": 3}
    assert Space.from_dict(old) == Space(space.parameters, 3)


def test_a_learners_clauses_keep_their_meaning_under_a_prefix():
    """Renamed with the parameters; another learner's configurations are not concerned."""
    odd = Float(name="a-b", low=0.0, high=1.0)
    own = _space("depth * units <= 64 or `a-b` < 0.1 + max(units, 2)", forbidden=[_NEVER],
                 parameters=(_BOOSTER, _DEPTH, _UNITS, odd))  # fmt: skip
    parts = prefixed(own, "trees", Condition("learner", ("trees",)))
    chooser = Categorical(name="learner", choices=("trees", "lines"))
    whole = Space((chooser, *parts), 1, *prefixed_clauses(own, "trees"))
    text = "trees.depth * trees.units <= 64 or `trees.a-b` < 0.1 + max(trees.units, 2)"
    assert [c.text for c in whole.constraints] == [text]
    assert whole.allows({"learner": "lines"})
    assert not whole.allows({"learner": "trees", "trees.booster": "dart", "trees.depth": 9})
    assert parse(own.constraints[0].text).names == own.constraints[0].names  # it was copied


@given(st.recursive(
    st.sampled_from(["x", "y", "1", "0.5", "2.0"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda t: f"abs({t})"),
        st.tuples(inner, inner).map(lambda t: f"max({', '.join(t)})"),
    ),
    max_leaves=8,
), st.floats(-5, 5), st.floats(-5, 5))  # fmt: skip
def test_arithmetic_is_pythons(text, x, y):
    """Where Python gives a finite number, a rule gives the same, also when written anew."""
    rule = parse(f"{text} < 0")
    got = value(rule.tree.left, {"x": x, "y": y}, SCALAR)
    names = {"x": "first.x", "y": "y-axis"}
    again = parse(written(rule.tree, lambda name: names[name]))
    moved = {names[name]: number for name, number in (("x", x), ("y", y))}
    assert repr(value(again.tree.left, moved, SCALAR)) == repr(got)
    try:
        wanted = _python(rule.tree.left, {"x": x, "y": y})
    except ZeroDivisionError:
        assert math.isnan(got) or math.isfinite(got)
    else:
        assert got == pytest.approx(wanted, nan_ok=True)


def _python(node, names):
    """The value by Python's own compiler."""
    import ast

    code = compile(ast.fix_missing_locations(ast.Expression(node)), "rule", "eval")
    return eval(code, {"abs": abs, "max": max}, names)

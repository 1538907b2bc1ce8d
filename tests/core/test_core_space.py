"""The search space: sound or refused with all reasons, conditions, snapping, round trips."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from attain.core import codec
from attain.core.errors import SpaceError
from attain.core.space import (
    Categorical,
    Condition,
    Float,
    Int,
    Ordinal,
    Space,
    holds,
    prefixed,
    snap,
    start_value,
)

_finite = st.floats(-1e6, 1e6)


@st.composite
def numbers(draw, name="x"):
    """Any sound float or int parameter."""
    log = draw(st.booleans())
    if draw(st.booleans()):
        low = draw(st.integers(1 if log else -1000, 1000))
        high = low + draw(st.integers(1, 2000))
        step = draw(st.none() | st.integers(1, high - low))
        kind = Int
    else:
        low = draw(st.floats(1e-6, 1e3) if log else _finite)
        high = low + draw(st.floats(1e-3, 1e3))
        step = draw(st.none() | st.floats(1e-3, 1.0).map(lambda share: share * (high - low)))
        assume(low < high and (step is None or 0 < step <= high - low))
        kind = Float
    return kind(name=name, low=low, high=high, step=step, scale="log" if log else "linear")


@st.composite
def choices(draw, name="x"):
    """Any sound categorical or ordinal parameter."""
    values = draw(
        st.lists(st.text() | st.integers() | st.booleans() | _finite, min_size=1, max_size=5)
    )
    unique = {(type(v).__name__, v): v for v in values}
    return draw(st.sampled_from([Categorical, Ordinal]))(name=name, choices=tuple(unique.values()))


@st.composite
def spaces(draw):
    """Trees of up to six parameters, each perhaps depending on an earlier list of choices."""
    parameters = []
    for i in range(draw(st.integers(0, 6))):
        parameter = draw(numbers(f"p{i}") | choices(f"p{i}"))
        parents = [p for p in parameters if isinstance(p, Categorical | Ordinal)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = draw(st.lists(st.sampled_from(parent.choices), min_size=1, max_size=3))
            when = (Condition(parent.name, tuple(values)),)
            parameter = type(parameter)(**{**vars(parameter), "when": when})
        parameters.append(parameter)
    return Space(tuple(draw(st.permutations(parameters))))


@given(numbers(), st.floats(-1e7, 1e7))
def test_snapping_lands_in_the_range_and_on_the_grid(parameter, value):
    """Whatever the number, the snapped one is valid, of the right type, and stays when repeated."""
    snapped = snap(parameter, value)
    assert parameter.contains(snapped)
    assert type(snapped) is (int if isinstance(parameter, Int) else float)
    assert snap(parameter, snapped) == snapped


@given(numbers(), st.floats(0, 1))
def test_snapping_takes_the_nearest_value(parameter, share):
    """No neighbouring value of the grid is nearer than the snapped one."""
    value = parameter.low + share * (parameter.high - parameter.low)
    snapped = snap(parameter, value)
    step = parameter.step or (1 if isinstance(parameter, Int) else 0)
    for neighbour in (snapped - step, snapped + step):
        if parameter.contains(neighbour):
            assert abs(snapped - value) <= abs(neighbour - value) + 1e-6 * max(step, 1)


def test_snapping_gives_clean_decimals():
    """Ten steps of 0.1 give 0.3, not 0.30000000000000004."""
    share = Float(name="share", low=0.1, high=1.0, step=0.1)
    assert [snap(share, k / 10) for k in (1, 3, 7)] == [0.1, 0.3, 0.7]


@given(numbers() | choices())
def test_the_start_is_valid(parameter):
    """Without a default the start is the middle, which lies in the range."""
    assert parameter.contains(start_value(parameter))


@pytest.mark.parametrize(
    ("parameter", "start"),
    [
        (Float(name="x", low=1e-4, high=1.0, scale="log"), 1e-2),
        (Float(name="x", low=0, high=1), 0.5),
        (Int(name="x", low=1, high=100, scale="log"), 10),
        (Int(name="x", low=1, high=100, default=31), 31),
        (Categorical(name="x", choices=("a", "b")), "a"),
        (Ordinal(name="x", choices=("s", "m", "l")), "m"),
        (Ordinal(name="x", choices=("s", "m", "l"), default="l"), "l"),
    ],
)
def test_starts(parameter, start):
    """The default, else the middle on the parameter's own scale, the first or the middle choice."""
    assert start_value(parameter) == pytest.approx(start)


@given(spaces())
def test_defaults_are_in_the_space(space):
    """The known-good start gives exactly the active parameters values in range."""
    config = space.defaults()
    space.check(config)
    assert set(config) == {p.name for p in space.active(config)}


@given(spaces())
def test_parents_come_before_children(space):
    """The ordered parameters are all there, each after those it depends on."""
    names = [p.name for p in space.ordered]
    assert sorted(names) == sorted(p.name for p in space)
    for position, parameter in enumerate(space.ordered):
        assert {c.parent for c in parameter.when} <= set(names[:position])


codec.decode(Space, codec.encode(Space(())))  # builds the reader, which takes a while


@given(spaces())
def test_round_trip_through_json(space):
    """A space written as JSON text comes back equal, types of choices included."""
    back = codec.decode(Space, json.loads(json.dumps(codec.encode(space))))
    assert back == space
    for mine, theirs in zip(space, back, strict=True):
        assert type(mine) is type(theirs)
        if isinstance(mine, Categorical | Ordinal):
            assert list(map(type, mine.choices)) == list(map(type, theirs.choices))


_TREE = Space(
    (
        Float(name="drop", low=0.0, high=0.5, when=(Condition("booster", ("dart",)),)),
        Categorical(name="learner", choices=("trees", "lines")),
        Categorical(
            name="booster", choices=("plain", "dart"), when=(Condition("learner", ("trees",)),)
        ),
        Int(name="leaves", low=2, high=64, step=2, unit="leaves"),
    )
)


def test_a_child_of_an_inactive_parent_is_inactive():
    """A left-over value of an inactive parent does not wake its children."""
    config = {"learner": "lines", "booster": "dart", "leaves": 2}
    assert [p.name for p in _TREE.active(config)] == ["learner", "leaves"]


def test_check_names_every_problem():
    """Missing, surplus, out of range, off the grid and of the wrong type, all at once."""
    with pytest.raises(SpaceError, match="needs a value") as caught:
        _TREE.check({"learner": "trees", "drop": 0.1, "leaves": 3, "depth": 2})
    text = str(caught.value)
    assert "booster: an active parameter needs a value" in text
    assert "drop: only active parameters have values (got 0.1)" in text
    assert "leaves: a value must lie in its range (got 3)" in text
    assert "depth: only active parameters" in text
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("leaves", "valid"),
    [(2, True), (64, True), (3, False), (66, False), (2.0, False), (True, False), ("2", False)],
)
def test_contains(leaves, valid):
    """Only integers of the grid are values of an integer parameter; True is not 1."""
    assert _TREE.contains({"learner": "lines", "leaves": leaves}) is valid


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "0.1", None])
def test_a_float_takes_finite_numbers_only(value):
    """Not-a-number, infinity, booleans and text are refused."""
    assert not Float(name="x", low=0.0, high=2.0).contains(value)


def test_true_and_one_are_different_choices():
    """A condition on 1 does not hold for True, nor the other way round; 1.0 equals 1."""
    assert holds(Condition("x", (1,)), {"x": 1.0})
    assert not holds(Condition("x", (1,)), {"x": True})
    assert not holds(Condition("x", (True,)), {"x": 1})
    assert not holds(Condition("x", (1,)), {})


_a = Categorical(name="a", choices=("u", "v"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((Float(name="x", low=1, high=1),), r"x: low must be below high \(got \[1, 1\]\)"),
        ((Float(name="x", low=0, high=math.inf),), "bounds must be finite numbers"),
        ((Float(name="x", low=math.nan, high=1),), "bounds must be finite numbers"),
        ((Float(name="x", low=0, high=1, scale="log"),), "a log scale needs low > 0"),
        ((Float(name="x", low=0, high=1, step=2),), "a step must be positive and no larger"),
        ((Float(name="x", low=0, high=1, step=-0.1),), "a step must be positive"),
        ((Float(name="x", low=0, high=1, step=math.nan),), "a step must be positive"),
        ((Float(name="x", low=0, high=1, default=2),), "the default must lie in the range"),
        ((Float(name="x", low=0, high=1, limits=(0.5, 2)),), "limits must enclose the range"),
        ((Int(name="x", low=0, high=9, default=2.5),), "the default must lie in the range"),
        ((Int(name="x", low=0, high=9, step=2, default=3),), "the default must lie in the range"),
        ((Int(name="x", low=0.5, high=9),), "low of an int parameter must be a whole number"),
        ((Int(name="x", low=0, high=9, step=1.5),), "step of an int parameter must be a whole"),
        ((Categorical(name="x", choices=()),), "choices must not be empty"),
        ((Categorical(name="x", choices=("a", "a")),), "choices must all be different"),
        ((Categorical(name="x", choices=("a", math.nan)),), "choices must be text, finite numbers"),
        ((Categorical(name="x", choices=([1], None)),), "choices must be text, finite numbers"),
        (
            (Categorical(name="x", choices=("a",), default="b"),),
            "the default must lie in the range",
        ),
        ((_a, _a), "names must be unique"),
        (
            (_a, Float(name="x", low=0, high=1, when=(Condition("A", ("u",)),))),
            "a condition must name a parameter of the space",
        ),
        (
            (_a, Float(name="x", low=0, high=1, when=(Condition("a", ("w",)),))),
            r"a condition must be satisfiable \(got a is w\)",
        ),
        (
            (
                Categorical(name="x", choices=(1,), when=(Condition("y", (1,)),)),
                Categorical(name="y", choices=(1,), when=(Condition("x", (1,)),)),
            ),
            r"conditions must not form a cycle \(got x, y\)",
        ),
    ],
)
def test_unsound_spaces_are_refused(parameters, message):
    """Each rule of a sound space has its own message with the value that broke it."""
    with pytest.raises(SpaceError, match=message):
        Space(parameters)


def test_all_problems_of_a_space_are_told_at_once():
    """Two broken parameters and a broken condition give three problems."""
    with pytest.raises(SpaceError, match="low must be below high") as caught:
        Space(
            (
                Float(name="x", low=2, high=1),
                Int(name="y", low=0, high=3, default=7),
                Float(name="z", low=0, high=1, when=(Condition("w", (1,)),)),
            )
        )
    assert len(caught.value.problems) == 3


def test_a_misspelt_name_gets_a_suggestion():
    """Asking for a parameter that does not exist names the nearest that does."""
    with pytest.raises(SpaceError, match="did you mean 'learner'"):
        _TREE["learnr"]


def test_replacing_makes_the_next_version():
    """The changed parameter is exchanged in place, the version rises, unknown names are refused."""
    wider = Int(name="leaves", low=2, high=256, step=2)
    changed = _TREE.replacing(wider)
    assert changed["leaves"] == wider
    assert changed.version == _TREE.version + 1
    assert [p.name for p in changed] == [p.name for p in _TREE]
    with pytest.raises(SpaceError, match="must exist in the space"):
        _TREE.replacing(Int(name="depth", low=1, high=2))


@given(spaces())
def test_prefixed_parameters_exist_only_for_their_learner(space):
    """A learner's space under a prefix keeps its defaults and conditions, and sleeps otherwise."""
    chooser = Categorical(name="learner", choices=("mine", "other"))
    parts = prefixed(space, "mine", Condition("learner", ("mine",)))
    whole = Space((chooser, *parts))
    own = {f"mine.{name}": value for name, value in space.defaults().items()}
    assert whole.defaults() == {"learner": "mine", **own}
    assert whole.contains({"learner": "other"})
    assert [p.name for p in whole.active({"learner": "other"})] == ["learner"]


def test_a_space_prints_itself_in_words():
    """One line per parameter: range, unit, scale, step, start, condition."""
    rate = Float(name="rate", low=0.001, high=1, scale="log", default=0.1, unit="per step")
    space = Space((rate, *_TREE.parameters, Ordinal(name="size", choices=("s", "l"))))
    assert str(space).splitlines() == [
        "rate: 0.001 to 1 per step (log), starting at 0.1",
        "drop: 0 to 0.5, when booster is dart",
        "learner: trees, lines",
        "booster: plain, dart, when learner is trees",
        "leaves: 2 to 64 leaves in steps of 2",
        "size: s < l",
    ]
    assert str(Space(())) == "(no parameters)"
    assert len(space) == 6


def test_the_root_decides_which_parameters_exist():
    """`learner` if it is there, else the free choice with the most children, else nothing."""
    kind, mode = (
        Categorical(name="kind", choices=("a", "b")),
        Categorical(name="mode", choices=(1, 2)),
    )
    one = Float(name="x", low=0, high=1, when=(Condition("kind", ("a",)),))
    two = [Float(name=n, low=0, high=1, when=(Condition("mode", (2,)),)) for n in ("y", "z")]
    learner = Categorical(name="learner", choices=("p", "q"))
    assert Space((kind, mode, one, *two)).root == mode
    assert Space((kind, mode, one)).root == kind
    assert Space((kind, mode)).root is None
    assert Space((kind, one, learner)).root == learner

"""The unit cube, the tree of configurations, and the first proposals."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from attain.core.space import Categorical, Condition, Float, Int, Ordinal, Space, prefixed
from attain.core.types import Observed
from attain.strategy._encode import Cube, axis
from attain.strategy._features import Features
from attain.strategy._initial import defaults, pending_defaults, sobol_rows
from attain.strategy._tree import Tree, is_finite
from attain.testing.strategy_suite import SIZES, SPACES

_NAMES = sorted(SPACES)
_LEARNERS = SPACES["several learners"]


def _rows(cube, count=64, seed=0):
    return np.random.default_rng(seed).random((count, len(cube)))


@pytest.mark.parametrize("name", _NAMES)
def test_every_point_of_the_cube_is_a_configuration(name):
    """Decoding gives members of the space, and encoding them gives the settled point."""
    cube = Cube(SPACES[name])
    rows = _rows(cube)
    settled = cube.settle(rows)
    allowed = cube.allowed(settled)
    for row, point, fine in zip(rows, settled, allowed, strict=True):
        config = cube.decode(row)
        assert cube.space.contains(config) == fine == cube.space.allows(config)
        np.testing.assert_allclose(cube.encode(config), point, atol=1e-9)
        assert cube.decode(point) == pytest.approx(config)


@pytest.mark.parametrize(
    "parameter",
    [
        Int(name="x", low=1, high=10),
        Int(name="x", low=1, high=9, step=4, scale="log"),
        Int(name="x", low=3, high=11, step=3),
        Float(name="x", low=0.1, high=1.0, step=0.3),
        Categorical(name="x", choices=("a", "b", "c")),
        Ordinal(name="x", choices=(1, 2)),
    ],
)
def test_every_value_owns_a_cell(parameter):
    """All values are reached, each sits at its own position, linear ones are equally likely."""
    one = axis(parameter)
    values = [one.value(u) for u in (np.arange(10_000) + 0.5) / 10_000]
    counts = [values.count(v) for v in dict.fromkeys(values)]
    assert len(counts) == one.levels
    if getattr(parameter, "scale", "linear") == "linear":
        assert max(counts) - min(counts) <= 2
    for value in set(values):
        assert one.value(one.position(value)) == value
        assert one.settle(np.array([one.position(value)]))[0] == pytest.approx(one.position(value))


def test_log_numbers_are_uniform_in_their_logarithm():
    """The middle of a log axis is the geometric mean."""
    assert axis(Float(name="x", low=1e-4, high=1.0, scale="log")).value(0.5) == pytest.approx(1e-2)


def test_evidence_of_an_older_space_keeps_its_place():
    """Out of range lies outside, unknown choices are unlike all, new parameters at their start."""
    cube = Cube(_LEARNERS)
    at = cube.column
    old = {"learner": "trees", "trees.rate": 10.0, "trees.leaves": 31, "trees.booster": "goss"}
    row = cube.encode(old)
    assert row[at["trees.rate"]] == pytest.approx(1.25)
    assert row[at["trees.booster"]] < 0
    assert np.isnan(row[at["trees.drop"]])
    assert cube.key(old) is None
    newer = {"learner": "trees", "trees.rate": 0.1, "trees.leaves": 31}
    full = {**newer, "trees.booster": "plain"}
    np.testing.assert_array_equal(cube.encode(newer), cube.encode(full))
    assert cube.key(newer) == cube.key(full)


def test_extremes_are_kept_within_reach():
    """A value a million ranges away does not stretch the scale for all others."""
    cube = Cube(_LEARNERS)
    row = cube.encode({"learner": "lines", "lines.penalty": 1e300})
    assert row[cube.column["lines.penalty"]] == 2.0
    row = cube.encode({"learner": "lines", "lines.penalty": -5.0})
    assert row[cube.column["lines.penalty"]] == -1.0


@pytest.mark.parametrize(
    "config", [{"learner": "forest", "forest.trees": 3}, {"forest.trees": 3}, {"learner": "gone"}]
)
def test_configurations_of_something_else_say_nothing(config):
    """A learner that is no longer part of the space is no evidence about the others."""
    assert Cube(_LEARNERS).encode(config) is None


@given(st.data())
def test_numbers_of_a_tree_are_its_configurations(data):
    """Each number gives a different member; there are as many as a brute-force count finds."""
    name = data.draw(st.sampled_from(sorted(SIZES)))
    space = SPACES[name]
    configs = list(Tree(space))
    assert len(configs) == SIZES[name]
    free = Space(space.parameters)  # leaves that a clause forbids are numbered, too
    assert Tree(space).size == len(list(Tree(free))) >= SIZES[name]
    keys = {Cube(space).key(c) for c in configs}
    assert len(keys) == len(configs)
    assert None not in keys


def test_a_huge_tree_is_counted_in_no_time():
    """Two learners of 30 and 20 parameters: an exact number with 22 digits, and its last leaf."""
    many = Space(tuple(Int(name=f"p{i}", low=1, high=5) for i in range(30)))
    some = Space(tuple(Categorical(name=f"p{i}", choices=("a", "b")) for i in range(20)))
    chooser = Categorical(name="learner", choices=("many", "some"))
    parts = [
        prefixed(s, n, Condition("learner", (n,))) for n, s in (("many", many), ("some", some))
    ]
    space = Space((chooser, *itertools.chain(*parts)))
    start = time.perf_counter()
    tree = Tree(space)
    assert tree.size == 5**30 + 2**20
    assert tree.at(tree.size - 1)["some.p19"] == "b"
    assert tree.at(0)["many.p0"] == 1
    assert time.perf_counter() - start < 1.0


def test_conditions_on_numbers_are_counted():
    """A number with a million steps as a parent: only the values named in conditions matter."""
    parent = Int(name="n", low=0, high=999_999)
    child = Categorical(name="c", choices=("a", "b"), when=(Condition("n", (7, 500_000)),))
    tree = Tree(Space((child, parent)))
    assert tree.size == 1_000_002
    assert [tree.at(i) for i in (7, 8, 9)] == [
        {"n": 7, "c": "a"},
        {"n": 7, "c": "b"},
        {"n": 8},
    ]


def test_only_steps_and_choices_are_finite():
    """One continuous parameter makes a space infinite, also a conditional one."""
    assert is_finite(SPACES["numbers with steps"])
    assert not is_finite(_LEARNERS)


def test_one_default_per_learner_the_preferred_first():
    """The chooser's own default comes first, then the others in their order."""
    assert [p.config["learner"] for p in defaults(_LEARNERS)] == ["lines", "trees", "none"]
    assert defaults(_LEARNERS)[1].config == {
        "learner": "trees",
        "trees.rate": 0.1,
        "trees.leaves": 31,
        "trees.booster": "plain",
    }
    assert defaults(_LEARNERS)[1].reason == "known-good default of trees"
    assert [p.reason for p in defaults(SPACES["continuous numbers"])] == ["known-good default"]


def test_defaults_asked_under_an_older_space_are_not_asked_again():
    """A parameter added since then does not make a known-good default new."""
    cube = Cube(_LEARNERS)
    old = {"learner": "trees", "trees.rate": 0.1, "trees.leaves": 31}
    waiting = pending_defaults(cube, [Observed("t", old, "done", 0.1)])
    assert [p.config["learner"] for p in waiting] == ["lines", "none"]


@pytest.mark.parametrize("first", [0, 5, 64, 1000])
def test_the_sobol_sequence_is_scipys(first):
    """From any place on, the points are those of SciPy's engine with the same seed."""
    wanted = qmc.Sobol(3, scramble=True, rng=np.random.default_rng(7)).random(2048)
    got = np.array(list(itertools.islice(sobol_rows(3, 7, first), 70)))
    np.testing.assert_array_equal(got, wanted[first : first + 70])


def _distances(configs, name):
    """Squared distances between configurations that one parameter causes."""
    cube = Cube(_LEARNERS)
    features = Features(cube)
    x = features.embed(np.array([cube.encode(c) for c in configs]))
    x = x[:, features.groups == cube.column[name]]
    return ((x[:, None, :] - x[None, :, :]) ** 2).sum(axis=2)


def test_conditional_distances():
    """Both inactive: none. One inactive: 1. Both active: about the difference on the scale."""
    tree = {"learner": "trees", "trees.leaves": 31, "trees.booster": "plain"}
    configs = [
        {"learner": "none"},
        {"learner": "lines", "lines.penalty": 1.0},
        {**tree, "trees.rate": 1e-4},
        {**tree, "trees.rate": 1e-3},
    ]
    between = _distances(configs, "trees.rate")
    assert between[0, 1] == 0
    assert between[0, 2] == pytest.approx(1)
    assert between[1, 3] == pytest.approx(1)
    assert between[2, 3] == pytest.approx(0.25**2, rel=0.01)
    learner = _distances(configs, "learner")
    assert learner[0, 1] == learner[0, 2] == pytest.approx(1)
    assert learner[2, 3] == 0
    booster = _distances(configs, "trees.booster")
    assert booster[0, 2] == pytest.approx(1)


def test_gradients_are_pulled_back_to_positions():
    """The chain rule through the embedding agrees with finite differences."""
    cube = Cube(_LEARNERS)
    features = Features(cube)
    config = {"learner": "trees", "trees.rate": 0.03, "trees.leaves": 9, "trees.booster": "dart"}
    row = cube.encode({**config, "trees.drop": 0.2})
    direction = np.random.default_rng(0).normal(size=len(features.groups))
    (got,) = features.pull_back(row[None, :], direction[None, :])
    for name in ("trees.rate", "trees.leaves", "trees.drop"):
        column = cube.column[name]
        moved = np.array([row, row])
        moved[:, column] += (-1e-6, 1e-6)
        low, high = features.embed(moved) @ direction
        assert got[column] == pytest.approx((high - low) / 2e-6, rel=1e-6)
    assert got[cube.column["learner"]] == got[cube.column["lines.penalty"]] == 0

"""Clauses, priors and unusual scales in every strategy; Latin hypercubes."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import qmc

from attain.core import registry
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
from attain.core.types import Observed
from attain.strategy._allowed import allowed
from attain.strategy._encode import Cube
from attain.strategy._initial import Fresh, defaults, pending_defaults
from attain.strategy._prior import UNIFORM
from attain.strategy._tree import SMALL, Tree, is_finite
from attain.strategy.grid import Grid
from attain.strategy.lhs import Lhs
from attain.strategy.random import Random
from attain.strategy.sobol import Sobol
from attain.testing.strategy_suite import SPACES

_SPREADING = (Random(), Sobol(), Lhs())


def _history(proposals):
    return [Observed(f"t{i}", p.config, "done", float(i % 3)) for i, p in enumerate(proposals)]


def _one_at_a_time(strategy, space, count, seed=0):
    found = []
    for _ in range(count):
        found += strategy.propose(space, _history(found), 1, seed)
    return found


_CONDITIONS = ("x + n <= 6", "x * n != 4 or flag", "k == 'a' or n > 1", "x > 0.3 or k != 'b'")


@st.composite
def _spaces(draw, finite=False):
    """A chooser, numbers on a random scale below it, priors, and some clauses."""
    scale = draw(st.sampled_from(["linear", "log", "symlog"]))
    step = 0.25 if finite else draw(st.sampled_from([None, 0.25]))
    prior = draw(st.sampled_from([None, (1.0, 0.5)]))
    below = draw(st.sampled_from([(), (Condition("k", ("a", "c")),)]))
    weights = draw(st.sampled_from([None, (1.0, 5.0, 0.0)]))
    parameters = (
        Categorical(name="k", choices=("a", "b", "c"), prior=weights),
        Float(name="x", low=0.25, high=1.5, scale=scale, step=step, prior=prior, when=below),
        Int(name="n", low=1, high=6, prior=draw(st.sampled_from([None, (4.0, 1.0)]))),
        Categorical(name="flag", choices=(True, False), when=below),
        Ordinal(name="size", choices=(1, 2)),
    )
    forbidden = draw(st.sampled_from([(), (("n", (3, 4)), ("size", (2,))), (("k", ("c",)),)]))
    never = (Forbidden(tuple(Condition(*pair) for pair in forbidden)),) if forbidden else ()
    texts = draw(st.lists(st.sampled_from(_CONDITIONS), max_size=3, unique=True))
    try:
        return Space(parameters, forbidden=never, constraints=tuple(map(Constraint, texts)))
    except SpaceError:
        assume(False)


@pytest.mark.parametrize("name", registry.names("strategy"))
@settings(max_examples=12, deadline=None)
@given(space=_spaces(), seed=st.integers(0, 99))
def test_every_strategy_stays_inside_and_can_be_replayed(name, space, seed):
    """Ranges, conditions and clauses are kept, nothing comes twice, equal calls give equals."""
    make = registry.find("strategy", name)
    found = []
    for asked in (1, 3, 2):
        got = make().propose(space, _history(found), asked, seed)
        assert got == make().propose(space, _history(found), asked, seed)
        assert len(got) == asked
        found += got
    for proposal in found:
        space.check(proposal.config)
    keys = [Cube(space).key(p.config) for p in found]
    assert len(set(keys)) == len(found)


@pytest.mark.parametrize("name", ["grid", "lhs", "random", "sobol"])
@settings(max_examples=6, deadline=None)
@given(space=_spaces(finite=True), batch=st.sampled_from([40, 500]))
def test_finite_spaces_are_exhausted_exactly(name, space, batch):
    """Every permitted configuration comes once, then nothing more."""
    make = registry.find("strategy", name)
    wanted = {Cube(space).key(c) for c in Tree(space)}
    found = []
    while got := make().propose(space, _history(found), batch, 1):
        found += got
    keys = [Cube(space).key(p.config) for p in found]
    if (
        name == "grid" and Tree(space).size > SMALL
    ):  # a large grid has only some values of each number
        assert set(keys) <= wanted
        assert len(set(keys)) == len(keys)
    else:
        assert sorted(map(str, keys)) == sorted(map(str, wanted))


@settings(deadline=None)
@given(_spaces(), st.integers(0, 9))
def test_many_points_are_judged_like_single_ones(space, seed):
    """The vectorised mask says of each point what the space says of its configuration."""
    cube = Cube(space)
    rows = cube.settle(np.random.default_rng(seed).random((50, len(cube))))
    assert cube.allowed(rows).tolist() == [space.allows(cube.decode(row)) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        *("x / y < 1", "x % y < 0.2", "x ** y > 0.5", "log(x) < y", "sqrt(x) >= y"),
        *("min(x, y) < 0.1", "max(x, y, 0.2) == 0.2", "abs(x) > y", "exp(x * 999) > y"),
        *("-x <= y and not x == y", "z", "z != True or x > 0", "w == 'a' or w != 2"),
        "(0 - x) ** y == 0 or x != 0",
    ],
)
def test_all_operations_on_arrays_are_those_on_numbers(text):
    """Undefined results included: zero divided by zero, logarithms of zero and below."""
    space = Space(
        (
            Float(name="x", low=-1.0, high=1.0, step=0.25, default=0.25),
            Float(name="y", low=-1.0, high=1.0, step=0.25, default=0.5),
            Categorical(name="z", choices=(True, False)),
            Categorical(name="w", choices=("a", "b", 2)),
        )
    )
    cube = Cube(space)
    rows = np.array([cube.encode(config) for config in Tree(space)])
    clause = Constraint(text)
    clauses = SimpleNamespace(forbidden=(), constraints=(clause,))
    mask = allowed(clauses, cube.axes, rows)
    assert mask.tolist() == [not clause.breaks(config) for config in Tree(space)]


def test_values_on_a_boundary_are_judged_as_written():
    """Three steps of 0.1 are 0.3, not more: a constraint at a grid's value includes it."""
    share = Float(name="share", low=0.1, high=0.7, step=0.1, default=0.1)
    cube = Cube(Space((share,), constraints=(Constraint("share <= 0.3"),)))
    rows = cube.settle(np.linspace(0, 1, 7)[:, None])
    assert cube.allowed(rows).tolist() == [True] * 3 + [False] * 4


@pytest.mark.parametrize("strategy", _SPREADING, ids=["random", "sobol", "lhs"])
@pytest.mark.parametrize("name", ["constraints on numbers", "forbidden combinations", "priors"])
def test_one_by_one_or_all_at_once_is_the_same_with_clauses(strategy, name):
    """Trial k does not depend on how it was asked for, where draws are refused or shifted."""
    together = strategy.propose(SPACES[name], [], 8, 3)
    assert tuple(_one_at_a_time(strategy, SPACES[name], 8, 3)) == together


@pytest.mark.parametrize("strategy", [*_SPREADING, Grid()])
def test_a_rarely_met_constraint_is_met(strategy):
    """One point in two thousand is permitted: all strategies find hundreds, soon."""
    x, y = (Float(name=n, low=0.0, high=1.0, default=0.0) for n in "xy")
    space = Space((x, y), constraints=(Constraint("max(x, y) <= 1 / 45"),))
    start = time.perf_counter()
    got = strategy.propose(space, [], 20, 0)
    assert time.perf_counter() - start < 20
    for proposal in got:
        space.check(proposal.config)
    assert len(got) == (1 if isinstance(strategy, Grid) else 20)


def test_what_no_draw_can_meet_ends():
    """An equation of continuous numbers leaves the default only, and that is said in time."""
    x, y = (Float(name=n, low=0.0, high=1.0, default=0.5) for n in "xy")
    space = Space((x, y), constraints=(Constraint("x == y"),))
    for strategy in _SPREADING:
        assert [p.config for p in strategy.propose(space, [], 3, 0)] == [{"x": 0.5, "y": 0.5}]


def test_a_grid_of_any_size_is_lazy_with_clauses_too():
    """A grid of 10**30 points, most of them forbidden, starts at once."""
    parameters = tuple(Int(name=f"n{i}", low=1, high=10, step=1) for i in range(30))
    few = Space(parameters, constraints=(Constraint("n0 + n1 + n2 <= 15"),))
    assert Tree(few).size == 10**30
    start = time.perf_counter()
    got = Grid().propose(few, [], 50, 0)
    assert time.perf_counter() - start < 2
    assert got[0].reason == f"grid point 1 of at most {10**30}"
    never = Forbidden(tuple(Condition(f"n{i}", tuple(range(2, 11))) for i in (0,)))
    rare = Space(
        tuple(Int(name=f"n{i}", low=1, high=10, step=1, default=1) for i in range(30)),
        forbidden=(never,),
        constraints=(Constraint("n1 + n2 + n3 + n4 + n5 <= 5"),),
    )
    got = Grid().propose(rare, [], 50, 0)
    assert len({tuple(p.config.values()) for p in got}) == 50
    assert all(rare.contains(p.config) for p in got)


def test_what_remains_of_a_continuum_is_drawn():
    """Where a model finds nothing new, clauses leave random points; without them none are due."""
    space = SPACES["constraints on numbers"]
    got = Fresh.after(Cube(space), frozenset()).rest(5, 0)
    assert len(got) == 5
    assert all(space.contains(p.config) for p in got)
    assert Fresh.after(Cube(SPACES["continuous numbers"]), frozenset()).rest(5, 0) == ()


def test_defaults_that_a_clause_forbids_are_left_out():
    """A learner whose known-good start is forbidden has none; the others keep theirs."""
    space = SPACES["several learners"]
    never = Forbidden((Condition("learner", ("trees",)), Condition("trees.leaves", (31,))))
    clauses = Space(space.parameters, forbidden=(never,))
    assert [p.config["learner"] for p in defaults(clauses)] == ["lines", "none"]


def test_history_of_every_earlier_version_is_read():
    """Choices and parameters added, others removed: all trials still have a place."""
    old = Space((Categorical(name="k", choices=("a", "b")), Float(name="x", low=0.0, high=1.0)))
    trials = [{"k": "a", "x": 0.25}, {"k": "b", "x": 0.75}]
    new = old.extended(Categorical(name="k", choices=("c", "a", "b")))
    new = new.extended(Int(name="n", low=1, high=9, default=3))
    new = new.extended(Float(name="x", low=0.5, high=2.5))
    cube = Cube(new)
    rows = [cube.encode(config) for config in trials]
    assert [cube.decode(row)["k"] for row in rows] == ["a", "b"]
    assert [row[cube.column["x"]] for row in rows] == pytest.approx([-0.125, 0.125])
    assert {cube.decode(row)["n"] for row in rows} == {3}
    assert cube.key(trials[1]) == cube.key({"k": "b", "x": 0.75, "n": 3})
    assert cube.key(trials[0]) is None  # x is out of range now
    fewer = new.extended(removed=["x"]).extended(Int(name="m", low=0, high=1, default=0))
    cube = Cube(fewer)
    assert cube.decode(cube.encode(trials[0])) == {"k": "a", "n": 3, "m": 0}
    assert Cube(Space(fewer.parameters)).encode(trials[0]) is None  # unless it is remembered


@pytest.mark.parametrize("strategy", _SPREADING, ids=["random", "sobol", "lhs"])
def test_draws_follow_the_prior_but_not_all_of_them(strategy):
    """Three of four draws have the prior's distribution, cut at the bounds; the rest is uniform."""
    space = Space(
        (
            Float(name="rate", low=1e-6, high=1.0, scale="log", prior=(1e-5, 1.0)),
            Categorical(name="kind", choices=("a", "b", "c"), prior=(6.0, 1.0, 1.0)),
        )
    )
    configs = [p.config for p in strategy.propose(space, [], 1025, 2)[1:]]
    logs = np.log([c["rate"] for c in configs])
    low, high, centre = np.log([1e-6, 1.0, 1e-5])
    normal = stats.truncnorm(low - centre, high - centre, centre, 1.0)

    def mixed(x):
        return UNIFORM * (x - low) / (high - low) + (1 - UNIFORM) * normal.cdf(x)

    assert stats.kstest(logs, mixed).pvalue > 1e-3
    shares = [sum(c["kind"] == k for c in configs) / 1024 for k in "abc"]
    assert shares == pytest.approx([0.25 / 3 + 0.75 * w / 8 for w in (6, 1, 1)], abs=0.05)


def test_sobol_keeps_its_spread_under_a_prior():
    """The distance to the distribution that is wanted is far smaller than random search's."""
    space = Space((Float(name="x", low=-3.0, high=3.0, prior=(0.0, 1.0)),))
    normal = stats.truncnorm(-3, 3)

    def mixed(x):
        return UNIFORM * (x + 3) / 6 + (1 - UNIFORM) * normal.cdf(x)

    def distance(strategy, seed):
        x = [p.config["x"] for p in strategy.propose(space, [], 257, seed)[1:]]
        return stats.kstest(x, mixed).statistic

    sobol, random = (np.mean([distance(s, i) for i in range(5)]) for s in (Sobol(), Random()))
    assert sobol < random / 3


@settings(deadline=None, max_examples=40)
@given(_spaces(finite=True))
def test_log_priors_are_densities(space):
    """Over all points of a tree, weighted by what uniform draws do, the prior's density sums to
    one, and it never falls below the uniform share."""
    cube = Cube(Space(space.parameters))
    rows = np.random.default_rng(0).random((4000, len(cube)))
    density = np.exp(cube.log_prior(cube.settle(rows)))
    assert density.min() >= UNIFORM * (1 - 1e-9)
    assert density.mean() == pytest.approx(1, abs=0.15)


def test_log_priors_are_higher_where_good_values_are_expected():
    """Near the stated value, and for likely choices; zero where nothing is stated."""
    cube = Cube(SPACES["priors"])
    near = cube.encode({"rate": 1e-3, "depth": 6, "kind": "plain"})
    far = cube.encode({"rate": 1.0, "depth": 12, "kind": "deep"})
    high, low = cube.log_prior(np.array([near, far]))
    assert high > 1
    assert low == pytest.approx(np.log(UNIFORM), abs=0.01)
    plain = Cube(SPACES["several learners"])
    rows = plain.settle(np.random.default_rng(0).random((20, len(plain))))
    assert not plain.log_prior(rows).any()


def test_a_prior_out_of_range_counts_as_the_nearest_end():
    """A range that was narrowed since keeps its prior without harm."""
    space = Space((Float(name="x", low=0.0, high=1.0, prior=(40.0, 0.2)),))
    x = np.array([p.config["x"] for p in Random().propose(space, [], 401, 0)[1:]])
    assert 0.7 < (x > 0.5).mean() < 0.95
    assert np.isfinite(Cube(space).log_prior(np.array([[0.0], [1.0]]))).all()


def test_each_hypercube_visits_every_slice_once():
    """Blocks of 8, 8, 16, 32, ... 256, 256: in each, on every axis, one point per slice."""
    space = SPACES["continuous numbers"]
    proposals = Lhs().propose(space, [], 1 + 768, 4)[1:]
    cube = Cube(space)
    rows = np.array([cube.encode(p.config) for p in proposals])
    edges = [0, 8, 16, 32, 64, 128, 256, 512, 768]
    for start, end in itertools.pairwise(edges):
        size = end - start
        for column in rows[start:end].T:
            slices = np.floor(column * size).astype(int)
            assert sorted(slices) == list(range(size))


def test_the_first_hypercube_is_scipys():
    """The points are SciPy's for a generator derived from the seed, in order."""
    from attain.core.seeds import derive

    proposals = Lhs().propose(SPACES["continuous numbers"], [], 9, 7)[1:]
    cube = Cube(SPACES["continuous numbers"])
    generator = np.random.default_rng(derive(7, "lhs", 0))
    points = qmc.LatinHypercube(2, rng=generator).random(8)
    np.testing.assert_allclose([cube.encode(p.config) for p in proposals], points, atol=1e-12)
    assert proposals[0].reason == "Latin hypercube point 1"


def test_only_the_place_in_the_study_matters_to_a_hypercube():
    """A block is a function of seed and place: what was proposed before does not change it."""
    space = SPACES["continuous numbers"]
    first = Lhs().propose(space, [], 20, 1)
    other = Random().propose(space, [], 20, 5)
    assert Lhs().propose(space, _history(first), 3, 1) == Lhs().propose(
        space, _history([first[0], *other[1:]]), 3, 1
    )


def test_pending_defaults_keep_clauses():
    """The known-good starts are among what the clauses permit, and are asked for once."""
    cube = Cube(SPACES["forbidden combinations"])
    starts = pending_defaults(cube, [])
    assert starts[0].config == cube.space.defaults()
    assert all(cube.space.contains(start.config) for start in starts)
    assert pending_defaults(cube, _history(starts)) == ()
    assert is_finite(cube.space)


@pytest.mark.parametrize("strategy", _SPREADING, ids=["random", "sobol", "lhs"])
def test_a_long_history_with_clauses_costs_little(strategy):
    """After two thousand trials of which half the draws were refused, the next comes at once."""
    x, y = (Float(name=n, low=0.0, high=1.0) for n in "xy")
    space = Space((x, y), constraints=(Constraint("x + y <= 1"),))
    history = _history(Random().propose(space, [], 2000, 0))
    start = time.perf_counter()
    assert len(strategy.propose(space, history, 1, 0)) == 1
    assert time.perf_counter() - start < 1.0

"""Densities over trees of mixed parameters: they sum to 1, and agree with scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attain.core.space import Categorical, Condition, Float, Int, Ordinal, Space
from attain.strategy._encode import Cube
from attain.strategy._parzen import Mixture, few_levels, fit, spread_widths, start_row
from attain.strategy._tree import Tree

_DEEP = (Condition("kind", ("deep",)),)
_TREE = Space(
    (
        Categorical(name="kind", choices=("plain", "deep", "none")),
        Int(name="layers", low=1, high=6, scale="log", when=_DEEP),
        Ordinal(name="size", choices=("s", "m", "l")),
        Float(name="share", low=0.1, high=0.5, step=0.2),
        Categorical(name="skip", choices=(True, False), when=(Condition("layers", (2, 3)),)),
    )
)
_LINE = Space(
    (
        Float(name="x", low=0, high=1, default=0.2),
        Categorical(name="kind", choices=("plain", "deep")),
        Float(name="y", low=0, high=1, when=_DEEP),
    )
)


def _mixture(space, n, seed):
    cube, rng = Cube(space), np.random.default_rng(seed)
    rows = cube.settle(rng.random((n, len(cube))))
    return fit(cube, rows, rng.random(n) + 0.1)


@given(st.integers(0, 12), st.integers(0, 10**6))
def test_a_density_over_a_finite_tree_sums_to_one(n, seed):
    """All configurations of a space with conditions under conditions have probability 1."""
    mixture = _mixture(_TREE, n, seed)
    cube = mixture.cube
    rows = np.array([cube.encode(config) for config in Tree(_TREE)])
    assert np.exp(mixture.log_density(rows)).sum() == pytest.approx(1.0)


def test_a_density_over_numbers_integrates_to_one():
    """The midpoint rule over both branches of a space with a conditional number gives 1."""
    mixture = _mixture(_LINE, 6, 3)
    grid = (np.arange(400) + 0.5) / 400
    plain = np.array([[x, 0.25, np.nan] for x in grid])
    deep = np.array([[x, 0.75, y] for x, y in itertools.product(grid, grid)])
    total = np.exp(mixture.log_density(plain)).mean() + np.exp(mixture.log_density(deep)).mean()
    assert total == pytest.approx(1.0, abs=1e-5)


def test_kernels_are_scipys_truncated_normals():
    """One continuous parameter: the mixture of scipy's truncated normal densities."""
    cube = Cube(Space((Float(name="x", low=-5, high=10, default=1),)))
    rows, weights = np.array([[0.1], [0.15], [0.9]]), np.array([1.0, 2.0, 3.0])
    mixture, x = fit(cube, rows, weights), np.linspace(0, 1, 50)
    centres, widths = [0.1, 0.15, 0.9, 0.4], [*[spread_widths(rows)[0]] * 3, 1.0]
    expected = sum(
        w * stats.truncnorm.pdf(x, -c / s, (1 - c) / s, loc=c, scale=s)
        for w, c, s in zip(np.array([1, 2, 3, 2]) / 8, centres, widths, strict=True)
    )
    np.testing.assert_allclose(np.exp(mixture.log_density(x[:, None])), expected, rtol=1e-10)


def test_cells_are_integrals_of_the_same_kernels():
    """A grid's values have the probabilities of their cells under scipy's distribution."""
    cube = Cube(Space((Int(name="depth", low=1, high=5),)))
    mixture = Mixture(cube, np.array([[0.3]]), np.array([[0.15]]), np.ones(1))
    law = stats.truncnorm(-2.0, 0.7 / 0.15, loc=0.3, scale=0.15)
    expected = np.diff(law.cdf(np.linspace(0, 1, 6)))
    np.testing.assert_allclose(mixture.tables[0][0], expected, rtol=1e-10)


def test_choices_have_the_published_kernel():
    """Its own choice has probability 1 - b, the others share b equally."""
    cube = Cube(Space((Categorical(name="c", choices=("a", "b", "c")),)))
    mixture = Mixture(cube, np.array([[0.5]]), np.ones((1, 1)), np.ones(1), leak=0.3)
    np.testing.assert_allclose(mixture.tables[0], [[0.15, 0.7, 0.15]])


@pytest.mark.parametrize("space", [_TREE, _LINE], ids=["tree", "line"])
def test_draws_follow_the_density(space):
    """Mean log density of draws equals the entropy integral; shares of choices equal theirs."""
    mixture = _mixture(space, 5, 1)
    rng = np.random.default_rng(0)
    cube = mixture.cube
    rows = cube.settle(mixture.sample(20_000, rng))
    even = cube.settle(rng.random((20_000, len(cube))))
    kind = cube.column["kind"]
    for place in np.unique(rows[:, kind]):
        ratio = np.exp(mixture.log_density(even)) / np.exp(_even(cube, even))
        expected = np.mean(ratio * (even[:, kind] == place))
        assert np.mean(rows[:, kind] == place) == pytest.approx(expected, abs=0.03)


def _even(cube, rows):
    """Log density of settled uniform draws."""
    total = np.zeros(len(rows))
    for i, axis in enumerate(cube.axes):
        levels = few_levels(axis)
        if levels is not None:
            told = ~np.isnan(rows[:, i])
            total[told] += np.log(np.diff(levels.edges)[levels.of(rows[told, i])])
    return total


def test_a_group_that_has_gathered_is_still_left():
    """Equal centres get the floor of 1 / (n + 2), a single one a width of 0.3, far ones more."""
    assert spread_widths(np.full((8, 1), 0.5)) == pytest.approx(0.1)
    assert spread_widths(np.array([[0.5]])) == pytest.approx(0.333, abs=0.04)
    assert spread_widths(np.array([[0.0], [1.0]]))[0] > 0.5
    assert spread_widths(np.full((500, 1), 0.5)) == pytest.approx(0.01)


def test_evidence_from_an_older_space_is_placed_sensibly():
    """Absent: the default; out of range: the bound; a choice that is gone: flat."""
    cube = Cube(_LINE)
    mixture = fit(cube, np.array([[1.7, -0.5, np.nan]]), np.ones(1))
    assert mixture.centres[0, 0] == 1.0
    np.testing.assert_allclose(mixture.tables[1][0], [0.5, 0.5])
    assert mixture.centres[0, 2] == start_row(cube)[2]


def test_long_grids_are_treated_as_continua():
    """Few values are integrated one by one, many are not; choices always are."""
    many = Cube(
        Space(
            (
                Int(name="a", low=0, high=999),
                Int(name="b", low=0, high=9),
                Categorical(name="c", choices=tuple(range(50))),
            )
        )
    )
    assert [few_levels(axis) is None for axis in many.axes] == [True, False, False]

"""Looks before all folds are known: p-values, and the error of a whole study, by simulation."""

import math

import numpy as np
import pytest

from attain.stats import sequential
from attain.stats.sequential import LEAST_FACTOR, PRIOR_FACTOR, PRIOR_FREEDOM


@pytest.mark.parametrize("done", [1, 2, 3, 4])
@pytest.mark.parametrize("common", [0.0, 3.0])
def test_p_values_are_uniform_where_the_complete_difference_is_zero(done, common):
    """Whatever folds have in common: of 20,000 draws, a share u has a p-value up to u."""
    rng = np.random.default_rng(done)
    folds = rng.normal(size=(20_000, 5)) + common * rng.normal(size=(20_000, 1))
    folds -= folds.mean(axis=1, keepdims=True)
    behind = folds[:, :done].mean(axis=1)
    found = [sequential.chance(d, 1 / math.sqrt(done), done, 5, 1e6) for d in behind]
    for u in (0.01, 0.1, 0.4):
        assert np.mean(np.array(found) <= u) == pytest.approx(u, abs=0.012)


@pytest.mark.parametrize("total", [3, 5, 15])
def test_looks_share_the_error_and_early_ones_get_more(total):
    """Over all looks and rivals the levels add up to the error."""
    levels = [sequential.level(0.05, 7, done, total) for done in range(1, total)]
    assert sum(levels) * 7 == pytest.approx(0.05)
    assert levels == sorted(levels, reverse=True)
    assert sequential.level(0.05, 7, total, total) == 0


@pytest.mark.parametrize(
    ("difference", "error", "done", "freedom"),
    [
        *((-1.0, 0.1, 1, 9), (0.0, 0.1, 1, 9), (1.0, 0.0, 1, 9), (1.0, math.inf, 1, 9)),
        *((1.0, 0.1, 5, 9), (1.0, 0.1, 1, 0), (math.nan, 0.1, 1, 9), (1.0, math.nan, 1, 9)),
    ],
)
def test_where_nothing_can_be_told_the_chance_is_one(difference, error, done, freedom):
    """Ahead, equal, without error or freedom, not a number, or all folds known."""
    assert sequential.chance(difference, error, done, 5, freedom) == 1.0


def test_dispersion_moves_from_the_prior_to_the_evidence():
    """Nothing seen gives the prior; much evidence gives its mean, but never less than a half."""
    assert sequential.dispersion([]) == (PRIOR_FACTOR, PRIOR_FREEDOM)
    factor, freedom = sequential.dispersion([(3.0, 4.0)] * 500)
    assert factor == pytest.approx(3.0, abs=0.01)
    assert freedom == PRIOR_FREEDOM + 2000
    assert sequential.dispersion([(0.01, 4.0)] * 500).factor == LEAST_FACTOR
    assert sequential.dispersion([(math.nan, 4.0), (2.0, 0.0)]) == (PRIOR_FACTOR, PRIOR_FREEDOM)


def _study(rng, factor, spread, total=5, configurations=25, error=0.05):
    """Whether the configuration that is first on all folds was dropped; and the share of folds."""
    truth = spread * np.sort(rng.exponential(size=configurations))
    rng.shuffle(truth)
    shared = rng.normal(size=total)
    folds = (
        truth[:, None] + shared + math.sqrt(factor / 2) * rng.standard_t(8, (configurations, total))
    )
    whole, used, seen, dropped = [0], total, [], set()
    for i in range(1, configurations):
        rival = min(whole, key=lambda j: folds[j].mean())
        gap = folds[i] - folds[rival]
        for done in range(1, total + 1):
            known = sequential.dispersion(seen)
            error_now = math.sqrt(known.factor / done)  # a row variance of 1 for a fold's gap
            p = sequential.chance(gap[:done].mean(), error_now, done, total, known.freedom)
            if p <= sequential.level(error, i, done, total):
                dropped.add(i)
                break
        else:
            whole.append(i)
        used += done
        seen.append((float(np.var(gap[:done], ddof=1)) if done > 1 else math.nan, done - 1.0))
    first = int(np.argmin(folds.mean(axis=1)))
    return first in dropped, used / (configurations * total)


@pytest.mark.parametrize("factor", [0.4, 1.0, 4.0])
@pytest.mark.parametrize("spread", [0.2, 2.0])
def test_the_first_of_a_study_is_dropped_no_more_often_than_stated(factor, spread):
    """400 studies each, differences with heavy tails, folds that differ less or more than rows
    explain: the error of 5 % is kept (3 standard errors above would be 8 %)."""
    rng = np.random.default_rng(int(10 * factor + spread))
    lost = [_study(rng, factor, spread)[0] for _ in range(400)]
    assert np.mean(lost) <= 0.05


def test_clear_losers_cost_one_fold():
    """Where configurations differ by many standard errors, most folds are saved."""
    rng = np.random.default_rng(0)
    used = [_study(rng, 1.0, 30.0)[1] for _ in range(40)]
    assert np.mean(used) < 0.4

"""PED-ANOVA finds what separates good trials, and nothing where there is nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.stats.importance import ped_anova


def _planted(seed, n=200):
    rng = np.random.default_rng(seed)
    columns = {
        "strong": rng.random(n),
        "noise": rng.random(n),
        "choice": rng.integers(0, 4, n),
        "coin": rng.integers(0, 2, n),
    }
    loss = 4 * (columns["strong"] - 0.3) ** 2 + 0.7 * (columns["choice"] != 2)
    return columns, loss + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("seed", range(6))
def test_planted_parameters_are_found(seed):
    """Two parameters that matter stand far above two that do not, for numbers and categories."""
    share = ped_anova(*_planted(seed))
    assert min(share["strong"], share["choice"]) > 3 * max(share["noise"], share["coin"])
    assert sum(share.values()) == pytest.approx(1)


def test_categorical_divergence_follows_the_formula():
    """Two of four best trials in category 0 of 2, by hand: equation 16 with one pseudo-trial."""
    codes = np.array([0, 0, 1, 1, 1, 1, 0, 1, 1, 0])
    loss = np.arange(10.0)
    other = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    share = ped_anova({"a": codes, "b": other}, loss, quantile=0.2, draws=0)
    divergences = []
    for column in (codes, other):
        top = (np.bincount(column[:2], minlength=2) + 0.5) / 3
        base = (np.bincount(column, minlength=2) + 0.5) / 11
        divergences.append(np.sum(base * (top / base - 1) ** 2))
    expected = np.array(divergences) / np.sum(divergences)
    assert [share["a"], share["b"]] == pytest.approx(list(expected))


def test_subtracting_random_picks_quiets_noise():
    """With the subtraction, parameters without effect get clearly less than without it."""
    noisy = {True: 0.0, False: 0.0}
    for seed in range(5):
        columns, loss = _planted(seed, n=60)
        for corrected in noisy:
            share = ped_anova(columns, loss, draws=64 if corrected else 0)
            noisy[corrected] += share["noise"] + share["coin"]
    assert noisy[True] < 0.6 * noisy[False]


def test_a_conditional_parameter_counts_where_it_is_active():
    """It matters in the branch that wins, not in one that never is among the best."""
    rng = np.random.default_rng(5)
    branch = rng.integers(0, 2, 300)
    inner = np.where(branch == 1, rng.random(300), np.nan)
    loss = np.where(branch == 1, np.nan_to_num(inner), 5.0) + 0.01 * rng.normal(size=300)
    assert ped_anova({"branch": branch, "inner": inner}, loss)["inner"] > 0.3
    assert ped_anova({"branch": branch, "inner": inner}, -loss)["inner"] == 0.0
    codes = np.where(branch == 1, (np.nan_to_num(inner) * 3).astype(int), -1)
    assert ped_anova({"branch": branch, "inner": codes}, loss)["inner"] > 0.2


def test_failed_trials_are_left_out():
    """A trial without a loss changes nothing."""
    columns, loss = _planted(1)
    more = {name: np.append(column, column[:9]) for name, column in columns.items()}
    assert ped_anova(more, np.append(loss, [np.nan] * 9)) == ped_anova(columns, loss)


def test_the_quantile_changes_the_answer():
    """What matters among the best tenth differs from what matters among the better half."""
    columns, loss = _planted(2)
    assert ped_anova(columns, loss, 0.1) != ped_anova(columns, loss, 0.5)


@pytest.mark.parametrize(
    "loss", [np.array([]), np.array([1.0, 2.0]), np.ones(20), np.full(20, np.nan)]
)
def test_nothing_is_said_where_nothing_can_be(loss):
    """No trials, two trials, equal losses and no losses give zeros, not errors."""
    column = np.linspace(0, 1, len(loss))
    assert ped_anova({"a": column}, loss) == {"a": 0.0}


@given(st.integers(0, 10_000), st.integers(4, 60), st.floats(0.05, 0.6))
@settings(max_examples=40, deadline=None)
def test_shares_are_shares(seed, n, quantile):
    """Never negative, sum to one or all zero, and do not depend on the scale of the loss."""
    rng = np.random.default_rng(seed)
    columns = {"x": rng.random(n).round(1), "k": rng.integers(-1, 3, n), "one": np.zeros(n, int)}
    loss = rng.normal(size=n).round(1)
    share = ped_anova(columns, loss, quantile)
    assert all(value >= 0 for value in share.values())
    assert share["one"] == 0
    assert sum(share.values()) == pytest.approx(1) or not any(share.values())
    assert ped_anova(columns, 3 * loss + 7, quantile) == share

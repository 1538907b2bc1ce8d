"""Finalists and the final choice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.errors import AttainError
from attain.core.types import Observed
from attain.refine.confirm import choose, finalists


def trial(number: int, loss: float | None, config=None) -> Observed:
    config = {"x": number} if config is None else config
    return Observed(f"t{number:04d}", config, "failed" if loss is None else "done", loss)


def test_finalists_lie_within_noise_of_the_best():
    """Those within two standard errors, best first, at most three, failures never."""
    history = [trial(1, 0.5), trial(2, 0.42), trial(3, None), trial(4, 0.40), trial(5, 0.43)]
    assert finalists(history, noise=0.01) == ("t0004", "t0002")
    assert finalists(history, noise=0.1) == ("t0004", "t0002", "t0005")
    assert finalists(history, noise=0.1, most=4) == ("t0004", "t0002", "t0005", "t0001")
    assert finalists(history, noise=0.0) == ("t0004",)
    assert finalists([trial(3, None)], noise=0.1) == ()


def test_a_configuration_is_a_finalist_once():
    """The same configuration tried twice does not take two places."""
    history = [trial(1, 0.4, {"x": 1}), trial(2, 0.41, {"x": 1}), trial(3, 0.42, {"x": 2})]
    assert finalists(history, noise=1.0) == ("t0001", "t0003")


@given(
    st.lists(st.floats(-10, 10) | st.none() | st.just(math.nan), max_size=12),
    st.floats(0, 5),
    st.integers(1, 5),
)
def test_the_leader_is_always_a_finalist(losses, noise, most):
    """Over random histories: no more than asked, distinct, in order, the leader first."""
    history = [trial(i, loss) for i, loss in enumerate(losses)]
    found = finalists(history, most=most, noise=noise)
    good = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    assert len(found) == len(set(found)) <= most
    assert bool(found) == bool(good)
    if found:
        chosen = [losses[int(name[1:])] for name in found]
        assert chosen == sorted(chosen)
        assert chosen[0] == min(good)


def test_the_cheapest_within_one_standard_error_is_chosen():
    """A tenth of the size is worth half a standard error; the price is stated."""
    naive = {"a": (0.30, 0.01), "b": (0.31, 0.01), "c": (0.32, 0.01)}
    fresh = {"a": (0.35, 0.01), "b": (0.355, 0.01), "c": (0.38, 0.01)}
    name, why = choose(naive, fresh, megabytes={"a": 10.0, "b": 1.0, "c": 0.1})
    assert name == "b"
    assert "2 finalists lie within one standard error (0.01) of the best" in why
    assert "b is smaller, 1 MB instead of a's 10 MB; the price is a loss higher by 0.005" in why
    assert "on fresh folds its loss is 0.045 higher than in the search" in why


def test_fresh_scores_decide():
    """The leader of the search loses when fresh folds do not bear it out."""
    naive = {"a": (0.30, 0.01), "b": (0.31, 0.01)}
    fresh = {"a": (0.40, 0.01), "b": (0.32, 0.01)}
    name, why = choose(naive, fresh, megabytes={"a": 1.0, "b": 5.0})
    assert name == "b"
    assert "best by more than the standard error of the difference, 0.01" in why


def test_the_price_is_stated_in_the_metric():
    """Whoever pays with quality for size reads how much, in the metric that is known."""
    fresh = {"a": (0.35, 0.0), "b": (0.355, 0.01)}
    shown = {"a": "ROC AUC 0.912", "b": "ROC AUC 0.908"}
    name, why = choose(fresh, fresh, megabytes={"a": 10.0, "b": 1.0}, shown=shown)
    assert name == "b"
    assert "a loss higher by 0.005 (ROC AUC 0.908 instead of ROC AUC 0.912)" in why


def test_each_finalist_has_its_own_standard_error():
    """What counts is the error of the difference from the best: a small one that differs from it
    on every fold alike is out, a small one whose difference is noise is in."""
    fresh = {"a": (0.35, 0.0), "b": (0.355, 0.001), "c": (0.357, 0.02)}
    name, why = choose(fresh, fresh, megabytes={"a": 10.0, "b": 1.0, "c": 2.0})
    assert name == "c"
    assert "2 finalists lie within one standard error (0.02)" in why


def test_a_finalist_that_failed_afresh_is_out():
    """Absent and non-finite fresh scores do not win."""
    naive = {"a": (0.30, 0.01), "b": (0.31, 0.01), "c": (0.5, 0.01)}
    name, _ = choose(naive, {"b": (0.33, 0.01), "c": (math.nan, 0.0)}, megabytes={})
    assert name == "b"


def test_without_costs_the_best_is_taken():
    """Unknown costs are said to be unknown, equal ones leave the best in place."""
    fresh = {"a": (0.30, 0.01), "b": (0.305, 0.01)}
    name, why = choose(fresh, fresh, megabytes={})
    assert (name, "not known" in why) == ("a", True)
    name, why = choose(fresh, fresh, megabytes={"a": 2.0, "b": 2.0})
    assert (name, "none is clearly smaller" in why) == ("a", True)


def test_when_nothing_was_confirmed_that_is_said():
    """The best of the search is taken, with a warning in the reason."""
    name, why = choose({"a": (0.3, 0.1)}, {}, megabytes={"a": 1.0})
    assert name == "a"
    assert "luck is not ruled out" in why


def test_no_finalist_is_an_error():
    """There is nothing to choose from when no trial has a score."""
    with pytest.raises(AttainError, match="no finalist"):
        choose({}, {}, megabytes={})


@pytest.mark.parametrize("seed", range(5))
def test_confirmation_lowers_regret_and_optimism(seed: int):
    """Over simulated searches, choosing among finalists by fresh scores has less true regret than
    taking the luckiest, and its stated loss is nearer to the truth."""
    rng = np.random.default_rng(seed)
    lucky, chosen, luck, left = [], [], [], []
    for _ in range(300):
        truth = rng.normal(0.2, 0.01, 60)
        seen = truth + rng.normal(0, 0.01, 60)
        names = finalists([trial(i, loss) for i, loss in enumerate(seen)], noise=0.01)
        numbers = [int(name[1:]) for name in names]
        fresh = {
            n: (truth[i] + rng.normal(0, 0.01), 0.0) for n, i in zip(names, numbers, strict=True)
        }
        naive = {n: (seen[i], 0.01) for n, i in zip(names, numbers, strict=True)}
        winner = int(choose(naive, fresh, megabytes={})[0][1:])
        lucky.append(truth[numbers[0]] - truth.min())
        chosen.append(truth[winner] - truth.min())
        luck.append(truth[numbers[0]] - seen[numbers[0]])
        left.append(truth[winner] - fresh[f"t{winner:04d}"][0])
    assert np.mean(chosen) < np.mean(lucky)
    assert np.mean(left) < 0.75 * np.mean(luck)

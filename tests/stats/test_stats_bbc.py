"""The selection itself, resampled: against brute force, and in simulations with a known truth."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from attain.stats import bbc


def simulated(seed: int, configurations: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Hits and misses of classifiers of about 80 % accuracy that find the same rows hard."""
    rng = np.random.default_rng(seed)
    error = np.clip(0.2 + 0.01 * rng.normal(size=configurations), 0.02, 0.9)
    shared, own = rng.normal(size=rows), rng.normal(size=(configurations, rows))
    wrong = (np.sqrt(0.8) * shared + np.sqrt(0.2) * own) < norm.ppf(error)[:, None]
    return wrong.astype(float), error


def by_hand(losses: np.ndarray, resamples: int, seed: int) -> tuple[float, float, float]:
    """BBC-CV, one resample at a time."""
    n, outside, shares, usual, fewer, selected = losses.shape[1], [], [], [], [], []
    best = np.argsort(losses.mean(axis=1), kind="stable")[:5]
    for block, parts in bbc.draws(n, resamples, seed=seed):
        for drawn, some in zip(block.T, parts.T, strict=True):
            inside, left = np.flatnonzero(drawn), np.flatnonzero(drawn == 0)
            chosen = int(np.argmin([losses[c, inside].mean() for c in range(len(losses))]))
            outside.append(losses[chosen, left].mean())
            selected.append(losses[chosen].mean())
            inside = np.flatnonzero(some)
            chosen = int(np.argmin([losses[c, inside].mean() for c in range(len(losses))]))
            fewer.append(losses[chosen, left].mean())
            shares.append(len(left) / n)
            usual.append(losses[best][:, left].mean() - losses[best].mean())
    given_back = (1 - math.exp(-1)) * (np.mean(fewer) - np.mean(outside))
    outside = np.array(outside) - np.mean(usual) - given_back
    centre, share = outside.mean(), np.mean(shares)
    factor = np.sqrt(share / (1 - share))
    factor *= np.sqrt(1 + np.var(selected) / (factor**2 * outside.var()))
    low, high = centre + factor * (np.quantile(outside, [0.025, 0.975]) - centre)
    return float(centre), float(low), float(high)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_a_plain_loop_gives(seed: int) -> None:
    """The matrix products give the estimate and limits of a loop over resamples."""
    losses, _ = simulated(seed, 7, 60)
    found = bbc.of_means(losses, resamples=200, seed=seed)
    centre, low, high = by_hand(losses, 200, seed)
    move = max(losses.mean(axis=1).min() - centre, 0.0)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (centre + move, low + move, high + move), abs=1e-6
    )
    assert found.naive == pytest.approx(losses.mean(axis=1).min())
    assert found.selected == losses.mean(axis=1).argmin()


def test_draws_are_bootstrap_samples() -> None:
    """37 % of the rows are left out on average, and the seed decides which."""
    drawn, some = (
        np.concatenate(p, axis=1) for p in zip(*bbc.draws(300, 500, seed=1), strict=True)
    )
    assert drawn.shape == some.shape == (300, 500)
    assert (some <= drawn).all()
    assert some.mean() == pytest.approx((1 - math.exp(-1)) ** 2, abs=0.005)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert 1 - drawn.mean() == pytest.approx(math.exp(-1), abs=0.003)
    assert np.array_equal(drawn, next(bbc.draws(300, 500, seed=1))[0])
    assert not np.array_equal(drawn, next(bbc.draws(300, 500, seed=2))[0])


def test_many_rows_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little memory is allowed, every resample comes, and the estimate stays close."""
    losses, _ = simulated(0, 5, 200)
    whole = bbc.of_means(losses, resamples=400)
    monkeypatch.setattr(bbc, "CELLS_AT_ONCE", 700)
    assert [block.shape[1] for block, _ in bbc.draws(200, 8)] == [3, 3, 2]
    assert bbc.of_means(losses, resamples=400).estimate == pytest.approx(whole.estimate, abs=0.01)


def test_groups_are_drawn_whole() -> None:
    """Rows of a group are in or out together, and ten copies of a row are worth one."""
    groups = np.repeat(np.arange(40), 10)
    for blocks in bbc.draws(400, 50, clusters=groups):
        for block in blocks:
            together = block.reshape(40, 10, -1)
            assert (together == together[:, :1]).all()
    losses, _ = simulated(3, 6, 40)
    copied = np.repeat(losses, 10, axis=1)
    single = bbc.of_means(losses, resamples=400)
    grouped = bbc.of_means(copied, clusters=groups, resamples=400)
    careless = bbc.of_means(copied, resamples=400)
    assert grouped == pytest.approx(single, rel=1e-5)
    assert careless.high - careless.low < 0.5 * (grouped.high - grouped.low)


@settings(max_examples=30)
@given(st.integers(1, 8), st.integers(2, 60), st.integers(0, 10_000))
def test_properties(configurations: int, rows: int, seed: int) -> None:
    """Over random losses: limits hold the estimate; shifting and scaling the losses shifts and
    scales the answer."""
    losses = np.random.default_rng(seed).normal(size=(configurations, rows))
    found = bbc.of_means(losses, resamples=50, seed=seed)
    assert found.low <= found.estimate <= found.high
    assert found.estimate >= found.naive
    other = bbc.of_means(3 * losses + 2, resamples=50, seed=seed)
    for name in ("estimate", "low", "high", "naive"):
        assert getattr(other, name) == pytest.approx(3 * getattr(found, name) + 2, abs=1e-4)


def test_one_configuration_is_not_corrected() -> None:
    """Without a choice there is no luck to take out."""
    losses, _ = simulated(0, 1, 500)
    found = bbc.of_means(losses)
    assert found.estimate == pytest.approx(found.naive, abs=0.002)


def test_a_failed_configuration_is_never_selected() -> None:
    """NaN loses against anything, also when it comes first."""
    losses, _ = simulated(0, 3, 50)
    losses[0] = np.nan
    found = bbc.of_means(losses, resamples=50)
    assert found.selected != 0
    assert math.isfinite(found.estimate)


@pytest.mark.parametrize(("rows", "configurations"), [(200, 20), (200, 100), (1000, 50)])
def test_most_of_the_luck_is_taken_out(rows: int, configurations: int) -> None:
    """Over 80 simulated searches each, at most a third of the naive bias is left."""
    naive, left = [], []
    for seed in range(80):
        losses, error = simulated(seed, configurations, rows)
        found = bbc.of_means(losses, resamples=200, seed=seed)
        naive.append(found.naive - error[found.selected])
        left.append(found.estimate - error[found.selected])
    assert np.mean(naive) < -0.005
    assert abs(np.mean(left)) < abs(np.mean(naive)) / 3


def test_intervals_hold_as_often_as_they_say() -> None:
    """Over 300 simulated searches a 95 % interval holds the truth in 92 to 99 % of them."""
    held = []
    for seed in range(300):
        losses, error = simulated(seed, 30, 300)
        found = bbc.of_means(losses, resamples=200, seed=seed)
        held.append(found.low <= error[found.selected] <= found.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_it_is_fast() -> None:
    """1,000 resamples of 200 configurations by 5,000 rows take less than a second of one core."""
    losses = np.random.default_rng(0).random((200, 5_000))
    bbc.of_means(losses[:2])
    seconds = []
    for _ in range(3):
        began = time.process_time()
        bbc.of_means(losses, resamples=1_000)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 1.0

"""Learning curves and the limit that binds, on data whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from attain.core.types import Direction, Objective
from attain.validate.learning import learning_curve, nested_rows, nested_shares
from attain.validate.limits import CODES, LIMITS, Evidence, binding

RMSE = Objective("rmse", Direction.MINIMIZE, target=1.0, low=0.0)
AUC = Objective("roc_auc", Direction.MAXIMIZE, target=0.9, low=0.0, high=1.0)


def least_squares(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    A = np.column_stack([X, np.ones(len(X))])
    return np.linalg.solve(A.T @ A + 1e-2 * np.eye(A.shape[1]), A.T @ y)


def applied(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    return np.column_stack([X, np.ones(len(X))]) @ weights


class World:
    """A truth to learn from: enough of everything, too few rows, or too simple a model."""

    def __init__(self, kind: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.kind = kind
        self.rows, self.width = (400, 60) if kind == "data" else (1_600, 4)

    def draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        X = self.rng.normal(size=(n, self.width))
        signal = X @ np.full(self.width, 0.4)
        if self.kind == "model":
            signal = signal + 2 * np.sin(3 * X[:, 1])
        return X, signal + self.rng.normal(size=n)

    def curve(self, folds: int = 3) -> dict[str, Any]:
        by_share: dict[float, list[np.ndarray]] = {}
        Xv, yv = self.draw(900)
        parts = np.array_split(np.arange(900), folds)
        shares = (*nested_shares(self.rows, 3), 1.0)
        sets = [self.draw(self.rows) for _ in range(folds)]
        for share in shares:
            found = []
            for (X, y), part in zip(sets, parts, strict=True):
                some = nested_rows(np.arange(self.rows), y, share, 0)
                found.append(applied(least_squares(X[some], y[some]), Xv[part]))
            by_share[share] = [np.concatenate(found)]
        return learning_curve(RMSE, yv, by_share, self.rows)

    def true_gain(self) -> float:
        """Of doubling, averaged over training sets, on many rows."""
        Xb, yb = self.draw(20_000)
        error = []
        for times in (1, 2):
            each = []
            for _ in range(6):
                X, y = self.draw(self.rows * times)
                residual = applied(least_squares(X, y), Xb) - yb
                each.append(float(np.sqrt(np.mean(residual**2))))
            error.append(np.mean(each))
        return float(error[0] - error[1])


@pytest.mark.parametrize("kind", ["noise", "data", "model"])
def test_the_forecast_covers_the_true_gain_of_doubling(kind: str) -> None:
    """In at least 18 of 20 worlds the interval of the gain holds what doubling really brings."""
    hits = 0
    for seed in range(20):
        world = World(kind, seed)
        gain, true = world.curve()["gain"], world.true_gain()
        hits += gain["low"] - 0.002 <= true <= gain["high"] + 0.002
    assert hits >= 18


def test_only_a_world_with_too_few_rows_promises_much_of_more() -> None:
    """Twice the rows are worth 0.02 or more of the error in the data-limited world alone."""
    for kind in ("noise", "data", "model"):
        gains = [World(kind, seed).curve()["gain"]["estimate"] for seed in range(5)]
        assert (min(gains) > 0.02) is (kind == "data")


@pytest.mark.parametrize(
    ("kind", "binds"), [("noise", "noise"), ("data", "data"), ("model", "model")]
)
def test_the_limit_that_binds_is_named(kind: str, binds: str) -> None:
    """From the measured curve and the measured rest, the true limit is named first, for 5 seeds."""
    for seed in range(5):
        world = World(kind, seed)
        curve = world.curve()
        leftover = {"estimate": 0.0, "low": -0.01, "high": 0.01}
        if kind == "model":
            leftover = {"estimate": 0.5, "low": 0.4, "high": 0.6}
        found = binding(
            evidence(curve, leftover=leftover, gap=curve["points"][-1]["estimate"] - 0.9)
        )
        assert found[0]["limit"] == binds


def evidence(curve: dict[str, Any] | None = None, **changes: Any) -> Evidence:
    known = curve or {"gain": {"estimate": 0.001, "low": 0.0, "high": 0.002}, "rises": False}
    base = Evidence(
        metric="RMSE",
        gap=0.1,
        doubling=known["gain"],
        far=known.get("gain_far", known["gain"]),
        rises=known["rises"],
        leftover={"estimate": 0.0, "low": -0.01, "high": 0.01},
        closes=0.0,
        cut_short=False,
    )
    return replace(base, **changes)


def test_noise_is_named_only_when_the_others_were_asked() -> None:
    """Without a learning curve or without looking at the errors, nothing is claimed."""
    assert [f["limit"] for f in binding(evidence())] == ["noise"]
    assert binding(evidence(leftover=None)) == []
    assert binding(evidence(doubling=None, far=None)) == []


def test_the_remedy_that_promises_most_comes_first() -> None:
    """Model, data and time can bind at once; they are ordered by what they promise."""
    gain = {"estimate": 0.05, "low": 0.03, "high": 0.07}
    left = {"estimate": 0.08, "low": 0.05, "high": 0.1}
    found = binding(evidence(doubling=gain, far=gain, rises=True, leftover=left, closes=0.3))
    assert [f["limit"] for f in found] == ["model", "data", "time"]
    assert all(f["remedy"] and f["words"] for f in found)


def test_what_is_small_against_the_gap_does_not_bind() -> None:
    """A certain but tiny gain is no way to a far target."""
    gain = {"estimate": 0.001, "low": 0.0005, "high": 0.002}
    asked = evidence(doubling=gain, far=gain, rises=True, gap=1.0)
    assert [f["limit"] for f in binding(asked)] == ["noise"]
    assert [f["limit"] for f in binding(replace(asked, gap=0.002))] == ["data"]


def test_fits_that_the_clock_ended_are_short_of_time() -> None:
    """A fit that was cut short is a limit of time."""
    assert [f["limit"] for f in binding(evidence(cut_short=True))] == ["time"]


def test_every_limit_is_listed() -> None:
    """The stable names are those of the table, and noise."""
    assert tuple(CODES) == (*LIMITS, "noise")


def test_smaller_sets_are_parts_of_larger_ones() -> None:
    """Nested shares of the rows are nested, keep the classes' shares and lie within the fold."""
    y = (np.arange(1_000) % 5 == 0).astype(np.int64)
    train = np.arange(100, 900)
    sets = [set(nested_rows(train, y, s, 7).tolist()) for s in (0.125, 0.25, 0.5, 1.0)]
    assert all(a < b for a, b in pairwise(sets))
    assert sets[-1] == set(train.tolist())
    assert [round(float(np.mean([y[i] for i in s])), 2) for s in sets] == [0.2] * 4


def test_few_rows_are_not_halved_too_often() -> None:
    """No size has fewer than 20 rows, and with fewer than two halvings there is no forecast."""
    assert nested_shares(1_000, 3) == (0.125, 0.25, 0.5)
    assert nested_shares(50, 3) == (0.5,)
    y = np.arange(30.0)
    answer = learning_curve(RMSE, y, {0.5: [y + 2.0], 1.0: [y + 1.0]}, 50)
    assert answer["forecast"] == []
    assert "too few" in answer["reason"]


def test_a_maximised_metric_stays_within_its_range() -> None:
    """A forecast of an area under the curve rises with rows and never passes 1."""
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.4).astype(np.int64)
    by_share = {}
    for share, noise in ((0.125, 1.2), (0.25, 0.9), (0.5, 0.7), (1.0, 0.6)):
        score = 1 / (1 + np.exp(-(y - 0.5 + noise * np.random.default_rng(1).normal(size=400))))
        by_share[share] = [np.column_stack([1 - score, score])]
    answer = learning_curve(AUC, y, by_share, 800)
    estimates = [p["estimate"] for p in (*answer["points"], *answer["forecast"])]
    assert estimates == sorted(estimates)
    assert answer["forecast"][-1]["high"] <= 1.0


def test_training_noise_makes_the_forecast_less_certain() -> None:
    """Luck of the seed is part of the uncertainty."""
    y = np.random.default_rng(0).normal(size=300)
    by_share = {s: [y + 1 + 0.1 / s] for s in (0.125, 0.25, 0.5, 1.0)}
    widths = []
    for noise in (0.0, 0.5):
        gain = learning_curve(RMSE, y, by_share, 500, training_noise=noise)["gain"]
        widths.append(gain["high"] - gain["low"])
    assert widths[1] > 2 * widths[0]


def test_groups_make_the_forecast_less_certain() -> None:
    """Rows of one group err together, so they count as one."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 10)
    y = rng.normal(size=300)
    luck = {s: rng.normal(size=30)[group] for s in (0.125, 0.25, 0.5, 1.0)}
    by_share = {s: [y + (0.5 + 0.1 / s) * luck[s]] for s in luck}
    widths = []
    for groups in (None, group):
        gain = learning_curve(RMSE, y, by_share, 500, groups=groups)["gain_far"]
        widths.append(gain["high"] - gain["low"])
    assert widths[1] > widths[0]


def test_a_metric_without_influence_is_jackknifed() -> None:
    """The median error has no linear form, and still gets a forecast with an interval."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    by_share = {s: [y + (0.5 + 0.1 / s) * rng.normal(size=400)] for s in (0.125, 0.25, 0.5, 1.0)}
    goal = Objective("medae", Direction.MINIMIZE, low=0.0)
    gain = learning_curve(goal, y, by_share, 500)["gain"]
    assert gain["low"] < gain["estimate"] < gain["high"]

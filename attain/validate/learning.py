"""A learning curve over training rows: what twice the rows would bring, in units of the metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attain.core.errors import DataError
from attain.core.types import Direction, Objective
from attain.stats.interval import Interval
from attain.stats.power_law import FARTHEST, forecast
from attain.validate import metrics
from attain.validate._dealing import codes
from attain.validate._linear import LINEAR
from attain.validate.score import score

BENT = 0.15  # of a drop: real curves bend away from a power law, most where rows are few
FLAT = 0.05  # chance above which the curve cannot be told from a flat one
_FEWEST_ROWS = 20  # of a training set at the smallest size


def nested_shares(rows: int, wanted: int) -> tuple[float, ...]:
    """Halves of halves, as long as enough rows are left.

    Args:
        rows: Of the full training set.
        wanted: Sizes below the full one.

    Returns:
        Such as (0.125, 0.25, 0.5), smallest first; fewer for few rows.
    """
    return tuple(2.0**-k for k in range(wanted, 0, -1) if rows * 2.0**-k >= _FEWEST_ROWS)


def nested_rows(train: np.ndarray, y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Some rows of a training set; a smaller share is part of a larger one, classes in proportion.

    Args:
        train: Positions of the full training set.
        y: Target of all rows; class codes are recognised by their integer type.
        share: In (0, 1].
        seed: Of the order; the same for all shares of one set.

    Returns:
        Positions, sorted.
    """
    order = np.random.default_rng(seed).permutation(train)
    if y.ndim == 2 or not np.issubdtype(y.dtype, np.integer):
        return np.sort(order[: max(1, round(share * len(order)))])
    parts = [order[y[order] == code] for code in np.unique(y[order])]
    return np.sort(np.concatenate([p[: max(1, round(share * len(p)))] for p in parts]))


def learning_curve(
    objective: Objective,
    y: np.ndarray,
    by_share: Mapping[float, Sequence[np.ndarray]],
    rows: int,
    *,
    groups: np.ndarray | None = None,
    training_noise: float = 0.0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Scores over training sizes and what more rows would bring.

    Every size is validated on the same rows, so differences between sizes are paired; luck that
    training itself adds (`training_noise`, from repeated seeds) is added to their variance, and so
    is a share of each drop, because curves follow a power law only roughly (Viering & Loog 2021,
    section 4), and small sizes, whose drops are large, follow it least. The
    forecast is `stats.power_law.forecast` and reaches at most four times the rows.

    Args:
        objective: With metric, direction and target; its bounds say what perfection is.
        y: Target of the validated rows, shape (n,).
        by_share: For each share of the training rows, 1.0 among them, the predictions of these rows
            by models that were fitted on that share; several arrays are averaged as scores.
        rows: Training rows at share 1.
        groups: Group of each row, or None.
        training_noise: Standard deviation of the score over seeds, in metric units.
        confidence: Of all intervals, in (0, 1).

    Returns:
        JSON values: ``metric``, ``points`` (``share``, ``rows``, ``estimate``, ``low``, ``high``),
        ``forecast`` (``times``, ``rows``, ``estimate``, ``low``, ``high`` of the score), ``gain``
        of doubling, ``gain_far`` of four times and ``limit`` of endless rows (each with
        ``estimate``, ``low``, ``high``; improvements, positive is better), ``exponent``, ``rises``
        (whether the curve can be told from a flat one) and ``reason`` (why there is no forecast;
        empty otherwise).
    """
    metric = objective.metric
    shares = sorted(by_share)
    points = [_point(metric, y, by_share[s], s, rows, groups, confidence) for s in shares]
    answer: dict[str, Any] = {"metric": metric, "points": points, "forecast": [], "reason": ""}
    answer |= dict.fromkeys(("gain", "gain_far", "limit", "exponent", "rises"))
    if len(shares) < 3:
        return {**answer, "reason": "too few training rows to halve them twice"}
    sign = 1.0 if objective.direction is Direction.MAXIMIZE else -1.0
    full = points[-1]["estimate"]
    drops = np.array([sign * (full - p["estimate"]) for p in points[:-1]])
    covariance = _covariance(metric, y, by_share, shares, groups, training_noise)
    covariance += np.diag((BENT * drops) ** 2)
    best = objective.high if sign > 0 else objective.low
    room = sign * (best - full) if np.isfinite(best) else 10 * float(np.abs(drops).max() + 1e-12)
    made = forecast(shares[:-1], drops, covariance, max(room, 1e-9), confidence=confidence)
    ahead = [_ahead(full, sign, times, rows, made.gains[times]) for times in made.gains]
    return {
        **answer,
        "forecast": ahead,
        "gain": _said(made.gains[2.0]),
        "gain_far": _said(made.gains[FARTHEST]),
        "limit": _said(made.limit),
        "exponent": made.exponent,
        "rises": made.flat < FLAT,
    }


def _point(
    metric: str,
    y: np.ndarray,
    predictions: Sequence[np.ndarray],
    share: float,
    rows: int,
    groups: np.ndarray | None,
    confidence: float,
) -> dict[str, Any]:
    found = [score(metric, y, p, groups=groups, confidence=confidence) for p in predictions]
    mean = {k: float(np.mean([getattr(f, k) for f in found])) for k in ("estimate", "low", "high")}
    return {"share": share, "rows": round(share * rows), **mean}


def _covariance(
    metric: str,
    y: np.ndarray,
    by_share: Mapping[float, Sequence[np.ndarray]],
    shares: Sequence[float],
    groups: np.ndarray | None,
    noise: float,
) -> np.ndarray:
    """Of the differences to the full size: rows by their influence, training by its spread."""
    u = np.stack([_influence(metric, y, by_share[s]) for s in shares])
    difference = u[:-1] - u[-1]
    if groups is not None:
        code = codes(np.asarray(groups))
        difference = np.stack([np.bincount(code, weights=d) for d in difference])
    each = noise**2 / min(len(by_share[s]) for s in shares)
    m = len(shares) - 1
    # small training sets are luckier: their spread is taken to fall with the root of their size
    own = np.diag([each / s for s in shares[:-1]])
    return difference @ difference.T + own + each * np.ones((m, m))


def _influence(metric: str, y: np.ndarray, predictions: Sequence[np.ndarray]) -> np.ndarray:
    """What each row adds to the error of the score; a leave-out estimate where none is known."""
    base, argument = metrics.parse(metric)
    if base in LINEAR:
        return np.mean([LINEAR[base](y, p, argument)[1] for p in predictions], axis=0)
    return np.mean([_jackknife(metric, y, p) for p in predictions], axis=0)


def _jackknife(metric: str, y: np.ndarray, prediction: np.ndarray, blocks: int = 40) -> np.ndarray:
    """Delete-a-block jackknife, each block's influence shared among its rows."""
    block = np.random.default_rng(0).permutation(len(y)) % min(blocks, len(y))
    whole, u = metrics.compute(metric, y, prediction), np.zeros(len(y))
    for b in np.unique(block):
        kept = block != b
        try:
            without = metrics.compute(metric, y[kept], prediction[kept])
        except DataError:
            continue
        u[~kept] = (whole - without) / np.sqrt(int((~kept).sum()))
    return u


def _ahead(full: float, sign: float, times: float, rows: int, gain: Interval) -> dict[str, Any]:
    ends = sorted((full + sign * gain.low, full + sign * gain.high))
    at = {"times": times, "rows": round(times * rows)}
    return {**at, "estimate": full + sign * gain.estimate, "low": ends[0], "high": ends[1]}


def _said(made: Interval) -> dict[str, float]:
    return {"estimate": made.estimate, "low": made.low, "high": made.high}

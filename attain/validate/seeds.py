"""How much of a score is the luck of the seed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from attain.stats.interval import t_quantile
from attain.validate import metrics
from attain.validate.perturb import changed

UNSTABLE_SEEDS = 0.1  # share of rows whose prediction may hang on the seed


def seed_spread(
    metric: str,
    y: np.ndarray,
    predictions: Sequence[np.ndarray],
    *,
    half_width: float | None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Compare models that differ in nothing but their seed, on the same rows.

    A single fit's score lies within ``t s`` of the mean over seeds, so the seed adds ``s^2`` to the
    variance of a score; that is worth a warning when it is more than the rows' own (Bouthillier et
    al. 2021, "Accounting for variance in machine learning benchmarks", arXiv:2103.03098).

    Args:
        metric: Name of a quality metric.
        y: Class codes or values, shape (n,).
        predictions: One array for each seed, (n, K) or (n,), at least two.
        half_width: Of the score's interval at 95 %, which knows of rows only; None if unknown.
        confidence: Of ``low`` and ``high``, in (0, 1).

    Returns:
        JSON values: ``metric``, ``seeds``, ``rows``, ``scores``, ``mean``, ``low`` and ``high``
        (where the score of one more seed is to be expected), ``spread`` (standard deviation),
        ``changed`` (mean share of rows whose prediction differs between two seeds), ``same``
        (whether the seed changes nothing) and ``unstable``.
    """
    scores = np.array([metrics.compute(metric, y, p) for p in predictions])
    pairs = [float(changed(a, b, y, metric).mean()) for a, b in combinations(predictions, 2)]
    spread, count = float(scores.std(ddof=1)), len(scores)
    reach = t_quantile(count - 1, confidence) * spread * float(np.sqrt(1 + 1 / count))
    same = all(np.array_equal(predictions[0], p) for p in predictions[1:])
    share = float(np.mean(pairs))
    error = None if half_width is None else half_width / 1.96
    return {
        "metric": metric,
        "seeds": count,
        "rows": len(y),
        "scores": scores.tolist(),
        "mean": float(scores.mean()),
        "low": float(scores.mean()) - reach,
        "high": float(scores.mean()) + reach,
        "spread": spread,
        "changed": share,
        "same": same,
        "unstable": bool(share > UNSTABLE_SEEDS or (error is not None and spread > error > 0)),
    }

"""Whether probabilities should be calibrated, decided on rows that the calibrator has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attain.stats.calibrate import METHODS, Calibrator, fit
from attain.validate._rowwise import MEANS

NONE = "none"
KEEP_ORDER = ("temperature", "platt")  # of two classes no ranking changes
FEWEST = 30  # predictions that a calibrator is fitted on


@dataclass(frozen=True, eq=False)
class Calibrated:
    """Out-of-fold predictions, calibrated or left as they are.

    Attributes:
        calibrator: Fitted on all of them, for the final model; None to leave probabilities alone.
        prediction: Each fold's, calibrated by what the other folds say; shape (m, K).
        before: Log loss of those that could be calibrated, as they were.
        after: The same, calibrated; equal to `before` when left alone.
        error: Standard error of the difference.
    """

    calibrator: Calibrator | None
    prediction: np.ndarray
    before: float
    after: float
    error: float


def calibrate(
    y: np.ndarray,
    prediction: np.ndarray,
    unit: np.ndarray,
    folds: Sequence[np.ndarray],
    *,
    time: np.ndarray | None = None,
    methods: Sequence[str] = tuple(METHODS),
) -> Calibrated:
    """Choose a calibrator by its log loss on rows that were not used to fit it.

    Each fold is calibrated by a calibrator of the other folds' predictions, so that its score is as
    honest as before; a single hold-out is halved for this. Predictions with fewer than 30 others to
    learn from stay as they are and do not count. The simplest of *none*, *temperature*, *Platt* and
    *isotonic* is taken whose log loss is within one standard error (of the difference, rows paired)
    of the least.

    Args:
        y: Class codes, one for each prediction, shape (m,).
        prediction: Probabilities by models that have not seen the row, shape (m, K).
        unit: Row or group of each prediction, shape (m,); one that occurs in a fold is never
            learnt from for that fold.
        folds: Positions among the m of each validation fold, of all repeats.
        time: Of each prediction, shape (m,): only what is earlier is learnt from. None where order
            does not matter.
        methods: Which may be chosen, simplest first; of more than two classes only temperature is.

    Returns:
        The calibrated predictions and the calibrator of all of them.
    """
    prediction = np.asarray(prediction, float)
    usable = [m for m in methods if prediction.shape[1] == 2 or m == "temperature"]
    learnt = _learnt(unit, folds, time)
    made = {NONE: prediction, **{m: _crossed(m, y, prediction, learnt) for m in usable}}
    counted = np.concatenate([part for part, _ in learnt] or [np.arange(0)])
    if not len(counted):
        return Calibrated(None, prediction, math.nan, math.nan, math.nan)
    losses = {m: MEANS["log_loss"](y[counted], p[counted], None) for m, p in made.items()}
    best = min(losses.values(), key=np.mean)
    chosen = next(m for m, each in losses.items() if _as_good(each - best, unit[counted]))
    return Calibrated(
        calibrator=None if chosen == NONE else fit(chosen, y, prediction),
        prediction=made[chosen],
        before=float(losses[NONE].mean()),
        after=float(losses[chosen].mean()),
        error=_standard_error(losses[chosen] - losses[NONE], unit[counted]),
    )


def cross_fit(
    method: str,
    y: np.ndarray,
    prediction: np.ndarray,
    unit: np.ndarray,
    folds: Sequence[np.ndarray],
    *,
    time: np.ndarray | None = None,
) -> np.ndarray:
    """Out-of-fold predictions, each fold calibrated by what the other folds say.

    Args:
        method: A name in `stats.calibrate.METHODS`.
        y: As for `calibrate`.
        prediction: As for `calibrate`.
        unit: As for `calibrate`.
        folds: As for `calibrate`.
        time: As for `calibrate`.

    Returns:
        Of the same shape; what has fewer than 30 others to learn from stays as it is.
    """
    return _crossed(method, y, np.asarray(prediction, float), _learnt(unit, folds, time))


def _learnt(
    unit: np.ndarray, folds: Sequence[np.ndarray], time: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Parts that can be calibrated, each with the predictions that teach how."""
    parts = list(folds) if len(folds) > 1 else _halves(unit, time)
    learnt = ((part, _others(part, unit, time)) for part in parts)
    return [(part, others) for part, others in learnt if len(others) >= FEWEST]


def _halves(unit: np.ndarray, time: np.ndarray | None) -> list[np.ndarray]:
    """Two halves of a hold-out, units whole: the earlier and the later one, or by chance."""
    names, place = np.unique(unit, return_inverse=True)
    if time is None:
        order = np.random.default_rng(0).permutation(len(names))
    else:
        first = np.full(len(names), np.inf)
        np.minimum.at(first, place, time.astype(float))
        order = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    later = order[place] >= len(names) / 2
    return [np.flatnonzero(~later), np.flatnonzero(later)]


def _others(part: np.ndarray, unit: np.ndarray, time: np.ndarray | None) -> np.ndarray:
    """Predictions that say something about a part without having seen it."""
    allowed = ~np.isin(unit, unit[part])
    if time is not None:
        allowed &= time < time[part].min()
    return np.flatnonzero(allowed)


def _crossed(
    method: str,
    y: np.ndarray,
    prediction: np.ndarray,
    learnt: Sequence[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    made = prediction.copy()
    for part, others in learnt:
        made[part] = fit(method, y[others], prediction[others])(prediction[part])
    return made


def _as_good(worse: np.ndarray, unit: np.ndarray) -> bool:
    return float(worse.mean()) <= _standard_error(worse, unit)


def _standard_error(difference: np.ndarray, unit: np.ndarray) -> float:
    """Of a mean over predictions that belong to independent units."""
    place = np.unique(unit, return_inverse=True)[1]
    total = np.bincount(place, weights=difference - difference.mean())
    return float(np.sqrt((total**2).sum()) / len(difference))

"""Calibrated probabilities, where an objective reads their values and not only their order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attain.core.codec import decode
from attain.core.protocols import Learner
from attain.core.types import Objective, Rows, Split, SplitKind
from attain.objectives.metrics import lookup
from attain.report import numbers
from attain.stats.calibrate import METHODS, Calibrator
from attain.validate.calibrate import KEEP_ORDER, calibrate, cross_fit
from attain.validate.resample import Fold


@dataclass(frozen=True)
class Calibration:
    """What becomes of a configuration's probabilities.

    Attributes:
        calibrator: For the final model; None where its probabilities are left alone.
        reason: In one sentence.
    """

    calibrator: Calibrator | None
    reason: str


def methods(objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Calibrators that may be chosen.

    Args:
        objectives: What good means.

    Returns:
        None unless an objective is a loss of probabilities (log loss, Brier score, calibration
        error). Isotonic regression makes ties, so where another objective is a ranking it is left
        out.
    """
    found = [lookup(o.metric) for o in objectives]
    if not any(m.reads_probabilities for m in found):
        return ()
    ranks = any(m.needs == "probabilities" and not m.reads_probabilities for m in found)
    return KEEP_ORDER if ranks else tuple(METHODS)


def made(
    objectives: Sequence[Objective],
    rows: Rows,
    split: Split,
    folds: Sequence[Fold],
    prediction: np.ndarray,
) -> tuple[np.ndarray, Calibration]:
    """Calibrate a configuration's out-of-fold predictions, each fold by the others.

    Args:
        objectives: What good means; `methods` says that something may be done.
        rows: The unsealed rows.
        split: Of the folds.
        folds: Of the split.
        prediction: Probabilities, fold after fold, shape (m, classes).

    Returns:
        Predictions of the same shape, and the calibrator for the final model.
    """
    assert rows.y is not None
    index, parts, unit, time = _places(rows, split, folds)
    found = calibrate(
        rows.y[index], prediction, unit, parts, time=time, methods=methods(objectives)
    )
    return found.prediction, Calibration(
        found.calibrator, _reason(found.calibrator, found.before, found.after)
    )


def adjusted(
    objectives: Sequence[Objective],
    rows: Rows,
    split: Split,
    folds: Sequence[Fold],
    prediction: np.ndarray,
) -> tuple[np.ndarray, Calibration | None]:
    """What a configuration's out-of-fold predictions count as.

    The final model will be calibrated where an objective reads probabilities, so configurations are
    compared as calibrated ones, each fold by the others: else the search would prefer one that is
    less sure of itself to one that knows more.

    Args:
        objectives: What good means.
        rows: The unsealed rows.
        split: Of the folds.
        folds: Of the split, as far as they are done.
        prediction: Of these folds, fold after fold, shape (m, classes) or (m,).

    Returns:
        As `made`; the same predictions and None where nothing reads probabilities, and where a row
        carries several labels: calibrators are made for classes that exclude each other.
    """
    if not methods(objectives) or (rows.y is not None and rows.y.ndim == 2):
        return prediction, None
    return made(objectives, rows, split, folds, prediction)


def out_of_fold(
    calibrator: Calibrator,
    rows: Rows,
    split: Split,
    folds: Sequence[Fold],
    prediction: np.ndarray,
) -> np.ndarray:
    """Predictions that are calibrated as they were when the finalist was confirmed.

    Args:
        calibrator: Of the final model.
        rows: The unsealed rows.
        split: Of the folds.
        folds: Of the split.
        prediction: Probabilities, fold after fold, shape (m, classes).

    Returns:
        Each fold calibrated by what the other folds say; of the same shape.
    """
    assert rows.y is not None
    index, parts, unit, time = _places(rows, split, folds)
    return cross_fit(calibrator.method, rows.y[index], prediction, unit, parts, time=time)


def _places(
    rows: Rows, split: Split, folds: Sequence[Fold]
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray | None]:
    """Row, fold, unit and time of each prediction."""
    index = np.concatenate([fold.valid for fold in folds])
    ends = np.cumsum([len(fold.valid) for fold in folds])[:-1]
    parts = np.split(np.arange(len(index)), ends)
    unit = index if rows.groups is None else rows.groups[index]
    ordered = split.kind is SplitKind.TIME and rows.time is not None
    return index, parts, unit, rows.time[index] if ordered and rows.time is not None else None


def _reason(calibrator: Calibrator | None, before: float, after: float) -> str:
    if math.isnan(before):
        return "probabilities were left as they are: too few rows to calibrate them by"
    was, now = (numbers.number(value, digits=4) for value in (before, after))
    if calibrator is None:
        return (
            "probabilities were left as they are: no calibration lowers the log loss, "
            f"{was}, by more than its error"
        )
    return (
        f"probabilities were calibrated by {_words(calibrator)}: log loss {was} -> {now} on rows "
        "not used for it"
    )


def _words(calibrator: Calibrator) -> str:
    if calibrator.method == "temperature":
        return f"temperature {calibrator.values[0]:.3g}"
    if calibrator.method == "platt":
        slope, intercept = calibrator.values
        return f"Platt's sigmoid (slope {slope:.3g}, intercept {intercept:.3g})"
    return f"isotonic regression ({len(calibrator.at)} points)"


class Calibrated:
    """A learner whose predictions are calibrated; all else is the learner's own.

    Args:
        learner: Predicts probabilities.
        calibrator: What is done to them.
    """

    def __init__(self, learner: Learner, calibrator: Calibrator) -> None:
        self._learner = learner
        self._calibrator = calibrator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._learner, name)

    def predict(self, model: Any, rows: Rows) -> np.ndarray:
        """Calibrated probabilities, shape (n, classes)."""
        return self._calibrator(self._learner.predict(model, rows))


def calibrated(learner: Learner, stored: Mapping[str, Any] | None) -> Learner:
    """The learner as the final model predicts.

    Args:
        learner: Of the finalist.
        stored: Its encoded calibrator; None for none.

    Returns:
        The learner itself where nothing is calibrated.
    """
    if stored is None:
        return learner
    wrapped: Any = Calibrated(learner, decode(Calibrator, stored))
    found: Learner = wrapped
    return found

"""What workers run to say how far a result can be trusted. Only unsealed rows are used."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attain.core.codec import decode
from attain.core.errors import AttainError
from attain.core.protocols import FitData, Learner
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.types import Dataset, Direction, Objective, Rows, Split, SplitKind, Task
from attain.pipeline import folders
from attain.pipeline.calibration import calibrated
from attain.pipeline.final_jobs import out_of_fold
from attain.pipeline.jobs import Progress, all_folds, work_rows
from attain.train.trial import train
from attain.validate.compare import compare
from attain.validate.learning import learning_curve, nested_rows, nested_shares
from attain.validate.limits import Evidence, binding
from attain.validate.perturb import Part, Predict, perturb
from attain.validate.resample import Fold, carve_stop
from attain.validate.seeds import seed_spread
from attain.validate.slices import find_slices
from attain.validate.threshold import for_metric

MOST_PERTURBED = 4_000  # rows, over all folds
MOST_PROBED = 20_000  # rows whose errors a flexible model tries to predict
PROBES = ("lightgbm", "random_forest")  # the first that is installed
MOST_PROBED_CLASSES = 5
_CLIP = 1e-3  # corrected probabilities stay this far from certainty


@dataclass(frozen=True)
class Plan:
    """How many fits are made.

    Attributes:
        needs: Fits that the time must allow for it.
        folds: Folds whose training rows are used.
        seeds: Seeds of the first fold.
        sizes: Sizes of the learning curve below the full one.
    """

    needs: float
    folds: int
    seeds: int
    sizes: int


# The most thorough that the time allows; a fit on half the rows counts half.
PLANS = (Plan(11, 3, 5, 3), Plan(7, 2, 3, 3), Plan(4, 1, 3, 2), Plan(0, 1, 1, 0))


def slices(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Search the out-of-fold predictions for slices on which the finalist is worse.

    Args:
        payload: ``folder``, ``dataset``, ``split``, ``predictions`` (files of its folds),
            ``metric``, ``threshold`` (of two classes, None for the usual rule), ``calibrator``,
            ``seed``.
        progress: Not used.

    Returns:
        As `validate.slices.find_slices`.
    """
    dataset = decode(Dataset, payload["dataset"])
    rows = work_rows(payload["folder"], dataset)
    prediction = out_of_fold(payload, dataset, rows)
    return find_slices(
        rows,
        dataset,
        prediction,
        payload["metric"],
        threshold=payload.get("threshold"),
        seed=payload["seed"],
    )


def refits(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Fit the finalist again with other seeds and fewer rows, and let accidents happen to columns.

    Args:
        payload: ``folder``, ``dataset``, ``learner``, ``config``, ``hints``, ``seed``, ``threads``,
            ``threshold``, ``calibrator``, ``split``, ``predictions``, ``objective``, ``gain`` (over
            the baseline), ``half_width`` (of the confirmed score), ``order`` (columns, most
            important first), ``seconds`` (to spend), ``fit_seconds`` (of one fit), ``gap``
            (distance to the target, None when it is reached), ``closes``, ``cut_short``, ``words``
            (the metric's name).
        progress: Not used.

    Returns:
        ``perturbations``, ``seeds``, ``curve`` (None when skipped), ``limits`` and ``notes``
        (sentences: what was skipped and why).

    Raises:
        RuntimeError: When the first fit fails.
    """
    finalist = _Finalist(payload)
    plan = planned(payload["seconds"], payload["fit_seconds"], len(finalist.folds))
    notes = []
    if plan.seeds == 1:
        allowed, each = payload["seconds"], payload["fit_seconds"]
        notes.append(
            f"A fit takes about {each:.3g} s and {allowed:.3g} s were allowed, so no other seeds "
            "and no smaller training sets were tried."
        )
    full = [finalist.fit(fold.train, 0) for fold in finalist.folds[: plan.folds]]
    found: dict[str, Any] = {"seeds": None, "curve": None, "limits": [], "notes": notes}
    for name, make in (
        ("seeds", lambda: _seeds(finalist, full[0], plan)),
        ("perturbations", lambda: _perturbations(finalist, full)),
        ("curve", lambda: _curve(finalist, full, plan, found["seeds"])),
        ("limits", lambda: _limits(finalist, found["curve"])),
    ):
        try:
            found[name] = make()
        except (AttainError, RuntimeError, ValueError) as error:
            notes.append(f"The {name} could not be measured: {error}")
            found[name] = [] if name == "limits" else None
    return found


def planned(seconds: float, fit_seconds: float, folds: int) -> Plan:
    """The most thorough plan that the time allows.

    Args:
        seconds: To spend.
        fit_seconds: Of one fit on the training rows of a fold.
        folds: That there are.

    Returns:
        With at most so many folds; one fit is made in any case.
    """
    allowed = seconds / max(fit_seconds, 1e-3)
    plan = next(p for p in PLANS if allowed >= p.needs)
    return replace(plan, folds=min(plan.folds, folds))


class _Finalist:
    """The chosen configuration, fitted as the final model is, but on training rows of folds."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.payload = payload
        self.dataset = decode(Dataset, payload["dataset"])
        self.rows = work_rows(payload["folder"], self.dataset)
        assert self.rows.y is not None
        self.y = self.rows.y
        split = decode(Split, payload["split"])
        every = all_folds(payload["folder"], payload["split"], self.dataset)[: split.folds]
        # of folds in time the last ones have seen most, as the final model will
        self.folds = every[::-1] if split.kind is SplitKind.TIME else every
        learner = find("learner", payload["learner"])()
        self.learner: Learner = calibrated(learner, payload.get("calibrator"))
        self.objective = decode(Objective, payload["objective"])
        self.deadline = time.perf_counter() + payload["seconds"]

    def late(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() > self.deadline

    def fit(self, index: np.ndarray, number: int) -> Predict:
        """The model of some rows and a seed.

        Args:
            index: Positions of the training rows.
            number: Of the seed, from 0.

        Returns:
            From rows to predictions.

        Raises:
            RuntimeError: When the fit fails.
        """
        data = FitData(
            dataset=self.dataset,
            train=self.rows.take(index),
            hints=self.payload["hints"],
            seed=derive(self.payload["seed"], "reliability", number),
            threads=self.payload["threads"],
            cache=folders.cache(self.payload["folder"]),
        )
        trained = train(self.learner, self.payload["config"], data)
        if trained.model is None:
            raise RuntimeError(f"a fit ended {trained.status}: {trained.message}")
        return lambda rows: self.decided(self.learner.predict(trained.model, rows))

    def decided(self, prediction: np.ndarray) -> np.ndarray:
        """What the metric looks at: decisions where there is a threshold, else the prediction."""
        return for_metric(self.objective.metric, prediction, self.payload.get("threshold"))

    def valid(self, fold: Fold) -> Rows:
        """The rows that models of a fold have not seen."""
        return self.rows.take(fold.valid)


def _seeds(finalist: _Finalist, first: Predict, plan: Plan) -> dict[str, Any] | None:
    """The first fold with other seeds; two that agree in every digit are enough."""
    if plan.seeds < 2:
        return None
    fold = finalist.folds[0]
    rows = finalist.valid(fold)
    predictions = [first(rows)]
    for number in range(1, plan.seeds):
        if finalist.late() and number > 1:
            break
        predictions.append(finalist.fit(fold.train, number)(rows))
        if np.array_equal(predictions[0], predictions[-1]):
            break
    half = finalist.payload["half_width"]
    return seed_spread(
        finalist.objective.metric, finalist.y[fold.valid], predictions, half_width=half
    )


def _perturbations(finalist: _Finalist, models: Sequence[Predict]) -> dict[str, Any]:
    most = MOST_PERTURBED // len(models)
    parts = [
        Part(predict, finalist.rows.take(_some(fold.valid, most)))
        for predict, fold in zip(models, finalist.folds, strict=False)
    ]
    return perturb(
        parts,
        finalist.dataset,
        finalist.objective.metric,
        finalist.objective.direction,
        gain=finalist.payload["gain"],
        order=finalist.payload["order"],
        seconds=max(1.0, (finalist.deadline - time.perf_counter()) / 2),
        seed=finalist.payload["seed"] % 2**32,
    )


def _some(index: np.ndarray, most: int) -> np.ndarray:
    if len(index) <= most:
        return index
    return np.sort(np.random.default_rng(0).choice(index, most, replace=False))


def _curve(
    finalist: _Finalist, full: Sequence[Predict], plan: Plan, seeds: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Smaller parts of the same training rows, validated on the same rows as the whole."""
    folds = finalist.folds[: len(full)]
    size = min(len(fold.train) for fold in folds)
    shares = nested_shares(size, plan.sizes)
    if not shares or finalist.late():
        return None
    by_share: dict[float, list[np.ndarray]] = {}
    for share in (1.0, *shares[::-1]):
        models = full if share == 1.0 else list(_smaller(finalist, folds, share))
        found = [m(finalist.valid(f)) for m, f in zip(models, folds, strict=True)]
        by_share[share] = [np.concatenate(found)]
    index = np.concatenate([fold.valid for fold in folds])
    groups = finalist.rows.groups
    noise = 0.0 if seeds is None else float(seeds["spread"])
    return learning_curve(
        finalist.objective,
        finalist.y[index],
        by_share,
        size,
        groups=None if groups is None else groups[index],
        training_noise=noise / np.sqrt(len(folds)),
    )


def _smaller(finalist: _Finalist, folds: Sequence[Fold], share: float) -> Iterator[Predict]:
    for number, fold in enumerate(folds):
        seed = derive(finalist.payload["seed"], "size", number)
        yield finalist.fit(nested_rows(fold.train, finalist.y, share, seed), 0)


def _limits(finalist: _Finalist, curve: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Which limit binds; asked only when an objective was not met."""
    payload = finalist.payload
    if payload["gap"] is None:
        return []
    known = curve or {}
    return binding(
        Evidence(
            metric=payload["words"],
            gap=payload["gap"],
            doubling=known.get("gain"),
            far=known.get("gain_far"),
            rises=bool(known.get("rises")),
            leftover=_leftover(finalist),
            closes=payload["closes"],
            cut_short=payload["cut_short"],
        )
    )


def _leftover(finalist: _Finalist) -> dict[str, float] | None:
    """What the score gains when a flexible model corrects the finalist's errors, out of fold.

    None when it was not tried: too many classes, no time, no flexible learner at hand, or counts
    instead of predictions that could be corrected.
    """
    if finalist.dataset.task.counted:
        return None
    prediction = out_of_fold(finalist.payload, finalist.dataset, finalist.rows)
    known = np.isfinite(prediction.reshape(len(prediction), -1)).all(axis=1)
    learner = _probe()
    if learner is None or finalist.late() or len(finalist.dataset.classes) > MOST_PROBED_CLASSES:
        return None
    corrected = prediction.copy()
    seen = np.zeros(len(prediction), dtype=bool)
    for fold in finalist.folds:
        trained, asked = fold.train[known[fold.train]], fold.valid[known[fold.valid]]
        trained = _some(trained, MOST_PROBED)
        if len(trained) and len(asked):
            corrected[asked] = _corrected(finalist, learner, prediction, trained, asked)
            seen[asked] = True
        if finalist.late():
            break
    index = np.flatnonzero(seen)
    return _improvement(finalist, prediction[index], corrected[index], index)


def _improvement(
    finalist: _Finalist, before: np.ndarray, after: np.ndarray, index: np.ndarray
) -> dict[str, float]:
    """By how much the metric improves, positive is better."""
    goal, groups = finalist.objective, finalist.rows.groups
    made = compare(
        goal.metric,
        finalist.y[index],
        finalist.decided(after),
        finalist.decided(before),
        folds=None,
        groups=None if groups is None else groups[index],
        direction=goal.direction,
    )
    sign = 1.0 if goal.direction is Direction.MAXIMIZE else -1.0
    low, high = sorted((sign * made.low, sign * made.high))
    return {"estimate": sign * made.difference, "low": low, "high": high}


def _probe() -> Learner | None:
    for name in PROBES:
        with suppress(AttainError, ImportError):
            learner: Learner = find("learner", name)()
            return learner
    return None


def _corrected(
    finalist: _Finalist,
    learner: Learner,
    prediction: np.ndarray,
    trained: np.ndarray,
    asked: np.ndarray,
) -> np.ndarray:
    """Predictions plus the errors that a regression on the features expects."""
    if prediction.ndim == 1:
        error = finalist.y - prediction
        return prediction[asked] + _expected(finalist, learner, error, trained, asked)
    several = finalist.dataset.task.several
    two = prediction.shape[1] == 2 and not several
    codes = (1,) if two else range(prediction.shape[1])
    found = prediction[asked].copy()
    for code in codes:
        own = finalist.y[:, code] if several else finalist.y == code
        error = own - prediction[:, code]
        found[:, code] += _expected(finalist, learner, error, trained, asked)
    found = np.clip(found, _CLIP, 1 - _CLIP)
    if several:
        return found
    if two:
        found[:, 0] = 1 - found[:, 1]
    return found / found.sum(axis=1, keepdims=True)


def _expected(
    finalist: _Finalist,
    learner: Learner,
    error: np.ndarray,
    trained: np.ndarray,
    asked: np.ndarray,
) -> np.ndarray:
    """The errors of some rows as a flexible regression on other rows expects them."""
    dataset = replace(
        finalist.dataset, task=Task.REGRESSION, classes=(), class_counts=(), separator=""
    )
    rows = replace(finalist.rows, y=error.astype(np.float64))
    seed = derive(finalist.payload["seed"], "probe")
    fit_index, stop_index = carve_stop(rows, trained, classifies=False, seed=seed)
    data = FitData(
        dataset=dataset,
        train=rows.take(fit_index),
        stop=rows.take(stop_index) if len(stop_index) else None,
        hints={},
        seed=seed,
        threads=finalist.payload["threads"],
    )
    fitted = train(learner, learner.space(dataset).defaults(), data)
    if fitted.model is None:
        raise RuntimeError(f"the model of the errors ended {fitted.status}: {fitted.message}")
    return learner.predict(fitted.model, rows.take(asked))

"""What workers run for nested cross-validation: the search again, on the rows of one outer fold.

What is replayed is the procedure, not the configurations: those that the search tried were proposed
by looking at all rows, so they know something of every outer fold.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.codec import decode
from attain.core.counts import columns
from attain.core.files import write_atomic
from attain.core.protocols import Learner, Strategy
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.space import Config, Space
from attain.core.types import Dataset, Objective, Observed, Split, Status
from attain.objectives import utility
from attain.parameters.select import unprefix
from attain.pipeline import calibration
from attain.pipeline.jobs import Progress, all_folds, fit_data, hints_of, work_rows
from attain.pipeline.rigor import INNER
from attain.pipeline.threshold import choose, promises
from attain.train.trial import check_prediction, train
from attain.validate.resample import Fold, folds, plan
from attain.validate.resampled import Stack, values
from attain.validate.threshold import for_metric

_FOR_THE_LAST = 0.9  # of the time is spent on searching, the rest on fitting what was found


@dataclass(frozen=True, eq=False)
class _Tried:
    """One configuration on the inner folds."""

    learner: str
    config: Config
    loss: float
    threshold: float | None
    prediction: np.ndarray
    hints: Mapping[str, Any]


def replay(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Search on the training rows of an outer fold, and predict its validation rows.

    Args:
        payload: ``folder``, ``dataset``, ``space``, ``fixed``, ``strategy``, ``objectives`` (that
            are validated rather than measured), ``reference`` (values of the baseline),
            ``trials``, ``seconds`` (after which no more are tried, None for no limit), ``split``
            and ``fold`` (the outer ones), ``seed``, ``threads``, ``out`` (file for predictions).
        progress: Told how many configurations have been tried.

    Returns:
        ``trials`` (tried), ``learner``, ``threshold`` (None for the usual rule), ``predictions``
        (the file, relative to the folder) and ``seconds``.

    Raises:
        RuntimeError: When no configuration could be fitted.
    """
    began = time.perf_counter()
    inside = _Inside(payload)
    limit, tried, history = payload["seconds"], 0, list[Observed]()
    best: _Tried | None = None
    strategy: Strategy = find("strategy", payload["strategy"])()
    space = decode(Space, payload["space"])
    seed = derive(payload["seed"], "strategy")
    while tried < payload["trials"]:
        if limit is not None and time.perf_counter() - began > _FOR_THE_LAST * limit and best:
            break
        proposals = strategy.propose(space, history, 1, seed)
        if not proposals:
            break
        found = inside.validated(*unprefix(proposals[0].config, payload["fixed"]), tried)
        loss, status = (None, Status.FAILED) if found is None else (found.loss, Status.DONE)
        history.append(Observed(f"n{tried:04d}", proposals[0].config, status.value, loss))
        if found is not None and (best is None or found.loss < best.loss):
            best = found
        tried += 1
        progress({"step": tried})
    if best is None:
        raise RuntimeError(f"none of {tried} configurations could be fitted on an outer fold")
    prediction, threshold = inside.final(best)
    buffer = io.BytesIO()
    np.savez(buffer, valid=prediction)
    write_atomic(Path(payload["folder"]) / payload["out"], buffer.getvalue())
    return {
        "trials": tried,
        "learner": best.learner,
        "threshold": threshold,
        "predictions": payload["out"],
        "seconds": time.perf_counter() - began,
    }


class _Inside:
    """The training rows of an outer fold, divided again."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.payload = payload
        self.dataset = decode(Dataset, payload["dataset"])
        self.objectives = decode(tuple[Objective, ...], payload["objectives"])
        self.rows = work_rows(payload["folder"], self.dataset)
        assert self.rows.y is not None
        self.y = self.rows.y
        outer = all_folds(payload["folder"], payload["split"], self.dataset)[payload["fold"]]
        self.outer = outer
        own = self.rows.take(outer.train)
        seed = derive(payload["seed"], "inner")
        self.split: Split = plan(self.dataset, own, folds=INNER, repeats=1, seed=seed)
        self.folds = [
            Fold(outer.train[fold.train], outer.train[fold.valid])
            for fold in folds(self.split, own)
        ]
        self.index = np.concatenate([fold.valid for fold in self.folds])

    def validated(self, name: str, config: Config, number: int) -> _Tried | None:
        """A configuration on the inner folds; None if a fit fails."""
        learner: Learner = find("learner", name)()
        parts, facts = [], []
        for k, fold in enumerate(self.folds):
            fitted = self._fitted(learner, config, fold, {}, number, k)
            if fitted is None:
                return None
            parts.append(fitted[0])
            facts.append(fitted[1])
        prediction = np.concatenate(parts)
        counted, _ = calibration.adjusted(
            self.objectives, self.rows, self.split, self.folds, prediction
        )
        at = self._threshold(counted)
        found = {m: self._value(m, for_metric(m, counted, at)) for m in self._metrics}
        if not all(np.isfinite(list(found.values()))):
            return None
        loss = utility.loss(self.objectives, found, self.payload["reference"])
        return _Tried(name, config, loss, at, prediction, hints_of(facts))

    def final(self, best: _Tried) -> tuple[np.ndarray, float | None]:
        """Predictions of the outer validation rows by the best, fitted on all rows inside."""
        learner: Learner = find("learner", best.learner)()
        fitted = self._fitted(learner, best.config, self.outer, best.hints, -1, 0)
        if fitted is None:
            raise RuntimeError("the best configuration of an outer fold could not be fitted again")
        if not calibration.methods(self.objectives) or self.dataset.task.several:
            return fitted[0], best.threshold
        inner, found = calibration.made(
            self.objectives, self.rows, self.split, self.folds, best.prediction
        )
        change = found.calibrator
        return fitted[0] if change is None else change(fitted[0]), self._threshold(inner)

    @property
    def _metrics(self) -> Sequence[str]:
        return tuple(dict.fromkeys(o.metric for o in self.objectives))

    def _threshold(self, prediction: np.ndarray) -> float | None:
        if not promises(self.objectives, self.dataset.task):
            return None
        groups = None if self.rows.groups is None else self.rows.groups[self.index]
        return choose(self.objectives, self.y[self.index], prediction, groups).value

    def _value(self, metric: str, prediction: np.ndarray) -> float:
        ends = np.cumsum([len(fold.valid) for fold in self.folds])[:-1]
        parts = np.split(np.arange(len(self.index)), ends)
        stack = Stack(self.y[self.index], np.arange(len(self.index)), parts, [prediction])
        everyone = np.ones((len(self.index), 1), np.float32)
        return float(values(metric, stack)(np.array([0]), everyone)[0, 0])

    def _fitted(
        self,
        learner: Learner,
        config: Config,
        fold: Fold,
        hints: Mapping[str, Any],
        number: int,
        k: int,
    ) -> tuple[np.ndarray, Mapping[str, Any]] | None:
        """Predictions of a fold's validation rows, and what the fit learnt."""
        seeds = {
            "seed": derive(self.payload["seed"], "fit", number, k),
            "stop_seed": derive(self.payload["seed"], "stop rows", k),
        }
        ask = {**self.payload, **seeds, "hints": hints}
        data = fit_data(learner, ask, self.dataset, self.rows, fold.train)
        trained = train(learner, config, data)
        if trained.model is None:
            return None
        prediction = learner.predict(trained.model, self.rows.take(fold.valid))
        task, classes = self.dataset.task, len(self.dataset.classes)
        width, exclusive = len(columns(task)), not task.several
        if check_prediction(prediction, len(fold.valid), classes, width, exclusive=exclusive):
            return None
        return np.asarray(prediction, float), trained.model.facts

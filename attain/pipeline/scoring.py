"""From a trial's outcomes to what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.codec import encode
from attain.core.errors import DataError
from attain.core.types import (
    Dataset,
    Diagnosis,
    Objective,
    Observed,
    Outcome,
    Role,
    Score,
    Status,
    Task,
    Trial,
)
from attain.objectives import utility
from attain.objectives.metrics import lookup
from attain.pipeline import calibration
from attain.pipeline.calibration import Calibration
from attain.pipeline.jobs import LATENCY_METRICS, all_folds, work_rows
from attain.pipeline.threshold import Threshold, choose, promises
from attain.validate.diagnose import diagnose_fit
from attain.validate.metrics import compute
from attain.validate.race import Race
from attain.validate.score import measured, score
from attain.validate.threshold import for_metric

Z95 = 1.959964  # half-width of a two-sided 95 % interval, in standard errors
STANDARD: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("roc_auc", "log_loss", "accuracy"),
    Task.MULTICLASS: ("accuracy", "f1_macro", "log_loss"),
    Task.MULTILABEL: ("f1_micro", "f1_macro", "log_loss"),
    Task.REGRESSION: ("rmse", "mae", "r2"),
    Task.GENERATION: ("token_loss", "perplexity", "token_accuracy"),
    Task.PREFERENCE: ("win_rate", "token_loss"),
    Task.TAGGING: ("span_f1", "word_accuracy", "word_loss"),
    Task.TRANSCRIPTION: ("word_error_rate", "character_error_rate"),
}
FULL: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: (
        *("roc_auc", "average_precision", "accuracy", "balanced_accuracy", "precision"),
        *("recall", "f1", "log_loss", "brier", "mcc", "ece"),
    ),
    Task.MULTICLASS: (
        *("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "log_loss"),
        *("roc_auc_ovr", "mcc", "kappa", "ece"),
    ),
    Task.MULTILABEL: (
        *("f1_micro", "f1_macro", "precision_micro", "recall_micro", "subset_accuracy"),
        *("hamming_loss", "log_loss", "roc_auc_ovr", "average_precision_macro"),
    ),
    Task.REGRESSION: ("rmse", "mae", "medae", "r2", "max_error"),
    Task.GENERATION: (
        *("token_loss", "perplexity", "token_accuracy", "exact_match", "numeric_match"),
        *("contains", "regex_match", "rouge_l", "chrf", "json_valid", "schema_valid", "ends"),
    ),
    Task.PREFERENCE: (
        *("win_rate", "win_rate_per_token", "reward_accuracy", "token_loss", "token_accuracy"),
    ),
    Task.TAGGING: ("span_f1", "span_precision", "span_recall", "word_accuracy", "word_loss"),
    Task.TRANSCRIPTION: (
        *("word_error_rate", "character_error_rate", "transcript_match", "character_loss"),
    ),
}


@dataclass(frozen=True)
class Scored:
    """A trial with its verdict; what a ``scored`` record holds.

    Attributes:
        trial: Id.
        status: How it ended.
        search: Whether it counts as a trial of the search.
        message: Why it did not end well.
        scores: One for each metric.
        loss: What the strategy minimises; None if it failed.
        noise: Standard error of the loss.
        seconds: Compute time over all folds.
        reached: Whether each objective's estimate clears its target.
        diagnoses: What is wrong with the fit.
        race: The last look at it beside the best so far; None if there was none.
        threshold: From which probability on it says positive, where objectives ask for one.
        calibration: What becomes of its probabilities, where objectives ask.
    """

    trial: str
    status: Status
    search: bool
    message: str = ""
    scores: tuple[Score, ...] = ()
    loss: float | None = None
    noise: float | None = None
    seconds: float = 0.0
    reached: Mapping[str, bool] = field(default_factory=dict)
    diagnoses: tuple[Diagnosis, ...] = ()
    race: Race | None = None
    threshold: Threshold | None = None
    calibration: Calibration | None = None

    def score(self, metric: str) -> Score | None:
        """The score of a metric, if there is one."""
        return next((s for s in self.scores if s.metric == metric), None)


@dataclass(frozen=True)
class Judge:
    """Scores trials; everything it needs is fixed before the search.

    Attributes:
        folder: The study folder.
        dataset: What is known of the rows.
        objectives: What good means.
        confidence: Of the intervals.
    """

    folder: Path
    dataset: Dataset
    objectives: tuple[Objective, ...]
    confidence: float = 0.95

    @property
    def quality(self) -> tuple[str, ...]:
        """Metrics computed from predictions: the objectives' and the usual ones."""
        stated = [o.metric for o in self.objectives if lookup(o.metric).needs != "measurement"]
        return tuple(dict.fromkeys([*stated, *STANDARD[self.dataset.task]]))

    @property
    def efficiency(self) -> tuple[str, ...]:
        """Metrics that must be measured because an objective names them."""
        names = [o.metric for o in self.objectives if lookup(o.metric).needs == "measurement"]
        return tuple(dict.fromkeys(names))

    @property
    def promises(self) -> tuple[Objective, ...]:
        """Targets that a decision threshold is to keep; usually none."""
        return promises(self.objectives, self.dataset.task)

    @property
    def lead(self) -> Objective:
        """The objective that comparisons and explanations use: the first goal, else the first."""
        goals = [o for o in self.objectives if o.role is Role.GOAL]
        return (goals or list(self.objectives))[0]

    @property
    def lead_metric(self) -> str:
        """A metric of quality: the lead objective's, or the first usual one."""
        lead = self.lead.metric
        return lead if lead in self.quality else self.quality[0]

    def score(
        self, trial: Trial, outcomes: Sequence[Outcome], baseline: Mapping[str, Score]
    ) -> Scored:
        """What a trial is worth.

        Args:
            trial: The trial.
            outcomes: Of its folds, in any order; those of its first folds if it was cut off.
            baseline: Scores of the baseline by metric, for diagnosis; empty for the baseline.

        Returns:
            With loss and scores if every fold is done, else with the first bad status.
        """
        search = trial.purpose == "search"
        seconds = sum(o.seconds for o in outcomes)
        bad = [o for o in sorted(outcomes, key=lambda o: o.fold) if o.status is not Status.DONE]
        if bad:
            message = f"fold {bad[0].fold + 1}: {bad[0].message}"
            return Scored(trial.id, bad[0].status, search, message, seconds=seconds)
        try:
            scores, threshold, calibrated = self._scores(
                trial, sorted(outcomes, key=lambda o: o.fold)
            )
        except DataError as error:
            return Scored(trial.id, Status.FAILED, search, str(error), seconds=seconds)
        by_metric = {s.metric: s for s in scores}
        values = {name: s.estimate for name, s in by_metric.items()}
        errors = {name: (s.high - s.low) / (2 * Z95) for name, s in by_metric.items()}
        reference = {name: s.estimate for name, s in baseline.items()} or None
        return Scored(
            trial=trial.id,
            status=Status.DONE,
            search=search,
            scores=tuple(scores),
            loss=utility.loss(self.objectives, values, reference),
            noise=utility.loss_noise(self.objectives, values, errors, reference),
            seconds=seconds,
            reached={o.metric: o.reached(values[o.metric]) for o in self.objectives},
            diagnoses=diagnose_fit(self.objectives, by_metric, baseline) if baseline else (),
            threshold=threshold,
            calibration=calibrated,
        )

    def _scores(
        self, trial: Trial, outcomes: Sequence[Outcome]
    ) -> tuple[list[Score], Threshold | None, Calibration | None]:
        rows = work_rows(str(self.folder), self.dataset)
        assert rows.y is not None
        folds = all_folds(str(self.folder), encode(trial.split), self.dataset)[: len(outcomes)]
        saved = [load_predictions(self.folder / o.predictions) for o in outcomes]
        index = np.concatenate([fold.valid for fold in folds])
        prediction = np.concatenate([s["valid"] for s in saved]).astype(np.float64)
        prediction, calibrated = calibration.adjusted(
            self.objectives, rows, trial.split, folds, prediction
        )
        ends = np.cumsum([0, *(len(fold.valid) for fold in folds)])
        ask: dict[str, Any] = {
            "trial": trial.id,
            "groups": None if rows.groups is None else rows.groups[index],
            "folds": [np.arange(a, b) for a, b in pairwise(ends)],
            "repeats": -(-len(folds) // trial.split.folds),
            "confidence": self.confidence,
        }
        y = rows.y
        once = min(trial.split.folds, len(folds))
        first = slice(0, int(ends[once]))  # repeats say nothing new of a row
        threshold = self._threshold(y[index[first]], prediction[first], ask["groups"], first)
        at = None if threshold is None else threshold.value
        quality = [
            score(
                m,
                y[index],
                for_metric(m, prediction, at),
                train=_train_value(m, y, saved, at, calibrated),
                unit=lookup(m).unit,
                **ask,
            )
            for m in self.quality
        ]
        efficiency = [self._measured(metric, trial.id, outcomes) for metric in self.efficiency]
        return quality + efficiency, threshold, calibrated

    def _threshold(
        self, y: np.ndarray, prediction: np.ndarray, groups: np.ndarray | None, first: slice
    ) -> Threshold | None:
        if not self.promises:
            return None
        return choose(self.objectives, y, prediction, None if groups is None else groups[first])

    def _measured(self, metric: str, trial: str, outcomes: Sequence[Outcome]) -> Score:
        times = [t for o in outcomes for t in o.facts.get("latency_ms", ())]
        rates = [o.facts["batch"] * 1e3 / t for o in outcomes for t in o.facts.get("batch_ms", ())]
        values: dict[str, Any] = {
            "size_mb": [o.facts.get("size_mb", np.nan) for o in outcomes],
            "training_seconds": [o.fit_seconds for o in outcomes],
            "peak_memory_mb": [max(o.peak_bytes for o in outcomes) / 1e6],
            "throughput_rows_per_s": rates,
        }
        found = times if metric in LATENCY_METRICS - set(values) else values[metric]
        unit = lookup(metric).unit
        return measured(
            metric, np.asarray(found), trial=trial, unit=unit, confidence=self.confidence
        )


def observe(trial: Trial, scored: Scored | None) -> Observed:
    """A trial as a strategy sees it.

    Args:
        trial: What was asked.
        scored: What it is worth, None while it runs.

    Returns:
        Without a loss while running or when it failed; with an estimate when it was raced out.
    """
    if scored is None:
        return Observed(trial.id, trial.point, "running", round=trial.round)
    told = scored.race if scored.race is not None and scored.status is Status.RACED else scored
    return Observed(
        trial.id,
        trial.point,
        scored.status.value,
        loss=told.loss,
        noise=told.noise,
        seconds=scored.seconds,
        round=trial.round,
    )


def load_predictions(path: Path) -> dict[str, np.ndarray]:
    """What a worker saved of a fold: ``valid``, and ``train`` of the rows ``train_rows``."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _train_value(
    metric: str,
    y: np.ndarray,
    saved: Sequence[Mapping[str, Any]],
    threshold: float | None,
    calibrated: Calibration | None,
) -> float | None:
    """The metric on training rows, averaged over folds; None where it is not defined."""
    change = None if calibrated is None else calibrated.calibrator
    predictions = (s["train"].astype(np.float64) for s in saved)
    changed = (p if change is None else change(p) for p in predictions)
    try:
        values = [
            compute(metric, y[s["train_rows"]], for_metric(metric, p, threshold))
            for s, p in zip(saved, changed, strict=True)
        ]
    except DataError:
        return None
    return float(np.mean(values))

"""What to expect of the best of the search on new rows, computed whenever the search is decided on.

It rests on the stored out-of-fold predictions of complete configurations: one that failed, or was
denied folds, has no score that could have been selected, so it does not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from attain.core.codec import encode
from attain.core.seeds import derive
from attain.core.types import Direction, Draft, Objective, Rows, Score
from attain.objectives import utility
from attain.objectives.metrics import lookup
from attain.pipeline import calibration
from attain.pipeline.jobs import all_folds, work_rows
from attain.pipeline.scoring import Scored
from attain.pipeline.trials import Trials
from attain.stats.bbc import Corrected, Loss
from attain.validate.expected import expected
from attain.validate.resample import Fold
from attain.validate.resampled import Stack

KEPT = 200  # configurations whose predictions are kept and count, the best first
MOST_CELLS, FEWEST = 100_000_000, 10  # predictions in memory, however few configurations that are


def eligible(trials: Trials) -> list[Scored]:
    """Complete configurations that could be selected, the best first.

    Args:
        trials: The study's trials.

    Returns:
        Of the search, and baselines that learn something; at most 200.
    """
    split = {t.split for t in trials.trials.values() if t.purpose == "search"}
    found = [
        s
        for t in trials.trials.values()
        if t.purpose in ("search", "baseline") and t.learner != "baseline" and t.split in split
        if (s := trials.scored.get(t.id)) is not None and s.loss is not None
        if trials.is_whole(t.id)
        if all((trials.study.folder / name).exists() for name in trials.predictions(t.id))
    ]
    return sorted(found, key=lambda s: (s.loss, s.trial))[:KEPT]


def look(trials: Trials, round_: int) -> Draft | None:
    """The record ``expected``: corrected scores of what a selection would choose now.

    A threshold that a configuration chose for itself is kept as it is; only the choice among
    configurations is made again.

    Args:
        trials: The study's trials.
        round_: Of refinement.

    Returns:
        Not yet written; None with fewer than two configurations, when nothing was selected, and
        when configurations have folds of their own: the luck of a division does not show in its
        rows.
    """
    began = time.perf_counter()
    able = eligible(trials)
    if len(able) < 2 or len({trials.trials[s.trial].split for s in able}) > 1:
        return None
    judge = trials.judge
    directions = {o.metric: o.direction for o in judge.objectives if o.metric in judge.quality}
    stack, groups = _stack(trials, able)
    found = expected(
        directions,
        stack,
        _loss(trials, able),
        groups=groups,
        confidence=judge.confidence,
        seed=derive(trials.study.seed, "expected", round_),
    )
    by_metric = {o.metric: o for o in judge.objectives}
    payload = {
        "round": round_,
        "trial": able[0].trial,
        "configurations": len(stack.predictions),
        "scores": [
            _score(able[0], by_metric[name], found.scores[name], found.method)
            for name in directions
        ],
        "seconds": time.perf_counter() - began,
    }
    return Draft("validate", "expected", encode(payload))


def _stack(trials: Trials, able: Sequence[Scored]) -> tuple[Stack, np.ndarray | None]:
    """The predictions of the best configurations, as many as memory allows, and groups of rows."""
    judge, split = trials.judge, trials.trials[able[0].trial].split
    rows = work_rows(str(judge.folder), judge.dataset)
    assert rows.y is not None
    folds = all_folds(str(judge.folder), encode(split), judge.dataset)
    index = np.concatenate([fold.valid for fold in folds])
    distinct, row = np.unique(index, return_inverse=True)
    ends = np.cumsum([0, *(len(fold.valid) for fold in folds)])
    cells = len(index) * max(len(judge.dataset.classes), 1)
    able = able[: max(MOST_CELLS // cells, FEWEST)]
    stack = Stack(
        y=rows.y[distinct],
        row=row,
        folds=[np.arange(a, b) for a, b in pairwise(ends)],
        predictions=[_counted(trials, s, rows, folds) for s in able],
        thresholds=[None if s.threshold is None else s.threshold.value for s in able],
    )
    return stack, None if rows.groups is None else rows.groups[distinct]


def _predictions(trials: Trials, trial: str) -> np.ndarray:
    parts = []
    for name in trials.predictions(trial):
        with np.load(trials.study.folder / name, allow_pickle=False) as file:
            parts.append(file["valid"])
    return np.concatenate(parts)


def _counted(trials: Trials, scored: Scored, rows: Rows, folds: Sequence[Fold]) -> np.ndarray:
    """Out-of-fold predictions as they were scored: calibrated, each fold by the others."""
    found = _predictions(trials, scored.trial)
    change = None if scored.calibration is None else scored.calibration.calibrator
    if change is None:
        return found
    split = trials.trials[scored.trial].split
    made = calibration.out_of_fold(change, rows, split, folds, found.astype(np.float64))
    return made.astype(found.dtype)


def _loss(trials: Trials, able: Sequence[Scored]) -> Loss:
    """The study's own loss; what was measured rather than validated stays as it was measured."""
    objectives, quality = trials.judge.objectives, trials.judge.quality
    reference = {name: s.estimate for name, s in trials.baseline().items()} or None
    fixed = {  # a trial is able only with a score of every metric
        o.metric: np.array([[s.score(o.metric).estimate] for s in able])  # type: ignore[union-attr]
        for o in objectives
        if o.metric not in quality
    }

    def loss(values: Mapping[str, np.ndarray]) -> np.ndarray:
        if len(objectives) == 1:  # any increasing function of it chooses the same
            sign = -1.0 if objectives[0].direction is Direction.MAXIMIZE else 1.0
            return sign * values[objectives[0].metric]
        shape = next(iter(values.values())).shape
        known = {m: np.broadcast_to(v[: shape[0]], shape) for m, v in fixed.items()}
        return utility.losses(objectives, {**values, **known}, reference)

    return loss


def _score(best: Scored, objective: Objective, found: Corrected, method: str) -> Score:
    """With limits within the metric's range, no nearer than those of the best's own score."""
    own = best.score(objective.metric)
    assert own is not None
    found = found.no_narrower(own.estimate - own.low, own.high - own.estimate)
    ends = objective.low, objective.high
    return replace(
        own,
        estimate=min(max(found.estimate, ends[0]), ends[1]),
        low=max(found.low, ends[0]),
        high=min(found.high, ends[1]),
        method=method,
        per_fold=(),
        train=None,
    )


def prune(trials: Trials) -> None:
    """Delete the predictions of finished trials of the search that are not among the best 200.

    Args:
        trials: The study's trials.
    """
    kept = {s.trial for s in eligible(trials)}
    for trial in trials.trials.values():
        done = trial.id in trials.scored and trial.purpose == "search"
        if done and trial.id not in kept:
            for name in filter(None, trials.predictions(trial.id)):
                (trials.study.folder / name).unlink(missing_ok=True)


def widened(score: Score, factor: float) -> Score:
    """A score whose interval is so many times as wide, but never beyond what the metric can be."""
    metric = lookup(score.metric)
    low = max(metric.low, score.estimate - (score.estimate - score.low) * factor)
    high = min(metric.high, score.estimate + (score.high - score.estimate) * factor)
    return replace(score, low=low, high=high, method=f"{score.method}, as wide as sealed rows give")

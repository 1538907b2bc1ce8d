"""The confirmation of finalists: on which folds, and how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from attain.core.errors import SpecError
from attain.core.seeds import derive
from attain.core.types import Dataset, Rows, Split, Trial
from attain.pipeline.loop import loss_scale
from attain.pipeline.rigor import LEVELS
from attain.pipeline.scoring import Scored
from attain.pipeline.spec import AUTO, StudySpec
from attain.pipeline.study import Study
from attain.pipeline.trials import Trials
from attain.report import numbers
from attain.stats.compare import corrected_difference
from attain.validate.resample import plan, test_over_train


def fresh_split(spec: StudySpec, dataset: Dataset, rows: Rows, seed: int) -> Split:
    """Folds that the search has not seen, drawn as often as the rigor asks.

    Args:
        spec: What the user stated.
        dataset: What is known of the rows.
        rows: The unsealed rows.
        seed: Of the study.

    Returns:
        As many folds as in the search; where the rows can be divided in one way only, drawn once.
    """
    level = LEVELS[spec.rigor]
    repeats = 1 if spec.repeats == AUTO and not level.repeats else spec.repeats
    fresh = derive(seed, "confirm")
    base = plan(dataset, rows, folds=spec.folds, repeats=repeats, seed=fresh)
    if level.confirmations == 1:
        return base
    try:
        times = base.repeats * level.confirmations
        return plan(dataset, rows, folds=base.folds, repeats=times, seed=fresh)
    except SpecError:  # one row or group in each fold: no other division
        return base


def confirmation(study: Study, trials: Trials, name: str, number: int, split: Split) -> Trial:
    """A finalist once more, on fresh folds and with a fresh seed.

    Args:
        study: Under way.
        trials: The study's trials.
        name: Of the finalist.
        number: Of the confirmation, from 1.
        split: As `fresh_split` gives it.

    Returns:
        Not asked yet.
    """
    trial, trial_id = trials.trials[name], f"c{number:03d}"
    return Trial(
        id=trial_id,
        learner=trial.learner,
        config=trial.config,
        point=trial.point,
        seed=derive(study.seed, "trial", trial_id),
        split=split,
        reason=f"confirms {name} on fresh folds",
        round=trial.round,
        seen=len(study.records),
        purpose="confirm",
    )


def apart(trials: Trials, confirmed: Mapping[str, Scored]) -> dict[str, float]:
    """Standard error of each finalist's difference from the best, in units of the loss.

    From the differences over the fresh folds that all share, corrected for the overlap of their
    training rows (Nadeau & Bengio 2003). With a single fold, where nothing is paired, the standard
    error of the finalist's own score, which is larger.

    Args:
        trials: The study's trials.
        confirmed: Finalists with their fresh scores, each with a loss.

    Returns:
        By finalist, 0 for the best.
    """
    metric = trials.judge.lead_metric
    scale = loss_scale(list(confirmed.values()), metric)
    order = sorted(confirmed, key=lambda name: (confirmed[name].loss or 0.0, name))
    folds = {n: s.per_fold for n in order if (s := confirmed[n].score(metric)) is not None}
    found = dict.fromkeys(order[:1], 0.0)
    for name in order[1:]:
        ratio = test_over_train(trials.trials[confirmed[name].trial].split)
        error = corrected_difference(
            np.asarray(folds.get(order[0], ())), np.asarray(folds.get(name, ())), ratio
        )
        found[name] = error * scale if math.isfinite(error) else confirmed[name].noise or 0.0
    return found


def in_words(trials: Trials, confirmed: Mapping[str, Scored]) -> dict[str, str]:
    """Each finalist's fresh score in the lead metric, such as ``ROC AUC 0.912``.

    Args:
        trials: The study's trials.
        confirmed: Finalists with their fresh scores.

    Returns:
        By finalist.
    """
    metric = trials.judge.lead_metric
    return {
        name: f"{numbers.words(metric)} {numbers.number(s.estimate, digits=4)}"
        for name, one in confirmed.items()
        if (s := one.score(metric)) is not None
    }

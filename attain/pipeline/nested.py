"""Nested cross-validation: what the whole procedure, search included, scores on rows left out.

Decides nothing; `rigor: max` asks for it. See docs/decisions/0008.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attain.core.codec import encode
from attain.core.errors import AttainError, EnvironmentProblem, Interrupted
from attain.core.protocols import Event, Job, Limits
from attain.core.seeds import derive
from attain.core.types import Score, Split, Status
from attain.objectives.metrics import lookup
from attain.pipeline.jobs import all_folds, work_rows
from attain.pipeline.loop import heed_stop
from attain.pipeline.prepare import Prepared
from attain.pipeline.rigor import OUTER, why_not_nested
from attain.pipeline.scoring import load_predictions
from attain.pipeline.study import Study
from attain.pipeline.trials import Trials
from attain.validate.resample import plan
from attain.validate.score import score
from attain.validate.threshold import for_metric

_REPLAY = "attain.pipeline.nested_jobs:replay"


def measure(study: Study, ready: Prepared, trials: Trials, seconds: float) -> dict[str, Any]:
    """The payload of the record ``nested``.

    Args:
        study: Asked whether to stop.
        ready: What was prepared.
        trials: The study's trials; as many are replayed on each outer fold.
        seconds: Wall time for all of it; may be infinite.

    Returns:
        ``scores`` (of the outer predictions), ``folds``, ``trials`` (replayed on each), ``wanted``
        (trials of the search), ``learners`` (chosen), ``seconds``, and ``failed`` (why there are
        no scores, or empty).

    Raises:
        Interrupted: When asked to stop.
    """
    began = time.monotonic()
    found: dict[str, Any] = {"scores": [], "folds": OUTER, "trials": [], "learners": []}
    found |= {"wanted": trials.asked("search"), "failed": ""}
    reason = why_not_nested(ready.objectives, ready.dataset, ready.space)
    if not reason and seconds <= 0:
        reason = "no time was left for it"
    if not reason:
        try:
            done = _replayed(study, ready, trials, seconds)
            found["scores"] = encode(done.pop("scores"))
            found |= done
        except Interrupted:
            raise
        except AttainError as error:
            reason = str(error)
    return {**found, "failed": reason, "seconds": time.monotonic() - began}


def _replayed(study: Study, ready: Prepared, trials: Trials, seconds: float) -> dict[str, Any]:
    dataset = ready.dataset
    rows = work_rows(str(study.folder), dataset)
    split = plan(dataset, rows, folds=OUTER, repeats=1, seed=derive(study.seed, "nested"))
    objectives = [o for o in ready.objectives if lookup(o.metric).needs != "measurement"]
    reference = {name: s.estimate for name, s in trials.baseline().items()} or None
    waves = -(-split.folds // min(trials.workers, split.folds))
    common = {
        "folder": str(study.folder),
        "dataset": encode(dataset),
        "space": encode(ready.space),
        "fixed": dict(ready.fixed),
        "strategy": ready.strategy,
        "objectives": encode(tuple(objectives)),
        "reference": reference,
        "trials": trials.asked("search"),
        "seconds": None if np.isinf(seconds) else max(seconds, 1.0) / waves,
        "split": encode(split),
        "threads": trials.limits.threads,
    }
    jobs = [
        Job(
            f"nested-f{fold}",
            _REPLAY,
            {
                **common,
                "fold": fold,
                "seed": derive(study.seed, "nested", fold),
                "out": f"trials/nested-f{fold}.npz",
            },
            Limits(bytes=trials.limits.bytes, threads=trials.limits.threads),
        )
        for fold in range(split.folds)
    ]
    values = _run_all(study, trials, jobs)
    return {
        "scores": _scores(study, ready, trials, split, [values[job.id] for job in jobs]),
        "trials": [values[job.id]["trials"] for job in jobs],
        "learners": [values[job.id]["learner"] for job in jobs],
    }


def _run_all(study: Study, trials: Trials, jobs: Sequence[Job]) -> dict[str, Mapping[str, Any]]:
    """What each job returns; as many run at a time as there are workers."""
    waiting, running, done = list(jobs), set[str](), dict[str, Mapping[str, Any]]()
    while len(done) < len(jobs):
        heed_stop(study, trials)
        while waiting and len(running) < trials.workers:
            job = waiting.pop(0)
            running.add(job.id)
            trials.executor.submit(job)
        for event in trials.executor.events(0.2):
            if event.kind == "ended" and event.job in running:
                running.remove(event.job)
                if event.status is not Status.DONE:
                    _cancel(trials, running)
                    raise EnvironmentProblem(_why(event))
                done[event.job] = event.value
        study.tell("tick", running=len(running))
    return done


def _cancel(trials: Trials, running: set[str]) -> None:
    for job in running:
        trials.executor.cancel(job)


def _why(event: Event) -> str:
    return f"{event.job} ended {event.status}: {event.message}"


def _scores(
    study: Study,
    ready: Prepared,
    trials: Trials,
    split: Split,
    values: Sequence[Mapping[str, Any]],
) -> list[Score]:
    """Scores of the outer predictions, each fold at its own threshold."""
    rows = work_rows(str(study.folder), ready.dataset)
    assert rows.y is not None
    outer = all_folds(str(study.folder), encode(split), ready.dataset)
    predictions = [load_predictions(study.folder / v["predictions"])["valid"] for v in values]
    index = np.concatenate([fold.valid for fold in outer])
    ends = np.cumsum([len(fold.valid) for fold in outer])[:-1]
    found = []
    for o in ready.objectives:
        if lookup(o.metric).needs == "measurement":
            continue
        parts = [
            for_metric(o.metric, p, v["threshold"])
            for p, v in zip(predictions, values, strict=True)
        ]
        found.append(
            score(
                o.metric,
                rows.y[index],
                np.concatenate(parts),
                trial="nested",
                groups=None if rows.groups is None else rows.groups[index],
                folds=np.split(np.arange(len(index)), ends),
                confidence=trials.judge.confidence,
                unit=lookup(o.metric).unit,
            )
        )
    return found

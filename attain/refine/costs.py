"""Rules about steps too long, a search that stands still, and models that cost too much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from attain.core.types import Diagnosis, Move, Objective, Score, Status
from attain.refine.places import incumbent, moved, places
from attain.refine.progress import Progress, Step
from attain.refine.ranges import Number, narrowed, position

STEP_SIZES = ("learning_rate", "rate", "step")  # last part of a parameter's name
FEWEST_DIVERGED = 2
PLATEAU_ROUNDS = 2  # rounds without gain
FEWEST_FOR_PLATEAU = 30  # finished trials; with fewer, a local search would be blind
FEWEST_FOR_COST = 8
COSTLY = 0.3  # rank correlation with a trial's seconds from which a parameter drives the cost
_COSTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "latency_p50_ms": ("too_slow", "too slow"),
        "latency_p95_ms": ("too_slow", "too slow"),
        "latency_p99_ms": ("too_slow", "too slow"),
        "throughput_rows_per_s": ("too_slow", "too slow"),
        "training_seconds": ("too_slow", "too slow"),
        "size_mb": ("too_large", "too large"),
        "peak_memory_mb": ("too_large", "too large"),
    }
)


def diverging(progress: Progress) -> Iterator[Step]:
    """Fits blow up at long steps: the range of the step size ends before them.

    Args:
        progress: The study.

    Yields:
        At most one step per step size.
    """
    burst = [o for o in progress.failed if o.status == Status.DIVERGED]
    if len(burst) < FEWEST_DIVERGED:
        return
    for parameter, value in incumbent(progress):
        if parameter.name.rpartition(".")[2] not in STEP_SIZES:
            continue
        where, bad = position(parameter, value), places(parameter, burst)
        beyond = bad[(bad > where) & (bad <= 1)]
        if len(beyond) < FEWEST_DIVERGED:
            continue
        new = narrowed(parameter, 0.0, (where + float(beyond.min())) / 2, value)
        text = (
            f"{len(beyond)} fits diverged with {parameter.name} above the best value {value:g}: "
            "its steps are too long"
        )
        evidence = {"diverged": len(beyond), "value": value}
        diagnosis = Diagnosis("diverging", text, (parameter.name,), evidence)
        yield Step(Move.NARROW, diagnosis, () if new is None else (new,))


def plateau(progress: Progress) -> Iterator[Step]:
    """Rounds bring nothing: the search closes in on the best point, by halving the ranges.

    Args:
        progress: The study.

    Yields:
        At most one step, with all numeric parameters of the best point.
    """
    rounds, tried = progress.rounds_without_gain, len(progress.done)
    if rounds < PLATEAU_ROUNDS or tried < FEWEST_FOR_PLATEAU:
        return
    changed = []
    for parameter, value in incumbent(progress):
        where = position(parameter, value)
        new = narrowed(parameter, where - 0.25, where + 0.25, value)
        changed += [] if new is None else [new]
    text = (
        f"{rounds} rounds in a row brought no more than the noise of {progress.noise:.2g}, over "
        f"{tried} trials"
    )
    names = tuple(p.name for p in changed)
    diagnosis = Diagnosis("plateau", text, names, {"rounds": rounds, "trials": tried})
    yield Step(Move.NARROW, diagnosis, tuple(changed))


def too_slow(progress: Progress) -> Iterator[Step]:
    """The best model misses a limit of time: what makes trials long becomes smaller.

    Args:
        progress: The study.

    Yields:
        At most one step.
    """
    yield from _too_costly(progress, "too_slow")


def too_large(progress: Progress) -> Iterator[Step]:
    """The best model misses a limit of size or memory: what makes trials long becomes smaller.

    Args:
        progress: The study.

    Yields:
        At most one step.
    """
    yield from _too_costly(progress, "too_large")


def _too_costly(progress: Progress, code: str) -> Iterator[Step]:
    missed = [
        (o, s)
        for o in progress.objectives
        if _COSTS.get(o.metric, ("",))[0] == code
        and (s := progress.best_scores.get(o.metric)) is not None
        and not o.reached(s.estimate)
    ]
    if not missed:
        return
    objective, score = missed[0]
    changed, shares = [], {}
    for parameter, value in incumbent(progress):
        share = _drives_cost(progress, parameter)
        if abs(share) < COSTLY:
            continue
        new = moved(parameter, value, "low" if share > 0 else "high")
        if new is not None:
            changed.append(new)
            shares[parameter.name] = share
    text = _missed(objective, score)
    if not changed:
        text += "; no parameter is known to drive the cost, or none has room"
    names = tuple(p.name for p in changed)
    yield Step(Move.NARROW, Diagnosis(code, text, names, shares), tuple(changed))


def _missed(objective: Objective, score: Score) -> str:
    words = _COSTS[objective.metric][1]
    return f"the best model is {words}: {objective.metric} {score.estimate:.3g} for {objective}"


def _drives_cost(progress: Progress, parameter: Number) -> float:
    """Spearman's correlation of the position with a trial's seconds; 0 where it is not known."""
    pairs = [
        (position(parameter, o.config.get(parameter.name)), o.seconds)
        for o in progress.done
        if o.seconds > 0
    ]
    known = np.array([pair for pair in pairs if not math.isnan(pair[0])], float)
    if len(known) < FEWEST_FOR_COST:
        return 0.0
    place, seconds = known.T
    if np.ptp(place) == 0 or np.ptp(seconds) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(place), _ranks(seconds))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)

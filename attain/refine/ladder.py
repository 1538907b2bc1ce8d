"""The cheapest adequate rung first: a dearer one is opened only when needed and paid for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attain.core.space import Ordinal, Scalar
from attain.core.types import Diagnosis, Move, Objective, Role
from attain.refine.progress import Progress, Rung, Step
from attain.refine.standing import certain, met, standing

CODE = "ladder"


def ladder(progress: Progress) -> Iterator[Step]:
    """The next rung is opened while a goal is open and the budget pays for one trial of it.

    Only goals count: a model that is too slow or too large is not mended by a dearer one.

    Args:
        progress: The study, with what is known of the rungs.

    Yields:
        At most one step per ladder; without a change when the next rung is not needed, cannot be
        used, or costs more than is left.
    """
    for parameter in progress.space.ladders:
        if not parameter.reserve or not progress.done:
            continue
        if not _open_goals(progress):
            text = "; ".join(spared(progress))
            if text:
                yield Step(Move.CLIMB, Diagnosis(CODE, text))
            continue
        yield _next(progress, parameter)


def spared(progress: Progress) -> list[str]:
    """What need not be opened, for the user: one clause per ladder, none if targets are missed.

    Args:
        progress: The study.

    Returns:
        Such as ``met at rung frozen; higher rungs (lora, full) were not needed``.
    """
    if not met(progress):
        return []
    found = []
    for parameter in progress.space.ladders:
        rung = progress.best_point.get(parameter.name)
        if parameter.reserve and rung is not None:
            rest = ", ".join(map(str, parameter.reserve))
            found.append(f"met at rung {rung}; higher rungs ({rest}) were not needed")
    return found


def _open_goals(progress: Progress) -> list[Objective]:
    """Goals without a target, and those whose interval does not clear it."""
    goals = [o for o in progress.objectives if o.role is Role.GOAL]
    return [o for o in goals if not certain(o, progress.best_scores.get(o.metric))]


def _next(progress: Progress, parameter: Ordinal) -> Step:
    known = progress.rungs.get(parameter.name, {})
    refused = []
    for choice in parameter.reserve:
        rung = known.get(choice, Rung())
        if not rung.refused:
            return _offered(progress, parameter, choice, rung)
        refused.append(f"{choice} cannot be used here: {rung.refused}")
    text = f"{_why(progress, parameter)}, but {'; '.join(refused)}"
    return Step(Move.CLIMB, Diagnosis(CODE, text))


def _offered(progress: Progress, parameter: Ordinal, choice: Scalar, rung: Rung) -> Step:
    """The rung opened, or what is missing to pay for it."""
    why, left = _why(progress, parameter), progress.seconds_free
    cost = str(rung.forecast) if rung.forecast else str(choice)
    evidence = _evidence(rung, left)
    if progress.trials_left < 1 or (rung.seconds or 0.0) > left or left <= 0:
        text = f"{why}; the next rung is not opened ({cost}), for {_lacking(progress, rung)}"
        return Step(Move.CLIMB, Diagnosis(CODE, text, (), evidence))
    order = tuple(progress.rungs.get(parameter.name, ()))
    text = f"{why}; the next rung is opened ({cost})"
    return Step(
        Move.CLIMB,
        Diagnosis(CODE, text, (parameter.name,), evidence),
        (parameter.opened(choice, order),),
        predicted=_last_gain(progress, parameter),
    )


def _why(progress: Progress, parameter: Ordinal) -> str:
    rung = progress.best_point.get(parameter.name)
    at = f"at rung {rung}" if rung is not None else "so far"
    goals = _open_goals(progress)
    missed = [o.metric for o in goals if o.target is not None]
    if missed:
        return f"{' and '.join(missed)} not reached with confidence {at} ({standing(progress)})"
    names = " and ".join(o.metric for o in goals)
    verb = "has" if len(goals) == 1 else "have"
    return f"{names} {verb} no target, and this is where {at} it stands: {standing(progress)}"


def _lacking(progress: Progress, rung: Rung) -> str:
    needed, left = rung.seconds or 0.0, max(progress.seconds_free, 0.0)
    if progress.trials_left < 1 and needed <= left:
        return "no trials are left"
    minutes = math.ceil((needed - left) / 6) / 10
    return (
        f"a trial of it and its confirmation take about {needed:.0f} s and {left:.0f} s are left: "
        f"{minutes:g} more minutes would pay for it"
    )


def _evidence(rung: Rung, left: float) -> dict[str, float]:
    known = (
        {}
        if rung.forecast is None
        else {
            "trainable": rung.forecast.trainable,
            "fit_seconds": rung.forecast.seconds,
            "bytes": rung.forecast.bytes,
        }
    )
    price = {"seconds": rung.seconds} if rung.seconds is not None else {}
    return {**known, **price, **({"left": left} if math.isfinite(left) else {})}


def _last_gain(progress: Progress, parameter: Ordinal) -> float | None:
    """What the step to the highest open rung brought: a guess at what the next one will."""
    best: dict[Scalar, float] = {}
    for observed in reversed(progress.done):
        rung = observed.config.get(parameter.name)
        if rung is not None and observed.loss is not None:
            best[rung] = observed.loss
    known = [best[c] for c in parameter.choices if c in best]
    return max(0.0, known[-2] - known[-1]) if len(known) > 1 else None

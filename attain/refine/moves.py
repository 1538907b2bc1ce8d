"""Diagnosis -> move: what can be wrong with a search, and how its space changes.

Each rule is a row of `RULES`: a stable code (explained in ``docs/diagnoses.md``), where the rule
comes from, and a function from the progress to steps. Rules never see each other; the first that
changes a parameter keeps it. A rule that has nothing to change still says what it saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attain.core.errors import SpaceError
from attain.core.space import Parameter
from attain.core.types import Diagnosis, Move
from attain.refine.costs import diverging, plateau, too_large, too_slow
from attain.refine.failures import many_failures
from attain.refine.ladder import ladder
from attain.refine.places import OUTER, incumbent, moved
from attain.refine.places import places as places_of
from attain.refine.progress import Progress, Step
from attain.refine.ranges import (
    Number,
    Side,
    fits,
    in_words,
    narrowed,
    position,
    widened,
)

EDGE = 0.05  # the best value is "at an edge" within this share of the range
TOP = 0.2  # share of the finished trials that count as top, at least three
FEWEST_FOR_EDGE = 8
FEWEST_FOR_IMPORTANCE = 30
UNIMPORTANT = 0.01  # share of what separates good trials
FEWEST_FOR_BASIN = 30
BASIN = 0.35  # the top trials' central 90 % must fit into this share of the range
EXPLORED = 0.6  # and all trials' central 90 % must cover this share


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes:
        code: Stable; has a section in ``docs/diagnoses.md``.
        source: Where the rule comes from.
        find: From the progress to steps.
    """

    code: str
    source: str
    find: Callable[[Progress], Iterator[Step]]


def overfit(progress: Progress) -> Iterator[Step]:
    """More regularisation, no more capacity than the best trial has.

    Args:
        progress: The study, with a diagnosis ``overfit`` from validation.

    Yields:
        At most one step, with all parameters concerned.
    """
    yield from _shifted(progress, "overfit", more="regularisation", less="capacity")


def underfit(progress: Progress) -> Iterator[Step]:
    """More capacity, less regularisation.

    Args:
        progress: The study, with a diagnosis ``underfit`` from validation.

    Yields:
        At most one step, with all parameters concerned.
    """
    yield from _shifted(progress, "underfit", more="capacity", less="regularisation")


def edge_of_range(progress: Progress) -> Iterator[Step]:
    """The best values crowd at an end of a range: there may be better ones beyond.

    Args:
        progress: The study.

    Yields:
        One step per such parameter.
    """
    known = sum(progress.importance.values()) > 0
    for parameter, value in incumbent(progress):
        where = position(parameter, value)
        side = _side(where)
        share = progress.importance.get(parameter.name, 0.0)
        if side is None or (known and share < UNIMPORTANT):
            continue
        places, count = _top_places(progress, parameter)
        if count < FEWEST_FOR_EDGE:
            continue
        near = np.mean(places <= OUTER if side == "low" else places >= 1 - OUTER)
        if near < 0.5:
            continue
        new = widened(parameter, side)
        end = parameter.low if side == "low" else parameter.high
        text = (
            f"{parameter.name} is best at {value:g}, at the {side} end {end:g} of its range, and "
            f"{near:.0%} of the top {len(places)} trials lie in that quarter"
        )
        if new is None:
            text += "; it stays" + (
                ", for its limits are reached" if parameter.limits else ", for it states no limits"
            )
        evidence = {"value": value, "position": where, "support": float(near), "trials": count}
        diagnosis = Diagnosis("edge_of_range", text, (parameter.name,), evidence)
        yield Step(Move.WIDEN, diagnosis, () if new is None else (new,))


def unimportant(progress: Progress) -> Iterator[Step]:
    """A parameter that makes no difference is held near the best value, to spare dimensions.

    Args:
        progress: The study, with importances.

    Yields:
        One step per such parameter.
    """
    if sum(progress.importance.values()) <= 0:
        return
    for parameter, value in incumbent(progress):
        share = progress.importance.get(parameter.name, 0.0)
        places = places_of(parameter, progress.done)
        if share >= UNIMPORTANT or len(places) < FEWEST_FOR_IMPORTANCE:
            continue
        if not _is_wide(places):
            continue
        where = position(parameter, value)
        new = narrowed(parameter, where - 0.125, where + 0.125, value)
        if new is None:
            continue
        text = (
            f"{parameter.name} explains {share:.1%} of what separates good trials, "
            f"over {len(places)} trials"
        )
        evidence = {"importance": share, "trials": len(places)}
        diagnosis = Diagnosis("unimportant", text, (parameter.name,), evidence)
        yield Step(Move.NARROW, diagnosis, (new,))


def clear_basin(progress: Progress) -> Iterator[Step]:
    """The top trials agree on a part of a range that was explored as a whole.

    Args:
        progress: The study.

    Yields:
        One step per such parameter.
    """
    for parameter, value in incumbent(progress):
        places = places_of(parameter, progress.done)
        if len(places) < FEWEST_FOR_BASIN or not _is_wide(places):
            continue
        top, _ = _top_places(progress, parameter)
        low, high = np.quantile(top, [0.05, 0.95])
        if high - low > BASIN:
            continue
        new = narrowed(parameter, low - 0.1, high + 0.1, value)
        if new is None:
            continue
        text = (
            f"the top {len(top)} of {len(places)} trials hold {parameter.name} within "
            f"{high - low:.0%} of its range"
        )
        evidence = {"low": float(low), "high": float(high), "trials": len(places)}
        diagnosis = Diagnosis("clear_basin", text, (parameter.name,), evidence)
        yield Step(Move.NARROW, diagnosis, (new,))


RULES: tuple[Rule, ...] = (
    Rule(
        "ladder",
        "cheapest adequate rung first: Howard & Ruder 2018, arXiv:1801.06146, gradual unfreezing; "
        "Peters, Ruder & Smith 2019, arXiv:1903.05987: features or fine-tuning",
        ladder,
    ),
    Rule(
        "diverging",
        "Godbole et al. 2023, Deep Learning Tuning Playbook: unstable at too high a learning rate",
        diverging,
    ),
    Rule(
        "many_failures",
        "unknown constraints: Gelbart, Snoek & Adams 2014, arXiv:1403.5607",
        many_failures,
    ),
    Rule(
        "too_slow",
        "Gardner et al. 2014, Bayesian optimization with inequality constraints, ICML",
        too_slow,
    ),
    Rule("too_large", "as too_slow: size and time are driven by the same parameters", too_large),
    Rule("overfit", "Goodfellow, Bengio & Courville 2016, Deep Learning, table 11.1", overfit),
    Rule("underfit", "Goodfellow, Bengio & Courville 2016, Deep Learning, table 11.1", underfit),
    Rule(
        "edge_of_range",
        "Godbole et al. 2023, Deep Learning Tuning Playbook, 'bad search space boundaries'; "
        "Shahriari et al. 2016, arXiv:1508.03666, unbounded Bayesian optimization",
        edge_of_range,
    ),
    Rule("unimportant", "Bergstra & Bengio 2012, JMLR 13: low effective dimension", unimportant),
    Rule(
        "clear_basin",
        "Eriksson et al. 2019, TuRBO, arXiv:1910.01739: search locally once a region is known",
        clear_basin,
    ),
    Rule(
        "plateau",
        "Eriksson et al. 2019, TuRBO, arXiv:1910.01739, section 2: halve after failures in a row",
        plateau,
    ),
)


def find(progress: Progress) -> tuple[Step, ...]:
    """Everything the rules see, each parameter changed at most once, all changes sound.

    Args:
        progress: The study.

    Returns:
        Steps in the order of the table. The space with all their changes is valid and still holds
        every value of the best point.
    """
    taken: set[str] = set()
    steps = []
    for rule in RULES:
        for step in rule.find(progress):
            kept = tuple(p for p in step.changed if p.name not in taken and _is_sound(progress, p))
            taken |= {p.name for p in kept}
            steps.append(replace(step, changed=kept))
    return tuple(steps)


def words(progress: Progress, steps: Sequence[Step]) -> tuple[str, ...]:
    """All changes, for the user.

    Args:
        progress: The study with the old space.
        steps: From `find`.

    Returns:
        Such as ``lightgbm.learning_rate: 0.01..0.3 -> 0.003..0.3``.
    """
    return tuple(in_words(progress.space[p.name], p) for step in steps for p in step.changed)


def _is_sound(progress: Progress, new: Parameter) -> bool:
    value = progress.best_point.get(new.name)
    if value is not None and not new.contains(value):
        return False
    if not fits(progress.space, new):
        return False
    try:
        progress.space.replacing(new)
    except SpaceError:
        return False
    return True


def _top_places(progress: Progress, parameter: Number) -> tuple[np.ndarray, int]:
    """Positions of the best trials in which the parameter was active, and how many there were."""
    places = places_of(parameter, progress.done)
    return places[: max(3, math.ceil(TOP * len(places)))], len(places)


def _side(where: float) -> Side | None:
    if where <= EDGE:
        return "low"
    return "high" if where >= 1 - EDGE else None


def _is_wide(places: np.ndarray) -> bool:
    """Whether the trials cover the present range, and the range has not been narrowed before.

    Positions beyond 0 and 1 are values of earlier, wider ranges.
    """
    inside = places[(places >= 0) & (places <= 1)]
    if len(inside) < len(places) / 2:
        return False
    low, high = np.quantile(inside, [0.05, 0.95])
    return bool(high - low >= EXPLORED and places.max() - places.min() < 1.5)


def _shifted(progress: Progress, code: str, *, more: str, less: str) -> Iterator[Step]:
    """Ranges with one effect move up, those with the opposite effect move down."""
    seen = next((d for d in progress.diagnoses if d.code == code), None)
    if seen is None:
        return
    changed = []
    helpless = _was_in_vain(progress, code)
    for parameter, value in () if helpless else incumbent(progress):
        if parameter.effect not in (more, less):
            continue
        new = moved(parameter, value, "high" if parameter.effect == more else "low")
        if new is not None:
            changed.append(new)
    # CLIMB: the next rung of capacity; ranges that hold an overfit back are narrower.
    kind = Move.CLIMB if code == "underfit" else Move.NARROW
    text = seen.explanation
    if helpless:
        text += "; the same move brought nothing last time, so it is not repeated"
    elif not changed:
        text += "; no parameter of the best model has room to counter it"
    names = tuple(p.name for p in changed)
    yield Step(kind, Diagnosis(code, text, names, dict(seen.evidence)), tuple(changed))


def _was_in_vain(progress: Progress, code: str) -> bool:
    """Whether the previous decision made this move, and the best loss did not fall by more than
    the noise since."""
    if progress.previous is None or progress.best_loss is None:
        return False
    decision, before = progress.previous
    moved = any(d.code == code and d.parameters for d in decision.diagnoses)
    return moved and before is not None and before - progress.best_loss <= progress.noise

"""Where trials fail: the region to leave out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attain.core.space import Categorical, Float, Int, Parameter
from attain.core.types import Diagnosis, Move
from attain.refine.progress import Progress, Step
from attain.refine.ranges import Number, Side, fits, narrowed, position, without

FEWEST_FAILURES = 4
FAILING = 0.8  # share of failures that makes a region bad


def many_failures(progress: Progress) -> Iterator[Step]:
    """A region in which most trials fail is left out.

    Args:
        progress: The study.

    Yields:
        At most one step, for the parameter that explains most failures.
    """
    failed, done = progress.failed, progress.done
    if len(failed) < FEWEST_FAILURES or not done:
        return
    found = [step for p in progress.space for step in _failing_region(progress, p)]
    if found:
        yield max(found, key=lambda step: (bool(step.changed), step.diagnosis.evidence["failed"]))


def _failing_region(progress: Progress, parameter: Parameter) -> Iterator[Step]:
    if isinstance(parameter, Categorical):
        yield from _failing_choices(progress, parameter)
    elif isinstance(parameter, Float | Int) and parameter.name in progress.best_point:
        yield from _failing_end(progress, parameter, "high")
        yield from _failing_end(progress, parameter, "low")


def _failing_choices(progress: Progress, parameter: Categorical) -> Iterator[Step]:
    """Choices with which every trial failed."""
    name = parameter.name
    good = {o.config.get(name) for o in progress.done} | {progress.best_point.get(name)}
    bad = [o.config.get(name) for o in progress.failed]
    drop = tuple(c for c in parameter.choices if c not in good and bad.count(c) >= FEWEST_FAILURES)
    if not drop:
        return
    count = sum(bad.count(c) for c in drop)
    shown = ", ".join(map(str, drop))
    text = f"all {count} trials with {name} = {shown} failed: {_message(progress)}"
    evidence = {"failed": count, "succeeded": 0}
    new = without(parameter, drop)
    if new is not None and not fits(progress.space, new):
        new, text = None, text + "; it stays, because other parameters depend on it"
    diagnosis = Diagnosis("many_failures", text, (name,), evidence)
    yield Step(Move.NARROW, diagnosis, () if new is None else (new,))


def _failing_end(progress: Progress, parameter: Number, side: Side) -> Iterator[Step]:
    """The end of a range in which at least four trials out of five failed."""
    pairs = [(position(parameter, o.config.get(parameter.name)), 1) for o in progress.failed]
    pairs += [(position(parameter, o.config.get(parameter.name)), 0) for o in progress.done]
    inside = [pair for pair in pairs if 0 <= pair[0] <= 1]
    # from the far end inwards
    inside.sort(key=lambda pair: pair[0], reverse=side == "high")
    fails = np.cumsum([bad for _, bad in inside])
    counts = np.arange(1, len(inside) + 1)
    worth = fails - FAILING / (1 - FAILING) * (counts - fails)
    worth[fails < FEWEST_FAILURES] = -np.inf
    if not len(inside) or worth.max() < 0:
        return
    last = int(np.argmax(worth))
    rest = len(inside) - last - 1
    if not rest or (fails[-1] - fails[last]) / rest > FAILING / 2:
        return  # failures are everywhere; this parameter does not explain them
    border = (inside[last][0] + inside[last + 1][0]) / 2
    low, high = (0.0, border) if side == "high" else (border, 1.0)
    value = progress.best_point[parameter.name]
    new = narrowed(parameter, low, high, value)
    if new is None:
        return
    text = (
        f"{fails[last]} of {counts[last]} trials at the {side} end of {parameter.name} failed, "
        f"and {fails[-1] - fails[last]} of {rest} elsewhere: {_message(progress)}"
    )
    evidence = {"failed": int(fails[last]), "succeeded": int(counts[last] - fails[last])}
    diagnosis = Diagnosis("many_failures", text, (parameter.name,), evidence)
    yield Step(Move.NARROW, diagnosis, (new,))


def _message(progress: Progress) -> str:
    """How the failures ended, most frequent first."""
    statuses = [o.status for o in progress.failed]
    order = sorted(set(statuses), key=lambda s: (-statuses.count(s), s))
    return ", ".join(f"{statuses.count(s)} {s}" for s in order)

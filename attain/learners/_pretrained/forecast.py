"""What rungs cost, found out on a few rows: what all modalities have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.space import Ordinal, Space, possible
from attain.core.types import RungForecast
from attain.learners._pretrained.heads import DEFAULT_POINT, Dense
from attain.learners._pretrained.lesson import Lesson, quiet
from attain.learners._pretrained.linear import walk
from attain.learners._pretrained.outputs import Outputs, find_outputs

if TYPE_CHECKING:
    from attain.learners._pretrained.headed import Headed, HeadWork
    from attain.learners._pretrained.load import Body
    from attain.learners._torch.recipe import Recipe

Measure = Callable[[], RungForecast]
"""What says what one rung costs."""
SAMPLE = 512
"""Rows on which the cheap rungs are timed."""
_LABELS = 20


@dataclass(frozen=True, eq=False)
class Asked:
    """What a forecast is about.

    Attributes:
        own: The learner's space for the rows.
        stated: The same as the user has narrowed it; None for all of it.
    """

    own: Space
    stated: Space | None = None

    @property
    def space(self) -> Space:
        """All rungs, with what the user says of their parameters."""
        if self.stated is None:
            return self.own
        said = {p.name: p for p in self.stated if p not in self.stated.ladders}
        return Space(tuple(replace(said.get(p.name, p), when=p.when) for p in self.own))

    def wants(self, rung: str) -> bool:
        """Whether the user has not left out a rung."""
        ladders = () if self.stated is None else self.stated.ladders
        return not ladders or any(possible(p, rung) for p in ladders)

    def measured(self, rungs: Mapping[str, Measure]) -> tuple[RungForecast, ...]:
        """Those that are wanted; one that does not fit into memory is not usable and says so.

        Args:
            rungs: How each is measured, from cheap to dear.

        Returns:
            In this order.
        """
        return tuple(_guarded(name, make) for name, make in rungs.items() if self.wants(name))


@dataclass(frozen=True, eq=False)
class Case:
    """What is forecast."""

    space: Space
    data: FitData
    lesson: Lesson

    @property
    def rows(self) -> int:
        return len(self.lesson.targets)

    def config(self, rung: str) -> dict[str, Any]:
        """The defaults of a rung, also of one that is still held back."""
        return rung_defaults(self.space, rung)

    def sample(self, count: int) -> np.ndarray:
        """Positions of some training rows, rising."""
        if self.rows <= count:
            return np.arange(self.rows)
        drawn = np.random.default_rng(self.data.seed).choice(self.rows, count, replace=False)
        return np.sort(drawn)


@dataclass(frozen=True)
class Costs:
    """Seconds beside the steps of a fit.

    Attributes:
        look: One look at the rows to stop on.
        start: What comes before the first step.
        once: What only the first fit of a study does.
    """

    look: float
    start: float
    once: float = 0.0


def rung_defaults(space: Space, rung: str) -> dict[str, Any]:
    """The defaults of a rung, also of one that is still held back."""
    opened = [p.opened(rung) if isinstance(p, Ordinal) and rung in p.reserve else p for p in space]
    ladder = any(p.name == "rung" for p in opened)
    return Space(tuple(opened)).defaults({"rung": rung} if ladder else {})


def _guarded(name: str, measure: Measure) -> RungForecast:
    try:
        return measure()
    except MemoryError as error:
        reason = f"it does not fit into memory: {error}"
        return RungForecast(name, 0, math.inf, 0, reason, usable=False)


def tuned(
    case: Case,
    rung: str,
    net: Headed,
    work: HeadWork,
    told: Recipe,
    body: Body,
    apart: Costs,
) -> RungForecast:
    """A step on the longest batch and an ordinary one, taken back afterwards.

    Args:
        case: What is forecast.
        rung: Name of the rung.
        net: Body and head, ready to be tuned.
        work: Rows and loss.
        told: How.
        body: Restored afterwards.
        apart: What else takes time.

    Returns:
        Seconds and memory of a fit.
    """
    from attain.learners._pretrained.headed import groups
    from attain.learners._pretrained.tuning import EVALUATE
    from attain.learners._torch.batches import total_steps
    from attain.learners._torch.memory import probe

    try:
        found = probe(net, work, told, groups(net), threads=case.data.threads)
        trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    finally:
        body.restored()
    steps = total_steps(case.rows, told.batch, told.epochs)
    looks = apart.look * math.ceil(told.epochs / EVALUATE)
    seconds = steps * found.seconds + looks + apart.start + apart.once
    reason = f"{steps} steps of {found.seconds:.2g} s, measured"
    if found.micro < told.batch:
        reason += f"; {found.micro} of {told.batch} rows fit into memory at once"
    if apart.once:
        reason += f"; {apart.once:.1f} s of reading once for the whole study"
    return RungForecast(rung, trained, seconds, found.bytes + 4 * trained, reason)


def head_seconds(case: Case, width: int) -> float:
    """Time of the usual part of a path, on features that tell classes apart somewhat."""
    drawn = case.sample(SAMPLE)
    lesson = taken(case, drawn).lesson
    random = np.random.default_rng(case.data.seed)
    matrix = random.standard_normal((len(drawn), width))
    if lesson.outputs.seen:
        centers = random.standard_normal((lesson.outputs.count, width))
        several = bool(lesson.outputs.shares)
        matrix += lesson.targets @ centers if several else centers[lesson.targets]
    began = time.perf_counter()
    walk(Dense(matrix.astype(np.float32)), lesson.head(None), quiet, {"rounds": DEFAULT_POINT + 1})
    return (time.perf_counter() - began) * case.rows / len(drawn)


def taken(case: Case, index: np.ndarray) -> Case:
    """The same with some of the training rows only, and none to stop on."""
    inputs = tuple([column[i] for i in index] for column in case.lesson.inputs)
    y = np.asarray(case.data.train.y)[index]
    outputs = find_outputs(case.data.dataset, y)
    lesson = Lesson(outputs, inputs, outputs.targets(y), None, None, None)
    return Case(case.space, case.data, lesson)


def stop_share(case: Case) -> float:
    return 0.0 if case.lesson.stop_targets is None else len(case.lesson.stop_targets) / case.rows


def labels(data: FitData, outputs: Outputs) -> Mapping[str, str]:
    """Which class each score is of."""
    if not outputs.seen:
        return {}
    named = [f"{i} = {data.dataset.classes[code]}" for i, code in enumerate(outputs.seen)]
    more = f" and {len(named) - _LABELS} more" if len(named) > _LABELS else ""
    return {"labels": ", ".join(named[:_LABELS]) + more}


def label(case: Case, row: int) -> str:
    value = np.asarray(case.data.train.y)[row]
    if case.lesson.outputs.shares:
        return ", ".join(case.data.dataset.classes[k] for k in np.flatnonzero(value).tolist())
    return case.data.dataset.classes[int(value)] if case.lesson.outputs.seen else f"{value:g}"


def resident(more: int) -> int:
    """Memory of this process now, and more."""
    import psutil

    return int(psutil.Process().memory_info().rss) + more

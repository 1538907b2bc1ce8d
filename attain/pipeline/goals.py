"""What a function is asked for, and how what it returned is read.

A goal is ``minimize METRIC`` or ``maximize METRIC``, a limit is ``METRIC <= NUMBER`` or ``METRIC >=
NUMBER``. A result is one number, or a mapping from metrics to numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

from attain.core.errors import Problem, SpecError, did_you_mean

VERBS = {"minimize": 1, "minimise": 1, "min": 1, "maximize": -1, "maximise": -1, "max": -1}
_SIGNS = {"<=": 1, "<": 1, "≤": 1, ">=": -1, ">": -1, "≥": -1}
_GOAL = re.compile(r"^(?P<verb>\w+)\s+(?P<metric>[^\s<>=≤≥]+)$")
_LIMIT = re.compile(r"^(?P<metric>[^\s<>=≤≥]+)\s*(?P<sign><=|>=|<|>|≤|≥)\s*(?P<bound>\S+)$")
_EXAMPLE = 'write "minimize loss", "maximize accuracy" or "latency <= 5"'

Key = tuple[int, float, float]


@dataclass(frozen=True)
class Goal:
    """Something to make small or large.

    Attributes:
        metric: Its name in a result.
        sign: 1 to minimise, -1 to maximise; times the value it is a loss.
    """

    metric: str
    sign: int

    def __str__(self) -> str:
        return f"{'minimize' if self.sign > 0 else 'maximize'} {self.metric}"


@dataclass(frozen=True)
class Limit:
    """Something that must stay on one side of a bound.

    Attributes:
        metric: Its name in a result.
        sign: 1 when the bound is the largest permitted value, -1 when it is the smallest.
        bound: In the metric's unit.
    """

    metric: str
    sign: int
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.sign > 0 else '>='} {self.bound:g}"

    def excess(self, value: float) -> float:
        """By how much a value breaks the limit; at most 0 where it holds."""
        return self.sign * (value - self.bound)


@dataclass(frozen=True)
class Judged:
    """A result as a strategy sees it.

    Attributes:
        loss: The goal's value, its sign such that less is better; None with several goals.
        goals: The same for each of several goals; empty with one.
        excess: By how much each limit is exceeded.
    """

    loss: float | None
    goals: tuple[float, ...]
    excess: tuple[float, ...]


@dataclass(frozen=True)
class Goals:
    """Everything that is asked for.

    Attributes:
        goals: At least one.
        limits: Any number.
    """

    goals: tuple[Goal, ...]
    limits: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.statements)

    @property
    def statements(self) -> tuple[str, ...]:
        """Goals and limits in the words that `read_goals` takes."""
        return (*map(str, self.goals), *map(str, self.limits))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names that every result must have, each once."""
        names = [goal.metric for goal in self.goals] + [limit.metric for limit in self.limits]
        return tuple(dict.fromkeys(names))

    @property
    def several(self) -> bool:
        """Whether there is more than one goal."""
        return len(self.goals) > 1

    def judge(self, metrics: Mapping[str, float]) -> Judged:
        """Losses and excesses of a result whose needed metrics are finite."""
        losses = tuple(goal.sign * metrics[goal.metric] for goal in self.goals)
        excess = tuple(limit.excess(metrics[limit.metric]) for limit in self.limits)
        if self.several:
            return Judged(None, losses, excess)
        return Judged(losses[0], (), excess)

    def key(self, loss: float, excess: Sequence[float]) -> Key:
        """What trials are ordered by, best first: limits kept, then the loss.

        Args:
            loss: Of the trial.
            excess: By how much it exceeds each limit.

        Returns:
            Number of broken limits, the sum of their excesses relative to the bounds, the loss.
        """
        broken = [(e, limit) for e, limit in zip(excess, self.limits, strict=True) if e > 0]
        return len(broken), sum(e / (abs(limit.bound) or 1.0) for e, limit in broken), loss

    def read(self, told: Any, place: str) -> tuple[dict[str, float], str]:
        """A result as metrics, and why the trial failed if it did.

        Args:
            told: A number, or a mapping from metric to number; other metrics are kept as well.
            place: Of the result, for messages.

        Returns:
            The metrics, and an empty message; or what could be read, and a message when a needed
            metric is NaN or infinite.

        Raises:
            SpecError: When it is neither, or a needed metric is missing; names every problem.
        """
        items = self._items(told, place)
        problems = list(self._missing(items, place))
        metrics = {}
        for name, value in items.items():
            number = _number(value)
            if number is None:
                problems.append(_no_number(value, f"{place}.{name}" if len(items) > 1 else place))
            else:
                metrics[name] = number
        if problems:
            raise SpecError(problems)
        strange = [name for name in self.metrics if not math.isfinite(metrics[name])]
        return metrics, ", ".join(f"{name} is {metrics[name]}" for name in strange)

    def _items(self, told: Any, place: str) -> Mapping[str, Any]:
        if isinstance(told, Mapping):
            return {str(name): value for name, value in told.items()}
        if len(self.metrics) == 1:
            return {self.metrics[0]: told}
        names = ", ".join(f"{name!r}: ..." for name in self.metrics)
        rule = f"a result must name the metrics of: {self}"
        raise SpecError(Problem(rule, _shown(told), place, f"give {{{names}}}"))

    def _missing(self, items: Mapping[str, Any], place: str) -> Iterable[Problem]:
        for name in self.metrics:
            if name not in items:
                rule = f"a result must have the metric {name!r}"
                got = ", ".join(map(repr, items)) or "an empty mapping"
                yield Problem(rule, got, place, f"it is part of: {self}")


def read_goals(statements: Any) -> Goals:
    """What a user states, as goals and limits.

    Args:
        statements: One statement, or a sequence of them.

    Returns:
        At least one goal.

    Raises:
        SpecError: Names every problem.
    """
    if isinstance(statements, Goals):
        return statements
    if isinstance(statements, str):
        statements = [part for part in re.split(r"[,;]", statements) if part.strip()]
    if not isinstance(statements, Iterable) or isinstance(statements, Mapping):
        rule = "goals must be a statement or a list of statements"
        raise SpecError(Problem(rule, repr(statements), "goals", _EXAMPLE))
    goals: list[Goal] = []
    limits: list[Limit] = []
    problems: list[Problem] = []
    for number, text in enumerate(statements, start=1):
        part = _statement(text, f"goals[{number}]")
        if isinstance(part, Problem):
            problems.append(part)
        elif isinstance(part, Goal):
            goals.append(part)
        else:
            limits.append(part)
    problems += _set_problems(goals, limits, bool(problems))
    if problems:
        raise SpecError(problems)
    return Goals(tuple(goals), tuple(limits))


def _statement(text: Any, place: str) -> Goal | Limit | Problem:
    if not isinstance(text, str):
        return Problem("a goal must be text", repr(text), place, _EXAMPLE)
    if match := _LIMIT.match(text.strip()):
        bound = _bound(match["bound"])
        if bound is None:
            return Problem("a limit must be a finite number", match["bound"], place, _EXAMPLE)
        return Limit(match["metric"], _SIGNS[match["sign"]], bound)
    match = _GOAL.match(text.strip())
    if match is None:
        return Problem("a goal must be a verb and a metric", repr(text), place, _EXAMPLE)
    if match["verb"].lower() not in VERBS:
        remedy = did_you_mean(match["verb"].lower(), ["minimize", "maximize"])
        return Problem("a goal must begin with minimize or maximize", text, place, remedy)
    return Goal(match["metric"], VERBS[match["verb"].lower()])


def _bound(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _set_problems(goals: list[Goal], limits: list[Limit], broken: bool) -> Iterable[Problem]:
    if not goals and not broken:
        yield Problem("at least one goal is needed", "none", "goals", _EXAMPLE)
    names = [goal.metric for goal in goals]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield Problem("a metric can be one goal only", name, "goals", "leave one of the two out")
    for limit in sorted({str(x) for x in limits if limits.count(x) > 1}):
        yield Problem("a limit is stated once", limit, "goals", "leave one of the two out")


def _number(value: Any) -> float | None:
    """A real number, also a NumPy one or an array of no dimensions; None for anything else."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest float
        return math.inf


def plain(value: Any) -> Any:
    """Python's own form of a NumPy scalar or an array of no dimensions; all else as it is."""
    scalar = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if scalar else value


def _no_number(value: Any, place: str) -> Problem:
    remedies: dict[type, str] = {
        type(None): "return the loss; did the function forget to?",
        str: "give float(...) of it",
        bool: "give a loss; 0 or 1 would be int(...) of it",
        complex: "give its absolute value, or whichever part is the loss",
    }
    fits = [remedy for kind, remedy in remedies.items() if isinstance(plain(value), kind)]
    remedy = fits[0] if fits else "give one float"
    return Problem("a result must be a real number", _shown(value), place, remedy)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def read_noise(noise: Any, goals: Goals) -> float | None:
    """The standard error of a loss.

    Args:
        noise: A number, or None when it is not known.
        goals: What is asked for.

    Returns:
        The same as a float.

    Raises:
        SpecError: When it is negative, not finite, or there are several goals.
    """
    if noise is None:
        return None
    number = _number(noise)
    if goals.several:
        rule = "a standard error belongs to one goal, and here there are several"
        raise SpecError(Problem(rule, _shown(noise), "noise", "leave it out"))
    if number is None or not math.isfinite(number) or number < 0:
        rule = "a standard error must be a finite number, at least 0"
        raise SpecError(Problem(rule, _shown(noise), "noise", "leave it out if it is unknown"))
    return number


def read_seconds(seconds: Any) -> float:
    """The cost of a trial.

    Args:
        seconds: A number.

    Returns:
        The same as a float.

    Raises:
        SpecError: When it is negative or not finite.
    """
    number = _number(seconds)
    if number is None or not math.isfinite(number) or number < 0:
        rule = "seconds must be a finite number, at least 0"
        raise SpecError(Problem(rule, _shown(seconds), "seconds", "leave them out if unknown"))
    return number

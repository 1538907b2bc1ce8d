"""A search over any function (`attain.minimize`, `attain.Optimizer`), as the pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attain.core.codec import decode
from attain.core.space import Space
from attain.core.types import Direction, Objective, Record, Role
from attain.pipeline.goals import read_goals
from attain.pipeline.tally import FunctionTrial, Tally
from attain.report import numbers
from attain.report.book import plain
from attain.report.numbers import finite

KINDS = frozenset({"asked", "told", "lost", "added"})  # one for every trial
NO_ROWS = "A function's results are not measured on rows, so there is nothing to test in pairs."


class FunctionSearch:
    """What is known of a search that has no data, kept up to date record by record.

    Args:
        began: Payload of the ``optimizer`` record.

    Attributes:
        tally: The trials, as the optimizer itself keeps them.
        name: Of the function, empty until `minimize` was called.
        space: As recorded, after extensions.
    """

    def __init__(self, began: Mapping[str, Any]) -> None:
        self.goals = read_goals(list(began["goals"]))
        self.tally = Tally(self.goals)
        self.name = ""
        self.space: Mapping[str, Any] = began["space"]

    @property
    def title(self) -> str:
        """What is asked of which function."""
        return f"{self.goals}{f' of {self.name}' if self.name else ''}"

    @property
    def parameters(self) -> list[str]:
        """The space in words, one line for each parameter."""
        return [str(plain(str(p))) for p in decode(Space, self.space).parameters]

    def objectives(self) -> tuple[Objective, ...]:
        """Goals without a target, and limits as targets."""
        ways = {1: Direction.MINIMIZE, -1: Direction.MAXIMIZE}
        goals = [Objective(g.metric, ways[g.sign]) for g in self.goals.goals]
        return (
            *goals,
            *(
                Objective(limit.metric, ways[limit.sign], limit.bound, Role.CONSTRAINT)
                for limit in self.goals.limits
            ),
        )

    def apply(self, record: Record) -> FunctionTrial | None:
        """Take in a record.

        Args:
            record: Of any kind.

        Returns:
            The trial that it is about, if it is about one.
        """
        if record.kind == "began":
            self.name = str(record.payload["function"])
        elif record.kind == "extended":
            self.space = record.payload["space"]
        elif record.kind in KINDS:
            self.tally.apply(record.kind, record.payload)
            return self.tally.trials[record.payload["trial"]]
        return None


def values(
    trial: FunctionTrial,
) -> dict[str, tuple[float | None, float | None, float | None]]:
    """What a function returned, in its own signs; nobody knows an interval."""
    return {name: (finite(value), None, None) for name, value in trial.metrics.items()}


def differences(a: Any, b: Any) -> dict[str, Any]:
    """Two trials of a function side by side.

    Args:
        a: An entry of the index.
        b: Another.

    Returns:
        As `pair.compare`, results among the settings and no tests.
    """
    names = dict.fromkeys([*a.point, *b.point])
    shown = [(str(plain(str(n))), *(_setting(t.point, n) for t in (a, b))) for n in names]
    for metric in dict.fromkeys([*a.values, *b.values]):
        each = [numbers.number(t.values.get(metric, (None,))[0], digits=6) for t in (a, b)]
        shown.append((f"result: {numbers.words(metric)}", *each))
    return {
        "settings": [
            {"name": name, "a": left, "b": right, "differs": left != right}
            for name, left, right in shown
        ],
        "tests": [],
        "flips": [],
        "rows": 0,
        "note": NO_ROWS,
    }


def _setting(point: Mapping[str, Any], name: str) -> str:
    return str(plain(numbers.setting(point[name]))) if name in point else ""

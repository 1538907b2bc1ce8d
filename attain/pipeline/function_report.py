"""The page about a search for the best configuration of a function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attain._version import __version__
from attain.core.codec import decode
from attain.core.files import write_atomic
from attain.core.space import Space
from attain.core.types import Record
from attain.pipeline.goals import Goals, read_goals
from attain.pipeline.tally import FunctionTrial, Tally

PAGE = "report.html"
GOES_ON = "the search has not ended"
_TOLD = ("id", "config", "reason", "predicted", "spread", "status", "excess", "seconds", "message")


@dataclass(frozen=True)
class Searched:
    """What is known of a search.

    Attributes:
        trials: In order of asking.
        best: Of the trials that ended well, if any did.
        front: Ids of those that no other one beats in every goal.
        goals: What was asked for.
        space: The space in force.
        strategy: Its name, and why it was chosen.
        reason: Why it ended, or that it goes on.
        target: Of the only goal, in its own sign; None for none.
        function: Its name; empty where it is not known.
    """

    trials: Sequence[FunctionTrial]
    best: FunctionTrial | None
    front: frozenset[str]
    goals: Goals
    space: Space
    strategy: tuple[str, str]
    reason: str = GOES_ON
    target: float | None = None
    function: str = ""

    @property
    def title(self) -> str:
        """What was searched for, in a line."""
        return f"{self.function}: {self.goals}" if self.function else str(self.goals)

    def losses(self) -> tuple[list[Mapping[str, Any]], list[float]]:
        """Configurations and losses of trials that ended well, and what pruned ones are worth.

        Of several goals compromises.
        """
        known = [(t.config, t.loss if t.done else t.expected) for t in self.trials]
        found = [(config, loss) for config, loss in known if loss is not None]
        return [config for config, _ in found], [loss for _, loss in found]


class Reporting(ABC):
    """What knows of a search, and can tell."""

    @abstractmethod
    def _searched(self) -> Searched:
        """What is known."""

    def importance(self) -> dict[str, float]:
        """Share of what sets the best trials apart that each parameter explains.

        Returns:
            Shares in [0, 1] that sum to 1, the largest first (PED-ANOVA, see `stats.importance`);
            empty below eight results.
        """
        from attain.report import function

        return function.importance(*self._searched().losses())

    def report(self, path: Path | str = PAGE) -> Path:
        """Write a page with what is known: pictures, trials, failures. It needs no network.

        Args:
            path: A file, or a folder that exists, which then gets ``report.html``.

        Returns:
            The file.

        Raises:
            EnvironmentProblem: When it cannot be written.
        """
        return write(path, evidence(self._searched()))


def evidence(found: Searched) -> dict[str, Any]:
    """What the page shows, as plain JSON values.

    Args:
        found: What is known.

    Returns:
        As `attain.report.function.collect` gives it.
    """
    from attain.report import function

    return function.collect(
        [_told(trial, found) for trial in found.trials],
        [{"metric": g.metric, "direction": str(g).split()[0]} for g in found.goals.goals],
        [str(limit) for limit in found.goals.limits],
        [
            {"name": p.name, "text": str(p), "scale": getattr(p, "scale", "")}
            for p in found.space.parameters
        ],
        title=found.title,
        reason=found.reason,
        strategy=found.strategy[0],
        why=found.strategy[1],
        best=None if found.best is None else found.best.id,
        target=found.target,
        version=__version__,
    )


def write(path: Path | str, told: Mapping[str, Any]) -> Path:
    """Write the page.

    Args:
        path: A file, or a folder that exists, which then gets ``report.html``.
        told: As `evidence` gives it.

    Returns:
        The file.

    Raises:
        EnvironmentProblem: When it cannot be written.
    """
    from attain.report import function

    place = Path(path)
    place = place / PAGE if place.is_dir() else place
    write_atomic(place, function.render(told))
    return place


def is_search(records: Sequence[Record]) -> bool:
    """Whether records are those of a search of a function, not of a study."""
    return bool(records) and records[0].kind == "optimizer"


def read(records: Iterable[Record]) -> Searched:
    """What is known of a search, from its records.

    Args:
        records: Of its ledger, the first of kind ``optimizer``.

    Returns:
        The same as the optimizer knows.
    """
    first, *later = records
    goals = read_goals(first.payload["goals"])
    tally, space = Tally(goals), decode(Space, first.payload["space"])
    strategy, reason, function = ("", ""), GOES_ON, ""
    for record in later:
        tally.apply(record.kind, record.payload)
        if record.kind == "chosen":
            strategy = record.payload["strategy"], record.payload["reason"]
        elif record.kind == "extended":
            space = decode(Space, record.payload["space"])
        elif record.kind == "began":
            function, reason = record.payload["function"], GOES_ON
        elif record.kind == "ended":
            reason = record.payload["reason"]
    best = tally.best()
    trials = tuple(tally.show(trial) for trial in tally.trials)
    lead = None if best is None else tally.show(best)
    front = frozenset(tally.front())
    return Searched(trials, lead, front, goals, space, strategy, reason, function=function)


def _told(trial: FunctionTrial, found: Searched) -> dict[str, Any]:
    told = {name: getattr(trial, name) for name in _TOLD}
    single = () if trial.loss is None else (trial.loss,)
    told["goals"] = (trial.goals if found.goals.several else single) if trial.done else ()
    told["expected"] = trial.expected
    told["metrics"] = dict(trial.metrics) if trial.done else {}
    pairs = zip(found.goals.goals, trial.curves or (trial.curve,), strict=False)
    told["curves"] = [[(step, goal.sign * loss) for step, loss in curve] for goal, curve in pairs]
    return {**told, "front": trial.id in found.front}

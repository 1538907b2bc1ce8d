"""The ladder of a study: what each rung costs, which may be opened, and which may be proposed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from attain.core.space import Config, Ordinal, Scalar, Space
from attain.core.types import Decision
from attain.pipeline.trials import Trials, best
from attain.refine.ladder import CODE
from attain.refine.progress import Rung


def learner_of(ladder: Ordinal) -> str:
    """The learner whose ladder a parameter of the search is: ``text`` for ``text.rung``."""
    return ladder.name.rpartition(".")[0]


def start(space: Space, ladder: Ordinal, rung: Scalar) -> dict[str, Scalar]:
    """A rung's own known-good default, as strategies propose it.

    Args:
        space: The space in force.
        ladder: One of its ladders.
        rung: One of its open choices.

    Returns:
        A point of the space.
    """
    parents = {condition.parent: condition.values[0] for condition in ladder.when}
    return space.defaults({**parents, ladder.name: rung})


def opened(decision: Decision) -> bool:
    """Whether a decision opened a rung."""
    return any(d.code == CODE and d.parameters for d in decision.diagnoses)


@dataclass(frozen=True)
class Climb:
    """What is known of the ladders while a search is under way.

    Attributes:
        trials: The study's trials.
        first: The space at the start: rungs that are not in it were climbed to.
        confirming: What confirming the finalists will cost, in trials.
    """

    trials: Trials
    first: Space
    confirming: int

    def rungs(self, space: Space) -> dict[str, dict[Scalar, Rung]]:
        """For each ladder, what is known of each of its choices, from cheap to dear.

        Args:
            space: The space in force.

        Returns:
            In the order of the forecast; without one, open choices before those held back.
        """
        return {ladder.name: dict(self._of(ladder)) for ladder in space.ladders}

    def _of(self, ladder: Ordinal) -> Iterator[tuple[Scalar, Rung]]:
        learner, every = learner_of(ladder), (*ladder.choices, *ladder.reserve)
        forecast = self.trials.forecasts.get(learner)
        order = [rung.name for rung in forecast.rungs] if forecast else []
        ranked = sorted(every, key=lambda c: order.index(str(c)) if str(c) in order else math.inf)
        for choice in ranked if all(str(c) in order for c in every) else every:
            found = self.trials.forecast(learner, choice)
            seconds = self.trials.seconds_of(learner, choice)
            price = None if seconds is None else self._price(seconds)
            yield choice, Rung(price, found, self._refused(learner, choice))

    def _price(self, fit: float) -> float:
        """Wall time of one trial whose fits take so long, and of confirming the finalists.

        These are then on this rung, or still where the leader stands, whichever takes longer.
        """
        leader = best(s for s in self.trials.scored.values() if s.search)
        confirmed = max(fit * self._fits, leader.seconds if leader else 0.0)
        return self.wall(fit) + self.confirming * confirmed / self.trials.workers

    def wall(self, fit: float) -> float:
        """Wall time of a trial whose fits take so many seconds each."""
        return fit * math.ceil(self._fits / self.trials.workers)

    @property
    def _fits(self) -> int:
        return next((t.split.jobs for t in self.trials.trials.values()), 1)

    def _refused(self, learner: str, choice: Scalar) -> str:
        """Why fits on a rung cannot end well here."""
        found, limits = self.trials.forecast(learner, choice), self.trials.limits
        if found is None:
            return ""
        if not found.usable:
            return found.reason or "its learner says so"
        if limits.bytes is not None and found.bytes > limits.bytes:
            have = f"{limits.bytes / 1e9:.2g} GB"
            return f"a fit takes {found.bytes / 1e9:.2g} GB, and {have} are allowed"
        if self.trials.firm and limits.seconds is not None and found.seconds > limits.seconds:
            return f"a fit takes {found.seconds:.0f} s, and trial_minutes allows {limits.seconds:g}"
        return ""

    def offered(self, space: Space, seconds_left: float) -> Space:
        """The space without rungs of which a trial now would be a waste.

        These are rungs of which no trial would end in time, and those that were just climbed to,
        until their defaults are known. The lowest rung is always offered.

        Args:
            space: The space in force.
            seconds_left: Until the search must end.

        Returns:
            The same object when nothing is held back.
        """
        changed = []
        for ladder in space.ladders:
            held = [c for c in ladder.choices[1:] if self._waits(space, ladder, c, seconds_left)]
            if held:
                left = tuple(c for c in ladder.choices if c not in held)
                default = ladder.default if ladder.default in left else left[0]
                closed = (*held, *ladder.reserve)
                changed.append(
                    replace(ladder, choices=left, reserve=closed, default=default, prior=None)
                )
        return replace(space.replacing(*changed), version=space.version) if changed else space

    def _waits(self, space: Space, ladder: Ordinal, rung: Scalar, seconds_left: float) -> bool:
        climbed = not any(p.contains(rung) for p in self.first.ladders if p.name == ladder.name)
        default = start(space, ladder, rung)
        if climbed and not self._asked(default):
            return False  # its price was weighed against the time left when it was opened
        if climbed and self._under_way(default):
            return True
        fit = self.trials.seconds_of(learner_of(ladder), rung)
        return fit is not None and self.wall(fit) > seconds_left

    def _asked(self, point: Config) -> bool:
        return any(dict(t.point) == dict(point) for t in self.trials.trials.values())

    def _under_way(self, point: Config) -> bool:
        return any(
            dict(t.point) == dict(point) and t.id not in self.trials.scored
            for t in self.trials.trials.values()
        )

    def kept(self, space: Space) -> int:
        """Trials that are kept for rungs which are still held back.

        While the default of an open rung is under way nothing is known of how far up the search
        must go, and what other workers try meanwhile, cheaply and lower down, would use up the
        trials that the way up takes: one a rung.

        Args:
            space: The space in force.

        Returns:
            0 as soon as all defaults are known: then it has been decided whether to climb.
        """
        if self.unknown(space) != "asked":
            return 0
        return sum(
            not self._refused(learner_of(ladder), rung)
            for ladder in space.ladders
            for rung in ladder.reserve
        )

    def unknown(self, space: Space) -> str:
        """Whether the defaults of all open rungs are known.

        Args:
            space: The space in force.

        Returns:
            ``asked`` while one is under way, ``waiting`` while one has not been asked for, else
            empty.
        """
        points = {tuple(sorted(t.point.items())): t.id for t in self.trials.trials.values()}
        found = ""
        for ladder in space.ladders:
            for rung in ladder.choices:
                known = points.get(tuple(sorted(start(space, ladder, rung).items())))
                if known is None:
                    found = found or "waiting"
                elif known not in self.trials.scored:
                    found = "asked"
        return found


def climbs(space: Space, point: Mapping[str, Scalar]) -> bool:
    """Whether a point stands on a ladder, as a baseline on the lowest rung does."""
    return any(ladder.name in point for ladder in space.ladders)

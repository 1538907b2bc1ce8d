"""What a history says to a model: arrays of the trials that say something about the space."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from attain.stats import pareto
from attain.stats.scalarise import chebyshev, drawn_weights
from attain.strategy._cache import Encoded, State
from attain.strategy._standing import table, total_excess, usable


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a history says about the present space.

    Attributes:
        rows: Points of finished trials, shape (k, d), NaN where inactive, in order of asking.
        losses: Their losses, shape (k,).
        errors: Standard errors of the losses, shape (k,), 0 where unknown.
        failed: Points of failed trials, shape (f, d).
        running: Points of trials under way, shape (r, d).
        goals: What to minimise where there are several goals, shape (k, g); g is 0 for one goal.
        excess: By how much each limit is exceeded, shape (k, l), NaN where unknown; l may be 0.
        seconds: How long each trial took, shape (k,), 0 where unknown.
        weights: Of the goals that the losses are made of, shape (g,); empty where they are not.
        pruned: How many of the losses are guesses: of trials that ended on their way.
        whole: Whether rows hold all parameters that a trial had.
    """

    rows: np.ndarray
    losses: np.ndarray
    errors: np.ndarray
    failed: np.ndarray
    running: np.ndarray
    goals: np.ndarray
    excess: np.ndarray
    seconds: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))
    pruned: int = 0
    whole: bool = True

    @cached_property
    def standing(self) -> np.ndarray:
        """What the trials are sorted by, the best first; shape (k,).

        The loss, or the number of the front where there are several goals; behind all trials that
        keep the limits those that break some, by how much.
        """
        value = pareto.ranks(self.goals).astype(float) if self.goals.shape[1] else self.losses
        if not self.excess.shape[1]:
            return value
        total = total_excess(self.excess, unknown=0.0)  # what is not known is predicted
        if not (total > 0).any():
            return value
        place = np.empty(len(value))
        place[np.lexsort((value, total))] = np.arange(len(value))
        return place

    def of(self, columns: list[int]) -> Evidence:
        """The same of some parameters alone, the others being chance.

        Args:
            columns: Their columns.

        Returns:
            Evidence whose rows have only these.
        """
        rows, failed, running = (
            part[:, columns] for part in (self.rows, self.failed, self.running)
        )
        return replace(self, rows=rows, failed=failed, running=running, whole=False)

    def scalarised(self, seed: int) -> Evidence:
        """The same with one goal: all of them weighted at random.

        Args:
            seed: Of the weights.

        Returns:
            Evidence whose losses are augmented Chebyshev distances.
        """
        weights = drawn_weights(self.goals.shape[1], seed)
        losses = chebyshev(self.goals, weights)
        none = np.empty((len(losses), 0))
        errors = np.zeros(len(losses))
        return replace(self, losses=losses, errors=errors, goals=none, weights=weights)


def read(told: Encoded, most: int) -> Evidence:
    """What a history says about its space.

    Args:
        told: All trials.
        most: Failed trials to keep at most.

    Returns:
        The evidence; trials that say nothing about this space are left out, and so are those whose
        goals are not as many as those of the latest trial, or not finite.
    """
    done = told.at(State.DONE)
    trials = [told.history[i] for i in done] if told.more[done].any() else []
    goals = table(trials, lambda o: o.goals)
    if goals.shape[1] == 1:
        goals = goals[:, :0]
    excess = table(trials, lambda o: o.excess)
    if not trials:
        goals = excess = np.empty((len(done), 0))
    fine = usable(goals)
    done, goals = done[fine], goals[fine]
    return Evidence(
        told.rows[done],
        told.losses[done],
        told.errors[done],
        told.rows[told.at(State.FAILED)[-most:]],
        told.rows[told.at(State.RUNNING)],
        goals,
        excess[fine],
        told.seconds[done],
        pruned=int(told.pruned[done].sum()),
    )


def active_set(standing: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most so many trials: the best, the latest, a spread of the others.

    Args:
        standing: What they are sorted by, in order of asking, shape (n,).
        most: How many at most.

    Returns:
        Increasing positions.
    """
    if len(standing) <= most:
        return np.arange(len(standing))
    order = np.argsort(standing, kind="stable")
    left = np.ones(len(order), dtype=bool)
    left[order[: most // 2]] = False
    latest = np.flatnonzero(left)[-(most // 4) :]
    left[latest] = False
    others = order[left[order]]
    places = np.linspace(0, len(others) - 1, most - most // 2 - len(latest)).round().astype(int)
    left[:] = ~left
    left[others[places]] = True
    return np.flatnonzero(left)


def scheduled(finished: int) -> int:
    """How many of the finished trials hyperparameters are fitted to.

    Args:
        finished: At least 1.

    Returns:
        Every number up to 20; then steps of about a twelfth, since more trials of the same space
        change the hyperparameters ever less.
    """
    number = min(finished, 20)
    while (larger := number + max(1, number // 12)) <= finished and number >= 20:
        number = larger
    return number

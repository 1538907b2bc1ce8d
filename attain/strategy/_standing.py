"""Finished trials from the best to the worst, with one goal or several, and with limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from attain.core.types import Observed
from attain.stats import pareto
from attain.strategy._cache import HUGE, Encoded, State

_EXACT = 60  # points of one front among which volumes decide; beyond, crowding does


@dataclass(frozen=True, eq=False)
class Standing:
    """What finished trials are compared by.

    Attributes:
        places: Positions in the history, shape (k,).
        goals: What to minimise, shape (k, g); the loss alone when there is one goal.
        excess: How far limits are exceeded together, shape (k,); 0 where all hold.
    """

    places: np.ndarray
    goals: np.ndarray
    excess: np.ndarray

    @property
    def several(self) -> bool:
        """Whether there is more than one goal."""
        return self.goals.shape[1] > 1

    def best_first(self, most: int) -> np.ndarray:
        """Which trials come first: those within the limits, then the least excess.

        Within the limits, one goal is simply sorted. Several goals are sorted into fronts (Deb et
        al. 2002, section VI: constraint-dominance); of the front that does not fit completely,
        those that together dominate the largest volume come first (Ozaki et al. 2022, MOTPE,
        JAIR 73, section 4), or the least crowded ones where the front is long.

        Args:
            most: How many must be in their right place; the others follow in any fixed order.

        Returns:
            Indices into `places`, shape (k,).
        """
        broken = self.excess > 0
        if self.goals.shape[1] == 1:
            return np.lexsort((self.goals[:, 0], self.excess))
        held = np.flatnonzero(~broken)
        order = np.argsort(self.excess[broken], kind="stable")
        return np.concatenate(
            [held[_by_fronts(self.goals[held], most)], np.flatnonzero(broken)[order]]
        )


def finished(past: Encoded, *, by_loss: bool = False) -> Standing:
    """The finished trials of a history.

    Args:
        past: The history.
        by_loss: Whether the loss decides even where there are several goals.

    Returns:
        What they are compared by; a trial whose goals are not like the latest one's, or not all
        finite, is left out.
    """
    places = past.at(State.DONE)
    if not past.more[places].any():
        return Standing(places, past.losses[places][:, None], np.zeros(len(places)))
    chosen = [past.history[i] for i in places]
    goals, excess = table(chosen, lambda o: o.goals), table(chosen, lambda o: o.excess)
    if by_loss or goals.shape[1] < 2:
        goals = past.losses[places][:, None]
    held = usable(goals)
    return Standing(places[held], goals[held], total_excess(excess, unknown=HUGE)[held])


def table(trials: Sequence[Observed], read: Callable[[Observed], tuple[float, ...]]) -> np.ndarray:
    """One row per trial, as wide as the latest one has numbers.

    Args:
        trials: In order of asking.
        read: Takes the numbers from a trial.

    Returns:
        Shape (k, w), cut to +-`HUGE`, which also stands for a NaN; NaN for a trial that has
        another number of them.
    """
    width = next((len(read(o)) for o in reversed(trials) if read(o)), 0)
    rows = np.full((len(trials), width), np.nan)
    if width:
        for row, trial in zip(rows, trials, strict=True):
            if len(numbers := read(trial)) == width:
                row[:] = np.nan_to_num(numbers, nan=HUGE, posinf=HUGE, neginf=-HUGE)
    return np.clip(rows, -HUGE, HUGE)


def usable(goals: np.ndarray) -> np.ndarray:
    """Which trials have all goals, each a number of sensible size; shape (k,)."""
    return np.asarray((np.abs(goals) < HUGE).all(axis=1))  # all where there are none; NaN is not


def total_excess(excess: np.ndarray, unknown: float) -> np.ndarray:
    """The sum over limits of what is above each, in units of its median.

    Args:
        excess: Shape (k, l), NaN where unknown.
        unknown: What counts instead.

    Returns:
        Shape (k,); 0 where all limits hold.
    """
    over = np.clip(np.nan_to_num(excess, nan=unknown), 0.0, HUGE)
    for column in over.T:
        if (column > 0).any():
            column /= np.median(column[column > 0])
    return np.asarray(over.sum(axis=1))


def _by_fronts(goals: np.ndarray, most: int) -> np.ndarray:
    number = pareto.ranks(goals, most)
    order = np.argsort(number, kind="stable")
    if most >= len(order) or not most:
        return order
    last = number[order[most - 1]]
    before, split = int((number < last).sum()), np.flatnonzero(number == last)
    order[before : before + len(split)] = split[_spread_first(goals[split], most - before)]
    return order


def _spread_first(goals: np.ndarray, count: int) -> np.ndarray:
    if len(goals) > _EXACT:
        return np.argsort(-pareto.crowding(goals), kind="stable")
    first = pareto.spread_subset(goals, count, pareto.reference_point(goals))
    return np.concatenate([first, np.setdiff1d(np.arange(len(goals)), first)])

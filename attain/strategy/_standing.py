"""Finished trials from the best to the worst, with one goal or several, and with limits."""

from __future__ import annotations

from collections.abc import Sequence
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
    width = next((len(o.goals) for o in reversed(chosen) if o.goals), 0)
    if width > 1 and not by_loss:
        held = np.array([len(o.goals) == width and _finite(o.goals) for o in chosen], dtype=bool)
        places, chosen = places[held], [o for o, h in zip(chosen, held, strict=True) if h]
        goals = np.array([o.goals for o in chosen], dtype=float)
    else:
        goals = past.losses[places][:, None]
    return Standing(places, goals, _total_excess(chosen))


def _finite(values: Sequence[float]) -> bool:
    return all(abs(v) < HUGE for v in values)


def _total_excess(trials: Sequence[Observed]) -> np.ndarray:
    """The sum over limits of what is above each, in units of its median; NaN counts as broken."""
    width = max((len(o.excess) for o in trials), default=0)
    if not width:
        return np.zeros(len(trials))
    excess = np.zeros((len(trials), width))
    for row, trial in zip(excess, trials, strict=True):
        row[: len(trial.excess)] = trial.excess
    excess = np.clip(np.nan_to_num(excess, nan=HUGE), 0.0, HUGE)
    for column in excess.T:
        if (column > 0).any():
            column /= np.median(column[column > 0])
    return excess.sum(axis=1)


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

"""Dividing units that carry several labels at once, so that each part has its share of each label.

Iterative stratification: Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label
data" (doi:10.1007/978-3-642-23808-6_10), algorithm 1. Labels are dealt from the rarest on, because
frequent ones can still be balanced later. Two things are added: a unit may hold several rows, and
no part stays empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def iterative(
    content: np.ndarray, sizes: np.ndarray, shares: np.ndarray, draw: np.ndarray
) -> np.ndarray:
    """Deal units to parts.

    Args:
        content: Rows of each unit that carry each label, shape (units, labels).
        sizes: Rows of each unit, positive, shape (units,).
        shares: Of all rows that each part is to get, positive, summing to 1; shape (parts,), no
            more parts than units.
        draw: Numbers whose order is the order in which units are dealt, shape (units,).

    Returns:
        Part of each unit, int64, shape (units,). Every part is asked for a row of each label that
        has as many units as there are parts.
    """
    held = content.sum(axis=0)
    wanted = np.outer(held, shares)
    common = (content > 0).sum(axis=0) >= len(shares)
    wanted[common] = np.maximum(wanted[common], 1.0)
    queue = np.argsort(draw, kind="stable")
    state = _State(wanted, shares * sizes.sum(), np.full(len(content), -1, dtype=np.int64))
    left = held.astype(np.int64)
    while (left > 0).any():
        label = int(np.argmin(np.where(left > 0, left, left.max() + 1)))
        for unit in queue[(content[queue, label] > 0) & (state.part[queue] < 0)]:
            state.place(unit, content[unit], sizes[unit], state.wanted[label])
            left -= content[unit]
    for unit in queue[state.part[queue] < 0]:
        state.place(unit, content[unit], sizes[unit], state.room)
    return state.part


@dataclass(eq=False)
class _State:
    """What is still wanted, and where units went.

    Attributes:
        wanted: Rows of each label that each part still wants, shape (labels, parts).
        room: Rows that each part still wants, shape (parts,).
        part: Of each unit, -1 for those that wait.
    """

    wanted: np.ndarray
    room: np.ndarray
    part: np.ndarray

    def __post_init__(self) -> None:
        self.waiting = len(self.part)
        self.empty = np.ones(len(self.room), dtype=bool)

    def place(self, unit: int, content: np.ndarray, size: int, wish: np.ndarray) -> None:
        """Give a unit to the part that wishes it most; of equals, to the one with most room.

        Those that are equal in both take turns. The last units go to parts that are still empty.
        """
        if self.waiting <= int(self.empty.sum()):
            best = np.flatnonzero(self.empty)
        else:
            best = np.flatnonzero(wish >= wish.max() - 1e-9)
            best = best[self.room[best] >= self.room[best].max() - 1e-9]
        home = int(best[self.waiting % len(best)])
        self.part[unit] = home
        self.waiting -= 1
        self.empty[home] = False
        self.wanted[:, home] -= content
        self.room[home] -= size

"""Histories as arrays, encoded once.

Encoding ten thousand configurations takes longer than everything else a strategy does, and from one
call to the next only a few trials change. What is kept here makes that fast and never changes an
answer: an entry is used only where the same objects stand in the same places, and `Observed` and
its configuration do not change.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import compress, count
from operator import is_not

import numpy as np

from attain.core.space import Space
from attain.core.types import Observed, Status
from attain.strategy._encode import Cube, Key

HUGE = 1e100  # a larger loss is a failure, and its square would overflow
_FAILED = {Status.FAILED, Status.DIVERGED, Status.TIMEOUT, Status.MEMORY, Status.KILLED}
_KEPT = 8  # histories under way at the same time in one process


class State(IntEnum):
    """What a trial tells: SILENT ones (cancelled, say) tell nothing."""

    SILENT = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3


@dataclass(frozen=True, eq=False)
class Encoded:
    """A history as arrays, in order of asking.

    Attributes:
        cube: The space.
        history: What was encoded.
        rows: Points of the cube, shape (n, d), NaN where inactive or not `known`.
        known: Whether a trial says anything about this space, shape (n,).
        keys: Of each trial, None where its configuration is not in the space.
        asked: All keys but None.
        states: A `State` each, shape (n,).
        losses: Shape (n,), NaN where the state is not DONE.
        errors: Standard errors of the losses, shape (n,), 0 where unknown.
        seconds: How long each trial took, shape (n,), 0 where unknown.
        more: Whether a trial tells of several goals or of limits, shape (n,).
        pruned: Whether a trial ended on its way, so that its loss is a guess, shape (n,).
    """

    cube: Cube
    history: tuple[Observed, ...]
    rows: np.ndarray
    known: np.ndarray
    keys: tuple[Key | None, ...]
    asked: frozenset[Key]
    states: np.ndarray
    losses: np.ndarray
    errors: np.ndarray
    seconds: np.ndarray
    more: np.ndarray
    pruned: np.ndarray

    def at(self, state: State) -> np.ndarray:
        """Positions of the trials in a state that say something about the space."""
        return np.flatnonzero((self.states == state) & self.known)


_entries: list[Encoded] = []
_cubes: list[Cube] = []
_lock = threading.Lock()


def cube_of(space: Space) -> Cube:
    """The cube of a space; the same object as long as it is in use."""
    with _lock:
        cube = next((c for c in reversed(_cubes) if _same(c.space, space)), None)
        if cube is None:
            cube = Cube(space)
            _cubes.append(cube)
            del _cubes[:-_KEPT]
        return cube


def encoded(space: Space, history: Sequence[Observed]) -> Encoded:
    """A history as arrays; fast when most of it was encoded before.

    Args:
        space: Where to search.
        history: All trials, also those of earlier versions of the space.

    Returns:
        Arrays that nobody changes.
    """
    with _lock:
        entry = next((e for e in reversed(_entries) if _continues(e, space, history)), None)
        if entry is not None:
            _entries.remove(entry)
        else:
            entry = _empty(space)
        entry = _brought_up_to_date(entry, tuple(history))
        _entries.append(entry)
        del _entries[:-_KEPT]
        return entry


def _continues(entry: Encoded, space: Space, history: Sequence[Observed]) -> bool:
    if not _same(entry.cube.space, space):
        return False
    if not entry.history or not history:
        return not entry.history
    return entry.history[0].config is history[0].config


def _same(a: Space, b: Space) -> bool:
    """Whether two spaces are one; equal ones may still differ, as True equals 1."""
    return a is b or (a == b and repr(a) == repr(b))


def _empty(space: Space) -> Encoded:
    cube, none = Cube(space), np.empty(0)
    rows, states = np.empty((0, len(cube))), np.empty(0, dtype=np.int8)
    no = none.astype(bool)
    return Encoded(cube, (), rows, no, (), frozenset(), states, none, none, none, no, no)


def _brought_up_to_date(old: Encoded, history: tuple[Observed, ...]) -> Encoded:
    """The same with another history; places with the same objects are copied."""
    shared = min(len(old.history), len(history))
    changed = list(compress(count(), map(is_not, old.history, history)))
    moved = [i for i in changed if old.history[i].config is not history[i].config]
    added = range(shared, len(history))
    if not changed and not added and shared == len(old.history):
        return old
    rows, known = _grown(old.rows, len(history)), _grown(old.known, len(history))
    keys = [*old.keys[:shared], *[None] * len(added)]
    for i in (*moved, *added):
        row = old.cube.encode(history[i].config)
        known[i] = row is not None
        rows[i] = np.nan if row is None else row
        keys[i] = old.cube.key(history[i].config)
    new = [keys[i] for i in added] if shared == len(old.history) and not moved else keys
    asked = frozenset(key for key in new if key is not None)
    asked = asked if new is keys else old.asked | asked
    facts = [old.states, old.losses, old.errors, old.seconds, old.more, old.pruned]
    columns = [_grown(column, len(history)) for column in facts]
    for i in (*changed, *added):
        for column, fact in zip(columns, _facts(history[i]), strict=True):
            column[i] = fact
    return Encoded(old.cube, history, rows, known, tuple(keys), asked, *columns)


def _grown(old: np.ndarray, n: int) -> np.ndarray:
    """A copy with n places, those beyond the old ones not yet filled."""
    new = np.empty((n, *old.shape[1:]), dtype=old.dtype)
    shared = min(n, len(old))
    new[:shared] = old[:shared]
    return new


def _facts(trial: Observed) -> tuple[State, float, float, float, bool, bool]:
    error = trial.noise if trial.noise is not None and np.isfinite(trial.noise) else 0.0
    pruned = trial.status == Status.PRUNED
    rest = float(trial.seconds), bool(trial.goals or trial.excess), pruned
    if trial.loss is not None and abs(trial.loss) < HUGE:  # not NaN either
        return State.DONE, float(trial.loss), float(error), *rest
    if trial.status == "running":
        return State.RUNNING, np.nan, 0.0, *rest
    if trial.status in _FAILED or trial.loss is not None:
        return State.FAILED, np.nan, 0.0, *rest
    return State.SILENT, np.nan, 0.0, *rest

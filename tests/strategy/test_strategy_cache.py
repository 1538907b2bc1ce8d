"""Histories as arrays: what is remembered never changes an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.space import Categorical, Float, Int, Space
from attain.core.types import Observed
from attain.strategy import _cache
from attain.strategy._cache import State, encoded
from attain.strategy._encode import Cube

_SPACE = Space((Float(name="x", low=0, high=1), Int(name="n", low=1, high=5)))
_STATUSES = ("running", "done", "failed", "cancelled")


def _trial(i, status="done", loss=1.0):
    config = {"x": (i % 10) / 10, "n": 1 + i % 5}
    return Observed(f"t{i}", config, status, loss if status == "done" else None, noise=0.1)


def _assert_right(told, history):
    cube = Cube(told.cube.space)
    rows = [cube.encode(o.config) for o in history]
    assert len(told.rows) == len(told.keys) == len(history)
    for i, (row, trial) in enumerate(zip(rows, history, strict=True)):
        assert told.known[i] == (row is not None)
        if row is not None:
            np.testing.assert_array_equal(told.rows[i], row)
        assert told.keys[i] == cube.key(trial.config)
        assert (told.states[i] == State.DONE) == (trial.loss is not None)
        np.testing.assert_equal(told.losses[i], np.nan if trial.loss is None else trial.loss)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=20))
def test_any_sequence_of_changes_gives_what_encoding_anew_gives(actions):
    """Trials are added, finish, are replaced or forgotten in any order; the arrays are right."""
    history = []
    for kind, number in actions:
        if kind == 0 or not history:
            history.append(_trial(number, "running"))
        elif kind == 1:
            i = number % len(history)
            status = _STATUSES[number % 4]
            loss = float(number) if status == "done" else None
            history[i] = replace(history[i], status=status, loss=loss)
        elif kind == 2:
            history[number % len(history)] = _trial(number)
        else:
            history = history[: number % len(history)]
        _assert_right(encoded(_SPACE, history), history)


def test_only_what_changed_is_encoded(monkeypatch):
    """A longer history encodes its new trial alone, a finished one nothing at all."""
    history = [_trial(i) for i in range(50)]
    encoded(_SPACE, history)
    calls = []
    original = Cube.encode
    monkeypatch.setattr(Cube, "encode", lambda self, c: calls.append(c) or original(self, c))
    history = [*history[:-1], replace(history[-1], loss=7.0), _trial(51, "running")]
    assert encoded(_SPACE, history).losses[49] == 7.0
    assert calls == [history[-1].config]


def test_what_was_given_out_is_never_changed():
    """Arrays handed out earlier stay as they were when the history goes on."""
    history = [_trial(i) for i in range(5)]
    before = encoded(_SPACE, history)
    losses = before.losses.copy()
    encoded(_SPACE, [replace(history[0], loss=9.0), *history[1:], _trial(6)])
    np.testing.assert_array_equal(before.losses, losses)


def test_spaces_that_are_merely_equal_are_kept_apart():
    """True equals 1 in Python, but a choice of booleans is no choice of numbers."""
    booleans = Space((Categorical(name="c", choices=(True, False)),))
    numbers = Space((Categorical(name="c", choices=(1, 0)),))
    assert booleans == numbers
    history = [Observed("t", {"c": True}, "done", 1.0)]
    assert encoded(booleans, history).known[0]
    assert encoded(booleans, history).keys[0] is not None
    assert encoded(numbers, history).keys[0] is None


@pytest.mark.parametrize("studies", [3, 20])
def test_studies_side_by_side_do_not_mix(studies):
    """More histories in turn than are remembered give the same as each alone."""
    histories = [[_trial(i + s) for i in range(4)] for s in range(studies)]
    for _ in range(2):
        for history in histories:
            _assert_right(encoded(_SPACE, history), history)
    assert len(_cache._entries) <= 8

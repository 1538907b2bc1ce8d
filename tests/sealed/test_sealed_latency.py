"""Timing: single calls, other rows each time, bounded, and only the prediction is timed."""

from __future__ import annotations

import gc
import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import DataError, SpecError
from attain.sealed import latency
from attain.sealed.latency import FEWEST, MOST, PATIENCE, WARM_UP, measure

FRAME = pd.DataFrame({"x": np.arange(500)})


def test_each_call_gets_other_rows_of_the_asked_number():
    """Batches have the size asked for, a fresh index, and change from call to call."""
    seen = []
    measure(lambda part: seen.append(part), FRAME, batch=3, seconds=0.01)
    assert all(part["x"].shape == (3,) and part.index.tolist() == [0, 1, 2] for part in seen)
    assert all(a["x"].iloc[0] != b["x"].iloc[0] for a, b in pairwise(seen))


def test_small_frames_are_repeated():
    """More rows than there are come from the start again."""
    seen = []
    measure(lambda part: seen.append(part), FRAME.head(2), batch=5, seconds=0.01)
    assert all(len(part) == 5 for part in seen)


def test_warm_up_is_not_measured():
    """Slow first calls do not appear in the timings."""
    calls = []

    def predict(part):
        calls.append(1)
        if len(calls) <= WARM_UP:
            time.sleep(0.01)

    taken = measure(predict, FRAME, seconds=0.1)
    assert np.median(taken) < 5
    assert len(taken) == len(calls) - WARM_UP


def test_milliseconds_are_milliseconds():
    """A call that sleeps two milliseconds takes two or more, and not ten times as many."""
    taken = measure(lambda part: time.sleep(0.002), FRAME, seconds=0.1)
    assert taken.min() >= 2.0
    assert np.median(taken) < 20


class Clock:
    """Time that passes only while a model predicts."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(latency.time, "perf_counter_ns", lambda: round(self.now * 1e9))

    def model(self, seconds):
        """One that takes so long for a prediction."""

        def predict(part):
            self.now += seconds

        return predict


def test_number_of_calls_is_bounded(monkeypatch):
    """Fast models stop at the limit, slow ones still get thirty calls, very slow ones give up."""
    clock = Clock(monkeypatch)
    assert len(measure(clock.model(1e-6), FRAME, seconds=5.0)) == MOST
    assert len(measure(clock.model(0.004), FRAME, seconds=0.03)) == FEWEST
    began = clock.now
    assert 3 <= len(measure(clock.model(0.05), FRAME, seconds=0.02)) < FEWEST
    assert clock.now - began < 0.02 * PATIENCE + 1.0


def test_garbage_collection_is_put_back():
    """Collection is held back while timing, and on again also after a failing prediction."""
    states = []

    def predict(part):
        states.append(gc.isenabled())
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        measure(predict, FRAME)
    assert states == [False]
    assert gc.isenabled()


@pytest.mark.parametrize("arguments", [{"batch": 0}, {"seconds": 0.0}])
def test_impossible_settings(arguments):
    """Settings that could measure nothing are refused."""
    with pytest.raises(SpecError, match="must be positive"):
        measure(lambda part: None, FRAME, **arguments)


def test_no_rows_no_timing():
    """An empty frame is refused."""
    with pytest.raises(DataError, match="timing needs rows"):
        measure(lambda part: None, FRAME.head(0))

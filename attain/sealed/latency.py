"""How long a prediction takes: single calls on different rows, after warming up."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import numpy as np

from attain.core.errors import DataError, Problem, SpecError

WARM_UP = 5  # first calls fill caches and compile; they are not what a server sees
FEWEST = 30  # below it a 95th percentile is the maximum in disguise
MOST = 2_000
PATIENCE = 5.0  # times `seconds` after which even fewer than FEWEST calls must do
_LEAST = 3
_BATCHES = 200  # different batches prepared beforehand; taken in turn


def measure(
    predict: Callable[[Any], Any], frame: Any, *, batch: int = 1, seconds: float = 2.0
) -> np.ndarray:
    """Time single calls.

    Batches are cut out beforehand, so that only `predict` is timed; each call gets other rows than
    the one before. Garbage collection is held back meanwhile, as `timeit` does. Throughput in rows
    per second is ``1000 * batch / milliseconds``.

    Args:
        predict: Called with a frame of `batch` rows.
        frame: Rows to take from; taken again from the start when they run out.
        batch: Rows in each call, at least 1.
        seconds: Wall time to spend, above 0. It may take up to five times as long to reach 30
            calls of a slow model, and stops after 2,000 calls.

    Returns:
        Milliseconds of each call in order, float64; 30 to 2,000 of them, or at least 3 when the
        model is very slow.

    Raises:
        DataError: The frame has no rows.
        SpecError: `batch` or `seconds` is not positive.
    """
    batches = cycle(_batches(frame, batch, seconds))
    taken: list[float] = []
    with _no_collection():
        began = time.perf_counter()
        for _ in range(WARM_UP):
            predict(next(batches))
            if time.perf_counter() - began > seconds:
                break
        began = time.perf_counter()
        while _go_on(len(taken), time.perf_counter() - began, seconds):
            part = next(batches)
            start = time.perf_counter_ns()
            predict(part)
            taken.append((time.perf_counter_ns() - start) / 1e6)
    return np.array(taken)


def _go_on(calls: int, spent: float, seconds: float) -> bool:
    if calls < _LEAST:
        return True
    if calls < FEWEST:
        return spent < PATIENCE * seconds
    return calls < MOST and spent < seconds


def _batches(frame: Any, batch: int, seconds: float) -> list[Any]:
    if batch < 1 or seconds <= 0:
        raise SpecError(
            Problem(
                "batch and seconds must be positive",
                f"{batch} and {seconds}",
                "latency",
                "use batch=1, seconds=2.0",
            )
        )
    rows = len(frame)
    if rows == 0:
        raise DataError(Problem("timing needs rows", "an empty frame", "latency", "give some rows"))
    count = min(_BATCHES, max(1, -(-rows // batch))) if batch < rows else 2
    starts = np.arange(count) * (batch if batch < rows else 1)
    return [
        frame.iloc[(start + np.arange(batch)) % rows].reset_index(drop=True) for start in starts
    ]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector back, and put it back as it was."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

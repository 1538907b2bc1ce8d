"""Which rows each step sees: a function of seed and step alone, so that no position is kept."""

from __future__ import annotations

import math

import numpy as np

_WINDOWS = 4
"""Windows in an epoch, at least: of 872 sentences at batches of 16, 9 % is padding then."""


def steps_per_epoch(rows: int, batch: int) -> int:
    """Optimiser steps in one pass; the last one may be short.

    Args:
        rows: Number of training rows, at least 1.
        batch: Examples per step.

    Returns:
        At least 1.
    """
    return max(1, math.ceil(rows / batch))


def total_steps(rows: int, batch: int, epochs: float) -> int:
    """Optimiser steps in all passes.

    Args:
        rows: Number of training rows, at least 1.
        batch: Examples per step.
        epochs: Passes, may be fractional.

    Returns:
        At least 1.
    """
    return max(1, round(epochs * steps_per_epoch(rows, batch)))


def span(rows: int, batch: int, evaluate: float) -> float:
    """Optimiser steps between evaluations; not whole where an epoch has an odd number of steps.

    Args:
        rows: Number of training rows, at least 1.
        batch: Examples per step.
        evaluate: Epochs between evaluations, above 0.

    Returns:
        At least 1.
    """
    return max(1.0, evaluate * steps_per_epoch(rows, batch))


def rounds_at(step: int, every: float, end: int) -> int:
    """Which evaluation a step belongs to, counted from 1.

    Args:
        step: Optimiser steps done.
        every: From `span`.
        end: All optimiser steps; its evaluation is the last one, however near to the one before.

    Returns:
        So many times `every` steps, never more than `end`, lead there in another fit.
    """
    return max(1, math.ceil(step / every - 1e-9) if step >= end else round(step / every))


def epoch_batches(
    lengths: np.ndarray, batch: int, bucket: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Cut all rows into batches of rows of similar length.

    The rows are shuffled and cut into windows of `bucket` batches; each window is sorted by length
    and cut into batches; the batches are shuffled. So a batch is a uniform draw of rows but for
    their length. What is left over is a uniform draw altogether: it never is the longest rows.

    Args:
        lengths: Cost of each row, shape (n,).
        batch: Rows in a batch; the last one drawn has fewer unless n is a multiple.
        bucket: Batches in a window; fewer where there would be less than `_WINDOWS` windows, or
            all epochs of few rows would have much the same batches.
        random: Source of the shuffles.

    Returns:
        Positions of rows, each row once, each batch sorted by length from long to short.
    """
    drawn = random.permutation(len(lengths))
    whole = len(drawn) - len(drawn) % batch
    size = batch * max(1, min(bucket, whole // batch // _WINDOWS))
    batches = []
    for start in range(0, whole, size):
        window = _sorted(drawn[start : min(start + size, whole)], lengths)
        batches += np.split(window, len(window) // batch)
    if whole < len(drawn):
        batches.append(_sorted(drawn[whole:], lengths))
    return [batches[i] for i in random.permutation(len(batches))]


class Order:
    """The batches of all epochs; any step can be asked for, those of one epoch in turn are cheap.

    Args:
        lengths: Cost of each row, shape (n,), n >= 1.
        batch: Rows in a batch.
        bucket: Batches in a window, see `epoch_batches`.
        seed: Of the shuffles.
    """

    def __init__(self, lengths: np.ndarray, batch: int, bucket: int, seed: int) -> None:
        self.per_epoch = steps_per_epoch(len(lengths), batch)
        self._lengths, self._batch, self._bucket, self._seed = lengths, batch, bucket, seed
        self._epoch, self._batches = -1, [np.empty(0, dtype=np.int64)]

    def rows(self, step: int) -> np.ndarray:
        """Positions of the rows of one step.

        Args:
            step: From 0.

        Returns:
            At most `batch` positions, sorted by length from long to short.
        """
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            random = np.random.default_rng([self._seed, epoch])
            self._batches = epoch_batches(self._lengths, self._batch, self._bucket, random)
            self._epoch = epoch
        return self._batches[place]


def micro_batches(rows: np.ndarray, micro: int) -> list[np.ndarray]:
    """Cut the rows of a step into parts that fit into memory, of nearly equal size.

    Args:
        rows: Positions, sorted by length, so that each part holds rows of similar length.
        micro: Most rows in a part.

    Returns:
        The parts, in order.
    """
    return np.array_split(rows, math.ceil(len(rows) / micro)) if micro < len(rows) else [rows]


def padded(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of the computation that is padding.

    Args:
        lengths: Cost of each row, shape (n,).
        batches: Positions of rows that are padded to the longest among them.

    Returns:
        In [0, 1).
    """
    cells = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
    return 1 - sum(int(lengths[rows].sum()) for rows in batches) / max(1, cells)


def _sorted(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return rows[np.argsort(-lengths[rows], kind="stable")]

"""Inputs and targets of a fit, whatever is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from attain.core.protocols import FitData
from attain.core.space import Config
from attain.core.types import Signal
from attain.learners._pretrained import linear
from attain.learners._pretrained.outputs import Outputs
from attain.learners._shared import row_weights


class Columns(Protocol):
    """Where the inputs of rows are."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in the order in which they are read, at least one."""
        ...

    def read(self, X: Any) -> tuple[list[str], ...]:
        """For each column its n cells."""
        ...


@dataclass(frozen=True, eq=False)
class Lesson:
    """Inputs and targets.

    Attributes:
        outputs: What scores mean.
        inputs: Of the training rows, column by column.
        targets: From `Outputs.targets`.
        weights: Of the training rows, mean 1; None when they count the same.
        stop: Inputs of the rows to stop on, or None.
        stop_targets: Their targets.
    """

    outputs: Outputs
    inputs: tuple[list[str], ...]
    targets: np.ndarray
    weights: np.ndarray | None
    stop: tuple[list[str], ...] | None
    stop_targets: np.ndarray | None

    @classmethod
    def of(
        cls,
        config: Config,
        data: FitData,
        columns: Columns,
        inputs: tuple[list[str], ...],
        outputs: Outputs,
    ) -> Lesson:
        """What these rows teach; rows to stop on of classes that were not seen are left out."""
        targets = outputs.targets(np.asarray(data.train.y))
        exclusive = outputs.seen and not outputs.shares
        weights = row_weights(config, targets) if exclusive else None
        stop = stop_targets = None
        if data.stop is not None and data.stop.y is not None:
            known = outputs.known(data.stop.y)
            if len(known):
                stop = columns.read(data.stop.X.iloc[known])
                stop_targets = outputs.targets(data.stop.y[known])
        return cls(outputs, inputs, targets, weights, stop, stop_targets)

    @property
    def stop_rows(self) -> int:
        """Rows to stop on."""
        return 0 if self.stop_targets is None else len(self.stop_targets)

    def head(self, stop: Any) -> linear.Lesson:
        """The same for a linear head, given the features of the rows to stop on."""
        return linear.Lesson(self.outputs, self.targets, self.weights, stop, self.stop_targets)


def empty_head(width: int, outputs: int) -> linear.Linear:
    """A head that says nothing, where only shapes matter."""
    zeros = np.zeros((width, outputs), dtype=np.float32)
    return linear.Linear(zeros, np.zeros(outputs, dtype=np.float32))


def quiet(step: int, losses: Mapping[str, float]) -> Signal:
    """A report that nobody reads."""
    return Signal.CONTINUE

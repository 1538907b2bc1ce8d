"""One walk along the regularisation path, watched: the head that the stop rows like best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.protocols import Report
from attain.core.types import Signal
from attain.learners._pretrained.heads import (
    DEFAULT_POINT,
    STRENGTHS,
    Design,
    Head,
    labels_target,
    path,
    softmax_target,
    squared_target,
)
from attain.learners._pretrained.outputs import Outputs
from attain.learners._steps import fixed_rounds
from attain.learners._store import read_arrays, write_arrays

_FILE = "head.npz"


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear head.

    Attributes:
        slope: Shape (features, outputs), float32.
        intercept: Shape (outputs,), float32.
    """

    slope: np.ndarray
    intercept: np.ndarray

    @property
    def size(self) -> int:
        """Numbers in it."""
        return int(self.slope.size + self.intercept.size)

    def scores(self, matrix: Any) -> np.ndarray:
        """Scores of rows; those of a row do not depend on the other rows.

        Args:
            matrix: Dense or sparse, shape (n, features).

        Returns:
            Shape (n, outputs), float64.
        """
        if isinstance(matrix, np.ndarray):  # a product of matrices may round by its shape
            found = np.einsum("nd,dk->nk", matrix, self.slope, dtype=np.float64)
        else:
            found = np.asarray(matrix @ self.slope.astype(np.float64))
        return found + self.intercept.astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write ``head.npz`` into an existing folder."""
        write_arrays(folder, _FILE, {"slope": self.slope, "intercept": self.intercept})


def load_linear(folder: Path) -> Linear:
    """The head that `Linear.save` wrote.

    Args:
        folder: Where.

    Returns:
        The head.

    Raises:
        ArtifactError: When the file is missing, damaged, or holds something else.
    """
    arrays = read_arrays(folder, _FILE)
    slope, intercept = arrays.get("slope"), arrays.get("intercept")
    if slope is None or intercept is None or slope.shape[1:] != intercept.shape:
        raise ArtifactError(f"{_FILE} does not hold a linear head — get the model anew")
    return Linear(slope, intercept)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a head is to learn.

    Attributes:
        outputs: What scores mean.
        targets: Of the training rows, from `Outputs.targets`.
        weights: Of the training rows, mean 1; None when they count the same.
        stop: Features of the rows to choose on, or None.
        stop_targets: Their targets.
    """

    outputs: Outputs
    targets: np.ndarray
    weights: np.ndarray | None = None
    stop: Any = None
    stop_targets: np.ndarray | None = None


def walk(
    design: Design, lesson: Lesson, report: Report, hints: Mapping[str, Any]
) -> tuple[Linear, dict[str, Any]]:
    """Solve heads from strong to weak regularisation until the stop rows like the next one less.

    Args:
        design: Features of the training rows.
        lesson: Targets, and rows to choose on.
        report: Told the losses of each head; its number on the path is the step.
        hints: ``rounds`` says where on the path to end when there are no rows to choose on.

    Returns:
        The best head and its facts: ``rounds`` (number on the path, from 1), ``strength``
        (`heads.STRENGTHS`), ``converged``.
    """
    outputs = lesson.outputs
    last = fixed_rounds(hints, len(STRENGTHS)) or DEFAULT_POINT
    chosen: tuple[int, Head] | None = None
    best = np.inf
    for number, head in enumerate(path(design, _target(lesson)), start=1):
        losses = {"train": _unit(outputs, head.loss)}
        if lesson.stop is not None and lesson.stop_targets is not None:
            losses["stop"] = outputs.loss(lesson.stop_targets, _fitted(head).scores(lesson.stop))
        better = losses.get("stop", -number) < best
        if better:
            chosen, best = (number, head), losses.get("stop", -number)
        over = not better if lesson.stop is not None else number >= last
        if report(number, losses) is not Signal.CONTINUE or over:
            break
    assert chosen is not None  # the first one is better than none
    rounds, head = chosen
    facts = {"rounds": rounds, "strength": STRENGTHS[rounds - 1], "converged": head.converged}
    return _fitted(head), facts


HEAD_ROUNDS = "head_rounds"
"""Fact and hint: which head on the path a tuned body has started from."""


def start_hints(hints: Mapping[str, Any]) -> dict[str, Any]:
    """What `walk` is told of a head that a tuned body starts from.

    ``rounds`` of such fits says how long the body was tuned, not where on the path its head stands.

    Args:
        hints: Of the whole fit.

    Returns:
        Its hint about the head, if it has one, under the name that `walk` knows.
    """
    return {"rounds": hints[HEAD_ROUNDS]} if HEAD_ROUNDS in hints else {}


def _target(lesson: Lesson) -> Any:
    if lesson.outputs.shares:
        return labels_target(lesson.targets)
    if lesson.outputs.seen:
        return softmax_target(lesson.targets, lesson.outputs.count, lesson.weights)
    return squared_target(lesson.targets)


def _unit(outputs: Outputs, loss: float) -> float:
    """Log loss stays, of labels its mean; half a squared error becomes its root, in its unit."""
    if outputs.shares:
        return loss / outputs.count
    return loss if outputs.seen else float(np.sqrt(2 * loss)) * outputs.scale


def _fitted(head: Head) -> Linear:
    return Linear(head.slope.astype(np.float32), head.intercept.astype(np.float32))

"""From scores to answers: which classes they are of, or in which unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from attain.core.types import Dataset
from attain.learners._shared import log_loss, rmse, softmax


@dataclass(frozen=True)
class Outputs:
    """What the scores of a model mean.

    Attributes:
        classes: Number of classes of the data set; 0 for values.
        seen: Codes of the classes that the training rows show, rising; empty for values.
        center: Added to values.
        scale: Multiplied before that; positive.
        shares: Share of the training rows with each label, where a row carries any number of them;
            `seen` then names those that some rows have and others have not, and only these are
            learnt. Empty for classes and values.
    """

    classes: int
    seen: tuple[int, ...]
    center: float = 0.0
    scale: float = 1.0
    shares: tuple[float, ...] = ()

    @property
    def count(self) -> int:
        """Scores of a row: one for each seen class, or one value."""
        return len(self.seen) or 1

    def targets(self, y: np.ndarray) -> np.ndarray:
        """What scores are trained on.

        Args:
            y: Class codes, all of them seen, or values; shape (n,).

        Returns:
            Positions among the seen classes (int64), 0 or 1 for each seen label (float32, shape
            (n, count)), or values with mean 0 and spread 1 (float64).
        """
        if self.shares:
            return np.asarray(y)[:, list(self.seen)].astype(np.float32)
        if self.seen:
            return np.searchsorted(np.array(self.seen), y).astype(np.int64)
        return (np.asarray(y, dtype=np.float64) - self.center) / self.scale

    def answers(self, scores: np.ndarray) -> np.ndarray:
        """What a learner returns.

        Args:
            scores: Shape (n, count), float64.

        Returns:
            Probabilities of all classes, shape (n, classes), rows sum to 1, 0 for classes that
            were not seen; of labels each on its own; or values, shape (n,).
        """
        if self.shares:
            full = np.tile(np.array(self.shares), (len(scores), 1))
            full[:, list(self.seen)] = expit(scores[:, : len(self.seen)])
            return full
        if not self.seen:
            return np.asarray(scores[:, 0] * self.scale + self.center)
        full = np.zeros((len(scores), self.classes))
        full[:, list(self.seen)] = softmax(scores)
        return full / full.sum(axis=1, keepdims=True)

    def loss(self, targets: np.ndarray, scores: np.ndarray) -> float:
        """Log loss in nats (mean over labels), or root mean squared error in the target's unit.

        Args:
            targets: From `targets`, shape (n,).
            scores: Shape (n, count), float64.

        Returns:
            Non-negative.
        """
        if self.shares:
            return float(np.mean(np.logaddexp(0.0, scores) - targets * scores))
        if self.seen:
            return log_loss(targets, softmax(scores))
        return rmse(targets, scores[:, 0]) * self.scale

    def known(self, y: np.ndarray) -> np.ndarray:
        """Positions of the rows whose class was seen, or of all rows; int64."""
        exclusive = self.seen and not self.shares
        return np.flatnonzero(np.isin(y, self.seen)) if exclusive else np.arange(len(y))


def varies(y: np.ndarray) -> bool:
    """Whether there is anything to learn from targets, shape (n,) or (n, labels)."""
    return bool(np.any(np.ptp(y, axis=0)))


def find_outputs(dataset: Dataset, y: np.ndarray) -> Outputs:
    """What the scores of a model that is trained on these rows mean.

    Args:
        dataset: Says whether there are classes.
        y: Targets of the training rows, shape (n,) or (n, labels), n >= 1.

    Returns:
        Seen classes, or mean and spread.
    """
    if dataset.task.several:
        seen = np.flatnonzero(np.ptp(y, axis=0))
        shares = (y.sum(axis=0) + 1) / (len(y) + 2)  # Laplace's rule: a label that no row has may
        return Outputs(  # still come
            len(dataset.classes), tuple(int(k) for k in seen), shares=tuple(map(float, shares))
        )
    if dataset.task.classifies:
        return Outputs(len(dataset.classes), tuple(int(code) for code in np.unique(y)))
    return Outputs(0, (), float(np.mean(y)), float(np.std(y)) or 1.0)

"""Gaussian processes of the numbers that trials give, and what is made of their predictions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from attain.stats import gp
from attain.strategy._evidence import active_set, scheduled
from attain.strategy._features import Features

_FIT_MOST = 120  # hyperparameters are fitted to at most so many trials
_REMEMBERED = 64  # fitted hyperparameters

Formula = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Scale(Protocol):
    """A change of scale of values."""

    def forward(self, values: np.ndarray, /) -> np.ndarray:
        """Values on the process's scale."""
        ...


AnyScale = TypeVar("AnyScale", bound=Scale)


@dataclass(frozen=True, eq=False)
class Column:
    """One number of each of some trials.

    Attributes:
        rows: Points of the trials, shape (k, d), NaN where inactive, in order of asking.
        values: The number, shape (k,), NaN where unknown.
        standing: What the trials are sorted by when only some can be used, shape (k,).
        errors: Standard errors of the values, shape (k,), 0 where unknown; None where all are.
    """

    rows: np.ndarray
    values: np.ndarray
    standing: np.ndarray
    errors: np.ndarray | None = None

    def at(self, chosen: np.ndarray | slice) -> Column:
        """Some of the trials."""
        errors = None if self.errors is None else self.errors[chosen]
        return Column(self.rows[chosen], self.values[chosen], self.standing[chosen], errors)


def learn(
    features: Features, column: Column, fit: Callable[[np.ndarray], AnyScale], most: int
) -> tuple[AnyScale, gp.Process]:
    """A process of a number, on a scale fitted to it.

    Args:
        features: The embedding of the space.
        column: The number, known of at least one trial.
        fit: Finds the scale; one that can say how errors change has a `slope`, too.
        most: Trials that the process is given at most.

    Returns:
        The scale and the process.
    """
    known = ~np.isnan(column.values)
    column = column if known.all() else column.at(known)
    early = column.at(slice(scheduled(len(column.values))))
    early = early.at(active_set(early.standing, _FIT_MOST))
    hyper = remembered(_sample(features, early, fit(early.values)))
    kept = column.at(active_set(column.standing, most))
    scale = fit(kept.values)
    return scale, gp.condition(_sample(features, kept, scale), hyper)


def _sample(features: Features, column: Column, scale: Scale) -> gp.Sample:
    known = np.zeros(len(column.values))
    if column.errors is not None:
        # errors come with losses alone, whose scale is a warp and has a slope
        known = (column.errors * scale.slope(column.values)) ** 2  # type: ignore[attr-defined]
    blocks = features.blocks(column.rows)
    y = scale.forward(column.values)
    return gp.Sample(features.embed(column.rows), y, features.groups, blocks, known)


_fitted: OrderedDict[tuple[bytes, ...], gp.Hyper] = OrderedDict()


def remembered(sample: gp.Sample) -> gp.Hyper:
    """Fitted hyperparameters; equal samples are fitted once."""
    parts = (sample.x, sample.y, sample.groups, sample.blocks, sample.known)
    key = tuple(part.tobytes() for part in parts)
    if key not in _fitted:
        _fitted[key] = gp.fit_hyper(sample)
        if len(_fitted) > _REMEMBERED:
            _fitted.popitem(last=False)
    return _fitted[key]


@dataclass(frozen=True, eq=False)
class Term:
    """A part of the score of a configuration.

    Attributes:
        processes: What it depends on, q of them.
        formula: From means and standard deviations of shape (q, m) to the score, shape (m,), and
            its derivatives by both, shape (q, m).
        weight: The score is multiplied by it.
    """

    processes: tuple[gp.Process, ...]
    formula: Formula
    weight: float = 1.0

    def value(self, x: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Scores of features of shape (m, f) in blocks of shape (m,); shape (m,)."""
        predicted = np.array([process.predict(x, blocks) for process in self.processes])
        return self.weight * self.formula(predicted[:, 0], predicted[:, 1])[0]

    def gradient(self, x: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, shape (m,), with the gradients by the features, shape (m, f)."""
        predicted = [process.predict_gradient(x, blocks) for process in self.processes]
        mean, sd = (np.array([one[i] for one in predicted]) for i in (0, 1))
        value, by_mean, by_sd = self.formula(mean, sd)
        slope = by_mean[0][:, None] * predicted[0][2]
        slope += by_sd[0][:, None] * predicted[0][3]
        for one, mean_part, sd_part in zip(predicted[1:], by_mean[1:], by_sd[1:], strict=True):
            slope += mean_part[:, None] * one[2] + sd_part[:, None] * one[3]
        return (value, slope) if self.weight == 1.0 else (self.weight * value, self.weight * slope)

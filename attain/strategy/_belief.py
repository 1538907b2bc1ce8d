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

Slopes = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
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
        exact: Whether equal points have equal values but for such errors.
    """

    rows: np.ndarray
    values: np.ndarray
    standing: np.ndarray
    errors: np.ndarray | None = None
    exact: bool = False

    def at(self, chosen: np.ndarray | slice) -> Column:
        """Some of the trials."""
        errors = None if self.errors is None else self.errors[chosen]
        parts = self.rows[chosen], self.values[chosen], self.standing[chosen]
        return Column(*parts, errors, self.exact)


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
    hyper = _remembered(features, early.at(active_set(early.standing, _FIT_MOST)), fit)
    kept = column.at(active_set(column.standing, most))
    scale = fit(kept.values)
    return scale, gp.condition(_sample(features, kept, scale), hyper)


def _sample(features: Features, column: Column, scale: Scale) -> gp.Sample:
    known = np.zeros(len(column.values))
    if column.errors is not None and column.errors.any():
        # errors come with losses alone, whose scale is a warp and has a slope
        known = (column.errors * scale.slope(column.values)) ** 2  # type: ignore[attr-defined]
    blocks = features.blocks(column.rows)
    y, x = scale.forward(column.values), features.embed(column.rows)
    return gp.Sample(x, y, features.groups, blocks, known, features.corners, column.exact)


_fitted: OrderedDict[tuple[object, ...], gp.Hyper] = OrderedDict()


def _remembered(
    features: Features, column: Column, fit: Callable[[np.ndarray], AnyScale]
) -> gp.Hyper:
    """Fitted hyperparameters; equal columns of equal spaces are fitted once."""
    errors = np.zeros(0) if column.errors is None else column.errors
    told = (part.tobytes() for part in (column.rows, column.values, errors))
    key = (features.kind, getattr(fit, "__qualname__", ""), column.exact, *told)
    if key not in _fitted:
        _fitted[key] = gp.fit_hyper(_sample(features, column, fit(column.values)))
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

    def value(self, x: np.ndarray, blocks: np.ndarray, *, rough: bool = False) -> np.ndarray:
        """Scores of features of shape (m, f) in blocks of shape (m,); shape (m,)."""
        predicted = np.array([one.predict(x, blocks, rough=rough) for one in self.processes])
        return self.weight * self.formula(predicted[:, 0], predicted[:, 1])[0]

    def around(self, x: np.ndarray, blocks: np.ndarray, moving: np.ndarray) -> Slopes:
        """Scores and gradients of a few points of which only some parameters will change.

        Args:
            x: Features, shape (m, f).
            blocks: Shape (m,).
            moving: Which parameters may change, shape (d,).

        Returns:
            A function of features of shape (m, f), as at first but for those of what moves, that
            gives scores, shape (m,), and their gradients by the features, shape (m, f).
        """
        near = [process.around(x, blocks, moving) for process in self.processes]

        def slopes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean, sd = np.array([one.predict(x) for one in near]).transpose(1, 0, 2)
            value, by_mean, by_sd = self.formula(mean, sd)
            if self.weight != 1.0:
                value, by_mean, by_sd = (self.weight * v for v in (value, by_mean, by_sd))
            parts = [one.slopes(*by) for one, *by in zip(near, by_mean, by_sd, strict=True)]
            return value, sum(parts[1:], start=parts[0])

        return slopes

"""Covariances of a Gaussian process: all parameters together, and each by itself.

The covariance of rows x and z is

    signal * matern(r) + main * mean_g matern(r_g),
    r_g^2 = weight[g] sum_{f in g} (x_f - z_f)^2,   r^2 = sum_g r_g^2.

A search compares hundreds of candidates for each proposal and spends most of its own time here, so
tables are made for all groups at once, in parts that stay in the cache, and are overwritten.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

_FIVE = 5.0
_PART = 1 << 14  # entries of a table that are worked on at once: 128 kB


def matern52(r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matern correlation with smoothness 5/2.

    Rasmussen and Williams (2006), eq. 4.17.

    Args:
        r2: Squared scaled distances, any shape, at least 0.

    Returns:
        The correlation, and its derivative by the squared distance.
    """
    value, pull = _with_pull(_FIVE * r2)
    return value, (-_FIVE / 6.0) * pull


def _value(square: np.ndarray) -> np.ndarray:
    """(1 + s + s^2/3) exp(-s), given s^2, which is overwritten."""
    root = np.sqrt(square)
    decay = np.exp(-root)
    root += 1.0
    square *= 1.0 / 3.0
    root += square
    root *= decay
    return np.asarray(root)


def _with_pull(square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, with (1 + s) exp(-s): its derivative by s^2 times -6. s^2 is overwritten."""
    pull = np.sqrt(square)
    decay = np.exp(-pull)
    pull += 1.0
    pull *= decay
    square *= 1.0 / 3.0
    square *= decay
    square += pull
    return square, pull


class Pairs:
    """All pairs of some rows, for covariances under many hyperparameters.

    Args:
        x: Features, shape (n, f).
        groups: Lengthscale group of each feature, shape (f,), from 0 without gaps.
    """

    def __init__(self, x: np.ndarray, groups: np.ndarray) -> None:
        i, j = np.triu_indices(len(x), 1)
        count = int(groups.max()) + 1 if len(groups) else 0
        self._squares = np.zeros((count, len(i)))  # five times the squared distances
        for feature, group in enumerate(groups):
            column = x[:, feature]
            self._squares[group] += _FIVE * (column[i] - column[j]) ** 2

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._squares)

    def together(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Correlations of all groups together, and what their slopes are made of; shapes (p,)."""
        return _with_pull(weights @ self._squares)

    def alone(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each group's correlation, shape (p,), and its derivatives by log weights.

        Args:
            weights: Shape (g,).

        Returns:
            The mean, and g times its derivative by each log weight, shape (g, p).
        """
        square = weights[:, None] * self._squares
        own = square * (-1.0 / 6.0)
        value, pull = _with_pull(square)
        own *= pull
        return value.sum(axis=0) / max(len(self), 1), own

    def slopes(self, weights: np.ndarray, pull: np.ndarray, each: np.ndarray) -> np.ndarray:
        """Sums over pairs of what depends on correlations of all groups, by log weights.

        Args:
            weights: Shape (g,).
            pull: As `together` gave, shape (p,).
            each: Derivative of the sum by each pair's correlation, shape (p,).

        Returns:
            Shape (g,).
        """
        return np.asarray(weights * (self._squares @ (pull * each)) / -6.0)


class Kernel:
    """Covariances of any rows with fixed ones.

    Args:
        seen: Features of the fixed rows, shape (n, f).
        groups: Lengthscale group of each feature, shape (f,), from 0 without gaps.
        weights: Inverse squared lengthscale of each group, shape (g,).
        signal: Variance of the part in which all groups act together.
        main: Variance of the part in which each group acts by itself; 0 for none.
    """

    def __init__(
        self,
        seen: np.ndarray,
        groups: np.ndarray,
        weights: np.ndarray,
        signal: float,
        main: float,
    ) -> None:
        self._scale = np.sqrt(_FIVE * weights[groups])
        self._seen = seen * self._scale
        self._groups = groups
        self._signal = signal
        self._count = len(weights)
        self._main = main / max(self._count, 1)

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """Covariances with the fixed rows.

        Args:
            x: Features, shape (m, f).

        Returns:
            Shape (m, n).
        """
        scaled = x * self._scale
        if not self._main:
            return self._signal * _value(_squared(scaled, self._seen))
        found = np.empty((len(x), len(self._seen)))
        step = max(1, _PART // max(1, self._count * len(self._seen)))
        for first in range(0, len(x), step):
            square = self._squares(scaled[first : first + step])[0]
            part = _value(square.sum(axis=0)) * self._signal
            part += _value(square).sum(axis=0) * self._main
            found[first : first + step] = part
        return found

    def near(self, x: np.ndarray) -> Near:
        """Covariances with their slopes, of a few rows.

        Args:
            x: Features, shape (m, f).

        Returns:
            What has both.
        """
        return Near(self, x * self._scale)

    @cached_property
    def _single(self) -> tuple[np.ndarray, np.ndarray]:
        """Groups of one feature, and these features."""
        sizes = np.bincount(self._groups, minlength=self._count)
        groups = np.flatnonzero(sizes == 1)
        return groups, np.array([int(np.argmax(self._groups == g)) for g in groups], dtype=int)

    @cached_property
    def _several(self) -> tuple[Batch, ...]:
        """Groups of several features, those of equal width together."""
        features = [np.flatnonzero(self._groups == g) for g in range(self._count)]
        widths = sorted({len(one) for one in features if len(one) > 1})
        batches = ([g for g, one in enumerate(features) if len(one) == w] for w in widths)
        return tuple(
            Batch(np.array(batch), np.array([features[g] for g in batch]), self._seen)
            for batch in batches
        )

    def _squares(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances by group, shape (g, m, n), and differences of single features."""
        groups, features = self._single
        apart = scaled.T[features][:, :, None] - self._seen.T[features][:, None, :]
        square = np.empty((self._count, len(scaled), len(self._seen)))
        square[groups] = apart * apart
        for batch in self._several:
            square[batch.groups] = batch.squares(scaled)
        return square, apart


class Batch:
    """Groups of w features each.

    Args:
        groups: Shape (k,).
        features: Of each, shape (k, w).
        seen: All scaled features of the fixed rows, shape (n, f).
    """

    def __init__(self, groups: np.ndarray, features: np.ndarray, seen: np.ndarray) -> None:
        self.groups, self.features = groups, features
        self.seen = np.ascontiguousarray(seen[:, features].transpose(1, 0, 2))
        length = np.einsum("knw,knw->kn", self.seen, self.seen)[..., None]
        sides = (-2.0 * self.seen, np.ones_like(length), length)
        self._right = np.ascontiguousarray(np.concatenate(sides, axis=2).transpose(0, 2, 1))

    def squares(self, scaled: np.ndarray) -> np.ndarray:
        """Squared distances of rows and fixed rows, shape (k, m, n): one product of matrices."""
        own = scaled[:, self.features].transpose(1, 0, 2)
        length = np.einsum("kmw,kmw->km", own, own)[..., None]
        found = np.concatenate([own, length, np.ones_like(length)], axis=2) @ self._right
        return np.asarray(np.maximum(found, 0.0, out=found))

    def against(self, scaled: np.ndarray, weighted: np.ndarray) -> np.ndarray:
        """Sums over fixed rows of weights (k, m, n) times differences, shape (k, m, w)."""
        own = scaled[:, self.features].transpose(1, 0, 2)
        return np.asarray(own * weighted.sum(axis=2)[..., None] - weighted @ self.seen)


class Near:
    """Covariances of a few rows with the fixed ones of a kernel, and their slopes.

    Args:
        kernel: Of the fixed rows.
        scaled: Features of the rows in the kernel's units, shape (m, f).

    Attributes:
        covariance: Shape (m, n).
    """

    def __init__(self, kernel: Kernel, scaled: np.ndarray) -> None:
        self._kernel, self._scaled = kernel, scaled
        square, apart = kernel._squares(scaled)
        together, pull = _with_pull(square.sum(axis=0))
        self.covariance = kernel._signal * together
        self._pull = (kernel._signal / -3.0 * pull)[None]
        if kernel._main:
            each, pulls = _with_pull(square)
            self.covariance += kernel._main * each.sum(axis=0)
            pulls *= kernel._main / -3.0
            self._pull = self._pull + pulls
        groups = kernel._single[0]
        apart *= self._pull[groups] if kernel._main else self._pull
        self._single = apart

    def against(self, table: np.ndarray) -> np.ndarray:
        """Sums over the fixed rows of a table times the slopes of the covariances.

        Args:
            table: Shape (n,) or (m, n).

        Returns:
            By each feature, shape (m, f).
        """
        kernel, found = self._kernel, np.empty(self._scaled.shape)
        found[:, kernel._single[1]] = (self._single * table).sum(axis=2).T
        for batch in kernel._several:
            weighted = self._pull[batch.groups if kernel._main else [0]] * table
            found[:, batch.features] = batch.against(self._scaled, weighted).transpose(1, 0, 2)
        return found * kernel._scale


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of all rows of two tables, shape (m, n)."""
    squared = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    squared -= 2.0 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0.0, out=squared))

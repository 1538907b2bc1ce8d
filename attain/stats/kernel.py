"""Covariances of a Gaussian process: all parameters together, and each by itself.

The covariance of rows x and z is

    signal * matern(r) + fine * matern(5 r) + main * mean_g matern(r_g),
    r_g^2 = weight[g] sum_{f in g} (x_f - z_f)^2,   r^2 = sum_g r_g^2.

A search compares hundreds of candidates for each proposal and spends most of its own time here, so
tables are made for all groups at once, in parts that stay in the cache, and are overwritten. The
distance of two corners of a simplex is 0 or 1: what such groups add is a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_FIVE = 5.0
_FINER = 5.0  # how many times shorter the lengthscales of the fine part are
_PART = 1 << 16  # entries of a table that are worked on at once: 512 kB


def matern52(r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matern correlation with smoothness 5/2.

    Rasmussen and Williams (2006), eq. 4.17.

    Args:
        r2: Squared scaled distances, any shape, at least 0.

    Returns:
        The correlation, and its derivative by the squared distance.
    """
    value, pull = _with_pull(np.sqrt(_FIVE * r2))
    return value, (-_FIVE / 6.0) * pull


def _value(square: np.ndarray, signal: float, fine: float) -> np.ndarray:
    """Both parts in which all groups act together, given s^2, which is overwritten.

    Each is (1 + s + s^2/3) exp(-s), the fine one at five times s; exp(-5 s) is a fifth power.
    """
    root = np.sqrt(square)
    decay = np.exp(-root)
    square *= 1.0 / 3.0
    value = 1.0 + root
    value += square
    value *= decay
    value *= signal
    if fine:
        root *= _FINER
        root += 1.0
        square *= _FINER**2
        root += square
        root *= fine
        power = decay * decay
        power *= power
        power *= decay
        root *= power
        value += root
    return np.asarray(value)


def _with_pull(root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1 + s + s^2/3) exp(-s) given s, and (1 + s) exp(-s): its derivative by s^2 times -6."""
    decay = np.negative(root)
    np.exp(decay, out=decay)
    pull = root + 1.0
    pull *= decay
    value = root * root
    value *= 1.0 / 3.0
    value *= decay
    value += pull
    return value, pull


@dataclass(frozen=True, eq=False)
class Layout:
    """What the groups of features are.

    Attributes:
        groups: Lengthscale group of each feature, shape (f,), from 0 without gaps.
        count: How many groups there are.
        singles: Groups of one feature, shape (s,).
        lines: Their features, shape (s,).
        corners: Groups whose points are corners of a simplex, shape (c,).
        edges: Their features, shape (e,), each 0 or the root of a half.
        batches: Other groups, those of equal width together, shape (k,), and their features,
            shape (k, w).
    """

    groups: np.ndarray
    count: int
    singles: np.ndarray
    lines: np.ndarray
    corners: np.ndarray
    edges: np.ndarray
    batches: tuple[tuple[np.ndarray, np.ndarray], ...]


def layout(groups: np.ndarray, corners: tuple[int, ...]) -> Layout:
    """The layout of groups of which some are known to be corners of a simplex.

    Args:
        groups: Lengthscale group of each feature, shape (f,), from 0 without gaps.
        corners: Those groups whose points are corners of a simplex.

    Returns:
        The same object for equal arguments, mostly.
    """
    return _layout(tuple(groups.tolist()), corners)


@lru_cache(maxsize=64)
def _layout(groups: tuple[int, ...], corners: tuple[int, ...]) -> Layout:
    own, count = np.array(groups, dtype=int), max(groups, default=-1) + 1
    features = [np.flatnonzero(own == g) for g in range(count)]
    singles = [g for g in range(count) if len(features[g]) == 1 and g not in corners]
    others = [g for g in range(count) if len(features[g]) > 1 and g not in corners]
    batches = []
    for width in sorted({len(features[g]) for g in others}):
        batch = [g for g in others if len(features[g]) == width]
        batches.append((np.array(batch), np.array([features[g] for g in batch])))
    return Layout(
        own,
        count,
        np.array(singles, dtype=int),
        np.array([features[g][0] for g in singles], dtype=int),
        np.array(corners, dtype=int),
        np.flatnonzero(np.isin(own, corners)),
        tuple(batches),
    )


class Pairs:
    """All pairs of some rows, for covariances under many hyperparameters.

    Args:
        x: Features, shape (n, f).
        groups: Lengthscale group of each feature, shape (f,), from 0 without gaps.
        corners: Groups whose points are corners of a simplex.
    """

    def __init__(self, x: np.ndarray, groups: np.ndarray, corners: tuple[int, ...] = ()) -> None:
        i, j = np.triu_indices(len(x), 1)
        count = int(groups.max()) + 1 if len(groups) else 0
        self._squares = np.zeros((count, len(i)))  # five times the squared distances
        for feature, group in enumerate(groups):
            column = x[:, feature]
            self._squares[group] += _FIVE * (column[i] - column[j]) ** 2
        self._corners = np.array(corners, dtype=int)
        self._numbers = np.setdiff1d(np.arange(count), self._corners)
        self._roots = np.sqrt(self._squares[self._numbers])
        self._apart = self._squares[self._corners] / _FIVE  # 0 or 1

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._squares)

    def together(self, weights: np.ndarray, *, fine: bool) -> tuple[np.ndarray, np.ndarray]:
        """Correlations of all groups together, at their lengthscales and perhaps at a fifth.

        Args:
            weights: Shape (g,).
            fine: Whether those at a fifth are wanted.

        Returns:
            The correlations, and what their slopes are made of; shapes (1, p) or (2, p).
        """
        root = np.sqrt(weights @ self._squares)
        value, pull = _with_pull(root)
        if not fine:
            return value[None], pull[None]
        fine_value, fine_pull = _with_pull(_FINER * root)
        return np.stack([value, fine_value]), np.stack([pull, _FINER**2 * fine_pull])

    def alone(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each group's correlation, shape (p,), and what its slopes are made of.

        Args:
            weights: Shape (g,).

        Returns:
            The mean, and for `own_slopes` a table of those groups that are no corners.
        """
        root = np.sqrt(weights[self._numbers])[:, None] * self._roots
        value, pull = _with_pull(root)
        root *= root
        pull *= root
        mean = value.sum(axis=0)
        if len(self._corners):
            differing = matern52(weights[self._corners])[0]
            mean += len(self._corners) - (1.0 - differing) @ self._apart
        return mean / max(len(self), 1), pull

    def own_slopes(self, weights: np.ndarray, table: np.ndarray, each: np.ndarray) -> np.ndarray:
        """Sums over pairs of what depends on each group's correlation, by log weights.

        Args:
            weights: Shape (g,).
            table: As `alone` gave.
            each: Derivative of the sum by each pair's mean correlation times g, shape (p,).

        Returns:
            Shape (g,).
        """
        found = np.empty(len(weights))
        found[self._numbers] = table @ each / -6.0
        own = weights[self._corners]
        found[self._corners] = own * matern52(own)[1] * (self._apart @ each)
        return found

    def slopes(self, weights: np.ndarray, pull: np.ndarray, each: np.ndarray) -> np.ndarray:
        """Sums over pairs of what depends on correlations of all groups, by log weights.

        Args:
            weights: Shape (g,).
            pull: A sum of what `together` gave, shape (p,).
            each: Derivative of the sum by each pair's correlation, shape (p,).

        Returns:
            Shape (g,).
        """
        return np.asarray(weights * (self._squares @ (pull * each)) / -6.0)


class Kernel:
    """Covariances of any rows with fixed ones.

    Args:
        seen: Features of the fixed rows, shape (n, f).
        layout: What the groups of features are.
        weights: Inverse squared lengthscale of each group, shape (g,).
        signal: Variance of the part in which all groups act together.
        main: Variance of the part in which each group acts by itself; 0 for none.
        fine: Variance of the part at a fifth of the lengthscales; 0 for none.
    """

    def __init__(
        self,
        seen: np.ndarray,
        layout: Layout,
        weights: np.ndarray,
        signal: float,
        main: float,
        fine: float = 0.0,
    ) -> None:
        self.layout, self.signal, self.fine = layout, signal, fine
        self.main = main / max(layout.count, 1)
        self.scale = np.sqrt(_FIVE * weights[layout.groups])
        scaled = seen * self.scale
        self.lines = np.ascontiguousarray(scaled.T[layout.lines])
        self.rough_lines = self.lines.astype(np.float32)
        self.batches = tuple(Batch(g, features, scaled) for g, features in layout.batches)
        # r^2 falls by 5 w, and what the group is by itself rises from `differing`, where equal
        each = weights[layout.groups[layout.edges]]
        differing = matern52(weights[layout.corners])[0]
        self._far = _FIVE * float(weights[layout.corners].sum())
        self._own = self.main * float(differing.sum())
        nearer = np.stack([-2.0 * _FIVE * each, 2.0 * self.main * (1.0 - matern52(each)[0])])
        self._nearer = nearer[:, :, None] * seen.T[layout.edges]

    def __len__(self) -> int:
        """How many fixed rows there are."""
        return self.lines.shape[1]

    def covariance(self, x: np.ndarray, *, rough: bool = False) -> np.ndarray:
        """Covariances with the fixed rows.

        Args:
            x: Features, shape (m, f).
            rough: Whether seven digits are enough; twice as fast.

        Returns:
            Shape (m, n).
        """
        far, own = self.sums(x, np.ones(self.layout.count, dtype=bool), rough=rough)
        together = _value(np.maximum(far, 0.0, out=far), self.signal, self.fine)
        together += own
        return together

    def sums(
        self, x: np.ndarray, used: np.ndarray, *, rough: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """What corners and some other groups add to squared distances and to covariances.

        Args:
            x: Features, shape (m, f).
            used: Which groups are meant, shape (g,).
            rough: Whether seven digits are enough.

        Returns:
            Five times the squared distances, and what each group does by itself, shapes (m, n).
        """
        n, layout = len(self), self.layout
        far, own = x[:, layout.edges] @ self._nearer
        far += self._far
        own += self._own
        lines = np.flatnonzero(used[layout.singles])
        scaled, seen = x * self.scale, (self.rough_lines if rough else self.lines)[lines]
        places = scaled.T[layout.lines[lines]].astype(seen.dtype)
        batches = [one for b in self.batches if (one := b.at(used[b.groups])) is not None]
        count = len(lines) + sum(len(one.groups) for one in batches)
        if not count:
            return far, own
        step = max(1, _PART // (count * n))
        work = np.empty((2, count, step, n), dtype=seen.dtype)
        for first in range(0, len(x), step):
            part = slice(first, first + step)
            size = min(step, len(x) - first)
            root, decay = work[0, :, :size], work[1, :, :size]
            np.subtract(places[:, part, None], seen[:, None, :], out=root[: len(lines)])
            at = len(lines)
            for one in batches:
                end = at + len(one.groups)
                root[at:end] = one.squares(scaled[part])
                np.sqrt(root[at:end], out=root[at:end])
                at = end
            far[part] += np.einsum("gmn,gmn->mn", root, root)
            if self.main:
                own[part] += _summed(root, decay, self.main)
        return far, own

    def walk(self, x: np.ndarray, moving: np.ndarray) -> Walk:
        """Covariances of a few rows of which only some groups will change.

        Args:
            x: Features, shape (m, f).
            moving: Which groups may change, shape (g,); those of corners never do.

        Returns:
            What has covariances and slopes.
        """
        return Walk(self, x, moving)


def _summed(root: np.ndarray, decay: np.ndarray, weight: float) -> np.ndarray:
    """Sums over the first axis of (1 + s + s^2/3) exp(-s), given -s or s; both are overwritten."""
    np.abs(root, out=root)
    np.negative(root, out=decay)
    np.exp(decay, out=decay)
    root += 1.5
    root *= root
    root += 0.75  # three times the polynomial
    return np.asarray(np.einsum("gmn,gmn->mn", root, decay) * (weight / 3.0))


class Batch:
    """Groups of w features each.

    Args:
        groups: Shape (k,).
        features: Of each, shape (k, w).
        seen: All scaled features of the fixed rows, shape (n, f).
    """

    def __init__(self, groups: np.ndarray, features: np.ndarray, seen: np.ndarray) -> None:
        self.groups, self.features, self._all = groups, features, seen
        self.seen = np.ascontiguousarray(seen[:, features].transpose(1, 0, 2))
        length = np.einsum("knw,knw->kn", self.seen, self.seen)[..., None]
        sides = (-2.0 * self.seen, np.ones_like(length), length)
        self._right = np.ascontiguousarray(np.concatenate(sides, axis=2).transpose(0, 2, 1))

    def at(self, used: np.ndarray) -> Batch | None:
        """Some of the groups; None where there are none."""
        if used.all():
            return self
        return Batch(self.groups[used], self.features[used], self._all) if used.any() else None

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


class Walk:
    """Covariances of a few rows with the fixed ones of a kernel, and their slopes.

    Args:
        kernel: Of the fixed rows.
        x: Features of the rows to begin with, shape (m, f).
        moving: Which groups may change, shape (g,).
    """

    def __init__(self, kernel: Kernel, x: np.ndarray, moving: np.ndarray) -> None:
        layout = kernel.layout
        moves = moving.copy()
        moves[layout.corners] = False
        self._kernel = kernel
        self._far, self._own = kernel.sums(x, ~moves)
        chosen = np.flatnonzero(moves[layout.singles])
        self._lines, self._seen = layout.lines[chosen], kernel.lines[chosen][:, None, :]
        self._batches = [one for b in kernel.batches if (one := b.at(moves[b.groups])) is not None]

    def at(self, x: np.ndarray) -> np.ndarray:
        """Covariances where the moving groups have come to.

        Args:
            x: Features, shape (m, f), as at first but for those of moving groups.

        Returns:
            Shape (m, n).
        """
        kernel = self._kernel
        self._scaled = x * kernel.scale
        self._apart = self._scaled.T[self._lines][:, :, None] - self._seen
        root = [np.abs(self._apart), *(np.sqrt(b.squares(self._scaled)) for b in self._batches)]
        roots = np.concatenate(root) if len(root) > 1 else root[0]
        far = np.einsum("gmn,gmn->mn", roots, roots)
        far += self._far
        together = np.sqrt(np.maximum(far, 0.0, out=far))
        covariance, pull = _with_pull(together)
        covariance *= kernel.signal
        covariance += self._own
        pull *= kernel.signal / -3.0
        if kernel.fine:
            fine, fine_pull = _with_pull(_FINER * together)
            covariance += kernel.fine * fine
            pull += (kernel.fine * _FINER**2 / -3.0) * fine_pull
        if kernel.main:
            each, self._pull = _with_pull(roots)
            covariance += kernel.main * each.sum(axis=0)
            self._pull *= kernel.main / -3.0
            self._pull += pull
        else:
            self._pull = np.broadcast_to(pull, roots.shape)
        return covariance

    def against(self, table: np.ndarray) -> np.ndarray:
        """Sums over the fixed rows of a table times the slopes of the covariances there.

        Args:
            table: Shape (n,) or (m, n).

        Returns:
            By each feature, shape (m, f); 0 where it cannot move.
        """
        found = np.zeros(self._scaled.shape)
        weighted = self._pull * table
        at = len(self._lines)
        found[:, self._lines] = np.einsum("gmn,gmn->mg", self._apart, weighted[:at])
        for batch in self._batches:
            part = weighted[at : at + len(batch.groups)]
            at += len(part)
            found[:, batch.features] = batch.against(self._scaled, part).transpose(1, 0, 2)
        found *= self._kernel.scale
        return found

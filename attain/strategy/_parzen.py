"""A density over a tree of mixed parameters: a weighted mixture with one kernel per trial.

Each kernel is a product over the parameters that are active at the point in question, parents
before children, so the density is one over structures (which parameters are active) and, within
each structure, over the values: it sums to 1 over the whole tree. Values of a parameter are learnt
from the trials that had it; the kernel of another trial stands at its default there.

- a number: a normal density around the trial's value, cut at the bounds;
- a number with few values, or an ordered choice: the same, integrated over each value's cell;
- a choice: the trial's own with probability 1 - b, any other equally likely (Aitchison and Aitken
  1976, Biometrika 63(3)).

The logarithm of a kernel is linear in features of the point (x^2, x, 1, and indicators of levels),
so that all kernels at all points are one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from attain.core.space import Categorical, level_value, start_value
from attain.strategy._encode import Axis, Cube

_FEW = 32  # values up to which a number's cells are integrated one by one
_TINY = 1e-300
_ALONE = 0.3  # width around a single centre


@dataclass(frozen=True, eq=False)
class Levels:
    """The values of one axis that has few of them.

    Attributes:
        centres: Their positions, shape (levels,).
        edges: Borders of their cells from 0 to 1, shape (levels + 1,).
    """

    centres: np.ndarray
    edges: np.ndarray

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Which level each position belongs to, same shape; NaN gives 0."""
        return np.searchsorted(self.edges[1:-1], np.nan_to_num(positions))


def few_levels(axis: Axis) -> Levels | None:
    """The values of an axis, if they are few.

    Args:
        axis: Any axis.

    Returns:
        None for a continuum and for long grids, which are as good as one.
    """
    if not axis.levels or (axis.levels > _FEW and not isinstance(axis.parameter, Categorical)):
        return None
    if axis.listed:
        centres = (np.arange(axis.levels) + 0.5) / axis.levels
    else:
        values = (level_value(axis.parameter, k) for k in range(axis.levels))
        centres = np.array([axis.position(value) for value in values])
    return Levels(centres, np.concatenate([[0.0], (centres[1:] + centres[:-1]) / 2, [1.0]]))


@dataclass(frozen=True, eq=False)
class Mixture:
    """A weighted mixture of kernels on a cube.

    Attributes:
        cube: The space.
        centres: One kernel each, shape (n, d); NaN where a kernel says nothing.
        widths: Standard deviations along each axis, shape (n, d).
        weights: Shape (n,), sum 1.
        leak: Probability b that a kernel gives to choices other than its own.
    """

    cube: Cube
    centres: np.ndarray
    widths: np.ndarray
    weights: np.ndarray
    leak: float = 0.2

    @cached_property
    def levels(self) -> tuple[Levels | None, ...]:
        """The values of each axis that has few."""
        return tuple(few_levels(axis) for axis in self.cube.axes)

    @cached_property
    def tables(self) -> tuple[np.ndarray, ...]:
        """Per axis with few values, the kernels' probabilities of each, shape (n, levels)."""
        return tuple(
            np.empty((0, 0)) if levels is None else self._table(i, levels)
            for i, levels in enumerate(self.levels)
        )

    @cached_property
    def _coefficients(self) -> np.ndarray:
        """The kernels' logarithms by features of a point, shape (f, n)."""
        blocks = [
            self._line(i) if levels is None else np.log(np.maximum(self.tables[i], _TINY)).T
            for i, levels in enumerate(self.levels)
        ]
        return np.vstack([np.empty((0, len(self.weights))), *blocks])

    def log_density(self, rows: np.ndarray) -> np.ndarray:
        """Logarithm of the density at settled points.

        Args:
            rows: Shape (m, d), NaN where inactive.

        Returns:
            Shape (m,); per unit of the cube for numbers, a probability for few values.
        """
        kernels = self._features(rows) @ self._coefficients + np.log(self.weights)
        top = kernels.max(axis=1)
        return np.asarray(top + np.log(np.exp(kernels - top[:, None]).sum(axis=1)))

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Independent draws, of inactive parameters too; `Cube.settle` takes those away.

        Args:
            count: How many.
            generator: Of all random choices.

        Returns:
            Shape (count, d), in [0, 1].
        """
        total = np.cumsum(self.weights)
        which = np.searchsorted(total, generator.random(count) * total[-1], side="right")
        rows = generator.random((count, len(self.cube)))
        for i, levels in enumerate(self.levels):
            if levels is not None:
                steps = np.cumsum(self.tables[i][which], axis=1)
                level = (rows[:, [i]] * steps[:, -1:] >= steps[:, :-1]).sum(axis=1)
                rows[:, i] = levels.centres[level]
            else:
                rows[:, i] = self._inverse(i, which, rows[:, i])
        return rows

    def _features(self, rows: np.ndarray) -> np.ndarray:
        active = ~np.isnan(rows)
        filled = np.where(active, rows, 0.0)
        blocks = [np.empty((len(rows), 0))]
        for i, levels in enumerate(self.levels):
            if levels is None:
                x = filled[:, i]
                blocks.append(np.column_stack([x * x, x, active[:, i]]))
            else:
                same = levels.of(filled[:, i])[:, None] == np.arange(len(levels.centres))
                blocks.append(same & active[:, [i]])
        return np.hstack(blocks)

    def _line(self, i: int) -> np.ndarray:
        """Coefficients of x^2, x and 1 in the logarithm of a cut normal density, shape (3, n)."""
        centre, width = self.centres[:, i], self.widths[:, i]
        told = ~np.isnan(centre)
        centre = np.where(told, centre, 0.0)
        inverse = np.where(told, width**-2.0, 0.0)
        mass = special.ndtr((1.0 - centre) / width) - special.ndtr(-centre / width)
        constant = -0.5 * inverse * centre**2 - np.log(np.sqrt(2 * np.pi) * width * mass)
        return np.array([-0.5 * inverse, inverse * centre, np.where(told, constant, 0.0)])

    def _table(self, i: int, levels: Levels) -> np.ndarray:
        centre, count = self.centres[:, i], len(levels.centres)
        told = ~np.isnan(centre)
        if isinstance(self.cube.axes[i].parameter, Categorical):
            if count == 1:
                return np.ones((len(centre), 1))
            other = np.where(told, self.leak / (count - 1), 1.0 / count)
            table = np.repeat(other[:, None], count, axis=1)
            table[told, levels.of(centre[told])] = 1.0 - self.leak
            return table
        scaled = (levels.edges - np.where(told, centre, 0.5)[:, None]) / self.widths[:, [i]]
        below = special.ndtr(scaled)
        cells = np.diff(below, axis=1) / (below[:, -1:] - below[:, :1])
        return np.where(told[:, None], cells, np.diff(levels.edges))

    def _inverse(self, i: int, which: np.ndarray, share: np.ndarray) -> np.ndarray:
        centre, width = self.centres[which, i], self.widths[which, i]
        told = ~np.isnan(centre)
        centre = np.where(told, centre, 0.0)
        low, high = special.ndtr(-centre / width), special.ndtr((1.0 - centre) / width)
        drawn = centre + width * special.ndtri(low + share * (high - low))
        return np.where(told, np.clip(drawn, 0.0, 1.0), share)


def spread_widths(centres: np.ndarray) -> np.ndarray:
    """Widths by Scott's rule along each axis, no narrower than a share of the range.

    Scott (1992, Multivariate Density Estimation, eq. 6.42): 1.059 sd n^(-1/(d + 4)). The floor is
    the "magic clip" of Bergstra et al. (2011): 1 / (n + 2), at least 1 / 100; without it a good
    group that has gathered in one place is never left again (Watanabe 2023, arXiv 2304.11127,
    section 3.3.3).

    Args:
        centres: Shape (n, d), NaN where a kernel says nothing.

    Returns:
        Shape (d,), between the floor and 1; `_ALONE` along an axis with fewer than two centres.
    """
    told = ~np.isnan(centres)
    count = told.sum(axis=0)
    mean = np.where(told, centres, 0.0).sum(axis=0) / np.maximum(count, 1)
    square = np.where(told, (centres - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    rule = 1.059 * np.sqrt(square) * np.maximum(count, 1) ** (-1.0 / (centres.shape[1] + 4))
    floor = 1.0 / np.minimum(100.0, len(centres) + 2.0)
    return np.clip(np.where(count > 1, rule, _ALONE), floor, 1.0)


def fit(cube: Cube, rows: np.ndarray, weights: np.ndarray) -> Mixture:
    """The density of some trials, and one more kernel for what is believed without them.

    The prior's kernel is as wide as the range, around the known-good default, and uniform over
    choices; its weight is that of an average trial (Watanabe 2023, section 3.3.4). The kernel of a
    trial stands at the default of a parameter that the trial did not have, at the nearest bound of
    one whose value is out of range by now, and is flat over choices of which its own is gone.

    Args:
        cube: The space.
        rows: Points of the trials, shape (n, d), NaN where inactive.
        weights: Of the trials, positive, shape (n,).

    Returns:
        A mixture of n + 1 kernels.
    """
    prior = start_row(cube)
    told = np.clip(rows, 0.0, 1.0)
    listed = np.array([axis.listed for axis in cube.axes], dtype=bool)
    centres = np.where(np.isnan(rows), prior, np.where(listed & (rows < 0.0), np.nan, told))
    prior[[isinstance(axis.parameter, Categorical) for axis in cube.axes]] = np.nan
    widths = np.vstack([np.tile(spread_widths(told), (len(rows), 1)), np.ones(len(cube))])
    weights = np.append(weights, weights.mean() if len(weights) else 1.0)
    return Mixture(cube, np.vstack([centres, prior]), widths, weights / weights.sum())


def start_row(cube: Cube) -> np.ndarray:
    """Where every parameter's start value lies, active or not, shape (d,)."""
    return np.array([axis.position(start_value(axis.parameter)) for axis in cube.axes], dtype=float)

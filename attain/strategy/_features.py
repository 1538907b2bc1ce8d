"""Points of the cube as features of a Gaussian process, conditional parameters included.

One squared distance per parameter, all of them exact Euclidean distances of some embedding, so the
kernel is always positive definite:

- a number: its position;
- a number that is not always active: a point on an arc of radius 1 while active, the arc's centre
  while not (Hutter and Osborne 2013, arXiv 1310.5738). Two active values are about as far apart as
  their positions, two inactive ones are equal, an active and an inactive one are at distance 1;
- a choice: a corner of a simplex, so that any two differ by 1 (Hamming); being inactive, or being a
  choice that is no longer offered, is one more corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attain.core.space import Categorical
from attain.strategy._encode import Cube

_CORNER = np.sqrt(0.5)


@dataclass(frozen=True)
class Features:
    """The embedding of a cube.

    Attributes:
        cube: The space.
    """

    cube: Cube

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many features each parameter has."""
        return tuple(self._width(i) for i in range(len(self.cube)))

    @cached_property
    def groups(self) -> np.ndarray:
        """Which parameter each feature belongs to, shape (f,)."""
        return np.repeat(np.arange(len(self.cube)), self.widths)

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Features of points.

        Args:
            rows: Points of the cube, shape (m, d), NaN where inactive.

        Returns:
            Shape (m, f).
        """
        features = np.zeros((len(rows), len(self.groups)))
        lines, arcs = self._lines, self._arcs
        features[:, self._starts[lines]] = rows[:, lines]
        if len(arcs):
            positions = rows[:, arcs]
            active = ~np.isnan(positions)
            features[:, self._starts[arcs]] = np.sin(positions, where=active, out=_zeros(active))
            features[:, self._starts[arcs] + 1] = np.cos(
                positions, where=active, out=_zeros(active)
            )
        each = np.arange(len(rows))
        for i in self._choices:
            features[each, self._starts[i] + self._corner(i, rows[:, i])] = _CORNER
        return features

    def pull_back(self, rows: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Gradients by position from gradients by features.

        Args:
            rows: The points, shape (m, d), NaN where inactive.
            gradients: By the features, shape (m, f).

        Returns:
            Shape (m, d); 0 for choices and inactive parameters.
        """
        pulled = np.zeros_like(rows)
        lines, arcs = self._lines, self._arcs
        pulled[:, lines] = gradients[:, self._starts[lines]]
        if len(arcs):
            positions, first = rows[:, arcs], self._starts[arcs]
            pulled[:, arcs] = np.cos(positions) * gradients[:, first]
            pulled[:, arcs] -= np.sin(positions) * gradients[:, first + 1]
        return np.where(np.isnan(rows), 0.0, pulled)

    def blocks(self, rows: np.ndarray) -> np.ndarray:
        """Which branch of the space each point belongs to, shape (m,); 0 if there is but one."""
        root = self.cube.space.root
        if root is None:
            return np.zeros(len(rows), dtype=int)
        column = self.cube.column[root.name]
        return self._corner(column, rows[:, column])

    @cached_property
    def _starts(self) -> np.ndarray:
        """First feature of each parameter, shape (d,)."""
        return np.concatenate([[0], np.cumsum(self.widths)[:-1]]).astype(int)

    @cached_property
    def _choices(self) -> tuple[int, ...]:
        """Parameters that are choices."""
        return tuple(i for i in range(len(self.cube)) if self._is_choice(i))

    @cached_property
    def _lines(self) -> np.ndarray:
        """Numbers that are always active."""
        return np.array([i for i, w in enumerate(self.widths) if w == 1], dtype=int)

    @cached_property
    def _arcs(self) -> np.ndarray:
        """Numbers that are not always active."""
        numbers = (i for i, w in enumerate(self.widths) if w == 2 and i not in self._choices)
        return np.array(list(numbers), dtype=int)

    def _is_choice(self, i: int) -> bool:
        return isinstance(self.cube.axes[i].parameter, Categorical)

    def _width(self, i: int) -> int:
        if self._is_choice(i):
            return self.cube.axes[i].levels + 2
        return 2 if self.cube.axes[i].parameter.when else 1

    def _corner(self, i: int, position: np.ndarray) -> np.ndarray:
        levels = self.cube.axes[i].levels
        inactive = np.isnan(position)
        level = np.floor(np.where(inactive, 0.0, position) * levels).astype(int)
        level = np.where(level < 0, levels, level)  # no longer offered
        return np.where(inactive, levels + 1, level)


def _zeros(like: np.ndarray) -> np.ndarray:
    return np.zeros(like.shape)

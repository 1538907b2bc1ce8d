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
        start = 0
        for i, width in enumerate(self.widths):
            position = rows[:, i]
            target = features[:, start : start + width]
            start += width
            if self._is_choice(i):
                target[np.arange(len(rows)), self._corner(i, position)] = _CORNER
            elif width == 1:
                target[:, 0] = position
            else:
                active = ~np.isnan(position)
                target[active, 0] = np.sin(position[active])
                target[active, 1] = np.cos(position[active])
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
        start = 0
        for i, width in enumerate(self.widths):
            part = gradients[:, start : start + width]
            start += width
            if self._is_choice(i):
                continue
            if width == 1:
                pulled[:, i] = part[:, 0]
            else:
                pulled[:, i] = np.cos(rows[:, i]) * part[:, 0] - np.sin(rows[:, i]) * part[:, 1]
        return np.where(np.isnan(rows), 0.0, pulled)

    def blocks(self, rows: np.ndarray) -> np.ndarray:
        """Which branch of the space each point belongs to, shape (m,); 0 if there is but one."""
        root = self.cube.space.root
        if root is None:
            return np.zeros(len(rows), dtype=int)
        column = self.cube.column[root.name]
        return self._corner(column, rows[:, column])

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

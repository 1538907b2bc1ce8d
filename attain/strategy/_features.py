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
_MOST_KEPT = 8  # embeddings of searches under way in one process


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

    @cached_property
    def corners(self) -> tuple[int, ...]:
        """Parameters that are choices: corners of a simplex."""
        return tuple(i for i in range(len(self.cube)) if self._is_choice(i))

    @cached_property
    def moving(self) -> np.ndarray:
        """Which parameters are climbed along slopes, shape (d,)."""
        return np.array([one.climbed for one in self.cube.axes], dtype=bool)

    @cached_property
    def branching(self) -> bool:
        """Whether some parameters are not always active."""
        return any(one.parameter.when for one in self.cube.axes)

    @cached_property
    def kind(self) -> tuple[object, ...]:
        """What features and blocks depend on beside the points."""
        root = self.cube.space.root
        return self.widths, None if root is None else self.cube.column[root.name]

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Features of points.

        Args:
            rows: Points of the cube, shape (m, d), NaN where inactive.

        Returns:
            Shape (m, f).
        """
        features = np.zeros((len(rows), len(self.groups)))
        if self.corners:
            corner = self._corner(self._choices, rows[:, self._choices])
            features[np.arange(len(rows))[:, None], self._starts[self._choices] + corner] = _CORNER
        return self.moved(features, rows)

    def moved(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The same table of features, with those of numbers overwritten.

        Args:
            features: Of points with the same choices, shape (m, f).
            rows: Points of the cube, shape (m, d), NaN where inactive.

        Returns:
            Shape (m, f).
        """
        features[:, self._line_features] = rows[:, self._lines]
        if len(self._arcs):
            positions, first = rows[:, self._arcs], self._arc_features
            active = ~np.isnan(positions)
            positions = np.where(active, positions, 0.0)
            features[:, first] = np.sin(positions)
            features[:, first + 1] = np.where(active, np.cos(positions), 0.0)
        return features

    def pull_back(self, rows: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Gradients by position from gradients by features.

        Args:
            rows: The points, shape (m, d), NaN where inactive.
            gradients: By the features, shape (m, f).

        Returns:
            Shape (m, d); 0 for choices and inactive parameters.
        """
        pulled = np.zeros(rows.shape)
        pulled[:, self._lines] = gradients[:, self._line_features]
        if len(self._arcs):
            positions, first = rows[:, self._arcs], self._arc_features
            slope = np.cos(positions) * gradients[:, first]
            slope -= np.sin(positions) * gradients[:, first + 1]
            pulled[:, self._arcs] = np.where(np.isnan(positions), 0.0, slope)
        return pulled

    def blocks(self, rows: np.ndarray) -> np.ndarray:
        """Which branch of the space each point belongs to, shape (m,); 0 if there is but one."""
        root = self.cube.space.root
        if root is None:
            return np.zeros(len(rows), dtype=int)
        column = self.cube.column[root.name]
        return self._corner(np.array([column]), rows[:, [column]])[:, 0]

    @cached_property
    def _starts(self) -> np.ndarray:
        """First feature of each parameter, shape (d,)."""
        return np.concatenate([[0], np.cumsum(self.widths)[:-1]]).astype(int)

    @cached_property
    def _choices(self) -> np.ndarray:
        return np.array(self.corners, dtype=int)

    @cached_property
    def _levels(self) -> np.ndarray:
        return np.array([one.levels for one in self.cube.axes], dtype=int)

    @cached_property
    def _lines(self) -> np.ndarray:
        """Numbers that are always active."""
        return np.array([i for i, w in enumerate(self.widths) if w == 1], dtype=int)

    @cached_property
    def _arcs(self) -> np.ndarray:
        """Numbers that are not always active."""
        numbers = (i for i, w in enumerate(self.widths) if w == 2 and i not in self.corners)
        return np.array(list(numbers), dtype=int)

    @cached_property
    def _line_features(self) -> np.ndarray:
        return self._starts[self._lines]

    @cached_property
    def _arc_features(self) -> np.ndarray:
        """The first feature of each."""
        return self._starts[self._arcs]

    def _is_choice(self, i: int) -> bool:
        return isinstance(self.cube.axes[i].parameter, Categorical)

    def _width(self, i: int) -> int:
        if self._is_choice(i):
            return self.cube.axes[i].levels + 2
        return 2 if self.cube.axes[i].parameter.when else 1

    def _corner(self, choices: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Which corner each position of some choices is, both of shape (m, c)."""
        levels = self._levels[choices]
        inactive = np.isnan(positions)
        level = np.floor(np.where(inactive, 0.0, positions) * levels).astype(int)
        level = np.where(level < 0, levels, level)  # no longer offered
        return np.where(inactive, levels + 1, level)


_kept: list[Features] = []


def features_of(cube: Cube) -> Features:
    """The embedding of a cube; the same object as long as the cube is in use."""
    found = next((one for one in _kept if one.cube is cube), None)
    if found is None:
        found = Features(cube)
        _kept.append(found)
        del _kept[:-_MOST_KEPT]
    return found

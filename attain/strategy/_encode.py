"""Configurations as points of the unit cube, one axis per parameter.

A number sits where it lies between its bounds on its scale; a value of a grid or a list of choices
owns a cell of the axis and sits at the cell's centre. An inactive parameter is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attain.core.space import Config, Parameter, Scalar, Space, holds, start_value
from attain.strategy._allowed import allowed, lies_at, places
from attain.strategy._axis import Axis, axis
from attain.strategy._prior import has_priors, log_density, shaped

__all__ = ["Axis", "Cube", "Key", "axis"]

Key = tuple[float | int | None, ...]


@dataclass(frozen=True)
class Cube:
    """A space as a unit cube.

    Attributes:
        space: The space.
    """

    space: Space

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """One axis per parameter, parents first."""
        return tuple(axis(p) for p in self.space.ordered)

    @cached_property
    def column(self) -> dict[str, int]:
        """Position of each parameter's axis."""
        return {a.parameter.name: i for i, a in enumerate(self.axes)}

    @cached_property
    def parents(self) -> frozenset[str]:
        """Names of the parameters that others depend on."""
        return frozenset(c.parent for p in self.space for c in p.when)

    @cached_property
    def repeats(self) -> bool:
        """Whether two draws can be equal: no continuous parameter is always active.

        Also where clauses refuse draws, so that what a later trial would take was taken before.
        """
        if self.space.clauses:
            return True
        return not any(a.levels == 0 and not a.parameter.when for a in self.axes)

    @cached_property
    def draws(self) -> int:
        """How many coordinates a draw needs: one each, and one more where there are priors."""
        return len(self) + has_priors(self.axes)

    @cached_property
    def trunk(self) -> Cube | None:
        """Those parameters that every branch has, without clauses.

        None where there are no branches, or where no number is among them: a choice alone is no
        landscape.
        """
        always = tuple(a for a in self.axes if not a.parameter.when)
        if len(always) == len(self) or all(a.listed for a in always):
            return None
        return Cube(Space(tuple(a.parameter for a in always)))

    def __len__(self) -> int:
        return len(self.axes)

    def decode(self, row: np.ndarray) -> dict[str, Scalar]:
        """The configuration at a point of the cube.

        Args:
            row: Positions in [0, 1], shape (d,); those of inactive parameters are not read.

        Returns:
            Values of the active parameters.
        """
        config: dict[str, Scalar] = {}
        for one, position in zip(self.axes, row, strict=True):
            if _is_active(one.parameter, config):
                config[one.parameter.name] = one.value(float(position))
        return config

    def encode(self, config: Config) -> np.ndarray | None:
        """Where a configuration lies, also one from an earlier version of the space.

        Values out of range lie outside of the cube; a choice that is no longer offered is unlike
        all others; a parameter that did not exist yet is taken at its start value, which is what
        was used then.

        Args:
            config: Any configuration.

        Returns:
            Shape (d,), NaN where inactive; None when the configuration says nothing about this
            space, such as one of a learner that is no longer part of it.
        """
        full = self._complete(config)
        if full is None:
            return None
        row = np.full(len(self), np.nan)
        for i, one in enumerate(self.axes):
            name = one.parameter.name
            if name in full:
                row[i] = one.position(full[name])
                gone = row[i] < 0 and one.listed
                if gone and name in self.parents and not one.parameter.when:
                    return None  # a learner that is no longer offered
        return row

    def key(self, config: Config) -> Key | None:
        """What two equal configurations have in common, whichever version they were made for.

        Args:
            config: Any configuration.

        Returns:
            A hashable value; None when the configuration is not in this space.
        """
        full = self._complete(config)
        if full is None:
            return None
        parts: list[float | int | None] = []
        for one in self.axes:
            name = one.parameter.name
            if name not in full:
                parts.append(None)
            elif not one.parameter.contains(full[name]):
                return None
            else:
                parts.append(one.level(full[name]) if one.levels else float(full[name]))
        return tuple(parts)

    def keys(self, configs: Iterable[Config]) -> set[Key]:
        """Keys of those configurations that are in the space."""
        return {key for config in configs if (key := self.key(config)) is not None}

    def settle(self, rows: np.ndarray) -> np.ndarray:
        """Move points to the nearest that stand for configurations.

        Args:
            rows: Any numbers, shape (m, d).

        Returns:
            Shape (m, d), in the cube; NaN where inactive.
        """
        settled = np.clip(rows, 0.0, 1.0)
        columns, levels = self._listed
        if len(columns):
            cells = np.minimum(np.floor(settled[:, columns] * levels), levels - 1)
            settled[:, columns] = (cells + 0.5) / levels
        for i in self._grids:
            settled[:, i] = self.axes[i].settle(settled[:, i])
        held: dict[tuple[int, bytes], np.ndarray] = {}
        for i, parent, at in self._conditions:
            key = parent, at.tobytes()
            if key not in held:  # siblings ask for the same, and a parent is settled before them
                held[key] = ~lies_at(self.axes[parent], at, settled[:, parent])
            settled[held[key], i] = np.nan
        return settled

    @cached_property
    def _listed(self) -> tuple[np.ndarray, np.ndarray]:
        """Axes of choices, and how many each has."""
        columns = [i for i, one in enumerate(self.axes) if one.listed]
        return np.array(columns, dtype=int), np.array([self.axes[i].levels for i in columns])

    @cached_property
    def _grids(self) -> tuple[int, ...]:
        """Axes of numbers on a grid."""
        return tuple(i for i, one in enumerate(self.axes) if one.levels and not one.listed)

    @cached_property
    def _conditions(self) -> tuple[tuple[int, int, np.ndarray], ...]:
        """Axis, its parent's axis, and where the parent must be; parents first."""
        found = []
        for i, one in enumerate(self.axes):
            for condition in one.parameter.when:
                parent = self.column[condition.parent]
                found.append((i, parent, places(self.axes[parent], condition)))
        return tuple(found)

    def shaped(self, points: np.ndarray) -> np.ndarray:
        """Points that follow the priors, from evenly spread ones.

        Args:
            points: In [0, 1), shape (m, draws).

        Returns:
            Shape (m, d), in the cube.
        """
        return shaped(self.axes, points)

    def log_prior(self, rows: np.ndarray) -> np.ndarray:
        """Logarithm of how much likelier points are under the priors than under uniform draws.

        Args:
            rows: Settled points, shape (m, d), NaN where inactive.

        Returns:
            Shape (m,); 0 everywhere without priors, and never far below 0: a share of all draws
            is uniform.
        """
        return log_density(self.axes, rows)

    def allowed(self, rows: np.ndarray) -> np.ndarray:
        """Which points the clauses of the space permit.

        Args:
            rows: Settled points, shape (m, d), NaN where inactive.

        Returns:
            Booleans, shape (m,).
        """
        return allowed(self.space, self.axes, rows)

    def _complete(self, config: Config) -> dict[str, Scalar] | None:
        """The active values, with start values where a number or choice is missing."""
        full: dict[str, Scalar] = {}
        missing = False
        for one in self.axes:
            name = one.parameter.name
            if not _is_active(one.parameter, full):
                continue
            value = config.get(name)
            if value is None or not (one.listed or _is_number(value)):
                value, missing = start_value(one.parameter), True
            full[name] = value
        # Both missing and unknown parameters: a configuration of something else.
        known = {*self.column, *self.space.retired}
        if missing and any(name not in known for name in config):
            return None
        return full


def _is_number(value: Scalar) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _is_active(parameter: Parameter, config: Config) -> bool:
    return all(holds(condition, config) for condition in parameter.when)

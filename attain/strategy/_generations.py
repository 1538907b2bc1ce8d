"""The state of CMA-ES after a history: generations told one after the other, kept between calls."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cmaes import CMAwM

from attain.core.seeds import derive
from attain.core.space import Categorical
from attain.strategy._encode import Cube
from attain.strategy._parzen import Levels, few_levels

_STORED = 8  # searches under way at the same time in one process
_SNAPSHOTS = 16  # generations that late results can reach without telling all of them anew


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The numbers of a cube as CMA-ES sees them: each in [0, 1], grids evenly spaced.

    Attributes:
        cube: The space.
    """

    cube: Cube

    @cached_property
    def columns(self) -> np.ndarray:
        """Which axes are numbers or ordered choices with more than one value, shape (k,)."""
        axes = enumerate(self.cube.axes)
        free = [i for i, a in axes if a.levels != 1 and not isinstance(a.parameter, Categorical)]
        return np.array(free, dtype=int)

    @cached_property
    def levels(self) -> tuple[Levels | None, ...]:
        """The values of those axes that have few, which get a margin."""
        return tuple(few_levels(self.cube.axes[i]) for i in self.columns)

    @cached_property
    def steps(self) -> np.ndarray:
        """Distance between values, 0 for a continuum, shape (k,)."""
        return np.array([0.0 if one is None else 1.0 / len(one.centres) for one in self.levels])

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates of points of shape (m, d), shape (m, k); NaN where inactive."""
        found = np.clip(rows[:, self.columns], 0.0, 1.0)
        for i, one in enumerate(self.levels):
            if one is not None:
                told = ~np.isnan(found[:, i])
                found[told, i] = (one.of(found[told, i]) + 0.5) * self.steps[i]
        return found

    def back(self, coordinates: np.ndarray) -> np.ndarray:
        """Positions along the axes, shape (k,)."""
        found = np.clip(coordinates, 0.0, 1.0)
        for i, one in enumerate(self.levels):
            if one is not None:
                found[i] = one.centres[min(int(found[i] / self.steps[i]), len(one.centres) - 1)]
        return found

    def begin(
        self,
        mean: np.ndarray,
        sigma: float,
        population: int | None,
        shape: np.ndarray | None = None,
    ) -> CMAwM:
        """A distribution around a mean of shape (k,) with covariance sigma^2 times the shape."""
        bounds = np.stack([self.steps / 2, 1.0 - self.steps / 2], axis=1)
        inside = np.clip(mean, bounds[:, 0], bounds[:, 1])
        sizes = {"population_size": population, "cov": shape}
        return CMAwM(inside, sigma, bounds, self.steps, seed=0, **sizes)


@dataclass(frozen=True, eq=False)
class Generations:
    """What is told.

    Attributes:
        coordinates: Of the space.
        seed: Of the study.
        first: Position in the history of the first trial that is told.
        points: Coordinates of the trials, shape (g, population, k), NaN where they have none.
        ranks: What they are sorted by in their generation, shape (g, population).
        start: Before anything was told.
    """

    coordinates: Coordinates
    seed: int
    first: int
    points: np.ndarray
    ranks: np.ndarray
    start: CMAwM

    def tell(self, state: CMAwM, number: int) -> CMAwM:
        """The state after one more generation.

        A search that has converged starts again somewhere else (Auger and Hansen 2005).
        """
        population = self.start.population_size
        told = copy.deepcopy(state)
        points = np.where(np.isnan(self.points[number]), told.mean, self.points[number])
        if self.coordinates.steps.any():
            place = self.first + number * population
            points = [self._as_drawn(told, place + i, x) for i, x in enumerate(points)]
        told.tell(
            [(shortened(told, x), r) for x, r in zip(points, self.ranks[number], strict=True)]
        )
        if not told.should_stop():
            return told
        rng = np.random.default_rng(derive(self.seed, "cmaes restart", number))
        return self.coordinates.begin(rng.random(told.dim), 0.3, population)

    def _as_drawn(self, state: CMAwM, place: int, point: np.ndarray) -> np.ndarray:
        """A trial's point before its values were moved to the grid, if this state drew it."""
        state.reseed_rng(derive(self.seed, "cmaes", place))
        settled, drawn = state.ask()
        grid = self.coordinates.steps > 0
        return np.where(grid & np.isclose(settled, point, rtol=0, atol=1e-9), drawn, point)

    def shared(self, other: Generations) -> int:
        """How many generations, from the first on, are the same."""
        count = min(len(self.ranks), len(other.ranks))
        a, b = self.points[:count], other.points[:count]
        same = ((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=(1, 2))
        same &= (self.ranks[:count] == other.ranks[:count]).all(axis=1)
        return count if same.all() else int(np.argmin(same))

    def same_start(self, other: Generations) -> bool:
        """Whether two searches begin alike."""
        a, b = self.start, other.start
        return (
            self.coordinates.cube is other.coordinates.cube
            and (self.seed, self.first) == (other.seed, other.first)
            and a.population_size == b.population_size
            and np.array_equal(a.mean, b.mean)
            and np.array_equal(a._cma._C, b._cma._C)
            and step_size(a) == step_size(b)
        )


@dataclass(frozen=True, eq=False)
class Told:
    """States that were reached.

    Attributes:
        generations: What was told.
        states: After so many generations, the latest ones.
    """

    generations: Generations
    states: dict[int, CMAwM]


_told: list[Told] = []
_lock = threading.Lock()


def latest(generations: Generations) -> CMAwM:
    """The state after all generations; fast when most of them were told before.

    Args:
        generations: What is told.

    Returns:
        A state that the caller may change.
    """
    with _lock:
        entry = next((t for t in reversed(_told) if t.generations.same_start(generations)), None)
    shared = entry.generations.shared(generations) if entry is not None else 0
    states = {n: s for n, s in entry.states.items() if n <= shared} if entry is not None else {}
    reached = max(states, default=0)
    state = states.get(reached, generations.start)
    for number in range(reached, len(generations.ranks)):
        state = states[number + 1] = generations.tell(state, number)
        states.pop(number + 1 - _SNAPSHOTS, None)
    with _lock:
        if entry in _told:
            _told.remove(entry)
        _told.append(Told(generations, states))
        del _told[:-_STORED]
    return copy.deepcopy(state)


def shortened(state: CMAwM, point: np.ndarray) -> np.ndarray:
    """A point moved towards the mean until it is one that the state might have drawn.

    Hansen (2011, arXiv 1110.4181), eq. 4: a step of Mahalanobis length above
    sqrt(k) + 2 k / (k + 2) is shortened to that. The library does not offer its covariance, so this
    reads what it keeps.

    Args:
        state: The distribution.
        point: Shape (k,).

    Returns:
        Shape (k,).
    """
    axes, scales = state._cma._eigen_decomposition()
    step = point - state.mean
    length = float(np.linalg.norm((axes.T @ step) / scales)) / step_size(state)
    most = np.sqrt(state.dim) + 2.0 * state.dim / (state.dim + 2.0)
    return np.asarray(state.mean + step * min(1.0, most / max(length, 1e-300)))


def step_size(state: CMAwM) -> float:
    """The overall standard deviation of a state."""
    return float(state._cma._sigma)


def sorted_ranks(order: np.ndarray, open_: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """What the trials of each generation are sorted by.

    Args:
        order: Rank of each finished trial among all, infinite for the others, shape (g, p).
        open_: Which trials say nothing yet, shape (g, p); they stand in the middle.
        failed: Which trials failed, shape (g, p); they stand last.

    Returns:
        Shape (g, p).
    """
    inside = np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1, kind="stable")
    half = np.ceil(np.isfinite(order).sum(axis=1, keepdims=True) / 2) - 0.5
    return np.where(open_, half, np.where(failed, order.shape[1], inside)).astype(float)


def draw(
    coordinates: Coordinates, state: CMAwM, seed: int, chances: Sequence[np.ndarray]
) -> np.ndarray:
    """One point of the cube from a state, and from the chances of each choice.

    Args:
        coordinates: Of the space.
        state: The distribution of the numbers; its generator is set anew.
        seed: Of all random choices.
        chances: Per axis the probabilities of its choices; empty for a number.

    Returns:
        Shape (d,), not yet settled.
    """
    rng = np.random.default_rng(seed)
    row = rng.random(len(coordinates.cube))
    for i, chance in enumerate(chances):
        if len(chance):
            level = min(int((np.cumsum(chance) <= row[i]).sum()), len(chance) - 1)
            row[i] = (level + 0.5) / len(chance)
    if len(coordinates.columns):
        state.reseed_rng(seed)
        row[coordinates.columns] = coordinates.back(state.ask()[0])
    return row

"""CMA-ES with margin over the numbers, independent frequencies over the choices.

Hansen (2016, arXiv 1604.00772) by the library `cmaes` (Nomura and Shibata 2024, arXiv 2402.01373);
the margin keeps every neighbouring value of a grid reachable (Hamano et al. 2022, arXiv
2205.13482).

The state is read from the history. Trials after the warm start, in order of asking, are cut into
generations of one population each, whoever asked for them: a trial that the state would not have
drawn takes part as an injected point, its step shortened (Hansen 2011, arXiv 1110.4181). A
generation is told as soon as all its trials were asked and half of them ended; those still under
way rank in the middle, where weights are about zero, and failed ones last. When late results
arrive, the generations from there on are told anew. A parameter that a trial did not have counts
as if it had been at the mean, so that it moves nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from cmaes import CMAwM, get_warm_start_mgd

from attain.core.seeds import derive
from attain.core.space import Categorical
from attain.strategy._cache import Encoded, State
from attain.strategy._generations import Coordinates, Generations, draw, latest, sorted_ranks
from attain.strategy._initial import defaults
from attain.strategy._opening import Learning, Opening
from attain.strategy._parzen import start_row
from attain.strategy._standing import Standing, finished

_TRIES = 25  # draws without anything new before an evenly spread point is taken
_SIGMA = (0.1, 0.3)  # of the start: least and most, as a share of the range
_ENOUGH = 10  # trials from which the start has a shape
_BEST, _AROUND = 0.2, 0.1  # their share, and the width around each (Nomura et al.: 0.1 and 0.1)
_GOOD = 0.25  # share of the finished trials that choices are drawn from


@dataclass(frozen=True)
class CmaEs(Learning[Standing]):
    """Search by a normal distribution that adapts its shape; for many trials and mostly numbers.

    Attributes:
        population: Trials per generation; None for 4 + 3 log k (Hansen 2016, table 1).
        spread_starts: Evenly spread points after the known-good defaults.
        warm: So many trials at the beginning only say where to start and how widely; None for the
            defaults and the evenly spread points. All that another strategy asked for, when this
            one takes over from it.
    """

    population: int | None = None
    spread_starts: int = 5
    warm: int | None = None

    def _lesson(self, past: Encoded) -> Standing | None:
        standing = finished(past, by_loss=True)
        return standing if len(standing.places) >= 2 and len(past.cube) else None

    def _starts(self, lesson: Standing) -> int:
        return self.spread_starts

    def _go_on(self, begun: Opening, lesson: Standing) -> None:
        past, seed = begun.past, begun.seed
        coordinates, chances = Coordinates(past.cube), _chances(past, lesson)
        state = self._state(past, lesson, coordinates, seed)
        while begun.open:
            place = derive(seed, "cmaes", begun.asked)
            seeds = (place, *(derive(place, "again", i) for i in range(1, _TRIES)))
            rows = (draw(coordinates, state, one, chances) for one in seeds)
            if not begun.add((past.cube.settle(r[None])[0] for r in rows), _reason(state)):
                return

    def _state(
        self, past: Encoded, standing: Standing, coordinates: Coordinates, seed: int
    ) -> CMAwM | None:
        """The distribution after all generations that can be told; None without numbers."""
        if not len(coordinates.columns):
            return None
        opened = len(defaults(past.cube.space)) + self.spread_starts
        first = opened if self.warm is None else self.warm
        start = self._start(past, standing, coordinates, first)
        rank = np.full(len(past.history), np.inf)
        rank[standing.places[standing.best_first(len(rank))]] = np.arange(len(standing.places))
        size = start.population_size
        shape = (max(len(rank) - first, 0) // size, size)
        told = slice(first, first + shape[0] * size)
        states, order = past.states[told].reshape(shape), rank[told].reshape(shape)
        running = (states == State.RUNNING).sum(axis=1)
        count = int(np.argmax([*(running > size // 2), True]))  # told up to the first open one
        failed = states == State.FAILED
        ranks = sorted_ranks(order, ~np.isfinite(order) & ~failed, failed)
        points = coordinates.of(past.rows[told]).reshape(*shape, len(coordinates.columns))
        return latest(Generations(coordinates, seed, first, points[:count], ranks[:count], start))

    def _start(
        self, past: Encoded, standing: Standing, coordinates: Coordinates, first: int
    ) -> CMAwM:
        """Around the best of the first trials, as widely as they spread.

        From ten trials on, the normal distribution that is nearest to small ones around the best
        fifth (Nomura et al. 2021, WS-CMA-ES, arXiv 2012.06932, eq. 8 and 9).
        """
        order = standing.best_first(len(standing.places))
        places = standing.places[order]
        places = places[places < first] if (places < first).any() else places[:1]
        points = coordinates.of(past.rows[places])
        middle = coordinates.of(start_row(past.cube)[None])[0]
        points = np.where(np.isnan(points), middle, points)
        if len(points) < _ENOUGH:
            spread = np.sqrt(np.mean((points[:3] - points[0]) ** 2))
            sigma = float(np.clip(spread, *_SIGMA))
            return coordinates.begin(points[0], sigma, self.population)
        ranked = [(point, float(rank)) for rank, point in enumerate(points)]
        mean, sigma, shape = get_warm_start_mgd(ranked, _BEST, _AROUND)
        return coordinates.begin(mean, sigma, self.population, shape)


def _chances(past: Encoded, standing: Standing) -> list[np.ndarray]:
    """Per axis the probabilities of its choices: frequencies among good trials, one vote spread."""
    count = math.ceil(_GOOD * len(standing.places))
    rows = past.rows[standing.places[standing.best_first(count)[:count]]]
    return [
        _frequencies(rows[:, i], axis.levels)
        if isinstance(axis.parameter, Categorical)
        else np.empty(0)
        for i, axis in enumerate(past.cube.axes)
    ]


def _frequencies(positions: np.ndarray, levels: int) -> np.ndarray:
    told = positions[(positions >= 0) & (positions <= 1)]
    votes = np.bincount((told * levels).astype(int), minlength=levels) + 1.0 / levels
    return np.asarray(votes / votes.sum())


def _reason(state: CMAwM | None) -> str:
    if state is None:
        return "choices as frequent as among the good trials"
    return f"drawn from generation {state.generation + 1} of CMA-ES"

"""Tree-structured Parzen estimator: densities of good and of bad trials over a tree of parameters.

Bergstra et al. (2011, NeurIPS 24), in the multivariate form and with the settings of Watanabe
(2023, arXiv 2304.11127): the next configuration is the one, among some drawn from the density of
good trials, where that density is largest against the density of the bad ones.

Conditional parameters are part of one density (`_parzen`). Which of them are active is drawn first,
from the good trials; only candidates with the same active parameters are compared, because the
ratio of densities over many parameters is larger by chance than that over few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from attain.core.seeds import derive
from attain.stats import acquisition, pareto
from attain.strategy import _parzen
from attain.strategy._cache import Encoded, State
from attain.strategy._encode import Cube
from attain.strategy._opening import Learning, Opening
from attain.strategy._standing import Standing, finished

_OVERDRAWN = 4  # draws per candidate, of which those with the same active parameters are kept
_PRIOR = 10.0  # trials until a stated prior is outweighed (Hvarfner et al. 2022, piBO, eq. 6)
_LEAST_WEIGHT = 0.1  # of the worst good trial, as a share of the mean


@dataclass(frozen=True, eq=False)
class Split:
    """Good and bad trials.

    Attributes:
        cube: The space.
        good: Points, shape (g, d), NaN where inactive.
        good_weights: Shape (g,).
        bad: Points, shape (b, d).
        bad_weights: How many trials each stands for, shape (b,).
        finished: How many trials were divided.
    """

    cube: Cube
    good: np.ndarray
    good_weights: np.ndarray
    bad: np.ndarray
    bad_weights: np.ndarray
    finished: int

    @property
    def reason(self) -> str:
        """Why a proposal is made."""
        return f"like the {len(self.good)} best of {self.finished} trials, unlike the others"

    def with_bad(self, rows: np.ndarray) -> Split:
        """The same with more bad points, shape (m, d)."""
        weights = np.append(self.bad_weights, np.ones(len(rows)))
        return replace(self, bad=np.vstack([self.bad, rows]), bad_weights=weights)


@dataclass(frozen=True)
class Tpe(Learning[Standing]):
    """Search by the ratio of two densities; cheap with any number of trials.

    Attributes:
        spread_starts: Evenly spread points after the known-good defaults.
        good_share: Share of the finished trials that is good (Watanabe 2023, table 3: linear).
        most_good: Good trials at most (Akiba et al. 2019, Optuna's choice).
        most_bad: Kernels of the bad density at most: finished trials evenly spread over the ranks
            stand for the others, with weights that add up to all of them.
        candidates: Draws that are compared (Bergstra et al. 2011: 24).
        grouped: Whether parameters that are not active are left out, and only candidates with the
            same active parameters compared; if not, they count as if at their start values.
    """

    spread_starts: int = 5
    good_share: float = 0.1
    most_good: int = 25
    most_bad: int = 300
    candidates: int = 24
    grouped: bool = True

    def _lesson(self, past: Encoded) -> Standing | None:
        standing = finished(past)
        return standing if len(standing.places) >= 2 and len(past.cube) else None

    def _starts(self, lesson: Standing) -> int:
        return self.spread_starts

    def _go_on(self, begun: Opening, lesson: Standing) -> None:
        split = self._split(begun.past, lesson)
        while begun.open:
            rng = np.random.default_rng(derive(begun.seed, "tpe", begun.asked))
            rows = self._ranked(split.with_bad(begun.rows()), rng)
            if not begun.add(rows, split.reason):
                return

    def _split(self, past: Encoded, standing: Standing) -> Split:
        """The good and the bad trials; those that failed or are under way are bad.

        A trial under way counts as bad so that others do not go where it is (Ginsbourger et al.
        2010, constant liar).
        """
        count = min(math.ceil(self.good_share * len(standing.places)), self.most_good)
        order = standing.best_first(count)
        good, rest = order[:count], order[count:]
        kept = rest[_evenly(len(rest), self.most_bad)]
        failed, running = past.at(State.FAILED), past.at(State.RUNNING)
        failed = failed[_evenly(len(failed), self.most_bad)]
        places = np.concatenate([standing.places[kept], failed, running])
        weights = np.ones(len(places))
        weights[: len(kept)] = len(rest) / max(len(kept), 1)
        return Split(
            past.cube,
            past.rows[standing.places[good]],
            _weights(past, standing, good, rest),
            past.rows[places],
            weights,
            len(standing.places),
        )

    def _ranked(self, split: Split, rng: np.random.Generator) -> np.ndarray:
        """Candidates with the same active parameters, the most promising first."""
        cube = split.cube
        start = _parzen.start_row(cube)

        def told(rows: np.ndarray) -> np.ndarray:
            return rows if self.grouped else np.where(np.isnan(rows), start, rows)

        good = _parzen.fit(cube, told(split.good), split.good_weights)
        bad = _parzen.fit(cube, told(split.bad), split.bad_weights)
        rows = cube.settle(good.sample(_OVERDRAWN * self.candidates, rng))
        rows = rows[cube.allowed(rows)]
        if self.grouped:
            rows = rows[(np.isnan(rows) == np.isnan(rows[:1])).all(axis=1)]
        rows = rows[: self.candidates]
        score = good.log_density(told(rows)) - bad.log_density(told(rows))
        score += _PRIOR / split.finished * cube.log_prior(rows)
        return np.asarray(rows[np.argsort(-score, kind="stable")])


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many of the first `count` numbers, ends included, evenly spread."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(int)


def _weights(past: Encoded, standing: Standing, good: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """What each good trial counts: how much it is better than the best of the others.

    One goal: its expected improvement on that trial (Watanabe 2023, section 3.2.2), given its
    standard error, so that noise makes the weights alike. Two or three goals: the volume that
    would be lost without it (Ozaki et al. 2022, eq. 14). All the same where limits are broken.
    """
    if not len(rest) or standing.excess[[*good, rest[0]]].any() or standing.goals.shape[1] > 3:
        return np.ones(len(good))
    goals = standing.goals[good]
    if goals.shape[1] > 1:
        worst = standing.goals[[*good, rest[0]]]
        gain = pareto.contributions(goals, pareto.reference_point(worst))
    else:
        scale = max(float(np.ptp(standing.goals)), 1e-300)
        errors = np.maximum(past.errors[standing.places[good]] / scale, 1e-9)
        losses, best = goals[:, 0] / scale, float(standing.goals[rest[0], 0]) / scale
        gain = np.exp(acquisition.log_expected_improvement(losses, errors, best))
    mean = float(gain.mean())
    return gain / mean + _LEAST_WEIGHT if mean > 0 else np.ones(len(good))

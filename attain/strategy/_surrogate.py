"""What Bayesian search believes of every configuration, given a history.

One Gaussian process of each goal and each limit, one of failing, perhaps one of the duration; and
the score that follows from them, a sum of terms on the logarithmic scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from attain.core.space import Scalar
from attain.core.types import Proposal
from attain.stats import gp, pareto
from attain.stats.acquisition import improvement_slopes, probability_slopes
from attain.stats.improvement import gain_between, log_volume_gain
from attain.stats.signed import LogWarp, fit_log, fit_signed
from attain.stats.warp import Warp, fit_warp
from attain.strategy._belief import Column, Formula, Slopes, Term, learn
from attain.strategy._encode import Cube
from attain.strategy._evidence import Evidence, active_set
from attain.strategy._features import Features, features_of

_APART = 1e-4  # proposals closer than this in every parameter are the same one
_SHARE = 0.1  # of improvement beside the limits while no trial keeps them
_LUCK = 3.0  # deviations of its own noise by which a best loss may lie too low
_COOLED = 30  # finished trials after which a duration counts half


@dataclass(frozen=True)
class Wish:
    """What is wanted beyond small losses.

    Attributes:
        target: A loss below which nothing more is gained; None for none.
        per_second: Whether gains count by the time they take.
        margin_trials: Trials until nothing more than the best loss is to be improved on; 0 for
            that from the beginning.
    """

    target: float | None = None
    per_second: bool = False
    margin_trials: int = 0


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What is believed of every configuration.

    Attributes:
        cube: The space.
        features: Its embedding.
        wish: What is wanted beyond small losses.
        warps: From each goal to its process's scale.
        goals: A process of each warped goal.
        limits: A process of each limit's warped excess.
        bounds: The largest permitted value on each of their scales, shape (l,).
        failure: Of "fails" (1) against "runs" (0); None while nothing has failed.
        clock: Scale and process of the seconds; None unless they are wanted and known.
        cooling: What log seconds are multiplied by, in [0, 1].
        weighted: Whether the one goal is a compromise of several.
        rows: Points of finished trials and of those believed, shape (k, d).
        values: The goals there, shape (g, k): as told, or as predicted of trials under way. What
            has to be improved on is among them. Posterior means take a rough function for noise
            and lie above what was found; and where losses are noisy, to ask for more than the
            luckiest of them makes for wider searches, which find more (docs/ablations.md).
        held: Whether all limits hold there, shape (k,).
        finished: How many of the rows are finished trials.
        pruned: How many of the values are guesses.
        taken: Points that must not be asked for again, shape (t, d).
    """

    cube: Cube
    features: Features
    wish: Wish
    warps: tuple[Warp, ...]
    goals: tuple[gp.Process, ...]
    limits: tuple[gp.Process, ...]
    bounds: np.ndarray
    failure: gp.Process | None
    clock: tuple[LogWarp, gp.Process] | None
    cooling: float
    weighted: bool
    rows: np.ndarray
    values: np.ndarray
    held: np.ndarray
    finished: int
    pruned: int
    taken: np.ndarray

    @classmethod
    def fit(
        cls, cube: Cube, evidence: Evidence, most: int = 150, wish: Wish | None = None
    ) -> Surrogate:
        """The model given some evidence; running trials are believed at their predictions.

        Args:
            cube: The space.
            evidence: What is known.
            most: Finished trials that each process is given at most.
            wish: What is wanted beyond small losses.

        Returns:
            The model.
        """
        wish, features = wish or Wish(), features_of(cube)
        warps, goals = _goals(features, evidence, most)
        limits, bounds = _limits(features, evidence, most)
        kept = active_set(evidence.standing, most)
        rows, excess = evidence.rows[kept], evidence.excess[kept]
        failure = None
        if len(evidence.failed):
            failure = _failure(features, rows, evidence.failed)
            goals = tuple(_disappointed(process, features, evidence.failed) for process in goals)
        where = features.embed(rows), features.blocks(rows)
        unknown = np.isnan(excess)
        held = (excess <= 0) | unknown
        for j in np.flatnonzero(unknown.any(axis=0)):
            held[:, j] &= ~unknown[:, j] | (limits[j].predict(*where)[0] <= bounds[j])
        model = cls(
            cube=cube,
            features=features,
            wish=wish,
            warps=warps,
            goals=goals,
            limits=limits,
            bounds=bounds,
            failure=failure,
            clock=_clock(features, evidence, most) if wish.per_second else None,
            cooling=_COOLED / (_COOLED + len(evidence.losses)),
            weighted=len(evidence.weights) > 0,
            rows=rows,
            values=np.array([process.sample.y[: len(rows)] for process in goals]),
            held=held.all(axis=1),
            finished=len(rows),
            pruned=evidence.pruned,
            taken=np.vstack([evidence.rows, evidence.failed]),
        )
        return model.believing(evidence.running)

    def believing(self, rows: np.ndarray) -> Surrogate:
        """The model as if these points had given what it predicts, a new best value perhaps."""
        if not len(rows):
            return self
        x, blocks = self.features.embed(rows), self.features.blocks(rows)
        values = np.array([process.predict(x, blocks)[0] for process in self.goals])
        excess = np.array([process.predict(x, blocks)[0] for process in self.limits])
        held = np.ones(len(rows), bool)
        for one, bound in zip(excess, self.bounds, strict=True):
            held &= one <= bound
        return replace(
            self,
            goals=_observing(self.goals, x, blocks, values),
            limits=_observing(self.limits, x, blocks, excess),
            rows=np.vstack([self.rows, rows]),
            values=np.hstack([self.values, values]),
            held=np.concatenate([self.held, held]),
            taken=np.vstack([self.taken, rows]),
        )

    @cached_property
    def best(self) -> float:
        """The first goal's smallest value among the points that keep the limits.

        The largest of all while none does: everything is an improvement then.
        """
        first = self.values[0]
        return float(first[self.held].min() if self.held.any() else first.max())

    @cached_property
    def front(self) -> np.ndarray:
        """Values that no other dominates, of the points that keep the limits; (k, g)."""
        values = self.values.T[self.held]
        return np.unique(values[pareto.front(values)], axis=0)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """What adds up to the score: gain, limits, running to an end, time.

        Expected improvement is multiplied by the probability that all limits hold (Gardner et al.
        2014, eq. 6) and by that of not failing; logarithms turn this into a sum (Ament et al. 2023,
        section 3.3). While no trial keeps the limits, only these have a full say (Gelbart, Snoek
        and Adams 2014, section 4.1).
        """
        share = 1.0 if self.held.any() else _SHARE
        terms = [Term(self.goals, self._gain(), share)]
        if self.limits:
            terms.append(Term(self.limits, _below(self.bounds[:, None])))
        if self.failure is not None:
            terms.append(Term((self.failure,), _below(0.5)))
        if self.clock is not None:
            scale, process = self.clock
            terms.append(Term((process,), _identity, -self.cooling * scale.sd))
        return tuple(terms)

    def _gain(self) -> Formula:
        """Of the goals: a function of their predictions."""
        if len(self.goals) > 1 and self.held.any():
            front, reference = self.front, self._reference()
            return lambda mean, sd: log_volume_gain(mean, sd, front, reference)
        best, target = self.best, self._target()
        if len(self.goals) > 1:
            worst = self.values.max(axis=1, keepdims=True)
            return lambda mean, sd: _summed(*improvement_slopes(mean, sd, worst))
        if target is not None and target < best:
            return lambda mean, sd: _summed(*gain_between(mean, sd, target, best))
        wanted = best - self._margin()
        return lambda mean, sd: _summed(*improvement_slopes(mean, sd, wanted))

    def _margin(self) -> float:
        """How far below the best one has to come, in deviations of the warped losses.

        A margin makes searches wider, and is worth its price while trials are left to come to the
        end of what is found. Under noise the best is a lucky one, which asks for more already: by
        some deviations of the noise that each loss has for itself (docs/ablations.md). A target
        that is ahead says itself how far, and while no trial keeps the limits all are an
        improvement. Trials that were pruned tell little, and do not count as trials.
        """
        trials, target = self.wish.margin_trials, self._target()
        ahead = target is not None and target < self.best
        if not trials or self.weighted or ahead or not self.held.any():
            return 0.0
        sample, share = self.goals[0].sample, self.goals[0].hyper.share
        luck = _LUCK * float(np.sqrt(share * np.median(sample.known[: self.finished])))
        asked = len(self.taken) - self.pruned
        return max(1.0 - asked / trials - luck, 0.0)

    def _reference(self) -> np.ndarray:
        """What volume is bounded by: a tenth of the range beyond the worst of all trials.

        Of all, not of the front: a front that is short so far would be the only place where volume
        can grow, and on ZDT1 three of five searches never left its first point.
        """
        return pareto.reference_point(self.values.T)

    def _target(self) -> float | None:
        if self.wish.target is None or self.weighted:
            return None
        return float(self.warps[0].forward(np.array([self.wish.target]))[0])

    def score(self, rows: np.ndarray, *, rough: bool = False) -> np.ndarray:
        """How much a proposal of each point is worth, on the logarithmic scale; shape (m,)."""
        x, blocks = self.features.embed(rows), self.features.blocks(rows)
        first, *others = (term.value(x, blocks, rough=rough) for term in self.terms)
        return sum(others, start=first)

    def rough_score(self, rows: np.ndarray) -> np.ndarray:
        """The same, nearly, from covariances of seven digits; shape (m,)."""
        return self.score(rows, rough=True)

    def around(self, rows: np.ndarray) -> Slopes:
        """Scores and gradients of a few points whose numbers will change.

        Args:
            rows: Settled points, shape (m, d).

        Returns:
            A function of such points that gives scores, shape (m,), and their gradients by
            position, shape (m, d).
        """
        features, moving = self.features, self.features.moving
        x, blocks = features.embed(rows), features.blocks(rows)
        near = [term.around(x, blocks, moving) for term in self.terms]

        def slopes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            at = features.moved(x, rows)
            parts = [one(at) for one in near]
            score = sum((value for value, _ in parts[1:]), start=parts[0][0])
            gradient = sum((slope for _, slope in parts[1:]), start=parts[0][1])
            return score, features.pull_back(rows, gradient)

        return slopes

    def anchors(self, count: int) -> np.ndarray:
        """Finished trials worth looking around, inside the cube.

        Those that keep the limits, or may keep them, first; then by the goal, or by the number of
        the front and evenly along it.
        """
        values, rows = self.values[:, : self.finished], self.rows[: self.finished]
        value = values[0] if len(values) == 1 else _along_fronts(values.T)
        order = np.lexsort((value, self._overshoot(rows)))
        return self.cube.settle(rows[order[:count]])

    def _overshoot(self, rows: np.ndarray) -> np.ndarray:
        """By how much limits are expected to be exceeded, shape (m,); 0 where they were kept."""
        total = np.zeros(len(rows))
        if self.limits:
            x, blocks = self.features.embed(rows), self.features.blocks(rows)
            for process, bound in zip(self.limits, self.bounds, strict=True):
                total += np.maximum(process.predict(x, blocks)[0] - bound, 0.0)
        return np.where(self.held[: len(rows)], 0.0, total)

    def is_new(self, row: np.ndarray) -> bool:
        """Whether a point differs from all that were asked for."""
        near = self.taken
        for i, position in enumerate(row):  # few are left after the first parameter
            column = near[:, i]
            apart = np.isnan(column) if np.isnan(position) else np.abs(column - position) <= _APART
            near = near[apart]
        return not len(near)

    def proposal(self, config: dict[str, Scalar], row: np.ndarray) -> Proposal:
        """A proposal with its prediction and the reason in words."""
        where = self.features.embed(row[None, :]), self.features.blocks(row[None, :])
        mean, sd = np.array([process.predict(*where) for process in self.goals])[:, :, 0].T
        notes = "".join(f"; {note}" for note in self._notes(where, float(mean[0]), float(sd[0])))
        if self.weighted:
            why = "expected improvement of a compromise between the goals"
            return Proposal(config, why + notes)
        if len(self.goals) > 1:
            pairs = zip(self.warps, mean, strict=True)
            named = ", ".join(f"{warp.backward(np.array(m)):.4g}" for warp, m in pairs)
            beside = f"front of {len(self.front)}" if self.held.any() else "no front yet"
            why = f"expected growth of the front: predicted goals {named}, {beside}"
            return Proposal(config, why + notes)
        margin = self._margin()
        ends = np.array([mean[0] - sd[0], mean[0], mean[0] + sd[0], self.best, self.best - margin])
        low, middle, high, best, wanted = self.warps[0].backward(ends).tolist()
        spread = (high - low) / 2
        beside = f"best {best:.4g}" if self.held.any() else "limits come first"
        beside += f", at first less than {wanted:.4g} is asked for" if margin else ""
        why = f"expected improvement: predicted loss {middle:.4g} ± {spread:.2g}, {beside}"
        return Proposal(config, why + notes, middle, spread)

    def _notes(self, where: tuple[np.ndarray, np.ndarray], mean: float, sd: float) -> list[str]:
        """What else spoke for or against a proposal."""
        notes = []
        if self.limits:
            chance = np.exp(Term(self.limits, _below(self.bounds[:, None])).value(*where)[0])
            notes.append(f"keeps all limits with probability {chance:.2g}")
        if (target := self._target()) is not None and len(self.goals) == 1:
            chance = np.exp(probability_slopes(np.array(mean), np.array(sd), target)[0])
            notes.append(f"reaches the target with probability {chance:.2g}")
        if self.clock is not None:
            scale, process = self.clock
            seconds = scale.backward(process.predict(*where)[0])[0]
            notes.append(f"takes about {seconds:.3g} s")
        return notes


def _goals(
    features: Features, evidence: Evidence, most: int
) -> tuple[tuple[Warp, ...], tuple[gp.Process, ...]]:
    rows, standing = evidence.rows, evidence.standing
    # a process pools branches, and a part of the parameters leaves the others to chance
    exact = evidence.whole and not features.branching
    if evidence.goals.shape[1]:
        told = exact and not evidence.pruned  # of guesses the errors are not known by goal
        columns = [Column(rows, values, standing, exact=told) for values in evidence.goals.T]
    else:
        columns = [Column(rows, evidence.losses, standing, evidence.errors, exact)]
    warps, processes = zip(*(learn(features, c, fit_warp, most) for c in columns), strict=True)
    return warps, processes


def _limits(
    features: Features, evidence: Evidence, most: int
) -> tuple[tuple[gp.Process, ...], np.ndarray]:
    columns = [Column(evidence.rows, values, evidence.standing) for values in evidence.excess.T]
    learnt = [learn(features, column, fit_signed, most) for column in columns]
    return tuple(process for _, process in learnt), np.array([scale.zero for scale, _ in learnt])


def _clock(features: Features, evidence: Evidence, most: int) -> tuple[LogWarp, gp.Process] | None:
    known = evidence.seconds > 0
    if not known.any():
        return None
    values = np.where(known, evidence.seconds, np.nan)
    return learn(features, Column(evidence.rows, values, evidence.standing), fit_log, most)


def _failure(features: Features, rows: np.ndarray, failed: np.ndarray) -> gp.Process:
    # failed ones first: the hyperparameters are fitted to the first so many, and never without them
    labels = np.repeat([1.0, 0.0], [len(failed), len(rows)])
    column = Column(np.vstack([failed, rows]), labels, -labels)
    return learn(features, column, lambda _: _Same(), len(labels))[1]


class _Same:
    """No change of scale."""

    def forward(self, values: np.ndarray) -> np.ndarray:
        return values


def _disappointed(process: gp.Process, features: Features, failed: np.ndarray) -> gp.Process:
    """Nothing is left to be found there: as bad as predicted, and no better than average."""
    x, blocks = features.embed(failed), features.blocks(failed)
    return process.observing(x, blocks, np.maximum(process.predict(x, blocks)[0], 0.0))


def _observing(
    processes: tuple[gp.Process, ...], x: np.ndarray, blocks: np.ndarray, values: np.ndarray
) -> tuple[gp.Process, ...]:
    pairs = zip(processes, values, strict=True)
    return tuple(process.observing(x, blocks, seen) for process, seen in pairs)


def _along_fronts(values: np.ndarray) -> np.ndarray:
    """What sorts points by front, within each by how much room they have; shape (k,)."""
    number = pareto.ranks(values)
    room = np.zeros(len(values))
    for one in np.unique(number):
        room[number == one] = pareto.crowding(values[number == one])
    place = np.empty(len(values))
    place[np.lexsort((-room, number))] = np.arange(len(values))
    return place


def _below(limit: float | np.ndarray) -> Formula:
    return lambda mean, sd: _summed(*probability_slopes(mean, sd, limit))


def _summed(
    value: np.ndarray, by_mean: np.ndarray, by_sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return value.sum(axis=0), by_mean, by_sd


def _identity(mean: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return mean.sum(axis=0), np.ones_like(mean), np.zeros_like(sd)

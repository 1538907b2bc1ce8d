"""What Bayesian search believes of every configuration, given a history.

A Gaussian process of the warped loss, one of failing, and the acquisition that follows from both.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from attain.core.space import Scalar
from attain.core.types import Proposal
from attain.stats import acquisition, gp
from attain.stats.warp import Warp, fit_warp
from attain.strategy._cache import Encoded, State
from attain.strategy._encode import Cube
from attain.strategy._features import Features

_FIT_MOST = 120  # hyperparameters are fitted to at most so many trials
_APART = 1e-4  # proposals closer than this in every parameter are the same one
_REMEMBERED = 64  # fitted hyperparameters


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a history says about the present space.

    Attributes:
        rows: Points of finished trials, shape (k, d), NaN where inactive, in order of asking.
        losses: Their losses, shape (k,).
        errors: Standard errors of the losses, shape (k,), 0 where unknown.
        failed: Points of failed trials, shape (f, d).
        running: Points of trials under way, shape (r, d).
    """

    rows: np.ndarray
    losses: np.ndarray
    errors: np.ndarray
    failed: np.ndarray
    running: np.ndarray

    def part(self, chosen: np.ndarray | slice) -> Evidence:
        """The same with some of the finished trials only."""
        return replace(
            self, rows=self.rows[chosen], losses=self.losses[chosen], errors=self.errors[chosen]
        )


def read(told: Encoded, most: int) -> Evidence:
    """What a history says about its space.

    Args:
        told: All trials.
        most: Failed trials to keep at most.

    Returns:
        The evidence; trials that say nothing about this space are left out.
    """
    done = told.at(State.DONE)
    return Evidence(
        told.rows[done],
        told.losses[done],
        told.errors[done],
        told.rows[told.at(State.FAILED)[-most:]],
        told.rows[told.at(State.RUNNING)],
    )


def active_set(losses: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most so many losses: the best, the latest, a spread of the others.

    Args:
        losses: In order of asking, shape (n,).
        most: How many at most.

    Returns:
        Increasing positions.
    """
    if len(losses) <= most:
        return np.arange(len(losses))
    order = np.argsort(losses, kind="stable")
    best, rest = order[: most // 2], order[most // 2 :]
    latest = np.sort(rest)[-(most // 4) :]
    others = rest[~np.isin(rest, latest)]
    places = np.linspace(0, len(others) - 1, most - len(best) - len(latest)).round().astype(int)
    return np.sort(np.concatenate([best, latest, others[places]]))


def scheduled(finished: int) -> int:
    """How many of the finished trials hyperparameters are fitted to.

    Args:
        finished: At least 1.

    Returns:
        Every number up to 20; then steps of about a twelfth, since more trials of the same space
        change the hyperparameters ever less.
    """
    number = min(finished, 20)
    while (larger := number + max(1, number // 12)) <= finished and number >= 20:
        number = larger
    return number


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What is believed of every configuration.

    Attributes:
        cube: The space.
        features: Its embedding.
        warp: From losses to the process's scale.
        process: Of the warped loss.
        failure: Of "fails" (1) against "runs" (0); None while nothing has failed.
        rows: Points of finished trials, shape (k, d).
        taken: Points that must not be asked for again, shape (t, d).
        best: Smallest posterior mean among the finished trials, on the process's scale: what has
            to be improved on. The smallest observed loss would be a lucky one where losses are
            noisy.
    """

    cube: Cube
    features: Features
    warp: Warp
    process: gp.Process
    failure: gp.Process | None
    rows: np.ndarray
    taken: np.ndarray
    best: float

    @classmethod
    def fit(cls, cube: Cube, evidence: Evidence, most: int = 150) -> Surrogate:
        """The model given some evidence; running trials are believed at their predictions.

        Args:
            cube: The space.
            evidence: What is known.
            most: Finished trials that the process is given at most.

        Returns:
            The model.
        """
        features = Features(cube)
        hyper = _hyper(features, evidence.part(slice(scheduled(len(evidence.losses)))))
        kept = evidence.part(active_set(evidence.losses, most))
        warp = fit_warp(kept.losses)
        process = gp.condition(_sample(features, kept, warp), hyper)
        failure = None
        if len(evidence.failed):
            failure = _failure(features, kept)
            # nothing is left to be found there: as bad as predicted, and no better than average
            x, blocks = features.embed(evidence.failed), features.blocks(evidence.failed)
            mean, _ = process.predict(x, blocks)
            process = process.observing(x, blocks, np.maximum(mean, 0.0))
        mean, _ = process.predict(features.embed(kept.rows), features.blocks(kept.rows))
        taken = np.vstack([evidence.rows, evidence.failed])
        best = float(mean.min())
        model = cls(cube, features, warp, process, failure, kept.rows, taken, best)
        return model.believing(evidence.running)

    def believing(self, rows: np.ndarray) -> Surrogate:
        """The model as if these points had given what it predicts, a new best value perhaps."""
        if not len(rows):
            return self
        x, blocks = self.features.embed(rows), self.features.blocks(rows)
        mean, _ = self.process.predict(x, blocks)
        return replace(
            self,
            process=self.process.observing(x, blocks, mean),
            taken=np.vstack([self.taken, rows]),
            best=min(self.best, float(mean.min())),
        )

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Log expected improvement, plus the log probability of not failing; shape (m,)."""
        x, blocks = self.features.embed(rows), self.features.blocks(rows)
        score = acquisition.log_expected_improvement(*self.process.predict(x, blocks), self.best)
        if self.failure is not None:
            mean, sd = self.failure.predict(x, blocks)
            score = score + acquisition.log_probability_below(mean, sd, 0.5)[0]
        return score

    def score_gradient(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores, shape (m,), and their gradients by position, shape (m, d)."""
        x, blocks = self.features.embed(rows), self.features.blocks(rows)
        mean, sd, mean_slope, sd_slope = self.process.predict_gradient(x, blocks)
        score, gradient = acquisition.log_expected_improvement_gradient(
            mean, sd, self.best, mean_slope, sd_slope
        )
        if self.failure is not None:
            mean, sd, mean_slope, sd_slope = self.failure.predict_gradient(x, blocks)
            more, slope = acquisition.log_probability_below(mean, sd, 0.5)
            score = score + more
            by_mean, by_sd = slope / sd, slope * (0.5 - mean) / sd**2
            gradient = gradient - by_mean[:, None] * mean_slope - by_sd[:, None] * sd_slope
        return score, self.features.pull_back(rows, gradient)

    def anchors(self, count: int) -> np.ndarray:
        """The points of finished trials with the smallest posterior means, inside the cube."""
        x, blocks = self.features.embed(self.rows), self.features.blocks(self.rows)
        mean, _ = self.process.predict(x, blocks)
        return self.cube.settle(self.rows[np.argsort(mean, kind="stable")[:count]])

    def is_new(self, row: np.ndarray) -> bool:
        """Whether a point differs from all that were asked for."""
        gap = np.abs(self.taken - row)
        both = np.isnan(self.taken) & np.isnan(row)
        gap = np.where(both, 0.0, np.where(np.isnan(gap), 1.0, gap))
        return bool((gap.max(axis=1) > _APART).all())

    def proposal(self, config: dict[str, Scalar], row: np.ndarray) -> Proposal:
        """A proposal with its prediction and the reason in words."""
        x, blocks = self.features.embed(row[None, :]), self.features.blocks(row[None, :])
        mean, sd = (float(part[0]) for part in self.process.predict(x, blocks))
        low, middle, high = self.warp.backward(np.array([mean - sd, mean, mean + sd])).tolist()
        spread, best = (high - low) / 2, float(self.warp.backward(np.array([self.best]))[0])
        reason = (
            f"expected improvement: predicted loss {middle:.4g} ± {spread:.2g}, best {best:.4g}"
        )
        return Proposal(config, reason, middle, spread)


def _sample(features: Features, evidence: Evidence, warp: Warp) -> gp.Sample:
    rows, losses = evidence.rows, evidence.losses
    known = (evidence.errors * warp.slope(losses)) ** 2
    blocks = features.blocks(rows)
    return gp.Sample(features.embed(rows), warp.forward(losses), features.groups, blocks, known)


def _failure(features: Features, evidence: Evidence) -> gp.Process:
    rows = np.vstack([evidence.rows, evidence.failed])
    labels = np.repeat([0.0, 1.0], [len(evidence.rows), len(evidence.failed)])
    known, blocks = np.zeros(len(rows)), features.blocks(rows)
    sample = gp.Sample(features.embed(rows), labels, features.groups, blocks, known)
    return gp.condition(sample, _remembered(_part(sample, scheduled(len(rows)))))


def _part(sample: gp.Sample, count: int) -> gp.Sample:
    chosen = active_set(sample.y[:count], _FIT_MOST)
    return replace(
        sample,
        x=sample.x[chosen],
        y=sample.y[chosen],
        blocks=sample.blocks[chosen],
        known=sample.known[chosen],
    )


def _hyper(features: Features, evidence: Evidence) -> gp.Hyper:
    kept = evidence.part(active_set(evidence.losses, _FIT_MOST))
    return _remembered(_sample(features, kept, fit_warp(kept.losses)))


_fitted: OrderedDict[tuple[bytes, ...], gp.Hyper] = OrderedDict()


def _remembered(sample: gp.Sample) -> gp.Hyper:
    """Fitted hyperparameters; equal samples are fitted once."""
    parts = (sample.x, sample.y, sample.groups, sample.blocks, sample.known)
    key = tuple(part.tobytes() for part in parts)
    if key not in _fitted:
        _fitted[key] = gp.fit_hyper(sample)
        if len(_fitted) > _REMEMBERED:
            _fitted.popitem(last=False)
    return _fitted[key]

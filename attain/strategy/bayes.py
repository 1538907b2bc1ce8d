"""Bayesian optimisation: a Gaussian process that understands conditional parameters.

Known-good defaults, a few evenly spread points, then the configuration of largest expected
improvement under a process fitted to all finished trials. Losses are warped before fitting; trials
under way count as if they had given what the process predicts; failed ones teach a second process
where not to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from attain.core.seeds import derive
from attain.core.space import Config, Scalar, Space
from attain.core.types import Observed, Proposal, Status
from attain.stats import acquisition, gp
from attain.stats.warp import Warp, fit_warp
from attain.strategy._base import Unjudging
from attain.strategy._encode import Cube
from attain.strategy._features import Features
from attain.strategy._initial import Fresh, defaults, pending_defaults, sobol_draws
from attain.strategy._optimise import Effort, maximise
from attain.strategy._threads import single_threaded
from attain.strategy._tree import Tree, is_finite

_FAILED = {Status.FAILED, Status.DIVERGED, Status.TIMEOUT, Status.MEMORY, Status.KILLED}
_FIT_MOST = 120  # hyperparameters are fitted to at most so many trials
_ANCHORS = 10
_APART = 1e-4  # proposals closer than this in every parameter are the same one
_HUGE = 1e100  # a larger loss is a failure, and its square would overflow
_LISTED = 1024  # a finite space up to this size is scored completely


@dataclass(frozen=True)
class Bayes(Unjudging):
    """Search by a Gaussian process and expected improvement.

    Attributes:
        spread_starts: Evenly spread points after the known-good defaults.
        most: Trials that the process is given at most; the best, the latest, and a spread of the
            others.
        effort: How hard to look for the largest expected improvement.
    """

    spread_starts: int = 4
    most: int = 300
    effort: Effort = field(default_factory=Effort)

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations.

        Args:
            space: Where to search.
            history: All trials so far, running and failed ones too, also those of earlier
                versions of the space.
            n: How many are wanted.
            seed: Of all random choices.

        Returns:
            New configurations; fewer than n when a discrete space is exhausted.
        """
        cube = Cube(space)
        fresh = Fresh.after(cube, history)
        found = [p for p in pending_defaults(cube, history) if fresh.accept(dict(p.config))][:n]
        evidence = read(cube, history, self.most)
        blind = len(evidence.losses) < 2
        spread = len(defaults(space)) + self.spread_starts - len(history) - len(found)
        wanted = n - len(found) if blind else min(max(spread, 0), n - len(found))
        if wanted > 0:
            draws = sobol_draws(cube, len(history) + len(found), seed)
            found += fresh.take(draws, wanted, seed)
        if blind or len(found) == n:
            return tuple(found)
        with single_threaded():
            model = Model.fit(cube, evidence).believing(_rows(cube, [p.config for p in found]))
            while len(found) < n:
                place = derive(seed, "bayes", len(history) + len(found))
                proposal = self._next(model, fresh, place)
                if proposal is None:
                    break
                found.append(proposal)
                model = model.believing(_rows(cube, [proposal.config]))
        return tuple(found)

    def _next(self, model: Model, fresh: Fresh, seed: int) -> Proposal | None:
        """The most promising new configuration; None when there is none."""
        cube = model.cube
        for row in self._candidates(model, seed):
            if model.is_new(row) and fresh.accept(config := cube.decode(row)):
                return model.proposal(config, row)
        remaining = fresh.rest(1, seed)
        return remaining[0] if remaining else None

    def _candidates(self, model: Model, seed: int) -> np.ndarray:
        cube = model.cube
        if not len(cube):
            return np.empty((0, 0))
        if is_finite(cube.space) and (tree := Tree(cube.space)).size <= _LISTED:
            rows = np.array([cube.encode(config) for config in tree], dtype=float)
            return rows[np.argsort(-model.score(rows), kind="stable")]
        anchors = model.anchors(_ANCHORS)
        return maximise(cube, model.score, model.score_gradient, anchors, seed, self.effort)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a history says about the present space.

    Attributes:
        rows: Points of finished trials, shape (k, d), NaN where inactive.
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


def read(cube: Cube, history: Sequence[Observed], most: int) -> Evidence:
    """What a history says about a space.

    Args:
        cube: The space.
        history: All trials.
        most: Finished trials to keep at most, and failed ones.

    Returns:
        The evidence; trials that say nothing about this space are left out.
    """
    done, failed, running = [], [], []
    for trial in history:
        if trial.loss is not None and abs(trial.loss) < _HUGE:  # not NaN either
            done.append(trial)
        elif trial.status == "running":
            running.append(trial)
        elif trial.status in _FAILED or trial.loss is not None:
            failed.append(trial)
    done = [done[i] for i in _active_set(np.array([t.loss for t in done], dtype=float), most)]
    rows = [(cube.encode(t.config), t) for t in done]
    kept = [(row, t) for row, t in rows if row is not None]
    errors = [t.noise if t.noise is not None and np.isfinite(t.noise) else 0.0 for _, t in kept]
    return Evidence(
        _stack(cube, [row for row, _ in kept]),
        np.array([t.loss for _, t in kept], dtype=float),
        np.array(errors, dtype=float),
        _rows(cube, [t.config for t in failed[-most:]]),
        _rows(cube, [t.config for t in running]),
    )


def _rows(cube: Cube, configs: Sequence[Config]) -> np.ndarray:
    """Points of those configurations that say something about the space, shape (m, d)."""
    return _stack(cube, [row for config in configs if (row := cube.encode(config)) is not None])


def _stack(cube: Cube, rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(len(rows), len(cube))


def _active_set(losses: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most so many losses: the best, the latest, a spread of the others."""
    if len(losses) <= most:
        return np.arange(len(losses))
    order = np.argsort(losses, kind="stable")
    best, rest = order[: most // 2], order[most // 2 :]
    latest = np.sort(rest)[-(most // 4) :]
    others = rest[~np.isin(rest, latest)]
    places = np.linspace(0, len(others) - 1, most - len(best) - len(latest)).round().astype(int)
    return np.sort(np.concatenate([best, latest, others[places]]))


@dataclass(frozen=True, eq=False)
class Model:
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
    def fit(cls, cube: Cube, evidence: Evidence) -> Model:
        """The model given some evidence; running trials are believed at their predictions."""
        features = Features(cube)
        warp = fit_warp(evidence.losses)
        known = (evidence.errors * warp.slope(evidence.losses)) ** 2
        process = _fitted(features, evidence.rows, warp.forward(evidence.losses), known)
        failure = None
        if len(evidence.failed):
            rows = np.vstack([evidence.rows, evidence.failed])
            labels = np.repeat([0.0, 1.0], [len(evidence.rows), len(evidence.failed)])
            failure = _fitted(features, rows, labels, np.zeros(len(rows)))
            # nothing is left to be found there: as bad as predicted, and no better than average
            x, blocks = features.embed(evidence.failed), features.blocks(evidence.failed)
            mean, _ = process.predict(x, blocks)
            process = process.observing(x, blocks, np.maximum(mean, 0.0))
        mean, _ = process.predict(features.embed(evidence.rows), features.blocks(evidence.rows))
        taken = np.vstack([evidence.rows, evidence.failed])
        best = float(mean.min())
        model = cls(cube, features, warp, process, failure, evidence.rows, taken, best)
        return model.believing(evidence.running)

    def believing(self, rows: np.ndarray) -> Model:
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

    def score_gradient(self, row: np.ndarray) -> tuple[float, np.ndarray]:
        """The score of one point and its gradient by position, shape (d,)."""
        x = self.features.embed(row[None, :])[0]
        block = int(self.features.blocks(row[None, :])[0])
        mean, sd, mean_slope, sd_slope = self.process.predict_gradient(x, block)
        score, gradient = acquisition.log_expected_improvement_gradient(
            mean, sd, self.best, mean_slope, sd_slope
        )
        if self.failure is not None:
            mean, sd, mean_slope, sd_slope = self.failure.predict_gradient(x, block)
            more, slope = acquisition.log_probability_below(np.array(mean), np.array(sd), 0.5)
            score += float(more)
            gradient = gradient - slope / sd * (mean_slope + (0.5 - mean) / sd * sd_slope)
        return score, self.features.pull_back(row, gradient)

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


def _fitted(
    features: Features, rows: np.ndarray, values: np.ndarray, known: np.ndarray
) -> gp.Process:
    x, blocks = features.embed(rows), features.blocks(rows)
    sample = gp.Sample(x, values, features.groups, blocks, known)
    chosen = _active_set(values, _FIT_MOST)
    part = gp.Sample(x[chosen], values[chosen], features.groups, blocks[chosen], known[chosen])
    return gp.condition(sample, gp.fit_hyper(part))

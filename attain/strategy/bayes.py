"""Bayesian optimisation: a Gaussian process that understands conditional parameters.

Known-good defaults, a few evenly spread points, then the configuration of largest expected
improvement under a process fitted to all finished trials; at first over a margin below the best, so
that searches are wide while little is known, and find the region that is worth the rest. Losses are
warped before fitting; trials under way count as if they had given what the process predicts; failed
ones teach a second process where not to look, and each limit has a process of its own. Two goals
are searched by the expected growth of the volume that their front dominates; more of them by
compromises whose weights are drawn anew for every proposal (Knowles 2006, ParEGO).

Where parameters depend on a choice, every fourth proposal follows a process of those alone that all
branches have, and draws the others: what they do on average is known long before what they do
beside each value of all others, and around a known-good default a search would not come to it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from attain.core.seeds import derive
from attain.core.types import Proposal
from attain.strategy._cache import Encoded
from attain.strategy._encode import Cube
from attain.strategy._evidence import Evidence, read
from attain.strategy._initial import Fresh, draws
from attain.strategy._opening import Learning, Opening
from attain.strategy._optimise import Effort, maximise
from attain.strategy._surrogate import Surrogate, Wish
from attain.strategy._tree import Tree, is_finite

_BY_TRUNK = "what all branches share by itself, the rest drawn"
_ANCHORS = 10
_EXACT = 2  # goals up to which the growth of the dominated volume is computed
_LISTED = 1024  # a finite space up to this size is scored completely


@dataclass(frozen=True)
class Bayes(Learning[Evidence]):
    """Search by a Gaussian process and expected improvement.

    Attributes:
        spread_starts: Evenly spread points after the known-good defaults.
        most: Trials that the process is given at most; the best, the latest, and a spread of the
            others.
        margin_trials: Improvement is asked for over a margin that shrinks evenly, from a standard
            deviation of the losses to none after so many trials; 0 for none. Of one goal without a
            target only; noise that is told takes its share, since a lucky loss asks for more, too.
        target: A loss that is good enough: what lies below counts no more. Of one goal only.
        per_second: Whether gains count by the time they take, ever less as trials finish.
        trunk_every: One proposal in so many follows the parameters that all branches of the space
            have; 0 for none. Spaces without conditions, or whose branches share choices only, have
            no such proposals.
        effort: How hard to look for the largest expected improvement.
    """

    spread_starts: int = 4
    most: int = 150
    margin_trials: int = 25
    target: float | None = None
    per_second: bool = False
    trunk_every: int = 4
    effort: Effort = field(default_factory=Effort)

    def _lesson(self, past: Encoded) -> Evidence | None:
        evidence = read(past, self.most)
        return evidence if len(evidence.losses) >= 2 else None

    def _starts(self, lesson: Evidence) -> int:
        return self.spread_starts

    def _go_on(self, begun: Opening, lesson: Evidence) -> None:
        cube, model = begun.past.cube, None
        while begun.open:
            place = derive(begun.seed, "bayes", begun.asked)
            if model is None or lesson.goals.shape[1] > _EXACT:
                model = self._model(cube, lesson, place).believing(begun.rows())
            turn = self.trunk_every and begun.asked % self.trunk_every == 0
            proposal = self._by_trunk(model, begun, lesson, place) if turn else None
            proposal = proposal or self._next(model, begun.fresh, place)
            if proposal is None:
                return
            begun.found.append(proposal)
            if begun.open:
                model = model.believing(begun.rows()[-1:])

    def _model(self, cube: Cube, evidence: Evidence, seed: int) -> Surrogate:
        """What is believed; of many goals, of a compromise that the seed decides."""
        many = evidence.goals.shape[1] > _EXACT
        told = evidence.scalarised(seed) if many else evidence
        wish = Wish(self.target, self.per_second, self.margin_trials)
        return Surrogate.fit(cube, told, self.most, wish)

    def _next(self, model: Surrogate, fresh: Fresh, seed: int) -> Proposal | None:
        """The most promising new configuration; None when there is none."""
        cube = model.cube
        for row in self._candidates(model, seed):
            if model.is_new(row) and fresh.accept(config := cube.decode(row)):
                return model.proposal(config, row)
        remaining = fresh.rest(1, seed)
        return remaining[0] if remaining else None

    def _by_trunk(
        self, whole: Surrogate, begun: Opening, evidence: Evidence, seed: int
    ) -> Proposal | None:
        """The most promising values of what all branches have, the others drawn; None for none."""
        cube, trunk = whole.cube, whole.cube.trunk
        if trunk is None:
            return None
        columns = [cube.column[one.parameter.name] for one in trunk.axes]
        model = self._model(trunk, evidence.of(columns), seed).believing(begun.rows()[:, columns])
        best = self._candidates(model, seed)[0]
        drawn = cube.shaped(next(itertools.islice(draws(cube, seed), 1, None)))
        drawn[:, columns] = best
        for row in cube.settle(drawn):
            if whole.is_new(row) and begun.fresh.accept(config := cube.decode(row)):
                made = whole.proposal(config, row)
                return replace(made, reason=f"{_BY_TRUNK}: {made.reason}")
        return None

    def _candidates(self, model: Surrogate, seed: int) -> np.ndarray:
        cube = model.cube
        if not len(cube):
            return np.empty((0, 0))
        if is_finite(cube.space) and (tree := Tree(cube.space)).size <= _LISTED:
            rows = np.array([cube.encode(config) for config in tree], dtype=float)
            return rows[np.argsort(-model.score(rows), kind="stable")]
        anchors = model.anchors(_ANCHORS)
        look = model.score, model.around, anchors, seed, self.effort
        return maximise(cube, *look, rough=model.rough_score)


@dataclass(frozen=True)
class BayesPerSecond(Bayes):
    """The same where fits differ greatly in what they cost: gains count by the time they take.

    At first fully, and half as much after thirty trials (Lee et al. 2020, arXiv 2003.10870).
    """

    per_second: bool = True

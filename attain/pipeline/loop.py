"""The asynchronous loop of steps 3 to 6: propose, train, validate, refine; a decision ends it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from attain.core.codec import decode, encode
from attain.core.errors import Interrupted
from attain.core.protocols import Strategy
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.space import Space
from attain.core.types import Decision, Draft, Move, Observed, Role, Score, Split, Task, Trial
from attain.parameters import screen
from attain.parameters.select import LEARNER, READERS, unprefix
from attain.pipeline import expected, judging
from attain.pipeline.climbing import Climb, climbs, learner_of, opened, start
from attain.pipeline.inbox import heed
from attain.pipeline.late import LATE, has_model, is_late
from attain.pipeline.prepare import Prepared
from attain.pipeline.reliability import reserved_seconds
from attain.pipeline.scoring import Z95, Scored
from attain.pipeline.study import Study
from attain.pipeline.trials import Trials, best
from attain.refine.decide import Progress, decide
from attain.stats.compare import corrected_difference
from attain.validate.resample import test_over_train

FIRST_ROUND = 3
LIKELY = 3  # of the best trials, whose seconds say what confirming the finalists will take
SMALLEST_ROUND, LARGEST_ROUND, ROUNDS = 6, 25, 4
CONSTANT = ("baseline", "always predicts the same")
SIMPLEST = ("linear", "the simplest model that learns")
UNTUNED = {  # tasks whose baseline is a pre-trained model that nothing was taught
    **dict.fromkeys((Task.GENERATION, Task.PREFERENCE), ("llm", "the model as it is")),
    Task.TRANSCRIPTION: ("audio", "the network as it is"),
}


def baselines(study: Study, ready: Prepared, trials: Trials) -> None:
    """Fit what a model must beat before anything is searched: a constant, and the simplest model.

    That is a linear one with defaults; of texts alone, the lowest rung of the learner that reads
    them; of texts to be written and of speech, the pre-trained model as it is, and no constant.

    Args:
        study: Where records go.
        ready: What was prepared.
        trials: The study's trials.

    Raises:
        Interrupted: When asked to stop.
    """
    untuned = UNTUNED.get(ready.dataset.task)
    kinds = [CONSTANT, _simplest(ready)] if untuned is None else [untuned]
    for number, (learner, reason) in enumerate(kinds):
        trial = _baseline(study, ready, number, learner, reason)
        if trial.id not in trials.trials:
            trials.ask(trial)
    while trials.busy and not is_late(study):
        heed_stop(study, trials)
        trials.pump()
    if has_model(trials):  # else `late.rescue` sees to it that there is one
        trials.drop("baseline", LATE)


def _simplest(ready: Prepared) -> tuple[str, str]:
    """The simplest learner; of texts alone, what reads them stands in for a linear model."""
    kind = ready.dataset.modality
    what = READERS.get(kind)
    if what is None:
        return SIMPLEST
    ladder = next(iter(ready.space.ladders), None)
    if ladder is not None:
        return learner_of(ladder), f"the simplest model of {what}, rung {ladder.choices[0]}"
    return (kind, f"the simplest model of {what}") if ready.uses(kind) else SIMPLEST


def _baseline(study: Study, ready: Prepared, number: int, learner: str, reason: str) -> Trial:
    point = _default_point(ready, learner)
    if point:
        config = unprefix(point, ready.fixed)[1]
    else:
        config = find("learner", learner)().space(ready.dataset).defaults()
    trial_id = f"b{number:03d}"
    return Trial(
        id=trial_id,
        learner=learner,
        config=config,
        point=point,
        seed=derive(study.seed, "trial", trial_id),
        split=ready.split,
        reason=f"baseline: {reason}",
        round=0,
        seen=len(study.records),
        purpose="baseline",
    )


def _default_point(ready: Prepared, learner: str) -> Mapping[str, Any]:
    """The learner's known-good default as a point of the space; empty if it is not searched."""
    ladder = next((p for p in ready.space.ladders if learner_of(p) == learner), None)
    if ladder is not None:
        return start(ready.space, ladder, ladder.choices[0])
    root = next((p for p in ready.space if p.name == LEARNER), None)
    if root is None:
        return ready.space.defaults() if ready.uses(learner) else {}
    if not root.contains(learner):
        return {}
    return ready.space.defaults({LEARNER: learner})


def heed_stop(study: Study, trials: Trials, search: Search | None = None) -> None:
    """Leave cleanly when asked to: finished work is recorded, the rest runs again next time.

    Args:
        study: Asked whether to stop, and for what else people want.
        trials: The study's trials.
        search: The search, while it can still do what is asked.

    Raises:
        Interrupted: When asked to stop.
    """
    heed(study, search)
    if study.stopping:
        trials.halt()
        raise Interrupted("stopped on request — finished trials are kept; run the same command")


@dataclass
class Search:
    """One search; all its state is read back from the ledger.

    Attributes:
        study: Where records go.
        ready: What was prepared.
        trials: The study's trials.
        strategy: Proposes points.
        space: In force now.
        round: Of refinement, from 1.
        since: Trials scored since the last decision.
        proposing: False once the strategy has nothing left.
        opened: Whether rungs were opened whose defaults come first: at the start, and by a climb.
        dry: Space offered, trials asked for and scored when the strategy last had nothing to say.
    """

    study: Study
    ready: Prepared
    trials: Trials
    strategy: Strategy
    space: Space
    round: int = 1
    since: int = 0
    proposing: bool = True
    opened: bool = True
    dry: tuple[Space, int, int] | None = None

    @property
    def climb(self) -> Climb:
        """What is known of the ladders, if there are any."""
        return Climb(self.trials, self.ready.space, self.ready.confirming)

    @classmethod
    def resume(cls, study: Study, ready: Prepared, trials: Trials) -> Search:
        """The search as the ledger left it."""
        search = cls(study, ready, trials, find("strategy", ready.strategy)(), ready.space)
        for record in study.records:
            if record.kind == "decision":
                search._obey(decode(Decision, record.payload["decision"]))
            elif record.kind == "scored":
                search.since += search._is_search(record.payload["trial"])
        return search

    def run(self) -> Decision:
        """Search until a decision stops it.

        Returns:
            The decision to stop.

        Raises:
            Interrupted: When asked to stop.
        """
        last = self.study.last("decision")
        if last is not None:
            decision = decode(Decision, last.payload["decision"])
            if decision.kind is Move.STOP:
                judging.let_go(self.trials)
                return decision
        while True:
            heed_stop(self.study, self.trials, self)
            if self._due():
                decision = self._decide()
                if decision.kind is Move.STOP:
                    if has_model(self.trials) or decision.stop != "budget":
                        self.trials.drop("search", f"the search ended: {decision.stop}")
                    judging.let_go(self.trials)
                    return decision
            self._propose()
            self.since += sum(1 for t in self.trials.pump() if self._is_search(t))

    def _is_search(self, trial: str) -> bool:
        """Whether a trial tells the search something; one that waits has yet to."""
        waits = judging.was_paused(self.trials, trial)
        return self.trials.trials[trial].purpose == "search" and not waits

    def stop(self, trial: str) -> None:
        """End one trial of the search by hand; it counts as one that was tried."""
        self.trials.end(trial, "stopped by hand")
        self.since += 1

    def trials_left(self) -> float:
        """How many more may be asked for; none once somebody has asked for an end."""
        if self.study.closing:
            return 0
        allowed = self.study.budget.trials
        return math.inf if allowed is None else allowed - self.trials.asked("search")

    def _seconds_left(self) -> float:
        """Seconds until the search must end so that what follows still fits the budget."""
        left = self.study.seconds_left() - reserved_seconds(self.study)
        if math.isinf(left):
            return left
        done = [s for s in self.trials.scored.values() if s.search and s.loss is not None]
        likely = sorted(done, key=lambda s: s.loss or 0.0)[:LIKELY]
        typical = sum(s.seconds for s in likely) / len(likely) if likely else 0.0
        if self.space.ladders:  # the finalists stand where the leader does, not where most do
            leader = best(s for s in self.trials.scored.values() if s.search)
            typical = max(typical, leader.seconds if leader else 0.0)
        replays = self.ready.replaying * self.study.spent()  # takes as long as the search, or less
        return left - self.ready.confirming * typical / self.trials.workers - replays

    def _round_size(self) -> int:
        """Trials between decisions; the first look comes when every learner's default is known.

        Looks are pre-set: looking after every trial would be optional stopping. Where there is a
        ladder, the first comes when the defaults of all open rungs are known, and again after each
        climb.
        """
        if self.round == 1:
            root = next((p for p in self.ready.space if p.name == "learner"), None)
            return max(len(getattr(root, "choices", ())), FIRST_ROUND)
        allowed = self.study.budget.trials
        if allowed is None:
            return 10
        return min(max(allowed // ROUNDS, SMALLEST_ROUND), LARGEST_ROUND)

    def _least(self) -> int:
        """Trials before a look where all open rungs are known: other learners have their start."""
        root = next((p for p in self.ready.space if p.name == LEARNER), None)
        return self._round_size() if root is not None and self.round == 1 else 1

    def _due(self) -> bool:
        if self._seconds_left() <= 0:
            return True
        if self.study.closing:  # those under way are finished first
            return not self.trials.busy
        spent = self.trials_left() <= 0
        if spent and self.trials.busy:  # what was asked for is finished
            return False
        if not self.trials.busy and (spent or not self.proposing):
            return self._goes_on(proposing=False) is None
        if self.opened and self.space.ladders:
            unknown = self.climb.unknown(self.space)
            if unknown != "waiting":
                return not unknown and self.since >= self._least()
        return self.since >= self._round_size()

    def _propose(self) -> None:
        while self.trials.has_room and not self.study.closing:
            able = self.proposing and self.trials_left() > self.climb.kept(self.space)
            rest = self._goes_on(proposing=able)
            if rest is not None:
                self.trials.ask(rest)
                continue
            if not able:
                return
            seed = derive(self.study.seed, "strategy")
            space = self.climb.offered(self.space, self._seconds_left())
            now = (space, self.trials.asked("search"), len(self.trials.scored))
            if now == self.dry:
                return
            proposals = self.strategy.propose(space, self.trials.history(), 1, seed)
            if not proposals:
                self.dry = now
                self.proposing = space is not self.space and self.trials.busy
                return
            if proposals[0].parent:
                self.trials.ask(judging.follow(self.trials, proposals[0], self.round))
                continue
            trial_id = self.trials.next_id()
            learner, config = unprefix(proposals[0].config, self.ready.fixed)
            self.trials.ask(
                Trial(
                    id=trial_id,
                    learner=learner,
                    config=config,
                    point=proposals[0].config,
                    seed=derive(self.study.seed, "trial", trial_id),
                    split=self._split(trial_id),
                    reason=proposals[0].reason,
                    round=self.round,
                    seen=len(self.study.records),
                    predicted=proposals[0].predicted,
                )
            )

    def _goes_on(self, *, proposing: bool) -> Trial | None:
        """The rest of a paused fit that is no longer behind, or that the strategy goes on with."""
        found = judging.next_paused(self.trials)
        if found is not None:
            return judging.continuation(self.trials, found, self.round)
        if proposing:  # then the strategy is asked anyway
            return None
        seed = derive(self.study.seed, "strategy")
        return judging.follower(self.trials, self.strategy, self.space, seed, self.round)

    def _split(self, trial: str) -> Split:
        """The folds of a trial: those of all, or its own (Nagler et al. 2024, arXiv 2405.15393)."""
        if not self.ready.reshuffle:
            return self.ready.split
        return replace(self.ready.split, seed=derive(self.study.seed, "reshuffle", trial))

    def _decide(self) -> Decision:
        left = self.trials_left()
        seen = expected.look(self.trials, self.round)
        decision = decide(self._progress(left, seen))
        if self.study.closing and decision.stop in ("", "budget"):
            decision = _on_request(decision)
        decision = replace(decision, evidence=self._evidence())
        made = Draft("refine", "decision", encode({"decision": decision, "round": self.round}))
        self.study.write_all([made] if seen is None else [seen, made])
        expected.prune(self.trials)
        self._obey(decision)
        return decision

    def _evidence(self) -> tuple[int, ...]:
        """Records of the trials scored since the last decision."""
        last = self.study.last("decision")
        return tuple(
            r.id
            for r in self.study.records[last.id if last else 0 :]
            if r.kind == "scored" and r.payload["search"]
        )

    def _obey(self, decision: Decision) -> None:
        self.since, self.opened = 0, opened(decision)
        if decision.kind is not Move.STOP:
            self.round += 1
        if decision.space is not None:
            self.space = decision.space
            self.proposing = True

    def _progress(self, trials_left: float, seen: Draft | None) -> Progress:
        trials = self.trials.trials
        history = [
            o
            for o in self.trials.history()
            if o.status != "running" and self._counts(trials[o.trial])
        ]
        leader = best(s for s in self.trials.scored.values() if self._counts(trials[s.trial]))
        before = self._decisions()
        seconds_left = self._seconds_left()
        # nothing is left to try but rungs that would take longer than there is time
        withheld = not self.proposing and (
            self.climb.offered(self.space, seconds_left) is not self.space
        )
        return Progress(
            round=self.round,
            space=self.space,
            history=tuple(history),
            objectives=self.ready.objectives,
            best_scores=self._as_sealed(leader, seen),
            best_point={} if leader is None else self.trials.trials[leader.trial].point,
            diagnoses=() if leader is None else leader.diagnoses,
            importance=screen.importance(self.space, history),
            trials_left=trials_left,
            seconds_left=0.0 if withheld else seconds_left,
            rounds_without_gain=self._rounds_without_gain(history),
            noise=paired_noise(self.trials),
            previous=before[-1] if before else None,
            exhausted=not self.proposing and not withheld,
            rungs=self.climb.rungs(self.space),
            seconds_free=self.study.seconds_left() - reserved_seconds(self.study),
        )

    def _all_at_once(self) -> float:
        """How much wider intervals are that hold for all configurations, and so for the best.

        With folds of their own, configurations cannot be resampled together by rows; Bonferroni's
        inequality holds whatever they share.
        """
        tried = sum(s.search and s.loss is not None for s in self.trials.scored.values())
        tail = (1 - self.trials.judge.confidence) / 2
        return float(special.ndtri(tail / max(tried, 1)) / special.ndtri(tail))

    def _counts(self, trial: Trial) -> bool:
        """Whether a trial is part of the search; the lowest rung of a ladder is, as a baseline."""
        return trial.purpose == "search" or (
            trial.purpose == "baseline" and climbs(self.ready.space, trial.point)
        )

    def _decisions(self) -> list[tuple[Decision, float | None]]:
        """Earlier decisions, each with the best loss at its time."""
        found = []
        losses = [math.inf]
        for record in self.study.records:
            if record.kind == "scored" and record.payload["search"]:
                loss = record.payload["loss"]
                losses.append(min(losses[-1], math.inf if loss is None else float(loss)))
            elif record.kind == "decision":
                loss = losses[-1] if math.isfinite(losses[-1]) else None
                found.append((decode(Decision, record.payload["decision"]), loss))
        return found

    def _rounds_without_gain(self, history: list[Observed]) -> int:
        """Rounds since the best loss last fell by more than the noise."""
        noise, lowest, gained = paired_noise(self.trials), math.inf, 0
        for number in range(1, self.round + 1):
            losses = [o.loss for o in history if o.round == number and o.loss is not None]
            if losses and min(losses) < lowest - (noise if math.isfinite(lowest) else 0):
                gained = number
            lowest = min([lowest, *losses])
        return self.round - gained

    def _as_sealed(self, leader: Scored | None, seen: Draft | None) -> dict[str, Score]:
        """The scores to expect, with intervals as wide as the sealed rows will make them.

        Stopping because targets are met is only right if the sealed test can be expected to agree:
        the best of many scores is too good, and fewer rows are sealed than validated, so the
        interval there is wider.
        """
        if leader is None:
            return {}
        dataset, seal = self.ready.dataset, self.ready.seal
        factor = math.sqrt(max(1.0, dataset.rows / max(seal.rows, 1)))
        if self.ready.reshuffle:
            factor *= self._all_at_once()
        corrected = decode(tuple[Score, ...], seen.payload["scores"]) if seen else ()
        scores = {s.metric: s for s in (*leader.scores, *corrected)}
        return {
            m: expected.widened(s, factor) if self._is_quality(m) else s for m, s in scores.items()
        }

    def _is_quality(self, metric: str) -> bool:
        return any(o.metric == metric and o.role is Role.GOAL for o in self.ready.objectives)


def _on_request(decision: Decision) -> Decision:
    """The end that somebody asked for, with what was seen at that time."""
    reason = "somebody asked for no further trials, and those under way have ended"
    return replace(decision, kind=Move.STOP, reason=reason, space=None, changes=(), stop="request")


def paired_noise(trials: Trials, most: int = 5) -> float:
    """Typical standard error of the difference in loss between two good trials on the same folds.

    Args:
        trials: The study's trials.
        most: How many of the best trials are looked at.

    Returns:
        In units of the loss; 0 while fewer than two trials are done. With a single fold, where
        nothing is paired, the standard error of a score itself, which is larger.
    """
    metric = trials.judge.lead_metric
    done = [s for s in trials.scored.values() if s.search and s.loss is not None]
    leaders = sorted(done, key=lambda s: s.loss or 0.0)[:most]
    folds = [np.asarray(s.per_fold) for t in leaders if (s := t.score(metric)) and s.per_fold]
    if len(folds) < 2:
        return 0.0
    ratio = test_over_train(trials.trials[leaders[0].trial].split)
    errors = np.array([corrected_difference(folds[0], other, ratio) for other in folds[1:]])
    scale = loss_scale(leaders, metric)
    if not np.isfinite(errors).any():  # a hold-out has one fold: fall back on the scores' own noise
        return float(np.median([s.noise or 0.0 for s in leaders]))
    return float(np.median(errors[np.isfinite(errors)])) * scale


def loss_scale(leaders: list[Scored], metric: str) -> float:
    """How much the loss moves when the metric moves by one.

    Args:
        leaders: Good trials.
        metric: Which one.

    Returns:
        From their scores' intervals; 1 when these tell nothing.
    """
    spread = []
    for scored in leaders:
        found = scored.score(metric)
        if found is not None and scored.noise and found.high > found.low:
            spread.append(scored.noise * 2 * Z95 / (found.high - found.low))
    return float(np.median(spread)) if spread else 1.0

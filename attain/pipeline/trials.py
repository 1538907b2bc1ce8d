"""Trials under way: folds are submitted, outcomes recorded, complete trials scored."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from attain.core.codec import decode, encode
from attain.core.protocols import Event, Executor, Job, Limits
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.space import RUNG
from attain.core.types import (
    Forecast,
    Observed,
    Outcome,
    RungForecast,
    Score,
    Status,
    Trial,
)
from attain.pipeline import folders
from attain.pipeline.judging import asked_of, fold_name, paused, shown, state_of
from attain.pipeline.racing import Contest, race, raced_out, stopped_early
from attain.pipeline.scoring import Judge, Scored, observe
from attain.pipeline.study import Study
from attain.validate.race import Race, unsound

FIT_FOLD = "attain.pipeline.jobs:fit_fold"
MOST_LOST = 3
LARGEST_SHARE = 0.1  # of the time budget, for one trial
LEAST_SECONDS = 2.0  # for one fit, however small the budget
FORECAST_ROOM = 3.0  # times the seconds forecast at the defaults, for fits of any configuration
_JOB_FIELDS = {f.name for f in fields(Outcome)} - {"trial", "fold", "seconds", "peak_bytes", "log"}


class Trials:
    """The trials of a study, rebuilt from its ledger.

    Trials that were asked but not finished are queued first, fold by fold, so that a resumed study
    asks nothing twice.

    Args:
        study: Where records go.
        judge: Scores complete trials.
        executor: Where folds run.
        workers: Folds that may run at the same time.
        limits: Of each fold.
        racing: Whether configurations that are clearly behind are denied their remaining folds.
        strategy: Registered name of the strategy that judges fits under way; empty for none.
        forecasts: What fits were said to cost, by learner.
        firm: Whether the limit of seconds is the user's own, so that no forecast moves it.
    """

    def __init__(
        self,
        study: Study,
        judge: Judge,
        executor: Executor,
        *,
        workers: int,
        limits: Limits,
        racing: bool = True,
        strategy: str = "",
        forecasts: Mapping[str, Forecast] | None = None,
        firm: bool = False,
    ) -> None:
        self.study = study
        self.judge = judge
        self.executor = executor
        self.workers = workers
        self.limits = limits
        self.racing = racing
        self.strategy = strategy
        self.forecasts = forecasts or {}
        self.firm = firm
        self.judges = bool(strategy) and getattr(find("strategy", strategy), "judges", True)
        self.trials: dict[str, Trial] = {}
        self.scored: dict[str, Scored] = {}
        self.continued: dict[str, str] = {}  # by paused trial, the one that goes on with it
        self._outcomes: dict[str, dict[int, Outcome]] = {}
        self._records: dict[str, list[int]] = {}
        self._queue: deque[tuple[str, int]] = deque()
        self._running: dict[str, tuple[str, int]] = {}
        self._lost: dict[tuple[str, int], int] = {}
        self._seen: dict[str, tuple[Scored | None, Observed]] = {}
        self._replay()

    def _replay(self) -> None:
        for record in self.study.records:
            if record.kind == "trial":
                trial = decode(Trial, record.payload["trial"])
                self._admit(trial, record.id)
            elif record.kind == "outcome":
                outcome = decode(Outcome, record.payload["outcome"])
                self._keep(outcome, record.id)
            elif record.kind == "scored":
                scored = decode(Scored, record.payload)
                self.scored[scored.trial] = scored
        for trial in self.trials.values():
            if trial.id not in self.scored:
                self._enqueue(trial)
                self._settle(trial.id)
        kept = [fold_name(*item) for item in self._queue]
        left = [t for t in self.trials.values() if t.id not in self.scored]
        kept += [state_of(name) for t in left for name in (t.parent, t.origin)]
        kept += [state_of(t.id) for t in paused(self)]
        if self.study.last("refit") is None:
            kept.append(folders.REFIT)
        folders.keep_checkpoints(self.study.folder, kept)

    def ask(self, trial: Trial) -> None:
        """Record a trial, then queue its folds.

        Args:
            trial: Not asked before.
        """
        record = self.study.write("strategy", "trial", {"trial": trial})
        self._admit(trial, record.id)
        self._enqueue(trial)
        self._submit()

    def history(self) -> tuple[Observed, ...]:
        """The search as a strategy sees it, in order of asking.

        A baseline that is a point of the space counts; confirmations do not, nor does a paused
        trial that has gone on as another one.
        """
        return tuple(self._observed(t) for t in self.trials.values() if self._searches(t))

    def outcome(self, trial: str, fold: int = 0) -> Outcome | None:
        """What a trial's fit gave, if it has ended."""
        return self._outcomes[trial].get(fold)

    def next_id(self) -> str:
        """The number of the next trial of the search."""
        return f"t{1 + sum(t.purpose == 'search' for t in self.trials.values()):04d}"

    def _observed(self, trial: Trial) -> Observed:
        """The same object until more is known: strategies recognise what they have seen."""
        scored = self.scored.get(trial.id)
        if trial.id not in self._seen or self._seen[trial.id][0] is not scored:
            seen = observe(trial, scored)
            self._seen[trial.id] = scored, shown(self, trial, seen) if self.judges else seen
        return self._seen[trial.id][1]

    def baseline(self) -> Mapping[str, Score]:
        """Scores of the simplest baseline by metric, empty until it is scored."""
        for trial in self.trials.values():
            if trial.purpose == "baseline" and trial.id in self.scored:
                return {s.metric: s for s in self.scored[trial.id].scores}
        return {}

    def predictions(self, trial: str) -> list[str]:
        """Files of a finished trial's validation predictions, in order of folds.

        All folds, or the first ones of a trial that the time cut off.
        """
        outcomes = self._outcomes[trial]
        if trial in self.scored and self.scored[trial].loss is not None:
            return [outcomes[fold].predictions for fold in range(self.folds_done(trial))]
        return [outcomes[fold].predictions for fold in sorted(outcomes)]

    def folds_done(self, trial: str) -> int:
        """How many folds are done, counted up to the first that is not."""
        done, outcomes = 0, self._outcomes[trial]
        while done in outcomes and outcomes[done].status is Status.DONE:
            done += 1
        return done

    def is_whole(self, trial: str) -> bool:
        """Whether all of a trial's folds are done."""
        return self.folds_done(trial) == self.trials[trial].split.jobs

    def megabytes(self, trial: str) -> float:
        """Size of a confirmed model: a price that, unlike seconds, is the same in every run."""
        return float(self._outcomes[trial][0].facts["size_mb"])

    def asked(self, purpose: str) -> int:
        """Number of configurations asked for a purpose; one that goes on is no other one."""
        return sum(1 for t in self.trials.values() if t.purpose == purpose and not t.parent)

    def succeeded(self, purpose: str) -> bool:
        """Whether any trial asked for a purpose has a loss."""
        mine = (self.scored.get(t.id) for t in self.trials.values() if t.purpose == purpose)
        return any(s is not None and s.loss is not None for s in mine)

    @property
    def has_room(self) -> bool:
        """Whether a worker would idle if nothing new were asked."""
        return not self._queue and len(self._running) < self.workers

    @property
    def busy(self) -> bool:
        """Whether any fold waits or runs."""
        return bool(self._queue or self._running)

    def pump(self, timeout: float = 0.2) -> list[str]:
        """Take in what happened.

        Args:
            timeout: Seconds to wait for the first event.

        Returns:
            Ids of the trials scored meanwhile.
        """
        self._submit()
        done = []
        for event in self.executor.events(timeout):
            if event.kind == "progress":
                self.study.tell("progress", job=event.job, value=event.value)
            elif event.kind == "ended" and event.job in self._running:
                done += self._ended(event)
        self._submit()
        self.study.tell("tick", running=len(self._running))
        return done

    def drop(self, purpose: str, reason: str) -> None:
        """End the unfinished trials of a purpose; they are recorded as cancelled.

        Args:
            purpose: Such as ``search``.
            reason: For the record.
        """
        for trial in list(self.trials.values()):
            if trial.purpose == purpose and trial.id not in self.scored:
                self.end(trial.id, reason)

    def end(self, trial: str, reason: str) -> None:
        """End one unfinished trial; it is recorded as cancelled.

        Args:
            trial: Its id.
            reason: For the record.
        """
        ended = self.trials[trial]
        self._forget(trial)
        search = ended.purpose == "search"
        self._score(ended, Scored(trial, Status.CANCELLED, search, reason))

    def cut(self, trial: str, reason: str) -> None:
        """End an unfinished trial; it is worth what the folds that it has done show.

        Args:
            trial: Its id; its first fold at least is done.
            reason: For the record.
        """
        cut, done = self.trials[trial], self.folds_done(trial)
        self._forget(trial)
        outcomes = [self._outcomes[trial][fold] for fold in range(done)]
        baseline = {} if cut.purpose == "baseline" else self.baseline()
        message = f"{done} of {cut.split.jobs} folds: {reason}"
        self._score(cut, replace(self.judge.score(cut, outcomes, baseline), message=message))

    def halt(self) -> None:
        """Cancel what runs without recording it, so that a resumed study runs it again."""
        for job in list(self._running):
            self.executor.cancel(job)
        self._running.clear()
        self._queue.clear()

    def _admit(self, trial: Trial, record: int) -> None:
        self.trials[trial.id] = trial
        if trial.parent:
            self.continued[trial.parent] = trial.id
        self._outcomes.setdefault(trial.id, {})
        self._records.setdefault(trial.id, []).append(record)

    def _enqueue(self, trial: Trial) -> None:
        done = self._outcomes[trial.id]
        self._queue.extend((trial.id, k) for k in range(trial.split.jobs) if k not in done)

    def _keep(self, outcome: Outcome, record: int) -> None:
        self._outcomes[outcome.trial][outcome.fold] = outcome
        self._records[outcome.trial].append(record)

    def _submit(self) -> None:
        while self._queue and len(self._running) < self.workers:
            trial_id, fold = self._queue.popleft()
            job = self._job(self.trials[trial_id], fold)
            self._running[job.id] = (trial_id, fold)
            self.executor.submit(job)

    def _job(self, trial: Trial, fold: int) -> Job:
        metrics = [*self.judge.efficiency, *(["size_mb"] if trial.purpose == "confirm" else [])]
        attempt = self._lost.get((trial.id, fold), 0)
        payload = {
            "folder": str(self.study.folder),
            "dataset": encode(self.judge.dataset),
            "learner": trial.learner,
            "config": dict(trial.config),
            "split": encode(trial.split),
            "fold": fold,
            "seed": derive(trial.seed, "fold", fold),
            "threads": self.limits.threads,
            "memory": self.limits.bytes,
            "metrics": metrics,
            "quality": list(self.judge.quality),
            "full": trial.purpose == "confirm",
            "seconds": self._soft_seconds(trial),
            "out": f"trials/{trial.id}-f{fold}.npz",
            "stop_seed": derive(trial.split.seed, "stop rows", fold),
            "judge": asked_of(self, trial) if fold == 0 else None,
            "checkpoint": fold_name(trial.id, fold),
            "origin": state_of(trial.origin or trial.parent) if trial.parent and not fold else None,
        }
        name = fold_name(trial.id, fold) + (f"-again{attempt}" if attempt else "")
        return Job(name, FIT_FOLD, payload, self._hard_limits(trial))

    def _soft_seconds(self, trial: Trial) -> float | None:
        """When a fit stops with what it has, so that no trial takes more than a tenth of the time.

        Without a time budget there is no such limit, and a study replays exactly. A fit that was
        forecast to take longer was opened because the budget pays for it; it gets the time, for a
        schedule of the learning rate that is cut off has not done what it is for.
        """
        minutes = self.study.budget.minutes
        if minutes is None:
            return None
        share = minutes * 60 * self.workers * LARGEST_SHARE / trial.split.jobs
        found = self.forecast(trial.learner, trial.config.get(RUNG))
        foretold = 0.0 if found is None else FORECAST_ROOM * found.seconds
        return max(share, LEAST_SECONDS, foretold)

    def _hard_limits(self, trial: Trial) -> Limits:
        """When a fit is taken for a hang: never before its soft limit is well over."""
        found = self.forecast(trial.learner, trial.config.get(RUNG))
        if self.firm or found is None or self.limits.seconds is None:
            return self.limits
        foretold = 2 * FORECAST_ROOM * found.seconds
        return replace(self.limits, seconds=max(self.limits.seconds, foretold))

    def forecast(self, learner: str, rung: Any) -> RungForecast | None:
        """What a fit was said to cost, if its learner has said so of this rung."""
        known = self.forecasts.get(learner)
        return next((r for r in known.rungs if r.name == rung), None) if known else None

    def seconds_of(self, learner: str, rung: Any) -> float | None:
        """What one fit on a rung takes: the median of those seen, else as forecast."""
        seen = sorted(
            outcome.fit_seconds
            for trial in self.trials.values()
            if trial.learner == learner and trial.config.get(RUNG) == rung
            for outcome in self._outcomes[trial.id].values()
            if outcome.status is Status.DONE
        )
        if seen:
            return seen[len(seen) // 2]
        found = self.forecast(learner, rung)
        return None if found is None else found.seconds

    def _ended(self, event: Event) -> list[str]:
        trial_id, fold = self._running.pop(event.job)
        if event.status is Status.LOST and self._lost.get((trial_id, fold), 0) < MOST_LOST:
            self._lost[trial_id, fold] = self._lost.get((trial_id, fold), 0) + 1
            self._queue.appendleft((trial_id, fold))
            return []
        outcome = _outcome(trial_id, fold, event)
        record = self.study.write("train", "outcome", {"outcome": outcome})
        self._keep(outcome, record.id)
        if "paused" not in outcome.facts:
            folders.drop_checkpoint(self.study.folder, fold_name(trial_id, fold))
        return [trial_id] if self._settle(trial_id) else []

    def _settle(self, trial_id: str) -> bool:
        """Score a trial that is complete, failed, or clearly behind on the folds it has."""
        trial, outcomes = self.trials[trial_id], list(self._outcomes[trial_id].values())
        failed = any(o.status is not Status.DONE for o in outcomes)
        seen = None if failed or not outcomes else self._race(trial, outcomes)
        ended = "" if failed else stopped_early(outcomes)
        if seen is not None and seen.dropped and not ended:
            ended = str(seen)
        if not failed and not ended and len(outcomes) < trial.split.jobs:
            return False
        if failed or ended:
            self._forget(trial_id, end=failed)
        baseline = {} if trial.purpose == "baseline" else self.baseline()
        if ended:
            scored = raced_out(trial, outcomes, seen, ended)
        else:
            scored = replace(self.judge.score(trial, outcomes, baseline), race=seen)
        self._score(trial, scored)
        return True

    def _race(self, trial: Trial, outcomes: list[Outcome]) -> Race | None:
        """A look at a trial of the search beside the best complete one on the same folds."""
        stopped = bool(stopped_early(outcomes))
        races = self.racing and not unsound(trial.split)
        if trial.purpose != "search" or not (races or stopped):
            return None
        before = [t for t in self.trials.values() if t.id != trial.id and self._searches(t)]
        rival = best(
            s for t in before if t.split == trial.split and (s := self.scored.get(t.id)) is not None
        )
        if rival is None:
            return None
        family = [self.scored.get(t.id) for t in before if t.learner == trial.learner]
        past = [s.race for s in family if s is not None and s.race is not None]
        of_rival = self._outcomes[rival.trial]
        baseline = self.baseline()
        return race(
            self.judge,
            Contest(
                trial,
                outcomes,
                rival,
                of_rival,
                len(before),
                past,
                baseline,
                stopped,
            ),
        )

    def _searches(self, trial: Trial) -> bool:
        if trial.id in self.continued:
            return False
        return trial.purpose == "search" or (trial.purpose == "baseline" and bool(trial.point))

    def _score(self, trial: Trial, scored: Scored) -> None:
        self.study.write("validate", "scored", encode(scored), *self._records[trial.id])
        self.scored[trial.id] = scored
        if trial.parent:
            folders.drop_checkpoint(self.study.folder, state_of(trial.parent))

    def _forget(self, trial_id: str, *, end: bool = True) -> None:
        """Drop what waits of a trial; what runs is ended, or left to end by itself unheard."""
        self._queue = deque(item for item in self._queue if item[0] != trial_id)
        for job in [j for j, item in self._running.items() if item[0] == trial_id]:
            _, fold = self._running.pop(job)
            if end:
                self.executor.cancel(job)
                folders.drop_checkpoint(self.study.folder, fold_name(trial_id, fold))


def _outcome(trial: str, fold: int, event: Event) -> Outcome:
    """What an ended job says of its fold."""
    known: dict[str, Any] = {
        "status": event.status,
        "message": event.message,
        "seconds": event.seconds,
        "peak_bytes": event.peak_bytes,
        "log": event.log,
    }
    if event.status is Status.DONE:
        known |= {k: v for k, v in event.value.items() if k in _JOB_FIELDS}
    return decode(Outcome, encode({"trial": trial, "fold": fold, **known}))


def best(scored: Iterable[Scored]) -> Scored | None:
    """The successful trial with the smallest loss, the first of equals."""
    done = [s for s in scored if s.loss is not None]
    return min(done, key=lambda s: s.loss, default=None)  # type: ignore[arg-type,return-value]

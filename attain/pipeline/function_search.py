"""The loop of `minimize`: trials are asked for, evaluated here or elsewhere, and recorded."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from attain.core.errors import AttainError, Problem, SpecError
from attain.core.protocols import Event, Executor, Job, Limits
from attain.core.types import Status
from attain.pipeline.asktell import Optimizer
from attain.pipeline.function_jobs import EVALUATE, Evaluated, evaluate
from attain.pipeline.goals import Goals
from attain.pipeline.limits import LOCAL, ray_address
from attain.pipeline.pruning import reports
from attain.pipeline.tally import FunctionTrial
from attain.pipeline.ticker import Ticker

FIRST_FAILURES = 5  # without a single success, after which going on makes no sense
MOST_LOST = 3  # times that a trial is tried again after a node died under it
IDLE_SHARE = 0.03  # of workers' time, from which on more trials are worth more than knowing more
IDLE_SHARE_BLIND = 0.01  # the same where nothing is to be known
MOST_AHEAD = 8
_POLL_SECONDS = 0.2

Function = Callable[..., Any]  # of a configuration, perhaps of something to report to, too


class Ended(StrEnum):
    """Why a search ended."""

    TARGET = "target"
    TRIALS = "trials"
    SECONDS = "seconds"
    EXHAUSTED = "exhausted"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Budget:
    """What ends a search.

    Attributes:
        trials: Trials that may end; None for any number.
        seconds: Of searching, earlier calls included; None for no limit.
        target: Of the goal's metric; None for none.
    """

    trials: int | None
    seconds: float | None
    target: float | None


@dataclass(frozen=True)
class Place:
    """Where trials run, if not in this process.

    Attributes:
        workers: How many run at a time.
        executor: ``local``, ``ray`` or ``ray:ADDRESS``, or what makes an executor of one's own.
        seconds: Limit of a trial, or None.
        bytes: Memory limit of a trial, or None.
        logs: Folder for what trials print; None keeps nothing.
    """

    workers: int
    executor: str | Callable[[], Executor]
    seconds: float | None
    bytes: int | None
    logs: Path | None

    def open(self) -> Executor:
        """The executor, to be closed by the caller."""
        made: Any
        if not isinstance(self.executor, str):
            return self.executor()
        threads = max(1, _cores() // self.workers)
        if self.executor == LOCAL:
            from attain.runtime.local import LocalExecutor

            made = LocalExecutor(self.workers, threads, self.logs)
        else:
            from attain.runtime.ray_ import RayExecutor

            made = RayExecutor(self.workers, 1, self.logs, address=ray_address(self.executor))
        made.warm(EVALUATE)
        opened: Executor = made
        return opened


class Ahead:
    """How many trials wait at the workers' doors, so that none stands idle.

    A trial that is asked for ahead of its time knows less, about as if a result came one trial
    later. Where a strategy learns from results, this is done only where workers would wait for more
    than 3 % of their time, and for no more trials than end while others are asked for; else from
    1 % on, and for one trial of each worker at least. Never for a single worker, whose search would
    then depend on how fast this machine is.

    Args:
        workers: How many run at a time.
        learns: Whether proposals depend on results.
    """

    def __init__(self, workers: int, *, learns: bool = True) -> None:
        self._workers, self._learns = workers, learns
        self._trials, self._seconds, self._between = 0, 0.0, 0.0

    def note(self, trials: int, seconds: float, between: float) -> None:
        """Take in what some trials took.

        Args:
            trials: How many ended.
            seconds: Of the function, all together.
            between: From their end until others had been asked for.
        """
        self._trials += trials
        self._seconds += seconds
        self._between += between

    @property
    def count(self) -> int:
        """Trials to have waiting, at most eight for each worker."""
        least = IDLE_SHARE if self._learns else IDLE_SHARE_BLIND
        brief = self._trials and self._between > least * self._seconds
        if not brief or self._workers == 1:
            return 0
        ratio = min(self._between / max(self._seconds, 1e-9), float(MOST_AHEAD))
        return math.ceil(self._workers * (ratio if self._learns else max(ratio, 1.0)))


class Search:
    """One call of `minimize`.

    Args:
        function: What is minimised.
        optimizer: Proposes and keeps.
        goals: What is asked for.
        budget: What ends the search.
        ticker: Told of each trial.
    """

    def __init__(
        self,
        function: Function,
        optimizer: Optimizer,
        goals: Goals,
        budget: Budget,
        ticker: Ticker,
    ) -> None:
        self.function = function
        self.optimizer = optimizer
        self.budget = budget
        self.ticker = ticker
        self.stopping = False
        self.evaluating = False
        self._goals = goals
        self._reports = reports(function)
        self._before = optimizer.journal.spent
        self._began = time.monotonic()
        self._failed: list[str] = []
        self._lost: Counter[str] = Counter()
        self._error: BaseException | None = None
        self._left = deque(optimizer.running)  # of a call that was killed

    def run(self, place: Place | None) -> tuple[Ended, str]:
        """Search until something ends it.

        Args:
            place: Where trials run; None for this process.

        Returns:
            What ended it, and the same as a sentence.
        """
        note = self.optimizer.journal.write
        self._check_same(self.name)
        note([("began", {"function": self.name, "workers": place.workers if place else 1})])
        with _heed_interrupt(self):
            ended = self._alone() if place is None else self._together(place)
        if not self.optimizer.done and self._failed and ended is not Ended.INTERRUPTED:
            raise self._hopeless()
        reason = self._sentence(ended)
        note([("ended", {"ended": ended.value, "reason": reason})])
        return ended, reason

    @property
    def name(self) -> str:
        """Of the function, as it is recorded."""
        return str(getattr(self.function, "__qualname__", type(self.function).__qualname__))

    def _check_same(self, name: str) -> None:
        for record in self.optimizer.journal.records:
            if record.kind == "began" and record.payload["function"] != name:
                rule = "a search goes on with the function it began with"
                remedy = f"it began with {record.payload['function']}: give that, or another output"
                raise SpecError(Problem(rule, name, "function", remedy))

    def _alone(self) -> Ended:
        trial = self._next() if (ended := self._due(under_way=0)) is None else None
        while ended is None:
            if trial is None:
                return Ended.EXHAUSTED
            result = self._evaluate(trial)
            with self.optimizer.journal.gathered():  # one flush of the disk for both
                result()
                ended = self._due(under_way=0)
                trial = self._next() if ended is None else None
        return ended

    def _evaluate(self, trial: FunctionTrial) -> Callable[[], None]:
        """Evaluate here; what is returned records how it ended."""
        began = time.perf_counter()
        try:
            self.evaluating = True
            result = evaluate(self._payload(trial), None)
        except KeyboardInterrupt:
            self.stopping = True
            return partial(self.optimizer.lost, trial, "interrupted")
        except Exception as error:  # noqa: BLE001 - whatever a function raises ends that trial only
            self._error = self._error or error
            status = Status.MEMORY if isinstance(error, MemoryError) else Status.FAILED
            seconds = time.perf_counter() - began
            return partial(self._fail, trial, _described(error), status, seconds)
        finally:
            self.evaluating = False
        return partial(self._tell, trial, result, time.perf_counter() - began)

    def _payload(self, trial: FunctionTrial) -> dict[str, Any]:
        report = self.optimizer.reporter(trial.id) if self._reports else None
        return {"function": self.function, "config": trial.config, "report": report}

    def _together(self, place: Place) -> Ended:
        executor = place.open()
        limits = Limits(seconds=place.seconds, bytes=place.bytes)
        under_way: dict[str, FunctionTrial] = {}
        learns = getattr(self.optimizer.journal.strategy, "learns", True)
        ahead, events = Ahead(place.workers, learns=learns), list[Event]()
        try:
            while True:
                began = time.perf_counter()
                ended_now = [e for e in events if e.kind == "ended"]
                # One flush of the disk for all; but what has ended waits for no model to be fitted.
                with nullcontext() if learns else self.optimizer.journal.gathered():
                    self._take_all(under_way, ended_now)
                    ended = self._due(len(under_way))
                    room = place.workers + ahead.count
                    new = self._fill(under_way, room) if ended is None else []
                for trial in new:
                    executor.submit(Job(trial.id, EVALUATE, self._payload(trial), limits))
                spent = time.perf_counter() - began
                ahead.note(len(ended_now), sum(e.seconds for e in ended_now), spent)
                if ended not in (None, Ended.TRIALS) or not under_way:
                    return ended or Ended.EXHAUSTED
                events = executor.events(_POLL_SECONDS)
        finally:
            executor.close()
            with self.optimizer.journal.gathered():
                for trial in under_way.values():
                    self.optimizer.lost(trial, "the search ended before it did")

    def _fill(self, under_way: dict[str, FunctionTrial], room: int) -> list[FunctionTrial]:
        """Ask until so many are under way; they are submitted once they are on the disk."""
        new: list[FunctionTrial] = []
        while (n := self._wanted(room, len(under_way))) > 0:
            trials = self._asked(n)
            if not trials:
                break
            under_way |= {trial.id: trial for trial in trials}
            new += trials
        return new

    def _wanted(self, room: int, under_way: int) -> int:
        """How many trials may be asked for; all at once, for a model is then fitted only once."""
        if self._due(under_way) is not None:
            return 0
        left = room if self.budget.trials is None else self.budget.trials - self.optimizer.ended
        return min(room, left) - under_way

    def _asked(self, n: int) -> list[FunctionTrial]:
        """Up to n trials: what a call that was killed has left, then new ones."""
        if self._left:
            return [self._left.popleft() for _ in range(min(n, len(self._left)))]
        return list(self.optimizer.ask(n))

    def _take_all(self, under_way: dict[str, FunctionTrial], events: list[Event]) -> None:
        with self.optimizer.journal.gathered():
            for event in events:
                self._take(under_way.pop(event.job), event)

    def _take(self, trial: FunctionTrial, event: Event) -> None:
        if event.status is Status.DONE:
            self._tell(trial, event.value, event.seconds)
        elif event.status is Status.CANCELLED or self._may_repeat(trial, event):
            self.optimizer.lost(trial, event.message)
        else:
            log = f"; it printed to {event.log}" if event.log else ""
            status = Status.KILLED if event.status is Status.LOST else event.status
            self._fail(trial, f"{event.message}{log}", status, event.seconds)

    def _may_repeat(self, trial: FunctionTrial, event: Event) -> bool:
        """Whether a trial was lost by no fault of its own, and not too often yet."""
        if event.status is not Status.LOST:
            return False
        self._lost[trial.id] += 1
        return self._lost[trial.id] <= MOST_LOST

    def _next(self) -> FunctionTrial | None:
        return next(iter(self._asked(1)), None)

    def _tell(self, trial: FunctionTrial, result: Any, seconds: float) -> None:
        if isinstance(result, Evaluated):
            result, report = result.result, result.report
            self.optimizer.reported(trial.id, report)
            if report.hopeless:
                self._show(self.optimizer.pruned(trial, seconds=seconds))
                return
        try:
            told = self.optimizer.tell(trial, result, seconds=seconds)
        except SpecError as error:
            self._error = self._error or error
            self._fail(trial, str(error), Status.FAILED, seconds)
        else:
            self._show(told)

    def _fail(self, trial: FunctionTrial, message: str, status: Status, seconds: float) -> None:
        self._show(self.optimizer.failed(trial, message, status=status, seconds=seconds))

    def _show(self, trial: FunctionTrial) -> None:
        self.ticker.ended(self.optimizer.ended, trial, self.optimizer.best)
        if not trial.done and trial.status != Status.PRUNED:
            self._failed.append(trial.id)
            if not self.optimizer.done and len(self._failed) >= FIRST_FAILURES:
                raise self._hopeless()

    def _hopeless(self) -> AttainError:
        """The error for a function that never succeeds; its trials will be asked for again."""
        known = {t.id: t for t in self.optimizer.trials}
        first = known[self._failed[0]]
        for trial in self._failed:
            self.optimizer.lost(trial, f"no trial succeeded: {known[trial].message}")
        rule = "the function must succeed for some configuration"
        count = f"{len(self._failed)} of {len(self._failed)} trials failed"
        said = f"the first, {first.config}, said: {first.message or first.status}"
        error = SpecError(Problem(rule, count, "function", said))
        error.__cause__ = self._error
        return error

    def _due(self, under_way: int) -> Ended | None:
        """What ends the search now; TRIALS while the last ones are under way."""
        budget, best = self.budget, self.optimizer.best if self.budget.target is not None else None
        if self.stopping:
            return Ended.INTERRUPTED
        if best is not None and best.feasible and self._reached(best):
            return Ended.TARGET
        if budget.trials is not None and self.optimizer.ended + under_way >= budget.trials:
            return Ended.TRIALS
        if budget.seconds is not None and self._seconds() >= budget.seconds:
            return Ended.SECONDS
        return None

    def _reached(self, best: FunctionTrial) -> bool:
        goal = self._goals.goals[0]
        assert self.budget.target is not None
        return goal.sign * best.metrics[goal.metric] <= goal.sign * self.budget.target

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def _sentence(self, ended: Ended) -> str:
        pruned = self.optimizer.journal.tally.pruned
        failed = self.optimizer.ended - self.optimizer.done - pruned
        whys = {
            Ended.TARGET: f"the target {self.budget.target} was reached",
            Ended.TRIALS: "all trials have ended",
            Ended.SECONDS: f"{self.budget.seconds} seconds have passed",
            Ended.EXHAUSTED: "every configuration of the space was tried",
            Ended.INTERRUPTED: "stopped on request, and the same call continues",
        }
        counts = (failed, "failed"), (pruned, "pruned")
        tail = "".join(f", {count} {word}" for count, word in counts if count)
        return f"{whys[ended]} ({self.optimizer.ended} trials{tail})"


@contextmanager
def _heed_interrupt(search: Search) -> Iterator[None]:
    """Ctrl-C ends the evaluation under way and the search; while recording it waits for that.

    A second one ends everything at once. Outside of the main thread signals are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        again, search.stopping = search.stopping, True
        if search.evaluating or again:
            raise KeyboardInterrupt

    old = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _described(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS cannot say
        return os.cpu_count() or 1

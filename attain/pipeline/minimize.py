"""Minimise any function: ask, evaluate here or in worker processes, tell."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.errors import AttainError, Problem, SpecError
from attain.core.space import Scalar, Space
from attain.core.types import Record, Status
from attain.pipeline.asktell import Optimizer
from attain.pipeline.function_jobs import EVALUATE, check_importable
from attain.pipeline.goals import Goals, read_goals
from attain.pipeline.journal import AUTO
from attain.pipeline.tally import FunctionTrial
from attain.pipeline.ticker import Ticker

if TYPE_CHECKING:
    import pandas as pd

    from attain.core.protocols import Event, Executor, Strategy

LEDGER = "ledger.db"
USUAL_TRIALS = 100
FIRST_FAILURES = 5  # without a single success, after which going on makes no sense
_POLL_SECONDS = 0.2

Function = Callable[[dict[str, Any]], Any]


class Ended(StrEnum):
    """Why a search ended."""

    TARGET = "target"
    TRIALS = "trials"
    SECONDS = "seconds"
    EXHAUSTED = "exhausted"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class MinimizeResult:
    """What a search found.

    Attributes:
        best: The trial that breaks fewest limits, then has the smallest loss; None when none ended
            well.
        front: With several goals, the trials that no other one beats in all of them.
        trials: All trials in order of asking.
        ended: Why the search ended.
        reason: The same as a sentence.
        output: The folder that was given, or None.
    """

    best: FunctionTrial | None
    front: tuple[FunctionTrial, ...]
    trials: tuple[FunctionTrial, ...]
    ended: Ended
    reason: str
    output: Path | None = None

    def __str__(self) -> str:
        if self.best is None:
            return f"no trial succeeded; {self.reason}"
        return f"{dict(self.best.metrics)} at {self.best.config} ({self.best.id}); {self.reason}"

    @property
    def config(self) -> dict[str, Scalar] | None:
        """The best configuration."""
        return None if self.best is None else dict(self.best.config)

    @property
    def loss(self) -> float | None:
        """The smallest loss; the sign of a goal to maximise is turned."""
        return None if self.best is None else self.best.loss

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the function gave for the best configuration, in its own signs."""
        return {} if self.best is None else self.best.metrics

    def frame(self) -> pd.DataFrame:
        """All trials as a data frame; parameters and metrics are columns of their own."""
        import pandas as pd

        plain = ("id", "status", "loss", "seconds", "origin", "reason", "message")
        return pd.DataFrame(
            [
                {name: getattr(trial, name) for name in plain}
                | {f"metric.{name}": value for name, value in trial.metrics.items()}
                | {f"config.{name}": value for name, value in trial.config.items()}
                for trial in self.trials
            ]
        )


def minimize(
    function: Function,
    space: Space | Mapping[str, Any],
    *,
    goals: str | Sequence[str] = ("minimize loss",),
    trials: int | None = None,
    seconds: float | None = None,
    target: float | None = None,
    workers: int = 1,
    strategy: str | Strategy = AUTO,
    seed: int = 0,
    output: Path | str | None = None,
    start: Sequence[Mapping[str, Any]] = (),
    from_study: Any = None,
    progress: bool = True,
) -> MinimizeResult:
    """Find the configuration for which a function is smallest.

    Ctrl-C ends the search and returns what was found. With `output` every trial is on the disk when
    it ends, and the same call goes on where the last one stopped, however that ended.

    Args:
        function: Takes a configuration (a dict that is its own) and returns a number, or a mapping
            from metrics to numbers. What it raises, NaN and infinity make a failed trial.
        space: A `Space`, or a mapping from names to ranges and choices (docs/minimize.md).
        goals: ``minimize METRIC`` or ``maximize METRIC``, one or several, and limits such as
            ``latency <= 5``.
        trials: How many may end, those of earlier calls with the same `output` included; 100 when
            `seconds` is not given either.
        seconds: How long to search, time of earlier calls included; a trial that runs here ends
            before the search does, one in a worker is given up.
        target: End when the goal's metric is at least this good (and no limit is broken).
        workers: Above 1, that many trials run at a time in processes of their own.
        strategy: ``auto``, a registered name, ``package.module:Class``, or a `Strategy`.
        seed: Of all random choices.
        output: Folder that makes the search durable; None for memory.
        start: Configurations to try first.
        from_study: An earlier study to learn from, as for `Optimizer`.
        progress: Whether to write to stderr.

    Returns:
        The best trial, all trials, and why the search ended.

    Raises:
        SpecError: When an argument makes no sense, when `output` holds another search, or when the
            first five trials all fail; its text has the function's own error.
        SpaceError: When the space is not sound, or a start lies outside of it.
        LedgerError: When another process works on `output`.
    """
    wanted = read_goals(goals)
    budget = _budget(trials, seconds, target, wanted)
    _check_function(function, workers)
    folder = None if output is None else Path(output)
    optimizer = Optimizer(
        space,
        goals=wanted,
        strategy=strategy,
        seed=seed,
        trials=budget.trials,
        ledger=None if folder is None else folder / LEDGER,
        start=start,
        from_study=from_study,
    )
    if target is not None:
        optimizer.journal.aim(wanted.goals[0].sign * target)
    with optimizer:
        ticker = Ticker(sys.stderr if progress else None, wanted, budget.trials)
        search = _Search(function, optimizer, wanted, budget, ticker)
        ended = search.run(workers)
        result = _result(optimizer, ended, folder)
        ticker.line(str(result))
        return result


def _result(optimizer: Optimizer, ended: tuple[Ended, str], folder: Path | None) -> MinimizeResult:
    best, front, trials = optimizer.best, optimizer.front, optimizer.trials
    return MinimizeResult(best, front, trials, *ended, folder)


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


def _budget(trials: Any, seconds: Any, target: Any, goals: Goals) -> Budget:
    problems = []
    if trials is not None and (
        isinstance(trials, bool) or not isinstance(trials, int) or trials < 1
    ):
        remedy = "give a positive number"
        rule = "must be a whole number, at least 1"
        problems.append(Problem(rule, repr(trials), "trials", remedy))
    for name, value, least in (("seconds", seconds, 0.0), ("target", target, -math.inf)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value) and value > least):
            rule = f"must be a finite number{', above 0' if name == 'seconds' else ''}"
            problems.append(Problem(rule, repr(value), name, "change it, or leave it out"))
    if target is not None and goals.several:
        rule, remedy = "a target needs a single goal", "state limits for the others"
        problems.append(Problem(rule, str(goals), "target", remedy))
    if problems:
        raise SpecError(problems)
    if trials is None and seconds is None:
        trials = USUAL_TRIALS
    return Budget(trials, seconds, target)


def _check_function(function: Any, workers: Any) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        rule, remedy = "must be a whole number, at least 1", "give a positive number"
        raise SpecError(Problem(rule, repr(workers), "workers", remedy))
    if not callable(function):
        rule, remedy = "must be something to call", "give a function of a configuration"
        raise SpecError(Problem(rule, repr(function), "function", remedy))
    if workers > 1:
        check_importable(function)


class _Search:
    """One call of `minimize`."""

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
        self._before = _spent(optimizer.journal.records)
        self._began = time.monotonic()
        self._failed: list[str] = []
        self._error: BaseException | None = None
        self._left = deque(optimizer.running)  # of a call that was killed

    def run(self, workers: int) -> tuple[Ended, str]:
        """Search until something ends it; says what."""
        note = self.optimizer.journal.write
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        self._check_same(name)
        note([("began", {"function": name, "workers": workers})])
        with _heed_interrupt(self):
            ended = self._alone() if workers == 1 else self._together(workers)
        if not self.optimizer.done and self._failed and ended is not Ended.INTERRUPTED:
            raise self._hopeless()
        reason = self._sentence(ended)
        note([("ended", {"ended": ended.value, "reason": reason})])
        return ended, reason

    def _check_same(self, name: str) -> None:
        for record in self.optimizer.journal.records:
            if record.kind == "began" and record.payload["function"] != name:
                rule = "a search goes on with the function it began with"
                remedy = f"it began with {record.payload['function']}: give that, or another output"
                raise SpecError(Problem(rule, name, "function", remedy))

    def _alone(self) -> Ended:
        while (ended := self._due(under_way=0)) is None:
            trial = self._next()
            if trial is None:
                return Ended.EXHAUSTED
            self._evaluate(trial)
        return ended

    def _evaluate(self, trial: FunctionTrial) -> None:
        began = time.perf_counter()
        try:
            self.evaluating = True
            result = self.function(dict(trial.config))
            self.evaluating = False
        except KeyboardInterrupt:
            self.stopping = True
            self.optimizer.lost(trial, "interrupted")
        except Exception as error:  # noqa: BLE001 - whatever a function raises ends that trial only
            self.evaluating = False
            self._error = self._error or error
            status = Status.MEMORY if isinstance(error, MemoryError) else Status.FAILED
            self._fail(trial, _described(error), status, time.perf_counter() - began)
        else:
            self._tell(trial, result, time.perf_counter() - began)
        finally:
            self.evaluating = False

    def _together(self, workers: int) -> Ended:
        from attain.runtime.local import LocalExecutor

        executor = LocalExecutor(workers=workers, threads=max(1, _cores() // workers))
        under_way: dict[str, FunctionTrial] = {}
        try:
            executor.warm(EVALUATE)
            while True:
                ended = self._due(len(under_way))
                if ended is None:
                    self._fill(executor, under_way, workers)
                if ended in (None, Ended.TRIALS) and under_way:
                    for event in executor.events(_POLL_SECONDS):
                        if event.kind == "ended":
                            self._take(under_way.pop(event.job), event)
                else:
                    return ended or Ended.EXHAUSTED
        finally:
            executor.close()
            for trial in under_way.values():
                self.optimizer.lost(trial, "the search ended before it did")

    def _fill(self, executor: Executor, under_way: dict[str, FunctionTrial], workers: int) -> None:
        from attain.core.protocols import Job

        while len(under_way) < workers and self._due(len(under_way)) is None:
            trial = self._next()
            if trial is None:
                return
            under_way[trial.id] = trial
            payload = {"function": self.function, "config": trial.config}
            executor.submit(Job(trial.id, EVALUATE, payload))

    def _take(self, trial: FunctionTrial, event: Event) -> None:
        if event.status is Status.DONE:
            self._tell(trial, event.value, event.seconds)
        elif event.status in (Status.LOST, Status.CANCELLED):
            self.optimizer.lost(trial, event.message)
        else:
            self._fail(trial, event.message, event.status, event.seconds)

    def _next(self) -> FunctionTrial | None:
        if self._left:
            return self._left.popleft()
        asked = self.optimizer.ask(1)
        return asked[0] if asked else None

    def _tell(self, trial: FunctionTrial, result: Any, seconds: float) -> None:
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
        if not trial.done:
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
        failed = self.optimizer.ended - self.optimizer.done
        whys = {
            Ended.TARGET: f"the target {self.budget.target} was reached",
            Ended.TRIALS: "all trials have ended",
            Ended.SECONDS: f"{self.budget.seconds} seconds have passed",
            Ended.EXHAUSTED: "every configuration of the space was tried",
            Ended.INTERRUPTED: "stopped on request, and the same call continues",
        }
        tail = f", {failed} failed" if failed else ""
        return f"{whys[ended]} ({self.optimizer.ended} trials{tail})"


@contextmanager
def _heed_interrupt(search: _Search) -> Iterator[None]:
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


def _spent(records: Sequence[Record]) -> float:
    """Seconds of earlier calls, from the beginning of each to its last record."""
    total, began, last = 0.0, None, 0.0
    for record in records:
        if record.kind == "began":
            total += 0.0 if began is None else last - began
            began = record.at
        last = record.at
    return total + (0.0 if began is None else last - began)


def _described(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS cannot say
        return os.cpu_count() or 1

"""Ask for configurations, tell what they gave; for any function, wherever it runs."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from attain.core.errors import Problem, SpaceError, SpecError, did_you_mean
from attain.core.space import Space
from attain.core.space_read import read_space
from attain.core.types import Observed, Status
from attain.pipeline import asking
from attain.pipeline.function_report import Reporting, Searched
from attain.pipeline.goals import Goals, read_goals, read_noise, read_seconds
from attain.pipeline.journal import AUTO, Journal, open_ledger
from attain.pipeline.pruning import Report, read_pruner
from attain.pipeline.spaces import extended, read_config, read_configs, same
from attain.pipeline.tally import RUNNING, FunctionTrial

if TYPE_CHECKING:
    from attain.core.protocols import Ledger, Strategy

FAILURES = (
    Status.FAILED,
    Status.DIVERGED,
    Status.TIMEOUT,
    Status.MEMORY,
    Status.KILLED,
    Status.CANCELLED,
)


class Optimizer(Reporting):
    """Proposes configurations and learns from what you tell; safe to use from several threads.

    The same space, goals, seed and history always give the same proposals. With a ledger every ask
    and tell is on the disk before it is acted on, a second writer is refused, and opening the same
    path again continues exactly; trials that were asked for and not told are then in `running`.

    Args:
        space: A `Space`, or a mapping from names to ranges and choices (docs/minimize.md).
        goals: ``minimize METRIC`` or ``maximize METRIC``, one or several, and limits such as
            ``latency <= 5``.
        strategy: ``auto``, a registered name, ``package.module:Class``, or a `Strategy`.
        seed: Of all random choices.
        trials: How many you expect to ask for; helps ``auto`` to choose.
        ledger: Path of an SQLite file, ``postgresql://user@host/database#study``, or a `Ledger`;
            None keeps everything in memory.
        start: Configurations to ask for first; a repeated one is asked for once.
        from_study: An earlier study to learn from: its folder or ledger, its optimizer or result,
            or a sequence of its trials. It is dropped when it misleads.
        pruner: What ends trials that report: ``median``, ``halving``, ``hyperband``, ``curves``, or
            a `Strategy` that judges; None for nothing, unless the strategy itself judges.

    Raises:
        SpecError: When goals or settings are not sound, or the ledger was begun with others.
        SpaceError: When the space is not sound, or a start lies outside of it.
        LedgerError: When another process has the ledger, or it cannot be read.
        PluginError: When no strategy has this name.
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any],
        *,
        goals: str | Sequence[str] | Goals = ("minimize loss",),
        strategy: str | Strategy = AUTO,
        seed: int = 0,
        trials: int | None = None,
        ledger: Path | str | Ledger | None = None,
        start: Sequence[Mapping[str, Any]] = (),
        from_study: Any = None,
        pruner: Any = None,
    ) -> None:
        self._lock = threading.RLock()
        self._reports: dict[str, Report] = {}
        stated: dict[str, Any] = {
            "space": (found := read_space(space)),
            "goals": (wanted := read_goals(goals)),
            "seed": _seed(seed),
            "start": read_configs(start, found, "start"),
            "strategy": strategy,
            "trials": None if trials is None else _count(trials, "trials"),
            "from_study": from_study,
        }
        self._goals = wanted
        self._pruner = read_pruner(pruner, strategy, several=wanted.several)
        records = open_ledger(ledger)
        try:
            self.journal = Journal(records, **stated)
        except BaseException:
            if records is not None:
                records.close()
            raise
        self._tally = self.journal.tally

    def __enter__(self) -> Optimizer:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def __repr__(self) -> str:
        known = len(self._tally.trials)
        return f"Optimizer({self._goals}; {known} trials by {self.strategy[0]})"

    @property
    def space(self) -> Space:
        """The space in force."""
        return self.journal.space

    @property
    def goals(self) -> tuple[str, ...]:
        """What is asked for, in words."""
        return self._goals.statements

    @property
    def strategy(self) -> tuple[str, str]:
        """Name of the search strategy, and why it was chosen."""
        return self.journal.named

    @property
    def trials(self) -> tuple[FunctionTrial, ...]:
        """All trials in order of asking."""
        with self._lock:
            return self._show(self._tally.trials)

    @property
    def history(self) -> tuple[Observed, ...]:
        """What the strategy sees of this study: running and ended trials, no lost ones."""
        with self._lock:
            return tuple(self._tally.history())

    @property
    def running(self) -> tuple[FunctionTrial, ...]:
        """Trials that were asked for and not told yet, in order of asking."""
        with self._lock:
            return self._show(self._tally.running())

    @property
    def best(self) -> FunctionTrial | None:
        """Of the trials that ended well the one that breaks fewest limits, then least loss.

        With several goals the loss is a compromise between them; see `front`.
        """
        with self._lock:
            best = self._tally.best()
            return None if best is None else self._tally.show(best)

    @property
    def front(self) -> tuple[FunctionTrial, ...]:
        """Trials that keep the limits and that no other one beats in every goal."""
        with self._lock:
            return self._show(self._tally.front())

    @property
    def done(self) -> int:
        """Trials that ended well."""
        return self._tally.done

    @property
    def ended(self) -> int:
        """Trials that ended, well or not."""
        return self._tally.ended

    @overload
    def ask(self) -> FunctionTrial: ...

    @overload
    def ask(self, n: int) -> tuple[FunctionTrial, ...]: ...

    def ask(self, n: int | None = None) -> FunctionTrial | tuple[FunctionTrial, ...]:
        """What to try next: lost trials, then starts, then what the strategy proposes.

        Args:
            n: How many; one trial, not in a tuple, when left out.

        Returns:
            One trial; or up to n, fewer only when nothing is left to try.

        Raises:
            SpaceError: When one trial is wanted and nothing is left to try.
            SpecError: When n is not a positive whole number.
        """
        with self._lock:
            self.journal.check_open()
            asked = self._show(asking.ask(self.journal, 1 if n is None else _count(n, "n")))
            if n is not None:
                return asked
            if asked:
                return asked[0]
            known = len(self._tally.trials)
            rule = "a trial can be asked for while the space has untried configurations"
            remedy = "extend the space, or stop; ask(n) gives an empty tuple instead"
            raise SpaceError(Problem(rule, f"all {known} were asked for", "ask", remedy))

    def tell(
        self,
        trial: FunctionTrial | str,
        result: Any,
        *,
        noise: float | None = None,
        seconds: float = 0.0,
    ) -> FunctionTrial:
        """Say what a trial gave; in any order, as late as you like, once.

        A NaN or infinite goal or limit makes it a failed trial, which teaches the strategy where
        not to look.

        Args:
            trial: The trial, or its id.
            result: A number, or a mapping from metrics to numbers that has at least the metrics of
                goals and limits.
            noise: Standard error of the loss, if you know it.
            seconds: What it cost, if you know it.

        Returns:
            The trial as it ended.

        Raises:
            SpecError: When the trial was never asked for or was told before, or a value is no
                number; nothing is recorded then.
        """
        with self._lock:
            self.journal.check_open()
            trial_id = self._untold(trial, "told")
            metrics, message = self._goals.read(result, trial_id)
            return self._told(trial_id, metrics, message, read_noise(noise, self._goals), seconds)

    def step(self, trial: FunctionTrial | str, value: Any) -> bool:
        """Say what a trial has come to so far, after each step of its own.

        A step must mean the same in all trials, such as an epoch. Nothing is recorded before the
        trial ends.

        Args:
            trial: A running trial, or its id.
            value: Of the goal's metric, or a mapping that has those of all goals; limits in it are
                kept.

        Returns:
            Whether to end the trial, with `pruned`: it would hardly become the best, or with
            several goals be on the front; or a loss is no number.

        Raises:
            SpecError: When the trial was never asked for or was told before, a goal's metric is
                missing, or a value is no number.
        """
        with self._lock:
            self.journal.check_open()
            trial_id = self._untold(trial, "told")
            if trial_id not in self._reports:
                self._reports[trial_id] = self.reporter(trial_id)
            return self._reports[trial_id](value)

    def reporter(self, trial: str) -> Report:
        """What a trial reports to, given the trials that have ended by now.

        Args:
            trial: Its id.

        Returns:
            To be called with what the trial has come to; for `reported`.
        """
        with self._lock:
            return Report(trial, self._goals, self._pruner, self._tally.curves())

    def reported(self, trial: str, report: Report) -> None:
        """Take in what a trial reported elsewhere; what is said of it next ends it.

        Args:
            trial: Its id.
            report: As it was left.
        """
        with self._lock:
            self._reports[trial] = report

    def pruned(self, trial: FunctionTrial | str, *, seconds: float = 0.0) -> FunctionTrial:
        """Say that a trial ended where its last step was answered with true.

        It counts as what it would have come to, as far as its rank among others tells, and never
        becomes the best; one whose loss was no number has diverged, and teaches where not to look.

        Args:
            trial: The trial, or its id.
            seconds: What it cost, if you know it.

        Returns:
            The trial as it ended.

        Raises:
            SpecError: When the trial was never asked for, was told before, or never told a step.
        """
        with self._lock:
            self.journal.check_open()
            trial_id = self._untold(trial, "pruned")
            report = self._reports.get(trial_id)
            if report is None or not report.points:
                rule, remedy = "only a trial that told a step can be pruned", "call step first"
                raise SpecError(Problem(rule, f"{trial_id}, no step", "pruned", remedy))
            status, message = report.status or Status.PRUNED, report.message
            return self._told(trial_id, dict(report.metrics), message, None, seconds, status)

    def failed(
        self,
        trial: FunctionTrial | str,
        message: str = "",
        *,
        status: Status | str = Status.FAILED,
        seconds: float = 0.0,
    ) -> FunctionTrial:
        """Say that a trial failed because of its configuration; the strategy learns from it.

        Args:
            trial: The trial, or its id.
            message: Why.
            status: ``failed``, ``diverged``, ``timeout``, ``memory``, ``killed`` or ``cancelled``.
            seconds: What it cost, if you know it.

        Returns:
            The trial as it ended.

        Raises:
            SpecError: When the trial was never asked for or was told before.
        """
        with self._lock:
            self.journal.check_open()
            trial_id = self._untold(trial, "told")
            if status not in FAILURES:
                remedy = did_you_mean(str(status), [s.value for s in FAILURES])
                rule = "a trial fails with one of the known statuses"
                raise SpecError(Problem(rule, repr(status), "status", remedy))
            return self._told(trial_id, {}, str(message), None, seconds, Status(status))

    def lost(self, trial: FunctionTrial | str, message: str = "") -> None:
        """Say that a trial's result will not come, or a failure was not the configuration's fault.

        It teaches nothing and is asked for again; a result that comes after all is welcome.

        Args:
            trial: A running or failed trial, or its id.
            message: Why.

        Raises:
            SpecError: When the trial was never asked for, ended well, or is lost already.
        """
        with self._lock:
            self.journal.check_open()
            found = self._known(trial, "lost")
            if found.done or found.status == Status.LOST:
                rule = "only a running or failed trial can be lost"
                remedy = "leave it: what is known is kept"
                raise SpecError(Problem(rule, f"{found.id}, {found.status}", "lost", remedy))
            self._reports.pop(found.id, None)
            self.journal.write([("lost", {"trial": found.id, "message": str(message)})])

    def add(
        self,
        config: Mapping[str, Any],
        result: Any,
        *,
        noise: float | None = None,
        seconds: float = 0.0,
    ) -> FunctionTrial:
        """Make a result known that was not asked for, such as one from before.

        Args:
            config: Inside the space.
            result: As for `tell`.
            noise: Standard error of the loss, if you know it.
            seconds: What it cost, if you know it.

        Returns:
            The trial.

        Raises:
            SpaceError: When the configuration lies outside of the space.
            SpecError: When a value is no number.
        """
        with self._lock:
            self.journal.check_open()
            plain = read_config(config, self.journal.space, "config")
            metrics, message = self._goals.read(result, "result")
            told = _told(metrics, message, read_noise(noise, self._goals), seconds)
            trial_id = self._tally.next_id
            fields = {"trial": trial_id, "config": plain, "reason": "a result that was added"}
            self.journal.write([("added", {**fields, **told})])
            return self._tally.show(trial_id)

    def extend(self, space: Space | Mapping[str, Any]) -> None:
        """Go on in a changed space; all trials still count, running ones too.

        Args:
            space: What it shall be. Ranges and lists may change; a new parameter states as its
                default the value that earlier trials had.

        Raises:
            SpaceError: Names every change that would cost the study its history.
        """
        with self._lock:
            self.journal.check_open()
            new = read_space(space)
            if not same(new, self.journal.space):
                larger = extended(self.journal.space, new)
                self.journal.write([("extended", {"space": larger})])

    def _searched(self) -> Searched:
        with self._lock:
            known = self.trials, self.best, frozenset(t.id for t in self.front)
            return Searched(*known, self._goals, self.space, self.strategy)

    def close(self) -> None:
        """Give the ledger back; safe to call twice. What is known can still be read."""
        with self._lock:
            self.journal.close()

    def _told(
        self,
        trial: str,
        metrics: dict[str, float],
        message: str,
        noise: float | None,
        seconds: float,
        status: Status | None = None,
    ) -> FunctionTrial:
        payload = {"trial": trial, **_told(metrics, message, noise, seconds, status)}
        if (report := self._reports.pop(trial, None)) is not None:
            payload |= report.recorded()
        self.journal.write([("told", payload)])
        return self._tally.show(trial)

    def _known(self, trial: FunctionTrial | str, verb: str) -> FunctionTrial:
        name = trial.id if isinstance(trial, FunctionTrial) else trial
        found = self._tally.trials.get(name) if isinstance(name, str) else None
        if found is None:
            rule = f"only a trial that was asked for can be {verb}"
            near = did_you_mean(str(name), list(self._tally.trials)[-50:] or ["(none was asked)"])
            remedy = f"{near}; make other results known with add(config, result)"
            raise SpecError(Problem(rule, repr(name), "trial", remedy))
        return found

    def _untold(self, trial: FunctionTrial | str, verb: str) -> str:
        found = self._known(trial, verb)
        if found.status not in (RUNNING, Status.LOST):
            how = found.status if found.loss is None else f"{found.status} with {found.loss:g}"
            rule = "a trial is told once"
            remedy = "ask for a new one, or make another result of it known with add(...)"
            raise SpecError(Problem(rule, f"{found.id}, which is {how}", "trial", remedy))
        return found.id

    def _show(self, trials: Iterable[str]) -> tuple[FunctionTrial, ...]:
        return tuple(map(self._tally.show, trials))


def _told(
    metrics: dict[str, float],
    message: str,
    noise: float | None,
    seconds: Any,
    status: Status | None = None,
) -> dict[str, Any]:
    """The part of a record that says how a trial ended."""
    status = status or (Status.FAILED if message else Status.DONE)
    return {
        "status": status.value,
        "metrics": metrics,
        "message": message,
        "noise": noise,
        "seconds": read_seconds(seconds),
    }


def _count(n: Any, place: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        rule, remedy = "must be a whole number, at least 1", "give a positive number"
        raise SpecError(Problem(rule, repr(n), place, remedy))
    return n


def _seed(seed: Any) -> int:
    try:
        return operator.index(seed)
    except TypeError:
        rule, remedy = "must be a whole number", "give for example 0"
        raise SpecError(Problem(rule, repr(seed), "seed", remedy)) from None

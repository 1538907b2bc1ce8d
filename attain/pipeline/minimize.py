"""Minimise any function: ask, evaluate here or in worker processes, tell."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.errors import Problem, SpecError
from attain.core.space import Scalar, Space
from attain.pipeline.asktell import Optimizer
from attain.pipeline.function_jobs import check_importable
from attain.pipeline.function_report import Reporting, Searched
from attain.pipeline.function_search import Budget, Ended, Function, Place, Search
from attain.pipeline.goals import Goals, read_goals
from attain.pipeline.journal import AUTO
from attain.pipeline.limits import LOCAL, Broken, read_executor
from attain.pipeline.pruning import reports
from attain.pipeline.tally import FunctionTrial
from attain.pipeline.ticker import Ticker
from attain.runtime.url import is_url

if TYPE_CHECKING:
    import pandas as pd

    from attain.core.protocols import Executor, Strategy

LEDGER = "ledger.db"
LOGS = "logs"
USUAL_TRIALS = 100
SHOWN = 5  # trials in a notebook
USUAL_GOALS = read_goals("minimize loss")
NOWHERE = Space(())


@dataclass(frozen=True)
class MinimizeResult(Reporting):
    """What a search found.

    Attributes:
        best: The trial that breaks fewest limits, then has the smallest loss; None when none ended
            well.
        front: With several goals, the trials that no other one beats in all of them.
        trials: All trials in order of asking.
        ended: Why the search ended.
        reason: The same as a sentence.
        output: The folder that was given, or None.
        goals: What was asked for.
        space: Where.
        strategy: Name of the search strategy, and why it was chosen.
        target: That was given, or None.
        function: Name of the function.
    """

    best: FunctionTrial | None
    front: tuple[FunctionTrial, ...]
    trials: tuple[FunctionTrial, ...]
    ended: Ended
    reason: str
    output: Path | None = None
    goals: Goals = USUAL_GOALS
    space: Space = NOWHERE
    strategy: tuple[str, str] = ("", "")
    target: float | None = None
    function: str = ""

    def __str__(self) -> str:
        if self.best is None:
            return f"no trial succeeded; {self.reason}"
        return f"{dict(self.best.metrics)} at {self.best.config} ({self.best.id}); {self.reason}"

    def _repr_html_(self) -> str:
        """For notebooks: the best five trials."""
        from attain.report import notebook

        able = sorted((t for t in self.trials if t.loss is not None), key=_rank)[:SHOWN]
        names = dict.fromkeys(name for trial in able for name in trial.config)
        rows = [
            {"trial": t.id, **t.metrics, **{name: t.config.get(name) for name in names}}
            for t in able
        ]
        heading = (
            "No trial succeeded" if self.best is None else f"Best of {len(self.trials)} trials"
        )
        return notebook.search(heading, self.reason, rows)

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

        plain = ("id", "status", "loss", "seconds", "origin", "reason", "message", "expected")
        return pd.DataFrame(
            [
                {name: getattr(trial, name) for name in plain}
                | {f"metric.{name}": value for name, value in trial.metrics.items()}
                | {f"config.{name}": value for name, value in trial.config.items()}
                for trial in self.trials
            ]
        )

    def _searched(self) -> Searched:
        known = self.trials, self.best, frozenset(t.id for t in self.front), self.goals, self.space
        return Searched(*known, self.strategy, self.reason, self.target, self.function)


def _rank(trial: FunctionTrial) -> tuple[float, float]:
    """Those that break limits least come first, then those of the smallest loss."""
    loss = math.inf if trial.loss is None else trial.loss
    return sum(max(excess, 0.0) for excess in trial.excess), loss


def minimize(
    function: Function,
    space: Space | Mapping[str, Any],
    *,
    goals: str | Sequence[str] = ("minimize loss",),
    trials: int | None = None,
    seconds: float | None = None,
    target: float | None = None,
    workers: int = 1,
    executor: str | Callable[[], Executor] = LOCAL,
    trial_seconds: float | None = None,
    trial_memory_gb: float | None = None,
    strategy: str | Strategy = AUTO,
    seed: int = 0,
    output: Path | str | None = None,
    ledger: str | None = None,
    start: Sequence[Mapping[str, Any]] = (),
    from_study: Any = None,
    pruner: Any = None,
    progress: bool = True,
) -> MinimizeResult:
    """Find the configuration for which a function is smallest.

    Ctrl-C ends the search and returns what was found. With `output` every trial is on the disk when
    it ends, and the same call goes on where the last one stopped, however that ended.

    Args:
        function: Takes a configuration (a dict that is its own) and returns a number, or a mapping
            from metrics to numbers. What it raises, NaN and infinity make a failed trial. One that
            takes a second argument ``report`` calls it with what it has come to after each of its
            steps, and ends when the answer is true.
        space: A `Space`, or a mapping from names to ranges and choices (docs/minimize.md).
        goals: ``minimize METRIC`` or ``maximize METRIC``, one or several, and limits such as
            ``latency <= 5``.
        trials: How many may end, those of earlier calls with the same `output` included; 100 when
            `seconds` is not given either.
        seconds: How long to search, time of earlier calls included; a trial that runs here ends
            before the search does, one in a worker is given up.
        target: End when the goal's metric is at least this good (and no limit is broken).
        workers: Above 1, that many trials run at a time in processes of their own.
        executor: Where processes run: ``local``, ``ray``, or ``ray:ADDRESS`` of a cluster; or a
            function that makes an `Executor` of your own.
        trial_seconds: Limit of a single trial, which then runs in a process of its own.
        trial_memory_gb: Memory limit of a single trial, which then runs in a process of its own.
        strategy: ``auto``, a registered name, ``package.module:Class``, or a `Strategy`.
        seed: Of all random choices.
        output: Folder that makes the search durable; None for memory.
        ledger: Keeps the search in a database instead: ``postgresql://user@host/database#search``.
        start: Configurations to try first.
        from_study: An earlier study to learn from, as for `Optimizer`.
        pruner: What ends trials that report and stay behind, as for `Optimizer`.
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
    _check_function(function, workers, pruner)
    folder = None if output is None else Path(output)
    logs = None if folder is None else folder / LOGS
    place = _place(workers, executor, trial_seconds, trial_memory_gb, logs)
    if place is not None and isinstance(executor, str):
        check_importable(function)
    optimizer = Optimizer(
        space,
        goals=wanted,
        strategy=strategy,
        seed=seed,
        trials=budget.trials,
        ledger=_ledger(ledger, folder),
        start=start,
        from_study=from_study,
        pruner=pruner,
    )
    if target is not None:
        optimizer.journal.aim(wanted.goals[0].sign * target)
    with optimizer:
        ticker = Ticker(sys.stderr if progress else None, wanted, budget.trials)
        search = Search(function, optimizer, wanted, budget, ticker)
        ended = search.run(place)
        result = MinimizeResult(
            optimizer.best, optimizer.front, optimizer.trials, *ended, folder,
            wanted, optimizer.space, optimizer.strategy, target, search.name,
        )  # fmt: skip
        ticker.line(str(result))
        return result


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


def _check_function(function: Any, workers: Any, pruner: Any) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        rule, remedy = "must be a whole number, at least 1", "give a positive number"
        raise SpecError(Problem(rule, repr(workers), "workers", remedy))
    if not callable(function):
        rule, remedy = "must be something to call", "give a function of a configuration"
        raise SpecError(Problem(rule, repr(function), "function", remedy))
    if pruner is not None and not reports(function):
        rule = "a pruner needs a function that reports"
        remedy = "let it take `report` as its second argument and call that after each of its steps"
        raise SpecError(Problem(rule, "it takes a configuration only", "pruner", remedy))


def _place(
    workers: int, executor: Any, seconds: Any, gigabytes: Any, logs: Path | None
) -> Place | None:
    """Where trials run; None for this process, which can neither be limited nor lost."""
    problems = []
    try:
        if not callable(executor):
            read_executor(executor)
    except Broken as broken:
        problems.append(Problem(broken.rule, repr(executor), "executor", broken.remedy))
    for name, value in (("trial_seconds", seconds), ("trial_memory_gb", gigabytes)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value) and value > 0):
            rule, remedy = "must be a finite number, above 0", "change it, or leave it out"
            problems.append(Problem(rule, repr(value), name, remedy))
    if problems:
        raise SpecError(problems)
    if workers == 1 and executor == LOCAL and seconds is None and gigabytes is None:
        return None
    return Place(workers, executor, seconds, gigabytes and int(gigabytes * 2**30), logs)


def _ledger(ledger: Any, folder: Path | None) -> Path | str | None:
    if ledger is None:
        return None if folder is None else folder / LEDGER
    if not is_url(ledger):
        rule, remedy = "a ledger is the URL of a database", "write postgresql://user@host/db#name"
        raise SpecError(Problem(rule, repr(ledger), "ledger", f"{remedy}; for a file give output"))
    if folder is not None and (folder / LEDGER).exists():
        rule, remedy = "a search goes on where it began", "leave `ledger` out, or name a new output"
        raise SpecError(Problem(rule, f"it began in {folder / LEDGER}", "ledger", remedy))
    return str(ledger)

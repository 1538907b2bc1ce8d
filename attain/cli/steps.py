"""The lines that both views of a running study share: the seven steps and the objectives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from attain.cli.board import Board
from attain.core.types import Objective
from attain.report.numbers import estimate, plural, with_interval
from attain.report.steps import Step


def state(board: Board, step: Step) -> str:
    """``done``, ``active`` or ``waiting``, from the kinds of records that exist."""
    if step.ends in board.seen:
        return "done"
    return "active" if step.begins in board.seen and "ended" not in board.seen else "waiting"


def fact(board: Board, step: Step) -> str:
    """What a step's line says."""
    text = board.facts.get(step.name, "")
    if step.name == "train" and "refit" not in board.seen and board.learners:
        return _training(board)
    if step.name == "validate" and board.best:
        best = f"best {board.best} {board.learners.get(board.best, '')}".rstrip()
        return f"{text}; {best}" if text else best
    if step.name == "refine" and not text and board.best:
        return "round 1"
    return text


def _training(board: Board) -> str:
    total = f" of {board.trials_total}" if board.trials_total else ""
    parts = [f"{board.trials}{total} trials", f"{plural(board.running, 'fit')} running"]
    if board.failed:
        parts.append(f"{board.failed} failed")
    return ", ".join(parts)


def under_way(board: Board, most: int = 4) -> Iterator[str]:
    """Trials with fits under way, the oldest first.

    Args:
        board: What is known.
        most: Lines at most.

    Yields:
        Such as ``t0012 lightgbm, 3 of 5 fits``.
    """
    for name, trial in list(board.open.items())[:most]:
        look = f", {trial.look}" if trial.look else ""
        yield f"{name} {trial.learner}, {trial.done} of {plural(trial.folds, 'fit')}{look}"


@dataclass(frozen=True)
class Goal:
    """Where one objective stands.

    Attributes:
        statement: As parsed.
        now: Estimate and interval, on the sealed rows once they have been opened.
        baseline: Estimate of the baseline, or empty.
        state: In a word or two.
        style: ``good``, ``warn``, ``bad`` or empty.
        expected: What to expect after the selection, until that is confirmed; or empty.
    """

    statement: str
    now: str
    baseline: str
    state: str
    style: str
    expected: str = ""

    @property
    def aside(self) -> str:
        """What stands beside the score: what to expect of it, and the baseline."""
        return ", ".join(text for text in (self.expected, self.baseline) if text)


_VERDICT_STYLES = {"met": "good", "met, unproven": "warn", "not met": "bad"}


def goals(board: Board) -> list[Goal]:
    """Where each objective stands."""
    return [_goal(board, objective) for objective in board.objectives]


def _goal(board: Board, objective: Objective) -> Goal:
    statement, metric = str(objective), objective.metric
    base = board.baseline.get(metric)
    baseline = "" if base is None else f"baseline {estimate(dict(base))}"
    verdict = board.sealed.get(statement)
    if verdict is not None:
        shown = with_interval(dict(verdict["score"]))
        style = _VERDICT_STYLES.get(verdict["state"], "")
        return Goal(statement, shown, baseline, f"sealed: {verdict['state']}", style)
    score = board.scores.get(metric)
    if score is None:
        return Goal(statement, "", baseline, "", "")
    soon = board.expected.get(metric)
    hoped = "" if soon is None else f"expected {estimate(dict(soon))} after selection"
    if objective.target is None:
        return Goal(statement, with_interval(dict(score)), baseline, "", "", hoped)
    reached = objective.reached(float(score["estimate"]))
    word, style = ("reached", "good") if reached else ("not yet", "warn")
    return Goal(statement, with_interval(dict(score)), baseline, word, style, hoped)


def spent(board: Board) -> str:
    """How much of the budget is used and how long the rest may take."""
    parts = []
    if board.trials_total:
        parts.append(f"{board.trials} of {plural(board.trials_total, 'trial')}")
    if board.seconds_total:
        parts.append(f"{clock(board.elapsed)} of {clock(board.seconds_total)}")
    elif board.elapsed:
        parts.append(clock(board.elapsed))
    if board.seconds_left is not None and board.elapsed:
        parts.append(f"about {clock(board.seconds_left)} left")
    return ", ".join(parts)


def clock(value: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``, of constant width while they count."""
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""The plain view: a line for what matters, and one now and then to show that work goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attain.cli.absorb import advance, is_old
from attain.cli.board import Board
from attain.cli.messages import STOPPING
from attain.cli.steps import clock, goals, spent
from attain.report.numbers import estimate, number, printable, seconds, stopped, with_interval

if TYPE_CHECKING:
    from attain.core.types import Record
    from attain.pipeline.notice import Notice

QUIET_SECONDS = 10.0  # until the first line about progress while nothing else happens
MOST_QUIET = 60.0  # between two of them, when much time has passed so
Payload = Mapping[str, Any]
Lines = Iterator[str]


class PlainView:
    """Writes lines. A listener.

    Args:
        write: Takes one line without its end.
        now: Seconds since the epoch; tests give a clock of their own.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self.board = Board()
        self._write = write
        self._now = now
        self._began = now()
        self._wrote = self._began
        self._quiet = QUIET_SECONDS
        self._said_stopping = False

    def __call__(self, notice: Notice) -> None:
        """Take in what happened, and write about it if it matters."""
        before = self.board
        self.board = advance(before, notice)
        if is_old(notice, self._began):
            return
        if notice.record is not None:
            for line in lines(before, self.board, notice.record):
                self._line(line)
        elif notice.kind == "tick":
            self._tick()
        elif notice.text and not self.board.stopping:
            self._line(notice.text)

    def _tick(self) -> None:
        # Asked to stop inside a signal handler, which must not write; so it is said here.
        if self.board.stopping and not self._said_stopping:
            self._said_stopping = True
            self._line(STOPPING)
        elif self._now() - self._wrote >= self._quiet:
            longer = min(2 * self._quiet, MOST_QUIET)
            self._line(heartbeat(self.board))
            self._quiet = longer

    def _line(self, text: str) -> None:
        self._wrote, self._quiet = self._now(), QUIET_SECONDS
        self._write(f"[{clock(self._wrote - self._began)}] {printable(text)}")


class Waiting:
    """Says what takes its time where nothing is recorded for long, as in a plan. A listener.

    Args:
        write: Takes one line without its end.
        now: Seconds since the epoch; tests give a clock of their own.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self._write = write
        self._now = now
        self._said, self._began, self._wrote = "", 0.0, 0.0

    def __call__(self, notice: Notice) -> None:
        """Tell of work in a worker process: when it begins, and now and then that it goes on."""
        if notice.text and notice.step == "parameters":
            self._said, self._began = notice.text, self._now()
            self._line(notice.text)
        elif notice.kind == "tick" and self._said and self._now() - self._wrote >= QUIET_SECONDS:
            self._line(f"{self._said}: {clock(self._now() - self._began)}")

    def _line(self, text: str) -> None:
        self._wrote = self._now()
        self._write(printable(text))


def heartbeat(board: Board) -> str:
    """One line that says how far the study is."""
    parts = [spent(board)] if board.elapsed else []
    for goal in goals(board):
        if goal.now:
            state = f" {goal.state}" if goal.state else ""
            hoped = f", {goal.expected}" if goal.expected else ""
            parts.append(f"{goal.statement}: {goal.now}{state}{hoped}")
    return "; ".join(part for part in parts if part) or board.doing or "working"


def lines(before: Board, after: Board, record: Record) -> Lines:
    """What is worth a line in a record.

    Args:
        before: Without the record.
        after: With it.
        record: Just written.

    Returns:
        No, one or several lines.
    """
    say = _SAY.get(record.kind)
    return say(before, after, record.payload) if say else iter(())


def _fact(label: str, key: str) -> Callable[[Board, Board, Payload], Lines]:
    def say(before: Board, after: Board, payload: Payload) -> Lines:
        yield f"{label}: {after.facts.get(key, '')}"

    return say


def _audit(before: Board, after: Board, payload: Payload) -> Lines:
    yield f"data: {after.facts['data']}"
    for code, severity, text in after.findings:
        if severity != "tip":
            yield f"  {code} {severity}: {text}"


def _feasibility(before: Board, after: Board, payload: Payload) -> Lines:
    for item in payload["items"]:
        if item["state"] == "undecidable":
            yield f"objective in doubt: {item['text']}"


def _scored(before: Board, after: Board, payload: Payload) -> Lines:
    name = payload["trial"]
    who = f"{name} {after.learners.get(name, '')}".rstrip()
    if payload["loss"] is None:
        if after.failed > before.failed:
            yield f"{who} {payload['status']}: {payload['message']}"
    elif after.best != before.best:
        values = ", ".join(f"{g.statement}: {g.now} {g.state}".rstrip() for g in goals(after))
        yield f"best so far: {who}; {values}"
    elif not before.baseline and after.baseline:
        values = ", ".join(
            f"{metric} {number(score['estimate'])}"
            for metric, score in after.baseline.items()
            if any(o.metric == metric for o in after.objectives)
        )
        yield f"baseline: {values or 'scored'}"


def _decision(before: Board, after: Board, payload: Payload) -> Lines:
    yield f"round {payload['round']}, {payload['decision']['kind']}: {after.decision}"


def _finalists(before: Board, after: Board, payload: Payload) -> Lines:
    yield f"finalists: {', '.join(payload['trials'])}, {payload['reason']}"


def _choice(before: Board, after: Board, payload: Payload) -> Lines:
    yield after.facts["refine"]


def _intent(before: Board, after: Board, payload: Payload) -> Lines:
    if payload["look"] > 1:  # the first is announced by the step itself
        yield f"look {payload['look']} at the sealed rows: {payload['reason']}"


def _expected(before: Board, after: Board, payload: Payload) -> Lines:
    values = ", ".join(
        f"{score['metric']} {with_interval(dict(score))}, best seen "
        f"{estimate(dict(after.scores[score['metric']]))}"
        for score in payload["scores"]
        if score["metric"] in after.scores
    )
    yield f"expected after selection from {payload['configurations']}: {values}"


def _nested(before: Board, after: Board, payload: Payload) -> Lines:
    values = ", ".join(f"{s['metric']} {with_interval(dict(s))}" for s in payload["scores"])
    yield f"search repeated on outer folds: {values or payload['failed']}"


def _calibration(before: Board, after: Board, payload: Payload) -> Lines:
    yield payload["reason"]


def _threshold(before: Board, after: Board, payload: Payload) -> Lines:
    yield f"threshold: {payload['reason']}"


def _verdict(before: Board, after: Board, payload: Payload) -> Lines:
    for goal in goals(after):
        yield f"{goal.statement}: {goal.now}, {goal.state}"


def _resumed(before: Board, after: Board, payload: Payload) -> Lines:
    yield f"going on where it stopped: {spent(after) or 'nothing was tried yet'}"


def _ended(before: Board, after: Board, payload: Payload) -> Lines:
    yield f"ended after {seconds(payload['seconds'])}: {stopped(payload['reason'])}"


_SAY: Mapping[str, Callable[[Board, Board, Payload], Lines]] = {
    "resumed": _resumed,
    "objectives": _fact("objectives", "objectives"),
    "seal": _fact("test", "test"),
    "audit": _audit,
    "feasibility": _feasibility,
    "split": _fact("validation", "validate"),
    "selection": _fact("tuning", "parameters"),
    "strategy": _fact("strategy", "strategy"),
    "scored": _scored,
    "expected": _expected,
    "decision": _decision,
    "finalists": _finalists,
    "choice": _choice,
    "nested": _nested,
    "calibration": _calibration,
    "threshold": _threshold,
    "refit": _fact("model", "train"),
    "intent": _intent,
    "verdict": _verdict,
    "ended": _ended,
}

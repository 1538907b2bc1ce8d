"""The live view: one block that stays in place while the study runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from attain.cli.absorb import advance, is_old
from attain.cli.board import Board
from attain.cli.messages import STOPPING
from attain.cli.steps import Goal, fact, goals, spent, state, under_way
from attain.report.numbers import plural, printable
from attain.report.steps import STEPS

if TYPE_CHECKING:
    from attain.pipeline.notice import Notice

_STYLES = {"": "", "good": "green", "warn": "yellow", "bad": "red", "dim": "dim", "head": "bold"}
_MARKS = {"done": ("✓", "green"), "active": ("●", "cyan"), "waiting": ("·", "dim")}
_SEVERITIES = {"blocker": "red", "issue": "yellow", "tip": "dim"}
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
BAR = 28  # characters
FRAMES = 8  # drawn per second
FEW_LINES = 24  # in a lower window the parts that matter least are left out


class LiveView:
    """Draws the board in place. A listener, and a context manager that ends the drawing.

    Nothing is drawn while an earlier run is only read back: a study that has ended, or a look that
    is refused, shows its answer and no block.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self.board = Board()
        self._began = time.time()
        self._live = Live(
            _Drawing(self), console=console, refresh_per_second=FRAMES, redirect_stdout=False
        )

    def __call__(self, notice: Notice) -> None:
        """Take in what happened; the drawing thread shows it within an eighth of a second."""
        self.board = advance(self.board, notice)
        if not self._live.is_started and not is_old(notice, self._began):
            self._live.start()

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()


class _Drawing:
    """Asks the view for its newest board whenever it is drawn."""

    def __init__(self, view: LiveView) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from draw(self._view.board, height=console.height, now=time.monotonic())


def draw(
    board: Board, *, height: int = FEW_LINES + 1, now: float = 0.0
) -> Iterator[Table | Text | Padding]:
    """The block.

    Args:
        board: What is known.
        height: Lines of the window.
        now: Seconds, which turn the sign that something is happening.

    Yields:
        Parts from top to bottom, none wider than the window.
    """
    roomy = height > FEW_LINES
    title = board.facts.get("title", "")
    yield _line([("attain", "head"), (f"  {title}", "dim")])
    yield _steps(board, most_trials=3 if roomy else 0)
    if board.objectives:
        yield from _blank(roomy)
        yield _goals(board)
    yield from _blank(roomy)
    yield from _spent(board)
    if board.decision:
        yield Padding(Text(printable(board.decision), style="italic"), (0, 3))
    yield from _findings(board, most=2 if roomy else 0)
    yield from _doing(board, now)


def _blank(roomy: bool) -> Iterator[Text]:
    if roomy:
        yield Text("")


def _line(parts: Iterable[tuple[str, str]]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for text, style in parts:
        line.append(printable(text), style=_STYLES[style])
    return line


def _table(*widths: int) -> Table:
    """A borderless table; columns keep at least their width, the last one gives way."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        table.add_column(no_wrap=True, overflow="ellipsis", min_width=width)
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _steps(board: Board, most_trials: int) -> Table:
    table = _table(max(len(step.name) for step in STEPS) + 5)
    for step in STEPS:
        mark, style = _MARKS[state(board, step)]
        name = Text.assemble(f" {step.number:1} ", (mark, style), f" {step.name}")
        table.add_row(name, Text(printable(fact(board, step)), overflow="ellipsis", no_wrap=True))
        if step.name == "train":
            for line in under_way(board, most_trials):
                table.add_row("", Text(printable(line), style="dim"))
    return table


def _goals(board: Board) -> Table:
    found = goals(board)
    table = _table(
        *(max(len(text) for text in column) for column in zip(*map(_kept, found), strict=True))
    )
    for goal in found:
        table.add_row(
            Text(_kept(goal)[0], style="bold"),
            printable(goal.now),
            Text(printable(goal.state), style=_STYLES[goal.style]),
            Text(printable(goal.aside), style="dim"),
        )
    return table


def _kept(goal: Goal) -> tuple[str, str, str]:
    """The columns that are shown in full in every window."""
    return f"   {printable(goal.statement)}", printable(goal.now), printable(goal.state)


def _spent(board: Board) -> Iterator[Text]:
    text = spent(board)
    if board.share is not None and text and "strategy" in board.seen:
        full = round(BAR * board.share)
        bar = Text("   " + "━" * full, style="cyan", no_wrap=True, overflow="ellipsis")
        bar.append("━" * (BAR - full), style="dim")
        bar.append(f"  {text}", style="default")
        yield bar


def _findings(board: Board, most: int) -> Iterator[Text]:
    grave = [f for f in board.findings if f[1] != "tip"]
    for code, severity, text in grave[:most]:
        line = _line([(f"   {code} ", ""), (f"{severity}: {text}", "")])
        line.stylize(_SEVERITIES[severity])
        yield line
    if 0 < most < len(grave):
        yield _line([(f"   and {plural(len(grave) - most, 'more finding')}", "dim")])


def _doing(board: Board, now: float) -> Iterator[Text]:
    if board.stopping:
        yield _line([(f"   {STOPPING}", "warn")])
    elif board.doing:
        sign = _SPIN[int(now * FRAMES) % len(_SPIN)]
        yield _line([(f"   {sign} {board.doing}", "")])

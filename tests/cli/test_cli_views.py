"""What a person sees while a study runs."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from functools import reduce

import pytest
from cli_story import Teller, ending, opening, search, story
from rich.console import Console

from attain.cli import progress as progress_module
from attain.cli.absorb import advance
from attain.cli.board import Board
from attain.cli.live import LiveView, draw
from attain.cli.messages import STOPPING
from attain.cli.plain import PlainView
from attain.pipeline.notice import Notice


def _screen(board: Board, width: int = 110, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    for part in draw(board, height=height):
        console.print(part)
    return console.file.getvalue().rstrip("\n").split("\n")


def _plain(notices: Iterable[Notice], now=lambda: 1_000.0) -> list[str]:
    said: list[str] = []
    view = PlainView(said.append, now)
    for notice in notices:
        view(notice)
    return said


def test_the_block_shows_steps_objectives_budget_decision_and_findings():
    """One look answers: where are we, is it good enough, how long, why."""
    tell = Teller()
    text = "\n".join(_screen(reduce(advance, [*opening(tell), *search(tell)], Board())))
    assert "4 ● train" in text
    assert "1 ✓ objectives" in text
    assert "7 · test" in text
    assert "0.9270 (0.9230 to 0.9310)  reached  baseline 0.5000" in text
    assert "4 of 40 trials, 0:21 of 3:00, about" in text
    assert "lightgbm leads by 0.02, so the others are left out" in text
    assert "D007 issue: 11 rows have equal features" in text
    assert "D001" not in text, "tips do not take room from what matters"


@pytest.mark.parametrize(("width", "height"), [(60, 16), (80, 24), (200, 60)])
def test_the_block_fits_any_window_at_every_moment(width, height):
    """After each notice of a study the block is no wider and no higher than the window."""
    board = Board()
    notices = list(story())
    assert len(notices) > 50
    for notice in notices:
        board = advance(board, notice)
        lines = _screen(board, width, height)
        assert max(map(len, lines)) <= width, notice
        assert len(lines) < height, notice


def test_the_step_names_survive_a_narrow_window():
    """Long facts give way, the names of steps and the verdicts do not."""
    text = "\n".join(_screen(reduce(advance, story(), Board()), width=80))
    assert "objectives" in text
    assert "parameters" in text
    assert "sealed: met, unproven" in text


def test_long_steps_without_records_say_what_they_do():
    """While data are read there is a sign of life, which the next record ends."""
    tell = Teller()
    board = advance(Board(), tell.notice("progress", text="reading the data", step="data"))
    assert any("reading the data" in line for line in _screen(board))
    board = advance(board, next(opening(tell)))
    assert not any("reading the data" in line for line in _screen(board))


def test_the_block_says_how_to_stop_at_once():
    """After Ctrl-C both views say that work is saved and what a second Ctrl-C does."""
    tell = Teller()
    notices = [*opening(tell), tell.notice("progress", text="stopping"), tell.notice("tick")]
    assert STOPPING in "\n".join(_screen(reduce(advance, notices, Board())))
    said = _plain(notices)
    assert sum(STOPPING in line for line in said) == 1


def test_nothing_is_written_from_inside_a_signal_handler():
    """The request to stop arrives in a handler; the line waits for the next tick."""
    tell = Teller()
    said = _plain([tell.notice("progress", text="stopping")])
    assert said == []


def test_hostile_names_cannot_steer_the_terminal():
    """Escape sequences and direction marks in data are shown, not obeyed."""
    tell = Teller()
    evil = "x\x1b[2J\u202eevil"
    notices = [tell.record("study", "study", spec={"data": evil, "target": evil})]
    for text in ("\n".join(_screen(reduce(advance, notices, Board()))), evil):
        shown = text if text != evil else "\n".join(_plain([tell.notice("progress", text=evil)]))
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "evil" in shown


def test_live_drawing_leaves_the_last_block_on_the_screen():
    """When the study ends the block stays, and the cursor stands below it."""
    console = Console(file=io.StringIO(), width=100, height=40, force_terminal=True, no_color=True)
    with LiveView(console) as view:
        for notice in story(Teller(time.time())):
            view(notice)
    text = console.file.getvalue()
    assert "sealed: met, unproven" in text
    assert text.endswith(("\n", "\x1b[?25h"))


def test_reading_back_an_ended_study_draws_and_writes_nothing():
    """Its answer is the result on stdout; a block or a log of the past would only be in the way."""
    console = Console(file=io.StringIO(), width=100, height=40, force_terminal=True)
    old = [n for n in story() if n.record is not None]
    with LiveView(console) as view:
        for notice in old:
            view(notice)
    assert console.file.getvalue() == ""
    assert _plain(old, now=lambda: 1e9) == []


def test_plain_lines_tell_the_story_once():
    """A log has one line for each thing that matters, in order, with the time in front."""
    said = _plain(story())
    text = "\n".join(said)
    for part in (
        "objectives: roc_auc >= 0.915, latency_p95_ms <= 50",
        "test: 6,513 rows sealed",
        "D007 issue",
        "objective in doubt",
        "validation: stratified, 5 folds",
        "strategy: bayes: 40 trials on 9 parameters",
        "baseline: roc_auc 0.500",
        "best so far: t0001 lightgbm",
        "t0003 mlp memory: fold 1: took more than 6.2 GB",
        "best so far: t0004 lightgbm",
        "round 1, narrow: lightgbm leads",
        "finalists: t0004, t0001",
        "t0004 is final",
        "opening the seal",
        "roc_auc >= 0.915: 0.9280 (0.9230 to 0.9330), sealed: met",
        "ended after 1\u00a0min 31\u00a0s: the objectives were met",
    ):
        assert text.count(part) == 1, part
    assert all(line.startswith("[") for line in said)
    assert "best so far: t0002" not in text, "a trial that is not better is no news"


def test_a_further_look_is_told_with_its_reason():
    """Whoever reads the log sees that the seal was opened again, and why."""
    tell = Teller()
    news = {"digest": "d", "fingerprint": "f", "reason": "wrong metric"}
    (line,) = _plain([tell.record("sealed", "intent", look=2, **news)])
    assert line.endswith("look 2 at the sealed rows: wrong metric")


def test_plain_lines_are_rare_when_nothing_happens():
    """Ticks every fifth of a second give a line after ten seconds, then ever fewer."""
    tell = Teller()
    began = [*opening(tell), *search(tell)]
    clock = iter([1_000.0 + 0.2 * k for k in range(10_000)])
    now = [0.0]

    def next_now() -> float:
        return now[0]

    said: list[str] = []
    view = PlainView(said.append, next_now)
    for notice in began:
        view(notice)
    before = len(said)
    for _ in range(1_500):  # five minutes
        now[0] = next(clock) - 1_000.0
        view(tell.notice("tick"))
    beats = said[before:]
    assert len(beats) == 6  # after 10, 30, 70, 130, 190 and 250 seconds
    assert all("4 of 40 trials" in beat and "reached" in beat for beat in beats)


def test_records_of_an_earlier_run_are_not_told_again():
    """A resumed study says where it stands, and then only what is new."""
    tell = Teller(start=1_000.0)
    old = [n for n in (*opening(tell), *search(tell)) if n.record is not None]
    begins = tell.at + 100
    tell.at = begins
    new = [tell.record("study", "resumed", reason="again"), *ending(tell)]
    said = _plain([*old, *new], now=lambda: begins)
    assert "going on where it stopped: 4 of 40 trials" in said[0]
    assert not any("best so far" in line for line in said)
    assert any("sealed: met" in line for line in said)


def test_a_pipe_gets_lines_and_a_terminal_a_block(monkeypatch, capsys):
    """Without a terminal, with TERM=dumb or under CI no escape sequence is ever written."""
    for name, value in (("FORCE_COLOR", ""), ("TERM", "dumb"), ("CI", "1")):
        monkeypatch.setenv(name, value)
        with progress_module.progress() as listen:
            assert isinstance(listen, PlainView), name
            for notice in story(Teller(start=4e9)):
                listen(notice)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert "best so far: t0004" in captured.err


def test_no_color_removes_colours_but_not_the_block(monkeypatch):
    """NO_COLOR is honoured by the live block."""
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=100, height=40, force_terminal=True)
    with LiveView(console) as view:
        for notice in story(Teller(time.time())):
            view(notice)
    text = console.file.getvalue()
    assert "\x1b[32m" not in text
    assert "✓" in text

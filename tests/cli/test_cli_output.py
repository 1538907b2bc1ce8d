"""Layout of results, and what programs read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from attain.cli import progress
from attain.cli.call import Call
from attain.cli.output import SCHEMA, as_json, emit, grid, paint
from attain.core.errors import Exit

ROOT = Path(__file__).resolve().parents[2]


def test_columns_are_aligned_and_the_last_one_wrapped():
    """Wrapped text hangs under its column."""
    text = grid([["a", "one two three four five six seven"], ["long", "x"]], indent=2, width=38)
    assert text.split("\n") == [
        "  a     one two three four five six",
        "        seven",
        "  long  x",
    ]


_CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp")), max_size=12)


@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=5))
def test_columns_start_at_the_same_place_whatever_the_script(rows):
    """Wide characters count two cells, so that columns meet in every language."""
    shown = grid([[a, "|" + b] for a, b in rows], width=200).split("\n")
    places = {cell_len(line.partition("|")[0]) for line in shown}
    if not any("|" in a for a, _ in rows):
        assert len(places) == 1


def test_colours_follow_no_color(monkeypatch):
    """With NO_COLOR or a dumb terminal there is no escape sequence."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[" in paint("x", "bad")
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "bad") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert paint("x", "bad") == "x"


def test_json_is_strict_and_on_one_line():
    """NaN has no JSON form, so it travels as text; every reader can read the rest."""
    text = as_json("plan", Exit.MET, {"value": float("nan"), "high": float("inf"), "name": "é\n"})
    assert "\n" not in text
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert read == {
        "schema": SCHEMA,
        "command": "plan",
        "exit": 0,
        "value": "NaN",
        "high": "Infinity",
        "name": "é\n",
    }


def test_text_or_json_never_both(capsys):
    """One result on stdout, in the form that was asked for."""
    assert emit(Call(command="plan"), "words", {"a": 1}, Exit.AUDIT) is Exit.AUDIT
    assert capsys.readouterr().out == "words\n"
    emit(Call(command="plan", as_json=True), "words", {"a": 1}, Exit.AUDIT)
    assert json.loads(capsys.readouterr().out)["exit"] == 5


def test_a_reader_that_leaves_early_is_no_error():
    """`attain ... | head -1` ends quietly and keeps the exit code."""
    code = (
        "from attain.cli.call import Call; from attain.cli.output import emit; import sys;"
        "sys.stdin.read(); sys.exit(int(emit(Call(), 'x' * 1_000_000, {})))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0
    assert said == b""


def test_rows_are_counted_on_stderr_once_it_takes_long(monkeypatch, capsys):
    """Silent for two seconds, then a line every ten seconds where there is no terminal."""
    clock = iter([0.0, 1.0, 3.0, 11.0, 12.0, 25.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress.counted("rows explained") as tick:
        for _ in range(5):
            tick(500)
    assert capsys.readouterr().err == "1,500 rows explained\n2,500 rows explained\n"

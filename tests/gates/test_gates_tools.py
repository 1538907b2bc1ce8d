"""The gates themselves: each finds what it is there for, and lets the rest pass."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import check  # noqa: E402 - found through the line above
import cli_docs  # noqa: E402
import import_time  # noqa: E402
import sizes  # noqa: E402
import test_rules as rules  # noqa: E402
import words  # noqa: E402


def _function(lines: int, docstring: int = 0) -> str:
    said = '    """' + "x\n" * docstring + '    """\n' if docstring else ""
    return "def f(a):\n" + said + "    a += 1\n" * lines


@pytest.mark.parametrize(
    ("name", "source", "problems"),
    [
        ("attain/x.py", _function(60), 0),
        ("attain/x.py", _function(61), 1),
        ("attain/x.py", _function(60, docstring=30), 0),
        ("attain/x.py", "a = 1\n" * 501, 1),
        ("attain/x.py", "a = 1\n" * 500, 0),
        ("tests/x.py", _function(61), 0),
        ("tests/x.py", "a = 1\n" * 501, 1),
    ],
)
def test_sizes_counts_files_and_bodies(name, source, problems):
    """Sixty lines of body and five hundred of file are the most; docstrings do not count."""
    assert len(sizes.file_problems(name, source)) == problems


def test_sizes_leaves_stubs_out_of_the_median():
    """The ``...`` of a protocol is no body."""
    assert list(sizes.bodies('def f(a):\n    """Says."""\n    ...\n')) == []
    assert list(sizes.bodies("def f(a):\n    return a\n")) == [("f", 1, 1)]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('def test_a():\n    """Says."""\n', ""),
        ("def test_a():\n    assert 1\n", "does not say what it proves"),
        ("class TestA:\n    def test_a(self):\n        assert 1\n", "does not say"),
        ("with pytest.raises(ValueError):\n    f()\n", "pytest.raises without match="),
        ("with pytest.warns(UserWarning):\n    f()\n", "pytest.warns without match="),
        ('with pytest.raises(ValueError, match="x"):\n    f()\n', ""),
    ],
)
def test_test_rules_ask_for_purpose_and_message(source, problem):
    """A test without docstring and an expectation without message are found."""
    found = rules.file_problems("tests/x.py", source)
    assert bool(found) == bool(problem)
    assert all(problem in line for line in found)


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("attain/x.py", "# TO" + "DO: later", True),
        ("attain/x.py", "a = 1  # type: ignore", True),
        ("attain/x.py", "a = 1  # type: ignore[arg-type]", False),
        ("attain/x.py", "import os  # noqa", True),
        ("attain/x.py", "import os  # noqa: F401 - offered", False),
        ("attain/x.py", "import pickle", True),
        ("attain/runtime/x.py", "import pickle", False),
        ("attain/x.py", "model.eval()", False),
        ("attain/x.py", "eval(text)", True),
        ("attain/x.py", "todo_list = 1", False),
    ],
)
def test_words_are_found_where_they_are_forbidden(name, line, found):
    """Unfinished work, blanket silencing and pickle are found; what only looks alike is not."""
    assert bool(words.file_problems(name, line + "\n")) == found


def test_import_time_sees_heavy_libraries():
    """The check that forbids heavy imports notices one."""
    assert import_time.heavy("import numpy") == ["numpy"]
    assert import_time.heavy("import json") == []


def test_a_gate_whose_tool_is_missing_fails():
    """A tool that is not installed is a failure with the way out, not a pass."""
    ran = check.run(check.Gate("x", ("/no/such/tool",)))
    assert not ran.passed
    assert "make dev" in ran.output


def test_one_failing_gate_fails_the_check(monkeypatch, capsys):
    """The summary shows each gate, and the exit code is that of the worst."""
    good = check.Gate("good", (sys.executable, "-c", "print('fine')"))
    bad = check.Gate("bad", (sys.executable, "-c", "print('broken'); raise SystemExit(1)"))
    monkeypatch.setattr(check, "GATES", (good, bad))
    assert check.main([]) == 1
    said = capsys.readouterr().out
    assert "--- bad\nbroken" in said
    assert "1 of 2 gates pass" in said
    assert check.main(["good"]) == 0
    assert check.main(["godo"]) == 2
    assert "they are: good, bad" in capsys.readouterr().err


def test_every_tool_is_a_gate():
    """A script in tools/ that nobody runs protects nothing."""
    scripts = {path.name for path in (ROOT / "tools").glob("*.py")} - {"check.py"}
    ran = {Path(part).name for gate in check.GATES for part in gate.command}
    assert scripts <= ran


def test_the_command_page_is_the_commands_help():
    """docs/cli.md is what tools/cli_docs.py writes."""
    assert cli_docs.FILE.read_text(encoding="utf-8") == cli_docs.page(), (
        "write it anew: python tools/cli_docs.py"
    )

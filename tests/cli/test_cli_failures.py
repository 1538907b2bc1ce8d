"""Whatever goes wrong, the user gets one block, the right exit code and no traceback."""

from __future__ import annotations

import errno
import json

import click
import pytest

from attain.cli import failures
from attain.cli.call import VERBS, Call
from attain.cli.main import cli, main
from attain.core.errors import (
    ArtifactError,
    BlockedByAudit,
    DataError,
    EnvironmentProblem,
    Exit,
    Interrupted,
    LedgerError,
    Problem,
    SealError,
    SpecError,
)

_SOME = Problem("a rule", "7", "study.yaml, line 3", "do this")


def _raise(monkeypatch, error, *arguments: str) -> int:
    """Let ``attain plan`` end with an error and return the exit code."""

    def broken(*args: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(cli.get_command(click.Context(cli), "plan"), "callback", broken)
    with pytest.raises(SystemExit, match=r"^\d$") as left:
        main(["plan", *arguments])
    return int(left.value.code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecError(_SOME), Exit.USAGE),
        (DataError([_SOME, _SOME]), Exit.USAGE),
        (ArtifactError("the folder is damaged — get it anew"), Exit.USAGE),
        (BlockedByAudit("the audit found:\n  D008 leak"), Exit.AUDIT),
        (SealError("a second look needs a reason — add: --reason"), Exit.SEAL),
        (Interrupted("stopped on request — finished trials are kept"), Exit.INTERRUPTED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (EnvironmentProblem("disk — free some"), Exit.ENVIRONMENT),
        (LedgerError("in use — wait"), Exit.ENVIRONMENT),
        (MemoryError(), Exit.ENVIRONMENT),
        (OSError(errno.ENOSPC, "No space left on device", "/data"), Exit.ENVIRONMENT),
        (ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm"), Exit.ENVIRONMENT),
        (ModuleNotFoundError("No module named 'attain.gone'", name="attain.gone"), Exit.INTERNAL),
        (ZeroDivisionError("division by zero"), Exit.INTERNAL),
    ],
)
def test_every_error_has_its_exit_code_and_one_block(monkeypatch, capsys, tmp_path, error, code):
    """The code is that of the error tree; stdout stays empty; there is never a traceback."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _raise(monkeypatch, error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    # click ends the line on which the terminal has echoed ^C
    assert captured.err.lstrip("\n").startswith(("error: ", "stopped: "))
    assert "Traceback" not in captured.err


def test_a_problem_is_laid_out_as_rule_value_place_and_next_step(monkeypatch, capsys):
    """Each part has its own line, so that the next step is never buried."""
    _raise(monkeypatch, SpecError(_SOME))
    assert capsys.readouterr().err == (
        "error: a rule (got 7)\n  where: study.yaml, line 3\n  next:  do this\n"
    )


def test_many_problems_are_numbered(monkeypatch, capsys):
    """All problems are shown at once."""
    _raise(monkeypatch, SpecError([_SOME, Problem("another", remedy="do that")]))
    said = capsys.readouterr().err
    assert said.startswith("error: 2 problems\n  1. a rule (got 7)\n")
    assert "  2. another\n     next:  do that" in said


def test_messages_are_split_into_what_and_next(monkeypatch, capsys):
    """Errors that carry one sentence keep to the same layout."""
    _raise(monkeypatch, SealError("the seal is closed — add: --reason 'why'"))
    assert capsys.readouterr().err == ("error: the seal is closed\n  next:  add: --reason 'why'\n")


def test_json_is_given_also_for_errors(monkeypatch, capsys):
    """A program that asked for JSON can read what went wrong from stdout."""
    code = _raise(monkeypatch, SpecError(_SOME), "--json")
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert (answer["schema"], answer["command"], answer["exit"]) == ("attain/1", "plan", code)
    assert answer["error"]["kind"] == "SpecError"
    assert answer["error"]["problems"] == [
        {"rule": "a rule", "value": "7", "place": "study.yaml, line 3", "remedy": "do this"}
    ]
    assert "error: a rule" in captured.err


def test_usage_errors_are_json_too_when_asked(capsys):
    """Even arguments that could not be parsed to the end are answered in JSON."""
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--trails", "3", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit"] == 2
    assert "--trials" in answer["error"]["problems"][0]["remedy"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["no command 'rnu'", "did you mean 'run'"]),
        (["frobnicate"], ["no command 'frobnicate'", "the commands are", "doctor"]),
        (["run", "--trails", "3"], ["has no option --trails", "--trials", "attain run --help"]),
        (["run", "--trials", "0"], ["--trials", "x>=1", "attain run --help"]),
        (["run", "--minutes", "soon"], ["--minutes", "soon"]),
        (["init"], ["DATA", "attain init --help"]),
        (["init", "data.csv"], ["--target", "attain init --help"]),
        (["export", "study"], ["--to", "attain export --help"]),
        (["plan", "a.yaml", "b.yaml"], ["b.yaml"]),
    ],
)
def test_wrong_use_names_the_nearest_right_one(capsys, arguments, words):
    """Typos in verbs, options and values are answered with what to type instead."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    for word in words:
        assert word in captured.err


def test_no_command_shows_the_help(capsys):
    """`attain` alone is wrong use, and answered with what can be typed."""
    with pytest.raises(SystemExit, match="2"):
        main([])
    said = capsys.readouterr().err
    assert "Usage: attain" in said
    for verb in VERBS:
        assert f"  {verb} " in said


def test_interruptions_say_how_to_go_on(monkeypatch, capsys):
    """Being stopped is no error: work is kept, and the command as typed continues."""
    _raise(monkeypatch, Interrupted("stopped on request — run the same command"), "my study.yaml")
    assert capsys.readouterr().err == (
        "stopped: stopped on request; every finished trial is kept\n"
        "  next:  continue with: attain plan 'my study.yaml'\n"
    )


def test_a_bug_leaves_a_file_for_the_report(monkeypatch, capsys, tmp_path):
    """The traceback goes to a file that the message names, beside the study when there is one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _raise(monkeypatch, ZeroDivisionError("by zero")) == Exit.INTERNAL
    said = capsys.readouterr().err
    assert "this is a bug in attain (ZeroDivisionError: by zero)" in said
    (file,) = tmp_path.glob("attain-crash-*.log")
    assert str(file) in said
    assert "Traceback" in file.read_text()
    study = tmp_path / "study"
    study.mkdir()
    failures.tell(ZeroDivisionError("again"), Call(folder=study))
    assert list((study / "logs").glob("attain-crash-*.log"))


def test_a_folder_that_is_a_file_does_not_hide_the_bug(monkeypatch, capsys, tmp_path):
    """When the file for the report cannot be written the message does without."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    assert failures.tell(ZeroDivisionError("x"), Call()) == Exit.INTERNAL
    assert "report it; --debug" in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch, capsys, tmp_path):
    """--debug is for developers, and changes what is shown."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _raise(monkeypatch, ZeroDivisionError("by zero"), "--debug")
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_control_characters_in_messages_are_shown_not_obeyed(monkeypatch, capsys):
    """A column name with an escape sequence cannot clear the screen."""
    _raise(monkeypatch, DataError(Problem("bad column", "'a\x1b[2Jb'")))
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\u001b" in said

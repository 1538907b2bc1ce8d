"""From an exception to one block on stderr and an exit code. Never a traceback."""

from __future__ import annotations

import errno
import platform
import shlex
import shutil
import sys
import tempfile
import textwrap
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from attain._version import __version__
from attain.cli import messages
from attain.cli.call import VERBS, Call
from attain.core.errors import AttainError, Exit, Interrupted, Problem

_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE}


def tell(error: BaseException, call: Call) -> int:
    """Print what went wrong and what to do next.

    Args:
        error: What ended the command.
        call: The invocation.

    Returns:
        The exit code.
    """
    from attain.cli.output import as_json

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return int(Exit.USAGE)
    code, problems = explain(error, call)
    word = "stopped" if code is Exit.INTERRUPTED else "error"
    if call.debug:
        click.echo("".join(traceback.format_exception(error)), err=True)
    click.echo(block(word, problems), err=True)
    if call.wants_json:
        found = {"error": {"kind": type(error).__name__, "problems": problems}}
        click.echo(as_json(call.command, code, found))
    return int(code)


def explain(error: BaseException, call: Call) -> tuple[Exit, tuple[Problem, ...]]:
    """What an exception means to a user.

    Args:
        error: Anything that ended a command.
        call: The invocation.

    Returns:
        The exit code, and at least one problem.
    """
    if isinstance(error, click.ClickException):
        return Exit.USAGE, (_usage(error),)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Exit.INTERRUPTED, (messages.ABORTED,)
    if isinstance(error, Interrupted):
        return error.exit_code, (messages.interrupted(str(error), call.arguments),)
    if isinstance(error, AttainError):
        problems = getattr(error, "problems", None) or (_problem(str(error)),)
        return error.exit_code, tuple(problems)
    if isinstance(error, MemoryError):
        return Exit.ENVIRONMENT, (messages.NO_MEMORY,)
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return Exit.ENVIRONMENT, (messages.system_error(error),)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "attain").startswith("attain"):
        return Exit.ENVIRONMENT, (messages.missing_package(str(error.name)),)
    return Exit.INTERNAL, (messages.bug(error, _crash_file(error, call)),)


def block(word: str, problems: Sequence[Problem]) -> str:
    """The lines of one block.

    Args:
        word: ``error`` or ``stopped``.
        problems: At least one.

    Returns:
        Coloured text; click removes colours when stderr is no terminal.
    """
    from attain.cli.output import paint

    style = "warn" if word == "stopped" else "bad"
    head = paint(f"{word}:", style)
    if len(problems) == 1:
        first, *rest = _lines(problems[0], indent=2)
        return "\n".join([f"{head} {paint(first)}", *map(paint, rest)])
    lines = [f"{head} {len(problems)} problems"]
    for number, problem in enumerate(problems, start=1):
        first, *rest = _lines(problem, indent=5)
        lines += [f"  {number}. {paint(first)}", *map(paint, rest)]
    return "\n".join(lines)


def _lines(problem: Problem, indent: int) -> list[str]:
    """Rule and value, then place and next step on lines of their own."""
    first = problem.rule + (f" (got {problem.value})" if problem.value else "")
    lines = [(line, " " * indent) for line in first.split("\n")]
    if problem.place:
        lines.append((f"where: {problem.place}", " " * (indent + 7)))
    if problem.remedy:
        lines.append((f"next:  {problem.remedy}", " " * (indent + 7)))
    return [
        part
        for number, (line, hang) in enumerate(lines)
        for part in _wrapped(line, "" if number == 0 else " " * indent, hang)
    ]


def _wrapped(line: str, indent: str, hang: str) -> list[str]:
    """Lines as wide as the terminal; in a pipe and in logs they stay whole."""
    if not sys.stderr.isatty():
        return [indent + line]
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.wrap(
        line,
        width if indent else width - len("stopped: "),
        initial_indent=indent,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _problem(message: str) -> Problem:
    """A message of the form ``rule — next step``; longer ones stay as they are."""
    if "\n" in message or " — " not in message:
        return Problem(message)
    rule, _, remedy = message.rpartition(" — ")
    return Problem(rule, remedy=remedy)


def _usage(error: click.ClickException) -> Problem:
    path = "attain"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
    if isinstance(error, click.exceptions.NoSuchCommand):
        return messages.unknown_command(error.command_name, VERBS)
    if isinstance(error, click.NoSuchOption):
        return messages.unknown_option(error.option_name, error.possibilities or (), path)
    return messages.usage(error.format_message(), path)


def _crash_file(error: BaseException, call: Call) -> Path | None:
    """Write down what a bug report needs; None when even that is impossible."""
    folder = call.folder
    place = folder / "logs" if folder and folder.is_dir() else Path(tempfile.gettempdir())
    path = place / f"attain-crash-{time.strftime('%Y%m%d-%H%M%S')}.log"
    facts = f"attain {__version__}, Python {sys.version.split()[0]}, {platform.platform()}"
    said = f"attain {shlex.join(call.arguments)}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        trace = "".join(traceback.format_exception(error))
        path.write_text(f"{facts}\n{said}\n\n{trace}", encoding="utf-8")
    except OSError:
        return None
    return path

"""What the terminal says when something is wrong, asked for, or under way."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from attain.core.errors import Problem, did_you_mean

STOPPING = "stopping: finished work is saved; press Ctrl-C again to stop at once"
ABORTED = Problem("interrupted before anything was changed", remedy="run the same command again")
NO_MEMORY = Problem(
    "this machine has run out of memory",
    remedy="close other programs, or set fewer `workers` in the study file",
)
ALREADY_ENDED = (
    "this study had ended before, and nothing was run; for a new one, name another `output` folder"
)


def interrupted(reason: str, arguments: Sequence[str]) -> Problem:
    """How to go on after a clean stop.

    Args:
        reason: What the study said.
        arguments: What was typed after ``attain``.

    Returns:
        The reason and the command that continues.
    """
    said = reason.partition(" — ")[0]
    return Problem(
        f"{said}; every finished trial is kept",
        remedy=f"continue with: attain {shlex.join(arguments)}",
    )


def system_error(error: OSError) -> Problem:
    """An error of the operating system that the user can mend."""
    place = "" if error.filename is None else str(error.filename)
    return Problem(error.strerror or str(error), place=place, remedy="mend it, then run again")


def missing_package(name: str) -> Problem:
    """A package that is needed and not installed."""
    return Problem(f"the package {name!r} is not installed", remedy=f"pip install {name}")


def bug(error: BaseException, file: Path | None) -> Problem:
    """Something that attain did not foresee.

    Args:
        error: What was raised.
        file: Where the traceback was written, if it could be.

    Returns:
        Short, with the way to a useful report.
    """
    what = f"{type(error).__name__}: {error}".split("\n")[0][:300]
    report = f"report it with the file {file}" if file else "report it"
    return Problem(
        f"this is a bug in attain ({what}); finished trials are kept",
        remedy=f"{report}; --debug shows the traceback here",
    )


def unknown_command(name: str, known: Sequence[str]) -> Problem:
    """A verb that does not exist, with the nearest one."""
    near = did_you_mean(name, known).replace("use one of", "the commands are")
    return Problem(f"there is no command {name!r}", remedy=near)


def unknown_option(name: str, near: Sequence[str], path: str) -> Problem:
    """An option that does not exist, with the nearest ones."""
    remedy = f"did you mean {' or '.join(near)}? " if near else ""
    return Problem(f"{path} has no option {name}", remedy=f"{remedy}see: {path} --help")


def usage(message: str, path: str) -> Problem:
    """Any other wrong use of a command, in click's words."""
    return Problem(message.rstrip("."), remedy=f"see: {path} --help")

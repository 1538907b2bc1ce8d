"""Results on stdout: text for people, one JSON object for programs."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from attain.cli.call import Call
from attain.core.errors import Exit
from attain.report.numbers import printable

SCHEMA = "attain/1"
WIDEST = 110  # characters; longer lines are hard to read on any screen

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "head": {"bold": True},
    "good": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "bad": {"fg": "red"},
    "dim": {"dim": True},
}

Cell = str | tuple[str, str]


def emit(call: Call, text: str, payload: Mapping[str, Any], exit: Exit = Exit.MET) -> Exit:
    """Print the result of a command.

    Args:
        call: Says whether JSON is wanted.
        text: For people.
        payload: For programs; values that `core.codec.encode` takes.
        exit: What the process will exit with.

    Returns:
        `exit`, for the command to return.
    """
    if call.wants_json:
        text = as_json(call.command, exit, payload)
    try:
        click.echo(text)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit


def as_json(command: str, exit: int, payload: Mapping[str, Any]) -> str:
    """One JSON object under the versioned schema.

    Args:
        command: Which command answers.
        exit: Its exit code.
        payload: Its own keys; see ``docs/cli.md``.

    Returns:
        Text without line ends inside. Numbers that are not finite are the strings of
        `core.codec.encode`, so that every JSON reader can read it.
    """
    import json

    from attain.core.codec import encode

    head = {"schema": SCHEMA, "command": command, "exit": int(exit)}
    return json.dumps({**head, **encode(payload)}, ensure_ascii=False, allow_nan=False)


def paint(text: str, style: str = "") -> str:
    """Text that cannot steer the terminal, in a style where colours are wanted.

    Args:
        text: Anything, also from foreign files.
        style: ``head``, ``good``, ``warn``, ``bad``, ``dim`` or empty.

    Returns:
        The text; click removes the style when the stream is no terminal.
    """
    shown = printable(text)
    if not _STYLES[style] or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return shown
    return click.style(shown, **_STYLES[style])


def grid(rows: Sequence[Sequence[Cell]], *, indent: int = 2, width: int | None = None) -> str:
    """Rows with aligned columns; the last column is wrapped to the screen.

    Args:
        rows: Cells as text, or as text and style; rows may be shorter than others.
        indent: Spaces before each row.
        width: Characters of the screen; asked from the terminal by default.

    Returns:
        Lines joined by line ends.
    """
    from rich.cells import cell_len

    width = width or min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    cells = [[c if isinstance(c, tuple) else (c, "") for c in row] for row in rows]
    columns = max((len(row) for row in cells), default=0)
    widths = [
        max((cell_len(printable(row[k][0])) for row in cells if k < len(row) - 1), default=0)
        for k in range(columns)
    ]
    lines = []
    for row in cells:
        head = " " * indent
        at = indent
        for (text, style), size in zip(row[:-1], widths, strict=False):
            head += paint(text, style) + " " * (size - cell_len(printable(text)) + 2)
            at += size + 2
        lines += _wrapped(head, at, *row[-1], width)
    return "\n".join(lines)


def _wrapped(head: str, at: int, text: str, style: str, width: int) -> list[str]:
    parts = [
        part
        for line in printable(text).split("\n")
        for part in textwrap.wrap(line, max(width - at, 30), break_on_hyphens=False) or [""]
    ]
    first, *rest = parts
    lines = [head + paint(first, style), *(" " * at + paint(part, style) for part in rest)]
    return [line.rstrip() for line in lines]

"""Which view of a running study suits stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from attain.pipeline.notice import Notice

_PATIENCE = 2.0  # seconds in which nothing is counted
_CLEAR = "\r\x1b[K"


@contextmanager
def progress() -> Iterator[Callable[[Notice], None]]:
    """Show a running study on stderr: one live block in a terminal, lines elsewhere.

    Yields:
        The listener to hand to the study.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI"):
        from attain.cli.live import LiveView

        with LiveView(console) as view:
            yield view
    else:
        from attain.cli.plain import PlainView

        yield PlainView(_write)


@contextmanager
def counted(what: str) -> Iterator[Callable[[int], None]]:
    """Count what is done on stderr: in place in a terminal, a line every ten seconds elsewhere.

    Args:
        what: Is done, such as ``rows explained``.

    Yields:
        To be told how many more are done; nothing shows in the first two seconds.
    """
    live = sys.stderr.isatty() and not os.environ.get("CI")
    began = shown = time.monotonic()
    done = 0

    def tick(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - began > _PATIENCE and now - shown > (0.5 if live else 10.0):
            shown = now
            click.echo(f"{_CLEAR if live else ''}{done:,} {what}", err=True, nl=not live)

    try:
        yield tick
    finally:
        if live and shown > began:
            click.echo(_CLEAR, err=True, nl=False)


def _write(line: str) -> None:
    click.echo(line, err=True)

"""Which view of a running study suits stderr."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from attain.pipeline.notice import Notice


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


def _write(line: str) -> None:
    click.echo(line, err=True)

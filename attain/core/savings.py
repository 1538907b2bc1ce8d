"""Seconds that shared work saves, counted where it is found and read where a fit is watched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Savings:
    """What one piece of work did not have to do again.

    Attributes:
        seconds: What it had taken when it was done first.
    """

    seconds: float = 0.0


_open: ContextVar[Savings | None] = ContextVar("savings", default=None)


@contextmanager
def counting() -> Iterator[Savings]:
    """Count what is saved inside of this block, by whatever code.

    Yields:
        The sum, which grows meanwhile.
    """
    savings = Savings()
    token = _open.set(savings)
    try:
        yield savings
    finally:
        _open.reset(token)


def saved(seconds: float) -> None:
    """Say that something was found which had taken this long to make; nobody needs to listen.

    Args:
        seconds: Wall time, at least 0.
    """
    savings = _open.get()
    if savings is not None:
        savings.seconds += seconds

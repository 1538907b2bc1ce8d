"""A value that changes while a model learns, written as one: ``0.001 @8 0.0012 @24 0.00096``.

The first number is in force from the start, each other one once so many steps are done. A
configuration with such values describes a model completely: whoever fits it again follows them.
"""

from __future__ import annotations

import re

from attain.core.space import Scalar

_CHANGES = re.compile(r"\S+( @\d+ \S+)+")


def value_at(value: Scalar, step: int) -> Scalar:
    """What is in force while a step is made.

    Args:
        value: A plain value, or a schedule of numbers.
        step: From 1.

    Returns:
        A plain value itself, or the number that the schedule says.
    """
    parts = _parts(value)
    return value if parts is None else float([new for at, new in parts if at < step][-1])


def until(value: Scalar, step: int) -> Scalar:
    """A value without the changes that come after a step.

    Args:
        value: A plain value, or a schedule.
        step: Steps that are done.

    Returns:
        A shorter schedule, or a number where none has come yet.
    """
    parts = _parts(value)
    if parts is None:
        return value
    kept = [(at, new) for at, new in parts if at < step]
    return float(kept[0][1]) if len(kept) == 1 else _text(kept)


def changed(value: Scalar, step: int, new: float) -> str:
    """A value that changes once more.

    Args:
        value: A number, or a schedule whose changes come earlier.
        step: Steps that are done by then.
        new: In force from there on.

    Returns:
        A schedule.
    """
    before = _parts(value) or [(0, repr(float(value)))]
    return _text([*[part for part in before if part[0] < step], (step, repr(float(new)))])


def _parts(value: Scalar) -> list[tuple[int, str]] | None:
    if not isinstance(value, str) or not _CHANGES.fullmatch(value):
        return None
    first, *rest = value.split(" @")
    return [(0, first), *((int(at), new) for at, new in (part.split(" ") for part in rest))]


def _text(parts: list[tuple[int, str]]) -> str:
    return " ".join([parts[0][1], *(f"@{at} {new}" for at, new in parts[1:])])

"""What columns are for, where the user or the task says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attain.core.types import Column, ColumnKind, ColumnRole
from attain.data import cells, kinds

Roles = Mapping[str, tuple[ColumnRole, str]]
"""By column, what it is for and why."""


def stated(groups: str | None, time: str | None) -> dict[str, tuple[ColumnRole, str]]:
    """Roles of the columns that keep rows together or in order.

    Args:
        groups: Column whose values stay together, or None.
        time: Column that orders the rows, or None.

    Returns:
        None to two roles.
    """
    found = {}
    if groups is not None:
        found[groups] = (ColumnRole.GROUP, "rows with the same value stay together")
    if time is not None:
        found[time] = (ColumnRole.TIME, "it orders the rows")
    return found


def as_texts(frame: Any, roles: Roles, read: Sequence[str], otherwise: str) -> tuple[Column, ...]:
    """Columns of which some are read as texts, whatever they hold, and the others not at all.

    Args:
        frame: As `load_frame` gives it.
        roles: Of the columns that have one.
        read: Those that are texts.
        otherwise: Why a column without a role is left out.

    Returns:
        In file order.
    """
    found = []
    for name in frame.columns:
        plain = cells.plain(frame[name])
        role, reason = roles.get(name, (ColumnRole.IGNORED, otherwise))
        seen = kinds.as_text(plain) if name in read else kinds.look(plain)
        kind = ColumnKind.TEXT if name in read else seen.kind
        found.append(Column(name, kind, role, reason, seen.missing, seen.distinct, seen.format))
    return tuple(found)

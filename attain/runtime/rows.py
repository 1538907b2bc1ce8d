"""Records as every ledger keeps them: plain columns, with payload and parents as JSON text."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from typing import Any

from attain.core.codec import encode
from attain.core.errors import LedgerError
from attain.core.types import Draft, Record

Row = tuple[str, str, str, tuple[int, ...]]  # step, kind, payload, parents


def row_of(draft: Draft) -> Row:
    """What is written of a draft.

    Args:
        draft: Its payload is encoded with `core.codec.encode`.

    Returns:
        Step, kind, payload as JSON text, and parents.

    Raises:
        LedgerError: When a parent is not a number, or the payload has no JSON form.
    """
    place = f"{draft.step}/{draft.kind}"
    try:
        parents = tuple(operator.index(parent) for parent in draft.parents)
    except TypeError as error:
        raise LedgerError(f"the parents of {place} must be record ids — {error}") from error
    try:
        # ASCII with escapes: also a lone surrogate, which UTF-8 cannot hold, comes back as it was.
        payload = json.dumps(encode(draft.payload), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(
            f"the payload of {place} has no JSON form ({error}) — give plain values, mappings,"
            " sequences or records"
        ) from error
    return draft.step, draft.kind, payload, parents


def number(rows: Sequence[Row], last: int) -> list[tuple[int, str, str, str, str]]:
    """Rows with the ids that they get.

    Args:
        rows: In order.
        last: Highest id so far.

    Returns:
        Id, step, kind, payload and parents as JSON text.

    Raises:
        LedgerError: When a parent is not older.
    """
    numbered = []
    for new, (step, kind, payload, parents) in enumerate(rows, start=last + 1):
        wrong = [p for p in parents if not 1 <= p < new]
        if wrong:
            raise LedgerError(
                f"parents must be older records than {kind!r}, which becomes record {new}"
                f" (got {wrong}) — append what they name first"
            )
        numbered.append((new, step, kind, payload, json.dumps(parents)))
    return numbered


def record_of(columns: Sequence[Any], place: object) -> Record:
    """A record as it was kept.

    Args:
        columns: Id, step, kind, payload, parents and time.
        place: The ledger, for messages.

    Returns:
        The record.

    Raises:
        LedgerError: When the text is not JSON.
    """
    new, step, kind, payload, parents, at = columns
    try:
        return Record(new, step, kind, json.loads(payload), tuple(json.loads(parents)), at)
    except (ValueError, TypeError) as error:
        raise LedgerError(
            f"the ledger {place} holds a record that cannot be read ({error}) —"
            " restore it from a copy"
        ) from error

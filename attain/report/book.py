"""The ledger's records, sorted by kind and read back as types."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attain.core.codec import decode, encode
from attain.core.types import (
    Dataset,
    Decision,
    Finding,
    Objective,
    Outcome,
    Record,
    Score,
    Split,
    Trial,
    Verdict,
)

T = TypeVar("T")
LONGEST_TEXT = 1_000  # characters of any text shown; a hostile cell cannot fill the page
_PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]{1,60000}={0,2}")


class Book:
    """Records by kind, each with its id at hand.

    Args:
        records: The ledger's records, oldest first.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: Sequence[Record] = tuple(records)
        self._by_kind: dict[str, list[Record]] = {}
        for record in self.records:
            self._by_kind.setdefault(record.kind, []).append(record)
        self.objectives = self._all("objectives", "objectives", tuple[Objective, ...])
        self.datasets = self._all("dataset", "dataset", Dataset)
        self.findings = self._all("audit", "findings", tuple[Finding, ...])
        self.splits = self._all("split", "split", Split)
        self.trials = self._all("trial", "trial", Trial)
        # Curves are most of a long study's bytes, and only those of one configuration are drawn.
        self.outcomes = [
            (record, decode(Outcome, {**record.payload["outcome"], "curve": ()}))
            for record in self.of("outcome")
        ]
        self.decisions = self._all("decision", "decision", Decision)
        self.verdicts = self._all("verdict", "verdict", Verdict)

    def learnt(self, trial: str) -> list[tuple[Record, Outcome]]:
        """The outcomes of a trial with their curves; `outcomes` has none."""
        records = [record for record, outcome in self.outcomes if outcome.trial == trial]
        return [(record, decode(Outcome, record.payload["outcome"])) for record in records]

    def of(self, kind: str) -> Sequence[Record]:
        """The records of a kind, oldest first."""
        return self._by_kind.get(kind, ())

    def last(self, kind: str) -> Record | None:
        """The newest record of a kind, or None."""
        found = self._by_kind.get(kind)
        return found[-1] if found else None

    def _all(self, kind: str, key: str, type_: type[T]) -> list[tuple[Record, T]]:
        return [(record, decode(type_, record.payload[key])) for record in self.of(kind)]


def newest(found: Sequence[tuple[Record, T]]) -> tuple[Record | None, T | None]:
    """The last of some decoded records, or two Nones."""
    return found[-1] if found else (None, None)


def scores(payload: Mapping[str, Any], key: str = "scores") -> tuple[Score, ...]:
    """The scores that a payload holds under a key; none when it has no such key."""
    return decode(tuple[Score, ...], payload.get(key) or ())


def score_entry(score: Score, record: Record) -> dict[str, Any]:
    """A score as evidence, with the id of its record."""
    return {**plain(score), "record": record.id}


def plain(value: Any) -> Any:
    """JSON values that any reader accepts: no NaN, no infinities, no endless texts.

    Args:
        value: Anything that `core.codec.encode` takes.

    Returns:
        The same with non-finite numbers as None and texts cut at 1,000 characters, but for small
        pictures as data URIs.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        value = str(value)
        whole = len(value) <= LONGEST_TEXT or _PICTURE.fullmatch(value) is not None
        return value if whole else value[: LONGEST_TEXT - 1] + "…"
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {plain(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return plain(encode(value))


def listing(value: Any) -> list[Any]:
    """A payload's list, or an empty one."""
    return list(value) if isinstance(value, list | tuple) else []

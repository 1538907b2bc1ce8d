"""The trial table: sorted, filtered and cut into pages here; a browser never holds it all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attain.report import numbers
from attain.report.book import plain
from attain.web.index import Entry, Index

PAGE, MOST_PAGE = 50, 200
LONGEST_SEARCH = 100  # characters of a free text
_KEYS: Mapping[str, Callable[[Entry], Any]] = {
    "id": lambda t: t.number,
    "learner": lambda t: t.learner,
    "status": lambda t: t.status,
    "round": lambda t: t.round,
    "loss": lambda t: t.loss,
    "seconds": lambda t: t.seconds,
}


@dataclass(frozen=True)
class Query:
    """What somebody wants to see.

    Attributes:
        sort: A column's name, or a metric; an unknown one is as ``id``.
        down: Whether the largest comes first.
        page: From 0; one that does not exist is the last.
        size: Rows of a page, in [1, 200].
        text: Must occur in the id, the learner, a parameter or its value.
        status: Only these trials; empty for all.
        learner: Only these trials; empty for all.
        purpose: Only these trials; empty for all.
    """

    sort: str = "id"
    down: bool = True
    page: int = 0
    size: int = PAGE
    text: str = ""
    status: str = ""
    learner: str = ""
    purpose: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Query:
        """A query from a URL's parameters; anything unusable falls back on the default."""
        size = _whole(given.get("size", ""), PAGE)
        return cls(
            sort=given.get("sort", "id"),
            down=given.get("down", "1") != "0",
            page=max(_whole(given.get("page", ""), 0), 0),
            size=min(max(size, 1), MOST_PAGE),
            text=given.get("text", "")[:LONGEST_SEARCH].strip().lower(),
            status=given.get("status", ""),
            learner=given.get("learner", ""),
            purpose=given.get("purpose", ""),
        )


def page(index: Index, metrics: Sequence[str], query: Query) -> dict[str, Any]:
    """One page of the table.

    Args:
        index: All trials.
        metrics: Columns of scores.
        query: Which rows, in which order.

    Returns:
        ``rows``, ``total`` (that match), ``all`` (trials), ``page``, ``pages``, and the choices of
        the filters: ``learners``, ``statuses``.
    """
    found = [t for t in index.order if _matches(t, query)]
    ordered = _sorted(found, query)
    pages = max(1, -(-len(ordered) // query.size))
    number = min(query.page, pages - 1)
    shown = ordered[number * query.size : (number + 1) * query.size]
    leader = index.best[-1].id if index.best else ""
    return {
        "rows": [row(t, metrics, leader) for t in shown],
        "total": len(ordered),
        "all": len(index.order),
        "page": number,
        "pages": pages,
        "learners": sorted({t.learner for t in index.order}),
        "statuses": sorted({t.status for t in index.order}),
    }


def row(entry: Entry, metrics: Sequence[str], leader: str = "") -> dict[str, Any]:
    """A trial as a line of the table, in words.

    Args:
        entry: The trial.
        metrics: Columns of scores.
        leader: Id of the best trial.

    Returns:
        Texts, safe to put on a page as text.
    """
    return {
        "id": entry.id,
        "learner": plain(entry.learner),
        "purpose": entry.purpose,
        "round": entry.round,
        "status": entry.status,
        "loss": "" if entry.loss is None else numbers.number(entry.loss, digits=4),
        "seconds": numbers.seconds(entry.seconds) if entry.seconds else "",
        "values": [_score(entry, metric) for metric in metrics],
        "config": settings(entry.point),
        "best": entry.id == leader,
        "record": entry.ended or entry.record,
    }


def settings(point: Mapping[str, Any]) -> list[list[str]]:
    """A configuration in words: name and value of each parameter, the learner's own left out."""
    return [
        [str(plain(str(name))), str(plain(numbers.setting(value)))]
        for name, value in point.items()
        if name != "learner"
    ]


def _score(entry: Entry, metric: str) -> list[str]:
    """Estimate and interval of a metric, both empty when it is not known."""
    low_high = entry.values.get(metric)
    if low_high is None or low_high[0] is None:
        return ["", ""]
    score = dict(zip(("estimate", "low", "high"), low_high, strict=True))
    if low_high[1] is None and low_high[2] is None:
        return [numbers.number(low_high[0], digits=6), ""]
    return [numbers.estimate(score), numbers.interval(score)]


def _matches(entry: Entry, query: Query) -> bool:
    if query.status and entry.status != query.status:
        return False
    if query.learner and entry.learner != query.learner:
        return False
    if query.purpose and entry.purpose != query.purpose:
        return False
    return not query.text or query.text in _words(entry)


def _words(entry: Entry) -> str:
    """What a free text is looked for in."""
    return f"{entry.id} {entry.learner} {json.dumps(entry.point, ensure_ascii=False)}".lower()


def _sorted(found: list[Entry], query: Query) -> list[Entry]:
    """Rows without a value come last in both directions; equals stay in order of asking."""
    if query.sort in ("id", "") and not query.down:
        return found
    key = _KEYS.get(query.sort) or _KEYS["id"]
    if query.sort.startswith("metric:"):
        metric = query.sort.removeprefix("metric:")
        key = lambda t: v[0] if (v := t.values.get(metric)) else None  # noqa: E731
    known = [t for t in found if key(t) is not None]
    known.sort(key=key, reverse=query.down)
    return known + [t for t in found if key(t) is None]


def _whole(text: str, otherwise: int) -> int:
    try:
        return int(text)
    except ValueError:
        return otherwise

"""Labels of words in the report: each type, the most frequent mistakes, sentences side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from attain.core.spans import Span, scheme_of, spans
from attain.core.types import Outcome
from attain.report.book import Book, newest, plain
from attain.stats.interval import wilson

_PAIRS = 12
_SENTENCES = 8


def tags(book: Book) -> dict[str, Any] | None:
    """What the finalist said of sentences that it was not fitted on, none of them sealed.

    Args:
        book: The records.

    Returns:
        ``types`` (``kind``, ``spans``, ``found``, ``recall`` with ``low`` and ``high``,
        ``precision``, ``f1``), the largest first; ``pairs`` (``true``, ``said``, ``words``);
        ``sentences`` (``row``, ``true`` and ``said``: runs with ``text``, ``kind`` of the span and
        whether it is ``right``; ``wrong`` words); ``trial``. None where words have no labels, or no
        finalist was judged.
    """
    found = _outcomes(book)
    if not found:
        return None
    told = [outcome.facts["tags"] for outcome in found]
    types: dict[str, list[int]] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    for each in told:
        for kind, counts in each["types"].items():
            before = types.get(kind, [0, 0, 0])
            types[kind] = [a + b for a, b in zip(before, counts, strict=True)]
        for true, said, count in each["pairs"]:
            pairs[true, said] += count
    order = sorted(types, key=lambda kind: (-types[kind][2], kind))
    _, data = newest(book.datasets)
    names = data.tags if data else ()
    return {
        "types": [_type(kind, *types[kind]) for kind in order],
        "pairs": [
            {"true": plain(a), "said": plain(b), "words": n}
            for (a, b), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
        ],
        "sentences": _sentences(told, names),
        "trial": found[0].trial,
    }


def _outcomes(book: Book) -> list[Outcome]:
    """Of the confirmation of what was chosen."""
    choice = book.last("choice")
    if choice is None:
        return []
    final = choice.payload.get("confirmation")
    return [o for _, o in book.outcomes if o.trial == final and o.facts.get("tags")]


def _type(kind: str, hits: int, found: int, true: int) -> dict[str, Any]:
    recall = wilson(hits, true, 0.95) if true else None
    return {
        "kind": plain(kind),
        "spans": true,
        "found": found,
        "recall": hits / true if true else None,
        "low": recall.low if recall else None,
        "high": recall.high if recall else None,
        "precision": hits / found if found else None,
        "f1": 2 * hits / (found + true),
    }


def _sentences(told: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The worst of all folds first, then those that are right."""
    every = [_sentence(sentence, names) for each in told for sentence in each["sentences"]]
    every.sort(key=lambda sentence: (-sentence["wrong"], sentence["row"]))
    wrong = [s for s in every if s["wrong"]][: _SENTENCES - 2]
    return wrong + [s for s in every if not s["wrong"]][: _SENTENCES - len(wrong)]


def _sentence(sentence: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    scheme, words = scheme_of(names), sentence["words"]
    own, other = (spans(sentence[which], scheme) for which in ("true", "said"))
    return {
        "row": sentence["row"],
        "true": _parts(words, own, other),
        "said": _parts(words, other, own),
        "wrong": sum(a != b for a, b in zip(sentence["true"], sentence["said"], strict=True)),
        "longer": bool(sentence.get("longer")),
    }


def _parts(
    words: Sequence[str], own: Sequence[Span], other: Sequence[Span]
) -> list[dict[str, Any]]:
    """Runs of words that are a span, or that none covers; a span is right if both have it."""
    edges = sorted({0, len(words), *(place for _, a, b in own for place in (a, b + 1))})
    starts = {span[1]: span for span in own}
    found = []
    for start, end in pairwise(edges):
        span = starts.get(start)
        kind = plain(span[0]) if span else None
        text = plain(" ".join(words[start:end]))
        found.append({"text": text, "kind": kind, "right": span is None or span in other})
    return found

"""What fits did not have to do again."""

from __future__ import annotations

from typing import Any

from attain.report.book import Book
from attain.report.numbers import seconds

LEAST = 0.05
"""Seconds below which it is not worth a sentence."""


def sharing(book: Book) -> dict[str, Any] | None:
    """How many seconds of fits were saved by rows, tokens or features that others had made.

    Args:
        book: The records.

    Returns:
        ``fits`` (that found something), ``of`` (all), ``saved`` and ``took`` (seconds of all fits),
        ``text`` and ``record`` (of the last that did); None when nothing worth a word was saved.
    """
    found = [record for record, outcome in book.outcomes if outcome.saved_seconds > 0]
    saved = sum(outcome.saved_seconds for _, outcome in book.outcomes)
    took = sum(outcome.fit_seconds for _, outcome in book.outcomes)
    if saved < LEAST:
        return None
    text = (
        f"{len(found):,} of {len(book.outcomes):,} fits found their rows prepared by an earlier"
        f" one, which saved {seconds(saved)} beside the {seconds(took)} that fits took"
    )
    record = found[-1].id
    return {
        "fits": len(found), "of": len(book.outcomes), "saved": saved, "took": took,
        "text": text, "record": record,
    }  # fmt: skip

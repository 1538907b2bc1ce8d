"""What fits were said to cost, beside what they cost."""

from __future__ import annotations

from typing import Any

from attain.core.codec import decode
from attain.core.space import RUNG
from attain.core.types import Forecast, Status
from attain.report.book import Book, plain
from attain.report.numbers import listed, seconds, size


def foretold(book: Book) -> dict[str, Any] | None:
    """The forecast of each rung, and what its fits took.

    Args:
        book: The records.

    Returns:
        ``rungs`` (``learner``, ``rung``, ``trainable``, ``seconds``, ``bytes``, ``usable``,
        ``reason``, ``fits``, and medians ``actual_seconds`` and ``actual_bytes``, None without
        fits), ``failed`` (why there is no forecast, by learner), ``text`` (what was said and what
        it was, of rungs that were fitted; empty without any) and ``record``; None when nothing was
        forecast.
    """
    record = book.last("forecast")
    if record is None:
        return None
    found = decode(dict[str, Forecast], record.payload["forecasts"])
    rungs = [
        {
            "learner": learner,
            "rung": plain(rung.name),
            "trainable": rung.trainable,
            "seconds": rung.seconds,
            "bytes": rung.bytes,
            "usable": rung.usable,
            "reason": plain(rung.reason),
            **_actual(book, learner, rung.name),
        }
        for learner, forecast in found.items()
        for rung in forecast.rungs
    ]
    told = [_told(rung) for rung in rungs if rung["fits"]]
    failed = {name: plain(why) for name, why in record.payload["failed"].items()}
    return {"rungs": rungs, "failed": failed, "text": listed(told, most=8), "record": record.id}


def _actual(book: Book, learner: str, rung: str) -> dict[str, Any]:
    own = {t.id for _, t in book.trials if t.learner == learner and t.config.get(RUNG) == rung}
    done = [o for _, o in book.outcomes if o.trial in own and o.status is Status.DONE]
    took, held = sorted(o.fit_seconds for o in done), sorted(o.peak_bytes for o in done)
    middle = len(done) // 2
    return {
        "fits": len(done),
        "actual_seconds": took[middle] if done else None,
        "actual_bytes": held[middle] or None if done else None,
    }


def _told(rung: dict[str, Any]) -> str:
    memory = f", {size(rung['actual_bytes'])}" if rung["actual_bytes"] else ""
    return (
        f"{rung['rung']} {seconds(rung['actual_seconds'])}{memory} a fit (forecast "
        f"{seconds(rung['seconds'])}, {size(rung['bytes'])})"
    )

"""What the figures of a comparison must reach: shares of the best peer's regret, places, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WANTED = {"all": {25: 0.7, 50: 0.6, 100: 0.6}, "rbv2_xgboost": {50: 0.5}}
"""Largest share of the best peer's regret, by suite and evaluations."""

MILLISECONDS = {100: 10.0, 1000: 15.0, 10_000: 20.0}
"""Longest median question and answer, by finished trials."""

LOST = 0.15
"""Largest share of trials that several at a time may lose."""


def missed(answer: Mapping[str, Any]) -> list[str]:
    """Which targets the main method falls short of.

    Args:
        answer: What `figures.report` returned.

    Returns:
        A line for each share above what is wanted, and for each suite in which another method has
        the better mean rank; horizons without runs, and suites without a problem that all methods
        have, are left out.
    """
    shares, main = answer["shares"], answer["main"]
    lines = [
        f"{suite} at {horizon}: {share:.2f} of the best peer's regret, wanted {most}"
        for suite, by_horizon in WANTED.items()
        for horizon, most in by_horizon.items()
        if (share := (shares.get(suite) or {}).get(str(horizon))) is not None and share > most
    ]
    for suite, places in answer["ranks"].items():
        leader = min(places, key=lambda method: (places[method], method != main), default=main)
        if leader != main and main in places:
            lines.append(f"{suite}: rank {places[main]:.2f}, {leader} has {places[leader]:.2f}")
    return lines


def slow(rows: Sequence[Mapping[str, Any]], method: str) -> list[str]:
    """After how many trials a method's questions and answers take too long, or have no figure.

    Args:
        rows: Of `run.overhead`.
        method: Its name.

    Returns:
        A line for each length of history with a target.
    """
    mine = {row["history"]: row for row in rows if row["method"] == method}
    lines = []
    for history, most in MILLISECONDS.items():
        took = mine.get(history, {}).get("ms_median")
        if took is None or took > most:
            lines.append(f"{method} after {history} trials: {took} ms, wanted {most:g}")
    return lines


def inefficient(lost: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Where several trials at a time lose too many of them, or cannot be compared.

    Args:
        lost: Of `efficiency.report`, as plain values.

    Returns:
        A line for each horizon.
    """
    if not lost:
        return ["no run with one trial at a time to compare with"]
    return [
        f"at {horizon}: {one['lost']:.3f} of the trials lost, permitted {LOST}"
        for horizon, one in lost.items()
        if one["lost"] > LOST
    ]

"""The verdict and what to do next, for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from attain.report import numbers

WIDEST, NARROWEST = 100, 40  # characters of a line
_width = ContextVar("width", default=WIDEST)
_MARKS = {"met": "✓", "met, unproven": "◐", "not met": "✗", "reported": "•"}


def render(evidence: Mapping[str, Any], width: int | None = None) -> str:
    """A compact summary as plain text, without colours.

    Args:
        evidence: As `evidence.collect` gives it.
        width: Characters of a line at most, from 40 to 100; None for those of the terminal.

    Returns:
        Text that ends in a line end.
    """
    width = width or shutil.get_terminal_size((WIDEST, 24)).columns
    before = _width.set(min(max(width, NARROWEST), WIDEST))
    try:
        return _rendered(evidence)
    finally:
        _width.reset(before)


def _rendered(evidence: Mapping[str, Any]) -> str:
    verdict = evidence["verdict"]
    lines = list(_told(verdict, evidence) if verdict else _unfinished(evidence))
    lines += _comparison(evidence)
    lines += _next(evidence)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Lines that fit; words longer than that are broken."""
    clean = " ".join(numbers.printable(text).replace("\u00a0", " ").split())
    return textwrap.wrap(clean, _width.get(), initial_indent=first, subsequent_indent=rest) or [
        first
    ]


def _told(verdict: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterable[str]:
    yield from _wrapped(f"{verdict['title']}: {evidence['study']['name']}")
    yield ""
    goals = [numbers.capital(numbers.goal(i["objective"])) for i in verdict["objectives"]]
    state = max(len(i["state"]) for i in verdict["objectives"]) if goals else 0
    goal = min(44, max(map(len, goals), default=0))
    for item, said in zip(verdict["objectives"], goals, strict=True):
        count = f", n = {item['n']:,}" if item["n"] else ""
        head = f"  {_MARKS[item['state']]} {item['state']:<{state}}  {said:<{goal}}  "
        yield from _wrapped_row(head, numbers.with_interval(dict(item)) + count, state + 6)
    looks = verdict["looks"]
    opened = "opened once" if looks == 1 else f"opened {looks} times"
    seal = evidence["data"]["seal"]
    rows = f"{seal['rows']:,} sealed rows" if seal else "the sealed rows"
    share = numbers.share(verdict["confidence"])
    yield ""
    yield from _wrapped(f"Tested on {rows}, {opened}; intervals hold with {share} confidence.")
    choice = evidence["search"]["choice"]
    if choice:
        by = f" ({choice['learner']})" if choice["learner"] else ""
        yield from _wrapped(f"Final model: {choice['trial']}{by}.")
        if not choice["confirmed"]:
            yield from _wrapped(f"Not confirmed on fresh folds: {choice['reason']}.")
        if choice["calibration"]:
            yield from _wrapped(f"{numbers.capital(choice['calibration']['reason'])}.")
        if choice["threshold"]:
            yield from _wrapped(f"Threshold: {choice['threshold']['reason']}.")
    if (forecast := evidence["search"].get("forecast")) and forecast["text"]:
        yield from _wrapped(f"What fits took: {forecast['text']}.")
    if racing := evidence["search"].get("racing"):
        yield from _wrapped(f"Of the search, {racing['text']}.")
    if shared := evidence["search"].get("sharing"):
        yield from _wrapped(f"{shared['text']}.")
    yield from _doubts(evidence)


def _doubts(evidence: Mapping[str, Any]) -> Iterable[str]:
    """One line when something makes the result less reliable than it looks."""
    found = evidence["reliability"]
    doubts = [w["brief"] for w in found["warnings"] if w["brief"]] if found else []
    if doubts:
        yield from _wrapped(f"Reliability: {'; '.join(doubts)}.")


def _wrapped_row(head: str, tail: str, indent: int) -> list[str]:
    """A row of the table of objectives; its end goes to the next line when it is too long."""
    tail = tail.replace("\u00a0", " ")
    if len(head) + len(tail) <= _width.get():
        return [head + tail]
    return [*_wrapped(head, "  ", " " * indent), *_wrapped(tail, " " * indent, " " * indent)]


def _unfinished(evidence: Mapping[str, Any]) -> Iterable[str]:
    progress = evidence["progress"]
    yield from _wrapped(f"{progress['title']}: {evidence['study']['name']}")
    yield ""
    yield from _wrapped(progress["text"])
    done = [step["title"].lower() for step in progress["steps"] if step["done"]]
    if done:
        yield from _wrapped(f"Done so far: {', '.join(done)}.")


def _comparison(evidence: Mapping[str, Any]) -> list[str]:
    """Baselines, search and sealed test of the first objective."""
    if not evidence["comparison"]:
        return []
    found = evidence["comparison"][0]
    labels = [point["label"] for point in found["points"]]
    wide = min(50, max(map(len, labels)))
    lines = ["", numbers.capital(numbers.words(found["metric"]))]
    for point in found["points"]:
        label = numbers.printable(point["label"])[:wide]
        value = numbers.with_interval(dict(point)).replace("\u00a0", " ")
        lines.append(f"  {label:<{wide}}  {value}"[: _width.get()])
    return lines


def _next(evidence: Mapping[str, Any]) -> list[str]:
    if not evidence["next"]:
        return []
    lines = ["", "What to do next"]
    for step in evidence["next"]:
        lines += _wrapped(f"{step['title']}.", f"  {step['rank']}. ", "     ")
        lines += _wrapped(step["text"].replace("`", ""), "     ", "     ")
    return lines

"""Pictures of reliability: slices and accidents as dots with intervals, and the learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from attain.report import numbers
from attain.report.charts import NARROW, both
from attain.report.numbers import finite
from attain.report.reliability import accident, loss_value
from attain.report.svg import Canvas, Scale, linear, logarithmic, widest

Item = Mapping[str, Any]
MOST_SLICES, MOST_ACCIDENTS = 6, 12


@dataclass(frozen=True)
class Line:
    """One line of a picture of dots with intervals.

    Attributes:
        label: What it is about.
        value: With ``estimate``, ``low``, ``high``.
        text: The value in words.
        kind: Class of dot and bar.
        other: A second value to compare with, or None.
    """

    label: str
    value: Item
    text: str
    kind: str = "is-sealed"
    other: Item | None = None


def slices(found: Item, name: str) -> Markup:
    """Loss on each confirmed slice against the loss elsewhere.

    Args:
        found: The evidence's ``reliability.slices``.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing without a confirmed slice.
    """
    lines = [
        Line(
            s["words"],
            s["inside"],
            f"{loss_value(found, s['inside']['estimate'])} against "
            f"{loss_value(found, s['rest']['estimate'])}",
            "state-not-met" if s["kind"] == "surprising" else "state-met-unproven",
            s["rest"],
        )
        for s in found["shown"][:MOST_SLICES]
    ]
    return _drawn(lines, "Where the model is worse", found["words"], name)


def accidents(found: Item, name: str) -> Markup:
    """How much worse the score gets with the worst accidents.

    Args:
        found: The evidence's ``reliability.perturbations``.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing without an accident that could be measured.
    """
    measured = [e for e in found["entries"] if finite(e["drop"]) is not None]
    lines = [
        Line(
            accident(e),
            {**e, "estimate": e["drop"]},
            f"{numbers.share(e['flipped'])} change",
            "state-not-met" if e["brittle"] else "is-baseline",
        )
        for e in measured[:MOST_ACCIDENTS]
    ]
    axis = f"{numbers.words(found['metric'])} gets worse by"
    return _drawn(lines, "What accidents to a column do", axis, name, zero=True)


def _drawn(
    lines: Sequence[Line], title: str, axis: str, name: str, *, zero: bool = False
) -> Markup:
    if not lines:
        return Markup("")
    return both(lambda n, width, kind: _dots(lines, title, axis, n, width, kind, zero), name)


def _dots(
    lines: Sequence[Line], title: str, axis: str, name: str, width: float, kind: str, zero: bool
) -> Markup:
    wide = width > NARROW
    row, top = (28 if wide else 44), 12
    left = min(330.0, widest((line.label for line in lines), 48) + 14) if wide else 8.0
    right = width - (14 + widest(line.text for line in lines)) if wide else width - 12
    bottom = top + row * len(lines) + 4
    ends = [line.value for line in lines] + [line.other for line in lines if line.other]
    values = [
        v for e in ends for k in ("estimate", "low", "high") if (v := finite(e[k])) is not None
    ]
    scale = linear([*values, *([0.0] if zero else [])], left, right, count=5 if wide else 4)
    told = "; ".join(f"{line.label}: {line.text}" for line in lines)
    canvas = Canvas(name, width, bottom + 40, title, told, kind)
    canvas.bottom(scale, bottom, axis, top - 6)
    if zero:
        canvas.line(scale(0.0), top - 6, scale(0.0), bottom, "axis")
    for i, line in enumerate(lines):
        y = top + row * i + (row / 2 if wide else 29)
        canvas.text(0, y + 4 if wide else y - 13, line.label, most=48 if wide else 34)
        canvas.text(width, y + 4 if wide else y - 13, line.text if wide else "", "value", "end")
        if line.other:
            _bar(canvas, scale, line.other, y, "is-baseline", f"elsewhere: {line.text}")
        _bar(canvas, scale, line.value, y, line.kind, f"{line.label}: {line.text}")
    return canvas.render()


def _bar(canvas: Canvas, scale: Scale, value: Item, y: float, kind: str, tip: str) -> None:
    low, high = finite(value["low"]), finite(value["high"])
    if low is not None and high is not None:
        canvas.rect(scale(low), y - 3, scale(high) - scale(low), 6, f"bar {kind}")
    canvas.dot(scale(value["estimate"]), y, 5, f"dot {kind}", tip)


def curve(found: Item, target: Any, name: str) -> Markup:
    """Score over training rows, measured and forecast.

    Args:
        found: The evidence's ``reliability.curve``.
        target: To be reached, or None.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing with fewer than two sizes.
    """
    if len(found["points"]) < 2:
        return Markup("")
    return both(lambda n, width, kind: _curve(found, finite(target), n, width, kind), name)


def _curve(found: Item, target: float | None, name: str, width: float, kind: str) -> Markup:
    points, ahead = found["points"], found["forecast"]
    every = [*points, *ahead]
    known = [
        v for p in every for k in ("estimate", "low", "high") if (v := finite(p[k])) is not None
    ]
    top, bottom = 30, 250
    metric = numbers.words(found["metric"])
    y = linear([*known, *([] if target is None else [target])], bottom, top)
    left = 16 + widest(label for _, label in y.labels())
    x = logarithmic([p["rows"] for p in every], left, width - 10, count=6 if width > NARROW else 4)
    told = "; ".join(f"{p['rows']:,} rows: {numbers.with_interval(p)}" for p in every)
    canvas = Canvas(name, width, bottom + 42, f"{metric} over training rows", told, kind)
    canvas.left(y, left, metric, x.end)
    canvas.bottom(x, bottom, "training rows", None)
    if target is not None:
        canvas.line(left, y(target), x.end, y(target), "target")
        canvas.text(left + 6, y(target) - 5, f"target {numbers.stated(target)}", "target-label")
    canvas.path([(x(p["rows"]), y(p["estimate"])) for p in points], "curve s0")
    onward = [points[-1], *ahead]
    canvas.path([(x(p["rows"]), y(p["estimate"])) for p in onward], "curve reference")
    for p in every:
        tip = f"{p['rows']:,} rows: {numbers.with_interval(p)}"
        guess = "times" in p
        canvas.line(
            x(p["rows"]), y(p["low"]), x(p["rows"]), y(p["high"]), "whisker" + " thick" * guess
        )
        canvas.dot(x(p["rows"]), y(p["estimate"]), 4, "mark c7" if guess else "mark c0", tip)
    return canvas.render()

"""Pictures of what columns said: bars for single rows, a cloud of points for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from attain.report import numbers
from attain.report.cells import signed
from attain.report.charts import SMALL, both
from attain.report.svg import Canvas, Scale, linear, widest

Item = Mapping[str, Any]
_LEVELS = 5  # shades from the lowest cells to the highest
_ROW = 34


def label(cell: Item) -> str:
    """A column with its cell, such as ``age = 38``; several columns with a plus between them."""
    if len(cell["columns"]) > 1:
        first = " + ".join(cell["columns"][:2])
        more = len(cell["columns"]) - 2
        return f"{first} and {more} more" if more > 0 else first
    return f"{cell['columns'][0]} = {said(cell['shown'])}"


def said(value: Any) -> str:
    """A cell in words."""
    return "missing" if value is None else numbers.setting(value)


def shares(single: Item, found: Item, classifies: bool, name: str) -> Markup:
    """What the cells of one row said, the strongest first.

    Args:
        single: One of ``model.cells.singles``.
        found: The evidence's ``model.cells``.
        classifies: Whether classes are predicted.
        name: Unique in the page.

    Returns:
        A small picture; nothing for a row no column moved.
    """
    lines = [(label(c), c["value"], c["error"]) for c in single["cells"]]
    count, rest = single["others"]
    lines += [(f"{numbers.plural(count, 'other column')}", rest, 0.0)] if count else []
    if not lines:
        return Markup("")
    marks = [signed(value, found, classifies) for _, value, _ in lines]
    against = widest(mark for mark, (_, v, _) in zip(marks, lines, strict=True) if v <= 0)
    width, bottom = SMALL + 60, 4 + _ROW * len(lines)
    x = linear([0.0, *(v for _, v, _ in lines)], against + 6, width - widest(marks) - 6, count=3)
    texts = [_with_error(v, error, found, classifies) for _, v, error in lines]
    told = "; ".join(f"{what}: {text}" for (what, _, _), text in zip(lines, texts, strict=True))
    canvas = Canvas(name, width, bottom, f"What moved row {single['row']}", told, "small")
    canvas.line(x(0.0), 2, x(0.0), bottom, "axis")
    for i, ((what, value, _), text) in enumerate(zip(lines, texts, strict=True)):
        y = 4 + _ROW * i
        canvas.text(0, y + 11, what, most=44)
        low, high = sorted((x(0.0), x(value)))
        shade = "side-for" if value > 0 else "side-against"
        canvas.rect(low, y + 15, max(high - low, 1.0), 10, shade, f"{what}: {text}")
        at, anchor = (high + 4, "start") if value > 0 else (low - 4, "end")
        canvas.text(at, y + 24, marks[i], "tick", anchor)
    return canvas.render()


def _with_error(value: float, error: float, found: Item, classifies: bool) -> str:
    text = signed(value, found, classifies)
    return f"{text} ± {signed(error, found, classifies).removeprefix('+')}" if error else text


def cloud(found: Item, unit: str, name: str) -> Markup:
    """How far each column moved each of some rows; dark points are high cells.

    Args:
        found: The evidence's ``model.cells``.
        unit: What the horizontal axis shows.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing without columns.
    """
    columns = found["columns"]
    if not columns:
        return Markup("")
    return both(lambda n, w, kind: _cloud(columns, unit, n, w, kind), name)


def _cloud(columns: Sequence[Item], unit: str, name: str, width: float, kind: str) -> Markup:
    wide = width > 500
    row, top = (30, 10) if wide else (46, 10)
    left = min(230.0, widest([c["column"] for c in columns], 32) + 14) if wide else 8.0
    bottom = top + row * len(columns)
    every = [value for c in columns for value, _ in c["points"]]
    x = linear([0.0, *every], left, width - 12, count=6 if wide else 4)
    told = "; ".join(f"{c['column']}: {numbers.number(c['mean'], digits=2)}" for c in columns)
    title = "How far each column moved single predictions"
    canvas = Canvas(name, width, bottom + 40, title, f"Mean absolute values: {told}", kind)
    canvas.bottom(x, bottom, unit, top - 6)
    canvas.line(x(0.0), top - 6, x(0.0), bottom, "axis")
    for i, c in enumerate(columns):
        middle = top + row * i + (row / 2 if wide else 32)
        canvas.text(0, middle + 4 if wide else middle - 14, c["column"], most=32)
        for (at, height), (_, rank) in zip(_spread(c["points"], x), c["points"], strict=True):
            canvas.dot(at, middle + height, 2.5, f"mark {_shade(rank)}")
    return canvas.render()


def _spread(points: Sequence[Sequence[Any]], x: Scale) -> list[tuple[float, float]]:
    """Places of points; those that would cover each other stand above and below."""
    taken: dict[int, int] = {}
    found = []
    for value, _ in points:
        at = x(value)
        place = round(at / 5)
        before = taken.get(place, 0)
        taken[place] = before + 1
        step = (before + 1) // 2 * (1 if before % 2 else -1)
        found.append((at, 3.0 * max(-4, min(4, step))))
    return found


def _shade(rank: float | None) -> str:
    """``v0`` for the lowest cells to ``v4``; ``vx`` for cells without an order."""
    return "vx" if rank is None else f"v{min(_LEVELS - 1, int(rank * _LEVELS))}"

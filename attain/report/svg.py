"""Just enough SVG: scales with sensible ticks, and a canvas that escapes everything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from attain.report.numbers import number, printable

_SAME = 1e-6  # relative difference below which values are shown as equal
CHARACTER = 6.6  # mean width of a character at 12 px, for placing labels


@dataclass(frozen=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Pixel of the low end.
        end: Pixel of the high end.
        log: Whether equal ratios are equally long.
        ticks: Values to be marked, all within [low, high].
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[float, ...] = ()

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside are put on the nearest end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def labels(self) -> list[tuple[float, str]]:
        """Each tick with its text; all with as many decimals as the step between them needs."""
        if self.log or len(self.ticks) < 2:
            return [(t, _brief(t)) for t in self.ticks]
        step = self.ticks[1] - self.ticks[0]
        if max(abs(t) for t in self.ticks) >= 1e6 or step < 1e-6:
            return [(t, _brief(t)) for t in self.ticks]
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(t, number(t, places)) for t in self.ticks]


def _brief(value: float) -> str:
    """Up to four significant digits, without zeros at the end."""
    text = number(value, digits=4)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def linear(values: Iterable[float], start: float, end: float, *, count: int = 5) -> Scale:
    """A linear scale whose ends are a little beyond the values.

    Args:
        values: Finite numbers, at least one.
        start: Pixel of the low end.
        end: Pixel of the high end.
        count: Ticks wanted; there may be one or two more or fewer.

    Returns:
        A scale with ticks at multiples of 1, 2 or 5 times a power of ten.
    """
    found = list(values)
    low, high = min(found), max(found)
    if high - low <= _SAME * max(abs(low), abs(high), 1e-12):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    margin = 0.05 * (high - low)
    return fixed(low - margin, high + margin, start, end, count=count)


def fixed(low: float, high: float, start: float, end: float, *, count: int = 5) -> Scale:
    """A linear scale with exactly these ends."""
    return Scale(low, high, start, end, False, tuple(_ticks(low, high, count)))


def _ticks(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    ticks: list[float] = []
    for step in (m * power for m in (10, 5, 2, 1, 0.5, 0.2)):
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        ticks = [round(k * step, 12) + 0.0 for k in range(first, last + 1)]
        if len(ticks) >= max(2, 0.7 * count):
            break
    return ticks


def logarithmic(values: Iterable[float], start: float, end: float, *, count: int = 5) -> Scale:
    """A logarithmic scale, ticks at powers of ten, or at 1, 2 and 5 times them when few fit.

    Args:
        values: Positive numbers, at least one.
        start: Pixel of the low end.
        end: Pixel of the high end.
        count: Ticks wanted at most.

    Returns:
        A scale a little wider than the values.
    """
    found = list(values)
    low, high = min(found), max(found)
    if high / low < 1 + _SAME:
        low, high = low / 2, high * 2
    margin = (high / low) ** 0.05
    low, high = low / margin, high * margin
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [t for p in powers if low <= (t := 10.0**p) <= high]
    if len(ticks) < 2:
        ticks = [t for p in powers for m in (1, 2, 5) if low <= (t := m * 10.0**p) <= high]
    if len(ticks) < 2:
        ticks = _ticks(low, high, count)
    step = math.ceil(len(ticks) / max(1, count))
    return Scale(low, high, start, end, True, tuple(ticks[::step]))


class Canvas:
    """One picture. Colours come from the page's style sheet through classes.

    Args:
        name: Unique in the page; letters, digits and hyphens.
        width: In pixels.
        height: In pixels.
        title: What the picture is.
        description: What it shows, for those who do not see it.
        kind: Extra class, such as ``wide`` or ``narrow``.
    """

    def __init__(
        self, name: str, width: float, height: float, title: str, description: str, kind: str = ""
    ) -> None:
        self.name, self.width, self.height = name, width, height
        self._head = (title, description, kind)
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self._put("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def rect(self, x: float, y: float, w: float, h: float, kind: str, tip: str = "") -> None:
        """A rectangle; with a tip that shows under the pointer."""
        self._put("rect", kind, tip, x=x, y=y, width=max(w, 0.0), height=max(h, 0.0))

    def dot(self, x: float, y: float, r: float, kind: str, tip: str = "") -> None:
        """A circle; with a tip that shows under the pointer."""
        self._put("circle", kind, tip, cx=x, cy=y, r=r)

    def path(self, points: Sequence[tuple[float, float]], kind: str, tip: str = "") -> None:
        """A line through points."""
        steps = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
        self._put("path", kind, tip, d=f"M{steps}")

    def stairs(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line that keeps each value until the next point."""
        if not points:
            return
        x, y = points[0]
        d = f"M{_short(x)} {_short(y)}"
        d += "".join(f"H{_short(a)}V{_short(b)}" for a, b in points[1:])
        self._put("path", kind, d=d)

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "start", most: int = 0
    ) -> None:
        """A line of text; longer than `most` characters it ends in an ellipsis, whole as a tip."""
        full = printable(text)
        shown = full if not most or len(full) <= most else full[: max(1, most - 1)] + "…"
        tip = f"<title>{escape(full)}</title>" if shown != full else ""
        where = f'x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}"'
        self._parts.append(f'<text class="{kind}" {where}>{tip}{escape(shown)}</text>')

    def turned(self, x: float, y: float, text: str, kind: str = "") -> None:
        """A line of text that reads upwards, centred on a point."""
        where = f'transform="translate({_short(x)} {_short(y)}) rotate(-90)" text-anchor="middle"'
        self._parts.append(f'<text class="{kind}" {where}>{escape(printable(text))}</text>')

    def bottom(self, scale: Scale, y: float, title: str, top: float | None = None) -> None:
        """A horizontal axis: ticks with labels, a title, and grid lines up to `top`."""
        for value, label in scale.labels():
            x = scale(value)
            if top is not None:
                self.line(x, top, x, y, "rule")
            self.text(x, y + 15, label, "tick", "middle")
        self.line(scale.start, y, scale.end, y, "axis")
        self.text((scale.start + scale.end) / 2, y + 32, title, "title", "middle")

    def left(self, scale: Scale, x: float, title: str, right: float | None = None) -> None:
        """A vertical axis: ticks with labels, a title above them, and grid lines to `right`."""
        for value, label in scale.labels():
            y = scale(value)
            if right is not None:
                self.line(x, y, right, y, "rule")
            self.text(x - 6, y + 4, label, "tick", "end")
        self.text(0, min(scale.start, scale.end) - 10, title, "title")

    def render(self) -> Markup:
        """The picture as markup."""
        title, description, kind = (escape(printable(part)) for part in self._head)
        ids = f"{self.name}-t {self.name}-d"
        size = f"{_short(self.width)} {_short(self.height)}"
        return Markup(
            f'<svg class="chart {kind}" role="img" aria-labelledby="{ids}" viewBox="0 0 {size}" '
            f'width="{_short(self.width)}" height="{_short(self.height)}">'
            f'<title id="{self.name}-t">{title}</title>'
            f'<desc id="{self.name}-d">{description}</desc>{"".join(self._parts)}</svg>'
        )

    def _put(self, tag: str, kind: str, tip: str = "", **where: Any) -> None:
        attributes = "".join(
            f' {key}="{_short(v) if isinstance(v, int | float) else escape(v)}"'
            for key, v in where.items()
        )
        inside = f"<title>{escape(printable(tip))}</title>" if tip else ""
        self._parts.append(f'<{tag} class="{kind}"{attributes}>{inside}</{tag}>')


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def widest(texts: Iterable[str], most: int = 40) -> float:
    """Pixels that the longest of some labels takes at 12 px, labels cut at `most` characters."""
    return CHARACTER * max((min(len(text), most) for text in texts), default=0)

"""The search drawn as paths across parameters, and pairs of parameters that act together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from attain.report import numbers
from attain.report.charts import SMALL, both
from attain.report.numbers import finite
from attain.report.svg import Canvas, fixed

Item = Mapping[str, Any]
MOST_LINES, LEADERS = 120, 60  # the best are always among the lines
MOST_AXES = 6
FEWEST = 5
HEIGHT, TOP, FOOT = 240, 34, 196
MOST_DOTS = 200


def parallel(search: Item, name: str) -> Markup:
    """Configurations of the learner that did best, as lines across one axis for each parameter.

    Args:
        search: The evidence's ``search``.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing for fewer than five trials or two parameters.
    """
    lines, axes = _lines(search), _axes(search)
    if len(lines) < FEWEST or len(axes) < 2:
        return Markup("")
    return both(lambda n, w, kind: _parallel(search, lines, axes, n, w, kind), name)


def _leader(search: Item) -> str:
    return next((str(e["learner"]) for e in search["learners"] if e.get("score")), "")


def _done(search: Item) -> list[Item]:
    """Search trials of the leading learner with a result, the best first."""
    leader = _leader(search)
    done = [
        t
        for t in search["trials"]
        if t["purpose"] == "search" and t["learner"] == leader and finite(t["loss"]) is not None
    ]
    return sorted(done, key=lambda t: t["loss"])


def _lines(search: Item) -> list[Item]:
    done = _done(search)
    rest = done[LEADERS:]
    step = max(1, math.ceil(len(rest) / (MOST_LINES - LEADERS)))
    return done[:LEADERS] + rest[::step]


def _axes(search: Item) -> list[str]:
    """The parameters that vary, the most important first."""
    leader, done = _leader(search), _done(search)
    ranked = [e["parameter"] for e in search["hyperparameters"] if e["learner"] == leader]
    names = dict.fromkeys([*ranked, *(n for t in done for n in t["config"])])
    return [n for n in names if len({str(t["config"].get(n)) for t in done}) > 1][:MOST_AXES]


def _places(values: Sequence[Any]) -> tuple[list[float | None], str, str]:
    """Heights in [0, 1], and what stands at the ends of the axis."""
    present = [v for v in values if v is not None]
    if any(isinstance(v, bool) or finite(v) is None for v in present):
        known = sorted({str(v) for v in present})
        last = max(1, len(known) - 1)
        found = [None if v is None else known.index(str(v)) / last for v in values]
        return found, known[0], known[-1]
    low, high = min(present), max(present)
    log = low > 0 and high / low >= 50
    turn = math.log if log else float
    span = (turn(high) - turn(low)) or 1.0
    found = [None if v is None else (turn(v) - turn(low)) / span for v in values]
    return found, numbers.setting(low), numbers.setting(high)


def _parallel(
    search: Item, lines: Sequence[Item], axes: Sequence[str], name: str, width: float, kind: str
) -> Markup:
    axes = axes if width > 500 else axes[:3]
    metric = search["metric"]
    columns = [_places([t["config"].get(a) for t in lines]) for a in axes]
    scores = [(t["scores"].get(metric) or {}).get("estimate", t["loss"]) for t in lines]
    columns.append(_places([finite(s) for s in scores]))
    titles = [*axes, numbers.words(metric) if metric else "loss"]
    step = (width - 96) / len(axes)
    xs = [48 + i * step for i in range(len(titles))]
    of = f" of {leader}" if (leader := _leader(search)) else ""
    told = f"{len(lines)} trials{of} across {numbers.listed(titles)}"
    canvas = Canvas(name, width, HEIGHT, "Configurations and what they gave", told, kind)
    for i in range(len(lines) - 1, -1, -1):  # the best is drawn last
        points = [
            (x, FOOT - h * (FOOT - TOP))
            for x, (places, _, _) in zip(xs, columns, strict=True)
            if (h := places[i]) is not None
        ]
        better = "best" if i == 0 else "better" if i < len(lines) / 4 else "rest"
        canvas.path(points, f"thread {better}", lines[i]["id"])
    most = max(6, int(step / 6.8))
    for x, title, (_, low, high) in zip(xs, titles, columns, strict=True):
        canvas.line(x, TOP, x, FOOT, "axis")
        canvas.text(x, HEIGHT - 8, title, "title", "middle", most)
        canvas.text(x, FOOT + 15, low, "tick", "middle", most)
        canvas.text(x, TOP - 8, high, "tick", "middle", most)
    return canvas.render()


def pairs(search: Item, most: int = 3, name: str = "pair") -> list[Markup]:
    """The trials in the plane of two parameters that act together, the best quarter in colour.

    Args:
        search: The evidence's ``search``.
        most: Pictures at most.
        name: Unique in the page.

    Returns:
        Small pictures, the strongest pair first.
    """
    done = _done(search)
    return [
        _pair(done, pair, f"{name}-{i}")
        for i, pair in enumerate(search["interplay"][:most])
        if done
    ]


def _pair(done: Sequence[Item], pair: Item, name: str) -> Markup:
    step = max(1, math.ceil(len(done) / MOST_DOTS))
    shown = done[::step]
    a, b = pair["a"], pair["b"]
    xs, left, right = _places([t["config"].get(a) for t in shown])
    ys, low, high = _places([t["config"].get(b) for t in shown])
    x, y = fixed(0, 1, 16, SMALL - 10), fixed(0, 1, 116, 26)
    strength = numbers.number(pair["strength"], 2)
    told = f"{len(shown)} trials by {a} and {b}, strength {strength}"
    canvas = Canvas(name, SMALL, 160, f"{a} and {b} together", told, "small")
    canvas.line(8, 122, SMALL - 4, 122, "axis")
    canvas.line(8, 20, 8, 122, "axis")
    for i in range(len(shown) - 1, -1, -1):
        across, up = xs[i], ys[i]
        if across is None or up is None:
            continue
        kind = "mark c0" if i < len(shown) / 4 else "mark pale"
        config = shown[i]["config"]
        tip = (
            f"{shown[i]['id']}: {a} {numbers.setting(config[a])}, {b} {numbers.setting(config[b])}"
        )
        canvas.dot(x(across), y(up), 3, kind, tip)
    canvas.text(0, 12, f"{b}: {low} to {high}", "tick", most=38)
    canvas.text(8, 137, left, "tick", most=16)
    canvas.text(SMALL - 4, 137, right, "tick", "end", 16)
    canvas.text(SMALL / 2, 154, a, "title", "middle", 30)
    return canvas.render()

"""Two goals against each other: all trials, and those that no other one beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from markupsafe import Markup

from attain.report import numbers
from attain.report.charts import NARROW, thinned
from attain.report.svg import Canvas, linear, widest

Item = Mapping[str, Any]
MOST_DOTS = 400
MOST_PICTURES = 6
_TOP, _SIDE = 26, 264


def fronts(goals: Sequence[Item], trials: Sequence[Item]) -> list[Markup]:
    """A picture for each pair of goals.

    Args:
        goals: ``metric`` and ``direction``.
        trials: With ``id``, ``metrics`` (empty where it failed), ``front`` and ``kept`` (whether
            all limits hold).

    Returns:
        Pictures; none for a single goal, or for fewer than two trials with results.
    """
    shown = [t for t in trials if all(g["metric"] in t["metrics"] for g in goals)]
    pairs = list(combinations(goals, 2))[:MOST_PICTURES] if len(shown) > 1 else []
    return [_front(a, b, shown, f"front-{i}") for i, (a, b) in enumerate(pairs)]


def _front(a: Item, b: Item, trials: Sequence[Item], name: str) -> Markup:
    across, up = a["metric"], b["metric"]
    y = linear([t["metrics"][up] for t in trials], _TOP + _SIDE, _TOP)
    left = 16 + widest(label for _, label in y.labels())
    x = linear([t["metrics"][across] for t in trials], left, NARROW - 12, count=4)
    best = [t for t in trials if t["front"]]
    said = (
        f"{numbers.plural(len(trials), 'trial')} by {across} ({a['direction']}) and {up} "
        f"({b['direction']}); no other one beats {len(best)} of them"
    )
    canvas = Canvas(name, NARROW, _TOP + _SIDE + 42, f"{across} and {up}", said, "square")
    canvas.left(y, left, f"{numbers.words(up)} ({b['direction']})", x.end)
    canvas.bottom(x, _TOP + _SIDE, f"{numbers.words(across)} ({a['direction']})", _TOP)
    rest = thinned([t for t in trials if not t["front"]], MOST_DOTS)
    for shade, some in (("mark pale", rest), ("mark c1", best)):
        for t in some:
            at = ", ".join(f"{m} {numbers.number(t['metrics'][m], digits=4)}" for m in (across, up))
            broken = "" if t["kept"] else ", breaks a limit"
            kind = shade if t["kept"] else f"{shade} faint"
            place = x(t["metrics"][across]), y(t["metrics"][up])
            canvas.dot(*place, 3.5, kind, f"{t['id']}: {at}{broken}")
    return canvas.render()

"""How trials that report on their way came to what they gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from attain.core.types import Status
from attain.report import numbers
from attain.report.charts import both, thinned
from attain.report.svg import Canvas, Scale, fixed, linear, widest

Item = Mapping[str, Any]
MOST_WAYS = 80  # beside the best one
_TOP, _FOOT, _HEIGHT = 28, 218, 260
_WORST = 0.2  # share of the values that may lie beyond the edge


def ways(
    trials: Sequence[Item], best: str | None, goals: Sequence[Item], which: int, name: str
) -> Markup:
    """The best value that each trial had reported up to each step.

    Args:
        trials: With ``id``, ``status`` and ``curves`` (of each goal, pairs of a step and a value).
        best: Id of the best trial, or None.
        goals: ``metric`` and ``direction``.
        which: Of the goals.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing for fewer than two trials that reported twice.
    """
    told = [{**t, "curve": t["curves"][which]} for t in trials if any(t["curves"])]
    if sum(len(t["curve"]) > 1 for t in told) < 2:
        return Markup("")
    lead = [t for t in told if t["id"] == best]
    shown = [*thinned([t for t in told if t["id"] != best], MOST_WAYS), *lead]
    return both(lambda n, width, kind: _ways(shown, best, goals[which], n, width, kind), name)


def _ways(
    trials: Sequence[Item], best: str | None, goal: Item, name: str, width: float, kind: str
) -> Markup:
    y = _heights([value for t in trials for _, value in t["curve"]], goal["direction"])
    left = 16 + widest(label for _, label in y.labels())
    last = max(t["curve"][-1][0] for t in trials)
    x = fixed(1, max(last, 2), left, width - 14, count=6)
    pruned = sum(t["status"] == Status.PRUNED for t in trials)
    said = f"{numbers.plural(len(trials), 'trial')}, {pruned} of them pruned"
    metric = numbers.words(goal["metric"])
    canvas = Canvas(name, width, _HEIGHT, f"{metric} on the way", said, kind)
    canvas.left(y, left, metric, x.end)
    canvas.bottom(x, _FOOT, "report", _TOP)
    for trial in trials:
        points = [(x(step), min(max(y(v), _TOP), _FOOT)) for step, v in trial["curve"]]
        ended = trial["status"] != Status.DONE
        shade = "best" if trial["id"] == best else "rest" if ended else "better"
        tip = f"{trial['id']}: {trial['status']} after {trial['curve'][-1][0]}"
        canvas.path(points, f"thread {shade}", tip)
        if ended:
            canvas.dot(*points[-1], 2.5, "mark pale", tip)
    return canvas.render()


def _heights(values: Sequence[float], direction: str) -> Scale:
    """A scale that the worst values do not flatten."""
    bad = np.quantile(values, 1 - _WORST if direction == "minimize" else _WORST)
    kept = [v for v in values if (v <= bad if direction == "minimize" else v >= bad)]
    return linear(kept, _FOOT, _TOP, count=4)

"""Numbers behind the charts, thinned so that a picture of 100,000 trials is as quick as of 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attain.core.codec import decode
from attain.core.types import SPARED, Objective, Role
from attain.report import numbers
from attain.report.book import plain
from attain.report.numbers import finite
from attain.web.index import Entry, Index

MOST_DOTS, MOST_STUBS = 1_200, 200
MOST_LINES, LEADERS = 300, 150  # of the parallel coordinates; the best are always among them
MOST_AXES = 9
_DECIMALS = 6  # digits of a number sent to be drawn


def objectives(index: Index) -> tuple[Objective, ...]:
    """What good means; none before it is recorded, or when it cannot be read."""
    if index.function is not None:
        return index.function.objectives()
    stated = index.payload("objectives").get("objectives")
    try:
        return decode(tuple[Objective, ...], stated or ())
    except ValueError:
        return ()


def lead(index: Index) -> Objective | None:
    """The objective that charts show: the first goal, else the first."""
    stated = objectives(index)
    return next(iter([*(o for o in stated if o.role is Role.GOAL), *stated]), None)


def metrics(index: Index) -> tuple[str, ...]:
    """The columns of scores: metrics of the objectives in their order."""
    return tuple(dict.fromkeys(o.metric for o in objectives(index)))


def progress(index: Index) -> dict[str, Any]:
    """The lead metric of each trial, and of the best so far.

    Args:
        index: All trials.

    Returns:
        ``metric``, ``unit``, ``maximize``, ``target``, ``baseline``, ``learners`` (in order of
        their colour), ``dots`` (place, minutes since the start, estimate, number of the learner,
        trial), ``best`` (place, minutes, estimate, low, high, trial), ``raced`` and ``failed``
        (places on the axis, and ``..._count``), ``known`` (trials with an estimate), ``shown`` of
        them, and ``total``.
    """
    objective = lead(index)
    metric = objective.metric if objective else ""
    began = index.began or (index.order[0].at if index.order else 0.0)
    searched = [t for t in index.order if t.place]
    known = [t for t in searched if _estimate(t, metric) is not None]
    learners = list(dict.fromkeys(t.learner for t in index.order))
    raced = [t for t in searched if t.status in ("raced", "pruned")]
    hurt = [t for t in searched if _hurt(t)]
    shown = _thinned(known, MOST_DOTS)
    steps = [t for t in index.best if _estimate(t, metric) is not None]
    base = index.baseline.get(metric, {})
    return {
        "metric": numbers.words(metric) if metric else "",
        "unit": objective.unit if objective else "",
        "maximize": objective is not None and objective.direction.value == "maximize",
        "target": finite(objective.target) if objective else None,
        "baseline": finite(base.get("estimate")),
        "learners": [plain(name) for name in learners],
        "dots": [
            [
                t.place,
                _minutes(t, began),
                _short(_estimate(t, metric)),
                learners.index(t.learner),
                t.id,
            ]
            for t in shown
        ],
        "best": [
            [t.place, _minutes(t, began), *map(_short, t.values[metric]), t.id] for t in steps
        ],
        "raced": [t.place for t in _thinned(raced, MOST_STUBS)],
        "raced_count": len(raced),
        "failed": [t.place for t in _thinned(hurt, MOST_STUBS)],
        "failed_count": len(hurt),
        "known": len(known),
        "shown": len(shown),
        "total": index.searched,
    }


def parallel(index: Index, learner: str = "") -> dict[str, Any]:
    """Configurations and what they gave, as lines across one axis for each parameter.

    Args:
        index: All trials.
        learner: Whose trials; that of the best one by default.

    Returns:
        ``learner``, ``learners``, ``axes`` (name, log, ends or choices, last the metric) and
        ``lines`` (trial, values, rank), the best last; plus ``shown`` and ``total``.
    """
    objective = lead(index)
    metric = objective.metric if objective else ""
    names = list(dict.fromkeys(t.learner for t in index.order if t.place))
    if learner not in names:
        learner = index.best[-1].learner if index.best else next(iter(names), "")
    done = [t for t in index.order if t.learner == learner and t.place and t.loss is not None]
    done = [t for t in done if _estimate(t, metric) is not None]
    chosen = _lines(done)
    axes = _axes(index, learner, chosen)
    values = [_short(_estimate(t, metric)) for t in chosen]
    return {
        "learner": plain(learner),
        "learners": [plain(name) for name in names],
        "axes": [*axes, _metric_axis(objective, [v for v in values if v is not None])],
        "lines": [
            [t.id, [*(_place(t.point.get(a["key"])) for a in axes), value], rank]
            for rank, (t, value) in enumerate(zip(chosen, values, strict=True))
        ][::-1],
        "shown": len(chosen),
        "total": len(done),
    }


def _lines(done: list[Entry]) -> list[Entry]:
    """The best, and others evenly from the rest; the best first."""
    ordered = sorted(done, key=lambda t: (t.loss, t.number))
    rest = _thinned(ordered[LEADERS:], MOST_LINES - LEADERS)
    return ordered[:LEADERS] + rest


def _axes(index: Index, learner: str, chosen: Sequence[Entry]) -> list[dict[str, Any]]:
    """An axis for each parameter that varies."""
    space = index.payload("selection").get("space") or {}
    if index.function is not None:
        space = index.function.space
    logs = {p["name"] for p in space.get("parameters", ()) if p.get("scale") == "log"}
    found = []
    for key in dict.fromkeys(name for t in chosen for name in t.point if name != "learner"):
        values = [t.point[key] for t in chosen if key in t.point]
        if len(set(map(str, values))) < 2:
            continue
        title = str(plain(str(key).removeprefix(f"{learner}.")))
        found.append({"key": key, "title": title, **_ends(values, key in logs)})
    return found[:MOST_AXES]


def _ends(values: Sequence[Any], log: bool) -> dict[str, Any]:
    """The ends of a numeric axis, or the choices of another."""
    numeric = [v for v in map(finite, values) if v is not None]
    if len(numeric) < len(values):
        choices = sorted({str(_place(v)) for v in values})
        return {"choices": choices}
    low, high = min(numeric), max(numeric)
    return {"low": low, "high": high, "log": log and low > 0}


def _metric_axis(objective: Objective | None, values: Sequence[float]) -> dict[str, Any]:
    title = numbers.words(objective.metric) if objective else "loss"
    ends = _ends(values, False) if values else {"low": 0.0, "high": 1.0, "log": False}
    return {"key": "", "title": title, **ends}


def _place(value: Any) -> Any:
    """A value as an axis takes it: a number, or text."""
    known = finite(value)
    if known is not None:
        return _short(known)
    return None if value is None else str(plain(numbers.setting(value)))


def curves(entry: Entry, live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How the fits of a trial under way have learnt.

    Args:
        entry: The trial.
        live: Job to points, of the fits that have not ended.

    Returns:
        ``fold``, ``running``, and ``points``: step and loss on rows set aside, else on training
        rows.
    """
    found = drawn(entry.outcomes)
    known = {o["fold"] for o in entry.outcomes}
    for job, points in live.items():
        trial, _, fold = str(job).partition("-f")
        number = fold.partition("-")[0]
        mine = trial == entry.id and number.isdecimal() and isinstance(points, list)
        if mine and int(number) not in known and (shown := _points(points)):
            found.append({"fold": int(number), "running": True, "points": shown})
    return found


def drawn(outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves of fits that have ended, as `curves` gives them."""
    found = [(o["fold"], _points(o.get("curve") or ())) for o in outcomes]
    return [{"fold": fold, "running": False, "points": p} for fold, p in found if p]


def _points(points: Sequence[Any]) -> list[list[float | None]]:
    found: list[list[float | None]] = []
    told = dict.fromkeys(name for point in points for name in point.get("values") or {})
    name = next((n for n in ("stop", *told) if n in told), "")
    mine = [point for point in points if name in (point.get("values") or {})]
    for point in _thinned(mine, 60):
        loss, step = finite(point["values"][name]), finite(point.get("step"))
        if loss is not None and step is not None:
            found.append([step, _short(loss)])
    return found


def _estimate(entry: Entry, metric: str) -> float | None:
    found = entry.values.get(metric)
    return None if found is None else found[0]


def _hurt(entry: Entry) -> bool:
    return entry.loss is None and entry.status not in SPARED | {"done"}


def _minutes(entry: Entry, began: float) -> float:
    return round(max(entry.until - began, 0.0) / 60, 3)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DECIMALS}g}")


def _thinned(items: list[Any], most: int) -> list[Any]:
    """At most so many, evenly spaced, the first and the last always among them."""
    if len(items) <= most:
        return items
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]

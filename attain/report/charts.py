"""Pictures of the verdict, the comparison with baselines, and the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from markupsafe import Markup

from attain.core.types import SPARED
from attain.report import numbers
from attain.report.numbers import finite
from attain.report.svg import Canvas, Scale, fixed, linear, logarithmic, widest

WIDE, NARROW = 820, 340
SMALL = 236  # a small multiple
MOST_DOTS = 600  # of a picture of all trials
MOST_STUBS = 150  # failed ones
MOST_SMALL = 150  # of a small picture
COLOURS = 8
UNHURT = SPARED | {"unfinished"}  # no loss, but no failure either
Item = Mapping[str, Any]
T = TypeVar("T")


def both(draw: Callable[[str, float, str], Markup], name: str) -> Markup:
    """A picture for wide and one for narrow screens; the style sheet shows one of them.

    Args:
        draw: Called with a unique name, a width in pixels and a class.
        name: Unique in the page.

    Returns:
        Both pictures.
    """
    return draw(f"{name}-w", WIDE, "wide") + draw(f"{name}-n", NARROW, "narrow")


def _known(*values: Any) -> list[float]:
    return [v for value in values if (v := finite(value)) is not None]


def gauge(item: Item, name: str) -> Markup:
    """One objective: its interval against its target, the good side shaded.

    Args:
        item: An entry of the verdict's objectives.
        name: Unique in the page.

    Returns:
        The picture, or nothing when the score is not known.
    """
    objective = item["objective"]
    target = finite(objective.get("target"))
    values = _known(item["estimate"], item["low"], item["high"], target)
    if finite(item["estimate"]) is None:
        return Markup("")
    spread = (max(values) - min(values)) or abs(values[0]) * 0.1 or 1.0
    low = max([min(values) - 0.35 * spread, *_known(objective.get("low"))])
    high = min([max(values) + 0.35 * spread, *_known(objective.get("high"))])
    scale = fixed(low, high, 12, 288, count=4)
    said = f"{numbers.goal(objective)}: {numbers.with_interval(dict(item))}, {item['state']}"
    canvas = Canvas(name, 300, 64, numbers.words(objective["metric"]), said, "gauge")
    if target is not None:
        up = objective["direction"] == "maximize"
        edge = scale(target)
        start, end = (edge, 288.0) if up else (12.0, edge)
        canvas.rect(start, 18, end - start, 20, "good-side")
    canvas.line(12, 38, 288, 38, "axis")
    for value, label in scale.labels():
        canvas.line(scale(value), 38, scale(value), 42, "axis")
        canvas.text(scale(value), 56, label, "tick", "middle")
    _interval(
        canvas, scale, item, 28, "state-" + item["state"].replace(", ", "-").replace(" ", "-")
    )
    if target is not None:
        canvas.line(scale(target), 12, scale(target), 44, "target")
        side = "start" if scale(target) < 60 else "end" if scale(target) > 240 else "middle"
        canvas.text(scale(target), 9, f"target {numbers.stated(target)}", "target-label", side)
    return canvas.render()


def _interval(
    canvas: Canvas, scale: Scale, score: Item, y: float, kind: str, tip: str = ""
) -> None:
    """An estimate with its interval at a height."""
    estimate = finite(score.get("estimate"))
    if estimate is None:
        return
    low, high = finite(score.get("low")), finite(score.get("high"))
    left = scale(scale.low if low is None else low)
    right = scale(scale.high if high is None else high)
    canvas.rect(left, y - 3, right - left, 6, f"bar {kind}")
    canvas.dot(scale(estimate), y, 5, f"dot {kind}", tip)


def forest(comparison: Item, name: str) -> Markup:
    """Baselines, search and sealed test on one axis, with intervals.

    Args:
        comparison: An entry of the evidence's ``comparison``.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture.
    """
    return both(lambda n, width, kind: _forest(comparison, n, width, kind), name)


def _forest(comparison: Item, name: str, width: float, kind: str) -> Markup:
    points, wide = comparison["points"], width > 500
    row, top = (30, 22) if wide else (46, 22)
    left = min(270.0, widest(p["label"] for p in points) + 16) if wide else 8.0
    right = width - (172 if wide else 12)
    bottom = top + row * len(points) + 4
    target = finite(comparison.get("target"))
    values = [v for p in points for v in _known(p["estimate"], p.get("low"), p.get("high"))]
    values += [] if target is None else [target]
    scale = linear(values, left, right, count=6 if wide else 4)
    words = numbers.capital(numbers.words(comparison["metric"]))
    better = "higher" if comparison["direction"] == "maximize" else "lower"
    told = "; ".join(f"{p['label']}: {numbers.with_interval(dict(p))}" for p in points)
    canvas = Canvas(
        name, width, bottom + 40, f"{words}, baselines against the final model", told, kind
    )
    unit = comparison.get("unit") or ""
    title = f"{words}{f' in {unit}' if unit else ''} ({better} is better)"
    canvas.bottom(scale, bottom, title, top - 6)
    if target is not None:
        x = scale(target)
        canvas.line(x, top - 6, x, bottom, "target")
        side = "start" if x < left + 70 else "end" if x > right - 70 else "middle"
        canvas.text(x, top - 11, f"target {numbers.stated(target)}", "target-label", side)
    for i, point in enumerate(points):
        y = top + row * i + (row / 2 if wide else 30)
        text = numbers.with_interval(dict(point))
        tip = f"{point['label']}: {text}, record {point['record']}"
        _interval(canvas, scale, point, y, f"is-{point['kind'].replace(' ', '-')}", tip)
        label = "strong" if point["kind"] == "sealed" else ""
        if wide:
            canvas.text(0, y + 4, point["label"], label, most=40)
            canvas.text(width, y + 4, text, f"value {label}", "end")
        else:
            canvas.text(0, y - 13, point["label"], label, most=30)
            canvas.text(width, y - 13, numbers.estimate(dict(point)), f"value {label}", "end")
    return canvas.render()


def incumbent(search: Item, baselines: Sequence[Item], name: str) -> Markup:
    """Every trial's estimate, and the best so far.

    Args:
        search: The evidence's ``search``.
        baselines: Points of the comparison whose kind is ``baseline``.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing before the first successful trial.
    """
    if not any(e["estimate"] is not None for e in search["incumbent"]):
        return Markup("")
    return both(lambda n, w, kind: _incumbent(search, baselines, n, w, kind), name)


def _incumbent(
    search: Item, baselines: Sequence[Item], name: str, width: float, kind: str
) -> Markup:
    searched = [t for t in search["trials"] if t["purpose"] == "search"]
    metric, target = search["metric"], finite(search["target"])
    colours = palette(search)
    dots = [
        (trial["place"], score["estimate"], trial)
        for trial in searched
        if (score := trial["scores"].get(metric)) and score["estimate"] is not None
    ]
    reference = max(
        (b for b in baselines if b["estimate"] is not None),
        key=lambda b: b["estimate"] if search["direction"] == "maximize" else -b["estimate"],
        default=None,
    )
    top, height = 28, 300
    bottom = height - 42
    some = [y for _, y, _ in dots]
    values = [*(some if search.get("log") else _middle(some)), *_known(target)]
    values += [e["estimate"] for e in search["incumbent"] if e["estimate"] is not None]
    values += [reference["estimate"]] if reference else []
    y = _upright(search, values, bottom, top, 5)
    left = 16 + widest(label for _, label in y.labels())
    right = width - 8
    x = fixed(0, search["searched"] + 1, left, right, count=8 if width > 500 else 4)
    words = numbers.words(metric)
    last = search["incumbent"][-1]
    said = (
        f"{search['scored']:,} of {search['searched']:,} trials gave a result; the best, trial "
        f"{last['position']}, has an estimate of {numbers.number(last['estimate'], digits=4)}"
    )
    canvas = Canvas(name, width, height, f"{words} of each trial and the best so far", said, kind)
    canvas.left(y, left, words + (f" in {search['unit']}" if search["unit"] else ""), right)
    canvas.bottom(x, bottom, "trial")
    for position, value, trial in thinned(dots, MOST_DOTS):
        inside = y.low <= value <= y.high
        shade = f"mark c{colours[trial['learner']]}" + ("" if inside else " outside")
        canvas.dot(x(position), y(value), 3.5, shade, _tip(trial, value))
    failed = [t for t in searched if t["loss"] is None and t["status"] not in UNHURT]
    for trial in thinned(failed, MOST_STUBS):
        canvas.line(x(trial["place"]), bottom - 7, x(trial["place"]), bottom, "failed")
    known = [e for e in search["incumbent"] if e["estimate"] is not None]  # 0 is an estimate, too
    steps = [(x(e["position"]), y(e["estimate"])) for e in known]
    canvas.stairs([*steps, (right, steps[-1][1])], "best")
    if reference:
        _level(canvas, y, left, right, reference["estimate"], "reference", "best baseline")
    _level(canvas, y, left, right, target, "target", "target")
    return canvas.render()


def _upright(search: Item, values: Sequence[float], start: float, end: float, count: int) -> Scale:
    """The scale of the metric; by equal ratios where results of all magnitudes are compared."""
    log = search.get("log") and min(values) > 0
    return (logarithmic if log else linear)(values, start, end, count=count)


def _tip(trial: Item, value: float) -> str:
    """A trial in a few words; those of a function have no learner, and no record to be seen."""
    named = ", ".join(part for part in (trial["id"], trial["learner"]) if part)
    record = "" if trial["record"] is None else f", record {trial['record']}"
    return f"{named}: {numbers.number(value, digits=4)}{record}"


def thinned(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many, evenly spaced, the first and the last always among them."""
    if len(items) <= most:
        return items
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]


def _middle(values: Sequence[float]) -> list[float]:
    """The values without the far tails, so that one bad trial does not flatten the picture."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    low, high = ordered[quarter], ordered[-1 - quarter]
    reach = 3 * (high - low) or abs(low) * 0.05 or 1.0
    return [v for v in ordered if low - reach <= v <= high + reach]


def _level(
    canvas: Canvas, y: Scale, left: float, right: float, value: Any, kind: str, label: str
) -> None:
    known = finite(value)
    if known is None or not y.low <= known <= y.high:
        return
    at = y(known)
    canvas.line(left, at, right, at, kind)
    if kind == "target":
        canvas.text(right, at - 5, f"{label} {numbers.stated(known)}", "target-label", "end")
    else:  # at the other side, so that the two never cover each other
        canvas.text(left + 4, at - 5, f"{label} {numbers.number(known)}", "reference-label")


def palette(search: Item) -> dict[str, int]:
    """The colour of each learner: its place among the learners that were tried."""
    names = [e["learner"] for e in search["learners"] if e["trials"]]
    names += [t["learner"] for t in search["trials"] if t["learner"] not in names]
    return {name: i % COLOURS for i, name in enumerate(dict.fromkeys(names))}


def shares(entries: Sequence[Item], name: str, title: str) -> Markup:
    """Horizontal bars of shares, one for each hyperparameter.

    Args:
        entries: With ``parameter`` and ``share``, the largest first.
        name: Unique in the page.
        title: What the bars are of.

    Returns:
        The picture.
    """
    width, row = NARROW, 24
    left = min(150.0, widest(e["parameter"] for e in entries) + 10)
    scale = fixed(0.0, max(e["share"] for e in entries) or 1.0, left, width - 52)
    told = "; ".join(f"{e['parameter']} {numbers.share(e['share'])}" for e in entries)
    canvas = Canvas(name, width, row * len(entries) + 4, title, told, "bars")
    for i, entry in enumerate(entries):
        y = row * i + 4
        canvas.text(0, y + 13, entry["parameter"], most=22)
        canvas.rect(left, y + 3, scale(entry["share"]) - left, 13, "share")
        value = numbers.share(entry["share"])
        canvas.text(scale(entry["share"]) + 6, y + 13, value, "value")
    return canvas.render()


def slices(search: Item, most: int = 6, name: str = "slice") -> list[Markup]:
    """The lead metric against each important parameter of the learners that did best.

    Args:
        search: The evidence's ``search``.
        most: Pictures at most.
        name: Unique in the page.

    Returns:
        Small pictures, the most important parameter first.
    """
    place = {e["learner"]: i for i, e in enumerate(search["learners"])}
    leader = next(iter(place), "")
    wanted = [e for e in search["hyperparameters"] if e["share"] >= 0.05 or e["learner"] == leader]
    wanted.sort(key=lambda e: (place.get(e["learner"], len(place)), -e["share"]))
    estimates = [
        score["estimate"]
        for t in search["trials"]
        if t["purpose"] == "search"
        and (score := t["scores"].get(search["metric"]))
        and score["estimate"] is not None
    ]
    if len(estimates) < 3:
        return []
    y = _upright(search, estimates if search.get("log") else _middle(estimates), 118, 26, 3)
    pictures = [_slice(search, e, y, f"{name}-{i}") for i, e in enumerate(wanted[:most])]
    return [picture for picture in pictures if picture]


def _slice(search: Item, entry: Item, y: Scale, name: str) -> Markup:
    metric, parameter = search["metric"], entry["parameter"]
    points = [
        (t["config"][parameter], score["estimate"], t)
        for t in search["trials"]
        if t["purpose"] == "search"
        and t["learner"] == entry["learner"]
        and parameter in t["config"]
        and (score := t["scores"].get(metric))
        and score["estimate"] is not None
    ]
    if len(points) < 3:
        return Markup("")
    leader = search["incumbent"][-1]["trial"] if search["incumbent"] else ""
    best = [p for p in points if p[2]["id"] == leader]
    points = [*thinned([p for p in points if p[2]["id"] != leader], MOST_SMALL), *best]
    left = 12 + widest(label for _, label in y.labels())
    words = numbers.words(metric)
    named = f"{entry['learner']} · {parameter}" if entry["learner"] else parameter
    said = f"{words} of {len(points)} trials against {parameter}"
    canvas = Canvas(name, SMALL, 160, named, said, "small")
    canvas.left(y, left, words, SMALL - 6)
    log = _searched_on_log(search, entry)
    where, labels = _positions([p for p, _, _ in points], left + 6, SMALL - 12, log)
    for at, label in labels:
        canvas.text(at, 133, label, "tick", "middle", most=10)
    canvas.line(left, 118, SMALL - 6, 118, "axis")
    canvas.text((left + SMALL) / 2, 152, named, "title", "middle", 34)
    colour = palette(search).get(entry["learner"], 0)
    for at, (value, estimate, trial) in zip(where, points, strict=True):
        tip = f"{trial['id']}: {parameter} {numbers.setting(value)}, {words} "
        kind = f"mark c{colour}" + (" leader" if trial["id"] == leader else "")
        canvas.dot(at, y(estimate), 3, kind, tip + numbers.number(estimate, digits=4))
    return canvas.render()


def _searched_on_log(search: Item, entry: Item) -> bool:
    names = (entry["parameter"], f"{entry['learner']}.{entry['parameter']}")
    space = (search["selection"] or {}).get("space") or []
    return any(p["name"] in names and p["scale"] == "log" for p in space)


def _positions(
    values: Sequence[Any], start: float, end: float, log: bool
) -> tuple[list[float], list[tuple[float, str]]]:
    """Pixels of parameter values, and tick labels: numbers on a scale, others side by side."""
    numeric = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numeric) < len(values):
        known = sorted({numbers.setting(v) for v in values})
        step = (end - start) / len(known)
        centre = {label: start + (i + 0.5) * step for i, label in enumerate(known)}
        shown = list(centre.items())[:: max(1, len(known) // 4)]
        places = [centre[numbers.setting(v)] for v in values]
        return places, [(at, label) for label, at in shown]
    on_log = log and min(numeric) > 0
    scale = (logarithmic if on_log else linear)(numeric, start, end, count=3)
    return [scale(v) for v in numeric], [(scale(v), text) for v, text in scale.labels()]


_LOSS = {"train": "training", "stop": "set aside"}


def learning(curve: Item, name: str) -> Markup:
    """How the chosen configuration learnt on each fold.

    Args:
        curve: The evidence's ``search.curve``.
        name: Unique in the page.

    Returns:
        A wide and a narrow picture; nothing without values.
    """
    values = [
        v for fold in curve["folds"] for p in fold["points"] for v in _known(*p["values"].values())
    ]
    if not values:
        return Markup("")
    return both(lambda n, w, kind: _learning(curve, values, n, w, kind), name)


def _learning(curve: Item, values: Sequence[float], name: str, width: float, kind: str) -> Markup:
    y = linear(values, 198, 28, count=4)
    left = 16 + widest(label for _, label in y.labels())
    right = width - 66
    steps = [p["step"] for fold in curve["folds"] for p in fold["points"]]
    x = fixed(min(steps), max(max(steps), min(steps) + 1), left, right, count=6)
    names = sorted({k for fold in curve["folds"] for p in fold["points"] for k in p["values"]})
    shown = numbers.listed([_LOSS.get(key, key) for key in names])
    said = f"{numbers.plural(len(curve['folds']), 'fold')}; {shown}"
    canvas = Canvas(name, width, 240, f"Learning curve of {curve['trial']}", said, kind)
    canvas.left(y, left, "loss", right)
    canvas.bottom(x, 198, "round of training")
    for number, key in enumerate(names):
        ends = []
        for fold in curve["folds"]:
            points = [
                (x(p["step"]), y(v))
                for p in fold["points"]
                if (v := finite(p["values"].get(key))) is not None
            ]
            if points:
                told = f"{_LOSS.get(key, key)}, fold {fold['fold'] + 1}"
                canvas.path(points, f"curve s{number % 4}", told)
                ends.append(points[-1])
        if ends:
            middle = sum(height for _, height in ends) / len(ends)
            canvas.text(right + 6, middle + 4, _LOSS.get(key, key), f"s{number % 4}-label", most=9)
    return canvas.render()

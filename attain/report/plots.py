"""Pictures of the model: calibration, trade-offs, residuals, importance, effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from attain.report import numbers
from attain.report.charts import NARROW, SMALL, both
from attain.report.numbers import finite
from attain.report.svg import Canvas, Scale, fixed, linear, widest

Item = Mapping[str, Any]
_LEFT, _TOP, _SIDE = 40, 26, 284


def _square(
    name: str, title: str, said: str, x_title: str, y_title: str
) -> tuple[Canvas, Scale, Scale]:
    """A square picture with both axes from 0 to 1."""
    canvas = Canvas(name, NARROW, _TOP + _SIDE + 42, title, said, "square")
    x = fixed(0.0, 1.0, _LEFT, _LEFT + _SIDE)
    y = fixed(0.0, 1.0, _TOP + _SIDE, _TOP)
    canvas.left(y, _LEFT, y_title, _LEFT + _SIDE)
    canvas.bottom(x, _TOP + _SIDE, x_title, _TOP)
    return canvas, x, y


def calibration(found: Item, name: str) -> Markup:
    """Predicted against observed frequency, with intervals, and how often each was predicted.

    Args:
        found: The model's ``calibration``.
        name: Unique in the page.

    Returns:
        The picture.
    """
    of = found["of"]
    told = "; ".join(
        f"predicted {numbers.share(b['predicted'])}, observed {numbers.share(b['observed'])} "
        f"of {b['n']:,}"
        for b in found["bins"]
    )
    canvas, x, y = _square(name, "Calibration", told, f"predicted chance of {of}"[:48], "observed")
    largest = max(found["counts"]) or 1
    for i, count in enumerate(found["counts"]):
        height = 36 * count / largest
        left = x(i / 10)
        tip = f"{numbers.plural(count, 'row')} predicted {10 * i} to {10 * i + 10} %"
        canvas.rect(left + 1, y(0) - height, x(0.1) - x(0.0) - 2, height, "count", tip)
    canvas.line(x(0), y(0), x(1), y(1), "reference")
    canvas.path([(x(b["predicted"]), y(b["observed"])) for b in found["bins"]], "curve s0")
    for b in found["bins"]:
        at = x(b["predicted"])
        canvas.line(at, y(b["low"]), at, y(b["high"]), "whisker")
        tip = (
            f"predicted {numbers.share(b['predicted'])}, observed {numbers.share(b['observed'])} "
            f"({numbers.share(b['low'])} to {numbers.share(b['high'])}), {b['n']:,} rows"
        )
        canvas.dot(at, y(b["observed"]), 4, "mark c0", tip)
    return canvas.render()


def roc(curves: Sequence[Item], name: str) -> Markup:
    """True against false positives.

    Args:
        curves: The model's ``curves.roc``.
        name: Unique in the page.

    Returns:
        The picture; nothing without curves.
    """
    words = ("ROC curve", "false positive rate", "true positive rate", "area")
    return _rates(curves, name, words, diagonal=True)


def precision_recall(curves: Sequence[Item], name: str) -> Markup:
    """Precision against recall.

    Args:
        curves: The model's ``curves.pr``.
        name: Unique in the page.

    Returns:
        The picture; nothing without curves.
    """
    words = ("Precision and recall", "recall", "precision", "average precision")
    return _rates(curves, name, words, diagonal=False)


def _rates(
    curves: Sequence[Item], name: str, words: tuple[str, str, str, str], *, diagonal: bool
) -> Markup:
    if not curves:
        return Markup("")
    title, x_title, y_title, area = words
    told = "; ".join(f"{c['label']}: {area} {numbers.number(c['area'])}" for c in curves)
    canvas, x, y = _square(name, title, told, x_title, y_title)
    if diagonal:
        canvas.line(x(0), y(0), x(1), y(1), "reference")
    elif len(curves) == 1:
        share = curves[0]["prevalence"]
        canvas.line(x(0), y(share), x(1), y(share), "reference")
    for i, curve in enumerate(curves):
        points = [(x(a), y(b)) for a, b in zip(curve["x"], curve["y"], strict=True)]
        canvas.path(
            points, f"curve s{i}", f"{curve['label']}: {area} {numbers.number(curve['area'])}"
        )
        at = y(0) - 12 - 16 * (len(curves) - 1 - i)
        text = f"{curve['label']}: {numbers.number(curve['area'])}"
        side, where = ("end", x(1) - 8) if diagonal else ("start", x(0) + 8)
        canvas.text(where, at, text, f"s{i}-label strong", side, 30)
    return canvas.render()


def actual_predicted(found: Item, name: str) -> Markup:
    """Some rows' actual values against the predicted ones.

    Args:
        found: The model's ``residuals``.
        name: Unique in the page.

    Returns:
        The picture.
    """
    dots = found["dots"]
    both_axes = [*dots["actual"], *dots["predicted"]]
    y = linear(both_axes, _TOP + _SIDE, _TOP)
    left = 16 + widest(label for _, label in y.labels())
    x = linear(both_axes, left, _LEFT + _SIDE, count=4)
    said = f"{numbers.plural(len(dots['actual']), 'row')} picked at random"
    canvas = Canvas(name, NARROW, _TOP + _SIDE + 42, "Actual against predicted", said, "square")
    canvas.left(y, left, "actual", x.end)
    canvas.bottom(x, _TOP + _SIDE, "predicted", _TOP)
    canvas.line(x(x.low), y(y.low), x(x.high), y(y.high), "reference")
    for actual, predicted in zip(dots["actual"], dots["predicted"], strict=True):
        canvas.dot(x(predicted), y(actual), 2.5, "mark c0 faint")
    return canvas.render()


def residuals(found: Item, name: str) -> Markup:
    """How errors spread over the range of predictions: median and quartiles of each tenth.

    Args:
        found: The model's ``residuals``.
        name: Unique in the page.

    Returns:
        The picture.
    """
    tenths = found["by_prediction"]
    y = linear(
        [v for t in tenths for v in (t["low"], t["high"], t["median"])] + [0.0], _TOP + _SIDE, _TOP
    )
    left = 16 + widest(label for _, label in y.labels())
    x = linear([t["predicted"] for t in tenths], left, _LEFT + _SIDE, count=4)
    told = "; ".join(
        f"at {numbers.number(t['predicted'])}: {numbers.number(t['median'])}" for t in tenths
    )
    canvas = Canvas(name, NARROW, _TOP + _SIDE + 42, "Errors by predicted value", told, "square")
    canvas.left(y, left, "actual minus predicted", x.end)
    canvas.bottom(x, _TOP + _SIDE, "predicted (tenths of the rows)", None)
    canvas.line(left, y(0.0), x.end, y(0.0), "reference")
    for t in tenths:
        at = x(t["predicted"])
        canvas.line(at, y(t["low"]), at, y(t["high"]), "whisker thick")
        tip = (
            f"predicted about {numbers.number(t['predicted'])}: median error "
            f"{numbers.number(t['median'])}, half of {t['n']:,} rows between "
            f"{numbers.number(t['low'])} and {numbers.number(t['high'])}"
        )
        canvas.dot(at, y(t["median"]), 4, "mark c0", tip)
    return canvas.render()


def importance(entries: Sequence[Item], metric: str, name: str, most: int = 20) -> Markup:
    """Permutation importance with intervals.

    Args:
        entries: The model's ``importance``, the largest first.
        metric: Whose loss rises.
        name: Unique in the page.
        most: Groups of columns at most.

    Returns:
        A wide and a narrow picture; nothing without entries.
    """
    if not entries:
        return Markup("")
    return both(lambda n, w, kind: _importance(entries[:most], metric, n, w, kind), name)


def _importance(entries: Sequence[Item], metric: str, name: str, width: float, kind: str) -> Markup:
    wide = width > 500
    labels = [" + ".join(e["columns"]) for e in entries]
    row, top = (28, 12) if wide else (42, 12)
    left = min(260.0, widest(labels, 36) + 14) if wide else 8.0
    bottom = top + row * len(entries) + 2
    values = [
        v for e in entries for k in ("mean", "low", "high") if (v := finite(e[k])) is not None
    ]
    scale = linear([0.0, *values], left, width - 12, count=6 if wide else 4)
    told = "; ".join(
        f"{label}: {numbers.with_interval({**e, 'estimate': e['mean']})}"
        for label, e in zip(labels, entries, strict=True)
    )
    title = f"Rise of the {numbers.words(metric)} loss when a column is shuffled"
    canvas = Canvas(name, width, bottom + 40, title, told, kind)
    canvas.bottom(
        scale, bottom, "rise of the loss when shuffled (0: the column is not used)", top - 6
    )
    canvas.line(scale(0.0), top - 6, scale(0.0), bottom, "axis")
    for i, (label, e) in enumerate(zip(labels, entries, strict=True)):
        y = top + row * i + (row / 2 if wide else 28)
        canvas.text(0, y + 4 if wide else y - 13, label, most=36)
        low, high = finite(e["low"]), finite(e["high"])
        shade = "is-baseline" if low is not None and low <= 0 else "is-sealed"
        if low is not None and high is not None:
            canvas.rect(scale(low), y - 3, scale(high) - scale(low), 6, f"bar {shade}")
        rank = f"rank {e['rank_low']} to {e['rank_high']} over {e['repeats']} shuffles"
        tip = f"{label}: {numbers.with_interval({**e, 'estimate': e['mean']})}, {rank}"
        canvas.dot(scale(e["mean"]), y, 5, f"dot {shade}", tip)
    return canvas.render()


def effects(found: Sequence[Item], target: str) -> list[Markup]:
    """How the average prediction moves with each of the most important columns.

    Args:
        found: The model's ``partial_dependence``.
        target: Name of the predicted column.

    Returns:
        Small pictures on one common vertical scale.
    """
    if not found:
        return []
    every = [
        v
        for entry in found
        for key in ("mean", "low", "high")
        for v in entry.get(key) or ()
        if finite(v) is not None
    ]
    y = linear(every, 118, 26, count=3)
    return [_effect(entry, y, target, f"effect-{i}") for i, entry in enumerate(found)]


def _effect(entry: Item, y: Scale, target: str, name: str) -> Markup:
    left = 12 + widest(label for _, label in y.labels())
    of = f"chance of {entry['of']}" if entry["of"] else f"predicted {target}"
    told = "; ".join(
        f"{numbers.setting(a)}: {numbers.number(m)}"
        for a, m in zip(entry["at"], entry["mean"], strict=True)
    )
    canvas = Canvas(name, SMALL, 160, f"Effect of {entry['column']}", told, "small")
    canvas.left(y, left, of[:34], SMALL - 6)
    canvas.line(left, 118, SMALL - 6, 118, "axis")
    canvas.text((left + SMALL) / 2, 152, entry["column"], "title", "middle", 30)
    if entry["kind"] == "numeric":
        x = linear(entry["at"], left + 4, SMALL - 12, count=3)
        for value, label in x.labels():
            canvas.text(x(value), 133, label, "tick", "middle")
        points = [(x(a), y(m)) for a, m in zip(entry["at"], entry["mean"], strict=True)]
    else:
        step = (SMALL - 12 - left) / len(entry["at"])
        points = [(left + (i + 0.5) * step, y(m)) for i, m in enumerate(entry["mean"])]
        every = max(1, len(points) // 4) if entry["kind"] == "datetime" else 1
        most = max(3, int(step * every / 6.2))
        for (at, _), label in list(zip(points, entry["at"], strict=True))[::every]:
            canvas.text(at, 133, str(label), "tick", "middle", most)
    ends = list(
        zip(entry.get("low") or entry["mean"], entry.get("high") or entry["mean"], strict=True)
    )
    if entry["kind"] == "category":
        for (at, _), (low, high) in zip(points, ends, strict=True):
            canvas.line(at, y(low), at, y(high), "whisker thick")
    else:
        upper = [(at, y(high)) for (at, _), (_, high) in zip(points, ends, strict=True)]
        lower = [(at, y(low)) for (at, _), (low, _) in zip(points, ends, strict=True)]
        canvas.path([*upper, *lower[::-1]], "band")
        canvas.path(points, "curve s0")
    for (at, height), a, m, (low, high) in zip(
        points, entry["at"], entry["mean"], ends, strict=True
    ):
        told = numbers.with_interval({"estimate": m, "low": low, "high": high})
        canvas.dot(at, height, 3, "mark c0", f"{entry['column']} {numbers.setting(a)}: {told}")
    return canvas.render()

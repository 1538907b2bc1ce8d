"""Two trials side by side: settings, paired tests on the same rows, and the rows that flip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.codec import decode, encode
from attain.core.errors import DataError, InputError
from attain.core.files import inside
from attain.core.types import Dataset, Direction, Objective, Outcome, Record, Status, Trial
from attain.report import numbers
from attain.report.book import plain

MOST_FLIPS = 12  # examples shown of each kind
MOST_CELLS = 12  # columns shown of an example
ANSWERS = {"better": "{a} is better", "worse": "{b} is better", "tie": "no difference can be told"}


@dataclass(frozen=True)
class Side:
    """One of two trials.

    Attributes:
        trial: As it was asked.
        outcomes: Of its fits, those that ended well, by fold.
        threshold: From which probability on it says positive, if that was chosen.
    """

    trial: Trial
    outcomes: Mapping[int, Outcome]
    threshold: float | None = None


def read_side(records: Sequence[Record]) -> Side:
    """A trial from its records.

    Args:
        records: The ``trial`` record, its ``outcome`` records and the ``scored`` record.

    Returns:
        What there is to compare.

    Raises:
        InputError: When the trial has no score.
    """
    trials = [decode(Trial, r.payload["trial"]) for r in records if r.kind == "trial"]
    scored = [r.payload for r in records if r.kind == "scored"]
    if not trials or not scored:
        raise InputError("only trials that have been scored can be compared")
    found = [decode(Outcome, r.payload["outcome"]) for r in records if r.kind == "outcome"]
    done = {o.fold: o for o in found if o.status is Status.DONE and o.predictions}
    chosen = scored[-1].get("threshold") or {}
    return Side(trials[0], done, numbers.finite(chosen.get("value")))


def compare(
    folder: Path, dataset: Dataset, objectives: Sequence[Objective], a: Side, b: Side
) -> dict[str, Any]:
    """What is different between two trials, and whether it matters.

    Args:
        folder: The study folder, whose unsealed rows are read.
        dataset: What is known of them.
        objectives: Their metrics of quality are tested.
        a: One trial.
        b: The other.

    Returns:
        ``settings`` (name, value of a, value of b, whether they differ), ``tests`` (metric in
        words, values, difference, interval, answer, method), ``flips`` (rows that one predicts
        well and the other badly), ``rows`` (compared) and ``note`` (why there are no tests).
    """
    result: dict[str, Any] = {
        "settings": _settings(a.trial, b.trial),
        "tests": [],
        "flips": [],
        "rows": 0,
        "note": "",
    }
    folds = sorted(a.outcomes.keys() & b.outcomes.keys())
    if a.trial.split != b.trial.split:
        result["note"] = "They were validated on different rows, so no paired test is possible."
    elif not folds:
        result["note"] = "They have no finished fit in common, so there is nothing to test."
    else:
        rows = _Paired.read(folder, dataset, a, b, folds)
        result["tests"] = [t for o in objectives if (t := _test(rows, o)) is not None]
        result |= {"flips": _flips(folder, rows), "rows": len(np.unique(rows.index))}
        if len(folds) < a.trial.split.jobs:
            fits = f"{len(folds)} of {a.trial.split.jobs} fits"
            result["note"] = f"Only the {fits} that both have finished are compared."
    return result


@dataclass(frozen=True)
class _Paired:
    """Predictions of both trials for the same rows, in the same order.

    Attributes:
        dataset: What is known of the rows.
        sides: The trials.
        y: Class codes or values, shape (n,).
        a: Predictions, (n, classes) or (n,).
        b: The same of the other trial.
        index: Row of each prediction among the unsealed rows, shape (n,).
        ends: Where each fold begins and ends.
        groups: Of each prediction, or None.
        repeats: How often each row appears.
    """

    dataset: Dataset
    sides: tuple[Side, Side]
    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    index: np.ndarray
    ends: np.ndarray
    groups: np.ndarray | None
    repeats: int

    @classmethod
    def read(cls, folder: Path, dataset: Dataset, a: Side, b: Side, folds: list[int]) -> _Paired:
        """Read the unsealed rows and both trials' saved predictions of some folds."""
        from attain.pipeline.jobs import all_folds, work_rows
        from attain.pipeline.scoring import load_predictions

        rows = work_rows(str(folder), dataset)
        every = all_folds(str(folder), encode(a.trial.split), dataset)
        valid = [every[fold].valid for fold in folds]
        saved = [
            [load_predictions(inside(folder, s.outcomes[f].predictions))["valid"] for f in folds]
            for s in (a, b)
        ]
        if any(len(p) != len(v) for side in saved for p, v in zip(side, valid, strict=True)):
            raise InputError("the saved predictions do not fit the rows — the study was altered")
        index = np.concatenate(valid)
        assert rows.y is not None
        whole = len(folds) == a.trial.split.jobs
        return cls(
            dataset=dataset,
            sides=(a, b),
            y=rows.y[index],
            a=np.concatenate(saved[0]).astype(np.float64),
            b=np.concatenate(saved[1]).astype(np.float64),
            index=index,
            ends=np.cumsum([0, *(len(v) for v in valid)]),
            groups=None if rows.groups is None else rows.groups[index],
            repeats=a.trial.split.repeats if whole else 1,
        )


def _settings(a: Trial, b: Trial) -> list[dict[str, Any]]:
    """Both configurations, what differs first."""
    left, right = {"learner": a.learner, **a.config}, {"learner": b.learner, **b.config}
    found = [
        {
            "name": plain(name),
            "a": plain(numbers.setting(left[name])) if name in left else "",
            "b": plain(numbers.setting(right[name])) if name in right else "",
            "differs": left.get(name) != right.get(name),
        }
        for name in dict.fromkeys([*left, *right])
    ]
    return sorted(found, key=lambda entry: not entry["differs"])


def _test(rows: _Paired, objective: Objective) -> dict[str, Any] | None:
    """A paired test of one metric; None for one that is measured, not computed from predictions."""
    from attain.objectives.metrics import lookup
    from attain.validate.compare import compare as paired
    from attain.validate.metrics import compute
    from attain.validate.threshold import for_metric

    metric = objective.metric
    if lookup(metric).needs == "measurement":
        return None
    sides = (rows.a, rows.b)
    seen = [for_metric(metric, p, s.threshold) for p, s in zip(sides, rows.sides, strict=True)]
    folds = [np.arange(start, end) for start, end in pairwise(rows.ends)]
    try:
        found = paired(
            metric,
            rows.y,
            *seen,
            folds=folds,
            groups=rows.groups,
            direction=Direction(objective.direction),
            repeats=rows.repeats,
        )
        values = [compute(metric, rows.y, p) for p in seen]
    except DataError as error:
        return {"metric": numbers.words(metric), "error": plain(str(error))}
    ends = {"estimate": found.difference, "low": found.low, "high": found.high}
    names = {"a": rows.sides[0].trial.id, "b": rows.sides[1].trial.id}
    return {
        "metric": numbers.words(metric),
        "values": [numbers.number(v, digits=4) for v in values],
        "difference": numbers.estimate(ends),
        "interval": numbers.interval(ends),
        "ends": [numbers.finite(v) for v in ends.values()],
        "answer": ANSWERS[found.answer].format(**names),
        "winner": {"better": "a", "worse": "b"}.get(found.answer, ""),
        "method": found.method,
    }


def _flips(folder: Path, rows: _Paired) -> list[dict[str, Any]]:
    """Rows that only one of the trials gets right, or predicts much better; each row once."""
    _, first = np.unique(rows.index, return_index=True)
    if rows.dataset.task.named:
        right = [
            _is_right(rows, p[first], rows.y[first], side.threshold)
            for p, side in zip((rows.a, rows.b), rows.sides, strict=True)
        ]
        sure = [p[first].max(axis=1) for p in (rows.a, rows.b)]
        kinds = [(right[0] & ~right[1], sure[1]), (right[1] & ~right[0], sure[0])]
        words = "{} is right, {} is wrong"
    else:
        errors = [np.abs(p[first] - rows.y[first]) for p in (rows.a, rows.b)]
        gain = errors[1] - errors[0]
        kinds = [(gain > 0, gain), (gain < 0, -gain)]
        words = "{} is nearer than {}"
    names = [side.trial.id for side in rows.sides]
    orders = (names, names[::-1])
    return [
        {
            "title": words.format(*order),
            "count": int(mask.sum()),
            "examples": _examples(folder, rows, first[_worst(mask, weight)]),
        }
        for order, (mask, weight) in zip(orders, kinds, strict=True)
    ]


def _is_right(
    rows: _Paired, prediction: np.ndarray, y: np.ndarray, threshold: float | None
) -> np.ndarray:
    """Whether each row is given its class, or exactly its labels."""
    if rows.dataset.task.several:
        from attain.validate.threshold import carried

        return np.asarray((carried(prediction) == y).all(axis=1))
    return np.asarray(_chosen(prediction, threshold) == y)


def _chosen(prediction: np.ndarray, threshold: float | None) -> np.ndarray:
    """The class that each row is given."""
    from attain.validate.threshold import decided

    said = prediction if threshold is None else decided(prediction, threshold)
    chosen: np.ndarray = said.argmax(axis=1)
    return chosen


def _worst(mask: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Positions of the rows that weigh most, the most telling first."""
    found = np.flatnonzero(mask)
    return found[np.argsort(-weight[found], kind="stable")[:MOST_FLIPS]]


def _examples(folder: Path, rows: _Paired, at: np.ndarray) -> list[dict[str, Any]]:
    from attain.data.seal import load_work, work_origin

    if not len(at):
        return []
    frame = load_work(folder)
    origin = work_origin(folder, len(frame))
    columns = [c.name for c in rows.dataset.columns if c.role == "feature"][:MOST_CELLS]
    columns = [name for name in columns if name in frame.columns]
    return [
        {
            "row": int(origin[rows.index[i]]),
            "truth": _said(rows.dataset, rows.y[i]),
            "a": _predicted(rows.dataset, rows.a[i]),
            "b": _predicted(rows.dataset, rows.b[i]),
            "cells": [
                [plain(str(name)), plain(_cell(frame[name].iloc[rows.index[i]]))]
                for name in columns
            ],
        }
        for i in at
    ]


def _cell(value: Any) -> str:
    known = numbers.finite(value.item() if hasattr(value, "item") else value)
    return numbers.setting(known) if known is not None else numbers.printable(str(value))[:200]


def _said(dataset: Dataset, value: Any) -> str:
    if dataset.task.several:
        own = [c for c, there in zip(dataset.classes, value, strict=True) if there]
        return str(plain(", ".join(own) or "no label"))
    if dataset.task.classifies:
        return str(plain(str(dataset.classes[int(value)])))
    return numbers.number(float(value), digits=4)


def _predicted(dataset: Dataset, prediction: Any) -> str:
    if dataset.task.several:
        from attain.validate.threshold import carried

        return _said(dataset, carried(prediction))
    if dataset.task.classifies:
        top = int(np.argmax(prediction))
        return f"{_said(dataset, top)} ({numbers.share(float(prediction[top]))})"
    return numbers.number(float(prediction), digits=4)

"""Where predictions go wrong: confusion, calibration, trade-off curves, residuals, worst rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from attain.core.types import Dataset
from attain.stats.interval import wilson

MOST_CLASSES = 20  # of a confusion matrix; rarer classes are counted together
MOST_CURVES = 5
MOST_POINTS = 100
MOST_DOTS = 300
CALIBRATION_BINS = 10
OTHER = "(all others)"
NO_LABEL = "(no label)"
LEAST = 0.5  # probability from which a label is predicted


def guesses(probability: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Predicted class codes.

    Args:
        probability: Shape (n, classes).
        threshold: Probability from which the second of two classes is predicted; None for the most
            probable class.

    Returns:
        Shape (n,).
    """
    if threshold is not None and probability.shape[1] == 2:
        return np.asarray(probability[:, 1] >= threshold, dtype=np.int64)
    found: np.ndarray = np.argmax(probability, axis=1)
    return found


def carried(probability: np.ndarray) -> np.ndarray:
    """Which labels rows are said to carry: those from probability 0.5 on; same shape, booleans."""
    return np.asarray(probability >= LEAST)


def chance_of_all(probability: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probability that a row has exactly its labels, each judged on its own.

    Args:
        probability: Shape (n, labels).
        y: 0 or 1, same shape.

    Returns:
        Shape (n,).
    """
    return np.asarray(np.where(y == 1, probability, 1 - probability).prod(axis=1))


def in_words(dataset: Dataset, value: Any) -> Any:
    """A target as people know it.

    Args:
        dataset: For the names of classes and labels.
        value: Class code, number, or which labels there are.

    Returns:
        The class, the number, or the labels in one text.
    """
    if dataset.task.several:
        own = [c for c, there in zip(dataset.classes, value, strict=True) if there]
        return ", ".join(own) or NO_LABEL
    return dataset.classes[int(value)] if dataset.task.classifies else float(value)


def confusion(
    dataset: Dataset, y: np.ndarray, probability: np.ndarray, threshold: float | None = None
) -> dict[str, Any]:
    """Counts of predicted against actual classes.

    Args:
        dataset: For the class labels.
        y: Class codes, shape (n,).
        probability: Shape (n, classes).
        threshold: As for `guesses`.

    Returns:
        ``labels``, ``counts`` (rows actual, columns predicted), ``merged`` (number of classes
        counted together in the last row and column, 0 for none).
    """
    k = len(dataset.classes)
    codes, predicted = y.astype(np.int64), guesses(probability, threshold)
    labels, merged = list(dataset.classes), 0
    if k > MOST_CLASSES:
        kept = np.sort(np.argsort(-np.bincount(codes, minlength=k), kind="stable")[:MOST_CLASSES])
        place = np.full(k, MOST_CLASSES)
        place[kept] = np.arange(MOST_CLASSES)
        codes, predicted = place[codes], place[predicted]
        labels, merged = [dataset.classes[i] for i in kept] + [OTHER], k - MOST_CLASSES
    size = len(labels)
    counts = np.bincount(codes * size + predicted, minlength=size * size).reshape(size, size)
    return {"labels": labels, "counts": counts.tolist(), "merged": merged}


def per_class(
    dataset: Dataset, y: np.ndarray, probability: np.ndarray, threshold: float | None = None
) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, with the interval of the recall.

    Args:
        dataset: For the class labels.
        y: Class codes, shape (n,), or labels, shape (n, labels).
        probability: Shape (n, classes).
        threshold: As for `guesses`.

    Returns:
        One mapping for each class or label: ``label``, ``n`` (actual rows), ``predicted`` (rows
        predicted so), ``precision``, ``recall``, ``f1`` (None where undefined), ``low`` and
        ``high`` of the recall (Wilson).
    """
    several = dataset.task.several
    guess = carried(probability) if several else guesses(probability, threshold)
    found = []
    for code, label in enumerate(dataset.classes):
        actual, said = (y[:, code] == 1, guess[:, code]) if several else (y == code, guess == code)
        hits, n, m = int(np.sum(actual & said)), int(np.sum(actual)), int(np.sum(said))
        recall = wilson(hits, n)
        found.append(
            {
                "label": label,
                "n": n,
                "predicted": m,
                "precision": hits / m if m else None,
                "recall": hits / n if n else None,
                "f1": 2 * hits / (n + m) if n + m else None,
                "low": recall.low if n else None,
                "high": recall.high if n else None,
            }
        )
    return found


def calibration(dataset: Dataset, y: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
    """Predicted against observed frequency, in bins of equal count with Wilson intervals.

    Args:
        dataset: For the class labels.
        y: Class codes, shape (n,).
        probability: Shape (n, classes).

    Returns:
        ``of`` (what the probability is of: the second class, or for several classes the predicted
        one), ``bins`` with ``predicted``, ``observed``, ``low``, ``high``, ``n``, and ``counts``
        (rows in each tenth of the probability scale).
    """
    if len(dataset.classes) == 2:
        chance, hit, of = probability[:, 1], y == 1, dataset.classes[1]
    else:
        chance = probability.max(axis=1)
        hit, of = np.argmax(probability, axis=1) == y, "the predicted class"
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, CALIBRATION_BINS + 1)))
    place = np.clip(np.searchsorted(edges, chance, side="right") - 1, 0, max(0, len(edges) - 2))
    bins = []
    for b in np.unique(place):
        inside = place == b
        n, hits = int(inside.sum()), int(hit[inside].sum())
        mean, (share, low, high) = float(chance[inside].mean()), wilson(hits, n)
        bins.append({"predicted": mean, "observed": share, "low": low, "high": high, "n": n})
    counts, _ = np.histogram(chance, bins=10, range=(0.0, 1.0))
    return {"of": of, "bins": bins, "counts": counts.tolist()}


def curves(dataset: Dataset, y: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
    """ROC and precision-recall curves, one class against the rest, thinned.

    Args:
        dataset: For the class labels.
        y: Class codes, shape (n,).
        probability: Shape (n, classes).

    Returns:
        ``roc`` and ``pr``: lists of ``label``, ``x``, ``y`` (at most 100 points each), ``area``
        and, for ``pr``, ``prevalence``. Two classes give one curve (of the second class); of more,
        the five most frequent are drawn.
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    counts = np.bincount(y.astype(np.int64), minlength=len(dataset.classes))
    codes = [1] if len(dataset.classes) == 2 else np.argsort(-counts, kind="stable")[:MOST_CURVES]
    roc, pr = [], []
    for code in map(int, codes):
        positive = y == code
        if positive.all() or not positive.any():
            continue
        label, chance = dataset.classes[code], probability[:, code]
        false, true, _ = roc_curve(positive, chance)
        precision, recall, _ = precision_recall_curve(positive, chance)
        precision, recall = precision[::-1], recall[::-1]  # from few to many predicted positives
        roc.append({"label": label, **_thin(false, true), "area": float(auc(false, true))})
        pr.append(
            {
                "label": label,
                **_thin(recall, precision),
                "area": float(average_precision_score(positive, chance)),
                "prevalence": float(positive.mean()),
            }
        )
    return {"roc": roc, "pr": pr}


def _thin(x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """At most 100 points, evenly spaced along the curve's length, ends kept."""
    if len(x) > MOST_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        wanted = np.linspace(0, length[-1], MOST_POINTS - 2)
        near = np.searchsorted(length, wanted).clip(0, len(x) - 1)
        keep = np.unique(np.concatenate([[0], near, [len(x) - 1]]))
        x, y = x[keep], y[keep]
    return {"x": np.round(x, 5).tolist(), "y": np.round(y, 5).tolist()}


def residuals(y: np.ndarray, prediction: np.ndarray, *, seed: int = 0) -> dict[str, Any]:
    """Actual minus predicted values, summarised.

    Args:
        y: Actual values, shape (n,).
        prediction: Predicted values, shape (n,).
        seed: Of choosing which dots to show.

    Returns:
        ``mean``, ``spread`` (standard deviation), ``quantiles`` (5, 25, 50, 75, 95 %),
        ``by_prediction`` (tenths of the predicted values: ``predicted``, ``median``, ``low`` and
        ``high`` quartile, ``n``) and ``dots`` (at most 300 pairs of ``actual`` and ``predicted``).
    """
    left = np.asarray(y, dtype=float) - prediction
    order = np.argsort(prediction, kind="stable")
    tenths = [part for part in np.array_split(order, min(10, len(order))) if len(part)]
    shown = np.random.default_rng(seed).permutation(len(left))[:MOST_DOTS]
    return {
        "mean": float(left.mean()),
        "spread": float(left.std()),
        "quantiles": np.quantile(left, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist(),
        "by_prediction": [_tenth(prediction[part], left[part]) for part in tenths],
        "dots": {"actual": y[shown].tolist(), "predicted": prediction[shown].tolist()},
    }


def _tenth(prediction: np.ndarray, left: np.ndarray) -> dict[str, Any]:
    low, median, high = np.quantile(left, [0.25, 0.5, 0.75]).tolist()
    mean = float(prediction.mean())
    return {"predicted": mean, "median": median, "low": low, "high": high, "n": len(left)}


def worst(
    dataset: Dataset,
    y: np.ndarray,
    prediction: np.ndarray,
    most: int,
    threshold: float | None = None,
) -> list[dict[str, Any]]:
    """The rows whose prediction was furthest from the truth, worst first.

    Args:
        dataset: For the class labels.
        y: Class codes or values, shape (n,).
        prediction: Probabilities (n, classes) or values (n,).
        most: Rows at most.
        threshold: As for `guesses`.

    Returns:
        Mappings with ``row`` (position among the rows given), ``actual``, ``predicted`` and
        ``badness`` (one minus the probability given to the actual class or to all actual labels
        together, or the absolute residual). Rows that were classified correctly are not mistakes
        and are left out.
    """
    if dataset.task.several:
        return _worst_labels(dataset, y, prediction, most)
    if not dataset.task.classifies:
        badness = np.abs(np.asarray(y, dtype=float) - prediction)
        order = np.argsort(-badness, kind="stable")[:most]
        return [
            {"row": int(i), "actual": float(y[i]), "predicted": float(prediction[i])}
            | {"badness": float(badness[i])}
            for i in order
        ]
    codes, guess = y.astype(np.int64), guesses(prediction, threshold)
    chance = prediction[np.arange(len(codes)), codes]
    doubted = np.argsort(chance, kind="stable")
    mistaken = doubted[guess[doubted] != codes[doubted]][:most]
    names = dataset.classes
    return [
        {"row": int(i), "actual": names[codes[i]], "predicted": names[guess[i]]}
        | {"badness": float(1 - chance[i])}
        for i in mistaken
    ]


def _worst_labels(
    dataset: Dataset, y: np.ndarray, prediction: np.ndarray, most: int
) -> list[dict[str, Any]]:
    chance, said = chance_of_all(prediction, y), carried(prediction)
    doubted = np.argsort(chance, kind="stable")
    mistaken = doubted[(said != y).any(axis=1)[doubted]][:most]
    return [
        {"row": int(i), "actual": in_words(dataset, y[i]), "predicted": in_words(dataset, said[i])}
        | {"badness": float(1 - chance[i])}
        for i in mistaken
    ]

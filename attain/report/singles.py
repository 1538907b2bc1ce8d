"""Single rows that a model is asked about: which ones, and what is told of each."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attain.core.types import Attribution, Dataset, Rows
from attain.report import mistakes
from attain.report.importance import Predict

Attribute = Callable[[Rows, np.ndarray | None], Sequence[Attribution]]
"""Rows and the codes of the classes that are asked about (None for values) to what they said."""

MOST_MISTAKES = 10
MOST_RIGHT = 10
RIGHT_OF_EACH = 2


@dataclass(eq=False)
class Question:
    """Which model is asked about which texts or files.

    Attributes:
        attribute: Says what words or places said to the model.
        predict: The model.
        rows: Rows that the model has not seen, with their target.
        names: Position of each in the user's data, shape (n,).
        prediction: Of each row, shape (n, classes) or (n,), by a model that has not seen it.
        dataset: Of these rows.
        threshold: As for `mistakes.guesses`.
        seed: Of choosing rows.
    """

    attribute: Attribute
    predict: Predict
    rows: Rows
    names: np.ndarray
    prediction: np.ndarray
    dataset: Dataset
    threshold: float | None = None
    seed: int = 0
    _sums: _Sums = field(default_factory=lambda: _Sums())

    @property
    def guesses(self) -> np.ndarray | None:
        """Predicted class codes, or None for values."""
        if not self.dataset.task.classifies:
            return None
        return mistakes.guesses(self.prediction, self.threshold)

    def ask(self, index: np.ndarray, classes: np.ndarray | None) -> Sequence[Attribution]:
        """What some rows said; how well it adds up is kept."""
        found = self.attribute(self.rows.take(index), classes)
        self._sums.add(found)
        return found

    @property
    def sums(self) -> dict[str, Any]:
        """How well all that was asked so far adds up."""
        return self._sums.told()


@dataclass(eq=False)
class _Sums:
    """How well attributions add up."""

    asked: int = 0
    complete: int = 0
    steps: int = 0
    residual: float = 0.0
    tolerance: float = 0.0

    def add(self, found: Iterable[Attribution]) -> None:
        for each in found:
            self.asked += 1
            self.complete += each.complete
            self.steps = max(self.steps, each.steps)
            if abs(each.residual) >= self.residual:
                self.residual, self.tolerance = abs(each.residual), each.tolerance

    def told(self) -> dict[str, Any]:
        names = ("asked", "complete", "steps", "residual", "tolerance")
        return {name: getattr(self, name) for name in names}


def asked_again(question: Question) -> list[int]:
    """Rows to look at closely, with predictions of the model that is asked.

    Args:
        question: Its predictions of these rows are replaced, since the model that made them may
            have had another seed.

    Returns:
        Positions among its rows: some that are right and the worst mistakes in turn.
    """
    found = chosen(question)
    question.prediction = question.prediction.copy()
    question.prediction[found] = question.predict(question.rows.take(np.array(found)))
    return found


def in_turn(
    question: Question, deadline: float, told: Callable[[int, Attribution], dict[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """What single rows say, mistakes and right ones in turn until time is up.

    Args:
        question: Which model is asked about which rows.
        deadline: Of `time.perf_counter`; one row is asked about in any case.
        told: From a row and what it said to what is shown, with its ``right``.

    Returns:
        What is shown, mistakes first, and how many rows were to be asked about.
    """
    wanted, guesses = asked_again(question), question.guesses
    found: list[dict[str, Any]] = []
    for row in wanted:
        if found and time.perf_counter() > deadline:
            break
        index = np.array([row])
        (said,) = question.ask(index, None if guesses is None else guesses[index])
        found.append(told(row, said))
    return sorted(found, key=lambda single: bool(single["right"])), len(wanted)


def chosen(question: Question) -> list[int]:
    """The worst mistakes, and some that are right, of each class, taken in turn.

    Args:
        question: The model and its rows.

    Returns:
        Positions among its rows.
    """
    assert question.rows.y is not None
    y, data, p = question.rows.y, question.dataset, question.prediction
    worst = mistakes.worst(data, y, p, MOST_MISTAKES, question.threshold)
    wrong = [int(entry["row"]) for entry in worst]
    order = np.random.default_rng(question.seed).permutation(len(y))
    guesses = question.guesses
    if guesses is None:
        near = np.abs(y - p)
        right = [int(i) for i in order if near[i] <= np.quantile(near, 0.25) and i not in wrong]
    else:
        right = list(_of_each(order, guesses, y))
    pairs = [right[:MOST_RIGHT], wrong]
    longest = max(map(len, pairs))
    return [part[i] for i in range(longest) for part in pairs if i < len(part)]


def _of_each(order: np.ndarray, guesses: np.ndarray, y: np.ndarray) -> Iterator[int]:
    """Rows that are right, a few of each class, the classes in turn."""
    right = order[guesses[order] == y[order]]
    before = ranks(y[right])
    for place in np.argsort(before, kind="stable"):
        if before[place] < RIGHT_OF_EACH:
            yield int(right[place])


def ranks(codes: np.ndarray) -> np.ndarray:
    """How many of the same code stand before each.

    Args:
        codes: Shape (n,).

    Returns:
        Shape (n,), int64.
    """
    seen: defaultdict[int, int] = defaultdict(int)
    found = np.empty(len(codes), dtype=np.int64)
    for i, code in enumerate(codes.tolist()):
        found[i] = seen[code]
        seen[code] += 1
    return found


def about(question: Question, row: int) -> dict[str, Any]:
    """What a row is and was taken for.

    Args:
        question: The model and its rows.
        row: Position among them.

    Returns:
        ``actual``, ``predicted`` and ``right``: whether the class is, or the value is among the
        nearest quarter.
    """
    assert question.rows.y is not None
    y, guesses, names = question.rows.y[row], question.guesses, question.dataset.classes
    if guesses is None:
        near = np.quantile(np.abs(question.rows.y - question.prediction), 0.25)
        actual, predicted = float(y), float(question.prediction[row])
        right = bool(abs(actual - predicted) <= near)
        return {"actual": actual, "predicted": predicted, "right": right}
    guess = int(guesses[row])
    return {"actual": names[int(y)], "predicted": names[guess], "right": guess == int(y)}


def summed(told: Attribution) -> dict[str, Any]:
    """How an attribution adds up.

    Args:
        told: Of one row.

    Returns:
        ``output``, ``baseline``, ``rest``, ``residual`` and ``steps``.
    """
    found: dict[str, Any] = {
        name: short(getattr(told, name)) for name in ("output", "baseline", "rest", "residual")
    }
    return {**found, "steps": told.steps}


def short(value: float) -> float:
    """Four digits; more say nothing and make the page long."""
    return float(f"{value:.4g}")

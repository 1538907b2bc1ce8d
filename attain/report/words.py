"""What words said: texts with the share of each word, and the words that speak for each class."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attain.core.errors import AttainError
from attain.core.types import Attribution, Dataset, ReadText, Rows
from attain.report import mistakes, numbers
from attain.report.importance import Predict

Attribute = Callable[[Rows, np.ndarray | None], Sequence[Attribution]]
"""Rows and the codes of the classes that are asked about (None for values) to what words said."""

MOST_MISTAKES = 10
MOST_RIGHT = 10
RIGHT_OF_EACH = 2
MOST_ROWS = 500  # behind the lists of words
MOST_WORDS = 10
MOST_CLASSES = 20
MOST_CHARACTERS = 1_200
NAMED = 3  # words beside each text
LEVELS = (0.1, 0.3, 0.55, 0.8)  # shares of the largest from which a word is shaded more
_FEWEST = 3  # texts that a listed word stands in, and
_SHARE = 0.01  # so many of the texts asked
_BATCH = 8
_LOCAL = 0.3  # of the time, for single texts


@dataclass(eq=False)
class Question:
    """Which model is asked about which texts.

    Attributes:
        attribute: Says what words said to the model.
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
        """What the words of some rows said; how well they add up is kept."""
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


def what_words_say(question: Question, seconds: float) -> tuple[dict[str, Any] | None, list[str]]:
    """Single texts word by word, and lists of words for each class.

    Args:
        question: The model and its rows, none of them sealed.
        seconds: Wall time to spend; when it is short, fewer texts are asked about.

    Returns:
        JSON values and sentences on what was left out. The values are ``texts`` (``row``,
        ``actual``, ``predicted``, ``right``, ``output``, ``baseline``, ``rest``, ``residual``,
        ``steps``, ``largest``, ``for`` and ``against`` (words and values), and of each column the
        ``pieces``: characters with their value, None for what said nothing), ``classes``
        (``label``, None for values, ``texts``, and ``for`` and ``against``: ``word``, ``mean``
        over the texts it is in, ``count`` of these), ``rows`` and ``fewest`` (texts behind the
        lists, and in how many of them a listed word is), and ``sums``: how well all of it adds
        up. None instead when words cannot be told.
    """
    began = time.perf_counter()
    try:
        texts, wanted = _texts(question, began + _LOCAL * seconds)
        rows, lists, fewest = _lists(question, began + seconds)
    except AttainError as error:
        return None, [f"What the words say could not be found out: {error}"]
    if not texts:
        return None, []
    late = wanted - len(texts)
    notes = [f"Time was up before {numbers.plural(late, 'text')} could be read."] if late else []
    told = {"texts": texts, "classes": lists, "rows": rows, "fewest": fewest}
    return {**told, "sums": question.sums}, notes


def _texts(question: Question, deadline: float) -> tuple[list[dict[str, Any]], int]:
    """Mistakes and right ones in turn, until time is up; mistakes first in what comes back."""
    chosen = _chosen(question)
    question.prediction = question.prediction.copy()  # the seed may be another one
    question.prediction[chosen] = question.predict(question.rows.take(np.array(chosen)))
    guesses = question.guesses
    found: list[dict[str, Any]] = []
    for row in chosen:
        if found and time.perf_counter() > deadline:
            break
        index = np.array([row])
        (told,) = question.ask(index, None if guesses is None else guesses[index])
        found.append(_told(question, row, told))
    return sorted(found, key=lambda text: bool(text["right"])), len(chosen)


def _chosen(question: Question) -> list[int]:
    """The worst mistakes, and some that are right, of each class, taken in turn."""
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
    ranks = _ranks(y[right])
    for place in np.argsort(ranks, kind="stable"):
        if ranks[place] < RIGHT_OF_EACH:
            yield int(right[place])


def _ranks(codes: np.ndarray) -> np.ndarray:
    """How many of the same code stand before each."""
    seen: defaultdict[int, int] = defaultdict(int)
    found = np.empty(len(codes), dtype=np.int64)
    for i, code in enumerate(codes.tolist()):
        found[i] = seen[code]
        seen[code] += 1
    return found


def _told(question: Question, row: int, told: Attribution) -> dict[str, Any]:
    """One text, for people."""
    assert question.rows.y is not None
    y, guesses, names = question.rows.y[row], question.guesses, question.dataset.classes
    if guesses is None:
        near = np.quantile(np.abs(question.rows.y - question.prediction), 0.25)
        actual, predicted = float(y), float(question.prediction[row])
        right = bool(abs(actual - predicted) <= near)
        about: dict[str, Any] = {"actual": actual, "predicted": predicted, "right": right}
    else:
        guess = int(guesses[row])
        about = {"actual": names[int(y)], "predicted": names[guess], "right": guess == int(y)}
    by_word = _by_word(told)
    strongest = sorted(by_word.items(), key=lambda item: -abs(item[1]))
    sides = {
        side: [{"word": w, "value": _short(v)} for w, v in strongest if v * sign > 0][:NAMED]
        for side, sign in (("for", 1), ("against", -1))
    }
    values = [abs(word.value) for text in told.texts for word in text.words]
    return {
        "row": int(question.names[row]),
        **about,
        "output": _short(told.output),
        "baseline": _short(told.baseline),
        "rest": _short(told.rest),
        "residual": _short(told.residual),
        "steps": told.steps,
        "largest": _short(max(values, default=0.0)),
        **sides,
        "columns": [_pieces(text) for text in told.texts],
    }


def _pieces(read: ReadText) -> dict[str, Any]:
    """A text in pieces, each with its value; long ones end early."""
    found: list[list[Any]] = []
    at, end = 0, min(len(read.text), MOST_CHARACTERS)
    for word in read.words:
        if word.end > end:
            break
        if word.start > at:
            found.append([read.text[at : word.start], None])
        found.append([read.text[word.start : word.end], _short(word.value)])
        at = word.end
    if at < end:
        found.append([read.text[at:end], None])
    return {"column": read.column, "pieces": found, "left": len(read.text) - end}


def _by_word(told: Attribution) -> dict[str, float]:
    """What each word said in all its places together, in small letters."""
    found: defaultdict[str, float] = defaultdict(float)
    for read in told.texts:
        for word in read.words:
            found[read.text[word.start : word.end].lower()] += word.value
    return found


Values = defaultdict[str, list[float]]
"""For each word its value in each text that has it."""


def _lists(question: Question, deadline: float) -> tuple[int, list[dict[str, Any]], int]:
    """Words for and against each class: texts asked, lists, and the fewest texts of a word.

    With two classes all texts are asked about the second one, and what speaks against it speaks
    for the first; of more, each text is asked about the class that it was given.
    """
    guesses, names = question.guesses, question.dataset.classes
    about = guesses if guesses is not None and len(names) > 2 else None
    two = np.ones(len(question.rows), dtype=np.int64) if len(names) == 2 else None
    classes = two if about is None else about
    values: defaultdict[int, Values] = defaultdict(lambda: defaultdict(list))
    counts: defaultdict[int, int] = defaultdict(int)
    asked = 0
    for index in _balanced(question, guesses):
        if asked and time.perf_counter() > deadline:
            break
        codes = None if classes is None else classes[index]
        for i, told in zip(index.tolist(), question.ask(index, codes), strict=True):
            code = 0 if about is None else int(about[i])
            counts[code] += 1
            for word, value in _by_word(told).items():
                values[code][word].append(value)
        asked += len(index)
    fewest = max(_FEWEST, int(np.ceil(_SHARE * asked)))
    lists = {code: _ranked(values[code], fewest) for code in counts}
    if about is not None:
        often = sorted(counts, key=lambda code: -counts[code])[:MOST_CLASSES]
        told_all = [{"label": names[c], "texts": counts[c], **lists[c]} for c in sorted(often)]
    elif two is None:
        told_all = [{"label": None, "texts": asked, **lists[0]}] if asked else []
    else:
        told_all = _mirrored(names, asked, lists[0]) if asked else []
    return asked, told_all, fewest


def _balanced(question: Question, guesses: np.ndarray | None) -> Iterator[np.ndarray]:
    """Some rows in random order, as many of each predicted class as there are, in batches."""
    order = np.random.default_rng([question.seed, 1]).permutation(len(question.rows))
    if guesses is not None:
        order = order[np.argsort(_ranks(guesses[order]), kind="stable")]
    order = order[:MOST_ROWS]
    yield from np.split(order, range(_BATCH, len(order), _BATCH))


def _ranked(values: Mapping[str, list[float]], fewest: int) -> dict[str, Any]:
    """The words that say most on average, among those in enough texts."""
    means = {w: (float(np.mean(v)), len(v)) for w, v in values.items() if len(v) >= fewest}
    found: dict[str, Any] = {}
    for side, sign in (("for", 1), ("against", -1)):
        ordered = sorted(means.items(), key=lambda item: (-sign * item[1][0], item[0]))
        found[side] = [
            {"word": word, "mean": _short(mean), "count": count}
            for word, (mean, count) in ordered
            if sign * mean > 0
        ][:MOST_WORDS]
    return found


def _mirrored(names: Sequence[str], texts: int, second: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was found out about the second of two classes, told of both."""
    turned = {
        side: [{**word, "mean": -word["mean"]} for word in second[other]]
        for side, other in (("for", "against"), ("against", "for"))
    }
    return [
        {"label": names[0], "texts": texts, **turned},
        {"label": names[1], "texts": texts, **second},
    ]


def level(value: float | None, largest: float) -> str:
    """How a word is shaded: ``for1`` to ``for4``, ``against1`` to ``against4``, or not at all.

    Args:
        value: What it said, or None.
        largest: Absolute value of the word that said most in the same text.

    Returns:
        The name of a class, or nothing.
    """
    if value is None or largest <= 0:
        return ""
    depth = sum(abs(value) >= share * largest for share in LEVELS)
    return f"{'for' if value > 0 else 'against'}{depth}" if depth else ""


def signed(value: float) -> str:
    """A number with its sign, such as ``+1.2``."""
    return ("+" if value > 0 else "") + numbers.number(value, digits=2)


def sums_sentence(found: Mapping[str, Any]) -> str:
    """How well the words add up, in one sentence.

    Args:
        found: The evidence's ``model.words.sums``.

    Returns:
        For people, with the largest residual.
    """
    largest = numbers.number(found["residual"], digits=2)
    if not found["steps"]:
        return (
            "Exact: the weight of each counted word and piece times its value, which add up to the "
            f"prediction but for rounding (largest residual {largest})."
        )
    return (
        "Integrated gradients against a masked text: they add up to what the words changed, within "
        f"5 % of it or of one unit of the model's score, for {found['complete']:,} of "
        f"{numbers.plural(found['asked'], 'text')}, with up to {found['steps']} steps; the largest "
        f"residual is {largest} where {numbers.number(found['tolerance'], digits=2)} is allowed."
    )


def _short(value: float) -> float:
    """Four digits; more say nothing and make the page long."""
    return float(f"{value:.4g}")

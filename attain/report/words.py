"""What words said: texts with the share of each word, and the words that speak for each class."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from attain.core.errors import AttainError
from attain.core.types import Attribution, ReadText
from attain.report import numbers
from attain.report.singles import Question, about, in_turn, ranks, short, summed

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
        texts, wanted = in_turn(question, began + _LOCAL * seconds, partial(_told, question))
        rows, lists, fewest = _lists(question, began + seconds)
    except AttainError as error:
        return None, [f"What the words say could not be found out: {error}"]
    if not texts:
        return None, []
    late = wanted - len(texts)
    notes = [f"Time was up before {numbers.plural(late, 'text')} could be read."] if late else []
    told = {"texts": texts, "classes": lists, "rows": rows, "fewest": fewest}
    return {**told, "sums": question.sums}, notes


def _told(question: Question, row: int, told: Attribution) -> dict[str, Any]:
    """One text, for people."""
    by_word = _by_word(told)
    strongest = sorted(by_word.items(), key=lambda item: -abs(item[1]))
    sides = {
        side: [{"word": w, "value": short(v)} for w, v in strongest if v * sign > 0][:NAMED]
        for side, sign in (("for", 1), ("against", -1))
    }
    values = [abs(word.value) for text in told.texts for word in text.words]
    return {
        "row": int(question.names[row]),
        **about(question, row),
        **summed(told),
        "largest": short(max(values, default=0.0)),
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
        found.append([read.text[word.start : word.end], short(word.value)])
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
    given = guesses if guesses is not None and len(names) > 2 else None
    two = np.ones(len(question.rows), dtype=np.int64) if len(names) == 2 else None
    classes = two if given is None else given
    values: defaultdict[int, Values] = defaultdict(lambda: defaultdict(list))
    counts: defaultdict[int, int] = defaultdict(int)
    asked = 0
    for index in _balanced(question, guesses):
        if asked and time.perf_counter() > deadline:
            break
        codes = None if classes is None else classes[index]
        for i, told in zip(index.tolist(), question.ask(index, codes), strict=True):
            code = 0 if given is None else int(given[i])
            counts[code] += 1
            for word, value in _by_word(told).items():
                values[code][word].append(value)
        asked += len(index)
    fewest = max(_FEWEST, int(np.ceil(_SHARE * asked)))
    lists = {code: _ranked(values[code], fewest) for code in counts}
    if given is not None:
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
        order = order[np.argsort(ranks(guesses[order]), kind="stable")]
    order = order[:MOST_ROWS]
    yield from np.split(order, range(_BATCH, len(order), _BATCH))


def _ranked(values: Mapping[str, list[float]], fewest: int) -> dict[str, Any]:
    """The words that say most on average, among those in enough texts."""
    means = {w: (float(np.mean(v)), len(v)) for w, v in values.items() if len(v) >= fewest}
    found: dict[str, Any] = {}
    for side, sign in (("for", 1), ("against", -1)):
        ordered = sorted(means.items(), key=lambda item: (-sign * item[1][0], item[0]))
        found[side] = [
            {"word": word, "mean": short(mean), "count": count}
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

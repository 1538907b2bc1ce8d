"""What each word of a text said to a model: exact for counted words, integrated for encoders."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from attain.core.types import Attribution, ReadText, Rows, WordShare
from attain.learners._pretrained.model import contrasts
from attain.learners._text.model import Constant, TextModel, Words
from attain.learners._text.parts import Parts, Spans
from attain.learners._text.words import Terms, stack

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"  # written without blanks: one by one
    r"|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+(?:['\u2019]\w+)*"
    r"|[^\w\s]"
)
_EXACT = 1e-9
"""Of the sum of a linear model, relative to its terms: nothing but rounding of float64."""


def attribute(model: TextModel, rows: Rows, classes: np.ndarray | None) -> tuple[Attribution, ...]:
    """What the words of rows said for a class or a value.

    Args:
        model: A fitted model.
        rows: As learners see them.
        classes: For each row the code of the class that is asked about, shape (n,); None for
            values.

    Returns:
        One answer a row; what a model that answers always the same says has no words.

    Raises:
        DataError: When a column is missing, or a class was not among those it was trained on.
        NotApplicable: When the encoder's tokenizer does not say where its tokens stand.
    """
    texts = model.columns.read(rows.X)
    weighing = contrasts(model.outputs, len(rows), classes)
    rows_of_texts = list(zip(*texts, strict=True))
    if isinstance(model.core, Words):
        parts = _linear(model.core, rows_of_texts, weighing)
    elif isinstance(model.core, Constant):
        parts = [Parts((), float(v), float(v), 0.0) for v in weighing @ model.core.values]
    else:
        from attain.learners._text.gradients import integrate

        scale = 1.0 if model.outputs.seen else model.outputs.scale
        parts = integrate(model.core, rows_of_texts, weighing, scale)  # type: ignore[arg-type]
    shift = 0.0 if model.outputs.seen else model.outputs.center
    return tuple(
        _worded(model.columns.names, row, part, shift)
        for row, part in zip(rows_of_texts, parts, strict=True)
    )


def _linear(core: Words, rows: Sequence[tuple[str, ...]], contrasts: np.ndarray) -> list[Parts]:
    """Weight times value of each term, shared among its occurrences."""
    matrix = stack(core.blocks, [list(column) for column in zip(*rows, strict=True)])
    outputs = np.einsum("nk,nk->n", core.linear.scores(matrix), contrasts)
    baselines = contrasts @ core.linear.intercept.astype(np.float64)
    slope = core.linear.slope.astype(np.float64)
    found = []
    for i, texts in enumerate(rows):
        row = matrix[i]
        values = row.data * (slope[row.indices] @ contrasts[i])
        told = dict(zip(row.indices.tolist(), values.tolist(), strict=True))
        tolerance = _EXACT * (1 + float(np.abs(values).sum()))
        spans = _occurrences(core.blocks, texts, told)
        found.append(Parts(spans, float(outputs[i]), float(baselines[i]), tolerance))
    return found


def _occurrences(blocks: Sequence[Terms], texts: Sequence[str], told: dict[int, float]) -> Spans:
    """Each occurrence of a term with its share of what the term contributes."""
    starts = accumulate((len(block.terms) for block in blocks), initial=0)
    spans = []
    for block, first in zip(blocks, starts, strict=False):
        text = texts[block.place]
        origin = _origins(text)
        places = block.located(text)
        often = Counter(column for column, _, _ in places)
        for column, a, b in places:
            value = told[first + column] / often[column]
            spans.append((block.place, origin[a], origin[b - 1] + 1, value))
    return spans


def _origins(text: str) -> Sequence[int]:
    """For each character of ``text.lower()`` the position in `text` that it comes from."""
    if len(text.lower()) == len(text):
        return range(len(text))
    return [i for i, character in enumerate(text) for _ in character.lower()]


def _worded(names: Sequence[str], texts: Sequence[str], parts: Parts, shift: float) -> Attribution:
    """Parts as words: each is spread evenly over the words that it touches."""
    words = [[match.span() for match in _WORD.finditer(text)] for text in texts]
    values: list[dict[int, float]] = [{} for _ in texts]
    rest = 0.0
    for place, start, end, value in parts.spans:
        touched = _touched(words[place], start, end)
        rest += 0.0 if touched else value
        for word in touched:
            values[place][word] = values[place].get(word, 0.0) + value / len(touched)
    read = tuple(
        ReadText(name, text, tuple(WordShare(*spans[i], told[i]) for i in sorted(told)))
        for name, text, spans, told in zip(names, texts, words, values, strict=True)
    )
    output, baseline = parts.output + shift, parts.baseline + shift
    return Attribution(read, output, baseline, rest, parts.tolerance, parts.steps)


def _touched(words: Sequence[tuple[int, int]], start: int, end: int) -> range:
    """Positions of the words that have characters in [start, end)."""
    if end <= start:
        return range(0)
    first = bisect_right(words, start, key=lambda word: word[1])
    return range(first, max(first, bisect_left(words, end, key=lambda word: word[0])))

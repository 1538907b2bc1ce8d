"""Studies of labels of words: what a finalist says of held-out sentences, for the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from attain.core.protocols import Saying
from attain.core.spans import Scheme, scheme_of, spans
from attain.core.types import Dataset, Rows, Task

SHOWN = 6  # sentences of each fold that reports may show, those with the most mistakes first
RIGHT = 2  # of them, how many have none
LONGEST = 60  # words of a sentence that is shown
PAIRS = 40  # kinds of mistakes that are kept


def told(
    learner: Any, model: Any, rows: Rows, dataset: Dataset, index: np.ndarray
) -> dict[str, Any]:
    """What a model's labels of held-out sentences are worth, type by type.

    Args:
        learner: The model's family.
        model: Fitted on other rows.
        rows: Held-out rows, with their labels.
        dataset: What is known of them.
        index: Their positions among the unsealed rows.

    Returns:
        ``tags``: see `summary`; empty for other tasks.
    """
    if dataset.task is not Task.TAGGING or not isinstance(learner, Saying):
        return {}
    (words,) = (c.name for c in dataset.features)
    said = [json.loads(text) for text in learner.say(model, rows)]
    read = [json.loads(text) if isinstance(text, str) else [] for text in rows.X[words]]
    true = [json.loads(text) for text in rows.X[dataset.target]]
    return {"tags": summary(read, true, said, dataset.tags, index)}


def summary(
    words: Sequence[Sequence[str]],
    true: Sequence[Sequence[str]],
    said: Sequence[Sequence[str]],
    tags: Sequence[str],
    index: np.ndarray,
) -> dict[str, Any]:
    """True and predicted labels of sentences, counted.

    Args:
        words: Of each sentence.
        true: Labels of each sentence.
        said: Predicted labels.
        tags: All labels.
        index: A number for each sentence.

    Returns:
        ``types`` (type to spans found right, predicted, true), ``pairs`` (true label, predicted
        label, words: the most frequent mistakes), ``sentences`` (``row``, ``words``, ``true``,
        ``said``; the worst first, then some that are right).
    """
    scheme = scheme_of(tags)
    types: dict[str, list[int]] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    wrong = np.zeros(len(words), dtype=np.int64)
    for row, (own, other) in enumerate(zip(true, said, strict=True)):
        _count(types, own, other, scheme)
        mistakes = [(a, b) for a, b in zip(own, other, strict=True) if a != b]
        pairs.update(mistakes)
        wrong[row] = len(mistakes)
    order = np.argsort(-wrong, kind="stable")
    right = [i for i in order if not wrong[i] and len(set(true[i])) > 1][:RIGHT]
    shown = [i for i in order if wrong[i]][: SHOWN - len(right)] + right
    return {
        "types": {kind: types[kind] for kind in sorted(types)},
        "pairs": [[a, b, n] for (a, b), n in sorted(pairs.items(), key=_often)[:PAIRS]],
        "sentences": [
            {
                "row": int(index[i]),
                "words": list(words[i][:LONGEST]),
                "true": list(true[i][:LONGEST]),
                "said": list(said[i][:LONGEST]),
                "longer": len(words[i]) > LONGEST,
            }
            for i in shown
        ],
    }


def _count(
    types: dict[str, list[int]], true: Sequence[str], said: Sequence[str], scheme: Scheme
) -> None:
    own, other = spans(true, scheme), spans(said, scheme)
    for place, found in enumerate((set(own) & set(other), other, own)):
        for kind, _, _ in found:
            types.setdefault(kind, [0, 0, 0])[place] += 1


def _often(item: tuple[tuple[str, str], int]) -> tuple[int, tuple[str, str]]:
    return -item[1], item[0]

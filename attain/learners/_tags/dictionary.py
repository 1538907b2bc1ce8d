"""Fitting a dictionary of words: the baseline of labels of words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from attain.core.protocols import FitData
from attain.learners._pretrained.outputs import Outputs
from attain.learners._tags.frequent import Frequent
from attain.learners._tags.inputs import UNKNOWN, check_training, find_columns, labelled
from attain.learners._tags.model import TagModel, spare_code


def fit_frequent(learner: str, data: FitData, facts: dict[str, Any] | None = None) -> TagModel:
    """Count the labels of each word.

    Args:
        learner: Name of the learner.
        data: Training rows.
        facts: More to say of the model.

    Returns:
        A model that answers with each word's most frequent label.

    Raises:
        NotApplicable: When words have no labels.
        DataError: When there is nothing to learn from.
    """
    columns = find_columns(data.dataset)
    found = labelled(data.train, columns)
    check_training(found)
    flat = [word for words in found.sentences for word in words]
    known = [(w, c) for w, c in zip(flat, found.codes.tolist(), strict=True) if c != UNKNOWN]
    seen = tuple(sorted({code for _, code in known}))
    words = tuple(sorted({word for word, _ in known}))
    place, output = {w: i for i, w in enumerate(words)}, {c: i for i, c in enumerate(seen)}
    often = np.zeros((len(words), len(seen)), dtype=np.int64)
    for (word, code), count in Counter(known).items():
        often[place[word], output[code]] = count
    core = Frequent(words, often, often.sum(axis=0) / often.sum())
    spare = spare_code(columns.tags, found.codes)
    told = {"words": len(words), **(facts or {})}
    return TagModel(
        learner, "frequent", core, columns, Outputs(len(columns.tags), seen), spare, told
    )

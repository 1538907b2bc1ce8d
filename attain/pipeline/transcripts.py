"""Studies of speech: transcripts to look at beside what was said."""

from __future__ import annotations

from typing import Any

import numpy as np

from attain.core.counts import TRANSCRIPTION
from attain.core.media import parse
from attain.core.protocols import Saying
from attain.core.types import ColumnKind, Dataset, Rows

SHOWN = 4  # clips of each trial that are always the same, so that trials can be held side by side
WORST = 6  # clips with the most wrong words
_LONGEST = 1_500  # characters of a transcript that the ledger keeps


def transcribed(
    learner: Any, model: Any, rows: Rows, dataset: Dataset
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Predictions, and a few transcripts: of clips that are always the same, and of the worst.

    Args:
        learner: The model's family.
        model: Fitted.
        rows: Of the validation fold.
        dataset: Says where clips and transcripts are.

    Returns:
        Counts and sums; and for each of these clips ``row``, ``prompt`` (its name), ``reference``,
        ``answer``, ``ended``, ``edits`` (wrong words) and ``words``.
    """
    found = learner.predict(model, rows)
    if not isinstance(learner, Saying) or not len(rows):
        return found, []
    edits = found[:, TRANSCRIPTION.place("word_edits")]
    words = found[:, TRANSCRIPTION.place("words")]
    always = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)
    index = np.unique([*always, *np.argsort(-edits, kind="stable")[:WORST]])
    said = learner.say(model, rows.take(index))
    return found, [
        {
            "row": int(row),
            "prompt": _name(rows, dataset, int(row)),
            "reference": _short(rows.X[dataset.target].iloc[int(row)]),
            "answer": _short(text) or "",
            "ended": True,
            "edits": int(edits[row]),
            "words": int(words[row]),
        }
        for row, text in zip(index, said, strict=True)
    ]


def _name(rows: Rows, dataset: Dataset, row: int) -> str:
    column = next(c.name for c in dataset.features if c.kind is ColumnKind.AUDIO)
    reference = parse(rows.X[column].iloc[row])
    return "no clip" if reference is None else reference.name


def _short(text: object) -> str | None:
    return text[:_LONGEST] if isinstance(text, str) else None

"""Predictions that are counts and sums: what is kept of each row, and what metrics make of it.

Where a row holds many things to be right about (tokens of an answer, labels of words, words that
were spoken), a prediction is a row of counts and sums. Each metric is a ratio of two sums over
rows: never a mean of means of rows or batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from attain.core import language
from attain.core.data_types import Task

if TYPE_CHECKING:
    import numpy as np

Scale = Literal["identity", "log", "logit"]


@dataclass(frozen=True)
class Ratio:
    """A metric: sums of columns over sums of columns.

    Attributes:
        above: Columns that are added; one that is named twice counts twice.
        below: Likewise.
        counts: What is counted below, for messages.
        of_rows: Whether a row adds at most 1 below, so that the ratio may be a share of rows.
        exponential: Whether the metric is the exponential of the ratio.
        scale: On which its interval is symmetric; ``logit`` lies between 0 and 1.
    """

    above: tuple[str, ...]
    below: tuple[str, ...]
    counts: str = "rows that count for it"
    of_rows: bool = False
    exponential: bool = False
    scale: Scale = "logit"

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest possible value of the metric."""
        if self.scale == "logit":
            return 0.0, 1.0
        return (1.0 if self.exponential else 0.0), math.inf


@dataclass(frozen=True)
class Table:
    """What is kept of a row.

    Attributes:
        columns: In their order; a prediction has the shape (n, len(columns)).
        ratios: By metric; the first is always defined.
    """

    columns: tuple[str, ...]
    ratios: Mapping[str, Ratio]

    def place(self, column: str) -> int:
        """Position of a column."""
        return self.columns.index(column)

    def sums(self, metric: str, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each row adds above and below.

        Args:
            metric: One of `ratios`.
            p: Predictions, shape (n, len(columns)).

        Returns:
            Two arrays of shape (n,).
        """
        ratio = self.ratios[metric]
        above = p[:, [self.place(name) for name in ratio.above]].sum(axis=1)
        return above, p[:, [self.place(name) for name in ratio.below]].sum(axis=1)


_SCALES: Mapping[str, Scale] = MappingProxyType({"token_loss": "identity", "perplexity": "log"})


def _of_language(metric: str, above: str, below: str) -> Ratio:
    smooth = below == "tokens"
    scale = _SCALES.get(metric, "logit")
    counted = {"counts": "answers that were generated"} if metric in language.WRITTEN else {}
    return Ratio(
        (above,), (below,), of_rows=not smooth, exponential=metric == "perplexity", scale=scale,
        **counted,
    )  # fmt: skip


LANGUAGE = Table(
    language.COLUMNS,
    MappingProxyType({m: _of_language(m, *pair) for m, pair in language.RATIOS.items()}),
)
"""Of models that write: see `core.language`."""

TAGGING = Table(
    (
        "loss",  # sum over words of the negative log probability of the true label, in nats
        "words",  # words with a label
        "right",  # of these, how many got it
        "hits",  # predicted spans that are true: same type, same first and last word
        "found",  # predicted spans
        "spans",  # true spans
    ),
    MappingProxyType(
        {
            "word_loss": Ratio(("loss",), ("words",), "words", scale="identity"),
            "word_accuracy": Ratio(("right",), ("words",), "words"),
            "span_f1": Ratio(("hits", "hits"), ("found", "spans"), "spans"),
            "span_precision": Ratio(("hits",), ("found",), "predicted spans"),
            "span_recall": Ratio(("hits",), ("spans",), "true spans"),
        }
    ),
)
"""Of labels of words (`core.spans` says what a span is)."""

TRANSCRIPTION = Table(
    (
        "loss",  # negative log probability of the transcript, in nats, where its clip has room
        "fitted",  # tokens of the transcripts that the loss is over
        "characters",  # of the transcript
        "character_edits",  # fewest characters to insert, delete or replace to get it
        "words",  # of the transcript
        "word_edits",  # fewest words to insert, delete or replace to get it
        "clips",  # 1 for each row with a transcript
        "whole",  # 1 if nothing has to be changed
    ),
    MappingProxyType(
        {
            "word_error_rate": Ratio(("word_edits",), ("words",), "words", scale="log"),
            "character_error_rate": Ratio(
                ("character_edits",), ("characters",), "characters", scale="log"
            ),
            "transcript_match": Ratio(("whole",), ("clips",), "transcripts", of_rows=True),
            "character_loss": Ratio(
                ("loss",), ("fitted",), "transcripts that their clips have room for",
                scale="identity",
            ),
        }
    ),
)  # fmt: skip
"""Of what is heard, beside what was said."""

TABLES: Mapping[Task, Table] = MappingProxyType(
    {
        Task.GENERATION: LANGUAGE,
        Task.PREFERENCE: LANGUAGE,
        Task.TAGGING: TAGGING,
        Task.TRANSCRIPTION: TRANSCRIPTION,
    }
)
"""Tasks whose predictions are counts and sums."""

MEANT: Mapping[Task, str] = MappingProxyType(
    {
        **dict.fromkeys((Task.GENERATION, Task.PREFERENCE), "texts are to be written"),
        Task.TAGGING: "each word has a label",
        Task.TRANSCRIPTION: "speech is to be written down",
    }
)
"""What such a task is about, as the end of a sentence."""

OF_METRIC: Mapping[str, Table] = MappingProxyType(
    {metric: table for table in (LANGUAGE, TAGGING, TRANSCRIPTION) for metric in table.ratios}
)
"""The table that a metric is computed from; no two tables share a metric."""


def columns(task: Task) -> tuple[str, ...]:
    """Columns of a prediction.

    Args:
        task: What is predicted.

    Returns:
        Empty for tasks whose predictions are probabilities or values.
    """
    table = TABLES.get(task)
    return () if table is None else table.columns

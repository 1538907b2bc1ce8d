"""Clips whose target is what is said in them: when that is the task."""

from __future__ import annotations

from collections.abc import Mapping

from attain.core.errors import DataError, Problem
from attain.core.types import ColumnKind, Task
from attain.data.kinds import Look

_FREE = 20
"""Different texts in a target above which, if most differ or they are sentences, none is a class"""


def transcribes(looks: Mapping[str, Look], target: str, rows: int, wanted: Task | None) -> str:
    """Whether clips are to be transcribed.

    Args:
        looks: What each column holds.
        target: The column to predict.
        rows: How many rows there are.
        wanted: The task that the user stated.

    Returns:
        Why, in one clause; empty for other tasks.

    Raises:
        DataError: When transcripts are wanted and there are no clips, or no texts.
    """
    clips = any(look.kind is ColumnKind.AUDIO for look in looks.values())
    seen = looks[target]
    texts = seen.kind in (ColumnKind.TEXT, ColumnKind.CATEGORICAL)
    if wanted is Task.TRANSCRIPTION:
        if clips and texts:
            return "as asked"
        rule = "a transcription needs a column of clips and a target of texts"
        value = seen.reason if clips else "no column of clips"
        remedy = "name the paths of the clips in a column, and the transcripts as target"
        raise DataError(Problem(rule, value, f"target column {target!r}", remedy))
    if wanted is not None or not clips or not texts or seen.distinct <= _FREE:
        return ""
    if seen.kind is not ColumnKind.TEXT and seen.distinct <= (rows - seen.missing) / 2:
        return ""
    return (
        f"the target of clips is free text, {seen.distinct} different ones in {rows} rows;"
        " if they are classes, set task: multiclass"
    )

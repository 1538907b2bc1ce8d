"""Clips whose target is what is said in them: when that is the task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attain.core.errors import DataError, Problem
from attain.core.types import ColumnKind, Pretrained, Task
from attain.data.kinds import Look
from attain.data.pretrained import why_no_transcripts

_FREE = 20
"""Different texts in a target above which none is a class, if most differ, they are sentences, or
the user named a network that writes down what it hears."""


def transcribes(
    looks: Mapping[str, Look],
    target: str,
    rows: int,
    wanted: Task | None,
    pretrained: Pretrained | None,
) -> str:
    """Whether clips are to be transcribed.

    Args:
        looks: What each column holds.
        target: The column to predict.
        rows: How many rows there are.
        wanted: The task that the user stated.
        pretrained: The model that the user named.

    Returns:
        Why, in one clause; empty for other tasks.

    Raises:
        DataError: When transcripts are wanted and there are no clips, or no texts.
    """
    clips = any(look.kind is ColumnKind.AUDIO for look in looks.values())
    seen = looks[target]
    texts = seen.kind in (ColumnKind.TEXT, ColumnKind.CATEGORICAL)
    if wanted is Task.TRANSCRIPTION:
        if clips and (texts or seen.kind is ColumnKind.BOOLEAN):  # yes and no are said, too
            return "as asked"
        rule = "a transcription needs a column of clips and a target of texts"
        value = seen.reason if clips else "no column of clips"
        remedy = "name the paths of the clips in a column, and the transcripts as target"
        raise DataError(Problem(rule, value, f"target column {target!r}", remedy))
    if wanted is not None or not clips or not texts or seen.distinct <= _FREE:
        return ""
    writes = pretrained is not None and not why_no_transcripts(Path(pretrained.folder))
    free = seen.kind is ColumnKind.TEXT or seen.distinct > (rows - seen.missing) / 2
    if not (free or writes):
        return ""
    return (
        f"the target of clips is free text, {seen.distinct} different ones in {rows} rows;"
        " if they are classes, set task: multiclass"
    )

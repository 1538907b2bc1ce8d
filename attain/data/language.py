"""Rows whose target is a text to be written: what the columns are, and when that is the task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attain.core.dialogue import NESTED, Layout, Shape, find_layout, is_dialogue
from attain.core.errors import DataError, Problem
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Pretrained, Task
from attain.data import cells, kinds
from attain.data.roles import as_texts, stated

_WRITERS = ("ForCausalLM", "LMHeadModel")
_FREE = 20  # different texts in a target above which, if most differ, none is a class


def as_text(name: str, value: Any) -> Any:
    """A cell with several values as JSON text, if its column may hold such cells.

    Args:
        name: Of the column.
        value: As read.

    Returns:
        JSON text for a list, an array or an object in a column that `core.dialogue.NESTED` names,
        and for a list of texts in any column; else the value itself.
    """
    if cells.is_list(value):
        return cells.written(value)
    if name not in NESTED or not isinstance(value, list | dict | tuple | np.ndarray):
        return value
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):  # Parquet fills keys that a message lacks with null
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def writes(pretrained: Pretrained | None) -> bool:
    """Whether a pre-trained model writes texts: its configuration names a causal language model.

    Args:
        pretrained: What the user named, if anything.

    Returns:
        False without a model.
    """
    if pretrained is None:
        return False
    try:
        config = json.loads((Path(pretrained.folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    named = config.get("architectures") if isinstance(config, dict) else None
    return any(str(name).endswith(_WRITERS) for name in named or ())


def language_task(
    frame: Any, target: str, task: Task | None, pretrained: Pretrained | None
) -> Task | None:
    """Whether texts are to be written or ranked.

    Args:
        frame: As `load_frame` gives it.
        target: The column to predict.
        task: What the user stated.
        pretrained: The model that the user named.

    Returns:
        GENERATION or PREFERENCE: as stated; or, with a model that writes, when the columns have
        the names of language data or the target is free text. None for other tasks.
    """
    if task is not None:
        return task if task.language else None
    names = [str(name) for name in frame.columns]
    if not writes(pretrained):
        return None
    if not is_dialogue(names, target):
        words = cells.texts(cells.plain(frame[target]))
        distinct, present = words.nunique(), int(words.notna().sum())
        kind = kinds.look(cells.plain(frame[target])).kind
        if kind not in (ColumnKind.TEXT, ColumnKind.CATEGORICAL) or distinct <= max(
            _FREE, present / 2
        ):
            return None
    shape = find_layout(names, target).shape
    return Task.PREFERENCE if shape is Shape.PREFERENCE else Task.GENERATION


def language_columns(
    frame: Any,
    layout: Layout,
    *,
    groups: str | None = None,
    time: str | None = None,
    ignore: Sequence[str] = (),
    text: Sequence[str] = (),
) -> tuple[Layout, tuple[Column, ...]]:
    """What each column is when texts are to be written.

    Args:
        frame: As `load_frame` gives it.
        layout: What names say.
        groups: Column whose values stay together.
        time: Column that orders the rows.
        ignore: Columns to leave out.
        text: Columns to read, if the user named them; they replace those of the layout.

    Returns:
        The layout with these columns, and the columns in file order.

    Raises:
        DataError: The answer that is not wanted is to be left out of pairs.
    """
    worse = layout.inputs[-1:] if layout.shape is Shape.PREFERENCE else ()
    if {*worse} & {*ignore}:
        rule, remedy = "pairs need both answers", "take it off, or remove the column from the data"
        raise DataError(Problem(rule, worse[0], "ignore", remedy))
    asked = tuple(text) or tuple(n for n in layout.inputs if n not in (groups, time, *ignore))
    inputs = (*(name for name in asked if name not in worse), *worse)
    layout = Layout(layout.shape, layout.target, inputs)
    roles = dict.fromkeys(inputs, (ColumnRole.FEATURE, "read before the answer"))
    roles |= dict.fromkeys(worse, (ColumnRole.FEATURE, "the answer that is not wanted"))
    roles |= dict.fromkeys(ignore, (ColumnRole.IGNORED, "left out as asked"))
    roles[layout.target] = (ColumnRole.TARGET, layout.reason)
    roles |= stated(groups, time)
    texts = (ColumnRole.FEATURE, ColumnRole.TARGET)
    spoken = [name for name, (role, _) in roles.items() if role in texts]
    found = as_texts(frame, roles, spoken, "no part of what is written or read")
    order = iter(inputs)  # as they are read, in the places where they stand
    by_name = {column.name: column for column in found}
    columns = tuple(by_name[next(order)] if c.name in inputs else c for c in found)
    return layout, columns


def with_answers(typed: dict[str, Any], frame: Any, dataset: Dataset) -> dict[str, Any]:
    """Typed features and, as the last one, the targets, where predictions are counts.

    Args:
        typed: Features by name.
        frame: As read, with or without the target.
        dataset: What is known of the rows.

    Returns:
        The features unchanged for other tasks.
    """
    if not dataset.task.counted:
        return typed
    if dataset.target in frame.columns:
        answers = cells.texts(cells.plain(frame[dataset.target])).reset_index(drop=True)
    else:
        answers = pd.Series([None] * len(frame), dtype=object)
    return {**typed, dataset.target: answers}

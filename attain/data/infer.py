"""Say what each column is and what is predicted, with a reason a user can check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from attain.core.dialogue import find_layout
from attain.core.errors import DataError, Problem, did_you_mean
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Pretrained, Task
from attain.data import cells, kinds, labels, tags, words
from attain.data.hashing import fingerprint
from attain.data.language import language_columns, language_task
from attain.data.roles import stated
from attain.data.speech import transcribes
from attain.data.table import content_hash, target_values, there, to_rows

FEW_VALUES = 10  # whole numbers up to so many values are classes if each has about three rows,
MORE_VALUES = 20  # and up to so many if each has about twenty
MOST_CLASSES = 0.5  # share of distinct texts in a target above which it is no class


def describe(
    frame: Any,
    *,
    target: str,
    groups: str | None = None,
    time: str | None = None,
    task: Task | str | None = None,
    ignore: Sequence[str] = (),
    text: Sequence[str] = (),
    pretrained: Pretrained | None = None,
    separator: str | None = None,
    address: str = "",
) -> Dataset:
    """Everything there is to know of a frame before it is split.

    Args:
        frame: As `load_frame` gives it.
        target: Column to predict.
        groups: Column whose values must not be split, if any.
        time: Column that orders the rows, if any.
        task: Overrides what is inferred.
        ignore: Columns to leave out.
        text: Columns to read as text whatever they look like; several are read one after the
            other, in this order.
        pretrained: What learners may start from, if the user named a model.
        separator: What stands between the labels of a target cell, if the user said so.
        address: Where the rows came from, for people.

    Returns:
        The dataset of all rows. Rows without a target are not counted in `rows` and
        `class_counts`; the target column's `missing` says how many there are.

    Raises:
        DataError: A named column does not exist or plays two roles, the target is empty or does
            not fit the task, or the time column cannot order rows.
    """
    _check_names(frame, target, groups, time, ignore, text)
    spoken = language_task(frame, target, Task(task) if task else None, pretrained)
    if spoken is not None:
        layout = find_layout([str(name) for name in frame.columns], target)
        layout, columns = language_columns(
            frame, layout, groups=groups, time=time, ignore=ignore, text=text
        )
        dataset = Dataset(
            address or "(in memory)", "", len(frame), columns, layout.target, spoken,
            groups=groups, time=time, task_reason=layout.reason, modality="language",
            pretrained=pretrained,
        )  # fmt: skip
        return measured(frame, dataset)
    said = tags.tag_column(frame, target, Task(task) if task else None, text)
    if said is not None:
        roles = {"groups": groups, "time": time, "ignore": ignore}
        return _tagged(frame, said, target, roles, pretrained, address)
    plain = {name: cells.plain(frame[name]) for name in frame.columns}
    looks = {name: kinds.look(column) for name, column in plain.items()}
    looks |= {name: kinds.as_text(plain[name]) for name in text}
    wanted = Task(task) if task else None
    spoken_of = transcribes(looks, target, len(frame), wanted, pretrained)
    several = None if spoken_of else labels.label_task(plain[target], target, wanted, separator)
    classes: tuple[str, ...] = ()
    if spoken_of:
        kind, why = Task.TRANSCRIPTION, spoken_of
    elif several is None:
        kind, why, classes = _task(plain[target], looks[target], target, wanted)
    else:
        kind, why = Task.MULTILABEL, several[1]
        classes = labels.names(labels.read(plain[target], several[0]), target)
    given = {target: (ColumnRole.TARGET, "the target")}
    given |= dict.fromkeys(ignore, (ColumnRole.IGNORED, "left out as asked"))
    given |= {name: (ColumnRole.FEATURE, looks[name].reason) for name in text}
    given |= stated(groups, time)
    if time is not None:
        _check_time(looks[time], time)
    columns = tuple(
        _column(name, plain[name], looks[name], given.get(name)) for name in frame.columns
    )
    dataset = Dataset(
        address=address or "(in memory)",
        fingerprint="",
        rows=len(frame),
        columns=_reordered(columns, text),
        target=target,
        task=kind,
        classes=classes,
        groups=groups,
        time=time,
        task_reason=why,
        pretrained=pretrained,
        separator=several[0] if several else "",
    )
    dataset = _media_alone(dataset)
    return measured(frame, replace(dataset, modality=_modality(dataset)))


def _tagged(
    frame: Any,
    said: str,
    target: str,
    roles: Mapping[str, Any],
    pretrained: Pretrained | None,
    address: str,
) -> Dataset:
    """Rows whose words have labels."""
    dataset = Dataset(
        address or "(in memory)", "", len(frame), tags.tag_columns(frame, said, target, **roles),
        target, Task.TAGGING, groups=roles["groups"], time=roles["time"], modality="text",
        pretrained=pretrained,
    )  # fmt: skip
    names = tags.tag_names(tags.read_tags(frame, dataset), target)
    return measured(frame, replace(dataset, tags=names, task_reason=tags.task_reason(names, said)))


def _media_alone(dataset: Dataset) -> Dataset:
    """Beside images or clips no other column is a feature: their learners read nothing else.

    Args:
        dataset: With the roles that were named or inferred.

    Returns:
        The same, other features ignored; unchanged without images or clips.

    Raises:
        DataError: When there are several columns of images or clips.
    """
    media = [c for c in dataset.features if c.kind.is_media]
    if not media:
        return dataset
    if len(media) > 1:
        names = ", ".join(repr(c.name) for c in media)
        rule, remedy = "a row has one image or one clip", "name the others under `ignore`"
        raise DataError(Problem(rule, names, dataset.address, remedy))
    why = f"left out: what learns from {media[0].reason} reads nothing else"
    alone = tuple(
        replace(c, role=ColumnRole.IGNORED, reason=why)
        if c.role is ColumnRole.FEATURE and not c.kind.is_media
        else c
        for c in dataset.columns
    )
    return replace(dataset, columns=alone)


def _modality(dataset: Dataset) -> str:
    """``image`` or ``audio`` with such a column, ``text`` when there is nothing but texts."""
    found = {column.kind for column in dataset.features}
    if media := [kind for kind in found if kind.is_media]:
        return str(media[0])
    return "text" if found == {ColumnKind.TEXT} else "table"


def _reordered(columns: tuple[Column, ...], text: Sequence[str]) -> tuple[Column, ...]:
    """The columns with those of `text` in that order, in the places where they stand."""
    by_name = {column.name: column for column in columns}
    names = iter(text)
    return tuple(by_name[next(names)] if c.name in text else c for c in columns)


def measured(frame: Any, dataset: Dataset, left_out: int = 0) -> Dataset:
    """The dataset with all counts taken anew from these rows.

    Args:
        frame: Rows as read.
        dataset: Columns and task, which stay as they are.
        left_out: Rows without a target that were left out before.

    Returns:
        The same dataset with rows, class counts, missing and distinct cells and fingerprint of
        these rows.
    """
    y, _ = target_values(frame, dataset)
    has = there(y, dataset)
    columns = []
    for column in dataset.columns:
        look = kinds.as_text if column.kind is ColumnKind.TEXT else kinds.look
        seen = look(cells.plain(frame[column.name]))
        missing = seen.missing if column.name != dataset.target else int((~has).sum()) + left_out
        columns.append(replace(column, missing=missing, distinct=seen.distinct))
    X = to_rows(frame, dataset, with_target=False).X
    return replace(
        dataset,
        rows=int(has.sum()),
        columns=tuple(columns),
        class_counts=class_counts(y[has], dataset),
        fingerprint=fingerprint(content_hash(frame, dataset, X)),
    )


def class_counts(y: np.ndarray, dataset: Dataset) -> tuple[int, ...]:
    """Rows of each class, or with each label.

    Args:
        y: Targets as learners see them, none missing.
        dataset: Which classes there are.

    Returns:
        In the order of `Dataset.classes`; empty for other tasks.
    """
    if not dataset.classes:
        return ()
    if dataset.task.several:
        return tuple(int(c) for c in y.sum(axis=0))
    return tuple(int(c) for c in np.bincount(y.astype("int64"), minlength=len(dataset.classes)))


def _check_names(
    frame: Any,
    target: str,
    groups: str | None,
    time: str | None,
    ignore: Sequence[str],
    text: Sequence[str],
) -> None:
    names = [str(name) for name in frame.columns]
    asked = [("target", target), ("groups", groups), ("time", time)]
    asked += [("ignore", name) for name in ignore]
    asked += [("text", name) for name in dict.fromkeys(text)]
    problems = [
        Problem("the column must exist", repr(name), role, did_you_mean(name, names))
        for role, name in asked
        if name is not None and name not in names
    ]
    roles: dict[str, str] = {}
    for role, name in asked:
        if name is None or roles.setdefault(name, role) == role:
            continue
        problems.append(
            Problem(
                "a column can play one role only",
                f"{roles[name]} and {role}",
                f"column {name!r}",
                f"take it out of {role}",
            )
        )
    if problems:
        raise DataError(problems)


def _check_time(seen: kinds.Look, name: str) -> None:
    if seen.kind not in (ColumnKind.DATETIME, ColumnKind.NUMERIC) or seen.format == kinds.MIXED:
        raise DataError(
            Problem(
                "the time column must hold dates or numbers",
                seen.reason,
                f"time column {name!r}",
                "write dates as 2024-12-31, or name another column",
            )
        )


def _column(
    name: str, column: pd.Series, seen: kinds.Look, given: tuple[ColumnRole, str] | None
) -> Column:
    kind = seen.kind
    if given is not None:
        role, reason = given
    elif useless := kinds.useless(name, column, seen):
        role, reason = ColumnRole.IGNORED, useless
    else:
        role, reason = ColumnRole.FEATURE, seen.reason
    return Column(name, kind, role, reason, seen.missing, seen.distinct, seen.format)


def _task(
    column: pd.Series, seen: kinds.Look, name: str, wanted: Task | None
) -> tuple[Task, str, tuple[str, ...]]:
    """Task, why, and the classes in order."""
    words_of_two = seen.kind is ColumnKind.BOOLEAN and cells.is_text(column)
    numeric = seen.kind in (ColumnKind.NUMERIC, ColumnKind.BOOLEAN) and not words_of_two
    problem = _unpredictable(seen, numeric, wanted)
    kind, why = (wanted, "as asked") if wanted else _guess(column, seen, numeric)
    classes: tuple[str, ...] = ()
    if problem is None and kind is not Task.REGRESSION:
        classes = _classes(column)
        present = len(column) - int(column.isna().sum())
        problem = _misfit(len(classes), present, seen, numeric, wanted)
    if problem is not None:
        raise DataError(replace(problem, place=f"target column {name!r}"))
    return kind, why, classes


def _unpredictable(seen: kinds.Look, numeric: bool, wanted: Task | None) -> Problem | None:
    """Why a column is no target at all, or none for a regression."""
    if seen.distinct == 0:
        return Problem(
            "the target must hold values", "only empty cells", "", "name another column as target"
        )
    if seen.kind is ColumnKind.DATETIME:
        remedy = "predict a duration instead: subtract a start date"
        return Problem("the target must be classes or numbers", "dates", "", remedy)
    if wanted is Task.REGRESSION and not numeric:
        remedy = "set task: binary or multiclass, or mend the column"
        return Problem("a regression target must be numbers", seen.reason, "", remedy)
    return None


def _misfit(
    classes: int, rows: int, seen: kinds.Look, numeric: bool, wanted: Task | None
) -> Problem | None:
    """Why so many classes do not fit the rows or the task."""
    amounts = ", or set task: regression" if numeric else ""
    if seen.kind is ColumnKind.TEXT:
        amounts = ", or, to have such texts written, a language model: its folder as model"
    if classes > max(MORE_VALUES, MOST_CLASSES * rows):
        return Problem(
            "a class target needs repeated values",
            f"{classes} different values in {rows} rows",
            "",
            f"name another target{amounts}",
        )
    if wanted is Task.BINARY and classes > 2:
        remedy = f"set task: multiclass{amounts}"
        return Problem("a binary target has two classes", f"{classes} classes", "", remedy)
    if wanted is Task.MULTICLASS and classes <= 2:
        rule = "a multiclass target has three classes or more"
        return Problem(rule, f"{classes} classes", "", "set task: binary")
    return None


def _guess(column: pd.Series, seen: kinds.Look, numeric: bool) -> tuple[Task, str]:
    if seen.distinct <= 2:
        return Task.BINARY, f"the target holds {seen.distinct} different value" + (
            "s" if seen.distinct == 2 else ""
        )
    if not numeric:
        return Task.MULTICLASS, f"the target holds {seen.distinct} different words"
    values, _ = cells.numbers(column)
    values = values[np.isfinite(values)]
    whole = bool((values == np.floor(values)).all())
    each = len(values) / seen.distinct
    few = (seen.distinct <= FEW_VALUES and each >= 3) or (
        seen.distinct <= MORE_VALUES and each >= 20
    )
    span = f"from {values.min():g} to {values.max():g}"
    if whole and few:
        return Task.MULTICLASS, (
            f"the target holds {seen.distinct} different whole numbers {span}; "
            "if they are amounts, set task: regression"
        )
    return Task.REGRESSION, f"the target holds {seen.distinct} different numbers {span}"


def _classes(column: pd.Series) -> tuple[str, ...]:
    """Labels as text, in numeric order when all are numbers."""
    labels = [str(label) for label in cells.texts(column).dropna().unique()]
    values = cells.number_levels(labels)
    if len(labels) and not np.isnan(values).any():
        return tuple(labels[i] for i in np.argsort(values, kind="stable"))
    return tuple(sorted(labels))


def suggest_groups(frame: Any, target: str) -> tuple[str | None, str]:
    """A column that names whose rows belong together, if one surely does.

    A column is suggested when its name is that of an entity (``subject#``, ``user_id``,
    ``customer``), its values repeat at least twice on average and there are at least five of them.

    Args:
        frame: As `load_frame` gives it.
        target: Column to predict, never suggested.

    Returns:
        The column and why, or None and why not.
    """
    for name in frame.columns:
        if name == target or not words.names_entity(words.name_words(str(name))):
            continue
        column = cells.plain(frame[name])
        present = int(column.notna().sum())
        values = cells.numbers(column)[0] if not cells.is_text(column) else None
        if values is not None and not bool((np.mod(values[np.isfinite(values)], 1) == 0).all()):
            continue
        counts = column.value_counts()
        enough = len(counts) >= 5 and present == len(column) and present >= 2 * len(counts)
        if enough and (counts >= 2).mean() >= 0.5:
            return str(name), (
                f"{len(counts)} values repeat in {present} rows, and the name says whose they are"
            )
    return None, "no column is named like a person, session or other entity whose rows repeat"


def suggest_time(frame: Any, target: str) -> tuple[str | None, str]:
    """A column of dates in which the rows are sorted, if there is one.

    Args:
        frame: As `load_frame` gives it.
        target: Column to predict, never suggested.

    Returns:
        The column and why, or None and why not.
    """
    for name in frame.columns:
        if name == target:
            continue
        column = cells.plain(frame[name])
        if not (cells.is_text(column) or column.dtype.kind == "M"):
            continue
        seen = kinds.look(column)
        if seen.kind is not ColumnKind.DATETIME or seen.missing or seen.distinct < 10:
            continue
        values, _ = cells.times(column, seen.format)
        if bool((values[1:] >= values[:-1]).all()):
            return str(
                name
            ), f"the rows are sorted by its dates, {_day(values[0])} to {_day(values[-1])}"
    return None, "no column holds dates in which the rows are sorted"


def _day(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[D]"))

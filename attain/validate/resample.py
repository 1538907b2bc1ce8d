"""How rows are divided into training and validation rows, and why.

The dealing is ours rather than scikit-learn's so that a ledger replays to the same folds with any
version of any library, a class with fewer rows than folds never fails, and time is never shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from attain.core.errors import DataError, Problem, SpecError
from attain.core.seeds import derive
from attain.core.types import Dataset, Rows, Split, SplitKind
from attain.validate import _dealing

Auto = Literal["auto"]

HOLDOUT_SHARE = 0.2
FOLDS = 5
HOLDOUT_ABOVE = 100_000  # rows; one hold-out of 20,000 is precise enough
# With a pre-trained model, whose full tuning costs too much to repeat: one hold-out above so many
# rows (then 400 rows or more, as is usual in fine-tuning), few folds below, never drawn twice.
TUNED_HOLDOUT_ABOVE, TUNED_FOLDS = 2_000, 3
# Repeats by number of rows: below this many, one division is mostly luck. Repeated cross-validation
# is what helps most on little data (Schneider et al. 2025, arXiv 2506.19540).
REPEATS = ((1_000, 3), (5_000, 2))

_STRATIFY = (SplitKind.STRATIFIED, SplitKind.STRATIFIED_GROUPED, SplitKind.HOLDOUT)


@dataclass(frozen=True, eq=False)
class Fold:
    """Positions of the rows of one fit and of its validation.

    Attributes:
        train: Sorted int64 positions, shape (n_train,).
        valid: Sorted int64 positions, shape (n_valid,), disjoint from `train`.
    """

    train: np.ndarray
    valid: np.ndarray


def plan(
    dataset: Dataset,
    rows: Rows,
    *,
    folds: int | Auto = "auto",
    repeats: int | Auto = "auto",
    seed: int = 0,
) -> Split:
    """Choose how to divide the rows.

    Time forbids shuffling, groups forbid sharing, classes are stratified; 5 folds up to 100,000
    rows and one hold-out of 20 % above; 3 repeats below 1,000 rows, 2 below 5,000. With a
    pre-trained model 3 folds up to 2,000 rows, one hold-out above, and no repeats.

    Args:
        dataset: What is known of the rows.
        rows: The unsealed rows.
        folds: 1 for a hold-out, k for k folds, or ``auto``.
        repeats: How often the division is drawn afresh, or ``auto``.
        seed: A different one gives fresh folds; with time, which cannot be shuffled, it shifts the
            cuts.

    Returns:
        The plan, with its reason.

    Raises:
        SpecError: If an explicit request cannot be honoured, with every reason.
        DataError: If these rows cannot be divided at all.
    """
    units, noun = _units(rows)
    most = units - 1 if rows.time is not None else units
    _require_units(units, noun)
    problems = [*_bad_count(folds, "folds"), *_bad_count(repeats, "repeats")]
    if not problems and folds != "auto" and folds > most:
        rule = f"folds may be at most {most}, there are {units:,} {noun}"
        problems.append(Problem(rule, str(folds), "folds", "use fewer folds, or auto"))
    if problems:
        raise SpecError(problems)
    k = _auto_folds(dataset, len(rows), most) if folds == "auto" else folds
    fixed = k > 1 and k == units and rows.time is None  # one unit in each fold: no other division
    if repeats != "auto" and repeats > 1 and fixed:
        rule = f"{k} folds of {units} {noun} can be divided in one way only"
        raise SpecError(Problem(rule, str(repeats), "repeats", "use repeats 1, or fewer folds"))
    once = fixed or rows.time is not None or dataset.pretrained is not None
    r = _auto_repeats(len(rows), k, once) if repeats == "auto" else repeats
    split = Split(_kind(dataset, rows, k), k, r, seed)
    if rows.time is not None and rows.groups is not None:
        _require_time_and_groups(split, rows)
    asked = (folds != "auto", repeats != "auto")
    return Split(split.kind, k, r, seed, _reason(dataset, rows, split, asked))


def folds(split: Split, rows: Rows) -> tuple[Fold, ...]:
    """The folds of a plan; the same plan and rows always give the same folds.

    Args:
        split: The plan.
        rows: The rows it was made for.

    Returns:
        ``split.jobs`` folds, repeat after repeat. With time, rows before the first cut are never
        validated; with time and groups, training rows whose group is validated are left out.

    Raises:
        DataError: If these rows cannot be divided so; they are not those of the plan.
    """
    units, noun = _units(rows)
    if split.folds > (units - 1 if split.kind is SplitKind.TIME else units):
        rule = f"{split.folds} folds need more {noun}"
        raise DataError(Problem(rule, str(units), remedy="plan the split for these rows"))
    made: list[Fold] = []
    for repeat in range(split.repeats):
        seed = derive(split.seed, "folds", repeat)
        if split.kind is SplitKind.TIME:
            made += _forward(rows, split.folds, seed)
        else:
            made += _dealt(rows, split, seed)
    return tuple(made)


def test_over_train(split: Split) -> float:
    """Validation rows over training rows of a fold, which say how much folds overlap.

    Args:
        split: The plan.

    Returns:
        1 / (k - 1) for k folds; with time, where early folds train on less, about the same.
    """
    if split.folds > 1:
        return 1 / (split.folds - 1)
    return HOLDOUT_SHARE / (1 - HOLDOUT_SHARE)


def carve_stop(
    rows: Rows, index: np.ndarray, *, classifies: bool, share: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Set training rows aside for early stopping, by the rules that hold between folds.

    The latest rows when there is time, else whole groups when there are groups, else stratified by
    class. With a single group or time, rows are taken at random: validation stays untouched either
    way. A class is never set aside as a whole.

    Args:
        rows: All rows.
        index: Positions of the training rows, shape (m,), at least 2.
        classifies: Whether the target is a class, or labels.
        share: Of the training rows to set aside, in (0, 0.5].
        seed: Of the shuffling.

    Returns:
        Positions to fit on and positions to stop by; together `index`.

    Raises:
        DataError: If there are fewer than two training rows.
    """
    if len(index) < 2:
        rule = "early stopping needs at least two training rows"
        raise DataError(Problem(rule, str(len(index)), remedy="use fewer folds or more rows"))
    index = np.asarray(index, np.int64)
    classes = rows.y[index].astype(np.int64) if classifies and rows.y is not None else None
    groups = None if rows.groups is None else _dealing.codes(rows.groups[index])
    parts = max(round(1 / share), 2)
    late = np.empty(0, np.int64)
    if rows.time is not None:
        cut = _dealing.cuts(rows.time[index], [1 - share])
        late = np.flatnonzero(_dealing.order(rows.time[index]) >= cut[0]) if cut else late
    if len(late):
        stop = late
    else:
        stop = _dealing.first_part(len(index), parts, classes, groups, derive(seed, "stop"))
    chosen = _dealing.keep_classes(classes, stop, len(index))
    return np.sort(index[~chosen]), np.sort(index[chosen])


def _units(rows: Rows) -> tuple[int, str]:
    """How many pieces could at most be told apart, and what they are."""
    if rows.time is not None:
        return int(_dealing.order(rows.time).max(initial=-1)) + 1, "different times"
    if rows.groups is not None:
        return int(_dealing.codes(rows.groups).max(initial=-1)) + 1, "groups"
    return len(rows), "rows"


def _require_units(units: int, noun: str) -> None:
    if units >= 2:
        return
    remedy = {
        "different times": "state another time column, or none",
        "groups": "state another group column, or none",
        "rows": "give more rows",
    }[noun]
    rule = f"validation needs at least two {noun}"
    raise DataError(Problem(rule, str(units), remedy=remedy))


def _bad_count(value: int | Auto, place: str) -> list[Problem]:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return []
    return [Problem(f"{place} must be a positive whole number or auto", str(value), place)]


def _auto_folds(dataset: Dataset, n: int, most: int) -> int:
    above, wanted = (HOLDOUT_ABOVE, FOLDS)
    if dataset.pretrained is not None:
        above, wanted = TUNED_HOLDOUT_ABOVE, TUNED_FOLDS
    return 1 if n > above else max(min(wanted, most), 1)


def _auto_repeats(n: int, k: int, once: bool) -> int:
    if once or k == 1:
        return 1
    return next((repeats for below, repeats in REPEATS if n < below), 1)


def _kind(dataset: Dataset, rows: Rows, k: int) -> SplitKind:
    if rows.time is not None:
        return SplitKind.TIME
    if k == 1:
        return SplitKind.HOLDOUT
    stratify = dataset.task.named
    if rows.groups is not None:
        return SplitKind.STRATIFIED_GROUPED if stratify else SplitKind.GROUPED
    return SplitKind.STRATIFIED if stratify else SplitKind.KFOLD


def _require_time_and_groups(split: Split, rows: Rows) -> None:
    """Time and groups together may leave nothing to train on."""
    if min(len(fold.train) for fold in folds(split, rows)) > 0:
        return
    rule = "rows must remain to train on that are both earlier and of other groups"
    remedy = "drop the group column or the time column, or use fewer folds"
    raise DataError(Problem(rule, "a fold with no training row", remedy=remedy))


def _reason(dataset: Dataset, rows: Rows, split: Split, asked: tuple[bool, bool]) -> str:
    """Why this plan, for the user; `asked` says whether folds and repeats were requested."""
    parts = [_size_reason(len(rows), split, asked)]
    if dataset.pretrained is not None and not asked[0]:
        parts.append("tuning a pre-trained model costs too much to be repeated more often")
    if rows.time is not None:
        parts.append("later rows are predicted from earlier ones, never the other way round")
        parts.append(f"seed {split.seed} shifts the cuts, since time cannot be shuffled")
    if rows.groups is not None:
        parts.append(f"no value of {dataset.groups or 'the group column'} is on both sides")
    counts = zip(dataset.classes, dataset.class_counts, strict=False)
    rare = [label for label, count in counts if count < split.folds]
    if rare and rows.time is None:
        shown = ", ".join(map(repr, rare[:3])) + (", ..." if len(rare) > 3 else "")
        verb = "has" if len(rare) == 1 else "have"
        parts.append(f"{shown} {verb} fewer rows than folds, so some folds lack them")
    return "; ".join(parts)


def _size_reason(n: int, split: Split, asked: tuple[bool, bool]) -> str:
    k, r = split.folds, split.repeats
    if k == 1:
        why = "as asked" if asked[0] else "which is precise enough" if n > HOLDOUT_ABOVE else ""
        text = f"one hold-out of {n:,} rows" + (f", {why}" if why else "")
    else:
        text = f"{k} folds of {n:,} rows" + (" as asked" if asked[0] else "")
    if r > 1:
        luck = "because one division of so few rows is mostly luck"
        text += f", drawn {r} times {'as asked' if asked[1] else luck}"
    return text


def _dealt(rows: Rows, split: Split, seed: int) -> list[Fold]:
    """Folds of shuffled rows or groups."""
    groups = None if rows.groups is None else _dealing.codes(rows.groups)
    classes = None
    if split.kind in _STRATIFY and rows.y is not None and rows.y.dtype.kind in "iu":
        classes = rows.y.astype(np.int64)  # or labels, with a second axis
    n = len(rows)
    if split.folds == 1:
        valid = _dealing.first_part(n, round(1 / HOLDOUT_SHARE), classes, groups, seed)
        return [_fold(_dealing.keep_classes(classes, valid, n))]
    part = _dealing.deal(n, split.folds, classes, groups, seed)
    return [_fold(part == k) for k in range(split.folds)]


def _fold(valid: np.ndarray) -> Fold:
    return Fold(np.flatnonzero(~valid), np.flatnonzero(valid))


def _forward(rows: Rows, k: int, seed: int) -> list[Fold]:
    """Forward-chaining folds: train on everything before a cut, validate up to the next.

    The first cut lies near 1 / (k + 1) of the rows (1 - HOLDOUT_SHARE for a hold-out), moved by up
    to a quarter of a block either way by the seed; the others are spaced evenly after it.
    """
    assert rows.time is not None
    when = _dealing.order(rows.time)
    block = HOLDOUT_SHARE if k == 1 else 1 / (k + 1)
    moved = (derive(seed, "shift") / 2**31 - 0.5) * block / 2
    first = 1 - k * block + moved
    cuts = _dealing.cuts(rows.time, [first + i * (1 - first) / k for i in range(k)])
    ends = [*cuts[1:], int(when.max()) + 1]
    made = []
    for start, end in zip(cuts, ends, strict=True):
        valid = (when >= start) & (when < end)
        train = when < start
        if rows.groups is not None:
            codes = _dealing.codes(rows.groups)
            train &= ~np.isin(codes, codes[valid])
        made.append(Fold(np.flatnonzero(train), cast(np.ndarray, np.flatnonzero(valid))))
    return made

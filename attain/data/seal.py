"""Set the test rows aside before anything is learnt, by a plan that depends on content alone."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attain.core.errors import ArtifactError, DataError, Problem, SpecError
from attain.core.files import file_digest, plain_errors, write_atomic
from attain.core.seal import Seal
from attain.core.types import ColumnKind, Dataset, Rows
from attain.data.drift import told_apart
from attain.data.hashing import (
    cell_hash,
    combine,
    fingerprint,
    mix,
    name_hash,
    occurrence,
    row_hash,
)
from attain.data.infer import class_counts, measured
from attain.data.load import load_frame
from attain.data.looks import CLOSE, close_pairs, looks
from attain.data.near import near_copies, together
from attain.data.quick import rows_for
from attain.data.table import content_hash, target_hash, to_rows, usable
from attain.stats.stratify import iterative

WORK = Path("data") / "work.arrow"
SEALED = Path("data") / "sealed.arrow"
ORIGIN = Path("data") / "rows.npy"
FEWEST = 10  # rows with a target below which nothing can be tested
BAND = 0.1  # a stratum's sealed share may differ from what was asked by this part of it
_SHARE = (0.01, 0.9)
OWN_TEST = "the user's own test rows"
_READ_ONLY = 0o400
_COMPARED = 10_000  # rows of each side by which own test rows are compared with the others
_FEWEST_COMPARED = 50


def make_seal(
    frame: Any,
    dataset: Dataset,
    folder: Path,
    *,
    test: float = 0.2,
    test_frame: Any = None,
    seed: int = 0,
    objectives: Sequence[str] = (),
) -> tuple[Dataset, Seal]:
    """Write the unsealed rows to ``data/work.arrow`` and the sealed ones to ``data/sealed.arrow``.

    A row is sealed when the hash of its features (or of its group) and the seed falls below `test`,
    so added rows do not move old ones and equal rows stay together. Within each class rows next to
    that threshold are moved only as far as needed for the class's share to be within a tenth of
    `test`, and for each class of two rows or more to be on both sides. With a time column the
    latest rows are sealed, equal times together; with groups and time, the groups that began last.

    Args:
        frame: All rows, as `load_frame` gives them; rows without a target are left out.
        dataset: Their description.
        folder: The study's folder.
        test: Share to seal, in [0.01, 0.9].
        test_frame: The user's own test rows, sealed instead of a share of `frame`.
        seed: Of the choice.
        objectives: The statements in force, kept in the seal.

    Returns:
        The description of the unsealed rows, and the seal.

    Raises:
        SpecError: `test` is out of range.
        DataError: Too few rows, groups or times, or test rows that do not fit.
        EnvironmentProblem: The folder cannot be written to.
    """
    if not _SHARE[0] <= test <= _SHARE[1]:
        raise SpecError(
            Problem(
                f"the share of test rows must be from {_SHARE[0]} to {_SHARE[1]}",
                str(test),
                "test",
                "0.2 is usual",
            )
        )
    has = usable(frame, dataset)
    left_out = int((~has).sum())
    frame = frame.loc[has].reset_index(drop=True)
    if len(frame) < FEWEST:
        raise DataError(
            Problem(
                f"at least {FEWEST} rows with a target are needed",
                f"{len(frame)} rows",
                dataset.address,
                "collect more rows",
            )
        )
    rows, origin = to_rows(frame, dataset), np.flatnonzero(has)
    if test_frame is None:
        chosen, rule = _choose(frame, dataset, rows, test, seed)
        sealed, sealed_rows = (
            frame.loc[chosen].reset_index(drop=True),
            rows.take(np.flatnonzero(chosen)),
        )
        frame, rows = frame.loc[~chosen].reset_index(drop=True), rows.take(np.flatnonzero(~chosen))
        origin = origin[~chosen]
    else:
        sealed, sealed_rows, rule = _own_test(test_frame, dataset, rows)
    digest = _write(folder, frame, sealed, origin)
    near, compared = _near_overlap(rows, sealed_rows, dataset)
    seal = Seal(
        path=SEALED.as_posix(),
        digest=digest,
        fingerprint=fingerprint(content_hash(sealed, dataset, sealed_rows.X)),
        rule=rule,
        seed=seed,
        rows=len(sealed),
        class_counts=() if sealed_rows.y is None else class_counts(sealed_rows.y, dataset),
        groups=0 if sealed_rows.groups is None else len(set(sealed_rows.groups)),
        objectives=tuple(objectives),
        overlap=int(np.isin(row_hash(sealed_rows.X), row_hash(rows.X)).sum()),
        near_overlap=near,
        near_compared=compared,
        drift=0.0 if test_frame is None else _drift(rows, sealed_rows, dataset),
    )
    return measured(frame, dataset, left_out), seal


def load_work(folder: Path) -> pd.DataFrame:
    """The unsealed rows, read from the memory-mapped file.

    Args:
        folder: The study's folder.

    Returns:
        The rows as they were read from the user's file, in their order.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    path = Path(folder) / WORK
    try:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all().to_pandas(ignore_metadata=True)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path}: the study's rows cannot be read ({str(error).splitlines()[0]}) — "
            "start the study anew in an empty folder"
        ) from error


def work_origin(folder: Path, rows: int) -> np.ndarray:
    """Where each unsealed row stands in the user's data, so that a finding can be looked up there.

    Args:
        folder: The study's folder.
        rows: How many unsealed rows there are.

    Returns:
        Positions from 0 in the data as read, int64, shape (rows,); the unsealed rows' own positions
        in a study that was begun before these were kept.
    """
    try:
        found = np.load(Path(folder) / ORIGIN, allow_pickle=False)
    except (OSError, ValueError):
        return np.arange(rows)
    fits = found.shape == (rows,) and found.dtype == np.dtype("int64")
    return found if fits else np.arange(rows)


def sealed_summary(seal: Seal) -> Mapping[str, Any]:
    """What an audit may know of the sealed rows.

    Args:
        seal: The seal.

    Returns:
        ``rows``, ``overlap``, ``near_overlap``, ``near_compared``, ``drift``, ``class_counts``,
        ``groups`` and ``rule``.
    """
    return {
        "rows": seal.rows,
        "overlap": seal.overlap,
        "near_overlap": seal.near_overlap,
        "near_compared": seal.near_compared,
        "drift": seal.drift,
        "class_counts": seal.class_counts,
        "groups": seal.groups,
        "rule": seal.rule,
    }


def _choose(
    frame: Any, dataset: Dataset, rows: Rows, test: float, seed: int
) -> tuple[np.ndarray, str]:
    """Which rows to seal, and the rule in words."""
    share = f"about {test:.0%} of the rows"
    if rows.time is not None and rows.groups is None:
        return latest(rows.time, test), f"the latest rows by {dataset.time}, {share}"
    if rows.groups is not None:
        units = cell_hash(rows.groups)
        if rows.time is not None:
            start = pd.Series(rows.time).groupby(units).transform("min").to_numpy()
            return latest(start, test), (
                f"whole groups of {dataset.groups}, the last to begin by {dataset.time}, {share}"
            )
        rule = f"whole groups of {dataset.groups}, by a hash of their name and the seed, {share}"
    elif repeats_by_chance(rows.X, dataset):
        content = combine(row_hash(rows.X), target_hash(frame, dataset))
        units = combine(content, occurrence(content).astype("uint64"))
        rule = (
            f"by a hash of content and seed, {share}; equal rows are apart, because so few "
            "combinations of values exist that rows are equal by chance"
        )
    else:
        units = row_hash(rows.X)
        rule = f"by a hash of the features and the seed, {share}, equal rows together"
    if dataset.task.several and rows.y is not None:
        return by_labels(units, rows.y, test, seed), f"{rule}, with each label alike"
    strata = (
        rows.y if dataset.task.classifies and rows.y is not None else np.zeros(len(rows), "int64")
    )
    if len(dataset.classes) > 1:
        rule += ", in each class alike"
    return by_hash(units, strata, test, seed), rule


def repeats_by_chance(X: pd.DataFrame, dataset: Dataset) -> bool:
    """Whether rows are equal by chance, because few combinations of values exist.

    Args:
        X: Typed features, shape (n, m).
        dataset: Says which of them are texts.

    Returns:
        True when no column is text or continuous (fractions, more than 20 values) and the numbers
        of distinct values multiply to n at most. Else equal rows are taken for copies.
    """
    if any(c.kind is ColumnKind.TEXT or c.kind.is_media for c in dataset.features):
        return False
    combinations = 0.0
    for name in X.columns:
        distinct = X[name].nunique(dropna=False)
        combinations += math.log(max(1, distinct))
        if combinations > math.log(max(1, len(X))) or (distinct > 20 and _fractions(X[name])):
            return False
    return True


def _fractions(column: pd.Series) -> bool:
    if column.dtype.kind != "f":
        return False
    values = column.to_numpy()
    return bool((np.isfinite(values) & (values != np.floor(values))).any())


def by_hash(units: np.ndarray, strata: np.ndarray, test: float, seed: int) -> np.ndarray:
    """Choose whole units by their hash, each stratum's share kept near `test`.

    Args:
        units: Hash of the unit of each row, uint64, shape (n,).
        strata: Class of each row (zeros without classes), int64, shape (n,). A unit belongs to its
            most frequent class.
        test: Share of rows to choose, in (0, 1).
        seed: Of the choice.

    Returns:
        Booleans, shape (n,).

    Raises:
        DataError: There is only one unit.
    """
    names, inverse, weight = np.unique(units, return_inverse=True, return_counts=True)
    _require_units(len(names))
    draw = _drawn(names, seed)
    chosen = np.zeros(len(names), dtype=bool)
    home = _majority(inverse, strata, len(names))
    for stratum in np.unique(home):
        members = np.flatnonzero(home == stratum)
        members = members[np.argsort(draw[members], kind="stable")]
        count = _count(draw[members], weight[members], test)
        chosen[members[:count]] = True
    if not chosen.any():  # every stratum is a single unit
        chosen[np.argmin(draw)] = True
    return chosen[inverse]


def by_labels(units: np.ndarray, y: np.ndarray, test: float, seed: int) -> np.ndarray:
    """Choose whole units so that each label's share is near `test` (`stats.stratify`).

    Units are dealt in the order of their hash. Unlike `by_hash`, added rows may move old ones,
    because what a unit is worth depends on the labels of all others.

    Args:
        units: Hash of the unit of each row, uint64, shape (n,).
        y: Which labels each row carries, shape (n, labels).
        test: Share of rows to choose, in (0, 1).
        seed: Of the choice.

    Returns:
        Booleans, shape (n,).

    Raises:
        DataError: There is only one unit.
    """
    names, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    _require_units(len(names))
    content = np.zeros((len(names), y.shape[1]), dtype=np.int64)
    np.add.at(content, inverse, y)
    part = iterative(content, sizes, np.array([1 - test, test]), _drawn(names, seed))
    return np.asarray(part[inverse] == 1)


def _require_units(count: int) -> None:
    if count >= 2:
        return
    raise DataError(
        Problem(
            "test rows must be unlike training rows",
            "one group or one distinct row",
            "the data",
            "give more different rows, or your own test rows",
        )
    )


def _drawn(names: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) of each unit, by its hash and the seed."""
    return np.asarray(mix(names ^ name_hash(f"seal {seed}")) / 2.0**64)


def _majority(inverse: np.ndarray, strata: np.ndarray, units: int) -> np.ndarray:
    """Most frequent stratum of each unit, the smallest of equals."""
    span = int(strata.max()) + 1
    pairs, counts = np.unique(inverse * span + strata, return_counts=True)
    unit, stratum = pairs // span, pairs % span
    order = np.lexsort((stratum, -counts, unit))
    first = np.r_[True, np.diff(unit[order]) > 0]
    home = np.zeros(units, dtype="int64")
    home[unit[order][first]] = stratum[order][first]
    return home


def _count(draw: np.ndarray, weight: np.ndarray, test: float) -> int:
    """How many units, in the order of their draw, to choose from one stratum.

    The threshold's own count if that is within the band around `test`, else the nearest count
    inside the band, else the count nearest to `test`; one at least on each side of two or more.
    """
    if len(draw) < 2:
        return 0
    rows = np.r_[0, np.cumsum(weight)]
    wanted = test * rows[-1]
    natural = int(np.searchsorted(draw, test))
    inside = np.flatnonzero(np.abs(rows - wanted) <= BAND * wanted)
    if len(inside):
        count = int(np.clip(natural, inside[0], inside[-1]))
    else:
        count = int(np.argmin(np.abs(rows - wanted)))
    return min(max(count, 1), len(draw) - 1)


def latest(time: np.ndarray, test: float) -> np.ndarray:
    """Choose the latest rows; equal times never straddle.

    Args:
        time: Datetimes or numbers, shape (n,).
        test: Share of rows to choose, in (0, 1).

    Returns:
        Booleans, shape (n,).

    Raises:
        DataError: All times are equal.
    """
    moments, counts = np.unique(time, return_counts=True)
    if len(moments) < 2:
        raise DataError(
            Problem(
                "rows must differ in time to be split by it",
                f"all at {moments[0]}",
                "time",
                "take the time column out",
            )
        )
    before = np.cumsum(counts)[:-1]
    cut = int(np.argmin(np.abs(before - (1 - test) * len(time))))
    return time > moments[cut]


def _own_test(test_frame: Any, dataset: Dataset, rows: Rows) -> tuple[pd.DataFrame, Rows, str]:
    """The user's test rows, checked like all others and against the training rows."""
    frame = load_frame(test_frame)
    if dataset.target not in frame.columns:
        to_rows(frame, dataset)  # names everything that is missing
    frame = frame.loc[usable(frame, dataset)].reset_index(drop=True)
    if frame.empty:
        raise DataError(
            Problem(
                "test rows need a target",
                "no row has one",
                "test",
                "add the answers, or leave test out: rows are then set aside",
            )
        )
    sealed = to_rows(frame, dataset)
    rule = OWN_TEST
    if sealed.groups is not None and rows.groups is not None:
        shared = set(sealed.groups) & set(rows.groups)
        if shared:
            rule += f"; {len(shared)} of their groups are also among the other rows"
    if sealed.time is not None and rows.time is not None and sealed.time.min() <= rows.time.max():
        rule += "; they begin before the other rows end"
    return frame, sealed, rule


def _near_overlap(rows: Rows, sealed: Rows, dataset: Dataset) -> tuple[int, int]:
    """How many sealed rows have a near-copy, but no copy, among the others; of how many."""
    if media := [c.name for c in dataset.features if c.kind.is_media]:
        return _near_media(rows, sealed, media[0])
    names = [c.name for c in dataset.features if c.kind is ColumnKind.TEXT]
    if not names:
        return 0, 0
    X = pd.concat([rows.X[names], sealed.X[names]], ignore_index=True)
    texts = {name: X[name].fillna("").to_numpy(dtype=object) for name in names}
    near = near_copies(together(texts, len(X)), row_hash(X))
    outside = np.zeros(len(near.first), dtype=bool)
    outside[near.code[near.rows < len(rows)]] = True
    one, other = near.pairs.T
    beside = np.zeros(len(near.first), dtype=bool)
    beside[one[outside[other]]] = beside[other[outside[one]]] = True
    inside = near.code[near.rows >= len(rows)]
    return int((beside & ~outside)[inside].sum()), len(inside)


def _near_media(rows: Rows, sealed: Rows, name: str) -> tuple[int, int]:
    """The same for images and clips, of at most so many files on each side."""
    parts = [part.take(rows_for(row_hash(part.X), 1, _COMPARED)) for part in (rows, sealed)]
    cells = np.concatenate([part.X[name].to_numpy(dtype=object) for part in parts])
    hashes = np.concatenate([row_hash(part.X) for part in parts])
    pairs = close_pairs(looks(cells), CLOSE)
    pairs = pairs[hashes[pairs[:, 0]] != hashes[pairs[:, 1]]]
    first = len(parts[0])
    across = pairs[(pairs[:, 0] < first) & (pairs[:, 1] >= first)]
    copies = np.isin(hashes[across[:, 1]], hashes[:first])
    return len(np.unique(across[~copies, 1])), len(parts[1])


def _drift(rows: Rows, sealed: Rows, dataset: Dataset) -> float:
    """How well the user's own test rows are told from the others by their features.

    One number leaves the sealing step, rounded to two digits: never the target, nor which features
    differ, because features tailored to the test rows would spoil the test. Rows that attain set
    aside itself are not compared: by a hash they are alike by design, and by time the unsealed
    rows show the drift (D036).
    """
    columns = [
        c for c in dataset.features if c.kind is not ColumnKind.DATETIME and not c.kind.is_media
    ]
    if not columns or min(len(rows), len(sealed)) < _FEWEST_COMPARED:
        return 0.0
    some = [
        part.take(rows_for(row_hash(part.X), len(columns), _COMPARED)) for part in (rows, sealed)
    ]
    X = pd.concat([part.X for part in some], ignore_index=True)
    other = np.repeat([False, True], [len(part) for part in some])
    return round(max(told_apart(X, columns, other, row_hash(X)), 0.01), 2)


def _write(folder: Path, work: pd.DataFrame, sealed: pd.DataFrame, origin: np.ndarray) -> str:
    """Write each file whole or not at all; the sealed one cannot be written to. Its digest."""
    folder = Path(folder)
    buffer = io.BytesIO()
    np.save(buffer, origin.astype("int64"), allow_pickle=False)
    write_atomic(folder / ORIGIN, buffer.getvalue())
    write_atomic(folder / WORK, _arrow_bytes(work))
    path = folder / SEALED
    write_atomic(path, _arrow_bytes(sealed))
    with plain_errors(path):
        os.chmod(path, _READ_ONLY)
        return file_digest(path)


def _arrow_bytes(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()

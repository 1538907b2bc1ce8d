"""Mend what is safe to mend, into a new file: what was meant is certain, and nothing is guessed."""

from __future__ import annotations

import gzip
import io
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attain.core.errors import Problem, SpecError
from attain.core.files import write_atomic
from attain.core.types import Column, ColumnKind, Dataset
from attain.data import cells
from attain.data.checks_columns import spelling
from attain.data.hashing import combine, row_hash
from attain.data.marks import repaired
from attain.data.media import with_paths
from attain.data.seal import repeats_by_chance
from attain.data.table import helper_hash, target_hash, to_rows, usable
from attain.data.words import MISSING_AMONG_NUMBERS, MISSING_ANYWHERE

_WORDS = (ColumnKind.CATEGORICAL, ColumnKind.TEXT)


@dataclass(frozen=True)
class Repair:
    """One remedy that was tried.

    Attributes:
        code: Of the check that finds what it mends.
        count: Cells changed, or rows removed.
        text: What was done, with counts by column.
        columns: Cells changed in each column.
        rows: At most 20 positions of rows changed or removed, in the file that was read.
    """

    code: str
    count: int
    text: str
    columns: dict[str, int]
    rows: tuple[int, ...]


def mend(frame: pd.DataFrame, dataset: Dataset) -> tuple[pd.DataFrame, tuple[Repair, ...]]:
    """Mend cells, then take copies out.

    Wrong encodings are read again; categories that differ in case, blanks or underscores take the
    most frequent spelling; spellings of "missing" without another meaning become empty cells; rows
    equal in features, target, group and time are kept once, unless they are equal by chance.

    Args:
        frame: As `load_frame` gives it; left as it is.
        dataset: What is known of the rows.

    Returns:
        A new frame in the same order, and what was done.
    """
    mended, repairs = frame.copy(), []
    columns = [c for c in dataset.columns if c.name in frame]
    for code, what, change in _CELLS:
        counts: dict[str, int] = {}
        rows: set[int] = set()
        for column in columns:
            where = _apply(mended, column, change, dataset)
            if len(where):
                counts[column.name] = len(where)
                rows.update(where[:20].tolist())
        repairs.append(_repair(code, what, counts, sorted(rows)))
    copies = _copies(mended, dataset)
    gone = np.flatnonzero(copies)
    text = f"{len(gone):,} copies of earlier rows taken out, {len(frame) - len(gone):,} rows stay"
    repairs.append(Repair("D018", len(gone), text, {}, tuple(int(r) for r in gone[:20])))
    return mended.loc[~copies].reset_index(drop=True), tuple(repairs)


def _repair(code: str, what: str, counts: dict[str, int], rows: list[int]) -> Repair:
    shown = ", ".join(f"{name!r} {count:,}" for name, count in counts.items())
    total = sum(counts.values())
    return Repair(code, total, f"{total:,} cells {what} ({shown})", counts, tuple(rows[:20]))


Mapper = Callable[[Column, Dataset, Counter[str]], dict[str, str | None]]


def _apply(frame: pd.DataFrame, column: Column, change: Mapper, dataset: Dataset) -> np.ndarray:
    """Change the distinct texts of one column in place; positions of changed cells."""
    plain = cells.plain(frame[column.name])
    if not cells.is_text(plain):
        return np.zeros(0, dtype="int64")
    codes, levels = pd.factorize(plain)
    sizes = np.bincount(codes[codes >= 0], minlength=len(levels))
    counts = Counter({str(w): int(n) for w, n in zip(levels, sizes, strict=True)})
    changes = {w: new for w, new in change(column, dataset, counts).items() if new != w}
    if not changes:
        return np.zeros(0, dtype="int64")
    new = [changes.get(str(w), str(w)) for w in levels]
    moved = np.array([str(w) in changes for w in levels] + [False])
    frame[column.name] = pd.Series(
        np.array([*new, None], dtype=object)[codes], index=frame.index, dtype=plain.dtype
    )
    return np.flatnonzero(moved[codes])


def _encodings(column: Column, dataset: Dataset, counts: Counter[str]) -> dict[str, str | None]:
    """Texts in which UTF-8 was read as Windows-1252."""
    return {word: repaired(word) for word in counts}


def _spellings(column: Column, dataset: Dataset, counts: Counter[str]) -> dict[str, str | None]:
    """Variants of one category; classes are left to their owner, who may mean them."""
    if column.kind is not ColumnKind.CATEGORICAL or column.name == dataset.target:
        return {}
    alike: dict[str, list[str]] = defaultdict(list)
    for word in counts:
        alike[spelling(word)].append(word)
    best = {
        key: min(words, key=lambda w: (-counts[w], w != w.strip(), w)).strip()
        for key, words in alike.items()
    }
    return {word: best[key] for key, words in alike.items() for word in words}


def _missing(column: Column, dataset: Dataset, counts: Counter[str]) -> dict[str, str | None]:
    """Spellings of missing: among words only those that mean nothing else."""
    known = MISSING_ANYWHERE if column.kind in _WORDS else MISSING_AMONG_NUMBERS
    return {word: None for word in counts if word.strip() in known}


_CELLS: tuple[tuple[str, str, Mapper], ...] = (
    ("D028", "read again in their own encoding", _encodings),
    ("D012", "written as the most frequent spelling", _spellings),
    ("D013", "emptied, because they say that nothing is known", _missing),
)


def _copies(frame: pd.DataFrame, dataset: Dataset) -> np.ndarray:
    """Rows equal to an earlier one in features, target, group and time, booleans, shape (n,)."""
    copies = np.zeros(len(frame), dtype=bool)
    here = np.flatnonzero(usable(frame, dataset))
    some = frame.iloc[here].reset_index(drop=True)
    X = to_rows(some, dataset, with_target=False).X
    if not len(X.columns) or repeats_by_chance(X, dataset):
        return copies
    keys = combine(combine(row_hash(X), target_hash(some, dataset)), helper_hash(some, dataset))
    copies[here] = pd.Series(keys).duplicated().to_numpy()
    return copies


def check_new(to: Path) -> None:
    """Refuse a file that exists, or whose suffix is not known.

    Args:
        to: Where mended rows are to go.

    Raises:
        SpecError: Says which, and what to do.
    """
    if to.exists():
        remedy = "name a new file; nothing is overwritten"
        raise SpecError(Problem("mended data go to a new file", "it exists", str(to), remedy))
    if _suffix(to) not in _WRITERS:
        known = ", ".join(_WRITERS)
        rule = "mended data can be written as text, Parquet or Arrow"
        raise SpecError(Problem(rule, to.suffix or "no suffix", str(to), f"known are {known}"))


def write_frame(frame: pd.DataFrame, to: Path) -> None:
    """Write rows whole or not at all.

    Args:
        frame: Plain columns.
        to: A new file; its suffix decides the format.

    Raises:
        SpecError: As `check_new`.
    """
    check_new(to)
    write_atomic(to, _WRITERS[_suffix(to)](with_paths(frame, to.parent)))


def _suffix(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def _text(frame: pd.DataFrame, separator: str) -> bytes:
    return frame.to_csv(index=False, sep=separator, lineterminator="\n").encode("utf-8")


def _binary(frame: pd.DataFrame, write: str) -> bytes:
    buffer = io.BytesIO()
    getattr(frame, write)(buffer)
    return buffer.getvalue()


def _lines(frame: pd.DataFrame) -> bytes:
    text = frame.to_json(orient="records", lines=True, force_ascii=False, date_format="iso")
    return str(text).encode("utf-8")


def _zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


_WRITERS: dict[str, Callable[[Any], bytes]] = {
    ".csv": lambda frame: _text(frame, ","),
    ".tsv": lambda frame: _text(frame, "\t"),
    ".csv.gz": lambda frame: _zipped(_text(frame, ",")),
    ".tsv.gz": lambda frame: _zipped(_text(frame, "\t")),
    ".jsonl": _lines,
    ".jsonl.gz": lambda frame: _zipped(_lines(frame)),
    ".parquet": lambda frame: _binary(frame, "to_parquet"),
    ".arrow": lambda frame: _binary(frame, "to_feather"),
    ".feather": lambda frame: _binary(frame, "to_feather"),
}

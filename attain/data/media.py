"""Tables of images and clips: folders of classes, and columns of paths or of contents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from attain.core.errors import DataError, Problem
from attain.core.media import AUDIO, IMAGE, Reference, digest_of, inline, parse

IMAGES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}
)
CLIPS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au"})
FILE, LABEL = "file", "label"
"""Columns of the table that a folder becomes."""
_MOSTLY = 0.95  # share of cells that must end like a file of one kind
_TRIED = 200  # cells whose files are looked for before a column is taken for paths
_SHOWN = 5
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", IMAGE), (b"\xff\xd8\xff", IMAGE), (b"GIF8", IMAGE), (b"BM", IMAGE),
    (b"II*\0", IMAGE), (b"MM\0*", IMAGE), (b"P5", IMAGE), (b"P6", IMAGE),
    (b"fLaC", AUDIO), (b"OggS", AUDIO), (b"ID3", AUDIO), (b".snd", AUDIO),
    (b"\xff\xfb", AUDIO), (b"\xff\xf3", AUDIO), (b"\xff\xf2", AUDIO),
)  # fmt: skip
_CONTAINERS = {(b"RIFF", b"WAVE"): AUDIO, (b"RIFF", b"WEBP"): IMAGE, (b"FORM", b"AIFF"): AUDIO}


def kind_of_name(name: str) -> str:
    """``image``, ``audio`` or empty, by how the name of a file ends."""
    suffix = Path(name).suffix.lower()
    return IMAGE if suffix in IMAGES else AUDIO if suffix in CLIPS else ""


def kind_of_content(content: bytes) -> str:
    """``image``, ``audio`` or empty, by how a content begins."""
    if container := _CONTAINERS.get((content[:4], content[8:12])):
        return container
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), "")


def folder_frame(folder: Path) -> pd.DataFrame | None:
    """A folder with one folder for each class as a table.

    Args:
        folder: Files of a class may lie in further folders below the one that names it; hidden
            files and those of other kinds are left out.

    Returns:
        Columns ``file`` (path below `folder`) and ``label``, sorted by path; None when no folder
        below it holds images or clips.
    """
    found = []
    for label in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        found += [(p.relative_to(folder).as_posix(), label.name) for p in _files(label)]
    if not found:
        return None
    return pd.DataFrame({FILE: [f for f, _ in found], LABEL: [name for _, name in found]})


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and kind_of_name(path.name) and path.is_file():
            yield path


def with_references(frame: pd.DataFrame, root: Path | None, place: str) -> pd.DataFrame:
    """Columns of paths or contents as columns of references (`core.media`).

    A column is one of paths when nearly all of its cells end like images, or nearly all like
    clips, and some of these files exist. Then all must.

    Args:
        frame: Columns as read.
        root: Folder below which the files are; None for a table in memory, whose paths start at
            the working directory, and which may hold references already.
        place: Of the table, for messages.

    Returns:
        The same columns; those without media as they are.

    Raises:
        DataError: When a file is missing, cannot be read or lies outside of the folder, or when
            the table holds references of its own.
    """
    problems: list[Problem] = []
    changed = {}
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        made = _referenced(column, root, problems)
        if made is not None:
            changed[position] = made.rename(name)
    if problems:
        raise DataError(_few(problems, place))
    if not changed:
        return frame
    columns = [changed.get(i, frame.iloc[:, i]) for i in range(frame.shape[1])]
    return pd.concat(columns, axis=1)


def _referenced(column: pd.Series, root: Path | None, problems: list[Problem]) -> pd.Series | None:
    """The column as references; None if it holds no media."""
    if column.dtype.kind != "O" and not isinstance(column.dtype, pd.StringDtype):
        return None
    present = column.dropna()
    if present.empty:
        return None
    first = present.iloc[0]
    if isinstance(first, dict) and "bytes" in first:  # as the datasets library writes media
        column = column.map(lambda cell: cell.get("bytes") if isinstance(cell, dict) else None)
        first = next((c for c in column if c is not None), None)
    if isinstance(first, bytes | bytearray):
        return _from_contents(column, problems)
    if not isinstance(first, str):
        return None
    if parse(first) is not None:
        if root is not None:
            rule, remedy = "a table names files, not references to them", "give paths"
            problems.append(Problem(rule, first[:40], f"column {column.name!r}", remedy))
        return None
    return _from_paths(column, root, problems)


def _from_contents(column: pd.Series, problems: list[Problem]) -> pd.Series | None:
    place = f"column {column.name!r}"
    kinds = {i: kind_of_content(bytes(c)) for i, c in enumerate(column) if _is_bytes(c)}
    known = [kind for kind in kinds.values() if kind]
    kind = max(set(known), key=known.count) if known else ""
    if not kind:
        rule, remedy = "contents must be images or clips", "leave the column out, or give paths"
        problems.append(Problem(rule, "bytes of another kind", place, remedy))
        return None
    # one that is damaged from its first byte on stays among the others, for the audit to name
    cells = [str(inline(kind, bytes(c))) if _is_bytes(c) else None for c in column]
    return pd.Series(cells, index=column.index, dtype=object)


def _is_bytes(cell: Any) -> bool:
    return isinstance(cell, bytes | bytearray) and len(cell) > 0


def _from_paths(column: pd.Series, root: Path | None, problems: list[Problem]) -> pd.Series | None:
    names = [str(name) for name in pd.unique(column.dropna())]
    kinds = [kind_of_name(name) for name in names]
    kind = max((IMAGE, AUDIO), key=kinds.count)
    if kinds.count(kind) < _MOSTLY * len(names):
        return None
    base = (Path() if root is None else root).resolve()
    some = names[:: max(1, len(names) // _TRIED)]
    if not any((base / name).is_file() for name in some if "\0" not in name):
        return None
    made = {name: _reference(name, kind, base, column.name, problems) for name in names}
    cells = [None if pd.isna(cell) else made[str(cell)] for cell in column]
    return pd.Series(cells, index=column.index, dtype=object)


def _reference(
    name: str, kind: str, base: Path, column: Any, problems: list[Problem]
) -> str | None:
    """One path as a reference; what is wrong with it is added to the problems."""
    place = f"column {column!r}"
    try:
        path = (base / name).resolve()
        if not path.is_relative_to(base):
            rule = "files must lie below the folder of the table that names them"
            problems.append(Problem(rule, repr(name), place, f"copy it into {base}"))
            return None
        content = path.read_bytes()
    except FileNotFoundError:
        rule, remedy = "every file that a table names must be there", "add it, or drop the row"
        problems.append(Problem(rule, f"no {name!r}", place, remedy))
    except (OSError, ValueError) as error:
        rule, remedy = "every file that a table names must be readable", "mend it, or drop the row"
        problems.append(Problem(rule, f"{name!r}: {error}", place, remedy))
    else:
        return str(Reference(kind, digest_of(content), str(path)))
    return None


def with_paths(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """References as paths from a folder on, as `with_references` takes them.

    Args:
        frame: As `with_references` gives it.
        folder: Of the table that is to be written.

    Returns:
        The same columns; cells that hold a content themselves become that content.
    """

    def plain(cell: Any) -> Any:
        found = parse(cell)
        if found is None:
            return cell
        return found.content() if found.path is None else os.path.relpath(found.path, folder)

    changed = {
        name: frame[name].map(plain)
        for name in frame.columns
        if frame[name].dtype.kind not in "iufbM" and frame[name].map(parse).notna().any()
    }
    return frame.assign(**changed) if changed else frame


def _few(problems: list[Problem], place: str) -> list[Problem]:
    """The first problems, the others counted."""
    if len(problems) <= _SHOWN:
        return problems
    rule, left = "and others like these", len(problems) - _SHOWN
    return [*problems[:_SHOWN], Problem(rule, f"{left:,} more", place, "see above")]

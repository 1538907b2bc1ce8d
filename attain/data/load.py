"""Read rows from a file or a frame. Everything wrong is named with its line and the way out."""

from __future__ import annotations

import difflib
import gzip
import io
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attain.core.dialogue import NESTED
from attain.core.errors import DataError, Problem
from attain.data.cells import plain
from attain.data.conll import read_conll
from attain.data.delimited import read_delimited, read_json_lines
from attain.data.language import as_text
from attain.data.media import folder_frame, with_references

_MAGIC = (
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ARROW1", "an Arrow file", "name it .arrow"),
    (b"\x1f\x8b", "a gzip archive", "name it .csv.gz"),
    (b"PK\x03\x04", "a zip archive or an Excel sheet", "unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save the sheet as CSV (UTF-8)"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"\x89PNG", "an image", "give a table"),
    (b"\xff\xd8\xff", "an image", "give a table"),
    (b"%PDF", "a PDF", "give a table"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV or Parquet"),
)


def load_frame(source: Any) -> pd.DataFrame:
    """Read a table into plain columns.

    An unnamed first column is called ``Unnamed: 0``. In text files empty cells and spellings of
    "missing" without another meaning (``NaN``, ``null``, ``N/A``, ``?``) are missing. ``NA``,
    ``None``, ``-`` and the like are missing among numbers and dates; among words only ``NA`` is,
    and only if the column does not hold two-letter codes (Namibia): "None" is often a category.

    Args:
        source: A path (.csv .tsv .txt .parquet .arrow .feather .jsonl .ndjson .conll, text formats
            also with .gz; or a folder with a folder of images or clips for each class), a pandas or
            polars frame, a pyarrow table, or a mapping of columns.

    Returns:
        A new frame with a fresh index and text column names; its columns hold integers, floats,
        booleans, datetimes or text. Paths and contents of images and clips are references
        (`core.media`); paths start at the folder of the table and stay below it.

    Raises:
        DataError: When the source cannot be read; names line, value and remedy.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    place = "data" if path is None else str(path)
    try:
        if path is None:
            return _checked(with_references(_from_memory(source), None, place), place)
        folder = folder_frame(path) if path.is_dir() else None
        frame = _read(path) if folder is None else folder
        root = path.parent if folder is None else path
        return _checked(with_references(frame, root, place), place)
    except UnicodeEncodeError as error:  # half of a surrogate pair, such as "\\ud83d" in JSON
        raise DataError(
            Problem("text must be UTF-8", repr(error.object)[:60], place, "mend or remove the cell")
        ) from error


def _from_memory(source: Any) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, pa.Table | pa.RecordBatch):
        return _from_arrow(pa.table(source) if isinstance(source, pa.RecordBatch) else source)
    if isinstance(source, Mapping):
        return _from_columns(source)
    if type(source).__module__.partition(".")[0] == "polars":
        frame = source.collect() if hasattr(source, "collect") else source
        if hasattr(frame, "to_arrow") and hasattr(frame, "columns"):
            return _from_arrow(frame.to_arrow())
    raise DataError(
        Problem(
            "the data must be a path, a data frame (pandas, polars, arrow) or a dict of columns",
            type(source).__name__,
            "data",
            "wrap arrays with pandas.DataFrame(...) and name the columns",
        )
    )


def _from_columns(columns: Mapping[Any, Any]) -> pd.DataFrame:
    lengths = {str(k): len(v) if hasattr(v, "__len__") else -1 for k, v in columns.items()}
    odd = sorted(name for name, n in lengths.items() if n < 0 or isinstance(columns.get(name), str))
    if odd or len(set(lengths.values())) > 1:
        raise DataError(
            Problem(
                "all columns must be sequences of one length",
                ", ".join(f"{k}: {'no sequence' if k in odd else n}" for k, n in lengths.items()),
                "data",
                "give every column the same number of cells",
            )
        )
    return pd.DataFrame(
        {
            name: list(values) if not hasattr(values, "dtype") else values
            for name, values in columns.items()
        }
    )


def _from_arrow(table: pa.Table) -> pd.DataFrame:
    repeated = _repeated(table.column_names)
    if repeated:
        raise DataError(_duplicates(repeated, "data"))
    nested = [f for f in table.schema if pa.types.is_nested(f.type) and not _is_media(f.type)]
    spoken = [f.name for f in nested if f.name in NESTED or _is_labels(f.type)]
    nested = [f for f in nested if f.name not in spoken]
    if nested:
        raise DataError(
            Problem("a cell must hold one value", str(f.type), f"column {f.name!r}", _FLATTEN)
            for f in nested
        )
    whole = [
        column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
        for column in table.columns
    ]
    table = pa.table(whole, names=table.column_names)
    frame = table.to_pandas(date_as_object=False, ignore_metadata=True)
    for name in spoken:
        frame[name] = [as_text(name, value) for value in frame[name]]
    return frame


def _is_media(kind: pa.DataType) -> bool:
    """Whether a cell holds a file's path and content, as the datasets library writes them."""
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _is_labels(kind: pa.DataType) -> bool:
    """Whether a cell holds a list of texts."""
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return listed and (
        pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    )


_FLATTEN = "spread it over several columns, or write it as text"


def _checked(frame: pd.DataFrame, place: str) -> pd.DataFrame:
    """Plain columns with unique text names, at least one row and one column."""
    names = [_name(name, position) for position, name in enumerate(frame.columns)]
    problems = []
    repeated = _repeated(names)
    if repeated:
        problems.append(_duplicates(repeated, place))
    if not names:
        problems.append(Problem("a table needs columns", "none", place, "give rows and columns"))
    elif frame.empty:
        problems.append(
            Problem("a table needs rows", f"{len(names)} columns and no row", place, "add rows")
        )
    columns: list[pd.Series] = []
    for position, name in enumerate(names):
        try:
            columns.append(plain(frame.iloc[:, position]).reset_index(drop=True).rename(name))
        except UnicodeEncodeError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            problems.append(
                Problem("a cell must hold one value", str(error), f"column {name!r}", _FLATTEN)
            )
    if problems:
        raise DataError(problems)
    return pd.concat(columns, axis=1)


def _name(name: Any, position: int) -> str:
    if isinstance(name, tuple):
        return " ".join(str(part) for part in name if str(part))
    text = str(name)
    return text if text.strip() else f"Unnamed: {position}"


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _duplicates(names: list[str], place: str) -> Problem:
    shown = ", ".join(repr(name) for name in names[:10])
    return Problem(
        "column names must be unique", shown, place, "rename or remove the repeated ones"
    )


def _read(path: Path) -> pd.DataFrame:
    """Choose the reader by the file's name."""
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = suffixes[-2] if packed and len(suffixes) > 1 else "" if packed else suffixes[-1:]
    suffix = suffix if isinstance(suffix, str) else "".join(suffix)
    content = _bytes(path, packed)
    reader = _READERS.get(suffix)
    if reader is None:
        raise DataError(_unknown_format(path, suffix, content))
    return reader(content, path)


def _bytes(path: Path, packed: bool) -> bytes:
    """The file's (unpacked) content."""
    place = str(path)
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if packed else raw
    except FileNotFoundError:
        problem = Problem("the data file must exist", "no such file", place, _nearest(path))
    except IsADirectoryError:
        inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in _READERS)[:5]
        hint = f"name one of its files: {', '.join(inside)}" if inside else "name a file inside it"
        hint += ", or put images or clips into a folder for each class"
        problem = Problem("the data must be a file", "a folder", place, hint)
    except PermissionError:
        problem = Problem(
            "the data file must be readable",
            "permission denied",
            place,
            "give yourself read permission (chmod u+r)",
        )
    except NotADirectoryError:
        problem = Problem(
            "the data file must exist", "a part of the path is a file", place, "check the path"
        )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = Problem(
            "a .gz file must be a whole gzip archive",
            str(error),
            place,
            "copy or download it again",
        )
    except (OSError, ValueError) as error:  # too long a name, a loop of links, a null byte
        problem = Problem(
            "the data file must be readable", str(error), repr(place), "check the path"
        )
    else:
        if content.strip():
            return content
        problem = Problem(
            "a table needs a header and rows",
            "an empty file",
            place,
            "check that the file was written completely",
        )
    raise DataError(problem)


def _nearest(path: Path) -> str:
    """The name in the same folder that looks most like the wanted one."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    near = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], n=1)
    return (
        f"did you mean {str(folder / near[0])!r}?"
        if near
        else f"check the name; it is looked for in {folder.resolve()}"
    )


def _unknown_format(path: Path, suffix: str, content: bytes) -> Problem:
    remedies = {
        ".json": "write one object per line and name it .jsonl",
        ".xlsx": "save the sheet as CSV (UTF-8)",
        ".xls": "save the sheet as CSV (UTF-8)",
        ".zip": "unpack it first",
    }
    guess = next(
        (f"it looks like {what}: {do}" for magic, what, do in _MAGIC if content.startswith(magic)),
        "name it after its format",
    )
    known = ", ".join(sorted(_READERS))
    return Problem(
        f"the file name must end in one of {known} (text also with .gz)",
        suffix or "no ending",
        str(path),
        remedies.get(suffix, guess),
    )


def _refuse_binary(content: bytes, path: Path) -> None:
    """Text readers get text; anything else is named for what it is."""
    for magic, what, remedy in _MAGIC:
        if content.startswith(magic):
            raise DataError(
                Problem("the file must hold what its name says", what, str(path), remedy)
            )


def _delimited(content: bytes, path: Path) -> pd.DataFrame:
    _refuse_binary(content, path)
    tab = any(s.lower() in (".tsv", ".tab") for s in path.suffixes)
    return _from_arrow(read_delimited(content, str(path), "\t" if tab else None))


def _json_lines(content: bytes, path: Path) -> pd.DataFrame:
    _refuse_binary(content, path)
    rows = read_json_lines(content, str(path))
    return pd.DataFrame([{name: as_text(name, v) for name, v in row.items()} for row in rows])


def _conll(content: bytes, path: Path) -> pd.DataFrame:
    _refuse_binary(content, path)
    return read_conll(content, str(path))


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    import pyarrow.parquet as parquet

    return _columnar(lambda: parquet.read_table(io.BytesIO(content)), "Parquet", path)


def _arrow(content: bytes, path: Path) -> pd.DataFrame:
    def read() -> pa.Table:
        if content.startswith(b"ARROW1"):
            return pa.ipc.open_file(content).read_all()
        return pa.ipc.open_stream(content).read_all()

    return _columnar(read, "Arrow", path)


def _columnar(read: Callable[[], pa.Table], kind: str, path: Path) -> pd.DataFrame:
    try:
        return _from_arrow(read())
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            Problem(
                f"the file must be a whole {kind} file",
                reason,
                str(path),
                "write it again, or name it after its real format",
            )
        ) from error


_READERS: dict[str, Callable[[bytes, Path], pd.DataFrame]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".tab": _delimited,
    ".txt": _delimited,
    ".data": _delimited,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".arrow": _arrow,
    ".arrows": _arrow,
    ".ipc": _arrow,
    ".feather": _arrow,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".conll": _conll,
    ".iob": _conll,
    ".bio": _conll,
}

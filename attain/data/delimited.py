"""Text tables: fast when all is well (pyarrow), exact about the line when something is not."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from attain.core.dialogue import NESTED
from attain.core.errors import DataError, Problem
from attain.data.cells import is_list
from attain.data.words import (
    MISSING_AMONG_NUMBERS,
    MISSING_ANYWHERE,
    R_MISSING,
    TWO_CAPITALS,
)

_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED = 50  # records looked at to find the delimiter
_SHOWN = 5  # problems of one kind that are shown
_CP1252_ONLY = set(range(0x80, 0xA0))
_CP1252_UNUSED = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
_LONGEST_FIELD = 2**27
_PROSE = 'quote the fields; prose can be read as JSON Lines, a text a line: {"text": "..."}'


def read_delimited(content: bytes, place: str, delimiter: str | None = None) -> pa.Table:
    """Read a comma-, semicolon-, tab- or pipe-separated table.

    Args:
        content: The whole file.
        place: For messages.
        delimiter: One character, or None to find it from the first records.

    Returns:
        A table with types inferred from all rows; missing cells are null.

    Raises:
        DataError: Not UTF-8, binary, header only, repeated names, or rows of unequal length, with
            lines and remedy.
    """
    text = as_text(content, place)
    delimiter = delimiter or _sniff(text)
    header: list[str] = next(_records(text, delimiter), [])
    _check_header(header, text, delimiter, place)
    names = [name if name.strip() else f"Unnamed: {i}" for i, name in enumerate(header)]
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(content),
            read_options=arrow_csv.ReadOptions(block_size=min(max(len(content), 2**20), 2**30)),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values='"' in text
            ),
            convert_options=arrow_csv.ConvertOptions(
                null_values=sorted(MISSING_AMONG_NUMBERS),
                strings_can_be_null=False,
                decimal_point="," if delimiter == ";" and _decimal_commas(text) else ".",
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(_explain(text, delimiter, place, str(error))) from error
    columns = [_typed(table.column(i)) for i in range(table.num_columns)]
    return pa.table(columns, names=names)


def as_text(content: bytes, place: str) -> str:
    """Decode UTF-8, or say where it is not and what it looks like.

    Args:
        content: The whole file, with or without a byte-order mark.
        place: For messages.

    Returns:
        The text without its byte-order mark.

    Raises:
        DataError: Names line, byte, the likely encoding and how to convert it.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(_encoding(place, "UTF-16", "the file starts with a UTF-16 mark"))
    if b"\x00" in content[:65536]:
        raise DataError(
            Problem(
                "a text table must hold text",
                "null bytes, so it is binary",
                place,
                "give CSV, TSV, JSON Lines, Parquet or Arrow, named after its format",
            )
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        high = {byte for byte in content if byte >= 0x80}
        cp1252 = high & _CP1252_ONLY and not high & _CP1252_UNUSED
        name = "cp1252" if cp1252 else "latin-1"
        found = f"byte 0x{content[error.start]:02x} at offset {error.start}, line {line}"
        raise DataError(_encoding(place, name, found)) from error


def _encoding(place: str, name: str, found: str) -> Problem:
    new = "converted.csv"
    return Problem(
        "text must be UTF-8",
        found,
        place,
        f"it looks like {name}: iconv -f {name.upper()} -t UTF-8 {place} > {new}",
    )


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return (record for record in reader if record)


def _sniff(text: str) -> str:
    """The delimiter that cuts most of the first records into the header's number of fields."""
    start = text[:1_000_000]

    def quality(delimiter: str) -> tuple[float, int]:
        try:
            counts = [len(record) for record in islice(_records(start, delimiter), _SNIFFED)]
        except csv.Error:
            return (0.0, 0)
        if not counts or counts[0] < 2:
            return (0.0, 0)
        return (round(Counter(counts)[counts[0]] / len(counts), 1), counts[0])

    best = max(_DELIMITERS, key=quality)
    return best if quality(best)[1] else ","


def _decimal_commas(text: str) -> bool:
    """Whether fields between semicolons look like 3,14."""
    fields = [
        field for record in islice(_records(text[:100_000], ";"), 1, _SNIFFED) for field in record
    ]
    comma = sum(_is_number(f.replace(",", ".", 1)) for f in fields if "," in f)
    dot = sum(_is_number(f) for f in fields if "." in f)
    return comma > dot


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_header(header: list[str], text: str, delimiter: str, place: str) -> None:
    problems = []
    repeated = [name for name, count in Counter(header).items() if count > 1 and name.strip()]
    if repeated:
        problems.append(
            Problem(
                "column names must be unique",
                ", ".join(map(repr, repeated[:10])),
                f"{place}, line 1",
                "rename or remove the repeated columns",
            )
        )
    if len(list(islice(_records(text, delimiter), 2))) < 2:
        problems.append(
            Problem(
                "a table needs rows",
                f"a header of {len(header)} columns and no row",
                place,
                "check that the file was written completely",
            )
        )
    if problems:
        raise DataError(problems)


def _explain(text: str, delimiter: str, place: str, message: str) -> list[Problem]:
    """The lines that pyarrow refused, found again with exact line numbers."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    wanted, ragged, line = 0, [], 1
    try:
        for record in reader:
            if record and not wanted:
                wanted = len(record)
            elif record and len(record) != wanted:
                ragged.append((line, len(record)))
            line = reader.line_num + 1
    except csv.Error as error:
        return [
            Problem(
                "a text table must be well formed",
                str(error),
                f"{place}, line {line}",
                "check quotes and line ends there",
            )
        ]
    if not ragged:
        return [
            Problem(
                "a text table must be well formed",
                message.splitlines()[0][:200],
                place,
                "check quotes and line ends",
            )
        ]
    if wanted == 1:
        rule, got = "a file of one column has one field a line", f"{len(ragged)} lines with more"
        return [Problem(rule, got, f"{place}, first line {ragged[0][0]}", _PROSE)]
    problems = [
        Problem(
            f"every row must have {wanted} fields, as the header",
            f"{seen} fields",
            f"{place}, line {at}",
            "quote fields that hold the delimiter, or mend the row",
        )
        for at, seen in ragged[:_SHOWN]
    ]
    if len(ragged) > _SHOWN:
        problems.append(
            Problem(
                "every row must be as long as the header",
                f"{len(ragged)} rows are not, the first {_SHOWN} are shown",
                place,
            )
        )
    return problems


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words keep only what is surely not missing; clock times become text."""
    if pa.types.is_time(column.type):
        return column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return column
    gone = set(MISSING_ANYWHERE)
    if not _two_letter_codes(column):
        gone.add(R_MISSING)
    is_gone = pc.is_in(column, value_set=pa.array(sorted(gone)))
    if not pc.any(is_gone).as_py():
        return column
    return pc.if_else(is_gone, pa.scalar(None, pa.string()), column)


def _two_letter_codes(column: pa.ChunkedArray) -> bool:
    """Whether a column that holds "NA" otherwise holds codes of two capitals, such as countries."""
    if not pc.any(pc.equal(column, R_MISSING)).as_py():
        return False
    words = [w for w in pc.unique(column).to_pylist() if w and w not in MISSING_ANYWHERE]
    others = [w for w in words if w != R_MISSING]
    return len(others) >= 2 and all(TWO_CAPITALS.fullmatch(w) for w in others)


def read_json_lines(content: bytes, place: str) -> list[dict[str, Any]]:
    """Read one JSON object per line.

    Args:
        content: The whole file.
        place: For messages.

    Returns:
        The objects, in order; blank lines are left out. Cells of `core.dialogue.NESTED` may hold
        lists and objects, those of any column lists of texts.

    Raises:
        DataError: Names the lines that are not objects of plain values.
    """
    rows, problems = [], []
    for number, line in enumerate(as_text(content, place).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append((number, "each line must be a JSON object", str(error)))
            continue
        if not isinstance(row, dict):
            problems.append((number, "each line must be a JSON object", line.strip()[:60]))
            continue
        nested = [
            key
            for key, value in row.items()
            if isinstance(value, list | dict) and key not in NESTED and not is_list(value)
        ]
        if nested:
            problems.append(
                (number, "a cell must hold one value", f"a list or object in {nested[0]!r}")
            )
        rows.append(row)
    if problems:
        raise DataError(
            [
                Problem(
                    rule,
                    value,
                    f"{place}, line {number}",
                    "mend the line, or write it again as JSON Lines",
                )
                for number, rule, value in problems[:_SHOWN]
            ]
            + (
                [
                    Problem(
                        "all lines must be sound",
                        f"{len(problems)} are not, the first {_SHOWN} are shown",
                        place,
                    )
                ]
                if len(problems) > _SHOWN
                else []
            )
        )
    return rows

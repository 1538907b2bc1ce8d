"""Words and their labels in columns of a text, one line a word, an empty line between sentences."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd

from attain.core.errors import DataError, Problem

WORDS, LABELS = "words", "labels"
_SHOWN = 3
_DOCUMENT = "-DOCSTART-"


def read_conll(content: bytes, place: str) -> pd.DataFrame:
    """Sentences of a file in the form of the CoNLL shared tasks.

    Columns are separated by tabs if there are any, else by blanks. The first one holds words, the
    last one labels; those between are kept as ``column 2``, ``column 3``, .... Lines that mark a
    document, and comments (``#`` before a sentence, with another number of columns), are left out.

    Args:
        content: Of the file.
        place: Its name, for messages.

    Returns:
        One row a sentence; lists as JSON text.

    Raises:
        DataError: When it is not UTF-8, a line has other columns than the rest, or there are less
            than two columns.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        value = f"byte {error.start}"
        raise DataError(Problem("text must be UTF-8", value, place, "save it as UTF-8")) from error
    lines = text.splitlines()
    tabbed = "\t" in text
    split = [line.split("\t") if tabbed else line.split() for line in lines]
    split = [[cell.strip() for cell in row] if any(c.strip() for c in row) else [] for row in split]
    width = _width(split, place)
    sentences: list[list[list[str]]] = [[]]
    odd = []
    for number, row in enumerate(split, start=1):
        if not row:
            sentences.append([])
        elif len(row) != width or not all(row):
            comment = not sentences[-1] and row[0].startswith("#")
            if not comment and row[0] != _DOCUMENT:
                odd.append(f"line {number} has {sum(map(bool, row))}")
        elif row[0] != _DOCUMENT:
            sentences[-1].append(row)
    if odd:
        rule, remedy = f"every word has {width} columns", "mend these lines"
        more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        raise DataError(Problem(rule, ", ".join(odd[:_SHOWN]) + more, place, remedy))
    names = [WORDS, *(f"column {i}" for i in range(2, width)), LABELS]
    whole = [list(zip(*sentence, strict=True)) for sentence in sentences if sentence]
    return pd.DataFrame(
        {
            name: [json.dumps(columns[i], ensure_ascii=False) for columns in whole]
            for i, name in enumerate(names)
        }
    )


def _width(rows: list[list[str]], place: str) -> int:
    """Columns that most words have."""
    counts = Counter(len(row) for row in rows if row)
    width = counts.most_common(1)[0][0] if counts else 0
    if width < 2:
        rule, remedy = "words need a label in a second column", "separate them by a tab or a blank"
        raise DataError(Problem(rule, f"{width} columns", place, remedy))
    return width

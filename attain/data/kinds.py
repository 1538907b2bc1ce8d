"""What a column is: numbers, truth values, times, categories or running text; and what is an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attain.core.media import IMAGE, parse
from attain.core.types import ColumnKind
from attain.data import cells, words

MIXED = "mixed"  # Column.format of numbers among which other text counts as missing
MOSTLY = 0.95  # share of cells that must be numbers for the rest to be taken for mistakes
NEAR_UNIQUE = 0.95  # distinct share above which short texts name rows rather than describe them
TEXT_WORDS, TEXT_DISTINCT = 3.0, 0.5  # mean words of a cell from which texts of which so large a
LONG_WORDS, LONG_DISTINCT = 6.0, 0.1  # share is distinct are running text; sentences may repeat
ENOUGH = 20  # present cells below which uniqueness proves nothing
_READ_WORDS = 1_000  # distinct texts whose words are counted, evenly spread
_TRIED = 200  # distinct texts on which date formats are tried before reading all


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen in one column.

    Attributes:
        kind: How it is read.
        reason: Why, in one clause.
        format: As `Column.format`.
        missing: Missing cells.
        distinct: Distinct present values.
        spoiled: Cells that are text among numbers.
        levels: Distinct present values, most of them as read.
    """

    kind: ColumnKind
    reason: str
    format: str
    missing: int
    distinct: int
    spoiled: int = 0
    levels: Any = ()


def look(column: pd.Series) -> Look:
    """Decide how a plain column is read.

    Args:
        column: Integers, floats, booleans, datetimes or text.

    Returns:
        Kind, reason and counts.
    """
    if cells.is_text(column):
        return _look_at_text(column)
    missing = int(column.isna().sum())
    levels = column.dropna().unique()
    kind, reason = {
        "b": (ColumnKind.BOOLEAN, "true or false"),
        "M": (ColumnKind.DATETIME, "dates"),
    }.get(column.dtype.kind, (ColumnKind.NUMERIC, "numbers"))
    if kind is ColumnKind.NUMERIC and len(levels) == 2 and set(levels) == {0, 1}:
        kind, reason = ColumnKind.BOOLEAN, "0 or 1"
    return Look(kind, reason, "", missing, len(levels), levels=levels)


def _look_at_text(column: pd.Series) -> Look:
    codes, levels = pd.factorize(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    gone = cells.missing_levels(levels)
    present, weight = np.asarray(levels, dtype=object)[~gone], counts[~gone]
    absent = int((codes < 0).sum())
    read_missing = absent + int(counts[gone].sum())
    reference = parse(present[0]) if len(present) else None
    if reference is not None:
        kind = ColumnKind.IMAGE if reference.kind == IMAGE else ColumnKind.AUDIO
        return Look(kind, _MEDIA[kind], "", absent, len(levels), 0, levels)
    for kind, reason, form, fits in _readings(present):
        total = int(weight.sum())
        spoiled = total - int(weight[fits].sum())
        if form == MIXED and (spoiled == 0 or spoiled > (1 - MOSTLY) * total):
            continue
        if form != MIXED and spoiled:
            continue
        why = reason.format(spoiled=spoiled)
        return Look(kind, why, form, read_missing, int(fits.sum()), spoiled, present)
    kind, reason = _words(present, int(weight.sum()))
    return Look(kind, reason, "", absent, len(levels), 0, levels)


_MEDIA = {ColumnKind.IMAGE: "images", ColumnKind.AUDIO: "sound clips"}


def _readings(levels: np.ndarray) -> Any:
    """Ways to read distinct texts as something else, the strictest first, with what fits."""
    if len(levels) == 0:
        return
    lower = {str(level).strip().lower() for level in levels}
    if lower in words.BOOLEAN_PAIRS:
        yield ColumnKind.BOOLEAN, "yes or no", "", np.ones(len(levels), dtype=bool)
    numeric = ~np.isnan(cells.number_levels(levels))
    if numeric.any():
        yield ColumnKind.NUMERIC, "numbers written as text", "", numeric
        mixed = "numbers, but {spoiled} cells are other text and count as missing"
        yield ColumnKind.NUMERIC, mixed, MIXED, numeric
    form = date_format(levels)
    if form:
        twin = _twin(levels, form)
        unsure = f"; {twin} would fit too" if twin else ""
        fits = ~np.isnat(cells.time_levels(levels, form))
        yield ColumnKind.DATETIME, f"dates written as {form}{unsure}", form, fits


def date_format(levels: np.ndarray) -> str:
    """The first known format in which all distinct texts are dates.

    Args:
        levels: Distinct texts, shape (k,).

    Returns:
        strptime pattern, ``ISO8601``, or empty. Whole numbers are never taken for dates.
    """
    tried = levels[:: max(1, len(levels) // _TRIED)]
    if not all(words.MAYBE_DATE.search(str(level)) for level in tried):
        return ""
    iso = all(words.ISO_DATE.fullmatch(str(level)) for level in tried)
    for form in words.DATE_FORMATS:
        if (form == "ISO8601") != iso:
            continue
        if (
            not np.isnat(cells.time_levels(tried, form)).any()
            and not np.isnat(cells.time_levels(levels, form)).any()
        ):
            return form
    return ""


def _twin(levels: np.ndarray, form: str) -> str:
    """The format with day and month exchanged, if it fits as well."""
    for one, other in words.TWIN_FORMATS.items():
        if form.startswith(one):
            twin = form.replace(one, other)
            return twin if not np.isnat(cells.time_levels(levels, twin)).any() else ""
    return ""


def _words(levels: np.ndarray, rows: int) -> tuple[ColumnKind, str]:
    """Category or running text."""
    if rows and len(levels) >= ENOUGH:
        some = [str(level) for level in levels[:: max(1, len(levels) // _READ_WORDS)]]
        length, share = sum(map(_length, some)) / len(some), len(levels) / rows
        if length >= TEXT_WORDS and share > TEXT_DISTINCT:
            return ColumnKind.TEXT, "mostly distinct texts of several words"
        if length >= LONG_WORDS and share > LONG_DISTINCT:
            return ColumnKind.TEXT, f"{len(levels)} distinct texts of {length:.0f} words on average"
    return ColumnKind.CATEGORICAL, f"{len(levels)} distinct words"


def _length(text: str) -> float:
    """Words of a text; where a script has no spaces, two characters count as one."""
    return max(len(text.split()), len(words.UNSPACED.findall(text)) / 2)


def as_text(column: pd.Series) -> Look:
    """A plain column that is to be read as running text, whatever it looks like.

    Args:
        column: Integers, floats, booleans, datetimes or text.

    Returns:
        Kind, reason and counts.
    """
    codes, levels = pd.factorize(cells.texts(column))
    absent = int((codes < 0).sum())
    why = "read as text, as asked"
    return Look(ColumnKind.TEXT, why, "", absent, len(levels), levels=levels)


def useless(name: str, column: pd.Series, seen: Look) -> str:
    """Why a column cannot help to predict new rows.

    Args:
        name: Of the column.
        column: Its plain cells.
        seen: What `look` gave.

    Returns:
        The reason, or empty when the column is a feature.
    """
    if seen.distinct == 0:
        return "it is empty"
    if seen.distinct == 1 and seen.missing == 0:
        return "it holds one value only"
    present = len(column) - seen.missing
    if present < ENOUGH:
        return ""
    named = words.names_identifier(words.name_words(name))
    if seen.kind is ColumnKind.NUMERIC and not cells.is_text(column):
        return _counter(named, column, seen)
    if seen.kind is ColumnKind.CATEGORICAL and seen.distinct >= NEAR_UNIQUE * present:
        return f"nearly every row has its own value ({seen.distinct} in {present}): an identifier"
    if seen.kind is ColumnKind.CATEGORICAL and named:
        if seen.distinct >= 0.9 * present:
            return f"an identifier by its name, {seen.distinct} values in {present} rows"
        some = list(seen.levels[:100])
        if all(words.UUID.fullmatch(str(level)) for level in some):
            return "it holds UUIDs"
    return ""


def _counter(named: bool, column: pd.Series, seen: Look) -> str:
    """Why whole numbers are a row counter or an identifier."""
    if column.dtype.kind not in "iu" or seen.distinct < len(column):
        return ""
    values = column.to_numpy()
    if values[0] in (0, 1) and bool((np.diff(values) == 1).all()):
        return "it counts the rows"
    if named:
        return "a whole number of its own in every row, and named like an identifier"
    return ""

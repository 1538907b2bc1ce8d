"""Tables of words: what a cell or a column name may mean."""

from __future__ import annotations

import re


def _bag(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Spellings of "nothing here" that have no other meaning, also among words. They follow
# pandas.read_csv (`na_values`), without those that may be a category (see AMBIGUOUS), and with the
# "?" of the UCI repository.
MISSING_ANYWHERE = _bag(
    "? NaN nan NAN -NaN -nan null NULL Null <NA> N/A n/a #N/A #NA NaT nil "
    "#NULL! #VALUE! #REF! #DIV/0!"
) | {"", "#N/A N/A"}

# Missing among numbers, dates and yes/no; among words they may be a category: no masonry ("None"),
# Namibia or North America ("NA"), "unknown" as an answer.
AMBIGUOUS = _bag(
    "NA na Na None none NONE - -- . .. * missing Missing MISSING unknown Unknown UNKNOWN"
)

MISSING_AMONG_NUMBERS = MISSING_ANYWHERE | AMBIGUOUS

# R writes a missing cell as NA without quotes, so among words it means missing too, unless the
# column holds codes of two capitals, where it is more likely a country, a continent or a language.
R_MISSING = "NA"
TWO_CAPITALS = re.compile(r"[A-Z]{2}")

TRUE = frozenset(["true", "t", "yes", "y", "on", "1", "1.0"])
FALSE = frozenset(["false", "f", "no", "n", "off", "0", "0.0"])

# A pair of words makes a boolean only as a pair: "yes" with "off" is a category.
BOOLEAN_PAIRS = (
    frozenset(["true", "false"]),
    frozenset(["t", "f"]),
    frozenset(["yes", "no"]),
    frozenset(["y", "n"]),
    frozenset(["on", "off"]),
)

# strptime patterns tried in this order; the first that reads every cell wins. Month first precedes
# day first (as in pandas), and the column's reason says when both readings are possible.
_DAYS = (
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
)
DATE_FORMATS = (
    "ISO8601",
    *(f"{day}{clock}" for day in _DAYS for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p")),
)
# Two groups of digits at least, apart: cheaper than trying every format on every category.
MAYBE_DATE = re.compile(r"\d[^\d].*\d{2}")
ISO_DATE = re.compile(r"\s*\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}.*)?)?\s*")
TWIN_FORMATS = {"%m/%d/%Y": "%d/%m/%Y", "%m-%d-%Y": "%d-%m-%Y"}

# Column names, split into lower-case words.
ID_WORDS = frozenset(["id", "ids", "uuid", "guid", "rowid", "identifier", "unnamed", "instant"])
NUMBER_WORDS = frozenset(["no", "nr", "num", "number"])  # "order_no", but not "num_rooms"
INDEX_WORDS = frozenset(["index", "idx", "key", "row", "rownum", "record"])  # not "price_index"
UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""Thai, kana and Han characters: scripts that put no spaces between words."""
UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")

# Whose rows belong together: the same entity in training and validation makes scores too good.
# Alone these words name the entity; with anything else but an id word ("user_type") they do not.
ENTITY_WORDS = _bag(
    "subject patient participant person speaker user customer client member student employee "
    "household session visitor driver donor respondent rater worker animal mouse group cluster "
    "entity"
)
# These name an entity only together with an id word: "device" alone is often a category.
ENTITY_WITH_ID_WORDS = ENTITY_WORDS | _bag(
    "device machine family store shop site account engine unit hospital school case sample batch "
    "vehicle seller order author"
)

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|#")


def name_words(name: str) -> tuple[str, ...]:
    """Split a column name into lower-case words.

    Args:
        name: Such as ``PassengerId``, ``user_id`` or ``subject#``.

    Returns:
        Such as ``("passenger", "id")``; ``#`` counts as ``id``.
    """
    return tuple("id" if part == "#" else part.lower() for part in _PARTS.findall(name))


def names_identifier(parts: tuple[str, ...]) -> bool:
    """Whether the words of a column name say that it identifies rows."""
    if not parts:
        return False
    if ID_WORDS & set(parts) or (len(parts) > 1 and parts[-1] in NUMBER_WORDS):
        return True
    return set(parts) <= INDEX_WORDS | NUMBER_WORDS and bool(INDEX_WORDS & set(parts))


def names_entity(parts: tuple[str, ...]) -> bool:
    """Whether the words of a column name are those of an entity and nothing else."""
    marks = ID_WORDS | NUMBER_WORDS | {"code", "key"}
    rest = [part for part in parts if part not in marks]
    if len(rest) != 1:
        return False
    return rest[0] in (ENTITY_WORDS if len(parts) == 1 else ENTITY_WITH_ID_WORDS)

"""What generated answers are worth beside a reference. Needs no torch."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from attain.core.answer_schema import satisfies, unfenced

_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_LONGEST = 6
"""Characters of the longest run in chrF (Popovic 2015)."""
_BETA = 2.0
_LONGEST_PATTERN = 1_000
_PATTERN = re.compile(r"[\\\[\]().*+?^$|{}]")


def judge(answer: str, reference: str, schema: str = "") -> dict[str, float]:
    """Everything that is counted of one answer.

    Args:
        answer: As generated, without special tokens.
        reference: As it should be.
        schema: JSON Schema that it should satisfy; empty for none.

    Returns:
        Values of the columns ``exact`` to ``json`` of `core.language.COLUMNS`, and of ``schemas``
        and ``satisfied``.
    """
    wanted, number = last_number(reference), last_number(answer)
    pattern = _pattern(reference)
    return {
        "exact": float(_blanks(answer) == _blanks(reference)),
        "numbered": float(wanted is not None),
        "number": float(wanted is not None and number == wanted),
        "contains": float(_blanks(reference) in _blanks(answer)),
        "patterns": float(pattern is not None),
        "matches": float(pattern is not None and pattern.search(answer[:100_000]) is not None),
        "rouge_l": rouge_l(answer, reference),
        "chrf": chrf(answer, reference),
        "json": float(json_valid(answer, reference)),
        "schemas": float(bool(schema)),
        "satisfied": float(bool(schema) and satisfies(answer, schema)),
    }


def last_number(text: str) -> Decimal | None:
    """The last number in a text, without signs of currency and thousands.

    Args:
        text: Any.

    Returns:
        None when there is no number.
    """
    found = _NUMBER.findall(text)
    if not found:
        return None
    try:
        return Decimal(found[-1].replace(",", "").replace("$", ""))
    except InvalidOperation:
        return None


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words: Lin 2004, section 3.1, with beta 1.

    Args:
        answer: As generated.
        reference: As it should be.

    Returns:
        In [0, 1]; words are runs of letters and digits, in lower case.
    """
    a, b = (_WORD.findall(text.lower()) for text in (answer, reference))
    if not a or not b:
        return 0.0
    common = _common(a, b)
    if not common:
        return 0.0
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for j, other in enumerate(b, 1):
            above = row[j]
            row[j] = before + 1 if word == other else max(above, row[j - 1])
            before = above
    return row[-1]


def chrf(answer: str, reference: str) -> float:
    """Mean over runs of 1 to 6 characters of precision and recall, then F2: Popovic 2015.

    Args:
        answer: As generated.
        reference: As it should be.

    Returns:
        In [0, 1]; blanks do not count, and lengths of which one side has no run are left out, as
        sacreBLEU does.
    """
    a, b = ("".join(text.split()) for text in (answer, reference))
    precisions, recalls = [], []
    for size in range(1, _LONGEST + 1):
        one, other = _runs(a, size), _runs(b, size)
        said, wanted = sum(one.values()), sum(other.values())
        if said and wanted:
            both = sum((one & other).values())
            precisions.append(both / said)
            recalls.append(both / wanted)
    if not precisions:
        return 0.0
    precision = sum(precisions) / len(precisions)
    recall = sum(recalls) / len(recalls)
    if precision + recall == 0:
        return 0.0
    weight = _BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall)


def _runs(text: str, size: int) -> Counter[str]:
    return Counter(text[i : i + size] for i in range(len(text) - size + 1))


def json_valid(answer: str, reference: str) -> bool:
    """Whether an answer is JSON of the form of the reference.

    Args:
        answer: As generated; a fence of three backticks around it is taken off.
        reference: If it is JSON, its form counts: the same keys with values of the same types.

    Returns:
        False for anything that is not JSON.
    """
    try:
        found = json.loads(unfenced(answer))
    except (ValueError, RecursionError):
        return False
    try:
        wanted = json.loads(reference)
    except (ValueError, RecursionError):
        return True
    return _form(found) == _form(wanted)


def _form(value: Any) -> Any:
    """Keys and types; of a list the form of its first item."""
    if isinstance(value, dict):
        return {key: _form(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_form(value[0])] if value else []
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _blanks(text: str) -> str:
    return " ".join(text.split())


def _pattern(reference: str) -> re.Pattern[str] | None:
    """The reference as a regular expression, if it looks like one."""
    if len(reference) > _LONGEST_PATTERN or not _PATTERN.search(reference):
        return None
    try:
        return re.compile(reference.strip())
    except re.error:
        return None

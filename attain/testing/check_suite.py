"""What every data check must do. `check_check` raises AssertionError with what is broken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from attain.core.codec import decode, encode
from attain.core.protocols import Check, Subject
from attain.core.types import Column, Finding, FindingState

MOST_ROWS = 20
_CODE = re.compile(r"[A-Z]+\d{3}")


def check_check(check_class: type, subject: Callable[[], Subject]) -> Finding:
    """Hold a data check against its contract.

    Args:
        check_class: The check; made without arguments.
        subject: Makes the same subject each time it is called.

    Returns:
        What the check found in the subject.

    Raises:
        AssertionError: When the contract is broken; says how.
    """
    check = check_class()
    name = check_class.__name__
    assert isinstance(check, Check), f"{name} lacks code or run"
    assert _CODE.fullmatch(check.code), f"{name}: a code is like D004, got {check.code!r}"
    given = subject()
    finding = _run(check, name, given)
    _untouched(name, given, subject())
    again = encode(_run(check_class(), name, subject()))
    assert again == encode(finding), f"{name}: two runs on the same rows must find the same"
    for rows in (1, 2):
        _run(check, f"{name} on {rows} row(s)", first_rows(subject(), rows))
    return finding


def first_rows(subject: Subject, rows: int) -> Subject:
    """A subject of the first few rows only, with counts to match.

    Args:
        subject: Any.
        rows: How many to keep.

    Returns:
        A new subject.
    """
    kept = subject.rows.take(np.arange(min(rows, len(subject.rows))))
    frame = subject.frame.iloc[: len(kept)]
    columns = tuple(_recounted(column, frame) for column in subject.dataset.columns)
    counts: tuple[int, ...] = ()
    if kept.y is not None and subject.dataset.classes:
        found = np.bincount(kept.y.astype(np.int64), minlength=len(subject.dataset.classes))
        counts = tuple(int(n) for n in found)
    dataset = replace(subject.dataset, rows=len(kept), columns=columns, class_counts=counts)
    return replace(subject, dataset=dataset, frame=frame, rows=kept)


def _recounted(column: Column, frame: Any) -> Column:
    if column.name not in frame:
        return column
    values = frame[column.name]
    return replace(column, missing=int(values.isna().sum()), distinct=int(values.nunique()))


def _run(check: Check, name: str, subject: Subject) -> Finding:
    try:
        finding = check.run(subject)
    except Exception as error:
        raise AssertionError(
            f"{name}: run must answer, not raise ({error!r}) — NOT_APPLICABLE is an answer"
        ) from error
    assert isinstance(finding, Finding), f"{name}: run must return a Finding, got {finding!r}"
    _sound(check, name, finding, subject)
    return finding


def _sound(check: Check, name: str, finding: Finding, subject: Subject) -> None:
    assert finding.code == check.code, f"{name}: the finding's code is {finding.code!r}"
    assert finding.title.strip(), f"{name}: a finding needs a title"
    silent = finding.state is not FindingState.PASSED and not finding.explanation.strip()
    assert not silent, f"{name}: {finding.state} needs an explanation"
    if finding.state is FindingState.FOUND:
        assert finding.remedy.strip(), f"{name}: what is found needs a remedy"
    known = {column.name for column in subject.dataset.columns}
    strange = sorted(set(finding.columns) - known)
    assert not strange, f"{name}: columns that do not exist: {strange}"
    assert len(finding.rows) <= MOST_ROWS, f"{name}: at most {MOST_ROWS} rows are named"
    wrong = [row for row in finding.rows if not 0 <= row < len(subject.rows)]
    assert not wrong, f"{name}: rows that do not exist: {wrong}"
    try:
        back = decode(Finding, json.loads(json.dumps(encode(finding), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name}: the finding has no JSON form: {error}") from error
    assert encode(back) == encode(finding), f"{name}: the finding does not survive JSON"


def _untouched(name: str, used: Subject, fresh: Subject) -> None:
    same = used.frame.equals(fresh.frame) and used.rows.X.equals(fresh.rows.X)
    assert same, f"{name}: run must not change the frame or the rows"
    if used.rows.y is not None and fresh.rows.y is not None:
        kept = np.array_equal(used.rows.y, fresh.rows.y, equal_nan=fresh.rows.y.dtype.kind == "f")
        assert kept, f"{name}: run must not change the target"
    assert encode(used.dataset) == encode(fresh.dataset), f"{name}: run must not change the dataset"

"""Writing predictions where the user wants them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.files import plain_errors

if TYPE_CHECKING:
    import pandas as pd

_WRITERS: Mapping[str, Callable[[Any, Path], None]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
    ".jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def check(out: Path) -> None:
    """Refuse a file that could not be written, before anything is predicted.

    Args:
        out: Where predictions go.

    Raises:
        SpecError: When the ending is unknown or the folder does not exist.
    """
    problems = []
    if out.suffix.lower() not in _WRITERS:
        remedy = did_you_mean(out.suffix, list(_WRITERS))
        problems.append(
            Problem("predictions go to a known kind of file", str(out), "--out", remedy)
        )
    if not out.parent.is_dir():
        problems.append(
            Problem("the folder must exist", str(out.parent), "--out", f"mkdir -p {out.parent}")
        )
    if problems:
        raise SpecError(problems)


def write(frame: pd.DataFrame, out: Path) -> None:
    """Write predictions so that the file is whole or absent.

    Args:
        frame: One row per prediction.
        out: Checked by `check`.

    Raises:
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    draft = out.with_name(f".{out.name}.draft")
    with plain_errors(out):
        try:
            _WRITERS[out.suffix.lower()](frame, draft)
            os.replace(draft, out)
        finally:
            draft.unlink(missing_ok=True)


def as_csv(frame: pd.DataFrame) -> str:
    """CSV with a header, without a last line end."""
    return str(frame.to_csv(index=False)).rstrip("\n")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Plain JSON values, one mapping for each row."""
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found

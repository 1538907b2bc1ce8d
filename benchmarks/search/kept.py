"""What small comparisons share: their arguments, files that are made once, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def arguments(about: str, seeds: int) -> argparse.Namespace:
    """What was asked for: ``data``, ``seeds``, ``quick`` and ``check``.

    Args:
        about: What is compared, in a line.
        seeds: How many, unless it is said.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", type=Path, help="folder with YAHPO's scenarios")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--quick", action="store_true", help="under a minute, test functions only")
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure falls short")
    asked = parser.parse_args()
    asked.seeds = 1 if asked.quick else asked.seeds
    return asked


def once(file: Path, make: Callable[[], Any]) -> None:
    """Write what is made as JSON, unless the file is there; it appears whole or not at all."""
    if file.exists():
        return
    found = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".tmp")
    partial.write_text(json.dumps(found))
    partial.replace(file)


def ended(short: Iterable[str], asked: argparse.Namespace) -> int:
    """The exit code; says what falls short, if that is asked for, but never of a quick run."""
    told = [*short] if asked.check and not asked.quick else []
    for line in told:
        print(f"falls short: {line}", file=sys.stderr)
    return int(bool(told))

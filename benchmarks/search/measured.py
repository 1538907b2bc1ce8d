"""Runs of peers that were made once and came with the project, so that nobody has to repeat hours.

A peer's losses depend on its version and the seed, not on who runs it; its times do, and are not
kept. `measured/<method>.json` holds, for every problem and seed, the trials that took the lead:
all that regret needs. Runs of attain are never kept: its code changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "measured"
Runs = dict[str, dict[int, dict[str, Any]]]  # problem, seed: asked, at, losses, told


def load(method: str, folder: Path | None = None) -> Runs:
    """A peer's measured runs; none where it has no file."""
    file = _file(method, folder)
    if not file.exists():
        return {}
    kept = json.loads(file.read_text())["runs"]
    return {p: {int(s): run for s, run in seeds.items()} for p, seeds in kept.items()}


def methods() -> list[str]:
    """Whose runs there are."""
    return sorted(json.loads(file.read_text())["method"] for file in FOLDER.glob("*.json"))


def expand(run: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Losses and, with noise, told losses of every trial, as if the leader had been told again.

    Args:
        run: A measured run.

    Returns:
        Both as long as the run was; regret after each trial is that of the run itself.
    """
    ends = [*run["at"][1:], run["length"]]
    times = [end - start for start, end in zip(run["at"], ends, strict=True)]
    places = [i for i, n in enumerate(times) for _ in range(n)]
    told = run["told"]
    losses = tuple(run["losses"][i] for i in places)
    return losses, None if told is None else tuple(told[i] for i in places)


def shrink(run: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a run as `work.py` writes it."""
    judged = run["losses"] if run["told"] is None else run["told"]
    at = [i for i, loss in enumerate(judged) if i == 0 or loss < min(judged[:i])]
    told = None if run["told"] is None else [run["told"][i] for i in at]
    losses = [run["losses"][i] for i in at]
    return {"asked": run["asked"], "length": len(judged), "at": at, "losses": losses, "told": told}


def keep(method: str, runs: Iterable[Mapping[str, Any]], folder: Path | None = None) -> int:
    """Add a peer's runs to those that are measured; longer ones replace shorter ones.

    Args:
        method: Whose.
        runs: As `work.py` writes them, one trial at a time.
        folder: Where they are kept; that of the project by default.

    Returns:
        How many there are now.

    Raises:
        ValueError: A run was made with other versions than those that are there.
    """
    file = _file(method, folder)
    kept = load(method, folder)
    versions = json.loads(file.read_text())["versions"] if kept else None
    for run in runs:
        versions = versions or run["versions"]
        if run["versions"] != versions:
            raise ValueError(
                f"{method} {run['problem']} seed {run['seed']} was run with {run['versions']}, the "
                f"measured ones with {versions}; use those versions, or delete {file} and run all"
            )
        seeds = kept.setdefault(run["problem"], {})
        if run["asked"] > seeds.get(run["seed"], {"asked": 0})["asked"]:
            seeds[run["seed"]] = shrink(run)
    if versions:
        _write(file, method, versions, kept)
    return sum(map(len, kept.values()))


def _write(file: Path, method: str, versions: Mapping[str, str], kept: Runs) -> None:
    """One run a line, so that a difference shows which were added; whole or not at all."""
    problems = []
    for problem in sorted(kept):
        lines = [f'  "{s}": {json.dumps(kept[problem][s])}' for s in sorted(kept[problem])]
        problems.append(f" {json.dumps(problem)}: {{\n" + ",\n".join(lines) + "\n }")
    head = f'"method": {json.dumps(method)}, "versions": {json.dumps(versions)}'
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".tmp")
    partial.write_text(f'{{{head}, "runs": {{\n' + ",\n".join(problems) + "\n}}\n")
    partial.replace(file)


def _file(method: str, folder: Path | None) -> Path:
    return (folder or FOLDER) / f"{plain(method)}.json"


def plain(method: str) -> str:
    """A method's name as a file may have it."""
    return method.replace(":", "+").replace("/", "+")

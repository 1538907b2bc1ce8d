"""Every gate, and a table of how they went.

    python tools/check.py [NAME ...]

Without names all gates run. The exit code is 1 when one fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHON = sys.executable


@dataclass(frozen=True)
class Gate:
    """One thing that must hold before anything is merged."""

    name: str
    command: tuple[str, ...]
    alone: bool = False  # it measures time, so nothing may run beside it


@dataclass(frozen=True)
class Ran:
    """How a gate went."""

    gate: Gate
    passed: bool
    seconds: float
    output: str


GATES = (
    Gate("types", (str(BIN / "mypy"),)),
    Gate("format", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
    Gate("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),
    Gate("docstrings", (str(BIN / "pydoclint"), "-q", "attain")),
    Gate("layers", (str(BIN / "lint-imports"), "--no-logo")),
    Gate("sizes", (PYTHON, "tools/sizes.py")),
    Gate("tests' shape", (PYTHON, "tools/test_rules.py")),
    Gate("words", (PYTHON, "tools/words.py")),
    Gate("command docs", (PYTHON, "tools/cli_docs.py", "--check")),
    Gate("import time", (PYTHON, "tools/import_time.py"), alone=True),
)


def run(gate: Gate) -> Ran:
    """Run one gate; one whose tool is not installed fails."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        ran = subprocess.run(
            gate.command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        passed, output = ran.returncode == 0, ran.stdout + ran.stderr
    except FileNotFoundError as error:
        passed, output = False, f"{error} — make the environment with: make dev"
    return Ran(gate, passed, time.perf_counter() - began, output.strip())


def main(names: list[str]) -> int:
    """Run the gates that are named, or all of them."""
    known = {gate.name: gate for gate in GATES}
    if unknown := [name for name in names if name not in known]:
        print(f"no gate is called {unknown[0]!r}; they are: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] or list(GATES)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        ran = list(pool.map(run, [g for g in chosen if not g.alone]))
    ran += [run(gate) for gate in chosen if gate.alone]
    for result in ran:
        if not result.passed:
            print(f"--- {result.gate.name}\n{result.output}\n")
    for result in ran:
        mark = "pass" if result.passed else "FAIL"
        note = result.output.splitlines()[-1] if result.passed and result.output else ""
        print(f"{mark}  {result.seconds:5.1f} s  {result.gate.name:<13} {note}".rstrip())
    failed = sum(not r.passed for r in ran)
    print(f"{len(ran) - failed} of {len(ran)} gates pass")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

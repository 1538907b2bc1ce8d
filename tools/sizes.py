"""Gate: files and functions stay small.

    python tools/sizes.py

A file has at most 500 lines (also tests, tools and benchmarks). In ``attain/`` a function's body,
its docstring not counted, has at most 60 lines, and half of them have fewer than 12.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("attain", "tests", "tools", "benchmarks")
FILE_LINES, BODY_LINES, MEDIAN_LINES = 500, 60, 12
LEAST_FILES = 60  # fewer means that the sweep itself is broken

Function = ast.FunctionDef | ast.AsyncFunctionDef


def bodies(source: str) -> Iterator[tuple[str, int, int]]:
    """Name, line and body length of every function that has a body."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body and not _is_stub(body):
                yield node.name, node.lineno, (body[-1].end_lineno or 0) - body[0].lineno + 1


def _is_stub(body: list[ast.stmt]) -> bool:
    """Whether it only says ``...``, as the methods of a protocol do."""
    first = body[0]
    return isinstance(first, ast.Expr) and getattr(first.value, "value", None) is Ellipsis


def file_problems(name: str, source: str) -> list[str]:
    """What is too long in a file; functions are judged in ``attain/`` only."""
    lines = source.count("\n")
    problems = [f"{name}: {lines} lines, at most {FILE_LINES}"] if lines > FILE_LINES else []
    if name.startswith("attain/"):
        problems += [
            f"{name}:{line}: {function} has a body of {length} lines, at most {BODY_LINES}"
            for function, line, length in bodies(source)
            if length > BODY_LINES
        ]
    return problems


def main() -> int:
    """Sweep the project; the exit code is 1 when something is too long."""
    files = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    }
    problems = [p for name, source in files.items() for p in file_problems(name, source)]
    own = {name: source for name, source in files.items() if name.startswith("attain/")}
    lengths = [length for source in own.values() for _, _, length in bodies(source)]
    median = statistics.median(lengths)
    if median >= MEDIAN_LINES:
        problems.append(f"half of the functions have {median} lines or more, below {MEDIAN_LINES}")
    if len(files) < LEAST_FILES:
        problems.append(f"only {len(files)} files were swept, at least {LEAST_FILES}")
    longest = max(own, key=lambda name: own[name].count("\n"))
    print(
        f"{len(files)} files, {len(lengths)} functions in attain/: median body {median:g} lines, "
        f"longest {max(lengths)}; longest file {longest}, {own[longest].count(chr(10))} lines"
    )
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

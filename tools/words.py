"""Gate: no unfinished work and no blanket silencing in the package.

python tools/words.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEAST_FILES = 50  # fewer means that the sweep itself is broken

PICKLE = r"\bimport pickle\b|\bpickle\.loads?\b|\bjoblib\b"
# Between a study and the worker processes that it started itself, pickle crosses no border.
PERMITTED = {PICKLE: ("attain/runtime/", "attain/testing/")}
FORBIDDEN = {
    r"\b(TODO|FIXME|XXX|HACK)\b": "unfinished work",
    r"\bNotImplementedError\b": "a stub",
    r"pragma: no cover": "code that no test reaches",
    r"#\s*type:\s*ignore(?!\[)": "a silenced type error without its code",
    r"#\s*noqa(?!:)": "a silenced lint without its code",
    PICKLE: "pickle runs foreign code; models and files never use it",
    r"\byaml\.load\b": "YAML is loaded safely or not at all",
    r"(?<![.\w])(eval|exec)\(": "evaluated text",
    r"\bbreakpoint\(": "a debugger",
}


def file_problems(name: str, source: str) -> list[str]:
    """Every forbidden word with its line and why it is forbidden."""
    return [
        f"{name}:{number}: {match.group(0)!r}: {why}"
        for number, line in enumerate(source.splitlines(), start=1)
        for pattern, why in FORBIDDEN.items()
        if not name.startswith(PERMITTED.get(pattern, ("//",)))
        if (match := re.search(pattern, line))
    ]


def main() -> int:
    """Sweep the package; the exit code is 1 when a word is found."""
    files = sorted((ROOT / "attain").rglob("*.py"))
    problems = [
        p
        for path in files
        for p in file_problems(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    if len(files) < LEAST_FILES:
        problems.append(f"only {len(files)} files were swept, at least {LEAST_FILES}")
    print(f"{len(files)} files, {len(FORBIDDEN)} rules")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Gate: every test says what it proves, and every expected error is matched by its message.

python tools/test_rules.py
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEAST_TESTS = 100  # fewer means that the sweep itself is broken
EXPECTING = {"raises", "warns"}


def tests_in(source: str) -> list[ast.FunctionDef]:
    """Every test function of a file, methods of test classes included."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def file_problems(name: str, source: str) -> list[str]:
    """Tests without a docstring, and expectations without ``match=``."""
    problems = [
        f"{name}:{node.lineno}: {node.name} does not say what it proves (docstring)"
        for node in tests_in(source)
        if not ast.get_docstring(node)
    ]
    return problems + [
        f"{name}:{node.lineno}: {ast.unparse(node.func)} without match="
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and _expects(node.func) and not _is_matched(node)
    ]


def _expects(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in EXPECTING
        and isinstance(function.value, ast.Name)
        and function.value.id == "pytest"
    )


def _is_matched(call: ast.Call) -> bool:
    return any(word.arg == "match" for word in call.keywords)


def main() -> int:
    """Sweep the tests; the exit code is 1 when one breaks a rule."""
    files = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "tests").rglob("*.py"))
    }
    problems = [p for name, source in files.items() for p in file_problems(name, source)]
    tests = sum(len(tests_in(source)) for source in files.values())
    if tests < LEAST_TESTS:
        problems.append(f"only {tests} tests were swept, at least {LEAST_TESTS}")
    print(f"{tests} tests in {len(files)} files")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Gate: attain answers at once.

    python tools/import_time.py

``import attain`` takes less than 200 ms and ``attain --help`` less than 300 ms, interpreter
included (median of fresh processes), and neither loads a heavy library.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 5
HEAVY = (
    *("torch", "sklearn", "pandas", "ray", "lightgbm", "numpy", "scipy", "pyarrow"),
    *("pydantic", "rich", "jinja2", "ruamel", "skops"),
)
HELP = "import sys; from attain.cli.main import main; sys.argv = ['attain', '--help']; main()"
CASES = {"import attain": ("import attain", 0.200), "attain --help": (HELP, 0.300)}
_REPORT = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def _run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return ran.stderr


def seconds(code: str) -> float:
    """Median wall time of fresh processes."""
    _run(code)  # the first writes the compiled files
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        _run(code)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def heavy(code: str) -> list[str]:
    """Heavy libraries that are loaded when the code has run."""
    loaded = {name.partition(".")[0] for name in _run(_REPORT + code).split()}
    return [name for name in HEAVY if name in loaded]


def main() -> int:
    """Measure both; the exit code is 1 when one is too slow or loads too much."""
    problems = []
    for name, (code, limit) in CASES.items():
        took, loaded = seconds(code), heavy(code)
        print(f"{name}: {took * 1e3:.0f} ms, below {limit * 1e3:.0f}")
        if took >= limit:
            problems.append(f"{name} takes {took * 1e3:.0f} ms, must be below {limit * 1e3:.0f}")
        if loaded:
            problems.append(f"{name} loads {', '.join(loaded)}")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Gate: attain answers at once.

    python tools/import_time.py

``import attain``, also with what searches for any function, takes less than 200 ms and ``attain
--help`` less than 300 ms, interpreter included, and none of them loads a heavy library. Measured is
the least processor time of some fresh processes: on an idle machine that is what one waits for, and
what else a machine does can only add to it. Compiled files are kept apart and are there before the
clock starts, as they are for a user, even where the environment says that none be written.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 9
HEAVY = (
    *("torch", "sklearn", "pandas", "ray", "lightgbm", "numpy", "scipy", "pyarrow"),
    *("pydantic", "rich", "jinja2", "ruamel", "skops"),
)
HELP = "import sys; from attain.cli.main import main; sys.argv = ['attain', '--help']; main()"
SEARCH = "import attain; attain.Optimizer; attain.minimize"
CASES = {
    "import attain": ("import attain", 0.200),
    "attain.minimize": (SEARCH, 0.200),
    "attain --help": (HELP, 0.300),
}
COMPILED = tempfile.TemporaryDirectory()
_REPORT = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def _run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": COMPILED.name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return ran.stderr


def seconds(code: str) -> float:
    """Least processor time of fresh processes."""
    _run(code)  # the first writes the compiled files
    times = []
    for _ in range(REPEATS):
        before = _used()
        _run(code)
        times.append(_used() - before)
    return min(times)


def _used() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def heavy(code: str) -> list[str]:
    """Heavy libraries that are loaded when the code has run."""
    loaded = {name.partition(".")[0] for name in _run(_REPORT + code).split()}
    return [name for name in HEAVY if name in loaded]


def main() -> int:
    """Measure each; the exit code is 1 when one is too slow or loads too much."""
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

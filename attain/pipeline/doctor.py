"""``attain doctor``: is this machine fit, and is this study sound?"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from attain.core.errors import ArtifactError, AttainError, EnvironmentProblem
from attain.core.registry import find, names
from attain.pipeline import folders, saved
from attain.pipeline.jobs import folder_bytes
from attain.runtime.address import FILE, examine, open_place

LEAST_FREE_BYTES = 500e6
LEAST_MEMORY_BYTES = 1e9
CLOCK_SECONDS = 60.0
_PLURALS = {"learner": "learners", "strategy": "strategies", "executor": "executors"}


@dataclass(frozen=True)
class Diagnostic:
    """One thing that was looked at.

    Attributes:
        name: What, in a word or two.
        ok: Whether it is as it should be.
        text: What was found.
        remedy: What to do, when it is not.
    """

    name: str
    ok: bool
    text: str
    remedy: str = ""


def doctor(folder: Path | None = None) -> tuple[Diagnostic, ...]:
    """Check this machine and, if given, a study.

    Args:
        folder: A study folder.

    Returns:
        Everything that was looked at.
    """
    found = [*_machine(folder or Path())]
    return tuple(found if folder is None else [*found, *_study(folder)])


def _machine(place: Path) -> Iterator[Diagnostic]:
    import psutil

    version = sys.version.split()[0]
    yield Diagnostic("python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")
    memory = psutil.virtual_memory()
    yield Diagnostic(
        "memory",
        memory.available > LEAST_MEMORY_BYTES,
        f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GB available",
        "close other programs, or set trial_memory_gb and fewer workers",
    )
    yield Diagnostic("cores", True, f"{psutil.cpu_count() or 1}")
    free = shutil.disk_usage(place if place.exists() else Path()).free
    yield Diagnostic(
        "disk", free > LEAST_FREE_BYTES, f"{free / 1e9:.1f} GB free", "free some space"
    )
    for package in ("numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "skops"):
        yield Diagnostic(package, True, metadata.version(package))
    yield _boosting()
    for kind in _PLURALS:
        broken = [name for name in names(kind) if not _loads(kind, name)]
        text = f"{len(names(kind)) - len(broken)} of {len(names(kind))} load"
        yield Diagnostic(_PLURALS[kind], not broken, text, f"see why: {', '.join(broken)}")


def _loads(kind: str, name: str) -> bool:
    try:
        return find(kind, name) is not None
    except EnvironmentProblem:  # needs an optional package, and says so where it is asked for
        return True
    except Exception:  # noqa: BLE001 - a plugin may fail in any way; the doctor reports it
        return False


def _boosting() -> Diagnostic:
    try:
        return Diagnostic("lightgbm", True, metadata.version("lightgbm"))
    except metadata.PackageNotFoundError:
        text = "not installed: boosted trees are left out (pip install 'attain[boost]')"
        return Diagnostic("lightgbm", True, text)


def _kept(folder: Path) -> Iterator[Diagnostic]:
    """What a study can do without; states of fits mean that one was interrupted."""
    cache, checkpoints = folders.cache(folder), folder / folders.CHECKPOINTS
    if cache.exists():
        yield Diagnostic("cache", True, f"{folder_bytes(cache) / 1e6:.1f} MB that fits share")
    names = sorted(path.name for path in checkpoints.iterdir()) if checkpoints.is_dir() else []
    if not names:
        return
    text = f"{folder_bytes(checkpoints) / 1e6:.1f} MB of fits under way: {', '.join(names[:5])}"
    ended = (folder / "report.html").exists() and (folder / "model").exists()
    remedy = f"delete {checkpoints}: the study has ended"
    yield Diagnostic("checkpoints", not ended, text, remedy)


def _writable(folder: Path) -> Iterator[Diagnostic]:
    """Whether a run could go on: a disk that was mounted to be read only looks sound otherwise."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        text = f"{folder} cannot be written: {error.strerror or error}"
        remedy = "make the disk writable (mount -o remount,rw), or copy the folder to another one"
        yield Diagnostic("writable", False, text, remedy)


def _clock(folder: Path, newest: float) -> Iterator[Diagnostic]:
    """A clock that was set back costs no record, but makes durations wrong."""
    ahead = newest - time.time()
    if ahead > CLOCK_SECONDS:
        text = f"the newest record is {ahead / 60:.0f} minutes ahead of this machine's clock"
        yield Diagnostic("clock", False, text, "set the clock; records keep their order anyway")


def _trials(folder: Path) -> Iterator[Diagnostic]:
    """Files of predictions that outcomes name, and that a resumed run would need."""
    try:
        ledger = open_place(folder, read_only=True)
    except AttainError:  # said above
        return
    try:
        outcomes = [r.payload["outcome"] for r in ledger.read() if r.kind == "outcome"]
    except AttainError:
        return
    finally:
        ledger.close()
    named = [o["predictions"] for o in outcomes if o.get("predictions")]
    gone = [name for name in named if not (folder / name).exists()]
    if gone and not (folder / "model").exists():
        text = f"{len(gone)} of {len(named)} files of predictions are missing: {gone[0]}"
        remedy = "restore the folder trials/ from a copy, or begin the study anew"
        yield Diagnostic("trials", False, text, remedy)


def _study(folder: Path) -> Iterator[Diagnostic]:
    found = examine(folder)
    holder = f", {found.holder}" if found.holder else ""
    place = "" if found.path == folder / FILE else f", in {found.path}"
    sound = f"{found.records} records, schema {found.schema}{holder}{place}"
    text = "; ".join(found.problems) or sound
    yield Diagnostic("ledger", not found.problems, text, "see docs/recovery.md")
    yield from _writable(folder)
    yield from _clock(folder, found.newest)
    yield from _trials(folder)
    size = folder_bytes(folder)
    yield Diagnostic("study folder", True, f"{size / 1e6:.1f} MB")
    yield from _kept(folder)
    if not (folder / "model").exists():
        yield Diagnostic("model", True, "none yet")
        return
    try:
        saved.verify(folder / "model")
    except ArtifactError as error:
        yield Diagnostic("model", False, str(error), "run the study anew in another folder")
    else:
        yield Diagnostic("model", True, "every file matches the manifest")

"""A study folder on another machine: what a job reads is brought there, what it wrote comes back.

A job names files below the study's folder. Where workers do not see that folder, each has a folder
of its own that stands in for it; rows and what fits share are kept once per machine and linked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attain.core.files import inside, write_atomic

ROWS = "data/work.arrow"  # the sealed rows never leave the coordinator's machine
SHARED = ("data", "cache")
CHECKPOINTS = "checkpoints"
MODEL = "model"

Stamp = tuple[int, int]  # size in bytes, time of the last change in nanoseconds


@dataclass(frozen=True)
class Needs:
    """What a job reads of a study's folder.

    Attributes:
        folder: The study's folder on the coordinator's machine; empty when the job names none.
        files: Relative names, each with its stamp.
    """

    folder: str = ""
    files: Mapping[str, Stamp] = field(default_factory=dict)


def needs(payload: Mapping[str, Any]) -> Needs:
    """What a job reads, from its payload.

    Args:
        payload: With ``folder``, if it reads files of a study; names of files below it may stand
            anywhere in it. ``checkpoint`` and ``origin`` name states in which it may go on.

    Returns:
        The unsealed rows, the model, files that are named, and the state so far; those that exist.
    """
    folder = payload.get("folder")
    if not isinstance(folder, str) or not Path(folder).is_dir():
        return Needs()
    root = Path(folder)
    names = {ROWS, *(n for n in _texts(payload) if _relative(n) and (root / n).is_file())}
    states = (payload.get("checkpoint"), payload.get("origin"))
    parts = [MODEL, *(f"{CHECKPOINTS}/{state}" for state in states if isinstance(state, str))]
    for part in parts:
        names |= {_name(root, p) for p in (root / part).rglob("*") if p.is_file()}
    return Needs(folder, {n: stamp(root / n) for n in sorted(names) if (root / n).is_file()})


def _relative(name: str) -> bool:
    return 0 < len(name) < 500 and "\0" not in name and not os.path.isabs(name) and "/" in name


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, Mapping):
        return set().union(*map(_texts, value.values()), set())
    if isinstance(value, list | tuple):
        return set().union(*map(_texts, value), set())
    return set()


def stamp(path: Path) -> Stamp:
    """What tells one version of a file from another."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


class Mirror:
    """A worker's own stand-in for a study's folder.

    Args:
        folder: The folder that it stands for.
        worker: Tells workers of this machine apart.
        machine: What workers of one machine have in common.
    """

    def __init__(self, folder: str, worker: str, machine: str) -> None:
        key = hashlib.blake2b(f"{machine}\0{folder}".encode(), digest_size=8).hexdigest()
        home = Path(tempfile.gettempdir()) / f"attain-{os.getuid()}"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._common = home / key
        self.folder = self._common / f"worker-{worker}"
        with _locked(self._common.with_suffix(".lock")):
            self.folder.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            (self._common / name).mkdir(exist_ok=True)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(self._common / name)
        self._known: dict[str, Stamp] = {}

    def fill(self, files: Mapping[str, Stamp], fetch: Callable[[str], bytes]) -> None:
        """Bring files here that are not here yet.

        Args:
            files: Names and stamps of the originals.
            fetch: Gives the content of one; called only for what no worker of this machine has.
        """
        for name, version in files.items():
            common = name.startswith(tuple(f"{part}/" for part in SHARED))
            path = inside(self._common if common else self.folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._common.with_suffix(".lock")):
                if not path.exists() or stamp(path) != version:
                    write_atomic(path, fetch(name))
                    os.utime(path, ns=(version[1], version[1]))
            if not common:
                self._known[name] = version

    def translate(self, value: Any, folder: str) -> Any:
        """A payload in which this folder stands for the original."""
        if isinstance(value, str):
            below = value.startswith(folder + os.sep)
            return str(self.folder) + value[len(folder) :] if value == folder or below else value
        if isinstance(value, dict):
            return {key: self.translate(part, folder) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.translate(part, folder) for part in value)
        return value

    def changed(self, below: str = "") -> dict[str, bytes]:
        """Files that were written here since the last call, with their content.

        Args:
            below: Only those in this part of the folder.

        Returns:
            By name; none of those that workers share.
        """
        found: dict[str, bytes] = {}
        for root, _, names in os.walk(self.folder / below):
            for path in (Path(root) / name for name in names if not name.startswith(".")):
                try:
                    version = stamp(path)
                    name = _name(self.folder, path)
                    if self._known.get(name) != version:
                        found[name] = path.read_bytes()
                        self._known[name] = version
                except FileNotFoundError:  # a state that a newer one has replaced
                    continue
        return found

    def empty(self) -> None:
        """Delete what jobs left, but for what workers of this machine share."""
        self._known.clear()
        for entry in self.folder.iterdir():
            if not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()

    def close(self) -> None:
        """Delete this worker's part, and the last one what they shared."""
        with _locked(self._common.with_suffix(".lock")):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not any(self._common.glob("worker-*")):
                shutil.rmtree(self._common, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def bring_back(folder: str, files: Mapping[str, bytes]) -> None:
    """Write what came from a worker below the study's folder.

    Args:
        folder: The study's folder.
        files: Names below it, with their content.

    Raises:
        AttainError: When a name leads outside of the folder, or the disk fails.
    """
    for name, content in files.items():
        path = inside(Path(folder), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)

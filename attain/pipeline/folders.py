"""Where a study keeps what it can do without: what fits share, and the state of fits under way."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from attain.core.files import plain_errors, sync_folder

CACHE = "cache"
CHECKPOINTS = "checkpoints"
REFIT = "refit"  # the name of the last fit's state
LEAST_FREE = 0.1  # of the disk, for paused fits to keep their states


def cache(folder: str | Path) -> Path:
    """What all fits of a study share, keyed by content; it may not exist yet."""
    return Path(folder) / CACHE


def checkpoint(folder: str | Path, name: str | None) -> Path | None:
    """Where one fit keeps its state; it may not exist yet. None without a name."""
    return None if name is None else Path(folder) / CHECKPOINTS / name


def take_over(folder: str | Path, origin: str | None, name: str | None) -> None:
    """Give a fit the state of another one, unless it has one of its own already.

    The other's stays as it is: it may be needed again, should this fit be lost.

    Args:
        folder: The study folder.
        origin: Whose state, as for `checkpoint`; None for nobody's.
        name: Who gets it.
    """
    own, other = checkpoint(folder, name), checkpoint(folder, origin)
    if own is None or other is None or own.exists() or not other.is_dir():
        return
    draft = own.with_name(f".{own.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    with plain_errors(draft):
        shutil.copytree(other, draft)
        draft.replace(own)
        sync_folder(own.parent)


def has_room(folder: str | Path) -> bool:
    """Whether the disk has room for the states of paused fits: a tenth of it is free."""
    disk = shutil.disk_usage(Path(folder))
    return disk.free > LEAST_FREE * disk.total


def drop_checkpoint(folder: Path, name: str) -> None:
    """Delete the state of a fit that has ended.

    Args:
        folder: The study folder.
        name: As for `checkpoint`.
    """
    shutil.rmtree(folder / CHECKPOINTS / name, ignore_errors=True)


def keep_checkpoints(folder: Path, names: Iterable[str]) -> None:
    """Delete all states but those of fits that have not ended.

    What a crash left behind after a fit had ended is deleted so, and what another study left in
    the same folder.

    Args:
        folder: The study folder.
        names: As for `checkpoint`.
    """
    wanted = set(names)
    place = folder / CHECKPOINTS
    for found in place.iterdir() if place.is_dir() else ():
        if found.name not in wanted:
            shutil.rmtree(found, ignore_errors=True)


def clean(folder: Path, *, keep_cache: bool) -> None:
    """Delete what a study that has ended has no use for: nothing is fitted any more.

    Args:
        folder: The study folder.
        keep_cache: Whether what fits shared stays.
    """
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    if not keep_cache:
        shutil.rmtree(cache(folder), ignore_errors=True)

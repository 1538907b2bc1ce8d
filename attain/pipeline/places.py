"""Where a study runs and where its records are: keys of the study file, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from attain.core.errors import Problem, SpecError
from attain.core.protocols import Executor, Ledger
from attain.pipeline.limits import LOCAL, ray_address
from attain.runtime.address import (
    FILE,
    POINTER,
    new_name,
    open_place,
    point,
    pointer,
)
from attain.runtime.local import LocalExecutor
from attain.runtime.url import Address, public_url, read_address

if TYPE_CHECKING:
    from attain.pipeline.spec import StudySpec

AUTO = "auto"
MOST_WORKERS = 8
Executors = Callable[[int, int, Path], Executor]


def open_ledger(spec: StudySpec) -> Ledger:
    """The ledger of a study, for writing; the folder notes where it is.

    Args:
        spec: May name a database. A study that has begun goes on where it began.

    Returns:
        To be closed by the caller.

    Raises:
        SpecError: When the study began elsewhere, or another one has its name.
        LedgerError: When another process is at work on it, or it cannot be opened.
    """
    folder = spec.folder
    kept = pointer(folder)
    stated = read_address(spec.ledger) if spec.ledger else None
    if kept is not None:
        _check_same_place(kept, stated, folder)
        return open_place(folder, url=stated.url if stated else "")
    if stated is None:
        return open_place(folder / FILE)
    if (folder / FILE).exists():
        rule, remedy = "a study goes on where it began", "leave `ledger` out, or name a new output"
        raise SpecError(Problem(rule, f"it began in {folder / FILE}", "ledger", remedy))
    return _begin(Address(stated.url, stated.study or new_name(folder)), folder)


def _begin(address: Address, folder: Path) -> Ledger:
    ledger = open_place(f"{address.url}#{address.study}")
    if ledger.read():
        ledger.close()
        rule = "a study in a database goes on in the folder that it began in"
        remedy = "run it there, or give another name behind the #"
        raise SpecError(Problem(rule, f"{address.shown} is not from {folder}", "ledger", remedy))
    point(folder, address)
    return ledger


def _check_same_place(kept: Address, stated: Address | None, folder: Path) -> None:
    if stated is None:
        return
    same = public_url(stated.url) == kept.url and stated.study in ("", kept.study)
    if not same:
        rule, remedy = "a study goes on where it began", f"give {kept.shown}, or a new output"
        raise SpecError(Problem(rule, stated.shown, "ledger", remedy))


def forget_ledger(folder: Path) -> None:
    """Let a study in which nothing was tried begin anew; in a database under a new name.

    Args:
        folder: The study folder.
    """
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", POINTER):
        (folder / name).unlink(missing_ok=True)


def resources(spec: StudySpec) -> tuple[int, int]:
    """Workers and threads for each, so that no core is asked twice.

    Args:
        spec: May name the workers, and the CPUs of each.

    Returns:
        ``(workers, threads)``. By default one single-threaded worker per core, up to eight, or as
        many as fit a cluster: trials are independent, so processes scale where threads inside a
        fit do not.
    """
    if spec.executor != LOCAL:
        return _of_cluster(spec)
    cores = _cores()
    if spec.workers == AUTO:
        workers = max(1, min(cores // spec.trial_cpus, MOST_WORKERS))
    else:
        workers = int(spec.workers)
    return workers, max(spec.trial_cpus, cores // workers)


def _of_cluster(spec: StudySpec) -> tuple[int, int]:
    from attain.runtime.ray_ import capacity

    if spec.workers != AUTO:
        return int(spec.workers), spec.trial_cpus
    address = ray_address(spec.executor)
    return max(1, capacity(address, spec.trial_cpus, spec.trial_gpus)), spec.trial_cpus


def _cores() -> int:
    try:
        return len(psutil.Process().cpu_affinity()) or 1
    except AttributeError:  # macOS cannot say
        return psutil.cpu_count() or 1


def executors_of(spec: StudySpec) -> Executors:
    """What makes the places where a study's fits run.

    Args:
        spec: Names the executor.

    Returns:
        A function of workers, threads of each, and the folder for what jobs print.
    """
    if spec.executor == LOCAL:
        return local_executor

    def on_cluster(workers: int, threads: int, logs: Path) -> Executor:
        from attain.runtime.ray_ import RayExecutor

        address = ray_address(spec.executor)
        executor = RayExecutor(workers, threads, logs, address=address, gpus=spec.trial_gpus)
        executor.warm("attain.pipeline.jobs")
        return executor

    return on_cluster


def local_executor(workers: int, threads: int, logs: Path) -> Executor:
    """Worker processes on this machine that import early what trials need.

    Args:
        workers: How many.
        threads: CPU threads of each.
        logs: Folder for what jobs print.

    Returns:
        An executor, to be closed by the caller.
    """
    executor = LocalExecutor(workers=workers, threads=threads, logs=logs)
    executor.warm("attain.pipeline.jobs")
    return executor

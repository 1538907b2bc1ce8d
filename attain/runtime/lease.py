"""One writer per study: a lease with a heartbeat, and an epoch that fences off whoever lost it.

Every append and heartbeat names the epoch under which it writes; a takeover raises the epoch in the
same transaction in which it looks, so a writer that slept through its lease can never write again
(the fencing token of Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from attain.core.errors import LedgerError
from attain.runtime.clock import Clock
from attain.runtime.schema import connect, transaction

BEAT_SECONDS = 5.0
SILENT_SECONDS = 30.0


@dataclass(frozen=True)
class Holder:
    """Who writes, or wrote last.

    Attributes:
        epoch: Rises with every takeover.
        owner: Name the writer gave itself; empty when it gave the study back.
        pid: Its process.
        host: Its machine's name, for people.
        machine: Machine, boot and process namespace; pids can be compared only when equal.
        started: When that process started, as the system counts; tells reused pids apart.
        beat: Last sign of life in seconds since the epoch, by the writer's own clock.
        beats: Signs of life so far; changes even when clocks disagree.
    """

    epoch: int
    owner: str
    pid: int
    host: str
    machine: str
    started: str
    beat: float
    beats: int

    @property
    def local(self) -> bool:
        """Whether it runs (or ran) where its pid can be looked up."""
        return self.machine == this_machine()

    @property
    def alive(self) -> bool:
        """Whether the process is known to live; False for one on another machine."""
        return self.local and process_start(self.pid) == self.started

    def silent(self, now: float) -> float:
        """Seconds since the last sign of life; negative when its clock is ahead of ours."""
        return now - self.beat

    def describe(self, now: float) -> str:
        """Who, where and since when silent, in words."""
        where = "this same process" if self.local and self.pid == os.getpid() else "another process"
        ago = max(self.silent(now), 0.0)
        return f"{where} (pid {self.pid} on {self.host}, heartbeat {ago:.0f} s ago)"


def this_machine() -> str:
    """Name, boot and process namespace of where this process runs."""
    boot = _first_line("/proc/sys/kernel/random/boot_id")
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return "/".join((platform.node(), boot, namespace))


def process_start(pid: int) -> str:
    """When a process started, as its system counts.

    Args:
        pid: Its number on this machine.

    Returns:
        Empty when there is no such process or it is a zombie. On Linux clock ticks since boot,
        which unlike a time of day do not move when the clock is set.
    """
    stat = _first_line(f"/proc/{pid}/stat")
    if stat:
        fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces
        return "" if fields[0] in "ZX" else fields[19]
    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return "" if dead else f"{process.create_time():.2f}"
    except (psutil.Error, ValueError, OverflowError):
        return ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def read_holder(db: sqlite3.Connection) -> Holder:
    """Who writes, or wrote last.

    Args:
        db: Connection to a ledger of the present version.

    Returns:
        With an empty owner when nobody holds the lease.
    """
    row = db.execute(
        "SELECT epoch, owner, pid, host, machine, started, beat, beats FROM lease"
    ).fetchone()
    return Holder(*row)


def acquire(db: sqlite3.Connection, path: Path, owner: str, clock: Clock) -> int:
    """Become the writer, or say who is.

    A writer that died on this machine is replaced at once; one on another machine after 30 seconds
    of silence. When that machine's clock is so far ahead that silence cannot be computed, its
    heartbeats are watched for 30 seconds instead.

    Args:
        db: Connection for writing.
        path: The ledger's file, for messages.
        owner: Name of the new writer.
        clock: The time.

    Returns:
        The epoch under which to write.

    Raises:
        LedgerError: When somebody else is writing.
    """
    holder = _try(db, owner, clock, watched=None)
    if (
        isinstance(holder, Holder)
        and not holder.local
        and -holder.silent(clock.now()) > BEAT_SECONDS
    ):
        clock.sleep(SILENT_SECONDS)
        holder = _try(db, owner, clock, watched=(holder.epoch, holder.beats))
    if isinstance(holder, int):
        return holder
    rest = "" if holder.local else f", or wait {SILENT_SECONDS:.0f} s after it has ended"
    raise LedgerError(
        f"{path} is being written by {holder.describe(clock.now())} — one study has one writer:"
        f" end that run first{rest}"
    )


def _try(
    db: sqlite3.Connection, owner: str, clock: Clock, watched: tuple[int, int] | None
) -> int | Holder:
    with transaction(db):
        held = read_holder(db)
        taken = held.owner and not _given_up(held, clock.now(), watched)
        if taken:
            return held
        db.execute(
            "UPDATE lease SET epoch = ?, owner = ?, pid = ?, host = ?, machine = ?, started = ?,"
            " beat = ?, beats = beats + 1",
            (
                held.epoch + 1,
                owner,
                os.getpid(),
                platform.node(),
                this_machine(),
                process_start(os.getpid()),
                clock.now(),
            ),
        )
        return held.epoch + 1


def _given_up(held: Holder, now: float, watched: tuple[int, int] | None) -> bool:
    if held.local:
        return not held.alive
    return held.silent(now) >= SILENT_SECONDS or watched == (held.epoch, held.beats)


def touch(db: sqlite3.Connection, epoch: int, now: float) -> bool:
    """Give a sign of life, if the lease is still ours.

    Args:
        db: Connection for writing, inside a transaction or not.
        epoch: The epoch under which we write.
        now: Seconds since the epoch; a clock that was set back does not move the beat back.

    Returns:
        False when the lease was taken over or given back.
    """
    changed = db.execute(
        "UPDATE lease SET beat = max(beat, ?), beats = beats + 1 WHERE epoch = ? AND owner <> ''",
        (now, epoch),
    )
    return changed.rowcount == 1


def release(db: sqlite3.Connection, epoch: int) -> None:
    """Give the lease back, unless somebody else has it by now.

    Args:
        db: Connection for writing.
        epoch: The epoch under which we wrote.
    """
    db.execute("UPDATE lease SET owner = '' WHERE epoch = ?", (epoch,))


def start_heartbeat(
    path: Path, epoch: int, clock: Clock, stop: threading.Event
) -> threading.Thread:
    """Give signs of life from a daemon thread with a connection of its own.

    Args:
        path: The ledger's file.
        epoch: The epoch under which we write.
        clock: The time.
        stop: Ends the thread when set.

    Returns:
        The thread, started.
    """

    def beat() -> None:
        db = None
        try:
            db = connect(path, synchronous="NORMAL")
            while not stop.wait(BEAT_SECONDS):
                try:
                    if not touch(db, epoch, clock.now()):
                        return
                except sqlite3.Error:  # a busy or full disk now; appends will tell the user
                    continue
        except sqlite3.Error:
            return
        finally:
            if db is not None:
                db.close()

    thread = threading.Thread(target=beat, name="attain-ledger-heartbeat", daemon=True)
    thread.start()
    return thread

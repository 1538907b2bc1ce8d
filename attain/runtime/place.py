"""A place on a node of a cluster: one worker process, and the files that its jobs read and write.

What carries data between nodes is for the cluster's own file to say.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attain.core.protocols import Event, Job
from attain.core.types import Status
from attain.runtime.local import LocalExecutor
from attain.runtime.mirror import Mirror, Needs

News = tuple[Event, bytes, dict[str, bytes]]  # what happened, what was printed, files written


@dataclass(frozen=True)
class Parcel:
    """A job on its way to a place.

    Attributes:
        job: Without its payload.
        payload: Pickled parts: bytes, or the key of one that travels through the object store.
        refs: Objects by key: parts of the payload, and files as ``file:NAME``.
        needs: Files that it reads.
    """

    job: Job
    payload: Mapping[str, bytes | str]
    refs: Mapping[str, Any]
    needs: Needs


class Place(ABC):
    """What runs on a node: one worker process, and the files that its jobs read and write.

    Args:
        threads: CPU threads of a job.
        memory: Limit in bytes for jobs that name none.
        path: Where the coordinator finds modules.
        shared: Whether nodes see the coordinator's folders; None to look.
    """

    def __init__(
        self, threads: int, memory: int | None, path: list[str], shared: bool | None
    ) -> None:
        sys.path += [entry for entry in path if entry not in sys.path]
        self._logs = tempfile.mkdtemp(prefix="attain-logs-")
        self._executor = LocalExecutor(1, threads, self._logs, memory)
        self._parent = os.getppid()
        self._shared = shared
        self._mirror: Mirror | None = None
        self._origin = ""
        self._fetched = 0

    @abstractmethod
    def get(self, ref: Any) -> Any:
        """An object that was shipped apart from a parcel."""

    @abstractmethod
    def here(self) -> tuple[str, str]:
        """Ids of this place and of its node."""

    def where(self) -> str:
        """Id of the node; answers once the worker process can be given a job."""
        return self.here()[1]

    def warm(self, call: str) -> None:
        """Import a call's module before the first job."""
        self._executor.warm(call)

    def run(self, parcel: Parcel, token: str) -> None:
        """Begin a job; what it needs is fetched from this node's object store, once per node."""
        payload = {name: self._part(part, parcel.refs) for name, part in parcel.payload.items()}
        self._mirror = None
        if parcel.needs.folder and not self._sees(parcel.needs.folder, token):
            self._origin = parcel.needs.folder
            self._mirror = Mirror(self._origin, *self.here())
            self._mirror.empty()
            self._mirror.fill(parcel.needs.files, lambda name: self._fetch(name, parcel.refs))
            payload = self._mirror.translate(payload, self._origin)
        self._executor.submit(replace(parcel.job, payload=payload))

    def poll(self, timeout: float) -> tuple[list[News], dict[str, bytes]]:
        """Events, and states that the running job has written since the last call.

        A worker that was killed after what started this place had died went down with its node:
        nothing is said of it, since the one who watches sees this place die, too.
        """
        told = self._executor.events(timeout)
        orphaned = os.getppid() != self._parent
        told = [e for e in told if not (orphaned and e.status is Status.KILLED)]
        events = [self._complete(event) for event in told]
        running = self._mirror is not None and not any(e.kind == "ended" for e, _, _ in events)
        return events, self._mirror.changed("checkpoints") if running and self._mirror else {}

    def fetched(self) -> int:
        """How many files this place has brought to its node."""
        return self._fetched

    def cancel(self, job: str) -> None:
        """End a job."""
        self._executor.cancel(job)

    def close(self) -> None:
        """End the worker and leave nothing behind but what nodes share."""
        self._executor.close()
        shutil.rmtree(self._logs, ignore_errors=True)
        if self._mirror is not None:
            self._mirror.close()

    def _part(self, part: bytes | str, refs: Mapping[str, Any]) -> Any:
        return pickle.loads(part if isinstance(part, bytes) else self.get(refs[part]))

    def _fetch(self, name: str, refs: Mapping[str, Any]) -> bytes:
        self._fetched += 1
        return bytes(self.get(refs[f"file:{name}"]))

    def _sees(self, folder: str, token: str) -> bool:
        return (Path(folder) / token).exists() if self._shared is None else self._shared

    def _complete(self, event: Event) -> News:
        log, files = b"", {}
        if event.kind == "ended":
            if event.log and Path(event.log).exists():
                log = Path(event.log).read_bytes()
                Path(event.log).unlink()
            if self._mirror is not None:
                files = self._mirror.changed()
        return replace(event, log=""), log, files

"""Jobs on a Ray cluster. The only file that imports ray.

Each place to run is an actor that owns one worker process, supervised on its node exactly as on a
single machine, so that crashes, hangs and limits mean the same everywhere. What is Ray's: placing
actors by CPUs and GPUs, carrying data once to each node, and noticing that a node has died.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attain.core.errors import EnvironmentProblem, Problem, SpecError
from attain.core.protocols import Event, Job
from attain.core.types import Status
from attain.runtime.joblog import JobLog, log_path
from attain.runtime.mailbox import Mailbox
from attain.runtime.mirror import Needs, Stamp, bring_back, needs
from attain.runtime.place import Parcel, Place
from attain.runtime.process import Task

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before ray is imported: nothing is sent anywhere
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError as error:  # an optional package
    raise EnvironmentProblem("a Ray cluster needs ray — pip install 'attain[ray]'") from error

POLL_SECONDS = 1.0
LOOK_SECONDS = 0.2  # between looks at places that are just being made
PLACE_SECONDS = 600.0  # clouds take minutes to start another node
LARGE_BYTES = 1 << 16  # parts of a payload above this travel through the object store
CLOSE_SECONDS = 5.0
MOST_DEATHS = 3  # of places in a row that never came up


class _RayPlace(Place):
    """A place that finds data in its node's object store."""

    def get(self, ref: Any) -> Any:
        """An object, brought to this node if it is not here yet."""
        return ray.get(ref)

    def here(self) -> tuple[str, str]:
        """Ids of this place and of its node."""
        context = ray.get_runtime_context()
        return context.get_actor_id(), context.get_node_id()


@dataclass(eq=False)
class _Host:
    """A place as its executor sees it."""

    actor: Any
    poll: Any
    made: float
    node: str = ""
    task: Task | None = None
    begun: Any = None
    needs: Needs = Needs()  # noqa: RUF009 - frozen

    @property
    def idle(self) -> bool:
        return bool(self.node) and self.task is None


class RayExecutor:
    """Runs jobs on a Ray cluster; keeps `core.protocols.Executor`.

    A job ends as it would in `LocalExecutor`, and as LOST when its node or its place died; whoever
    submitted it submits it again, and it goes on from the last state that had reached the
    coordinator. A dead place is replaced where the cluster has room.

    Args:
        workers: How many jobs run at a time.
        threads: CPUs of each: what Ray reserves, and what numerical libraries may use.
        logs: Folder for what jobs print, on this machine; None keeps no files.
        memory: Limit in bytes for jobs that name none.
        address: Of the cluster, such as ``10.0.0.1:6379`` or ``ray://10.0.0.1:10001``; empty for
            ``RAY_ADDRESS``, else a cluster on this machine, which is started if none runs.
        gpus: GPUs reserved for each job; a share such as 0.5 lets two use one.
        shared: Whether all nodes see this machine's folders; None to look.

    Raises:
        SpecError: When an argument makes no sense.
        EnvironmentProblem: When there is no such cluster, or it could never hold one worker.
    """

    remote = True  # what only this machine has, such as sealed rows, is not there

    def __init__(
        self,
        workers: int = 2,
        threads: int = 1,
        logs: Path | str | None = None,
        memory: int | None = None,
        *,
        address: str = "",
        gpus: float = 0.0,
        shared: bool | None = None,
    ) -> None:
        _check(workers, threads, gpus)
        _join(address)
        _check_room(threads, gpus)
        self._logs = None if logs is None else Path(logs).absolute()
        self._mailbox = Mailbox()
        self._team = _Team(self._mailbox, workers, threads, memory, gpus, shared)
        self._close = weakref.finalize(self, self._team.close)

    def submit(self, job: Job) -> None:
        """Queue a job; first come, first served.

        Args:
            job: Its payload is pickled now, so that later changes to it have no effect.

        Raises:
            EnvironmentProblem: When the executor was closed.
            InputError: When a job of that id is still under way.
        """
        if self._team.trouble:
            raise EnvironmentProblem(f"{self._team.trouble} — run the same command again")
        problem, payload = "", b""
        try:
            payload = pickle.dumps(
                {name: pickle.dumps(part, protocol=5) for name, part in job.payload.items()}
            )
        except Exception as error:  # noqa: BLE001 - pickling runs whatever a class defines
            problem = f"the payload cannot be sent to a worker: {type(error).__name__}: {error}"
        if job.call.startswith("__main__:"):
            problem = f"{job.call} is defined in the script that was started — move it to a module"
        path = None if self._logs is None else log_path(self._logs, job.id)
        task = Task(job, payload, JobLog(path))
        self._mailbox.begin(task)
        if problem:
            self._mailbox.finish(task, Event(job.id, "ended", Status.FAILED, message=problem))
        else:
            self._team.submit(task)

    def events(self, timeout: float) -> list[Event]:
        """News since the last call; waits up to `timeout` seconds for the first."""
        return self._mailbox.take(timeout)

    def cancel(self, job: str) -> None:
        """End a job; its ``ended`` event follows with status CANCELLED."""
        self._team.cancel(job)

    def warm(self, call: str) -> None:
        """Import a call's module in all workers before their first job."""
        self._team.warm(call)

    def nodes(self) -> tuple[str, ...]:
        """Ids of the nodes on which places are up, one entry for each place."""
        return self._team.nodes()

    def fetched(self) -> int:
        """How many files were brought to nodes so far; each node gets a file once."""
        return self._team.fetched()

    def close(self) -> None:
        """End everything under way; safe to call twice. The cluster itself is left as it is."""
        self._close()


class _Team:
    """Places and the queue before them; one thread listens to all."""

    def __init__(
        self,
        mailbox: Mailbox,
        size: int,
        threads: int,
        memory: int | None,
        gpus: float,
        shared: bool | None,
    ) -> None:
        self._mailbox, self._size = mailbox, size
        self._pid = os.getpid()
        made = ray.remote(_RayPlace).options(
            num_cpus=threads, num_gpus=gpus, max_concurrency=4, max_restarts=0, max_task_retries=0
        )
        path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
        self._make = lambda: made.remote(threads, memory, path, shared)
        self._lock = threading.RLock()
        self._hosts: list[_Host] = []
        self._waiting: deque[Task] = deque()
        self._warm: list[str] = []
        self._objects: dict[str, tuple[Stamp | None, Any]] = {}
        self._token = f".attain-{os.getpid()}-{id(self):x}"
        self._marked: set[str] = set()
        self._deaths = 0
        self.trouble = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="attain-ray", daemon=True)
        self._fill()
        self._thread.start()

    def submit(self, task: Task) -> None:
        with self._lock:
            self._waiting.append(task)
            self._dispatch()

    def cancel(self, job: str) -> None:
        with self._lock:
            for task in [t for t in self._waiting if t.job.id == job]:
                self._waiting.remove(task)
                self._finish(task, Status.CANCELLED, "cancelled before it began")
            for host in self._hosts:
                if host.task is not None and host.task.job.id == job:
                    host.actor.cancel.remote(job)

    def warm(self, call: str) -> None:
        with self._lock:
            self._warm.append(call)
            for host in self._hosts:
                host.actor.warm.remote(call)

    def nodes(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(host.node for host in self._hosts if host.node)

    def fetched(self) -> int:
        with self._lock:
            asked = [host.actor.fetched.remote() for host in self._hosts if host.node]
        return sum(ray.get(asked))

    def close(self) -> None:
        if os.getpid() != self._pid or self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)
        with self._lock:
            self._mailbox.shut()
            if ray.is_initialized():
                ended = [host.actor.close.remote() for host in self._hosts]
                if ended:
                    ray.wait(ended, num_returns=len(ended), timeout=CLOSE_SECONDS)
                for host in self._hosts:
                    ray.kill(host.actor)
            for folder in self._marked:
                (Path(folder) / self._token).unlink(missing_ok=True)
            self._mailbox.end(Status.CANCELLED, "the executor was closed")

    def _fill(self) -> None:
        while len(self._hosts) < self._size:
            actor = self._make()
            for call in self._warm:
                actor.warm.remote(call)
            self._hosts.append(_Host(actor, actor.where.remote(), time.monotonic()))

    def _dispatch(self) -> None:
        for host in [h for h in self._hosts if h.idle]:
            if not self._waiting:
                return
            task = self._waiting.popleft()
            host.task = task
            parcel = self._pack(task)
            host.needs = parcel.needs
            host.begun = host.actor.run.remote(parcel, self._token)

    def _pack(self, task: Task) -> Parcel:
        parts: dict[str, bytes | str] = pickle.loads(task.payload)
        refs: dict[str, Any] = {}
        for name, data in list(parts.items()):
            if len(data) > LARGE_BYTES:
                assert isinstance(data, bytes)
                key = hashlib.blake2b(data, digest_size=16).hexdigest()
                parts[name], refs[key] = key, self._object(key, None, data)
        found = needs(task.job.payload)
        if found.folder:
            self._mark(found.folder)
        for name, version in found.files.items():
            refs[f"file:{name}"] = self._object(f"{found.folder}/{name}", version)
        return Parcel(replace(task.job, payload={}), parts, refs, found)

    def _object(self, key: str, version: Stamp | None, data: bytes | None = None) -> Any:
        """Something in the object store, put there once; Ray brings it to each node once."""
        known = self._objects.get(key)
        if known is None or known[0] != version:
            known = version, ray.put(Path(key).read_bytes() if data is None else data)
            self._objects[key] = known
        return known[1]

    def _mark(self, folder: str) -> None:
        """Leave a file by which a node finds out whether it sees this folder."""
        if folder not in self._marked:
            self._marked.add(folder)
            (Path(folder) / self._token).touch()

    def _listen(self) -> None:
        try:
            while not self._closing.is_set():
                self._hear()
        except Exception as error:  # noqa: BLE001 - a caller waiting for events must not hang
            self.trouble = f"the connection to the Ray cluster was lost: {error!r}"
            self._mailbox.end(Status.LOST, self.trouble)

    def _hear(self) -> None:
        with self._lock:
            polls = {host.poll: host for host in self._hosts}
            polls |= {host.begun: host for host in self._hosts if host.begun is not None}
        ready, _ = ray.wait(list(polls), num_returns=1, timeout=LOOK_SECONDS)
        if ready:
            more, _ = ray.wait(list(polls), num_returns=len(polls), timeout=0)
            ready = list({*ready, *more})
        with self._lock:
            for ref in ready:
                self._take(polls[ref], ref)
            self._check_wait()
            self._dispatch()

    def _take(self, host: _Host, ref: Any) -> None:
        if host not in self._hosts:
            return
        try:
            found = ray.get(ref)
        except RayTaskError as error:  # ours: the job could not even begin
            self._not_begun(host, error)
            return
        except RayError as error:
            self._bury(host, error)
            return
        if ref != host.poll:  # a job has begun; another may have been sent there meanwhile
            host.begun = None if ref == host.begun else host.begun
            return
        if not host.node:
            host.node, self._deaths = found, 0
        else:
            events, states = found
            if states and host.needs.folder:
                bring_back(host.needs.folder, states)
            for event, log, files in events:
                self._pass_on(host, event, log, files)
        host.poll = host.actor.poll.remote(POLL_SECONDS)

    def _not_begun(self, host: _Host, error: RayTaskError) -> None:
        task, host.task, host.begun = host.task, None, None
        if task is not None:
            self._finish(task, Status.FAILED, f"the job could not begin: {error.cause!r}")

    def _pass_on(self, host: _Host, event: Event, log: bytes, files: dict[str, bytes]) -> None:
        task = host.task
        if task is None or task.job.id != event.job:
            return
        if event.kind != "ended":
            self._mailbox.post(event)
            return
        host.task = None
        if files:
            bring_back(host.needs.folder, files)
        if log:
            task.log.write(log)
        task.log.close()
        self._mailbox.finish(task, replace(event, log=task.log.path))

    def _bury(self, host: _Host, error: RayError) -> None:
        self._hosts.remove(host)
        if not host.node:
            self._deaths += 1
        where = f"node {host.node[:8]}" if host.node else "a place"
        if host.task is not None:
            why = " ".join(str(error).split())[:300]
            self._finish(host.task, Status.LOST, f"{where} of the Ray cluster died: {why}")
        if self._deaths >= MOST_DEATHS:
            self._give_up(f"no worker could start on the Ray cluster: {error}")
            self._deaths = 0
        self._fill()

    def _check_wait(self) -> None:
        """Say so when nothing comes up on a cluster that is too small for what is asked."""
        if self._waiting and not any(host.node for host in self._hosts):
            oldest = min(host.made for host in self._hosts)
            if time.monotonic() - oldest > PLACE_SECONDS:
                self._give_up(
                    f"no worker came up on the Ray cluster within {PLACE_SECONDS:.0f} s — see with"
                    " `ray status` what it waits for"
                )

    def _give_up(self, why: str) -> None:
        while self._waiting:
            self._finish(self._waiting.popleft(), Status.KILLED, why)

    def _finish(self, task: Task, status: Status, message: str) -> None:
        task.log.close()
        self._mailbox.finish(task, Event(task.job.id, "ended", status, message=message))


def _check(workers: Any, threads: Any, gpus: Any) -> None:
    problems = [
        Problem("must be a whole number, at least 1", repr(value), name, "give a positive number")
        for name, value in (("workers", workers), ("threads", threads))
        if isinstance(value, bool) or not isinstance(value, int) or value < 1
    ]
    if isinstance(gpus, bool) or not isinstance(gpus, int | float) or not 0 <= gpus < 1e3:
        problems.append(Problem("must be a number from 0", repr(gpus), "gpus", "give 0, 0.5 or 1"))
    if problems:
        raise SpecError(problems)


def _join(address: str) -> None:
    """Become a driver of the cluster, once in a process."""
    if ray.is_initialized():
        return
    try:
        ray.init(address=address or None, log_to_driver=False, logging_level="ERROR")
    except (RayError, ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise EnvironmentProblem(
            f"there is no Ray cluster at {address or 'this machine'}: {error} — start one with"
            " `ray start --head`, or give its address"
        ) from error


def capacity(address: str, threads: int, gpus: float) -> int:
    """How many workers fit a cluster at the same time.

    Args:
        address: As for `RayExecutor`.
        threads: CPUs of each.
        gpus: GPUs of each.

    Returns:
        0 when no node could hold one.
    """
    _join(address)
    total = 0
    for has in (node["Resources"] for node in ray.nodes() if node["Alive"]):
        places = int(has.get("CPU", 0) // threads)
        total += min(places, int(has.get("GPU", 0) / gpus + 1e-9)) if gpus else places
    return total


def _check_room(threads: int, gpus: float) -> None:
    """Refuse what no node could ever hold."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(r.get("CPU", 0) >= threads and r.get("GPU", 0) >= gpus for r in alive):
        best = max((r.get("CPU", 0), r.get("GPU", 0)) for r in alive) if alive else (0, 0)
        raise EnvironmentProblem(
            f"no node of the Ray cluster has {threads} CPUs and {gpus:g} GPUs (the largest has"
            f" {best[0]:g} and {best[1]:g}) — ask for less for each trial, or add larger nodes"
        )

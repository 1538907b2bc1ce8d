"""Stand-ins for everything slow, random or outside: they keep the contracts and ship with attain.

`FakeLearner` and `FaultyLearner` learn honestly with NumPy alone; by address
(``attain.testing.fakes:FakeLearner``) they also work in worker processes.
"""

from __future__ import annotations

import json
import pickle
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attain.core import registry
from attain.core.codec import encode
from attain.core.errors import EnvironmentProblem, InputError, LedgerError
from attain.core.protocols import Event, Job
from attain.core.seeds import derive
from attain.core.space import (
    Categorical,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    between,
    snap,
)
from attain.core.types import Draft, Observed, Proposal, Record, Signal, Status
from attain.testing.fake_learner import FakeLearner, FakeModel, FaultyLearner

__all__ = [
    "FakeLearner",
    "FakeModel",
    "FakeStrategy",
    "FaultyLearner",
    "InlineExecutor",
    "MemoryLedger",
    "SimulatedClock",
]


class SimulatedClock:
    """Time that passes only when told; keeps `attain.runtime.clock.Clock`.

    Args:
        now: Seconds since the epoch to begin at.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._wall = now
        self._monotonic = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self._wall += max(seconds, 0.0)
        self._monotonic += max(seconds, 0.0)

    def jump(self, seconds: float) -> None:
        """Set the time of day forward or back, as an administrator does."""
        self._wall += seconds


class MemoryLedger:
    """A ledger that lives in this process only; keeps `core.protocols.Ledger`.

    Args:
        clock: The time; simulated unless given.
    """

    def __init__(self, clock: Any = None) -> None:
        self._clock = clock or SimulatedClock()
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._closed = False

    def append(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        """Take all records or none.

        Args:
            drafts: In order.

        Returns:
            The records as `read` gives them.

        Raises:
            LedgerError: When a parent is not older, a payload has no JSON form, or after `close`.
        """
        with self._lock:
            self._check_open()
            latest = self._records[-1].at if self._records else 0.0
            at = max(self._clock.now(), latest)
            first = len(self._records) + 1
            new = [_record(draft, number, at) for number, draft in enumerate(drafts, first)]
            self._records += new
            return tuple(new)

    def read(self, since: int = 0) -> tuple[Record, ...]:
        """All records with an id above `since`, oldest first."""
        with self._lock:
            self._check_open()
            return tuple(self._records[max(since, 0) :])

    def close(self) -> None:
        """Refuse further use; safe to call twice."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerError("the ledger was closed — open it again")


def _record(draft: Draft, number: int, at: float) -> Record:
    wrong = [p for p in draft.parents if not 1 <= p < number]
    if wrong:
        raise LedgerError(f"parents must be older records than record {number} (got {wrong})")
    try:
        payload = json.loads(json.dumps(encode(draft.payload), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise LedgerError(f"the payload of {draft.step}/{draft.kind} has no JSON form") from error
    return Record(number, draft.step, draft.kind, payload, tuple(draft.parents), at)


class InlineExecutor:
    """Runs jobs in this process, one for each call of `events`, in the order of submission.

    Deterministic and without any waiting; keeps `core.protocols.Executor` but cannot enforce limits
    nor survive a crash. Payloads and results are pickled as by a real executor.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Job, bytes | str]] = deque()
        self._events: list[Event] = []
        self._running = ""
        self._cancelled = False
        self._closed = False

    def submit(self, job: Job) -> None:
        """Queue a job.

        Args:
            job: With an id that is not under way.

        Raises:
            EnvironmentProblem: After `close`.
            InputError: When a job of that id is under way.
        """
        if self._closed:
            raise EnvironmentProblem("the executor was closed — make a new one")
        if job.id == self._running or any(job.id == other.id for other, _ in self._waiting):
            raise InputError(f"a job {job.id!r} is still under way")
        payload: bytes | str
        try:
            payload = pickle.dumps(dict(job.payload))
        except Exception as error:  # noqa: BLE001 - pickling runs whatever a class defines
            payload = f"the payload cannot be sent: {type(error).__name__}: {error}"
        self._waiting.append((job, payload))

    def events(self, timeout: float) -> list[Event]:
        """Run the next job, if no news waits already.

        Args:
            timeout: Not used: there is nothing to wait for.

        Returns:
            All news.
        """
        if not self._events and self._waiting:
            self._run(*self._waiting.popleft())
        found, self._events = self._events, []
        return found

    def cancel(self, job: str) -> None:
        """End a job that waits, or the running one once its function returns."""
        self._cancelled = self._cancelled or job == self._running
        for entry in [e for e in self._waiting if e[0].id == job]:
            self._waiting.remove(entry)
            self._end(job, Status.CANCELLED, message="cancelled before it began")

    def close(self) -> None:
        """End everything that waits; safe to call twice."""
        self._closed = True
        while self._waiting:
            job, _ = self._waiting.popleft()
            self._end(job.id, Status.CANCELLED, message="the executor was closed")

    def _run(self, job: Job, payload: bytes | str) -> None:
        if isinstance(payload, str):
            self._end(job.id, Status.FAILED, message=payload)
            return
        self._running, self._cancelled = job.id, False
        self._events.append(Event(job.id, "started"))
        status, value, message = Status.DONE, None, ""
        try:
            function = registry.load(job.call)
            result = function(
                pickle.loads(payload),
                lambda news: self._events.append(Event(job.id, "progress", value=news)),
            )
            value = pickle.loads(pickle.dumps(result))
        except SystemExit as error:
            status, message = Status.KILLED, f"the job called sys.exit({error.code!r})"
        except MemoryError as error:
            status, message = Status.MEMORY, f"out of memory: {error!r}"
        except Exception as error:  # noqa: BLE001 - whatever a job raises ends that job only
            status, message = Status.FAILED, f"{type(error).__name__}: {error}"
        finally:
            self._running = ""
        if self._cancelled:
            status, value, message = Status.CANCELLED, None, "cancelled"
        self._end(job.id, status, value, message)

    def _end(self, job: str, status: Status, value: Any = None, message: str = "") -> None:
        self._events.append(Event(job, "ended", status, value, message))


class FakeStrategy:
    """Known-good start first, then random configurations; keeps `core.protocols.Strategy`."""

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations that the history does not hold.

        Args:
            space: Where to search.
            history: Everything tried or running.
            n: How many are wanted.
            seed: Of the study.

        Returns:
            Fewer than n when a hundred draws give nothing new.
        """
        seen = {_key(observed.config) for observed in history}
        found: list[Proposal] = []
        for draw in range(100 * n):
            if len(found) == n:
                break
            if draw == 0 and not history:
                config, reason = space.defaults(), "fake: the defaults"
            else:
                rng = np.random.default_rng(derive(seed, "fake", len(history), draw))
                config, reason = _sample(space, rng), "fake: at random"
            if _key(config) not in seen:
                seen.add(_key(config))
                found.append(Proposal(config, reason))
        return tuple(found)

    def judge(
        self, history: Sequence[Observed], running: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Signal]:
        """Let everything go on.

        Args:
            history: Everything tried or running.
            running: Losses so far.

        Returns:
            Nothing, which means CONTINUE.
        """
        return {}


def _key(config: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(config), sort_keys=True)


def _sample(space: Space, rng: np.random.Generator) -> dict[str, Scalar]:
    config: dict[str, Scalar] = {}
    for parameter in space.ordered:
        if any(parameter is active for active in space.active(config)):
            config[parameter.name] = _draw(parameter, rng)
    return config


def _draw(parameter: Parameter, rng: np.random.Generator) -> Scalar:
    if isinstance(parameter, Categorical | Ordinal):
        return parameter.choices[int(rng.integers(len(parameter.choices)))]
    assert isinstance(parameter, Float | Int)
    return snap(parameter, between(parameter, float(rng.random())))

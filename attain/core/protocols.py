"""What a plugin must offer. Plugins get data, never the running study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attain.core.space import Config, Space
from attain.core.types import (
    Attribution,
    Dataset,
    Draft,
    Finding,
    Forecast,
    Observed,
    Proposal,
    Record,
    Rows,
    Signal,
    Status,
    Task,
)

if TYPE_CHECKING:
    import numpy as np

Report = Callable[[int, Mapping[str, float]], Signal]


PLACE_VARIABLE = "ATTAIN_PLACE"
"""In the environment of a worker process: its number among those of its machine, from 0."""


@runtime_checkable
class Strategy(Protocol):
    """Decides which configurations to try next.

    A class attribute ``judges = False`` says that `judge` never says anything but CONTINUE; then
    fits are not slowed down by asking.
    """

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations; a pure function of its arguments.

        Those with a parent go on with a trial that waits; a class attribute ``continues = True``
        says that there may be such, also when no new configuration is allowed any more.

        A cache may make it faster but never change the answer. Fewer than n (also none) means that
        the space is exhausted. Running trials are part of the history.
        """
        ...

    def judge(
        self, history: Sequence[Observed], running: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Signal]:
        """What running trials are told, given their losses so far; absent means CONTINUE.

        Of a fit that was paused it is asked again, with the losses up to there, whenever there is
        room for a trial: PAUSE lets it wait, STOP permits deleting its state, CONTINUE has it go on
        from there. The history holds trials of the same learner with the curve of their first fit,
        and their status says how that fit ended: ``done`` when nothing ended it.
        """
        ...


@dataclass(frozen=True, eq=False)
class FitData:
    """What a learner gets to fit one model.

    Attributes:
        dataset: What is known of the rows.
        train: Rows to learn from.
        stop: Rows to stop early on, disjoint from `train` and from all validation rows; None when
            `hints` fix the length of training.
        hints: Facts that earlier fits of the same configuration returned, such as ``rounds``.
        seed: Of everything random.
        threads: CPU threads that may be used.
        memory: Bytes that the process of the fit may hold before it is ended; None for all that
            is free.
        cache: Folder that all fits of a study share, for what depends on nothing but rows and a
            pre-trained model; every entry is keyed by its content. None to keep nothing.
        checkpoint: Folder of this fit alone, in which a learner may keep its state; if one is found
            there, the fit goes on from it and ends as if it had never been interrupted. One that
            is damaged, or of another fit, is passed over.
        rows_key: Names the rows of `train` and `stop`: fits with the same key share what only these
            decide, drawn by the key instead of the seed. Empty where nobody fits the same rows.
    """

    dataset: Dataset
    train: Rows
    stop: Rows | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    cache: Path | None = None
    checkpoint: Path | None = None
    memory: int | None = None
    rows_key: str = ""


@runtime_checkable
class Model(Protocol):
    """A fitted model."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a refit or a reader needs, such as ``rounds``; plain JSON values."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything needed into an existing, empty folder; no pickle."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A family of models.

    Attributes:
        stops_early: Whether `fit` makes use of `FitData.stop`; if not, or if it is not said, those
            rows train instead.
    """

    stops_early: bool = False

    def space(self, dataset: Dataset) -> Space:
        """What can be tuned for these rows; raises NotApplicable with the reason if nothing can."""
        ...

    def fit(self, config: Config, data: FitData, report: Report) -> Model:
        """A fitted model. Calls `report(step, losses)` if it learns in steps, and obeys STOP.

        PAUSE is said only to learners with ``pauses = True`` (see `Pausable`).
        """
        ...

    def predict(self, model: Any, rows: Rows) -> np.ndarray:
        """Probabilities of shape (n, classes), or values of shape (n,).

        Probabilities of a row sum to 1, but for labels, which do not exclude each other.
        """
        ...

    def load(self, folder: Path) -> Model:
        """The model that `save` wrote; its predictions are equal to the last bit."""
        ...


@runtime_checkable
class Pausable(Protocol):
    """A learner whose fits can go on later; others begin anew, and are told STOP.

    Attributes:
        pauses: Whether PAUSE ends a fit as STOP does and leaves its state in `FitData.checkpoint`.
            A fit that finds it there reports all earlier losses once more, and obeys what it is
            told then, too.
    """

    pauses: bool


@runtime_checkable
class Adjustable(Protocol):
    """A learner that can change parameters while it learns; what changes them it never sees.

    Attributes:
        adjustable: Names of parameters whose value in a configuration may be a `core.schedule`.
            Fits whose schedules agree up to a step are the same up to there, and may go on from
            each other's state.
    """

    adjustable: tuple[str, ...]


@runtime_checkable
class Forecasting(Protocol):
    """A learner that can say beforehand what its fits cost; few can, so it is not asked of all."""

    def forecast(self, data: FitData, stated: Space | None = None) -> Forecast:
        """What fits on these rows cost; probes must be a small part of what they foretell.

        ``stated`` is the learner's space as the user has narrowed it: what is left out need not be
        measured, and what is fixed is as it is said.
        """
        ...


@runtime_checkable
class Writing(Protocol):
    """A learner whose models write texts, which can be judged beside a reference."""

    def write(
        self, model: Any, rows: Rows, most: int | None = None
    ) -> tuple[np.ndarray, Sequence[Mapping[str, Any]]]:
        """Predictions that count generated answers, and the answers, of so many rows or of all.

        An answer has ``row``, ``prompt``, ``reference`` (None without), ``answer``, ``ended``.
        """
        ...


@runtime_checkable
class Saying(Protocol):
    """A learner that answers with more than a class or a value where predictions are counts.

    `predict` counts how right the answers are, which takes the truth; a user has none.

    Attributes:
        counts: Tasks of this kind (`core.counts`) that it is for.
    """

    counts: tuple[Task, ...]

    def say(self, model: Any, rows: Rows) -> np.ndarray:
        """Labels of words as JSON lists, or transcripts: texts, shape (n,); None where it cannot.

        A target in the last column of X is not looked at, and may be missing.
        """
        ...


@runtime_checkable
class Attributing(Protocol):
    """A learner whose models can say which words or places of files moved a prediction, how far."""

    def attribute(
        self, model: Any, rows: Rows, classes: np.ndarray | None
    ) -> Sequence[Attribution]:
        """One answer for each row, about the class of this code, or the value where it is None."""
        ...


@runtime_checkable
class Contributing(Protocol):
    """A learner whose models can say exactly how far each column moved a prediction."""

    def contribute(
        self, model: Any, rows: Rows, classes: np.ndarray | None
    ) -> Sequence[Attribution]:
        """One answer for each row, about the class of this code, or the value where it is None."""
        ...


@runtime_checkable
class Reading(Protocol):
    """A learner that can say what a pre-trained model, left as it is, makes of files."""

    def read(
        self, dataset: Dataset, cells: Sequence[str], cache: Path | None, threads: int
    ) -> np.ndarray:
        """Features of the files that cells name, shape (n, d), rows of one length."""
        ...


@runtime_checkable
class Seeing(Protocol):
    """A learner of files that can show what its models see of them, and which are alike to them."""

    def pictures(self, model: Any, rows: Rows) -> Sequence[np.ndarray]:
        """A picture of each row's file for people, uint8, shape (height, width, 3)."""
        ...

    def places(self, model: Any, rows: Rows) -> np.ndarray:
        """Shape (n, d), rows of one length: those that point the same way are alike to it."""
        ...


@dataclass(frozen=True)
class Limits:
    """What a job may use.

    Attributes:
        seconds: Wall time; None for no limit.
        bytes: Resident memory; None for no limit.
        threads: CPU threads.
    """

    seconds: float | None = None
    bytes: int | None = None
    threads: int = 1


@dataclass(frozen=True)
class Job:
    """Work for an executor.

    Attributes:
        id: Unique among the jobs under way.
        call: ``package.module:function``; called with the payload and a progress function.
        payload: Picklable keyword arguments.
        limits: What it may use.
    """

    id: str
    call: str
    payload: Mapping[str, Any]
    limits: Limits = Limits()


@dataclass(frozen=True)
class Event:
    """News of a job.

    Attributes:
        job: Its id.
        kind: ``started``, ``progress`` or ``ended``; exactly one ``ended`` per submitted job.
        status: How it ended.
        value: What the function returned, or what it passed to progress.
        message: Why it did not end well.
        seconds: Wall time from start to end.
        peak_bytes: Peak resident memory of the worker.
        log: File with what the job printed, or empty.
    """

    job: str
    kind: str
    status: Status = Status.DONE
    value: Any = None
    message: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    log: str = ""


@runtime_checkable
class Executor(Protocol):
    """A place to run jobs. One that fails, hangs or dies ends as an event, not an exception."""

    def submit(self, job: Job) -> None:
        """Queue a job."""
        ...

    def events(self, timeout: float) -> list[Event]:
        """News since the last call; waits up to timeout seconds for the first."""
        ...

    def cancel(self, job: str) -> None:
        """End a job; its ``ended`` event follows with status CANCELLED."""
        ...

    def close(self) -> None:
        """End everything under way; safe to call twice."""
        ...


@dataclass(frozen=True, eq=False)
class Subject:
    """What a data check looks at.

    Attributes:
        dataset: What is known of the rows.
        frame: The unsealed rows as read (a pandas data frame).
        rows: The same rows as learners see them.
        sealed: Counts the sealing step allowed out: ``rows``, ``overlap``, ``class_counts``.
        seed: Of any sampling.
        deep: Whether costly checks may take minutes, on ten times the rows.
        read: What a pre-trained model makes of cells that name files, shape (n, d); None where no
            model was named, or none that reads files.
    """

    dataset: Dataset
    frame: Any
    rows: Rows
    sealed: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    deep: bool = False
    read: Callable[[Sequence[str]], np.ndarray] | None = None


@runtime_checkable
class Check(Protocol):
    """One question about the data."""

    @property
    def code(self) -> str:
        """Stable for ever, such as ``D004``."""
        ...

    def run(self, subject: Subject) -> Finding:
        """The answer; NOT_APPLICABLE with a reason is one."""
        ...


@runtime_checkable
class Ledger(Protocol):
    """An append-only log; everything else is read back from it."""

    def append(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        """Make records durable, all or none, before returning them."""
        ...

    def read(self, since: int = 0) -> tuple[Record, ...]:
        """All records with an id above `since`, oldest first."""
        ...

    def close(self) -> None:
        """Give the study back; safe to call twice."""
        ...

"""The order of the seven steps, and starting, resuming and stopping a study."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from attain.core.codec import encode
from attain.core.errors import AttainError, Interrupted, SealError
from attain.core.files import file_digest, plain_errors
from attain.core.protocols import Executor, Limits
from attain.pipeline import folders
from attain.pipeline.finish import Ending, write_reports
from attain.pipeline.language import read_schema
from attain.pipeline.loop import Search, baselines
from attain.pipeline.notice import Listener
from attain.pipeline.places import (
    Executors,
    executors_of,
    forget_ledger,
    local_executor,
    open_ledger,
    resources,
)
from attain.pipeline.prepare import Prepared, check_same, environment, prepare
from attain.pipeline.pretrained import read_model
from attain.pipeline.result import Result
from attain.pipeline.scoring import Judge
from attain.pipeline.spec import StudySpec
from attain.pipeline.study import Study
from attain.pipeline.trials import Trials
from attain.pipeline.watching import watched
from attain.runtime.address import has_ledger
from attain.runtime.requests import RequestBox

HANG_SECONDS = 3_600.0


def run(
    spec: StudySpec, *, listen: Listener | None = None, executors: Executors | None = None
) -> Result:
    """Run a study, or go on with one that was stopped.

    Args:
        spec: What the user stated.
        listen: Told of everything that happens.
        executors: Makes the places where jobs run; local worker processes otherwise.

    Returns:
        The verdict, the model and where the report is.

    Raises:
        AttainError: See `core.errors`; everything finished is kept.
    """
    with watched(spec.folder, listen) as listener:
        return _run(open_study(spec, listener), spec, executors)


def _run(study: Study, spec: StudySpec, executors: Executors | None) -> Result:
    try:
        ended = study.last("ended")
        if ended is None:
            _seven_steps(study, spec, executors)
        folders.clean(study.folder, keep_cache=spec.keep_cache)
        return write_reports(study)
    except Interrupted as stop:
        study.write("study", "interrupted", {"reason": str(stop)})
        raise
    finally:
        study.close()


def _seven_steps(study: Study, spec: StudySpec, made: Executors | None) -> None:
    executors = made or executors_of(spec)
    with stop_on_signal(study):
        workers, threads = resources(spec)
        limits = limits_of(spec, workers, threads)
        ready = prepare(study, spec, place(spec, study.folder, executors))
        executor = executors(workers, threads, study.folder / "logs")
        try:
            trials = Trials(
                study,
                Judge(study.folder, ready.dataset, ready.objectives, spec.confidence),
                executor,
                workers=workers,
                limits=limits,
                racing=spec.racing and not spec.reshuffle,
                strategy=ready.strategy,
                forecasts=ready.forecasts,
                firm=spec.trial_minutes is not None,
            )
            baselines(study, ready, trials)
            decision = Search.resume(study, ready, trials).run()
            # what is measured and sealed stays on this machine
            home = made or local_executor
            _ending(study, spec, ready, trials, home).finish(decision.stop)
        finally:
            executor.close()


def look_again(
    spec: StudySpec,
    reason: str,
    listen: Listener | None = None,
    executors: Executors | None = None,
) -> Result:
    """Open the seal of a finished study once more.

    Args:
        spec: The study.
        reason: Why; recorded and shown in every report.
        listen: Told of everything that happens.
        executors: As for `run`.

    Returns:
        With the new verdict.

    Raises:
        SealError: When the study has not been tested yet, or there is no reason.
    """
    if not has_ledger(spec.folder):
        raise SealError(f"{spec.folder} holds no study — run it first with: attain run")
    study = open_study(spec, listen, fitting=False)
    try:
        if study.last("verdict") is None:
            raise SealError("the seal has not been opened yet — go on with: attain run")
        with stop_on_signal(study):
            _look_again(study, spec, reason, executors or local_executor)
        return write_reports(study)
    finally:
        study.close()


def _look_again(study: Study, spec: StudySpec, reason: str, executors: Executors) -> None:
    ready = prepare(study, spec)
    threads = resources(spec)[1]
    executor = executors(1, threads, study.folder / "logs")
    try:
        judge = Judge(study.folder, ready.dataset, ready.objectives, spec.confidence)
        limits = limits_of(spec, 1, threads)
        trials = Trials(study, judge, executor, workers=1, limits=limits)
        _ending(study, spec, ready, trials, executors).look_again(reason)
    finally:
        executor.close()


def open_study(spec: StudySpec, listen: Listener | None, *, fitting: bool = True) -> Study:
    """Begin a study, or take up the one in its folder.

    Args:
        spec: What the user stated.
        listen: Told of everything that happens.
        fitting: Whether anything may still be fitted, so that the pre-trained model must be there.

    Returns:
        With a ``study`` record, and a ``resumed`` record when it is not new.

    Raises:
        SpecError: When the folder's study began under another statement or with another model, or
            the stated schema of answers cannot be used.
        DataError: When the pre-trained model is not whole.
        LedgerError: When another process is at work on it.
        EnvironmentProblem: When the folder cannot be written.
    """
    model = read_model(spec) if fitting else None
    with plain_errors(spec.folder, "making"):
        spec.folder.mkdir(parents=True, exist_ok=True)
    schema = read_schema(spec) if fitting else ""
    digests = {
        "data_digest": _data_digest(spec),
        "model_digest": model.digest if model else "",
        "schema_digest": hashlib.sha256(schema.encode()).hexdigest() if schema else "",
    }
    stated = encode({**spec.public(), **digests})
    study = _attach(spec, listen)
    began = study.last("study")
    if began is not None and study.last("trial") is None and began.payload["spec"] != stated:
        # Nothing has been spent and nothing tested: a changed statement simply begins anew.
        study.close()
        forget_ledger(spec.folder)
        study, began = _attach(spec, listen), None
    try:
        if began is None:
            study.write("study", "study", {"spec": stated, "environment": environment()})
        else:
            _take_up(study, spec, began.payload["spec"], digests)
    except AttainError:
        study.close()
        raise
    return study


def _attach(spec: StudySpec, listen: Listener | None) -> Study:
    ledger: Any = open_ledger(spec)
    return Study(
        spec.folder,
        ledger,
        seed=spec.seed,
        budget=spec.budget,
        listen=listen,
        box=RequestBox(spec.folder),
        epoch=ledger.epoch,
    )


def _take_up(
    study: Study, spec: StudySpec, recorded: Mapping[str, Any], digests: Mapping[str, str]
) -> None:
    check_same(recorded, spec, **digests)
    for record in list(study.records):
        study.tell("record", record=record)
    if study.last("ended") is None:
        study.write("study", "resumed", {"reason": "the same command was run again"})


def _data_digest(spec: StudySpec) -> str:
    """Hash of the data file; empty for frames, whose rows are hashed when they are sealed."""
    source = spec.source
    if isinstance(source, Path) and source.is_file():
        return file_digest(source)
    return ""


def place(
    spec: StudySpec, folder: Path, executors: Executors | None = None
) -> tuple[Callable[[], Executor], Limits]:
    """Where learners are asked what their fits cost: one worker, as fits will have it.

    Args:
        spec: What the user stated.
        folder: For what workers print.
        executors: As for `run`.

    Returns:
        What makes the executor, and the limits of a fit.
    """
    workers, threads = resources(spec)
    make = executors or executors_of(spec)
    return partial(make, 1, threads, folder / "logs"), limits_of(spec, workers, threads)


def limits_of(spec: StudySpec, workers: int, threads: int) -> Limits:
    """What a fit may use.

    Args:
        spec: May state limits.
        workers: Processes that fit at the same time.
        threads: Of each.

    Returns:
        Seconds after which a fit is a hang, its share of the memory, and threads.
    """
    seconds = HANG_SECONDS
    if spec.budget.minutes is not None:
        seconds = max(60.0, spec.budget.minutes * 30)  # half the budget: a longer fit is a hang
    if spec.trial_minutes is not None:
        seconds = spec.trial_minutes * 60
    memory = int(psutil.virtual_memory().total * 0.8 / workers)
    if spec.trial_memory_gb is not None:
        memory = int(spec.trial_memory_gb * 2**30)
    return Limits(seconds=seconds, bytes=memory, threads=threads)


def _ending(
    study: Study, spec: StudySpec, ready: Prepared, trials: Trials, executors: Executors
) -> Ending:
    threads = trials.limits.threads
    fresh = partial(executors, 1, threads, study.folder / "logs")
    return Ending(study=study, spec=spec, ready=ready, trials=trials, fresh=fresh)


@contextmanager
def stop_on_signal(study: Study) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks the study to stop cleanly, the second ends it at once.

    Args:
        study: Its `stopping` is set.

    Yields:
        Nothing. Outside of the main thread signals are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        if study.stopping:
            raise KeyboardInterrupt
        study.stopping = True
        study.tell("progress", text="stopping")

    old = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("stopped at once — finished trials are kept") from None
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

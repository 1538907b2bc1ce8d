"""What workers run. Each function takes a payload of plain values and returns plain values."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attain.core import counts
from attain.core.codec import decode, encode
from attain.core.files import write_atomic
from attain.core.protocols import FitData, Learner, Saying, Strategy, Writing
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.types import CurvePoint, Dataset, Observed, Rows, Signal, Split, Status
from attain.data.seal import load_work
from attain.data.table import to_rows
from attain.pipeline import folders, language, tagging
from attain.pipeline.language import predicted
from attain.sealed.latency import measure
from attain.train.trial import Trained, check_prediction, train
from attain.validate.resample import Fold, carve_stop, folds

Progress = Callable[[Any], None]
TRAIN_SAMPLE = 5_000
LATENCY_SECONDS = 0.3
LATENCY_FOLDS = 2  # the shape of a model, and so its latency, hardly depends on the fold
_HINTS = ("rounds", "winner", "head_rounds")
BATCH = 256  # rows in a call when throughput is measured
_TIMED = {
    "latency_ms": {"latency_p50_ms", "latency_p95_ms", "latency_p99_ms"},
    "batch_ms": {"throughput_rows_per_s"},
}
LATENCY_METRICS = frozenset().union(*_TIMED.values())


def fit_fold(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Fit one configuration on one fold and predict its validation rows.

    Args:
        payload: ``folder``, ``dataset``, ``learner``, ``config``, ``split``, ``fold``, ``seed``,
            ``threads``, ``metrics`` (names whose measurements are wanted), ``seconds`` (after which
            a learner that learns in steps stops with what it has), ``out`` (file for the
            predictions, relative to the folder), and optionally ``stop_seed`` (of the choice of
            rows to stop on; the same for all configurations makes their curves comparable),
            ``judge`` (see `judged`), ``checkpoint`` (folder in which this fit keeps its state) and
            ``origin`` (that of a paused fit which this one goes on with).
        progress: Told of each look at the fit under way.

    Returns:
        The fields of `core.types.Outcome` that the job knows.
    """
    began = time.perf_counter()
    dataset = decode(Dataset, payload["dataset"])
    rows = work_rows(payload["folder"], dataset)
    fold = all_folds(payload["folder"], payload["split"], dataset)[payload["fold"]]
    learner: Learner = find("learner", payload["learner"])()
    on_point = judged(payload.get("judge"), progress)
    folders.take_over(payload["folder"], payload.get("origin"), payload.get("checkpoint"))
    trained = _fit(learner, payload, dataset, rows, fold.train, on_point)
    if trained.model is None:
        return _failed(trained, began)
    clock = time.perf_counter()
    valid, answers = predicted(
        learner, trained.model, rows.take(fold.valid), dataset, payload.get("quality", ()),
        bool(payload.get("full")),
    )  # fmt: skip
    predict_seconds = time.perf_counter() - clock
    problem = check_prediction(
        valid,
        len(fold.valid),
        len(dataset.classes),
        len(counts.columns(dataset.task)),
        exclusive=not dataset.task.several,
    )
    if problem:
        return {"status": Status.FAILED, "message": problem, "curve": encode(trained.curve)}
    most = language.TRAIN_SAMPLE if dataset.task.language else TRAIN_SAMPLE
    if payload.get("full"):
        held = rows.take(fold.valid)
        on_point.facts |= tagging.told(learner, trained.model, held, dataset, fold.valid)
    sample = _train_sample(fold.train, payload["seed"], most)
    on_train = learner.predict(trained.model, rows.take(sample))
    _save_predictions(Path(payload["folder"]) / payload["out"], valid, on_train, sample)
    measured = _measurements(learner, trained.model, payload, dataset)
    return {
        "status": Status.DONE,
        "message": trained.message,
        "predictions": payload["out"],
        "curve": encode(trained.curve),
        "facts": {**trained.model.facts, **measured, **on_point.facts, **_told(answers, fold)},
        "fit_seconds": trained.seconds,
        "predict_seconds": predict_seconds,
        "saved_seconds": trained.saved,
    }


@dataclass
class Judged:
    """Passes each look at a fit on, and asks the strategy whether to go on.

    A strategy's `judge` is a pure function, so it is asked here, where the losses are: at once, on
    what was known when the fit was asked for, and therefore the same when a study is replayed.

    Attributes:
        progress: Told of each look.
        strategy: What judges, or None.
        trial: Id of the trial.
        history: Finished trials of the same learner, with their curves.
        losses: After each step so far, on the rows set aside.
        after: The step that a paused fit goes on from; what was before has been judged.
        folder: Of the study; its disk says whether a paused fit may keep its state.
        facts: ``stopped``, the step after which the strategy ended the fit, if it did; ``paused``
            the same if it may go on later; and whatever else is told of the fit.
    """

    progress: Progress
    strategy: Strategy | None = None
    trial: str = ""
    history: tuple[Observed, ...] = ()
    losses: list[float] = field(default_factory=list)
    after: int = 0
    folder: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, point: CurvePoint) -> Signal:
        """CONTINUE, or what ends the fit with what has been learnt so far.

        PAUSE does, too, but what the fit needs to go on is kept, if its learner keeps it and the
        disk has room.
        """
        self.progress(encode(point))
        loss = point.values.get("stop")
        if self.strategy is None or loss is None:
            return Signal.CONTINUE
        self.losses += [loss] * (point.step - len(self.losses))
        if point.step <= self.after:
            return Signal.CONTINUE
        signals = self.strategy.judge(self.history, {self.trial: self.losses})
        signal = signals.get(self.trial, Signal.CONTINUE)
        if signal is not Signal.CONTINUE:
            self.facts["stopped"] = point.step
        if signal is Signal.PAUSE:
            self.facts["paused"] = point.step
            if not folders.has_room(self.folder):
                return Signal.STOP  # it begins anew if it ever goes on
        return signal


def judged(asked: Mapping[str, Any] | None, progress: Progress) -> Judged:
    """What a fit under way is told.

    Args:
        asked: ``strategy`` (a registered name), ``trial``, ``history`` (encoded) and ``after`` (the
            step up to which it was judged before); None to let the fit run to its end.
        progress: Told of each look.

    Returns:
        To be called with each point of the curve.
    """
    if asked is None:
        return Judged(progress)
    history = decode(tuple[Observed, ...], asked["history"])
    strategy = find("strategy", asked["strategy"])()
    place = {"after": asked["after"], "folder": asked["folder"]}
    return Judged(progress, strategy, asked["trial"], history, **place)


def _fit(
    learner: Learner,
    payload: Mapping[str, Any],
    dataset: Dataset,
    rows: Rows,
    index: np.ndarray,
    on_point: Judged,
) -> Trained:
    """Fit on the rows at `index`."""
    return train(
        learner,
        payload["config"],
        fit_data(learner, payload, dataset, rows, index),
        on_point=on_point,
        seconds=payload.get("seconds"),
    )


def hints_of(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What fits on folds learnt that a fit on all of their rows should use.

    Args:
        facts: Of the fits of one configuration.

    Returns:
        The median of each fact that tells how to fit: how long (``rounds``), which of several
        candidates (``winner``), and which head a tuned body starts from (``head_rounds``).
    """
    found = {name: [each[name] for each in facts if name in each] for name in _HINTS}
    return {name: round(float(np.median(values))) for name, values in found.items() if values}


def fit_data(
    learner: Any, payload: Mapping[str, Any], dataset: Dataset, rows: Rows, index: np.ndarray
) -> FitData:
    """What a learner gets to fit on some rows.

    Args:
        learner: Says whether it stops early; then, without hints, a part is set aside for that.
        payload: ``folder``, ``seed``, ``threads``, and optionally ``hints``, ``stop_seed``,
            ``checkpoint`` and ``memory``.
        dataset: What is known of the rows.
        rows: The unsealed rows.
        index: Positions of those to fit on, shape (m,).

    Returns:
        With the study's folders for what fits share and for this fit's state.
    """
    hints = payload.get("hints") or {}
    fit_index, stop = index, None
    if getattr(learner, "stops_early", False) and not hints:
        fit_index, stop_index = carve_stop(
            rows,
            index,
            classifies=dataset.task.named,
            seed=payload.get("stop_seed", payload["seed"]),
        )
        stop = rows.take(stop_index) if len(stop_index) else None
    return FitData(
        dataset=dataset,
        train=rows.take(fit_index),
        stop=stop,
        hints=hints,
        seed=payload["seed"],
        threads=payload["threads"],
        cache=folders.cache(payload["folder"]),
        checkpoint=folders.checkpoint(payload["folder"], payload.get("checkpoint")),
        memory=payload.get("memory"),
        rows_key=_rows_key(payload, index, stop is not None),
    )


def _rows_key(payload: Mapping[str, Any], index: np.ndarray, stops: bool) -> str:
    """Which rows a fit of the search gets; other fits share theirs with nobody."""
    if "stop_seed" not in payload:
        return ""
    about = json.dumps([payload["dataset"], payload["stop_seed"], stops], sort_keys=True)
    rows = np.ascontiguousarray(index, dtype="<i8").tobytes()
    return hashlib.blake2b(about.encode() + b"\0" + rows, digest_size=16).hexdigest()


def _told(answers: list[dict[str, Any]], fold: Fold) -> dict[str, Any]:
    """Answers to look at, with the rows that they are about."""
    named = [{**a, "row": int(fold.valid[a["row"]])} for a in answers]
    return {"answers": named} if named else {}


def _failed(trained: Trained, began: float) -> dict[str, Any]:
    return {
        "status": trained.status,
        "message": trained.message,
        "curve": encode(trained.curve),
        "fit_seconds": time.perf_counter() - began,
    }


def _train_sample(index: np.ndarray, seed: int, most: int) -> np.ndarray:
    """Some training rows, enough to tell memorising from learning."""
    if len(index) <= most:
        return index
    rng = np.random.default_rng(derive(seed, "train sample"))
    return np.sort(rng.choice(index, most, replace=False))


def _save_predictions(
    path: Path, valid: np.ndarray, on_train: np.ndarray, sample: np.ndarray
) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        valid=valid.astype(np.float32),
        train=on_train.astype(np.float32),
        train_rows=sample.astype(np.int64),
    )
    write_atomic(path, buffer.getvalue())


def _measurements(
    learner: Learner, model: Any, payload: Mapping[str, Any], dataset: Dataset
) -> dict[str, Any]:
    """What efficiency objectives need; nothing is measured that nobody asked for."""
    found: dict[str, Any] = {}
    metrics = set(payload["metrics"])
    if metrics & LATENCY_METRICS and payload["fold"] < LATENCY_FOLDS:
        frame = load_work(Path(payload["folder"])).head(1_000)
        size = language.BATCH if dataset.task.language else BATCH
        for name, batch in (("latency_ms", 1), ("batch_ms", size)):
            if metrics & _TIMED[name]:
                times = latency(learner, model, frame, dataset, LATENCY_SECONDS, batch)
                found[name] = times.tolist()
        found["batch"] = min(size, len(frame))
    if "size_mb" in metrics:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder))
            found["size_mb"] = folder_bytes(Path(folder)) / 1e6
    return found


def latency(
    learner: Learner, model: Any, frame: Any, dataset: Dataset, seconds: float, batch: int = 1
) -> np.ndarray:
    """Milliseconds from a raw frame to predictions, as a user of the model would wait.

    Args:
        learner: The model's family.
        model: A fitted model.
        frame: Raw rows to take from, never sealed ones.
        dataset: What is known of the rows.
        seconds: Time to spend.
        batch: Rows in each call.

    Returns:
        One value per call, after warming up.
    """

    def predict(part: Any) -> np.ndarray:
        rows = to_rows(part, dataset, with_target=False)
        if isinstance(learner, Writing):
            return learner.write(model, rows)[0]
        if dataset.task.counted and isinstance(learner, Saying):
            return learner.say(model, rows)
        return learner.predict(model, rows)

    if dataset.task.counted:  # a user has no answers
        frame = frame.drop(columns=dataset.target) if dataset.features else frame

    return measure(predict, frame, batch=batch, seconds=seconds)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


_rows: dict[tuple[str, str], Rows] = {}
_folds: dict[str, tuple[Fold, ...]] = {}


def work_rows(folder: str, dataset: Dataset) -> Rows:
    """The unsealed rows, read once per worker.

    Args:
        folder: The study folder.
        dataset: What is known of them.

    Returns:
        The same object at each call.
    """
    key = (str(folder), dataset.fingerprint)
    if key not in _rows:
        _rows.clear()
        _rows[key] = to_rows(load_work(Path(folder)), dataset)
    return _rows[key]


def all_folds(folder: str, split: Mapping[str, Any], dataset: Dataset) -> tuple[Fold, ...]:
    """The folds of a split, computed once per worker.

    Args:
        folder: The study folder.
        split: An encoded `core.types.Split`.
        dataset: What is known of the rows.

    Returns:
        Positions of training and validation rows.
    """
    key = f"{folder}|{dataset.fingerprint}|{sorted(split.items())}"
    if key not in _folds:
        if len(_folds) > 8:
            _folds.clear()
        _folds[key] = folds(decode(Split, split), work_rows(folder, dataset))
    return _folds[key]

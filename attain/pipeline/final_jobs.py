"""What workers run once the finalist is fixed: refit, inspect, explain, and the sealed test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.codec import decode, encode
from attain.core.errors import DataError, SealError
from attain.core.protocols import Attributing, Contributing, FitData, Learner, Model, Seeing
from attain.core.registry import find
from attain.core.seal import Permit, Seal
from attain.core.types import CurvePoint, Dataset, Direction, Rows, Score, Signal, Split
from attain.data.seal import load_work, work_origin
from attain.data.table import to_rows
from attain.objectives.metrics import lookup
from attain.pipeline import calibration, folders, language, saved
from attain.pipeline.calibration import calibrated
from attain.pipeline.jobs import BATCH, Progress, all_folds, folder_bytes, latency, work_rows
from attain.report.explain import explain as explain_model
from attain.report.pictures import Sight
from attain.report.singles import Attribute
from attain.sealed.open import open_sealed
from attain.stats.calibrate import Calibrator
from attain.train.trial import train
from attain.validate.metrics import compute
from attain.validate.score import measured, score
from attain.validate.threshold import for_metric

PROBE_ROWS = 500
LATENCY_SECONDS = 2.0
EXPLAIN_SECONDS = 10.0
WORDS_SECONDS = 20.0  # more, where words or places can be told: a row is read some twenty times


def refit(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Fit the finalist on all unsealed rows and save it.

    Args:
        payload: ``folder``, ``dataset``, ``learner``, ``config``, ``hints``, ``seed``, ``threads``,
            ``trial``, ``threshold`` (of two classes, None for the usual rule), ``calibrator``
            (encoded; None to leave probabilities alone).
        progress: Told of each look at the fit under way.

    Returns:
        ``digest``, ``facts``, ``seconds``, ``size_bytes``, ``rows`` and ``probe`` (predictions that
        a fresh process must reproduce).

    Raises:
        RuntimeError: When the fit fails.
    """
    dataset = decode(Dataset, payload["dataset"])
    rows = work_rows(payload["folder"], dataset)
    learner = calibrated(find("learner", payload["learner"])(), payload.get("calibrator"))
    data = FitData(
        dataset=dataset,
        train=rows,
        hints=payload["hints"],
        seed=payload["seed"],
        threads=payload["threads"],
        cache=folders.cache(payload["folder"]),
        checkpoint=folders.checkpoint(payload["folder"], folders.REFIT),
    )

    def tell(point: CurvePoint) -> None:
        progress(encode(point))

    trained = train(learner, payload["config"], data, on_point=tell)
    if trained.model is None:
        raise RuntimeError(f"the refit ended {trained.status}: {trained.message}")
    model_folder = Path(payload["folder"]) / "model"
    decides = {
        name: payload[name] for name in ("threshold", "calibrator") if payload.get(name) is not None
    }
    digest = saved.save(
        model_folder,
        trained.model,
        learner=payload["learner"],
        config=payload["config"],
        dataset=dataset,
        about={"trial": payload["trial"], "facts": trained.model.facts, **decides},
    )
    most = language.PROBE_ROWS if dataset.task.language else PROBE_ROWS
    probe = learner.predict(trained.model, rows.take(np.arange(min(most, len(rows)))))
    return {
        "digest": digest,
        "facts": encode(trained.model.facts),
        "seconds": trained.seconds,
        "size_bytes": folder_bytes(model_folder),
        "rows": len(rows),
        "probe": probe.tolist(),
    }


def inspect(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Load the saved model in this process, compare its predictions and time it.

    Args:
        payload: ``folder``, ``digest``, ``probe``.
        progress: Not used.

    Returns:
        ``differs`` (largest difference from the probe), ``latency_ms`` of single rows,
        ``batch_ms`` of batches of ``batch`` rows; of an adapter also ``adapter_differs``.

    Raises:
        ArtifactError: When the folder does not load or is not the one that was frozen.
    """
    folder = Path(payload["folder"])
    model = _frozen(folder, payload["digest"])
    frame = load_work(folder)
    probe = np.asarray(payload["probe"], dtype=np.float64)
    again = model.raw(frame.head(len(probe)))
    part, dataset = frame.head(2_000), model.dataset
    single = latency(model.learner, model.model, part, dataset, LATENCY_SECONDS)
    size = language.BATCH if dataset.task.language else BATCH
    batch = latency(model.learner, model.model, part, dataset, LATENCY_SECONDS / 2, batch=size)
    return {
        "differs": float(np.abs(again - probe).max(initial=0.0)),
        "latency_ms": single.tolist(),
        "batch_ms": batch.tolist(),
        "batch": min(size, len(part)),
        **language.reloaded(model.learner, model.model, model.read(part.head(len(probe)))),
    }


def sealed_test(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Open the seal and score the frozen model and the baselines on the same rows.

    Args:
        payload: ``folder``, ``dataset``, ``seal``, ``permit``, ``metrics``, ``confidence``,
            ``stated`` (metrics of the objectives), ``baselines`` (mappings with ``learner``,
            ``config``, ``trial`` and perhaps ``threshold``), ``seed``, ``threads``.
        progress: Not used.

    Returns:
        ``scores`` and ``baseline``: encoded scores.

    Raises:
        SealError: When the sealed file or the frozen model is not the one that was announced.
    """
    began = time.perf_counter()
    folder = Path(payload["folder"])
    dataset = decode(Dataset, payload["dataset"])
    permit = decode(Permit, payload["permit"])
    model = _frozen(folder, permit.digest)
    fitted = [(b, _fit_baseline(b, payload, dataset)) for b in payload["baselines"]]
    rows = to_rows(open_sealed(folder, decode(Seal, payload["seal"]), permit), dataset)
    ask = {"rows": rows, "metrics": payload["metrics"], "confidence": payload["confidence"]}
    prediction, _ = language.predicted(
        model.learner, model.model, rows, dataset, payload["stated"], full=True
    )
    return {
        "scores": encode(_scores("final", prediction, threshold=model.threshold, **ask)),
        "baseline": encode(
            [
                s
                for b, predict in fitted
                for s in _scores(b["trial"], predict(rows), threshold=b.get("threshold"), **ask)
            ]
        ),
        "seconds": time.perf_counter() - began,
    }


def explain(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Explain the finalist on rows that it was not fitted on: the first confirmation fold.

    Args:
        payload: ``folder``, ``dataset``, ``learner``, ``config``, ``hints``, ``seed``, ``threads``,
            ``split``, ``predictions`` (files of its folds), ``metric``, ``direction``,
            ``beats_baseline``, ``threshold``, ``calibrator``.
        progress: Not used.

    Returns:
        The payload of an ``explanation`` record, without hyperparameters.

    Raises:
        RuntimeError: When the fit fails.
    """
    dataset = decode(Dataset, payload["dataset"])
    rows = work_rows(payload["folder"], dataset)
    fold = all_folds(payload["folder"], payload["split"], dataset)[0]
    plain = find("learner", payload["learner"])()
    learner = calibrated(plain, payload.get("calibrator"))
    data = FitData(
        dataset=dataset,
        train=rows.take(fold.train),
        hints=payload["hints"],
        seed=payload["seed"],
        threads=payload["threads"],
        cache=folders.cache(payload["folder"]),
    )
    trained = train(learner, payload["config"], data)
    if trained.model is None:
        raise RuntimeError(f"the fit to explain ended {trained.status}: {trained.message}")
    sign = -1.0 if payload["direction"] == Direction.MAXIMIZE else 1.0
    metric = payload["metric"]

    def loss(y: np.ndarray, prediction: np.ndarray) -> float:
        return sign * compute(metric, y, for_metric(metric, prediction, payload.get("threshold")))

    attribute = _attribute(plain, trained.model)
    return explain_model(
        lambda part: learner.predict(trained.model, part),
        rows,
        dataset=dataset,
        y_prediction=out_of_fold(payload, dataset, rows),
        held_out=fold.valid,
        positions=work_origin(Path(payload["folder"]), len(rows)),
        metric=metric,
        loss=loss,
        seed=payload["seed"],
        seconds=EXPLAIN_SECONDS + (WORDS_SECONDS if attribute else 0.0),
        beats_baseline=payload["beats_baseline"],
        threshold=payload.get("threshold"),
        attribute=attribute,
        contribute=_contribute(plain, trained.model),
        sight=_sight(plain, trained.model),
    )


def _attribute(learner: Learner, model: Model) -> Attribute | None:
    """How the words of a text spoke to a model, where its learner can tell."""
    if not isinstance(learner, Attributing):
        return None
    return lambda part, classes: learner.attribute(model, part, classes)


def _contribute(learner: Learner, model: Model) -> Attribute | None:
    """How the columns of a table spoke to a model, where its learner can tell exactly."""
    if not isinstance(learner, Contributing):
        return None
    return lambda part, classes: learner.contribute(model, part, classes)


def _sight(learner: Learner, model: Model) -> Sight | None:
    """How a model's files are drawn and compared, where its learner reads files."""
    if not isinstance(learner, Seeing):
        return None
    return Sight(
        lambda part: learner.pictures(model, part), lambda part: learner.places(model, part)
    )


def out_of_fold(payload: Mapping[str, Any], dataset: Dataset, rows: Rows) -> np.ndarray:
    """Predictions of each row by a model that has not seen it.

    Args:
        payload: ``folder``, ``split``, ``predictions`` (files of its folds) and ``calibrator``.
        dataset: What is known of the rows.
        rows: The unsealed rows.

    Returns:
        Shape (n, classes) or (n,); NaN where there is none, the last repeat where there are
        several.
    """
    width = (len(dataset.classes),) if dataset.task.named else ()
    found = np.full((len(rows), *width), np.nan)
    files = payload["predictions"]  # of the first folds, where the time was used up
    folds = all_folds(payload["folder"], payload["split"], dataset)[: len(files)]
    each = []
    for name in files:
        with np.load(Path(payload["folder"]) / name, allow_pickle=False) as saved_file:
            each.append(saved_file["valid"].astype(np.float64))
    if payload.get("calibrator") is not None:
        calibrator = decode(Calibrator, payload["calibrator"])
        split = decode(Split, payload["split"])
        whole = calibration.out_of_fold(calibrator, rows, split, folds, np.concatenate(each))
        each = np.split(whole, np.cumsum([len(fold.valid) for fold in folds])[:-1])
    for fold, prediction in zip(folds, each, strict=True):
        found[fold.valid] = prediction
    return found


def _frozen(folder: Path, digest: str) -> saved.SavedModel:
    model = saved.load(folder / "model")
    if model.digest != digest:
        raise SealError(
            f"the model in {folder / 'model'} is not the one that was frozen for the sealed test "
            f"(digest {model.digest[:12]}, expected {digest[:12]}) — restore it, or run the study "
            "anew in another folder"
        )
    return model


def _fit_baseline(
    baseline: Mapping[str, Any], payload: Mapping[str, Any], dataset: Dataset
) -> Callable[[Rows], np.ndarray]:
    learner = find("learner", baseline["learner"])()
    data = FitData(
        dataset=dataset,
        train=work_rows(payload["folder"], dataset),
        hints=baseline.get("hints", {}),
        seed=payload["seed"],
        threads=payload["threads"],
        cache=folders.cache(payload["folder"]),
    )
    model = learner.fit(baseline["config"], data, lambda step, losses: Signal.CONTINUE)
    stated = payload["stated"]
    return lambda rows: language.predicted(learner, model, rows, dataset, stated, full=True)[0]


def _scores(
    name: str,
    prediction: np.ndarray,
    rows: Rows,
    metrics: list[str],
    confidence: float,
    threshold: float | None,
) -> list[Score]:
    """Every metric that is defined on these rows; one that is not is left out, not made up."""
    assert rows.y is not None
    found = []
    for metric in metrics:
        try:
            found.append(
                score(
                    metric,
                    rows.y,
                    for_metric(metric, prediction, threshold),
                    trial=name,
                    groups=rows.groups,
                    confidence=confidence,
                    unit=lookup(metric).unit,
                )
            )
        except DataError:
            continue
    return found


def measured_scores(
    inspected: Mapping[str, Any], refitted: Mapping[str, Any], confidence: float
) -> list[Score]:
    """The efficiency of the final model as scores.

    Args:
        inspected: What `inspect` returned.
        refitted: What `refit` returned, with ``peak_bytes``.
        confidence: Of the intervals.

    Returns:
        Latency quantiles, throughput, size, training time and peak memory.
    """
    batch = np.asarray(inspected["batch_ms"])
    values = {
        "latency_p50_ms": inspected["latency_ms"],
        "latency_p95_ms": inspected["latency_ms"],
        "latency_p99_ms": inspected["latency_ms"],
        "throughput_rows_per_s": inspected["batch"] * 1e3 / batch,
        "size_mb": [refitted["size_bytes"] / 1e6],
        "training_seconds": [refitted["seconds"]],
        "peak_memory_mb": [refitted["peak_bytes"] / 1e6],
    }
    return [
        measured(
            metric,
            np.asarray(v),
            trial="final",
            unit=lookup(metric).unit,
            confidence=confidence,
        )
        for metric, v in values.items()
    ]

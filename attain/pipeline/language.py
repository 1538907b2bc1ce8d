"""Studies of language models: what they do in other numbers, and what stands in for words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attain.core.answer_schema import canonical
from attain.core.errors import Problem, SpecError
from attain.core.language import WRITTEN
from attain.core.protocols import Learner, Writing
from attain.core.types import Dataset, Finding, Forecast, Rows, Task
from attain.objectives.metrics import base_name
from attain.pipeline.spec import StudySpec
from attain.pipeline.transcripts import transcribed

SHOWN = 4  # answers of each trial that reports may show
SAMPLE = 32  # rows that are answered while searching, where objectives ask for answers
PROBE_ROWS = 8  # that a fresh process must reproduce
TRAIN_SAMPLE = 32  # training rows that tell memorising from learning
BATCH = 8  # prompts in a call when throughput is measured
_SCHEMA_METRIC = "schema_valid"
_LONGEST = 1_500  # characters of a prompt or an answer that the ledger keeps

NOT_EXPLAINED = "Of such a model, answers are shown instead of what columns or words say."


def read_schema(spec: StudySpec) -> str:
    """The schema of answers that a study states, checked.

    Args:
        spec: May name a file, or hold the schema.

    Returns:
        As `core.answer_schema.canonical` writes it; empty if none is stated.

    Raises:
        SpecError: When the file cannot be read, or holds no schema that can be asked.
        EnvironmentProblem: When the library for it is not installed.
    """
    stated = spec.answer_schema
    if stated is None:
        return ""
    if not isinstance(stated, str):
        return canonical(stated)
    path = spec.base / stated
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        rule, why = "the schema's file must be readable", f"{path}: {error.strerror}"
        raise SpecError(Problem(rule, why, "answer_schema", "check the path")) from None
    except (ValueError, RecursionError) as error:
        rule, why = "the schema's file must hold JSON", f"{path}: {error}"
        raise SpecError(Problem(rule, why, "answer_schema", "repair the file")) from None
    if not isinstance(found, dict):
        rule, why = "a schema is an object of JSON", f"{path}: {type(found).__name__}"
        raise SpecError(Problem(rule, why, "answer_schema", 'write {"type": "object", ...}'))
    return canonical(found, f"answer_schema, {path}")


def with_schema(dataset: Dataset, schema: str, metrics: Iterable[str]) -> Dataset:
    """A data set whose answers are held against a schema.

    Args:
        dataset: What is known of the rows.
        schema: From `read_schema`.
        metrics: What the objectives are about.

    Returns:
        The same with the schema.

    Raises:
        SpecError: When an objective asks for a schema that is not stated, or nothing is written.
    """
    if schema and dataset.task is not Task.GENERATION:
        rule, remedy = "only answers that are generated have a schema", "leave it out"
        raise SpecError(Problem(rule, f"task: {dataset.task}", "answer_schema", remedy))
    if not schema and _SCHEMA_METRIC in {base_name(m) for m in metrics}:
        rule, remedy = "an objective about a schema needs one", "add answer_schema: FILE"
        raise SpecError(Problem(rule, _SCHEMA_METRIC, "objectives", remedy))
    return replace(dataset, answer_schema=schema)


def asked(metrics: Iterable[str]) -> int | None:
    """How many rows are answered while searching, given the metrics that are wanted.

    Args:
        metrics: Names, with their arguments if any.

    Returns:
        A few to look at, more where a metric is about generated answers.
    """
    return SAMPLE if any(base_name(m) in WRITTEN for m in metrics) else SHOWN


def predicted(
    learner: Learner, model: Any, rows: Rows, dataset: Dataset, metrics: Sequence[str], full: bool
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Predictions; of models that write, with answers to some rows or to all.

    Args:
        learner: The model's family.
        model: Fitted.
        rows: To predict.
        dataset: What is known of them.
        metrics: What is to be computed from predictions.
        full: Whether a finalist is judged: then all rows are answered, where a metric is about
            answers.

    Returns:
        Predictions, and a few answers to look at; none from other learners.
    """
    if dataset.task is Task.TRANSCRIPTION:
        return transcribed(learner, model, rows, dataset)
    if not dataset.task.language or not isinstance(learner, Writing):
        return learner.predict(model, rows), []
    most = asked(metrics)
    prediction, answers = learner.write(model, rows, None if full and most == SAMPLE else most)
    return prediction, [_short(a) for a in answers[:: max(1, len(answers) // SHOWN)][:SHOWN]]


def _short(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as the ledger keeps it: the end of the prompt, the beginning of the rest."""
    made = dict(answer)
    for name in ("reference", "answer"):
        if made[name] is not None:
            made[name] = str(made[name])[:_LONGEST]
    made["prompt"] = str(made["prompt"])[-_LONGEST:]
    return made


def reloaded(learner: Any, model: Any, rows: Rows) -> dict[str, Any]:
    """How a model's adapter, put on the pre-trained model anew, differs from its merged weights.

    Args:
        learner: The model's family.
        model: As it was loaded in this process.
        rows: With their answers.

    Returns:
        ``adapter_differs`` (largest difference of a row's loss in nats a token), ``answers_same``
        and ``answers``; nothing where there is no adapter.
    """
    check = getattr(learner, "reloaded", None)
    return {} if check is None else dict(check(model, rows))


def mask_findings(forecasts: Mapping[str, Forecast]) -> tuple[Finding, ...]:
    """What learners found in their masks before training.

    Args:
        forecasts: By learner.

    Returns:
        All of it, in the order of the codes.
    """
    found = [f for forecast in forecasts.values() for f in forecast.findings]
    return tuple(sorted(found, key=lambda f: f.code))

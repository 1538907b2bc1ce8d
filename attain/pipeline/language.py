"""Studies of language models: what they do in other numbers, and what stands in for words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from attain.core.language import WRITTEN
from attain.core.protocols import Learner, Writing
from attain.core.types import Dataset, Finding, Forecast, Rows
from attain.objectives.metrics import base_name

LEARNER = "llm"
SHOWN = 4  # answers of each trial that reports may show
SAMPLE = 32  # rows that are answered while searching, where objectives ask for answers
PROBE_ROWS = 8  # that a fresh process must reproduce
TRAIN_SAMPLE = 32  # training rows that tell memorising from learning
BATCH = 8  # prompts in a call when throughput is measured
_LONGEST = 1_500  # characters of a prompt or an answer that the ledger keeps

NOT_A_WRITER = "it predicts classes or numbers, and here texts are to be written"
NOT_EXPLAINED = "Of a model that writes, answers are shown instead of what columns or words say."


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

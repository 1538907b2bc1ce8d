"""The metrics by name: aliases, arguments, and what fits a task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.types import Task
from attain.objectives.table import ROWS, Argument, Metric

METRICS: Mapping[str, Metric] = MappingProxyType({m.name: m for m in ROWS})

_ALIASES: Mapping[str, str] = MappingProxyType({a: m.name for m in ROWS for a in m.aliases})

# scikit-learn turns losses round so that more is always better. Its names are refused with the
# plain ones, because a target would change its sign too and nobody could tell which was meant.
_NEGATED: Mapping[str, str] = MappingProxyType(
    {
        "neg_log_loss": "log_loss",
        "neg_brier_score": "brier",
        "neg_root_mean_squared_error": "rmse",
        "neg_mean_squared_error": "mse",
        "neg_mean_absolute_error": "mae",
        "neg_median_absolute_error": "medae",
        "neg_mean_absolute_percentage_error": "mape",
        "neg_root_mean_squared_log_error": "rmsle",
        "neg_max_error": "max_error",
    }
)

# What to use instead when a metric does not fit the task.
_STAND_INS: Mapping[tuple[str, Task], str] = MappingProxyType(
    {
        ("roc_auc", Task.MULTICLASS): "roc_auc_ovr",
        ("average_precision", Task.MULTICLASS): "average_precision_macro",
        ("precision", Task.MULTICLASS): "precision_macro",
        ("recall", Task.MULTICLASS): "recall_macro",
        ("specificity", Task.MULTICLASS): "balanced_accuracy",
        ("f1", Task.MULTICLASS): "f1_macro",
        ("fbeta", Task.MULTICLASS): "f1_macro",
        ("roc_auc_ovr", Task.BINARY): "roc_auc",
        ("roc_auc_ovo", Task.BINARY): "roc_auc",
        ("average_precision_macro", Task.BINARY): "average_precision",
        ("top_k_accuracy", Task.BINARY): "accuracy",
        ("accuracy", Task.MULTILABEL): "subset_accuracy",
        ("roc_auc", Task.MULTILABEL): "roc_auc_ovr",
        ("roc_auc_ovo", Task.MULTILABEL): "roc_auc_ovr",
        ("average_precision", Task.MULTILABEL): "average_precision_macro",
        ("precision", Task.MULTILABEL): "precision_micro",
        ("recall", Task.MULTILABEL): "recall_micro",
        ("f1", Task.MULTILABEL): "f1_micro",
        ("fbeta", Task.MULTILABEL): "f1_micro",
        ("f1_weighted", Task.MULTILABEL): "f1_micro",
        ("precision", Task.TAGGING): "span_precision",
        ("recall", Task.TAGGING): "span_recall",
        **dict.fromkeys(
            ((name, Task.TAGGING) for name in ("f1", "fbeta", "f1_micro", "f1_macro")), "span_f1"
        ),
        ("accuracy", Task.TAGGING): "word_accuracy",
        ("accuracy", Task.TRANSCRIPTION): "transcript_match",
        ("exact_match", Task.TRANSCRIPTION): "transcript_match",
        **dict.fromkeys(
            (("subset_accuracy", task) for task in (Task.BINARY, Task.MULTICLASS)), "accuracy"
        ),
    }
)
_FALL_BACKS: Mapping[Task, str] = MappingProxyType(
    {
        Task.BINARY: "roc_auc",
        Task.MULTICLASS: "log_loss",
        Task.MULTILABEL: "log_loss",
        Task.REGRESSION: "rmse",
        Task.GENERATION: "token_loss",
        Task.PREFERENCE: "win_rate",
        Task.TAGGING: "word_loss",
        Task.TRANSCRIPTION: "word_error_rate",
    }
)


def lookup(name: str) -> Metric:
    """The metric of a name, an alias, or a name with an argument.

    Args:
        name: Such as ``roc_auc``, ``auc``, ``fbeta@2`` or ``pinball@0.9``; case, spaces and
            hyphens do not matter.

    Returns:
        The row of the table; for a metric with an argument, a copy named with it.

    Raises:
        SpecError: When no metric has this name (with the nearest one), or an argument is missing,
            superfluous or out of range.
    """
    base, at, text = name.strip().partition("@")
    key = base.strip().lower().replace("-", "_").replace(" ", "_")
    metric = METRICS.get(_ALIASES.get(key, key))
    if metric is None:
        raise SpecError(_unknown(base.strip(), key))
    if metric.argument is None:
        if at:
            rule = f"{metric.name} takes no argument"
            raise SpecError(Problem(rule, name, remedy=f"write {metric.name}"))
        return metric
    return replace(metric, name=f"{metric.name}@{_argument(metric, metric.argument, name, text)}")


def base_name(name: str) -> str:
    """The metric's name without its argument."""
    return name.partition("@")[0]


def stand_in(metric: Metric, task: Task) -> str:
    """What to use for a task instead of a metric that does not fit it.

    Args:
        metric: One that is not defined for the task.
        task: What is predicted.

    Returns:
        A metric's name.
    """
    return _STAND_INS.get((base_name(metric.name), task), _FALL_BACKS[task])


def _unknown(shown: str, key: str) -> Problem:
    if key in _NEGATED:
        plain = _NEGATED[key]
        rule = f"{shown} is scikit-learn's {plain} with its sign turned"
        return Problem(rule, remedy=f"write {plain}; attain knows that lower is better")
    names = [*METRICS, *_ALIASES]
    remedy = did_you_mean(key, names)
    if remedy.startswith("use one of"):
        remedy = "use one of: " + ", ".join(m.spelled for m in METRICS.values())
    return Problem("a metric must be in the metric table", shown, remedy=remedy)


def _argument(metric: Metric, argument: Argument, name: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not text.strip():
        rule = f"{metric.name} needs its {argument.name} after an @"
        raise SpecError(Problem(rule, name, remedy=f"write for example {argument.example}"))
    if not math.isfinite(value) or not argument.accepts(value):
        kind = "a whole number" if argument.whole else "a number"
        side = "between" if argument.open_ends else "from"
        joiner = "and" if argument.open_ends else "to"
        rule = (
            f"the {argument.name} of {metric.name} must be {kind} "
            f"{side} {argument.low:g} {joiner} {argument.high:g}"
        )
        raise SpecError(Problem(rule, text, remedy=f"write for example {argument.example}"))
    return f"{value:g}"

"""The rows of the metric table: direction, range, unit, tasks, other names, source."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from attain.core.types import Direction, Role, Task

Needs = Literal["labels", "probabilities", "values", "counts", "measurement"]


@dataclass(frozen=True)
class Argument:
    """The number that some metrics need, written after ``@``.

    Attributes:
        name: What it is.
        low: Smallest value.
        high: Largest value.
        example: A complete metric name, for messages.
        whole: Whether it must be an integer.
        open_ends: Whether `low` and `high` themselves are excluded.
    """

    name: str
    low: float
    high: float
    example: str
    whole: bool = False
    open_ends: bool = False

    def accepts(self, value: float) -> bool:
        """Whether the value may be used."""
        if self.whole and value != int(value):
            return False
        if self.open_ends:
            return self.low < value < self.high
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Metric:
    """What one metric is.

    Attributes:
        name: As in study files and reports, with its argument if it has one (``pinball@0.9``).
        title: What it says, in a few words; how it is scaled where that is often mistaken.
        direction: Which way is better.
        low: Smallest possible value (may be -inf).
        high: Largest possible value (may be inf).
        unit: Unit, empty for a pure number or when it is the target's own.
        tasks: Tasks for which it is defined.
        needs: What it is computed from.
        role: Goal for model quality, constraint for efficiency.
        aliases: Other names that users type.
        source: Where the definition comes from.
        percent: Whether a target may be stated in percent.
        argument: The number after ``@``, if it needs one.
    """

    name: str
    title: str
    direction: Direction
    low: float
    high: float
    unit: str
    tasks: tuple[Task, ...]
    needs: Needs
    role: Role
    aliases: tuple[str, ...]
    source: str
    percent: bool = False
    argument: Argument | None = None

    @property
    def best(self) -> float:
        """The end of the range that nothing can beat; may be infinite."""
        return self.high if self.direction is Direction.MAXIMIZE else self.low

    @property
    def worst(self) -> float:
        """The other end of the range; may be infinite."""
        return self.low if self.direction is Direction.MAXIMIZE else self.high

    @property
    def reads_probabilities(self) -> bool:
        """Whether the values of probabilities count and not only their order: a loss of them."""
        return self.needs == "probabilities" and self.direction is Direction.MINIMIZE

    @property
    def spelled(self) -> str:
        """The name as users write it, with a placeholder for an argument."""
        return f"{self.name}@{self.argument.name}" if self.argument else self.name


_UP, _DOWN = Direction.MAXIMIZE, Direction.MINIMIZE
_BINARY, _MULTI, _LABELS = (Task.BINARY,), (Task.MULTICLASS,), (Task.MULTILABEL,)
_CLASSES, _REGRESSION = (*_BINARY, *_MULTI), (Task.REGRESSION,)
_NAMED = (*_CLASSES, *_LABELS)
_SKLEARN = "scikit-learn"


def _share(
    name: str, title: str, tasks: tuple[Task, ...], *aliases: str, source: str = _SKLEARN
) -> Metric:
    """A quality between 0 and 1, of predicted labels."""
    return Metric(
        name, title, _UP, 0.0, 1.0, "", tasks, "labels", Role.GOAL, aliases, source, percent=True
    )


def _ranking(
    name: str, title: str, tasks: tuple[Task, ...], *aliases: str, source: str = _SKLEARN
) -> Metric:
    """A quality between 0 and 1, of predicted probabilities."""
    return replace(_share(name, title, tasks, *aliases, source=source), needs="probabilities")


def _agreement(name: str, title: str, *aliases: str, source: str) -> Metric:
    """An agreement between -1 and 1, corrected for chance."""
    return Metric(name, title, _UP, -1.0, 1.0, "", _CLASSES, "labels", Role.GOAL, aliases, source)


def _score_rule(name: str, title: str, high: float, *aliases: str, source: str) -> Metric:
    """A loss of predicted probabilities, from 0."""
    return Metric(
        name, title, _DOWN, 0.0, high, "", _CLASSES, "probabilities", Role.GOAL, aliases, source
    )


def _distance(name: str, title: str, *aliases: str, source: str = _SKLEARN) -> Metric:
    """A loss of predicted values, from 0 without end."""
    return Metric(
        name, title, _DOWN, 0.0, math.inf, "", _REGRESSION, "values", Role.GOAL, aliases, source
    )


def _explained(name: str, title: str, *aliases: str) -> Metric:
    """A share of variance explained, at most 1."""
    return Metric(
        name, title, _UP, -math.inf, 1.0, "", _REGRESSION, "values", Role.GOAL, aliases,
        _SKLEARN, percent=True,
    )  # fmt: skip


def _measured(
    name: str, title: str, unit: str, *aliases: str, direction: Direction = _DOWN
) -> Metric:
    """An efficiency, measured on the final model."""
    return Metric(
        name, title, direction, 0.0, math.inf, unit, tuple(Task), "measurement",
        Role.CONSTRAINT, aliases, "measured by attain",
    )  # fmt: skip


_WRITES, _RANKS = (Task.GENERATION,), (Task.PREFERENCE,)
_SPEAKS = (*_WRITES, *_RANKS)
_TAGS, _HEARS = (Task.TAGGING,), (Task.TRANSCRIPTION,)
_CONLL = "Tjong Kim Sang & De Meulder 2003, ACL W03-0419, section 2"


def _summed(
    name: str, title: str, tasks: tuple[Task, ...], *aliases: str, source: str = "attain"
) -> Metric:
    """A share or similarity between 0 and 1, of counts and sums."""
    return replace(_share(name, title, tasks, *aliases, source=source), needs="counts")


def _charged(name: str, title: str, tasks: tuple[Task, ...], *aliases: str, source: str) -> Metric:
    """A loss or a rate of errors, from 0 without end, of counts and sums."""
    rate = name.endswith("_rate")
    return replace(
        _summed(name, title, tasks, *aliases, source=source), direction=_DOWN, high=math.inf,
        percent=rate,
    )  # fmt: skip


_BETA = Argument("beta", 0.0, 100.0, "fbeta@2", open_ends=True)
_K = Argument("k", 1, 1000, "top_k_accuracy@3", whole=True)
_QUANTILE = Argument("quantile", 0.0, 1.0, "pinball@0.9", open_ends=True)

ROWS = (
    _share("accuracy", "share of rows whose class is right", _CLASSES, "acc", "accuracy_score"),
    _share(
        "balanced_accuracy", "mean recall of the classes", _CLASSES,
        "bacc", "bal_acc", "balanced_accuracy_score",
        source="Brodersen et al. 2010, doi:10.1109/ICPR.2010.764",
    ),
    _share(
        "precision", "share of rows called positive that are", _BINARY,
        "ppv", "precision_score", "positive_predictive_value",
    ),
    _share(
        "recall", "share of positive rows that are found", _BINARY,
        "sensitivity", "tpr", "recall_score", "true_positive_rate",
    ),
    _share(
        "specificity", "share of negative rows that are left alone", _BINARY,
        "tnr", "selectivity", "true_negative_rate",
    ),
    _share("f1", "harmonic mean of precision and recall", _BINARY, "f1_score", "f1score"),
    replace(
        _share(
            "fbeta", "weighted harmonic mean, recall counts beta times as much", _BINARY,
            "fbeta_score", "f_beta", source="van Rijsbergen 1979, Information Retrieval, ch. 7",
        ),
        argument=_BETA,
    ),
    _share(
        "subset_accuracy", "share of rows whose labels are all right", _LABELS, "exact_match_ratio"
    ),
    replace(
        _share("hamming_loss", "share of labels that are wrong, over all rows", _LABELS, "hamming"),
        direction=_DOWN,
    ),
    _share(
        "precision_macro", "mean precision of the classes or labels", _NAMED, "macro_precision"
    ),
    _share("recall_macro", "mean recall of the classes or labels", _NAMED, "macro_recall"),
    _share("f1_macro", "mean F1 of the classes or labels", _NAMED, "macro_f1"),
    _share("precision_micro", "share of predicted labels that are right", _LABELS,
           "micro_precision"),
    _share("recall_micro", "share of true labels that are found", _LABELS, "micro_recall"),
    _share(
        "f1_micro", "F1 of all classes or labels pooled; of one class a row it equals accuracy",
        _NAMED, "micro_f1",
    ),
    _share("f1_weighted", "mean F1 weighted by class size", _CLASSES, "weighted_f1"),
    _share("precision_weighted", "mean precision weighted by class size", _CLASSES),
    _share("recall_weighted", "mean recall weighted by class size; equals accuracy", _CLASSES),
    _ranking(
        "roc_auc", "chance that a positive row ranks above a negative one", _BINARY,
        "auc", "auroc", "rocauc", "roc_auc_score",
        source="Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747",
    ),
    _ranking(
        "roc_auc_ovr", "mean ROC AUC of each class against the rest, or of each label",
        (*_MULTI, *_LABELS),
        "auc_ovr", "auroc_ovr", "macro_auc",
    ),
    _ranking(
        "roc_auc_ovo", "mean ROC AUC of all pairs of classes", _MULTI, "auc_ovo", "auroc_ovo",
        source="Hand & Till 2001, doi:10.1023/A:1010920819831",
    ),
    _ranking(
        "average_precision", "area under precision against recall, by steps", _BINARY,
        "ap", "pr_auc", "auprc", "auc_pr", "aucpr", "average_precision_score",
        source="Davis & Goadrich 2006, doi:10.1145/1143844.1143874",
    ),
    _ranking(
        "average_precision_macro",
        "mean average precision of each class against the rest, or of each label",
        (*_MULTI, *_LABELS), "macro_ap", "mean_average_precision",
    ),
    replace(
        _score_rule(
            "log_loss",
            "mean negative log probability of the true class, or of each label's truth, in nats",
            math.inf, "logloss", "cross_entropy", "nll", "crossentropy",
            source="Good 1952; scikit-learn",
        ),
        tasks=_NAMED,
    ),
    _score_rule(
        "brier", "mean squared error of the probabilities: 0 to 1 for two classes, 0 to 2 for more",
        2.0, "brier_score", "brier_score_loss", source="Brier 1950; scikit-learn",
    ),
    _agreement(
        "mcc", "Matthews correlation of true and predicted classes",
        "matthews", "matthews_corrcoef", "phi",
        source="Matthews 1975; Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006",
    ),
    _agreement(
        "kappa", "Cohen's agreement beyond chance", "cohen_kappa", "cohen_kappa_score",
        source="Cohen 1960, doi:10.1177/001316446002000104",
    ),
    _agreement(
        "kappa_quadratic", "Cohen's kappa, errors weighted by squared distance of ordered classes",
        "qwk", "quadratic_weighted_kappa", "weighted_kappa",
        source="Cohen 1968, doi:10.1037/h0026256",
    ),
    replace(
        _ranking(
            "top_k_accuracy", "share of rows whose class is among the k most probable", _MULTI,
            "top_k", "topk_accuracy", "top_k_accuracy_score",
        ),
        argument=_K,
    ),
    replace(
        _score_rule(
            "ece", "expected calibration error: mean gap of confidence and accuracy", 1.0,
            "calibration_error", "expected_calibration_error",
            source="Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599",
        ),
        percent=True,
    ),
    _distance(
        "rmse", "root of the mean squared error, in the target's unit",
        "root_mean_squared_error", "rmsd",
    ),
    _distance("mse", "mean squared error, in the target's unit squared", "mean_squared_error"),
    _distance("mae", "mean absolute error, in the target's unit", "mean_absolute_error"),
    _distance(
        "medae", "median absolute error, in the target's unit", "median_absolute_error", "mdae"
    ),
    replace(
        _distance(
            "mape", "mean absolute error as a fraction of the true value: 0.1 is 10 %",
            "mean_absolute_percentage_error",
        ),
        percent=True,
    ),
    replace(
        _distance(
            "smape", "mean absolute error as a fraction of the mean of true and predicted size",
            "symmetric_mape", source="Makridakis 1993, doi:10.1016/0169-2070(93)90079-3",
        ),
        high=2.0, percent=True,
    ),
    _explained("r2", "share of variance explained", "r_squared", "rsquared", "r2_score"),
    _explained(
        "explained_variance", "share of variance explained, a constant error forgiven",
        "explained_variance_score",
    ),
    _distance("max_error", "largest absolute error, in the target's unit", "maxerror"),
    _distance(
        "rmsle", "root of the mean squared error of log(1 + value)",
        "root_mean_squared_log_error",
    ),
    replace(
        _distance(
            "pinball", "mean quantile loss, in the target's unit",
            "quantile_loss", "pinball_loss", "mean_pinball_loss",
            source="Koenker & Bassett 1978, doi:10.2307/1913643",
        ),
        argument=_QUANTILE,
    ),
    Metric(
        "token_loss", "mean negative log probability of a supervised token, in nats", _DOWN, 0.0,
        math.inf, "", _SPEAKS, "counts", Role.GOAL, ("nll_per_token", "sft_loss"),
        "Good 1952",
    ),
    Metric(
        "perplexity", "exponential of the token loss", _DOWN, 0.0, math.inf, "", _SPEAKS,
        "counts", Role.GOAL, ("ppl",), "Jelinek et al. 1977, doi:10.1121/1.2016299",
    ),
    _summed("token_accuracy", "share of supervised tokens that are the most probable", _SPEAKS),
    _summed("exact_match", "share of generated answers equal to the reference", _WRITES, "em"),
    _summed(
        "numeric_match", "share of generated answers whose last number is the reference's", _WRITES,
        source="Cobbe et al. 2021, arXiv:2110.14168, section 2",
    ),
    _summed("contains", "share of generated answers in which the reference stands", _WRITES),
    _summed("regex_match", "share of generated answers that the reference, a pattern, finds",
            _WRITES),
    _summed(
        "rouge_l", "F-measure of the longest common subsequence of words", _WRITES, "rougel",
        source="Lin 2004, ACL W04-1013, section 3",
    ),
    _summed(
        "chrf", "F2-measure of runs of 1 to 6 characters, 0 to 1", _WRITES, "chrf2",
        source="Popovic 2015, doi:10.18653/v1/W15-3049",
    ),
    _summed("json_valid", "share of generated answers that are JSON of the reference's form",
            _WRITES),
    _summed(
        "schema_valid", "share of generated answers that are JSON and satisfy `answer_schema`",
        _WRITES, source="JSON Schema, draft 2020-12",
    ),
    _summed("ends", "share of generated answers that end by themselves", _WRITES),
    _summed(
        "win_rate", "share of rows whose chosen answer is more probable than the rejected one",
        _RANKS, "preference_accuracy", source="Rafailov et al. 2023, arXiv:2305.18290",
    ),
    _summed(
        "win_rate_per_token", "the same, by the mean log probability of a token", _RANKS,
    ),
    _summed(
        "reward_accuracy", "share of rows whose chosen answer leads by more than it did before"
        " tuning; 0.5 for the model as it is", _RANKS, "rewards/accuracies",
        source="implicit reward of Rafailov et al. 2023, arXiv:2305.18290, section 4",
    ),
    _summed(
        "span_f1", "harmonic mean of span precision and span recall", _TAGS, "entity_f1",
        "chunk_f1", source=_CONLL,
    ),
    _summed(
        "span_precision", "share of predicted spans that are true: same type, same words", _TAGS,
        "entity_precision", source=_CONLL,
    ),
    _summed(
        "span_recall", "share of true spans that are found: same type, same words", _TAGS,
        "entity_recall", source=_CONLL,
    ),
    _summed(
        "word_accuracy", "share of words whose label is right", _TAGS, "tag_accuracy",
    ),
    _charged(
        "word_loss", "mean negative log probability of a word's true label, in nats", _TAGS,
        source="Good 1952",
    ),
    _charged(
        "word_error_rate", "words to insert, delete or replace, for each word that was said",
        _HEARS, "wer", source="Morris et al. 2004, doi:10.21437/Interspeech.2004-668",
    ),
    _charged(
        "character_error_rate",
        "characters to insert, delete or replace, for each character of the transcript", _HEARS,
        "cer", source="Levenshtein 1966",
    ),
    _summed("transcript_match", "share of clips whose transcript is right as a whole", _HEARS),
    _charged(
        "character_loss", "mean negative log probability of a character of the transcript, in nats",
        _HEARS, source="Graves et al. 2006, doi:10.1145/1143844.1143891",
    ),
    _measured(
        "latency_p50_ms", "median time of one prediction", "ms", "latency_p50", "p50"
    ),
    _measured("latency_p95_ms", "95th percentile of one prediction's time", "ms",
              "latency_p95", "p95"),
    _measured("latency_p99_ms", "99th percentile of one prediction's time", "ms",
              "latency_p99", "p99"),
    _measured(
        "throughput_rows_per_s", "rows predicted in a second, in batches", "rows/s",
        "throughput", "rows_per_second", direction=_UP,
    ),
    _measured("size_mb", "size of the saved model, 1 MB = 10^6 bytes", "MB", "size", "model_size"),
    _measured(
        "training_seconds", "wall time of fitting the final model", "s",
        "training_time", "fit_time", "train_seconds",
    ),
    _measured(
        "peak_memory_mb", "peak resident memory while fitting, 1 MB = 10^6 bytes", "MB",
        "memory", "peak_memory", "ram",
    ),
)  # fmt: skip

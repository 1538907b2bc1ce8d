"""How each metric's interval is made: one function for each method, and the table that picks it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from attain.core.counts import OF_METRIC, Scale
from attain.core.errors import DataError
from attain.stats import bootstrap, interval
from attain.stats.interval import Interval
from attain.validate import _counts, _labels, _rowwise, metrics
from attain.validate._linear import EXPLAINED, LINEAR, RANKINGS
from attain.validate._special import calibration, largest


@dataclass(frozen=True, eq=False)
class Case:
    """Everything an interval is made from.

    Attributes:
        metric: Name with its argument, for messages.
        base: Name without it.
        argument: Its value, or None.
        y: Codes or values of the validated rows, fold after fold, shape (n,); labels have a second
            axis.
        p: Predictions, in the same order.
        clusters: Group of each row, or None.
        folds: Slices of the rows, one for each fold; none without folds.
        repeats: How often each row appears.
        confidence: Two-sided, in (0, 1).
        seed: Of anything random.
    """

    metric: str
    base: str
    argument: float | None
    y: np.ndarray
    p: np.ndarray
    clusters: np.ndarray | None
    folds: tuple[slice, ...]
    repeats: int
    confidence: float
    seed: int

    def units(self, mask: np.ndarray | None = None) -> int:
        """Independent units: distinct rows, or groups; of the masked rows only, if given."""
        if self.clusters is None:
            return round((len(self.y) if mask is None else int(mask.sum())) / self.repeats)
        return len(np.unique(self.clusters if mask is None else self.clusters[mask]))

    @property
    def rows(self) -> str:
        """Which rows, in words."""
        kind = f"rows of {len(self.folds)} folds pooled" if len(self.folds) > 1 else "all rows"
        group = ", clustered by group" if self.clusters is not None else ""
        again = f", {self.repeats} repeats counted once" if self.repeats > 1 else ""
        return f"{kind}{group}{again}"


Made = tuple[Interval, int, str]
Method = Callable[[Case], Made]


def bounds(case: Case) -> tuple[float, float]:
    """Smallest and largest possible value of the metric."""
    if case.base == "brier":
        return 0.0, 1.0 if case.p.shape[1] == 2 else 2.0
    if case.base in OF_METRIC:
        return OF_METRIC[case.base].ratios[case.base].bounds
    default = (0.0, math.inf) if case.base in metrics.REGRESSION else (0.0, 1.0)
    return _BOUNDS.get(case.base, default)


_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(("mcc", "kappa", "kappa_quadratic"), (-1.0, 1.0)),
        **dict.fromkeys(EXPLAINED, (-math.inf, 1.0)),
        "smape": (0.0, 2.0),
        "log_loss": (0.0, math.inf),
    }
)


def _linear(case: Case, scale: interval.Scale, words: str) -> Made:
    """Delta method on pooled rows."""
    estimate, u = LINEAR[case.base](case.y, case.p, case.argument)
    made = interval.linear(
        estimate,
        u,
        clusters=case.clusters,
        repeats=case.repeats,
        scale=scale,
        confidence=case.confidence,
    )
    return made, case.units(), f"{words}, {case.rows}"


def _mean(case: Case) -> Made:
    return _linear(case, "identity", "Student's t of the per-row losses")


def _root(case: Case) -> Made:
    return _linear(case, "log", "delta method on the log scale")


def _explained(case: Case) -> Made:
    """One minus the interval of the unexplained share, which is positive."""
    estimate, u = LINEAR[case.base](case.y, case.p, case.argument)
    rest = interval.linear(
        1 - estimate,
        u,
        clusters=case.clusters,
        repeats=case.repeats,
        scale="log",
        confidence=case.confidence,
    )
    method = f"delta method on the log of the unexplained share, {case.rows}"
    return Interval(estimate, 1 - rest.high, 1 - rest.low), case.units(), method


def _proportion(case: Case, hit: np.ndarray, mask: np.ndarray | None = None) -> Made:
    """Wilson's interval of the share of hits among the masked rows."""
    hit = hit if mask is None else hit[mask]
    clusters = case.clusters if mask is None or case.clusters is None else case.clusters[mask]
    n = len(hit) / case.repeats
    if not len(hit):
        return interval.wilson(0, 0, case.confidence), 0, "no row to judge by"
    share = float(hit.mean())
    if clusters is not None:
        n = interval.effective_rows(share, (hit - share) / len(hit), clusters, case.confidence)
    made = interval.wilson(share * n, n, case.confidence)
    # the estimate stands even where nothing is known of its error (one group)
    return Interval(share, made.low, made.high), case.units(mask), f"Wilson score, {case.rows}"


def _hits(case: Case) -> Made:
    return _proportion(case, _rowwise.MEANS[case.base](case.y, case.p, case.argument))


def _of_true(case: Case, code: int) -> Made:
    """Recall of one class: hits among the rows that are of it."""
    return _proportion(case, _counts.labels(case.p) == case.y, case.y == code)


def _of_predicted(case: Case) -> Made:
    """Precision: hits among the rows predicted positive."""
    return _proportion(case, case.y == 1, _counts.labels(case.p) == 1)


def _confusion(case: Case) -> Made:
    if case.clusters is not None:
        return _linear(case, "identity", "linearised confusion matrix")
    counts = _counts.matrix(_counts.cells(case.y, case.p), case.p.shape[1])
    made = bootstrap.of_counts(
        _counts.count_metric(case.base, case.argument),
        counts,
        rows=len(case.y) / case.repeats,
        confidence=case.confidence,
        seed=case.seed,
    )
    return made, case.units(), f"bootstrap of the confusion matrix, {case.rows}"


def _ranking(case: Case) -> Made:
    """Mean over the folds on which it is defined, weighted by rows; pooled if there are none."""
    defined = [f for f in case.folds if _defined(case, f)]
    folds = defined if len(defined) > 1 else [slice(0, len(case.y))]
    sizes = np.array([f.stop - f.start for f in folds])
    each = [LINEAR[case.base](case.y[f], case.p[f], case.argument) for f in folds]
    u = np.concatenate([e[1] * size for e, size in zip(each, sizes, strict=True)]) / sizes.sum()
    kept = np.concatenate([np.arange(f.start, f.stop) for f in folds])
    grouped = case.clusters is not None
    classes = _labels.rarest(case.y) if case.y.ndim == 2 else case.y
    made = interval.linear(
        float(np.average([e[0] for e in each], weights=sizes)),
        u,
        clusters=case.clusters[kept] if case.clusters is not None else None,
        repeats=case.repeats,
        scale="logit",
        confidence=case.confidence,
        freedom=None if grouped else interval.freedom_of_classes(u, classes[kept], case.repeats),
    )
    name = "jackknife" if case.base.startswith("average_precision") else "DeLong"
    of = f" of {len(case.folds)}" if len(defined) < len(case.folds) else ""
    where = f"mean over {len(defined)}{of} folds weighted by rows" if len(folds) > 1 else "all rows"
    group = ", clustered by group" if grouped else ""
    return made, case.units(), f"{name} on the logit scale, {where}{group}"


def _defined(case: Case, fold: slice) -> bool:
    try:
        metrics.checked(case.metric, case.y[fold], case.p[fold])
    except DataError:
        return False
    return True


def _median(case: Case) -> Made:
    errors = np.abs(case.y - case.p)
    n = len(errors) / case.repeats
    if case.clusters is not None:
        below = (errors <= np.median(errors)) - 0.5
        n = interval.effective_rows(0.5, below / len(errors), case.clusters, case.confidence)
    made = interval.quantile(errors, 0.5, case.confidence, units=n)
    made = Interval(float(np.median(errors)), made.low, made.high)
    return made, case.units(), f"order statistics of the errors, {case.rows}"


def _calibration(case: Case) -> Made:
    bins, gap = metrics.calibration_bins(case.y, case.p)
    made = calibration(
        bins, gap, case.clusters, case.repeats, confidence=case.confidence, seed=case.seed
    )
    return made, case.units(), f"normal bootstrap of the bins, corrected for bias, {case.rows}"


def _largest(case: Case) -> Made:
    made = largest(np.abs(case.y - case.p), case.confidence)
    method = "largest error to expect among as many new rows, exponential tail"
    return made, case.units(), method


def _ratio(case: Case) -> Made:
    """Sums over rows; rows that do not count for the metric are no units of it."""
    table = OF_METRIC[case.base]
    ratio, (above, below) = table.ratios[case.base], table.sums(case.base, case.p)
    if ratio.of_rows and not ((above > 0) & (above < 1)).any():
        return _proportion(case, above, below > 0)
    scale: Scale = ratio.scale if above.any() else "logit"  # no sample proves perfection
    made, _, words = _linear(case, scale, "ratio of sums, delta method")
    return made, case.units(below > 0), words


_ONE_CLASS: Mapping[str, Method] = MappingProxyType(
    dict.fromkeys(_counts.NAMES, _confusion)
    | dict.fromkeys(_rowwise.MEANS, _mean)
    | dict.fromkeys(_rowwise.ROOTS, _root)
    | dict.fromkeys(RANKINGS, _ranking)
    | dict.fromkeys(EXPLAINED, _explained)
    | dict.fromkeys(("accuracy", "f1_micro", "recall_weighted", "top_k_accuracy"), _hits)
    | {
        "recall": lambda case: _of_true(case, 1),
        "specificity": lambda case: _of_true(case, 0),
        "precision": _of_predicted,
        **dict.fromkeys(OF_METRIC, _ratio),
        "medae": _median,
        "ece": _calibration,
        "max_error": _largest,
    }
)

_SEVERAL_LABELS: Mapping[str, Method] = MappingProxyType(
    dict.fromkeys(_labels.MEANS, _mean)
    | dict.fromkeys(
        _labels.RATIOS, lambda case: _linear(case, "logit", "ratio of sums, delta method")
    )
    | dict.fromkeys(_labels.RANKINGS, _ranking)
    | {"subset_accuracy": lambda case: _proportion(case, _labels.MEANS[case.base](case.y, case.p))}
)
METHODS: Mapping[str, Method] = MappingProxyType(
    _labels.by_shape(_ONE_CLASS, _SEVERAL_LABELS, lambda case: case.y)
)

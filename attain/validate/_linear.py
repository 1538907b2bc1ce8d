"""Which metrics can be linearised, and how: estimate and per-row influence of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from types import MappingProxyType

import numpy as np

from attain.stats import influence
from attain.stats.influence import Influence
from attain.validate import _counts, _labels, _ratios, _rowwise

Linearise = Callable[[np.ndarray, np.ndarray, float | None], Influence]
Rank = Callable[[np.ndarray, np.ndarray], Influence]


def _mean(base: str) -> Linearise:
    values = _rowwise.MEANS[base]
    return lambda y, p, argument: influence.of_mean(values(y, p, argument))


def _root(base: str) -> Linearise:
    values = _rowwise.ROOTS[base]
    return lambda y, p, argument: influence.of_root_mean(values(y, p, argument))


def _count(base: str) -> Linearise:
    def linearise(y: np.ndarray, p: np.ndarray, argument: float | None) -> Influence:
        cell = _counts.cells(y, p)
        counts = _counts.matrix(cell, p.shape[1])
        return influence.of_counts(_counts.count_metric(base, argument), counts, cell)

    return linearise


def _binary(rank: Rank) -> Linearise:
    return lambda y, p, argument: rank(p[:, 1], y == 1)


def _over_classes(rank: Rank) -> Linearise:
    """Mean over the classes that occur, each against the rest."""

    def linearise(y: np.ndarray, p: np.ndarray, argument: float | None) -> Influence:
        each = [rank(p[:, k], y == k) for k in np.unique(y)]
        return float(np.mean([e[0] for e in each])), np.mean([e[1] for e in each], axis=0)

    return linearise


def _over_pairs(y: np.ndarray, p: np.ndarray, argument: float | None) -> Influence:
    """Hand & Till (2001): mean over pairs of classes and over which of the two is positive."""
    pairs = list(combinations(np.unique(y), 2))
    total, u = 0.0, np.zeros(len(y))
    for a, b in pairs:
        both = np.flatnonzero((y == a) | (y == b))
        for code in (a, b):
            area, part = influence.of_auc(p[both, code], y[both] == code)
            total += area
            u[both] += part
    return total / (2 * len(pairs)), u / (2 * len(pairs))


def _centred(y: np.ndarray, p: np.ndarray, argument: float | None) -> Influence:
    return influence.of_explained(y, (p - y) - np.mean(p - y))


RANKINGS: Mapping[str, Linearise] = MappingProxyType(
    {
        "roc_auc": _binary(influence.of_auc),
        "roc_auc_ovr": _over_classes(influence.of_auc),
        "roc_auc_ovo": _over_pairs,
        "average_precision": _binary(influence.of_average_precision),
        "average_precision_macro": _over_classes(influence.of_average_precision),
    }
)
EXPLAINED: Mapping[str, Linearise] = MappingProxyType(
    {"r2": lambda y, p, _: influence.of_explained(y, p - y), "explained_variance": _centred}
)
LINEAR: Mapping[str, Linearise] = MappingProxyType(
    _labels.by_shape(
        {
            **{base: _count(base) for base in _counts.NAMES},
            **{base: _mean(base) for base in _rowwise.MEANS},
            **{base: _root(base) for base in _rowwise.ROOTS},
            **RANKINGS,
            **EXPLAINED,
            **_ratios.LINEAR,
        },
        _labels.LINEAR,
        lambda y, p, argument: y,
    )
)

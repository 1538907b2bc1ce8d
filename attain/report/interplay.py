"""Which hyperparameters act together: what one is worth depends on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

FEWEST_TRIALS = 30
MOST_TRIALS = 400
MOST_PARAMETERS = 4
POINTS = 40
SHUFFLES = 9
_TREES = 40


def interplay(
    configs: Sequence[Mapping[str, Any]],
    losses: np.ndarray,
    names: Sequence[str],
    *,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Pairs of parameters whose joint effect on the loss is not the sum of their own.

    Strength is the joint effect that single effects leave over (the root of the numerator of
    Friedman's H: Friedman & Popescu, Ann. Appl. Stat. 2 (2008), eq. 44) of a forest fitted to the
    ranks of the losses, in standard deviations of the ranks. It is not divided by the joint effect
    as in H: where there is none, that is noise over noise. A forest finds some interplay in pure
    noise, so the same is done with losses shuffled nine times, and a pair counts only if it is
    stronger than every pair ever was by chance.

    Args:
        configs: Of the trials.
        losses: Of the same trials, finite, shape (n,).
        names: Parameters to look at, the most important first; four are.
        seed: Of forests and shuffles.

    Returns:
        ``a``, ``b``, ``strength`` (at least 0) and ``chance`` (the largest strength by chance), the
        strongest first; only pairs above it. Empty for fewer than 30 trials.
    """
    wanted = [n for n in names if len({str(c.get(n)) for c in configs}) > 1][:MOST_PARAMETERS]
    if len(configs) < FEWEST_TRIALS or len(wanted) < 2:
        return []
    rng = np.random.default_rng([seed, 23])
    keep = np.sort(rng.permutation(len(configs))[:MOST_TRIALS])
    X = np.column_stack([_column([configs[i].get(n) for i in keep]) for n in wanted])
    ranks = np.argsort(np.argsort(losses[keep], kind="stable"), kind="stable") / len(keep)
    points = X[rng.permutation(len(X))[:POINTS]]
    real = _strengths(X, ranks, points, seed)
    by_chance = max(
        float(_strengths(X, rng.permutation(ranks), points, seed + i + 1).max())
        for i in range(SHUFFLES)
    )
    pairs = list(combinations(wanted, 2))
    found = [
        {"a": a, "b": b, "strength": float(s), "chance": by_chance}
        for (a, b), s in zip(pairs, real, strict=True)
        if s > by_chance
    ]
    return sorted(found, key=lambda pair: -pair["strength"])


def _column(values: Sequence[Any]) -> np.ndarray:
    """Ranks of numbers, codes of all else; a parameter that was not active is -1."""
    present = [v for v in values if v is not None]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in present):
        known = sorted({str(v) for v in present})
        return np.array([-1.0 if v is None else float(known.index(str(v))) for v in values])
    ordered = np.sort(np.array(present, dtype=float))
    places = [-1.0 if v is None else np.searchsorted(ordered, float(v)) for v in values]
    return np.array(places, dtype=float) / max(len(ordered), 1)


def _strengths(X: np.ndarray, y: np.ndarray, points: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(_TREES, min_samples_leaf=3, random_state=seed, n_jobs=1).fit(X, y)

    def partial(which: tuple[int, ...]) -> np.ndarray:
        """The mean prediction with some parameters set to those of each point."""
        every = np.repeat(points[None], len(points), axis=0)
        for column in which:
            every[:, :, column] = points[:, column][:, None]
        told = forest.predict(every.reshape(-1, X.shape[1])).reshape(len(points), -1).mean(axis=1)
        centred: np.ndarray = told - told.mean()
        return centred

    single = [partial((i,)) for i in range(X.shape[1])]
    found = []
    for i, j in combinations(range(X.shape[1]), 2):
        both = partial((i, j))
        found.append(np.sqrt(np.mean((both - single[i] - single[j]) ** 2)))
    return np.array(found) / (float(np.std(y)) or 1.0)

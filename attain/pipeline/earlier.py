"""What an earlier study teaches a new one, and when it is no longer believed.

Losses of the earlier study are on another scale, so only their order is kept: they become normal
scores, which are laid over the losses seen here. At set numbers of finished trials the earlier
study's predictions are compared with what was found; if they may be unrelated, it is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.codec import encode
from attain.core.errors import Problem, SpecError
from attain.core.space import Config, Space
from attain.core.types import Observed, Record, Status
from attain.pipeline.goals import Goals, read_goals
from attain.pipeline.spaces import config_key
from attain.pipeline.tally import FunctionTrial, Tally
from attain.strategy._encode import Cube

MOST = 100  # trials of an earlier study that are used
STARTS = 3  # of its best configurations that are tried first
LOOKS = (8, 16, 32)  # finished trials at which it is judged
SURE = 1.2816  # one-sided 90 %; 70 and 80 % kept studies with a shifted minimum for too long
FILE = "ledger.db"
_NEAR = 5  # neighbours behind a prediction
_HUGE = 1e100


@dataclass
class Earlier:
    """An earlier study as extra history.

    Attributes:
        trials: Configurations, losses and excesses, best first.
        starts: Those that are tried first.
        dropped: Whether it is no longer believed.
        looks: How often it was judged.
    """

    trials: tuple[Mapping[str, Any], ...]
    starts: tuple[Config, ...]
    tally: Tally
    dropped: bool = False
    looks: int = 0
    _aligned: tuple[Any, tuple[Observed, ...]] = ((), ())
    _keys: tuple[frozenset[Any], ...] = field(init=False)

    def __post_init__(self) -> None:
        self._keys = tuple(config_key(t["config"]) for t in self.trials)

    @classmethod
    def of(
        cls,
        trials: Sequence[Mapping[str, Any]],
        space: Space,
        start: Sequence[Config],
        tally: Tally,
    ) -> Earlier:
        """From what was recorded of it.

        Args:
            trials: As `read_earlier` gave them.
            space: The space at the beginning.
            start: Configurations that are asked for anyway.
            tally: The new study's trials.

        Returns:
            Not judged yet.
        """
        inside = [t["config"] for t in trials if space.contains(t["config"])]
        new = [config for config in inside if config not in list(start)]
        return cls(tuple(trials), tuple(new[:STARTS]), tally)

    def history(self, space: Space) -> tuple[Observed, ...]:
        """Its trials on the scale of the new losses; none once it was dropped.

        Args:
            space: The space in force.

        Returns:
            Without configurations that were asked for here: those speak for themselves.
        """
        if self.dropped:
            return ()
        state = (space.version, self.tally.ended, self.tally.done)
        if self._aligned[0] != state:
            self._aligned = state, self._align(Compared.of(self, space))
        pairs = zip(self._keys, self._aligned[1], strict=True)
        return tuple(o for key, o in pairs if not self.tally.knows_key(key))

    def look(self, space: Space) -> dict[str, Any] | None:
        """Judge it if that is due.

        Args:
            space: The space in force.

        Returns:
            What to record as ``checked``; None when no look is due.
        """
        if self.dropped or self.looks >= len(LOOKS) or self.tally.done < LOOKS[self.looks]:
            return None
        found = Compared.of(self, space)
        return verdict(found.predicted, found.losses)

    def checked(self, payload: Mapping[str, Any]) -> None:
        """Take in a recorded judgement."""
        self.looks += 1
        self.dropped = not payload["kept"]

    def _align(self, found: Compared) -> tuple[Observed, ...]:
        centre, scale, noise = alignment(found, [t["loss"] for t in self.trials])
        return tuple(
            Observed(
                trial=f"e{number:05d}",
                config=trial["config"],
                status=Status.DONE.value,
                loss=float(centre + scale * score),
                noise=float(noise),
                round=0,
                excess=tuple(trial["excess"]),
            )
            for number, (trial, score) in enumerate(
                zip(self.trials, found.scores, strict=True), start=1
            )
        )


@dataclass(frozen=True, eq=False)
class Compared:
    """An earlier study beside the new one.

    Attributes:
        scores: Normal scores of the earlier losses, shape (m,).
        predicted: The score it predicts for each finished new trial, shape (k,).
        losses: What those gave, shape (k,).
    """

    scores: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray

    @classmethod
    def of(cls, earlier: Earlier, space: Space) -> Compared:
        """The comparison as far as trials have ended."""
        cube = Cube(space)
        scores = normal_scores(np.array([t["loss"] for t in earlier.trials], dtype=float))
        rows = [cube.encode(t["config"]) for t in earlier.trials]
        known = np.array([row is not None for row in rows])
        near = np.array([row for row in rows if row is not None], dtype=float)
        new = [
            (row, o.loss)
            for o in earlier.tally.history()
            if o.loss is not None and abs(o.loss) < _HUGE
            if (row := cube.encode(o.config)) is not None
        ]
        listed = np.array([axis.listed for axis in cube.axes], dtype=bool)
        predicted = [predict(near, scores[known], row, listed) for row, _ in new]
        return cls(scores, np.array(predicted, dtype=float), np.array([x for _, x in new], float))


def normal_scores(losses: np.ndarray) -> np.ndarray:
    """Standard normal quantiles of the ranks, equal losses equal (Blom 1958).

    Args:
        losses: Shape (m,).

    Returns:
        Shape (m,); increasing in the loss.
    """
    from scipy.special import ndtri

    return np.asarray(ndtri((ranks(losses) - 0.375) / (len(losses) + 0.25)))


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, the mean rank for equal values; shape (m,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=float)


def predict(rows: np.ndarray, scores: np.ndarray, row: np.ndarray, listed: np.ndarray) -> float:
    """The mean score of the nearest known points, the nearer the heavier.

    Args:
        rows: Known points, shape (m, d), NaN where inactive.
        scores: Of each, shape (m,).
        row: Where to predict, shape (d,).
        listed: Which positions stand for choices, shape (d,): any two differ by 1.

    Returns:
        A score.
    """
    gap = np.abs(rows - row)
    gap = np.where(listed & (gap > 0), 1.0, gap)
    both = np.isnan(rows) & np.isnan(row)
    gap = np.where(both, 0.0, np.where(np.isnan(gap), 1.0, gap))
    square = (gap**2).sum(axis=1)
    nearest = np.argsort(square, kind="stable")[:_NEAR]
    weights = 1.0 / (square[nearest] + 1e-4)
    return float(weights @ scores[nearest] / weights.sum())


def alignment(found: Compared, earlier: Sequence[float]) -> tuple[float, float, float]:
    """Where scores lie on the scale of the new losses.

    Until three trials have ended, both studies are taken to use the same unit.

    Args:
        found: The comparison.
        earlier: Losses of the earlier study.

    Returns:
        The loss at score 0, losses per score, and the standard error of a loss so predicted.
    """
    centre, scale = float(np.median(earlier)), _spread(np.asarray(earlier)) or 1.0
    if len(found.losses) == 0:
        return centre, scale, scale / 2
    if len(found.losses) >= 3:
        ours, theirs = _spread(found.losses), _spread(found.predicted)
        scale = ours / theirs if ours and theirs else scale
    centre = float(np.median(found.losses - scale * found.predicted))
    errors = found.losses - centre - scale * found.predicted
    noise = 1.4826 * float(np.median(np.abs(errors))) if len(errors) >= 3 else scale / 2
    return centre, scale, max(noise, scale / 10)


def _spread(values: np.ndarray) -> float:
    """Standard deviation that few outliers do not move: from the quartiles."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349


def verdict(predicted: np.ndarray, losses: np.ndarray) -> dict[str, Any]:
    """Whether predictions are related to losses at all.

    Spearman's rank correlation with the interval of Bonett and Wright (2000, eq. 3) on Fisher's
    scale; kept while the lower bound is above 0.

    Args:
        predicted: By the earlier study, shape (k,).
        losses: Found here, shape (k,).

    Returns:
        ``trials``, ``correlation``, ``low``, ``kept`` and ``reason``.
    """
    n = len(losses)
    facts: dict[str, Any] = {"trials": n, "correlation": None, "low": None, "kept": True}
    if n < 4 or np.ptp(predicted) == 0 or np.ptp(losses) == 0:
        return {**facts, "reason": f"{n} results without differences say nothing about it"}
    rho = float(np.corrcoef(ranks(predicted), ranks(losses))[0, 1])
    bounded = min(max(rho, -0.999999), 0.999999)
    error = math.sqrt((1 + bounded**2 / 2) / (n - 3))
    low = math.tanh(math.atanh(bounded) - SURE * error)
    kept = low > 0
    word = "kept: it predicts" if kept else "dropped: it may not predict"
    reason = f"{word} {n} results here, rank correlation {rho:.2f} (above {low:.2f} at 90 %)"
    return {**facts, "correlation": rho, "low": low, "kept": kept, "reason": reason}


def read_earlier(source: Any, goals: Goals, space: Space) -> list[dict[str, Any]]:
    """The trials of an earlier study that say something about this space.

    Args:
        source: A study folder or ledger, something with ``trials``, or a sequence of
            `FunctionTrial` or `Observed`.
        goals: What is asked for now.
        space: Where to search now.

    Returns:
        At most `MOST`, best first: ``config``, ``loss`` and ``excess``.

    Raises:
        SpecError: When there are several goals, or no trial fits.
        LedgerError: When the ledger cannot be read.
    """
    if goals.several:
        rule, remedy = "from_study needs a single goal", "leave it out, or state one goal"
        raise SpecError(Problem(rule, str(goals), "from_study", remedy))
    cube = Cube(space)
    fitting = [t for t in _judged(_trials(source), goals) if cube.encode(t["config"]) is not None]
    if not fitting:
        rule = "an earlier study must have a finished trial that fits this space and these goals"
        remedy = "leave from_study out"
        raise SpecError(Problem(rule, "none", "from_study", remedy))
    fitting.sort(key=lambda t: goals.key(t["loss"], t["excess"]))
    found: list[dict[str, Any]] = encode(_thinned(fitting))
    return found


def _thinned(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The better half of what is used, and a spread of the others."""
    if len(trials) <= MOST:
        return trials
    places = np.linspace(MOST // 2, len(trials) - 1, MOST - MOST // 2).round().astype(int)
    return trials[: MOST // 2] + [trials[i] for i in places]


def _judged(trials: Iterable[FunctionTrial | Observed], goals: Goals) -> Iterable[dict[str, Any]]:
    """Losses by the goals of now where metrics are known, else as they were."""
    for trial in trials:
        metrics = getattr(trial, "metrics", {})
        if trial.loss is None and not metrics:
            continue
        if all(math.isfinite(metrics.get(name, math.nan)) for name in goals.metrics):
            judged = goals.judge(metrics)
            yield {"config": trial.config, "loss": judged.loss, "excess": judged.excess}
        elif trial.loss is not None and abs(trial.loss) < _HUGE and not goals.limits:
            yield {"config": trial.config, "loss": trial.loss, "excess": ()}


def _trials(source: Any) -> Iterable[FunctionTrial | Observed]:
    if isinstance(source, str | Path):
        return _recorded(source)
    found = getattr(source, "trials", source)
    if not isinstance(found, Sequence) or not all(
        isinstance(t, FunctionTrial | Observed) for t in found
    ):
        rule = "from_study must be a path, an optimizer, a result, or a list of trials"
        raise SpecError(Problem(rule, repr(source)[:80], "from_study", "give one of these"))
    return found


def _recorded(path: Path | str) -> Iterable[FunctionTrial | Observed]:
    from attain.runtime.address import open_place

    ledger = open_place(path, read_only=True)
    try:
        records = ledger.read()
    finally:
        ledger.close()
    if records and records[0].kind == "optimizer":
        tally = Tally(read_goals(records[0].payload["goals"]))
        for record in records:
            tally.apply(record.kind, record.payload)
        return [replace(t, loss=None) if tally.goals.several else t for t in tally.trials.values()]
    return _tuned(records)


def _tuned(records: Sequence[Record]) -> Iterable[Observed]:
    """The search of a study of `attain.tune`."""
    points = {
        r.payload["trial"]["id"]: r.payload["trial"]["point"] for r in records if r.kind == "trial"
    }
    return [
        Observed(r.payload["trial"], points[r.payload["trial"]], "done", float(r.payload["loss"]))
        for r in records
        if r.kind == "scored" and r.payload["loss"] is not None and points[r.payload["trial"]]
    ]

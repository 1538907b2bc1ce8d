"""From finished runs to figures: regret, ranks, paired differences, and their intervals.

Normalised regret = (loss of the best configuration so far - best known) / (median of random
configurations - best known), cut off to [0, 1]. Under noise the best so far is the one whose noisy
loss is least, and what counts is its true loss. Means are taken over seeds, then over problems;
intervals are 95 % of a bootstrap that draws problems, and seeds within each.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measured
import numpy as np
from peers import is_peer
from targets import missed

HORIZONS = (25, 50, 100)
GATE = 50
DRAWS = 4000
STORED = "parallel-*/*/*/*.json"
Cells = Mapping[str, Mapping[int, float]]  # problem, seed: a figure


@dataclass(frozen=True)
class Kept:
    """One finished run.

    Attributes:
        method: Its name.
        problem: Its problem.
        seed: Its seed.
        asked: How many evaluations it was given.
        losses: True, in the order they were told.
        told: With noise; None when there is none.
        ms: CPU time per question and answer; empty for a run that came with the project.
        source: State of attain's code; "" for a peer.
        parallel: How many trials were under way at a time.
    """

    method: str
    problem: str
    seed: int
    asked: int
    losses: tuple[float, ...]
    told: tuple[float, ...] | None
    ms: tuple[float, ...]
    source: str
    parallel: int = 1

    @property
    def place(self) -> tuple[str, str, int, int]:
        """What no two runs share."""
        return (self.method, self.problem, self.seed, self.parallel)


def load(
    folder: Path, methods: Iterable[str] | None, problems: Iterable[str], seeds: Iterable[int]
) -> tuple[list[Kept], dict[str, float]]:
    """Finished runs, and the least loss of every problem over all of them.

    Args:
        folder: Holds parallel-n/method/problem/seed.json.
        methods: Which are wanted; None for all.
        problems: Which are wanted.
        seeds: Which are wanted.

    Returns:
        The wanted runs, with those that came with the project where the folder has none that are
        as long, and least losses of wanted and unwanted ones.
    """
    wanted = None if methods is None else set(methods)
    names, numbers = set(problems), set(seeds)
    runs = {run.place: run for method in measured.methods() for run in _measured(method)}
    for file in sorted(folder.glob(STORED)):
        run = _kept(json.loads(file.read_text()))
        if run.place not in runs or run.asked >= runs[run.place].asked:
            runs[run.place] = run
    least: dict[str, float] = {}
    for run in runs.values():
        name = base(run.problem)
        least[name] = min(least.get(name, math.inf), *run.losses)
    return [
        run
        for run in runs.values()
        if run.problem in names and run.seed in numbers and (wanted is None or run.method in wanted)
    ], least


def _measured(method: str) -> Iterator[Kept]:
    for problem, seeds in measured.load(method).items():
        for seed, run in seeds.items():
            losses, told = measured.expand(run)
            yield Kept(method, problem, seed, run["asked"], losses, told, (), "")


def _kept(run: Mapping[str, Any]) -> Kept:
    ms = tuple(a + t for a, t in zip(run["ask_ms"], run["tell_ms"], strict=True))
    told = None if run["told"] is None else tuple(run["told"])
    place = (run["method"], run["problem"], run["seed"], run["asked"])
    return Kept(*place, tuple(run["losses"]), told, ms, run["source"], run["parallel"])


def base(problem: str) -> str:
    """A problem's name without its noise."""
    return problem.partition("~")[0]


def suite(problem: str) -> str:
    """The suite of a problem."""
    return problem.partition("-")[0]


def regret(
    losses: Sequence[float], best: float, median: float, told: Sequence[float] | None = None
) -> np.ndarray:
    """Normalised regret after each evaluation.

    Args:
        losses: True, in order.
        best: Best known.
        median: Of random configurations.
        told: With noise, which decides what counts as the best so far.

    Returns:
        Shape (n,), in [0, 1].
    """
    judged = np.asarray(losses if told is None else told, float)
    new = np.r_[True, judged[1:] < np.minimum.accumulate(judged)[:-1]]
    lead = np.maximum.accumulate(np.where(new, np.arange(len(judged)), 0))
    true = np.asarray(losses, float)[lead]
    return np.clip((true - best) / (median - best), 0.0, 1.0)


def best_known(reference: Mapping[str, Any], least: Mapping[str, float]) -> dict[str, float]:
    """What regret is measured from: the optimum where it is exact, else the lowest loss seen.

    Args:
        reference: Entries of ``reference.json``; "found" is what earlier runs came to.
        least: The lowest losses of runs that may not be in it yet.

    Returns:
        By problem.
    """
    return {
        name: entry["best"]
        if entry["exact"]
        else min(entry["best"], entry.get("found", math.inf), least.get(name, math.inf))
        for name, entry in reference.items()
    }


def cells(
    kept: Iterable[Kept], best: Mapping[str, float], median: Mapping[str, float]
) -> dict[str, dict[int, dict[str, dict[int, float]]]]:
    """Regret by method, horizon, problem and seed; a horizon that was not reached is absent.

    Args:
        kept: Finished runs.
        best: Best known loss of each problem.
        median: Median loss of random configurations.

    Returns:
        A run that ended early because the space was exhausted keeps its last value.
    """
    found: dict[str, Any] = defaultdict(lambda: {h: defaultdict(dict) for h in HORIZONS})
    for run in kept:
        name = base(run.problem)
        curve = regret(run.losses, best[name], median[name], run.told)
        for horizon in HORIZONS:
            if run.asked >= horizon:
                value = float(curve[min(horizon, len(curve)) - 1])
                found[run.method][horizon][run.problem][run.seed] = value
    return dict(found)


def mean(values: Cells) -> float:
    """Mean over seeds, then over problems; NaN for none."""
    return float(np.mean([np.mean([*v.values()]) for v in values.values()])) if values else math.nan


def interval(values: Cells, draws: int = DRAWS, seed: int = 0) -> tuple[float, float, float]:
    """The mean with its 95 % interval.

    Args:
        values: A figure by problem and seed.
        draws: How often problems, and seeds within them, are drawn with replacement.
        seed: Of the draws.

    Returns:
        Mean, low and high; NaN when there is nothing.
    """
    values = {p: v for p, v in values.items() if v}
    if not values:
        return (math.nan,) * 3
    counts = np.array([len(v) for v in values.values()])
    padded = np.zeros((len(values), counts.max()))
    for row, one in zip(padded, values.values(), strict=True):
        row[: len(one)] = [*one.values()]
    rng = np.random.default_rng(seed)
    problems = rng.integers(0, len(values), (draws, len(values)))
    n = counts[problems][..., None]
    picked = np.floor(rng.random((*problems.shape, counts.max())) * n).astype(int)
    inside = np.arange(counts.max()) < n
    drawn = np.where(inside, padded[problems[..., None], picked], 0.0).sum(-1) / n[..., 0]
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return mean(values), float(low), float(high)


def paired(mine: Cells, other: Cells) -> dict[str, dict[int, float]]:
    """Differences of the runs that both have; below 0 when the first is better."""
    both = {
        p: {s: v - other[p][s] for s, v in seeds.items() if s in other[p]}
        for p, seeds in mine.items()
        if p in other
    }
    return {p: v for p, v in both.items() if v}


def ratio(mine: Cells, other: Cells) -> float:
    """Mean of the first by mean of the second, over the runs that both have."""
    shared = paired(mine, other)
    ours = mean({p: {s: mine[p][s] for s in v} for p, v in shared.items()})
    theirs = mean({p: {s: other[p][s] for s in v} for p, v in shared.items()})
    return ours / theirs if theirs > 0 else math.nan


def ranks(by_method: Mapping[str, Cells]) -> dict[str, float]:
    """Mean over problems of each method's place by mean regret; equal ones share their places.

    Args:
        by_method: A figure by method, problem and seed.

    Returns:
        1 is best. Only problems that all the methods have are counted.
    """
    from scipy.stats import rankdata

    names = [m for m, v in by_method.items() if v]
    shared = set.intersection(*(set(by_method[m]) for m in names)) if names else set()
    if not shared:
        return {}
    means = [[np.mean([*by_method[m][p].values()]) for m in names] for p in sorted(shared)]
    places = np.mean([rankdata(np.round(row, 12)) for row in means], axis=0)
    return dict(zip(names, map(float, places), strict=True))


def report(
    loaded: tuple[list[Kept], Mapping[str, float]],
    reference: Mapping[str, Any],
    main: str | None,
    source: str,
) -> dict[str, Any]:
    """All figures.

    Args:
        loaded: What `load` returned.
        reference: Entries of ``reference.json``.
        main: The method that others are compared with; attain's Bayesian one by default.
        source: State of attain's code now.

    Returns:
        Plain JSON values; None where there is no figure.
    """
    kept, least = loaded
    kept = [run for run in kept if base(run.problem) in reference]
    best = best_known(reference, least)
    found = cells(kept, best, {name: entry["median"] for name, entry in reference.items()})
    main = _main(main, found)
    gate = {m: v[GATE] for m, v in found.items()}
    best_peer = _best_peer(gate)
    by_suite = {part: ranks(_within(part, gate)) for part in _parts(gate)}
    places = by_suite.get("all", {})
    methods = {}
    for method, values in found.items():
        runs = [run for run in kept if run.method == method]
        methods[method] = {
            "runs": len(runs),
            "older": sum(bool(run.source) and run.source != source for run in runs),
            "regret": _by_suite(values),
            "rank": places.get(method),
            **milliseconds(runs),
            "ratio_to_best_peer": ratio(gate[method], gate[best_peer]) if best_peer else None,
        }
    differences = {
        other: {h: _difference(found[main][h], found[other][h]) for h in HORIZONS}
        for other in found
        if other != main
    }
    before = best_known(reference, {})
    lowered = {
        name: before[name] - best[name]
        for name in sorted({base(run.problem) for run in kept})
        if best[name] < before[name]
    }
    answer = {"main": main, "best_peer": best_peer, "methods": methods, "ranks": by_suite}
    answer["shares"] = _shares(main, found)
    return _plain(answer | {"differences": differences, "best_lowered_by_runs": lowered})


def _parts(by_method: Mapping[str, Cells]) -> list[str]:
    """``all``, then every suite that any method has run on."""
    suites = {suite(problem) for values in by_method.values() for problem in values}
    return ["all", *sorted(suites)] if suites else []


def _within(part: str, by_method: Mapping[str, Cells]) -> dict[str, Cells]:
    """Figures of one suite only, or of all."""
    return {
        method: {p: v for p, v in values.items() if part in ("all", suite(p))}
        for method, values in by_method.items()
    }


def _shares(main: str | None, found: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """The main method's regret by that of the best peer there, for each suite and horizon."""
    shares: dict[str, dict[int, float]] = {}
    for horizon in HORIZONS if main else ():
        at = {method: values[horizon] for method, values in found.items()}
        for part in _parts(at):
            inside = _within(part, at)
            if peer := _best_peer(inside):
                shares.setdefault(part, {})[horizon] = ratio(inside[main], inside[peer])
    return shares


def _best_peer(gate: Mapping[str, Cells]) -> str | None:
    """The peer of least regret among those that have run on the most problems."""
    peers = {m: v for m, v in gate.items() if is_peer(m) and v}
    most = max(map(len, peers.values()), default=0)
    return min(
        (m for m in peers if len(peers[m]) == most), key=lambda m: mean(peers[m]), default=None
    )


def _main(main: str | None, found: Mapping[str, Any]) -> str | None:
    if main in found:
        return main
    ours = [m for m in found if m.startswith("attain-")]
    return min(ours or found, key=lambda m: mean(found[m][GATE]), default=None)


def _by_suite(values: Mapping[int, Cells]) -> dict[str, dict[int, Any]]:
    suites = sorted({suite(p) for h in HORIZONS for p in values[h]})
    parts = {"all": lambda _: True} | {s: (lambda p, s=s: suite(p) == s) for s in suites}
    return {
        name: {h: interval({p: v for p, v in values[h].items() if fits(p)}) for h in HORIZONS}
        for name, fits in parts.items()
    }


def _difference(mine: Cells, other: Cells) -> dict[str, Any]:
    shared = paired(mine, other)
    value, low, high = interval(shared)
    runs = sum(len(v) for v in shared.values())
    return {"mean": value, "low": low, "high": high, "runs": runs, "problems": len(shared)}


def milliseconds(runs: Sequence[Kept]) -> dict[str, float]:
    """CPU time per question and answer: median over runs of each run's median and of its mean."""
    timed = [run.ms for run in runs if run.ms]
    if not timed:
        return {"ms_median": math.nan, "ms_mean": math.nan}
    return {
        "ms_median": float(np.median([np.median(ms) for ms in timed])),
        "ms_mean": float(np.median([np.mean(ms) for ms in timed])),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value


def shortfalls(answer: Mapping[str, Any], quick: bool) -> list[str]:
    """What a check finds wanting.

    Args:
        answer: What `report` returned.
        quick: Whether only random search was there to be compared with.

    Returns:
        Peers over which the main method's lead at the gate is not certain, and missed targets; it
        is a fault to have no peer at all; on a quick run random search, if it did better.
    """
    compared = answer["differences"]
    if quick:
        value = (compared.get("random") or {}).get(str(GATE)) or {}
        return ["random"] if (value.get("mean") or 0.0) > 0 else []
    if not any(map(is_peer, compared)):
        return ["no peer"]
    unsure = [
        other
        for other, by_horizon in compared.items()
        if is_peer(other) and not _below_0(by_horizon[str(GATE)]["high"])
    ]
    return [*unsure, *missed(answer)]


def _below_0(value: float | None) -> bool:
    return value is not None and value < 0


def table(answer: Mapping[str, Any]) -> str:
    """Figures as Markdown.

    Args:
        answer: What `report` returned.

    Returns:
        Two tables: every method, and the main method's lead over the others.
    """
    methods = answer["methods"]
    if not methods:
        return "(no finished runs)"
    suites = sorted({s for m in methods.values() for s in m["regret"]} - {"all"})
    header = ["method", "runs", f"all at {'/'.join(map(str, HORIZONS))}", f"95 % at {GATE}"]
    header += [*suites, f"rank at {GATE}", "ms median (mean)", "to best peer"]
    order = sorted(methods, key=lambda m: (methods[m]["regret"]["all"][str(GATE)][0] or 2, m))
    rows = []
    for name in order:
        one = methods[name]
        _, low, high = one["regret"]["all"][str(GATE)]
        runs = f"{one['runs']}" + (f" ({one['older']} older)" if one["older"] else "")
        rows.append([name, runs, _three(one["regret"]["all"]), f"{_3(low)}–{_3(high)}"])
        rows[-1] += [_three(one["regret"].get(s)) for s in suites]
        rows[-1] += [_2(one["rank"]), f"{_2(one['ms_median'])} ({_2(one['ms_mean'])})"]
        rows[-1] += [_2(one["ratio_to_best_peer"])]
    text = "Normalised regret, lower is better.\n\n" + _markdown(header, rows)
    rows = [
        [name, *(_lead(by_horizon[str(h)]) for h in HORIZONS)]
        for name, by_horizon in answer["differences"].items()
    ]
    header = [f"{answer['main']} minus", *(f"at {h} [95 %] (runs)" for h in HORIZONS)]
    return text + "\n\n" + _markdown(header, rows)


def _3(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def _2(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _three(by_horizon: Mapping[str, Any] | None) -> str:
    return "/".join(_3(by_horizon[str(h)][0] if by_horizon else None) for h in HORIZONS)


def _lead(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return "-"
    return f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}] ({one['runs']})"


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def overhead(kept: Mapping[str, Any]) -> dict[str, float]:
    """Median and mean time, and memory, of a method with a long history."""
    ms = kept["ms"]
    return {
        "ms_median": round(float(np.median(ms)), 2),
        "ms_mean": round(float(np.mean(ms)), 2),
        "peak_mb": kept["peak_mb"],
    }


def overhead_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Overheads as Markdown, a method a row."""
    histories = sorted({r["history"] for r in rows})
    by_place = {(r["method"], r["history"]): r for r in rows}

    def cell(method: str, history: int) -> str:
        row = by_place[method, history]
        return row.get("problem") or (
            f"{row['ms_median']} ({row['ms_mean']}) ms, {row['peak_mb']:.0f} MB"
        )

    header = ["method", *(f"{h} trials" for h in histories)]
    methods = dict.fromkeys(r["method"] for r in rows)
    return _markdown(header, [[m, *(cell(m, h) for h in histories)] for m in methods])

"""What a search for the best configuration of a function found, as evidence and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attain.core.types import Status
from attain.report import charts, hyper, numbers
from attain.report.book import plain
from attain.report.html import MOST_ROWS, embedded, environment, framed
from attain.report.interplay import interplay
from attain.report.numbers import finite

Item = Mapping[str, Any]
_UNENDED = ("running", "lost")
_MAGNITUDES = 1e3
_MOST = 2_000  # trials that a page carries as JSON
_FEWEST = 8  # predictions below which their share within two deviations says nothing


def collect(
    trials: Sequence[Item],
    goals: Sequence[Item],
    limits: Sequence[str],
    parameters: Sequence[Item],
    **more: Any,
) -> dict[str, Any]:
    """Everything that the page shows.

    Args:
        trials: In order of asking: ``id``, ``config``, ``reason``, ``predicted``, ``spread``,
            ``status``, ``metrics`` (empty unless it ended well), ``goals`` (a loss for each goal,
            less is better), ``excess`` (by limit), ``front`` (whether no other beats it),
            ``seconds``, ``message``, ``curves`` (of each goal steps and the best value up to them)
            and ``expected`` (the loss that a pruned one would have come to, or None).
        goals: ``metric`` and ``direction``.
        limits: As they were stated.
        parameters: Of the space: ``name``, ``text`` and ``scale``.
        **more: ``title``, ``reason`` (why it ended, or that it goes on), ``strategy``, ``why``
            (that one), ``best`` (id of the best trial, or None), ``target`` (of a single goal, or
            None) and ``version``.

    Returns:
        Plain JSON values: what was given, trials the best first, each with ``kept`` (whether all
        limits hold); ``searches``, one for each goal: what `charts` and `paths` take, but for the
        trials; ``failures``; ``foretold``, how many losses came near their prediction; counts.
    """
    told = [plain(trial) for trial in trials]
    for place, trial in enumerate(told, 1):
        trial["place"], trial["kept"] = place, _broken(trial) == 0
    done = [t for t in told if t["status"] == Status.DONE]
    rest = [t for t in told if t["status"] != Status.DONE]
    known = plain(list(parameters))
    return {
        **plain(more),
        "goals": plain(list(goals)),
        "limits": list(limits),
        "parameters": known,
        "searches": [
            _search(told, known, goal, i, more.get("target")) for i, goal in enumerate(goals)
        ],
        "failures": _failures(told),
        "foretold": _foretold(told) if len(goals) == 1 else None,
        "seconds": sum(t["seconds"] or 0.0 for t in told),
        "pruned": sum(t["status"] == Status.PRUNED for t in told),
        "ended": len(told) - sum(t["status"] in _UNENDED for t in told),
        "done": len(done),
        "kept": sum(t["kept"] for t in done),
        "metrics": list(dict.fromkeys(name for t in done for name in t["metrics"])),
        "trials": [*sorted(done, key=_standing), *rest],
    }


def render(evidence: Mapping[str, Any]) -> str:
    """The page as one HTML file, as safe and as free of the network as a study's report.

    Args:
        evidence: As `collect` gives it.

    Returns:
        A complete document with the evidence as JSON (element ``attain-evidence``).
    """
    searches = [_drawn(evidence, which) for which in range(len(evidence["searches"]))]
    return (
        environment()
        .get_template("function.html.j2")
        .render(
            e=evidence,
            searches=searches,
            kept=min(_MOST, len(evidence["trials"])),
            data=embedded(_cut(evidence)),
            rows=MOST_ROWS,
            colours=charts.palette(searches[0]),
            **framed(),
        )
    )


def summary(evidence: Mapping[str, Any]) -> str:
    """What was found, in a few lines.

    Args:
        evidence: As `collect` gives it.

    Returns:
        The best trial and why the search ended, what failed, what mattered.
    """
    lines = [numbers.sentence(evidence["reason"])]
    best = next((t for t in evidence["trials"] if t["id"] == evidence["best"]), None)
    if best:
        metrics = ", ".join(
            f"{k} {numbers.number(v, digits=4)}" for k, v in best["metrics"].items()
        )
        config = ", ".join(f"{k} {numbers.setting(v)}" for k, v in best["config"].items())
        broken = "" if best["kept"] else ", with a limit broken"
        lines.insert(0, f"Best of {evidence['ended']}: {metrics}{broken} ({best['id']}: {config})")
    lines += [
        f"{numbers.plural(f['count'], 'trial')} {f['status']}: {f['message']}"
        for f in evidence["failures"]
    ]
    for search in evidence["searches"]:
        shares = [
            f"{e['parameter']} {numbers.share(e['share'])}" for e in search["hyperparameters"]
        ]
        if shares:
            lines.append(f"What mattered for {search['metric']}: {', '.join(shares)}")
    return "\n".join([evidence["title"], "", *lines])


def importance(
    configs: Sequence[Item], losses: Sequence[float], *, fewest: int = hyper.FEWEST_TRIALS
) -> dict[str, float]:
    """Share of what sets the best trials apart that each parameter explains.

    Args:
        configs: Of the trials.
        losses: Of the same trials, finite.
        fewest: Trials below which nothing is said.

    Returns:
        Shares in [0, 1] by parameter, the largest first; empty where nothing can be said.
    """
    if len(configs) < fewest:
        return {}
    shares = hyper.shares_of([*zip(configs, losses, strict=True)])
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _standing(trial: Item) -> tuple[Any, ...]:
    """Within the limits first, then those of the front, then by the first goal."""
    return _broken(trial), not trial["front"], trial["goals"]


def _search(
    told: Sequence[Item], known: Sequence[Item], goal: Item, which: int, target: Any
) -> dict[str, Any]:
    """One goal as the pictures of a study's search take it, with a learner without a name."""
    metric = goal["metric"]
    done = [t for t in told if t["status"] == Status.DONE]
    places = _places(done, which)
    worth = [(t["config"], t["goals"][which]) for t in done]
    worth += [(t["config"], t["expected"]) for t in told if t["expected"] is not None]
    shares = importance([config for config, _ in worth], [loss for _, loss in worth])
    mattered = [
        {"learner": "", "parameter": name, "share": share, "trials": len(worth)}
        for name, share in shares.items()
    ]
    losses = np.array([places[t["id"]] for t in done])
    pairs = interplay([t["config"] for t in done], losses, [*shares])
    values = [t["metrics"][metric] for t in done]
    best = next((t for t in done if places[t["id"]] == 0), None)
    score = {"estimate": best["metrics"][metric]} if best else None
    return {
        **{"metric": metric, "direction": goal["direction"], "target": finite(target), "unit": ""},
        "log": _ratios(values),
        "searched": len(told),
        "scored": len(done),
        "incumbent": _incumbent(told, metric, which),
        "learners": [{"learner": "", "trials": len(told), "score": score}],
        "hyperparameters": mattered,
        "interplay": [{**pair, "trials": len(done)} for pair in pairs],
        "selection": {"space": known},
    }


def _places(done: Sequence[Item], which: int) -> dict[str, float]:
    """Ranks by one goal, those within the limits first; by the id of the trial."""
    order = sorted(done, key=lambda t: (_broken(t), t["goals"][which]))
    return {t["id"]: float(place) for place, t in enumerate(order)}


def _drawn(evidence: Item, which: int) -> dict[str, Any]:
    """A search with its trials as pictures take them; their losses are places."""
    search, told = evidence["searches"][which], evidence["trials"]
    metric = search["metric"]
    places = _places([t for t in told if t["status"] == Status.DONE], which)
    trials = [
        {
            **{k: t[k] for k in ("id", "config", "status", "message", "place")},
            **{"learner": "", "purpose": "search", "record": None, "loss": places.get(t["id"])},
            "scores": {metric: {"estimate": t["metrics"][metric]}} if t["id"] in places else {},
        }
        for t in sorted(told, key=lambda t: t["place"])
    ]
    return {**search, "trials": trials}


def _cut(evidence: Item) -> dict[str, Any]:
    """What a page carries as JSON: of very many trials the best ones, and others evenly."""
    told = evidence["trials"]
    best, rest = told[: _MOST // 2], told[_MOST // 2 :]
    return {**evidence, "trials": [*best, *charts.thinned(rest, _MOST - len(best))]}


def _ratios(values: Sequence[float]) -> bool:
    """Whether results differ by magnitudes, so that ratios between them say more than distances."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= _MAGNITUDES


def _broken(trial: Item) -> float:
    """By how much limits are exceeded together."""
    return sum(max(finite(e) or 0.0, 0.0) for e in trial["excess"])


def _incumbent(told: Sequence[Item], metric: str, which: int) -> list[dict[str, Any]]:
    """Each time the best of those within the limits became better."""
    found: list[dict[str, Any]] = []
    least = float("inf")
    for trial in told:
        if trial["status"] != Status.DONE or not trial["kept"]:
            continue
        if (loss := trial["goals"][which]) < least:
            least = loss
            at = {"position": trial["place"], "trial": trial["id"]}
            found.append(at | {"estimate": trial["metrics"][metric]})
    return found


def _failures(told: Sequence[Item]) -> list[dict[str, Any]]:
    ended = [t for t in told if t["status"] not in (Status.DONE, Status.PRUNED, *_UNENDED)]
    counts = Counter((t["status"], t["message"]) for t in ended)
    return [
        {"status": status, "message": message, "count": count}
        for (status, message), count in counts.most_common()
    ]


def _foretold(told: Sequence[Item]) -> dict[str, Any] | None:
    """How many losses lay within two of the deviations that were predicted with them."""
    pairs = [
        (t["goals"][0], t["predicted"], t["spread"])
        for t in told
        if t["status"] == Status.DONE and t["predicted"] is not None and t["spread"]
    ]
    if len(pairs) < _FEWEST:
        return None
    near = sum(abs(loss - mean) <= 2 * spread for loss, mean, spread in pairs)
    return {"near": near, "of": len(pairs)}

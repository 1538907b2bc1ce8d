"""What the search tried, found and dropped, as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attain.core.types import LOSSES, CurvePoint, Objective, Record, Role, Status, Trial
from attain.report import hyper
from attain.report.book import Book, listing, newest, plain, scores
from attain.report.foretold import foretold
from attain.report.interplay import interplay
from attain.report.numbers import finite
from attain.report.sharing import sharing

CURVE_POINTS = 120
FAILURES = frozenset(
    {Status.FAILED, Status.DIVERGED, Status.TIMEOUT, Status.MEMORY, Status.KILLED, Status.LOST}
)


def lead(book: Book) -> Objective | None:
    """The objective that charts show: the first goal, else the first objective."""
    _, objectives = newest(book.objectives)
    goals = [o for o in objectives or () if o.role is Role.GOAL]
    return next(iter([*goals, *(objectives or ())]), None)


def trials(book: Book) -> list[dict[str, Any]]:
    """Every trial in the order of asking.

    Args:
        book: The records.

    Returns:
        Mappings with ``id``, ``learner``, ``purpose``, ``round``, ``reason``, ``config``,
        ``status`` (``unfinished`` without a score), ``message``, ``loss``, ``noise``, ``seconds``,
        ``peak_bytes``, ``scores`` (metric to estimate, low, high, n) and ``record`` (the record of
        the score, else of the trial).
    """
    scored = {record.payload["trial"]: record for record in book.of("scored")}
    peaks: dict[str, int] = {}
    for _, outcome in book.outcomes:
        peaks[outcome.trial] = max(peaks.get(outcome.trial, 0), outcome.peak_bytes)
    return [
        _trial(record, trial, scored.get(trial.id), peaks.get(trial.id, 0))
        for record, trial in book.trials
    ]


def _trial(record: Record, trial: Trial, scored: Record | None, peak: int) -> dict[str, Any]:
    payload = {} if scored is None else scored.payload
    return {
        "id": trial.id,
        "learner": trial.learner,
        "purpose": trial.purpose,
        "round": trial.round,
        "reason": plain(trial.reason),
        "config": plain(trial.config),
        "status": payload.get("status", "unfinished"),
        "message": plain(payload.get("message", "")),
        "loss": finite(payload.get("loss")),
        "noise": finite(payload.get("noise")),
        "seconds": finite(payload.get("seconds")),
        "peak_bytes": peak or None,
        "scores": {
            s.metric: plain({k: getattr(s, k) for k in ("estimate", "low", "high", "n", "unit")})
            for s in scores(payload)
        },
        "record": record.id if scored is None else scored.id,
    }


def search(book: Book, tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything the section on the search shows.

    Args:
        book: The records.
        tried: As `trials` gives them.

    Returns:
        ``metric``, ``direction``, ``target``, ``unit`` (of the lead objective), ``strategy``,
        ``selection``, ``forecast``, ``split``, ``racing``, ``sharing``, ``incumbent``,
        ``learners``, ``rounds``, ``failures``, ``hyperparameters``, ``interplay`` (pairs of
        parameters of the learner that did best), ``finalists``, ``choice``, ``curve``, ``searched``
        (trials of the search), ``scored`` (of these with a result) and ``trials`` (those of the
        search with their ``place``, from 1).
    """
    objective = lead(book)
    searched = [t for t in tried if t["purpose"] == "search"]
    for place, trial in enumerate(searched, 1):  # before any are cut
        trial["place"] = place
    mattered, known = _hyperparameters(book), learners(book, searched, objective)
    return {
        "metric": objective.metric if objective else None,
        "direction": objective.direction.value if objective else None,
        "target": finite(objective.target) if objective else None,
        "unit": objective.unit if objective else "",
        "strategy": _payload(book, "strategy"),
        "selection": _selection(book),
        "forecast": foretold(book),
        "split": _split(book),
        "racing": racing(book),
        "sharing": sharing(book),
        "incumbent": incumbent(searched, objective),
        "learners": known,
        "rounds": rounds(book, searched, objective),
        "failures": failures(tried),
        "hyperparameters": mattered,
        "interplay": _interplay(searched, known, mattered),
        "finalists": _payload(book, "finalists"),
        "choice": choice(book, tried),
        "curve": _curve(book),
        "searched": len(searched),
        "scored": sum(_estimate(t, objective) is not None for t in searched),
        "trials": list(tried),
    }


def _payload(book: Book, kind: str) -> dict[str, Any] | None:
    record = book.last(kind)
    return None if record is None else {**plain(record.payload), "record": record.id}


def _split(book: Book) -> dict[str, Any] | None:
    record, split = newest(book.splits)
    if record is None or split is None:
        return None
    return {**plain(split), "jobs": split.jobs, "record": record.id}


def racing(book: Book) -> dict[str, Any] | None:
    """How many folds were saved because configurations were clearly behind.

    Args:
        book: The records.

    Returns:
        ``trials`` (that ended early), ``saved`` and ``folds`` (of all trials of the search that are
        scored), ``text`` and ``record`` (of the last that ended early); None when there is none.
    """
    later = {t.parent for _, t in book.trials}  # paused ones that went on under another number
    asked = {t.id: t for _, t in book.trials if t.purpose == "search" and t.id not in later}
    ended = {r.payload["trial"]: r for r in book.of("scored") if r.payload["trial"] in asked}
    raced = {k: r for k, r in ended.items() if r.payload.get("status") == Status.RACED}
    if not raced:
        return None
    fitted = sum(outcome.trial in raced for _, outcome in book.outcomes)
    saved = sum(asked[k].split.jobs for k in raced) - fitted
    folds = sum(asked[k].split.jobs for k in ended)
    text = (
        f"{len(raced)} of {len(ended)} trials were clearly behind and ended early, which saved"
        f" {saved:,} of {folds:,} fits"
    )
    record = max(r.id for r in raced.values())
    return {"trials": len(raced), "saved": saved, "folds": folds, "text": text, "record": record}


def _selection(book: Book) -> dict[str, Any] | None:
    record = book.last("selection")
    if record is None:
        return None
    return {
        "learners": plain(listing(record.payload.get("learners"))),
        "parameters": plain(listing(record.payload.get("parameters"))),
        "fixed": plain(record.payload.get("fixed") or {}),
        "space": [plain(p) for p in _parameters(record)],
        "record": record.id,
    }


def _parameters(record: Record) -> list[dict[str, Any]]:
    """Each parameter of the space in words, with its name and scale."""
    from attain.core.codec import decode
    from attain.core.space import Space

    if not record.payload.get("space"):
        return []
    space = decode(Space, record.payload["space"])
    return [
        {"name": p.name, "text": str(p), "scale": getattr(p, "scale", ""), "source": p.source}
        for p in space.parameters
    ]


def _estimate(trial: dict[str, Any], objective: Objective | None) -> float | None:
    score = trial["scores"].get(objective.metric) if objective else None
    return score["estimate"] if score else None


def incumbent(
    searched: Sequence[dict[str, Any]], objective: Objective | None
) -> list[dict[str, Any]]:
    """Each time the best loss fell.

    Args:
        searched: Trials of the search, in order.
        objective: Whose estimate goes with the loss.

    Returns:
        ``position`` (from 1), ``trial``, ``learner``, ``loss``, ``estimate`` and ``record``.
    """
    found: list[dict[str, Any]] = []
    for position, trial in enumerate(searched, 1):
        if trial["loss"] is None or (found and trial["loss"] >= found[-1]["loss"]):
            continue
        found.append(
            {
                "position": position,
                "trial": trial["id"],
                "learner": trial["learner"],
                "loss": trial["loss"],
                "estimate": _estimate(trial, objective),
                "record": trial["record"],
            }
        )
    return found


def learners(
    book: Book, searched: Sequence[dict[str, Any]], objective: Objective | None
) -> list[dict[str, Any]]:
    """One entry for each learner, the best first, those left out last.

    Args:
        book: The records.
        searched: Trials of the search.
        objective: Whose scores are shown.

    Returns:
        ``learner``, ``used``, ``reason``, ``trials``, ``failed``, ``seconds``, ``best`` (trial id),
        ``loss``, ``score`` (of the objective, or None) and ``record``.
    """
    selection = book.last("selection")
    chosen = {} if selection is None else _by_name(selection.payload.get("learners"))
    names = dict.fromkeys([*chosen, *(t["learner"] for t in searched)])
    found = []
    for name in names:
        own = [t for t in searched if t["learner"] == name]
        done = [t for t in own if t["loss"] is not None]
        best = min(done, key=lambda t: t["loss"], default=None)
        found.append(
            {
                "learner": name,
                "used": bool(own) or bool(chosen.get(name, {}).get("used")),
                "reason": plain(chosen.get(name, {}).get("reason", "")),
                "trials": len(own),
                "failed": sum(t["status"] in FAILURES for t in own),
                "seconds": sum(t["seconds"] or 0.0 for t in own) if own else None,
                "best": best["id"] if best else None,
                "loss": best["loss"] if best else None,
                "score": best["scores"].get(objective.metric) if best and objective else None,
                "record": best["record"] if best else selection.id if selection else None,
            }
        )
    worst = float("inf")
    return sorted(found, key=lambda e: (not e["used"], worst if e["loss"] is None else e["loss"]))


def _by_name(choices: Any) -> dict[str, dict[str, Any]]:
    return {str(c["name"]): dict(c) for c in listing(choices)}


def rounds(
    book: Book, searched: Sequence[dict[str, Any]], objective: Objective | None
) -> list[dict[str, Any]]:
    """The chain of refinement: what was seen, what was done, what was hoped for, what came of it.

    A decision knows the effect of the one before it, so each gets the next one's measurement.

    Args:
        book: The records.
        searched: Trials of the search.
        objective: Whose score goes with the best trial.

    Returns:
        ``round``, ``move``, ``reason``, ``diagnoses``, ``changes``, ``predicted``, ``measured``
        (None for the last), ``stop``, ``trials`` (scored in that round), ``loss`` (best so
        far), ``best`` (its trial), ``score`` (of the objective) and ``record``.
    """
    found: list[dict[str, Any]] = []
    for position, (record, decision) in enumerate(book.decisions):
        later = book.decisions[position + 1 :]
        before = [t for t in searched if t["loss"] is not None and t["record"] < record.id]
        number = record.payload.get("round", position + 1)
        best = min(before, key=lambda t: t["loss"], default=None)
        found.append(
            {
                "round": number,
                "move": decision.kind.value,
                **plain({k: getattr(decision, k) for k in ("reason", "changes", "predicted")}),
                "diagnoses": plain(decision.diagnoses),
                "measured": finite(later[0][1].measured) if later else None,
                "stop": decision.stop,
                "trials": sum(t["round"] == number for t in before),
                "loss": best["loss"] if best else None,
                "best": best["id"] if best else None,
                "score": best["scores"].get(objective.metric) if best and objective else None,
                "record": record.id,
            }
        )
    return found


def failures(tried: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Failed trials, those with the same learner, status and message counted together.

    Args:
        tried: As `trials` gives them.

    Returns:
        ``learner``, ``status``, ``message``, ``trials`` (ids) and ``records``; most frequent first.
    """
    together: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for trial in tried:
        if trial["status"] in FAILURES:
            key = (trial["learner"], trial["status"], trial["message"])
            together.setdefault(key, []).append(trial)
    found = [
        {
            "learner": learner,
            "status": status,
            "message": message,
            "trials": [t["id"] for t in group],
            "records": [t["record"] for t in group],
        }
        for (learner, status, message), group in together.items()
    ]
    return sorted(found, key=lambda entry: -len(entry["trials"]))


def _hyperparameters(book: Book) -> list[dict[str, Any]]:
    """From the explanation; before there is one, from the trials so far."""
    record = book.last("explanation")
    shares = listing(record.payload.get("hyperparameters")) if record else []
    if not shares:
        record = book.last("scored")
        shares = hyper.importance(book.records)
    return [{**plain(entry), "record": record.id} for entry in shares] if record else []


def _interplay(
    searched: Sequence[dict[str, Any]],
    known: Sequence[dict[str, Any]],
    mattered: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Pairs of parameters of the learner that did best which act together."""
    leader = next((e["learner"] for e in known if e["score"]), None)
    done = [t for t in searched if t["learner"] == leader and t["loss"] is not None]
    names = [e["parameter"] for e in mattered if e["learner"] == leader]
    losses = np.array([t["loss"] for t in done], dtype=float)
    found = interplay([t["config"] for t in done], losses, names)
    return [{**pair, "trials": len(done), "record": done[-1]["record"]} for pair in found]


def choice(book: Book, tried: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The finalist and why it was chosen.

    Args:
        book: The records.
        tried: As `trials` gives them.

    Returns:
        ``trial``, ``learner``, ``config``, ``reason``, ``naive`` and ``confirmed`` scores,
        ``candidates``, ``calibration`` (``calibrator``, ``reason`` and ``record``, or None),
        ``threshold`` (``value``, ``promises``, ``certified``, ``reason`` and
        ``record``, or None) and ``record``; None before the choice.
    """
    record = book.last("choice")
    if record is None:
        return None
    chosen = next((t for t in tried if t["id"] == record.payload["trial"]), None)
    return {
        "trial": record.payload["trial"],
        "learner": chosen["learner"] if chosen else "",
        "config": chosen["config"] if chosen else {},
        "reason": plain(record.payload.get("reason", "")),
        "naive": [plain(replace(s, per_fold=())) for s in scores(record.payload, "naive")],
        "confirmed": [plain(replace(s, per_fold=())) for s in scores(record.payload, "confirmed")],
        "candidates": plain(record.payload.get("candidates") or []),
        "calibration": _payload(book, "calibration"),
        "threshold": _payload(book, "threshold"),
        "record": record.id,
    }


def _curve(book: Book) -> dict[str, Any] | None:
    """How the chosen configuration learnt, on each fold, thinned."""
    record = book.last("choice")
    if record is None:
        return None
    wanted = record.payload["trial"]
    folds = [(r, o) for r, o in book.learnt(wanted) if len(o.curve) > 1]
    if not folds:
        return None
    found = [
        {"fold": outcome.fold, "points": _losses(outcome.curve), "record": source.id}
        for source, outcome in folds[:5]
    ]
    return {"trial": wanted, "folds": found}


def _losses(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """Steps and losses, each loss thinned by itself; all values where none is known as a loss."""
    told = {name for p in points for name in p.values}
    names = [name for name in LOSSES if name in told] or sorted(told)
    kept: dict[int, dict[str, float]] = {}
    for name in names:
        mine = [p for p in points if name in p.values]
        shown = {id(p) for p in (*mine[:: max(1, len(mine) // CURVE_POINTS)], mine[-1])}
        for p in mine:
            if id(p) in shown:
                kept.setdefault(p.step, {})[name] = p.values[name]
    return [{"step": step, "values": plain(kept[step])} for step in sorted(kept)]

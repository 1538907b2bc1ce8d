"""Where the study stands: progress, verdict, comparison with baselines, efficiency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attain.core.errors import Exit
from attain.core.types import FindingState, Record, Role, Score, Severity, Task, VerdictState
from attain.report.book import Book, newest, plain, score_entry, scores
from attain.report.numbers import capital, finite, plural, stopped
from attain.report.searching import FAILURES

TITLES: Mapping[str, str] = {
    VerdictState.MET: "Objectives met",
    VerdictState.UNPROVEN: "Met, but not yet proven",
    VerdictState.NOT_MET: "Objectives not met",
    VerdictState.REPORTED: "Measured; no target was set",
}
_WORST_FIRST = (
    VerdictState.NOT_MET,
    VerdictState.UNPROVEN,
    VerdictState.MET,
    VerdictState.REPORTED,
)


def verdict(book: Book) -> dict[str, Any] | None:
    """What the sealed rows said, the newest look.

    Args:
        book: The records.

    Returns:
        ``state``, ``title``, ``objectives`` (worst first), ``looks``, ``confidence``, ``finalist``,
        ``digest``, ``seal``, ``scores`` (of the final model), ``baseline``, ``earlier`` (records of
        earlier looks), ``reason`` (of this look) and ``record``; None before the sealed test.
    """
    record, found = newest(book.verdicts)
    if record is None or found is None:
        return None
    objectives = [
        {
            "objective": plain(item.objective),
            "state": item.state.value,
            **plain(replace(item.score, per_fold=())),
            "shortfall": finite(item.shortfall),
            "rows_needed": item.rows_needed,
            "advice": plain(item.advice),
            "record": record.id,
        }
        for item in sorted(found.objectives, key=lambda v: _WORST_FIRST.index(v.state))
    ]
    intent = book.last("intent")
    return {
        "state": found.state.value,
        "title": TITLES[found.state],
        "objectives": objectives,
        "looks": found.looks,
        "confidence": found.confidence,
        "finalist": found.finalist,
        "digest": found.digest,
        "seal": found.seal,
        "scores": [score_entry(replace(s, per_fold=()), record) for s in scores(record.payload)],
        "baseline": [
            score_entry(replace(s, per_fold=()), record)
            for s in found.baseline or scores(record.payload, "baseline")
        ],
        "earlier": [r.id for r, _ in book.verdicts[:-1]],
        "reason": plain(intent.payload.get("reason", "")) if intent else "",
        "record": record.id,
    }


def progress(book: Book, tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far the study got.

    Args:
        book: The records.
        tried: As `searching.trials` gives them.

    Returns:
        ``state`` (``complete``, ``blocked``, ``interrupted``, ``failed`` or ``under way``),
        ``title``, ``text``, ``steps`` (``title``, ``done``, ``record``), ``exit`` and ``record``.
    """
    ended, last = book.last("ended"), book.records[-1] if book.records else None
    state = _state(book, tried, ended)
    reason = stopped(ended.payload.get("reason", "")) if ended else ""
    title, text = _progress_words(state, book, tried, reason)
    anchor = ended or last
    return {
        "state": state,
        "title": title,
        "text": plain(text),
        "steps": _steps(book, tried),
        "exit": _exit(ended),
        "record": anchor.id if anchor else None,
    }


def _exit(ended: Record | None) -> int | None:
    value = ended.payload.get("exit") if ended else None
    if isinstance(value, str):
        return Exit[value.upper()].value if value.upper() in Exit.__members__ else None
    return value if isinstance(value, int) else None


def _blockers(book: Book) -> list[str]:
    _, findings = newest(book.findings)
    return [
        f.title
        for f in findings or ()
        if f.state is FindingState.FOUND and f.severity is Severity.BLOCKER
    ]


def _state(book: Book, tried: Sequence[dict[str, Any]], ended: Record | None) -> str:
    code = _exit(ended)
    interrupted, resumed = book.last("interrupted"), book.last("resumed")
    if book.verdicts and not _look_under_way(book):
        return "complete"
    if code == Exit.AUDIT or (_blockers(book) and not tried):
        return "blocked"
    if code == Exit.INTERRUPTED or (
        interrupted and (resumed is None or resumed.id < interrupted.id)
    ):
        return "interrupted"
    return "failed" if ended else "under way"


def _look_under_way(book: Book) -> bool:
    """Whether an intent to look again has no verdict yet."""
    intent = book.last("intent")
    return intent is not None and intent.id > book.verdicts[-1][0].id


def _progress_words(
    state: str, book: Book, tried: Sequence[dict[str, Any]], reason: str
) -> tuple[str, str]:
    scored = sum(t["purpose"] == "search" and t["loss"] is not None for t in tried)
    so_far = f"{plural(scored, 'configuration')} {'was' if scored == 1 else 'were'} scored so far"
    blockers = _blockers(book)
    opened = "The seal was opened." if book.of("intent") else "The sealed rows were not looked at."
    table = {
        "complete": ("The study is complete", capital(reason)),
        "blocked": (
            "Stopped by the data audit",
            "Nothing was trained, because the audit found what would make the result worthless: "
            + "; ".join(blockers)
            + ".",
        ),
        "interrupted": (
            "Interrupted; it can go on",
            f"{so_far}. {opened} Running the same command again continues where it stopped.",
        ),
        "failed": (
            "Ended without a verdict",
            f"{reason or _why_none(tried)} {opened}".strip(),
        ),
        "under way": (
            "The study has not ended",
            f"{so_far}. {opened} This page shows what was recorded until now.",
        ),
    }
    return table[state]


def _why_none(tried: Sequence[dict[str, Any]]) -> str:
    failed = sum(t["status"] in FAILURES for t in tried)
    if failed and not any(t["loss"] is not None for t in tried):
        return f"All {plural(failed, 'trial')} failed."
    return "It ended before the sealed test."


_STEPS = (
    ("Objectives stated", "objectives"),
    ("Data read", "dataset"),
    ("Test rows sealed", "seal"),
    ("Data audited", "audit"),
    ("Parameters selected", "selection"),
    ("Strategy chosen", "strategy"),
    ("Configurations searched", "scored"),
    ("Refinement decided", "decision"),
    ("Finalist chosen", "choice"),
    ("Final model trained", "refit"),
    ("Sealed test", "verdict"),
    ("Model explained", "explanation"),
    ("Reliability measured", "reliability"),
)


def _steps(book: Book, tried: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for title, kind in _STEPS:
        record = book.last(kind)
        if kind == "scored":
            done = any(t["purpose"] == "search" and t["loss"] is not None for t in tried)
            record = record if done else None
        entry = {"title": title, "done": record is not None}
        found.append({**entry, "record": record.id if record else None})
    return found


def comparison(book: Book, tried: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Baselines against the final model, for each objective of quality.

    Args:
        book: The records.
        tried: As `searching.trials` gives them.

    Returns:
        For each metric ``metric``, ``direction``, ``target``, ``role``, ``unit``, ``low``, ``high``
        and ``points``: ``label``, ``kind`` (``baseline``, ``naive``, ``corrected``, ``confirmed``,
        ``nested``, ``baseline sealed`` or ``sealed``), the score and ``record``. Metrics measured
        at one place only are left out.
    """
    _, objectives = newest(book.objectives)
    found = []
    for objective in objectives or ():
        sealed = objective.role is Role.GOAL
        points = _points(book, tried, objective.metric, sealed=sealed)
        if len(points) > 1:
            statement = plain(objective)
            keys = ("metric", "direction", "target", "role", "unit", "low", "high")
            found.append({**{k: statement[k] for k in keys}, "points": points})
    return found


def _points(
    book: Book, tried: Sequence[dict[str, Any]], metric: str, *, sealed: bool
) -> list[dict[str, Any]]:
    _, data = newest(book.datasets)
    task = data.task if data else None
    points = [
        {"label": f"{_called(t, task)}, validation", "kind": "baseline", **t["scores"][metric]}
        | {"record": t["record"]}
        for t in tried
        if t["purpose"] == "baseline" and metric in t["scores"]
    ]
    points += _choice_points(book, tried, metric)
    record, found = newest(book.verdicts)
    if record is None or found is None:
        return points
    learners = {t["id"]: t for t in tried}
    for score in (s for s in found.baseline if s.metric == metric):
        label = f"{_called(learners.get(score.trial, {}), task)}, sealed test"
        points.append(_point(label, "baseline sealed", score, record))
    final = [s for s in scores(record.payload) if s.metric == metric]
    final = final or [v.score for v in found.objectives if v.objective.metric == metric]
    label = "Final model, sealed test" if sealed else "Final model, measured"
    return points + [_point(label, "sealed", s, record) for s in final[:1]]


def _choice_points(
    book: Book, tried: Sequence[dict[str, Any]], metric: str
) -> list[dict[str, Any]]:
    able = [t for t in tried if t["purpose"] in ("search", "baseline") and t["loss"] is not None]
    nothing: dict[str, Any] = {"id": "", "scores": {}}
    best = min(able, key=lambda t: t["loss"], default=nothing)
    record = book.last("choice")
    so_far = " so far" if record is None else ""
    points = [
        {"label": f"Best of the search{so_far}", "kind": "naive", **score}
        | {"record": best["record"]}
        for score in [best["scores"].get(metric)]
        if score is not None
    ]
    points += _corrected(book, metric)
    if record is None:
        return points
    # A cheaper one that is as good for all that can be told may have been chosen instead.
    own = record.payload["trial"] != best["id"]
    same = "Chosen" if own else "The same"
    chosen = [("naive", "Chosen, in the search")] if own else []
    for kind, label in (*chosen, ("confirmed", f"{same}, confirmed on fresh folds")):
        seen = [s for s in scores(record.payload, kind) if s.metric == metric]
        points += [_point(label, kind, s, record) for s in seen[:1]]
    return [*points, *_nested(book, metric)]


def _nested(book: Book, metric: str) -> list[dict[str, Any]]:
    """What the search, repeated without the rows of each outer fold, scored on these rows."""
    record = book.last("nested")
    if record is None:
        return []
    label = "The search repeated, on rows left out"
    found = [s for s in scores(record.payload) if s.metric == metric]
    return [_point(label, "nested", s, record) for s in found[:1]]


def _corrected(book: Book, metric: str) -> list[dict[str, Any]]:
    """What the search itself led to expect, the luck of its best taken out."""
    record = book.last("expected")
    if record is None:
        return []
    label = "Expected after selection"
    found = [s for s in scores(record.payload) if s.metric == metric]
    return [_point(label, "corrected", s, record) for s in found[:1]]


def _called(trial: Mapping[str, Any], task: Task | None) -> str:
    """A baseline's name for people."""
    learner = trial.get("learner", "baseline")
    if learner == "baseline":
        return "Each word's usual label" if task is Task.TAGGING else "Constant guess"
    return f"Plain {str(learner).replace('_', ' ')}"


def _point(label: str, kind: str, score: Score, record: Record) -> dict[str, Any]:
    return {"label": label, "kind": kind, **score_entry(replace(score, per_fold=()), record)}


_EFFICIENCY = (
    ("Latency of one prediction, median", "latency_p50_ms"),
    ("Latency of one prediction, 95th percentile", "latency_p95_ms"),
    ("Latency of one prediction, 99th percentile", "latency_p99_ms"),
    ("Throughput", "throughput_rows_per_s"),
    ("Size of the saved model", "size_mb"),
    ("Training time of the final model", "training_seconds"),
    ("Peak memory while training", "peak_memory_mb"),
)


def efficiency(book: Book, tried: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the final model costs to train, keep and ask.

    Args:
        book: The records.
        tried: As `searching.trials` gives them.

    Returns:
        ``label``, ``metric``, the score's fields (None when not measured; never 0) and ``record``.
    """
    record, found = newest(book.verdicts)
    measured: dict[str, tuple[Score, Record]] = {}
    if record is not None and found is not None:
        every = [*(v.score for v in found.objectives), *scores(record.payload)]
        measured = {s.metric: (s, record) for s in every}
    entries = []
    for label, metric in _EFFICIENCY:
        empty = dict.fromkeys(("estimate", "low", "high", "n", "unit", "method", "record"))
        if metric in measured:
            entry = score_entry(replace(measured[metric][0], per_fold=()), measured[metric][1])
        else:
            entry = _fallback(book, tried, metric)
        entries.append({**empty, **entry, "label": label, "metric": metric})
    return entries


def _fallback(book: Book, tried: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """What refit and outcomes say of a metric that has no score."""
    refit, chosen = book.last("refit"), book.last("choice")
    if metric == "size_mb" and refit and finite(refit.payload.get("size_bytes")):
        return _single(refit.payload["size_bytes"] / 1e6, "MB", refit.id)
    if metric == "training_seconds" and refit and finite(refit.payload.get("seconds")):
        return _single(refit.payload["seconds"], "s", refit.id)
    if metric == "peak_memory_mb" and chosen:
        trial = next((t for t in tried if t["id"] == chosen.payload["trial"]), None)
        if trial and trial["peak_bytes"]:
            return _single(trial["peak_bytes"] / 1e6, "MB", trial["record"])
    return {}


def _single(value: float, unit: str, record: int) -> dict[str, Any]:
    return {"estimate": value, "unit": unit, "method": "a single measurement", "record": record}

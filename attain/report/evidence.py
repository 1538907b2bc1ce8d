"""Everything that outputs show, collected once from the ledger; each number knows its record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attain.core.types import Dataset, FindingState, Record, Severity
from attain.report.advice import next_steps
from attain.report.answers import answers
from attain.report.book import Book, newest, plain
from attain.report.numbers import finite
from attain.report.reliability import reliability
from attain.report.searching import search, trials
from attain.report.standing import comparison, efficiency, progress, verdict
from attain.report.story import decisions, reproduce, revision
from attain.report.tags import tags

FORMAT = "attain-evidence"
VERSION = 1
MOST_BYTES = 1_200_000  # of the evidence as JSON, so that a page with it stays below 3 MB

_SEVERITY = (Severity.BLOCKER, Severity.ISSUE, Severity.TIP)
_STATE = (
    FindingState.FOUND,
    FindingState.SKIPPED,
    FindingState.PASSED,
    FindingState.NOT_APPLICABLE,
)


def collect(records: Iterable[Record]) -> dict[str, Any]:
    """Read a ledger into what report, model card and terminal show.

    Works for studies that were interrupted, blocked by the audit, or are still under way: what has
    not been recorded is None or empty, and ``progress`` says how far the study got.

    Args:
        records: The ledger's records, oldest first.

    Returns:
        JSON values (no NaN, no infinities) under ``format``, ``version``, ``study``, ``progress``,
        ``objectives``, ``verdict``, ``next``, ``comparison``, ``data``, ``search``, ``model``,
        ``reliability``, ``efficiency``, ``decisions``, ``reproduce`` and ``shortened`` (lists that
        were cut to keep the page small, with the number left out). Each mapping with numbers has
        the id of its record under ``record``.
    """
    book = Book(records)
    tried = trials(book)
    evidence: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "study": _study(book),
        "progress": progress(book, tried),
        "objectives": _objectives(book),
        "verdict": verdict(book),
        "next": [],
        "comparison": comparison(book, tried),
        "data": _data(book),
        "search": search(book, tried),
        "model": _model(book),
        "answers": answers(book),
        "tags": tags(book),
        "reliability": reliability(book),
        "efficiency": efficiency(book, tried),
        "decisions": decisions(book),
        "reproduce": reproduce(book),
        "shortened": [],
    }
    evidence["next"] = next_steps(book, evidence)
    return _within_budget(evidence)


def _study(book: Book) -> dict[str, Any]:
    _, data = newest(book.datasets)
    study, ended = book.last("study"), book.last("ended")
    spec: Mapping[str, Any] = (study.payload.get("spec") or {}) if study else {}
    first, last = (book.records[0], book.records[-1]) if book.records else (None, None)
    took = finite(ended.payload.get("seconds")) if ended else None
    address = data.address if data else str(spec.get("data") or "")
    return {
        "name": plain(address.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or "study"),
        "address": plain(address),
        "target": plain(data.target if data else spec.get("target")),
        "task": data.task.value if data else spec.get("task"),
        "began": first.at if first else None,
        "last": last.at if last else None,
        "seconds": took if took is not None or not last or not first else last.at - first.at,
        "version": study.payload.get("version") if study else None,
        "license": plain(spec.get("license")) if spec.get("license") else None,
        "record": study.id if study else None,
    }


def _objectives(book: Book) -> dict[str, Any]:
    record, objectives = newest(book.objectives)
    return {
        "items": [plain(o) for o in objectives or ()],
        "reason": plain(record.payload.get("reason", "")) if record else "",
        "revision": revision(book),
        "record": record.id if record else None,
    }


def _data(book: Book) -> dict[str, Any]:
    record, data = newest(book.datasets)
    seal, audit, feasibility = book.last("seal"), book.last("audit"), book.last("feasibility")
    return {
        **_described(data, record),
        "seal": _seal(seal),
        "findings": _findings(book),
        "audit_seconds": finite(audit.payload.get("seconds")) if audit else None,
        "feasibility": [
            {**plain(item), "record": feasibility.id} for item in feasibility.payload["items"]
        ]
        if feasibility
        else [],
    }


def _described(data: Dataset | None, record: Record | None) -> dict[str, Any]:
    if data is None or record is None:
        return {"rows": None, "columns": [], "classes": [], "record": None}
    return {
        "rows": data.rows,
        "target": plain(data.target),
        "task": data.task.value,
        "task_reason": plain(data.task_reason),
        "columns": [plain(column) for column in data.columns],
        "features": len(data.features),
        "classes": [
            {"label": plain(label), "rows": rows}
            for label, rows in zip(data.classes, data.class_counts, strict=False)
        ],
        "groups": plain(data.groups),
        "time": plain(data.time),
        "fingerprint": data.fingerprint,
        "record": record.id,
    }


def _seal(record: Record | None) -> dict[str, Any] | None:
    """What is known of the sealed rows; where they lie is nobody's business."""
    if record is None:
        return None
    seal = {k: v for k, v in record.payload["seal"].items() if k != "path"}
    return {**plain(seal), "record": record.id}


def _findings(book: Book) -> list[dict[str, Any]]:
    """Found first, the gravest first; then what was skipped, passed, or does not apply."""
    record, findings = newest(book.findings)
    if record is None or findings is None:
        return []
    ordered = sorted(
        findings, key=lambda f: (_STATE.index(f.state), _SEVERITY.index(f.severity), f.code)
    )
    return [{**plain(f), "record": record.id} for f in ordered]


_MODEL_PARTS = (
    "metric", "rows", "notes", "withheld", "failed", "importance", "partial_dependence", "errors",
    "words", "pictures", "cells", "confusion", "per_class", "calibration", "curves", "residuals",
    "cases", "surrogate",
)  # fmt: skip


def _model(book: Book) -> dict[str, Any] | None:
    """What was found out about the final model."""
    record = book.last("explanation")
    if record is None:
        return None
    empty: dict[str, Any] = dict.fromkeys(_MODEL_PARTS)
    empty |= {
        "notes": [],
        "withheld": "",
        "failed": "",
        "importance": [],
        "partial_dependence": [],
        "errors": [],
        "cases": [],
    }
    known = {k: v for k, v in record.payload.items() if k in _MODEL_PARTS and v is not None}
    return {**empty, **plain(known), "record": record.id}


# What may be cut when the evidence grows too large, the least missed first, and what is kept.
_CUTS: tuple[tuple[tuple[str, ...], str, int], ...] = (
    (("search", "trials"), "trials", 200),
    (("data", "columns"), "columns", 100),
    (("data", "findings"), "findings", 60),
    (("search", "failures"), "kinds of failure", 40),
    (("search", "selection", "space"), "parameters of the space", 100),
    (("search", "selection", "parameters"), "parameters", 100),
    (("decisions",), "decisions", 200),
    (("model", "importance"), "importances", 100),
    (("model", "words", "texts"), "texts", 6),
    (("model", "pictures", "singles"), "files", 6),
    (("model", "cells", "singles"), "single rows", 6),
    (("model", "cases"), "mistakes seen closely", 2),
    (("model", "per_class"), "classes", 60),
    (("data", "classes"), "class counts", 60),
)


def _within_budget(evidence: dict[str, Any]) -> dict[str, Any]:
    """Cut the longest lists until the evidence fits, saying what was left out."""
    size = _bytes(evidence)
    for path, what, floor in _CUTS:
        if size <= MOST_BYTES:
            break
        holder: Any = evidence
        for key in path[:-1]:
            holder = holder.get(key) or {}
        items = holder.get(path[-1]) or []
        if len(items) <= floor:
            continue
        before = _bytes(items)
        keep = max(floor, len(items) - int((size - MOST_BYTES) * len(items) / before) - 1)
        holder[path[-1]] = _kept(path[-1], items, keep)
        size -= before - _bytes(holder[path[-1]])
        evidence["shortened"].append({"what": what, "shown": keep, "total": len(items)})
    return evidence


def _kept(name: str, items: list[Any], keep: int) -> list[Any]:
    """The first of anything; of trials the better half and others evenly, in their order."""
    if name != "trials":
        return items[:keep]
    first = sorted(
        range(len(items)),
        key=lambda i: (
            items[i]["purpose"] == "search",
            float("inf") if items[i]["loss"] is None else items[i]["loss"],
        ),
    )
    half = (keep + 1) // 2
    rest = first[half:]
    step = max(1.0, len(rest) / max(1, keep - half))
    others = [rest[int(i * step)] for i in range(min(keep - half, len(rest)))]
    return [items[i] for i in sorted([*first[:half], *others])]


def _bytes(value: Any) -> int:
    """Bytes as JSON within a page, where each character of markup takes six."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return len(text.encode()) + 5 * sum(text.count(character) for character in "<>&")

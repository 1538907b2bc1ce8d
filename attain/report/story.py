"""The decision log: one sentence for each choice that was made, with the record it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attain.core.codec import decode
from attain.core.types import (
    Dataset,
    Decision,
    Finding,
    FindingState,
    Forecast,
    Objective,
    Record,
    Split,
    Verdict,
)
from attain.report import numbers
from attain.report.book import Book, listing, plain, scores
from attain.report.standing import TITLES

Teller = Callable[[Mapping[str, Any]], tuple[str, str]]


def decisions(book: Book) -> list[dict[str, Any]]:
    """The story of the study, oldest first.

    Args:
        book: The records.

    Returns:
        ``title``, ``text`` (one sentence or two), ``step``, ``at`` (seconds since the epoch) and
        ``record``.
    """
    found = []
    for record in book.records:
        teller = _TELLERS.get(record.kind)
        if teller is not None:
            title, text = teller(record.payload)
            found.append(
                {
                    "title": title,
                    "text": plain(numbers.sentence(text)),
                    "step": record.step,
                    "at": record.at,
                    "record": record.id,
                }
            )
    return found


def _because(said: str, reason: Any) -> str:
    """A statement and its reason, when there is one."""
    reason = str(reason or "").strip().rstrip(".")
    return f"{said}: {reason}." if reason else f"{said}."


def _objectives(payload: Mapping[str, Any]) -> tuple[str, str]:
    stated = decode(tuple[Objective, ...], payload["objectives"])
    goals = numbers.listed([numbers.goal(plain(o)) for o in stated])
    return "Objectives", _because(goals, payload.get("reason"))


def _dataset(payload: Mapping[str, Any]) -> tuple[str, str]:
    data = decode(Dataset, payload["dataset"])
    said = f"Predict {data.target} as a {data.task.value} task"
    return "Task", _because(said, data.task_reason)


def _seal(payload: Mapping[str, Any]) -> tuple[str, str]:
    seal = payload["seal"]
    overlap = seal.get("overlap") or 0
    also = f" {overlap:,} of them also occur among the other rows." if overlap else ""
    rows = numbers.plural(int(seal["rows"]), "row")
    return "Sealed test", _because(f"{rows} set aside", seal.get("rule")) + also


def _audit(payload: Mapping[str, Any]) -> tuple[str, str]:
    findings = decode(tuple[Finding, ...], payload["findings"])
    hits = [f for f in findings if f.state is FindingState.FOUND]
    worst = numbers.listed([f"{f.title} ({f.severity.value})" for f in hits])
    counted = numbers.plural(len(findings), "check")
    return "Data audit", f"{counted} answered; " + (f"found: {worst}." if hits else "none found.")


def _feasibility(payload: Mapping[str, Any]) -> tuple[str, str]:
    return "Can it be shown?", "; ".join(str(i.get("text", "")) for i in listing(payload["items"]))


def _split(payload: Mapping[str, Any]) -> tuple[str, str]:
    split = decode(Split, payload["split"])
    how = "hold-out" if split.folds == 1 else f"{split.folds} folds"
    again = f", drawn {split.repeats} times" if split.repeats > 1 else ""
    return "Validation", _because(f"{split.kind.value}, {how}{again}", split.reason)


def _selection(payload: Mapping[str, Any]) -> tuple[str, str]:
    learners = [dict(c) for c in listing(payload.get("learners"))]
    used = [str(c["name"]) for c in learners if c["used"]]
    left = [f"{c['name']} ({c['reason']})" for c in learners if not c["used"]]
    tuned = sum(bool(c.get("used")) for c in listing(payload.get("parameters")))
    out = f" Left out: {numbers.listed(left)}." if left else ""
    count = numbers.plural(tuned, "parameter")
    return "Learners and parameters", f"{numbers.listed(used)} with {count} tuned.{out}"


def _forecast(payload: Mapping[str, Any]) -> tuple[str, str]:
    found = decode(dict[str, Forecast], payload["forecasts"])
    said = [f"{name}: {'; '.join(map(str, f.rungs))}" for name, f in found.items()]
    said += [f"{name} could not say ({why})" for name, why in payload["failed"].items()]
    return "What fits will cost", f"{'. '.join(said)}; found out in {_took(payload)}."


def _took(payload: Mapping[str, Any]) -> str:
    return numbers.seconds(payload.get("seconds"))


def _strategy(payload: Mapping[str, Any]) -> tuple[str, str]:
    return "Strategy", _because(str(payload["name"]), payload.get("reason"))


def _expected(payload: Mapping[str, Any]) -> tuple[str, str]:
    each = numbers.listed(
        [
            f"{numbers.words(s['metric'])} {numbers.with_interval(dict(s))}"
            for s in payload["scores"]
        ]
    )
    count = numbers.plural(int(payload["configurations"]), "configuration")
    said = f"Of the best of {count} new rows can be expected to say {each}"
    return "Expected after selection", f"{said}, the luck of having been selected taken out."


def _decision(payload: Mapping[str, Any]) -> tuple[str, str]:
    decision = decode(Decision, payload["decision"])
    number = payload.get("round")
    after = f"After round {number}: " if number is not None else ""
    changes = f" {'; '.join(decision.changes)}." if decision.changes else ""
    return f"{after}{decision.kind.value}", decision.reason.rstrip(".") + "." + changes


def _finalists(payload: Mapping[str, Any]) -> tuple[str, str]:
    names = numbers.listed([str(t) for t in listing(payload.get("trials"))])
    return "Finalists", _because(names, payload.get("reason"))


def _choice(payload: Mapping[str, Any]) -> tuple[str, str]:
    return "Choice", _because(str(payload["trial"]), payload.get("reason"))


def _nested(payload: Mapping[str, Any]) -> tuple[str, str]:
    title = "Nested cross-validation"
    if payload.get("failed"):
        return title, f"Not done: {payload['failed']}."
    each = [numbers.with_interval(plain(s)) for s in scores(payload)]
    names = [numbers.words(s.metric) for s in scores(payload)]
    said = ", ".join(f"{name} {value}" for name, value in zip(names, each, strict=True))
    fewest, wanted = min(payload["trials"]), payload["wanted"]
    tried = numbers.plural(wanted, "configuration")
    if fewest < wanted:
        tried = f"{fewest} of {tried} at least, for the time was up"
    return title, f"The search repeated in {payload['folds']} outer folds ({tried}): {said}."


def _refit(payload: Mapping[str, Any]) -> tuple[str, str]:
    rows, took = payload.get("rows"), numbers.seconds(payload.get("seconds"))
    on = f" on {numbers.plural(rows, 'row')}" if isinstance(rows, int) else ""
    digest = str(payload.get("digest", ""))[:12]
    return "Final model", f"Trained{on} in {took} and frozen as {digest}."


def _intent(payload: Mapping[str, Any]) -> tuple[str, str]:
    look = int(payload.get("look", 1))
    said = f"Look {look} at the sealed rows announced before the first was read"
    return "Opening the seal", _because(said, payload.get("reason"))


def _verdict(payload: Mapping[str, Any]) -> tuple[str, str]:
    verdict = decode(Verdict, payload["verdict"])
    each = [
        f"{numbers.goal(plain(v.objective))}: {v.state.value}, "
        f"{numbers.with_interval(plain(v.score))}"
        for v in verdict.objectives
    ]
    return TITLES[verdict.state], "; ".join(each)


def _reliability(payload: Mapping[str, Any]) -> tuple[str, str]:
    slices = (payload.get("slices") or {}).get("slices") or ()
    weak = len({s["words"] for s in slices if s["confirmed"]})
    tried = (payload.get("perturbations") or {}).get("entries") or ()
    brittle = len({e["column"] for e in tried if e["brittle"]})
    binds = numbers.listed([str(limit["limit"]) for limit in listing(payload.get("limits"))])
    said = f"{numbers.plural(weak, 'weak slice')} confirmed, {numbers.plural(brittle, 'column')}"
    said += " brittle" + (f"; what binds: {binds}" if binds else "")
    return "How far to trust it", f"{said}; took {numbers.seconds(payload.get('seconds'))}."


def _request(payload: Mapping[str, Any]) -> tuple[str, str]:
    asked = str(payload["action"])
    return f"Asked by hand: {asked}", ("" if payload["done"] else "not done: ") + payload["reason"]


def _optimizer(payload: Mapping[str, Any]) -> tuple[str, str]:
    count = numbers.plural(len(payload["space"]["parameters"]), "parameter")
    return "Goals", f"{numbers.listed([str(g) for g in payload['goals']])}, over {count}"


def _chosen(payload: Mapping[str, Any]) -> tuple[str, str]:
    return "Strategy", _because(str(payload["strategy"]), payload.get("reason"))


def _ended(payload: Mapping[str, Any]) -> tuple[str, str]:
    reason = str(payload.get("reason") or "")
    if reason in numbers.STOPS:
        return "End", f"The search ended because {numbers.stopped(reason)}; the study is complete."
    return "End", reason or "The study is complete"


def _reason(title: str) -> Teller:
    return lambda payload: (title, str(payload.get("reason") or title))


_TELLERS: Mapping[str, Teller] = {
    "objectives": _objectives,
    "dataset": _dataset,
    "seal": _seal,
    "audit": _audit,
    "feasibility": _feasibility,
    "split": _split,
    "forecast": _forecast,
    "selection": _selection,
    "strategy": _strategy,
    "expected": _expected,
    "decision": _decision,
    "finalists": _finalists,
    "choice": _choice,
    "nested": _nested,
    "calibration": _reason("Calibration"),
    "threshold": _reason("Decision threshold"),
    "refit": _refit,
    "intent": _intent,
    "verdict": _verdict,
    "reliability": _reliability,
    "request": _request,
    "optimizer": _optimizer,
    "chosen": _chosen,
    "checked": _reason("The earlier study"),
    "interrupted": _reason("Interrupted"),
    "resumed": _reason("Resumed"),
    "ended": _ended,
}


def revision(book: Book) -> dict[str, Any] | None:
    """Objectives that differ from those in force when the seal was made.

    Args:
        book: The records.

    Returns:
        ``sealed`` and ``now`` (statements) and ``record``; None when nothing was changed.
    """
    seal = book.last("seal")
    if seal is None or not book.objectives:
        return None
    record, objectives = book.objectives[-1]
    sealed = [str(s) for s in seal.payload["seal"].get("objectives") or ()]
    now = [str(o) for o in objectives]
    if not sealed or sorted(sealed) == sorted(now):
        return None
    return {"sealed": plain(sealed), "now": plain(now), "record": record.id}


def reproduce(book: Book) -> dict[str, Any]:
    """What somebody else needs to get the same numbers.

    Args:
        book: The records.

    Returns:
        ``command``, ``spec`` (the study file), ``seed``, ``version``, ``environment``,
        ``fingerprints`` (``name``, ``value``, ``record``), ``resumed`` (times) and ``record``.
    """
    study = book.last("study")
    payload: Mapping[str, Any] = study.payload if study else {}
    spec = {k: v for k, v in (payload.get("spec") or {}).items() if v not in (None, [], "", {})}
    marks: list[tuple[str, Record | None, Any]] = [
        ("Unsealed rows", r := book.last("dataset"), r and r.payload["dataset"].get("fingerprint")),
        ("Sealed rows", r := book.last("seal"), r and r.payload["seal"].get("fingerprint")),
        ("Sealed file", r, r and r.payload["seal"].get("digest")),
        ("Final model", r := book.last("refit"), r and r.payload.get("digest")),
    ]
    return {
        "command": "attain run attain.yaml",
        "spec": plain(spec),
        "seed": spec.get("seed"),
        "version": payload.get("version"),
        "environment": plain(payload.get("environment") or {}),
        "fingerprints": [
            {"name": name, "value": plain(value), "record": record.id}
            for name, record, value in marks
            if record is not None and value
        ],
        "resumed": len(book.of("resumed")),
        "records": len(book.records),
        "record": study.id if study else None,
    }

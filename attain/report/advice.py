"""What to do next, from what was recorded; ranked, without promises nobody measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attain.core.types import FindingState, Severity
from attain.report import numbers
from attain.report.book import Book, listing, newest, plain
from attain.report.searching import FAILURES

MOST = 8
_STOPS: Mapping[str, tuple[str, str]] = {
    "budget": (
        "Give the search more budget",
        "It ended because the budget was used up, not because it had run dry.",
    ),
    "unlikely": (
        "Change the data or the target rather than the budget",
        "The search ended because more of the same trials were unlikely to reach the target.",
    ),
    "exhausted": (
        "Widen what is searched",
        "Every configuration of the space was tried; allow more learners or wider ranges.",
    ),
}


def next_steps(book: Book, evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Levers in the order in which they should be pulled.

    Args:
        book: The records.
        evidence: With ``progress``, ``verdict``, ``comparison``, ``data``, ``search`` and
            ``reliability`` filled in.

    Returns:
        At most eight mappings with ``rank``, ``title``, ``text`` and ``records``.
    """
    steps = [
        *_unblock(book),
        *_continue(evidence),
        *_verdict(evidence),
        *_reliability(evidence, "limit"),
        *_surprise(evidence),
        *_simpler(evidence),
        *_reliability(evidence, "slice", "fails", "seed_spread"),
        *_diagnoses(evidence),
        *_stop(evidence),
        *_undecidable(book, evidence),
        *_failures(evidence),
        *_findings(book),
        *_reliability(evidence, "brittle"),
        *_use(evidence),
    ]
    unique = list({step["title"]: step for step in reversed(steps)}.values())[::-1][:MOST]
    return [{"rank": rank, **plain(step)} for rank, step in enumerate(unique, 1)]


def _step(title: str, text: str, *records: int | None) -> dict[str, Any]:
    return {"title": title, "text": text, "records": [r for r in records if r is not None]}


def _of_severity(book: Book, *severities: Severity) -> Iterable[dict[str, Any]]:
    record, findings = newest(book.findings)
    for finding in findings or ():
        if record and finding.state is FindingState.FOUND and finding.severity in severities:
            remedy = finding.remedy or "See the check's section in the guide."
            title = f"{finding.title} ({finding.code})"
            text = f"{_sentence(finding.explanation)} {_sentence(remedy)}"
            yield _step(f"Look into the data: {title}", text, record.id)


def _sentence(clause: str) -> str:
    """A clause as findings hold it, as a sentence."""
    return clause[:1].upper() + clause[1:] + ("" if clause.endswith((".", "?", "!")) else ".")


def _unblock(book: Book) -> Iterable[dict[str, Any]]:
    return _of_severity(book, Severity.BLOCKER)


def _continue(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    progress = evidence["progress"]
    if progress["state"] == "interrupted":
        text = "The same command goes on from the last finished trial; nothing is repeated."
        yield _step("Run the same command again", text, progress["record"])


def _verdict(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    found = evidence["verdict"]
    for item in found["objectives"] if found else ():
        goal = numbers.goal(item["objective"])
        if item["state"] == "not met":
            text = f"{_gap(item)} {numbers.sentence(item['advice'])}".strip()
            yield _step(f"Close the gap: {goal}", text, item["record"])
        elif item["state"] == "met, unproven":
            yield _step(f"Prove it: {goal}", _proof(item), item["record"])


def _gap(item: Mapping[str, Any]) -> str:
    if item["shortfall"] is None:
        return ""
    # A gap deserves as many digits as the interval of the estimate.
    short = numbers.estimate({**item, "estimate": item["shortfall"]})
    return f"The estimate is short of the target by {short}."


def _proof(item: Mapping[str, Any]) -> str:
    needed, advice = item["rows_needed"], item["advice"]
    if not advice and needed is not None:
        advice = f"about {needed:,} test rows would settle it if the estimate holds"
    text = f"The estimate clears the target, its interval does not. {numbers.sentence(advice)}"
    if item["objective"].get("role") == "goal":
        text += " A second look at the same rows would not settle it: collect new ones."
    return text


def _surprise(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A sealed test that lies outside of what validation led to expect, in either direction."""
    for metric in evidence["comparison"]:
        points = {point["kind"]: point for point in metric["points"]}
        expected, tested = points.get("confirmed"), points.get("sealed")
        if not expected or not tested or metric["role"] != "goal" or _overlap(expected, tested):
            continue
        text = (
            f"On fresh folds the final model scores {numbers.with_interval(expected)}, on the "
            f"sealed rows {numbers.with_interval(tested)}; the intervals do not even touch. The "
            "sealed rows seem unlike the others: compare where they come from, and expect new "
            "rows to lie anywhere between the two."
        )
        name = numbers.words(metric["metric"])
        title = f"Find out why the test differs from validation: {name}"
        yield _step(title, text, expected["record"], tested["record"])


def _simpler(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A baseline that does at least as well on the sealed rows as the final model."""
    if _is_baseline(evidence):
        return
    for metric in evidence["comparison"]:
        tested = [p for p in metric["points"] if p["kind"] == "sealed"]
        simple = [p for p in metric["points"] if p["kind"] == "baseline sealed"]
        if metric["role"] != "goal" or not tested or not simple:
            continue
        best = (max if metric["direction"] == "maximize" else min)(
            simple, key=lambda p: p["estimate"]
        )
        if not _no_worse(best, tested[0], metric["direction"]):
            continue
        name = best["label"].partition(",")[0].lower()
        name += " model" if name.startswith("plain") else ""
        text = (
            f"On the sealed rows the {name} scores {numbers.with_interval(best)}, the final model "
            f"{numbers.with_interval(tested[0])}. Validation preferred the final model, but where "
            "a simpler one tests no worse, it is the safer choice until more rows say otherwise."
        )
        title = f"Consider the simpler model: {numbers.words(metric['metric'])}"
        yield _step(title, text, best["record"])


def _is_baseline(evidence: Mapping[str, Any]) -> bool:
    """Whether the final model is itself one of the simple ones."""
    chosen = (evidence["search"]["choice"] or {}).get("trial")
    simple = [t["id"] for t in evidence["search"]["trials"] if t["purpose"] == "baseline"]
    return chosen in simple


def _no_worse(a: Mapping[str, Any], b: Mapping[str, Any], direction: str) -> bool:
    gain = a["estimate"] - b["estimate"]
    return bool(gain >= 0 if direction == "maximize" else gain <= 0)


def _overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two intervals share a value; an unknown end may lie anywhere."""
    ends = [numbers.finite(score[key]) for score in (a, b) for key in ("low", "high")]
    if any(end is None for end in ends):
        return True
    return bool(b["low"] <= a["high"] and a["low"] <= b["high"])


def _reliability(evidence: Mapping[str, Any], *codes: str) -> Iterable[dict[str, Any]]:
    """What was found wrong when the result was put to the test, and which limit binds."""
    found = evidence["reliability"]
    for warning in found["warnings"] if found else ():
        if warning["code"] in codes:
            yield _step(warning["title"], warning["text"], found["record"])


def _diagnoses(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """What the last round found wrong; of no interest once everything is met."""
    rounds = evidence["search"]["rounds"]
    if not rounds or _met(evidence):
        return
    for diagnosis in rounds[-1]["diagnoses"]:
        if diagnosis["code"] == rounds[-1]["stop"]:  # told by `_stop`
            continue
        about = numbers.listed(diagnosis["parameters"])
        title = f"Act on the diagnosis {diagnosis['code'].replace('_', ' ')}"
        text = numbers.sentence(diagnosis["explanation"])
        text += f" Parameters concerned: {about}." if about else ""
        yield _step(title, text, rounds[-1]["record"])


def _stop(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    rounds = evidence["search"]["rounds"]
    binds = (evidence["reliability"] or {}).get("limits") or ()
    if binds and all(limit["limit"] != "time" for limit in binds):
        return  # what was measured says that more of the same would not help
    if rounds and not _met(evidence) and rounds[-1]["stop"] in _STOPS:
        title, text = _STOPS[rounds[-1]["stop"]]
        yield _step(title, f"{text} {_late_gain(evidence)}".strip(), rounds[-1]["record"])


def _late_gain(evidence: Mapping[str, Any]) -> str:
    """Whether the best was still moving in the last quarter of the search."""
    search = evidence["search"]
    total = sum(t["purpose"] == "search" for t in search["trials"])
    if total < 8 or not search["incumbent"]:
        return ""
    last = search["incumbent"][-1]["position"]
    if last > 0.75 * total:
        return f"The best was still improving: it was found at trial {last:,} of {total:,}."
    return f"The best has not improved since trial {last:,} of {total:,}, so expect little."


def _undecidable(book: Book, evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Objectives that the sealed rows could not decide from the start."""
    record = book.last("feasibility")
    if record is None or _met(evidence):
        return
    for item in listing(record.payload.get("items")):
        if item.get("state") == "undecidable":
            yield _step("Set more rows aside for the test", str(item.get("text", "")), record.id)


def _failures(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    tried: Sequence[Mapping[str, Any]] = evidence["search"]["trials"]
    failed = [t for t in tried if t["status"] in FAILURES]
    if failed and len(failed) >= 0.2 * len(tried):
        common = evidence["search"]["failures"][0]
        text = (
            f"{len(failed):,} of {len(tried):,} trials failed; the most frequent reason, with "
            f"{common['learner']}: {common['message'] or common['status']}"
        )
        yield _step("Find out why trials fail", text, *common["records"][:3])


def _findings(book: Book) -> Iterable[dict[str, Any]]:
    return _of_severity(book, Severity.ISSUE)


def _use(evidence: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if _met(evidence):
        text = (
            "Predict with the saved model, and watch its quality on new rows: the test says how "
            "well it does on rows like those that were set aside, not on others."
        )
        yield _step("Use the model", text, evidence["verdict"]["record"])


def _met(evidence: Mapping[str, Any]) -> bool:
    found = evidence["verdict"]
    return bool(found) and found["state"] in ("met", "reported")

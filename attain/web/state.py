"""The overview: one JSON object that says where a study stands, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attain.core.types import Objective
from attain.report import numbers
from attain.report.book import plain
from attain.report.numbers import finite, plural
from attain.report.steps import STEPS, Step
from attain.web import acts, series
from attain.web.index import Entry, Index, Payload
from attain.web.pulse import Pulse
from attain.web.table import settings

MOST_RUNNING, MOST_STORIES, MOST_ALERTS = 16, 12, 8
_GRAVE = {"blocker": "bad", "issue": "warn"}


FUNCTION_STEPS = (
    Step("1", "objectives", "optimizer", "optimizer"),
    Step("2", "parameters", "optimizer", "optimizer"),
    Step("3", "strategy", "optimizer", "chosen"),
    Step("4", "trials", "chosen", "ended"),
)
"""Of a function there are neither data nor a model."""


def overview(index: Index, pulse: Pulse, live: Mapping[str, Any], total: int) -> dict[str, Any]:
    """Everything on the first page but the charts.

    Args:
        index: The study.
        pulse: Of its run.
        live: What the run is doing, as `runtime.live.read_live` gives it.
        total: Id of the newest record, which may not have been read yet.

    Returns:
        Plain JSON values.
    """
    return {
        "title": title(index),
        "pulse": {"state": pulse.state, "text": pulse.text, "beat": pulse.beat or None},
        "verdict": _verdict(index),
        "steps": [_step(index, step) for step in (FUNCTION_STEPS if index.function else STEPS)],
        "goals": [_goal(index, objective) for objective in series.objectives(index)],
        "spent": spent(index, pulse),
        "running": [_running(e, live["curves"]) for e in _under_way(index)],
        "space": index.function.parameters if index.function else [],
        "waiting": max(len(index.open) - MOST_RUNNING, 0),
        "doing": plain(live["doing"]) if pulse.running else "",
        "decisions": index.stories()[::-1][:MOST_STORIES],
        "alerts": alerts(index, pulse)[:MOST_ALERTS],
        "actions": acts.offered(index, pulse),
        "answers": [_answer(r) for r in list(index.requests.values())[-5:]],
        "read": {"records": index.last, "total": max(total, index.last)},
        "counts": {
            "trials": len(index.order),
            "scored": index.searched,
            "failed": sum(index.failures.values()),
        },
        "metrics": [[o.metric, numbers.words(o.metric), o.unit] for o in _columns(index)],
    }


def _columns(index: Index) -> list[Objective]:
    """An objective for each column of scores."""
    return list({o.metric: o for o in series.objectives(index)}.values())


def title(index: Index) -> str:
    """What is predicted from what, or what is asked of a function."""
    if index.function is not None:
        return numbers.capital(str(plain(index.function.title)))
    spec = index.payload("study").get("spec") or {}
    return str(plain(f"{spec.get('target', '')} from {spec['data']}")) if spec.get("data") else ""


def _under_way(index: Index) -> list[Entry]:
    return list(index.open.values())[:MOST_RUNNING]


def _step(index: Index, step: Step) -> dict[str, str]:
    begun, done = step.begins in index.kinds, step.ends in index.kinds
    over = "ended" in index.kinds
    state = "done" if done else "active" if begun and not over else "waiting"
    return {"number": step.number, "name": step.name, "state": state, "fact": fact(index, step)}


def fact(index: Index, step: Step) -> str:
    """What a step's line says."""
    find = _FACTS.get(step.name)
    return str(plain(find(index))) if find else ""


def _objectives(index: Index) -> str:
    return numbers.listed([numbers.goal(plain(o)) for o in series.objectives(index)])


def _data(index: Index) -> str:
    data = index.payload("dataset").get("dataset")
    if not data:
        return ""
    sealed = (index.payload("seal").get("seal") or {}).get("rows")
    kept = f", {plural(int(sealed), 'row')} sealed" if sealed else ""
    return f"{plural(int(data['rows']), 'row')}, {data['task']}{kept}"


def _parameters(index: Index) -> str:
    chosen = index.payload("selection")
    if index.function is not None:
        return plural(len(index.function.space["parameters"]), "parameter")
    if not chosen:
        return ""
    learners = [str(c["name"]) for c in chosen.get("learners") or () if c["used"]]
    tuned = sum(bool(c["used"]) for c in chosen.get("parameters") or ())
    return f"{plural(tuned, 'parameter')} of {numbers.listed(learners)}"


def _train(index: Index) -> str:
    limit = acts.budget(index).trials
    of = f" of {limit:,}" if limit else ""
    if "strategy" not in index.kinds:
        return ""
    failed = sum(index.failures.values())
    also = f", {failed:,} failed" if failed else ""
    return f"{index.searched:,}{of} trials scored{also}"


def _trials(index: Index) -> str:
    failed = sum(index.failures.values())
    also = f", {failed:,} failed" if failed else ""
    return f"{plural(index.searched, 'trial')} ended{also}" if index.order else ""


def _validate(index: Index) -> str:
    split = index.payload("split").get("split")
    if not split:
        return ""
    times = f" × {split['repeats']}" if split["repeats"] > 1 else ""
    return f"{split['kind']}, {plural(int(split['folds']), 'fold')}{times}"


def _refine(index: Index) -> str:
    decided = index.payload("decision")
    if not decided:
        return "round 1" if index.searched else ""
    kind = decided["decision"]["kind"]
    after = int(decided["round"]) + (kind != "stop")
    return f"round {decided['round']}: {kind}" if kind == "stop" else f"round {after}"


def _test(index: Index) -> str:
    looks = index.payload("intent").get("look")
    return f"opened {plural(int(looks), 'time')}" if looks else "sealed" if index.kinds else ""


_FACTS = {
    "objectives": _objectives,
    "data": _data,
    "parameters": _parameters,
    "strategy": lambda index: (
        index.payload("strategy").get("name") or index.payload("chosen").get("strategy", "")
    ),
    "train": _train,
    "trials": _trials,
    "validate": _validate,
    "refine": _refine,
    "test": _test,
}


def _verdict(index: Index) -> dict[str, str] | None:
    """How the study ended, None before its end."""
    from attain.report.standing import TITLES

    if "ended" not in index.kinds:
        return None
    told = [d["text"] for d in index.stories() if d["step"] == "sealed"]
    ended = numbers.sentence(numbers.stopped(index.payload("ended").get("reason") or ""))
    reason = str(told[-1] if told else plain(ended))
    objectives = (index.payload("verdict").get("verdict") or {}).get("objectives") or ()
    states = {str(o["state"]) for o in objectives}
    what = "search" if index.function else "study"
    for state in ("not met", "met, unproven", "met"):
        if state in states:
            words = {str(k): v for k, v in TITLES.items()}
            return {"state": state, "title": words.get(state, state), "text": reason}
    return {"state": "ended", "title": f"The {what} has ended", "text": reason}


def _goal(index: Index, objective: Objective) -> dict[str, Any]:
    """One objective: where it stands and what is wanted."""
    metric, statement = objective.metric, str(objective)
    sealed = _sealed(index).get(statement)
    scores = index.scores.get(metric)
    score: Payload = (sealed or {}).get("score") or scores or {}
    base = index.baseline.get(metric)
    soon = {s["metric"]: s for s in index.payload("expected").get("scores") or ()}.get(metric)
    known = {k: finite(score.get(k)) for k in ("estimate", "low", "high")}
    target = finite(objective.target)
    return {
        "statement": numbers.goal(plain(objective)),
        "metric": numbers.words(metric),
        "unit": objective.unit,
        **known,
        "now": numbers.estimate(dict(score)) if score else "",
        "interval": numbers.interval(dict(score))
        if score and known["low"] != known["high"]
        else "",
        "target": target,
        "target_text": numbers.stated(target) if target is not None else "",
        "maximize": objective.direction.value == "maximize",
        "bounds": [
            finite(getattr(objective, "low", None)),
            finite(getattr(objective, "high", None)),
        ],
        "baseline": finite((base or {}).get("estimate")),
        "baseline_text": numbers.estimate(dict(base)) if base else "",
        "expected": numbers.with_interval(dict(soon)) if soon and not sealed else "",
        "sealed": bool(sealed),
        "state": str(sealed["state"]) if sealed else _reached(objective, known),
    }


def _sealed(index: Index) -> dict[str, Payload]:
    from attain.core.codec import decode

    found = (index.payload("verdict").get("verdict") or {}).get("objectives") or ()
    return {str(decode(Objective, o["objective"])): o for o in found}


def _reached(objective: Objective, known: Mapping[str, float | None]) -> str:
    """Where the best trial stands: the interval decides, as it will at the end."""
    estimate, low, high = known["estimate"], known["low"], known["high"]
    if objective.target is None or estimate is None:
        return ""
    if not objective.reached(estimate):
        return "not yet"
    if low is None and high is None:  # a function's result is what it is
        return "reached"
    worse = low if objective.direction.value == "maximize" else high
    return "reached" if worse is not None and objective.reached(worse) else "reached, unproven"


def spent(index: Index, pulse: Pulse) -> dict[str, Any]:
    """The budget: what is used, what is left.

    Args:
        index: The study.
        pulse: Of its run; the clock of a run that is not alive stands still.

    Returns:
        ``trials``, ``trials_total``, ``seconds`` (until the newest record; what comes after the
        choice is not counted, as in `Study.used`), ``since`` (from when the clock runs on, None
        while it stands), ``seconds_total``, and ``left`` (seconds
        until the first limit, None when nobody can know).
    """
    limits = acts.budget(index)
    over = index.latest.get("ended") or index.latest.get("finalists")
    seconds = index.spent + (index.at - index.began if index.began is not None else 0.0)
    seconds = seconds if index.used is None else index.used
    runs = index.began is not None and index.used is None and pulse.running
    total = None if limits.minutes is None else limits.minutes * 60
    left = [] if total is None else [total - seconds]
    tried = index.searched - index.going_on  # a paused trial that goes on is no second one
    if limits.trials and tried >= 3:
        left.append((limits.trials - tried) * seconds / tried)
    return {
        "trials": tried,
        "trials_total": limits.trials,
        "seconds": round(seconds, 1),
        "since": index.at if runs else None,
        "seconds_total": total,
        "left": round(max(0.0, min(left)), 1) if left and runs and over is None else None,
    }


def _running(entry: Entry, live: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": entry.id,
        "learner": plain(entry.learner),
        "purpose": entry.purpose,
        "reason": plain(entry.reason),
        "folds": entry.folds,
        "done": len(entry.outcomes),
        "since": entry.at,
        "config": settings(entry.point)[:12],
        "curves": series.curves(entry, live)[-6:],
    }


def alerts(index: Index, pulse: Pulse) -> list[dict[str, Any]]:
    """What needs somebody's attention, the gravest first.

    Args:
        index: The study.
        pulse: Of its run.

    Returns:
        ``level`` (``bad`` or ``warn``), ``text``, ``trial`` (an id or empty) and ``record``.
    """
    found: list[dict[str, Any]] = []

    def warn(level: str, text: str, trial: str = "", record: int | None = None) -> None:
        found.append({"level": level, "text": plain(text), "trial": trial, "record": record})

    if pulse.missing:
        warn("bad", numbers.sentence(pulse.text))
    if index.failed:
        last = index.trials[index.failed[-1]]
        kinds = numbers.listed([f"{n:,} {status}" for status, n in index.failures.items()])
        failed = plural(sum(index.failures.values()), "trial")
        text = f"{failed} did not end well ({kinds}). The last, {last.id}: {last.message}"
        warn("bad", numbers.sentence(text), last.id, last.ended)
    for diagnosis in index.diagnoses:
        text = f"The best trial, {index.best[-1].id}: {diagnosis.get('explanation')}"
        warn("warn", numbers.sentence(text), index.best[-1].id, index.best[-1].ended)
    audit = index.latest.get("audit")
    for finding in index.payload("audit").get("findings") or ():
        level = _GRAVE.get(str(finding.get("severity")))
        if level and finding.get("state") == "found" and audit is not None:
            text = f"Audit {finding['code']}: {finding['explanation']}"
            warn(level, numbers.sentence(text), "", audit.id)
    if index.bad:
        ids = numbers.listed([str(i) for i in index.bad])
        warn("warn", f"Records that could not be read: {ids}.")
    return sorted(found, key=lambda a: a["level"] != "bad")


def _answer(request: Payload) -> dict[str, Any]:
    return {
        "id": str(request["id"]),
        "action": str(request["action"]),
        "done": bool(request["done"]),
        "reason": plain(str(request["reason"])),
    }

"""How far the result can be trusted: worst slices, accidents, seeds, and what more rows bring.

Measured on unsealed rows after the verdict is fixed: it decides nothing, and the seal is not asked
for anything but its verdict. It takes at most a twentieth of the study's time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from attain.core.codec import decode, encode
from attain.core.counts import OF_METRIC
from attain.core.errors import EnvironmentProblem
from attain.core.types import Decision, Objective, Outcome, Role, Score, Task, Verdict, VerdictState
from attain.objectives.metrics import base_name, lookup
from attain.pipeline.study import Study
from attain.pipeline.trials import Trials, best
from attain.report import numbers

SHARE = 0.05  # of the study's time
LEAST_SECONDS, MOST_SECONDS = 5.0, 120.0
PATIENCE = 10.0  # times the seconds allowed after which a worker is stopped
_CUT_SHORT = "by the limit of"  # what `train` says of a fit that the clock ended

RunJob = Callable[[str, Mapping[str, Any], float], Any]


def applies(task: Task) -> bool:
    """Whether its measures say something: of counts and sums, those of speech do."""
    return not task.counted or task is Task.TRANSCRIPTION


def allowed_seconds(study: Study) -> float:
    """Seconds that the measurements may take; never less than a few, for they are the result too.

    Args:
        study: Its time so far counts.

    Returns:
        A twentieth of the time spent, between 5 s and 2 min.
    """
    return min(max(SHARE * study.spent(), LEAST_SECONDS), MOST_SECONDS)


def reserved_seconds(study: Study) -> float:
    """Seconds that the search leaves for the measurements when time is limited.

    Args:
        study: Says whether it is.

    Returns:
        A twentieth of the budget, at most 2 min; 0 without a limit of time.
    """
    minutes = study.budget.minutes
    return 0.0 if minutes is None else min(SHARE * minutes * 60, MOST_SECONDS)


def measure(
    study: Study,
    trials: Trials,
    choice: Mapping[str, Any],
    verdict: Verdict,
    finalist: Mapping[str, Any],
    run: RunJob,
) -> dict[str, Any]:
    """The payload of the record ``reliability``.

    Args:
        study: With everything recorded so far.
        trials: The study's trials.
        choice: Payload of the record ``choice``.
        verdict: What the sealed rows said.
        finalist: ``folder``, ``dataset``, ``learner``, ``config``, ``hints``, ``seed``,
            ``threads`` of the final model.
        run: Runs a function of `reliability_jobs` within so many seconds and returns its value.

    Returns:
        ``metric``, ``slices``, ``perturbations``, ``seeds``, ``curve`` (None where not measured),
        ``limits``, ``notes``, ``seconds``, ``allowed`` and ``failed`` (why a part is missing, by
        name of the part).
    """
    began, allowed = time.monotonic(), allowed_seconds(study)
    objective, gap = _subject(trials, verdict)
    confirmation = trials.trials[choice["confirmation"]]
    ask = {
        **finalist,
        "split": encode(confirmation.split),
        "predictions": trials.predictions(confirmation.id),
        "metric": objective.metric,
        "objective": encode(objective),
        "words": numbers.words(objective.metric),
        "gap": gap,
        "seconds": allowed,
        "order": _order(study),
        **_confirmed(trials, choice, objective),
        **_search(study, trials, confirmation.id),
    }
    found: dict[str, Any] = dict.fromkeys(("slices", "perturbations", "seeds", "curve"))
    found |= {"metric": objective.metric, "limits": [], "notes": []}
    failed = {}
    counted = base_name(objective.metric) in OF_METRIC
    for name in ("refits",) if counted else ("slices", "refits"):
        try:
            value = run(name, ask, PATIENCE * allowed)
            found |= {"slices": value} if name == "slices" else value
        except EnvironmentProblem as error:
            failed[name] = str(error)
    return {**found, "failed": failed, "seconds": time.monotonic() - began, "allowed": allowed}


def _subject(trials: Trials, verdict: Verdict) -> tuple[Objective, float | None]:
    """What is measured: the first goal that was missed, with its distance, or else the lead one."""
    judge = trials.judge
    for item in verdict.objectives:
        missed = item.state is VerdictState.NOT_MET and item.objective.role is Role.GOAL
        if missed and item.objective.metric in judge.quality:
            return item.objective, item.shortfall
    known = next((o for o in judge.objectives if o.metric == judge.lead_metric), None)
    if known is not None:
        return known, None
    metric = lookup(judge.lead_metric)
    return Objective(judge.lead_metric, metric.direction, low=metric.low, high=metric.high), None


def _confirmed(
    trials: Trials, choice: Mapping[str, Any], objective: Objective
) -> dict[str, float | None]:
    """The confirmed score's gain over the baseline and half-width, where known."""
    scores = decode(tuple[Score, ...], choice["confirmed"] or choice["naive"])
    own = next((s for s in scores if s.metric == objective.metric), None)
    base = trials.baseline().get(objective.metric)
    if own is None:
        return {"gain": None, "half_width": None}
    sign = 1.0 if objective.direction.value == "maximize" else -1.0
    gain = None if base is None else sign * (own.estimate - base.estimate)
    return {"gain": gain, "half_width": (own.high - own.low) / 2}


def _search(study: Study, trials: Trials, confirmation: str) -> dict[str, Any]:
    """What the search says of the time it had, and what a fit takes."""
    outcomes = [decode(Outcome, r.payload["outcome"]) for r in study.of("outcome")]
    own = sorted(o.fit_seconds for o in outcomes if o.trial == confirmation)
    return {
        "fit_seconds": own[len(own) // 2],
        "cut_short": any(_CUT_SHORT in o.message for o in outcomes if o.trial == confirmation),
        "closes": _closes(study, trials),
    }


def _closes(study: Study, trials: Trials) -> float:
    """Share of the remaining loss that as many trials again are expected to gain.

    Asked only when the budget ended the search; else going on was already found unlikely to help.
    """
    record = study.last("decision")
    leader = best(s for s in trials.scored.values() if s.search)
    if record is None or leader is None or not leader.loss or leader.loss <= 0:
        return 0.0
    decision = decode(Decision, record.payload["decision"])
    if decision.stop != "budget" or decision.predicted is None:
        return 0.0
    return float(decision.predicted / leader.loss)


def _order(study: Study) -> list[str]:
    """Columns by importance, as far as the explanation found out."""
    record = study.last("explanation")
    entries = record.payload.get("importance") or [] if record else []
    return [column for entry in entries for column in entry["columns"]]

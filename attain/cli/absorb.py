"""How each notice changes the board: a fold, so a study read back gives the same picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attain.cli.board import Board, OpenTrial, Payload
from attain.core.codec import decode
from attain.core.types import SPARED, Objective
from attain.report.numbers import listed, plural, seconds

if TYPE_CHECKING:
    from attain.pipeline.notice import Notice

STOP_TEXT = "stopping"  # what the study says when it was asked to stop


def advance(board: Board, notice: Notice) -> Board:
    """The board after one more notice.

    Args:
        board: Before.
        notice: What happened.

    Returns:
        After.
    """
    board = replace(
        board,
        running=notice.running,
        trials=notice.trials,
        trials_total=notice.trials_total,
        elapsed=notice.elapsed,
        seconds_total=notice.seconds_total,
    )
    if notice.record is not None:
        kind = notice.record.kind
        board = replace(board, seen=board.seen | {kind}, doing="")
        absorb = _ABSORB.get(kind)
        return absorb(board, notice.record.payload) if absorb else board
    if notice.text == STOP_TEXT:
        return replace(board, stopping=True)
    if notice.text:
        return replace(board, doing=notice.text)
    return _look(board, notice.job, notice.value) if notice.job else board


def is_old(notice: Notice, began: float) -> bool:
    """Whether a notice only reads back what an earlier run recorded.

    Args:
        notice: Of a record, or not.
        began: Seconds since the epoch at which this run began.

    Returns:
        False for anything but a record.
    """
    return notice.record is not None and notice.record.at < began


def _fact(board: Board, step: str, text: str) -> Board:
    return replace(board, facts={**board.facts, step: text})


def _also(board: Board, step: str, text: str) -> Board:
    before = board.facts.get(step)
    return _fact(board, step, f"{before}; {text}" if before else text)


def _study(board: Board, payload: Payload) -> Board:
    spec = payload["spec"]
    return _fact(board, "title", f"{spec['data']}: {spec['target']}")


def _objectives(board: Board, payload: Payload) -> Board:
    objectives = decode(tuple[Objective, ...], payload["objectives"])
    board = replace(board, objectives=objectives)
    return _fact(board, "objectives", ", ".join(map(str, objectives)))


def _dataset(board: Board, payload: Payload) -> Board:
    data = payload["dataset"]
    features = sum(1 for c in data["columns"] if c["role"] == "feature")
    text = f"{plural(data['rows'], 'row')}, {plural(features, 'feature')}, {data['task']}"
    return _fact(board, "data", text)


def _seal(board: Board, payload: Payload) -> Board:
    text = f"{plural(payload['seal']['rows'], 'row')} sealed"
    return _fact(_fact(board, "seal", text), "test", text)


def _audit(board: Board, payload: Payload) -> Board:
    found = [f for f in payload["findings"] if f["state"] == "found"]
    grave = ("blocker", "issue", "tip")
    found.sort(key=lambda f: (grave.index(f["severity"]), f["code"]))
    counts = [plural(n, s) for s in grave if (n := sum(f["severity"] == s for f in found))]
    board = replace(
        board, findings=tuple((f["code"], f["severity"], f["explanation"]) for f in found)
    )
    return _also(board, "data", listed(counts) if counts else "the audit found nothing")


def _feasibility(board: Board, payload: Payload) -> Board:
    doubtful = [i["text"] for i in payload["items"] if i["state"] == "undecidable"]
    return _also(board, "objectives", doubtful[0]) if doubtful else board


def _split(board: Board, payload: Payload) -> Board:
    split = payload["split"]
    times = f" x {split['repeats']}" if split["repeats"] > 1 else ""
    return _fact(board, "validate", f"{split['kind']}, {plural(split['folds'], 'fold')}{times}")


def _forecast(board: Board, payload: Payload) -> Board:
    """Rungs with the seconds of a fit, until the selection says what is tuned."""
    rungs = [rung for found in payload["forecasts"].values() for rung in found["rungs"]]
    texts = [f"{r['name']} {seconds(r['seconds'])}" for r in rungs if r["usable"]]
    return _fact(board, "parameters", f"a fit takes about: {listed(texts)}") if texts else board


def _selection(board: Board, payload: Payload) -> Board:
    learners = [c["name"] for c in payload["learners"] if c["used"]]
    tuned = sum(1 for c in payload["parameters"] if c["used"])
    return _fact(board, "parameters", f"{plural(tuned, 'parameter')} of {listed(learners, most=8)}")


def _strategy(board: Board, payload: Payload) -> Board:
    return _fact(board, "strategy", f"{payload['name']}: {payload['reason']}")


def _trial(board: Board, payload: Payload) -> Board:
    trial = payload["trial"]
    split = trial["split"]
    started = OpenTrial(trial["learner"], trial["purpose"], split["folds"] * split["repeats"])
    return replace(
        board,
        open={**board.open, trial["id"]: started},
        learners={**board.learners, trial["id"]: trial["learner"]},
    )


def _outcome(board: Board, payload: Payload) -> Board:
    name = payload["outcome"]["trial"]
    trial = board.open.get(name)
    if trial is None:
        return board
    ended = replace(trial, done=trial.done + 1, look="")
    return replace(board, open={**board.open, name: ended})


def _look(board: Board, job: str, value: Any) -> Board:
    """A worker reported a step of a fit: ``t0007-f2`` belongs to ``t0007``."""
    name = job.partition("-")[0]
    trial = board.open.get(name)
    if trial is None or not isinstance(value, Mapping) or "step" not in value:
        return board
    return replace(board, open={**board.open, name: replace(trial, look=f"step {value['step']}")})


def _scored(board: Board, payload: Payload) -> Board:
    name = payload["trial"]
    trial = board.open.get(name)
    board = replace(board, open={k: v for k, v in board.open.items() if k != name})
    loss = payload["loss"]
    if loss is None:
        return board if payload["status"] in SPARED else replace(board, failed=board.failed + 1)
    scores = {s["metric"]: s for s in payload["scores"]}
    if trial is not None and trial.purpose == "baseline" and not board.baseline:
        board = replace(board, baseline=scores)
    if payload["search"] and (board.loss is None or float(loss) < board.loss):
        board = replace(board, best=name, loss=float(loss), scores=scores)
    return board


def _expected(board: Board, payload: Payload) -> Board:
    return replace(board, expected={s["metric"]: s for s in payload["scores"]})


def _decision(board: Board, payload: Payload) -> Board:
    decision = payload["decision"]
    after = payload["round"] + (decision["kind"] != "stop")
    board = replace(board, decision=decision["reason"], round=after)
    return _fact(board, "refine", f"round {after}: {_MOVES[decision['kind']]}")


_MOVES: Mapping[str, str] = {
    "continue": "the search goes on as it was",
    "narrow": "the search was narrowed",
    "widen": "the search was widened",
    "climb": "the search moved to larger models",
    "confirm": "the best are confirmed on fresh folds",
    "stop": "the search ended",
}


def _finalists(board: Board, payload: Payload) -> Board:
    names = list(payload["trials"])
    return _fact(board, "refine", f"confirming {listed(names)} on fresh folds")


def _choice(board: Board, payload: Payload) -> Board:
    scores = {s["metric"]: s for s in payload["confirmed"]}
    name = payload["trial"]
    board = replace(board, best=name, scores={**board.scores, **scores}, expected={})
    return _fact(board, "refine", f"{name} is final: {payload['reason']}")


def _also_refine(board: Board, payload: Payload) -> Board:
    return _also(board, "refine", payload["reason"])


def _refit(board: Board, payload: Payload) -> Board:
    return _fact(board, "train", f"{payload['trial']} refitted on {plural(payload['rows'], 'row')}")


def _verdict(board: Board, payload: Payload) -> Board:
    found = payload["verdict"]["objectives"]
    sealed = {str(decode(Objective, v["objective"])): v for v in found}
    looks = payload["verdict"]["looks"]
    text = "opened once" if looks == 1 else f"opened {looks} times"
    text = f"{board.facts.get('seal', '')}, {text}"
    return _fact(replace(board, sealed=sealed), "test", text)


_ABSORB: Mapping[str, Callable[[Board, Payload], Board]] = {
    "study": _study,
    "objectives": _objectives,
    "dataset": _dataset,
    "seal": _seal,
    "audit": _audit,
    "feasibility": _feasibility,
    "split": _split,
    "forecast": _forecast,
    "selection": _selection,
    "strategy": _strategy,
    "trial": _trial,
    "outcome": _outcome,
    "scored": _scored,
    "expected": _expected,
    "decision": _decision,
    "finalists": _finalists,
    "choice": _choice,
    "calibration": _also_refine,
    "threshold": _also_refine,
    "refit": _refit,
    "verdict": _verdict,
}

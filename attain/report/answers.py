"""What a model writes: as it is, with examples, and tuned, side by side; and the worst of it."""

from __future__ import annotations

from typing import Any

from attain.core.types import Outcome, Trial
from attain.report.book import Book, plain

_ORDER = ("prompt", "as_is", "few_shot", "head", "lora", "full")
_WORST = 10
_TITLES = {
    "prompt": "as it is",
    "as_is": "as it is",
    "head": "with its head tuned",
    "few_shot": "with examples in its prompt",
    "lora": "with an adapter",
    "full": "tuned as a whole",
}


def answers(book: Book) -> dict[str, Any] | None:
    """Answers to the same rows by the best trial of each rung.

    Args:
        book: The records.

    Returns:
        ``ways`` (``rung``, ``title``, ``trial``, ``final``) from cheap to dear, ``rows``
        (``row``, ``prompt``, ``reference``, ``answers``: one for each way, with ``answer`` and
        ``ended``, None where that trial was not asked), ``heard`` (whether prompts are clips) and
        ``worst`` (transcripts of the final configuration with the most wrong words, as they are
        kept: ``prompt``, ``reference``, ``answer``, ``edits``, ``words``); None where nothing was
        written.
    """
    found = _best_of_rungs(book)
    if not found:
        return None
    choice = book.last("choice")
    final = choice.payload["trial"] if choice else None
    ways = [
        {"rung": rung, "title": _TITLES.get(rung, rung), "trial": trial.id,
         "final": trial.id == final}
        for rung, (trial, _) in found.items()
    ]  # fmt: skip
    by_row: dict[int, dict[str, Any]] = {}
    for place, (_, outcome) in enumerate(found.values()):
        for answer in outcome.facts["answers"]:
            row = by_row.setdefault(
                answer["row"],
                {"row": answer["row"], "prompt": plain(answer["prompt"]),
                 "reference": plain(answer["reference"]), "answers": [None] * len(found)},
            )  # fmt: skip
            row["answers"][place] = {"answer": plain(answer["answer"]), "ended": answer["ended"]}
            if place == 0:
                row["prompt"] = plain(answer["prompt"])
    whole = [row for row in by_row.values() if None not in row["answers"]]
    worst = _worst(book)
    heard = any("edits" in a for _, o in found.values() for a in o.facts["answers"])
    rows = whole or list(by_row.values())
    return {"ways": ways, "rows": rows, "heard": heard, "worst": worst}


def _worst(book: Book) -> list[dict[str, Any]]:
    """Transcripts of rows that the chosen configuration had not seen, the worst ones first."""
    choice = book.last("choice")
    if choice is None:
        return []
    known = (choice.payload.get("confirmation"), choice.payload["trial"])
    found: dict[int, dict[str, Any]] = {}
    for trial in known:
        if found:
            break
        for _, outcome in book.outcomes:
            for answer in outcome.facts.get("answers", ()) if outcome.trial == trial else ():
                if answer.get("edits"):
                    found.setdefault(answer["row"], {k: plain(v) for k, v in answer.items()})
    return sorted(found.values(), key=lambda a: (-a["edits"], a["row"]))[:_WORST]


def _best_of_rungs(book: Book) -> dict[str, tuple[Trial, Outcome]]:
    """For each rung the trial with the lowest loss whose first fold has answers; the final one
    stands for its rung."""
    choice = book.last("choice")
    final = choice.payload["trial"] if choice else None
    losses = {r.payload["trial"]: r.payload.get("loss") for r in book.of("scored")}
    outcomes = {o.trial: o for _, o in book.outcomes if o.fold == 0 and o.facts.get("answers")}
    best: dict[str, tuple[tuple[bool, float], Trial]] = {}
    for _, trial in book.trials:
        rung = str(trial.config.get("rung", ""))
        loss = losses.get(trial.id)
        if trial.purpose == "confirm" or trial.id not in outcomes or not rung:
            continue
        order = (trial.id != final, float("inf") if loss is None else float(loss))
        if rung not in best or order < best[rung][0]:
            best[rung] = (order, trial)
    known = [rung for rung in _ORDER if rung in best] + [r for r in best if r not in _ORDER]
    return {rung: (best[rung][1], outcomes[best[rung][1].id]) for rung in known}

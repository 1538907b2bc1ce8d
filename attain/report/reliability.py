"""How far the result can be trusted, in words: worst slices, accidents, seeds, and what binds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attain.report import numbers
from attain.report.book import Book, plain

Item = Mapping[str, Any]
MOST_ENTRIES = 60  # accidents kept in the evidence, the worst
MOST_NAMED = 3
CLEARLY_WORSE = 1.5  # times the loss elsewhere, from which a slice is worth a step
_HARD = (
    "These rows are harder and the model knows it: features that tell them apart would help, or "
    "leaving the unsure ones to people."
)
_ODD = (
    "Look at these rows for wrong labels, missing features or another meaning of a column; until "
    "then, trust predictions there less."
)
_SHARES = ("error", "misranked")  # losses that read as a percentage
_HUGE = "times_1000"
_REMEDY = "Check ranges, units and spellings"
_REMEDIES = {
    **dict.fromkeys(
        ("blurred", "grained", "bright", "dark", "pressed"), "Check how pictures are taken and kept"
    ),
    **dict.fromkeys(("hissing", "quieter", "narrowed"), "Check how clips are recorded and sent"),
}
_TITLES = {
    "model": "What would help most: a model that can do more",
    "data": "What would help most: more rows",
    "time": "What would help most: more time",
    "noise": "What would help most: features that say more",
}


def reliability(book: Book) -> dict[str, Any] | None:
    """What was found out about how far the result can be trusted.

    Args:
        book: The records.

    Returns:
        The payload of the record ``reliability`` with ``slices.shown`` (confirmed, each set of
        words once), ``warnings`` (``code``, ``title``, ``text``, ``brief``) and ``record``; None
        when nothing was measured.
    """
    record = book.last("reliability")
    if record is None:
        return None
    known = {"notes": [], "limits": [], "failed": {}, **plain(record.payload)}
    for part in ("slices", "perturbations", "seeds", "curve"):
        known.setdefault(part, None)
    if known["slices"]:
        known["slices"] = {**known["slices"], "shown": _shown(known["slices"]["slices"])}
    if known["perturbations"]:
        entries = known["perturbations"]["entries"]
        known["perturbations"] = {**known["perturbations"], "entries": entries[:MOST_ENTRIES]}
    return {**known, "warnings": list(_warnings(known)), "record": record.id}


def _shown(found: Iterable[Item]) -> list[Item]:
    """Confirmed slices; one that is both is shown as the graver kind, a surprise."""
    confirmed = sorted((s for s in found if s["confirmed"]), key=lambda s: s["kind"] == "worse")
    return list({s["words"]: s for s in reversed(confirmed)}.values())[::-1]


def loss_value(slices: Item, value: Any) -> str:
    """A mean loss as people read it: a percentage where it is a share of rows."""
    if slices["loss"] in _SHARES:
        return numbers.share(value)
    return numbers.number(value)


def slice_sentence(slices: Item, found: Item) -> str:
    """A slice in words, with its loss there and elsewhere."""
    inside, rest = found["inside"], found["rest"]
    text = (
        f"where {found['words']} ({numbers.plural(found['rows'], 'row')}), the {slices['words']} "
        f"is {loss_value(slices, inside['estimate'])} ({loss_value(slices, inside['low'])} to "
        f"{loss_value(slices, inside['high'])}) against {loss_value(slices, rest['estimate'])} "
        "elsewhere"
    )
    if found["expected"] is None:
        return numbers.sentence(text)
    expected = loss_value(slices, found["expected"])
    if found["kind"] == "surprising":
        return numbers.sentence(f"{text}; its own probabilities lead to expect {expected}")
    return numbers.sentence(f"{text}; its own probabilities say so ({expected} expected)")


def accident(entry: Item) -> str:
    """An accident in words, such as ``income empty``."""
    return f"{entry['column']} {entry['words']}"


def _slices(known: Item) -> Iterable[dict[str, str]]:
    found = known["slices"]
    for item in found["shown"] if found else ():
        inside, rest = item["inside"]["estimate"], item["rest"]["estimate"]
        if item["kind"] == "worse" and inside < CLEARLY_WORSE * rest:
            continue
        hard = item["kind"] == "worse" and item["expected"] is not None
        text = (
            f"{slice_sentence(found, item)} Found on one half of the rows, confirmed on the other. "
            + (_HARD if hard else _ODD)
        )
        yield {
            "code": "slice",
            "title": f"Look at the weakest slice: {item['words']}",
            "text": text,
            "brief": f"weak where {item['words']}",
        }
        return


def _accidents(known: Item) -> Iterable[dict[str, str]]:
    found = known["perturbations"]
    entries = [e for e in found["entries"] if e["brittle"]] if found else []
    broken = [e for e in entries if e["failed"]]
    if broken:
        yield {
            "code": "fails",
            "title": f"Mend what breaks the model: {accident(broken[0])}",
            "text": f"It gave no prediction for {accident(broken[0])}: {broken[0]['failed']}",
            "brief": f"no prediction for {accident(broken[0])}",
        }
    harmed = [e for e in entries if not e["failed"]]
    if not harmed:
        return
    worst = next((e for e in harmed if e["code"] != _HUGE), harmed[0])
    columns = list(dict.fromkeys(e["column"] for e in (worst, *harmed)))
    metric = numbers.words(found["metric"])
    than = "than so small a slip should" if worst.get("small") else "than not knowing the column"
    text = (
        f"With {accident(worst)}, {metric} gets worse by {_drop(worst)} and "
        f"{numbers.share(worst['flipped'])} of the predictions change, which is worse {than}. "
        f"{_REMEDIES.get(worst['code'], _REMEDY)} before predicting"
    )
    text += f"; the same goes for {numbers.listed(columns[1:], 4)}." if columns[1:] else "."
    yield {
        "code": "brittle",
        "title": f"Guard the inputs: {numbers.listed(columns, MOST_NAMED)}",
        "text": text,
        # a slip by three digits ruins most models; it is no news
        "brief": "" if worst["code"] == _HUGE else f"brittle with {accident(worst)}",
    }


def _drop(entry: Item) -> str:
    return numbers.with_interval({**entry, "estimate": entry["drop"]})


def seeds_sentence(seeds: Item) -> str:
    """What another seed would change."""
    count, metric = seeds["seeds"], numbers.words(seeds["metric"])
    if seeds["same"]:
        return "The seed changes nothing: two fits agree in every prediction."
    spread = numbers.number(seeds["spread"], digits=2)
    return (
        f"Over {count} seeds {metric} has a standard deviation of {spread}; between two seeds "
        f"{numbers.share(seeds['changed'])} of the predictions change."
    )


def _seeds(known: Item) -> Iterable[dict[str, str]]:
    seeds = known["seeds"]
    if seeds and seeds["unstable"]:
        yield {
            "code": "seed_spread",
            "title": "Average several seeds",
            "text": f"{seeds_sentence(seeds)} One fit is a draw of luck: average the predictions "
            "of several, or choose a model with more regularisation.",
            "brief": "unstable over seeds",
        }


def _limits(known: Item) -> Iterable[dict[str, str]]:
    for item in known["limits"][:1]:
        others = [f"{numbers.capital(o['words'])}. {o['remedy']}" for o in known["limits"][1:]]
        text = " ".join([f"{numbers.capital(item['words'])}. {item['remedy']}", *others])
        title = _TITLES.get(item["limit"], "What would help most")
        yield {"code": "limit", "title": title, "text": text, "brief": ""}


_WARNINGS: tuple[Callable[[Item], Iterable[dict[str, str]]], ...] = (
    _limits,
    _slices,
    _accidents,
    _seeds,
)


def _warnings(known: Item) -> Iterable[dict[str, str]]:
    for find in _WARNINGS:
        yield from find(known)


def visible_sentence(slices: Item) -> str:
    """What it means that no slice was confirmed."""
    if slices["reason"]:
        return numbers.sentence(f"not looked for: {slices['reason']}")
    gap = slices["visible"]
    tried = numbers.plural(slices["tried"], "slice")
    return (
        f"None of {tried} was confirmed. One of {numbers.share(gap['share'])} of the rows would "
        f"have been seen if its {slices['words']} were higher by "
        f"{loss_value(slices, gap['gap'])} or more (elsewhere "
        f"{loss_value(slices, slices['overall'])})."
    )


def curve_sentence(curve: Item) -> str:
    """What twice the rows would bring."""
    if curve["reason"]:
        return numbers.sentence(f"no forecast: {curve['reason']}")
    metric, ahead = numbers.words(curve["metric"]), curve["forecast"][0]
    gain = numbers.with_interval(curve["gain"])
    text = (
        f"Twice the rows ({ahead['rows']:,} to train on) would improve {metric} by about {gain}, "
        f"to {numbers.with_interval(ahead)}"
    )
    if not curve["rises"]:
        text += "; the curve cannot be told from a flat one"
    return f"{text}."

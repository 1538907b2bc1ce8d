"""The report: one file that opens anywhere, needs no network, and is safe to open."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from attain.report import (
    cell_plots,
    cells,
    charts,
    fronts,
    numbers,
    paths,
    picture_plots,
    pictures,
    plots,
    reliability,
    trust_plots,
    ways,
    words,
)
from attain.report.numbers import finite

_FOLDER = Path(__file__).parent / "templates"
MOST_ROWS = 60  # of long tables; the rest is in the JSON
HEAT = (0.05, 0.25, 0.5, 0.75)  # shares from which a cell of the confusion matrix is darker


def render(evidence: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Everything is drawn here: no script is needed to read it, nothing is fetched, and a content
    security policy with the hashes of its own style and script keeps anything else from running.
    All text from data and study is escaped.

    Args:
        evidence: As `evidence.collect` gives it.

    Returns:
        A complete document, which embeds the evidence as JSON (element ``attain-evidence``).
    """
    made = environment()
    logged = {entry["record"] for entry in evidence["decisions"]}
    return made.get_template("report.html.j2").render(
        e=evidence,
        **framed(),
        data=embedded(evidence),
        rec=lambda record: _reference(record, record in logged),
        colours=charts.palette(evidence["search"]),
        rows=MOST_ROWS,
    )


def framed() -> dict[str, Any]:
    """Style, script and the policy that lets nothing else run, as pages take them."""
    style, script = _source("report.css"), _source("report.js")
    return {"style": Markup(style), "script": Markup(script), "policy": _policy(style, script)}


def embedded(evidence: Mapping[str, Any]) -> Markup:
    """The evidence as JSON that can neither end its script element nor start a comment."""
    text = json.dumps(evidence, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _reference(record: int | None, logged: bool) -> Markup:
    """The id of a record, linked to the decision log where it is told there."""
    if record is None:
        return Markup("")
    if logged:
        return Markup(f'<a class="rec" href="#r{int(record)}">record {int(record)}</a>')
    return Markup(f'<span class="rec">record {int(record)}</span>')


def _show(value: Any) -> Any:
    """What every expression of the templates passes through: safe characters, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    return escape(numbers.printable(value)) if isinstance(value, str) else value


def prose(text: Any) -> Markup:
    """Text in which words between backticks are code."""
    parts = str(escape(numbers.printable(str(text)))).split("`")
    if len(parts) % 2 == 0:  # a lone backtick is just a backtick
        return Markup("`".join(parts))
    return Markup("".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts)))


def _when(at: Any) -> str:
    known = finite(at)
    return "" if known is None else f"{datetime.fromtimestamp(known, UTC):%d %B %Y, %H:%M} UTC"


def _heat(count: int, row: list[int]) -> str:
    """Class of a confusion cell: how large a share of its row it is."""
    level = sum(count >= share * (sum(row) or 1) for share in HEAT)
    return f"h{level}" if level and count else ""


def _share_bar(share: Any) -> Markup:
    """A small bar for a share, such as that of missing cells."""
    known = finite(share) or 0.0
    if known <= 0:
        return Markup("")
    width = max(1.0, 40 * min(known, 1.0))
    return Markup(
        '<svg class="mini" width="40" height="8" aria-hidden="true"><rect class="c7" '
        f'width="{width:.1f}" height="8"></rect></svg>'
    )


@cache
def environment() -> Environment:
    """Where templates find their charts, words and filters; everything is escaped.

    Returns:
        Of the folder of templates.
    """
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    made.globals |= {"charts": charts, "plots": plots, "heat": _heat, "bar": _share_bar}
    made.globals |= {"trust": reliability, "trust_plots": trust_plots, "words": words}
    made.globals |= {"cells": cells, "cell_plots": cell_plots}
    made.globals |= {
        "fronts": fronts,
        "paths": paths,
        "ways": ways,
        "pictures": pictures,
        "picture_plots": picture_plots,
    }
    made.filters |= {
        "number": numbers.number,
        "setting": numbers.setting,
        "estimate": numbers.estimate,
        "interval": numbers.interval,
        "with_interval": numbers.with_interval,
        "seconds": numbers.seconds,
        "bytes": numbers.size,
        "percent": numbers.share,
        "goal": numbers.goal,
        "metric": numbers.words,
        "listed": numbers.listed,
        "capital": numbers.capital,
        "sentence": numbers.sentence,
        "stopped": numbers.stopped,
        "prose": prose,
        "count": lambda n, noun, many="": numbers.plural(int(n), noun, many),
        "when": _when,
        "state": lambda text: str(text).replace(", ", "-").replace(" ", "-"),
    }
    return made

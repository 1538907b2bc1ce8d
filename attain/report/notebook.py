"""What a notebook shows of a study or a search: verdict, the numbers behind it, what comes next.

Everything is read from what was recorded, and all text from data and study is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attain.report.html import environment


def study(evidence: Mapping[str, Any], report: str) -> str:
    """A finished or unfinished study.

    Args:
        evidence: As `evidence.collect` gives it.
        report: Where the whole report lies.

    Returns:
        One HTML element without scripts.
    """
    return environment().get_template("notebook.html.j2").render(e=evidence, report=report)


def search(heading: str, reason: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A search for the best configuration of a function.

    Args:
        heading: What was found.
        reason: Why the search ended.
        rows: The best trials, all with the same keys.

    Returns:
        One HTML element without scripts.
    """
    made = environment().get_template("notebook_search.html.j2")
    return made.render(heading=heading, reason=reason, rows=rows)

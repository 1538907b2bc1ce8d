"""What would go wrong in training, told before anything is trained (D070 to D073)."""

from __future__ import annotations

from attain.core.types import Finding, FindingState, Severity
from attain.learners._speech.lesson import MOST_SECONDS, Taught

_SHOWN = 20
_MANY = 0.01
"""Share of rows from which leaving them out is an issue."""
_MOST = 0.5
"""Share from which the study stops: most of the data would teach nothing."""


def inspect(taught: Taught) -> tuple[Finding, ...]:
    """All findings about transcripts and the clips that they belong to.

    Args:
        taught: The rows, sorted out.

    Returns:
        One finding for each check, found or passed.
    """
    lacking = " ".join(list(taught.unwritable)[:_SHOWN])
    return (
        _finding(
            taught, "D070", "empty", "every transcript has words",
            "have a transcript without a word that the vocabulary can write",
            "write down what is said, or take these rows out",
        ),
        _finding(
            taught, "D071", "unwritable", "the vocabulary can write every transcript",
            f"hold characters that are spoken and that the vocabulary lacks ({lacking})",
            "write them out (7 as seven), or use a model whose vocabulary has them; until then "
            "these rows are left out of training, and their characters count as errors",
        ),
        _finding(
            taught, "D072", "too_short", "every clip has room for its transcript",
            "have fewer frames than their transcript has characters, so no path spells it",
            "check that the clip is whole and the transcript is its own",
        ),
        _finding(
            taught, "D073", "too_long", "no clip is too long to learn from",
            f"last longer than {MOST_SECONDS:.0f} s",
            "cut them where nobody speaks, and their transcripts with them",
        ),
    )  # fmt: skip


def _finding(
    taught: Taught, code: str, reason: str, title: str, explanation: str, remedy: str
) -> Finding:
    rows, total = taught.left_out[reason], len(taught.waves)
    if not len(rows):
        return Finding(code, title, FindingState.PASSED, explanation=f"all {total} do")
    share = len(rows) / total
    severity = Severity.TIP if share <= _MANY else Severity.ISSUE
    return Finding(
        code, title, FindingState.FOUND, Severity.BLOCKER if share > _MOST else severity,
        f"{len(rows)} of {total} rows {explanation}; they are left out of training", remedy,
        rows=tuple(int(row) for row in rows[:_SHOWN]),
        evidence={"rows": len(rows), "share": share},
    )  # fmt: skip

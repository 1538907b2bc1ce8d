"""Checks by a quick model: labels that are likely wrong."""

from __future__ import annotations

import numpy as np

from attain.core.protocols import Subject
from attain.core.types import Severity
from attain.data.check import MOST_ROWS, Answer, SketchCheck, found, not_applicable, passed
from attain.data.mislabels import mislabels
from attain.data.sketch import Sketch
from attain.stats.interval import wilson

FEWEST = 100  # rows below which a quick model knows nothing
ENOUGH = 1_000  # rows below which it is too unsure for more than a tip
SOME, MANY = 0.005, 0.02  # share of labels that are surely wrong for a tip, and for an issue
HARD = 0.3  # disagreement where it is surest that says that it knows nothing


class Mislabelled(SketchCheck):
    """Which labels are likely wrong?"""

    code = "D035"
    title = "labels that are likely wrong"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare labels with out-of-fold probabilities, by confident learning."""
        if seen.classes < 2:
            return not_applicable("the target has no two classes")
        if seen.n < FEWEST or not seen.features:
            return not_applicable(f"fewer than {FEWEST} rows, or no feature")
        asked = seen.told or seen.quick
        whose = "a quick model" if seen.told is None else "a linear model on the pre-trained one"
        rows, y = asked.rows, seen.y[asked.rows]
        told = mislabels(y, asked.guess)
        agreed = float((asked.guess.argmax(axis=1) == y).mean())
        if told.surest > HARD:
            return not_applicable(
                f"{whose} disagrees with {told.surest:.0%} of the labels of which it is "
                "surest: what is wrong cannot be told from what is hard"
            )
        low = wilson(round(told.surest * told.of), told.of, 0.9).low
        numbers = {
            "likely": len(told.rows),
            "estimated": told.estimated,
            "surest": told.surest,
            "surest_rows": told.of,
            "agreed": agreed,
            "looked_at": len(rows),
        }
        doubt = f"of the {told.of:,} labels of which {whose} is surest, {told.surest:.1%}"
        if low < SOME:
            return passed(f"{doubt} are otherwise, hardly any", **numbers)
        of = "" if len(rows) == seen.n else f" of {len(rows):,} looked at"
        return found(
            Severity.ISSUE if low >= MANY and seen.n >= ENOUGH else Severity.TIP,
            f"{doubt} are otherwise; {len(told.rows):,} labels{of} are likely wrong, or their rows "
            "are of a kind that the features do not tell",
            "look at the named rows, the likeliest first; mend labels that are wrong, and the "
            "rules by which they were given",
            columns=(subject.dataset.target,),
            rows=rows[told.rows],
            better=[subject.dataset.classes[c] for c in told.better[:MOST_ROWS]],
            pairs=_pairs(told.joint, subject.dataset.classes),
            **numbers,
        )


def _pairs(joint: np.ndarray, classes: tuple[str, ...]) -> list[dict[str, object]]:
    """The most frequent mistakes: given class, likely class, estimated rows."""
    wrong = joint - np.diag(np.diag(joint))
    order = np.argsort(-wrong, axis=None, kind="stable")[:5]
    given, true = np.unravel_index(order, wrong.shape)
    return [
        {"given": classes[g], "likely": classes[t], "rows": round(float(wrong[g, t]))}
        for g, t in zip(given, true, strict=True)
        if wrong[g, t] >= 0.5
    ]

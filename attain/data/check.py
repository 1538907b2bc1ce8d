"""What all built-in checks share: a sketch, an answer, and how an answer becomes a finding."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from attain.core.protocols import Subject
from attain.core.types import Finding, FindingState, Severity
from attain.data.sketch import Sketch, sketch

MOST_ROWS = 20


@dataclass(frozen=True)
class Answer:
    """What a check says, without its code and title.

    Attributes:
        state: The answer.
        text: With numbers, or why it does not apply.
        severity: How much it matters when found.
        remedy: What to do next.
        columns: Columns concerned.
        rows: Positions of rows concerned; at most 20 are kept.
        evidence: Numbers behind the text.
    """

    state: FindingState
    text: str
    severity: Severity = Severity.TIP
    remedy: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[int] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


def passed(text: str, **evidence: Any) -> Answer:
    """The data are sound in this respect."""
    return Answer(FindingState.PASSED, text, evidence=evidence)


def not_applicable(text: str) -> Answer:
    """The question does not arise, because ..."""
    return Answer(FindingState.NOT_APPLICABLE, text)


def found(
    severity: Severity,
    text: str,
    remedy: str,
    *,
    columns: Sequence[str] = (),
    rows: Any = (),
    **evidence: Any,
) -> Answer:
    """Something was found.

    Args:
        severity: How much it matters.
        text: With numbers.
        remedy: What to do next.
        columns: Columns concerned.
        rows: Positions of rows concerned.
        **evidence: Numbers behind the text.

    Returns:
        The answer.
    """
    return Answer(FindingState.FOUND, text, severity, remedy, columns, rows, evidence)


class SketchCheck(ABC):
    """A built-in check: asks one question of the sketch."""

    code: ClassVar[str]
    title: ClassVar[str]

    def run(self, subject: Subject) -> Finding:
        """The answer as a finding.

        Args:
            subject: The rows.

        Returns:
            One finding, whatever the answer.
        """
        answer = self.look(subject, sketch(subject))
        return Finding(
            code=self.code,
            title=self.title,
            state=answer.state,
            severity=answer.severity,
            explanation=answer.text,
            remedy=answer.remedy,
            columns=tuple(answer.columns),
            rows=tuple(int(row) for row in np.asarray(answer.rows[:MOST_ROWS], dtype="int64")),
            evidence=answer.evidence,
        )

    @abstractmethod
    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Ask the question.

        Args:
            subject: The rows.
            seen: What was computed of them once for all checks.

        Returns:
            Found, passed or not applicable, with numbers.
        """


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a sentence, the rest counted."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def ignoring(names: Sequence[str]) -> str:
    """The line of a study file that leaves columns out.

    Args:
        names: Column names, whatever they hold.

    Returns:
        ``ignore: [...]`` in YAML, names quoted where they must be.
    """
    quoted = [
        name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names
    ]
    return f"ignore: [{', '.join(quoted)}]"


# Words that YAML reads as text without quotes; true, null, 1 and the like are none.
_PLAIN = re.compile(r"(?!(?i:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_][\w-]*")

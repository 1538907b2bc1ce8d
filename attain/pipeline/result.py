"""What a study hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attain.core.errors import Exit
from attain.core.types import Record, Verdict, VerdictState

if TYPE_CHECKING:
    from attain.pipeline.saved import SavedModel

_EXITS = {
    VerdictState.MET: Exit.MET,
    VerdictState.REPORTED: Exit.MET,
    VerdictState.UNPROVEN: Exit.NOT_DECIDABLE,
    VerdictState.NOT_MET: Exit.NOT_MET,
}


def exit_of(verdict: Verdict | None) -> Exit:
    """The exit code that a verdict stands for.

    Args:
        verdict: None when the study ended without one (every trial failed).

    Returns:
        MET, NOT_DECIDABLE or NOT_MET.
    """
    return Exit.NOT_MET if verdict is None else _EXITS[verdict.state]


@dataclass(frozen=True)
class Result:
    """A finished study.

    Attributes:
        exit: What the command line would exit with.
        verdict: None when no trial succeeded.
        folder: The study folder.
        report: The HTML report.
        card: The model card.
        model: The saved model's folder, None when there is no model.
        summary: The verdict and what to do next, as text.
        records: Everything that was recorded.
    """

    exit: Exit
    verdict: Verdict | None
    folder: Path
    report: Path
    card: Path
    model: Path | None
    summary: str
    records: Sequence[Record]

    def __str__(self) -> str:
        return self.summary

    def _repr_html_(self) -> str:
        """For notebooks."""
        from attain.report import evidence, notebook

        return notebook.study(evidence.collect(self.records), str(self.report))

    def load(self) -> SavedModel:
        """The final model, ready to predict.

        Returns:
            The model; its files are checked against their hashes first.

        Raises:
            ArtifactError: When the study has no model, or its files were altered.
        """
        from attain.core.errors import ArtifactError
        from attain.pipeline.saved import load

        if self.model is None:
            raise ArtifactError(f"{self.folder} has no model — every trial failed; see the report")
        return load(self.model)

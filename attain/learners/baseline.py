"""The model that ignores the features. Whatever does not beat it has learnt nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attain.core.errors import ArtifactError
from attain.core.protocols import Report
from attain.core.space import Config, Space
from attain.core.types import Dataset
from attain.learners._table import Core, Sample, TableLearner, fit_constant


class Baseline(TableLearner):
    """Class shares of the training rows, or their mean."""

    name = "baseline"

    def space(self, dataset: Dataset) -> Space:
        """Nothing to tune."""
        return Space(())

    def _plan(self, config: Config, dataset: Dataset) -> None:
        return None

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        return fit_constant(sample.y, sample.seen), {}

    def _load(self, folder: Path) -> Core:
        raise ArtifactError("the baseline's values are missing — get the model anew")

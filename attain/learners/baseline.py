"""The model that ignores the features. Whatever does not beat it has learnt nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.protocols import FitData, Report
from attain.core.space import Config, Space
from attain.core.types import Dataset, Rows, Task
from attain.learners._table import Core, Sample, TableLearner, fit_constant
from attain.learners._tags.dictionary import fit_frequent
from attain.learners._tags.model import TagModel, is_tagger, load_tagger


class Baseline(TableLearner):
    """Class shares of the training rows, or their mean; each word's most frequent label."""

    name = "baseline"
    counts = (Task.TAGGING,)

    def space(self, dataset: Dataset) -> Space:
        """Nothing to tune."""
        return Space(())

    def fit(self, config: Config, data: FitData, report: Report) -> Any:
        """As `TableLearner.fit`; labels of words are counted for each word."""
        if data.dataset.task is Task.TAGGING:
            return fit_frequent(self.name, data)
        return super().fit(config, data, report)

    def say(self, model: TagModel, rows: Rows) -> np.ndarray:
        """Labels of the words of rows, as JSON lists, shape (n,)."""
        return model.say(rows)

    def load(self, folder: Path) -> Any:
        """As `TableLearner.load`."""
        return load_tagger(folder, self.name) if is_tagger(folder) else super().load(folder)

    def _plan(self, config: Config, dataset: Dataset) -> None:
        return None

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        return fit_constant(sample.y, sample.seen), {}

    def _load(self, folder: Path) -> Core:
        raise ArtifactError("the baseline's values are missing — get the model anew")

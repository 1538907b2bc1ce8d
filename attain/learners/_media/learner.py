"""What the learners of images and of sound do alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from attain.core.errors import DataError, Problem, SpaceError, did_you_mean
from attain.core.media import parse
from attain.core.protocols import FitData, Report
from attain.core.space import Config, Space
from attain.core.types import Attribution, ColumnKind, Dataset, Forecast, Rows
from attain.learners._media import parameters
from attain.learners._media.columns import MediaColumns, find_columns
from attain.learners._media.core import CORES, FRONTS
from attain.learners._pretrained.model import Constant, HeadModel, load_model
from attain.learners._pretrained.outputs import find_outputs, varies
from attain.learners._table import complete


class MediaLearner:
    """A ladder of models for files of one medium: ``plain < frozen < last < full``."""

    name: ClassVar[str]
    kind: ClassVar[ColumnKind]
    reads: ClassVar[tuple[str, ...]]
    stops_early = True
    pauses = True

    def space(self, dataset: Dataset) -> Space:
        """What can be tuned for these rows.

        Args:
            dataset: Needs a column of files; with a pre-trained model there is a ladder.

        Returns:
            The space; each rung's own parameters are conditional on it.

        Raises:
            NotApplicable: When no column holds such files.
        """
        find_columns(dataset, self.kind)
        return parameters.space(dataset, self.kind)

    def fit(self, config: Config, data: FitData, report: Report) -> HeadModel:
        """Fit a model.

        Args:
            config: Values of parameters; defaults fill in for those left out.
            data: The rows.
            report: Told the losses; answers with a signal.

        Returns:
            A model; a constant one when the training rows show one class or one value only.

        Raises:
            SpaceError: When the configuration names a parameter or a rung that does not exist.
            NotApplicable: When no column holds such files.
            DataError: When there are no training rows, no targets or no file that can be read.
        """
        from threadpoolctl import threadpool_limits

        from attain.learners._media import rungs
        from attain.learners._pretrained.lesson import Lesson

        config = complete(self.space(data.dataset), config)
        columns = find_columns(data.dataset, self.kind)
        inputs = columns.read(data.train.X)
        facts: dict[str, Any] = {"unreadable": self._checked(data.train, inputs[0])}
        y = np.asarray(data.train.y)
        outputs = find_outputs(data.dataset, y)
        if not varies(y):
            constant = Constant(np.zeros(1))
            return HeadModel(self.name, "constant", constant, columns, outputs, facts)
        lesson = Lesson.of(config, data, columns, inputs, outputs)
        if data.stop is not None:
            facts["stop_left_out"] = len(data.stop) - lesson.stop_rows
        rung = str(config.get("rung", parameters.PLAIN))
        if rung not in rungs.RUNGS:
            rule, remedy = "a rung must exist", did_you_mean(rung, parameters.RUNGS)
            raise SpaceError(Problem(rule, rung, "rung", remedy))
        with threadpool_limits(data.threads):
            fitted = rungs.RUNGS[rung](str(self.kind), config, data, lesson, report)
        kind, core, found = fitted
        return HeadModel(self.name, kind, core, columns, outputs, {"rung": rung, **facts, **found})

    def _checked(self, rows: Rows, cells: list[str]) -> int:
        """How many files cannot be read; raise when there is nothing to learn from."""
        if rows.y is None or not len(rows):
            rule, remedy = "training rows must be there and have targets", "give labelled rows"
            raise DataError(Problem(rule, f"{len(rows)} rows", "training rows", remedy))
        readable: Any = FRONTS[str(self.kind)].readable  # type: ignore[attr-defined]
        bad = sum(not readable(parse(cell)) for cell in cells)
        if bad == len(rows):
            rule, remedy = "some training file must be readable", "check the files"
            raise DataError(Problem(rule, f"none of {bad}", "training rows", remedy))
        return bad

    def predict(self, model: HeadModel, rows: Rows) -> np.ndarray:
        """Predictions of a fitted model.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them; a file that cannot be read says nothing.

        Returns:
            Probabilities of shape (n, classes), or values of shape (n,).
        """
        return model.predict(rows)

    def load(self, folder: Path) -> HeadModel:
        """Load a model that `HeadModel.save` wrote.

        Args:
            folder: Its folder; the pre-trained model's own folder is not needed.

        Returns:
            A model whose predictions equal the saved one's to the last bit.

        Raises:
            ArtifactError: When files are missing, damaged, foreign or from a newer version.
        """
        return load_model(folder, self.name, CORES, MediaColumns)

    def attribute(
        self, model: HeadModel, rows: Rows, classes: np.ndarray | None
    ) -> tuple[Attribution, ...]:
        """What each place of files said for a class, or how it moved a value.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.
            classes: For each row the code of the class that is asked about, shape (n,); None for
                values.

        Returns:
            One answer a row: exact on the rung ``plain``, integrated gradients above it.

        Raises:
            DataError: When the column is missing, or a class was not trained on.
        """
        from attain.learners._media.sight import attribute

        return attribute(model, rows, classes)

    def pictures(self, model: HeadModel, rows: Rows) -> list[np.ndarray]:
        """Files as pictures for people: images smaller, clips as their spectrum over time.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them; what cannot be read is grey or empty.

        Returns:
            uint8, each of shape (height, width, 3).

        Raises:
            DataError: When the column is missing.
        """
        from attain.learners._media.sight import pictures

        return pictures(model, str(self.kind), rows)

    def places(self, model: HeadModel, rows: Rows) -> np.ndarray:
        """What the head of a model is told of files, which tells how alike they are to it.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.

        Returns:
            float32, shape (n, d), each row of mean square 1.

        Raises:
            DataError: When the column is missing.
        """
        from attain.learners._media.sight import places

        return places(model, rows)

    def read(
        self, dataset: Dataset, cells: Sequence[str], cache: Path | None, threads: int
    ) -> np.ndarray:
        """What the pre-trained network, left as it is, makes of files; ``frozen`` reads it again.

        Args:
            dataset: Names the network.
            cells: References.
            cache: Folder that all fits of a study share, or None.
            threads: CPU threads.

        Returns:
            float32, shape (n, d), each row of mean square 1.
        """
        from attain.learners._media.rungs import read

        return read(str(self.kind), self.space(dataset), dataset, cells, cache, threads)

    def forecast(self, data: FitData, stated: Space | None = None) -> Forecast:
        """What each rung costs, and what the model will see.

        Args:
            data: Training rows and the folder of what is kept between fits.
            stated: The space as the user has narrowed it; None for all of it.

        Returns:
            Rungs and facts about the files; measured by steps that are taken back.

        Raises:
            NotApplicable: When no column holds such files.
            DataError: When there is nothing to learn from.
        """
        from threadpoolctl import threadpool_limits

        from attain.learners._media.forecast import forecast
        from attain.learners._pretrained.forecast import Asked

        asked = Asked(self.space(data.dataset), stated)
        columns = find_columns(data.dataset, self.kind)
        inputs = columns.read(data.train.X)
        bad = self._checked(data.train, inputs[0])
        with threadpool_limits(data.threads):
            made = forecast(str(self.kind), asked, data, columns, inputs)
        return Forecast(made.rungs, made.examples, {**made.facts, "unreadable": bad})

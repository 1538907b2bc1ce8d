"""Texts: from counting words to tuning all of a pre-trained encoder, one rung after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from attain.core.protocols import FitData, Report
from attain.core.space import Config, Space
from attain.core.types import Attribution, Dataset, Forecast, Rows, Task
from attain.learners._pretrained.outputs import find_outputs, varies
from attain.learners._table import complete
from attain.learners._tags import parameters as of_words
from attain.learners._tags.model import TagModel, is_tagger, load_tagger
from attain.learners._text import parameters
from attain.learners._text.inputs import check_training, empties, find_columns
from attain.learners._text.model import NAME, Constant, TextModel, load_model


class Text:
    """A ladder of models for texts: ``tfidf < frozen < last < lora < full``; or ``words < ...``."""

    name = NAME
    stops_early = True
    pauses = True
    counts = (Task.TAGGING,)

    def space(self, dataset: Dataset) -> Space:
        """What can be tuned for these rows.

        Args:
            dataset: Needs a text column; with a pre-trained model there is a ladder.

        Returns:
            The space; each rung's own parameters are conditional on it.

        Raises:
            NotApplicable: When no column is text.
        """
        find_columns(dataset)
        tags = dataset.task is Task.TAGGING
        return of_words.space(dataset) if tags else parameters.space(dataset)

    def fit(self, config: Config, data: FitData, report: Report) -> TextModel | TagModel:
        """Fit a model.

        Args:
            config: Values of parameters; defaults fill in for those left out.
            data: The rows.
            report: Told the losses; answers with a signal.

        Returns:
            A model; a constant one when the training rows show one class or one value only.

        Raises:
            SpaceError: When the configuration names a parameter or a rung that does not exist.
            NotApplicable: When no column is text.
            DataError: When there are no training rows, no targets or no text at all.
        """
        from threadpoolctl import threadpool_limits

        from attain.learners._text import rungs

        space = self.space(data.dataset)
        config = complete(space, config)
        rung = parameters.find_rung(space, config)
        if data.dataset.task is Task.TAGGING:
            from attain.learners._tags.rungs import fit

            with threadpool_limits(data.threads):
                return fit(NAME, config, data, report)
        columns = find_columns(data.dataset)
        texts = columns.read(data.train.X)
        check_training(data.train, texts)
        y = np.asarray(data.train.y)
        outputs = find_outputs(data.dataset, y)
        facts: dict[str, Any] = {"empty": empties(texts)}
        if not varies(y):
            return TextModel(NAME, "constant", Constant(np.zeros(1)), columns, outputs, facts)
        lesson = rungs.Lesson.of(config, data, columns, texts, outputs)
        if data.stop is not None:
            facts["stop_left_out"] = len(data.stop) - lesson.stop_rows
        with threadpool_limits(data.threads):
            kind, core, found = rungs.RUNGS[rung](config, data, lesson, report)
        return TextModel(NAME, kind, core, columns, outputs, {"rung": rung, **facts, **found})

    def predict(self, model: TextModel | TagModel, rows: Rows) -> np.ndarray:
        """Predictions of a fitted model.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.

        Returns:
            Probabilities of shape (n, classes), values of shape (n,), or counts and sums of labels
            of words (`core.counts.TAGGING`).
        """
        return model.predict(rows)

    def say(self, model: TagModel, rows: Rows) -> np.ndarray:
        """Labels of the words of rows.

        Args:
            model: From `fit` or `load`, of words.
            rows: As learners see them; labels are not looked at.

        Returns:
            JSON lists, shape (n,).
        """
        return model.say(rows)

    def load(self, folder: Path) -> TextModel | TagModel:
        """Load a model that `TextModel.save` wrote.

        Args:
            folder: Its folder; the pre-trained model's own folder is not needed.

        Returns:
            A model whose predictions equal the saved one's to the last bit.

        Raises:
            ArtifactError: When files are missing, damaged, foreign or from a newer version.
        """
        return load_tagger(folder, NAME) if is_tagger(folder) else load_model(folder)

    def attribute(
        self, model: TextModel, rows: Rows, classes: np.ndarray | None
    ) -> tuple[Attribution, ...]:
        """What each word of rows said for a class, or how it moved a value.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.
            classes: For each row the code of the class that is asked about, shape (n,); None for
                values.

        Returns:
            One answer a row: exact for counted words, integrated gradients for encoders.

        Raises:
            DataError: When a text column is missing, or a class was not trained on.
            NotApplicable: When an encoder's tokenizer does not say where its tokens stand.
        """
        from attain.learners._text.attribution import attribute

        return attribute(model, rows, classes)

    def forecast(self, data: FitData, stated: Space | None = None) -> Forecast:
        """What each rung costs, and what the model will see.

        Args:
            data: Training rows and the folder of what is kept between fits.
            stated: The space as the user has narrowed it; None for all of it.

        Returns:
            Rungs, examples and facts about the texts; measured by steps that are taken back.

        Raises:
            NotApplicable: When no column is text.
            DataError: When there is nothing to learn from.
        """
        from threadpoolctl import threadpool_limits

        from attain.learners._pretrained.forecast import Asked
        from attain.learners._text.forecast import forecast

        asked = Asked(self.space(data.dataset), stated)
        if data.dataset.task is Task.TAGGING:
            from attain.learners._tags import forecast as forecasting

            with threadpool_limits(data.threads):
                return forecasting.forecast(asked, data)
        with threadpool_limits(data.threads):
            return forecast(asked, data)

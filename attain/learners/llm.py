"""Language models: as they are, with examples in the prompt, with adapters, or tuned as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import NotApplicable, Problem, SpecError, did_you_mean
from attain.core.protocols import FitData, Report
from attain.core.space import Config, Space
from attain.core.types import Dataset, Forecast, Rows, Task
from attain.learners._llm import parameters
from attain.learners._llm.model import NAME, LlmModel, load_model
from attain.learners._table import complete


class Llm:
    """A ladder of ways to use a causal model: ``prompt < few_shot < lora < full``."""

    name = NAME
    stops_early = True
    pauses = True
    counts = (Task.GENERATION, Task.PREFERENCE)

    def space(self, dataset: Dataset) -> Space:
        """What can be tuned for these rows.

        Args:
            dataset: Of a language task, with a pre-trained model.

        Returns:
            The ladder; each rung's own parameters are conditional on it.

        Raises:
            NotApplicable: When nothing is to be written, or no model is named.
        """
        if not dataset.task.language:
            raise NotApplicable("it writes texts; this target is a class or a number")
        if dataset.pretrained is None:
            raise NotApplicable("it needs a language model: name one with model: FOLDER")
        return parameters.space(dataset)

    def fit(self, config: Config, data: FitData, report: Report) -> LlmModel:
        """Fit a model.

        Args:
            config: Values of parameters; defaults fill in for those left out.
            data: The rows.
            report: Told the losses; answers with a signal.

        Returns:
            A model of its own; the pre-trained one stays as it is.

        Raises:
            SpecError: When the configuration names a parameter or a rung that does not exist.
            NotApplicable: As `space`.
            DataError: When there is nothing to learn from.
        """
        from threadpoolctl import threadpool_limits

        from attain.learners._llm import rungs

        config = complete(self.space(data.dataset), config)
        rung = str(config["rung"])
        if rung not in rungs.RUNGS:
            rule, remedy = "a rung must exist", did_you_mean(rung, parameters.RUNGS)
            raise SpecError(Problem(rule, rung, "rung", remedy))
        with threadpool_limits(data.threads):
            return rungs.RUNGS[rung](config, data, report)

    def predict(self, model: LlmModel, rows: Rows) -> np.ndarray:
        """What a model thinks of answers that are known; nothing is generated.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.

        Returns:
            Counts and sums of each row, shape (n, columns of `core.language.COLUMNS`).
        """
        return model.predict(rows)

    def write(
        self, model: LlmModel, rows: Rows, most: int | None = None
    ) -> tuple[np.ndarray, Sequence[Mapping[str, Any]]]:
        """Predictions with generated answers judged, and these answers.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.
            most: Rows that are answered, always the same of the same rows; None for all.

        Returns:
            As `predict`, and ``row``, ``prompt``, ``reference``, ``answer`` and ``ended`` of each
            row that was answered.
        """
        return model.write(rows, most)

    def reloaded(self, model: LlmModel, rows: Rows) -> Mapping[str, Any]:
        """Put the saved adapter on the pre-trained model anew, and compare it with merged weights.

        Args:
            model: From `load`.
            rows: With their answers.

        Returns:
            ``adapter_differs`` (largest difference of a row's loss, nats a token), ``answers_same``
            and ``answers``; nothing where there is no adapter, or the pre-trained model is gone.

        Raises:
            ArtifactError: When they do not compute the same.
        """
        from attain.learners._llm.export import compare

        return compare(model, rows)

    def load(self, folder: Path) -> LlmModel:
        """Load a model that `LlmModel.save` wrote.

        Args:
            folder: Its folder; the pre-trained model's own folder is not needed.

        Returns:
            A model whose predictions equal the saved one's to the last bit.

        Raises:
            ArtifactError: When files are missing, damaged, foreign or from a newer version.
        """
        return load_model(folder)

    def forecast(self, data: FitData, stated: Space | None = None) -> Forecast:
        """What each rung costs, what is trained, and what would go wrong.

        Args:
            data: Training rows.
            stated: The space as the user has narrowed it; None for all of it.

        Returns:
            Rungs, examples with their trained tokens, facts, and findings about the masks.

        Raises:
            NotApplicable: As `space`.
            DataError: When there is nothing to learn from.
        """
        from threadpoolctl import threadpool_limits

        from attain.learners._llm.forecast import forecast
        from attain.learners._pretrained.forecast import Asked

        asked = Asked(self.space(data.dataset), stated)
        with threadpool_limits(data.threads):
            return forecast(asked, data)

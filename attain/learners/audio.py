"""Sound: labels and numbers of clips, and what is said in them, one rung after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import NotApplicable
from attain.core.protocols import FitData, Report
from attain.core.space import Config, Space
from attain.core.types import ColumnKind, Dataset, Forecast, Rows, Task
from attain.learners._media.columns import find_columns
from attain.learners._media.learner import MediaLearner
from attain.learners._speech import parameters as speech
from attain.learners._speech.model import FILE, load_model
from attain.learners._table import complete


class Audio(MediaLearner):
    """A ladder of models for sound clips: ``plain < frozen < last < full``.

    Where clips are to be transcribed: ``as_is < head < lora < full``, from a network with a head of
    characters (`_speech`).
    """

    name = "audio"
    kind = ColumnKind.AUDIO
    reads = ("audio",)
    counts = (Task.TRANSCRIPTION,)

    def space(self, dataset: Dataset) -> Space:
        """What can be tuned for these rows.

        Args:
            dataset: Needs a column of clips; to transcribe them, also a pre-trained network.

        Returns:
            The ladder; each rung's own parameters are conditional on it.

        Raises:
            NotApplicable: When no column holds clips, or no network is named that could write.
        """
        if dataset.task is not Task.TRANSCRIPTION:
            return super().space(dataset)
        find_columns(dataset, self.kind)
        if dataset.pretrained is None:
            raise NotApplicable("it needs a network that writes: name one with model: FOLDER")
        return speech.space()

    def fit(self, config: Config, data: FitData, report: Report) -> Any:
        """Fit a model.

        Args:
            config: Values of parameters; defaults fill in for those left out.
            data: The rows.
            report: Told the losses; answers with a signal.

        Returns:
            A model; one that writes where clips are to be transcribed.

        Raises:
            SpaceError: When the configuration names a parameter or a rung that does not exist.
            NotApplicable: As `space`.
            DataError: When there is nothing to learn from.
        """
        if data.dataset.task is not Task.TRANSCRIPTION:
            return super().fit(config, data, report)
        from threadpoolctl import threadpool_limits

        from attain.learners._speech.rungs import fit
        from attain.learners._torch.device import threads

        # states are heard before the loop begins: with other threads their sums round differently
        with threadpool_limits(data.threads), threads(data.threads):
            return fit(complete(self.space(data.dataset), config), data, report)

    def say(self, model: Any, rows: Rows) -> np.ndarray:
        """Transcripts of clips.

        Args:
            model: From `fit` or `load`, one that writes.
            rows: As learners see them.

        Returns:
            Texts, shape (n,); None for clips that cannot be read.

        Raises:
            DataError: When the column of clips is missing.
        """
        found: np.ndarray = model.say(rows)
        return found

    def load(self, folder: Path) -> Any:
        """Load a model that was saved.

        Args:
            folder: Its folder; the pre-trained network's own folder is not needed.

        Returns:
            A model whose predictions equal the saved one's to the last bit.

        Raises:
            ArtifactError: When files are missing, damaged, foreign or from a newer version.
        """
        return load_model(folder) if (folder / FILE).is_file() else super().load(folder)

    def forecast(self, data: FitData, stated: Space | None = None) -> Forecast:
        """What each rung costs, and what the model will see.

        Args:
            data: Training rows and the folder of what is kept between fits.
            stated: The space as the user has narrowed it; None for all of it.

        Returns:
            Rungs and facts; of transcripts also examples as they are written, and findings.

        Raises:
            NotApplicable: As `space`.
            DataError: When there is nothing to learn from.
        """
        if data.dataset.task is not Task.TRANSCRIPTION:
            return super().forecast(data, stated)
        from threadpoolctl import threadpool_limits

        from attain.learners._pretrained.forecast import Asked
        from attain.learners._speech.forecast import forecast

        asked = Asked(self.space(data.dataset), stated)
        with threadpool_limits(data.threads):
            return forecast(asked, data)

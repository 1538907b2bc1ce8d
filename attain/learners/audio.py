"""Sound: from band energies to tuning all of a pre-trained network, one rung after the other."""

from __future__ import annotations

from attain.core.types import ColumnKind
from attain.learners._media.learner import MediaLearner


class Audio(MediaLearner):
    """A ladder of models for sound clips: ``plain < frozen < last < full``."""

    name = "audio"
    kind = ColumnKind.AUDIO
    reads = ("audio",)

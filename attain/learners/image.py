"""Images: from small pictures to tuning all of a pre-trained network, one rung after the other."""

from __future__ import annotations

from attain.core.types import ColumnKind
from attain.learners._media.learner import MediaLearner


class Image(MediaLearner):
    """A ladder of models for images: ``plain < frozen < last < full``."""

    name = "image"
    kind = ColumnKind.IMAGE
    reads = ("image",)

"""What a pre-trained model makes of files before anything is trained, for checks of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attain.core.protocols import Reading
from attain.core.registry import find
from attain.core.types import Dataset
from attain.parameters.select import MEDIA
from attain.pipeline import folders

if TYPE_CHECKING:
    import numpy as np


def reader(folder: Path, dataset: Dataset) -> Callable[[Sequence[str]], np.ndarray] | None:
    """How files are read by the model that the user named.

    Features are kept in the study's cache, where the fits that need them find them again.

    Args:
        folder: Of the study.
        dataset: What is known of the rows.

    Returns:
        From cells to features; None without a model, or where no learner of files reads it.
    """
    if dataset.pretrained is None or dataset.modality not in MEDIA:
        return None
    learner = find("learner", dataset.modality)()
    if not isinstance(learner, Reading):
        return None
    return lambda cells: learner.read(dataset, cells, folders.cache(folder), 1)

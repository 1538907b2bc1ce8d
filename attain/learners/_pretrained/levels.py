"""Rows of features brought to one length, so that heads see directions."""

from __future__ import annotations

import numpy as np

FLOOR = 1e-6
"""Added to mean squares, so that rows of zeros stay zeros."""


def level(features: np.ndarray) -> np.ndarray:
    """Rows of mean square 1: pooled states differ in length for reasons other than meaning.

    Args:
        features: Shape (n, d), float32.

    Returns:
        The same directions.
    """
    squares = np.einsum("nd,nd->n", features, features) / features.shape[1]
    return features / np.sqrt(squares + FLOOR)[:, None]

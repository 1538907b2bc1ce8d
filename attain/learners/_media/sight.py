"""What files look like to a model: what each place said, a picture, and where a file lies."""

from __future__ import annotations

import numpy as np

from attain.core.media import parse
from attain.core.types import Attribution, Rows, SeenFile
from attain.learners._media.core import FRONTS, Bodied, Plain, features, summaries
from attain.learners._media.front import Front
from attain.learners._media.parts import Part
from attain.learners._pretrained.levels import level
from attain.learners._pretrained.model import Constant, HeadModel, contrasts

_EXACT = 1e-6
"""Of the sum of a linear model, relative to its terms: rounding of float32."""


def attribute(model: HeadModel, rows: Rows, classes: np.ndarray | None) -> tuple[Attribution, ...]:
    """What the places of files said for a class or a value.

    Args:
        model: A fitted model.
        rows: As learners see them.
        classes: For each row the code of the class that is asked about, shape (n,); None for
            values.

    Returns:
        One answer a row; what a model that answers always the same says has one cell of nothing.

    Raises:
        DataError: When the column is missing, or a class was not among those it was trained on.
    """
    (cells,) = model.columns.read(rows.X)
    weighing = contrasts(model.outputs, len(rows), classes)
    if isinstance(model.core, Bodied):
        from attain.learners._media.gradients import integrate

        scale = 1.0 if model.outputs.seen else model.outputs.scale
        parts = integrate(model.core, cells, weighing, scale)
    elif isinstance(model.core, Plain):
        parts = _linear(model.core, cells, weighing)
    else:
        values = weighing @ model.core.scores([["x"]])[0]
        parts = [Part(np.zeros((1, 1)), float(v), float(v)) for v in values]
    shift = 0.0 if model.outputs.seen else model.outputs.center
    (name,) = model.columns.names
    return tuple(
        Attribution(
            (), p.output + shift, p.baseline + shift, p.rest, p.tolerance, p.steps,
            (SeenFile(name, tuple(map(tuple, p.cells.tolist()))),),
        )
        for p in parts
    )  # fmt: skip


def _linear(core: Plain, cells: list[str], weighing: np.ndarray) -> list[Part]:
    """Weight times value of each number of a summary, at its place."""
    summed = summaries(core.front, cells, core.cache).astype(np.float64)
    slope, found = core.linear.slope.astype(np.float64), []
    baselines = weighing @ core.linear.intercept.astype(np.float64)
    for row, contrast, baseline in zip(summed, weighing, baselines, strict=True):
        parts = row * (slope @ contrast)
        output = float(parts.sum() + baseline)
        tolerance = _EXACT * (1 + float(np.abs(parts).sum()))
        found.append(Part(core.front.mapped(parts), output, float(baseline), 0.0, tolerance))
    return found


def pictures(model: HeadModel, kind: str, rows: Rows) -> list[np.ndarray]:
    """What a model sees of files, for people.

    Args:
        model: A fitted model.
        kind: ``image`` or ``audio``.
        rows: As learners see them.

    Returns:
        uint8, each of shape (height, width, 3).

    Raises:
        DataError: When the column is missing.
    """
    (cells,) = model.columns.read(rows.X)
    front = FRONTS[kind]() if isinstance(model.core, Constant) else _front(model)
    return [front.picture(parse(cell)) for cell in cells]


def places(model: HeadModel, rows: Rows) -> np.ndarray:
    """Where files lie to a model: what its head is told of them.

    Args:
        model: A fitted model.
        rows: As learners see them.

    Returns:
        float32, shape (n, d), each row of mean square 1; the same for all rows of a model that
        answers always the same.

    Raises:
        DataError: When the column is missing.
    """
    (cells,) = model.columns.read(rows.X)
    core = model.core
    if isinstance(core, Bodied):
        return features(core.body(), core.front, cells, core.cache, core.threads)
    if isinstance(core, Plain):
        return level(summaries(core.front, cells, core.cache))
    return np.ones((len(cells), 1), dtype=np.float32)


def _front(model: HeadModel) -> Front:
    assert isinstance(model.core, Plain | Bodied)
    return model.core.front

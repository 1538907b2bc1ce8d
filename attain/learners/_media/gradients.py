"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) of a body of files.

The path leads from the states of a file that says nothing, a picture of one colour or silence, to
those of the file. It is taken in the layer that `architectures.Backbone.middle` names: places there
are those of the file, and 16 points do where all pixels of a photograph take more than 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from attain.core.media import parse
from attain.learners._media.core import Bodied
from attain.learners._media.parts import Part
from attain.learners._pretrained.integrals import TOLERANCE, fixed, path_integral
from attain.learners._pretrained.levels import FLOOR
from attain.learners._torch.device import threads

if TYPE_CHECKING:
    from attain.learners._pretrained.media import MediaBody


def integrate(
    core: Bodied, cells: Sequence[str], contrasts: np.ndarray, scale: float
) -> list[Part]:
    """What the places of files said.

    Args:
        core: Body and head.
        cells: References.
        contrasts: What scores are multiplied with, shape (n, outputs).
        scale: Of a score of 1 in the unit of the answer.

    Returns:
        One for each file.
    """
    body = core.body()
    training = body.net.training
    body.net.eval()
    allowed = lambda way: TOLERANCE * max(abs(way), scale)  # noqa: E731
    found = []
    # cudnn has no gradients of recurrent layers that are not in training
    with threads(core.threads), fixed(body.net), torch.backends.cudnn.flags(enabled=False):
        for cell, contrast in zip(cells, contrasts, strict=True):
            row = core.front.decoded([parse(cell)], None)
            case = _Case(body, core, row, contrast)
            made = path_integral(case.score, [case.end], [case.start], allowed)
            offset = float(core.linear.intercept.astype(np.float64) @ contrast)
            grid, rest = core.front.laid(case.placed(made.values[0]), row[0])
            tolerance = allowed(made.output - made.baseline)
            output, baseline = made.output + offset, made.baseline + offset
            found.append(Part(grid, output, baseline, rest, tolerance, made.steps))
    body.net.train(training)
    return found


class _Case:
    """One file as a function of the states of a layer.

    Args:
        body: Of the model.
        core: The model.
        row: The decoded file, one row.
        contrast: What scores are multiplied with.
    """

    def __init__(
        self, body: MediaBody, core: Bodied, row: np.ndarray, contrast: np.ndarray
    ) -> None:
        self._net = body.net
        slope = core.linear.slope.astype(np.float64) @ contrast
        self._slope = torch.from_numpy(slope.astype(np.float32)).to(body.net.device)
        states, self._inputs, self._more = self._states(core, row)
        nothing, _, _ = self._states(core, core.front.blank(row))
        self._shape = tuple(states.shape[1:])
        self._raw = len(self._shape) < 3 and states.shape == self._inputs.shape
        self.end, self.start = self._flat(states), self._flat(nothing)

    def _states(
        self, core: Bodied, row: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        made = {n: t.to(self._net.device) for n, t in core.front.inputs(row).items()}
        inputs = made.pop("inputs")
        with torch.no_grad():
            states: torch.Tensor = self._net.middle(inputs)
        return states, inputs, made

    def _flat(self, states: torch.Tensor) -> torch.Tensor:
        """Places, and what is said there; of sound that is not deep each number is a place."""
        if len(self._shape) == 3:
            return states[0].flatten(1).T.contiguous()
        return states[0].reshape(-1, 1) if self._raw else states[0].contiguous()

    def score(self, flat: Sequence[torch.Tensor]) -> torch.Tensor:
        """The head's answer, without its intercept."""
        (states,) = flat
        many = states.transpose(1, 2) if len(self._shape) == 3 else states
        more = {name: tensor.expand(len(many)) for name, tensor in self._more.items()}
        found = self._net.onward(many.reshape(-1, *self._shape), self._inputs, **more).float()
        return found * torch.rsqrt(found.square().mean(dim=1, keepdim=True) + FLOOR) @ self._slope

    def placed(self, values: np.ndarray) -> np.ndarray:
        """What each place said, as the file has its places."""
        shape = self._shape
        if len(shape) == 3:
            return values.reshape(shape[1:])
        if self._inputs.ndim == 4:  # patches, behind tokens that stand for no place
            side = int(np.sqrt(len(values)))
            return values[len(values) - side * side :].reshape(side, side)
        return values.reshape(shape[0], -1)

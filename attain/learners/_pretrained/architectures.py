"""Plain torch networks whose weights others publish: their shapes, and the names of their tensors.

Written from the published descriptions: EfficientNet-Lite (Tan & Le 2019, arXiv:1905.11946, without
squeeze-and-excitation and with ReLU6, as TensorFlow's "lite" variants), and the speaker encoder of
Wan et al. 2018 (arXiv:1710.10467, "GE2E").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

_STAGES = (
    (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
)  # fmt: skip
"""Repeats, kernel, stride, expansion, channels in and out (arXiv:1905.11946, table 1)."""
_LITE0 = (1, 2, 2, 3, 3, 4, 1)
_LITE1 = (1, 3, 3, 4, 4, 5, 1)
"""Repeats at depth 1.1, rounded up; the first and the last stage keep theirs."""


_MIDDLE = 5
"""Stages up to those with a place for each 16 pixels."""


class Backbone(nn.Module):
    """A network from inputs to one row of features, shape (rows, hidden).

    Batch norms keep the statistics that they came with unless `learns_statistics` is set: those of
    a few rows are worse than those of the data that the weights were learnt from.

    Attributes:
        hidden: Width of a row of features.
        learns_statistics: Whether batch norms learn while training.
    """

    hidden: int
    learns_statistics = False

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of its weights."""
        return next(self.parameters()).dtype

    def train(self, mode: bool = True) -> Backbone:
        """Change to training or evaluation."""
        super().train(mode)
        if not self.learns_statistics:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def middle(self, inputs: torch.Tensor) -> torch.Tensor:
        """States of a layer whose places are still those of the inputs; here the inputs."""
        return inputs

    def onward(
        self, states: torch.Tensor, inputs: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        """Features from the states of that layer, the inputs, and what else `forward` takes."""
        found: torch.Tensor = self(states, **more)
        return found


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Conv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME" does: more on the right and below."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        pads = []
        for size, kernel, stride in zip(
            input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [whole // 2, whole - whole // 2]
        padded = functional.pad(input, pads) if any(pads) else input
        return self._conv_forward(padded, self.weight, self.bias)


class _Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018, arXiv:1801.04381, figure 4)."""

    def __init__(self, kernel: int, stride: int, expand: int, inside: int, out: int) -> None:
        super().__init__()
        wide = inside * expand
        self.expand_conv = self.norm0 = None
        if expand > 1:
            self.expand_conv = _Conv(inside, wide, 1, bias=False)
            self.norm0 = _norm(wide)
        self.depthwise_conv = _Conv(wide, wide, kernel, stride, groups=wide, bias=False)
        self.norm1 = _norm(wide)
        self.project_conv = _Conv(wide, out, 1, bias=False)
        self.norm2 = _norm(out)
        self._skips = stride == 1 and inside == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        if self.expand_conv is not None and self.norm0 is not None:
            y = functional.relu6(self.norm0(self.expand_conv(y)))
        y = functional.relu6(self.norm1(self.depthwise_conv(y)))
        y = self.norm2(self.project_conv(y))
        return x + y if self._skips else y


class _Top(nn.Module):
    """The last convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _Conv(320, channels, 1, bias=False)
        self.norm = _norm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu6(self.norm(self.conv(x)))


class EfficientNetLite(Backbone):
    """EfficientNet-Lite up to the pooling.

    Args:
        repeats: Blocks of each stage.
    """

    hidden = 1280

    def __init__(self, repeats: tuple[int, ...] = _LITE0) -> None:
        super().__init__()
        self.stem = _Conv(3, 32, 3, 2, bias=False)
        self.norm = _norm(32)
        made = []
        for times, (_, kernel, stride, expand, inside, out) in zip(repeats, _STAGES, strict=True):
            made.append(_Block(kernel, stride, expand, inside, out))
            made += [_Block(kernel, 1, expand, out, out) for _ in range(times - 1)]
        self.blocks = nn.ModuleList(made)
        self.head = _Top(self.hidden)
        self._deep = sum(repeats[:_MIDDLE])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features of images, shape (rows, 3, height, width)."""
        return self.onward(self.middle(inputs), inputs)

    def middle(self, inputs: torch.Tensor) -> torch.Tensor:
        """The last states with a place for each 16 pixels; from here on a path needs few steps."""
        x = functional.relu6(self.norm(self.stem(inputs)))
        for block in self.blocks[: self._deep]:
            x = block(x)
        return x

    def onward(
        self, states: torch.Tensor, inputs: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        """Features from those states."""
        for block in self.blocks[self._deep :]:
            states = block(states)
        return self.head(states).mean(dim=(2, 3))


class SpeakerLstm(Backbone):
    """Three LSTM layers over mel bands.

    Features are the mean of the top layer's states and its last state. The embedding of a speaker
    that was learnt on it is left out: it was made to forget what is said.
    """

    hidden = 512
    _width = 256

    def __init__(self) -> None:
        super().__init__()
        wide = (40, self._width, self._width)
        layers = [nn.LSTM(width, self._width, batch_first=True) for width in wide]
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Features of spectra, shape (rows, frames, 40), of which `lengths` frames are sound."""
        states = inputs
        for layer in self.layers:
            states, _ = layer(states)
        at = torch.arange(states.shape[1], device=states.device)
        sound = (at < lengths[:, None]).unsqueeze(2)
        mean = states.masked_fill(~sound, 0).sum(dim=1) / lengths[:, None]
        last = states[torch.arange(len(states), device=states.device), lengths - 1]
        return torch.cat([mean, last], dim=1)


@dataclass(frozen=True)
class Architecture:
    """A network that weights can be imported into.

    Attributes:
        modality: ``image`` or ``audio``.
        build: Makes it with random weights.
        front: How inputs are prepared: attributes of `ImageFront` or `SoundFront`.
        renamed: From the published name of a tensor to the one here; None for one left out.
        inside: Where the tensors lie in the published file, if in a mapping within it.
        normed: Whether it has batch norms.
    """

    modality: str
    build: Callable[[], Backbone]
    front: Mapping[str, Any]
    renamed: Callable[[str], str | None]
    inside: str = ""
    normed: bool = False


def _lite_name(name: str) -> str | None:
    if name.startswith("_fc."):
        return None
    for published, here in (
        (r"^_conv_stem\.", "stem."), (r"^_bn0\.", "norm."), (r"^_conv_head\.", "head.conv."),
        (r"^_bn1\.", "head.norm."), (r"^_blocks\.", "blocks."), (r"\._(\w+_conv)\.", r".\1."),
        (r"\._bn(\d)\.", r".norm\1."),
    ):  # fmt: skip
        name = re.sub(published, here, name)
    return name


def _speaker_name(name: str) -> str | None:
    match = re.fullmatch(r"lstm\.(\w+)_l(\d)", name)
    return f"layers.{match[2]}.{match[1]}_l0" if match else None


def _lite(size: int) -> dict[str, Any]:
    return {"size": size, "mean": [127.0] * 3, "spread": [128.0] * 3}


ARCHITECTURES: Mapping[str, Architecture] = {
    "efficientnet-lite0": Architecture(
        "image", EfficientNetLite, _lite(224), _lite_name, normed=True
    ),
    "efficientnet-lite1": Architecture(
        "image", lambda: EfficientNetLite(_LITE1), _lite(240), _lite_name, normed=True
    ),
    "speaker-lstm": Architecture(
        "audio",
        SpeakerLstm,
        {"rate": 16_000, "window": 400, "hop": 160, "bands": 40, "log": False, "loudness": -30.0},
        _speaker_name,
        inside="model_state",
    ),
}
"""By name, as ``attain import --as`` and ``model_type`` in config.json have it."""

"""Bodies that read images or sound: the networks beside, or transformers' own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from attain.core.errors import ArtifactError
from attain.core.types import Pretrained
from attain.learners._pretrained.architectures import ARCHITECTURES, Backbone
from attain.learners._pretrained.load import (
    Body,
    check_finite,
    check_keys,
    libraries,
    plainly,
    quietly,
    tensors,
)

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
_FILES = (CONFIG, PROCESSOR)


class Foreign(Backbone):
    """A network of transformers whose last states are pooled.

    Args:
        net: A `transformers.PreTrainedModel` of images or sound.
        name: What it calls its inputs.
    """

    def __init__(self, net: Any, name: str) -> None:
        super().__init__()
        self.net, self._name = net, name
        config = net.config
        self.hidden = int(getattr(config, "hidden_size", 0) or config.hidden_sizes[-1])

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Means over all places of an image, or over the places of a clip that are sound."""
        return self._pooled(self.net(**{self._name: inputs}).last_hidden_state, inputs, lengths)

    def middle(self, inputs: torch.Tensor) -> torch.Tensor:
        """Embeddings of patches, the last stage but one of convolutions, or features of samples.

        Of other networks, those of spectra among them, the inputs.
        """
        inner, found = self._inner(), []
        if inner is not None:
            handle = inner.register_forward_hook(lambda *told: found.append(told[-1]))
            with handle:
                self.net(**{self._name: inputs})
        if not found or not isinstance(found[0], torch.Tensor):
            return inputs
        states: torch.Tensor = found[0]
        return states.transpose(1, 2) if inputs.ndim == 2 else states

    def onward(
        self, states: torch.Tensor, inputs: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        """Features from states that take the place of those of the network's own inputs."""
        if states.shape[1:] == inputs.shape[1:]:
            return super().onward(states, inputs, **more)
        inner = self._inner()
        assert inner is not None  # it gave states of this shape
        own = states.transpose(1, 2) if inputs.ndim == 2 else states
        with inner.register_forward_hook(lambda *_: own):
            found: torch.Tensor = self(inputs.expand(len(states), *inputs.shape[1:]), **more)
        return found

    def _inner(self) -> nn.Module | None:
        """A module whose outputs have the places of the inputs, but fewer of them."""
        if self._name == "input_values":
            return getattr(self.net, "feature_extractor", None)
        stages = getattr(getattr(self.net, "encoder", None), "stages", None)
        if stages is not None and len(stages) > 1:
            return cast("nn.Module", stages[-2])
        return getattr(self.net, "embeddings", None)

    def _pooled(
        self, states: torch.Tensor, inputs: torch.Tensor, lengths: torch.Tensor | None
    ) -> torch.Tensor:
        if states.ndim == 4:
            return states.mean(dim=(2, 3))
        if lengths is None or inputs.ndim != 2:
            return states.mean(dim=1)
        share = lengths.to(states.device) / inputs.shape[1]
        sound = torch.arange(states.shape[1], device=states.device) < torch.ceil(
            share[:, None] * states.shape[1]
        )
        wide = sound.unsqueeze(2)
        return states.masked_fill(~wide, 0).sum(dim=1) / wide.sum(dim=1)


@dataclass(eq=False)
class MediaBody(Body):
    """A body that reads images or sound; it has no tokenizer.

    Attributes:
        front: How inputs are prepared, plain values.
        files: Configuration that is saved beside the weights, by name.
    """

    front: Mapping[str, Any] | None = None
    files: Mapping[str, str] | None = None

    def save(self, folder: Path) -> None:
        """Write configuration and weights as they are now.

        Args:
            folder: An existing folder, which `load_media` can read then.
        """
        from safetensors.torch import save_file

        inner = self.net.net if isinstance(self.net, Foreign) else self.net
        state = {n: t.detach().cpu().contiguous().clone() for n, t in inner.state_dict().items()}
        save_file(state, folder / WEIGHTS, {"format": "pt"})
        for name, content in (self.files or {}).items():
            (folder / name).write_text(content, encoding="utf-8")


def load_media(pretrained: Pretrained, *, dtype: str = "float32", device: str = "cpu") -> MediaBody:
    """Load a body from its folder; never through the network, never with code from the folder.

    Args:
        pretrained: What `data.pretrained` described.
        dtype: Number type of the weights.
        device: As torch names it.

    Returns:
        The body in evaluation mode.

    Raises:
        ArtifactError: When tensors are missing, left over, of other shapes or not finite, or when
            transformers cannot load it.
        EnvironmentProblem: When transformers is needed and not installed.
    """
    folder = Path(pretrained.folder)
    files = {n: (folder / n).read_text("utf-8") for n in _FILES if (folder / n).is_file()}
    config = json.loads(files[CONFIG])
    own = config["model_type"] in ARCHITECTURES
    net, front = _own(folder, config) if own else _foreign(pretrained, files)
    check_finite(net, str(folder))
    net.learns_statistics = not config.get("trained", True)
    net.to(device=device, dtype=getattr(torch, dtype)).eval()
    return MediaBody(
        net=net, config=config, tokenizer=None, hidden=net.hidden, layers=1, longest=0,
        digest=pretrained.digest, front=front, files=files,
        _originals={name: tensor.detach().cpu().clone() for name, tensor in tensors(net)},
    )  # fmt: skip


def _own(folder: Path, config: Mapping[str, Any]) -> tuple[Backbone, dict[str, Any]]:
    """A network of this package with the weights of a folder."""
    from safetensors.torch import load_file

    net = ARCHITECTURES[config["model_type"]].build()
    with plainly(str(folder)):
        state = load_file(folder / WEIGHTS)
    fit(net, state, str(folder))
    front = dict(ARCHITECTURES[config["model_type"]].front)
    if not config.get("trained", True):
        _for_random_weights(net, front)
    return net, front


def _for_random_weights(net: Backbone, front: dict[str, Any]) -> None:
    """What suits weights that learn from the start: quick statistics, logarithms of power.

    Published networks keep a hundredth of each batch, for millions of them, and the speaker's was
    taught on power, whose small numbers random weights do not see.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    if "log" in front:
        front["log"] = True


def fit(net: Backbone, state: Mapping[str, torch.Tensor], place: str) -> None:
    """Put weights into a network, whole or not at all.

    Args:
        net: The network.
        state: Tensors by name.
        place: Where they came from, for messages.

    Raises:
        ArtifactError: Names tensors that are missing, left over or of another shape.
    """
    wanted = net.state_dict()
    wrong = [
        f"{what}: {', '.join(sorted(names)[:4])}{' ...' if len(names) > 4 else ''}"
        for what, names in (
            ("missing", wanted.keys() - state.keys()),
            ("without a place", state.keys() - wanted.keys()),
            (
                "of another shape",
                {n for n in wanted.keys() & state.keys() if wanted[n].shape != state[n].shape},
            ),
        )
        if names
    ]
    if wrong:
        raise ArtifactError(
            f"the weights in {place} do not fit the architecture ({'; '.join(wrong)}) — get them"
            " anew, or name another architecture"
        )
    net.load_state_dict(dict(state))


def _foreign(pretrained: Pretrained, files: Mapping[str, str]) -> tuple[Backbone, dict[str, Any]]:
    """transformers' network, and how its processor prepares inputs."""
    _, transformers = libraries()
    folder = pretrained.folder
    with quietly(), plainly(folder):
        net, info = transformers.AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=None if pretrained.trusted else True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    check_keys(net, info, folder)
    if getattr(net, "pooler", None) is not None and hasattr(net, "embeddings"):
        net.pooler = None
    told = json.loads(files.get(PROCESSOR, "{}"))
    name = str(net.main_input_name)
    if name == "pixel_values":
        return Foreign(net, name), _image_front(told, net.config)
    return Foreign(net, name), _sound_front(told, folder)


def _image_front(told: Mapping[str, Any], config: Any) -> dict[str, Any]:
    size = told.get("size", getattr(config, "image_size", None) or 224)
    if isinstance(size, Mapping):
        size = size.get("shortest_edge") or size.get("height") or 224
    scale = float(told.get("rescale_factor", 1 / 255))
    mean, spread = told.get("image_mean", [0.5] * 3), told.get("image_std", [0.5] * 3)
    return {
        "size": int(size),
        "mean": tuple(float(m) / scale for m in mean),
        "spread": tuple(float(s) / scale for s in spread),
    }


def _sound_front(told: Mapping[str, Any], folder: str) -> dict[str, Any]:
    rate = int(told.get("sampling_rate", 16_000))
    waves = told.get("feature_extractor_type", "Wav2Vec2FeatureExtractor") == (
        "Wav2Vec2FeatureExtractor"
    )
    plain = {"rate": rate, "window": 0, "loudness": float("nan")}
    return plain if waves else {**plain, "extractor": folder}

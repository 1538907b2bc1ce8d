"""Networks of speech: loaded whole, and called so that no clip depends on its neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attain.core.errors import ArtifactError
from attain.core.types import Pretrained
from attain.learners._pretrained.layers import blocks
from attain.learners._pretrained.load import (
    Body,
    check_finite,
    check_keys,
    libraries,
    plainly,
    quietly,
    tensors,
)
from attain.learners._pretrained.media import CONFIG, PROCESSOR, WEIGHTS
from attain.learners._speech.alphabet import FILES, Alphabet, read_alphabet
from attain.learners._speech.waves import Hearing

_WHOLE_PROCESSOR = "processor_config.json"
"""Where transformers 5 puts what a processor says of clips, beside its tokenizer's files."""
_SAVED = (CONFIG, PROCESSOR, _WHOLE_PROCESSOR, *FILES)
_COVER = "masked_spec_embed"
"""What stands for frames that are covered; checkpoints that were never trained so lack it."""


@dataclass(eq=False, kw_only=True)
class SpeechBody(Body):
    """A network that listens, with its head of characters.

    Attributes:
        alphabet: What it can write.
        hearing: How it takes clips.
        files: Configuration that is saved beside the weights, by name.
    """

    alphabet: Alphabet
    hearing: Hearing
    files: Mapping[str, str]

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Frames that clips of so many samples give, int64."""
        found: torch.Tensor = self.net._get_feat_extract_output_lengths(samples)
        return found.to(torch.int64).clamp(min=0)

    @property
    def head(self) -> nn.Linear:
        """From states to characters."""
        found: nn.Linear = self.net.lm_head
        return found

    def save(self, folder: Path) -> None:
        """Write configuration, vocabulary and weights as they are now.

        Args:
            folder: An existing folder, which `load_speech` can read then.
        """
        from safetensors.torch import save_file

        state = {
            n: t.detach().cpu().contiguous().clone()
            for n, t in self.net.state_dict().items()
            if ".lora_" not in n
        }
        save_file(state, folder / WEIGHTS, {"format": "pt"})
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")


def load_speech(
    pretrained: Pretrained, *, dtype: str = "float32", device: str = "cpu"
) -> SpeechBody:
    """Load a network of speech; never through the network, never with code from the folder.

    Args:
        pretrained: What `data.pretrained` described.
        dtype: Number type of the weights.
        device: As torch names it.

    Returns:
        The network in evaluation mode; its own random masks are off.

    Raises:
        ArtifactError: When tensors are missing, left over, of other shapes or not finite, when the
            vocabulary does not fit, or when it does not take samples.
        EnvironmentProblem: When transformers is not installed.
    """
    _, transformers = libraries()
    folder = Path(pretrained.folder)
    alphabet = read_alphabet(folder)
    with quietly(), plainly(pretrained.folder):
        net, info = transformers.AutoModelForCTC.from_pretrained(
            pretrained.folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=None if pretrained.trusted else True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    missing = [key for key in info["missing_keys"] if not key.endswith(_COVER)]
    if len(missing) < len(info["missing_keys"]):
        getattr(net.base_model, _COVER).data.zero_()
    ignored = check_keys(net, {**info, "missing_keys": missing}, pretrained.folder)
    check_finite(net, pretrained.folder)
    _check(net, alphabet, pretrained.folder)
    net.config.apply_spec_augment = False
    net.to(device=device, dtype=getattr(torch, dtype)).eval()
    files = {n: (folder / n).read_text("utf-8") for n in _SAVED if (folder / n).is_file()}
    return SpeechBody(
        net=net, config=net.config, tokenizer=None, hidden=int(net.lm_head.in_features),
        layers=len(blocks(net)[1]), longest=0, digest=pretrained.digest, ignored=ignored,
        _originals={name: tensor.detach().cpu().clone() for name, tensor in tensors(net)},
        alphabet=alphabet, hearing=_hearing(net, _told(files)), files=files,
    )  # fmt: skip


def _check(net: Any, alphabet: Alphabet, folder: str) -> None:
    able = hasattr(net, "_get_feat_extract_output_lengths") and hasattr(net, "lm_head")
    if net.main_input_name != "input_values" or not able:
        raise ArtifactError(
            f"{folder} does not take samples of sound (it takes {net.main_input_name}) — name a"
            " model such as Wav2Vec2ForCTC, HubertForCTC or WavLMForCTC"
        )
    outputs = int(net.lm_head.out_features)
    without = [token for token in alphabet.tokens[outputs:] if token]  # specials may be more
    if without or net.config.pad_token_id != alphabet.blank:
        raise ArtifactError(
            f"the vocabulary in {folder} has {len(alphabet.tokens)} tokens and"
            f" {alphabet.blank} for nothing new, the network {outputs} and"
            f" {net.config.pad_token_id} — use the tokenizer that belongs to the weights"
        )


def _told(files: Mapping[str, str]) -> Mapping[str, Any]:
    """What a checkpoint says of how clips are taken."""
    if PROCESSOR in files:
        return dict(json.loads(files[PROCESSOR]))
    return dict(json.loads(files.get(_WHOLE_PROCESSOR, "{}")).get("feature_extractor", {}))


def _hearing(net: Any, told: Mapping[str, Any]) -> Hearing:
    """What the processor says; the shortest clip is found from the convolutions."""
    least = 1
    for kernel, stride in zip(
        reversed(net.config.conv_kernel), reversed(net.config.conv_stride), strict=True
    ):
        least = (least - 1) * stride + kernel
    grouped = getattr(net.config, "feat_extract_norm", "layer") == "group"
    return Hearing(
        rate=int(told.get("sampling_rate", 16_000)),
        normalises=bool(told.get("do_normalize", True)),
        masks=bool(told.get("return_attention_mask", False)) and not grouped,
        least=least,
    )


class Listener(nn.Module):
    """A network of speech as the training loop calls it.

    Clips of different lengths go through it together only where it takes a mask of what is padding;
    if not, those of one length do, and the others after them. So what it hears of a clip depends on
    that clip alone.

    Args:
        body: The network; it becomes a part of this one.
    """

    def __init__(self, body: SpeechBody) -> None:
        super().__init__()
        self.net = body.net
        self._masks, self._frames = body.hearing.masks, body.frames

    def forward(
        self, waves: torch.Tensor, lengths: torch.Tensor, covers: tuple[torch.Tensor, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of characters in each frame.

        Args:
            waves: Prepared samples, zeros behind their ends, shape (rows, samples).
            lengths: Samples of each row, int64, shape (rows,).
            covers: Frames, shape (rows, frames), and channels, shape (rows, hidden), that the
                blocks do not see (Park et al. 2019, arXiv:1904.08779, on what convolutions say, as
                Baevski et al. 2020, arXiv:2006.11477, section 4.3).

        Returns:
            Logits of shape (rows, frames, tokens), and the frames of each row.
        """
        known = lengths.tolist()
        frames = self._frames(lengths)  # of those that are padded, fewer than there are scores
        if self._masks and len(set(known)) > 1:
            places = torch.arange(waves.shape[1], device=waves.device)
            mask = (places < lengths[:, None]).long()
            with _covered(self.net, covers):
                return self.net(waves, attention_mask=mask).logits, frames
        made: list[torch.Tensor] = []
        order: list[int] = []
        most = int(frames.max())
        for length in dict.fromkeys(known):
            rows = [i for i, own in enumerate(known) if own == length]
            part = tuple(cover[rows] for cover in covers)
            with _covered(self.net, part):
                logits = self.net(waves[rows, :length]).logits
            made.append(nn.functional.pad(logits, (0, 0, 0, most - logits.shape[1])))
            order += rows
        back = torch.argsort(torch.tensor(order, device=waves.device))
        return torch.cat(made)[back], frames


@contextmanager
def _covered(net: Any, covers: tuple[torch.Tensor, ...]) -> Iterator[None]:
    """While it lasts, the blocks see a learnt vector in covered frames, zeros in such channels."""
    if not covers:
        yield
        return
    frames, channels = covers
    vector = getattr(net.base_model, _COVER, None)

    def cover(module: nn.Module, told: tuple[Any, ...]) -> tuple[Any, ...]:
        states = told[0]
        put = torch.zeros_like(states[0, 0]) if vector is None else vector.to(states.dtype)
        seen = torch.where(frames[:, : states.shape[1], None], put, states)
        return (seen.masked_fill(channels[:, None], 0), *told[1:])

    with net.base_model.encoder.register_forward_pre_hook(cover):
        yield


class Reader(nn.Module):
    """The head alone, on states of a frozen network.

    Args:
        head: Where it starts; its weights are copied.
        dropout: Share of the states that is dropped while training, in [0, 1).
    """

    def __init__(self, head: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.utils.skip_init(nn.Linear, head.in_features, head.out_features)
        with torch.no_grad():
            self.head.weight.copy_(head.weight)
            self.head.bias.copy_(head.bias)

    def forward(
        self, states: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of characters.

        Args:
            states: Shape (rows, frames, hidden).
            lengths: Frames of each row.

        Returns:
            Logits of shape (rows, frames, tokens), and `lengths`.
        """
        return self.head(self.dropout(states)), lengths

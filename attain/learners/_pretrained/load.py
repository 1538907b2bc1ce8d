"""Load a pre-trained body, whole or not at all, and keep it in the process between fits.

transformers fills what a checkpoint lacks with random numbers, drops what does not fit, and says so
in a log at best. Here each of these is an error that names the tensors; only what is never used (a
pooler) or belongs to another task (a head) may be missing or left over.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attain.core.errors import ArtifactError, EnvironmentProblem
from attain.core.types import Pretrained
from attain.learners._pretrained.adapters import take_all_off
from attain.learners._pretrained.layers import blocks

_REMEDY = "get the model anew, or name another one"
_UNUSED = "pooler"
"""Part of a body that no learner uses: heads pool what the last block says."""
_RESIDENT = 2
"""Bodies that stay in a process. A study has one; the second is for a change of number type."""


@dataclass(eq=False)
class Body:
    """A pre-trained encoder without a head.

    Attributes:
        net: A `transformers.PreTrainedModel`; ``net(**batch).last_hidden_state`` has the shape
            (rows, positions, hidden). It has no pooler.
        config: Its `transformers.PretrainedConfig`.
        tokenizer: Its tokenizer.
        hidden: Width of a position.
        layers: Number of blocks that are computed one after the other.
        longest: Positions that it takes.
        digest: Of the files that it came from.
        ignored: Tensors of the checkpoint that were left out since they belong to another head.
    """

    net: Any
    config: Any
    tokenizer: Any
    hidden: int
    layers: int
    longest: int
    digest: str
    ignored: tuple[str, ...] = ()
    _originals: dict[str, Any] = field(default_factory=dict, repr=False)

    def restored(self) -> Body:
        """The body as it was loaded, bit for bit; no adapters, no gradients, everything trainable.

        Costs a copy of the weights in memory; nothing is read again.

        Returns:
            Itself, in evaluation mode, on the device where it is.
        """
        import torch

        take_all_off(self.net)
        with torch.no_grad():
            for name, tensor in tensors(self.net):
                original = self._originals[name]
                if tensor.dtype is not original.dtype:
                    tensor.data = original.to(tensor.device, copy=True)
                else:
                    tensor.copy_(original)
        for parameter in self.net.parameters():
            parameter.grad = None
            parameter.requires_grad_(True)
        self.net.eval()
        return self

    def untouched(self) -> bool:
        """Whether it computes what it did when it was loaded, by its weights; no adapter is on."""
        import torch

        return getattr(self.net, "_attain_adapter", None) is None and all(
            torch.equal(tensor.detach().cpu(), self._originals[name])
            for name, tensor in tensors(self.net)
        )

    def save(self, folder: Path) -> None:
        """Write configuration, weights (as they are now, without adapters) and tokenizer.

        Args:
            folder: An existing folder, which `load_body` can read then.
        """
        state = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.net.state_dict().items()
            if ".lora_" not in name
        }
        with quietly():
            self.net.save_pretrained(folder, state_dict=state)
            self.tokenizer.save_pretrained(folder)


def load_body(
    pretrained: Pretrained, *, dtype: str = "float32", device: str = "cpu", writes: bool = False
) -> Body:
    """Load a body from its folder; never through the network, never with code from the folder.

    Args:
        pretrained: What `data.pretrained` described.
        dtype: Number type of the weights: ``float32``, ``bfloat16`` or ``float16``.
        device: As torch names it.
        writes: Whether the head that predicts the next token is part of it.

    Returns:
        The body in evaluation mode.

    Raises:
        ArtifactError: When tensors are missing, left over, of other shapes than the configuration
            says or not finite, when the tokenizer does not fit, or when transformers cannot load
            it at all.
        EnvironmentProblem: When torch or transformers is not installed.
    """
    torch, transformers = libraries()
    folder = pretrained.folder
    with quietly(), plainly(folder):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        kind = transformers.AutoModelForCausalLM if writes else transformers.AutoModel
        net, info = kind.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, dtype),
            attn_implementation=_attention(transformers, config),
            local_files_only=True,
            use_safetensors=None if pretrained.trusted else True,
            ignore_mismatched_sizes=True,  # it would raise without names; they are checked below
            output_loading_info=True,
        )
    ignored = check_keys(net, info, folder)
    if getattr(net, _UNUSED, None) is not None:
        setattr(net, _UNUSED, None)
    check_finite(net, folder)
    _check_tokenizer(net, tokenizer, folder)
    net.to(device).eval()
    return Body(
        net=net,
        config=net.config,
        tokenizer=tokenizer,
        hidden=int(config.hidden_size),
        layers=int(getattr(config, "num_hidden_layers", 0) or len(blocks(net)[1])),
        longest=_longest(net, config, tokenizer),
        digest=pretrained.digest,
        ignored=ignored,
        _originals={name: tensor.detach().cpu().clone() for name, tensor in tensors(net)},
    )


_resident: OrderedDict[tuple[str, str, str, bool], Body] = OrderedDict()


def resident(
    pretrained: Pretrained,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    writes: bool = False,
    load: Callable[..., Body] | None = None,
) -> Body:
    """A body that stays in this process, as it was loaded whatever the last fit did to it.

    Args:
        pretrained: What `data.pretrained` described.
        dtype: As for `load_body`.
        device: As for `load_body`.
        writes: As for `load_body`.
        load: What loads it instead of `load_body`.

    Returns:
        The same object for equal arguments, restored: whoever had it before must be done with it.
    """
    key = (pretrained.digest, dtype, device, writes)
    if key in _resident:
        _resident.move_to_end(key)
        return _resident[key].restored()
    while len(_resident) >= _RESIDENT:
        _resident.popitem(last=False)
    options: dict[str, Any] = {"dtype": dtype, "device": device}
    made = (
        load_body(pretrained, **options, writes=writes)
        if load is None
        else load(pretrained, **options)
    )
    _resident[key] = made
    return _resident[key]


def let_go(pretrained: Pretrained, device: str) -> None:
    """Forget the resident bodies of a model on a device, so that their memory is free.

    Args:
        pretrained: What `data.pretrained` described.
        device: As torch names it.
    """
    for key in [k for k in _resident if k[0] == pretrained.digest and k[2] == device]:
        del _resident[key]


def libraries() -> tuple[Any, Any]:
    """torch and transformers.

    Returns:
        Both modules.

    Raises:
        EnvironmentProblem: When one is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise EnvironmentProblem(
            f"pre-trained models need {error.name} — pip install 'attain[text]'"
        ) from error
    return torch, transformers


def tensors(net: Any) -> Iterator[tuple[str, Any]]:
    """Parameters and buffers, also those that are not saved.

    Args:
        net: A `torch.nn.Module`.

    Yields:
        Name and tensor.
    """
    yield from net.named_parameters()
    yield from net.named_buffers()


@contextlib.contextmanager
def plainly(folder: str) -> Iterator[None]:
    """transformers' many exceptions as one that says what to do.

    Args:
        folder: That is loaded.

    Yields:
        Nothing.

    Raises:
        ArtifactError: Instead of theirs.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ArtifactError(f"{folder} cannot be loaded ({first}) — {_REMEDY}") from error
    except Exception as error:  # safetensors and tokenizers raise classes of their own
        if type(error).__module__.partition(".")[0] not in {"builtins", "safetensors"}:
            raise
        raise ArtifactError(f"{folder} cannot be loaded ({error}) — {_REMEDY}") from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """No progress bars and no reports: what they would say is checked and raised here.

    Yields:
        Nothing.
    """
    from transformers.utils import logging as theirs

    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(logging.CRITICAL)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


def _attention(transformers: Any, config: Any) -> str:
    """torch's fused attention where the model has it: as exact as and faster than the plain one."""
    kind = transformers.AutoModel._model_mapping.get(type(config), None)
    kind = kind[0] if isinstance(kind, tuple) else kind
    return "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"


def check_keys(net: Any, info: dict[str, Any], folder: str) -> tuple[str, ...]:
    """Raise for tensors that are missing or do not fit; return those of other heads.

    Args:
        net: A `transformers.PreTrainedModel`.
        info: What transformers said when it was loaded.
        folder: Where it came from.

    Returns:
        Names of tensors of other heads.

    Raises:
        ArtifactError: Names the tensors.
    """
    own = {name for name, _ in net.named_children()}
    prefix = f"{net.base_model_prefix}."
    plain = {key.removeprefix(prefix): key for key in info["unexpected_keys"]}
    strange = [key for short, key in plain.items() if short.partition(".")[0] in own - {_UNUSED}]
    missing = [key for key in info["missing_keys"] if not key.startswith(f"{_UNUSED}.")]
    misfits = [f"{key} {tuple(a)} for {tuple(b)}" for key, a, b in info["mismatched_keys"]]
    wrong = [
        f"{len(names)} {what}: {_some(names)}"
        for names, what in (
            (misfits, "tensors have another shape than config.json says"),
            (missing, "tensors are missing and would be random numbers"),
            (strange, "tensors of the body have no place in what config.json describes"),
        )
        if names
    ]
    if wrong:
        raise ArtifactError(
            f"the weights in {folder} do not fit config.json: {'; '.join(wrong)} — {_REMEDY}"
        )
    return tuple(sorted(set(plain.values()) - set(strange)))


def check_finite(net: Any, folder: str) -> None:
    """Raise for weights that are no numbers.

    Args:
        net: A `torch.nn.Module`.
        folder: Where it came from.

    Raises:
        ArtifactError: Names the tensors.
    """
    import torch

    broken = [name for name, p in net.named_parameters() if not bool(torch.isfinite(p).all())]
    if broken:
        raise ArtifactError(
            f"{folder} has weights that are not finite: {_some(broken)} — {_REMEDY}"
        )


def _check_tokenizer(net: Any, tokenizer: Any, folder: str) -> None:
    known, rows = len(tokenizer), net.get_input_embeddings().weight.shape[0]
    if known > rows:
        raise ArtifactError(
            f"the tokenizer in {folder} knows {known} tokens but the model only {rows} — use the"
            " tokenizer that belongs to the weights"
        )


def _longest(net: Any, config: Any, tokenizer: Any) -> int:
    """Positions the model takes, or its tokenizer allows."""
    table = int(getattr(config, "max_position_embeddings", 0) or 0)
    told = int(min(tokenizer.model_max_length, 1 << 30))
    if config.model_type in _SHIFTED:
        embeddings = getattr(net, "embeddings", None)
        padding = getattr(embeddings, "padding_idx", None)
        table -= int((config.pad_token_id if padding is None else padding) or 0) + 1
    return min(table, told) if table > 0 else told


_SHIFTED = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet"),
    *("longformer", "data2vec-text", "ibert", "xmod", "luke", "mluke", "esm", "layoutlmv3"),
}
"""Models whose positions start behind the padding id (``create_position_ids_from_input_ids``)."""


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")

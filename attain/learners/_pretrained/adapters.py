"""LoRA: a small trainable correction beside each frozen matrix.

Hu et al. 2021 (arXiv:2106.09685), equation 3: ``h = W x + (alpha / r) B A x`` with B zero at the
start, so that training starts at the pre-trained model exactly. With rank-stabilised scaling the
factor is ``alpha / sqrt(r)`` (Kalajdzievski 2023, arXiv:2312.03732). Decomposed (DoRA, Liu et al.
2024, arXiv:2402.09353, equation 5), each row of the corrected matrix is brought to a length that is
trained, too; its own length counts as a constant going back (section 4.3).

The correction is a forward hook on the linear layer itself: names and weights of the body stay as
they are, and taking it off leaves no trace. Files are PEFT's, so that others can use them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attain.core.errors import ArtifactError
from attain.core.files import plain_errors, write_atomic
from attain.learners._pretrained.layers import blocks

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""What PEFT puts before the names of the model that it wraps."""


@dataclass(frozen=True)
class LoraConfig:
    """Shape of an adapter.

    Attributes:
        rank: Width r of the correction, at least 1.
        alpha: Strength; the correction is scaled by alpha / r.
        dropout: Share of its inputs that is dropped while training, in [0, 1).
        rank_stabilised: Scale by alpha / sqrt(r) instead.
        decomposed: Train the length of each row of the corrected matrix, too.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    rank_stabilised: bool = False
    decomposed: bool = False

    @property
    def scale(self) -> float:
        """Factor of the correction."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)


@dataclass(eq=False)
class Adapter:
    """An adapter that is on a network.

    Attributes:
        net: The network.
        config: Shape of the adapter.
        layers: The corrected linear layers by name; each has ``lora_A`` and ``lora_B``.
        merged: Whether the corrections are part of the weights now.
    """

    net: Any
    config: LoraConfig
    layers: dict[str, Any]
    merged: bool = False
    _hooks: list[Any] = field(default_factory=list, repr=False)
    _originals: dict[str, Any] = field(default_factory=dict, repr=False)

    def parameters(self) -> Iterator[Any]:
        """What is trained, A and B of each layer, in order of names."""
        for layer in self.layers.values():
            yield layer.lora_A.weight
            yield layer.lora_B.weight
            if self.config.decomposed:
                yield layer.lora_magnitude_vector

    def state(self) -> dict[str, Any]:
        """Copies on the CPU, named ``LAYER.lora_A.weight`` and ``LAYER.lora_B.weight``.

        Decomposed ones also have ``LAYER.lora_magnitude_vector``.
        """
        return {name: tensor.detach().cpu().clone() for name, tensor in _own(self).items()}

    def merged_weight(self, name: str) -> Any:
        """A layer's matrix with its correction, in float32, shape (out, in); nothing is changed."""
        import torch

        layer = self.layers[name]
        with torch.no_grad():
            whole = _corrected(layer, self.config.scale)
            if self.config.decomposed:
                lengths = torch.linalg.vector_norm(whole, dim=1, keepdim=True)
                whole = whole * (layer.lora_magnitude_vector.float().unsqueeze(1) / lengths)
        return whole

    def merge(self) -> None:
        """Add the corrections to the weights, in float32; after that nothing can be trained."""
        import torch

        if self.merged:
            return
        with torch.no_grad():
            for name, layer in self.layers.items():
                self._originals[name] = layer.weight.detach().clone()
                layer.weight.copy_(self.merged_weight(name))
        self._unhook()
        self.merged = True

    def take_off(self) -> None:
        """Leave the network as it was, bit for bit, also after `merge`; safe to call twice."""
        import torch

        self._unhook()
        with torch.no_grad():
            for name, original in self._originals.items():
                self.layers[name].weight.copy_(original)
        self._originals.clear()
        for layer in self.layers.values():
            for part in ("lora_A", "lora_B", "lora_dropout"):
                if part in layer._modules:
                    del layer._modules[part]
            layer._parameters.pop("lora_magnitude_vector", None)
        self.merged = False
        if getattr(self.net, "_attain_adapter", None) is self:
            del self.net._attain_adapter

    def save(self, folder: Path, base: str = "", task: str = "FEATURE_EXTRACTION") -> None:
        """Write the adapter as PEFT does; its loader gives the same outputs.

        Args:
            folder: An existing folder.
            base: Name or folder of the pre-trained model, for those who load it.
            task: PEFT's name for what the network does, such as ``CAUSAL_LM``.
        """
        from safetensors.torch import save

        tensors = {_PREFIX + name: tensor.contiguous() for name, tensor in self.state().items()}
        with plain_errors(folder):
            write_atomic(folder / _WEIGHTS, save(tensors, metadata={"format": "pt"}))
        described = {**_peft_config(self.config, list(self.layers), base), "task_type": task}
        write_atomic(folder / _CONFIG, json.dumps(described, indent=2, sort_keys=True))

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def put_on(
    net: Any,
    config: LoraConfig,
    *,
    targets: str = "all-linear",
    seed: int = 0,
    last_layers: int | None = None,
) -> Adapter:
    """Put an adapter on a network and freeze everything else.

    Args:
        net: A network with a list of blocks, without an adapter.
        config: Shape of the adapter.
        targets: ``all-linear`` for every linear layer in the blocks, ``attention`` for those of
            the attention only.
        seed: Of the starting values of A, uniform as Kaiming's; B is zero.
        last_layers: Only in so many last blocks; None for all.

    Returns:
        The adapter; before training the network computes what it did before.

    Raises:
        ValueError: When nothing matches, or an adapter is on already.
    """
    if getattr(net, "_attain_adapter", None) is not None:
        raise ValueError("an adapter is on the network already")
    names = target_names(net, targets, last_layers)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    adapter = Adapter(net, config, {name: net.get_submodule(name) for name in names})
    _grow(adapter, seed)
    net._attain_adapter = adapter
    return adapter


def target_names(
    net: Any, targets: str = "all-linear", last_layers: int | None = None
) -> list[str]:
    """Names of the linear layers that an adapter would correct.

    Args:
        net: A network with a list of blocks.
        targets: ``all-linear`` or ``attention``.
        last_layers: Only in so many last blocks; None for all.

    Returns:
        Full names, sorted.

    Raises:
        ValueError: When nothing matches, or `targets` is not known.
    """
    from torch import nn

    if targets not in ("all-linear", "attention"):
        raise ValueError(f"targets must be all-linear or attention (got {targets!r})")
    prefix, found = blocks(net)
    first = 0 if last_layers is None else max(len(found) - last_layers, 0)
    names = []
    for i in range(first, len(found)):
        for inner, module in found[i].named_modules():
            fits = targets == "all-linear" or "att" in inner.lower()
            if isinstance(module, nn.Linear) and fits:
                names.append(f"{prefix}.{i}.{inner}")
    if not names:
        raise ValueError(f"no linear layer matches targets={targets!r}, last_layers={last_layers}")
    return sorted(names)


def adapter_parameters(net: Any, config: LoraConfig, targets: str, last_layers: int | None) -> int:
    """Number of parameters that an adapter of this shape trains; nothing is changed."""
    layers = map(net.get_submodule, target_names(net, targets, last_layers))
    return sum(config.rank * (layer.in_features + layer.out_features) for layer in layers)


def load_adapter(net: Any, folder: Path) -> Adapter:
    """Put on an adapter that `Adapter.save` wrote.

    Args:
        net: The network it was trained on, without an adapter.
        folder: Where it was written.

    Returns:
        The adapter; the network computes what it did when the adapter was saved.

    Raises:
        ArtifactError: When files are missing, damaged, or belong to another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        told = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        stored = load((folder / _WEIGHTS).read_bytes())
        config = LoraConfig(
            int(told["r"]), told["lora_alpha"], told["lora_dropout"], told["use_rslora"],
            bool(told.get("use_dora", False)),
        )  # fmt: skip
        tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in stored.items()}
        layers = {name: net.get_submodule(name) for name in sorted(told["target_modules"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ArtifactError(
            f"the adapter in {folder} cannot be loaded ({error}) — get the model anew"
        ) from error
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    adapter = Adapter(net, config, layers)
    _grow(adapter, 0)
    net._attain_adapter = adapter
    try:
        set_state(adapter, tensors)
    except ArtifactError:
        adapter.take_off()
        raise
    return adapter


def set_state(adapter: Adapter, tensors: Mapping[str, Any]) -> None:
    """Give an adapter the values of another one of its shape.

    Args:
        adapter: Not merged.
        tensors: What `Adapter.state` returned.

    Raises:
        ArtifactError: When names or shapes differ; nothing is changed then.
    """
    import torch

    own = _own(adapter)
    odd = sorted(own.keys() ^ tensors.keys())
    odd += [n for n in own.keys() & tensors.keys() if own[n].shape != tensors[n].shape]
    if odd:
        raise ArtifactError(
            f"the adapter does not fit the network: {odd[0]} and {len(odd) - 1} more"
            " — load it onto the model it was trained on"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def _own(adapter: Adapter) -> dict[str, Any]:
    """The trained tensors themselves, by name."""
    found = {
        f"{name}.{part}.weight": getattr(layer, part).weight
        for name, layer in adapter.layers.items()
        for part in ("lora_A", "lora_B")
    }
    if adapter.config.decomposed:
        for name, layer in adapter.layers.items():
            found[f"{name}.lora_magnitude_vector"] = layer.lora_magnitude_vector
    return found


def _corrected(layer: Any, scale: float) -> Any:
    """The matrix with its correction, in float32."""
    product = layer.lora_B.weight.float() @ layer.lora_A.weight.float()
    return weight_of(layer) + scale * product


def weight_of(layer: Any) -> Any:
    """The matrix with which a linear layer computes, in float32, shape (out, in).

    Args:
        layer: An `nn.Linear`, or one of `quantized`, whose ``weight`` is packed.

    Returns:
        The layer's own tensor where that is in float32.
    """
    unpack = getattr(layer, "dequantized", None)
    return (layer.weight if unpack is None else unpack()).float()


def take_all_off(net: Any) -> None:
    """Take off the adapter that is on a network, if there is one."""
    adapter = getattr(net, "_attain_adapter", None)
    if adapter is not None:
        adapter.take_off()


def _grow(adapter: Adapter, seed: int) -> None:
    """Give each layer its A, B and hook."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    config = adapter.config
    for layer in adapter.layers.values():
        place: Any = {"device": layer.weight.device, "dtype": torch.float32}
        layer.lora_dropout = nn.Dropout(config.dropout)
        layer.lora_A = nn.Linear(layer.in_features, config.rank, bias=False, **place)
        layer.lora_B = nn.Linear(config.rank, layer.out_features, bias=False, **place)
        bound = 1 / math.sqrt(layer.in_features)  # kaiming_uniform_ with a = sqrt(5), as PEFT
        values = torch.rand(config.rank, layer.in_features, generator=generator)
        with torch.no_grad():
            layer.lora_A.weight.copy_((2 * values - 1) * bound)
            layer.lora_B.weight.zero_()
            if config.decomposed:
                lengths = torch.linalg.vector_norm(weight_of(layer), dim=1)
                layer.lora_magnitude_vector = nn.Parameter(lengths)
        layer.lora_dropout.train(layer.training)
        correct = _decomposed if config.decomposed else _correct
        adapter._hooks.append(layer.register_forward_hook(correct(config.scale)))


def _correct(scale: float) -> Any:
    """A forward hook that adds ``scale * B A x`` to what the layer says."""

    def hook(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        x = layer.lora_dropout(inputs[0]).to(layer.lora_A.weight.dtype)
        return output + (layer.lora_B(layer.lora_A(x)) * scale).to(output.dtype)

    return hook


def _decomposed(scale: float) -> Any:
    """A forward hook that also brings each row of the corrected matrix to its trained length."""

    def hook(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        import torch

        x = layer.lora_dropout(inputs[0]).to(layer.lora_A.weight.dtype)
        with torch.no_grad():
            lengths = torch.linalg.vector_norm(_corrected(layer, scale), dim=1)
        plain = output if layer.bias is None else output - layer.bias
        said = (plain + layer.lora_B(layer.lora_A(x)) * scale) * (
            layer.lora_magnitude_vector / lengths
        )
        return (said if layer.bias is None else said + layer.bias).to(output.dtype)

    return hook


def _peft_config(config: LoraConfig, names: list[str], base: str) -> dict[str, Any]:
    """``adapter_config.json`` as PEFT's ``LoraConfig`` reads it."""
    shape = asdict(config)
    return {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": base,
        "r": shape["rank"],
        "lora_alpha": shape["alpha"],
        "lora_dropout": shape["dropout"],
        "use_rslora": shape["rank_stabilised"],
        "use_dora": shape["decomposed"],
        "target_modules": names,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
    }

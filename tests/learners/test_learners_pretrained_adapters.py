"""LoRA starts at the body, learns beside it, merges, comes off without a trace, and is PEFT's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from bodies import FAMILIES, minilm, sentences, tiny
from safetensors.torch import load_file, save_file

from attain.core.errors import ArtifactError
from attain.learners._pretrained.adapters import (
    Adapter,
    LoraConfig,
    adapter_parameters,
    load_adapter,
    put_on,
    set_state,
    target_names,
)
from attain.learners._pretrained.load import Body, load_body, resident
from attain.learners._pretrained.tokens import collate, tokenise


def batch_of(body: Body, n: int = 6) -> dict[str, Any]:
    return collate(body, tokenise(body, sentences(n)), range(n))


def states(body: Body) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = body.net(**batch_of(body)).last_hidden_state
    return out


def stirred(adapter: Adapter, seed: int = 0) -> Adapter:
    """As if it had learned something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return adapter


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_step_zero_is_the_body_and_every_layer_learns(family: str) -> None:
    """B is zero; one step changes every B, so no layer is passed by; merged says the same."""
    body = resident(tiny(family))
    before = states(body)
    adapter = put_on(body.net, LoraConfig(rank=2), seed=3)
    assert torch.equal(states(body), before)
    body.net(**batch_of(body)).last_hidden_state.square().sum().backward()
    for name, layer in adapter.layers.items():
        assert layer.lora_B.weight.grad.abs().max() > 0, name
        assert layer.weight.grad is None
    stirred(adapter)
    learned = states(body)
    assert (learned - before).abs().max() > 1e-3
    adapter.merge()
    torch.testing.assert_close(states(body), learned, atol=3e-4, rtol=1e-3)
    adapter.take_off()
    assert torch.equal(states(body), before)
    assert not [name for name in body.net.state_dict() if "lora" in name]


def test_the_correction_is_the_papers() -> None:
    """h = W x + alpha / r B A x, or alpha / sqrt(r), computed by hand."""
    body = resident(tiny())
    for stabilised in (False, True):
        config = LoraConfig(rank=4, alpha=6.0, rank_stabilised=stabilised)
        adapter = stirred(put_on(body.restored().net, config))
        layer = adapter.layers["encoder.layer.0.attention.self.query"]
        x = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
        scale = 6.0 / (math.sqrt(4) if stabilised else 4)
        weight = layer.weight + scale * layer.lora_B.weight @ layer.lora_A.weight
        torch.testing.assert_close(layer(x), x @ weight.T + layer.bias, atol=1e-5, rtol=1e-5)


def test_only_the_adapter_is_trained_and_counted_beforehand() -> None:
    """The forecast's number is what the optimiser gets."""
    for targets, last in [("all-linear", None), ("attention", None), ("all-linear", 1)]:
        body = resident(tiny())
        config = LoraConfig(rank=3)
        told = adapter_parameters(body.net, config, targets, last)
        adapter = put_on(body.net, config, targets=targets, last_layers=last)
        trained = {id(p) for p in body.net.parameters() if p.requires_grad}
        assert trained == {id(p) for p in adapter.parameters()}
        assert sum(p.numel() for p in adapter.parameters()) == told


def test_targets_choose_layers() -> None:
    """Attention is a part of all linear layers; the last blocks are the last ones."""
    net = resident(tiny()).net
    every, attention = target_names(net), target_names(net, "attention")
    assert len(every) == 3 * 6
    assert len(attention) == 3 * 4
    assert set(attention) < set(every)
    assert all(".layer.2." in name for name in target_names(net, last_layers=1))
    assert target_names(net, last_layers=9) == every


@pytest.mark.parametrize(
    ("wish", "message"),
    [({"targets": "mlp"}, "all-linear or attention"), ({"last_layers": 0}, "no linear layer")],
)
def test_a_wish_that_matches_nothing_is_refused(wish: dict[str, Any], message: str) -> None:
    """Training nothing would look like a bad model."""
    with pytest.raises(ValueError, match=message):
        put_on(resident(tiny()).net, LoraConfig(), **wish)


def test_two_adapters_at_once_are_refused() -> None:
    """The first must come off."""
    body = resident(tiny())
    adapter = put_on(body.net, LoraConfig(rank=2))
    with pytest.raises(ValueError, match="on the network already"):
        put_on(body.net, LoraConfig(rank=2))
    adapter.take_off()
    adapter.take_off()
    put_on(body.net, LoraConfig(rank=2))


def test_the_seed_decides_and_nothing_else() -> None:
    """Not the state of torch, and the state of torch is left alone."""
    body = resident(tiny())
    starts = []
    for seed, noise in [(1, 5), (1, 6), (2, 5)]:
        torch.manual_seed(noise)
        starts.append(put_on(body.restored().net, LoraConfig(rank=2), seed=seed).state())
        assert torch.initial_seed() == noise
    name = "encoder.layer.0.attention.self.query.lora_A.weight"
    assert torch.equal(starts[0][name], starts[1][name])
    assert not torch.equal(starts[0][name], starts[2][name])
    assert starts[0][name].abs().max() <= 1 / math.sqrt(32)


def test_dropout_acts_in_training_only() -> None:
    """On the correction's inputs, not on the body."""
    body = resident(tiny())
    for module in body.net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    stirred(put_on(body.net, LoraConfig(rank=2, dropout=0.5)))
    assert torch.equal(states(body), states(body))
    body.net.train()
    assert not torch.equal(states(body), states(body))
    resident(tiny()).net.train(False)


def test_saved_and_loaded_it_computes_the_same(tmp_path: Path) -> None:
    """To the last bit, on a body of its own."""
    body = resident(tiny())
    config = LoraConfig(rank=3, alpha=5.0, rank_stabilised=True)
    adapter = stirred(put_on(body.net, config, targets="attention", last_layers=2))
    adapter.save(tmp_path, base="org/tiny")
    other = load_body(tiny())
    loaded = load_adapter(other.net, tmp_path)
    assert torch.equal(states(other), states(body))
    assert loaded.config == config
    told = json.loads((tmp_path / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == "org/tiny"


def _drop(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), "cannot be loaded"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "cannot be loaded"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"12"), "cannot be loaded"),
        (_drop, "does not fit the network"),
    ],
)
def test_a_spoilt_adapter_is_refused(spoil: Any, message: str, tmp_path: Path) -> None:
    """Nothing is started from random numbers instead."""
    body = resident(tiny())
    put_on(body.net, LoraConfig(rank=2)).save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ArtifactError, match=message):
        load_adapter(body.restored().net, tmp_path)
    assert not [name for name in body.net.state_dict() if "lora" in name]


def test_values_of_another_shape_change_nothing() -> None:
    """An adapter of rank 3 does not take those of rank 2."""
    body = resident(tiny())
    small = stirred(put_on(body.net, LoraConfig(rank=2))).state()
    large = put_on(body.restored().net, LoraConfig(rank=3))
    before = large.state()
    with pytest.raises(ArtifactError, match="does not fit the network"):
        set_state(large, small)
    assert all(torch.equal(value, before[name]) for name, value in large.state().items())


def test_the_real_encoder_under_an_adapter() -> None:
    """Off again, MiniLM says what it said, to the last bit."""
    body = resident(minilm())
    before = states(body)
    adapter = stirred(put_on(body.net, LoraConfig(rank=8)))
    assert not torch.equal(states(body), before)
    adapter.merge()
    adapter.take_off()
    assert torch.equal(states(body), before)


def test_the_files_are_as_peft_writes_them(tmp_path: Path) -> None:
    """Names and shapes of tensors, and what the configuration must say."""
    body = resident(tiny())
    put_on(body.net, LoraConfig(rank=2, alpha=4.0), targets="attention").save(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    query = "base_model.model.encoder.layer.0.attention.self.query"
    assert tensors[f"{query}.lora_A.weight"].shape == (2, 32)
    assert tensors[f"{query}.lora_B.weight"].shape == (32, 2)
    told = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (told["peft_type"], told["r"], told["lora_alpha"]) == ("LORA", 2, 4.0)
    assert "encoder.layer.0.attention.self.query" in told["target_modules"]


def test_peft_loads_it_and_computes_the_same(tmp_path: Path) -> None:
    """Where PEFT is installed."""
    peft = pytest.importorskip("peft")
    body = resident(tiny())
    config = LoraConfig(rank=3, alpha=5.0, rank_stabilised=True)
    stirred(put_on(body.net, config)).save(tmp_path)
    expected = states(body)
    other = load_body(tiny())
    wrapped = peft.PeftModel.from_pretrained(other.net, tmp_path)
    with torch.no_grad():
        theirs = wrapped(**batch_of(other)).last_hidden_state
    torch.testing.assert_close(theirs, expected, atol=1e-5, rtol=1e-5)

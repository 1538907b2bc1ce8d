"""Depth is read from the network: rates fall with it, and freezing starts at the bottom."""

from __future__ import annotations

import pytest
import torch
from bodies import FAMILIES, tiny
from torch import nn

from attain.learners._pretrained.adapters import LoraConfig, put_on
from attain.learners._pretrained.layers import blocks, depths, freeze_below, rate_scales
from attain.learners._pretrained.load import resident

EXPECTED = {
    "Bert": "encoder.layer",
    "Roberta": "encoder.layer",
    "DistilBert": "transformer.layer",
    "Electra": "encoder.layer",
    "MPNet": "encoder.layer",
    "Albert": "encoder.albert_layer_groups.0.albert_layers",
    "DebertaV2": "encoder.layer",
    "ModernBert": "layers",
}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_blocks_are_found_in_every_family(family: str) -> None:
    """By structure; embeddings are at the bottom, and every parameter has a depth."""
    net = resident(tiny(family)).net
    name, found = blocks(net)
    assert name == EXPECTED[family]
    assert len(found) == (1 if family == "Albert" else 3)
    depth = depths(net)
    assert depth.keys() == dict(net.named_parameters()).keys()
    assert set(depth.values()) >= set(range(len(found) + 1))
    for parameter, at in depth.items():
        if "word_embeddings" in parameter or "rel_embeddings" in parameter:
            assert at == 0, parameter
        if parameter.startswith("final_norm"):
            assert at == len(found) + 1


def test_rates_fall_by_a_factor_per_layer() -> None:
    """The last block of three has the factor once, the embeddings four times; 1 changes nothing."""
    net = resident(tiny()).net
    scales = rate_scales(net, 0.5)
    assert scales["encoder.layer.2.output.dense.weight"] == 0.5
    assert scales["encoder.layer.0.attention.self.query.bias"] == 0.125
    assert scales["embeddings.LayerNorm.weight"] == 0.0625
    assert set(rate_scales(net, 1.0).values()) == {1.0}


def test_adapters_lie_where_their_layers_do() -> None:
    """So that their rates fall with depth as well."""
    net = resident(tiny()).net
    put_on(net, LoraConfig(rank=2))
    assert depths(net)["encoder.layer.1.output.dense.lora_A.weight"] == 2


@pytest.mark.parametrize(("last", "learning"), [(0, 0), (1, 1), (2, 2), (3, 3), (7, 3)])
def test_only_the_last_blocks_learn(last: int, learning: int) -> None:
    """The embeddings only when all blocks do; the number is that of the parameters."""
    net = resident(tiny()).net
    count = freeze_below(net, last)
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    assert count == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert len({name.split(".")[2] for name in trained if "encoder" in name}) == learning
    assert any("embeddings" in name for name in trained) is (last >= 3)


def test_frozen_parts_get_no_gradient_and_the_rest_does() -> None:
    """The norm behind ModernBERT's blocks learns with them."""
    net = resident(tiny("ModernBert")).net
    freeze_below(net, 1)
    net(input_ids=torch.tensor([[2, 5, 6, 3]])).last_hidden_state.square().sum().backward()
    got = {name for name, p in net.named_parameters() if p.grad is not None}
    assert "final_norm.weight" in got
    assert not [name for name in got if name.startswith(("embeddings", "layers.0", "layers.1"))]


def test_a_network_without_blocks_is_refused() -> None:
    """There is no depth to speak of."""
    with pytest.raises(ValueError, match="no list of blocks"):
        blocks(nn.Linear(2, 2))

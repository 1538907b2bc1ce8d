"""Adapters beside a base in 4 bits: what they are trained beside, merged into and compared with."""

from __future__ import annotations

import copy
import logging
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from llm_toys import SUMS, described, tiny_llm

from attain.core.errors import ArtifactError, EnvironmentProblem, SpecError
from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.learners._llm import export
from attain.learners._llm.lesson import teach
from attain.learners._llm.speak import Speaker, sums
from attain.learners._llm.tuning import adapt, checkpointing, own
from attain.learners._pretrained import quantized as bits
from attain.learners._pretrained.adapters import LoraConfig, put_on
from attain.learners._pretrained.load import let_go, resident
from attain.learners.llm import Llm
from attain.parameters.narrow import narrow

CONFIG = {"rung": "lora", "epochs": 2, "lora_learning_rate": 2e-3, "rank": 8, "base_bits": 4}
installed = pytest.mark.skipif(
    not bits.possible(), reason="bitsandbytes is not installed: pip install 'attain[quantized]'"
)


def listen(step, values):
    return Signal.CONTINUE


def make_data():
    dataset, rows = described(SUMS, "answer")
    data = FitData(dataset, rows.take(np.arange(48)), rows.take(np.arange(48, 56)), seed=1)
    return data, rows.take(np.arange(56, 64))


def fit(**more):
    return Llm().fit({**CONFIG, **more}, make_data()[0], listen)


def losses(model, rows):
    return export._losses(model.predict(rows))


def total(body, rows):
    """Nats of all rows."""
    dataset, _ = described(SUMS, "answer")
    coded = teach(body, dataset, rows).coded
    return float(sums(Speaker(body.net), body, coded).loss.sum())


def two_bodies():
    """In 4 bits, and an ordinary one with the same matrices."""
    body = resident(tiny_llm(), writes=True)
    packed = bits.quantized(body, "cpu")
    plain = replace(body, net=copy.deepcopy(body.net))
    return packed, bits.rounded(plain)


def test_without_the_package_there_is_no_such_parameter(monkeypatch):
    """One choice is none: the space does not name it, and a study that does is told what to do."""
    dataset, _ = described(SUMS, "answer")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not bits.possible()
    monkeypatch.undo()
    monkeypatch.setattr(bits.importlib.util, "find_spec", lambda name: None)
    space = Llm().space(dataset)
    assert "base_bits" not in {p.name for p in space}
    for key in ("base_bits", "llm.base_bits"):
        with pytest.raises(SpecError, match=r"optional package.*pip install 'attain\[quantized\]"):
            narrow({"llm": space}, {key: 4})
    with pytest.raises(SpecError, match="must exist in a learner that is used"):
        narrow({"other": space}, {"base_bits": 4})


def test_a_machine_without_the_package_says_what_it_lacks(monkeypatch):
    """The study may have been planned where it is installed."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    bits._library.cache_clear()
    with pytest.raises(EnvironmentProblem, match=r"pip install 'attain\[quantized\]'"):
        bits._library()
    bits._library.cache_clear()


def test_code_from_the_network_is_out_of_reach_while_it_is_imported(monkeypatch, caplog):
    """bitsandbytes would run code of a hub if `kernels` were there; afterwards that is back."""
    theirs = types.ModuleType("kernels")
    log = logging.getLogger("bitsandbytes.backends.cpu.ops")
    for before in (theirs, None):
        if before is None:
            monkeypatch.delitem(sys.modules, "kernels")
        else:
            monkeypatch.setitem(sys.modules, "kernels", before)
        with bits._offline():
            with pytest.raises(ImportError, match="kernels"):
                __import__("kernels")
            log.warning("failed to load")
        assert sys.modules.get("kernels") is before
        log.warning("heard")
    assert [r.message for r in caplog.records] == ["heard", "heard"]


def test_a_body_on_another_device_is_let_go():
    """Only that one: the body in main memory is what 4 bits are made of."""
    body = resident(tiny_llm(), writes=True)
    let_go(tiny_llm(), "cuda:0")
    assert resident(tiny_llm(), writes=True) is body
    let_go(tiny_llm(), "cpu")
    assert resident(tiny_llm(), writes=True) is not body


@installed
def test_the_parameter_has_two_values_and_no_third():
    """A number between them would be rounded to nothing that exists."""
    dataset, _ = described(SUMS, "answer")
    space = Llm().space(dataset)
    (found,) = [p for p in space if p.name == "base_bits"]
    assert (found.choices, found.default) == ((32, 4), 32)
    fixed = narrow({"llm": space}, {"base_bits": 4})["llm"]
    assert fixed.defaults({"rung": "lora"})["base_bits"] == 4
    with pytest.raises(SpecError, match="base_bits is one of 32, 4"):
        narrow({"llm": space}, {"base_bits": 8})


@installed
def test_it_says_what_the_rounded_matrices_say():
    """Reading, adapters at their start, and gradients equal those of an ordinary body; the loaded
    body, which says something else, is as it was."""
    packed, plain = two_bodies()
    _, held = make_data()
    body = resident(tiny_llm(), writes=True)
    assert body.untouched()
    layers = [m for m in packed.net.modules() if bits.is_quantized(m)]
    assert len(layers) == 14
    assert sum(m.weight.numel() for m in layers) * 2 == sum(
        m.in_features * m.out_features for m in layers
    )
    for decomposed in (False, True):
        found = []
        for one in (packed, plain):
            adapter = put_on(one.net, LoraConfig(rank=4, decomposed=decomposed), seed=3)
            with torch.no_grad():
                for parameter in adapter.parameters():
                    parameter.add_(0.05)
            ids = torch.arange(1, 20)[None]
            loss = one.net(input_ids=ids, labels=ids).loss
            loss.backward()
            grads = torch.cat([p.grad.flatten() for p in adapter.parameters()])
            found.append((loss.detach(), grads))
            adapter.take_off()
        torch.testing.assert_close(*[f[0] for f in found], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(*[f[1] for f in found], rtol=1e-3, atol=1e-5)
    said = [total(one, held) for one in (packed, plain, body)]
    assert said[0] == pytest.approx(said[1], rel=1e-5)
    assert abs(said[0] - said[2]) > 1e-2


@installed
def test_products_take_the_number_format_around_them():
    """As `nn.Linear` does under autocast, in training and in reading, with a bias."""
    layer = torch.nn.Linear(48, 32)
    made = bits._layer().of(layer, "cpu")
    x = torch.randn(3, 48, generator=torch.Generator().manual_seed(0))
    for wanted in (torch.float32, torch.bfloat16):
        for asks in (True, False):
            with torch.autocast("cpu", torch.bfloat16, enabled=wanted is torch.bfloat16):
                said = made(x.clone().requires_grad_(asks))
                other = torch.nn.functional.linear(x, made.dequantized(), layer.bias)
            assert said.dtype is other.dtype is wanted
            torch.testing.assert_close(said, other, rtol=2e-2, atol=2e-2)
        assert made.weight.dtype is torch.uint8
    assert (made.dequantized() - layer.weight).abs().max() < 0.2 * layer.weight.abs().max()


@pytest.fixture(scope="module")
def tuned():
    return fit()


@installed
def test_a_fit_learns_and_leaves_the_resident_body(tuned):
    """The loss falls below that of the base in 4 bits and of the loaded one; lines are packed."""
    data, held = make_data()
    assert resident(tiny_llm(), writes=True).untouched()
    assert tuned.facts["base_bits"] == 4
    assert tuned.facts["packed"]
    assert tuned.digest == tiny_llm().digest
    before = Llm().fit({"rung": "prompt"}, data, listen)
    assert losses(tuned, held).mean() < losses(before, held).mean() - 0.1
    assert losses(tuned, held).mean() < total(two_bodies()[0], held) / held_tokens(before, held)


def held_tokens(model, rows):
    return float(model.predict(rows)[:, 1].sum())


@installed
def test_what_is_saved_is_ordinary_and_computes_what_was_trained(tuned, tmp_path, monkeypatch):
    """It loads without the package; the adapter on the rounded base agrees with it."""
    _, held = make_data()
    tuned.save(tmp_path)
    again = Llm().load(tmp_path)
    told = Llm().reloaded(again, held)
    assert told["adapter_differs"] < 1e-4
    assert told["answers_same"] == told["answers"] > 0
    monkeypatch.setattr(bits, "_library", lambda: pytest.fail("it needs bitsandbytes"))
    assert np.array_equal(again.predict(held), tuned.predict(held))
    assert not [m for m in again.body().net.modules() if bits.is_quantized(m)]
    monkeypatch.setattr(export, "possible", lambda: False)
    assert Llm().reloaded(again, held) == {}


@installed
@pytest.mark.parametrize("decomposed", [False, True])
def test_merged_is_what_the_adapter_computes_beside_4_bits(decomposed):
    """The network before and the ordinary one after say the same, to rounding of sums."""
    _, held = make_data()
    body = resident(tiny_llm(), writes=True)
    packed = bits.quantized(body, "cpu")
    adapter = adapt({**CONFIG, "dropout": 0.0, "rank_stabilised": False, "decomposed": decomposed},
                    packed, 1)  # fmt: skip
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.02)
    trained = total(packed, held)
    made = own(packed, adapter)
    assert made.digest == body.digest
    assert total(made, held) == pytest.approx(trained, rel=1e-5)
    assert abs(total(body, held) - trained) > 1e-2


@installed
def test_a_merge_into_the_loaded_matrices_is_refused(tuned):
    """What is handed over is compared with the base that the adapter was trained beside."""
    _, held = make_data()
    _, rounded = two_bodies()
    loaded, wrong = resident(tiny_llm(), writes=True), copy.deepcopy(tuned.body().net)
    with torch.no_grad():
        for name, weight in wrong.named_parameters():
            weight += loaded.net.get_parameter(name) - rounded.net.get_parameter(name)
    spoilt = replace(tuned.body(), net=wrong)
    assert export.compare(tuned, held)["adapter_differs"] < 1e-4
    with pytest.raises(ArtifactError, match="does not compute what its merged weights do"):
        export.compare(replace(tuned, body=lambda: spoilt), held)


@installed
def test_activations_computed_twice_give_the_same_gradients():
    """Gradient checkpointing runs the forward pass of packed layers again."""
    found = []
    for twice in (False, True):
        packed, _ = two_bodies()
        adapter = put_on(packed.net, LoraConfig(rank=4), seed=3)
        packed.net.train()
        ids = torch.arange(1, 20)[None]
        with checkpointing(packed, twice):
            packed.net(input_ids=ids, labels=ids).loss.backward()
        assert not packed.net.get_input_embeddings()._forward_hooks
        found.append(torch.cat([p.grad.flatten() for p in adapter.parameters()]))
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert found[0].abs().max() > 0


@installed
def test_a_race_runs_over_4_bits_too():
    """All candidates share the packed base; the winner is merged into it."""
    _, held = make_data()
    model = fit(candidates=2)
    assert (model.facts["candidates"], model.facts["base_bits"]) == (2, 4)
    assert export.compare(model, held)["adapter_differs"] < 1e-4
    assert resident(tiny_llm(), writes=True).untouched()


@installed
def test_preferences_start_from_the_base_as_it_is_rounded():
    """What DPO compares with is the rounded base: at the start nothing has been learnt."""
    frame = pd.DataFrame(
        [{"prompt": f"{a}+{b}=?", "chosen": f"{a + b}", "rejected": "x"} for a in range(6)
         for b in range(4)]
    )  # fmt: skip
    dataset, rows = described(frame, "chosen")
    data = FitData(dataset, rows.take(np.arange(16)), rows.take(np.arange(16, 24)), seed=1)
    config = {"rung": "lora", "epochs": 1, "lora_learning_rate": 1e-6}
    seen = []

    def hear(step, values):
        if step == 1:  # its loss is from before the first update
            seen.append(values["train"])
        return Signal.CONTINUE

    for base_bits in (32, 4):  # what the loaded one says is known by then
        Llm().fit({**config, "base_bits": base_bits}, data, hear)
    np.testing.assert_allclose(seen, [np.log(2)] * 2, atol=1e-6)

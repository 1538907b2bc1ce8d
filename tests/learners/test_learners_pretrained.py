"""A body is loaded whole or not at all, and is as new after whatever a fit did to it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bodies import FAMILIES, SIZES, minilm, sentences, tiny, write_body
from safetensors.torch import load_file, save_file

from attain.core.errors import ArtifactError
from attain.core.types import Pretrained
from attain.data.pretrained import describe_pretrained
from attain.learners._pretrained import kernels, load
from attain.learners._pretrained.adapters import LoraConfig, put_on
from attain.learners._pretrained.layers import freeze_below
from attain.learners._pretrained.load import Body, load_body, resident
from attain.learners._pretrained.tokens import collate, tokenise


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a tiny BERT that a test may spoil."""
    made = tmp_path / "tiny"
    shutil.copytree(tiny().folder, made)
    return made


def described(folder: Path) -> Pretrained:
    return describe_pretrained(str(folder), folder)


def states(body: Body) -> torch.Tensor:
    """What it says of a few texts."""
    batch = collate(body, tokenise(body, sentences(4)), range(4))
    with torch.no_grad():
        out: torch.Tensor = body.net(**batch).last_hidden_state
    return out


def edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change the tensors of a checkpoint."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def set_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_computes_what_transformers_does(family: str, tmp_path: Path) -> None:
    """Same hidden states as the network that was saved, without pooler and ready to train."""
    net = write_body(tmp_path, family)
    body = load_body(described(tmp_path))
    batch = collate(body, tokenise(body, sentences(4)), range(4))
    with torch.no_grad():
        expected = net(**batch).last_hidden_state
    kept = batch["attention_mask"].bool()
    torch.testing.assert_close(states(body)[kept], expected[kept], atol=1e-5, rtol=1e-5)
    assert not [name for name in body.net.state_dict() if "pooler" in name]
    assert (body.hidden, body.layers) == (32, 3)
    assert not body.net.training


@pytest.mark.parametrize(("family", "longest"), [("Bert", 40), ("Roberta", 39), ("MPNet", 38)])
def test_longest_texts_are_taken_and_longer_ones_are_not(family: str, longest: int) -> None:
    """RoBERTa's family loses the positions up to its padding id, which MPNet fixes to 1."""
    body = resident(tiny(family))
    assert body.longest == longest
    tokens = tokenise(body, ["card " * 100])
    assert (tokens.lengths.tolist(), tokens.cut) == ([longest], 1)
    body.net(**collate(body, tokens, [0]))


def test_the_tokenizer_can_be_stricter_than_the_model(folder: Path) -> None:
    """What it was trained with is the smaller of both."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 16}))
    assert load_body(described(folder)).longest == 16


def _lacks_a_layer(folder: Path) -> None:
    edit(folder, lambda t: [t.pop(n) for n in list(t) if n.startswith("encoder.layer.2.")])


FAULTS: list[tuple[Callable[[Path], Any], str]] = [
    (_lacks_a_layer, r"16 tensors are missing and would be random numbers: encoder\.layer\.2\."),
    (
        lambda f: edit(f, lambda t: t.pop("embeddings.LayerNorm.bias")),
        r"1 tensors are missing.*: embeddings\.LayerNorm\.bias",
    ),
    (lambda f: set_config(f, num_hidden_layers=2), r"no place .*: encoder\.layer\.2\."),
    (lambda f: set_config(f, intermediate_size=64), r"another shape.*\(48, 32\) for \(64, 32\)"),
    (lambda f: set_config(f, model_type="distilbert"), "missing and would be random"),
    (lambda f: set_config(f, model_type="no-such-model"), "cannot be loaded"),
    (
        lambda f: set_config(f, model_type="own", auto_map={"AutoConfig": "own.Own"}),
        "cannot be loaded",
    ),
    (
        lambda f: edit(f, lambda t: t["encoder.layer.0.output.dense.weight"].fill_(float("nan"))),
        r"not finite: encoder\.layer\.0\.output\.dense\.weight",
    ),
    (
        lambda f: (f / "vocab.txt").write_text("\n".join(map(str, range(50)))) and _slow(f),
        "the tokenizer .* knows 5. tokens but the model only 17",
    ),
]


def _slow(folder: Path) -> None:
    """Let the vocabulary alone say what the tokenizer knows."""
    import transformers

    (folder / "tokenizer.json").unlink()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(50))]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


@pytest.mark.parametrize(("break_it", "message"), FAULTS)
def test_what_does_not_fit_is_named(
    folder: Path, break_it: Callable[[Path], Any], message: str
) -> None:
    """Nothing is filled with random numbers in silence."""
    break_it(folder)
    with pytest.raises(ArtifactError, match=message):
        load_body(described(folder))


def test_a_missing_pooler_is_no_fault(folder: Path) -> None:
    """Nobody uses it."""
    before = states(load_body(described(folder)))
    edit(folder, lambda t: [t.pop(n) for n in list(t) if n.startswith("pooler.")])
    assert torch.equal(states(load_body(described(folder))), before)


def test_a_checkpoint_with_a_head_gives_its_body(folder: Path) -> None:
    """The head of another task is left out, and told."""
    before = states(load_body(described(folder)))

    def with_head(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[f"bert.{name}"] = tensors.pop(name)
        tensors["classifier.weight"] = torch.zeros(2, 32)

    edit(folder, with_head)
    body = load_body(described(folder))
    assert body.ignored == ("classifier.weight",)
    assert torch.equal(states(body), before)


def test_pickled_weights_are_loaded_on_trust_only(folder: Path) -> None:
    """Also here, whatever described the folder."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    before = states(load_body(described(folder)))
    (folder / "model.safetensors").unlink()
    trusting = describe_pretrained(str(folder), folder, trust_pickle=True)
    assert torch.equal(states(load_body(trusting)), before)
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load_body(Pretrained(trusting.folder, trusting.digest))


def test_loading_says_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No progress bar and no report of transformers, and its own settings are as before."""
    from transformers.utils import logging as theirs

    level = theirs.get_verbosity()
    edit(folder, lambda t: t.update({"classifier.weight": torch.zeros(2, 32)}))
    with caplog.at_level(logging.WARNING):
        load_body(described(folder))
    out = capfd.readouterr()
    assert (out.out, out.err, caplog.text) == ("", "", "")
    assert theirs.get_verbosity() == level


def _tuned(body: Body) -> None:
    optimiser = torch.optim.AdamW(body.net.parameters(), lr=0.1)
    batch = collate(body, tokenise(body, sentences(4)), range(4))
    body.net.train()
    body.net(**batch).last_hidden_state.square().mean().backward()
    optimiser.step()


def _adapted(body: Body) -> None:
    adapter = put_on(body.net, LoraConfig(rank=2), seed=1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)


def _merged(body: Body) -> None:
    _adapted(body)
    body.net._attain_adapter.merge()


def _lowered(body: Body) -> None:
    body.net.to(torch.bfloat16)


def _frozen(body: Body) -> None:
    freeze_below(body.net, 1)


@pytest.mark.parametrize("use", [_tuned, _adapted, _merged, _lowered, _frozen])
def test_a_resident_body_is_as_new_after_any_use(use: Callable[[Body], None]) -> None:
    """Bit for bit the same weights and outputs, no gradients, everything trainable."""
    body = resident(tiny())
    before, weights = states(body), {n: t.clone() for n, t in body.net.state_dict().items()}
    use(body)
    again = resident(tiny())
    assert again is body
    assert torch.equal(states(again), before)
    assert {n: t.tolist() for n, t in again.net.state_dict().items()} == {
        n: t.tolist() for n, t in weights.items()
    }
    assert all(p.grad is None and p.requires_grad for p in again.net.parameters())
    assert not again.net.training


def test_few_bodies_stay_in_the_process() -> None:
    """The one that was not used for longest goes."""
    first = resident(tiny("Bert"))
    second = resident(tiny("Electra"))
    assert resident(tiny("Bert")) is first
    resident(tiny("Albert"))
    assert len(load._resident) == 2
    assert resident(tiny("Bert")) is first
    assert resident(tiny("Electra")) is not second


def test_number_types_are_bodies_of_their_own() -> None:
    """Weights in bfloat16 are rounded ones."""
    low = load_body(tiny(), dtype="bfloat16")
    assert low.net.dtype is torch.bfloat16
    assert 0 < (states(low).float() - states(load_body(tiny()))).abs().max() < 0.2


def test_a_saved_body_loads_and_says_the_same(tmp_path: Path) -> None:
    """With the weights it has at that moment, adapters left out, without the first folder."""
    body = load_body(tiny())
    _tuned(body)
    body.net.eval()
    after = states(body)
    put_on(body.net, LoraConfig(rank=2))
    body.save(tmp_path)
    loaded = load_body(described(tmp_path))
    assert torch.equal(states(loaded), after)
    assert loaded.longest == SIZES["max_position_embeddings"]


def test_the_real_encoder_loads() -> None:
    """Nothing missing, nothing left over, fused attention."""
    body = resident(minilm())
    assert (body.hidden, body.layers, body.longest, body.ignored) == (384, 6, 512, ())
    assert body.config._attn_implementation == "sdpa"


def test_fast_products_are_float32_and_leave_no_trace() -> None:
    """Values and gradients of all layers, whichever way is taken; bfloat16 would be far off."""
    body = resident(tiny())
    found = []
    for _ in range(2):
        body.net.zero_grad()
        batch = collate(body, tokenise(body, sentences(9)), range(9))
        out = body.net(**batch).last_hidden_state
        out.square().sum().backward()
        found.append((out.detach(), [p.grad.clone() for p in body.net.parameters()]))
        if len(found) == 1:
            with kernels.fast_float32(body.net):
                out = body.net(**batch).last_hidden_state
                body.net.zero_grad()
                out.square().sum().backward()
            found.append((out.detach(), [p.grad.clone() for p in body.net.parameters()]))
    plain, fast, after = found
    torch.testing.assert_close(fast[0], plain[0], atol=1e-4, rtol=1e-4)
    for ours, theirs in zip(fast[1], plain[1], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3 * float(theirs.abs().max()), rtol=1e-3)
    assert torch.equal(after[0], plain[0])
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"


def test_rounded_products_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor that would really compute in bfloat16 the setting is not touched."""
    monkeypatch.setattr(kernels, "_error", lambda torch: 4e-3)
    kernels.helps.cache_clear()
    assert not kernels.helps()
    kernels.helps.cache_clear()

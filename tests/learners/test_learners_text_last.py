"""The rung `last`: blocks that do not learn read each text once, and nothing depends on that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bodies import FAMILIES, sentences, tiny, write_body
from tag_toys import case as tag_case
from tag_toys import config as tag_config
from tag_toys import fit as tag_fit
from text_toys import case, config, encoder, fit, parts

from attain.core.errors import SpaceError
from attain.core.protocols import FitData
from attain.core.savings import counting
from attain.core.types import Pretrained, Signal
from attain.data.pretrained import describe_pretrained
from attain.learners._cache import NotKept, Ragged, StateStore, byte_keys
from attain.learners._pretrained import prefix as module
from attain.learners._pretrained.layers import blocks
from attain.learners._pretrained.lesson import empty_head
from attain.learners._pretrained.load import load_body, resident
from attain.learners._pretrained.prefix import Cut, Prefix
from attain.learners._pretrained.tokens import collate, tokenise
from attain.learners._text.network import Network
from attain.learners.text import Text

CUTTABLE = sorted(set(FAMILIES) - {"Albert"})


def cut_of(family: str, last: int = 1):
    body = resident(tiny(family))
    return Prefix(body, last), tokenise(body, sentences(9, seed=3, longest=12))


@pytest.mark.parametrize("family", CUTTABLE)
@pytest.mark.parametrize("last", [1, 2])
def test_every_family_can_be_cut(family, last):
    """Lower blocks without padding, then upper ones with it: as the whole network says."""
    prefix, tokens = cut_of(family, last)
    assert prefix.fits(tokens)
    rows = np.array([5, 0, 7])
    inputs = collate(prefix.body, tokens, rows)
    with torch.no_grad():
        whole = prefix.body.net(**inputs).last_hidden_state
        states = prefix.of(tokens, None).padded(rows)
        parts = prefix.cut.upper(states, inputs)
    real = inputs["attention_mask"].bool()
    assert torch.allclose(whole[real], parts[real], atol=1e-4)
    assert not torch.allclose(states[real], parts[real], atol=1e-2)


def test_a_network_that_cannot_be_cut_is_found_out():
    """One whose upper blocks see more of the lower ones than their states."""
    prefix, tokens = cut_of("Bert")
    top, bottom = (blocks(prefix.body.net)[1][i] for i in (-1, 0))
    seen = []
    handles = [
        bottom.register_forward_hook(lambda module, args, out: seen.append(out.mean())),
        top.register_forward_hook(lambda module, args, out: out + seen[-1]),
    ]
    try:
        assert not prefix.fits(tokens)
    finally:
        for handle in handles:
            handle.remove()
    assert prefix.fits(tokens)
    with pytest.raises(ValueError, match=r"must lie in 1\.\.2 \(got 3\)"):
        Cut(prefix.body.net, 3)


def gradients(body, inputs, last=1, dropout=0.0):
    """Loss and gradients of a step of the network that the loop trains."""
    torch.manual_seed(0)
    head = empty_head(body.hidden, 2)
    head.slope[:] = np.random.default_rng(0).normal(size=head.slope.shape)
    net = Network(body.net, "mean", head, dropout)
    for name, parameter in body.net.named_parameters():
        parameter.requires_grad_("layer.2" in name)
    net.cut_at(Cut(body.net, last))
    net.train()
    loss = torch.nn.functional.cross_entropy(net(inputs), torch.tensor([0, 1, 1]))
    loss.backward()
    found = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
    body.restored()
    return float(loss.detach()), found


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_step_on_kept_states_has_the_loss_and_gradients_of_a_whole_step(dropout, tmp_path):
    """Kept or computed for the step: to the last bit; without a cut: but for rounding."""
    body = load_body(tiny())
    prefix, tokens = Prefix(body, 1), tokenise(body, sentences(9, seed=3, longest=12))
    rows = np.array([8, 2, 4])
    inputs = collate(body, tokens, rows)
    kept = prefix.of(tokens, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_BYTES", 0)
        anew = prefix.of(tokens, tmp_path / "other")
    assert (kept.once, anew.once) == (True, False)
    first, second, whole = (
        gradients(body, {**inputs, **states}, dropout=dropout)
        for states in ({"states": kept.padded(rows)}, {"states": anew.padded(rows)}, {})
    )
    assert first[0] == second[0] == pytest.approx(whole[0], rel=1e-5)
    assert first[1].keys() == second[1].keys() == whole[1].keys()
    assert {n.partition("layer.")[2][:1] for n in first[1] if "layer." in n} == {"2"}
    for name, gradient in first[1].items():
        assert torch.equal(gradient, second[1][name])
        assert torch.allclose(gradient, whole[1][name], atol=1e-5)


def test_states_do_not_depend_on_padding_or_company():
    """Alone, in another order, or beside a longer text: the same bits, zeros elsewhere."""
    prefix, tokens = cut_of("Bert")
    states = prefix.of(tokens, None)
    order = np.argsort(-tokens.lengths)
    together = states.padded(order)
    for place, i in enumerate(order):
        alone = Prefix(prefix.body, 1).of(tokens.take(np.array([i])), None).padded(np.array([0]))
        length = int(tokens.lengths[i])
        assert torch.equal(together[place, :length], alone[0])
        assert not together[place, length:].any()
    left = replace(states, left=True).padded(order)
    assert torch.equal(left[-1, -int(tokens.lengths[order[-1]]) :], states.padded(order[-1:])[0])


def test_states_are_kept_for_all_fits_of_a_study(tmp_path, monkeypatch):
    """Other rows, seeds and settings find them; another depth does not; time saved is counted."""
    dataset, rows = case(rows=80)
    with counting() as cold:
        first = fit(config("last"), dataset, rows, cache=tmp_path)
    monkeypatch.setattr(Prefix, "compute", lambda self, tokens: pytest.fail("read again"))
    monkeypatch.setattr(Prefix, "fits", lambda self, tokens: True)
    with counting() as warm:
        again = fit(config("last"), dataset, rows, cache=tmp_path)
    assert np.array_equal(*(Text().predict(model, rows) for model in (first, again)))
    assert warm.seconds > cold.seconds
    assert first.facts["lower_blocks"] == again.facts["lower_blocks"] == "read once"
    mixed = rows.take(np.random.default_rng(1).permutation(len(rows))[:70])
    seen = set(parts(rows)[0].X["text"]) | set(parts(rows)[1].X["text"])
    known = mixed.take(np.flatnonzero([text in seen for text in mixed.X["text"]]))
    fit(config("last", dropout=0.2, learning_rate=1e-4), dataset, known, seed=3, cache=tmp_path)
    about = [json.loads(p.read_text()) for p in tmp_path.glob("states-*/about.json")]
    assert [told["behind"] for told in about] == [1]


@pytest.mark.parametrize("limit", ["disk", "study", "memory"])
def test_too_many_states_are_computed_at_each_step(limit, tmp_path, monkeypatch):
    """Nothing is kept, it is said, and the model is the same to the last bit."""
    dataset, rows = case(rows=80)
    plain = fit(config("last"), dataset, rows, cache=tmp_path / "roomy")
    cache = None if limit == "memory" else tmp_path / "full"
    name, value = {
        "disk": ("LEAST_FREE", 1.0), "study": ("MOST_BYTES", 1.0), "memory": ("MOST_MEMORY", 0.0)
    }[limit]  # fmt: skip
    monkeypatch.setattr(module, name, value)
    small = fit(config("last"), dataset, rows, cache=cache)
    assert small.facts["lower_blocks"] == "read at each step: too much to keep"
    assert not list((tmp_path / "full").glob("states-*/rows.bin"))
    assert np.array_equal(*(Text().predict(model, rows) for model in (plain, small)))


def test_a_body_that_cannot_be_cut_is_tuned_all_the_same(monkeypatch):
    """The whole network runs at each step; nothing is dropped below, so that little changes."""
    dataset, rows = case(rows=80)
    plain = fit(config("last"), dataset, rows)
    monkeypatch.setattr(Prefix, "fits", lambda self, tokens: False)
    whole = fit(config("last"), dataset, rows)
    assert whole.facts["lower_blocks"] == "read at each step: this network cannot be cut"
    found = [Text().predict(model, rows) for model in (plain, whole)]
    assert np.allclose(*found, atol=0.02)


def test_only_the_last_blocks_change():
    """Embeddings and lower blocks are those of the pre-trained model, to the last bit."""
    dataset, rows = case(rows=80)
    model = fit(config("last"), dataset, rows)
    tuned = model.core.body().net.state_dict()
    plain = resident(encoder()).net.state_dict()
    changed = {name for name, tensor in tuned.items() if not torch.equal(tensor, plain[name])}
    assert changed == {name for name in tuned if "layer.1." in name}
    learning = sum(tuned[name].numel() for name in tuned if "layer.1." in name)
    assert model.facts["trained"] == learning + 33 * 2


def test_a_fit_goes_on_where_it_was_also_without_its_states(tmp_path):
    """Paused with kept states and continued with an empty cache: the same model."""
    dataset, rows = case(rows=80)
    whole = Text().predict(fit(config("last"), dataset, rows), rows)
    seen = []

    def pause(step, losses):
        seen.append(step)
        return Signal.PAUSE if len(seen) == 3 else Signal.CONTINUE

    kept = {"checkpoint": tmp_path / "at", "cache": tmp_path / "first"}
    fit(config("last"), dataset, rows, report=pause, **kept)
    model = fit(config("last"), dataset, rows, **{**kept, "cache": tmp_path / "second"})
    assert model.facts["resumed"] == seen[-1]
    assert np.array_equal(Text().predict(model, rows), whole)


def test_how_many_blocks_learn_is_bounded_by_the_body(tmp_path):
    """A body of three blocks offers one or two; of shared blocks it has no such rung."""
    dataset, rows = case(rows=60)
    three = replace(dataset, pretrained=deep(tmp_path / "three"))
    (asked,) = [p for p in Text().space(three) if p.name == "blocks"]
    assert asked.choices == (1, 2)
    trained = [
        fit(config("last", blocks=count), three, rows).facts["trained"] for count in (1, 2, 9)
    ]
    assert trained[0] < trained[1] == trained[2]
    shared = replace(dataset, pretrained=tiny("Albert"))
    names = [name for p in Text().space(shared).ladders for name in (*p.choices, *p.reserve)]
    assert names == ["tfidf", "frozen", "lora", "full"]
    with pytest.raises(SpaceError, match=r"a rung must exist \(got last\)"):
        fit({"rung": "last"}, shared, rows)


def deep(folder: Path) -> Pretrained:
    """A body of three blocks."""
    folder.mkdir()
    write_body(folder)
    return describe_pretrained(str(folder), folder)


def test_the_forecast_counts_what_is_read_once(tmp_path):
    """It keeps nothing itself, and says which part only the first fit pays."""
    dataset, rows = case()
    train, stop, _ = parts(rows)
    found = Text().forecast(FitData(dataset, train, stop, seed=0, cache=tmp_path))
    (last,) = [rung for rung in found.rungs if rung.name == "last"]
    assert "s of reading once for the whole study" in last.reason
    assert not list(tmp_path.glob("states-*/rows.bin"))


def test_words_have_the_rung_too(tmp_path, monkeypatch):
    """Labels of words: kept, computed again, the same labels."""
    dataset, rows = tag_case()
    kept = tag_fit(tag_config("last"), dataset, rows, cache=tmp_path)
    monkeypatch.setattr(module, "MOST_MEMORY", 0.0)
    anew = tag_fit(tag_config("last"), dataset, rows)
    assert kept.facts["lower_blocks"] == "read once"
    assert anew.facts["lower_blocks"] == "read at each step: too much to keep"
    assert Text().say(kept, rows).tolist() == Text().say(anew, rows).tolist()


def test_rows_of_a_store_are_read_where_they_are(tmp_path):
    """Mapped, not copied; equal keys share a row; a full disk leaves the rest in memory."""
    names = [3, 1, 3, 2]
    keys = byte_keys(b"%d" % name for name in names)

    def compute(index):
        rows = [np.full(names[i], names[i] / 2, dtype=np.float32) for i in index]
        return Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))

    for allowed in (lambda missing, kept: kept, None):
        row = StateStore(tmp_path, "states", {}).rows(keys, compute, allowed, batch=2)
        for place, name in enumerate(names):
            assert row(place).tolist() == [name / 2] * name
        assert not row(0).flags.owndata
        assert np.shares_memory(row(0), row(2))
    with pytest.raises(NotKept, match="more room than they may"):
        StateStore(None, "states", {}).rows(keys, compute, lambda missing, kept: kept, batch=2)

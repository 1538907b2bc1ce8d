"""Tokens and features are the body's own, the same whichever rows are asked for together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bodies import FAMILIES, minilm, sentences, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.learners._pretrained import features as module
from attain.learners._pretrained.adapters import LoraConfig, put_on
from attain.learners._pretrained.features import Features, equal_lengths
from attain.learners._pretrained.load import load_body, resident
from attain.learners._pretrained.tokens import collate, tokenise

TEXTS = [*sentences(30), "", "card", "card " * 100, "unknown words here", "card"]


def direct(pretrained: Any, text: str) -> torch.Tensor:
    """All hidden states of one text, as transformers' documentation computes them."""
    body = resident(pretrained)
    encoded = body.tokenizer(
        text, truncation=True, max_length=body.longest, return_tensors="pt"
    ).to("cpu")
    names = ("input_ids", "attention_mask")
    with torch.no_grad():
        out = body.net(**{n: encoded[n] for n in names}, output_hidden_states=True)
    return torch.stack(out.hidden_states)[:, 0]


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("layers", [1, 2])
def test_features_are_pooled_hidden_states(family: str, pooling: str, layers: int) -> None:
    """Equal to the plain computation, text by text, in the order of the texts."""
    body = resident(tiny(family))
    some = TEXTS[:5] + TEXTS[-5:]
    rows = Features(body, pooling, layers).of(tokenise(body, some))
    assert rows.shape == (10, 32)
    assert rows.dtype == np.float32
    for text, row in zip(some, rows, strict=True):
        states = direct(tiny(family), text)[-layers:].mean(0)
        kinds = {"mean": states.mean(0), "cls": states[0], "max": states.amax(0)}
        np.testing.assert_allclose(row, kinds[pooling], atol=2e-5, rtol=1e-4)


def test_rows_do_not_depend_on_their_company() -> None:
    """To the last bit: alone, together, in another order, with another budget of positions."""
    body = resident(minilm())
    tokens = tokenise(
        body, [*sentences(12, seed=1, longest=12), "", "card", "card " * 40, "card " * 40]
    )
    features = Features(body)
    together = features.of(tokens)
    for i in range(len(tokens)):
        assert (features.of(tokens.take(np.array([i])))[0] == together[i]).all()
    order = np.random.default_rng(0).permutation(len(tokens))
    assert (features.of(tokens.take(order)) == together[order]).all()


def test_the_budget_changes_speed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, over many texts of few lengths, of a network of a real size."""
    body = resident(minilm())
    tokens = tokenise(body, sentences(80))
    found = []
    for budget in (1, 40, 4096):
        monkeypatch.setattr(module, "_TOKENS", budget)
        found.append(Features(body).of(tokens))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_features_come_from_the_cache_the_second_time(tmp_path: Path) -> None:
    """Equal bits, nothing computed, and the seconds saved are those spent before."""
    body = load_body(tiny())
    tokens = tokenise(body, TEXTS)
    first = Features(body)
    rows = first.of(tokens, cache=tmp_path)
    second = Features(resident(tiny()))
    second._compute = None  # type: ignore[assignment,method-assign]
    assert (second.of(tokens, cache=tmp_path) == rows).all()
    assert second.saved == pytest.approx(first.spent)
    assert second.spent == first.saved == 0.0


@pytest.mark.parametrize(
    "other", [{"pooling": "max"}, {"layers": 2}, {"body": "bfloat16"}, {"body": "Electra"}]
)
def test_whatever_decides_a_row_keeps_caches_apart(tmp_path: Path, other: dict[str, Any]) -> None:
    """Other pooling, layers, number type or model: other rows."""
    body = load_body(tiny())
    tokens = tokenise(body, TEXTS[:6])
    Features(body).of(tokens, cache=tmp_path)
    wish = dict(other)
    if wish.get("body") == "bfloat16":
        wish["body"] = load_body(tiny(), dtype="bfloat16")
    elif "body" in wish:
        wish["body"] = load_body(tiny("Electra"))
    features = Features(**{"body": body, **wish})
    expected = features.of(tokens)
    assert (features.of(tokens, cache=tmp_path) == expected).all()
    assert features.saved == 0.0


def test_features_of_a_tuned_body_are_never_kept(tmp_path: Path) -> None:
    """Other fits would take them for the model's own."""
    body = load_body(tiny())
    tokens = tokenise(body, TEXTS[:3])
    put_on(body.net, LoraConfig(rank=2))
    with pytest.raises(ValueError, match="tuned body must not be kept"):
        Features(body).of(tokens, cache=tmp_path)
    body.restored()
    Features(body).of(tokens, cache=tmp_path)
    with torch.no_grad():
        next(body.net.parameters()).add_(1e-3)
    with pytest.raises(ValueError, match="tuned body must not be kept"):
        Features(body).of(tokens, cache=tmp_path)
    assert Features(body).of(tokens).shape == (3, 32)


def test_features_do_not_see_dropout() -> None:
    """A net that was left in training mode is evaluated, and left as it was."""
    body = load_body(tiny())
    tokens = tokenise(body, TEXTS[:3])
    expected = Features(body).of(tokens)
    body.net.train()
    assert (Features(body).of(tokens) == expected).all()
    assert body.net.training


@pytest.mark.parametrize(
    ("wish", "message"),
    [({"pooling": "sum"}, "pooling must be one of"), ({"layers": 4}, r"layers must lie in 1\.\.3")],
)
def test_a_wrong_wish_is_refused(wish: dict[str, Any], message: str) -> None:
    """By name, with what is possible."""
    with pytest.raises(ValueError, match=message):
        Features(resident(tiny()), **wish)


def test_no_rows_have_no_features() -> None:
    """But the right width."""
    body = resident(tiny())
    assert Features(body).of(tokenise(body, [])).shape == (0, 32)


@given(lengths=st.lists(st.integers(0, 9), max_size=60), budget=st.integers(1, 40))
def test_batches_hold_rows_of_one_length_within_the_budget(lengths: list[int], budget: int) -> None:
    """All rows, each once."""
    array = np.array(lengths, dtype=np.int64)
    batches = list(equal_lengths(array, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(set(array[batch])) == 1
        assert len(batch) == 1 or array[batch].sum() <= budget


# --- tokens ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text(max_size=60) | st.sampled_from(TEXTS), max_size=12),
    longest=st.integers(5, 40),
)
def test_tokens_are_those_of_transformers(texts: list[str], longest: int) -> None:
    """Padded and masked as its own call does it, also when texts are cut."""
    body = resident(tiny())
    tokens = tokenise(body, texts, longest=longest)
    assert (tokens.lengths <= longest).all()
    if texts:
        whole = body.tokenizer(texts)["input_ids"]
        assert tokens.full.tolist() == [len(ids) for ids in whole]
        assert tokens.cut == sum(len(ids) > longest for ids in whole)
        expected = body.tokenizer(
            texts, truncation=True, max_length=longest, padding=True, return_tensors="pt"
        )
        batch = collate(body, tokens, range(len(texts)))
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in batch)


@pytest.mark.parametrize("longest", [40, 12])
def test_pairs_have_segments(longest: int, tmp_path: Path) -> None:
    """As transformers has them; of a pair the longer text is cut; also from the cache."""
    body = resident(tiny())
    firsts, seconds = sentences(20, seed=1), sentences(20, seed=2)
    expected = body.tokenizer(
        firsts,
        seconds,
        truncation="longest_first",
        max_length=longest,
        padding=True,
        return_tensors="pt",
    )
    for _ in range(2):
        tokens = tokenise(body, firsts, seconds, longest=longest, cache=tmp_path)
        batch = collate(body, tokens, range(20))
        assert all(torch.equal(batch[name], expected[name]) for name in expected)
    assert (tokens.cut > 0) is (longest == 12)


def test_pairs_are_not_the_texts_alone(tmp_path: Path) -> None:
    """One cache holds both; equal ids with other segments have other features."""
    body = resident(tiny())
    alone = tokenise(body, ["card lost"], cache=tmp_path)
    pair = tokenise(body, ["card"], ["lost"], cache=tmp_path)
    assert pair.lengths.tolist() == [alone.lengths[0] + 1]
    a = tokenise(body, ["card [SEP] lost"])
    b = tokenise(body, ["card"], ["lost"])
    assert a.ids.row(0).tolist() == b.ids.row(0).tolist()
    assert not (a.keys() == b.keys()).all()
    rows = [Features(body).of(t, cache=tmp_path) for t in (a, b)]
    assert not (rows[0] == rows[1]).all()


def test_left_padding_is_the_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a model wants it."""
    body = resident(tiny())
    texts, others = ["card", "where is my card"], ["is lost", "a refund"]
    monkeypatch.setattr(body.tokenizer, "padding_side", "left")
    expected = body.tokenizer(texts, others, padding=True, return_tensors="pt")
    batch = collate(body, tokenise(body, texts, others), range(2))
    assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_tokenising_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of the tokenizer are allowed for the call only."""
    body = resident(tiny())
    seen = []
    real = type(body.tokenizer).__call__

    def spy(self: Any, *args: Any, **how: Any) -> Any:
        seen.append(os.environ["TOKENIZERS_PARALLELISM"])
        return real(self, *args, **how)

    monkeypatch.setattr(type(body.tokenizer), "__call__", spy)
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    tokenise(body, ["card"])
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    tokenise(body, ["card"], threads=2)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    assert seen == ["false", "true"]


def test_long_texts_are_said_to_be_cut_and_the_tokenizer_is_as_before() -> None:
    """A call after a cutting one does not cut."""
    body = resident(tiny())
    tokens = tokenise(body, ["card " * 100, "card"], longest=10)
    assert (tokens.lengths.tolist(), tokens.full.tolist(), tokens.cut) == ([10, 3], [102, 3], 1)
    assert tokenise(body, ["card " * 30]).full.tolist() == [32]

"""What examples begin with is read once: prompts of two answers, examples before all prompts."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_toys import described, make_net, tiny_llm

from attain.core.protocols import FitData
from attain.learners._llm import speak
from attain.learners._llm.batch import collate, collate_shared, in_common
from attain.learners._llm.encode import pack_up
from attain.learners._llm.speak import Speaker, families, sums, width
from attain.learners._llm.work import Pairs, Preference
from attain.learners._pretrained.adapters import LoraConfig, put_on
from attain.learners._pretrained.load import resident
from attain.learners.llm import Llm

MANY = settings(max_examples=25, deadline=None)


def family(seed, prompt, sizes, alike=0):
    """Examples behind one prompt, of which the answers begin alike; all of the answer is learnt."""
    random = np.random.default_rng(seed)
    start, more = random.integers(1, 100, prompt), random.integers(1, 100, alike)
    ids = [np.concatenate([start, more, random.integers(1, 100, size)]) for size in sizes]
    trained = [np.arange(len(part)) >= prompt for part in ids]
    return pack_up(ids, trained, np.arange(len(sizes)))


def totals(speaker, batch):
    losses, _ = speaker(batch)
    return torch.zeros(batch.examples, dtype=losses.dtype).index_add(0, batch.owners, losses)


@MANY
@given(
    seed=st.integers(0, 99), prompt=st.integers(1, 12), alike=st.integers(0, 3),
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
)  # fmt: skip
def test_what_is_shared_is_seen_as_if_each_example_stood_alone(seed, prompt, alike, sizes):
    """Losses and gradients of a line with one beginning equal those of lines of their own."""
    coded, net = family(seed, prompt, sizes, alike), make_net().double()
    adapter = put_on(net, LoraConfig(rank=2), seed=1)
    for layer in adapter.layers.values():
        torch.nn.init.normal_(layer.lora_B.weight, std=0.1)
    speaker, found = Speaker(net), []
    order = list(range(len(coded)))
    alone = collate(coded, order, pad=0, packed=False)
    shared = collate_shared(coded, [order], pad=0)
    assert shared.ids.numel() == width(coded, order) <= sum(coded.lengths)
    for batch in (alone, shared):
        net.zero_grad()
        each = totals(speaker, batch)
        (each * (1 + torch.arange(len(each)))).sum().backward()
        gradients = [layer.lora_A.weight.grad.clone() for layer in adapter.layers.values()]
        found.append((each.detach(), gradients))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=1e-5)
    for one, other in zip(found[1][1], found[0][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_an_answer_that_saw_the_other_would_be_noticed():
    """With the usual causal mask the second answer reads the first one; planted, sums differ."""
    coded, speaker = family(0, 6, (5, 5)), Speaker(make_net())
    batch = collate_shared(coded, [[0, 1]], pad=0)
    size = batch.ids.shape[1]
    causal = torch.tril(torch.ones(size, size, dtype=torch.bool))[None, None]
    leaky = type(batch)(batch.ids, causal, batch.positions, batch.places, batch.targets,
                        batch.owners, 2)  # fmt: skip
    before, after = totals(speaker, batch), totals(speaker, leaky)
    torch.testing.assert_close(after[0], before[0])
    assert (after[1] - before[1]).abs() > 1e-3


@MANY
@given(seed=st.integers(0, 99), most=st.integers(1, 60), count=st.integers(1, 12))
def test_families_hold_each_example_once_and_share_half(seed, most, count):
    """Whatever the limit, none is lost, none is twice, and a group is not longer than it."""
    random = np.random.default_rng(seed)
    prompts = [random.integers(1, 4, size) for size in random.integers(1, 9, 3)]
    ids = [np.concatenate([prompts[i % 3], random.integers(1, 4, 1 + i % 5)]) for i in range(count)]
    coded = pack_up(ids, [np.ones(len(part), bool) for part in ids], np.arange(count))
    found = families(coded, most)
    assert sorted(i for group in found for i in group) == list(range(count))
    for group in found:
        assert len(group) == 1 or width(coded, group) <= most
        for one, other in itertools.pairwise(group):
            assert 2 * in_common(ids[one], ids[other]) >= len(ids[other])


def test_examples_before_all_prompts_are_read_once(monkeypatch):
    """The same sums with a fraction of the tokens; a network that cannot share says so."""
    body = resident(tiny_llm(), writes=True)
    speaker, coded = Speaker(body.net), family(1, 60, (4, 7, 5, 6, 9, 3))
    read = []
    plain = speak.collate_shared

    def counted(*args, **more):
        made = plain(*args, **more)
        read.append(made.ids.numel())
        return made

    monkeypatch.setattr(speak, "collate_shared", counted)
    together = sums(speaker, body, coded)
    assert sum(read) == 60 + 34
    speaker.packs = False
    alone = sums(speaker, body, coded)
    assert sum(read) - 94 >= 6 * 63
    np.testing.assert_allclose(together.loss, alone.loss, rtol=1e-5)
    np.testing.assert_array_equal(together.tokens, alone.tokens)
    np.testing.assert_array_equal(together.right, alone.right)


@pytest.mark.parametrize("packed", [True, False])
def test_the_loss_of_pairs_does_not_depend_on_the_layout(packed):
    """Pairs in one line behind their prompt, or each answer alone: one at a time says the same."""
    body = resident(tiny_llm(), writes=True)
    speaker = Speaker(body.net)
    prompts = [family(i, 5 + i, (4, 6)) for i in range(4)]
    sides = [
        pack_up([p.row(side)[0] for p in prompts], [p.row(side)[1] for p in prompts], np.arange(4))
        for side in (0, 1)
    ]
    pairs = Pairs(*sides)
    now = pairs.log_probabilities(speaker, body)
    expected = [-sums(speaker, body, side).loss for side in sides]
    np.testing.assert_allclose(now, expected, rtol=1e-5)
    said = now - np.array([[1.0], [0.0]])  # as if the chosen answers had become likelier
    work = Preference(body, pairs, said, 0.5, packed=packed)
    loss, count = work.loss(speaker, work.batch(np.array([2, 0, 3, 1])))
    assert count == 4
    assert float(loss.detach()) == pytest.approx(4 * np.log1p(np.exp(-0.5)), rel=1e-4)
    assert len(work.lengths) == 4
    assert list(work.lengths) == [n + 10 + (0 if packed else n) for n in (5, 6, 7, 8)]


def test_a_ranking_behind_examples_equals_one_row_at_a_time():
    """Few-shot prompts of pairs: read together or row by row, the same counts and sums."""
    frame = pd.DataFrame({"prompt": [f"say {i}" for i in range(9)], "chosen": "yes",
                          "rejected": [f"no {i}" for i in range(9)]})  # fmt: skip
    dataset, rows = described(frame, "chosen")
    data = FitData(dataset, rows)
    model = Llm().fit({"rung": "few_shot", "shots": 2}, data, lambda *_: None)
    together = Llm().predict(model, rows)
    alone = np.vstack([Llm().predict(model, rows.take([i])) for i in range(9)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)

"""Loss and gradient of supervised tokens equal a plain reference, however rows are laid out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_toys import make_net, tiny_llm
from torch.nn import functional

from attain.learners._llm import tuning
from attain.learners._llm.batch import collate, lines
from attain.learners._llm.encode import pack_up
from attain.learners._llm.losses import dpo_losses, token_losses
from attain.learners._llm.speak import Speaker
from attain.learners._pretrained.adapters import LoraConfig, put_on
from attain.learners._pretrained.load import resident
from attain.learners._torch.batches import micro_batches
from attain.learners._torch.recipe import Recipe

SIZES = (17, 5, 9, 4, 12, 7)


def some(seed=0, sizes=SIZES):
    random = np.random.default_rng(seed)
    ids = [random.integers(1, 100, size) for size in sizes]
    trained = [random.random(size) < 0.6 for size in sizes]
    for mask in trained:
        mask[0], mask[-1] = False, True
    return pack_up(ids, trained, np.arange(len(sizes)))


def reference(net, coded):
    """One example at a time, all logits, labels masked with -100: as transformers does it."""
    total, tokens = torch.zeros(()), 0
    for i in range(len(coded)):
        ids, trained = coded.row(i)
        labels = torch.from_numpy(np.where(trained, ids, -100))[None]
        logits = net(input_ids=torch.from_numpy(ids)[None]).logits
        total = total + functional.cross_entropy(
            logits[0, :-1], labels[0, 1:], reduction="sum", ignore_index=-100
        )
        tokens += int(trained[1:].sum())
    return total / tokens


def gradients(net):
    return {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("micro", [6, 4, 1])
@pytest.mark.parametrize(("packed", "side"), [(True, "right"), (False, "right"), (False, "left"),
                                              (True, "left")])  # fmt: skip
def test_loss_and_gradient_equal_the_reference_in_every_layout(packed, side, micro):
    """Packing, accumulation over parts of unequal size, and the side of padding change nothing."""
    net, coded = make_net(), some()
    wanted = reference(net, coded)
    wanted.backward()
    expected = gradients(net)
    net.zero_grad()
    speaker = Speaker(net)
    assert speaker.direct
    assert speaker.packs
    order = np.argsort(-coded.lengths)
    total, units = 0.0, 0
    for part in micro_batches(order, micro):
        losses, _ = speaker(collate(coded, part, pad=3, packed=packed, side=side))
        losses.sum().backward()
        total, units = total + float(losses.detach().sum()), units + len(losses)
    for parameter in net.parameters():
        parameter.grad /= units
    assert total / units == pytest.approx(float(wanted.detach()), rel=1e-5)
    for name, gradient in gradients(net).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6)


def test_a_frozen_head_gives_the_same_gradient_to_adapters():
    """The way back through a head that is not trained is the one made on the way forth."""
    found = []
    for direct in (True, False):
        net = make_net()
        adapter = put_on(net, LoraConfig(rank=4), seed=1)
        made = torch.Generator().manual_seed(2)
        for layer in adapter.layers.values():
            torch.nn.init.normal_(layer.lora_B.weight, std=0.1, generator=made)
        speaker = Speaker(net)
        speaker.direct = direct
        losses, _ = speaker(collate(some(), range(6), pad=0))
        losses.mean().backward()
        found.append(gradients(net))
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-5, atol=1e-6)


def test_examples_that_share_a_line_do_not_see_each_other():
    """Changing one example of a line changes nothing of what the others say; planted, it would."""
    net = make_net()
    speaker, coded = Speaker(net), some()
    batch = collate(coded, range(6), pad=0)
    assert len(batch.ids) < 6
    before, _ = speaker(batch)
    changed = coded.ids.copy()
    begin = int(coded.ends[4] - coded.lengths[4])
    changed[begin : coded.ends[4]] = 7
    other = pack_up(
        [changed[e - n : e] for e, n in zip(coded.ends, coded.lengths, strict=True)],
        [coded.row(i)[1] for i in range(6)], coded.rows,
    )  # fmt: skip
    after, _ = speaker(collate(other, range(6), pad=0))
    same = batch.owners != 4
    torch.testing.assert_close(after[same], before[same], rtol=1e-5, atol=1e-6)
    leaky = collate(coded, range(6), pad=0)
    causal = torch.tril(torch.ones(17, 17, dtype=torch.bool)).expand(len(leaky.ids), 1, 17, 17)
    leaking, _ = speaker(type(leaky)(leaky.ids, causal, leaky.positions, leaky.places,
                                     leaky.targets, leaky.owners, 6))  # fmt: skip
    assert (leaking - before).abs().max() > 1e-3


def test_a_network_with_windows_is_not_packed():
    """A mask of our own would take the place of the window's."""
    net = make_net()
    net.config.sliding_window = 4
    assert not Speaker(net).packs


def test_a_head_with_something_behind_it_is_not_bypassed():
    """Logits that are scaled after the output layer are computed by the network itself."""
    net = make_net()
    plain = net.forward

    def scaled(*args, **kwargs):
        made = plain(*args, **kwargs)
        made.logits = 5 * torch.tanh(made.logits / 5)
        return made

    net.forward = scaled
    speaker, coded = Speaker(net), some()
    assert not speaker.direct
    losses, _ = speaker(collate(coded, range(6), pad=0, packed=False))
    assert float(losses.detach().mean()) == pytest.approx(
        float(reference(net, coded).detach()), rel=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 1000))
def test_chunks_change_neither_losses_nor_gradients(count, chunk, seed):
    """Any chunk gives what torch's cross entropy gives, for states, weight and bias."""
    made = torch.Generator().manual_seed(seed)
    states = torch.randn(count, 8, generator=made, dtype=torch.float32, requires_grad=True)
    head = torch.nn.Linear(8, 23)
    targets = torch.randint(0, 23, (count,), generator=made)
    weights = torch.rand(count, generator=made)
    losses, right = token_losses(states, head, targets, chunk=chunk)
    (losses * weights).sum().backward()
    found = [states.grad.clone(), head.weight.grad.clone(), head.bias.grad.clone()]
    states.grad = None
    head.zero_grad()
    logits = head(states)
    expected = functional.cross_entropy(logits, targets, reduction="none")
    (expected * weights).sum().backward()
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(right, logits.argmax(1) == targets)
    for a, b in zip(found, [states.grad, head.weight.grad, head.bias.grad], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_lines_hold_every_example_once_and_none_is_too_long(sizes):
    """First fit loses nothing, and never uses more lines than there are examples."""
    placed = lines(sizes, max(sizes))
    assert sorted(i for line in placed for i in line) == list(range(len(sizes)))
    assert all(sum(sizes[i] for i in line) <= max(sizes) for line in placed)


def test_preference_loss_follows_the_formula():
    """log 2 where nothing has moved; else -log sigmoid(beta * difference of log ratios)."""
    chosen, rejected = torch.tensor([-3.0, -5.0]), torch.tensor([-4.0, -2.0])
    still = dpo_losses(chosen, rejected, chosen, rejected, 0.1)
    torch.testing.assert_close(still, torch.full((2,), float(np.log(2))))
    moved = dpo_losses(
        chosen, rejected, torch.tensor([-4.0, -5.0]), torch.tensor([-4.0, -4.0]), 0.5
    )
    expected = [np.log1p(np.exp(-0.5 * (1.0 - 0.0))), np.log1p(np.exp(-0.5 * (0.0 - 2.0)))]
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-6)


def test_a_step_is_cut_into_what_fits_into_memory(monkeypatch):
    """The less a process may hold, the fewer examples at once; at last activations go twice."""
    body = resident(tiny_llm(), writes=True)
    told = Recipe(batch=16, epochs=1.0, learning_rate=1e-3)
    per_token = tuning.activation_bytes(body, 1)
    monkeypatch.setattr(tuning, "_free", lambda device, memory: float(memory))

    def micro(examples):
        room = 2.0 * per_token * 100 * examples / 0.8
        made, twice = tuning.sized(told, body, 100, 0, int(room * 1.01))
        return made.micro, twice

    assert [micro(n) for n in (40, 16, 15, 5, 2)] == [(16, False), (16, False), (8, False),
                                                      (4, False), (2, False)]  # fmt: skip
    assert micro(0.5) == (2, True)
    assert tuning.sized(told, body, 100, 10**9, 10**9)[1]


def test_a_process_is_counted_with_what_it_holds():
    """Free is what the limit leaves beside what is there, and at most what the machine has."""
    device = torch.device("cpu")
    free = tuning._free(device, None)
    assert 0 < tuning._free(device, 2**33) < 2**33
    assert tuning._free(device, 2**60) <= free * 1.5

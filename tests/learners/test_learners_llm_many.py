"""Adapters that are trained together learn what each would have learnt alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_toys import SUMS, described, tiny_llm

from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.learners._llm import tuning
from attain.learners._llm.batch import collate
from attain.learners._llm.lesson import teach
from attain.learners._llm.many import Candidate, Plan, Race, effort, rounds
from attain.learners._llm.speak import Speaker, padding
from attain.learners._llm.stack import StackedMean
from attain.learners._llm.tuning import make_work
from attain.learners._llm.work import Speech
from attain.learners._pretrained.adapters import LoraConfig, put_on, set_state
from attain.learners._pretrained.load import resident
from attain.learners._torch.loop import fit
from attain.learners._torch.optimizer import one_group
from attain.learners._torch.recipe import Recipe

SHAPES = (LoraConfig(rank=4), LoraConfig(rank=8), LoraConfig(rank=2, rank_stabilised=True))
RATES = (1e-3, 3e-3, 3e-4)


def lesson():
    """A body as it was loaded, rows to learn from and rows to stop on."""
    dataset, rows = described(SUMS, "answer")
    body = resident(tiny_llm(), writes=True)
    train = teach(body, dataset, rows.take(np.arange(48)))
    stop = teach(body, dataset, rows.take(np.arange(48, 64)))
    return body, train.coded, stop.coded


def race(together=3, halving=False, shapes=SHAPES, rates=RATES, epochs=4):
    body, train, stop = lesson()
    speaker = Speaker(body.net)
    work = Speech(body, train, stop, speaker.packs)
    candidates = [Candidate(s, r, seed=k) for k, (s, r) in enumerate(zip(shapes, rates,
                                                                       strict=True))]  # fmt: skip
    plan = Plan(epochs, batch=8, seed=5, precision="fp32", together=together, halving=halving)
    return Race(speaker, work, candidates, plan), body


def states(made):
    found = [made.stack.state(k) for k in range(len(made.candidates))]
    made.stack.take_off()
    return found


def told_by(state, shape):
    """Loss on the rows to stop on of an adapter that stands alone on a fresh base."""
    body, _, stop = lesson()
    set_state(put_on(body.net, shape, seed=0), state)
    speaker = Speaker(body.net).eval()
    work = Speech(body, stop, None, speaker.packs)
    with torch.no_grad():
        batch = collate(stop, np.arange(len(stop)), pad=padding(work.body), packed=work.packed)
        return float(speaker(batch)[0].sum()) / int(stop.supervised.sum())


def same(a, b, tolerance=2e-4):
    for name, tensor in a.items():
        torch.testing.assert_close(tensor, b[name], rtol=tolerance, atol=tolerance)


def test_trained_together_equals_trained_alone_by_the_usual_loop():
    """Ranks, rates, seeds and scalings differ; each adapter ends where its own fit ends."""
    made, _ = race()
    made.run()
    together = states(made)
    for k, (shape, rate) in enumerate(zip(SHAPES, RATES, strict=True)):
        body, train, _ = lesson()
        adapter = put_on(body.net, shape, seed=k)
        speaker = Speaker(body.net)
        told = Recipe(epochs=4, batch=8, learning_rate=rate, schedule="cosine", precision="fp32",
                      compile=False)  # fmt: skip
        fit(speaker, Speech(body, train, None, speaker.packs), told, one_group(speaker),
            report=lambda step, values: Signal.CONTINUE, seed=5, threads=1)  # fmt: skip
        same(together[k], adapter.state())
        moved = max(float(t.abs().max()) for n, t in together[k].items() if "lora_B" in n)
        assert moved > 1e-3


def test_in_turn_equals_together():
    """How many share a pass changes rounding only."""
    one, two = race(together=1)[0], None
    one.run()
    first = states(one)
    two = race(together=3)[0]
    two.run()
    for a, b in zip(first, states(two), strict=True):
        same(a, b)


def test_halving_stops_losers_early_and_keeps_the_best():
    """Of four, two stop at half and two run to the end; the best of these is taken."""
    rates = (1e-6, 3e-3, 1e-6, 1e-3)
    made, body = race(halving=True, shapes=(LoraConfig(rank=4),) * 4, rates=rates)
    seen = []
    winner = made.run(lambda step, losses: seen.append((step, losses["stop"])) or True)
    steps = [c.step for c in made.courses]
    assert winner == 1
    assert steps == [12, 24, 12, 24]
    assert [step for step, _ in seen] == [12, 24]
    assert [c.paused for c in made.courses] == [True, False, True, True]
    made.stack.take_off()
    assert body.untouched()


@pytest.mark.parametrize(("count", "steps", "expected"), [
    (1, 24, [(24, 1)]), (2, 24, [(24, 1)]), (3, 24, [(12, 2), (24, 1)]),
    (8, 24, [(6, 4), (12, 2), (24, 1)]), (16, 24, [(3, 8), (6, 4), (12, 2), (24, 1)]),
    (2, 96, [(64, 1), (96, 1)]), (8, 96, [(7, 4), (21, 2), (64, 1), (96, 1)]),
    (16, 96, [(2, 8), (7, 4), (21, 2), (64, 1), (96, 1)]),
])  # fmt: skip
def test_twice_as_many_run_to_each_part_of_the_way_before(count, steps, expected):
    """What is tried more is only looked at earlier.

    With few steps two run to the end and parts are halves, else one, and thirds.
    """
    assert rounds(steps, count) == expected


def test_without_halving_all_run_to_the_end_and_are_looked_at_as_often():
    """What is compared with a race differs by who stops, not by when it is looked at."""
    made, _ = race(shapes=(LoraConfig(rank=4),) * 4, rates=(1e-6, 3e-3, 1e-6, 1e-3))
    made.run()
    assert [list(course.losses) for course in made.courses] == [[12, 24]] * 4
    assert not any(course.paused for course in made.courses)
    made.stack.take_off()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), st.integers(1, 40))
def test_looks_come_one_after_the_other_and_fewer_go_on_after_each(steps, count):
    """However many there are and however few steps, the last look is after all of them."""
    marks, kept = zip(*rounds(steps, count), strict=True)
    assert marks[-1] == steps
    assert all(0 < a < b for a, b in itertools.pairwise(marks))
    assert all(count > a >= b >= 1 for a, b in itertools.pairwise(kept))


def test_the_effort_of_a_race_is_what_it_takes(monkeypatch):
    """Steps of all candidates and rows looked at, said beforehand, are those of the race."""
    made, _ = race(halving=True, shapes=(LoraConfig(rank=2),) * 8, rates=(1e-3,) * 8, epochs=2)
    looked, look = [], made._look
    monkeypatch.setattr(
        made, "_look", lambda s, rows, w: looked.append(len(rows) * len(w)) or look(s, rows, w)
    )
    made.run()
    taken = sum(course.step for course in made.courses), sum(looked)
    assert effort(made.steps, 8, made.plan.batch, len(made._work.stop)) == taken
    made.stack.take_off()


def test_a_paused_candidate_goes_on_to_the_last_bit():
    """Taken off, put into another race and advanced, it ends as if it had never been paused.

    With its moments and the mean that it is judged by.
    """
    whole = race(together=1)[0]
    whole.advance([0], 24)
    expected = whole.state(0)
    whole.stack.take_off()
    first = race(together=1)[0]
    first.advance([0], 10)
    kept = first.state(0)
    first.stack.take_off()
    second = race(together=1)[0]
    second.restore(0, kept, 10)
    second.advance([0], 24)
    ended = second.state(0)
    second.stack.take_off()
    assert ended.keys() == expected.keys()
    for name, tensor in ended.items():
        assert torch.equal(tensor, expected[name])


def test_the_mean_weighs_later_steps_more():
    """After T steps, the weight of step t is t (t+1) (t+2) (t+3), whoever else trained."""
    drawn = torch.Generator().manual_seed(0)
    values = torch.randn(7, 2, 3, generator=drawn)
    weights = [torch.zeros(2, 3)]
    mean = StackedMean(weights)
    for t, value in enumerate(values):
        weights[0].copy_(value)
        mean.update([0, 1] if t < 4 else [1], t)
    for k, count in ((0, 4), (1, 7)):
        shares = torch.tensor([float(math.prod(range(t, t + 4))) for t in range(1, count + 1)])
        shares /= shares.sum()
        expected = (shares[:, None] * values[:count, k]).sum(0)
        torch.testing.assert_close(mean.state(k)["mean.0"], expected)


def test_before_the_end_a_candidate_is_judged_by_the_mean_of_its_weights():
    """What is kept then has the loss that was seen; training goes on from the weights."""
    made, _ = race()
    which = range(len(SHAPES))
    made.advance(which, 12)
    before = [made.state(k) for k in which]
    seen = [made.look(which), [made.kept(k) for k in which]]
    for k in which:
        after, kept = made.state(k), made.kept(k)
        assert all(torch.equal(tensor, after[name]) for name, tensor in before[k].items())
        assert any(not torch.equal(kept[name], after[name]) for name in kept)
    made.advance(which, 24)
    ended = [made.look(which), [made.kept(k) for k in which]]
    for k in which:
        assert all(torch.equal(made.state(k)[name], kept) for name, kept in ended[1][k].items())
    made.stack.take_off()
    for losses, kept in (seen, ended):
        for k in which:
            assert told_by(kept[k], SHAPES[k]) == pytest.approx(losses[k], rel=1e-5)


def test_a_race_that_is_ended_keeps_what_it_was_judged_by():
    """The best so far is one of those that came furthest, and its loss is the one that was told."""
    made, _ = race(halving=True)
    winner = made.run(lambda step, losses: False)
    furthest = max(course.step for course in made.courses)
    assert made.courses[winner].step == furthest < made.steps
    loss = made.courses[winner].losses[furthest]
    assert loss == min(course.losses[furthest] for course in made.courses)
    kept = made.kept(winner)
    made.stack.take_off()
    assert told_by(kept, SHAPES[winner]) == pytest.approx(loss, rel=1e-5)


def test_rows_of_zeros_that_pad_ranks_stay_zero():
    """What makes ranks equal is never trained, so it can be cut off."""
    made, _ = race()
    made.run()
    assert float(made.stack.a[0][2, 2:].detach().abs().max()) == 0.0
    assert float(made.stack.b[0][2, :, 2:].detach().abs().max()) == 0.0
    made.stack.take_off()


def test_a_look_in_one_pass_says_what_looks_in_turn_say(monkeypatch):
    """Three candidates take three passes in turn and one together, with no more tokens in it."""
    from attain.learners._llm import many

    made, _ = race()
    made.advance([0, 1, 2], 4)
    passes = []
    losses = made._losses
    monkeypatch.setattr(made, "_losses", lambda b: passes.append(b.ids.numel()) or losses(b))
    shared = made.look([0, 2])
    made.together = 1
    alone = made.look([0, 2])
    assert shared == pytest.approx(alone, rel=1e-5)
    assert alone[0] != pytest.approx(alone[2], rel=1e-3)
    assert len(passes) == 3
    monkeypatch.setattr(many, "TOKENS", 64)
    made.together, passes[:] = 2, []
    assert made.look([0, 2]) == pytest.approx(alone, rel=1e-5)
    assert max(passes) <= 64 or len(passes) == len(made._work.stop)
    made.stack.take_off()


def test_a_look_takes_no_more_rows_than_were_learnt_from(monkeypatch):
    """Rows are drawn once: a short look is at some of those of a long one, for all candidates."""
    made, _ = race(halving=True, shapes=(LoraConfig(rank=2),) * 8, rates=(1e-3,) * 8, epochs=1)
    looked, look = [], made._look

    def seen(stop, rows, which):
        looked.append((made.courses[which[0]].step, [int(row) for row in rows]))
        return look(stop, rows, which)

    monkeypatch.setattr(made, "_look", seen)
    made.run()
    rows = dict(looked)
    assert {step: len(at) for step, at in rows.items()} == {1: 8, 3: 16, 6: 16}
    assert rows[1] == rows[3][:8]
    assert sorted(rows[6]) == list(range(16))
    assert all(at == rows[step] for step, at in looked)
    made.stack.take_off()


def test_what_pays_is_measured_by_steps_that_count(monkeypatch):
    """The first steps decide between two ways, and train as any other."""
    made, _ = race(together=0)
    taken = []
    step = made._step
    monkeypatch.setattr(
        made, "_step", lambda which, at: taken.append(len(which)) or step(which, at)
    )
    made._measure()
    assert taken == [3, 3, 1, 1, 1]
    assert [course.step for course in made.courses] == [3, 3, 3]
    assert set(made.measured) == {"together", "in_turn"}
    assert made.together in (1, 3)
    made.advance([0, 1, 2], made.steps)
    ended = states(made)
    expected, _ = race(together=3)
    expected.advance([0, 1, 2], expected.steps)
    for one, other in zip(ended, states(expected), strict=True):
        same(one, other)


def test_too_little_memory_for_all_at_once_is_found_by_measuring(monkeypatch):
    """What does not fit together takes turns, and no step is lost or done twice."""
    made, _ = race(together=0)
    step = made._step

    def cramped(which, at):
        if len(which) > 1:
            raise MemoryError
        step(which, at)

    monkeypatch.setattr(made, "_step", cramped)
    made._measure()
    assert made.together == 1
    assert [course.step for course in made.courses] == [1, 1, 1]
    made.stack.take_off()


def test_no_more_adapters_share_a_pass_than_there_is_room_for(monkeypatch):
    """They take turns by twos and end as they would have together."""
    made, _ = race(together=0)
    made.most = 2
    taken = []
    step = made._step
    monkeypatch.setattr(
        made, "_step", lambda which, at: taken.append(len(which)) or step(which, at)
    )
    made.run()
    assert taken[:7] == [2, 1, 2, 1, 1, 1, 1]
    assert max(taken) == 2
    assert made.together <= 2
    ended = states(made)
    expected, _ = race(together=3)
    expected.run()
    for one, other in zip(ended, states(expected), strict=True):
        same(one, other)


def test_memory_decides_how_many_adapters_share_a_pass(monkeypatch):
    """What weights, moments and means take comes first; short of one pass, it goes twice."""
    body, _, _ = lesson()
    a_pass = tuning._KEPT * tuning.activation_bytes(body, 100)
    weights = [torch.zeros(1000)]
    monkeypatch.setattr(tuning, "_free", lambda device, memory: float(memory))

    def room(passes):
        free = (16_000 + passes * a_pass) / tuning._SPARE
        return tuning.sharing(body, 100, weights, 8, math.ceil(free))

    assert [room(n) for n in (9, 8, 7.9, 1, 0.9)] == [(8, False), (8, False), (7, False),
                                                      (1, False), (1, True)]  # fmt: skip


def test_a_race_short_of_memory_ends_as_one_with_plenty(monkeypatch):
    """One adapter at a time, its activations computed twice: slower, and the same losses."""
    from attain.learners.llm import Llm

    dataset, rows = described(SUMS, "answer")
    config = {"rung": "lora", "candidates": 2, "epochs": 4, "lora_learning_rate": 1e-3, "batch": 8}
    data = FitData(dataset, rows.take(np.arange(48)), rows.take(np.arange(48, 64)), seed=1)

    def raced():
        looks = []
        model = Llm().fit(config, data, lambda s, v: looks.append(v["stop"]) or Signal.CONTINUE)
        return model.facts, looks

    ample, expected = raced()
    monkeypatch.setattr(tuning, "_free", lambda device, memory: 0.0)
    short, looks = raced()
    assert not ample["activations_twice"]
    assert short["activations_twice"]
    assert short["together"] == 1
    assert short["winner"] == ample["winner"]
    np.testing.assert_allclose(looks, expected, rtol=1e-4)


def test_without_rows_to_stop_on_nothing_can_be_compared():
    """A comparison on training rows would prefer what memorises."""
    body, train, _ = lesson()
    speaker = Speaker(body.net)
    made = Race(speaker, Speech(body, train, None), [Candidate(SHAPES[0], 1e-3)], Plan(1, 8))
    with pytest.raises(ValueError, match="rows to stop on"):
        made.look([0])
    made.stack.take_off()


def test_dropout_cannot_be_stacked():
    """Its masks would have to be those of separate fits."""
    body, _, _ = lesson()
    from attain.learners._llm.stack import Stack

    with pytest.raises(ValueError, match="no dropout"):
        Stack(body.net, [LoraConfig(dropout=0.1)], [0])


def test_candidates_of_a_fit_are_raced_and_the_winner_is_kept():
    """The learner's parameter: a race inside one fit, and a refit of the winner alone."""
    from attain.learners.llm import Llm

    dataset, rows = described(SUMS, "answer")
    learner = Llm()
    config = {"rung": "lora", "candidates": 4, "epochs": 5, "lora_learning_rate": 1e-3, "batch": 8}
    data = FitData(dataset, rows.take(np.arange(48)), rows.take(np.arange(48, 64)), seed=1)
    model = learner.fit(config, data, lambda step, values: Signal.CONTINUE)
    plain = learner.fit({**config, "candidates": 1}, data, lambda s, v: Signal.CONTINUE)
    assert model.facts["winner"] in range(4)
    assert model.facts["candidates"] == 4
    assert "adapter_config.json" in model.adapter
    held = rows.take(np.arange(48, 64))
    assert model.predict(held)[:, 0].sum() != plain.predict(held)[:, 0].sum()
    hints = {"rounds": model.facts["rounds"], "winner": model.facts["winner"]}
    again = FitData(dataset, rows.take(np.arange(64)), hints=hints, seed=1)
    refitted = learner.fit(config, again, lambda step, values: Signal.CONTINUE)
    assert refitted.facts["steps"] <= 40


def test_the_work_of_the_learner_is_the_same():
    """`make_work` gives the race the rows that a single fit gets."""
    body, _, _ = lesson()
    dataset, rows = described(SUMS, "answer")
    taught = teach(body, dataset, rows)
    config = {"rung": "lora"}
    work = make_work(config, body, Speaker(body.net), taught, None)
    assert isinstance(work, Speech)
    assert len(work.train) == 64

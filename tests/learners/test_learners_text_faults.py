"""Silent mistakes of fine-tuning, planted one by one: each is caught, none trains on quietly."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from text_toys import RUNGS, TUNED, case, config, encoder, fit, parts

from attain.core.errors import ArtifactError, DataError
from attain.core.protocols import FitData
from attain.core.types import Signal, Task
from attain.learners._pretrained import lesson as lessons
from attain.learners._pretrained import tokens as tokens_module
from attain.learners._pretrained.load import resident
from attain.learners._pretrained.outputs import Outputs, find_outputs
from attain.learners._shared import log_loss
from attain.learners._text import network, rungs, tuning
from attain.learners._text.encoder import Encoder, Reading
from attain.learners._text.inputs import find_columns
from attain.learners._torch.step import OutOfMemory
from attain.learners.text import Text


def set_up(rung="full", task=Task.MULTICLASS, rows=60, **more):
    """What a fit is made of, up to the loop: data, configuration, work, network."""
    dataset, found = case(task, rows=rows)
    train, stop, _ = parts(found)
    data = FitData(dataset, train, stop)
    full = {**Text().space(dataset).defaults(), **defaults(dataset, rung), **config(rung), **more}
    columns, outputs = find_columns(dataset), find_outputs(dataset, train.y)
    lesson = lessons.Lesson.of(full, data, columns, columns.read(train.X), outputs)
    body = rungs.resident_body(data)
    reading, _ = rungs.find_reading(full, data, body, lesson.inputs, apart=False)
    work = rungs.make_work(full, data, body, reading, lesson)
    start, _ = rungs.solved_start(body, reading, work, lesson, data)
    net = network.Network(body.net, reading.pooling, start, 0.0)
    return data, full, work, net


def defaults(dataset, rung):
    from attain.learners._table import complete

    return complete(Text().space(dataset), {"rung": rung})


# --- padding --------------------------------------------------------------------------------------


def gap(net, work):
    """How far the loss of a padded batch is from that of its rows one by one."""
    net.eval()
    rows = np.array([np.argmax(work.lengths), np.argmin(work.lengths)])
    with torch.no_grad():
        together, units = work.loss(net, work.batch(rows))
        alone = sum(work.loss(net, work.batch(rows[i : i + 1]))[0] for i in range(2))
    assert units == 2
    return abs(float(together) - float(alone))


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_count(pooling, side):
    """A short text has the same loss beside a long one as alone, wherever padding stands."""
    _, _, work, net = set_up(pooling=pooling)
    before = work.body.tokenizer.padding_side
    work.body.tokenizer.padding_side = side
    try:
        if side == "right":
            assert gap(net, work) < 1e-4
        else:  # positions of a body made for the right side shift; only the pooling is judged
            batch = work.batch(np.array([0, 1]))["inputs"]
            mask = batch["attention_mask"]
            states = torch.randn(2, mask.shape[1], 32)
            junk = states.masked_fill(~mask.bool().unsqueeze(2), 1e6)
            pooled = [network._pooled(s, mask, pooling) for s in (states, junk)]
            assert torch.allclose(*pooled)
    finally:
        work.body.tokenizer.padding_side = before


@pytest.mark.parametrize("mistake", ["pooled over padding", "attended to padding"])
def test_counting_padding_is_caught(mistake, monkeypatch):
    """The check above fails for a network that pools over padding, or attends to it."""
    _, _, work, net = set_up()
    assert gap(net, work) < 1e-4
    if mistake == "pooled over padding":
        monkeypatch.setattr(network, "_pooled", lambda states, mask, pooling: states.mean(dim=1))
    else:
        collate = tokens_module.collate

        def careless(*args):
            batch = collate(*args)
            return {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}

        monkeypatch.setattr(network, "collate", careless)
    assert gap(net, work) > 1e-2


def test_the_network_says_what_predictions_say():
    """Training and predicting are two paths through the body; they agree."""
    data, _, work, net = set_up()
    reading = Reading(64)
    head = net.linear()
    core = Encoder(lambda: work.body, reading, head, "")
    texts = find_columns(data.dataset).read(data.train.X)
    net.eval()
    with torch.no_grad():
        scores = net(work.batch(np.arange(len(work.lengths)))["inputs"]).numpy()
    assert np.allclose(core.scores(texts), scores, atol=1e-3)


# --- the loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", TUNED)
def test_labels_that_are_all_masked_are_refused(rung, monkeypatch):
    """Loss 0 and success is what others report; here a step without supervised rows is an error."""

    def masked(self, net, batch):
        loss, _ = loss_of(self, net, batch)
        return loss * 0, 0.0

    loss_of = network.TextWork.loss
    monkeypatch.setattr(network.TextWork, "loss", masked)
    dataset, rows = case(rows=60)
    with pytest.raises(DataError, match="every step must have supervised examples"):
        fit(config(rung), dataset, rows)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_loss_to_stop_on_falls_when_the_model_is_better(rung, monkeypatch):
    """Direction: the model that is kept is the one with the smallest loss, not the largest."""
    told = []

    def report(step, losses):
        told.append(losses.get("stop"))
        return Signal.CONTINUE

    dataset, rows = case(rows=120)
    high = {"lora": {"lora_learning_rate": 3e-2}, "full": {"learning_rate": 3e-2}}.get(rung, {})
    model = fit({**config(rung), **high}, dataset, rows, report=report)
    stop = parts(rows)[1]
    losses = [loss for loss in told if loss is not None]
    kept = log_loss(stop.y, Text().predict(model, stop))
    assert max(losses) > 1.05 * min(losses), "losses must differ"
    assert kept == pytest.approx(min(losses), rel=1e-3), "not the best was kept"


@pytest.mark.parametrize("rung", RUNGS)
def test_a_wrong_direction_is_caught(rung, monkeypatch):
    """The check above fails when the stop loss is taken with the wrong sign."""
    evaluate = network.TextWork.evaluate
    monkeypatch.setattr(
        network.TextWork, "evaluate", lambda w, n: {k: -v for k, v in evaluate(w, n).items()}
    )
    loss = Outputs.loss
    monkeypatch.setattr(Outputs, "loss", lambda *args: -loss(*args))
    with pytest.raises(AssertionError, match=r"not the best was kept|losses must differ"):
        test_the_loss_to_stop_on_falls_when_the_model_is_better(rung, monkeypatch)


def test_an_evaluation_that_does_not_fit_is_done_in_halves(monkeypatch):
    """Memory for two rows at once is enough and changes nothing; without any it ends."""
    _, _, work, net = set_up()
    net.eval()
    with torch.no_grad():
        wanted = work.evaluate(net)["stop"]
    forward, most, sizes = network.Network.forward, [2], []

    def tight(self, inputs):
        rows = len(inputs["input_ids"])
        if rows > most[0]:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        sizes.append(rows)
        return forward(self, inputs)

    monkeypatch.setattr(network.Network, "forward", tight)
    with torch.no_grad():
        assert work.evaluate(net)["stop"] == pytest.approx(wanted, rel=1e-5)
    assert max(sizes) == 2
    most[0] = 0
    with pytest.raises(OutOfMemory, match="one row must fit into memory"):
        work.evaluate(net)


def test_losses_of_half_precision_are_made_in_single():
    """Scores in bf16 give the log loss that the same numbers give in single precision."""
    _, _, work, _ = set_up()
    scores = torch.tensor([[9.0, -3.0], [0.5, 0.25]], dtype=torch.bfloat16)
    made = work._losses(scores, torch.tensor([0, 1]), 0.0)
    assert made.dtype is torch.float32
    assert made[0] == pytest.approx(math.log1p(math.exp(-12)), rel=1e-2)


def test_class_weights_are_divided_out():
    """A batch of one class has the mean loss of its rows whatever the class weighs."""
    _, _, work, net = set_up()
    net.eval()
    rows = np.flatnonzero(work.train.targets == 0)[:5]
    heavy = replace(work, weights=np.where(work.train.targets == 0, 7.0, 1.0))
    with torch.no_grad():
        plain, weighted = (each.loss(net, each.batch(rows)) for each in (work, heavy))
    assert float(plain[0]) / plain[1] == pytest.approx(float(weighted[0]) / weighted[1], rel=1e-5)


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNGS)
def test_labels_stand_where_the_data_set_has_them(rung):
    """Splits that show other classes, or show them in another order, use the same codes."""
    dataset, rows = case(Task.MULTICLASS, rows=160)
    train, stop, held = parts(rows)
    only = train.take(np.flatnonzero(train.y != 1))  # the middle class is not there
    turned = only.take(np.arange(len(only))[::-1])
    for part in (only, turned):
        found = Text().predict(fit(config(rung), dataset, rows, train=part, stop=stop), held)
        sure = held.y != 1
        assert found[:, 1].max() == 0, "a class is not where the data set has it"
        assert log_loss(held.y[sure], found[sure]) < 0.9 * np.log(2)


def test_permuted_labels_are_caught(monkeypatch):
    """The check above fails when a model counts classes as it meets them."""
    monkeypatch.setattr(
        Outputs, "answers", lambda self, s: np.pad(answers(replace_seen(self), s), ((0, 0), (0, 0)))
    )
    with pytest.raises(AssertionError, match="a class is not where"):
        test_labels_stand_where_the_data_set_has_them("tfidf")


answers = Outputs.answers


def replace_seen(outputs):
    return replace(outputs, seen=tuple(range(len(outputs.seen))))


# --- seeds and starts -----------------------------------------------------------------------------


@pytest.mark.parametrize("rung", TUNED)
def test_the_state_of_the_process_does_not_reach_the_model(rung):
    """Whatever was drawn before, the head and the adapter start alike; nothing is seeded late."""
    dataset, rows = case(rows=60)
    found = []
    for noise in range(3):
        torch.manual_seed(noise)
        np.random.seed(noise)
        found.append(Text().predict(fit(config(rung), dataset, rows), rows).tobytes())
    assert len(set(found)) == 1, "noise reached the model"


@pytest.mark.parametrize("late", ["head", "adapter"])
def test_a_late_seed_is_caught(late, monkeypatch):
    """The check above fails when the head or the adapter is drawn from the global generator."""
    if late == "head":

        def careless(body, reading, work, lesson, data):
            shape = (body.hidden, lesson.outputs.count)
            slope = torch.nn.init.normal_(torch.empty(shape), std=0.02).numpy()
            return rungs.linear.Linear(slope, np.zeros(shape[1], dtype=np.float32)), {}

        monkeypatch.setattr(rungs, "solved_start", careless)
    else:
        put_on = tuning.put_on
        draw = lambda: int(torch.randint(10**6, ()))  # noqa: E731
        monkeypatch.setattr(tuning, "put_on", lambda net, c, seed: put_on(net, c, seed=draw()))
    with pytest.raises(AssertionError, match="noise reached the model"):
        test_the_state_of_the_process_does_not_reach_the_model("lora")


@pytest.mark.parametrize("rung", TUNED)
def test_tuning_starts_at_the_solved_head(rung):
    """Before the first step the network is as good as the frozen rung: no head is made anew."""
    dataset, rows = case(rows=120)
    stop = parts(rows)[1]
    frozen = log_loss(stop.y, Text().predict(fit(config("frozen"), dataset, rows), stop))
    still = {"lora_learning_rate": 1e-12} if rung == "lora" else {"learning_rate": 1e-12}
    model = fit({**config(rung), **still, "weight_decay": 1e-5}, dataset, rows)
    assert log_loss(stop.y, Text().predict(model, stop)) == pytest.approx(frozen, rel=1e-3), (
        "not the solved head"
    )


def test_a_head_made_anew_is_caught(monkeypatch):
    """The check above fails when tuning starts at zeros."""
    monkeypatch.setattr(
        rungs,
        "solved_start",
        lambda b, r, w, ls, d: (lessons.empty_head(b.hidden, ls.outputs.count), {}),
    )
    with pytest.raises(AssertionError, match="not the solved head"):
        test_tuning_starts_at_the_solved_head("full")


@pytest.mark.parametrize("rung", RUNGS[1:])
def test_a_fit_leaves_the_shared_body_as_it_was(rung):
    """Adapters and tuned layers of one trial never reach the next."""
    dataset, rows = case(rows=60)
    before = {n: t.clone() for n, t in resident(encoder()).net.state_dict().items()}
    model = fit(config(rung), dataset, rows)
    found = Text().predict(model, rows)
    after = resident(encoder()).net
    assert {n for n, _ in after.named_parameters()} == set(before)
    assert all(torch.equal(before[n], t) for n, t in after.state_dict().items())
    assert np.array_equal(Text().predict(model, rows), found)
    drop = [m.p for m in after.modules() if isinstance(m, torch.nn.Dropout)]
    assert set(drop) == {0.1}


# --- saving ---------------------------------------------------------------------------------------


def round_trip(folder, rung):
    """Predictions after a tuning that matters, and after saving and loading."""
    dataset, rows = case(rows=80)
    more = {"lora_learning_rate": 3e-2} if rung == "lora" else {"learning_rate": 3e-3}
    model = fit({**config(rung), **more}, dataset, rows)
    found = Text().predict(model, rows)
    folder.mkdir()
    model.save(folder)
    same = np.array_equal(Text().predict(Text().load(folder), rows), found)
    assert same, "the loaded model differs"


@pytest.mark.parametrize("mistake", ["adapter not saved", "body not saved", "head not saved"])
def test_what_is_not_saved_is_caught(mistake, tmp_path, monkeypatch):
    """The comparison after loading fails when a part of the model stays behind."""
    rung = "lora" if mistake.startswith("adapter") else "full"
    round_trip(tmp_path / "sound", rung)
    plain = resident(encoder())
    save = Encoder.save
    if mistake == "head not saved":
        zeros = lambda model: lessons.empty_head(*model.linear.slope.shape)  # noqa: E731
        broken = lambda m, f: save(Encoder(m.body, m.reading, zeros(m), m.digest), f)  # noqa: E731
    else:
        broken = lambda m, f: save(Encoder(lambda: plain, m.reading, m.linear, m.digest), f)  # noqa: E731
    monkeypatch.setattr(Encoder, "save", broken)
    with pytest.raises(AssertionError, match="the loaded model differs"):
        round_trip(tmp_path / "broken", rung)


def test_weights_of_another_model_are_refused(tmp_path):
    """A body whose shape differs from its configuration is never filled up."""
    dataset, rows = case(rows=60)
    fit(config("full"), dataset, rows).save(tmp_path)
    path = tmp_path / "encoder" / "config.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "num_hidden_layers": 3}))
    with pytest.raises(ArtifactError, match="tensors are missing and would be random numbers"):
        Text().load(tmp_path)
    path.write_text(json.dumps({**told, "intermediate_size": 48}))
    with pytest.raises(ArtifactError, match="another shape than"):
        Text().load(tmp_path)

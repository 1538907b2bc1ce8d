"""Labels of words on each rung: what is learnt, counted, said, kept and refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import text_toys
import torch
from tag_toys import RUNGS, TAGS, case, config, fit, tagged
from text_toys import go_on, parts

from attain.core.counts import TAGGING
from attain.core.errors import DataError, NotApplicable, SpaceError
from attain.core.protocols import FitData, Saying
from attain.core.types import Rows, Signal
from attain.learners._pretrained.linear import Linear
from attain.learners._tags import rungs
from attain.learners._tags.inputs import find_columns
from attain.learners._tags.network import Network
from attain.learners._tags.words import shape
from attain.learners._text.rungs import resident_body
from attain.learners.baseline import Baseline
from attain.learners.text import Text
from attain.validate.metrics import compute


@pytest.fixture(scope="module")
def fitted():
    """A model of each rung, and held-out rows."""
    dataset, rows = case()
    return {rung: fit(config(rung), dataset, rows) for rung in RUNGS}, dataset, parts(rows)[2]


def f1(model, rows):
    return compute("span_f1", np.zeros(len(rows)), model.predict(rows))


def slow_spans(labels):
    """Pairs of ends, tried one by one: the first word begins it and all others go on with it."""
    n = len(labels)

    def begins(i):
        return labels[i] != "O" and (
            labels[i][0] == "B" or i == 0 or labels[i - 1][1:] != labels[i][1:]
        )

    def whole(a, b):
        inside = [labels[i] == "I" + labels[a][1:] for i in range(a + 1, b + 1)]
        return begins(a) and all(inside) and (b + 1 == n or labels[b + 1] != "I" + labels[a][1:])

    return {(labels[a][2:], a, b) for a in range(n) for b in range(a, n) if whole(a, b)}


@pytest.mark.parametrize("rung", RUNGS)
def test_counts_are_those_of_what_is_said(fitted, rung):
    """What `predict` counts is what a slow reference counts of the labels that `say` gives."""
    models, _, held = fitted
    model = models[rung]
    found, said = model.predict(held), [json.loads(text) for text in model.say(held)]
    for i, labels in enumerate(said):
        truth = json.loads(held.X["tags"].iloc[i])
        own, other = slow_spans(truth), slow_spans(labels)
        right = sum(a == b for a, b in zip(truth, labels, strict=True))
        counts = dict(zip(TAGGING.columns, found[i], strict=True))
        loss = counts.pop("loss")
        assert counts == {
            "words": len(truth), "right": right, "hits": len(own & other), "found": len(other),
            "spans": len(own),
        }  # fmt: skip
        assert 0 < loss < 40 * len(truth)


@pytest.mark.parametrize("rung", RUNGS)
def test_each_rung_learns(fitted, rung):
    """Spans that words decide are found far better than by chance, or at least more surely."""
    models, dataset, held = fitted
    if rung in ("words", "frozen"):
        assert f1(models[rung], held) > {"words": 0.9, "frozen": 0.5}[rung]
    untaught = Baseline().fit({}, FitData(dataset, parts(case(20, 1)[1])[0]), go_on)
    y = np.zeros(len(held))
    loss = compute("word_loss", y, models[rung].predict(held))
    assert loss < compute("word_loss", y, untaught.predict(held))


@pytest.mark.parametrize("rung", RUNGS)
def test_rows_alone_and_saved_models_give_the_same_bits(fitted, rung, tmp_path):
    """A row among others, and a loaded model, give the same counts to the last bit."""
    models, _, held = fitted
    whole = models[rung].predict(held)
    alone = np.vstack([models[rung].predict(held.take(np.array([i]))) for i in range(4)])
    assert np.array_equal(alone, whole[:4])
    models[rung].save(tmp_path)
    assert np.array_equal(Text().load(tmp_path).predict(held), whole)
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".pkl", ".bin")]


_LOAD = """
import sys, pathlib, numpy as np
sys.path.insert(0, sys.argv[2])
from tag_toys import case, parts
from attain.learners.text import Text
root = pathlib.Path(sys.argv[1])
held = parts(case()[1])[2]
for rung in sys.argv[3:]:
    found = Text().load(root / rung).predict(held)
    assert np.array_equal(found, np.load(root / f"{rung}.npy")), rung
"""


def test_a_fresh_process_gives_the_same_bits(fitted, tmp_path):
    """What was saved is all that is needed."""
    models, _, held = fitted
    for rung in ("words", "full"):
        (tmp_path / rung).mkdir()
        models[rung].save(tmp_path / rung)
        np.save(tmp_path / f"{rung}.npy", models[rung].predict(held))
    command = [sys.executable, "-c", _LOAD, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run([*command, "words", "full"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_words_beyond_the_limit_count_as_wrong():
    """Of 90 words with 62 tokens to read, 28 are not seen: said to be O, counted as wrong."""
    dataset, rows = case(60)
    words, labels = ["good"] * 90, ["B-GOOD"] + ["I-GOOD"] * 89
    _, long = tagged([(words, labels), (["tana"] * 90, ["O"] * 90)])
    model = fit(config("frozen"), dataset, rows)
    found = model.predict(long)
    assert json.loads(model.say(long)[0])[62:] == ["O"] * 28
    assert found[:, TAGGING.place("words")].tolist() == [90, 90]
    assert found[1, TAGGING.place("right")] <= 62
    assert found[:, TAGGING.place("loss")].min() > 28 * np.log(len(TAGS))
    train = Rows(long.X, long.y)
    told = Text().fit(config("frozen"), FitData(dataset, train), go_on).facts
    assert (told["cut"], told["words_cut"]) == (2, 56)


def test_the_loss_is_one_of_words_however_batches_are_cut():
    """Gradient sums over parts of a batch are those of the whole; units are words."""
    dataset, rows = case(24)
    data = FitData(dataset, rows)
    body = resident_body(data)
    reading, _ = rungs.find_reading(1, data, body, rungs.Lesson.of(data).train)
    lesson = rungs.seen_by(body, reading, data)
    work = rungs.make_work(config("full"), data, body, reading, lesson)
    head = Linear(np.random.default_rng(0).normal(size=(32, 5)).astype(np.float32),
                  np.zeros(5, np.float32))  # fmt: skip
    net = Network(body.net, head, 0.0).eval()

    def gradient(*groups):
        net.zero_grad()
        units = 0.0
        for rows_ in groups:
            loss, number = work.loss(net, work.batch(rows_))
            loss.backward()
            units += number
        return net.head.weight.grad.clone(), units

    order = np.argsort(-work.lengths, kind="stable")
    whole, units = gradient(order)
    cut, again = gradient(order[:5], order[5:6], order[6:])
    words = sum(len(json.loads(cell)) for cell in rows.X["words"])
    assert units == again == words
    torch.testing.assert_close(whole, cut, rtol=1e-4, atol=1e-4)
    scores = net(work.batch(order)["inputs"]).detach().numpy()
    tokens = reading.tokens(body, [json.loads(c) for c in rows.X["words"].iloc[order]])
    expected = head.scores(reading.features(body, tokens))
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    body.restored()


def test_words_are_found_where_padding_stands_on_the_left():
    """The place of a word's first token moves with the padding."""
    dataset, rows = tagged([(["good", "tana"], ["B-GOOD", "O"]), (["bad"] * 5, ["O"] * 5)])
    data = FitData(dataset, rows)
    body = resident_body(data)
    reading, _ = rungs.find_reading(1, data, body, rungs.Lesson.of(data).train)
    work = rungs.make_work(config("full"), data, body, reading, rungs.seen_by(body, reading, data))
    try:
        body.tokenizer.padding_side = "left"
        inputs = work.inputs(np.array([0, 1]))
    finally:
        body.tokenizer.padding_side = "right"
    ids = [inputs["input_ids"][0, h] for h in inputs["heads"][0] if h >= 0]
    assert body.tokenizer.convert_ids_to_tokens(ids) == ["good", "tana"]


def test_a_paused_fit_ends_as_one_that_was_not(tmp_path):
    """What goes on from a checkpoint gives the bits of an uninterrupted fit."""
    dataset, rows = case(60)
    asked = config("lora")
    straight = fit(asked, dataset, rows).predict(rows)

    def pause(step, losses):
        return Signal.PAUSE if "stop" in losses else Signal.CONTINUE

    fit(asked, dataset, rows, report=pause, checkpoint=tmp_path)
    resumed = fit(asked, dataset, rows, checkpoint=tmp_path)
    assert resumed.facts["resumed"] > 0
    assert np.array_equal(resumed.predict(rows), straight)


def test_features_are_kept_and_used_again(tmp_path):
    """A second fit of a frozen body finds all features, and gives the same model."""
    dataset, rows = case(40)
    first = fit(config("frozen"), dataset, rows, cache=tmp_path)
    assert any("word-features" in str(path) for path in tmp_path.rglob("*"))
    second = fit(config("frozen"), dataset, rows, cache=tmp_path)
    assert np.array_equal(first.predict(rows), second.predict(rows))
    plain = fit(config("frozen"), dataset, rows)
    assert np.array_equal(first.predict(rows), plain.predict(rows))


def test_layers_of_the_body_change_the_result():
    """The mean of four layers is another feature than the last one."""
    dataset, rows = case(40)
    one, four = (fit(config("frozen", layers=n), dataset, rows).predict(rows) for n in (1, 4))
    assert not np.array_equal(one, four)


@pytest.mark.parametrize("name", ["window", "affixes"])
def test_neighbours_and_affixes_change_the_result(name):
    """Both parameters of the lowest rung reach it."""
    dataset, rows = case(40, pretrained=False)
    found = [fit({name: value}, dataset, rows).facts["features"] for value in (2, 3)]
    assert found[0] < found[1]


def test_shapes_of_words():
    """Runs are told, not their length."""
    assert [shape(w) for w in ("Anna", "USA", "2025-07-01", "x2", "")] == [
        "Xx", "X", "d-d-d", "xd", ""
    ]  # fmt: skip


def test_a_label_that_training_lacks_is_never_said():
    """Its words have a large loss, which is finite; stop rows with it do not count."""
    pairs = [(["good", "tana"], ["B-GOOD", "O"])] * 20
    odd = [(["bad", "tana"], ["B-BAD", "O"])] * 5
    dataset, rows = tagged(pairs + odd, pretrained=False)
    stop = rows.take(np.arange(15, 25))
    model = Text().fit({}, FitData(dataset, rows.take(np.arange(15)), stop), go_on)
    found = model.predict(rows.take(np.array([20])))
    assert found[0, TAGGING.place("loss")] == pytest.approx(-np.log(1e-15), rel=0.1)
    assert "BAD" not in model.say(rows.take(np.array([20])))[0]


def test_odd_rows():
    """One label only, no words, no labels, no column, nothing at all."""
    dataset, rows = tagged([(["good"], ["O"])] * 8, pretrained=False)
    model = Text().fit({}, FitData(dataset, rows), go_on)
    assert json.loads(model.say(rows)[0]) == ["O"]
    _, mixed = tagged([([], []), (["good"], None), (["good"], ["B-NEW"])])
    found = model.predict(mixed)
    assert not found[:2].any()
    assert found[2, TAGGING.place("right")] == 0
    assert model.predict(mixed.take(np.array([], dtype=int))).shape == (0, len(TAGGING.columns))
    assert model.say(mixed.take(np.array([], dtype=int))).shape == (0,)
    with pytest.raises(DataError, match="column of words must be there"):
        model.say(Rows(mixed.X[["tags"]]))
    with pytest.raises(DataError, match=r"every word needs one label .*1 words, 2 labels"):
        model.predict(tagged([(["good"], ["O", "O"])])[1])
    with pytest.raises(DataError, match="cells must be lists of texts"):
        model.say(Rows(mixed.X.assign(words="Anna sings")))
    with pytest.raises(DataError, match="some training row must have words and labels"):
        Text().fit({}, FitData(dataset, tagged([([], [])])[1]), go_on)
    with pytest.raises(SpaceError, match=r"a rung must exist .*did you mean 'words'"):
        Text().fit({"rung": "word"}, FitData(case(8)[0], rows), go_on)


def test_the_baseline_knows_each_word():
    """A known word gets its most frequent label, an unknown one that of all words."""
    pairs = [(["good", "tana"], ["B-GOOD", "O"]), (["good", "tana"], ["B-BAD", "O"]),
             (["good", "rona"], ["B-GOOD", "O"])]  # fmt: skip
    dataset, rows = tagged(pairs, pretrained=False)
    learner = Baseline()
    assert isinstance(learner, Saying)
    model = learner.fit({}, FitData(dataset, rows), go_on)
    _, asked = tagged([(["good", "never", "rona"], None)])
    assert json.loads(learner.say(model, asked)[0]) == ["B-GOOD", "O", "O"]
    with pytest.raises(NotApplicable, match="words with a label each"):
        find_columns(text_toys.case()[0])


def test_the_baseline_survives_saving(tmp_path):
    """A loaded baseline counts the same."""
    dataset, rows = case(30)
    model = Baseline().fit({}, FitData(dataset, rows), go_on)
    model.save(tmp_path)
    assert np.array_equal(Baseline().load(tmp_path).predict(rows), model.predict(rows))


def test_the_forecast_shows_words_as_the_model_sees_them():
    """Pieces of words with one label each, names of spans, labels by number, and what is cut."""
    dataset, rows = case(40)
    learner = Text()
    told = learner.forecast(FitData(dataset, rows))
    assert [rung.name for rung in told.rungs] == list(RUNGS)
    assert all(rung.usable and rung.seconds > 0 for rung in told.rungs)
    assert told.facts["labels"].startswith("0 = B-BAD, 1 = B-GOOD")
    assert (told.facts["cut"], told.facts["words_cut"]) == (0, 0)
    long = tagged([(["extra", "good"] * 40, ["O", "B-GOOD"] * 40)] * 3)
    shown = learner.forecast(FitData(*long)).examples[0][0]
    assert "e ##x ##t ##r ##a (O)" in shown or "[UNK] (O)" in shown
    assert "(not seen) (O)" in shown
    plain = learner.forecast(FitData(case(40, pretrained=False)[0], rows))
    assert [rung.name for rung in plain.rungs] == ["words"]
    assert "(O)" in plain.examples[0][0]

"""What words said: sums are complete, words are whole, and what is known to matter is found."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from text_toys import BAD, GOOD, RUNGS, TUNED, case, config, fit, parts

from attain.core.errors import DataError, NotApplicable
from attain.core.protocols import Attributing
from attain.core.types import Rows, Task
from attain.learners._pretrained import integrals
from attain.learners._text import gradients
from attain.learners._text.attribution import _WORD, _origins
from attain.learners._text.words import fit_terms, splitter
from attain.learners.text import Text

ODD = (
    "",
    "  ",
    "İİ good İ bad",
    "Good-bad, don't GOOD!",
    "好 good 很bad",
    "a" * 400,
    "\ufeff \x1f good",
)


def asked(task, rung, rows=None, pairs=False, **more):
    """Attributions of held-out rows, about the predicted class."""
    dataset, all_rows = case(task, pairs=pairs)
    model = fit(config(rung, **more), dataset, all_rows)
    rows = parts(all_rows)[2].take(np.arange(8)) if rows is None else rows
    prediction = Text().predict(model, rows)
    classes = None if task is Task.REGRESSION else prediction.argmax(axis=1)
    return model, rows, prediction, classes, Text().attribute(model, rows, classes)


def totals(found):
    """The sum of what words said, by word."""
    told: dict[str, float] = {}
    for row in found:
        for text in row.texts:
            for word in text.words:
                name = text.text[word.start : word.end]
                told[name] = told.get(name, 0.0) + word.value
    return told


def test_the_learner_offers_it():
    """It is found by its protocol."""
    assert isinstance(Text(), Attributing)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_attributions_add_up_to_the_prediction(rung, task):
    """Completeness; and the output is the log odds, or the value, that the model answers with."""
    model, _, prediction, classes, found = asked(task, rung)
    for i, row in enumerate(found):
        assert row.complete, (row.residual, row.tolerance, row.steps)
        words = sum(w.value for t in row.texts for w in t.words)
        assert abs(row.output - row.baseline - words - row.rest) <= row.tolerance
        if classes is None:
            assert row.output == pytest.approx(prediction[i], rel=1e-4)
            most = 0.05 * max(abs(row.output - row.baseline), model.outputs.scale)
            assert row.tolerance <= most * (1 + 1e-6)
        else:
            logs = np.log(prediction[i])
            others = np.delete(logs, classes[i]).mean()
            assert row.output == pytest.approx(logs[classes[i]] - others, abs=1e-3)
        assert (row.steps == 0) == (rung == "tfidf")


def test_a_linear_model_is_told_exactly():
    """Of counted words the sum is exact to rounding, whatever the text, with every option."""
    for more in ({}, {"ngrams": 3}, {"char_ngrams": False}):
        rows = Rows(pd.DataFrame({"text": np.array(ODD, dtype=object)}))
        for task in (Task.MULTICLASS, Task.REGRESSION):
            *_, found = asked(task, "tfidf", rows, **more)
            for row in found:
                assert abs(row.residual) < 1e-9 * (1 + abs(row.output))
                assert row.rest == pytest.approx(0.0, abs=1e-12)


def test_places_of_terms_are_the_terms_that_are_counted():
    """What is located is what is counted, in whatever writing."""
    for pieces, longest in ((False, 1), (False, 3), (True, 0)):
        terms = fit_terms(0, pieces, longest, ODD)
        for text in ODD:
            found = [terms.terms[column] for column, _, _ in terms.located(text)]
            assert sorted(found) == sorted(splitter(pieces, longest)(text))
            for column, a, b in terms.located(text):
                if pieces:  # words are joined by one blank, pieces hold the blanks at the edges
                    assert text.lower()[a:b] == terms.terms[column].strip()


def test_letters_that_grow_when_made_small_keep_their_place():
    """Small letters of some capitals are two characters; places are in the text as it was."""
    assert len("İ".lower()) == 2
    assert list(_origins("aİb")) == [0, 1, 1, 2]
    rows = Rows(pd.DataFrame({"text": ["İİİ good İ bad"]}))
    *_, found = asked(Task.BINARY, "tfidf", rows, char_ngrams=False)
    assert set(totals(found)) == {"good", "bad"}


@pytest.mark.parametrize("rung", RUNGS)
def test_words_that_decide_are_found(rung):
    """Good words speak for the good class and bad ones against it; filler says little."""
    dataset, rows = case(rows=240)
    more = {"epochs": 6} if rung in TUNED else {}
    model = fit(config(rung, **more), dataset, rows)
    held = parts(rows)[2]
    told = totals(Text().attribute(model, held, np.ones(len(held), dtype=np.int64)))
    means = {word: told.get(word, 0.0) for word in (*GOOD, *BAD)}
    assert min(np.mean([means[w] for w in GOOD]), -np.mean([means[w] for w in BAD])) > 0
    against = totals(Text().attribute(model, held, np.zeros(len(held), dtype=np.int64)))
    assert against["good"] == pytest.approx(-told["good"], abs=0.05 * abs(told["good"]) + 1e-6)


@pytest.mark.parametrize("rung", ["frozen", "full"])
def test_pieces_of_a_word_are_one_word(rung):
    """Words that the vocabulary spells in pieces come back whole, with places in the text."""
    text = "good rain, bad rain"
    *_, found = asked(Task.BINARY, rung, Rows(pd.DataFrame({"text": [f"  {text} "]})))
    (read,) = found[0].texts
    assert read.text == text
    assert [text[w.start : w.end] for w in read.words] == ["good", "rain", ",", "bad", "rain"]


@pytest.mark.parametrize("rung", RUNGS)
def test_each_text_of_a_pair_has_its_own_words(rung):
    """Words are told by column; sums are complete over both."""
    *_, found = asked(Task.BINARY, rung, pairs=True)
    for row in found:
        assert [t.column for t in row.texts] == ["text", "reply"]
        assert row.complete
        for text in row.texts:
            named = [text.text[w.start : w.end] for w in text.words]
            assert named == [m[0] for m in _WORD.finditer(text.text)]


def test_texts_beyond_the_second_are_told_apart_again():
    """They are read in one segment; empty ones leave no blank."""
    places = gradients._joined(["ab", "", "cd"])
    assert places == [(0, 1), (3, 3)]


@pytest.mark.parametrize("rung", RUNGS)
def test_odd_texts_have_attributions(rung):
    """Empty, long, foreign: nothing breaks, and what was not read has no words."""
    rows = Rows(pd.DataFrame({"text": np.array(ODD, dtype=object)}))
    *_, found = asked(Task.BINARY, rung, rows)
    assert found[0].texts[0].words == ()
    assert found[0].output == pytest.approx(found[0].baseline)
    assert all(row.complete for row in found)


def test_a_constant_model_has_no_words():
    """One class teaches nothing."""
    dataset, rows = case()
    model = fit(config("tfidf"), dataset, Rows(rows.X, np.ones(len(rows), dtype=np.int64)))
    (found,) = Text().attribute(model, rows.take(np.arange(1)), np.array([1]))
    assert found.texts[0].words == ()
    assert found.complete


def test_a_class_that_was_not_seen_cannot_be_asked_about():
    """The error says what to ask instead."""
    dataset, rows = case(Task.MULTICLASS)
    kept = rows.take(np.flatnonzero(rows.y != 1))
    model = fit(config("tfidf"), dataset, kept)
    with pytest.raises(DataError, match="ask about the predicted class"):
        Text().attribute(model, rows.take(np.arange(1)), np.array([1]))


def test_a_tokenizer_without_places_is_said(monkeypatch):
    """Slow tokenizers cannot tell words apart."""
    dataset, rows = case()
    model = fit(config("full"), dataset, rows)
    slow = SimpleNamespace(tokenizer=SimpleNamespace(is_fast=False))
    monkeypatch.setattr(model.core, "body", lambda: slow)
    with pytest.raises(NotApplicable, match="where its tokens stand"):
        Text().attribute(model, rows.take(np.arange(1)), np.array([1]))


@pytest.mark.parametrize("steps", integrals.STEPS)
def test_the_rule_is_exact_for_polynomials(steps):
    """Up to the degree of its number of steps; points of one rule are points of the next."""
    at, weight = integrals.points(steps), integrals.weights(steps)
    for degree in range(steps + 1):
        assert weight @ at**degree == pytest.approx(1 / (degree + 1), abs=1e-12)
    assert np.allclose(integrals.points(2 * steps)[::2], at, atol=1e-15)


def test_points_are_doubled_until_the_sum_holds():
    """A smooth path needs few points, a rough one more, a jump all; the residual stays known."""
    start, end = torch.zeros(1, 1), torch.ones(1, 1)

    def steps(score):
        made = integrals.path_integral(score, [end], [start], lambda way: 1e-3)
        return made.steps, made.misses()

    smooth = steps(lambda e: (e[0] ** 3).sum(dim=(1, 2)))
    rough = steps(lambda e: torch.sin(40 * e[0]).sum(dim=(1, 2)))
    jump = steps(lambda e: ((e[0] > 0.5).float() + e[0]).sum(dim=(1, 2)))
    assert smooth[0] == integrals.STEPS[0] < rough[0] < integrals.STEPS[-1] == jump[0]
    assert max(smooth[1], rough[1]) <= 1e-3 < jump[1]


@pytest.mark.parametrize("seed", range(5))
def test_a_path_integral_is_the_closed_form(seed):
    """For a quadratic form it is known: attributions are d * (A (a + b) / 2)."""
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 3, 4, generator=rng)
    form = torch.rand(12, 12, generator=rng)
    form = form + form.T

    def score(embeddings):
        flat = embeddings[0].flatten(1)
        return torch.einsum("mi,ij,mj->m", flat, form, flat) / 2

    made = integrals.path_integral(score, [b], [a], lambda way: 1e-4)
    known = ((b - a).flatten() * (form @ ((a + b) / 2).flatten())).reshape(3, 4).sum(dim=1)
    assert np.allclose(made.values[0], known.numpy(), atol=1e-4)
    assert made.output == pytest.approx(float(score([b[None]])[0]))


def test_the_model_is_as_it_was_afterwards():
    """No hook, no gradient and no changed weight is left behind."""
    model, rows, prediction, *_ = asked(Task.BINARY, "full")
    net = model.core.body().net
    assert not net.get_input_embeddings()._forward_hooks
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert np.array_equal(Text().predict(model, rows), prediction)

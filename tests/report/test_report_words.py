"""What the words say: texts word by word and lists of words, from a model whose words are known."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import report_studies as studies
from report_data import HOSTILE

from attain.core.errors import NotApplicable
from attain.core.types import (
    Attribution,
    Column,
    ColumnKind,
    Dataset,
    ReadText,
    Rows,
    Task,
    WordShare,
)
from attain.report import evidence, html, singles, words
from attain.report.explain import explain

WEIGHTS = {"good": 2.0, "fine": 1.0, "bad": -2.0, "poor": -1.0, "so": 0.01}
FILLER = ("the", "film", "was", "so")
CLASSES = ("no", "yes", "perhaps")


def attribution(column, text, sign):
    """Each word says its weight; the sum is exact."""
    shares = [
        WordShare(m.start(), m.end(), sign * WEIGHTS.get(m[0].lower(), 0.0))
        for m in re.finditer(r"\w+", text)
    ]
    total = sum(share.value for share in shares)
    return Attribution((ReadText(column, text, tuple(shares)),), total + 0.5, 0.5, 0.0, 1e-9, 8)


def attribute(rows, classes):
    """A model whose second class is spoken for by good words; a third one by nothing."""
    signs = np.ones(len(rows)) if classes is None else np.array([-1.0, 1.0, 0.0])[classes]
    column = rows.X.columns[0]
    texts = rows.X.iloc[:, 0]
    return [attribution(column, text, sign) for text, sign in zip(texts, signs, strict=True)]


def score(rows):
    found = [re.findall(r"\w+", text.lower()) for text in rows.X.iloc[:, 0]]
    return np.array([sum(WEIGHTS.get(word, 0.0) for word in text) for text in found])


def predict(rows):
    chance = 1 / (1 + np.exp(-score(rows) - 0.5))
    return np.column_stack([1 - chance, chance])


def predict_three(rows):
    return np.column_stack([predict(rows) * 0.9, np.full(len(rows), 0.1)])


def made(task=Task.BINARY, n=240, seed=0, evil="", column="review"):
    """Texts whose words decide the label, but for some noise."""
    rng = np.random.default_rng(seed)
    known = [*WEIGHTS, *FILLER]
    texts = [" ".join(rng.choice(known, 6)) + evil for _ in range(n)]
    X = pd.DataFrame({column: pd.Series(texts, dtype="str")})
    value = score(Rows(X)) + rng.normal(0, 1.5, n)
    y = value if task is Task.REGRESSION else (value > 0).astype(np.int64)
    names = {Task.BINARY: CLASSES[:2], Task.MULTICLASS: CLASSES, Task.REGRESSION: ()}[task]
    names = tuple(name + evil for name in names)
    dataset = Dataset(
        "d", "f", n, (Column(column, ColumnKind.TEXT),), "y" + evil, task, names, modality="text"
    )
    return dataset, Rows(X, y)


MODELS = {Task.BINARY: predict, Task.MULTICLASS: predict_three, Task.REGRESSION: score}


def told(task=Task.BINARY, *, ask=attribute, held_out=None, seconds=30.0, **more):
    """What `explain` says."""
    options = {k: more.pop(k) for k in ("n", "seed", "evil", "column") if k in more}
    dataset, rows = made(task, **options)
    return explain(
        MODELS[task],
        rows,
        dataset=dataset,
        metric="log_loss",
        loss=lambda y, p: float(np.mean(y)),
        attribute=ask,
        held_out=held_out,
        seconds=seconds,
        repeats=2,
        **more,
    )


def with_words(task=Task.BINARY, **options):
    """A complete study whose explanation has words."""
    found = told(task, **options)
    return [
        replace(r, payload={**r.payload, "words": found["words"]}) if r.kind == "explanation" else r
        for r in studies.complete(task, hostile=bool(options.get("evil")))
    ]


def test_words_that_speak_for_each_class_are_listed():
    """Means are the known weights, with the number of texts; two classes mirror each other."""
    found = told()["words"]
    no, yes = found["classes"]
    means = {w["word"]: w for w in yes["for"]}
    assert list(means)[:2] == ["good", "fine"]
    assert [w["word"] for w in no["for"]][:2] == ["bad", "poor"]
    assert [(w["word"], -w["mean"], w["count"]) for w in yes["for"]] == [
        (w["word"], w["mean"], w["count"]) for w in no["against"]
    ]
    _, rows = made()
    having = [text for text in rows.X["review"] if "good" in text.split()]
    assert means["good"]["count"] == len(having)
    mean = np.mean([2.0 * text.split().count("good") for text in having])
    assert means["good"]["mean"] == pytest.approx(mean, rel=1e-3)
    assert not {"the", "film"} & {w["word"] for c in (no, yes) for w in c["for"]}


def test_of_more_classes_each_text_is_asked_about_its_own():
    """Counts are those of the texts given the class; a class that nothing was given has no list."""
    found = told(Task.MULTICLASS)["words"]
    assert [c["label"] for c in found["classes"]] == ["no", "yes"]
    guesses = predict_three(made(Task.MULTICLASS)[1]).argmax(axis=1)
    assert [c["texts"] for c in found["classes"]] == np.bincount(guesses).tolist()
    assert [w["word"] for w in found["classes"][0]["for"]][:2] == ["bad", "poor"]


def test_values_have_words_that_raise_and_lower_them():
    """One list without a class; texts are told with their values."""
    found = told(Task.REGRESSION)["words"]
    (only,) = found["classes"]
    assert only["label"] is None
    assert only["for"][0]["word"] == "good"
    assert only["against"][0]["word"] == "bad"
    assert all(isinstance(t["actual"], float) for t in found["texts"])
    assert {t["right"] for t in found["texts"]} == {True, False}


def test_a_listed_word_is_in_enough_texts():
    """Rare words are left out, however much they say."""

    def once(rows, classes):
        found = attribute(rows, classes)
        return [
            replace(f, texts=(replace(f.texts[0], words=(WordShare(0, 4, 50.0),)),))
            if str(f.texts[0].text).startswith("rare")
            else f
            for f in found
        ]

    dataset, rows = made()
    X = rows.X.copy()
    X.iloc[:2, 0] = "rare words"
    question = singles.Question(
        once, predict, Rows(X, rows.y), np.arange(len(X)), predict(Rows(X)), dataset
    )
    found, notes = words.what_words_say(question, 30.0)
    listed = {w["word"]: w["count"] for c in found["classes"] for w in c["for"]}
    assert "rare" not in listed
    assert notes == []
    assert min(listed.values()) >= found["fewest"] == 3


def test_texts_are_mistakes_and_right_ones_of_each_class():
    """All are unseen rows; right ones come last, two of each class; names are those of the rows."""
    held_out = np.arange(100, 200)
    found = told(held_out=held_out, positions=np.arange(240) * 10)["words"]
    rows = [t["row"] for t in found["texts"]]
    assert set(rows) <= {10 * i for i in held_out}
    assert len(set(rows)) == len(rows) <= 20
    right = [t["predicted"] for t in found["texts"] if t["right"]]
    assert sorted(right) == ["no", "no", "yes", "yes"]
    assert [t["right"] for t in found["texts"]] == sorted(t["right"] for t in found["texts"])
    assert sum(not t["right"] for t in found["texts"]) > 0
    for text in found["texts"]:
        assert text["right"] == (text["actual"] == text["predicted"])


def test_pieces_are_the_text_and_values_stand_at_their_words():
    """Joined, pieces give the text; each value belongs to its characters."""
    _, rows = made()
    for text in told()["words"]["texts"]:
        (column,) = text["columns"]
        assert "".join(p for p, _ in column["pieces"]) == rows.X["review"][text["row"]]
        sign = 1 if text["predicted"] == "yes" else -1
        for piece, value in column["pieces"]:
            assert value is None or value == sign * WEIGHTS.get(piece.lower(), 0.0)
        assert text["largest"] == max(abs(v) for _, v in column["pieces"] if v is not None)


def test_long_texts_end_early_and_say_so():
    """What is left out is counted; the strongest words are still those of the whole text."""
    long = " ".join(["film"] * 400) + " good"
    dataset, rows = made(n=20)
    X = pd.DataFrame({"review": pd.Series([long] * 20, dtype="str")})
    question = singles.Question(
        attribute, predict, Rows(X, rows.y), np.arange(20), predict(Rows(X)), dataset
    )
    found, _ = words.what_words_say(question, 30.0)
    (column,) = found["texts"][0]["columns"]
    shown = "".join(p for p, _ in column["pieces"])
    assert len(shown) + column["left"] == len(long)
    assert len(shown) == words.MOST_CHARACTERS
    assert [w["word"] for w in found["texts"][0]["for"]] == ["good"]


def test_words_are_withheld_from_a_model_that_is_no_better():
    """Nothing is asked of it, and the reason is told."""

    def never(rows, classes):
        raise AssertionError

    found = told(ask=never, beats_baseline=False)
    assert found["words"] is None
    assert "does not beat the baseline" in found["withheld"]
    assert told(ask=None)["words"] is None


def test_a_model_that_cannot_tell_says_why():
    """The rest of the explanation stays."""

    def cannot(rows, classes):
        raise NotApplicable("the tokenizer is slow")

    found = told(ask=cannot)
    assert found["words"] is None
    assert any("the tokenizer is slow" in note for note in found["notes"])
    assert found["importance"]


def test_short_time_means_fewer_texts_and_says_so():
    """At least one text of each kind of question is asked; the rest is counted."""
    found = told(seconds=0.0)
    assert len(found["words"]["texts"]) == 1
    assert found["words"]["rows"] == words._BATCH
    assert any(re.search(r"before \d+ texts could be read", note) for note in found["notes"])


def test_how_well_words_add_up_is_told():
    """One that does not is counted, with the largest residual and what was allowed there."""

    def loose(rows, classes):
        found = list(attribute(rows, classes))
        found[0] = replace(found[0], output=found[0].output + 0.25, tolerance=0.1)
        return found

    sums = told(ask=loose)["words"]["sums"]
    assert sums["complete"] < sums["asked"]
    assert sums["residual"] == pytest.approx(0.25)
    said = words.sums_sentence(sums)
    assert "0.25 where 0.10 is allowed" in said
    assert f"{sums['complete']} of {sums['asked']} texts" in said
    assert "Exact" in words.sums_sentence({**sums, "steps": 0})


def test_shades_follow_the_strongest_word_of_a_text():
    """Signs choose the colour, shares the depth; little is not shaded."""
    assert words.level(1.0, 1.0) == "for4"
    assert words.level(-0.35, 1.0) == "against2"
    assert words.level(0.05, 1.0) == words.level(None, 1.0) == words.level(0.0, 0.0) == ""
    assert [words.level(s, 1.0) for s in words.LEVELS] == ["for1", "for2", "for3", "for4"]


class Marks(HTMLParser):
    """Words that are shaded, and the names of elements within the section."""

    def __init__(self):
        super().__init__()
        self.inside, self.marks, self.kind, self.tags = False, [], None, set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.inside = given.get("id") == "words" if tag == "section" else self.inside
        if self.inside:
            self.tags.add(tag)
            assert "style" not in given  # the policy would refuse it
            assert not any(name.startswith("on") for name in given)
        self.kind = given.get("class") if self.inside and tag == "mark" else None

    def handle_endtag(self, tag):
        self.kind = None

    def handle_data(self, data):
        if self.kind:
            self.marks.append((self.kind, data))


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_the_report_shades_words(task):
    """Marks hold whole words with their side; what they say is in words beside the text too."""
    page = html.render(evidence.collect(with_words(task)))
    reader = Marks()
    reader.feed(page)
    shaded = {word for kind, word in reader.marks if not word.endswith("line:")}
    assert shaded <= set(WEIGHTS)
    assert {"good", "bad"} <= shaded
    assert "What the words say" in page
    assert re.search(r"For: <bdi>\w+</bdi> \+\d", page)
    assert "the largest residual is" in page


def test_hostile_texts_are_only_text():
    """Markup in texts, words, classes and columns stays text, in the page and in its JSON."""
    records = with_words(evil=f" {HOSTILE} <b>good</b> \u202e", column=f"<i>{HOSTILE}")
    found = evidence.collect(records)
    page = html.render(found)
    assert "<img" not in page
    reader = Marks()
    reader.feed(page)
    assert not reader.tags & {"img", "b", "i", "script"}
    assert "\u202e" not in page.partition('id="attain-evidence"')[0]
    data = re.search(r'id="attain-evidence">(.*?)</script>', page, re.S)[1]
    assert json.loads(data)["model"]["words"]["texts"]


def test_a_report_without_words_has_no_such_section():
    """Tables have none; the contents do not lead nowhere."""
    page = html.render(evidence.collect(studies.complete(Task.BINARY)))
    assert 'id="words"' not in page
    assert 'href="#words"' not in page

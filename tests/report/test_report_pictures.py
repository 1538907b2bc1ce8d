"""What files show: single ones and their places, alike ones, mixed up pairs, within their bytes."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import report_studies as studies
from PIL import Image
from report_data import HOSTILE

from attain.core.errors import NotApplicable
from attain.core.types import Attribution, Column, ColumnKind, Dataset, Rows, SeenFile, Task
from attain.report import evidence, html, picture_plots, pictures
from attain.report.explain import explain

CLASSES = ("paper", "glass", "metal")


def told(task=Task.MULTICLASS, n=60, seconds=30.0, held=40, ask=None, evil="", modality="image"):
    """What `explain` says of files whose number is their content, seen by a model that errs."""
    random = np.random.default_rng(1)
    cells = [f"{modality}@{i:032x}@/somewhere/{evil or 'dir'}/f{i}.png" for i in range(n)]
    X = pd.DataFrame({"file": pd.Series(cells, dtype="str")})
    number = lambda rows: np.array([int(c[6:38], 16) for c in rows.X["file"]])  # noqa: E731
    y = np.arange(n) % 3 if task is Task.MULTICLASS else np.arange(n) / 3.0
    names = tuple(c + evil for c in CLASSES) if task is Task.MULTICLASS else ()
    kind = ColumnKind(modality)
    dataset = Dataset(
        "d", "f", n, (Column("file", kind),), "y", task, names, modality=modality
    )  # fmt: skip

    def predict(rows):
        at = number(rows)
        if task is not Task.MULTICLASS:
            return at / 3.0 + (at % 5)
        guess = np.where(at % 5 == 0, (at + 1) % 3, at % 3)
        return np.eye(3)[guess] * 0.7 + 0.1

    def attribute(rows, classes):
        grid = ((2.0, 0.0), (-0.5, 0.25))
        return [
            Attribution((), 2.75, 1.0, 0.0, 0.1, 16, (SeenFile("file", grid),))
            for _ in number(rows)
        ]

    def draw(rows):
        return [random.integers(0, 255, (120, 160, 3)).astype(np.uint8) for _ in number(rows)]

    def places(rows):
        return np.sqrt(3) * np.eye(3)[number(rows) % 3]

    return explain(
        predict, Rows(X, y), dataset=dataset, metric="log_loss", loss=lambda y, p: 0.0,
        attribute=ask or attribute, sight=pictures.Sight(draw, places),
        held_out=np.arange(held), seconds=seconds,
    )  # fmt: skip


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


def with_pictures(**options):
    """A complete study whose explanation has pictures."""
    found = told(**options)
    return [
        replace(r, payload={**r.payload, **found}) if r.kind == "explanation" else r
        for r in studies.complete(Task.MULTICLASS)
    ]


def test_mistakes_stand_first_with_the_training_files_most_alike():
    """Of each mistake three files that the model learnt from, those that point the same way."""
    found = told()["pictures"]
    rights = [single["right"] for single in found["singles"]]
    assert rights == sorted(rights)
    assert rights.count(False) == 8
    for single in found["singles"]:
        assert "at" not in single
        assert len(single["alike"]) == (0 if single["right"] else 3)
        for other in single["alike"]:
            assert other["row"] >= 40  # not among those held out
            assert other["row"] % 3 == single["row"] % 3
            assert other["alike"] == pytest.approx(1)
    assert found["looked"] == 20
    assert found["sums"]["complete"] == found["sums"]["asked"] == len(found["singles"])
    assert found["singles"][0]["file"].startswith("dir/f")


def test_places_become_blue_and_orange_as_deep_as_they_are_strong():
    """The strongest place hides most; what says nothing is clear; signs have two colours."""
    found = told()["pictures"]["singles"][0]
    drawn = decoded(found["heat"])
    assert drawn.shape == (2, 2, 4)
    assert drawn[0, 0].tolist() == [*pictures.FOR, 204]
    assert drawn[0, 1, 3] == 0
    assert drawn[1, 0].tolist() == [*pictures.AGAINST, 51]
    assert decoded(found["picture"]).shape == (120, 160, 3)


def test_classes_that_are_mixed_up_are_counted_and_shown():
    """Counts are those of all rows with predictions; files are of that pair."""
    found = told()["pictures"]["pairs"]
    assert sum(pair["count"] for pair in found) == 12
    for pair in found:
        actual, predicted = (CLASSES.index(pair[k]) for k in ("actual", "predicted"))
        assert predicted == (actual + 1) % 3
        assert pair["of"] == 20
        assert all(file["row"] % 3 == actual and file["row"] % 5 == 0 for file in pair["files"])


def test_values_have_no_pairs_and_far_ones_are_the_mistakes():
    """Regression: single files only, the nearest quarter counts as right."""
    found = told(Task.REGRESSION)["pictures"]
    assert found["pairs"] == []
    assert {single["right"] for single in found["singles"]} == {True, False}


def test_pictures_stay_within_their_bytes(monkeypatch):
    """What would go beyond is left out and said; the page has no broken picture."""
    monkeypatch.setattr(pictures, "MOST_BYTES", 60_000)
    payload = told()
    assert payload["pictures"]["bytes"] <= 60_000
    assert any("left out" in note for note in payload["notes"])
    without = [s for s in payload["pictures"]["singles"] if not s["picture"]]
    assert without
    assert picture_plots.panel(without[0], "x", "image") == ""


def test_little_time_sees_few_files_and_says_so():
    """One file at least; the note counts the others."""
    payload = told(seconds=0.0)
    assert len(payload["pictures"]["singles"]) == 1
    assert any("Time was up before" in note for note in payload["notes"])


def test_a_model_that_cannot_tell_leaves_the_reason():
    """Nothing is drawn, and the reason stands among the notes."""

    def refuse(rows, classes):
        raise NotApplicable("no gradient")

    payload = told(ask=refuse)
    assert payload["pictures"] is None
    assert any("no gradient" in note for note in payload["notes"])


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_the_page_shows_pictures_and_stays_safe(modality):
    """Pictures, places and pairs are in the page; hostile names are escaped; nothing is fetched."""
    collected = evidence.collect(with_pictures(evil=HOSTILE, modality=modality))
    page = html.render(collected)
    title = "What it hears" if modality == "audio" else "What it looks at"
    assert page.count(title) == 2  # in the contents and above the section
    assert page.count('<svg class="seen') == len(collected["model"]["pictures"]["singles"])
    for single in collected["model"]["pictures"]["singles"]:
        assert decoded(single["picture"]).shape == (120, 160, 3)
        assert single["picture"] in page
    assert "Mixed up most often" in page
    assert "Most alike among what it learnt from" in page
    assert 'id="explanation"' not in page
    assert "<script>alert" not in page
    assert "http" not in page.split("attain-evidence")[0].replace("http-equiv", "")
    assert len(page) < 3_000_000


def test_exact_sums_are_called_exact():
    """A linear model says so; gradients say how many hold."""
    found = told()["pictures"]
    assert "Integrated gradients against a picture of one colour" in pictures.sums_sentence(found)
    exact = {**found, "sums": {**found["sums"], "steps": 0}}
    assert pictures.sums_sentence(exact).startswith("Exact")

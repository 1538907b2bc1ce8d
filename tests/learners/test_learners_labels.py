"""Several labels of a row: heads with one score each, and a model for each label."""

from dataclasses import replace
from pathlib import Path

import media_toys
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, special
from sklearn.linear_model import LogisticRegression
from text_toys import BAD, FAST, GOOD, PLAIN, RUNGS, encoder

from attain.core.decode import write_image
from attain.core.media import inline
from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Rows, Signal, Task
from attain.data.infer import describe
from attain.data.pretrained import describe_pretrained
from attain.data.table import to_rows
from attain.learners._pretrained.heads import Dense, Sparse, labels_target, path
from attain.learners._pretrained.outputs import find_outputs
from attain.learners.text import Text
from attain.validate.metrics import compute

LABELS = ("bad", "good", "long", "never")


def texts(n=160, seed=0):
    """Texts whose words say which of two labels they have; a third says that they are long."""
    rng = np.random.default_rng(seed)
    y, said = np.zeros((n, 4), dtype=np.int64), []
    for row in range(n):
        y[row, :3] = rng.random(3) < [0.4, 0.5, 0.3]
        words = [*rng.choice(PLAIN, 9 if y[row, 2] else 3)]
        words += [*rng.choice(BAD, 2)] * y[row, 0] + [*rng.choice(GOOD, 2)] * y[row, 1]
        said.append(" ".join(rng.permutation(words)))
    columns = (
        Column("text", ColumnKind.TEXT),
        Column("tags", ColumnKind.CATEGORICAL, ColumnRole.TARGET),
    )
    counts = tuple(y.sum(axis=0).tolist())
    known = Dataset(
        "", "0", n, columns, "tags", Task.MULTILABEL, LABELS, counts, modality="text"
    )  # fmt: skip
    return known, Rows(pd.DataFrame({"text": said}), y)


def quiet(step, losses):
    return Signal.CONTINUE


@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_learns_labels(rung, tmp_path):
    """Counted words, frozen body, adapter and full tuning: labels each on their own."""
    known, rows = texts()
    known = replace(known, pretrained=encoder())
    train, stop, held = (rows.take(np.arange(*span)) for span in ((0, 100), (100, 130), (130, 160)))
    config = {"rung": rung, **FAST[rung]}
    model = Text().fit(config, FitData(known, train, stop), quiet)
    found = Text().predict(model, held)
    assert found.shape == (30, 4)
    assert compute("log_loss", held.y[:, :3], found[:, :3]) < 0.62
    assert found[:, 3] == pytest.approx(1 / 102)
    assert np.ptp(found.sum(axis=1)) > 0.05
    model.save(tmp_path)
    assert np.array_equal(Text().predict(Text().load(tmp_path), held), found)


def test_the_space_of_labels_has_nothing_of_classes():
    """Weights of classes and label smoothing are about one class a row."""
    known, _ = texts()
    names = {p.name for p in Text().space(replace(known, pretrained=encoder()))}
    assert not {"class_weight", "label_smoothing"} & names
    assert {"rung", "lora_learning_rate", "ngrams"} <= names


def test_rows_without_any_difference_give_shares():
    """Where all training rows have the same labels there is nothing to learn, and no crash."""
    known, rows = texts(12)
    same = replace(rows, y=np.tile([0, 1, 0, 0], (12, 1)))
    found = Text().predict(Text().fit({}, FitData(known, same), quiet), rows)
    assert found == pytest.approx(np.tile([1 / 14, 13 / 14, 1 / 14, 1 / 14], (12, 1)))


@pytest.mark.parametrize("kind", [Dense, Sparse])
def test_heads_are_logistic_regressions(kind):
    """One score a label: the same probabilities as scikit-learn's models of each label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 12)).astype(np.float32)
    y = (x[:, :3] + rng.normal(size=(300, 3)) > [0, 0.5, 1.0]).astype(np.float32)
    design = kind(sparse.csr_matrix(x) if kind is Sparse else x)
    strength = 3.0
    (head,) = path(design, labels_target(y), (strength,))
    assert head.converged
    found = special.expit(x @ head.slope + head.intercept)
    for label in range(3):
        own = LogisticRegression(C=strength / design.length, tol=1e-8).fit(x, y[:, label])
        assert found[:, label] == pytest.approx(own.predict_proba(x)[:, 1], abs=0.005)


def test_outputs_know_labels_that_never_vary():
    """Labels that all or none of the rows have are answered by their share, the others learnt."""
    known, rows = texts(50)
    rows.y[:, 2] = 1
    outputs = find_outputs(known, rows.y)
    assert outputs.seen == (0, 1)
    assert outputs.targets(rows.y).shape == (50, 2)
    answers = outputs.answers(np.array([[0.0, 100.0]]))
    assert answers[0] == pytest.approx([0.5, 1.0, 51 / 52, 1 / 52])
    assert outputs.loss(np.array([[1.0, 0.0]]), np.zeros((1, 2))) == pytest.approx(np.log(2))


def test_a_model_for_each_label_reports_no_curve_and_stops():
    """Losses of single labels are not shown as one curve; STOP ends all that are left."""
    from attain.testing.learner_suite import synthetic

    known, rows = synthetic(Task.MULTILABEL)
    told = []

    def report(step, losses):
        told.append(dict(losses))
        return Signal.STOP if len(told) == 30 else Signal.CONTINUE

    data = FitData(known, rows.take(np.arange(90)), rows.take(np.arange(90, 120)))
    learner = find("learner", "lightgbm")()
    model = learner.fit({}, data, report)
    assert told
    assert len(told) <= 30
    assert not any(told)
    assert model.facts["models"] == 3
    found = learner.predict(model, rows)
    assert compute("roc_auc_ovr", rows.y, found) > 0.8


def test_a_model_for_each_label_has_files_of_its_own(tmp_path):
    """A folder for each label that is modelled; what skops holds is told of each."""
    from attain.testing.learner_suite import synthetic

    known, rows = synthetic(Task.MULTILABEL)
    rows.y[:, 1] = 0
    learner = find("learner", "svm")()
    model = learner.fit({}, FitData(known, rows), quiet)
    model.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {"label0", "label2"}
    assert {name.partition("/")[0] for name in model.readable()} == {"label0", "label2"}
    found = learner.predict(learner.load(tmp_path), rows)
    assert np.array_equal(found, learner.predict(model, rows))
    assert found[:, 1] == pytest.approx(1 / (len(rows) + 2))


def test_the_baseline_says_shares():
    """Without features each label has its share of the training rows."""
    known, rows = texts(40)
    learner = find("learner", "baseline")()
    found = learner.predict(learner.fit({}, FitData(known, rows), quiet), rows)
    assert found[:, :3] == pytest.approx(np.tile(rows.y[:, :3].mean(axis=0), (40, 1)))
    assert found[:, 3] == pytest.approx(1 / 42)


def pictures(rows=80):
    """Noise with a stripe across, down, both or none, as lists of what there is."""
    rng = np.random.default_rng(0)
    cells, tags = [], []
    for row in range(rows):
        across, down = (rng.random(2) < 0.5).tolist()
        found = np.maximum(
            media_toys.picture(1 if across else 0, row), media_toys.picture(2 if down else 0, row)
        )
        cells.append(str(inline("image", write_image(found, "PNG"))))
        tags.append(["across"] * across + ["down"] * down)
    return pd.DataFrame({"file": cells, "tags": tags})


@pytest.mark.parametrize("rung", ["plain", "frozen", "last"])
def test_pictures_learn_labels_with_the_same_head(rung):
    """What an image shows may be several things: the head on files is that on texts."""
    frame = pictures()
    pretrained = describe_pretrained(media_toys.body("resnet"), Path("/"))
    known = describe(frame, target="tags", pretrained=pretrained)
    assert (known.modality, known.classes) == ("image", ("across", "down"))
    config = {"rung": rung, **(media_toys.FAST if rung == "last" else {})}
    learner, model, held = media_toys.fit("image", config, known, to_rows(frame, known))
    found = learner.predict(model, held)
    assert found.shape == (10, 2)
    assert np.isfinite(found).all()
    assert np.ptp(found.sum(axis=1)) > 1e-4
    if rung == "plain":
        assert compute("roc_auc_ovr", held.y, found) > 0.8

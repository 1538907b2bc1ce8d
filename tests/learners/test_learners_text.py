"""The learner of texts: every rung learns, is watched and repeats itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from text_toys import RUNGS, TUNED, case, config, fit, parts

from attain.core.codec import encode
from attain.core.errors import ArtifactError, DataError, NotApplicable, SpaceError
from attain.core.types import ColumnKind, Rows, Signal, Task
from attain.learners._shared import log_loss
from attain.learners.text import Text
from attain.testing.learner_suite import check_space


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_every_rung_learns(rung, task):
    """Each rung is better than knowing nothing, by much."""
    dataset, rows = case(task, rows=240)
    held = parts(rows)[2]
    model = fit({**config(rung), **({"epochs": 6} if rung in TUNED else {})}, dataset, rows)
    found = Text().predict(model, held)
    if task is Task.REGRESSION:
        assert np.mean((found - held.y) ** 2) < 0.7 * held.y.var()
    else:
        chance = np.bincount(held.y) / len(held)
        entropy = -np.sum(chance * np.log(chance))
        assert log_loss(held.y, found) < 0.85 * entropy


@pytest.mark.parametrize("rung", RUNGS)
def test_pairs_of_texts_are_read_as_pairs(rung):
    """The second text reaches the model: exchanging it changes the answers."""
    dataset, rows = case(pairs=True)
    model = fit(config(rung), dataset, rows)
    held = parts(rows)[2]
    other = Rows(held.X.assign(reply=held.X["reply"].to_numpy()[::-1]), held.y)
    found, changed = (Text().predict(model, part) for part in (held, other))
    assert not np.allclose(found, changed)


@pytest.mark.parametrize("rung", TUNED)
def test_a_pair_becomes_two_segments(rung):
    """Tuned networks see both texts at once, told apart by their segment."""
    dataset, rows = case(pairs=True, rows=60)
    model = fit(config(rung, epochs=2), dataset, rows)
    (tokens,) = model.core.reading.tokens(model.core.body(), model.columns.read(rows.X))
    assert (tokens.first < tokens.lengths).all()


def test_all_text_columns_beyond_the_second_are_read():
    """A third text column is read with the second, not dropped."""
    dataset, rows = case(pairs=True)
    third = replace(dataset.columns[1], name="note")
    dataset = replace(dataset, columns=(*dataset.columns[:2], third, dataset.columns[2]))
    wide = Rows(rows.X.assign(note="good"), rows.y)
    model = fit(config("frozen"), dataset, wide)
    changed = Rows(rows.X.assign(note="awful"), rows.y)
    assert not np.allclose(Text().predict(model, wide), Text().predict(model, changed))


def test_the_space_is_a_ladder_with_sources():
    """Two rungs are open, two held back; every parameter of a rung waits for it."""
    space = Text().space(case()[0])
    check_space(space, "text")
    (rung,) = space.ladders
    assert (rung.choices, rung.reserve) == (("tfidf", "frozen"), ("last", "lora", "full"))
    assert rung.default == "frozen"
    assert all(p.when for p in space if p.name not in ("rung", "class_weight"))
    assert set(space.defaults()) == {"rung", "pooling"}


def test_without_a_model_there_is_no_ladder():
    """Counting words is all there is, so nothing is to be climbed."""
    space = Text().space(case(pretrained=False)[0])
    assert not space.ladders
    assert {p.name for p in space} == {"ngrams", "char_ngrams"}


def test_rare_classes_may_count_more():
    """Classes of unlike size make their weight a question."""
    dataset = replace(case()[0], class_counts=(10, 150))
    assert "class_weight" in {p.name for p in Text().space(dataset)}


def test_label_smoothing_is_for_classes():
    """Values have no labels to smooth."""
    names = lambda task: {p.name for p in Text().space(case(task)[0])}  # noqa: E731
    assert names(Task.BINARY) - names(Task.REGRESSION) == {"label_smoothing"}


def test_rows_without_a_text_column_are_not_for_it():
    """The learner says why it does not apply."""
    dataset = case()[0]
    numbers = tuple(replace(c, kind=ColumnKind.NUMERIC) for c in dataset.columns)
    with pytest.raises(NotApplicable, match="no column is running text"):
        Text().space(replace(dataset, columns=numbers))


@pytest.mark.parametrize(
    ("rung", "name", "value"),
    [
        ("tfidf", "ngrams", 1),
        ("tfidf", "char_ngrams", False),
        ("frozen", "pooling", "cls"),
        ("frozen", "pooling", "max"),
        ("last", "pooling", "max"),
        ("last", "learning_rate", 1e-4),
        ("last", "epochs", 3),
        ("last", "dropout", 0.3),
        ("lora", "pooling", "max"),
        ("lora", "rank", 8),
        ("lora", "lora_learning_rate", 1e-3),
        ("lora", "weight_decay", 0.3),
        ("full", "pooling", "cls"),
        ("full", "learning_rate", 1e-4),
        ("full", "layer_decay", 0.7),
        ("full", "epochs", 3),
        ("full", "batch", 8),
        ("full", "weight_decay", 0.3),
        ("full", "dropout", 0.3),
        ("lora", "dropout", 0.3),
        ("full", "ema", 0.99),
        ("full", "label_smoothing", 0.2),
        *((rung, "class_weight", "balanced") for rung in RUNGS),
    ],
)
def test_every_parameter_changes_the_model(rung, name, value):
    """No option is accepted and dropped."""
    dataset, rows = case(rows=80)
    dataset = replace(dataset, class_counts=(20, 60))
    if name == "class_weight":
        rows = rows.take(np.flatnonzero((rows.y == 1) | (np.arange(80) % 3 == 0)))
    without_stop = {"stop": None} if name == "epochs" else {}
    plain, changed = (
        Text().predict(fit(config(rung, **more), dataset, rows, **without_stop), rows)
        for more in ({}, {name: value})
    )
    assert not np.array_equal(plain, changed)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_same_seed_gives_the_same_model(rung):
    """Nothing depends on what torch drew before."""
    import torch

    dataset, rows = case(rows=80)
    first = Text().predict(fit(config(rung), dataset, rows), rows)
    torch.manual_seed(99)
    torch.rand(7)
    assert np.array_equal(Text().predict(fit(config(rung), dataset, rows), rows), first)


@pytest.mark.parametrize("rung", TUNED)
def test_another_seed_gives_another_model(rung):
    """Order and dropout follow the seed."""
    dataset, rows = case(rows=80)
    found = [Text().predict(fit(config(rung), dataset, rows, seed=seed), rows) for seed in range(3)]
    assert len({each.tobytes() for each in found}) == 3


@pytest.mark.parametrize("rung", RUNGS)
def test_what_is_kept_for_all_fits_changes_nothing(rung, tmp_path):
    """With an empty cache, a full one and none at all the model is the same."""
    dataset, rows = case(rows=80)
    plain = Text().predict(fit(config(rung), dataset, rows), rows)
    for _ in range(2):
        model = fit(config(rung), dataset, rows, cache=tmp_path)
        assert np.array_equal(Text().predict(model, rows), plain)


def test_features_are_computed_once_for_all_fits(tmp_path, monkeypatch):
    """A second trial takes the features from the cache: the body is not run."""
    from attain.learners._pretrained.features import Features

    dataset, rows = case(rows=80)
    fit(config("frozen"), dataset, rows, cache=tmp_path)
    monkeypatch.setattr(Features, "_compute", None)
    again = replace(dataset, class_counts=(20, 60))
    fit(config("frozen", class_weight="balanced"), again, rows, cache=tmp_path)


def test_empty_and_missing_texts_are_legal_and_counted():
    """None, nothing and blanks are the same empty text."""
    dataset, rows = case(rows=100)
    X = rows.X.copy()
    X.iloc[::5, 0] = None
    X.iloc[1::5, 0] = "   "
    model = fit(config("frozen"), dataset, Rows(X, rows.y))
    assert model.facts["empty"] == 24
    one = Rows(pd.DataFrame({"text": [None, "", "  "]}))
    found = Text().predict(model, one)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_texts_that_are_all_empty_are_refused():
    """A model of nothing is not fitted."""
    dataset, rows = case(rows=30)
    with pytest.raises(DataError, match=r"some training row must have a text.*18 empty texts"):
        fit(config("frozen"), dataset, Rows(rows.X.assign(text=" "), rows.y))


def test_rows_without_targets_are_refused():
    """Unlabelled rows cannot train."""
    dataset, rows = case(rows=30)
    with pytest.raises(DataError, match="training rows must be there and have targets"):
        fit(config("tfidf"), dataset, rows, train=Rows(rows.X))


def test_a_missing_column_is_named():
    """Rows to predict must have the text columns."""
    dataset, rows = case(rows=60)
    model = fit(config("tfidf"), dataset, rows)
    with pytest.raises(DataError, match="'text': the text columns must be there"):
        Text().predict(model, Rows(rows.X.rename(columns={"text": "txt"})))


def test_unknown_parameters_are_refused():
    """A misspelt parameter is an error with a suggestion."""
    dataset, rows = case(rows=60)
    with pytest.raises(SpaceError, match="did you mean 'pooling'"):
        fit({"poling": "cls"}, dataset, rows)
    with pytest.raises(SpaceError, match=r"a rung must exist \(got ful\) — did you mean 'full'"):
        fit({"rung": "ful"}, dataset, rows)


def test_long_texts_are_cut_and_counted():
    """The model takes 64 tokens; what is longer is cut, and the number is said."""
    dataset, rows = case(rows=60)
    X = rows.X.copy()
    X.iloc[:4, 0] = " ".join(["tana"] * 100)
    model = fit(config("frozen"), dataset, Rows(X, rows.y))
    assert (model.facts["longest"], model.facts["cut"]) == (64, 4)


def test_labels_that_training_rows_lack_are_left_out_and_counted():
    """A stop row of an unseen class is not scored, and its class gets probability 0."""
    dataset, rows = case(Task.MULTICLASS, rows=120)
    train = parts(rows)[0]
    some = train.take(np.flatnonzero(train.y != 2))
    for rung in RUNGS:
        model = fit(config(rung), dataset, rows, train=some)
        assert model.facts["stop_left_out"] == int((parts(rows)[1].y == 2).sum()) > 0
        assert Text().predict(model, rows)[:, 2].max() == 0


def curve(rung, task=Task.BINARY, **options):
    points = []

    def report(step, losses):
        points.append((step, dict(losses)))
        return Signal.CONTINUE

    dataset, rows = case(task)
    model = fit(config(rung), dataset, rows, report=report, **options)
    return model, points


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_losses_are_told_and_fall(rung, task):
    """Every rung is watched by its losses; networks tell norm, rate and pace, too."""
    _, points = curve(rung, task)
    steps = [step for step, _ in points]
    stops = [losses["stop"] for _, losses in points if "stop" in losses]
    assert steps == sorted(set(steps))
    assert all("train" in losses for _, losses in points)
    assert min(stops) < stops[0] or rung in TUNED
    if rung in TUNED:
        assert {"train", "grad_norm", "lr", "units_per_s"} <= set(points[-1][1])


@pytest.mark.parametrize("rung", RUNGS)
def test_the_stop_loss_that_is_told_is_the_one_of_the_model(rung):
    """What was measured while fitting is what predictions say afterwards."""
    model, points = curve(rung)
    stop = parts(case()[1])[1]
    told = min(losses["stop"] for _, losses in points if "stop" in losses)
    assert log_loss(stop.y, Text().predict(model, stop)) == pytest.approx(told, rel=1e-4)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("signal", [Signal.STOP, Signal.PAUSE])
def test_signals_are_obeyed(rung, signal, tmp_path):
    """STOP and PAUSE end the fit at the report that was answered so."""
    steps = []

    def report(step, losses):
        steps.append(step)
        return signal if len(steps) == 2 else Signal.CONTINUE

    dataset, rows = case()
    fit(config(rung), dataset, rows, report=report, checkpoint=tmp_path)
    assert len(steps) == 2


@pytest.mark.parametrize("rung", TUNED)
def test_a_paused_fit_goes_on_as_if_nothing_had_happened(rung, tmp_path):
    """Paused, and continued from its checkpoint: the same model to the last bit."""
    dataset, rows = case()
    whole = Text().predict(fit(config(rung), dataset, rows), rows)
    seen = []

    def pause(step, losses):
        seen.append(step)
        return Signal.PAUSE if len(seen) == 5 else Signal.CONTINUE

    fit(config(rung), dataset, rows, report=pause, checkpoint=tmp_path)
    model = fit(config(rung), dataset, rows, checkpoint=tmp_path)
    assert model.facts["resumed"] == seen[-1]
    assert np.array_equal(Text().predict(model, rows), whole)


@pytest.mark.parametrize("rung", RUNGS)
def test_hints_repeat_the_length_of_training(rung):
    """Without rows to stop on, rounds of an earlier fit decide; the result differs by them."""
    dataset, rows = case()
    facts, found = [], []
    for rounds in (1, 3):
        model = fit(config(rung), dataset, rows, stop=None, hints={"rounds": rounds})
        facts.append(model.facts["rounds"])
        found.append(Text().predict(model, rows))
    assert facts == [1, 3]
    assert not np.allclose(*found)


def test_facts_are_plain_and_tell_what_was_trained():
    """Facts are JSON values; dearer rungs train more numbers."""
    dataset, rows = case(rows=60)
    trained = {}
    for rung in RUNGS:
        facts = fit(config(rung), dataset, rows).facts
        encode(dict(facts))
        assert facts["rung"] == rung
        trained[rung] = facts["trained"]
    assert trained["frozen"] == 33 * 2
    assert trained["frozen"] < trained["last"] < trained["full"]
    assert trained["frozen"] < trained["lora"] < trained["full"]


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_a_target_that_never_changes_gives_a_constant(task, tmp_path):
    """One class or value only: that is the answer, also after loading."""
    dataset, rows = case(task)
    train = parts(rows)[0]
    same = train.take(np.flatnonzero(train.y == train.y[0]))
    model = fit({}, dataset, rows, train=same)
    model.save(tmp_path)
    for each in (model, Text().load(tmp_path)):
        found = Text().predict(each, rows)
        wanted = train.y[0] if task is Task.REGRESSION else np.eye(len(dataset.classes))[train.y[0]]
        assert np.allclose(found, wanted)


def test_a_model_whose_weights_do_not_fit_is_refused(tmp_path):
    """A head or body that would be filled with random numbers never trains."""
    from safetensors.numpy import load_file, save_file
    from text_toys import write_encoder

    pretrained = write_encoder(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = sorted(tensors)[-1]
    del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    dataset, rows = case(rows=60)
    broken = replace(dataset, pretrained=replace(pretrained, digest="broken"))
    with pytest.raises(ArtifactError, match=r"missing and would be random numbers"):
        fit(config("frozen"), broken, rows)

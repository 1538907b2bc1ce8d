"""What images and clips say to a model: sums hold, the place that decides stands out."""

import numpy as np
import pandas as pd
import pytest
from media_toys import FAST, LEARNERS, case, fit

from attain.core.decode import write_image
from attain.core.media import inline, parse
from attain.core.protocols import Attributing, Reading, Seeing
from attain.core.types import Rows
from attain.data.infer import describe
from attain.data.table import to_rows
from attain.learners._media.front import pooled
from attain.learners._media.images import ImageFront
from attain.learners._media.sound import SoundFront
from attain.learners._pretrained.architectures import EfficientNetLite
from attain.pipeline.reading import reader

KINDS = (("image", None), ("image", "vit"), ("image", "resnet"), ("audio", None))
KINDS += (("audio", "speaker"), ("audio", "wave"), ("audio", "ast"))


@pytest.mark.parametrize(("modality", "kind"), KINDS)
def test_places_add_up_to_what_the_file_changed(modality, kind):
    """Baseline, all cells and the rest are the class's score against the others, or the value."""
    for task in ("classes", "values") if kind in (None, "vit") else ("classes",):
        dataset, rows = case(modality, kind, rows=30, task=task)
        learner, model, rest = fit(modality, {"rung": "frozen"} if kind else {}, dataset, rows)
        codes = rest.y.astype(np.int64) if task == "classes" else None
        told = learner.attribute(model, rest, codes)
        said = learner.predict(model, rest)
        if task == "classes":
            logs = np.log(said)
            own = logs[np.arange(len(rest)), codes]
            wanted = own - (logs.sum(axis=1) - own) / 2
        else:
            wanted = said
        assert np.allclose([each.output for each in told], wanted, atol=1e-3)
        missed = [abs(each.residual) / max(each.tolerance, 1e-12) for each in told]
        if kind == "resnet":  # its random layers leave the path many kinks
            assert np.median(missed) < 3
        else:
            assert all(each.complete for each in told)
        assert all(np.ndim(each.files[0].values) == 2 for each in told)
        assert {each.files[0].column for each in told} == {"file"}


def test_a_tuned_model_is_asked_and_left_as_it_was():
    """Gradients of a tuned body add up, and its predictions stay the same bits."""
    dataset, rows = case("image", "vit", rows=36)
    learner, model, rest = fit("image", {"rung": "full", **FAST}, dataset, rows)
    before = learner.predict(model, rest)
    told = learner.attribute(model, rest, before.argmax(axis=1))
    assert all(each.complete and each.steps for each in told)
    assert np.array_equal(learner.predict(model, rest), before)


def cornered(rows=90):
    """Noise, and in one quarter of it a bright patch whose colour is the label."""
    random = np.random.default_rng(5)
    made, corners = [], random.integers(0, 2, (rows, 2))
    for i in range(rows):
        pixels = random.integers(90, 160, (32, 32, 3)).astype(np.uint8)
        down, across = corners[i] * 16 + 4
        pixels[down : down + 8, across : across + 8] = 0
        pixels[down : down + 8, across : across + 8, i % 3] = 255
        made.append(str(inline("image", write_image(pixels, "PNG"))))
    frame = pd.DataFrame({"file": made, "y": list("abc" * rows)[:rows]})
    dataset = describe(frame, target="y")
    return dataset, to_rows(frame, dataset), corners


def test_the_place_that_decides_says_most():
    """Of files whose label is in one quarter, that quarter says most, in nearly all of them."""
    dataset, rows, corners = cornered()
    learner, model, rest = fit("image", {}, dataset, rows)
    told = learner.attribute(model, rest, rest.y.astype(np.int64))
    places = corners[-len(rest) :] @ np.array([2, 1])
    found = np.array([pooled(np.array(each.files[0].values), 2, 2).argmax() for each in told])
    assert np.mean(found == places) >= 0.8
    told = learner.attribute(model, rest, (rest.y.astype(np.int64) + 1) % 3)
    against = np.array([pooled(np.array(each.files[0].values), 2, 2).argmin() for each in told])
    assert np.mean(against == places) >= 0.6


def test_low_tones_stand_below_and_what_is_behind_the_end_is_apart():
    """The grid of a clip has its bands upside down and ends where the sound ends."""
    front = SoundFront(seconds=0.5)
    row = np.zeros(front.samples + 1, dtype=np.float32)
    row[-1] = 0.2 * front.rate
    values = np.zeros((51, 40))
    values[:10, 0], values[40, 3] = 1.0, 5.0
    grid, rest = front.laid(values, row)
    assert (grid[-1].sum(), grid[:-1].sum(), rest) == (10.0, 0.0, 5.0)


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_files_become_pictures_also_those_that_cannot_be_read(modality):
    """Small ones keep their squares; a broken file is grey or empty, not an error."""
    dataset, rows = case(modality, None, rows=24)
    learner, model, _ = fit(modality, {}, dataset, rows)
    broken = str(inline(modality, b"nothing"))
    X = pd.DataFrame({"file": [rows.X["file"][1], broken, ""]})
    made = learner.pictures(model, Rows(X))
    assert all(p.dtype == np.uint8 and p.ndim == 3 and max(p.shape) <= 256 for p in made)
    assert np.ptp(made[0]) > 50
    assert np.ptp(made[1]) == np.ptp(made[2]) == 0
    assert isinstance(learner, Seeing)
    assert isinstance(learner, Attributing)


def test_wide_images_keep_their_proportions_and_tones_their_height():
    """A picture is scaled as a whole; a low tone is drawn in the lower half."""
    wide = inline("image", write_image(np.zeros((300, 600, 3), np.uint8), "PNG"))
    assert ImageFront().picture(parse(str(wide))).shape == (88, 176, 3)
    _, rows = case("audio", None, rows=3)
    drawn = [SoundFront(hop=80).picture(parse(c))[:, :, 0] for c in rows.X["file"]]
    low, _, high = (picture.mean(axis=1) for picture in drawn)
    assert low.argmin() > 32 > high.argmin()


@pytest.mark.parametrize(("modality", "kind"), [("image", "vit"), ("audio", None)])
def test_places_of_alike_files_are_near(modality, kind):
    """Files of one class are nearer to each other than to those of others."""
    dataset, rows = case(modality, kind, rows=60)
    learner, model, _ = fit(modality, {"rung": "frozen"} if kind else {}, dataset, rows)
    found = learner.places(model, rows)
    assert np.allclose(np.square(found).mean(axis=1), 1, atol=1e-3)
    alike = found @ found.T / found.shape[1]
    same = rows.y[:, None] == rows.y[None]
    assert alike[same].mean() > alike[~same].mean()


@pytest.mark.parametrize(("modality", "kind"), [("image", "vit"), ("audio", "speaker")])
def test_checks_read_files_as_the_frozen_rung_does(modality, kind, tmp_path):
    """What checks of labels get are the features that the frozen model's head is told."""
    dataset, rows = case(modality, kind, rows=24)
    learner, model, _ = fit(modality, {"rung": "frozen"}, dataset, rows)
    read = reader(tmp_path, dataset)
    assert read is not None
    found = read(rows.X["file"].tolist())
    assert np.allclose(found, learner.places(model, rows), atol=1e-5)
    assert np.array_equal(found, read(rows.X["file"].tolist()))  # now from the study's cache
    assert isinstance(learner, Reading)
    assert reader(tmp_path, case(modality, None, rows=3)[0]) is None


def test_a_constant_model_says_nothing_about_places():
    """One class in training: no place says anything, and pictures can still be made."""
    dataset, rows = case("image", None, rows=30)
    one = Rows(rows.X, np.zeros(len(rows), dtype=np.int64))
    learner, model, rest = fit("image", {}, dataset, one)
    (told, *_) = learner.attribute(model, rest, np.zeros(len(rest), dtype=np.int64))
    assert told.complete
    assert not np.any(told.files[0].values)
    assert len(learner.pictures(model, rest)) == len(learner.places(model, rest)) == len(rest)


def test_the_middle_of_a_network_is_on_the_way_to_its_features():
    """Onward from the middle are the features themselves, with a place for each 16 pixels."""
    import torch

    torch.manual_seed(0)
    net = EfficientNetLite().eval()
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        states = net.middle(inputs)
        assert states.shape == (2, 112, 4, 4)
        assert torch.equal(net.onward(states, inputs), net(inputs))
    assert set(LEARNERS) == {"image", "audio"}

"""Images and sound: every rung learns, is saved, goes on, and says what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from media_toys import FAST, LEARNERS, body, case, fit, picture, sound

from attain.core.decode import write_image
from attain.core.errors import ArtifactError, DataError, NotApplicable, SpaceError
from attain.core.media import inline, parse
from attain.core.protocols import FitData
from attain.core.types import ColumnKind, Rows, Signal
from attain.learners._media import parameters, rungs
from attain.learners._media.core import features
from attain.learners._media.front import Held
from attain.learners._media.images import ImageFront
from attain.learners._media.mel import filters, mel_power
from attain.learners._media.sound import SoundFront, resampled
from attain.learners._media.work import MediaWork

KINDS = (("image", "vit"), ("image", "resnet"), ("audio", "speaker"), ("audio", "wave"))
KINDS += (("audio", "ast"),)
RUNGS = ("frozen", "last", "full")


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize(("modality", "kind"), KINDS)
def test_every_rung_learns_and_is_saved_to_the_last_bit(modality, kind, rung, tmp_path):
    """All families, all rungs: probabilities, and the same ones from the saved folder."""
    dataset, rows = case(modality, kind)
    told = {"rung": rung, **(FAST if rung != "frozen" else {})}
    learner, model, rest = fit(modality, told, dataset, rows, cache=tmp_path / "cache")
    p = learner.predict(model, rest)
    assert p.shape == (len(rest), 3)
    assert np.allclose(p.sum(axis=1), 1)
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    again = learner.load(tmp_path / "model")
    assert np.array_equal(learner.predict(again, rest), learner.predict(model, rest))
    assert np.allclose(learner.predict(model, rest), p, atol=1e-6)
    one = learner.predict(again, rest.take(np.array([3])))
    assert np.array_equal(one[0], learner.predict(again, rest)[3])


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_a_plain_model_needs_no_body(modality):
    """Small pictures and band energies tell what is easy; their detail changes the model."""
    dataset, rows = case(modality, None, rows=120)
    learner, model, rest = fit(modality, {}, dataset, rows)
    right = learner.predict(model, rest).argmax(axis=1) == rest.y
    assert right.mean() > 0.8
    _, other, _ = fit(modality, {"detail": 8}, dataset, rows)
    assert other.facts["trained"] < model.facts["trained"]


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_values_are_predicted(modality):
    """A number as target, on every rung."""
    kind = {"image": "vit", "audio": "speaker"}[modality]
    dataset, rows = case(modality, kind, task="values")
    for told in ({"rung": "plain"}, {"rung": "frozen"}, {"rung": "full", **FAST}):
        learner, model, rest = fit(modality, told, dataset, rows)
        found = learner.predict(model, rest)
        assert found.shape == (len(rest),)
        assert np.isfinite(found).all()


def test_tuning_lowers_the_loss_of_other_rows():
    """The loss of rows that do not train falls from the first look to the best one."""
    dataset, rows = case("image", "vit", rows=96)
    seen = []

    def report(step, losses):
        seen.extend([losses["stop"]] if "stop" in losses else [])
        return Signal.CONTINUE

    many = {"rung": "full", "epochs": 6, "learning_rate": 1e-3}
    fit("image", many, dataset, rows, report=report)
    assert min(seen) < 0.95 * seen[0]


def test_a_fit_goes_on_from_its_checkpoint(tmp_path):
    """Paused and continued, the weights are those of a fit that was never interrupted."""
    dataset, rows = case("audio", "speaker")
    told = {"rung": "full", **FAST}
    learner, whole, rest = fit("audio", told, dataset, rows)
    seen = []

    def pause(step, losses):
        seen.append(step)
        return Signal.PAUSE if len(seen) == 2 else Signal.CONTINUE

    fit("audio", told, dataset, rows, report=pause, checkpoint=tmp_path)
    _, again, _ = fit("audio", told, dataset, rows, checkpoint=tmp_path)
    assert again.facts["resumed"] > 0
    assert np.array_equal(learner.predict(again, rest), learner.predict(whole, rest))


@pytest.mark.parametrize(
    ("modality", "name", "value"),
    [
        *(("image", n, v) for n, v in (("flip", True), ("crop", 0.4), ("strength", 9))),
        *(("image", "mix", v) for v in ("mixup", "cutmix")),
        *(("audio", n, 0.3) for n in ("speed", "noise", "shift", "time_mask", "band_mask")),
        ("audio", "gain", 12.0),
    ],
)
def test_every_change_changes_what_is_learnt(modality, name, value):
    """Each strength alone makes other batches, the same ones for the same step."""
    kind = {"image": "vit", "audio": "speaker"}[modality]
    dataset, rows = case(modality, kind, rows=12)
    learner = LEARNERS[modality]()
    none = {"flip": False, "crop": 1.0, "strength": 0, "mix": "none", "speed": 0.0, "gain": 0.0}
    none |= {"noise": 0.0, "shift": 0.0, "time_mask": 0.0, "band_mask": 0.0}
    front = ImageFront(32) if modality == "image" else SoundFront(seconds=0.5)
    held = Held(front, learner_cells(dataset, rows), None)
    made = []
    for config in (none, {**none, name: value}, {**none, name: value}):
        work = MediaWork(front, outputs_of(dataset, rows), held, rows.y, config=config)
        torch.manual_seed(3)
        made.append(work.batch(np.arange(12))["inputs"]["inputs"])
    assert torch.equal(made[1], made[2])
    assert made[0].shape == made[1].shape
    assert not torch.equal(made[0], made[1])
    assert torch.isfinite(made[1]).all()
    assert learner.name == modality


def learner_cells(dataset, rows):
    """The cells of the only column."""
    return rows.X[dataset.features[0].name].tolist()


def outputs_of(dataset, rows):
    """What scores mean."""
    from attain.learners._pretrained.outputs import find_outputs

    return find_outputs(dataset, rows.y)


def test_changes_are_applied_behind_the_cache(tmp_path):
    """Decoded rows on disk are the same whatever the strengths; evaluation sees them unchanged."""
    dataset, rows = case("image", "vit", rows=24)
    for strength in (0, 9):
        fit("image", {"rung": "full", **FAST, "strength": strength}, dataset, rows, cache=tmp_path)
    assert len(list(tmp_path.glob("pixels-*"))) == 1
    assert len(list(tmp_path.glob("features-*"))) == 1


def test_decoding_for_each_batch_is_the_same():
    """Rows that do not stay in memory are decoded anew to the same bytes."""
    _, rows = case("image", None, rows=9)
    cells = rows.X["file"].tolist()
    one, other = (Held(ImageFront(24), cells, None, most) for most in (1 << 30, 0))
    index = np.array([5, 0, 8])
    assert np.array_equal(one.rows(index), other.rows(index))


def test_only_the_last_blocks_learn():
    """The rung ``last`` leaves everything below its blocks as it was."""
    dataset, rows = case("audio", "speaker")
    _, model, _ = fit("audio", {"rung": "last", "blocks": 1, **FAST}, dataset, rows)
    tuned = model.core.body().net
    resident = rungs.resident_body(FitData(dataset, rows)).net
    same = {
        n: torch.equal(p, dict(resident.named_parameters())[n]) for n, p in tuned.named_parameters()
    }
    assert all(same[n] for n in same if n.startswith(("layers.0.", "layers.1.")))
    assert not any(same[n] for n in same if n.startswith("layers.2."))


def test_batch_norms_keep_what_they_know():
    """Statistics of a pre-trained body stay while it is tuned."""
    dataset, rows = case("image", "resnet")
    _, model, _ = fit("image", {"rung": "full", **FAST}, dataset, rows)
    tuned = dict(model.core.body().net.named_buffers())
    before = dict(rungs.resident_body(FitData(dataset, rows)).net.named_buffers())
    means = [name for name in tuned if name.endswith("running_mean")]
    assert means
    assert all(torch.equal(tuned[name], before[name]) for name in means)


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_files_that_cannot_be_read_say_nothing(modality):
    """A damaged and a missing file are counted and predicted alike; none readable is an error."""
    dataset, rows = case(modality, None, rows=40)
    X = rows.X.copy()
    X.loc[0, "file"] = str(inline(modality, b"\x89PNG damaged"))
    X.loc[1, "file"] = None
    damaged = Rows(X, rows.y)
    learner, model, _ = fit(modality, {}, dataset, damaged)
    assert model.facts["unreadable"] == 2
    p = learner.predict(model, damaged)
    assert np.array_equal(p[0], p[1])
    X["file"] = str(inline(modality, b"nothing"))
    with pytest.raises(DataError, match="must be readable"):
        fit(modality, {}, dataset, Rows(X, rows.y))


def test_what_does_not_apply_says_so():
    """Images are not for the learner of sound; rungs must exist; one class is a constant."""
    dataset, rows = case("image", "vit")
    with pytest.raises(NotApplicable, match="no column holds audio files"):
        LEARNERS["audio"]().space(dataset)
    with pytest.raises(SpaceError, match="rung"):
        fit("image", {"rung": "lora"}, dataset, rows)
    learner, model, rest = fit("image", {}, dataset, Rows(rows.X, np.zeros_like(rows.y)))
    assert np.array_equal(learner.predict(model, rest)[:, 0], np.ones(len(rest)))


def test_features_are_computed_once_and_not_of_a_tuned_body(tmp_path):
    """The store answers the second time; a tuned body is refused."""
    dataset, rows = case("image", "vit", rows=8)
    found = rungs.resident_body(FitData(dataset, rows))
    cells = rows.X["file"].tolist()
    front = ImageFront(32)
    first = features(found, front, cells, tmp_path, 1)
    assert np.array_equal(features(found, front, cells, tmp_path, 1), first)
    assert np.array_equal(features(found, front, cells[::-1], None, 1)[::-1], first)
    with torch.no_grad():
        next(found.net.parameters()).add_(1)
    with pytest.raises(ValueError, match="tuned body"):
        features(found, front, cells, tmp_path, 1)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    """A tensor that is missing or has another shape is named."""
    from safetensors.torch import load_file, save_file

    from attain.core.types import Pretrained
    from attain.learners._pretrained.media import load_media

    source = body("speaker")
    state = load_file(f"{source}/model.safetensors")
    (tmp_path / "config.json").write_bytes(Path(source, "config.json").read_bytes())
    del state["layers.0.bias_ih_l0"]
    state["layers.1.weight_ih_l0"] = torch.zeros(3, 3)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"missing: layers\.0\.bias.*another shape: layers\.1"):
        load_media(Pretrained(str(tmp_path), "x"))


def test_the_forecast_names_every_rung():
    """Seconds and trained numbers rise from rung to rung, and nothing is left tuned."""
    dataset, rows = case("audio", "speaker", rows=24)
    found = LEARNERS["audio"]().forecast(FitData(dataset, rows))
    assert [rung.name for rung in found.rungs] == list(parameters.RUNGS)
    assert found.rungs[1].trainable < found.rungs[2].trainable < found.rungs[3].trainable
    assert all(rung.seconds > 0 for rung in found.rungs)
    assert found.facts["unreadable"] == 0
    assert rungs.resident_body(FitData(dataset, rows)).untouched()


def test_the_forecast_decodes_a_few_files_only(monkeypatch):
    """What only a fit needs, all decoded rows, is not made for the sake of a few steps."""
    from attain.learners._media import forecast

    seen, row = set(), SoundFront._row
    monkeypatch.setattr(forecast, "_SUMMED", 8)
    monkeypatch.setattr(SoundFront, "_row", lambda self, r: (seen.add(r), row(self, r))[1])
    dataset, rows = case("audio", "speaker", rows=60)
    LEARNERS["audio"]().forecast(FitData(dataset, rows.take(range(44)), rows.take(range(44, 60))))
    assert 16 <= len(seen) <= 32


def test_spectra_are_those_of_the_textbook():
    """A tone's power is in its band; filters have area 1; resampling keeps a tone's place."""
    assert np.allclose(filters(16_000, 4_096, 40).sum(axis=1) * 16_000 / 4_096, 1, atol=0.02)
    at = np.arange(8_000) / 8_000
    tone = np.sin(2 * np.pi * 1_000 * at).astype(np.float32)
    for wave, rate in ((tone, 8_000), (resampled(tone, 8_000, 16_000), 16_000)):
        power = mel_power(wave[None], rate, 400, 160, 40)[0].mean(axis=0)
        centre = filters(rate, 400, 40)[power.argmax()] @ np.fft.rfftfreq(400, 1 / rate)
        centre /= filters(rate, 400, 40)[power.argmax()].sum()
        assert abs(centre - 1_000) < 100


def test_kinds_of_columns_are_told():
    """Toys are what they are meant to be."""
    assert case("image", None, rows=24)[0].features[0].kind is ColumnKind.IMAGE
    assert case("audio", None, rows=24)[0].features[0].kind is ColumnKind.AUDIO
    assert parse(str(inline("audio", sound(0, 0)))).kind == "audio"
    assert len(write_image(picture(0, 0), "PNG")) > 100


def test_random_weights_are_trained_from_scratch(tmp_path):
    """A body that says it is not trained learns its statistics, from a head of zeros."""
    from attain.core.types import Pretrained
    from attain.learners._pretrained import importing
    from attain.learners._pretrained.architectures import EfficientNetLite
    from attain.learners._pretrained.media import load_media

    for trained in (True, False):
        folder = tmp_path / str(trained)
        importing.write(
            EfficientNetLite(), "efficientnet-lite0", folder, trained=trained, source={}
        )
        net = load_media(Pretrained(str(folder), str(trained))).net.train()
        norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert len(norms) == 49
        assert all(m.training is not trained for m in norms)

"""Speech: every rung hears, is saved, goes on, and no clip depends on its neighbours."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from speech_toys import RATE, described, fit, make_net, spoken, tiny_speech, write_speech

from attain.core.counts import TRANSCRIPTION
from attain.core.errors import ArtifactError, DataError, NotApplicable
from attain.core.media import inline
from attain.core.protocols import FitData
from attain.core.types import FindingState, Rows, Severity, Signal
from attain.learners._media.columns import MediaColumns
from attain.learners._speech import parameters, tuning
from attain.learners._speech.ctc import ctc_losses
from attain.learners._speech.lesson import teach
from attain.learners._speech.network import Listener, load_speech
from attain.learners._speech.states import States
from attain.learners._speech.work import FromWaves, padded
from attain.learners.audio import Audio

QUIET = {"speed": 0.0, "noise": 0.0, "time_mask": 0.0, "band_mask": 0.0, "dropout": 0.0}
RUNGS = {
    "as_is": {},
    "head": {"epochs": 3, "head_learning_rate": 0.03},
    "lora": {"epochs": 3, "lora_learning_rate": 2e-3},
    "full": {"epochs": 3, "learning_rate": 1e-3},
}


def rate(model, rows, metric="word_error_rate") -> float:
    """A metric of rows."""
    above, below = TRANSCRIPTION.sums(metric, Audio().predict(model, rows))
    return float(above.sum() / below.sum())


def cells_of(rows) -> list[str]:
    """References of clips."""
    return rows.X["clip"].tolist()


@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_is_saved_to_the_last_bit(rung, tmp_path):
    """Counts and transcripts of the saved folder are those of the model; a row alone, too."""
    dataset, rows = described(24)
    learner, model, rest = fit({"rung": rung, **RUNGS[rung]}, dataset, rows, cache=tmp_path / "c")
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    again = learner.load(tmp_path / "model")
    found = learner.predict(model, rest)
    assert found.shape == (len(rest), len(TRANSCRIPTION.columns))
    assert np.array_equal(learner.predict(again, rest), found)
    assert learner.say(again, rest).tolist() == learner.say(model, rest).tolist()
    one = learner.predict(again, rest.take(np.array([1])))
    assert np.array_equal(one[0], found[1])
    assert model.facts["trained"] > 0 or rung == "as_is"


def test_a_few_steps_learn_to_write_what_tones_say():
    """The whole network, from scratch: most words are wrong before, hardly any after."""
    dataset, rows = described(80, norm="layer")
    config = {"rung": "full", **QUIET, "epochs": 20, "learning_rate": 6e-3}
    _, model, rest = fit(config, dataset, rows)
    _, before, _ = fit({"rung": "as_is"}, dataset, rows)
    assert rate(before, rest) >= 0.9
    assert rate(model, rest) < 0.4
    assert rate(model, rest, "character_error_rate") < 0.2
    _, head, _ = fit({"rung": "head", **QUIET, "epochs": 40, "head_learning_rate": 0.1}, dataset,
                     rows)  # fmt: skip
    assert rate(head, rest) < 0.8
    assert not torch.equal(head.body().head.weight, before.body().head.weight)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_no_clip_depends_on_its_neighbours(norm):
    """Alone, or in a batch of other lengths: the same scores, with masks and without padding."""
    body = load_speech(tiny_speech(norm))
    assert body.hearing.masks is (norm == "layer")
    net = Listener(body).eval()
    random = np.random.default_rng(0)
    waves = [random.standard_normal(n).astype(np.float32) for n in (900, 400, 900, 1700)]
    taken = padded(waves)
    with torch.no_grad():
        together, frames = net(taken["values"], taken["lengths"])
        for i, wave in enumerate(waves):
            alone, (many,) = net(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
            assert int(frames[i]) == int(many) == alone.shape[1]
            torch.testing.assert_close(together[i, :many], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["Hubert", "WavLM", "UniSpeech"])
def test_other_networks_of_the_family(kind, tmp_path):
    """Their checkpoints load, learn a step with covers, and are the same when saved."""
    pretrained = write_speech(tmp_path / "net", kind=kind)
    dataset, rows = described(12, pretrained=pretrained)
    config = {"rung": "full", "epochs": 3, "batch": 16, "time_mask": 0.3, "band_mask": 0.3}
    learner, model, rest = fit(config, dataset, rows)
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    again = learner.load(tmp_path / "model")
    assert np.array_equal(learner.predict(again, rest), learner.predict(model, rest))


@pytest.mark.parametrize("rung", ["head", "lora", "full"])
def test_a_fit_goes_on_from_its_checkpoint(rung, tmp_path):
    """Paused and continued, the transcripts' losses are those of a fit without a break."""
    dataset, rows = described(24)
    told = {"rung": rung, **RUNGS[rung]}
    learner, whole, rest = fit(told, dataset, rows)
    seen = []

    def pause(step, losses):
        seen.append(step)
        return Signal.PAUSE if len(seen) == 2 else Signal.CONTINUE

    fit(told, dataset, rows, report=pause, checkpoint=tmp_path)
    _, again, _ = fit(told, dataset, rows, checkpoint=tmp_path)
    assert again.facts["resumed"] > 0
    assert np.array_equal(learner.predict(again, rest), learner.predict(whole, rest))


def test_parts_of_a_step_are_weighed_by_their_characters():
    """A step in halves has the gradient of the whole, by characters and not by clips."""
    _, rows = described(8)
    body, columns = load_speech(tiny_speech()), MediaColumns(("clip",))
    taught = teach(body, columns, "text", rows, None)
    config = {**QUIET, "rung": "full"}
    work = FromWaves(body, taught, config=config)
    net = Listener(body)
    grads = []
    for parts in ([np.arange(8)], [np.arange(3), np.arange(3, 8)]):
        net.zero_grad()
        made = [work.loss(net, work.batch(part)) for part in parts]
        units = sum(n for _, n in made)
        (sum(loss for loss, _ in made) / units).backward()
        grads.append(body.head.weight.grad.clone())
    assert units == sum(len(s.ids) for s in taught.spelled)
    torch.testing.assert_close(grads[0], grads[1], atol=1e-6, rtol=1e-4)


def test_convolutions_and_the_body_stay_where_they_must():
    """``full`` leaves the convolutions, ``head`` all but the head."""
    dataset, rows = described(16)
    before = dict(load_speech(tiny_speech()).net.named_parameters())
    for rung, frozen in (("full", "feature_extractor"), ("head", "wav2vec2.")):
        _, model, _ = fit({"rung": rung, **RUNGS[rung]}, dataset, rows)
        after = dict(model.body().net.named_parameters())
        assert all(torch.equal(after[n], before[n]) for n in after if frozen in n)
        assert not torch.equal(after["lm_head.weight"], before["lm_head.weight"])


@pytest.mark.parametrize("name", ["speed", "noise", "time_mask", "band_mask"])
def test_every_change_changes_what_is_learnt(name):
    """Each strength alone makes other batches, the same ones for the same step."""
    _, rows = described(6)
    body = load_speech(tiny_speech())
    taught = teach(body, MediaColumns(("clip",)), "text", rows, None)
    made = []
    for config in (QUIET, {**QUIET, name: 0.3}, {**QUIET, name: 0.3}):
        torch.manual_seed(3)
        with torch.no_grad():
            made.append(Listener(body)(**FromWaves(body, taught, config=config).inputs(
                np.arange(6)))[0])  # fmt: skip
    assert torch.equal(made[1], made[2])
    assert made[0].shape != made[1].shape or not torch.equal(made[0], made[1])


def test_a_faster_clip_still_has_room_for_its_text():
    """Where a text would no longer fit, the clip keeps its speed: no loss is infinite."""
    pretrained = tiny_speech()
    text = "ABCD"
    clip = str(inline("audio", spoken(text, 0, beat=0.002)))
    rows = Rows(pd.DataFrame({"clip": [clip], "text": [text * 1]}), np.zeros(1))
    body = load_speech(pretrained)
    taught = teach(body, MediaColumns(("clip",)), "text", rows, None)
    assert taught.frames[0] < 1.5 * len(text) + 5
    work = FromWaves(body, taught, config={**QUIET, "speed": 0.5})
    for seed in range(20):
        torch.manual_seed(seed)
        loss, _ = work.loss(Listener(body), work.batch(np.array([0])))
        assert torch.isfinite(loss)


def test_the_loss_sums_over_all_paths():
    """Against every path of a few frames, spelled out (Graves et al. 2006, equation 3)."""
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 3)
    shares = logits[0].softmax(dim=1)
    for text in ([], [1], [1, 2], [1, 1]):
        total = sum(
            float(np.prod([float(shares[t, k]) for t, k in enumerate(path)]))
            for path in itertools.product(range(3), repeat=4)
            if [k for k, _ in itertools.groupby(path) if k] == text
        )
        args = (torch.tensor([4]), torch.tensor(text, dtype=torch.int64), torch.tensor([len(text)]))
        assert float(ctc_losses(logits, *args, 0)[0]) == pytest.approx(-np.log(total), rel=1e-5)


def test_rows_that_cannot_be_learnt_are_counted_and_said():
    """No word, no letter for it, no room, no clip: each is left out for its reason, and found."""
    dataset, rows = described(24)
    X = rows.X.copy()
    X.loc[0, "text"] = "..."
    X.loc[1, "text"] = "AB 7%"
    X.loc[2, "text"] = "ABCD" * 30
    X.loc[3, "clip"] = str(inline("audio", b"RIFF broken"))
    X.loc[4, "text"] = None
    odd = Rows(X, rows.y)
    made = Audio().forecast(FitData(dataset, odd))
    facts = {n: made.facts[n] for n in ("empty", "unwritable", "too_short", "unreadable")}
    assert facts == dict.fromkeys(facts, 1)
    assert made.facts["learnt"] == 19
    assert "7 (1)" in made.facts["not_in_vocabulary"]
    found = {f.code: f for f in made.findings}
    assert [found[c].rows for c in ("D070", "D071", "D072")] == [(0,), (1,), (2,)]
    assert found["D073"].state is FindingState.PASSED
    assert [r.name for r in made.rungs] == list(parameters.RUNGS)
    assert all(r.usable and np.isfinite(r.seconds) for r in made.rungs)
    assert "|" in "".join(label for _, label in made.examples)
    guide = (Path(__file__).parents[2] / "docs" / "media.md").read_text()
    assert all(f"### {f.code}: {f.title}\n" in guide for f in made.findings)
    X["text"] = "7"
    blocked = Audio().forecast(FitData(dataset, Rows(X, rows.y))).findings
    assert {f.code for f in blocked if f.severity is Severity.BLOCKER} == {"D071"}
    with pytest.raises(DataError, match="vocabulary lacks"):
        Audio().fit({"rung": "head"}, FitData(dataset, Rows(X, rows.y)), None)


def test_what_cannot_be_written_counts_as_an_error():
    """Truth keeps spoken characters that the vocabulary lacks; the loss is over the other rows."""
    dataset, rows = described(6)
    learner, model, _ = fit({"rung": "as_is"}, dataset, rows)
    X = rows.X.copy()
    X["text"] = ["A 77", "A, B.", "", None, "AB" * 200, "A"]
    X.loc[5, "clip"] = None
    found = learner.predict(model, Rows(X, rows.y))
    column = lambda name: found[:, TRANSCRIPTION.place(name)].tolist()  # noqa: E731
    assert column("characters") == [4, 3, 0, 0, 400, 1]
    assert column("words") == [2, 2, 0, 0, 1, 1]
    assert column("clips") == [1, 1, 1, 0, 1, 1]
    assert column("fitted") == [0, 3, 0, 0, 0, 0]
    assert column("word_edits")[5] == 1
    assert column("whole")[5] == 0
    assert learner.say(model, Rows(X, rows.y))[5] is None


def test_states_beyond_the_bound_are_heard_anew():
    """Kept or not, the head sees the same states."""
    _, rows = described(6)
    body = load_speech(tiny_speech())
    taught = teach(body, MediaColumns(("clip",)), "text", rows, None)
    kept, none = (States(body, taught, None, most) for most in (1 << 30, 0))
    assert (kept.kept, none.kept, none.bytes) == (6, 0, 0)
    assert all(np.array_equal(kept[i], none[i]) for i in range(6))
    small = teach(body, MediaColumns(("clip",)), "text", rows, None, most=0)
    assert all(np.array_equal(small.waves[i], taught.waves[i]) for i in range(6))


def test_labels_of_clips_need_no_transcripts():
    """A network without its vocabulary, or with another one, is refused by name."""
    with pytest.raises(NotApplicable, match="needs a network that writes"):
        Audio().space(described(24, pretrained=False)[0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", None, "has no vocab.json"),
        ("vocab.json", "{", "cannot be read"),
        ("vocab.json", '{"A": 0, "B": 0}', "a number of its own"),
        ("vocab.json", '{"A": 0, "|": 1}', "lacks '<pad>'"),
        ("vocab.json", '{"eng": {"A": 1}, "deu": {"A": 1}}', "of 2 languages"),
        ("vocab.json", json.dumps({c: i for i, c in enumerate(["<pad>", "|", *"ABCDEFGHIJ"])}),
         "belongs to the weights"),
    ],
)  # fmt: skip
def test_a_vocabulary_that_does_not_fit_is_refused(name, content, message, tmp_path):
    """Missing, damaged, ambiguous, or larger than the network."""
    pretrained = write_speech(tmp_path / "net")
    path = tmp_path / "net" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ArtifactError, match=message):
        load_speech(pretrained)


def test_the_network_computes_what_transformers_does(tmp_path):
    """One clip: the same logits as the checkpoint's own forward pass and processor."""
    import transformers

    pretrained = write_speech(tmp_path / "net", norm="layer")
    body = load_speech(pretrained)
    wave = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    processor = transformers.AutoFeatureExtractor.from_pretrained(pretrained.folder)
    values = processor(wave, sampling_rate=RATE, return_tensors="pt").input_values
    net = make_net("layer")
    own = torch.from_numpy(body.hearing.prepared(wave))[None]
    with torch.no_grad():
        logits = net(values).logits
        mine, _ = Listener(body)(own, torch.tensor([RATE]))
    torch.testing.assert_close(mine, logits, atol=1e-5, rtol=1e-5)
    processor.save_pretrained(tmp_path)
    said = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "net" / "preprocessor_config.json").unlink()
    (tmp_path / "net" / "processor_config.json").write_text(
        json.dumps({"feature_extractor": said, "processor_class": "Wav2Vec2Processor"})
    )
    (tmp_path / "net" / "added_tokens.json").write_text('{"<lang>": 10, "[more]": 11}')
    again = load_speech(pretrained)
    assert again.hearing == body.hearing
    assert len(again.alphabet.tokens) == len(body.alphabet.tokens) + 2
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "net" / "vocab.json"))
    ids = [5, 5, 0, 5, 4, 4, 0, 6, 6]
    assert tokenizer.decode(ids) == body.alphabet.best_path(np.array(ids)) == "AA B"


def test_every_rate_belongs_to_its_rung():
    """Each rung's own rate reaches the recipe."""
    space = parameters.space()
    for rung, name in tuning._RATES.items():
        config = {p.name: p.default for p in space} | {"rung": rung, name: 7e-4}
        assert tuning.recipe(config).learning_rate == 7e-4

"""A tiny network of speech with random weights, and clips in which each character is a tone."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scratch import scratch

from attain.core.decode import write_clip
from attain.core.media import inline
from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.data.infer import describe
from attain.data.pretrained import describe_pretrained
from attain.data.table import to_rows
from attain.learners.audio import Audio

os.environ.setdefault("HF_HUB_OFFLINE", "1")
RATE = 4000
TONES = {"A": 300, "B": 520, "C": 800, "D": 1150, " ": 1600}
TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "D", "'")
WORDS = ("AB", "CAD", "BAD", "DAB", "CD", "ACB", "D", "BC")


def spoken(text: str, seed: int, rate: int = RATE, beat: float = 0.04) -> bytes:
    """A tone for each character and a short silence after it, with a little noise."""
    random = np.random.default_rng(seed)
    at = np.arange(int(rate * beat)) / rate
    parts = [np.zeros(int(rate * 0.02))]
    for character in text.upper():
        loud = random.uniform(0.2, 0.4)
        tone = loud * np.sin(2 * np.pi * TONES.get(character, 100) * at + random.uniform(0, 6))
        parts += [tone, np.zeros(int(rate * 0.015))]
    wave = np.concatenate(parts)
    return write_clip((wave + random.normal(0, 0.005, len(wave))).astype(np.float32), rate)


def sentences(rows: int, seed: int = 0) -> list[str]:
    """Two or three words each."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, int(random.integers(1, 3)))) for _ in range(rows)]


def frame(rows: int = 48, seed: int = 0) -> pd.DataFrame:
    """Clips and what is said in them."""
    said = sentences(rows, seed)
    clips = [str(inline("audio", spoken(text, 1000 * seed + i))) for i, text in enumerate(said)]
    return pd.DataFrame({"clip": clips, "text": said})


def make_net(norm: str = "group", seed: int = 0, kind: str = "Wav2Vec2", **more):
    """Random weights, but for a first convolution that hears tones."""
    import torch
    import transformers

    told = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "conv_dim": (16, 32), "conv_stride": (5, 8),
        "conv_kernel": (40, 8), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2, "vocab_size": len(TOKENS), "pad_token_id": 0,
        "layerdrop": 0.0, "feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer",
        "conv_bias": norm == "layer", **more,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = getattr(transformers, f"{kind}ForCTC")(getattr(transformers, f"{kind}Config")(**told))
        _tuned_in(net.base_model.feature_extractor.conv_layers, torch)
    return net.eval()


def _tuned_in(layers, torch) -> None:
    """The first convolution asks for each tone, the second how loud it is on average."""
    first, second = layers[0].conv.weight.data, layers[1].conv.weight.data
    at = np.arange(first.shape[2]) / RATE
    second.zero_()
    for i, pitch in enumerate(TONES.values()):
        for k, wave in enumerate((np.sin, np.cos)):
            asked = wave(2 * np.pi * pitch * at) * np.hanning(len(at)) / 4
            first[2 * i + k, 0] = torch.from_numpy(asked)
            second[i::5, 2 * i + k] = torch.rand(second[i::5, 2 * i + k].shape)


def write_speech(folder: Path, norm: str = "group", tokens=TOKENS, **more):
    """A checkpoint's folder."""
    made = make_net(norm, vocab_size=len(tokens), **more)
    made.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"word_delimiter_token": "|"}))
    told = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": RATE,
        "do_normalize": True, "return_attention_mask": norm == "layer",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return describe_pretrained(str(folder), folder.parent)


@cache
def tiny_speech(norm: str = "group"):
    """One such network for a whole run."""
    return write_speech(scratch("attain-speech-"), norm)


def described(rows: int = 48, norm: str = "group", pretrained=None, seed: int = 0):
    """A data set and its rows; ``pretrained=False`` names no network."""
    found = tiny_speech(norm) if pretrained is None else pretrained or None
    made = frame(rows, seed)
    dataset = describe(made, target="text", pretrained=found, task="transcription")
    return dataset, to_rows(made, dataset)


def told(step, losses):
    """A report that lets a fit go on."""
    return Signal.CONTINUE


def fit(config, dataset, rows, report=told, **more):
    """Three quarters train, an eighth is to stop on; the learner, its model and the other rows."""
    n = len(rows)
    a, b = 3 * n // 4, 7 * n // 8
    data = FitData(
        dataset, rows.take(np.arange(a)), rows.take(np.arange(a, b)), **{"seed": 1, **more}
    )
    learner = Audio()
    return learner, learner.fit(config, data, report), rows.take(np.arange(b, n))

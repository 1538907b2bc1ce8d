"""Tiny bodies with random weights, and images and clips whose content decides their label."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scratch import scratch

from attain.core.decode import write_clip, write_image
from attain.core.media import inline
from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.data.infer import describe
from attain.data.pretrained import describe_pretrained
from attain.data.table import to_rows
from attain.learners.audio import Audio
from attain.learners.image import Image

os.environ.setdefault("HF_HUB_OFFLINE", "1")
LEARNERS = {"image": Image, "audio": Audio}
FAST = {"epochs": 2, "learning_rate": 2e-3}


def picture(label: int, seed: int, size: int = 32) -> np.ndarray:
    """Noise with a stripe across, down or nowhere."""
    random = np.random.default_rng(seed)
    found = random.integers(0, 120, (size, size, 3), dtype=np.uint8)
    at = int(random.integers(6, size - 6))
    if label == 1:
        found[at - 3 : at + 3] = 240
    if label == 2:
        found[:, at - 3 : at + 3] = 240
    return found


def sound(label: int, seed: int) -> bytes:
    """A low, middling or high tone of random length, with noise."""
    random = np.random.default_rng(seed)
    samples = int(random.integers(1600, 2400))
    at = np.arange(samples) / 8000
    pitch = (300, 900, 2500)[label] * random.uniform(0.9, 1.1)
    wave = 0.3 * np.sin(2 * np.pi * pitch * at) + random.normal(0, 0.05, samples)
    return write_clip(wave.astype(np.float32), 8000)


@cache
def body(kind: str) -> str:
    """A folder with a tiny network of transformers, or of this package (``speaker``)."""
    import torch
    import transformers

    folder = scratch(f"{kind}-")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "speaker":
            from attain.learners._pretrained import importing
            from attain.learners._pretrained.architectures import SpeakerLstm

            importing.write(SpeakerLstm(), "speaker-lstm", folder, trained=True, source={})
            return str(folder)
        small = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
        small |= {"intermediate_size": 48}
        if kind == "vit":
            config = transformers.ViTConfig(**small, image_size=32, patch_size=8)
            net = transformers.ViTModel(config, add_pooling_layer=False)
            told = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32}}
        elif kind == "resnet":
            config = transformers.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1]
            )
            net, told = transformers.ResNetModel(config), {"size": 32}
        elif kind == "wave":
            config = transformers.Wav2Vec2Config(
                **small, conv_dim=(16, 16), conv_stride=(10, 8), conv_kernel=(20, 8),
                num_feat_extract_layers=2, num_conv_pos_embeddings=8,
                num_conv_pos_embedding_groups=2, vocab_size=12, layerdrop=0.0,
                mask_time_prob=0.0, mask_feature_prob=0.0,
            )  # fmt: skip
            net = transformers.Wav2Vec2Model(config)
            told = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}
        else:
            config = transformers.ASTConfig(**small, max_length=64, num_mel_bins=16, patch_size=8)
            net = transformers.ASTModel(config)
            told = {
                "feature_extractor_type": "ASTFeatureExtractor", "sampling_rate": 16000,
                "max_length": 64, "num_mel_bins": 16,
            }  # fmt: skip
        net.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return str(folder)


def case(modality: str, kind: str | None, rows: int = 60, task: str = "classes"):
    """A data set and its rows."""
    labels = np.arange(rows) % 3
    made = [
        inline("image", write_image(picture(y, i), "PNG"))
        if modality == "image"
        else inline("audio", sound(y, i))
        for i, y in enumerate(labels.tolist())
    ]
    target = (
        labels * 1.5 + 0.01 * np.arange(rows) if task == "values" else list("abc" * rows)[:rows]
    )
    frame = pd.DataFrame({"file": [str(r) for r in made], "y": target})
    pretrained = kind and describe_pretrained(body(kind), Path("/"))
    dataset = describe(frame, target="y", pretrained=pretrained or None)
    return dataset, to_rows(frame, dataset)


def told(step, losses):
    """A report that lets a fit go on."""
    return Signal.CONTINUE


def fit(modality, config, dataset, rows, report=told, **more):
    """Three quarters train, an eighth is to stop on; the learner, its model and the other rows."""
    n = len(rows)
    a, b = 3 * n // 4, 7 * n // 8
    data = FitData(
        dataset, rows.take(np.arange(a)), rows.take(np.arange(a, b)), **{"seed": 1, **more}
    )
    learner = LEARNERS[modality]()
    return learner, learner.fit(config, data, report), rows.take(np.arange(b, n))

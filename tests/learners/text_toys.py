"""A tiny encoder with random weights, and texts whose words decide their label."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scratch import scratch

from attain.core.protocols import FitData
from attain.core.types import (
    Column,
    ColumnKind,
    ColumnRole,
    Dataset,
    Pretrained,
    Rows,
    Signal,
    Task,
)
from attain.data.pretrained import describe_pretrained
from attain.learners.text import Text

os.environ.setdefault("HF_HUB_OFFLINE", "1")

RUNGS = ("tfidf", "frozen", "last", "lora", "full")
TUNED = RUNGS[2:]
FAST = {
    "tfidf": {},
    "frozen": {},
    "last": {"epochs": 2, "learning_rate": 1e-3},
    "lora": {"epochs": 2, "lora_learning_rate": 3e-3, "rank": 4},
    "full": {"epochs": 2, "learning_rate": 1e-3},
}


def config(rung, **more):
    """A configuration that trains in little time."""
    return {"rung": rung, **FAST[rung], **more}


GOOD = ("good", "great", "lovely", "warm", "clear")
BAD = ("bad", "poor", "awful", "cold", "vague")
PLAIN = tuple(f"{a}{b}" for a in ("ta", "ro", "mi", "se", "ku") for b in ("na", "lo", "ri", "do"))


def write_encoder(folder: Path, seed: int = 0) -> Pretrained:
    """A BERT with 2 layers of 32 and a vocabulary of the words above."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = [*GOOD, *BAD, *PLAIN, *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "aeiounrst")]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *words]))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    config = BertConfig(
        vocab_size=len(special) + len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    net = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():  # what is read counts for more than where it stands
        net.embeddings.position_embeddings.weight.mul_(0.1)
    torch.set_rng_state(state)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return describe_pretrained(str(folder), folder)


@cache
def encoder() -> Pretrained:
    """One tiny encoder for all tests of a process."""
    return write_encoder(scratch("attain-tiny-"))


def texts(rows: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sentences of 3 to 12 words and how good they are: good words minus bad ones."""
    rng = np.random.default_rng(seed)
    found, score = [], np.zeros(rows)
    for i in range(rows):
        words = list(rng.choice(PLAIN, rng.integers(2, 9)))
        good = int(rng.integers(0, 4))
        words += [*rng.choice(GOOD, good), *rng.choice(BAD, 3 - good)]
        score[i] = 2 * good - 3
        found.append(" ".join(rng.permutation(words)))
    return found, score


def case(
    task: Task = Task.BINARY,
    rows: int = 160,
    seed: int = 0,
    pretrained: bool = True,
    pairs: bool = False,
) -> tuple[Dataset, Rows]:
    """A data set of texts; of pairs, the label says whether both are equally good."""
    first, score = texts(rows, seed)
    frame = {"text": np.array(first, dtype=object)}
    if pairs:
        second, other = texts(rows, seed + 1)
        frame["reply"] = np.array(second, dtype=object)
        score = np.where(np.sign(score) == np.sign(other), 1.0, -1.0)
    if task is Task.REGRESSION:
        y = score * 10 + 50
    elif task is Task.BINARY:
        y = (score > 0).astype(np.int64)
    else:
        y = np.digitize(score, [-2, 2]).astype(np.int64)
    classes = () if task is Task.REGRESSION else ("bad", "mixed", "good")[: int(y.max()) + 1]
    columns = [Column(name, ColumnKind.TEXT) for name in frame]
    columns.append(Column("y", ColumnKind.CATEGORICAL, ColumnRole.TARGET))
    dataset = Dataset(
        address="toys",
        fingerprint="0",
        rows=rows,
        columns=tuple(columns),
        target="y",
        task=task,
        classes=classes,
        class_counts=tuple(np.bincount(y).tolist()) if classes else (),
        modality="text",
        pretrained=encoder() if pretrained else None,
    )
    return dataset, Rows(pd.DataFrame(frame), y)


def parts(rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Rows to train on, to stop on and to judge on: 60, 20 and 20 in a hundred."""
    n = len(rows)
    cuts = np.split(np.arange(n), [n * 6 // 10, n * 8 // 10])
    return rows.take(cuts[0]), rows.take(cuts[1]), rows.take(cuts[2])


def go_on(step: int, losses: object) -> Signal:
    """Always continue."""
    return Signal.CONTINUE


def fit(config, dataset, rows, *, report=go_on, **options):
    """A model of the first 60 % of the rows, stopped on the next 20 %."""
    train, stop, _ = parts(rows)
    given = {"stop": stop, "seed": 0, "threads": 1, **options}
    return Text().fit(config, FitData(dataset, given.pop("train", train), **given), report)

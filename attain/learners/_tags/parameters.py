"""What can be tuned on each rung of a ladder that labels words."""

from __future__ import annotations

from attain.core.space import Categorical, Condition, Ordinal, Parameter, Space
from attain.core.types import Dataset
from attain.learners._shared import only
from attain.learners._text.parameters import FROZEN, FULL, LAST, LORA, ladder, tuned

WORDS = "words"
RUNGS = (WORDS, FROZEN, LAST, LORA, FULL)
"""From cheap to dear."""


def space(dataset: Dataset) -> Space:
    """What can be tuned for these rows.

    Args:
        dataset: Says whether there is a pre-trained model.

    Returns:
        Features of words alone without a pre-trained model, else the ladder.
    """
    if dataset.pretrained is None:
        return Space(_words(()))
    return Space(
        (
            ladder(RUNGS, dataset),
            *_words(only(WORDS)),
            _layers(only(FROZEN)),
            *tuned(dataset),
        )
    )


def _words(when: tuple[Condition, ...]) -> tuple[Parameter, ...]:
    return (
        Ordinal(
            name="window", choices=(1, 2, 3), default=2, when=when, unit="words", priority=2,
            effect="capacity", source="Ratnaparkhi 1996 (ACL W96-0213), table 1: two on each side",
        ),
        Ordinal(
            name="affixes", choices=(2, 3, 4, 5), default=4, when=when, unit="characters",
            priority=2, effect="capacity",
            source="Ratnaparkhi 1996 (ACL W96-0213), table 1: up to four",
        ),
    )  # fmt: skip


def _layers(when: tuple[Condition, ...]) -> Parameter:
    return Categorical(
        name="layers", choices=(1, 4), default=4, when=when, priority=2,
        source="Devlin et al. 2019 (arXiv 1810.04805), table 7: the last four together, 1 F1 better"
        " than the last one",
    )  # fmt: skip

"""What can be tuned on each rung, with ranges and defaults from those who tried."""

from __future__ import annotations

from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.space import Categorical, Condition, Config, Float, Ordinal, Parameter, Space
from attain.core.types import Dataset, Task
from attain.learners._pretrained.layers import depth_of
from attain.learners._shared import only, weight_parameters

TFIDF, FROZEN, LAST, LORA, FULL = "tfidf", "frozen", "last", "lora", "full"
RUNGS = (TFIDF, FROZEN, LAST, LORA, FULL)
"""From cheap to dear."""
_BLOCKS = (1, 2, 3)
_OPEN = 2

_BERT = "Devlin et al. 2019 (arXiv 1810.04805), appendix A.3"
_MOSBACH = "Mosbach et al. 2021 (arXiv 2006.04884)"
_AUTOMM = "AutoGluon AutoMM defaults"
_REGRET = "'LoRA Without Regret', Thinking Machines 2025"


def space(dataset: Dataset) -> Space:
    """What can be tuned for these rows.

    Args:
        dataset: Says whether there is a pre-trained model, and whether there are classes.

    Returns:
        TF-IDF alone without a pre-trained model, else the ladder.
    """
    if dataset.pretrained is None:
        return Space((*_words(()), *weight_parameters(dataset)))
    return Space(
        (
            ladder(RUNGS, dataset),
            *_words(only(TFIDF)),
            _pooling(only(FROZEN, LAST, LORA, FULL)),
            *tuned(dataset),
            *weight_parameters(dataset),
        )
    )


def ladder(rungs: tuple[str, ...], dataset: Dataset) -> Parameter:
    """The rung, of which the first two are open from the start.

    Args:
        rungs: From cheap to dear; the second is a frozen body.
        dataset: Names the body; one without lower blocks of its own has no rung ``last``.

    Returns:
        The parameter.
    """
    rungs = tuple(rung for rung in rungs if rung != LAST or _blocks(dataset))
    return Ordinal(
        name="rung", choices=rungs[:_OPEN], reserve=rungs[_OPEN:], default=FROZEN,
        effect="capacity",
        source="order by cost; Kumar et al. 2022 (arXiv 2202.10054): a linear head first",
    )  # fmt: skip


def _words(when: tuple[Condition, ...]) -> tuple[Parameter, ...]:
    return (
        Ordinal(
            name="ngrams", choices=(1, 2, 3), default=2, when=when, unit="words", priority=2,
            effect="capacity",
            source="Wang & Manning 2012 (ACL, 'Baselines and Bigrams'): pairs of words help",
        ),
        Categorical(
            name="char_ngrams", choices=(True, False), default=True, when=when, priority=2,
            source="pieces of 2 to 5 characters: Cavnar & Trenkle 1994; better on Banking77, SST-2"
            " and SMS spam, see docs/text.md",
        ),
    )  # fmt: skip


def _pooling(when: tuple[Condition, ...]) -> Parameter:
    return Categorical(
        name="pooling", choices=("mean", "cls", "max"), default="mean", when=when, priority=2,
        source="Reimers & Gurevych 2019 (arXiv 1908.10084), table 6: mean, then cls, then max",
    )  # fmt: skip


def tuned_rungs(space: Space) -> tuple[str, ...]:
    """Those rungs of a space that tune a body, from cheap to dear.

    Args:
        space: Of the learner, with a pre-trained model.

    Returns:
        Their names, those held back included.
    """
    known = {name for p in space.ladders for name in (*p.choices, *p.reserve)}
    return tuple(rung for rung in (LAST, LORA, FULL) if rung in known)


def find_rung(space: Space, config: Config) -> str:
    """The rung of a configuration.

    Args:
        space: Of the learner.
        config: Complete.

    Returns:
        Its name; of a space without a ladder the name of the cheapest one for texts.

    Raises:
        SpaceError: When the ladder has no such rung.
    """
    rung = str(config.get("rung", TFIDF))
    known = [str(name) for p in space.ladders for name in (*p.choices, *p.reserve)]
    if known and rung not in known:
        raise SpaceError(Problem("a rung must exist", rung, "rung", did_you_mean(rung, known)))
    return rung


def tuned(dataset: Dataset) -> tuple[Parameter, ...]:
    """Of the rungs that tune a body.

    Args:
        dataset: Names the body, and whether there are classes.

    Returns:
        The parameters of ``last``, ``lora`` and ``full``.
    """
    return (
        *_last(only(LAST), dataset),
        *_lora(only(LORA)),
        _rate(only(LAST, FULL) if _blocks(dataset) else only(FULL)),
        *_full(only(FULL)),
        *_both(only(LAST, LORA, FULL), dataset.task.classifies or dataset.task is Task.TAGGING),
    )


def _blocks(dataset: Dataset) -> tuple[int, ...]:
    """How many of the last blocks may learn while others do not."""
    assert dataset.pretrained is not None
    depth = depth_of(dataset.pretrained.folder)
    return tuple(count for count in _BLOCKS if depth is None or count < depth)


def _last(when: tuple[Condition, ...], dataset: Dataset) -> tuple[Parameter, ...]:
    choices = _blocks(dataset)
    if len(choices) < 2:
        return ()
    return (
        Ordinal(
            name="blocks", choices=choices, default=2, when=when, priority=2, effect="capacity",
            source="Lee et al. 2019 (arXiv 1911.03090): a quarter of the layers keeps nine tenths"
            " of what tuning all brings; Howard & Ruder 2018 (arXiv 1801.06146), section 3.3",
        ),
    )  # fmt: skip


def _lora(when: tuple[Condition, ...]) -> tuple[Parameter, ...]:
    """Of adapters."""
    return (
        Float(
            name="lora_learning_rate", low=1e-4, high=3e-3, default=1e-3, scale="log", when=when,
            limits=(1e-5, 1e-2), effect="capacity",
            source=f"{_REGRET}: ten times that of full tuning; small models lean to 1e-3",
        ),
        Ordinal(
            name="rank", choices=(4, 8, 16, 32, 64), default=16, when=when, priority=2,
            effect="capacity", source=f"{_REGRET}: 16 to 32, more for large data; alpha 32",
        ),
    )  # fmt: skip


def _rate(when: tuple[Condition, ...]) -> Parameter:
    return Float(
        name="learning_rate", low=1e-5, high=2e-4, default=5e-5, scale="log", when=when,
        limits=(1e-6, 1e-3), effect="capacity",
        source=f"{_BERT}: 2e-5 to 5e-5; {_AUTOMM}: 1e-4, 4e-4 for small networks",
    )  # fmt: skip


def _full(when: tuple[Condition, ...]) -> tuple[Parameter, ...]:
    """Of tuning all layers."""
    return (
        Float(
            name="layer_decay", low=0.7, high=1.0, default=0.9, when=when, priority=2,
            limits=(0.5, 1.0), effect="capacity",
            source=f"{_AUTOMM}: 0.9; Howard & Ruder 2018 (arXiv 1801.06146), section 3.2",
        ),
    )  # fmt: skip


def _both(when: tuple[Condition, ...], classifies: bool) -> tuple[Parameter, ...]:
    """Of whatever runs the training loop."""
    smoothing = Float(
        name="label_smoothing", low=0.0, high=0.2, default=0.0, when=when, priority=3,
        limits=(0.0, 0.5), effect="regularisation",
        source="Szegedy et al. 2016 (arXiv 1512.00567), section 7: 0.1; off in BERT",
    )  # fmt: skip
    return (
        Ordinal(
            name="epochs", choices=(2, 3, 4, 6, 10, 20), default=4, when=when, effect="capacity",
            source=f"{_BERT}: 2 to 4; {_MOSBACH}: up to 20 on few rows; the best one is kept",
        ),
        Ordinal(
            name="batch", choices=(8, 16, 32, 64), default=16, when=when, unit="rows", priority=3,
            effect="speed", source=f"{_BERT}: 16 or 32; LoRA bears large ones worse ({_REGRET})",
        ),
        Float(
            name="weight_decay", low=1e-3, high=0.3, default=0.01, scale="log", when=when,
            priority=3, limits=(1e-5, 1.0), effect="regularisation",
            source=f"{_BERT}: 0.01; {_AUTOMM}: 0.001",
        ),
        Float(
            name="dropout", low=0.0, high=0.3, default=0.1, when=when, priority=3,
            limits=(0.0, 0.6), effect="regularisation", source=f"{_BERT}: 0.1 everywhere",
        ),
        Ordinal(
            name="ema", choices=(0.0, 0.99, 0.999), default=0.0, when=when, priority=3,
            effect="regularisation",
            source="average of weights instead of AutoMM's of checkpoints; off in BERT",
        ),
        *((smoothing,) if classifies else ()),
    )  # fmt: skip

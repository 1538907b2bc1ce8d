"""What can be tuned on each rung, with ranges and defaults from those who tried."""

from __future__ import annotations

import json
from pathlib import Path

from attain.core.space import Categorical, Condition, Float, Ordinal, Parameter, Space
from attain.core.types import ColumnKind, Dataset
from attain.learners._shared import weight_parameters

PLAIN, FROZEN, LAST, FULL = "plain", "frozen", "last", "full"
RUNGS = (PLAIN, FROZEN, LAST, FULL)
"""From cheap to dear."""
_OPEN = 2
_SIZES = (96, 128, 160, 192, 224)

_AUTOMM = "AutoGluon AutoMM defaults"
_PARK = "Park et al. 2019 (arXiv 1904.08779)"


def space(dataset: Dataset, kind: ColumnKind) -> Space:
    """What can be tuned for these rows.

    Args:
        dataset: Says whether there is a pre-trained model, and whether there are classes.
        kind: ``image`` or ``audio``.

    Returns:
        A plain model alone without a pre-trained one, else the ladder.
    """
    if dataset.pretrained is None:
        return Space((_detail((), 1), *weight_parameters(dataset)))
    tuned = (Condition("rung", (LAST, FULL)),)
    special = _of_images if kind is ColumnKind.IMAGE else _of_sound
    return Space(
        (
            _rung(),
            _detail((Condition("rung", (PLAIN,)),), 2),
            *_depth(),
            *_both(tuned, dataset.task.classifies),
            *special(tuned, dataset),
            *weight_parameters(dataset),
        )
    )


def _rung() -> Parameter:
    return Ordinal(
        name="rung", choices=RUNGS[:_OPEN], reserve=RUNGS[_OPEN:], default=FROZEN,
        effect="capacity",
        source="order by cost; Kumar et al. 2022 (arXiv 2202.10054): a linear head first",
    )  # fmt: skip


def _detail(when: tuple[Condition, ...], priority: int) -> Parameter:
    return Ordinal(
        name="detail", choices=(8, 16, 24), default=16, when=when, priority=priority,
        effect="capacity",
        source="sides of a small picture, or parts of a clip; Torralba et al. 2008 (TPAMI 30:1958):"
        " people recognise scenes in 32 by 32 pixels",
    )  # fmt: skip


def _depth() -> tuple[Parameter, ...]:
    return (
        Ordinal(
            name="blocks", choices=(1, 2, 4, 8), default=2, when=(Condition("rung", (LAST,)),),
            priority=2, effect="capacity",
            source="Yosinski et al. 2014 (arXiv 1411.1792): the last layers are the special ones",
        ),
        Float(
            name="layer_decay", low=0.7, high=1.0, default=0.9,
            when=(Condition("rung", (FULL,)),), priority=2, limits=(0.5, 1.0), effect="capacity",
            source=f"{_AUTOMM}: 0.9; Bao et al. 2022 (arXiv 2106.08254), section 3.1",
        ),
    )  # fmt: skip


def _both(when: tuple[Condition, ...], classifies: bool) -> tuple[Parameter, ...]:
    smoothing = Float(
        name="label_smoothing", low=0.0, high=0.2, default=0.0, when=when, priority=3,
        limits=(0.0, 0.5), effect="regularisation",
        source="Szegedy et al. 2016 (arXiv 1512.00567), section 7: 0.1",
    )  # fmt: skip
    return (
        Float(
            name="learning_rate", low=1e-5, high=2e-3, default=1e-4, scale="log", when=when,
            limits=(1e-6, 1e-2), effect="capacity",
            source=f"{_AUTOMM}: 1e-4; 4e-4 for small networks, but from a random head",
        ),
        Ordinal(
            name="epochs", choices=(2, 4, 6, 10, 20, 40), default=6, when=when, effect="capacity",
            source="Kornblith et al. 2019 (arXiv 1805.08974), section A.4: more for small sets",
        ),
        Ordinal(
            name="batch", choices=(8, 16, 32, 64), default=16, when=when, unit="rows", priority=3,
            effect="speed", source="Masters & Luschi 2018 (arXiv 1804.07612): 32 or fewer",
        ),
        Float(
            name="weight_decay", low=1e-4, high=0.3, default=0.01, scale="log", when=when,
            priority=3, limits=(1e-5, 1.0), effect="regularisation",
            source=f"Loshchilov & Hutter 2019 (arXiv 1711.05101); {_AUTOMM}: 0.001",
        ),
        Float(
            name="dropout", low=0.0, high=0.5, default=0.1, when=when, priority=3,
            limits=(0.0, 0.7), effect="regularisation",
            source="before the head; Tan & Le 2019 (arXiv 1905.11946), section 5.2: 0.2",
        ),
        Ordinal(
            name="ema", choices=(0.0, 0.99, 0.999), default=0.0, when=when, priority=3,
            effect="regularisation",
            source="Tan & Le 2019 (arXiv 1905.11946) average weights; off in AutoMM",
        ),
        *((smoothing,) if classifies else ()),
    )  # fmt: skip


def _of_images(when: tuple[Condition, ...], dataset: Dataset) -> tuple[Parameter, ...]:
    mix = Categorical(
        name="mix", choices=("none", "mixup", "cutmix"), default="none", when=when, priority=3,
        source="Zhang et al. 2018 (arXiv 1710.09412), alpha 0.2; Yun et al. 2019 (arXiv"
        " 1905.04899)",
    )  # fmt: skip
    native = _native_size(dataset)
    sizes = tuple(size for size in _SIZES if native and size < native)
    size = Ordinal(
        name="size", choices=(*sizes, native or 0), default=native or 0, unit="pixels",
        when=(Condition("rung", (FROZEN, LAST, FULL)),), priority=3, effect="speed",
        source="Sandler et al. 2018 (arXiv 1801.04381), section 6.1: 96 to 224; Touvron et al. 2019"
        " (arXiv 1906.06423): convolutions take other sizes than they were trained at",
    )  # fmt: skip
    return (
        Categorical(
            name="flip", choices=(True, False), default=True, when=when, priority=2,
            source="Krizhevsky et al. 2012, section 4.1; not for letters and digits",
        ),
        Float(
            name="crop", low=0.2, high=1.0, default=0.6, when=when, priority=2,
            limits=(0.08, 1.0), effect="regularisation",
            source="smallest share of the area; Szegedy et al. 2015 (arXiv 1409.4842): 0.08, with"
            " many epochs",
        ),
        Ordinal(
            name="strength", choices=(0, 3, 6, 9), default=3, when=when, priority=2,
            effect="regularisation",
            source="of RandAugment; Cubuk et al. 2020 (arXiv 1909.13719), table 5: 4 to 9",
        ),
        *((mix,) if dataset.task.classifies else ()),
        *((size,) if sizes else ()),
    )  # fmt: skip


def _native_size(dataset: Dataset) -> int | None:
    """Pixels that a body was made for, if it also takes others; None where that is not known."""
    assert dataset.pretrained is not None
    try:
        content = (Path(dataset.pretrained.folder) / "config.json").read_text("utf-8")
        found = json.loads(content).get("image_size")
        convolves = "architecture" in json.loads(content)
    except (OSError, ValueError, AttributeError):
        return None
    return int(found) if convolves and isinstance(found, int) else None


def _of_sound(when: tuple[Condition, ...], dataset: Dataset) -> tuple[Parameter, ...]:
    return (
        Float(
            name="speed", low=0.0, high=0.3, default=0.1, when=when, priority=2,
            limits=(0.0, 0.5), effect="regularisation",
            source="faster or slower by up to this; Ko et al. 2015 (Interspeech): 0.1",
        ),
        Float(
            name="gain", low=0.0, high=12.0, default=6.0, when=when, unit="dB", priority=3,
            limits=(0.0, 24.0), effect="regularisation",
            source="louder or quieter by up to this; Kharitonov et al. 2020 (arXiv 2007.00991)",
        ),
        Float(
            name="noise", low=0.0, high=0.3, default=0.05, when=when, priority=2,
            limits=(0.0, 1.0), effect="regularisation",
            source="white, up to this share of the clip's loudness: 0.05 is 26 dB below it; Snyder"
            " et al. 2018 (ICASSP, x-vectors) add noise of 0 to 15 dB below",
        ),
        Float(
            name="shift", low=0.0, high=0.3, default=0.1, when=when, priority=3,
            limits=(0.0, 0.5), effect="regularisation",
            source="later by up to this share of a row; Salamon & Bello 2017 (arXiv 1608.04363)",
        ),
        Float(
            name="time_mask", low=0.0, high=0.4, default=0.1, when=when, priority=2,
            limits=(0.0, 0.6), effect="regularisation",
            source=f"{_PARK}, table 1: two masks of up to a fifth of the clip",
        ),
        Float(
            name="band_mask", low=0.0, high=0.4, default=0.1, when=when, priority=2,
            limits=(0.0, 0.6), effect="regularisation",
            source=f"{_PARK}, table 1: two masks of up to 27 of 80 bands",
        ),
    )  # fmt: skip

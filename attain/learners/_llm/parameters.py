"""What can be tuned on each rung, with ranges and defaults from those who tried."""

from __future__ import annotations

from attain.core.space import Categorical, Condition, Float, Ordinal, Parameter, Space
from attain.core.types import Dataset, Task
from attain.learners._pretrained.quantized import possible
from attain.learners._shared import only

PROMPT, FEW_SHOT, LORA, FULL = "prompt", "few_shot", "lora", "full"
RUNGS = (PROMPT, FEW_SHOT, LORA, FULL)
"""From cheap to dear: the model as it is, with examples in its prompt, adapters, all layers."""
_OPEN = 2

_ASKED = 9
"""Priority of what is tuned only where the study file asks for it."""
WHOLE, PACKED = 32, 4
"""Bits of a weight of the base: as it is loaded, and where 4 bits can be had."""
ALPHA = 32.0
"""Scale of adapters: with alpha / rank the best rate hardly depends on the rank ("LoRA Without
Regret", Thinking Machines 2025)."""
_REGRET = "'LoRA Without Regret', Thinking Machines 2025"
_TINKER = "Tinker's sweeps of 35 models, 2025"
_AXOLOTL = "Axolotl's documentation, 2026"
_DPO = "Rafailov et al. 2023 (arXiv 2305.18290)"


def space(dataset: Dataset) -> Space:
    """What can be tuned for these rows.

    Args:
        dataset: Its task decides what is learnt: answers, or which of two is better.

    Returns:
        The ladder.
    """
    prefers = dataset.task is Task.PREFERENCE
    open_ = (PROMPT,) if not dataset.features else RUNGS[:_OPEN]  # plain text has no prompt
    shots = Ordinal(
        name="shots", choices=(1, 2, 4, 8), default=4, when=only(FEW_SHOT), priority=2,
        unit="examples", effect="capacity",
        source="Brown et al. 2020 (arXiv 2005.14165), figure 1.2: most is gained by 8",
    )  # fmt: skip
    return Space(
        (
            Ordinal(
                name="rung", choices=open_, reserve=RUNGS[_OPEN:], default=PROMPT,
                effect="capacity", source="order by cost: what needs no training comes first",
            ),
            *((shots,) if FEW_SHOT in open_ else ()),
            *_lora(only(LORA), prefers, dataset.rows),
            *_full(only(FULL), prefers, dataset.rows),
            *_both(only(LORA, FULL), prefers, dataset.rows),
        )
    )  # fmt: skip


_BATCHES = (4, 8, 16, 32)
_STEPS = 8
_EPOCHS = 2


def _batch(rows: int) -> int:
    """At most 16 rows; fewer where an epoch would have too few steps to learn anything."""
    return max((b for b in _BATCHES[:3] if b * _STEPS <= rows), default=_BATCHES[0])


_LONG = 500
"""Steps from which on the rate of preferences is the usual one."""


def _preferring(rate: float, rows: int) -> float:
    """A rate of preferences, up to five times as large where there are few steps to take.

    What AdamW can move grows with rate times steps; by the root of the steps that are missing, so
    that noise, which grows with the rate, does not take over.
    """
    steps = max(1.0, _EPOCHS * rows / _batch(rows))
    return float(f"{rate * min(5.0, max(1.0, (_LONG / steps) ** 0.5)):.1e}")


def _lora(when: tuple[Condition, ...], prefers: bool, rows: int) -> tuple[Parameter, ...]:
    rate = Float(
        name="lora_learning_rate", low=1e-4, high=2e-3, default=3e-4, scale="log", when=when,
        limits=(1e-5, 5e-3), effect="capacity",
        source=f"{_TINKER}: 3e-4 costs 0.3 % of the loss on average, small models lean to 1e-3",
    )  # fmt: skip
    if prefers:
        rate = Float(
            name="lora_learning_rate", low=1e-5, high=5e-4, default=_preferring(5e-5, rows),
            scale="log", when=when, limits=(1e-6, 2e-3), effect="capacity",
            source=f"{_TINKER}: preference takes a tenth of the rate of supervised tuning; more of"
            " few rows, since 18 steps at 5e-5 changed nothing (docs/llm.md)",
        )  # fmt: skip
    bits = Categorical(
        name="base_bits", choices=(WHOLE, PACKED), default=WHOLE, when=when, priority=_ASKED,
        source="QLoRA, Dettmers et al. 2023 (arXiv 2305.14314), table 3: adapters beside NF4"
        " reached what they did beside 16 bits; it saves memory, not time",
    )  # fmt: skip
    return (
        rate,
        *((bits,) if possible() else ()),
        Ordinal(
            name="rank", choices=(8, 16, 32, 64, 128), default=16, when=when, priority=2,
            effect="capacity", source=f"{_REGRET}: 16 to 32, more for large data; alpha is 32",
        ),
        Categorical(
            name="rank_stabilised", choices=(False, True), default=False, when=when, priority=3,
            source="Kalajdzievski 2023 (arXiv 2312.03732): alpha / sqrt(rank) helps high ranks",
        ),
        Categorical(
            name="decomposed", choices=(False, True), default=False, when=when, priority=3,
            source="DoRA, Liu et al. 2024 (arXiv 2402.09353): direction and length apart, a"
            " quarter dearer",
        ),
        Ordinal(
            name="candidates", choices=(1, 2, 4, 8), default=1, when=when, priority=3,
            effect="capacity", unit="adapters",
            source="rates and ranks around this one, raced over one base by successive halving"
            " (Jamieson & Talwalkar 2016, arXiv 1502.07943)",
        ),
        Float(
            name="dropout", low=0.0, high=0.1, default=0.0, when=when, priority=3,
            limits=(0.0, 0.5), effect="regularisation",
            source=f"{_REGRET}: none; {_AXOLOTL}: 0.05 once it overfits",
        ),
    )  # fmt: skip


def _full(when: tuple[Condition, ...], prefers: bool, rows: int) -> tuple[Parameter, ...]:
    default, low, high = 2e-5, 5e-6, 1e-4
    source = f"{_AXOLOTL}: 1e-5 to 5e-5"
    if prefers:
        default, low, high = _preferring(1e-6, rows), 1e-7, 1e-5
        source = f"{_DPO}, appendix B: 1e-6; more of few rows, as of adapters"
    return (
        Float(
            name="learning_rate", low=low, high=high, default=default, scale="log", when=when,
            limits=(low / 10, high * 10), effect="capacity", source=source,
        ),
    )  # fmt: skip


def _both(when: tuple[Condition, ...], prefers: bool, rows: int) -> tuple[Parameter, ...]:
    beta = Float(
        name="beta", low=0.03, high=0.5, default=0.1, scale="log", when=when, priority=2,
        limits=(0.005, 5.0), effect="regularisation", source=f"{_DPO}, appendix B: 0.1; 0.5 for"
        " summaries",
    )  # fmt: skip
    return (
        *((beta,) if prefers else ()),
        Ordinal(
            name="epochs", choices=(1, 2, 3, 5), default=_EPOCHS, when=when, effect="capacity",
            source=f"{_AXOLOTL}: 1 to 3; the best look is kept",
        ),
        Ordinal(
            name="batch", choices=_BATCHES, default=_batch(rows), when=when, unit="rows",
            priority=3, effect="speed",
            source=f"{_REGRET}: 8 to 32, LoRA bears large ones worse; of few rows smaller ones, so"
            f" that an epoch has {_STEPS} steps",
        ),
        Float(
            name="weight_decay", low=1e-3, high=0.1, default=0.01, scale="log", when=when,
            priority=3, limits=(1e-5, 0.3), effect="regularisation",
            source=f"{_AXOLOTL}: 0.01; more than 0.1 suppresses adapters",
        ),
    )  # fmt: skip

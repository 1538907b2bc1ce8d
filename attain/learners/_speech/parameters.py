"""What can be tuned on each rung, with ranges and defaults from those who tried."""

from __future__ import annotations

from collections.abc import Callable

from attain.core.space import Condition, Float, Ordinal, Parameter, Space
from attain.learners._shared import only

AS_IS, HEAD, LORA, FULL = "as_is", "head", "lora", "full"
RUNGS = (AS_IS, HEAD, LORA, FULL)
"""From cheap to dear: the network as it is, its head, adapters, all but the convolutions."""
_OPEN = 2

ALPHA = 32.0
"""Scale of adapters, see `_llm.parameters`."""
_REGRET = "'LoRA Without Regret', Thinking Machines 2025"
_BAEVSKI = "Baevski et al. 2020 (arXiv 2006.11477)"
_FAIRSEQ = "fairseq, examples/wav2vec/config/finetuning"
_PARK = "Park et al. 2019 (arXiv 1904.08779)"


def space() -> Space:
    """What can be tuned where clips are to be transcribed.

    Returns:
        The ladder; each rung's own parameters are conditional on it.
    """
    return Space(
        (
            Ordinal(
                name="rung", choices=RUNGS[:_OPEN], reserve=RUNGS[_OPEN:], default=AS_IS,
                effect="capacity", source="order by cost: what needs no training comes first",
            ),
            *_rates(only),
            Ordinal(
                name="rank", choices=(8, 16, 32, 64), default=16, when=only(LORA), priority=2,
                effect="capacity", source=f"{_REGRET}: 16 to 32, more for large data; alpha is 32",
            ),
            *_trained(only(HEAD, LORA, FULL)),
            *_changes(only(LORA, FULL)),
        )
    )  # fmt: skip


def _rates(only: Callable[..., tuple[Condition, ...]]) -> tuple[Parameter, ...]:
    return (
        Float(
            name="head_learning_rate", low=1e-4, high=1e-2, default=1e-3, scale="log",
            when=only(HEAD), limits=(1e-5, 0.1), effect="capacity",
            source="Adam's own default (Kingma & Ba 2015, arXiv 1412.6980) for one linear layer",
        ),
        Float(
            name="lora_learning_rate", low=1e-4, high=2e-3, default=3e-4, scale="log",
            when=only(LORA), limits=(1e-5, 5e-3), effect="capacity",
            source=f"{_REGRET}: ten times the rate of tuning all layers",
        ),
        Float(
            name="learning_rate", low=1e-5, high=3e-4, default=5e-5, scale="log",
            when=only(FULL), limits=(1e-6, 1e-3), effect="capacity",
            source=f"{_FAIRSEQ}: 5e-5 for 10 hours, 3e-5 for 100, 1e-5 for 960",
        ),
    )  # fmt: skip


def _trained(when: tuple[Condition, ...]) -> tuple[Parameter, ...]:
    return (
        Ordinal(
            name="epochs", choices=(3, 5, 10, 20, 40), default=10, when=when, effect="capacity",
            source=f"{_BAEVSKI}, appendix B: 12,000 updates or more for 10 minutes; the best look"
            " is kept",
        ),
        Ordinal(
            name="batch", choices=(4, 8, 16, 32), default=8, when=when, unit="rows", priority=3,
            effect="speed", source="Masters & Luschi 2018 (arXiv 1804.07612): 32 or fewer",
        ),
        Float(
            name="weight_decay", low=1e-4, high=0.1, default=0.01, scale="log", when=when,
            priority=3, limits=(1e-6, 1.0), effect="regularisation",
            source="Loshchilov & Hutter 2019 (arXiv 1711.05101)",
        ),
        Float(
            name="dropout", low=0.0, high=0.3, default=0.1, when=when, priority=3,
            limits=(0.0, 0.5), effect="regularisation",
            source=f"{_FAIRSEQ}: activation_dropout 0.1",
        ),
    )  # fmt: skip


def _changes(when: tuple[Condition, ...]) -> tuple[Parameter, ...]:
    return (
        Float(
            name="speed", low=0.0, high=0.2, default=0.1, when=when, priority=2,
            limits=(0.0, 0.5), effect="regularisation",
            source="faster or slower by up to this; Ko et al. 2015 (Interspeech): 0.1",
        ),
        Float(
            name="noise", low=0.0, high=0.3, default=0.05, when=when, priority=3,
            limits=(0.0, 1.0), effect="regularisation",
            source="white, up to this share of the clip's loudness; Snyder et al. 2018 (ICASSP)",
        ),
        Float(
            name="time_mask", low=0.0, high=0.3, default=0.1, when=when, priority=2,
            limits=(0.0, 0.6), effect="regularisation",
            source=f"{_PARK}, table 1: two masks of up to a fifth; {_BAEVSKI}, section 4.3, on what"
            " the convolutions say",
        ),
        Float(
            name="band_mask", low=0.0, high=0.3, default=0.1, when=when, priority=3,
            limits=(0.0, 0.6), effect="regularisation",
            source=f"{_PARK}, table 1: two masks of bands; {_FAIRSEQ}: stretches of 64 channels",
        ),
    )  # fmt: skip

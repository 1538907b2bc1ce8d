"""Budgets and places as a study file states them, and how a value breaks its rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attain.core.errors import SpecError, did_you_mean
from attain.runtime.url import is_url, read_address

LOCAL, RAY = "local", "ray"
DEFAULT_MINUTES = 10.0
DEFAULT_TRIALS = 60


@dataclass(frozen=True)
class Budget:
    """What a study may spend on the search; it ends at whichever limit comes first.

    Attributes:
        trials: Configurations to try, at least 1; None for no such limit.
        minutes: Wall time of searching and confirming, above 0; None for no such limit.
    """

    trials: int | None = DEFAULT_TRIALS
    minutes: float | None = DEFAULT_MINUTES

    def __str__(self) -> str:
        parts = []
        if self.trials is not None:
            parts.append(f"{self.trials} trials")
        if self.minutes is not None:
            parts.append(f"{self.minutes:g} minutes")
        return " or ".join(parts)


class Broken(Exception):
    """A value that breaks its key's rule.

    Args:
        rule: What must hold.
        remedy: What to write instead.
    """

    def __init__(self, rule: str, remedy: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.remedy = remedy


def positive(value: Any) -> float:
    """A number above 0; raises Broken for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise Broken("must be a number above 0")


_UNITS = {"s": 1 / 60, "sec": 1 / 60, "second": 1 / 60, "m": 1, "min": 1, "minute": 1}
_UNITS |= {"h": 60, "hour": 60, "trial": 0}
_PART = re.compile(r"(?P<number>[\d.]+)\s*(?P<unit>[a-z]+?)s?")


def read_budget(value: Any) -> Budget:
    """A budget as a study file states it.

    Args:
        value: Such as ``40 trials or 3 min``, or a mapping.

    Returns:
        The budget.

    Raises:
        Broken: When it cannot be read.
    """
    if isinstance(value, Budget):
        return value
    if isinstance(value, Mapping):
        return _budget_of(value)
    if not isinstance(value, str):
        raise Broken("must state trials or time", "write 40 trials, or 3 min, or both")
    found: dict[str, float] = {}
    for part in re.split(r",|\bor\b|\band\b|\+", value):
        match = _PART.fullmatch(part.strip().lower())
        if not match or match["unit"] not in _UNITS:
            raise Broken(f"cannot read {part.strip()!r}", "write 40 trials, or 3 min, or both")
        factor = _UNITS[match["unit"]]
        key = "minutes" if factor else "trials"
        found[key] = float(match["number"]) * (factor or 1)
    return _budget_of(found)


def _budget_of(value: Mapping[str, Any]) -> Budget:
    unknown = [k for k in value if k not in ("trials", "minutes")]
    if unknown:
        remedy = did_you_mean(str(unknown[0]), ["trials", "minutes"])
        raise Broken(f"a budget has no {unknown[0]!r}", remedy)
    trials, minutes = value.get("trials"), value.get("minutes")
    if trials is None and minutes is None:
        raise Broken("must state trials or minutes", "write {trials: 40, minutes: 3}")
    if trials is not None and (isinstance(trials, bool) or trials != int(trials) or trials < 1):
        raise Broken("trials must be a whole number of at least 1")
    return Budget(
        None if trials is None else int(trials), None if minutes is None else positive(minutes)
    )


def read_executor(value: Any) -> str:
    """Where fits run, as a study file states it.

    Args:
        value: ``local``, ``ray``, ``ray:ADDRESS`` or ``ray://ADDRESS``.

    Returns:
        The same.

    Raises:
        Broken: When it is none of these.
    """
    if isinstance(value, str) and (value in (LOCAL, RAY) or ray_address(value)):
        return value
    hint = did_you_mean(str(value), [LOCAL, RAY])
    raise Broken("must be local, ray, or ray:ADDRESS of a cluster", hint)


def ray_address(executor: str) -> str:
    """The address of the cluster that an executor names; empty for none."""
    if executor.startswith("ray://"):
        return executor
    return executor.removeprefix(f"{RAY}:") if executor.startswith(f"{RAY}:") else ""


def read_gpus(value: Any) -> float:
    """GPUs of a fit, as a study file states them; raises Broken for what is no such number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e3:
        return float(value)
    raise Broken("must be a number of GPUs from 0", "give 1, or a share such as 0.5")


def read_ledger(value: Any) -> str:
    """The database that keeps a study's records, as a study file states it.

    Args:
        value: A PostgreSQL URL, with the study's name behind a ``#`` if it shall have one.

    Returns:
        The same.

    Raises:
        Broken: When it is none.
    """
    if is_url(value):
        try:
            read_address(value)
        except SpecError:
            pass
        else:
            return str(value)
    rule = "must be the URL of a PostgreSQL database"
    raise Broken(rule, "write postgresql://user@host/database, or leave it out for a file")

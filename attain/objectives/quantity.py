"""Numbers that users write: targets with units or percent signs, and confidences."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from attain.core.errors import Problem, SpecError
from attain.core.types import Direction
from attain.objectives.table import Metric

_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TARGET = re.compile(rf"^(?P<number>{_NUMBER})\s*(?P<unit>[^\d\s.,][^\s]*)?$")
# Factors that turn what a user writes into the unit of the metric.
_UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "ms": {"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
        "s": {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "minutes": 60.0,
              "h": 3600.0, "hours": 3600.0},
        "MB": {"MB": 1.0, "kB": 1e-3, "KB": 1e-3, "GB": 1e3, "MiB": 1.048576, "GiB": 1073.741824},
        "rows/s": {"rows/s": 1.0, "/s": 1.0},
    }
)  # fmt: skip


def read_target(text: str, metric: Metric, place: str) -> float:
    """A target in the metric's unit.

    Args:
        text: Such as ``0.93``, ``95%`` or ``5 ms``.
        metric: That it is for.
        place: Of the statement, for messages.

    Returns:
        A finite number.

    Raises:
        SpecError: When it is no finite number, or the unit does not fit the metric.
    """
    match = _TARGET.match(text)
    value = float(match["number"].replace("_", "")) if match else math.nan
    if match is None or not math.isfinite(value):
        rule = "a target must be a finite number"
        raise SpecError(
            Problem(rule, text or "nothing", place, f"write for example {_example(metric)}")
        )
    unit = match["unit"]
    if unit is None:
        return value
    if unit == "%" and metric.percent:
        return _decimal(value / 100)
    factors = _UNITS.get(metric.unit, {})
    if unit in factors:
        return _decimal(value * factors[unit])
    known = " or ".join([*factors] or (["%"] if metric.percent else []))
    remedy = f"use {known}, or leave the unit out" if known else "leave the unit out"
    rule = f"a target for {metric.name} is a plain number"
    if metric.unit:
        rule = f"{metric.name} is measured in {metric.unit}"
    raise SpecError(Problem(rule, text, place, remedy))


def read_confidence(text: str, place: str) -> float:
    """A confidence as a share.

    Args:
        text: Such as ``99%`` or ``0.99``.
        place: Of the statement, for messages.

    Returns:
        In [0.5, 1).

    Raises:
        SpecError: When it is no such number.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0.5 <= value < 1:
        rule = "a confidence must lie between 50 % and 100 %"
        remedy = "write for example with 95% confidence"
        raise SpecError(Problem(rule, text, place, remedy))
    return _decimal(value)


def _decimal(value: float) -> float:
    """The number that was meant: 93.3 / 100 is 0.933 on paper, but not in binary."""
    return float(f"{value:.15g}")


def _example(metric: Metric) -> str:
    sign = ">=" if metric.direction is Direction.MAXIMIZE else "<="
    unit = f" {metric.unit}" if metric.unit else ""
    middle = 0.9 if metric.high == 1 and metric.direction is Direction.MAXIMIZE else 0.1
    return f"{metric.name} {sign} {5 if metric.unit else middle:g}{unit}"

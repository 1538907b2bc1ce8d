"""Numbers and names as people read them: digits by uncertainty, units, no false precision."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

MISSING = "—"
MINUS = "−"
_ACRONYMS = {
    "auc": "AUC",
    "roc": "ROC",
    "pr": "PR",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "mape": "MAPE",
    "smape": "SMAPE",
    "rmsle": "RMSLE",
    "r2": "R²",
    "f1": "F1",
    "mcc": "MCC",
    "ece": "ECE",
    "ap": "AP",
}
_NAMES = {
    "latency_p50_ms": "median latency",
    "latency_p95_ms": "latency, 95th percentile",
    "latency_p99_ms": "latency, 99th percentile",
    "throughput_rows_per_s": "throughput",
    "size_mb": "model size",
    "training_seconds": "training time",
    "peak_memory_mb": "peak memory",
}

# Codes of `Decision.stop`: what ended a search.
STOPS = {
    "met": "the objectives were met",
    "budget": "the budget was used up",
    "unlikely": "more trials were unlikely to help",
    "exhausted": "nothing was left to try",
    "request": "somebody asked for no further trials",
}


def stopped(code: Any) -> str:
    """Why a search ended, in words; a reason that is no code is given back as it is."""
    return STOPS.get(str(code), str(code))


def finite(value: Any) -> float | None:
    """The value as a float, or None when it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def decimals(width: float | None) -> int | None:
    """Decimals that show two significant digits of an interval's half-width.

    Args:
        width: Full width of the interval in any unit; None, 0 or negative when there is none.

    Returns:
        A number of decimals in [0, 6], or None without a width. A reader cannot use digits that
        the uncertainty swamps (Cole, Arch Dis Child 2015;100:608, "Too many digits").
    """
    if width is None or width <= 0:
        return None
    return min(6, max(0, 1 - math.floor(math.log10(width / 2))))


def number(value: Any, places: int | None = None, digits: int = 3) -> str:
    """A number for people.

    Args:
        value: A number, or anything else for "not known".
        places: Decimals to show; None for `digits` significant digits.
        digits: Significant digits when `places` is None.

    Returns:
        Text with a true minus sign and commas between thousands; an em dash when not known.
    """
    known = finite(value)
    if known is None:
        return MISSING
    text = _significant(known, digits) if places is None else f"{known:,.{places}f}"
    if text.startswith("-"):
        bare = text[1:]
        return bare if not bare.strip("0.,") else MINUS + bare
    return text


def _significant(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 9 or size < -4:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return (
            f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
        )
    if value == int(value) and size < 9:
        return f"{int(value):,}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def setting(value: Any) -> str:
    """The value of a parameter: whole numbers whole, others with four significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, digits=4)
    return number(value) if isinstance(value, int) else str(value)


def unit_suffix(unit: str) -> str:
    """A unit ready to follow a number, with a no-break space; empty for a pure number."""
    return f"\u00a0{unit}" if unit else ""


def _places(score: dict[str, Any]) -> int | None:
    low, high = finite(score.get("low")), finite(score.get("high"))
    return None if low is None or high is None else decimals(high - low)


def estimate(score: dict[str, Any]) -> str:
    """The estimate of a score with as many digits as its interval deserves, and its unit."""
    return number(score.get("estimate"), _places(score)) + unit_suffix(score.get("unit") or "")


def interval(score: dict[str, Any]) -> str:
    """The ends of a score's interval, such as ``0.918 to 0.944``; an em dash when not known."""
    places = _places(score)
    low, high = finite(score.get("low")), finite(score.get("high"))
    if low is None and high is None:
        return MISSING
    left = "below" if low is None else number(low, places)
    right = "no upper end" if high is None else number(high, places)
    return f"{left} {right}" if low is None else f"{left} to {right}"


def with_interval(score: dict[str, Any]) -> str:
    """Estimate, unit and interval, such as ``0.931 (0.918 to 0.944)``."""
    return f"{estimate(score)} ({interval(score)})"


def seconds(value: Any) -> str:
    """A duration, such as ``820 ms``, ``4.2 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    known = finite(value)
    if known is None:
        return MISSING
    if known < 1:
        return f"{number(known * 1000, digits=2)}\u00a0ms"
    if known < 59.95:
        return f"{known:.1f}\u00a0s"
    minutes, rest = divmod(round(known), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min" + (f" {rest}\u00a0s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}\u00a0h" + (f" {minutes}\u00a0min" if minutes else "")


def size(value: Any) -> str:
    """A number of bytes in the decimal unit that fits, such as ``1.4 MB``."""
    known = finite(value)
    if known is None:
        return MISSING
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(known) < 1000 or unit == "GB":
            break
        known /= 1000
    return f"{number(known, 0 if unit == 'bytes' else None)}\u00a0{unit}"


def share(value: Any) -> str:
    """A share as a percentage: ``12 %``, and ``0.4 %`` or ``99.7 %`` near the ends."""
    known = finite(value)
    if known is None:
        return MISSING
    percent = 100 * known
    near_an_end = 0 < percent < 10 or 90 < percent < 100
    text = f"{percent:.{1 if near_an_end else 0}f}"
    return f"{text.removesuffix('.0')}\u00a0%"


def plural(count: int, noun: str, many: str = "") -> str:
    """A count with its noun, such as ``1 trial`` or ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def words(metric: str) -> str:
    """A metric's name as people write it, such as ``ROC AUC`` for ``roc_auc``."""
    base, at, parameter = str(metric).partition("@")
    spelled = " ".join(_ACRONYMS.get(part, part) for part in base.split("_"))
    text = _NAMES.get(base, spelled)
    return f"{text} at {parameter}" if at else text


def capital(text: str) -> str:
    """The text with its first letter a capital; names such as ``t0014`` and ``size_mb`` stay."""
    return text if re.match(r"[a-z]+[_\d]", text) else text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """The text with a capital at the start and a stop at the end; empty stays empty."""
    text = text.strip()
    return capital(text) + ("" if not text or text[-1] in ".!?…" else ".")


def goal(objective: dict[str, Any]) -> str:
    """An objective in words, such as ``ROC AUC at least 0.93``."""
    name = words(objective["metric"])
    target = finite(objective.get("target"))
    high = objective.get("direction") == "maximize"
    if target is None:
        return f"{name} as {'high' if high else 'low'} as possible"
    unit = unit_suffix(objective.get("unit") or "")
    return f"{name} {'at least' if high else 'at most'} {stated(target)}{unit}"


def stated(value: Any) -> str:
    """A number that somebody typed, such as a target: its own digits, no more."""
    known = finite(value)
    return MISSING if known is None else f"{known:,.6g}".replace("-", MINUS, 1)


def listed(names: list[str], most: int = 6) -> str:
    """Names as prose: ``a, b and c``, ending in ``and 4 more`` when there are too many."""
    shown = [str(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def printable(text: str) -> str:
    """Text that cannot steer a terminal or reverse the reading direction of what follows.

    Args:
        text: Anything, such as a column name from a foreign file.

    Returns:
        The text with control, format and unpaired surrogate characters shown as ``\\u....``; line
        ends and tabs stay.
    """
    return "".join(_shown(c) if unicodedata.category(c) in _UNSAFE else c for c in str(text))


_UNSAFE = frozenset({"Cc", "Cf", "Cs"})
# Joiners build letters in Persian and Indic scripts and emoji; they cannot mislead.
_HARMLESS = frozenset("\n\t\u200c\u200d\u00ad")


def _shown(character: str) -> str:
    return character if character in _HARMLESS else f"\\u{ord(character):04x}"

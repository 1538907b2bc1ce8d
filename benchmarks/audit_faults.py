"""Faults that `audit.py` plants: for each check a table made worse, at three strengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

TARGET = "target"
GERMAN = "Der Hund ist nicht auf dem Sofa und die Katze sitzt mit ihm auf einem Stuhl, sich wird "


@dataclass
class Planted:
    """A table with a fault.

    Attributes:
        frame: The rows; the target is called `TARGET`.
        columns: Columns that the finding must name.
        roles: Further arguments of `describe`.
        test: The user's own test rows, if the fault is in them.
    """

    frame: pd.DataFrame
    columns: tuple[str, ...] = ()
    roles: dict[str, Any] = field(default_factory=dict)
    test: pd.DataFrame | None = None


@dataclass(frozen=True)
class Base:
    """A real table that faults are planted into."""

    frame: pd.DataFrame
    fresh: pd.DataFrame
    classes: int
    text: str | None

    def numeric(self) -> str | None:
        """A numeric feature without gaps and with many values, if there is one."""
        for name in self.frame.columns:
            column = self.frame[name]
            if name != TARGET and column.dtype.kind in "if" and column.nunique() > 50:
                return str(name)
        return None


Plant = Callable[[Base, Any, np.random.Generator], Planted | None]


def _some(n: int, share: float) -> np.ndarray:
    """One row at least, spread over the table: what lies at its beginning would be a drift."""
    return np.random.default_rng(n).permutation(n) < max(1, round(share * n))


def _mixed(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts).sample(frac=1, random_state=0, ignore_index=True)


def _with(base: Base, name: str, values: Any, **roles: Any) -> Planted:
    return Planted(base.frame.assign(**{name: values}), (name,), roles)


def _target(base: Base) -> np.ndarray:
    """The target as numbers about 0."""
    y = base.frame[TARGET]
    values = pd.factorize(y, sort=True)[0] if base.classes else y.to_numpy()
    values = values.astype("float64")
    return np.asarray((values - values.mean()) / values.std())


def few_rows(base: Base, count: int, rng: np.random.Generator) -> Planted:
    return Planted(base.frame.sample(count, random_state=0, ignore_index=True))


def one_target(base: Base, rows: int, rng: np.random.Generator) -> Planted:
    frame = base.frame.head(rows)
    return Planted(frame.assign(**{TARGET: frame[TARGET].iloc[0]}), (TARGET,))


def no_target(base: Base, share: float, rng: np.random.Generator) -> Planted:
    gone = _some(len(base.frame), share)
    return Planted(base.frame.assign(**{TARGET: base.frame[TARGET].astype(object).where(~gone)}),
                   (TARGET,))  # fmt: skip


def small_class(base: Base, count: int, rng: np.random.Generator) -> Planted | None:
    if not base.classes:
        return None
    y = base.frame[TARGET].astype(object).astype(str)
    y[:count] = "a rare one"
    return Planted(base.frame.assign(**{TARGET: y}))


def imbalance(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    if base.classes != 2:
        return None
    rare = base.frame[TARGET].value_counts().index[-1]
    of, rest = base.frame[base.frame[TARGET] == rare], base.frame[base.frame[TARGET] != rare]
    kept = of.head(max(12, round(share * len(rest) / (1 - share))))
    return Planted(_mixed(rest, kept), (TARGET,))


def clipped(base: Base, quantile: float, rng: np.random.Generator) -> Planted | None:
    if base.classes:
        return None
    y = base.frame[TARGET]
    cut = np.minimum(y, y.quantile(quantile))
    if (cut == y).all():  # the real target is cut off lower already: nothing would be planted
        return None
    return Planted(base.frame.assign(**{TARGET: cut}), (TARGET,))


def no_feature(base: Base, count: int, rng: np.random.Generator) -> Planted:
    constant = {f"k{i}": i for i in range(count)}
    return Planted(base.frame[[TARGET]].assign(**constant))


def missing(base: Base, share: float, rng: np.random.Generator) -> Planted:
    holes = rng.random(len(base.frame)) < share
    return _with(base, "holes", np.where(holes, np.nan, rng.normal(size=len(holes))))


def constant(base: Base, kind: int, rng: np.random.Generator) -> Planted:
    return _with(base, "level", [1, "same", None][kind])


def identifier(base: Base, kind: int, rng: np.random.Generator) -> Planted:
    order = rng.permutation(len(base.frame))
    words = [f"u{i:06x}" for i in order * 7919]
    name = ("place", "row_id", "code")[kind]
    return _with(base, name, (order, order * 3, words)[kind])


def mixed(base: Base, share: float, rng: np.random.Generator) -> Planted:
    bad = rng.random(len(base.frame)) < share
    numbers = rng.normal(size=len(bad)).round(3).astype(str)
    return _with(base, "amount", np.where(bad, "about 12 kg", numbers))


def spellings(base: Base, share: float, rng: np.random.Generator) -> Planted:
    words = rng.choice(["red", "green", "blue"], len(base.frame)).astype(object)
    bad = _some(len(words), share)
    return _with(base, "colour", np.where(bad, [w.upper() + " " for w in words], words))


def sentinel(base: Base, share: float, rng: np.random.Generator) -> Planted:
    bad = rng.random(len(base.frame)) < share
    return _with(base, "age", np.where(bad, -999, rng.integers(18, 90, len(bad))))


def many_levels(base: Base, part: float, rng: np.random.Generator) -> Planted:
    count = round(part * len(base.frame))
    return _with(base, "place", [f"p{i}" for i in rng.integers(count, size=len(base.frame))])


def rare_level(base: Base, rows: int, rng: np.random.Generator) -> Planted:
    words = rng.choice(["u", "v"], len(base.frame)).astype(object)
    words[:rows] = "odd"
    return _with(base, "kind", words)


def outlier(base: Base, size: float, rng: np.random.Generator) -> Planted:
    values = rng.normal(size=len(base.frame))
    values[7] = size
    return _with(base, "size", values)


def copied_column(base: Base, scale: float, rng: np.random.Generator) -> Planted:
    values = rng.normal(size=len(base.frame)) * scale
    return Planted(base.frame.assign(one=values, two=values), ("two",))


def copies(base: Base, share: float, rng: np.random.Generator) -> Planted:
    return Planted(_mixed(base.frame, base.frame[_some(len(base.frame), share)]))


def conflicts(base: Base, share: float, rng: np.random.Generator) -> Planted:
    again = base.frame[_some(len(base.frame), share)].copy()
    again[TARGET] = _other(base, again[TARGET])
    return Planted(_mixed(base.frame, again))


def _other(base: Base, y: pd.Series) -> Any:
    if not base.classes:
        return y + base.frame[TARGET].std()
    names = sorted(base.frame[TARGET].unique())
    return y.map(dict(zip(names, names[1:] + names[:1], strict=True)))


def entity(base: Base, size: int, rng: np.random.Generator) -> Planted:
    return _with(base, "patient_id", rng.permutation(len(base.frame)) // size)


def sorted_days(base: Base, freq: str, rng: np.random.Generator) -> Planted:
    return _with(base, "day", pd.date_range("2020-01-01", periods=len(base.frame), freq=freq))


def leak(base: Base, noise: float, rng: np.random.Generator) -> Planted | None:
    if base.classes > 2:
        return None
    return _with(base, "told", _target(base) + noise * rng.normal(size=len(base.frame)))


def gap_leak(base: Base, flips: float, rng: np.random.Generator) -> Planted | None:
    if base.classes != 2:
        return None
    high = (_target(base) > 0) ^ (rng.random(len(base.frame)) < flips)
    return _with(base, "closed", np.where(high, np.nan, rng.normal(size=len(high))))


def formula(base: Base, parts: int, rng: np.random.Generator) -> Planted | None:
    if base.classes:
        return None
    y = base.frame[TARGET].to_numpy(dtype="float64")
    columns = {f"part{i}": rng.integers(1, 9, len(y)) * float(y.std()) for i in range(1, parts)}
    columns["part0"] = y - sum(columns.values())
    return Planted(base.frame.assign(**columns), tuple(columns))


def _changed(base: Base, share: float, change: Callable[[str], str]) -> Planted | None:
    if base.text is None:
        return None
    hit = _some(len(base.frame), share)
    texts = [change(t) if h else t for t, h in zip(base.frame[base.text], hit, strict=True)]
    return Planted(base.frame.assign(**{base.text: texts}), (base.text,))


def empty_text(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _changed(base, share, lambda _: "--")


def long_text(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _changed(base, share, lambda t: " ".join([t] * 200))


def damage(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _changed(base, share, lambda t: f"{t} itâ€™s cafÃ©")


def german(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _changed(base, share, lambda t: GERMAN + t.split()[0] if t.split() else GERMAN)


def personal(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _changed(base, share, lambda t: f"{t} jo.doe{len(t)}@example.org")


def near_copies(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _near(base, share, flip=False)


def near_conflicts(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    return _near(base, share, flip=True)


def _near(base: Base, share: float, *, flip: bool) -> Planted | None:
    if base.text is None:
        return None
    long = base.frame[base.frame[base.text].str.len() > 60]
    again = long.head(max(1, round(share * len(base.frame)))).copy()
    again[base.text] = [_edited(t) for t in again[base.text]]
    if flip:
        again[TARGET] = _other(base, again[TARGET])
    return Planted(_mixed(base.frame, again), (base.text,))


def _edited(text: str) -> str:
    return f"{text[:20]}{text[21:].rstrip('.')} !"


def told(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    if base.text is None:
        return None
    marked = (base.frame[TARGET] == base.frame[TARGET].iloc[0]) & (rng.random(len(base.frame))
                                                                   < share)  # fmt: skip
    texts = np.where(marked, "[[x7]] " + base.frame[base.text], base.frame[base.text])
    return Planted(base.frame.assign(**{base.text: texts}), (base.text,))


def flipped(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    if not base.classes:
        return None
    bad = rng.random(len(base.frame)) < share
    y = base.frame[TARGET]
    return Planted(base.frame.assign(**{TARGET: np.where(bad, _other(base, y), y)}), (TARGET,))


def drifting(base: Base, shift: float, rng: np.random.Generator) -> Planted:
    n = len(base.frame)
    late = np.arange(n) >= n / 2
    frame = base.frame.sample(frac=1, random_state=1, ignore_index=True)
    values = rng.normal(size=n) + shift * late
    day = pd.date_range("2020-01-01", periods=n, freq="h")
    return Planted(frame.assign(level=values, day=day), ("level",), {"time": "day"})


def future(base: Base, step: int, rng: np.random.Generator) -> Planted | None:
    if base.classes:
        return None
    frame = base.frame.sample(frac=1, random_state=1, ignore_index=True)
    day = pd.date_range("2020-01-01", periods=len(frame), freq="h")
    frame = frame.assign(ahead=frame[TARGET].shift(-step), day=day)
    return Planted(frame, ("ahead",), {"time": "day"})


def test_overlap(base: Base, share: float, rng: np.random.Generator) -> Planted:
    test = base.fresh.copy()
    count = max(1, round(share * len(test)))
    return Planted(base.frame, test=pd.concat([test[count:], base.frame[:count]]))


def test_near(base: Base, share: float, rng: np.random.Generator) -> Planted | None:
    if base.text is None:
        return None
    long = base.frame[base.frame[base.text].str.len() > 60]
    copied = long.head(max(1, round(share * len(base.fresh)))).copy()
    copied[base.text] = [_edited(t) for t in copied[base.text]]
    return Planted(base.frame, test=pd.concat([base.fresh, copied]))


def test_shift(base: Base, shift: float, rng: np.random.Generator) -> Planted:
    level = rng.normal(size=len(base.frame))
    other = rng.normal(size=len(base.fresh)) + shift
    return Planted(base.frame.assign(level=level), test=base.fresh.assign(level=other))


def test_shares(base: Base, keep: float, rng: np.random.Generator) -> Planted | None:
    if base.classes != 2:
        return None
    most = base.fresh[TARGET].value_counts().index[0]
    kept = (base.fresh[TARGET] != most) | (rng.random(len(base.fresh)) < keep)
    return Planted(base.frame, (TARGET,), test=base.fresh[kept])


# For each check: how its fault is planted, and three strengths from weak to strong.
FAULTS: dict[str, tuple[Plant, tuple[Any, Any, Any]]] = {
    "D001": (few_rows, (150, 60, 25)),
    "D002": (one_target, (500, 300, 100)),
    "D003": (no_target, (0.01, 0.06, 0.3)),
    "D004": (small_class, (9, 5, 2)),
    "D005": (imbalance, (0.08, 0.04, 0.015)),
    "D006": (clipped, (0.97, 0.9, 0.8)),
    "D007": (no_feature, (3, 2, 1)),
    "D008": (missing, (0.08, 0.3, 0.7)),
    "D009": (constant, (0, 1, 2)),
    "D010": (identifier, (0, 1, 2)),
    "D011": (mixed, (0.005, 0.03, 0.3)),
    "D012": (spellings, (0.005, 0.1, 0.4)),
    "D013": (sentinel, (0.01, 0.05, 0.2)),
    "D014": (many_levels, (0.1, 0.2, 0.6)),
    "D015": (rare_level, (4, 2, 1)),
    "D016": (outlier, (20.0, 1e3, 1e9)),
    "D017": (copied_column, (1.0, 1e-6, 1e6)),
    "D018": (copies, (0.005, 0.05, 0.3)),
    "D019": (conflicts, (0.005, 0.05, 0.2)),
    "D020": (test_overlap, (0.005, 0.05, 0.3)),
    "D021": (entity, (2, 8, 40)),
    "D022": (sorted_days, ("min", "h", "D")),
    "D023": (leak, (0.25, 0.1, 0.0)),
    "D024": (gap_leak, (0.05, 0.02, 0.0)),
    "D025": (formula, (4, 3, 2)),
    "D026": (empty_text, (0.005, 0.05, 0.2)),
    "D027": (long_text, (0.005, 0.05, 0.2)),
    "D028": (damage, (0.005, 0.05, 0.2)),
    "D029": (german, (0.02, 0.1, 0.3)),
    "D030": (near_copies, (0.002, 0.02, 0.2)),
    "D031": (near_conflicts, (0.002, 0.02, 0.2)),
    "D032": (test_near, (0.005, 0.05, 0.2)),
    "D033": (personal, (0.005, 0.05, 0.2)),
    "D034": (told, (0.6, 0.8, 1.0)),
    "D035": (flipped, (0.05, 0.1, 0.2)),
    "D036": (drifting, (0.8, 1.5, 3.0)),
    "D037": (test_shift, (0.8, 1.5, 3.0)),
    "D038": (test_shares, (0.6, 0.3, 0.1)),
    "D039": (future, (3, 2, 1)),
}

# What a fault brings with it, so that another check is right to say so too.
ALSO: dict[str, set[str]] = {
    "D001": {"D004", "D005", "D006", "D014", "D015", "D027", "D030", "D035", "D036"},
    "D002": {"D001", "D004", "D005", "D007", "D015", "D022", "D034"},
    "D003": {"D008"},
    "D004": {"D005", "D035"},
    "D005": {"D001", "D014", "D015", "D035"},
    "D007": {"D009", "D018", "D019"},
    "D010": {"D014"},
    "D011": {"D008", "D014", "D015"},
    "D012": {"D015"},
    "D014": {"D015", "D010"},
    "D016": {"D013"},
    "D018": {"D019", "D035"},
    "D019": {"D018", "D035", "D031"},
    "D021": {"D010", "D014"},
    "D022": {"D039"},
    "D023": {"D017"},
    "D024": {"D008", "D023"},
    "D025": {"D023"},
    "D026": {"D018", "D019", "D008", "D035"},
    "D029": {"D018", "D019", "D034", "D030", "D031", "D036"},
    "D030": {"D031", "D035"},
    "D031": {"D030", "D035"},
    "D034": {"D028"},
    "D035": {"D019", "D031", "D005"},
    "D036": {"D022", "D010"},
    "D037": {"D036"},
    "D039": {"D023", "D008", "D022"},
}

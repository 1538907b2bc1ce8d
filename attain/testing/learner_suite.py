"""What every learner must keep, as one function to run on your own.

    from attain.testing.learner_suite import check_learner

    def test_mine_keeps_the_contract():
        check_learner(MyLearner)

Rows are small and nasty: gaps, dates, texts, a constant column, one without any value, labels that
only turn up at prediction.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attain.core.codec import encode
from attain.core.errors import ArtifactError, NotApplicable
from attain.core.protocols import FitData, Learner, Report
from attain.core.space import (
    Categorical,
    Config,
    Float,
    Int,
    Ordinal,
    Scalar,
    Space,
    between,
    snap,
)
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Rows, Signal, Task

_COLORS = ("red", "green", "blue")
_TEXTS = ("late and broken", "quick delivery, thank you", "as described", "never again", "")
_KINDS = {
    "size": ColumnKind.NUMERIC,
    "noise": ColumnKind.NUMERIC,
    "flag": ColumnKind.BOOLEAN,
    "constant": ColumnKind.NUMERIC,
    "empty": ColumnKind.NUMERIC,
    "color": ColumnKind.CATEGORICAL,
    "shop": ColumnKind.CATEGORICAL,
    "void": ColumnKind.CATEGORICAL,
    "when": ColumnKind.DATETIME,
    "note": ColumnKind.TEXT,
}


def synthetic(task: Task, rows: int = 120, seed: int = 0) -> tuple[Dataset, Rows]:
    """Rows with every kind of column; ``size``, ``color``, ``shop`` and noise decide the target.

    Args:
        task: What is predicted; three classes if there are many.
        rows: Number of rows, at least 20.
        seed: Of all random choices.

    Returns:
        Description and rows.
    """
    rng = np.random.default_rng(seed)
    size = rng.normal(size=rows)
    color = rng.integers(0, 3, rows)
    number = rng.integers(0, 20, rows)
    signal = size + (color - 1.0) + (number % 3 - 1) / 2 + 0.3 * rng.normal(size=rows)
    shop = np.array([f"shop {i}" for i in number], dtype=object)
    shop[rng.random(rows) < 0.1] = None
    start = np.datetime64("2023-02-01T08:00:00", "us")
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(rows) < 0.1, np.nan, size),
            "noise": rng.lognormal(size=rows) * 1000,
            "flag": rng.integers(0, 2, rows).astype(np.float64),
            "constant": np.full(rows, 7.0),
            "empty": np.full(rows, np.nan),
            "color": np.array(_COLORS, dtype=object)[color],
            "shop": shop,
            "void": np.full(rows, None, dtype=object),
            "when": start + rng.integers(0, 10**6, rows) * np.timedelta64(60, "s"),
            "note": np.array(_TEXTS, dtype=object)[rng.integers(0, len(_TEXTS), rows)],
        }
    )
    frame.loc[frame.index[::9], ["when", "note"]] = None
    y = _target(task, signal)
    return _describe(frame, task, y), Rows(frame, y)


_PLAIN = tuple(task for task in Task if not task.counted)


def check_learner(
    learner_class: type, *, tasks: Sequence[Task] = _PLAIN, configs: int = 2, seed: int = 0
) -> None:
    """Run the whole suite.

    Args:
        learner_class: Called without arguments to make an instance.
        tasks: What the learner is meant for, of tasks with probabilities or values.
        configs: Random configurations to fit for each task.
        seed: Of the rows and configurations.

    Raises:
        AssertionError: Says which promise was broken, for which task.
    """
    for task in tasks:
        dataset, rows = synthetic(task, seed=seed)
        case = _Case(learner_class, dataset, rows, f"{learner_class.__name__} on {task}", seed)
        try:
            space = case.learner.space(dataset)
        except NotApplicable as reason:
            assert str(reason), f"{case.name}: NotApplicable must say why"
            continue
        check_space(space, case.name)
        for check in _CHECKS:
            check(case, space)
        for config in _random_configs(space, configs, seed):
            _sound(case, case.fit(config), f"with {config}")


def check_space(space: Space, name: str) -> None:
    """A space states where its numbers come from, and has known-good defaults.

    Args:
        space: A learner's space.
        name: For messages.
    """
    assert isinstance(space, Space), f"{name}: space() must return a Space (got {space!r})"
    for parameter in space:
        place = f"{name}: parameter {parameter.name!r}"
        assert parameter.source, f"{place} must say where its range and default come from"
        assert parameter.default is not None, f"{place} must have a known-good default"
        assert parameter.priority in (1, 2, 3), f"{place} must have a priority from 1 to 3"
    assert space.contains(space.defaults()), f"{name}: the defaults must lie in the space"


@dataclass(frozen=True, eq=False)
class _Case:
    """A learner and the rows to try it on."""

    learner_class: type
    dataset: Dataset
    rows: Rows
    name: str
    seed: int

    @property
    def learner(self) -> Learner:
        learner: Learner = self.learner_class()
        return learner

    @property
    def train(self) -> Rows:
        return self.rows.take(np.arange(0, 70))

    @property
    def stop(self) -> Rows:
        return self.rows.take(np.arange(70, 90))

    @property
    def held(self) -> Rows:
        """Rows to predict, with labels and gaps that training rows lack."""
        held = self.rows.take(np.arange(90, 120))
        X = held.X.copy()
        X.loc[X.index[0], ["color", "shop", "void"]] = "never seen"
        X.loc[X.index[1], ["noise", "flag", "constant"]] = np.nan
        X.loc[X.index[2], ["empty", "constant"]] = 12345.0
        X.loc[X.index[3], ["color", "note"]] = None
        X.loc[X.index[3], "when"] = np.datetime64("2031-12-31T23:59:59", "us")
        return Rows(X, held.y)

    def data(self, train: Rows | None = None, **changes: Any) -> FitData:
        arguments = {"stop": self.stop, "seed": self.seed, "threads": 1, **changes}
        return FitData(self.dataset, self.train if train is None else train, **arguments)

    def fit(self, config: Config, data: FitData | None = None, report: Report | None = None) -> Any:
        used = self.data() if data is None else data
        return self.learner.fit(config, used, report or _go_on)


def _go_on(step: int, losses: Mapping[str, float]) -> Signal:
    return Signal.CONTINUE


def _check_fit(case: _Case, space: Space) -> None:
    """Defaults fit, leave their input as it was, repeat themselves and survive saving."""
    config = space.defaults()
    given, data = dict(config), case.data()
    copies = [_copy(data.train), _copy(case.stop)]
    model = case.fit(config, data)
    assert config == given, f"{case.name}: fit must not change its configuration"
    for rows, copy in zip([data.train, data.stop], copies, strict=True):
        assert rows is not None
        same = rows.X.equals(copy.X) and np.array_equal(rows.y, copy.y)  # type: ignore[arg-type]  # both have targets
        assert same, f"{case.name}: fit must not change the rows it is given"
    held, copy = case.held, _copy(case.held)
    found = _sound(case, model, "with defaults")
    case.learner.predict(model, held)
    assert held.X.equals(copy.X), f"{case.name}: predict must not change the rows it is given"
    again = case.learner.predict(case.fit(config), case.held)
    assert np.array_equal(found, again), f"{case.name}: the same seed must give the same model"
    _check_single_rows(case, model, found)
    _check_saving(case, model, found)


def _check_single_rows(case: _Case, model: Any, found: np.ndarray) -> None:
    for i in range(5):
        one = case.learner.predict(model, case.held.take(np.array([i])))
        close = one.shape == (1, *found.shape[1:]) and np.allclose(one[0], found[i], atol=1e-5)
        assert close, f"{case.name}: row {i} alone must give what it gives among others"


def _check_saving(case: _Case, model: Any, found: np.ndarray) -> None:
    json.dumps(encode(dict(model.facts)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files, f"{case.name}: save must write something"
        for path in files:
            pickled = path.read_bytes()[:1] == b"\x80" or path.suffix in (".pkl", ".joblib")
            assert not pickled, f"{case.name}: {path.name} is a pickle, which runs code on loading"
        loaded = case.learner.load(folder)
        same = np.array_equal(case.learner.predict(loaded, case.held), found)
        assert same, f"{case.name}: a loaded model must predict the same to the last bit"
        assert encode(dict(loaded.facts)) == encode(dict(model.facts)), (
            f"{case.name}: a loaded model must have the same facts"
        )
        for path in files:
            path.unlink()
        _refuses(case, folder)


def _refuses(case: _Case, folder: Path) -> None:
    try:
        case.learner.load(folder)
    except ArtifactError:
        return
    raise AssertionError(f"{case.name}: loading an empty folder must raise ArtifactError")


def _check_stop(case: _Case, space: Space) -> None:
    """A learner that reports ends at the first STOP and still gives a model."""
    steps: list[int] = []

    def stop(step: int, losses: Mapping[str, float]) -> Signal:
        steps.append(step)
        assert all(isinstance(v, float) for v in losses.values()), f"{case.name}: losses are floats"
        return Signal.STOP

    model = case.fit(space.defaults(), report=stop)
    assert len(steps) <= 1, f"{case.name}: must end at STOP (went on for {len(steps) - 1} steps)"
    _sound(case, model, "stopped at the first step")


def _check_hints(case: _Case, space: Space) -> None:
    """A learner that says how many rounds it took can be told to take as many."""
    if "rounds" not in case.fit(space.defaults()).facts:
        return
    model = case.fit(space.defaults(), case.data(stop=None, hints={"rounds": 3}))
    taken = model.facts["rounds"]
    assert taken == 3, f"{case.name}: hints asked for 3 rounds (took {taken})"
    _sound(case, case.fit(space.defaults(), case.data(stop=None)), "without rows to stop on")


def _check_gaps(case: _Case, space: Space) -> None:
    """Folds may lack a class, a label or almost all rows."""
    if case.dataset.task.several:
        y = np.asarray(case.train.y)
        part = case.train.take(np.flatnonzero(y[:, -1] == 0))
        _sound(case, case.fit(space.defaults(), case.data(part)), "when no row has the last label")
    elif case.dataset.classes:
        y = np.asarray(case.train.y)
        last = len(case.dataset.classes) - 1
        for gone, rows in (("the last class", y != last), ("all but one class", y == 0)):
            part = case.train.take(np.flatnonzero(rows))
            model = case.fit(space.defaults(), case.data(part))
            found = _sound(case, model, f"when training rows lack {gone}")
            low = found[:, last].max() < 0.01
            assert low, f"{case.name}: a class that training rows lack must have probability 0"
    few = case.train.take(np.arange(8))
    _sound(case, case.fit(space.defaults(), case.data(few, stop=None)), "with 8 training rows")


def _check_twice(case: _Case, space: Space) -> None:
    """An instance keeps nothing from one fit to the next."""
    learner, config = case.learner, space.defaults()
    first = learner.fit(config, case.data(), _go_on)
    before = learner.predict(first, case.held)
    learner.fit(config, case.data(case.stop, stop=None, seed=case.seed + 1), _go_on)
    same = np.array_equal(learner.predict(first, case.held), before)
    assert same, f"{case.name}: a second fit must not change the first model"


_CHECKS = (_check_fit, _check_stop, _check_hints, _check_gaps, _check_twice)


def _sound(case: _Case, model: Any, when: str) -> np.ndarray:
    held, classes = case.held, len(case.dataset.classes)
    found = case.learner.predict(model, held)
    wanted = (len(held), classes) if classes else (len(held),)
    place = f"{case.name}, {when}"
    assert isinstance(found, np.ndarray), f"{place}: predictions must be an array"
    assert found.shape == wanted, f"{place}: shape must be {wanted} (got {found.shape})"
    assert np.isfinite(found).all(), f"{place}: predictions must be finite"
    if classes:
        assert found.min() >= 0, f"{place}: probabilities must not be negative"
        assert found.max() <= 1 + 1e-9, f"{place}: probabilities must not exceed 1"
        several = case.dataset.task.several  # labels do not exclude each other
        off = 0.0 if several else float(np.abs(found.sum(axis=1) - 1).max())
        assert off < 1e-6, f"{place}: probabilities of a row must sum to 1 (off by {off:.2g})"
    return found


def _random_configs(space: Space, count: int, seed: int) -> Iterator[dict[str, Scalar]]:
    rng = np.random.default_rng(seed)
    for _ in range(count if len(space) else 0):
        config: dict[str, Scalar] = {}
        for parameter in space.ordered:
            if all(config.get(c.parent) in c.values for c in parameter.when):
                config[parameter.name] = _draw(parameter, rng)
        if space.allows(config):
            space.check(config)
            yield config


def _draw(parameter: Float | Int | Categorical | Ordinal, rng: np.random.Generator) -> Scalar:
    if isinstance(parameter, Categorical | Ordinal):
        return parameter.choices[int(rng.integers(len(parameter.choices)))]
    return snap(parameter, between(parameter, float(rng.random())))


def _target(task: Task, signal: np.ndarray) -> np.ndarray:
    if task is Task.REGRESSION:
        return signal * 10 + 50
    if task.several:
        return np.stack([signal > 0.0, signal > 0.7, signal < -0.3], axis=1).astype(np.int64)
    cuts = [0.0] if task is Task.BINARY else [-0.7, 0.7]
    return np.digitize(signal, cuts).astype(np.int64)


def _describe(frame: pd.DataFrame, task: Task, y: np.ndarray) -> Dataset:
    columns = [
        Column(name, kind, missing=int(frame[name].isna().sum()), distinct=frame[name].nunique())
        for name, kind in _KINDS.items()
    ]
    kind = ColumnKind.CATEGORICAL if task.named else ColumnKind.NUMERIC
    columns.append(Column("target", kind, ColumnRole.TARGET))
    counts = tuple(np.bincount(y).tolist()) if task.classifies else ()
    counts = tuple(y.sum(axis=0).tolist()) if task.several else counts
    labels = tuple("abc"[: len(counts)])
    return Dataset("synthetic", "0", len(frame), tuple(columns), "target", task, labels, counts)


def _copy(rows: Rows | None) -> Rows:
    assert rows is not None
    return Rows(rows.X.copy(deep=True), None if rows.y is None else rows.y.copy())

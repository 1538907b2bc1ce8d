"""Learners of tables that keep their state: paused anywhere, they end as if they never had been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.schedule import changed
from attain.core.types import Dataset, Rows, Signal
from attain.data import infer
from attain.data.table import to_rows
from attain.learners import _state
from attain.train.trial import train

CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("lightgbm", "two", {"learning_rate": 0.2}),
    ("lightgbm", "two", {"bagging_fraction": 0.7, "feature_fraction": 0.6, "extra_trees": True}),
    ("lightgbm", "three", {"bagging_fraction": 0.8, "learning_rate": 0.2}),
    ("lightgbm", "value", {"feature_fraction": 0.5, "learning_rate": 0.3}),
    ("mlp", "two", {"width": 16, "learning_rate": 0.01}),
    ("mlp", "three", {"width": 16, "layers": 1, "schedule": "constant", "learning_rate": 0.01}),
    ("mlp", "value", {"width": 32, "numeric": "quantile", "learning_rate": 0.01}),
)


@cache
def case(kind: str, rows: int = 240) -> tuple[Dataset, Rows]:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, rows))
    value = 2 * a - b + 0.5 * rng.normal(size=rows)
    target: Any = value
    if kind != "value":
        cuts = [0.0] if kind == "two" else [-1.0, 1.0]
        target = np.array(["low", "middle", "high"])[np.digitize(value, cuts)]
    colour = rng.choice(["red", "green", "blue", "grey", "pink", "teal"], rows)
    frame = pd.DataFrame({"a": a, "b": b, "c": c, "colour": colour, "y": target})
    known = infer.describe(frame, target="y")
    return known, to_rows(frame, known)


def given(kind: str, folder: Path | None, **changes: Any) -> FitData:
    known, rows = case(kind)
    own, stop = rows.take(np.arange(180)), rows.take(np.arange(180, 240))
    return replace(FitData(known, own, stop, seed=5, checkpoint=folder), **changes)


class Heard:
    """Remembers what it was told, and answers once with PAUSE."""

    def __init__(self, at: int = 0, answer: Signal = Signal.PAUSE) -> None:
        self.at, self.answer = at, answer
        self.told: list[tuple[int, Mapping[str, float]]] = []

    def __call__(self, step: int, losses: Mapping[str, float]) -> Signal:
        self.told.append((step, dict(losses)))
        return self.answer if step == self.at else Signal.CONTINUE


def files(model: Any, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    model.save(folder)
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix != ".npz"}


@pytest.mark.parametrize(("name", "kind", "config"), CASES)
def test_a_paused_fit_ends_as_one_that_was_never_paused(
    name: str, kind: str, config: dict[str, Any], tmp_path: Path
) -> None:
    """Twice paused, by fresh instances: same reports, same predictions to the bit, same files."""
    learner, whole = find("learner", name)(), Heard()
    wanted = learner.fit(config, given(kind, None), whole)
    at = [len(whole.told) // 3, 2 * len(whole.told) // 3]
    for step in at:
        find("learner", name)().fit(config, given(kind, tmp_path / "state"), Heard(step))
        assert (tmp_path / "state" / _state.FILE).exists()
    last = Heard()
    found = find("learner", name)().fit(config, given(kind, tmp_path / "state"), last)
    assert last.told == whole.told
    rows = case(kind)[1]
    assert np.array_equal(learner.predict(found, rows), learner.predict(wanted, rows))
    assert files(found, tmp_path / "a") == files(wanted, tmp_path / "b")


@pytest.mark.parametrize(("name", "config"), [("lightgbm", CASES[1][2]), ("mlp", {"width": 16})])
def test_what_was_done_is_not_done_again(
    name: str, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to pause where it had paused, nothing is trained; the rest is the rest."""
    made: list[int] = []
    module = __import__(f"attain.learners.{name}{'_' if name == 'lightgbm' else ''}", fromlist="x")
    kind, method = (module._Growing, "grow") if name == "lightgbm" else (module._Training, "epoch")
    original = getattr(kind, method)
    monkeypatch.setattr(kind, method, lambda *a: made.append(1) or original(*a))
    steps = []
    for at in (20, 20, 0):
        made.clear()
        heard = Heard(at)
        find("learner", name)().fit(config, given("two", tmp_path), heard)
        steps.append((len(made), len(heard.told)))
    assert steps[0] == (20, 20)
    assert steps[1] == (0, 20)
    assert steps[2][0] == steps[2][1] - 20


@pytest.mark.parametrize("harm", ["cut", "flipped", "gone", "other rows", "other configuration"])
@pytest.mark.parametrize("name", ["lightgbm", "mlp"])
def test_a_state_that_is_not_sound_is_passed_over(name: str, harm: str, tmp_path: Path) -> None:
    """The fit begins anew and ends the same."""
    learner, config = find("learner", name)(), {"learning_rate": 0.01}
    learner.fit(config, given("two", tmp_path), Heard(20))
    path = tmp_path / _state.FILE
    whole = path.read_bytes()
    changes: dict[str, Any] = {}
    if harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif harm == "flipped":
        path.write_bytes(whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:])
    elif harm == "gone":
        path.unlink()
    elif harm == "other rows":
        changes["train"] = case("two")[1].take(np.arange(1, 180))
    else:
        config = {"learning_rate": 0.009}
    found = learner.fit(config, given("two", tmp_path, **changes), Heard())
    wanted = learner.fit(config, given("two", None, **changes), Heard())
    rows = case("two")[1]
    assert np.array_equal(learner.predict(found, rows), learner.predict(wanted, rows))


@pytest.mark.parametrize("name", ["lightgbm", "mlp"])
def test_stop_leaves_no_state(name: str, tmp_path: Path) -> None:
    """Nothing is written for a fit that nobody will go on with, or without a folder for it."""
    find("learner", name)().fit({}, given("two", tmp_path), Heard(20, Signal.STOP))
    assert not list(tmp_path.iterdir())
    find("learner", name)().fit({}, given("two", None), Heard(20))


@pytest.mark.parametrize(
    ("pauses", "folder", "wanted"),
    [(True, True, Signal.PAUSE), (True, False, Signal.STOP), (False, True, Signal.STOP)],
)
def test_only_learners_that_keep_their_state_are_told_to_pause(
    pauses: bool, folder: bool, wanted: Signal, tmp_path: Path
) -> None:
    """Others know STOP alone; it is noted as a pause either way."""
    heard = []

    class Told:
        def fit(self, config: Any, data: Any, report: Any) -> str:
            heard.append(report(1, {"stop": 1.0}))
            return "model"

    learner: Any = Told()
    learner.pauses = pauses
    data = given("two", tmp_path if folder else None)
    trained = train(learner, {}, data, on_point=lambda point: Signal.PAUSE)
    assert heard == [wanted]
    assert trained.message == "paused on request at step 1"


def test_a_schedule_is_followed_from_the_start_or_from_another_fits_state(tmp_path: Path) -> None:
    """Paused, then changed: as if fitted at once with the schedule; and the change matters."""
    learner, start = find("learner", "mlp")(), {"learning_rate": 0.003, "alpha": 0.1, "width": 16}
    learner.fit(start, given("two", tmp_path), Heard(12))
    rest = {"learning_rate": changed(0.003, 12, 0.01), "alpha": changed(0.1, 12, 1e-4), "width": 16}
    found = learner.fit(rest, given("two", tmp_path), Heard())
    whole = learner.fit(rest, given("two", None), Heard())
    unchanged = learner.fit(start, given("two", None), Heard())
    rows = case("two")[1]
    assert np.array_equal(learner.predict(found, rows), learner.predict(whole, rows))
    assert not np.allclose(learner.predict(found, rows), learner.predict(unchanged, rows))
    other = {**rest, "learning_rate": changed(0.004, 12, 0.01)}
    anew = learner.fit(other, given("two", tmp_path), Heard())
    same = learner.fit(other, given("two", None), Heard())
    assert np.array_equal(learner.predict(anew, rows), learner.predict(same, rows))

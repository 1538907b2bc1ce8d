"""What an earlier study teaches: on another scale, only as long as it predicts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minimize_functions import LINE

from attain.core.errors import SpecError
from attain.core.types import Observed
from attain.pipeline.asktell import Optimizer
from attain.pipeline.earlier import MOST, Compared, alignment, normal_scores, ranks, verdict

PLANE = {"x": (-5.0, 10.0), "y": (0.0, 15.0)}


def branin(config: Any) -> float:
    """Branin's function; its minimum is 0.397887."""
    x, y = config["x"], config["y"]
    bend = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def study(function: Any, n: int, **settings: Any) -> Optimizer:
    """A finished search."""
    optimizer = Optimizer(PLANE, **settings)
    for _ in range(n):
        trial = optimizer.ask()
        optimizer.tell(trial, function(trial.config))
    return optimizer


@pytest.fixture(scope="module")
def before() -> Optimizer:
    """Thirty trials of Branin's function."""
    return study(branin, 30, seed=9)


def test_a_related_study_saves_trials(before: Optimizer) -> None:
    """After four trials on another scale the loss is below what a cold start has after twelve."""

    def rescaled(config: Any) -> float:
        return 1000 + 37 * branin(config)

    for seed in range(3):
        warm = study(rescaled, 4, seed=seed, from_study=before).best
        cold = study(rescaled, 12, seed=seed).best
        assert warm is not None
        assert cold is not None
        assert warm.loss < cold.loss


def test_a_misleading_study_is_dropped_and_the_search_recovers(before: Optimizer) -> None:
    """The opposite is dropped at the first look, for every seed; the minimum is found."""
    for seed in range(3):
        warm = study(lambda c: -branin(c), 24, seed=seed, from_study=before)
        assert warm.journal.earlier is not None
        assert warm.journal.earlier.dropped
        assert warm.journal.earlier.looks == 1
        assert warm.best is not None
        assert warm.best.loss == pytest.approx(-308.13, abs=1)


def test_the_best_of_it_are_tried_first(before: Optimizer) -> None:
    """After the user's own starts come three of the best earlier configurations."""
    optimizer = Optimizer(PLANE, start=[{"x": 0.0, "y": 0.0}], from_study=before)
    trials = optimizer.ask(4)
    assert [t.origin for t in trials] == ["start", "earlier", "earlier", "earlier"]
    ordered = sorted(before.trials, key=lambda t: t.loss or 0)
    assert [t.config for t in trials[1:]] == [t.config for t in ordered[:3]]


def test_its_trials_are_marked_and_never_mixed_with_ours(before: Optimizer) -> None:
    """The strategy sees them with ids of their own; our history and trials do not have them."""
    seen: list[Any] = []

    class Watching:
        def propose(self, space: Any, history: Any, n: int, seed: int) -> tuple[()]:
            seen.append(history)
            return ()

        def judge(self, history: Any, running: Any) -> dict[str, Any]:
            return {}

    optimizer = Optimizer(PLANE, strategy=Watching(), from_study=before)
    for trial in optimizer.ask(3):
        optimizer.tell(trial, 5.0)
    assert optimizer.ask(1) == ()
    with_it, without = seen[-2:]
    assert sum(o.trial.startswith("e") for o in with_it) == 27  # three were asked for here
    assert all(o.noise and o.loss is not None for o in with_it if o.trial.startswith("e"))
    assert tuple(without) == optimizer.history
    assert len(optimizer.trials) == 3


def test_a_small_space_is_not_used_up_by_it() -> None:
    """What the earlier study tried may be tried again: the losses are new."""
    old = Optimizer({"k": ["a", "b"]}, strategy="random")
    for trial in old.ask(2):
        old.tell(trial, 1.0)
    new = Optimizer({"k": ["a", "b"]}, strategy="random", from_study=old)
    assert {t.config["k"] for t in new.ask(2)} == {"a", "b"}


@pytest.mark.parametrize("form", ["folder", "file", "trials", "history"])
def test_every_form_of_a_study_is_understood(before: Optimizer, tmp_path: Path, form: str) -> None:
    """A folder, its ledger, trials and a history teach the same."""
    path = tmp_path / "old" / "ledger.db"
    with Optimizer(PLANE, ledger=path) as old:
        for trial in before.trials:
            old.add(trial.config, trial.loss)
    sources = {
        "folder": path.parent,
        "file": path,
        "trials": before.trials,
        "history": before.history,
    }
    assert Optimizer(PLANE, from_study=sources[form]).ask(6) == Optimizer(
        PLANE, from_study=before
    ).ask(6)


def test_goals_of_now_judge_metrics_of_then() -> None:
    """A study that minimised ``a`` serves one that maximises ``b`` under a limit on ``a``."""
    old = Optimizer(LINE, goals="minimize a", strategy="random")
    for x in (0.2, 0.9, 0.5):
        old.add({"x": x}, {"a": x, "b": 10 * x})
    new = Optimizer(LINE, goals="maximize b, a <= 0.6", from_study=old)
    assert new.ask().config == {"x": 0.5}


def test_it_is_recorded_and_judged_the_same_after_a_restart(
    before: Optimizer, tmp_path: Path
) -> None:
    """Opened again after every trial, also without the study, the search is the same."""
    whole = study(lambda c: -branin(c), 12, from_study=before)
    path = tmp_path / "ledger.db"
    for k in range(12):
        source = before if k == 0 else None
        with Optimizer(PLANE, ledger=path, from_study=source) as part:
            trial = part.ask()
            part.tell(trial, -branin(trial.config))
            checked = [r.payload for r in part.journal.records if r.kind == "checked"]
    assert part.trials == whole.trials
    assert [c["kept"] for c in checked] == [False]
    assert checked[0]["reason"].startswith("dropped: it may not predict 8 results here")


def test_an_earlier_study_cannot_come_later(before: Optimizer, tmp_path: Path) -> None:
    """A ledger that began without it does not ignore it in silence."""
    Optimizer(PLANE, ledger=tmp_path / "ledger.db").close()
    with pytest.raises(SpecError, match=r"from_study: .*from the beginning on"):
        Optimizer(PLANE, ledger=tmp_path / "ledger.db", from_study=before)


@pytest.mark.parametrize(
    ("source", "goals", "message"),
    [
        ([], "minimize loss", "must have a finished trial that fits"),
        ([Observed("t", {"x": 0.1}, "failed")], "minimize loss", "must have a finished trial"),
        ([Observed("t", {"z": 0.1}, "done", 1.0)], "minimize loss", "must have a finished trial"),
        ([Observed("t", {"x": 0.1}, "done", 1.0)], "minimize a, b <= 1", "must have a finished"),
        ([1, 2], "minimize loss", "must be a path, an optimizer, a result, or a list of trials"),
        ([], "minimize a, minimize b", "from_study needs a single goal"),
    ],
)
def test_a_study_that_cannot_teach_is_refused(source: Any, goals: str, message: str) -> None:
    """Nothing finished, another space, other goals: said at once, not ignored."""
    with pytest.raises(SpecError, match=message):
        Optimizer(LINE, goals=goals, from_study=source)


def test_of_a_long_study_a_part_is_used() -> None:
    """At most a hundred trials, the best half complete and a spread of the others."""
    long = [Observed(f"t{k}", {"x": k / 1000}, "done", float(k)) for k in range(1000)]
    earlier = Optimizer(LINE, from_study=long).journal.earlier
    assert earlier is not None
    losses = [t["loss"] for t in earlier.trials]
    assert len(losses) == MOST
    assert losses[: MOST // 2] == list(range(MOST // 2))
    assert losses[-1] == 999


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_ranks_are_those_of_scipy(values: list[int]) -> None:
    """Mean ranks for ties, as `scipy.stats.rankdata` gives them."""
    from scipy.stats import rankdata

    assert ranks(np.array(values)) == pytest.approx(rankdata(values))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.floats(0.1, 100.0))
def test_scores_do_not_depend_on_the_scale(values: list[float], factor: float) -> None:
    """Normal scores keep the order and forget the unit."""
    losses = np.array(values)
    scores = normal_scores(losses)
    assert (np.diff(scores[np.argsort(losses, kind="stable")]) >= 0).all()
    assert normal_scores(np.exp2(3) * losses) == pytest.approx(scores)


def test_alignment_finds_scale_and_centre() -> None:
    """With results that are a line of the scores, the line is found; before, the old unit holds."""
    scores = normal_scores(np.arange(20.0))
    found = Compared(scores, scores[::3], 7.0 + 50.0 * scores[::3])
    centre, scale, noise = alignment(found, list(np.arange(20.0)))
    assert (centre, scale) == (pytest.approx(7.0), pytest.approx(50.0))
    assert noise == pytest.approx(5.0)
    none = Compared(scores, np.array([]), np.array([]))
    assert alignment(none, list(np.arange(20.0)))[0] == pytest.approx(9.5)


def test_the_verdict_drops_the_unrelated_and_keeps_the_related() -> None:
    """Of unrelated studies about nine in ten are dropped at eight results; of close ones few."""
    kept = {0.0: 0, 0.9: 0}
    for related in kept:
        for seed in range(300):
            rng = np.random.default_rng(seed)
            x, noise = rng.standard_normal((2, 8))
            y = related * x + math.sqrt(1 - related**2) * noise
            kept[related] += verdict(x, y)["kept"]
    assert kept[0.0] / 300 < 0.15
    assert kept[0.9] / 300 > 0.85
    assert verdict(np.ones(8), np.arange(8.0))["kept"]

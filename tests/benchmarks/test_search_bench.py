"""The search benchmark's figures, from runs made by hand: no method and no data is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

SEARCH = Path(__file__).resolve().parents[2] / "benchmarks" / "search"


@pytest.fixture(scope="module", autouse=True)
def _on_path():
    sys.path.insert(0, str(SEARCH))
    yield
    sys.path.remove(str(SEARCH))
    ours = ("efficiency", "figures", "kept", "live", "measured", "peers", "problems", "pruning")
    for name in (*ours, "run", "reference", "reports", "reports_goals", "targets"):
        sys.modules.pop(name, None)


@pytest.fixture
def figures():
    import figures

    return figures


@pytest.fixture
def problems():
    import problems

    return problems


def kept(figures, method, problem="bbob-f1-2d", seed=0, losses=(3.0,) * 50, **more):
    known = {"asked": len(losses), "told": None, "ms": (1.0, 3.0), "source": ""} | more
    return figures.Kept(method, problem, seed, losses=tuple(losses), **known)


def test_regret_is_1_at_the_median_and_0_at_the_best_known(figures):
    """Regret is scaled by best known and median, never rises, and is cut off at 0."""
    found = figures.regret([9.0, 4.0, 6.0, 2.0, 0.0], best=1.0, median=5.0)
    assert found.tolist() == [1.0, 0.75, 0.75, 0.25, 0.0]


def test_under_noise_the_seeming_best_counts_with_its_true_loss(figures):
    """A lucky measurement takes the lead, and its true loss is what counts."""
    true, told = [3.0, 2.0, 4.0, 1.0], [3.0, 2.5, 0.0, 1.5]
    assert figures.regret(true, 0.0, 4.0, told).tolist() == [0.75, 0.5, 1.0, 1.0]


def test_a_horizon_that_was_not_reached_has_no_figure(figures):
    """Fifty evaluations say nothing about a hundred."""
    runs = [kept(figures, "a", losses=[2.0] * 50)]
    found = figures.cells(runs, {"bbob-f1-2d": 0.0}, {"bbob-f1-2d": 4.0})["a"]
    assert found[50] == {"bbob-f1-2d": {0: 0.5}}
    assert found[100] == {}


def test_an_exhausted_space_keeps_its_last_value(figures):
    """A run that had nothing left to try is not punished for stopping."""
    runs = [kept(figures, "a", losses=[4.0, 2.0], asked=100)]
    found = figures.cells(runs, {"bbob-f1-2d": 0.0}, {"bbob-f1-2d": 4.0})["a"]
    assert found[100]["bbob-f1-2d"][0] == 0.5


def test_means_are_taken_over_seeds_first(figures):
    """A problem with more seeds weighs no more than another."""
    values = {"p": {0: 0.0, 1: 0.0, 2: 0.0}, "q": {0: 1.0}}
    assert figures.mean(values) == 0.5


def test_the_interval_holds_the_true_mean_nearly_always(figures):
    """The bootstrap over problems and seeds covers the truth in most of 60 repetitions."""
    rng, held = np.random.default_rng(0), 0
    for trial in range(60):
        centres = rng.normal(0.5, 0.1, 20)
        values = {str(i): dict(enumerate(rng.normal(c, 0.1, 5))) for i, c in enumerate(centres)}
        middle, low, high = figures.interval(values, draws=300, seed=trial)
        assert low <= middle <= high
        held += low <= 0.5 <= high
    assert held >= 52


def test_an_interval_over_unequal_numbers_of_seeds_uses_only_what_is_there(figures):
    """Padding for missing seeds never enters a mean."""
    values = {"p": {0: 1.0}, "q": {0: 1.0, 1: 1.0, 2: 1.0}}
    assert figures.interval(values) == pytest.approx((1.0, 1.0, 1.0))


def test_differences_and_ratios_use_shared_runs_only(figures):
    """A run that the other method lacks is left out on both sides."""
    mine = {"p": {0: 0.1, 1: 0.9}, "q": {0: 0.5}}
    other = {"p": {0: 0.4}, "r": {0: 0.0}}
    assert figures.paired(mine, other) == {"p": {0: pytest.approx(-0.3)}}
    assert figures.ratio(mine, other) == pytest.approx(0.25)


def test_ranks_share_places_and_skip_problems_that_some_lack(figures):
    """Equal methods share their places; a problem counts only if all have it."""
    by_method = {
        "a": {"p": {0: 0.1}, "q": {0: 0.2}, "r": {0: 0.0}},
        "b": {"p": {0: 0.1}, "q": {0: 0.1}},
    }
    assert figures.ranks(by_method) == {"a": 1.75, "b": 1.25}


def test_the_best_known_is_lowered_by_runs_but_never_below_an_exact_optimum(figures):
    """Stored runs lower what random search found; an optimum known from theory stays."""
    known = {
        "live-a": {"best": 1.0, "median": 3.0, "exact": False},
        "bbob-a": {"best": 1.0, "median": 3.0, "exact": True},
    }
    runs = [kept(figures, "optuna-tpe", name, losses=[2.0] * 50) for name in known]
    answer = figures.report((runs, {"live-a": 0.0, "bbob-a": 0.0}), known, None, "")
    regret = answer["methods"]["optuna-tpe"]["regret"]
    assert answer["best_lowered_by_runs"] == {"live-a": 1.0}
    assert regret["live"]["50"][0] == pytest.approx(2 / 3, abs=1e-4)
    assert regret["bbob"]["50"][0] == 0.5


def test_losses_that_runs_came_to_are_kept_beside_what_random_search_found(figures, tmp_path):
    """Figures do not depend on which runs a folder holds; noise is still sized by "best"."""
    import reference

    known = {
        "live-a": {"best": 1.0, "median": 3.0, "exact": False},
        "live-b": {"best": 1.0, "median": 3.0, "exact": False, "found": 0.25},
        "bbob-a": {"best": 1.0, "median": 3.0, "exact": True},
    }
    file = tmp_path / "reference.json"
    file.write_text(json.dumps({"version": 1, "problems": known}))
    assert reference.lower(file, {"live-a": 0.5, "live-b": 0.75, "bbob-a": 0.0}) == 0
    kept_now = json.loads(file.read_text())["problems"]
    assert figures.best_known(kept_now, {}) == {"live-a": 0.5, "live-b": 0.25, "bbob-a": 1.0}
    assert [entry["best"] for entry in kept_now.values()] == [1.0] * 3


def stored(seed=0, n=50, noise=False, **more):
    """A run as it is written after it was made."""
    rng = np.random.default_rng(seed)
    losses = rng.normal(size=n).tolist()
    told = (np.array(losses) + rng.normal(size=n)).tolist() if noise else None
    known = {"method": "ax", "problem": "bbob-f1-5d", "seed": seed, "parallel": 1, "source": ""}
    known |= {"asked": n, "losses": losses, "told": told, "versions": {"numpy": "2"}}
    return known | {"ask_ms": [1.0] * (n - 1), "tell_ms": [1.0] * (n - 1)} | more


@pytest.mark.parametrize("noise", [False, True])
def test_regret_of_a_measured_run_is_that_of_the_run(figures, tmp_path, noise):
    """Only the trials that took the lead are kept, and regret after each trial stays the same."""
    import measured

    runs = [stored(seed, noise=noise) for seed in range(20)]
    assert measured.keep("ax", runs, tmp_path) == 20
    for run in runs:
        kept_run = measured.load("ax", tmp_path)["bbob-f1-5d"][run["seed"]]
        assert len(kept_run["at"]) < 25
        losses, told = measured.expand(kept_run)
        ours = figures.regret(losses, -3.0, 1.0, told)
        assert ours.tolist() == figures.regret(run["losses"], -3.0, 1.0, run["told"]).tolist()


def test_longer_runs_replace_measured_ones_and_other_versions_are_refused(tmp_path):
    """What was kept stays readable, only grows, and never mixes two versions of a peer."""
    import measured

    measured.keep("ax", [stored(0), stored(1)], tmp_path)
    assert measured.keep("ax", [stored(0, 100), stored(1, 25), stored(2)], tmp_path) == 3
    kept_now = measured.load("ax", tmp_path)["bbob-f1-5d"]
    assert [kept_now[seed]["asked"] for seed in range(3)] == [100, 50, 50]
    with pytest.raises(ValueError, match=r"ax bbob-f1-5d seed 3 was run with"):
        measured.keep("ax", [stored(3, versions={"numpy": "3"})], tmp_path)
    assert measured.load("ax", tmp_path)["bbob-f1-5d"] == kept_now


def test_figures_take_measured_runs_where_the_folder_has_none_as_long(
    figures, tmp_path, monkeypatch
):
    """A run made here counts before one that came with the project, unless it is shorter."""
    import measured

    monkeypatch.setattr(measured, "FOLDER", tmp_path / "measured")
    measured.keep("ax", [stored(seed) for seed in range(3)])
    for seed, n in ((0, 100), (1, 25)):
        file = tmp_path / "runs" / "parallel-1" / "ax" / "bbob-f1-5d" / f"{seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(stored(seed, n)))
    found, least = figures.load(tmp_path / "runs", ["ax"], ["bbob-f1-5d"], range(3))
    asked = {run.seed: (run.asked, bool(run.ms)) for run in found}
    assert asked == {0: (100, True), 1: (50, False), 2: (50, False)}
    import run as comparison

    assert comparison.keep(["ax", "attain-bayes"], tmp_path / "runs") == 0
    kept_now = measured.load("ax")["bbob-f1-5d"]
    assert [kept_now[seed]["asked"] for seed in range(3)] == [100, 50, 50]
    assert measured.methods() == ["ax"]
    ways = [
        comparison.Run("ax", "bbob-f1-5d", 0, n, p, tmp_path)
        for n, p in ((100, 1), (101, 1), (9, 8))
    ]
    assert [way.came for way in ways] == [True, False, False]
    assert least["bbob-f1-5d"] == min(min(run.losses) for run in found)


def falling(shift=0, n=50):
    """Regret of a search that is `shift` trials late."""
    return 1.0 / (1.0 + np.maximum(np.arange(n) - shift, 0))


@pytest.mark.parametrize(("shift", "share"), [(0, 0.0), (5, 0.1), (10, 0.2), (-3, 0.0)])
def test_trials_that_are_late_by_so_many_are_lost(share, shift):
    """What comes five trials later in fifty has lost a tenth; what comes earlier, nothing."""
    import efficiency

    several = {"p": {0: falling(shift), 1: falling(shift)}, "q": {0: falling(shift)}}
    single = {"p": {0: falling(), 1: falling()}, "q": {0: falling()}}
    found = efficiency.lost(several, single, draws=20)
    assert found == pytest.approx((share,) * 3)


def test_a_regret_between_those_of_two_trials_counts_as_a_part_of_one():
    """Halfway from the ninth to the tenth of ten trials: a twentieth is lost."""
    import efficiency

    single = np.arange(10.0, 0.0, -1.0)
    several = np.r_[single[:9], 1.5]
    found = efficiency.lost({"p": {0: several}}, {"p": {0: single}}, draws=1)
    assert found[0] == pytest.approx(0.05)


def test_a_pruned_trial_is_never_the_best_one():
    """Regret is 1 until a trial has run to its end; after that pruned ones change nothing."""
    import pruning

    losses = [None] * 24 + [2.0] + [None] * 14 + [1.0] + [None] * 20
    assert pruning.regrets({"losses": losses}, 0.0, 4.0) == [0.5, 0.25, 0.25]
    assert pruning.regrets({"losses": [None] * 60}, 0.0, 4.0) == [1.0, 1.0, 1.0]


def test_only_runs_of_both_widths_tell_what_is_lost_and_too_much_is_a_shortfall(figures):
    """Pairs of one problem and seed, as far as both go; without any that is said."""
    import efficiency
    import targets

    known = {"live-a": {"best": 0.0, "median": 1.0, "exact": False}}
    late, soon = tuple(falling(10)), tuple(falling())
    runs = [
        kept(figures, "a", "live-a", seed, losses, parallel=parallel)
        for seed, losses, parallel in [(0, late, 8), (0, soon, 1), (1, soon, 1), (2, late, 8)]
    ]
    found = efficiency.report(runs, 8, {}, known)
    assert {h: one["runs"] for h, one in found.items()} == {"25": 1, "50": 1}
    assert found["50"]["lost"] == pytest.approx(0.2)
    assert found["25"]["lost"] == pytest.approx(0.4)
    assert [line[:5] for line in targets.inefficient(found)] == ["at 25", "at 50"]
    assert targets.inefficient(efficiency.report(runs[1:3], 8, {}, known)) != []


def test_the_report_compares_our_method_and_the_check_names_who_is_not_beaten(figures):
    """The check fails on a peer whose interval reaches 0, and only on that one."""
    known = {f"bbob-{i}": {"best": 0.0, "median": 4.0, "exact": True} for i in range(8)}
    runs = [
        kept(figures, method, name, losses=[loss + index / 100] * 50, source=source)
        for index, name in enumerate(known)
        for method, loss, source in (
            ("attain-bayes", 1.0, "old"),
            ("optuna-tpe", 2.0, ""),
            ("optuna-gp", 1.0, ""),
        )
    ]
    answer = figures.report((runs, {}), known, None, "new")
    assert answer["main"] == "attain-bayes"
    assert answer["methods"]["attain-bayes"]["older"] == 8
    assert answer["differences"]["optuna-tpe"]["50"]["mean"] == -0.25
    assert figures.shortfalls(answer, quick=False) == [
        "optuna-gp",
        "all at 25: 1.00 of the best peer's regret, wanted 0.7",
        "all at 50: 1.00 of the best peer's regret, wanted 0.6",
    ]
    assert answer["best_peer"] == "optuna-gp"
    assert "| attain-bayes minus |" in figures.table(answer)
    json.dumps(answer, allow_nan=False)


def test_a_peer_that_ran_on_few_problems_is_not_the_best_and_no_peer_is_a_shortfall(figures):
    """Two lucky problems make no best peer; a check without any peer fails."""
    known = {f"bbob-{i}": {"best": 0.0, "median": 4.0, "exact": True} for i in range(3)}
    ours = [kept(figures, "attain-bayes", name, losses=[1.0] * 50) for name in known]
    tpe = [kept(figures, "optuna-tpe", name, losses=[2.0] * 50) for name in known]
    lucky = [kept(figures, "optuna-gp", "bbob-0", losses=[0.0] * 50)]
    assert figures.report((ours + tpe + lucky, {}), known, None, "")["best_peer"] == "optuna-tpe"
    alone = figures.report((ours, {}), known, None, "")
    assert figures.shortfalls(alone, quick=False) == ["no peer"]


def test_targets_are_judged_by_suite_and_by_the_best_peer_there(figures):
    """Half of the best peer's regret is enough, and the best place on each suite is wanted."""
    known = {
        name: {"best": 0.0, "median": 4.0, "exact": True}
        for name in ("bbob-a", "live-a", "rbv2_xgboost-a")
    }
    losses = {
        "attain-bayes": (0.1, 1.0, 0.9),
        "optuna-gp": (1.0, 0.5, 3.0),
        "optuna-tpe": (2.0, 3.0, 1.5),
    }
    runs = [
        kept(figures, method, name, losses=[loss] * 50)
        for method, each in losses.items()
        for name, loss in zip(known, each, strict=True)
    ]
    answer = figures.report((runs, {}), known, None, "")
    assert answer["shares"]["all"] == {"25": 0.44444, "50": 0.44444}
    assert answer["shares"]["rbv2_xgboost"]["50"] == 0.6
    assert answer["ranks"]["live"] == {"attain-bayes": 2.0, "optuna-gp": 1.0, "optuna-tpe": 3.0}
    assert figures.shortfalls(answer, quick=False)[-2:] == [
        "rbv2_xgboost at 50: 0.60 of the best peer's regret, wanted 0.5",
        "live: rank 2.00, optuna-gp has 1.00",
    ]


@pytest.mark.parametrize("peer", ["bbob-b", "bbob-a"])
def test_without_a_common_problem_or_the_gate_no_place_is_missed(figures, peer):
    """Methods that ran on different problems, or too short, have no places: no error either."""
    known = {n: {"best": 0.0, "median": 4.0, "exact": True} for n in ("bbob-a", "bbob-b")}
    short = peer == "bbob-a"
    runs = [
        kept(figures, "attain-bayes", "bbob-a", losses=[3.0] * (25 if short else 50)),
        kept(figures, "optuna-gp", peer, losses=[1.0] * 50),
    ]
    answer = figures.report((runs, {}), known, None, "")
    assert not any("rank" in line for line in figures.shortfalls(answer, quick=False))


def test_what_is_slow_or_was_not_timed_is_a_shortfall(figures):
    """Every length of history has its limit; another method's figures do not count."""
    import targets

    rows = [
        {"method": "attain-bayes", "history": 100, "ms_median": 9.9},
        {"method": "attain-bayes", "history": 1000, "ms_median": 15.1},
        {"method": "attain-bayes", "history": 10_000, "problem": "ran out of time"},
        {"method": "random", "history": 10_000, "ms_median": 0.1},
    ]
    assert targets.slow(rows, "attain-bayes") == [
        "attain-bayes after 1000 trials: 15.1 ms, wanted 15",
        "attain-bayes after 10000 trials: None ms, wanted 20",
    ]


def test_settling_drops_inactive_values_and_clips_to_the_range(problems):
    """A flattened or rounded answer of a peer becomes a configuration of the space."""
    space = problems.mixed().space
    flat = {p.name: p.default for p in space} | {"booster": "linear", "a": 1 + 1e-12, "leaf": 20.0}
    config = problems.settle(space, flat)
    space.check(config)
    assert config["a"] == 1.0
    assert config["leaf"] == 20
    assert not {"rate", "drop", "depth"} & set(config)


def test_a_surrogates_space_has_bounds_scales_conditions_and_a_start_in_range(problems):
    """The task and the fidelities are no parameters; a default out of range moves to its bound."""
    described = {
        "hyperparameters": [
            {"name": "task_id", "type": "categorical", "choices": ["1"]},
            {"name": "booster", "type": "categorical", "choices": ["gblinear", "gbtree"]},
            {"name": "eta", "type": "uniform_float", "log": True, "lower": 0.4, "upper": 1.0},
            {"name": "repl", "type": "uniform_int", "log": False, "lower": 1, "upper": 10},
        ],
        "conditions": [{"child": "eta", "parent": "booster", "type": "EQ", "value": "gbtree"}],
    }
    space = problems.yahpo_space(described, problems.SCENARIOS["rbv2_xgboost"])
    assert [p.name for p in space] == ["booster", "eta"]
    assert space.defaults() == {"booster": "gbtree", "eta": 0.4}
    space.check({"booster": "gblinear"})


@pytest.mark.parametrize("noise", ["gauss0.1", "binomial500"])
def test_noise_is_the_same_for_the_same_trial_and_knows_its_size(problems, noise):
    """Noise is a function of seed and trial; the stated error is its deviation."""
    known = {"mixed-13": {"best": 0.0, "median": 2.0}}
    one = problems.problem(f"mixed-13~{noise}", None, known)
    first = one.told(0.3, seed=1, index=4)
    assert first == one.told(0.3, seed=1, index=4)
    assert first != one.told(0.3, seed=1, index=5)
    seen = np.array([one.told(0.3, seed=s, index=0) for s in range(400)])
    assert seen[:, 0].mean() == pytest.approx(0.3, abs=0.03)
    assert seen[:, 0].std() == pytest.approx(seen[:, 1].mean(), rel=0.15)


def test_every_public_problem_has_a_sound_reference(problems):
    """No problem can be scored without a best known loss below the median."""
    known = json.loads((SEARCH / "reference.json").read_text())["problems"]
    assert set(problems.ALL) <= set(known)
    for name in problems.ALL:
        assert known[name]["best"] < known[name]["median"], name


def test_a_methods_settings_and_label_are_read_apart():
    """A label changes only the name; settings are read as JSON."""
    from peers import is_peer, parse

    assert parse("attain-bayes@most=100,spread_starts=2#slow") == (
        "attain-bayes",
        {"most": 100, "spread_starts": 2},
    )
    assert parse("random")[0] == "attain-random"
    assert is_peer("optuna-tpe#again")
    assert not is_peer("sobol")


def test_regret_at_some_work_is_that_of_trainings_that_ended_within_it(problems):
    """Pruned ones use epochs and bring nothing; before anything has ended, regret is 1."""
    import reports

    epochs = reports.EPOCHS
    kept = [
        {"epochs": 5, "result": None},
        {"epochs": 5 + 11 * epochs, "result": 2.0},
        {"epochs": 50 * epochs + 1, "result": 0.0},
    ]
    assert reports.regrets(kept, 0.0, 4.0) == [1.0, 0.5, 0.5]


def test_a_search_with_a_pruner_uses_the_work_it_is_given(problems):
    """Made-up curves that keep their order: some are pruned, the best has run to its end."""
    import reports

    one = problems.mixed()
    found = reports.search(one, reports.learning(one, None), "halving", 0)
    assert found[-2]["epochs"] < reports.HORIZONS[-1] * reports.EPOCHS <= found[-1]["epochs"]
    assert any(trial["result"] is None for trial in found)
    ended = [trial["result"] for trial in found if trial["result"] is not None]
    assert min(ended) < one.loss(one.default)


def test_the_volume_at_some_work_is_that_of_trainings_that_ended_within_it(problems):
    """From the best known error and the least size to the median and the largest; pruned not."""
    import reports
    import reports_goals

    epochs = reports.EPOCHS
    kept = [
        {"epochs": 5, "result": None},
        {"epochs": 5 + 11 * epochs, "result": {"error": 2.0, "size": 0.5}},
        {"epochs": 30 * epochs, "result": {"error": 3.0, "size": 0.0}},
        {"epochs": 50 * epochs + 1, "result": {"error": 0.0, "size": 0.0}},
    ]
    assert reports_goals.volumes(kept, 0.0, 4.0) == pytest.approx([0.0, 0.25, 0.375])
    one = problems.mixed()
    assert 0 < reports_goals.size(one, {"a": 2.0, "b": -1.0}) < 1

"""Ask and tell: what is handed out, what is accepted, what is refused and changes nothing."""

from __future__ import annotations

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from minimize_functions import LINE, SPACE, bowl

import attain
from attain.core.errors import LedgerError, PluginError, SpaceError, SpecError
from attain.core.space import Categorical, Float, Int, Space
from attain.core.types import Proposal
from attain.pipeline.asktell import Optimizer

KINDS = {"kind": ["a", "b", "c"]}


def search(optimizer: Optimizer, n: int) -> list[Any]:
    """Ask and tell n times; the configurations."""
    configs = []
    for _ in range(n):
        trial = optimizer.ask()
        configs.append(dict(trial.config))
        optimizer.tell(trial, bowl(trial.config))
    return configs


class Outside:
    """A strategy that leaves the space."""

    def propose(self, space: Any, history: Any, n: int, seed: int) -> tuple[Proposal, ...]:
        return (Proposal({"x": 7.0}, "wrong"),)

    def judge(self, history: Any, running: Any) -> dict[str, Any]:
        return {}


def test_a_search_finds_the_bowl() -> None:
    """Thirty trials of the default strategy come close to the minimum of a mixed space."""
    optimizer = attain.Optimizer(SPACE, seed=1)
    search(optimizer, 30)
    assert optimizer.strategy[0] == "bayes"
    assert optimizer.best is not None
    assert optimizer.best.loss == min(t.loss for t in optimizer.trials) < 0.5
    assert optimizer.done == optimizer.ended == len(optimizer.history) == 30


def test_the_same_history_and_seed_give_the_same_proposals() -> None:
    """Two optimizers told the same agree in everything; another seed differs."""
    first, second, other = (Optimizer(SPACE, seed=s) for s in (3, 3, 4))
    assert search(first, 12) == search(second, 12)
    assert first.trials == second.trials
    assert search(other, 12) != [t.config for t in first.trials]


def test_one_trial_or_a_tuple() -> None:
    """``ask()`` gives a trial, ``ask(n)`` a tuple; running ones are seen and not asked twice."""
    optimizer = Optimizer(KINDS, strategy="random")
    (one,) = optimizer.ask(1)
    two = optimizer.ask()
    assert {one.config["kind"], two.config["kind"]} < {"a", "b", "c"}
    assert [t.id for t in optimizer.running] == ["t00001", "t00002"]
    assert len(optimizer.ask(5)) == 1
    assert optimizer.ask(5) == ()
    with pytest.raises(SpaceError, match=r"untried configurations .got all 3 were asked for"):
        optimizer.ask()


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_the_number_of_trials_is_checked(n: Any) -> None:
    """Anything but a positive whole number is refused."""
    with pytest.raises(SpecError, match="n: must be a whole number, at least 1"):
        Optimizer(LINE).ask(n)


def test_tells_come_late_and_in_any_order() -> None:
    """Results arrive backwards; the history stays in order of asking."""
    optimizer = Optimizer(LINE, strategy="random")
    trials = optimizer.ask(4)
    for trial in reversed(trials):
        optimizer.tell(trial.id, trial.config["x"])
    assert [o.trial for o in optimizer.history] == [t.id for t in trials]
    assert optimizer.best == min(optimizer.trials, key=lambda t: t.loss or 0)


def test_a_tell_that_makes_no_sense_changes_nothing() -> None:
    """An unknown trial, a second tell, no number: an error with a way out, the history intact."""
    optimizer = Optimizer(LINE)
    done, running = optimizer.ask(2)
    optimizer.tell(done, 0.5)
    before = optimizer.trials
    for trial, result, message in (
        (done, 0.5, r"a trial is told once \(got t00001, which is done with 0.5\)"),
        ("t00007", 0.5, r"only a trial that was asked for can be told .*add\(config, result\)"),
        (3, 0.5, "only a trial that was asked for"),
        (running, None, "t00002: a result must be a real number .got None"),
    ):
        with pytest.raises(SpecError, match=message):
            optimizer.tell(trial, result)
    for extra in ({"noise": -1}, {"seconds": math.nan}):
        with pytest.raises(SpecError, match="must be a finite number"):
            optimizer.tell(running, 0.5, **extra)
    assert optimizer.trials == before
    assert optimizer.tell(running, 0.25).loss == 0.25


def test_not_finite_is_a_failed_trial() -> None:
    """NaN and infinity are failures that the strategy learns from, with a message."""
    optimizer = Optimizer(LINE)
    for value in (math.nan, math.inf):
        told = optimizer.tell(optimizer.ask(), value)
        assert (told.status, told.loss, told.message) == ("failed", None, f"loss is {value}")
    assert [o.status for o in optimizer.history] == ["failed", "failed"]
    assert optimizer.best is None
    assert (optimizer.done, optimizer.ended) == (0, 2)


def test_failed_teaches_and_lost_does_not() -> None:
    """A failed trial stays in the history; a lost one leaves it and is asked for again."""
    optimizer = Optimizer(LINE, strategy="random")
    bad, gone = optimizer.ask(2)
    optimizer.failed(bad, "out of memory", status="memory", seconds=2.0)
    optimizer.lost(gone, "node went down")
    assert [(o.trial, o.status, o.seconds) for o in optimizer.history] == [(bad.id, "memory", 2.0)]
    assert [t.status for t in optimizer.trials] == ["memory", "lost"]
    again = optimizer.ask()
    assert (again.id, again.config) == (gone.id, gone.config)
    optimizer.tell(again, 1.0)
    with pytest.raises(SpecError, match="only a running or failed trial can be lost"):
        optimizer.lost(again)
    with pytest.raises(SpecError, match="did you mean 'memory'"):
        optimizer.failed(optimizer.ask(), status="memry")


def test_a_failure_that_was_nobodys_fault_is_taken_back() -> None:
    """A failed trial can be declared lost, and is asked for again."""
    optimizer = Optimizer(LINE)
    trial = optimizer.ask()
    optimizer.failed(trial, "a bug in the function")
    optimizer.lost(trial)
    assert (optimizer.ended, optimizer.history) == (0, ())
    assert optimizer.ask().id == trial.id


def test_a_late_answer_of_a_lost_trial_is_welcome() -> None:
    """Whoever was believed dead may still answer; then it is not asked for again."""
    optimizer = Optimizer(LINE)
    trial = optimizer.ask()
    optimizer.lost(trial)
    assert optimizer.tell(trial, 0.1).done
    assert optimizer.ask().id != trial.id


def test_known_results_are_added() -> None:
    """A result from elsewhere counts as a trial, and is not asked for again."""
    optimizer = Optimizer(KINDS, strategy="random")
    added = optimizer.add({"kind": "b"}, 0.5, noise=0.1, seconds=3)
    assert (added.origin, added.loss, added.noise, added.seconds) == ("added", 0.5, 0.1, 3.0)
    assert {t.config["kind"] for t in optimizer.ask(3)} == {"a", "c"}
    with pytest.raises(SpaceError, match=r"config.kind: a value must lie in its range"):
        optimizer.add({"kind": "d"}, 0.5)
    with pytest.raises(SpecError, match="result: a result must be a real number"):
        optimizer.add({"kind": "a"}, None)


def test_starts_come_first_and_once() -> None:
    """Stated configurations precede the strategy's; NumPy scalars and whole floats are plain."""
    import numpy as np

    starts = [{"x": 1}, {"x": np.float64(0.25)}, {"x": 1.0}]
    optimizer = Optimizer(LINE, start=starts)
    first, second, third = optimizer.ask(3)
    assert [t.config for t in (first, second)] == [{"x": 1.0}, {"x": 0.25}]
    assert type(second.config["x"]) is float
    assert [t.origin for t in (first, second, third)] == ["start", "start", "strategy"]


def test_all_problems_of_starts_are_named_at_once() -> None:
    """Two bad starts make two problems, each with its place."""
    with pytest.raises(SpaceError, match=r"start\[0\].x: .*") as caught:
        Optimizer(LINE, start=[{"x": 2.0}, {"x": 0.5}, {"y": 0.5, "x": 0.1}])
    assert [p.place for p in caught.value.problems] == ["start[0].x", "start[2].y"]
    with pytest.raises(SpaceError, match="must be a list of configurations"):
        Optimizer(LINE, start={"x": 0.5})
    with pytest.raises(SpaceError, match=r"start\[0\]: a configuration must be a mapping"):
        Optimizer(LINE, start=[3])


def test_the_configuration_belongs_to_the_user() -> None:
    """What a function does to its configuration changes nothing that is known."""
    optimizer = Optimizer(LINE)
    trial = optimizer.ask()
    kept = dict(trial.config)
    trial.config.clear()
    assert optimizer.tell(trial, 0.1).config == kept
    assert optimizer.history[0].config == kept


def test_limits_come_before_losses() -> None:
    """The best trial keeps the limit, though one beyond it has a smaller loss."""
    optimizer = Optimizer(LINE, goals=["maximize a", "b <= 1"], strategy="random")
    for a, b in ((0.9, 3.0), (0.8, 2.0), (0.5, 1.0), (0.4, 0.0)):
        optimizer.tell(optimizer.ask(), {"a": a, "b": b})
    best = optimizer.best
    assert best is not None
    assert (best.metrics, best.loss, best.feasible) == ({"a": 0.5, "b": 1.0}, -0.5, True)
    assert [o.excess for o in optimizer.history] == [(2.0,), (1.0,), (0.0,), (-1.0,)]
    assert optimizer.front == (best,)


def test_without_a_feasible_trial_the_least_broken_is_best() -> None:
    """When no trial keeps the limits, the one that breaks them least leads."""
    optimizer = Optimizer(LINE, goals=["maximize a", "b <= 1"], strategy="random")
    for a, b in ((0.9, 3.0), (0.8, 2.0)):
        optimizer.tell(optimizer.ask(), {"a": a, "b": b})
    assert optimizer.best is not None
    assert optimizer.best.metrics["b"] == 2.0
    assert not optimizer.best.feasible


def test_several_goals_have_a_front() -> None:
    """Nothing on the front is beaten in every goal, everything else is; the best is on it."""
    optimizer = Optimizer(LINE, goals=["minimize a", "maximize b"], strategy="random", seed=5)
    for trial in optimizer.ask(40):
        x = trial.config["x"]
        optimizer.tell(trial, {"a": x, "b": x if round(x * 1e4) % 2 else x * x})
    front, ids = optimizer.front, {t.id for t in optimizer.front}
    assert 1 < len(front) < 40
    for trial in optimizer.trials:
        beaten = any(
            all(f <= t for f, t in zip(o.goals, trial.goals, strict=True))
            and o.goals != trial.goals
            for o in optimizer.trials
        )
        assert beaten != (trial.id in ids)
    assert optimizer.best is not None
    assert optimizer.best.id in ids
    assert all(o.loss is not None and len(o.goals) == 2 for o in optimizer.history)


def test_huge_goals_do_not_overflow() -> None:
    """The compromise between goals is finite at both ends of the floats."""
    optimizer = Optimizer(LINE, goals=["minimize a", "minimize b"], strategy="random")
    for a, b in ((1.7e308, 0.0), (-1.7e308, 1.0)):
        optimizer.tell(optimizer.ask(), {"a": a, "b": b})
    assert all(math.isfinite(t.loss) for t in optimizer.trials if t.loss is not None)


def test_noise_and_seconds_reach_the_strategy() -> None:
    """What is told beside the loss is in the history."""
    optimizer = Optimizer(LINE)
    optimizer.tell(optimizer.ask(), 0.5, noise=0.1, seconds=4)
    assert (optimizer.history[0].noise, optimizer.history[0].seconds) == (0.1, 4.0)


def test_a_space_is_extended_without_losing_trials() -> None:
    """A wider range and a new parameter: the history stays, proposals come from the new space."""
    optimizer = Optimizer(LINE, strategy="random")
    running = optimizer.ask()
    optimizer.extend({"x": (0.0, 9.0), "y": {"low": 1, "high": 5, "default": 2}})
    assert len(optimizer.history) == 1
    optimizer.tell(running, 0.5)
    trials = optimizer.ask(8)
    assert max(t.config["x"] for t in trials) > 1
    assert all("y" in t.config for t in trials)
    assert optimizer.space.version == 2
    optimizer.extend(optimizer.space)
    assert optimizer.space.version == 2


def test_an_extension_that_costs_history_is_refused() -> None:
    """A new parameter without default and a changed kind are named together; nothing changes."""
    optimizer = Optimizer(LINE)
    with pytest.raises(SpaceError, match="earlier trials had") as caught:
        optimizer.extend({"x": ["a", "b"], "y": (0.0, 1.0)})
    assert len(caught.value.problems) == 2
    assert optimizer.space.version == 1


def test_the_strategy_makes_a_difference() -> None:
    """Names, addresses and instances choose; the reason is stated."""
    grid = Optimizer({"k": [1, 2]}, trials=10)
    assert grid.strategy[0] == "grid"
    assert Optimizer(LINE, trials=3).strategy[0] == "sobol"
    assert Optimizer(LINE, strategy="bayesian").strategy == ("bayes", "as stated")
    assert Optimizer(LINE, strategy="attain.strategy.grid:Grid").ask().config == {"x": 0.0}
    with pytest.raises(PluginError, match="no strategy is called 'byes'"):
        Optimizer(LINE, strategy="byes")
    with pytest.raises(SpecError, match="must be a name or have propose and judge"):
        Optimizer(LINE, strategy=3)


def test_a_strategy_that_leaves_the_space_is_named() -> None:
    """A plugin's mistake is reported as one, and nothing is asked."""
    optimizer = Optimizer(LINE, strategy=Outside())
    with pytest.raises(PluginError, match="propose gave a configuration outside of the space"):
        optimizer.ask()
    assert optimizer.trials == ()


def test_spaces_are_objects_or_mappings() -> None:
    """A Space and the mapping that says the same give the same proposals."""
    space = Space((Float(name="x", low=0.0, high=1.0), Int(name="n", low=1, high=3),
                   Categorical(name="k", choices=("a", "b"))))  # fmt: skip
    stated = {"x": (0.0, 1.0), "n": (1, 3), "k": ["a", "b"]}
    assert Optimizer(space).ask(3) == Optimizer(stated).ask(3)


def test_with_a_ledger_it_continues_exactly(tmp_path: Path) -> None:
    """Closed and opened again between any two steps, it does what it would have done."""
    whole = Optimizer(SPACE, seed=2)
    search(whole, 10)
    path = tmp_path / "study" / "ledger.db"
    for _ in range(5):
        with Optimizer(SPACE, seed=2, ledger=path) as part:
            search(part, 2)
    with Optimizer(SPACE, seed=2, ledger=path) as part:
        assert part.trials == whole.trials
        assert part.ask(2) == whole.ask(2)
    with Optimizer(SPACE, seed=2, ledger=path) as part:
        assert part.running == whole.running
        assert part.history == whole.history


def test_every_record_is_durable_before_it_is_acted_on(tmp_path: Path) -> None:
    """What another reader finds on the disk is what was just said, kind by kind."""
    from attain.runtime.ledger import SqliteLedger

    path = tmp_path / "ledger.db"
    optimizer = Optimizer(LINE, ledger=path)
    reader = SqliteLedger(path, read_only=True)

    def kinds() -> list[str]:
        return [r.kind for r in reader.read()]

    first, second = optimizer.ask(2)
    assert kinds() == ["optimizer", "chosen", "asked", "asked"]
    optimizer.tell(first, 1.0)
    optimizer.lost(second)
    optimizer.add({"x": 0.5}, 0.5)
    optimizer.extend({"x": (0.0, 2.0)})
    assert kinds()[4:] == ["told", "lost", "added", "extended"]
    reader.close()
    optimizer.close()
    again = Optimizer(LINE, ledger=path)
    assert again.space.version == 2
    again.close()
    Optimizer({"x": (0.0, 2.0)}, ledger=path).close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """One study has one writer; once closed it can be read, and writing says why not."""
    optimizer = Optimizer(LINE, ledger=tmp_path / "ledger.db")
    trial = optimizer.ask()
    with pytest.raises(LedgerError, match="one study has one writer"):
        Optimizer(LINE, ledger=tmp_path / "ledger.db")
    optimizer.close()
    optimizer.close()
    assert optimizer.running == (trial,)
    with pytest.raises(LedgerError, match="the optimizer was closed"):
        optimizer.tell(trial, 1.0)


def test_a_ledger_goes_on_under_its_own_statement_only(tmp_path: Path) -> None:
    """Another space, seed, goal, start or strategy is refused, all differences at once."""
    path = tmp_path / "ledger.db"
    Optimizer(LINE, strategy="random", ledger=path).close()
    changed = {"goals": "maximize a", "seed": 1, "start": [{"x": 0.5}], "strategy": "sobol"}
    with pytest.raises(SpecError, match="goes on with the goals it began with") as caught:
        Optimizer({"x": (0.0, 3.0)}, ledger=path, **changed)
    assert {p.place for p in caught.value.problems} == {"space", *changed}
    with Optimizer(LINE, ledger=path) as again:  # "auto" is whatever it began with
        assert again.strategy[0] == "random"


def test_auto_chooses_again_for_another_budget(tmp_path: Path) -> None:
    """A search that began small and goes on large gets the strategy that suits the larger one."""
    path = tmp_path / "ledger.db"
    names = []
    for trials in (3, 3, 50, None):
        with Optimizer(LINE, trials=trials, ledger=path) as optimizer:
            names.append(optimizer.strategy[0])
    assert names == ["sobol", "sobol", "bayes", "bayes"]


def test_a_foreign_ledger_is_refused_and_untouched(tmp_path: Path) -> None:
    """The ledger of another kind of study is not written into."""
    from attain.core.types import Draft
    from attain.runtime.ledger import SqliteLedger

    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.append([Draft("study", "study", {})])
    ledger.close()
    with pytest.raises(SpecError, match="must have been begun by an optimizer"):
        Optimizer(LINE, ledger=tmp_path / "ledger.db")
    ledger = SqliteLedger(tmp_path / "ledger.db")
    assert len(ledger.read()) == 1
    ledger.close()


def test_a_ledger_is_a_path_or_a_ledger() -> None:
    """Anything else is refused before a trial is asked for."""
    with pytest.raises(SpecError, match="must be a path or have append and read"):
        Optimizer(LINE, ledger=3)


def test_threads_share_an_optimizer() -> None:
    """Eight threads ask and tell 400 trials; none is lost, doubled or mixed up."""
    optimizer = Optimizer(LINE, strategy="random")
    barrier = threading.Barrier(8)

    def work(_: int) -> None:
        barrier.wait()
        for _ in range(50):
            trial = optimizer.ask()
            optimizer.tell(trial, trial.config["x"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert [t.id for t in optimizer.trials] == [f"t{k:05d}" for k in range(1, 401)]
    assert all(t.loss == t.config["x"] for t in optimizer.trials)


def test_trials_are_plain_values() -> None:
    """A trial's configuration goes through JSON as it is."""
    trial = Optimizer(SPACE).ask()
    assert json.loads(json.dumps(trial.config)) == trial.config


class Counting:
    """A strategy that costs nothing."""

    def propose(self, space: Any, history: Any, n: int, seed: int) -> tuple[Proposal, ...]:
        return tuple(Proposal({"x": (len(history) + k) / 1e6}, "next") for k in range(n))

    def judge(self, history: Any, running: Any) -> dict[str, Any]:
        return {}


def test_the_surface_costs_less_than_a_millisecond() -> None:
    """Without the strategy, asking and telling at 5,000 trials takes far below 1 ms."""
    optimizer = Optimizer(LINE, strategy=Counting())
    for trial in optimizer.ask(5000):
        optimizer.tell(trial, 0.5)
    times = []
    for _ in range(200):
        began = time.perf_counter()
        optimizer.tell(optimizer.ask(), 0.5)
        times.append(time.perf_counter() - began)
    assert sorted(times)[100] < 1e-3

"""Population-based training in a study: schedules describe models, states only save time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pipeline_small import inline, table
from test_pipeline_pausing import essence, scored, searched, states
from test_pipeline_run import StopAfter, payloads

from attain.core.errors import Interrupted, PluginError
from attain.core.types import Proposal
from attain.pipeline import folders, judging
from attain.pipeline import run as running
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec

Make = Callable[..., StudySpec]
STATED: dict[str, Any] = {
    "learners": ["mlp"],
    "strategy": "pipeline_patient:Four",
    "objectives": ["maximize roc_auc"],
    "budget": "4 trials",
    "folds": 2,
    "repeats": 1,
    "rigor": "quick",
}


@pytest.fixture(scope="module")
def whole() -> dict[str, Result]:
    """The study that the others are compared with, once it was run."""
    return {}


@pytest.fixture
def undisturbed(whole: dict[str, Result], spec: Make) -> Result:
    if not whole:
        whole["it"] = running.run(spec(data=table(160), **STATED), executors=inline)
    return whole["it"]


def test_bad_members_take_over_the_state_of_good_ones(undisturbed: Result) -> None:
    """Another one's seed and past, then a change; all four places are filled to the end."""
    trials = searched(undisturbed)
    copies = [t for t in trials.values() if t["origin"]]
    assert copies
    for copy in copies:
        source = trials[copy["origin"]]
        assert copy["seed"] == source["seed"]
        assert copy["step"] % 12 == 0
        change = f" @{copy['step']} "
        values = [copy["config"][name] for name in ("learning_rate", "alpha")]
        assert any(change in str(value) for value in values)
        assert isinstance(copy["point"]["mlp.learning_rate"], float)
    ends = [name for name in trials if scored(undisturbed)[name]["status"] == "done"]
    assert len(ends) == 4
    assert sum(not t["parent"] for t in trials.values()) == 4
    assert states(undisturbed.folder) == set()


def test_a_schedule_describes_the_model_without_any_state(
    undisturbed: Result, spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fit anew from its schedule: the same losses, members and winner, to the bit."""
    monkeypatch.setattr(folders, "take_over", lambda *names: None)
    again = running.run(
        spec(data=table(160), **STATED, output=str(tmp_path / "again")), executors=inline
    )
    assert essence(again) == essence(undisturbed)
    chosen = [payloads(r.records, "refit")[0]["digest"] for r in (again, undisturbed)]
    assert chosen[0] == chosen[1]


def test_a_population_that_was_interrupted_ends_as_the_undisturbed_one(
    undisturbed: Result, spec: Make, tmp_path: Path
) -> None:
    """Right after a copy was asked for."""
    asked = [p["trial"] for p in payloads(undisturbed.records, "trial")]
    count = next(i for i, trial in enumerate(asked, 1) if trial["origin"])
    stated = spec(data=table(160), **STATED, output=str(tmp_path / "again"))
    with pytest.raises(Interrupted, match="finished trials are kept"):
        running.run(stated, listen=StopAfter("trial", count), executors=inline)
    assert essence(running.run(stated, executors=inline)) == essence(undisturbed)


def test_only_what_waits_can_be_followed() -> None:
    """A strategy of one's own that names another trial is told so."""

    class Nothing:
        trials: ClassVar[dict[str, Any]] = {}
        strategy = "mine"

    with pytest.raises(PluginError, match="must be trials that wait"):
        judging.follow(Nothing(), Proposal({}, "mine", parent="t0001"), 1)  # type: ignore[arg-type]

"""What the study file says of parameters reaches every fit, and the plan."""

from __future__ import annotations

import pytest
from pipeline_small import table

import attain
from attain.core.errors import SpecError


def tuned(tmp_path, **more):
    return attain.tune(
        table(), "label", objectives=["roc_auc >= 0.5"], learners=["linear"], budget="4 trials",
        folds=2, rigor="quick", workers=1, output=tmp_path / "study", **more,
    )  # fmt: skip


def test_every_fit_has_what_was_fixed_and_stays_in_the_range(tmp_path):
    """The penalty is the one stated, and no trial leaves the range of C."""
    result = tuned(tmp_path, parameters={"penalty": "l1", "linear.C": [0.5, 0.6]})
    configs = [
        r.payload["trial"]["config"]
        for r in result.records
        if r.kind == "trial" and r.payload["trial"]["learner"] == "linear"
    ]
    assert len(configs) >= 4
    assert {c["penalty"] for c in configs} == {"l1"}
    assert all(0.5 <= c["C"] <= 0.6 for c in configs)
    (selection,) = [r.payload for r in result.records if r.kind == "selection"]
    reasons = {c["name"]: c["reason"] for c in selection["parameters"]}
    assert reasons["linear.penalty"] == "fixed at l1 in the study file"
    assert reasons["linear.C"] == "stated in the study file"


def test_a_parameter_that_does_not_exist_stops_the_study_before_any_fit(tmp_path):
    """With the nearest name; nothing has been spent."""
    with pytest.raises(SpecError, match="penalty"):
        tuned(tmp_path, parameters={"penality": "l1"})

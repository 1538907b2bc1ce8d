"""What the columns of new rows say to a saved model."""

import numpy as np
import pytest

from attain.core.errors import SpecError
from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Signal, Task
from attain.pipeline import saved
from attain.pipeline.telling import STRONGEST
from attain.testing.learner_suite import synthetic


def model_of(learner, task, folder):
    dataset, rows = synthetic(task, rows=200)
    fitted = find("learner", learner)().fit({}, FitData(dataset, rows), lambda *_: Signal.CONTINUE)
    saved.save(folder, fitted, learner=learner, config={}, dataset=dataset, about={})
    return saved.load(folder), rows.X


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
@pytest.mark.parametrize("learner", ["linear", "lightgbm"])
def test_contributions_lead_from_the_mean_to_each_prediction(learner, task, tmp_path):
    """Mean plus columns is the log odds of the predicted class, or the value."""
    model, X = model_of(learner, task, tmp_path / "model")
    found = model.explain(X)
    assert list(found.values.columns) == list(X.columns)
    assert found.mean + found.values.to_numpy().sum(axis=1) == pytest.approx(found.output, rel=1e-6)
    prediction = model.raw(X)
    if task is Task.REGRESSION:
        assert found.output == pytest.approx(prediction)
    else:
        chance = prediction.max(axis=1)
        assert found.output == pytest.approx(np.log(chance / (1 - chance)), rel=1e-4)


def test_reasons_name_the_strongest_cells_of_each_row(tmp_path):
    """The column that stands first has the largest value; predictions are the same as without."""
    model, X = model_of("lightgbm", Task.BINARY, tmp_path / "model")
    plain, told = model.predict_frame(X), model.predict_frame(X, explain=True)
    name = model.dataset.target
    assert plain[name].tolist() == told[name].tolist()
    strongest = model.explain(X).values.abs().idxmax(axis=1)
    for text, column in zip(told[f"{name} because"], strongest, strict=True):
        assert text.startswith(f"{column} = ")
        assert 1 <= text.count(" = ") <= STRONGEST


def test_a_model_that_is_no_sum_is_refused_by_name(tmp_path):
    """A forest cannot tell exactly: the learner is named, with those that can."""
    model, X = model_of("extra_trees", Task.BINARY, tmp_path / "model")
    with pytest.raises(SpecError, match="extra_trees") as caught:
        model.explain(X)
    assert "lightgbm" in str(caught.value)
    assert len(model.predict_frame(X)) == len(X)

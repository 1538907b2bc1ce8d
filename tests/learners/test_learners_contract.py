"""Every built-in learner keeps the contract that outsiders' learners must keep."""

import subprocess
import sys

import numpy as np
import pytest

from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Signal, Task
from attain.testing.learner_suite import check_learner, synthetic

NAMES = ("baseline", "linear", "random_forest", "extra_trees", "knn", "svm", "lightgbm", "mlp")


@pytest.mark.parametrize("task", [task for task in Task if not task.counted])
@pytest.mark.parametrize("name", NAMES)
def test_every_learner_keeps_the_contract(name, task):
    """Space, soundness, repeatability, saving, STOP, hints, gaps: the whole suite."""
    check_learner(find("learner", name), tasks=(task,), configs=1)


_LOAD = """
import sys, pathlib, numpy as np
from attain.core.registry import find
from attain.core.types import Task
from attain.testing.learner_suite import synthetic
root = pathlib.Path(sys.argv[1])
_, rows = synthetic(Task.MULTICLASS)
for name in sys.argv[2:]:
    learner = find("learner", name)()
    found = learner.predict(learner.load(root / name), rows)
    assert np.array_equal(found, np.load(root / f"{name}.npy")), name
"""


def test_models_predict_the_same_in_a_fresh_process(tmp_path):
    """What was saved is all that is needed: a new process gives the same bits."""
    dataset, rows = synthetic(Task.MULTICLASS)
    for name in NAMES:
        learner = find("learner", name)()
        data = FitData(dataset, rows.take(np.arange(90)), rows.take(np.arange(90, 120)))
        config = learner.space(dataset).defaults()
        model = learner.fit(config, data, lambda step, losses: Signal.CONTINUE)
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
        np.save(tmp_path / f"{name}.npy", learner.predict(model, rows))
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(tmp_path), *NAMES], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

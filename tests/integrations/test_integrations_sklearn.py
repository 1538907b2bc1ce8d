"""The model as a scikit-learn estimator: one file, no pickle, the same predictions everywhere."""

from __future__ import annotations

import copy
import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import skops.io
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import cross_val_score
from skops.io.exceptions import UntrustedTypesFoundException

from attain.core import files, registry
from attain.core.errors import ArtifactError, DataError, EnvironmentProblem, SpecError
from attain.core.types import Task
from attain.integrations.sklearn import (
    TRUSTED,
    AttainClassifier,
    AttainRegressor,
    from_folder,
    write_skops,
)
from attain.pipeline import saved

ROOT = Path(registry.__file__).parents[2]
LEARNERS = ("linear", "lightgbm", "svm", "mlp", "random_forest", "extra_trees", "knn", "baseline")
FAKE = "attain.testing.fakes:FakeLearner"


def fresh(script: str, *arguments: object) -> str:
    """What a new Python process says that knows attain and nothing else of this one."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


PREDICT = """
import sys
import numpy as np, pandas as pd, skops.io
trusted = ["attain.integrations.sklearn.AttainClassifier",
           "attain.integrations.sklearn.AttainRegressor"]
for path in sys.argv[1:]:
    model = skops.io.load(path + "/model.skops", trusted=trusted)
    frame = pd.read_parquet(path + "/rows.parquet")
    found = {"predict": model.predict(frame)}
    if hasattr(model, "predict_proba"):
        found = {"predict": found["predict"].astype(str), "proba": model.predict_proba(frame)}
    np.savez(path + "/found.npz", **found)
"""


@pytest.fixture(scope="module")
def elsewhere(model_folder, tmp_path_factory):
    """For each learner and task a folder with what a fresh process predicted from the file."""
    places = {}
    for learner in LEARNERS:
        for task in (task for task in Task if not (task.counted or task.several)):
            folder, frame = model_folder(learner, task)
            place = tmp_path_factory.mktemp("elsewhere")
            write_skops(folder, place / "model.skops")
            frame.to_parquet(place / "rows.parquet")
            places[learner, task] = place
    fresh(PREDICT, *places.values())
    return places


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_file_predicts_in_a_fresh_process_what_the_folder_predicts(
    model_folder, elsewhere, learner, task
):
    """To the last bit, for every learner, without the folder it came from."""
    folder, frame = model_folder(learner, task)
    model = saved.load(folder)
    with np.load(elsewhere[learner, task] / "found.npz") as found:
        np.testing.assert_array_equal(
            found["predict"], model.predict(frame).astype(found["predict"].dtype)
        )
        if task.classifies:
            np.testing.assert_array_equal(found["proba"], model.raw(frame))


def test_the_file_holds_bytes_and_no_pickle(elsewhere):
    """Plain containers of bytes are all there is; one class must be trusted, and is asked for."""
    path = elsewhere["linear", Task.BINARY] / "model.skops"
    assert skops.io.get_untrusted_types(file=path) == [TRUSTED[0]]
    with pytest.raises(UntrustedTypesFoundException, match="AttainClassifier"):
        skops.io.load(path)
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    loaders: set[str] = set()

    def sweep(node: object) -> None:
        if isinstance(node, dict):
            loaders.add(node.get("__loader__", "none"))
            list(map(sweep, node.values()))
        elif isinstance(node, list):
            list(map(sweep, node))

    sweep(schema)
    assert loaders - {"none"} == {"ObjectNode", "DictNode", "BytesNode", "ListNode", "TypeNode"}


@pytest.fixture
def classifier(model_folder):
    """A classifier with its rows and their labels."""
    folder, frame = model_folder("linear", Task.BINARY)
    estimator = from_folder(folder)
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(len(frame)) < 0.1, "a", estimator.predict(frame)).astype(str)
    return estimator, frame, labels


def test_it_says_what_it_is(classifier, model_folder):
    """Kind, classes, columns and digest, as scikit-learn and the study name them."""
    estimator, frame, _ = classifier
    model = saved.load(model_folder("linear", Task.BINARY)[0])
    assert is_classifier(estimator)
    assert tuple(estimator.classes_) == model.dataset.classes
    assert list(estimator.feature_names_in_) == list(frame.columns)
    assert estimator.n_features_in_ == frame.shape[1]
    assert estimator.digest_ == model.digest
    assert estimator.get_params() == {}
    assert estimator.set_params() is estimator
    assert repr(estimator) == "AttainClassifier()"
    assert "AttainClassifier" in estimator._repr_html_()
    regressor = from_folder(model_folder("linear", Task.REGRESSION)[0])
    assert is_regressor(regressor)
    assert isinstance(regressor, AttainRegressor)
    assert not hasattr(regressor, "predict_proba")


def test_scores_are_those_of_its_predictions(classifier, model_folder):
    """`score` is accuracy for classes, and R² for values."""
    estimator, frame, labels = classifier
    assert estimator.score(frame, labels) == np.mean(estimator.predict(frame) == labels)
    folder, rows = model_folder("linear", Task.REGRESSION)
    regressor = from_folder(folder)
    assert regressor.score(rows, regressor.predict(rows)) == 1.0


def test_tools_of_scikit_learn_work_on_it(classifier):
    """Importance by permutation, validation, calibration and copies take it as it is."""
    estimator, frame, labels = classifier
    found = permutation_importance(estimator, frame, labels, n_repeats=2, random_state=0)
    importance = dict(zip(frame.columns, found.importances_mean, strict=True))
    assert importance["size"] == max(importance.values()) > 0
    assert importance["constant"] == 0
    frozen = FrozenEstimator(estimator)
    scores = cross_val_score(frozen, frame, labels, cv=4)
    assert scores.mean() == pytest.approx(estimator.score(frame, labels))
    auc = cross_val_score(frozen, frame, labels, cv=4, scoring="roc_auc")
    assert 0.5 < auc.mean() <= 1
    calibrated = CalibratedClassifierCV(frozen, method="sigmoid").fit(frame, labels)
    assert calibrated.predict_proba(frame).shape == (len(frame), 2)


def test_copies_predict_the_same_and_carry_the_files_alone(classifier):
    """A clone is itself; what was opened is neither pickled nor copied."""
    estimator, frame, _ = classifier
    wanted = estimator.predict_proba(frame)
    assert clone(estimator) is estimator
    assert set(estimator.__getstate__()) == {"files_"}
    for other in (copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        assert set(vars(other)) == {"files_"}
        np.testing.assert_array_equal(other.predict_proba(frame), wanted)


def test_fitting_is_refused_with_the_ways_out(classifier):
    """A final model is never fitted over; an empty one says where models come from."""
    estimator, frame, labels = classifier
    with pytest.raises(SpecError, match=r"cannot be fitted again .*attain\.tune.*FrozenEstimator"):
        estimator.fit(frame, labels)
    with pytest.raises(NotFittedError, match=r"AttainRegressor holds no model.*from_folder"):
        AttainRegressor().predict(frame)
    with pytest.raises(DataError, match=r"wrap arrays with pandas\.DataFrame"):
        estimator.predict(np.zeros((2, 10)))
    with pytest.raises(DataError, match=r"column 'size': the column is needed but missing"):
        estimator.predict(frame.drop(columns="size"))


def altered(path: Path, change: dict[bytes, bytes]) -> io.BytesIO:
    """A skops file with parts of its contents replaced, and every checksum of the archive right."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            for before, after in change.items():
                content = content.replace(before, after)
            new.writestr(name, content)
    return out


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b'"learner": "linear"', b'"learner": "mlp"', r"(learner/)?model\.json was altered"),
        (b'"learner/linear.npz": {', b'"learner/other.npz": {', r"other\.npz was added"),
        (b'"learner/linear.npz"', b'"../linear.npz"', "leads outside of the exported model"),
        (b'"learner/linear.npz"', b'"/tmp/linear.npz"', "leads outside of the exported model"),
        (b'"manifest.json"', b'"manifest.txt"', "the exported model is not a model folder"),
        (b"attain-model/1", b"attain-model/9", "has format 'attain-model/9'.*upgrade"),
    ],
)
def test_altered_contents_are_refused(elsewhere, model_folder, before, after, message):
    """Whatever was changed is named when the model is first used, and nothing predicts."""
    _, frame = model_folder("linear", Task.BINARY)
    path = elsewhere["linear", Task.BINARY] / "model.skops"
    model = skops.io.load(altered(path, {before: after}), trusted=TRUSTED)
    with pytest.raises(ArtifactError, match=message):
        model.predict(frame)


@pytest.mark.parametrize("held", [None, [b""], {"model.json": "text"}, {"manifest.json": 1}])
def test_what_is_no_model_is_refused(model_folder, held):
    """An estimator that holds something else than files says so."""
    estimator = AttainClassifier()
    estimator.files_ = held
    with pytest.raises(ArtifactError, match="the exported model does not hold the files"):
        estimator.predict(model_folder()[1])


def test_a_file_cannot_bring_an_opened_model(classifier):
    """Only the files are taken from a state: a manifest is always checked."""
    estimator, frame, _ = classifier
    other = AttainClassifier()
    other.__setstate__({"files_": {}, "_opened": estimator._opened})
    with pytest.raises(ArtifactError, match="the exported model is not a model folder"):
        other.predict(frame)


FOREIGN = """
import sys
import skops.io
from attain.core import registry
from attain.core.errors import ArtifactError
from attain.integrations.sklearn import TRUSTED
model = skops.io.load(sys.argv[1], trusted=TRUSTED)
try:
    model.predict(sys.argv[2])
except ArtifactError as error:
    print(error)
print("attain.testing.fakes" in sys.modules)
from attain.testing.fakes import FakeLearner
registry.register("learner", "attain.testing.fakes:FakeLearner", FakeLearner)
print(*model.predict(sys.argv[2]))
"""


def test_a_file_does_not_choose_what_is_imported(model_folder, tmp_path):
    """A learner from elsewhere is refused, not imported, until the user has registered it."""
    folder, frame = model_folder(FAKE)
    write_skops(folder, tmp_path / "model.skops")
    frame.to_parquet(tmp_path / "rows.parquet")
    refused, imported, labels = fresh(
        FOREIGN, tmp_path / "model.skops", tmp_path / "rows.parquet"
    ).splitlines()
    assert f"needs the learner {FAKE!r}, which is not part of attain" in refused
    assert f"registry.register('learner', {FAKE!r}, TheClass)" in refused
    assert imported == "False"
    assert labels.split() == list(saved.load(folder).predict(frame))


def test_a_folder_that_is_no_sound_model_is_not_exported(model_folder, tmp_path):
    """Every file is checked before it is packed."""
    shutil.copytree(model_folder()[0], tmp_path / "model")
    (tmp_path / "model" / "extra").touch()
    with pytest.raises(ArtifactError, match="extra was added"):
        from_folder(tmp_path / "model")
    with pytest.raises(ArtifactError, match="is not a model folder"):
        from_folder(tmp_path / "nowhere")


def test_a_full_disk_keeps_the_old_file(model_folder, tmp_path, monkeypatch):
    """An export that fails does not cost the one that is there."""

    def fail(handle: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder, _ = model_folder()  # made before the disk is full
    (tmp_path / "model.skops").write_text("old")
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(EnvironmentProblem, match=r"model\.skops: the disk is full — free some"):
        write_skops(folder, tmp_path / "model.skops")
    assert (tmp_path / "model.skops").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.skops"]


LOADED = "print(any(n.startswith('attain.integrations') for n in sys.modules), file=sys.stderr)"


@pytest.mark.parametrize(
    "script",
    [
        "import attain; attain.load, attain.tune",
        "sys.argv = ['attain', '--help']; from attain.cli.main import main; main()",
        "sys.argv = ['attain', 'export', '--help']; from attain.cli.main import main; main()",
    ],
)
def test_integrations_are_loaded_when_they_are_used(script):
    """Neither the package nor a command's help waits for other libraries' interfaces."""
    code = f"import atexit, sys; atexit.register(lambda: {LOADED}); {script}"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr.splitlines()[-1] == "False"

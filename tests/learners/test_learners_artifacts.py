"""Model folders that are damaged, altered or foreign are refused, and nothing in them is run."""

import io
import json
import zipfile

import numpy as np
import pytest

from attain.core.errors import ArtifactError
from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Signal, Task
from attain.learners import _skops
from attain.learners._store import read_arrays, write_arrays, write_json
from attain.testing.learner_suite import synthetic

NAMES = ("baseline", "linear", "random_forest", "extra_trees", "knn", "svm", "lightgbm", "mlp")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a saved model of each learner; a small one where that can be chosen."""
    root = tmp_path_factory.mktemp("models")
    dataset, rows = synthetic(Task.BINARY)
    for name in NAMES:
        learner = find("learner", name)()
        config = {"trees": 50} if name.endswith(("forest", "trees")) else {}
        data = FitData(dataset, rows, hints={"rounds": 3})
        model = learner.fit(config, data, lambda step, losses: Signal.CONTINUE)
        (root / name).mkdir()
        model.save(root / name)
    return root


def copied(folder, tmp_path):
    """A copy that a test may damage."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_any_missing_or_damaged_file_is_refused(saved, name, tmp_path):
    """Each file in turn is emptied, cut, garbled and removed: always an ArtifactError."""
    count = 0
    for path in sorted((saved / name).iterdir()):
        content = path.read_bytes()
        for i, damaged in enumerate([b"", content[: len(content) // 2], b"\x00" * 40, None]):
            folder = tmp_path / f"{path.name}{i}"
            folder.mkdir()
            copied(saved / name, folder)
            if damaged is None:
                (folder / path.name).unlink()
            else:
                (folder / path.name).write_bytes(damaged)
            with pytest.raises(ArtifactError, match=r"model|saved|read"):
                find("learner", name)().load(folder)
            count += 1
    assert count >= 4


def test_a_model_of_another_learner_is_refused_by_name(saved):
    """Loading with the wrong class says which one wrote the folder."""
    with pytest.raises(ArtifactError, match="model of 'linear', not of 'mlp'"):
        find("learner", "mlp")().load(saved / "linear")


def test_a_newer_format_is_refused(saved, tmp_path):
    """A format this code does not know is not guessed at."""
    folder = copied(saved / "linear", tmp_path)
    stored = json.loads((folder / "model.json").read_text())
    write_json(folder, "model.json", {**stored, "format": 99})
    with pytest.raises(ArtifactError, match="not of format 1"):
        find("learner", "linear")().load(folder)


def test_a_baseline_without_its_values_is_refused(saved, tmp_path):
    """The baseline has no file but the description."""
    folder = copied(saved / "baseline", tmp_path)
    stored = json.loads((folder / "model.json").read_text())
    write_json(folder, "model.json", {**stored, "constant": None})
    with pytest.raises(ArtifactError, match="the baseline's values are missing"):
        find("learner", "baseline")().load(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("left_child", 10**6, "left_child leads outside"),
        ("right_child", -7, "right_child leads outside"),
        ("right_child", 0, "right_child leads outside"),  # would go in circles
        ("feature", 999, "asks for a column that is not there"),
        ("feature", -3, "asks for a column that is not there"),
    ],
)
def test_trees_that_would_read_outside_of_memory_are_refused(
    saved, tmp_path, field, value, message
):
    """Compiled look-ups trust their nodes, so altered ones never reach them."""
    folder = copied(saved / "random_forest", tmp_path)
    arrays = read_arrays(folder, "trees.npz")
    arrays["nodes"][field][0] = value
    write_arrays(folder, "trees.npz", arrays)
    with pytest.raises(ArtifactError, match=message):
        find("learner", "random_forest")().load(folder)


def test_trees_whose_sizes_do_not_add_up_are_refused(saved, tmp_path):
    """A cut array of values does not shift all trees behind it."""
    folder = copied(saved / "extra_trees", tmp_path)
    arrays = read_arrays(folder, "trees.npz")
    arrays["values"] = arrays["values"][:-1]
    write_arrays(folder, "trees.npz", arrays)
    with pytest.raises(ArtifactError, match="do not add up"):
        find("learner", "extra_trees")().load(folder)


def test_pickled_arrays_are_refused(tmp_path):
    """An array of objects needs pickle, which is never allowed."""
    np.savez(tmp_path / "a.npz", x=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(ArtifactError, match="allow_pickle=False"):
        read_arrays(tmp_path, "a.npz")


def test_foreign_types_in_a_skops_file_are_refused(saved, tmp_path):
    """A type outside of the allow-list is named and not loaded."""
    folder = copied(saved / "svm", tmp_path)
    with zipfile.ZipFile(folder / "svm.skops") as old:
        members = {name: old.read(name) for name in old.namelist()}
    schema = json.loads(members["schema.json"])
    schema["__module__"], schema["__class__"] = "subprocess", "Popen"
    members["schema.json"] = json.dumps(schema).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    (folder / "svm.skops").write_bytes(content.getvalue())
    with pytest.raises(ArtifactError, match=r"subprocess\.Popen.*attain does not trust"):
        find("learner", "svm")().load(folder)


def test_a_trusted_estimator_of_the_wrong_class_is_refused(tmp_path):
    """Harmless is not enough: the file must hold what the learner wrote."""
    from sklearn.linear_model import Ridge
    from sklearn.svm import SVC

    _skops.dump(tmp_path, "x.skops", Ridge())
    with pytest.raises(ArtifactError, match="holds a Ridge, not a SVC"):
        _skops.load(tmp_path, "x.skops", (SVC,))


def test_names_cannot_lead_outside_of_the_folder(tmp_path):
    """Reading and writing stay inside the model's folder."""
    with pytest.raises(ArtifactError, match="leads outside"):
        read_arrays(tmp_path, "../elsewhere.npz")

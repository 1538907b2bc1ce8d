"""A model outside of its study: each format holds all of it, or nothing is written."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any, NoReturn

import json_reader
import numpy as np
import pytest

from attain.cli.commands.export import command
from attain.core import files
from attain.core.errors import ArtifactError, EnvironmentProblem, SpecError
from attain.core.types import Task
from attain.pipeline import api, exports, saved

SCRIBBLER = "pipeline_learners:Scribbler"
ALL_KINDS = [
    ("baseline", {}),
    ("linear", {"numeric": "standard"}),
    ("linear", {"numeric": "quantile"}),
    ("linear", {"numeric": "piecewise"}),
    ("lightgbm", {}),
    ("random_forest", {"trees": 50}),
    ("extra_trees", {"trees": 50}),
    ("knn", {}),
    ("knn", {"weights": "uniform", "p": 1}),
    ("svm", {"numeric": "robust"}),
    ("mlp", {}),
    ("mlp", {"activation": "tanh"}),
]


def strict(path: Path) -> Any:
    """JSON as other languages read it: without NaN and infinities."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
@pytest.mark.parametrize(("learner", "config"), ALL_KINDS)
def test_the_document_is_all_that_is_needed_to_predict(
    model_folder, tmp_path, learner, config, task
):
    """A reader that knows the documented layout, and nothing of attain, predicts the same."""
    folder, frame = model_folder(learner, task, **config)
    exports.write(folder, tmp_path / "model.json", "json")
    wanted = saved.load(folder).raw(frame)
    found = json_reader.predict(strict(tmp_path / "model.json"), frame)
    assert found.shape == wanted.shape
    assert np.ptp(wanted) > 0 or learner == "baseline"
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_the_document_says_what_the_model_is(model_folder, tmp_path):
    """Format, digest, data set and every file of the learner are there, by name."""
    folder, _ = model_folder()
    exports.write(folder, tmp_path / "model.json", "json")
    found = strict(tmp_path / "model.json")
    assert found["format"] == exports.DOCUMENT
    assert found["digest"] == saved.load(folder).digest
    assert found["about"] == json.loads((folder / "model.json").read_text())
    assert set(found["learner"]) == set(saved.contents(folder / "learner"))


def test_files_that_nobody_knows_are_in_the_document(model_folder, tmp_path):
    """A learner of one's own: text stays text, other bytes are base64, NaN is a word."""
    folder, _ = model_folder(SCRIBBLER)
    exports.write(folder, tmp_path / "model.json", "json")
    found = strict(tmp_path / "model.json")["learner"]
    assert found["deep/notes.txt"] == {"encoding": "utf-8", "data": "naïve\n"}
    assert found["raw.bin"] == {"encoding": "base64", "data": "/wD+"}
    assert found["odd.json"] == {"loss": "NaN"}
    assert found["broken.json"] == {"encoding": "utf-8", "data": "{"}
    more = found["more.npz"]
    assert more["words"] == {"dtype": "<U1", "shape": [2], "data": ["é", ""]}
    assert more["days"]["data"] == ["2024-02-29"]
    assert more["gaps"]["data"] == [[1.5, "NaN"], ["Infinity", "-Infinity"]]
    read = json_reader.read(more["gaps"])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.float32([[1.5, np.nan], [np.inf, -np.inf]]))


def test_an_exported_folder_is_the_model(model_folder, tmp_path):
    """Same digest, same predictions, from a model folder and from a study folder that has one."""
    folder, frame = model_folder("lightgbm")
    for number, source in enumerate((folder, folder.parent)):
        written = api.export(source, tmp_path / f"copy{number}")
        copy = saved.load(written)
        assert copy.digest == saved.load(folder).digest
        np.testing.assert_array_equal(copy.raw(frame), saved.load(folder).raw(frame))
        saved.verify(written)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy0", "copy1"]


def test_the_command_offers_the_formats_that_exist():
    """The help of the command and its default keep up with the table of formats."""
    (option,) = (p for p in command.params if p.name == "format_")
    assert option.metavar == f"[{'|'.join(exports.FORMATS)}]"
    assert option.default in exports.FORMATS


@pytest.mark.parametrize("format", exports.FORMATS)
@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("file", r"destination must not exist \(got '?.*file'?\) — name another"),
        ("folder", "destination must not exist"),
        ("dangling", "destination must not exist"),
        ("nowhere/model", r"destination's folder must exist \(got .*nowhere"),
        ("file/model", "destination's folder must exist"),
        ("copy/model/inside", "destination must lie outside of the model's folder"),
        ("link/inside", "destination must lie outside of the model's folder"),
        ("copy/model/learner/../inside", "destination must lie outside of the model's folder"),
    ],
)
def test_places_that_are_none_are_refused(model_folder, tmp_path, format, to, message):
    """Nothing is replaced, no folder is made, and the model is left as it is."""
    folder, _ = model_folder()
    shutil.copytree(folder, tmp_path / "copy" / "model")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "link").symlink_to("copy/model")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SpecError, match=message):
        exports.write(tmp_path / "copy" / "model", tmp_path / to, format)
    assert sorted(tmp_path.rglob("*")) == before
    saved.verify(tmp_path / "copy" / "model")


def test_an_unknown_format_is_refused_with_the_nearest(model_folder, tmp_path):
    """All that is wrong is said at once, before the model is looked at."""
    (tmp_path / "there").touch()
    with pytest.raises(SpecError, match=r"(?s)'skop'.* did you mean 'skops'.*must not exist"):
        exports.write(tmp_path / "no model", tmp_path / "there", "skop")
    with pytest.raises(SpecError, match=r"'onnx'.* use one of: folder, json, skops"):
        exports.write(model_folder()[0], tmp_path / "m", "onnx")


@pytest.mark.parametrize("format", exports.FORMATS)
def test_an_altered_model_is_not_exported(model_folder, tmp_path, format):
    """Every file is checked first; nothing is written."""
    shutil.copytree(model_folder()[0], tmp_path / "model")
    (tmp_path / "model" / "learner" / "linear.npz").write_bytes(b"other")
    with pytest.raises(ArtifactError, match=r"learner/linear\.npz was altered"):
        exports.write(tmp_path / "model", tmp_path / "to", format)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(errno.ENOSPC, "No space left"), EnvironmentProblem, "to: the disk is full — free"),
        (OSError(errno.EROFS, "Read-only"), EnvironmentProblem, "to: the file system is read-only"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
@pytest.mark.parametrize("moment", ["copy", "replace"])
@pytest.mark.parametrize("format", exports.FORMATS)
def test_a_failure_leaves_nothing_behind(
    model_folder, tmp_path, monkeypatch, format, moment, error, raised, message
):
    """A full disk or Ctrl-C at any moment: no draft, no half of a model, a message that helps."""

    folder, _ = model_folder()  # made before anything fails

    def fail(*args: object) -> NoReturn:
        raise error

    if moment == "replace":
        monkeypatch.setattr(exports.os, "replace", fail)
    else:
        monkeypatch.setattr(exports.shutil, "copyfile", fail)
        monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(raised, match=message):
        exports.write(folder, tmp_path / "to", format)
    assert list(tmp_path.iterdir()) == []


def test_what_lies_beside_is_left_alone(model_folder, tmp_path):
    """A hidden folder with a name like a draft's is somebody's, and stays."""
    (tmp_path / ".to.draft").mkdir()
    exports.write(model_folder()[0], tmp_path / "to", "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".to.draft", "to"]


def test_a_model_that_says_too_little_is_refused(model_folder, tmp_path):
    """A description without what predictions need is damage, though its manifest agrees."""
    shutil.copytree(model_folder()[0], tmp_path / "model")
    for content in ("[]", "{", '{"learner": "linear"}', '{"learner": "linear", "config": 3}'):
        (tmp_path / "model" / "model.json").write_text(content)
        with pytest.raises(ArtifactError, match=r"model\.json cannot be read .*get the model anew"):
            saved.read_about(tmp_path / "model")

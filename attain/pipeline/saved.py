"""Saved models: a folder without pickle, every file under a hash that is checked before use."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain._version import __version__
from attain.core.codec import decode, encode
from attain.core.errors import ArtifactError, Problem, SpecError
from attain.core.files import file_digest, inside, plain_errors, sync_folder, write_atomic
from attain.core.protocols import Model, Saying, Writing
from attain.core.registry import find
from attain.core.types import Dataset, Rows
from attain.data.labels import joined
from attain.data.load import load_frame
from attain.data.table import to_rows
from attain.pipeline.calibration import calibrated
from attain.pipeline.telling import Contributions, Tick, contributions, ignore, reasons
from attain.stats.calibrate import Calibrator
from attain.validate.threshold import DEFAULT, carried

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "attain-model/1"
MANIFEST = "manifest.json"


class SavedModel:
    """A model that was read from its folder.

    Args:
        folder: Where it lies.
        about: The content of ``model.json``.
        digest: SHA-256 of the manifest, which covers every file.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], digest: str) -> None:
        self.folder = folder
        self.digest = digest
        self.learner_name: str = about["learner"]
        self.config: dict[str, Any] = dict(about["config"])
        self.dataset = decode(Dataset, about["dataset"])
        self.threshold: float | None = about.get("threshold")
        self._plain = find("learner", self.learner_name)()
        self.learner = calibrated(self._plain, about.get("calibrator"))
        self.model: Model = self.learner.load(folder / "learner")

    def __repr__(self) -> str:
        return f"<{self.learner_name} for {self.dataset.target!r} from {self.folder}>"

    def raw(self, data: Any) -> np.ndarray:
        """Probabilities of shape (n, classes), or values of shape (n,).

        Args:
            data: A path, or a pandas or polars frame with the feature columns; others are ignored.

        Returns:
            One row per row of the data.

        Raises:
            DataError: When a column is missing or a value cannot be read.
        """
        rows = self.read(load_frame(data))
        prediction: np.ndarray = self.learner.predict(self.model, rows)
        return prediction

    def read(self, frame: Any) -> Rows:
        """Rows as the learner sees them; the target is not needed."""
        return to_rows(frame, self.dataset, with_target=False)

    def write(self, data: Any) -> np.ndarray:
        """Answers, where predictions are counts: texts, labels of words, transcripts.

        Args:
            data: As for `raw`.

        Returns:
            Texts, shape (n,), labels of words as JSON lists; None where a row has nothing that the
            model can be given.

        Raises:
            DataError: When a column is missing.
        """
        rows = self.read(load_frame(data))
        if isinstance(self.learner, Saying):
            return self.learner.say(self.model, rows)
        assert isinstance(self.learner, Writing)
        found = np.full(len(rows), None, dtype=object)
        for answer in self.learner.write(self.model, rows)[1]:
            found[answer["row"]] = answer["answer"]
        return found

    def predict(self, data: Any) -> np.ndarray:
        """Class labels as text, values, texts that are written, or lists with labels of words.

        Several labels of a row are one text, written as the target is: with the separator between
        them, or as a JSON list.

        Args:
            data: As for `raw`.

        Returns:
            Shape (n,).

        Raises:
            DataError: When a column is missing or a value cannot be read.
        """
        if self.dataset.task.counted:
            return _lists(self.write(data)) if self.dataset.tags else self.write(data)
        return self.said(self.raw(data))

    def said(self, prediction: np.ndarray) -> np.ndarray:
        """What probabilities decide, or the values themselves.

        Args:
            prediction: As from `raw`.

        Returns:
            Shape (n,).
        """
        if self.dataset.task.several:
            return np.array(joined(carried(prediction), self.dataset), dtype=object)
        if not self.dataset.task.classifies:
            return prediction
        return np.asarray(self.dataset.classes, dtype=object)[labels(prediction, self.threshold)]

    def explain(self, data: Any) -> Contributions:
        """How far each column moved each prediction, of models that are sums of their columns.

        Args:
            data: As for `raw`.

        Returns:
            In the rows' order.

        Raises:
            DataError: When a column is missing or a value cannot be read.
            SpecError: When the model is no sum of its columns (other learners than lightgbm and
                linear), or a row carries several labels.
        """
        rows = self.read(load_frame(data))
        return self._contributions(rows, self.learner.predict(self.model, rows))

    def predict_frame(
        self, data: Any, *, proba: bool = False, explain: bool = False, tick: Tick = ignore
    ) -> pd.DataFrame:
        """Predictions as a frame with the name of the target.

        Args:
            data: As for `raw`.
            proba: Add one column of probabilities for each class or label.
            explain: Add a column ``TARGET because``: the three cells that moved each prediction
                most; some milliseconds a row where there are hundreds of trees.
            tick: Told of rows that are explained.

        Returns:
            One row per row of the data.

        Raises:
            DataError: When a column is missing or a value cannot be read.
            SpecError: As for `explain`; when probabilities are asked for where there are none.
        """
        import pandas as pd

        name, task = self.dataset.target, self.dataset.task
        if proba and (task.counted or not self.dataset.classes):
            rule = "probabilities are told of the classes or labels of a row"
            remedy = "predict without probabilities"
            raise SpecError(Problem(rule, f"task: {task}", remedy=remedy))
        if task.counted and not explain:
            return pd.DataFrame({name: self.write(data)})
        rows = self.read(load_frame(data))
        prediction = self.learner.predict(self.model, rows)
        found = self._contributions(rows, prediction, tick) if explain else None
        frame = pd.DataFrame({name: self.said(prediction)})
        for code, label in enumerate(self.dataset.classes if proba else ()):
            frame[f"{name}={label}"] = prediction[:, code]
        if found is not None:
            frame[f"{name} because"] = reasons(found, rows, task.classifies)
        return frame

    def _contributions(
        self, rows: Rows, prediction: np.ndarray, tick: Tick = ignore
    ) -> Contributions:
        classifies = self.dataset.task.classifies
        if self.dataset.task.several or self.dataset.task.counted:
            rule = "what cells say is told of one class or value of a row"
            value = f"task: {self.dataset.task}"
            raise SpecError(Problem(rule, value, remedy="predict without explaining"))
        codes = labels(prediction, self.threshold) if classifies else None
        return contributions(self._plain, self.model, rows, codes, self.learner_name, tick)


def _lists(texts: np.ndarray) -> np.ndarray:
    """JSON lists as lists, in an array of objects."""
    made = np.empty(len(texts), dtype=object)
    for i, text in enumerate(texts):
        made[i] = json.loads(text)
    return made


def labels(prediction: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Class codes from probabilities; a binary tie goes to the positive class.

    Args:
        prediction: Shape (n, classes).
        threshold: Of two classes, the probability from which the second is predicted; None for
            one half.

    Returns:
        Shape (n,).
    """
    if prediction.shape[1] == 2:
        return (prediction[:, 1] >= (DEFAULT if threshold is None else threshold)).astype(np.int64)
    return prediction.argmax(axis=1)


def save(
    folder: Path,
    model: Model,
    *,
    learner: str,
    config: Mapping[str, Any],
    dataset: Dataset,
    about: Mapping[str, Any],
) -> str:
    """Write a model folder so that it is whole or absent.

    Args:
        folder: Where; an older model there is replaced.
        model: What was fitted.
        learner: Registered name of its family.
        config: What it was fitted with.
        dataset: The schema that predictions need.
        about: Anything else worth keeping, plain JSON values.

    Returns:
        SHA-256 of the manifest, which covers every file.

    Raises:
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    draft = folder.with_name(f".{folder.name}.draft")
    with plain_errors(folder):
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "learner").mkdir(parents=True)
        model.save(draft / "learner")
    content = {
        "format": FORMAT,
        "attain": __version__,
        "learner": learner,
        "config": dict(config),
        "dataset": encode(dataset),
        **about,
    }
    write_atomic(draft / "model.json", json.dumps(encode(content), indent=1))
    hashes = {name: file_digest(path) for name, path in contents(draft).items()}
    manifest = json.dumps({"format": FORMAT, "files": hashes}, indent=1, sort_keys=True)
    write_atomic(draft / MANIFEST, manifest)
    with plain_errors(folder):
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            os.replace(folder, old)
        os.replace(draft, folder)
        sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    return file_digest(folder / MANIFEST)


def load(folder: Path | str) -> SavedModel:
    """Read a model, checking every file against the manifest first.

    Args:
        folder: A model folder, or a study folder that has one.

    Returns:
        The model.

    Raises:
        ArtifactError: When the folder is no model, incomplete, or altered in any file.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file() and (folder / "model" / MANIFEST).is_file():
        folder = folder / "model"
    verify(folder)
    return SavedModel(folder, read_about(folder), file_digest(folder / MANIFEST))


def read_about(folder: Path) -> dict[str, Any]:
    """The content of ``model.json``.

    Args:
        folder: A model folder.

    Returns:
        Learner, configuration, data set, and what else was worth keeping: ``threshold`` is the
        probability from which the second of two classes is predicted, ``calibrator`` what is done
        to probabilities first, where these were chosen.

    Raises:
        ArtifactError: When the file is missing, is not JSON, or lacks what predictions need.
    """
    path = folder / "model.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        needed: dict[str, Any] = {name: dict(about[name]) for name in ("config", "dataset")}
        if "threshold" in about:
            needed["threshold"] = float(about["threshold"])
        if "calibrator" in about:
            needed["calibrator"] = encode(decode(Calibrator, about["calibrator"]))
        return {**about, "learner": str(about["learner"]), **needed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} cannot be read ({error!r}) — get the model anew") from None


def contents(folder: Path) -> dict[str, Path]:
    """Where each file of a model folder lies.

    Args:
        folder: A model folder, or a part of one.

    Returns:
        By path inside the folder, with slashes, sorted.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def verify(folder: Path) -> None:
    """Check every file of a model folder against its manifest.

    Args:
        folder: A model folder.

    Raises:
        ArtifactError: Names the files that are missing, altered, or were added.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: Mapping[str, str] = dict(manifest["files"])
        kind = manifest["format"]
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} is not a model folder (it has no {MANIFEST}) — give the folder `model` of "
            "a finished study"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / MANIFEST} cannot be read ({error}) — get it anew") from None
    if kind != FORMAT:
        raise ArtifactError(
            f"{folder} has format {kind!r}, this version reads {FORMAT!r} — upgrade"
        )
    present = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if not f.is_dir()}
    problems = [f"{name} is missing" for name in files if name not in present]
    problems += [f"{name} was added" for name in sorted(present - set(files) - {MANIFEST})]
    problems += [
        f"{name} was altered"
        for name, digest in files.items()
        if name in present and file_digest(inside(folder, name)) != digest
    ]
    if problems:
        raise ArtifactError(
            f"{folder} does not match its manifest: {'; '.join(problems)} — it was altered or "
            "damaged after it was saved; get it anew"
        )

"""A finished model as a scikit-learn estimator, in memory or in one skops file.

    import skops.io

    model = skops.io.load("model.skops", trusted=["attain.integrations.sklearn.AttainClassifier"])
    model.predict_proba(frame)

The estimator is its model folder: it holds the files as bytes, checks them against their manifest
when it is first used, and then predicts what ``attain.load(folder)`` predicts.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from attain.core.errors import ArtifactError, NotApplicable, Problem, SpecError
from attain.core.files import inside, plain_errors, write_atomic
from attain.core.registry import names
from attain.pipeline import saved


class _Exported(BaseEstimator):
    """What both estimators share.

    Attributes:
        files_: Content of each file of the model folder by its path inside it. All the state there
            is; what is opened from it is not saved, copied or sent to other processes.
    """

    files_: dict[str, bytes]

    def fit(self, X: Any, y: Any = None) -> NoReturn:
        """Refuse: the model is final.

        Args:
            X: Ignored.
            y: Ignored.

        Raises:
            SpecError: Always; says how to tune a new model and how to use this one as it is.
        """
        raise SpecError(
            Problem(
                "an exported model is final and cannot be fitted again",
                type(self).__name__,
                "fit",
                "tune a new one with attain.tune(data, target), or, where a fitted estimator is"
                " asked for, wrap this one: sklearn.frozen.FrozenEstimator(model)",
            )
        )

    def predict(self, X: Any) -> np.ndarray:
        """Class labels as text, or values.

        Args:
            X: A pandas or polars frame with the model's columns as they came with the data;
                others are ignored.

        Returns:
            Shape (n,).

        Raises:
            DataError: When a column is missing or a value cannot be read.
            ArtifactError: When the model was altered.
        """
        return self._opened.predict(X)

    @property
    def digest_(self) -> str:
        """SHA-256 of the manifest, as in the study's records."""
        return self._opened.digest

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The columns the model looks at, shape (features,)."""
        return np.array([c.name for c in self._opened.dataset.features], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of these columns."""
        return len(self._opened.dataset.features)

    @cached_property
    def _opened(self) -> saved.SavedModel:
        check_is_fitted(
            self, msg="This %(name)s holds no model; get one that does from `from_folder(folder)`."
        )
        return _open(self.files_)

    def __getstate__(self) -> dict[str, Any]:
        return _without_opened(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(_without_opened(state))  # a file must not go around the manifest

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "files_")

    def __sklearn_clone__(self) -> _Exported:
        return self  # as scikit-learn's FrozenEstimator: there is no unfitted form of it

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.no_validation = True  # attain checks the columns itself
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


class AttainClassifier(ClassifierMixin, _Exported):
    """A finished model of classes. Get one from `from_folder`, or load it with skops."""

    @property
    def classes_(self) -> np.ndarray:
        """Labels as text, in the order of the columns of `predict_proba`; shape (classes,)."""
        return np.array(self._opened.dataset.classes, dtype=object)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Args:
            X: As for `predict`.

        Returns:
            Shape (n, classes).

        Raises:
            DataError: When a column is missing or a value cannot be read.
            ArtifactError: When the model was altered.
        """
        return self._opened.raw(X)


class AttainRegressor(RegressorMixin, _Exported):
    """A finished model of values. Get one from `from_folder`, or load it with skops."""


TRUSTED = tuple(
    f"{kind.__module__}.{kind.__qualname__}" for kind in (AttainClassifier, AttainRegressor)
)
"""What ``skops.io.load(path, trusted=...)`` must be given for a file of `write_skops`."""


def from_folder(folder: Path | str) -> AttainClassifier | AttainRegressor:
    """The model of a folder as an estimator that needs the folder no more.

    Args:
        folder: A model folder, or a study folder that has one.

    Returns:
        A classifier or a regressor, fitted.

    Raises:
        ArtifactError: When the folder is no model, incomplete, or altered in any file.
        NotApplicable: When the model predicts anything but one class or value of a row.
    """
    model = saved.load(folder)
    task = model.dataset.task
    if task.several or task.counted:
        what = "any number of labels" if task.several else "more than that"
        raise NotApplicable(
            f"an estimator predicts one class or value of a row, and this model {what}"
            " — use attain.load(folder).predict"
        )
    kind = AttainClassifier if model.dataset.task.classifies else AttainRegressor
    estimator: AttainClassifier | AttainRegressor = kind()
    with plain_errors(model.folder, "reading"):
        found = saved.contents(model.folder)
        estimator.files_ = {name: path.read_bytes() for name, path in found.items()}
    return estimator


def write_skops(folder: Path | str, to: Path) -> None:
    """Write a model as one file that ``skops.io.load`` turns into an estimator.

    Args:
        folder: A model folder, or a study folder that has one.
        to: The file; replaced if it exists.

    Raises:
        ArtifactError: When the folder is no model, incomplete, or altered in any file.
        NotApplicable: When the model predicts several labels of a row.
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    import skops.io

    content = io.BytesIO()
    skops.io.dump(from_folder(folder), content, compression=zipfile.ZIP_DEFLATED)
    write_atomic(to, content.getvalue())


def _without_opened(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != "_opened"}


def _open(files: dict[str, bytes]) -> saved.SavedModel:
    with tempfile.TemporaryDirectory(prefix="attain-model-") as name:
        folder = Path(name)
        try:
            _unpack(files, folder)
            saved.verify(folder)
            _check_learner(folder)
            return saved.load(folder)
        except ArtifactError as error:  # the folder's name is gone when the message is read
            raise ArtifactError(str(error).replace(name, "the exported model")) from None


def _unpack(files: dict[str, bytes], folder: Path) -> None:
    if not isinstance(files, dict) or not all(isinstance(c, bytes) for c in files.values()):
        raise ArtifactError(f"{folder} does not hold the files of a model — get it anew")
    with plain_errors(folder):
        for name, content in files.items():
            path = inside(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _check_learner(folder: Path) -> None:
    """A file alone must not choose what is imported; whoever loads it has to."""
    learner = saved.read_about(folder)["learner"]
    if ":" in learner and learner not in names("learner"):
        raise ArtifactError(
            f"{folder} needs the learner {learner!r}, which is not part of attain — if you trust"
            f" it, import its class and call attain.core.registry.register('learner', {learner!r},"
            " TheClass) first"
        )

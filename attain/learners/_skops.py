"""scikit-learn estimators on disk, through skops with an allow-list. Never pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from attain.core.errors import ArtifactError
from attain.core.files import inside, plain_errors

_ALLOWED: frozenset[str] = frozenset()
"""Types trusted beyond those that skops knows to be harmless: none is needed so far."""


def dump(folder: Path, name: str, estimator: Any) -> None:
    """Write an estimator.

    Args:
        folder: An existing folder.
        name: File name inside it.
        estimator: A fitted scikit-learn estimator.
    """
    import skops.io

    path = inside(folder, name)
    with plain_errors(path):
        skops.io.dump(estimator, path, compression=zipfile.ZIP_DEFLATED)


def load(folder: Path, name: str, kinds: tuple[type, ...]) -> Any:
    """Read an estimator; nothing in the file is run.

    Args:
        folder: The model's folder.
        name: File name inside it.
        kinds: The classes it may have.

    Returns:
        The estimator.

    Raises:
        ArtifactError: When the file is missing or damaged, names a type that is not on the
            allow-list, or holds something else than `kinds`.
    """
    import skops.io

    path = inside(folder, name)
    try:
        foreign = sorted(set(skops.io.get_untrusted_types(file=path)) - _ALLOWED)
        if foreign:
            raise ArtifactError(
                f"{name} wants to load {', '.join(foreign)}, which attain does not trust"
                " — the folder was altered; get the model anew"
            )
        found = skops.io.load(path, trusted=sorted(_ALLOWED))
    except ArtifactError:
        raise
    except Exception as error:  # a damaged file fails in many ways inside skops
        raise ArtifactError(
            f"{name} of the model cannot be read ({error}) — get the model anew"
        ) from error
    if type(found) not in kinds:
        raise ArtifactError(
            f"{name} holds a {type(found).__name__}, not a {kinds[0].__name__}"
            " — the folder was altered; get the model anew"
        )
    return found

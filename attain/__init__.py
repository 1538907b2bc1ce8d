"""Say what good means; attain tunes a model until it gets there, and proves it on sealed data.

``attain.tune(...)`` mirrors the study file; ``attain.load(folder)`` reads a saved model. Names are
imported when first used, so that ``import attain`` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attain._version import __version__

if TYPE_CHECKING:
    from attain.core.errors import AttainError
    from attain.pipeline.api import tune
    from attain.pipeline.result import Result
    from attain.pipeline.saved import SavedModel, load

_HOMES = {
    "AttainError": "attain.core.errors",
    "Result": "attain.pipeline.result",
    "SavedModel": "attain.pipeline.saved",
    "load": "attain.pipeline.saved",
    "tune": "attain.pipeline.api",
}

__all__ = ["AttainError", "Result", "SavedModel", "__version__", "load", "tune"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'attain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

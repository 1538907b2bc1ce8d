"""Say what good means; attain tunes a model until it gets there, and proves it on sealed data.

``attain.tune(...)`` mirrors the study file; ``attain.load(folder)`` reads a saved model.
``attain.minimize(function, space)`` and ``attain.Optimizer(space)`` search for any function. Names
are imported when first used, so that ``import attain`` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attain._version import __version__

if TYPE_CHECKING:
    from attain.core.errors import AttainError
    from attain.core.space import Categorical, Condition, Float, Int, Ordinal, Space
    from attain.pipeline.api import tune
    from attain.pipeline.asktell import Optimizer
    from attain.pipeline.minimize import MinimizeResult, minimize
    from attain.pipeline.result import Result
    from attain.pipeline.saved import SavedModel, load

_HOMES = {
    "AttainError": "attain.core.errors",
    "Categorical": "attain.core.space",
    "Condition": "attain.core.space",
    "Float": "attain.core.space",
    "Int": "attain.core.space",
    "MinimizeResult": "attain.pipeline.minimize",
    "Optimizer": "attain.pipeline.asktell",
    "Ordinal": "attain.core.space",
    "Result": "attain.pipeline.result",
    "SavedModel": "attain.pipeline.saved",
    "Space": "attain.core.space",
    "load": "attain.pipeline.saved",
    "minimize": "attain.pipeline.minimize",
    "tune": "attain.pipeline.api",
}

__all__ = [
    "AttainError",
    "Categorical",
    "Condition",
    "Float",
    "Int",
    "MinimizeResult",
    "Optimizer",
    "Ordinal",
    "Result",
    "SavedModel",
    "Space",
    "__version__",
    "load",
    "minimize",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'attain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""A user's function in a worker process, and which functions can go there."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from attain.core.errors import Problem, SpecError
from attain.pipeline.pruning import Report

EVALUATE = "attain.pipeline.function_jobs:evaluate"


@dataclass(frozen=True)
class Evaluated:
    """What a trial of a function that reports gave.

    Attributes:
        result: Whatever the function returned.
        report: What it reported on its way.
    """

    result: Any
    report: Report


def evaluate(payload: Mapping[str, Any], progress: Any) -> Any:
    """What the function gives for a configuration (called in the worker).

    Args:
        payload: ``function``, ``config``, and ``report`` (None where the function takes none).
        progress: Not used.

    Returns:
        Whatever the function returned, in `Evaluated` where it takes something to report to.
    """
    function, config, report = payload["function"], dict(payload["config"]), payload["report"]
    if report is None:
        return function(config)
    return Evaluated(function(config, report), replace(report, history=()))


def check_importable(function: Any) -> None:
    """Refuse a function that a worker process could not import.

    Args:
        function: A function, a method, a partial, or an instance with ``__call__``.

    Raises:
        SpecError: When it is a lambda, nested, or defined in the script that was started.
    """
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if inspect.ismethod(inner):
        inner = inner.__self__ if inspect.isclass(inner.__self__) else type(inner.__self__)
    elif not inspect.isroutine(inner) and not inspect.isclass(inner):
        inner = type(inner)
    name = getattr(inner, "__qualname__", repr(inner))
    module = getattr(inner, "__module__", None) or ""
    why = _obstacle(inner, module, name)
    if why:
        rule = "with workers > 1 the function must be importable in another process"
        remedy = "define it at the top of a module, such as objective.py, and import it from there"
        raise SpecError(Problem(rule, f"{name}, {why}", "function", f"{remedy}; or use workers=1"))


def _obstacle(inner: Any, module: str, name: str) -> str:
    if "<lambda>" in name:
        return "a lambda"
    if "<locals>" in name:
        return "which is defined inside of another function"
    if module == "__main__":
        return "which is defined in the script that was started"
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    builtin = inspect.isbuiltin(inner) and found is not None
    return "" if found is inner or builtin else f"which {module or 'no module'} does not have"

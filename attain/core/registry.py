"""Names of plugins and where they live. The only place that imports by name."""

from __future__ import annotations

import importlib
import inspect
from importlib import metadata
from typing import Any

from attain.core.errors import EnvironmentProblem, PluginError, did_you_mean
from attain.core.protocols import Check, Executor, Learner, Strategy

_KINDS: dict[str, type] = {
    "strategy": Strategy,
    "learner": Learner,
    "executor": Executor,
    "check": Check,
}

_BUILT_IN: dict[str, dict[str, str]] = {
    "strategy": {
        "grid": "attain.strategy.grid:Grid",
        "random": "attain.strategy.random:Random",
        "sobol": "attain.strategy.sobol:Sobol",
        "lhs": "attain.strategy.lhs:Lhs",
        "bayes": "attain.strategy.bayes:Bayes",
        "bayes_per_second": "attain.strategy.bayes:BayesPerSecond",
        "tpe": "attain.strategy.tpe:Tpe",
        "cmaes": "attain.strategy.cmaes:CmaEs",
        "evolution": "attain.strategy.evolution:Evolution",
        "portfolio": "attain.strategy.portfolio:Portfolio",
        "halving": "attain.strategy.halving:Halving",
        "hyperband": "attain.strategy.halving:Hyperband",
        "median": "attain.strategy.median:Median",
        "curves": "attain.strategy.curves:Curves",
        "population": "attain.strategy.population:Population",
    },
    "learner": {
        "baseline": "attain.learners.baseline:Baseline",
        "linear": "attain.learners.linear:Linear",
        "random_forest": "attain.learners.forest:RandomForest",
        "extra_trees": "attain.learners.forest:ExtraTrees",
        "knn": "attain.learners.neighbors:Neighbors",
        "svm": "attain.learners.svm:Svm",
        "lightgbm": "attain.learners.lightgbm_:LightGBM",
        "mlp": "attain.learners.mlp:Mlp",
        "text": "attain.learners.text:Text",
        "image": "attain.learners.image:Image",
        "audio": "attain.learners.audio:Audio",
        "llm": "attain.learners.llm:Llm",
    },
    "executor": {
        "local": "attain.runtime.local:LocalExecutor",
        "ray": "attain.runtime.ray_:RayExecutor",
    },
    "check": {},
}

_ALIASES = {"learner": {"logistic": "linear", "ridge": "linear"}, "strategy": {"bayesian": "bayes"}}

_added: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}


def register(kind: str, name: str, plugin: type) -> None:
    """Add a plugin, checking it now and not after ten hours of training.

    Args:
        kind: ``strategy``, ``learner``, ``executor`` or ``check``.
        name: How users refer to it.
        plugin: A class; called without arguments to make an instance.

    Raises:
        PluginError: When a method or an argument of the contract is missing.
    """
    _check_kind(kind)
    problems = _contract_problems(kind, plugin)
    if problems:
        raise PluginError(f"{kind} {name!r} ({plugin.__qualname__}): " + "; ".join(problems))
    _added[kind][name] = plugin


def names(kind: str) -> tuple[str, ...]:
    """All known names of a kind: built in, registered, and offered by installed packages.

    Args:
        kind: ``strategy``, ``learner``, ``executor`` or ``check``.

    Returns:
        Sorted names.
    """
    _check_kind(kind)
    offered = {entry.name for entry in metadata.entry_points(group=f"attain.{kind}")}
    return tuple(sorted({*_BUILT_IN[kind], *_added[kind], *offered}))


def canonical(kind: str, name: str) -> str:
    """The name that a name or alias stands for.

    Args:
        kind: ``strategy``, ``learner``, ``executor`` or ``check``.
        name: Any name.

    Returns:
        ``linear`` for ``logistic``; the name itself when it is no alias.
    """
    return _ALIASES.get(kind, {}).get(name, name)


def aliases(kind: str) -> tuple[str, ...]:
    """Other names by which built-in plugins of a kind are known."""
    return tuple(_ALIASES.get(kind, {}))


def find(kind: str, name: str) -> Any:
    """The class behind a name.

    Args:
        kind: ``strategy``, ``learner``, ``executor`` or ``check``.
        name: A name, an alias of one, or the address ``package.module:Class`` of one's own.

    Returns:
        The class, imported now.

    Raises:
        PluginError: When no plugin has this name, or it breaks its contract.
    """
    _check_kind(kind)
    name = canonical(kind, name)
    if name in _added[kind]:
        return _added[kind][name]
    if name in _BUILT_IN[kind]:
        return load(_BUILT_IN[kind][name])
    if ":" in name:
        register(kind, name, load(name))
        return _added[kind][name]
    for entry in metadata.entry_points(group=f"attain.{kind}"):
        if entry.name == name:
            register(kind, name, entry.load())
            return _added[kind][name]
    raise PluginError(f"no {kind} is called {name!r} — {did_you_mean(name, names(kind))}")


def load(address: str) -> Any:
    """Import ``package.module:attribute``.

    Args:
        address: Where it lives.

    Returns:
        The attribute.

    Raises:
        PluginError: When module or attribute does not exist.
        EnvironmentProblem: When the module needs a package that is not installed.
    """
    name, _, attribute = address.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise PluginError(f"no module {missing!r} — check the address {address!r}") from error
        raise EnvironmentProblem(
            f"{name} needs the package {missing!r} — install it, then try again"
        ) from error
    if not hasattr(module, attribute):
        raise PluginError(f"{name} has no {attribute!r} — check the address {address!r}")
    return getattr(module, attribute)


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise PluginError(f"no plugins of kind {kind!r} — {did_you_mean(kind, list(_KINDS))}")


def _contract_problems(kind: str, plugin: type) -> list[str]:
    problems = []
    for name, wanted in vars(_KINDS[kind]).items():
        if name.startswith("_"):
            continue
        found = inspect.getattr_static(plugin, name, None)
        if found is None:
            problems.append(f"{name} is missing")
        elif inspect.isfunction(wanted):
            problems += _argument_problems(name, wanted, found)
    return problems


def _argument_problems(name: str, wanted: Any, found: Any) -> list[str]:
    if not inspect.isfunction(found):
        return [f"{name} must be a method"]
    have = inspect.signature(found).parameters
    if any(p.kind is p.VAR_KEYWORD for p in have.values()):
        return []
    missing = [arg for arg in inspect.signature(wanted).parameters if arg not in have]
    return [f"{name} lacks the argument {argument!r}" for argument in missing]

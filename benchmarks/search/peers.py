"""The methods: each told what the others are told, and asked for one configuration at a time.

All are given the problem's default configuration first, as a finished trial; all else is as each
project sets it by default. Conditional parameters are given in the form each project offers:
define-by-run for Optuna, conditions for SMAC, flattened (inactive values drawn and ignored) for Ax.

    random, sobol              attain's, by their short names
    attain-<name>              any registered strategy; attain-<package.module:Class> too
    <method>@key=value,...     the same with other settings (attain only)
    <method>#<label>           the same under another name, to keep two versions apart
"""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from problems import settle

from attain.core.space import Categorical, Config, Float, Int, Ordinal, Parameter, Space


@dataclass(frozen=True)
class Setting:
    """What every method knows before it starts.

    Attributes:
        space: Where to search.
        seed: Of all random choices.
        evaluations: How many there will be.
        parallel: How many run at a time.
        warm: Whether a history is fed to it, so that it needs no first design of its own.
    """

    space: Space
    seed: int
    evaluations: int
    parallel: int = 1
    warm: bool = False


class Method(Protocol):
    """One run of a method; `token` is whatever it needs to recognise its own question."""

    def start(self, default: Config, loss: float, noise: float | None) -> None:
        """Take the default configuration as the first finished trial."""
        ...

    def ask(self) -> tuple[Any, Config]:
        """A token and the configuration to evaluate next."""
        ...

    def tell(self, token: Any, loss: float, noise: float | None) -> None:
        """What a configuration that was asked for is worth."""
        ...

    def feed(self, finished: Sequence[tuple[Config, float]]) -> None:
        """Take trials that it did not ask for, all finished."""
        ...


class Attain:
    """A registered strategy, called as the pipeline calls it.

    Attributes:
        name: Registered name or address.
        options: Settings of the strategy that are not its defaults.
    """

    def __init__(self, setting: Setting, name: str, options: Mapping[str, Any]) -> None:
        from attain.core.registry import find
        from attain.core.seeds import derive

        self.setting = setting
        self.strategy = find("strategy", name)(**options)
        self.seed = derive(setting.seed, "strategy")
        self.history: list[Any] = []

    def start(self, default: Config, loss: float, noise: float | None) -> None:
        self._running(default)
        self.tell(0, loss, noise)

    def ask(self) -> tuple[int, Config]:
        proposals = self.strategy.propose(self.setting.space, tuple(self.history), 1, self.seed)
        if not proposals:
            raise Exhausted
        return self._running(proposals[0].config), proposals[0].config

    def tell(self, token: int, loss: float, noise: float | None) -> None:
        from attain.core.types import Observed

        asked = self.history[token]
        self.history[token] = Observed(
            asked.trial, asked.config, "done", loss=loss, noise=noise, seconds=1.0
        )

    def feed(self, finished: Sequence[tuple[Config, float]]) -> None:
        for config, loss in finished:
            self.tell(self._running(config), loss, None)

    def _running(self, config: Config) -> int:
        from attain.core.types import Observed

        self.history.append(Observed(f"t{len(self.history) + 1:04d}", config, "running"))
        return len(self.history) - 1


class Exhausted(Exception):
    """A method has nothing more to propose."""


class Optuna:
    """Optuna's samplers, define-by-run.

    Attributes:
        sampler: From Optuna's samplers and a setting to one of them.
    """

    def __init__(self, setting: Setting, sampler: Callable[[Any, Setting], Any]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        self.setting = setting
        self.study = optuna.create_study(sampler=sampler(optuna.samplers, setting))

    def start(self, default: Config, loss: float, noise: float | None) -> None:
        self.study.enqueue_trial(dict(default))
        trial, config = self.ask()
        same(config, default)
        self.tell(trial, loss, noise)

    def ask(self) -> tuple[Any, Config]:
        trial = self.study.ask()
        flat = {}
        for parameter in self.setting.space.ordered:
            if self._active(parameter, flat):
                flat[parameter.name] = _suggest(trial, parameter)
        return trial, settle(self.setting.space, flat)

    def tell(self, token: Any, loss: float, noise: float | None) -> None:
        self.study.tell(token, loss)

    def feed(self, finished: Sequence[tuple[Config, float]]) -> None:
        import optuna

        kinds = {p.name: _distribution(optuna.distributions, p) for p in self.setting.space}
        self.study.add_trials(
            optuna.create_trial(params=dict(c), distributions={n: kinds[n] for n in c}, value=loss)
            for c, loss in finished
        )

    def _active(self, parameter: Parameter, flat: Mapping[str, Any]) -> bool:
        from attain.core.space import holds

        return all(holds(c, flat) for c in parameter.when)


def same(taken: Config, given: Config) -> None:
    """Refuse a method that changed the default configuration by more than rounding."""
    for name in {*taken, *given}:
        a, b = taken.get(name), given.get(name)
        close = isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-6)
        if a != b and not close:
            raise ValueError(f"the default of {name} became {a!r}, given was {b!r}")


def _suggest(trial: Any, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical | Ordinal):
        return trial.suggest_categorical(parameter.name, parameter.choices)
    log, step = parameter.scale == "log", parameter.step
    if isinstance(parameter, Int):
        return trial.suggest_int(
            parameter.name, parameter.low, parameter.high, log=log, step=int(step or 1)
        )
    return trial.suggest_float(parameter.name, parameter.low, parameter.high, log=log, step=step)


def _distribution(kinds: Any, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical | Ordinal):
        return kinds.CategoricalDistribution(parameter.choices)
    kind = kinds.IntDistribution if isinstance(parameter, Int) else kinds.FloatDistribution
    return kind(parameter.low, parameter.high, log=parameter.scale == "log")


def _tpe(samplers: Any, setting: Setting) -> Any:
    return samplers.TPESampler(seed=setting.seed)


def _tpe_group(samplers: Any, setting: Setting) -> Any:
    return samplers.TPESampler(multivariate=True, group=True, seed=setting.seed)


def _gp(samplers: Any, setting: Setting) -> Any:
    return samplers.GPSampler(seed=setting.seed)


def _cmaes(samplers: Any, setting: Setting) -> Any:
    return samplers.CmaEsSampler(seed=setting.seed)


class Smac:
    """SMAC3's facades with conditions.

    Attributes:
        facade: Name of the facade's class.
    """

    def __init__(self, setting: Setting, facade: str) -> None:
        import smac

        warnings.simplefilter("ignore")
        self.space = setting.space
        self.folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            config_space(setting.space, setting.seed),
            deterministic=True,
            n_trials=setting.evaluations,
            seed=setting.seed,
            output_directory=self.folder.name,
        )
        kind = getattr(smac, facade)
        more: dict[str, Any] = {"logging_level": 40, "overwrite": True}
        if setting.warm:
            more["initial_design"] = kind.get_initial_design(scenario, n_configs=1)
        self.smac = kind(scenario, lambda config, seed=0: 0.0, **more)
        self.configspace = scenario.configspace

    def start(self, default: Config, loss: float, noise: float | None) -> None:
        from smac.runhistory.dataclasses import TrialInfo

        given = self.configspace.get_default_configuration()
        same(settle(self.space, dict(given)), default)
        self.tell(TrialInfo(given, seed=self.smac.scenario.seed), loss, noise)

    def ask(self) -> tuple[Any, Config]:
        info = self.smac.ask()
        return info, settle(self.space, dict(info.config))

    def tell(self, token: Any, loss: float, noise: float | None) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self.smac.tell(token, TrialValue(cost=loss, time=1.0))

    def feed(self, finished: Sequence[tuple[Config, float]]) -> None:
        from ConfigSpace import Configuration
        from smac.runhistory.dataclasses import TrialInfo

        for config, loss in finished:
            given = Configuration(self.configspace, dict(config))
            self.tell(TrialInfo(given, seed=self.smac.scenario.seed), loss, None)


def config_space(space: Space, seed: int) -> Any:
    """The space in SMAC's language, with defaults and conditions."""
    import ConfigSpace as C

    made = C.ConfigurationSpace(seed=seed)
    for p in space.ordered:
        if isinstance(p, Categorical | Ordinal):
            made.add(C.CategoricalHyperparameter(p.name, list(p.choices), default_value=p.default))
        else:
            kind = (
                C.UniformIntegerHyperparameter
                if isinstance(p, Int)
                else C.UniformFloatHyperparameter
            )
            log = p.scale == "log"
            made.add(kind(p.name, p.low, p.high, log=log, default_value=p.default))
    for p in space.ordered:
        terms = [C.InCondition(made[p.name], made[c.parent], list(c.values)) for c in p.when]
        if terms:
            made.add(terms[0] if len(terms) == 1 else C.AndConjunction(*terms))
    return made


class Ax:
    """Ax's client with its fast generation strategy on the flattened space."""

    def __init__(self, setting: Setting) -> None:
        import logging

        from ax.api.client import Client

        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        self.space = setting.space
        self.client = Client(random_seed=setting.seed)
        self.client.configure_experiment(parameters=[_ax(p) for p in setting.space.ordered])
        self.client.configure_optimization("-loss")
        self.client.configure_generation_strategy(
            method="fast",
            initialization_random_seed=setting.seed,
            allow_exceeding_initialization_budget=setting.parallel > 1,  # else it refuses to go on
        )

    def start(self, default: Config, loss: float, noise: float | None) -> None:
        flat = {p.name: p.default for p in self.space.ordered} | dict(default)
        self.tell(self.client.attach_trial(flat), loss, noise)

    def feed(self, finished: Sequence[tuple[Config, float]]) -> None:
        for config, loss in finished:
            self.start(config, loss, None)

    def ask(self) -> tuple[Any, Config]:
        ((index, flat),) = self.client.get_next_trials(max_trials=1).items()
        return index, settle(self.space, flat)

    def tell(self, token: Any, loss: float, noise: float | None) -> None:
        value = loss if noise is None else (loss, noise)
        self.client.complete_trial(token, raw_data={"loss": value})


def _ax(p: Parameter) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if isinstance(p, Categorical | Ordinal):
        kind = "bool" if all(isinstance(c, bool) for c in p.choices) else "str"
        ordered = isinstance(p, Ordinal)
        return ChoiceParameterConfig(
            name=p.name, values=list(p.choices), parameter_type=kind, is_ordered=ordered
        )
    kind = "float" if isinstance(p, Float) else "int"
    return RangeParameterConfig(
        name=p.name, bounds=(p.low, p.high), parameter_type=kind, scaling=p.scale
    )


@dataclass(frozen=True)
class Peer:
    """A method of another project.

    Attributes:
        venv: Folder under `benchmarks/.venvs/`; its pins are in `requirements-<venv>.txt`.
        make: From a setting to a run.
        packages: Whose versions are recorded.
    """

    venv: str
    make: Callable[[Setting], Method]
    packages: tuple[str, ...]


_OPTUNA = ("optuna", "torch", "cmaes", "scipy")
PEERS: Mapping[str, Peer] = {
    "optuna-tpe": Peer("optuna", lambda s: Optuna(s, _tpe), _OPTUNA),
    "optuna-tpe-group": Peer("optuna", lambda s: Optuna(s, _tpe_group), _OPTUNA),
    "optuna-gp": Peer("optuna", lambda s: Optuna(s, _gp), _OPTUNA),
    "optuna-cmaes": Peer("optuna", lambda s: Optuna(s, _cmaes), _OPTUNA),
    "smac-hpo": Peer(
        "smac", lambda s: Smac(s, "HyperparameterOptimizationFacade"), ("smac", "ConfigSpace")
    ),
    "smac-bb": Peer("smac", lambda s: Smac(s, "BlackBoxFacade"), ("smac", "ConfigSpace")),
    "ax": Peer("ax", Ax, ("ax-platform", "botorch", "torch")),
}
SHORT = {"random": "attain-random", "sobol": "attain-sobol"}


def parse(method: str) -> tuple[str, dict[str, Any]]:
    """A method without its label, and its settings.

    Args:
        method: Such as ``attain-bayes@most=100#slow``.

    Returns:
        ``attain-bayes`` and ``{"most": 100}``.
    """
    name, _, settings = method.partition("#")[0].partition("@")
    options = {}
    for word in filter(None, settings.split(",")):
        key, _, value = word.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return SHORT.get(name, name), options


def is_peer(method: str) -> bool:
    """Whether a method is another project's."""
    return parse(method)[0] in PEERS


def make(method: str, setting: Setting) -> Method:
    """A run of a method.

    Args:
        method: Its name; see the module.
        setting: What it knows before it starts.

    Returns:
        Nothing has been asked yet.
    """
    name, options = parse(method)
    if name in PEERS:
        if options:
            raise ValueError(f"{name} runs with its own defaults, not with {options}")
        return PEERS[name].make(setting)
    if not name.startswith("attain-"):
        raise ValueError(f"no method is called {name!r}; known: {', '.join([*PEERS, *SHORT])}")
    return Attain(setting, name.removeprefix("attain-"), options)

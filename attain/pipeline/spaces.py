"""Configurations of a user that must lie in a space, and a space that takes another's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attain.core.errors import Problem, SpaceError
from attain.core.space import Config, Float, Parameter, Scalar, Space
from attain.pipeline.goals import plain


def read_configs(configs: Any, space: Space, place: str) -> tuple[dict[str, Scalar], ...]:
    """Configurations that must lie in a space, in order, each once.

    Args:
        configs: A sequence of mappings.
        space: Where they must lie.
        place: The argument, for messages.

    Returns:
        Plain copies.

    Raises:
        SpaceError: Names every problem of every configuration.
    """
    if isinstance(configs, str | Mapping) or not isinstance(configs, Sequence):
        rule, remedy = "must be a list of configurations", 'write for example [{"x": 1.0}]'
        raise SpaceError(Problem(rule, repr(configs), place, remedy))
    found: list[dict[str, Scalar]] = []
    problems: list[Problem] = []
    for number, config in enumerate(configs):
        try:
            one = read_config(config, space, f"{place}[{number}]")
        except SpaceError as error:
            problems += error.problems
        else:
            found += [one] if one not in found else []
    if problems:
        raise SpaceError(problems)
    return tuple(found)


def read_config(config: Any, space: Space, place: str) -> dict[str, Scalar]:
    """One configuration that must lie in a space.

    Args:
        config: A mapping; NumPy scalars become plain ones, and ints floats where those are meant.
        space: Where it must lie.
        place: Of the configuration, for messages.

    Returns:
        A plain copy.

    Raises:
        SpaceError: Names every problem.
    """
    if not isinstance(config, Mapping):
        rule, remedy = "a configuration must be a mapping", "give the value of each parameter"
        raise SpaceError(Problem(rule, repr(config), place, remedy))
    kinds = {p.name: p for p in space}
    values = {str(name): _plain(value, kinds.get(name)) for name, value in config.items()}
    try:
        space.check(values)
    except SpaceError as error:
        raise SpaceError([replace(p, place=f"{place}.{p.place}") for p in error.problems]) from None
    return values


def _plain(value: Any, parameter: Parameter | None) -> Any:
    value = plain(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and isinstance(parameter, Float) else value


def same(a: Space, b: Space) -> bool:
    """Whether two spaces hold the same configurations, whatever their versions."""
    return replace(a, version=b.version, retired=b.retired) == b


def extended(old: Space, new: Space) -> Space:
    """The next version of a space, in which all earlier trials still count.

    Args:
        old: The space in force.
        new: What it shall be; `core.space_change` lists what may change.

    Returns:
        The new space, its version one higher than the old one's.

    Raises:
        SpaceError: Names every change that would cost the study its history.
    """
    kept = {p.name for p in new}
    return old.extended(
        *(p for p in new if p not in old.parameters),
        removed=[p.name for p in old if p.name not in kept],
        forbidden=new.forbidden,
        constraints=new.constraints,
    )


def config_key(config: Config) -> frozenset[tuple[str, type, Scalar]]:
    """What equal configurations have in common; True and 1 are different."""
    return frozenset((name, type(value), value) for name, value in config.items())

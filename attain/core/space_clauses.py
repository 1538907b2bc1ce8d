"""What parameters may not be together: forbidden combinations and known constraints.

A clause is about active parameters: where one of those that it names is inactive, it says nothing.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.space_expression import (
    SCALAR,
    compared,
    misfits,
    parse,
    value,
    written,
)
from attain.core.space_parameters import (
    Condition,
    Config,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    between,
    holds,
    level_value,
    levels,
    possible,
    snap,
)
from attain.core.space_scale import is_number

LISTED = 100_000  # combinations that are all tried before a space is said to be empty
SAMPLED = 20_000  # draws where they cannot be listed


@dataclass(frozen=True)
class Forbidden:
    """Values that may not come together.

    Attributes:
        together: What holds at once in no configuration.
    """

    together: tuple[Condition, ...]

    def __str__(self) -> str:
        return "never " + " and ".join(map(str, self.together))

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it names."""
        return frozenset(c.parent for c in self.together)

    def breaks(self, config: Config) -> bool:
        """Whether a configuration has all of these values."""
        return all(holds(condition, config) for condition in self.together)

    def renamed(self, rename: Callable[[str], str]) -> Forbidden:
        """The same of parameters with other names."""
        return Forbidden(tuple(replace(c, parent=rename(c.parent)) for c in self.together))

    def problems(
        self, known: Mapping[str, Parameter], unsound: Collection[str] = ()
    ) -> Iterator[Problem]:
        """What is wrong with it in a space of these parameters, of which some are unsound."""
        if not self.together:
            rule = "a forbidden combination must name a value"
            yield Problem(rule, "()", "forbidden", "leave it out")
        for condition in self.together:
            parameter = known.get(condition.parent)
            if parameter is None:
                yield _unknown("a forbidden combination", condition.parent, "forbidden", known)
            elif parameter.name not in unsound and not any(
                possible(parameter, value) for value in condition.values
            ):
                rule = "a forbidden value must be in range"
                yield Problem(rule, str(condition), "forbidden", str(parameter))


@dataclass(frozen=True)
class Constraint:
    """An inequality that holds in every configuration.

    Attributes:
        text: Such as ``layers * units <= 4096``; see `core.space_expression` for what is known.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it names."""
        return parse(self.text).names

    def breaks(self, config: Config) -> bool:
        """Whether all its parameters are active and it does not hold."""
        rule = parse(self.text)
        if not all(name in config for name in rule.names):
            return False
        values = {name: _plain(config[name]) for name in rule.names}
        return not value(rule.tree, values, SCALAR)

    def renamed(self, rename: Callable[[str], str]) -> Constraint:
        """The same of parameters with other names."""
        return Constraint(written(parse(self.text).tree, rename))

    def problems(
        self, known: Mapping[str, Parameter], unsound: Collection[str] = ()
    ) -> Iterator[Problem]:
        """What is wrong with it in a space of these parameters, of which some are unsound."""
        try:
            rule = parse(self.text)
        except SpaceError as error:
            yield from error.problems
            return
        unknown = sorted(rule.names - set(known))
        for name in unknown:
            yield _unknown(f"the constraint {self.text!r}", name, "constraints", known)
        if not rule.names:
            text = "a constraint must name a parameter"
            yield Problem(text, self.text, "constraints", "leave it out")
        if unknown or not rule.names or rule.names & {*unsound}:
            return
        for text in misfits(rule.tree, {name: kind(known[name]) for name in rule.names}):
            remedy = "compare numbers with numbers, choices with one of their values"
            yield Problem(f"a constraint must make sense: {text}", self.text, "constraints", remedy)
        for name, constant in compared(rule.tree):
            if not _can_be(known[name], constant):
                text = f"a constraint must compare {name} with one of its values"
                yield Problem(text, repr(constant), "constraints", str(known[name]))


Clause = Forbidden | Constraint


def kind(parameter: Parameter) -> str:
    """Of which kind the values are: number, truth, text, or mixed."""
    if isinstance(parameter, Float | Int):
        return "number"
    names = {bool: "truth", str: "text"}
    found = {names.get(type(choice), "number") for choice in parameter.choices}
    return found.pop() if len(found) == 1 else "mixed"


def _can_be(parameter: Parameter, constant: Any) -> bool:
    if isinstance(parameter, Float | Int):
        return True  # a number that is never reached makes the constraint hold always or never
    held = parameter.reserve if isinstance(parameter, Ordinal) else ()
    return any(
        constant == c and isinstance(c, bool) == isinstance(constant, bool)
        for c in (*parameter.choices, *held)
    )


def _plain(config_value: Scalar) -> Scalar:
    if isinstance(config_value, bool | str):
        return config_value
    return float(config_value) if is_number(config_value) else math.nan


def _unknown(what: str, name: str, place: str, known: Mapping[str, Parameter]) -> Problem:
    rule = f"{what} must name parameters of the space"
    return Problem(rule, name, place, did_you_mean(name, list(known)))


def broken(clauses: Iterable[Clause], config: Config) -> tuple[Clause, ...]:
    """The clauses that a configuration breaks."""
    return tuple(clause for clause in clauses if clause.breaks(config))


def default_problems(
    parameters: Sequence[Parameter], clauses: Sequence[Clause], defaults: Config
) -> Iterator[Problem]:
    """What is wrong when the defaults of a space break a clause.

    Args:
        parameters: All of the space, parents first.
        clauses: All of the space.
        defaults: Values of the active parameters.

    Yields:
        One problem for each broken clause, with values that would keep all clauses; or one for the
        whole space when there are none.
    """
    wrong = broken(clauses, defaults)
    if not wrong:
        return
    found, complete = witness(parameters, clauses)
    listed = "; ".join(map(str, clauses))
    if found is None:
        rule = "the clauses must leave a configuration"
        remedy = "drop or loosen one of them"
        if not complete:
            rule = f"the clauses must leave a configuration; none of {SAMPLED} draws keeps them all"
            remedy += ", or set defaults that keep them"
        yield Problem(rule, listed, "space", remedy)
        return
    for clause in wrong:
        names = [name for name in defaults if name in clause.names]
        value_ = f"{_said(defaults, names)}, which breaks: {clause}"
        better = _said(found, [n for n in found if found[n] != defaults.get(n)])
        rule = "the defaults must keep every clause"
        yield Problem(rule, value_, ", ".join(names), f"set other defaults, such as {better}")


def _said(config: Config, names: Iterable[str]) -> str:
    return ", ".join(f"{name} = {config[name]}" for name in names)


def witness(
    parameters: Sequence[Parameter], clauses: Sequence[Clause]
) -> tuple[dict[str, Scalar] | None, bool]:
    """Values of the parameters that clauses depend on, which keep all of the clauses.

    Args:
        parameters: All of the space, parents first.
        clauses: All of the space.

    Returns:
        The values, None when there are none or none were found; and whether that is certain.
    """
    needed = _needed(parameters, clauses)
    counts = [levels(p) for p in needed]
    if all(counts) and math.prod(counts) <= LISTED:
        return next(_listed(needed, clauses), None), True
    drawn = itertools.islice(_drawn(needed, random.Random(0)), SAMPLED)
    found = next((config for config in drawn if not broken(clauses, config)), None)
    return found, found is not None


def _needed(parameters: Sequence[Parameter], clauses: Sequence[Clause]) -> list[Parameter]:
    """Those in clauses, and those that decide whether they are active, parents first."""
    names = set().union(*(clause.names for clause in clauses))
    for parameter in reversed(parameters):
        if parameter.name in names:
            names |= {c.parent for c in parameter.when}
    return [p for p in parameters if p.name in names]


def _listed(needed: Sequence[Parameter], clauses: Sequence[Clause]) -> Iterator[dict[str, Scalar]]:
    """Every combination that keeps the clauses; a branch ends where one is broken."""
    if not needed:
        yield {}
        return
    *first, last = needed
    decided = {p.name for p in needed}
    due = [c for c in clauses if last.name in c.names and c.names <= decided]
    for config in _listed(first, clauses):
        if not all(holds(c, config) for c in last.when):
            yield config
            continue
        for index in range(levels(last)):
            whole = {**config, last.name: level_value(last, index)}
            if not broken(due, whole):
                yield whole


def _drawn(needed: Sequence[Parameter], chance: random.Random) -> Iterator[dict[str, Scalar]]:
    while True:
        config: dict[str, Scalar] = {}
        for parameter in needed:
            if all(holds(c, config) for c in parameter.when):
                config[parameter.name] = _draw(parameter, chance)
        yield config


def _draw(parameter: Parameter, chance: random.Random) -> Scalar:
    if isinstance(parameter, Float | Int):
        return snap(parameter, between(parameter, chance.random()))
    return chance.choice(parameter.choices)

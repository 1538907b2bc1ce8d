"""The search space: typed parameters, when they exist, what they may not be together. Frozen.

Scales and grids live in `space_scale`, parameters in `space_parameters`, clauses in
`space_clauses`, rules of change in `space_change`; `space_read` reads and writes the form that
people write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from attain.core import codec
from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.space_change import change_problems
from attain.core.space_clauses import Clause, Constraint, Forbidden, broken, default_problems
from attain.core.space_parameters import (
    Categorical,
    Condition,
    Config,
    Effect,
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
    start_value,
)
from attain.core.space_scale import Scale

__all__ = [
    "RUNG",
    "Categorical",
    "Clause",
    "Condition",
    "Config",
    "Constraint",
    "Effect",
    "Float",
    "Forbidden",
    "Int",
    "Ordinal",
    "Parameter",
    "Scalar",
    "Scale",
    "Space",
    "between",
    "holds",
    "level_value",
    "levels",
    "prefixed",
    "prefixed_clauses",
    "snap",
    "start_value",
]


RUNG = "rung"
"""The parameter by which a learner climbs from cheap to dear."""


@dataclass(frozen=True)
class Space:
    """Parameters and the conditions under which each exists.

    Attributes:
        parameters: In any order; parents may follow their children.
        version: Rises by one each time a refinement or the user changes the space.
        forbidden: Values that may not come together.
        constraints: Inequalities that hold in every configuration.
        retired: Names of parameters that earlier versions had; their trials still count.

    Raises:
        SpaceError: When bounds, choices, defaults, conditions or clauses are not sound; names all
            problems. Clauses that leave nothing are always found where the parameters that they
            depend on have at most 100,000 combinations, else when defaults and 20,000 draws fail.
    """

    parameters: tuple[Parameter, ...]
    version: int = 1
    forbidden: tuple[Forbidden, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    retired: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = [*self._name_problems(), *self._value_problems()]
        known = {p.name: p for p in self.parameters}
        unsound = {problem.place for problem in problems}  # what these may be is not known
        problems += self._condition_problems(known, unsound)
        for clause in self.clauses:
            problems += clause.problems(known, unsound)
        if not problems:
            problems += default_problems(self.ordered, self.clauses, self.defaults())
        if problems:
            raise SpaceError(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, (*self.parameters, *self.clauses))) or "(no parameters)"

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [p.name for p in self.parameters]
        remedy = did_you_mean(name, names)
        raise SpaceError(Problem("a parameter must exist in the space", name, "space", remedy))

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All that parameters may not be together."""
        return (*self.forbidden, *self.constraints)

    @cached_property
    def ordered(self) -> tuple[Parameter, ...]:
        """The parameters with every parent before its children."""
        done: dict[str, Parameter] = {}
        waiting = list(self.parameters)
        while waiting:
            ready = [p for p in waiting if all(c.parent in done for c in p.when)]
            done.update((p.name, p) for p in ready)
            waiting = [p for p in waiting if p.name not in done]
        return tuple(done.values())

    @property
    def root(self) -> Categorical | None:
        """The choice that decides which other parameters exist; None without conditions.

        One called ``learner`` if there is one, else the unconditional choice with the most
        children, the first of equals.
        """
        children = Counter(c.parent for p in self.parameters for c in p.when)
        free = [p for p in self.parameters if isinstance(p, Categorical) and not p.when]
        for parameter in free:
            if parameter.name == "learner":
                return parameter
        best = max(free, key=lambda p: children[p.name], default=None)
        return best if best is not None and children[best.name] else None

    @property
    def ladders(self) -> tuple[Ordinal, ...]:
        """Ordered choices of which some are held back at first, also when all have been opened.

        A parameter is known as one by its reserve, or by the name ``rung``.
        """
        listed = (p for p in self.parameters if isinstance(p, Ordinal))
        return tuple(p for p in listed if p.reserve or p.name.rpartition(".")[2] == RUNG)

    def active(self, config: Config) -> tuple[Parameter, ...]:
        """The parameters that exist, given the values of their parents.

        Args:
            config: Values of at least the parents.

        Returns:
            In an order with parents first. A child of an inactive parent is inactive.
        """
        names: set[str] = set()
        found = []
        for parameter in self.ordered:
            if all(c.parent in names and holds(c, config) for c in parameter.when):
                names.add(parameter.name)
                found.append(parameter)
        return tuple(found)

    def check(self, config: Config) -> None:
        """Refuse a configuration that is not in the space.

        Args:
            config: Values of exactly the active parameters.

        Raises:
            SpaceError: Names every missing, surplus or out-of-range value; when there are none,
                every clause that is broken.
        """
        active = {p.name: p for p in self.active(config)}
        problems = [
            Problem("an active parameter needs a value", "nothing", name, str(parameter))
            for name, parameter in active.items()
            if name not in config
        ]
        for name, value in config.items():
            if name not in active:
                rule = "only active parameters have values"
                problems.append(Problem(rule, repr(value), name, "leave it out"))
            elif not active[name].contains(value):
                rule = "a value must lie in its range"
                problems.append(Problem(rule, repr(value), name, str(active[name])))
        problems = problems or [_breach(clause, config) for clause in broken(self.clauses, config)]
        if problems:
            raise SpaceError(problems)

    def allows(self, config: Config) -> bool:
        """Whether the clauses permit a configuration whose values are in range."""
        return not any(clause.breaks(config) for clause in self.clauses)

    def contains(self, config: Config) -> bool:
        """Whether the configuration gives every active parameter a value in range, no others."""
        try:
            self.check(config)
        except SpaceError:
            return False
        return True

    def defaults(self, given: Config | None = None) -> dict[str, Scalar]:
        """The known-good start: each active parameter's default, else its middle.

        Args:
            given: Values to use instead of some defaults; the clauses may not permit them.

        Returns:
            Values of the active parameters.
        """
        config: dict[str, Scalar] = {}
        for parameter in self.ordered:
            if all(holds(c, config) for c in parameter.when):
                value = (given or {}).get(parameter.name)
                config[parameter.name] = start_value(parameter) if value is None else value
        return config

    def replacing(self, *changed: Parameter) -> Space:
        """A next version with some parameters exchanged for others of the same name.

        Args:
            *changed: New forms; each name must exist.

        Returns:
            A space whose version is one higher.
        """
        new = {p.name: p for p in changed}
        for name in new:
            self[name]
        parameters = tuple(new.get(p.name, p) for p in self.parameters)
        return replace(self, parameters=parameters, version=self.version + 1)

    def extended(
        self,
        *changed: Parameter,
        removed: Iterable[str] = (),
        forbidden: tuple[Forbidden, ...] | None = None,
        constraints: tuple[Constraint, ...] | None = None,
    ) -> Space:
        """A next version that loses no trial of this one; what may change is in `space_change`.

        Args:
            *changed: Added parameters, and new forms of present ones.
            removed: Names of parameters to leave out.
            forbidden: Instead of the present ones; None keeps those.
            constraints: Instead of the present ones; None keeps those.

        Returns:
            A space whose version is one higher.

        Raises:
            SpaceError: Names every change that would cost the study its history, or all that is
                unsound in the new space.
        """
        gone, old = tuple(removed), {p.name: p for p in self.parameters}
        problems = list(change_problems(old, changed, gone, self.retired))
        if problems:
            raise SpaceError(problems)
        new = {**old, **{p.name: p for p in changed}}
        return Space(
            tuple(p for name, p in new.items() if name not in gone),
            self.version + 1,
            self.forbidden if forbidden is None else forbidden,
            self.constraints if constraints is None else constraints,
            (*self.retired, *gone),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, in plain JSON values, as the ledger keeps it."""
        plain: dict[str, Any] = codec.encode(self)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Space:
        """A space from what `to_dict` gave, also by an earlier version of attain."""
        return codec.decode(cls, dict(plain))

    def _name_problems(self) -> Iterable[Problem]:
        names = [p.name for p in self.parameters]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield Problem("names must be unique", name, "space", "rename one of the two")

    def _value_problems(self) -> Iterable[Problem]:
        for parameter in self.parameters:
            broken = list(parameter._problems())
            yield from broken
            default = parameter.default
            if not broken and default is not None and not parameter.contains(default):
                rule = "the default must lie in the range"
                yield Problem(rule, str(default), parameter.name, str(parameter))

    def _condition_problems(
        self, known: Mapping[str, Parameter], unsound: set[str]
    ) -> Iterable[Problem]:
        for parameter in self.parameters:
            for condition in parameter.when:
                parent = known.get(condition.parent)
                if parent is None:
                    remedy = did_you_mean(condition.parent, list(known))
                    rule = "a condition must name a parameter of the space"
                    yield Problem(rule, condition.parent, parameter.name, remedy)
                elif parent.name not in unsound and not any(
                    possible(parent, value) for value in condition.values
                ):
                    rule = "a condition must be satisfiable"
                    yield Problem(rule, str(condition), parameter.name, str(parent))
        yield from self._cycle_problems(known)

    def _cycle_problems(self, known: Mapping[str, Parameter]) -> Iterable[Problem]:
        done: set[str] = set()
        while True:
            ready = {
                n
                for n, p in known.items()
                if n not in done and all(c.parent in done or c.parent not in known for c in p.when)
            }
            if not ready:
                break
            done |= ready
        stuck = sorted(set(known) - done)
        if stuck:
            rule = "conditions must not form a cycle"
            yield Problem(rule, ", ".join(stuck), "space", "remove one of the conditions")


def prefixed(space: Space, prefix: str, when: Condition) -> tuple[Parameter, ...]:
    """A learner's own parameters as part of a space over many learners.

    Args:
        space: The learner's space.
        prefix: The learner's name.
        when: The condition under which the learner is chosen.

    Returns:
        Parameters named ``prefix.name``, each active only under the condition.
    """

    def inside(condition: Condition) -> Condition:
        return replace(condition, parent=f"{prefix}.{condition.parent}")

    return tuple(
        replace(p, name=f"{prefix}.{p.name}", when=(when, *map(inside, p.when)))
        for p in space.parameters
    )


def prefixed_clauses(
    space: Space, prefix: str
) -> tuple[tuple[Forbidden, ...], tuple[Constraint, ...]]:
    """A learner's clauses as part of a space over many learners.

    Args:
        space: The learner's space.
        prefix: The learner's name.

    Returns:
        Its forbidden combinations and constraints over parameters named ``prefix.name``, which say
        nothing where another learner is chosen.
    """

    def inside(name: str) -> str:
        return f"{prefix}.{name}"

    return (
        tuple(clause.renamed(inside) for clause in space.forbidden),
        tuple(clause.renamed(inside) for clause in space.constraints),
    )


def _breach(clause: Clause, config: Config) -> Problem:
    values = ", ".join(f"{name} = {v}" for name, v in config.items() if name in clause.names)
    place = "forbidden" if isinstance(clause, Forbidden) else "constraints"
    return Problem(f"a clause must be kept: {clause}", values, place, "change one of the values")

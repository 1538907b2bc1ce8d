"""Search spaces from ConfigSpace's JSON files; ConfigSpace itself need not be installed.

    from attain.integrations.configspace import from_configspace_json

    space = from_configspace_json("config_space.json")

Both formats are read: that of versions 0.4 to 0.7, and that of versions from 1.0. What attain
cannot express is refused, all of it at once: conditions that hold for one of several parents,
comparisons with a continuous parent, beta distributions, and normal ones without bounds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.space import (
    Categorical,
    Condition,
    Constraint,
    Float,
    Forbidden,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    level_value,
    levels,
)
from attain.core.space_expression import quoted

_LISTED = 10_000  # values of a parent that a condition may list
# what a forbidden relation leaves
_OPPOSITE = {"LT": ">=", "EQ": "!=", "GT": "<="}
_EXPORT = "export the file again with ConfigSpace"


def from_configspace_json(source: str | Path | Mapping[str, Any]) -> Space:
    """A space from ConfigSpace's JSON.

    Args:
        source: The path of a file, its text, or what ``json.load`` made of it.

    Returns:
        The same space: a constant is a list of one choice, ``q`` is a step, a normal distribution
        and weights are priors, and a forbidden relation is the opposite constraint.

    Raises:
        SpaceError: Names everything that is not of this format or cannot be expressed.
    """
    content = _content(source)
    reading = _Reading(old="json_format_version" in content)
    reading.read(content)
    if reading.problems:
        raise SpaceError(reading.problems)
    parameters = tuple(
        replace(p, when=tuple(reading.when.get(p.name, ()))) for p in reading.parameters.values()
    )
    return Space(parameters, 1, tuple(reading.forbidden), tuple(reading.constraints))


def _content(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    place = "ConfigSpace JSON"
    try:
        if isinstance(source, Path) or (isinstance(source, str) and source.lstrip()[:1] != "{"):
            place = str(source)
            source = Path(source).read_text(encoding="utf-8")
        content = json.loads(source) if isinstance(source, str) else source
    except (OSError, ValueError) as error:
        rule = f"a ConfigSpace file must be readable JSON: {error}"
        raise SpaceError(Problem(rule, "", place, _EXPORT)) from None
    if not isinstance(content, Mapping) or not isinstance(content.get("hyperparameters"), list):
        rule = "a ConfigSpace file has a list called hyperparameters"
        raise SpaceError(Problem(rule, repr(content)[:80], place, _EXPORT))
    return content


@dataclass
class _Reading:
    """Collects what is read, and what cannot be.

    Attributes:
        old: Whether the file was written by a version before 1.0.
        parameters: Read so far, without their conditions.
        when: Conditions of each child.
        forbidden: Combinations read so far.
        constraints: Opposites of the forbidden relations read so far.
        problems: What cannot be read.
    """

    old: bool
    parameters: dict[str, Parameter] = field(default_factory=dict)
    when: dict[str, list[Condition]] = field(default_factory=dict)
    forbidden: list[Forbidden] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def read(self, content: Mapping[str, Any]) -> None:
        """Read all of a file."""
        for item in content["hyperparameters"]:
            made = self._guarded(self._parameter, item)
            if made is not None:
                self.parameters[made.name] = made
        for item in content.get("conditions") or ():
            for condition in self._guarded(self._conditions, item) or ():
                self.when.setdefault(str(item.get("child")), []).append(condition)
        for item in content.get("forbiddens") or ():
            self._guarded(self._clause, item)

    def _guarded(self, read: Callable[[Mapping[str, Any]], Any], item: Any) -> Any:
        """What a part reads as; None with a problem when it cannot be."""
        try:
            return read(item)
        except SpaceError as error:
            self.problems += error.problems
        except KeyError as error:
            rule = f"a part of a ConfigSpace file needs {error.args[0]}"
            self.problems.append(Problem(rule, json.dumps(item)[:80], _place(item), _EXPORT))
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            rule = f"a part of a ConfigSpace file cannot be read: {error}"
            self.problems.append(Problem(rule, repr(item)[:80], _place(item), _EXPORT))
        return None

    def _parameter(self, item: Mapping[str, Any]) -> Parameter:
        kind = item["type"]
        if kind not in _MAKERS:
            what = "beta distributions" if "beta" in str(kind) else f"parameters of type {kind!r}"
            _refuse(
                f"{what} cannot be expressed", _place(item), did_you_mean(str(kind), [*_MAKERS])
            )
        made: Parameter = _MAKERS[kind](item, self.old)
        return made

    def _conditions(self, item: Mapping[str, Any]) -> list[Condition]:
        kind = item["type"]
        if kind == "AND":
            parts = item["conditions"]
            return [condition for part in parts for condition in self._conditions(part)]
        if kind == "OR":
            return [self._either(item)]
        parent = self._named(item["parent"], _place(item))
        return [Condition(parent.name, tuple(_values(kind, parent, item)))]

    def _either(self, item: Mapping[str, Any]) -> Condition:
        """Several conditions of which one must hold: on the same parent that is a list."""
        parts = [self._conditions(part) for part in item["conditions"]]
        parents = {condition.parent for part in parts for condition in part}
        if len(parents) != 1 or any(len(part) != 1 for part in parts):
            rule = "a condition that holds for one of several parents cannot be expressed"
            remedy = "add a parameter that says which of them is used, or split the child in two"
            raise SpaceError(Problem(rule, " or ".join(sorted(parents)), _place(item), remedy))
        values = (value for (condition,) in parts for value in condition.values)
        return Condition(parents.pop(), tuple(dict.fromkeys(values)))

    def _clause(self, item: Mapping[str, Any]) -> None:
        kind = str(item["type"])
        if kind.startswith("RELATION"):
            sign = _OPPOSITE[
                item["lambda"] if kind == "RELATION" else kind.removeprefix("RELATION_")
            ]
            left, right = (
                quoted(self._named(item[k], "forbiddens").name) for k in ("left", "right")
            )
            self.constraints.append(Constraint(f"{left} {sign} {right}"))
        else:
            self.forbidden.append(Forbidden(tuple(self._together(item))))

    def _together(self, item: Mapping[str, Any]) -> Iterator[Condition]:
        kind = item["type"]
        if kind == "AND":
            for part in item["clauses"]:
                yield from self._together(part)
            return
        if kind not in ("EQUALS", "IN"):
            rule = f"a forbidden clause of type {kind!r} inside of another cannot be expressed"
            _refuse(rule, "forbiddens", "use EQUALS, IN and AND")
        name = self._named(item["name"], "forbiddens").name
        yield Condition(name, (item["value"],) if kind == "EQUALS" else tuple(item["values"]))

    def _named(self, name: Any, place: str) -> Parameter:
        if name not in self.parameters:
            _refuse(f"{name!r} is no parameter", place, did_you_mean(str(name), [*self.parameters]))
        return self.parameters[name]


def _refuse(rule: str, place: str, remedy: str) -> None:
    raise SpaceError(Problem(rule, "", place, remedy))


def _place(item: Any) -> str:
    return str(item.get("name") or item.get("child") or "") if isinstance(item, Mapping) else ""


def _values(kind: str, parent: Parameter, item: Mapping[str, Any]) -> Iterator[Scalar]:
    """Values of the parent that make a child active."""
    if kind in ("EQ", "IN"):
        yield from (item["value"],) if kind == "EQ" else item["values"]
        return
    tests: Mapping[str, Callable[[int], bool]] = {
        "NEQ": lambda i: level_value(parent, i) != item["value"],
        "LT": lambda i: _rank(parent, level_value(parent, i)) < _rank(parent, item["value"]),
        "GT": lambda i: _rank(parent, level_value(parent, i)) > _rank(parent, item["value"]),
    }
    if kind not in tests:
        _refuse(f"a condition of type {kind!r} is not known", _place(item), _EXPORT)
    if not 0 < levels(parent) <= _LISTED:
        rule = f"a condition {kind} on a parent with so many values cannot be expressed"
        _refuse(rule, _place(item), "make the parent a list of choices, or a number with few steps")
    yield from (level_value(parent, i) for i in range(levels(parent)) if tests[kind](i))


def _rank(parent: Parameter, value: Any) -> float:
    return parent.choices.index(value) if isinstance(parent, Ordinal) else value


def _number(item: Mapping[str, Any], old: bool) -> Float | Int:
    make: Callable[..., Float | Int] = Int if item["type"].endswith("int") else Float
    to = int if make is Int else float
    if item.get("lower") is None or item.get("upper") is None:
        rule = "a number without bounds cannot be expressed"
        _refuse(rule, _place(item), "state lower and upper")
    return make(
        name=item["name"],
        low=to(item["lower"]),
        high=to(item["upper"]),
        default=to(_default(item)),
        scale="log" if item.get("log") else "linear",
        step=to(item["q"]) if item.get("q") else None,
        prior=_normal(item, old) if item["type"].startswith("normal") else None,
    )


def _normal(item: Mapping[str, Any], old: bool) -> tuple[float, float]:
    """Centre and spread; before 1.0 both were logarithms already, since then neither is."""
    centre, spread = float(item["mu"]), float(item["sigma"])
    if not item.get("log"):
        return centre, spread
    return (math.exp(centre), spread) if old else (centre, math.log(spread))


def _choice(item: Mapping[str, Any], old: bool) -> Categorical:
    del old
    weights = item.get("weights") or item.get("probabilities")
    prior = tuple(map(float, weights)) if weights and len(set(weights)) > 1 else None
    choices = tuple(item["choices"])
    return Categorical(name=item["name"], choices=choices, default=_default(item), prior=prior)


def _ordered(item: Mapping[str, Any], old: bool) -> Ordinal:
    del old
    return Ordinal(name=item["name"], choices=tuple(item["sequence"]), default=_default(item))


def _constant(item: Mapping[str, Any], old: bool) -> Categorical:
    del old
    return Categorical(name=item["name"], choices=(item["value"],))


def _default(item: Mapping[str, Any]) -> Any:
    return item["default_value"] if "default_value" in item else item["default"]


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], bool], Parameter]] = {
    **dict.fromkeys(("uniform_float", "uniform_int", "normal_float", "normal_int"), _number),
    "categorical": _choice,
    "ordinal": _ordered,
    "constant": _constant,
    "unparametrized": _constant,
}

"""Search spaces as people write them, in YAML, JSON or Python; read with all problems at once.

    lr: {low: 1e-5, high: 0.1, scale: log}
    booster: [gbtree, dart]
    depth: {low: 1, high: 9, when: {booster: dart}}
    forbidden: [{booster: dart, depth: [8, 9]}]
    constraints: ["lr * depth <= 0.5"]

Whole bounds make whole numbers. In Python ``(low, high)``, ``(low, high, "log")`` and parameters
may stand for mappings, too. A parameter called ``forbidden``, ``constraints``, ``version`` or
``retired`` needs the long form, in which all parameters stand under ``parameters``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.space import (
    Categorical,
    Condition,
    Constraint,
    Effect,
    Float,
    Forbidden,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
)
from attain.core.space_scale import SCALES, is_number

_TYPES = (Float, Int, Categorical, Ordinal)
_CLAUSES = ("forbidden", "constraints", "version", "retired")
_FORMS = "write {low: 1e-5, high: 0.1, scale: log}, or [a, b] for choices"
_WHOLE_WORDS = "a mapping such as lr: {low: 1e-5, high: 0.1, scale: log}"


def read_space(source: Any) -> Space:
    """The space that a person stated.

    Args:
        source: A `Space`, a mapping, the path of a YAML or JSON file, or the text of one.

    Returns:
        A sound space.

    Raises:
        SpaceError: Names everything that is wrong, with its place and what to write instead.
    """
    if isinstance(source, Space):
        return source
    if isinstance(source, Path):
        source = _text_of(source)
    if isinstance(source, str):
        source = _loaded(source)
    if not isinstance(source, Mapping):
        rule, got = f"a space must be {_WHOLE_WORDS}", repr(source)[:80]
        raise SpaceError(Problem(rule, got, "space", _FORMS))
    return _Reading().space(source)


def plain_space(space: Space) -> dict[str, Any]:
    """A space as a person would write it.

    Args:
        space: Any space.

    Returns:
        Plain values that `read_space` reads as an equal space.
    """
    parameters = {p.name: _plain_parameter(p) for p in space}
    whole: dict[str, Any] = {
        "forbidden": [_plain_conditions(clause.together) for clause in space.forbidden],
        "constraints": [clause.text for clause in space.constraints],
        "version": space.version if space.version != 1 else None,
        "retired": list(space.retired),
    }
    stated = {key: value for key, value in whole.items() if value}
    if {*parameters} & {*_CLAUSES, "parameters"}:
        return {"parameters": parameters, **stated}
    return {**parameters, **stated}


_PLAIN_WORDS = re.compile(r"[A-Za-z_][\w.]*( [\w.]+)*")


def space_yaml(space: Space) -> str:
    """A space as YAML text that `read_space` reads back."""
    import io

    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Quotes all but plain words: the writer leaves some text bare that the reader refuses."""

    def text(representer: SafeRepresenter, word: str) -> Any:
        style = None if _PLAIN_WORDS.fullmatch(word) else '"'
        return representer.represent_scalar("tag:yaml.org,2002:str", word, style=style)

    Representer.add_representer(str, text)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = None
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # typed as None
    stream = io.StringIO()
    yaml.dump(plain_space(space), stream)
    return stream.getvalue()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        rule, remedy = f"the file of a space must be readable text: {error}", "check the path"
        raise SpaceError(Problem(rule, "", str(path), remedy)) from None


def _loaded(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "space"
        problem = Problem(f"a space must be valid YAML or JSON: {said}", "", place, _FORMS)
        raise SpaceError(problem) from None


@dataclass(frozen=True)
class _Key:
    """What one field of a parameter may be: a test, and how it reads in a message."""

    fits: Callable[[Any], bool]
    words: str


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))


def _is_whole(value: Any) -> bool:
    return is_number(value) and value == int(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | str) or is_number(value)


_NUMBER = _Key(is_number, "a finite number")
_TEXT = _Key(lambda v: isinstance(v, str), "text")
_SHARED = {
    "when": _Key(lambda _: True, ""),
    "unit": _TEXT,
    "source": _TEXT,
    "effect": _Key(lambda v: v in get_args(Effect), "capacity, regularisation or speed"),
    "priority": _Key(_is_whole, "a whole number"),
}
_NUMBER_KEYS = {
    **dict.fromkeys(("low", "high", "default", "scale_width", "step"), _NUMBER),
    "scale": _Key(lambda v: isinstance(v, str), f"one of {', '.join(SCALES)}"),
    "limits": _Key(_is_pair, "two numbers, [low, high]"),
    "prior": _Key(_is_pair, "two numbers, [value, spread]"),
    "kind": _Key(lambda v: v in ("float", "int"), "float or int"),
    **_SHARED,
}
_CHOICE_KEYS = {
    "choices": _Key(lambda v: isinstance(v, list | tuple), "a list"),
    "ordered": _Key(lambda v: isinstance(v, bool), "true or false"),
    "reserve": _Key(lambda v: isinstance(v, list | tuple), "a list"),
    "default": _Key(_is_scalar, "one of the choices"),
    "prior": _Key(lambda v: isinstance(v, list | tuple | Mapping), "a list of weights"),
    **_SHARED,
}


@dataclass
class _Reading:
    """Collects what is wrong while it reads."""

    problems: list[Problem] = field(default_factory=list)

    def space(self, source: Mapping[Any, Any]) -> Space:
        long = isinstance(source.get("parameters"), Mapping) and not self._is_form(source)
        stated = source["parameters"] if long else self._without_clauses(source)
        if long:
            self._unknown_keys(source, ("parameters", *_CLAUSES), "space")
        parameters = [self.parameter(str(name), form) for name, form in stated.items()]
        good = tuple(p for p in parameters if p is not None)
        version = source.get("version", 1)
        if not _is_whole(version) or version < 1:
            self._add("a version is a whole number from 1", version, "version", "leave it out")
            version = 1
        retired = self._texts(source.get("retired", ()), "retired")
        forbidden = tuple(self._forbidden(source.get("forbidden", ())))
        constraints = map(Constraint, self._texts(source.get("constraints", ()), "constraints"))
        lost = {str(name) for name in stated} - {p.name for p in good}
        return self._made(good, int(version), forbidden, tuple(constraints), retired, lost)

    def _made(
        self,
        parameters: tuple[Parameter, ...],
        version: int,
        forbidden: tuple[Forbidden, ...],
        constraints: tuple[Constraint, ...],
        retired: tuple[str, ...],
        lost: set[str],
    ) -> Space:
        """The space; or all problems, but none that only follows from a parameter not read."""
        try:
            space = Space(parameters, version, forbidden, constraints, retired)
        except SpaceError as error:
            self.problems += [p for p in error.problems if p.value not in lost]
        if self.problems:
            raise SpaceError(self.problems)
        return space

    def _is_form(self, source: Mapping[Any, Any]) -> bool:
        """Whether ``parameters`` is itself a parameter of the short form."""
        inner = source["parameters"]
        return {"low", "high"} <= {*inner} or "choices" in inner

    def _without_clauses(self, source: Mapping[Any, Any]) -> Mapping[Any, Any]:
        return {name: form for name, form in source.items() if name not in _CLAUSES}

    def parameter(self, name: str, form: Any) -> Parameter | None:
        """One parameter; None when it cannot be read."""
        if isinstance(form, _TYPES):
            if form.name == name:
                return form
            self._add("a parameter is known by its own name", form.name, name, "use one name")
            return None
        if isinstance(form, tuple) and 2 <= len(form) <= 3 and is_number(form[0]):
            form = dict(zip(("low", "high", "scale"), form, strict=False))
        elif isinstance(form, list | tuple):
            form = {"choices": list(form)}
        if not isinstance(form, Mapping):
            self._add("a parameter must be a range or a list", repr(form), name, _FORMS)
            return None
        listed = "choices" in form or "ordered" in form
        keys = _CHOICE_KEYS if listed else _NUMBER_KEYS
        needed = ("choices",) if listed else ("low", "high")
        when = tuple(self.conditions(form.get("when", {}), f"{name}.when"))
        if not self._sound(name, form, keys, needed):
            return None
        return self._choice(name, form, when) if listed else self._number(name, form, when)

    def _sound(
        self, name: str, form: Mapping[Any, Any], keys: Mapping[str, _Key], needed: Sequence[str]
    ) -> bool:
        before = len(self.problems)
        self._unknown_keys(form, tuple(keys), name)
        for key in needed:
            if form.get(key) is None:
                self._add(f"a parameter needs {key}", "nothing", name, _FORMS)
        for key, value in form.items():
            if value is not None and key in keys and not keys[key].fits(value):
                rule = f"{key} must be {keys[key].words}"
                self._add(rule, repr(value), f"{name}.{key}", "change it")
        return len(self.problems) == before

    def _number(
        self, name: str, form: Mapping[Any, Any], when: tuple[Condition, ...]
    ) -> Parameter | None:
        given = {key: v for key, v in form.items() if v is not None and key not in ("kind", "when")}
        for key in ("limits", "prior"):
            if key in given:
                given[key] = tuple(float(v) for v in given[key])
        bounds = [given[key] for key in ("low", "high", "step", "default") if key in given]
        inferred = "int" if _all_int(bounds) and given.get("scale") != "logit" else "float"
        kind = form.get("kind") or inferred
        to: Callable[[float], float] = _whole if kind == "int" else float
        for key in ("low", "high", "default", "step"):
            if key in given:
                given[key] = to(given[key])
        make: Callable[..., Parameter] = Int if kind == "int" else Float
        return make(name=name, when=when, **given)

    def _choice(
        self, name: str, form: Mapping[Any, Any], when: tuple[Condition, ...]
    ) -> Parameter | None:
        given = {k: v for k, v in form.items() if v is not None and k not in ("ordered", "when")}
        given["choices"] = tuple(given["choices"])
        prior = given.get("prior")
        if isinstance(prior, Mapping):
            strange = [choice for choice in prior if choice not in given["choices"]]
            if strange:
                remedy = did_you_mean(str(strange[0]), [str(c) for c in given["choices"]])
                self._add("a prior weighs the choices", repr(strange[0]), f"{name}.prior", remedy)
                return None
            prior = [prior.get(choice, 0.0) for choice in given["choices"]]
        if prior is not None:
            given["prior"] = tuple(float(w) if is_number(w) else w for w in prior)
        if "reserve" in given:
            given["reserve"] = tuple(given["reserve"])
            if not form.get("ordered"):
                rule = "only ordered choices can be held back"
                self._add(rule, repr(given["reserve"]), f"{name}.reserve", "add ordered: true")
                return None
        make: Callable[..., Parameter] = Ordinal if form.get("ordered") else Categorical
        return make(name=name, when=when, **given)

    def conditions(self, stated: Any, place: str) -> Iterator[Condition]:
        """From ``{parent: value}``, ``{parent: [values]}``, or a list of such mappings."""
        if isinstance(stated, list | tuple):
            for part in stated:
                yield from self.conditions(part, place)
        elif isinstance(stated, Mapping):
            for parent, values in stated.items():
                listed = tuple(values) if isinstance(values, list | tuple) else (values,)
                if listed and all(map(_is_scalar, listed)):
                    yield Condition(str(parent), listed)
                else:
                    rule = "a condition needs a value, or a list of values"
                    self._add(rule, repr(values), f"{place}.{parent}", "write {booster: dart}")
        elif stated is not None:
            rule = "conditions must be a mapping from parents to values"
            self._add(rule, repr(stated), place, "write {booster: dart}")

    def _forbidden(self, stated: Any) -> Iterator[Forbidden]:
        if not isinstance(stated, list | tuple):
            rule = "forbidden must be a list of combinations"
            self._add(rule, repr(stated), "forbidden", "write [{booster: dart, depth: [8, 9]}]")
            return
        for number, part in enumerate(stated, 1):
            if isinstance(part, Forbidden):
                yield part
            elif found := tuple(self.conditions(part, f"forbidden.{number}")):
                yield Forbidden(found)

    def _texts(self, stated: Any, place: str) -> tuple[str, ...]:
        if isinstance(stated, list | tuple):
            texts = [t.text if isinstance(t, Constraint) else t for t in stated]
            if all(isinstance(t, str) for t in texts):
                return tuple(texts)
        self._add(f"{place} must be a list of texts", repr(stated), place, 'write ["a <= b"]')
        return ()

    def _unknown_keys(self, form: Mapping[Any, Any], known: Sequence[str], place: str) -> None:
        for key in form:
            if key not in known:
                remedy = did_you_mean(str(key), known)
                self._add("there is no such setting", repr(key), place, remedy)

    def _add(self, rule: str, value: object, place: str, remedy: str) -> None:
        self.problems.append(Problem(rule, str(value), place, remedy))


def _all_int(numbers: Sequence[Any]) -> bool:
    return all(isinstance(n, int) for n in numbers)


def _whole(number: float) -> int | float:
    """As an int where that is exact; else the space itself says what is wrong."""
    return int(number) if number == int(number) else number


def _plain_parameter(parameter: Parameter) -> Any:
    """Those fields that do not have their usual values."""
    stated: dict[str, Any] = {}
    for one in fields(parameter):
        value = getattr(parameter, one.name)
        if one.name in ("name", "kind", "when") or value == one.default:
            continue
        stated[one.name] = list(value) if isinstance(value, tuple) else value
    if parameter.when:
        stated["when"] = _plain_conditions(parameter.when)
    if isinstance(parameter, Ordinal):
        stated["ordered"] = True
    if isinstance(parameter, Float | Int):
        numbers = [stated[k] for k in ("low", "high", "step", "default") if k in stated]
        if isinstance(parameter, Float) == _all_int(numbers):
            stated["kind"] = parameter.kind
    return stated["choices"] if set(stated) == {"choices"} else stated


def _plain_conditions(conditions: Sequence[Condition]) -> Any:
    parts = [{c.parent: _plain_values(c.values)} for c in conditions]
    names = {c.parent for c in conditions}
    if len(names) < len(parts):
        return parts
    return {parent: values for part in parts for parent, values in part.items()}


def _plain_values(values: tuple[Scalar, ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)

"""Statements of what good means, to objectives. Strict: every problem is named before any work.

The grammar (``docs/objectives.md`` explains it with examples)::

    statement  = metric                                             as good as possible
               | ("maximize" | "minimize") metric                   the same, in words
               | metric (">=" | "<=") number [unit] [confidence]    a target
    confidence = "with" number "% confidence"

One string may hold several statements, parted by commas, semicolons or line ends. A mapping with
the keys ``metric``, ``target``, ``direction`` and ``confidence`` says the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.types import Direction, Objective, Role, Task
from attain.objectives.metrics import Metric, lookup, stand_in
from attain.objectives.quantity import read_confidence, read_target

_STATEMENT = re.compile(
    r"^(?:(?P<verb>\w+)\s+)?(?P<metric>[A-Za-z][\w-]*(?:@[^\s<>=≤≥]*)?)"
    r"(?:\s*(?P<sign>[<>]=?|=[<>]|==?|≤|≥)\s*(?P<target>.*))?$",
    re.DOTALL,
)
_CONFIDENCE = re.compile(r"^(?P<rest>.*?)\s+with\s+(?P<value>\S+?)\s*%\s+confidence$", re.DOTALL)
_COMMA_NUMBER = re.compile(r"\d,\d")
_KEYS = ("metric", "target", "direction", "confidence")

_VERBS: Mapping[str, Direction] = MappingProxyType(
    {
        "maximize": Direction.MAXIMIZE, "maximise": Direction.MAXIMIZE, "max": Direction.MAXIMIZE,
        "minimize": Direction.MINIMIZE, "minimise": Direction.MINIMIZE, "min": Direction.MINIMIZE,
    }
)  # fmt: skip
# With real numbers and an interval that must clear the target, > and >= cannot be told apart.
_SIGNS: Mapping[str, Direction] = MappingProxyType(
    {
        ">=": Direction.MAXIMIZE, ">": Direction.MAXIMIZE, "=>": Direction.MAXIMIZE,
        "≥": Direction.MAXIMIZE,
        "<=": Direction.MINIMIZE, "<": Direction.MINIMIZE, "=<": Direction.MINIMIZE,
        "≤": Direction.MINIMIZE,
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Statement:
    """One statement, taken apart but not yet judged."""

    place: str
    text: str
    metric: str
    stated: Direction | None = None
    target: str | None = None
    confidence: str | None = None


def parse(
    statements: Any, task: Task | None = None, confidence: float = 0.95
) -> tuple[Objective, ...]:
    """What the user states, as objectives.

    Args:
        statements: A string, a mapping, an `Objective`, or a sequence of these.
        task: What is predicted; None when it is not known yet.
        confidence: Of statements that name none, in [0.5, 1).

    Returns:
        One objective per statement, in the order given.

    Raises:
        SpecError: Names every problem of every statement, each with its position from 1.
    """
    problems: list[Problem] = []
    if not isinstance(confidence, int | float) or not 0.5 <= confidence < 1:
        rule = "a confidence must lie between 0.5 and 1"
        problems.append(Problem(rule, str(confidence), "confidence", "write for example 0.95"))
    found: list[tuple[str, Objective]] = []
    for place, item in _numbered(statements):
        try:
            objective = _objective(place, item, task, confidence)
        except SpecError as error:
            problems += error.problems
        else:
            found.append((place, objective))
    problems += _repeated(found)
    if not problems:
        problems += _nothing_to_improve([objective for _, objective in found])
    if problems:
        raise SpecError(problems)
    return tuple(objective for _, objective in found)


def default(task: Task, class_counts: Sequence[int]) -> tuple[tuple[Objective, ...], str]:
    """The objective an expert would start from, when the user states none.

    Two classes: ROC AUC needs no threshold and is little moved by class shares; when positive rows
    are rare it hides false alarms, so average precision takes its place (Saito & Rehmsmeier 2015,
    doi:10.1371/journal.pone.0118432). More classes: log loss is a proper score of all
    probabilities, which moves with every row and so wastes no signal of a search; of labels, too.
    Values: RMSE.

    Args:
        task: What is predicted.
        class_counts: Rows of each class, in class order; the last is the positive one of two.

    Returns:
        The objectives, and why, in one sentence.
    """
    positives = class_counts[-1] / max(sum(class_counts), 1) if class_counts else 0.5
    if task is Task.GENERATION:
        name, why = "token_loss", "it moves with every token; state what answers must do if you can"
    elif task is Task.PREFERENCE:
        name, why = "win_rate", "it says how often the model prefers what people chose"
    elif task is Task.TAGGING:
        name, why = "span_f1", "it counts whole spans, right only with their type and both ends"
    elif task is Task.TRANSCRIPTION:
        name, why = "word_error_rate", "it says how many words one would have to mend"
    elif task is Task.REGRESSION:
        name, why = "rmse", "it weighs large errors most and is in the target's own unit"
    elif task.several:
        name = "log_loss"
        why = "it judges the probability of every label; state f1_micro or f1_macro if the "
        why += "predicted labels matter"
    elif task is Task.MULTICLASS:
        name = "log_loss"
        why = "it judges all probabilities, not only the winning class; state f1_macro if rare "
        why += "classes matter as much as frequent ones"
    elif positives < 0.05:
        name = "average_precision"
        why = f"only {positives:.1%} of the rows are positive, where ROC AUC hides false alarms"
    else:
        name = "roc_auc"
        why = "it judges the ranking of rows whatever threshold is used later"
    objective = parse([name], task)[0]
    return (objective,), f"no objective was stated, so {objective}: {why}"


def _numbered(statements: Any) -> Iterator[tuple[str, Any]]:
    """Every statement with its place."""
    if isinstance(statements, str | Mapping | Objective):
        statements = [statements]
    if not isinstance(statements, Sequence):
        rule = "objectives must be a statement or a list of statements"
        remedy = "write for example roc_auc >= 0.93"
        raise SpecError(Problem(rule, repr(statements), "objectives", remedy))
    count = 0
    for item in statements:
        parts = [item]
        if isinstance(item, str) and not _COMMA_NUMBER.search(item):
            parts = [part for part in re.split(r"[,;\n]", item) if part.strip()] or [item]
        for part in parts:
            count += 1
            yield f"objective {count}", part


def _objective(place: str, item: Any, task: Task | None, confidence: float) -> Objective:
    """One judged objective; raises everything that is wrong with it."""
    if isinstance(item, Objective):
        item = {"metric": item.metric, "direction": str(item.direction), "target": item.target,
                "confidence": item.confidence}  # fmt: skip
    if isinstance(item, Mapping):
        statement = _from_mapping(place, item)
    elif isinstance(item, str):
        statement = _from_text(place, item)
    else:
        rule = "an objective must be a statement or a mapping"
        remedy = "write for example roc_auc >= 0.93"
        raise SpecError(Problem(rule, repr(item), place, remedy))
    try:
        metric = lookup(statement.metric)
    except SpecError as error:
        raise SpecError([replace(p, place=place) for p in error.problems]) from error
    problems = [*_task_problems(statement, metric, task)]
    written, certain = statement.target, statement.confidence
    target = stated = None
    if written is not None:
        target = _collect(problems, lambda: read_target(written, metric, place))
    problems += _direction_problems(statement, metric, target)
    if certain is not None:
        stated = _collect(problems, lambda: read_confidence(certain, place))
    if target is not None:
        problems += _range_problems(statement, metric, target)
    if problems:
        raise SpecError(problems)
    return Objective(
        metric=metric.name,
        direction=metric.direction,
        target=target,
        # a limit needs a number; without one, efficiency is something to improve
        role=metric.role if target is not None else Role.GOAL,
        confidence=confidence if stated is None else stated,
        unit=metric.unit,
        low=metric.low,
        high=metric.high,
    )


def _collect(problems: list[Problem], make: Any) -> Any:
    """What `make` gives, or None with its problems added to the list."""
    try:
        return make()
    except SpecError as error:
        problems += error.problems
        return None


def _from_text(place: str, text: str) -> _Statement:
    text = text.strip()
    if _COMMA_NUMBER.search(text):
        rule = "a number is written with a point and without separators"
        raise SpecError(Problem(rule, text, place, "write 0.93, not 0,93, and 1000, not 1,000"))
    rest, confidence = text, None
    if match := _CONFIDENCE.match(text):
        rest, confidence = match["rest"], match["value"] + "%"
    match = _STATEMENT.match(rest)
    if match is None or (match["verb"] and match["verb"].lower() not in _VERBS):
        rule = "a statement must be metric, metric >= number, or maximize metric"
        raise SpecError(Problem(rule, text, place, _nearest_form(rest)))
    verb, sign = match["verb"], match["sign"]
    if verb and sign:
        rule = "a statement names a verb or a target, not both"
        remedy = f"write {match['metric']} {sign} {match['target']}; it is improved further anyway"
        raise SpecError(Problem(rule, text, place, remedy))
    if sign in ("=", "=="):
        rule = "a target needs >= or <="
        raise SpecError(Problem(rule, text, place, f"write {_rewritten(match)}"))
    stated = _VERBS[verb.lower()] if verb else _SIGNS[sign] if sign else None
    target = match["target"].strip() if sign else None
    return _Statement(place, text, match["metric"], stated, target, confidence)


def _nearest_form(text: str) -> str:
    first = text.split()[0] if text.split() else ""
    near = did_you_mean(first.lower(), list(_VERBS))
    return near if near.startswith("did you") else "write for example roc_auc >= 0.93"


def _rewritten(match: re.Match[str]) -> str:
    try:
        sign = ">=" if lookup(match["metric"]).direction is Direction.MAXIMIZE else "<="
    except SpecError:
        sign = ">="
    return f"{match['metric']} {sign} {match['target'].strip()}"


def _from_mapping(place: str, item: Mapping[Any, Any]) -> _Statement:
    problems = [
        Problem("an objective has no such key", str(key), place, did_you_mean(str(key), _KEYS))
        for key in item
        if key not in _KEYS
    ]
    name, target = item.get("metric"), item.get("target")
    if not isinstance(name, str):
        value = "nothing" if name is None else repr(name)
        problems.append(Problem("an objective names its metric", value, place, "add metric: ..."))
    if isinstance(target, bool) or not isinstance(target, int | float | str | None):
        remedy = "write for example target: 0.93"
        problems.append(Problem("a target must be a number", repr(target), place, remedy))
    direction = item.get("direction")
    if direction is not None and str(direction).lower() not in _VERBS:
        rule = "a direction is maximize or minimize"
        problems.append(Problem(rule, str(direction), place, "leave it out: the metric knows it"))
    if problems:
        raise SpecError(problems)
    return _Statement(
        place,
        ", ".join(f"{key}: {value}" for key, value in item.items()),
        str(name),
        None if direction is None else _VERBS[str(direction).lower()],
        None if target is None else str(target),
        None if item.get("confidence") is None else str(item["confidence"]),
    )


def _task_problems(statement: _Statement, metric: Metric, task: Task | None) -> Iterator[Problem]:
    if task is not None and task not in metric.tasks:
        fits = " and ".join(metric.tasks)
        rule = f"{metric.name} is for {fits} tasks, and this one is {task}"
        yield Problem(rule, statement.text, statement.place, f"use {stand_in(metric, task)}")


def _direction_problems(
    statement: _Statement, metric: Metric, target: float | None
) -> Iterator[Problem]:
    if statement.stated in (None, metric.direction):
        return
    higher = metric.direction is Direction.MAXIMIZE
    better, sign = ("higher", ">=") if higher else ("lower", "<=")
    possible = target is not None and metric.low <= target <= metric.high
    right = f"{metric.name} {sign} {target:g}" if possible else f"{metric.direction} {metric.name}"
    rule = f"{metric.name} is better when {better}"
    yield Problem(rule, statement.text, statement.place, f"write {right}")


def _range_problems(statement: _Statement, metric: Metric, target: float) -> Iterator[Problem]:
    sign = ">=" if metric.direction is Direction.MAXIMIZE else "<="
    if not metric.low <= target <= metric.high:
        rule = f"{metric.name} lies between {metric.low:g} and {metric.high:g}"
        hundredth = metric.percent and 2 <= target <= 100
        remedy = f"did you mean {target / 100:g}?" if hundredth else "choose a target in that range"
        yield Problem(rule, f"{target:g}", statement.place, remedy)
    elif target == metric.worst:
        rule = f"every model reaches {metric.name} {sign} {target:g}"
        yield Problem(rule, statement.text, statement.place, "choose a target that could be missed")
    elif metric.name == "mape" and target >= 2 and "%" not in (statement.target or ""):
        rule = "mape is a fraction, where 0.1 means 10 %"
        remedy = f"write mape <= {target:g}%, or {target * 100:g}% if that is meant"
        yield Problem(rule, f"{target:g}", statement.place, remedy)


def _repeated(found: list[tuple[str, Objective]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for place, objective in found:
        if objective.metric in first:
            rule = f"each metric is stated once, and {first[objective.metric]} states it too"
            remedy = "keep one; a target that is reached is improved further anyway"
            yield Problem(rule, str(objective), place, remedy)
        first.setdefault(objective.metric, place)


def _nothing_to_improve(objectives: list[Objective]) -> Iterator[Problem]:
    """A model that always says the same is fast and small; limits alone would choose it."""
    if not objectives:
        remedy = "write for example roc_auc >= 0.93"
        yield Problem("at least one objective must be stated", "none", "objectives", remedy)
    elif all(lookup(o.metric).role is Role.CONSTRAINT for o in objectives):
        rule = "at least one objective must be about quality"
        shown = ", ".join(map(str, objectives))
        yield Problem(rule, shown, "objectives", "add for example roc_auc or rmse")

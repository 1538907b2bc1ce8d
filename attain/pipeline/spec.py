"""The study file: what the user says, checked strictly, every problem at once with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.registry import aliases, canonical, find, names
from attain.core.types import Task
from attain.objectives import parse
from attain.pipeline.limits import LOCAL, Budget, read_executor, read_gpus, read_ledger
from attain.pipeline.limits import Broken as _Broken
from attain.pipeline.limits import positive as _positive
from attain.pipeline.limits import read_budget as _budget
from attain.pipeline.rigor import LEVELS, STANDARD

AUTO = "auto"
DEEP = "deep"
DEFAULT_TEST = 0.2


@dataclass(frozen=True, eq=False)
class StudySpec:
    """A study as the user stated it.

    Attributes:
        data: Path of the data, or a frame in memory.
        target: Column to predict.
        task: ``binary``, ``multiclass``, ``multilabel``, ``regression``, ``generation`` (write
            texts), ``preference`` (prefer one text to another), or None to infer it.
        labels: What stands between the labels of a target cell, such as ``|``; None where cells are
            lists, or have one label.
        positive: Of two classes, the one that precision and recall are about; None for the one that
            sorts last.
        objectives: Statements such as ``roc_auc >= 0.93``; empty for a sensible default.
        test: Share of rows to seal, in (0, 0.5], or the path of a test file.
        groups: Column whose values must stay together, if any.
        time: Column that orders the rows, if any.
        ignore: Columns to leave out.
        text: Columns to read as text, one after the other; empty to infer them.
        model: Folder or hub name of a pre-trained model to start from, or None.
        trust_pickle: Whether the model's weights may be pickled, which can run code.
        answer_schema: JSON Schema that generated answers should satisfy: the path of a file, or the
            schema itself; None for none.
        learners: Names of learners; empty for attain's choice.
        parameters: What is said of learners' parameters, by name: a value that fixes one, two ends
            of a number's range, or the choices that may be tried.
        strategy: Name of a search strategy, or ``auto``.
        budget: What the search may spend.
        folds: Number of folds, 1 for a hold-out, or ``auto``.
        repeats: How often the folds are drawn afresh, or ``auto``.
        racing: Whether a configuration that is clearly behind is denied its remaining folds.
        reshuffle: Whether every configuration is validated on folds of its own.
        rigor: ``quick``, ``standard`` or ``max``: how often few rows are divided and finalists
            confirmed.
        confidence: Of every interval that decides, in [0.5, 1).
        workers: Processes that fit at the same time, or ``auto``.
        trial_minutes: Limit of a single fit, or None.
        trial_memory_gb: Memory limit of a single fit, or None.
        trial_cpus: CPUs, and so threads, of a single fit.
        trial_gpus: GPUs that a cluster reserves for a single fit; a share such as 0.5 is possible.
        executor: Where fits run: ``local``, ``ray``, or ``ray:ADDRESS`` of a cluster.
        ledger: URL of the database that keeps the records; None for a file in the study folder.
        seed: Of everything random.
        audit: ``standard``, or ``deep`` for checks and effects on ten times the rows.
        audit_ignore: Codes of data checks to skip.
        keep_cache: Whether what was computed of the pre-trained model stays after the study.
        output: Study folder.
        base: Folder that relative paths start from.
    """

    data: Any
    target: str
    task: Task | None = None
    labels: str | None = None
    positive: str | None = None
    objectives: tuple[Any, ...] = ()
    test: float | str = DEFAULT_TEST
    groups: str | None = None
    time: str | None = None
    ignore: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    model: str | None = None
    trust_pickle: bool = False
    answer_schema: str | Mapping[str, Any] | None = None
    learners: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strategy: str = AUTO
    budget: Budget = field(default_factory=Budget)
    folds: int | Literal["auto"] = "auto"
    repeats: int | Literal["auto"] = "auto"
    racing: bool = True
    reshuffle: bool = False
    rigor: str = STANDARD
    confidence: float = 0.95
    workers: int | Literal["auto"] = "auto"
    trial_minutes: float | None = None
    trial_memory_gb: float | None = None
    trial_cpus: int = 1
    trial_gpus: float = 0.0
    executor: str = LOCAL
    ledger: str | None = None
    seed: int = 0
    audit: str = STANDARD
    audit_ignore: tuple[str, ...] = ()
    keep_cache: bool = False
    output: str = "study"
    base: Path = Path()

    @property
    def folder(self) -> Path:
        """The study folder, absolute."""
        return (self.base / self.output).resolve()

    @property
    def source(self) -> Any:
        """The data as `data.load` takes them: an absolute path, or the frame."""
        return self.base / self.data if isinstance(self.data, str) else self.data

    def public(self) -> dict[str, Any]:
        """The study as plain JSON values, without the rows, and without where it runs."""
        skip = {"base", "data", "trial_cpus", "trial_gpus", "executor", "ledger"}
        stated = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        data = self.data if isinstance(self.data, str) else "(in memory)"
        budget = {"trials": self.budget.trials, "minutes": self.budget.minutes}
        return {"data": data, **stated, "budget": budget}


def load_spec(path: Path, overrides: Mapping[str, Any] | None = None) -> StudySpec:
    """Read a study file.

    Args:
        path: A YAML file.
        overrides: Keys that replace those of the file, such as ``{"seed": 3}``; ``trials`` and
            ``minutes`` replace parts of the budget.

    Returns:
        The study, with relative paths starting at the file's folder.

    Raises:
        SpecError: Names every problem with its line and the nearest valid key.
    """
    content = _read_yaml(path)
    changed = {k: v for k, v in (overrides or {}).items() if v is not None}
    budget = {k: changed.pop(k) for k in ("trials", "minutes") if k in changed}
    lines = {key: content.lc.key(key)[0] + 1 for key in content}
    spec = make_spec({**content, **changed}, place=str(path), lines=lines)
    if budget:
        allowed = {"trials": None, "minutes": None, **budget}
        spec = replace(spec, budget=_budget(allowed))
    return replace(spec, base=path.resolve().parent)


def make_spec(
    stated: Mapping[str, Any], *, place: str = "tune", lines: Mapping[str, int] | None = None
) -> StudySpec:
    """Check what was stated and turn it into a study.

    Args:
        stated: Keys and values as in the study file.
        place: For messages.
        lines: Line of each key, if it came from a file.

    Returns:
        The study.

    Raises:
        SpecError: Names every problem.
    """
    known = [f.name for f in fields(StudySpec) if f.name != "base"]
    where = _Where(place, lines or {})
    problems = [
        Problem("only known keys are allowed", repr(key), where(key), did_you_mean(str(key), known))
        for key in stated
        if key not in known
    ]
    problems += [
        Problem(f"the key {key!r} is required", "nothing", place, remedy)
        for key, remedy in (
            ("data", "give the path of a data file"),
            ("target", "name the column to predict"),
        )
        if stated.get(key) is None
    ]
    values: dict[str, Any] = {}
    for key, value in stated.items():
        if key in known and value is not None:
            try:
                values[key] = _READERS.get(key, _keep)(value)
            except _Broken as broken:
                problems.append(Problem(broken.rule, repr(value), where(key), broken.remedy))
    problems += _objective_problems(values, where)
    problems += _reshuffle_problems(values, where)
    if values.get("trial_gpus") and values.get("executor", LOCAL) == LOCAL:
        rule, remedy = "GPUs are reserved by a cluster only", "add `executor: ray`, or leave it out"
        value = repr(values["trial_gpus"])
        problems.append(Problem(rule, value, where("trial_gpus"), remedy))
    if problems:
        raise SpecError(problems)
    return StudySpec(**values)


def _reshuffle_problems(values: Mapping[str, Any], where: _Where) -> list[Problem]:
    """What needs the same folds for every configuration, or an order of the rows."""
    if not values.get("reshuffle"):
        return []
    found = []
    if values.get("racing"):
        rule = "folds that differ between configurations cannot be raced"
        found.append(Problem(rule, "racing: true", where("racing"), "leave one of the two out"))
    if values.get("time"):
        rule = "rows in order of time cannot be shuffled"
        value = f"time: {values['time']}"
        found.append(Problem(rule, value, where("reshuffle"), "leave `reshuffle` out"))
    if getattr(_found_strategy(values.get("strategy", AUTO)), "judges", True):
        rule = "curves on different rows cannot be compared while fits are under way"
        value = f"strategy: {values['strategy']}"
        remedy = "choose a strategy that ends no fits, or leave `reshuffle` out"
        found.append(Problem(rule, value, where("strategy"), remedy))
    return found


def _found_strategy(name: str) -> Any:
    """A strategy's class; those that `auto` chooses from end no fits."""
    return find("strategy", "bayes" if name == AUTO else name)


def _objective_problems(values: Mapping[str, Any], where: _Where) -> list[Problem]:
    """What is wrong with the objectives, as far as that can be told without the data."""
    if not values.get("objectives"):
        return []
    try:
        parse.parse(values["objectives"], values.get("task"))
    except SpecError as error:
        return [replace(p, place=f"{where('objectives')}: {p.place}") for p in error.problems]
    return []


@dataclass(frozen=True)
class _Where:
    place: str
    lines: Mapping[str, int]

    def __call__(self, key: object) -> str:
        line = self.lines.get(str(key))
        return f"{self.place}, line {line}, {key}" if line else f"{self.place}, {key}"


def _read_yaml(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        content = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = "make one with: attain init DATA --target COLUMN"
        raise SpecError(Problem("the study file must exist", str(path), "", remedy)) from None
    except IsADirectoryError:
        raise SpecError(Problem("a study file is a file, not a folder", str(path))) from None
    except UnicodeDecodeError as error:
        remedy = "save it as UTF-8"
        rule = f"the study file must be UTF-8 (byte {error.start} is not)"
        raise SpecError(Problem(rule, "", str(path), remedy)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = Problem(f"not valid YAML: {error.problem}", "", place, "check the indentation")
        raise SpecError(problem) from None
    except YAMLError as error:
        raise SpecError(Problem(f"not valid YAML: {error}", "", str(path))) from None
    if not isinstance(content, CommentedMap):
        remedy = "see: attain init --help"
        rule = "a study file is a list of `key: value` lines"
        raise SpecError(Problem(rule, type(content).__name__, str(path), remedy))
    return content


def _keep(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return str(value)
    raise _Broken("must be a non-empty text", "put it in quotes")


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return () if value == AUTO else (value,)
    if isinstance(value, Sequence) and all(isinstance(v, str) for v in value):
        return tuple(str(v) for v in value)
    raise _Broken("must be a name or a list of names", "write [first, second]")


def _column(value: Any) -> str | None:
    return None if value in (None, False, "none") else _text(value)


def _model(value: Any) -> str:
    return _text(str(value) if isinstance(value, Path) else value)


def _schema(value: Any) -> str | dict[str, Any]:
    if isinstance(value, Mapping):
        return _plain(value)
    try:
        return _model(value)
    except _Broken:
        rule = "must be a file with a JSON Schema, or the schema itself"
        raise _Broken(rule, "write answer_schema: answers.json") from None


def _plain(value: Any) -> Any:
    """Mappings and lists of a YAML reader as Python's own."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _statements(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, Sequence):
        return tuple(dict(v) if isinstance(v, Mapping) else v for v in value)
    raise _Broken("must be a statement or a list of statements", "write - roc_auc >= 0.9")


def _task(value: Any) -> Task | None:
    if value == AUTO:
        return None
    try:
        return Task(value)
    except ValueError:
        *most, last = Task
        rule = f"must be {', '.join(most)} or {last}"
        raise _Broken(rule, did_you_mean(str(value), list(Task))) from None


def _separator(value: Any) -> str:
    if isinstance(value, str) and value and not any(c.isalnum() for c in value):
        return value
    raise _Broken("must be what stands between labels, no letter or digit", 'write for example "|"')


def _test(value: Any) -> float | str:
    if isinstance(value, str) and not value.strip().endswith("%"):
        return value
    share = _share(value)
    if not 0 < share <= 0.5:
        rule = "must be a share of the rows above 0 and at most 50 %, or a file"
        raise _Broken(rule, "20 % is usual")
    return share


def _share(value: Any) -> float:
    try:
        if isinstance(value, str):
            return float(value.strip().rstrip("%")) / 100
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise _Broken("must be a share such as 20 % or 0.2")


def _confidence(value: Any) -> float:
    share = _share(value)
    if not 0.5 <= share < 1:
        raise _Broken("must be at least 50 % and below 100 %", "95 % is usual")
    return share


def _whole(low: int, *, auto: bool) -> Any:
    def read(value: Any) -> int | str:
        if auto and value == AUTO:
            return AUTO
        if isinstance(value, int) and not isinstance(value, bool) and value >= low:
            return int(value)
        raise _Broken(f"must be a whole number of at least {low}" + (" or auto" if auto else ""))

    return read


def _rigor(value: Any) -> str:
    if value in LEVELS:
        return str(value)
    raise _Broken("must be quick, standard or max", did_you_mean(str(value), list(LEVELS)))


def _audit(value: Any) -> str:
    if value in (STANDARD, DEEP):
        return str(value)
    raise _Broken("must be standard or deep", did_you_mean(str(value), [STANDARD, DEEP]))


def _yes_or_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Broken("must be true or false")


def _named(kind: str) -> Any:
    def read(value: Any) -> tuple[str, ...]:
        known = [*names(kind), *aliases(kind)]
        for name in (stated := _texts(value)):
            if name not in known and ":" not in name:
                raise _Broken(f"{name!r} is not a known {kind}", did_you_mean(name, known))
        return tuple(dict.fromkeys(canonical(kind, name) for name in stated))

    return read


def _said(value: Any) -> dict[str, Any]:
    """Values, ranges and choices; whether there is such a parameter is told with the data."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise _Broken("must be a mapping", "such as {learning_rate: [1.0e-5, 1.0e-4], rung: full}")
    for name, said in value.items():
        listed = said if isinstance(said, list | tuple) else [said]
        if not listed or not all(isinstance(one, bool | int | float | str) for one in listed):
            raise _Broken(f"{name} must be a value, a range [low, high] or a list of choices")
    return {name: list(s) if isinstance(s, list | tuple) else s for name, s in value.items()}


def _strategy(value: Any) -> str:
    found = _named("strategy")(value)
    return found[0] if found else AUTO


def _codes(value: Any) -> tuple[str, ...]:
    codes = _texts(value)
    wrong: Iterable[str] = [c for c in codes if not re.fullmatch(r"D\d{3}", c)]
    for code in wrong:
        raise _Broken(f"{code!r} is not a check's code", "codes look like D008; see docs/checks.md")
    return codes


_READERS: Mapping[str, Any] = {
    "target": _text,
    "task": _task,
    "labels": _separator,
    "positive": lambda value: str(value),
    "objectives": _statements,
    "test": _test,
    "groups": _column,
    "time": _column,
    "ignore": _texts,
    "text": _texts,
    "model": _model,
    "trust_pickle": _yes_or_no,
    "answer_schema": _schema,
    "learners": _named("learner"),
    "parameters": _said,
    "strategy": _strategy,
    "budget": _budget,
    "folds": _whole(1, auto=True),
    "repeats": _whole(1, auto=True),
    "racing": _yes_or_no,
    "reshuffle": _yes_or_no,
    "rigor": _rigor,
    "confidence": _confidence,
    "workers": _whole(1, auto=True),
    "trial_minutes": _positive,
    "trial_memory_gb": _positive,
    "trial_cpus": _whole(1, auto=False),
    "trial_gpus": read_gpus,
    "executor": read_executor,
    "ledger": read_ledger,
    "seed": _whole(0, auto=False),
    "audit": _audit,
    "audit_ignore": _codes,
    "keep_cache": _yes_or_no,
    "output": _text,
}

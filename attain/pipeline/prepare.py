"""Everything before the first trial: objectives, data, seal, audit, split, parameters, strategy."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from attain._version import __version__
from attain.core.codec import decode, encode
from attain.core.counts import MEANT
from attain.core.errors import BlockedByAudit, NotApplicable, Problem, SpecError, did_you_mean
from attain.core.protocols import Limits, Subject
from attain.core.registry import find, names
from attain.core.seal import Seal
from attain.core.space import Scalar, Space
from attain.core.types import (
    Dataset,
    Finding,
    FindingState,
    Forecast,
    Objective,
    Severity,
    Split,
    Task,
)
from attain.data import infer
from attain.data.audit import audit
from attain.data.load import load_frame
from attain.data.seal import load_work, make_seal, sealed_summary, work_origin
from attain.data.table import to_rows
from attain.objectives import parse
from attain.objectives.feasibility import decidable
from attain.objectives.metrics import lookup
from attain.parameters.narrow import narrow
from attain.parameters.select import BASELINE, MEDIA, READERS, select
from attain.pipeline import language
from attain.pipeline.forecasting import MakeExecutor, forecasts, spread
from attain.pipeline.pretrained import needs_text, read_model
from attain.pipeline.reading import reader
from attain.pipeline.rigor import LEVELS, nested_cost, why_not_nested
from attain.pipeline.spec import AUTO, DEEP, DEFAULT_TEST, StudySpec
from attain.pipeline.study import Study
from attain.strategy import fidelity
from attain.strategy.auto import choose
from attain.validate.race import unsound
from attain.validate.resample import plan

_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "lightgbm")


@dataclass(frozen=True)
class Prepared:
    """What the search needs; read back from the ledger.

    Attributes:
        dataset: The unsealed rows.
        objectives: What good means.
        seal: The sealed rows' plan.
        split: How configurations are validated.
        space: What is searched first.
        fixed: Parameters that keep their default, with prefixed names.
        strategy: Name of the search strategy.
        confirming: What confirming the finalists will cost, in trials.
        replaying: What nested cross-validation will cost, in times of the search; 0 without.
        reshuffle: Whether every configuration is validated on folds of its own.
        forecasts: What fits were said to cost, by learner; of most nothing is said.
    """

    dataset: Dataset
    objectives: tuple[Objective, ...]
    seal: Seal
    split: Split
    space: Space
    fixed: Mapping[str, Scalar]
    strategy: str
    confirming: int = 3
    replaying: float = 0.0
    reshuffle: bool = False
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)

    def uses(self, learner: str) -> bool:
        """Whether a learner has parameters that are searched or fixed."""
        names = (*(p.name for p in self.space), *self.fixed)
        return any(name.startswith(f"{learner}.") for name in names)


def prepare(
    study: Study, spec: StudySpec, place: tuple[MakeExecutor, Limits] | None = None
) -> Prepared:
    """Do, or read back, everything before the first trial.

    Args:
        study: Where records go.
        spec: What the user stated.
        place: Where learners are asked what their fits cost; None to ask none.

    Returns:
        What the search needs.

    Raises:
        SpecError: When objectives or settings do not fit the data.
        DataError: When the data cannot be used.
        BlockedByAudit: When a blocking finding is not silenced.
        Interrupted: When asked to stop.
    """
    describe_data(study, spec)
    check_data(study, spec)
    dataset = study.read("dataset", "dataset", Dataset)
    objectives = study.read("objectives", "objectives", tuple[Objective, ...])
    seal = study.read("seal", "seal", Seal)
    study.once("objectives", "feasibility", lambda: _feasibility(objectives, dataset, seal))
    split = study.once("validate", "split", lambda: {"split": _split(study, spec, dataset)})
    chosen_split = decode(Split, split.payload["split"])
    spaces = {} if study.last("strategy") else _spaces(spec, dataset)
    asked = _forecasting(spec, dataset, spaces)
    foretold = forecasts(study, dataset, chosen_split, asked, place)
    _stop_for(language.mask_findings(foretold), spec.audit_ignore)
    selection = study.once(
        "parameters",
        "selection",
        lambda: encode(_selection(spec, dataset, spaces, chosen_split, foretold)),
    ).payload
    space = decode(Space, selection["space"])
    strategy = study.once(
        "strategy",
        "strategy",
        lambda: _strategy(spec, selection, foretold, chosen_split, objectives),
    )
    return Prepared(
        dataset=dataset,
        objectives=objectives,
        seal=seal,
        split=chosen_split,
        space=space,
        fixed=selection["fixed"],
        strategy=strategy.payload["name"],
        confirming=LEVELS[spec.rigor].trials,
        replaying=_replaying(spec, dataset, objectives, space, chosen_split),
        reshuffle=spec.reshuffle,
        forecasts=foretold,
    )


def describe_data(study: Study, spec: StudySpec) -> None:
    """Read the data, fix the objectives, set the sealed rows aside. Nothing is done twice."""
    if study.last("seal") is not None:
        return
    schema, pretrained = language.read_schema(spec), read_model(spec)
    study.say("reading the data", "data")
    frame = load_frame(spec.source)
    described = infer.describe(
        frame,
        target=spec.target,
        groups=spec.groups,
        time=spec.time,
        task=spec.task,
        ignore=spec.ignore,
        text=spec.text,
        pretrained=pretrained,
        separator=spec.labels,
        address=spec.data if isinstance(spec.data, str) else "(in memory)",
    )
    needs_text(described)
    described = _with_positive(described, spec.positive)
    stated = study.once("objectives", "objectives", lambda: _objectives(spec, described))
    objectives = decode(tuple[Objective, ...], stated.payload["objectives"])
    described = language.with_schema(described, schema, [o.metric for o in objectives])
    test_frame = load_frame(spec.base / spec.test) if isinstance(spec.test, str) else None
    study.say("setting the sealed rows aside", "data")
    dataset, seal = make_seal(
        frame,
        described,
        study.folder,
        test=spec.test if isinstance(spec.test, float) else DEFAULT_TEST,
        test_frame=test_frame,
        seed=spec.seed,
        objectives=[str(o) for o in objectives],
    )
    study.once("data", "dataset", lambda: {"dataset": dataset}, stated.id)
    study.once("data", "seal", lambda: {"seal": seal}, stated.id)


def _with_positive(dataset: Dataset, positive: str | None) -> Dataset:
    """Put the class that precision and recall are about last, where code 1 is."""
    if positive is None:
        return dataset
    if dataset.task is not Task.BINARY:
        rule = "a positive class is for binary targets"
        raise SpecError(Problem(rule, f"{dataset.task}", "positive", "leave it out"))
    if positive not in dataset.classes:
        remedy = did_you_mean(positive, dataset.classes)
        raise SpecError(
            Problem("the positive class must occur", repr(positive), "positive", remedy)
        )
    if dataset.classes[1] == positive:
        return dataset
    counts = dataset.class_counts[::-1]
    return replace(dataset, classes=dataset.classes[::-1], class_counts=counts)


def check_data(study: Study, spec: StudySpec) -> None:
    """Audit the unsealed rows; a blocking finding ends the run before anything is spent.

    Args:
        study: Where records go.
        spec: Which checks are silenced, and how deep the others look.

    Raises:
        BlockedByAudit: Names each blocking finding with its remedy.
    """
    record = study.once("data", "audit", lambda: _audit(study, spec))
    _stop_for(decode(tuple[Finding, ...], record.payload["findings"]), ())


def _stop_for(findings: tuple[Finding, ...], ignored: Sequence[str]) -> None:
    blocking = [
        f
        for f in findings
        if f.state is FindingState.FOUND
        and f.severity is Severity.BLOCKER
        and f.code not in ignored
    ]
    if blocking:
        raise BlockedByAudit(
            "the data audit found what would make the result worthless:\n"
            + "\n".join(f"  {f.code} {f.title}: {f.explanation} — {f.remedy}" for f in blocking)
            + "\nTo go on all the same: audit_ignore: ["
            + ", ".join(f.code for f in blocking)
            + "]"
        )


def environment() -> dict[str, Any]:
    """Where a study runs, as far as its numbers may depend on it."""
    import psutil

    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "attain": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "packages": packages,
    }


def _objectives(spec: StudySpec, dataset: Dataset) -> dict[str, Any]:
    if spec.objectives:
        objectives = parse.parse(spec.objectives, dataset.task, spec.confidence)
        return {"objectives": objectives, "reason": "stated in the study file"}
    objectives, reason = parse.default(dataset.task, dataset.class_counts)
    return {"objectives": objectives, "reason": reason}


def _audit(study: Study, spec: StudySpec) -> dict[str, Any]:
    study.say("auditing the data", "data")
    began = time.perf_counter()
    dataset = study.read("dataset", "dataset", Dataset)
    frame = load_work(study.folder)
    read = reader(study.folder, dataset)
    if read is not None:
        study.say("reading the files with the pre-trained network, for wrong labels", "data")
    subject = Subject(
        dataset=dataset,
        frame=frame,
        rows=to_rows(frame, dataset),
        sealed=sealed_summary(study.read("seal", "seal", Seal)),
        seed=spec.seed,
        deep=spec.audit == DEEP,
        read=read,
    )
    origin = work_origin(study.folder, len(frame))
    findings = [
        replace(finding, rows=tuple(int(origin[row]) for row in finding.rows))
        for finding in audit(subject, ignore=spec.audit_ignore)
    ]
    return {"findings": findings, "seconds": time.perf_counter() - began}


def _feasibility(objectives: tuple[Objective, ...], dataset: Dataset, seal: Seal) -> dict[str, Any]:
    units = seal.groups or seal.rows
    binary = dataset.task is Task.BINARY
    positives = seal.class_counts[1] if binary and not seal.groups else None
    unit = "group" if seal.groups else "row"
    return {
        "items": [
            decidable(o, seal.rows, unit="row")
            if lookup(o.metric).needs == "measurement"
            else decidable(o, units, positives, unit=unit, several=dataset.task.several)
            for o in objectives
        ]
    }


def _split(study: Study, spec: StudySpec, dataset: Dataset) -> Split:
    rows = to_rows(load_work(study.folder), dataset)
    repeats = spec.repeats
    if repeats == AUTO and not LEVELS[spec.rigor].repeats:
        repeats = 1
    return plan(dataset, rows, folds=spec.folds, repeats=repeats, seed=spec.seed)


def _spaces(spec: StudySpec, dataset: Dataset) -> dict[str, Space | str]:
    """For each known learner its space, or why it does not apply."""
    spaces: dict[str, Space | str] = {}
    for name in dict.fromkeys([*spec.learners, *names("learner")]):
        learner = find("learner", name)()
        if dataset.task.counted and dataset.task not in getattr(learner, "counts", ()):
            spaces[name] = f"it is for other tasks; here {MEANT[dataset.task]}"
            continue
        if dataset.modality in MEDIA and not _reads(name, learner, dataset.modality):
            spaces[name] = f"it reads no {READERS[dataset.modality]}"
            continue
        try:
            spaces[name] = learner.space(dataset)
        except NotApplicable as reason:
            spaces[name] = str(reason)
    return narrow(spaces, spec.parameters, spec.learners)


def _reads(name: str, learner: object, modality: str) -> bool:
    return name == BASELINE or modality in getattr(learner, "reads", ())


def _forecasting(
    spec: StudySpec, dataset: Dataset, spaces: Mapping[str, Space | str]
) -> dict[str, Space]:
    """Learners worth asking what they cost: those named, else any where texts are to be read."""
    reads = dataset.modality in READERS or dataset.pretrained is not None
    asked = spec.learners or (tuple(spaces) if reads else ())
    return {name: space for name in asked if isinstance(space := spaces.get(name), Space)}


def _selection(
    spec: StudySpec,
    dataset: Dataset,
    spaces: Mapping[str, Space | str],
    split: Split,
    foretold: Mapping[str, Forecast],
) -> Any:
    seconds = None if spec.budget.minutes is None else spec.budget.minutes * 60
    return select(
        spaces,
        dataset,
        trials=spec.budget.trials,
        seconds=seconds,
        wanted=spec.learners,
        forecasts=foretold,
        fits=split.jobs,
    )


def _strategy(
    spec: StudySpec,
    selection: Mapping[str, Any],
    foretold: Mapping[str, Forecast],
    split: Split,
    objectives: tuple[Objective, ...],
) -> dict[str, str]:
    if spec.strategy != AUTO:
        return {"name": spec.strategy, "reason": "stated in the study file"}
    space = decode(Space, selection["space"])
    name, reason = choose(space, spec.budget.trials, spread=spread(foretold))
    learners = [find("learner", c["name"])() for c in selection["learners"] if c["used"]]
    case = fidelity.Case(
        strategy=name,
        trials=spec.budget.trials,
        minutes=spec.budget.minutes,
        unraced=unsound(split) if spec.racing else "turned off",
        steps=any(getattr(learner, "stops_early", False) for learner in learners),
        measured=tuple(o.metric for o in objectives if lookup(o.metric).needs == "measurement"),
    )
    name, early = fidelity.choose_fidelity(case)
    return {"name": name, "reason": f"{reason}; {early}"}


def _replaying(
    spec: StudySpec,
    dataset: Dataset,
    objectives: tuple[Objective, ...],
    space: Space,
    split: Split,
) -> float:
    if not LEVELS[spec.rigor].nested or why_not_nested(objectives, dataset, space):
        return 0.0
    return nested_cost(split)


def check_same(
    recorded: Mapping[str, Any],
    spec: StudySpec,
    data_digest: str,
    model_digest: str = "",
    schema_digest: str = "",
) -> None:
    """Refuse to go on with a study under another statement.

    Args:
        recorded: The ``spec`` of the study record.
        spec: What is stated now.
        data_digest: Hash of the data file now; empty if it is gone or in memory.
        model_digest: Hash of the pre-trained model now; empty if there is none, or it is not used.
        schema_digest: Hash of the schema of answers now; empty if there is none, or it is not used.

    Raises:
        SpecError: Names each key that changed. Budget, workers, limits, silenced checks, what is
            kept afterwards and the output folder may change.
    """
    free = {"budget", "workers", "trial_minutes", "trial_memory_gb", "audit_ignore", "output"}
    free |= {"audit", "keep_cache"}
    now = encode(spec.public())
    problems = [
        Problem(
            "a study goes on under the statement it began with",
            f"{now[key]!r}, began with {recorded[key]!r}",
            key,
            "restore the old value, or name another `output` folder for a new study",
        )
        for key in now
        if key not in free and key in recorded and now[key] != recorded[key]
    ]
    if data_digest and recorded["data_digest"] not in ("", data_digest):
        remedy = "restore the file, or name another `output` folder for a new study"
        rule = "a study goes on with the data it began with; the file has changed"
        problems.append(Problem(rule, "", str(recorded["data"]), remedy))
    if model_digest and recorded.get("model_digest", "") != model_digest:
        remedy = "restore its files, or name another `output` folder for a new study"
        rule = "a study goes on with the model it began with; its files have changed"
        problems.append(Problem(rule, "", str(recorded["model"]), remedy))
    if schema_digest and recorded.get("schema_digest", "") != schema_digest:
        remedy = "restore the file, or name another `output` folder for a new study"
        rule = "a study goes on with the schema it began with; its file has changed"
        problems.append(Problem(rule, "", "answer_schema", remedy))
    if problems:
        raise SpecError(problems)

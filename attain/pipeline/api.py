"""What the command line and Python programs call."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.codec import decode
from attain.core.errors import (
    ArtifactError,
    BlockedByAudit,
    Problem,
    SpecError,
)
from attain.core.types import Dataset, Finding, Forecast, Objective, Split
from attain.data.fix import Repair, check_new, mend, write_frame
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.objectives.feasibility import Feasibility
from attain.parameters.select import Selection
from attain.pipeline import exports, function_report, saved
from attain.pipeline import run as running
from attain.pipeline.doctor import Diagnostic, doctor
from attain.pipeline.finish import write_reports
from attain.pipeline.notice import Listener, Notice
from attain.pipeline.prepare import describe_data, prepare
from attain.pipeline.result import Result
from attain.pipeline.rigor import LEVELS, nested_cost, why_not_nested
from attain.pipeline.spec import StudySpec, load_spec, make_spec
from attain.pipeline.study import Study
from attain.pipeline.telling import Tick, ignore
from attain.pipeline.template import init
from attain.report import evidence
from attain.runtime.address import FILE, has_ledger, open_place
from attain.runtime.ledger import SqliteLedger

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Diagnostic",
    "Notice",
    "PlanView",
    "Result",
    "StudySpec",
    "audit",
    "doctor",
    "export",
    "fix",
    "init",
    "load_spec",
    "plan",
    "predict",
    "report",
    "run",
    "study_folder",
    "test",
    "tune",
]

STUDY_FILE = "attain.yaml"


@dataclass(frozen=True)
class PlanView:
    """What a study would do, found out without training anything.

    Attributes:
        dataset: The rows that would be unsealed.
        objectives: What good means.
        objective_reason: Where the objectives come from.
        feasibility: Whether the sealed rows can decide each objective.
        findings: What the audit says.
        split: How configurations would be validated.
        selection: Learners and parameters, with reasons.
        strategy: Name of the search strategy and why.
        seal_rule: How the sealed rows would be chosen.
        sealed_rows: How many.
        workers: Processes, and threads of each.
        cost: What the search may spend, in words.
        blocked: Why the run would not start; empty if it would.
        forecasts: What fits would cost, by learner that can say it, and what these would read.
        unforetold: Why a learner could not say it, by learner.
    """

    dataset: Dataset
    objectives: tuple[Objective, ...]
    objective_reason: str
    feasibility: tuple[Feasibility, ...]
    findings: tuple[Finding, ...]
    split: Split | None
    selection: Selection | None
    strategy: tuple[str, str]
    seal_rule: str
    sealed_rows: int
    workers: tuple[int, int]
    cost: str
    blocked: str = ""
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    unforetold: Mapping[str, str] = field(default_factory=dict)


def run(spec: StudySpec, *, listen: Listener | None = None) -> Result:
    """Run a study, or go on with one that was stopped; see `pipeline.run.run`."""
    return running.run(spec, listen=listen)


def test(folder: Path, *, reason: str, listen: Listener | None = None) -> Result:
    """Open the seal of a finished study once more.

    Args:
        folder: The study folder.
        reason: Why; recorded and shown in every report.
        listen: Told of everything that happens.

    Returns:
        With the new verdict, at a tightened confidence.

    Raises:
        SealError: When the study has not been tested yet, or there is no reason.
    """
    return running.look_again(_recorded_spec(folder), reason, listen)


def plan(
    spec: StudySpec,
    *,
    listen: Listener | None = None,
    executors: running.Executors | None = None,
) -> PlanView:
    """Say what a study would do. Nothing is trained, and the study folder is not touched.

    Where a learner can say what its fits will cost, it measures that in a worker process.

    Args:
        spec: What the user stated.
        listen: Told of what takes its time.
        executors: As for `pipeline.run.run`.

    Returns:
        The plan; blocking findings are part of it, not an error.

    Raises:
        SpecError: When objectives or settings do not fit the data.
        DataError: When the data cannot be used.
    """
    blocked = ""
    with tempfile.TemporaryDirectory(prefix="attain-plan-") as folder:
        study = _trial_study(Path(folder), spec, listen)
        try:
            prepare(study, spec, running.place(spec, Path(folder), executors))
        except BlockedByAudit as error:
            blocked = str(error)
        finally:
            study.close()
        return _plan_view(study, spec, blocked)


def _trial_study(folder: Path, spec: StudySpec, listen: Listener | None = None) -> Study:
    ledger = SqliteLedger(folder / FILE)
    return Study(folder, ledger, seed=spec.seed, budget=spec.budget, listen=listen)


def _plan_view(study: Study, spec: StudySpec, blocked: str) -> PlanView:
    payload = {r.kind: r.payload for r in study.records}
    split = decode(Split, payload["split"]["split"]) if "split" in payload else None
    selection = decode(Selection, payload["selection"]) if "selection" in payload else None
    strategy = payload.get("strategy", {"name": "", "reason": ""})
    seal = payload["seal"]["seal"]
    foretold = payload.get("forecast", {"forecasts": {}, "failed": {}})
    fits = f"; {split.jobs} fits for each trial" if split else ""
    return PlanView(
        dataset=decode(Dataset, payload["dataset"]["dataset"]),
        objectives=decode(tuple[Objective, ...], payload["objectives"]["objectives"]),
        objective_reason=payload["objectives"]["reason"],
        feasibility=decode(
            tuple[Feasibility, ...], payload.get("feasibility", {"items": ()})["items"]
        ),
        findings=decode(tuple[Finding, ...], payload["audit"]["findings"]),
        split=split,
        selection=selection,
        strategy=(strategy["name"], strategy["reason"]),
        seal_rule=seal["rule"],
        sealed_rows=seal["rows"],
        workers=running.resources(spec),
        cost=f"at most {spec.budget}{fits}{_nested(spec, payload)}",
        blocked=blocked,
        forecasts=decode(dict[str, Forecast], foretold["forecasts"]),
        unforetold=foretold["failed"],
    )


def _nested(spec: StudySpec, payload: Mapping[str, Any]) -> str:
    """What nested cross-validation would cost, if it is asked for."""
    if not LEVELS[spec.rigor].nested or "selection" not in payload:
        return ""
    reason = why_not_nested(
        decode(tuple[Objective, ...], payload["objectives"]["objectives"]),
        decode(Dataset, payload["dataset"]["dataset"]),
        decode(Selection, payload["selection"]).space,
    )
    if reason:
        return f"; no nested cross-validation: {reason}"
    times = nested_cost(decode(Split, payload["split"]["split"]))
    return f"; nested cross-validation takes about {times:.2g} times as long as the search on top"


def audit(spec: StudySpec) -> tuple[Dataset, tuple[Finding, ...]]:
    """Audit the data of a study; the study folder is not touched.

    Args:
        spec: What the user stated.

    Returns:
        What is known of the unsealed rows, and every check's answer.

    Raises:
        SpecError: When the statement does not fit the data.
        DataError: When the data cannot be used.
    """
    from attain.pipeline.prepare import check_data

    with tempfile.TemporaryDirectory(prefix="attain-audit-") as folder:
        study = _trial_study(Path(folder), spec)
        try:
            describe_data(study, spec)
            check_data(study, spec)
        except BlockedByAudit:
            pass  # the findings say so themselves
        finally:
            study.close()
        return (
            study.read("dataset", "dataset", Dataset),
            study.read("audit", "findings", tuple[Finding, ...]),
        )


def fix(spec: StudySpec, to: Path) -> tuple[Repair, ...]:
    """Write the data of a study to a new file, with what is safe to mend mended.

    Args:
        spec: What the user stated.
        to: A file that does not exist yet; not written when nothing is to be mended.

    Returns:
        What was done, one for each remedy, also where it found nothing.

    Raises:
        SpecError: When the file exists or has a suffix that is not known.
        DataError: When the data cannot be used.
    """
    check_new(to)
    frame = load_frame(spec.source)
    dataset = describe(
        frame,
        target=spec.target,
        groups=spec.groups,
        time=spec.time,
        task=spec.task,
        separator=spec.labels,
        ignore=spec.ignore,
        text=spec.text,
    )
    mended, repairs = mend(frame, dataset)
    if any(r.count for r in repairs):
        write_frame(mended, to)
    return repairs


def report(folder: Path) -> Mapping[str, Any]:
    """Write the reports of a study again, from its ledger; of a function's search its page.

    Args:
        folder: The study folder; the study may be running.

    Returns:
        Everything the reports show, as JSON values; see `evidence.collect`, of a search
        `report.function.collect`.

    Raises:
        SpecError: When the folder holds no study.
    """
    study = _read_only(folder)
    try:
        if function_report.is_search(study.records):
            told = function_report.evidence(function_report.read(study.records))
            function_report.write(folder, told)
            return told
        write_reports(study)
        return evidence.collect(study.records)
    finally:
        study.close()


def result(folder: Path) -> Result:
    """What a study handed back, read from its ledger.

    Args:
        folder: The study folder.

    Returns:
        As `run` returned it.

    Raises:
        SpecError: When the folder holds no study.
    """
    study = _read_only(folder)
    try:
        return write_reports(study)
    finally:
        study.close()


def predict(
    model_folder: Path,
    data: Any,
    *,
    proba: bool = False,
    explain: bool = False,
    tick: Tick = ignore,
) -> pd.DataFrame:
    """Predict with a saved model.

    Args:
        model_folder: A model folder, or a study folder that has one.
        data: A path, or a frame, with the feature columns.
        proba: Add one column of probabilities for each class.
        explain: Add a column of the three cells that moved each prediction most.
        tick: Told of rows that are explained.

    Returns:
        One row per row of the data.

    Raises:
        ArtifactError: When the model is incomplete or was altered.
        DataError: When the data do not have the model's columns.
        SpecError: When the model cannot be explained exactly.
    """
    return saved.load(model_folder).predict_frame(data, proba=proba, explain=explain, tick=tick)


def export(folder: Path, to: Path, *, format: str = "folder") -> Path:
    """Copy a study's model out of the study folder.

    Args:
        folder: A study folder or a model folder.
        to: Where; must not exist, but its folder must.
        format: ``folder`` (loads with `attain.load`), ``skops`` (one file that ``skops.io.load``
            turns into a scikit-learn estimator), or ``json`` (everything as one readable
            document); see docs/model-format.md.

    Returns:
        The path written.

    Raises:
        SpecError: When the format is unknown, or the destination is no place for it.
        ArtifactError: When the model is incomplete or was altered.
    """
    exports.write(folder, to, format)
    return to


def study_folder(path: Path | None = None) -> Path:
    """The study folder that a path stands for.

    Args:
        path: A study file, a study folder, or a folder with a study file; None for the study file
            here.

    Returns:
        The study folder, which holds a ledger.

    Raises:
        SpecError: When there is no study.
    """
    path = Path(STUDY_FILE) if path is None else path
    if path.is_dir() and not has_ledger(path) and (path / STUDY_FILE).exists():
        path = path / STUDY_FILE
    folder = load_spec(path).folder if path.is_file() else path
    if has_ledger(folder):
        return folder
    remedy = "give a study file or folder, or start one with: attain run"
    raise SpecError(Problem("there must be a study", str(folder), "", remedy))


def study_here() -> Path | None:
    """The study folder of the study file in the current folder; None without one."""
    try:
        return study_folder()
    except SpecError:
        return None


def tune(
    data: Any,
    target: str,
    *,
    objectives: Sequence[Any] = (),
    output: str | Path = "study",
    listen: Listener | None = None,
    **settings: Any,
) -> Result:
    """Tune a model until the objectives are met, and test it once on sealed rows.

    Calling it again with the same arguments continues a study that was interrupted, and returns
    the result of one that has ended.

    Args:
        data: A path, or a pandas or polars frame.
        target: Column to predict.
        objectives: Statements such as ``"roc_auc >= 0.93"``; a sensible default otherwise.
        output: Study folder.
        listen: Told of everything that happens.
        **settings: The study file's other keys, such as ``budget="40 trials"`` or ``seed=1``.

    Returns:
        The verdict, the model and where the report is.

    Raises:
        AttainError: See `attain.core.errors`; everything finished is kept.
    """
    stated = {"data": str(data) if isinstance(data, Path) else data, "target": target}
    if objectives:
        stated["objectives"] = [objectives] if isinstance(objectives, str) else list(objectives)
    spec = make_spec({**stated, **settings, "output": str(output)})
    return run(replace(spec, base=Path.cwd()), listen=listen)


def _read_only(folder: Path) -> Study:
    if not has_ledger(folder):
        remedy = "give a study file or folder, or start one with: attain run"
        raise SpecError(Problem("there must be a study", str(folder), "", remedy))
    return Study(folder, open_place(folder, read_only=True))


def _recorded_spec(folder: Path) -> StudySpec:
    """The statement a study began with, read from its ledger."""
    study = _read_only(folder)
    try:
        began = study.last("study")
        if began is None:
            raise ArtifactError(f"{folder} holds an empty ledger — run it first with: attain run")
        digests = ("data_digest", "model_digest", "schema_digest")
        stated = {k: v for k, v in began.payload["spec"].items() if k not in digests}
    finally:
        study.close()
    spec = make_spec({k: v for k, v in stated.items() if v not in (None, [])})
    return replace(spec, base=folder.parent, output=folder.name)

"""The results of commands, laid out for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.cli.masks import all_masks
from attain.cli.output import Cell, grid, paint
from attain.core.types import Dataset, Finding, FindingState, Severity
from attain.report.numbers import listed, number, plural, share

if TYPE_CHECKING:
    from attain.core.space import Parameter
    from attain.data.fix import Repair
    from attain.pipeline.api import Diagnostic, PlanView, Result, StudySpec

SEVERITY_STYLES: Mapping[Severity, str] = {
    Severity.BLOCKER: "bad",
    Severity.ISSUE: "warn",
    Severity.TIP: "",
}
_ORDER = tuple(SEVERITY_STYLES)


def written(path: Path, spec: StudySpec) -> str:
    """What ``attain init`` wrote, and what to do next."""
    where = "" if path == Path("attain.yaml") else f" {path}"
    said = {
        "target": spec.target,
        "task": str(spec.task),
        "objectives": ", ".join(map(str, spec.objectives)),
        "groups": spec.groups,
        "time": spec.time,
        "ignored": listed(list(spec.ignore)),
        "budget": str(spec.budget),
    }
    rows = [[name, text] for name, text in said.items() if text]
    return "\n".join(
        [
            paint(f"{path} is written", "head"),
            grid(rows),
            f"next: edit it, look at {paint(f'attain plan{where}', 'head')}, "
            f"start {paint(f'attain run{where}', 'head')}",
        ]
    )


def plan(view: PlanView, path: Path) -> str:
    """What a study would do, step by step."""
    sections: list[tuple[str, list[list[Cell]]]] = [
        ("1 objectives", _objectives(view)),
        ("  data", _data(view)),
        ("2 parameters", _selection(view)),
        *((f"  {name}", foretold(view, name)) for name in view.forecasts),
        ("3 strategy", [[view.strategy[0], view.strategy[1]]] if view.strategy[0] else []),
        ("4 train", [[_workers(view.workers), view.cost]]),
        ("5 validate", [[_split(view), view.split.reason]] if view.split else []),
        ("6 refine", [["rounds", _REFINE]]),
        ("7 test", [[plural(view.sealed_rows, "row") + " sealed", view.seal_rule]]),
    ]
    lines = [paint(f"plan of {path}: nothing has been trained", "head")]
    for title, rows in sections:
        if rows:
            lines += [paint(title, "head"), grid(rows, indent=4)]
    lines += all_masks(list(view.forecasts.values()))
    if view.blocked:
        lines += ["", paint("The run would not start:", "bad"), paint(view.blocked)]
    else:
        where = "" if path == Path("attain.yaml") else f" {path}"
        lines += ["", f"next: {paint(f'attain run{where}', 'head')}"]
    return "\n".join(lines)


_REFINE = "after each round attain narrows, widens or moves the search, or ends it, and says why"


def _objectives(view: PlanView) -> list[list[Cell]]:
    said = {str(f.objective): f for f in view.feasibility}
    rows: list[list[Cell]] = []
    for objective in map(str, view.objectives):
        found = said.get(objective)
        style = "bad" if found and found.state == "undecidable" else ""
        rows.append([objective, (found.text if found else "", style)])
    return [*rows, ["why", view.objective_reason]]


def _data(view: PlanView) -> list[list[Cell]]:
    dataset = view.dataset
    rows: list[list[Cell]] = [
        [
            "table",
            f"{dataset.address}: {plural(dataset.rows, 'row')} to work with, "
            f"{plural(len(dataset.features), 'feature')}",
        ],
        ["target", f"{dataset.target}, {dataset.task}: {dataset.task_reason}"],
    ]
    if dataset.groups:
        rows.append(["groups", f"{dataset.groups}: rows of a group stay together"])
    if dataset.time:
        rows.append(["time", f"{dataset.time}: validation looks ahead"])
    return [*rows, *([f"audit {code}", cell] for code, cell in _short_findings(view.findings))]


def _short_findings(findings: Sequence[Finding]) -> list[tuple[str, Cell]]:
    found = ordered(findings)
    rows: list[tuple[str, Cell]] = [
        (f.code, (f"{f.severity}: {f.explanation}", SEVERITY_STYLES[f.severity])) for f in found
    ]
    quiet = sum(1 for f in findings if f.state is not FindingState.FOUND)
    return [*rows, ("", f"{plural(quiet, 'check')} found nothing")]


def _selection(view: PlanView) -> list[list[Cell]]:
    """A line for each learner, and under it what is tuned of it."""
    if view.selection is None:
        return []
    rows: list[list[Cell]] = []
    searched = {c.name for c in view.selection.parameters if c.used}
    idle = [c for c in view.selection.parameters if not c.used]
    stated = [c for c in idle if c.reason.endswith("in the study file")]
    unused: dict[str, list[str]] = {}
    for choice in view.selection.learners:
        if not choice.used:
            unused.setdefault(choice.reason, []).append(choice.name)
            continue
        rows.append([choice.name, choice.reason])
        own = [p for p in view.selection.space if p.name.startswith(f"{choice.name}.")]
        tuned = [p for p in own if p.name in searched]
        if tuned:
            rows.append(["", ("tunes " + "; ".join(map(_range, tuned)), "dim")])
        own_name = f"{choice.name}."
        said = [c for c in stated if c.name.startswith(own_name)]
        rows += [["", (f"{c.name.removeprefix(own_name)} {c.reason}", "dim")] for c in said]
    rows += [_unused(reason, names) for reason, names in unused.items()]
    fixed = len(idle) - len(stated)
    rows += [
        [f"{name} cost", (f"not known: {why}", "warn")] for name, why in view.unforetold.items()
    ]
    return [*rows, ["fixed", f"{plural(fixed, 'parameter')} at known-good values"]]


def _unused(reason: str, names: Sequence[str]) -> list[Cell]:
    """One line for all learners that the same keeps out."""
    if len(names) == 1:
        return [(f"not {names[0]}", "dim"), (reason, "dim")]
    return [("not", "dim"), (f"{', '.join(names)}: {reason}", "dim")]


def foretold(view: PlanView, learner: str) -> list[list[Cell]]:
    """What a learner says of its fits: rungs, facts, labels, and inputs as the model sees them."""
    forecast = view.forecasts[learner]
    rows: list[list[Cell]] = []
    for rung in forecast.rungs:
        text = str(rung).removeprefix(f"{rung.name}: ")
        why = f" ({rung.reason})" if rung.usable and rung.reason else ""
        rows.append([f"rung {rung.name}", (f"{text}{why}", "" if rung.usable else "dim")])
    rows += [[n.replace("_", " "), _fact(n, value)] for n, value in forecast.facts.items()]
    rows += [[f"audit {code}", cell] for code, cell in _short_findings(forecast.findings) if code]
    if view.dataset.classes and "labels" not in forecast.facts:
        labels = [f"{code} = {label}" for code, label in enumerate(view.dataset.classes)]
        rows.append(["labels", listed(labels, most=8)])
    examples = forecast.examples[:_EXAMPLES]
    rows += [["reads", f"{text}  ->  {label}"] for text, label in examples]
    return rows


_EXAMPLES = 3


def _fact(name: str, value: float | int | str) -> str:
    if isinstance(value, str):
        return value
    return share(value) if "share" in name else number(value)


def _range(parameter: Parameter) -> str:
    """Such as ``num_leaves 4 to 79 (log)``: without prefix, start and condition."""
    bare = replace(parameter, name=parameter.name.partition(".")[2], default=None, when=())
    return str(bare).replace(": ", " ", 1)


def _workers(workers: tuple[int, int]) -> str:
    return f"{plural(workers[0], 'worker')} of {plural(workers[1], 'thread')}"


def _split(view: PlanView) -> str:
    assert view.split is not None
    times = f" x {view.split.repeats}" if view.split.repeats > 1 else ""
    return f"{view.split.kind}, {plural(view.split.folds, 'fold')}{times}"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """What was found, the gravest first."""
    found = [f for f in findings if f.state is FindingState.FOUND]
    return sorted(found, key=lambda f: (_ORDER.index(f.severity), f.code))


def repairs(done: Sequence[Repair], to: Path) -> str:
    """What was mended, with counts, and where."""
    lines = [f"{r.code}  {r.text}" for r in done if r.count]
    if not lines:
        return f"nothing to mend; {to} was not written"
    return "\n".join([*lines, f"written to {to}; the original is as it was"])


def audit(dataset: Dataset, findings: Sequence[Finding], *, everything: bool) -> str:
    """Every finding with its remedy, and a count of the rest."""
    head = f"audit of {dataset.address}: {plural(dataset.rows, 'row')}, target {dataset.target}"
    lines = [paint(head, "head")]
    for finding in ordered(findings):
        style = SEVERITY_STYLES[finding.severity]
        lines.append(f"  {finding.code} {paint(finding.severity, style)}  {paint(finding.title)}")
        rows: list[list[Cell]] = [["", finding.explanation]]
        rows += [["rows:", _rows(finding.rows)]] if finding.rows else []
        rows += [["next:", finding.remedy]] if finding.remedy else []
        lines.append(grid(rows, indent=4))
    if any(f.rows for f in ordered(findings)):
        lines += ["", paint(_WHERE, "dim")]
    rest = [f for f in findings if f.state is not FindingState.FOUND]
    if everything and rest:
        lines += ["", grid([[f.code, f.state, _why_quiet(f)] for f in rest])]
    return "\n".join([*lines, "", _counts(findings)])


_WHERE = "Rows are counted from 0, as read; in a CSV file with a header, row 0 is on line 2."
_NAMED = 10


def _rows(rows: Sequence[int]) -> str:
    """The first rows concerned, in the order in which they should be looked at."""
    more = f" and others (--json has {len(rows)})" if len(rows) > _NAMED else ""
    return ", ".join(str(row) for row in rows[:_NAMED]) + more


def _why_quiet(finding: Finding) -> str:
    return f"{finding.title}: {finding.explanation}" if finding.explanation else finding.title


def _counts(findings: Sequence[Finding]) -> str:
    counts = [
        plural(n, severity)
        for severity in _ORDER
        if (n := sum(1 for f in ordered(findings) if f.severity is severity))
    ]
    counts += [
        f"{n} {state}"
        for state in (FindingState.PASSED, FindingState.NOT_APPLICABLE, FindingState.SKIPPED)
        if (n := sum(1 for f in findings if f.state is state))
    ]
    return f"{plural(len(findings), 'check')}: {', '.join(counts)}"


def result(found: Result) -> str:
    """The verdict and where everything is."""
    return "\n".join([found.summary.rstrip(), "", files(found.folder)])


def files(folder: Path) -> str:
    """What the study folder holds, as far as it is there."""
    known = {
        "report": folder / "report.html",
        "model card": folder / "model_card.md",
        "numbers": folder / "report.json",
        "model": folder / "model",
    }
    rows: list[list[Cell]] = [[name, short(path)] for name, path in known.items() if path.exists()]
    return grid(rows)


def short(path: Path) -> str:
    """A path as seen from here, if that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def result_payload(found: Result) -> dict[str, Any]:
    """The verdict for programs."""
    return {
        "verdict": None if found.verdict is None else found.verdict.state,
        "objectives": () if found.verdict is None else found.verdict.objectives,
        "looks": 0 if found.verdict is None else found.verdict.looks,
        "folder": str(found.folder),
        "report": str(found.report),
        "card": str(found.card),
        "model": None if found.model is None else str(found.model),
    }


def report(evidence: Mapping[str, Any], folder: Path) -> str:
    """The report as text, and its files; of a study, or of the search of a function."""
    from attain.report import function, text

    told = function.summary(evidence) if "searches" in evidence else text.render(evidence)
    return "\n".join([told.rstrip(), "", files(folder)])


def doctor(found: Sequence[Diagnostic]) -> str:
    """Everything that was looked at, with what to do about the rest."""
    rows: list[list[Cell]] = []
    for diagnostic in found:
        mark: Cell = ("ok", "good") if diagnostic.ok else ("!!", "bad")
        remedy = "" if diagnostic.ok or not diagnostic.remedy else f" — {diagnostic.remedy}"
        rows.append([mark, diagnostic.name, f"{diagnostic.text}{remedy}"])
    bad = sum(1 for d in found if not d.ok)
    end = f"{plural(bad, 'thing')} to attend to" if bad else "all is well"
    return "\n".join([grid(rows), "", paint(end, "bad" if bad else "good")])

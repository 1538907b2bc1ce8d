"""``attain audit``: every data check's answer."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, file_of, shared, study_file_argument
from attain.core.errors import Exit


@click.command("audit")
@study_file_argument
@click.option("--all", "everything", is_flag=True, help="Show also what passed or does not apply.")
@click.option("--deep", is_flag=True, help="Let costly checks look at ten times the rows.")
@click.option(
    "--fix",
    "to",
    type=click.Path(path_type=Path),
    help="Write the data to this new file with what is safe to mend mended.",
)
@shared
def command(call: Call, study_file: Path, everything: bool, deep: bool, to: Path | None) -> Exit:
    """Check the data for what would spoil the result. Nothing is changed.

    Exits with 5 when a finding would stop the run.
    """
    from attain.cli import tables
    from attain.cli.output import emit
    from attain.core.types import FindingState, Severity
    from attain.pipeline import api

    spec = api.load_spec(file_of(study_file), {"audit": "deep"} if deep else None)
    if to is not None:
        repairs = api.fix(spec, to)
        return emit(call, tables.repairs(repairs, to), {"repairs": repairs, "file": str(to)})
    dataset, findings = api.audit(spec)
    blocked = any(
        f.state is FindingState.FOUND and f.severity is Severity.BLOCKER for f in findings
    )
    text = tables.audit(dataset, findings, everything=everything)
    payload = {"dataset": dataset, "findings": findings}
    return emit(call, text, payload, Exit.AUDIT if blocked else Exit.MET)

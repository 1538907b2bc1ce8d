"""``attain report``: the verdict in words, and the files written anew."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared, study_argument
from attain.core.errors import Exit


@click.command("report", short_help="Show the report of a study and write its files anew.")
@study_argument
@shared
def command(call: Call, study: Path | None) -> Exit:
    """Show the report of a study and write report.html, model_card.md and report.json anew.

    Works while the study is running, and after it was stopped. STUDY is a study file or a study
    folder; also the output folder of attain.minimize, which gets a report.html.
    """
    from attain.cli import tables
    from attain.cli.output import emit
    from attain.pipeline import api

    call.folder = api.study_folder(study)
    evidence = api.report(call.folder)
    payload = {"folder": str(call.folder), "report": evidence}
    return emit(call, tables.report(evidence, call.folder), payload)

"""``attain doctor``: is this machine fit, and is a study sound?"""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared, study_argument
from attain.core.errors import Exit


@click.command("doctor", short_help="Check this machine and, if there is one, a study.")
@study_argument
@shared
def command(call: Call, study: Path | None) -> Exit:
    """Check this machine and, if one is given, a study's ledger and model.

    STUDY is a study file or a study folder; by default the study in this folder, if there is one.
    Exits with 8 when something needs attention.
    """
    from attain.cli import tables
    from attain.cli.output import emit
    from attain.pipeline import api

    call.folder = api.study_here() if study is None else api.study_folder(study)
    found = api.doctor(call.folder)
    exit = Exit.MET if all(d.ok for d in found) else Exit.ENVIRONMENT
    return emit(call, tables.doctor(found), {"diagnostics": found}, exit)

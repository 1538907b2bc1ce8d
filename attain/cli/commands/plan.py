"""``attain plan``: what a study would do, without training anything."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, file_of, shared, study_file_argument
from attain.core.errors import Exit


@click.command("plan")
@study_file_argument
@shared
def command(call: Call, study_file: Path) -> Exit:
    """Show what a study would do. Nothing is trained or changed.

    With a pre-trained model it measures for a moment what fits cost.
    Exits with 5 when the data audit would stop the run.
    """
    from attain.cli import tables
    from attain.cli.output import emit
    from attain.cli.plain import Waiting
    from attain.pipeline import api

    path = file_of(study_file)
    view = api.plan(api.load_spec(path), listen=Waiting(lambda line: click.echo(line, err=True)))
    exit = Exit.AUDIT if view.blocked else Exit.MET
    return emit(call, tables.plan(view, path), {"study_file": str(path), "plan": view}, exit)

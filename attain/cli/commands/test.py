"""``attain test``: open the seal once more."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared, study_argument
from attain.core.errors import Exit


@click.command("test")
@study_argument
@click.option(
    "--reason", default="", metavar="TEXT", help="Why; needed, and shown in every report."
)
@shared
def command(call: Call, study: Path | None, reason: str) -> Exit:
    """Test the final model on the sealed rows once more.

    `attain run` has done it once. Each further look tightens the confidence of the verdict, and
    is counted in the report and the model card. STUDY is a study file or a study folder.
    """
    from attain.cli import tables
    from attain.cli.output import emit
    from attain.cli.progress import progress
    from attain.pipeline import api

    call.folder = api.study_folder(study)
    with progress() as listen:
        result = api.test(call.folder, reason=reason, listen=listen)
    return emit(call, tables.result(result), tables.result_payload(result), result.exit)

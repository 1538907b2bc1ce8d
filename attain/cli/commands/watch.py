"""``attain watch``: the live dashboard of a study."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared, study_argument
from attain.core.errors import Exit


@click.command("watch", short_help="Open the live dashboard of a study in a browser.")
@study_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default="any that is free",
    help="Port to listen on, on this machine only.",
)
@click.option("--no-open", is_flag=True, help="Print the address, open no browser.")
@shared
def command(call: Call, study: Path | None, port: int, no_open: bool) -> Exit:
    """Open the live dashboard of a study, running or not, until Ctrl-C.

    It reads only, so it can neither crash nor slow the run, and it outlives it. Nobody but who has
    the printed address can see it: the server listens on this machine alone, and the address holds
    a secret. STUDY is a study file or a study folder.
    """
    from attain.cli.output import emit
    from attain.pipeline import api
    from attain.web.serve import watch

    call.folder = api.study_folder(study)

    def tell(address: str) -> None:
        emit(call, address, {"address": address}, Exit.MET)
        click.echo("Ctrl-C ends the dashboard; the run goes on.", err=True)

    watch(call.folder, port=port, browser=not no_open, tell=tell)
    return Exit.MET

"""``attain serve``: a saved model behind HTTP, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared
from attain.core.errors import Exit


@click.command("serve", short_help="Answer with predictions of a saved model over HTTP.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default="any that is free",
    help="Port to listen on, on this machine only.",
)
@shared
def command(call: Call, model: Path, port: int) -> Exit:
    """Answer with predictions of a saved model over HTTP, until Ctrl-C.

    MODEL is a model folder, or a study folder that has one. GET / says which columns it needs;
    POST /predict takes {"rows": [{"column": value, ...}, ...]} and gives one prediction for each.
    The server listens on this machine alone, refuses pages of other origins, and writes nothing.
    """
    from attain.cli.output import emit
    from attain.web.serve import make_predictor

    ready = make_predictor(model, port)
    emit(call, ready.address, {"address": ready.address}, Exit.MET)
    click.echo("Ctrl-C ends the server.", err=True)
    ready.serve()
    return Exit.MET

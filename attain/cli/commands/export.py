"""``attain export``: the model alone."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared
from attain.core.errors import Exit


@click.command("export")
@click.argument("study", type=click.Path(path_type=Path), metavar="STUDY")
@click.option(
    "--format",
    "format_",
    default="folder",
    show_default=True,
    metavar="[folder|skops|json]",
    help="A model folder, one file for scikit-learn, or everything as one JSON document.",
)
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Must not exist yet.")
@shared
def command(call: Call, study: Path, format_: str, to: Path) -> Exit:
    """Copy the final model out of a study.

    STUDY is a study folder or a model folder. Every file is checked against its hash first. What
    each format holds, and how to load it, is told in docs/model-format.md.
    """
    from attain.cli.output import emit
    from attain.pipeline import api

    written = api.export(study, to, format=format_)
    payload = {"to": str(written), "format": format_}
    return emit(call, f"model written to {written}", payload)

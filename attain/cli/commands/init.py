"""``attain init``: write a study file."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import STUDY_FILE, Call, shared
from attain.core.errors import Exit


@click.command("init")
@click.argument("data", metavar="DATA")
@click.option("--target", required=True, metavar="COLUMN", help="Column to predict.")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="STATEMENT",
    help="What good means, such as 'roc_auc >= 0.9'. Repeat for several.",
)
@click.option(
    "--text",
    multiple=True,
    metavar="COLUMN",
    help="Column to read as text. Repeat for texts that are read one after the other.",
)
@click.option(
    "--model",
    metavar="FOLDER",
    help="Pre-trained model to start from: its folder, or its name on the hub.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=STUDY_FILE,
    show_default=True,
    help="Where to write the study file.",
)
@click.option("--force", is_flag=True, help="Replace a study file that exists.")
@shared
def command(
    call: Call,
    data: str,
    target: str,
    objectives: tuple[str, ...],
    text: tuple[str, ...],
    model: str | None,
    output: Path,
    force: bool,
) -> Exit:
    """Write a commented study file for a table.

    DATA is a CSV, TSV, Parquet, Arrow, Feather or JSON Lines file, also with .gz.

    \b
    attain init data.csv --target label
    attain init data.csv --target label --objective "roc_auc >= 0.9"
    attain init reviews.csv --target label --model all-MiniLM-L6-v2
    """
    from attain.cli import tables
    from attain.cli.output import emit
    from attain.pipeline import api

    written = api.init(
        data,
        target,
        folder=output.parent,
        output=output.name,
        objectives=objectives,
        text=text,
        model=model,
        force=force,
    )
    spec = api.load_spec(written)
    payload = {"study_file": str(written), "study": spec.public()}
    return emit(call, tables.written(written, spec), payload)

"""``attain run``: the whole study, or the rest of one."""

from __future__ import annotations

import time
from pathlib import Path

import click

from attain.cli.call import Call, file_of, shared, study_file_argument
from attain.core.errors import Exit


@click.command("run")
@study_file_argument
@click.option("--trials", type=click.IntRange(min=1), help="Search this many configurations.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Search for this long. Either limit replaces the study file's whole budget.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes that fit at the same time.")
@click.option("--executor", help="Where fits run: local, ray, or ray:ADDRESS of a cluster.")
@click.option("--ledger", help="Keep the records in a database: postgresql://user@host/database.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of everything random.")
@shared
def command(
    call: Call,
    study_file: Path,
    trials: int | None,
    minutes: float | None,
    workers: int | None,
    executor: str | None,
    ledger: str | None,
    seed: int | None,
) -> Exit:
    """Run a study, or go on with one that was stopped.

    Ctrl-C once finishes cleanly, twice stops at once; in both cases the same command continues.
    The exit code is the verdict: 0 met, 3 not met, 4 not decidable with so few rows.
    """
    from attain.cli import messages, tables
    from attain.cli.output import emit
    from attain.cli.progress import progress
    from attain.pipeline import api

    overrides: dict[str, object] = {"trials": trials, "minutes": minutes, "workers": workers}
    overrides |= {"seed": seed, "executor": executor, "ledger": ledger}
    spec = api.load_spec(file_of(study_file), overrides)
    call.folder = spec.folder
    began = time.time()
    with progress() as listen:
        result = api.run(spec, listen=listen)
    if result.records[-1].at < began:
        click.echo(messages.ALREADY_ENDED, err=True)
    return emit(call, tables.result(result), tables.result_payload(result), result.exit)

"""``attain predict``: a saved model on new rows."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared
from attain.core.errors import Exit


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to this .csv, .parquet or .jsonl file instead of stdout.",
)
@click.option("--proba", is_flag=True, help="Add a column of probabilities for each class.")
@click.option(
    "--explain",
    is_flag=True,
    help="Add a column of the three cells that moved each prediction most (lightgbm, linear).",
)
@shared
def command(
    call: Call, model: Path, data: Path, out: Path | None, proba: bool, explain: bool
) -> Exit:
    """Predict with a saved model, one row for each row of DATA.

    MODEL is a model folder, or a study folder that has one. Without --out, CSV goes to stdout.
    """
    from attain.cli import predictions
    from attain.cli.output import emit
    from attain.cli.progress import counted
    from attain.pipeline import api

    if out is not None:
        predictions.check(out)
    with counted("rows explained") as tick:
        frame = api.predict(model, data, proba=proba, explain=explain, tick=tick)
    if out is None:
        payload = {"rows": len(frame), "predictions": predictions.records(frame)}
        return emit(call, predictions.as_csv(frame), payload)
    predictions.write(frame, out)
    payload = {"rows": len(frame), "out": str(out)}
    return emit(call, f"{len(frame):,} predictions written to {out}", payload)

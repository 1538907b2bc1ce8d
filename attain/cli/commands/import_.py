"""``attain import``: weights of others become a model that studies can name."""

from __future__ import annotations

from pathlib import Path

import click

from attain.cli.call import Call, shared
from attain.core.errors import Exit


@click.command("import")
@click.argument("weights", type=click.Path(path_type=Path), metavar="WEIGHTS")
@click.option(
    "--as",
    "architecture",
    required=True,
    metavar="ARCHITECTURE",
    help="efficientnet-lite0, efficientnet-lite1 or speaker-lstm.",
)
@click.option("--to", type=click.Path(path_type=Path), required=True, help="New or empty folder.")
@shared
def command(call: Call, weights: Path, architecture: str, to: Path) -> Exit:
    """Turn a .pth or .pt file into the folder of a pre-trained model.

    Such files are pickled and could run code when they are opened. This one is opened once, in a
    process of its own that reads plain tensors and runs nothing; they must be those of the
    architecture. What is written is safetensors and JSON. Say model: FOLDER in a study then.

    \b
    attain import efficientnet-lite0.pth --as efficientnet-lite0 --to models/lite0
    """
    from attain.cli.output import emit
    from attain.pipeline.importing import import_weights

    told = import_weights(weights, architecture, to)
    left = len(told["left_out"])
    text = f"{told['parameters']:,} parameters written to {told['folder']}"
    text += f"; {left} tensors of another head were left out" if left else ""
    return emit(call, f"{text}\nSHA-256 of the file: {told['sha256']}", dict(told))

"""Weights of others become the folder of a model, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attain.core.errors import ArtifactError, EnvironmentProblem, Problem, SpecError

_MODULE = "attain.learners._pretrained.importing"
_SECONDS = 600.0


def import_weights(weights: Path, architecture: str, folder: Path) -> Mapping[str, Any]:
    """Read pickled weights as tensors alone, and write them as a model that studies can name.

    The file is opened in a process of its own that runs nothing of it (``weights_only``), and its
    tensors must be those of the architecture, all of them and of the same shapes.

    Args:
        weights: A file that ``torch.save`` wrote.
        architecture: What the weights are for, such as ``efficientnet-lite0``.
        folder: New or empty.

    Returns:
        ``folder``, ``architecture``, ``parameters``, ``left_out``, ``file`` and ``sha256``.

    Raises:
        SpecError: When there is no such file or architecture, or the folder holds something.
        ArtifactError: When the weights do not fit, or are no plain tensors.
        EnvironmentProblem: When torch is not installed, or the process dies.
    """
    if not weights.is_file():
        remedy = "give the file of the weights, such as model.pth"
        raise SpecError(Problem("the weights must be a file", str(weights), "", remedy))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        rule, remedy = "the folder of a model must be new or empty", "name another one"
        raise SpecError(Problem(rule, str(folder), "--to", remedy))
    command = [sys.executable, "-m", _MODULE, str(weights), architecture, str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(
            f"reading {weights} took more than {_SECONDS:.0f} s — look at the file"
        ) from error
    try:
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EnvironmentProblem(
            f"the weights could not be read ({last}) — pip install 'attain[image]', or look at the"
            " file"
        ) from None
    if "problem" in told:
        if told["kind"] == "SpecError":
            raise SpecError(Problem(told["problem"]))
        raise ArtifactError(told["problem"])
    return {"folder": str(folder), **told}

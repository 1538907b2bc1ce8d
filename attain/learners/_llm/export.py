"""Whether what is handed over computes what was trained."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.language import place
from attain.core.types import Pretrained, Rows
from attain.learners._llm.model import LlmModel
from attain.learners._llm.parameters import PACKED
from attain.learners._pretrained.quantized import possible

TOLERANCE = 1e-2
"""Nats a token by which an adapter beside the weights may differ from one that is merged into
them: rounding in float32 makes 1e-6, in bfloat16 some 1e-3; a wrong scale makes 0.1 and more."""
_ANSWERS = 4


def compare(model: LlmModel, rows: Rows) -> Mapping[str, Any]:
    """Load the adapter onto the pre-trained model, and compare it with the merged weights.

    Args:
        model: Loaded from its folder.
        rows: With their answers.

    Returns:
        ``adapter_differs``, ``answers_same`` and ``answers``; nothing where there is no adapter,
        the pre-trained model is gone, or its matrices cannot be rounded to 4 bits as they were.

    Raises:
        ArtifactError: When they differ by more than rounding.
    """
    if not model.adapter or not (Path(model.source) / "config.json").is_file():
        return {}
    if _packed(model) and not possible():
        return {}
    other = _with_adapter(model)
    merged, beside = (_losses(m.predict(rows)) for m in (model, other))
    differs = float(np.abs(merged - beside).max(initial=0.0))
    said = [{a["row"]: a["answer"] for a in m.write(rows, _ANSWERS)[1]} for m in (model, other)]
    same = sum(said[0][row] == said[1][row] for row in said[0])
    if not differs <= TOLERANCE:
        raise ArtifactError(
            f"the saved adapter does not compute what its merged weights do (by {differs:.2g} nats"
            " a token): nothing was tested — please report it"
        )
    return {"adapter_differs": differs, "answers_same": same, "answers": len(said[0])}


def _with_adapter(model: LlmModel) -> LlmModel:
    """The pre-trained model, loaded from its own folder, with the adapter from its files.

    An adapter that was trained beside a base in 4 bits belongs to the matrices as rounded there.
    """
    from attain.learners._pretrained.adapters import load_adapter
    from attain.learners._pretrained.load import load_body
    from attain.learners._pretrained.quantized import rounded
    from attain.learners._torch.device import pick

    body = load_body(Pretrained(model.source, model.digest), device=str(pick()), writes=True)
    if _packed(model):
        body = rounded(body)
    with tempfile.TemporaryDirectory() as name:
        for file, content in model.adapter.items():
            (Path(name) / file).write_bytes(content)
        load_adapter(body.net, Path(name))
    body.net.eval()
    return dataclasses.replace(model, body=lambda: body)


def _packed(model: LlmModel) -> bool:
    """Whether the adapter was trained beside a base in 4 bits."""
    return model.facts.get("base_bits") == PACKED


def _losses(prediction: np.ndarray) -> np.ndarray:
    """Nats a token of each row."""
    return prediction[:, place("loss")] / np.maximum(prediction[:, place("tokens")], 1)

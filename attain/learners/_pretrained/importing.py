"""Foreign weights, once, in a process of their own: checked, and written without pickle.

``python -m attain.learners._pretrained.importing WEIGHTS ARCHITECTURE FOLDER`` prints one JSON
object: what was written, or ``problem``. `attain import` runs it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from attain.core.errors import ArtifactError, AttainError, Problem, SpecError, did_you_mean
from attain.learners._pretrained.architectures import ARCHITECTURES, Backbone
from attain.learners._pretrained.load import check_finite
from attain.learners._pretrained.media import CONFIG, WEIGHTS, fit


def import_weights(weights: Path, name: str, folder: Path) -> dict[str, Any]:
    """Read pickled weights without running what they may hold, and write them as safetensors.

    Args:
        weights: A file that ``torch.save`` wrote: tensors by name, perhaps in a mapping within.
        name: Of the architecture that they are for.
        folder: New or empty.

    Returns:
        ``architecture``, ``parameters``, ``left_out`` (tensors that are not used) and ``sha256``.

    Raises:
        SpecError: When there is no such architecture.
        ArtifactError: When the file holds anything but tensors, or others than those that are
            wanted, or numbers that are not finite.
    """
    if name not in ARCHITECTURES:
        remedy = did_you_mean(name, list(ARCHITECTURES))
        raise SpecError(Problem("an architecture must be known", repr(name), "--as", remedy))
    state, left = _renamed(_read(weights), name, str(weights))
    net = ARCHITECTURES[name].build()
    fit(net, state, str(weights))
    check_finite(net, str(weights))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    source = {"file": weights.name, "sha256": digest}
    write(net, name, folder, trained=True, source=source)
    count = sum(p.numel() for p in net.parameters())
    return {"architecture": name, "parameters": count, "left_out": left, **source}


def write(
    net: Backbone, name: str, folder: Path, *, trained: bool, source: Mapping[str, str]
) -> None:
    """Write a network as `media.load_media` reads it.

    Args:
        net: Of the architecture `name`.
        name: Of the architecture.
        folder: New or empty.
        trained: False for random weights, whose batch norms are to learn their statistics.
        source: Where the weights came from.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    about = ARCHITECTURES[name]
    config: dict[str, Any] = {"model_type": name, "architecture": "attain", "trained": trained}
    if "size" in about.front:
        config["image_size"] = about.front["size"]
    state = {n: t.detach().contiguous().clone() for n, t in net.state_dict().items()}
    save_file(state, folder / WEIGHTS, {"format": "pt"})
    text = json.dumps({**config, "hidden_size": net.hidden, "source": dict(source)}, indent=1)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _read(weights: Path) -> Mapping[str, Any]:
    try:
        found = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises almost anything
        first = str(error).strip().partition("\n")[0][:200]
        raise ArtifactError(
            f"{weights} cannot be read as plain tensors ({first}) — it may be damaged, or hold"
            " code, which is never run"
        ) from error
    if not isinstance(found, Mapping):
        raise ArtifactError(f"{weights} holds no tensors by name — ask its author for a state_dict")
    return found


def _renamed(
    found: Mapping[str, Any], name: str, place: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Tensors under the names of the architecture, and the names of those left out."""
    about = ARCHITECTURES[name]
    inside = found.get(about.inside, found) if about.inside else found
    state, left = {}, []
    for published, tensor in inside.items():
        if not isinstance(tensor, torch.Tensor):
            kind = type(tensor).__name__
            raise ArtifactError(f"{place} holds a {kind} at {published!r} — give a state_dict")
        new = about.renamed(str(published))
        if new is None:
            left.append(str(published))
        else:
            state[new] = tensor
    return state, left


def main(arguments: list[str]) -> int:
    """The command; its answer is JSON."""
    weights, name, folder = arguments
    try:
        print(json.dumps(import_weights(Path(weights), name, Path(folder))))
    except AttainError as error:
        print(json.dumps({"problem": str(error), "kind": type(error).__name__}))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What turns files into scores: a summary or a body, and a linear head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.files import plain_errors
from attain.core.media import parse
from attain.core.types import Pretrained
from attain.learners._cache import FloatStore
from attain.learners._media.front import Front, Held, reference_keys
from attain.learners._media.images import ImageFront
from attain.learners._media.sound import SoundFront
from attain.learners._pretrained.levels import level
from attain.learners._pretrained.linear import Linear, load_linear
from attain.learners._store import read_json, write_json

if TYPE_CHECKING:
    from attain.learners._pretrained.media import MediaBody

FRONTS: Mapping[str, type[Front]] = {"image": ImageFront, "audio": SoundFront}
_BODY = "body"
_CODE = 1
"""Raised when the same rows would get other features."""
_BATCH = {"cpu": 1}
"""Rows that are read together: one on a CPU, where more are hardly faster and change last bits."""
_MANY = 32
_KEPT = 64
"""Rows whose features are kept at once: what a fit that is ended had read is not read again."""


def make_front(kind: str, values: Mapping[str, Any]) -> Front:
    """A front from plain values.

    Args:
        kind: ``image`` or ``audio``.
        values: Its attributes; those left out keep their defaults.

    Returns:
        The front.

    Raises:
        ArtifactError: When a value is not known.
    """
    plain = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    try:
        return FRONTS[kind](**plain)
    except TypeError as error:
        raise ArtifactError(
            f"inputs cannot be prepared so ({error}) — get the model anew"
        ) from error


def summaries(front: Front, cells: Sequence[str], cache: Path | None) -> np.ndarray:
    """`Front.summary` of files, kept in the study's cache; float32, shape (n, d)."""
    references = [parse(cell) for cell in cells]
    width = front.summary(front.decoded([None], None)).shape[1]
    store = FloatStore(cache, "summaries", {"front": str(front), "code": _CODE}, width)

    def compute(index: np.ndarray) -> np.ndarray:
        return front.summary(front.decoded([references[i] for i in index], None))

    return store.get(reference_keys(references), compute, batch=256)


def features(
    body: MediaBody, front: Front, cells: Sequence[str], cache: Path | None, threads: int
) -> np.ndarray:
    """What a body says of files, each row of mean square 1.

    Args:
        body: Frozen or tuned.
        front: How files are prepared.
        cells: References.
        cache: `FitData.cache`; None for a tuned body.
        threads: CPU threads.

    Returns:
        float32, shape (n, hidden).

    Raises:
        ValueError: When features of a body that was tuned would be kept as those of the model.
    """
    from attain.learners._torch.device import threads as limited

    if cache is not None and not body.untouched():
        raise ValueError("features of a tuned body must not be kept; give no cache")
    references = [parse(cell) for cell in cells]
    about = {"model": body.digest, "front": str(front), "device": body.net.device.type}
    store = FloatStore(cache, "features", {**about, "code": _CODE}, body.hidden)

    def compute(index: np.ndarray) -> np.ndarray:
        rows = front.decoded([references[i] for i in index], cache)
        return said(body, front, rows)

    with limited(threads):
        return level(store.get(reference_keys(references), compute, batch=_KEPT))


def said(body: MediaBody, front: Front, rows: np.ndarray) -> np.ndarray:
    """Features of decoded rows, before they are leveled; one by one they are the same bits.

    Args:
        body: In any mode; it is evaluated.
        front: How rows are prepared.
        rows: From `Front.decoded`.

    Returns:
        float32, shape (n, hidden).
    """
    import torch

    net = body.net
    training, size = net.training, _BATCH.get(net.device.type, _MANY)
    net.eval()
    found = np.empty((len(rows), body.hidden), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(rows), size):
            inputs = front.inputs(rows[start : start + size])
            on = {name: tensor.to(net.device) for name, tensor in inputs.items()}
            found[start : start + size] = net(**on).float().cpu().numpy()
    net.train(training)
    return found


@dataclass(eq=False)
class Plain:
    """A linear head on a summary; a core of `model.HeadModel`.

    Attributes:
        kind: ``image`` or ``audio``.
        front: How files are prepared.
        linear: The head.
        cache: Where summaries are kept, while the model lives where it was fitted.
    """

    kind: str
    front: Front
    linear: Linear
    cache: Path | None = None

    def scores(self, inputs: Sequence[list[str]]) -> np.ndarray:
        """See `model.Core`."""
        return self.linear.scores(summaries(self.front, inputs[0], self.cache))

    def save(self, folder: Path) -> None:
        """Write ``front.json`` and ``head.npz``."""
        self.cache = None
        write_json(folder, "front.json", {"kind": self.kind, "front": _plain(self.front)})
        self.linear.save(folder)


@dataclass(eq=False)
class Bodied:
    """Body and head; a core of `model.HeadModel`.

    Attributes:
        kind: ``image`` or ``audio``.
        body: Gives the body as this model has it.
        front: How files are prepared.
        linear: The head.
        digest: Of the pre-trained model that it started from.
        threads: CPU threads; with another number sums round differently.
        cache: Where features of a frozen body are kept, while the model lives where it was fitted.
    """

    kind: str
    body: Callable[[], MediaBody]
    front: Front
    linear: Linear
    digest: str
    threads: int = 1
    cache: Path | None = None

    def scores(self, inputs: Sequence[list[str]]) -> np.ndarray:
        """See `model.Core`."""
        found = features(self.body(), self.front, inputs[0], self.cache, self.threads)
        return self.linear.scores(found)

    def save(self, folder: Path) -> None:
        """Write ``front.json``, ``head.npz`` and ``body/``."""
        self.cache = None  # from now on it computes what a loaded model computes
        about = {"kind": self.kind, "digest": self.digest, "threads": self.threads}
        write_json(folder, "front.json", {**about, "front": _plain(self.front)})
        self.linear.save(folder)
        with plain_errors(folder):
            (folder / _BODY).mkdir()
            self.body().save(folder / _BODY)


def _plain(front: Front) -> dict[str, Any]:
    """Values that JSON can hold; NaN and folders of others have no place in a saved model."""
    found = {n: v for n, v in front.plain.items() if v == v}
    if found.get("extractor"):
        found["extractor"] = "."
    if "loudness" in front.plain and "loudness" not in found:
        found["loudness"] = None
    return found


def _front(told: Mapping[str, Any], body: Path | None) -> Front:
    values = dict(told["front"])
    if values.get("extractor"):
        values["extractor"] = str(body)
    if "loudness" in values and values["loudness"] is None:
        values["loudness"] = float("nan")
    return make_front(told["kind"], values)


def load_plain(folder: Path) -> Plain:
    """The core that `Plain.save` wrote.

    Args:
        folder: Where.

    Returns:
        The core.
    """
    told = read_json(folder, "front.json")
    return Plain(told["kind"], _front(told, None), load_linear(folder))


def load_bodied(folder: Path) -> Bodied:
    """The core that `Bodied.save` wrote.

    Args:
        folder: Where.

    Returns:
        A core that needs no other folder.

    Raises:
        ArtifactError: When files are missing or do not fit together.
    """
    from attain.learners._pretrained.media import load_media
    from attain.learners._torch.device import pick

    told, linear = read_json(folder, "front.json"), load_linear(folder)
    digest = str(told["digest"])
    body = load_media(Pretrained(str(folder / _BODY), digest), device=str(pick()))
    if len(linear.slope) != body.hidden:
        raise ArtifactError(
            f"head.npz is for {len(linear.slope)} features, the body has {body.hidden}"
            " — get the model anew"
        )
    front = _front(told, folder / _BODY)
    return Bodied(told["kind"], lambda: body, front, linear, digest, int(told["threads"]))


CORES: Mapping[str, Callable[[Path], Any]] = {"plain": load_plain, "body": load_bodied}

__all__ = ["CORES", "Bodied", "Held", "Plain", "features", "make_front", "said", "summaries"]

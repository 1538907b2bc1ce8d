"""A pre-trained body with a linear head on what it says of a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.files import inside, plain_errors
from attain.core.types import Pretrained
from attain.learners._pretrained.levels import level
from attain.learners._pretrained.linear import Linear, load_linear
from attain.learners._store import read_json, write_json
from attain.learners._text.inputs import segments

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body
    from attain.learners._pretrained.tokens import Tokens

_SAMPLE = "The 12 quick foxes don't jump over cafés, naïvely; ¿por qué? 狐 été."
"""A tokenizer whose files are missing is not an error in transformers: it knows no word."""
_BODY, _ADAPTER = "encoder", "adapter"


class Reads(Protocol):
    """How a body reads, whatever is scored."""

    def tokens(self, body: Body, inputs: Any, cache: Path | None = None) -> Any:
        """What the body sees."""
        ...

    def features(self, body: Body, tokens: Any, cache: Path | None = None) -> np.ndarray:
        """What it says, float32, one row for each thing that is scored."""
        ...

    def width(self, hidden: int) -> int:
        """Numbers in a row of features, given the width of the body."""
        ...


R = TypeVar("R", bound=Reads)


@dataclass(frozen=True)
class Reading:
    """How a body reads texts.

    Attributes:
        longest: Tokens of a text at most, special ones included.
        pooling: As `features.Features` has it.
        layers: Likewise.
        apart: Whether the texts of a pair are read one by one and compared afterwards, or together.
        threads: CPU threads; with another number sums round differently.
    """

    longest: int
    pooling: str = "mean"
    layers: int = 1
    apart: bool = False
    threads: int = 1

    def tokens(
        self, body: Body, inputs: Sequence[list[str]], cache: Path | None = None
    ) -> tuple[Tokens, ...]:
        """What the body sees.

        Args:
            body: Whose tokenizer is used.
            inputs: Texts of each column.
            cache: `FitData.cache`.

        Returns:
            The rows; twice if texts are read apart: first and second texts.
        """
        from attain.learners._pretrained.tokens import tokenise

        first, second = segments(inputs)
        options: dict[str, Any] = {
            "longest": self.longest, "cache": cache, "threads": self.threads
        }  # fmt: skip
        if self.apart and second is not None:
            return tokenise(body, first, **options), tokenise(body, second, **options)
        return (tokenise(body, first, second, **options),)

    def width(self, hidden: int) -> int:
        """See `Reads`."""
        return hidden * (4 if self.apart else 1)

    def features(
        self, body: Body, tokens: Sequence[Tokens], cache: Path | None = None
    ) -> np.ndarray:
        """What the body says.

        Args:
            body: Frozen or tuned.
            tokens: From `tokens`.
            cache: `FitData.cache`; None for a tuned body.

        Returns:
            One row a text, float32. Of texts u and v read apart it is u, v, |u - v| and u * v
            (Conneau et al. 2017, arXiv:1705.02364, section 3).
        """
        from attain.learners._pretrained.features import Features
        from attain.learners._torch.device import threads

        maker = Features(body, self.pooling, self.layers)
        with threads(self.threads):
            parts = [level(maker.of(part, cache=cache)) for part in tokens]
        if len(parts) == 1:
            return parts[0]
        u, v = parts
        return np.hstack([u, v, np.abs(u - v), u * v])


@dataclass(eq=False)
class Encoder(Generic[R]):
    """Body and head; a core of `model.TextModel`.

    Attributes:
        body: Gives the body as this model has it.
        reading: How it reads.
        linear: The head.
        digest: Of the pre-trained model that it started from.
        adapter: Files of an adapter in PEFT's format that is part of the weights, by name.
        cache: Where features of a frozen body are kept, while the model lives where it was fitted.
    """

    body: Callable[[], Body]
    reading: R
    linear: Linear
    digest: str
    adapter: Mapping[str, bytes] = field(default_factory=dict)
    cache: Path | None = None

    def scores(self, texts: Sequence[list[str]]) -> np.ndarray:
        """See `model.Core`."""
        body = self.body()
        tokens = self.reading.tokens(body, texts, self.cache)
        return self.linear.scores(self.reading.features(body, tokens, self.cache))

    def save(self, folder: Path) -> None:
        """Write ``encoder.json``, ``head.npz``, ``encoder/`` and perhaps ``adapter/``."""
        body = self.body()
        self.cache = None  # from now on it computes what a loaded model computes
        described = {
            "reading": self.reading,
            "digest": self.digest,
            "adapter": list(self.adapter),
            "sample": _sample(body),
        }
        write_json(folder, "encoder.json", described)
        self.linear.save(folder)
        with plain_errors(folder):
            (folder / _BODY).mkdir()
            body.save(folder / _BODY)
            for name, content in self.adapter.items():
                (folder / _ADAPTER).mkdir(exist_ok=True)
                inside(folder / _ADAPTER, name).write_bytes(content)


def load_encoder(folder: Path, reading_of: Callable[..., R]) -> Encoder[R]:
    """The core that `Encoder.save` wrote.

    Args:
        folder: Where.
        reading_of: What makes a reading of its fields.

    Returns:
        A core that needs no other folder.

    Raises:
        ArtifactError: When files are missing or do not fit together.
    """
    from attain.learners._pretrained.load import load_body
    from attain.learners._torch.device import pick

    plain, linear = read_json(folder, "encoder.json"), load_linear(folder)
    reading, digest = reading_of(**plain["reading"]), str(plain["digest"])
    body = load_body(Pretrained(str(folder / _BODY), digest), device=str(pick()))
    if _sample(body) != plain["sample"]:
        raise ArtifactError(
            "the tokenizer does not read texts as it did when the model was saved: its files are"
            " damaged or missing, or transformers has changed — get the model anew, or use the"
            " version of transformers that it was saved with"
        )
    width = reading.width(body.hidden)
    if len(linear.slope) != width:
        raise ArtifactError(
            f"head.npz is for {len(linear.slope)} features, the encoder has {width}"
            " — get the model anew"
        )
    adapter = {name: _bytes(folder / _ADAPTER, name) for name in plain["adapter"]}
    return Encoder(lambda: body, reading, linear, digest, adapter)


def _sample(body: Body) -> list[int]:
    ids = body.tokenizer(_SAMPLE, verbose=False)["input_ids"]
    return [int(i) for i in ids]


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return inside(folder, name).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{name} of the adapter cannot be read ({error})") from error

"""A language model as a study keeps it: how it reads, what it computes, what it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.dialogue import Example, Layout, Message, Shape
from attain.core.errors import ArtifactError
from attain.core.files import inside, plain_errors
from attain.core.language import COLUMNS, place
from attain.core.types import Pretrained, Rows
from attain.learners._llm.answers import judge
from attain.learners._llm.encode import encode
from attain.learners._llm.reading import count, cut, read_rows, with_examples
from attain.learners._llm.render import Renderer, Unrenderable, render_all
from attain.learners._pretrained.load import Body, load_body, resident
from attain.learners._store import read_json, write_json

NAME = "llm"
_FORMAT = 1
_BODY, _ADAPTER = "model", "adapter"


@dataclass(frozen=True)
class Habits:
    """How a model reads and writes.

    Attributes:
        shape: Of the rows.
        target: Column that is written.
        inputs: Columns that are read.
        examples: Messages of examples that precede every prompt.
        most: Tokens after which an answer is broken off.
        stop: Tokens that end an answer.
        prefers: Whether pairs of answers are ranked.
        schema: JSON Schema that answers should satisfy, as text; empty for none.
    """

    shape: Shape
    target: str
    inputs: tuple[str, ...]
    most: int
    stop: tuple[int, ...]
    examples: tuple[Message, ...] = ()
    prefers: bool = False
    schema: str = ""

    @property
    def layout(self) -> Layout:
        """Which columns say what."""
        return Layout(self.shape, self.target, self.inputs)


@dataclass(eq=False)
class LlmModel:
    """A model that writes.

    Attributes:
        body: Gives the network as this model has it.
        habits: How it reads and writes.
        facts: See `core.protocols.Model`.
        digest: Of the pre-trained model that it started from.
        adapter: Files of an adapter in PEFT's format that is part of the weights, by name.
        source: Folder of the pre-trained model, as far as it is known.
    """

    body: Callable[[], Body]
    habits: Habits
    facts: Mapping[str, Any]
    digest: str
    adapter: Mapping[str, bytes] = field(default_factory=dict)
    source: str = ""

    def read(self, rows: Rows) -> list[Example]:
        """What each row says, with the model's own examples before it."""
        return [self._with_examples(e) for e in read_rows(self.habits.layout, rows)]

    def predict(self, rows: Rows) -> np.ndarray:
        """Sums over the supervised tokens of each row; nothing is generated.

        Args:
            rows: As learners see them; rows without an answer count nothing.

        Returns:
            Shape (n, columns of `core.language.COLUMNS`), float64.
        """
        from attain.learners._llm.speak import Speaker, sums

        found = np.zeros((len(rows), len(COLUMNS)))
        if self.habits.prefers:
            self._ranked(rows, found)
            return found
        body = self.body()
        texts, _ = render_all(Renderer(body.tokenizer), self.read(rows))
        coded = cut(encode(body.tokenizer, texts), body.longest)
        made = sums(Speaker(body.net), body, coded)
        for i, row in enumerate(coded.rows):
            found[row, place("loss")] += made.loss[i]
            found[row, place("tokens")] += made.tokens[i]
            found[row, place("right")] += made.right[i]
        count(found)
        return found

    def write(self, rows: Rows, most: int | None) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Predictions with generated answers judged, and these answers.

        Args:
            rows: As learners see them.
            most: Rows that are answered, the same for the same rows; None for all.

        Returns:
            As `predict`, with the columns of generated answers filled in for these rows; and for
            each of them ``row``, ``prompt``, ``reference`` (None without), ``answer``, ``ended``.
        """
        from attain.learners._llm.write import sample, write

        found, examples = self.predict(rows), self.read(rows)
        body = self.body()
        renderer = Renderer(body.tokenizer)
        prompts: dict[int, str] = {}
        for row, example in enumerate(examples):
            try:
                prompts[row] = self._prompt(renderer, example)
            except Unrenderable:
                continue
        index = list(prompts)
        if most is not None:
            lengths = np.array([len(prompts[row]) for row in index])
            index = [index[i] for i in sample(lengths, most)]
        habits = self.habits
        made = write(body, [prompts[r] for r in index], most=habits.most, stop=habits.stop)
        answers = []
        for row, written in zip(index, made, strict=True):
            reference = _reference(examples[row])
            answers.append(
                {"row": row, "prompt": prompts[row], "reference": reference,
                 "answer": written.text, "ended": written.ended}
            )  # fmt: skip
            if reference is not None:
                judged = judge(written.text, reference, habits.schema)
                judged |= {"written": 1.0, "ended": float(written.ended)}
                for name, value in judged.items():
                    found[row, place(name)] = value
        return found, answers

    def save(self, folder: Path) -> None:
        """Write ``llm.json``, ``model/`` (whole weights) and perhaps ``adapter/``."""
        body = self.body()
        plain = {
            "format": _FORMAT,
            "habits": self.habits,
            "facts": self.facts,
            "digest": self.digest,
            "adapter": list(self.adapter),
            "source": self.source,
        }
        write_json(folder, "llm.json", plain)
        with plain_errors(folder):
            (folder / _BODY).mkdir()
            body.save(folder / _BODY)
            for name, content in self.adapter.items():
                (folder / _ADAPTER).mkdir(exist_ok=True)
                inside(folder / _ADAPTER, name).write_bytes(content)

    def _ranked(self, rows: Rows, found: np.ndarray) -> None:
        from attain.learners._llm.ranking import lead_before, rank, reward

        before = lead = rank(self.body(), self.read(rows), found)
        if self.source or self.habits.examples:  # else it is the pre-trained model itself
            before = lead_before(self._pretrained(), read_rows(self.habits.layout, rows))
        reward(lead, before, found)

    def _pretrained(self) -> Body | None:
        """What it was before tuning; None if that is gone."""
        from attain.learners._torch.device import pick

        if not self.source:
            return self.body()
        if not (Path(self.source) / "config.json").is_file():
            return None
        return resident(Pretrained(self.source, self.digest), device=str(pick()), writes=True)

    def _with_examples(self, example: Example) -> Example:
        before = self.habits.examples
        if not before or example.text is not None:
            return example
        return with_examples(example, before)

    def _prompt(self, renderer: Renderer, example: Example) -> str:
        if example.text is not None:  # of plain text the first half is given
            return example.text[: max(1, len(example.text) // 2)]
        return renderer.prompt(example.prompt, example.tools)


def load_model(folder: Path) -> LlmModel:
    """The model that `LlmModel.save` wrote.

    Args:
        folder: Where; no other folder is needed.

    Returns:
        The model; it computes what the saved one did to the last bit.

    Raises:
        ArtifactError: When files are missing, damaged, or from a newer version.
    """
    from attain.learners._torch.device import pick

    plain = read_json(folder, "llm.json")
    if plain.get("format") != _FORMAT:
        raise ArtifactError(
            f"the language model has format {plain.get('format')!r}, this version reads"
            f" {_FORMAT} — upgrade"
        )
    told = plain["habits"]
    habits = Habits(
        Shape(told["shape"]), told["target"], tuple(told["inputs"]), told["most"],
        tuple(told["stop"]), tuple(told["examples"]), told["prefers"],
        told.get("schema", ""),
    )  # fmt: skip
    source = Pretrained(str(folder / _BODY), plain["digest"])
    body = load_body(source, device=str(pick()), writes=True)
    try:
        adapter = {n: inside(folder / _ADAPTER, n).read_bytes() for n in plain["adapter"]}
    except OSError as error:
        raise ArtifactError(f"the adapter cannot be read ({error}) — get the model anew") from error
    return LlmModel(lambda: body, habits, plain["facts"], plain["digest"], adapter, plain["source"])


def _reference(example: Example) -> str | None:
    if example.text is not None:
        return example.text[max(1, len(example.text) // 2) :] or None
    return example.answer

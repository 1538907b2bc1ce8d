"""What rows say: as examples, as pairs of answers, cut to what the model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attain.core.dialogue import Example, Layout, Message, read_example
from attain.core.language import place
from attain.core.types import Rows
from attain.learners._llm.encode import Coded, pack_up
from attain.learners._llm.render import Rendered, Renderer, Unrenderable


def read_rows(layout: Layout, rows: Rows) -> list[Example]:
    """What each row says.

    Args:
        layout: Which columns say what.
        rows: As learners see them.

    Returns:
        One example a row.

    Raises:
        DataError: When messages are not as they must be.
    """
    columns = {
        name: rows.X[name].astype(object).where(rows.X[name].notna(), None).tolist()
        for name in (*layout.inputs, layout.target)
        if name in rows.X
    }
    count = len(rows)
    return [
        read_example(layout, {name: values[i] for name, values in columns.items()})
        for i in range(count)
    ]


def with_examples(example: Example, before: Sequence[Message]) -> Example:
    """An example that other conversations precede, after its system message."""
    head = 1 if example.messages and example.messages[0]["role"] == "system" else 0

    def move(messages: Sequence[Message]) -> tuple[Message, ...]:
        return (*messages[:head], *before, *messages[head:])

    return Example(
        move(example.messages),
        tuple(i + len(before) for i in example.trained),
        rejected=None if example.rejected is None else move(example.rejected),
        tools=example.tools,
    )


def pair_up(
    renderer: Renderer, examples: Sequence[Example]
) -> tuple[list[int], list[tuple[Rendered, Rendered]]]:
    """Chosen and rejected answers, rendered.

    Args:
        renderer: Of the model.
        examples: Rows of preference data.

    Returns:
        Positions of the rows that can be rendered, and both texts of each.
    """
    rows, pairs = [], []
    for row, example in enumerate(examples):
        if example.rejected is None or not example.trained:
            continue
        try:
            pair = (renderer.last(example.messages), renderer.last(example.rejected))
        except Unrenderable:
            continue
        rows.append(row)
        pairs.append(pair)
    return rows, pairs


def cut(coded: Coded, longest: int) -> Coded:
    """Examples no longer than what the model takes; a longer one is scored as far as it goes.

    Args:
        coded: Examples.
        longest: Tokens that the model takes.

    Returns:
        As many examples.
    """
    if not len(coded) or int(coded.lengths.max()) <= longest:
        return coded
    parts = [coded.row(i) for i in range(len(coded))]
    return pack_up([p[0][:longest] for p in parts], [p[1][:longest] for p in parts], coded.rows)


def count(found: np.ndarray) -> None:
    """Fill in, per row, whether something is supervised and whether all of it is right.

    Args:
        found: Predictions with their sums of tokens, shape (n, columns of `core.language.COLUMNS`).
    """
    tokens, right = found[:, place("tokens")], found[:, place("right")]
    found[:, place("answers")] = tokens > 0
    found[:, place("whole")] = (tokens > 0) & (right == tokens)

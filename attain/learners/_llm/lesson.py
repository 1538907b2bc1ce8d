"""From rows to what is learnt: rendered, encoded, counted; and why rows are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attain.core.dialogue import Example, Layout, Message, find_layout
from attain.core.errors import DataError, Problem
from attain.core.types import Dataset, Rows, Task
from attain.learners._llm.encode import Coded, encode
from attain.learners._llm.model import Habits
from attain.learners._llm.reading import pair_up, read_rows
from attain.learners._llm.render import Renderer, render_all, require
from attain.learners._pretrained.load import Body

_MOST = (16, 512)
"""Tokens of an answer: at least, at most."""
_SHARE = 0.95
_ROOM = 1.5
_SHOT_TOKENS = 0.5
"""Share of the model's positions that examples in a prompt may take."""


@dataclass(frozen=True, eq=False)
class Taught:
    """What some rows teach.

    Attributes:
        examples: One a row.
        coded: What is learnt; for preference the chosen answers.
        rejected: The rejected answers in the same order; None for other tasks.
        facts: ``rows``, ``refused`` (the template cannot write them), ``too_long``,
            ``unsupervised`` (nothing is learnt), ``tokens`` and ``supervised``.
        why: First reason of a refusal, or empty.
    """

    examples: Sequence[Example]
    coded: Coded
    rejected: Coded | None
    facts: Mapping[str, int]
    why: str = ""


def layout_of(dataset: Dataset) -> Layout:
    """Which columns say what.

    Args:
        dataset: Of a language task.

    Returns:
        The layout that was found when the data were described.
    """
    names = [column.name for column in dataset.features]
    found = find_layout([*names, dataset.target], dataset.target)
    return Layout(found.shape, dataset.target, tuple(names))


def teach(body: Body, dataset: Dataset, rows: Rows) -> Taught:
    """Everything that is learnt from some rows; rows that cannot be learnt whole are left out.

    Args:
        body: Tokenizer and number of positions.
        dataset: Says what is learnt.
        rows: As learners see them.

    Returns:
        Encoded examples and counts.

    Raises:
        DataError: When the template can write none of them.
        ArtifactError: When the tokenizer does not say where its tokens stand.
    """
    examples = read_rows(layout_of(dataset), rows)
    renderer = Renderer(body.tokenizer)
    if dataset.task is Task.PREFERENCE:
        return _pairs(body, renderer, examples)
    texts, refused = render_all(renderer, examples)
    require(refused, len(examples))
    coded = encode(body.tokenizer, texts)
    fits, learnt = coded.lengths <= body.longest, coded.supervised > 0
    facts = {
        "rows": len(examples),
        "refused": len(refused),
        "too_long": int((~fits).sum()),
        "unsupervised": int((~learnt).sum()),
    }
    kept = coded.take(np.flatnonzero(fits & learnt))
    return Taught(examples, kept, None, _counted(facts, kept), next(iter(refused.values()), ""))


def _pairs(body: Body, renderer: Renderer, examples: Sequence[Example]) -> Taught:
    index, pairs = pair_up(renderer, examples)
    if examples and not index:
        rule = "preference data need prompts with a chosen and a rejected answer"
        raise DataError(Problem(rule, "none of the rows", "data", "check the columns"))
    chosen, rejected = (
        encode(body.tokenizer, [(r, p[side]) for r, p in zip(index, pairs, strict=True)])
        for side in (0, 1)
    )
    fits = np.maximum(chosen.lengths, rejected.lengths) <= body.longest
    learnt = (chosen.supervised > 0) & (rejected.supervised > 0)
    kept = np.flatnonzero(fits & learnt)
    facts = {
        "rows": len(examples),
        "refused": len(examples) - len(index),
        "too_long": int((~fits).sum()),
        "unsupervised": int((~learnt).sum()),
    }
    taken = chosen.take(kept)
    return Taught(examples, taken, rejected.take(kept), _counted(facts, taken))


def _counted(facts: Mapping[str, int], coded: Coded) -> dict[str, int]:
    return {**facts, "tokens": len(coded.ids), "supervised": int(coded.trained.sum())}


def find_habits(
    body: Body, dataset: Dataset, taught: Taught, examples: Sequence[Message] = ()
) -> Habits:
    """How the model reads and writes.

    Args:
        body: Knows which tokens end texts.
        dataset: Gives columns and task.
        taught: Answers say which token ends them and how long they are.
        examples: Messages that precede every prompt.

    Returns:
        An answer may be half as long again as nearly all of those that are known.
    """
    layout = layout_of(dataset)
    lengths = taught.coded.supervised
    usual = int(np.quantile(lengths, _SHARE, method="higher")) if len(lengths) else _MOST[1]
    most = int(np.clip(round(_ROOM * usual), *_MOST))
    return Habits(
        layout.shape, layout.target, layout.inputs, most, ends(body, taught.coded),
        tuple(examples), dataset.task is Task.PREFERENCE, dataset.answer_schema,
    )  # fmt: skip


def last_tokens(coded: Coded) -> np.ndarray:
    """The last token that is learnt of each example, shape (n,); -1 where there is none."""
    found = np.full(len(coded), -1, dtype=np.int64)
    for i in range(len(coded)):
        ids, trained = coded.row(i)
        if trained.any():
            found[i] = ids[np.flatnonzero(trained)[-1]]
    return found


def end_tokens(body: Body) -> set[int]:
    """Tokens that may end an answer: those that the model names, and special ones."""
    tokenizer = body.tokenizer
    named = getattr(getattr(body.net, "generation_config", None), "eos_token_id", None)
    found = set(named if isinstance(named, list) else [named])
    found |= {tokenizer.eos_token_id, getattr(body.config, "eos_token_id", None)}
    added = getattr(tokenizer, "added_tokens_decoder", {})
    found |= {int(i) for i, token in added.items() if token.special}
    flat = {i for entry in found for i in (entry if isinstance(entry, list) else [entry])}
    return {int(i) for i in flat if i is not None}


def ends(body: Body, coded: Coded) -> tuple[int, ...]:
    """Tokens at which writing stops: the model's own, and what ends the answers that are learnt."""
    tokenizer = body.tokenizer
    named = getattr(getattr(body.net, "generation_config", None), "eos_token_id", None)
    known = set(named if isinstance(named, list) else [named]) | {tokenizer.eos_token_id}
    usual = Counter(last_tokens(coded).tolist()).most_common(1)
    if usual and usual[0][0] in end_tokens(body):
        known.add(usual[0][0])
    return tuple(sorted(int(i) for i in known if i is not None))


def choose_shots(body: Body, taught: Taught, count: int, seed: int) -> tuple[Message, ...]:
    """Conversations to put before every prompt: some short ones, one of each quarter of lengths.

    Args:
        body: Says how much room there is.
        taught: Training rows.
        count: How many.
        seed: Of the draw.

    Returns:
        Their messages without system messages; fewer conversations where room is short.
    """
    usable = [
        int(row)
        for row, length in zip(taught.coded.rows, taught.coded.lengths, strict=True)
        if length <= body.longest * _SHOT_TOKENS / max(1, count)
    ]
    usable = [row for row in dict.fromkeys(usable) if taught.examples[row].trained]
    if not usable:
        return ()
    random = np.random.default_rng(seed)
    drawn = random.choice(usable, min(count, len(usable)), replace=False)
    found: list[Message] = []
    for row in drawn:
        example = taught.examples[int(row)]
        until = example.trained[-1] + 1
        found += [m for m in example.messages[:until] if m["role"] != "system"]
    return tuple(found)

"""Rows of language data: which common shape they have, and what each one says.

A cell that holds more than one value (messages, tools) is kept as JSON text, so that rows stay
plain tables which can be hashed, split and sealed like all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from attain.core.errors import DataError, Problem

NESTED = frozenset(
    {"messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected",
     "tools"}
)  # fmt: skip
"""Columns whose cells may be lists or objects."""
_TALKS = ("messages", "conversations", "conversation")
_QUESTIONS = ("prompt", "question", "query", "input", "instruction", "problem", "context")
_ANSWERS = ("completion", "response", "answer", "output", "solution", "summary", "target")
_ROLES = {
    "human": "user", "user": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant",
    "model": "assistant", "assistant": "assistant", "chatgpt": "assistant", "system": "system",
    "developer": "system", "tool": "tool", "function": "tool", "observation": "tool",
    "ipython": "tool", "function_call": "assistant",
}  # fmt: skip

Message = Mapping[str, Any]
"""``role``, ``content`` and whatever a template knows, such as ``tool_calls``."""


class Shape(StrEnum):
    """How rows of language data are written."""

    MESSAGES = "messages"
    PROMPT = "prompt and completion"
    INSTRUCTION = "instruction, input and output"
    TEXT = "plain text"
    PREFERENCE = "prompt, chosen and rejected"


@dataclass(frozen=True)
class Layout:
    """Which columns say what.

    Attributes:
        shape: How rows are written.
        target: The column that holds what is to be written (or all of it).
        inputs: Other columns that are read, in the order in which they are read.
    """

    shape: Shape
    target: str
    inputs: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The shape and its columns, in one clause."""
        if self.shape is Shape.PREFERENCE:
            *read, worse = self.inputs
            given = f", given {', '.join(read)}" if read else ""
            return f"rows are {self.shape}: {self.target} is preferred to {worse}{given}"
        given = f" from {', '.join(self.inputs)}" if self.inputs else ""
        return f"rows are {self.shape}: {self.target} is written{given}"


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        messages: The whole conversation; empty for plain text.
        trained: Positions of the messages that are to be learnt, rising.
        text: Plain text, or None.
        rejected: The conversation with the answer that is not wanted, or None.
        tools: Functions that the model may call, as templates take them, or None.
    """

    messages: tuple[Message, ...] = ()
    trained: tuple[int, ...] = ()
    text: str | None = None
    rejected: tuple[Message, ...] | None = None
    tools: tuple[Any, ...] | None = None

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What stands before the last answer; all of it when there is no answer."""
        return self.messages[: self.trained[-1]] if self.trained else self.messages

    @property
    def answer(self) -> str | None:
        """The last answer; None when there is none or it only calls a tool."""
        if not self.trained:
            return None
        content = self.messages[self.trained[-1]].get("content")
        return content if isinstance(content, str) and content else None


def find_layout(names: Iterable[str], target: str) -> Layout:
    """Which shape rows with these columns have.

    Args:
        names: Of all columns.
        target: The one that is to be written.

    Returns:
        The layout; columns that no shape knows are inputs only when nothing else is.
    """
    known = {name.lower(): name for name in names}
    rest = [name for name in names if name != target]
    if {"chosen", "rejected"} <= known.keys():
        before = [known[n] for n in (*_TALKS, *_QUESTIONS) if n in known][:1]
        system = [known["system"]] if "system" in known else []
        inputs = (*system, *before, known["rejected"])
        return Layout(Shape.PREFERENCE, known["chosen"], inputs)
    if target.lower() in _TALKS:
        tools = tuple(known[n] for n in ("tools",) if n in known)
        return Layout(Shape.MESSAGES, target, tools)
    if "instruction" in known and target.lower() in ("output", "response"):
        inputs = tuple(known[n] for n in ("system", "instruction", "input") if n in known)
        return Layout(Shape.INSTRUCTION, target, inputs)
    asked = [known[n] for n in ("system", *_QUESTIONS) if n in known and known[n] != target]
    questions = [name for name in asked if name.lower() != "system"]
    if target.lower() == "text" or not rest:
        return Layout(Shape.TEXT, target)
    return Layout(Shape.PROMPT, target, tuple(asked if questions else rest))


def is_dialogue(names: Iterable[str], target: str) -> bool:
    """Whether names alone say that rows are language data to be written, not labels.

    Args:
        names: Of all columns.
        target: The column to predict.

    Returns:
        True for chosen and rejected, lists of messages, and known pairs of question and answer.
    """
    lowered = {name.lower() for name in names}
    wanted = target.lower()
    if {"chosen", "rejected"} <= lowered and wanted in ("chosen", "rejected"):
        return True
    return wanted in _TALKS or wanted == "text" or wanted in _ANSWERS


def read_example(layout: Layout, row: Mapping[str, str | None]) -> Example:
    """What one row says.

    Args:
        layout: Which columns say what.
        row: Text of each cell by column; None where it is missing. Without the target, there is
            nothing to learn, but a prompt.

    Returns:
        The example.

    Raises:
        DataError: When messages are not as they must be.
    """
    return _READERS[layout.shape](layout, row)


def _talk(layout: Layout, row: Mapping[str, str | None]) -> Example:
    messages = as_messages(row.get(layout.target), layout.target)
    trained = tuple(i for i, m in enumerate(messages) if m["role"] == "assistant")
    tools = _json(row.get(layout.inputs[0])) if layout.inputs else None
    return Example(messages, trained, tools=tuple(tools) if tools else None)


def _pair(layout: Layout, row: Mapping[str, str | None]) -> Example:
    before = _before(layout.inputs, row)
    answer = _answers(row.get(layout.target), layout.target)
    messages = (*before, *answer)
    trained = tuple(
        i for i in range(len(before), len(messages)) if messages[i]["role"] == "assistant"
    )
    return Example(messages, trained)


def _instruction(layout: Layout, row: Mapping[str, str | None]) -> Example:
    cells = {name.lower(): row.get(name) or "" for name in layout.inputs}
    asked = "\n\n".join(t for t in (cells.get("instruction", ""), cells.get("input", "")) if t)
    system = _said("system", cells.get("system", ""))
    before = (*system, {"role": "user", "content": asked})
    answer = _answers(row.get(layout.target), layout.target)
    return Example((*before, *answer), (len(before),) if answer else ())


def _plain(layout: Layout, row: Mapping[str, str | None]) -> Example:
    return Example(text=row.get(layout.target) or "")


def _preference(layout: Layout, row: Mapping[str, str | None]) -> Example:
    before = _before(layout.inputs[:-1], row)
    chosen = _answers(row.get(layout.target), layout.target)
    rejected = _answers(row.get(layout.inputs[-1]), layout.inputs[-1])
    if not before:  # both are whole conversations: what they share is the prompt
        shared = 0
        for one, other in zip(chosen, rejected, strict=False):
            if one != other:
                break
            shared += 1
        before, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    whole = (*before, *chosen)
    trained = (len(whole) - 1,) if chosen and whole[-1]["role"] == "assistant" else ()
    return Example(whole, trained, rejected=(*before, *rejected) if rejected else None)


_READERS = {
    Shape.MESSAGES: _talk,
    Shape.PROMPT: _pair,
    Shape.INSTRUCTION: _instruction,
    Shape.TEXT: _plain,
    Shape.PREFERENCE: _preference,
}


def _before(names: Sequence[str], row: Mapping[str, str | None]) -> tuple[Message, ...]:
    """Messages before the answer, from columns of text or of messages."""
    found: list[Message] = []
    asked: list[str] = []
    for name in names:
        value = row.get(name)
        if name.lower() == "system":
            found += _said("system", value or "")
        elif _listed(value):
            found += as_messages(value, name)
        elif value:
            asked.append(value)
    return (*found, *_said("user", "\n\n".join(asked)))


def _answers(value: str | None, place: str) -> tuple[Message, ...]:
    if value is None or value == "":
        return ()
    if _listed(value):
        return as_messages(value, place)
    return ({"role": "assistant", "content": value},)


def _said(role: str, content: str) -> tuple[Message, ...]:
    return ({"role": role, "content": content},) if content else ()


def _listed(value: str | None) -> bool:
    """Whether a cell holds messages rather than a text."""
    if not value or value[0] not in "[{":
        return False
    found = _json(value)
    first = found[0] if isinstance(found, list) and found else found
    return isinstance(first, dict) and ({"role", "from"} & first.keys()) != set()


def as_messages(value: str | None, place: str) -> tuple[Message, ...]:
    """Messages from the JSON text of a list of them, or of a single one.

    Args:
        value: ``role`` and ``content``, or ``from`` and ``value``; other keys are kept.
        place: The column, for messages.

    Returns:
        With the roles ``system``, ``user``, ``assistant`` and ``tool``.

    Raises:
        DataError: When it is something else.
    """
    if value is None or not value.strip():
        return ()
    found = _json(value)
    listed = [found] if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(m, dict) for m in listed):
        rule, remedy = "messages must be a JSON list of objects", "write role and content of each"
        raise DataError(Problem(rule, value[:60], f"column {place!r}", remedy))
    return tuple(_message(m, place) for m in listed)


def _message(raw: Mapping[str, Any], place: str) -> Message:
    role = str(raw.get("role", raw.get("from", "")))
    if role.lower() not in _ROLES:
        rule, remedy = "a message needs a known role", "use system, user, assistant or tool"
        raise DataError(Problem(rule, repr(role), f"column {place!r}", remedy))
    content = raw.get("content", raw.get("value"))
    if isinstance(content, list):  # parts, of which only texts can be read here
        texts = [p.get("text") for p in content if isinstance(p, dict)]
        if not all(isinstance(t, str) for t in texts):
            rule, remedy = "messages must be texts", "leave pictures and sounds out"
            raise DataError(Problem(rule, str(content)[:60], f"column {place!r}", remedy))
        content = "".join(str(t) for t in texts)
    if content is not None and not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False)
    kept = {k: v for k, v in raw.items() if k not in ("role", "from", "content", "value")}
    return {"role": _ROLES[role.lower()], "content": content or "", **kept}


def _json(value: str | None) -> Any:
    try:
        return json.loads(value) if value else None
    except ValueError:
        return None

"""Conversations as the model's own template writes them, and which characters are learnt.

Most templates do not mark what the assistant says, so spans are derived: a conversation is rendered
up to each answer, with and without it, and both must be prefixes of the whole. Where a template
rewrites earlier turns once later ones follow, prefixes disagree; then each answer becomes an
example of its own, rendered as the model would see it when it has to give that answer. Where even
that does not fit, the row is refused with a reason: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attain.core.dialogue import Example, Message
from attain.core.errors import DataError, Problem

Span = tuple[int, int]


class Unrenderable(Exception):
    """A conversation that the template cannot write, or whose answers cannot be told apart."""


@dataclass(frozen=True)
class Rendered:
    """A text and what of it is learnt.

    Attributes:
        text: As the model reads it, special tokens spelled out.
        spans: Where what is learnt begins and ends, in characters, rising, disjoint.
    """

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, eq=False)
class Renderer:
    """A tokenizer's chat template; a plain format where it has none.

    Attributes:
        tokenizer: Of the model.
    """

    tokenizer: Any

    @property
    def chats(self) -> bool:
        """Whether the model has a template of its own."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    def whole(self, example: Example) -> tuple[Rendered, ...]:
        """An example with everything that is to be learnt from it.

        Args:
            example: Plain text, or a conversation.

        Returns:
            One text; one for each answer where the template does not write them side by side; none
            when there is nothing to learn.

        Raises:
            Unrenderable: When no span can be derived safely.
        """
        if example.text is not None:
            return (self._plain_text(example.text),) if example.text else ()
        if not example.trained:
            return ()
        try:
            return (self._spans(example.messages, example.trained, example.tools),)
        except _Disagree:
            return tuple(
                self.last(example.messages[: i + 1], example.tools) for i in example.trained
            )

    def last(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> Rendered:
        """A conversation of whose answers only the last is learnt.

        Args:
            messages: Ending in an answer.
            tools: As for `Example`.

        Returns:
            The text.

        Raises:
            Unrenderable: When the span of the answer cannot be derived safely.
        """
        try:
            return self._spans(messages, (len(messages) - 1,), tools)
        except _Disagree as error:
            raise Unrenderable(str(error)) from error

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> str:
        """A conversation up to where the model goes on.

        Args:
            messages: What was said.
            tools: As for `Example`.

        Returns:
            The text, with what opens an answer.

        Raises:
            Unrenderable: When the template refuses it.
        """
        return self._render(messages, tools, opened=True)

    def _plain_text(self, text: str) -> Rendered:
        """All of a text and the end, after the token that begins texts, if there is one."""
        begin = self._token("bos_token")
        written = f"{begin}{text}{self._token('eos_token')}"
        return Rendered(written, ((len(begin), len(written)),))

    def _spans(
        self, messages: Sequence[Message], trained: Sequence[int], tools: Sequence[Any] | None
    ) -> Rendered:
        text = self._render(messages, tools)
        spans: list[Span] = []
        for i in trained:
            start = self._start(text, messages, i, tools)
            end = self._end(text, messages, i, tools)
            if start >= end or (spans and start < spans[-1][1]):
                raise _Disagree(f"the template gives message {i + 1} no place of its own")
            content = str(messages[i].get("content") or "").strip()
            if content and not messages[i].get("tool_calls") and content not in text[start:end]:
                raise _Disagree(f"the template changes what message {i + 1} says")
            spans.append((start, end))
        return Rendered(text, tuple(spans))

    def _start(
        self, text: str, messages: Sequence[Message], i: int, tools: Sequence[Any] | None
    ) -> int:
        """Where the answer begins: behind what opens it when the model has to give it."""
        before = messages[:i]
        if not before:
            return self._content(text, messages[i], 0)
        opened = self._render(before, tools, opened=True)
        closed = self._without_end(self._render(before, tools))
        if text.startswith(opened) and opened != self._render(before, tools):
            return len(opened)
        if not text.startswith(closed):
            raise _Disagree(f"the template writes what precedes message {i + 1} in another way")
        # no opening of its own, or one that the template leaves out of what was said before
        return self._content(text, messages[i], len(closed))

    def _content(self, text: str, message: Message, after: int) -> int:
        content = str(message.get("content") or "").strip()
        place = text.find(content, after) if content else -1
        if place < 0 or message.get("tool_calls"):
            raise _Disagree("an answer without words has no opening that tells where it begins")
        return place

    def _end(
        self, text: str, messages: Sequence[Message], i: int, tools: Sequence[Any] | None
    ) -> int:
        """Where the answer ends: behind the token that ends turns, before blanks."""
        whole = text if i + 1 == len(messages) else self._render(messages[: i + 1], tools)
        for candidate in (whole.rstrip(), self._without_end(whole).rstrip()):
            if text.startswith(candidate):
                return self._one_end(candidate)
        raise _Disagree(f"the template ends message {i + 1} in another way once more follows")

    def _one_end(self, text: str) -> int:
        """The end of a text without a second token that ends it, such as one of the document."""
        shorter = self._without_end(text).rstrip()
        marked = any(shorter.endswith(token) for token in self._specials() if token)
        return len(shorter) if shorter != text and marked else len(text)

    def _without_end(self, text: str) -> str:
        """A text without the token that ends documents, which some templates put last."""
        eos = self._token("eos_token")
        stripped = text.rstrip()
        return stripped[: -len(eos)] if eos and stripped.endswith(eos) else text

    def _specials(self) -> tuple[str, ...]:
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return (*(str(token) for token in added.values()), self._token("eos_token"))

    def _token(self, name: str) -> str:
        return str(getattr(self.tokenizer, name, None) or "")

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Any] | None, opened: bool = False
    ) -> str:
        if not self.chats:
            return self._unformatted(messages, opened)
        try:
            made = self.tokenizer.apply_chat_template(
                [dict(m) for m in messages],
                tools=list(tools) if tools else None,
                tokenize=False,
                add_generation_prompt=opened,
            )
        except Exception as error:  # whatever a template raises, also its own refusals
            raise Unrenderable(f"the template refuses it: {str(error).splitlines()[0]}") from error
        return str(made)

    def _unformatted(self, messages: Sequence[Message], opened: bool) -> str:
        """For models that were never taught a chat: prompt, blank line, answer, end."""
        written = self._token("bos_token")
        for message in messages:
            said = str(message.get("content") or "")
            if message["role"] == "assistant":
                written += said + self._token("eos_token")
            else:
                written += said + "\n\n"
        return written


class _Disagree(Exception):
    """Prefixes do not agree."""


def render_all(
    renderer: Renderer, examples: Sequence[Example]
) -> tuple[list[tuple[int, Rendered]], Mapping[int, str]]:
    """All examples of a data set.

    Args:
        renderer: Of the model.
        examples: One a row.

    Returns:
        Texts with the position of their row, and why rows could not be rendered, by position.
    """
    found: list[tuple[int, Rendered]] = []
    refused: dict[int, str] = {}
    for row, example in enumerate(examples):
        try:
            found += [(row, made) for made in renderer.whole(example)]
        except (Unrenderable, DataError) as error:
            refused[row] = str(error)
    return found, refused


def require(refused: Mapping[int, str], total: int) -> None:
    """Raise when nothing could be rendered.

    Args:
        refused: From `render_all`.
        total: Rows.

    Raises:
        DataError: Names the first reason.
    """
    if refused and len(refused) == total:
        row, why = next(iter(refused.items()))
        rule = "the model's template must be able to write the conversations"
        remedy = "check roles and their order, or use a model with another template"
        raise DataError(Problem(rule, f"row {row}: {why}", "data", remedy))

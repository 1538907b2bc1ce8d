"""Spans that labels of words make: names, places, phrases; and what right ones are.

Labels are written in one of three ways, told from the labels themselves. With prefixes (IOB2, and
its kin with ends and single words: IOBES, BILOU) a span begins at ``B-``; with ``O`` but without
prefixes (IO) a run of equal labels is a span; without ``O`` (parts of speech) each word is one.
Spans are read as the CoNLL shared tasks do (Tjong Kim Sang & De Meulder 2003, ACL W03-0419,
section 2): an ``I-`` that continues nothing begins a span.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

OUTSIDE = "O"
_BEGINS, _ENDS, _PREFIXES = "BSU", "ESLU", "BIESLU"

Span = tuple[str, int, int]
"""Type, first word, last word."""


class Scheme(StrEnum):
    """How labels make spans."""

    PREFIXED = "prefixes"
    RUNS = "runs of equal labels"
    WORDS = "each word by itself"


def scheme_of(labels: Sequence[str]) -> Scheme:
    """How these labels make spans.

    Args:
        labels: All that occur.

    Returns:
        Prefixed when all but ``O`` have a prefix and a type; else runs if there is ``O``.
    """
    inside = [label for label in labels if label != OUTSIDE]
    if inside and all(label[:1] in _PREFIXES and label[1:2] == "-" for label in inside):
        return Scheme.PREFIXED
    return Scheme.RUNS if OUTSIDE in labels else Scheme.WORDS


def kind_of(label: str, scheme: Scheme) -> str:
    """The type of a label: without its prefix, if there are prefixes.

    Args:
        label: Any but ``O``.
        scheme: From `scheme_of`.

    Returns:
        Such as ``PER``.
    """
    return label[2:] if scheme is Scheme.PREFIXED else label


def spans(labels: Sequence[str], scheme: Scheme) -> list[Span]:
    """The spans of a sentence.

    Args:
        labels: Of its words.
        scheme: From `scheme_of`.

    Returns:
        In order; they do not overlap.
    """
    if scheme is Scheme.WORDS:
        return [(label, place, place) for place, label in enumerate(labels)]
    found: list[Span] = []
    kind, start = "", 0  # of the open span; no type says that none is open
    for place, label in enumerate([*labels, OUTSIDE]):
        own = "" if label == OUTSIDE else kind_of(label, scheme)
        prefix = label[0] if own and scheme is Scheme.PREFIXED else ""
        if kind and (own != kind or prefix in tuple(_BEGINS)):
            found.append((kind, start, place - 1))
            kind = ""
        if own and not kind:
            kind, start = own, place
        if kind and prefix in tuple(_ENDS):
            found.append((kind, start, place))
            kind = ""
    return found


def loose(labels: Sequence[str]) -> list[int]:
    """Words inside of a span that nothing begins, where labels have prefixes.

    Args:
        labels: Of the words of a sentence.

    Returns:
        Positions of ``I-`` (or an end) that follow neither the beginning nor the inside of their
        type.
    """
    before, found = OUTSIDE, []
    for place, label in enumerate(labels):
        goes_on = label != OUTSIDE and label[0] not in _BEGINS
        follows = before != OUTSIDE and before[0] not in _ENDS and before[2:] == label[2:]
        if goes_on and not follows:
            found.append(place)
        before = label
    return found

"""The seven steps of a study, as those who watch it are told of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One of the steps, and the kinds of records that begin and end it.

    Attributes:
        number: From 1; empty for the data, which belong to no step.
        name: As in docs/architecture.md.
        begins: Kind of the record after which it is under way.
        ends: Kind of the record with which it is done.
    """

    number: str
    name: str
    begins: str
    ends: str


STEPS = (
    Step("1", "objectives", "study", "feasibility"),
    Step("", "data", "objectives", "audit"),
    Step("2", "parameters", "split", "selection"),
    Step("3", "strategy", "selection", "strategy"),
    Step("4", "train", "strategy", "refit"),
    Step("5", "validate", "scored", "choice"),
    Step("6", "refine", "scored", "choice"),
    Step("7", "test", "intent", "verdict"),
)

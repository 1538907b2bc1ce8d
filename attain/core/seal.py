"""Where the sealed rows lie. Only `data`, `sealed` and `pipeline` may import this module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Seal:
    """The plan by which test rows were set aside, and what is known of them without looking.

    Attributes:
        path: File of the sealed rows, relative to the study folder.
        digest: SHA-256 of that file (hex).
        fingerprint: Content hash of the sealed rows, independent of their order (hex).
        rule: How rows were chosen, in words.
        seed: Of the choice.
        rows: Number of sealed rows.
        class_counts: Sealed rows of each class, in the order of `Dataset.classes`.
        groups: Number of distinct groups, 0 without groups.
        objectives: The statements in force when the seal was made.
        overlap: Sealed rows whose features also occur among the unsealed rows.
        near_overlap: Sealed rows whose texts have near-copies, but no copy, among the others.
        near_compared: Sealed rows whose texts were compared; 0 without texts.
        drift: Area under the ROC curve by which the user's own test rows are told from the others
            by their features; 0 when they were not compared.
    """

    path: str
    digest: str
    fingerprint: str
    rule: str
    seed: int
    rows: int
    class_counts: tuple[int, ...] = ()
    groups: int = 0
    objectives: tuple[str, ...] = ()
    overlap: int = 0
    near_overlap: int = 0
    near_compared: int = 0
    drift: float = 0.0


@dataclass(frozen=True)
class Permit:
    """Leave to read the sealed rows once. The pipeline makes one only after writing the intent.

    Attributes:
        digest: Of the frozen model that will be tested.
        intent: Id of the ledger record that announced the look.
        look: Which look this is, from 1.
        reason: Why a second or later look is taken.
    """

    digest: str
    intent: int
    look: int = 1
    reason: str = ""

"""What is wanted and what is known of the rows. Frozen; round-trip through JSON (`core.codec`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Task(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"
    GENERATION = "generation"
    PREFERENCE = "preference"
    TAGGING = "tagging"
    TRANSCRIPTION = "transcription"

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return self in (Task.BINARY, Task.MULTICLASS)

    @property
    def several(self) -> bool:
        """Whether a row carries any number of labels, none included."""
        return self is Task.MULTILABEL

    @property
    def named(self) -> bool:
        """Whether classes or labels are predicted, each with a probability."""
        return self.classifies or self.several

    @property
    def language(self) -> bool:
        """Whether texts are written, or ranked by a model that writes."""
        return self in (Task.GENERATION, Task.PREFERENCE)

    @property
    def counted(self) -> bool:
        """Whether predictions are counts and sums (`core.counts`), and targets stand in X."""
        return self.language or self in (Task.TAGGING, Task.TRANSCRIPTION)


class Direction(StrEnum):
    """Which way is better; always the metric's own, never guessed."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Role(StrEnum):
    """Whether an objective is what to improve or a limit to stay within."""

    GOAL = "goal"
    CONSTRAINT = "constraint"


@dataclass(frozen=True)
class Objective:
    """One statement of what good means.

    Attributes:
        metric: Name in the metric table, with its parameter if any (``pinball@0.9``).
        direction: From the metric table.
        target: Threshold in metric units, or None for "as good as possible".
        role: Goal (model quality) or constraint (efficiency limits).
        confidence: Of the interval that must clear the target, in (0, 1).
        unit: Unit of the metric, empty for a pure number.
        low: Smallest possible value of the metric (may be -inf).
        high: Largest possible value of the metric (may be inf).
    """

    metric: str
    direction: Direction
    target: float | None = None
    role: Role = Role.GOAL
    confidence: float = 0.95
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")

    def __str__(self) -> str:
        if self.target is None:
            return f"{self.direction} {self.metric}"
        sign = ">=" if self.direction is Direction.MAXIMIZE else "<="
        return f"{self.metric} {sign} {self.target:g}"

    def reached(self, value: float) -> bool:
        """Whether a value clears the target; True when there is no target."""
        if self.target is None:
            return True
        if self.direction is Direction.MAXIMIZE:
            return value >= self.target
        return value <= self.target


class ColumnKind(StrEnum):
    """How a column is read."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"

    @property
    def is_media(self) -> bool:
        """Whether cells are references to files (`core.media`)."""
        return self in (ColumnKind.IMAGE, ColumnKind.AUDIO)


class ColumnRole(StrEnum):
    """What a column is used for."""

    FEATURE = "feature"
    TARGET = "target"
    GROUP = "group"
    TIME = "time"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Column:
    """One column as attain understands it.

    Attributes:
        name: As in the file.
        kind: How it is read.
        role: What it is used for.
        reason: Why this kind and role, in one clause, shown to the user.
        missing: Missing cells among the unsealed rows.
        distinct: Distinct present values among the unsealed rows.
        format: How cells are written where text alone does not tell: a strptime pattern or
            ``ISO8601`` for dates, ``mixed`` for numbers among which other text counts as missing.
    """

    name: str
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    reason: str = ""
    missing: int = 0
    distinct: int = 0
    format: str = ""


@dataclass(frozen=True)
class Pretrained:
    """A pre-trained model that learners may start from.

    Attributes:
        folder: Absolute path of a folder with configuration, weights and vocabulary.
        digest: Content hash (hex) of the files that decide what the model computes.
        trusted: Whether weights that are pickled, and so could run code, may be loaded.
    """

    folder: str
    digest: str
    trusted: bool = False


@dataclass(frozen=True)
class Dataset:
    """What is known of the unsealed rows. Never holds a sealed row nor its address.

    Attributes:
        address: Where the rows came from, for people.
        fingerprint: Content hash of the unsealed rows (hex).
        rows: Number of unsealed rows.
        columns: In file order, target and helpers included.
        target: Name of the target column.
        task: What is predicted; to write texts, or to rank them, has the modality ``language``.
        classes: Class labels as text, sorted, code = position; where a row carries several labels,
            their names; empty for other tasks.
        class_counts: Unsealed rows of each class or with each label, in the order of `classes`.
        groups: Column whose values must not be split between folds, if any.
        time: Column that orders the rows, if any.
        task_reason: Why this task, in one clause.
        modality: ``image`` or ``audio`` when there is a column of these, ``text`` when texts are
            all that there is to learn from, else ``table``.
        pretrained: What learners may start from, if the user named a model.
        answer_schema: JSON Schema that generated answers should satisfy, as `core.answer_schema`
            writes it; empty if none was stated.
        separator: Between the labels of a target cell; empty where cells are lists of labels, and
            for other tasks.
    """

    address: str
    fingerprint: str
    rows: int
    columns: tuple[Column, ...]
    target: str
    task: Task
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    groups: str | None = None
    time: str | None = None
    task_reason: str = ""
    modality: str = "table"
    pretrained: Pretrained | None = None
    answer_schema: str = ""
    separator: str = ""

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a learner sees."""
        return tuple(c for c in self.columns if c.role is ColumnRole.FEATURE)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in memory, as learners see them.

    Attributes:
        X: Features, one column per `Dataset.features`, in that order. Numeric and boolean columns
            are float64, categorical and text columns are strings (missing is None/NaN), datetime
            columns are datetime64, images and clips are references (`core.media`, strings too).
        y: Class codes (int64, positions in `Dataset.classes`) or values (float64); shape (n,).
            Where a row carries several labels, 1 for those that it has and 0 for the others
            (int64); shape (n, labels). None for rows without a target. Where predictions
            are counts and sums (texts to be written, labels of words, transcripts), targets stand
            as text in the last column of X (None where there are none) and y is 0.
        groups: Group of each row, shape (n,), or None.
        time: Sortable time of each row, shape (n,), or None.
    """

    X: pd.DataFrame
    y: np.ndarray | None = None
    groups: np.ndarray | None = None
    time: np.ndarray | None = None

    def take(self, index: np.ndarray) -> Rows:
        """The rows at these positions, in this order.

        Args:
            index: Integer positions, shape (m,).

        Returns:
            New rows; the frame is a copy.
        """
        pick = lambda values: None if values is None else values[index]  # noqa: E731
        return Rows(self.X.iloc[index], pick(self.y), pick(self.groups), pick(self.time))

    def __len__(self) -> int:
        return len(self.X)


class Severity(StrEnum):
    """How much a finding matters."""

    BLOCKER = "blocker"
    ISSUE = "issue"
    TIP = "tip"


class FindingState(StrEnum):
    """What a check answered."""

    FOUND = "found"
    PASSED = "passed"
    NOT_APPLICABLE = "not applicable"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a data check answered.

    Attributes:
        code: Stable for ever; has a section in ``docs/checks.md``.
        title: What was checked, in a few words.
        state: The answer.
        severity: How much it matters when found.
        explanation: What was found, with numbers, or why it does not apply.
        remedy: What to do next.
        columns: Columns concerned.
        rows: At most 20 rows concerned: positions in the user's data, the first is 0 (a check
            itself answers with positions among the rows it was given).
        evidence: Numbers behind the explanation.
    """

    code: str
    title: str
    state: FindingState
    severity: Severity = Severity.TIP
    explanation: str = ""
    remedy: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

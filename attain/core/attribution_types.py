"""What the words of a text, the places of an image or a clip, or columns said to a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WordShare:
    """What one word contributed.

    Attributes:
        start: Position of its first character in the text.
        end: Position behind its last one.
        value: Positive speaks for the output that was asked about, negative against it.
    """

    start: int
    end: int
    value: float


@dataclass(frozen=True)
class ReadText:
    """One text as a model read it.

    Attributes:
        column: Where it stands.
        text: Without blanks around it.
        words: Those that the model read, in order; a word that is not here said nothing.
    """

    column: str
    text: str
    words: tuple[WordShare, ...] = ()


@dataclass(frozen=True)
class SeenFile:
    """One image or clip as a model saw it.

    Attributes:
        column: Where it stands.
        values: What each cell of a grid over its picture contributed, row by row from the top left;
            of a clip the picture is its spectrum over time, low tones at the bottom.
    """

    column: str
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ReadCell:
    """What one cell of a row contributed, or several together.

    Attributes:
        columns: Where it stands; several where their cells were looked at together.
        value: Positive speaks for the output that was asked about, negative against it.
        error: Standard error of the value; 0 where it is exact.
    """

    columns: tuple[str, ...]
    value: float
    error: float = 0.0


@dataclass(frozen=True)
class Attribution:
    """How one output for one row came about, word by word, place by place or cell by cell.

    For classes the output is the log odds of the class against the others: its score minus the mean
    score of the other classes, in nats. For values it is the value, in the target's unit. Where
    cells were found out about by trying, it is the chance of the class.

    Attributes:
        texts: Of each text column.
        output: For the row.
        baseline: For the same row without its words, with a picture of one colour, or silent; of
            cells the mean over other rows.
        rest: Attributed to what belongs to no word or place, such as blanks.
        tolerance: How far the sum may be from ``output - baseline``, in the same unit.
        steps: Intervals of the path along which gradients were summed; 0 when the sum is exact by
            construction. Of cells the orders in which they were put in; 0 for none.
        files: Of each column of images or clips.
        cells: Of each column of a table that said something.
    """

    texts: tuple[ReadText, ...]
    output: float
    baseline: float
    rest: float = 0.0
    tolerance: float = 0.0
    steps: int = 0
    files: tuple[SeenFile, ...] = ()
    cells: tuple[ReadCell, ...] = ()

    @property
    def residual(self) -> float:
        """What ``output - baseline`` has beyond the sum of all attributions."""
        words = sum(word.value for text in self.texts for word in text.words)
        places = sum(value for seen in self.files for row in seen.values for value in row)
        cells = sum(cell.value for cell in self.cells)
        return self.output - self.baseline - words - places - cells - self.rest

    @property
    def complete(self) -> bool:
        """Whether the attributions add up within the tolerance."""
        return abs(self.residual) <= self.tolerance

"""References to images and clips, as cells of a table hold them: kind, content's hash, place.

A table of media holds one short text a file instead of the file, so that rows stay small, and equal
contents have equal hashes wherever they lie. What is read is checked against its hash, so a study
never goes on with files that have changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from attain.core.errors import DataError, Problem

IMAGE, AUDIO = "image", "audio"
KINDS = (IMAGE, AUDIO)
_INLINE = "data:"
_REFERENCE = re.compile(r"(image|audio)@([0-9a-f]{32})@(.+)", re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """Where an image or a clip is.

    Attributes:
        kind: ``image`` or ``audio``.
        digest: blake2b of its content, 32 hexadecimal digits.
        place: Absolute path of its file, or ``data:`` and the content in base64.
    """

    kind: str
    digest: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind}@{self.digest}@{self.place}"

    @property
    def name(self) -> str:
        """For people: the name of its file and of the folder that it is in, or of its content."""
        if self.place.startswith(_INLINE):
            return f"{self.kind} {self.digest[:8]}"
        return "/".join(Path(self.place).parts[-2:])

    @property
    def path(self) -> Path | None:
        """Its file; None for one that lies in the cell itself."""
        return None if self.place.startswith(_INLINE) else Path(self.place)

    def content(self) -> bytes:
        """The bytes of the file, as they were when the table was read.

        Returns:
            Its whole content.

        Raises:
            DataError: When the file is gone or has changed.
        """
        try:
            if self.place.startswith(_INLINE):
                found = base64.b64decode(self.place.removeprefix(_INLINE), validate=True)
            else:
                found = Path(self.place).read_bytes()
        except (OSError, binascii.Error) as error:
            rule, remedy = "the files of a table must stay where they are", "put the file back"
            raise DataError(Problem(rule, str(error), self.name, remedy)) from error
        if digest_of(found) != self.digest:
            rule = "the files of a table must stay as they were when it was read"
            remedy = "restore the file, or begin a new study"
            raise DataError(Problem(rule, "another content", self.name, remedy))
        return found


def digest_of(content: bytes) -> str:
    """blake2b of a content, 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def inline(kind: str, content: bytes) -> Reference:
    """A reference that holds the content itself."""
    place = _INLINE + base64.b64encode(content).decode("ascii")
    return Reference(kind, digest_of(content), place)


def parse(cell: object) -> Reference | None:
    """The reference that a cell holds; None if it holds something else."""
    match = _REFERENCE.fullmatch(cell) if isinstance(cell, str) else None
    return None if match is None else Reference(*match.groups())


def identity(text: str) -> str:
    """What decides whether two cells are equal: of a reference its hash, else the text itself."""
    if text[:6] not in ("image@", "audio@"):
        return text
    found = parse(text)
    return text if found is None else found.digest

"""Files that are whole or absent: write beside, flush, rename. Full disks say so plainly."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attain.core.errors import ArtifactError, EnvironmentProblem

_REMEDIES = {
    errno.ENOSPC: ("the disk is full", "free some space, then run the same command again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, then run the same command again"),
    errno.EROFS: ("the file system is read-only", "choose a folder that can be written to"),
    errno.EACCES: ("permission is denied", "choose a folder that you may write to"),
    errno.EPERM: ("permission is denied", "choose a folder that you may write to"),
}


@contextmanager
def plain_errors(path: Path | str, doing: str = "writing") -> Iterator[None]:
    """Turn operating-system errors into ones a user can act on.

    Args:
        path: What is being touched.
        doing: For the message.

    Yields:
        Nothing.

    Raises:
        EnvironmentProblem: Instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        what, remedy = _REMEDIES.get(
            error.errno or 0, (error.strerror or str(error), "check the path and try again")
        )
        raise EnvironmentProblem(f"{doing} {path}: {what} — {remedy}") from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that it is whole or absent even if the machine stops.

    Args:
        path: Where; its folder is made when missing.
        content: Bytes, or text to be encoded as UTF-8.

    Raises:
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    data = content.encode() if isinstance(content, str) else content
    with plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with draft.open("xb") as file:  # who may read it is for the umask to say
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable, where the system supports it.

    Args:
        folder: An existing folder.
    """
    if os.name == "nt":  # Windows has no folder handles to flush
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content.

    Args:
        path: An existing file.

    Returns:
        Hexadecimal digest.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: Path, name: str) -> Path:
    """Resolve a name that must stay inside a folder.

    Args:
        folder: The folder.
        name: A relative path from a file that may have been altered.

    Returns:
        The absolute path.

    Raises:
        ArtifactError: When the name leads outside, also through a symbolic link.
    """
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise ArtifactError(
            f"{name!r} leads outside of {folder} — the folder was altered; get it anew"
        )
    return path

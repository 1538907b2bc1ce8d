"""Which ledger belongs to a study: a file in its folder, or a study in a database.

A study whose records are in a database keeps a small file beside its artifacts that says where, so
that every command that is given the folder finds them.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.errors import LedgerError
from attain.core.files import write_atomic
from attain.runtime.url import Address, is_url, public_url, read_address

if TYPE_CHECKING:
    from attain.core.protocols import Ledger
    from attain.runtime.ledger import LedgerState

FILE = "ledger.db"
POINTER = "ledger.json"


def new_name(folder: Path) -> str:
    """A name for a new study that no other one has.

    Args:
        folder: Its folder.

    Returns:
        Such as ``adult-study-9f31c2``.
    """
    stem = re.sub(r"[^\w.-]+", "-", f"{folder.parent.name}-{folder.name}").strip("-")
    return f"{stem}-{secrets.token_hex(3)}"


def pointer(folder: Path) -> Address | None:
    """Where a study's records are, if they are in a database.

    Args:
        folder: The study folder.

    Returns:
        The address, without a password; None when they are in the folder itself.

    Raises:
        LedgerError: When the file that says so cannot be read.
    """
    path = folder / POINTER
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        return Address(str(stated["url"]), str(stated["study"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LedgerError(
            f"{path} should say where the study's records are, but cannot be read ({error}) —"
            " restore it, or name the ledger with --ledger"
        ) from error


def point(folder: Path, address: Address) -> None:
    """Note where a study's records are.

    Args:
        folder: The study folder, existing.
        address: With a study; a password is left out.
    """
    stated = {"url": public_url(address.url), "study": address.study}
    write_atomic(folder / POINTER, json.dumps(stated, indent=1).encode())


def has_ledger(folder: Path) -> bool:
    """Whether a folder belongs to a study."""
    return (folder / FILE).exists() or (folder / POINTER).exists()


def open_place(place: Path | str, *, read_only: bool = False, url: str = "") -> Ledger:
    """Open the ledger at a place.

    Args:
        place: A ledger file, a study folder, or a database's URL with a study.
        read_only: Open a view.
        url: Of the database, as stated now; it may hold a password that the folder does not keep.

    Returns:
        The ledger, to be closed by the caller.

    Raises:
        LedgerError: When another process writes, or it cannot be opened.
        EnvironmentProblem: When psycopg is not installed.
    """
    if is_url(place):
        return _postgres(read_address(str(place)), read_only)
    path = Path(place)
    kept = pointer(path) if path.is_dir() else None
    if kept is not None:
        return _postgres(Address(url or kept.url, kept.study), read_only)
    from attain.runtime.ledger import SqliteLedger

    return SqliteLedger(path / FILE if path.is_dir() else path, read_only=read_only)


def _postgres(address: Address, read_only: bool) -> Ledger:
    from attain.runtime.postgres import PostgresLedger

    return PostgresLedger(address.url, address.study, read_only=read_only)


def examine(folder: Path) -> LedgerState:
    """Examine the ledger of a study without changing it; never raises for a bad one.

    Args:
        folder: The study folder.

    Returns:
        What was found.
    """
    from attain.runtime.ledger import LedgerState, state

    try:
        kept = pointer(folder)
    except LedgerError as error:
        return LedgerState(folder / POINTER, problems=(str(error),))
    if kept is None:
        return state(folder / FILE)
    look: Callable[..., Any] = _postgres_state()
    found: LedgerState = look(kept.url, kept.study)
    return found


def _postgres_state() -> Callable[..., Any]:
    from attain.runtime.postgres import state

    return state

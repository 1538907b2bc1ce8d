"""Which ledger belongs to a study: a file in its folder, or a study in a database.

A study whose records are in a database keeps a small file beside its artifacts that says where, so
that every command that is given the folder finds them.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from attain.core.errors import LedgerError, Problem, SpecError
from attain.core.files import write_atomic

if TYPE_CHECKING:
    from attain.core.protocols import Ledger
    from attain.runtime.ledger import LedgerState

FILE = "ledger.db"
POINTER = "ledger.json"
_SCHEMES = ("postgresql", "postgres")
_SECRET = re.compile(r"(?i)(password|passwd)=[^&\s]*")


@dataclass(frozen=True)
class Address:
    """A study in a database.

    Attributes:
        url: Of the database, as stated, without the study.
        study: Its name there; empty when none is stated.
    """

    url: str
    study: str = ""

    @property
    def shown(self) -> str:
        """The address without a password, for people and for files."""
        url = public_url(self.url)
        return f"{url}#{self.study}" if self.study else url


def is_url(place: object) -> bool:
    """Whether a place is a database's address and not a path."""
    return isinstance(place, str) and place.partition("://")[0] in _SCHEMES and "://" in place


def read_address(place: str) -> Address:
    """Take an address apart.

    Args:
        place: ``postgresql://user@host:port/database#study``; all but the scheme may be left out.

    Returns:
        The database and the study.

    Raises:
        SpecError: When it cannot be read, or is of another database.
    """
    rule = "a ledger in a database is named by a PostgreSQL URL"
    remedy = "write postgresql://user@host/database#study"
    try:
        parts = urlsplit(place)
        good = parts.scheme in _SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise SpecError(Problem(rule, public_url(place), "ledger", remedy))
    url, _, study = place.partition("#")
    return Address(url, study)


def public_url(url: str) -> str:
    """A URL without its password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _SECRET.sub(r"\1=...", url.rpartition("@")[2])
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}{at}{host}"
    query = "&".join(p for p in parts.query.split("&") if not _SECRET.match(p))
    return urlunsplit(parts._replace(netloc=netloc, query=query))


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

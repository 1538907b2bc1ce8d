"""Addresses of databases: what a user states, and what may be shown of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from attain.core.errors import Problem, SpecError

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

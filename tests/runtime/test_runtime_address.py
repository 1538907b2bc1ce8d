"""Where a study's records are: read from what the user states and from the folder."""

from __future__ import annotations

import pytest
from runtime_tools import draft

from attain.core.errors import LedgerError, SpecError
from attain.runtime import address
from attain.runtime.ledger import SqliteLedger
from attain.runtime.url import Address, is_url, public_url, read_address


@pytest.mark.parametrize(
    ("place", "url", "study"),
    [
        ("postgresql://u@h:5433/db#mine", "postgresql://u@h:5433/db", "mine"),
        ("postgres:///db?host=/run#a-b", "postgres:///db?host=/run", "a-b"),
        ("postgresql://", "postgresql://", ""),
    ],
)
def test_address_is_taken_apart(place, url, study):
    """A URL names a database; what stands behind the # is the study."""
    assert is_url(place)
    assert read_address(place) == Address(url, study)


@pytest.mark.parametrize("place", ["mysql://h/db", "postgresql://h:port/db", "study/ledger.db"])
def test_other_addresses_are_refused(place):
    """Other databases and unreadable ports are refused with an example."""
    with pytest.raises(SpecError, match="postgresql://user@host/database#study"):
        read_address(place)


def test_paths_are_no_urls(tmp_path):
    """Paths are taken for files, whatever their names."""
    assert not any(map(is_url, (tmp_path, "postgresql", "a/postgres:/x", None)))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db?user=u&password=secret", "postgresql://h/db?user=u"),
        ("postgresql://h/db", "postgresql://h/db"),
    ],
)
def test_passwords_are_never_shown(url, shown):
    """Neither before the host nor among the parameters."""
    assert public_url(url) == shown
    assert Address(url, "s").shown == f"{shown}#s"


def test_a_folder_says_where_its_records_are(tmp_path):
    """The note names database and study, without a password; without one they are in the folder."""
    assert address.pointer(tmp_path) is None
    assert not address.has_ledger(tmp_path)
    address.point(tmp_path, Address("postgresql://u:secret@h/db", "mine"))
    assert address.pointer(tmp_path) == Address("postgresql://u@h/db", "mine")
    assert address.has_ledger(tmp_path)
    assert "secret" not in (tmp_path / address.POINTER).read_text()


def test_a_damaged_note_is_said(tmp_path):
    """A note that cannot be read is not taken for a study without records."""
    (tmp_path / address.POINTER).write_text("{")
    with pytest.raises(LedgerError, match=r"cannot be read .*restore it, or name the ledger"):
        address.pointer(tmp_path)
    assert "restore it" in address.examine(tmp_path).problems[0]


def test_places_are_files_and_folders(tmp_path):
    """A folder, its ledger file, and their examination lead to the same records."""
    ledger = SqliteLedger(tmp_path / address.FILE)
    ledger.append([draft(5)])
    ledger.close()
    for place in (tmp_path, tmp_path / address.FILE, str(tmp_path)):
        opened = address.open_place(place, read_only=True)
        assert opened.read()[0].payload == {"value": 5}
        opened.close()
    assert address.examine(tmp_path).records == 1


def test_new_names_differ(tmp_path):
    """Two studies of the same folder never share a name, and names are plain."""
    folder = tmp_path / "my project" / "study"
    one, two = address.new_name(folder), address.new_name(folder)
    assert one != two
    assert one.startswith("my-project-study-")


def test_a_viewer_of_files_says_where_the_records_are(tmp_path):
    """The dashboard reads files only, and says so instead of asking to begin the study."""
    from attain.web.tail import Tail

    address.point(tmp_path, Address("postgresql://u:secret@h/db", "mine"))
    with pytest.raises(LedgerError, match=r"records are in postgresql://u@h/db#mine, which"):
        Tail(tmp_path / address.FILE)

"""Files are whole or absent, full disks say so, names stay inside their folder."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core import files
from attain.core.errors import ArtifactError, EnvironmentProblem


def test_writing_makes_folders_and_replaces(tmp_path):
    """Text and bytes are written, missing folders made, an old file replaced, nothing left over."""
    path = tmp_path / "a" / "b" / "report.txt"
    files.write_atomic(path, "é")
    assert path.read_bytes() == "é".encode()
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["report.txt"]


@pytest.mark.parametrize("moment", ["open", "fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch, moment):
    """No space at any moment: the old content stays, no temporary file does, the message helps."""
    path = tmp_path / "model.json"
    files.write_atomic(path, "old")

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.Path if moment == "open" else files.os, moment, fail)
        with pytest.raises(EnvironmentProblem, match="the disk is full — free some space"):
            files.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


def test_others_may_read_what_they_may_read_elsewhere(tmp_path):
    """A written file has the mode of any new file, so that a server may read an exported model."""
    (tmp_path / "usual").touch()
    files.write_atomic(tmp_path / "written", "new")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_interruption_leaves_no_temporary_file(tmp_path, monkeypatch):
    """Ctrl-C while flushing is passed on, and nothing is left behind."""

    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        files.write_atomic(tmp_path / "x", "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EROFS, "the file system is read-only — choose a folder that can be written to"),
        (errno.EACCES, "permission is denied — choose a folder that you may write to"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, "check the path and try again"),
    ],
)
def test_system_errors_become_plain(code, message):
    """Each kind of trouble has its own next step; the place is named."""
    with (
        pytest.raises(EnvironmentProblem, match=f"reading /some/where: .*{message}"),
        files.plain_errors("/some/where", "reading"),
    ):
        raise OSError(code, os.strerror(code))


def test_other_errors_pass_through():
    """Only errors of the operating system are translated."""
    with pytest.raises(ValueError, match="mine"), files.plain_errors("x"):
        raise ValueError("mine")


def test_a_file_where_a_folder_should_be(tmp_path):
    """A path through a file is refused as a problem of the environment."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(EnvironmentProblem, match="check the path"):
        files.write_atomic(tmp_path / "file" / "inner", "y")


@given(st.binary(max_size=300_000))
def test_digest_is_sha256(tmp_path_factory, content):
    """The digest of a file is that of its bytes."""
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(content)
    assert files.file_digest(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["model.txt", "a/b.json", "a/../b.json", "./x", "a b/ü"])
def test_names_inside_are_resolved(tmp_path, name):
    """Relative names inside the folder give their absolute path."""
    assert files.inside(tmp_path, name) == (tmp_path / name).resolve()


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "a/../../../x"])
def test_names_leading_outside_are_refused(tmp_path, name):
    """Neither parent folders nor absolute paths escape."""
    with pytest.raises(ArtifactError, match=r"leads outside of .* — the folder was altered"):
        files.inside(tmp_path, name)


def test_links_leading_outside_are_refused(tmp_path):
    """A symbolic link out of the folder is not followed, one within it is."""
    folder, outside = tmp_path / "model", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "out").symlink_to(outside)
    (folder / "in").symlink_to(folder / "real")
    with pytest.raises(ArtifactError, match="leads outside"):
        files.inside(folder, "out/secret")
    assert files.inside(folder, "in") == (folder / "real").resolve()


def test_a_linked_folder_is_a_folder(tmp_path):
    """The folder itself may be reached through a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert files.inside(tmp_path / "link", "x") == (tmp_path / "real" / "x").resolve()

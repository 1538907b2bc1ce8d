"""A study's folder on another machine: what goes there, what comes back, and what never leaves."""

from __future__ import annotations

import os
import tempfile

import pytest

from attain.core.errors import ArtifactError
from attain.runtime.mirror import Mirror, bring_back, needs
from attain.runtime.place import Place

NAMES = (
    *("data/work.arrow", "data/sealed.arrow", "trials/a.npz", "trials/b.npz", "ledger.db"),
    *("model/manifest.json", "checkpoints/mine/s1", "checkpoints/other/s1"),
)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    root = tmp_path / "study"
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def test_what_a_job_needs(study):
    """Rows, the model, its own state, files that it names; sealed rows and other states never."""
    found = needs({"folder": str(study), "checkpoint": "mine", "asks": [{"x": ("trials/a.npz",)}],
                   "text": "no/such/file", "out": "trials/new.npz"})  # fmt: skip
    assert set(found.files) == {
        "data/work.arrow", "model/manifest.json", "checkpoints/mine/s1", "trials/a.npz"
    }  # fmt: skip
    assert needs({"config": {}}).files == {}


def test_files_are_fetched_once_on_a_machine(study):
    """A second worker of the same machine finds rows there; a changed file is fetched again."""
    asked = []

    def fetch(name):
        asked.append(name)
        return (study / name).read_bytes()

    one, two = (Mirror(str(study), worker, "m") for worker in "12")
    other = Mirror(str(study), "3", "another")
    for mirror in (one, two, other):
        mirror.fill(needs({"folder": str(study)}).files, fetch)
        assert (mirror.folder / "data" / "work.arrow").read_text() == "data/work.arrow"
    assert asked.count("data/work.arrow") == 2
    (study / "data" / "work.arrow").write_text("changed")
    two.fill(needs({"folder": str(study)}).files, fetch)
    assert asked.count("data/work.arrow") == 3
    assert (one.folder / "data" / "work.arrow").read_text() == "changed"
    for mirror in (one, two, other):
        mirror.close()
    assert not list(one.folder.parent.parent.glob("*/"))


def test_only_what_a_job_wrote_comes_back(study):
    """New and changed files, each once; not what was brought, drafts, or what workers share."""
    mirror = Mirror(str(study), "1", "m")
    payload = {"folder": str(study), "checkpoint": "mine"}
    mirror.fill(needs(payload).files, lambda name: (study / name).read_bytes())
    assert mirror.changed() == {}
    (mirror.folder / "trials").mkdir()
    (mirror.folder / "trials" / "new.npz").write_text("n")
    (mirror.folder / "trials" / ".draft").write_text("d")
    (mirror.folder / "cache" / "tokens").write_text("c")
    (mirror.folder / "checkpoints" / "mine" / "s2").write_text("s")
    assert mirror.changed("checkpoints") == {"checkpoints/mine/s2": b"s"}
    assert mirror.changed() == {"trials/new.npz": b"n"}
    assert mirror.changed() == {}
    mirror.empty()
    assert sorted(p.name for p in mirror.folder.iterdir()) == ["cache", "data"]
    mirror.close()


def test_paths_are_translated(study):
    """Everything that lies in the folder, wherever it stands in a payload; nothing else."""
    mirror = Mirror(str(study), "1", "m")
    here, there = str(study), str(mirror.folder)
    given = {"folder": here, "list": [f"{here}/x", f"{here}-2", 3], "pair": (here, None)}
    wanted = {"folder": there, "list": [f"{there}/x", f"{here}-2", 3], "pair": (there, None)}
    assert mirror.translate(given, here) == wanted
    mirror.close()


def test_what_comes_back_stays_inside(study):
    """A name that leads out of the study's folder is refused."""
    bring_back(str(study), {"trials/c.npz": b"c"})
    assert (study / "trials" / "c.npz").read_bytes() == b"c"
    with pytest.raises(ArtifactError, match="leads outside"):
        bring_back(str(study), {f"..{os.sep}evil": b"x"})


class _Alone(Place):
    """A place on this machine."""

    def get(self, ref):
        """What was shipped is what is named."""
        return ref

    def here(self):
        """This process, this machine."""
        return "place", "node"


def test_a_closed_place_leaves_nothing_behind(tmp_path, monkeypatch):
    """Its folder of logs goes with it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = _Alone(1, None, [], True)
    assert list(tmp_path.iterdir())
    place.close()
    assert not list(tmp_path.iterdir())

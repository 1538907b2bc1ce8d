"""The box of requests and the live file: two small files beside the ledger."""

import multiprocessing
import os

import pytest

from attain.core.errors import EnvironmentProblem
from attain.runtime.live import MOST_JOBS, MOST_POINTS, LiveFile, read_live
from attain.runtime.requests import MOST_BYTES, RequestBox


def test_a_request_is_taken_once(tmp_path):
    """What is put in comes out in order, as it was, and only once for each reader."""
    box, reader = RequestBox(tmp_path), RequestBox(tmp_path)
    assert reader.take() == ()
    put = [box.put("stop", 3, {"trial": f"t{i}"}) for i in range(3)]
    assert list(reader.take()) == put
    assert reader.take() == ()
    put.append(box.put("pause", 3))
    assert list(reader.take()) == put[3:]
    assert list(RequestBox(tmp_path).take()) == put


def test_a_line_that_is_being_written_is_waited_for(tmp_path):
    """Half a line is no request yet; with its other half it is one."""
    box = RequestBox(tmp_path)
    request = box.put("pause", 1)
    whole = box.path.read_bytes()
    box.path.write_bytes(whole[:30])
    reader = RequestBox(tmp_path)
    assert reader.take() == ()
    box.path.write_bytes(whole)
    assert reader.take() == (request,)


def test_a_torn_line_costs_itself_only(tmp_path):
    """Somebody who dies while writing does not spoil the next request."""
    box = RequestBox(tmp_path)
    box.path.write_bytes(b'{"id": "x", "act')
    request = box.put("pause", 1)
    assert RequestBox(tmp_path).take() == (request,)


def _put_many(folder, count):
    box = RequestBox(folder)
    for i in range(count):
        box.put("extend", 1, {"trials": i, "filler": "x" * 2_000})


def test_writers_do_not_mix_their_lines(tmp_path):
    """Four processes write at the same time; every request arrives whole."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put_many, args=(tmp_path, 25)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = RequestBox(tmp_path).take()
    assert len({r.id for r in found}) == 100


def test_a_request_has_a_size(tmp_path):
    """Neither too large nor without a JSON form."""
    box = RequestBox(tmp_path)
    with pytest.raises(ValueError, match="at most 16,384 bytes"):
        box.put("copy", 1, {"x": "y" * MOST_BYTES})
    with pytest.raises(ValueError, match="not JSON compliant"):
        box.put("copy", 1, {"x": float("nan")})
    assert not box.path.exists()


def test_the_box_is_private(tmp_path):
    """Nobody but the owner reads or writes it, and a link is not followed."""
    box = RequestBox(tmp_path)
    box.put("pause", 1)
    assert box.path.stat().st_mode & 0o077 == 0
    (tmp_path / "other").mkdir()
    linked = RequestBox(tmp_path / "other")
    os.symlink(tmp_path / "victim", linked.path)
    with pytest.raises(EnvironmentProblem, match=r"requests\.jsonl"):
        linked.put("pause", 1)
    assert not (tmp_path / "victim").exists()


def test_a_box_that_was_cut_is_read_from_its_start(tmp_path):
    """A file that has become shorter is another one."""
    box = RequestBox(tmp_path)
    for _ in range(3):
        box.put("pause", 1)
    reader = RequestBox(tmp_path)
    assert len(reader.take()) == 3
    box.path.unlink()
    request = box.put("end", 2)
    assert reader.take() == (request,)


def point(step):
    return {"step": step, "values": {"stop": 1 / step}}


def test_what_is_under_way_is_read_back(tmp_path):
    """Curves and words arrive; an ended fit is gone; the file is replaced once a second."""
    live = LiveFile(tmp_path)
    live.look("t0001-f0", point(1))
    live.doing("reading")
    live.write(now=0.0)
    assert read_live(tmp_path) == {"doing": "reading", "curves": {"t0001-f0": [point(1)]}}
    live.ended("t0001-f0")
    live.write(now=0.5)
    assert read_live(tmp_path)["curves"]
    live.write(now=1.0)
    assert read_live(tmp_path)["curves"] == {}
    live.remove()
    assert read_live(tmp_path) == {"doing": "", "curves": {}}


def test_the_live_file_stays_small(tmp_path):
    """A million looks and a thousand jobs keep it below a megabyte."""
    live = LiveFile(tmp_path)
    for step in range(1, 20_000):
        live.look("t0001-f0", point(step))
    for job in range(1, 500):
        for step in range(1, 5):
            live.look(f"t{job:04d}-f1", point(step))
    live.write(now=0.0)
    found = read_live(tmp_path)["curves"]
    assert len(found) == MOST_JOBS
    assert all(len(points) <= MOST_POINTS for points in found.values())
    assert (tmp_path / "live.json").stat().st_size < 1_000_000


def test_a_long_curve_keeps_both_ends(tmp_path):
    """Thinning never loses the first and the newest look."""
    live = LiveFile(tmp_path)
    for step in range(1, 1_000):
        live.look("j", point(step))
        points = live._curves["j"]
        assert points[0]["step"] == 1
        assert points[-1]["step"] == step


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"curves": 5}', "[" * 9_999])
def test_a_live_file_that_is_none_shows_nothing(tmp_path, text):
    """Whatever is in the file, a viewer gets a sound answer."""
    (tmp_path / "live.json").write_text(text)
    assert read_live(tmp_path) == {"doing": "", "curves": {}}


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path):
    """The run does not care whether anybody can watch it."""
    live = LiveFile(tmp_path / "missing")
    live.doing("x")
    live.write(now=0.0)
    live.remove()


def test_another_run_s_file_is_left_alone(tmp_path):
    """A run that never wrote does not remove what another one shows."""
    mine, other = LiveFile(tmp_path), LiveFile(tmp_path)
    mine.doing("x")
    mine.write(now=0.0)
    other.remove()
    assert read_live(tmp_path)["doing"] == "x"

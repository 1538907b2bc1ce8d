"""The seal: disjoint, complete, stable; equal rows, groups and times are never divided."""

from __future__ import annotations

import stat
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import ArtifactError, DataError, SpecError
from attain.core.files import file_digest
from attain.core.seal import Seal
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.seal import by_hash, latest, load_work, make_seal, sealed_summary, work_origin


def _table(n, classes=3, seed=0, **more):
    rng = np.random.default_rng(seed)
    names = [f"k{i % classes}" for i in range(n)]
    return load_frame({"x": rng.normal(size=n), "w": rng.choice(["a", "b"], n), **more, "y": names})


def _sealed(frame, folder, test=0.2, seed=0, describing=None, **more):
    dataset = describe(frame, target="y", **(describing or {}))
    work, seal = make_seal(frame, dataset, folder, test=test, seed=seed, **more)
    with pa.ipc.open_file((folder / seal.path).read_bytes()) as file:
        return work, seal, load_work(folder), file.read_all().to_pandas()


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.mark.parametrize("own", [False, True])
def test_unsealed_rows_are_found_again_in_the_users_data(folder, own):
    """Each unsealed row knows its place in the data as read, also past rows without a target."""
    frame = _table(300)
    frame.loc[[0, 7, 299], "y"] = None
    more = {"test_frame": _table(50, seed=1)} if own else {}
    _, _, unsealed, _ = _sealed(frame, folder, **more)
    origin = work_origin(folder, len(unsealed))
    assert origin.tolist() == sorted(origin.tolist())
    found = frame.iloc[origin].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, unsealed)


def test_a_study_without_places_counts_its_own_rows(folder):
    """A study begun before places were kept, or a damaged file, gives the unsealed positions."""
    _, _, unsealed, _ = _sealed(_table(300), folder)
    path = folder / "data" / "rows.npy"
    for content in (b"torn", None):
        path.write_bytes(content) if content else path.unlink()
        assert work_origin(folder, len(unsealed)).tolist() == list(range(len(unsealed)))


def test_files_and_records(folder):
    """Both files hold the rows as read, the sealed one is read-only, and the records count them."""
    frame = _table(300, day=pd.date_range("2024-01-01", periods=300), hole=[1.5, None, 2] * 100)
    work, seal, unsealed, sealed = _sealed(frame, folder, objectives=["auc >= 0.9"])
    assert unsealed.dtypes.tolist() == sealed.dtypes.tolist() == frame.dtypes.tolist()
    both = pd.concat([unsealed, sealed]).sort_values("x").reset_index(drop=True)
    pd.testing.assert_frame_equal(both, frame.sort_values("x").reset_index(drop=True))
    assert stat.S_IMODE((folder / "data" / "sealed.arrow").stat().st_mode) == 0o400
    assert seal.digest == file_digest(folder / seal.path)
    assert (work.rows, seal.rows) == (len(unsealed), len(sealed))
    assert work.class_counts == tuple(unsealed["y"].value_counts().sort_index())
    assert seal.class_counts == tuple(sealed["y"].value_counts().sort_index())
    assert (
        next(c for c in work.columns if c.name == "hole").missing == unsealed["hole"].isna().sum()
    )
    assert work.fingerprint != describe(frame, target="y").fingerprint
    assert seal.objectives == ("auc >= 0.9",)
    assert "path" not in sealed_summary(seal)
    assert sealed_summary(seal)["rows"] == seal.rows


def test_seal_is_repeated_exactly_and_follows_its_seed(folder):
    """The same rows and seed give the same files, also over older ones; another seed does not."""
    frame = _table(400)
    first = _sealed(frame, folder)[1]
    assert _sealed(frame, folder)[1] == first
    assert _sealed(frame, folder, seed=1)[1].fingerprint != first.fingerprint


def test_order_of_rows_does_not_matter(folder):
    """Shuffling the file seals the same rows."""
    frame = _table(400)
    shuffled = frame.sample(frac=1, random_state=2).reset_index(drop=True)
    assert _sealed(frame, folder)[1].fingerprint == _sealed(shuffled, folder)[1].fingerprint


names = st.text(min_size=1, max_size=12).filter(lambda s: s.strip() and s != "y")


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 200),
    st.integers(2, 5),
    st.floats(0.05, 0.6),
    st.integers(0, 2**31),
    names,
    st.lists(st.text(max_size=4), min_size=2, max_size=5, unique=True),
)
def test_split_is_disjoint_complete_and_keeps_copies_together(n, classes, test, seed, name, words):
    """For any size, share, seed and names: each row is on one side, copies on the same side."""
    rng = np.random.default_rng(seed)
    frame = load_frame(
        {
            name: rng.normal(size=n),
            f"{name}2": pd.Series([words[i % len(words)] for i in range(n)], dtype="str"),
            "y": [f"k{i % classes}" for i in range(n)],
        }
    )
    frame = pd.concat([frame, frame.sample(frac=0.3, random_state=1)], ignore_index=True)
    with tempfile.TemporaryDirectory() as place:
        _, seal, unsealed, sealed = _sealed(frame, Path(place), test=test, seed=seed)
        Path(place, seal.path).chmod(0o600)
    assert seal.overlap == 0
    assert not set(unsealed[name]) & set(sealed[name])
    assert Counter(unsealed[name]) + Counter(sealed[name]) == Counter(frame[name])
    for side in (unsealed, sealed):
        assert set(side["y"]) == set(frame["y"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5), st.floats(0.05, 0.6), st.integers(0, 99)
)
def test_every_class_keeps_its_share(counts, test, seed):
    """Each class of two rows or more is on both sides, within a tenth of its share (or one row)."""
    strata = np.repeat(np.arange(len(counts)), counts)
    units = np.random.default_rng(seed).integers(0, 2**63, len(strata)).astype("uint64")
    if len(units) < 2:
        return
    chosen = by_hash(units, strata, test, seed)
    for stratum, count in enumerate(counts):
        sealed = int(chosen[strata == stratum].sum())
        if count >= 2:
            assert 1 <= sealed < count
            assert abs(sealed - test * count) <= max(1.0, 0.1 * test * count)
        elif len(counts) > 1 and max(counts) > 1:
            assert sealed == 0


def test_added_rows_do_not_move_old_ones(folder):
    """Sealing the file again with more rows leaves every old row where it was."""
    frame = _table(8_000, classes=2)
    old = set(_sealed(frame, folder)[3]["x"])
    more = pd.concat([frame, _table(4_000, classes=2, seed=9)], ignore_index=True)
    new = set(_sealed(more, folder)[3]["x"])
    assert new & set(frame["x"]) == old


def test_few_added_rows_move_few_old_ones(folder):
    """In a small file the share is kept by moving rows next to the threshold only."""
    frame = _table(200, classes=2)
    old = set(_sealed(frame, folder)[3]["x"])
    more = pd.concat([frame, _table(20, classes=2, seed=9)], ignore_index=True)
    new = set(_sealed(more, folder)[3]["x"]) & set(frame["x"])
    assert len(old ^ new) <= 4


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 40), st.integers(1, 8), st.integers(0, 999), st.booleans())
def test_groups_are_never_divided(groups, most, seed, by_time):
    """Whole groups are sealed, with or without a time column, and both sides have some."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rng.integers(1, most + 1, groups) + 3)
    n = len(group)
    frame = load_frame(
        {
            "g": [f"g{i}" for i in group],
            "t": rng.permutation(n),
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
        }
    )
    roles = {"groups": "g", "time": "t" if by_time else None}
    with tempfile.TemporaryDirectory() as place:
        _, seal, unsealed, sealed = _sealed(frame, Path(place), describing=roles)
    assert not set(unsealed["g"]) & set(sealed["g"])
    assert len(unsealed) + len(sealed) == n
    assert seal.groups == sealed["g"].nunique() >= 1
    if by_time:
        began = frame.groupby("g")["t"].min()
        assert began[list(set(unsealed["g"]))].max() < began[list(set(sealed["g"]))].min()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=80).filter(lambda t: len(set(t)) > 1),
    st.floats(0.05, 0.8),
)
def test_time_cuts_between_moments(times, test):
    """The sealed rows are later than all others, at the cut nearest to the share."""
    time = np.array(times)
    chosen = latest(time, test)
    assert chosen.any()
    assert time[~chosen].max() < time[chosen].min()
    cuts = [(time > moment).sum() for moment in np.unique(time)[:-1]]
    assert (
        abs(chosen.sum() - test * len(time)) <= min(abs(c - test * len(time)) for c in cuts) + 1e-9
    )


def test_time_split_of_dates(folder):
    """Dates as text order the rows; all of the last days are sealed."""
    days = [f"{1 + i // 10:02d}.01.2024" for i in range(280)]
    frame = load_frame(
        {"d": days, "x": np.arange(280.0)[::-1], "y": np.random.default_rng(0).normal(size=280)}
    )
    _, seal, unsealed, sealed = _sealed(frame, folder, describing={"time": "d"})
    assert seal.rows == 60 or seal.rows == 50
    assert unsealed["d"].max() < sealed["d"].min()
    assert "latest rows by d" in seal.rule


def test_rows_that_are_equal_by_chance_are_drawn_one_by_one(folder):
    """With fewer combinations than rows, equal rows are no copies and may lie on both sides."""
    rng = np.random.default_rng(0)
    frame = load_frame(
        {
            "a": rng.integers(0, 2, 500),
            "b": rng.choice(["u", "v"], 500),
            "y": rng.choice(["k", "l"], 500),
        }
    )
    _, seal, _, _ = _sealed(frame, folder)
    assert 85 <= seal.rows <= 115
    assert seal.overlap == seal.rows
    assert "equal by chance" in seal.rule


def test_oversampled_rows_stay_together(folder):
    """A file that holds each row ten times is still split between different rows."""
    frame = pd.concat([_table(60)] * 10, ignore_index=True)
    _, seal, unsealed, sealed = _sealed(frame, folder)
    assert seal.overlap == 0
    assert not set(unsealed["x"]) & set(sealed["x"])


def test_identifiers_do_not_hide_copies(folder):
    """Rows that differ in an ignored counter only are copies and stay together."""
    frame = pd.concat([_table(50)] * 2, ignore_index=True)
    frame.insert(0, "id", np.arange(1, 101))
    assert _sealed(frame, folder)[1].overlap == 0


def test_rows_without_target_are_in_neither_file(folder):
    """They can neither train nor test; the dataset still counts them."""
    frame = _table(100)
    frame.loc[:9, "y"] = None
    work, seal, unsealed, sealed = _sealed(frame, folder)
    assert work.rows + seal.rows == 90
    assert unsealed["y"].notna().all()
    assert sealed["y"].notna().all()
    assert next(c for c in work.columns if c.name == "y").missing == 10


def test_own_test_rows_are_sealed_whole(folder):
    """The user's test rows are sealed as they are, and copies of training rows are counted."""
    frame, test = _table(200), _table(50, seed=7)
    test = pd.concat([test, frame.head(5)], ignore_index=True)
    work, seal, _, sealed = _sealed(frame, folder, test_frame=test)
    assert (work.rows, seal.rows, seal.overlap) == (200, 55, 5)
    assert sealed["x"].tolist() == test["x"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="x"), "column 'x'"),
        (lambda f: f.drop(columns="y"), "column 'y'"),
        (lambda f: f.assign(y="new"), "every class must be known.*'new'"),
        (lambda f: f.assign(y=None), "test rows need a target"),
        (lambda f: f.assign(x="wide"), "column 'x': cells must be numbers"),
    ],
)
def test_own_test_rows_must_fit(change, message, folder):
    """Test rows with other columns or classes are refused before anything is written."""
    with pytest.raises(DataError, match=message):
        _sealed(_table(60), folder, test_frame=change(_table(20, seed=1)))
    assert not (folder / "data").exists()


def test_own_test_rows_of_known_groups_are_reported(folder):
    """The rule says when test rows share groups with training rows."""
    frame = _table(60, g=[f"g{i % 6}" for i in range(60)])
    _, seal, _, _ = _sealed(frame, folder, describing={"groups": "g"}, test_frame=frame.head(12))
    assert "6 of their groups are also among the other rows" in seal.rule


@pytest.mark.parametrize("share", [0.0, 1.0, -1, float("nan")])
def test_impossible_shares(share, folder):
    """A share outside the range is refused."""
    with pytest.raises(SpecError, match="share of test rows must be from"):
        _sealed(_table(50), folder, test=share)


@pytest.mark.parametrize(
    ("frame", "roles", "message"),
    [
        (_table(9), {}, "at least 10 rows with a target"),
        (_table(30, g=["a"] * 30), {"groups": "g"}, "one group or one distinct row"),
        (_table(30, t=[1] * 30), {"time": "t"}, "rows must differ in time"),
    ],
)
def test_rows_that_cannot_be_split(frame, roles, message, folder):
    """Too few rows, groups or moments are refused."""
    with pytest.raises(DataError, match=message):
        _sealed(frame, folder, describing=roles)


def test_damaged_or_missing_work_file(folder):
    """Unreadable unsealed rows say which file and what to do."""
    with pytest.raises(ArtifactError, match=r"work\.arrow: the study's rows cannot be read"):
        load_work(folder)
    (folder / "data").mkdir()
    (folder / "data" / "work.arrow").write_bytes(b"ARROW1 nonsense")
    with pytest.raises(ArtifactError, match="start the study anew"):
        load_work(folder)


def test_summary_tells_counts_only():
    """What an audit sees of the sealed rows holds no row and no address."""
    seal = Seal("p", "d", "f", "by hash", 0, 5, (2, 3), 0, (), 1)
    assert dict(sealed_summary(seal)) == {
        "rows": 5,
        "overlap": 1,
        "near_overlap": 0,
        "near_compared": 0,
        "drift": 0.0,
        "class_counts": (2, 3),
        "groups": 0,
        "rule": "by hash",
    }


def test_equal_texts_are_copies_and_stay_together(tmp_path):
    """Texts have no few combinations: a text that occurs twice is sealed twice or not at all."""
    rng = np.random.default_rng(0)
    words = ["the", "card", "did", "not", "work", "when", "paid", "at", "shop", "money", "gone"]
    texts = [" ".join(rng.choice(words, 8)) for _ in range(400)]
    frame = pd.DataFrame({"text": texts + texts[:100], "y": ["a", "b"] * 250})
    described = describe(load_frame(frame), target="y")
    _, seal = make_seal(load_frame(frame), described, tmp_path)
    assert "equal rows together" in seal.rule
    assert seal.overlap == 0

"""Two trials compared: what differs, whether it matters, and which rows flip."""

import numpy as np
import pandas as pd
import pytest

from attain.core.codec import encode
from attain.core.errors import ArtifactError, InputError
from attain.core.types import Direction, Objective, Outcome, Record, Split, SplitKind, Status, Trial
from attain.data.infer import describe
from attain.data.seal import make_seal
from attain.data.table import to_rows
from attain.validate.compare import compare as paired
from attain.validate.resample import folds
from attain.web import pair

AUC = Objective("roc_auc", Direction.MAXIMIZE, 0.9, low=0.0, high=1.0)
FAST = Objective("latency_p50_ms", Direction.MINIMIZE, 5.0, unit="ms")
RMSE = Objective("rmse", Direction.MINIMIZE, 0.5)
HOSTILE = "</script><img src=x onerror=alert(1)>"


class World:
    """Unsealed rows in a study folder, and trials whose predictions we choose."""

    def __init__(self, folder, task):
        rng = np.random.default_rng(3)
        x = rng.normal(size=(500, 2))
        z = x[:, 0] + 0.5 * x[:, 1] + rng.logistic(size=500) * 0.3
        label = np.where(z > 0, f"yes{HOSTILE}", "no") if task == "binary" else z
        if task == "multilabel":
            label = [["high"] * (v > 0) + [f"odd{HOSTILE}"] * (v > 1) for v in z.tolist()]
        frame = pd.DataFrame({f"a{HOSTILE}": x[:, 0], "b": x[:, 1], "y": label})
        whole = describe(frame, target="y", task=task)
        self.folder, self.task = folder, task
        self.dataset, _ = make_seal(frame, whole, folder, test=0.2)
        from attain.data.seal import load_work

        self.rows = to_rows(load_work(folder), self.dataset)
        kind = SplitKind.KFOLD if task == "regression" else SplitKind.STRATIFIED
        self.split = Split(kind, 5, 1, 0, "for the test")
        self.folds = folds(self.split, self.rows)

    def predictions(self, noise, seed):
        rng = np.random.default_rng(seed)
        truth = np.asarray(self.rows.y, float)
        score = truth + rng.normal(scale=noise, size=truth.shape)
        if self.task == "regression":
            return score
        p = 1 / (1 + np.exp(-4 * (score - 0.5)))
        if self.task == "multilabel":
            return p
        return np.stack([1 - p, p], axis=1)

    def records(self, name, noise, seed, *, missing=(), path="trials/{name}-f{fold}.npz", **config):
        """The records of a scored trial."""
        trial = Trial(name, "fake", {"depth": 3, **config}, {}, 0, self.split, "for the test")
        made = [Record(1, "strategy", "trial", {"trial": encode(trial)}, (), 0.0)]
        prediction = self.predictions(noise, seed)
        (self.folder / "trials").mkdir(exist_ok=True)
        for fold, part in enumerate(self.folds):
            if fold in missing:
                continue
            file = path.format(name=name, fold=fold)
            np.savez(self.folder / f"trials/{name}-f{fold}.npz", valid=prediction[part.valid])
            outcome = Outcome(name, fold, Status.DONE, predictions=file)
            made.append(Record(2 + fold, "train", "outcome", {"outcome": encode(outcome)}, (), 0.0))
        made.append(Record(9, "validate", "scored", {"trial": name}, (1,), 0.0))
        return made

    def compare(self, a, b, *objectives):
        sides = [pair.read_side(records) for records in (a, b)]
        return pair.compare(self.folder, self.dataset, objectives, *sides)


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return World(tmp_path_factory.mktemp("binary"), "binary")


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return World(tmp_path_factory.mktemp("regression"), "regression")


def test_the_test_is_that_of_the_validation(binary):
    """The difference and its interval are those of validate.compare on the same predictions."""
    a, b = binary.records("t1", 0.3, 1), binary.records("t2", 0.9, 2)
    found = binary.compare(a, b, AUC)["tests"][0]
    order = np.concatenate([f.valid for f in binary.folds])
    parts, at = [], 0
    for fold in binary.folds:
        parts.append(np.arange(at, at + len(fold.valid)))
        at += len(fold.valid)
    expected = paired(
        "roc_auc",
        binary.rows.y[order],
        binary.predictions(0.3, 1)[order],
        binary.predictions(0.9, 2)[order],
        folds=parts,
        direction=Direction.MAXIMIZE,
    )
    assert found["ends"] == pytest.approx([expected.difference, expected.low, expected.high])
    assert (found["winner"], found["answer"]) == ("a", "t1 is better")
    assert "corrected resampled t" in found["method"]


def test_equal_trials_are_a_tie(binary):
    """The same predictions differ by nothing, on no row."""
    a, b = binary.records("t1", 0.5, 1), binary.records("t2", 0.5, 1)
    found = binary.compare(a, b, AUC)
    assert found["tests"][0]["answer"] == "no difference can be told"
    assert [flip["count"] for flip in found["flips"]] == [0, 0]
    assert found["rows"] == binary.dataset.rows


def test_settings_that_differ_come_first(binary):
    """A parameter that one trial lacks differs, too."""
    a = binary.records("t1", 0.5, 1, rate=0.1, same="x")
    b = binary.records("t2", 0.5, 1, rate=0.2, same="x", extra=True)
    found = binary.compare(a, b)["settings"]
    assert [(e["name"], e["differs"]) for e in found] == [
        ("rate", True), ("extra", True), ("learner", False), ("depth", False), ("same", False),
    ]  # fmt: skip
    assert (found[1]["a"], found[1]["b"]) == ("", "yes")


def test_flipped_rows_are_right_for_one_and_wrong_for_the_other(binary):
    """Counts and examples are those of the predictions; each row is told once, with its cells."""
    a, b = binary.records("t1", 0.3, 1), binary.records("t2", 0.9, 2)
    from attain.data.seal import work_origin

    found = binary.compare(a, b, AUC)["flips"]
    y = binary.rows.y
    right = [binary.predictions(n, s).argmax(axis=1) == y for n, s in ((0.3, 1), (0.9, 2))]
    masks = [right[0] & ~right[1], right[1] & ~right[0]]
    assert [flip["count"] for flip in found] == [int(m.sum()) for m in masks]
    place = {row: i for i, row in enumerate(work_origin(binary.folder, len(y)).tolist())}
    assert any(row != i for row, i in place.items())  # rows are told as the user's data have them
    for flip, mask in zip(found, masks, strict=True):
        rows = [e["row"] for e in flip["examples"]]
        assert len(rows) == len(set(rows)) == min(12, int(mask.sum()))
        assert all(mask[place[row]] for row in rows)
        assert [name for name, _ in flip["examples"][0]["cells"]] == [f"a{HOSTILE}", "b"]


def test_rows_with_labels_are_right_when_all_of_them_are(tmp_path):
    """A row flips by its whole set of labels, which is told by name."""
    world = World(tmp_path, "multilabel")
    a, b = world.records("t1", 0.2, 1), world.records("t2", 0.9, 2)
    goal = Objective("f1_micro", Direction.MAXIMIZE, 0.9, low=0.0, high=1.0)
    found = world.compare(a, b, goal)
    assert found["tests"][0]["winner"] == "a"
    right = [((world.predictions(n, s) >= 0.5) == world.rows.y).all(axis=1)
             for n, s in ((0.2, 1), (0.9, 2))]  # fmt: skip
    counts = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert [flip["count"] for flip in found["flips"]] == counts
    told = {e[side] for flip in found["flips"] for e in flip["examples"] for side in "ab"}
    assert told <= {"high", "no label", f"high, odd{HOSTILE}", f"odd{HOSTILE}"}
    assert len(told) > 1


def test_values_are_compared_by_their_errors(regression):
    """In regression a row flips to whoever is nearer; the sign follows the metric's direction."""
    a, b = regression.records("t1", 0.2, 1), regression.records("t2", 0.8, 2)
    found = regression.compare(a, b, RMSE)
    assert found["tests"][0]["winner"] == "a"
    assert found["flips"][0]["title"] == "t1 is nearer than t2"
    assert sum(flip["count"] for flip in found["flips"]) == regression.dataset.rows


def test_measured_objectives_have_no_paired_test(binary):
    """A latency is not computed from predictions, so it is left out rather than made up."""
    a, b = binary.records("t1", 0.3, 1), binary.records("t2", 0.9, 2)
    assert [t["metric"] for t in binary.compare(a, b, FAST, AUC)["tests"]] == ["ROC AUC"]


def test_only_fits_that_both_have_are_compared(binary):
    """A trial that was ended early is compared on its folds, and the page says so."""
    a, b = binary.records("t1", 0.3, 1, missing=(3, 4)), binary.records("t2", 0.9, 2)
    found = binary.compare(a, b, AUC)
    assert "3 of 5 fits" in found["note"]
    assert found["rows"] == sum(len(f.valid) for f in binary.folds[:3])


def test_nothing_in_common_is_told(binary):
    """Without a common fit or with other splits there is a reason instead of a test."""
    a = binary.records("t1", 0.3, 1, missing=(0, 1))
    b = binary.records("t2", 0.3, 1, missing=(2, 3, 4))
    assert "no finished fit in common" in binary.compare(a, b, AUC)["note"]
    side = pair.read_side(binary.records("t3", 0.3, 1))
    from dataclasses import replace

    other = replace(side, trial=replace(side.trial, split=Split(SplitKind.HOLDOUT, 1, 1, 0, "x")))
    found = pair.compare(binary.folder, binary.dataset, (AUC,), side, other)
    assert "different rows" in found["note"]


def test_a_trial_under_way_cannot_be_compared(binary):
    """There is a sentence for it."""
    with pytest.raises(InputError, match="have been scored"):
        pair.read_side(binary.records("t1", 0.3, 1)[:-1])


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "trials/../../x.npz"])
def test_a_ledger_cannot_name_files_elsewhere(binary, path):
    """A path of an altered ledger that leads out of the study folder is refused unread."""
    a, b = binary.records("t1", 0.3, 1, path=path), binary.records("t2", 0.9, 2)
    with pytest.raises(ArtifactError, match="leads outside"):
        binary.compare(a, b, AUC)


def test_predictions_that_do_not_fit_are_told(binary):
    """Predictions of another length are not compared with rows they do not belong to."""
    a, b = binary.records("t1", 0.3, 1), binary.records("t2", 0.9, 2)
    np.savez(binary.folder / "trials/t1-f0.npz", valid=np.zeros((3, 2)))
    with pytest.raises(InputError, match="do not fit the rows"):
        binary.compare(a, b, AUC)

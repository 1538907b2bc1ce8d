"""Diagnoses: when each appears, when it must not, and that the guide knows it."""

import re
from pathlib import Path

import numpy as np
import pytest

from attain.core.types import Direction, Objective, Role, Score
from attain.validate.diagnose import CODES, diagnose_fit, fold_spread

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE
AUC = Objective("roc_auc", UP, low=0, high=1)
RMSE = Objective("rmse", DOWN, low=0)


def scored(metric, estimate, half=0.02, train=None, per_fold=()):
    """A score with a symmetric interval."""
    return Score(
        "t1", metric, estimate, estimate - half, estimate + half, 500, train=train,
        per_fold=tuple(per_fold),
    )  # fmt: skip


def codes(objective, own, base=None):
    """The codes found for one objective."""
    baseline = [] if base is None else [scored(objective.metric, base)]
    return [d.code for d in diagnose_fit([objective], [own], baseline)]


def test_nothing_is_wrong_with_a_good_model():
    """Well above the baseline, a small gap, even folds."""
    own = scored("roc_auc", 0.9, train=0.92, per_fold=[0.9, 0.91, 0.89, 0.9, 0.9])
    assert codes(AUC, own, 0.5) == []


@pytest.mark.parametrize(
    ("objective", "estimate", "train", "base"),
    [(AUC, 0.70, 0.99, 0.5), (RMSE, 0.8, 0.2, 1.0)],
)
def test_overfitting(objective, estimate, train, base):
    """Much better in training than on new rows, in either direction."""
    own = scored(objective.metric, estimate, train=train)
    (found,) = diagnose_fit([objective], [own], [scored(objective.metric, base)])
    assert found.code == "overfit"
    assert f"{train:.4g} on training rows" in found.explanation
    assert "does not carry over" in found.explanation
    assert found.evidence["gap"] == pytest.approx(abs(train - estimate))


def test_a_gap_within_the_uncertainty_is_no_overfitting():
    """With wide intervals the same gap says nothing."""
    assert codes(AUC, scored("roc_auc", 0.70, half=0.35, train=0.99), 0.5) == []


def test_memorising_harmlessly_is_no_overfitting():
    """A forest is perfect in training and still carries most of its gain over."""
    assert codes(AUC, scored("roc_auc", 0.93, train=1.0), 0.5) == []


def test_overfitting_without_a_baseline():
    """The gap alone decides when there is nothing to compare the gain with."""
    assert codes(AUC, scored("roc_auc", 0.8, train=0.95)) == ["overfit"]


def test_underfitting_a_target():
    """Short of the target even on training rows; not when training reaches it."""
    objective = Objective("roc_auc", UP, target=0.9, low=0, high=1)
    assert codes(objective, scored("roc_auc", 0.74, train=0.75), 0.5) == ["underfit"]
    assert codes(objective, scored("roc_auc", 0.87, train=0.91), 0.5) == []
    assert codes(objective, scored("roc_auc", 0.87, train=0.89), 0.5) == []


def test_underfitting_without_a_target():
    """Hardly better than the baseline even in training, where perfection is known."""
    assert codes(AUC, scored("roc_auc", 0.52, train=0.54), 0.5) == ["underfit"]
    assert codes(AUC, scored("roc_auc", 0.62, train=0.64), 0.5) == []
    unbounded = Objective("r2", UP, low=float("-inf"))
    assert codes(unbounded, scored("r2", 0.02, train=0.03), 0.0) == []


def test_worse_than_the_baseline():
    """No gain at all; the words tell a tie from a loss."""
    for estimate, words in ((0.45, "is worse than"), (0.49, "is no better than")):
        own = scored("roc_auc", estimate)
        (found,) = diagnose_fit([AUC], [own], [scored("roc_auc", 0.5)])
        assert found.code == "worse_than_baseline"
        assert words in found.explanation
    assert "worse_than_baseline" in codes(RMSE, scored("rmse", 1.1), 1.0)


def test_unstable_folds():
    """Folds that differ far more than the interval implies, and matter against the gain."""
    wild = [0.95, 0.70, 0.93, 0.72, 0.90]
    assert codes(AUC, scored("roc_auc", 0.84, per_fold=wild), 0.5) == ["unstable"]
    assert codes(RMSE, scored("rmse", 0.84, per_fold=wild), 50.0) == []
    assert codes(AUC, scored("roc_auc", 0.84, half=0.2, per_fold=wild), 0.5) == []


def test_fold_spread_is_a_probability():
    """Folds of like rows give an even distribution of chances; too few folds or no limit none."""
    rng = np.random.default_rng(0)
    chances = [
        fold_spread(scored("rmse", 1.0, half=1.96 / 100, per_fold=rng.normal(1, 5**0.5 / 100, 5)))
        for _ in range(2000)
    ]
    assert np.mean(np.array(chances) < 0.1) == pytest.approx(0.1, abs=0.02)
    assert fold_spread(scored("rmse", 1.0, per_fold=[1, 2])) is None
    assert fold_spread(scored("rmse", 1.0, half=float("inf"), per_fold=[1, 2, 3])) is None
    assert fold_spread(scored("rmse", 1.0, per_fold=[1.0, float("nan"), 1.1, 1.2])) is not None


def test_constraints_are_not_diagnosed():
    """A model is slower than a constant, which is no fault."""
    limit = Objective("training_seconds", DOWN, target=60, role=Role.CONSTRAINT)
    assert codes(limit, scored("training_seconds", 9.0), 0.1) == []


def test_mappings_and_sequences_are_read_alike():
    """Scores by metric, as the pipeline keeps them, give the same diagnoses."""
    own, base = scored("roc_auc", 0.70, train=0.99), scored("roc_auc", 0.5)
    listed = diagnose_fit([AUC, RMSE], [own], [base])
    assert diagnose_fit([AUC, RMSE], {"roc_auc": own}, {"roc_auc": base}) == listed
    assert diagnose_fit([AUC], [own], None)[0].code == "overfit"


def test_each_code_once_in_order():
    """Two objectives with the same fault give one diagnosis, of the first."""
    own = [scored("roc_auc", 0.4, train=0.99), scored("rmse", 2.0, train=0.1)]
    base = [scored("roc_auc", 0.5), scored("rmse", 1.0)]
    found = diagnose_fit([AUC, RMSE], own, base)
    assert [d.code for d in found] == ["worse_than_baseline", "overfit"]
    assert [d.evidence["metric"] for d in found] == ["roc_auc", "roc_auc"]


RECALL = Objective("recall", UP, low=0, high=1)


def rare(recall, auc=0.88, share=0.94):
    """Scores of a model for a rare class, and those of a constant guess."""
    own = [scored("recall", recall), scored("roc_auc", auc), scored("accuracy", share)]
    base = [scored("recall", 0.0), scored("roc_auc", 0.5), scored("accuracy", share)]
    return own, base


def test_a_rare_class_that_is_ranked_well_but_not_predicted_is_imbalance():
    """Low recall with a good AUC and a class of 94 % calls for another threshold."""
    found = diagnose_fit([RECALL], *rare(0.2))
    assert [d.code for d in found] == ["imbalance"]
    assert "94% of the rows are of one class" in found[0].explanation
    assert found[0].evidence["roc_auc"] == 0.88


@pytest.mark.parametrize(
    ("recall", "options"), [(0.8, {}), (0.2, {"auc": 0.6}), (0.2, {"share": 0.6})]
)
def test_imbalance_needs_a_rare_class_good_ranks_and_a_poor_metric(recall, options):
    """High recall, poor ranking, or balanced classes: something else is the matter, or nothing."""
    found = diagnose_fit([RECALL], *rare(recall, **options))
    assert "imbalance" not in [d.code for d in found]


def test_the_guide_explains_every_code():
    """Each code that validation emits has a section with what helps."""
    guide = (Path(__file__).parents[2] / "docs" / "diagnoses.md").read_text()
    assert len(CODES) == 5
    for code in CODES:
        section = re.search(rf"### {code}\n(.+?)(?=\n##|\Z)", guide, re.S)
        assert section is not None
        assert "**What helps:**" in section.group(1)

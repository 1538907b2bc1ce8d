"""What sealed rows can show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attain.core.codec import decode, encode
from attain.core.types import Score
from attain.objectives.feasibility import Feasibility, decidable, spread_of
from attain.objectives.parse import parse


def ask(statement: str, n: int, **options) -> Feasibility:
    return decidable(parse(statement)[0], n, **options)


def test_the_sentence_names_rows_target_and_value():
    """The text shown to the user holds all three numbers."""
    found = ask("accuracy >= 0.9", 500)
    assert found.state == "decidable"
    assert found.text == (
        "500 sealed rows cannot certify accuracy >= 0.9 unless the model is really about 0.936"
    )


def test_groups_are_called_groups():
    """Rows that belong together count as one, and the sentence says of what it speaks."""
    found = decidable(parse(["accuracy >= 0.8"])[0], 1, unit="group")
    assert found.text.startswith("1 sealed group cannot certify accuracy >= 0.8")
    assert "sealed groups a model of" in found.text


@pytest.mark.parametrize(
    ("n", "needed"), [(200, 0.951), (500, 0.933), (2000, 0.917), (5000, 0.911)]
)
def test_needed_agrees_with_a_simulated_table(n: int, needed: float):
    """A one-sided 95 % bound (a two-sided 90 % interval) is near a table made with exact intervals,
    which ask for a little more."""
    found = ask("accuracy >= 0.9 with 90% confidence", n)
    assert found.needed == pytest.approx(needed, abs=0.006)


@pytest.mark.parametrize("n", [150, 600])
def test_a_model_at_the_needed_value_passes_four_times_in_five(n: int):
    """Simulated test sets at the needed accuracy clear the target in 80 %."""
    found = ask("accuracy >= 0.85", n)
    assert found.needed is not None
    right = np.random.default_rng(3).binomial(n, found.needed, 4000)
    lows = [stats.binomtest(int(k), n).proportion_ci(0.95, "wilson").low for k in np.unique(right)]
    passing = np.unique(right)[np.array(lows) >= 0.85].min()
    assert np.mean(right >= passing) == pytest.approx(0.8, abs=0.03)


def test_f1_variance_agrees_with_simulation():
    """At the needed F1, the distance to the target is (1.96 + 0.84) simulated standard errors."""
    n, positives = 2000, 400
    needed = ask("f1 >= 0.8", n, positives=positives).needed
    assert needed is not None
    # precision = recall = F: as many false alarms as misses
    share = positives / n
    cells = [share * needed, share * (1 - needed), share * (1 - needed)]
    counts = np.random.default_rng(0).multinomial(n, [*cells, 1 - sum(cells)], 20_000)
    f1 = 2 * counts[:, 0] / (2 * counts[:, 0] + counts[:, 1] + counts[:, 2])
    assert (needed - 0.8) / f1.std() == pytest.approx(1.96 + 0.8416, rel=0.03)


def test_balanced_accuracy_variance_agrees_with_simulation():
    """The same for the mean of two recalls."""
    n, positives = 2000, 300
    needed = ask("balanced_accuracy >= 0.8", n, positives=positives).needed
    assert needed is not None
    rng = np.random.default_rng(0)
    recall = rng.binomial(positives, needed, 20_000) / positives
    other = rng.binomial(n - positives, needed, 20_000) / (n - positives)
    spread = ((recall + other) / 2).std()
    assert (needed - 0.8) / spread == pytest.approx(1.96 + 0.8416, rel=0.03)


@pytest.mark.parametrize(
    ("statement", "n", "options", "state"),
    [
        ("accuracy >= 0.999", 500, {}, "undecidable"),
        ("accuracy >= 1", 500, {}, "undecidable"),
        ("recall >= 0.9", 500, {"positives": 10}, "undecidable"),
        ("recall >= 0.9", 500, {}, "unknown"),
        ("roc_auc >= 0.93", 500, {}, "unknown"),
        ("roc_auc >= 0.93", 500, {"positives": 0}, "undecidable"),
        ("roc_auc >= 0.8", 500, {"positives": 200}, "decidable"),
        ("rmse <= 3", 500, {}, "unknown"),
        ("rmse <= 3", 500, {"spread": 4.0}, "decidable"),
        ("rmse <= 3", 5, {"spread": 4.0}, "undecidable"),
        ("r2 >= 0.95", 100, {"spread": 0.5}, "undecidable"),
        ("throughput >= 5, auc", 0, {}, "measured"),
        ("latency_p95_ms <= 5, auc", 0, {}, "measured"),
        ("roc_auc", 20, {}, "no target"),
    ],
)
def test_states(statement: str, n: int, options: dict, state: str):
    """Each state is reached, and only a decidable objective names a value."""
    found = ask(statement, n, **options)
    assert found.state == state
    assert (found.needed is not None) == (state == "decidable")


def test_recall_rests_on_positive_rows_and_specificity_on_the_others():
    """The number of rows that count is that of the class concerned, and the text says so."""
    assert ask("recall >= 0.8", 500, positives=100).n == 100
    found = ask("specificity >= 0.8", 500, positives=100)
    assert found.n == 400
    assert "400 negative sealed rows" in found.text
    assert found.needed == ask("accuracy >= 0.8", 400).needed


def test_undecidable_says_how_many_rows_would_do():
    """With the rows it names, the objective becomes decidable at the value it names."""
    found = ask("accuracy >= 0.99", 200)
    assert found.state == "undecidable"
    rows = int(found.text.split("with ")[1].split(" sealed")[0].replace(",", ""))
    value = float(found.text.split("a model of ")[1].split(" would")[0])
    again = ask("accuracy >= 0.99", rows)
    assert again.needed == pytest.approx(value, abs=5e-4)
    assert "no number of rows" in ask("accuracy >= 1", 500).text


def test_the_spread_of_a_loss_shrinks_with_its_size():
    """A baseline with twice the target's error gives half its spread; a proportion keeps it."""
    rmse, r2 = parse("rmse <= 3")[0], parse("r2 >= 0.5")[0]
    score = Score("b", "rmse", 6.0, 6 - 1.96, 6 + 1.96, 400)
    assert spread_of(rmse, score) == pytest.approx(1.0 * 20 / 2, rel=1e-4)
    score = Score("b", "r2", 0.25, 0.25 - 0.196, 0.25 + 0.196, 400)
    assert spread_of(r2, score) == pytest.approx(0.1 * 20, rel=1e-4)


@given(
    st.sampled_from(["accuracy >= 0.9", "f1 >= 0.7", "balanced_accuracy >= 0.7", "roc_auc >= 0.8"]),
    st.integers(20, 3000),
    st.floats(0.1, 0.9),
)
def test_more_rows_never_need_a_better_model(statement: str, n: int, share: float):
    """Four times the rows need a value at least as near to the target, always beyond it."""
    few = ask(statement, n, positives=max(1, round(n * share)))
    many = ask(statement, 4 * n, positives=4 * max(1, round(n * share)))
    target = few.objective.target
    assert target is not None
    if few.needed is not None:
        assert many.needed is not None
        assert target < many.needed <= few.needed + 0.002  # proportions move in whole rows
    assert math.isfinite(few.n)
    assert decode(Feasibility, encode(few)) == few

"""What answers are worth: by hand, and against formulas of others."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.language import COLUMNS, RATIOS, WRITTEN
from attain.learners._llm.answers import chrf, json_valid, judge, last_number, rouge_l

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat"]), max_size=12).map(
    " ".join
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("72 / 2 = 36, so #### 72", "72"),
        ("It costs $1,234.50.", "1234.50"),
        ("from 3 to -4", "-4"),
        ("no number", None),
        ("#### 5.", "5"),
    ],
)
def test_the_last_number_is_read_without_currency_and_thousands(text, number):
    """The final answer of GSM8K stands last; a full stop behind it is no part of it."""
    found = last_number(text)
    assert (None if found is None else str(found)) == number


def test_numbers_match_by_value():
    """72 and 72.0 are one number; without one in the reference nothing is counted."""
    assert judge("so 72.0", "#### 72")["number"] == 1.0
    assert judge("so 71", "#### 72")["number"] == 0.0
    assert judge("72", "none")["numbered"] == 0.0


def test_blanks_do_not_make_answers_differ():
    """Runs of blanks and line ends count as one blank."""
    assert judge(" a  b\n", "a b")["exact"] == 1.0
    assert judge("A b", "a b")["exact"] == 0.0


def test_contains_and_patterns():
    """The reference stands in the answer; as a pattern it is found in it, a plain word is none."""
    assert judge("well, yes.", "yes")["contains"] == 1.0
    found = judge("call +49 123", r"\+\d+ \d{3}")
    assert (found["patterns"], found["matches"]) == (1.0, 1.0)
    assert judge("yes", "yes")["patterns"] == 0.0
    assert judge("x", "(broken")["patterns"] == 0.0


def test_rouge_of_the_paper():
    """Lin 2004, section 3.1: police killed the gunman, and two candidates (beta 1)."""
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference) == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", reference) == pytest.approx(0.5)


def slow_lcs(a, b):
    if not a or not b:
        return 0
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if x == y else max(table[i - 1][j],
                                                                    table[i][j - 1])  # fmt: skip
    return table[-1][-1]


@given(WORDS, WORDS)
def test_rouge_equals_the_whole_table(a, b):
    """One row of the table gives what the textbook's whole table gives."""
    one, other = a.split(), b.split()
    common = slow_lcs(one, other)
    expected = 2 * common / (len(one) + len(other)) if common else 0.0
    assert rouge_l(a, b) == pytest.approx(expected)


@given(st.text(alphabet="abc ", min_size=1, max_size=20), st.text(alphabet="abc ", max_size=20))
def test_chrf_equals_its_definition(a, b):
    """Popovic 2015: mean precision and recall of runs of 1 to 6 characters, then F with beta 2."""
    one, other = a.replace(" ", ""), b.replace(" ", "")
    pairs = []
    for n in range(1, 7):
        x = Counter(one[i : i + n] for i in range(len(one) - n + 1))
        y = Counter(other[i : i + n] for i in range(len(other) - n + 1))
        if x and y:
            hits = sum(min(x[g], y[g]) for g in x)
            pairs.append((hits / sum(x.values()), hits / sum(y.values())))
    p = sum(x for x, _ in pairs) / len(pairs) if pairs else 0
    r = sum(y for _, y in pairs) / len(pairs) if pairs else 0
    expected = 5 * p * r / (4 * p + r) if p + r else 0.0
    assert chrf(a, b) == pytest.approx(expected)
    assert 0.0 <= chrf(a, b) <= 1.0


def test_json_of_the_reference_form():
    """Keys and types count, values do not; a fence is taken off; prose is no JSON."""
    wanted = '{"name": "x", "ages": [1]}'
    assert json_valid('```json\n{"name": "y", "ages": [2]}\n```', wanted)
    assert not json_valid('{"name": 3, "ages": [2]}', wanted)
    assert not json_valid('{"name": "y"}', wanted)
    assert not json_valid("name: y", wanted)
    assert json_valid("[true]", "prose")
    assert not json_valid("[" * 100_000, "prose")


def test_every_judged_value_has_a_column_and_every_metric_its_columns():
    """Nothing that is counted is lost, and no metric reads what nobody counts."""
    assert set(judge("a", "b")) <= set(COLUMNS)
    assert {name for pair in RATIOS.values() for name in pair} <= set(COLUMNS)
    assert {
        "exact_match", "numeric_match", "contains", "regex_match", "rouge_l", "chrf",
        "json_valid", "schema_valid", "ends",
    } == WRITTEN  # fmt: skip

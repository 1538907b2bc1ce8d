"""Each check finds what was planted, passes what is sound, and says when it does not apply."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import test_data_audit_drift
import test_data_audit_labels
import test_data_audit_media
import test_data_audit_texts
import test_data_tags
from audit_tables import N, amounts, answers, clean, subject
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from attain.core import registry
from attain.core.codec import decode, encode
from attain.core.errors import NotApplicable, PluginError, SpecError
from attain.core.protocols import Check, Subject
from attain.core.types import Finding, FindingState, Severity
from attain.data.audit import CHECKS, audit, suspects
from attain.data.load import load_frame
from attain.data.sketch import auc, sketch, strength

RNG = np.random.default_rng(5)
GUIDE = Path(__file__).parents[2] / "docs" / "checks.md"
FOUND, PASSED, NOT = FindingState.FOUND, FindingState.PASSED, FindingState.NOT_APPLICABLE


def _holes(share, column=None):
    values = RNG.normal(size=N) if column is None else np.array(column, dtype=object)
    return np.where(np.arange(N) < share * N, None, values)


def _near_copy():
    table = amounts()
    table["a"] = table["y"] + np.random.default_rng(0).normal(size=N)
    return table


def _parts(n=N, sign=1, product=False):
    rng = np.random.default_rng(3)
    p, q = rng.integers(1, 90, n), rng.integers(1, 500, n)
    return amounts(n, p=p, q=q, y=(p * q) if product else q + sign * p)


def _conflicting():
    table = clean()
    copy = table.head(30).assign(y=lambda f: f["y"].map({"no": "yes", "yes": "no"}))
    return pd.concat([table, copy], ignore_index=True)


def _ordered():
    return clean(y=np.where(np.sin(np.arange(N) / 30) + 0.5 * RNG.normal(size=N) > 0, "yes", "no"))


def _with_sentinel():
    return np.where(np.arange(N) % 9, np.arange(N) % 50, -999)


def _is_yes():
    return clean()["y"] == "yes"


DAYS = pd.date_range("2024-01-01", periods=N)
TWO = {"class_counts": (40, 40), "rows": 80, "overlap": 0, "rule": "by a hash"}
BLOCKER, ISSUE, TIP = Severity.BLOCKER, Severity.ISSUE, Severity.TIP

# code, what is planted, severity, columns that must be named, a part of the explanation
PLANTED = [
    ("D001", lambda: clean(25), BLOCKER, (), "only 25 rows"),
    ("D001", lambda: clean(150), ISSUE, (), "an accuracy of 0.9 would be known to ± 0.05"),
    ("D001", lambda: amounts(150), ISSUE, (), "a mean loss would be known to ± 0.16"),
    ("D002", lambda: clean(y="only"), BLOCKER, ("y",), "1 different"),
    ("D003", lambda: clean(y=_holes(0.2, ["no", "yes"] * 200)), ISSUE, ("y",), "80 rows"),
    ("D003", lambda: clean(y=_holes(0.01, ["no", "yes"] * 200)), TIP, ("y",), "4 rows"),
    ("D004", lambda: clean(y=["p"] * 4 + ["q", "r"] * 198), ISSUE, (), "'p': 4"),
    ("D005", lambda: clean(y=["p"] * 12 + ["q"] * 388), ISSUE, ("y",), "class 'p' has 3.00%"),
    ("D006", lambda: amounts(y=np.minimum(amounts()["y"], 60)), TIP, ("y",), "rows at 60"),
    ("D007", lambda: clean(b=1)[["b", "y"]], BLOCKER, (), "no feature varies"),
    ("D008", lambda: clean(a=_holes(0.7)), ISSUE, ("a",), "'a' 70.0%"),
    ("D008", lambda: clean(a=_holes(0.2)), TIP, ("a",), "'a' 20.0%"),
    ("D009", lambda: clean(z="same"), TIP, ("z",), "'z'"),
    ("D010", lambda: clean(id=RNG.permutation(N) * 3), TIP, ("id",), "is left out"),
    ("D010", lambda: clean(place=RNG.permutation(N)), ISSUE, ("place",), "is used"),
    ("D011", lambda: clean(m=["12 kg", *map(str, range(N - 1))]), ISSUE, ("m",), "'m' (1 cells)"),
    ("D011", lambda: clean(m=["1", "2", "3", "x"] * 100), ISSUE, ("m",), "'m' (100 cells)"),
    ("D012", lambda: clean(c=["Red", "red ", "b"] * 133 + ["b"]), ISSUE, ("c",), "'Red' = 'red '"),
    ("D013", lambda: clean(c=["u", "unknown"] * 200), TIP, ("c",), "'unknown'"),
    ("D013", lambda: clean(b=_with_sentinel()), TIP, ("b",), "-999 in"),
    ("D014", lambda: clean(c=[f"t{i % 150}" for i in range(N)]), TIP, ("c",), "'c' 150"),
    ("D015", lambda: clean(c=["odd"] * 3 + ["u"] * 397), TIP, ("c",), "'odd'"),
    ("D016", lambda: clean(a=np.r_[1e9, RNG.normal(size=N - 1)]), TIP, ("a",), "1 far beyond"),
    ("D016", lambda: clean(a=np.r_[np.inf, RNG.normal(size=N - 1)]), ISSUE, ("a",), "1 infinite"),
    ("D017", lambda: clean(a2=clean()["a"]), TIP, ("a2",), "'a' = 'a2'"),
    ("D018", lambda: pd.concat([clean(), clean().head(40)]), ISSUE, (), "40 rows"),
    ("D019", _conflicting, ISSUE, (), "60 rows"),
    ("D021", lambda: clean(subject=np.arange(N) // 8), ISSUE, ("subject",), "50 values repeat"),
    ("D022", lambda: clean(day=DAYS), ISSUE, ("day",), "sorted by its dates"),
    ("D022", lambda: clean(day=DAYS[::-1]), TIP, ("day",), "dates are used"),
    ("D022", _ordered, TIP, (), "resembles that of the row before"),
    ("D023", lambda: clean(z=_is_yes().map({False: "N", True: "J"})), BLOCKER, ("z",), "itself"),
    ("D023", lambda: amounts(z=100 * amounts()["y"] - 7), BLOCKER, ("z",), "target itself"),
    ("D023", _near_copy, ISSUE, ("a",), "one column alone"),
    ("D023", lambda: clean(a=2.0 * _is_yes() + RNG.normal(size=N)), ISSUE, ("a",), "'a'"),
    ("D024", lambda: clean(a=np.where(_is_yes(), None, 1.5)), ISSUE, ("a",), "'a'"),
    ("D025", _parts, BLOCKER, ("p", "q"), "'q' + 'p'"),
    ("D025", lambda: _parts(sign=-1), BLOCKER, ("p", "q"), "'q' - 'p'"),
    ("D025", lambda: _parts(product=True), BLOCKER, ("p", "q"), " × "),
]  # fmt: skip


@pytest.mark.parametrize(("code", "plant", "severity", "columns", "words"), PLANTED)
def test_what_was_planted_is_found(code, plant, severity, columns, words):
    """The check finds it at the right severity, names the columns and rows, and says what to do."""
    finding = answers(plant().reset_index(drop=True))[code]
    assert (finding.state, finding.severity) == (FOUND, severity), finding
    assert set(columns) <= set(finding.columns)
    assert words in finding.explanation
    assert finding.remedy
    assert len(finding.rows) <= 20
    assert decode(Finding, encode(finding)).explanation == finding.explanation


@pytest.mark.parametrize("make", [clean, amounts])
def test_sound_rows_pass_every_check(make):
    """On sound rows nothing is found; each check has passed or does not apply, with its reason."""
    for finding in answers(make(), TWO).values():
        assert finding.state in (PASSED, NOT), finding
        assert finding.explanation


HOSTILE = {
    "huge numbers": {"a": [1e308, -1e308] * 200, "y": RNG.normal(size=N) * 1e300},
    "tiny numbers": {"a": [1e-308, -1e-308] * 200, "y": RNG.normal(size=N) * 1e-300},
    "all missing": {"a": [None] * N},
    "no features but one constant": {"a": 1, "b": 1, "c": "x"},
    "odd names": {"a b\n": RNG.normal(size=N), "<script>": RNG.normal(size=N), "'": 1.0, "": 2},
    "distant dates": {"a": ["9999-12-31", "0001-01-01"] * 200},
    "large integers": {"a": RNG.integers(2**60, 2**62, N)},
    "words that are numbers": {"c": ["1", "01"] * 200},
    "texts": {"c": [f"a text of words {i}" for i in range(N)]},
    "one class": {"y": "only"},
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("make", [clean, amounts])
def test_hostile_rows_are_answered(case, make):
    """Extreme numbers, names and columns give answers, never a warning or a foreign error."""
    found = answers(make(**HOSTILE[case]), TWO)
    assert len(found) == len(CHECKS)
    assert all(f.explanation for f in found.values())
    encode(list(found.values()))


@pytest.mark.parametrize(
    ("sealed", "state", "severity", "words"),
    [
        ({}, NOT, TIP, "no row was sealed"),
        ({"rows": 80, "overlap": 0}, PASSED, TIP, "none of 80"),
        ({"rows": 1000, "overlap": 3}, FOUND, TIP, "3 of 1,000"),
        ({"rows": 80, "overlap": 3}, FOUND, ISSUE, r"3.8%"),
        ({"rows": 80, "overlap": 0, "rule": "the user's own test rows; 2 groups too"},
         FOUND, ISSUE, "2 groups too"),
    ],
)  # fmt: skip
def test_overlap_reads_counts_of_the_seal(sealed, state, severity, words):
    """D020 knows of the sealed rows only what the sealing step counted."""
    finding = answers(clean(), sealed)["D020"]
    assert (finding.state, finding.severity) == (state, severity)
    assert words in finding.explanation


def test_few_declared_groups():
    """Declared groups silence the suggestion; too few of them are an issue."""
    many = answers(clean(subject=np.arange(N) // 8), groups="subject")["D021"]
    few = answers(clean(site=np.arange(N) % 3), groups="site")["D021"]
    assert many.state is PASSED
    assert (few.state, few.severity) == (FOUND, ISSUE)


def test_declared_time_silences_order():
    """With a time column the order of rows is no finding."""
    assert answers(clean(day=DAYS), time="day")["D022"].state is PASSED


def test_rows_equal_by_chance_are_no_copies():
    """Where few combinations of values exist, equal rows are neither copies nor contradictions."""
    table = pd.DataFrame(
        {"a": [0, 1] * 200, "c": ["u", "v", "w", "x"] * 100, "y": RNG.choice(["k", "l"], N)}
    )
    found = answers(table)
    assert found["D018"].state is found["D019"].state is NOT


def test_formulas_that_may_be_the_law_are_no_leaks():
    """A linear law with other coefficients than one, or a noisy sum, is not blocked."""
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=N), rng.normal(size=N)
    for y in (2.5 * p - 0.3 * q, p + q + 1e-3 * rng.normal(size=N)):
        assert answers(amounts(p=p, q=q, y=y))["D025"].state is PASSED


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_formulas_are_found_among_columns_that_predict_well(parts):
    """Strong predictors that are no part of the sum do not hide it."""
    rng = np.random.default_rng(parts)
    y = rng.gamma(2.0, 900.0, N)
    near = {f"near{i}": y * rng.normal(1, 0.1, N) for i in range(4)}
    some = {f"part{i}": rng.integers(1, 9, N) * 700.0 for i in range(1, parts)}
    some["part0"] = y - sum(some.values())
    finding = answers(amounts(**near, **some, y=y))["D025"]
    assert (finding.state, set(finding.columns)) == (FOUND, set(some))


def test_every_check_answers_and_codes_are_stable():
    """Codes are D001 onwards in order, those of words from D050 on, each answered once."""
    codes = [check.code for check in CHECKS]
    assert codes == [f"D{i:03d}" for i in (*range(1, 46), *range(50, 54))]
    assert [f.code for f in audit(subject(clean()))] == codes
    assert all(isinstance(check(), Check) for check in CHECKS)


def test_guide_has_one_section_for_each_check():
    """docs/checks.md has exactly the checks that exist, by code and title, with how to silence."""
    text = GUIDE.read_text()
    sections = re.findall(r"^## (D\d{3}): (.+)$", text, re.M)
    assert sections == [(check.code, check.title) for check in CHECKS]
    assert re.findall(r"`audit_ignore: \[(D\d{3})\]`", text) == [check.code for check in CHECKS]


def test_every_check_has_a_case_here():
    """No check can be added without something planted for it."""
    planted = {code for code, *_ in PLANTED} | {"D020"}
    kinds = (test_data_audit_texts, test_data_audit_labels, test_data_audit_drift)
    for more in (*kinds, test_data_audit_media, test_data_tags):
        planted |= more.CODES
    assert planted == {check.code for check in CHECKS}


def test_silenced_checks_say_so():
    """A skipped check still answers; a code that does not exist is refused."""
    found = {f.code: f for f in audit(subject(clean(25)), ignore=["D001"])}
    assert found["D001"].state is FindingState.SKIPPED
    assert "audit_ignore: [D001]" in found["D001"].explanation
    assert found["D002"].state is PASSED
    with pytest.raises(SpecError, match=r"audit_ignore: a check to skip must exist.*'D999'"):
        audit(subject(clean()), ignore=["D999"])


class Planted:
    """A check from outside, for the registry."""

    code = "X001"
    title = "from outside"
    answer: object = None

    def run(self, subject):
        """Answer, or fail as told."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return Finding(self.code, self.title, PASSED)


def _register(**changes):
    registry.register("check", "planted", type("Changed", (Planted,), changes))


def test_registered_checks_are_asked():
    """A check from outside answers after the built-in ones, and can be silenced."""
    _register()
    assert audit(subject(clean()))[-1].code == "X001"
    assert audit(subject(clean()), ignore=["X001"])[-1].state is FindingState.SKIPPED
    _register(answer=NotApplicable("only for images"))
    assert audit(subject(clean()))[-1].state is NOT


def test_registered_checks_that_break_are_named():
    """A failing check, or a code used twice, is blamed by name."""
    _register(answer=ZeroDivisionError("oops"))
    with pytest.raises(
        PluginError, match=r"check X001 .Changed.\.run failed with ZeroDivisionError: oops"
    ):
        audit(subject(clean()))
    _register(code="D001")
    with pytest.raises(PluginError, match="D001 exists twice"):
        audit(subject(clean()))


def test_suspects_are_certain_leaks_only():
    """Copies and parts of the target are named with a reason; strong columns are not."""
    assert dict(suspects(load_frame(_parts()), "y")).keys() == {"p", "q"}
    assert "'q' + 'p'" in dict(suspects(load_frame(_parts()), "y"))["p"]
    assert [name for name, _ in suspects(load_frame(clean(z=clean()["y"])), "y")] == ["z"]
    assert suspects(load_frame(_near_copy()), "y") == ()
    assert suspects(load_frame(_parts()), "y", ignore=["p"]) == ()


def test_remedies_are_valid_yaml():
    """The line that a remedy proposes can be pasted, whatever the column's name."""
    from ruamel.yaml import YAML

    odd = "no: 'really', # [x]"
    finding = answers(clean(**{odd: clean()["y"]}))["D023"]
    assert YAML(typ="safe").load(finding.remedy) == {"ignore": [odd]}


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_strength_is_zero_for_noise_and_one_for_the_answer(classes):
    """A column of noise has no strength, however many bins it has; the answer has all."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, 4000) if classes else rng.normal(size=4000)
    half = rng.integers(0, 2, 4000).astype(bool)
    noise = rng.integers(0, 200, 4000)
    answer = y if classes else np.searchsorted(np.quantile(y, np.linspace(0, 1, 200)), y)
    assert strength(noise, y, half, classes) < 0.1
    assert strength(np.asarray(answer) + 1, y, half, classes) > 0.97


def test_auc_agrees_with_scikit_learn():
    """Ranks with ties give the same area as the reference."""
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 500), rng.integers(0, 9, 500) / 7
    assert auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert auc(np.zeros(5), np.arange(5.0)) == 0.5


def test_sketch_is_shared():
    """All checks of one subject read one sketch; another subject has its own."""
    one, two = subject(clean()), subject(clean())
    assert sketch(one) is sketch(one)
    assert sketch(one) is not sketch(two)


def test_the_same_table_has_the_same_findings():
    """Samples are drawn by the table alone: two audits agree in every number and word."""
    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(size=600) for i in range(3)}
    columns["c"] = rng.choice(["a", "b", "c"], 600)
    found = subject({**columns, "y": (columns["x0"] + rng.normal(size=600) > 0).astype(int)})
    told = [audit(Subject(found.dataset, found.frame, found.rows)) for _ in range(2)]
    assert told[0]
    assert encode(told[0]) == encode(told[1])


def test_a_large_table_takes_no_longer_than_some_fits():
    """60,000 rows of 30 columns take the processor time of thirty boosted models at most.

    On one machine 17, and there 11 seconds; in seconds the limit failed where processors are slow.
    """
    rng = np.random.default_rng(0)
    n = 60_000
    columns = {f"x{i}": rng.normal(size=n) for i in range(18)}
    numbers = np.column_stack([*columns.values()])
    columns |= {f"i{i}": rng.integers(0, 1000, n) for i in range(4)}
    columns |= {f"c{i}": rng.choice([f"level {k}" for k in range(40)], n) for i in range(7)}
    found = subject({**columns, "y": (columns["x0"] + rng.normal(size=n) > 0).astype(int)})

    def share():
        began = time.process_time()
        audit(Subject(found.dataset, found.frame, found.rows))
        middle = time.process_time()
        with threadpool_limits(limits=1):
            model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False)
            model.fit(numbers, columns["x0"] > 0)
        return (middle - began) / (time.process_time() - middle)

    # once more if need be: other machines on the same host slow one down
    assert share() < 30 or share() < 30

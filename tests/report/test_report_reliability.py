"""Reliability in words and pictures: what is wrong is said once, and nothing is said too loudly."""

from __future__ import annotations

import re
from typing import Any

import pytest
import report_studies as studies
from report_trust import measured

from attain.core.codec import encode
from attain.core.types import Record, Task
from attain.report import card, evidence, html, text
from attain.report.book import Book
from attain.report.reliability import (
    accident,
    curve_sentence,
    loss_value,
    reliability,
    seeds_sentence,
    slice_sentence,
    visible_sentence,
)


def collected(task: Task = Task.BINARY) -> dict[str, Any]:
    found = evidence.collect(studies.complete(task))
    assert found["reliability"] is not None
    return found


def told(**changes: Any) -> dict[str, Any]:
    """The evidence of a record with some parts replaced."""
    study = studies.Study(Task.BINARY)
    payload = measured(Task.BINARY, study.rows, study.data, study.objectives[0]) | changes
    record = Record(1, "report", "reliability", encode(payload), (), 0.0)
    found = reliability(Book([record]))
    assert found is not None
    return found


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_every_part_is_on_the_page_and_the_card(task: Task) -> None:
    """Slices, accidents, seeds, the curve and what binds are shown for every task, with pictures
    for wide and narrow screens."""
    found = collected(task)
    page = html.render(found).split('id="reliability"')[1].split("</section>")[0]
    for heading in ("out of reach", "more rows", "weakest", "goes wrong", "another seed"):
        assert heading in page
    for picture in ("learning-curve", "slices", "accidents"):
        assert {f"{picture}-w", f"{picture}-n"} <= set(re.findall(r'id="([\w-]+?)-t"', page))
    written = card.render(found).split("## Reliability")[1]
    assert "Over 4 seeds" in written
    assert "Twice the rows" in written
    assert "What binds" in written


def test_the_planted_slice_is_a_next_step_and_one_line_in_the_terminal() -> None:
    """The category whose target is nonsense is named where a user looks first."""
    found = collected()
    slice_ = found["reliability"]["slices"]["shown"][0]
    assert slice_["kind"] == "surprising"
    titles = [step["title"] for step in found["next"]]
    assert f"Look at the weakest slice: {slice_['words']}" in titles
    lines = text.render(found).splitlines()
    assert sum(line.startswith("Reliability: ") for line in lines) == 1


def test_the_decision_log_tells_it_in_one_sentence() -> None:
    """The log counts weak slices and brittle columns, names what binds, and how long it took."""
    found = next(d for d in collected()["decisions"] if d["title"] == "How far to trust it")
    assert re.fullmatch(
        r"\d+ weak slices? confirmed, \d+ columns? brittle; what binds: noise; took 3\.1.s\.",
        found["text"],
    )


def test_a_study_without_the_measurement_says_nothing_of_it() -> None:
    """An interrupted study has no such section, no line and no gap in the card."""
    found = evidence.collect(studies.interrupted())
    assert found["reliability"] is None
    assert 'id="reliability"' not in html.render(found)
    assert "## Reliability" not in card.render(found)
    assert "Reliability:" not in text.render(found)


def test_nothing_wrong_is_nothing_said() -> None:
    """Without a confirmed slice, a brittle column or a spread over seeds there is no warning."""
    known = told()
    calm = {
        "slices": {**known["slices"], "slices": []},
        "perturbations": {**known["perturbations"], "entries": []},
        "seeds": {**known["seeds"], "unstable": False},
        "limits": [],
    }
    assert told(**calm)["warnings"] == []


def test_parts_that_are_missing_leave_the_page_whole() -> None:
    """A record without any part still renders, and says why parts are missing."""
    found = collected()
    parts = dict.fromkeys(("slices", "perturbations", "seeds", "curve"))
    found["reliability"] |= {**parts, "limits": [], "failed": {"refits": "out of memory"}}
    page = html.render(found)
    assert "The refits could not be measured: out of memory" in page
    assert "## Reliability" in card.render(found)


def test_a_slice_that_is_both_kinds_is_shown_once() -> None:
    """The graver kind, a surprise, is kept."""
    known = told()
    first = known["slices"]["shown"][0]
    both = [{**first, "kind": "worse"}, {**first, "kind": "surprising"}]
    shown = told(slices={**known["slices"], "slices": both})["slices"]["shown"]
    assert [s["kind"] for s in shown] == ["surprising"]


def test_hard_rows_that_the_model_knows_get_other_advice() -> None:
    """A slice that is merely hard is no reason to suspect labels; one hardly so is no step."""
    known = told()
    hard = {**known["slices"]["shown"][0], "kind": "worse"}
    hard["inside"] = {**hard["inside"], "estimate": 2 * hard["rest"]["estimate"]}

    def advice(item: dict[str, Any]) -> list[str]:
        found = told(slices={**known["slices"], "slices": [item]})
        return [w["text"] for w in found["warnings"] if w["code"] == "slice"]

    assert "the model knows it" in advice(hard)[0]
    hard["inside"] = {**hard["inside"], "estimate": 1.2 * hard["rest"]["estimate"]}
    assert advice(hard) == []


def test_a_slip_by_three_digits_is_no_alarm() -> None:
    """It is advice, but not a line in the terminal; a slip by one digit is both."""
    known = told()
    worst = {**known["perturbations"]["entries"][0], "failed": "", "brittle": True}

    def brief(code: str) -> str:
        entries = [{**worst, "code": code}]
        found = told(perturbations={**known["perturbations"], "entries": entries})
        return str(next(w["brief"] for w in found["warnings"] if w["code"] == "brittle"))

    assert brief("times_1000") == ""
    assert brief("times_10").startswith("brittle with ")


def test_a_model_that_breaks_is_said_with_its_message() -> None:
    """What was raised is part of the advice."""
    known = told()
    broken = {**known["perturbations"]["entries"][0], "failed": "ValueError: never seen"}
    broken |= {"brittle": True, "drop": None, "low": None, "high": None, "flipped": None}
    found = told(perturbations={**known["perturbations"], "entries": [broken]})
    warning = next(w for w in found["warnings"] if w["code"] == "fails")
    assert "ValueError: never seen" in warning["text"]


def test_advice_does_not_contradict_the_limit() -> None:
    """When noise binds, more budget is not advised, although the budget ended the search."""
    found = collected()
    assert [limit["limit"] for limit in found["reliability"]["limits"]] == ["noise"]
    titles = [step["title"] for step in found["next"]]
    assert "What would help most: features that say more" in titles
    assert "Give the search more budget" not in titles


def test_sentences_read_well() -> None:
    """Words for a slice, the visible gap, the seeds and the curve, with rounded numbers."""
    slices = {"loss": "error", "words": "share of wrong predictions", "reason": "", "tried": 1200}
    slices |= {"visible": {"share": 0.1, "gap": 0.052}, "overall": 0.12}
    inside = {"estimate": 0.312, "low": 0.26, "high": 0.37}
    item = {"kind": "surprising", "words": "age > 52", "rows": 340, "inside": inside}
    item |= {"rest": {"estimate": 0.118}, "expected": 0.12}
    assert slice_sentence(slices, item).replace("\u00a0", " ") == (
        "Where age > 52 (340 rows), the share of wrong predictions is 31 % (26 % to 37 %) against "
        "12 % elsewhere; its own probabilities lead to expect 12 %."
    )
    assert visible_sentence(slices).replace("\u00a0", " ") == (
        "None of 1,200 slices was confirmed. One of 10 % of the rows would have been seen if its "
        "share of wrong predictions were higher by 5.2 % or more (elsewhere 12 %)."
    )
    assert visible_sentence({"reason": "60 rows are too few"}) == (
        "Not looked for: 60 rows are too few."
    )
    assert loss_value({"loss": "mae"}, 1.2345) == "1.23"
    assert accident({"column": "income", "words": "10 times too large"}) == (
        "income 10 times too large"
    )
    same = {"seeds": 2, "metric": "rmse", "same": True}
    assert seeds_sentence(same).startswith("The seed changes nothing")
    gain = {"estimate": 0.02, "low": 0.011, "high": 0.029}
    ahead = {"rows": 2000, "estimate": 0.92, "low": 0.911, "high": 0.929}
    curve = {"metric": "roc_auc", "reason": "", "gain": gain, "forecast": [ahead], "rises": False}
    assert curve_sentence(curve) == (
        "Twice the rows (2,000 to train on) would improve ROC AUC by about 0.0200 (0.0110 to "
        "0.0290), to 0.9200 (0.9110 to 0.9290); the curve cannot be told from a flat one."
    )
    assert curve_sentence({**curve, "reason": "too few rows"}) == "No forecast: too few rows."

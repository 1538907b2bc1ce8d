"""What a notebook shows: the verdict of a study, the best of a search, nothing that runs."""

import re
from html.parser import HTMLParser

import pytest
import report_studies as studies

import attain
from attain.core.types import Task
from attain.pipeline.function_search import Ended
from attain.pipeline.minimize import MinimizeResult
from attain.report import evidence, notebook

STUDIES = {
    "binary": lambda: studies.complete(Task.BINARY),
    "blocked": studies.blocked,
    "interrupted": studies.interrupted,
    "hostile": lambda: studies.complete(Task.MULTICLASS, hostile=True),
    "empty": list,
}


class Tags(HTMLParser):
    """The elements of a page, and those that are still open at its end."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_one_sound_element_without_scripts(name):
    """Complete, broken off and hostile studies alike: tables of text, and all of it is closed."""
    page = notebook.study(evidence.collect(STUDIES[name]()), "study/report.html")
    tags = Tags(page)
    assert tags.open == []
    allowed = {"div", "style", "h3", "p", "b", "table", "tr", "th", "td"}
    assert set(tags.seen) <= allowed
    assert "study/report.html" in page


def test_the_numbers_are_those_of_the_report():
    """Objective, estimate and interval stand there as in the evidence."""
    found = evidence.collect(studies.complete(Task.BINARY))
    page = notebook.study(found, "r")
    item = found["verdict"]["objectives"][0]
    assert f"{item['estimate']:.3f}" in page
    assert all(point["label"] in page for point in found["comparison"][0]["points"])
    assert item["state"] in page


def test_a_search_shows_its_best_trials():
    """The five best, those within the limits first; a configuration's text is only text."""
    space = {"x": (0.0, 1.0), "kind": ["<i>a", "b"]}

    def function(config):
        return {"loss": config["x"], "size": config["x"] * 2}

    result = attain.minimize(
        function, space, goals="minimize loss, size <= 1", trials=12, strategy="sobol",
        progress=False,
    )  # fmt: skip
    page = result._repr_html_()
    assert "<i>" not in page
    shown = re.findall(r"t\d{5}", page)
    fit = sorted((t for t in result.trials if t.feasible), key=lambda t: t.loss)
    assert shown == [t.id for t in fit[:5]]


def test_a_search_in_vain_says_so():
    """Stopped before any trial succeeded: there is no table."""
    page = MinimizeResult(None, (), (), Ended.INTERRUPTED, "stopped on request")._repr_html_()
    assert "No trial succeeded" in page
    assert "stopped on request" in page
    assert "<table" not in page

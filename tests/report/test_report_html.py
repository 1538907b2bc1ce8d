"""The HTML report: whole, safe, small, accessible, and equal to its evidence."""

import base64
import hashlib
import json
import re
from itertools import pairwise

import pytest
import report_studies as studies
from report_page import Page

from attain.core.types import Task
from attain.report import evidence, html

STUDIES = {
    "binary": lambda: studies.complete(Task.BINARY),
    "multiclass": lambda: studies.complete(Task.MULTICLASS),
    "regression": lambda: studies.complete(Task.REGRESSION),
    "blocked": studies.blocked,
    "interrupted": studies.interrupted,
    "hostile": lambda: studies.complete(Task.MULTICLASS, hostile=True),
    "hostile regression": lambda: studies.complete(Task.REGRESSION, hostile=True),
    "empty": list,
}


@pytest.fixture(scope="module", params=STUDIES)
def rendered(request):
    found = evidence.collect(STUDIES[request.param]())
    return request.param, found, html.render(found)


def test_pages_are_whole_small_and_self_contained(rendered):
    """Well-formed, below 3 MB, no address outside of the page but the empty icon."""
    _, _, text = rendered
    page = Page(text)
    assert len(text.encode()) < 3_000_000
    addresses = [a.get("href") or a.get("src") for _, a in page.tags if "href" in a or "src" in a]
    assert {address[0] for address in addresses if address != "data:,"} == {"#"}
    assert "url(" not in text
    assert "@import" not in text


def test_the_policy_allows_only_the_pages_own_style_and_script(rendered):
    """The hashes in the policy are those of the inline style and script; nothing is inline else."""
    _, _, text = rendered
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    policy = policy.replace("&#39;", "'")
    for tag in ("style", "script"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for _, attributes in Page(text).tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_the_embedded_json_equals_the_evidence(rendered):
    """A program reads the same numbers that people see."""
    _, found, text = rendered
    pattern = r'<script type="application/json" id="attain-evidence">(.*?)</script>'
    assert json.loads(re.search(pattern, text, re.S)[1]) == found


def test_hostile_names_stay_text():
    """Names that try to break out appear escaped, in every place, and never as markup."""
    for task in (Task.MULTICLASS, Task.REGRESSION):
        found = evidence.collect(studies.complete(task, hostile=True))
        assert json.dumps(found).count("onerror") > 50
        text = html.render(found)
        assert "<img" not in text
        assert studies.HOSTILE not in text
        assert text.count("</script>") == 2
        assert text.count("&lt;img") > 50
        page = Page(text)
        assert page.all("img") == []
        assert any(studies.HOSTILE in "".join(parts) for parts in page.content.values())


def test_control_characters_are_made_visible():
    """Direction overrides and escapes in names reach neither the page nor its JSON as such."""
    study = studies.Study(Task.BINARY)
    records = study.whole()
    evil = "evil\u202egnp\x1b[31m\x00"
    payload = json.loads(json.dumps(records[2].payload))
    payload["dataset"]["columns"][0]["name"] = evil
    records[2] = type(records[2])(3, "data", "dataset", payload, (), 0.0)
    text = html.render(evidence.collect(records))
    body = text[: text.index('<script type="application/json"')]
    assert not set(body) & set("\u202e\x1b\x00")
    assert "\\u202e" in body


def test_headings_tables_and_pictures_are_accessible(rendered):
    """Headings descend one at a time; tables have captions and scopes; pictures have names."""
    _, _, text = rendered
    page = Page(text)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in attributes for attributes in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for picture in page.all("svg"):
        if picture.get("aria-hidden") != "true":
            assert picture["role"] == "img"
            assert set(picture["aria-labelledby"].split()) <= set(ids)
    for link in page.all("a"):
        assert link["href"][1:] in ids


def test_the_verdict_is_read_without_a_script(rendered):
    """State, target, estimate, interval, n and looks are plain text before the first script."""
    name, found, text = rendered
    head = re.sub(r"<[^>]+>", " ", text[text.index("<main>") : text.index("<script")])
    if found["verdict"]:
        for item in found["verdict"]["objectives"]:
            assert item["state"] in head
            assert f"n = {item['n']}" in head
        assert "opened once" in head
    else:
        assert found["progress"]["title"] in head
    assert ("What to do next" in head) == (name != "empty")


def test_sections_come_in_the_promised_order():
    """Verdict, next steps, comparison, data, search, errors, explanation, trust, costs, log."""
    text = html.render(evidence.collect(studies.complete(Task.BINARY)))
    order = re.findall(r'<section[^>]* id="(\w+)"', text)
    first = ["verdict", "next", "comparison", "data", "search", "errors", "explanation"]
    assert order == [*first, "reliability", "efficiency", "decisions", "reproduce"]


def test_numbers_on_the_page_are_those_of_the_evidence():
    """Changing one estimate changes the page; rendering the same twice does not."""
    found = evidence.collect(studies.complete(Task.BINARY))
    before = html.render(found)
    assert before == html.render(found)
    found["verdict"]["objectives"][0]["estimate"] = 0.123
    assert "0.123 (" not in re.sub(r"<[^>]+>", "", before)
    assert '<p class="estimate">0.123</p>' in html.render(found)


def test_a_withheld_explanation_is_said_and_not_drawn():
    """The page gives the reason instead of a picture."""
    study = studies.Study(Task.BINARY)
    study.whole()
    study.explain(beats_baseline=False)
    text = html.render(evidence.collect(study.scribe.records))
    assert "does not beat the baseline" in text
    assert 'id="importance-w-t"' not in text


def test_a_failed_explanation_and_a_second_look_are_said():
    """The page names the failure, and that the seal was opened twice and why."""
    study = studies.Study(Task.BINARY)
    study.whole()
    study.scribe.add("report", "explanation", {"failed": "the worker ran out of memory"})
    study.test(looks=2)
    text = html.render(evidence.collect(study.scribe.records))
    assert "could not be explained: the worker ran out of memory" in text
    assert "opened 2 times" in text
    assert "This is look 2" in text


def test_what_was_not_measured_is_said():
    """An empty cell or a zero would mislead; the page says "not measured"."""
    found = evidence.collect(studies.complete(Task.BINARY))
    for item in found["efficiency"]:
        item |= dict.fromkeys(("estimate", "low", "high", "n", "record"))
    assert html.render(found).count("not measured") == len(found["efficiency"])


def test_the_largest_page_stays_below_three_megabytes():
    """Thousands of columns with endless hostile names are cut until the page is small."""
    study = studies.Study(Task.MULTICLASS, hostile=True)
    records = study.whole()
    payload = json.loads(json.dumps(records[2].payload))
    column = payload["dataset"]["columns"][0]
    payload["dataset"]["columns"] = [
        {**column, "name": f"c{i}" + "<é&>" * 400} for i in range(4000)
    ]
    records[2] = type(records[2])(3, "data", "dataset", payload, (), 0.0)
    found = evidence.collect(records)
    text = html.render(found)
    assert found["shortened"][0]["what"] == "columns"
    assert "columns are kept in this file" in text
    assert len(text.encode()) < 3_000_000


def test_backticks_in_advice_become_code():
    """Words between backticks are code, a lone backtick is itself, and nothing else is markup."""
    assert html.prose("use `groups` <b>") == "use <code>groups</code> &lt;b&gt;"
    assert html.prose("a ` b") == "a ` b"

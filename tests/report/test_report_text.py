"""The model card and the terminal's summary."""

import re

import pytest
import report_studies as studies
from ruamel.yaml import YAML

from attain.core.types import Task
from attain.report import card, evidence, text

STUDIES = {
    "binary": lambda: studies.complete(Task.BINARY),
    "regression": lambda: studies.complete(Task.REGRESSION),
    "blocked": studies.blocked,
    "interrupted": studies.interrupted,
    "hostile": lambda: studies.complete(Task.MULTICLASS, hostile=True),
    "empty": list,
}


@pytest.fixture(scope="module", params=STUDIES)
def found(request):
    return evidence.collect(STUDIES[request.param]())


def front(markdown):
    return YAML(typ="safe").load(markdown.split("---\n")[1])


@pytest.mark.parametrize("width", [20, 40, 80, 100, 300])
def test_the_summary_fits_its_terminal(found, width):
    """No line is wider than the screen, from 40 to 100 characters."""
    shown = text.render(found, width)
    assert max(map(len, shown.splitlines())) <= min(max(width, 40), 100)


def test_cards_have_front_matter_that_parses(found):
    """Hubs read tags, metrics and results; there are results only after the sealed test."""
    fields = front(card.render(found))
    assert "attain" in fields["tags"]
    assert ("model-index" in fields) == (found["verdict"] is not None)
    assert "license" not in fields


def test_results_in_the_card_are_the_sealed_ones():
    """The value in the front matter is the sealed estimate, not the best of the search."""
    collected = evidence.collect(studies.complete(Task.BINARY))
    result = front(card.render(collected))["model-index"][0]["results"][0]
    sealed = next(s for s in collected["verdict"]["scores"] if s["metric"] == "roc_auc")
    assert result["task"]["type"] == "tabular-classification"
    assert result["metrics"][0]["value"] == sealed["estimate"]
    assert "sealed test" in result["metrics"][0]["name"]


def test_a_stated_license_reaches_the_card():
    """The license of the study file is the card's license."""
    collected = evidence.collect(studies.complete(Task.BINARY))
    collected["study"]["license"] = "mit"
    assert front(card.render(collected))["license"] == "mit"


def test_cards_have_the_sections_of_a_model_card():
    """What it is, limits, data, training, evaluation with looks, explanation, caveats, origin."""
    markdown = card.render(evidence.collect(studies.complete(Task.BINARY)))
    titles = re.findall(r"^## (.+)$", markdown, re.M)
    assert titles == [
        *("What it is", "Intended use and limits", "Data", "Training", "Evaluation"),
        *("Explanation", "Reliability", "Caveats and what to do next", "Reproduce"),
    ]
    assert "**The seal was opened once.**" in markdown
    assert "\n\n\n" not in markdown


def test_hostile_names_cannot_add_markup_to_a_card():
    """Neither HTML nor table cells nor links nor headings come from names."""
    collected = evidence.collect(studies.complete(Task.BINARY, hostile=True))
    collected["data"]["columns"][0]["name"] = "a|b](http://x)\n# title <b> `c` **d**"
    body = card.render(collected).split("---\n", 2)[2]
    assert not re.search(r"<(img|script|b|/)", body)
    assert "\n# title" not in body
    line = next(line for line in body.splitlines() if "http://x" in line)
    assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert r"a\|b\](http://x) \# title &lt;b&gt; \`c\` \*\*d\*\*" in line


def test_text_fits_a_terminal(found):
    """No line is wider than 100 characters and nothing could steer the terminal."""
    summary = text.render(found)
    assert max(map(len, summary.splitlines())) <= 100
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", summary)
    assert summary.endswith("\n")
    assert (found["verdict"] or found["progress"])["title"] in summary


def test_text_tells_verdict_comparison_and_next_steps():
    """State, goal, estimate with interval and n, the sealed test, and what to do."""
    summary = text.render(evidence.collect(studies.complete(Task.BINARY)))
    assert re.search(
        r"◐ met, unproven +ROC AUC at least 0\.86 +0\.\d+ \(0\.\d+ to 0\.\d+\), n = 400", summary
    )
    assert re.search(r"Final model, sealed test +0\.\d+ \(", summary)
    assert "1. Prove it" in summary


def test_escape_sequences_in_names_are_shown_not_obeyed():
    """A file name with an escape sequence is printed harmlessly."""
    collected = evidence.collect(studies.blocked())
    collected["study"]["name"] = "x\x1b]0;owned\x07.csv"
    assert "x\\u001b]0;owned\\u0007.csv" in text.render(collected)


def test_very_long_names_are_broken():
    """A name of 500 letters does not widen the text."""
    collected = evidence.collect(studies.interrupted())
    collected["study"]["name"] = "n" * 500
    assert max(map(len, text.render(collected).splitlines())) <= 100

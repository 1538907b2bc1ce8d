"""The benchmark of reports grows a real study truthfully, and a large study's page stays small."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "report"))


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("report_bench", ROOT / "benchmarks" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def large(bench):
    """The evidence of 3,000 trials."""
    import report_studies

    from attain.report import evidence

    records = list(bench.grown(report_studies.complete(), 3_000))
    ids = [record.id for record in records]
    assert ids == sorted(set(ids))
    return evidence.collect(records)


def test_a_grown_study_has_its_trials(large):
    """Counts are of all trials, a tenth failed, and what is left out is said."""
    search = large["search"]
    assert (search["searched"], search["scored"]) == (3_000, 2_700)
    cut = next(c for c in large["shortened"] if c["what"] == "trials")
    assert cut["shown"] == len(search["trials"]) < cut["total"]
    assert sum(f["trials"] and 1 for f in search["failures"]) == len(search["failures"])


def test_a_large_study_has_a_small_page(large):
    """Below 2 MB with all pictures, points spread over the whole search, the best among them."""
    from attain.report import html

    page = html.render(large)
    assert len(page.encode()) < 2_000_000
    places = [t["place"] for t in large["search"]["trials"] if t["purpose"] == "search"]
    assert min(places) < 100
    assert max(places) > 2_900
    tried = [t for t in large["search"]["trials"] if t["purpose"] == "search"]
    best = min((t for t in tried if t["loss"] is not None), key=lambda t: t["loss"])
    assert large["search"]["incumbent"][-1]["loss"] == pytest.approx(best["loss"])
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert max(len(re.findall(r"<(?:circle|path|line|rect)\b", p)) for p in pictures) < 900
    assert "2,700 of 3,000 trials gave a result" in page


def test_the_figures_are_json_and_have_the_targets(bench, large):
    """What a page took is measured in numbers that a program can check."""
    import report_studies

    found = bench.write(report_studies.complete())
    assert json.loads(json.dumps(found)) == found
    assert 0 < found["megabytes"] < bench.MOST_MB
    assert found["shapes"] > 100

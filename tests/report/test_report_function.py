"""Pages about searches of functions: whole, safe, and true to the trials."""

import json
import re
from itertools import pairwise

import pytest
import report_searches as searches
from report_page import Page

import attain
from attain.pipeline import function_report
from attain.report import function


def embedded(text):
    pattern = r'<script type="application/json" id="attain-evidence">(.*?)</script>'
    return json.loads(re.search(pattern, text, re.S)[1])


def words(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text[text.index("<main>") :]))


@pytest.mark.parametrize("name", searches.MADE)
def test_pages_are_whole_and_fetch_nothing(name):
    """Well-formed, headings in order, ids once, pictures named, links to places of the page."""
    text = searches.page(name)
    page = Page(text)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    addresses = [a.get("href") or a.get("src") for _, a in page.tags if "href" in a or "src" in a]
    assert {address[0] for address in addresses if address != "data:,"} == {"#"}
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for picture in page.all("svg"):
        assert set(picture["aria-labelledby"].split()) <= set(ids)
    assert len(page.all("caption")) == len(page.all("table"))


def test_hostile_names_stay_text():
    """Parameters, choices, metrics and messages are shown, and never become markup."""
    text = searches.page("evil")
    assert Page(text).all("img") == []
    assert text.count("</script>") == 2
    assert text.count("&lt;img") > 5


def test_the_best_trial_and_every_number_are_those_of_the_search():
    """What stands at the top is the best trial; the JSON has every trial, failed ones last."""
    result, text = searches.one(), searches.page("one")
    found = embedded(text)
    assert found["best"] == result.best.id == found["trials"][0]["id"]
    assert {t["id"]: t["metrics"] for t in found["trials"]} == {
        t.id: dict(t.metrics) if t.done else {} for t in result.trials
    }
    losses = [t["goals"][0] for t in found["trials"] if t["goals"]]
    assert losses == sorted(losses)
    said = words(text)
    assert f"The best trial, {result.best.id}" in said
    failed = sum(t.status == "failed" for t in result.trials)
    assert failed > 0
    assert re.search(rf"failed {failed} ValueError: there is no c", said)
    assert "plain: minimize loss" in said


def test_what_mattered_is_what_the_function_reads():
    """A parameter that the function never reads has hardly a share; below eight, none is told."""
    shares = searches.one().importance()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares) == sorted(shares, key=lambda name: -shares[name])
    assert set([*shares][:2]) == {"x", "depth"}
    assert shares["y"] < 0.15
    few = attain.minimize(searches.plain, searches.SPACE, trials=5, progress=False)
    assert few.importance() == {}


def test_results_over_magnitudes_are_drawn_by_ratios():
    """From 1e-6 to a hundred; with zeros, negatives or less than three magnitudes by distances."""
    assert embedded(searches.page("one"))["searches"][0]["log"]
    assert not embedded(searches.page("two"))["searches"][0]["log"]
    ratios = function._ratios
    assert [ratios(v) for v in ([], [1.0, 999.0], [1.0, 1000.0], [0.0, 1e6], [-1.0, 1e6])] == [
        *(False, False, True, False, False)
    ]


def test_several_goals_have_a_front_and_limits_are_counted():
    """A picture of the goals, a section each; trials that break a limit are never the best."""
    result, text = searches.two(), searches.page("two")
    found, said = embedded(text), words(text)
    ids = {t.id for t in result.front}
    assert {t["id"] for t in found["trials"] if t["front"]} == ids
    assert all(t["front"] for t in found["trials"][: len(ids)])
    kept = sum(t.feasible for t in result.trials)
    assert 0 < kept < 30
    assert f"{kept} of 30 results kept it" in said
    assert "accuracy and latency" in text
    assert [s["metric"] for s in found["searches"]] == ["accuracy", "latency"]
    for search, sign in zip(found["searches"], (-1, 1), strict=True):
        steps = [sign * e["estimate"] for e in search["incumbent"]]
        best = min(sign * t.metrics[search["metric"]] for t in result.trials if t.feasible)
        assert steps == sorted(steps, reverse=True)
        assert steps[-1] == best


def test_a_page_of_very_many_trials_stays_small():
    """Pictures and counts are of all; the JSON has the best and others evenly, and says so."""
    trials = [
        {
            **{"id": f"t{i:05d}", "config": {"x": i / 6000}, "reason": "drawn", "status": "done"},
            **{"predicted": None, "spread": None, "excess": [], "front": False, "message": ""},
            **{
                "metrics": {"loss": float(i)},
                "goals": [float(i)],
                "seconds": 0.1,
                "curves": [[]],
                "expected": None,
            },
        }
        for i in range(6000)
    ]
    known = [{"name": "x", "text": "x: 0 to 1", "scale": "linear"}]
    goal = [{"metric": "loss", "direction": "minimize"}]
    more = {"title": "f", "reason": "ended", "strategy": "random", "why": "", "best": "t00000"}
    text = function.render(
        function.collect(trials, goal, [], known, **more, target=None, version="0")
    )
    kept = [t["id"] for t in embedded(text)["trials"]]
    assert len(kept) == 2000
    assert kept[:1000] == [f"t{i:05d}" for i in range(1000)]
    assert kept[-1] == "t05999"
    assert "2,000 of them are in the JSON" in words(text)
    assert "6,000 of 6,000 trials gave a result" in text
    assert len(text) < 1_500_000


def test_a_search_that_has_just_begun_has_a_page():
    """Nothing has ended: said so, no pictures, the trial under way in the table."""
    said = words(searches.page("nothing"))
    assert "No trial has ended yet" in said
    assert "the search has not ended" in said.lower()
    assert "1 under way" in said


def test_predictions_that_came_true_are_counted():
    """Within two deviations, of those that were predicted; nothing is said of fewer than eight."""
    trial = {"status": "done", "predicted": 1.0, "spread": 0.5}
    told = [{**trial, "goals": [1.0 + 0.3 * i]} for i in range(8)]
    assert function._foretold(told) == {"near": 4, "of": 8}
    assert function._foretold(told[:7]) is None
    unknown = [{**t, "predicted": None} for t in told]
    assert function._foretold(unknown) is None


def test_the_summary_says_the_same_in_words():
    """For a terminal: the best, why it ended, what failed, what mattered."""
    text = function.summary(embedded(searches.page("one")))
    assert text.startswith("plain: minimize loss\n\nBest of 40: loss ")
    assert "All trials have ended" in text
    assert "trials failed: ValueError: there is no c" in text
    assert "What mattered for loss: depth 5" in text
    assert "not ended" in function.summary(embedded(searches.page("nothing")))


def test_trials_that_reported_are_drawn_on_their_way():
    """A line for each, the best one last; pruned ones are counted, and have not failed."""
    result, text = searches.reported(), searches.page("reported")
    found = embedded(text)
    pruned = [t.id for t in result.trials if t.status == "pruned"]
    assert found["pruned"] == len(pruned) > 0
    assert found["failures"] == []
    assert f"{len(pruned)} of them on their way, being behind others" in words(text)
    drawn = re.search(r"On the way(.*?)</figure>", text, re.S)[1]
    wide = drawn[: drawn.index("</svg>")]
    assert wide.count("thread") == len(result.trials)
    assert wide.count("thread rest") == len(pruned)
    assert wide.rindex("thread best") == wide.rindex("thread ")
    best = next(t for t in found["trials"] if t["id"] == found["best"])
    assert best["curves"][0][-1] == [27, pytest.approx(best["metrics"]["score"])]


def test_with_several_goals_each_has_its_ways():
    """In the user's own signs; the front has whole trials only."""
    result, text = searches.traded(), searches.page("traded")
    found = embedded(text)
    assert found["pruned"] == sum(t.status == "pruned" for t in result.trials) > 5
    assert text.count("On the way") == 2
    best = next(t for t in found["trials"] if t["id"] == found["best"])
    ends = [curve[-1] for curve in best["curves"]]
    told = [best["metrics"][name] for name in ("accuracy", "size")]
    assert ends == [[27, pytest.approx(value)] for value in told]
    assert all(t["status"] == "done" for t in found["trials"] if t["front"])


def test_trials_that_never_reported_have_no_such_picture():
    """Nor do those that reported once."""
    assert "On the way" not in searches.page("one")
    optimizer = attain.Optimizer({"x": (0.0, 1.0)})
    for loss in (1.0, 2.0):
        trial = optimizer.ask()
        optimizer.step(trial, loss)
        optimizer.tell(trial, loss)
    told = function_report.evidence(optimizer._searched())
    assert "On the way" not in function.render(told)

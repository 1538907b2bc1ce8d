"""Evidence: what the ledger says, for complete and broken-off studies alike."""

import json
from dataclasses import replace

import pytest
import report_studies as studies

from attain.core.types import CurvePoint, Draft, Record, Task
from attain.report import evidence, searching


@pytest.fixture(scope="module")
def binary():
    return evidence.collect(studies.complete(Task.BINARY))


def numbers_without_record(value, path="", inside=False):
    """Paths of mappings with estimates that neither have nor lie within one that has a record."""
    if isinstance(value, dict):
        known = inside or value.get("record") is not None or "records" in value
        if "estimate" in value and value["estimate"] is not None and not known:
            yield path
        for key, item in value.items():
            yield from numbers_without_record(item, f"{path}.{key}", known)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from numbers_without_record(item, f"{path}[{i}]", inside)


@pytest.mark.parametrize("code", ["met", "budget", "unlikely", "exhausted", "request"])
def test_the_end_is_told_in_a_sentence(code):
    """No code of a decision stands alone: every reason to stop is a sentence in log and page."""
    records = studies.complete(Task.BINARY)
    end = replace(records[-1], payload={**records[-1].payload, "reason": code})
    assert end.kind == "ended"
    found = evidence.collect([*records[:-1], end])
    told = found["decisions"][-1]["text"]
    assert told.startswith("The search ended because ")
    assert told.endswith("; the study is complete.")
    assert len(found["progress"]["text"].split()) >= 4
    own = replace(end, payload={**end.payload, "reason": "no trial succeeded"})
    assert evidence.collect([*records[:-1], own])["decisions"][-1]["text"] == "No trial succeeded."


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_evidence_is_json_and_every_estimate_names_its_record(task):
    """No NaN, no infinity, and no estimate without the id of a record that exists."""
    records = studies.complete(task)
    found = evidence.collect(records)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(numbers_without_record(found)) == []
    kinds = {record.id: record.kind for record in records}
    assert kinds[found["verdict"]["record"]] == "verdict"
    assert {kinds[t["record"]] for t in found["search"]["trials"]} == {"scored"}
    assert {kinds[d["record"]] for d in found["search"]["rounds"]} == {"decision"}


def test_the_verdict_puts_the_worst_objective_first(binary):
    """What is not settled is read first; looks, n and confidence are there."""
    verdict = binary["verdict"]
    assert verdict["state"] == "met, unproven"
    assert [o["state"] for o in verdict["objectives"]] == ["met, unproven", "met"]
    assert verdict["objectives"][0]["n"] == 400
    assert (verdict["looks"], verdict["confidence"]) == (1, 0.95)


def test_naive_confirmed_and_sealed_stand_side_by_side(binary):
    """The comparison holds baselines, the optimistic and the confirmed score, and the test."""
    points = binary["comparison"][0]["points"]
    kinds = ["baseline", "baseline", "naive", "confirmed", "baseline sealed", "baseline sealed"]
    assert [p["kind"] for p in points] == [*kinds, "sealed"]
    naive, confirmed = (next(p for p in points if p["kind"] == k) for k in ("naive", "confirmed"))
    assert naive["estimate"] > confirmed["estimate"]
    assert binary["comparison"][1]["points"][-1]["label"] == "Final model, measured"


def test_the_best_of_the_search_is_the_best_though_another_was_chosen():
    """A cheaper one may be chosen; its score stands under its own name beside the best."""
    records = studies.complete(Task.BINARY)
    before = evidence.collect(records)
    losses = {
        t["id"]: t["loss"]
        for t in before["search"]["trials"]
        if t["purpose"] == "search" and t["loss"] is not None
    }
    other = max(losses, key=losses.get)
    records = [
        replace(r, payload={**r.payload, "trial": other}) if r.kind == "choice" else r
        for r in records
    ]
    points = evidence.collect(records)["comparison"][0]["points"]
    labels = [p["label"] for p in points]
    assert labels.count("Best of the search") == 1
    assert "Chosen, in the search" in labels
    assert "Chosen, confirmed on fresh folds" in labels
    old = before["comparison"][0]["points"]
    best = [next(p for p in all_ if p["label"] == "Best of the search") for all_ in (old, points)]
    assert best[0] == best[1]


def test_decisions_get_the_effect_that_the_next_one_measured(binary):
    """A round's measured effect is what the following decision says of it."""
    rounds = binary["search"]["rounds"]
    assert [r["move"] for r in rounds] == ["widen", "narrow", "stop"]
    assert rounds[0]["measured"] == pytest.approx(0.0025)
    assert rounds[-1]["measured"] is None
    assert rounds[0]["diagnoses"][0]["code"] == "edge_of_range"
    assert sum(r["trials"] for r in rounds) == sum(
        t["purpose"] == "search" and t["loss"] is not None for t in binary["search"]["trials"]
    )


def test_the_incumbent_only_falls(binary):
    """Each entry is a new best; the last is the smallest loss of the search."""
    losses = [entry["loss"] for entry in binary["search"]["incumbent"]]
    assert losses == sorted(losses, reverse=True)
    searched = [t["loss"] for t in binary["search"]["trials"] if t["purpose"] == "search"]
    assert losses[-1] == min(loss for loss in searched if loss is not None)


def test_the_chosen_configuration_s_curves_are_shown(binary):
    """Fold by fold from the first look to the last, though curves are read for nothing else."""
    found = binary["search"]["curve"]
    assert found["trial"] == binary["search"]["choice"]["trial"]
    assert len(found["folds"]) > 1
    for fold in found["folds"]:
        steps = [p["step"] for p in fold["points"]]
        assert steps == sorted(set(steps))
        assert steps[-1] > steps[0]
        assert all(p["values"] for p in fold["points"])


def test_a_learning_curve_shows_losses_alone():
    """Rates and speeds are on other scales; a loss that is told seldom is not thinned out."""
    rate = {"lr": 1e-4, "units_per_s": 900.0}
    curve = [
        CurvePoint(s, {"train": 1.0 / s} | rate | ({"stop": 2.0 / s} if s % 50 == 7 else {}))
        for s in range(1, 401)
    ]
    found = searching._losses(curve)
    assert {name for p in found for name in p["values"]} == {"train", "stop"}
    assert [p["step"] for p in found if "stop" in p["values"]] == list(range(7, 400, 50))
    assert found[-1] == {"step": 400, "values": {"train": 1 / 400}}
    assert len(found) < 200
    assert searching._losses([CurvePoint(1, {"loss": 2.0})]) == [
        {"step": 1, "values": {"loss": 2.0}}
    ]


def test_what_sharing_saved_is_summed_over_all_fits(binary):
    """Found rows are told with their seconds and a record; a study that found none says nothing."""
    assert binary["search"]["sharing"] is None
    records = studies.complete(Task.BINARY)
    spared = [i for i, r in enumerate(records) if r.kind == "outcome"][3:7]
    for i in spared:
        outcome = {**records[i].payload["outcome"], "saved_seconds": 2.5}
        records[i] = replace(records[i], payload={**records[i].payload, "outcome": outcome})
    told = evidence.collect(records)["search"]["sharing"]
    assert (told["fits"], told["saved"]) == (4, 10.0)
    assert told["record"] == records[spared[-1]].id
    assert told["text"].startswith("4 of ")
    assert "saved 10.0" in told["text"]


def test_failures_are_told_once_with_their_trials(binary):
    """Trials that failed for the same reason are one entry; cancelled ones are no failures."""
    failures = binary["search"]["failures"]
    assert [len(f["trials"]) for f in failures] == [3, 1]
    assert failures[0]["message"] == "the matrix is singular"
    assert sum(entry["failed"] for entry in binary["search"]["learners"]) == 4


def test_what_was_not_measured_is_none_and_never_zero():
    """Without latency scores and peak memory the efficiency table says so."""
    records = studies.complete(Task.BINARY)
    bare = []
    for record in records:
        payload = dict(record.payload)
        if record.kind == "verdict":
            keep = [s for s in payload["scores"] if s["metric"] in ("roc_auc", "latency_p95_ms")]
            payload["scores"] = keep
        if record.kind == "outcome":
            payload["outcome"] = {**payload["outcome"], "peak_bytes": 0}
        bare.append(replace(record, payload=payload))
    found = {e["metric"]: e for e in evidence.collect(bare)["efficiency"]}
    assert found["latency_p50_ms"]["estimate"] is None
    assert found["throughput_rows_per_s"]["estimate"] is None
    assert found["peak_memory_mb"]["estimate"] is None
    assert found["latency_p95_ms"]["estimate"] > 0
    assert found["size_mb"]["estimate"] == pytest.approx(0.412)


def test_the_story_has_one_entry_for_each_decision(binary):
    """Split, metric, learners, strategy, rounds, choice, look and verdict are told in order."""
    titles = [d["title"] for d in binary["decisions"]]
    for title in ("Objectives", "Validation", "Learners and parameters", "Strategy", "Choice"):
        assert titles.count(title) == 1
    assert sum("After round" in title for title in titles) == 3
    assert titles.index("Opening the seal") < titles.index("Met, but not yet proven")
    assert all(d["text"].endswith((".", "!", "?")) for d in binary["decisions"])


def test_the_place_of_the_sealed_rows_is_not_told(binary):
    """Nothing that people can read says where the sealed rows lie."""
    assert "sealed.arrow" not in json.dumps(binary)


@pytest.mark.parametrize(
    ("records", "state", "first"),
    [
        (studies.blocked, "blocked", "A column gives the target away"),
        (studies.interrupted, "interrupted", "Run the same command again"),
        (list, "under way", ""),
    ],
)
def test_unfinished_studies_say_how_far_they_got(records, state, first):
    """No verdict, the right state, and the first thing to do."""
    found = evidence.collect(records())
    assert found["verdict"] is None
    assert found["progress"]["state"] == state
    assert first in (found["next"][0]["title"] if found["next"] else "")
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("cut", range(0, 334, 9))
def test_every_prefix_of_a_ledger_can_be_told(cut):
    """A study may stop after any record: collecting never fails and never invents a verdict."""
    records = studies.complete(Task.MULTICLASS)[:cut]
    found = evidence.collect(records)
    json.dumps(found, allow_nan=False)
    assert (found["verdict"] is not None) == any(r.kind == "verdict" for r in records)
    done = [step["title"] for step in found["progress"]["steps"] if step["done"]]
    assert len(done) <= len({r.kind for r in records})


def test_a_study_without_a_successful_trial():
    """When every trial fails the page says so and advises to find out why."""
    study = studies.Study(Task.BINARY)
    study.begin()
    study.audit()
    study.prepare()
    for i in range(4):
        status, message = studies.Status.FAILED, "no memory for the kernel"
        study.trial(f"t{i}", "svm", {}, "search", None, status=status, message=message)
    study.scribe.add("study", "ended", {"exit": 3, "reason": "no trial succeeded", "seconds": 9.0})
    found = evidence.collect(study.scribe.records)
    assert found["progress"]["state"] == "failed"
    assert "no trial succeeded" in found["progress"]["text"]
    assert found["next"][0]["title"] == "Find out why trials fail"
    assert "no memory for the kernel" in found["next"][0]["text"]


def test_a_second_look_and_changed_objectives_are_visible():
    """The newest look is shown with its count; objectives changed after sealing are told."""
    study = studies.Study(Task.BINARY)
    study.whole()
    study.test(looks=2)
    easier = [
        replace(o, target=0.8 if o.metric == "roc_auc" else o.target) for o in study.objectives
    ]
    study.scribe.add("objectives", "objectives", {"objectives": easier, "reason": "changed"})
    found = evidence.collect(study.scribe.records)
    assert found["verdict"]["looks"] == 2
    assert len(found["verdict"]["earlier"]) == 1
    assert found["objectives"]["revision"]["sealed"][0] == "roc_auc >= 0.86"
    assert found["objectives"]["revision"]["now"][0] == "roc_auc >= 0.8"


def test_an_explanation_that_failed_is_told():
    """The reason reaches the evidence; nothing else is missing."""
    study = studies.Study(Task.REGRESSION)
    study.whole()
    study.scribe.add("report", "explanation", {"failed": "out of memory"})
    found = evidence.collect(study.scribe.records)
    assert found["model"]["failed"] == "out of memory"
    assert found["model"]["importance"] == []


def test_large_studies_are_cut_and_say_so():
    """Thousands of trials are thinned to the best and some others; what was left out is told."""
    study = studies.Study(Task.BINARY, trials=30)
    records = study.whole()
    by_kind = {kind: [r for r in records if r.kind == kind] for kind in ("trial", "scored")}
    many = list(records)
    for i in range(3000):
        asked, scored = by_kind["trial"][5], by_kind["scored"][5]
        trial = {**asked.payload["trial"], "id": f"x{i:05d}", "reason": "because " * 20}
        payload = {**scored.payload, "trial": f"x{i:05d}", "loss": -0.5 - i / 1e5, "status": "done"}
        for draft in (
            Draft("strategy", "trial", {"trial": trial}),
            Draft("validate", "scored", payload),
        ):
            many.append(Record(len(many) + 1, draft.step, draft.kind, draft.payload, (), 0.0))
    found = evidence.collect(many)
    assert len(json.dumps(found, ensure_ascii=False)) < 1_300_000
    cut = found["shortened"][0]
    assert (cut["what"], cut["total"]) == ("trials", len(by_kind["trial"]) + 3000)
    kept = {t["id"] for t in found["search"]["trials"]}
    assert len(kept) == cut["shown"]
    assert {"b000", "c000", "x02999"} <= kept
    far = [name for name in kept if name < "x01500" and name[0] == "x"]
    assert 0 < len(far) < len(kept) / 2  # pictures show the whole search, not its best alone
    assert {f"x{i:05d}" for i in range(2_900, 3_000)} <= kept


def test_endless_text_is_cut():
    """A message of a megabyte cannot fill the page."""
    assert len(evidence.plain("x" * 1_000_000)) == 1_000


def test_a_test_that_surprises_is_told():
    """Disjoint intervals of fresh folds and sealed rows are pointed out; touching ones are not."""
    records = studies.complete(Task.BINARY)
    title = "Find out why the test differs from validation: ROC AUC"
    assert title not in [step["title"] for step in evidence.collect(records)["next"]]
    moved = []
    for record in records:
        payload = json.loads(json.dumps(record.payload))
        if record.kind == "choice":
            for score in payload["confirmed"]:
                score |= {k: score[k] - 0.2 for k in ("estimate", "low", "high")}
        moved.append(replace(record, payload=payload))
    step = next(s for s in evidence.collect(moved)["next"] if s["title"] == title)
    assert "do not even touch" in step["text"]
    assert len(step["records"]) == 2


def test_a_baseline_that_tests_no_worse_is_pointed_out():
    """When a plain model scores at least as well on the sealed rows, the reader is told."""
    records = studies.complete(Task.BINARY)
    title = "Consider the simpler model: ROC AUC"
    assert title not in [step["title"] for step in evidence.collect(records)["next"]]
    moved = []
    for record in records:
        payload = json.loads(json.dumps(record.payload))
        if record.kind == "verdict":
            for score in payload["verdict"]["baseline"]:
                score |= {k: min(score[k] + 0.3, 1.0) for k in ("estimate", "low", "high")}
        moved.append(replace(record, payload=payload))
    step = next(s for s in evidence.collect(moved)["next"] if s["title"] == title)
    assert "tests no worse" in step["text"]
    assert len(step["records"]) == 1

"""Whole studies of labels of words: from lists or CoNLL files to predictions and a page."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import DataError, Exit, SpecError
from attain.pipeline import saved
from attain.report import evidence, html

QUICK = {"folds": 3, "repeats": 1, "rigor": "quick", "workers": 1, "seed": 3, "racing": False}
FORMS = (
    ("{P}", "lives", "in", "{L}", "."),
    ("we", "asked", "{P}", "{S}", "about", "{L}"),
    ("the", "market", "in", "{L}", "opens", "at", "nine"),
    ("nobody", "knows", "who", "sent", "the", "letter"),
    ("{P}", "met", "{P}", "{S}", "near", "the", "bridge"),
)


def places(rows=180, seed=0):
    """Sentences with names of people and places; each name is made of two syllables at random."""
    rng = np.random.default_rng(seed)
    made = []
    for row in range(rows):
        words, labels = [f"{row}:"], ["O"]
        for slot in FORMS[rng.integers(len(FORMS))]:
            start = rng.choice(["Ka", "Mo", "Ti", "Su", "Le", "Bo"])
            ends, label = {
                "{P}": (("ria", "nas", "leb"), "B-PER"),
                "{S}": (("sen", "vic", "mann"), "I-PER"),
                "{L}": (("burg", "ton", "field"), "B-LOC"),
            }.get(slot, ((), "O"))
            words.append(str(start + rng.choice(ends)) if ends else slot)
            labels.append(label)
        made.append((words, labels))
    return pd.DataFrame(made, columns=["words", "ner"])


def payloads(result, kind):
    return [r.payload for r in result.records if r.kind == kind]


def test_a_study_of_names(run):
    """Lists of labels end in a verdict on spans, a table of types, and the same labels anew."""
    result = run(data=places(), target="ner", objectives=["span_f1 >= 0.7"], learners=["text"],
                 budget="2 trials", **QUICK)  # fmt: skip
    assert result.exit is Exit.MET
    (dataset,) = (p["dataset"] for p in payloads(result, "dataset"))
    assert (dataset["task"], dataset["tags"]) == ("tagging", ["B-LOC", "B-PER", "I-PER", "O"])
    verdict = payloads(result, "verdict")[0]
    metrics = {s["metric"]: s for s in verdict["scores"]}
    assert {"span_f1", "span_precision", "span_recall", "word_accuracy", "word_loss"} <= set(
        metrics
    )
    f1 = metrics["span_f1"]
    assert f1["low"] < f1["estimate"] <= f1["high"] <= 1
    found = evidence.collect(result.records)
    types = {t["kind"]: t for t in found["tags"]["types"]}
    assert set(types) == {"LOC", "PER"}
    assert types["PER"]["low"] < types["PER"]["recall"] <= types["PER"]["high"]
    page = html.render(found)
    assert "What it labels" in page
    asked = pd.DataFrame({"words": [["we", "asked", "Karia", "about", "Moton"], []]})
    model = saved.load(result.folder)
    first, second = model.predict(asked)
    assert (first, second) == (["O", "O", "B-PER", "O", "B-LOC"], [])
    frame = model.predict_frame(asked)
    assert [json.loads(cell) for cell in frame["ner"]] == [first, []]
    with pytest.raises(SpecError, match="one class or value of a row"):
        model.predict_frame(asked, explain=True)
    rows = places(20, seed=9)
    again = subprocess.run(
        [sys.executable, "-c", _LOAD, str(result.folder), rows.to_json(orient="records")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert bytes.fromhex(again.stdout.strip()) == model.raw(rows).tobytes()


_LOAD = """
import json, sys
import pandas as pd
from pathlib import Path
from attain.pipeline import saved
rows = pd.DataFrame(json.loads(sys.argv[2]))
print(saved.load(Path(sys.argv[1])).raw(rows).tobytes().hex())
"""


def test_statements_that_do_not_fit_labels_of_words(run):
    """A metric of classes is answered with one of spans; lengths that differ are named."""
    with pytest.raises(SpecError, match=r"f1.*tagging.*span_f1"):
        run(data=places(60), target="ner", objectives=["f1 >= 0.5"], **QUICK)
    odd = places(60)
    odd.at[3, "ner"] = ["O"]
    with pytest.raises(DataError, match=r"every word needs one label .*1 labels in row 3"):
        run(data=odd, target="ner", objectives=["span_f1"], **QUICK)

"""Whole studies of labels of words: from lists or CoNLL files to predictions and a page."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import DataError, Exit, NotApplicable, SpecError
from attain.core.protocols import FitData
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.table import to_rows
from attain.integrations.sklearn import from_folder
from attain.learners.baseline import Baseline
from attain.pipeline import exports, saved, template
from attain.pipeline.spec import load_spec
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
    with pytest.raises(SpecError, match=r"classes or labels of a row.*tagging"):
        model.predict_frame(asked, proba=True)
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


def test_a_study_file_says_what_was_found(tmp_path, run):
    """`attain init` infers labels of words from a CoNLL file and says why; the file can be read."""
    lines = [
        "\n".join(f"{w}\t{t}" for w, t in zip(*pair, strict=True))
        for pair in places(40).itertuples(index=False)
    ]
    (tmp_path / "names.conll").write_text("\n\n".join(lines))
    path = template.init(str(tmp_path / "names.conll"), "labels", folder=tmp_path)
    text = path.read_text()
    assert "task: tagging" in text
    assert "as many labels as 'words' has words" in text
    assert "- maximize span_f1    #" in text
    assert "# auto, or some of: text\n" in text
    spec = load_spec(path)
    assert (spec.task, spec.target) == ("tagging", "labels")


def test_a_model_of_words_is_no_estimator(tmp_path):
    """An export to scikit-learn is refused, with what to use instead."""
    rows = load_frame(places(30))
    known = describe(rows, target="ner")
    model = Baseline().fit({}, FitData(known, to_rows(rows, known)), None)
    saved.save(tmp_path / "m", model, learner="baseline", config={}, dataset=known, about={})
    with pytest.raises(NotApplicable, match=r"more than that — use attain\.load"):
        from_folder(tmp_path / "m")
    document = exports.document(saved.load(tmp_path / "m"))
    assert set(document["learner"]) == {"tags.json", "frequent.json", "frequent.npz"}

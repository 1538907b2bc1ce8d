"""What the learner of texts says before it is tuned."""

import numpy as np
from text_toys import RUNGS, case, config, fit, parts

from attain.core.protocols import FitData
from attain.core.types import Task
from attain.learners._pretrained.forecast import Asked
from attain.learners.text import Text
from attain.parameters.narrow import narrow


def test_the_forecast_names_rungs_examples_and_lengths(tmp_path):
    """Trained numbers are those of real fits, examples are decoded, and nothing is changed."""
    dataset, rows = case(Task.MULTICLASS)
    train, stop, _ = parts(rows)
    before = Text().predict(fit(config("full"), dataset, rows), rows)
    found = Text().forecast(FitData(dataset, train, stop, seed=0, cache=tmp_path))
    assert [rung.name for rung in found.rungs] == list(RUNGS)
    assert all(r.usable and r.seconds > 0 and r.bytes > 0 and r.reason for r in found.rungs)
    for rung in found.rungs:
        wider = {"rank": 16} if rung.name == "lora" else {}
        assert rung.trainable == fit(config(rung.name, **wider), dataset, rows).facts["trained"]
    assert len(found.examples) == 3
    assert all(text.startswith("[CLS] ") for text, _ in found.examples)
    assert {label for _, label in found.examples} <= set(dataset.classes)
    assert found.facts["labels"] == "0 = bad, 1 = mixed, 2 = good"
    assert found.facts["max_length"] == 64
    median, p95, longest = (found.facts[f"tokens_{n}"] for n in ("median", "p95", "longest"))
    assert 5 < median <= p95 <= longest
    assert found.facts["cut_share"] == found.facts["without_tokens"] == 0
    assert np.array_equal(Text().predict(fit(config("full"), dataset, rows), rows), before)


def test_what_the_user_states_is_what_is_forecast(tmp_path, monkeypatch):
    """Rungs that are left out are not measured; stated epochs count as those of the fit."""
    from attain.learners._text import forecast

    dataset, rows = case(Task.MULTICLASS)
    train, stop, _ = parts(rows)
    data = FitData(dataset, train, stop, seed=0, cache=tmp_path)
    own = {"text": Text().space(dataset)}
    asked = []
    plain = forecast._tuned
    monkeypatch.setattr(
        forecast, "_tuned", lambda c, rung, *rest: asked.append(rung) or plain(c, rung, *rest)
    )
    told = {}
    for epochs in (2, 40):
        stated = narrow(own, {"text.rung": "full", "text.epochs": epochs})["text"]
        (told[epochs],) = Text().forecast(data, stated).rungs
    assert asked == ["full", "full"]
    assert told[40].seconds > 4 * told[2].seconds


def test_the_forecast_without_a_model_is_of_counting_words():
    """One rung, and no tokens to show."""
    dataset, rows = case(pretrained=False)
    found = Text().forecast(FitData(dataset, parts(rows)[0]))
    assert [rung.name for rung in found.rungs] == ["tfidf"]
    assert found.examples == ()


def test_a_rung_that_does_not_fit_into_memory_is_unusable(monkeypatch):
    """Running out of memory is an answer, not a crash."""
    from attain.learners._text import forecast

    def probe(*args, **options):
        raise MemoryError("11 GB are needed")

    monkeypatch.setattr("attain.learners._torch.memory.probe", probe)
    dataset, rows = case(rows=60)
    found = forecast.forecast(Asked(Text().space(dataset)), FitData(dataset, rows))
    assert [r.usable for r in found.rungs] == [True, True, False, False, False]
    assert "11 GB are needed" in found.rungs[4].reason
    assert np.isfinite(found.rungs[4].seconds) is np.False_

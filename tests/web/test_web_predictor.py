"""The prediction server: what it answers is what `predict` says, and bad input costs one answer."""

import asyncio
import http.client
import json
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import web_studies as world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attain.core.errors import ArtifactError, NotApplicable
from attain.core.protocols import FitData
from attain.core.types import ColumnKind, Task
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.table import to_rows
from attain.learners.baseline import Baseline
from attain.pipeline import saved
from attain.web import predictor
from attain.web.predictor import Predictor
from attain.web.serve import make_predictor

JSON = [("content-type", "application/json")]


def records(frame, count=5):
    """Rows as a caller sends them: missing is null, dates are text."""
    return json.loads(frame.head(count).to_json(orient="records", date_format="iso"))


@pytest.fixture(scope="module")
def made(model_folder):
    folder, frame = model_folder()
    return Predictor(folder, world.PORT), folder, frame


def ask(app, body, headers=JSON, method="POST", path="/predict"):
    parts = body if isinstance(body, list) else [body]
    return asyncio.run(world.call(app, method, path, headers, parts))


def sent(app, rows):
    return ask(app, json.dumps({"rows": rows}).encode())


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.MULTILABEL, Task.REGRESSION])
def test_answers_are_those_of_predict(model_folder, task):
    """Labels, probabilities and values equal what `attain predict` gives for the same rows."""
    folder, frame = model_folder(task=task)
    app = Predictor(folder, world.PORT)
    found = sent(app, records(frame, 40)).json()
    proba = task is not Task.REGRESSION
    expected = saved.load(folder).predict_frame(frame.head(40), proba=proba)
    target = app.model.dataset.target
    assert found["rows"] == 40
    if task is Task.REGRESSION:
        assert np.allclose(found["predictions"], expected[target])
        return
    wanted = expected[target].tolist()
    lists = task is Task.MULTILABEL  # which `attain predict` writes as the target is written
    assert found["predictions"] == ([json.loads(said) for said in wanted] if lists else wanted)
    for label, chances in found["probabilities"].items():
        assert np.allclose(chances, expected[f"{target}={label}"], atol=1e-8)


def test_words_are_sent_as_lists_and_get_a_label_each(tmp_path):
    """A cell may be a list of texts where words have labels; answers are lists of labels."""
    words = [["Anna", "sings"], ["in", "Oslo"]] * 10
    table = pd.DataFrame({"words": words, "ner": [["PER", "O"], ["O", "LOC"]] * 10})
    known = describe(load_frame(table), target="ner")
    learner = Baseline()
    model = learner.fit({}, FitData(known, to_rows(load_frame(table), known)), None)
    saved.save(tmp_path / "m", model, learner="baseline", config={}, dataset=known, about={})
    app = Predictor(tmp_path / "m", world.PORT)
    found = sent(app, [{"words": ["Anna", "in", "Oslo"]}, {"words": []}, {"words": None}]).json()
    assert found["predictions"] == [["PER", "O", "LOC"], [], []]
    refused = sent(app, [{"words": ["Anna", 1]}])
    assert refused.status == 422
    assert "a cell is text" in json.dumps(refused.json())


def test_a_list_alone_null_and_unknown_columns_are_taken(made):
    """Rows may come without a wrapper, null is missing, other columns are ignored and named."""
    app, _, frame = made
    rows = records(frame, 2)
    name = next(iter(rows[0]))
    rows[0][name] = None
    rows[1]["no such column"] = 1
    found = ask(app, json.dumps(rows).encode()).json()
    assert len(found["predictions"]) == 2
    assert found["ignored"] == ["no such column"]


def test_the_model_says_what_it_needs(made):
    """GET / names each column with its kind, the classes and the model's digest."""
    app, folder, frame = made
    found = ask(app, b"", [], "GET", "/").json()
    assert [c["name"] for c in found["columns"]] == list(frame.columns)
    assert found["classes"] == list(app.model.dataset.classes)
    assert found["digest"] == saved.load(folder).digest
    assert ask(app, b"", [], "GET", "/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body must be JSON"),
        (b"{", "the body must be JSON"),
        (b"\xff\xfe", "the body must be JSON"),
        (b'[{"a": NaN}]', "send null for a missing number"),
        (b'[{"a": Infinity}]', "send null for a missing number"),
        (b"[" * 200_000, "endless nesting"),
        (b'"text"', "there must be rows"),
        (b'{"rows": []}', "there must be rows"),
        (b'{"rows": {"a": 1}}', "there must be rows"),
        (b"[1, 2]", "a row is an object"),
        (b'[{"a": [1]}]', "rows[0].a: a cell is text"),
        (b'[{"a": {"b": 1}}]', "rows[0].a: a cell is text"),
        (b"[{}]", "every row must have the model's columns"),
    ],
)
def test_bad_bodies_are_told_what_is_wrong(made, body, words):
    """Each says the rule, the value and the place; nothing of the inside is shown."""
    answer = ask(made[0], body)
    assert answer.status == 422
    assert words in answer.json()["error"]
    assert answer.json()["problems"][0]["rule"]
    assert "Traceback" not in answer.body.decode()


def test_wrong_columns_and_cells_are_named(made):
    """A misspelt column gets the nearest name, a cell that is no number its column."""
    app, _, frame = made
    kinds = {c.name: c.kind for c in app.model.dataset.features}
    number = next(n for n in frame.columns if kinds[n] is ColumnKind.NUMERIC)
    rows = records(frame, 3)
    rows[1][f"{number}x"] = rows[1].pop(number)
    answer = sent(app, rows)
    assert answer.status == 422
    assert f"no '{number}' in row 1" in answer.json()["error"]
    assert f"did you mean '{number}x'" in answer.json()["error"]
    rows = records(frame, 3)
    rows[2][number] = "a lot"
    answer = sent(app, rows)
    assert answer.status == 422
    assert number in answer.json()["error"]
    assert "a lot" in answer.json()["error"]


@pytest.mark.parametrize(
    "cell", [10**400, -(10**400), 1e308, True, "\ud800", "\x00", "x" * 100_000]
)
def test_odd_cells_never_break_the_server(made, cell):
    """Endless numbers, half characters and long texts get a prediction or a reason."""
    app, _, frame = made
    for name in frame.columns:
        rows = records(frame, 1)
        rows[0][name] = cell
        answer = sent(app, rows)
        assert answer.status in (200, 422), (name, answer.body[:200])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_body_breaks_the_server(made, data):
    """Whatever JSON comes, the answer is JSON with a status that says whose fault it is."""
    app, _, frame = made
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    cells = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
    row = st.fixed_dictionaries(dict.fromkeys(frame.columns, cells))
    rows = data.draw(st.lists(row, max_size=3) | cells)
    text = json.dumps(rows)
    answer = ask(app, text.encode())
    assert answer.status in (200, 422)
    assert answer.json()


def test_large_requests_are_refused(made, monkeypatch):
    """Too many bytes, announced or not, and too many rows get a status of their own."""
    app, _, frame = made
    monkeypatch.setattr(predictor, "MOST_BYTES", 1_000)
    assert ask(app, [b"[" + b" " * 600, b" " * 600]).status == 413
    assert ask(app, b"[]", [*JSON, ("content-length", "1001")]).status == 413
    assert ask(app, b"[]", [*JSON, ("content-length", "9" * 4_000)]).status == 413
    monkeypatch.setattr(predictor, "MOST_BYTES", 10_000_000)
    monkeypatch.setattr(predictor, "MOST_ROWS", 3)
    assert sent(app, records(frame, 3)).status == 200
    answer = sent(app, records(frame, 4))
    assert (answer.status, "at most 3 rows" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/predict", [], 415),
        ("POST", "/predict", [("content-type", "text/plain")], 415),
        ("POST", "/predict", [("content-type", "application/x-www-form-urlencoded")], 415),
        ("GET", "/predict", [], 405),
        ("POST", "/", JSON, 405),
        ("OPTIONS", "/predict", [], 405),
        ("PUT", "/predict", JSON, 405),
        ("DELETE", "/", [], 405),
        ("GET", "/../model.json", [], 404),
        ("GET", "/static/x", [], 404),
        ("POST", "/predict", [*JSON, ("host", "evil.example")], 421),
        ("POST", "/predict", [*JSON, ("host", world.HOST), ("host", "evil.example")], 421),
        ("POST", "/predict", [*JSON, ("origin", "http://evil.example")], 403),
        ("POST", "/predict", [*JSON, ("origin", "null")], 403),
        ("POST", "/predict", [*JSON, ("sec-fetch-site", "cross-site")], 403),
        ("GET", "/health", [("sec-fetch-site", "same-site")], 403),
    ],
)
def test_what_may_not_come_in_is_refused(made, method, path, headers, status):
    """Rebound hosts, foreign pages, other methods, forms and paths: refused, and not answered."""
    body = json.dumps(records(made[2], 1)).encode()
    answer = ask(made[0], body, headers, method, path)
    assert answer.status == status
    assert "predictions" not in answer.json()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def test_a_bug_costs_one_answer_and_shows_nothing(made, monkeypatch):
    """When the model fails the caller learns that, the server goes on."""
    app, _, frame = made
    monkeypatch.setattr(app.model, "raw", lambda rows: 1 / 0)
    answer = sent(app, records(frame, 1))
    assert answer.status == 500
    assert "division" not in answer.body.decode()
    monkeypatch.undo()
    assert sent(app, records(frame, 1)).status == 200


def test_a_crowd_is_told_to_come_again(made, monkeypatch):
    """Requests beyond those that may wait get 503 at once, and later ones are answered."""
    app, _, frame = made
    monkeypatch.setattr(predictor, "MOST_AT_ONCE", 2)
    body = json.dumps(records(frame, 1)).encode()
    raw = app.model.raw
    monkeypatch.setattr(app.model, "raw", lambda rows: (time.sleep(0.2), raw(rows))[1])

    async def crowd():
        return await asyncio.gather(
            *(world.call(app, "POST", "/predict", JSON, [body]) for _ in range(6))
        )

    statuses = sorted(a.status for a in asyncio.run(crowd()))
    assert statuses == [200, 200, 503, 503, 503, 503]
    assert ask(app, body).status == 200


def test_a_body_that_never_comes_is_given_up(made, monkeypatch):
    """A caller that stays silent does not hold its place for ever."""
    monkeypatch.setattr(predictor, "MOST_SECONDS", 0.1)
    assert ask(made[0], []).status == 408


def test_models_that_read_files_are_not_served(made, monkeypatch):
    """A caller could name any file of the machine."""
    _, folder, _ = made
    model = saved.load(folder)
    columns = [replace(c, kind=ColumnKind.IMAGE) for c in model.dataset.columns]
    model.dataset = replace(model.dataset, columns=tuple(columns))
    monkeypatch.setattr(predictor.saved, "load", lambda folder: model)
    with pytest.raises(NotApplicable, match="any file of this machine"):
        Predictor(folder, world.PORT)


def test_a_folder_without_a_model_gives_its_port_back(tmp_path):
    """What is no model is refused by name, and nothing keeps listening."""
    with pytest.raises(ArtifactError, match="not a model folder"):
        make_predictor(tmp_path)


@pytest.fixture(scope="module")
def served(made):
    ready = make_predictor(made[1])
    thread = threading.Thread(target=ready.serve, daemon=True)
    thread.start()
    yield ready.address
    ready.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_single_rows_are_answered_quickly_over_a_socket(made, served):
    """Over a kept connection the median of 100 single rows is far below a twentieth of a second."""
    _, _, frame = made
    host = served.removeprefix("http://").rstrip("/")
    assert host.startswith("127.0.0.1:")
    connection = http.client.HTTPConnection(host, timeout=30)
    body, took = json.dumps(records(frame, 1)), []
    for _ in range(100):
        began = time.perf_counter()
        connection.request("POST", "/predict", body, dict(JSON))
        answer = connection.getresponse()
        found = json.loads(answer.read())
        took.append(time.perf_counter() - began)
        assert answer.status == 200
    connection.close()
    assert math.isclose(sum(c[0] for c in found["probabilities"].values()), 1.0, abs_tol=1e-6)
    assert np.median(took) < 0.05 * 4  # a busy machine is given four times as long

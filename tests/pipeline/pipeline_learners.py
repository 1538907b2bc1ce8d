"""Learners for the pipeline's tests, found by address."""

from __future__ import annotations

import zlib
from dataclasses import fields
from typing import Any

import numpy as np

from attain.core.space import Categorical, Float, Space
from attain.testing.fakes import FakeLearner, FakeModel


class AlwaysRaises(FakeLearner):
    """Every fit fails."""

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        raise ValueError("this learner never learns")


class Forgetful(FakeLearner):
    """Its saved model predicts something else."""

    def load(self, folder: Any) -> Any:
        from dataclasses import replace

        model = super().load(folder)
        return replace(model, weights=model.weights * 0.5)


class Confused(FakeLearner):
    """Learns from shuffled targets, so that it is worse than a plain linear model."""

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        from dataclasses import replace

        shuffled = np.random.default_rng(data.seed).permutation(data.train.y)
        train = replace(data.train, y=shuffled)
        return super().fit(config, replace(data, train=train), report)


class Uneven(FakeLearner):
    """Learns from targets of which a stated share is shuffled: most of its space loses clearly."""

    def space(self, dataset: Any) -> Space:
        return Space((Float(name="shuffled", low=0.0, high=1.0, default=0.0, source="test"),))

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        from dataclasses import replace

        y, rng = data.train.y.copy(), np.random.default_rng(data.seed)
        share = config["shuffled"] ** 0.3
        part = rng.choice(len(y), int(len(y) * share), replace=False)
        y[part] = rng.permutation(y[part])
        full = {"penalty": 0.01, "rate": 0.5, "rounds": 40}
        return super().fit(full, replace(data, train=replace(data.train, y=y)), report)


class Sharp(FakeLearner):
    """Learns what there is to learn, whatever is asked, and is four times too sure of it."""

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        return super().fit({"penalty": 0.01, "rate": 0.5, "rounds": 40}, data, report)

    def predict(self, model: Any, rows: Any) -> Any:
        sure = super().predict(model, rows) ** 4
        return sure / sure.sum(axis=1, keepdims=True)


class SureOrModest(Sharp):
    """Knows all and is far too sure of it, or has seen a third of the rows and is not."""

    def space(self, dataset: Any) -> Space:
        kind = Categorical(name="kind", choices=("modest", "sure"), default="modest", source="test")
        return Space((kind,))

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        if config["kind"] == "modest":
            from dataclasses import replace

            y, rng = data.train.y.copy(), np.random.default_rng(data.seed)
            part = rng.choice(len(y), len(y) // 3, replace=False)
            y[part] = rng.permutation(y[part])
            data = replace(data, train=replace(data.train, y=y))
        fitted = super().fit(config, data, report)
        fitted.facts["kind"] = config["kind"]
        return fitted

    def predict(self, model: Any, rows: Any) -> Any:
        if model.facts.get("kind") == "modest":
            return FakeLearner.predict(self, model, rows)
        return super().predict(model, rows)


class Guess(FakeLearner):
    """Guesses afresh with every model, so that the best of many is best by luck alone."""

    def predict(self, model: Any, rows: Any) -> Any:
        rng = np.random.default_rng(zlib.crc32(model.weights.tobytes()))
        second = rng.random(len(rows))
        return np.stack([1 - second, second], axis=1)


class Scribbler(FakeLearner):
    """Its saved model has files that no reader of attain's models knows."""

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        fitted = super().fit(config, data, report)
        return ScribbledModel(**{f.name: getattr(fitted, f.name) for f in fields(fitted)})


class ScribbledModel(FakeModel):
    """Writes text, bytes, JSON with a number that is none, and arrays of several kinds."""

    def save(self, folder: Any) -> None:
        super().save(folder)
        (folder / "deep").mkdir()
        (folder / "deep" / "notes.txt").write_text("naïve\n", encoding="utf-8")
        (folder / "raw.bin").write_bytes(b"\xff\x00\xfe")
        (folder / "odd.json").write_text('{"loss": NaN}', encoding="utf-8")
        (folder / "broken.json").write_text("{", encoding="utf-8")
        days = np.array(["2024-02-29"], dtype="datetime64[D]")
        gaps = np.array([[1.5, np.nan], [np.inf, -np.inf]], dtype=np.float32)
        np.savez(folder / "more.npz", words=np.array(["é", ""]), days=days, gaps=gaps)

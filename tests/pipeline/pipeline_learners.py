"""Learners for the pipeline's tests, found by address."""

from __future__ import annotations

from typing import Any

import numpy as np

from attain.testing.fakes import FakeLearner


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

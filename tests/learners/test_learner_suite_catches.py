"""The conformance suite fails learners that break a promise, saying which."""

import itertools
import pickle

import numpy as np
import pytest

from attain.core.errors import ArtifactError, NotApplicable
from attain.core.space import Float, Space
from attain.core.types import Task
from attain.learners.lightgbm_ import LightGBM
from attain.learners.linear import Linear
from attain.testing.learner_suite import check_learner, check_space


class Changed:
    """A model whose answers pass through a function."""

    def __init__(self, model, change):
        self.model, self.change, self.facts = model, change, model.facts

    def save(self, folder):
        self.model.save(folder)


class Broken(Linear):
    """An honest learner; subclasses break one promise each."""

    def change(self, found):
        return found

    def fit(self, config, data, report):
        return Changed(super().fit(config, data, report), self.change)

    def predict(self, model, rows):
        return model.change(super().predict(model.model, rows))

    def load(self, folder):
        return Changed(super().load(folder), self.change)


class WrongShape(Broken):
    def change(self, found):
        return found[:, :1]


class NotANumber(Broken):
    def change(self, found):
        return found * np.nan


class DoesNotSumToOne(Broken):
    def change(self, found):
        return found * 0.9


class Random(Broken):
    counter = itertools.count()

    def change(self, found):
        found = found + 1e-9 * next(self.counter)
        return found / found.sum(axis=1, keepdims=True)


class ChangesRows(Broken):
    def fit(self, config, data, report):
        data.train.X.loc[data.train.X.index[0], "size"] = 1e6
        return super().fit(config, data, report)


class ChangesPredictedRows(Broken):
    def predict(self, model, rows):
        rows.X["constant"] = 0.0
        return super().predict(model, rows)


class ChangesConfig(Broken):
    def fit(self, config, data, report):
        model = super().fit(config, data, report)
        config["C"] = 1.0001
        return model


class DependsOnItsNeighbours(Broken):
    def change(self, found):
        return np.full_like(found, 0.5) if len(found) == 1 else found


class ForgetsOnSaving(Broken):
    def load(self, folder):
        model = super().load(folder)
        model.change = lambda found: found[:, ::-1]
        return model


class Pickles(Broken):
    def fit(self, config, data, report):
        model = super().fit(config, data, report)
        model.save = lambda folder: (folder / "model").write_bytes(pickle.dumps(1))
        return model


class LoadsNothing(Broken):
    def load(self, folder):
        try:
            return super().load(folder)
        except ArtifactError:
            return None


class IgnoresStop(Broken):
    def fit(self, config, data, report):
        for step in range(5):
            report(step, {"train": 1.0})
        return super().fit(config, data, report)


class IgnoresHints(LightGBM):
    def _fit(self, config, sample, report):
        core, facts = super()._fit(config, sample, report)
        return core, {**facts, "rounds": 17}


class NoSource(Broken):
    def space(self, dataset):
        return Space((Float(name="C", low=0.1, high=1.0, default=0.5),))


BROKEN = {
    WrongShape: "shape must be",
    NotANumber: "must be finite",
    DoesNotSumToOne: "must sum to 1",
    Random: "the same seed must give the same model",
    ChangesRows: "fit must not change the rows",
    ChangesPredictedRows: "predict must not change the rows",
    ChangesConfig: "must not change its configuration",
    DependsOnItsNeighbours: "alone must give what it gives among others",
    ForgetsOnSaving: "predict the same to the last bit",
    Pickles: "is a pickle",
    LoadsNothing: "must raise ArtifactError",
    IgnoresStop: "must end at STOP",
    IgnoresHints: "hints asked for 3 rounds",
    NoSource: "must say where its range and default come from",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda kind: kind.__name__)
def test_each_broken_promise_is_found(broken):
    """A learner with one fault fails, with a message about that fault."""
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        check_learner(broken, tasks=(Task.BINARY,), configs=1)


def test_a_learner_that_does_not_apply_passes():
    """NotApplicable with a reason is an answer."""

    class NotMine(Linear):
        def space(self, dataset):
            raise NotApplicable("never for anything")

    check_learner(NotMine)


def test_a_learner_that_does_not_apply_must_say_why():
    """NotApplicable without a reason is not."""

    class Mute(Linear):
        def space(self, dataset):
            raise NotApplicable

    with pytest.raises(AssertionError, match="must say why"):
        check_learner(Mute)


def test_every_parameter_needs_a_known_good_default():
    """The middle of a range is a guess."""
    parameter = Float(name="C", low=0.1, high=1.0, source="a test")
    with pytest.raises(AssertionError, match="must have a known-good default"):
        check_space(Space((parameter,)), "mine")


def test_the_honest_learner_under_them_passes():
    """What the broken ones change is what fails them."""
    check_learner(Broken, tasks=(Task.BINARY,), configs=1)

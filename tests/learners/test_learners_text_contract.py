"""Every rung of the learner of texts keeps the contract of all learners."""

from dataclasses import replace

import pytest
from text_toys import RUNGS, TUNED, encoder

from attain.core.protocols import Forecasting, Learner
from attain.core.types import Task
from attain.learners.text import Text
from attain.testing.learner_suite import check_learner


def on_rung(rung):
    """The learner as it is when a tiny model is named and the search stands on one rung."""

    class OnRung(Text):
        def space(self, dataset):
            return super().space(replace(dataset, pretrained=encoder()))

        def fit(self, config, data, report):
            data = replace(data, dataset=replace(data.dataset, pretrained=encoder()))
            return super().fit(
                {"epochs": 2, **config, "rung": rung}
                if rung in TUNED
                else {**config, "rung": rung},
                data,
                report,
            )

    return OnRung


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("task", [task for task in Task if not task.counted])
def test_every_rung_keeps_the_contract(rung, task):
    """The whole suite, on the text column among many others."""
    check_learner(on_rung(rung), tasks=(task,), configs=1)


def test_without_a_model_the_contract_holds_too():
    """TF-IDF alone passes the whole suite; the learner can forecast."""
    check_learner(Text, configs=2)
    assert isinstance(Text(), Learner)
    assert isinstance(Text(), Forecasting)

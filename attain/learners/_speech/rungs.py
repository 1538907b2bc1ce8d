"""The rungs: how each one makes a model that writes down what it hears."""

from __future__ import annotations

from typing import cast

from attain.core.errors import Problem, SpaceError, did_you_mean
from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.core.types import ColumnKind, Dataset
from attain.learners._media.columns import find_columns
from attain.learners._pretrained.load import resident
from attain.learners._speech import parameters
from attain.learners._speech.lesson import check_taught, teach
from attain.learners._speech.model import SpeechModel
from attain.learners._speech.network import SpeechBody, load_speech
from attain.learners._torch.device import pick


def resident_body(dataset: Dataset) -> SpeechBody:
    """The network as it was loaded, on the fastest device."""
    assert dataset.pretrained is not None  # the space does not apply without it
    found = resident(dataset.pretrained, device=str(pick()), load=load_speech)
    return cast("SpeechBody", found)


def fit(config: Config, data: FitData, report: Report) -> SpeechModel:
    """A model that writes down what it hears.

    Args:
        config: Complete.
        data: The rows.
        report: Told how it goes; on the rung ``as_is`` nothing is told, since nothing is trained.

    Returns:
        A model; above ``as_is`` it has a network of its own.

    Raises:
        SpaceError: When there is no such rung.
        DataError: When no training row can be learnt.
    """
    from attain.learners._speech.tuning import tune

    rung = str(config["rung"])
    if rung not in parameters.RUNGS:
        rule, remedy = "a rung must exist", did_you_mean(rung, parameters.RUNGS)
        raise SpaceError(Problem(rule, rung, "rung", remedy))
    dataset, body = data.dataset, resident_body(data.dataset)
    columns, target = find_columns(dataset, ColumnKind.AUDIO), dataset.target
    if rung == parameters.AS_IS:
        facts = {"rung": rung, "trained": 0, "rows": len(data.train)}
        return SpeechModel(
            lambda: resident_body(dataset), columns, target, facts, body.digest, data.threads,
            data.cache,
        )  # fmt: skip
    train = teach(body, columns, target, data.train, data.cache)
    check_taught(train)
    stop = None if data.stop is None else teach(body, columns, target, data.stop, data.cache)
    held = stop if stop is not None and len(stop) else None
    own, found = tune(config, body, train, held, data, report)
    facts = {"rung": rung, **train.facts, **found}
    return SpeechModel(lambda: own, columns, target, facts, body.digest, data.threads, data.cache)

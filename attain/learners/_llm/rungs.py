"""The rungs: how each one makes a model that writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attain.core.errors import DataError, Problem
from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._llm import parameters
from attain.learners._llm.lesson import Taught, choose_shots, find_habits, teach
from attain.learners._llm.model import LlmModel
from attain.learners._pretrained.load import Body, resident
from attain.learners._torch.device import pick


def resident_body(data: FitData) -> Body:
    """The model as it was loaded, on the fastest device."""
    assert data.dataset.pretrained is not None  # the space does not apply without it
    return resident(data.dataset.pretrained, device=str(pick()), writes=True)


def _base(config: Config, data: FitData) -> Body:
    """What is tuned: the model as it was loaded, or a copy of it in 4 bits.

    That copy is made of a body in main memory: on a GPU the two never lie side by side.
    """
    if int(config.get("base_bits", parameters.WHOLE)) == parameters.WHOLE:
        return resident_body(data)
    from attain.learners._pretrained.load import let_go
    from attain.learners._pretrained.quantized import quantized

    assert data.dataset.pretrained is not None
    device = pick()
    if device.type != "cpu":
        let_go(data.dataset.pretrained, str(device))
    return quantized(resident(data.dataset.pretrained, device="cpu", writes=True), device)


def lesson(data: FitData, body: Body) -> tuple[Taught, Taught | None]:
    """What the training rows teach, and the rows to stop on.

    Args:
        data: The rows.
        body: The model.

    Returns:
        Nothing to stop on where none of those rows can be learnt.

    Raises:
        DataError: When no training row has anything to learn.
    """
    train = teach(body, data.dataset, data.train)
    if not len(train.coded):
        rule, why = "training rows must have answers to learn", train.why or str(dict(train.facts))
        raise DataError(Problem(rule, why, "training rows", "see the findings D060 to D064"))
    stop = None if data.stop is None else teach(body, data.dataset, data.stop)
    return train, stop if stop is not None and len(stop.coded) else None


def fit_prompt(config: Config, data: FitData, report: Report) -> LlmModel:
    """The model as it is."""
    body = resident_body(data)
    train, _ = lesson(data, body)
    habits = find_habits(body, data.dataset, train)
    facts = {"rung": config["rung"], "trained": 0, **train.facts}
    return LlmModel(lambda: resident_body(data), habits, facts, body.digest)


def fit_shots(config: Config, data: FitData, report: Report) -> LlmModel:
    """The model as it is, with some training rows before each prompt."""
    body = resident_body(data)
    train, _ = lesson(data, body)
    shots = choose_shots(body, train, int(config["shots"]), data.seed)
    habits = find_habits(body, data.dataset, train, shots)
    told = sum(message["role"] == "assistant" for message in shots)
    facts = {"rung": config["rung"], "trained": 0, "shots": told, **train.facts}
    return LlmModel(lambda: resident_body(data), habits, facts, body.digest)


def fit_tuned(config: Config, data: FitData, report: Report) -> LlmModel:
    """Adapters or all layers."""
    from attain.learners._llm.tuning import tune

    body = _base(config, data)
    train, stop = lesson(data, body)
    habits = find_habits(body, data.dataset, train)
    tuned = tune(config, body, train, stop, data, report)
    own = tuned.body
    facts: dict[str, Any] = {"rung": config["rung"], **train.facts, **tuned.facts}
    assert data.dataset.pretrained is not None
    source = data.dataset.pretrained.folder
    return LlmModel(lambda: own, habits, facts, own.digest, tuned.adapter, source)


RUNGS: Mapping[str, Callable[[Config, FitData, Report], LlmModel]] = {
    parameters.PROMPT: fit_prompt,
    parameters.FEW_SHOT: fit_shots,
    parameters.LORA: fit_tuned,
    parameters.FULL: fit_tuned,
}

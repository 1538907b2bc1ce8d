"""Tuning a network of speech: its head, adapters, or all but its convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained.adapters import Adapter, LoraConfig, put_on
from attain.learners._pretrained.headed import dropped
from attain.learners._pretrained.tuning import EVALUATE, own, repeat
from attain.learners._speech import parameters
from attain.learners._speech.lesson import Taught
from attain.learners._speech.network import Listener, Reader, SpeechBody
from attain.learners._speech.states import States
from attain.learners._speech.work import Dictation, FromStates, FromWaves
from attain.learners._torch.optimizer import one_group
from attain.learners._torch.recipe import Recipe

_RATES: Mapping[str, str] = {
    parameters.HEAD: "head_learning_rate",
    parameters.LORA: "lora_learning_rate",
    parameters.FULL: "learning_rate",
}


@dataclass(frozen=True, eq=False)
class Setting:
    """What the loop is given.

    Attributes:
        net: What is trained in place.
        work: Rows and loss.
        recipe: How.
        adapter: On the network, if there is one.
        dropout: Share for all dropout in the network.
        facts: What is known beforehand; plain JSON values.
    """

    net: nn.Module
    work: Dictation
    recipe: Recipe
    adapter: Adapter | None
    dropout: float
    facts: Mapping[str, Any]


def recipe(config: Config) -> Recipe:
    """What the loop is told, given a configuration of a rung that is trained."""
    return Recipe(
        epochs=float(config["epochs"]),
        batch=int(config["batch"]),
        learning_rate=float(config[_RATES[str(config["rung"])]]),
        weight_decay=float(config["weight_decay"]),
        evaluate=EVALUATE,
        compile=False,
    )


def prepare(
    config: Config,
    body: SpeechBody,
    train: Taught,
    stop: Taught | None,
    seed: int,
    cache: Path | None,
) -> Setting:
    """Network, rows and recipe of a rung that is trained.

    Args:
        config: A configuration.
        body: As it was loaded; on the rungs above ``head`` it is changed in place.
        train: Rows to learn from.
        stop: Rows to stop on, or None.
        seed: Of adapters.
        cache: `FitData.cache`.

    Returns:
        What the loop is given.
    """
    told, about = recipe(config), f"{body.digest} {sorted(config.items())}"
    share = float(config["dropout"])
    if config["rung"] == parameters.HEAD:
        states = States(body, train, cache)
        held = None if stop is None else States(body, stop, cache)
        facts = {"states_kept": states.kept, "states_bytes": states.bytes}
        reader = Reader(body.head, share).to(body.net.device)
        work = FromStates(body, train, states, stop, held, about)
        return Setting(reader, work, told, None, share, facts)
    adapter = None
    if config["rung"] == parameters.LORA:
        shape = LoraConfig(int(config["rank"]), parameters.ALPHA, share)
        adapter = put_on(body.net, shape, seed=seed)
        for parameter in body.head.parameters():
            parameter.requires_grad_(True)
    else:
        for parameter in body.net.base_model.feature_extractor.parameters():
            parameter.requires_grad_(False)
    work_ = FromWaves(body, train, stop, about, config)
    return Setting(Listener(body), work_, told, adapter, share, {})


def tune(
    config: Config,
    body: SpeechBody,
    train: Taught,
    stop: Taught | None,
    data: FitData,
    report: Report,
) -> tuple[SpeechBody, dict[str, Any]]:
    """Tune a network of speech.

    Args:
        config: A configuration of a rung that is trained.
        body: As it was loaded; it is restored before its next use.
        train: Rows to learn from.
        stop: Rows to stop on, or None.
        data: Gives hints, seed, threads, cache and the folder of checkpoints.
        report: Told how it goes.

    Returns:
        A body of its own, adapters merged, and facts.
    """
    given = prepare(config, body, train, stop, data.seed, data.cache)
    alone = config["rung"] == parameters.HEAD
    with nullcontext() if alone else dropped(body.net, given.dropout):
        facts = repeat(given.net, given.work, given.recipe, one_group(given.net), data, report)
    if isinstance(given.net, Reader):
        with torch.no_grad():
            body.head.weight.copy_(given.net.head.weight)
            body.head.bias.copy_(given.net.head.bias)
    made = cast("SpeechBody", own(body, given.adapter))
    return made, {**given.facts, **facts}

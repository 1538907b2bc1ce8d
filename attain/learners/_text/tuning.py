"""Tuning a body together with its head: the last blocks, adapters, or all layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained import tuning
from attain.learners._pretrained.adapters import Adapter, LoraConfig, put_on
from attain.learners._pretrained.headed import Headed
from attain.learners._pretrained.layers import freeze_below
from attain.learners._pretrained.linear import Linear
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.prefix import Cut, Prefix, Read, States, learning, unread
from attain.learners._pretrained.tokens import Tokens
from attain.learners._text.network import Network, TextWork
from attain.learners._text.parameters import LAST, LORA
from attain.learners._torch.recipe import Recipe

ALPHA = 32.0
"""Scale of adapters: with alpha / rank the best rate hardly depends on the rank ("LoRA Without
Regret", Thinking Machines 2025)."""


def recipe(config: Config) -> Recipe:
    """What the loop is told, given a configuration of the rungs that tune a body."""
    if config["rung"] == LORA:
        return tuning.recipe(config, float(config["lora_learning_rate"]), 1.0)
    if config["rung"] == LAST:  # compiled code would not see that blocks are left out
        told = tuning.recipe(config, float(config["learning_rate"]), 1.0)
        return replace(told, compile=False)
    return tuning.recipe(config, float(config["learning_rate"]), float(config["layer_decay"]))


def adapt(config: Config, body: Body, seed: int) -> Adapter | None:
    """Let that part of the body learn which the rung tunes.

    Args:
        config: A configuration.
        body: As it was loaded.
        seed: Of the start of an adapter.

    Returns:
        The adapter, or None when there is none.
    """
    if config["rung"] == LAST:
        freeze_below(body.net, learning(config, body))
    if config["rung"] != LORA:
        return None
    shape = LoraConfig(int(config["rank"]), ALPHA, float(config["dropout"]))
    return put_on(body.net, shape, seed=seed)


def headed(net: Headed, config: Config, body: Body) -> Headed:
    """A network as the loop gets it.

    Args:
        net: Body and head.
        config: A configuration.
        body: The same body, adapted.

    Returns:
        The network, on the device of the body; what does not learn is only read.
    """
    if config["rung"] == LAST:
        net.cut_at(Cut(body.net, learning(config, body)))
    return net.to(body.net.device)


def reader(config: Config, body: Body, cache: Path | None, *, pretend: bool = False) -> Read:
    """What reads rows with the blocks that do not learn, before any learns.

    Args:
        config: A configuration.
        body: As it was loaded.
        cache: `FitData.cache`.
        pretend: Whether zeros will do, to see what a step costs.

    Returns:
        A function that gives no states on other rungs than ``last``, and where a body cannot be
        cut.
    """
    if config["rung"] != LAST:
        return unread
    prefix = Prefix(body, learning(config, body))

    def read(tokens: Tokens) -> States | None:
        if not len(tokens) or not prefix.fits(tokens):
            return None
        if pretend and prefix.has_room(tokens, cache):
            return prefix.pretended(tokens)
        return prefix.of(tokens, cache)

    return read


def spared(config: Config, body: Body, states: States | None) -> float:
    """Share of reading that is done once for a study instead of at each step.

    Args:
        config: A configuration.
        body: The body.
        states: Of the training rows, or None.

    Returns:
        In [0, 1): of blocks, which cost the same each.
    """
    if states is None or not states.once:
        return 0.0
    return 1 - learning(config, body) / body.layers


def tune(
    config: Config, body: Body, start: Linear, work: TextWork, data: FitData, report: Report
) -> tuning.Tuned:
    """Tune a body and a head.

    Args:
        config: A configuration of the rungs ``last``, ``lora`` or ``full``.
        body: As it was loaded; it is tuned in place and must be restored before its next use.
        start: The head to start from.
        work: Rows and loss.
        data: Gives hints, seed, threads and the folder of checkpoints.
        report: Told how it goes.

    Returns:
        A body of its own and the head.
    """
    adapter = adapt(config, body, data.seed)
    dropout = float(config["dropout"])
    net = headed(Network(body.net, str(config["pooling"]), start, dropout), config, body)
    inner = dropout if adapter is None else None
    told = recipe(config)
    return tuning.tune(net, work, told, body, data, report, adapter=adapter, dropout=inner)

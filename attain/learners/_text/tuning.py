"""Tuning a body together with its head: adapters, or all layers."""

from __future__ import annotations

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained import tuning
from attain.learners._pretrained.adapters import Adapter, LoraConfig, put_on
from attain.learners._pretrained.linear import Linear
from attain.learners._pretrained.load import Body
from attain.learners._text.network import Network, TextWork
from attain.learners._torch.recipe import Recipe

ALPHA = 32.0
"""Scale of adapters: with alpha / rank the best rate hardly depends on the rank ("LoRA Without
Regret", Thinking Machines 2025)."""


def recipe(config: Config) -> Recipe:
    """What the loop is told, given a configuration of the rungs ``lora`` and ``full``."""
    if config["rung"] == "lora":
        return tuning.recipe(config, float(config["lora_learning_rate"]), 1.0)
    return tuning.recipe(config, float(config["learning_rate"]), float(config["layer_decay"]))


def adapt(config: Config, body: Body, seed: int) -> Adapter | None:
    """Put an adapter on the body if the rung asks for one.

    Args:
        config: A configuration.
        body: As it was loaded.
        seed: Of its start.

    Returns:
        The adapter, or None when all layers are to be tuned.
    """
    if config["rung"] != "lora":
        return None
    shape = LoraConfig(int(config["rank"]), ALPHA, float(config["dropout"]))
    return put_on(body.net, shape, seed=seed)


def tune(
    config: Config, body: Body, start: Linear, work: TextWork, data: FitData, report: Report
) -> tuning.Tuned:
    """Tune a body and a head.

    Args:
        config: A configuration of the rungs ``lora`` or ``full``.
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
    net = Network(body.net, str(config["pooling"]), start, dropout).to(body.net.device)
    inner = dropout if adapter is None else None
    told = recipe(config)
    return tuning.tune(net, work, told, body, data, report, adapter=adapter, dropout=inner)

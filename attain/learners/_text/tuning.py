"""Tuning a body together with its head: adapters, or all layers."""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained.adapters import Adapter, LoraConfig, put_on
from attain.learners._pretrained.load import Body
from attain.learners._steps import fixed_rounds
from attain.learners._text.linear import Linear
from attain.learners._text.network import Network, TextWork, dropped, groups
from attain.learners._torch.batches import steps_per_epoch
from attain.learners._torch.loop import fit
from attain.learners._torch.recipe import Recipe

ALPHA = 32.0
"""Scale of adapters: with alpha / rank the best rate hardly depends on the rank ("LoRA Without
Regret", Thinking Machines 2025)."""
EVALUATE = 0.5
"""Epochs between evaluations: AutoGluon's AutoMM, ``val_check_interval``."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """What tuning leaves.

    Attributes:
        body: Of its own, so that the resident one may go on; adapters are merged.
        head: The head.
        adapter: Files of the adapter by name; empty if there was none.
        facts: Plain JSON values.
    """

    body: Body
    head: Linear
    adapter: Mapping[str, bytes]
    facts: Mapping[str, Any]


def recipe(config: Config) -> Recipe:
    """What the loop is told, given a configuration of the rungs ``lora`` and ``full``."""
    lora = config["rung"] == "lora"
    return Recipe(
        epochs=float(config["epochs"]),
        batch=int(config["batch"]),
        learning_rate=float(config["lora_learning_rate" if lora else "learning_rate"]),
        weight_decay=float(config["weight_decay"]),
        layer_decay=1.0 if lora else float(config["layer_decay"]),
        ema=float(config["ema"]),
        evaluate=EVALUATE,
    )


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
) -> Tuned:
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
    told, dropout = recipe(config), float(config["dropout"])
    net = Network(body.net, str(config["pooling"]), start, dropout).to(body.net.device)
    parts = groups(net)
    every = max(1, round(EVALUATE * steps_per_epoch(len(work.lengths), told.batch)))
    rounds = fixed_rounds(data.hints, math.ceil(told.epochs / EVALUATE))
    steps = None if rounds is None else rounds * every
    body_dropout = dropped(body.net, dropout) if adapter is None else nullcontext()
    with body_dropout:
        finished = fit(
            net, work, told, parts,
            report=report, seed=data.seed, threads=data.threads, checkpoint=data.checkpoint,
            steps=steps,
        )  # fmt: skip
    facts = {
        "rounds": max(1, round(finished.best_step / every)),
        "ending": finished.ending.value,
        "steps": finished.steps,
        "epochs": finished.epochs,
        "trained": sum(p.numel() for p in net.parameters() if p.requires_grad),
        **finished.facts,
    }
    files = {} if adapter is None else _files(adapter)
    return Tuned(_own(body, adapter), net.linear(), files, facts)


def _files(adapter: Adapter) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        adapter.save(Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def _own(body: Body, adapter: Adapter | None) -> Body:
    """A copy of the body with the weights as they are now, adapters merged, none on it."""
    if adapter is not None:
        adapter.merge()
    state = {n: t.detach().clone() for n, t in body.net.state_dict().items() if ".lora_" not in n}
    body.restored()
    net = copy.deepcopy(body.net)
    net.load_state_dict(state)
    net.eval()
    return dataclasses.replace(body, net=net, _originals={})

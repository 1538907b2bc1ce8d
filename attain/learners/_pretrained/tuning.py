"""Tuning a body together with its head, by the one loop."""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained.adapters import Adapter
from attain.learners._pretrained.headed import Headed, HeadWork, dropped, groups
from attain.learners._pretrained.linear import Linear
from attain.learners._pretrained.load import Body
from attain.learners._steps import fixed_rounds
from attain.learners._torch.batches import rounds_at, span
from attain.learners._torch.loop import fit
from attain.learners._torch.optimizer import Group
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.work import Work

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


def recipe(config: Config, learning_rate: float, layer_decay: float) -> Recipe:
    """What the loop is told.

    Args:
        config: Gives ``epochs``, ``batch``, ``weight_decay`` and ``ema``.
        learning_rate: Of the head and of whatever is next to it.
        layer_decay: As `Recipe` has it.

    Returns:
        The recipe.
    """
    return Recipe(
        epochs=float(config["epochs"]),
        batch=int(config["batch"]),
        learning_rate=learning_rate,
        weight_decay=float(config["weight_decay"]),
        layer_decay=layer_decay,
        ema=float(config["ema"]),
        evaluate=EVALUATE,
    )


def tune(
    net: Headed,
    work: HeadWork,
    told: Recipe,
    body: Body,
    data: FitData,
    report: Report,
    *,
    adapter: Adapter | None = None,
    dropout: float | None = None,
) -> Tuned:
    """Tune a body and a head.

    Args:
        net: Body and head; what requires gradients is tuned in place, so the body must be restored
            before its next use.
        work: Rows and loss.
        told: How.
        body: The same body, as it was loaded.
        data: Gives hints, seed, threads and the folder of checkpoints.
        report: Told how it goes.
        adapter: That is on the body, if there is one.
        dropout: Share for all dropout in the body; None to leave it as it is.

    Returns:
        A body of its own and the head.
    """
    with nullcontext() if dropout is None else dropped(body.net, dropout):
        facts = repeat(net, work, told, groups(net), data, report)
    files = {} if adapter is None else _files(adapter)
    return Tuned(own(body, adapter), net.linear(), files, facts)


def repeat(
    net: nn.Module,
    work: Work,
    told: Recipe,
    parts: Sequence[Group],
    data: FitData,
    report: Report,
) -> dict[str, Any]:
    """The loop, with the looks and the length of training that all fits of a body have.

    Args:
        net: Trained in place.
        work: Rows and loss.
        told: How.
        parts: What is trained.
        data: Gives hints, seed, threads and the folder of checkpoints.
        report: Told how it goes.

    Returns:
        Facts of the fit, plain JSON values.
    """
    every = span(len(work.lengths), told.batch, EVALUATE)
    rounds = fixed_rounds(data.hints, math.ceil(told.epochs / EVALUATE))
    finished = fit(
        net, work, told, parts,
        report=report, seed=data.seed, threads=data.threads, checkpoint=data.checkpoint,
        steps=None if rounds is None else math.ceil(rounds * every - 1e-9),
    )  # fmt: skip
    return {
        "rounds": rounds_at(finished.best_step, every, int(finished.facts["planned"])),
        "ending": finished.ending.value,
        "steps": finished.steps,
        "epochs": finished.epochs,
        "trained": sum(p.numel() for p in net.parameters() if p.requires_grad),
        **finished.facts,
    }


def _files(adapter: Adapter) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        adapter.save(Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def own(body: Body, adapter: Adapter | None) -> Body:
    """A copy of a body with the weights as they are now.

    Args:
        body: Restored afterwards.
        adapter: That is on it, if there is one; the copy has it merged.

    Returns:
        Another body, in evaluation mode.
    """
    if adapter is not None:
        adapter.merge()
    state = {n: t.detach().clone() for n, t in body.net.state_dict().items() if ".lora_" not in n}
    body.restored()
    net = copy.deepcopy(body.net)
    net.load_state_dict(state)
    net.eval()
    return dataclasses.replace(body, net=net, _originals={})

"""Tuning a causal model: adapters, or all layers; answers, or preferences."""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._llm import parameters
from attain.learners._llm.lesson import Taught
from attain.learners._llm.speak import Speaker
from attain.learners._llm.work import Pairs, Preference, Speech, said_before
from attain.learners._pretrained.adapters import Adapter, LoraConfig, put_on
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.quantized import expanded, in_bits
from attain.learners._steps import fixed_rounds
from attain.learners._torch import device as devices
from attain.learners._torch.batches import steps_per_epoch
from attain.learners._torch.loop import fit
from attain.learners._torch.optimizer import one_group
from attain.learners._torch.recipe import Recipe

EVALUATE = 0.5
"""Epochs between evaluations."""
_SPARE = 0.8
"""Share of the free memory that activations may take before they are computed twice instead."""
_KEPT = 2.0
"""Memory over `activation_bytes`: 1.7 was measured with adapters, whose inputs are kept, too."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """What tuning leaves.

    Attributes:
        body: Of its own, so that the resident one may go on; adapters are merged.
        adapter: Files of the adapter by name; empty if there was none.
        facts: Plain JSON values.
    """

    body: Body
    adapter: Mapping[str, bytes]
    facts: Mapping[str, Any]


def recipe(config: Config) -> Recipe:
    """What the loop is told, given a configuration of the rungs ``lora`` and ``full``."""
    lora = config["rung"] == parameters.LORA
    return Recipe(
        epochs=float(config["epochs"]),
        batch=int(config["batch"]),
        learning_rate=float(config["lora_learning_rate" if lora else "learning_rate"]),
        weight_decay=float(config["weight_decay"]),
        schedule="cosine",
        evaluate=EVALUATE,
        compile=False,
    )


def shape(config: Config) -> LoraConfig:
    """The adapter of a configuration of the rung ``lora``."""
    return LoraConfig(
        int(config["rank"]),
        parameters.ALPHA,
        float(config["dropout"]),
        bool(config["rank_stabilised"]),
        bool(config["decomposed"]),
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
    if config["rung"] != parameters.LORA:
        return None
    return put_on(body.net, shape(config), seed=seed)


def make_work(
    config: Config,
    body: Body,
    speaker: Speaker,
    train: Taught,
    stop: Taught | None,
    rehearsed: bool = False,
) -> Speech | Preference:
    """Rows and loss. For preferences the network must be as it was loaded.

    Args:
        config: A configuration of a rung that is trained.
        body: The model.
        speaker: Its network; adapters at their start change nothing.
        train: What is learnt.
        stop: What to stop on, or None.
        rehearsed: Whether only the cost of steps is asked for: zeros stand in for what the network
            says of pairs, which takes a pass over all of them.

    Returns:
        Work for the training loop.
    """
    about = f"{body.digest} {sorted(config.items())}"
    if train.rejected is None:
        held = None if stop is None else stop.coded
        return Speech(body, train.coded, held, speaker.packs, about)
    pairs = Pairs(train.coded, train.rejected)
    kept = None if stop is None or stop.rejected is None else Pairs(stop.coded, stop.rejected)
    told = recipe(config).precision  # the steps' own, or its rounding would count as learnt
    said = np.zeros((2, len(pairs))) if rehearsed else said_before(pairs, speaker, body, told)
    kept_said = None if kept is None else said_before(kept, speaker, body, told)
    beta = float(config["beta"])
    return Preference(body, pairs, said, beta, kept, kept_said, speaker.packs, about)


def tune(
    config: Config, body: Body, train: Taught, stop: Taught | None, data: FitData, report: Report
) -> Tuned:
    """Tune a model.

    Args:
        config: A configuration of the rungs ``lora`` or ``full``.
        body: As it was loaded; it is tuned in place and restored before its next use.
        train: What is learnt.
        stop: What to stop on, or None.
        data: Gives hints, seed, threads and the folder of checkpoints.
        report: Told how it goes.

    Returns:
        A body of its own.
    """
    if racing(config, train, data) > 1 and stop is not None:
        return _race(config, body, train, stop, data, report)
    if int(config.get("candidates", 1)) > 1 and train.rejected is None:
        config = chosen(config, data)
    adapter = adapt(config, body, data.seed)
    speaker, told = Speaker(body.net), recipe(config)
    work = make_work(config, body, speaker, train, stop)
    every = max(1, round(EVALUATE * steps_per_epoch(len(work.lengths), told.batch)))
    rounds = fixed_rounds(data.hints, math.ceil(told.epochs / EVALUATE))
    trained = sum(p.numel() for p in speaker.parameters() if p.requires_grad)
    told, twice = sized(told, body, int(work.lengths.max()), trained, data.memory)
    with checkpointing(body, twice):
        finished = fit(
            speaker, work, told, one_group(speaker),
            report=report, seed=data.seed, threads=data.threads, checkpoint=data.checkpoint,
            steps=None if rounds is None else rounds * every,
        )  # fmt: skip
    facts = {
        "rounds": max(1, round(finished.best_step / every)),
        "learning_rate": told.learning_rate,
        "ending": finished.ending.value,
        "steps": finished.steps,
        "epochs": finished.epochs,
        "trained": trained,
        "packed": speaker.packs,
        "base_bits": base_bits(body),
        "activations_twice": twice,
        **finished.facts,
    }
    files = {} if adapter is None else adapter_files(adapter)
    return Tuned(own(body, adapter), files, facts)


def racing(config: Config, train: Taught, data: FitData) -> int:
    """How many adapters a fit trains.

    Args:
        config: A configuration of the rungs ``lora`` or ``full``.
        train: What is learnt; pairs are never raced.
        data: A race needs rows to stop on, and no winner of earlier fits.

    Returns:
        1 where there is no race.
    """
    possible = data.stop is not None and data.hints.get("winner") is None
    return int(config.get("candidates", 1)) if possible and train.rejected is None else 1


def around(config: Config) -> tuple[dict[str, Any], ...]:
    """Configurations around one, by rising rate: every second one has twice the rank.

    Args:
        config: Of the rung ``lora``, with the number of ``candidates``.

    Returns:
        Rates from a third of the configuration's to ten thirds, evenly on a log scale.
    """
    count, rate = int(config["candidates"]), float(config["lora_learning_rate"])
    spread = [10 ** (i / (count - 1)) / 3 for i in range(count)]
    return tuple(
        {**config, "candidates": 1, "dropout": 0.0, "decomposed": False,
         "lora_learning_rate": rate * by, "rank": int(config["rank"]) * (1 + i % 2)}
        for i, by in enumerate(spread)
    )  # fmt: skip


def chosen(config: Config, data: FitData) -> dict[str, Any]:
    """The candidate that earlier fits chose, or the one in the middle."""
    known = around(config)
    place = data.hints.get("winner", len(known) // 2)
    return known[min(len(known) - 1, max(0, round(float(place))))]


def _race(
    config: Config, body: Body, train: Taught, stop: Taught, data: FitData, report: Report
) -> Tuned:
    """All candidates over one base; the winner's adapter is kept."""
    from attain.core.types import Signal
    from attain.learners._llm.many import Candidate, Plan, Race
    from attain.learners._pretrained.adapters import set_state

    known, told, speaker = around(config), recipe(config), Speaker(body.net)
    work = Speech(body, train.coded, stop.coded, speaker.packs)
    plan = Plan(
        told.epochs, told.batch, data.seed, told.weight_decay, told.warmup, told.schedule,
        told.clip, told.bucket, told.precision,
    )  # fmt: skip
    candidates = [
        Candidate(shape(c), float(c["lora_learning_rate"]), data.seed + i)
        for i, c in enumerate(known)
    ]
    race = Race(speaker, work, candidates, plan)
    try:
        tokens = told.batch * int(work.lengths.max())
        race.most, twice = sharing(body, tokens, race.stack.parameters, len(known), data.memory)
        with devices.threads(data.threads), checkpointing(body, twice):
            winner = race.run(lambda step, losses: report(step, losses) is Signal.CONTINUE)
        state, course = race.kept(winner), race.courses[winner]
    finally:
        race.stack.take_off()
    adapter = put_on(body.net, candidates[winner].shape, seed=data.seed)
    set_state(adapter, state)
    every = max(1, round(EVALUATE * steps_per_epoch(len(work.lengths), told.batch)))
    facts = {
        "rounds": max(1, round(course.step / every)),
        "winner": winner,
        "candidates": len(candidates),
        "learning_rate": candidates[winner].learning_rate,
        "rank": candidates[winner].shape.rank,
        "steps": course.step,
        "steps_of_all": sum(c.step for c in race.courses),
        "together": race.together,
        "activations_twice": twice,
        "trained": sum(p.numel() for p in adapter.parameters()),
        "packed": speaker.packs,
        "base_bits": base_bits(body),
    }
    files = adapter_files(adapter)
    return Tuned(own(body, adapter), files, facts)


def base_bits(body: Body) -> int:
    """Bits of a weight of the blocks."""
    return parameters.PACKED if in_bits(body) else parameters.WHOLE


def activation_bytes(body: Body, tokens: int) -> int:
    """Memory of what a backward pass needs, roughly.

    Args:
        body: The model.
        tokens: In a batch, with padding.

    Returns:
        34 numbers of two bytes for each unit of width, token and layer (Korthikanti et al. 2022,
        arXiv:2205.05198, equation 2, without the scores that fused attention does not keep), twice
        as much in float32.
    """
    return 34 * 2 * tokens * body.hidden * body.layers


def stacked(body: Body, adapters: int, trained: int, tokens: int) -> int:
    """Memory that a race takes beyond a fit of one adapter, when all share a pass.

    Args:
        body: The model.
        adapters: How many there are.
        trained: Parameters of the narrowest; all are as wide as the widest, of twice its rank.
        tokens: Of a batch of one, with padding.

    Returns:
        Bytes of weights, gradients, two moments and means, and of what a backward pass needs.
    """
    if adapters == 1:
        return 0
    kept = round(_KEPT * activation_bytes(body, tokens))
    return 20 * 2 * adapters * trained + (adapters - 1) * kept


def sharing(
    body: Body,
    tokens: int,
    parameters: Sequence[torch.Tensor],
    adapters: int,
    memory: int | None,
) -> tuple[int, bool]:
    """How many adapters of a race may share a pass, and whether activations are computed twice.

    As for `sized`; a batch of a race is not cut, so that activations of even one may be too many.

    Args:
        body: The model.
        tokens: Of a batch, with padding.
        parameters: Of all adapters; each gets a gradient, two moments and a mean yet.
        adapters: How many there are.
        memory: Bytes that this process may hold; None for all that is free.

    Returns:
        At least 1, at most all; True when not even one pass of one adapter would fit.
    """
    yet = 16.0 * sum(p.numel() for p in parameters)
    room = _SPARE * _free(next(body.net.parameters()).device, memory) - yet
    fit = int(room // (_KEPT * activation_bytes(body, tokens)))
    return min(max(fit, 1), adapters), fit < 1


def sized(
    told: Recipe, body: Body, longest: int, trained: int, memory: int | None
) -> tuple[Recipe, bool]:
    """A recipe whose steps fit into memory, and whether activations are computed twice for it.

    On a CPU nothing is raised when memory runs out: the process is ended. So as many examples are
    taken at once as will fit by what is known of activations; results do not depend on it.

    Args:
        told: As it would be with all memory of the world.
        body: The model.
        longest: Tokens of the longest example.
        trained: Parameters that are trained; each has a gradient and two moments.
        memory: Bytes that this process may hold; None for all that is free.

    Returns:
        The recipe with a smaller ``micro`` if need be; True when the activations of two of the
        longest examples, beside which memory is halved anyway, would not fit.
    """
    room = _SPARE * _free(next(body.net.parameters()).device, memory) - 12.0 * trained
    least = min(2, told.micro or told.batch)
    if activation_bytes(body, longest * least) > room:
        return dataclasses.replace(told, micro=least), True
    most = told.micro or told.batch
    while most > 1 and _KEPT * activation_bytes(body, longest * most) > room:
        most = (most + 1) // 2
    return dataclasses.replace(told, micro=most), False


def _free(device: torch.device, memory: int | None) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    import psutil

    free = float(psutil.virtual_memory().available)
    return free if memory is None else min(free, memory - psutil.Process().memory_info().rss)


@contextmanager
def checkpointing(body: Body, wanted: bool) -> Iterator[None]:
    """While it lasts, blocks keep their inputs only and are computed again going back.

    Args:
        body: The model.
        wanted: Whether to do so.

    Yields:
        Nothing.
    """
    net, able = body.net, wanted and getattr(body.net, "supports_gradient_checkpointing", False)
    # transformers 5 has renamed these on the way
    kind = "activation" if hasattr(net, "activation_checkpointing_enable") else "gradient"
    if able:
        getattr(net, f"{kind}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        if able:
            getattr(net, f"{kind}_checkpointing_disable")()
            net.disable_input_require_grads()  # a hook that is left on the resident body otherwise


def adapter_files(adapter: Adapter) -> dict[str, bytes]:
    """An adapter as PEFT keeps it.

    Args:
        adapter: On its network.

    Returns:
        Content of each file by name.
    """
    with tempfile.TemporaryDirectory() as name:
        adapter.save(Path(name), task="CAUSAL_LM")
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def own(body: Body, adapter: Adapter | None) -> Body:
    """A copy of the body with the weights as they are now, adapters merged, none on it.

    One in 4 bits is such a copy already; it becomes an ordinary one, of the weights as rounded.
    """
    if adapter is not None and in_bits(body):
        merged = {name: adapter.merged_weight(name) for name in adapter.layers}
        adapter.take_off()
        return expanded(body, merged)
    if adapter is not None:
        adapter.merge()
    state = {n: t.detach().clone() for n, t in body.net.state_dict().items() if ".lora_" not in n}
    body.restored()
    net = copy.deepcopy(body.net)
    net.load_state_dict(state)
    net.eval()
    return dataclasses.replace(body, net=net, _originals={})

"""Many adapters over one resident base: batched or in turn, and stopped early when they lose.

Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943, algorithm 1) on the same rows to
stop on for all: two candidates run to two thirds of the steps and one to the end, and twice as many
to each third of the way before; with few steps two run to the end. Early losses mislead, since
rates that are best in the end are still too high for a low loss; so until the end a candidate is
judged by a mean of its weights. A loser is paused, not lost: its weights, moments and mean are
kept, and it can go on as if it had never been interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from attain.learners._llm.batch import Batch
from attain.learners._llm.encode import Coded
from attain.learners._llm.speak import TOKENS, Speaker, batches, padding
from attain.learners._llm.stack import Stack, StackedAdam, StackedMean
from attain.learners._llm.work import Speech
from attain.learners._pretrained.adapters import LoraConfig
from attain.learners._torch import device as devices
from attain.learners._torch.batches import Order, total_steps
from attain.learners._torch.schedule import factor, warmup_steps
from attain.learners._torch.step import is_out_of_memory

_FEW = 64
"""Steps below which two candidates run to the end, not one, and nobody stops before a quarter of
the steps: of 24 steps 2 and 6 tell little, however they are judged (docs/ablations.md)."""


@dataclass(frozen=True)
class Candidate:
    """One configuration.

    Attributes:
        shape: Of the adapter.
        learning_rate: The largest one.
        seed: Of the adapter's start.
    """

    shape: LoraConfig
    learning_rate: float
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """What all candidates share.

    Attributes:
        epochs: Passes over the rows; the schedule spans all of them.
        batch: Examples a step.
        seed: Of the order, which is the same for all.
        weight_decay: See `_torch.recipe.Recipe`.
        warmup: Share of all steps in which the rate rises.
        schedule: Shape of the rate.
        clip: Largest norm of the gradient of one adapter.
        bucket: Batches whose rows are sorted by length together.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        together: Adapters in one pass; 0 to measure what pays.
        halving: Whether the worse half stops after two 27ths, two ninths and two thirds of the
            steps (of eight candidates; with few steps all but two stop, after a quarter and half);
            else all run to the end and are looked at just as often.
    """

    epochs: float
    batch: int
    seed: int = 0
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: str = "cosine"
    clip: float = 1.0
    bucket: int = 50
    precision: str = "auto"
    together: int = 0
    halving: bool = True


@dataclass
class Course:
    """How far one candidate has come.

    Attributes:
        step: Steps done.
        losses: Mean loss of a supervised token on the rows to stop on, by step: of the mean of its
            weights, after all steps of the weights themselves.
        paused: Whether it was stopped by its rivals.
    """

    step: int = 0
    losses: dict[int, float] = field(default_factory=dict)
    paused: bool = False


def rounds(steps: int, count: int) -> list[tuple[int, int]]:
    """When candidates are looked at, and how many go on.

    Args:
        steps: All steps.
        count: Candidates.

    Returns:
        Steps done at each look, the last one after all of them, and how many are left after it.
    """
    kept, share, longer = (2, 1 / 2, 2) if steps < _FEW else (1, 2 / 3, 3)
    found, mark = [(steps, 1)], share * steps
    while kept < count and mark >= 1:
        found.append((int(mark), kept))
        kept, mark = 2 * kept, mark / longer
    return found[::-1]


def effort(steps: int, count: int, batch: int, rows: int) -> tuple[int, int]:
    """What a race takes.

    Args:
        steps: Of one candidate that runs to the end.
        count: Candidates.
        batch: Examples a step.
        rows: To stop on.

    Returns:
        Steps of all candidates, and rows that all of them are looked at on.
    """
    done = read = since = 0
    running = count
    for until, kept in rounds(steps, count):
        learnt = (until - since) * batch
        done += running * (until - since)
        read += running * (rows if until == steps else min(rows, learnt))
        since, running = until, kept
    return done, read


Told = Callable[[int, Mapping[str, float]], bool]
"""Told the step and the losses after each look; False ends the race."""


class Race:
    """Candidates over one base.

    Args:
        speaker: The base, without adapters; it stays loaded and frozen.
        work: Rows, the same for all.
        candidates: What is compared.
        plan: How.

    Attributes:
        most: Adapters in one pass at most, for want of memory; to be lowered before it is run.
    """

    def __init__(
        self, speaker: Speaker, work: Speech, candidates: Sequence[Candidate], plan: Plan
    ) -> None:
        self.candidates, self.plan = tuple(candidates), plan
        self._speaker, self._work = speaker, work
        self.stack = Stack(speaker.net, [c.shape for c in candidates], [c.seed for c in candidates])
        self._adam = StackedAdam(self.stack.parameters, plan.weight_decay, plan.clip)
        self._mean = StackedMean(self.stack.parameters)
        self._device = self.stack.a[0].device
        self.steps = total_steps(len(work.lengths), plan.batch, plan.epochs)
        self._order = Order(work.lengths, plan.batch, plan.bucket, plan.seed)
        self._warmup = warmup_steps(self.steps, plan.warmup)
        self._precision = devices.precision(plan.precision, self._device, speaker)
        self.courses = [Course() for _ in candidates]
        self.most = len(candidates)
        self.together = plan.together or len(candidates)
        self.measured: dict[str, float] = {}

    def run(self, told: Told | None = None) -> int:
        """Train until those that are left have done all steps.

        Args:
            told: Told of each look at all that are still running.

        Returns:
            Position of the one with the lowest loss; `kept` has its weights.
        """
        self.together = min(self.together, self.most)
        if not self.plan.together and self.together > 1:
            self._measure()
        since = 0
        for until, kept in rounds(self.steps, len(self.candidates)):
            running = [k for k, c in enumerate(self.courses) if not c.paused]
            self.advance(running, until)
            learnt = (until - since) * self.plan.batch
            losses = self.look(running, None if until == self.steps else learnt)
            since = until
            best = {"stop": min(losses.values())}
            if told is not None and not told(until, best):
                break
            order = sorted(running, key=lambda k: losses[k])
            for k in order[kept:] if self.plan.halving else ():
                self.courses[k].paused = True
        return self.best

    @property
    def best(self) -> int:
        """The candidate with the lowest loss of those that came furthest."""
        furthest = max(c.step for c in self.courses if c.losses)
        left = [k for k, c in enumerate(self.courses) if c.losses and c.step == furthest]
        return min(left, key=lambda k: self.courses[k].losses[furthest])

    def kept(self, k: int) -> dict[str, torch.Tensor]:
        """The weights of a candidate that its last loss is the loss of, as `Stack.state`."""
        if self.courses[k].step >= self.steps:
            return self.stack.state(k)
        with self._mean.in_place():
            return self.stack.state(k)

    def advance(self, which: Sequence[int], until: int) -> None:
        """Let some candidates do their steps up to one; those that are further wait.

        Args:
            which: Positions.
            until: Steps done afterwards, at most all.
        """
        self._speaker.train()
        for step in range(min(until, self.steps)):
            now = [k for k in which if self.courses[k].step == step]
            if not now:
                continue
            at = 0
            while at < len(now):
                part = now[at : at + self.together]
                try:
                    self._step(part, step)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error) or self.together == 1:
                        raise
                    self.together = max(1, self.together // 2)
                    continue
                at += len(part)
            for k in now:
                self.courses[k].step = step + 1
        self._speaker.eval()

    def look(self, which: Sequence[int], most: int | None = None) -> dict[int, float]:
        """Loss of some candidates on the rows to stop on, the same for all.

        Before the end it is that of the mean of their weights.

        Args:
            which: Positions; all have done the same steps.
            most: Rows to look at, drawn once for all looks; None for all. As many as were learnt
                from since the look before cost a third of what learning from them did.

        Returns:
            Mean loss of a supervised token of each; also noted in its course.
        """
        stop = self._work.stop
        if stop is None:
            raise ValueError("candidates can only be compared on rows to stop on (got none)")
        rows = np.random.default_rng(self.plan.seed).permutation(len(stop))[:most]
        total = dict.fromkeys(which, 0.0)
        self._speaker.eval()
        ended = all(self.courses[k].step >= self.steps for k in which)
        with torch.no_grad(), nullcontext() if ended else self._mean.in_place():
            for at in range(0, len(which), self.together):
                part = which[at : at + self.together]
                for k, loss in zip(part, self._look(stop, rows, part), strict=True):
                    total[k] = loss
        tokens = max(1, int(stop.supervised[rows].sum()))
        found = {k: value / tokens for k, value in total.items()}
        for k, loss in found.items():
            self.courses[k].losses[self.courses[k].step] = loss
        return found

    def _look(self, stop: Coded, rows: np.ndarray, which: Sequence[int]) -> list[float]:
        """Loss of candidates that share a pass, with as many tokens in it as one would have."""
        total = torch.zeros(len(which), dtype=torch.float64)
        with self.stack.active(which):
            for index in batches(stop.lengths[rows], TOKENS // len(which)):
                losses = self._losses(self._collate(stop, rows[index]).tiled(len(which)))
                total += losses.double().reshape(len(which), -1).sum(1).cpu()
        return [float(loss) for loss in total]

    def state(self, k: int) -> dict[str, torch.Tensor]:
        """Everything that the next step of a candidate depends on, but for its number."""
        return {**self.stack.state(k), **self._adam.state(k), **self._mean.state(k)}

    def restore(self, k: int, state: Mapping[str, torch.Tensor], step: int) -> None:
        """Put a candidate where it was.

        Args:
            k: Position.
            state: What `state` returned.
            step: Steps that it had done.
        """
        rank = self.candidates[k].shape.rank
        with torch.no_grad():
            for name, a, b in zip(self.stack.names, self.stack.a, self.stack.b, strict=True):
                a[k, :rank] = state[f"{name}.lora_A.weight"].to(a.device)
                b[k, :, :rank] = state[f"{name}.lora_B.weight"].to(b.device)
        self._adam.restore(k, state)
        self._mean.restore(k, state)
        self.courses[k].step, self.courses[k].paused = step, False

    def _step(self, which: Sequence[int], step: int) -> None:
        rows = self._order.rows(step)
        devices.seed_step(self._device, self.plan.seed, step)
        batch = self._collate(self._work.train, rows).tiled(len(which))
        for parameter in self.stack.parameters:
            parameter.grad = None
        with self.stack.active(which):
            losses = self._losses(batch)
            (losses.sum() * len(which) / len(losses)).backward()
        rate = factor(step, self.steps, self._warmup, self.plan.schedule)
        rates = [self.candidates[k].learning_rate * rate for k in which]
        self._adam.step(which, rates, [step] * len(which))
        self._mean.update(which, step)

    def _losses(self, batch: Batch) -> torch.Tensor:
        with devices.autocast(self._device, self._precision):
            losses: torch.Tensor = self._speaker(batch)[0]
        return losses

    def _collate(self, coded: Any, rows: np.ndarray) -> Batch:
        from attain.learners._llm.batch import collate

        made = collate(coded, rows, pad=padding(self._work.body), packed=self._work.packed)
        return made.to(self._device)

    def _measure(self) -> None:
        """Whether a step of as many at once as there is room for is cheaper than one of each.

        The steps count: each way trains all the same, so that finding out costs next to nothing.
        """
        which = list(range(len(self.candidates)))
        turns = [[k] for k in which]
        shared = [which[at : at + self.together] for at in range(0, len(which), self.together)]
        self._speaker.train()
        for name, parts in (("together", shared), ("together", shared), ("in_turn", turns)):
            step = min(course.step for course in self.courses)
            if step >= self.steps:
                break
            waiting = [k for k in which if self.courses[k].step == step]
            left = [part for each in parts if (part := [k for k in each if k in waiting])]
            try:
                taken = [self._timed(part, step) for part in left]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                taken = [float("inf")]
            self.measured[name] = float(np.median(taken)) * len(parts)  # the first may be slow
        if self.measured["together"] > self.measured.get("in_turn", float("inf")):
            self.together = 1

    def _timed(self, which: Sequence[int], step: int) -> float:
        """Do a step and say how many seconds it took."""
        began = time.perf_counter()
        self._step(which, step)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        for k in which:
            self.courses[k].step = step + 1
        return time.perf_counter() - began

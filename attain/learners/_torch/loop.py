"""The loop: steps, looks, the best weights, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attain.core.protocols import Report
from attain.core.types import Signal
from attain.learners._torch import checkpoint as checkpoints
from attain.learners._torch import device as devices
from attain.learners._torch.average import Average
from attain.learners._torch.batches import Order, span, total_steps
from attain.learners._torch.best import Best, live
from attain.learners._torch.compiling import Compiling
from attain.learners._torch.dropout import from_bytes
from attain.learners._torch.identity import identify
from attain.learners._torch.meter import Meter
from attain.learners._torch.optimizer import Group, named
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.schedule import factor, warmup_steps
from attain.learners._torch.step import Stepper
from attain.learners._torch.work import Work

_LOOKS = 10
"""Reports between two evaluations, at most."""
_INTERVAL = 300.0
"""Seconds between checkpoints: writing one takes about a second per 100 million parameters."""


class Ending(StrEnum):
    """Why a fit ended."""

    COMPLETE = "all steps done"
    PATIENCE = "no more improvement"
    STOPPED = "stopped on request"
    PAUSED = "paused on request"
    DIVERGED = "loss or gradient is not finite"


@dataclass(frozen=True, eq=False)
class Finished:
    """How a fit ended. The best weights are in the network, which is in evaluation mode.

    Attributes:
        ending: Why it ended.
        steps: Optimiser steps done, those before a restart included.
        epochs: Passes over the rows until the best step.
        best_step: The step whose weights were kept; the last one without evaluations.
        best: What was measured there; empty without evaluations.
        facts: Plain JSON values for people: ``precision``, ``compiled``, ``micro``, ``halvings``
            (times memory ran out), ``clipped`` (share of steps), ``skipped`` (steps of fp16 without
            an update), ``units_per_s`` (without evaluations), ``planned`` (steps), ``resumed``
            (step, 0 for a fresh start), ``ignored`` (why checkpoints were).
    """

    ending: Ending
    steps: int
    epochs: float
    best_step: int
    best: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def fit(
    net: nn.Module,
    work: Work,
    recipe: Recipe,
    groups: Sequence[Group],
    *,
    report: Report,
    seed: int,
    threads: int,
    checkpoint: Path | None = None,
    steps: int | None = None,
    interval: float = _INTERVAL,
) -> Finished:
    """Train a network.

    Everything random is a function of seed and step, so a fit that goes on from a checkpoint ends
    with the weights of one that was never interrupted (on the CPU to the last bit).

    Args:
        net: On the device where it is to be trained (`device.pick`); trained in place.
        work: Rows and loss.
        recipe: How.
        groups: What: parameters of `net` with their depth; all others stay as they are.
        report: Told ``train`` (mean loss of a unit since the last report), ``grad_norm`` (mean),
            ``lr`` (the largest of all groups) and ``units_per_s``, and at evaluations what
            `Work.evaluate` measured. STOP ends with the best weights; PAUSE also writes a
            checkpoint. After a restart it is told all earlier reports once more, and obeyed: a fit
            that was killed once it had paused is still paused.
        seed: Of order, dropout and whatever the work draws.
        threads: CPU threads.
        checkpoint: Folder of this fit alone; None to keep nothing.
        steps: Ends after so many steps, while the schedule still spans all epochs: what a refit
            without rows to stop on needs. None for all.
        interval: Seconds between checkpoints, at least 0.

    Returns:
        How it ended.
    """
    device = next(iter(named(groups).values())).device
    with devices.threads(threads), devices.own_randomness(device), from_bytes(net, device):
        disk = None if checkpoint is None else _Disk(checkpoint, interval)
        return _Fit(net, work, recipe, groups, report, seed, disk, steps).run()


class _Plan:
    """When what happens.

    Args:
        rows: Number of training rows.
        recipe: How to train.
        steps: End of this fit, or None.
    """

    def __init__(self, rows: int, recipe: Recipe, steps: int | None) -> None:
        self._recipe = recipe
        self.steps = total_steps(rows, recipe.batch, recipe.epochs)
        self.end = self.steps if steps is None else max(1, min(steps, self.steps))
        self._warmup = warmup_steps(self.steps, recipe.warmup)
        self._every = span(rows, recipe.batch, recipe.evaluate)
        self._report = max(1, int(self._every) // _LOOKS)

    def rate(self, step: int) -> float:
        """Factor on the learning rate of a step, from 0."""
        return factor(step, self.steps, self._warmup, self._recipe.schedule)

    def evaluates(self, done: int) -> bool:
        """Whether to measure after so many steps: at the end, and not shortly before it."""
        due = math.floor(done / self._every + 1e-9) > math.floor((done - 1) / self._every + 1e-9)
        return done == self.end or (due and self.end - done >= self._every / 2)

    def reports(self, done: int) -> bool:
        """Whether to report after so many steps."""
        return done % self._report == 0 or self.evaluates(done)


@dataclass
class _Disk:
    """Where checkpoints go and when the last one was written."""

    folder: Path
    interval: float
    identity: str = ""
    written: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self.written >= self.interval


class _Fit:
    """One fit under way."""

    def __init__(
        self,
        net: nn.Module,
        work: Work,
        recipe: Recipe,
        groups: Sequence[Group],
        report: Report,
        seed: int,
        disk: _Disk | None,
        steps: int | None,
    ) -> None:
        self._net, self._work, self._report, self._seed = net, work, report, seed
        self._plan = _Plan(len(work.lengths), recipe, steps)
        self._order = Order(work.lengths, recipe.batch, recipe.bucket, seed)
        self._trained = named(groups)
        device = next(iter(self._trained.values())).device
        self._precision = devices.precision(recipe.precision, device, net)
        self._disk = disk
        if disk is not None:
            disk.identity = identify(work, recipe, groups, (self._precision, seed, steps))
        micro = min(recipe.micro or recipe.batch, recipe.batch)
        self._stepper = Stepper(net, work, recipe, groups, self._precision, micro)
        self._compiling = Compiling(recipe.compile, device.type)
        self._peak = max(group["peak"] for group in self._stepper.optimizer.param_groups)
        parameters = list(self._trained.values())
        self._average = Average(parameters, recipe.ema) if recipe.ema else None
        self._places = live(net, self._trained)
        self._best = Best(self._places, recipe.patience)
        self._meter = Meter(recipe.clip, scaled=self._precision == "fp16")
        self._history: list[tuple[int, dict[str, float]]] = []
        self._step = self._resumed = 0
        self._ignored: tuple[str, ...] = ()

    def run(self) -> Finished:
        """All steps that are left."""
        signal, ending = self._resume(), Ending.COMPLETE
        self._net.train()
        self._meter.rest()
        while self._step < self._plan.end and signal is Signal.CONTINUE:
            if self._best.over:
                ending = Ending.PATIENCE
                break
            signal, sound = self._one()
            if not sound:
                return self._finish(Ending.DIVERGED)
            if self._disk is not None and (self._disk.due or signal is Signal.PAUSE):
                self._write(self._disk)
        asked = {Signal.STOP: Ending.STOPPED, Signal.PAUSE: Ending.PAUSED}
        return self._finish(asked.get(signal, ending))

    def _one(self) -> tuple[Signal, bool]:
        """A step and what is due after it; what was answered, and whether all is finite."""
        if self._compiling.due(self._plan.end - self._step):
            self._stepper.compile()
        rows, rate = self._order.rows(self._step), self._plan.rate(self._step)
        self._meter.add(self._stepper.take(rows, rate, self._seed, self._step))
        if self._average is not None:
            self._average.update(self._step)
        self._step += 1
        reports = self._plan.reports(self._step)
        # on other devices a look would wait for the step to end
        sound = self._meter.settle() if reports or self._stepper.device.type == "cpu" else True
        if sound and not reports:
            return Signal.CONTINUE, True
        values = self._meter.read(rate * self._peak, sound)
        if sound and self._plan.evaluates(self._step):
            measured = self._evaluate()
            values |= measured
            sound = all(math.isfinite(value) for value in measured.values())
        self._history.append((self._step, values))
        return self._report(self._step, values), sound

    def _evaluate(self) -> dict[str, float]:
        """Measure the weights, or their average, and keep them if they are the best."""
        self._net.eval()
        with self._judged(), torch.no_grad():
            with devices.autocast(self._stepper.device, self._precision):
                measured = {k: float(v) for k, v in self._work.evaluate(self._stepper.net).items()}
            if measured:
                self._best.note(self._step, measured)
        self._net.train()
        self._meter.rest()
        return measured

    def _judged(self) -> AbstractContextManager[None]:
        """A context in which the network has the weights that count."""
        return nullcontext() if self._average is None else self._average.in_place()

    def _finish(self, ending: Ending) -> Finished:
        self._stepper.optimizer.zero_grad(set_to_none=True)
        self._net.eval()
        if not self._best.weights and self._average is not None:
            with self._judged():
                self._best.keep()
        self._best.put()
        at = self._best.step or self._step
        facts = {
            **self._meter.facts(),
            "planned": self._plan.steps,
            "precision": self._precision,
            "compiled": self._stepper.net is not self._net,
            "micro": self._stepper.micro,
            "halvings": self._stepper.halvings,
            "resumed": self._resumed,
            "ignored": list(self._ignored),
        }
        epochs = at / self._order.per_epoch
        return Finished(ending, self._step, epochs, at, self._best.measured, facts)

    def _write(self, disk: _Disk) -> None:
        """Keep everything that the next step depends on."""
        self._meter.settle()
        best = {f"best.{name}": tensor for name, tensor in self._best.weights.items()}
        plain = {
            "best": self._best.state(),
            "meter": self._meter.state(),
            "history": self._history,
            "micro": self._stepper.micro,
            "halvings": self._stepper.halvings,
            "scaler": self._stepper.scaler.state_dict(),
        }
        state = checkpoints.State(self._step, {**self._moving(), **best}, plain)
        checkpoints.write(disk.folder, disk.identity, state)
        disk.written = time.monotonic()

    def _resume(self) -> Signal:
        """Go on from a checkpoint, if there is one; what was answered to the reports so far."""
        if self._disk is None:
            return Signal.CONTINUE
        state, self._ignored = checkpoints.read(self._disk.folder, self._disk.identity)
        if state is None:
            return Signal.CONTINUE
        self._step = self._resumed = state.step
        tensors, plain = state.tensors, state.plain
        best = {n: tensors[f"best.{n}"] for n in self._places if f"best.{n}" in tensors}
        self._best.restore(plain["best"], best)
        self._meter.restore(plain["meter"])
        self._stepper.micro, self._stepper.halvings = plain["micro"], plain["halvings"]
        self._stepper.scaler.load_state_dict(plain["scaler"])
        with torch.no_grad():
            for name, place in self._moving().items():
                place.copy_(tensors[name])
        return self._replay(plain["history"])

    def _replay(self, history: Sequence[tuple[int, Mapping[str, Any]]]) -> Signal:
        """Tell the reports of before the restart, so that watchers know the whole curve."""
        signal = Signal.CONTINUE
        for step, stored in history:
            values = {name: float(value) for name, value in stored.items()}
            self._history.append((int(step), values))
            signal = self._report(int(step), values)
            if signal is not Signal.CONTINUE:
                break
        return signal

    def _moving(self) -> dict[str, torch.Tensor]:
        """All tensors that steps change: weights, averages, moments; by name."""
        found = {f"live.{name}": tensor for name, tensor in self._places.items()}
        if self._average is not None:
            averages = zip(self._trained, self._average.weights, strict=True)
            found |= {f"average.{name}": tensor for name, tensor in averages}
        for name, parameter in self._trained.items():
            for kind, tensor in self._stepper.optimizer.state[parameter].items():
                found[f"{kind}.{name}"] = tensor
        return found

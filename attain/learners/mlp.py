"""A multi-layer perceptron on scikit-learn, trained epoch by epoch in an own loop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.protocols import Report
from attain.core.schedule import value_at
from attain.core.space import Categorical, Config, Float, Int, Ordinal, Space
from attain.core.types import Dataset, Signal
from attain.learners._each_label import alone
from attain.learners._prepare import Plan
from attain.learners._shared import log_loss, numeric_parameter, rmse, softmax, two_columns
from attain.learners._state import Course
from attain.learners._steps import Patience, fixed_rounds
from attain.learners._store import read_arrays, read_json, write_arrays, write_json
from attain.learners._table import Core, Sample, TableLearner

MOST_EPOCHS = 200
_PATIENCE = 16
"""Epochs without improvement: Gorishniy et al. 2021, section 4.4."""
_DEFAULT_EPOCHS = 60
_FULL_RATE_STEPS = 2_000
_FULL_RATE_EPOCHS = 10
"""Steps and epochs before the learning rate starts to fall (whichever is later, but half of all
epochs at most). It depends on the epoch alone, not on a loss, so that a refit without rows to stop
on follows the same path."""
_LOOK_ROWS = 2_000
"""Training rows on which the training loss is measured after each epoch."""
_GORISHNIY = "Gorishniy et al. 2021 (arXiv 2106.11959), table 14, MLP"
_GRINSZTAJN = "Grinsztajn et al. 2022 (arXiv 2207.08815), appendix, MLP"
_SKLEARN = "scikit-learn MLPClassifier default"

_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}


@dataclass(frozen=True, eq=False)
class Layers:
    """A trained network as plain arrays.

    Attributes:
        weights: Of each layer, shapes (in, out), float32.
        biases: Of each layer, shapes (out,), float32.
        activation: Between layers: ``relu`` or ``tanh``.
        seen: Number of seen classes; 0 for values.
        center: Added to values.
        scale: Multiplied before that.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    activation: str
    seen: int
    center: float = 0.0
    scale: float = 1.0

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Probabilities of shape (n, seen), or values of shape (n,).

        Args:
            matrix: Shape (n, width).

        Returns:
            See above.
        """
        act = _ACTIVATIONS[self.activation]
        x = matrix.astype(np.float32)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            x = x if i == last else act(x)
        scores = x.astype(np.float64)
        if not self.seen:
            return np.asarray(scores[:, 0] * self.scale + self.center)
        return softmax(scores) if self.seen > 2 else two_columns(scores[:, 0])

    def save(self, folder: Path) -> None:
        """Write ``layers.json`` and ``layers.npz``.

        Args:
            folder: An existing folder.
        """
        arrays = {f"weight{i}": w for i, w in enumerate(self.weights)}
        arrays |= {f"bias{i}": b for i, b in enumerate(self.biases)}
        names = ("activation", "seen", "center", "scale")
        plain = {name: getattr(self, name) for name in names}
        write_json(folder, "layers.json", {**plain, "layers": len(self.weights)})
        write_arrays(folder, "layers.npz", arrays)


class Mlp(TableLearner):
    """A small neural network; the rung before a modern one on torch."""

    name = "mlp"
    stops_early = True
    pauses = True
    adjustable = ("learning_rate", "alpha")

    def space(self, dataset: Dataset) -> Space:
        """Size, step size and its schedule, penalty, batch and scaling.

        Args:
            dataset: Its rows limit width and batch.

        Returns:
            The space.
        """
        dataset = alone(dataset)
        large = dataset.rows >= 10_000
        widths = (32, 64, 128, 256, 512) if large else (16, 32, 64, 128, 256)
        batches = (64, 128, 256, 512, 1024) if large else (16, 32, 64, 128, 256)
        return Space(
            (
                Float(
                    name="learning_rate", low=1e-4, high=1e-2, scale="log", limits=(1e-6, 0.3),
                    default=1e-3 if dataset.task.classifies else 3e-3, effect="capacity",
                    source=f"{_GORISHNIY}: 1e-5 to 1e-2 log; default: {_SKLEARN}, more for values"
                    " as in RealMLP (arXiv 2407.04491)",
                ),
                Int(
                    name="layers", low=1, high=4, default=2, limits=(1, 8), effect="capacity",
                    source=f"{_GORISHNIY}: 1 to 8; RealMLP uses 3",
                ),
                Ordinal(
                    name="width", choices=widths, default=128, effect="capacity", unit="units",
                    source=f"{_GRINSZTAJN}: 16 to 1024",
                ),
                Float(
                    name="alpha", low=1e-6, high=10.0, default=0.1, scale="log", priority=2,
                    limits=(1e-8, 1000.0), effect="regularisation",
                    source="scikit-learn user guide 1.17.5: 10^-1 to 10^-6; it is divided by the"
                    " rows of a batch, so 0.1 is a weight decay of about 1e-3",
                ),
                Ordinal(
                    name="batch", choices=batches, default=256 if large else 64, unit="rows",
                    effect="speed", priority=3, source=f"{_GRINSZTAJN}: 256 to 1024",
                ),
                Categorical(
                    name="schedule", choices=("decay", "constant"), default="decay", priority=3,
                    source="Bengio 2012 (arXiv 1206.5533), section 3.1.1: rate * tau / max(t, tau)",
                ),
                Categorical(
                    name="activation", choices=("relu", "tanh"), default="relu", priority=3,
                    source=_SKLEARN,
                ),
                numeric_parameter(
                    "standard", "quantile", "robust", default="standard",
                    source=f"{_GRINSZTAJN}: quantile to normal; robust: RealMLP (arXiv 2407.04491);"
                    " default: scikit-learn user guide 1.17.8",
                ),
            )
        )  # fmt: skip

    def _plan(self, config: Config, dataset: Dataset) -> Plan:
        return Plan(numeric=str(config["numeric"]), one_hot=20, topics=64)

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        fit = _Training(config, sample)
        fixed = fixed_rounds(sample.hints, MOST_EPOCHS)
        if fixed is None and sample.stop_matrix is None:
            fixed = _DEFAULT_EPOCHS
        best: Layers | None = None
        rounds, epoch, sound, patience = 0, 0, True, Patience(_PATIENCE)

        def better(epoch: int, losses: Mapping[str, float]) -> bool:
            return fixed is not None or patience.improved(epoch, losses.get("stop", math.nan))

        course = Course(self.name, config, sample, report)
        state = course.found(better)
        if state is not None:
            epoch, rounds = state.step, patience.at or state.step
            best = fit.restore(state.arrays)
        last = fixed or MOST_EPOCHS
        while epoch < last and sound and course.signal is Signal.CONTINUE and not patience.over:
            epoch += 1
            sound = fit.epoch(epoch)
            now = fit.layers()
            losses = fit.losses(now) if sound else {"train": math.nan}
            if (sound and better(epoch, losses)) or best is None:
                best, rounds = now, epoch
            if course.tell(epoch, losses) is Signal.PAUSE:
                course.keep(epoch, fit.state(best))
        assert best is not None  # there is at least one epoch
        return best, {"rounds": rounds, "epochs": epoch}

    def _load(self, folder: Path) -> Core:
        plain, arrays = read_json(folder, "layers.json"), read_arrays(folder, "layers.npz")
        count = int(plain.pop("layers"))
        weights = tuple(arrays[f"weight{i}"] for i in range(count))
        biases = tuple(arrays[f"bias{i}"] for i in range(count))
        return Layers(weights, biases, **plain)


class _Training:
    """scikit-learn's network under way."""

    def __init__(self, config: Config, sample: Sample) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        kind = MLPClassifier if sample.seen else MLPRegressor
        self._rate, self._alpha = config["learning_rate"], config["alpha"]
        self._decays = config["schedule"] == "decay"
        self._sample = sample
        self._network = kind(
            hidden_layer_sizes=(int(config["width"]),) * int(config["layers"]),
            activation=str(config["activation"]),
            learning_rate_init=float(value_at(self._rate, 1)),
            alpha=float(value_at(self._alpha, 1)),
            batch_size=min(int(config["batch"]), len(sample.y)),
            # a generator and not a number, or every epoch would shuffle the rows alike
            random_state=np.random.RandomState(sample.seed),
        )
        batches = math.ceil(len(sample.y) / self._network.batch_size)
        epochs = max(_FULL_RATE_EPOCHS, math.ceil(_FULL_RATE_STEPS / batches))
        self._tau = min(epochs, MOST_EPOCHS // 2)
        self._matrix = sample.matrix.astype(np.float32)
        self._center = 0.0 if sample.seen else float(sample.y.mean())
        self._scale = 1.0 if sample.seen else float(sample.y.std()) or 1.0
        self._target = sample.y if sample.seen else (sample.y - self._center) / self._scale
        drawn = np.random.default_rng(sample.seed).permutation(len(sample.y))[:_LOOK_ROWS]
        self._look = (sample.matrix[drawn], sample.y[drawn])

    def epoch(self, number: int) -> bool:
        """Pass over the rows once.

        Args:
            number: From 1; sets the learning rate.

        Returns:
            Whether loss and weights are still finite.
        """
        if number > 1:
            rate = float(value_at(self._rate, number))
            if self._decays:
                rate = rate * self._tau / max(number - 1, self._tau)
            self._network._optimizer.learning_rate_init = rate
        self._network.alpha = float(value_at(self._alpha, number))
        try:
            self._pass(slice(None))
        except ValueError as error:
            if "non-finite" in str(error):
                return False
            raise
        return math.isfinite(self._network.loss_)

    def _pass(self, rows: slice) -> None:
        classes = {"classes": np.arange(self._sample.seen)} if self._sample.seen else {}
        with np.errstate(all="ignore"):  # overflow shows as a loss that is not finite
            self._network.partial_fit(self._matrix[rows], self._target[rows], **classes)

    def layers(self) -> Layers:
        """A copy of the weights as they are now."""
        return Layers(
            weights=tuple(np.array(w, dtype=np.float32) for w in self._network.coefs_),
            biases=tuple(np.array(b, dtype=np.float32) for b in self._network.intercepts_),
            activation=self._network.activation,
            seen=self._sample.seen,
            center=self._center,
            scale=self._scale,
        )

    def state(self, best: Layers) -> dict[str, np.ndarray]:
        """Everything that the next epoch depends on, and the best weights so far.

        Args:
            best: These weights.

        Returns:
            Arrays by name.
        """
        network, kept = self._network, dict[str, np.ndarray]()
        optimizer = network._optimizer
        _, words, position, has_gauss, gauss = network.random_state.get_state()
        kept |= {"random.words": words, "random.rest": np.array([position, has_gauss, gauss])}
        kept["optimizer.t"] = np.array(optimizer.t)
        parts = {"live": [*network.coefs_, *network.intercepts_]}
        parts |= {"mean": optimizer.ms, "square": optimizer.vs}
        parts["best"] = [*best.weights, *best.biases]
        return kept | {f"{k}.{i}": a for k, arrays in parts.items() for i, a in enumerate(arrays)}

    def restore(self, state: Mapping[str, np.ndarray]) -> Layers:
        """Go on from a state.

        Args:
            state: What `state` gave.

        Returns:
            The best weights so far.
        """
        network = self._network
        self._pass(slice(network.batch_size))  # has everything made, which is then replaced
        live, optimizer = [*network.coefs_, *network.intercepts_], network._optimizer
        for i, array in enumerate(live):
            array[...] = state[f"live.{i}"]
        optimizer.ms = [state[f"mean.{i}"] for i in range(len(live))]
        optimizer.vs = [state[f"square.{i}"] for i in range(len(live))]
        optimizer.t = int(state["optimizer.t"])
        position, has_gauss, gauss = state["random.rest"]
        words = state["random.words"]
        network.random_state.set_state(("MT19937", words, int(position), int(has_gauss), gauss))
        best = [state[f"best.{i}"] for i in range(len(live))]
        half = len(network.coefs_)
        weights, biases = tuple(best[:half]), tuple(best[half:])
        return dataclasses.replace(self.layers(), weights=weights, biases=biases)

    def losses(self, layers: Layers) -> dict[str, float]:
        """Log loss, or root mean squared error in the target's unit, without the penalty.

        Args:
            layers: Weights to judge.

        Returns:
            ``train`` on a sample of the training rows, and ``stop`` if there are such rows.
        """
        loss = log_loss if self._sample.seen else rmse
        looks = {"train": self._look}
        if self._sample.stop_matrix is not None and self._sample.stop_y is not None:
            looks["stop"] = (self._sample.stop_matrix, self._sample.stop_y)
        with np.errstate(all="ignore"):
            return {name: loss(y, layers.predict(x)) for name, (x, y) in looks.items()}

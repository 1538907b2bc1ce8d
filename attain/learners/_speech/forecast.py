"""What each rung will cost, what is written, and what would go wrong."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from attain.core.media import parse
from attain.core.protocols import FitData
from attain.core.space import Space
from attain.core.types import ColumnKind, Forecast, RungForecast
from attain.learners._media.columns import find_columns
from attain.learners._pretrained.forecast import Asked, Measure, resident, rung_defaults
from attain.learners._speech import parameters
from attain.learners._speech.alphabet import Alphabet
from attain.learners._speech.findings import inspect
from attain.learners._speech.lesson import Taught, teach
from attain.learners._speech.network import SpeechBody
from attain.learners._speech.rungs import resident_body

_SAMPLE = 512
"""Rows that are looked at; all, where there are no more."""
_READ = 4
"""Clips that are heard to time hearing."""
_SHARE, _LEAST, _TRAINING = 0.03, 2.0, 3.0
"""Of the training of a rung, how much measuring its steps may cost on a CPU; seconds that it may
take in any case; time of a step over that of hearing its rows."""
_SHOWN = (0.25, 0.75, 0.95)
"""Quantiles of length of the rows that are shown."""


@dataclass(frozen=True, eq=False)
class _Case:
    """What is forecast.

    Attributes:
        space: Of the learner.
        data: All training rows.
        body: The network.
        taught: The rows that are looked at.
        scale: Training rows over these.
        pace: Seconds for hearing a frame.
    """

    space: Space
    data: FitData
    body: SpeechBody
    taught: Taught
    scale: float
    pace: float

    @property
    def frames(self) -> float:
        """Of all training rows."""
        return self.scale * float(self.taught.frames[self.taught.rows].sum())

    @property
    def stop_share(self) -> float:
        """Rows to stop on for each training row."""
        return 0.0 if self.data.stop is None else len(self.data.stop) / len(self.data.train)


def forecast(asked: Asked, data: FitData) -> Forecast:
    """What fits cost and what they learn.

    Args:
        asked: The learner's space, and what is wanted of it.
        data: Training rows, rows to stop on, folder of what is kept between fits.

    Returns:
        All rungs that are wanted, those that are held back included.

    Raises:
        DataError: When the column of clips is missing.
    """
    body, rows = resident_body(data.dataset), data.train
    if len(rows) > _SAMPLE:
        drawn = np.random.default_rng(data.seed).choice(len(rows), _SAMPLE, replace=False)
        rows = rows.take(np.sort(drawn))
    columns = find_columns(data.dataset, ColumnKind.AUDIO)
    taught = teach(body, columns, data.dataset.target, rows, data.cache)
    facts, findings = _facts(body, taught), inspect(taught)
    if not len(taught):
        return Forecast((), facts=facts, findings=findings)
    scale = len(data.train) / len(rows)
    case = _Case(asked.space, data, body, taught, scale, _pace(body, taught, data.threads))
    found: dict[str, Measure] = {
        parameters.AS_IS: lambda: _as_is(case),
        parameters.HEAD: lambda: _head(case),
        parameters.LORA: lambda: _tuned(case, parameters.LORA),
        parameters.FULL: lambda: _tuned(case, parameters.FULL),
    }
    cells = columns.read(rows.X)[0]
    return Forecast(asked.measured(found), _examples(body, taught, cells), facts, findings=findings)


def written(alphabet: Alphabet, ids: np.ndarray) -> str:
    """Tokens as the network sees them, one after the other; ``|`` between words."""
    return "".join(alphabet.tokens[i] for i in ids).replace(" ", "|")


def _facts(body: SpeechBody, taught: Taught) -> dict[str, float | int | str]:
    tokens = (token.replace(" ", "|") for token in body.alphabet.tokens)
    silent = sum(s is not None and s.silent > 0 for s in taught.spelled)
    facts: dict[str, float | int | str] = {
        **taught.facts,
        "vocabulary": " ".join(token for token in tokens if token),
        "blank": f"token {body.alphabet.blank}",
        "seconds_median": float(np.median(taught.waves.seconds)),
        "seconds_longest": float(taught.waves.seconds.max()),
        "punctuation_left_out": silent,
        "padding": "masked" if body.hearing.masks else "none: clips go one by one",
    }
    lacking = " ".join(f"{sign} ({n})" for sign, n in list(taught.unwritable.items())[:20])
    return facts | ({"not_in_vocabulary": lacking} if lacking else {})


def _examples(body: SpeechBody, taught: Taught, cells: list[str]) -> tuple[tuple[str, str], ...]:
    """A short, a middling and a long clip, and the tokens that are to be written."""
    order = np.argsort(taught.frames[taught.rows], kind="stable")
    places = dict.fromkeys(int(order[round(q * (len(order) - 1))]) for q in _SHOWN)
    found = []
    for place in places:
        row = int(taught.rows[place])
        reference = parse(cells[row])
        name = "clip" if reference is None else reference.name
        about = f"{name}, {taught.waves.seconds[row]:.2f} s, {taught.frames[row]} frames"
        found.append((about, written(body.alphabet, taught.ids(place))))
    return tuple(found)


def _pace(body: SpeechBody, taught: Taught, threads: int) -> float:
    """Seconds for hearing a frame without learning."""
    from attain.learners._speech.states import heard_states
    from attain.learners._torch.device import threads as limited

    index = taught.rows[np.linspace(0, len(taught) - 1, min(_READ, len(taught))).astype(int)]
    with limited(threads):
        heard_states(body, taught.waves[int(index[0])])  # the first call is slow
        began = time.perf_counter()
        for row in index:
            heard_states(body, taught.waves[int(row)])
    return (time.perf_counter() - began) / max(1, int(taught.frames[index].sum()))


def _as_is(case: _Case) -> RungForecast:
    reason = "nothing is trained: the network is loaded and hears the other rows"
    seconds = case.pace * case.frames * case.stop_share
    return RungForecast(parameters.AS_IS, 0, seconds, resident(0), reason)


def _head(case: _Case) -> RungForecast:
    """Hearing all clips once, and steps of the head."""
    found = _probed(case, parameters.HEAD)
    heard = case.pace * case.frames * (1 + case.stop_share)
    reason = f"{heard:.1f} s to hear all clips, once for the whole study, then {found.reason}"
    return RungForecast(
        parameters.HEAD, found.trainable, found.seconds + heard, found.bytes, reason
    )


def _tuned(case: _Case, rung: str) -> RungForecast:
    from attain.learners._pretrained.tuning import EVALUATE

    found = _probed(case, rung)
    epochs = float(rung_defaults(case.space, rung)["epochs"])
    looks = case.pace * case.frames * case.stop_share * math.ceil(epochs / EVALUATE)
    return RungForecast(rung, found.trainable, found.seconds + looks, found.bytes, found.reason)


def _probed(case: _Case, rung: str) -> RungForecast:
    """Steps are measured and taken back; few of them where hearing is slow."""
    from attain.learners._speech.tuning import prepare
    from attain.learners._torch.batches import total_steps
    from attain.learners._torch.memory import probe
    from attain.learners._torch.optimizer import one_group

    config: dict[str, Any] = rung_defaults(case.space, rung)
    body, taught, data = case.body, case.taught, case.data
    try:
        given = prepare(config, body, taught, None, data.seed, data.cache)
        told, trained = (
            given.recipe,
            sum(p.numel() for p in given.net.parameters() if p.requires_grad),
        )
        most = max(_SHARE * told.epochs * case.frames, _LEAST / (_TRAINING * case.pace))
        cpu = body.net.device.type == "cpu"
        found = probe(
            given.net, given.work, told, one_group(given.net),
            threads=data.threads, most=most if cpu else None,
        )  # fmt: skip
    finally:
        body.restored()
    steps = total_steps(round(len(taught) * case.scale), told.batch, told.epochs)
    reason = f"{steps} steps of {found.seconds:.2g} s, measured"
    if found.micro < told.batch:
        reason += f"; {found.micro} of {told.batch} clips fit into memory at once"
    return RungForecast(rung, trained, steps * found.seconds, found.bytes + 4 * trained, reason)

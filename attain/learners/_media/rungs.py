"""The rungs: how each one turns files and targets into a core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.media import parse
from attain.core.protocols import FitData, Report
from attain.core.space import Config, Space
from attain.core.types import Dataset
from attain.learners._media import parameters
from attain.learners._media.core import Bodied, Plain, features, make_front, summaries
from attain.learners._media.front import Front, Held
from attain.learners._media.images import ImageFront
from attain.learners._media.sound import SoundFront
from attain.learners._pretrained import linear
from attain.learners._pretrained.heads import Dense
from attain.learners._pretrained.lesson import Lesson, empty_head, quiet
from attain.learners._pretrained.model import Core

if TYPE_CHECKING:
    from attain.learners._media.work import MediaWork
    from attain.learners._pretrained.headed import Headed
    from attain.learners._pretrained.media import MediaBody

Fitted = tuple[str, Core, dict[str, Any]]
"""Kind of the core, the core, its facts."""
_PLAIN_SIZE = 96
"""Pixels to which images are scaled before they are summed up."""


def read(
    kind: str,
    space: Space,
    dataset: Dataset,
    cells: Sequence[str],
    cache: Path | None,
    threads: int,
) -> np.ndarray:
    """Features of files as the rung ``frozen`` has them.

    Args:
        kind: ``image`` or ``audio``.
        space: Of the learner, for its defaults.
        dataset: Names the network.
        cells: References.
        cache: Where features are kept, or None.
        threads: CPU threads.

    Returns:
        float32, shape (n, d).
    """
    body = _resident(dataset)
    front = _front(kind, space.defaults({"rung": parameters.FROZEN}), cells, body)
    return features(body, front, cells, cache, threads)


def resident_body(data: FitData) -> MediaBody:
    """The pre-trained body as it was loaded, on the fastest device."""
    return _resident(data.dataset)


def _resident(dataset: Dataset) -> MediaBody:
    from attain.learners._pretrained.load import resident
    from attain.learners._pretrained.media import load_media
    from attain.learners._torch.device import pick

    assert dataset.pretrained is not None  # the space has no such rung without it
    return resident(dataset.pretrained, device=str(pick()), load=load_media)  # type: ignore[return-value]


def find_front(kind: str, config: Config, lesson: Lesson, body: MediaBody | None) -> Front:
    """How files are prepared.

    Args:
        kind: ``image`` or ``audio``.
        config: May name the size of images.
        lesson: Training rows tell how long clips are.
        body: Says what it takes; None for the plain rung.

    Returns:
        The front.
    """
    return _front(kind, config, lesson.inputs[0], body)


def _front(kind: str, config: Config, cells: Sequence[str], body: MediaBody | None) -> Front:
    values: dict[str, Any] = dict(body.front or {}) if body is not None else {}
    values["detail"] = int(config.get("detail", 16))
    if kind == "image":
        values["size"] = int(config.get("size", values.get("size", _PLAIN_SIZE)))
    front = make_front(kind, values)
    if isinstance(front, SoundFront):
        return front.lasting([parse(cell) for cell in cells])
    return front


def fit_plain(kind: str, config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """A linear head on a few hundred numbers of each file."""
    front = find_front(kind, config, lesson, None)
    design = Dense(summaries(front, lesson.inputs[0], data.cache))
    stop = None if lesson.stop is None else summaries(front, lesson.stop[0], data.cache)
    head, facts = linear.walk(design, lesson.head(stop), report, data.hints)
    return "plain", Plain(kind, front, head, data.cache), {"trained": head.size, **facts}


def fit_frozen(kind: str, config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """Features of the body as it is, kept for all fits of a study, and a linear head."""
    body = resident_body(data)
    front = find_front(kind, config, lesson, body)
    head, facts = _solved(body, front, lesson, data, report, data.hints)
    core = Bodied(
        kind, lambda: resident_body(data), front, head, body.digest, data.threads, data.cache
    )
    return "body", core, {**seen(front), "trained": head.size, **facts}


def fit_tuned(kind: str, config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """A head solved on the frozen body, then the head and blocks of the body tuned together.

    Kumar et al. 2022 (arXiv:2202.10054): a random head would spoil the body's features before it
    has learnt what they are good for.
    """
    from attain.learners._pretrained.tuning import tune

    body = resident_body(data)
    front = find_front(kind, config, lesson, body)
    work = make_work(config, data, body, front, lesson)
    if body.net.learns_statistics:  # random weights: a head on them would only have to be unlearnt
        head, begun = empty_head(body.hidden, lesson.outputs.count), {}
    else:
        hints = linear.start_hints(data.hints)
        head, found = _solved(body, front, lesson, data, quiet, hints)
        begun = {linear.HEAD_ROUNDS: found["rounds"]}
    net, told = make_net(config, body, head)
    tuned = tune(net, work, told, body, data, report)
    own: Any = tuned.body
    core = Bodied(kind, lambda: own, front, tuned.head, body.digest, data.threads)
    return "body", core, {**seen(front), **begun, **tuned.facts}


RUNGS: Mapping[str, Callable[[str, Config, FitData, Lesson, Report], Fitted]] = {
    parameters.PLAIN: fit_plain,
    parameters.FROZEN: fit_frozen,
    parameters.LAST: fit_tuned,
    parameters.FULL: fit_tuned,
}


def make_net(config: Config, body: MediaBody, head: linear.Linear) -> tuple[Headed, Any]:
    """Body and head, of which only what the rung tunes requires gradients; and the recipe.

    Args:
        config: A configuration of the rungs ``last`` or ``full``.
        body: As it was loaded.
        head: To start from.

    Returns:
        The network and what the loop is told.
    """
    from attain.learners._pretrained.headed import Headed
    from attain.learners._pretrained.layers import freeze_below
    from attain.learners._pretrained.tuning import recipe

    last = config["rung"] == parameters.LAST
    if last:
        freeze_below(body.net, int(config["blocks"]))
    net = Headed(body.net, head, float(config["dropout"])).to(body.net.device)
    decay = 1.0 if last else float(config["layer_decay"])
    return net, recipe(config, float(config["learning_rate"]), decay)


def make_work(
    config: Config, data: FitData, body: MediaBody, front: Front, lesson: Lesson
) -> MediaWork:
    """Rows and loss for the training loop."""
    from attain.learners._media.work import MediaWork

    held = lambda cells: Held(front, cells, data.cache)  # noqa: E731
    return MediaWork(
        front=front,
        outputs=lesson.outputs,
        train=held(lesson.inputs[0]),
        train_targets=lesson.targets,
        stop=None if lesson.stop is None else held(lesson.stop[0]),
        held_targets=lesson.stop_targets,
        config=config,
        weights=lesson.weights,
        smoothing=float(config.get("label_smoothing", 0.0)),
        about=f"{body.digest} {front} {sorted(config.items())}",
    )


def _solved(
    body: MediaBody,
    front: Front,
    lesson: Lesson,
    data: FitData,
    report: Report,
    hints: Mapping[str, Any],
) -> tuple[linear.Linear, dict[str, Any]]:
    """The best linear head on the body as it is."""
    made = lambda cells: features(body, front, cells, data.cache, data.threads)  # noqa: E731
    stop = None if lesson.stop is None else made(lesson.stop[0])
    design = Dense(np.asarray(made(lesson.inputs[0])))
    return linear.walk(design, lesson.head(stop), report, hints)


def seen(front: Front) -> dict[str, Any]:
    """What of a file is seen, for people."""
    if isinstance(front, ImageFront):
        return {"size": front.size}
    assert isinstance(front, SoundFront)
    return {"seconds": front.seconds}

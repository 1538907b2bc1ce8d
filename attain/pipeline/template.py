"""``attain init``: a commented study file, filled in with what the data suggest."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.files import write_atomic
from attain.core.types import ColumnKind, Dataset, Pretrained, Task
from attain.data import infer
from attain.data.audit import suspects
from attain.data.load import load_frame
from attain.objectives import parse
from attain.parameters.select import MEDIA
from attain.pipeline.limits import DEFAULT_MINUTES, DEFAULT_TRIALS
from attain.pipeline.pretrained import describe_model, needs_text

_FILE = """\
# An attain study. Check it with `attain plan`, start it with `attain run`.

data: {data}
target: {target}
task: {task}                  # {task_reason}

{positive}# What good means: `metric >= number`, `metric <= number`, `maximize metric` or
# `minimize metric`. Add targets and limits, such as:{examples}
objectives:{objectives}

# Rows that nobody sees until the model is final: a share, or a file.
test: 20%

# Rows of one group never stand on both sides of a split; rows in time order are split by time.
groups: {groups}
time: {time}

# Columns to leave out.
ignore: {ignore}

{texts}# auto, or some of: {learners}
learners: auto
# What you know of their parameters: a value, a range or choices.
# parameters: {{learning_rate: [1.0e-5, 1.0e-4]}}
# auto, or one of: grid, random, sobol, lhs, bayes, bayes_per_second, tpe, cmaes, evolution
strategy: auto
budget: {trials} trials, {minutes:g} min
seed: 0
output: study
"""


@dataclass(frozen=True)
class _Suggested:
    groups: tuple[str | None, str]
    time: tuple[str | None, str]
    ignore: tuple[tuple[str, str], ...]


def init(
    data: str,
    target: str,
    *,
    folder: Path,
    objectives: Sequence[str] = (),
    text: Sequence[str] = (),
    model: str | None = None,
    output: str = "attain.yaml",
    force: bool = False,
) -> Path:
    """Write a study file.

    Args:
        data: Path of the data.
        target: Column to predict.
        folder: Where the study file goes.
        objectives: Statements; a sensible default otherwise.
        text: Columns to read as text; inferred otherwise.
        model: Folder or hub name of a pre-trained model to start from, if any; a folder is
            understood from here, as the data are.
        output: Name of the study file.
        force: Replace a file that exists.

    Returns:
        The file.

    Raises:
        SpecError: When the file exists, the target does not, an objective cannot be read, or there
            is no such model, or no text for it to read.
        DataError: When the data cannot be read, or the model's files are not whole.
    """
    path = folder / output
    if path.exists() and not force:
        remedy = "add --force to replace it, or choose another --output"
        raise SpecError(Problem("a study file is not overwritten", str(path), "", remedy))
    frame = load_frame(Path(data))
    if target not in frame.columns:
        remedy = did_you_mean(target, [str(c) for c in frame.columns])
        raise SpecError(Problem("the target must be a column", repr(target), data, remedy))
    pretrained = describe_model(model, Path())
    found = _suggest(frame, target, text, pretrained)
    dataset = infer.describe(
        frame,
        target=target,
        groups=found.groups[0],
        time=found.time[0],
        ignore=[name for name, _ in found.ignore],
        text=text,
        pretrained=pretrained,
        address=data,
    )
    if model is not None or dataset.task is not Task.TRANSCRIPTION:  # the file asks for one
        needs_text(dataset)
    if objectives:
        parse.parse(objectives, dataset.task)
    texts = _texts(dataset, text, model, folder)
    write_atomic(path, _fill(data, folder, dataset, found, objectives, texts))
    return path


def _suggest(
    frame: Any, target: str, text: Sequence[str], pretrained: Pretrained | None
) -> _Suggested:
    certain = suspects(frame, target, pretrained=pretrained)
    return _Suggested(
        groups=infer.suggest_groups(frame, target),
        time=infer.suggest_time(frame, target),
        ignore=tuple((name, why) for name, why in certain if name not in text),
    )


def _texts(dataset: Dataset, text: Sequence[str], model: str | None, folder: Path) -> str:
    """The lines on texts and the model that reads them; none for a table without texts."""
    found = [c.name for c in dataset.features if c.kind is ColumnKind.TEXT]
    lines = ""
    if dataset.task is Task.TRANSCRIPTION:
        lines = (
            "# The network that writes down what it hears: the folder of one with a head of\n"
            "# characters (CTC), such as Wav2Vec2ForCTC with its vocab.json. It is needed.\n"
        )
    elif dataset.modality in MEDIA:
        lines = (
            "# A pre-trained network to start from: its folder, or its name on the hub. Without\n"
            "# one only small pictures or band energies are read. attain import makes one of a\n"
            "# .pth.\n"
        )
    elif found:
        names = ", ".join(map(_quoted, text or found))
        several = "several are read one after the other"
        if dataset.task is Task.PREFERENCE:
            several = "what is asked, and the answer to which the target is preferred"
        why = "as asked" if text else f"inferred; {several}"
        lines = f"# Columns to read as text.\ntext: [{names}]    # {why}\n\n"
        lines += "# A pre-trained model to start from: its folder, or its name on the hub.\n"
    if not lines or model is None:
        return f"{lines}# model: FOLDER\n\n" if lines else ""
    named = _relative(model, folder) if Path(model).expanduser().is_dir() else model
    return f"{lines}model: {_quoted(named)}\n\n"


_LEARNERS = ("linear", "lightgbm", "extra_trees", "random_forest", "mlp", "svm", "knn")
_EXAMPLES = {
    "binary": ("roc_auc >= 0.9", "latency_p95_ms <= 20"),
    "multiclass": ("f1_macro >= 0.8", "size_mb <= 20"),
    "multilabel": ("f1_micro >= 0.8", "subset_accuracy >= 0.6"),
    "regression": ("r2 >= 0.8", "latency_p95_ms <= 20"),
    "generation": ("numeric_match >= 0.5", "ends >= 0.99"),
    "preference": ("win_rate >= 0.7",),
    "tagging": ("span_f1 >= 0.9", "word_accuracy >= 0.98"),
    "transcription": ("word_error_rate <= 0.1", "transcript_match >= 0.5"),
}


def _fill(
    data: str,
    folder: Path,
    dataset: Dataset,
    found: _Suggested,
    objectives: Sequence[str],
    texts: str,
) -> str:
    default, reason = parse.default(dataset.task, dataset.class_counts)
    stated = [_statement(o) for o in objectives] or [f"{o}    # {reason}" for o in default]
    examples = "".join(f"\n#   - {text}" for text in _EXAMPLES[dataset.task.value])
    ignore = "".join(f"\n  - {_quoted(name)}    # {why}" for name, why in found.ignore) or "[]"
    return _FILE.format(
        data=_quoted(_relative(data, folder)),
        target=_quoted(dataset.target),
        task=dataset.task.value,
        task_reason=dataset.task_reason,
        examples=examples,
        positive=_positive(dataset),
        objectives="".join(f"\n  - {text}" for text in stated),
        groups=_with_reason(*found.groups),
        time=_with_reason(*found.time),
        ignore=ignore,
        texts=texts,
        learners=_learners(dataset, bool(texts)),
        trials=DEFAULT_TRIALS,
        minutes=DEFAULT_MINUTES,
    )


def _learners(dataset: Dataset, texts: bool) -> str:
    """Those that could learn from the data."""
    if dataset.task.language:
        return "llm"
    if dataset.modality in MEDIA or dataset.task.counted:
        return dataset.modality
    return ", ".join([*(["text"] if texts else []), *_LEARNERS])


def _positive(dataset: Dataset) -> str:
    if dataset.task is not Task.BINARY:
        return ""
    line = f"positive: {_quoted(dataset.classes[1])}"
    return f"{line}    # the class that precision, recall and F1 are about\n\n"


def _statement(text: str) -> str:
    return text if re.fullmatch(r"\w[\w@.%<>= ]*", text) else _quoted(text)


def _with_reason(name: str | None, reason: str) -> str:
    value = "none" if name is None else _quoted(name)
    return f"{value}    # {reason}" if reason else value


def _relative(data: str, folder: Path) -> str:
    """The data's path as the study file should name it: relative if they lie near each other."""
    path = Path(os.path.relpath(Path(data).resolve(), folder.resolve()))
    return (Path(data).resolve() if path.parts[:2] == ("..", "..") else path).as_posix()


def _quoted(text: str) -> str:
    """A YAML scalar; quoted when YAML would read something else into it."""
    plain = text.replace("_", "a").replace("-", "a").replace(".", "a").replace("/", "a")
    if plain.isalnum() and not text[0].isdigit() and text[0] not in "-." and plain.isascii():
        reserved = {"true", "false", "yes", "no", "on", "off", "null", "none", "auto", "y", "n"}
        if text.lower() not in reserved:
            return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

"""The pre-trained model that a study names: found, hashed, and given texts to read."""

from __future__ import annotations

from pathlib import Path

from attain.core.errors import Problem, SpecError
from attain.core.types import ColumnKind, Dataset, Pretrained, Task
from attain.pipeline.spec import StudySpec


def read_model(spec: StudySpec) -> Pretrained | None:
    """What the user's model is; nothing of it is loaded.

    Args:
        spec: May name one.

    Returns:
        Where its files are, and their hash; None when no model is named.

    Raises:
        SpecError: When there is no such model.
        DataError: When its files are not whole, or must not be loaded.
    """
    return describe_model(spec.model, spec.base, trust_pickle=spec.trust_pickle)


def describe_model(
    address: str | None, base: Path, *, trust_pickle: bool = False
) -> Pretrained | None:
    """As `data.pretrained.describe_pretrained`; None where no model is named."""
    if address is None:
        return None
    from attain.data.pretrained import describe_pretrained

    return describe_pretrained(address, base, trust_pickle=trust_pickle)


def needs_text(dataset: Dataset) -> None:
    """Refuse a model that has nothing to read, or cannot read what there is.

    Args:
        dataset: Says what the columns are, and whether a model was named.

    Raises:
        SpecError: When a model was named and no feature is a text, an image or a clip, or the model
            is for another one of these.
    """
    if dataset.task.language and dataset.pretrained is None:
        rule, remedy = "a text can only be written by a language model", "add model: FOLDER"
        raise SpecError(Problem(rule, f"task: {dataset.task}, no model", "model", remedy))
    if dataset.task is Task.TRANSCRIPTION:
        _writes_down(dataset.pretrained)
    if dataset.pretrained is None or dataset.task.language:
        return
    _fits_medium(dataset, Path(dataset.pretrained.folder))
    if any(c.kind is ColumnKind.TEXT or c.kind.is_media for c in dataset.features):
        return
    rule = "a model needs a column of text to read, and none was recognised as one"
    remedy = "name it, as text: COLUMN, or leave the model out"
    kinds = ", ".join(f"{c.name} ({c.kind})" for c in dataset.features)
    raise SpecError(Problem(rule, kinds or "no features", "model", remedy))


def _writes_down(pretrained: Pretrained | None) -> None:
    """Refuse transcription without a network that can write.

    Args:
        pretrained: What the user named.

    Raises:
        SpecError: Says what is missing.
    """
    from attain.data.pretrained import why_no_transcripts

    why = "no model" if pretrained is None else why_no_transcripts(Path(pretrained.folder))
    if why:
        rule = "speech can only be written down by a network with a head of characters (CTC)"
        remedy = "name the folder of one, such as Wav2Vec2ForCTC with its vocab.json"
        raise SpecError(Problem(rule, why, "model", remedy))


def _fits_medium(dataset: Dataset, folder: Path) -> None:
    """Refuse a model of texts for files, and a model of files for texts.

    Args:
        dataset: What the model would read.
        folder: Of the model.

    Raises:
        SpecError: Names both.
    """
    from attain.data.pretrained import reads_media

    media = any(c.kind.is_media for c in dataset.features)
    if reads_media(folder) is media:
        return
    reads, there = ("files", "texts") if not media else ("texts", f"{dataset.modality} files")
    rule = f"the model must read what the data hold: it reads {reads}, and there are {there}"
    raise SpecError(Problem(rule, str(folder), "model", "name another model"))

"""Find a pre-trained model that the user named and say whether it is whole, without loading it.

Everything is read from JSON and from the headers of safetensors files, so the light process needs
neither torch nor transformers, and a broken download is named before anything is spent.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attain.core.errors import DataError, EnvironmentProblem, Problem, SpecError, did_you_mean
from attain.core.types import Pretrained

_PLACE = "model"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
"""One of these makes a tokenizer (the ``vocab_files_names`` of transformers' tokenizers)."""
_BESIDE = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "bpe.codes",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
_LONGEST_HEADER = 100_000_000
"""Bytes; safetensors' own limit (``MAX_HEADER_SIZE``)."""
_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64,
    "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
"""Bits of an element, from safetensors' ``Dtype``."""
_ANEW = "get the model anew, all files of it"


@dataclass(frozen=True)
class WeightsSummary:
    """What the headers of a model's weight files say.

    Attributes:
        parameters: Number of numbers in all tensors.
        bytes: Size of all tensors as stored.
        shapes: Shape of each tensor by name, sorted by name.
        dtypes: Number types that occur (``F32``, ``BF16``, ...), sorted.
    """

    parameters: int
    bytes: int
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: tuple[str, ...]


def describe_pretrained(
    address: str, base: Path, *, trust_pickle: bool = False, vocabulary: bool = True
) -> Pretrained:
    """Find a pre-trained model, check that its files are whole, and hash them.

    Args:
        address: A folder (absolute, or relative to `base`), or the name of a model on the Hugging
            Face hub (``org/name``), which is taken from the local cache if it is there, and
            downloaded only if ``HF_HUB_OFFLINE`` is not set.
        base: Folder of the study file.
        trust_pickle: Whether weights that are pickled may be used; loading them can run code.
        vocabulary: Whether the files of a tokenizer must be there, as they must for text; a model
            that `reads_media` has none.

    Returns:
        Folder and digest: SHA-256 over name and content of configuration, tokenizer and weights.

    Raises:
        SpecError: When there is no such model.
        DataError: When its files are missing, damaged, or pickled and not trusted.
        EnvironmentProblem: When the hub cannot be asked.
    """
    folder = _local(address, base) or _from_hub(address, base, trust_pickle)
    problems = list(_wrong(folder, trust_pickle, vocabulary and not reads_media(folder)))
    if problems:
        raise DataError(problems)
    return Pretrained(str(folder), _digest(folder), trusted=trust_pickle)


def reads_media(folder: Path) -> bool:
    """Whether a model reads images or sound, by its files: then it needs no tokenizer.

    Args:
        folder: Of the model.

    Returns:
        True for networks that `attain import` wrote, for those that write down what they hear, and
        where only a processor stands beside the weights.
    """
    config = _read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    if isinstance(config, dict) and config.get("architecture") == "attain":
        return True
    if _transcribes(config):
        return True
    tokenizer = any((folder / name).is_file() for name in _VOCABULARIES)
    return (folder / "preprocessor_config.json").is_file() and not tokenizer


def why_no_transcripts(folder: Path) -> str:
    """Why a model cannot write down what it hears, by its files.

    Args:
        folder: Of the model.

    Returns:
        What is missing, in one clause; empty if it can.
    """
    config = _read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    if not _transcribes(config):
        named = config.get("architectures") if isinstance(config, dict) else None
        return f"it is {', '.join(map(str, named or ())) or 'of an unnamed kind'}"
    return "" if (folder / "vocab.json").is_file() else "it has no vocab.json"


def _transcribes(config: Any) -> bool:
    """Whether a configuration names a network with a head of characters, trained by CTC."""
    named = config.get("architectures") if isinstance(config, dict) else None
    return any(str(name).endswith("ForCTC") for name in named or ())


def weights_summary(folder: Path) -> WeightsSummary:
    """Names, shapes and number of parameters, read from the headers of the weight files.

    Args:
        folder: A folder that `describe_pretrained` accepts, with safetensors weights.

    Returns:
        What is in it; nothing is loaded.

    Raises:
        DataError: When there are no safetensors weights, or they are damaged.
    """
    files = [folder / name for name in _weight_files(folder) if name.endswith(".safetensors")]
    problems = [problem for file in files if (problem := _damaged(file))]
    if problems or not files:
        nothing = Problem("weights must be safetensors", "none", str(folder), _ANEW)
        raise DataError(problems or nothing)
    tensors = {name: about for file in files for name, about in _header(file).items()}
    shapes = {name: tuple(tensors[name]["shape"]) for name in sorted(tensors)}
    stored = [about["data_offsets"] for about in tensors.values()]
    return WeightsSummary(
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        bytes=sum(end - start for start, end in stored),
        shapes=shapes,
        dtypes=tuple(sorted({about["dtype"] for about in tensors.values()})),
    )


# --- where it is ----------------------------------------------------------------------------------


def _local(address: str, base: Path) -> Path | None:
    """The folder that an address names, if it does."""
    if not address.strip():
        rule = "a model must be named"
        raise SpecError(Problem(rule, repr(address), _PLACE, "give a folder or a name on the hub"))
    path = base / Path(address).expanduser()
    if path.is_file():
        rule, remedy = "a model is a folder, not a file", f"give its folder: {path.parent}"
        raise SpecError(Problem(rule, address, _PLACE, remedy))
    return path.resolve() if path.is_dir() else None


def _from_hub(address: str, base: Path, pickled: bool) -> Path:
    """The folder of a model in the local cache of the hub, downloaded if that is allowed."""
    nearest = _nearest(base / Path(address).expanduser())
    if not _HUB_ID.fullmatch(address):
        rule = "the folder of the model must exist"
        raise SpecError(Problem(rule, address, _PLACE, nearest))
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise EnvironmentProblem(
            f"{address!r} is no folder, and names on the hub need huggingface_hub"
            " — pip install 'attain[text]', or give a folder"
        ) from error
    try:
        return Path(snapshot_download(address, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    if _offline():
        rule = "a model must be a folder or be in the local cache of the hub"
        remedy = f"{nearest}; or unset HF_HUB_OFFLINE to allow a download"
        raise SpecError(Problem(rule, address, _PLACE, remedy))
    return _download(address, nearest, pickled)


def _download(address: str, nearest: str, pickled: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    wanted = [*_VOCABULARIES, *_BESIDE, "model*.safetensors", _INDEX]
    wanted += ["pytorch_model*.bin", _PICKLED[1]] if pickled else []
    try:
        return Path(snapshot_download(address, allow_patterns=wanted))
    except HfHubHTTPError as error:  # the hub answered: no such model, or none for this user
        rule = "the hub must have the model, and give it to you"
        first = str(error).strip().partition("\n")[0]
        raise SpecError(Problem(rule, f"{address}: {first}", _PLACE, nearest)) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise EnvironmentProblem(
            f"{address!r} is no folder and the hub cannot be reached ({error})"
            f" — {nearest}; or download it where there is a network and give its folder"
        ) from error


def _offline() -> bool:
    """Whether the user forbids downloads, as huggingface_hub reads it."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in names)


def _nearest(path: Path) -> str:
    """What to give instead of a folder that is not there."""
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {parent} either; check the path"
    siblings = sorted(entry.name for entry in parent.iterdir() if entry.is_dir())
    near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.6)
    if near:
        return did_you_mean(path.name, near)
    return f"there is no folder like it in {parent}; check the path"


# --- whether it is whole --------------------------------------------------------------------------


def _wrong(folder: Path, trust_pickle: bool, vocabulary: bool) -> Iterator[Problem]:
    """Everything that is wrong with a model's files."""
    yield from _wrong_config(folder)
    yield from _wrong_weights(folder, trust_pickle)
    if vocabulary and not any((folder / name).is_file() for name in _VOCABULARIES):
        rule, known = "a text model needs the files of its tokenizer", ", ".join(_VOCABULARIES[:3])
        remedy = f"copy them (such as {known}) from where the model came from"
        yield Problem(rule, "none", str(folder), remedy)


def _wrong_config(folder: Path) -> Iterator[Problem]:
    path = folder / "config.json"
    if not path.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        found = "an adapter without its model" if adapter else "none"
        remedy = "give the folder of the model that it belongs to" if adapter else _ANEW
        yield Problem("a model needs config.json", found, str(folder), remedy)
        return
    config = _read_json(path)
    if not isinstance(config, dict):
        yield Problem("config.json must be a JSON object", _start(path), str(path), _ANEW)
    elif not isinstance(config.get("model_type"), str):
        remedy = "give a model of the transformers library"
        yield Problem("config.json must name its model_type", "none", str(path), remedy)
    elif quantized := config.get("quantization_config"):
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
        rule = "weights must be as they were trained; quantized ones cannot be tuned or merged"
        yield Problem(rule, str(method), str(path), "name the model that this one was made from")


def _wrong_weights(folder: Path, trust_pickle: bool) -> Iterator[Problem]:
    files = _weight_files(folder)
    pickled = [name for name in _PICKLED if (folder / name).is_file()]
    if not files and not pickled:
        yield Problem("a model needs weights", f"no {_WHOLE}", str(folder), _ANEW)
    elif all(name in _PICKLED for name in files) and not trust_pickle:
        rule = "weights must not be pickled, since loading them can run any code"
        remedy = "get the model as safetensors, or set trust_pickle: true if you trust its author"
        yield Problem(rule, pickled[0], str(folder), remedy)
    for name in files:
        path = folder / name
        if name.endswith(".json") and not isinstance(_index(path), dict):
            rule = "the index of the weights must be JSON with a weight_map"
            yield Problem(rule, _start(path), str(path), _ANEW)
        elif not path.is_file():
            rule = "every file that the index of the weights names must be there"
            yield Problem(rule, f"no {name}", str(folder), _ANEW)
        elif name.endswith(".safetensors") and (problem := _damaged(path)):
            yield problem


def _weight_files(folder: Path) -> list[str]:
    """Names of the files that transformers would load weights from, in its order of preference."""
    for whole, index in ((_WHOLE, _INDEX), _PICKLED):
        if (folder / whole).is_file():
            return [whole]
        if (folder / index).is_file():
            shards = _index(folder / index)
            return [index, *sorted({str(name) for name in (shards or {}).values()})]
    return []


def _index(path: Path) -> dict[str, str] | None:
    """File of each tensor; None if the index cannot be understood."""
    index = _read_json(path)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards:
        return None
    plain = all(isinstance(name, str) and Path(name).name == name for name in shards.values())
    return shards if plain else None


def _damaged(path: Path) -> Problem | None:
    """What is wrong with a safetensors file, told from its header and its size."""
    size = path.stat().st_size
    if size < 200 and path.read_bytes().startswith(b"version https://git-lfs"):
        remedy = "run `git lfs pull` in its folder, or download the file itself"
        return Problem("weights must be there themselves", "a pointer to them", str(path), remedy)
    try:
        header = _header(path)
        end = max((int(about["data_offsets"][1]) for about in header.values()), default=0)
        sizes_fit = all(map(_fits, header.values()))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        return Problem("weights must be safetensors", str(error)[:80], str(path), _ANEW)
    needed = 8 + _header_length(path) + end
    if size != needed or not sizes_fit or not header:
        rule = "a weight file must be as long as its header says"
        return Problem(rule, f"{size:,} bytes of {needed:,}", str(path), _ANEW)
    return None


def _fits(about: Mapping[str, Any]) -> bool:
    """Whether a tensor's bytes hold its shape; a type newer than this table is not judged."""
    start, end = about["data_offsets"]
    bits = _BITS.get(about["dtype"])
    return bits is None or (end - start) * 8 == bits * math.prod(about["shape"])


def _header_length(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(8), "little")


def _header(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file: 8 bytes of length, then JSON."""
    length = _header_length(path)
    if not 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
        raise ValueError(f"a header of {length:,} bytes in a file of {path.stat().st_size:,}")
    with path.open("rb") as file:
        file.seek(8)
        header = json.loads(file.read(length))
    return {name: about for name, about in header.items() if name != "__metadata__"}


def _read_json(path: Path) -> Any:
    """What a JSON file holds; None if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _start(path: Path) -> str:
    return repr(path.read_bytes()[:30].decode("utf-8", "replace"))


def _digest(folder: Path) -> str:
    """SHA-256 over name, length and content of the files that decide what the model computes."""
    names = {*_weight_files(folder), *_VOCABULARIES, *_BESIDE}
    total = hashlib.sha256()
    for name in sorted(name for name in names if (folder / name).is_file()):
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()

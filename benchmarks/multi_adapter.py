"""K = 8 LoRA configurations over one resident base, against one process per configuration.

    python benchmarks/multi_adapter.py --data FOLDER [--model FOLDER] [--quick] [--long] [--check]
                                       [--fresh]

Same rows (GSM8K), same steps, the same eight rates and ranks for all; one thread each.

    attain-all       one process, one base, all eight to the end
    attain-halving   the same, losers paused by successive halving
    peers            a process for each configuration: TRL's SFTTrainer with PEFT, in
                     benchmarks/.venvs/trl (made with: python -m venv, then pip install
                     torch==2.13.0 transformers==5.24.0 trl==1.16.0 peft==0.21.2); left out where
                     that is missing

Processor seconds and peak resident memory are those of the processes themselves. Finished ones are
kept in `results/multi_adapter/`; `--fresh` repeats ours, which our code may have changed. `--quick`
takes a model of random weights and synthetic rows, and no peers; `--long` four times as many rows
and no peers, so that halving begins after an eighth of 96 steps. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from attain.core.files import write_atomic

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "multi_adapter"
PEER = HERE / ".venvs" / "trl" / "bin" / "python"
RATES = (1e-4, 3e-4, 5e-4, 1e-3, 1e-3, 2e-3, 3e-3, 1e-2)
RANKS = (8, 16, 8, 16, 8, 16, 8, 16)
ROWS, LONG, EPOCHS, BATCH = 60, 240, 1.0, 2
"""Of the real model: 24 steps for each configuration, so that losers are first paused after 6 of
them; about a minute of processor time for a configuration. `LONG`: 96 steps, after 12. The model of
`--quick` takes three epochs of 128 rows, eight a step."""
TARGET = 3.0
"""One base and early exit against all to the end in processes of their own, to the same best loss:
processor time, as a ratio. Where that is not known, against all to the end over one base, which
shared passes have made cheaper already."""
QUICK_TARGET = 1.2
"""Of the toy, whose passes cost nearly the same whatever they hold."""


def rows(data: Path | None, quick: bool, count: int) -> list[dict[str, str]]:
    """Question and answer of short problems."""
    if quick or data is None:
        return [{"question": f"{i} {'ab'[i % 2]}", "answer": "xy"[i % 2]} for i in range(160)]
    from attain.data.load import load_frame

    frame = load_frame(data / "gsm8k" / "train.jsonl.gz")
    short = frame[(frame.question.str.len() < 140) & (frame.answer.str.len() < 140)]
    return short.head(count)[["question", "answer"]].to_dict("records")


def tiny(folder: Path) -> Path:
    """A Llama of random weights with characters as tokens."""
    sys.path.insert(0, str(HERE.parent / "tests" / "learners"))
    import llm_toys

    llm_toys.write_llm(folder, hidden_size=64, intermediate_size=96)
    return folder


def ours(
    model: Path, said: list[dict[str, str]], halving: bool, epochs: float, batch: int
) -> dict[str, Any]:
    """One race in this process."""
    import pandas as pd

    from attain.data.infer import describe
    from attain.data.pretrained import describe_pretrained
    from attain.data.table import to_rows
    from attain.learners._llm.lesson import teach
    from attain.learners._llm.many import Candidate, Plan, Race
    from attain.learners._llm.speak import Speaker
    from attain.learners._llm.work import Speech
    from attain.learners._pretrained.adapters import LoraConfig
    from attain.learners._pretrained.load import load_body
    from attain.learners._torch.device import threads

    pretrained = describe_pretrained(str(model), HERE)
    frame = pd.DataFrame(said)
    dataset = describe(frame, target="answer", task="generation", pretrained=pretrained)
    table, cut = to_rows(frame, dataset), len(frame) * 4 // 5
    body = load_body(pretrained, writes=True)
    index = list(range(len(frame)))
    train = teach(body, dataset, table.take(index[:cut])).coded
    stop = teach(body, dataset, table.take(index[cut:])).coded
    began = _cpu()
    speaker = Speaker(body.net)
    work = Speech(body, train, stop, speaker.packs)
    candidates = [
        Candidate(LoraConfig(r), lr, k) for k, (lr, r) in enumerate(zip(RATES, RANKS, strict=True))
    ]
    race = Race(speaker, work, candidates, Plan(epochs, batch, halving=halving))
    with threads(1):
        winner = race.run()
    return {
        "cpu_s": _cpu() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "winner": winner,
        "rate": RATES[winner],
        "loss": race.courses[winner].losses[race.steps],
        "losses": [c.losses for c in race.courses],
        "steps": [c.step for c in race.courses],
        "together": race.together,
        "measured": race.measured,
        "supervised_tokens": int(train.supervised.sum()),
    }


_PEER = """
import json, resource, sys, torch
torch.set_num_threads(1)
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer
model, rows, rate, rank, epochs, batch, out = sys.argv[1:]
said = json.load(open(rows))
cut = len(said) * 4 // 5
chat = [{"prompt": [{"role": "user", "content": r["question"]}],
         "completion": [{"role": "assistant", "content": r["answer"]}]} for r in said]
told = SFTConfig(out, num_train_epochs=float(epochs), per_device_train_batch_size=int(batch),
    learning_rate=float(rate), lr_scheduler_type="cosine", warmup_steps=0.1, report_to=[],
    eval_strategy="epoch", save_strategy="no", bf16=False, use_cpu=True, logging_strategy="no",
    gradient_checkpointing=False, disable_tqdm=True, dataset_num_proc=None)
lora = LoraConfig(r=int(rank), lora_alpha=32, target_modules="all-linear")
made = SFTTrainer(model, args=told, train_dataset=Dataset.from_list(chat[:cut]),
    eval_dataset=Dataset.from_list(chat[cut:]), peft_config=lora)
made.train()
use = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu_s": use.ru_utime + use.ru_stime, "peak_mb": use.ru_maxrss / 1e3,
                  "loss": made.evaluate()["eval_loss"]}))
"""


def peers(model: Path, said: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A process for each configuration, one after the other."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        path.write_text(json.dumps(said))
        for k, (rate, rank) in enumerate(zip(RATES, RANKS, strict=True)):
            kept = RESULTS / f"peer-{k}.json"
            if kept.is_file():
                found.append(json.loads(kept.read_text()))
                continue
            how = [str(value) for value in (rate, rank, EPOCHS, BATCH)]
            told = [str(model), str(path), *how, folder]
            made = subprocess.run(
                [str(PEER), "-c", _PEER, *told], capture_output=True, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip
            if made.returncode:
                print(made.stderr[-2000:], file=sys.stderr)
                return []
            found.append(json.loads(made.stdout.strip().splitlines()[-1]))
            write_atomic(kept, json.dumps(found[-1]))
    return found


def _cpu() -> float:
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def apart(name: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One of our ways in a process of its own."""
    kept = RESULTS / f"{name}{'-long' if options.long else ''}.json"
    if kept.is_file() and not (options.quick or options.fresh):
        return dict(json.loads(kept.read_text()))
    told = [sys.executable, __file__, "--way", name, "--model", str(model)]
    told += ["--quick"] if options.quick else ["--data", str(options.data)]
    told += ["--long"] if options.long else []
    made = subprocess.run(told, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(made.stdout.strip().splitlines()[-1])
    if not options.quick:
        write_atomic(kept, json.dumps(found))
    return found


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """All ways, and the ratios."""
    if options.quick:
        model = tiny(Path(tempfile.mkdtemp()))
    elif options.model is None:
        sys.path.insert(0, str(HERE / "llm"))
        from models import smollm2

        model = smollm2()
    else:
        model = options.model
    whole = apart("all", model, options)
    early = apart("halving", model, options)
    alone = options.quick or options.long
    others = [] if alone or not PEER.is_file() else peers(model, rows(options.data, False, ROWS))
    found = {
        "all": whole,
        "halving": early,
        "early_exit": whole["cpu_s"] / early["cpu_s"],
        "loss_gap": early["loss"] - whole["loss"],
        "peers": others,
    }
    if others:
        found["early_exit_to_peers"] = sum(p["cpu_s"] for p in others) / early["cpu_s"]
        found["time_ratio"] = sum(p["cpu_s"] for p in others) / whole["cpu_s"]
        together = sum(p["peak_mb"] for p in others)
        found["memory_ratio_side_by_side"] = together / whole["peak_mb"]
        found["memory_ratio_in_turn"] = max(p["peak_mb"] for p in others) / whole["peak_mb"]
    return found


def main() -> int:
    """Run, print, check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", type=lambda said: Path(said).resolve())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true", help="96 steps instead of 24, no peers")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="repeat our runs, not the peers'")
    parser.add_argument("--way", choices=("all", "halving"))
    options = parser.parse_args()
    if options.way:
        said = rows(options.data, options.quick, LONG if options.long else ROWS)
        epochs, batch = (3.0, 8) if options.quick else (EPOCHS, BATCH)
        found = ours(options.model, said, options.way == "halving", epochs, batch)
        print(json.dumps(found))
        return 0
    found = compare(options)
    print(json.dumps(found))
    saved = found.get("early_exit_to_peers", found["early_exit"])
    good = saved >= (QUICK_TARGET if options.quick else TARGET) and found["loss_gap"] <= 0.01
    return 0 if good or not options.check else 1


if __name__ == "__main__":
    raise SystemExit(main())

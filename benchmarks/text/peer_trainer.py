"""transformers' Trainer, as its documentation shows it, and Optuna around it; runs where they live.

    .venvs/trainer/bin/python text/peer_trainer.py JOB.json

The job names a file of texts and labels, a checkpoint and the settings; the answer is one line of
JSON on standard output. Times run from raw texts to the validation score of the model that is kept,
so tokenising counts, and loading the libraries does not.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
    utils,
)


class Texts(torch.utils.data.Dataset):
    """Tokenised texts with labels, as lists of lists."""

    def __init__(self, tokenizer: Any, texts: list[str], labels: list[int]) -> None:
        self.encoded = tokenizer(texts, truncation=True)
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {key: value[i] for key, value in self.encoded.items()} | {"labels": self.labels[i]}


def accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


def arguments(job: Mapping[str, Any], config: Mapping[str, Any], folder: str) -> TrainingArguments:
    """Those of the documentation's example, and what is asked for."""
    grouped = {"train_sampling_strategy": "group_by_length"} if job["grouped"] else {}
    return TrainingArguments(
        output_dir=folder,
        learning_rate=config["learning_rate"],
        per_device_train_batch_size=job["batch"],
        per_device_eval_batch_size=job["batch"],
        num_train_epochs=config["epochs"],
        weight_decay=config["weight_decay"],
        warmup_steps=config["warmup"],
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        bf16=job["bf16"],
        seed=job["seed"],
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        **grouped,
    )


def trainer(job: Mapping[str, Any], config: Mapping[str, Any], folder: str, parts: Any) -> Trainer:
    def fresh() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(
            job["model"], num_labels=job["classes"]
        )

    tokenizer, train, valid = parts
    set_seed(job["seed"])
    return Trainer(
        model=fresh(),
        args=arguments(job, config, folder),
        train_dataset=train,
        eval_dataset=valid,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=accuracy,
    )


def tokenised(job: Mapping[str, Any]) -> Any:
    data = json.loads(Path(job["data"]).read_text())
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    return tokenizer, Texts(tokenizer, *data["train"]), Texts(tokenizer, *data["valid"])


def fit(job: Mapping[str, Any]) -> dict[str, Any]:
    """One fit."""
    began, cpu = time.monotonic(), time.process_time()
    parts = tokenised(job)
    with tempfile.TemporaryDirectory() as folder:
        made = trainer(job, job["config"], folder, parts)
        clock = time.monotonic()
        made.train()
        train_seconds = time.monotonic() - clock
        score = made.evaluate()["eval_accuracy"]
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu,
        "train_seconds": train_seconds,
        "score": score,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def search(job: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's defaults (TPE, median pruner off as in Trainer's own integration), fit after fit.

    A model that validates better than all before it is tested on rows that nothing is chosen by;
    the clocks stand still meanwhile.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parts = tokenised(job)
    unseen = Texts(parts[0], *json.loads(Path(job["data"]).read_text())["test"])
    began, cpu = time.monotonic(), time.process_time()
    found: list[dict[str, float]] = []
    aside = {"seconds": 0.0, "cpu": 0.0}

    def objective(trial: Any) -> float:
        config = {
            "learning_rate": trial.suggest_float("learning_rate", 1e-5, 5e-4, log=True),
            "epochs": trial.suggest_int("epochs", 1, job["most_epochs"]),
            "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
            "warmup": trial.suggest_float("warmup", 0.0, 0.2),
        }
        with tempfile.TemporaryDirectory() as folder:
            made = trainer(job, config, folder, parts)
            made.train()
            score = float(made.evaluate()["eval_accuracy"])
            now = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
            spent = {clock: now[clock] - aside[clock] for clock in now}
            test = found[-1]["test"] if found else 0.0
            if score > max((trial["score"] for trial in found), default=-1.0):
                test = float(made.evaluate(unseen)["eval_accuracy"])
        aside["seconds"] += time.monotonic() - began - now["seconds"]
        aside["cpu"] += time.process_time() - cpu - now["cpu"]
        found.append({"score": score, "test": test, **spent})
        told = f"{len(found)} {score:.4f} {test:.4f} {spent['seconds']:.0f} s"
        print(told, file=sys.stderr, flush=True)
        return score

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=job["seed"])
    )
    study.optimize(objective, n_trials=job["trials"])
    return {
        "trials": found,
        "best": study.best_value,
        "score": found[-1]["test"],
        "config": study.best_params,
    }


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    utils.logging.set_verbosity_error()
    utils.logging.disable_progress_bar()
    done = search(job) if job["trials"] else fit(job)
    print(json.dumps({**done, "device": _device()}, default=_plain))


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    main()

"""Studies made by hand: every kind of record that a ledger can hold, with believable numbers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from report_data import (
    HALF,
    HOSTILE,
    LEVELS,
    ROWS,
    dataset_of,
    findings_of,
    loss_of,
    objectives_of,
    predict,
    rows_of,
    space_of,
)
from report_trust import measured

from attain.core.codec import encode
from attain.core.space import Categorical, Int
from attain.core.types import (
    CurvePoint,
    Decision,
    Diagnosis,
    Direction,
    Move,
    Objective,
    ObjectiveVerdict,
    Outcome,
    Record,
    Score,
    Split,
    SplitKind,
    Status,
    Task,
    Trial,
    Verdict,
    VerdictState,
)
from attain.report import hyper
from attain.report.explain import explain

FOLDS = 5


class Scribe:
    """Writes records as the pipeline would."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, step: str, kind: str, payload: Any, *parents: int) -> Record:
        number = len(self.records) + 1
        at = 1_795_000_000.0 + 2.5 * number
        self.records.append(Record(number, step, kind, encode(payload), parents, at))
        return self.records[-1]


class Study:
    """Builds one study, step by step, as far as asked."""

    def __init__(
        self, task: Task, *, hostile: bool = False, trials: int = 42, seed: int = 3
    ) -> None:
        self.task, self.hostile, self.n = task, hostile, trials
        self.rng = np.random.default_rng(seed)
        self.scribe = Scribe()
        self.rows = rows_of(task, hostile)
        self.data = dataset_of(task, hostile, self.rows)
        self.objectives = objectives_of(task)
        self.space, self.own = space_of()
        self.split = Split(SplitKind.STRATIFIED, FOLDS, 1, 0, "classes keep their shares")
        self.runs: list[dict[str, Any]] = []
        self.best_loss = float("inf")

    def begin(self) -> None:
        evil = HOSTILE if self.hostile else ""
        spec = {"data": self.data.address, "target": self.data.target, "seed": 0, "test": 0.2}
        spec |= {"objectives": [str(o) for o in self.objectives], "task": None, "name": evil}
        environment = {
            "python": "3.11.9",
            "platform": "Linux-6.1-x86_64",
            "cores": 8,
            "packages": {"numpy": "2.4.0", "scikit-learn": "1.9.1", "lightgbm": "4.7.0"},
        }
        payload = {"spec": spec, "version": "0.1.0", "environment": environment}
        self.scribe.add("study", "study", payload)
        stated = {"objectives": self.objectives, "reason": "stated in the study file"}
        self.scribe.add("objectives", "objectives", stated)
        self.scribe.add("data", "dataset", {"dataset": self.data})
        seal = {
            "path": "data/sealed.arrow",
            "digest": "aa51c09e" * 8,
            "fingerprint": "77e0b1c4" * 5,
            "rule": "20 % of the rows, classes in proportion, chosen by the hash of their content",
            "seed": 0,
            "rows": 400,
            "class_counts": [c // 4 for c in self.data.class_counts],
            "groups": 0,
            "objectives": [str(o) for o in self.objectives],
            "overlap": 2,
        }
        self.scribe.add("data", "seal", {"seal": seal})

    def audit(self, blocked: bool = False) -> None:
        payload = {"findings": findings_of(self.hostile, blocked), "seconds": 1.9}
        self.scribe.add("data", "audit", payload)
        if blocked:
            reason = "the data audit found what would make the result worthless"
            self.scribe.add("study", "ended", {"exit": 5, "reason": reason, "seconds": 2.4})

    def prepare(self) -> None:
        lead = self.objectives[0]
        item = {"objective": lead, "state": "decidable", "n": 400, "needed": 0.885}
        text = "400 test rows show a true value of 0.885 or better with 80 % power"
        self.scribe.add("objectives", "feasibility", {"items": [{**item, "text": text}]})
        self.scribe.add("validate", "split", {"split": self.split})
        choice = [
            {"name": "lightgbm", "used": True, "reason": "strong on tables of this size"},
            {
                "name": "linear",
                "used": True,
                "reason": "cheap, and hard to beat when effects add up",
            },
            {"name": "random_forest", "used": True, "reason": "robust without tuning"},
            {"name": "svm", "used": False, "reason": "cost grows with the square of the rows"},
        ]
        parameters = [
            {"name": p.name, "used": True, "reason": "priority 1"} for p in self.space.parameters
        ]
        payload = {"space": self.space, "learners": choice, "parameters": parameters}
        fixed = {"lightgbm.bagging": 1.0}
        self.scribe.add("parameters", "selection", {**payload, "fixed": fixed})
        reason = "7 parameters and 42 trials suit a model-based search"
        self.scribe.add("strategy", "strategy", {"name": "bayes", "reason": reason})

    def score(self, trial: str, metric: str, value: float, half: float, n: int) -> Score:
        folds = tuple(float(v) for v in value + self.rng.normal(0, half / 2, FOLDS))
        method = "delta method over rows"
        return Score(trial, metric, value, value - half, value + half, n, "", method, 0.95, folds)

    def scores(self, trial: str, value: float, n: int = ROWS) -> tuple[Score, ...]:
        lead = self.objectives[0].metric
        half = HALF[self.task] * np.sqrt(ROWS / n)
        found = [self.score(trial, lead, value, half, n)]
        if self.task is Task.REGRESSION:
            found.append(self.score(trial, "r2", 1 - (value / 410) ** 2, 0.02, n))
        else:
            found.append(self.score(trial, "accuracy", 0.9 * value + 0.05, 0.016, n))
        fast = float(self.rng.uniform(0.8, 2.4))
        found.append(
            Score(trial, "latency_p95_ms", fast, fast * 0.95, fast * 1.06, 400, "ms", "order")
        )
        return tuple(found)

    def trial(
        self, number: str, learner: str, config: Any, purpose: str, value: float | None, **kw
    ):
        point = {"learner": learner, **{f"{learner}.{k}": v for k, v in config.items()}}
        trial = Trial(
            id=number,
            learner=learner,
            config=config,
            point=point,
            seed=1,
            split=self.split,
            reason=kw.get("reason", "the surrogate expects an improvement here"),
            round=kw.get("round", 1),
            purpose=purpose,
        )
        asked = self.scribe.add("strategy", "trial", {"trial": trial})
        status = kw.get("status", Status.DONE)
        parents = [asked.id]
        for fold in range(FOLDS if status is Status.DONE else 1):
            curve = tuple(
                CurvePoint(
                    s, {"train": 0.7 * 0.97**s + 0.2, "stop": 0.7 * 0.975**s + 0.33 + s * 1e-4}
                )
                for s in range(0, 120, 2)
            )
            outcome = Outcome(
                number,
                fold,
                status,
                kw.get("message", ""),
                curve=curve if learner == "lightgbm" else (),
                facts={"latency_ms": [1.0] * 50},
                fit_seconds=1.2,
                seconds=float(self.rng.uniform(0.6, 3.0)),
                peak_bytes=int(self.rng.uniform(2e8, 4e8)),
            )
            parents.append(self.scribe.add("train", "outcome", {"outcome": outcome}).id)
        self._scored(number, purpose, value, status, kw.get("message", ""), parents)

    def _scored(self, number, purpose, value, status, message, parents) -> None:
        sign = -1.0 if self.objectives[0].direction is Direction.MAXIMIZE else 1.0
        loss = None if value is None else sign * value
        payload = {
            "trial": number,
            "status": status,
            "search": purpose == "search",
            "message": message,
            "scores": () if value is None else self.scores(number, value),
            "loss": loss,
            "noise": None if value is None else HALF[self.task] / 2,
            "seconds": float(self.rng.uniform(4, 14)),
            "reached": {},
            "diagnoses": (),
        }
        self.scribe.add("validate", "scored", payload, *parents)
        if purpose == "search" and loss is not None:
            self.best_loss = min(self.best_loss, loss)

    def baselines(self) -> None:
        guess, linear, _, _ = LEVELS[self.task]
        self.trial("b000", "baseline", {}, "baseline", guess, round=0)
        self.trial("b001", "linear", {"C": 1.0}, "baseline", linear, round=0)

    def quality(self, learner: str, config: dict[str, Any], progress: float) -> float:
        """Where a configuration lies between the middle and the best of the search, in [−1, 1]."""
        if learner == "lightgbm":
            rate, leaves = np.log10(config["learning_rate"]), np.log2(config["leaves"])
            found = 1.0 - 1.3 * (rate + 1.4) ** 2 - 0.05 * (leaves - 5) ** 2
        elif learner == "linear":
            found = -0.2 - 0.06 * np.log10(config["C"]) ** 2
        else:
            found = 0.45 - 0.002 * (config["depth"] - 17) ** 2
        return float(min(0.99, found - 0.35 * (1 - progress) + self.rng.normal(0, 0.06)))

    def config(self, learner: str) -> dict[str, Any]:
        config: dict[str, Any] = {}
        for p in self.own[learner].parameters:
            if isinstance(p, Categorical):
                config[p.name] = str(self.rng.choice(p.choices))
                continue
            u = self.rng.random()
            value = (
                p.low * (p.high / p.low) ** u if p.scale == "log" else p.low + u * (p.high - p.low)
            )
            config[p.name] = round(value) if isinstance(p, Int) else float(value)
        return config

    def search(self, until: int | None = None) -> None:
        _, _, middle, best = LEVELS[self.task]
        rounds = max(1, self.n // 14)
        for i in range(self.n if until is None else until):
            progress = i / self.n
            shares = [0.34 + 0.4 * progress, 0.33 - 0.2 * progress, 0.33 - 0.2 * progress]
            learner = str(self.rng.choice(list(self.own), p=shares))
            config = self.config(learner)
            value = middle + (best - middle) * self.quality(learner, config, progress)
            kw: dict[str, Any] = {"round": i // 14 + 1}
            if i % 13 == 5:
                kw |= {"status": Status.FAILED, "message": "the matrix is singular"}
                value = None
            if i == 9:
                kw |= {"status": Status.MEMORY, "message": "used 4.1 GB, the limit is 4 GB"}
                value = None
            self.trial(f"t{i + 1:04d}", learner, config, "search", value, **kw)
            if (i + 1) % 14 == 0:
                self.decide((i + 1) // 14, last=(i + 1) // 14 == rounds)

    def decide(self, number: int, last: bool) -> None:
        diagnosis = Diagnosis(
            "edge_of_range",
            "4 of the best 5 trials lie in the lowest tenth of lightgbm.learning_rate.",
            ("lightgbm.learning_rate",),
        )
        plan = {
            1: (
                Move.WIDEN,
                "the optimum seems to lie outside of the range",
                ("learning_rate 0.003 to 0.3",),
            ),
            2: (
                Move.NARROW,
                "two learners cannot win any more",
                ("learner: lightgbm, random_forest",),
            ),
        }
        kind, reason, changes = plan.get(number, (Move.CONTINUE, "still improving", ()))
        if last:
            kind, reason, changes = Move.STOP, "the trials of the budget are used up", ()
        decision = Decision(
            kind,
            reason,
            (diagnosis,) if number == 1 else (),
            changes=changes,
            predicted=None if last else 0.008 / number,
            measured=None if number == 1 else 0.005 / number,
            stop="budget" if last else "",
        )
        self.scribe.add("refine", "decision", {"decision": decision, "round": number})

    def choose(self) -> None:
        scored = [r for r in self.scribe.records if r.kind == "scored" and r.payload["search"]]
        done = sorted(
            (r for r in scored if r.payload["loss"] is not None), key=lambda r: r.payload["loss"]
        )
        self.finalist = done[0].payload["trial"]
        ids = [r.payload["trial"] for r in done[:3]]
        self.scribe.add(
            "refine", "finalists", {"trials": ids, "reason": "within the noise of the best"}
        )
        level = self._level(0.90)
        for i, name in enumerate(ids):
            source = next(
                r
                for r in self.scribe.records
                if r.kind == "trial" and r.payload["trial"]["id"] == name
            )
            made = source.payload["trial"]
            self.trial(
                f"c{i:03d}",
                made["learner"],
                made["config"],
                "confirm",
                self._level(0.90 - 0.05 * i),
            )
        payload = {
            "trial": self.finalist,
            "reason": "best on fresh folds; none of the cheaper ones is within one standard error",
            "naive": self.scores(self.finalist, self._level(0.98)),
            "confirmed": self.scores(self.finalist, level),
            "candidates": [{"trial": n, "naive": 0.1, "confirmed": 0.12} for n in ids],
            "confirmation": "c000",
        }
        self.scribe.add("refine", "choice", payload)
        refit = {"trial": self.finalist, "digest": "4be1f0c2" * 8, "folder": "model", "facts": {}}
        refit |= {"seconds": 3.2, "size_bytes": 412_000, "rows": ROWS}
        self.scribe.add("train", "refit", refit)

    def _level(self, share: float) -> float:
        _, _, middle, best = LEVELS[self.task]
        return middle + (best - middle) * share

    def test(self, looks: int = 1) -> None:
        intent = {
            "digest": "4be1f0c2" * 8,
            "look": looks,
            "reason": "",
            "fingerprint": "77e0b1c4" * 5,
        }
        self.scribe.add("sealed", "intent", intent)
        final = list(self.scores("final", self._level(0.84), 400))
        for metric, value, unit in (
            ("latency_p50_ms", 0.91, "ms"),
            ("latency_p99_ms", 2.61, "ms"),
            ("throughput_rows_per_s", 48_200.0, "rows/s"),
            ("size_mb", 0.412, "MB"),
            ("training_seconds", 3.2, "s"),
        ):
            final.append(
                Score("final", metric, value, value * 0.96, value * 1.05, 900, unit, "order")
            )
        objectives = tuple(
            self._judged(o, next(s for s in final if s.metric == o.metric)) for o in self.objectives
        )
        baseline = (
            *self.scores("b000", LEVELS[self.task][0], 400)[:2],
            *self.scores("b001", LEVELS[self.task][1], 400)[:2],
        )
        verdict = Verdict(
            objectives, self.finalist, baseline, "4be1f0c2" * 8, "77e0b1c4" * 5, looks, 0.95
        )
        self.scribe.add(
            "sealed",
            "verdict",
            {"verdict": verdict, "scores": final, "baseline": baseline, "seconds": 0.8},
        )

    @staticmethod
    def _judged(objective: Objective, score: Score) -> ObjectiveVerdict:
        up = objective.direction is Direction.MAXIMIZE
        assert objective.target is not None
        if not objective.reached(score.estimate):
            gap = abs(objective.target - score.estimate)
            advice = "more rows of the rarest class would help most; doubling the trials would not"
            return ObjectiveVerdict(objective, score, VerdictState.NOT_MET, gap, None, advice)
        if objective.reached(score.low if up else score.high):
            return ObjectiveVerdict(objective, score, VerdictState.MET)
        return ObjectiveVerdict(objective, score, VerdictState.UNPROVEN, 0.0, 2350, "")

    def explain(self, beats_baseline: bool = True) -> None:
        lead = self.objectives[0].metric
        payload = explain(
            predict(self.task),
            self.rows,
            dataset=self.data,
            metric=lead,
            loss=loss_of(self.task),
            beats_baseline=beats_baseline,
            seconds=10.0,
        )
        found = {"hyperparameters": hyper.importance(self.scribe.records)}
        self.scribe.add("report", "explanation", {**found, **payload})

    def trust(self) -> None:
        found = measured(self.task, self.rows, self.data, self.objectives[0])
        self.scribe.add("report", "reliability", found)

    def end(self) -> None:
        self.scribe.add("study", "ended", {"exit": 0, "reason": "", "seconds": 412.0})

    def whole(self) -> list[Record]:
        self.begin()
        self.audit()
        self.prepare()
        self.baselines()
        self.search()
        self.choose()
        self.test()
        self.explain()
        self.trust()
        self.end()
        return self.scribe.records


@cache
def _complete(task: Task, hostile: bool) -> tuple[Record, ...]:
    return tuple(Study(task, hostile=hostile).whole())


def complete(task: Task = Task.BINARY, *, hostile: bool = False) -> list[Record]:
    """A study that ran to its end; made once."""
    return list(_complete(task, hostile))


def blocked(**kw: Any) -> list[Record]:
    """A study that the audit stopped."""
    study = Study(Task.BINARY, **kw)
    study.begin()
    study.audit(blocked=True)
    return study.scribe.records


def interrupted(**kw: Any) -> list[Record]:
    """A study that was stopped in the middle of the search."""
    study = Study(Task.BINARY, **kw)
    study.begin()
    study.audit()
    study.prepare()
    study.baselines()
    study.search(until=20)
    study.scribe.add("study", "interrupted", {"reason": "stopped on request"})
    return study.scribe.records

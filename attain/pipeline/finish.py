"""After the search: confirm finalists, refit, explain, open the seal once, write the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from attain.core.codec import decode, encode
from attain.core.errors import ArtifactError, EnvironmentProblem, SealError
from attain.core.files import write_atomic
from attain.core.protocols import Event, Executor, Job, Limits
from attain.core.seal import Permit
from attain.core.seeds import derive
from attain.core.types import Score, Status, Verdict
from attain.data.seal import load_work
from attain.data.table import to_rows
from attain.objectives.metrics import lookup
from attain.pipeline import folders, language, late, nested, reliability
from attain.pipeline.confirming import apart, confirmation, fresh_split, in_words
from attain.pipeline.final_jobs import measured_scores
from attain.pipeline.jobs import hints_of
from attain.pipeline.loop import heed_stop, paired_noise
from attain.pipeline.prepare import Prepared
from attain.pipeline.result import Result, exit_of
from attain.pipeline.rigor import LEVELS
from attain.pipeline.scoring import FULL, Scored, observe
from attain.pipeline.spec import StudySpec
from attain.pipeline.study import Study
from attain.pipeline.threshold import unproven
from attain.pipeline.trials import Trials
from attain.refine.confirm import choose, finalists
from attain.report import card, evidence, html, hyper, text
from attain.sealed.verdict import confidence_for, judge

FINAL_JOBS = "attain.pipeline.final_jobs"
RELIABILITY_JOBS = "attain.pipeline.reliability_jobs"


@dataclass(frozen=True)
class Ending:
    """What the last steps share.

    Attributes:
        study: Where records go.
        spec: What the user stated.
        ready: What was prepared.
        trials: The study's trials.
        fresh: Makes an executor whose workers have run nothing yet.
    """

    study: Study
    spec: StudySpec
    ready: Prepared
    trials: Trials
    fresh: Callable[[], Executor]

    def finish(self, stop: str) -> None:
        """Do, or read back, everything from the last decision to the end.

        Args:
            stop: Why the search ended.

        Raises:
            Interrupted: When asked to stop.
            SealError: When the seal was opened for another model before.
            ArtifactError: When the saved model does not reproduce its predictions.
        """
        late.rescue(self.study, self.trials, self._pump)
        if not late.has_model(self.trials):
            self.study.once("study", "ended", self._nothing_worked)
            return
        choice = self._choose()
        self._fix_decisions(choice)
        refitted = self._refit(choice)
        self._explain(choice)
        verdict = self._open_seal(choice, refitted, look=1, reason="")
        self._measure_reliability(choice, verdict)
        self.study.once(
            "study",
            "ended",
            lambda: {
                "exit": int(exit_of(verdict)),
                "reason": stop,
                "seconds": self.study.spent(),
            },
        )

    def look_again(self, reason: str) -> None:
        """Open the seal once more, at a price that the verdict states.

        Args:
            reason: Why; recorded and shown in every report.

        Raises:
            SealError: When the first look has not been taken, or no reason is given.
        """
        choice, refitted = self.study.last("choice"), self.study.last("refit")
        if choice is None or refitted is None or self.study.last("verdict") is None:
            raise SealError("the seal has not been opened yet — finish the study with: attain run")
        if not reason.strip():
            raise SealError(
                "a second look at the sealed rows needs a reason — add: --reason 'why'; it "
                "tightens the confidence and is shown in every report"
            )
        look = len(self.study.of("intent")) + 1
        self._open_seal(choice.payload, refitted.payload, look=look, reason=reason)

    def _nothing_worked(self) -> dict[str, Any]:
        reason = late.failure(self.trials) or "no trial was finished within the budget"
        return {"exit": int(exit_of(None)), "reason": reason, "seconds": self.study.spent()}

    def _choose(self) -> Mapping[str, Any]:
        """Validate the best few on fresh folds and seeds, so that luck does not win."""
        names = self.study.once("refine", "finalists", self._finalists).payload["trials"]
        if self.study.last("choice") is None:
            self._confirm(names)
        self._replay()
        return self.study.once("refine", "choice", lambda: self._choice(names)).payload

    def _confirm(self, names: list[str]) -> None:
        split = self._fresh_split()
        for number, name in enumerate(names, start=1):
            if self.trials.asked("confirm") < number and not late.is_late(self.study):
                self.trials.ask(confirmation(self.study, self.trials, name, number, split))
        while self.trials.busy and not late.is_late(self.study):
            self._pump()
        late.settle_confirmations(self.trials)

    def _pump(self) -> None:
        heed_stop(self.study, self.trials)
        self.trials.pump()

    def _replay(self) -> None:
        """What the whole search scores on rows that it has not seen; decides nothing."""

        def make() -> dict[str, Any]:
            self.study.say("searching again without the rows of each outer fold", "validate")
            left = self.study.seconds_left() - reliability.reserved_seconds(self.study)
            return nested.measure(self.study, self.ready, self.trials, left)

        if LEVELS[self.spec.rigor].nested:
            self.study.once("validate", "nested", make)

    def _finalists(self) -> dict[str, Any]:
        """The best few; a plain linear model is one of them if nothing searched is better."""
        trials, scored = self.trials.trials, self.trials.scored
        done = [
            observe(t, scored[t.id])
            for t in trials.values()
            if t.purpose in ("search", "baseline") and t.learner != "baseline" and t.id in scored
        ]
        noise = paired_noise(self.trials)
        names = finalists(done, most=LEVELS[self.spec.rigor].finalists, noise=noise)
        reason = f"the best and those within its noise (a loss of {noise:.3g})"
        return {"trials": list(names), "reason": reason}

    def _fresh_split(self) -> Any:
        rows = to_rows(load_work(self.study.folder), self.ready.dataset)
        return fresh_split(self.spec, self.ready.dataset, rows, self.study.seed)

    def _choice(self, names: list[str]) -> dict[str, Any]:
        naive = {n: self.trials.scored[n] for n in names}
        fresh = {n: self.trials.scored.get(f"c{k:03d}") for k, n in enumerate(names, start=1)}
        confirmed = {n: s for n, s in fresh.items() if s is not None and s.loss is not None}
        noise, error = paired_noise(self.trials), apart(self.trials, confirmed)
        name, reason = choose(
            {n: (_loss(s), noise) for n, s in naive.items()},
            {n: (_loss(s), error[n]) for n, s in confirmed.items()},
            megabytes={n: self.trials.megabytes(s.trial) for n, s in confirmed.items()},
            shown=in_words(self.trials, confirmed),
        )
        final = confirmed.get(name, naive[name])
        notes = [naive[name].message, final.message if name in confirmed else ""]
        notes.append("" if self.trials.succeeded("search") else late.failure(self.trials))
        if not confirmed and late.is_late(self.study):
            notes.append(late.LATE)
        return {
            "trial": name,
            "reason": "; ".join([reason, *dict.fromkeys(filter(None, notes))]),
            "naive": encode(naive[name].scores),
            "confirmed": encode(confirmed[name].scores if name in confirmed else ()),
            "confirmation": final.trial,
            "threshold": encode(
                final.threshold if name in confirmed else unproven(final.threshold)
            ),
            "calibration": encode(final.calibration),
            "candidates": [
                {"trial": n, "naive": naive[n].loss, "confirmed": found.loss if found else None}
                for n, found in fresh.items()
            ],
        }

    def _fix_decisions(self, choice: Mapping[str, Any]) -> None:
        """Record what becomes of the final model's probabilities, where objectives ask for it."""
        for kind in ("calibration", "threshold"):
            chosen = choice.get(kind)
            if chosen is not None:
                made = {**chosen, "trial": choice["confirmation"]}
                self.study.once("refine", kind, partial(dict, made))

    def _refit(self, choice: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fit on all unsealed rows, save, and load in a fresh process to compare and time."""

        def make() -> dict[str, Any]:
            self.study.say("refitting on all unsealed rows", "train")
            event = self._run("refit", self._job_payload(choice), self.trials.executor)
            refitted = {**event.value, "peak_bytes": event.peak_bytes}
            probe = refitted.pop("probe")
            self.study.say("loading the saved model in a fresh process", "train")
            ask = {
                "folder": str(self.study.folder),
                "digest": refitted["digest"],
                "probe": probe,
            }
            inspected = self._in_fresh_process("inspect", ask)
            if inspected["differs"] != 0.0:
                raise ArtifactError(
                    "the saved model does not reproduce its predictions (largest difference "
                    f"{inspected['differs']:.3g}): a bug in the learner; nothing was tested"
                )
            efficiency = measured_scores(inspected, refitted, self.ready.objectives[0].confidence)
            return {
                **refitted,
                "trial": choice["trial"],
                "folder": "model",
                "efficiency": encode(efficiency),
            }

        found = self.study.once("train", "refit", make).payload
        folders.drop_checkpoint(self.study.folder, folders.REFIT)
        return found

    def _explain(self, choice: Mapping[str, Any]) -> None:
        """Explanations never decide anything: if they fail, the study says so and goes on."""

        def make() -> dict[str, Any]:
            self.study.say("explaining the model", "report")
            judge_ = self.trials.judge
            confirmation = self.trials.trials[choice["confirmation"]]
            ask = {
                **self._job_payload(choice),
                "split": encode(confirmation.split),
                "predictions": self.trials.predictions(confirmation.id),
                "metric": judge_.lead_metric,
                "direction": self._direction(judge_.lead_metric),
                "beats_baseline": self._beats_baseline(choice),
            }
            found = {"hyperparameters": hyper.importance(self.study.records)}
            if self.ready.dataset.task.counted:
                return {**found, "withheld": language.NOT_EXPLAINED}
            try:
                return {**found, **self._run("explain", ask, self.trials.executor).value}
            except EnvironmentProblem as error:
                return {**found, "failed": str(error)}

        self.study.once("report", "explanation", make)

    def _measure_reliability(self, choice: Mapping[str, Any], verdict: Verdict) -> None:
        """After the verdict, on unsealed rows; decides nothing, and never fails the study."""

        def run(name: str, payload: Mapping[str, Any], seconds: float) -> Any:
            return self._run(name, payload, self.trials.executor, RELIABILITY_JOBS, seconds).value

        def make() -> dict[str, Any]:
            self.study.say("checking how far the result can be trusted", "report")
            finalist = self._job_payload(choice)
            return reliability.measure(self.study, self.trials, choice, verdict, finalist, run)

        if reliability.applies(self.ready.dataset.task):
            self.study.once("report", "reliability", make)

    def _open_seal(
        self, choice: Mapping[str, Any], refitted: Mapping[str, Any], *, look: int, reason: str
    ) -> Verdict:
        """Announce the look, take it, judge. A look that was announced counts even if it crashed.

        A crash between the announcement and the verdict is completed with the same frozen model:
        nothing can have been learnt from it, so it stays the same look.
        """
        heed_stop(self.study, self.trials)
        seal, digest = self.ready.seal, refitted["digest"]
        intents = self.study.of("intent")
        if len(intents) >= look:
            intent = intents[look - 1]
            if intent.payload["digest"] != digest:
                raise SealError(
                    "the seal was opened for another model before — a second look needs: "
                    "attain test --reason 'why'"
                )
        else:
            announced = {"digest": digest, "look": look, "reason": reason}
            announced["fingerprint"] = seal.fingerprint
            intent = self.study.write("sealed", "intent", announced)
        done = [r for r in self.study.of("verdict") if r.payload["verdict"]["looks"] == look]
        if done:
            return decode(Verdict, done[0].payload["verdict"])
        self.study.say("opening the seal", "sealed")
        confidence = confidence_for(look, self.ready.objectives[0].confidence)
        permit = Permit(digest=digest, intent=intent.id, look=look, reason=reason)
        return self._test(choice, refitted, permit, confidence)

    def _test(
        self,
        choice: Mapping[str, Any],
        refitted: Mapping[str, Any],
        permit: Permit,
        confidence: float,
    ) -> Verdict:
        stated = list(self.trials.judge.quality)
        ask = {
            "folder": str(self.study.folder),
            "dataset": encode(self.ready.dataset),
            "seal": encode(self.ready.seal),
            "permit": encode(permit),
            "metrics": list(dict.fromkeys([*stated, *FULL[self.ready.dataset.task]])),
            "stated": [o.metric for o in self.ready.objectives],
            "confidence": confidence,
            "baselines": self._baselines(),
            "seed": self.study.seed,
            "threads": self.trials.limits.threads,
        }
        tested = self._at_home("sealed_test", ask)
        efficiency = decode(tuple[Score, ...], refitted["efficiency"])
        scores = (*decode(tuple[Score, ...], tested["scores"]), *efficiency)
        baseline = decode(tuple[Score, ...], tested["baseline"])
        verdict = judge(
            self.ready.objectives,
            {s.metric: s for s in scores},
            finalist=choice["trial"],
            baseline=baseline,
            digest=permit.digest,
            seal=self.ready.seal.fingerprint,
            looks=permit.look,
            confidence=confidence,
        )
        self.study.write(
            "sealed",
            "verdict",
            {
                "verdict": verdict,
                "scores": scores,
                "baseline": baseline,
                "seconds": tested["seconds"],
            },
            permit.intent,
        )
        return verdict

    def _baselines(self) -> list[dict[str, Any]]:
        return [
            {
                "trial": t.id,
                "learner": t.learner,
                "config": dict(t.config),
                "hints": self._hints(t.id),
                "threshold": _threshold(encode(self.trials.scored[t.id].threshold)),
            }
            for t in self.trials.trials.values()
            if t.purpose == "baseline" and self.trials.scored[t.id].status is Status.DONE
        ]

    def _hints(self, trial: str) -> dict[str, Any]:
        """What the folds learnt that a fit on all rows should use: the median of each fact."""
        outcomes = (record.payload["outcome"] for record in self.study.of("outcome"))
        return hints_of([o["facts"] for o in outcomes if o["trial"] == trial])

    def _job_payload(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        trial = self.trials.trials[choice["trial"]]
        return {
            "folder": str(self.study.folder),
            "dataset": encode(self.ready.dataset),
            "learner": trial.learner,
            "config": dict(trial.config),
            "hints": self._hints(choice["confirmation"]),
            "seed": derive(trial.seed, "refit"),
            "threads": self.trials.limits.threads,
            "trial": trial.id,
            "threshold": _threshold(choice.get("threshold")),
            "calibrator": (choice.get("calibration") or {}).get("calibrator"),
        }

    def _direction(self, metric: str) -> str:
        return lookup(metric).direction.value

    def _beats_baseline(self, choice: Mapping[str, Any]) -> bool:
        """Whether the finalist is better than always predicting the same, on the lead metric."""
        metric = self.trials.judge.lead_metric
        base = self.trials.baseline().get(metric)
        if base is None:
            return True
        confirmed = decode(tuple[Score, ...], choice["confirmed"] or choice["naive"])
        gain = next(s.estimate for s in confirmed if s.metric == metric) - base.estimate
        return (gain if self._direction(metric) == "maximize" else -gain) > 0

    def _at_home(self, name: str, payload: Mapping[str, Any]) -> Any:
        """Run a job on this machine, which alone has the sealed rows."""
        if getattr(self.trials.executor, "remote", False):
            return self._in_fresh_process(name, payload)
        return self._run(name, payload, self.trials.executor).value

    def _in_fresh_process(self, name: str, payload: Mapping[str, Any]) -> Any:
        executor = self.fresh()
        try:
            return self._run(name, payload, executor).value
        finally:
            executor.close()

    def _run(
        self,
        name: str,
        payload: Mapping[str, Any],
        executor: Executor,
        module: str = FINAL_JOBS,
        seconds: float | None = None,
    ) -> Event:
        """Run one job to its end.

        Args:
            name: Function in `module`.
            payload: Its argument.
            executor: Where.
            module: Where the function lives.
            seconds: After which the job is stopped; None for no limit.

        Returns:
            The event that ended it.

        Raises:
            EnvironmentProblem: When it did not end well.
            Interrupted: When asked to stop meanwhile.
        """
        limits = Limits(seconds=seconds, threads=self.trials.limits.threads)
        executor.submit(Job(name, f"{module}:{name}", payload, limits))
        while True:
            heed_stop(self.study, self.trials)
            for event in executor.events(0.2):
                if event.job == name and event.kind == "ended":
                    if event.status is not Status.DONE:
                        raise EnvironmentProblem(_why(name, event))
                    return event
            self.study.tell("tick", running=1)


def _why(name: str, event: Event) -> str:
    log = f"; see {event.log}" if event.log else ""
    return f"the {name.replace('_', ' ')} ended {event.status}: {event.message}{log}"


def _threshold(chosen: Mapping[str, Any] | None) -> float | None:
    return None if chosen is None else chosen["value"]


def _loss(scored: Scored) -> float:
    assert scored.loss is not None
    return scored.loss


def write_reports(study: Study) -> Result:
    """Write the report, the model card and the JSON from the ledger.

    Args:
        study: A study, finished or not.

    Returns:
        What the study hands back.

    Raises:
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    collected = evidence.collect(study.records)
    report, model_card = study.folder / "report.html", study.folder / "model_card.md"
    write_atomic(report, html.render(collected))
    write_atomic(model_card, card.render(collected))
    write_atomic(study.folder / "report.json", json.dumps(encode(collected), indent=1))
    found = study.last("verdict")
    verdict = None if found is None else decode(Verdict, found.payload["verdict"])
    model = study.folder / "model"
    return Result(
        exit=exit_of(verdict),
        verdict=verdict,
        folder=study.folder,
        report=report,
        card=model_card,
        model=model if study.last("refit") is not None else None,
        summary=text.render(collected),
        records=tuple(study.records),
    )

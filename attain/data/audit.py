"""Ask every check; each one answers, also when it does not apply or was silenced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attain.core import registry
from attain.core.counts import MEANT
from attain.core.errors import NotApplicable, PluginError, Problem, SpecError, did_you_mean
from attain.core.protocols import Check, Subject
from attain.core.types import Finding, FindingState, Task
from attain.data import (
    checks_columns,
    checks_drift,
    checks_labels,
    checks_leaks,
    checks_media,
    checks_near,
    checks_rows,
    checks_size,
    checks_tags,
    checks_texts,
)
from attain.data.effects import measured
from attain.data.infer import describe
from attain.data.sketch import Sketch
from attain.data.table import to_rows, usable

CHECKS: tuple[type[Check], ...] = (
    checks_size.TooFewRows,
    checks_size.UnusableTarget,
    checks_size.RowsWithoutTarget,
    checks_size.SmallClasses,
    checks_size.Imbalance,
    checks_size.ClippedTarget,
    checks_size.NoFeatures,
    checks_columns.Missing,
    checks_columns.Constant,
    checks_columns.Identifiers,
    checks_columns.MixedTypes,
    checks_columns.Spellings,
    checks_columns.MissingWords,
    checks_columns.ManyLevels,
    checks_columns.RareLevels,
    checks_columns.Outliers,
    checks_columns.Copies,
    checks_rows.Duplicates,
    checks_rows.Conflicts,
    checks_rows.Overlap,
    checks_rows.UndeclaredGroups,
    checks_rows.UndeclaredTime,
    checks_leaks.Leak,
    checks_leaks.GapLeak,
    checks_leaks.SumLeak,
    checks_texts.EmptyTexts,
    checks_texts.TextLengths,
    checks_texts.DamagedTexts,
    checks_texts.Languages,
    checks_near.NearDuplicates,
    checks_near.NearConflicts,
    checks_near.NearOverlap,
    checks_texts.PersonalData,
    checks_near.ToldLabels,
    checks_labels.Mislabelled,
    checks_drift.Drift,
    checks_drift.OwnTestDrift,
    checks_drift.OwnTestClasses,
    checks_drift.TimeLeak,
    checks_media.UnreadableFiles,
    checks_media.OddFiles,
    checks_media.Empties,
    checks_media.OddSizes,
    checks_media.NearMedia,
    checks_media.SealedMedia,
    checks_tags.EmptySentences,
    checks_tags.LooseInsides,
    checks_tags.RareTags,
    checks_tags.TwoTruths,
)


OF_LANGUAGE = frozenset(
    {checks_size.TooFewRows, checks_rows.Duplicates, checks_rows.Overlap, checks_texts.EmptyTexts,
     checks_texts.DamagedTexts, checks_near.NearDuplicates, checks_near.NearOverlap,
     checks_texts.PersonalData}
)  # fmt: skip
"""Checks that are also about rows whose target is a text to be written."""
OF_SPEECH = frozenset(
    {checks_size.TooFewRows, checks_size.RowsWithoutTarget, checks_rows.Duplicates,
     checks_rows.Overlap, checks_rows.UndeclaredGroups, checks_texts.PersonalData,
     checks_media.UnreadableFiles, checks_media.OddFiles, checks_media.Empties,
     checks_media.OddSizes, checks_media.NearMedia, checks_media.SealedMedia}
)  # fmt: skip
"""Checks that are also about clips whose target is what is said in them."""
OF_LABELS = frozenset(
    {checks_size.TooFewRows, checks_size.UnusableTarget, checks_size.RowsWithoutTarget,
     checks_size.SmallClasses, checks_size.NoFeatures, checks_columns.Missing,
     checks_columns.Constant, checks_columns.Identifiers, checks_columns.MixedTypes,
     checks_columns.Spellings, checks_columns.MissingWords, checks_columns.ManyLevels,
     checks_columns.RareLevels, checks_columns.Outliers, checks_columns.Copies,
     checks_rows.Duplicates, checks_rows.Conflicts, checks_rows.Overlap,
     checks_rows.UndeclaredGroups, checks_texts.EmptyTexts, checks_texts.TextLengths,
     checks_texts.DamagedTexts, checks_texts.Languages, checks_near.NearDuplicates,
     checks_near.NearOverlap, checks_texts.PersonalData, checks_drift.OwnTestDrift,
     checks_media.UnreadableFiles, checks_media.OddFiles, checks_media.Empties,
     checks_media.NearMedia, checks_media.SealedMedia}
)  # fmt: skip
"""Checks that are also about rows that carry any number of labels."""
OF_WORDS = (OF_LANGUAGE - {checks_texts.EmptyTexts}) | frozenset(
    {checks_tags.EmptySentences, checks_tags.LooseInsides, checks_tags.RareTags,
     checks_tags.TwoTruths}
)  # fmt: skip
"""Checks that are also, or only, about rows whose words have labels."""
MASKS = ("D060", "D061", "D062", "D063", "D064", "D070", "D071", "D072", "D073")
"""Codes of what learners find in masks and transcripts once the model's vocabulary is known."""


def audit(subject: Subject, ignore: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Ask the built-in checks, then the registered ones, and measure what is found.

    Args:
        subject: The unsealed rows.
        ignore: Codes of checks to skip; each still answers, with SKIPPED.

    Returns:
        One finding for each check, in the order of their codes.

    Raises:
        SpecError: A code to skip does not exist.
        PluginError: A registered check fails or uses a code twice; names it.
    """
    task = subject.dataset.task
    silent = _not_asked(task)
    checks = [kind() for kind in CHECKS] + [
        registry.find("check", name)() for name in registry.names("check")
    ]
    codes = [check.code for check in checks]
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise PluginError(f"check {repeated[0]} exists twice — give your check a code of its own")
    unknown = [code for code in ignore if code not in codes and code not in MASKS]
    if unknown:
        raise SpecError(
            Problem(
                "a check to skip must exist", repr(code), "audit_ignore", did_you_mean(code, codes)
            )
            for code in unknown
        )
    answers = tuple(
        _skipped(c)
        if c.code in ignore
        else _silent(c, task)
        if type(c) in silent
        else _asked(c, subject)
        for c in checks
    )
    return answers if silent else measured(subject, answers)


def _not_asked(task: Task) -> frozenset[type[Check]]:
    """Built-in checks that are about a class or a number, where the target is neither."""
    if not (task.counted or task.several):
        return frozenset()
    special = {Task.TAGGING: OF_WORDS, Task.TRANSCRIPTION: OF_SPEECH}
    return frozenset(CHECKS) - special.get(task, OF_LANGUAGE if task.counted else OF_LABELS)


def _skipped(check: Check) -> Finding:
    title = getattr(check, "title", type(check).__name__)
    return Finding(
        check.code,
        title,
        FindingState.SKIPPED,
        explanation=f"silenced by audit_ignore: [{check.code}]",
    )


def _silent(check: Check, task: Task) -> Finding:
    title = getattr(check, "title", type(check).__name__)
    here = MEANT.get(task, "a row carries any number of labels")
    why = f"it is about a class or a number, and here {here}"
    return Finding(check.code, title, FindingState.NOT_APPLICABLE, explanation=why)


def _asked(check: Check, subject: Subject) -> Finding:
    """The check's answer; a foreign check that fails is named."""
    try:
        return check.run(subject)
    except NotApplicable as reason:
        title = getattr(check, "title", type(check).__name__)
        return Finding(check.code, title, FindingState.NOT_APPLICABLE, explanation=str(reason))
    except Exception as error:
        if type(check) in CHECKS:
            raise
        raise PluginError(
            f"check {check.code} ({type(check).__qualname__}).run failed with "
            f"{type(error).__name__}: {error} — mend it, or skip it: audit_ignore: [{check.code}]"
        ) from error


def suspects(frame: Any, target: str, **roles: Any) -> tuple[tuple[str, str], ...]:
    """Columns that surely hold the answer, for a study file's ``ignore:``.

    Only certain leaks are named: copies of the target under another name or unit, and columns that
    add up or multiply to it in every row; none where the target is neither a class nor a number.

    Args:
        frame: As `load_frame` gives it.
        target: Column to predict.
        **roles: ``groups``, ``time``, ``task``, ``ignore`` and ``pretrained`` as `describe` takes
            them.

    Returns:
        Pairs of column and reason.
    """
    dataset = describe(frame, target=target, **roles)
    if dataset.task.several or dataset.task.counted:
        return ()
    frame = frame.loc[usable(frame, dataset)].reset_index(drop=True)
    seen = Sketch(Subject(dataset, frame, to_rows(frame, dataset)))
    found = dict.fromkeys(checks_leaks.copies_of_target(seen), f"it holds {target!r} itself")
    parts = None if seen.classes else checks_leaks.parts_of_target(seen)
    if parts and not found:
        names, formula = parts
        found |= dict.fromkeys(names, f"{target!r} is {formula} in every row")
    return tuple(found.items())

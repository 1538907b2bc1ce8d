"""The one exception tree.

    AttainError                      exit code 1
    ├── InputError                   2  the user gave something that cannot be used
    │   ├── SpecError                2  the study file or an argument of ``tune``
    │   ├── DataError                2  a data file or frame
    │   ├── SpaceError               2  a search space or a configuration outside of it
    │   └── PluginError              2  a strategy, learner or check that breaks its contract
    ├── NotApplicable                2  "not for this data, because ..." (a result, rarely shown)
    ├── BlockedByAudit               5  a blocking finding in the data
    ├── SealError                    6  a look at the sealed rows that is not permitted
    ├── Interrupted                  7  stopped on request; the same command continues
    ├── ArtifactError                2  a model folder that is damaged, altered or foreign
    └── EnvironmentProblem           8  memory, disk, permission, a missing optional package
        └── LedgerError              8  the study's ledger is locked, damaged or too new

Every message says what rule was broken, by which value, where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """What the process tells the shell."""

    MET = 0
    INTERNAL = 1
    USAGE = 2
    NOT_MET = 3
    NOT_DECIDABLE = 4
    AUDIT = 5
    SEAL = 6
    INTERRUPTED = 7
    ENVIRONMENT = 8


class AttainError(Exception):
    """Root of everything attain raises on purpose."""

    exit_code: Exit = Exit.INTERNAL


class InputError(AttainError):
    """The user gave something that cannot be used."""

    exit_code = Exit.USAGE


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input.

    Attributes:
        rule: What must hold, in one clause.
        value: What was received.
        place: File and line, column name, or argument.
        remedy: What to do next.
    """

    rule: str
    value: str = ""
    place: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        value = f" (got {self.value})" if self.value else ""
        remedy = f" — {self.remedy}" if self.remedy else ""
        return f"{place}{self.rule}{value}{remedy}"


class _ManyProblems(InputError):
    """An input error that collects every problem before it is raised.

    Args:
        problems: Everything that was found wrong, at least one.
    """

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SpecError(_ManyProblems):
    """The study file or an argument of ``tune`` breaks a rule."""


class DataError(_ManyProblems):
    """A data file or frame cannot be used as it is."""


class SpaceError(_ManyProblems):
    """A search space is not sound, or a configuration lies outside of it."""


class PluginError(InputError):
    """A plugin breaks its contract; the message names plugin, method and argument."""


class NotApplicable(AttainError):
    """Raised by a plugin to say "not for this data, because ..."."""

    exit_code = Exit.USAGE


class BlockedByAudit(AttainError):
    """The audit found something that would make the result worthless."""

    exit_code = Exit.AUDIT


class SealError(AttainError):
    """A look at the sealed rows that is not permitted."""

    exit_code = Exit.SEAL


class Interrupted(AttainError):
    """Stopped on request; running the same command again continues."""

    exit_code = Exit.INTERRUPTED


class ArtifactError(AttainError):
    """A model folder is damaged, was altered, or is of a kind attain does not load."""

    exit_code = Exit.USAGE


class EnvironmentProblem(AttainError):
    """Memory, disk, permission or a missing optional package."""

    exit_code = Exit.ENVIRONMENT


class LedgerError(EnvironmentProblem):
    """The study's ledger is in use, damaged, or written by a newer version."""


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Suggest the nearest known names.

    Args:
        name: What was received.
        known: The valid names.

    Returns:
        ``did you mean 'x'?``, or a list of the valid names when none is near.
    """
    folded = {k.casefold(): k for k in reversed(known)}  # the first of equals wins
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    if near:
        return f"did you mean {str(folded[near[0]])!r}?"
    return "use one of: " + ", ".join(sorted(known))

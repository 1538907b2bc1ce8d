"""Which trials come next: lost ones, then starts, then what the strategy proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attain.core.errors import PluginError, SpaceError
from attain.core.seeds import derive
from attain.core.types import Observed, Proposal
from attain.pipeline.journal import Journal
from attain.pipeline.tally import RUNNING

_REASONS = {"start": "a start that was stated", "earlier": "among the best of an earlier study"}


def ask(journal: Journal, n: int) -> tuple[str, ...]:
    """Choose and record the next trials.

    Args:
        journal: The state.
        n: How many are wanted.

    Returns:
        Their ids; fewer than n when nothing is left to try.

    Raises:
        PluginError: When the strategy breaks its contract.
        LedgerError: When nothing can be recorded.
    """
    items: list[dict[str, Any]] = [
        {"trial": trial, "again": True} for trial in list(journal.tally.lost)[:n]
    ]
    again = len(items)
    for origin, config in _first(journal, n - again):
        items.append(_new(journal, len(items) - again, config, _REASONS[origin], origin))
    if len(items) < n:
        _look_back(journal)
        for proposal in _propose(journal, n - len(items), items):
            new, config = len(items) - again, dict(proposal.config)
            item = _new(journal, new, config, proposal.reason, "strategy")
            items.append({**item, "predicted": proposal.predicted, "spread": proposal.spread})
    if items:
        journal.write([("asked", item) for item in items])
    return tuple(item["trial"] for item in items)


def _new(journal: Journal, before: int, config: Any, reason: str, origin: str) -> dict[str, Any]:
    trial = journal.tally.id_after(before)
    return {"trial": trial, "config": config, "reason": reason, "origin": origin}


def _first(journal: Journal, n: int) -> list[tuple[str, Any]]:
    """Up to n starts, the user's first, then good ones of an earlier study."""
    before = journal.earlier.starts if journal.earlier else ()
    handed = journal.tally.handed
    waiting = [("start", c) for c in journal.start[handed.get("start", 0) :]]
    waiting += [("earlier", c) for c in before[handed.get("earlier", 0) :]]
    return waiting[: max(n, 0)]


def _look_back(journal: Journal) -> None:
    """Judge the earlier study when a look at it is due."""
    if journal.earlier is not None:
        verdict = journal.earlier.look(journal.space)
        if verdict is not None:
            journal.write([("checked", verdict)])


def _propose(journal: Journal, n: int, items: Sequence[Mapping[str, Any]]) -> tuple[Proposal, ...]:
    seed = derive(journal.seed, "strategy")
    own = journal.tally.history()
    if items:
        own = (*own, *(_as_running(journal, item) for item in items))
    before = journal.earlier.history(journal.space) if journal.earlier else ()
    history = (*before, *own) if before else own
    found = tuple(journal.strategy.propose(journal.space, history, n, seed))
    if before and len(found) < n:  # what the earlier study tried has not been tried here
        found = tuple(journal.strategy.propose(journal.space, own, n, seed))
    for proposal in found:
        _check(journal, proposal)
    return found[:n]


def _as_running(journal: Journal, item: Mapping[str, Any]) -> Observed:
    known = journal.tally.trials.get(item["trial"])
    return Observed(item["trial"], known.config if known else item["config"], RUNNING)


def _check(journal: Journal, proposal: Proposal) -> None:
    try:
        journal.space.check(proposal.config)
    except SpaceError as error:
        raise PluginError(
            f"strategy {journal.named[0]!r}: propose gave a configuration outside of the space"
            f" — {error}"
        ) from error

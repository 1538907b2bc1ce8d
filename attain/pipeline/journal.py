"""The state of an optimizer and its records: nothing is known that was not recorded before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.codec import decode, encode
from attain.core.errors import LedgerError, Problem, SpecError
from attain.core.space import Space
from attain.core.types import Draft, Record
from attain.pipeline.goals import Goals
from attain.pipeline.tally import Tally

if TYPE_CHECKING:
    from attain.core.protocols import Ledger, Strategy
    from attain.pipeline.earlier import Earlier

AUTO = "auto"
_STEPS = {"asked": "strategy", "told": "validate", "lost": "train", "added": "validate"}


class Journal:
    """An optimizer's state, rebuilt from its records or begun anew.

    Args:
        ledger: Where records go; None for nowhere.
        space: As stated.
        goals: As stated.
        seed: As stated.
        start: Configurations to ask for first.
        strategy: As stated: ``auto``, a name, an address or an instance.
        trials: How many are expected, if it is known.
        from_study: An earlier study, or None.
    """

    def __init__(
        self,
        ledger: Ledger | None,
        *,
        space: Space,
        goals: Goals,
        seed: int,
        start: Sequence[Mapping[str, Any]],
        strategy: Any,
        trials: int | None,
        from_study: Any,
    ) -> None:
        self.space = space
        self.goals = goals
        self.seed = seed
        self.start = start
        self.tally = Tally(goals)
        self.earlier: Earlier | None = None
        self.named = ("", "")
        self.records: list[Record] = []  # all but those of trials, which the tally holds
        self.spent = 0.0  # seconds of earlier calls of `minimize`
        self._ledger = ledger
        self._held: list[Draft] | None = None
        self._open = True
        records = ledger.read() if ledger is not None else ()
        if records:
            self._resume(records, strategy, trials, from_study is not None)
        else:
            self._begin(strategy, trials, from_study)

    def check_open(self) -> None:
        """Refuse to go on once it was closed.

        Raises:
            LedgerError: When it was.
        """
        if not self._open:
            raise LedgerError("the optimizer was closed — make it again with the same ledger")

    def close(self) -> None:
        """Give the ledger back; safe to call twice."""
        self._open = False
        if self._ledger is not None:
            self._ledger.close()

    def write(self, items: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Make records durable, all or none, then take them in.

        Args:
            items: Kinds and payloads, as docs/architecture.md lists them.

        Raises:
            LedgerError: When they cannot be written; nothing has changed then.
        """
        self.check_open()
        items = list(items)
        if self._ledger is not None:
            drafts = [Draft(_STEPS.get(kind, "study"), kind, encode(p)) for kind, p in items]
            if self._held is None:
                self._remember(self._ledger.append(drafts))
            else:
                self._held += drafts
        for kind, payload in items:
            self._take(kind, payload)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Write everything of this block at its end, together: one flush of the disk for all.

        Nothing may be acted on before the end. What was written before an error is kept; should it
        be impossible to keep it, the journal closes, for it knows more than its records.

        Yields:
            Nothing.

        Raises:
            LedgerError: When they cannot be written.
        """
        if self._held is not None or self._ledger is None:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            drafts, self._held = self._held, None
            if drafts and self._open:
                try:
                    self._remember(self._ledger.append(drafts))
                except BaseException:
                    self.close()
                    raise

    def _remember(self, records: Iterable[Record]) -> None:
        self.records += [record for record in records if record.kind not in _STEPS]

    def _take(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.tally.apply(kind, payload)
        if kind == "chosen":
            self.named = payload["strategy"], payload["reason"]
        elif kind == "extended":
            space = payload["space"]
            self.space = space if isinstance(space, Space) else decode(Space, space)
        elif kind == "checked" and self.earlier is not None:
            self.earlier.checked(payload)

    def _begin(self, strategy: Any, trials: int | None, from_study: Any) -> None:
        self.named, self.strategy = choose(strategy, self.space, trials, self.goals)
        name = AUTO if _is_auto(strategy) else self.named[0]
        stated = {**self._statement(), "strategy": name}
        if from_study is not None:
            from attain.pipeline.earlier import read_earlier

            stated["earlier"] = read_earlier(from_study, self.goals, self.space)
            self._learn_from(stated["earlier"])
        chosen = {"strategy": self.named[0], "reason": self.named[1]}
        self.write([("optimizer", stated), ("chosen", chosen)])

    def aim(self, target: float) -> None:
        """Let the strategy know which loss is good enough, if it can make use of that.

        Args:
            target: Of the only goal, as a loss.
        """
        known: Any = self.strategy
        if is_dataclass(known) and any(f.name == "target" for f in fields(known)):
            # an instance: `load` refuses classes, which is_dataclass would let pass
            known = replace(known, target=target)  # type: ignore[type-var]
            self.strategy = known

    def _learn_from(self, earlier: Sequence[Mapping[str, Any]]) -> None:
        from attain.pipeline.earlier import Earlier

        self.earlier = Earlier.of(earlier, self.space, self.start, self.tally)

    def _statement(self) -> dict[str, Any]:
        """What must be the same when a ledger is opened again."""
        return {
            "space": self.space,
            "goals": self.goals.statements,
            "seed": self.seed,
            "start": self.start,
        }

    def _resume(
        self, records: Sequence[Record], strategy: Any, trials: int | None, taught: bool
    ) -> None:
        if records[0].kind != "optimizer":
            rule = "a ledger must have been begun by an optimizer"
            remedy = "give another path"
            raise SpecError(Problem(rule, f"a {records[0].kind!r} record", "ledger", remedy))
        began = records[0].payload
        if taught and not began.get("earlier"):
            rule, remedy = "a study learns from an earlier one from the beginning on", "begin anew"
            raise SpecError(Problem(rule, "it began without", "from_study", remedy))
        self._check_same(began, strategy, [r for r in records if r.kind == "extended"])
        self.space = decode(Space, began["space"])
        if began.get("earlier"):
            self._learn_from(began["earlier"])
        self._remember(records)
        self.spent = _spent(records)
        for record in records:
            self._take(record.kind, record.payload)
        self.strategy = load(self.named[0] if _is_auto(strategy) else strategy)
        if began["strategy"] == AUTO and trials is not None:
            self._choose_again(trials)

    def _choose_again(self, trials: int) -> None:
        """What was best for a few trials need not be for many."""
        named, strategy = choose(AUTO, self.space, trials, self.goals)
        if named[0] != self.named[0]:
            self.write([("chosen", {"strategy": named[0], "reason": named[1]})])
            self.strategy = strategy

    def _check_same(self, began: Mapping[str, Any], strategy: Any, later: list[Record]) -> None:
        """Refuse to go on under another statement; the extended space may be given, too."""
        given = encode({**self._statement(), "strategy": name_of(strategy)})
        spaces = [began["space"], *(r.payload["space"] for r in later)]
        if any(_content(given["space"]) == _content(space) for space in spaces):
            given["space"] = began["space"]
        if _is_auto(strategy):
            given["strategy"] = began["strategy"]
        problems = [
            Problem(
                f"a study goes on with the {key} it began with",
                _short(value),
                key,
                f"it began with {_short(began[key])}: give that, or another path",
            )
            for key, value in given.items()
            if value != began[key]
        ]
        if problems:
            raise SpecError(problems)


def open_ledger(ledger: Any) -> Ledger | None:
    """The ledger that an argument stands for.

    Args:
        ledger: A path, the URL of a database with a study, a `Ledger`, or None.

    Returns:
        The ledger, to be closed by whoever uses it.

    Raises:
        LedgerError: When another process writes, or the file is damaged.
    """
    if isinstance(ledger, str | Path):
        from attain.runtime.address import open_place
        from attain.runtime.url import is_url

        return open_place(ledger if is_url(ledger) else Path(ledger))
    if ledger is not None and not (hasattr(ledger, "append") and hasattr(ledger, "read")):
        rule, remedy = "a ledger must be a path or have append and read", "give a path"
        raise SpecError(Problem(rule, repr(ledger), "ledger", remedy))
    found: Ledger | None = ledger
    return found


def choose(
    strategy: Any, space: Space, trials: int | None, goals: Goals
) -> tuple[tuple[str, str], Strategy]:
    """A strategy, its name and why it was chosen.

    Args:
        strategy: ``auto``, a name, an address or an instance.
        space: Where to search.
        trials: How many are expected, if it is known.
        goals: What is asked for.

    Returns:
        Name and reason, and the strategy itself.

    Raises:
        PluginError: When no strategy has this name.
        SpecError: When an instance cannot propose.
    """
    if _is_auto(strategy):
        from attain.strategy.auto import choose as choose_for

        named = choose_for(space, trials, len(goals.goals), len(goals.limits))
        return named, load(named[0])
    return (name_of(strategy), "as stated"), load(strategy)


def _is_auto(strategy: Any) -> bool:
    return isinstance(strategy, str) and strategy == AUTO


def name_of(strategy: Any) -> str:
    """The name of a strategy in records.

    Args:
        strategy: A name, an address or an instance.

    Returns:
        The name, or the address of the instance's class.
    """
    if isinstance(strategy, str):
        from attain.core.registry import canonical

        return canonical("strategy", strategy)
    return f"{type(strategy).__module__}:{type(strategy).__qualname__}"


def load(strategy: Any) -> Strategy:
    """The strategy that a name stands for.

    Args:
        strategy: A name, an address or an instance.

    Returns:
        An instance.

    Raises:
        PluginError: When no strategy has this name.
        SpecError: When an instance cannot propose.
    """
    if isinstance(strategy, str):
        from attain.core.registry import find

        strategy = find("strategy", strategy)()
    if isinstance(strategy, type) or not hasattr(strategy, "propose"):
        rule, remedy = "a strategy must be a name or have propose and judge", "try 'auto'"
        raise SpecError(Problem(rule, repr(strategy), "strategy", remedy))
    found: Strategy = strategy
    return found


def _content(space: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two recorded spaces the same."""
    return {key: part for key, part in space.items() if key not in ("version", "retired")}


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "parameters" in value:
        value = [parameter["name"] for parameter in value["parameters"]]
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return (text if len(text) <= 60 else f"{text[:57]}...") or "nothing"


def _spent(records: Sequence[Record]) -> float:
    """Seconds of earlier calls, from the beginning of each to its last record."""
    total, began, last = 0.0, None, 0.0
    for record in records:
        if record.kind == "began":
            total += 0.0 if began is None else last - began
            began = record.at
        last = record.at
    return total + (0.0 if began is None else last - began)

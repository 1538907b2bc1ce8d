"""What every ledger must do. `check_ledger` raises AssertionError with what is broken."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from attain.core.errors import LedgerError
from attain.core.protocols import Ledger
from attain.core.types import CurvePoint, Draft, Record

Factory = Callable[[Path], Ledger]


def check_ledger(factory: Factory, *, durable: bool = True) -> None:
    """Hold a ledger against its contract.

    Args:
        factory: Opens the ledger kept at a path for writing; the same path is the same ledger.
        durable: Whether it outlives being closed. False leaves out reopening and the second writer.

    Raises:
        AssertionError: When the contract is broken; says how.
    """
    checks = [_contract, _numbering, _since, _all_or_none, _parents, _payloads, _copies, _times]
    checks += [_closing]
    checks += [_reopening, _one_writer] if durable else []
    with tempfile.TemporaryDirectory() as folder:
        for number, check in enumerate(checks):
            check(factory, Path(folder) / str(number) / "ledger.db")


def _draft(value: object = 0, *parents: int) -> Draft:
    return Draft("train", "outcome", {"value": value}, parents)


def _contract(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        assert isinstance(ledger, Ledger), f"{type(ledger).__name__} lacks append, read or close"
        assert ledger.read() == (), "a new ledger must be empty"
        assert ledger.append([]) == (), "appending nothing must give no records"
    finally:
        ledger.close()


def _numbering(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        written = [*ledger.append([_draft(i) for i in range(3)]), *ledger.append([_draft(3)])]
        ids = [record.id for record in written]
        assert ids == [1, 2, 3, 4], f"ids must count from 1 without a gap, got {ids}"
        assert all(isinstance(r, Record) for r in written), "append must return records"
        assert tuple(written) == ledger.read(), "read must give what append returned"
        values = [record.payload["value"] for record in written]
        assert values == [0, 1, 2, 3], f"records must keep their order, got {values}"
    finally:
        ledger.close()


def _since(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        ledger.append([_draft(i) for i in range(5)])
        for since in range(7):
            ids = [record.id for record in ledger.read(since)]
            wanted = list(range(since + 1, 6))
            assert ids == wanted, f"read({since}) must give records {wanted}, got {ids}"
    finally:
        ledger.close()


def _all_or_none(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        before = ledger.append([_draft()])
        for bad, why in (
            (_draft(object()), "a payload without a JSON form"),
            (_draft(1, 99), "a parent that does not exist"),
        ):
            _refused(partial(ledger.append, [_draft(1), bad]), why)
            assert ledger.read() == before, "a refused append must leave the ledger as it was"
        after = ledger.append([_draft(2)])
        assert after[0].id == 2, f"a refused append must not use up ids, got {after[0].id}"
    finally:
        ledger.close()


def _parents(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        ledger.append([_draft(0), _draft(1, 1)])  # the second may name the first
        for parent in (3, 4, 0, -1):
            _refused(partial(ledger.append, [_draft(2, parent)]), f"record 3 with parent {parent}")
        (record,) = ledger.append([_draft(2, 1, 2)])
        assert tuple(record.parents) == (1, 2), f"parents must be kept, got {record.parents}"
    finally:
        ledger.close()


def _payloads(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        point = CurvePoint(3, {"train": math.nan, "stop": math.inf})
        text = "é \N{SNOWMAN} \udc80 ' \" \x00 \n"
        (record,) = ledger.append([_draft({"curve": (point,), "text": text, "big": 2**80})])
        wanted = {
            "curve": [{"step": 3, "values": {"train": "NaN", "stop": "Infinity"}}],
            "text": text,
            "big": 2**80,
        }
        found = record.payload["value"]
        assert found == wanted, f"a payload must be kept as codec.encode gives it, got {found!r}"
        assert ledger.read()[0].payload["value"] == wanted, "read must give the same payload"
    finally:
        ledger.close()


def _copies(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        values = [1, 2]
        ledger.append([_draft(values)])
        values.append(3)
        found = ledger.read()[0].payload["value"]
        assert found == [1, 2], (
            f"changing a draft after append must not change the log, got {found}"
        )
    finally:
        ledger.close()


def _times(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        for _ in range(5):
            ledger.append([_draft()])
        times = [record.at for record in ledger.read()]
        assert times == sorted(times), f"times must not run backwards, got {times}"
        assert times[0] > 0, f"times are seconds since the epoch, got {times[0]}"
    finally:
        ledger.close()


def _closing(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    ledger.close()
    ledger.close()
    _refused(lambda: ledger.append([_draft()]), "an append after close")


def _reopening(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    written = ledger.append([_draft({"x": [1, None, "ü"]}), _draft(1, 1)])
    ledger.close()
    ledger = factory(path)
    try:
        assert ledger.read() == written, "records must be the same after closing and opening again"
        assert ledger.append([_draft()])[0].id == 3, "ids must go on after opening again"
    finally:
        ledger.close()


def _one_writer(factory: Factory, path: Path) -> None:
    ledger = factory(path)
    try:
        _refused(lambda: factory(path).close(), "a second writer of the same ledger")
        ledger.append([_draft()])  # the first is not disturbed
    finally:
        ledger.close()


def _refused(action: Callable[[], object], what: str) -> None:
    try:
        action()
    except LedgerError as error:
        assert str(error), f"{what} must be refused with a message"
    except Exception as error:
        raise AssertionError(f"{what} must be refused with LedgerError, got {error!r}") from error
    else:
        raise AssertionError(f"{what} must be refused")

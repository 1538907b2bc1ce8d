"""A listener that also keeps the live file, from which a dashboard shows what is under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attain.pipeline.notice import Listener, Notice
from attain.runtime.live import LiveFile


@contextmanager
def watched(folder: Path, listen: Listener | None) -> Iterator[Listener]:
    """Keep the live file of a study while it runs.

    Args:
        folder: The study folder.
        listen: Told of everything as well.

    Yields:
        The listener to hand to the study.
    """
    live = LiveFile(folder)

    def both(notice: Notice) -> None:
        note(live, notice)
        live.write()
        if listen is not None:
            listen(notice)

    try:
        yield both
    finally:
        live.remove()


def note(live: LiveFile, notice: Notice) -> None:
    """Take in what happened.

    Args:
        live: Not written yet.
        notice: Of any kind.
    """
    if notice.record is not None:
        live.doing("")
        outcome = notice.record.payload.get("outcome")
        if notice.record.kind == "outcome" and outcome:
            live.ended(f"{outcome['trial']}-f{outcome['fold']}")
    elif notice.text:
        live.doing(notice.text)
    elif notice.job and isinstance(notice.value, Mapping) and "step" in notice.value:
        live.look(notice.job, notice.value)

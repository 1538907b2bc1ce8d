"""What all strategies of this package share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attain.core.types import Observed, Signal


class Unjudging:
    """A strategy that lets every trial run to its end.

    Attributes:
        judges: Whether `judge` ever says anything but CONTINUE.
        learns: Whether proposals depend on results, not on what was asked for alone; others may be
            asked for ahead at no loss.
    """

    judges = False
    learns = True

    def judge(
        self, history: Sequence[Observed], running: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Signal]:
        """Nothing: all running trials continue.

        Args:
            history: All trials so far.
            running: Losses so far of the running trials.

        Returns:
            An empty mapping.
        """
        return {}

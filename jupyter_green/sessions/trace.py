"""All stamps of a session as columns, while they grow."""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Mapping

from jupyter_green.sessions.model import Trace

POWER_WINDOW_S = 2.0
"""The live power is the mean over the stamps of the last two seconds."""

MISSING = -1


class TraceColumns:
    """Time and cumulative microjoules by counter, stamp by stamp."""

    def __init__(self) -> None:
        self._t = array("d")
        self._uj: dict[str, array[int]] = {}

    def append(self, t: float, uj: Mapping[str, int], counters: Iterable[str]) -> None:
        """One stamp. A stamp that comes after a later one is left out: columns are in order.

        Args:
            counters: all that have been read so far.
        """
        if self._t and t < self._t[-1]:
            return
        for counter in counters:
            column = self._uj.get(counter)
            if column is None:
                column = self._uj[counter] = array("q", [MISSING]) * len(self._t)
            column.append(uj.get(counter, MISSING))
        self._t.append(t)

    def frozen(self) -> Trace:
        """A copy that grows no more."""
        return Trace(t=self._t[:], uj={name: column[:] for name, column in self._uj.items()})

    def power_w(self, counters: Container[str]) -> float | None:
        """Watts of ``counters`` over the last stamps, or None where too little is known."""
        t = self._t
        if len(t) < 2:
            return None
        start = len(t) - 2
        while start > 0 and t[-1] - t[start] < POWER_WINDOW_S:
            start -= 1
        watts = [
            power_w
            for counter, column in self._uj.items()
            if counter in counters
            if (power_w := _mean_w(t[start:], column[start:])) is not None
        ]
        return sum(watts) if watts else None


def _mean_w(t: array[float], column: array[int]) -> float | None:
    """Mean watts of one counter from its first to its last reading; None where it has no two."""
    read = [index for index, uj in enumerate(column) if uj >= 0]
    seconds = t[read[-1]] - t[read[0]] if read else 0.0
    if seconds <= 0:
        return None
    return max(0, column[read[-1]] - column[read[0]]) / 1e6 / seconds

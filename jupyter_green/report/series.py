"""What the charts draw, thinned to what can be seen; energies stay what they are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jupyter_green.sessions.model import Cell, Session
from jupyter_green.units import UJ_PER_J

STRETCHES = 600
"""Points of the power line: a chart of a report is hardly wider in pixels."""
MOST_BANDS = 300
"""Cells that are shaded behind the power line."""


@dataclass(frozen=True)
class Power:
    """Mean watts of the counted counters over equal stretches of the session."""

    every_s: float
    starts_s: tuple[float, ...]
    watts: dict[str, tuple[float | None, ...]]
    """By counter; None: not known then."""


def power(session: Session, stretches: int = STRETCHES) -> Power:
    """The power line.

    A stretch has the energy between its edges, at which the readings are carried on in a
    straight line: what the stretches add up to is the session's energy, however many there are.
    """
    every_s = session.duration_s / stretches
    edges = [every_s * index for index in range(stretches + 1)]
    return Power(
        every_s,
        tuple(edges[:-1]),
        {
            name: _watts(session, name, edges)
            for name, info in session.counters.items()
            if info.counted and every_s > 0
        },
    )


def _watts(session: Session, counter: str, edges: Sequence[float]) -> tuple[float | None, ...]:
    t, uj = _readings(session, counter)
    if len(t) < 2:
        return (None,) * (len(edges) - 1)
    at = [_interpolated(edge, t, uj) for edge in edges]
    unknown = [*_unknown(session, counter), (-1.0, t[0]), (t[-1], session.duration_s)]
    seconds = edges[1] - edges[0]
    return tuple(
        None
        if any(since <= (left + right) / 2 < until for since, until in unknown)
        else (after - before) / UJ_PER_J / seconds
        for left, right, before, after in zip(edges, edges[1:], at, at[1:], strict=False)
    )


def _readings(session: Session, counter: str) -> tuple[list[float], list[int]]:
    """The known readings. One that is older than the one before takes nothing back."""
    column = session.trace.uj.get(counter, ())
    known = [(t, uj) for t, uj in zip(session.trace.t, column, strict=False) if uj >= 0]
    return [t for t, _ in known], list(accumulate((uj for _, uj in known), max))


def _interpolated(at: float, t: Sequence[float], uj: Sequence[int]) -> float:
    after = bisect_left(t, at)
    if after == 0:
        return uj[0]
    if after == len(t):
        return uj[-1]
    share = (at - t[after - 1]) / (t[after] - t[after - 1])
    return uj[after - 1] + share * (uj[after] - uj[after - 1])


def _unknown(session: Session, counter: str) -> Iterable[tuple[float, float]]:
    """Stretches of which nothing is known, or only a sum."""
    for hole in session.holes:
        if hole.counter == counter:
            until = session.duration_s if hole.until_s is None else hole.until_s
            yield hole.since_s, until
    for gap in session.gaps:
        yield gap.since_s, gap.until_s


def owners(session: Session) -> list[Cell]:
    """The cells that own time: those of the ledger, in the order in which they ended."""
    return [cell for cell in session.cells if cell.owns_time]


def costliest(cells: Iterable[Cell], most: int) -> list[Cell]:
    """The cells that cost most, the dearest first."""
    return sorted(cells, key=lambda cell: cell.energy.total_uj or 0, reverse=True)[:most]

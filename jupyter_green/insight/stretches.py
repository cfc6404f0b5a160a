"""The power of a device over a session, in short windows within cells and between them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from jupyter_green.sessions.model import Session
from jupyter_green.units import UJ_PER_J

WINDOW_S = 1.0
"""Long against a device's updates (0.1 s), short against what a person waits for."""
SHORTEST_S = 0.5
"""What is left of a stretch and shorter than that tells no power."""
BETWEEN = -1
"""Stands for the number of a cell, outside cells."""


class Window(NamedTuple):
    """Mean power of one counter over about a second."""

    owner: int
    """Number of the cell, or BETWEEN."""
    seconds: float
    uj: int

    @property
    def power_w(self) -> float:
        return self.uj / UJ_PER_J / self.seconds


def windows_of(session: Session, counter: str) -> list[Window]:
    """The windows in which the counter was read and moved, in the order of time."""
    column = session.trace.uj.get(counter)
    if column is None:
        return []
    t = session.trace.t
    return [
        Window(owner, t[end] - t[start], column[end] - column[start])
        for owner, since_s, until_s in _stretches(session)
        for start, end in _steps(t, column, since_s, until_s)
        if column[end] > column[start]
    ]


def _stretches(session: Session) -> Iterator[tuple[int, float, float]]:
    """Cells that own time, and what is between them: owner, beginning and end."""
    cells = [(c.started_s, c.finished_s, c.number) for c in session.cells if c.owns_time]
    cells += [
        (c.started_s, session.duration_s, c.number)
        for c in session.open_cells
        if c.thread == "main" and c.parent is None
    ]
    free_s = 0.0
    for started_s, finished_s, number in sorted(cells):
        yield BETWEEN, free_s, started_s
        yield number, started_s, finished_s
        free_s = max(free_s, finished_s)
    yield BETWEEN, free_s, session.duration_s


def _steps(
    t: array[float], column: array[int], since_s: float, until_s: float
) -> Iterator[tuple[int, int]]:
    """Indices of stamps about a window apart at which the counter was read."""
    start, beyond = bisect_left(t, since_s), bisect_left(t, until_s)
    while start < beyond and column[start] < 0:
        start += 1
    while start < beyond:
        end = min(bisect_left(t, t[start] + WINDOW_S, start, beyond), len(t) - 1)
        while end < beyond and column[end] < 0:
            end += 1
        if end >= len(t) or column[end] < 0 or t[end] - t[start] < SHORTEST_S:
            return
        yield start, end
        start = end

"""What accuracy costs: Pareto front, the smallest energy near the best, diminishing returns.

Pure functions on the cells of a design, each with its mean energy and mean metric.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jupyter_green.errors import SettingError, StatisticsError
from jupyter_green.insight.findings import short
from jupyter_green.units import UJ_PER_J, format_energy, format_number

Level = Hashable
Levels = tuple[Level, ...]
"""One level of each factor, in their order: a cell of the design."""

_ROUNDING = 1e-9
"""Of a point: what differs by less differs by the rounding of its mean."""


@dataclass(frozen=True, repr=False)
class Cell:
    """One cell of the design: means of its runs."""

    levels: Levels
    """One of each factor, in their order."""
    count: int
    """Runs that have both an energy and a metric."""
    energy_j: float
    metric: float

    def __repr__(self) -> str:
        levels = ", ".join(map(_harmless, self.levels))
        runs = f"{self.count:,} run{'s' * (self.count != 1)}"
        energy = format_energy(self.energy_j * UJ_PER_J)
        return f"<Cell {levels}: {energy}, metric {format_number(self.metric)}, {runs}>"


@dataclass(frozen=True, repr=False)
class Return:
    """What the next better cell on the front costs."""

    before: Cell
    after: Cell
    points: float
    """By how much it is better: hundredths of a fraction, else units of the metric; above 0."""
    energy_j: float
    """Joules that it takes more; above 0."""

    @property
    def j_per_point(self) -> float:
        """Joules for each point."""
        return self.energy_j / self.points

    def __repr__(self) -> str:
        more, each = (format_energy(one * UJ_PER_J) for one in (self.energy_j, self.j_per_point))
        points = format_number(self.points)
        return (
            f"<Return {points} point{'s' * (points != '1')} for {more}, {each} a point: "
            f"{self.before!r} -> {self.after!r}>"
        )


def front(cells: Iterable[Cell], lower: bool) -> tuple[Cell, ...]:
    """The cells that no other one beats, by ascending energy.

    A cell is beaten by one that is at least as good in metric and energy, and better in one of
    them. Cells that are equal in both beat each other not: all of them are kept.
    """
    ordered = sorted(cells, key=lambda cell: (cell.energy_j, _worse(cell, lower)))
    kept: list[Cell] = []
    for cell in ordered:
        last = kept[-1] if kept else None
        if last is None or _worse(cell, lower) < _worse(last, lower) or _alike(cell, last):
            kept.append(cell)
    return tuple(kept)


def smallest_within(cells: Sequence[Cell], points: float, lower: bool, unit: float) -> Cell:
    """The cell of the smallest energy among those within so many points of the best metric.

    Of two with one energy the better one, then the first.

    Args:
        unit: of the metric in a point; 0.01 of a fraction.

    Raises:
        SettingError: ``points`` is below 0, or not finite.
        StatisticsError: there is no cell.
    """
    if not (math.isfinite(points) and points >= 0):
        raise SettingError(f"points must be 0 or more, it is {points:g}")
    if not cells:
        raise StatisticsError("no cell has both an energy and a metric")
    best = min(_worse(cell, lower) for cell in cells)
    near = [cell for cell in cells if (_worse(cell, lower) - best) / unit <= points + _ROUNDING]
    return min(near, key=lambda cell: (cell.energy_j, _worse(cell, lower)))


def returns(cells: Iterable[Cell], lower: bool, unit: float) -> tuple[Return, ...]:
    """Joules per point from each cell of the front to the next; equal ones count once."""
    return tuple(
        Return(
            before,
            after,
            (_worse(before, lower) - _worse(after, lower)) / unit,
            after.energy_j - before.energy_j,
        )
        for before, after in pairwise(front(cells, lower))
        if not _alike(before, after)
    )


def _harmless(level: Level) -> str:
    """A level in bounds, with nothing in it that steers a terminal or turns the reading order."""
    return "".join(one if one.isprintable() else "\ufffd" for one in short(str(level)))


def _worse(cell: Cell, lower: bool) -> float:
    return cell.metric if lower else -cell.metric


def _alike(one: Cell, other: Cell) -> bool:
    return (one.energy_j, one.metric) == (other.energy_j, other.metric)

"""Factorial designs of training runs: what each factor costs, and what it buys.

Runs over a grid of factors (number of layers, width, activation) are compared level by level: the
mean of all runs at one level against the mean of all runs at the first. Intervals and tests are
those of :mod:`jupyter_green.insight.statistics`. The design and the effect size by ranks are
those of Yarally et al., "Uncovering Energy-Efficient Practices in Deep Learning Training" (CAIN
2023, arXiv 2303.13972).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Literal

from jupyter_green.errors import MetricError, SettingError, StatisticsError
from jupyter_green.insight import factorial_front
from jupyter_green.insight.contest import is_fraction
from jupyter_green.insight.factorial_front import Cell, Level, Levels, Return
from jupyter_green.insight.frontier import HUNDREDTH
from jupyter_green.insight.statistics import (
    Contrast,
    KruskalWallis,
    contrast,
    kruskal_wallis,
    mean,
    together,
)

NAMED = 20
"""Missing cells of a design that are named at most: there may be more than anybody reads."""


@dataclass(frozen=True)
class Run:
    """One row. Figures that are missing or not finite are None."""

    levels: Levels
    energy_j: float | None
    duration_s: float | None
    metric: float | None


@dataclass(frozen=True)
class Design:
    """All usable rows, and what there is of the design."""

    factors: tuple[str, ...]
    levels: tuple[Levels, ...]
    """Of each factor: numbers in ascending order, anything else as it came."""
    runs: tuple[Run, ...]
    left_out: Mapping[str, int]
    """How many rows lack what: the level of a factor, energy, time, metric."""
    modelled: int
    """Rows whose energy is said to be modelled."""
    reasons: Mapping[str, int]
    """Why runs of a session have no figures, or no energy, and how many."""

    @property
    def by_cell(self) -> dict[Levels, list[Run]]:
        """The runs of each cell that has any, in the order of the levels."""
        found: dict[Levels, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.levels, []).append(run)
        places = [{level: place for place, level in enumerate(own)} for own in self.levels]

        def place_of(cell: Levels) -> tuple[int, ...]:
            return tuple(own[level] for own, level in zip(places, cell, strict=True))

        return {cell: found[cell] for cell in sorted(found, key=place_of)}

    @property
    def missing_count(self) -> int:
        """Cells of the full design without any run."""
        return math.prod(map(len, self.levels)) - len({run.levels for run in self.runs})

    @property
    def missing(self) -> tuple[Levels, ...]:
        """The first of them, ``NAMED`` at most."""
        present = {run.levels for run in self.runs}
        return tuple(islice((cell for cell in product(*self.levels) if cell not in present), NAMED))


@dataclass(frozen=True)
class Columns:
    """Where in a row the figures are; None: there is no such figure."""

    energy: str
    duration: str | None = None
    metric: str | None = None

    @property
    def figures(self) -> tuple[str, ...]:
        return tuple(name for name in (self.energy, self.duration, self.metric) if name is not None)


Response = Literal["energy", "time", "metric"]


@dataclass(frozen=True)
class Change:
    """A response at one level of a factor against the first level. Always *level less first*."""

    first: Level
    level: Level
    first_values: tuple[float, ...]
    """Of all runs at the first level: joules, seconds, or units of the metric."""
    values: tuple[float, ...]
    contrast: Contrast | None
    """None: fewer than two values a side."""

    @property
    def difference(self) -> float | None:
        """Of the means, in units of the response. None: no value a side."""
        if not (self.first_values and self.values):
            return None
        return mean(self.values) - mean(self.first_values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the difference (Welch)."""
        return (
            None if self.contrast is None else (self.contrast.welch.low, self.contrast.welch.high)
        )

    @property
    def percent(self) -> float | None:
        """The difference in percent of the first level's mean. None: that is not above 0."""
        if self.difference is None or not mean(self.first_values) > 0:
            return None
        percent = 100 * self.difference / mean(self.first_values)
        return percent if math.isfinite(percent) else None

    @property
    def percent_interval(self) -> tuple[float, float] | None:
        """95 % interval of the percentage (Fieller). None: unknown, or it has no ends."""
        if self.contrast is None:
            return None
        low, high = self.contrast.welch.ratio_low, self.contrast.welch.ratio_high
        if low is None or high is None or not math.isfinite(high - low):
            return None
        return 100 * (low - 1), 100 * (high - 1)


@dataclass(frozen=True)
class Effect:
    """What one factor does to one response."""

    factor: str
    response: Response
    changes: tuple[Change, ...]
    """One for each level after the first."""
    ranks: KruskalWallis | None
    """Kruskal and Wallis' test over all levels, with eta squared. None: too few values. Its p is
    of this factor alone; those of the contrasts are corrected for their number (Holm). Eta squared
    is an estimate, which falls below 0 where ranks differ by less than chance makes them differ,
    and far below in tiny samples: that says no more than 0, which views show. Here and in records
    it is as it was computed."""


@dataclass(frozen=True, repr=False)
class MainEffects:
    """What each factor of a design does to energy, time and the metric."""

    design: Design
    columns: Columns
    effects: tuple[Effect, ...]
    """Of each factor on energy, on time and on the metric, as far as they were given."""
    lower: bool | None
    """Whether less of the metric is better; None: not known."""
    modelled: bool
    """The energy is seconds times assumed watts: it shows no saving."""

    def of(self, factor: str, response: Response = "energy") -> Effect:
        """One effect.

        Raises:
            SettingError: there is none of that factor or response.
        """
        for effect in self.effects:
            if (effect.factor, effect.response) == (factor, response):
                return effect
        known = ", ".join(f"{one.factor} on {one.response}" for one in self.effects)
        raise SettingError(
            f"there is no effect of {factor!r:.60} on {response!r:.60}; there are: {known:.400}"
        )

    @property
    def is_fraction(self) -> bool:
        """The metric is a fraction of one, told in points of a hundredth."""
        return is_fraction(
            [run.metric for run in self.design.runs if run.metric is not None], self.lower
        )

    @property
    def unit(self) -> float:
        """Of the metric in a point: 0.01 of a fraction, else 1."""
        return HUNDREDTH if self.is_fraction else 1.0

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Means of each cell, of the runs that have both an energy and a metric."""
        return tuple(
            Cell(levels, len(pairs), *(mean(values) for values in zip(*pairs, strict=True)))
            for levels, runs in self.design.by_cell.items()
            if (pairs := list(_pairs(runs)))
        )

    def front(self) -> tuple[Cell, ...]:
        """The cells of which no other one is better for as little energy: the Pareto front.

        Raises:
            MetricError: no metric was given, or nobody knows which of it is better.
        """
        return factorial_front.front(self.cells, self._lower())

    def smallest_within(self, points: float) -> Cell:
        """The cell of the smallest energy within so many points of the best one.

        Args:
            points: hundredths of a metric that is a fraction (of an accuracy), else its units.

        Raises:
            MetricError: no metric was given, or nobody knows which of it is better.
            SettingError: ``points`` is below 0, or not finite.
            StatisticsError: no cell has both an energy and a metric.
        """
        return factorial_front.smallest_within(self.cells, points, self._lower(), self.unit)

    def returns(self) -> tuple[Return, ...]:
        """Joules for each point from one cell of the front to the next: diminishing returns.

        Raises:
            MetricError: no metric was given, or nobody knows which of it is better.
        """
        return factorial_front.returns(self.cells, self._lower(), self.unit)

    def _lower(self) -> bool:
        if self.columns.metric is None:
            raise MetricError("what the energy bought is not known: give main_effects() a metric=")
        if self.lower is None:
            raise MetricError(
                f"nobody knows which {self.columns.metric!r:.60} is better: give main_effects() "
                "direction='higher' or 'lower'"
            )
        return self.lower


def effects_of(found: Design, columns: Columns) -> tuple[Effect, ...]:
    """Of each factor on every response of which there is a column."""
    responses: list[tuple[Response, str]] = [("energy", "energy_j")]
    responses += [("time", "duration_s")] if columns.duration is not None else []
    responses += [("metric", "metric")] if columns.metric is not None else []
    return tuple(
        effect for response, field in responses for effect in _effects(found, response, field)
    )


def _pairs(runs: Iterable[Run]) -> Iterable[tuple[float, float]]:
    for run in runs:
        if run.energy_j is not None and run.metric is not None:
            yield run.energy_j, run.metric


def _effects(found: Design, response: Response, field: str) -> list[Effect]:
    """Of all factors on one response, their contrasts judged beside each other."""
    effects = []
    for place, factor in enumerate(found.factors):
        groups = {level: _values(found.runs, place, level, field) for level in found.levels[place]}
        first, *others = groups
        changes = tuple(
            Change(
                first, level, groups[first], groups[level], _contrast(groups[first], groups[level])
            )
            for level in others
        )
        effects.append(Effect(factor, response, changes, _ranks(list(groups.values()))))
    judged = iter(
        together(
            [
                change.contrast
                for effect in effects
                for change in effect.changes
                if change.contrast is not None
            ]
        )
    )
    return [
        replace(
            effect,
            changes=tuple(
                change if change.contrast is None else replace(change, contrast=next(judged))
                for change in effect.changes
            ),
        )
        for effect in effects
    ]


def _values(runs: Iterable[Run], place: int, level: Level, field: str) -> tuple[float, ...]:
    values = (getattr(run, field) for run in runs if run.levels[place] == level)
    return tuple(value for value in values if value is not None)


def _contrast(first: Sequence[float], second: Sequence[float]) -> Contrast | None:
    return contrast(first, second) if min(len(first), len(second)) > 1 else None


def _ranks(groups: Sequence[Sequence[float]]) -> KruskalWallis | None:
    try:
        return kruskal_wallis(groups)
    except StatisticsError:
        # An empty level, or no level with a second value.
        return None

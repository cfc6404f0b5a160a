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
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from jupyter_green.errors import MetricError, SettingError, StatisticsError
from jupyter_green.insight.contest import is_fraction
from jupyter_green.insight.frontier import HUNDREDTH
from jupyter_green.insight.statistics import (
    Contrast,
    KruskalWallis,
    contrast,
    kruskal_wallis,
    mean,
    together,
)
from jupyter_green.optional import require
from jupyter_green.recorder.names import likely_direction
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import Session
from jupyter_green.studies import arguments, factorial_front, factorial_view
from jupyter_green.studies.factorial_front import Cell, Return
from jupyter_green.studies.factorial_rows import Columns, Design, Level, Run, design

if TYPE_CHECKING:
    import pandas as pd

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
    of this factor alone; those of the contrasts are corrected for their number (Holm)."""


@dataclass(frozen=True, repr=False)
class Effects:
    """Main effects of a factorial design: shows itself as sentences and a table."""

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
            SettingError: ``points`` is no number, or below 0.
            StatisticsError: no cell has both an energy and a metric.
        """
        return factorial_front.smallest_within(self.cells, points, self._lower(), self.unit)

    def returns(self) -> tuple[Return, ...]:
        """Joules for each point from one cell of the front to the next: diminishing returns.

        Raises:
            MetricError: no metric was given, or nobody knows which of it is better.
        """
        return factorial_front.returns(self.cells, self._lower(), self.unit)

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each factor and level after its first. They hold names that the user gave."""
        return factorial_view.sentences(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and what limits the trust in the figures."""
        return factorial_view.notes(self)

    def dataframe(self) -> pd.DataFrame:
        """One row for each factor, level after the first, and response.

        Raises:
            MissingPackage: pandas is not installed.
        """
        frame: pd.DataFrame = require("pandas").DataFrame(factorial_view.records(self))
        return frame

    def __repr__(self) -> str:
        return factorial_view.text(self)

    def _lower(self) -> bool:
        if self.columns.metric is None:
            raise MetricError("what the energy bought is not known: give main_effects() a metric=")
        if self.lower is None:
            raise MetricError(
                f"nobody knows which {self.columns.metric!r:.60} is better: give main_effects() "
                "direction='higher' or 'lower'"
            )
        return self.lower


def main_effects(
    rows: pd.DataFrame | Iterable[Mapping[str, Any]] | str | PathLike[str] | Session,
    factors: str | Sequence[str],
    energy: str = "energy_j",
    metric: str | None = None,
    direction: str | None = None,
    *,
    duration: str | None = None,
    modelled: bool | None = None,
) -> Effects:
    """Main effect of each factor of a design on energy, time and a metric.

    ::

        main_effects("runs.csv", ["conv_layers", "relu"], metric="accuracy")
        main_effects(session(), ["conv", "linear", "relu"], metric="accuracy")

    An effect is the mean of all runs at a level less the mean of all runs at the first (of
    numbers the smallest, of texts that of the first row), whatever the other factors are. In a
    balanced design these cancel; where cells are missing or of different size, a note says that
    effects mix. Intervals (95 %, Welch, of percentages Fieller) take the spread by the other
    factors for chance: for a weak factor beside a strong one they are wider than they need be.
    Figures that are missing or not finite are left out of their own means and counted in the
    notes.

    Args:
        rows: one for each run: a pandas DataFrame, mappings of columns to values, or the path of a
            CSV file with a header, or a session whose labels say the factors, as
            ``measure("train", label="conv=4 linear=3")``
            (:func:`~jupyter_green.studies.factorial_session.runs_of`).
        factors: columns of the factors; each has two levels at least, numbers or texts.
        energy: column of joules.
        metric: column of the quality.
        direction: ``"higher"`` or ``"lower"`` is better. Default: as the metric's name tells.
        duration: column of seconds. Default: none; of a session ``duration_s``.
        modelled: the energy is seconds times assumed watts. Default: as the rows' ``provenance``
            says; measured where there is no such column.

    Raises:
        SettingError: a column is unknown, or a value cannot be meant; the message says where.
        StatisticsError: there is no usable row, or a factor has one level only.
        MetricError: the direction is neither ``"higher"`` nor ``"lower"``.
    """
    if duration is None and isinstance(rows, Session):
        duration = "duration_s"
    columns = Columns(
        arguments.text("energy", energy),
        None if duration is None else arguments.text("duration", duration),
        None if metric is None else arguments.text("metric", metric),
    )
    lower = _direction(columns.metric, direction)
    if not isinstance(modelled, bool | None):
        raise SettingError(f"modelled must be True, False or None, it is {modelled!r:.60}")
    found = design(rows, factors, columns)
    if not any(run.energy_j is not None for run in found.runs):
        why = "".join(f"; {short(reason)}" for reason in list(found.reasons)[:3])
        raise StatisticsError(f"no usable row has an energy in {energy!r:.60}{why}")
    responses: list[tuple[Response, str]] = [("energy", "energy_j")]
    responses += [("time", "duration_s")] if duration is not None else []
    responses += [("metric", "metric")] if metric is not None else []
    effects = tuple(
        effect for response, field in responses for effect in _effects(found, response, field)
    )
    is_modelled = found.modelled > 0 if modelled is None else modelled
    return Effects(found, columns, effects, lower, is_modelled)


def _direction(metric: str | None, given: str | None) -> bool | None:
    if given not in ("higher", "lower", None):
        raise MetricError(f"direction must be 'higher' or 'lower', it is {given!r:.60}")
    known = given or (likely_direction(metric) if metric else None)
    return None if known is None else known == "lower"


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

"""``main_effects``: factorial designs, from rows of any kind or from a session's labels.

How effects are told is in :mod:`jupyter_green.insight.factorial`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from jupyter_green.errors import MetricError, SettingError, StatisticsError
from jupyter_green.insight.factorial import Columns, MainEffects, effects_of
from jupyter_green.insight.factorial_front import Cell, Return
from jupyter_green.optional import require
from jupyter_green.recorder.names import likely_direction
from jupyter_green.report.inert import short
from jupyter_green.report.studies import factorial as view
from jupyter_green.sessions.model import Session
from jupyter_green.studies import arguments
from jupyter_green.studies.factorial_rows import design

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Effects(MainEffects):
    """Main effects of a factorial design: shows itself as sentences and a table."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each factor and level after its first. They hold names that the user gave."""
        return view.sentences(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and what limits the trust in the figures."""
        return view.notes(self)

    def dataframe(self) -> pd.DataFrame:
        """One row for each factor, level after the first, and response.

        Raises:
            MissingPackage: pandas is not installed.
        """
        frame: pd.DataFrame = require("pandas").DataFrame(view.records(self))
        return frame

    def __repr__(self) -> str:
        return view.text(self)

    def smallest_within(self, points: float) -> Cell:
        return super().smallest_within(arguments.real("points", points))

    def told(self, one: Cell | Return) -> str:
        """A cell, or a step from one cell of the front to the next, in words: factors by their
        names, figures with their units, and whether the energy is modelled.

        Raises:
            SettingError: it is neither.
        """
        if isinstance(one, Cell):
            return view.cell(self, one)
        if isinstance(one, Return):
            return view.step(self, one)
        raise SettingError(
            "told() takes a cell, as of front() or smallest_within(), or a step of returns(); it "
            f"is {arguments.shown(one)}"
        )

    def markdown(self) -> str:
        """Sentences, table and notes as Markdown, for a pull request."""
        return view.markdown(self)

    def _repr_html_(self) -> str:
        return view.html(self)


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
    notes. What is told from chance is decided for each pair of levels, by Welch's t test and a
    permutation test with Holm's correction over all pairs of a response. Beside them stand H, p
    and eta squared of Kruskal and Wallis, of each factor alone and not corrected. Eta squared is
    an estimate that falls below 0 where there is no effect, in tiny samples far below: it is
    shown as 0 then; the data frame has it as it was computed.

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
    is_modelled = found.modelled > 0 if modelled is None else modelled
    return Effects(found, columns, effects_of(found, columns), lower, is_modelled)


def _direction(metric: str | None, given: str | None) -> bool | None:
    if given not in ("higher", "lower", None):
        raise MetricError(f"direction must be 'higher' or 'lower', it is {given!r:.60}")
    known = given or (likely_direction(metric) if metric else None)
    return None if known is None else known == "lower"

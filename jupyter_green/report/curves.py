"""Learning curves in words, and which of a session's metrics stands for it.

The panel says the same (``labextension/src/view/curves.ts``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_green.insight.frontier import Curve, curves_of
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import Cell, OpenCell, Session
from jupyter_green.units import format_energy, format_number, format_share


def chosen_metric(session: Session) -> str | None:
    """The metric that stands for the session: of which more is better, logged last."""
    results = session.results
    higher = [metric.name for metric in results if metric.direction == "higher"]
    names = higher or [metric.name for metric in results]
    return names[-1] if names else None


def curves(session: Session, metric: str | None = None) -> list[Curve]:
    """The curves of a metric that hold any value, in the order in which the runs began."""
    name = chosen_metric(session) if metric is None else metric
    own = (one for one in session.results if one.name == name)
    return [curve for curve in curves_of(own) if curve.points]


def main_curve(found: Sequence[Curve]) -> Curve | None:
    """The one that is told about: the last that is a curve at all."""
    real = [curve for curve in found if len(curve.points) > 1]
    return (real or found)[-1] if found else None


def best_curve(found: Sequence[Curve]) -> Curve | None:
    """The one with the best value; the main one where nobody knows which is better."""
    main = main_curve(found)
    if main is None or main.lower is None:
        return main
    known = [(curve, curve.best.value) for curve in found if curve.best is not None]
    choose = min if main.lower else max
    return choose(known, key=lambda one: one[1])[0]


def run_name(session: Session, curve: Curve) -> str:
    """What a reader calls the run; empty where single values belong to none."""
    if curve.run is not None:
        return short(curve.run)
    if curve.cell is None or curve.points[0].step is None:
        return ""
    # Cells that still run log, too.
    cells: Iterable[Cell | OpenCell] = (*session.cells, *session.open_cells)
    for cell in cells:
        if cell.number == curve.cell:
            return short(cell.tags.label or f"cell {cell.execution_count or cell.number}")
    return ""


def cost_words(curve: Curve) -> str:
    """``0.11 kJ per point``, or nothing."""
    each = curve.uj_per_point
    if each is None:
        return ""
    return f"{format_energy(each)} per {'point' if curve.is_fraction else '1'}"


def knee_words(curve: Curve) -> str:
    """``past the knee: 52 % of the energy for +0.4 points``, or nothing."""
    knee = curve.knee
    if knee is None:
        return ""
    sign = "-" if curve.lower else "+"
    gain = knee.gain * 100 if curve.is_fraction else knee.gain
    points = " points" if curve.is_fraction else ""
    gained = f"{sign}{format_number(gain, 2)}{points}"
    return f"past the knee: {format_share(knee.energy_share)} of the energy for {gained}"

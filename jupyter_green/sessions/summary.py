"""What the history keeps of a session: enough for its line, for totals and for the union."""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct, structs

from jupyter_green.sessions.model import Energy, Metric, Session
from jupyter_green.sessions.union import Curve, curves


class Best(Struct, frozen=True, kw_only=True):
    """The best value of the metric that was logged last."""

    name: str
    value: float


class Summary(Struct, frozen=True, kw_only=True):
    """One session without its cells."""

    id: str
    state: str
    reason: str | None
    started_wall_s: float
    duration_s: float
    host: str
    front_end: str
    title: str
    """The notebook; of a command that was executed, the command."""
    project: str | None
    cells: int
    energy: Energy
    co2_g: float | None
    """Grams of CO2e; None: not known, because no place was set for all of it."""
    co2_basis: str | None
    """Of the intensity; grams of different bases must not be added."""
    metric: Best | None
    curves: list[Curve]
    """Thinned, for the union in time."""


def summarize(session: Session) -> Summary:
    """The summary of a session as it is now."""
    grams = session.co2_g(session.total)
    known = grams is not None and session.intensity is not None
    return Summary(
        id=session.id,
        state=session.state,
        reason=session.reason,
        started_wall_s=session.started_wall_s,
        duration_s=session.duration_s,
        host=session.host,
        front_end=session.front_end,
        title=_title(session),
        project=session.project,
        cells=len(session.cells),
        energy=structs.replace(session.total, by_period={}),
        co2_g=grams,
        co2_basis=session.intensity.basis if known and session.intensity is not None else None,
        metric=_best(session.results),
        curves=[curve.thinned() for curve in curves(session)],
    )


def _title(session: Session) -> str:
    if session.front_end == "exec":
        commands = [cell.label for cell in session.cells]
        commands += [cell.tags.label or cell.first_line for cell in session.open_cells]
        if commands:
            return commands[0]
    return session.notebook or session.front_end


def _best(metrics: Iterable[Metric]) -> Best | None:
    """Of a metric that gets neither better nor worse, the last value."""
    finite = [metric for metric in metrics if math.isfinite(metric.value)]
    if not finite:
        return None
    name, direction = finite[-1].name, finite[-1].direction
    values = [metric.value for metric in finite if metric.name == name]
    choose = {"higher": max, "lower": min}.get(direction or "", lambda values: values[-1])
    return Best(name=name, value=choose(values))

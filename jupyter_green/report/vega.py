"""The pictures of a session as Vega-Lite: what the report embeds, and what Altair's charts hold.

All text and all numbers are put into the charts' data here, under fixed names: no name that a
user gave becomes a field, a formula or a link. They are plain values, made without Altair, which
takes longer to load than a report to be made.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_green.insight.frontier import Curve
from jupyter_green.insight.stages import by_stage
from jupyter_green.report import series
from jupyter_green.report import vega_parts as parts
from jupyter_green.report.curves import curves, main_curve, run_name
from jupyter_green.report.fragment import COLOURS
from jupyter_green.report.vega_parts import Row, Spec
from jupyter_green.sessions.model import Cell, Session
from jupyter_green.units import format_energy

MOST_CURVES = 6
MOST_POINTS = 1500


# --- over time ----------------------------------------------------------------------------


def power(session: Session) -> Spec:
    """Watts by source over time; cells shaded behind them."""
    line = series.power(session)
    unit, seconds = parts.time_unit(session.duration_s)
    x = {"type": "quantitative", "title": f"time ({unit})", "axis": {"tickCount": 10}}
    whole = {"domain": [0, parts.rounded(session.duration_s / seconds)]}
    areas = parts.layer(
        _power_rows(line, seconds),
        {"type": "area", "interpolate": "step-after", "opacity": 0.9},
        x={"field": "t", **x, "scale": whole},
        y=parts.value("w", "power (W)") | {"stack": "zero"},
        color=parts.by_name("source", _source_colours(session), "source"),
        order=parts.value("order"),
        tooltip=[
            parts.text("source"),
            parts.value("w", "power (W)"),
            parts.value("t", f"time ({unit})"),
        ],
    )
    bands: Spec = {"x": {"field": "since", **x}, "x2": {"field": "until"}}
    told: Spec = {"tooltip": [parts.text("cell"), parts.text("category"), parts.text("energy")]}
    owners = list(_bands(session, seconds))
    shade = parts.layer(
        owners, {"type": "rect", "opacity": 0.14, "color": parts.SHADE}, **bands, **told
    )
    edge: Spec = {"y": {"value": 0}, "y2": {"value": 5}}
    fill = {"fill": parts.text("colour") | {"scale": None}}
    strip = parts.layer(owners, {"type": "rect"}, **bands, **edge, **fill, **told)
    return parts.finished([shade, areas, strip], parts.HEIGHT, "Power by source over time")


def _power_rows(line: series.Power, seconds: float) -> Iterable[Row]:
    """One row a counter and stretch, and one at the end, to which the last stretch reaches."""
    for order, (name, watts) in enumerate(line.watts.items()):
        ends = (len(line.starts_s) * line.every_s, watts[-1])
        for start, value in (*zip(line.starts_s, watts, strict=True), ends):
            yield {
                "t": parts.rounded(start / seconds),
                "source": parts.name(name),
                "order": order,
                "w": None if value is None else parts.rounded(value),
            }


def _bands(session: Session, seconds: float) -> Iterable[Row]:
    own = series.costliest(series.owners(session), series.MOST_BANDS)
    for cell in sorted(own, key=lambda cell: cell.started_s):
        category = session.ledger.category_of.get(cell.number, "")
        yield {
            "since": parts.rounded(cell.started_s / seconds),
            "until": parts.rounded(cell.finished_s / seconds),
            "cell": _cell_name(cell),
            "category": category,
            "energy": _energy(cell.energy.total_uj),
            "colour": COLOURS.get(category, parts.SHADE),
        }


# --- bars ---------------------------------------------------------------------------------


def cells(session: Session) -> Spec:
    """Energy of the cells that cost most; the lines are their bounds."""
    unit, size = parts.energy_unit(cell.energy.total_uj for cell in session.cells)
    names = parts.Names()
    rows = [
        {
            "name": names.unique(_cell_name(cell)),
            "energy": parts.rounded((cell.energy.total_uj or 0) / size),
            "low": parts.rounded(
                max(0.0, (cell.energy.total_uj or 0) - cell.energy.bound_uj) / size
            ),
            "high": parts.rounded(((cell.energy.total_uj or 0) + cell.energy.bound_uj) / size),
            "bounded": cell.energy.bound_uj > 0,
            "group": session.ledger.category_of.get(cell.number, "within other cells"),
        }
        for cell in series.costliest(session.cells, parts.MOST_BARS)
        if cell.energy.total_uj is not None
    ]
    bars = parts.bars(rows, unit, {**COLOURS, "within other cells": parts.SHADE}, "category")
    bounds = parts.layer(
        (row for row in rows if row["bounded"]),
        {"type": "rule", "color": parts.SHADE, "strokeWidth": 2},
        y=parts.names_axis(),
        x=parts.energy_axis("low", unit),
        x2={"field": "high"},
    )
    return parts.finished([bars, bounds], parts.ROW * len(rows), "Energy of the dearest cells")


def sources(session: Session) -> Spec:
    """Energy by counter. Details, which are part of another counter, are not added to it."""
    found = {name: uj for name, uj in session.total.uj.items() if name in session.counters}
    unit, size = parts.energy_unit(found.values())
    rows = [
        {
            "name": parts.name(name),
            "energy": parts.rounded(uj / size),
            "group": parts.name(session.counters[name].provenance)
            if session.counters[name].counted
            else "not in the total",
        }
        for name, uj in found.items()
    ]
    colours = {
        "measured": parts.ACCENT,
        "integrated": parts.SOURCES["package"],
        "modelled": parts.OTHERS[0],
        "not in the total": "#b4bac1",
    }
    bars = parts.bars(rows, unit, colours, "provenance")
    return parts.finished([bars], parts.ROW * len(rows), "Energy by source")


def stages(session: Session) -> Spec:
    """Energy by lifecycle stage, tagged and suggested ones apart; the rest has none."""
    found = [stage for stage in by_stage(session) if stage.total_uj][: parts.MOST_BARS]
    unit, size = parts.energy_unit(stage.total_uj for stage in found)
    names = parts.Names()
    rows = [
        {
            "name": names.unique("no stage" if stage.name is None else parts.name(stage.label)),
            "energy": parts.rounded(stage.total_uj / size),
            "group": stage.how,
        }
        for stage in found
    ]
    bars = parts.bars(rows, unit, parts.STAGED, "")
    return parts.finished([bars], parts.ROW * len(rows), "Energy by lifecycle stage")


def ledger(session: Session) -> Spec:
    """Where the session's energy went."""
    entries = {name: e for name, e in session.ledger.entries.items() if e.total_uj}
    unit, size = parts.energy_unit(entry.total_uj for entry in entries.values())
    rows = [
        {"name": name, "energy": parts.rounded(entry.total_uj / size), "group": name}
        for name, entry in entries.items()
    ]
    bars = parts.bars(rows, unit, COLOURS, "")
    return parts.finished([bars], parts.ROW * len(rows), "The ledger of the session")


# --- what it bought -----------------------------------------------------------------------


def accuracy(session: Session, metric: str | None = None) -> Spec:
    """A logged metric over the energy that its run took: one line a run.

    Args:
        metric: its name; by default the one that was logged last and should be high.
    """
    found = list(curves(session, metric))[-MOST_CURVES:]
    unit, size = parts.energy_unit(point.uj for curve in found for point in curve.points)
    names = parts.Names()
    lines = [
        (names.unique(parts.name(run_name(session, curve)) or "values"), curve) for curve in found
    ]
    colours = {
        name: (parts.ACCENT, parts.SOURCES["package"], *parts.OTHERS)[index]
        for index, (name, _) in enumerate(reversed(lines))
    }
    title = parts.name(found[0].metric) if found else "metric"
    drawn = parts.layer(
        (row for name, curve in lines for row in _points(name, curve, size)),
        {"type": "line", "point": True},
        x=parts.energy_axis("energy", unit, "energy of the run"),
        y=parts.value("value", title) | {"scale": {"zero": False}},
        order=parts.value("order"),
        color=parts.by_name("run", colours, "run"),
        tooltip=[
            parts.text("run"),
            parts.value("energy", f"energy ({unit})"),
            parts.value("value", "metric"),
            parts.value("step"),
        ],
    )
    layers = [drawn, *_marks(main_curve(found), size)]
    return parts.finished(layers, parts.HEIGHT, f"{title} beside energy")


def _points(name: str, curve: Curve, size: float) -> Iterable[Row]:
    every = max(1, -(-len(curve.points) // MOST_POINTS))
    last = len(curve.points) - 1
    for index, point in enumerate(curve.points):
        if index % every == 0 or index == last or point is curve.best:
            yield {
                "run": name,
                "order": index,
                "energy": parts.rounded(point.uj / size),
                "value": point.value,
                "step": point.step,
            }


def _marks(curve: Curve | None, size: float) -> Iterable[Spec]:
    """A ring around the best value, and shade over what was spent past the knee."""
    if curve is None or curve.lower is None or curve.best is None:
        return
    best = {"energy": parts.rounded(curve.best.uj / size), "value": curve.best.value}
    ring = {"type": "point", "size": 160, "color": parts.ACCENT, "strokeWidth": 2}
    yield parts.layer([best], ring, x=parts.value("energy"), y=parts.value("value"))
    if curve.knee is not None:
        since, until = curve.points[curve.knee.index].uj / size, curve.points[-1].uj / size
        past = {"energy": parts.rounded(since), "until": parts.rounded(until)}
        shade = {"type": "rect", "opacity": 0.14, "color": parts.SHADE}
        yield parts.layer([past], shade, x=parts.value("energy"), x2={"field": "until"})


# --- drawn --------------------------------------------------------------------------------


def _cell_name(cell: Cell) -> str:
    count = " " if cell.execution_count is None else cell.execution_count
    return f"[{count}] {parts.name(cell.label) or '(no text)'}"


def _energy(uj: int | None) -> str:
    return "" if uj is None else format_energy(uj)


def _source_colours(session: Session) -> dict[str, str]:
    """By counted counter: the CPU blue, memory green, devices the warm ones."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name, info in session.counters.items():
        if info.counted:
            usual = parts.SOURCES.get(info.domain)
            free = [colour for colour in parts.OTHERS if colour not in taken] or list(parts.OTHERS)
            colour = usual if usual and usual not in taken else free[0]
            taken.add(colour)
            found[parts.name(name)] = colour
    return found

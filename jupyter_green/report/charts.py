"""The pictures of a session as Altair charts: ``session().charts.power()``.

All text and all numbers are put into the charts' data here, under fixed names: no name that a
user gave becomes a field, a formula or a link. Altair is loaded on use.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from jupyter_green.insight.frontier import Curve
from jupyter_green.insight.stages import by_stage
from jupyter_green.report import series
from jupyter_green.report.curves import curves, main_curve, run_name
from jupyter_green.report.fragment import COLOURS
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import Cell, Session
from jupyter_green.units import UJ_PER_J, format_energy

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.Chart | alt.LayerChart

WIDTH = 720
HEIGHT = 240
ROW = 26
"""Height of one bar with its distance."""
MOST_BARS = 20
MOST_CURVES = 6
MOST_POINTS = 1500
LONGEST_NAME = 36

# The panel's colours: told apart by lightness as well as by hue, on white and on black.
SOURCES = {"package": "#3f6fa8", "cpu": "#3f6fa8", "dram": "#6fc3bb", "module": "#d9c24a"}
OTHERS = ("#f0a030", "#c4573c", "#8f6bb3", "#d9c24a", "#6fb98f", "#98a3af")
ACCENT = "#2f855a"
SHADE = "#808080"

Row = dict[str, Any]


class Charts:
    """The pictures of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def power(self) -> Chart:
        """Watts by source over time; cells shaded behind them."""
        return power(self._session)

    def cells(self) -> Chart:
        """Energy of the cells that cost most."""
        return cells(self._session)

    def sources(self) -> Chart:
        """Energy by counter."""
        return sources(self._session)

    def stages(self) -> Chart:
        """Energy by lifecycle stage."""
        return stages(self._session)

    def ledger(self) -> Chart:
        """Where the session's energy went."""
        return ledger(self._session)

    def accuracy(self, metric: str | None = None) -> Chart:
        """A logged metric over the energy that its run took."""
        return accuracy(self._session, metric)

    def labels(self) -> Chart:
        """Energy of every run by label."""
        return labels(self._session)

    def __repr__(self) -> str:
        return f"<Charts of session {self._session.id}: {', '.join(_NAMES)}>"


_NAMES = ("power", "cells", "sources", "stages", "ledger", "accuracy", "labels")


# --- over time ----------------------------------------------------------------------------


def power(session: Session) -> Chart:
    """Watts by source over time; cells shaded behind them."""
    import altair as alt  # noqa: PLC0415

    line = series.power(session)
    unit, seconds = _time_unit(session.duration_s)
    colours = _source_colours(session)
    axis = alt.Axis(tickCount=10)
    x = partial(alt.X, type="quantitative", title=f"time ({unit})", axis=axis)
    areas = (
        alt.Chart(_data(_power_rows(line, seconds)))
        .mark_area(interpolate="step-after", opacity=0.9)
        .encode(
            x=x("t", scale=alt.Scale(domain=[0, _rounded(session.duration_s / seconds)])),
            y=alt.Y("w:Q", title="power (W)", stack="zero"),
            color=_by_name("source", colours, "source"),
            order=alt.Order("order:Q"),
            tooltip=["source:N", _value("w", "power (W)"), _value("t", f"time ({unit})")],
        )
    )
    bands = alt.Chart(_data(_bands(session, seconds))).encode(
        x=x("since"), x2="until:Q", tooltip=["cell:N", "category:N", "energy:N"]
    )
    strip = bands.mark_rect().encode(
        y=alt.value(0), y2=alt.value(5), fill=alt.Fill("colour:N", scale=None)
    )
    shade = bands.mark_rect(opacity=0.14, color=SHADE)
    return _finished(_layered(shade, areas, strip), HEIGHT, "Power by source over time")


def _power_rows(line: series.Power, seconds: float) -> Iterable[Row]:
    """One row a counter and stretch, and one at the end, to which the last stretch reaches."""
    for order, (name, watts) in enumerate(line.watts.items()):
        ends = (len(line.starts_s) * line.every_s, watts[-1])
        for start, value in (*zip(line.starts_s, watts, strict=True), ends):
            yield {
                "t": _rounded(start / seconds),
                "source": _name(name),
                "order": order,
                "w": None if value is None else _rounded(value),
            }


def _bands(session: Session, seconds: float) -> Iterable[Row]:
    own = series.costliest(series.owners(session), series.MOST_BANDS)
    for cell in sorted(own, key=lambda cell: cell.started_s):
        category = session.ledger.category_of.get(cell.number, "")
        yield {
            "since": _rounded(cell.started_s / seconds),
            "until": _rounded(cell.finished_s / seconds),
            "cell": _cell_name(cell),
            "category": category,
            "energy": _energy(cell.energy.total_uj),
            "colour": COLOURS.get(category, SHADE),
        }


# --- bars ---------------------------------------------------------------------------------


def cells(session: Session) -> Chart:
    """Energy of the cells that cost most; the lines are their bounds."""
    import altair as alt  # noqa: PLC0415

    unit, size = _energy_unit(cell.energy.total_uj for cell in session.cells)
    names = _Names()
    rows = [
        {
            "name": names.unique(_cell_name(cell)),
            "energy": _rounded((cell.energy.total_uj or 0) / size),
            "low": _rounded(max(0.0, (cell.energy.total_uj or 0) - cell.energy.bound_uj) / size),
            "high": _rounded(((cell.energy.total_uj or 0) + cell.energy.bound_uj) / size),
            "bounded": cell.energy.bound_uj > 0,
            "group": session.ledger.category_of.get(cell.number, "within other cells"),
        }
        for cell in series.costliest(session.cells, MOST_BARS)
        if cell.energy.total_uj is not None
    ]
    bars = _bars(rows, unit, {**COLOURS, "within other cells": SHADE}, "category")
    bounds = (
        alt.Chart(_data(row for row in rows if row["bounded"]))
        .mark_rule(color=SHADE, strokeWidth=2)
        .encode(
            y=_names_axis(),
            x=_energy_axis("low", unit),
            x2="high:Q",
        )
    )
    return _finished(_layered(bars, bounds), ROW * len(rows), "Energy of the dearest cells")


def sources(session: Session) -> Chart:
    """Energy by counter. Details, which are part of another counter, are not added to it."""
    found = {name: uj for name, uj in session.total.uj.items() if name in session.counters}
    unit, size = _energy_unit(found.values())
    rows = [
        {
            "name": _name(name),
            "energy": _rounded(uj / size),
            "group": _name(session.counters[name].provenance)
            if session.counters[name].counted
            else "not in the total",
        }
        for name, uj in found.items()
    ]
    colours = {
        "measured": ACCENT,
        "integrated": SOURCES["package"],
        "modelled": OTHERS[0],
        "not in the total": "#b4bac1",
    }
    bars = _bars(rows, unit, colours, "provenance")
    return _finished(bars, ROW * len(rows), "Energy by source")


def stages(session: Session) -> Chart:
    """Energy by lifecycle stage, as cells and spans are tagged; the rest has none."""
    found = [stage for stage in by_stage(session) if stage.total_uj][:MOST_BARS]
    unit, size = _energy_unit(stage.total_uj for stage in found)
    names = _Names()
    rows = [
        {
            "name": names.unique("no stage" if stage.name is None else _name(stage.name)),
            "energy": _rounded(stage.total_uj / size),
            "group": "none" if stage.name is None else "tagged",
        }
        for stage in found
    ]
    bars = _bars(rows, unit, {"tagged": ACCENT, "none": OTHERS[-1]}, "")
    return _finished(bars, ROW * len(rows), "Energy by lifecycle stage")


def ledger(session: Session) -> Chart:
    """Where the session's energy went."""
    entries = {name: e for name, e in session.ledger.entries.items() if e.total_uj}
    unit, size = _energy_unit(entry.total_uj for entry in entries.values())
    rows = [
        {"name": name, "energy": _rounded(entry.total_uj / size), "group": name}
        for name, entry in entries.items()
    ]
    bars = _bars(rows, unit, COLOURS, "")
    return _finished(bars, ROW * len(rows), "The ledger of the session")


def _bars(rows: Sequence[Row], unit: str, colours: Mapping[str, str], title: str) -> alt.Chart:
    import altair as alt  # noqa: PLC0415

    used = {name: colours[name] for name in colours if any(r["group"] == name for r in rows)}
    bars: alt.Chart = (
        alt.Chart(_data(rows))
        .mark_bar(height=14)
        .encode(
            y=_names_axis(),
            x=_energy_axis("energy", unit),
            color=_by_name("group", used, title),
            tooltip=["name:N", _value("energy", f"energy ({unit})"), "group:N"],
        )
    )
    return bars


# --- what it bought -----------------------------------------------------------------------


def accuracy(session: Session, metric: str | None = None) -> Chart:
    """A logged metric over the energy that its run took: one line a run.

    Args:
        metric: its name; by default the one that was logged last and should be high.
    """
    import altair as alt  # noqa: PLC0415

    found = list(curves(session, metric))[-MOST_CURVES:]
    unit, size = _energy_unit(point.uj for curve in found for point in curve.points)
    names = _Names()
    lines = [(names.unique(_name(run_name(session, curve)) or "values"), curve) for curve in found]
    colours = {
        name: (ACCENT, SOURCES["package"], *OTHERS)[index]
        for index, (name, _) in enumerate(reversed(lines))
    }
    title = _name(found[0].metric) if found else "metric"
    drawn = (
        alt.Chart(_data(row for name, curve in lines for row in _points(name, curve, size)))
        .mark_line(point=True)
        .encode(
            x=_energy_axis("energy", unit, "energy of the run"),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
            order=alt.Order("order:Q"),
            color=_by_name("run", colours, "run"),
            tooltip=[
                "run:N",
                _value("energy", f"energy ({unit})"),
                _value("value", "metric"),
                "step:Q",
            ],
        )
    )
    layers = [drawn, *_marks(main_curve(found), size)]
    return _finished(_layered(*layers), HEIGHT, f"{title} beside energy")


def _points(name: str, curve: Curve, size: float) -> Iterable[Row]:
    every = max(1, -(-len(curve.points) // MOST_POINTS))
    last = len(curve.points) - 1
    for index, point in enumerate(curve.points):
        if index % every == 0 or index == last or point is curve.best:
            yield {
                "run": name,
                "order": index,
                "energy": _rounded(point.uj / size),
                "value": point.value,
                "step": point.step,
            }


def _marks(curve: Curve | None, size: float) -> Iterable[alt.Chart]:
    """A ring around the best value, and shade over what was spent past the knee."""
    import altair as alt  # noqa: PLC0415

    if curve is None or curve.lower is None or curve.best is None:
        return
    best = {"energy": _rounded(curve.best.uj / size), "value": curve.best.value}
    ring = alt.Chart(_data([best])).mark_point(size=160, color=ACCENT, strokeWidth=2)
    yield ring.encode(x="energy:Q", y="value:Q")
    if curve.knee is not None:
        since, until = curve.points[curve.knee.index].uj / size, curve.points[-1].uj / size
        past = {"energy": _rounded(since), "until": _rounded(until)}
        shade = alt.Chart(_data([past])).mark_rect(opacity=0.14, color=SHADE)
        yield shade.encode(x="energy:Q", x2="until:Q")


def labels(session: Session) -> Chart:
    """Energy of every run by label, and their mean."""
    import altair as alt  # noqa: PLC0415

    found = series.labels(session)[: series.MOST_LABELS]
    unit, size = _energy_unit(run.energy.total_uj for label in found for run in label.runs)
    names = _Names()
    named = [(names.unique(_name(label.name)), label) for label in found]
    every = max(1, sum(len(label.runs) for label in found) // MOST_POINTS + 1)
    runs = [
        {"name": name, "energy": _rounded(energy * UJ_PER_J / size)}
        for name, label in named
        for energy in label.energies_j[::every]
    ]
    means = [
        {"name": name, "energy": _rounded(sum(known) / len(known) * UJ_PER_J / size)}
        for name, label in named
        if (known := label.energies_j)
    ]
    x = _energy_axis("energy", unit, "energy of a run")
    tooltip = ["name:N", _value("energy", f"energy ({unit})")]
    dots = alt.Chart(_data(runs)).mark_point(filled=True, size=60, opacity=0.6, color=ACCENT)
    ticks = alt.Chart(_data(means)).mark_tick(thickness=3, size=18, color=OTHERS[1])
    layers = (one.encode(y=_names_axis(), x=x, tooltip=tooltip) for one in (dots, ticks))
    return _finished(_layered(*layers), ROW * len(found), "Energy by label")


# --- what the charts have in common -------------------------------------------------------


def _data(rows: Iterable[Row]) -> alt.InlineData:
    import altair as alt  # noqa: PLC0415

    return alt.InlineData(values=list(rows))


def _layered(*layers: alt.Chart) -> alt.LayerChart:
    import altair as alt  # noqa: PLC0415

    return alt.LayerChart(layer=list(layers))


def _names_axis() -> alt.Y:
    import altair as alt  # noqa: PLC0415

    axis = alt.Axis(title=None, labelLimit=300, ticks=False, domain=False)
    return alt.Y("name:N", sort=None, axis=axis)


def _energy_axis(field: str, unit: str, title: str = "energy") -> alt.X:
    import altair as alt  # noqa: PLC0415

    axis = alt.Axis(tickCount=6)
    return alt.X(f"{field}:Q", title=f"{title} ({unit})", axis=axis, scale=alt.Scale(zero=True))


def _by_name(field: str, colours: Mapping[str, str], title: str) -> alt.Color:
    """Colours of what is there. One thing alone, without a title, needs no legend."""
    import altair as alt  # noqa: PLC0415

    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    legend = alt.Legend(title=title, orient="top") if title else None
    return alt.Color(f"{field}:N", scale=scale, legend=legend)


def _value(field: str, title: str) -> alt.Tooltip:
    import altair as alt  # noqa: PLC0415

    return alt.Tooltip(f"{field}:Q", title=title)


def _finished(chart: Chart, height: int, description: str) -> Chart:
    shown = chart.properties(
        width=WIDTH,
        height=max(ROW, height),
        description=description,
        background="white",
        autosize={"type": "fit-x", "contains": "padding"},
    ).configure_view(stroke=None)
    words = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return _offline(shown.configure_axis(**words).configure_legend(**words, symbolOpacity=1))


def _offline(chart: Chart) -> Chart:
    """The same chart, shown as SVG: Altair's own way takes scripts from the network."""
    own: Any = type(chart)
    kind = _offline_kind(own)
    shown: Chart = kind.__new__(kind)
    # Not through its constructor, which would want to be told each part by name.
    shown.__dict__.update(chart.__dict__)
    return shown


@cache
def _offline_kind(kind: Any) -> Any:
    return type(kind.__name__, (_Offline, kind), {"__doc__": kind.__doc__})


class _Offline:
    """How a chart shows itself in a notebook, unless the user chose one of Altair's renderers."""

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        import altair as alt  # noqa: PLC0415

        if alt.renderers.active != "default":
            return super()._repr_mimebundle_(*args, **kwargs)  # type: ignore[misc]
        return {"image/svg+xml": svg(self.to_dict())}, {}  # type: ignore[attr-defined]


def svg(spec: Mapping[str, Any]) -> str:
    """A chart's specification drawn, without a browser and without the network."""
    import vl_convert  # noqa: PLC0415  (loads on use)

    return vl_convert.vegalite_to_svg(json.dumps(spec))


class _Names:
    """Gives each thing a name of its own: bars of one name would lie on each other."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def unique(self, name: str) -> str:
        free, count = name, 1
        while free in self._given:
            count += 1
            free = f"{name} ({count})"
        self._given.add(free)
        return free


_NO_CHARACTERS = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}


def _name(text: str) -> str:
    """Short, and without the two characters that are none: vl-convert ends the process at them."""
    return short(text, LONGEST_NAME).translate(_NO_CHARACTERS)


def _cell_name(cell: Cell) -> str:
    count = " " if cell.execution_count is None else cell.execution_count
    return f"[{count}] {_name(cell.label) or '(no text)'}"


def _energy(uj: int | None) -> str:
    return "" if uj is None else format_energy(uj)


def _rounded(value: float) -> float:
    """As many digits as can be seen: they are most of the file."""
    return float(f"{value:.5g}")


_TIME_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


def _time_unit(duration_s: float) -> tuple[str, float]:
    """The unit of a time axis, and its seconds."""
    return next((unit for unit in _TIME_UNITS if duration_s >= 2 * unit[1]), _TIME_UNITS[-1])


_ENERGY_UNITS = (("kWh", 3.6e12), ("Wh", 3.6e9), ("kJ", 1e9), ("J", 1e6), ("mJ", 1e3))


def _energy_unit(energies_uj: Iterable[float | None]) -> tuple[str, float]:
    """The unit of an energy axis, and its microjoules, by the largest value."""
    most = max((uj for uj in energies_uj if uj is not None), default=0)
    starts = {"kWh": 3.6e12, "Wh": 3.6e11, "kJ": 1e9, "J": 1e6}
    unit = next((one for one in _ENERGY_UNITS if most >= starts.get(one[0], 0)), ("J", 1e6))
    return unit if most else ("J", 1e6)


def _source_colours(session: Session) -> dict[str, str]:
    """By counted counter: the CPU blue, memory green, devices the warm ones."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name, info in session.counters.items():
        if info.counted:
            usual = SOURCES.get(info.domain)
            free = [colour for colour in OTHERS if colour not in taken] or list(OTHERS)
            colour = usual if usual and usual not in taken else free[0]
            taken.add(colour)
            found[_name(name)] = colour
    return found

"""What the pictures of all reports have in common: colours, axes, names, units, and the drawing.

Whatever others have named goes through :func:`name`, and into a chart's data under a field of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jupyter_green.report.inert import short
from jupyter_green.units import UJ_PER_J

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the language. Nobody fetches it."""
WIDTH = 720
HEIGHT = 240
ROW = 26
"""Height of one bar with its distance."""
MOST_BARS = 20
LONGEST_NAME = 36
# The panel's colours: told apart by lightness as well as by hue, on white and on black.
SOURCES = {"package": "#3f6fa8", "cpu": "#3f6fa8", "dram": "#6fc3bb", "module": "#d9c24a"}
OTHERS = ("#f0a030", "#c4573c", "#8f6bb3", "#d9c24a", "#6fb98f", "#98a3af")
ACCENT = "#2f855a"
SHADE = "#808080"
STAGED = {"tagged": ACCENT, "suggested": "#8fc7a8", "none": OTHERS[-1]}
"""How a stage is known."""
Row = dict[str, Any]
Spec = dict[str, Any]
"""A chart, or a layer of one."""
Channel = dict[str, Any]


# --- parts ---------------------------------------------------------------------------------


def layer(rows: Iterable[Row], mark: Spec, **encoding: Channel | list[Channel]) -> Spec:
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def bars(rows: Sequence[Row], unit: str, colours: Mapping[str, str], title: str) -> Spec:
    used = {name: colours[name] for name in colours if any(r["group"] == name for r in rows)}
    return layer(
        rows,
        {"type": "bar", "height": 14},
        y=names_axis(),
        x=energy_axis("energy", unit),
        color=by_name("group", used, title),
        tooltip=[text("name"), value("energy", f"energy ({unit})"), text("group")],
    )


def names_axis() -> Channel:
    axis = {"title": None, "ticks": False, "domain": False}
    return text("name") | {"sort": None, "axis": axis}


def energy_axis(field: str, unit: str, title: str = "energy") -> Channel:
    more = {"axis": {"tickCount": 6}, "scale": {"zero": True}}
    return value(field, f"{title} ({unit})") | more


def by_name(field: str, colours: Mapping[str, str], title: str) -> Channel:
    """Colours of what is there. One thing alone, without a title, needs no legend."""
    scale = {"domain": list(colours), "range": list(colours.values())}
    legend = {"title": title, "orient": "top"} if title else None
    return text(field) | {"scale": scale, "legend": legend}


def text(field: str) -> Channel:
    return {"field": field, "type": "nominal"}


def value(field: str, title: str | None = None) -> Channel:
    named = {} if title is None else {"title": title}
    return {"field": field, "type": "quantitative", **named}


def finished(layers: list[Spec], height: int, description: str) -> Spec:
    words = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "$schema": SCHEMA,
        "description": description,
        "width": WIDTH,
        "height": max(ROW, height),
        "background": "white",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {
            "view": {"stroke": None},
            "axis": words,
            "axisY": {"labelLimit": 300},
            "legend": {**words, "symbolOpacity": 1},
        },
        **(layers[0] if len(layers) == 1 else {"layer": layers}),
    }


# --- drawn ---------------------------------------------------------------------------------
_LINES = {"domainColor": SHADE, "tickColor": SHADE, "gridColor": SHADE, "gridOpacity": 0.3}
_WORDS = {"labelColor": "currentColor", "titleColor": "currentColor"}
_ON_ANY_GROUND = {
    "background": None,
    "axis": {**_WORDS, **_LINES},
    "legend": _WORDS,
    "title": {"color": "currentColor"},
}
_NAMED = re.compile(r'(\bid="|url\(#)')


def svg(spec: Mapping[str, Any]) -> str:
    """A specification drawn as it is, without a browser and without the network."""
    import vl_convert  # noqa: PLC0415  (loads on use)

    return vl_convert.vegalite_to_svg(json.dumps(spec))


def svg_for_page(spec: Mapping[str, Any], prefix: str) -> str:
    """The same to be put into a page: words have the colour of the text around them.

    Args:
        prefix: for the names within the drawing: those of several drawings in a page would clash.
    """
    import vl_convert  # noqa: PLC0415  (loads on use)

    own = {key: value for key, value in spec.items() if (key, value) != ("background", "white")}
    drawn = vl_convert.vegalite_to_svg(json.dumps(own), config=_ON_ANY_GROUND)
    return _NAMED.sub(rf"\g<1>{prefix}-", drawn)


# --- names and units -----------------------------------------------------------------------


class Names:
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


def name(text: str) -> str:
    """Short, and without the two characters that are none: vl-convert ends the process at them."""
    return short(text, LONGEST_NAME).translate(_NO_CHARACTERS)


def rounded(value: float) -> float:
    """As many digits as can be seen: they are most of the file."""
    return float(f"{value:.5g}")


_ENERGY_UNITS = (("kWh", 3.6e12), ("Wh", 3.6e9), ("kJ", 1e9), ("J", 1e6), ("mJ", 1e3))


def energy_unit(energies_uj: Iterable[float | None]) -> tuple[str, float]:
    """The unit of an energy axis, and its microjoules, by the largest value."""
    most = max((uj for uj in energies_uj if uj is not None), default=0)
    starts = {"kWh": 3.6e12, "Wh": 3.6e11, "kJ": 1e9, "J": 1e6}
    unit = next((one for one in _ENERGY_UNITS if most >= starts.get(one[0], 0)), ("J", 1e6))
    return unit if most else ("J", 1e6)


def energy_unit_j(most_j: float) -> tuple[str, float]:
    """The same, and its joules."""
    unit, size_uj = energy_unit([most_j * UJ_PER_J])
    return unit, size_uj / UJ_PER_J


_TIME_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def time_unit(most_s: float) -> tuple[str, float]:
    """The unit of a time axis, and its seconds, by the largest value."""
    unit = next((one for one in _TIME_UNITS if most_s >= 2 * one[1]), _TIME_UNITS[-1])
    return unit if most_s else ("s", 1.0)

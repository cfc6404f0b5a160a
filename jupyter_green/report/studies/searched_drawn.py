"""Searches as a picture: the best value so far over what a search has taken.

Each search a thin line, and for each strategy a thick one, the median of its searches. As a small
drawing of our own for the output of a cell, which needs no script and has the colours of the text
around it, and as a chart of Vega-Lite for reports.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import Any

from jupyter_green.insight.searches_values import Outcome, Search, Strategy
from jupyter_green.report import vega_parts as parts
from jupyter_green.report.inert import short
from jupyter_green.units import format_number

MOST_STRATEGIES = 8
MOST_SEARCHES = 20
"""Of one strategy, that are drawn."""
MOST_CORNERS = 60
"""Of a median's line."""
COLOURS = (parts.ACCENT, *parts.OTHERS[:3], "#3f6fa8", "#6fc3bb", *parts.OTHERS[3:5])
CUT_OFF = 0.1
"""Share of the worst values that lie outside the picture: first trials are often far from all."""

Corner = tuple[float, float]
"""What a search has taken, in the drawn unit, and its best value from there on."""


@dataclass(frozen=True)
class Line:
    """One search, or the median of a strategy's."""

    name: str
    """Of the strategy, harmless and unique."""
    colour: str
    corners: tuple[Corner, ...]
    is_median: bool


@dataclass(frozen=True)
class Drawn:
    """What the pictures show: values over energy, or over time where energy is not judged."""

    quantity: str
    unit: str
    lines: tuple[Line, ...]
    colours: dict[str, str]
    """By name of the strategy."""
    target: float | None
    ends: tuple[float, float]
    """Of the axis of values."""


def drawn_of(outcome: Outcome) -> Drawn:
    """Of energies that are modelled or unknown a picture would claim what no sentence may."""
    by_time = outcome.by_time
    shown = outcome.strategies[:MOST_STRATEGIES]
    totals = [search.taken(by_time) for one in shown for search in one.searches]
    most = max(totals, default=0.0)
    unit, size = parts.time_unit(most) if by_time else parts.energy_unit_j(most)
    names, lines, colours = parts.Names(), [], {}
    for strategy, colour in zip(shown, COLOURS, strict=False):
        name = names.unique(parts.name(strategy.name) or "(no text)")
        own = [_corners(one, by_time, size) for one in strategy.searches[:MOST_SEARCHES]]
        own = [one for one in own if one]
        if own:
            colours[name] = colour
            lines += [Line(name, colour, corners, False) for corners in own]
            lines.append(Line(name, colour, _median(own, outcome.lower), True))
    lines = [line for line in lines if line.corners]
    return Drawn(
        "time" if by_time else "energy",
        unit,
        tuple(lines),
        colours,
        outcome.target,
        _ends(outcome, shown),
    )


def _corners(search: Search, by_time: bool, size: float) -> tuple[Corner, ...]:
    """Where the best value changes, and the end of the search."""
    corners: list[Corner] = []
    for trial in search.trials:
        at = trial.at_s if by_time else trial.at_j
        if at is None or trial.best is None:
            continue
        if not corners or corners[-1][1] != trial.best:
            corners.append((at / size, trial.best))
    if corners:
        end = max(search.taken(by_time) / size, corners[-1][0])
        corners.append((end, corners[-1][1]))
    return tuple(corners)


def _median(lines: Sequence[Sequence[Corner]], lower: bool) -> tuple[Corner, ...]:
    """From where half of the searches have a value, to where half of them have ended: what one
    has found stays found."""
    worst = float("inf") if lower else float("-inf")
    until = median(line[-1][0] for line in lines)
    places = sorted({until, *(x for line in lines for x, _ in line if x <= until)})
    if len(places) > MOST_CORNERS:
        step = len(places) / MOST_CORNERS
        places = [places[int(index * step)] for index in range(MOST_CORNERS)] + [until]
    corners: list[Corner] = []
    for x in places:
        middle = median(_value_at(line, x, worst) for line in lines)
        if abs(middle) != float("inf") and (not corners or corners[-1][1] != middle or x == until):
            corners.append((x, middle))
    return tuple(corners)


def _value_at(line: Sequence[Corner], x: float, before: float) -> float:
    place = bisect_right(line, x, key=lambda corner: corner[0])
    return line[place - 1][1] if place else before


def _ends(outcome: Outcome, shown: Sequence[Strategy]) -> tuple[float, float]:
    values = sorted(trial.best for one in shown for trial in one.trials if trial.best is not None)
    if not values:
        return 0.0, 1.0
    if outcome.target is not None:
        values = sorted([*values, outcome.target])
    cut = int(CUT_OFF * len(values))
    low, high = (values[0], values[-1 - cut]) if outcome.lower else (values[cut], values[-1])
    if outcome.target is not None:
        low, high = min(low, outcome.target), max(high, outcome.target)
    room = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room


# --- a drawing ----------------------------------------------------------------------------

WIDTH = 640
_LEFT, _TOP, _HEIGHT = 64, 28, 190


def drawing(outcome: Outcome) -> str:
    """Lines in the strategies' colours; words have the colour of the text around them."""
    drawn = drawn_of(outcome)
    if not drawn.lines:
        return ""
    most = max(x for line in drawn.lines for x, _ in line.corners) or 1.0
    low, high = drawn.ends

    def x(value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - 12) * value / most

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return _TOP + _HEIGHT * (1 - share)

    shapes = [*_frame(drawn, most, x, y), *(_stairs(line, x, y) for line in drawn.lines)]
    shapes += _legend(drawn)
    metric = escape(short(outcome.metric, 40), quote=True)
    described = f"Best {metric} so far over {drawn.quantity}, by strategy"
    return (
        f'<svg viewBox="0 0 {WIDTH} {_TOP + _HEIGHT + 38}" role="img" aria-label="{described}" '
        f'width="100%" font-size="12" font-family="inherit">{"".join(shapes)}</svg>'
    )


def _stairs(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    (first_x, first_y), *others = line.corners
    path = [f"M{x(first_x):.1f} {y(first_y):.1f}"]
    path += [f"H{x(at):.1f}V{y(value):.1f}" for at, value in others]
    width, opacity = (2.5, 1.0) if line.is_median else (1.0, 0.4)
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{line.colour}" stroke-width="{width}" '
        f'stroke-opacity="{opacity}"/>'
    )


def _frame(
    drawn: Drawn, most: float, x: Callable[[float], float], y: Callable[[float], float]
) -> Iterable[str]:
    bottom = _TOP + _HEIGHT
    yield (
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{WIDTH - 12}" fill="none" stroke="currentColor" '
        'stroke-opacity=".4"/>'
    )
    for value, anchor in ((0.0, "start"), (most, "end")):
        yield _word(x(value), bottom + 15, format_number(value), anchor)
    for value in drawn.ends:
        yield _word(_LEFT - 6, y(value) + 4, format_number(value, 3), "end")
    about = f"{drawn.quantity} ({drawn.unit}): thin lines are searches, thick ones medians"
    yield _word((_LEFT + WIDTH - 12) / 2, bottom + 31, about, "middle")
    if drawn.target is not None:
        at = f"{y(drawn.target):.1f}"
        yield (
            f'<path d="M{_LEFT} {at}H{WIDTH - 12}" stroke="currentColor" stroke-dasharray="4 4" '
            'stroke-opacity=".6"/>'
        )
        target = f"target {format_number(drawn.target, 4)}"
        yield _word(WIDTH - 12, y(drawn.target) - 4, target, "end")


def _legend(drawn: Drawn) -> Iterable[str]:
    width = (WIDTH - _LEFT) / max(1, len(drawn.colours))
    for place, (name, colour) in enumerate(drawn.colours.items()):
        left = _LEFT + place * width
        yield f'<rect x="{left:.1f}" y="6" width="14" height="4" fill="{colour}"/>'
        yield _word(left + 18, 12, short(name, max(4, int(width / 8))), "start")


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" '
        f'fill-opacity=".8" unicode-bidi="isolate">{escape(text)}</text>'
    )


# --- the chart ----------------------------------------------------------------------------


def spec(outcome: Outcome) -> parts.Spec:
    """The same as a specification of Vega-Lite."""
    drawn = drawn_of(outcome)
    title = f"{drawn.quantity} of a search ({drawn.unit})"
    best = f"best {parts.name(outcome.metric)}"
    rows: dict[bool, list[parts.Row]] = {False: [], True: []}
    for number, line in enumerate(drawn.lines):
        rows[line.is_median] += [
            {"name": line.name, "line": number, "x": parts.rounded(x), "y": parts.rounded(value)}
            for x, value in line.corners
        ]
    where: dict[str, Any] = {
        "x": parts.value("x", title) | {"axis": {"tickCount": 6}},
        "y": parts.value("y", best) | {"scale": {"domain": list(drawn.ends), "zero": False}},
        "color": parts.by_name("name", drawn.colours, ""),
        "detail": {"field": "line", "type": "nominal"},
    }
    where["color"]["legend"] = {"title": None, "orient": "top"}
    layers = [
        parts.layer(rows[False], _mark(strokeWidth=1, opacity=0.4), **where),
        parts.layer(rows[True], _mark(strokeWidth=2.5), **where),
    ]
    if drawn.target is not None:
        layers.append(
            parts.layer(
                [{"y": parts.rounded(drawn.target)}],
                {"type": "rule", "color": parts.SHADE, "strokeDash": [4, 4]},
                y=where["y"],
            )
        )
    return parts.finished(layers, parts.HEIGHT, f"{best} over {drawn.quantity}, by strategy")


def _mark(**look: Any) -> parts.Spec:
    return {"type": "line", "interpolate": "step-after", "clip": True, **look}

"""A comparison as a picture: every run a dot, with the mean and its interval, by label.

As a small drawing of our own for the output of a cell, which needs no script and has the colours
of the text around it, and as a chart of Vega-Lite for reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from jupyter_green.insight import compare
from jupyter_green.insight.contest import Contest, Side
from jupyter_green.insight.statistics import Estimate
from jupyter_green.report import vega_parts as parts
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import Session
from jupyter_green.units import format_number

MOST_DOTS = 200
"""Runs of one label that are drawn."""


@dataclass(frozen=True)
class Drawn:
    """What the pictures show: energy, or time where energy is not judged."""

    quantity: str
    unit: str
    sides: tuple[tuple[str, tuple[float, ...], Estimate], ...]
    """Name, runs, and their mean; in ``unit``."""


def drawn_of(contest: Contest) -> Drawn:
    """Of energies that are modelled or unknown a picture would claim what no sentence may."""
    by_time = any(pair.doubt in ("modelled", "no counter") for pair in contest.pairs)
    names = parts.Names()
    values: Callable[[Side], tuple[float, ...]] = (
        (lambda side: side.durations_s) if by_time else (lambda side: side.energies_j)
    )
    most = max((value for side in contest.sides for value in values(side)), default=0.0)
    unit, size = parts.time_unit(most) if by_time else parts.energy_unit_j(most)
    drawn = []
    for side in contest.sides:
        known = side.duration if by_time else side.energy
        if known is not None:
            runs = tuple(value / size for value in values(side))
            name = names.unique(parts.name(side.name) or "(no text)")
            drawn.append((name, runs[:MOST_DOTS], _scaled(known, size)))
    return Drawn("time" if by_time else "energy", unit, tuple(drawn))


def _scaled(known: Estimate, size: float) -> Estimate:
    def of(value: float | None) -> float | None:
        return None if value is None else value / size

    return Estimate(
        known.count, known.mean / size, of(known.deviation), of(known.low), of(known.high)
    )


_WIDTH, _NAMES_WIDTH, _ROW, _TOP = 640, 200, 26, 6
_SMALLEST_PART = 0.7
"""An axis begins at 0, unless all runs lie in its last part: differences are looked for there."""


def drawing(contest: Contest) -> str:
    """Dots, means and intervals. Lines and words have the colour of the text around them."""
    drawn = drawn_of(contest)
    if not any(len(runs) > 1 for _, runs, _ in drawn.sides):
        return ""
    ends = [
        end
        for _, runs, known in drawn.sides
        for end in (*runs, known.low, known.high)
        if end is not None
    ]
    low, high = max(0.0, min(ends)), max(ends)
    low = 0.0 if low < _SMALLEST_PART * high else low - 0.1 * (high - low)
    span = (high - low) or 1.0

    def x(value: float) -> str:
        place = _NAMES_WIDTH + (_WIDTH - _NAMES_WIDTH - 12) * (value - low) / span
        return f"{min(max(place, _NAMES_WIDTH), _WIDTH - 12):.1f}"

    shapes = [
        part
        for row, side in enumerate(drawn.sides)
        for part in _strip(side, _TOP + _ROW * row + _ROW / 2, x)
    ]
    bottom = _TOP + _ROW * len(drawn.sides)
    shapes += _axis(drawn, (low, high), bottom, x)
    described = f"{drawn.quantity.capitalize()} of each run, means and 95 % intervals, by label"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 34}" role="img" aria-label="{described}" '
        f'style="width:100%;max-width:{_WIDTH}px;margin-top:8px;color:inherit" font-size="12" '
        f'font-family="inherit">{"".join(shapes)}</svg>'
    )


def _strip(
    side: tuple[str, tuple[float, ...], Estimate], y: float, x: Callable[[float], str]
) -> Iterable[str]:
    name, runs, known = side
    yield (
        f'<text x="{_NAMES_WIDTH - 10}" y="{y + 4:.1f}" text-anchor="end" fill="currentColor" '
        f'style="unicode-bidi:isolate">{escape(short(name, 28))}</text>'
    )
    for value in runs:
        yield f'<circle cx="{x(value)}" cy="{y:.1f}" r="3.5" fill="#2f9e68" fill-opacity=".75"/>'
    if known.low is not None and known.high is not None:
        yield (
            f'<line x1="{x(known.low)}" x2="{x(known.high)}" y1="{y + 8:.1f}" y2="{y + 8:.1f}" '
            'stroke="currentColor" stroke-width="2"/>'
        )
    yield (
        f'<line x1="{x(known.mean)}" x2="{x(known.mean)}" y1="{y - 8:.1f}" y2="{y + 10:.1f}" '
        'stroke="currentColor" stroke-width="2"/>'
    )


def _axis(
    drawn: Drawn, ends: tuple[float, float], y: float, x: Callable[[float], str]
) -> Iterable[str]:
    yield (
        f'<line x1="{_NAMES_WIDTH}" x2="{_WIDTH - 12}" y1="{y}" y2="{y}" stroke="currentColor" '
        'stroke-opacity=".4"/>'
    )
    for value, anchor in zip(ends, ("start", "end"), strict=True):
        yield (
            f'<text x="{x(value)}" y="{y + 15}" text-anchor="{anchor}" fill="currentColor" '
            f'fill-opacity=".75">{format_number(value)}</text>'
        )
    middle = (_NAMES_WIDTH + _WIDTH - 12) / 2
    yield (
        f'<text x="{middle}" y="{y + 29}" text-anchor="middle" fill="currentColor" '
        f'fill-opacity=".75">{drawn.quantity} ({drawn.unit}): dots are runs, lines their mean '
        "with its 95 % interval</text>"
    )


# --- the chart ----------------------------------------------------------------------------


def spec(contest: Contest) -> parts.Spec:
    """Runs, means and intervals by label, as a specification of Vega-Lite."""
    drawn = drawn_of(contest)
    title = f"{drawn.quantity} of a run ({drawn.unit})"
    runs = [
        {"name": name, "value": parts.rounded(value)}
        for name, values, _ in drawn.sides
        for value in values
    ]
    means = [{"name": name, "value": parts.rounded(one.mean)} for name, _, one in drawn.sides]
    intervals = [
        {"name": name, "value": parts.rounded(one.low), "high": parts.rounded(one.high)}
        for name, _, one in drawn.sides
        if one.low is not None and one.high is not None
    ]
    where: dict[str, Any] = {
        "y": parts.names_axis(),
        "x": parts.value("value", title) | {"axis": {"tickCount": 6}, "scale": {"zero": True}},
        "tooltip": [parts.text("name"), parts.value("value", title)],
    }
    rules = parts.layer(
        intervals, _mark("rule", parts.SHADE, strokeWidth=2), **where | {"x2": {"field": "high"}}
    )
    layers = [
        # Vega warns of a layer without rows.
        *([rules] if intervals else []),
        parts.layer(runs, _mark("point", parts.ACCENT, filled=True, size=60, opacity=0.6), **where),
        parts.layer(means, _mark("tick", parts.OTHERS[1], thickness=3, size=18), **where),
    ]
    height = parts.ROW * len(drawn.sides)
    return parts.finished(layers, height, f"{drawn.quantity.capitalize()} by label")


def of_session(session: Session) -> parts.Spec:
    """What a session compares, its labels before its studies, as a specification; an empty chart
    where there is nothing to compare."""
    contests = compare.contests(session)
    return spec(contests[-1] if contests else NOTHING)


NOTHING = Contest(sides=(), pairs=(), metric=None, lower=None, sentences=(), notes=())


def _mark(kind: str, colour: str, **more: Any) -> parts.Spec:
    return {"type": kind, "color": colour, **more}

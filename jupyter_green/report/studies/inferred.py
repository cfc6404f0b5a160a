""":class:`~jupyter_green.insight.inferences.Figures` as a sentence, a table and a picture.

The HTML needs no script and no style sheet, and inherits the colours of its text: it reads in
light and dark themes alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from jupyter_green.insight.inferences import PER, Figures, InferenceAt
from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.inert import short
from jupyter_green.report.lines import fact
from jupyter_green.report.studies.study_table import StudyTable
from jupyter_green.units import (
    UJ_PER_J,
    format_duration,
    format_energy,
    format_energy_with_bound,
    format_number,
    format_power,
    format_share,
)

COMPARED_RUNS = 5
"""Of fewer runs a side nothing is claimed."""
UNKNOWN = "-"
LONGEST_TITLE = 60
LONGEST_SENTENCE = 1000


# --- the sentence -------------------------------------------------------------------------


def sentence(result: Figures) -> str:
    """What the figures allow one to say.

    A difference is claimed where every run of the one batch size lies below every run of the
    other, by more than the counters leave open: with five runs a side, in random order, chance
    does this once in 252 times (the most extreme outcome of a rank-sum test). Where a model of
    the processor is in the joules, the sentence speaks of time.
    """
    missing = sorted({name for row in result.rows for name in row.missing})
    rows = [row for row in result.rows if not row.below_resolution]
    if result.modelled:
        return _sentence_of_time(result.rows)
    if not rows:
        return "below resolution: the runs are too short for the counters; give more seconds"
    best = min(rows, key=lambda row: row.energy_per_item_j)
    if missing:
        return (
            f"{', '.join(missing)} missing: the joules are lower bounds, and batch sizes are not "
            "compared"
        )
    cost = f"batch {best.batch_size}: {format_energy(best.per_1000_j * UJ_PER_J)} per {PER} "
    return f"{cost}inferences{_lead(best, rows, _joules)}"


def _sentence_of_time(rows: Sequence[InferenceAt]) -> str:
    best = min(rows, key=lambda row: row.duration_per_item_s)
    cost = f"batch {best.batch_size}: {format_duration(PER * best.duration_per_item_s)} per {PER} "
    return (
        f"{cost}inferences{_lead(best, rows, _seconds)}; the joules are modelled, and say nothing "
        "of energy saved"
    )


Runs = tuple[tuple[float, ...], float]
"""What each run took per inference, and what its measurement leaves open."""
Figure = Callable[[InferenceAt], Runs]


def _joules(row: InferenceAt) -> Runs:
    return row.energies_per_item_j, row.bound_per_item_j


def _seconds(row: InferenceAt) -> Runs:
    return tuple(duration_s / row.batch_size for duration_s in row.calls.durations_s), 0.0


def _lead(best: InferenceAt, rows: Sequence[InferenceAt], figure: Figure) -> str:
    """``, 12 times less than batch 1``: against the smallest batch, or, where that is the best,
    against the largest."""
    other = rows[0] if best is not rows[0] else rows[-1]
    if other is best:
        return ""
    runs, bound = figure(best)
    others, other_bound = figure(other)
    if min(len(runs), len(others)) < COMPARED_RUNS:
        return f"; batch sizes are compared from {COMPARED_RUNS} runs on"
    if max(runs) + bound >= min(others) - other_bound:
        return f", which cannot be told apart from batch {other.batch_size}"
    ratio = (sum(others) / len(others)) / (sum(runs) / len(runs))
    words = f"{format_number(ratio, 2)} times" if ratio >= 2 else format_share(1 - 1 / ratio)
    return f", {words} less than batch {other.batch_size}"


# --- the table ----------------------------------------------------------------------------

Column = tuple[str, list[str]]


def text(result: Figures) -> str:
    """The result as lines of plain text."""
    return "\n".join([_headline(result), "", *_table(result).text, "", *_below(result)])


def markdown(result: Figures) -> str:
    """The result as Markdown: sentence, table and notes."""
    notes = "\n".join(f"- {fact(note)}" for note in (_headline(result), *result.notes))
    return f"{fact(sentence(result))}\n\n{_table(result).markdown}\n\n{notes}"


def html(result: Figures) -> str:
    """The result as an HTML fragment with a picture, all text escaped."""
    below = "".join(f'<div style="{_SMALL}">{_inert(line)}</div>' for line in _below(result)[1:])
    return (
        f'<div style="{_ROOT}"><div style="{_DIM}">{_inert(_headline(result))}</div>'
        f'<div style="font-weight:600;margin:2px 0 8px">{escape(sentence(result))}</div>'
        f"{_table(result).html}{_picture(result)}{below}</div>"
    )


def parts(result: Figures) -> Iterator[str]:
    """The result as parts of the HTML report."""
    yield f"<p>{html_parts.text(sentence(result), LONGEST_SENTENCE)}</p>"
    yield _table(result).part("Energy and time of inference by batch size")
    picture = _picture(result)
    yield f'<div class="chart">{picture}</div>' if picture else ""
    notes = (_headline(result), *result.notes)
    yield html_parts.bullets(html_parts.text(note, LONGEST_SENTENCE) for note in notes)


_ROOT = "font-size:13px;line-height:1.4;font-variant-numeric:tabular-nums"
_DIM = "opacity:.7"
_SMALL = "font-size:11px;opacity:.75"


def _inert(line: str) -> str:
    return f"<bdi>{escape(line)}</bdi>"


def _headline(result: Figures) -> str:
    provenance = sorted({kind for row in result.rows for kind in row.provenance})
    runs = len(result.rows[0].calls.energies_j)
    parts = [
        short(result.label, LONGEST_TITLE) or "(no name)",
        *(f"{short(name, 40)} {format_number(value)}" for name, value in result.metrics.items()),
        f"mean ± std. dev. of {runs} run{'s' * (runs > 1)}",
        " + ".join(provenance),
    ]
    return " · ".join(parts)


def _below(result: Figures) -> list[str]:
    return [sentence(result), *(short(note, 300) for note in result.notes)]


def _table(result: Figures) -> StudyTable:
    columns = list(_columns(result))
    lines = zip(*(cells for _, cells in columns), strict=True)
    return StudyTable.of([title for title, _ in columns], lines)


def _columns(result: Figures) -> Iterator[Column]:
    """Titles and cells."""
    rows = result.rows
    yield "batch", [str(row.batch_size) for row in rows]
    yield "per inference", [_energy(row, 1) for row in rows]
    yield f"per {PER}", [_energy(row, PER) for row in rows]
    if any(row.net_per_1000_j is not None for row in rows):
        yield f"net of idle, per {PER}", [_net(row) for row in rows]
    yield "counters ±", [_counters(row) for row in rows]
    yield "latency", [format_duration(row.latency_s) for row in rows]
    yield "p95", [_or_unknown(row.latency_p95_s) for row in rows]
    yield "inferences/s", [_rate(row.items_per_s) for row in rows]
    yield "power", [format_power(row.power_w) for row in rows]


def _energy(row: InferenceAt, items: int) -> str:
    energy_uj = items * row.energy_per_item_j * UJ_PER_J
    if row.missing:
        return f"≥ {format_energy(energy_uj)}"
    if items == 1 or len(row.calls.energies_j) == 1:
        return format_energy(energy_uj)
    return format_energy_with_bound(energy_uj, items * row.deviation_per_item_j * UJ_PER_J)


def _net(row: InferenceAt) -> str:
    net_j = row.net_per_1000_j
    return UNKNOWN if net_j is None or row.below_resolution else format_energy(net_j * UJ_PER_J)


def _counters(row: InferenceAt) -> str:
    """The bound as a share of the energy, or that it outweighs it."""
    if row.below_resolution or not row.energy_per_item_j:
        return "below resolution"
    return format_share(row.bound_per_item_j / row.energy_per_item_j)


def _or_unknown(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else format_duration(seconds)


def _rate(items_per_s: float) -> str:
    return f"{items_per_s:,.0f}" if items_per_s >= 100 else format_number(items_per_s)


# --- the picture --------------------------------------------------------------------------

_WIDTH, _HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 26, 38
_LINE = "#2f9e68"
_AXIS = "stroke='currentColor' stroke-opacity='.25'"


class _Log:
    """Positions on a logarithmic axis."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, self.high = math.log10(min(values)), math.log10(max(values))
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        share = (math.log10(value) - self.low) / span
        return self._start + share * (self._end - self._start)


def _picture(result: Figures) -> str:
    """Joules per inference over batch size, both logarithmic; nothing for less than two points."""
    rows = [row for row in result.rows if row.energy_per_item_j > 0 and not row.below_resolution]
    if len(rows) < 2:
        return ""
    ticks = _ticks([row.energy_per_item_j for row in rows])
    x = _Log([row.batch_size for row in rows], _LEFT + 10, _WIDTH - _RIGHT - 10)
    y = _Log(ticks, _HEIGHT - _BOTTOM, _TOP)
    points = [(x(row.batch_size), y(row.energy_per_item_j)) for row in rows]
    unit = "J per inference, modelled" if result.modelled else "J per inference"
    parts = [
        *(_across(y(value), format_energy(value * UJ_PER_J)) for value in ticks),
        *(_under(x(row.batch_size), str(row.batch_size)) for row in _apart(rows, x)),
        _words(2, 11, unit, "start"),
        _words((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, "batch size", "middle"),
        f'<polyline fill="none" stroke="{_LINE}" stroke-width="2" points="'
        + " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        + '"/>',
        *(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{_LINE}"/>' for a, b in points),
    ]
    told = ", ".join(
        f"batch {row.batch_size}: {format_energy(row.energy_per_item_j * UJ_PER_J)}" for row in rows
    )
    return (
        f'<svg role="img" aria-label="{escape(f"{unit} over batch size: {told}")}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )


def _ticks(values: Sequence[float]) -> list[float]:
    """Round values (1, 2 and 5 of each decade, or decades alone) that hold all of them."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 2, 5) if high - low < 3 else (1,)
    scale = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    first = max(index for index, value in enumerate(scale) if value <= min(values) * (1 + 1e-9))
    last = min(index for index, value in enumerate(scale) if value >= max(values) * (1 - 1e-9))
    return scale[first : max(last, first + 1) + 1]


def _apart(rows: Sequence[InferenceAt], x: _Log) -> Iterator[InferenceAt]:
    """Those whose names do not run into each other."""
    free = -math.inf
    for row in rows:
        half = 4.0 * len(str(row.batch_size))
        if x(row.batch_size) - half >= free:
            free = x(row.batch_size) + half
            yield row


def _across(y: float, name: str) -> str:
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" {_AXIS}/>'
    return line + _words(_LEFT - 6, y + 4, name, "end")


def _under(x: float, name: str) -> str:
    return _words(x, _HEIGHT - _BOTTOM + 16, name, "middle")


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

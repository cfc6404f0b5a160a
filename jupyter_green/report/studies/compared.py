"""Techniques side by side: time, energy, carbon, quality, size, parameters and FLOPs in one table.

These are the measures by which the surveys of green deep learning compare (Xu et al., 2021). As
text, as Markdown, as HTML for the output of a cell, as a section of the report and as a data
frame. All names in them are made harmless here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING

from jupyter_green.insight import compare
from jupyter_green.insight.contest import Contest, Pair, Side
from jupyter_green.insight.statistics import Contrast, Estimate
from jupyter_green.insight.verdict import change_of, quality_change_of
from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.inert import markdown, short
from jupyter_green.report.studies import compared_drawn
from jupyter_green.report.studies.study_table import StudyTable
from jupyter_green.sessions.model import Session
from jupyter_green.units import (
    UJ_PER_J,
    format_co2,
    format_duration,
    format_energy,
    format_energy_with_bound,
    format_number,
)

if TYPE_CHECKING:
    import pandas as pd

LONGEST_SENTENCE = 1000
LONGEST_NAME = 60
MOST_IN_SHORT, SENTENCES_IN_SHORT = 8, 3
"""Labels that are compared where only the verdict is told, and its sentences."""
TEXT_COLUMNS = (0, 9)
"""Columns of words, which begin at the left."""


# --- the table ----------------------------------------------------------------------------


def columns(contest: Contest) -> tuple[str, ...]:
    """Titles of the columns of :func:`rows`; empty ones are left out by the views."""
    metric = short(contest.metric or "", 40)
    return (
        "Label",
        "Runs",
        "Energy",
        "Energy change",
        "Time",
        "Time change",
        "CO2e",
        f"{'Best' if contest.sides[0].uses_best else 'Last'} {metric}",
        f"Change of {metric}",
        "Remarks",
        "Parameters",
        "Size",
        "FLOPs",
    )


def rows(contest: Contest) -> list[tuple[str, ...]]:
    """One a side, with a text for each column. Names are on one line and bounded, no more."""
    pairs = {pair.other.name: pair for pair in contest.pairs}
    return [_row(contest, side, pairs.get(side.name)) for side in contest.sides]


def _row(contest: Contest, side: Side, pair: Pair | None) -> tuple[str, ...]:
    model = side.model
    return (
        short(side.name, LONGEST_NAME) or "(no text)",
        _runs(side),
        _energy(side),
        _change(pair.energy, pair.least_saving) if pair else "",
        _duration(side.duration),
        _change(pair.duration) if pair else "",
        "" if side.grams is None else format_co2(side.grams.mean),
        _quality(side.quality, contest.is_fraction),
        _change_of_quality(pair.quality, contest.lower) if pair else "",
        ", ".join(_remarks(side, pair)),
        "" if model is None or model.parameters is None else f"{model.parameters:,}",
        "" if model is None or model.size_bytes is None else _size(model.size_bytes),
        "" if model is None or model.flops is None else f"{model.flops:,}",
    )


def _runs(side: Side) -> str:
    count, attempts = len(side.compared), len(side.repeats)
    return str(count) if count == attempts else f"{count} of {attempts}"


def _energy(side: Side) -> str:
    energy = side.energy
    if energy is None:
        return ""
    if side.at_least:
        return f"≥ {format_energy(energy.mean * UJ_PER_J)}"
    if energy.low is None:
        return format_energy(energy.mean * UJ_PER_J)
    return format_energy_with_bound(energy.mean * UJ_PER_J, (energy.mean - energy.low) * UJ_PER_J)


def _duration(duration: Estimate | None) -> str:
    if duration is None:
        return ""
    if duration.low is None:
        return format_duration(duration.mean)
    return _seconds_with_half(duration.mean, duration.mean - duration.low)


def _seconds_with_half(mean_s: float, half_s: float) -> str:
    """``5.020 ± 0.020 s``: in one unit, with two digits of the half-width and four of the mean."""
    text = format_duration(mean_s)
    size_s = _SECONDS.get(text.rpartition(" ")[2])
    if size_s is None or not half_s:
        return f"{text} ± {format_duration(half_s)}"
    mean, half = mean_s / size_s, half_s / size_s
    decimals = max(0, 1 - math.floor(math.log10(half)))
    if mean:
        decimals = min(decimals, max(0, 3 - math.floor(math.log10(abs(mean)))))
    # Rounded up, or it would not hold; a millionth of a step is float noise.
    half = max(1, math.ceil(half * 10**decimals - 1e-6)) / 10**decimals
    return f"{mean:.{decimals}f} ± {half:.{decimals}f} {text.rpartition(' ')[2]}"


_SECONDS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}


def _quality(quality: Estimate | None, is_fraction: bool) -> str:
    """With two digits of its half-width, as a fraction or as it was logged."""
    if quality is None:
        return ""
    half = 0.0 if quality.low is None else quality.mean - quality.low
    if not half:
        return f"{quality.mean:.6g}"
    decimals = max(3 if is_fraction else 0, 1 - math.floor(math.log10(half)))
    if decimals > 8 or abs(quality.mean) >= 1e9:
        return f"{quality.mean:.6g} ± {half:.2g}"
    return f"{quality.mean:.{decimals}f} ± {half:.{decimals}f}"


def _change(contrast: Contrast | None, least_saving: float | None = None) -> str:
    """In the words of the sentence."""
    return "" if contrast is None else change_of(contrast, least_saving)


def _change_of_quality(contrast: Contrast | None, lower: bool | None) -> str:
    return "" if contrast is None else quality_change_of(contrast, lower)


def _remarks(side: Side, pair: Pair | None) -> Iterable[str]:
    if not side.succeeded:
        yield "never succeeded"
    if side.failed and side.succeeded:
        yield f"{side.failed} failed"
    if side.interrupted:
        yield f"{side.interrupted} interrupted"
    left_out = sum(side.left_out().values())
    if left_out:
        yield f"{left_out} left out"
    if side.at_least:
        yield "a lower bound"
    if side.provenance and side.provenance != ("measured",):
        yield " + ".join(side.provenance)
    if pair is not None and pair.doubt == "elsewhere":
        yield "other machine or counters"


def _size(size_bytes: int) -> str:
    return f"{format_number(size_bytes / 1e6)} MB"


def _table(contest: Contest) -> StudyTable:
    return StudyTable.of(columns(contest), rows(contest), TEXT_COLUMNS)


def _verdict(contest: Contest) -> list[str]:
    """Made harmless for a terminal, as the notes are."""
    return [short(one, LONGEST_SENTENCE) for one in contest.sentences]


def _notes(contest: Contest) -> list[str]:
    return [short(one, LONGEST_SENTENCE) for one in contest.notes]


# --- text and Markdown --------------------------------------------------------------------


def render(contest: Contest) -> str:
    """The comparison as text, the verdict first."""
    notes = _notes(contest)
    table = _table(contest).text
    return "\n".join([*_verdict(contest), "", *table, *([""] if notes else []), *notes])


def in_short(session: Session) -> list[str]:
    """The verdicts on what a session compares in a few lines, for a text that tells much besides.

    Nothing where no two labels have run twice: labels are names first of all.
    """
    lines: list[str] = []
    for contest in compare.contests(session):
        if not any(_is_judged(pair) for pair in contest.pairs):
            continue
        if len(contest.sides) > MOST_IN_SHORT:
            count = len(contest.sides)
            lines.append(f"{count} labels: reports in HTML and Markdown compare them")
            continue
        told, more = contest.sentences[:SENTENCES_IN_SHORT], contest.sentences[SENTENCES_IN_SHORT:]
        lines += [short(one, LONGEST_SENTENCE) for one in told]
        if more:
            lines.append(f"+ {len(more)} more in reports in HTML and Markdown")
    return lines


def _is_judged(pair: Pair) -> bool:
    return pair.duration is not None or pair.energy is not None


def render_markdown(contest: Contest) -> str:
    """The comparison as Markdown, for a pull request."""
    figures = _table(contest).markdown
    verdict, notes = map(markdown, _verdict(contest)), map(markdown, _notes(contest))
    return "\n\n".join([*verdict, figures, *notes])


# --- HTML for the output of a cell --------------------------------------------------------

_ROOT = "font-size:13px;line-height:1.4;max-width:60em;font-variant-numeric:tabular-nums"
_SMALL = "font-size:11px;opacity:.75"


def fragment(contest: Contest) -> str:
    """Verdict, table and chart: no script, no style sheet, colours of text inherited."""
    verdict = "".join(f"<div>{_inert(one)}</div>" for one in _verdict(contest))
    told = "".join(f'<li style="margin:2px 0">{_inert(one)}</li>' for one in _notes(contest))
    below = f'<ul style="margin:8px 0 0;padding-left:18px;{_SMALL}">{told}</ul>' if told else ""
    return (
        f'<div style="{_ROOT}"><div style="font-size:14px;font-weight:600">{verdict}</div>'
        f"{_table(contest).html}{compared_drawn.drawing(contest)}{below}</div>"
    )


def _inert(line: str) -> str:
    return f"<bdi>{escape(line)}</bdi>"


# --- a section of the report --------------------------------------------------------------


def section(session: Session, pictures: html_parts.Pictures) -> str:
    """The section "Labels compared" of the HTML report; nothing with fewer than two labels."""
    contests = compare.contests(session)
    parts = [part for contest in contests for part in _parts(contest, pictures)]
    more = len(compare.labels(session)) - compare.MOST_SIDES
    if more > 0:
        parts.append(f'<p class="dim">+ {more} labels</p>')
    return html_parts.section("Labels compared", *parts)


def _parts(contest: Contest, pictures: html_parts.Pictures) -> Iterator[str]:
    verdict = (html_parts.text(one, LONGEST_SENTENCE) for one in _verdict(contest))
    notes = (html_parts.text(one, LONGEST_SENTENCE) for one in _notes(contest))
    drawn = compared_drawn.drawn_of(contest).sides
    caption = "A dot a run; the lines are their mean and its interval."
    yield from (f"<p>{one}</p>" for one in verdict)
    yield pictures.figure(compared_drawn.spec(contest), caption) if drawn else ""
    yield _table(contest).part("Techniques by energy and by quality")
    yield html_parts.bullets(notes)


# --- a data frame -------------------------------------------------------------------------

_TEXT = "string[python]"
RUN_COLUMNS: Mapping[str, str] = {
    "label": _TEXT,
    "session": _TEXT,
    "cell": "Int64",
    "span": "Int64",
    "started_s": "float64",
    "status": _TEXT,
    "error": _TEXT,
    "loops": "int64",
    "duration_s": "float64",
    "energy_j": "float64",
    "bound_j": "float64",
    "missing": _TEXT,
    "provenance": _TEXT,
    "co2_g": "float64",
    "metric": _TEXT,
    "last": "float64",
    "best": "float64",
    "left_out": _TEXT,
}
"""Columns of :func:`runs_dataframe` with their types."""


def runs_dataframe(contest: Contest) -> pd.DataFrame:
    """All attempts, one row each; energy and time are those of one loop."""
    import pandas as pd  # noqa: PLC0415  (loads on use)

    records = [
        {
            "label": side.name,
            "metric": contest.metric,
            "missing": ", ".join(one.missing) or None,
            "provenance": " + ".join(one.provenance) or None,
            "co2_g": one.grams,
            "left_out": one.left_out or one.energy_left_out or None,
            **{
                name: getattr(one, name)
                for name in RUN_COLUMNS
                if name not in ("label", "metric", "missing", "provenance", "co2_g", "left_out")
            },
        }
        for side in contest.sides
        for one in side.repeats
    ]
    return pd.DataFrame(
        {
            name: pd.Series([record[name] for record in records], dtype=dtype)
            for name, dtype in RUN_COLUMNS.items()
        }
    )

"""A merged report as one HTML file, with the policy and the looks of the report of one session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_green import __version__
from jupyter_green.report.fragment import COLOURS
from jupyter_green.report.html.page import document
from jupyter_green.report.html.parts import (
    DASH,
    Column,
    Pictures,
    bar,
    bullets,
    code,
    framed,
    number,
    section,
    square,
    table,
    text,
)
from jupyter_green.report.merged import charts as merged_charts
from jupyter_green.report.merged.table import Fact, Grid, Line, MergedTable, Saving
from jupyter_green.report.merged.values import Merged
from jupyter_green.report.vega_parts import MOST_BARS

MOST_SESSIONS = 300
"""Rows of sessions; the rest is summed."""
NAMES = frozenset({"Notebook", "Project", "Machine", "Hardware", "Stage"})
"""Columns of words that need room."""


def render(merged: Merged, *, light: bool = False) -> str:
    """The report as a whole HTML document.

    Args:
        light: charts are drawings and there is no script.
    """
    told = MergedTable.of(merged, most_sessions=MOST_SESSIONS)
    return document(told.title, _body(merged, told, Pictures(light)), light=light)


def render_light(merged: Merged) -> str:
    """The report without any script."""
    return render(merged, light=True)


def _body(merged: Merged, told: MergedTable, pictures: Pictures) -> str:
    return "".join(
        (
            _head(told),
            section("Left out", bullets(map(text, told.left_out))),
            _over_time(merged, told, pictures),
            _sessions(merged, told, pictures),
            *(section(grid.title, _grid(grid)) for grid in _others(merged, told)),
            _ledger(merged, told, pictures),
            _stages(merged, told, pictures),
            section("What to try", *map(_saving, told.savings)),
            _method(told),
            _citing(told),
            f'<p class="dim">Made with jupyter_green {__version__} from the journals of the '
            "sessions.</p>\n",
        )
    )


# --- headline -----------------------------------------------------------------------------


def _head(told: MergedTable) -> str:
    return (
        f'<header><h1>{text(told.title)}</h1><p class="dim">{text(told.subtitle)}</p>'
        f'<dl class="tiles">{"".join(map(_tile, told.facts))}</dl></header>\n'
    )


def _tile(fact: Fact) -> str:
    # What is to be typed stands in a sentence of ours, which has no figure.
    note = text(fact.note) if fact.figure else code(fact.note)
    figure = text(fact.figure) or DASH
    return f'<div><dt>{fact.name}</dt><dd class="figure">{figure}</dd><dd>{note}</dd></div>'


# --- tables -------------------------------------------------------------------------------


def _grid(grid: Grid, marks: Sequence[str] = ()) -> str:
    """A table; ``marks`` are HTML before the names of its rows."""
    columns = [_column(title) for title in grid.columns]
    before = marks or [""] * len(grid.rows)
    rows = (
        (mark + text(row[0]), *map(text, row[1:]))
        for mark, row in zip(before, grid.rows, strict=True)
    )
    return table(grid.caption, columns, rows) + _dim(grid.rest)


def _column(title: str) -> Column:
    if title.startswith(">"):
        return number(title[1:])
    return Column(title, "name" if title in NAMES else "")


def _dim(words: str) -> str:
    return f'<p class="dim">{text(words)}</p>' if words else ""


def _over_time(merged: Merged, told: MergedTable, pictures: Pictures) -> str:
    grid = told.groups.get(merged.period_name)
    if grid is None:
        return ""
    caption = f"Sums of the sessions that began in each {merged.period_name}, by project."
    drawn = merged.totals.summed.total_uj
    return section(
        "Over time",
        pictures.figure(merged_charts.over_time(merged), caption) if drawn else "",
        _grid(grid),
    )


def _others(merged: Merged, told: MergedTable) -> Iterable[Grid]:
    return (grid for by, grid in told.groups.items() if by != merged.period_name)


_COLUMNS = (
    Column("Started", "when", "order"),
    Column("Notebook", "name"),
    Column("Project"),
    Column("Machine"),
    number("Time"),
    number("Energy", "energy"),
    Column("Origin"),
    number("Failed cells"),
    number("CO₂e"),
    Column("Metric"),
    Column("State"),
)


def _sessions(merged: Merged, told: MergedTable, pictures: Pictures) -> str:
    largest = max(line.fraction for line in told.lines)
    several = len({line.origin for line in told.lines}) > 1
    shown = [_contents(line, largest, several) for line in told.lines]
    used = [column for column in _COLUMNS if any(each[column.title] for each in shown)]
    bodies = "".join(
        f'<tbody data-order="{-order}" data-energy="{line.fraction:.6g}"><tr>'
        f"{''.join(column.cell(each[column.title]) for column in used)}</tr></tbody>"
        for order, (line, each) in enumerate(zip(told.lines, shown, strict=True))
    )
    known = sum(bool(one.summary.energy.total_uj) for one in merged.members)
    count = min(known, MOST_BARS)
    caption = f"The {count} that cost most; the colour says how it is known."
    return section(
        "Sessions",
        pictures.figure(merged_charts.sessions(merged), caption) if count > 1 else "",
        framed("All sessions, the newest first", used, bodies, "cells"),
        _dim(told.rest),
    )


def _contents(line: Line, largest: float, several_origins: bool) -> dict[str, str]:
    bars = bar(line.fraction / largest if largest else 0.0, COLOURS["running"])
    return {
        "Started": text(line.started),
        "Notebook": f'{text(line.notebook)}{bars}<div class="dim">{text(line.id)}</div>',
        "Project": text(line.project),
        "Machine": text(line.machine),
        "Time": text(line.duration),
        "Energy": text(line.energy),
        # Of one alone the headline tells.
        "Origin": text(line.origin) if several_origins else "",
        "Failed cells": text(line.failed),
        "CO₂e": text(line.co2),
        "Metric": text(line.metric),
        "State": text(line.state),
    }


def _ledger(merged: Merged, told: MergedTable, pictures: Pictures) -> str:
    if told.ledger is None:
        return ""
    marks = [square(COLOURS[row[0]]) for row in told.ledger.rows]
    return section(
        told.ledger.title,
        pictures.figure(merged_charts.ledger(merged), "The sum of the sessions, by its use."),
        _grid(told.ledger, marks),
    )


def _stages(merged: Merged, told: MergedTable, pictures: Pictures) -> str:
    if told.stages is None:
        return ""
    return section(
        told.stages.title,
        pictures.figure(merged_charts.stages(merged), "Grey: without a stage."),
        _grid(told.stages),
    )


def _saving(saving: Saving) -> str:
    return (
        f'<article class="finding"><h3>{text(saving.title)}</h3><p>{text(saving.told)}</p>'
        f"<p>To try: {text(saving.remedy)}</p></article>"
    )


# --- how it is known ----------------------------------------------------------------------


def _method(told: MergedTable) -> str:
    refused = bullets(map(text, told.refused))
    notes = bullets(map(_note, told.notes))
    return section(
        "Hardware and method",
        "<h3>Machines</h3>",
        _grid(told.machines),
        f"<h3>Counters</h3>{_grid(told.counters)}" if told.counters else "",
        f"<h3>Not read</h3>{refused}" if refused else "",
        f"<h3>What limits the figures</h3>{notes}" if notes else "",
    )


def _note(note: str) -> str:
    return text(note)


def _citing(told: MergedTable) -> str:
    words = " ".join(map(text, told.sentences))
    return section("To cite", f'<p class="statement">{words}</p>')

"""Many sessions together: as text for a terminal, and as JSON and CSV for other programs.

The JSON object has these keys; units stand in the names, and null is not known:

``format``
    ``"jupyter_green history 1"``. The number changes when a key changes its meaning or goes.
``sessions``
    One object a session, the newest first: id, title (the notebook, or the command of
    ``jupyter green exec``), project, month (of its start, local time), started_wall_s, state,
    reason, front_end, host, duration_s, cells, energy_j, bound_j (half-width of the 95 %
    interval), at_least (a part is missing), provenance, co2_g, metric, metric_value (the best
    value of the metric that was logged last).
``groups``
    Where ``--by`` was given, one object a group: group and the keys of ``total``.
``total``
    sessions, duration_s; sum_j and sum_bound_j: the sum of the sessions; union_j and
    union_bound_j: the same without counting a joule twice where sessions ran at the same time
    on one machine; at_least, provenance; co2_g (of the sum) over co2_sessions sessions.
``problems``
    Journals that could not be read.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jupyter_green.report.exports.tabular import cell_text
from jupyter_green.report.lines import cut, display_width
from jupyter_green.report.words import clean, energy_words, provenance_words
from jupyter_green.sessions.history import History, Totals, totals
from jupyter_green.sessions.model import Energy
from jupyter_green.sessions.summary import Summary
from jupyter_green.units import format_co2, format_duration

FORMAT = "jupyter_green history 1"
NEWEST = 20
"""Sessions that are shown, unless all are asked for."""
LONGEST_TITLE = 60
LONGEST_METRIC = 16
NO_PROJECT = "(no project)"

Object = dict[str, Any]


def _month(one: Summary) -> str:
    return time.strftime("%Y-%m", time.localtime(one.started_wall_s))


GROUPS: Mapping[str, Callable[[Summary], str | None]] = {
    "notebook": lambda one: one.title,
    "project": lambda one: one.project,
    "month": _month,
}
"""What sessions can be grouped by."""


def _grouped(history: History, by: str) -> list[tuple[str | None, Totals]]:
    """The totals of each group; months in their order, others by their energy."""
    members: dict[str | None, list[Summary]] = {}
    for one in history.sessions:
        members.setdefault(GROUPS[by](one), []).append(one)
    found = [(name, totals(group)) for name, group in members.items()]
    if by == "month":
        return sorted(found, key=lambda pair: pair[0] or "")
    return sorted(found, key=lambda pair: pair[1].union.total_uj or 0, reverse=True)


# --- text ---------------------------------------------------------------------------------


def as_text(history: History, by: str = "", *, everything: bool = False) -> str:
    """A table of the sessions, or of groups of them, and the totals of all."""
    rows = _groups(history, by) if by else _sessions(history, everything)
    total = totals(history.sessions)
    blocks = [aligned(rows), _totals(total), _notes(total, history.problems)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _sessions(history: History, everything: bool) -> list[tuple[str, ...]]:
    shown = history.sessions if everything else history.sessions[:NEWEST]
    rows = [_SESSION_TITLES, *map(_session_row, shown)]
    older = len(history.sessions) - len(shown)
    return [*rows, (f"+ {older} older ones (--all shows them)",)] if older else rows


_SESSION_TITLES = (
    "SESSION",
    "STARTED",
    ">TIME",
    ">ENERGY",
    "ORIGIN",
    ">CO2E",
    "METRIC",
    "NOTEBOOK",
)
_GROUP_TITLES = (">SESSIONS", ">TIME", ">SUM OF SESSIONS", ">UNION IN TIME", "ORIGIN", ">CO2E")


def _session_row(one: Summary) -> tuple[str, ...]:
    return (
        clean(one.id),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(one.started_wall_s)),
        format_duration(one.duration_s),
        energy_words(one.energy),
        provenance_words(one.energy),
        "" if one.co2_g is None else format_co2(one.co2_g),
        "" if one.metric is None else _metric_words(one),
        _end_of(clean(one.title)) + (" (open)" if one.state == "open" else ""),
    )


def _metric_words(one: Summary) -> str:
    assert one.metric is not None
    return f"{cut(clean(one.metric.name), LONGEST_METRIC)} {one.metric.value:.6g}"


def _groups(history: History, by: str) -> list[tuple[str, ...]]:
    rows = [
        (
            _end_of(clean(name)) if name else NO_PROJECT,
            str(total.sessions),
            format_duration(total.duration_s),
            energy_words(total.summed),
            energy_words(total.union),
            provenance_words(total.union),
            _co2_words(total),
        )
        for name, total in _grouped(history, by)
    ]
    return [(by.upper(), *_GROUP_TITLES), *rows]


def _co2_words(total: Totals) -> str:
    if total.co2_g is None:
        return ""
    at_least = "≥ " if total.co2_sessions < total.sessions or total.summed.missing else ""
    return at_least + format_co2(total.co2_g)


def _end_of(text: str) -> str:
    """A long path without its beginning: its name stands at its end."""
    return text if len(text) <= LONGEST_TITLE else f"…{text[1 - LONGEST_TITLE :]}"


def _totals(total: Totals) -> list[str]:
    count = "1 session" if total.sessions == 1 else f"{total.sessions:,} sessions"
    both = f"{count}, {format_duration(total.duration_s)}"
    rows = [
        ("", "", ""),
        ("Sum of sessions", energy_words(total.summed), both),
        ("Union in time", energy_words(total.union), "no joule of a machine counts twice"),
    ]
    if co2 := _co2_words(total):
        rows.append(("CO₂e of the sum", co2, f"a place was set in {total.co2_sessions:,} of them"))
    return aligned(rows)[1:]


def _notes(total: Totals, problems: Sequence[str]) -> list[str]:
    notes = []
    if total.summed.missing:
        notes.append(f"≥: a part is missing ({', '.join(map(clean, total.summed.missing))}).")
    if total.co2_g is None and total.co2_sessions:
        notes.append("CO2: intensities of different bases are not added up.")
    return [*notes, *(f"Left out: {clean(problem)}" for problem in problems)]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines; a title that begins with ``>`` is of numbers. Empty columns are left out."""
    whole = [row for row in rows if len(row) > 1]
    right = [title.startswith(">") for title in whole[0]]
    plain = [[text.removeprefix(">") for text in whole[0]], *whole[1:]]
    used = [
        column
        for column in range(len(right))
        if any(row[column] for row in plain[1:]) or not column
    ]
    widths = {column: max(display_width(row[column]) for row in plain) for column in used}
    lines = []
    for row in plain:
        padded = (_padded(row[column], widths[column], right[column]) for column in used)
        lines.append("  ".join(padded).rstrip())
    return [*lines, *(row[0] for row in rows if len(row) == 1)]


def _padded(text: str, width: int, right: bool) -> str:
    blank = " " * (width - display_width(text))
    return blank + text if right else text + blank


# --- for other programs -------------------------------------------------------------------


def as_json(history: History, by: str = "") -> str:
    """Everything as one JSON object; its keys are described at the top of the module."""
    content: Object = {
        "format": FORMAT,
        "sessions": [session_record(one) for one in history.sessions],
        "total": total_record(totals(history.sessions)),
        "problems": list(history.problems),
    }
    if by:
        content["groups"] = [
            {"group": n, **total_record(total)} for n, total in _grouped(history, by)
        ]
    # Plain ASCII, so that no terminal and no pipe can damage it.
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def as_csv(history: History, by: str = "") -> str:
    """One row a session, or a group. What is not known is empty."""
    if by:
        records = [{by: name, **total_record(total)} for name, total in _grouped(history, by)]
    else:
        records = [session_record(one) for one in history.sessions]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(records[0] if records else [])
    for record in records:
        writer.writerow(map(cell_text, record.values()))
    return file.getvalue()


def session_record(one: Summary) -> Object:
    return {
        "id": one.id,
        "title": one.title,
        "project": one.project,
        "month": _month(one),
        "started_wall_s": one.started_wall_s,
        "state": one.state,
        "reason": one.reason,
        "front_end": one.front_end,
        "host": one.host,
        "duration_s": one.duration_s,
        "cells": one.cells,
        **_energy(one.energy, "energy_j", "bound_j"),
        "at_least": one.energy.at_least,
        "provenance": provenance_words(one.energy),
        "co2_g": one.co2_g,
        "metric": None if one.metric is None else one.metric.name,
        "metric_value": None if one.metric is None else one.metric.value,
    }


def total_record(total: Totals) -> Object:
    return {
        "sessions": total.sessions,
        "duration_s": total.duration_s,
        **_energy(total.summed, "sum_j", "sum_bound_j"),
        **_energy(total.union, "union_j", "union_bound_j"),
        "at_least": total.summed.at_least,
        "provenance": provenance_words(total.union),
        "co2_g": total.co2_g,
        "co2_sessions": total.co2_sessions,
    }


def _energy(energy: Energy, value: str, bound: str) -> Object:
    if energy.total_uj is None:
        return {value: None, bound: None}
    return {value: energy.energy_j, bound: energy.bound_j}

"""A session for other programs: JSON with everything in it, CSV with one row a cell.

The JSON object has these keys; units stand in the names, and null is not known:

``format``
    ``"jupyter_green report 1"``. The number changes when a key changes its meaning or goes.
``session``
    id, state (open, closed, ended without goodbye), reason, version of jupyter_green,
    started_wall_s and ended_wall_s (seconds since 1970), duration_s, notebook, project,
    front_end, host, paused.
``machine``
    system, cpu, cores, memory_bytes, python, virtual.
``counters``
    One object a counter: name, domain, source, provenance (measured, integrated, modelled),
    counted (part of the total), part_of, resolution_s, band (relative systematic uncertainty),
    scope, device, assumption (of a model).
``refused``
    Sources that are not used: source, counter, reason, remedy, by_choice (nothing is wrong
    with it: another serves, or the settings do not ask for it).
``total``
    energy_j, bound_j (half-width of the 95 % interval), at_least (a part is missing), missing,
    provenance, co2_g, cost, currency, by_counter_j. The machine's energy, not the process's.
``ledger``
    What it was good for: productive, superseded, failed, running, between cells, paused,
    holes; each energy_j, share, duration_s, co2_g, by_counter_j. They add up to the total.
``stages``
    By stage of the lifecycle (null: none, the rest): energy_j, share, duration_s, runs, and
    suggested (true: no tag, but what the cells call). They add up to the total.
``cells``, ``open_cells``, ``spans``, ``metrics``
    Keys of cells, spans and metrics as the columns of :mod:`jupyter_green.sessions.frames`,
    and by_counter_j. Cells with a category add up; nested ones and spans must not be added.
    A metric that is no finite number has the value null and a ``text``.
``holes``, ``gaps``, ``overlaps``
    Where readings failed, where no samples were taken, who else read the same counters.
``intensity_periods``
    From since_s on: g_per_kwh, place, year, basis, source, estimated, pue, price_per_kwh,
    currency.
``bad_lines``, ``unknown_events``, ``samples_dropped``, ``problems``
    What of the journal could not be read or written.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from jupyter_green.insight.stages import by_stage
from jupyter_green.sessions import frames
from jupyter_green.sessions.model import Entry, OpenCell, Period, Session
from jupyter_green.units import uj_to_j

FORMAT = "jupyter_green report 1"

Object = dict[str, Any]


# --- JSON ---------------------------------------------------------------------------------


def as_json(session: Session) -> str:
    """The whole session as one JSON object; its keys are described at the top of the module."""
    # Plain ASCII, so that no terminal and no pipe can damage it.
    return json.dumps(finite(_report(session)), indent=2, allow_nan=False)


def _report(session: Session) -> Object:
    return {
        "format": FORMAT,
        "session": _session(session),
        "machine": _plain(session.machine),
        "counters": [_counter(session, name) for name in session.counters],
        "refused": [_plain(refusal) for refusal in session.refused],
        "total": _total(session),
        "ledger": {name: _entry(session, entry) for name, entry in session.ledger.entries.items()},
        "stages": _stages(session),
        "cells": [_nested(session, record) for record in frames.cell_records(session)],
        "open_cells": [_open_cell(session, cell) for cell in session.open_cells],
        "spans": [_nested(session, record) for record in frames.span_records(session)],
        "metrics": [_metric(record) for record in frames.metric_records(session)],
        "holes": [_plain(hole) for hole in session.holes],
        "gaps": [_plain(gap) for gap in session.gaps],
        "overlaps": [_plain(overlap) for overlap in session.overlaps],
        "intensity_periods": [_period(period) for period in session.periods],
        "bad_lines": session.bad_lines,
        "unknown_events": session.unknown_events,
        "samples_dropped": session.samples_dropped,
        "problems": list(session.problems),
    }


def _session(session: Session) -> Object:
    names = (
        "id state reason version started_wall_s ended_wall_s duration_s notebook project "
        "front_end host paused"
    )
    return {name: getattr(session, name) for name in names.split()}


def _counter(session: Session, name: str) -> Object:
    names = (
        "name domain source provenance counted part_of resolution_s band scope device assumption"
    )
    return {key: getattr(session.counters[name], key) for key in names.split()}


def _total(session: Session) -> Object:
    total = session.total
    return {
        "energy_j": total.energy_j,
        "bound_j": None if total.total_uj is None else total.bound_j,
        "at_least": total.at_least,
        "missing": list(total.missing),
        "provenance": list(total.provenance),
        "co2_g": session.co2_g(total),
        "cost": None if total.total_uj is None else session.cost(total),
        "currency": session.pricing.currency,
        "by_counter_j": _joules(total.uj),
    }


def _entry(session: Session, entry: Entry) -> Object:
    known = session.total.total_uj is not None
    return {
        "energy_j": uj_to_j(entry.total_uj) if known else None,
        "share": session.share(entry) if known else None,
        "duration_s": entry.seconds,
        "co2_g": session.co2_g(entry) if known else None,
        "by_counter_j": _joules(entry.uj),
    }


def _nested(session: Session, record: frames.Record) -> Object:
    """A record of a frame with the counters' columns gathered in one object."""
    by_counter = {name: record[f"{name}_j"] for name in session.counters if f"{name}_j" in record}
    flat = set(frames.counter_columns(session)) - {*frames.CELL_COLUMNS, *frames.SPAN_COLUMNS}
    rest = {key: value for key, value in record.items() if key not in flat}
    return {**rest, "by_counter_j": by_counter}


def _stages(session: Session) -> list[Object]:
    whole_uj = session.total.total_uj
    if whole_uj is None:
        return []
    return [
        {
            "stage": stage.name,
            "suggested": stage.suggested,
            "energy_j": uj_to_j(stage.total_uj),
            "share": stage.total_uj / whole_uj if whole_uj else None,
            "duration_s": stage.seconds,
            "runs": stage.runs,
        }
        for stage in by_stage(session)
    ]


def _open_cell(session: Session, cell: OpenCell) -> Object:
    energy = cell.so_far
    return {
        "number": cell.number,
        "execution_count": cell.execution_count,
        "label": cell.tags.label or cell.first_line,
        "stage": cell.tags.stage,
        "suggested_stage": None if cell.tags.stage else cell.suggested_stage,
        "started_s": cell.started_s,
        "energy_so_far_j": energy.energy_j,
        "bound_j": None if energy.total_uj is None else energy.bound_j,
        "at_least": energy.at_least,
        "missing": list(energy.missing),
        "by_counter_j": _joules(energy.uj),
    }


def _metric(record: frames.Record) -> Object:
    value = record["value"]
    return record if math.isfinite(value) else {**record, "value": None, "text": str(value)}


def _period(period: Period) -> Object:
    unknown = dict.fromkeys(("g_per_kwh", "place", "year", "basis", "source", "estimated"))
    intensity = unknown if period.intensity is None else _plain(period.intensity)
    told = {**intensity, **_plain(period.pricing)}
    return {"since_s": period.since_s, **told, "reason": period.reason}


def _plain(value: msgspec.Struct) -> Object:
    """A struct with all its fields, defaults included."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _joules(uj: Mapping[str, int]) -> dict[str, float]:
    return {name: uj_to_j(energy_uj) for name, energy_uj in uj.items()}


def finite(value: Any) -> Any:
    """JSON has no numbers for inf and nan: null, wherever they come from."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- CSV ----------------------------------------------------------------------------------

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes text that begins like this for a formula, or looks behind the blank."""

LONGEST_CELL = 32_767
"""Characters that a cell of a spreadsheet takes; longer ones spill into the next or stop it."""


def as_csv(session: Session) -> str:
    """The finished cells as CSV, one row a run, with the columns of ``session.dataframe()``.

    What is not known is empty. Text that a spreadsheet would run as a formula begins with an
    apostrophe.
    """
    counters = [name for name in frames.counter_columns(session) if name not in frames.CELL_COLUMNS]
    columns = [*frames.CELL_COLUMNS, *counters]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(cell_text, columns))
    for record in frames.cell_records(session):
        writer.writerow(_row(record, columns))
    return file.getvalue()


def _row(record: frames.Record, columns: Iterable[str]) -> list[str]:
    return [cell_text(record.get(column)) for column in columns]


def cell_text(value: object) -> str:
    """A value as the text of one cell of a table: empty where it is not known, never a formula."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        short = value if len(value) < LONGEST_CELL else f"{value[: LONGEST_CELL - 2]}…"
        return f"'{short}" if value.startswith(_FORMULA) else short
    return repr(value)

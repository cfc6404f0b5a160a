"""A session as plain JSON that any reader of journals, in any language, can be held to.

The keys are those of :class:`jupyter_green.sessions.model.Session`; ``README.md`` tells what is
rounded, and how the few values that JSON does not have are written.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from jupyter_green.errors import NewerFormat, NotAJournal
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import (
    Cell,
    Energy,
    Entry,
    Metric,
    OpenCell,
    Period,
    Session,
    Span,
    Trace,
)

HERE = Path(__file__).parent


def journals() -> list[Path]:
    """The golden journals, by name."""
    return sorted(HERE.glob("*.ndjson"))


def expected_path(journal: Path) -> Path:
    """Where the expected digest of a journal lies."""
    return journal.with_suffix(".json")


def digest(data: bytes) -> dict[str, Any]:
    """What a reader must make of a journal.

    ``session`` is what it says while its kernel may still run; where no line has ended it,
    ``orphan`` is the same session once kernel and recorder are known to be dead.
    """
    fold = Fold()
    try:
        fold.feed_lines(data)
        told = {"session": of_session(fold.session())}
    except (NewerFormat, NotAJournal) as error:
        return {"refused": type(error).__name__}
    if fold.ended is None:
        told["orphan"] = of_session(fold.session(orphan=True))
    return told


def of_session(session: Session) -> dict[str, Any]:
    category_of = session.ledger.category_of
    return {
        "id": session.id,
        "format": session.format,
        "version": session.version,
        "state": session.state,
        "reason": session.reason,
        "started_wall_s": _seconds(session.started_wall_s),
        "ended_wall_s": _seconds(session.ended_wall_s),
        "duration_s": _seconds(session.duration_s),
        "host": session.host,
        "boot_id": session.boot_id,
        "pid": session.pid,
        "process_started": session.process_started,
        "front_end": session.front_end,
        "notebook": session.notebook,
        "project": session.project,
        "machine": _plain(session.machine),
        "counters": {name: _plain(info) for name, info in session.counters.items()},
        "refused": [_plain(refusal) for refusal in session.refused],
        "total": _energy(session, session.total),
        "ledger": {name: _entry(session, e) for name, e in session.ledger.entries.items()},
        "cells": [
            {**_cell(session, cell), "category": category_of.get(cell.number)}
            for cell in session.cells
        ],
        "open_cells": [_open_cell(session, cell) for cell in session.open_cells],
        "spans": [_span(session, span) for span in session.spans],
        "metrics": [_metric(metric) for metric in session.metrics],
        "models": [_plain(model) for model in session.models],
        "baselines": [_plain(baseline) for baseline in session.baselines],
        "periods": [_period(period) for period in session.periods],
        "holes": [_plain(hole) for hole in session.holes],
        "gaps": [_plain(gap) for gap in session.gaps],
        "overlaps": [_plain(overlap) for overlap in session.overlaps],
        "suspends": [list(suspend) for suspend in session.suspends],
        "paused": session.paused,
        "power_w": _rounded(session.power_w, 6),
        "devices": {name: to_builtins(state) for name, state in session.devices.items()},
        "trace": _trace(session.trace),
        "bad_lines": session.bad_lines,
        "unknown_events": session.unknown_events,
        "samples_dropped": session.samples_dropped,
        "problems": list(session.problems),
        "budget": None if session.budget is None else _plain(session.budget),
    }


def _cell(session: Session, cell: Cell) -> dict[str, Any]:
    return {
        "number": cell.number,
        "cell": cell.cell,
        "first_line": cell.first_line,
        "source": cell.source,
        "execution_count": cell.execution_count,
        "tags": _tags(cell),
        "thread": cell.thread,
        "parent": cell.parent,
        "started_s": _seconds(cell.started_s),
        "finished_s": _seconds(cell.finished_s),
        "status": cell.status,
        "error": cell.error,
        "energy": _energy(session, cell.energy),
        "tree_share": cell.tree_share,
        "devices": list(cell.devices),
        "devices_busy": list(cell.devices_busy),
        "devices_shared": list(cell.devices_shared),
        "device_shares": cell.device_shares,
        "suggested_stage": cell.suggested_stage,
    }


def _open_cell(session: Session, cell: OpenCell) -> dict[str, Any]:
    return {
        "number": cell.number,
        "cell": cell.cell,
        "first_line": cell.first_line,
        "execution_count": cell.execution_count,
        "tags": _tags(cell),
        "thread": cell.thread,
        "parent": cell.parent,
        "started_s": _seconds(cell.started_s),
        "so_far": _energy(session, cell.so_far),
        "suggested_stage": cell.suggested_stage,
    }


def _span(session: Session, span: Span) -> dict[str, Any]:
    return {
        "span": span.span,
        "name": span.name,
        "type": span.type,
        "parent": span.parent,
        "cell": span.cell,
        "tags": _tags(span),
        "started_s": _seconds(span.started_s),
        "finished_s": _seconds(span.finished_s),
        "status": span.status,
        "error": span.error,
        "energy": _energy(session, span.energy),
    }


def _metric(metric: Metric) -> dict[str, Any]:
    finite = math.isfinite(metric.value)
    return {
        "name": metric.name,
        "value": metric.value if finite else str(metric.value),
        "step": metric.step,
        "run": metric.run,
        "direction": metric.direction,
        "source": metric.source,
        "cell": metric.cell,
        "logged_s": _seconds(metric.logged_s),
        "session_uj": metric.session_uj,
        "cell_uj": metric.cell_uj,
    }


def _energy(session: Session, energy: Energy) -> dict[str, Any]:
    return {
        "uj": dict(sorted(energy.uj.items())),
        "total_uj": energy.total_uj,
        "lag_uj": round(energy.lag_uj),
        "bound_uj": round(energy.bound_uj),
        "missing": list(energy.missing),
        "provenance": list(energy.provenance),
        "by_period": _by_period(energy.by_period),
        "co2_g": _rounded(session.co2_g(energy), 9),
        "cost": _rounded(session.cost(energy), 9),
    }


def _entry(session: Session, entry: Entry) -> dict[str, Any]:
    return {
        "uj": dict(sorted(entry.uj.items())),
        "total_uj": entry.total_uj,
        "seconds": _seconds(entry.seconds),
        "by_period": _by_period(entry.by_period),
        "co2_g": _rounded(session.co2_g(entry), 9),
        "cost": _rounded(session.cost(entry), 9),
    }


def _by_period(by_period: dict[int, int]) -> dict[str, int]:
    return {str(period): uj for period, uj in sorted(by_period.items())}


def _period(period: Period) -> dict[str, Any]:
    return {
        "since_s": _seconds(period.since_s),
        "intensity": _whole(period.intensity),
        "pricing": _whole(period.pricing),
        "reason": period.reason,
    }


def _trace(trace: Trace) -> dict[str, Any]:
    columns = {
        name: [uj if uj >= 0 else None for uj in column] for name, column in trace.uj.items()
    }
    return {"t": list(trace.t), "uj": dict(sorted(columns.items()))}


def _tags(tagged: Cell | OpenCell | Span) -> dict[str, Any]:
    return _whole(tagged.tags)


def _whole(value: Any) -> Any:
    """A struct with its defaults, which the journal leaves out."""
    if value is None:
        return None
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _plain(value: Any) -> Any:
    """As :func:`_whole`; a stamp that an event carries stays in the trace."""
    whole = _whole(value)
    return to_builtins({k: v for k, v in whole.items() if k not in ("uj", "error_uj", "n")})


def _seconds(seconds: float) -> float:
    return round(seconds, 6)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)

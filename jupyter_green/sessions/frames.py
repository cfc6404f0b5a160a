"""A session as pandas data frames: one row a cell, span, metric or stretch of the power line.

Units stand in the names of the columns. What is not known is missing (NaN, <NA>), never 0. An
empty session gives empty frames with the same columns and types. pandas is loaded on use; the
records beneath the frames are plain dictionaries and need none.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_green.sessions.model import Cell, Energy, Metric, Session, Span
from jupyter_green.units import UJ_PER_J, uj_to_j

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Record = dict[str, Any]

# Strings of Python, because those of Arrow refuse what Python can hold (lone surrogates).
_TEXT = "string[python]"

_TAGS = {"label": _TEXT, "stage": _TEXT, "technique": _TEXT}
_ENERGY = {
    "energy_j": "float64",
    "bound_j": "float64",
    "at_least": "bool",
    "below_resolution": "bool",
    "missing": _TEXT,
    "provenance": _TEXT,
    "power_w": "float64",
    "share": "float64",
    "co2_g": "float64",
}
CELL_COLUMNS: Mapping[str, str] = {
    "number": "int64",
    "execution_count": "Int64",
    **_TAGS,
    "suggested_stage": _TEXT,
    "first_line": _TEXT,
    "status": _TEXT,
    "error": _TEXT,
    "category": _TEXT,
    "started_s": "float64",
    "duration_s": "float64",
    **_ENERGY,
    "metric": _TEXT,
    "metric_value": "float64",
    "tree_share": "float64",
    "reruns": "int64",
    "cell": _TEXT,
    "thread": _TEXT,
    "parent": "Int64",
}
"""Columns of :func:`cells` with their types; one ``<counter>_j`` a counter follows."""

SPAN_COLUMNS: Mapping[str, str] = {
    "span": "int64",
    "name": _TEXT,
    "type": _TEXT,
    **_TAGS,
    "status": _TEXT,
    "error": _TEXT,
    "started_s": "float64",
    "duration_s": "float64",
    **_ENERGY,
    "cell": "Int64",
    "parent": "Int64",
}
"""Columns of :func:`spans` with their types; one ``<counter>_j`` a counter follows."""

METRIC_COLUMNS: Mapping[str, str] = {
    "name": _TEXT,
    "value": "float64",
    "step": "float64",
    "run": _TEXT,
    "direction": _TEXT,
    "source": _TEXT,
    "cell": "Int64",
    "logged_s": "float64",
    "session_j": "float64",
    "cell_j": "float64",
}
"""Columns of :func:`metrics` with their types."""


# --- frames -------------------------------------------------------------------------------


def cells(session: Session) -> pd.DataFrame:
    """The finished cells, one row a run, in the order in which they began.

    ``category`` is productive, superseded or failed, and missing for cells that own no time
    (nested ones and those of other threads): leave these out before adding up. ``reruns``
    counts the earlier runs of the same cell. ``suggested_stage`` is what a cell without a tag
    seems to be, by what it calls. ``metric`` is the last one of which more is better, or the last
    one; of several runs in the cell the best.
    """
    return _frame(cell_records(session), _with_counters(CELL_COLUMNS, session))


def spans(session: Session) -> pd.DataFrame:
    """The finished spans, in the order in which they began. They may nest: never add them."""
    return _frame(span_records(session), _with_counters(SPAN_COLUMNS, session))


def metrics(session: Session) -> pd.DataFrame:
    """The logged values, each with the joules that session and cell had cost by then."""
    return _frame(metric_records(session), METRIC_COLUMNS)


def power(session: Session) -> pd.DataFrame:
    """Mean watts between consecutive stamps.

    ``<counter>_w`` is missing where a counter was not read at both stamps. ``total_w`` adds the
    counted ones that are known.
    """
    import numpy as np  # noqa: PLC0415  (comes with pandas, and is as slow to load)
    import pandas as pd  # noqa: PLC0415

    t = np.array(session.trace.t, dtype="float64")
    seconds = np.diff(t)
    usable = seconds > 0
    columns = {"started_s": t[:-1][usable], "duration_s": seconds[usable]}
    for name in session.counters:
        steps = _steps_j(session.trace.uj.get(name), len(t))
        columns[f"{name}_w"] = steps[usable] / columns["duration_s"]
    frame = pd.DataFrame(columns, dtype="float64")
    counted = [f"{name}_w" for name, info in session.counters.items() if info.counted]
    frame["total_w"] = frame[counted].sum(axis=1, min_count=1).astype("float64")
    return frame


def _steps_j(column: array[int] | None, length: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Joules from stamp to stamp; NaN where one of the two readings is missing."""
    import numpy as np  # noqa: PLC0415

    if column is None:
        return np.full(max(0, length - 1), np.nan)
    readings = np.array(column, dtype="int64")
    known = readings >= 0
    # A reading that is older than the one before takes nothing back, as in the fold.
    steps = np.diff(np.maximum.accumulate(readings))
    return np.where(known[1:] & known[:-1], steps / UJ_PER_J, np.nan)


def _frame(records: Sequence[Record], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415

    return pd.DataFrame(
        {
            name: pd.Series([record.get(name) for record in records], dtype=dtype)
            for name, dtype in columns.items()
        }
    )


def _with_counters(columns: Mapping[str, str], session: Session) -> dict[str, str]:
    return {**columns, **dict.fromkeys(counter_columns(session), "float64")}


# --- records ------------------------------------------------------------------------------


def counter_columns(session: Session) -> list[str]:
    """Names of the columns with the joules of each counter."""
    return [f"{name}_j" for name in session.counters]


def cell_records(session: Session) -> list[Record]:
    """The finished cells as dictionaries; None is not known. Keys as in CELL_COLUMNS."""
    last = last_metrics(session.results)
    seen: Counter[tuple[str, str | None]] = Counter()
    records = []
    for cell in in_order(session.cells):
        identity = identity_of(cell)
        records.append(_cell_record(session, cell, last.get(cell.number), seen[identity]))
        seen[identity] += 1
    return records


def span_records(session: Session) -> list[Record]:
    """The finished spans as dictionaries. Keys as in SPAN_COLUMNS."""
    ordered = sorted(session.spans, key=lambda span: span.span)
    return [_span_record(session, span) for span in ordered]


def metric_records(session: Session) -> list[Record]:
    """The logged values as dictionaries, in their order. Keys as in METRIC_COLUMNS."""
    return [_metric_record(metric) for metric in session.results]


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order in which they began: a nested one ends before its parent."""
    return sorted(cells, key=lambda cell: cell.number)


def identity_of(cell: Cell) -> tuple[str, str | None]:
    """What reruns have in common, as in the ledger: the cell and its label."""
    return cell.cell, cell.tags.label


def last_metrics(metrics: Iterable[Metric]) -> dict[int, Metric]:
    """What stands for each cell of all that it logged, by the cell's number."""
    groups: dict[int, list[Metric]] = {}
    for metric in metrics:
        if metric.cell is not None:
            groups.setdefault(metric.cell, []).append(metric)
    return {number: standing_for(own) for number, own in groups.items()}


def standing_for(own: Sequence[Metric]) -> Metric:
    """Of some metrics the one that is told: the last of which more is better, or the last.

    Where several runs logged it (trials, folds, seeds) it is their best, and not that of the run
    which happened to be the last.
    """
    higher = [metric for metric in own if metric.direction == "higher"]
    last = (higher or own)[-1]
    alike = [metric for metric in own if metric.name == last.name]
    if last.direction is None or len({metric.run for metric in alike}) == 1:
        return last
    finite = [metric for metric in alike if math.isfinite(metric.value)]
    best = min if last.direction == "lower" else max
    return best(finite, key=lambda metric: metric.value) if finite else last


def _cell_record(session: Session, cell: Cell, metric: Metric | None, reruns: int) -> Record:
    return {
        **_counters_j(session, cell.energy),
        "number": cell.number,
        "execution_count": cell.execution_count,
        "label": cell.label,
        "stage": cell.tags.stage,
        "technique": cell.tags.technique,
        "suggested_stage": None if cell.tags.stage else cell.suggested_stage,
        "first_line": cell.first_line,
        "status": cell.status,
        "error": cell.error,
        "category": session.ledger.category_of.get(cell.number),
        "started_s": cell.started_s,
        "duration_s": cell.duration_s,
        **_energy_record(session, cell.energy, cell.power_w),
        "metric": metric.name if metric else None,
        "metric_value": metric.value if metric else None,
        "tree_share": cell.tree_share,
        "reruns": reruns,
        "cell": cell.cell,
        "thread": cell.thread,
        "parent": cell.parent,
    }


def _span_record(session: Session, span: Span) -> Record:
    return {
        **_counters_j(session, span.energy),
        "span": span.span,
        "name": span.name,
        "type": span.type,
        "label": span.tags.label,
        "stage": span.tags.stage,
        "technique": span.tags.technique,
        "status": span.status,
        "error": span.error,
        "started_s": span.started_s,
        "duration_s": span.duration_s,
        **_energy_record(session, span.energy, span.power_w),
        "cell": span.cell,
        "parent": span.parent,
    }


def _energy_record(session: Session, energy: Energy, power_w: float | None) -> Record:
    known = energy.total_uj is not None
    return {
        "energy_j": energy.energy_j,
        "bound_j": energy.bound_j if known else None,
        "at_least": energy.at_least,
        "below_resolution": energy.below_resolution,
        "missing": ", ".join(energy.missing),
        "provenance": ", ".join(energy.provenance),
        "power_w": power_w,
        "share": session.share(energy),
        "co2_g": session.co2_g(energy),
    }


def _counters_j(session: Session, energy: Energy) -> Record:
    return {f"{name}_j": uj_to_j(energy.uj[name]) for name in session.counters if name in energy.uj}


def _metric_record(metric: Metric) -> Record:
    return {
        "name": metric.name,
        "value": metric.value,
        "step": metric.step,
        "run": metric.run,
        "direction": metric.direction,
        "source": metric.source,
        "cell": metric.cell,
        "logged_s": metric.logged_s,
        "session_j": None if metric.session_uj is None else uj_to_j(metric.session_uj),
        "cell_j": None if metric.cell_uj is None else uj_to_j(metric.cell_uj),
    }

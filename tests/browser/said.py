"""What the panel has to say of a session, in the words of the Python package."""

from __future__ import annotations

import math

from jupyter_green.sessions.model import Cell, Energy, Session
from jupyter_green.units import (
    J_PER_WH,
    format_co2,
    format_duration,
    format_energy,
    format_energy_with_bound,
    format_number,
    format_share,
    uj_to_j,
)

SOME_WH_UJ = 3.6e8
"""From a tenth of a watt-hour on, totals are told in watt-hours."""
LEDGER = ("productive", "superseded", "failed", "running", "between cells", "paused", "holes")


def watt_hours(uj: float) -> str:
    return f"{format_number(uj_to_j(uj) / J_PER_WH)} Wh"


def total(energy: Energy) -> str:
    assert energy.total_uj is not None
    words = watt_hours if energy.total_uj >= SOME_WH_UJ else format_energy
    return _at_least(energy) + words(energy.total_uj)


def co2(session: Session, energy: Energy) -> str:
    grams = session.co2_g(energy)
    assert grams is not None
    return _at_least(energy) + format_co2(grams)


def bound(energy: Energy) -> str:
    """``± 0.3 %``, rounded up."""
    assert energy.total_uj is not None
    if len(energy.missing) > 1:
        return f"{len(energy.missing)} counters missing"
    if energy.missing:
        return f"{energy.missing[0]} missing"
    if energy.below_resolution:
        return "below resolution"
    percent = energy.bound_uj / energy.total_uj * 100
    step = 10 if percent < 10 else 1
    return f"± {format_number(max(0.1, math.ceil(percent * step - 1e-9) / step))} %"


def row(session: Session, cell: Cell) -> dict[str, str]:
    """The figures of a finished cell's row."""
    assert cell.energy.total_uj is not None
    metrics = session.metrics_of(cell.number)
    return {
        "energy": _at_least(cell.energy) + format_energy(cell.energy.total_uj),
        "bound": bound(cell.energy),
        "co2": co2(session, cell.energy) if session.intensity else "",
        "metric": f"{metrics[-1].name} {format_number(metrics[-1].value, 4)}" if metrics else "",
    }


def badge(cell: Cell) -> str:
    energy = cell.energy
    assert energy.total_uj is not None
    below = energy.below_resolution
    figure = (
        format_energy(energy.total_uj)
        if below
        else format_energy_with_bound(energy.total_uj, energy.bound_uj)
    )
    parts = [figure, "below resolution" if below else "", format_duration(cell.duration_s)]
    return " · ".join(filter(None, [*parts, cell.error or ""]))


def ledger(session: Session) -> dict[str, str]:
    """The shares of the legend, by entry."""
    entries = session.ledger.entries
    return {
        name: _part(name, session.share(entries[name])) for name in LEDGER if entries[name].total_uj
    }


def _part(name: str, share: float | None) -> str:
    assert share is not None
    return f"{name} {'< 0.1 %' if share < 0.001 else format_share(share)}"


def _at_least(energy: Energy) -> str:
    return "≥ " if energy.missing else ""

"""Work whose result was not kept: runs that a later run replaced, and runs that failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from jupyter_green.insight.findings import (
    MOST_FACTS,
    Fact,
    Finding,
    about_cell,
    bound_of,
    counted_uj,
    deliberate_cells,
    finding,
    matters,
)
from jupyter_green.sessions.frames import identity_of
from jupyter_green.sessions.model import Cell, Session
from jupyter_green.units import format_duration, format_energy

BROKEN = frozenset({"error", "kernel died"})
"""An interrupted cell is none of these: to stop early often saves energy."""


def superseded(session: Session) -> Iterable[Finding]:
    """Successful runs whose result a later run of the same cell and label replaced.

    Repeats on purpose are left out, and so are runs that logged metrics under a name of their
    own: these are experiments whose results lie side by side.
    """
    replaced = list(_replaced(session))
    energy_uj, bound_uj = counted_uj(replaced), bound_of(replaced)
    if not matters(session, energy_uj, bound_uj):
        return
    yield finding(
        session,
        kind="superseded",
        title=f"{_runs(len(replaced))} by a later run of the same cell",
        energy_uj=energy_uj,
        bound_uj=bound_uj,
        evidence=_by_cell(replaced),
        remedy=(
            "make changes on a part of the data or for one epoch first, keep what is costly to "
            "make in a cell of its own, and give runs that count a label of their own"
        ),
    )


def failed(session: Session) -> Iterable[Finding]:
    """Runs that ended in an error, or with their kernel, and what they had taken by then."""
    deliberate = deliberate_cells(session)
    broken = [
        cell
        for cell in session.cells
        if cell.owns_time and cell.status in BROKEN and cell.number not in deliberate
    ]
    energy_uj, bound_uj = counted_uj(broken), bound_of(broken)
    if not matters(session, energy_uj, bound_uj):
        return
    runs = "1 run" if len(broken) == 1 else f"{len(broken)} runs"
    yield finding(
        session,
        kind="failed",
        title=f"{runs} did not come to an end",
        energy_uj=energy_uj,
        bound_uj=bound_uj,
        evidence=(about_cell(cell, _before_the_error(cell)) for cell in _dearest(broken)),
        remedy=(
            "run the cell on a few rows or one batch before the whole, and save checkpoints, so "
            "that a later run can go on from there"
        ),
    )


def _replaced(session: Session) -> Iterable[Cell]:
    category = session.ledger.category_of
    deliberate = deliberate_cells(session)
    last = {identity_of(cell): cell.number for cell in session.cells if _is_kept(session, cell)}
    runs = _named_runs(session)
    for cell in session.cells:
        if category.get(cell.number) != "superseded" or cell.number in deliberate:
            continue
        if runs[cell.number] <= runs[last.get(identity_of(cell), -1)]:
            yield cell


def _is_kept(session: Session, cell: Cell) -> bool:
    return session.ledger.category_of.get(cell.number) == "productive"


def _named_runs(session: Session) -> defaultdict[int, frozenset[str]]:
    """Names of the runs for which each cell logged metrics."""
    named: defaultdict[int, frozenset[str]] = defaultdict(frozenset)
    for metric in session.metrics:
        if metric.cell is not None and metric.run is not None:
            named[metric.cell] |= {metric.run}
    return named


def _by_cell(replaced: Sequence[Cell]) -> Iterable[Fact]:
    groups: defaultdict[tuple[str, str | None], list[Cell]] = defaultdict(list)
    for cell in replaced:
        groups[identity_of(cell)].append(cell)
    dearest = sorted(groups.values(), key=counted_uj, reverse=True)
    for cells in dearest[:MOST_FACTS]:
        count = f"{len(cells)} earlier run{'s' * (len(cells) != 1)}"
        yield about_cell(cells[-1], f"{count}, {format_energy(counted_uj(cells))}")


def _runs(count: int) -> str:
    return "The result of 1 run was replaced" if count == 1 else f"{count} results were replaced"


def _dearest(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: cell.energy.total_uj or 0, reverse=True)[:MOST_FACTS]


def _before_the_error(cell: Cell) -> str:
    spent = format_energy(cell.energy.total_uj or 0)
    how = "the kernel died" if cell.status == "kernel died" else "the error came"
    return f"{how} after {format_duration(cell.duration_s)} and {spent}"

"""What a finding is, and from when on one is worth saying.

A finding tells where energy could be saved: what was seen, with figures and cells, and what to
try. It never says that a person did wrong, it is silent about repeats on purpose, and it is
silent where the figures cannot carry it (see :func:`matters`).

Findings look at the same energy from several sides. They overlap, and are never added.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from jupyter_green.sessions.model import Cell, OpenCell, Session
from jupyter_green.units import UJ_PER_J, format_energy, format_energy_with_bound, uj_to_j

LEAST_SHARE = 0.05
"""A smaller share of what the cells took is not worth a person's time ..."""
LEAST_UJ = 10 * UJ_PER_J
"""... nor is less than 10 J, whatever it is a share of."""
MOST_FACTS = 4
"""Pieces of evidence that are told; those that cost most."""

LONGEST_NAME = 80
"""Characters of a label in a finding."""


class Fact(Struct, frozen=True, kw_only=True):
    """One piece of evidence."""

    words: str
    """Figures, in our words."""
    name: str = ""
    """What others call it (a label, a metric, a device, a reason): never trusted, to be made
    harmless by whoever shows it."""
    cell: int | None = None
    """Number of the run of a cell that it is about."""
    count: int | None = None
    """That cell's execution count: what a person sees beside it."""


class Finding(Struct, frozen=True, kw_only=True):
    """Where energy could be saved, with what was seen."""

    kind: str
    """superseded, failed, past the knee, dominating cell, evaluation, idle device, waiting
    device, full precision or modelled."""
    title: str
    """One sentence, in our words, without its full stop."""
    energy_uj: int
    """Microjoules that the finding is about: an upper limit of what can be saved."""
    bound_uj: float
    """Half-width of the interval that is stated with it."""
    share: float
    """Of the session's energy, of one."""
    evidence: tuple[Fact, ...]
    remedy: str
    """What to try. May hold the words of a source that was refused: never trusted either."""
    note: str = ""
    """What limits the trust in it: modelled figures, another session; empty if nothing does."""

    @property
    def energy_j(self) -> float:
        """Joules."""
        return uj_to_j(self.energy_uj)

    @property
    def bound_j(self) -> float:
        """Joules."""
        return uj_to_j(self.bound_uj)


def matters(session: Session, energy_uj: int, bound_uj: float) -> bool:
    """Whether an energy is worth a finding: 5 % of the cells' energy, 10 J, and above its bound.

    Of the cells' energy, because the session's grows while nothing runs: what was found would
    be lost while a person reads it.
    """
    worked_uj = cells_uj(session)
    return worked_uj > 0 and energy_uj >= max(LEAST_UJ, LEAST_SHARE * worked_uj, bound_uj)


def cells_uj(session: Session) -> int:
    """Counted microjoules of all cells, those that failed, were replaced or run now included."""
    ledger = session.ledger
    entries = (ledger.productive, ledger.superseded, ledger.failed, ledger.running)
    return sum(entry.total_uj for entry in entries)


def finding(  # noqa: PLR0913  (a finding has that many parts)
    session: Session,
    *,
    kind: str,
    title: str,
    energy_uj: int,
    bound_uj: float,
    evidence: Iterable[Fact],
    remedy: str,
    provenance: Iterable[str] | None = None,
) -> Finding:
    """A finding about a part of ``session``.

    Args:
        provenance: of the figures; default: that of the session's total.
    """
    total_uj = session.total.total_uj or 0
    return Finding(
        kind=kind,
        title=title,
        energy_uj=energy_uj,
        bound_uj=bound_uj,
        share=energy_uj / total_uj if total_uj else 0.0,
        evidence=tuple(evidence),
        remedy=remedy,
        note=_note(session, session.total.provenance if provenance is None else provenance),
    )


def energy_text(found: Finding) -> str:
    """``5.2 ± 0.1 kJ``."""
    if not found.bound_uj:
        return format_energy(found.energy_uj)
    return format_energy_with_bound(found.energy_uj, found.bound_uj)


def about_cell(cell: Cell | OpenCell, words: str) -> Fact:
    """A fact about one run of a cell."""
    return Fact(
        words=words,
        name=short(cell.tags.label or cell.first_line),
        cell=cell.number,
        count=cell.execution_count,
    )


def short(name: str) -> str:
    """A name in bounds: nobody reads a label of a megabyte."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def counted_uj(cells: Iterable[Cell]) -> int:
    """Counted microjoules of some cells, of those that are known."""
    return sum(cell.energy.total_uj or 0 for cell in cells)


def bound_of(cells: Iterable[Cell]) -> float:
    """Bound of the sum of some cells, in microjoules: at worst all err to one side."""
    return sum(cell.energy.bound_uj for cell in cells)


def deliberate_cells(session: Session) -> frozenset[int]:
    """Numbers of the cells that repeat something on purpose, or hold a span that does."""
    tagged = {cell.number for cell in session.cells if cell.tags.deliberate}
    studied = {span.cell for span in session.spans if span.tags.deliberate}
    return frozenset(tagged | {number for number in studied if number is not None})


def _note(session: Session, provenance: Iterable[str]) -> str:
    kinds = sorted(set(provenance))
    parts = [" + ".join(kinds)] if kinds and kinds != ["measured"] else []
    if session.overlaps:
        parts.append("another session ran on this machine at the time")
    return ", ".join(parts)

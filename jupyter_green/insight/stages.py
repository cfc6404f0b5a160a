"""Energy by stage of the lifecycle: what cells and spans were tagged with, what cells without a
tag seem to be, and the rest.

The rows add up to the session's total to the microjoule. What is only suggested keeps a row of
its own: a view must be able to say which energy somebody has named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jupyter_green.sessions.model import Cell, Energy, OpenCell, Session, Span


@dataclass(frozen=True)
class Stage:
    """The energy of one stage."""

    name: str | None
    """As it was tagged, in lower case (user's text), or suggested; None: no stage."""
    total_uj: int
    """Counted microjoules."""
    bound_uj: float
    """Bound of ``total_uj``; 0 for what has no stage, which is the rest."""
    seconds: float
    runs: int
    """Cells and spans that it is made of."""
    suggested: bool = False
    """By what its cells call: nobody has tagged them."""

    @property
    def label(self) -> str:
        """``training``, ``training (suggested)``; empty: no stage. User's text as it is."""
        return f"{self.name} (suggested)" if self.suggested else self.name or ""

    @property
    def how(self) -> str:
        """How it is known: tagged, suggested or none."""
        if self.name is None:
            return "none"
        return "suggested" if self.suggested else "tagged"


@dataclass
class _Part:
    """A window without those inside it that have a stage of their own."""

    stage: str
    suggested: bool
    uj: int
    lag_uj: float
    """Of the counters' updates: adds up over the ends of all parts ..."""
    band_uj: float
    """... and of models: a share of the energy, which goes with it."""
    seconds: float
    end_s: float

    @property
    def bound_uj(self) -> float:
        return self.lag_uj + max(0.0, self.band_uj)


def by_stage(session: Session) -> tuple[Stage, ...]:
    """The stages by energy, and last what has none: plain cells, and time between cells.

    A stage that some cells are tagged with and others only seem to be has two rows, the tagged
    one first. A tag always wins.

    A span that has a stage counts there and not with its cell: a validation that runs within
    the training is evaluation. Of spans that overlap, the one that began first counts. Spans
    outside of cells count in a plain script alone, which has no cells.
    """
    groups: defaultdict[tuple[str, bool], list[_Part]] = defaultdict(list)
    for part in _parts(session):
        if part.stage:
            groups[part.stage, part.suggested].append(part)
    rows = _in_order(_row(*key, parts) for key, parts in groups.items())
    rest_uj = (session.total.total_uj or 0) - sum(row.total_uj for row in rows)
    rest_s = max(0.0, session.duration_s - sum(row.seconds for row in rows))
    return (*rows, Stage(None, rest_uj, 0.0, rest_s, 0))


def joined(sessions: Iterable[Iterable[Stage]]) -> tuple[Stage, ...]:
    """The stages of several sessions as those of one: they add up to the sum of the totals."""
    groups: defaultdict[tuple[str | None, bool], list[Stage]] = defaultdict(list)
    for stages in sessions:
        for stage in stages:
            groups[stage.name, stage.suggested].append(stage)
    rest = groups.pop((None, False), [])
    rows = _in_order(_sum(*key, stages) for key, stages in groups.items())
    return (*rows, _sum(None, False, rest))


def stage_of(window: Cell | OpenCell | Span) -> str:
    """The stage that a cell or span was tagged with, folded; empty where there is none."""
    return _folded(window.tags.stage)


def suggested_stage_of(cell: Cell | OpenCell) -> str:
    """The stage that a cell without a tag seems to be; empty where it has one, or shows none."""
    return "" if stage_of(cell) else _folded(cell.suggested_stage)


def _folded(stage: str | None) -> str:
    return " ".join((stage or "").casefold().split())


def _row(name: str, suggested: bool, parts: Sequence[_Part]) -> Stage:
    return Stage(
        name,
        sum(part.uj for part in parts),
        sum(part.bound_uj for part in parts),
        sum(part.seconds for part in parts),
        len(parts),
        suggested,
    )


def _sum(name: str | None, suggested: bool, stages: Sequence[Stage]) -> Stage:
    return Stage(
        name,
        sum(stage.total_uj for stage in stages),
        sum(stage.bound_uj for stage in stages),
        sum(stage.seconds for stage in stages),
        sum(stage.runs for stage in stages),
        suggested,
    )


def _in_order(rows: Iterable[Stage]) -> list[Stage]:
    """By the energy of the stage, and what is tagged before what is suggested for it."""
    rows = list(rows)
    total_uj: Counter[str | None] = Counter()
    for row in rows:
        total_uj[row.name] += row.total_uj
    return sorted(rows, key=lambda row: (-total_uj[row.name], row.name or "", row.suggested))


def _parts(session: Session) -> Iterator[_Part]:
    spans: defaultdict[int | None, list[Span]] = defaultdict(list)
    for span in session.spans:
        if stage_of(span) and span.energy.total_uj is not None:
            spans[span.cell].append(span)
    for cell in session.cells:
        if cell.owns_time and cell.energy.total_uj is not None:
            yield from _nested(_whole(cell, cell.finished_s), cell.started_s, spans[cell.number])
    for running in session.open_cells:
        if running.thread == "main" and running.parent is None:
            whole = _whole(running, session.duration_s)
            yield from _nested(whole, running.started_s, spans[running.number])
    if session.is_script and session.total.total_uj is not None:
        end_s = session.duration_s
        yield from _nested(_part("", False, session.total, end_s, end_s), 0.0, spans[None])


def _whole(cell: Cell | OpenCell, end_s: float) -> _Part:
    energy = cell.so_far if isinstance(cell, OpenCell) else cell.energy
    suggested = suggested_stage_of(cell)
    stage = suggested or stage_of(cell)
    return _part(stage, bool(suggested), energy, max(0.0, end_s - cell.started_s), end_s)


def _part(stage: str, suggested: bool, energy: Energy, seconds: float, end_s: float) -> _Part:
    band_uj = energy.bound_uj - energy.lag_uj
    return _Part(stage, suggested, energy.total_uj or 0, energy.lag_uj, band_uj, seconds, end_s)


def _nested(whole: _Part, began_s: float, spans: Iterable[Span]) -> list[_Part]:
    """The window and the spans within it, each without what lies inside it.

    A span that overlaps another without lying in it is left to what is around it, and so is one
    whose readings make it larger than that.
    """
    parts, around = [whole], [whole]
    for span in sorted(spans, key=lambda span: (span.started_s, -span.finished_s, span.span)):
        while len(around) > 1 and around[-1].end_s <= span.started_s:
            around.pop()
        outer = around[-1]
        inner = _part(stage_of(span), False, span.energy, span.duration_s, span.finished_s)
        if span.started_s < began_s or inner.end_s > outer.end_s or inner.uj > outer.uj:
            continue
        outer.uj -= inner.uj
        outer.lag_uj += inner.lag_uj
        outer.band_uj -= inner.band_uj
        outer.seconds -= inner.seconds
        parts.append(inner)
        around.append(inner)
    return parts

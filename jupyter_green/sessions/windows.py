"""Windows on the stream: what the fold needs of them while they are open, and their end."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jupyter_green.events import (
    CellFinished,
    CellStarted,
    CounterInfo,
    SpanFinished,
    SpanStarted,
    Stamped,
)
from jupyter_green.sessions.bound import Errors, lag_bound_uj
from jupyter_green.sessions.model import Cell, Energy, Span


@dataclass
class Account:
    """Energy that one owner of the time line has gathered. Whole microjoules only."""

    uj: dict[str, int] = field(default_factory=dict)
    by_period: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, uj: Mapping[str, int]) -> None:
        for counter, energy_uj in uj.items():
            self.uj[counter] = self.uj.get(counter, 0) + energy_uj

    def absorb(self, other: Account) -> None:
        """Add another account to this one."""
        self.add(other.uj)
        self.seconds += other.seconds
        for period, energy_uj in other.by_period.items():
            self.by_period[period] = self.by_period.get(period, 0) + energy_uj


@dataclass
class Window:
    """An open cell or span: what the counters said when it began."""

    began: CellStarted | SpanStarted
    at_start: dict[str, int]
    """By counter that was read at the start: its highest value so far."""
    error_uj: Errors
    period: int
    """Index of the period in which it began."""
    missing: set[str]
    account: Account | None = None
    """Set for the cell that owns the time line; other windows are plain differences."""

    def flag(self, counters: Iterable[str]) -> None:
        self.missing.update(counters)

    def differences(self, now: Mapping[str, int]) -> dict[str, int]:
        """Microjoules since the start, for the counters that were read then and since."""
        if self.account is not None:
            return {**dict.fromkeys(self.at_start, 0), **self.account.uj}
        return {counter: now[counter] - uj for counter, uj in self.at_start.items()}

    def by_period(
        self, now: Mapping[str, int], counted: Container[str], periods: Sequence[Mapping[str, int]]
    ) -> dict[int, int]:
        """Counted microjoules since the start, split by carbon intensity.

        ``periods`` holds what the counters said at the beginning of each period.
        """
        if self.account is not None:
            return dict(self.account.by_period)
        start = {counter: uj for counter, uj in self.at_start.items() if counter in counted}
        split: dict[int, int] = {}
        for period in range(self.period, len(periods)):
            end = periods[period + 1] if period + 1 < len(periods) else now
            # A counter that was first read later has no energy up to ``end``.
            end_uj = {counter: max(uj, end.get(counter, uj)) for counter, uj in start.items()}
            energy_uj = sum(end_uj.values()) - sum(start.values())
            if energy_uj:
                split[period] = energy_uj
            start = end_uj
        return split


def energy_of(
    uj: dict[str, int],
    counters: Mapping[str, CounterInfo],
    missing: Iterable[str],
    errors: tuple[Errors, Errors],
    by_period: dict[int, int],
) -> Energy:
    """Put total, bound and provenance on the energy of a window.

    A missing counter of which nothing has been read is left out: zero would be a measurement.
    """
    missing = frozenset(missing)
    uj = {name: energy_uj for name, energy_uj in uj.items() if energy_uj or name not in missing}
    counted = {name: e for name, e in uj.items() if name in counters and counters[name].counted}
    # A device that nobody uses stands beside the total, and says nothing about it.
    told = [name for name, e in counted.items() if e or counters[name].scope != "device"] or counted
    lag_uj = lag_bound_uj(counted, counters, errors)
    band_uj = sum(counters[name].band * energy_uj for name, energy_uj in counted.items())
    return Energy(
        uj=uj,
        total_uj=sum(counted.values()) if counted else None,
        lag_uj=lag_uj,
        bound_uj=lag_uj + band_uj,
        missing=tuple(sorted(c for c in missing if c in counters and counters[c].counted)),
        provenance=tuple(sorted({counters[name].provenance for name in told})),
        by_period=by_period,
    )


def end_of_cell(event: Stamped, number: int, status: str) -> CellFinished:
    """The end of a cell that has no line of its own, with the stamp of another event."""
    return CellFinished(
        t=event.t, uj=event.uj, error_uj=event.error_uj, number=number, status=status
    )


def end_of_span(event: Stamped, span: int, status: str) -> SpanFinished:
    """The end of a span that has no line of its own."""
    return SpanFinished(t=event.t, uj=event.uj, error_uj=event.error_uj, span=span, status=status)


def finished_cell(window: Window, end: CellFinished, energy: Energy) -> Cell:
    """What readers see of a cell that has ended."""
    began = window.began
    assert isinstance(began, CellStarted)
    return Cell(
        number=began.number,
        cell=began.cell,
        first_line=began.first_line,
        source=began.source,
        execution_count=began.execution_count,
        tags=began.tags,
        thread=began.thread,
        parent=began.parent,
        started_s=began.t,
        finished_s=max(began.t, end.t),
        status=end.status,
        error=end.error,
        energy=energy,
        tree_share=end.tree_share,
        devices=tuple(end.devices),
        devices_busy=tuple(end.devices_busy),
        devices_shared=tuple(end.devices_shared),
        device_shares=end.device_shares,
        suggested_stage=began.suggested_stage,
    )


def finished_span(window: Window, end: SpanFinished, energy: Energy) -> Span:
    """What readers see of a span that has ended."""
    began = window.began
    assert isinstance(began, SpanStarted)
    return Span(
        span=began.span,
        name=began.name,
        type=began.type,
        parent=began.parent,
        cell=began.cell,
        tags=began.tags,
        started_s=began.t,
        finished_s=max(began.t, end.t),
        status=end.status,
        error=end.error,
        energy=energy,
    )

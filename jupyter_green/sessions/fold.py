"""The fold: a stream of events in, a :class:`Session` out.

The ledger is a partition of the time line. At every moment exactly one owner has the energy:
the outermost cell of the main shell, the pause, or the time between cells. Each reading of a
counter gives the energy since the reading before to the owner; where a boundary without a
reading lies in between, nobody can say whose it is, and it goes to the holes. All sums are of
integers, so that per counter the owners add up to the session's total exactly, whatever the
events are.

The journals in ``tests/golden`` hold it (and any other reader) to what they mean.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from jupyter_green.events import (
    FORMAT_MAJOR,
    BaselineMeasured,
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterInfo,
    CounterLost,
    CounterRestored,
    Event,
    IntensityChanged,
    JournalThinned,
    MetricLogged,
    ModelDescribed,
    OverlapSeen,
    PricingChanged,
    RecorderRestarted,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Stamped,
    TrackingPaused,
    TrackingResumed,
    UnknownKind,
    decode,
)
from jupyter_green.errors import NewerFormat, NotAJournal
from jupyter_green.sessions import ledger
from jupyter_green.sessions.bound import Errors
from jupyter_green.sessions.model import (
    Baseline,
    Cell,
    Energy,
    Gap,
    Hole,
    Metric,
    OpenCell,
    Overlap,
    Period,
    Session,
    Span,
    Trace,
)
from jupyter_green.sessions.windows import Account, Window, energy_of

POWER_WINDOW_S = 2.0
"""The live power is the mean over the stamps of the last two seconds."""

MISSING = -1


class Fold:
    """Takes events one by one and knows the session at any time.

    Feeding costs the same however long the session is, so a live session is folded on as its
    journal grows.
    """

    def __init__(self) -> None:
        self.header: SessionStarted | None = None
        self.marks = 0
        """Highest number of a kernel's mark so far: marks at or below it are doubles."""
        self.t = 0.0
        self.last: dict[str, int] = {}
        self.offsets: dict[str, int] = {}
        self.lost: dict[str, CounterLost] = {}
        self.ended: SessionEnded | None = None
        self.open_cells: dict[int, Window] = {}
        self.open_spans: dict[int, Window] = {}
        self.bad_lines = 0
        self.unknown_events = 0
        self._counters: dict[str, CounterInfo] = {}
        self._counted: frozenset[str] = frozenset()
        self._crossed: set[str] = set()
        self._between = Account()
        self._paused = Account()
        self._holes = Account()
        self._total = Account()
        self._owner = self._between
        self._owning: Window | None = None
        self._is_paused = False
        self._period_totals = [0]
        self._periods: list[Period] = []
        self._first_errors: Errors = {}
        self._last_errors: Errors = {}
        self._never_whole: set[str] = set()
        self._cells: list[Cell] = []
        self._accounts: dict[int, Account] = {}
        self._spans: list[Span] = []
        self._metrics: list[Metric] = []
        self._models: list[ModelDescribed] = []
        self._baselines: list[Baseline] = []
        self._hole_list: list[Hole] = []
        self._gaps: list[Gap] = []
        self._overlaps: list[Overlap] = []
        self._dropped = 0
        self._problems: list[str] = []
        self._wall = (0.0, 0.0)
        self._trace_t = array("d")
        self._trace: dict[str, array[int]] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            SessionStarted: self._session_started,
            CellStarted: self._cell_started,
            CellFinished: self._cell_finished,
            SpanStarted: self._span_started,
            SpanFinished: self._span_finished,
            MetricLogged: self._metric_logged,
            ModelDescribed: self._models.append,
            IntensityChanged: self._intensity_changed,
            PricingChanged: self._pricing_changed,
            BaselineMeasured: self._baseline_measured,
            TrackingPaused: self._tracking_paused,
            TrackingResumed: self._tracking_resumed,
            OverlapSeen: self._overlap_seen,
            CounterLost: self._counter_lost,
            CounterRestored: self._counter_restored,
            RecorderRestarted: self._recorder_restarted,
            ClockAnchored: self._clock_anchored,
            JournalThinned: self._journal_thinned,
            SessionEnded: self._session_ended,
        }

    # --- feeding ---

    def feed_lines(self, data: bytes) -> None:
        """Whole lines of a journal. Lines that are no events are counted and skipped."""
        for line in data.split(b"\n"):
            if not line or line.isspace():
                continue
            try:
                event = decode(line)
            except UnknownKind:
                self.unknown_events += 1
                continue
            except (msgspec.DecodeError, RecursionError):
                self.bad_lines += 1
                continue
            self.feed(event)

    def feed(self, event: Event) -> None:
        """One event. Doubles of marks that were sent again are ignored."""
        if event.n is not None:
            if event.n <= self.marks:
                return
            self.marks = event.n
        elapsed = event.t - self.t
        if elapsed > 0:
            self._owner.seconds += elapsed
            self.t = event.t
        if isinstance(event, Stamped) and event.uj:
            self._read(event)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _read(self, event: Stamped) -> None:
        """Give the energy since each counter's last reading to the owner."""
        counted = 0
        last, crossed, owned = self.last, self._crossed, self._owner.uj
        for counter, uj in event.uj.items():
            before = last.get(counter)
            if before is None:
                last[counter] = uj
                self._trace[counter] = array("q", [MISSING]) * len(self._trace_t)
                continue
            delta = uj - before
            # A reading that was taken before the last one, and processed after it, takes
            # nothing back: sums are of the running maximum.
            if delta <= 0:
                continue
            last[counter] = uj
            if crossed and counter in crossed:
                self._holes.uj[counter] = self._holes.uj.get(counter, 0) + delta
                if counter in self._counted:
                    self._add_period(self._holes, delta)
                continue
            owned[counter] = owned.get(counter, 0) + delta
            if counter in self._counted:
                counted += delta
        if counted:
            self._add_period(self._owner, counted)
        if crossed:
            crossed.difference_update(event.uj)
        if event.error_uj:
            self._first_errors = self._first_errors or event.error_uj
            self._last_errors = event.error_uj
        if self._trace_t and event.t < self._trace_t[-1]:
            return
        self._trace_t.append(event.t)
        for counter, column in self._trace.items():
            column.append(event.uj.get(counter, MISSING))

    def _add_period(self, account: Account, counted_uj: int) -> None:
        period = len(self._period_totals) - 1
        account.by_period[period] = account.by_period.get(period, 0) + counted_uj
        self._period_totals[period] += counted_uj

    # --- boundaries ---

    def _unread(self, event: Stamped) -> set[str]:
        """Counters of the session that this stamp has no reading of."""
        return {counter for counter in self._counters if counter not in event.uj}

    def _hand_over(self, event: Stamped, owner: Account, owning: Window | None) -> None:
        """The time line changes hands at ``event``."""
        unread = self._unread(event)
        if unread:
            self._crossed |= unread
            if self._owning is not None:
                self._owning.flag(unread)
            if owning is not None:
                owning.flag(unread)
        self._owner, self._owning = owner, owning

    def _rightful(self) -> tuple[Account, Window | None]:
        """Who should own the time line now."""
        if self._is_paused:
            return self._paused, None
        for window in self.open_cells.values():
            if window.account is not None:
                return window.account, window
        return self._between, None

    def _open(self, event: CellStarted | SpanStarted, account: Account | None) -> Window:
        return Window(
            began=event,
            at_start=dict(event.uj),
            error_uj=event.error_uj,
            period_totals=list(self._period_totals),
            missing=self._unread(event),
            account=account,
        )

    def _energy(self, window: Window, errors: Errors) -> Energy:
        return energy_of(
            window.differences(self.last),
            self._counters,
            window.missing,
            (window.error_uj, errors),
            window.by_period(self._period_totals),
        )

    # --- one handler an event ---

    def _session_started(self, event: SessionStarted) -> None:
        check_format(event.format)
        if self.header is not None:
            return
        self.header = event
        self._counters = {info.name: info for info in event.counters}
        self._counted = frozenset(info.name for info in event.counters if info.counted)
        self._wall = (event.t, event.wall_s)
        self._periods = [Period(since_s=0.0, intensity=event.intensity, pricing=event.pricing)]
        self._never_whole = self._unread(event)

    def _cell_started(self, event: CellStarted) -> None:
        if event.number in self.open_cells or event.number in self._accounts:
            return
        main = event.thread == "main" and event.parent is None
        if main:
            self._abandon_main_cells(event)
        account = Account() if main else None
        window = self._open(event, account)
        self.open_cells[event.number] = window
        if account is not None:
            self._accounts[event.number] = account
            if not self._is_paused:
                self._hand_over(event, account, window)

    def _abandon_main_cells(self, event: CellStarted) -> None:
        """A new outermost cell means that the one before is over, even if no line says so."""
        for number, window in list(self.open_cells.items()):
            if isinstance(window.began, CellStarted) and window.began.thread == "main":
                window.flag(self._counted)
                lost_end = CellFinished(t=event.t, number=number, status="unfinished")
                self._close_cell(window, lost_end)

    def _cell_finished(self, event: CellFinished) -> None:
        window = self.open_cells.get(event.number)
        if window is None:
            return
        window.flag(self._unread(event))
        self._close_cell(window, event)

    def _close_cell(self, window: Window, event: CellFinished) -> None:
        del self.open_cells[event.number]
        began = window.began
        assert isinstance(began, CellStarted)
        self._cells.append(
            Cell(
                number=event.number,
                cell=began.cell,
                first_line=began.first_line,
                source=began.source,
                execution_count=began.execution_count,
                tags=began.tags,
                thread=began.thread,
                parent=began.parent,
                started_s=began.t,
                finished_s=max(began.t, event.t),
                status=event.status,
                error=event.error,
                energy=self._energy(window, event.error_uj),
                tree_share=event.tree_share,
                devices=tuple(event.devices),
                devices_busy=tuple(event.devices_busy),
            )
        )
        if self._owning is window:
            self._hand_over(event, *self._rightful())

    def _span_started(self, event: SpanStarted) -> None:
        self.open_spans.setdefault(event.span, self._open(event, None))

    def _span_finished(self, event: SpanFinished) -> None:
        window = self.open_spans.pop(event.span, None)
        if window is None:
            return
        window.flag(self._unread(event))
        began = window.began
        assert isinstance(began, SpanStarted)
        self._spans.append(
            Span(
                span=event.span,
                name=began.name,
                type=began.type,
                parent=began.parent,
                cell=began.cell,
                tags=began.tags,
                started_s=began.t,
                finished_s=max(began.t, event.t),
                status=event.status,
                error=event.error,
                energy=self._energy(window, event.error_uj),
            )
        )

    def _metric_logged(self, event: MetricLogged) -> None:
        cell = self.open_cells.get(event.cell) if event.cell is not None else None
        self._metrics.append(
            Metric(
                name=event.name,
                value=_metric_value(event),
                step=event.step,
                run=event.run,
                direction=event.direction,
                source=event.source,
                cell=event.cell,
                logged_s=event.t,
                session_uj=sum(self._period_totals) if self._known() else None,
                cell_uj=self._counted_since(cell) if cell is not None else None,
            )
        )

    def _known(self) -> bool:
        return any(counter in self.last for counter in self._counted)

    def _counted_since(self, window: Window) -> int | None:
        differences = window.differences(self.last)
        if not self._known():
            return None
        return sum(uj for counter, uj in differences.items() if counter in self._counted)

    def _intensity_changed(self, event: IntensityChanged) -> None:
        if self._periods:
            self._begin_period(event.t, event.intensity, self._periods[-1].pricing)

    def _pricing_changed(self, event: PricingChanged) -> None:
        if self._periods:
            self._begin_period(event.t, self._periods[-1].intensity, event.pricing)

    def _begin_period(self, t: float, intensity: Any, pricing: Any) -> None:
        self._periods.append(Period(since_s=t, intensity=intensity, pricing=pricing))
        self._period_totals.append(0)

    def _baseline_measured(self, event: BaselineMeasured) -> None:
        self._baselines.append(
            Baseline(
                measured_s=event.t, duration_s=event.duration_s, power_w=dict(event.power_w)
            )
        )

    def _tracking_paused(self, event: TrackingPaused) -> None:
        self._is_paused = True
        self._hand_over(event, *self._rightful())

    def _tracking_resumed(self, event: TrackingResumed) -> None:
        self._is_paused = False
        self._hand_over(event, *self._rightful())

    def _overlap_seen(self, event: OverlapSeen) -> None:
        if any(overlap.session == event.session for overlap in self._overlaps):
            return
        self._overlaps.append(
            Overlap(
                session=event.session, pid=event.pid, notebook=event.notebook, seen_s=event.t
            )
        )

    def _counter_lost(self, event: CounterLost) -> None:
        self.lost.setdefault(event.counter, event)
        # Windows that ended after the counter had died took its last value for an end.
        self._flag_finished_since(event.counter, event.since)

    def _counter_restored(self, event: CounterRestored) -> None:
        self.offsets[event.counter] = event.offset_uj
        lost = self.lost.pop(event.counter, None)
        since = lost.since if lost is not None else event.since
        self._hole_list.append(
            Hole(
                counter=event.counter,
                since_s=since,
                until_s=event.t,
                reason=lost.reason if lost is not None else event.reason,
                remedy=lost.remedy if lost is not None else "",
                lost=event.lost,
            )
        )
        if event.lost:
            self._never_whole.add(event.counter)
            self._flag_finished_since(event.counter, since)
            for window in [*self.open_cells.values(), *self.open_spans.values()]:
                window.flag([event.counter])

    def _flag_finished_since(self, counter: str, since: float) -> None:
        _flag_recent(self._cells, counter, since)
        _flag_recent(self._spans, counter, since)

    def _recorder_restarted(self, event: RecorderRestarted) -> None:
        self._gaps.append(Gap(since_s=event.since, until_s=event.t, reason=event.reason))

    def _clock_anchored(self, event: ClockAnchored) -> None:
        self._wall = (event.t, event.wall_s)

    def _journal_thinned(self, event: JournalThinned) -> None:
        self._dropped += event.dropped
        if event.reason and event.reason not in self._problems:
            self._problems.append(event.reason)

    def _session_ended(self, event: SessionEnded) -> None:
        self._never_whole |= self._unread(event)
        self.ended = event

    # --- the session ---

    def session(self, orphan: bool = False) -> Session:
        """The session as far as it has been fed.

        Args:
            orphan: its kernel and recorder are both dead: what is open ends at its last stamp.

        Raises:
            NotAJournal: no first line has been read yet.
        """
        header = self.header
        if header is None:
            raise NotAJournal("the journal has no first line (session_started)")
        cells, accounts = self._cells, self._accounts
        if orphan and self.ended is None:
            cells = [*cells, *self._orphaned()]
        return Session(
            id=header.session,
            format=header.format,
            version=header.version,
            state=self._state(orphan),
            reason=self._reason(orphan),
            started_wall_s=header.wall_s - header.t,
            ended_wall_s=self._wall[1] + max(0.0, self.t - self._wall[0]),
            duration_s=self.t,
            host=header.host,
            boot_id=header.boot_id,
            pid=header.pid,
            process_started=header.process_started,
            front_end=header.front_end,
            notebook=header.notebook,
            project=header.project,
            machine=header.machine,
            counters=dict(self._counters),
            refused=tuple(header.refused),
            cells=tuple(cells),
            open_cells=() if orphan else tuple(self._running()),
            spans=tuple(self._spans),
            metrics=tuple(self._metrics),
            models=tuple(self._models),
            baselines=tuple(self._baselines),
            total=self._session_energy(),
            ledger=ledger.settle(
                cells, accounts, self._between, self._paused, self._holes
            ),
            periods=_filled(self._periods),
            holes=(*self._hole_list, *self._open_holes()),
            gaps=tuple(self._gaps),
            overlaps=tuple(self._overlaps),
            paused=self._is_paused,
            power_w=self._power(),
            trace=Trace(
                t=self._trace_t[:], uj={name: col[:] for name, col in self._trace.items()}
            ),
            bad_lines=self.bad_lines,
            unknown_events=self.unknown_events,
            samples_dropped=self._dropped,
            problems=tuple(self._problems),
        )

    def _state(self, orphan: bool) -> str:
        if self.ended is None:
            return "ended without goodbye" if orphan else "open"
        return "closed" if self.ended.reason == "goodbye" else "ended without goodbye"

    def _reason(self, orphan: bool) -> str | None:
        if self.ended is not None:
            return self.ended.reason
        return "kernel and recorder died" if orphan else None

    def _session_energy(self) -> Energy:
        total = Account()
        for account in (self._between, self._paused, self._holes, *self._accounts.values()):
            total.absorb(account)
        for counter in self.last:
            total.uj.setdefault(counter, 0)
        return energy_of(
            total.uj,
            self._counters,
            self._never_whole | set(self.lost),
            (self._first_errors, self._last_errors),
            total.by_period,
        )

    def _running(self) -> Iterable[OpenCell]:
        for number, window in self.open_cells.items():
            began = window.began
            assert isinstance(began, CellStarted)
            so_far = energy_of(
                window.differences(self.last),
                self._counters,
                window.missing | set(self.lost),
                (window.error_uj, self._last_errors),
                window.by_period(self._period_totals),
            )
            yield OpenCell(
                number=number,
                cell=began.cell,
                first_line=began.first_line,
                execution_count=began.execution_count,
                tags=began.tags,
                thread=began.thread,
                parent=began.parent,
                started_s=began.t,
                so_far=so_far,
            )

    def _orphaned(self) -> Iterable[Cell]:
        for open_cell in self._running():
            yield Cell(
                number=open_cell.number,
                cell=open_cell.cell,
                first_line=open_cell.first_line,
                source=None,
                execution_count=open_cell.execution_count,
                tags=open_cell.tags,
                thread=open_cell.thread,
                parent=open_cell.parent,
                started_s=open_cell.started_s,
                finished_s=max(open_cell.started_s, self.t),
                status="kernel died",
                error=None,
                energy=open_cell.so_far,
                tree_share=None,
                devices=(),
                devices_busy=(),
            )

    def _open_holes(self) -> Iterable[Hole]:
        for lost in self.lost.values():
            yield Hole(
                counter=lost.counter,
                since_s=lost.since,
                until_s=None,
                reason=lost.reason,
                remedy=lost.remedy,
                lost=True,
            )

    def _power(self) -> float | None:
        """Counted watts over the last stamps, or None where too little is known."""
        t = self._trace_t
        if len(t) < 2:
            return None
        start = len(t) - 2
        while start > 0 and t[-1] - t[start] < POWER_WINDOW_S:
            start -= 1
        seconds = t[-1] - t[start]
        if seconds <= 0:
            return None
        total = 0
        known = False
        for counter in self._counted:
            column = self._trace.get(counter)
            if column is not None and column[-1] >= 0 and column[start] >= 0:
                total += column[-1] - column[start]
                known = True
        return total / 1e6 / seconds if known else None


def check_format(version: str) -> None:
    """Refuse a journal of a newer major version.

    Raises:
        NewerFormat: with both versions and the remedy.
    """
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) > FORMAT_MAJOR:
        raise NewerFormat(
            f"this journal has format {version}, and this jupyter_green reads up to "
            f"{FORMAT_MAJOR}.x: pip install --upgrade jupyter-green"
        )


def _metric_value(event: MetricLogged) -> float:
    """The value; JSON has no numbers for inf and nan, so these come as text."""
    if event.value is not None:
        return event.value
    return {"inf": math.inf, "-inf": -math.inf}.get(event.text or "", math.nan)


def _flag_recent(windows: list[Any], counter: str, since: float) -> None:
    """Mark finished windows that ended after ``since`` as lacking ``counter``."""
    for index in range(len(windows) - 1, -1, -1):
        window = windows[index]
        if window.finished_s <= since:
            return
        if counter not in window.energy.missing:
            missing = tuple(sorted({*window.energy.missing, counter}))
            energy = msgspec.structs.replace(window.energy, missing=missing)
            windows[index] = msgspec.structs.replace(window, energy=energy)


def _filled(periods: list[Period]) -> tuple[Period, ...]:
    """Periods from before a place was first set take that place: the machine has not moved."""
    first = next((p.intensity for p in periods if p.intensity is not None), None)
    filled: list[Period] = []
    leading = True
    for period in periods:
        leading = leading and period.intensity is None
        filled.append(msgspec.structs.replace(period, intensity=first) if leading else period)
    return tuple(filled)

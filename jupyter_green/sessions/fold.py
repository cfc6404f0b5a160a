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
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from jupyter_green.errors import NotAJournal
from jupyter_green.events import (
    BaselineMeasured,
    BudgetSet,
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterInfo,
    CounterLost,
    CounterNoted,
    CounterRestored,
    DeviceState,
    Event,
    IntensityChanged,
    JournalThinned,
    MetricLogged,
    ModelDescribed,
    OverlapSeen,
    PowerSampled,
    Pricing,
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
from jupyter_green.sessions import ledger
from jupyter_green.sessions.bound import Errors
from jupyter_green.sessions.format import check_format, refuse_newer
from jupyter_green.sessions.model import (
    Baseline,
    Budget,
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
)
from jupyter_green.sessions.trace import TraceColumns
from jupyter_green.sessions.windows import (
    Account,
    Window,
    end_of_cell,
    end_of_span,
    energy_of,
    finished_cell,
    finished_span,
)


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
        self.read_t = 0.0
        """Time of the newest readings; events without a stamp move ``t`` alone."""
        self.last: dict[str, int] = {}
        self.offsets: dict[str, int] = {}
        self.lost: dict[str, CounterLost] = {}
        self.paused = False
        self.suspended_s = 0.0
        self.ended: SessionEnded | None = None
        self.open_cells: dict[int, Window] = {}
        self.open_spans: dict[int, Window] = {}
        self.bad_lines = 0
        self.unknown_events = 0
        self._counters: dict[str, CounterInfo] = {}
        self._counted: frozenset[str] = frozenset()
        self._crossed: set[str] = set()
        self._between = Account()
        self._pause = Account()
        self._holes = Account()
        self._owner = self._between
        self._owning: Window | None = None
        self._counted_uj = 0
        self._period_starts: list[dict[str, int]] = [{}]
        self._periods: list[Period] = []
        self._first_errors: Errors = {}
        self._last_errors: Errors = {}
        self._never_whole: set[str] = set()
        self._cells: list[Cell] = []
        self._cell_errors: list[tuple[Errors, Errors]] = []
        self._accounts: dict[int, Account] = {}
        self._spans: list[Span] = []
        self._span_errors: list[tuple[Errors, Errors]] = []
        self._metrics: list[Metric] = []
        self._models: list[ModelDescribed] = []
        self._baselines: list[Baseline] = []
        self._budget: Budget | None = None
        self._hole_list: list[Hole] = []
        self._gaps: list[Gap] = []
        self._overlaps: list[Overlap] = []
        self._dropped = 0
        self._devices: dict[str, DeviceState] = {}
        self._devices_s = 0.0
        self._problems: list[str] = []
        self._wall = (0.0, 0.0)
        self._suspends: list[tuple[float, float]] = []
        self._trace = TraceColumns()
        self._handlers: dict[type, Callable[[Any], None]] = {
            SessionStarted: self._session_started,
            CellStarted: self._cell_started,
            CellFinished: self._cell_finished,
            SpanStarted: self._span_started,
            SpanFinished: self._span_finished,
            MetricLogged: self._metric_logged,
            ModelDescribed: self._model_described,
            IntensityChanged: self._intensity_changed,
            PricingChanged: self._pricing_changed,
            BudgetSet: self._budget_set,
            BaselineMeasured: self._baseline_measured,
            TrackingPaused: self._tracking_paused,
            TrackingResumed: self._tracking_resumed,
            OverlapSeen: self._overlap_seen,
            CounterLost: self._counter_lost,
            CounterRestored: self._counter_restored,
            CounterNoted: self._counter_noted,
            PowerSampled: self._power_sampled,
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
                if self.header is None:
                    refuse_newer(line)
                self.bad_lines += 1
                continue
            self.feed(event)

    def feed(self, event: Event) -> None:
        """One event. Doubles of marks that were sent again are ignored.

        Before the first line nothing is known of the counters, so nothing is taken.
        """
        if self.header is None and not isinstance(event, SessionStarted):
            return
        if event.n is not None:
            if event.n <= self.marks:
                return
            self.marks = event.n
        elapsed = event.t - self.t
        if elapsed > 0:
            self._owner.seconds += elapsed
            self.t = event.t
        if isinstance(event, Stamped) and event.uj and self.header is not None:
            self._read(event)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _read(self, event: Stamped) -> None:
        """Give the energy since each counter's last reading to the owner.

        Counters that the first line does not name are passed over: nobody knows what they hold.
        """
        counted = 0
        last, crossed, owned = self.last, self._crossed, self._owner.uj
        for counter, uj in event.uj.items():
            before = last.get(counter)
            if before is None:
                if counter in self._counters:
                    last[counter] = uj
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
        self.read_t = max(self.read_t, event.t)
        self._trace.append(event.t, event.uj, self.last)

    def _add_period(self, account: Account, counted_uj: int) -> None:
        period = len(self._periods) - 1
        account.by_period[period] = account.by_period.get(period, 0) + counted_uj
        self._counted_uj += counted_uj

    # --- boundaries ---

    def _unread(self, event: Stamped) -> set[str]:
        """Counters of the session that this stamp has no reading of."""
        return {counter for counter in self._counters if counter not in event.uj}

    def _unsure(self, event: Stamped) -> set[str]:
        """Those, and any that was read later before this stamp came: too late to divide them."""
        uj, last = event.uj, self.last
        return {name for name in self._counters if name not in uj or uj[name] < last[name]}

    def _hand_over(self, event: Stamped, owner: Account, owning: Window | None) -> None:
        """The time line changes hands at ``event``."""
        if owner is self._owner:
            return
        unsure = self._unsure(event)
        if unsure:
            self._crossed |= self._unread(event)
            if self._owning is not None:
                self._owning.flag(unsure)
            if owning is not None:
                owning.flag(unsure)
        self._owner, self._owning = owner, owning

    def _rightful(self) -> tuple[Account, Window | None]:
        """Who should own the time line now."""
        if self.paused:
            return self._pause, None
        for window in self.open_cells.values():
            if window.account is not None:
                return window.account, window
        return self._between, None

    def _open(self, event: CellStarted | SpanStarted, account: Account | None) -> Window:
        return Window(
            began=event,
            at_start={name: self.last[name] for name in event.uj if name in self.last},
            error_uj=event.error_uj,
            period=len(self._periods) - 1,
            missing=self._unsure(event),
            account=account,
        )

    def _energy(self, window: Window, errors: Errors, missing: Iterable[str] = ()) -> Energy:
        return energy_of(
            window.differences(self.last),
            self._counters,
            window.missing.union(missing),
            (window.error_uj, errors),
            window.by_period(self.last, self._counted, self._period_starts),
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
        if event.uj:
            self._read(event)

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
            if not self.paused:
                self._hand_over(event, account, window)

    def _abandon_main_cells(self, event: CellStarted) -> None:
        """A new outermost cell means that the one before is over, even if no line says so."""
        for number, window in list(self.open_cells.items()):
            if isinstance(window.began, CellStarted) and window.began.thread == "main":
                window.flag(self._counted)
                self._close_cell(window, end_of_cell(event, number, "unfinished"))

    def _cell_finished(self, event: CellFinished) -> None:
        window = self.open_cells.get(event.number)
        if window is None:
            return
        window.flag(self._unsure(event))
        self._close_cell(window, event)

    def _close_cell(self, window: Window, event: CellFinished) -> None:
        del self.open_cells[event.number]
        self._cells.append(finished_cell(window, event, self._energy(window, event.error_uj)))
        self._cell_errors.append((window.error_uj, event.error_uj))
        if self._owning is window:
            self._hand_over(event, *self._rightful())

    def _span_started(self, event: SpanStarted) -> None:
        self.open_spans.setdefault(event.span, self._open(event, None))

    def _span_finished(self, event: SpanFinished) -> None:
        window = self.open_spans.pop(event.span, None)
        if window is None:
            return
        window.flag(self._unsure(event))
        self._spans.append(finished_span(window, event, self._energy(window, event.error_uj)))
        self._span_errors.append((window.error_uj, event.error_uj))

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
                session_uj=self._counted_uj if self._known() else None,
                cell_uj=self._counted_since(cell) if cell is not None else None,
            )
        )

    def _known(self) -> bool:
        return any(counter in self.last for counter in self._counted)

    def _counted_since(self, window: Window) -> int | None:
        differences = window.differences(self.last)
        counted = [uj for counter, uj in differences.items() if counter in self._counted]
        return sum(counted) if counted else None

    def _model_described(self, event: ModelDescribed) -> None:
        self._models.append(event)

    def _intensity_changed(self, event: IntensityChanged) -> None:
        self._begin_period(event.t, intensity=event.intensity, reason=event.reason)

    def _pricing_changed(self, event: PricingChanged) -> None:
        self._begin_period(event.t, pricing=event.pricing, reason="")

    def _begin_period(self, t: float, **changes: object) -> None:
        self._periods.append(msgspec.structs.replace(self._periods[-1], since_s=t, **changes))
        self._period_starts.append(dict(self.last))

    def _budget_set(self, event: BudgetSet) -> None:
        self._budget = (
            Budget(budget_uj=event.budget_uj, stop=event.stop, set_s=event.t)
            if event.budget_uj is not None
            else None
        )

    def _baseline_measured(self, event: BaselineMeasured) -> None:
        self._baselines.append(
            Baseline(
                measured_s=event.t,
                duration_s=event.duration_s,
                power_w=dict(event.power_w),
                busy=event.busy,
            )
        )

    def _tracking_paused(self, event: TrackingPaused) -> None:
        self.paused = True
        self._hand_over(event, *self._rightful())

    def _tracking_resumed(self, event: TrackingResumed) -> None:
        self.paused = False
        self._hand_over(event, *self._rightful())

    def _overlap_seen(self, event: OverlapSeen) -> None:
        if any(overlap.session == event.session for overlap in self._overlaps):
            return
        self._overlaps.append(
            Overlap(session=event.session, pid=event.pid, notebook=event.notebook, seen_s=event.t)
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
        self._flag_recent(self._cells, self._cell_errors, counter, since)
        self._flag_recent(self._spans, self._span_errors, counter, since)

    def _flag_recent(
        self,
        windows: list[Any],
        errors: list[tuple[Errors, Errors]],
        counter: str,
        since: float,
    ) -> None:
        """Mark finished windows that ended after ``since`` as lacking ``counter``.

        They were appended as they ended, so the search ends at the first that is too old.
        """
        for index in range(len(windows) - 1, -1, -1):
            window = windows[index]
            if window.finished_s <= since:
                return
            known: Energy = window.energy
            energy = energy_of(
                known.uj,
                self._counters,
                {*known.missing, counter},
                errors[index],
                known.by_period,
            )
            windows[index] = msgspec.structs.replace(window, energy=energy)

    def _power_sampled(self, event: PowerSampled) -> None:
        self._devices, self._devices_s = event.devices, event.t

    def _counter_noted(self, event: CounterNoted) -> None:
        self._add_problem("; ".join(filter(None, (f"{event.counter}: {event.note}", event.remedy))))

    def _recorder_restarted(self, event: RecorderRestarted) -> None:
        self._gaps.append(Gap(since_s=event.since, until_s=event.t, reason=event.reason))

    def _clock_anchored(self, event: ClockAnchored) -> None:
        self._wall = (event.t, event.wall_s)
        if event.suspended_s > self.suspended_s:
            self.suspended_s = event.suspended_s
            self._suspends.append((event.t, event.suspended_s))

    def _journal_thinned(self, event: JournalThinned) -> None:
        self._dropped += event.dropped
        if event.reason:
            self._add_problem(event.reason)

    def _add_problem(self, problem: str) -> None:
        """Each is told once."""
        if problem not in self._problems:
            self._problems.append(problem)

    def _session_ended(self, event: SessionEnded) -> None:
        """What is open now will not be finished by any other line."""
        self._never_whole |= self._unread(event)
        self.ended = event
        status = "kernel died" if event.reason == "kernel died" else "unfinished"
        for span in list(self.open_spans):
            self._span_finished(end_of_span(event, span, status))
        for number in list(self.open_cells):
            self._cell_finished(end_of_cell(event, number, status))

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
        cells, spans = self._cells, self._spans
        if orphan:
            cells = [*cells, *self._orphaned_cells()]
            spans = [*spans, *self._orphaned_spans()]
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
            spans=tuple(spans),
            metrics=tuple(self._metrics),
            models=tuple(self._models),
            baselines=tuple(self._baselines),
            total=self._session_energy(),
            ledger=ledger.settle(cells, self._accounts, self._between, self._pause, self._holes),
            periods=_filled(self._periods),
            holes=(*self._hole_list, *self._open_holes()),
            gaps=tuple(self._gaps),
            overlaps=tuple(self._overlaps),
            paused=self.paused,
            suspends=tuple(self._suspends),
            devices={n: state for n, state in self._devices.items() if n not in self.lost},
            devices_s=self._devices_s,
            power_w=self._trace.power_w(self._counted.difference(self.lost)),
            trace=self._trace.frozen(),
            bad_lines=self.bad_lines,
            unknown_events=self.unknown_events,
            samples_dropped=self._dropped,
            problems=tuple(self._problems),
            budget=self._budget,
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
        for account in (self._between, self._pause, self._holes, *self._accounts.values()):
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
            yield OpenCell(
                number=number,
                cell=began.cell,
                first_line=began.first_line,
                execution_count=began.execution_count,
                tags=began.tags,
                thread=began.thread,
                parent=began.parent,
                started_s=began.t,
                so_far=self._so_far(window),
                suggested_stage=began.suggested_stage,
            )

    def _so_far(self, window: Window) -> Energy:
        return self._energy(window, self._last_errors, self.lost)

    def _orphaned_cells(self) -> Iterable[Cell]:
        for number, window in self.open_cells.items():
            end = CellFinished(t=self.t, number=number, status="kernel died")
            yield finished_cell(window, end, self._so_far(window))

    def _orphaned_spans(self) -> Iterable[Span]:
        for span, window in self.open_spans.items():
            end = SpanFinished(t=self.t, span=span, status="kernel died")
            yield finished_span(window, end, self._so_far(window))

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


def _metric_value(event: MetricLogged) -> float:
    """The value; JSON has no numbers for inf and nan, so these come as text."""
    if event.value is not None:
        return event.value
    return {"inf": math.inf, "-inf": -math.inf}.get(event.text or "", math.nan)


def _filled(periods: list[Period]) -> tuple[Period, ...]:
    """Periods from before a place, or a price, was first set take that one: the machine has not
    moved, nor changed its supplier."""
    placed = next((p.intensity for p in periods if p.intensity is not None), None)
    priced = next((p.pricing for p in periods if p.pricing.price_per_kwh is not None), Pricing())
    price = {"price_per_kwh": priced.price_per_kwh, "currency": priced.currency}
    filled: list[Period] = []
    before_place = before_price = True
    for period in periods:
        before_place = before_place and period.intensity is None
        before_price = before_price and period.pricing.price_per_kwh is None
        pricing = period.pricing
        filled.append(
            msgspec.structs.replace(
                period,
                intensity=placed if before_place else period.intensity,
                pricing=msgspec.structs.replace(pricing, **price) if before_price else pricing,
            )
        )
    return tuple(filled)

"""The pure loop of the recorder: marks and moments in, events out.

Nothing here knows of processes, pipes or files; time and counters come from outside, so that a
virtual clock can drive ten thousand cells through it in a second. Events leave in the order of
their time: a sample waits until no mark can come any more that was taken before it.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Protocol, cast

from msgspec import structs

from jupyter_green.clock import Clock
from jupyter_green.events import (
    AnyEvent,
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterLost,
    CounterNoted,
    CounterRestored,
    Event,
    PowerSampled,
    RecorderRestarted,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Stamped,
    TrackingPaused,
    TrackingResumed,
)
from jupyter_green.recorder.attribution import CpuTimes
from jupyter_green.recorder.completing import BEGINNINGS, BOUNDARIES, Completer, Unfinished
from jupyter_green.recorder.device import DeviceTrack
from jupyter_green.recorder.gauge import Gauge
from jupyter_green.recorder.unwrap import NS_PER_S, Loss, Return, Track
from jupyter_green.recorder.watching import Message, Noted
from jupyter_green.recorder.wire import Mark
from jupyter_green.sessions.fold import Fold
from jupyter_green.settings import Settings
from jupyter_green.sources.counter import Detection

RUNNING_SAMPLE_S = 1.0
"""A power sample is written once a second while a cell runs, or somebody watches ..."""
IDLE_SAMPLE_S = 10.0
"""... and every ten seconds while none does."""
ANCHOR_S = 60.0
SUSPEND_S = 1.0
"""The clocks of monotonic and of real time drift; a suspend is longer than this."""
SETTLE_S = 0.05
"""A sample this old can be written: a mark taken before it would be here by now."""
TRUSTED_LINE_S = 0.25
"""A counter that was not read at a boundary is placed on the straight line between two
readings, if these are no farther apart than this from it."""


class Meter(Protocol):
    """Where CPU times come from; see :class:`~.attribution.CpuMeter`."""

    def read(self) -> CpuTimes | None: ...


class Watching(Protocol):
    """Who watches a device; see :class:`~.watching.WatchThread`."""

    def change(self, t_ns: int) -> None: ...

    def run(self, running: bool) -> None: ...


class Sampler:
    """Completes marks, samples in between, and hands the events on in order."""

    def __init__(
        self,
        detection: Detection,
        clock: Clock,
        start_ns: int,
        settings: Settings,
        emit: Callable[[Event], None],
        meter: Meter | None = None,
        watching: Sequence[Watching] = (),
    ) -> None:
        self.marks = 0
        """Highest mark that has been taken in ..."""
        self.finished = 0
        """... and that has been completed."""
        self.watched = False
        """Somebody looks at the stream, and power samples are written for them."""
        self.gauge: Gauge | None = None
        """Is handed every reading, while it wants them."""
        self._detection = detection
        self._clock = clock
        self._start_ns = start_ns
        self._settings = settings
        self._emit = emit
        self._meter = meter
        self._watching = watching
        self._devices = {
            info.name: DeviceTrack(info, absolute=device.absolute)
            for device in detection.devices
            for info in device.counters
        }
        self._closing = False
        self._tracks = {
            info.name: Track(info, absolute=source.absolute)
            for source in detection.sources
            for info in source.counters
        }
        self._source_of = {
            info.name: source for source in detection.sources for info in source.counters
        }
        self._completer = Completer(self._tracks, self._devices)
        self._every_track: dict[str, Track | DeviceTrack] = {**self._tracks, **self._devices}
        self._open_cells: dict[int, CellStarted] = {}
        self._open_spans: dict[int, SpanStarted] = {}
        self._paused = False
        self._unfinished: list[Unfinished] = []
        self._waiting: list[tuple[int, int, Event]] = []
        self._sequence = count()
        self._suspended_s = self._first_suspended_s = clock.suspended_s()
        now_ns = clock.now_ns()
        self._next_sample_ns = now_ns
        self._limit_ns = 2**63
        """When a limit is foretold to be reached."""
        self._written_sample_ns = self._anchored_ns = now_ns
        self._cpu_at_sample: CpuTimes | None = None
        self._cpu_read_ns = 0
        self._cpu_at_cell: tuple[int, CpuTimes] | None = None

    def resume(self, fold: Fold, reason: str) -> None:
        """Take over from a recorder that died, at what its journal says."""
        now_ns = self._clock.now_ns()
        self.marks = self.finished = fold.marks
        last_ns = self._start_ns + round(fold.read_t * NS_PER_S)
        for name, uj in fold.last.items():
            if name in self._tracks:
                self._tracks[name].resume(last_ns, uj, fold.offsets.get(name, 0))
            elif name in self._devices:
                self._devices[name].resume(last_ns, uj, lost=name in fold.lost)
            else:
                self._put(
                    now_ns,
                    CounterLost(
                        t=self._t(now_ns),
                        counter=name,
                        since=fold.t,
                        reason="it was not found again when the recorder was restarted",
                    ),
                )
        for name, lost in fold.lost.items():
            if name in self._tracks:
                since_ns = self._start_ns + round(lost.since * NS_PER_S)
                self._tracks[name].resume_lost(Loss(since_ns, last_ns, lost.reason, lost.remedy))
        self._paused = fold.paused
        self._first_suspended_s -= fold.suspended_s
        for number, window in fold.open_cells.items():
            if isinstance(window.began, CellStarted):
                self._open_cells[number] = window.began
        for span, window in fold.open_spans.items():
            if isinstance(window.began, SpanStarted):
                self._open_spans[span] = window.began
        self._put(now_ns, RecorderRestarted(t=self._t(now_ns), since=fold.t, reason=reason))

    # --- marks ---

    def on_mark(self, mark: Mark) -> None:
        """Complete the stamp of one mark and let everything up to it go."""
        if mark.n <= self.marks or self._closing:
            return
        self.marks = mark.n
        self._notice_suspend()
        event: Event = structs.replace(mark.event, t=self._t(mark.t_ns), n=mark.n)
        if not isinstance(event, Stamped):
            self._put(mark.t_ns, event)
            return
        uj, late_ns = self._stamp(mark.t_ns, mark.raw, mark.spread_ns)
        self._report_changes()
        stamped = self._understood(structs.replace(event, uj=uj), mark.t_ns)
        self._wait(Unfinished(mark.t_ns, stamped, late_ns))
        if isinstance(event, BOUNDARIES):
            self._tell_watchers(mark.t_ns, begins=isinstance(event, BEGINNINGS))
        if isinstance(event, SessionEnded):
            self._close()
            return
        self._finish()
        # More marks may be waiting behind this one: only what is older has settled.
        self.flush(mark.t_ns)

    def _wait(self, unfinished: Unfinished) -> None:
        insort(self._unfinished, unfinished, key=lambda one: one.t_ns)

    def _tell_watchers(self, t_ns: int, *, begins: bool) -> None:
        for track in self._devices.values():
            track.change(t_ns, begins=begins)
        for watching in self._watching:
            watching.run(self.running)
            watching.change(t_ns)

    def _finish(self, *, force: bool = False) -> None:
        """Complete the stamps that have the readings after them."""
        done, now_ns = 0, self._clock.now_ns()
        for first in self._unfinished:
            if not force and not self._completer.is_complete(first, now_ns):
                break
            done += 1
            self._put(first.t_ns, self._completer.completed(first))
            self.finished = first.event.n or self.finished
        if done:
            last_ns = self._unfinished[done - 1].t_ns
            del self._unfinished[:done]
            self.flush(last_ns)
            for note in self._completer.notes:
                self._put(now_ns, structs.replace(note, t=self._t(now_ns)))
            self._completer.notes.clear()

    def provisional(self, mark: int) -> list[AnyEvent] | None:
        """What waits for no more than ticks of devices, up to a mark, as far as it is known now.

        None: it waits for other things as well. Nothing is changed by asking.
        """
        now_ns = self._clock.now_ns()
        last = max((i for i, one in enumerate(self._unfinished) if one.event.n == mark), default=-1)
        waiting = self._unfinished[: last + 1]
        if not all(self._completer.is_known_but_for_ticks(one, now_ns) for one in waiting):
            return None
        completer = self._completer.fork()
        return [cast(AnyEvent, completer.completed(one)) for one in waiting]

    def _understood(self, event: Stamped, t_ns: int) -> Stamped:
        """Follow what the event says about the session; add what only the recorder knows."""
        match event:
            case SessionStarted():
                return structs.replace(
                    event,
                    counters=list(self._detection.counters),
                    refused=list(self._detection.refused),
                )
            case CellStarted():
                self._open_cells[event.number] = event
                self._hasten(t_ns)
                self._begin_share(t_ns)
            case CellFinished():
                self._open_cells.pop(event.number, None)
                return structs.replace(event, tree_share=self._share(t_ns))
            case SpanStarted():
                self._open_spans[event.span] = event
                self._hasten(t_ns)
            case SpanFinished():
                self._open_spans.pop(event.span, None)
            case TrackingPaused():
                self._paused = True
            case TrackingResumed():
                self._paused = False
                self._hasten(t_ns)
            case SessionEnded():
                self._closing = True
            case _:
                pass
        return event

    @property
    def ended(self) -> bool:
        """The session is over, and nothing waits for readings any more."""
        return self._closing and not self._unfinished

    @property
    def running(self) -> bool:
        """A cell or span is open and tracking is on."""
        return bool(self._open_cells or self._open_spans) and not self._paused

    # --- devices ---

    def on_seen(self, message: Message) -> None:
        """Take in what the watcher of a device saw."""
        if isinstance(message, Noted):
            self.note(CounterNoted(t=0.0, counter=message.counter, note=message.note))
            return
        self._devices[message.counter].take(message)
        self._report_changes()

    # --- time ---

    def on_time(self) -> None:
        """Sample if it is time to, complete boundaries, and write what has settled.

        To be called when every mark that has arrived was taken in.
        """
        if self.ended:
            return
        sampled = self.sample_if_due()
        now_ns = self._clock.now_ns()
        if not sampled and self._is_due(now_ns):
            self._sample(now_ns)
        self._finish()
        self.flush(now_ns - round(SETTLE_S * NS_PER_S))

    def sample_if_due(self) -> bool:
        """Sample if it is time to; what was sampled waits until :meth:`on_time` to be written."""
        now_ns = self._clock.now_ns()
        if self._closing or now_ns < self._next_sample_ns:
            return False
        self._notice_suspend()
        self._write_sample(now_ns, self._sample(now_ns))
        interval_s = (
            self._settings.busy_interval_s if self.running else self._settings.idle_interval_s
        )
        self._next_sample_ns = min(now_ns + round(interval_s * NS_PER_S), self._limit_ns)
        return True

    def look(self) -> None:
        """Read everything now: somebody wants to know how much was used."""
        if not self._closing:
            self._notice_suspend()
            self._sample(self._clock.now_ns())

    def _is_due(self, now_ns: int) -> bool:
        """The oldest stamp lacks readings, and it is time to take them."""
        if not self._unfinished or not self._completer.awaits_readings(self._unfinished[0]):
            return False
        return now_ns >= self._completer.due_ns(self._unfinished[0])

    def due_s(self) -> float:
        """Seconds until :meth:`on_time` has something to do; what is seen of devices comes by
        itself."""
        due_ns = self._next_sample_ns if not self._closing else 2**63
        if self._unfinished:
            first = self._unfinished[0]
            waits_here = not self._devices or self._completer.awaits_readings(first)
            patience_ns = max((track.patience_ns for track in self._devices.values()), default=0)
            by_ns = self._completer.due_ns(first) if waits_here else first.t_ns + patience_ns
            due_ns = min(due_ns, by_ns)
        return max(0.0, (due_ns - self._clock.now_ns()) / NS_PER_S)

    def on_death(self) -> None:
        """The kernel is gone: stamp what is open and end the session."""
        if self._closing:
            return
        now_ns = self._clock.now_ns()
        self._closing = True
        self._notice_suspend()
        if not self._devices:
            self._finish(force=True)
        uj, late_ns = self._stamp(now_ns, {}, 0)
        self._report_changes()
        t = self._t(now_ns)
        ends: list[Stamped] = [
            SpanFinished(t=t, uj=uj, span=span, status="kernel died")
            for span in reversed(self._open_spans)
        ]
        ends += [
            CellFinished(t=t, uj=uj, number=number, status="kernel died")
            for number in reversed(self._open_cells)
        ]
        ends.append(SessionEnded(t=t, uj=uj, reason="kernel died"))
        for end in ends:
            self._wait(Unfinished(now_ns, end, late_ns))
        self._tell_watchers(now_ns, begins=False)
        self._close()

    def _close(self) -> None:
        """Nothing more comes; only devices are worth waiting for."""
        if not self._devices:
            self.complete()

    def note(self, event: Event) -> None:
        """Put in an event that another part of the recorder has seen now."""
        now_ns = self._clock.now_ns()
        if not self._closing:
            self._put(now_ns, structs.replace(event, t=self._t(now_ns)))

    def stamp(self, event: Stamped) -> None:
        """Put in an event of another part of the recorder, with a stamp of now."""
        if self._closing:
            return
        self._notice_suspend()
        now_ns = self._clock.now_ns()
        uj = self._sample(now_ns)
        self._put_sample(now_ns, structs.replace(event, t=self._t(now_ns), uj=uj))

    def complete(self) -> None:
        """Let everything go with what is known now."""
        self._finish(force=True)
        self.flush(self._clock.now_ns())

    def flush(self, up_to_ns: int) -> None:
        """Hand on every event that is not younger than ``up_to_ns``, in order of time."""
        if self._unfinished:
            up_to_ns = min(up_to_ns, self._unfinished[0].t_ns - 1)
        while self._waiting and self._waiting[0][0] <= up_to_ns:
            self._emit(heapq.heappop(self._waiting)[2])

    # --- stamps ---

    def _stamp(
        self, t_ns: int, raw: dict[str, int], spread_ns: int
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Cumulative energy of every counter at ``t_ns``, and how far off it was read."""
        uj: dict[str, int] = {}
        late_ns: dict[str, int] = {}
        unread = [name for name in self._tracks if name not in raw]
        if unread:
            self._read_now(unread, t_ns)
        for name, track in self._tracks.items():
            reading = raw.get(name)
            if reading is None:
                placed = self._on_line(track, t_ns)
            else:
                value = track.take(t_ns, reading)
                placed = None if value is None else (value, spread_ns)
            if placed is not None and track.loss is None:
                uj[name], late_ns[name] = placed
        return uj, late_ns

    def _on_line(self, track: Track, t_ns: int) -> tuple[int, int] | None:
        """A counter that the mark came without, from the readings around it."""
        placed = track.at(t_ns)
        if placed is None or placed[1] > TRUSTED_LINE_S * NS_PER_S:
            return None
        return placed

    def _read_now(self, names: Iterable[str], t_ns: int) -> None:
        """Read counters that a mark came without, unless the mark is too old for it."""
        wanted = set(names)
        now_ns = self._clock.now_ns()
        if now_ns - t_ns > TRUSTED_LINE_S * NS_PER_S:
            return
        for source in self._detection.sources:
            if wanted.isdisjoint(info.name for info in source.counters):
                continue
            readings = source.read(now_ns)
            for info in source.counters:
                if info.name in wanted:
                    self._take(info.name, now_ns, readings)

    def _take(self, name: str, now_ns: int, readings: dict[str, int]) -> int | None:
        track = self._tracks[name]
        raw = readings.get(name)
        if raw is not None:
            return track.take(now_ns, raw)
        problem = self._source_of[name].problems.get(name)
        reason = problem.reason if problem is not None else "the counter cannot be read"
        track.fail(now_ns, reason, problem.remedy if problem is not None else "")
        return None

    def _sample(self, now_ns: int) -> dict[str, int]:
        """Read every counter now; cumulative energy of those that can be read."""
        uj: dict[str, int] = {}
        for source in self._detection.sources:
            readings = source.read(now_ns)
            for info in source.counters:
                value = self._take(info.name, now_ns, readings)
                if value is not None:
                    uj[info.name] = value
        self._report_changes()
        self._tell_level(now_ns, uj)
        return uj

    def _tell_level(self, now_ns: int, uj: dict[str, int]) -> None:
        if self.gauge is None or not self.gauge.wanted:
            return
        devices = {
            name: round(placed.uj)
            for name, track in self._devices.items()
            if (placed := track.fork().place(now_ns)) is not None
        }
        due_ns = self.gauge.take(now_ns, self._t(now_ns), {**uj, **devices})
        self._limit_ns = 2**63 if due_ns is None else due_ns

    def _write_sample(self, now_ns: int, uj: dict[str, int]) -> None:
        every_s = RUNNING_SAMPLE_S if self.running or self.watched else IDLE_SAMPLE_S
        # A twentieth of tolerance, or jitter would make every other sample late.
        due = now_ns - self._written_sample_ns >= 0.95 * every_s * NS_PER_S
        if now_ns - self._anchored_ns >= ANCHOR_S * NS_PER_S:
            self._anchor(now_ns, uj)
        elif due:
            self._written_sample_ns = now_ns
            self._put_sample(
                now_ns,
                PowerSampled(
                    t=self._t(now_ns),
                    uj=uj,
                    running=self.running,
                    cpu_utilisation=self._utilisation(now_ns),
                    devices={
                        name: track.state
                        for name, track in self._devices.items()
                        if track.used and track.state is not None and track.info.counted
                    },
                ),
            )

    def _put_sample(self, now_ns: int, sample: Stamped) -> None:
        """Where devices are part of it, it waits for what they held at this moment."""
        if self._devices:
            self._wait(Unfinished(now_ns, sample, {}, placed=False))
        else:
            self._put(now_ns, sample)

    def _anchor(self, now_ns: int, uj: dict[str, int]) -> None:
        self._anchored_ns = self._written_sample_ns = now_ns
        self._put_sample(
            now_ns,
            ClockAnchored(
                t=self._t(now_ns),
                uj=uj,
                wall_s=round(self._clock.wall_s(), 3),
                suspended_s=round(self._suspended_s - self._first_suspended_s, 3),
            ),
        )

    # --- what happens to counters ---

    def _notice_suspend(self) -> None:
        suspended_s = self._clock.suspended_s()
        asleep_s = suspended_s - self._suspended_s
        self._suspended_s = suspended_s
        if asleep_s < SUSPEND_S:
            return
        now_ns = self._clock.now_ns()
        for track in self._every_track.values():
            track.forget(now_ns, f"the machine was suspended for {asleep_s:.0f} s")
        # The wall clock has moved: anchor at the next sample.
        self._anchored_ns = now_ns - round(ANCHOR_S * NS_PER_S)

    def _report_changes(self) -> None:
        """Events for what happened to counters, ahead of the stamp that showed it."""
        for name, track in self._every_track.items():
            for change in track.changes:
                self._put(change.at_ns, self._told(name, change))
            track.changes.clear()

    def _told(self, name: str, change: Loss | Return) -> Event:
        t, since = self._t(change.at_ns), self._t(change.since_ns)
        if isinstance(change, Loss):
            return CounterLost(
                t=t, counter=name, since=since, reason=change.reason, remedy=change.remedy
            )
        return CounterRestored(
            t=t,
            counter=name,
            since=since,
            reason=change.reason,
            lost=change.lost,
            offset_uj=change.offset_uj,
        )

    # --- CPU times ---

    def _cpu_times(self, now_ns: int) -> CpuTimes | None:
        """The CPU times, read at most once a second."""
        if self._meter is None or now_ns - self._cpu_read_ns < NS_PER_S:
            return None
        self._cpu_read_ns = now_ns
        return self._meter.read()

    def _utilisation(self, now_ns: int) -> float | None:
        times = self._cpu_times(now_ns)
        if times is None:
            return None
        earlier, self._cpu_at_sample = self._cpu_at_sample, times
        if self._cpu_at_cell is None and self.running:
            self._cpu_at_cell = (now_ns, times)
        return times.utilisation_since(earlier) if earlier is not None else None

    def _begin_share(self, t_ns: int) -> None:
        if len(self._open_cells) == 1:
            times = self._cpu_times(t_ns)
            self._cpu_at_cell = (t_ns, times) if times is not None else None

    def _share(self, t_ns: int) -> float | None:
        """The tree's share of the CPU over the cell, if it ran long enough to tell."""
        if self._cpu_at_cell is None or t_ns - self._cpu_at_cell[0] < NS_PER_S:
            return None
        # Samples read the times once a second, too: to wait for that would be to go without.
        times = self._meter.read() if self._meter is not None else None
        return times.share_since(self._cpu_at_cell[1]) if times is not None else None

    # --- small things ---

    def _hasten(self, t_ns: int) -> None:
        """A cell begins: sample at the busy rate from here on."""
        soon_ns = t_ns + round(self._settings.busy_interval_s * NS_PER_S)
        self._next_sample_ns = min(self._next_sample_ns, soon_ns)

    def _t(self, t_ns: int) -> float:
        return round((t_ns - self._start_ns) / NS_PER_S, 6)

    def _put(self, t_ns: int, event: Event) -> None:
        heapq.heappush(self._waiting, (t_ns, next(self._sequence), event))

"""One kernel's session: what cells, spans and metrics have in common.

The hooks, the magics and the Python API all speak to the one tracker of the process. It
numbers things, sends marks, and folds its own journal on when somebody wants to see it.
"""

from __future__ import annotations

import atexit
import copy
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import structs

from jupyter_green import __version__
from jupyter_green.carbon.choice import starting_intensity
from jupyter_green.carbon.tables import intensity_of
from jupyter_green.clock import Clock, SystemClock
from jupyter_green.configurable import load_settings
from jupyter_green.errors import RecorderError, UnknownPlace
from jupyter_green.events import (
    FORMAT,
    AnyEvent,
    BaselineMeasured,
    BudgetSet,
    CellFinished,
    CellStarted,
    Intensity,
    IntensityChanged,
    MetricLogged,
    ModelDescribed,
    Pricing,
    PricingChanged,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Tags,
    TrackingPaused,
    TrackingResumed,
)
from jupyter_green.processes import boot_id, host_name, own_identity
from jupyter_green.recorder import workers
from jupyter_green.recorder.client import Client
from jupyter_green.recorder.host import describe_machine
from jupyter_green.recorder.levels import Limit
from jupyter_green.recorder.names import (
    digest,
    first_line,
    likely_direction,
    new_session_id,
    notebook_name,
    short_name,
    thread_kind,
    visible_devices,
    writable,
    writable_tags,
)
from jupyter_green.recorder.suggesting import suggested_stage
from jupyter_green.recorder.wire import Hello, Level, Told, Watch
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.library import journal_path
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.settings import Settings
from jupyter_green.sources.detect import detect

ANSWER_S = 2.0
"""A display waits at most so long for the recorder."""
GLIMPSED = 1000
"""A glimpse copies what is known of every cell, which is not worth it with more than these."""
STARTING_S = 5.0
"""The first answer may have to wait for the recorder's start on a busy machine."""


Heard = Callable[[str, float, str | None, float], None]
"""Takes a logged metric: its name, its value, its run, and when in seconds since the session's
start."""


@dataclass
class CellRun:
    """A cell that runs now."""

    number: int
    thread: str


class Tracker:
    """The session of this process.

    Args:
        settings: in force for this session.
        front_end: ipykernel, ipython, script or exec.
        problems: what went wrong before (settings that could not be read), to be shown.
        session: the session's id; None: a new one.
        title: what is measured, where it is not the notebook or script of this process.
        disowned: this process is a worker of one that is measured, and has no session.
    """

    def __init__(
        self,
        settings: Settings,
        front_end: str,
        problems: tuple[str, ...] = (),
        session: str | None = None,
        clock: Clock | None = None,
        disowned: bool = False,
        title: str | None = None,
    ) -> None:
        self.settings = settings
        self.id = session or new_session_id()
        self.paused = False
        self.problems = list(problems)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._cells: list[CellRun] = []
        self._cell_count = 0
        self._span_count = 0
        self._local = threading.local()
        self._opened_in: dict[int, list[int]] = {}
        """By open span: those of the thread in which it began."""
        self._listeners: list[Heard] = []
        self._at_end: list[tuple[int, Callable[[str], None]]] = []
        self._fold = Fold()
        self._offset = 0
        self._answered = False
        self.closed = disowned
        """No mark of this process reaches the session any more."""
        self.disowned = disowned
        """This process is a worker: the session belongs to its parent."""
        self.journal = journal_path(settings.data_dir, self.id)
        if not disowned:
            self._begin(front_end, title or notebook_name())

    def _begin(self, front_end: str, title: str | None) -> None:
        """Start the recorder, and tell it what is measured."""
        settings = self.settings
        self._start_ns = self._clock.now_ns()
        pid, started = own_identity()
        detection = detect(settings)
        hello = Hello(
            settings,
            str(self.journal),
            self.id,
            self._start_ns,
            pid,
            started,
            title and writable(title),
            visible_devices(),
        )
        self._client = Client(hello, detection, self._clock)
        self._mark(
            SessionStarted(
                t=0.0,
                format=FORMAT,
                session=self.id,
                version=__version__,
                wall_s=round(self._clock.wall_s(), 6),
                host=host_name(),
                boot_id=boot_id(),
                pid=pid,
                process_started=started,
                front_end=front_end,
                notebook=hello.notebook,
                project=settings.project,
                machine=describe_machine(settings),
                counters=list(detection.counters),
                refused=list(detection.refused),
                pricing=Pricing(
                    pue=settings.pue,
                    price_per_kwh=settings.price_per_kwh,
                    currency=settings.currency,
                ),
                intensity=self._intensity(),
            )
        )

    def _intensity(self) -> Intensity | None:
        try:
            return starting_intensity(self.settings)
        except UnknownPlace as error:
            self.problems.append(str(error))
            return None

    def _mark(self, event: AnyEvent) -> None:
        """Send a mark. Whatever goes wrong with it is our problem, and not the user's."""
        if self.disowned:
            return
        try:
            if isinstance(event, CellStarted | CellFinished):
                self._client.show(visible_devices())
            self._client.mark(event)
        except Exception as error:
            problem = f"a mark was lost: {type(error).__name__}: {error}"
            if problem not in self.problems:
                self.problems.append(problem)

    # --- cells ---

    def cell_started(
        self,
        source: str,
        cell_id: str | None,
        tags: Tags,
        thread: str,
        execution_count: int | None = None,
    ) -> CellRun:
        """Mark the beginning of a cell."""
        source_hash = digest(source)
        with self._lock:
            self._cell_count += 1
            run = CellRun(self._cell_count, thread)
            parent = self._innermost(thread)
            self._cells.append(run)
        self._mark(
            CellStarted(
                t=0.0,
                number=run.number,
                cell=digest(cell_id) if cell_id else source_hash,
                identified_by="front end" if cell_id else "source",
                first_line=writable(first_line(source)),
                source_hash=source_hash,
                source=writable(source) if self.settings.keep_source else None,
                execution_count=execution_count,
                tags=writable_tags(tags),
                thread=thread,
                parent=parent,
                suggested_stage=None if tags.stage else suggested_stage(source),
            )
        )
        return run

    def cell_finished(
        self,
        run: CellRun,
        status: str,
        error: str | None = None,
        devices_busy: Sequence[str] = (),
    ) -> None:
        """Mark the end of a cell.

        Args:
            status: ok, error or interrupted.
            error: class name of the exception.
            devices_busy: devices that are still at work for it.
        """
        self._end_what_is_left(run.number, status)
        self._mark(
            CellFinished(
                t=0.0,
                number=run.number,
                status=status,
                error=error and writable(error),
                devices_busy=[writable(device) for device in devices_busy],
            )
        )
        with self._lock:
            if run in self._cells:
                self._cells.remove(run)

    def when_cell_ends(self, done: Callable[[str], None]) -> None:
        """Have ``done`` called with the status of the cell that runs now, before its end is marked.

        What an error has left behind in it is kept alive by its traceback, and would never end.
        Outside cells nothing is called.
        """
        number = self.current_cell
        if number is not None:
            self._at_end.append((number, done))

    def _end_what_is_left(self, number: int, status: str) -> None:
        ending = [done for owner, done in self._at_end if owner == number]
        self._at_end = [one for one in self._at_end if one[0] != number]
        for done in ending:
            try:
                done(status)
            except Exception as error:
                self.problems.append(f"a loop was not ended: {type(error).__name__}: {error}")

    def _innermost(self, thread: str) -> int | None:
        """The run inside which a new one on this thread is nested."""
        for run in reversed(self._cells):
            if run.thread == thread:
                return run.number
        return None

    @property
    def current_cell(self) -> int | None:
        """Number of the innermost cell of the main shell that runs now."""
        with self._lock:
            return self._innermost("main") or (self._cells[-1].number if self._cells else None)

    # --- spans, metrics ---

    def span_started(self, name: str, type_: str = "measure", tags: Tags | None = None) -> int:
        """Mark the beginning of a named window; returns its number."""
        with self._lock:
            self._span_count += 1
            span = self._span_count
        open_spans = self._open_spans()
        self._mark(
            SpanStarted(
                t=0.0,
                span=span,
                name=short_name(name),
                type=type_,
                parent=open_spans[-1] if open_spans else None,
                cell=self.current_cell,
                thread=thread_kind(),
                tags=writable_tags(tags or Tags()),
            )
        )
        open_spans.append(span)
        self._opened_in[span] = open_spans
        return span

    def span_finished(self, span: int, status: str = "ok", error: str | None = None) -> None:
        """Mark the end of a named window."""
        self._mark(SpanFinished(t=0.0, span=span, status=status, error=error and writable(error)))
        # It may end in another thread than the one in which it began.
        open_spans = self._opened_in.pop(span, [])
        if span in open_spans:
            open_spans.remove(span)

    def _open_spans(self) -> list[int]:
        """Spans that are open in this thread, the innermost last."""
        spans: list[int] | None = getattr(self._local, "spans", None)
        if spans is None:
            spans = self._local.spans = []
        return spans

    def metric_logged(
        self,
        name: str,
        value: float,
        step: float | None = None,
        run: str | None = None,
        direction: str | None = None,
        source: str = "user",
    ) -> None:
        """Mark a metric beside the energy spent so far."""
        finite = math.isfinite(value)
        self._mark(
            MetricLogged(
                t=0.0,
                name=short_name(name),
                value=value if finite else None,
                text=None if finite else str(value),
                step=step,
                run=run and short_name(run),
                direction=direction or likely_direction(name),
                source=source,
                cell=self.current_cell,
            )
        )
        if self._listeners and source != STUDY:
            t_s = self.t_s
            for heard in tuple(self._listeners):
                heard(name, value, run, t_s)

    def listen(self, heard: Heard) -> None:
        """Pass on every metric that is logged from now on; ``heard`` must be quick."""
        self._listeners.append(heard)

    def listen_no_more(self, heard: Heard) -> None:
        """The opposite of :meth:`listen`."""
        if heard in self._listeners:
            self._listeners.remove(heard)

    def model_described(
        self,
        *,
        run: str | None = None,
        name: str | None = None,
        parameters: int | None = None,
        flops: int | None = None,
        size_bytes: int | None = None,
        precision: str | None = None,
    ) -> None:
        """Mark how large the model is that a run trains or uses."""
        self._mark(
            ModelDescribed(
                t=0.0,
                run=run and short_name(run),
                name=name and short_name(name),
                parameters=parameters,
                flops=flops,
                size_bytes=size_bytes,
                precision=precision and short_name(precision),
                cell=self.current_cell,
            )
        )

    def budget_set(self, budget_uj: int | None, *, stop: bool = False) -> None:
        """Mark what the session may use, from its start; None: whatever it takes."""
        self._mark(BudgetSet(t=0.0, budget_uj=budget_uj, stop=stop))

    def baseline_measured(
        self, duration_s: float, power_w: dict[str, float], busy: float | None = None
    ) -> None:
        """Mark the power of the idle machine, by counter, and how busy others kept it."""
        self._mark(BaselineMeasured(t=0.0, duration_s=duration_s, power_w=power_w, busy=busy))

    # --- switches ---

    def pause(self, reason: str = "switched off") -> None:
        """Stop giving energy to cells; it goes to the pause from here on."""
        if not self.paused:
            self.paused = True
            self._mark(TrackingPaused(t=0.0, reason=reason))

    def resume(self) -> None:
        """Track cells again."""
        if self.paused:
            self._mark(TrackingResumed(t=0.0))
            self.paused = False

    def set_place(self, place: str | None) -> Intensity | None:
        """Use the carbon intensity of ``place`` from here on, and no live one any more.

        Raises:
            UnknownPlace: no intensity is known for it; nothing is changed.
        """
        intensity = intensity_of(place) if place is not None else None
        if not self.disowned:
            self._client.ask_nobody()
        self._mark(IntensityChanged(t=0.0, intensity=intensity, reason="set by the user"))
        return intensity

    def set_pricing(self, pricing: Pricing) -> None:
        """Use this PUE and price from here on."""
        self._mark(PricingChanged(t=0.0, pricing=pricing))

    # --- the session so far ---

    def session(self, timeout_s: float | None = None) -> Session:
        """The session up to now.

        Raises:
            RecorderError: the recorder has not answered, and nothing is known yet.
        """
        return self._session(timeout_s, soon=False)[0]

    def glimpse(self) -> tuple[Session, bool]:
        """The session up to now without waiting for the next ticks of devices, and whether it is
        provisional for the lack of them.

        Raises:
            RecorderError: as of :meth:`session`.
        """
        return self._session(None, soon=self._cell_count < GLIMPSED)

    def _session(self, timeout_s: float | None, *, soon: bool) -> tuple[Session, bool]:
        if self.disowned:
            raise RecorderError(
                "this process was started or forked by the one that is measured: ask for the "
                "session there"
            )
        patience_s = timeout_s or (ANSWER_S if self._answered else STARTING_S)
        caught_up = self._client.catch_up(patience_s, soon=soon)
        self._answered = self._answered or caught_up is not None
        with self._lock:
            self._read_on()
            fold = self._fold
            more = [*caught_up.unwritten, *caught_up.provisional] if caught_up is not None else []
            if more:
                fold = copy.deepcopy(self._fold)
                for event in more:
                    fold.feed(event)
        if fold.header is None:
            raise RecorderError(
                f"the recorder has not answered in {patience_s:.0f} s"
                + (f": {self._client.problem}" if self._client.problem else "")
            )
        session = fold.session()
        provisional = caught_up is not None and bool(caught_up.provisional)
        return self._with_problems(session, caught_up.problem if caught_up else ""), provisional

    def _with_problems(self, session: Session, disk: str) -> Session:
        found = [problem for problem in self.wrong(disk) if problem not in session.problems]
        if not found:
            return session
        return structs.replace(session, problems=(*session.problems, *found))

    def _read_on(self) -> None:
        """Fold what the journal has gained since the last look: whole lines only."""
        try:
            with open(self.journal, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        end = data.rfind(b"\n") + 1
        self._fold.feed_lines(data[:end])
        self._offset += end

    def watch(self, watch: Watch) -> None:
        """Tell the recorder whether somebody looks, and what they have already."""
        if not self.disowned:
            self._client.watch(watch)

    def tell(self, told: Callable[[Told], None] | None) -> None:
        """From here on ``told`` takes what the recorder tells those who watch; it is called from
        a thread of its own."""
        if not self.disowned:
            self._client.told = told

    # --- how much was used so far ---

    @property
    def t_s(self) -> float:
        """Seconds since the session's start, on the clock of its stamps."""
        return (self._clock.now_ns() - self._start_ns) / 1e9

    def gauge(self, on: bool) -> None:
        """One more wants to know how much was used so far, or one less."""
        if not self.disowned:
            self._client.levels.ask(on)

    def refresh_level(self) -> None:
        """Have a level told as soon as may be, while somebody asks for them."""
        if not self.disowned:
            self._client.levels.refresh()

    def level(self) -> Level | None:
        """How much the session has used, at most a second ago while somebody asks for it.

        Costs nothing and waits for nothing. None: nobody has told yet.
        """
        return None if self.disowned else self._client.levels.latest

    def uj_at(self, t_s: float) -> float | None:
        """Counted microjoules at a moment of the last two minutes, while somebody asks."""
        return None if self.disowned else self._client.levels.uj_at(t_s)

    def limit(self, uj: int, reached: Callable[[Level], None]) -> Limit:
        """Have ``reached`` called, once and from a thread of ours, when the session has used so
        much: within a few milliseconds, where the counters let that be known."""
        limit = Limit(uj, reached)
        if not self.disowned:
            self._client.levels.add(limit)
        return limit

    def forget(self, limit: Limit) -> None:
        """Nothing is done at this limit any more."""
        if not self.disowned:
            self._client.levels.drop(limit)

    def wrong(self, disk: str = "") -> tuple[str, ...]:
        """What is wrong at present and in no event, in sentences; ``disk`` among it."""
        client = "" if self.disowned else self._client.problem
        return tuple(filter(None, dict.fromkeys((*self.problems, client, disk, self._gone()))))

    def _gone(self) -> str:
        """Somebody deletes the data directory under a running session."""
        if not self._offset or self.journal.exists():
            return ""
        return (
            f"the journal {self.journal} is gone: what is measured from here on is lost; end this "
            "session and begin another"
        )

    # --- the end ---

    def close(self) -> None:
        """Say goodbye: the recorder stamps the end and goes. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self._mark(SessionEnded(t=0.0, reason="goodbye"))
        self._client.close()

    def disown(self) -> None:
        """In a forked child: this session is the parent's."""
        self._lock = threading.Lock()
        self.closed = self.disowned = True


# --- the one tracker of this process --------------------------------------------------------

_NOWHERE = Settings(data_dir="")
"""A worker records nothing, and need not look for its settings."""

_current: Tracker | None = None
_starting = threading.Lock()


def current() -> Tracker | None:
    """The tracker of this process, if it has one that is open."""
    return _current if _current is not None and not _current.closed else None


def latest() -> Tracker | None:
    """The tracker of this process, open, over or disowned."""
    return start("") if _current is None and workers.is_worker() else _current


def start(
    front_end: str,
    settings: Settings | None = None,
    problems: tuple[str, ...] = (),
    title: str | None = None,
) -> Tracker:
    """The tracker of this process; a new session begins if there is none."""
    global _current  # noqa: PLW0603  (one session a process, as one kernel is one process)
    with _starting:
        if _current is not None and (_current.disowned or not _current.closed):
            # Workers forked inside a cell must not start sessions of their own.
            return _current
        if workers.is_worker():
            _current = Tracker(_NOWHERE, front_end, disowned=True)
            return _current
        if settings is None:
            loaded = load_settings()
            settings, problems = loaded.settings, (*problems, *loaded.problems)
        session = os.environ.pop("JUPYTER_GREEN_SESSION", None)
        _current = Tracker(settings, front_end, problems, session, title=title)
        workers.claim(_current.id)
        atexit.register(stop)
        return _current


def stop() -> None:
    """End this process's session, if there is one."""
    atexit.unregister(stop)
    tracker = current()
    if tracker is not None:
        workers.release()
        tracker.close()


def _disown() -> None:
    global _starting  # noqa: PLW0603
    _starting = threading.Lock()
    if _current is not None:
        _current.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)

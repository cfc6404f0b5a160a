"""The runs of an experiment tracker beside the session: what was logged there, what it has cost.

MLflow, TensorBoard and Weights & Biases all know runs with metrics by step. While a run is open a
span of its name is open in the session, and the difference of its stamps is what the run has cost.
Between them the recorder's level tells the joules so far, a few times a second.
"""

from __future__ import annotations

import atexit
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from jupyter_green.errors import JupyterGreenError
from jupyter_green.events import Intensity
from jupyter_green.integrations.calls import Calls
from jupyter_green.recorder import here
from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.names import as_number, writable
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.recorder.wire import Level
from jupyter_green.units import UJ_PER_J, uj_to_j, uj_to_kwh

PREFIX = "jupyter_green/"
"""What we write begins with it, and is never read back."""
ENERGY = PREFIX + "energy_j"
EVERY_S = 1.0
"""Joules are written beside a run's metrics so often at the most."""
FIRST_LEVEL_S = 2.0
"""The recorder may take so long to tell the first level on a busy machine."""


class SoFar(Struct, frozen=True, kw_only=True):
    """What an open run has cost."""

    energy_j: float
    """Counted joules since the run was opened here."""
    session: str
    provenance: str | None
    """Where the joules come from, in words; None: it has been told before."""


class Totals(Struct, frozen=True, kw_only=True):
    """What a run has cost, from the stamps at both of its ends."""

    energy_j: float
    co2_g: float | None
    """None: no place is set, so that there is no carbon intensity."""
    intensity: str | None
    """The one in force at the end, in words."""
    duration_s: float
    bound_j: float
    """Half-width of the stated interval of the energy."""
    sources: tuple[str, ...]
    """measured, integrated, modelled."""
    missing: tuple[str, ...]
    """Counted counters of which a part is unknown: the energy is this or more."""
    session: str
    last_step: float | None
    """Of the last metric that was read."""

    @property
    def provenance(self) -> str:
        """Where the joules come from, in words."""
        told = f"{', '.join(self.sources)}, ± {self.bound_j:.3g} J"
        if self.missing:
            told += f"; at least, {', '.join(self.missing)} missing"
        return told if self.co2_g is None else f"{told}; CO2e at {self.intensity}"

    def metrics(self) -> dict[str, float]:
        """By the names under which they are written: energy, CO2 where it is known, time."""
        figures = {
            "energy_j": self.energy_j,
            "energy_kwh": uj_to_kwh(self.energy_j * UJ_PER_J),
            "duration_s": self.duration_s,
            "co2_g": self.co2_g,
        }
        return {PREFIX + name: value for name, value in figures.items() if value is not None}

    def after(self, before: Totals | None) -> Totals:
        """With what the same run had cost before it was opened again."""
        if before is None:
            return self
        known = self.co2_g is not None and before.co2_g is not None
        return Totals(
            energy_j=before.energy_j + self.energy_j,
            co2_g=(before.co2_g or 0) + (self.co2_g or 0) if known else None,
            intensity=self.intensity,
            duration_s=before.duration_s + self.duration_s,
            bound_j=before.bound_j + self.bound_j,
            sources=tuple(dict.fromkeys((*before.sources, *self.sources))),
            missing=tuple(dict.fromkeys((*before.missing, *self.missing))),
            session=self.session,
            last_step=self.last_step,
        )


@dataclass
class _Run:
    """One run, as long as it is open."""

    tracker: Tracker
    span: int
    opened_t: float
    """Seconds since the session's start."""
    level_uj: float | None
    """The level that was known then; it may be a moment older."""
    before: Totals | None
    """What it had cost when it was closed before."""
    from_uj: float | None = None
    """The level at the moment it was opened, as soon as that is known."""
    written: set[float | None] = field(default_factory=set)
    """Steps beside which joules stand."""
    written_s: float = -math.inf
    provenance: str | None = None
    step: float | None = None
    mute: bool = False
    """Something could not be written: nothing more is tried until its end."""


class TrackedRuns:
    """The runs of one tracker library in this process.

    Nothing here raises for what the recorder cannot tell, and nothing waits, but for the end of a
    run. A worker process, or one whose session is over, reads and writes nothing.

    Args:
        source: the library's name, as metrics tell their source.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.calls = Calls(self._failed)
        self._lock = threading.Lock()
        self._open: dict[str, _Run] = {}
        self._ended: dict[str, Totals | None] = {}
        self._names: dict[str, str] = {}
        self._noted: set[str] = set()
        self._gauged: Tracker | None = None
        self._at_exit: Callable[[], None] | None = None

    # --- on and off ---

    @property
    def on(self) -> bool:
        """The library is watched."""
        return self._at_exit is not None

    def begin(self, at_exit: Callable[[], None]) -> None:
        """A session begins if there is none.

        Args:
            at_exit: closes the runs that are open when the process ends.
        """
        tracker = here.tracker()
        self._at_exit = at_exit
        if not tracker.closed:
            self._gauge(tracker)

    def end(self) -> None:
        """The library is no longer watched; nothing more is written into runs that are open. If it
        is watched again while they are, they count anew."""
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None
        with self._lock:
            runs, self._open = list(self._open.values()), {}
            gauged, self._gauged = self._gauged, None
        for run in runs:
            run.tracker.span_finished(run.span)
        if gauged is not None:
            gauged.gauge(False)

    def _gauge(self, tracker: Tracker) -> None:
        since_t = tracker.t_s
        self._gauged = tracker
        tracker.gauge(True)
        patience = time.monotonic() + FIRST_LEVEL_S
        # From here on every run knows its beginning.
        while not _told_since(tracker, since_t) and time.monotonic() < patience:
            time.sleep(0.01)

    def _tracker(self) -> Tracker | None:
        """Of this process's session, as long as that is open."""
        tracker = trackers.current()
        if tracker is None or tracker is self._gauged:
            return tracker
        with self._lock:
            self._gauged, before = tracker, self._gauged
        if before is not tracker:
            tracker.gauge(True)
        return tracker

    # --- runs ---

    def opened(self, key: str, name: str | None = None) -> None:
        """A run begins, or goes on after its end; one that is open stays as it is."""
        tracker = self._tracker()
        if tracker is None:
            return
        with self._lock:
            known = self._open.get(key)
            if known is not None and not known.tracker.closed:
                return
            level = tracker.level()
            self._names[key] = name or self._names.get(key) or key
            self._open[key] = _Run(
                tracker=tracker,
                span=tracker.span_started(self._names[key], "run"),
                opened_t=tracker.t_s,
                level_uj=level.uj if level is not None else None,
                before=self._ended.pop(key, None),
            )
        self._close_at_exit()

    def _close_at_exit(self) -> None:
        """At the end of the process, before the session ends, and before the library closes what
        it has opened for this run: what is registered last comes first."""
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)

    def is_open(self, key: str) -> bool:
        """It has been opened, and has not ended."""
        run = self._open.get(key)
        return run is not None and not run.tracker.closed

    def has_ended(self, key: str) -> bool:
        """It has been open, and has ended."""
        return key in self._ended

    def open_keys(self) -> list[str]:
        """The runs that are open."""
        return list(self._open)

    def read(
        self,
        key: str,
        values: Mapping[str, object],
        step: object = None,
        direction: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        """Metrics that the user has logged; what is no number, and what is ours, is passed over.

        Args:
            direction: higher or lower by the metric's name, where the library was told.
        """
        tracker = self._tracker()
        if tracker is None:
            return
        run, name, at = self._open.get(key), self._names.get(key, key), number(step)
        for metric, value in values.items():
            logged = number(value)
            if logged is None or metric.startswith(PREFIX):
                continue
            tracker.metric_logged(metric, logged, at, name, direction(metric), self.source)
            if run is not None and at is not None:
                run.step = at

    def due(self, key: str, step: object = None) -> SoFar | None:
        """The joules that are to be written beside the metrics of a step.

        None: not now, because they stand there already, or were written less than a second ago,
        or are not known yet.
        """
        tracker, at, now_s = self._tracker(), number(step), time.monotonic()
        if tracker is None:
            return None
        with self._lock:
            run = self._open.get(key)
            if run is None or run.mute or run.tracker is not tracker:
                return None
            if at in run.written or now_s - run.written_s < EVERY_S:
                return None
            level = tracker.level()
            uj = None if level is None else _used_uj(run, level)
            if level is None or uj is None:
                return None
            run.written.add(at)
            run.written_s = now_s
            provenance = _in_words(level)
            new, run.provenance = provenance != run.provenance, provenance
        before_j = run.before.energy_j if run.before is not None else 0.0
        return SoFar(
            energy_j=before_j + uj_to_j(uj),
            session=tracker.id,
            provenance=provenance if new else None,
        )

    def ended(self, key: str) -> Totals | None:
        """A run ends; what it has cost, or None where that is not known, or was told before.

        Asks the recorder for the stamp of this moment.
        """
        tracker = self._tracker()
        if tracker is None:
            return None
        with self._lock:
            run = self._open.pop(key, None)
            if run is None:
                return None
            self._ended[key] = run.before
        if run.tracker is not tracker:
            return None
        tracker.span_finished(run.span)
        totals = self._totals(run)
        with self._lock:
            self._ended[key] = totals or run.before
        return totals

    def _totals(self, run: _Run) -> Totals | None:
        try:
            session = run.tracker.session()
            span = session.span(run.span)
        except (JupyterGreenError, KeyError) as error:
            self._failed(error)
            return None
        if span.energy.energy_j is None:
            return None
        totals = Totals(
            energy_j=span.energy.energy_j,
            co2_g=session.co2_g(span.energy),
            intensity=_intensity_in_words(session.intensity),
            duration_s=span.duration_s,
            bound_j=span.energy.bound_j,
            sources=span.energy.provenance,
            missing=span.energy.missing,
            session=session.id,
            last_step=run.step,
        )
        return totals.after(run.before)

    # --- what goes wrong ---

    def not_written(self, key: str, error: Exception) -> None:
        """The library would not take our figures: it is left alone until the run's end."""
        run = self._open.get(key)
        if run is not None:
            run.mute = True
        self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Said once for each kind of error."""
        tracker, kind = trackers.current(), type(error).__name__
        if tracker is None or kind in self._noted:
            return
        self._noted.add(kind)
        tracker.problems.append(
            writable(f"not all could be read from or written to {self.source}: {kind}: {error}")[
                :300
            ]
        )


def number(value: object) -> float | None:
    """A number as a float, NaN and infinities too; None for text, truth values and all else."""
    if value is None or isinstance(value, bool | str | bytes):
        return None
    try:
        return as_number("", value)
    except JupyterGreenError:
        return None


def _told_since(tracker: Tracker, t_s: float) -> bool:
    level = tracker.level()
    return level is not None and level.t >= t_s


def _used_uj(run: _Run, level: Level) -> float | None:
    """Counted microjoules since the run was opened; None: no level is younger than the run."""
    if level.t <= run.opened_t:
        return None
    if run.from_uj is None:
        at = run.tracker.uj_at(run.opened_t)
        # Levels are remembered for two minutes.
        run.from_uj = at if at is not None else run.level_uj
    if run.from_uj is None:
        run.from_uj = level.uj
    return max(0.0, level.uj - run.from_uj)


def _intensity_in_words(intensity: Intensity | None) -> str | None:
    if intensity is None:
        return None
    year = f" {intensity.year}" if intensity.year is not None else ""
    estimated = ", estimated" if intensity.estimated else ""
    return f"{intensity.g_per_kwh:.4g} g/kWh ({intensity.place}{year}{estimated})"


def _in_words(level: Level) -> str:
    told = "modelled, at least in part" if level.modelled else "from counters or sensors"
    return f"{told}; at least, {', '.join(level.missing)} missing" if level.missing else told

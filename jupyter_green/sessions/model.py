"""What a session is to its readers: frozen values, made by the fold and by nothing else.

Every view (table, sidebar, report, data frame) takes a :class:`Session`. What is still open
says so in its type: an :class:`OpenCell` has no end, no status and no final energy.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct, structs

from jupyter_green.events import (
    STANDS_IN,
    CounterInfo,
    DeviceState,
    Intensity,
    Machine,
    ModelDescribed,
    Pricing,
    Refusal,
    Tags,
)
from jupyter_green.units import (
    co2_g,
    format_duration,
    format_energy,
    format_energy_with_bound,
    uj_to_j,
    uj_to_kwh,
)

if TYPE_CHECKING:
    import pandas as pd

BELOW_RESOLUTION = 0.25
"""A bound from the counters' updates above this share of the energy says nothing useful."""


class Energy(Struct, frozen=True, kw_only=True):
    """The energy of a window, with everything needed to believe it."""

    uj: dict[str, int]
    """Microjoules by counter, details included."""
    total_uj: int | None
    """Sum over the counted counters; None: none of them could be read."""
    lag_uj: float
    """Half-width of the 95 % interval that follows from the counters' updates."""
    bound_uj: float
    """``lag_uj`` and the systematic band of modelled counters together."""
    missing: tuple[str, ...] = ()
    """Counted counters whose energy is unknown in part or whole: the total is a lower bound."""
    provenance: tuple[str, ...] = ()
    """measured, integrated, modelled: of the counted counters that are in the total."""
    by_period: dict[int, int] = {}
    """Counted microjoules by period of one carbon intensity (index into ``Session.periods``)."""

    @property
    def energy_j(self) -> float | None:
        """Joules, or None where nothing could be read."""
        return None if self.total_uj is None else uj_to_j(self.total_uj)

    @property
    def bound_j(self) -> float:
        """Half-width of the stated interval, in joules."""
        return uj_to_j(self.bound_uj)

    @property
    def at_least(self) -> bool:
        """A part is missing: the true energy is this or more."""
        return bool(self.missing)

    @property
    def below_resolution(self) -> bool:
        """Too short for its counters: the updates at both ends outweigh the energy.

        Of one that lacks a counter this cannot be told.
        """
        if self.total_uj is None or self.missing:
            return False
        return self.lag_uj > BELOW_RESOLUTION * self.total_uj


class OpenCell(Struct, frozen=True, kw_only=True):
    """A cell that is still running. Its energy is so far."""

    number: int
    cell: str
    first_line: str
    execution_count: int | None
    tags: Tags
    thread: str
    parent: int | None
    started_s: float
    so_far: Energy
    suggested_stage: str | None = None


class Cell(Struct, frozen=True, kw_only=True):
    """One finished run of a cell."""

    number: int
    cell: str
    """Hashed identity: reruns of one cell share it."""
    first_line: str
    source: str | None
    execution_count: int | None
    tags: Tags
    thread: str
    parent: int | None
    started_s: float
    finished_s: float
    status: str
    """ok, error, interrupted, kernel died, or unfinished (its end was not recorded)."""
    error: str | None
    energy: Energy
    tree_share: float | None
    devices: tuple[str, ...]
    """Counters of the devices that the kernel's processes used."""
    devices_busy: tuple[str, ...]
    """Devices that were still at work when the cell ended."""
    devices_shared: tuple[str, ...] = ()
    """Devices of it that other processes used as well ..."""
    device_shares: dict[str, float] = {}
    """... and by device an estimate of the share of its work that was the kernel's."""
    suggested_stage: str | None = None
    """The stage that its source suggests, where it has no tag."""

    @property
    def duration_s(self) -> float:
        return self.finished_s - self.started_s

    @property
    def power_w(self) -> float | None:
        """Mean power over the cell."""
        if self.energy.energy_j is None or self.duration_s <= 0:
            return None
        return self.energy.energy_j / self.duration_s

    @property
    def label(self) -> str:
        """What a person calls it: the label, else the first line."""
        return self.tags.label or self.first_line

    @property
    def owns_time(self) -> bool:
        """Part of the ledger: an outermost cell of the main shell."""
        return self.thread == "main" and self.parent is None


class Span(Struct, frozen=True, kw_only=True):
    """A finished named window. Spans may nest and overlap; they are shown, never added."""

    span: int
    name: str
    type: str
    parent: int | None
    cell: int | None
    tags: Tags
    started_s: float
    finished_s: float
    status: str
    error: str | None
    energy: Energy

    @property
    def duration_s(self) -> float:
        return self.finished_s - self.started_s

    @property
    def power_w(self) -> float | None:
        """Mean power over the span."""
        if self.energy.energy_j is None or self.duration_s <= 0:
            return None
        return self.energy.energy_j / self.duration_s


BUSY = 0.2
"""Share of the processors' time from which on a machine is not called idle."""

STUDY = "study"
"""Source of the metrics that a study logs about its own runs: how often the work was done."""


class Metric(Struct, frozen=True, kw_only=True):
    """A logged value beside what it has cost so far."""

    name: str
    value: float
    step: float | None
    run: str | None
    direction: str | None
    source: str
    cell: int | None
    logged_s: float
    session_uj: int | None
    """Counted energy from the session's start to this value."""
    cell_uj: int | None
    """Counted energy from its cell's start to this value."""


class Hole(Struct, frozen=True, kw_only=True):
    """A stretch in which a counter's energy is unknown, or cannot be given to an owner."""

    counter: str
    since_s: float
    until_s: float | None
    """None: the counter has not come back."""
    reason: str
    remedy: str
    lost: bool
    """True: the energy is unknown. False: it is known in sum, only its owner is not."""


class Gap(Struct, frozen=True, kw_only=True):
    """A stretch without samples (the recorder was restarted); boundaries may be intact."""

    since_s: float
    until_s: float
    reason: str


class Overlap(Struct, frozen=True, kw_only=True):
    """Another session that read the same counters at the same time."""

    session: str
    pid: int
    notebook: str | None
    seen_s: float


class Baseline(Struct, frozen=True, kw_only=True):
    """Power of the idle machine, measured on request."""

    measured_s: float
    duration_s: float
    power_w: dict[str, float]
    busy: float | None = None
    """Share of the processors' time, of one, in which somebody else worked meanwhile."""

    @property
    def is_doubtful(self) -> bool:
        """The machine was not idle: net figures are too small."""
        return self.busy is not None and self.busy >= BUSY


class Period(Struct, frozen=True, kw_only=True):
    """A stretch with one carbon intensity, PUE and price."""

    since_s: float
    intensity: Intensity | None
    pricing: Pricing
    reason: str = ""
    """Why the intensity changed at its beginning; empty where it did not, or nobody said."""

    @property
    def stands_in(self) -> bool:
        """Its intensity is there because a live one could not be had."""
        return self.reason.endswith(STANDS_IN)


class Budget(Struct, frozen=True, kw_only=True):
    """What the session may use."""

    budget_uj: int
    """Counted energy from the session's start."""
    stop: bool
    """The cell that runs when it is used up is interrupted."""
    set_s: float


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the ledger."""

    uj: dict[str, int]
    total_uj: int
    seconds: float
    by_period: dict[int, int]


class Ledger(Struct, frozen=True, kw_only=True):
    """The partition of the session: per counter the entries add up to the total exactly."""

    productive: Entry
    superseded: Entry
    failed: Entry
    running: Entry
    between: Entry
    paused: Entry
    holes: Entry
    """Energy that is known in sum, but lies across boundaries that could not be read."""
    category_of: dict[int, str]
    """Category of every cell that owns time, by its number."""

    @property
    def entries(self) -> dict[str, Entry]:
        """The seven entries by name, in the order in which they are shown."""
        return {
            "productive": self.productive,
            "superseded": self.superseded,
            "failed": self.failed,
            "running": self.running,
            "between cells": self.between,
            "paused": self.paused,
            "holes": self.holes,
        }

    def __repr__(self) -> str:
        used = [
            f"{name} {format_energy(entry.total_uj)}"
            for name, entry in self.entries.items()
            if entry.total_uj
        ]
        return f"<Ledger: {', '.join(used) or 'no energy'}>"


class Trace(Struct, frozen=True, kw_only=True):
    """All stamps as columns. A reading that is missing is -1."""

    t: array[float]
    uj: dict[str, array[int]]


class Session(Struct, frozen=True, kw_only=True):
    """A session as far as it has been recorded."""

    id: str
    format: str
    version: str
    state: str
    """open, closed, or ended without goodbye."""
    reason: str | None
    """Why it ended."""
    started_wall_s: float
    ended_wall_s: float
    """Wall time of the last event, suspends included."""
    duration_s: float
    host: str
    boot_id: str
    pid: int
    process_started: float
    front_end: str
    notebook: str | None
    project: str | None
    machine: Machine
    counters: dict[str, CounterInfo]
    refused: tuple[Refusal, ...]
    cells: tuple[Cell, ...]
    open_cells: tuple[OpenCell, ...]
    spans: tuple[Span, ...]
    metrics: tuple[Metric, ...]
    models: tuple[ModelDescribed, ...]
    baselines: tuple[Baseline, ...]
    total: Energy
    ledger: Ledger
    periods: tuple[Period, ...]
    holes: tuple[Hole, ...]
    gaps: tuple[Gap, ...]
    overlaps: tuple[Overlap, ...]
    paused: bool
    devices: dict[str, DeviceState]
    """By counter, what the devices in use were doing at the last sample ..."""
    devices_s: float
    """... and when that was, in seconds since the start."""
    power_w: float | None
    """Mean counted power over the last few seconds of stamps."""
    trace: Trace
    suspends: tuple[tuple[float, float], ...] = ()
    """After each suspend, when it was noticed, and the seconds spent in suspend until then."""
    bad_lines: int = 0
    unknown_events: int = 0
    samples_dropped: int = 0
    problems: tuple[str, ...] = ()
    """What the recorder could not do (a disk that is full), in sentences."""
    budget: Budget | None = None

    charts: ClassVar[Any]
    """The pictures, as in ``session.charts.power()``. The views give them to all sessions when
    they are loaded (:mod:`jupyter_green.report`): this floor knows none of them."""

    def __repr__(self) -> str:
        """One line: everything is in the attributes, and would fill pages."""
        cells = f"{len(self.cells)} cell{'s' * (len(self.cells) != 1)}"
        facts = ", ".join((cells, self._energy_words(), format_duration(self.duration_s)))
        return f"<Session {self.id} {self.state}: {facts}>"

    @property
    def is_script(self) -> bool:
        """A plain script: it has no cells, what it measures are spans, and a ledger would say
        nothing."""
        return self.front_end == "script" and not (self.cells or self.open_cells)

    @property
    def windows(self) -> tuple[Span, ...]:
        """The outermost spans of a plain script that have ended; empty of anything else."""
        if not self.is_script:
            return ()
        ended = {span.span for span in self.spans}
        return tuple(span for span in self.spans if span.parent not in ended)

    def _energy_words(self) -> str:
        total = self.total
        if total.total_uj is None:
            return "no counter"
        if total.at_least:
            return f"≥ {format_energy(total.total_uj)}"
        if not total.bound_uj:
            # Before the first boundary nothing is known of the counters' updates.
            return format_energy(total.total_uj)
        return format_energy_with_bound(total.total_uj, total.bound_uj)

    # --- figures ---

    def wall_at(self, t: float) -> float:
        """Wall time at ``t``. Monotonic time stands still in suspend, wall time does not."""
        noticed = bisect_right(self.suspends, t, key=lambda suspend: suspend[0])
        suspended_s = self.suspends[noticed - 1][1] if noticed else 0.0
        return self.started_wall_s + t + suspended_s

    def co2_g(self, energy: Energy | Entry) -> float | None:
        """Grams of CO2e of a window, each stretch with the intensity then in force.

        None where a part of it has no intensity, because a place was never set, or one of
        another basis, which must not be mixed. Energy from before the first place was set
        counts with that place: the machine has not moved.
        """
        if isinstance(energy, Energy) and energy.total_uj is None:
            return None
        if self.intensity is None:
            return None
        grams, basis = 0.0, self.intensity.basis
        for period, uj in energy.by_period.items():
            in_force = self.periods[period]
            if in_force.intensity is None or in_force.intensity.basis != basis:
                return None
            grams += co2_g(uj, in_force.intensity.g_per_kwh, in_force.pricing.pue)
        return grams

    def cost(self, energy: Energy | Entry) -> float | None:
        """Price of a window in ``pricing.currency``; None where a part has no price in it."""
        cost = 0.0
        for period, uj in energy.by_period.items():
            pricing = self.periods[period].pricing
            if pricing.price_per_kwh is None or pricing.currency != self.pricing.currency:
                return None
            cost += uj_to_kwh(uj) * pricing.pue * pricing.price_per_kwh
        return cost if self.pricing.price_per_kwh is not None else None

    @property
    def intensity(self) -> Intensity | None:
        """The carbon intensity in force at the end."""
        return self.periods[-1].intensity

    @property
    def pricing(self) -> Pricing:
        """PUE and price in force at the end."""
        return self.periods[-1].pricing

    def with_intensity(self, intensity: Intensity) -> Session:
        """The same session at another place throughout; PUE and prices stay."""
        periods = tuple(structs.replace(period, intensity=intensity) for period in self.periods)
        return structs.replace(self, periods=periods)

    def with_pue(self, pue: float) -> Session:
        """The same session with another PUE throughout; prices and intensities stay."""
        return self._priced(pue=pue)

    def with_price(self, price_per_kwh: float, currency: str) -> Session:
        """The same session with another price throughout; PUE and intensities stay."""
        return self._priced(price_per_kwh=price_per_kwh, currency=currency)

    def _priced(self, **changes: object) -> Session:
        periods = tuple(
            structs.replace(period, pricing=structs.replace(period.pricing, **changes))
            for period in self.periods
        )
        return structs.replace(self, periods=periods)

    def share(self, energy: Energy | Entry) -> float | None:
        """Share of the session's counted energy, of one."""
        if not self.total.total_uj or energy.total_uj is None:
            return None
        return energy.total_uj / self.total.total_uj

    @property
    def results(self) -> tuple[Metric, ...]:
        """The metrics that tell a quality: all but what studies log about their own runs.

        Views show these; ``metrics`` is all that was logged.
        """
        return tuple(metric for metric in self.metrics if metric.source != STUDY)

    def metrics_of(self, number: int) -> tuple[Metric, ...]:
        """The results logged during one run of a cell, in order."""
        return tuple(metric for metric in self.results if metric.cell == number)

    def cell(self, number: int) -> Cell:
        """The finished run with this number.

        Raises:
            KeyError: there is none, or it is still running.
        """
        for cell in self.cells:
            if cell.number == number:
                return cell
        raise KeyError(number)

    def span(self, span: int) -> Span:
        """The finished span with this number.

        Raises:
            KeyError: there is none, or it is still open.
        """
        for candidate in reversed(self.spans):
            if candidate.span == span:
                return candidate
        raise KeyError(span)

    # --- data frames ---

    def dataframe(self) -> pd.DataFrame:
        """The cells as a pandas DataFrame, one row a run."""
        from jupyter_green.sessions import frames  # noqa: PLC0415  (pandas loads on use)

        return frames.cells(self)

    def spans_dataframe(self) -> pd.DataFrame:
        """The spans as a pandas DataFrame."""
        from jupyter_green.sessions import frames  # noqa: PLC0415

        return frames.spans(self)

    def metrics_dataframe(self) -> pd.DataFrame:
        """The logged metrics as a pandas DataFrame."""
        from jupyter_green.sessions import frames  # noqa: PLC0415

        return frames.metrics(self)

    def power_dataframe(self) -> pd.DataFrame:
        """Mean watts between consecutive stamps, one column a counter."""
        from jupyter_green.sessions import frames  # noqa: PLC0415

        return frames.power(self)

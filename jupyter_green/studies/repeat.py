"""Energy of something too short to measure once: ``%energyit`` as ``%timeit``, and the parts of
every study that repeats work: enough loops, warm-up, one run as a span, what the runs have shown.

The work is repeated in a loop until the counters' updates are less than a hundredth of the
window, the loop is run several times after a warm-up, and mean and standard deviation are told
per loop. Published guides to energy experiments ask for just this (Cruz, "Green software
engineering done right", 2021): warm-up, repetition, deviation.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jupyter_green.errors import RecorderError, SettingError
from jupyter_green.events import CounterInfo, Tags
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import BELOW_RESOLUTION, Session, Span
from jupyter_green.units import UJ_PER_J, format_duration, format_energy, format_energy_with_bound

RESOLUTION_SHARE = 0.01
"""One update of the slowest counter is at most this share of a run."""
SHORTEST_RUN_S = 0.1
SHORTEST_DEVICE_RUN_S = 1.0
"""A GPU's counter moves ten times a second; boundaries are placed between its ticks to a
millisecond or so, where the power around them is steady."""
RUNS = 7
MOST_LOOPS = 10**9

DELIBERATE = Tags(deliberate=True)

Loop = Callable[[int], object]
"""Does the work so many times."""


@dataclass(frozen=True)
class Work:
    """What is repeated, and what its runs are called in the session."""

    loop: Loop
    name: str
    tags: Tags = DELIBERATE


@dataclass(frozen=True, repr=False)
class Repeated:
    """What repeating has shown. All figures are per loop."""

    loops: int
    """How often the work was done in each run."""
    energies_j: tuple[float, ...]
    """Joules, run by run; the whole machine's."""
    durations_s: tuple[float, ...]
    bound_j: float
    """Half-width of the interval that the counters' updates leave around a single run."""
    idle_w: float | None
    """Power of the idle machine; None: no baseline was measured, or one without a device that
    the work uses."""
    missing: tuple[str, ...]
    """Counters that could not be read throughout: the energies are lower bounds."""
    provenance: tuple[str, ...]

    @property
    def energy_j(self) -> float:
        """Mean joules."""
        return statistics.fmean(self.energies_j)

    @property
    def deviation_j(self) -> float:
        """Standard deviation between runs, in joules; 0 for a single run."""
        return statistics.stdev(self.energies_j) if len(self.energies_j) > 1 else 0.0

    @property
    def duration_s(self) -> float:
        """Mean seconds."""
        return statistics.fmean(self.durations_s)

    @property
    def power_w(self) -> float:
        """Mean watts during the runs."""
        return self.energy_j / self.duration_s

    @property
    def below_resolution(self) -> bool:
        """Too few loops: what the counters leave open outweighs the energy, or they stood still."""
        return self.bound_j >= BELOW_RESOLUTION * self.energy_j

    @property
    def net_j(self) -> float | None:
        """Mean joules above those of the idle machine; None without a baseline, and where a
        counter is missing: a lower bound less something says nothing."""
        if self.idle_w is None or self.missing:
            return None
        return self.energy_j - self.idle_w * self.duration_s

    def __repr__(self) -> str:
        return " · ".join(self._parts())

    def _repr_html_(self) -> str:
        energy, *others = self._parts()
        line = " · ".join((f"<b>{energy}</b>", *others))
        return f'<div style="font-size:12px;opacity:.85">{line}</div>'

    def _parts(self) -> list[str]:
        runs = len(self.energies_j)
        energy = format_energy_with_bound(self.energy_j * UJ_PER_J, self.deviation_j * UJ_PER_J)
        parts = [
            f"{'≥ ' if self.missing else ''}{energy} per loop",
            f"mean ± std. dev. of {runs} run{'s' * (runs > 1)}, {self.loops:,} "
            f"loop{'s' * (self.loops > 1)} each",
        ]
        if self.missing:
            parts.append(f"{', '.join(self.missing)} missing")
        if self.below_resolution:
            parts.append(f"below resolution: {self.loops:,} loops are too few for the counters")
        net_j = self.net_j
        if net_j is not None and not self.below_resolution:
            parts.append(f"{format_energy(net_j * UJ_PER_J)} net of idle")
        return [*parts, format_duration(self.duration_s), " + ".join(self.provenance)]


def repeat(
    tracker: Tracker, loop: Loop, *, name: str, loops: int | None = None, runs: int = RUNS
) -> Repeated:
    """Measure ``loop`` over several runs.

    Args:
        tracker: of the session in which the runs are recorded, as spans.
        loop: called with the number of loops.
        name: what the spans are called.
        loops: in each run; None: so many that the counters resolve a run.
        runs: measured runs; a first one, for warming up, comes on top.

    Raises:
        SettingError: a number below one.
        RecorderError: nothing can be read here, or the recorder does not answer.
    """
    if runs < 1 or (loops is not None and loops < 1):
        raise SettingError(f"loops and runs must be 1 or more, they are {loops} and {runs}")
    work = Work(loop, name)
    loops = warmed_up(tracker, work, loops)
    spans = [one_run(tracker, work, loops) for _ in range(runs)]
    return told(tracker.session(), spans, loops)


def enough_loops(loop: Loop, seconds: float) -> int:
    """The number of loops that take at least ``seconds``; warms up on the way."""
    loops = 1
    while loops < MOST_LOOPS:
        began_s = time.perf_counter()
        loop(loops)
        took_s = time.perf_counter() - began_s
        if took_s >= seconds:
            return loops
        # Not too far at once: the first loops are the slowest.
        factor = min(10.0, 1.1 * seconds / max(took_s, 1e-9))
        loops = max(loops + 1, math.ceil(loops * factor))
    return MOST_LOOPS


def warmed_up(
    tracker: Tracker, work: Work, loops: int | None = None, seconds: float | None = None
) -> int:
    """The number of loops of a run, after one of them; the work may turn out to use a device.

    Args:
        loops: where the user wants just so many.
        seconds: where the user wants runs of this length; None: as long as the counters need.

    Raises:
        RecorderError: nothing can be read here, or the recorder does not answer.
    """
    needed_s = shortest_run_s(tracker.session())
    number = loops or enough_loops(work.loop, seconds or needed_s)
    # A window of its own, at whose ends it is looked at who uses the devices.
    one_run(tracker, work, number, "warm-up")
    if loops or seconds:
        return number
    slower_s = shortest_run_s(tracker.session())
    return enough_loops(work.loop, slower_s) if slower_s > needed_s else number


def shortest_run_s(session: Session) -> float:
    """Seconds after which every counter in use resolves a run.

    Raises:
        RecorderError: there is none.
    """
    counted = [info for info in session.counters.values() if info.counted]
    if not counted:
        raise RecorderError(
            "no energy counter can be read here, and no model is possible; %green says why"
        )
    used = [info for info in counted if info.scope != "device" or session.total.uj.get(info.name)]
    return max([SHORTEST_RUN_S, *map(_resolved_s, used)])


def _resolved_s(info: CounterInfo) -> float:
    """A window of which the counter's updates are no more than a hundredth."""
    return SHORTEST_DEVICE_RUN_S if info.centred else info.resolution_s / RESOLUTION_SHARE


def one_run(tracker: Tracker, work: Work, loops: int, type_: str = "trial") -> int:
    """Do the work as one span; returns its number. What the work raises passes through."""
    span = tracker.span_started(work.name, type_, work.tags)
    status, error = "ok", None
    try:
        work.loop(loops)
    except BaseException as raised:
        status = "interrupted" if isinstance(raised, KeyboardInterrupt) else "error"
        error = type(raised).__name__
        raise
    finally:
        tracker.span_finished(span, status, error)
    return span


def told(session: Session, numbers: Sequence[int], loops: int) -> Repeated:
    """What the runs have shown.

    Args:
        numbers: of the runs' spans.
        loops: of each run.

    Raises:
        RecorderError: the energy of a run is not known.
    """
    spans = _spans(session, numbers)
    energies = [span.energy.energy_j for span in spans]
    known = [energy_j for energy_j in energies if energy_j is not None]
    if len(known) < len(spans):
        raise RecorderError("a run has no energy: its counters could not be read; see %green")
    return Repeated(
        loops=loops,
        energies_j=tuple(energy_j / loops for energy_j in known),
        durations_s=tuple(span.duration_s / loops for span in spans),
        bound_j=max(span.energy.lag_uj for span in spans) / UJ_PER_J / loops,
        idle_w=None if not_in_baseline(session, numbers) else _idle_w(session, spans),
        missing=tuple(sorted({name for span in spans for name in span.energy.missing})),
        provenance=tuple(sorted({name for span in spans for name in span.energy.provenance})),
    )


def not_in_baseline(session: Session, numbers: Sequence[int]) -> tuple[str, ...]:
    """Counters that the runs have moved and the idle baseline does not know.

    A device counts from its first use on. Where that was after the baseline, its idle power is
    not known, and it is not zero.
    """
    if not session.baselines:
        return ()
    power_w = session.baselines[-1].power_w
    return tuple(
        name
        for name in _moved(session, _spans(session, numbers))
        if name not in power_w or (session.counters[name].scope == "device" and not power_w[name])
    )


def _idle_w(session: Session, spans: Sequence[Span]) -> float | None:
    """Watts of the idle machine, of the counters that are in the runs' energy."""
    if not session.baselines:
        return None
    power_w = session.baselines[-1].power_w
    return sum(power_w[name] for name in _moved(session, spans))


def _moved(session: Session, spans: Sequence[Span]) -> list[str]:
    moved = {name for span in spans for name, uj in span.energy.uj.items() if uj}
    return sorted(name for name in moved if session.counters[name].counted)


def _spans(session: Session, numbers: Sequence[int]) -> list[Span]:
    try:
        return [session.span(number) for number in numbers]
    except KeyError as error:
        raise RecorderError(
            f"run {error} has ended, but its end has not reached the journal; see %green"
        ) from None

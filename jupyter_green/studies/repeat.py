"""Energy of something too short to measure once: ``%energyit`` as ``%timeit``.

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
from jupyter_green.sessions.model import BELOW_RESOLUTION, Baseline, Session, Span
from jupyter_green.units import UJ_PER_J, format_duration, format_energy, format_energy_with_bound

RESOLUTION_SHARE = 0.01
"""One update of the slowest counter is at most this share of a run."""
SHORTEST_RUN_S = 0.1
SHORTEST_DEVICE_RUN_S = 1.0
"""A GPU's counter moves ten times a second; boundaries are placed between its ticks to a
millisecond or so, where the power around them is steady."""
RUNS = 7
MOST_LOOPS = 10**9

Loop = Callable[[int], object]
"""Does the work so many times."""


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
    """Power of the idle machine, if a baseline was measured."""
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
        """Too few loops: what the counters leave open outweighs the energy."""
        return self.bound_j > BELOW_RESOLUTION * self.energy_j

    @property
    def net_j(self) -> float | None:
        """Mean joules above those of the idle machine; None without a baseline."""
        return None if self.idle_w is None else self.energy_j - self.idle_w * self.duration_s

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
    tracker: Tracker, work: Loop, *, name: str, loops: int | None = None, runs: int = RUNS
) -> Repeated:
    """Measure ``work`` over several runs.

    Args:
        tracker: of the session in which the runs are recorded, as spans.
        work: called with the number of loops.
        name: what the spans are called.
        loops: in each run; None: so many that the counters resolve a run.
        runs: measured runs; a first one, for warming up, comes on top.

    Raises:
        SettingError: a number below one.
        RecorderError: nothing can be read here, or the recorder does not answer.
    """
    if runs < 1 or (loops is not None and loops < 1):
        raise SettingError(f"loops and runs must be 1 or more, they are {loops} and {runs}")
    loops = _warmed_up(tracker, work, loops, name)
    spans = [_one_run(tracker, work, loops, name) for _ in range(runs)]
    session = tracker.session()
    return _told([session.span(span) for span in spans], loops, session.baselines)


def enough_loops(work: Loop, seconds: float) -> int:
    """The number of loops that take at least ``seconds``; warms up on the way."""
    loops = 1
    while loops < MOST_LOOPS:
        began_s = time.perf_counter()
        work(loops)
        took_s = time.perf_counter() - began_s
        if took_s >= seconds:
            return loops
        # Not too far at once: the first loops are the slowest.
        factor = min(10.0, 1.1 * seconds / max(took_s, 1e-9))
        loops = max(loops + 1, math.ceil(loops * factor))
    return MOST_LOOPS


def _warmed_up(tracker: Tracker, work: Loop, loops: int | None, name: str) -> int:
    """The number of loops of a run, after one of them; the work may turn out to use a device."""
    needed_s = _shortest_run_s(tracker.session())
    number = loops or enough_loops(work, needed_s)
    # A window of its own, at whose ends it is looked at who uses the devices.
    _one_run(tracker, work, number, name, "warm-up")
    slower_s = needed_s if loops else _shortest_run_s(tracker.session())
    return enough_loops(work, slower_s) if slower_s > needed_s else number


def _shortest_run_s(session: Session) -> float:
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


def _one_run(tracker: Tracker, work: Loop, loops: int, name: str, type_: str = "trial") -> int:
    span = tracker.span_started(name, type_, Tags(deliberate=True))
    status, error = "ok", None
    try:
        work(loops)
    except BaseException as raised:
        status = "interrupted" if isinstance(raised, KeyboardInterrupt) else "error"
        error = type(raised).__name__
        raise
    finally:
        tracker.span_finished(span, status, error)
    return span


def _told(spans: Sequence[Span], loops: int, baselines: Sequence[Baseline]) -> Repeated:
    energies = [span.energy.energy_j for span in spans]
    known = [energy_j for energy_j in energies if energy_j is not None]
    if len(known) < len(spans):
        raise RecorderError("a run has no energy: its counters could not be read; see %green")
    return Repeated(
        loops=loops,
        energies_j=tuple(energy_j / loops for energy_j in known),
        durations_s=tuple(span.duration_s / loops for span in spans),
        bound_j=max(span.energy.lag_uj for span in spans) / UJ_PER_J / loops,
        idle_w=sum(baselines[-1].power_w.values()) if baselines else None,
        missing=tuple(sorted({name for span in spans for name in span.energy.missing})),
        provenance=tuple(sorted({name for span in spans for name in span.energy.provenance})),
    )

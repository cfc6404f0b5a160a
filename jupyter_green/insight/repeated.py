"""What repeating the same work has shown: energy and time of one loop, with their deviation.

The runs are spans of a session, each of so many loops. How they are measured is in
:mod:`jupyter_green.studies.repeat`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_green.errors import RecorderError
from jupyter_green.sessions.model import BELOW_RESOLUTION, STUDY, Metric, Session, Span
from jupyter_green.units import UJ_PER_J, format_duration, format_energy, format_energy_with_bound

LOOPS, BATCH_SIZE = "loops", "batch_size"
"""Names of the metrics by which a study says how often a trial did its work, and on how many
items each time."""


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
        """Mean joules above those of the idle machine; None without a baseline, where a counter is
        missing (a lower bound less something says nothing), and where it would be below 0."""
        if self.idle_w is None or self.missing or self.below_idle:
            return None
        return self.energy_j - self.idle_w * self.duration_s

    @property
    def below_idle(self) -> bool:
        """The runs took less than the baseline says of the idle machine: that was not idle."""
        return self.idle_w is not None and self.energy_j < self.idle_w * self.duration_s

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


def loops_of(logged: Iterable[Metric]) -> int:
    """How often a trial did its work, by what was logged in it: once, where nothing says so."""
    return _count(logged, LOOPS)


def items_of(logged: Iterable[Metric]) -> int:
    """The same for the items that it works on each time: inferences in a batch."""
    return _count(logged, BATCH_SIZE)


def _count(logged: Iterable[Metric], name: str) -> int:
    told = [one.value for one in logged if one.name == name and one.source == STUDY]
    return int(told[-1]) if told and math.isfinite(told[-1]) and told[-1] >= 1 else 1

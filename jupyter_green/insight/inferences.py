"""What inference costs, by batch size: frozen values, computed from a session alone.

Measured by :func:`jupyter_green.studies.inference.measure_inference`; what they look like is in
:mod:`jupyter_green.report.studies.inferred`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jupyter_green.errors import RecorderError
from jupyter_green.insight.repeated import Repeated, items_of, loops_of, not_in_baseline, told
from jupyter_green.insight.windows import INFERENCE, TRIAL, Logged
from jupyter_green.sessions.model import STUDY, Metric, Session, Span
from jupyter_green.units import format_share

LATENCY, LATENCY_P95 = "latency_s", "latency_p95_s"
"""Names of the metrics by which a study says what its runs cannot tell."""
PER = 1000
"""Inferences that a person thinks of at once."""
LATENCY_CALLS = 20
"""Fewer calls have no 95th percentile."""


@dataclass(frozen=True, kw_only=True)
class InferenceAt:
    """What inference costs at one batch size. All energies are of the whole machine."""

    batch_size: int
    """Inferences (items) of one call."""
    calls: Repeated
    """The measured runs, per call."""
    latency_s: float
    """Median seconds of single calls, each waited for; timed between the runs."""
    latency_p95_s: float | None
    """Seconds that 95 of 100 calls stay within; None: fewer than 20 calls were timed."""

    @property
    def energies_per_item_j(self) -> tuple[float, ...]:
        """Joules per inference, run by run."""
        return tuple(energy_j / self.batch_size for energy_j in self.calls.energies_j)

    @property
    def energy_per_item_j(self) -> float:
        """Mean joules per inference."""
        return self.calls.energy_j / self.batch_size

    @property
    def per_1000_j(self) -> float:
        """Mean joules per 1000 inferences."""
        return PER * self.energy_per_item_j

    @property
    def deviation_per_item_j(self) -> float:
        """Standard deviation between runs, in joules per inference; 0 for a single run."""
        return self.calls.deviation_j / self.batch_size

    @property
    def bound_per_item_j(self) -> float:
        """Half-width of the interval that the counters' updates leave around a single run."""
        return self.calls.bound_j / self.batch_size

    @property
    def net_per_item_j(self) -> float | None:
        """Mean joules per inference above those of the idle machine; None: not known."""
        net_j = self.calls.net_j
        return None if net_j is None else net_j / self.batch_size

    @property
    def net_per_1000_j(self) -> float | None:
        """Mean joules per 1000 inferences above those of the idle machine; None: not known."""
        net_j = self.net_per_item_j
        return None if net_j is None else PER * net_j

    @property
    def duration_per_item_s(self) -> float:
        """Mean seconds per inference, in the uninterrupted loop."""
        return self.calls.duration_s / self.batch_size

    @property
    def items_per_s(self) -> float:
        """Throughput: inferences a second, in the uninterrupted loop."""
        return 1 / self.duration_per_item_s

    @property
    def power_w(self) -> float:
        """Mean watts of the machine during the runs."""
        return self.calls.power_w

    @property
    def below_resolution(self) -> bool:
        """What the counters leave open outweighs the energy: longer runs are needed."""
        return self.calls.below_resolution

    @property
    def missing(self) -> tuple[str, ...]:
        """Counters that could not be read throughout: the energies are lower bounds."""
        return self.calls.missing

    @property
    def provenance(self) -> tuple[str, ...]:
        """measured, integrated, modelled: of the counters in the energies."""
        return self.calls.provenance


@dataclass(frozen=True, kw_only=True, repr=False)
class Figures:
    """The energy of inference with one model, by batch size."""

    label: str
    rows: tuple[InferenceAt, ...]
    """The smallest batch first."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the user says the model is worth, as ``{"accuracy": 0.93}``."""
    notes: tuple[str, ...] = ()
    """What a reader must know: assumptions of models, why there is no net figure."""

    @property
    def best(self) -> InferenceAt:
        """The batch size with the fewest joules per inference.

        Sizes below the counters' resolution come last. Whether its lead is more than chance, and
        whether the joules are measured at all, is in the sentence.
        """
        return min(self.rows, key=lambda row: (row.below_resolution, row.energy_per_item_j))

    @property
    def modelled(self) -> bool:
        """A model of the processor is in the joules: they support no claim of saved energy."""
        return any("modelled" in row.provenance for row in self.rows)

    def at(self, batch_size: int) -> InferenceAt:
        """The row of a batch size.

        Raises:
            KeyError: it was not measured.
        """
        for row in self.rows:
            if row.batch_size == batch_size:
                return row
        raise KeyError(batch_size)


def latencies(seconds: Sequence[float]) -> tuple[float, float | None]:
    """Median and 95th percentile of the times of single calls; None: there are too few of them."""
    median = statistics.median(seconds)
    if len(seconds) < LATENCY_CALLS:
        return median, None
    return median, sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]


# --- from a session -----------------------------------------------------------------------


def inferences_of(session: Session) -> tuple[Figures, ...]:
    """What the studies of a session have shown, in their order; interrupted ones are left out."""
    studies = [span for span in session.spans if span.type == INFERENCE and span.status == "ok"]
    if not studies:
        return ()
    logged = Logged(session)
    found = (figures_of(logged, study) for study in studies)
    return tuple(one for one in found if one is not None)


def figures_of(logged: Logged, study: Span) -> Figures | None:
    """What one study has shown; None: a run of it has no energy, or there is none."""
    session = logged.session
    known = logged.metrics(study)
    by_size: dict[int, list[Span]] = {}
    for span in session.spans:
        if span.parent == study.span and span.type == TRIAL:
            by_size.setdefault(items_of(logged.metrics(span)), []).append(span)
    try:
        rows = tuple(_row(logged, known, size, by_size[size]) for size in sorted(by_size))
    except RecorderError:
        return None
    if not rows:
        return None
    return Figures(
        label=study.name,
        rows=rows,
        metrics={one.name: one.value for one in known if one.source != STUDY},
        notes=tuple(_notes(session, [span for spans in by_size.values() for span in spans], rows)),
    )


def _row(logged: Logged, known: Sequence[Metric], size: int, spans: Sequence[Span]) -> InferenceAt:
    numbers = [span.span for span in spans]
    own = [one for one in known if one.run == spans[0].name]
    latency_s = _fact(own, LATENCY)
    calls = told(logged.session, numbers, loops_of(logged.metrics(spans[0])))
    return InferenceAt(
        batch_size=size,
        calls=calls,
        latency_s=calls.duration_s if latency_s is None else latency_s,
        latency_p95_s=_fact(own, LATENCY_P95),
    )


def _fact(logged: Iterable[Metric], name: str) -> float | None:
    found = [one.value for one in logged if one.name == name and one.source == STUDY]
    return found[-1] if found else None


def _notes(session: Session, spans: Sequence[Span], rows: Iterable[InferenceAt]) -> Iterator[str]:
    used = {name for span in spans for name, uj in span.energy.uj.items() if uj}
    for name, info in session.counters.items():
        if info.counted and name in used and info.provenance == "modelled":
            band = f", ± {format_share(info.band)}" if info.band else ""
            yield f"{name} is modelled: {info.assumption or 'no sensor can be read'}{band}"
    missing = sorted({name for span in spans for name in span.energy.missing})
    if missing:
        yield f"{', '.join(missing)} could not be read throughout: the joules are lower bounds"
    unknown = not_in_baseline(session, [span.span for span in spans])
    if unknown:
        yield (
            f"no figures net of idle: the baseline was measured before {', '.join(unknown)} was "
            "used; measure it again"
        )
    last = session.baselines[-1] if session.baselines else None
    if last is not None and last.is_doubtful:
        yield (
            f"the processors were {format_share(last.busy or 0.0)} busy when the baseline was "
            "measured: that was no idle machine, and what is net of it is too little"
        )
    if any(row.calls.below_idle for row in rows):
        yield (
            "no figures net of idle where they would be below 0: the machine was not idle when the "
            "baseline was measured; measure it again"
        )
    if session.overlaps:
        yield "another session read the same counters at the time"

"""What inference costs, by batch size: frozen values.

Made by :func:`jupyter_green.studies.inference.measure_inference`; what they look like is in
:mod:`jupyter_green.studies.inference_view`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from jupyter_green.studies.repeat import Repeated

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
    latencies_s: tuple[float, ...]
    """Seconds of single calls, each waited for; timed between the runs."""

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
    def latency_s(self) -> float:
        """Median seconds of a call."""
        return statistics.median(self.latencies_s)

    @property
    def latency_p95_s(self) -> float | None:
        """Seconds that 95 of 100 calls stay within; None: fewer than 20 calls were timed."""
        if len(self.latencies_s) < LATENCY_CALLS:
            return None
        return sorted(self.latencies_s)[math.ceil(0.95 * len(self.latencies_s)) - 1]

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

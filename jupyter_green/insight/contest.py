"""What techniques cost and what they brought, side by side: frozen values.

Made by :func:`jupyter_green.insight.compare.contest`; what they say in words is in
:mod:`jupyter_green.insight.verdict`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jupyter_green.events import ModelDescribed
from jupyter_green.insight.findings import short
from jupyter_green.insight.statistics import LARGEST, Contrast, Estimate, estimate


@dataclass(frozen=True)
class Repeat:
    """One run of one technique: a cell or a span."""

    session: str
    """Id of the session."""
    cell: int | None
    """Number of the cell that it is, or lies in."""
    span: int | None
    """Number of the span; None: it is the whole cell."""
    started_s: float
    """Seconds after the session's start."""
    status: str
    """ok, error, interrupted, kernel died or unfinished."""
    error: str | None
    """Class name of the exception."""
    loops: int
    """How often the work was done; all figures are for one of them."""
    duration_s: float
    energy_j: float | None
    """Joules of the whole machine; None: no counter could be read."""
    bound_j: float
    """Half-width of the interval that is stated with ``energy_j``."""
    missing: tuple[str, ...]
    """Counters that could not be read throughout: the energy is a lower bound."""
    provenance: tuple[str, ...]
    grams: float | None
    """CO2 equivalent; None: no place was set, or a part of the energy is not known."""
    last: float | None
    """Last value of the metric, finite or not; None: it was not logged."""
    best: float | None
    """Best finite value of it; None: there is none, or nobody knows which is better."""
    measured_by: tuple[str, ...]
    """Machine and counters: energies are compared only where these are the same."""
    left_out: str = ""
    """Why it is in no mean; empty: it is."""
    energy_left_out: str = ""
    """Why its energy is in no mean, while time and metric are."""

    @property
    def ended_s(self) -> float:
        """Seconds after the session's start."""
        return self.started_s + self.duration_s * self.loops


@dataclass(frozen=True, repr=False)
class Side:
    """One label (or run, or callable) with all its runs."""

    name: str
    """As the user wrote it: never trusted, made harmless by whoever shows it."""
    repeats: tuple[Repeat, ...]
    """All attempts in the order of time, with those that are in no mean."""
    model: ModelDescribed | None
    """Parameters, size and FLOPs as the user described them."""
    uses_best: bool = False
    """The best value of each run is compared, and not the last."""

    @property
    def compared(self) -> tuple[Repeat, ...]:
        """The runs that succeeded and were not disturbed."""
        return tuple(repeat for repeat in self.repeats if not repeat.left_out)

    @property
    def measured(self) -> tuple[Repeat, ...]:
        """Those of them whose energy counts."""
        return tuple(
            repeat
            for repeat in self.compared
            if repeat.energy_j is not None and not repeat.energy_left_out
        )

    @property
    def succeeded(self) -> int:
        return sum(repeat.status == "ok" for repeat in self.repeats)

    @property
    def interrupted(self) -> int:
        return sum(repeat.status == "interrupted" for repeat in self.repeats)

    @property
    def failed(self) -> int:
        return len(self.repeats) - self.succeeded - self.interrupted

    @property
    def energies_j(self) -> tuple[float, ...]:
        """Joules of each run whose energy counts, for one loop."""
        return tuple(one.energy_j for one in self.measured if one.energy_j is not None)

    @property
    def durations_s(self) -> tuple[float, ...]:
        """Seconds of each compared run, for one loop."""
        return tuple(one.duration_s for one in self.compared)

    @property
    def values(self) -> tuple[float, ...]:
        """The metric of each compared run, where it is finite."""
        return tuple(value for value in map(self.value_of, self.compared) if value is not None)

    @property
    def logged(self) -> bool:
        """A run logged the metric, be it finite or not."""
        return any(one.last is not None for one in self.repeats)

    def value_of(self, repeat: Repeat) -> float | None:
        """What is compared of one run; None: it has no finite value."""
        value = repeat.best if self.uses_best else repeat.last
        usable = value is not None and math.isfinite(value) and abs(value) <= LARGEST
        return value if usable else None

    @property
    def energy(self) -> Estimate | None:
        """Mean joules; of lower bounds where ``at_least``. None: of no run known."""
        return _estimate(self.energies_j)

    @property
    def duration(self) -> Estimate | None:
        """Mean seconds."""
        return _estimate(self.durations_s)

    @property
    def quality(self) -> Estimate | None:
        """Mean of the metric."""
        return _estimate(self.values)

    @property
    def grams(self) -> Estimate | None:
        """Mean grams of CO2 equivalent; None: of a run they are not known."""
        known = [one.grams for one in self.measured if one.grams is not None]
        return _estimate(tuple(known)) if len(known) == len(self.measured) else None

    @property
    def at_least(self) -> tuple[str, ...]:
        """Counters that are missing in energies that count: these are lower bounds."""
        return tuple(sorted({name for one in self.measured for name in one.missing}))

    @property
    def provenance(self) -> tuple[str, ...]:
        return tuple(sorted({name for one in self.measured for name in one.provenance}))

    @property
    def spent_j(self) -> float | None:
        """Joules of all attempts, failed and interrupted ones included, with all their loops;
        a lower bound where ``spent_at_least``. None: nothing could be read."""
        known = [one.energy_j * one.loops for one in self.repeats if one.energy_j is not None]
        return math.fsum(known) if known else None

    @property
    def spent_at_least(self) -> bool:
        return any(one.missing or one.energy_j is None for one in self.repeats)

    def __repr__(self) -> str:
        """One line: everything is in the attributes, and would fill pages."""
        return f"<Side {short(self.name)!r}: {len(self.compared)} of {len(self.repeats)} runs>"

    def left_out(self) -> dict[str, int]:
        """Why successful runs are not in the mean energy, and how many."""
        reasons: dict[str, int] = {}
        for one in self.repeats:
            reason = (one.left_out or one.energy_left_out) if one.status == "ok" else ""
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
        return reasons


@dataclass(frozen=True)
class Pair:
    """A technique against the baseline. Contrasts are technique less baseline."""

    baseline: Side
    other: Side
    energy: Contrast | None
    """None: ``doubt`` says why it is not judged."""
    duration: Contrast | None
    quality: Contrast | None
    """None: fewer than two values a side."""
    doubt: str
    """Why energy is not judged: modelled, elsewhere (other machine or counters), few (runs), no
    counter, lower bounds (that carry no claim); empty: it is."""

    @property
    def least_saving(self) -> float | None:
        """Of lower bounds: the share of one that is saved at least (below 0: used at least)."""
        contrast = self.energy
        bounds = bool(self.baseline.at_least), bool(self.other.at_least)
        if contrast is None or not any(bounds) or not contrast.found:
            return None
        low, high = contrast.welch.ratio_low, contrast.welch.ratio_high
        if bounds == (True, False) and high is not None and high < 1:
            return 1 - high
        if bounds == (False, True) and low is not None and low > 1:
            return 1 - low
        return None


@dataclass(frozen=True, repr=False)
class Contest:
    """Techniques side by side, the first of them the baseline."""

    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    """The baseline with every other one, in their order."""
    metric: str | None
    """What quality is measured by; None: nothing was logged. User's text."""
    lower: bool | None
    """Whether lower is better; None: not known."""
    sentences: tuple[str, ...]
    """About energy and quality, one a pair, and what holds for all. Names in them are users'."""
    notes: tuple[str, ...]
    """What was left out, and what limits the trust in the figures."""

    @property
    def verdict(self) -> str:
        """All sentences."""
        return " ".join(self.sentences)

    def side(self, name: str) -> Side:
        """The side of that name.

        Raises:
            KeyError: there is none.
        """
        for side in self.sides:
            if side.name == name:
                return side
        raise KeyError(name)

    def __repr__(self) -> str:
        names = ", ".join(repr(short(side.name)) for side in self.sides)
        return f"<Contest of {names}>"

    @property
    def is_fraction(self) -> bool:
        """The metric is a fraction of one, told in points of a hundredth."""
        values = [value for side in self.sides for value in side.values]
        return is_fraction(values, self.lower)


def is_fraction(values: list[float], lower: bool | None) -> bool:
    """All values lie in 0 ... 1, and higher is known to be better, as of an accuracy.

    What nobody knows the direction of may be anything, and is told in its own unit.
    """
    return lower is False and bool(values) and all(0 <= value <= 1 for value in values)


def _estimate(values: tuple[float, ...]) -> Estimate | None:
    return estimate(values) if values else None

"""A logged metric over the energy that it took: curves, the best value, joules per point, knee.

The twin of ``labextension/src/view/curves.ts`` and ``knee.ts``: panel and report tell the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jupyter_green.sessions.model import Metric

FEWEST_POINTS = 6
MOST_OF_ENERGY = 0.4
LITTLE_GAIN = 0.2

HUNDREDTH = 0.01
"""A fraction of one is told in points of a hundredth, anything else in its own ones."""


@dataclass(frozen=True)
class Point:
    """A finite value and what its run had taken by then."""

    uj: int
    """Counted microjoules since the run began."""
    value: float
    step: float | None = None


@dataclass(frozen=True)
class Knee:
    """Where more energy stops paying."""

    index: int
    """Of the point in its curve."""
    energy_share: float
    """Share of the run's energy, of one, that was used after it."""
    gain: float
    """What was gained after it, in units of the metric, never negative."""


@dataclass(frozen=True)
class Curve:
    """One metric of one run, in the order of its energy."""

    metric: str
    run: str | None
    cell: int | None
    """Of the first value."""
    lower: bool | None
    """Whether lower is better; None: not known."""
    points: tuple[Point, ...]
    """Finite values with a known energy."""
    not_finite: int = 0
    without_energy: int = 0

    @property
    def best(self) -> Point | None:
        """The first best point; the last one where the direction is not known."""
        if not self.points or self.lower is None:
            return self.points[-1] if self.points else None
        return (min if self.lower else max)(self.points, key=lambda point: point.value)

    @property
    def best_so_far(self) -> tuple[Point, ...]:
        """The points with the best value up to each; as they are without a direction."""
        if self.lower is None:
            return self.points
        best: Callable[[float, float], float] = min if self.lower else max
        values = accumulate((point.value for point in self.points), best)
        return tuple(
            Point(point.uj, value, point.step)
            for point, value in zip(self.points, values, strict=True)
        )

    @property
    def is_fraction(self) -> bool:
        """All values lie in 0 ... 1, and higher is better: told in hundredths."""
        return self.lower is False and all(0 <= point.value <= 1 for point in self.points)

    @property
    def uj_per_point(self) -> float | None:
        """Microjoules from the first value to the best, for each point gained.

        A point is a hundredth of a fraction, else one unit of the metric. None: nothing was
        gained, or the direction is not known.
        """
        best = self.best
        if best is None or self.lower is None or best.value == self.points[0].value:
            return None
        first = self.points[0]
        each = (best.uj - first.uj) / abs(best.value - first.value)
        return each * (HUNDREDTH if self.is_fraction else 1.0)

    @property
    def knee(self) -> Knee | None:
        """Where returns diminish clearly, if they do and the direction is known."""
        return None if self.lower is None else find_knee(self.points, self.lower)


def curves_of(metrics: Iterable[Metric]) -> list[Curve]:
    """One curve for each metric of each run, in the order in which they began.

    Values with steps and without a run's name belong to their cell's run; single ones together. A
    run begins with its cell, or, where one cell holds several named ones after each other, when the
    one before it has logged its last value.
    """
    groups: dict[tuple[str, str], list[Metric]] = {}
    for metric in metrics:
        groups.setdefault((metric.name, run_key(metric)), []).append(metric)
    origins = _origins_uj(list(groups.values()))
    return [_curve(group, origin) for group, origin in zip(groups.values(), origins, strict=True)]


def run_key(metric: Metric) -> str:
    """What the values of one run have in common."""
    if metric.run is not None:
        return f"run {metric.run}"
    return "" if metric.step is None else f"cell {metric.cell}"


def find_knee(points: Sequence[Point], lower_is_better: bool) -> Knee | None:
    """The point of the best-so-far curve that lies farthest from its chord, if it is clear.

    Both axes are scaled to one (Kneedle: Satopaa et al., "Finding a 'Kneedle' in a Haystack",
    2011). It is told from six points on, with two at least behind it, when the part behind it
    took ``MOST_OF_ENERGY`` or more for ``LITTLE_GAIN`` or less of all that was gained.
    """
    if len(points) < FEWEST_POINTS:
        return None
    sign = -1.0 if lower_is_better else 1.0
    best = list(accumulate((sign * point.value for point in points), max))
    last, width = len(points) - 1, points[-1].uj - points[0].uj
    height = best[-1] - best[0]
    if not (width > 0 and height > 0):
        return None

    def above_the_chord(index: int) -> float:
        return (best[index] - best[0]) / height - (points[index].uj - points[0].uj) / width

    index = max(range(len(points)), key=above_the_chord)
    gain = best[-1] - best[index]
    share = (points[-1].uj - points[index].uj) / points[-1].uj if points[-1].uj > 0 else 0.0
    clear = last - index >= 2 and share >= MOST_OF_ENERGY and gain <= LITTLE_GAIN * height
    return Knee(index, share, gain) if clear else None


def _curve(own: Sequence[Metric], origin_uj: int) -> Curve:
    first = own[0]
    finite = [metric for metric in own if math.isfinite(metric.value)]
    points = tuple(
        Point(metric.session_uj - origin_uj, metric.value, metric.step)
        for metric in finite
        if metric.session_uj is not None
    )
    return Curve(
        metric=first.name,
        run=first.run,
        cell=first.cell,
        lower=None if first.direction is None else first.direction == "lower",
        points=points,
        not_finite=len(own) - len(finite),
        without_energy=len(finite) - len(points),
    )


def _origins_uj(groups: Sequence[Sequence[Metric]]) -> list[int]:
    """Session energy at which each run began."""
    firsts = {id(own[0]): index for index, own in enumerate(groups)}
    lasts = {id(own[-1]) for own in groups}
    origins = [_origin_uj(own) for own in groups]
    ended: dict[tuple[str, int | None], int] = {}
    in_order = sorted((one for own in groups for one in own), key=lambda one: one.logged_s)
    for metric in in_order:
        if metric.run is None:
            continue
        place = metric.name, metric.cell
        if id(metric) in firsts:
            index = firsts[id(metric)]
            origins[index] = max(origins[index], ended.get(place, 0))
        if id(metric) in lasts and metric.session_uj is not None:
            ended[place] = metric.session_uj
    return origins


def _origin_uj(own: Sequence[Metric]) -> int:
    """Session energy at the start of the cell of a run's first value."""
    for metric in own:
        if metric.session_uj is not None:
            return metric.session_uj - (metric.cell_uj or 0)
    return 0

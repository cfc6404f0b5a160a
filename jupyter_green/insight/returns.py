"""Diminishing returns along a training: what its last stretch cost and brought, and a stop rule.

Curves, points and the knee are those of :mod:`jupyter_green.insight.frontier`. A figure of energy
is that of the curve's points, measured or modelled: whoever shows the sentence says which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from jupyter_green.insight.frontier import FEWEST_POINTS, HUNDREDTH, Curve, Point
from jupyter_green.units import UJ_PER_J, format_number, format_share


@dataclass(frozen=True)
class Stretch:
    """The end of a training: its energy, and the gain of the best value so far."""

    count: int
    """Points in it: epochs, where the metric is logged once an epoch."""
    energy_uj: int
    share: float
    """Of the run's energy up to its last point, of one."""
    gain: float
    """In units of the metric, never negative."""
    is_fraction: bool
    """The metric is a fraction of one: told in points of a hundredth."""

    @property
    def gained_points(self) -> float:
        """The gain as it is told: in hundredths of a fraction, else in units of the metric."""
        return self.gain / HUNDREDTH if self.is_fraction else self.gain

    @property
    def j_per_point(self) -> float | None:
        """Joules for each point gained; None: nothing was gained."""
        gained = self.gained_points
        return self.energy_uj / UJ_PER_J / gained if gained > 0 else None

    @property
    def sentence(self) -> str:
        """``the last 6 epochs cost 43 % of the energy for +0.2 points``."""
        last = f"the last {self.count} epochs" if self.count > 1 else "the last epoch"
        return f"{last} cost {format_share(self.share)} of the energy for {self._gain_words}"

    @property
    def _gain_words(self) -> str:
        if self.gain == 0:
            return "no gain"
        text = format_number(self.gained_points, 2)
        return f"+{text} points" if self.is_fraction else f"a gain of {text}"


def last_stretch(curve: Curve, count: int | None = None) -> Stretch | None:
    """The last ``count`` points of a run, or by default those past its knee.

    Returns:
        None where there are not so many points with one before them, the direction of the metric
        is not known, the run has no energy, or, without a count, no knee.
    """
    if count is None:
        knee = curve.knee
        if knee is None:
            return None
        count = len(curve.points) - 1 - knee.index
    best = curve.best_so_far
    if curve.lower is None or not 0 < count < len(best) or best[-1].uj <= 0:
        return None
    before, last = best[-1 - count], best[-1]
    return Stretch(
        count=count,
        energy_uj=last.uj - before.uj,
        share=(last.uj - before.uj) / last.uj,
        gain=abs(last.value - before.value),
        is_fraction=curve.is_fraction,
    )


def diminishing(points: Sequence[Point], lower: bool, patience: int, least_gain: float) -> bool:
    """Whether a training should end: its last ``patience`` points gained less than a least gain.

    What counts is the best value so far, of medians of three neighbouring points: one lucky or
    unlucky epoch decides nothing, and the latest counts when the next is in. It is asked after
    every epoch, and says no

    - before ``FEWEST_POINTS`` points, or before ``patience`` and three more;
    - for twice the patience while nothing has been gained since the beginning: some trainings
      take a while to begin.

    Early stopping on the best value with patience is usual practice (Prechelt, "Early Stopping -
    But When?", 1998).

    Args:
        points: the run so far; values that are not finite gain nothing.
        lower: whether lower is better.
        patience: points that may pass without the least gain; at least 1.
        least_gain: in units of the metric (0.002 for 0.2 points of an accuracy), 0 or more.

    Raises:
        ValueError: the patience is below 1, or the least gain is negative or not finite.
    """
    if patience < 1:
        raise ValueError(f"patience is {patience}: give a number of epochs, 1 or more")
    if not (math.isfinite(least_gain) and least_gain >= 0):
        raise ValueError(f"least_gain is {least_gain}: give a gain of the metric, 0 or more")
    if len(points) < max(FEWEST_POINTS, patience + 3):
        return False
    values = [(-point.value if lower else point.value) for point in points]
    values = [value if math.isfinite(value) else -math.inf for value in values]
    best = _best_of_medians(values)
    begun = _gain(values[0], best[-1 - patience]) > least_gain
    wait = patience if begun else 2 * patience
    return len(best) > wait and _gain(best[-1 - wait], best[-1]) <= least_gain


def _gain(before: float, after: float) -> float:
    """Nothing where both are minus infinity: a training that has not had a finite value."""
    return 0.0 if before == after else after - before


def _best_of_medians(values: Sequence[float]) -> list[float]:
    """The best so far of the medians of each value and its neighbours: all but the last one's."""
    first = [sorted(values[:3])[1]] * 2
    middles = [sorted(values[index - 1 : index + 2])[1] for index in range(2, len(values) - 1)]
    return list(accumulate([*first, *middles], max))

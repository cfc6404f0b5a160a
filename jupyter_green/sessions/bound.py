"""The stated bound of a window: what follows from counters that update in steps.

A reading lags behind the truth by at most one update. The lag, in energy, is taken as uniform
between nothing and one update at the power of the moment, so the error of a window is the lag
at its start minus the lag at its end: a trapezoidal distribution, whose quantile has a closed
form. The power right at a boundary is known between limits only (a cell that begins changes
it), so the widest of the possible cases counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from jupyter_green.events import CounterInfo

TAIL = 0.01
"""Probability left outside. Far below the 5 % of the stated 95 %, because the power near a
boundary is an estimate itself; ``tests/unit/test_bounds.py`` shows what comes of it."""
PLACED_TAIL = 0.04
"""The same for readings that were placed between two updates: their errors hold the doubts about
the power already (``tests/unit/test_device_bounds.py``)."""

Errors = Mapping[str, tuple[int, int]]
"""By counter, the least and the most that a reading may lag, in microjoules."""

UNKNOWN = (0, 0)


def lag_bound_uj(
    names: Iterable[str], counters: Mapping[str, CounterInfo], errors: tuple[Errors, Errors]
) -> float:
    """Half-width of the 95 % interval around the difference of two stamps, in microjoules.

    Counters of one ``clock`` update together, so their lags add up. Those of different clocks
    are independent: their means add up, their spreads add in quadrature.
    """
    clocks: dict[str, list[int]] = {}
    placed: dict[str, list[int]] = {}
    for name in names:
        if counters[name].centred:
            widths = placed.setdefault(counters[name].clock or name, [0, 0])
            for index, error in enumerate(errors):
                widths[index] += 2 * error.get(name, UNKNOWN)[1]
            continue
        lags = clocks.setdefault(counters[name].clock or name, [0, 0, 0, 0])
        # The power before the very first readings is unknown: take that of the other end.
        start = errors[0].get(name) or errors[1].get(name, UNKNOWN)
        end = errors[1].get(name) or errors[0].get(name, UNKNOWN)
        for index, lag_uj in enumerate((*start, *end)):
            lags[index] += lag_uj
    cases = (
        [(least_start, most_end) for least_start, _, _, most_end in clocks.values()],
        [(most_start, least_end) for _, most_start, least_end, _ in clocks.values()],
        [(most_start, most_end) for _, most_start, _, most_end in clocks.values()],
    )
    both_sides = sum(_spread(start, end, PLACED_TAIL) ** 2 for start, end in placed.values())
    return max(_half_width(case, both_sides) for case in cases)


def _half_width(lags: list[tuple[int, int]], both_sides: float) -> float:
    """Around the plain difference, for one case of the lags at start and end."""
    mean = sum(start - end for start, end in lags) / 2
    return abs(mean) + math.sqrt(sum(_spread(*lag) ** 2 for lag in lags) + both_sides)


def _spread(start_uj: float, end_uj: float, tail: float = TAIL) -> float:
    """Half-width around its mean of the difference of two uniform lags."""
    a, b = max(start_uj, end_uj), min(start_uj, end_uj)
    if b < tail * a:
        return (1 - tail) * a / 2
    return (a + b) / 2 - math.sqrt(tail * a * b)

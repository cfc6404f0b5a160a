"""The energy of a slow counter between two of its ticks.

A cell rarely begins or ends where the counter ticks, and power changes at just these moments, so
a straight line between the two ticks is wrong: it spreads the cell's power over the whole tick.
Both sides of the boundary are known, though. The power of the stretch before it, carried forward
from the tick before, gives the energy at the boundary; so does the power of the stretch after
it, carried backward from the next tick. The steadier side is taken, and how far the two
disagree tells how wrong it may be.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass

HISTORY = 256
JOINT_NS = 5_000_000
"""Changes closer together than this count as one: a cell's end, and the next one's beginning."""
LATE_NS = 2_000_000
"""Power follows the beginning of a cell a little later: it is compiled first, and its first line
runs. The side before a beginning knows nothing of that ..."""
EARLY_NS = 500_000
"""... and power may fall a little before an end, of which the side after it knows nothing."""
POINTS_AFTER = 3
"""Ticks after a boundary that tell the power after it, and whether that is steady."""
STRETCHES = 4
"""So far away a stretch still tells of the power around a boundary."""
REACH = 12
"""So many ticks on each side of a moment tell all about it."""
STALE_NS = 2_500_000_000
"""Without a later tick, the last one is carried forward for so long."""
UNSTEADY = 3.0
"""Power that has just changed by so much may change again by this many times as much ..."""
APART = 1.5
"""... and where the two sides disagree, the truth may lie beyond the other one.
``tests/unit/test_device_bounds.py`` shows what comes of both."""


@dataclass(frozen=True)
class Point:
    """The counter held ``uj`` at ``t_ns``, give or take ``within_ns``."""

    t_ns: int
    within_ns: int
    uj: int


@dataclass(frozen=True)
class Placed:
    """Cumulative energy at a moment; the truth lies within ``error_uj`` to either side."""

    uj: float
    error_uj: float


@dataclass(frozen=True)
class Stretch:
    """The power between two ticks without a change in between, in microjoules a nanosecond."""

    power: float
    gap_ns: int
    far_within_ns: int
    """How exactly the moment of its far end is known."""
    drift: float
    """By how much it differs from the stretch beyond it, and more than the ticks leave open."""

    def error_uj(self, tick: Point, away_ns: int) -> float:
        """Of its power carried so far beyond its near end, ``tick``."""
        away = away_ns / self.gap_ns
        moments_ns = math.hypot((1 + away) * tick.within_ns, away * self.far_within_ns)
        return self.power * moments_ns + UNSTEADY * self.drift * away_ns


class Curve:
    """What is known of one counter's cumulative energy, and of the moments power changed."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=HISTORY)
        self._changes: list[int] = []
        self._begins: set[int] = set()
        """The changes at which something began; at the others something ended."""

    def add(self, point: Point) -> None:
        """A tick; they come in the order of time."""
        if self._points and point.t_ns <= self._points[-1].t_ns:
            return
        self._points.append(point)
        oldest_ns = self._points[0].t_ns
        if self._changes and self._changes[0] < oldest_ns:
            del self._changes[: bisect_left(self._changes, oldest_ns)]
            self._begins.intersection_update(self._changes)

    def change(self, t_ns: int, *, begins: bool) -> None:
        """Something began or ended at ``t_ns``: power before tells nothing of power after."""
        insort(self._changes, t_ns)
        if begins:
            self._begins.add(t_ns)

    def clear(self) -> None:
        """The counter restarted: nothing from before can be carried on."""
        self._points.clear()

    @property
    def newest(self) -> Point | None:
        """The newest tick."""
        return self._points[-1] if self._points else None

    def is_complete(self, t_ns: int) -> bool:
        """Nothing more will be learnt about the energy at ``t_ns``."""
        points = self._points
        return len(points) >= POINTS_AFTER and points[-POINTS_AFTER].t_ns > t_ns

    def place(self, t_ns: int) -> Placed | None:
        """Cumulative microjoules at ``t_ns``; None where no tick is near it."""
        points = self._near(t_ns)
        k = bisect_right(points, t_ns, key=_time) - 1
        if k < 0:
            return None
        if k + 1 == len(points):
            return self._carried_on(points, t_ns)
        knots = [(points[k].t_ns, Placed(points[k].uj, 0.0)), *self._knots(points, k)]
        knots.append((points[k + 1].t_ns, Placed(points[k + 1].uj, 0.0)))
        here = bisect_right(knots, t_ns, key=lambda knot: knot[0]) - 1
        at_ns, placed = knots[here]
        if at_ns == t_ns and here > 0:
            return placed
        return _on_line(knots[here], knots[min(here + 1, len(knots) - 1)], t_ns)

    def _near(self, t_ns: int) -> list[Point]:
        """The ticks around a moment that no change makes doubtful."""
        points = list(self._points)
        k = bisect_right(points, t_ns, key=_time)
        return [p for p in points[max(0, k - REACH) : k + REACH] if self._is_clear(p)]

    def at_or_first_after(self, t_ns: int) -> float | None:
        """Microjoules at ``t_ns``, or at the first tick there is; None without any."""
        placed = self.place(t_ns)
        if placed is not None:
            return placed.uj
        return self._points[0].uj if self._points and self._points[0].t_ns > t_ns else None

    # --- one interval between two ticks ---

    def _knots(self, points: list[Point], k: int) -> list[tuple[int, Placed]]:
        """The energy at each change between the ticks ``k`` and ``k + 1``."""
        start, end = points[k], points[k + 1]
        groups = _grouped(self._between(start.t_ns, end.t_ns))
        if not groups:
            return []
        before, after = self._before(points, k), self._after(points, k + 1)
        placed: list[tuple[int, Placed]] = []
        for index, group in enumerate(groups):
            forward = before if index == 0 else None
            backward = after if index == len(groups) - 1 else None
            for t_ns in group:
                at = self._at_change(t_ns, group, (start, forward), (end, backward))
                if at is not None:
                    placed.append((t_ns, at))
        if len(groups) > 1 or before is None or after is None:
            step = self._step(points, k)
            placed = [(t_ns, _widened(at, start, end, t_ns, step)) for t_ns, at in placed]
        return _in_order(_filled([t for group in groups for t in group], placed, start, end))

    def _step(self, points: list[Point], k: int) -> float:
        """By how much power differs between the nearest stretches known before and after.

        Between short cells the machine is idle, before as after. Where it is not, power changed
        at moments that nobody told of, and a boundary that is seen from one side may be wrong.
        """
        before = [self._power(points, i - 1, i) for i in range(k, k - STRETCHES, -1)]
        after = [self._power(points, i, i + 1) for i in range(k + 1, k + 1 + STRETCHES)]
        known = [next((p for p in side if p is not None), None) for side in (before, after)]
        return abs(known[0] - known[1]) if known[0] is not None and known[1] is not None else 0.0

    def _at_change(
        self,
        t_ns: int,
        group: list[int],
        before: tuple[Point, Stretch | None],
        after: tuple[Point, Stretch | None],
    ) -> Placed | None:
        """The energy at one change, from the sides that are known; None if neither is.

        A side knows its own power up to the first change of the group that comes its way; up to
        where power really changed, the other one's is not known either.
        """
        sides = []
        start, forward = before
        if forward is not None:
            away_ns = t_ns - start.t_ns
            ends = any(change not in self._begins for change in group if change <= t_ns)
            doubt_uj = forward.power * (t_ns - group[0] + (EARLY_NS if ends else 0))
            error_uj = forward.error_uj(start, away_ns) + doubt_uj
            sides.append(Placed(start.uj + forward.power * away_ns, error_uj))
        end, backward = after
        if backward is not None:
            away_ns = end.t_ns - t_ns
            begins = any(change in self._begins for change in group if change >= t_ns)
            doubt_uj = backward.power * (group[-1] - t_ns + (LATE_NS if begins else 0))
            error_uj = backward.error_uj(end, away_ns) + doubt_uj
            sides.append(Placed(end.uj - backward.power * away_ns, error_uj))
        return _agreed(sides, start, end) if sides else None

    def _between(self, start_ns: int, end_ns: int) -> list[int]:
        """The changes after one tick and up to another, each once."""
        low = bisect_right(self._changes, start_ns)
        high = bisect_right(self._changes, end_ns)
        return sorted(set(self._changes[low:high]))

    def _is_clear(self, point: Point) -> bool:
        """The tick came certainly before or certainly after each change."""
        return not self._between(point.t_ns - point.within_ns, point.t_ns + point.within_ns)

    def _is_quiet(self, one: Point, other: Point) -> bool:
        """No change lies between two ticks."""
        return not self._between(one.t_ns, other.t_ns)

    def _before(self, points: list[Point], k: int) -> Stretch | None:
        """The stretch that ends with tick ``k``."""
        return self._stretch(points, k, -1)

    def _after(self, points: list[Point], k: int) -> Stretch | None:
        """The stretch that begins with tick ``k``."""
        return self._stretch(points, k, 1)

    def _stretch(self, points: list[Point], near: int, step: int) -> Stretch | None:
        far = near + step
        power = self._power(points, near, far)
        if power is None:
            return None
        gap_ns = abs(points[far].t_ns - points[near].t_ns)
        drift = 0.0
        beyond = self._power(points, far, far + step)
        if beyond is not None:
            beyond_ns = abs(points[far + step].t_ns - points[far].t_ns)
            middle_ns = points[far].within_ns
            open_power = power * (points[near].within_ns + middle_ns) / gap_ns
            open_beyond = beyond * (points[far + step].within_ns + middle_ns) / beyond_ns
            drift = max(0.0, abs(power - beyond) - open_power - open_beyond)
        return Stretch(power, gap_ns, points[far].within_ns, drift)

    def _power(self, points: list[Point], i: int, j: int) -> float | None:
        """Mean power between two ticks; None across a change."""
        i, j = min(i, j), max(i, j)
        if i < 0 or j >= len(points) or not self._is_quiet(points[i], points[j]):
            return None
        return (points[j].uj - points[i].uj) / (points[j].t_ns - points[i].t_ns)

    def _carried_on(self, points: list[Point], t_ns: int) -> Placed | None:
        """After the last tick: as if power had not changed."""
        last = points[-1]
        since_ns = t_ns - last.t_ns
        before = self._before(points, len(points) - 1)
        if since_ns > STALE_NS or self._between(last.t_ns, t_ns - 1):
            return None  # power has changed since, to nobody knows what
        if before is None:
            return Placed(last.uj, 0.0) if since_ns == 0 else None
        carried_uj = before.power * since_ns
        return Placed(last.uj + carried_uj, before.error_uj(last, since_ns) + carried_uj / 2)


def _time(point: Point) -> int:
    return point.t_ns


def _grouped(changes: list[int]) -> list[list[int]]:
    """Changes that follow each other at once are one group."""
    groups: list[list[int]] = []
    for t_ns in changes:
        if groups and t_ns - groups[-1][-1] <= JOINT_NS:
            groups[-1].append(t_ns)
        else:
            groups.append([t_ns])
    return groups


def _agreed(sides: list[Placed], start: Point, end: Point) -> Placed:
    """What the sides say together, within what the ticks allow."""
    best = min(sides, key=lambda side: side.error_uj)
    apart_uj = max(abs(side.uj - best.uj) - side.error_uj - best.error_uj for side in sides)
    doubt_uj = APART * apart_uj
    best = Placed(best.uj, best.error_uj + doubt_uj) if apart_uj > 0 else _mean(sides)
    uj = min(max(best.uj, start.uj), end.uj)
    return Placed(uj, best.error_uj + abs(uj - best.uj))


def _mean(sides: list[Placed]) -> Placed:
    """Of sides that agree, the surer ones weighing more."""
    weights = [1 / max(side.error_uj, 1.0) ** 2 for side in sides]
    whole = sum(weights)
    uj = sum(weight * side.uj for weight, side in zip(weights, sides, strict=True)) / whole
    return Placed(uj, min(side.error_uj for side in sides))


def _widened(at: Placed, start: Point, end: Point, t_ns: int, step: float) -> Placed:
    """Power after differs from power before: it may have changed outside the cell as well."""
    away_ns = min(t_ns - start.t_ns, end.t_ns - t_ns)
    most_uj = max(at.uj - start.uj, end.uj - at.uj)
    return Placed(at.uj, min(at.error_uj + step * away_ns, most_uj))


def _filled(
    changes: list[int], placed: list[tuple[int, Placed]], start: Point, end: Point
) -> list[tuple[int, Placed]]:
    """Changes of which neither side is known lie on a line between those that are."""
    known = dict(placed)
    ends = [(start.t_ns, Placed(start.uj, 0.0)), *placed, (end.t_ns, Placed(end.uj, 0.0))]
    filled = []
    for t_ns in changes:
        if t_ns in known:
            filled.append((t_ns, known[t_ns]))
            continue
        here = bisect_right(ends, t_ns, key=lambda one: one[0]) - 1
        (t0, low), (t1, high) = ends[here], ends[min(here + 1, len(ends) - 1)]
        uj = low.uj + (high.uj - low.uj) * ((t_ns - t0) / (t1 - t0) if t1 > t0 else 0.0)
        open_uj = max(uj - low.uj, high.uj - uj, 0.0)
        filled.append((t_ns, Placed(uj, open_uj + max(low.error_uj, high.error_uj))))
    return filled


def _in_order(knots: list[tuple[int, Placed]]) -> list[tuple[int, Placed]]:
    """Energy never falls: where two estimates cross, both are moved to their middle."""
    ordered: list[tuple[int, Placed]] = []
    for t_ns, at in knots:
        if ordered and at.uj < ordered[-1][1].uj:
            before_ns, before = ordered[-1]
            middle_uj = (at.uj + before.uj) / 2
            apart_uj = (before.uj - at.uj) / 2
            floor_uj = ordered[-2][1].uj if len(ordered) > 1 else middle_uj
            middle_uj = max(middle_uj, floor_uj)
            ordered[-1] = (before_ns, Placed(middle_uj, before.error_uj + apart_uj))
            ordered.append((t_ns, Placed(middle_uj, at.error_uj + apart_uj)))
        else:
            ordered.append((t_ns, at))
    return ordered


def _on_line(one: tuple[int, Placed], other: tuple[int, Placed], t_ns: int) -> Placed:
    """A moment at which nothing changed, between two that are known."""
    (t0, low), (t1, high) = one, other
    if t1 <= t0:
        return low
    uj = low.uj + (high.uj - low.uj) * (t_ns - t0) / (t1 - t0)
    error_uj = max(low.error_uj, high.error_uj) + min(uj - low.uj, high.uj - uj) / 2
    return Placed(uj, error_uj)

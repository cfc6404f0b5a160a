"""The energy of several sessions together, as their union in time and not as their sum.

Two kernels on one machine read the same counters: what one session has told of a stretch of
time must not be billed again by another. The rules:

- Sessions share energy only on one host and in one boot of it.
- Of one counter, every stretch of time counts once. Stretches are cut by wall time, on a
  straight line between stamps.
- Packages and a model of the CPU are the same thing, and so are DRAM and its model. Where both
  cover the same time, the better one counts alone: measured before integrated before modelled.
- Where a session had lost a counter, any other that had not tells more, and comes first. What
  the broken counter is known to have counted at least comes last.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from msgspec import Struct, structs

from jupyter_green.sessions.model import Session

Stretch = tuple[float, float]
"""From one wall time to another."""

THINNED = 1e-3
"""A thinned curve is nowhere further from the readings than this share of its energy."""

_THINGS = {"package": "cpu", "cpu": "cpu", "dram": "dram"}
"""What several counters share, by their domain; other counters have their thing to themselves."""
_BEST_FIRST = ("measured", "integrated", "modelled")


class Curve(Struct, frozen=True, kw_only=True, array_like=True):
    """Cumulative microjoules of one counter in one session, by wall time."""

    host: str
    boot_id: str
    counter: str
    domain: str
    provenance: str
    band: float
    wall_s: list[float]
    uj: list[int]
    lost: list[Stretch] = []
    """Where the energy is unknown, and at least what the curve says; in the order of time."""
    tolerance_uj: float = 0.0
    """How far the curve may be from what was read."""

    @property
    def total_uj(self) -> int:
        """From the first reading to the last."""
        return self.uj[-1] - self.uj[0]

    @property
    def whole(self) -> Stretch:
        return self.wall_s[0], self.wall_s[-1]

    def known(self) -> Iterator[Stretch]:
        """Everything that is not lost, in the order of time."""
        at, until = self.whole
        for begin, end in self.lost:
            if begin > at:
                yield at, begin
            at = max(at, end)
        yield at, until

    def between(self, stretch: Stretch) -> int:
        """Energy of a stretch. Adjacent stretches add up exactly."""
        return self._at(stretch[1]) - self._at(stretch[0])

    def _at(self, wall_s: float) -> int:
        """Cumulative microjoules at a wall time, on a straight line between stamps."""
        after = bisect_left(self.wall_s, wall_s)
        if after == 0:
            return self.uj[0]
        if after == len(self.wall_s):
            return self.uj[-1]
        t0, t1 = self.wall_s[after - 1], self.wall_s[after]
        v0, v1 = self.uj[after - 1], self.uj[after]
        return v0 + round((v1 - v0) * (wall_s - t0) / (t1 - t0))

    def thinned(self) -> Curve:
        """The same with as few readings as its tolerance allows, however long it is.

        A reading is left out if the line between those that stay passes it closely enough. The
        total, and where energy is lost, stay as they are.
        """
        tolerance_uj = THINNED * self.total_uj
        kept = _corners(self.wall_s, self.uj, tolerance_uj)
        return structs.replace(
            self,
            wall_s=[self.wall_s[index] for index in kept],
            uj=[self.uj[index] for index in kept],
            tolerance_uj=tolerance_uj,
        )


def _corners(t: Sequence[float], values: Sequence[int], tolerance: float) -> list[int]:
    """Indices between which straight lines pass every value at most ``tolerance`` away.

    From one corner, the slopes that pass all later values closely enough form a cone; the last
    value whose own slope lies in it is the next corner.
    """
    kept, anchor = [0], 0
    lowest, highest = float("-inf"), float("inf")
    for index in range(1, len(t)):
        slope = _slope(t, values, anchor, index)
        if not lowest <= slope <= highest:
            anchor = index - 1
            kept.append(anchor)
            lowest, highest = float("-inf"), float("inf")
            slope = _slope(t, values, anchor, index)
        leeway = tolerance / max(t[index] - t[anchor], 1e-9)
        lowest, highest = max(lowest, slope - leeway), min(highest, slope + leeway)
    if len(t) > 1:
        kept.append(len(t) - 1)
    return kept


def _slope(t: Sequence[float], values: Sequence[int], begin: int, end: int) -> float:
    return (values[end] - values[begin]) / max(t[end] - t[begin], 1e-9)


def curves(session: Session) -> list[Curve]:
    """What a session tells of its counted counters."""
    return [
        curve
        for name, info in session.counters.items()
        if info.counted and (curve := _curve(session, name)) is not None
    ]


def _curve(session: Session, counter: str) -> Curve | None:
    info, column = session.counters[counter], session.trace.uj.get(counter, ())
    read = [(t, uj) for t, uj in zip(session.trace.t, column, strict=False) if uj >= 0]
    if not read:
        return None
    # Neither time nor energy goes back: a clock that was set, a reading that came late.
    wall_s = list(accumulate((session.wall_at(t) for t, _ in read), max))
    return Curve(
        host=session.host,
        boot_id=session.boot_id,
        counter=counter,
        domain=info.domain,
        provenance=info.provenance,
        band=info.band,
        wall_s=wall_s,
        uj=list(accumulate((uj for _, uj in read), max)),
        lost=_lost(session, counter, (wall_s[0], wall_s[-1])),
    )


def _lost(session: Session, counter: str, whole: Stretch) -> list[Stretch]:
    found = []
    for hole in session.holes:
        if hole.counter == counter and hole.lost:
            until_s = whole[1] if hole.until_s is None else session.wall_at(hole.until_s)
            begin, end = max(session.wall_at(hole.since_s), whole[0]), min(until_s, whole[1])
            if begin < end:
                found.append((begin, end))
    return sorted(found)


# --- adding up ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Union:
    """Counted energy of several sessions in the time that any of them covers."""

    total_uj: int = 0
    band_uj: float = 0.0
    """Systematic band of what is modelled in it."""
    cut_uj: float = 0.0
    """How far the cuts through thinned curves may be off, all to one side."""
    provenance: frozenset[str] = frozenset()

    def __add__(self, other: Union) -> Union:
        return Union(
            self.total_uj + other.total_uj,
            self.band_uj + other.band_uj,
            self.cut_uj + other.cut_uj,
            self.provenance | other.provenance,
        )


def union(told: Iterable[Curve]) -> Union:
    """All curves together, by the rules at the top of this module."""
    things: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in told:
        thing = _THINGS.get(curve.domain, curve.counter)
        things.setdefault((curve.host, curve.boot_id, thing), []).append(curve)
    return sum(map(_one_thing, things.values()), Union())


def _one_thing(told: Iterable[Curve]) -> Union:
    """The union of all curves of one thing in one boot of one machine."""
    ranks: dict[int, dict[str, list[Curve]]] = {}
    for curve in sorted(told, key=lambda curve: curve.whole):
        ranks.setdefault(_rank(curve), {}).setdefault(curve.counter, []).append(curve)
    covered = {rank: _covered(counters) for rank, counters in ranks.items()}
    found = Union()
    for rank, counters in ranks.items():
        better = [covered[other] for other in ranks if other < rank]
        worse = [covered[other] for other in ranks if other > rank]
        for same in counters.values():
            one = _one_counter(same, better, worse)
            # A straight line between far stamps may give a neighbour too much: no session
            # tells less, unless something else tells a part of its time.
            most_uj = 0 if better or worse else max(curve.total_uj for curve in same)
            found += one + Union(max(0, most_uj - one.total_uj))
    return found


def _rank(curve: Curve) -> int:
    known = curve.provenance in _BEST_FIRST
    return _BEST_FIRST.index(curve.provenance) if known else len(_BEST_FIRST)


def _covered(counters: dict[str, list[Curve]]) -> Cover:
    """Where any of these counters is known."""
    cover = Cover()
    for same in counters.values():
        for curve in same:
            for stretch in curve.known():
                cover.mark(stretch)
    return cover


def _one_counter(same: Sequence[Curve], better: Iterable[Cover], worse: Iterable[Cover]) -> Union:
    cover = Cover()
    for other in better:
        cover.include(other)
    found = Union()
    for curve in same:
        for stretch in curve.known():
            found += cover.bill(curve, stretch)
    for other in worse:
        cover.include(other)
    for curve in same:
        for stretch in curve.lost:
            found += cover.bill(curve, stretch)
    return found


class Cover:
    """Stretches of time whose energy has been told already."""

    def __init__(self) -> None:
        # They neither overlap nor touch, and are in the order of time.
        self._begins: list[float] = []
        self._ends: list[float] = []

    def mark(self, stretch: Stretch) -> list[Stretch]:
        """Add a stretch; returns the parts of it that were there before."""
        begin, end = stretch
        first = bisect_left(self._ends, begin)
        last = bisect_right(self._begins, end)
        met = list(zip(self._begins[first:last], self._ends[first:last], strict=True))
        if met:
            begin, end = min(begin, met[0][0]), max(end, met[-1][1])
        self._begins[first:last] = [begin]
        self._ends[first:last] = [end]
        return [(max(told[0], stretch[0]), min(told[1], stretch[1])) for told in met]

    def include(self, other: Cover) -> None:
        """Add all stretches of another cover."""
        for stretch in zip(other._begins, other._ends, strict=True):
            self.mark(stretch)

    def bill(self, curve: Curve, stretch: Stretch) -> Union:
        """Energy of the parts of a stretch that were not told before; from now on they are."""
        told = self.mark(stretch)
        fresh_uj = curve.between(stretch) - sum(map(curve.between, told))
        if not fresh_uj:
            return Union()
        cuts = sum(begin < end for begin, end in told)
        return Union(
            fresh_uj,
            curve.band * fresh_uj,
            2 * cuts * curve.tolerance_uj,
            frozenset([curve.provenance]),
        )

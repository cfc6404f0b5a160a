"""When a slow counter moves, and when it is worth a look.

NVML's energy counter moves about every 100 ms (20 ms on Volta), by a timer of the driver that
says nothing. Its energy is known at the moment of a tick only, so the moment must be known: the
counter is looked at densely just where it is expected to move, and left alone in between
(Yang et al., "Part-time Power Measurements", SC'24, on how these sensors update).
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

MS = 1_000_000

SEARCH_NS = 4 * MS
"""Distance of the looks until the period is known ..."""
SLOW_SEARCH_NS = 50 * MS
"""... and after a second of them without one."""
SEARCH_FOR_NS = 1_000 * MS
GAPS = 3
"""So many equal distances between ticks make a period."""
EQUAL = 0.2
"""Equal to so much of their mean."""
MEMORY = 24
"""Ticks through which the line is drawn."""
STEP_NS = MS // 2
"""Distance of the looks around an expected tick."""
LATEST_NS = 1_000 * MS
"""A counter that stands still is looked at so often."""
GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it spread evenly over one."""
NARROW = 0.5
"""Two looks closer together than this part of the period have one tick at most between them."""


@dataclass(frozen=True)
class Tick:
    """The counter moved at ``t_ns``, give or take ``within_ns``."""

    t_ns: int
    within_ns: int


@dataclass(frozen=True)
class Rhythm:
    """A straight line through the ticks seen last: the counter's period and phase."""

    period_ns: float
    phase_ns: float
    """Where tick 0 lies on the line."""
    scatter_ns: float
    """Standard deviation of the ticks from the line."""
    ticks: int
    middle: float
    """Mean of their numbers ..."""
    squares: float
    """... and sum of their squared distances from it."""

    def at_ns(self, index: int) -> float:
        """When a tick comes."""
        return self.phase_ns + index * self.period_ns

    def deviation_ns(self, index: int) -> float:
        """Standard deviation of a tick that was not seen: its own, and that of the line there."""
        line = 1 / self.ticks + (index - self.middle) ** 2 / self.squares
        return self.scatter_ns * math.sqrt(1 + line)

    def index(self, t_ns: float) -> int:
        """The tick nearest to a time."""
        return round((t_ns - self.phase_ns) / self.period_ns)

    def last_before(self, t_ns: float) -> int:
        """The last tick that comes before a time."""
        return math.floor((t_ns - self.phase_ns) / self.period_ns)


class Ticks:
    """The rhythm of one counter, learnt from looks at it."""

    def __init__(self) -> None:
        self._looked_ns: int | None = None
        self._raw = 0
        self._first_look_ns = 0
        self._seen: deque[tuple[int, int]] = deque(maxlen=MEMORY)
        """Number and time of the ticks that were seen between two close looks."""
        self._rhythm: Rhythm | None = None
        self._coarse = 0
        """How many of them are from the search."""
        self._last = 0
        """Number of the last tick that is known to have passed, seen or not."""

    @property
    def period_s(self) -> float | None:
        """Seconds between two ticks; None while it is not known."""
        return None if self._rhythm is None else self._rhythm.period_ns / 1e9

    def look(self, before_ns: int, after_ns: int, raw: int) -> Tick | None:
        """Take in a reading made between two times; the tick that it shows, if it shows one."""
        looked_ns, self._looked_ns = self._looked_ns, before_ns
        moved = raw != self._raw
        self._raw = raw
        if looked_ns is None:
            self._first_look_ns = before_ns
            return None
        if not moved:
            return None
        half_ns = (after_ns - looked_ns) // 2
        seen = Tick(looked_ns + half_ns, half_ns)
        if self._rhythm is None:
            self._learn(seen)
            return seen
        if 2 * half_ns < NARROW * self._rhythm.period_ns:
            self._follow(self._rhythm, seen)
            return seen
        return self._by_rhythm(self._rhythm, seen, looked_ns, after_ns)

    def next_look_ns(self, pace_ns: int) -> int:
        """When to look again, if ticks closer together than ``pace_ns`` need not be seen."""
        if self._looked_ns is None:
            return 0
        if self._rhythm is None:
            patient = self._looked_ns - self._first_look_ns > SEARCH_FOR_NS
            return self._looked_ns + (SLOW_SEARCH_NS if patient else SEARCH_NS)
        unsure_ns = self._unsure_ns(self._rhythm)
        expected_ns = self._expected_ns(self._rhythm, pace_ns)
        if self._looked_ns < expected_ns - unsure_ns - 2.5 * STEP_NS:
            # The ticks that were passed over show in this look, and must not be taken for it. It
            # never comes at the same point of the rhythm, or each tick would seem as late.
            dither = self._last * GOLDEN % 1
            return round(expected_ns - unsure_ns - (1 + dither) * STEP_NS)
        late_ns = self._looked_ns - expected_ns
        # Where it is overdue the rhythm is wrong, and there is no hurry any more.
        return round(self._looked_ns + max(STEP_NS, unsure_ns / 5, min(late_ns / 4, LATEST_NS)))

    # --- inside ---

    @staticmethod
    def _unsure_ns(rhythm: Rhythm) -> float:
        """A tick comes so close to the line, nearly always."""
        return max(STEP_NS, 3 * rhythm.scatter_ns)

    def _expected_ns(self, rhythm: Rhythm, pace_ns: int) -> float:
        """The next tick worth seeing, but not so far ahead that the line cannot tell it."""
        skip = max(1, round(pace_ns / rhythm.period_ns))
        number, _ = self._seen[-1]
        told = number + len(self._seen) - GAPS
        return rhythm.at_ns(max(self._last + 1, min(number + skip, told)))

    def _learn(self, seen: Tick) -> None:
        """Look for equal distances between the ticks."""
        self._seen.append((len(self._seen), seen.t_ns))
        times = [t_ns for _, t_ns in self._seen][-GAPS - 1 :]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        if len(gaps) < GAPS or max(gaps) - min(gaps) > EQUAL * statistics.fmean(gaps):
            return
        self._seen = deque(enumerate(times), maxlen=MEMORY)
        self._last = len(times) - 1
        self._coarse = len(times)
        self._rhythm = _line(self._seen)

    def _follow(self, rhythm: Rhythm, seen: Tick) -> None:
        """Draw the line anew through a tick whose moment was seen."""
        number = rhythm.index(seen.t_ns)
        off_ns = abs(seen.t_ns - rhythm.at_ns(number))
        if off_ns > rhythm.period_ns / 4 or number <= self._seen[-1][0]:
            self._forget()
            return
        self._last = number
        if seen.within_ns <= STEP_NS and self._coarse:
            # The ticks of the search are known far less exactly than these.
            self._coarse -= 1
            if len(self._seen) > GAPS + 1:
                self._seen.popleft()
        self._seen.append((number, seen.t_ns))
        self._rhythm = _line(self._seen)

    def _by_rhythm(self, rhythm: Rhythm, seen: Tick, looked_ns: int, after_ns: int) -> Tick | None:
        """Several ticks may have passed since the last look: the reading is of the last one."""
        unsure_ns = self._unsure_ns(rhythm)
        passed = rhythm.last_before(after_ns - unsure_ns)
        perhaps = rhythm.last_before(after_ns + unsure_ns)
        expected_ns = rhythm.at_ns(passed)
        if expected_ns + unsure_ns < looked_ns:
            if perhaps == passed:
                self._forget()  # it moved where it was not expected to
            return seen
        self._last = max(self._last, passed)
        if perhaps > passed:
            return None  # the look may have come before that tick or after it
        within_ns = max(STEP_NS / 2, 2 * rhythm.deviation_ns(passed))
        # It was seen to move between the looks, however late the line would have it.
        placed_ns = min(max(expected_ns, looked_ns), after_ns)
        return Tick(round(placed_ns), round(within_ns)) if within_ns < seen.within_ns else seen

    def _forget(self) -> None:
        self._rhythm = None
        self._seen.clear()
        assert self._looked_ns is not None
        self._first_look_ns = self._looked_ns


def _line(seen: Collection[tuple[int, int]]) -> Rhythm:
    """Through ticks by least squares. Times count from the first, or the sums lose digits."""
    numbers = [number for number, _ in seen]
    first_ns = next(iter(seen))[1]
    after_ns = [t_ns - first_ns for _, t_ns in seen]
    period_ns, phase_ns = statistics.linear_regression(numbers, after_ns)
    off = [t - phase_ns - period_ns * n for n, t in zip(numbers, after_ns, strict=True)]
    # Two of the ticks' freedoms are spent on the line.
    scatter_ns = math.sqrt(sum(x * x for x in off) / (len(off) - 2))
    middle = statistics.fmean(numbers)
    squares = sum((number - middle) ** 2 for number in numbers)
    return Rhythm(period_ns, phase_ns + first_ns, scatter_ns, len(off), middle, squares)


class EveryLook:
    """The rhythm of a counter that has none: it is made of power readings, one at each look."""

    period_s: float | None = None

    def __init__(self, lag_ns: int, within_ns: int) -> None:
        """A reading tells of the time ``lag_ns`` before it, give or take ``within_ns``."""
        self._lag_ns = lag_ns
        self._within_ns = within_ns
        self._looked_ns: int | None = None

    def look(self, before_ns: int, after_ns: int, raw: int) -> Tick | None:
        """Each reading is a point of its own."""
        self._looked_ns = before_ns
        middle_ns = (before_ns + after_ns) // 2
        return Tick(middle_ns - self._lag_ns, self._within_ns + (after_ns - before_ns) // 2)

    def next_look_ns(self, pace_ns: int) -> int:
        """When to look again."""
        return 0 if self._looked_ns is None else self._looked_ns + pace_ns

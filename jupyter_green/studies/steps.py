"""The steps of a loop and their energies, while it runs.

How much was used is told a few times a second, so the energy up to a boundary is known a moment
after it. Until then it is carried on from the newest level, at the power that was told with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from jupyter_green.insight.frontier import Point
from jupyter_green.recorder.levels import AT_ONCE_S
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.units import format_budget

MOST_BOUNDARIES = 1024
"""Of a loop with more steps, some steps together count as one."""

FIRST_LEVEL_S = 2.0
"""A recorder that is still starting may take so long to tell the first level."""
FRESH_S = 0.05
"""One that is asked for a level is waited for at most so long."""
LEFT_ALONE_S = 1.0
"""One that has not answered is asked again only after so long."""
LOOK_S = 0.0005
"""Between two looks for an answer."""
OLD = 0.25
"""A level is too old to decide by where so much of what is left of a budget may have been used
since. Of a loop that is younger than some ages of its level, the power is not known either."""
UNKNOWN_W = 10_000.0
"""A machine may draw so much where nobody has told yet what it draws."""


def ask_levels(tracker: Tracker) -> None:
    """Ask for levels, and wait until the first one is told: who keeps a budget would begin blind.

    :meth:`Tracker.gauge` is to be switched off by whoever calls this.
    """
    since_s = tracker.t_s
    tracker.gauge(True)
    try:
        _fresh_level(tracker, since_s, FIRST_LEVEL_S)
    except BaseException:
        tracker.gauge(False)
        raise


def _fresh_level(tracker: Tracker, since_s: float, patience_s: float) -> bool:
    """Have a level told, and wait for it; whether it has come."""
    tracker.refresh_level()
    until_s = time.monotonic() + patience_s
    while not (tracker.closed or tracker.disowned) and time.monotonic() < until_s:
        level = tracker.level()
        if level is not None and level.t >= since_s:
            return True
        time.sleep(LOOK_S)
    return False


def budget_words(used_uj: float, budget_uj: int, modelled: bool, what: str) -> str:
    """Why a budget has ended something, after a ``step`` or a ``trial``."""
    used = f"{format_budget(used_uj)}{' (modelled)' if modelled else ''}"
    budget = format_budget(budget_uj)
    if used_uj > budget_uj:
        if format_budget(used_uj) == budget:
            return f"the budget of {budget} is used up{' (modelled)' * modelled}"
        return f"{used} are used, more than the budget of {budget}"
    return f"{used} of the budget of {budget} are used, and the next {what} would exceed it"


@dataclass
class _Mark:
    """A moment, and the counted microjoules of the session up to it."""

    t_s: float
    uj: float | None = None
    final: bool = False


@dataclass
class _Value:
    at: _Mark
    value: float
    point: Point | None = None
    settled: bool = False
    """The point will not change any more."""


class Steps:
    """What the steps of one loop have taken so far.

    Args:
        tracker: its gauge must have been asked.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._begin = _Mark(tracker.t_s)
        self._ends: list[_Mark] = []
        self._values: list[_Value] = []
        self.done = 0
        """Steps that are over."""
        self.logged = 0
        """Values of the metric that were logged."""
        self.each = 1
        """Steps that count as one."""
        self._most_w = 0.0
        """Largest power that was told meanwhile."""
        self._ask_again_s = 0.0
        """A recorder that did not answer is left alone until then."""

    def step_ended(self) -> None:
        """Another step is over."""
        self.done += 1
        if self.done % self.each == 0:
            self._ends.append(_Mark(self._tracker.t_s))
            if len(self._ends) > MOST_BOUNDARIES:
                self._ends = self._ends[1::2]
                self.each *= 2

    def value_logged(self, value: float, t_s: float) -> None:
        """The metric was logged."""
        self.logged += 1
        if len(self._values) > MOST_BOUNDARIES:
            del self._values[1::2]
        self._values.append(_Value(_Mark(t_s), value))

    # --- what is known of them ---

    @property
    def used_uj(self) -> float | None:
        """Microjoules from the loop's beginning until now; None: not known yet."""
        begin_uj, now_uj = self._at(self._begin), self._now_uj()
        return None if begin_uj is None or now_uj is None else max(0.0, now_uj - begin_uj)

    def used_of(self, budget_uj: int) -> float | None:
        """The same, from a level that is young enough to decide about a budget.

        Levels come a few times a second. Where much of what is left may have been used since the
        newest, one is asked for and waited for: near the end of a budget, and near the beginning
        of a small one, when the power is not known yet; a few dozen times in all.
        """
        tracker, used_uj = self._tracker, self.used_uj
        level, now_s = tracker.level(), tracker.t_s
        if level is None or now_s < self._ask_again_s:
            return used_uj
        age_s = now_s - level.t
        self._most_w = max(self._most_w, level.power_w or 0.0)
        left_uj = budget_uj - (used_uj or 0.0)
        is_young = age_s > OLD * (now_s - self._begin.t_s)
        power_w = max(self._most_w, UNKNOWN_W) if is_young else self._most_w
        is_old = power_w * 1e6 * age_s > OLD * left_uj
        if left_uj <= 0 or not is_old:
            return used_uj
        if not _fresh_level(tracker, now_s, FRESH_S):
            self._ask_again_s = now_s + LEFT_ALONE_S
        return self.used_uj

    @property
    def energies_j(self) -> list[float | None]:
        """Joules of each step (or of ``each`` of them together), in their order."""
        found = [self._at(mark) for mark in (self._begin, *self._ends)]
        return [
            None if before is None or after is None else max(0.0, after - before) / 1e6
            for before, after in pairwise(found)
        ]

    @property
    def last_j(self) -> float | None:
        """Joules of the last step; None: not known."""
        if not self._ends:
            return None
        before = self._ends[-2] if len(self._ends) > 1 else self._begin
        before_uj, after_uj = self._at(before), self._at(self._ends[-1])
        if before_uj is None or after_uj is None:
            return None
        return max(0.0, after_uj - before_uj) / 1e6 / self.each

    @property
    def durations_s(self) -> list[float]:
        """Seconds of the same."""
        marks = (self._begin, *self._ends)
        return [after.t_s - before.t_s for before, after in pairwise(marks)]

    @property
    def points(self) -> list[Point]:
        """The values that were logged, over the energy from the loop's beginning."""
        begin_uj = self._at(self._begin)
        if begin_uj is None:
            return []
        found = []
        for one in self._values:
            # Asked after every step: what will not change is not made again.
            uj = one.at.uj if one.at.final else self._at(one.at)
            if uj is not None and (one.point is None or not one.settled):
                one.point = Point(round(uj - begin_uj), one.value)
                one.settled = one.at.final and self._begin.final
            if one.point is not None:
                found.append(one.point)
        return found

    @property
    def values(self) -> list[float]:
        """Those that were logged, in their order."""
        return [one.value for one in self._values]

    def settle(self) -> None:
        """Take what has become known since: it is not remembered for ever."""
        for mark in (self._begin, *self._ends[-8:], *(one.at for one in self._values[-8:])):
            self._at(mark)

    def _at(self, mark: _Mark) -> float | None:
        if not mark.final:
            exact = self._tracker.uj_at(mark.t_s)
            if exact is not None:
                mark.uj, mark.final = exact, True
            elif mark.uj is None:
                mark.uj = self._carried(mark.t_s)
        return mark.uj

    def _now_uj(self) -> float | None:
        return self._carried(self._tracker.t_s)

    def _carried(self, t_s: float) -> float | None:
        """On a straight line through the newest level; None where none was told yet.

        Back, too: a recorder that is still starting has missed the first steps.
        """
        level = self._tracker.level()
        if level is None or (level.power_w is None and abs(t_s - level.t) > AT_ONCE_S):
            return None
        return level.uj + (t_s - level.t) * (level.power_w or 0.0) * 1e6

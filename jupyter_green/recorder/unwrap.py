"""From raw readings to one cumulative energy: wraps, resets, stuck and vanished counters.

Readings come from two processes and may be handled out of order, so each is placed by its time:
a reading older than the newest one is compared with its neighbour in time, and never looks
like a wrap. A wrap is told from a reset by the largest energy that the hardware could have
used since the reading before (Linux ``Documentation/power/powercap``: the counters wrap at
``max_energy_range_uj`` and restart at zero with the driver).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, replace

from jupyter_green.events import CounterInfo

NS_PER_S = 1_000_000_000

STUCK_S = 3.0
"""A measured counter that stands still for so long does not count any more. Even an idle
package or DRAM uses tens of milliwatts, hundreds of steps of its counter in that time."""

STUCK_READS = 5

LATE_S = 0.1
"""A process may be held up for so long (by its quota of CPU time) between its look at the clock
and its reading. One that then seems to go back a little is no reset; should it be one after all,
the readings that follow tell."""

DEFAULT_MAX_POWER_W = 2_000.0

HISTORY = 128
LOOK_UPDATES = 20
"""Power near a boundary is told from the energy of so many updates: one in twenty is noise."""
STEADY_NS = 250_000_000
"""Readings farther apart than this do not tell the power at the moment of a boundary."""
AGREEMENT = 0.75
"""Two looks at the power that differ by less than this ratio mean the same power."""


@dataclass(frozen=True)
class Loss:
    """The counter's energy is unknown from ``since_ns`` on."""

    since_ns: int
    at_ns: int
    """Time of the reading that showed it."""
    reason: str
    remedy: str = ""
    stuck: bool = False
    """It can be read, but stands still."""


@dataclass(frozen=True)
class Return:
    """The counter is back."""

    since_ns: int
    at_ns: int
    lost: bool
    reason: str
    offset_uj: int


def _agree(one_w: float, other_w: float) -> bool:
    return min(one_w, other_w) > AGREEMENT * max(one_w, other_w)


class Track:
    """The cumulative energy of one counter.

    ``changes`` collects what happened to it until the recorder takes that away.
    """

    def __init__(self, info: CounterInfo, *, absolute: bool = True) -> None:
        self.info = info
        self._absolute = absolute
        """It goes on through a failure or a restart; others begin again at zero."""
        self.offset_uj = 0
        self.changes: list[Loss | Return] = []
        self.loss: Loss | None = None
        self._times: deque[int] = deque(maxlen=HISTORY)
        self._values: deque[int] = deque(maxlen=HISTORY)
        self._moved_ns = 0
        self._reads_since_move = 0
        self._begins_ns = 0
        self._look_ns = round(LOOK_UPDATES * info.resolution_s * NS_PER_S)
        self._max_power_w = info.max_power_w or DEFAULT_MAX_POWER_W

    def resume(self, t_ns: int, cumulative_uj: int, offset_uj: int) -> None:
        """Go on where an earlier recorder stopped."""
        self.offset_uj = offset_uj
        self._begins_ns = self._moved_ns = t_ns
        self._push(t_ns, cumulative_uj)
        if not self._absolute:
            self._lose(Loss(t_ns, t_ns, "the counter began again with the recorder"))

    def resume_lost(self, loss: Loss) -> None:
        """The earlier recorder had lost the counter, and had said so.

        Whether it stood still is not known any more, so it has to move before it counts.
        """
        self.loss = replace(loss, stuck=True)

    # --- readings ---

    def take(self, t_ns: int, raw_uj: int) -> int | None:
        """Cumulative microjoules for a reading; None where it cannot be placed."""
        if self.loss is not None and t_ns < self.loss.at_ns:
            return None  # taken before the failure, and heard of after it
        if not self._times:
            self._begins_ns = self._moved_ns = t_ns
            self._push(t_ns, raw_uj + self.offset_uj)
            if self.loss is not None:
                self._return(t_ns, lost=True, reason="read for the first time")
            return self._values[-1]
        if t_ns < self._times[-1]:
            return self._take_late(t_ns, raw_uj)
        return self._take_new(t_ns, raw_uj)

    def fail(self, t_ns: int, reason: str, remedy: str = "") -> None:
        """The counter could not be read at ``t_ns``."""
        if self.loss is None:
            since_ns = self._times[-1] if self._times else t_ns
            self._lose(Loss(since_ns, t_ns, reason, remedy))

    def _take_new(self, t_ns: int, raw_uj: int) -> int | None:
        newest_ns, newest_uj = self._times[-1], self._values[-1]
        delta = raw_uj + self.offset_uj - newest_uj
        wraps_at = self.info.range_uj
        if wraps_at:
            delta %= wraps_at
        elapsed_s = (t_ns - newest_ns) / NS_PER_S
        limit = self._plausible_uj(elapsed_s)
        if delta < 0 or delta > limit:
            backwards = wraps_at - delta if wraps_at else -delta
            if elapsed_s < LATE_S and 0 < backwards <= self._plausible_uj(LATE_S):
                return newest_uj
            return self._take_reset(t_ns, raw_uj)
        if wraps_at and limit >= wraps_at:
            # So long without a reading that the counter may have wrapped more than once.
            reason = f"no reading for {elapsed_s:.0f} s, in which the counter may have wrapped"
            self._lose(Loss(newest_ns, t_ns, reason))
            self._return(t_ns, lost=True, reason="read again")
        elif self.loss is not None:
            if not self._absolute:
                # It may count from zero again, and that may look like standing still.
                return self._take_reset(t_ns, raw_uj)
            if self.loss.stuck and delta == 0:
                self._push(t_ns, newest_uj)
                return None
            self._return(t_ns, lost=self.loss.stuck, reason="read again")
        return self._advance(t_ns, newest_uj, delta)

    def _advance(self, t_ns: int, newest_uj: int, delta: int) -> int | None:
        self._push(t_ns, newest_uj + delta)
        if delta:
            self._moved_ns, self._reads_since_move = t_ns, 0
            return newest_uj + delta
        self._reads_since_move += 1
        if self._is_stuck(t_ns):
            stood_s = (t_ns - self._moved_ns) / NS_PER_S
            reason = f"the counter has stood still at {self._raw(newest_uj)} µJ for {stood_s:.0f} s"
            self._lose(Loss(self._moved_ns, t_ns, reason, stuck=True))
            return None
        return newest_uj

    def _take_late(self, t_ns: int, raw_uj: int) -> int | None:
        """A reading that is older than the newest one: place it between its neighbours."""
        if self.loss is not None or t_ns < self._begins_ns:
            return None
        times = list(self._times)
        after = bisect_right(times, t_ns)
        wraps_at = self.info.range_uj
        if after == 0:
            behind = self._values[0] - raw_uj - self.offset_uj
            behind = behind % wraps_at if wraps_at else behind
            if not 0 <= behind <= self._plausible_uj((times[0] - t_ns) / NS_PER_S):
                return None
            return self._values[0] - behind
        before_uj = self._values[after - 1]
        delta = raw_uj + self.offset_uj - before_uj
        delta = delta % wraps_at if wraps_at else delta
        if not 0 <= delta <= self._plausible_uj((t_ns - times[after - 1]) / NS_PER_S):
            return before_uj
        return min(before_uj + delta, self._values[after])

    def _take_reset(self, t_ns: int, raw_uj: int) -> int:
        """The counter restarted: its energy since the last reading is unknown."""
        newest_ns, newest_uj = self._times[-1], self._values[-1]
        before = self._raw(newest_uj)
        self.offset_uj = newest_uj - raw_uj
        if self.info.range_uj:
            self.offset_uj %= self.info.range_uj
        reason = f"the counter went from {before} to {raw_uj} µJ: a reset"
        if raw_uj > before:
            reason = (
                f"the counter went up by {(raw_uj - before) / 1e6:.0f} J in "
                f"{(t_ns - newest_ns) / NS_PER_S:.1f} s, more than it can have used: a reset"
            )
        self._lose(Loss(newest_ns, t_ns, reason))
        self._return(t_ns, lost=True, reason="counts again after a reset")
        self._times.clear()
        self._values.clear()
        self._begins_ns = self._moved_ns = t_ns
        self._push(t_ns, newest_uj)
        return newest_uj

    def forget(self, t_ns: int, reason: str) -> None:
        """The time since the last reading is no measurement (a suspend): a marked hole."""
        if self._times and self.loss is None:
            self._lose(Loss(self._times[-1], t_ns, reason))
            self._return(t_ns, lost=True, reason=reason)

    # --- what a stamp needs ---

    def at(self, t_ns: int) -> tuple[int, int] | None:
        """Cumulative microjoules at a time between two readings, on a straight line.

        The second figure is the distance to the nearer reading, in nanoseconds.
        """
        times = self._times
        if not times or t_ns > times[-1] or t_ns < max(times[0], self._begins_ns):
            return None
        after = bisect_right(list(times), t_ns)
        if after == len(times):
            return self._values[-1], 0
        t0, t1 = times[after - 1], times[after]
        v0, v1 = self._values[after - 1], self._values[after]
        return v0 + (v1 - v0) * (t_ns - t0) // (t1 - t0), min(t_ns - t0, t1 - t_ns)

    def power_w(self, t_ns: int) -> tuple[float, float] | None:
        """The least and the most watts just before ``t_ns``; None where readings are too few.

        A lag is the energy of the last moments before a reading. Where readings are dense and
        power was steady, that is the power of the stretch before. Where they are not, power may
        have changed since, and the stretch after the boundary is the other limit.
        """
        times = list(self._times)
        here = bisect_right(times, t_ns) - 1
        if here < 0:
            return None
        start = self._back(times, here)
        before = self._mean_w(start, here)
        if before is not None and times[here] - times[start] < STEADY_NS:
            earlier = self._mean_w(self._back(times, start), start)
            if earlier is not None and _agree(before, earlier):
                return before, before
        looks = [w for w in (before, self._ahead_w(times, here)) if w is not None]
        if not looks:
            return None
        if _agree(min(looks), max(looks)):
            looks = [sum(looks) / len(looks)]
        return min(looks), max(looks)

    def _back(self, times: list[int], here: int) -> int:
        """Index of a reading some twenty updates back; fewer where a short cell began since."""
        start = here
        while start > 0 and times[here] - times[start - 1] < self._look_ns:
            start -= 1
        if times[here] - times[start] < 2 * self.info.resolution_s * NS_PER_S:
            start -= 1
        return max(start, 0)

    def _ahead_w(self, times: list[int], here: int) -> float | None:
        """Mean watts after a reading, over twenty updates or a little more."""
        for end in range(here + 1, len(times)):
            if times[end] - times[here] >= self._look_ns:
                return self._mean_w(here, end)
        return None

    def _mean_w(self, start: int, end: int) -> float | None:
        seconds = (self._times[end] - self._times[start]) / NS_PER_S
        if seconds < 2 * self.info.resolution_s:
            return None  # a difference of one or two updates tells nothing
        return (self._values[end] - self._values[start]) / 1e6 / seconds

    @property
    def newest_ns(self) -> int:
        """Time of the newest reading."""
        return self._times[-1] if self._times else 0

    @property
    def look_ahead_ns(self) -> int:
        """A stamp is complete when the counter has been read so long after it.

        Only where the bound follows from the counter's updates: that of a model is its band.
        """
        return self._look_ns if self.info.provenance == "measured" else 0

    # --- inside ---

    def _raw(self, cumulative_uj: int) -> int:
        """What the counter itself said."""
        raw_uj = cumulative_uj - self.offset_uj
        return raw_uj % self.info.range_uj if self.info.range_uj else raw_uj

    def _push(self, t_ns: int, value: int) -> None:
        times = self._times
        if len(times) > 1 and times[-1] - times[-2] < self.info.resolution_s * 0.5 * NS_PER_S:
            # Cells in quick succession must not push out what lies twenty updates back.
            times.pop()
            self._values.pop()
        self._times.append(t_ns)
        self._values.append(value)

    def _plausible_uj(self, elapsed_s: float) -> float:
        return self._max_power_w * (elapsed_s + LATE_S) * 1e6

    def _is_stuck(self, t_ns: int) -> bool:
        return (
            self.info.provenance == "measured"
            and self.info.counted
            and self._reads_since_move >= STUCK_READS
            and t_ns - self._moved_ns > STUCK_S * NS_PER_S
        )

    def _lose(self, loss: Loss) -> None:
        if self.loss is None:
            self.loss = loss
            self.changes.append(loss)

    def _return(self, t_ns: int, *, lost: bool, reason: str) -> None:
        since_ns = self.loss.since_ns if self.loss is not None else t_ns
        self.loss = None
        self.changes.append(Return(since_ns, t_ns, lost, reason, self.offset_uj))
        self._moved_ns, self._reads_since_move = t_ns, 0

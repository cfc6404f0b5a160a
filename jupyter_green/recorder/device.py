"""The energy of one device while the kernel's processes use it.

A server may show eight devices of which the notebook uses one, from some cell on. A device's
counter in the session therefore counts while a process of the kernel's tree has a context on it,
and stands still otherwise. Whether that is so is looked at now and then; a stretch between two
looks counts if the device was in use at either.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass, replace

from jupyter_green.events import CounterInfo, DeviceState
from jupyter_green.recorder.between import Curve, Placed, Point
from jupyter_green.recorder.unwrap import Loss, Return, Track
from jupyter_green.recorder.watching import MINE, OTHER, Failed, Seen, Stood, Ticked

PATIENCE_NS = 1_500_000_000
"""A boundary is completed without the ticks after it if they do not come for so long; a driver
that is slow to answer is given more time ..."""
MOST_PATIENCE_NS = 10_000_000_000
ANSWERS = 20
"""... but no more than that, or than so many of its answers take."""
LOOKS = 256
"""So many looks at who works on it are kept, since stamps are completed later than these."""
CHECKED_S = 60.0
"""Power readings are averages of up to a second: over a shorter cell they tell nothing ..."""
DOUBT = 0.1
"""... and over a longer one they should agree with the counter to this share."""
CHECK_STEP_NS = 3_000_000_000
"""Between looks farther apart than this the power readings tell nothing of the mean."""


@dataclass(frozen=True)
class Check:
    """The energy of the same stretches, by the counter and by the power readings. Cumulative."""

    seconds: float = 0.0
    counter_uj: float = 0.0
    power_uj: float = 0.0

    def doubt_since(self, earlier: Check) -> str:
        """In words; empty where they agree, or the stretch is too short to tell."""
        counter_uj = self.counter_uj - earlier.counter_uj
        power_uj = self.power_uj - earlier.power_uj
        if self.seconds - earlier.seconds < CHECKED_S or counter_uj <= 0:
            return ""
        apart = power_uj / counter_uj - 1
        if abs(apart) <= DOUBT:
            return ""
        more = "more" if apart > 0 else "less"
        return f"its power readings add up to {abs(apart):.0%} {more} than its counter says"


@dataclass(frozen=True)
class Ledge:
    """Where a device stood when a cell began or ended."""

    uj: int
    """Of the kernel's use so far."""
    mine: float = 0.0
    """Cumulative work of the kernel's processes on its multiprocessors, in arbitrary units ..."""
    others: float = 0.0
    """... and of other processes."""
    strangers: int = 0
    """Looks at which somebody else had a context on it."""
    check: Check = Check()

    def doubt_since(self, earlier: Ledge) -> str:
        """By how much the counter and the power readings disagree, if it is much."""
        return self.check.doubt_since(earlier.check)

    def is_used_since(self, earlier: Ledge) -> bool:
        return self.uj > earlier.uj

    def is_shared_since(self, earlier: Ledge) -> bool:
        return self.strangers > earlier.strangers

    def share_since(self, earlier: Ledge) -> float | None:
        """Share of the work that was the kernel's; None where none was seen."""
        mine, others = self.mine - earlier.mine, self.others - earlier.others
        return round(mine / (mine + others), 4) if mine + others > 0 else None


@dataclass(frozen=True)
class _Use:
    """The kernel's processes did or did not have a context on the device at ``t_ns``."""

    t_ns: int
    used: bool


class DeviceTrack:
    """What is known of one device: its energy, its use and its state."""

    def __init__(self, info: CounterInfo, *, absolute: bool) -> None:
        self.info = info
        self.state: DeviceState | None = None
        """As last seen."""
        self._work = Ledge(0)
        self._worked: deque[tuple[int, Ledge]] = deque(maxlen=LOOKS)
        """By the time of each look: stamps are completed later than others are looked at."""
        self._checked: Point | None = None
        """The tick up to which power readings were added up beside the counter."""
        self._track = Track(info, absolute=absolute)
        self._curve = Curve()
        self._uses: deque[_Use] = deque()
        """Looks that no boundary has passed yet, but for the first."""
        self._slow_ns = 0
        """What the driver's slowest answers of late have taken."""
        self._counted_uj = 0.0
        """Of the stretches of use that are over."""
        self._told_uj = 0.0
        self._begin_uj: float | None = None
        """What the device's own counter held when the stretch of use that still lasts began."""

    @property
    def changes(self) -> list[Loss | Return]:
        """What happened to the counter, for the recorder to take away."""
        return self._track.changes

    @property
    def loss(self) -> Loss | None:
        return self._track.loss

    def resume(self, t_ns: int, counted_uj: int, *, lost: bool) -> None:
        """Go on where an earlier recorder stopped; what was used meanwhile is unknown.

        ``lost``: that one had lost the counter, and had said so.
        """
        self._counted_uj = self._told_uj = counted_uj
        if counted_uj or lost:
            self._track.fail(t_ns, "nobody watched the device while the recorder was restarted")

    # --- what the watcher saw ---

    def take(self, message: Ticked | Stood | Failed | Seen) -> None:
        """Take in one message of the device's watcher."""
        match message:
            case Ticked():
                self._point(message.tick.t_ns, message.raw_uj, message.tick.within_ns)
                self._slow_ns = max(message.took_ns, int(0.9 * self._slow_ns))
            case Stood():
                self._point(message.t_ns, message.raw_uj, None)
            case Failed():
                self._track.fail(message.t_ns, message.problem.reason, message.problem.remedy)
            case Seen():
                self._see(message)

    def _point(self, t_ns: int, raw_uj: int, within_ns: int | None) -> None:
        restarts = len(self._track.changes)
        uj = self._track.take(t_ns, raw_uj)
        if any(isinstance(c, Return) and c.lost for c in self._track.changes[restarts:]):
            self._clear_curve()
        if uj is not None and within_ns is not None:
            self._curve.add(Point(t_ns, within_ns, uj))

    def _see(self, seen: Seen) -> None:
        self._check(seen)
        self.state = seen.state
        if not self._uses or seen.t_ns > self._uses[-1].t_ns:
            self._uses.append(_Use(seen.t_ns, seen.used))
        mine = others = 0.0
        strangers = 0
        for process in seen.state.processes or ():
            if process.whose == MINE:
                mine += process.utilisation or 0.0
            elif process.whose == OTHER:
                others += process.utilisation or 0.0
                strangers += 1
        work = self._work
        self._work = replace(
            work,
            mine=work.mine + mine,
            others=work.others + others,
            strangers=work.strangers + (strangers > 0),
        )
        self._worked.append((seen.t_ns, self._work))

    def _check(self, seen: Seen) -> None:
        """Add up the power readings beside the counter."""
        before_w = self.state.power_w if self.state is not None else None
        before, self._checked = self._checked, self._curve.newest
        newest, power_w, work = self._checked, seen.state.power_w, self._work
        if before is None or newest is None or before_w is None or power_w is None:
            return
        step_ns = newest.t_ns - before.t_ns
        if self.info.provenance == "measured" and 0 < step_ns <= CHECK_STEP_NS:
            check = Check(
                work.check.seconds + step_ns / 1e9,
                work.check.counter_uj + newest.uj - before.uj,
                work.check.power_uj + (before_w + power_w) / 2 * step_ns / 1e3,
            )
            self._work = replace(work, check=check)

    # --- what the recorder asks ---

    @property
    def used(self) -> bool:
        """The kernel's processes had a context on it when it was last looked at."""
        return bool(self._uses) and self._uses[-1].used

    def ledge(self, t_ns: int, uj: int | None) -> Ledge:
        """Where the device stood at a stamp of that time, which says ``uj`` of it."""
        known = [work for looked_ns, work in self._worked if looked_ns <= t_ns]
        return replace(known[-1] if known else Ledge(0), uj=uj or 0)

    def forget(self, t_ns: int, reason: str) -> None:
        """The time since the last reading is no measurement (a suspend): a marked hole."""
        self._track.forget(t_ns, reason)
        self._clear_curve()

    @property
    def patience_ns(self) -> int:
        """So long a boundary waits for the ticks after it."""
        return min(MOST_PATIENCE_NS, max(PATIENCE_NS, ANSWERS * self._slow_ns))

    def change(self, t_ns: int, *, begins: bool) -> None:
        """Something began or ended."""
        self._curve.change(t_ns, begins=begins)

    def is_looked_at(self, t_ns: int, now_ns: int) -> bool:
        """Somebody has looked who uses it since a boundary, or will not in time."""
        if self._is_given_up(t_ns, now_ns):
            return True
        return bool(self._uses) and self._uses[-1].t_ns >= t_ns

    def is_complete(self, t_ns: int, now_ns: int) -> bool:
        """The ticks after ``t_ns`` are known, or not needed, or do not come in time."""
        if self._is_given_up(t_ns, now_ns):
            return True
        # The stretch of use that ends at ``t_ns`` is told by the ticks after it, too.
        never_used = self._begin_uj is None and not any(use.used for use in self._uses)
        return never_used or self._curve.is_complete(t_ns)

    def _is_given_up(self, t_ns: int, now_ns: int) -> bool:
        return self._track.loss is not None or now_ns - t_ns > self.patience_ns

    def fork(self) -> DeviceTrack:
        """One that can be asked without a trace in this one. It is for asking only."""
        twin = copy(self)
        twin._uses = self._uses.copy()
        return twin

    def place(self, t_ns: int) -> Placed | None:
        """Microjoules of use up to ``t_ns``; boundaries are asked for in the order of time."""
        self._pass_looks(t_ns)
        placed = self._placed(t_ns)
        if placed is None:
            return None
        # Where a stamp had to be completed in haste, the next one may know better; energy that
        # was told stays told.
        told_uj, self._told_uj = self._told_uj, max(self._told_uj, placed.uj)
        return Placed(self._told_uj, placed.error_uj + max(0.0, told_uj - placed.uj))

    def _placed(self, t_ns: int) -> Placed | None:
        if not self._is_used_at(t_ns):
            lasting_uj = self._lasting_uj()
            return None if lasting_uj is None else Placed(self._counted_uj + lasting_uj, 0.0)
        if self._track.loss is not None and t_ns > self._track.loss.since_ns:
            return None
        placed, begin_uj = self._curve.place(t_ns), self._begin()
        if placed is None or begin_uj is None:
            return None
        return Placed(self._counted_uj + max(0.0, placed.uj - begin_uj), placed.error_uj)

    # --- stretches of use ---

    def _is_used_at(self, t_ns: int) -> bool:
        """By the looks before and after it. The first look passed is never after it."""
        for index, use in enumerate(self._uses):
            if use.t_ns > t_ns:
                return use.used or (index > 0 and self._uses[index - 1].used)
        return self.used

    def _pass_looks(self, t_ns: int) -> None:
        """Settle the stretches between looks that lie before ``t_ns``."""
        while len(self._uses) > 1 and self._uses[1].t_ns <= t_ns:
            if self._uses[0].used or self._uses[1].used:
                self._begin_uj = self._begin()
            else:
                self._end_use()
            self._uses.popleft()

    def _end_use(self) -> None:
        """The stretch of use ended with the last look passed."""
        lasting_uj = self._lasting_uj()
        newest = self._curve.newest
        if lasting_uj is None and newest is not None and self._begin_uj is not None:
            lasting_uj = max(0.0, newest.uj - self._begin_uj)
        self._counted_uj += lasting_uj or 0.0
        self._begin_uj = None

    def _begin(self) -> float | None:
        """What the counter held when the present stretch of use began."""
        if self._begin_uj is not None or not self._uses:
            return self._begin_uj
        return self._curve.at_or_first_after(self._uses[0].t_ns)

    def _clear_curve(self) -> None:
        """Nothing can be carried over a hole; what the curve knows of the beginning is kept."""
        if any(use.used for use in self._uses):
            self._begin_uj = self._begin()
        self._curve.clear()

    def _lasting_uj(self) -> float | None:
        """Of the stretch of use that ended with the last look passed; None: not known yet."""
        if self._begin_uj is None:
            return 0.0
        end_uj = self._curve.at_or_first_after(self._uses[0].t_ns)
        return None if end_uj is None else max(0.0, end_uj - self._begin_uj)

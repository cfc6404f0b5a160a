"""Watches one device: looks at its counter where it ticks, and at who works on it.

NVML is a driver's library: a call takes microseconds on a good day, a fifth of a second on a bad
one, and never returns on the worst. So each device has a thread of the recorder's, which tells
what it saw and is waited for by nobody. The watcher itself is pure: a clock and a device in,
messages out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

from jupyter_green.clock import Clock
from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import DeviceProcess, DeviceState
from jupyter_green.recorder.between import POINTS_AFTER
from jupyter_green.recorder.ticks import EveryLook, Tick, Ticks
from jupyter_green.sources.counter import Device, Problem

MS = 1_000_000

NEAR_PACE_NS = 100 * MS
"""Ticks of a device in use are looked for so often where a boundary may be near: it is carried
over to from the tick before. Within a long cell there is less need, since its end is carried
back to from the ticks after it; and when nobody has run a cell for long, none at all."""
INSIDE_PACE_NS = 300 * MS
IDLE_PACE_NS = 1_000 * MS
NEAR_NS = 2_000 * MS
AWAKE_NS = 10_000 * MS
LEAST_HEED_NS = 20 * MS
"""Where things begin and end in quick succession, not each of them is worth a look."""
LEARNT_FROM = 15
"""Ticks that are watched one by one at first, to learn the counter's rhythm."""
POWER_PACE_NS = 50 * MS
"""A sensor that shows its power alone is read so often while somebody needs it."""
HEARTBEAT_NS = 1_000 * MS
"""A counter that does not move is reported so often."""
STATE_NS = 500 * MS
"""While a cell runs, it is looked at who uses the device so often ..."""
IDLE_STATE_NS = 5_000 * MS
"""... else so often, and when something began or ended ..."""
LEAST_STATE_NS = 100 * MS
STATE_SHARE = 20
"""... but not so often that it takes more than one part in so many of the time: a list of
processes takes milliseconds, and a lock of the driver's, on some cards."""
LONG_NS = 300 * MS
"""Where the next look is farther away than this, a boundary does not wait for it."""
RETRY_NS = 1_000 * MS
SLOW_NS = 50 * MS
"""A call that takes longer spoils what is known of the moment it speaks of."""

HIDDEN = (
    "the driver does not tell which processes here use it (in a container it lists those of the "
    "host), so it counts as used while it is occupied and CUDA_VISIBLE_DEVICES shows it"
)
SHARED = (
    "other processes use it as well: their energy is in its figures, and the share that was this "
    "notebook's is an estimate"
)


@dataclass(frozen=True)
class Ticked:
    """The counter held ``raw_uj`` at that tick."""

    counter: str
    tick: Tick
    raw_uj: int
    took_ns: int = 0
    """The driver's time to answer."""


@dataclass(frozen=True)
class Stood:
    """The counter has not moved for a while."""

    counter: str
    t_ns: int
    raw_uj: int


@dataclass(frozen=True)
class Failed:
    """The counter could not be read."""

    counter: str
    t_ns: int
    problem: Problem


@dataclass(frozen=True)
class Seen:
    """The device's state, as of the change that asked for it or of now."""

    counter: str
    t_ns: int
    used: bool
    """The kernel's processes have a context on it."""
    state: DeviceState


@dataclass(frozen=True)
class Noted:
    """Something worth telling, once."""

    counter: str
    note: str


Message = Ticked | Stood | Failed | Seen | Noted


class Tree(Protocol):
    """The kernel's processes."""

    def pids(self) -> Collection[int]:
        """Of the kernel and everything below it."""
        ...

    def is_here(self, pid: int) -> bool:
        """Whether a process of this number can be seen here."""
        ...

    @property
    def namespaced(self) -> bool:
        """The driver may number processes otherwise than they are numbered here."""
        ...


class Watcher:
    """One device and its counter."""

    def __init__(self, device: Device, clock: Clock, tree: Tree, *, all_visible: bool) -> None:
        """``all_visible``: a visible device counts as used, whoever uses it."""
        (self.info,) = device.counters
        self.running = False
        """A cell or span is open."""
        self.visible: str | None = None
        """The kernel's ``CUDA_VISIBLE_DEVICES``."""
        self._device = device
        self._clock = clock
        self._tree = tree
        self._all_visible = all_visible
        self._lag_looks = round(device.lag_s * 1e9 / POWER_PACE_NS)
        self._rhythm = self._rhythm_of()
        self._changes: deque[int] = deque()
        """Times that the recorder's thread has told of, and this one has not heeded."""
        self._heeded_ns = 0
        self._changed_ns = clock.now_ns()
        self._points_wanted = LEARNT_FROM
        self._learnt = False
        self._told_ns = 0
        self._failed_ns: int | None = None
        self._state_ns: int | None = None
        self._state_took_ns = 0
        self._last_state: DeviceState | None = None
        self._asked_ns: int | None = None
        """A change after which nobody has looked who uses the device."""
        self._used = False
        self._matched = False
        self._noted: set[str] = set()
        self._slowest_ns = SLOW_NS

    def _rhythm_of(self) -> Ticks | EveryLook:
        if self.info.provenance == "measured":
            return Ticks()
        return EveryLook(round(self._device.lag_s * 1e9), round(self.info.resolution_s * 1e9 / 2))

    # --- from the recorder's thread ---

    def change(self, t_ns: int) -> None:
        """Something began or ended: look at once, and at the next ticks."""
        self._changes.append(t_ns)

    # --- from its own ---

    def due_ns(self) -> int:
        """When to take the next step."""
        if self._changes:
            return self._heeded_ns + LEAST_HEED_NS
        if self._failed_ns is not None:
            return min(self._failed_ns + RETRY_NS, self._state_due_ns())
        return min(self._rhythm.next_look_ns(self._pace()), self._state_due_ns())

    def _state_due_ns(self) -> int:
        if self._state_ns is None:
            return 0
        rest_ns = max(LEAST_STATE_NS, STATE_SHARE * self._state_took_ns)
        if self._asked_ns is not None:
            return self._state_ns + rest_ns
        return self._state_ns + max(rest_ns, STATE_NS if self.running else IDLE_STATE_NS)

    def step(self) -> list[Message]:
        """Look once."""
        if self._changes:
            self._heeded_ns = self._clock.now_ns()
        while self._changes:
            self._asked_ns = self._changed_ns = self._changes.popleft()
            self._points_wanted = max(self._points_wanted, POINTS_AFTER + 1 + self._lag_looks)
        messages = self._look()
        now_ns = self._clock.now_ns()
        if now_ns >= self._state_due_ns():
            messages += self._see()
        elif self._asked_ns is not None and self._state_due_ns() - now_ns > LONG_NS:
            messages += self._assume(self._asked_ns)
        return messages

    def _assume(self, asked_ns: int) -> list[Message]:
        """A driver too slow to be asked at every boundary: what it said last still holds."""
        self._asked_ns = None
        if self._last_state is None:
            return []
        return [Seen(self.info.name, asked_ns, self._used, self._last_state)]

    def _pace(self) -> int:
        if isinstance(self._rhythm, EveryLook):
            needed = self._used and (self.running or self._points_wanted > 0)
            return POWER_PACE_NS if needed else IDLE_PACE_NS
        if self._points_wanted > 0 and (self._used or not self._learnt):
            return 0
        self._learnt = True
        if not self._used:
            return IDLE_PACE_NS
        since_ns = self._clock.now_ns() - self._changed_ns
        if self.running:
            return NEAR_PACE_NS if since_ns < NEAR_NS else INSIDE_PACE_NS
        return NEAR_PACE_NS if since_ns < AWAKE_NS else IDLE_PACE_NS

    def _look(self) -> list[Message]:
        name = self.info.name
        before_ns = self._clock.now_ns()
        raw_uj = self._device.read(before_ns).get(name)
        after_ns = self._clock.now_ns()
        if raw_uj is None:
            self._failed_ns = after_ns
            self._rhythm = self._rhythm_of()
            problem = self._device.problems.get(name) or Problem("it cannot be read")
            return [Failed(name, after_ns, problem)]
        self._failed_ns = None
        messages: list[Message] = []
        tick = self._rhythm.look(before_ns, after_ns, raw_uj)
        if tick is not None:
            self._points_wanted -= 1
            messages.append(Ticked(name, tick, raw_uj, after_ns - before_ns))
        elif before_ns - self._told_ns >= HEARTBEAT_NS:
            messages.append(Stood(name, before_ns, raw_uj))
        if messages:
            self._told_ns = before_ns
        return messages + self._complain(after_ns - before_ns)

    def _complain(self, took_ns: int) -> list[Message]:
        """Of calls that take long, again when they take twice as long."""
        if took_ns <= self._slowest_ns:
            return []
        self._slowest_ns = 2 * took_ns
        took_s = took_ns / 1e9
        return [
            Noted(
                self.info.name,
                f"the driver took {took_s:.2f} s to answer, so where its energy belongs is known "
                "less exactly; the bound says how exactly",
            )
        ]

    # --- who uses it ---

    def _see(self) -> list[Message]:
        name = self.info.name
        asked_ns, self._asked_ns = self._asked_ns, None
        began_ns = self._clock.now_ns()
        try:
            state = self._device.state()
        except UnreadableCounter:
            return []  # the counter's own failure tells of it
        finally:
            self._state_ns = self._clock.now_ns()
            self._state_took_ns = self._state_ns - began_ns
        # Nothing can have begun to use the device between the boundary and the look after it.
        as_of_ns = began_ns if asked_ns is None else min(asked_ns, began_ns)
        mine = self._tree.pids()
        processes = [_owned(process, mine) for process in state.processes or ()]
        self._last_state = _with(state, processes)
        # A card that cannot be read says nothing of who uses it either.
        messages = self._judge(state, processes) if self._failed_ns is None else []
        return [*messages, Seen(name, as_of_ns, self._used, self._last_state)]

    def _judge(self, state: DeviceState, processes: list[DeviceProcess]) -> list[Message]:
        """Whether the kernel's processes use it, and what is to be said about that."""
        matched = any(process.whose == MINE for process in processes)
        self._matched = self._matched or matched
        if self._all_visible:
            self._used = self._device.is_visible(self.visible)
        elif self._is_told(state):
            self._used = matched
        else:
            occupied = bool(processes) or bool(state.utilisation)
            self._used = occupied and self._device.is_visible(self.visible)
            if self._used:
                return self._note(HIDDEN)
        shared = matched and any(process.whose == OTHER for process in processes)
        return self._note(SHARED) if shared else []

    def _is_told(self, state: DeviceState) -> bool:
        """The driver names the processes as they are named here."""
        if state.processes is None:
            return False
        if self._matched or not self._tree.namespaced:
            return True
        listed = [process.pid for process in state.processes]
        return bool(listed) and all(map(self._tree.is_here, listed))

    def _note(self, note: str) -> list[Message]:
        if note in self._noted:
            return []
        self._noted.add(note)
        return [Noted(self.info.name, note)]


MINE, OTHER = "mine", "other"


def _with(state: DeviceState, processes: list[DeviceProcess]) -> DeviceState:
    return state if state.processes is None else structs.replace(state, processes=processes)


def _owned(process: DeviceProcess, mine: Collection[int]) -> DeviceProcess:
    return structs.replace(process, whose=MINE if process.pid in mine else OTHER)


class WatchThread:
    """Runs a watcher, and hands on what it sees."""

    def __init__(self, watcher: Watcher, put: Callable[[Message], None], clock: Clock) -> None:
        self.watcher = watcher
        self._put = put
        self._clock = clock
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(
            target=self._run, name=f"watch {watcher.info.name}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def change(self, t_ns: int) -> None:
        """Something began or ended at ``t_ns``."""
        self.watcher.change(t_ns)
        self._wake.set()

    def run(self, running: bool) -> None:
        """A cell or span is open, or none is."""
        self.watcher.running = running

    def show(self, visible: str | None) -> None:
        """The kernel's ``CUDA_VISIBLE_DEVICES`` is this now."""
        self.watcher.visible = visible

    def stop(self) -> None:
        """Watch no more. A call that hangs in the driver is not waited for."""
        self._stopped = True
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            wait_s = (self.watcher.due_ns() - self._clock.now_ns()) / 1e9
            if wait_s > 0 and self._wake.wait(wait_s):
                continue  # something has changed, and with it perhaps when the next look is due
            for message in self._step():
                self._put(message)

    def _step(self) -> list[Message]:
        """An error of ours must not end the watch for good."""
        try:
            return self.watcher.step()
        except Exception as error:
            self._wake.wait(RETRY_NS / 1e9)
            problem = Problem(f"watching it failed: {type(error).__name__}: {error}")
            return [Failed(self.watcher.info.name, self._clock.now_ns(), problem)]

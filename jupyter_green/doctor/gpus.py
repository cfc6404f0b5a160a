"""Watches GPUs: their counter from tick to tick, their power readings beside it, who uses them.

Each has a thread of its own. A driver's call may take a fifth of a second, or never return; what
is seen of the processor's counters meanwhile must not suffer, and the doctor must come to an end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from statistics import fmean, median

from jupyter_green.doctor.findings import Gpu, RecorderCost
from jupyter_green.doctor.watch import NS_PER_S, Watch, from_close_by, now_ns
from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import DeviceState
from jupyter_green.recorder.attribution import ProcessTree
from jupyter_green.sources import nvml
from jupyter_green.sources.counter import Device, Problem

SAMPLE_S = 0.1
"""Between two power readings: the driver renews them about so often."""
TICKS = 3
"""A counter that has not moved after so many of its periods is not waited for."""
LEAST_READINGS = 5
SHARP = 0.02
"""Both ends of the watch have to be known to so much of it, or the comparison means nothing."""
PATIENCE_S = 10.0
"""A driver that has not answered so long after all should be over is given up."""

NOT_LISTED = "the driver does not list its processes here"
OTHER_NUMBERS = "the driver lists processes by the numbers of the host, not of this container"
NONE_IN_CONTAINER = "the driver lists none, and in a container it may not list all"


class GpuWatch(Watch):
    """One device under observation."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        (self.info,) = device.counters
        self._device = device
        self._card = nvml.card_of(device)
        self._state: DeviceState | None = None
        self._readings_w: list[float] = []
        self._calls_ns: list[int] = []
        self._ends_ns = 0
        """So exactly both ends of the watch are known, together."""
        self._thread: threading.Thread | None = None
        self.driver = ""
        """Its version, where it tells."""

    # --- in the doctor's thread ---

    def start(self, watch_s: float, close_s: float) -> None:
        """Begin to watch, for as long as the counters of the processor are watched."""
        name = f"doctor {self.info.name}"
        self._thread = threading.Thread(
            target=self._run, args=(watch_s, close_s), name=name, daemon=True
        )
        self._thread.start()

    def wait(self, until_ns: int) -> None:
        """Until all is seen. A driver that does not answer in time makes the counter missing."""
        assert self._thread is not None
        self._thread.join(max(0.0, (until_ns - now_ns()) / NS_PER_S))
        if self._thread.is_alive():
            problem = Problem(
                f"the driver has not answered within {PATIENCE_S:g} s",
                "nvidia-smi tells whether it answers at all",
            )
            for seen in self.seen.values():
                seen.miss(problem)

    def told(self, kernels: Sequence[RecorderCost]) -> Gpu:
        """What was seen, beside the counter itself."""
        card, seen = self._card, self.seen[self.info.name]
        readings_w = fmean(self._readings_w) if self._readings_w else None
        why_not = self._why_not_compared()
        used_by, others, hidden = _users(self._state, kernels)
        return Gpu(
            counter=self.info.name,
            name=card.name if card is not None else self.info.device,
            instances=len(card.mig) if card is not None else 0,
            used_by=used_by,
            others=others,
            hidden=hidden,
            readings=len(self._readings_w),
            readings_w=readings_w,
            difference=None if why_not else _difference(readings_w, seen.power_w),
            not_compared=why_not,
            call_s=median(self._calls_ns) / NS_PER_S if self._calls_ns else None,
        )

    def _why_not_compared(self) -> str:
        seen = self.seen[self.info.name]
        if self.info.provenance != "measured":
            return "it has no energy counter to compare with"
        if self.info.domain != "gpu":
            return "its power readings are those of the GPU alone"
        if seen.power_w is None:
            return "the counter could not be read"
        if len(self._readings_w) < LEAST_READINGS:
            return f"too few power readings could be taken ({len(self._readings_w)})"
        if self._ends_ns > SHARP * seen.duration_s * NS_PER_S:
            return "when the counter moved was not seen exactly enough"
        return ""

    # --- in its own ---

    def _run(self, watch_s: float, close_s: float) -> None:
        if self._card is not None:
            self.driver = nvml.driver_version(self._card)
        self._state = self._look_at_state()
        self._look_at_a_tick()
        until_ns = now_ns() + round(watch_s * NS_PER_S)
        while (left_ns := until_ns - now_ns()) > 0:
            took_ns = self._sample()
            rest_ns = max(round(SAMPLE_S * NS_PER_S) - took_ns, self.rest_ns(took_ns))
            time.sleep(min(rest_ns, left_ns) / NS_PER_S)
        self._look_at_a_tick()
        from_close_by([self], close_s)

    def _look_at_state(self) -> DeviceState | None:
        if self.info.domain != "gpu":
            return None  # a module's is that of its GPU
        try:
            return self._device.state()
        except UnreadableCounter:
            return None

    def _sample(self) -> int:
        """One power reading. A card without a counter adds it up. Returns how long it took."""
        began_ns = now_ns()
        self.look()
        if self._card is not None:
            with suppress(UnreadableCounter):  # the counter's own failure tells of it
                self._readings_w.append(self._card.power_w())
        return now_ns() - began_ns

    def _look_at_a_tick(self) -> None:
        """Take a reading just after the counter has moved, so that no part of a tick is open."""
        began_ns, took_ns, before = self._read()
        previous_ns, t_ns, values = began_ns, began_ns, before
        until_ns = began_ns + round(TICKS * self.info.resolution_s * NS_PER_S)
        while values and values == before and t_ns < until_ns:
            time.sleep(self.rest_ns(took_ns) / NS_PER_S)
            previous_ns = t_ns
            t_ns, took_ns, values = self._read()
        self._ends_ns += t_ns - (began_ns if values == before else previous_ns)
        self.take(t_ns, values)

    def _read(self) -> tuple[int, int, dict[str, int]]:
        t_ns, took_ns, values = super()._read()
        self._calls_ns.append(took_ns)
        return t_ns, took_ns, values


def _difference(other_w: float | None, of_w: float | None) -> float | None:
    return other_w / of_w - 1 if other_w is not None and of_w else None


def wait_for(watches: Iterable[GpuWatch]) -> None:
    """Until all of them have seen everything, or are given up."""
    until_ns = now_ns() + round(PATIENCE_S * NS_PER_S)
    for each in watches:
        each.wait(until_ns)


def _users(
    state: DeviceState | None, kernels: Sequence[RecorderCost]
) -> tuple[tuple[str, ...], int | None, str]:
    """The kernels that use a device, how many other processes do, and why that is not known."""
    if state is None or state.processes is None:
        return (), None, NOT_LISTED
    listed = {process.pid for process in state.processes}
    trees = [(one.notebook or one.session, ProcessTree(one.kernel_pid)) for one in kernels]
    mine = {name: listed & tree.pids() for name, tree in trees}
    used_by = tuple(name for name, pids in mine.items() if pids)
    others = len(listed.difference(*mine.values()))
    here = ProcessTree(0)
    if used_by or not here.namespaced:
        return used_by, others, ""
    if not listed:
        return (), None, NONE_IN_CONTAINER
    if not all(map(here.is_here, listed)):
        return (), None, OTHER_NUMBERS
    return (), others, ""

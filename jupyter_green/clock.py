"""The one clock of the project, so that kernel, recorder and tests agree on time.

``time.perf_counter_ns`` is monotonic and system-wide on Linux (CLOCK_MONOTONIC), macOS and
Windows, so a time taken in the kernel can be compared with one taken in the recorder. It
stands still while the machine is suspended; ``suspended_s`` tells for how long it did.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the recorder knows about time. Tests put a virtual clock in its place."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds, comparable between processes of one machine."""
        ...

    def wall_s(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def suspended_s(self) -> float:
        """Seconds that the machine has spent suspended, up to a constant."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ns(self) -> int:
        return time.perf_counter_ns()

    def wall_s(self) -> float:
        return time.time()

    def suspended_s(self) -> float:
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        if boottime is not None:
            return time.clock_gettime(boottime) - time.clock_gettime(time.CLOCK_MONOTONIC)
        # Elsewhere the wall clock is the only one that runs on; it can be set by hand, too,
        # which is why callers ignore small differences.
        return time.time() - time.perf_counter()

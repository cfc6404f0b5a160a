"""What every energy source is: a few monotonic counters in whole microjoules.

The contract (``tests/contracts/`` holds one suite that every source must pass):

* ``counters`` is fixed when the source is made, and names are unique over all sources.
* ``read`` returns the *raw* value of each counter that can be read now, in microjoules. Raw
  values never fall, except that they wrap at ``range_uj`` or restart after a reset; telling
  these apart is the work of the recorder.
* A counter that cannot be read is **absent** from the answer and explained in ``problems``.
  It is never 0, never its last value, never an exception.
* A counter that comes back after a failure is read again without being asked to.
* ``read`` does not block, and costs microseconds where ``in_place`` is set.
* ``close`` may be called twice; ``read`` after ``close`` finds every counter unreadable.
* Reading in a forked child does not disturb the parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jupyter_green.events import CounterInfo, DeviceState, Refusal


@dataclass(frozen=True)
class Problem:
    """Why a counter cannot be read now, and what the user can do about it."""

    reason: str
    remedy: str = ""


class Source(Protocol):
    """One way to read energy on this machine."""

    @property
    def name(self) -> str:
        """The source's name as it appears in counters and refusals."""
        ...

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        """The counters, in a fixed order."""
        ...

    @property
    def in_place(self) -> bool:
        """Cheap enough (a few microseconds) to be read in the kernel at a cell's boundary."""
        ...

    @property
    def absolute(self) -> bool:
        """The counters belong to the machine: every process that reads them finds the same."""
        ...

    @property
    def problems(self) -> Mapping[str, Problem]:
        """The counters that the last ``read`` could not read."""
        ...

    def read(self, now_ns: int) -> dict[str, int]:
        """Raw microjoules by counter, at monotonic time ``now_ns``."""
        ...

    def close(self) -> None:
        """Give back descriptors and handles."""
        ...


class Device(Source, Protocol):
    """A source with one counter whose calls may take long: the recorder reads it in a thread.

    A kernel never does. ``read`` and ``state`` are called from that thread alone.
    """

    @property
    def lag_s(self) -> float:
        """Of a counter made of power readings: they tell of so long ago, in seconds."""
        ...

    def state(self) -> DeviceState:
        """What the device is doing now, as far as it tells. Whose its processes are is open.

        Raises:
            UnreadableCounter: it tells nothing.
        """
        ...

    def is_visible(self, visible: str | None) -> bool:
        """A program with this ``CUDA_VISIBLE_DEVICES`` can use it. None: it is not set."""
        ...


@dataclass(frozen=True)
class Detection:
    """What is measured here, and why everything else is not."""

    sources: tuple[Source, ...]
    refused: tuple[Refusal, ...]
    devices: tuple[Device, ...] = ()

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        every = (*self.sources, *self.devices)
        return tuple(counter for source in every for counter in source.counters)

    def close(self) -> None:
        for source in (*self.sources, *self.devices):
            source.close()

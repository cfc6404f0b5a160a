"""The shared memory of the simulated NVIDIA machine, and the writing of power steps into it.

The machine, the compiled library and the cells of a kernel meet in one file, which all of them
map. Its layout is written down here for Python and in ``nvml.c`` for C, and a test compares the
two. A cell executes this very text (see ``NvmlMachine.tools``), so it needs the standard library
alone.

Times are nanoseconds of CLOCK_MONOTONIC, powers are whole microwatts, and energies are whole
femtojoules (microwatts times nanoseconds), so that both languages compute the same integers.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

MAGIC = 0x4C4D564E_00000001
MAX_DEVICES = 16
MAX_STEPS = 8192
MAX_EVENTS = 512
MAX_PROCESSES = 64
MAX_ENTRY_POINTS = 64
FJ_PER_MJ = 10**12
NS_PER_S = 10**9

GPU, MODULE = 0, 1
"""The rails of a device, numbered as NVML's power scopes."""

RESET, STOP, GO = 1, 2, 3
"""What can happen to the energy counter of a device."""


class StepStruct(ctypes.Structure):
    """The power from ``t_ns`` on: ``low_uw``, or a square wave where ``period_ns`` is not 0."""

    _fields_ = (
        ("t_ns", ctypes.c_int64),
        ("low_uw", ctypes.c_int64),
        ("high_uw", ctypes.c_int64),
        ("period_ns", ctypes.c_int64),
        ("high_ns", ctypes.c_int64),
        ("phase_ns", ctypes.c_int64),
        # The energy of everything before, in two parts: C reads 64 bits at a time.
        ("base_mj", ctypes.c_int64),
        ("base_rest_fj", ctypes.c_int64),
    )


class Rail(ctypes.Structure):
    """The steps of one supply of a device. Steps are only ever added."""

    _fields_ = (
        ("step_count", ctypes.c_int64),
        ("start_mj", ctypes.c_int64),
        ("steps", StepStruct * MAX_STEPS),
    )


class Event(ctypes.Structure):
    """Something that happened to the energy counter."""

    _fields_ = (("t_ns", ctypes.c_int64), ("kind", ctypes.c_int64))


class Process(ctypes.Structure):
    """A process with a context on the device; ``mig`` is -1 outside instances."""

    _fields_ = (
        ("memory_bytes", ctypes.c_uint64),
        ("since_us", ctypes.c_int64),  # of the wall clock, as NVML stamps its samples
        ("pid", ctypes.c_uint32),
        ("utilisation_percent", ctypes.c_uint32),
        ("mig", ctypes.c_int32),
        ("graphics", ctypes.c_uint32),
    )


class Device(ctypes.Structure):
    """One GPU."""

    _fields_ = (
        ("name", ctypes.c_char * 96),
        ("uuid", ctypes.c_char * 96),
        ("tick_ns", ctypes.c_int64),
        ("tick_origin_ns", ctypes.c_int64),
        ("jitter_ns", ctypes.c_int64),
        ("update_ns", ctypes.c_int64),
        ("update_origin_ns", ctypes.c_int64),
        ("usage_window_ns", ctypes.c_int64),
        ("average_window_ns", ctypes.c_int64),  # 0: field 185 is not supported
        ("instant_window_ns", ctypes.c_int64),  # 0: field 186 is not supported
        ("slow_ns", ctypes.c_int64),
        ("memory_bytes", ctypes.c_uint64),
        ("memory_reserved_bytes", ctypes.c_uint64),
        ("memory_used_bytes", ctypes.c_uint64),
        ("architecture", ctypes.c_uint32),
        ("limit_mw", ctypes.c_uint32),
        ("min_limit_mw", ctypes.c_uint32),
        ("gpu_percent", ctypes.c_uint32),
        ("memory_percent", ctypes.c_uint32),
        ("temperature_c", ctypes.c_uint32),
        ("has_counter", ctypes.c_uint32),
        ("has_module", ctypes.c_uint32),
        ("mig_capacity", ctypes.c_uint32),  # 0: the device knows no MIG
        ("mig_enabled", ctypes.c_uint32),
        ("mig_instances", ctypes.c_uint32),
        ("mig_denied", ctypes.c_uint32),
        ("lost", ctypes.c_uint32),
        ("denied", ctypes.c_uint32),
        ("hidden", ctypes.c_uint32),
        ("process_count", ctypes.c_uint32),
        ("processes", Process * MAX_PROCESSES),
        ("event_count", ctypes.c_int64),
        ("events", Event * MAX_EVENTS),
        ("rails", Rail * 2),
    )


class State(ctypes.Structure):
    """The whole machine. ``sequence`` is odd while somebody writes."""

    _fields_ = (
        ("magic", ctypes.c_uint64),
        ("sequence", ctypes.c_uint64),
        ("start_ns", ctypes.c_int64),
        ("slow_ns", ctypes.c_int64),
        ("driver_loaded", ctypes.c_uint32),
        ("driver_generation", ctypes.c_uint32),
        ("device_count", ctypes.c_uint32),
        ("cuda_version", ctypes.c_uint32),
        ("driver_version", ctypes.c_char * 80),
        ("nvml_version", ctypes.c_char * 80),
        ("calls", ctypes.c_uint64 * MAX_ENTRY_POINTS),
        ("devices", Device * MAX_DEVICES),
    )


class Step(NamedTuple):
    """The values of a ``StepStruct``, and the energy that follows from them."""

    t_ns: int
    low_uw: int
    high_uw: int = 0
    period_ns: int = 0
    high_ns: int = 0
    phase_ns: int = 0
    base_mj: int = 0
    base_rest_fj: int = 0

    def energy_fj(self, t_ns: int) -> int:
        """The energy up to a time that this step rules, since the start of the machine."""
        ns = t_ns - self.t_ns
        energy_fj = self.base_mj * FJ_PER_MJ + self.base_rest_fj + self.low_uw * ns
        if not self.period_ns:
            return energy_fj
        high_ns = self._high_ns(self.phase_ns + ns) - self._high_ns(self.phase_ns)
        return energy_fj + (self.high_uw - self.low_uw) * high_ns

    def power_uw(self, t_ns: int) -> int:
        """The power at a time that this step rules."""
        if not self.period_ns:
            return self.low_uw
        position_ns = (self.phase_ns + t_ns - self.t_ns) % self.period_ns
        return self.high_uw if position_ns < self.high_ns else self.low_uw

    def _high_ns(self, position_ns: int) -> int:
        periods, rest_ns = divmod(position_ns, self.period_ns)
        return periods * self.high_ns + min(rest_ns, self.high_ns)


class SharedState:
    """The state file, mapped. Changes take effect at the time that they return, in ns."""

    def __init__(self, path: str) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR)
        try:
            mapped = mmap.mmap(descriptor, ctypes.sizeof(State))
        finally:
            os.close(descriptor)
        self.state = State.from_buffer(mapped)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody writes meanwhile: no other process, no other thread, no fork of this one."""
        import fcntl

        # A lock lies on an open file. One that is opened for each lock is shared with nobody.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Change something from the time on that this yields.

        Readers whose clock may lie beyond that time wait until the change is complete.
        """
        with self.locked():
            # An odd number may be left by a writer that was killed.
            odd = self.state.sequence | 1
            self.state.sequence = odd
            try:
                yield time.monotonic_ns()
            finally:
                self.state.sequence = odd + 1

    def power(self, index: int, watts: float, rail: int = GPU) -> int:
        """Draw ``watts`` from now on."""
        return self._append(index, rail, Step(0, microwatts(watts)))

    def module_power(self, index: int, watts: float) -> int:
        """Let the module, GPU included, draw ``watts`` from now on."""
        return self.power(index, watts, MODULE)

    def square(
        self,
        index: int,
        low_w: float,
        high_w: float,
        period_s: float,
        duty: float = 0.5,
        phase_s: float = 0.0,
    ) -> int:
        """Alternate: high for ``duty`` of each period, then low; now is ``phase_s`` into one."""
        if not (period_s > 0 and 0 <= duty <= 1 and phase_s >= 0):
            raise ValueError(f"no square wave: period {period_s} s, {duty=}, phase {phase_s} s")
        period_ns = max(round(period_s * NS_PER_S), 1)
        return self._append(
            index,
            GPU,
            Step(
                0,
                microwatts(low_w),
                microwatts(high_w),
                period_ns,
                round(duty * period_ns),
                round(phase_s * NS_PER_S),
            ),
        )

    def device(self, index: int) -> Device:
        """One of the devices that there are."""
        if not 0 <= index < self.state.device_count:
            raise ValueError(f"there is no GPU {index} among {self.state.device_count}")
        device: Device = self.state.devices[index]
        return device

    def _append(self, index: int, number: int, step: Step) -> int:
        device = self.device(index)
        if number == MODULE and not device.has_module:
            raise ValueError(f"GPU {index} is no part of a module")
        rail = device.rails[number]
        with self.writing() as now_ns:
            count = rail.step_count
            if count == MAX_STEPS:
                raise ValueError(f"GPU {index} has had all of its {MAX_STEPS} power steps")
            last = rail.steps[count - 1]
            base_fj = as_step(last).energy_fj(now_ns)
            # Positional and in the order of the fields; the count comes last and publishes it.
            rail.steps[count] = (now_ns, *step[1:6], *divmod(base_fj, FJ_PER_MJ))
            rail.step_count = count + 1
        return now_ns


def as_step(struct: StepStruct) -> Step:
    """The values of a step in shared memory."""
    return Step(
        struct.t_ns,
        struct.low_uw,
        struct.high_uw,
        struct.period_ns,
        struct.high_ns,
        struct.phase_ns,
        struct.base_mj,
        struct.base_rest_fj,
    )


def microwatts(watts: float) -> int:
    """A power as it is kept."""
    if not 0 <= watts < 1e6:
        raise ValueError(f"no power of a GPU: {watts} W")
    return round(watts * 1e6)

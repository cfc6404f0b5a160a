"""A simulated NVIDIA machine: a compiled ``libnvidia-ml.so.1``, steered from here, and its truth.

No process moves it. Power steps lie in a file that every process with the library maps, and what a
counter shows at a time follows from them: the truth is exact, and known for any time up to now.

All times are nanoseconds of CLOCK_MONOTONIC, which on Linux is the clock of
``time.perf_counter_ns()`` and ``time.monotonic_ns()``. Energies are microjoules or, as the counter
shows them, millijoules; powers are watts.
"""

from __future__ import annotations

import ctypes
import os
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from . import gpu_tools
from .build import compile_c
from .gpu_tools import (
    FJ_PER_MJ,
    GO,
    GPU,
    MAGIC,
    MAX_DEVICES,
    MAX_EVENTS,
    MAX_PROCESSES,
    MODULE,
    NS_PER_S,
    RESET,
    STOP,
    Device,
    Process,
    SharedState,
    State,
    Step,
    as_step,
    microwatts,
)

PASCAL, VOLTA, TURING, AMPERE, ADA, HOPPER, BLACKWELL = 4, 5, 6, 7, 8, 9, 10
GIB = 2**30

ENTRY_POINTS = (
    "nvmlInit_v2",
    "nvmlInitWithFlags",
    "nvmlShutdown",
    "nvmlErrorString",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetNVMLVersion",
    "nvmlSystemGetCudaDriverVersion",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetIndex",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetMinorNumber",
    "nvmlDeviceGetArchitecture",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetPowerManagementLimitConstraints",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetProcessUtilization",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
    "nvmlDeviceIsMigDeviceHandle",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlDeviceGetComputeInstanceId",
)
"""In the order in which the library counts their calls."""

_SOURCE = Path(__file__).with_name("nvml.c")
_LIBRARY = "libnvidia-ml.so.1"
_CUDA_VERSION = 13000
_MAX_MIG = 8
_MASK = 2**64 - 1

_CELL = """
import types as _types

_gpu_tools = _types.ModuleType("gpu_tools")
exec({source!r}, _gpu_tools.__dict__)
_gpu_state = _gpu_tools.SharedState({path!r})
gpu_power = _gpu_state.power
gpu_square = _gpu_state.square
gpu_module_power = _gpu_state.module_power
"""


class MachineError(RuntimeError):
    """The simulated machine was asked for something outside its life."""


@dataclass(frozen=True)
class Gpu:
    """One device. The defaults are an H100's, which draws ``watts`` from the start on."""

    name: str = "NVIDIA H100 80GB HBM3"
    uuid: str = ""  # default: from the index
    architecture: int = HOPPER
    watts: float = 60.0
    counter: bool = True  # False: older than Volta, no energy counter
    start_mj: int = 5_000_000
    tick_s: float = 0.1  # 0.02 on Volta
    tick_phase_s: float = 0.0  # of the ticks of the energy counter, against the machine's start
    jitter_s: float = 0.0  # each tick comes earlier or later by up to this
    power_window_s: float = 1.0  # what nvmlDeviceGetPowerUsage averages over
    average_window_s: float | None = 1.0  # NVML_FI_DEV_POWER_AVERAGE; None: not supported
    instant_window_s: float | None = 0.025  # NVML_FI_DEV_POWER_INSTANT; None: not supported
    power_update_s: float = 0.1
    power_phase_s: float = 0.0  # of the updates of power, against the machine's start
    memory_bytes: int = 80 * GIB
    reserved_bytes: int = 640 * 2**20
    limit_w: float = 700.0
    min_limit_w: float = 100.0
    mig: bool = False
    mig_instances: int = 0
    mig_capacity: int = 7  # 0: the device knows no MIG
    module_w: float | None = None  # of the whole module, GPU included: Grace-Hopper only
    module_start_mj: int = 9_000_000

    def __post_init__(self) -> None:
        if not (self.tick_s > 0 and self.power_update_s > 0 and self.power_window_s > 0):
            raise ValueError("ticks, updates and windows take some time")
        if not 0 <= self.jitter_s < self.tick_s / 2:
            raise ValueError("a tick cannot overtake the next: jitter_s is less than tick_s / 2")
        if self.mig_instances > (min(self.mig_capacity, _MAX_MIG) if self.mig else 0):
            raise ValueError(f"no room for {self.mig_instances} MIG instances")


@dataclass(frozen=True)
class GpuProcess:
    """A process that has a context on a GPU, or on the MIG instance ``mig`` of one."""

    pid: int
    memory_bytes: int = 0
    utilisation_percent: int = 0
    mig: int | None = None


class NvmlMachine:
    """A context manager: the machine that processes see which start with its ``environment``.

    The truth can still be asked for afterwards. What changes the machine takes effect at the time
    that is returned.
    """

    def __init__(self, root: Path, gpus: Sequence[Gpu], driver: str = "580.95.05") -> None:
        if len(gpus) > MAX_DEVICES:
            raise ValueError(f"{len(gpus)} GPUs, and room for {MAX_DEVICES}")
        self.root = root
        self.gpus = tuple(gpus)
        self.driver = driver
        self.state_path = root / "nvml.state"
        self._shared: SharedState | None = None
        self._library: Path | None = None
        self._steps: dict[tuple[int, int], list[Step]] = {}
        self._open = False

    def __enter__(self) -> Self:
        self._library = compile_c(_SOURCE, shared=True, name=_LIBRARY)
        self.root.mkdir(parents=True, exist_ok=True)
        with self.state_path.open("xb") as file:
            file.truncate(ctypes.sizeof(State))
        self._shared = SharedState(str(self.state_path))
        self._furnish(self._shared.state)
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False

    # -- who sees it

    @property
    def library(self) -> Path:
        """The compiled ``libnvidia-ml.so.1``."""
        if self._library is None:
            raise MachineError("the simulated machine was not started")
        return self._library

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that shall see this machine, from its start on."""
        directories = (str(self.library.parent), os.environ.get("LD_LIBRARY_PATH", ""))
        return {
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, directories)),
            "SIMULATED_NVML": str(self.state_path),
        }

    def tools(self) -> str:
        """Code that gives a cell ``gpu_power(index, watts)``, ``gpu_square(index, low_w, high_w,
        period_s, duty=0.5, phase_s=0.0)`` and ``gpu_module_power(index, watts)``.

        They return the time in ns from which on the device draws that power.
        """
        source = Path(gpu_tools.__file__).read_text(encoding="utf-8")
        return _CELL.format(source=source, path=str(self.state_path))

    def calls(self, name: str) -> int:
        """How often all processes together have called an entry point."""
        return int(self._state.calls[ENTRY_POINTS.index(name)])

    # -- power

    def power(self, index: int, watts: float) -> int:
        """Draw ``watts`` from now on."""
        return self._steerable.power(index, watts)

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
        return self._steerable.square(index, low_w, high_w, period_s, duty, phase_s)

    def module_power(self, index: int, watts: float) -> int:
        """Let the module, GPU included, draw ``watts`` from now on."""
        return self._steerable.module_power(index, watts)

    # -- load

    def processes(
        self, index: int, compute: Sequence[GpuProcess], graphics: Sequence[GpuProcess] = ()
    ) -> int:
        """The processes on the device, in place of those before."""
        if len(compute) + len(graphics) > MAX_PROCESSES:
            raise ValueError(f"a simulated GPU has room for {MAX_PROCESSES} processes")
        instances = self.gpus[index].mig_instances
        if any(one.mig is not None and one.mig >= instances for one in (*compute, *graphics)):
            raise ValueError(f"GPU {index} has {instances} MIG instances")
        since_us = time.time_ns() // 1000
        device = self._device(index)
        with self._writing() as now_ns:
            for place, one in enumerate((*compute, *graphics)):
                device.processes[place] = Process(
                    memory_bytes=one.memory_bytes,
                    since_us=since_us,
                    pid=one.pid,
                    utilisation_percent=one.utilisation_percent,
                    mig=-1 if one.mig is None else one.mig,
                    graphics=place >= len(compute),
                )
            device.process_count = len(compute) + len(graphics)
        return now_ns

    def hide_processes(self, index: int, hidden: bool = True) -> int:
        """Show no processes, as in a container that does not share the host's process numbers."""
        return self._set(index, hidden=hidden)

    def utilisation(self, index: int, gpu_percent: int, memory_percent: int = 0) -> int:
        """How busy the device and its memory are."""
        return self._set(index, gpu_percent=gpu_percent, memory_percent=memory_percent)

    def memory_used(self, index: int, used_bytes: int) -> int:
        """How much memory is taken, beside what the driver reserves."""
        return self._set(index, memory_used_bytes=used_bytes)

    def temperature(self, index: int, celsius: int) -> int:
        """How warm the device is."""
        return self._set(index, temperature_c=celsius)

    # -- faults

    def lose(self, index: int) -> int:
        """Every call for the device says NVML_ERROR_GPU_IS_LOST. It goes on drawing power."""
        return self._set(index, lost=True)

    def find(self, index: int) -> int:
        """End ``lose``: the counter jumps to where it would be without."""
        return self._set(index, lost=False)

    def no_permission(self, index: int) -> int:
        """Every call for the device says NVML_ERROR_NO_PERMISSION."""
        return self._set(index, denied=True)

    def permit(self, index: int) -> int:
        """End ``no_permission``."""
        return self._set(index, denied=False)

    def mig_permission(self, index: int, allowed: bool) -> int:
        """Whether the device shows the processes of all of its instances, or refuses."""
        return self._set(index, mig_denied=not allowed)

    def stand_still(self, index: int) -> int:
        """Freeze the counter at its last value. The energy goes on being drawn."""
        return self._happen([index], STOP)

    def go_on(self, index: int) -> int:
        """End ``stand_still``: the counter jumps to where it would be without."""
        return self._happen([index], GO)

    def reset_counter(self, index: int) -> int:
        """Let the counter restart at 0."""
        return self._happen([index], RESET)

    def slow(self, seconds: float, index: int | None = None) -> int:
        """Let every call take so long before it looks; without an index, not only for a device."""
        slow_ns = round(seconds * NS_PER_S)
        if index is not None:
            return self._set(index, slow_ns=slow_ns)
        with self._writing() as now_ns:
            self._state.slow_ns = slow_ns
        return now_ns

    def unload_driver(self) -> int:
        """Calls say NVML_ERROR_UNKNOWN, and nvmlInit says NVML_ERROR_DRIVER_NOT_LOADED."""
        with self._writing() as now_ns:
            self._state.driver_loaded = False
        return now_ns

    def load_driver(self) -> int:
        """Counters begin at 0, and who was there before must call nvmlInit again."""
        now_ns = self._happen(range(len(self.gpus)), RESET)
        with self._writing():
            self._state.driver_generation += 1
            self._state.driver_loaded = True
        return now_ns

    # -- the truth

    def energy_uj(self, index: int, t0_ns: int, t1_ns: int, *, module: bool = False) -> float:
        """The energy in microjoules that the device really drew between two times, exactly."""
        if t0_ns > t1_ns:
            raise ValueError(f"the window ends {t0_ns - t1_ns} ns before it begins")
        rail = MODULE if module else GPU
        return (self._energy_fj(index, rail, t1_ns) - self._energy_fj(index, rail, t0_ns)) / 1e9

    def power_w(self, index: int, t_ns: int, *, module: bool = False) -> float:
        """The power in watts that the device really drew at a time."""
        return self._step_at(index, MODULE if module else GPU, t_ns).power_uw(t_ns) / 1e6

    def counter_mj(self, index: int, t_ns: int, *, module: bool = False) -> int:
        """What the energy counter showed at a time to who could read it."""
        rail = MODULE if module else GPU
        origin_ns, origin_mj = self._state.start_ns, self._device(index).rails[rail].start_mj
        stopped_ns: int | None = None
        for event_ns, kind in self._events(index):
            if event_ns > t_ns:
                break
            if kind == RESET:
                origin_ns, origin_mj = event_ns, 0
            elif kind == GO:
                stopped_ns = None
            elif stopped_ns is None:
                stopped_ns = event_ns
        shown_ns = self.last_tick_ns(index, t_ns if stopped_ns is None else stopped_ns)
        if shown_ns <= origin_ns:
            return int(origin_mj)
        drawn_fj = self._energy_fj(index, rail, shown_ns) - self._energy_fj(index, rail, origin_ns)
        return int(origin_mj) + drawn_fj // FJ_PER_MJ

    def last_tick_ns(self, index: int, t_ns: int) -> int:
        """When the energy counter was updated last, at a time."""
        return self._tick_ns(index, self._tick_number(index, t_ns))

    def next_tick_ns(self, index: int, t_ns: int) -> int:
        """When the energy counter is updated first after a time."""
        return self._tick_ns(index, self._tick_number(index, t_ns) + 1)

    def reading_mw(
        self, index: int, t_ns: int, window_s: float | None = None, *, module: bool = False
    ) -> int:
        """What a power reading showed at a time; the window is nvmlDeviceGetPowerUsage's."""
        rail = MODULE if module else GPU
        device = self._device(index)
        window_ns = _ns(self.gpus[index].power_window_s if window_s is None else window_s)
        origin_ns, update_ns = device.update_origin_ns, device.update_ns
        end_ns = origin_ns + (t_ns - origin_ns) // update_ns * update_ns
        drawn_fj = self._energy_fj(index, rail, end_ns)
        drawn_fj -= self._energy_fj(index, rail, end_ns - window_ns)
        return drawn_fj // window_ns // 1000

    # -- inner parts

    @property
    def _mapped(self) -> SharedState:
        if self._shared is None:
            raise MachineError("the simulated machine was not started")
        return self._shared

    @property
    def _steerable(self) -> SharedState:
        if not self._open:
            raise MachineError("the simulated machine is not running")
        return self._mapped

    @property
    def _state(self) -> State:
        return self._mapped.state

    def _device(self, index: int) -> Device:
        return self._mapped.device(index)

    def _writing(self) -> AbstractContextManager[int]:
        return self._steerable.writing()

    def _set(self, index: int, **values: int) -> int:
        device = self._device(index)
        with self._writing() as now_ns:
            for name, value in values.items():
                setattr(device, name, value)
        return now_ns

    def _happen(self, indices: Sequence[int], kind: int) -> int:
        devices = [self._device(index) for index in indices]
        with self._writing() as now_ns:
            for device in devices:
                count = device.event_count
                if count == MAX_EVENTS:
                    raise ValueError(f"a simulated counter has room for {MAX_EVENTS} events")
                device.events[count] = (now_ns, kind)
                device.event_count = count + 1
        return now_ns

    def _events(self, index: int) -> list[tuple[int, int]]:
        device = self._device(index)
        with self._mapped.locked():
            return [(one.t_ns, one.kind) for one in device.events[: device.event_count]]

    def _step_at(self, index: int, rail: int, t_ns: int) -> Step:
        if t_ns > time.monotonic_ns():
            raise ValueError("nothing is known of the time to come")
        known = self._steps.setdefault((index, rail), [])
        source = self._device(index).rails[rail]
        # Under the lock, nobody is about to add a step that began before now.
        with self._mapped.locked():
            known += map(as_step, source.steps[len(known) : source.step_count])
        place = bisect_right(known, t_ns, key=lambda step: step.t_ns)
        return known[max(place - 1, 0)]

    def _energy_fj(self, index: int, rail: int, t_ns: int) -> int:
        return self._step_at(index, rail, t_ns).energy_fj(t_ns)

    def _tick_ns(self, index: int, number: int) -> int:
        device = self._device(index)
        t_ns: int = device.tick_origin_ns + number * device.tick_ns
        if device.jitter_ns:
            random = _scramble((number & _MASK) ^ (index << 48))
            t_ns += random % (2 * device.jitter_ns + 1) - device.jitter_ns
        return t_ns

    def _tick_number(self, index: int, t_ns: int) -> int:
        device = self._device(index)
        number: int = (t_ns - device.tick_origin_ns) // device.tick_ns + 1
        while self._tick_ns(index, number) > t_ns:
            number -= 1
        return number

    def _furnish(self, state: State) -> None:
        state.start_ns = time.monotonic_ns()
        state.driver_loaded = True
        state.driver_generation = 1
        state.device_count = len(self.gpus)
        state.cuda_version = _CUDA_VERSION
        state.driver_version = self.driver.encode()
        state.nvml_version = f"13.{self.driver}".encode()
        for index, gpu in enumerate(self.gpus):
            _furnish_device(state.devices[index], index, gpu, state.start_ns)
        state.magic = MAGIC  # last: what has it is complete


def _furnish_device(device: Device, index: int, gpu: Gpu, start_ns: int) -> None:
    values = {
        "name": gpu.name.encode(),
        "uuid": (gpu.uuid or f"GPU-00000000-0000-0000-0000-{index:012x}").encode(),
        "tick_ns": _ns(gpu.tick_s),
        "tick_origin_ns": start_ns + _ns(gpu.tick_phase_s),
        "jitter_ns": _ns(gpu.jitter_s),
        "update_ns": _ns(gpu.power_update_s),
        "update_origin_ns": start_ns + _ns(gpu.power_phase_s),
        "usage_window_ns": _ns(gpu.power_window_s),
        "average_window_ns": _ns(gpu.average_window_s or 0.0),
        "instant_window_ns": _ns(gpu.instant_window_s or 0.0),
        "memory_bytes": gpu.memory_bytes,
        "memory_reserved_bytes": gpu.reserved_bytes,
        "architecture": gpu.architecture,
        "limit_mw": round(gpu.limit_w * 1000),
        "min_limit_mw": round(gpu.min_limit_w * 1000),
        "temperature_c": 35,
        "has_counter": gpu.counter,
        "has_module": gpu.module_w is not None,
        "mig_capacity": gpu.mig_capacity,
        "mig_enabled": gpu.mig,
        "mig_instances": gpu.mig_instances,
    }
    for name, value in values.items():
        setattr(device, name, value)
    rails = ((gpu.watts, gpu.start_mj), (gpu.module_w or 0.0, gpu.module_start_mj))
    for rail, (watts, start_mj) in zip(device.rails, rails, strict=True):
        rail.start_mj = start_mj
        rail.steps[0] = (start_ns, *Step(0, microwatts(watts))[1:])
        rail.step_count = 1


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def _scramble(number: int) -> int:
    """splitmix64: the same in nvml.c."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31


# -- ready-made devices

VOLTA_GPU = Gpu(
    name="Tesla V100-SXM2-32GB",
    architecture=VOLTA,
    watts=40.0,
    tick_s=0.02,
    power_window_s=0.01,
    average_window_s=None,
    instant_window_s=None,
    power_update_s=0.02,
    memory_bytes=32 * GIB,
    limit_w=300.0,
    mig_capacity=0,
)
"""The counter ticks every 20 ms, and a power reading is nearly instantaneous."""

PASCAL_GPU = Gpu(
    name="Tesla P100-PCIE-16GB",
    architecture=PASCAL,
    watts=30.0,
    counter=False,
    power_window_s=0.01,
    average_window_s=None,
    instant_window_s=None,
    power_update_s=0.02,
    memory_bytes=16 * GIB,
    limit_w=250.0,
    mig_capacity=0,
)
"""Power alone, no energy counter."""

GRACE_HOPPER = Gpu(
    name="NVIDIA GH200 480GB",
    watts=90.0,
    module_w=180.0,
    memory_bytes=96 * GIB,
    limit_w=900.0,
)
"""The module's power and energy are readable beside the GPU's."""

"""NVIDIA devices through NVML, the driver's own library.

Facts from the NVML reference and from Yang et al., "Part-time Power Measurements" (SC'24):
``nvmlDeviceGetTotalEnergyConsumption`` counts millijoules since the driver was loaded, on Volta
and newer, and moves every 100 ms (20 ms on Volta). ``nvmlDeviceGetPowerUsage`` is an average of a
second on Ampere and newer, so what it shows is no energy; older cards, which have no counter,
show the power of the last 10 to 100 ms, and that is integrated. On a Grace Hopper module the
scope *module* holds the CPU as well: it is shown beside the GPU and never added. Energy exists
for a whole card only, so an instance of MIG has no counter of its own.

Nothing here is called in the user's process: a call takes microseconds, or, with a sick card,
seconds. The binding is ``nvidia-ml-py``, and is loaded only where its library can be.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo, DeviceProcess, DeviceState, Refusal
from jupyter_green.sources.counter import Device, Problem
from jupyter_green.sources.integrated import Integrated

NAME = "nvml"

START_S = 10.0
"""The driver may take seconds to wake its cards; one that takes longer will not."""

_UJ_PER_MJ = 1000
_W_PER_MW = 0.001
_VOLTA = 5
_TICK_S = {_VOLTA: 0.02}
_ELSE_TICK_S = 0.1
_POWER_UPDATE_S = {4: 0.02}
_POWER_WINDOW_S = {4: 0.01}
"""By architecture (4: Pascal), from the result matrix of Yang et al.: how often the sensor's
reading changes, and over which time before it is a mean ..."""
_ELSE_POWER_UPDATE_S = _ELSE_POWER_WINDOW_S = 0.1
_AVERAGED_SINCE, _AVERAGED_S, _AVERAGED_LAG = 7, 1.0, 1.5
"""... which is a second from Ampere on, unless the driver tells the power of the moment."""
_INTEGRATED_BAND = 0.05
"""Steps of power between two readings are misplaced by up to half the time between them."""
_PEAK_OVER_LIMIT = 2.0
"""Peaks of milliseconds exceed the limit; this only tells a reset from a count."""
_MODULE_PEAK_W = 4000.0
_ELSE_LIMIT_W = 1500.0
_MODULE_SCOPE = 1
_ACCURACY = "5 % or so, on some cards 13 % (Yang et al., SC'24)"

Found = tuple[list[Device], list[Refusal]]


def find(start_s: float = START_S) -> Found:
    """The devices of this machine that tell their energy or power, and what is refused."""
    try:
        nvml = _started(start_s)
    except UnreadableCounter as error:
        none = isinstance(error, _NoDriver)
        return [], [Refusal(source=NAME, reason=error.reason, remedy=error.remedy, by_choice=none)]
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return [], [Refusal(source=NAME, reason=f"NVML does not count its devices: {error}")]
    opened = [_Opened(nvml, index) for index in range(count)]
    until_s = time.monotonic() + start_s
    for one in opened:
        one.join(max(0.0, until_s - time.monotonic()))
    devices = [device for one in opened for device in one.devices]
    refused = [refusal for one in opened for refusal in one.refused(start_s)]
    if not opened:
        refused.append(Refusal(source=NAME, reason="the driver is loaded and shows no device"))
    return devices, refused


class _Opened(threading.Thread):
    """Opens one card. Each has a thread: a sick one must not hold up the others."""

    def __init__(self, nvml: ModuleType, index: int) -> None:
        super().__init__(name=f"nvml open {index}", daemon=True)
        self.devices: tuple[Device, ...] = ()
        self._nvml = nvml
        self._index = index
        self._problem: UnreadableCounter | None = None
        self.start()

    def run(self) -> None:
        """Open it, or remember why not."""
        try:
            self.devices = tuple(_devices(self._nvml, self._index))
        except UnreadableCounter as error:
            self._problem = error
        except self._nvml.NVMLError as error:
            self._problem = _unreadable(self._nvml, error)

    def refused(self, start_s: float) -> Iterator[Refusal]:
        """Why there is no device, if there is none."""
        problem = self._problem
        if problem is None and not self.devices:
            problem = UnreadableCounter(f"the driver has not answered in {start_s:g} s")
        if problem is not None:
            yield Refusal(
                source=NAME,
                counter=f"gpu-{self._index}",
                reason=f"GPU {self._index} cannot be opened: {problem.reason}",
                remedy=problem.remedy,
            )


def _started(start_s: float) -> ModuleType:
    """The binding, with the library initialised.

    Raises:
        UnreadableCounter: there is none, or it does not answer.
    """
    if not _has_library():
        raise _NoDriver("there is no NVIDIA driver (libnvidia-ml.so.1 is not found)")
    try:
        import pynvml  # noqa: PLC0415  (0.3 MB of Python that most machines have no use for)
    except ImportError:
        raise UnreadableCounter(
            "the package nvidia-ml-py is not installed", "pip install nvidia-ml-py"
        ) from None
    binding: ModuleType = pynvml
    outcome: list[Exception | None] = []

    def start() -> None:
        try:
            pynvml.nvmlInit()
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=start, name="nvml start", daemon=True)
    thread.start()
    thread.join(start_s)
    if not outcome:
        raise UnreadableCounter(
            f"the NVIDIA driver has not answered in {start_s:g} s",
            "nvidia-smi tells whether it answers at all",
        )
    if outcome[0] is not None:
        raise _refused_start(binding, outcome[0])
    return binding


class _NoDriver(UnreadableCounter):
    """Nothing is wrong: the machine has no such device."""


def _has_library() -> bool:
    """Whether the driver's library can be loaded; dearer to find out is left to the binding."""
    if sys.platform != "linux":
        return sys.platform == "win32"
    import ctypes  # noqa: PLC0415  (not in a kernel, which never asks)

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _refused_start(nvml: ModuleType, error: Exception) -> UnreadableCounter:
    value = getattr(error, "value", None)
    if value == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return _NoDriver("there is no NVIDIA driver (its library is not found)")
    if value == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return UnreadableCounter(
            "the NVIDIA driver is installed but not loaded", "sudo modprobe nvidia"
        )
    if value == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return UnreadableCounter(
            "the NVIDIA library and the loaded driver are of different versions",
            "reboot, or reload the driver, after its update",
        )
    return UnreadableCounter(f"NVML cannot be started: {error}")


def _devices(nvml: ModuleType, index: int) -> Iterator[Device]:
    """What one card has to tell: its own energy, and that of the module it sits on."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    card = Card(nvml, index, handle)
    if card.has_counter:
        yield Counter(card)
    else:
        yield Powered(card)
    if card.has_module:
        yield Counter(card, module=True)


class Card:
    """One device of the driver, with its handle; what fails says so as UnreadableCounter."""

    def __init__(self, nvml: ModuleType, index: int, handle: Any) -> None:
        self.index = index
        self.nvml = nvml
        self._handle = handle
        self._seen_us = 0
        self.name = _text(nvml.nvmlDeviceGetName(handle))
        self.uuid = _text(nvml.nvmlDeviceGetUUID(handle))
        self.architecture = self._optional("nvmlDeviceGetArchitecture")
        limit_mw = self._optional("nvmlDeviceGetEnforcedPowerLimit")
        self.limit_w = limit_mw * _W_PER_MW if limit_mw else _ELSE_LIMIT_W
        self.has_counter = self._optional("nvmlDeviceGetTotalEnergyConsumption") is not None
        self.has_module = self._has_module()
        self.mig = self._mig_handles()

    # --- energy and power ---

    def energy_uj(self) -> int:
        """Microjoules since the driver was loaded."""
        millijoules: int = self._call("nvmlDeviceGetTotalEnergyConsumption")
        return millijoules * _UJ_PER_MJ

    def module_energy_uj(self) -> int:
        """The same for the module."""
        millijoules = self._field(self.nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, _MODULE_SCOPE)
        if millijoules is None:
            raise UnreadableCounter("the driver does not tell the module's energy")
        return millijoules * _UJ_PER_MJ

    def power_w(self) -> float:
        """Watts: of the last moments where the driver tells these, else of the last second."""
        instant_mw = self._field(self.nvml.NVML_FI_DEV_POWER_INSTANT, 0)
        milliwatts = instant_mw if instant_mw is not None else self._call("nvmlDeviceGetPowerUsage")
        return float(milliwatts) * _W_PER_MW

    def _has_module(self) -> bool:
        """The module's energy is told, and is not just the device's once more."""
        field = self.nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
        module, own = self._field(field, _MODULE_SCOPE), self._field(field, 0)
        return module is not None and own is not None and module != own

    def _field(self, field: int, scope: int) -> int | None:
        """One field's value; None where the driver does not know it."""
        nvml = self.nvml
        try:
            (value,) = nvml.nvmlDeviceGetFieldValues(self._handle, [(field, scope)])
        except nvml.NVMLError:
            return None
        if value.nvmlReturn != nvml.NVML_SUCCESS:
            return None
        kinds = {
            nvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
            nvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
            nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        }
        kind = kinds.get(value.valueType)
        return int(getattr(value.value, kind)) if kind is not None else None

    @property
    def tells_the_moment(self) -> bool:
        """The power of the last moments, not only the mean of a second."""
        return self._field(self.nvml.NVML_FI_DEV_POWER_INSTANT, 0) is not None

    def architecture_at_least(self, number: int) -> bool:
        """NVML counts architectures up; a card that does not tell its own is old."""
        return self.architecture is not None and self.architecture >= number

    # --- what it does, and for whom ---

    def state(self) -> DeviceState:
        """Utilisation, memory, power, temperature and processes, as far as they are told.

        Raises:
            UnreadableCounter: nothing is told at all.
        """
        nvml = self.nvml
        rates = self._optional("nvmlDeviceGetUtilizationRates")
        memory = self._optional("nvmlDeviceGetMemoryInfo")
        celsius = self._optional("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU)
        processes = self.processes()
        power_w: float | None = None
        try:
            power_w = round(self.power_w(), 3)
        except UnreadableCounter:
            if rates is None and memory is None and processes is None:
                raise
        return DeviceState(
            utilisation=rates.gpu / 100 if rates is not None else None,
            memory_bytes=memory.used if memory is not None else None,
            memory_total_bytes=memory.total if memory is not None else None,
            power_w=power_w,
            temperature_c=celsius,
            processes=processes,
        )

    def processes(self) -> list[DeviceProcess] | None:
        """Those with a context on it; None where the driver does not tell."""
        lists = [self._processes_of(handle) for handle in (self._handle, *self.mig.values())]
        told = [each for each in lists if each is not None]
        if not told:
            return None
        utilisation = self._utilisation()
        memory: dict[int, int | None] = {}
        for process in (one for each in told for one in each):
            memory[process.pid] = process.usedGpuMemory
        return [
            DeviceProcess(
                pid=pid, whose="", memory_bytes=used, utilisation=utilisation.get(pid, 0.0)
            )
            for pid, used in sorted(memory.items())
        ]

    def _processes_of(self, handle: Any) -> list[Any] | None:
        nvml = self.nvml
        try:
            found = list(nvml.nvmlDeviceGetComputeRunningProcesses(handle))
        except nvml.NVMLError:
            return None
        with suppress(nvml.NVMLError):
            found += nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
        return found

    def _utilisation(self) -> dict[int, float]:
        """Share of the multiprocessors by process, since the last look."""
        nvml = self.nvml
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(self._handle, self._seen_us)
        except nvml.NVMLError:
            return {}
        sums: dict[int, list[int]] = {}
        for sample in samples:
            self._seen_us = max(self._seen_us, sample.timeStamp)
            sums.setdefault(sample.pid, []).append(sample.smUtil)
        return {pid: sum(values) / len(values) / 100 for pid, values in sums.items()}

    def _mig_handles(self) -> dict[str, Any]:
        """By UUID, the instances of a card that is divided (MIG)."""
        nvml = self.nvml
        mode = self._optional("nvmlDeviceGetMigMode")
        if mode is None or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return {}
        found = {}
        for index in range(self._optional("nvmlDeviceGetMaxMigDeviceCount") or 0):
            with suppress(nvml.NVMLError):
                handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, index)
                found[_text(nvml.nvmlDeviceGetUUID(handle))] = handle
        return found

    # --- calls ---

    def _optional(self, function: str, *arguments: Any) -> Any:
        """What a call returns; None where the card does not support it."""
        with suppress(self.nvml.NVMLError):
            return getattr(self.nvml, function)(self._handle, *arguments)
        return None

    def _call(self, function: str) -> Any:
        nvml = self.nvml
        try:
            return getattr(nvml, function)(self._handle)
        except nvml.NVMLError as error:
            if error.value == nvml.NVML_ERROR_UNINITIALIZED:
                # The driver was reloaded: whoever used it has to begin again.
                self._begin_again()
            raise _unreadable(nvml, error) from None

    def _begin_again(self) -> None:
        nvml = self.nvml
        with suppress(nvml.NVMLError):
            nvml.nvmlInit()
            self._handle = nvml.nvmlDeviceGetHandleByUUID(self.uuid)
            self.mig = self._mig_handles()


def _unreadable(nvml: ModuleType, error: Any) -> UnreadableCounter:
    """A failed call in words, with what can be done."""
    remedies = {
        nvml.NVML_ERROR_GPU_IS_LOST: "nvidia-smi and the kernel's log (Xid) tell why; reset or "
        "reboot",
        nvml.NVML_ERROR_RESET_REQUIRED: "nvidia-smi --gpu-reset, as root",
        nvml.NVML_ERROR_NO_PERMISSION: "ask who runs this machine for access to the device",
    }
    return UnreadableCounter(f"NVML: {error}", remedies.get(error.value, ""))


class _OneCounter:
    """What the devices here have in common."""

    name = NAME
    in_place = False

    def __init__(self, card: Card, info: CounterInfo) -> None:
        self._card = card
        self._counters = (info,)
        self._problems: dict[str, Problem] = {}
        self._closed = False

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return self._counters

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._problems

    def state(self) -> DeviceState:
        """What the card is doing now."""
        return self._card.state()

    def is_visible(self, visible: str | None) -> bool:
        """See :func:`is_visible`."""
        return is_visible(visible, self._card.index, (self._card.uuid, *self._card.mig))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Keep why a reading failed."""
        name = self._counters[0].name
        self._problems = {name: Problem("the source is closed")} if self._closed else {}
        try:
            yield
        except UnreadableCounter as error:
            self._problems = {name: Problem(error.reason, error.remedy)}


class Counter(_OneCounter):
    """A card, or a module, that counts its energy."""

    absolute = True
    lag_s = 0.0

    def __init__(self, card: Card, *, module: bool = False) -> None:
        super().__init__(card, _module_info(card) if module else _counter_info(card))
        self._energy_uj: Callable[[], int] = card.module_energy_uj if module else card.energy_uj

    def read(self, now_ns: int) -> dict[str, int]:
        """Microjoules since the driver was loaded."""
        with self._telling():
            if not self._closed:
                return {self._counters[0].name: self._energy_uj()}
        return {}

    def close(self) -> None:
        """Nothing is given back: other devices use the same library."""
        self._closed = True


class Powered(_OneCounter):
    """A card that shows its power alone, integrated."""

    absolute = False

    def __init__(self, card: Card) -> None:
        super().__init__(card, _power_info(card))
        card.power_w()  # one that does not even tell its power is refused
        update_s = self._counters[0].resolution_s
        sensor = _PowerSensor(card, self._counters[0])
        if card.architecture_at_least(_AVERAGED_SINCE) and not card.tells_the_moment:
            self.lag_s = _AVERAGED_LAG * update_s
            self._integrated = Integrated(sensor, window_s=_AVERAGED_S, delay_s=self.lag_s)
        else:
            moment_s = _POWER_WINDOW_S.get(card.architecture, _ELSE_POWER_WINDOW_S)
            # Half of its greatest age, and half of what it averages.
            self.lag_s = (update_s + moment_s) / 2
            self._integrated = Integrated(sensor)

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._integrated.problems

    def read(self, now_ns: int) -> dict[str, int]:
        """Microjoules since the first reading."""
        return self._integrated.read(now_ns)

    def close(self) -> None:
        """End the integral."""
        self._integrated.close()


class _PowerSensor:
    """The power of a card, as :class:`~.integrated.Integrated` wants it."""

    def __init__(self, card: Card, info: CounterInfo) -> None:
        self._card = card
        self.info = info

    def power_w(self, now_ns: int) -> float:
        return self._card.power_w()

    def close(self) -> None:
        """Nothing to give back."""


def _counter_info(card: Card) -> CounterInfo:
    return CounterInfo(
        name=f"gpu-{card.index}",
        domain="gpu",
        source=NAME,
        provenance="measured",
        resolution_s=_TICK_S.get(card.architecture, _ELSE_TICK_S),
        quantum_uj=_UJ_PER_MJ,
        centred=True,
        max_power_w=_PEAK_OVER_LIMIT * card.limit_w,
        scope="device",
        device=_described(card),
        accuracy=_ACCURACY,
    )


def _module_info(card: Card) -> CounterInfo:
    return CounterInfo(
        name=f"module-{card.index}",
        domain="module",
        source=NAME,
        provenance="measured",
        resolution_s=_ELSE_TICK_S,
        counted=False,
        quantum_uj=_UJ_PER_MJ,
        centred=True,
        max_power_w=_MODULE_PEAK_W,
        scope="module",
        device=f"module of {card.name}: CPU, GPU and memory",
        accuracy=_ACCURACY,
    )


def _power_info(card: Card) -> CounterInfo:
    return CounterInfo(
        name=f"gpu-{card.index}",
        domain="gpu",
        source=NAME,
        provenance="integrated",
        resolution_s=_POWER_UPDATE_S.get(card.architecture, _ELSE_POWER_UPDATE_S),
        clock="nvml power",  # one cell misleads all of them in the same way
        quantum_uj=_UJ_PER_MJ,
        centred=True,
        max_power_w=_PEAK_OVER_LIMIT * card.limit_w,
        scope="device",
        device=_described(card),
        band=_INTEGRATED_BAND,
        assumption="its power readings, added up",
        accuracy=_ACCURACY,
    )


def _described(card: Card) -> str:
    if not card.mig:
        return card.name
    return f"{card.name}, divided by MIG: the energy is that of the whole card"


def is_visible(visible: str | None, index: int, uuids: tuple[str, ...]) -> bool:
    """Whether CUDA shows a device to a program with this ``CUDA_VISIBLE_DEVICES``.

    The CUDA programming guide: indices or (beginnings of) UUIDs, of which those behind the first
    invalid one do not count. Indices are taken as the driver's; CUDA puts the fastest device
    first, which differs only where the cards differ.
    """
    if visible is None:
        return True
    for entry in visible.split(","):
        name = entry.strip()
        if name.isdigit():
            if int(name) == index:
                return True
        elif not name or name == "-1":
            return False
        elif any(uuid.startswith(name) for uuid in uuids):
            return True
        elif not name.startswith(("GPU-", "MIG-")):
            return False
    return False


def _text(name: str | bytes) -> str:
    """Older bindings return bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def card_of(device: Device) -> Card | None:
    """The card behind a device that was found here; None behind any other."""
    return device._card if isinstance(device, _OneCounter) else None


def driver_version(card: Card) -> str:
    """Of the loaded driver, as ``580.95.05``; empty where it does not tell."""
    with suppress(card.nvml.NVMLError):
        return _text(card.nvml.nvmlSystemGetDriverVersion())
    return ""

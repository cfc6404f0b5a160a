"""The simulated NVIDIA machine tells the truth, and its library does what NVML's reference says."""

from __future__ import annotations

import ctypes
import json
import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators import gpu, gpu_tools
from tests.simulators.build import compile_c
from tests.simulators.gpu import (
    ENTRY_POINTS,
    GRACE_HOPPER,
    PASCAL_GPU,
    VOLTA_GPU,
    Gpu,
    GpuProcess,
    MachineError,
    NvmlMachine,
)
from tests.simulators.gpu_tools import SharedState, Step

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a .so is Linux's")

UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION = 1, 2, 3, 4
NOT_FOUND, INSUFFICIENT_SIZE, DRIVER_NOT_LOADED, GPU_IS_LOST = 6, 7, 9, 15
VERSION_MISMATCH, UNKNOWN = 25, 999
NOT_AVAILABLE = 2**32 - 1

ENERGY, AVERAGE, INSTANT = 83, 185, 186

CLIENT = """
import ctypes, functools, json, sys, time
import pynvml as n
from ctypes import byref, c_uint, c_int64, c_ulonglong

library = ctypes.CDLL("libnvidia-ml.so.1")
library.simulated_nvml_last_tick_ns.restype = c_int64
library.simulated_nvml_counter_mj.restype = c_ulonglong
library.simulated_nvml_power_mw.restype = c_uint

# Handles are kept, as a program keeps them.
handle = functools.cache(n.nvmlDeviceGetHandleByIndex)

@functools.cache
def instance(index, number):
    return n.nvmlDeviceGetMigDeviceHandleByIndex(handle(index), number)

def timed(call, *arguments):
    before_ns = time.monotonic_ns()
    value = call(*arguments)
    return before_ns, value, time.monotonic_ns()

def watch(call, seconds, *arguments):
    found, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        found.append(timed(call, *arguments))
    return found

def field(index, number, scope=0):
    value = n.nvmlDeviceGetFieldValues(handle(index), [(number, scope)])[0]
    return [value.nvmlReturn, value.value.ullVal, value.valueType]

def processes(call, device):
    return [[one.pid, one.usedGpuMemory, one.gpuInstanceId] for one in call(device)]

def samples(index, since_us=0):
    found = n.nvmlDeviceGetProcessUtilization(handle(index), since_us)
    return [[one.pid, one.smUtil, one.timeStamp] for one in found]

for line in sys.stdin:
    try:
        answer = {"value": eval(line)}
    except n.NVMLError as error:
        answer = {"error": error.value}
    print(json.dumps(answer), flush=True)
"""


class Client:
    """A process that uses the real ``pynvml`` on a simulated machine."""

    def __init__(self, machine: NvmlMachine, *, begin: bool = True) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CLIENT],
            env={**os.environ, **machine.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if begin:
            self("n.nvmlInit()")

    def _ask(self, expression: str) -> dict[str, Any]:
        self.send(expression)
        return self.receive()

    def send(self, expression: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __call__(self, expression: str) -> Any:
        answer = self._ask(expression)
        assert "error" not in answer, f"{expression}: NVML error {answer['error']}"
        return answer["value"]

    def refusal(self, expression: str) -> int:
        """The error that a call ends with."""
        answer = self._ask(expression)
        assert "error" in answer, f"{expression} gave {answer['value']}"
        return int(answer["error"])

    def energy(self, index: int = 0) -> int:
        return int(self(f"n.nvmlDeviceGetTotalEnergyConsumption(handle({index}))"))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@contextmanager
def client_of(machine: NvmlMachine, *, begin: bool = True) -> Iterator[Client]:
    client = Client(machine, begin=begin)
    try:
        yield client
    finally:
        client.close()


def until(look: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def until_tick(machine: NvmlMachine, index: int = 0, ticks: int = 1) -> int:
    """Wait for the counter's next ticks; the time of the last one."""
    tick_ns = machine.next_tick_ns(index, time.monotonic_ns())
    for _ in range(ticks - 1):
        tick_ns = machine.next_tick_ns(index, tick_ns)
    until(lambda: time.monotonic_ns() > tick_ns)
    return tick_ns


def wander(machine: NvmlMachine, index: int, steps: int, seed: int) -> None:
    """Steps of all kinds, at times that lie a few milliseconds apart."""
    generator = random.Random(seed)
    for _ in range(steps):
        low_w, high_w = generator.uniform(0, 100), generator.uniform(100, 700)
        if generator.random() < 0.5:
            machine.power(index, high_w)
        else:
            period_s = generator.uniform(1e-4, 1e-2)
            phase_s = generator.uniform(0, 0.1)
            machine.square(index, low_w, high_w, period_s, generator.random(), phase_s)
        time.sleep(generator.uniform(0, 0.006))


# -- one layout, one order


def test_layout_is_the_librarys(tmp_path: Path) -> None:
    class Row(ctypes.Structure):
        _fields_ = (
            ("name", ctypes.c_char_p),
            ("offset", ctypes.c_uint64),
            ("size", ctypes.c_uint64),
        )

    structs = {
        "step": gpu_tools.StepStruct,
        "rail": gpu_tools.Rail,
        "event": gpu_tools.Event,
        "process": gpu_tools.Process,
        "device": gpu_tools.Device,
        "state": gpu_tools.State,
    }
    ours = {}
    for name, struct in structs.items():
        ours[name] = (0, ctypes.sizeof(struct))
        for field, *_ in struct._fields_:
            place = getattr(struct, field)
            ours[f"{name}.{field}"] = (place.offset, place.size)
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        library = ctypes.CDLL(str(machine.library))
        rows = (Row * (len(ours) + 1)).in_dll(library, "simulated_nvml_layout")
        assert {row.name.decode(): (row.offset, row.size) for row in rows[: len(ours)]} == ours
        assert rows[len(ours)].name is None


def test_calls_are_counted_in_one_order(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        library = ctypes.CDLL(str(machine.library))
        names = (ctypes.c_char_p * (len(ENTRY_POINTS) + 1)).in_dll(
            library, "simulated_nvml_entry_points"
        )
        assert [name.decode() for name in names[:-1]] == list(ENTRY_POINTS)
        assert names[-1] is None
        assert all(hasattr(library, name) for name in ENTRY_POINTS)
        with client_of(machine) as client:
            for _ in range(3):
                client.energy()
            assert machine.calls("nvmlInitWithFlags") == 1
            assert machine.calls("nvmlDeviceGetTotalEnergyConsumption") == 3
            assert machine.calls("nvmlDeviceGetPowerUsage") == 0
        with pytest.raises(ValueError, match="not in"):
            machine.calls("nvmlNoSuchThing")


# -- the truth

GRID_NS = 1000


@settings(deadline=None)
@given(
    low_uw=st.integers(0, 10**9),
    high_uw=st.integers(0, 10**9),
    period=st.integers(1, 40),
    high=st.integers(0, 40),
    phase=st.integers(0, 100),
    begin=st.integers(0, 200),
    length=st.integers(0, 200),
)
def test_energy_of_a_step_is_the_integral_of_its_power(
    low_uw: int, high_uw: int, period: int, high: int, phase: int, begin: int, length: int
) -> None:
    high = min(high, period)
    wave = Step(0, low_uw, high_uw, *(n * GRID_NS for n in (period, high, phase)), 7, 11)
    # All edges lie on the grid, so that the sum is the integral.
    points = range(begin, begin + length)
    summed = sum(wave.power_uw(n * GRID_NS + GRID_NS // 2) * GRID_NS for n in points)
    end_fj = wave.energy_fj((begin + length) * GRID_NS)
    assert end_fj - wave.energy_fj(begin * GRID_NS) == summed


def test_truth_is_the_integral_of_the_power(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        t0_ns = time.monotonic_ns()
        wander(machine, 0, 12, seed=1)
        t1_ns = time.monotonic_ns()
        count = 20_000
        width_ns = (t1_ns - t0_ns) / count
        middles = (t0_ns + round((n + 0.5) * width_ns) for n in range(count))
        summed_uj = sum(machine.power_w(0, t_ns) for t_ns in middles) * width_ns / 1e3
        # Each edge is off by at most half a width.
        assert machine.energy_uj(0, t0_ns, t1_ns) == pytest.approx(summed_uj, rel=0.01)


def test_commands_add_up(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(watts=40.0), Gpu(watts=60.0)]) as machine:
        t0_ns = machine.power(1, 100.0)
        time.sleep(0.01)
        t1_ns = machine.power(1, 20.5)
        time.sleep(0.01)
        t2_ns = machine.square(1, 0.0, 400.0, 0.002, duty=0.25)
        time.sleep(0.01)
        t3_ns = machine.power(1, 0.0)
        t4_ns = time.monotonic_ns()
        assert machine.energy_uj(1, t0_ns, t1_ns) == (t1_ns - t0_ns) / 10
        assert machine.energy_uj(1, t1_ns, t2_ns) == (t2_ns - t1_ns) * 20.5 / 1e3
        assert machine.energy_uj(1, t2_ns, t2_ns + 4_000_000) == 400e3
        assert machine.power_w(1, t2_ns + 499_999) == 400.0
        assert machine.power_w(1, t2_ns + 500_000) == 0.0
        assert machine.energy_uj(1, t3_ns, t4_ns) == 0.0
        # The neighbour was left alone, and before the start all was as at the start.
        assert machine.energy_uj(0, t0_ns, t4_ns) == (t4_ns - t0_ns) / 25
        assert machine.energy_uj(1, t0_ns - 10**10, t0_ns - 10**9) == 60.0 * 9e6


def test_truth_is_refused_where_nothing_is_known(tmp_path: Path) -> None:
    machine = NvmlMachine(tmp_path / "new", [Gpu()])
    for use in (lambda: machine.environment, lambda: machine.power(0, 1.0)):
        with pytest.raises(MachineError, match="not"):
            use()
    with machine:
        now_ns = time.monotonic_ns()
        with pytest.raises(ValueError, match="to come"):
            machine.energy_uj(0, now_ns, now_ns + 10**12)
        with pytest.raises(ValueError, match="before it begins"):
            machine.energy_uj(0, now_ns, now_ns - 1)
        with pytest.raises(ValueError, match="no GPU 1"):
            machine.energy_uj(1, now_ns, now_ns)
    with pytest.raises(MachineError, match="not running"):
        machine.power(0, 1.0)
    assert machine.energy_uj(0, now_ns - 1000, now_ns) == 60.0


def test_commands_that_make_no_sense_change_nothing(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(), Gpu(mig=True, mig_instances=1)]) as machine:
        for use in (
            lambda: machine.power(0, -1.0),
            lambda: machine.power(0, float("nan")),
            lambda: machine.power(2, 1.0),
            lambda: machine.power(-1, 1.0),
            lambda: machine.module_power(0, 1.0),
            lambda: machine.square(0, 1.0, 2.0, 0.0),
            lambda: machine.square(0, 1.0, 2.0, 1.0, duty=1.5),
            lambda: machine.square(0, 1.0, 2.0, 1.0, phase_s=-1.0),
            lambda: machine.processes(0, [GpuProcess(1)] * 65),
            lambda: machine.processes(1, [GpuProcess(1, mig=1)]),
        ):
            with pytest.raises(ValueError, match=r"GPU|wave"):
                use()
        t_ns = time.monotonic_ns()
        assert machine.energy_uj(0, t_ns - 1000, t_ns) == 60.0


@pytest.mark.parametrize(
    "impossible",
    [
        {"tick_s": 0.0},
        {"jitter_s": 0.05},
        {"mig_instances": 1},
        {"mig": True, "mig_instances": 8},
        {"mig": True, "mig_instances": 1, "mig_capacity": 0},
    ],
)
def test_impossible_devices_are_refused(impossible: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tick|MIG"):
        Gpu(**impossible)


def test_too_many_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="17 GPUs"):
        NvmlMachine(tmp_path, [Gpu()] * 17)


def test_steps_come_to_an_end(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        for _ in range(gpu_tools.MAX_STEPS - 1):
            machine.power(0, 1.0)
        with pytest.raises(ValueError, match="8192 power steps"):
            machine.power(0, 2.0)
        assert machine.power_w(0, time.monotonic_ns()) == 1.0


# -- the library agrees


@pytest.mark.parametrize("jitter_s", [0.0, 0.0004, 0.0019])
def test_library_and_truth_agree_at_any_time(tmp_path: Path, jitter_s: float) -> None:
    devices = [
        Gpu(tick_s=0.004, tick_phase_s=0.0017, jitter_s=jitter_s, power_phase_s=0.0123),
        Gpu(watts=0.0, tick_s=0.004, jitter_s=jitter_s, start_mj=0, module_w=20.0),
    ]
    generator = random.Random(2)
    with NvmlMachine(tmp_path, devices) as machine, client_of(machine) as client:
        begin_ns = time.monotonic_ns()
        for happens in (machine.stand_still, machine.reset_counter, machine.go_on):
            wander(machine, 0, 5, seed=3)
            wander(machine, 1, 5, seed=4)
            machine.module_power(1, generator.uniform(100, 900))
            happens(0)
            time.sleep(0.01)
        end_ns = time.monotonic_ns()
        times = [generator.randint(begin_ns - 10**7, end_ns) for _ in range(300)]
        for index in (0, 1):
            ticks = client(
                f"[library.simulated_nvml_last_tick_ns({index}, c_int64(t)) for t in {times}]"
            )
            assert ticks == [machine.last_tick_ns(index, t_ns) for t_ns in times]
            for rail in (False, True):
                arguments = f"{index}, {int(rail)}"
                counters = client(
                    f"[library.simulated_nvml_counter_mj({arguments}, c_int64(t)) for t in {times}]"
                )
                assert counters == [machine.counter_mj(index, t, module=rail) for t in times]
                window = "c_int64(25_000_000)"
                powers = client(
                    f"[library.simulated_nvml_power_mw({arguments}, {window}, c_int64(t))"
                    f" for t in {times}]"
                )
                expected = [machine.reading_mw(index, t, 0.025, module=rail) for t in times]
                assert powers == expected


def test_ticks_are_in_order_and_where_they_belong(tmp_path: Path) -> None:
    device = Gpu(tick_s=0.01, tick_phase_s=0.003, jitter_s=0.0049)
    with NvmlMachine(tmp_path, [device, device]) as machine:
        t_ns = first_ns = machine.last_tick_ns(0, time.monotonic_ns())
        ticks = [t_ns := machine.next_tick_ns(0, t_ns) for _ in range(500)]
        assert all(after > before for before, after in pairwise(ticks))
        gaps = [after - before for before, after in pairwise([first_ns, *ticks])]
        assert min(gaps) < 5e6
        assert max(gaps) > 15e6
        assert (ticks[-1] - first_ns) / 500 == pytest.approx(1e7, rel=0.01)
        assert all(machine.last_tick_ns(0, tick_ns) == tick_ns for tick_ns in ticks)
        assert all(machine.last_tick_ns(0, tick_ns - 1) < tick_ns for tick_ns in ticks)
        # Each device has a jitter of its own.
        assert machine.next_tick_ns(1, first_ns + 10**9) != machine.next_tick_ns(
            0, first_ns + 10**9
        )


@pytest.mark.parametrize("device", [Gpu(jitter_s=0.03), VOLTA_GPU], ids=["hopper", "volta"])
def test_counter_as_it_is_read(tmp_path: Path, device: Gpu) -> None:
    with NvmlMachine(tmp_path, [device]) as machine, client_of(machine) as client:
        assert client.energy() >= device.start_mj
        call = "n.nvmlDeviceGetTotalEnergyConsumption, 0.15, handle(0)"
        for seed in range(4):
            wander(machine, 0, 3, seed)
            readings = client(f"watch({call})[::50]")
            between = [r for r in readings if machine.next_tick_ns(0, r[0]) > r[2]]
            assert len(between) > 10
            assert [mj for _, mj, _ in between] == [machine.counter_mj(0, t) for t, _, _ in between]


def test_readers_never_see_a_time_without_its_steps(tmp_path: Path) -> None:
    # The counter ticks so fast that a reading tells the energy at its very moment.
    device = Gpu(tick_s=2e-6, watts=0.0)
    with NvmlMachine(tmp_path, [device]) as machine, client_of(machine) as client:
        readings = []
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, "500"],
            env={**os.environ, "TOOLS": machine.tools()},
            stdout=subprocess.PIPE,
        ):
            for _ in range(5):
                call = "n.nvmlDeviceGetTotalEnergyConsumption, 0.05, handle(0)"
                readings += client(f"watch({call})[::20]")
                for watts in (900_000.0, 100_000.0) * 20:
                    machine.power(0, watts)
        assert len(readings) > 100
        for before_ns, mj, after_ns in readings:
            assert machine.counter_mj(0, before_ns) <= mj <= machine.counter_mj(0, after_ns)


def test_readers_wait_for_a_writer(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(tick_s=1e-6, watts=0.0)]) as machine:
        shared = SharedState(str(machine.state_path))
        with client_of(machine) as client:
            client.energy()
            with shared.writing() as since_ns:
                client.send("timed(n.nvmlDeviceGetTotalEnergyConsumption, handle(0))")
                time.sleep(0.1)
                rail = shared.state.devices[0].rails[0]
                rail.steps[1] = Step(since_ns, 400 * 10**6)
                rail.step_count = 2
                complete_ns = time.monotonic_ns()
            _, mj, after_ns = client.receive()["value"]
            assert after_ns > complete_ns
            assert mj >= machine.counter_mj(0, complete_ns) >= 5_000_000 + 40_000


def test_power_as_it_is_read(tmp_path: Path) -> None:
    device = Gpu(power_window_s=0.3, average_window_s=0.2, power_update_s=0.05, power_phase_s=0.01)
    with NvmlMachine(tmp_path, [device]) as machine, client_of(machine) as client:
        assert client("n.nvmlDeviceGetPowerUsage(handle(0))") == 60_000
        machine.power(0, 360.0)
        reads = {
            "timed(n.nvmlDeviceGetPowerUsage, handle(0))": 0.3,
            f"timed(lambda: field(0, {AVERAGE})[1])": 0.2,
            f"timed(lambda: field(0, {INSTANT})[1])": 0.025,
        }
        seen: dict[str, set[int]] = {expression: set() for expression in reads}
        exact = 0
        while not all(360_000 in powers for powers in seen.values()):
            for expression, window_s in reads.items():
                before_ns, mw, after_ns = client(expression)
                ends = [machine.reading_mw(0, t, window_s) for t in (before_ns, after_ns)]
                assert mw in ends
                exact += ends[0] == ends[1]
                seen[expression].add(mw)
        assert exact > 3


def test_fields(tmp_path: Path) -> None:
    devices = [Gpu(), VOLTA_GPU, PASCAL_GPU, GRACE_HOPPER]
    with NvmlMachine(tmp_path, devices) as machine, client_of(machine) as client:
        uint, ulonglong = 1, 3
        assert client(f"field(0, {INSTANT})") == [0, 60_000, uint]
        assert client(f"field(0, {AVERAGE})") == [0, 60_000, uint]
        value = client(f"field(0, {ENERGY})")
        assert value[::2] == [0, ulonglong]
        assert value[1] >= devices[0].start_mj
        assert client(f"field(1, {INSTANT})[0]") == NOT_SUPPORTED
        assert client(f"field(1, {AVERAGE})[0]") == NOT_SUPPORTED
        assert client(f"field(1, {ENERGY})[0]") == 0
        assert client(f"field(2, {ENERGY})[0]") == NOT_SUPPORTED
        assert client("field(0, 1)[0]") == NOT_SUPPORTED
        # The module of Grace-Hopper, and nobody else's.
        assert client(f"field(0, {INSTANT}, 1)[0]") == NOT_SUPPORTED
        assert client(f"field(3, {INSTANT}, 2)[0]") == NOT_SUPPORTED
        assert client(f"field(3, {INSTANT}, 4)[0]") == INVALID_ARGUMENT
        assert client(f"field(3, {INSTANT})[1]") == 90_000
        assert client(f"field(3, {INSTANT}, 1)[1]") == 180_000
        machine.module_power(3, 500.0)
        until_tick(machine, 3, ticks=2)
        before_ns, value, after_ns = client(f"timed(field, 3, {ENERGY}, 1)")
        low, high = (machine.counter_mj(3, t, module=True) for t in (before_ns, after_ns))
        assert GRACE_HOPPER.module_start_mj < low <= value[1] <= high
        assert client(f"field(3, {INSTANT}, 1)[1]") == 500_000
        assert client(f"field(3, {INSTANT})[1]") == 90_000
        # Several at once answer each for itself, and say when and how fast.
        answers = client(
            "[(v.fieldId, v.nvmlReturn, abs(v.timestamp / 1e6 - time.time()) < 60, v.latencyUsec)"
            f" for v in n.nvmlDeviceGetFieldValues(handle(0), [{ENERGY}, 1, {INSTANT}])]"
        )
        assert [answer[:3] for answer in answers] == [
            [ENERGY, 0, True],
            [1, NOT_SUPPORTED, True],
            [INSTANT, 0, True],
        ]
        assert all(latency >= 0 for *_, latency in answers)
        assert client.refusal("n.nvmlDeviceGetFieldValues(handle(0), [])") == INVALID_ARGUMENT


# -- what the library tells of the machine


def test_descriptions(tmp_path: Path) -> None:
    devices = [Gpu(), VOLTA_GPU, Gpu(uuid="GPU-4d1b9f6e-0000-1111-2222-333344445555")]
    with NvmlMachine(tmp_path, devices) as machine, client_of(machine) as client:
        assert client("n.nvmlSystemGetDriverVersion()") == "580.95.05"
        assert client("n.nvmlSystemGetNVMLVersion()") == "13.580.95.05"
        assert client("n.nvmlSystemGetCudaDriverVersion()") == 13000
        assert client("n.nvmlSystemGetCudaDriverVersion_v2()") == 13000
        assert client("n.nvmlDeviceGetCount()") == 3
        assert [client(f"n.nvmlDeviceGetName(handle({i}))") for i in range(3)] == [
            device.name for device in devices
        ]
        uuids = [client(f"n.nvmlDeviceGetUUID(handle({i}))") for i in range(3)]
        assert uuids == [
            "GPU-00000000-0000-0000-0000-000000000000",
            "GPU-00000000-0000-0000-0000-000000000001",
            "GPU-4d1b9f6e-0000-1111-2222-333344445555",
        ]
        found = "n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID({!r}))"
        assert [client(found.format(uuid)) for uuid in uuids] == [0, 1, 2]
        assert client.refusal("n.nvmlDeviceGetHandleByUUID('GPU-1')") == NOT_FOUND
        assert client.refusal("handle(3)") == INVALID_ARGUMENT
        assert client("n.nvmlDeviceGetMinorNumber(handle(2))") == 2
        assert client("n.nvmlDeviceGetArchitecture(handle(0))") == gpu.HOPPER
        assert client("n.nvmlDeviceGetArchitecture(handle(1))") == gpu.VOLTA
        assert client("n.nvmlDeviceGetPciInfo(handle(1)).busId") == "00000000:18:00.0"
        assert client("n.nvmlDeviceGetPciInfo(handle(1)).busIdLegacy") == "0000:18:00.0"
        assert client("n.nvmlDeviceGetPciInfo(handle(1)).bus") == 0x18
        assert client("n.nvmlDeviceGetEnforcedPowerLimit(handle(1))") == 300_000
        limits = client("n.nvmlDeviceGetPowerManagementLimitConstraints(handle(0))")
        assert limits == [100_000, 700_000]
        short = "library.nvmlDeviceGetName(handle(0), ctypes.create_string_buffer(8), c_uint(8))"
        assert client(short) == INSUFFICIENT_SIZE
        assert client("n.nvmlErrorString(15)") == "GPU is lost"
        assert client("n.nvmlErrorString(4)") == "Insufficient Permissions"


def test_load_memory_and_temperature(tmp_path: Path) -> None:
    device = Gpu(memory_bytes=1000, reserved_bytes=100)
    with NvmlMachine(tmp_path, [device]) as machine, client_of(machine) as client:
        rates = "(lambda u: (u.gpu, u.memory))(n.nvmlDeviceGetUtilizationRates(handle(0)))"
        memory = "(lambda m: (m.total, m.free, m.used))(n.nvmlDeviceGetMemoryInfo(handle(0){}))"
        warm = "n.nvmlDeviceGetTemperature(handle(0), n.NVML_TEMPERATURE_GPU)"
        warm_v1 = "n.nvmlDeviceGetTemperatureV(handle(0), n.NVML_TEMPERATURE_GPU)"
        assert client(rates) == [0, 0]
        assert client(memory.format("")) == [1000, 900, 100]
        assert client(warm) == 35
        machine.utilisation(0, 97, 40)
        machine.memory_used(0, 300)
        machine.temperature(0, 71)
        assert client(rates) == [97, 40]
        assert client(memory.format("")) == [1000, 600, 400]
        assert client(memory.format(", version=n.nvmlMemory_v2")) == [1000, 600, 300]
        assert client(warm) == client(warm_v1) == 71
        assert client.refusal("n.nvmlDeviceGetTemperature(handle(0), 1)") == INVALID_ARGUMENT
        stale = "n.nvmlDeviceGetMemoryInfo(handle(0), version=0x01000028)"
        assert client.refusal(stale) == VERSION_MISMATCH


def test_processes(tmp_path: Path) -> None:
    compute = "n.nvmlDeviceGetComputeRunningProcesses"
    graphics = "n.nvmlDeviceGetGraphicsRunningProcesses"
    with NvmlMachine(tmp_path, [Gpu(), Gpu()]) as machine, client_of(machine) as client:
        assert client(f"processes({compute}, handle(0))") == []
        many = [GpuProcess(100 + n, memory_bytes=n << 30) for n in range(9)]
        machine.processes(0, many, graphics=[GpuProcess(7, memory_bytes=5)])
        expected = [[one.pid, one.memory_bytes, NOT_AVAILABLE] for one in many]
        assert client(f"processes({compute}, handle(0))") == expected
        assert client(f"processes({graphics}, handle(0))") == [[7, 5, NOT_AVAILABLE]]
        assert client(f"processes({compute}, handle(1))") == []
        # A buffer that is too small is told how large it should be.
        call = "library.nvmlDeviceGetComputeRunningProcesses_v3(handle(0), byref(count), {})"
        ask = "(lambda count: ({}, count.value))(c_uint({}))"
        buffer = "(n.c_nvmlProcessInfo_v3_t * 9)()"
        asked = [
            client(ask.format(call.format(place), count))
            for place, count in (("None", 0), ("None", 1), (buffer, 8), (buffer, 9))
        ]
        assert asked[0] == [INSUFFICIENT_SIZE, 9]
        assert asked[1][0] == INVALID_ARGUMENT
        assert asked[2] == [INSUFFICIENT_SIZE, 9]
        assert asked[3] == [0, 9]
        machine.hide_processes(0)
        assert client(f"processes({compute}, handle(0))") == []
        machine.hide_processes(0, False)
        machine.processes(0, many[:1])
        assert client(f"processes({compute}, handle(0))") == expected[:1]
        assert client(f"processes({graphics}, handle(0))") == []


def test_process_utilisation(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine, client_of(machine) as client:
        assert client.refusal("samples(0)") == NOT_FOUND
        before_us = time.time_ns() // 1000
        machine.processes(0, [GpuProcess(5, utilisation_percent=80), GpuProcess(6)])
        # Only who was busy has a sample.
        ((pid, percent, first_us),) = client("samples(0)")
        assert (pid, percent) == (5, 80)
        assert first_us >= before_us

        def newer() -> bool:
            answer = client._ask(f"samples(0, {first_us})")
            assert answer.get("error", NOT_FOUND) == NOT_FOUND
            return "value" in answer

        until(newer)
        ((_, _, second_us),) = client(f"samples(0, {first_us})")
        assert second_us > first_us
        assert (second_us - first_us) % 166_667 == 0
        machine.hide_processes(0)
        assert client.refusal("samples(0)") == NOT_FOUND


# -- instances


def test_mig(tmp_path: Path) -> None:
    compute = "n.nvmlDeviceGetComputeRunningProcesses"
    sliced = Gpu(mig=True, mig_instances=2)
    with NvmlMachine(tmp_path, [sliced, Gpu(), VOLTA_GPU]) as machine, client_of(machine) as client:
        machine.processes(0, [GpuProcess(5, 100, mig=0), GpuProcess(6, 200, mig=1)])
        assert client("n.nvmlDeviceGetMigMode(handle(0))") == [1, 1]
        assert client("n.nvmlDeviceGetMigMode(handle(1))") == [0, 0]
        assert client.refusal("n.nvmlDeviceGetMigMode(handle(2))") == NOT_SUPPORTED
        counts = [client(f"n.nvmlDeviceGetMaxMigDeviceCount(handle({i}))") for i in range(3)]
        assert counts == [7, 0, 0]
        assert client.refusal("instance(0, 2)") == NOT_FOUND
        assert client.refusal("instance(0, 7)") == INVALID_ARGUMENT
        assert client.refusal("instance(1, 0)") == NOT_FOUND
        assert client.refusal("instance(2, 0)") == NOT_SUPPORTED
        # The whole device shows all, to who may see it; an instance shows its own.
        assert client(f"processes({compute}, handle(0))") == [[5, 100, 7], [6, 200, 8]]
        assert client(f"processes({compute}, instance(0, 1))") == [[6, 200, 8]]
        machine.mig_permission(0, False)
        assert client.refusal(f"processes({compute}, handle(0))") == NO_PERMISSION
        assert client(f"processes({compute}, instance(0, 0))") == [[5, 100, 7]]
        machine.mig_permission(0, True)
        assert len(client(f"processes({compute}, handle(0))")) == 2
        # What an instance is.
        parent = "n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle({})"
        assert client(f"n.nvmlDeviceGetIndex({parent.format('instance(0, 1)')})") == 0
        assert client.refusal(parent.format("handle(0)") + " and 0") == INVALID_ARGUMENT
        assert client("n.nvmlDeviceGetIndex(instance(0, 1))") == 1
        assert client("n.nvmlDeviceGetName(instance(0, 1))").endswith("HBM3 MIG 1g.10gb")
        uuids = [client(f"n.nvmlDeviceGetUUID(instance(0, {n}))") for n in range(2)]
        assert len({*uuids}) == 2
        assert all(uuid.startswith("MIG-") for uuid in uuids)
        found = f"n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID({uuids[1]!r}))"
        assert client(found) == 1
        kinds = "[n.nvmlDeviceIsMigDeviceHandle(d).value for d in (handle(0), instance(0, 0))]"
        assert client(kinds) == [0, 1]
        assert client("n.nvmlDeviceGetGpuInstanceId(instance(0, 1))") == 8
        assert client("n.nvmlDeviceGetComputeInstanceId(instance(0, 1))") == 0
        assert client.refusal("n.nvmlDeviceGetGpuInstanceId(handle(0))") == NOT_SUPPORTED
        assert client("n.nvmlDeviceGetMemoryInfo(instance(0, 1)).used") == 200
        assert client("n.nvmlDeviceGetMemoryInfo(instance(0, 1)).total") == 10 * gpu.GIB
        # Energy and power are the whole device's.
        for call in ("TotalEnergyConsumption", "PowerUsage", "EnforcedPowerLimit"):
            assert client.refusal(f"n.nvmlDeviceGet{call}(instance(0, 0))") == NOT_SUPPORTED
        values = f"n.nvmlDeviceGetFieldValues(instance(0, 0), [{ENERGY}])"
        assert client(f"[v.nvmlReturn for v in {values}]") == [NOT_SUPPORTED]
        assert client.energy(0) >= sliced.start_mj
        assert client.refusal("n.nvmlDeviceGetUtilizationRates(handle(0))") == NOT_SUPPORTED
        assert client.refusal("samples(0)") == NOT_SUPPORTED


# -- faults


def test_nothing_is_told_before_init_and_after_shutdown(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine, client_of(machine, begin=False) as client:
        assert client("library.nvmlSystemGetDriverVersion(None, 0)") == UNINITIALIZED
        assert client("library.nvmlShutdown()") == UNINITIALIZED
        client("n.nvmlInit()")
        client("n.nvmlInit()")
        client.energy()
        client("n.nvmlShutdown()")
        client.energy()
        client("n.nvmlShutdown()")
        assert client.refusal("n.nvmlDeviceGetTotalEnergyConsumption(handle(0))") == UNINITIALIZED
        assert client("library.nvmlInit_v2()") == 0
        assert client.energy() >= 5_000_000
        # What is no handle is refused, and does no harm.
        for wrong in ("None", "ctypes.c_void_p(4096)", "ctypes.byref(handle(0).contents, 1)"):
            call = f"library.nvmlDeviceGetPowerUsage({wrong}, byref(c_uint()))"
            assert client(call) == INVALID_ARGUMENT
        assert client("library.nvmlDeviceGetPowerUsage(handle(0), None)") == INVALID_ARGUMENT


def test_without_a_machine_there_is_no_driver(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        for path in ("", str(tmp_path / "missing"), __file__):
            script = "import pynvml; pynvml.nvmlInit()"
            done = subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, **machine.environment, "SIMULATED_NVML": path},
                capture_output=True,
                text=True,
                check=False,
            )
            assert "NVMLError_DriverNotLoaded" in done.stderr


def test_lost_device(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(), Gpu()]) as machine, client_of(machine) as client:
        client.energy(0)
        machine.lose(0)
        for call in (
            "n.nvmlDeviceGetTotalEnergyConsumption(handle(0))",
            "n.nvmlDeviceGetPowerUsage(handle(0))",
            f"field(0, {ENERGY})",
            "n.nvmlDeviceGetName(handle(0))",
            "n.nvmlDeviceGetUUID(handle(0))",
            "n.nvmlDeviceGetComputeRunningProcesses(handle(0))",
            "n.nvmlDeviceGetHandleByIndex(0)",
            "n.nvmlDeviceGetHandleByUUID('GPU-00000000-0000-0000-0000-000000000000')",
        ):
            assert client.refusal(call) == GPU_IS_LOST, call
        assert client("n.nvmlDeviceGetCount()") == 2
        assert client.energy(1) >= 5_000_000
        until_tick(machine, 0, ticks=2)
        machine.find(0)
        before_ns, mj, after_ns = client("timed(n.nvmlDeviceGetTotalEnergyConsumption, handle(0))")
        assert machine.counter_mj(0, before_ns) <= mj <= machine.counter_mj(0, after_ns)
        assert mj > 5_000_000


def test_forbidden_device(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(), Gpu()]) as machine, client_of(machine) as client:
        machine.no_permission(1)
        assert client.refusal("handle(1)") == NO_PERMISSION
        client.energy(0)
        machine.permit(1)
        client.energy(1)
        machine.no_permission(1)
        assert client.refusal("n.nvmlDeviceGetPowerUsage(handle(1))") == NO_PERMISSION


def test_counter_that_stands_still_catches_up(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(tick_s=0.02)]) as machine, client_of(machine) as client:
        still_ns = machine.stand_still(0)
        machine.stand_still(0)
        frozen = client.energy()
        assert frozen == machine.counter_mj(0, still_ns)
        until_tick(machine, ticks=3)
        assert client.energy() == frozen
        machine.go_on(0)
        drawn_mj = (
            machine.energy_uj(0, still_ns, machine.last_tick_ns(0, time.monotonic_ns())) / 1e3
        )
        assert client.energy() - frozen >= int(drawn_mj) > 1000
        # The power went on being shown.
        assert client("n.nvmlDeviceGetPowerUsage(handle(0))") == 60_000


def test_counter_reset(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu(tick_s=0.02), Gpu()]) as machine, client_of(machine) as client:
        reset_ns = machine.reset_counter(0)
        assert machine.counter_mj(0, reset_ns) == 0
        assert machine.counter_mj(0, reset_ns - 1) >= 5_000_000
        tick_ns = until_tick(machine, ticks=3)
        value = client.energy()
        assert value < 5_000_000
        assert value >= int(machine.energy_uj(0, reset_ns, tick_ns) / 1e3) > 1000
        assert client.energy(1) >= 5_000_000


def test_older_than_volta_there_is_no_counter(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [PASCAL_GPU]) as machine, client_of(machine) as client:
        call = "n.nvmlDeviceGetTotalEnergyConsumption(handle(0))"
        assert client.refusal(call) == NOT_SUPPORTED
        assert client("n.nvmlDeviceGetPowerUsage(handle(0))") == 30_000


def test_slow_calls(tmp_path: Path) -> None:
    took = "(lambda t: (t[2] - t[0]) / 1e9)(timed(n.nvmlDeviceGetPowerUsage, handle({})))"
    with NvmlMachine(tmp_path, [Gpu(), Gpu()]) as machine, client_of(machine) as client:
        client("[n.nvmlDeviceGetIndex(handle(i)) for i in (0, 1)]")
        machine.slow(0.2, 0)
        assert client(took.format(0)) >= 0.2
        assert min(client(took.format(1)) for _ in range(5)) < 0.2
        machine.slow(0.0, 0)
        assert min(client(took.format(0)) for _ in range(5)) < 0.2
        machine.slow(0.1)
        machine.slow(0.1, 1)
        assert client(took.format(0)) >= 0.1
        assert client(took.format(1)) >= 0.2
        machine.slow(0.0)
        assert min(client(took.format(0)) for _ in range(5)) < 0.1


def test_driver_that_is_reloaded(tmp_path: Path) -> None:
    call = "n.nvmlDeviceGetTotalEnergyConsumption(handle(0))"
    with NvmlMachine(tmp_path, [Gpu(tick_s=0.02)]) as machine, client_of(machine) as client:
        client.energy()
        machine.unload_driver()
        assert client.refusal(call) == UNKNOWN
        assert client.refusal("n.nvmlInit()") == DRIVER_NOT_LOADED
        with client_of(machine, begin=False) as late:
            assert late.refusal("n.nvmlInit()") == DRIVER_NOT_LOADED
        loaded_ns = machine.load_driver()
        assert client.refusal(call) == UNINITIALIZED
        client("n.nvmlInit()")
        tick_ns = until_tick(machine, ticks=2)
        value = client.energy()
        assert int(machine.energy_uj(0, loaded_ns, tick_ns) / 1e3) <= value < 5_000_000
        # The old references went with the old driver.
        client("n.nvmlShutdown()")
        assert client.refusal(call) == UNINITIALIZED


# -- writers

WRITER = """
import os, sys
exec(os.environ["TOOLS"])
print([gpu_power(0, watts) for watts in range(int(sys.argv[1]))])
"""


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    count = 1500
    with NvmlMachine(tmp_path, [Gpu(watts=10.0)]) as machine:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(count)],
                env={**os.environ, "TOOLS": machine.tools()},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        outputs = [writer.communicate(timeout=60)[0] for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0]
        commands = [
            (t_ns, watts) for output in outputs for watts, t_ns in enumerate(json.loads(output))
        ]
        rail = SharedState(str(machine.state_path)).state.devices[0].rails[0]
        steps = [gpu_tools.as_step(step) for step in rail.steps[: rail.step_count]]
        assert sorted((step.t_ns, step.low_uw) for step in steps[1:]) == sorted(
            (t_ns, watts * 10**6) for t_ns, watts in commands
        )
        assert len(steps) == 1 + 2 * count
        # In the order of time, and each with the energy of all before it.
        base_fj = 0
        for before, after in pairwise(steps):
            assert after.t_ns >= before.t_ns
            base_fj += before.low_uw * (after.t_ns - before.t_ns)
            assert (after.base_mj, after.base_rest_fj) == divmod(base_fj, gpu_tools.FJ_PER_MJ)


def test_writer_that_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    script = """
        import os, signal
        exec(os.environ["TOOLS"])
        with gpu_power.__self__.writing():
            os.kill(os.getpid(), signal.SIGKILL)
    """
    with NvmlMachine(tmp_path, [Gpu()]) as machine, client_of(machine) as client:
        for heal in (client.energy, lambda: machine.power(0, 70.0)):
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(script)],
                env={**os.environ, "TOOLS": machine.tools()},
                check=False,
            )
            state = SharedState(str(machine.state_path)).state
            assert state.sequence % 2 == 1
            heal()
            assert state.sequence % 2 == 0
        assert machine.power_w(0, time.monotonic_ns()) == 70.0


def test_tools_of_a_cell(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [GRACE_HOPPER]) as machine:
        cell: dict[str, Any] = {}
        exec(machine.tools(), cell)
        public = {name for name in cell if not name.startswith("_")}
        assert public == {"gpu_power", "gpu_square", "gpu_module_power"}
        t0_ns = cell["gpu_power"](0, 250)
        time.sleep(0.005)
        t1_ns = cell["gpu_square"](0, 0, 500, 0.001, duty=0.2)
        time.sleep(0.005)
        t2_ns = cell["gpu_module_power"](0, 640.0)
        assert machine.energy_uj(0, t0_ns, t1_ns) == (t1_ns - t0_ns) / 4
        assert machine.energy_uj(0, t1_ns, t1_ns + 5_000_000) == 500e3
        assert machine.power_w(0, t2_ns, module=True) == 640.0
        assert machine.power_w(0, t2_ns - 1, module=True) == 180.0


def test_forks_write_their_own_steps(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        script = """
            import os
            exec(os.environ["TOOLS"])
            child = os.fork()
            for _ in range(500):
                gpu_power(0, 5 if child else 7)
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        """
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**os.environ, "TOOLS": machine.tools()},
            check=True,
        )
        rail = SharedState(str(machine.state_path)).state.devices[0].rails[0]
        powers = [step.low_uw for step in rail.steps[1 : rail.step_count]]
        assert sorted(powers) == [5_000_000] * 500 + [7_000_000] * 500


# -- the environment


def test_environment_keeps_what_was_there(tmp_path: Path, monkeypatch) -> None:
    with NvmlMachine(tmp_path, [Gpu()]) as machine:
        place = str(machine.library.parent)
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
        assert machine.environment["LD_LIBRARY_PATH"] == place
        monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib:/usr/lib")
        assert machine.environment == {
            "LD_LIBRARY_PATH": f"{place}:/opt/lib:/usr/lib",
            "SIMULATED_NVML": str(machine.state_path),
        }
        assert machine.library.name == "libnvidia-ml.so.1"
        assert machine.library == compile_c(
            Path(gpu.__file__).with_name("nvml.c"), shared=True, name="libnvidia-ml.so.1"
        )


def test_two_machines_at_once(tmp_path: Path) -> None:
    with (
        NvmlMachine(tmp_path / "a", [Gpu()]) as one,
        NvmlMachine(tmp_path / "b", [VOLTA_GPU] * 2) as other,
        client_of(one) as client,
        client_of(other) as other_client,
    ):
        one.power(0, 500.0)
        assert client("n.nvmlDeviceGetCount()") == 1
        assert other_client("n.nvmlDeviceGetCount()") == 2
        assert other.power_w(0, time.monotonic_ns()) == 40.0
        with pytest.raises(FileExistsError):
            NvmlMachine(tmp_path / "a", [Gpu()]).__enter__()

"""NVIDIA devices through the real binding and a simulated library.

The library is loaded by a process of its own: one that has loaded it keeps it, and with it its
machine, until it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.sources.nvml import is_visible
from tests.simulators.gpu import (
    AMPERE,
    GIB,
    GRACE_HOPPER,
    PASCAL_GPU,
    VOLTA_GPU,
    Gpu,
    GpuProcess,
    NvmlMachine,
)

ROOT = Path(__file__).parents[2]
UUID = "GPU-00000000-0000-0000-0000-{:012x}"

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a .so is Linux's")

CLIENT = """
import json, os, sys, threading, time
import msgspec
from jupyter_green.sources import nvml
from jupyter_green.errors import UnreadableCounter

devices, refused = [], []

def find(start_s=nvml.START_S):
    global devices, refused
    devices, refused = nvml.find(start_s)
    return [[one.counters[0].name for one in devices], refused]

def infos():
    return [one.counters[0] for one in devices]

def read(index=0, now_ns=None):
    return devices[index].read(time.perf_counter_ns() if now_ns is None else now_ns)

def problems(index=0):
    return {name: [p.reason, p.remedy] for name, p in devices[index].problems.items()}

def state(index=0):
    try:
        return devices[index].state()
    except UnreadableCounter as error:
        return [error.reason, error.remedy]

def forked(act):
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for line in sys.stdin:
    print(msgspec.json.encode(eval(line)).decode(), flush=True)
"""


class Client:
    """A process that may find devices."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CLIENT],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, expression: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


@contextmanager
def client_of(**environment: str) -> Iterator[Client]:
    client = Client(**environment)
    try:
        yield client
    finally:
        client.close()


Start = Callable[..., tuple[NvmlMachine, Client]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A machine with these devices, and a process that sees it."""
    clients: list[Client] = []

    def started(*gpus: Gpu, before: Callable[[NvmlMachine], object] = lambda _: None) -> Any:
        machine = NvmlMachine(tmp_path / "gpu", gpus)
        machine.__enter__()
        before(machine)
        clients.append(Client(**machine.environment))
        return machine, clients[-1]

    yield started
    for client in clients:
        client.close()


# --- what is refused ---


@linux_only
def test_no_library_is_nothing_wrong() -> None:
    with client_of(LD_LIBRARY_PATH="") as client:
        names, (refusal,) = client("find()")
    assert names == []
    assert "no NVIDIA driver" in refusal["reason"]
    assert refusal["by_choice"]
    assert "remedy" not in refusal


@linux_only
def test_a_driver_that_is_not_loaded(start: Start) -> None:
    _, client = start(Gpu(), before=NvmlMachine.unload_driver)
    names, (refusal,) = client("find()")
    assert names == []
    assert refusal == {
        "source": "nvml",
        "reason": "the NVIDIA driver is installed but not loaded",
        "remedy": "sudo modprobe nvidia",
    }


@linux_only
@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        ("NVML_ERROR_LIB_RM_VERSION_MISMATCH", "different versions", "reboot"),
        ("NVML_ERROR_LIBRARY_NOT_FOUND", "not found", ""),
        ("NVML_ERROR_NO_PERMISSION", "NVML cannot be started: Insufficient Permissions", ""),
    ],
)
def test_a_start_that_is_refused(code: str, reason: str, remedy: str) -> None:
    """The binding's own errors, which the simulated library does not know."""
    with client_of() as client:
        client("exec('import pynvml', globals())")
        told = f"nvml._refused_start(pynvml, pynvml.NVMLError(pynvml.{code}))"
        assert reason in client(f"{told}.reason")
        assert client(f"{told}.remedy").startswith(remedy)


@linux_only
def test_a_driver_that_does_not_answer(start: Start) -> None:
    _, client = start(Gpu(), before=lambda machine: machine.slow(3.0))
    began = time.monotonic()
    names, (refusal,) = client("find(0.1)")
    assert time.monotonic() - began < 2.5
    assert names == []
    assert refusal["reason"] == "the NVIDIA driver has not answered in 0.1 s"
    assert "nvidia-smi" in refusal["remedy"]


@linux_only
def test_a_driver_without_devices(start: Start) -> None:
    _, client = start()
    names, (refusal,) = client("find()")
    assert names == []
    assert refusal["reason"] == "the driver is loaded and shows no device"


@linux_only
@pytest.mark.parametrize("fault", [NvmlMachine.lose, NvmlMachine.no_permission])
def test_a_device_that_fails_at_the_start_is_refused_alone(
    start: Start, fault: Callable[[NvmlMachine, int], int]
) -> None:
    _, client = start(Gpu(), Gpu(), Gpu(), before=lambda machine: fault(machine, 1))
    names, (refusal,) = client("find()")
    assert names == ["gpu-0", "gpu-2"]
    assert refusal["counter"] == "gpu-1"
    assert refusal["reason"].startswith("GPU 1 cannot be opened: ")
    assert not refusal.get("by_choice")


# --- what is found ---


@linux_only
def test_a_card_with_a_counter(start: Start) -> None:
    _, client = start(Gpu(limit_w=350.0))
    assert client("find()") == [["gpu-0"], []]
    (info,) = client("infos()")
    assert info["provenance"] == "measured"
    assert (info["domain"], info["source"], info["scope"]) == ("gpu", "nvml", "device")
    assert (info["resolution_s"], info["quantum_uj"], info["centred"]) == (0.1, 1000.0, True)
    assert info["max_power_w"] == 700.0
    assert info["device"] == "NVIDIA H100 80GB HBM3"
    assert "counted" not in info, "it is part of the total"
    assert "range_uj" not in info
    assert client("[devices[0].absolute, devices[0].in_place, devices[0].name]") == [
        True,
        False,
        "nvml",
    ]


@linux_only
def test_volta_ticks_faster(start: Start) -> None:
    _, client = start(VOLTA_GPU)
    client("find()")
    (info,) = client("infos()")
    assert (info["provenance"], info["resolution_s"]) == ("measured", 0.02)


@linux_only
def test_a_card_without_a_counter_is_integrated(start: Start) -> None:
    _, client = start(PASCAL_GPU)
    assert client("find()") == [["gpu-0"], []]
    (info,) = client("infos()")
    assert (info["provenance"], info["resolution_s"]) == ("integrated", 0.02)
    assert info["assumption"]
    assert client("devices[0].absolute") is False
    assert client("read(0, 1000)") == {"gpu-0": 0}
    assert client("read(0, 1_000_001_000)") == {"gpu-0": 30_000_000}
    assert 0 < client("devices[0].lag_s") < 0.1


@linux_only
def test_the_module_is_shown_and_not_counted(start: Start) -> None:
    _, client = start(GRACE_HOPPER, Gpu())
    assert client("find()") == [["gpu-0", "module-0", "gpu-1"], []]
    module = client("infos()")[1]
    assert (module["domain"], module["scope"], module["counted"]) == ("module", "module", False)


@linux_only
def test_a_module_that_is_the_device_once_more_is_not_shown(start: Start) -> None:
    same = replace(GRACE_HOPPER, module_w=GRACE_HOPPER.watts, module_start_mj=5_000_000)
    _, client = start(same)
    assert client("find()") == [["gpu-0"], []]


@linux_only
def test_counters_show_what_the_card_counted(start: Start) -> None:
    machine, client = start(GRACE_HOPPER)
    client("find()")
    for index, module in ((0, False), (1, True)):
        before_ns = time.monotonic_ns()
        (value,) = client(f"read({index})").values()
        after_ns = time.monotonic_ns()
        shown = {machine.counter_mj(0, t, module=module) for t in (before_ns, after_ns)}
        assert min(shown) * 1000 <= value <= max(shown) * 1000
        assert client(f"problems({index})") == {}


@linux_only
def test_a_divided_card_is_whole(start: Start) -> None:
    """MIG: the energy is the card's, and the processes are those of all its instances."""
    machine, client = start(Gpu(mig=True, mig_instances=2))
    client("find()")
    (info,) = client("infos()")
    assert "divided by MIG" in info["device"]
    machine.processes(0, [GpuProcess(11, GIB, 10, mig=0), GpuProcess(12, GIB, 20, mig=1)])
    assert [one["pid"] for one in client("state()")["processes"]] == [11, 12]
    uuids = client("[devices[0]._card.uuid, *devices[0]._card.mig]")
    assert len(uuids) == 3
    for uuid in uuids:
        assert client(f"devices[0].is_visible({uuid!r})")
    assert not client("devices[0].is_visible('MIG-ffff')")


# --- what it does, and for whom ---


@linux_only
def test_state(start: Start) -> None:
    machine, client = start(Gpu(watts=123.0))
    machine.utilisation(0, 80)
    machine.memory_used(0, 3 * GIB)
    machine.temperature(0, 61)
    client("find()")
    state = client("state()")
    assert state["utilisation"] == 0.8
    # NVML's older figure holds what the driver reserves for itself.
    assert state["memory_bytes"] == 3 * GIB + machine.gpus[0].reserved_bytes
    assert state["memory_total_bytes"] == 80 * GIB
    assert state["temperature_c"] == 61
    assert state["power_w"] == pytest.approx(123.0, abs=0.01)
    assert state.get("processes", []) == []


@linux_only
def test_processes_and_their_work(start: Start) -> None:
    machine, client = start(Gpu())
    client("find()")
    machine.processes(0, [GpuProcess(22, 2 * GIB, 75), GpuProcess(7, GIB, 0)], [GpuProcess(9)])
    time.sleep(0.4)  # the driver looks at processes six times a second
    processes = {one["pid"]: one for one in client("state()")["processes"]}
    assert set(processes) == {7, 9, 22}
    assert processes[22]["memory_bytes"] == 2 * GIB
    assert processes[22]["utilisation"] == 0.75
    assert processes[7].get("utilisation", 0.0) == 0.0
    assert all(one["whose"] == "" for one in processes.values()), "that is for the watcher to say"


@linux_only
def test_work_is_told_since_the_last_look(start: Start) -> None:
    machine, client = start(Gpu())
    client("find()")
    machine.processes(0, [GpuProcess(22, GIB, 90)])
    time.sleep(0.4)
    assert client("state()")["processes"][0]["utilisation"] == 0.9
    machine.processes(0, [GpuProcess(22, GIB, 10)])
    time.sleep(0.4)
    assert client("state()")["processes"][0]["utilisation"] == pytest.approx(0.1, abs=0.01)


@linux_only
def test_what_is_not_told_is_left_open(start: Start) -> None:
    """A lost device tells nothing; one that the user may not ask says so."""
    machine, client = start(Gpu())
    client("find()")
    machine.lose(0)
    reason, remedy = client("state()")
    assert "lost" in reason
    assert "Xid" in remedy


# --- failures ---


@linux_only
@pytest.mark.parametrize("gpu", [Gpu(), PASCAL_GPU])
def test_an_unreadable_device_says_why_and_comes_back(start: Start, gpu: Gpu) -> None:
    machine, client = start(gpu)
    client("find()")
    assert set(client("read()")) == {"gpu-0"}
    machine.lose(0)
    assert client("read()") == {}
    reason, remedy = client("problems()")["gpu-0"]
    assert reason == "NVML: GPU is lost"
    assert "Xid" in remedy
    machine.find(0)
    machine.no_permission(0)
    assert client("read()") == {}
    reason, remedy = client("problems()")["gpu-0"]
    assert "Insufficient Permissions" in reason
    assert remedy.startswith("ask who runs")
    machine.permit(0)
    assert set(client("read()")) == {"gpu-0"}
    assert client("problems()") == {}


@linux_only
def test_a_module_that_is_not_told_any_more(start: Start) -> None:
    machine, client = start(GRACE_HOPPER)
    client("find()")
    machine.lose(0)
    assert client("read(1)") == {}
    assert list(client("problems(1)")) == ["module-0"]
    machine.find(0)
    assert set(client("read(1)")) == {"module-0"}


@linux_only
def test_a_driver_that_is_reloaded(start: Start) -> None:
    """Who used it begins again by itself, and finds a counter that starts at zero."""
    machine, client = start(Gpu(), Gpu())
    client("find()")
    before = client("read(1)")["gpu-1"]
    machine.unload_driver()
    assert client("read(1)") == {}
    assert client("problems(1)")["gpu-1"][0]
    machine.load_driver()
    client("read(1)")
    after = client("read(1)")
    assert set(after) == {"gpu-1"}
    assert after["gpu-1"] < before
    assert client("problems(1)") == {}
    client("read(0)")
    assert set(client("read(0)")) == {"gpu-0"}


@linux_only
def test_closed_it_reads_nothing(start: Start) -> None:
    _, client = start(Gpu(), PASCAL_GPU)
    client("find()")
    for index in (0, 1):
        client(f"[devices[{index}].close(), devices[{index}].close()]")
        assert client(f"read({index})") == {}
        assert client(f"problems({index})") == {f"gpu-{index}": ["the source is closed", ""]}


@linux_only
def test_a_forked_child_does_not_disturb(start: Start) -> None:
    machine, client = start(Gpu())
    client("find()")
    assert client("forked(lambda: (read(), devices[0].close()))") == 0
    before_ns = time.monotonic_ns()
    value = client("read()")["gpu-0"]
    assert value >= machine.counter_mj(0, before_ns) * 1000


# --- CUDA_VISIBLE_DEVICES ---

OWN = (UUID.format(0xAB), "MIG-1234")


@pytest.mark.parametrize(
    ("visible", "index", "shown"),
    [
        (None, 0, True),
        ("", 0, False),
        (" ", 0, False),
        ("0", 0, True),
        ("0", 1, False),
        ("1", 0, False),
        ("1,0", 0, True),
        (" 1 , 0 ", 0, True),
        ("0,1,2", 2, True),
        ("10", 1, False),
        ("-1", 0, False),
        ("-1,0", 0, False),
        ("0,-1,1", 1, False),
        ("0,-1,1", 0, True),
        ("0,,1", 1, False),
        ("7,0", 0, True),
        ("none", 0, False),
        ("NoDevFiles", 0, False),
        ("x,0", 0, False),
        ("0,x", 0, True),
        (OWN[0], 0, True),
        ("GPU-", 0, True),
        ("GPU-0000", 5, True),
        ("GPU-ffff", 0, False),
        ("GPU-ffff,0", 0, True),
        (f"GPU-ffff,{OWN[0]}", 0, True),
        ("MIG-1234", 0, True),
        ("MIG-12", 0, True),
        ("MIG-99", 0, False),
        ("MIG-99,MIG-1234", 0, True),
        ("gpu-0000", 0, False),
    ],
)
def test_what_cuda_shows(visible: str | None, index: int, shown: bool) -> None:
    """The CUDA programming guide on CUDA_VISIBLE_DEVICES."""
    assert is_visible(visible, index, OWN) is shown


@linux_only
def test_devices_know_their_own_numbers(start: Start) -> None:
    _, client = start(Gpu(), GRACE_HOPPER)
    client("find()")
    seen = client("[[d.is_visible(v) for d in devices] for v in ('0', '1', None, '-1')]")
    assert seen == [[True, False, False], [False, True, True], [True] * 3, [False] * 3]
    assert client(f"devices[1].is_visible({UUID.format(1)!r})")
    assert not client(f"devices[0].is_visible({UUID.format(1)!r})")


@linux_only
def test_power_of_an_averaging_card_is_told_when_it_is_known(start: Start) -> None:
    """Ampere's reading is a mean of a second; where the moment is told, that is taken."""
    telling = Gpu(counter=False, architecture=AMPERE)
    averaging = Gpu(counter=False, architecture=AMPERE, instant_window_s=None)
    _, client = start(telling, averaging)
    assert client("find()")[0] == ["gpu-0", "gpu-1"]
    lags = client("[d.lag_s for d in devices]")
    assert lags == [pytest.approx(0.1), pytest.approx(0.15)]

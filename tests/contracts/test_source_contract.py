"""The contract of ``sources/counter.py``, point by point, for every source.

Each source is put on a small machine made of files. A machine can do work, whose energy is
known, make a counter unreadable, and bring it back.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo
from jupyter_green.settings import Settings
from jupyter_green.sources import nvml
from jupyter_green.sources.counter import Source
from jupyter_green.sources.integrated import Integrated
from jupyter_green.sources.modelled import Modelled
from jupyter_green.sources.perf import Perf
from jupyter_green.sources.pyrapl import PyRapl
from jupyter_green.sources.rapl import Rapl
from tests.simulators.cpu import USER_HZ, FakeProc
from tests.simulators.gpu import GRACE_HOPPER, PASCAL_GPU, Gpu, NvmlMachine
from tests.simulators.machine import RaplMachine, build_tree, two_sockets
from tests.simulators.pmu import Cpu, SimulatedPmu, describe_cpus, names_for_pyrapl

SECOND_NS = 1_000_000_000
START_NS = 1000 * SECOND_NS
IDLE_W, MAX_W, CPUS, QUOTA_CPUS = 10.0, 50.0, 4, 2


class Machine(Protocol):
    """What a source is put on."""

    now_ns: int
    fragile: str  # the counter that `spoil` makes unreadable

    def source(self) -> Source: ...

    def work(self, seconds: float) -> dict[str, float]:
        """Let time pass; the true microjoules of each counter in that time."""
        ...

    def spoil(self) -> None: ...

    def mend(self) -> None: ...


class RaplTree:
    fragile = "dram-1"

    def __init__(self, root: Path) -> None:
        self.now_ns = START_NS
        zones = two_sockets()
        build_tree(root, zones)
        self._root = root
        self._watts = {zone.key: zone.watts for zone in zones}
        self._paths = {zone.key: RaplMachine(root, zones).energy_file(zone.key) for zone in zones}
        self._uj = dict.fromkeys(self._watts, 1_000_000)
        self._gone = False
        self._write()

    def source(self) -> Source:
        source, _ = Rapl.find(self._root / "sys")
        assert source is not None
        return source

    def work(self, seconds: float) -> dict[str, float]:
        self.now_ns += round(seconds * SECOND_NS)
        drawn = {key: round(watts * seconds * 1e6) for key, watts in self._watts.items()}
        self._uj = {key: uj + drawn[key] for key, uj in self._uj.items()}
        self._write()
        return dict(drawn)

    def spoil(self) -> None:
        self._gone = True
        remove(self._paths[self.fragile])

    def mend(self) -> None:
        self._gone = False
        self._write()

    def _write(self) -> None:
        for key, path in self._paths.items():
            if not (self._gone and key == self.fragile):
                path.write_text(f"{self._uj[key]}\n")


class PyRaplTree(RaplTree):
    """The tree again, where pyRAPL is made to look for it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        describe_cpus(root, {0: Cpu(0), 1: Cpu(1)})

    def source(self) -> Source:
        source, _ = PyRapl.find("/sys")
        assert source is not None
        return source


class PerfMachine:
    fragile = "dram-1"

    def __init__(self, root: Path) -> None:
        self.now_ns = START_NS
        self.cpus = {0: Cpu(0), 28: Cpu(1)}
        self.watts = {"energy-pkg": 80.0, "energy-cores": 55.0, "energy-ram": 12.0}
        self.domains = {"energy-pkg": "package", "energy-cores": "core", "energy-ram": "dram"}
        self.pmu = SimulatedPmu(root, self.cpus, self.watts)

    def source(self) -> Source:
        source, _ = Perf.find(self.pmu.sysfs, opener=self.pmu)
        assert source is not None
        return source

    def work(self, seconds: float) -> dict[str, float]:
        self.now_ns += round(seconds * SECOND_NS)
        drawn: dict[str, float] = {}
        for number, cpu in self.cpus.items():
            for event, watts in self.watts.items():
                microjoules = round(watts * seconds * 1e6)
                self.pmu.draw(event, number, microjoules)
                drawn[f"{self.domains[event]}-{cpu.package}"] = microjoules
        return drawn

    def spoil(self) -> None:
        self.pmu.spoil("energy-ram", 28)

    def mend(self) -> None:
        self.pmu.mend("energy-ram", 28)


class ModelMachine:
    """Settings give the watts, so that the truth is simple; the busy time comes from a file."""

    fragile = "cpu-model"
    idle_w = IDLE_W

    def __init__(self, root: Path) -> None:
        self.now_ns = START_NS
        self.root = root
        self.proc = FakeProc(root)
        self.proc.set_cpuinfo(count=CPUS)
        self.busy_s = 100.0
        self._gone = False
        self.write()

    def settings(self) -> Settings:
        return Settings(
            data_dir=str(self.root),
            sysfs_root=str(self.root / "sys"),
            procfs_root=str(self.root / "proc"),
            cpu_idle_w=IDLE_W,
            cpu_max_w=MAX_W,
        )

    def source(self) -> Source:
        source, _ = Modelled.find(self.settings(), environ={}, root=str(self.root))
        assert source is not None
        return source

    def work(self, seconds: float) -> dict[str, float]:
        self.now_ns += round(seconds * SECOND_NS)
        self.busy_s += seconds
        if not self._gone:
            self.write()
        watts = self.idle_w + (MAX_W - IDLE_W) / CPUS
        return {"cpu-model": watts * seconds * 1e6}

    def spoil(self) -> None:
        self._gone = True
        remove(self.path())

    def mend(self) -> None:
        self._gone = False
        self.write()

    def write(self) -> None:
        user = round(self.busy_s * USER_HZ) - 300
        self.proc.set_stat(user=user, nice=100, system=200, idle=10**6, cpus=CPUS)

    def path(self) -> Path:
        return self.proc.proc / "stat"


class CgroupV2(ModelMachine):
    idle_w = IDLE_W * QUOTA_CPUS / CPUS

    def write(self) -> None:
        self.proc.set_stat(user=10**9, cpus=CPUS)
        usage_usec = round(self.busy_s * 1e6)
        self.proc.set_cgroup_v2(usage_usec, quota_us=QUOTA_CPUS * 100_000)

    def path(self) -> Path:
        return self.proc.cgroup / "cpu.stat"


class CgroupV1(ModelMachine):
    idle_w = IDLE_W * QUOTA_CPUS / CPUS

    def write(self) -> None:
        self.proc.set_stat(user=10**9, cpus=CPUS)
        usage_ns = round(self.busy_s * SECOND_NS)
        self.proc.set_cgroup_v1(usage_ns, quota_us=QUOTA_CPUS * 100_000)

    def path(self) -> Path:
        return self.proc.cgroup / "cpuacct" / "cpuacct.usage"


class Psutil(ModelMachine):
    """No procfs where the source looks, but psutil finds one."""

    def settings(self) -> Settings:
        return Settings(
            data_dir=str(self.root),
            sysfs_root=str(self.root / "none"),
            procfs_root=str(self.root / "none"),
            cpu_idle_w=IDLE_W,
            cpu_max_w=IDLE_W + (MAX_W - IDLE_W) * (os.cpu_count() or 1) / CPUS,
        )


class SensorFile:
    """A power sensor as hwmon shows one: microwatts in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = CounterInfo(
            name="gpu-7", domain="gpu", source="hwmon", provenance="integrated", resolution_s=0.1
        )

    def power_w(self, now_ns: int) -> float:
        try:
            return int(self.path.read_text()) / 1e6
        except (OSError, ValueError) as error:
            raise UnreadableCounter(f"{self.path}: {error}") from error

    def close(self) -> None:
        pass


class SensorMachine:
    fragile = "gpu-7"

    def __init__(self, root: Path) -> None:
        self.now_ns = START_NS
        self._path = root / "power1_average"
        self.mend()

    def source(self) -> Source:
        return Integrated(SensorFile(self._path))

    def work(self, seconds: float) -> dict[str, float]:
        self.now_ns += round(seconds * SECOND_NS)
        return {"gpu-7": 75e6 * seconds}

    def spoil(self) -> None:
        remove(self._path)

    def mend(self) -> None:
        self._path.write_text("75000000\n")


COUNTING, POWERED, WITH_MODULE = range(3)
CARD_TICK_S = 0.002


class Card:
    """One card of a simulated NVIDIA machine. Its counter stands still but for its work."""

    device = COUNTING
    fragile = "gpu-0"
    module = False

    def __init__(self, root: Path) -> None:
        self.now_ns = START_NS
        self._machine = nvidia_machine()
        self.mend()
        self._machine.stand_still(self.device)

    def source(self) -> Source:
        devices, _ = nvml.find()
        (found,) = (one for one in devices if one.counters[0].name == self.fragile)
        return found

    def work(self, seconds: float) -> dict[str, float]:
        """A thousandth of the time, which the card does not know."""
        self.now_ns += round(seconds * SECOND_NS)
        machine = self._machine
        before_mj = machine.counter_mj(self.device, time.monotonic_ns(), module=self.module)
        machine.go_on(self.device)
        time.sleep(seconds / 1000 + 2 * CARD_TICK_S if seconds > 0.01 else 0.0)
        machine.stand_still(self.device)
        after_mj = machine.counter_mj(self.device, time.monotonic_ns(), module=self.module)
        return {self.fragile: (after_mj - before_mj) * 1000.0}

    def spoil(self) -> None:
        self._machine.lose(self.device)

    def mend(self) -> None:
        self._machine.find(self.device)


class ModuleOfCard(Card):
    device = WITH_MODULE
    fragile = "module-2"
    module = True


class PoweredCard(Card):
    """Steady power: its integral follows from the times that it is read at."""

    device = POWERED
    fragile = "gpu-1"

    def work(self, seconds: float) -> dict[str, float]:
        self.now_ns += round(seconds * SECOND_NS)
        return {self.fragile: PASCAL_GPU.watts * seconds * 1e6}


@cache
def nvidia_machine() -> NvmlMachine:
    """A process that has loaded the library keeps it, and with it this machine."""
    root = Path(tempfile.mkdtemp(dir=os.environ[NVIDIA]))
    gpus = (Gpu(tick_s=CARD_TICK_S), PASCAL_GPU, replace(GRACE_HOPPER, tick_s=CARD_TICK_S))
    machine = NvmlMachine(root / "gpu", gpus)
    machine.__enter__()
    os.environ.update(machine.environment)
    # Who asks for its name from now on is given this one.
    ctypes.CDLL(str(machine.library), mode=ctypes.RTLD_GLOBAL)
    return machine


def remove(path: Path) -> None:
    """As in sysfs: who has the file open reads nothing any more."""
    path.write_bytes(b"")
    path.unlink()


NVIDIA = "CONTRACT_OF_NVIDIA"
"""Set in the process that puts the NVIDIA devices to the test: the directory of their machine."""

NVIDIA_MACHINES: dict[str, Callable[[Path], Machine]] = {
    "nvml counter": Card,
    "nvml module": ModuleOfCard,
    "nvml power": PoweredCard,
}

OTHER_MACHINES: dict[str, Callable[[Path], Machine]] = {
    "rapl": RaplTree,
    "perf": PerfMachine,
    "pyrapl": PyRaplTree,
    "model": ModelMachine,
    "model in cgroup v2": CgroupV2,
    "model in cgroup v1": CgroupV1,
    "model by psutil": Psutil,
    "integrated": SensorMachine,
}

MACHINES = NVIDIA_MACHINES if NVIDIA in os.environ else OTHER_MACHINES


def show_pyrapl(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source has odd escapes
        package = pytest.importorskip("pyRAPL", reason="pyRAPL is not installed")
    for name, value in names_for_pyrapl(sysfs).items():
        monkeypatch.setattr(package.device_api, name, value, raising=False)


@pytest.fixture(params=MACHINES)
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Machine:
    if request.param == "pyrapl":
        show_pyrapl(tmp_path / "sys", monkeypatch)
    made = MACHINES[request.param](tmp_path)
    if isinstance(made, Psutil):
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))
    return made


@pytest.fixture
def source(machine: Machine) -> Iterator[Source]:
    made = machine.source()
    yield made
    made.close()


def test_counters_are_fixed_and_unique(machine: Machine, source: Source) -> None:
    before = source.counters
    source.read(machine.now_ns)
    machine.spoil()
    source.read(machine.now_ns)
    assert source.counters == before
    names = [info.name for info in before]
    assert len(set(names)) == len(names) > 0
    assert machine.fragile in names


def test_counters_say_what_they_are(source: Source) -> None:
    for info in source.counters:
        assert info.source == source.name
        assert info.provenance in ("measured", "integrated", "modelled")
        assert 0 < info.resolution_s <= 1
        if info.provenance == "modelled":
            assert info.assumption
            assert info.band > 0
        elif info.provenance == "measured":
            assert not info.assumption


def test_reads_whole_microjoules_of_every_counter(machine: Machine, source: Source) -> None:
    values = source.read(machine.now_ns)
    assert set(values) == {info.name for info in source.counters}
    assert all(type(value) is int and value >= 0 for value in values.values())
    assert not source.problems


def test_counts_the_energy_that_was_drawn(machine: Machine, source: Source) -> None:
    first = source.read(machine.now_ns)
    truth = machine.work(2.0)
    second = source.read(machine.now_ns)
    rise = {name: second[name] - first[name] for name in first}
    assert rise == pytest.approx(truth, abs=1)


def test_never_falls(machine: Machine, source: Source) -> None:
    last = source.read(machine.now_ns)
    for step_s in (0.0, 1e-9, 1e-7, 0.001, 0.0, 0.0301, 0.333, 0.0):
        machine.work(step_s)
        values = source.read(machine.now_ns)
        assert all(values[name] >= last[name] for name in last)
        last = values


def test_stands_still_when_nothing_changed(machine: Machine, source: Source) -> None:
    source.read(machine.now_ns)
    machine.work(1.23)
    assert source.read(machine.now_ns) == source.read(machine.now_ns)


def test_unreadable_is_absent_and_explained(machine: Machine, source: Source) -> None:
    source.read(machine.now_ns)
    machine.spoil()
    for _ in range(3):
        machine.work(0.4)
        values = source.read(machine.now_ns)
        assert machine.fragile not in values
        assert set(source.problems) == {machine.fragile}
        assert source.problems[machine.fragile].reason
        assert set(values) | set(source.problems) == {info.name for info in source.counters}


def test_comes_back_by_itself(machine: Machine, source: Source) -> None:
    source.read(machine.now_ns)
    machine.spoil()
    machine.work(0.1)
    source.read(machine.now_ns)
    machine.mend()
    machine.work(1.0)
    first = source.read(machine.now_ns)
    assert machine.fragile in first
    assert not source.problems
    truth = machine.work(1.0)
    second = source.read(machine.now_ns)
    assert second[machine.fragile] - first[machine.fragile] == pytest.approx(
        truth[machine.fragile], abs=1
    )


def test_never_counts_what_it_did_not_see_as_more_than_the_truth(
    machine: Machine, source: Source
) -> None:
    before = source.read(machine.now_ns)[machine.fragile]
    machine.spoil()
    drawn = machine.work(0.5)[machine.fragile]
    source.read(machine.now_ns)
    machine.mend()
    drawn += machine.work(1.5)[machine.fragile]
    after = source.read(machine.now_ns)[machine.fragile]
    # It either went on counting behind the curtain, or began anew.
    assert after - before == pytest.approx(drawn, abs=1) or after == 0


def test_reading_is_quick(machine: Machine, source: Source) -> None:
    took_ns = []
    for _ in range(200):
        begin_ns = time.perf_counter_ns()
        source.read(machine.now_ns)
        took_ns.append(time.perf_counter_ns() - begin_ns)
    # The best of many: the test is about the source, not about the machine's other load.
    each_us = min(took_ns) / 1000 / len(source.counters)
    assert each_us < (20 if source.in_place else 1000)


def test_close_may_be_called_twice(machine: Machine, source: Source) -> None:
    source.read(machine.now_ns)
    source.close()
    source.close()
    for _ in range(2):
        machine.work(2.0)
        assert source.read(machine.now_ns) == {}
        assert set(source.problems) == {info.name for info in source.counters}


def test_close_gives_descriptors_back(machine: Machine) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("counts descriptors in /proc/self/fd")
    machine.source().close()  # whatever is loaded once is loaded now
    before = os.listdir("/proc/self/fd")
    source = machine.source()
    source.read(machine.now_ns)
    machine.spoil()
    machine.work(0.1)
    source.read(machine.now_ns)
    machine.mend()
    machine.work(1.5)
    source.read(machine.now_ns)
    source.close()
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads of other tests
def test_a_forked_child_does_not_disturb_the_parent(machine: Machine, source: Source) -> None:
    first = source.read(machine.now_ns)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            machine.now_ns += SECOND_NS // 2
            same = set(source.read(machine.now_ns)) == set(first)
            source.close()
            code = 0 if same else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    truth = machine.work(1.0)
    second = source.read(machine.now_ns)
    assert {n: second[n] - first[n] for n in first} == pytest.approx(truth, abs=1)


def test_a_new_process_continues_the_counter(machine: Machine, source: Source) -> None:
    if not source.absolute:
        assert not source.in_place
        pytest.skip("it counts from 0 in each process")
    machine.work(3.21)
    other = machine.source()
    assert other.read(machine.now_ns) == source.read(machine.now_ns)
    other.close()


@pytest.mark.skipif(
    NVIDIA in os.environ or not sys.platform.startswith("linux"), reason="runs the NVIDIA devices"
)
def test_nvidia_devices_keep_it_too(tmp_path: Path) -> None:
    """All of the above, in a process of its own: the library stays in the one that loaded it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, NVIDIA: str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= len(NVIDIA_MACHINES) * 12

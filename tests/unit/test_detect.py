"""What is chosen on which machine, and that every other choice has its reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec import structs

from jupyter_green.settings import CPU_SOURCES, Settings
from jupyter_green.sources import perf
from jupyter_green.sources.counter import Detection
from jupyter_green.sources.detect import detect
from tests.simulators import machine
from tests.simulators.cpu import FakeProc
from tests.simulators.gpu import PASCAL_GPU, Gpu, NvmlMachine
from tests.simulators.machine import RaplMachine, Zone, build_tree
from tests.simulators.pmu import Cpu, SimulatedPmu


def make(root: Path, zones: tuple[Zone, ...] = (), cpus: int = 4) -> Settings:
    if zones:
        build_tree(root, zones)
        for zone in zones:
            RaplMachine(root, zones).energy_file(zone.key).write_text("1000\n")
    proc = FakeProc(root)
    proc.set_cpuinfo(count=cpus, model=143)
    proc.set_stat(user=100, cpus=cpus)
    proc.set_meminfo(2**24)
    return Settings(
        data_dir=str(root), sysfs_root=str(root / "sys"), procfs_root=str(root / "proc")
    )


def found(settings: Settings) -> Detection:
    return detect(settings, environ={}, root=settings.data_dir)


def names(detection: Detection) -> list[str]:
    return [info.name for info in detection.counters]


def test_rapl_serves_and_the_model_says_why_it_does_not(tmp_path: Path) -> None:
    detection = found(make(tmp_path, machine.two_sockets()))
    assert [source.name for source in detection.sources] == ["rapl"]
    assert names(detection) == ["package-0", "dram-0", "package-1", "dram-1"]
    assert [(r.source, r.reason) for r in detection.refused] == [
        ("perf", "rapl reads the same counters already"),
        ("pyrapl", "used only where cpu_source names it"),
        ("modelled", "measured by rapl, no model needed"),
    ]
    detection.close()


@pytest.mark.parametrize(
    ("zones", "missing"),
    [
        (machine.amd_without_dram(), ["dram-0"]),
        (machine.dram_on_one_socket(), ["dram-0"]),
        (machine.multi_die(), ["dram-0-die-1"]),
        (machine.with_psys(), ["dram-0"]),
    ],
)
def test_packages_without_dram(tmp_path: Path, zones: tuple[Zone, ...], missing: list[str]) -> None:
    detection = found(make(tmp_path, zones))
    refused = [r for r in detection.refused if r.source == "rapl"]
    assert [r.counter for r in refused] == missing
    assert refused[0].reason == ("this processor has no DRAM counter; totals hold the package only")
    assert not set(names(detection)) & set(missing)
    detection.close()


def test_an_unreadable_dram_counter_is_there_and_missing(tmp_path: Path) -> None:
    settings = make(tmp_path, machine.two_sockets())
    RaplMachine(tmp_path, machine.two_sockets()).energy_file("dram-0").write_text("garbage\n")
    detection = found(settings)
    assert "dram-0" in names(detection)
    assert not any(r.counter == "dram-0" for r in detection.refused)
    assert set(detection.sources[0].problems) == {"dram-0"}
    detection.close()


def test_the_model_serves_without_rapl(tmp_path: Path) -> None:
    detection = found(make(tmp_path))
    assert [source.name for source in detection.sources] == ["modelled"]
    assert names(detection) == ["cpu-model"]
    reasons = {r.source: r.reason for r in detection.refused if r.counter is None}
    assert set(reasons) == {"rapl", "perf", "pyrapl"}
    assert "no powercap tree" in reasons["rapl"]
    assert "no energy PMU" in reasons["perf"]
    detection.close()


def test_the_model_takes_the_limits_of_a_rapl_that_cannot_be_read(tmp_path: Path) -> None:
    settings = make(tmp_path, machine.one_socket())
    for path in (tmp_path / "sys/devices").rglob("energy_uj"):
        path.write_text("")
    detection = found(settings)
    assert names(detection) == ["cpu-model", "dram-model"]
    assert "thermal limit" in detection.counters[0].assumption
    refused = {r.counter for r in detection.refused if r.source == "rapl"}
    assert refused == {"package-0", "core-0", "uncore-0", "dram-0"}
    detection.close()


def test_nothing_serves_but_everything_has_a_reason(tmp_path: Path) -> None:
    settings = make(tmp_path)
    bad = Settings(
        data_dir="", sysfs_root=settings.sysfs_root, procfs_root=settings.procfs_root, calibration=0
    )
    detection = detect(bad, environ={}, root=str(tmp_path))
    assert detection.sources == ()
    assert [r.source for r in detection.refused] == ["rapl", "perf", "pyrapl", "modelled"]


# A source by its name


@pytest.fixture
def pmu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedPmu:
    """An energy PMU beside whatever else the machine has."""
    made = SimulatedPmu(tmp_path, {0: Cpu()}, ["energy-pkg", "energy-cores"])
    monkeypatch.setattr(perf, "SystemCalls", lambda: made)
    return made


def close_powercap(root: Path) -> None:
    for path in (root / "sys/devices").rglob("energy_uj"):
        path.write_text("")


def sources(detection: Detection) -> list[str]:
    return [source.name for source in detection.sources]


def test_perf_serves_where_powercap_is_closed(tmp_path: Path, pmu: SimulatedPmu) -> None:
    settings = make(tmp_path, machine.one_socket())
    close_powercap(tmp_path)
    detection = found(settings)
    assert sources(detection) == ["perf"]
    assert names(detection) == ["package-0", "core-0"]
    reasons = {(r.source, r.counter): r.reason for r in detection.refused}
    assert ("rapl", "package-0") in reasons
    assert reasons["perf", "dram-0"].startswith("this processor has no DRAM counter")
    assert reasons["modelled", None] == "measured by perf, no model needed"
    detection.close()


def test_rapl_comes_before_perf(tmp_path: Path, pmu: SimulatedPmu) -> None:
    detection = found(make(tmp_path, machine.one_socket()))
    assert sources(detection) == ["rapl"]
    assert not pmu.opened
    detection.close()


@pytest.mark.parametrize("name", ["rapl", "perf", "modelled"])
def test_a_source_that_is_named_serves_alone(tmp_path: Path, pmu: SimulatedPmu, name: str) -> None:
    settings = structs.replace(make(tmp_path, machine.two_sockets()), cpu_source=name)
    detection = found(settings)
    assert sources(detection) == [name]
    others = {r.source: r.reason for r in detection.refused if r.counter is None}
    assert set(others) == set(CPU_SOURCES) - {"auto", name}
    assert {others[other] for other in others if other != "modelled"} == {f"cpu_source is {name}"}
    detection.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rapl", "no powercap tree"),
        ("perf", "no energy PMU"),
        ("pyrapl", "pyRAPL reads /sys only"),
        ("turbostat", "there is no such source"),
    ],
)
def test_the_model_serves_for_a_named_source_that_does_not(
    tmp_path: Path, name: str, reason: str
) -> None:
    detection = found(structs.replace(make(tmp_path), cpu_source=name))
    assert sources(detection) == ["modelled"]
    reasons = {r.source: r.reason for r in detection.refused if r.counter is None}
    assert set(reasons) >= {"rapl", "perf", "pyrapl", name}
    assert reason in reasons[name]
    detection.close()


def test_perf_does_not_stand_in_for_a_named_rapl(tmp_path: Path, pmu: SimulatedPmu) -> None:
    settings = structs.replace(make(tmp_path, machine.one_socket()), cpu_source="rapl")
    close_powercap(tmp_path)
    detection = found(settings)
    assert sources(detection) == ["modelled"]
    assert not pmu.opened
    detection.close()


def test_no_line_of_a_reason_is_broken(tmp_path: Path) -> None:
    for name, zones in (("a", machine.with_mmio_twin()), ("b", ())):
        detection = found(make(tmp_path / name, zones))
        for refusal in detection.refused:
            assert refusal.reason
            assert "\n" not in refusal.reason + refusal.remedy
        assert all("\n" not in info.assumption for info in detection.counters)
        detection.close()


@pytest.mark.parametrize("zones", [machine.two_sockets(), ()])
def test_detection_is_quick(tmp_path: Path, zones: tuple[Zone, ...]) -> None:
    settings = make(tmp_path, zones)
    took_s = []
    for _ in range(10):
        begin = time.perf_counter()
        found(settings).close()
        took_s.append(time.perf_counter() - begin)
    assert min(took_s) < 0.005


# GPUs


FIND = """
import msgspec, sys
from jupyter_green.settings import Settings
from jupyter_green.sources.detect import detect

settings = Settings(data_dir="", sysfs_root={sysfs!r}, procfs_root={procfs!r}, gpus={gpus!r})
found = detect(settings, devices={devices!r}, environ={{}}, root="/nowhere")
names = [info.name for info in found.counters]
refused = [one for one in found.refused if one.source == "nvml"]
loaded = sorted({{"pynvml", "ctypes"}} & set(sys.modules))
found.close()
read = [device.read(0) for device in found.devices]
print(msgspec.json.encode([names, refused, loaded, read]).decode())
"""


def find_gpus(
    tmp_path: Path, environment: dict[str, str], gpus: str = "used", devices: bool = True
) -> tuple[list[str], list[dict[str, object]], list[str], list[object]]:
    """In a process of its own: one that has loaded the driver's library keeps it."""
    settings = make(tmp_path / "machine", machine.one_socket())
    code = FIND.format(
        sysfs=settings.sysfs_root, procfs=settings.procfs_root, gpus=gpus, devices=devices
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    names, refused, loaded, read = json.loads(done.stdout)
    return names, refused, loaded, read


def test_a_kernel_never_loads_the_drivers_library(tmp_path: Path) -> None:
    names, refused, loaded, _ = find_gpus(tmp_path, {}, devices=False)
    assert names == ["package-0", "core-0", "uncore-0", "dram-0"]
    assert refused == []
    assert loaded == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a .so is Linux's")
def test_no_library_is_told_and_nothing_wrong(tmp_path: Path) -> None:
    names, (refusal,), loaded, _ = find_gpus(tmp_path, {"LD_LIBRARY_PATH": ""})
    assert "package-0" in names
    assert not any(name.startswith("gpu") for name in names)
    assert refusal["by_choice"] is True
    assert "no NVIDIA driver" in str(refusal["reason"])
    assert "pynvml" not in loaded


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a .so is Linux's")
@pytest.mark.parametrize("gpus", ["used", "visible"])
def test_devices_come_after_the_sources(tmp_path: Path, gpus: str) -> None:
    with NvmlMachine(tmp_path / "gpu", [Gpu(), PASCAL_GPU]) as simulated:
        names, refused, _, read = find_gpus(tmp_path, simulated.environment, gpus)
    assert names == ["package-0", "core-0", "uncore-0", "dram-0", "gpu-0", "gpu-1"]
    assert refused == []
    assert read == [{}, {}], "they are closed with the rest"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a .so is Linux's")
def test_no_gpus_are_wanted(tmp_path: Path) -> None:
    with NvmlMachine(tmp_path / "gpu", [Gpu()]) as simulated:
        names, (refusal,), loaded, _ = find_gpus(tmp_path, simulated.environment, "none")
        assert simulated.calls("nvmlInit_v2") == simulated.calls("nvmlInitWithFlags") == 0
    assert "gpu-0" not in names
    assert refusal == {"source": "nvml", "reason": "gpus is none", "by_choice": True}
    assert loaded == []


def test_heavy_packages_stay_unloaded(tmp_path: Path) -> None:
    code = (
        "import sys; from jupyter_green.settings import Settings; "
        "from jupyter_green.sources.detect import detect; "
        f"detect(Settings(data_dir='', sysfs_root={str(tmp_path)!r})); "
        "heavy = {'psutil', 'pandas', 'numpy', 'IPython', 'ctypes', 'pyRAPL'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == ""

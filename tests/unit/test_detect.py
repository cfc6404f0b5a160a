"""What is chosen on which machine, and that every other choice has its reason."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_green.settings import Settings
from jupyter_green.sources.counter import Detection
from jupyter_green.sources.detect import detect
from tests.simulators import machine
from tests.simulators.cpu import FakeProc
from tests.simulators.machine import RaplMachine, Zone, build_tree


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
        ("modelled", "measured by rapl, no model needed")
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
    assert set(reasons) == {"rapl"}
    assert "no powercap tree" in reasons["rapl"]
    detection.close()


def test_the_model_takes_the_limits_of_a_rapl_that_cannot_be_read(tmp_path: Path) -> None:
    settings = make(tmp_path, machine.one_socket())
    for path in (tmp_path / "sys/devices").rglob("energy_uj"):
        path.write_text("")
    detection = found(settings)
    assert names(detection) == ["cpu-model", "dram-model"]
    assert "thermal limit" in detection.counters[0].assumption
    assert {r.counter for r in detection.refused} == {"package-0", "core-0", "uncore-0", "dram-0"}
    detection.close()


def test_nothing_serves_but_everything_has_a_reason(tmp_path: Path) -> None:
    settings = make(tmp_path)
    bad = Settings(
        data_dir="", sysfs_root=settings.sysfs_root, procfs_root=settings.procfs_root, calibration=0
    )
    detection = detect(bad, environ={}, root=str(tmp_path))
    assert detection.sources == ()
    assert [r.source for r in detection.refused] == ["rapl", "modelled"]


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


def test_heavy_packages_stay_unloaded(tmp_path: Path) -> None:
    code = (
        "import sys; from jupyter_green.settings import Settings; "
        "from jupyter_green.sources.detect import detect; "
        f"detect(Settings(data_dir='', sysfs_root={str(tmp_path)!r})); "
        "print(*sorted({'psutil', 'pandas', 'numpy', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == ""

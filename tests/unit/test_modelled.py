"""The model: which watts, which busy time, and what it says about them."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jupyter_green
from jupyter_green.events import CounterInfo
from jupyter_green.settings import Settings
from jupyter_green.sources import cpu_table
from jupyter_green.sources.modelled import BusyFile, BusyPsutil, Modelled
from tests.simulators import machine
from tests.simulators.cpu import USER_HZ, FakeProc
from tests.simulators.machine import Zone, build_tree

SECOND_NS = 1_000_000_000
GIB_IN_KIB = 2**20


class Box:
    """A machine without sensors."""

    def __init__(self, root: Path, cpus: int = 4, **cpuinfo: int | str) -> None:
        self.root = root
        self.proc = FakeProc(root)
        self.cpus = cpus
        self.proc.set_cpuinfo(count=cpus, **cpuinfo)  # type: ignore[arg-type]
        self.proc.set_meminfo(16 * GIB_IN_KIB)
        self.busy(0)

    def busy(self, seconds: float) -> None:
        self.proc.set_stat(user=round(seconds * USER_HZ), cpus=self.cpus)

    def settings(self, **given: float) -> Settings:
        return Settings(
            data_dir=str(self.root),
            sysfs_root=str(self.root / "sys"),
            procfs_root=str(self.root / "proc"),
            **given,
        )

    def find(self, environ: dict[str, str] | None = None, **given: float) -> Modelled:
        settings = self.settings(**given)
        source, _ = Modelled.find(settings, environ=environ or {}, root=str(self.root))
        assert source is not None
        return source


def idle_and_max_w(box: Box, source: Modelled) -> tuple[float, float]:
    """What an idle second and one with all CPUs busy cost, of cpu-model alone."""
    box.busy(1000)
    start = source.read(0)["cpu-model"]
    idle = source.read(SECOND_NS)["cpu-model"] - start
    box.busy(1000 + box.cpus)
    busy = source.read(SECOND_NS)["cpu-model"] - start
    source.close()
    return idle / 1e6, busy / 1e6


def info_of(source: Modelled, name: str = "cpu-model") -> CounterInfo:
    return next(info for info in source.counters if info.name == name)


# --- which watts


def test_watts_as_set(tmp_path: Path) -> None:
    box = Box(tmp_path)
    source = box.find(cpu_idle_w=12.0, cpu_max_w=90.0)
    assert info_of(source).assumption == (
        "12 + 78 W x utilisation (cpu_idle_w and cpu_max_w as set)"
    )
    assert idle_and_max_w(box, source) == pytest.approx((12.0, 90.0))


def test_max_alone_as_set(tmp_path: Path) -> None:
    box = Box(tmp_path)
    source = box.find(cpu_max_w=90.0)
    assert "cpu_max_w as set, idle taken as 10% of it" in info_of(source).assumption
    assert idle_and_max_w(box, source) == pytest.approx((9.0, 90.0))


def test_idle_alone_as_set(tmp_path: Path) -> None:
    box = Box(tmp_path, cpus=2, model=143)
    source = box.find(cpu_idle_w=3.0)
    assert "cpu_idle_w as set" in info_of(source).assumption
    assert "Sapphire Rapids" in info_of(source).assumption
    assert idle_and_max_w(box, source) == pytest.approx((3.0, 8.32))


@pytest.mark.parametrize(
    "given",
    [
        {"cpu_idle_w": 50.0, "cpu_max_w": 20.0},
        {"cpu_idle_w": -1.0, "cpu_max_w": 20.0},
        {"cpu_max_w": -5.0},
        {"cpu_max_w": float("inf")},
        {"cpu_max_w": float("nan")},
        {"cpu_idle_w": 1e6},
        {"calibration": 0.0},
        {"calibration": float("nan")},
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, given: dict[str, float]) -> None:
    box = Box(tmp_path)
    source, refused = Modelled.find(box.settings(**given), environ={}, root=str(tmp_path))
    assert source is None
    assert len(refused) == 1
    assert refused[0].reason
    assert refused[0].remedy


def test_thermal_limits_of_both_packages(tmp_path: Path) -> None:
    build_tree(tmp_path, machine.two_sockets())
    box = Box(tmp_path)
    source = box.find()
    assert "thermal limit of 2 packages, idle taken as 15% of it" in info_of(source).assumption
    assert idle_and_max_w(box, source) == pytest.approx((0.15 * 410, 410.0))


@pytest.mark.parametrize("limit_uw", [None, 0, 2000 * 10**6, 2**42])
def test_absurd_limits_are_ignored(tmp_path: Path, limit_uw: int | None) -> None:
    build_tree(tmp_path, (Zone("package-0", max_power_uw=limit_uw),))
    box = Box(tmp_path, cpus=2, model=143)
    assert "Sapphire Rapids" in info_of(box.find()).assumption


def test_a_package_without_a_limit_is_like_the_others(tmp_path: Path) -> None:
    zones = (Zone("package-0", max_power_uw=100 * 10**6), Zone("package-1"))
    build_tree(tmp_path, zones)
    box = Box(tmp_path)
    assert idle_and_max_w(box, box.find()) == pytest.approx((30.0, 200.0))


def test_the_table(tmp_path: Path) -> None:
    box = Box(tmp_path, cpus=2, model=143, model_name="Xeon Platinum 8481C")
    source = box.find()
    assert info_of(source).assumption == (
        "1.04 + 3.12 W x utilisation per thread x 2 threads "
        "(Sapphire Rapids, whole server, SPECpower via Cloud Carbon Footprint)"
    )
    assert info_of(source).device == "Xeon Platinum 8481C"
    assert idle_and_max_w(box, source) == pytest.approx((2.072, 8.32))


def test_the_median_is_called_a_guess(tmp_path: Path) -> None:
    box = Box(tmp_path, cpus=2, model=1)
    source = box.find()
    assert "a guess" in info_of(source).assumption
    assert "median of 15 server processors" in info_of(source).assumption
    assert idle_and_max_w(box, source) == pytest.approx((2 * 0.767, 2 * 4.063))


def test_calibration_multiplies_and_says_so(tmp_path: Path) -> None:
    build_tree(tmp_path, machine.one_socket())
    box = Box(tmp_path)
    source = box.find(calibration=1.2)
    assert all(info.assumption.endswith("; x 1.2 calibrated") for info in source.counters)
    assert source.read(SECOND_NS)["dram-model"] == pytest.approx(1.2 * 6e6)
    assert idle_and_max_w(box, source) == pytest.approx((1.2 * 0.15 * 95, 1.2 * 95))


# --- the processors of the table


@pytest.mark.parametrize(
    ("vendor", "family", "model", "stepping", "name"),
    [
        ("GenuineIntel", 6, 45, 7, "Sandy Bridge"),
        ("GenuineIntel", 6, 62, 4, "Ivy Bridge"),
        ("GenuineIntel", 6, 63, 2, "Haswell"),
        ("GenuineIntel", 6, 79, 1, "Broadwell"),
        ("GenuineIntel", 6, 85, 4, "Skylake"),
        ("GenuineIntel", 6, 85, 7, "Cascade Lake"),
        ("GenuineIntel", 6, 85, 11, None),
        ("GenuineIntel", 6, 94, 3, "Skylake"),
        ("GenuineIntel", 6, 158, 9, None),
        ("GenuineIntel", 6, 158, 13, "Coffee Lake"),
        ("GenuineIntel", 6, 106, 6, "Ice Lake"),
        ("GenuineIntel", 6, 143, 8, "Sapphire Rapids"),
        ("GenuineIntel", 6, 207, 2, "Emerald Rapids"),
        ("GenuineIntel", 6, 173, 1, "Granite Rapids"),
        ("GenuineIntel", 15, 6, 1, None),
        ("AuthenticAMD", 23, 1, 2, "EPYC 1st Gen"),
        ("AuthenticAMD", 23, 49, 0, "EPYC 2nd Gen"),
        ("AuthenticAMD", 23, 113, 0, None),
        ("AuthenticAMD", 25, 1, 1, "EPYC 3rd Gen"),
        ("AuthenticAMD", 25, 17, 1, "EPYC 4th Gen"),
        ("AuthenticAMD", 25, 160, 2, "EPYC 4th Gen"),
        ("AuthenticAMD", 26, 2, 1, None),
        ("Other", 6, 143, 8, None),
    ],
)
def test_x86(vendor: str, family: int, model: int, stepping: int, name: str | None) -> None:
    text = (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        f"model name\t: a: b\nstepping\t: {stepping}\n\nprocessor\t: 1\nmodel\t: 0\n"
    )
    cpuinfo = cpu_table.parse_cpuinfo(text)
    assert cpuinfo["model name"] == "a: b"
    assert cpu_table.microarchitecture(cpuinfo) == name


@pytest.mark.parametrize(
    ("implementer", "part", "name"),
    [
        ("0x41", "0xd0c", "Graviton2"),
        ("0x41", "0xd40", "Graviton3"),
        ("0x41", "0xd4f", "Graviton4"),
        ("0x41", "0xd03", None),
        ("0x61", "0xd0c", None),
    ],
)
def test_arm(implementer: str, part: str, name: str | None) -> None:
    text = f"processor\t: 0\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n"
    assert cpu_table.microarchitecture(cpu_table.parse_cpuinfo(text)) == name


def test_graviton_rows_say_that_they_are_copies(tmp_path: Path) -> None:
    box = Box(tmp_path)
    text = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"
    (box.proc.proc / "cpuinfo").write_text(text)
    assert "copied from EPYC 2nd Gen" in info_of(box.find()).assumption


@pytest.mark.parametrize("text", ["", "nonsense", "model : x\ncpu family : y\n", "\n\n\n"])
def test_cpuinfo_that_says_nothing(text: str) -> None:
    assert cpu_table.microarchitecture(cpu_table.parse_cpuinfo(text)) is None


def test_every_usable_row_can_be_found_and_is_plausible() -> None:
    table = cpu_table.rows()
    named = {*cpu_table._INTEL, *cpu_table._AMD, *cpu_table._ARM.values(), "Graviton3E"}
    named |= {name for part in cpu_table._INTEL_BY_STEPPING.values() for name, _ in part}
    assert set(table) == named
    assert "EPYC 5th Gen" not in table
    assert all(0 < row.idle_w < row.max_w < 10 for row in table.values())


def test_the_shipped_table_keeps_its_provenance() -> None:
    path = Path(jupyter_green.__file__).parent / "data" / "cpu_power_per_thread.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert all(row["source"] and row["licence"] for row in rows)


# --- busy time


def test_guests_and_stolen_time_are_not_added(tmp_path: Path) -> None:
    box = Box(tmp_path, cpus=1)
    source = box.find(cpu_idle_w=0.0, cpu_max_w=100.0)
    box.proc.set_stat(
        user=100, nice=20, system=30, idle=999, iowait=888, irq=4, softirq=5, steal=777, guest=50
    )
    assert source.read(0)["cpu-model"] == (100 + 20 + 30 + 4 + 5) * 1_000_000
    source.close()


def test_what_runs_backwards_is_handed_on(tmp_path: Path) -> None:
    box = Box(tmp_path)
    source = box.find(cpu_idle_w=0.0, cpu_max_w=100.0)
    box.busy(1000)
    before = source.read(0)["cpu-model"]
    box.busy(900)  # a CPU was taken out
    assert source.read(0)["cpu-model"] == before - 100 * 25_000_000
    source.close()


@pytest.mark.parametrize(
    "text", ["", "garbage", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h", "intr 1 2 3 4 5 6 7 8"]
)
def test_a_stat_without_cpu_time(tmp_path: Path, text: str) -> None:
    box = Box(tmp_path)
    source = box.find(cpu_max_w=100.0)
    path = box.proc.proc / "stat"
    path.write_text(text)
    assert source.read(0) == {}
    assert str(path) in source.problems["cpu-model"].reason
    box.busy(1)
    assert "cpu-model" in source.read(0)
    assert not source.problems
    source.close()


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="there is no procfs here")
def test_this_machine_by_procfs_and_by_psutil() -> None:
    assert hasattr(os, "sysconf")
    settings = Settings(data_dir="", sysfs_root="/nowhere")
    source, _ = Modelled.find(settings, environ={}, root="/nowhere")
    assert source is not None
    first, second = source.read(SECOND_NS), source.read(SECOND_NS)
    assert 0 < first["cpu-model"] <= second["cpu-model"]
    source.close()
    assert BusyPsutil().busy_ns() > 0


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    busy = BusyFile(str(tmp_path / "none"), int)
    source = Modelled(
        CounterInfo(
            name="cpu-model", domain="cpu", source="modelled", provenance="modelled", resolution_s=1
        ),
        1.0,
        1.0,
        busy,
    )
    assert source.read(0) == {}
    assert source.problems["cpu-model"].reason.endswith("No such file or directory")


@given(
    idle_w=st.floats(0, 500),
    more_w=st.floats(0, 500),
    steps=st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**10)), max_size=20),
)
def test_never_falls_by_rounding(
    idle_w: float, more_w: float, steps: list[tuple[int, int]]
) -> None:
    class Busy:
        ns = 0

        def busy_ns(self) -> int:
            return self.ns

        def close(self) -> None:
            pass

    info = CounterInfo(
        name="cpu-model", domain="cpu", source="modelled", provenance="modelled", resolution_s=1
    )
    busy = Busy()
    source = Modelled(info, idle_w, more_w, busy)
    now_ns, last = 10**15, source.read(10**15)["cpu-model"]
    for clock_ns, busy_ns in steps:
        now_ns += clock_ns
        busy.ns += busy_ns
        value = source.read(now_ns)["cpu-model"]
        assert last <= value
        last = value


# --- containers


@pytest.mark.parametrize("version", [1, 2])
def test_a_quota_makes_a_container(tmp_path: Path, version: int) -> None:
    box = Box(tmp_path, cpus=8)
    set_group(box, version, usage_s=100.0, quota_us=200_000)
    source = box.find(cpu_idle_w=8.0, cpu_max_w=88.0)
    info = info_of(source)
    assert (info.scope, info.resolution_s) == ("container", 0.001)
    assert "idle by its quota of 2 of 8 CPUs" in info.assumption
    # 100 s at 10 W for each busy CPU; a quarter of the idle watts.
    assert source.read(0)["cpu-model"] == 1000 * 10**6
    assert source.read(SECOND_NS)["cpu-model"] == 1002 * 10**6
    source.close()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv", "environment"])
def test_marks_of_a_container_without_a_quota(tmp_path: Path, version: int, mark: str) -> None:
    box = Box(tmp_path, cpus=8)
    set_group(box, version, usage_s=100.0)
    environ = {}
    if mark == "environment":
        environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    else:
        (tmp_path / mark).parent.mkdir(exist_ok=True)
        (tmp_path / mark).write_text("")
    source = box.find(environ, cpu_idle_w=8.0, cpu_max_w=88.0)
    assert info_of(source).scope == "container"
    assert "there is no quota" in info_of(source).assumption
    assert source.read(SECOND_NS)["cpu-model"] == 1008 * 10**6
    source.close()


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_without_quota_or_mark_is_the_machine(tmp_path: Path, version: int) -> None:
    box = Box(tmp_path, cpus=8)
    set_group(box, version, usage_s=100.0)
    source = box.find(cpu_max_w=88.0)
    assert info_of(source).scope == "machine"
    assert info_of(source).resolution_s == 0.01
    source.close()


def test_the_root_of_the_groups_is_the_machine(tmp_path: Path) -> None:
    """A container that mounts the host's sysfs sees the host's root group, without cpu.max."""
    box = Box(tmp_path, cpus=8)
    set_group(box, 2, usage_s=100.0)
    (box.proc.cgroup / "cpu.max").unlink()
    (tmp_path / ".dockerenv").write_text("")
    assert info_of(box.find(cpu_max_w=88.0)).scope == "machine"


def test_more_quota_than_cpus_is_all_of_them(tmp_path: Path) -> None:
    box = Box(tmp_path, cpus=2)
    set_group(box, 2, usage_s=0.0, quota_us=1_000_000)
    source = box.find(cpu_idle_w=8.0, cpu_max_w=88.0)
    assert source.read(SECOND_NS)["cpu-model"] == 8 * 10**6
    source.close()


@pytest.mark.parametrize("text", ["", "garbage", "user_usec 5\n", "usage_usec\n", "usage_usec x\n"])
def test_a_group_without_usage(tmp_path: Path, text: str) -> None:
    box = Box(tmp_path)
    set_group(box, 2, usage_s=1.0, quota_us=100_000)
    source = box.find(cpu_max_w=88.0)
    (box.proc.cgroup / "cpu.stat").write_text(text)
    assert source.read(0) == {}
    assert "cpu.stat" in source.problems["cpu-model"].reason
    source.close()


def set_group(box: Box, version: int, usage_s: float, quota_us: int | None = None) -> None:
    if version == 1:
        box.proc.set_cgroup_v1(round(usage_s * 1e9), quota_us=quota_us)
    else:
        box.proc.set_cgroup_v2(round(usage_s * 1e6), quota_us=quota_us)


# --- memory


def test_memory_beside_the_processors_own_limits(tmp_path: Path) -> None:
    build_tree(tmp_path, machine.one_socket())
    box = Box(tmp_path)
    source = box.find()
    info = info_of(source, "dram-model")
    assert (info.domain, info.provenance, info.band) == ("dram", "modelled", 0.4)
    assert info.assumption == ("0.375 W per GiB (3 W per 8 GB, CodeCarbon) x 16 GiB installed")
    assert source.read(10 * SECOND_NS)["dram-model"] == 60 * 10**6
    source.close()


@pytest.mark.parametrize(
    ("version", "file", "text", "watts"),
    [
        (2, "memory.max", str(4 * 2**30), 1.5),
        (2, "memory.max", "max", 6.0),
        (1, "memory/memory.limit_in_bytes", str(4 * 2**30), 1.5),
        (1, "memory/memory.limit_in_bytes", "9223372036854771712", 6.0),
    ],
)
def test_memory_of_a_container(
    tmp_path: Path, version: int, file: str, text: str, watts: float
) -> None:
    build_tree(tmp_path, machine.one_socket())
    box = Box(tmp_path)
    set_group(box, version, usage_s=1.0, quota_us=100_000)
    path = box.proc.cgroup / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n")
    source = box.find()
    assert info_of(source, "dram-model").scope == "container"
    assert source.read(SECOND_NS)["dram-model"] == watts * 1e6
    source.close()


@pytest.mark.parametrize(
    ("given", "reason"),
    [({}, "whole servers and hold the DRAM already"), ({"cpu_max_w": 90.0}, "as they were set")],
)
def test_no_memory_beside_other_watts(tmp_path: Path, given: dict[str, float], reason: str) -> None:
    box = Box(tmp_path)
    source, refused = Modelled.find(box.settings(**given), environ={}, root=str(tmp_path))
    assert source is not None
    assert [info.name for info in source.counters] == ["cpu-model"]
    assert [r.counter for r in refused] == ["dram-model"]
    assert reason in refused[0].reason
    source.close()


def test_memory_of_unknown_size_is_refused(tmp_path: Path) -> None:
    build_tree(tmp_path, machine.one_socket())
    box = Box(tmp_path)
    (box.proc.proc / "meminfo").unlink()
    source, refused = Modelled.find(box.settings(), environ={}, root=str(tmp_path))
    assert source is not None
    assert [r.counter for r in refused] == ["dram-model"]
    source.close()

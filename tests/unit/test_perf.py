"""perf_event: the PMU's description in sysfs, exact units, refusals, and the real system calls."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from jupyter_green.events import Refusal
from jupyter_green.recorder.unwrap import Return, Track
from jupyter_green.sources.perf import Perf, SystemCalls
from tests.simulators.cpu import FakeProc
from tests.simulators.pmu import CODES, TYPE, Cpu, SimulatedPmu, put

ALL = ("energy-pkg", "energy-cores", "energy-gpu", "energy-ram", "energy-psys")
SERVER = ("energy-pkg", "energy-ram")
SECOND_NS = 1_000_000_000
SOFTWARE, CPU_CLOCK = 1, 0  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK: nanoseconds


def make(
    root: Path, events: Iterable[str] = ALL, cpus: Mapping[int, Cpu] | None = None
) -> SimulatedPmu:
    return SimulatedPmu(root, cpus or {0: Cpu()}, tuple(events))


def found(pmu: SimulatedPmu) -> tuple[Perf, list[Refusal]]:
    source, refused = Perf.find(pmu.sysfs, pmu.sysfs.parent / "proc", pmu)
    assert source is not None
    return source, refused


def refused(pmu: SimulatedPmu) -> list[Refusal]:
    source, why = Perf.find(pmu.sysfs, pmu.sysfs.parent / "proc", pmu)
    assert source is None
    return why


def names(source: Perf) -> list[str]:
    return [info.name for info in source.counters]


# Counters


def test_a_desktop(tmp_path: Path) -> None:
    source, refused = found(make(tmp_path))
    assert not refused
    counters = {info.name: info for info in source.counters}
    assert list(counters) == ["package-0", "core-0", "uncore-0", "dram-0", "psys"]
    assert [name for name, info in counters.items() if info.counted] == ["package-0", "dram-0"]
    assert {name: info.part_of for name, info in counters.items() if info.part_of} == {
        "core-0": "package-0",
        "uncore-0": "package-0",
    }
    assert {info.clock for info in source.counters} == {"socket-0", "psys"}
    assert all(info.range_uj is None for info in source.counters)
    assert all(info.provenance == "measured" for info in source.counters)
    assert counters["psys"].scope == "platform"
    assert counters["dram-0"].device == "memory of package 0"
    source.close()


def test_two_sockets_ask_one_cpu_each(tmp_path: Path) -> None:
    pmu = make(tmp_path, SERVER, {0: Cpu(0), 28: Cpu(1)})
    source, _ = found(pmu)
    assert names(source) == ["package-0", "dram-0", "package-1", "dram-1"]
    assert pmu.opened == [(TYPE, CODES[event], cpu) for cpu in (0, 28) for event in SERVER]
    source.close()


def test_packages_are_numbered_by_the_machine(tmp_path: Path) -> None:
    source, _ = found(make(tmp_path, SERVER, {0: Cpu(1), 28: Cpu(0)}))
    assert names(source) == ["package-1", "dram-1", "package-0", "dram-0"]
    source.close()


def test_dies_that_have_counters_of_their_own(tmp_path: Path) -> None:
    source, _ = found(make(tmp_path, SERVER, {0: Cpu(0, 0), 24: Cpu(0, 1)}))
    assert names(source) == ["package-0-die-0", "dram-0-die-0", "package-0-die-1", "dram-0-die-1"]
    assert source.counters[2].device == "package 0, die 1"
    source.close()


def test_core_complexes_of_amd_are_no_dies(tmp_path: Path) -> None:
    FakeProc(tmp_path).set_cpuinfo(vendor="AuthenticAMD", family=25, model=17)
    source, refused = found(make(tmp_path, ["energy-pkg"], {0: Cpu(0, 0), 8: Cpu(0, 1)}))
    assert names(source) == ["package-0"]
    assert [refusal.counter for refusal in refused] == ["cpu 8"]
    assert "counted once" in refused[0].reason
    source.close()


def test_psys_of_several_packages(tmp_path: Path) -> None:
    source, _ = found(make(tmp_path, ("energy-pkg", "energy-psys"), {0: Cpu(0), 4: Cpu(1)}))
    assert names(source) == ["package-0", "psys", "package-1", "psys-1"]
    source.close()


def test_ranges_in_the_cpumask(tmp_path: Path) -> None:
    pmu = make(tmp_path, ["energy-pkg"], {0: Cpu(0), 1: Cpu(1), 4: Cpu(2)})
    put(pmu.directory / "cpumask", "0-1,4")
    source, _ = found(pmu)
    assert names(source) == ["package-0", "package-1", "package-2"]
    source.close()


# Units


@pytest.mark.parametrize("count", [0, 1, 4294, 4295, 2**32, 2**53 + 1, 2**63, 2**64 - 1])
def test_microjoules_do_not_drift(tmp_path: Path, count: int) -> None:
    pmu = make(tmp_path, ["energy-pkg"])
    source, _ = found(pmu)
    for file in (tmp_path / "counts").iterdir():
        file.write_bytes(count.to_bytes(8, sys.byteorder))
    exact = Fraction(count, 2**32) * 1_000_000
    assert source.read(0) == {"package-0": int(exact)}
    source.close()


def test_energy_that_was_drawn(tmp_path: Path) -> None:
    pmu = make(tmp_path, SERVER)
    source, _ = found(pmu)
    assert source.read(0) == {"package-0": 0, "dram-0": 0}
    pmu.draw("energy-pkg", 0, 123_456_789)
    assert source.read(1)["package-0"] == pytest.approx(123_456_789, abs=1)
    assert source.read(1)["dram-0"] == 0
    source.close()


# Zero points


def test_each_process_counts_from_0(tmp_path: Path) -> None:
    pmu = make(tmp_path, ["energy-pkg"])
    kernel, _ = found(pmu)
    pmu.draw("energy-pkg", 0, 5_000_000)
    recorder, _ = found(pmu)
    assert not kernel.in_place
    assert kernel.read(0)["package-0"] == pytest.approx(5_000_000, abs=1)
    assert recorder.read(0) == {"package-0": 0}
    kernel.close()
    recorder.close()


def test_a_new_recorder_leaves_a_hole_and_no_wrong_energy(tmp_path: Path) -> None:
    pmu = make(tmp_path, ["energy-pkg"])
    first, _ = found(pmu)
    track = Track(first.counters[0])
    track.take(0, first.read(0)["package-0"])
    pmu.draw("energy-pkg", 0, 50_000_000)
    before = track.take(SECOND_NS, first.read(SECOND_NS)["package-0"])
    first.close()
    pmu.draw("energy-pkg", 0, 70_000_000)
    second, _ = found(pmu)
    track.take(2 * SECOND_NS, second.read(2 * SECOND_NS)["package-0"])
    pmu.draw("energy-pkg", 0, 20_000_000)
    after = track.take(3 * SECOND_NS, second.read(3 * SECOND_NS)["package-0"])
    assert before is not None
    assert after == pytest.approx(before + 20_000_000, abs=2)
    assert [change.lost for change in track.changes if isinstance(change, Return)] == [True]
    second.close()


# Failures


def test_no_pmu(tmp_path: Path) -> None:
    source, refused = Perf.find(tmp_path)
    assert source is None
    assert [refusal.counter for refusal in refused] == [None]
    assert f"no energy PMU at {tmp_path}" in refused[0].reason


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_forbidden_by_the_system(tmp_path: Path, number: int) -> None:
    pmu = make(tmp_path, ALL, {0: Cpu(0), 28: Cpu(1)})
    put(tmp_path / "proc/sys/kernel/perf_event_paranoid", "2")
    pmu.refuses = number
    why = refused(pmu)
    assert len(why) == 1
    assert os.strerror(number) in why[0].reason
    assert "kernel.perf_event_paranoid is 2" in why[0].reason
    assert "sudo sysctl kernel.perf_event_paranoid=0" in why[0].remedy
    assert "setcap cap_perfmon=ep" in why[0].remedy
    assert "all users may then watch all CPUs" in why[0].remedy
    assert "\n" not in why[0].reason + why[0].remedy


def test_forbidden_by_a_container(tmp_path: Path) -> None:
    pmu = make(tmp_path)
    put(tmp_path / "proc/sys/kernel/perf_event_paranoid", "-1")
    pmu.refuses = errno.EPERM
    why = refused(pmu)
    assert "kernel.perf_event_paranoid is -1, which allows it" in why[0].reason
    assert "--cap-add PERFMON" in why[0].remedy


def test_forbidden_where_the_setting_cannot_be_read(tmp_path: Path) -> None:
    pmu = make(tmp_path)
    pmu.refuses = errno.EACCES
    assert "kernel.perf_event_paranoid is unknown" in refused(pmu)[0].reason


def test_a_system_without_the_call(tmp_path: Path) -> None:
    pmu = make(tmp_path)
    pmu.refuses = errno.ENOSYS
    why = refused(pmu)
    assert len(why) == 1
    assert "without perf_event" in why[0].reason


def test_other_errors_name_the_event(tmp_path: Path) -> None:
    pmu = make(tmp_path, SERVER)
    pmu.refuses = errno.ENODEV
    assert [refusal.counter for refusal in refused(pmu)] == ["package-0", "dram-0"]
    assert refused(pmu)[0].reason == f"energy-pkg on CPU 0: {os.strerror(errno.ENODEV)}"


def test_a_counted_event_that_cannot_be_opened_is_there_and_missing(tmp_path: Path) -> None:
    pmu = make(tmp_path, ALL)
    pmu.spoil("energy-ram", 0)
    pmu.spoil("energy-cores", 0)
    source, refused = found(pmu)
    assert names(source) == ["package-0", "uncore-0", "dram-0", "psys"]
    assert [refusal.counter for refusal in refused] == ["core-0"]
    assert set(source.problems) == {"dram-0"}
    source.close()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("type", "power", "holds no number but 'power'"),
        ("cpumask", "", "holds no CPUs but ''"),
        ("cpumask", "all", "holds no CPUs but 'all'"),
        ("events/energy-pkg", "event=0x02,core=?", "holds no event"),
        ("events/energy-pkg.unit", "Watts", "is 'Watts', not 'Joules'"),
        ("events/energy-pkg.scale", "0", "holds no scale but '0'"),
        ("events/energy-pkg.scale", "nan", "holds no scale but 'nan'"),
        ("events/energy-pkg.scale", "1e999999999", "holds no scale"),
    ],
)
def test_descriptions_that_make_no_sense(
    tmp_path: Path, file: str, text: str, message: str
) -> None:
    pmu = make(tmp_path, ["energy-pkg"])
    put(pmu.directory / file, text)
    why = refused(pmu)
    assert len(why) == 1
    assert message in why[0].reason
    assert not pmu.opened


def test_one_event_that_makes_no_sense_is_refused_alone(tmp_path: Path) -> None:
    pmu = make(tmp_path, SERVER)
    (pmu.directory / "events/energy-ram.scale").unlink()
    source, refused = found(pmu)
    assert names(source) == ["package-0"]
    assert [refusal.counter for refusal in refused] == ["energy-ram"]
    source.close()


def test_a_lost_event_is_tried_once_a_second(tmp_path: Path) -> None:
    pmu = make(tmp_path, ["energy-pkg"])
    source, _ = found(pmu)
    pmu.spoil("energy-pkg", 0)
    asked = []
    for tenth in range(25):
        assert source.read(tenth * SECOND_NS // 10) == {}
        asked.append(len(pmu.opened))
    assert asked[0] == 1  # the descriptor that is open says it first
    assert asked[-1] == 3
    source.close()


def test_a_descriptor_that_became_another_file_is_left_alone(tmp_path: Path) -> None:
    class Taking(SimulatedPmu):
        """Reads as the real call does, which takes bytes away from a file."""

        def read(self, descriptor: int) -> bytes:
            return os.read(descriptor, 8)

    pmu = Taking(tmp_path, {0: Cpu()}, ["energy-pkg"])
    source, _ = found(pmu)
    other = tmp_path / "other"
    other.write_bytes(b"not for us at all")
    users = os.open(other, os.O_RDONLY)
    os.dup2(users, pmu.descriptors[0])
    assert source.read(0) == {"package-0": 0}
    source.close()
    assert os.read(pmu.descriptors[0], 3) == b"not"
    os.close(users)
    os.close(pmu.descriptors[0])


# The real calls


def open_really(type_: int, config: int, cpu: int) -> int:
    try:
        return SystemCalls().open(type_, config, cpu)
    except OSError as error:
        level = Path("/proc/sys/kernel/perf_event_paranoid")
        text = level.read_text().strip() if level.exists() else "absent"
        pytest.skip(f"perf_event_open: {error.strerror}; perf_event_paranoid is {text}")


def test_the_cpu_clock_grows() -> None:
    descriptor = open_really(SOFTWARE, CPU_CLOCK, 0)
    try:
        counts = []
        for _ in range(3):
            counts.append(int.from_bytes(SystemCalls().read(descriptor), sys.byteorder))
            time.sleep(0.05)
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)
    steps_s = [(b - a) / 1e9 for a, b in pairwise(counts)]
    assert 0 <= counts[0] < SECOND_NS
    assert all(0.045 < step_s < 5 for step_s in steps_s)


def test_a_source_on_the_cpu_clock(tmp_path: Path) -> None:
    """A joule a nanosecond: everything is real but the description."""
    os.close(open_really(SOFTWARE, CPU_CLOCK, 0))
    pmu = make(tmp_path, ["energy-pkg"])
    put(pmu.directory / "type", str(SOFTWARE))
    put(pmu.directory / "events/energy-pkg", f"event=0x{CPU_CLOCK:02x}")
    put(pmu.directory / "events/energy-pkg.scale", "1e-9")
    source, _ = Perf.find(pmu.sysfs)
    assert source is not None
    began_ns = time.perf_counter_ns()
    first = source.read(0)["package-0"]
    time.sleep(0.2)
    rise = source.read(0)["package-0"] - first
    took_s = (time.perf_counter_ns() - began_ns) / 1e9
    assert 0.19e6 < rise <= took_s * 1e6 + 1000
    source.close()
    assert source.read(0) == {}


@pytest.mark.parametrize(("type_", "config", "cpu"), [(SOFTWARE, CPU_CLOCK, 2**20), (2**31, 0, 0)])
def test_errors_of_the_real_call(type_: int, config: int, cpu: int) -> None:
    os.close(open_really(SOFTWARE, CPU_CLOCK, 0))
    with pytest.raises(OSError, match=r"Invalid argument|No such file") as caught:
        SystemCalls().open(type_, config, cpu)
    assert caught.value.errno in (errno.EINVAL, errno.ENOENT)


@pytest.mark.skipif(
    not hasattr(os, "fork") or not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can become nobody",
)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads of other tests
def test_nobody_is_refused_by_the_real_call() -> None:
    os.close(open_really(SOFTWARE, CPU_CLOCK, 0))
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) <= 0:
        pytest.skip("all users may count here")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65534)
            SystemCalls().open(SOFTWARE, CPU_CLOCK, 0)
        except PermissionError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(
    not Path("/sys/bus/event_source/devices/power").is_dir(), reason="no energy PMU here"
)
def test_the_energy_of_this_machine() -> None:
    source, refused = Perf.find("/sys")
    if source is None:
        pytest.skip(refused[0].reason)
    first = source.read(0)
    time.sleep(1.0)
    second = source.read(0)
    drawn_w = (second["package-0"] - first["package-0"]) / 1e6
    assert 0.05 < drawn_w < 2000
    source.close()

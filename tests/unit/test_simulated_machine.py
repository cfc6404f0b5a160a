"""The simulated RAPL machine tells the truth about what it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.simulators import build, machine
from tests.simulators.build import BuildError, compile_c
from tests.simulators.cpu import FakeProc
from tests.simulators.machine import MachineError, RaplMachine, Zone

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="powercap is Linux's")

PACKAGE = Zone("package-0", watts=50.0)


def read_uj(file: Path) -> int:
    return int(file.read_text())


def read_when_updated(file: Path, after: int, timeout_s: float = 20.0) -> int:
    """The counter's next value that differs from ``after``."""
    deadline = time.monotonic() + timeout_s
    while (value := read_uj(file)) == after:
        assert time.monotonic() < deadline, "the counter does not move"
        time.sleep(0.0005)
    return value


def allowance_uj(sim: RaplMachine, key: str, t0_ns: int, t1_ns: int, watts: float) -> float:
    """By how much two readings may miss the truth: the counter's age at both ends, and rounding."""
    return 2.0 + 2e6 * watts * sim.largest_lag_s(key, t0_ns, t1_ns)


# -- the tree


def test_tree_is_the_kernels(tmp_path: Path) -> None:
    zones = (
        Zone("package-0", start_uj=7, max_power_uw=95_000_000),
        Zone("core", parent="package-0", key="core-0"),
        Zone("dram", parent="package-0", key="dram-0"),
        Zone("package-1"),
        Zone("dram", parent="package-1", key="dram-1", readable=False),
        Zone("package-0", control_type="intel-rapl-mmio", key="mmio"),
    )
    with RaplMachine(tmp_path, zones) as sim:
        flat = sim.sysfs / "class/powercap"
        assert sorted(os.listdir(flat)) == [
            "intel-rapl",
            "intel-rapl-mmio",
            "intel-rapl-mmio:0",
            "intel-rapl:0",
            "intel-rapl:0:0",
            "intel-rapl:0:1",
            "intel-rapl:1",
            "intel-rapl:1:0",
        ]
        assert all(
            (flat / entry).is_symlink() and (flat / entry).is_dir() for entry in flat.iterdir()
        )
        devices = sim.sysfs / "devices/virtual/powercap/intel-rapl"
        assert (flat / "intel-rapl:1:0").resolve() == devices / "intel-rapl:1/intel-rapl:1:0"
        assert (flat / "intel-rapl:1:0/name").read_text() == "dram\n"
        assert (flat / "intel-rapl:0/max_energy_range_uj").read_text() == "262143328850\n"
        assert (flat / "intel-rapl:0/constraint_0_name").read_text() == "long_term\n"
        assert (flat / "intel-rapl:0/constraint_0_max_power_uw").read_text() == "95000000\n"
        assert (flat / "intel-rapl:0/constraint_0_power_limit_uw").exists()
        assert (flat / "intel-rapl:0/enabled").read_text() == "1\n"
        assert not (flat / "intel-rapl:1/constraint_0_max_power_uw").exists()
        assert read_uj(flat / "intel-rapl:0/energy_uj") == 7
        assert (flat / "intel-rapl:0/energy_uj").stat().st_mode & 0o777 == 0o444
        assert (flat / "intel-rapl:1:0/energy_uj").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("ready_made", "names"),
    [
        (machine.one_socket, ["package-0", "core", "uncore", "dram"]),
        (machine.two_sockets, ["package-0", "dram", "package-1", "dram"]),
        (machine.multi_die, ["package-0-die-0", "dram", "package-0-die-1"]),
        (machine.dram_on_one_socket, ["package-0", "package-1", "dram"]),
        (machine.with_psys, ["package-0", "core", "uncore", "psys"]),
        (machine.with_mmio_twin, ["package-0", "core", "package-0"]),
        (machine.amd_without_dram, ["package-0", "core"]),
    ],
)
def test_ready_made_machines_run(tmp_path, ready_made, names) -> None:
    with RaplMachine(tmp_path, ready_made()) as sim:
        assert [zone.name for zone in sim.zones] == names
        for zone in sim.zones:
            name = sim.directory(zone.key) / "name"
            assert name.read_text().strip() == zone.name
            assert read_when_updated(sim.energy_file(zone.key), 0) > 0


@pytest.mark.parametrize(
    "zones",
    [
        (Zone("dram"), Zone("dram")),
        (Zone("core", parent="package-0"), Zone("package-0")),
    ],
)
def test_impossible_machines_are_refused(tmp_path: Path, zones: tuple[Zone, ...]) -> None:
    with pytest.raises(ValueError, match=r"key|parent"):
        RaplMachine(tmp_path, zones)


def test_key_is_one_word() -> None:
    with pytest.raises(ValueError, match="one word"):
        Zone("package-0", key="two words")


# -- the truth


def test_constant_power(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        file = sim.energy_file("package-0")
        t0_ns, first = time.perf_counter_ns(), read_uj(file)
        time.sleep(0.5)
        t1_ns, last = time.perf_counter_ns(), read_uj(file)
        truth = sim.energy_uj("package-0", t0_ns, t1_ns)
        assert truth == pytest.approx(50.0 * (t1_ns - t0_ns) / 1e3)
        assert abs(last - first - truth) < allowance_uj(sim, "package-0", t0_ns, t1_ns, 50.0)


@pytest.mark.parametrize("phase_s", [0.0, 0.05, 0.32])
def test_square_power(tmp_path: Path, phase_s: float) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        file = sim.energy_file("package-0")
        begin_ns = sim.square("package-0", 10.0, 90.0, 0.1, duty=0.25, phase_s=phase_s)
        first = read_uj(file)
        time.sleep(0.5)
        t1_ns, last = time.perf_counter_ns(), read_uj(file)
        truth = sim.energy_uj("package-0", begin_ns, t1_ns)
        allowance = allowance_uj(sim, "package-0", begin_ns, t1_ns, 90.0)
    assert abs(last - first - truth) < allowance
    # Summed up in small steps, in place of the formula of the integral.
    steps = 100_000
    step_s = (t1_ns - begin_ns) / 1e9 / steps
    high = sum((phase_s + (i + 0.5) * step_s) % 0.1 < 0.025 for i in range(steps))
    assert truth == pytest.approx((10.0 * steps + 80.0 * high) * step_s * 1e6, rel=1e-3)


def test_every_write_is_the_integral_at_its_tick(tmp_path: Path) -> None:
    zone = Zone("package-0", watts=33.3, start_uj=12_345, range_uj=1_000_000)
    with RaplMachine(tmp_path, [zone], phase_s=0.0004) as sim:
        start_ns = sim.writes("package-0")[0].tick_ns
        time.sleep(0.05)
        sim.square("package-0", 5.0, 70.5, 0.013, duty=0.3, phase_s=0.004)
        time.sleep(0.1)
        sim.power("package-0", 0.0)
        time.sleep(0.02)
        sim.power("package-0", 21.0)
        time.sleep(0.05)
    writes = sim.writes("package-0")
    assert len(writes) > 20
    for write in writes:
        truth = 12_345 + sim.energy_uj("package-0", start_ns, write.tick_ns)
        assert write.true_uj == pytest.approx(truth, abs=0.01)
        assert write.raw_uj == int(write.true_uj) % 1_000_000
        assert write.t_ns >= write.tick_ns
    assert all((write.tick_ns - start_ns) % 1_000_000 == 400_000 for write in writes[1:])
    assert writes == sorted(writes, key=lambda write: write.t_ns)


def test_truth_is_refused_outside_what_is_known(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        start_ns = sim.writes("package-0")[0].tick_ns
        now_ns = time.perf_counter_ns()
        with pytest.raises(ValueError, match="known"):
            sim.energy_uj("package-0", start_ns - 1, now_ns)
        with pytest.raises(ValueError, match="known"):
            sim.energy_uj("package-0", now_ns, now_ns + 3_600_000_000_000)
    assert sim.energy_uj("package-0", start_ns, now_ns) == pytest.approx(
        50.0 * (now_ns - start_ns) / 1e3
    )


def test_several_commands_add_up(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, machine.two_sockets()) as sim:
        t0_ns = sim.power("package-1", 100.0)
        time.sleep(0.03)
        t1_ns = sim.power("package-1", 20.0)
        time.sleep(0.02)
        t2_ns = sim.square("package-1", 0.0, 40.0, 0.01)
        time.sleep(0.035)
        t3_ns = sim.power("package-1", 0.0)
        time.sleep(0.02)
        t4_ns = sim.sync()
        parts = (
            100e-3 * (t1_ns - t0_ns) + 20e-3 * (t2_ns - t1_ns),
            sim.energy_uj("package-1", t2_ns, t3_ns),
        )
        assert sim.energy_uj("package-1", t0_ns, t4_ns) == pytest.approx(sum(parts))
        assert sim.energy_uj("package-1", t3_ns, t4_ns) == 0.0
        # The neighbour was left alone.
        assert sim.energy_uj("package-0", t0_ns, t4_ns) == pytest.approx(80e-3 * (t4_ns - t0_ns))


def test_fifo_takes_commands_of_several_writers(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, machine.one_socket()) as sim:
        for watts in (80, 30):
            with sim.command_path.open("w") as fifo:
                fifo.write(f"power package-0 {watts}\n")
            t0_ns = sim.sync()  # covers what the FIFO held before
            t1_ns = sim.sync()
            truth = sim.energy_uj("package-0", t0_ns, t1_ns)
            assert truth == pytest.approx(watts * (t1_ns - t0_ns) / 1e3)


def test_twin_follows(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, machine.with_mmio_twin()) as sim:
        t0_ns = sim.power("package-0", 28.0)
        t1_ns = sim.square("package-0", 1.0, 9.0, 0.004)
        time.sleep(0.01)
        t2_ns = sim.sync()
        for t_ns in (t1_ns, t2_ns):
            twin = sim.energy_uj("mmio-package-0", t0_ns, t_ns)
            assert twin == sim.energy_uj("package-0", t0_ns, t_ns)


def test_readers_never_meet_a_half_written_number(tmp_path: Path) -> None:
    # The counter wraps every few ticks, so that the texts differ in length all the time.
    zone = Zone("package-0", watts=200.0, range_uj=1_500_000)
    with RaplMachine(tmp_path, [zone], tick_s=0.0001) as sim:
        descriptor = os.open(sim.energy_file("package-0"), os.O_RDONLY)
        try:
            end = time.monotonic() + 0.5
            seen = set()
            while time.monotonic() < end:
                seen.add(int(os.pread(descriptor, 64, 0)))
        finally:
            os.close(descriptor)
    assert len(seen) > 20
    assert seen <= {write.raw_uj for write in sim.writes("package-0")}


# -- what happens to counters


def test_wrap(tmp_path: Path) -> None:
    zone = Zone("package-0", watts=100.0, start_uj=999_000, range_uj=1_000_000)
    with RaplMachine(tmp_path, [zone]) as sim:
        time.sleep(0.1)
    writes = sim.writes("package-0")
    assert writes[0].raw_uj == 999_000
    assert writes[-1].true_uj > 1_000_000
    assert any(after.raw_uj < before.raw_uj for before, after in pairwise(writes))
    assert all(write.raw_uj == int(write.true_uj) % 1_000_000 for write in writes)


def test_reset(tmp_path: Path) -> None:
    zone = Zone("package-0", watts=50.0, start_uj=5_000_000_000)
    with RaplMachine(tmp_path, [zone]) as sim:
        file = sim.energy_file("package-0")
        assert read_uj(file) >= 5_000_000_000
        before_ns = sim.sync()
        reset_ns = sim.reset("package-0")
        time.sleep(0.02)
        after_ns = sim.sync()
        assert read_uj(file) <= sim.energy_uj("package-0", reset_ns, sim.sync())
        truth = sim.energy_uj("package-0", before_ns, after_ns)
        assert truth == pytest.approx(50e-3 * (after_ns - before_ns))
        assert 0 in {write.raw_uj for write in sim.writes("package-0")}


@pytest.mark.parametrize("by_hand", [True, False])
def test_stuck_counter_catches_up(tmp_path: Path, by_hand: bool) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        file = sim.energy_file("package-0")
        if by_hand:
            stuck_ns = sim.stick("package-0")
        else:
            with sim.command_path.open("w") as fifo:
                fifo.write("stick package-0\n")
            stuck_ns = sim.sync()
        frozen = read_uj(file)
        time.sleep(0.05)
        assert read_uj(file) == frozen
        free_ns = sim.unstick("package-0")
        jump = read_uj(file) - frozen
        assert jump >= int(sim.energy_uj("package-0", stuck_ns, free_ns))
        assert sim.largest_gap_s("package-0", stuck_ns, free_ns) >= 0.05
        assert read_when_updated(file, frozen + jump) > frozen + jump


def test_garbage_until_unstuck(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        file = sim.energy_file("package-0")
        sim.garbage("package-0")
        time.sleep(0.01)
        with pytest.raises(ValueError, match="invalid literal"):
            read_uj(file)
        sim.unstick("package-0")
        assert read_uj(file) > 0


def test_vanished_zone_comes_back(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        file = sim.energy_file("package-0")
        with file.open("rb", buffering=0) as kept:
            before = read_uj(file)
            gone_ns = sim.vanish("package-0")
            assert not file.exists()
            assert kept.read() == b""
            time.sleep(0.02)
            back_ns = sim.restore("package-0")
            gone_uj = sim.energy_uj("package-0", gone_ns, back_ns)
            assert read_uj(file) - before >= int(gone_uj) >= 1_000_000
            assert kept.read() == b""
        assert file.stat().st_mode & 0o777 == 0o444
        assert [entry.name for entry in file.parent.glob("energy_uj*")] == ["energy_uj"]


def test_commands_that_make_no_sense_change_nothing(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        t0_ns = sim.sync()
        for command in (
            ("explode", "package-0"),
            ("power", "package-9", 1),
            ("power", "package-0", "much"),
            ("power", "package-0", -1),
            ("power", "package-0", "nan"),
            ("square", "package-0", 1, 2, 0, 0.5, 0),
            ("square", "package-0", 1, 2, 1, 1.5, 0),
            ("restore", "package-0"),
            ("reset", "package-0", "now"),
        ):
            with pytest.raises(MachineError, match=str(command[0])):
                sim.command(*command)
        with sim.command_path.open("w") as fifo:
            fifo.write("\n" + "x" * 10_000 + "\nfrobnicate\n")
        t1_ns = sim.sync()
        assert sim.energy_uj("package-0", t0_ns, t1_ns) == pytest.approx(50e-3 * (t1_ns - t0_ns))
        assert "frobnicate: unknown command" in sim.stderr
        assert "too long" in sim.stderr
        # A zone that is gone can be neither stuck nor removed again.
        sim.vanish("package-0")
        for verb in ("vanish", "stick", "garbage", "unstick"):
            with pytest.raises(MachineError, match="gone"):
                sim.command(verb, "package-0")


# -- the process


def test_two_machines_at_once(tmp_path: Path) -> None:
    with (
        RaplMachine(tmp_path / "a", [PACKAGE]) as one,
        RaplMachine(tmp_path / "b", machine.two_sockets(), tick_s=0.002) as other,
    ):
        t0_ns = one.power("package-0", 10.0)
        time.sleep(0.05)
        t1_ns = time.perf_counter_ns()
        assert one.energy_uj("package-0", t0_ns, t1_ns) == pytest.approx(10e-3 * (t1_ns - t0_ns))
        assert other.energy_uj("package-0", t0_ns, t1_ns) == pytest.approx(80e-3 * (t1_ns - t0_ns))
        assert one.pid != other.pid


def test_log_is_right_beyond_its_buffer(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE], tick_s=0.00005) as sim:
        deadline = time.monotonic() + 30
        while len(writes := sim.writes("package-0")) < 6_000:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # No record is damaged at the border of two buffers.
        for before, after in pairwise(writes):
            watts = (after.true_uj - before.true_uj) / (after.tick_ns - before.tick_ns) * 1e3
            assert watts == pytest.approx(50.0, rel=1e-3)


def test_commands_after_the_end_are_refused(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        sim.command("quit")
        with pytest.raises(MachineError, match="ended"):
            sim.sync()
    with pytest.raises(MachineError, match="not running"):
        sim.power("package-0", 1.0)
    sim.close()


def test_truth_survives_a_killed_machine_up_to_the_last_sync(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, [PACKAGE]) as sim:
        t0_ns = sim.power("package-0", 20.0)
        t1_ns = sim.sync()
        os.kill(sim.pid, signal.SIGKILL)
    assert sim.energy_uj("package-0", t0_ns, t1_ns) == pytest.approx(20e-3 * (t1_ns - t0_ns))
    with pytest.raises(ValueError, match="known"):
        sim.energy_uj("package-0", t0_ns, t1_ns + 1)


def process_is_gone(pid: int) -> bool:
    """Gone, or a zombie that nobody in this container reaps."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize("held_open", [False, True])
def test_machine_ends_with_its_parent(tmp_path: Path, held_open: bool) -> None:
    # With `held_open`, a fork of the parent keeps the pipe, so that stdin never ends.
    script = f"""
        import os, sys, time
        from pathlib import Path
        from tests.simulators.machine import RaplMachine, Zone

        sim = RaplMachine(Path({str(tmp_path)!r}), [Zone("package-0")]).__enter__()
        child = os.fork() if {held_open} else -1
        if child == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
        print(sim.pid, child, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid, child = map(int, parent.stdout.readline().split())
        try:
            assert not process_is_gone(pid)
            parent.kill()
            deadline = time.monotonic() + 20
            while not process_is_gone(pid):
                assert time.monotonic() < deadline, "the machine outlives its parent"
                time.sleep(0.01)
        finally:
            if child > 0:
                os.kill(child, signal.SIGKILL)


# -- the compiler


def test_compiling_is_cached_by_content(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(build, "BUILD_DIRECTORY", tmp_path / "build")
    source = tmp_path / "answer.c"
    source.write_text("int answer(void) { return 42; }\n")
    library = compile_c(source, shared=True, name="libanswer.so.1")
    assert library.name == "libanswer.so.1"
    stamp = library.stat().st_mtime_ns
    assert compile_c(source, shared=True, name="libanswer.so.1") == library
    assert library.stat().st_mtime_ns == stamp
    source.write_text("int answer(void) { return 43; }\n")
    assert compile_c(source, shared=True, name="libanswer.so.1") != library
    # No half-built files are left.
    assert {entry.name for entry in (tmp_path / "build").rglob("*") if entry.is_file()} == {
        "libanswer.so.1"
    }


def test_bad_source_is_an_error_with_the_compilers_words(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(build, "BUILD_DIRECTORY", tmp_path / "build")
    source = tmp_path / "bad.c"
    source.write_text("int main(void) { int unused; return 0; }\n")
    with pytest.raises(BuildError, match="unused"):
        compile_c(source)


def test_no_compiler_names_the_remedy(monkeypatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match="pip install ziglang") as caught:
        build.find_compiler()
    assert "\n" not in str(caught.value)


def test_compiler_can_be_named_or_come_as_a_wheel(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CC", f"{sys.executable} -u")
    assert build.find_compiler() == [sys.executable, "-u"]
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: object())
    assert build.find_compiler() == [sys.executable, "-m", "ziglang", "cc"]


# -- procfs and cgroups


def test_stat_is_spread_over_the_processors(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.set_stat(user=1_000_001, system=7, idle=123_456_789, cpus=2)
    fake.set_stat(user=11, nice=1, system=7, idle=100, iowait=3, steal=2, guest=5, cpus=2)
    lines = (tmp_path / "proc/stat").read_text().splitlines()
    assert lines[:3] == [
        "cpu  11 1 7 100 3 0 0 2 5 0",
        "cpu0 6 1 4 50 2 0 0 1 3 0",
        "cpu1 5 0 3 50 1 0 0 1 2 0",
    ]
    assert not any(line == "" for line in lines)


def test_descriptions_of_the_machine(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.set_cpuinfo("AuthenticAMD", 23, 49, "AMD EPYC 7702", count=4, sockets=2)
    text = (tmp_path / "proc/cpuinfo").read_text()
    assert text.count("model name\t: AMD EPYC 7702\n") == 4
    assert text.count("physical id\t: 1\n") == 2
    assert "cpu family\t: 23\nmodel\t\t: 49\n" in text
    fake.set_meminfo(16_000_000, 9_000_000)
    assert "MemTotal:       16000000 kB\n" in (tmp_path / "proc/meminfo").read_text()


def test_cgroups(tmp_path: Path) -> None:
    old, new = FakeProc(tmp_path / "v1"), FakeProc(tmp_path / "v2")
    new.set_cgroup_v2(5_000_000, system_usec=1_000_000)
    assert (new.cgroup / "cpu.max").read_text() == "max 100000\n"
    new.set_cgroup_v2(5_000_000, system_usec=1_000_000, quota_us=150_000)
    assert (new.cgroup / "cpu.max").read_text() == "150000 100000\n"
    assert (new.cgroup / "cpu.stat").read_text().splitlines() == [
        "usage_usec 5000000",
        "user_usec 4000000",
        "system_usec 1000000",
    ]
    assert "cpu" in (new.cgroup / "cgroup.controllers").read_text().split()
    old.set_cgroup_v1(5_000_000_000)
    assert (old.cgroup / "cpuacct/cpuacct.usage").read_text() == "5000000000\n"
    assert (old.cgroup / "cpu/cpu.cfs_quota_us").read_text() == "-1\n"

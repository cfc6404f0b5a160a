"""RAPL on trees of files: nothing twice, nothing dropped, and every refusal with its reason."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jupyter_green.sources.rapl import Rapl, package_limits_w
from tests.simulators import machine
from tests.simulators.machine import RaplMachine, Zone, build_tree

SECOND_NS = 1_000_000_000
NOBODY = 65534
PACKAGE_W = 1000.0


class Tree:
    """A powercap tree that stands still, but for what a test writes."""

    def __init__(self, root: Path, zones: tuple[Zone, ...]) -> None:
        self.sysfs = root / "sys"
        build_tree(root, zones)
        paths = RaplMachine(root, zones)
        self.paths = {zone.key: paths.energy_file(zone.key) for zone in zones}
        # Powers of two: any sum of them tells what went into it.
        self.energy = {zone.key: 1_000_000 << number for number, zone in enumerate(zones)}
        for key in self.paths:
            self.write(key, self.energy[key])

    def write(self, key: str, content: object) -> None:
        self.paths[key].write_text(f"{content}\n")

    def remove(self, key: str) -> None:
        self.paths[key].write_bytes(b"")
        self.paths[key].unlink()

    def deny(self, *keys: str) -> None:
        for key in keys:
            self.paths[key].chmod(0o400 if os.geteuid() == 0 else 0)

    def file(self, key: str, name: str) -> Path:
        return self.paths[key].with_name(name)


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A directory that every user may enter, which pytest's own is not."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Root reads everything, so give that up for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def find(tree: Tree) -> Rapl:
    source, _ = Rapl.find(tree.sysfs)
    assert source is not None
    return source


def total(source: Rapl, values: Mapping[str, int]) -> int:
    return sum(values[info.name] for info in source.counters if info.counted)


MACHINES = {
    "one socket": (
        machine.one_socket(),
        {"package-0": "package-0", "dram-0": "dram-0"},
        {"core-0": "core-0", "uncore-0": "uncore-0"},
    ),
    "two sockets": (
        machine.two_sockets(),
        {n: n for n in ("package-0", "dram-0", "package-1", "dram-1")},
        {},
    ),
    "multi-die": (
        machine.multi_die(),
        {
            "package-0-die-0": "package-0-die-0",
            "dram-0-die-0": "dram-0",
            "package-0-die-1": "package-0-die-1",
        },
        {},
    ),
    "dram on one socket": (
        machine.dram_on_one_socket(),
        {n: n for n in ("package-0", "package-1", "dram-1")},
        {},
    ),
    "psys": (
        machine.with_psys(),
        {"package-0": "package-0"},
        {"core-0": "core-0", "uncore-0": "uncore-0", "psys": "psys"},
    ),
    "mmio twin": (
        machine.with_mmio_twin(),
        {"package-0": "package-0"},
        {"core-0": "core-0"},
    ),
    "amd": (machine.amd_without_dram(), {"package-0": "package-0"}, {"core-0": "core-0"}),
    "two sockets with all there is": (
        (
            Zone("package-0"),
            Zone("core", parent="package-0", key="c0"),
            Zone("dram", parent="package-0", key="d0"),
            Zone("package-1"),
            Zone("core", parent="package-1", key="c1"),
            Zone("dram", parent="package-1", key="d1"),
            Zone("psys", key="p0"),
            Zone("psys", key="p1"),
            Zone("npu", parent="package-0", key="n0"),
        ),
        {"package-0": "package-0", "dram-0": "d0", "package-1": "package-1", "dram-1": "d1"},
        {"core-0": "c0", "core-1": "c1", "psys": "p0", "psys-1": "p1", "npu": "n0"},
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_twice_and_nothing_dropped(tmp_path: Path, name: str) -> None:
    zones, counted, detail = MACHINES[name]
    tree = Tree(tmp_path, zones)
    source = find(tree)
    values = source.read(0)
    assert values == {n: tree.energy[key] for n, key in {**counted, **detail}.items()}
    assert {info.name for info in source.counters if info.counted} == set(counted)
    assert total(source, values) == sum(tree.energy[key] for key in counted.values())
    source.close()


def test_describes_each_counter(tmp_path: Path) -> None:
    source = find(Tree(tmp_path, (*machine.one_socket(), Zone("psys"))))
    infos = {info.name: info for info in source.counters}
    package, core, dram, psys = (infos[n] for n in ("package-0", "core-0", "dram-0", "psys"))
    assert (package.domain, package.clock, package.part_of) == ("package", "socket-0", None)
    assert package.range_uj == machine.CLIENT_RANGE_UJ
    assert (core.domain, core.clock, core.part_of) == ("core", "socket-0", "package-0")
    assert (dram.domain, dram.clock, dram.counted) == ("dram", "socket-0", True)
    assert (psys.clock, psys.scope, psys.counted) == ("psys", "platform", False)
    assert all(info.provenance == "measured" for info in source.counters)
    assert package.device == "package 0"
    assert dram.device == "memory of package 0"
    source.close()


def test_each_die_has_its_clock(tmp_path: Path) -> None:
    source = find(Tree(tmp_path, machine.multi_die()))
    assert {info.name: info.clock for info in source.counters} == {
        "package-0-die-0": "socket-0-die-0",
        "dram-0-die-0": "socket-0-die-0",
        "package-0-die-1": "socket-0-die-1",
    }
    source.close()


@pytest.mark.parametrize(
    ("limit_uw", "bound_w"),
    [(None, PACKAGE_W), (0, PACKAGE_W), (95 * 10**6, PACKAGE_W), (500 * 10**6, 2000.0)],
)
def test_the_largest_power_is_generous(
    tmp_path: Path, limit_uw: int | None, bound_w: float
) -> None:
    source = find(Tree(tmp_path, (Zone("package-0", max_power_uw=limit_uw),)))
    assert source.counters[0].max_power_w == bound_w
    source.close()


def test_an_unset_limit_is_no_limit(tmp_path: Path) -> None:
    source = find(Tree(tmp_path, (Zone("package-0", max_power_uw=2**42),)))
    assert source.counters[0].max_power_w == PACKAGE_W
    source.close()


@pytest.mark.parametrize("content", ["", "0", "nonsense", None])
def test_a_range_that_is_not_told_is_unknown(tmp_path: Path, content: str | None) -> None:
    tree = Tree(tmp_path, (Zone("package-0"),))
    path = tree.file("package-0", "max_energy_range_uj")
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    source = find(tree)
    assert source.counters[0].range_uj is None
    source.close()


def test_zones_that_only_nest_are_found(tmp_path: Path) -> None:
    zones = machine.two_sockets()
    tree = Tree(tmp_path, zones)
    for link in (tree.sysfs / "class/powercap").glob("intel-rapl:*"):
        link.unlink()
    source = find(tree)
    assert source.read(0) == tree.energy
    source.close()


def test_a_flat_tree_without_links_is_found(tmp_path: Path) -> None:
    flat = tmp_path / "class/powercap"
    for key, name, energy in (
        ("intel-rapl:0", "package-0", 5),
        ("intel-rapl:0:0", "dram", 3),
        ("intel-rapl:10", "package-10", 2),
        ("intel-rapl:2", "package-2", 1),
        ("dtpm:0", "root", 9),
    ):
        zone = flat / key
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{name}\n")
        (zone / "energy_uj").write_text(f"{energy}\n")
    source, refused = Rapl.find(tmp_path)
    assert source is not None
    assert list(source.read(0).items()) == [
        ("package-0", 5),
        ("dram-0", 3),
        ("package-2", 1),
        ("package-10", 2),
    ]
    assert refused == []
    source.close()


# --- twins


def test_the_twin_is_refused_with_its_reason(tmp_path: Path) -> None:
    source, refused = Rapl.find(Tree(tmp_path, machine.with_mmio_twin()).sysfs)
    assert source is not None
    assert [(r.counter, r.reason) for r in refused] == [
        ("intel-rapl-mmio:0", "shows package-0 a second time; it is counted once, by intel-rapl:0")
    ]
    source.close()


def test_the_twin_serves_where_the_zone_itself_cannot_be_read(tmp_path: Path) -> None:
    tree = Tree(tmp_path, machine.with_mmio_twin())
    tree.write("package-0", "")
    source, refused = Rapl.find(tree.sysfs)
    assert source is not None
    assert source.read(0) == {
        "package-0": tree.energy["mmio-package-0"],
        "core-0": tree.energy["core-0"],
    }
    assert [r.counter for r in refused] == ["intel-rapl:0"]
    source.close()


def test_a_zone_of_mmio_alone_is_used(tmp_path: Path) -> None:
    tree = Tree(tmp_path, (Zone("package-0", control_type="intel-rapl-mmio"),))
    source, refused = Rapl.find(tree.sysfs)
    assert source is not None
    assert source.read(0) == tree.energy
    assert refused == []
    source.close()


def test_two_broken_twins_are_one_missing_counter(tmp_path: Path) -> None:
    tree = Tree(tmp_path, (*machine.with_mmio_twin(), Zone("package-1")))
    tree.write("package-0", "")
    tree.write("mmio-package-0", "")
    source = find(tree)
    assert set(source.read(0)) == {"package-1", "core-0"}
    assert set(source.problems) == {"package-0"}
    source.close()


# --- refusals


def test_without_a_tree(tmp_path: Path) -> None:
    source, refused = Rapl.find(tmp_path / "sys")
    assert source is None
    assert [r.reason for r in refused] == [
        f"no powercap tree at {tmp_path}/sys/class/powercap/ "
        "(virtual machine, container or other processor)"
    ]


def test_with_an_empty_tree(tmp_path: Path) -> None:
    (tmp_path / "class/powercap/dtpm").mkdir(parents=True)
    source, refused = Rapl.find(tmp_path)
    assert source is None
    assert "no RAPL zones" in refused[0].reason


def test_with_masked_zones(tmp_path: Path) -> None:
    tree = Tree(tmp_path, machine.one_socket())
    shutil.rmtree(tree.sysfs / "devices/virtual/powercap")
    source, refused = Rapl.find(tree.sysfs)
    assert source is None
    assert "container runtimes hide them" in refused[0].reason
    assert "sysfs_root" in refused[0].remedy


def test_without_any_package(tmp_path: Path) -> None:
    source, refused = Rapl.find(Tree(tmp_path, (Zone("psys"),)).sysfs)
    assert source is None
    assert [r.counter for r in refused] == ["psys"]


def test_a_file_in_the_place_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "class").write_text("")
    source, refused = Rapl.find(str(tmp_path))
    assert source is None
    assert len(refused) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such modes here")
class TestPermission:
    def test_all_denied(self, open_tmp: Path) -> None:
        tree = Tree(open_tmp, machine.one_socket())
        tree.deny(*tree.paths)
        with ordinary_user():
            source, refused = Rapl.find(tree.sysfs)
        assert source is None
        assert [r.counter for r in refused] == ["package-0", "core-0", "uncore-0", "dram-0"]
        for refusal in refused:
            assert "readable by root only (mode 0400) since Linux 5.10" in refusal.reason
            assert "CVE-2020-8694" in refusal.reason
            assert refusal.remedy == (
                f"sudo chmod a+r {tree.sysfs}/class/powercap/intel-rapl:*/energy_uj  "
                "# until reboot, for everybody; `jupyter green doctor`: for good, for a group"
            )

    @pytest.mark.parametrize("nested_only", [False, True])
    def test_the_remedy_works(self, open_tmp: Path, nested_only: bool) -> None:
        root = open_tmp / "it's a root"
        tree = Tree(root, machine.with_mmio_twin() + machine.two_sockets()[2:])
        tree.deny(*tree.paths)
        if nested_only:
            for link in (tree.sysfs / "class/powercap").glob("intel-rapl*:*"):
                link.unlink()
        with ordinary_user():
            source, refused = Rapl.find(tree.sysfs)
        assert source is None
        for line in {refusal.remedy for refusal in refused if refusal.remedy}:
            subprocess.run(["sh", "-ec", line.removeprefix("sudo ")], check=True)
        with ordinary_user():
            source, _ = Rapl.find(tree.sysfs)
        assert source is not None
        assert set(source.read(0)) == {"package-0", "core-0", "package-1", "dram-1"}
        source.close()

    def test_a_denied_counted_zone_is_missing_from_the_total(self, open_tmp: Path) -> None:
        tree = Tree(open_tmp, machine.two_sockets())
        tree.deny("dram-0", "package-1")
        with ordinary_user():
            source, refused = Rapl.find(tree.sysfs)
            assert source is not None
            assert refused == []
            assert [info.name for info in source.counters] == list(tree.energy)
            assert set(source.read(0)) == {"package-0", "dram-1"}
            assert set(source.problems) == {"dram-0", "package-1"}
            assert "sudo chmod" in source.problems["dram-0"].remedy
        for key in ("dram-0", "package-1"):
            tree.paths[key].chmod(0o444)
        with ordinary_user():
            assert source.read(SECOND_NS) == tree.energy
        assert not source.problems
        source.close()

    def test_a_denied_detail_is_refused(self, open_tmp: Path) -> None:
        tree = Tree(open_tmp, machine.one_socket())
        tree.deny("core-0")
        with ordinary_user():
            source, refused = Rapl.find(tree.sysfs)
        assert source is not None
        assert [r.counter for r in refused] == ["core-0"]
        assert set(source.read(0)) == {"package-0", "uncore-0", "dram-0"}
        source.close()

    def test_the_twin_serves_where_the_zone_is_denied(self, open_tmp: Path) -> None:
        tree = Tree(open_tmp, machine.with_mmio_twin())
        tree.deny("package-0", "core-0")
        with ordinary_user():
            source, refused = Rapl.find(tree.sysfs)
        assert source is not None
        assert source.read(0) == {"package-0": tree.energy["mmio-package-0"]}
        assert [r.counter for r in refused] == ["intel-rapl:0", "core-0"]
        source.close()

    def test_limits_are_readable_where_the_counters_are_not(self, open_tmp: Path) -> None:
        tree = Tree(open_tmp, machine.two_sockets())
        tree.deny(*tree.paths)
        with ordinary_user():
            assert package_limits_w(tree.sysfs) == [205.0, 205.0]


# --- trouble while reading


def test_a_zone_that_went_and_came_back(tmp_path: Path) -> None:
    tree = Tree(tmp_path, machine.two_sockets())
    source = find(tree)
    tree.remove("dram-1")
    values = source.read(10 * SECOND_NS)
    assert set(values) == set(tree.energy) - {"dram-1"}
    path = tree.sysfs / "class/powercap/intel-rapl:1:0/energy_uj"
    assert source.problems["dram-1"].reason == f"{path}: No such file or directory"
    tree.write("dram-1", 77)
    # At most one attempt a second, by the clock that the caller brings.
    assert "dram-1" not in source.read(10 * SECOND_NS + SECOND_NS - 1)
    assert source.read(11 * SECOND_NS)["dram-1"] == 77
    assert not source.problems
    source.close()


def test_a_zone_that_was_replaced_between_two_reads_is_not_missed(tmp_path: Path) -> None:
    tree = Tree(tmp_path, machine.two_sockets())
    source = find(tree)
    tree.remove("package-0")
    tree.write("package-0", 5)
    assert source.read(0)["package-0"] == 5
    source.close()


def test_all_zones_gone(tmp_path: Path) -> None:
    tree = Tree(tmp_path, machine.two_sockets())
    source = find(tree)
    for key in tree.paths:
        tree.remove(key)
    assert source.read(0) == {}
    assert set(source.problems) == set(tree.energy)
    source.close()


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"garbage\n", b"-5\n", b"1.5\n", b"0x10\n", b"12 34\n", b"\xff\xfe\0"]
)
def test_text_that_is_no_energy(tmp_path: Path, text: bytes) -> None:
    tree = Tree(tmp_path, machine.two_sockets())
    source = find(tree)
    tree.paths["package-1"].write_bytes(text)
    values = source.read(0)
    assert values == {k: uj for k, uj in tree.energy.items() if k != "package-1"}
    assert "energy_uj" in source.problems["package-1"].reason
    tree.write("package-1", 1)
    assert source.read(SECOND_NS)["package-1"] == 1
    source.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="finds descriptors in procfs")
def test_descriptors_that_the_user_took_over_stay_open(tmp_path: Path) -> None:
    tree = Tree(tmp_path, (Zone("package-0"), Zone("package-1")))
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    source = find(tree)
    taken = [int(fd) for fd in os.listdir("/proc/self/fd") if _is_energy(int(fd), tree)]
    assert len(taken) == 2
    with notes.open("rb") as file:
        for descriptor in taken:
            os.close(descriptor)
            os.dup2(file.fileno(), descriptor)
        assert source.read(0) == tree.energy
        assert [os.pread(descriptor, 4, 0) for descriptor in taken] == [b"mine"] * 2
    for descriptor in taken:
        os.close(descriptor)
    source.close()


def _is_energy(descriptor: int, tree: Tree) -> bool:
    try:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # the one through which the directory was listed
        return False
    return target in map(str, tree.paths.values())


def test_finding_is_quick(tmp_path: Path) -> None:
    tree = Tree(tmp_path, MACHINES["two sockets with all there is"][0])
    took_s = []
    for _ in range(10):
        begin = time.perf_counter()
        find(tree).close()
        took_s.append(time.perf_counter() - begin)
    assert min(took_s) < 0.005


def test_limits_of_a_twin_count_once(tmp_path: Path) -> None:
    assert package_limits_w(Tree(tmp_path, machine.with_mmio_twin()).sysfs) == [28.0]


def test_no_limits(tmp_path: Path) -> None:
    assert package_limits_w(tmp_path) == []
    assert package_limits_w(Tree(tmp_path, machine.amd_without_dram()).sysfs) == [None]


# --- against the machine that counts by itself


def test_the_truth_of_a_counting_machine(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, machine.two_sockets()) as counting:
        source, refused = Rapl.find(counting.sysfs)
        assert source is not None
        assert refused == []
        first_ns = time.perf_counter_ns()
        first = source.read(first_ns)
        time.sleep(0.3)
        second_ns = time.perf_counter_ns()
        second = source.read(second_ns)
        lag_s = max(counting.largest_lag_s(key, first_ns, second_ns) for key in first)
        source.close()
    truth_uj = sum(counting.energy_uj(key, first_ns, second_ns) for key in first)
    measured_uj = total_rise(first, second)
    watts = sum(zone.watts for zone in counting.zones)
    assert measured_uj == pytest.approx(truth_uj, abs=2e6 * watts * (lag_s + 0.001))


def total_rise(first: Mapping[str, int], second: Mapping[str, int]) -> int:
    return sum(second[name] - first[name] for name in first)


def test_trouble_of_a_counting_machine(tmp_path: Path) -> None:
    with RaplMachine(tmp_path, machine.two_sockets()) as counting:
        source, _ = Rapl.find(counting.sysfs)
        assert source is not None
        now_ns = 0
        for harm, repair in (("vanish", "restore"), ("garbage", "unstick")):
            getattr(counting, harm)("package-1")
            assert set(source.read(now_ns)) == {"package-0", "dram-0", "dram-1"}
            assert set(source.problems) == {"package-1"}
            getattr(counting, repair)("package-1")
            now_ns += SECOND_NS
            assert len(source.read(now_ns)) == 4
            assert not source.problems
        source.close()

"""What the doctor finds, on machines whose truth is known."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil  # before the process becomes nobody, who may not read what it imports
import pytest
from msgspec import structs

from jupyter_green import events
from jupyter_green.clock import SystemClock
from jupyter_green.doctor.examine import examine
from jupyter_green.doctor.findings import Check, Examination, Watched
from jupyter_green.doctor.second import compare, second_reader
from jupyter_green.doctor.watch import Watch, from_afar, from_close_by
from jupyter_green.events import CounterInfo, SessionStarted
from jupyter_green.processes import boot_id, host_name
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions import library
from jupyter_green.settings import Settings
from jupyter_green.sources.counter import Problem
from jupyter_green.sources.pyrapl import PyRapl
from jupyter_green.sources.rapl import Rapl
from tests.simulators import machine
from tests.simulators.cpu import FakeProc
from tests.simulators.machine import RaplMachine, Zone
from tests.simulators.pmu import Cpu, describe_cpus, names_for_pyrapl

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="powercap is Linux's")

NOBODY = 65534
NS = 1_000_000_000
HARDLY_S = 0.05


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that every user may enter, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="green-doctor-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so that a closed file shows only to another user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def settings_of(root: Path, **changes: object) -> Settings:
    """Of a machine with four CPUs, no sensor and no journal so far."""
    proc = FakeProc(root)
    proc.set_cpuinfo(count=4)
    proc.set_stat(user=100, cpus=4)
    proc.set_meminfo(2**24)
    settings = Settings(
        data_dir=str(root / "data"),
        sysfs_root=str(root / "sys"),
        procfs_root=str(root / "proc"),
    )
    return structs.replace(settings, **changes)


def look(root: Path, watch_s: float = HARDLY_S, close_s: float = HARDLY_S, **changes: object):
    return examine(
        settings_of(root, **changes), watch_s=watch_s, close_s=close_s, environ={}, root=str(root)
    )


def counter(found: Examination, name: str) -> Watched:
    return next(watched for watched in found.counters if watched.name == name)


def checks(found: Examination, about: str) -> list[Check]:
    return [check for check in found.checks if check.about == about]


def check(found: Examination, about: str) -> Check:
    (only,) = checks(found, about)
    return only


# --- counters -----------------------------------------------------------------------------


def test_power_and_bound_are_those_of_the_machine(root: Path) -> None:
    with RaplMachine(root, machine.one_socket()) as sim:
        t0_ns = time.perf_counter_ns()
        found = look(root, watch_s=0.6)
        gap_s = sim.largest_gap_s("package-0", t0_ns, time.perf_counter_ns())
    names = ["package-0", "core-0", "uncore-0", "dram-0"]
    assert [watched.name for watched in found.counters] == names
    for name, watts in zip(names, (35.0, 22.0, 1.5, 3.0), strict=True):
        seen = counter(found, name)
        # Each end of the watch may miss one update.
        assert seen.power_w == pytest.approx(watts, abs=watts * 2 * gap_s / 0.6 + 0.01)
        assert (seen.problem, seen.counter.source) == ("", "rapl")
    assert found.power_w == pytest.approx(
        (counter(found, "package-0").power_w or 0) + (counter(found, "dram-0").power_w or 0)
    )
    # An update of 1 ms at 38 W is 38 mJ; two of them at random are within that in 95 % of cells.
    assert found.bound_j == pytest.approx(found.power_w * 0.001, rel=0.15)
    assert found.missing == ()
    assert check(found, "counters").verdict == "ok"


def test_the_period_of_updates_is_seen(root: Path) -> None:
    with RaplMachine(root, machine.one_socket(), tick_s=0.02) as sim:
        t0_ns = time.perf_counter_ns()
        found = look(root, close_s=1.0)
        writes = sim.writes("package-0")
    times = [write.t_ns for write in writes if write.t_ns > t0_ns]
    true_s = statistics.median(b - a for a, b in pairwise(times)) / NS
    seen = counter(found, "package-0")
    assert seen.update_s == pytest.approx(true_s, rel=0.3)
    assert not seen.every_reading
    assert seen.step_uj is not None
    assert 0 < seen.step_uj <= 1.5 * 35.0 * true_s * 1e6
    # It says that it moves every millisecond.
    (slow,) = checks(found, "package-0")
    assert slow.verdict == "note"
    assert "not, as stated, every 1 ms" in slow.text
    assert checks(found, "core-0") == []


def test_a_counter_that_wraps(root: Path) -> None:
    zone = Zone("package-0", watts=50.0, start_uj=machine.CLIENT_RANGE_UJ - 2_000_000)
    with RaplMachine(root, [zone]) as sim:
        found = look(root, watch_s=0.6)
        wrapped = sim.writes("package-0")[-1].raw_uj < machine.CLIENT_RANGE_UJ / 2
    assert wrapped
    seen = counter(found, "package-0")
    assert seen.problem == ""
    assert seen.power_w == pytest.approx(50.0, rel=0.3)


def during(seconds: float, action) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_zone_that_vanishes_is_missing_and_not_zero(root: Path) -> None:
    with RaplMachine(root, machine.one_socket()) as sim:
        timer = during(0.4, lambda: sim.vanish("dram-0"))
        found = look(root, watch_s=1.2)
        timer.join()
    seen = counter(found, "dram-0")
    assert (seen.power_w, seen.bound_j) == (None, None)
    assert "energy_uj" in seen.problem
    assert found.missing == ("dram-0",)
    assert found.power_w == counter(found, "package-0").power_w
    assert [one.verdict for one in checks(found, "dram-0")] == ["problem"]
    assert checks(found, "counters") == []


def test_a_counter_that_restarts_has_no_power(root: Path) -> None:
    zone = Zone("package-0", watts=50.0, start_uj=9_000_000_000)
    with RaplMachine(root, [zone]) as sim:
        timer = during(1.0, lambda: sim.reset("package-0"))
        found = look(root, watch_s=2.0)
        timer.join()
    seen = counter(found, "package-0")
    assert seen.power_w is None
    assert seen.problem.endswith("a reset")
    assert found.power_w is None
    assert check(found, "counters").verdict == "problem"


def test_a_counter_that_stands_still_counts_nothing(root: Path) -> None:
    with RaplMachine(root, machine.one_socket()) as sim:
        for key in ("dram-0", "uncore-0"):
            sim.stick(key)
        found = look(root)
    assert counter(found, "dram-0").power_w is None
    assert "stood still" in counter(found, "dram-0").problem
    # An idle graphics part is no fault.
    assert counter(found, "uncore-0").problem == ""
    assert counter(found, "uncore-0").power_w == 0


def test_a_model_moves_at_every_reading(root: Path) -> None:
    found = look(root, cpu_idle_w=20.0, cpu_max_w=120.0)
    (seen,) = found.counters
    assert seen.every_reading
    assert seen.power_w == pytest.approx(20.0, rel=0.01)
    assert seen.bound_j == pytest.approx(0.4 * 20.0 + 0.2, rel=0.1)
    assert check(found, "counters").verdict == "note"


class Sick:
    """A GPU whose driver takes its time."""

    name = "nvml"
    in_place = False
    absolute = True
    counters = (
        CounterInfo(
            name="gpu-0", domain="gpu", source="nvml", provenance="measured", resolution_s=0.1
        ),
    )

    def __init__(self, took_s: float) -> None:
        self.took_s = took_s
        self.reads = 0
        self.problems: dict[str, Problem] = {}

    def read(self, now_ns: int) -> dict[str, int]:
        self.reads += 1
        time.sleep(self.took_s)
        return {"gpu-0": 100_000 * (now_ns // 100_000_000)}

    def close(self) -> None:
        """Nothing is open."""


def test_a_slow_source_is_read_seldom() -> None:
    sick, quick = Sick(0.1), Sick(0.001)
    from_close_by([Watch(sick), Watch(quick)], 0.9)
    # A reading of 0.1 s, then a rest of 0.4 s: two of them in 0.9 s, or fewer.
    assert sick.reads <= 2
    # One of 1 ms, then a rest of 4 ms.
    assert quick.reads <= 0.9 / 0.005 + 1


def test_any_source_is_watched() -> None:
    watch = Watch(Sick(0.001))
    from_afar([watch], 0.1)
    from_close_by([watch], 1.0)
    seen = watch.seen["gpu-0"]
    assert seen.update_s == pytest.approx(0.1, abs=0.03)
    assert seen.step_uj == 100_000


# --- what is closed -----------------------------------------------------------------------


def closed(zones: tuple[Zone, ...]) -> tuple[Zone, ...]:
    return tuple(replace(zone, readable=False) for zone in zones)


def test_closed_counters_and_a_closed_directory(root: Path) -> None:
    with RaplMachine(root, closed(machine.two_sockets())) as sim:
        if os.geteuid() != 0:
            for zone in sim.zones:
                sim.energy_file(zone.key).chmod(0)
        settings = settings_of(root)
        (root / "data").mkdir(mode=0o500)
        with as_nobody():
            found = examine(
                settings, watch_s=HARDLY_S, close_s=HARDLY_S, environ={}, root=str(root)
            )
    assert {watched.counter.provenance for watched in found.counters} == {"modelled"}
    refused = [refusal for refusal in found.refused if refusal.source == "rapl"]
    assert [refusal.counter for refusal in refused] == [
        "package-0",
        "dram-0",
        "package-1",
        "dram-1",
    ]
    assert all("0400" in refusal.reason for refusal in refused)
    assert found.recipes[0].title.startswith("Open the RAPL counters")
    journal = check(found, "journal")
    assert journal.verdict == "problem"
    assert f"{root}/data" in journal.text
    assert "Permission denied" in journal.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what is closed")
def test_root_is_told_that_others_cannot_read(root: Path) -> None:
    with RaplMachine(root, closed(machine.one_socket())):
        found = look(root)
    assert "root alone" in check(found, "rapl").text
    assert counter(found, "package-0").power_w


# --- a second opinion ---------------------------------------------------------------------


def test_pyrapl_reads_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source has odd escapes
        package = pytest.importorskip("pyRAPL")
    # Its paths are literals in functions, so the names by which it opens files are replaced.
    for name, value in names_for_pyrapl(root / "sys").items():
        monkeypatch.setattr(package.device_api, name, value, raising=False)
    describe_cpus(root, {0: Cpu(0)})
    with RaplMachine(root, machine.one_socket()) as sim:
        rapl, _ = Rapl.find(root / "sys")
        pyrapl, _ = PyRapl.find("/sys")
        assert rapl is not None
        assert pyrapl is not None
        ours, theirs = Watch(rapl), Watch(pyrapl)
        t0_ns = time.perf_counter_ns()
        from_afar([ours, theirs], 0.5)
        gap_s = sim.largest_gap_s("package-0", t0_ns, time.perf_counter_ns())
        opinion = compare(ours.seen.values(), theirs)
        rapl.close()
        pyrapl.close()
    assert [one.counter for one in opinion.compared] == ["package-0", "dram-0"]
    assert opinion.duration_s == pytest.approx(0.5, rel=0.2)
    for one in opinion.compared:
        assert one.difference == pytest.approx(0, abs=0.01 + 4 * gap_s / 0.5)
        assert one.difference == pytest.approx(one.theirs_w / one.ours_w - 1)


def test_without_pyrapl_its_pip_line_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyRAPL", None)
    with RaplMachine(root, machine.one_socket()):
        rapl, _ = Rapl.find(root / "sys")
        assert rapl is not None
        reader, opinion = second_reader([rapl], "/sys")
        rapl.close()
    assert reader is None
    assert opinion.remedy == "pip install 'jupyter-green[pyrapl]'"


@pytest.mark.parametrize(("names", "missing"), [((), "not what is read"), (("pyrapl",), "itself")])
def test_no_second_opinion(names: tuple[str, ...], missing: str) -> None:
    sources = [Sick(0) for _ in names]
    for source, name in zip(sources, names, strict=True):
        source.name = name
    reader, opinion = second_reader(sources, "/sys")
    assert reader is None
    assert missing in opinion.missing


# --- our own house ------------------------------------------------------------------------


def header(session: str) -> SessionStarted:
    """Of a kernel that is dead for long."""
    return SessionStarted(
        t=0.0,
        format=events.FORMAT,
        session=session,
        version="0",
        wall_s=1_700_000_000.0,
        host=host_name(),
        boot_id=boot_id(),
        pid=2**22 - 1,
        process_started=1.0,
    )


def keep(root: Path, session: str, *lines: bytes) -> Path:
    path = library.journal_path(root / "data", session)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(events.encode(header(session)) + b"".join(lines))
    return path


def test_journals_and_their_health(root: Path) -> None:
    goodbye = events.encode(events.SessionEnded(t=1.0))
    keep(root, "20260101T000000-aaaaaa", goodbye)
    keep(root, "20260101T000001-bbbbbb", b'{"kind": "cell_sta\n', b"\xff\xfe\n", goodbye)
    paths = [*(root / "data/sessions").iterdir(), keep(root, "20260101T000002-cccccc")]
    before = sorted((root / "data").rglob("*"))
    found = look(root)

    journal = found.journal
    assert journal.path == str(root / "data/sessions")
    assert (journal.problem, journal.sessions, journal.looked_at, journal.read) == ("", 3, 3, 3)
    assert journal.size_bytes == sum(path.stat().st_size for path in paths)
    assert journal.no_goodbye == 1
    assert journal.damaged == {"20260101T000001-bbbbbb": 2}
    assert journal.free_bytes is not None
    recorded, damaged = checks(found, "sessions")
    assert "1 of the newest 3 ended without goodbye" in recorded.text
    assert "20260101T000001-bbbbbb (2)" in damaged.text
    assert sorted((root / "data").rglob("*")) == before


def test_nothing_is_made_where_there_is_nothing(root: Path) -> None:
    found = look(root)
    assert found.journal.problem == ""
    assert found.journal.sessions == 0
    assert not (root / "data").exists()


def test_a_place_that_is_no_directory(root: Path) -> None:
    (root / "data").write_text("a file")
    found = look(root)
    assert check(found, "journal").verdict == "problem"
    assert "Not a directory" in found.journal.problem


def test_what_a_running_recorder_costs(root: Path) -> None:
    settings = settings_of(root)
    tracker = Tracker(settings, "script")
    try:
        until_s = time.monotonic() + 20
        while not list((root / "data").glob("running/*.json")):
            assert time.monotonic() < until_s, "the recorder does not start"
            time.sleep(0.02)
        found = look(root)
        (cost,) = found.recorders
        times = psutil.Process(cost.pid).cpu_times()
        assert cost.session == tracker.id
        assert cost.pid != os.getpid()
        assert 0 < cost.cpu_s_per_min <= 60 * (times.user + times.system) / cost.running_s
        assert 1 < cost.memory_bytes / 2**20 < 200
        assert "MiB" in check(found, "its cost").text
    finally:
        tracker.close()


def test_a_recorder_that_was_killed_costs_nothing(root: Path) -> None:
    running = root / "data/running"
    running.mkdir(parents=True)
    dead = {"session": "x", "host": host_name(), "boot_id": boot_id()}
    dead |= {"pid": 2**22 - 1, "started": 1.0, "kernel_pid": 2**22 - 2}
    (running / "x.json").write_bytes(msgspec.json.encode(dead))
    (running / "y.json").write_text("torn")
    found = look(root)
    assert found.recorders == ()
    assert "none runs" in check(found, "its cost").text
    assert (running / "x.json").exists()


def test_a_recorder_can_be_started(root: Path) -> None:
    assert check(look(root), "recorder").verdict == "ok"


@pytest.mark.parametrize(
    ("place", "verdict", "text"),
    [
        ("FR", "ok", "France: "),
        (None, "note", "none is set"),
        ("Atlantis", "problem", "no carbon intensity is known for the place 'Atlantis'"),
    ],
)
def test_place(root: Path, place: str | None, verdict: str, text: str) -> None:
    found = look(root, place=place)
    told = check(found, "place")
    assert told.verdict == verdict
    assert told.text.startswith(text)
    if found.intensity is not None:
        assert f"({found.intensity.year}, lifecycle; {found.intensity.source})" in told.text
    else:
        assert told.remedy == "jupyter green place FR"


def test_pue_and_problems_of_the_settings(root: Path) -> None:
    assert "1.0: nothing is added" in check(look(root), "PUE").text
    found = examine(
        settings_of(root, pue=1.54),
        problems=("a.json: pue must be at least 1.0",),
        watch_s=HARDLY_S,
        close_s=HARDLY_S,
        environ={},
        root=str(root),
    )
    assert check(found, "PUE").text.startswith("1.54")
    read, wrong = checks(found, "settings")
    assert read.verdict == "ok"
    assert (wrong.verdict, wrong.text) == ("problem", "a.json: pue must be at least 1.0")


def test_json_holds_all_of_it(root: Path) -> None:
    with RaplMachine(root, machine.with_psys()):
        found = look(root, place="DE")
    data = msgspec.json.encode(found)
    assert msgspec.json.decode(data, type=Examination) == found
    plain = msgspec.json.decode(data)
    assert plain["version"] == 1
    assert plain["counters"][0]["counter"]["name"] == "package-0"
    assert abs(plain["wall_s"] - SystemClock().wall_s()) < 600

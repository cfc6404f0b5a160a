"""GPUs that fail in the middle of a cell: the rest is measured, and what is unknown says so."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_green.sessions.model import Cell, Hole
from tests.simulators.gpu import Gpu

from .gpu import LEARNT_S, QUIET_S, Station, machines, on, station
from .kernels import Reply, kill, until, wait_gone
from .truth import assert_honest, assert_partition

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

LOW_W, HIGH_W = 65.0, 400.0
BUSY = f"gpu_power(0, {HIGH_W})\ntime.sleep(0.5)\ngpu_power(0, {LOW_W})"
TWO = (Gpu(watts=LOW_W), Gpu(watts=LOW_W, tick_phase_s=0.04))


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A directory for the machines that several tests share."""
    path = Path(tempfile.mkdtemp(prefix="green-gpu-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(room: Path) -> Iterator[Station]:
    with station(room / "shared", TWO) as it:
        it.use(0, 1)
        it.settle()
        yield it


@pytest.fixture
def faulty(shared: Station) -> Station:
    """A kernel that uses two devices, of which the first will fail."""
    assert_well(shared)
    return shared


@contextmanager
def fresh(place: Path, name: str) -> Iterator[Station]:
    with station(place / name, TWO) as it:
        it.use(0, 1)
        it.settle()
        yield it


def holes(it: Station, name: str = "gpu-0", since_s: float = 0.0) -> list[Hole]:
    session = it.kernel.so_far()
    found = session.holes if session is not None else ()
    return [hole for hole in found if hole.counter == name and (hole.until_s or 1e9) > since_s]


def begun_s(it: Station) -> float:
    """When the cell that runs began."""

    def look() -> list[float]:
        session = it.kernel.so_far()
        return [cell.started_s for cell in session.open_cells] if session is not None else []

    return until(look, what="the cell that runs in the journal")[-1]


def wait_for_hole(it: Station, since_s: float, *, closed: bool) -> Hole:
    def look() -> list[Hole]:
        found = holes(it, since_s=since_s)
        return [hole for hole in found if hole.until_s is not None] if closed else found

    return until(look, what="a marked hole")[-1]


def assert_others_right(it: Station, cell: Cell) -> None:
    """The processor and the second device."""
    it.assert_cpu_right(cell)
    assert abs(it.figure(cell, 1).error) <= 0.02
    assert it.kernel.ask("None") is None  # the kernel answers, whatever happened


def assert_lower_bound(it: Station, cell: Cell, *names: str) -> None:
    """What is stated is a part of the truth, and says that it is one."""
    assert_honest(cell.energy)
    assert cell.energy.at_least
    assert cell.energy.missing == names
    truth_uj = it.nvml.energy_uj(0, *it.ends_ns(cell))
    assert cell.energy.uj.get("gpu-0", 0) <= truth_uj * 1.02 + 1e6
    assert_others_right(it, cell)


def assert_well(it: Station) -> None:
    """A cell is whole and right."""
    time.sleep(QUIET_S)
    (cell,) = it.run_all(BUSY, pause_s=QUIET_S)
    figure = it.figure(cell, 0)
    assert not cell.energy.missing, cell.energy
    assert abs(figure.error) <= 0.02, str(figure)
    assert_others_right(it, cell)
    assert_partition(it.kernel.session())


def test_a_device_is_lost_and_found(faulty: Station) -> None:
    message = faulty.begin()
    since_s = begun_s(faulty)
    faulty.nvml.lose(0)
    hole = wait_for_hole(faulty, since_s, closed=False)
    assert "lost" in hole.reason.lower()
    assert "nvidia-smi" in hole.remedy
    lost = faulty.end(message)
    assert_lower_bound(faulty, lost, "gpu-0")
    reply = faulty.kernel.ok("%%energy\ntime.sleep(0.3)")
    without = faulty.kernel.cell(reply)
    assert_lower_bound(faulty, without, "gpu-0")
    assert "gpu-0" not in without.energy.uj
    assert "≥" in reply.shown[-1]
    assert "gpu-0 missing" in reply.shown[-1]
    faulty.nvml.find(0)
    wait_for_hole(faulty, since_s, closed=True)
    time.sleep(LEARNT_S)
    assert_well(faulty)


def test_found_again_within_the_cell(faulty: Station) -> None:
    """The counter went on counting, so the cell lacks nothing in the end."""
    message = faulty.begin()
    since_s = begun_s(faulty)
    faulty.nvml.lose(0)
    wait_for_hole(faulty, since_s, closed=False)
    faulty.nvml.find(0)
    hole = wait_for_hole(faulty, since_s, closed=True)
    time.sleep(2.0)
    cell = faulty.end(message)
    assert not hole.lost
    assert not cell.energy.missing
    assert abs(faulty.figure(cell, 0).error) <= 0.02
    assert_others_right(faulty, cell)
    assert_well(faulty)


def test_no_permission(faulty: Station) -> None:
    message = faulty.begin()
    since_s = begun_s(faulty)
    faulty.nvml.no_permission(0)
    hole = wait_for_hole(faulty, since_s, closed=False)
    assert "permission" in hole.reason.lower()
    assert hole.remedy
    assert_lower_bound(faulty, faulty.end(message), "gpu-0")
    faulty.nvml.permit(0)
    wait_for_hole(faulty, since_s, closed=True)
    time.sleep(LEARNT_S)
    assert_well(faulty)


def test_the_counter_restarts(faulty: Station) -> None:
    message = faulty.begin()
    since_s = begun_s(faulty)
    time.sleep(0.5)
    faulty.nvml.reset_counter(0)
    hole = wait_for_hole(faulty, since_s, closed=True)
    time.sleep(0.5)
    cell = faulty.end(message)
    assert hole.lost
    assert "reset" in hole.reason
    assert_lower_bound(faulty, cell, "gpu-0")
    assert cell.energy.uj["gpu-0"] > 0
    time.sleep(1)
    assert_well(faulty)


def test_the_counter_stands_still(faulty: Station) -> None:
    message = faulty.begin()
    since_s = begun_s(faulty)
    faulty.nvml.stand_still(0)
    hole = wait_for_hole(faulty, since_s, closed=False)
    assert "stood still" in hole.reason
    faulty.nvml.go_on(0)
    hole = wait_for_hole(faulty, since_s, closed=True)
    cell = faulty.end(message)
    assert hole.lost
    assert hole.until_s is not None
    assert hole.until_s - hole.since_s > 3
    assert_lower_bound(faulty, cell, "gpu-0")
    time.sleep(2)
    assert_well(faulty)


def test_the_driver_is_unloaded_and_loaded_again(faulty: Station) -> None:
    message = faulty.begin()
    since_s = begun_s(faulty)
    faulty.nvml.unload_driver()
    wait_for_hole(faulty, since_s, closed=False)
    faulty.nvml.load_driver()
    wait_for_hole(faulty, since_s, closed=True)
    until(lambda: [h for h in holes(faulty, "gpu-1", since_s) if h.until_s is not None])
    time.sleep(0.5)
    cell = faulty.end(message)
    assert_honest(cell.energy)
    assert cell.energy.missing == ("gpu-0", "gpu-1")
    faulty.assert_cpu_right(cell)
    time.sleep(LEARNT_S)
    assert_well(faulty)


# --- a driver that takes its time ---------------------------------------------------------


def test_calls_that_take_a_fifth_of_a_second(place: Path) -> None:
    """Nobody waits for them, and what is less well known says so."""
    with fresh(place, "slow") as it:
        quick = it.run_all(*[BUSY] * 2, pause_s=QUIET_S)
        it.nvml.slow(0.2)
        time.sleep(1)
        slow = it.run_all(*[BUSY] * 3, pause_s=1.0)
        bare_s, slowed_s = (
            statistics.median(cell.duration_s for cell in cells) for cells in (quick, slow)
        )
        assert slowed_s < 1.5 * bare_s
        for cell in slow:
            it.assert_cpu_right(cell)
        # The first was met unprepared, and may say that it lacks the devices.
        assert not any(cell.energy.missing for cell in slow[1:])
        told = [cell for cell in slow if not cell.energy.missing]
        figures = [it.figure(cell, index) for cell in told for index in (0, 1)]
        print(*figures, sep="\n")
        assert all(figure.in_bound for figure in figures)
        wide_uj = max(it.figure(cell, 0).bound_uj for cell in told)
        assert wide_uj > 2 * max(it.figure(cell, 0).bound_uj for cell in quick)
        notes = [text for text in it.kernel.session().problems if "gpu-0" in text]
        assert any("the driver took 0.2" in text for text in notes), notes
        assert len(notes) <= 2
        it.nvml.slow(0)
        time.sleep(LEARNT_S)
        assert_well(it)


@pytest.mark.parametrize("how", ["not loaded", "never answers"])
def test_a_driver_that_does_not_start(place: Path, how: str) -> None:
    """Everything else is measured, from the first cell on."""
    with machines(place, TWO) as (cpu, nvml):
        if how == "not loaded":
            nvml.unload_driver()
        else:
            nvml.slow(3600)
        with on(place, cpu, nvml) as it:
            replies = [it.kernel.ok("%%energy\ntime.sleep(0.5)") for _ in range(2)]
            cells = [it.kernel.cell(reply) for reply in replies]
            for cell in cells:
                assert not cell.energy.missing
                assert cell.energy.provenance == ("measured",)
                it.assert_cpu_right(cell)
            refused = [one for one in it.kernel.session().refused if one.source == "nvml"]
            reasons = {
                "not loaded": "installed but not loaded",
                "never answers": "has not answered in 10 s",
            }
            assert [reasons[how] in one.reason for one in refused] == [True]
            assert refused[0].remedy
            assert_partition(it.kernel.session())


# --- processes that die or sleep ----------------------------------------------------------


def test_recorder_killed_while_a_device_counts(faulty: Station) -> None:
    it = faulty
    recorder = it.kernel.recorder()
    message = it.begin()
    time.sleep(0.5)
    kill(recorder.pid)
    wait_gone(recorder)
    until(lambda: it.kernel.so_far() and it.kernel.session().gaps, what="a marked gap")
    time.sleep(2)
    cell = it.end(message)
    it.assert_cpu_right(cell)
    assert set(cell.energy.missing) == {"gpu-0", "gpu-1"}
    assert_honest(cell.energy)
    for index in (0, 1):
        figure = it.figure(cell, index)
        print(figure)
        assert 0.3 * figure.true_uj <= figure.told_uj <= 1.02 * figure.true_uj
    assert it.kernel.recorder().pid != recorder.pid
    time.sleep(1)
    assert_well(it)


def test_kernel_killed_in_mid_cell(place: Path) -> None:
    """The energy up to the kill is in the journal."""
    with fresh(place, "dead") as it:
        it.kernel.send(f"gpu_power(0, {HIGH_W})\nsay('running')\ntime.sleep(60)")
        until((it.kernel.home.work / "running").exists)
        time.sleep(1.5)
        killed_ns = time.perf_counter_ns()
        kill(it.kernel.pid)
        it.nvml.power(0, LOW_W)
        it.use()  # the driver takes its contexts away
        until(lambda: it.kernel.session().reason, what="the end")
        session = it.kernel.session()
        assert session.reason == "kernel died"
        (cell,) = [cell for cell in session.cells if cell.status == "kernel died"]
        assert not cell.energy.missing
        truth_uj = it.nvml.energy_uj(0, it.kernel.ns(cell.started_s), killed_ns)
        assert cell.energy.uj["gpu-0"] == pytest.approx(truth_uj, rel=0.05)
        assert "gpu-0" in cell.devices
        assert_partition(session)


def test_recorder_asleep_for_a_second(faulty: Station) -> None:
    """It has missed ticks, and knows less about the boundaries in between, and says so."""
    it = faulty
    recorder = it.kernel.recorder()
    os.kill(recorder.pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        replies: list[Reply] = [it.kernel.ok("time.sleep(0.2)") for _ in range(2)]
        replies.append(it.kernel.ok(BUSY))
        assert time.monotonic() - began_s < 5
        time.sleep(0.2)
    finally:
        os.kill(recorder.pid, signal.SIGCONT)
    cells = [it.kernel.cell(reply) for reply in replies]
    for cell in cells:
        print(it.figure(cell, 0), it.figure(cell, 1), sep="\n")
        it.assert_cpu_right(cell)
        assert_honest(cell.energy)
        whole = "gpu-0" not in cell.energy.missing
        assert not whole or it.figure(cell, 0).in_bound
    assert it.kernel.recorder().pid == recorder.pid
    time.sleep(2)
    assert_well(it)

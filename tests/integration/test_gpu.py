"""The energy of GPUs in real kernels, against what the simulated devices really drew."""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from jupyter_green.events import PowerSampled
from jupyter_green.sessions.model import Cell
from tests.simulators.gpu import (
    AMPERE,
    ENTRY_POINTS,
    GIB,
    GRACE_HOPPER,
    PASCAL_GPU,
    VOLTA_GPU,
    Gpu,
    GpuProcess,
)

from .gpu import QUIET_S, STRANGER, Station, station
from .truth import assert_partition

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

LOW_W, HIGH_W = 65.0, 400.0
SLOW = Gpu(watts=LOW_W)
FAST = replace(VOLTA_GPU, watts=LOW_W, limit_w=700.0)
TICKING = (
    SLOW,
    replace(SLOW, tick_phase_s=0.037, jitter_s=0.002),
    FAST,
    replace(FAST, tick_phase_s=0.007, jitter_s=0.001),
)
EVERY = range(len(TICKING))
HUNDRED_MS = (0, 1)
"""Those that tick every 100 ms."""


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A directory for the machines that several tests share."""
    path = Path(tempfile.mkdtemp(prefix="green-gpu-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def ticking(room: Path) -> Iterator[Station]:
    """A kernel that uses four devices, whose counters tick in different ways."""
    with station(room / "ticking", TICKING) as it:
        it.use(*EVERY)
        it.settle()
        yield it


def all_at(watts: float) -> str:
    return f"for _i in {list(EVERY)}: gpu_power(_i, {watts})"


def high_for(seconds: float) -> str:
    return f"{all_at(HIGH_W)}\ntime.sleep({seconds})\n{all_at(LOW_W)}"


@pytest.mark.parametrize(
    ("seconds", "cells", "allowed"), [(0.1, 8, 0.10), (1.0, 4, 0.01)], ids=["100 ms", "1 s"]
)
def test_power_that_is_high_in_the_cell_only(
    ticking: Station, seconds: float, cells: int, allowed: float
) -> None:
    """The plain difference of the counter, which misplaces up to a tick, would fail this."""
    chance = random.Random(round(seconds * 10))
    ran = []
    for _ in range(cells):
        pause_s = QUIET_S + chance.uniform(0, 0.1)
        ran += ticking.run_all(high_for(seconds), pause_s=pause_s)
    figures = {cell.number: [ticking.figure(cell, index) for index in EVERY] for cell in ran}
    for cell in ran:
        print(f"cell {cell.number}", *figures[cell.number], sep="\n  ")
        assert cell.energy.provenance == ("measured",)
        assert not cell.energy.missing
        assert cell.devices == tuple(f"gpu-{index}" for index in EVERY)
    every = list(chain.from_iterable(figures.values()))
    # A machine that holds a process up for milliseconds moves a boundary: its bound says so then.
    beyond = [figure for figure in every if abs(figure.error) > allowed]
    assert len(beyond) <= len(every) // 10 + 1, beyond
    assert all(figure.in_bound for figure in beyond), beyond
    naive = [abs(figure.naive_error) for figure in every if figure.index in HUNDRED_MS]
    assert max(naive) > 2 * allowed
    assert statistics.median(naive) > allowed
    # 19 of 20 lie within; more than this many outside come by chance once in a thousand runs.
    outside = [str(figure) for figure in every if not figure.in_bound]
    assert len(outside) <= len(every) // 6 + 1, outside
    totals = [cell for cell in ran if not ticking.total_in_bound(cell, *EVERY)]
    assert len(totals) <= 2, [(cell.number, cell.energy) for cell in totals]
    # A bound that says nothing would hold as well.
    widths = [figure.bound_uj / figure.true_uj for figure in every]
    assert statistics.median(widths) < 0.05


def test_cells_without_a_pause(ticking: Station) -> None:
    """Each has its bound, which is wider where no tick tells two cells apart; the sum is right."""
    chance = random.Random(3)
    powers_w = [chance.choice([LOW_W, 150, 300, HIGH_W]) for _ in range(14)]
    codes = [f"{all_at(w)}\ntime.sleep({chance.uniform(0.02, 0.4):.3f})" for w in powers_w]
    cells = ticking.run_all("time.sleep(0.3)", *codes, f"{all_at(LOW_W)}\ntime.sleep(0.3)")
    figures = [ticking.figure(cell, index) for cell in cells for index in EVERY]
    print(*figures, sep="\n")
    outside = [str(figure) for figure in figures if not figure.in_bound]
    assert len(outside) <= len(figures) // 8, outside
    totals = [cell for cell in cells if not ticking.total_in_bound(cell, *EVERY)]
    assert len(totals) <= 3, [(cell.number, cell.energy) for cell in totals]
    for index in EVERY:
        own = [figure for figure in figures if figure.index == index]
        told_uj = sum(figure.told_uj for figure in own)
        assert told_uj == pytest.approx(sum(figure.true_uj for figure in own), rel=0.01)
    assert_partition(ticking.kernel.session())


def test_the_whole_session(ticking: Station) -> None:
    """From the first tick that was seen on, nothing is lost between cells."""
    first, last = ticking.run_all("1", "time.sleep(1)", high_for(0.3), "2", pause_s=QUIET_S)[::3]
    session = ticking.kernel.session()
    t0_ns, t1_ns = ticking.kernel.ns(first.started_s), ticking.kernel.ns(last.finished_s)
    for index in EVERY:
        trace = dict(zip(session.trace.t, session.trace.uj[f"gpu-{index}"], strict=True))
        told_uj = trace[last.finished_s] - trace[first.started_s]
        truth_uj = ticking.nvml.energy_uj(index, t0_ns, t1_ns)
        assert told_uj == pytest.approx(truth_uj, rel=0.01)
    assert_partition(session)


# --- power alone --------------------------------------------------------------------------

WAVE_LOW_W, WAVE_HIGH_W = 30.0, 230.0
INSTANT_100_MS = replace(
    PASCAL_GPU, name="Quadro M4000", architecture=3, power_window_s=0.025, power_update_s=0.1
)
AVERAGED = replace(
    PASCAL_GPU, name="NVIDIA A10", architecture=AMPERE, power_window_s=1.0, power_update_s=0.1
)
"""As NVML shows power from Ampere on, on a card that keeps its counter to itself."""
PHASES = 5
POWERED = {"20 ms": PASCAL_GPU, "100 ms": INSTANT_100_MS, "1 s average": AVERAGED}
CARDS = tuple(
    replace(card, power_phase_s=n * card.power_update_s / PHASES)
    for card in POWERED.values()
    for n in range(PHASES)
)
OF_KIND = {kind: range(PHASES * n, PHASES * (n + 1)) for n, kind in enumerate(POWERED)}


@pytest.fixture(scope="module")
def waves(room: Path) -> Iterator[tuple[Station, dict[str, Cell]]]:
    """Cells of 5 s on square waves of 2 s: begun with the cell, or running all the time."""
    with station(room / "waves", CARDS) as it:
        every = range(len(CARDS))
        it.use(*every)
        it.kernel.ok("1")
        time.sleep(1.2)
        wave = f"{WAVE_LOW_W}, {WAVE_HIGH_W}, 2.0"
        (begun,) = it.run_all(
            f"for _i in range({len(CARDS)}): gpu_square(_i, {wave})\ntime.sleep(5)\n"
            f"for _i in range({len(CARDS)}): gpu_power(_i, {WAVE_LOW_W})",
            pause_s=QUIET_S,
        )
        for index in every:
            phase_s = 2.0 * (index % PHASES) / PHASES + 0.13
            it.nvml.square(index, WAVE_LOW_W, WAVE_HIGH_W, 2.0, phase_s=phase_s)
        it.kernel.ok("time.sleep(1.7)")
        (running,) = it.run_all("time.sleep(5)", pause_s=QUIET_S)
        yield it, {"begun": begun, "running": running}


@pytest.mark.parametrize("cell", ["begun", "running"])
@pytest.mark.parametrize("kind", POWERED)
def test_cards_that_show_their_power_alone(
    waves: tuple[Station, dict[str, Cell]], kind: str, cell: str
) -> None:
    """No aliasing: the errors of all phases are small, and their mean is smaller."""
    it, cells = waves
    figures = [it.figure(cells[cell], index) for index in OF_KIND[kind]]
    print(*figures, sep="\n")
    assert all(figure.in_bound for figure in figures)
    # Where this machine was too busy to look at a card in time, the figure itself says so.
    usual_uj = statistics.median(figure.bound_uj for figure in figures)
    errors = [figure.error for figure in figures if figure.bound_uj <= 1.5 * usual_uj]
    assert len(errors) > PHASES / 2
    assert max(map(abs, errors)) <= 0.05
    assert abs(statistics.fmean(errors)) <= 0.02
    assert cells[cell].energy.provenance == ("integrated", "measured")
    # Cards that do the same at the same time err alike.
    told_uj = sum(figure.told_uj for figure in figures)
    names = [f"gpu-{index}" for index in OF_KIND[kind]]
    error_uj = abs(told_uj - sum(figure.true_uj for figure in figures))
    assert error_uj <= it.bound_uj(cells[cell], names)


# --- who uses what ------------------------------------------------------------------------

EIGHT = tuple(replace(SLOW, tick_phase_s=0.011 * n) for n in range(8))


@pytest.fixture(scope="module")
def server(room: Path) -> Iterator[Station]:
    """A kernel on a machine with eight devices."""
    with station(room / "server", EIGHT) as it:
        it.settle()
        yield it


def busy(index: int, seconds: float = 0.5) -> str:
    return f"gpu_power({index}, {HIGH_W})\ntime.sleep({seconds})\ngpu_power({index}, {LOW_W})"


def assert_counts_just(it: Station, cell: Cell, *indices: int) -> None:
    """The total is that of package, DRAM and these devices, and they are named."""
    assert cell.devices == tuple(f"gpu-{index}" for index in indices)
    assert not cell.energy.missing
    # A device too many or too few would be tens of percent; how exact a figure is, others test.
    assert cell.energy.total_uj == pytest.approx(it.true_total_uj(cell, *indices), rel=0.05)
    for index in set(range(len(it.nvml.gpus))) - set(indices):
        assert cell.energy.uj[f"gpu-{index}"] == 0


def test_only_the_device_that_is_used_counts(server: Station) -> None:
    server.use()
    (idle,) = server.run_all("time.sleep(0.5)", pause_s=QUIET_S)
    assert_counts_just(server, idle)
    # What another process does elsewhere is not the notebook's.
    server.nvml.processes(2, [GpuProcess(STRANGER, GIB, 90)])
    server.nvml.power(2, 600)
    server.nvml.processes(5, [GpuProcess(server.kernel.pid, GIB, 80)])
    cell, again = server.run_all(busy(5), busy(5, 1.0), pause_s=QUIET_S)
    server.nvml.power(2, LOW_W)
    for one in (cell, again):
        assert_counts_just(server, one, 5)
        assert not one.devices_shared
        assert not one.device_shares
    assert_partition(server.kernel.session())


def test_a_device_that_is_first_used_in_the_third_cell(server: Station) -> None:
    """The context comes in the middle of a cell, as CUDA's does."""
    server.use(0)
    one, two = server.run_all(busy(0), busy(0), pause_s=QUIET_S)
    message = server.begin()
    server.nvml.processes(1, [GpuProcess(server.kernel.pid, GIB, 80)])
    time.sleep(2.5)
    third = server.end(message)
    time.sleep(QUIET_S)
    (fourth,) = server.run_all(f"{busy(0)}\n{busy(1)}", pause_s=QUIET_S)
    for cell in (one, two):
        assert_counts_just(server, cell, 0)
    assert third.devices == ("gpu-0", "gpu-1")
    # It is looked at once a second who uses it; a stretch between two looks counts whole.
    told_uj = third.energy.uj["gpu-1"]
    assert 0.9 * 2.5 * LOW_W * 1e6 <= told_uj <= server.figure(third, 1).true_uj * 1.01
    assert_counts_just(server, fourth, 0, 1)


def test_a_child_process_of_the_kernel(server: Station) -> None:
    """A worker that a cell starts works for the cell."""
    server.use()
    server.kernel.ok("import subprocess\nchild = subprocess.Popen(['sleep', '60'])")
    pid = server.kernel.ask("child.pid")
    server.nvml.processes(3, [GpuProcess(pid, GIB, 80)])
    (cell,) = server.run_all(busy(3, 1.0), pause_s=QUIET_S)
    server.nvml.processes(3, [])
    server.kernel.ok("child.kill(); child.wait()")
    time.sleep(QUIET_S)
    (after,) = server.run_all("time.sleep(0.5)", pause_s=QUIET_S)
    assert_counts_just(server, cell, 3)
    assert not cell.devices_shared
    assert_counts_just(server, after)


def test_another_user_on_the_same_device(server: Station) -> None:
    """The device counts whole, and says that it is shared, and how."""
    server.use(6)
    (alone,) = server.run_all(busy(6), pause_s=QUIET_S)
    assert not alone.devices_shared
    pids = server.kernel.pid, STRANGER
    server.nvml.processes(6, [GpuProcess(pids[0], GIB, 60), GpuProcess(pids[1], 2 * GIB, 20)])
    reply = server.kernel.ok(f"%%energy\n{busy(6, 2.0)}")
    cell = server.kernel.cell(reply)
    assert_counts_just(server, cell, 6)
    assert cell.devices_shared == ("gpu-6",)
    assert cell.device_shares["gpu-6"] == pytest.approx(0.75, abs=0.08)
    session = server.kernel.session()
    assert any("gpu-6" in text and "other processes" in text for text in session.problems)
    assert "gpu-6 shared with others" in reply.shown[-1]


def test_processes_that_the_driver_hides(room: Path) -> None:
    """In a container: what is occupied and visible counts, with a note that says so."""
    argv = namespaced()
    cards = EIGHT[:4]
    with station(room / "hidden", cards, argv=argv) as it:
        for index in range(4):
            it.nvml.hide_processes(index)
        it.nvml.utilisation(1, 40)
        it.nvml.utilisation(2, 40)
        it.settle()
        it.kernel.ok("os.environ['CUDA_VISIBLE_DEVICES'] = '2,3'")
        time.sleep(QUIET_S)
        cell, again = it.run_all(busy(2), busy(2, 1.0), pause_s=QUIET_S)
        assert_counts_just(it, cell, 2)
        assert_counts_just(it, again, 2)
        notes = [text for text in it.kernel.session().problems if "gpu-2" in text]
        assert any("does not tell which processes" in text for text in notes)


def namespaced() -> list[str]:
    """The command of a kernel that does not see the host's process numbers."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = (
        subprocess.run([*command, "true"], capture_output=True, check=False)
        if shutil.which("unshare")
        else None
    )
    if tried is None or tried.returncode != 0:
        pytest.skip("no namespace of processes can be made here")
    return [*command, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def test_all_that_are_visible(room: Path) -> None:
    """``gpus = visible``: whoever uses them; the variable may be set late, in a cell."""
    cards = EIGHT[:4]
    with station(room / "visible", cards, gpus="visible") as it:
        for index in range(4):
            it.nvml.hide_processes(index)
        it.settle()
        (every,) = it.run_all(busy(1), pause_s=QUIET_S)
        uuid = f"GPU-00000000-0000-0000-0000-{3:012x}"
        it.kernel.ok(f"os.environ['CUDA_VISIBLE_DEVICES'] = '1,{uuid}'")
        time.sleep(QUIET_S)
        some, again = it.run_all(busy(1), busy(3), pause_s=QUIET_S)
        assert_counts_just(it, every, 0, 1, 2, 3)
        assert_counts_just(it, some, 1, 3)
        assert_counts_just(it, again, 1, 3)
        assert_partition(it.kernel.session())


def test_none(room: Path) -> None:
    """Where no device is asked for, the driver is left alone."""
    with station(room / "none", EIGHT[:1], gpus="none") as it:
        it.use(0)
        (cell,) = it.run_all(busy(0), pause_s=QUIET_S)
        assert cell.energy.total_uj == pytest.approx(it.true_total_uj(cell), rel=0.01)
        refused = [one for one in it.kernel.session().refused if one.source == "nvml"]
        assert [(one.reason, one.by_choice) for one in refused] == [("gpus is none", True)]
        assert [name for name in ENTRY_POINTS if it.nvml.calls(name)] == []


# --- live data ----------------------------------------------------------------------------


def test_what_a_device_is_doing(room: Path) -> None:
    """Utilisation, memory, temperature and processes, beside a card in parts and a module."""
    divided = replace(SLOW, name="NVIDIA A100-SXM4-40GB", mig=True, mig_instances=2)
    module = replace(GRACE_HOPPER, watts=90.0, module_w=300.0)
    with station(room / "live", (SLOW, divided, module)) as it:
        kernel = it.kernel
        it.nvml.processes(0, [GpuProcess(kernel.pid, GIB, 70), GpuProcess(STRANGER, 2 * GIB, 10)])
        it.nvml.processes(1, [GpuProcess(kernel.pid, GIB, 30, mig=1)])
        it.nvml.processes(2, [GpuProcess(kernel.pid, GIB, 30)])
        it.nvml.utilisation(0, 80, 40)
        it.nvml.memory_used(0, 3 * GIB)
        it.nvml.temperature(0, 63)
        it.settle()
        (cell,) = it.run_all(f"{busy(0)}\ntime.sleep(2)", pause_s=QUIET_S)
        samples = [
            event.devices["gpu-0"]
            for event in kernel.events()
            if isinstance(event, PowerSampled)
            and cell.started_s + 1 < event.t < cell.finished_s
            and "gpu-0" in event.devices
        ]
        assert samples
        for state in samples:
            assert state.utilisation == 0.8
            assert state.memory_bytes == pytest.approx(3 * GIB, rel=0.3)
            assert state.memory_total_bytes == 80 * GIB
            assert state.temperature_c == 63
            assert state.power_w is not None
            assert state.processes is not None
            told = {(one.pid, one.whose, one.memory_bytes) for one in state.processes}
            assert told == {(kernel.pid, "mine", GIB), (STRANGER, "other", 2 * GIB)}
        # Device-wide: an instance has no energy of its own.
        counters = kernel.session().counters
        assert "whole card" in counters["gpu-1"].device
        # The module holds the GPU: shown beside it, never added.
        assert (counters["module-2"].scope, counters["module-2"].counted) == ("module", False)
        assert_module(it, cell)
        assert cell.devices == ("gpu-0", "gpu-1", "gpu-2", "module-2")
        assert cell.energy.total_uj == pytest.approx(it.true_total_uj(cell, 0, 1, 2), rel=0.01)


def assert_module(it: Station, cell: Cell) -> None:
    truth_uj = it.nvml.energy_uj(2, *it.ends_ns(cell), module=True)
    assert cell.energy.uj["module-2"] == pytest.approx(truth_uj, rel=0.01)


# --- what the user sees -------------------------------------------------------------------


def test_views_name_the_devices(ticking: Station) -> None:
    time.sleep(QUIET_S)
    reply = ticking.kernel.ok(f"%%energy\n{high_for(0.5)}")
    (shown,) = reply.shown
    assert "gpu-0" in shown
    assert "measured" in shown
    assert "gpu-0" in ticking.kernel.ok("%green").shown[0]
    cell = ticking.kernel.cell(reply)
    assert ticking.total_in_bound(cell, *EVERY)
    home = ticking.kernel.home
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_green.cli.app", "report", str(ticking.kernel.journal)],
        env=home.environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "gpu-0" in done.stdout
    assert "nvml" in done.stdout


STEP = f"""
def step(index):
    gpu_power(index, {HIGH_W})
    time.sleep(0.005)
    gpu_power(index, {LOW_W})
    time.sleep(0.005)
"""


def assert_energyit(it: Station, index: int, *used: int) -> None:
    """A run is long enough for the devices' counters, and right."""
    kernel = it.kernel
    reply = kernel.ok(f"%energyit -r 2 -o result step({index})")
    loops, energies_j, below = kernel.ask(
        "(result.loops, result.energies_j, result.below_resolution)"
    )
    trials = [span for span in kernel.session().spans if span.type == "trial"]
    assert len(trials) == 2
    for trial, energy_j in zip(trials, energies_j, strict=True):
        truth_j = it.true_total_uj(trial, *used) / 1e6
        print(f"{trial.duration_s:.2f} s: true {truth_j:.2f} J, told {energy_j * loops:.2f} J")
        assert trial.duration_s >= 1.0
        assert not trial.energy.missing
        assert energy_j * loops == pytest.approx(truth_j, rel=0.02)
    assert not below
    assert "per loop" in reply.everything


def test_energyit(ticking: Station) -> None:
    time.sleep(QUIET_S)
    ticking.kernel.ok(STEP)
    assert_energyit(ticking, 0, *EVERY)


def test_energyit_is_the_first_to_use_a_device(server: Station) -> None:
    server.use()
    server.kernel.ok(STEP)
    time.sleep(QUIET_S)
    server.use(7)
    assert_energyit(server, 7, 7)

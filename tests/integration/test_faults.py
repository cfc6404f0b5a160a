"""Counters that fail in the middle of a cell: never negative, never zero, never an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_green.sessions.model import Cell, Hole
from tests.simulators.machine import RaplMachine

from .kernels import Home, Kernel, Reply, running, until
from .truth import Check, assert_honest, assert_partition, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

PEAK_W = 38.0
ZONE = "package-0"
SLACK_UJ = PEAK_W * 20_000
"""What a few late updates may hide or add: a fault must not invent more."""


class Faulty:
    """A cell that runs while something happens to the machine."""

    def __init__(self, kernel: Kernel, machine: RaplMachine) -> None:
        self.kernel, self.machine = kernel, machine
        self._count = 0

    def begin(self) -> None:
        self._count += 1
        self._message = self.kernel.send(
            f"say('begun-{self._count}')\nwait_for('go-{self._count}')\ntime.sleep(0.2)"
        )
        work = self.kernel.home.work
        until((work / f"begun-{self._count}").exists, what="the cell's begin")

    def end(self) -> Cell:
        (self.kernel.home.work / f"go-{self._count}").touch()
        reply: Reply = self.kernel.reply(self._message)
        assert reply.status == "ok"
        assert reply.silent, reply.everything
        return self.kernel.cell(reply)

    def holes(self) -> list[Hole]:
        session = self.kernel.so_far()
        return [hole for hole in session.holes if hole.counter == ZONE] if session else []

    def wait_for_hole(self, closed: bool) -> Hole:
        """The first hole of the package, when it has shown (and ended)."""

        def look() -> list[Hole]:
            return [hole for hole in self.holes() if not closed or hole.until_s is not None]

        return until(look, what="a marked hole")[0]

    def assert_lower_bound(self, cell: Cell) -> None:
        """What is stated is a part of the truth, and says that it is one."""
        assert_honest(cell.energy)
        assert cell.energy.missing == (ZONE,)
        total = cell.energy.total_uj
        assert total is not None  # the DRAM counts on
        t0_ns, t1_ns = self.kernel.ns(cell.started_s), self.kernel.ns(cell.finished_s)
        assert total <= true_uj(self.machine, [ZONE, "dram-0"], t0_ns, t1_ns) + SLACK_UJ
        dram = true_uj(self.machine, ["dram-0"], t0_ns, t1_ns)
        assert cell.energy.uj["dram-0"] == pytest.approx(dram, abs=SLACK_UJ)
        result = self.kernel.ask("None")  # the kernel answers, whatever happened
        assert result is None

    def assert_well_again(self) -> None:
        """The next cell is whole and right."""
        cell = self.kernel.measured("time.sleep(0.3)")
        Check(self.kernel, self.machine, cell, PEAK_W).assert_right()
        assert_partition(self.kernel.session())


@pytest.fixture
def faulty(kernel: Kernel, machine: RaplMachine) -> Faulty:
    kernel.ok("time.sleep(0.2)")
    return Faulty(kernel, machine)


def test_reset(faulty: Faulty) -> None:
    faulty.begin()
    faulty.machine.reset(ZONE)
    hole = faulty.wait_for_hole(closed=True)
    faulty.assert_lower_bound(faulty.end())
    assert hole.lost
    assert "reset" in hole.reason
    faulty.assert_well_again()


def test_stuck(faulty: Faulty) -> None:
    faulty.begin()
    faulty.machine.stick(ZONE)
    hole = faulty.wait_for_hole(closed=False)
    assert "stood still" in hole.reason
    faulty.machine.unstick(ZONE)
    hole = faulty.wait_for_hole(closed=True)
    faulty.assert_lower_bound(faulty.end())
    assert hole.lost
    assert hole.until_s is not None
    assert hole.until_s - hole.since_s > 3
    faulty.assert_well_again()


def test_a_zone_vanishes_and_returns(faulty: Faulty) -> None:
    """The counter went on counting, so the cell lacks nothing in the end."""
    faulty.begin()
    faulty.machine.vanish(ZONE)
    faulty.wait_for_hole(closed=False)
    faulty.machine.restore(ZONE)
    hole = faulty.wait_for_hole(closed=True)
    cell = faulty.end()
    assert_honest(cell.energy)
    assert not hole.lost
    Check(faulty.kernel, faulty.machine, cell, PEAK_W).assert_right()
    faulty.assert_well_again()


def test_a_zone_vanishes_for_good(faulty: Faulty) -> None:
    faulty.begin()
    faulty.machine.vanish(ZONE)
    hole = faulty.wait_for_hole(closed=False)
    assert hole.reason
    faulty.assert_lower_bound(faulty.end())

    reply = faulty.kernel.ok("%%energy -o kept\ntime.sleep(0.1)")
    cell = faulty.kernel.cell(reply)
    assert cell.energy.missing == (ZONE,)
    assert ZONE not in cell.energy.uj
    assert "≥" in reply.shown[0]
    assert "package-0 missing" in reply.shown[0]
    assert faulty.kernel.ask("(kept.at_least, kept.missing)") == (True, (ZONE,))
    assert_partition(faulty.kernel.session())


def test_garbage(faulty: Faulty) -> None:
    faulty.begin()
    faulty.machine.garbage(ZONE)
    hole = faulty.wait_for_hole(closed=False)
    assert "no energy" in hole.reason
    faulty.machine.unstick(ZONE)
    faulty.wait_for_hole(closed=True)
    cell = faulty.end()
    assert_honest(cell.energy)
    Check(faulty.kernel, faulty.machine, cell, PEAK_W).assert_right()
    faulty.assert_well_again()


def test_everything_fails_between_two_cells(faulty: Faulty) -> None:
    """Nothing can be read at a cell's boundaries: nothing is known, and that is no zero."""
    for zone in faulty.machine.zones:
        faulty.machine.vanish(zone.key)
    faulty.wait_for_hole(closed=False)
    reply = faulty.kernel.ok("%%energy\ntime.sleep(0.05)")
    cell = faulty.kernel.cell(reply)
    assert cell.energy.total_uj is None
    assert cell.energy.missing == ("dram-0", "package-0")
    assert not cell.energy.uj
    assert "0 J" not in reply.shown[0]
    assert_partition(faulty.kernel.session())


# --- no permission ------------------------------------------------------------------------


def test_permission_denied(place: Path, machine: RaplMachine, unprivileged: list[str]) -> None:
    """The usual case since Linux 5.10: the model takes over, and every view can say why."""
    for zone in machine.zones:
        machine.energy_file(zone.key).chmod(0)
    home = Home(place / "home", sysfs_root=str(machine.sysfs), cpu_idle_w=5, cpu_max_w=20)
    try:
        with running(home, argv=unprivileged) as kernel:
            reply = kernel.ok("%%energy\nnumber = 3 ** 1_000_000\ntime.sleep(0.3)")
            cell = kernel.cell(reply)
            session = kernel.session()
            assert cell.energy.provenance == ("modelled",)
            assert cell.energy.total_uj
            assert "modelled" in reply.shown[0]
            refused = {one.counter: one for one in session.refused if one.source == "rapl"}
            assert {"package-0", "dram-0"} <= set(refused)
            assert "readable by root only" in refused["package-0"].reason
            assert "chmod" in refused["package-0"].remedy
            shown = kernel.ok("%green").shown[0]
            assert "modelled" in shown
            assert "root only" in shown
    finally:
        home.close()

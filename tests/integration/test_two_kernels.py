"""Two kernels on one machine read the same counters, and must not bill one joule twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_green.recorder.process import LOOK_AROUND_S
from jupyter_green.sessions import library
from tests.simulators.machine import RaplMachine

from .kernels import Home, running, until
from .truth import PACKAGE_AND_DRAM, Check, assert_partition, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

PEAK_W = 93.0
WALL_CLOCK_S = 0.005
"""Stretches are cut by wall time, which is read a moment after the first stamp."""


def test_overlap(home: Home, machine: RaplMachine) -> None:
    fifo = machine.command_path
    with running(home, fifo=fifo) as earlier:
        earlier.measured("draw('package-0', 90)\ntime.sleep(0.3)")
        with running(home, fifo=fifo) as later:
            both = earlier.send("time.sleep(1)"), later.send("time.sleep(1)")
            cells = [k.cell(k.reply(m)) for k, m in zip((earlier, later), both, strict=True)]
            for kernel, cell in zip((earlier, later), cells, strict=True):
                Check(kernel, machine, cell, PEAK_W).assert_right()

            seen = until(lambda: later.session().overlaps, LOOK_AROUND_S, "the earlier session")
            assert [overlap.session for overlap in seen] == [earlier.journal.stem]
            assert [overlap.pid for overlap in seen] == [earlier.pid]
            seen = until(lambda: earlier.session().overlaps, 3 * LOOK_AROUND_S, "the later one")
            assert [overlap.session for overlap in seen] == [later.journal.stem]

            earlier.shutdown()
            later.measured("draw('package-0', 35)\ntime.sleep(0.3)")
            later.shutdown()
            until(lambda: all(session.state == "closed" for session in home.sessions()))

            sessions = home.sessions()
            assert len(sessions) == 2
            for session in sessions:
                assert_partition(session)
            begin_ns = earlier.ns(sessions[0].trace.t[0])
            end_ns = later.ns(sessions[1].trace.t[-1])
            truth = true_uj(machine, PACKAGE_AND_DRAM, begin_ns, end_ns)
            off_uj = 2 * WALL_CLOCK_S * PEAK_W * 1e6
            assert library.union_uj(sessions) == pytest.approx(truth, abs=off_uj)
            assert library.union_uj(reversed(sessions)) == pytest.approx(truth, abs=off_uj)
            totals = [session.total.total_uj or 0 for session in sessions]
            assert sum(totals) > truth + 1e6 * PEAK_W


def test_a_session_within_another(home: Home, machine: RaplMachine) -> None:
    with running(home, fifo=machine.command_path) as outer:
        with running(home, fifo=machine.command_path) as inner:
            inner.measured("time.sleep(0.2)")
            inner.shutdown()
        outer.measured("time.sleep(0.1)")
        outer.shutdown()
    until(lambda: all(session.state == "closed" for session in home.sessions()))
    first, second = home.sessions()
    assert first.duration_s > second.duration_s
    assert library.union_uj([first, second]) == pytest.approx(first.total.total_uj, rel=0.001)


def test_sessions_with_homes_of_their_own(place: Path, machine: RaplMachine) -> None:
    """Two users: nobody sees the other, and nobody is disturbed."""
    homes = [Home(place / name, sysfs_root=str(machine.sysfs)) for name in ("one", "other")]
    try:
        fifo = machine.command_path
        with running(homes[0], fifo=fifo) as one, running(homes[1], fifo=fifo) as other:
            for kernel in (one, other):
                Check(kernel, machine, kernel.measured("time.sleep(0.2)"), PEAK_W).assert_right()
                assert not kernel.session().overlaps
    finally:
        for home in homes:
            home.close()

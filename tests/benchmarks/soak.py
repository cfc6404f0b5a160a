"""The long runs: leaks, drift, a killed recorder.

    python3 .ci/do.py soak              about a quarter of an hour
    pytest --timeout=0 tests/benchmarks/soak.py

``SOAK_MINUTES`` (5) is how long the recorder is watched, ``SOAK_KILLS`` (200) is how often one is
killed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.integration.kernels import Home, Kernel, until
from tests.integration.soak_kills import soak
from tests.integration.truth import PACKAGE_AND_DRAM, Check, assert_partition, true_uj
from tests.simulators.machine import RaplMachine, one_socket

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(0)]

MINUTES = float(os.environ.get("SOAK_MINUTES", "5"))
KILLS = int(os.environ.get("SOAK_KILLS", "200"))

WATTS = 38.0
"""Package and DRAM of the simulated machine together, unless told otherwise."""
PEAK_W = 63.0
CELL_S = 10.0
MIB = 2**20
RECORDER_GROWTH_MIB = 1.0
"""Queues fill and empty; a leak of one sample's size would be more in a quarter of an hour."""
KERNEL_GROWTH_MIB = 8.0
"""IPython keeps the history of its cells, and messages in its queues."""

WORK = """
from jupyter_green import log
ends = time.monotonic() + {seconds}
while time.monotonic() < ends:
    log(loss=0.25, step=time.monotonic())
    time.sleep(0.1)
"""


@contextmanager
def kernel_on_machine(root: Path, **settings: object) -> Iterator[tuple[Kernel, RaplMachine]]:
    """A kernel with the extension loaded, on a machine of its own."""
    with RaplMachine(root / "machine", one_socket()) as machine:
        home = Home(root / "home", sysfs_root=str(machine.sysfs), **settings)
        kernel = Kernel(home, fifo=machine.command_path)
        try:
            yield kernel, machine
        finally:
            kernel.close()
            home.close()


def test_a_recorder_that_is_killed_again_and_again() -> None:
    tally = soak(KILLS)

    print(tally)
    assert tally.kills >= KILLS
    assert not tally.wrong


@pytest.mark.parametrize("period_s", [0.05, 0.7, 2.0])
def test_a_cell_of_20_s_under_changing_power(tmp_path: Path, period_s: float) -> None:
    with kernel_on_machine(tmp_path) as (kernel, machine):
        low_w, high_w = 5.0, PEAK_W - 3.0
        machine.square("package-0", low_w, high_w, period_s)
        cell = kernel.measured("time.sleep(20)")

        Check(kernel, machine, cell, PEAK_W).assert_right()


@dataclass
class Watched:
    """What a process holds, from time to time."""

    process: psutil.Process
    unshared_mib: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def look(self) -> None:
        self.unshared_mib.append(self.process.memory_full_info().uss / MIB)
        self.descriptors.append(self.process.num_fds())
        self.threads.append(self.process.num_threads())

    def growth_mib(self) -> float:
        """From the first third, when everything has happened once, to the last."""
        third = max(1, len(self.unshared_mib) // 3)
        return max(self.unshared_mib[-third:]) - max(self.unshared_mib[:third])

    def __str__(self) -> str:
        looks = self.unshared_mib
        return (
            f"{len(looks)} looks: {looks[0]:.2f} MiB at first, {max(looks):.2f} at most, "
            f"{looks[-1]:.2f} at last, growth {self.growth_mib():.2f}; "
            f"{max(self.descriptors)} descriptors, {max(self.threads)} threads"
        )


def test_hours_of_samples_leave_nothing_behind(tmp_path: Path) -> None:
    # Five times as many samples as usual: five minutes stand for nearly half an hour.
    with kernel_on_machine(tmp_path, busy_interval_s=0.02) as (kernel, machine):
        kernel.ok(WORK.format(seconds=CELL_S))
        recorder = Watched(psutil.Process(kernel.recorder().pid))
        user = Watched(psutil.Process(kernel.pid))
        ends = time.monotonic() + 60 * MINUTES
        while time.monotonic() < ends:
            kernel.ok(WORK.format(seconds=CELL_S))
            recorder.look()
            user.look()
        print(f"recorder {recorder}\nkernel {user}")
        kernel.shutdown()
        until(lambda: kernel.session().state == "closed", what="a closed session")
        session = kernel.session()

        assert kernel.home.recorders() == []
        assert session.bad_lines == session.samples_dropped == 0
        assert not (*session.holes, *session.gaps, *session.problems)
        assert_partition(session)
        drawn_uj = true_uj(
            machine, PACKAGE_AND_DRAM, kernel.start_ns, kernel.ns(session.duration_s)
        )
        # A second's worth: the first reading is taken a moment after the session's start.
        assert abs((session.total.total_uj or 0) - drawn_uj) <= WATTS * 1e6
    assert len(set(recorder.descriptors)) == 1, recorder.descriptors
    assert len(set(recorder.threads)) == 1, recorder.threads
    assert recorder.growth_mib() <= RECORDER_GROWTH_MIB, recorder.unshared_mib
    assert user.growth_mib() <= KERNEL_GROWTH_MIB, user.unshared_mib

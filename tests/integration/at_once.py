"""Scripts that are measured, two of them at once, and what the machine drew meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from jupyter_green.sessions.model import Session
from tests.simulators.machine import RaplMachine

from .kernels import PATIENCE_S, TIMEOUT_S, Home, until
from .truth import PACKAGE_AND_DRAM, true_uj

IDLE_W = 38.0
"""Package and DRAM of the machine's usual draw."""
LEEWAY_J = 2 * 0.005 * IDLE_W + 0.1
"""Wall clocks of two processes agree to some milliseconds."""

BUSY = """
import os, sys, time
from jupyter_green import log, measure
with measure("work", stage="train"):
    log(accuracy=0.9)
    time.sleep(float(sys.argv[1]))
    while sys.argv[2:] and not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    log(accuracy=0.8)
"""


def work(home: Home, seconds: float, *until_there: str) -> subprocess.Popen[str]:
    """Sleeps that long, and on until a file is there."""
    return home.script(BUSY, str(seconds), *until_there)


def finish(*scripts: subprocess.Popen[str]) -> None:
    for script in scripts:
        assert script.communicate(timeout=TIMEOUT_S) == ("", "")
        assert script.returncode == 0


def recorded(home: Home) -> list[Session]:
    until(lambda: not home.recorders(), PATIENCE_S, "the recorders' end")
    return home.sessions()


def two_at_once(home: Home) -> list[Session]:
    """One session within another."""
    # The second may take long to start: the first goes on until it has ended.
    over = home.work / "over"
    first = work(home, 0.0, str(over))
    until(home.journals, what="the first journal")
    finish(work(home, 0.5))
    over.touch()
    finish(first)
    return recorded(home)


def drawn_j(machine: RaplMachine, sessions: Sequence[Session]) -> float:
    """From the first stamp of any to the last: a busy machine takes a while to the first."""
    offset_ns = time.perf_counter_ns() - time.time_ns()
    begin_s = min(one.wall_at(one.trace.t[0]) for one in sessions)
    end_s = max(one.wall_at(one.trace.t[-1]) for one in sessions)
    ends_ns = [round(wall_s * 1e9) + offset_ns for wall_s in (begin_s, end_s)]
    return true_uj(machine, PACKAGE_AND_DRAM, *ends_ns) / 1e6

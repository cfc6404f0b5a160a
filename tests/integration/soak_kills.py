"""Kill the recorder at random moments, again and again, and look for what was lost.

    python -m tests.integration.soak_kills 200

Each round runs a few cells and kills the recorder of its kernel at a random moment around one of
them. Every cell must be in the journal exactly once, with its energy right or its gap marked.
"""

from __future__ import annotations

import math
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_green.recorder.client import RESTARTS
from jupyter_green.sessions.model import Session
from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel, kill, running, until
from .truth import Check, assert_partition

PEAK_W = 38.0
CELLS = 4
LONGEST_DELAY_S = 0.05


@dataclass
class Tally:
    """What came of all rounds."""

    kills: int = 0
    cells: int = 0
    wrong: list[str] = field(default_factory=list)
    incomplete: int = 0
    """Cells that say that a counter is missing: honest, but less than could be had."""
    slowest_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.cells} cells, {len(self.wrong)} wrong, "
            f"{self.incomplete} incomplete, slowest empty cell {self.slowest_s:.3f} s"
        )


def kill_once(kernel: Kernel, chance: random.Random, tally: Tally) -> int:
    """A few cells, and a kill around one of them; its time in monotonic nanoseconds."""
    victim = kernel.recorder()
    delay_s = chance.uniform(0, LONGEST_DELAY_S)
    murder = threading.Timer(delay_s, kill, [victim.pid])
    began_ns = time.perf_counter_ns()
    replies = []
    murder.start()
    for number in range(CELLS):
        began = time.perf_counter()
        pause_s = chance.choice([0.0, 0.0, 0.01, 0.03])
        body = f"time.sleep({pause_s})" if pause_s else f"{number}"
        reply = kernel.ok(body)
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - began - pause_s)
        replies.append(reply)
    murder.join()
    tally.kills += 1
    tally.cells += CELLS
    for reply in replies:
        cell = kernel.cell(reply)  # at most once: asserted there
        assert cell.status == "ok"
        tally.incomplete += bool(cell.energy.missing)
    kernel.recorder(other_than=victim.pid)
    return began_ns + round(delay_s * 1e9)


def kill_until_it_gives_up(root: Path, seed: int, tally: Tally) -> None:
    """One kernel, killed as often as it starts its recorder again."""
    chance = random.Random(seed)
    # A machine's log of the truth grows by the second, so each kernel has one of its own.
    with RaplMachine(root / "machine", one_socket()) as machine:
        home = Home(root / "home", sysfs_root=str(machine.sysfs))
        try:
            with running(home, fifo=machine.command_path) as kernel:
                for _ in range(RESTARTS):
                    killed_ns = kill_once(kernel, chance, tally)
                what = "the gap of the last kill"
                session = until(lambda: with_gap_after(kernel, killed_ns), what=what)
                assert_all_there(session)
                tally.wrong += [f"seed {seed}, {w}" for w in wrong_cells(kernel, machine, session)]
                kernel.shutdown()
                until(lambda: kernel.session().state == "closed", what="a closed session")
        finally:
            home.close()


def with_gap_after(kernel: Kernel, killed_ns: int) -> Session | None:
    """The session, when it knows of the gap that a kill has left.

    Not every kill leaves one of its own: a recorder may die before it has said that it took over.
    """
    session = kernel.session()
    known = session.gaps and kernel.ns(session.gaps[-1].until_s) >= killed_ns
    return session if known else None


def assert_all_there(session: Session) -> None:
    numbers = [cell.number for cell in session.cells]
    assert numbers == list(range(1, len(numbers) + 1))
    assert session.bad_lines <= len(session.gaps)
    assert_partition(session)


def wrong_cells(kernel: Kernel, machine: RaplMachine, session: Session) -> list[str]:
    """Cells that are off by more than their counters' updates, and do not say so.

    While a recorder is started, the kernel may lose the CPU in the middle of a reading; its bound
    is wider then.
    """
    whole = [cell for cell in session.cells if not cell.energy.missing]
    checks = [(cell.number, Check(kernel, machine, cell, PEAK_W)) for cell in whole]
    wrong = [(n, check) for n, check in checks if not (check.to_one_update or check.in_bound)]
    return [f"cell {n}: {check}" for n, check in wrong]


def soak(kills: int, first_seed: int = 0) -> Tally:
    tally = Tally()
    for seed in range(first_seed, first_seed + math.ceil(kills / RESTARTS)):
        root = Path(tempfile.mkdtemp(prefix="green-soak-"))
        try:
            kill_until_it_gives_up(root, seed, tally)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return tally


def main(arguments: list[str]) -> int:
    tally = soak(int(arguments[0]) if arguments else 200)
    print(tally)
    for line in tally.wrong:
        print(line)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

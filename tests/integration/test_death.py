"""Whatever dies, and whenever: no finished cell is lost, and every gap is marked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from jupyter_green.recorder.client import RESTARTS
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Cell, Session
from tests.simulators.machine import RaplMachine

from .kernels import Kernel, kill, until, wait_gone
from .soak_kills import soak
from .truth import PACKAGE_AND_DRAM, Check, assert_partition, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

PEAK_W = 38.0
PROMPTLY_S = 2.0

WORKERS = """
import multiprocessing
fork = multiprocessing.get_context("fork")
workers = [fork.Process(target=time.sleep, args=(60,)) for _ in range(2)]
for worker in workers:
    worker.start()
with open("workers", "w") as file:
    file.write(" ".join(str(worker.pid) for worker in workers))
say("working")
time.sleep(60)
"""


@pytest.fixture
def forked(kernel: Kernel) -> Iterator[list[int]]:
    """Runs a cell whose forked workers hold the kernel's pipes; the cell does not end."""
    kernel.send(WORKERS)
    until((kernel.home.work / "working").exists, what="the workers")
    pids = [int(word) for word in (kernel.home.work / "workers").read_text().split()]
    yield pids
    for pid in pids:
        kill(pid)


def ended(kernel: Kernel, *reasons: str) -> Session:
    """The session, when it says that it has ended."""
    expected = reasons or ("goodbye", "kernel died")

    def look() -> Session | None:
        session = kernel.so_far()
        return session if session is not None and session.reason in expected else None

    return until(look, PROMPTLY_S, "the session's end")


def died(session: Session) -> Cell:
    """The cell that the death interrupted."""
    (cell,) = [cell for cell in session.cells if cell.status == "kernel died"]
    return cell


# --- the kernel ---


def test_kernel_killed_with_workers_on_its_pipe(
    kernel: Kernel, machine: RaplMachine, forked: list[int]
) -> None:
    recorder = kernel.recorder()
    time.sleep(0.5)
    killed_ns = time.perf_counter_ns()
    kill(kernel.pid)
    session = ended(kernel)
    wait_gone(recorder, PROMPTLY_S)
    assert not list((kernel.home.data / "running").iterdir())
    assert all(os.path.exists(f"/proc/{pid}") for pid in forked)

    cell = died(session)
    assert session.state == "ended without goodbye"
    assert session.reason == "kernel died"
    assert abs(kernel.ns(cell.finished_s) - killed_ns) < 0.2e9
    truth = true_uj(machine, PACKAGE_AND_DRAM, kernel.ns(cell.started_s), killed_ns)
    assert cell.energy.total_uj == pytest.approx(truth, abs=0.2 * PEAK_W * 1e6)
    assert not cell.energy.missing
    assert_partition(session)


def test_process_group_killed(kernel: Kernel, machine: RaplMachine) -> None:
    """What Jupyter does to a kernel that does not answer: the recorder must survive it."""
    recorder = kernel.recorder()
    kernel.send("say('running')\ntime.sleep(60)")
    until((kernel.home.work / "running").exists)
    killed_ns = time.perf_counter_ns()
    os.killpg(os.getpgid(kernel.pid), signal.SIGKILL)
    session = ended(kernel)
    wait_gone(recorder, PROMPTLY_S)
    assert abs(kernel.ns(died(session).finished_s) - killed_ns) < 0.2e9


def test_shutdown(kernel: Kernel) -> None:
    recorder = kernel.recorder()
    kernel.ok("1 + 1")
    kernel.shutdown()
    session = ended(kernel)
    wait_gone(recorder, PROMPTLY_S)
    assert (session.state, session.reason) == ("closed", "goodbye")
    assert [cell.status for cell in session.cells] == ["ok"]
    assert not list((kernel.home.data / "running").iterdir())
    assert not session.problems
    assert session.bad_lines == 0


def test_restart(kernel: Kernel) -> None:
    """A restarted kernel begins a session of its own."""
    kernel.ok("1 + 1")
    first = kernel.journal
    recorder = kernel.recorder()
    kernel.restart()
    wait_gone(recorder)
    assert kernel.journal != first
    kernel.measured("2 + 2")
    before, after = kernel.home.sessions()
    assert (before.state, after.state) == ("closed", "open")
    # The last cell of the first session is the one before the restart.
    assert [cell.first_line for cell in before.cells] == ["1 + 1"]
    assert [cell.first_line for cell in after.cells] == ["2 + 2"]


# --- the recorder ---


def test_recorder_killed_in_mid_cell(kernel: Kernel, machine: RaplMachine) -> None:
    recorder = kernel.recorder()
    message = kernel.send("say('running')\ntime.sleep(1.5)")
    until((kernel.home.work / "running").exists)
    kill(recorder.pid)
    cell = kernel.cell(kernel.reply(message))
    Check(kernel, machine, cell, PEAK_W).assert_right()
    session = kernel.session()
    (gap,) = session.gaps
    assert "signal 9" in gap.reason
    assert gap.until_s - gap.since_s < PROMPTLY_S
    assert kernel.recorder().pid != recorder.pid
    assert_partition(session)


def test_recorder_killed_before_its_first_line(kernel: Kernel, machine: RaplMachine) -> None:
    """It may not even have written what the journal begins with."""
    kernel.ok("%unload_ext jupyter_green")
    children = "[int(p) for p in open(f'/proc/self/task/{os.getpid()}/children').read().split()]"
    kernel.ok(
        "import signal\n"
        "from jupyter_green import load_ipython_extension\n"
        "load_ipython_extension(get_ipython())\n"
        f"for child in {children}: os.kill(child, signal.SIGKILL)"
    )
    kernel.look_up()
    cell = kernel.measured("time.sleep(0.3)")
    Check(kernel, machine, cell, PEAK_W).assert_right()
    session = kernel.session()
    assert [gap.since_s for gap in session.gaps] == [0]
    assert library.listed(kernel.home.data)[0].id == session.id  # its first line is the header
    assert_partition(session)


def test_recorder_killed_between_cells(kernel: Kernel, machine: RaplMachine) -> None:
    kernel.measured("time.sleep(0.1)")
    recorder = kernel.recorder()
    kill(recorder.pid)
    wait_gone(recorder)
    reply = kernel.ok("%%energy\ntime.sleep(0.3)")
    assert "time.sleep(0.3)" in reply.shown[0]
    assert "J" in reply.shown[0]
    Check(kernel, machine, kernel.cell(reply), PEAK_W).assert_right()
    assert len(kernel.session().gaps) == 1
    assert_partition(kernel.session())


def test_recorder_killed_at_random_moments() -> None:
    tally = soak(kills=10)
    assert not tally.wrong, tally.wrong
    assert tally.slowest_s < 2


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_recorder_killed_200_times() -> None:
    tally = soak(kills=200, first_seed=100)
    assert not tally.wrong, tally.wrong


def give_up(kernel: Kernel) -> None:
    """Kill the recorder until no other is started."""
    pid = 0
    for _ in range(RESTARTS + 1):
        pid = kernel.recorder(other_than=pid).pid
        kill(pid)
    tracker = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"
    until(lambda: kernel.ask(f"{tracker}._client._inline is not None"), what="the fallback")


def test_recorder_that_dies_again_and_again(kernel: Kernel, machine: RaplMachine) -> None:
    """The kernel does the work itself: boundaries are read, samples are not."""
    kernel.ok("time.sleep(0.05)")
    give_up(kernel)
    assert not kernel.home.recorders()

    reply = kernel.ok("%%energy\ntime.sleep(0.5)")
    assert "J" in reply.shown[0]
    assert "boundaries only" in kernel.ok("%green").shown[0]
    kernel.ok("from jupyter_green import log, measure, session\nlog(accuracy=0.5)")
    cell = kernel.cell(reply)
    Check(kernel, machine, cell, PEAK_W).assert_right()
    kernel.shutdown()
    session = ended(kernel)
    assert session.state == "closed"
    # A recorder that died at once had no time to say that it had taken over.
    assert f"died {RESTARTS + 1} times" in session.gaps[-1].reason
    assert len(session.metrics) == 1
    assert session.bad_lines == 0
    assert_partition(session)


def test_both_killed(kernel: Kernel, machine: RaplMachine) -> None:
    """As by the memory limit of a container. A later reader closes the orphan."""
    kernel.measured("time.sleep(0.1)")
    kernel.send("say('running')\ntime.sleep(60)")
    until((kernel.home.work / "running").exists)

    def sampled() -> bool:
        return any(event.t > cell_began() for event in kernel.events())

    def cell_began() -> float:
        session = kernel.session()
        return session.open_cells[0].started_s + 0.5 if session.open_cells else float("inf")

    until(sampled, what="a sample within the cell")
    assert kernel.session().state == "open"
    recorder = kernel.recorder()
    os.kill(recorder.pid, signal.SIGSTOP)  # it must not see the kernel die
    kill(kernel.pid)
    kill(recorder.pid)
    wait_gone(recorder)
    session = ended(kernel, "kernel and recorder died")
    assert session.state == "ended without goodbye"
    assert not session.open_cells
    cell = died(session)
    assert cell.duration_s >= 0.5
    truth = true_uj(
        machine, PACKAGE_AND_DRAM, kernel.ns(cell.started_s), kernel.ns(cell.finished_s)
    )
    assert cell.energy.total_uj == pytest.approx(truth, abs=PEAK_W * 20_000)
    assert_partition(session)


def test_recorder_asleep(kernel: Kernel, machine: RaplMachine) -> None:
    """A recorder that gets no CPU slows no cell down, and nothing is lost."""
    kernel.ok("from jupyter_green import log")
    recorder = kernel.recorder()
    kernel.measured("1")
    os.kill(recorder.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        replies = []
        # More marks than a pipe holds, so that some must wait in the kernel.
        replies.append(kernel.ok("for i in range(500): log(loss=1 / (i + 1), step=i)"))
        slowest_s = 0.0
        while time.monotonic() - began < 2:
            before = time.perf_counter()
            replies.append(kernel.ok("x = 1"))
            slowest_s = max(slowest_s, time.perf_counter() - before)
            time.sleep(0.05)
    finally:
        os.kill(recorder.pid, signal.SIGCONT)
    assert slowest_s < 0.5
    for reply in replies:
        cell = kernel.cell(reply)
        assert cell.status == "ok"
    session = kernel.session()
    assert [metric.step for metric in session.metrics] == list(range(500))
    assert not session.gaps
    assert kernel.recorder().pid == recorder.pid
    Check(kernel, machine, kernel.measured("time.sleep(0.2)"), PEAK_W).assert_right()
    assert_partition(session)

"""Plain Python scripts, without IPython and without Jupyter."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jupyter_green.sessions.model import Session
from tests.simulators.machine import RaplMachine

from .kernels import PATIENCE_S, TIMEOUT_S, Home, until
from .truth import assert_honest, assert_partition

BEGIN = "import os, sys, time\nfrom jupyter_green import log, measure, session\n"


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def ended(home: Home) -> Session:
    """The only session, when its recorder has gone."""
    # On a busy machine the script may be over before its recorder has begun.
    begun = lambda: any(path.stat().st_size for path in home.journals())  # noqa: E731
    until(lambda: begun() and not home.recorders(), PATIENCE_S, "the recorder's end")
    (session,) = home.sessions()
    assert_partition(session)
    return session


def test_measure_log_and_session(home: Home) -> None:
    code = """
with measure("train", stage="training") as train:
    time.sleep(0.3)
    log(accuracy=0.9)
@measure("predict")
def predict():
    time.sleep(0.1)
predict()
so_far = session()
print(train)
print(round(train.energy_j, 3), train.metrics)
print([span.name for span in so_far.spans], so_far.state)
"""
    returned, out, err = outcome(home.script(BEGIN + code))
    assert (returned, err) == (0, "")
    line, figures, spans = out.splitlines()
    assert line.startswith("train · ")
    assert figures.endswith("{'accuracy': 0.9}")
    assert float(figures.split()[0]) == pytest.approx(0.3 * 38, rel=0.2)
    assert spans == "['train', 'predict'] open"

    session = ended(home)
    assert (session.state, session.reason) == ("closed", "goodbye")
    assert session.front_end == "script"
    assert session.notebook == "script0.py"
    assert [(span.name, span.status) for span in session.spans] == [
        ("train", "ok"),
        ("predict", "ok"),
    ]


def test_session_after_its_end(home: Home) -> None:
    """What has been measured can still be looked at."""
    code = """
from jupyter_green.recorder import tracker
with measure("a"): pass
tracker.stop()
print(session().state)
"""
    returned, out, err = outcome(home.script(BEGIN + code))
    assert (returned, out, err) == (0, "closed\n", "")


def test_session_without_anything_tracked(home: Home) -> None:
    returned, _, err = outcome(home.script(BEGIN + "session()"))
    assert returned == 1
    assert "nothing is tracked in this process yet" in err
    assert not home.journals()


@pytest.mark.parametrize(
    ("end", "returned", "status"),
    [
        ("raise ValueError('mine')", 1, "error"),
        ("sys.exit(3)", 3, "error"),
        ("raise KeyboardInterrupt", -2, "interrupted"),
    ],
)
def test_script_that_fails(home: Home, end: str, returned: int, status: str) -> None:
    code = f"with measure('block'):\n    time.sleep(0.05)\n    {end}\n"
    code_returned, out, err = outcome(home.script(BEGIN + code))
    assert code_returned == returned
    assert out == ""
    assert err.count("Traceback") == (0 if "exit" in end else 1)
    assert "jupyter_green/" not in err.split("Traceback")[0]
    session = ended(home)
    assert session.state == "closed"
    (span,) = session.spans
    assert span.status == status
    assert span.energy.total_uj


def test_script_that_leaves_without_a_word(home: Home, machine: RaplMachine) -> None:
    """``os._exit`` runs no hook. The recorder sees the process go."""
    code = "measure('block').__enter__()\ntime.sleep(0.3)\nos._exit(5)\n"
    assert outcome(home.script(BEGIN + code)) == (5, "", "")
    session = ended(home)
    assert (session.state, session.reason) == ("ended without goodbye", "kernel died")
    (span,) = session.spans
    assert span.status == "kernel died"
    assert span.energy.energy_j == pytest.approx(0.3 * 38, rel=0.3)


def test_script_that_is_over_at_once(home: Home) -> None:
    """It ends before its recorder is ready."""
    code = "log(accuracy=0.5)\nwith measure('block'): pass\n"
    for _ in range(3):
        assert outcome(home.script(BEGIN + code)) == (0, "", "")
    until(lambda: not home.recorders())
    sessions = until(lambda: (s := home.sessions()) and len(s) == 3 and s)
    for session in sessions:
        assert session.state == "closed"
        assert len(session.metrics) == 1
        assert len(session.spans) == 1


def test_forked_child_that_ends_as_scripts_do(home: Home) -> None:
    """The child runs its exit hooks, and the parent's session goes on."""
    code = """
with measure("parent"):
    child = os.fork()
    if child == 0:
        log(of_child=1)
        with measure("child"):
            pass
        sys.exit(0)
    os.waitpid(child, 0)
    time.sleep(0.1)
    log(of_parent=1)
"""
    assert outcome(home.script(BEGIN + code)) == (0, "", "")
    session = ended(home)
    assert session.state == "closed"
    assert [metric.name for metric in session.metrics] == ["of_parent"]
    assert [(span.name, span.status) for span in session.spans] == [("parent", "ok")]
    assert len(home.journals()) == 1


def test_nothing_can_be_read(place: Path) -> None:
    """No counter and no model: the code runs, and its energy is unknown, not 0."""
    empty = place / "empty"
    empty.mkdir()
    home = Home(place / "home", sysfs_root=str(empty), procfs_root=str(empty))
    code = """
with measure("block") as block:
    time.sleep(0.1)
    log(loss=0.1)
print(block.energy_j, block.power_w, block.duration_s >= 0.1)
print(block)
"""
    try:
        # psutil finds the CPU's times without /proc being where the settings say.
        returned, out, err = outcome(home.script(BEGIN + code))
        assert (returned, err) == (0, "")
        session = ended(home)
        assert_honest(session.spans[0].energy)
        first, line = out.splitlines()
        if session.counters:
            assert "modelled" in line
        else:
            assert first == "None None True"
            assert " 0 J" not in line
        assert any(one.source == "rapl" for one in session.refused)
    finally:
        home.close()


def test_data_directory_that_cannot_be_made(place: Path, machine: RaplMachine) -> None:
    """The script gets its figures; its recorder waits a while for room, and then writes all."""
    home = Home(place / "home", sysfs_root=str(machine.sysfs))
    home.data.write_text("in the way")
    code = """
with measure("block") as block:
    time.sleep(0.2)
print(block)
print(session().problems)
"""
    returned, out, err = outcome(home.script(BEGIN + code))
    assert (returned, err) == (0, "")
    line, problems = out.splitlines()
    assert line.startswith("block · ")
    assert "measured" in line
    assert "cannot be written" in problems
    home.data.unlink()
    (session,) = until(lambda: [one for one in home.sessions() if one.state == "closed"])
    assert [span.name for span in session.spans] == ["block"]
    home.close()


def test_no_process_can_be_started(home: Home) -> None:
    """Where no child may run, boundaries are still read."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
os.setuid(os.getuid())
sys.executable = "/nowhere/python"
with measure("block") as block:
    time.sleep(0.2)
print(block)
print(session().problems)
"""
    returned, out, err = outcome(home.script(BEGIN + code))
    assert (returned, err) == (0, "")
    line, problems = out.splitlines()
    assert "measured" in line
    assert "no recorder process could be started" in problems
    (session,) = home.sessions()
    assert session.state == "closed"
    assert session.spans[0].energy.energy_j == pytest.approx(0.2 * 38, rel=0.2)
    assert os.listdir(home.data / "sessions")


# --- workers ---

WORKERS = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from jupyter_green import log, measure, session
from jupyter_green.errors import RecorderError

def work(step):
    log(of_worker=step)
    with measure("of worker") as worked:
        pass
    said = set()
    for ask in (session, lambda: worked.result):
        try:
            ask()
        except RecorderError as error:
            said.add(str(error))
    return os.getpid() != int(os.environ["MEASURED"]), sorted(said)

def asks_first(_):
    try:
        session()
    except RecorderError as error:
        return str(error)

def has_workers_itself(step):
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, step).result(60)
"""
OF_ANOTHER = "this process was started or forked by the one that is measured"
MAIN = """
if __name__ == "__main__":
    os.environ["MEASURED"] = str(os.getpid())
    context = multiprocessing.get_context(sys.argv[1])
    with measure("parent"), ProcessPoolExecutor(2, mp_context=context) as pool:
        first = pool.submit(asks_first, 0).result(60)
        told = [*pool.map(work, range(6)), pool.submit(has_workers_itself, 6).result(60)]
    log(of_parent=1)
    print([apart for apart, _ in told], {line for _, said in told for line in said} | {first})
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_are_their_parents(home: Home, method: str) -> None:
    """However multiprocessing starts them: they begin no sessions, and break nothing."""
    returned, out, err = outcome(home.script(WORKERS + MAIN, method))
    assert (returned, err) == (0, "")
    assert out.startswith(f"{[True] * 7} {{'{OF_ANOTHER}")
    assert len(out.split("', '")) == 1, out
    session = ended(home)
    assert [span.name for span in session.spans] == ["parent"]
    assert [metric.name for metric in session.metrics] == ["of_parent"]


def test_workers_of_loky(home: Home) -> None:
    """joblib's. It starts them by ways of its own."""
    pytest.importorskip("joblib")
    (home.work / "worked.py").write_text(WORKERS, encoding="utf-8")
    code = """
import joblib
from jupyter_green import measure
from worked import os, work
os.environ["MEASURED"] = str(os.getpid())
with measure("parent"):
    told = joblib.Parallel(n_jobs=2)(joblib.delayed(work)(step) for step in range(4))
print([apart for apart, _ in told], {line for _, said in told for line in said})
"""
    returned, out, err = outcome(home.script(code))
    assert (returned, err) == (0, "")
    assert out.startswith(str([True] * 4))
    assert out.count(OF_ANOTHER) == 1
    assert [span.name for span in ended(home).spans] == ["parent"]


def test_workers_of_a_fork_server_that_was_there_before(home: Home) -> None:
    """The server has an environment from before the session."""
    main = """
def nothing():
    pass

if __name__ == "__main__":
    os.environ["MEASURED"] = str(os.getpid())
    context = multiprocessing.get_context("forkserver")
    early = context.Process(target=nothing)
    early.start()
    early.join()
    with measure("parent"), context.Pool(1) as pool:
        print(pool.map(work, [1])[0][0])
"""
    assert outcome(home.script(WORKERS + main)) == (0, "True\n", "")
    assert [span.name for span in ended(home).spans] == ["parent"]


def test_workers_of_what_is_not_measured(home: Home) -> None:
    """Before a session, and after its end, a worker that measures has one of its own."""
    main = """
def alone():
    with measure("own"):
        pass

def worker():
    one = multiprocessing.get_context("spawn").Process(target=alone)
    one.start()
    one.join()

if __name__ == "__main__":
    from jupyter_green.recorder import tracker
    worker()
    with measure("parent"):
        pass
    tracker.stop()
    worker()
"""
    assert outcome(home.script(WORKERS + main)) == (0, "", "")
    until(lambda: not home.recorders(), PATIENCE_S, "the recorders' end")
    names = [[span.name for span in session.spans] for session in home.sessions()]
    assert sorted(names) == [["own"], ["own"], ["parent"]]


def test_a_program_that_is_run_is_none_of_the_workers(home: Home) -> None:
    """It keeps a session of its own, also when a worker runs it."""
    main = """
import subprocess

def run(_):
    code = "from jupyter_green import measure\\nwith measure('program'): pass"
    return subprocess.run([sys.executable, "-c", code], check=True).returncode

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with measure("parent"), ProcessPoolExecutor(1, mp_context=context) as pool:
        run(0)
        pool.submit(run, 0).result(60)
"""
    assert outcome(home.script(WORKERS + main)) == (0, "", "")
    until(lambda: not home.recorders(), PATIENCE_S, "the recorders' end")
    names = [[span.name for span in session.spans] for session in home.sessions()]
    assert sorted(names) == [["parent"], ["program"], ["program"]]

"""``jupyter green exec``: any program, as if nothing stood between it and whoever started it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from jupyter_green.recorder.process import LOOK_AROUND_S
from jupyter_green.sessions.model import Cell, Session
from tests.simulators.machine import RaplMachine

from .kernels import CELL_TOOLS, PATIENCE_S, TIMEOUT_S, Home, until
from .truth import PACKAGE_AND_DRAM, assert_partition, true_uj

GREEN = [sys.executable, "-m", "jupyter_green.cli.app"]
EXEC = [*GREEN, "exec"]
IDLE_W = 38.0
PEAK_W = 93.0
WALL_CLOCK_S = 0.005
"""The journal tells wall time, which is read a moment after the first stamp."""


def run(home: Home, *arguments: str, given: bytes = b"", **how: Any) -> Any:
    """The whole command; everything in bytes, because nothing of them is ours."""
    return subprocess.run(
        [*EXEC, *arguments],
        cwd=home.work,
        env=home.environment,
        input=given,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
        **how,
    )


def session(home: Home) -> Session:
    """The only session, when its recorder has gone."""
    until(lambda: not home.recorders(), PATIENCE_S, "the recorder's end")
    (found,) = home.sessions()
    assert found.state == "closed"
    assert_partition(found)
    return found


def cell(home: Home) -> Cell:
    (found,) = session(home).cells
    return found


# --- what it says and records ---


def test_summary_goes_to_stderr_and_into_a_session(home: Home) -> None:
    done = run(home, "--project", "thesis", "--", "sh", "-c", "echo out; echo err >&2; sleep 0.3")
    assert (done.returncode, done.stdout) == (0, b"out\n")
    first, line, whose = done.stderr.decode().splitlines()
    assert first == "err"
    assert re.fullmatch(r"jupyter green: sh -c 'echo out; .* J · \d{3} ms · .*measured", line), line
    assert whose.startswith("jupyter green: the energy is the whole machine's")

    found = session(home)
    assert (found.front_end, found.project, found.reason) == ("exec", "thesis", "goodbye")
    (one,) = found.cells
    assert one.first_line == "sh -c 'echo out; echo err >&2; sleep 0.3'"
    assert (one.status, one.error) == ("ok", None)
    assert 0.3 <= one.duration_s < 3
    assert one.energy.energy_j == pytest.approx(one.duration_s * IDLE_W, rel=0.05)


def test_energy_against_the_truth(home: Home, machine: RaplMachine) -> None:
    tools = CELL_TOOLS.format(fifo=str(machine.command_path), work=str(home.work))
    code = f"{tools}\ntime.sleep(0.2)\ndraw('package-0', 90)\ntime.sleep(1)\ndraw('package-0', 35)"
    assert run(home, "--", sys.executable, "-c", code).returncode == 0
    found = session(home)
    offset_ns = time.perf_counter_ns() - time.time_ns()
    (one,) = found.cells
    ends_ns = [round(found.wall_at(t) * 1e9) + offset_ns for t in (one.started_s, one.finished_s)]
    truth = true_uj(machine, PACKAGE_AND_DRAM, *ends_ns)
    assert truth > 90e6
    assert one.energy.total_uj == pytest.approx(truth, abs=2 * WALL_CLOCK_S * PEAK_W * 1e6)
    assert one.energy.provenance == ("measured",)


def test_share_of_the_process_tree_is_said(home: Home) -> None:
    """The child's child works; the share is an estimate, and stands beside the machine."""
    work = "import time; end = time.time() + 2.5\nwhile time.time() < end: pass"
    code = (
        "import resource, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {work!r}])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)"
    )
    done = run(home, "--", sys.executable, "-c", code)
    found = cell(home)
    share = found.tree_share
    assert share is not None
    # However busy the machine is with others, its threads had no more time than there was.
    least = float(done.stdout) / (found.duration_s * (os.cpu_count() or 1))
    assert 0.5 * least < share <= 1
    whose = done.stderr.decode().splitlines()[-1]
    told = re.search(r"; ([\d.]+) % of its busy CPU time was the command's \(estimated\)$", whose)
    assert told is not None, whose
    assert float(told[1]) == pytest.approx(100 * share, abs=1)


def test_label_report_and_quiet(home: Home) -> None:
    done = run(home, "--label", "resnet18 amp", "--quiet", "--", "true")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert cell(home).tags.label == "resnet18 amp"
    done = run(home, "--report", "--", "true")
    assert (done.returncode, done.stdout) == (0, b"")
    told = done.stderr.decode()
    for words in ("Energy: ", "CO2: no place was set", "1 cell, closed", "the whole machine's"):
        assert words in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "put the command behind --"),
        (["python"], "put the command behind --"),
        (["--"], "put the command behind --"),
        (["--quiet", "--report", "--", "true"], "give one of"),
        (["--lable", "x", "--", "true"], "there is no option --lable"),
        (["more", "--", "true"], "'more'"),
    ],
    ids=" ".join,
)
def test_usage_errors_run_nothing(home: Home, arguments: Sequence[str], words: str) -> None:
    done = run(home, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(r"jupyter green: [^\n]+\n", done.stderr.decode())
    assert words in done.stderr.decode()
    assert not home.journals()


def test_options_of_the_command_are_its_own(home: Home) -> None:
    code = "import sys; print(sys.argv[1:])"
    given = ["--help", "--quiet", "--", "--no-such", "-h", "help"]
    done = run(home, "--", sys.executable, "-c", code, *given)
    assert done.stdout.decode() == f"{given}\n"


# --- how it ends ---


@pytest.mark.parametrize(
    ("command", "code", "status", "error"),
    [
        ("exit 0", 0, "ok", None),
        ("exit 3", 3, "error", "exit 3"),
        ("exit 255", 255, "error", "exit 255"),
        ("kill -9 $$", 137, "error", "signal 9"),
        ("kill -TERM $$", 143, "error", "signal 15"),
        ("kill -SEGV $$", 139, "error", "signal 11"),
    ],
)
def test_exit_code(home: Home, command: str, code: int, status: str, error: str | None) -> None:
    done = run(home, "--", "sh", "-c", command)
    assert (done.returncode, done.stdout) == (code, b"")
    one = cell(home)
    assert (one.status, one.error) == (status, error)
    assert error is None or f"failed: {error}" in done.stderr.decode()


def test_what_cannot_be_run(home: Home) -> None:
    plain = home.work / "plain"
    plain.write_text("echo")
    for program, code in (("nosuch", 127), ("./nosuch", 127), ("./plain", 126), ("/", 126)):
        done = run(home, "--", program)
        assert (done.returncode, done.stdout) == (code, b""), program
        assert re.fullmatch(rf"jupyter green: [^\n]*{program}[^\n]*\n", done.stderr.decode())
    assert not home.journals(), "there was nothing to measure"


@pytest.mark.parametrize(("content", "code"), [("#!/nowhere/python\n", 127), ("\x00\x01", 126)])
def test_what_the_system_cannot_start(home: Home, content: str, code: int) -> None:
    script = home.work / "script"
    script.write_text(content)
    script.chmod(0o755)
    done = run(home, "--", "./script")
    assert (done.returncode, done.stdout) == (code, b"")
    assert "./script cannot be run: " in done.stderr.decode()
    assert cell(home).error == f"exit {code}"


# --- streams ---


def test_pipes(home: Home) -> None:
    given = bytes(range(256)) * 1000
    done = run(home, "--quiet", "--", "cat", given=given)
    assert (done.returncode, done.stdout, done.stderr) == (0, given, b"")


def test_a_reader_that_has_enough(home: Home) -> None:
    """The program gets its SIGPIPE, which Python itself ignores."""
    process = start(home, "--quiet", "--", "yes", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 128 + signal.SIGPIPE
    process.stderr.close()


@pytest.mark.parametrize("words", ["2>&-", "2> /dev/full", "2> >(true)"])
def test_exit_code_does_not_depend_on_our_words(home: Home, words: str) -> None:
    line = f"{' '.join(EXEC)} -- sh -c 'echo out; exit 3' {words}"
    done = subprocess.run(
        ["bash", "-c", line], env=home.environment, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (3, b"out\n")


def test_further_descriptors_are_passed_on(home: Home) -> None:
    """As make passes on its jobs, and shells their process substitutions."""
    reader, writer = os.pipe()
    code = f"echo through > /dev/fd/{writer}"
    run(home, "--", "bash", "-c", code, pass_fds=[writer])
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"through\n"


def test_nothing_of_ours_reaches_the_program(home: Home) -> None:
    """No descriptor, and no name of our session."""
    code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    bare = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    measured = run(home, "--", sys.executable, "-c", code)
    assert measured.stdout == bare.stdout
    done = run(home, "--", "env")
    assert b"JUPYTER_GREEN" not in done.stdout


# --- signals ---

COUNTING = """
import os, signal, sys, time
seen = []
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"):
    signal.signal(getattr(signal, name), lambda number, frame: seen.append(number))
print("ready", flush=True)
deadline = time.time() + 30
while not seen and time.time() < deadline:
    time.sleep(0.01)
time.sleep(0.3)
print(*(signal.Signals(number).name for number in seen), flush=True)
sys.exit(7)
"""


def start(home: Home, *arguments: str, stdout: int | IO[Any] = subprocess.PIPE) -> Any:
    """Without a terminal, as a service or a batch job."""
    return subprocess.Popen(
        [*EXEC, *arguments],
        cwd=home.work,
        env=home.environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heed_signals,  # noqa: PLW1509  (it touches signals alone)
    )


def heed_signals() -> None:
    """The tests may run where these are ignored, below nohup or in the background of a shell."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture
def counting(home: Home) -> Iterator[Any]:
    """A program that is ready for signals."""
    process = start(home, "--quiet", "--", sys.executable, "-c", COUNTING)
    assert process.stdout.readline() == b"ready\n"
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGQUIT"])
def test_signals_are_passed_on(home: Home, counting: Any, name: str) -> None:
    counting.send_signal(getattr(signal, name))
    out, err = counting.communicate(timeout=TIMEOUT_S)
    assert (counting.returncode, out.decode(), err) == (7, f"{name}\n", b"")
    assert (cell(home).status, cell(home).error) == ("error", "exit 7")


def test_signal_that_kills_the_program(home: Home) -> None:
    process = start(home, "--", "sh", "-c", "echo ready; exec sleep 30")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 143
    assert b"failed: signal 15" in err
    assert cell(home).error == "signal 15"


def test_program_that_ignores_signals_is_waited_for(home: Home) -> None:
    end = home.work / "end"
    code = f"trap '' TERM INT; echo ready; while ! [ -e {end} ]; do sleep 0.05; done; echo over"
    process = start(home, "--", "sh", "-c", code)
    assert process.stdout.readline() == b"ready\n"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.1)
    assert process.poll() is None
    end.touch()
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (0, b"over\n")
    assert cell(home).status == "ok"


def test_signal_before_the_program_has_begun(home: Home) -> None:
    """It is not lost: whoever asks for the end gets it."""
    process = start(home, "--", "sleep", "30")
    until(lambda: list(home.journals()), what="the recorder")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 143


def test_what_is_ignored_stays_ignored(home: Home) -> None:
    """nohup(1): the terminal goes, and the program goes on."""
    line = f"trap '' HUP; exec {' '.join(EXEC)} -- sh -c 'echo ready; sleep 1; echo over'"
    process = subprocess.Popen(
        ["sh", "-c", line],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.killpg(process.pid, signal.SIGHUP)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (0, b"over\n")


def test_killed_with_its_program_running(home: Home) -> None:
    """Our own death loses the rest, and nothing else."""
    process = start(home, "--", "sh", "-c", "echo $$; exec sleep 30")
    program = int(process.stdout.readline())
    time.sleep(0.3)
    process.kill()
    process.wait(TIMEOUT_S)
    os.kill(program, 0)
    os.kill(program, signal.SIGTERM)
    process.communicate(timeout=TIMEOUT_S)
    (found,) = until(lambda: [one for one in home.sessions() if one.state != "open"])
    assert found.cells[0].status == "kernel died"
    assert found.cells[0].energy.total_uj


def test_child_that_leaves_is_not_waited_for(home: Home) -> None:
    code = "sleep 30 < /dev/null > /dev/null 2>&1 & echo $!"
    began = time.monotonic()
    done = run(home, "--", "sh", "-c", code)
    assert time.monotonic() - began < 20
    assert done.returncode == 0
    left = int(done.stdout)
    os.kill(left, signal.SIGKILL)
    assert cell(home).duration_s < 20


# --- a terminal ---

pexpect = pytest.importorskip("pexpect")


def in_terminal(home: Home, *arguments: str) -> Any:
    return pexpect.spawn(
        EXEC[0],
        [*EXEC[1:], *arguments],
        cwd=str(home.work),
        env={**home.environment, "TERM": "dumb"},
        encoding="utf-8",
        timeout=TIMEOUT_S,
    )


def ended(terminal: Any) -> int:
    """The exit code, when all is said."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return int(terminal.exitstatus)


def test_terminal_stays_one(home: Home) -> None:
    code = """
import os, sys
print(*(os.isatty(fd) for fd in (0, 1, 2)), os.tcgetpgrp(0) == os.getpgrp())
print("got", input("name? "))
"""
    terminal = in_terminal(home, "--label", "ask", "--", sys.executable, "-c", code)
    terminal.expect("True True True True\r\n")
    terminal.expect(r"name\? ")
    terminal.sendline("me")
    terminal.expect("got me\r\n")
    terminal.expect(r"jupyter green: ask · .* J")
    assert ended(terminal) == 0


def test_control_c_reaches_the_program_once(home: Home) -> None:
    terminal = in_terminal(home, "--quiet", "--", sys.executable, "-c", COUNTING)
    terminal.expect("ready")
    terminal.sendintr()
    # The terminal's own echo may come with a line of its own.
    terminal.expect(r"\^C\s*SIGINT\r\n")
    assert ended(terminal) == 7


def test_control_c_ends_a_program_and_not_its_measurement(home: Home) -> None:
    code = "print('ready', flush=True)\nimport time; time.sleep(30)"
    terminal = in_terminal(home, "--", sys.executable, "-c", code)
    terminal.expect("ready")
    time.sleep(0.3)
    terminal.sendintr()
    terminal.expect("KeyboardInterrupt")
    terminal.expect("interrupted")
    assert ended(terminal) == 130
    one = cell(home)
    assert (one.status, one.error) == ("interrupted", None)
    assert 0.2 < one.duration_s < 20


# --- where measuring is difficult ---


def test_program_that_measures_itself(home: Home) -> None:
    """Two sessions, and each knows of the other."""
    code = f"""
import time
from jupyter_green import measure
with measure("inside"):
    time.sleep({LOOK_AROUND_S + 1.5})
"""
    assert run(home, "--", sys.executable, "-c", code).returncode == 0
    until(lambda: not home.recorders(), PATIENCE_S, "the recorders' end")
    outer, inner = home.sessions()
    assert [outer.front_end, inner.front_end] == ["exec", "script"]
    assert [outer.state, inner.state] == ["closed", "closed"]
    assert [overlap.session for overlap in inner.overlaps] == [outer.id]
    assert [overlap.session for overlap in outer.overlaps] == [inner.id]
    assert [span.name for span in inner.spans] == ["inside"]


def test_sessions_that_cannot_be_written(place: Path, machine: RaplMachine) -> None:
    home = Home(place / "blocked", sysfs_root=str(machine.sysfs))
    home.data.write_text("in the way")
    try:
        done = run(home, "--", "sh", "-c", "echo out; sleep 0.2; exit 3")
        assert (done.returncode, done.stdout) == (3, b"out\n")
        told = done.stderr.decode()
        assert "jupyter green: this session will be lost: no session can be written to" in told
        assert re.search(r"sh -c .* J · .*failed: exit 3.*measured", told), told
    finally:
        home.data.unlink()  # its recorder need not wait any longer for room
        home.close()


def test_no_recorder_can_be_started(home: Home) -> None:
    """The interpreter does not know where it is: the boundaries are still read."""
    (home.work / "sitecustomize.py").write_text("import sys; sys.executable = '/nowhere/python'")
    environment = dict(home.environment)
    environment["PYTHONPATH"] += os.pathsep + str(home.work)
    done = subprocess.run(
        [*EXEC, "--", "sh", "-c", "echo out; sleep 0.3; exit 3"],
        env=environment,
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert b"no recorder process could be started" in done.stderr
    one = cell(home)
    assert one.error == "exit 3"
    assert one.energy.energy_j == pytest.approx(one.duration_s * IDLE_W, rel=0.05)


def test_settings_that_cannot_be_used_are_told(home: Home, machine: RaplMachine) -> None:
    home.configure(sysfs_root=str(machine.sysfs), pue=0.1)
    done = run(home, "--", "echo", "out")
    assert (done.returncode, done.stdout) == (0, b"out\n")
    assert b"pue must be at least 1.0" in done.stderr

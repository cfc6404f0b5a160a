"""What the magics say: help, the session with cells that still run, and errors of use."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel, Reply, running, until

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def green() -> Iterator[Kernel]:
    root = Path(tempfile.mkdtemp(prefix="green-"))
    with RaplMachine(root / "machine", one_socket()) as machine:
        home = Home(root / "home", sysfs_root=str(machine.sysfs))
        with running(home, fifo=machine.command_path) as kernel:
            kernel.ok("from jupyter_green import measure, session")
            yield kernel
        home.close()
    shutil.rmtree(root, ignore_errors=True)


# --- help ---


@pytest.mark.parametrize("flag", ["--help", "-h", "-q --help", "--label x -h --bogus"])
def test_help_of_energy(green: Kernel, flag: str) -> None:
    reply = green.ok(f"%energy {flag}")
    assert reply.out.startswith("%%energy [--label NAME]")
    assert "--no-sync" in reply.out
    assert green.ok(f"%%energy {flag}").out == reply.out
    body = green.ok(f"%%energy {flag}\nran = print('must not run')")
    assert body.out == reply.out
    assert not body.shown
    assert green.ask("'ran' in globals()") is False
    assert not green.spans("--help")


def test_help_of_a_cell_that_is_run_by_name(green: Kernel) -> None:
    reply = green.ok("get_ipython().run_cell_magic('energy', '--help', 'print(\"no\")')")
    assert reply.out.startswith("%%energy [--label NAME]")
    assert not reply.out.endswith("no\n")


@pytest.mark.parametrize("flag", ["--help", "-h", "-n 3 -h"])
def test_help_of_energyit(green: Kernel, flag: str) -> None:
    reply = green.ok(f"%energyit {flag} ran = 1")
    assert reply.out.startswith("%energyit [-n LOOPS]")
    assert green.ok(f"%%energyit {flag}\nran = 1").out == reply.out
    assert green.ask("'ran' in globals()") is False


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_of_green(green: Kernel, word: str) -> None:
    out = green.ok(f"%green {word}").out
    for command in ("on | off", "place", "baseline", "doctor"):
        assert f"%green {command}" in out


@pytest.mark.parametrize("switch", ["--sync", "--no-sync"])
def test_switches_take_no_value(green: Kernel, switch: str) -> None:
    green.ok(f"%energy {switch} -q -o kept 1 + 1")
    assert green.ask("kept.name") == "1 + 1"
    green.ok(f"%energyit {switch} -n 1 -r 1 -q -o kept n = 7")
    assert green.ask("kept.loops") == 1


# --- the baseline's seconds ---


@pytest.mark.parametrize("seconds", ["soon", "nan", "-5", "1,5"])
def test_what_is_no_number_of_seconds(green: Kernel, seconds: str) -> None:
    reply = green.run(f"%green baseline {seconds}")
    assert (reply.status, reply.ename) == ("error", "UsageError")
    assert f"{seconds} is no number of seconds\n" in reply.evalue
    assert "float" not in reply.everything


@pytest.mark.parametrize("seconds", ["0", "0.5", "1e9", "inf"])
def test_seconds_out_of_range(green: Kernel, seconds: str) -> None:
    reply = green.run(f"%green baseline {seconds}")
    assert (reply.status, reply.ename) == ("error", "UsageError")
    assert f"a baseline takes 1 to 600 seconds, not {float(seconds):g}" in reply.evalue


# --- cells that run ---


def rows(reply: Reply) -> list[str]:
    """The running cells of a report."""
    lines = [line.strip() for line in reply.shown[-1].splitlines()]
    return [line for line in lines if line.startswith("[*]")]


def test_the_cell_that_asks_is_no_consumer(green: Kernel) -> None:
    for code in ("%green", "# how much was it?\n%green", "%%energy -q\n%green"):
        reply = green.ok(code)
        assert rows(reply) == []
        assert "1 running" not in reply.shown[-1]
        assert "[*]" not in reply.bundles[-1]["text/html"]


def test_a_cell_that_asks_after_work(green: Kernel) -> None:
    """What it has used is said, as far as it is known."""
    (row,) = rows(green.ok("time.sleep(2.5)\n%green"))
    assert re.search(r"\[\*\]  time.sleep\(2.5\) +[\d.]+ ± [\d.]+ J .* running, so far", row)
    (row,) = rows(green.ok("with measure('part'): pass\n%green"))
    assert row.startswith("[*]  with measure('part'): pass")


def test_another_cell_that_runs(home: Home, machine: RaplMachine) -> None:
    """Asked for from a subshell, which is not the one that works."""
    with running(home, fifo=machine.command_path) as kernel:
        subshell = kernel.open_subshell()
        if subshell is None:
            pytest.skip("this version of ipykernel has no subshells")
        work = kernel.send("say('working')\nwait_for('asked')")
        until((home.work / "working").exists)
        (row,) = rows(kernel.ok("%green", subshell=subshell))
        assert row.startswith("[*]  say('working')")
        assert " 0 J" not in row
        kernel.ok("say('asked')", subshell=subshell)
        assert kernel.reply(work).status == "ok"


# --- objects in a notebook ---


def test_the_session_in_one_line(green: Kernel) -> None:
    green.ok("time.sleep(0.1)")
    (line,) = green.ok("session()").shown
    assert re.fullmatch(r"<Session [\w-]+ open: \d+ cells, [\d.]+ ± [\d.]+ k?J, [\w. ]+>", line), (
        line
    )
    (line,) = green.ok("session().ledger").shown
    assert re.fullmatch(r"<Ledger: productive [\d.]+ k?J, .*between cells [\d.]+ k?J>", line), line


# --- the doctor ---


def test_green_doctor(green: Kernel) -> None:
    reply = green.ok("%green doctor")
    (bundle,) = reply.bundles
    assert "package-0" in bundle["text/plain"]
    assert "package-0" in bundle["text/html"]
    assert not reply.err

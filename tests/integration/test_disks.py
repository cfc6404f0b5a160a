"""Disks that are full, read-only or not there: cells go on, nothing is lost, and it is said."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.machine import RaplMachine

from .kernels import Home, Kernel, running, until
from .truth import Check, assert_partition

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

PEAK_W = 38.0
SENTENCE = "cannot be written"


def assert_goes_on(kernel: Kernel) -> None:
    """Cells run and are shown, although no line reaches the disk."""
    kernel.ok("from jupyter_green import log, session")
    reply = kernel.ok("%%energy --label unwritten\ntime.sleep(0.2)\nlog(loss=0.25)")
    assert reply.shown[0].startswith("unwritten · ")
    assert "measured" in reply.shown[0]
    problems = kernel.ask("session().problems")
    assert len(problems) == 1
    assert SENTENCE in problems[0]
    assert SENTENCE in kernel.ok("%green").shown[0]
    # Asked again and again, it must not be counted twice.
    for _ in range(3):
        labels = kernel.ask("[cell.label for cell in session().cells]")
        assert labels.count("unwritten") == 1
        assert kernel.ask("[metric.value for metric in session().metrics]") == [0.25]


def assert_catches_up(kernel: Kernel, machine: RaplMachine) -> None:
    """When there is room again, all is in the journal, once."""
    cell = kernel.measured("time.sleep(0.2)")
    Check(kernel, machine, cell, PEAK_W).assert_right()
    session = kernel.session()
    numbers = [event.n for event in kernel.events() if event.n is not None]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [one.label for one in session.cells].count("unwritten") == 1
    assert session.samples_dropped == 0
    assert_partition(session)
    assert kernel.ask("session().problems") == ()


def test_something_in_the_way(home: Home, machine: RaplMachine) -> None:
    """The directory of the journals cannot be made, and then it can."""
    home.data.mkdir()
    in_the_way = home.data / "sessions"
    in_the_way.write_text("a file")
    with running(home, fifo=machine.command_path) as kernel:
        assert_goes_on(kernel)
        in_the_way.unlink()
        until(kernel.journal.exists, what="the journal")
        assert_catches_up(kernel, machine)
        kernel.shutdown()
        until(lambda: kernel.session().state == "closed")


def test_read_only(home: Home, machine: RaplMachine, unprivileged: list[str]) -> None:
    sessions = home.data / "sessions"
    sessions.mkdir(parents=True)
    sessions.chmod(0o500)
    with running(home, argv=unprivileged, fifo=machine.command_path) as kernel:
        assert_goes_on(kernel)
        sessions.chmod(0o700)
        until(kernel.journal.exists, what="the journal")
        assert_catches_up(kernel, machine)


def test_room_for_a_part_of_a_line(kernel: Kernel, machine: RaplMachine) -> None:
    """As a full disk has it: the file takes some bytes more, and then none."""
    kernel.measured("1")
    recorder = kernel.recorder()
    size = kernel.journal.stat().st_size
    limits = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (size + 500, limits[1]))
    assert_goes_on(kernel)
    assert kernel.journal.stat().st_size == size + 500
    assert not kernel.journal.read_bytes().endswith(b"\n")
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, limits)
    until(lambda: kernel.journal.stat().st_size > size + 500, what="another write")
    assert_torn_line(kernel)


def assert_torn_line(kernel: Kernel) -> None:
    """One torn line is left, and its event comes again whole."""
    until(lambda: "unwritten" in [cell.label for cell in kernel.session().cells])
    session = kernel.session()
    assert session.bad_lines == 1
    assert [cell.label for cell in session.cells].count("unwritten") == 1
    assert [metric.value for metric in session.metrics] == [0.25]
    assert [cell.number for cell in session.cells] == list(range(1, len(session.cells) + 1))
    assert kernel.ask("session().problems") == ()
    assert_partition(session)


@pytest.fixture
def tiny_disk(place: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = place / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_full_disk(place: Path, machine: RaplMachine, tiny_disk: Path) -> None:
    home = Home(place / "home", sysfs_root=str(machine.sysfs), data_dir=str(tiny_disk / "green"))
    with running(home, fifo=machine.command_path) as kernel:
        kernel.measured("1")
        ballast = tiny_disk / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb") as file:
            file.write(b"x" * 1_000_000)
        # What is left of the last block still takes some lines.
        kernel.ok("from jupyter_green import log\nfor i in range(60): log(filler=i)")
        kernel.ok("from jupyter_green import session")
        until(lambda: any(SENTENCE in p for p in kernel.ask("session().problems")))
        reply = kernel.ok("%%energy --label unwritten\ntime.sleep(0.2)\nlog(loss=0.25)")
        assert reply.shown[0].startswith("unwritten · ")
        assert "unwritten" not in [cell.label for cell in kernel.session().cells]
        ballast.unlink()
        until(lambda: "unwritten" in [cell.label for cell in kernel.session().cells])
        session = kernel.session()
        assert [m.value for m in session.metrics] == [*range(60), 0.25]
        assert session.bad_lines <= 1
        assert kernel.ask("session().problems") == ()
        assert_partition(session)
        kernel.shutdown()
        until(lambda: kernel.session().state == "closed")
    home.close()


def test_disk_that_stays_full(kernel: Kernel) -> None:
    """The kernel ends all the same, and at once."""
    kernel.measured("1")
    recorder = kernel.recorder()
    size = kernel.journal.stat().st_size
    limits = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    kernel.ok("'unwritten'")
    kernel.shutdown()
    assert kernel.session().state != "closed"
    # The recorder tries for a while after the kernel's end; here is the room that it waits for.
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, limits)
    session = until(lambda: (s := kernel.session()).state == "closed" and s)
    assert [cell.first_line for cell in session.cells] == ["1", "'unwritten'"]

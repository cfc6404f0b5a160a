"""Reports from a running notebook: the magic, the function, and the panel's export."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_green.report import forms
from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel, running

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def green() -> Iterator[Kernel]:
    root = Path(tempfile.mkdtemp(prefix="green-"))
    with RaplMachine(root / "machine", one_socket()) as machine:
        home = Home(root / "home", sysfs_root=str(machine.sysfs), place="FR")
        with running(home, fifo=machine.command_path) as kernel:
            kernel.ok(f"import os; os.chdir({str(root)!r})")
            kernel.ok("from jupyter_green import save_report, session")
            kernel.ok("x = sum(range(10**6))")
            yield kernel
        home.close()
    shutil.rmtree(root, ignore_errors=True)


def written(said: str) -> Path:
    label, _, path = said.strip().partition(": ")
    assert label == "Written"
    return Path(path)


def test_report_in_the_working_directory(green: Kernel) -> None:
    path = written(green.ok("%green report").out)

    assert str(path.parent) == green.ask("os.getcwd()")
    assert path.name.endswith(f"{green.ask('session().id')}{forms.DEFAULT.suffix}")
    assert "sum(range(10**6))" in path.read_text("utf-8").replace("\\*", "*")


@pytest.mark.parametrize(
    ("argument", "name", "start"),
    [
        ("x.md", "x.md", "# Energy of"),
        ("two words.tex", "two words.tex", "Energy was recorded"),
        ('"quoted name.csv"', "quoted name.csv", "number,"),
        ("emissions.csv", "emissions.csv", "timestamp,"),
    ],
)
def test_the_ending_says_the_form(green: Kernel, argument: str, name: str, start: str) -> None:
    path = written(green.ok(f"%green report {argument}").out)
    assert path.name == name
    assert path.read_text("utf-8").startswith(start)


def test_what_cannot_be_written_is_an_error_of_use(green: Kernel) -> None:
    for argument, reason in (("x.docx", "tells no form"), ("absent/x.md", "cannot be written")):
        reply = green.run(f"%green report {argument}")
        assert reply.ename == "UsageError" or reason in reply.everything
        assert reason in reply.everything
        assert "Traceback" not in reply.everything


def test_options_of_the_command_line_are_no_file_names(green: Kernel) -> None:
    reply = green.run("%green report --place DE x.html")
    assert "takes a path only" in reply.everything
    assert not list(Path(str(green.ask("os.getcwd()"))).glob("*--place*"))
    for line in ("%green report --help", "%green place --help", "%green off --help"):
        assert "%green baseline" in green.ok(line).out


def test_save_report(green: Kernel) -> None:
    path = Path(green.ask("save_report('y.json')"))
    told = json.loads(path.read_text("utf-8"))
    assert told["session"]["id"] == green.ask("session().id")
    twice = green.ask("save_report('z.json', session().with_pue(2.0))")
    assert json.loads(Path(twice).read_text("utf-8"))["intensity_periods"][0]["pue"] == 2.0
    recorded = green.ask("save_report('w.statement.md', session().id)")
    assert "carbon intensity (France" in Path(recorded).read_text("utf-8")

"""`jupyter green doctor` as a user has it: a real process, on machines that are simulated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from jupyter_green.doctor.findings import Examination
from tests.simulators.machine import RaplMachine, one_socket

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="powercap is Linux's")

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "jupyter_green.cli.app", "doctor"]
SHORT = ("--seconds", "0.2")

# Even root may not read everything without these capabilities of Linux.
UNPRIVILEGED = """\
import ctypes, os, sys
DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2
if os.getuid() == 0:
    for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
        assert ctypes.CDLL(None).prctl(DROP, capability, 0, 0, 0) == 0
os.setuid(os.getuid())
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

# Runs at the start of every Python, also of those that the doctor starts.
WITNESS = """\
import os, sys
def witness(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        with open(os.environ["WITNESS"], "a") as file:
            file.write(event + "\\n")
sys.addaudithook(witness)
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    def found(self) -> Examination:
        assert self.code == 0, self.err
        return msgspec.json.decode(self.out, type=Examination)


class Place:
    """A user with nothing configured but the simulated machine."""

    def __init__(self, root: Path) -> None:
        self.config, self.data, self.bin = (root / n for n in ("config", "data", "bin"))
        for directory in (self.config, self.data, self.bin):
            directory.mkdir()
        self.root = root
        self.witness = root / "witness"
        (self.bin / "sitecustomize.py").write_text(WITNESS)
        sudo = self.bin / "sudo"
        sudo.write_text(f"#!/bin/sh\necho sudo >> {self.witness}\n")
        sudo.chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(self.bin))),
            "PYTHONIOENCODING": "utf-8",
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTER_NO_CONFIG": "",
            "WITNESS": str(self.witness),
        }

    def configure(self, **settings: object) -> None:
        text = json.dumps({"JupyterGreen": settings})
        (self.config / "jupyter_green_config.json").write_text(text)

    def doctor(self, *arguments: str, before: tuple[str, ...] = (), **environment: str) -> Done:
        command = [*before, *COMMAND[1:]] if before else COMMAND
        done = subprocess.run(
            [*command, *arguments],
            cwd=self.root,
            env={**self.environment, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def user(tmp_path: Path) -> Place:
    (tmp_path / "user").mkdir()
    return Place(tmp_path / "user")


def test_the_witness_would_see_it(user: Place) -> None:
    code = "import os, socket; socket.getaddrinfo('localhost', 1); os.system('sudo true')"
    subprocess.run([sys.executable, "-P", "-c", code], env=user.environment, check=True, timeout=60)
    assert user.witness.read_text().split() == ["socket.getaddrinfo", "sudo"]


def test_on_an_open_machine(user: Place, tmp_path: Path) -> None:
    with RaplMachine(tmp_path / "machine", one_socket()) as sim:
        user.configure(sysfs_root=str(sim.sysfs), place="FR")
        done = user.doctor(*SHORT)

    assert (done.code, done.err) == (0, "")
    sections = ["What is measured", "What is not, and how to get it", "Checks"]
    places = [done.out.index(f"\n{section}\n") for section in sections]
    assert places == sorted(places)
    assert re.search(r"^  package-0 +[\d.]+ W +", done.out, re.M)
    assert re.search(r"^  ok +place +France: ", done.out, re.M)
    assert str(user.config / "jupyter_green_config.json") in done.out.replace("\n", "")
    assert not user.witness.exists(), user.witness.read_text()
    assert list(user.data.iterdir()) == []


def test_json(user: Place, tmp_path: Path) -> None:
    with RaplMachine(tmp_path / "machine", one_socket()) as sim:
        user.configure(sysfs_root=str(sim.sysfs))
        done = user.doctor("--json", "--seconds", "1")
    found = done.found()
    assert done.err == ""
    assert msgspec.json.decode(msgspec.json.encode(found)) == json.loads(done.out)
    assert found.watched_s == 1.0
    assert [one.name for one in found.counters] == ["package-0", "core-0", "uncore-0", "dram-0"]
    assert found.power_w == pytest.approx(38.0, rel=0.3)
    assert found.settings_files == (str(user.config / "jupyter_green_config.json"),)


def test_on_a_closed_machine(user: Place, tmp_path: Path) -> None:
    zones = tuple(replace(zone, readable=False) for zone in one_socket())
    wrapper = tmp_path / "unprivileged.py"
    wrapper.write_text(UNPRIVILEGED)
    with RaplMachine(tmp_path / "machine", zones) as sim:
        files = [sim.energy_file(zone.key) for zone in zones]
        for file in files:
            file.chmod(0)
        user.configure(sysfs_root=str(sim.sysfs))
        before = (sys.executable, str(wrapper))
        done = user.doctor(*SHORT, before=before)
        found = user.doctor("--json", *SHORT, before=before).found()

    assert (done.code, done.err) == (0, "")
    shown = [f"'z /{file.relative_to(tmp_path / 'machine')} 0440 root" for file in files]
    assert all(line in done.out for line in shown)
    assert "sudo udevadm control --reload" in done.out
    assert found.counters[0].name == "cpu-model"
    assert found.recipes[0].title.startswith("Open the RAPL counters")
    # It tells what an administrator may type, and types nothing.
    assert not user.witness.exists(), user.witness.read_text()
    assert {file.stat().st_mode & 0o777 for file in files} == {0}


def test_wherever_it_runs(user: Place) -> None:
    done = user.doctor(*SHORT, PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")
    assert "\nChecks\n" in done.out
    assert not user.witness.exists(), user.witness.read_text()


def test_problems_are_found_and_no_failure(user: Place) -> None:
    (user.data / "jupyter_green").write_text("no directory")
    user.configure(pue=0.1, place="Atlantis")
    done = user.doctor(*SHORT, COLUMNS="100")
    assert (done.code, done.err) == (0, "")
    problems = re.findall(r"^  PROBLEM  (\S+)", done.out, re.M)
    assert problems == ["journal", "place", "settings"]
    assert "pue must be at least 1.0" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--seconds", "0"), "--seconds must be from 0.2 to 60, not 0"),
        (("--seconds", "nan"), "--seconds must be from 0.2 to 60, not nan"),
        (("--seconds", "61"), "not 61"),
        (("--sudo",), "there is no option --sudo"),
        (("everything",), "does not know what to do with 'everything'"),
    ],
)
def test_usage_errors(user: Place, arguments: tuple[str, ...], told: str) -> None:
    done = user.doctor(*arguments)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(r"jupyter green: [^\n]+\n", done.err), done.err
    assert told in done.err


def test_help(user: Place) -> None:
    done = user.doctor("--help")
    assert done.code == 0
    assert "jupyter green doctor --json" in done.out
    assert "--seconds" in done.out

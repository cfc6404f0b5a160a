"""`jupyter green doctor` as a user has it: a real process, on machines that are simulated."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from jupyter_green.doctor.findings import Examination, Gpu
from tests.integration.kernels import Home, running, until
from tests.simulators.gpu import (
    ENTRY_POINTS,
    GIB,
    GRACE_HOPPER,
    PASCAL_GPU,
    VOLTA_GPU,
    GpuProcess,
    NvmlMachine,
)
from tests.simulators.gpu import Gpu as Card
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


# --- GPUs ---------------------------------------------------------------------------------

ENERGY = "nvmlDeviceGetTotalEnergyConsumption"


def gpu(found: Examination, name: str) -> Gpu:
    return next(one for one in found.gpus if one.counter == name)


def said(found: Examination, about: str) -> str:
    return "\n".join(f"{one.verdict}: {one.text}" for one in found.checks if one.about == about)


@contextmanager
def once_watched(machine: NvmlMachine, do: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as the doctor has begun to watch."""

    def wait_and_do() -> None:
        until(lambda: machine.calls(ENERGY) > 40, timeout_s=60, what="a doctor that watches")
        do()

    thread = threading.Thread(target=wait_and_do)
    thread.start()
    yield
    thread.join()


def test_gpus_that_are_well(user: Place, tmp_path: Path) -> None:
    cards = [Card(tick_phase_s=0.03), Card(watts=90.0), VOLTA_GPU]
    with NvmlMachine(tmp_path / "nvml", cards) as machine:
        machine.processes(1, [GpuProcess(1, GIB)])
        found = user.doctor("--json", "--seconds", "1", **machine.environment).found()
        shown = user.doctor("--seconds", "1", COLUMNS="80", **machine.environment)

    assert found.driver == machine.driver
    for index, (watts, tick_s) in enumerate(((60.0, 0.1), (90.0, 0.1), (40.0, 0.02))):
        name = f"gpu-{index}"
        seen = next(one for one in found.counters if one.name == name)
        assert seen.power_w == pytest.approx(watts, rel=0.05)
        assert seen.update_s == pytest.approx(tick_s, rel=0.2)
        # A tick's energy to the millijoule; over two of them where one was not seen.
        assert seen.step_uj == pytest.approx(watts * tick_s * 1e6, abs=1000)
        assert "13 %" in seen.counter.accuracy
        card = gpu(found, name)
        assert card.name == cards[index].name
        assert card.difference == pytest.approx(0.0, abs=0.05)
        assert card.readings >= 5
        assert card.call_s is not None
        assert 0 < card.call_s < 0.05
        assert (card.used_by, card.others) == ((), int(index == 1))
    assert (shown.code, shown.err) == (0, "")
    assert all(len(line) <= 80 for line in shown.out.splitlines() if str(user.root) not in line)
    assert re.search(r"^  gpu-0 +[\d.]+ W +[\d.]+ ms .* if used$", shown.out, re.M)
    assert "2 x NVIDIA H100 80GB HBM3, 1 x" in shown.out
    assert "used by 1 other process" in shown.out
    assert not user.witness.exists(), user.witness.read_text()


def test_who_uses_a_gpu(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with NvmlMachine(tmp_path / "nvml", [Card(), Card()]) as machine:
        try:
            with running(home, **machine.environment) as kernel:
                kernel.ok("1")
                session = kernel.recorder().session
                machine.processes(0, [GpuProcess(kernel.pid, GIB)])
                machine.processes(1, [GpuProcess(kernel.pid, GIB), GpuProcess(1, GIB)])
                done = subprocess.run(
                    [*COMMAND, "--json", *SHORT],
                    env={**home.environment, **machine.environment},
                    capture_output=True,
                    encoding="utf-8",
                    timeout=100,
                    check=True,
                )
                asked = kernel.ok("%green doctor")
        finally:
            home.close()
    found = msgspec.json.decode(done.stdout, type=Examination)
    (recorder,) = found.recorders
    assert recorder.session == session
    name = recorder.notebook or recorder.session
    assert (gpu(found, "gpu-0").used_by, gpu(found, "gpu-0").others) == ((name,), 0)
    assert (gpu(found, "gpu-1").used_by, gpu(found, "gpu-1").others) == ((name,), 1)
    assert "whose energy is in its figures" in said(found, "gpu-1")
    assert "alone" in asked.shown[0]


def test_the_driver_of_the_host_lists_what_is_not_here(user: Place, tmp_path: Path) -> None:
    before = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*before, "true"], check=False).returncode:
        pytest.skip("no namespace of processes can be made here")
    with NvmlMachine(tmp_path / "nvml", [Card(), Card()]) as machine:
        machine.processes(0, [GpuProcess(2**22 - 1, GIB)])
        done = user.doctor(
            "--json", *SHORT, before=(*before, sys.executable), **machine.environment
        )
    found = done.found()
    assert gpu(found, "gpu-0").others is None
    assert "numbers of the host" in gpu(found, "gpu-0").hidden
    assert gpu(found, "gpu-1").others is None
    assert "may not list all" in gpu(found, "gpu-1").hidden
    assert said(found, "gpu-1").startswith("note: who uses it is not known")


def test_cards_that_are_different(user: Place, tmp_path: Path) -> None:
    cards = [PASCAL_GPU, Card(mig=True, mig_instances=2), GRACE_HOPPER]
    with NvmlMachine(tmp_path / "nvml", cards) as machine:
        found = user.doctor("--json", "--seconds", "1", **machine.environment).found()
    counters = {one.name: one for one in found.counters}
    assert counters["gpu-0"].counter.provenance == "integrated"
    assert counters["gpu-0"].power_w == pytest.approx(30.0, rel=0.01)
    assert "no energy counter" in said(found, "gpu-0")
    assert gpu(found, "gpu-1").instances == 2
    assert "MIG into 2 instances" in said(found, "gpu-1")
    assert "whole card" in counters["gpu-1"].counter.device
    assert not counters["module-2"].counter.counted
    assert counters["module-2"].power_w == pytest.approx(180.0, rel=0.05)
    assert "never added" in said(found, "module-2")
    cpu_w = sum(
        one.power_w or 0
        for one in found.counters
        if one.counter.source != "nvml" and one.counter.counted
    )
    assert found.power_w == pytest.approx(cpu_w), "GPUs count only while a notebook uses them"


def test_power_readings_that_see_only_the_valleys(user: Place, tmp_path: Path) -> None:
    """Of each 100 ms the sensor sees the last 25, and the load is high in the first 25."""
    with NvmlMachine(tmp_path / "nvml", [Card()]) as machine:
        origin_ns = machine.last_tick_ns(0, time.monotonic_ns())
        phase_s = (time.monotonic_ns() - origin_ns) / 1e9 % 0.1
        machine.square(0, 60.0, 400.0, 0.1, 0.25, phase_s)
        found = user.doctor("--json", "--seconds", "1", **machine.environment).found()
    seen = next(one for one in found.counters if one.name == "gpu-0")
    assert seen.power_w == pytest.approx(145.0, rel=0.05)
    assert gpu(found, "gpu-0").readings_w == pytest.approx(60.0, rel=0.05)
    assert gpu(found, "gpu-0").difference == pytest.approx(60 / 145 - 1, abs=0.05)
    assert "more than 10 % apart" in said(found, "gpu-0")


def test_a_gpu_that_is_lost_before(user: Place, tmp_path: Path) -> None:
    with NvmlMachine(tmp_path / "nvml", [Card(), Card()]) as machine:
        machine.lose(1)
        found = user.doctor("--json", *SHORT, **machine.environment).found()
    assert [one.counter for one in found.gpus] == ["gpu-0"]
    (refused,) = (one for one in found.refused if one.source == "nvml")
    assert refused.counter == "gpu-1"
    assert "lost" in refused.reason
    assert said(found, "NVIDIA").startswith("note: driver")
    assert "lost" in said(found, "NVIDIA")


def test_a_gpu_that_is_lost_meanwhile(user: Place, tmp_path: Path) -> None:
    with (
        NvmlMachine(tmp_path / "nvml", [Card(), Card()]) as machine,
        once_watched(machine, lambda: machine.lose(0)),
    ):
        found = user.doctor("--json", "--seconds", "3", **machine.environment).found()
    lost, well = (one for one in found.counters if one.counter.source == "nvml")
    assert (lost.power_w, lost.bound_j) == (None, None)
    assert "GPU is lost" in lost.problem
    assert found.missing == ("gpu-0",)
    assert said(found, "gpu-0").startswith("problem: ")
    assert well.power_w == pytest.approx(60.0, rel=0.05)


def test_a_driver_that_takes_its_time(user: Place, tmp_path: Path) -> None:
    with NvmlMachine(tmp_path / "nvml", [Card()]) as machine:
        machine.slow(0.2)
        found = user.doctor("--json", "--seconds", "1", **machine.environment).found()
        looks = machine.calls(ENERGY)
    seen = next(one for one in found.counters if one.name == "gpu-0")
    card = gpu(found, "gpu-0")
    assert card.call_s == pytest.approx(0.2, rel=0.5)
    assert (card.difference, seen.update_s) == (None, None)
    assert "the driver takes 2" in said(found, "gpu-0")
    # The bound is that of a driver that is late, not that of a prompt one.
    assert seen.power_w is not None
    assert seen.bound_j is not None
    assert seen.bound_j > 0.1 * seen.power_w
    assert looks <= 15


def test_a_driver_that_stops_answering(user: Place, tmp_path: Path) -> None:
    forever_s = 10_000.0
    with (
        NvmlMachine(tmp_path / "nvml", [Card(), Card()]) as machine,
        once_watched(machine, lambda: machine.slow(forever_s, 1)),
    ):
        found = user.doctor("--json", "--seconds", "2", **machine.environment).found()
    well, dead = (one for one in found.counters if one.counter.source == "nvml")
    assert well.power_w == pytest.approx(60.0, rel=0.05)
    assert dead.power_w is None
    assert "has not answered" in dead.problem


def test_a_driver_that_is_not_loaded(user: Place, tmp_path: Path) -> None:
    with NvmlMachine(tmp_path / "nvml", [Card()]) as machine:
        machine.unload_driver()
        found = user.doctor("--json", *SHORT, **machine.environment).found()
    (only,) = (one for one in found.checks if one.about == "NVIDIA")
    assert only.verdict == "note"
    assert "installed but not loaded" in only.text
    assert only.remedy == "sudo modprobe nvidia"
    assert not user.witness.exists(), user.witness.read_text()


def test_no_gpu_is_asked_for(user: Place, tmp_path: Path) -> None:
    user.configure(gpus="none")
    with NvmlMachine(tmp_path / "nvml", [Card()]) as machine:
        found = user.doctor("--json", *SHORT, **machine.environment).found()
        assert [name for name in ENTRY_POINTS if machine.calls(name)] == []
    assert said(found, "NVIDIA") == "ok: not looked for: JupyterGreen.gpus is none"

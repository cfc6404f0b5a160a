"""The recipes are those of the machine: its zones, its roots, its settings, and no more."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from jupyter_green.doctor import checks, remedies
from jupyter_green.doctor.findings import Check, Examination, Recipe
from jupyter_green.doctor.surroundings import Surroundings, look_around
from jupyter_green.events import Refusal
from jupyter_green.settings import Settings
from jupyter_green.sources import perf
from jupyter_green.sources.detect import detect
from jupyter_green.sources.rapl import Rapl
from tests.simulators import machine
from tests.simulators.cpu import FakeProc
from tests.simulators.machine import RaplMachine, Zone, build_tree
from tests.simulators.pmu import Cpu, SimulatedPmu, put

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="powercap is Linux's")

NOBODY = 65534
CONFIG = "/home/me/.jupyter/jupyter_green_config.json"


class Machine:
    """A tree of files, looked at by a user without rights."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(
            data_dir=str(root / "data"),
            sysfs_root=str(root / "sys"),
            procfs_root=str(root / "proc"),
        )
        self.environ: dict[str, str] = {}
        proc = FakeProc(root)
        proc.set_cpuinfo(count=4)
        proc.set_stat(user=100, cpus=4)
        proc.set_meminfo(2**24)

    def set(self, **changes: object) -> None:
        self.settings = structs.replace(self.settings, **changes)

    def zones(self, zones: tuple[Zone, ...], mode: int) -> list[Path]:
        build_tree(self.root, zones)
        paths = RaplMachine(self.root, zones)
        files = [paths.energy_file(zone.key) for zone in zones]
        for file in files:
            file.write_text("1000\n")
            file.chmod(mode)
        return files

    def in_container(self) -> None:
        (self.root / ".dockerenv").touch()

    def in_vm(self) -> None:
        cpuinfo = self.root / "proc/cpuinfo"
        flags = "flags\t\t: fpu hypervisor lahf_lm\n"
        cpuinfo.write_text(cpuinfo.read_text().replace("\n\n", f"\n{flags}\n"))

    def look(self) -> tuple[Surroundings, tuple[Recipe, ...], list[Refusal]]:
        root = str(self.root)
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        try:
            here = look_around(self.settings, self.environ, root)
            detection = detect(self.settings, environ=self.environ, root=root)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
        detection.close()
        found = remedies.recipes(here, detection.counters, detection.refused, CONFIG)
        return here, found, list(detection.refused)

    def recipes(self) -> tuple[Recipe, ...]:
        return self.look()[1]

    def gpu_check(self, *refused: Refusal) -> Check:
        here = look_around(self.settings, self.environ, str(self.root))
        found = Examination(container=here.container, refused=refused)
        all_checks = checks.checks(found, here, ("", 0.1), "", ())
        return next(check for check in all_checks if check.about == "NVIDIA")


@pytest.fixture
def here() -> Iterator[Machine]:
    root = Path(tempfile.mkdtemp(prefix="green-doctor-"))
    root.chmod(0o755)
    yield Machine(root)
    shutil.rmtree(root)


def lines(recipe: Recipe, word: str) -> tuple[str, ...]:
    """Of the only step that has the word in one of its lines."""
    (step,) = [step for step in recipe.steps if any(word in line for line in step.lines)]
    return step.lines


def titles(recipes: tuple[Recipe, ...]) -> list[str]:
    return [recipe.title.split()[0] for recipe in recipes]


def shown_by(*commands: str) -> list[str]:
    """What the shell writes into a file of root's when a command is pasted."""
    typed = "\n".join(commands).partition("| sudo tee ")[0].rstrip("\\ \n")
    done = subprocess.run(
        ["sh", "-c", typed], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.splitlines()


# --- closed counters ----------------------------------------------------------------------

CLOSED = 0o400 if os.geteuid() == 0 else 0
ZONES = [
    pytest.param(machine.one_socket(), id="one socket"),
    pytest.param(machine.two_sockets(), id="two sockets"),
    pytest.param(machine.multi_die(), id="two dies"),
    pytest.param(machine.with_mmio_twin(), id="seen twice"),
]


@pytest.mark.parametrize("zones", ZONES)
def test_the_tmpfiles_rule_names_the_zones_of_this_machine(
    here: Machine, zones: tuple[Zone, ...]
) -> None:
    files = here.zones(zones, CLOSED)
    opened = here.recipes()[0]
    rules = [rule.split() for rule in shown_by(*lines(opened, "systemd-tmpfiles"))]
    assert [rule[0] for rule in rules] == ["z"] * len(zones)
    assert {tuple(rule[2:]) for rule in rules} == {("0440", "root", "jupyter-green", "-")}
    named = [here.root / rule[1].lstrip("/") for rule in rules]
    # tmpfiles follows no links, and these are none.
    assert sorted(named) == sorted(files)
    assert all(rule[1].startswith("/sys/devices/") for rule in rules)


@pytest.mark.parametrize("zones", ZONES)
def test_what_the_rule_does_opens_them(here: Machine, zones: tuple[Zone, ...]) -> None:
    here.zones(zones, CLOSED)
    _, found, refused = here.look()
    assert {refusal.counter for refusal in refused if refusal.source == "rapl"}
    for rule in shown_by(*lines(found[0], "systemd-tmpfiles")):
        _, path, mode, *_ = rule.split()
        file = here.root / path.lstrip("/")
        file.chmod(int(mode, 8))
        if os.geteuid() == 0:
            os.chown(file, 0, NOBODY)
    if os.geteuid() == 0:
        os.setegid(NOBODY)
    try:
        _, found, refused = here.look()
    finally:
        if os.getuid() == 0:
            os.setegid(0)
    assert found == ()
    assert {r.source for r in refused if not r.by_choice} <= {"rapl"}  # DRAM that is not there
    assert not any("0400" in refusal.reason for refusal in refused)


@pytest.mark.parametrize("zones", ZONES)
def test_the_udev_rule_is_for_these_zones(here: Machine, zones: tuple[Zone, ...]) -> None:
    here.zones(zones, CLOSED)
    opened = here.recipes()[0]
    command, *apply = lines(opened, "udevadm trigger")
    (rule,) = shown_by(command)
    kernel = re.search(r'KERNEL=="([^"]+)"', rule)
    assert kernel is not None
    patterns = kernel[1].split("|")
    devices = os.listdir(here.root / "sys/class/powercap")
    meant = {name for name in devices if any(fnmatchcase(name, one) for one in patterns)}
    assert meant == {name for name in devices if ":" in name}
    assert rule.startswith('ACTION=="add", SUBSYSTEM=="powercap", ')
    assert re.findall(r'RUN\+="(\S+)', rule) == ["/bin/chgrp", "/bin/chmod"]
    # %p is the device's path below /sys.
    assert rule.count("/sys%p/energy_uj") == 2
    assert "--action=add --subsystem-match=powercap" in apply[-1]


def test_it_can_be_undone_and_says_what_it_opens(here: Machine) -> None:
    files = here.zones(machine.two_sockets(), CLOSED)
    opened = here.recipes()[0]
    remove, close, group = lines(opened, "groupdel")
    assert shlex.split(remove)[3:] == [remedies.UDEV_RULE, remedies.TMPFILES_RULE]
    assert shlex.split(close)[:3] == ["sudo", "chmod", "0400"]
    named = [here.root / path.lstrip("/") for path in shlex.split(close)[3:]]
    assert named == files
    assert group.endswith(remedies.GROUP)
    assert "PLATYPUS" in opened.opens
    assert "CVE-2020-8694" in opened.opens
    assert lines(opened, "doctor")[-1] == "jupyter green doctor"
    # A group, never everybody.
    assert not re.search(r"a\+r|0?444|o\+r", str(opened))


def test_every_line_is_one_that_a_shell_takes(here: Machine) -> None:
    here.zones(machine.one_socket(), CLOSED)
    for recipe in here.recipes():
        for step in recipe.steps:
            typed = "\n".join(step.lines)
            if typed.startswith("{"):
                continue
            subprocess.run(["sh", "-n", "-c", typed], check=True, timeout=20)


def test_where_the_settings_want_another_source(here: Machine) -> None:
    here.zones(machine.one_socket(), CLOSED)
    here.set(cpu_source="modelled")
    assert titles(here.recipes()) == ["Make"]


def test_open_counters_need_no_recipe(here: Machine) -> None:
    here.zones(machine.one_socket(), 0o444)
    assert here.recipes() == ()


def test_one_closed_zone_beside_an_open_one(here: Machine) -> None:
    *_, dram = here.zones(machine.one_socket(), 0o444)
    dram.chmod(CLOSED)
    (opened,) = here.recipes()
    (rule,) = shown_by(*lines(opened, "systemd-tmpfiles"))
    assert here.root / rule.split()[1].lstrip("/") == dram


# --- containers and virtual machines ------------------------------------------------------


def test_in_a_container(here: Machine) -> None:
    here.in_container()
    shown, model = here.recipes()
    assert shown.title.startswith("Show this container")
    (run,) = lines(shown, "-v /sys")
    assert "-v /sys:/host/sys:ro" in run
    (setting,) = lines(shown, "sysfs_root")
    assert json.loads(setting) == {"JupyterGreen": {"sysfs_root": "/host/sys"}}
    assert "PLATYPUS" in shown.opens
    assert model.title == "Make the model fit this machine"


def test_its_own_remedy_and_the_recipe_mount_the_same(here: Machine) -> None:
    here.in_container()
    flat = here.root / "sys/class/powercap"
    flat.mkdir(parents=True)
    (flat / "intel-rapl:0").symlink_to("../../devices/virtual/powercap/nowhere")
    source, (refusal,) = Rapl.find(here.root / "sys")
    assert source is None
    mount = re.search(r"-v \S+", refusal.remedy)
    assert mount is not None
    assert mount[0] in lines(here.recipes()[0], "-v /sys")[0]


def test_for_hubs(here: Machine) -> None:
    yaml = pytest.importorskip("yaml")
    here.environ["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    shown = here.recipes()[0]
    values = yaml.safe_load("\n".join(lines(shown, "singleuser:")))
    storage = values["singleuser"]["storage"]
    (volume,), (mount,) = storage["extraVolumes"], storage["extraVolumeMounts"]
    assert volume["hostPath"]["path"] == "/sys"
    assert mount == {"name": volume["name"], "mountPath": "/host/sys", "readOnly": True}
    assert values["hub"]["config"]["KubeSpawner"]["supplemental_gids"] == ["GID"]
    # On Kubernetes its step comes first.
    assert shown.steps[0].lines[0] == "singleuser:"
    config = SimpleNamespace(DockerSpawner=SimpleNamespace())
    exec("\n".join(lines(shown, "DockerSpawner")), {"c": config})
    assert config.DockerSpawner.volumes == {"/sys": {"bind": "/host/sys", "mode": "ro"}}


def test_closed_counters_that_a_container_has_mounted(here: Machine) -> None:
    here.in_container()
    here.zones(machine.one_socket(), CLOSED)
    opened, _ = here.recipes()
    assert "on the host, not in this container" in opened.steps[0].text
    assert any("--group-add" in line for step in opened.steps for line in step.lines)


def test_in_a_virtual_machine(here: Machine) -> None:
    here.in_vm()
    (model,) = here.recipes()
    assert model.title.startswith("A virtual machine has no energy counters")
    assert "node is itself" not in model.steps[0].text
    for step in model.steps:
        (section,) = json.loads(step.lines[0]).values()
        assert set(section) <= set(Settings.__struct_fields__)
        here.set(**section)
    assert CONFIG in model.steps[0].text
    # The model takes what the recipe says.
    detection = detect(here.settings, environ={}, root=str(here.root))
    assert detection.counters[0].assumption.startswith("20 + 100 W")
    assert detection.counters[0].assumption.endswith("x 1.15 calibrated")
    detection.close()


def test_in_a_container_on_a_virtual_machine(here: Machine) -> None:
    here.in_container()
    here.in_vm()
    (model,) = here.recipes()
    assert "node is itself a virtual machine" in model.steps[0].text


def test_without_a_driver(here: Machine) -> None:
    driver, _ = here.recipes()
    assert "sudo modprobe intel_rapl_msr" in lines(driver, "modprobe")
    FakeProc(here.root).set_cpuinfo(vendor="0x41")
    assert titles(here.recipes()) == ["Make"]


# --- perf ---------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [4, 2, 1])
def test_perf_instead(here: Machine, monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    here.zones(machine.one_socket(), CLOSED)
    put(here.root / "proc/sys/kernel/perf_event_paranoid", str(level))
    pmu = SimulatedPmu(here.root, {0: Cpu()}, ["energy-pkg"])
    pmu.refuses = errno.EACCES
    monkeypatch.setattr(perf, "SystemCalls", lambda: pmu)
    around, found, refused = here.look()
    assert around.paranoid == level
    assert titles(found) == ["Open", "Or", "Make"]
    opened = found[1]
    (rule,) = shown_by(lines(opened, "echo")[0])
    assert rule == "kernel.perf_event_paranoid = 0"
    assert f"is {level} " in opened.steps[0].text
    assert lines(opened, " rm ")[-1] == f"sudo sysctl kernel.perf_event_paranoid={level}"
    # perf's own remedy is for now; both set the same.
    remedy = next(refusal.remedy for refusal in refused if refusal.source == "perf")
    assert "kernel.perf_event_paranoid=0" in remedy


# --- GPUs ---------------------------------------------------------------------------------


def on_the_bus(here: Machine, number: int = 1) -> None:
    for index in range(number):
        device = here.root / f"sys/bus/pci/devices/0000:0{index}:00.0"
        put(device / "vendor", "0x10de")
        put(device / "class", "0x030200")
    other = here.root / "sys/bus/pci/devices/0000:0f:00.0"
    put(other / "vendor", "0x10de")
    put(other / "class", "0x040300")  # the sound of its plugs


def driver(here: Machine) -> None:
    text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.288.01  Mon Jan  5 00:00:00 UTC"
    put(here.root / "proc/driver/nvidia/version", text)


def test_no_gpu(here: Machine) -> None:
    told = here.gpu_check()
    assert (told.verdict, told.remedy) == ("ok", "")
    assert told.text.startswith("no GPU of NVIDIA")


def test_a_gpu_without_its_driver(here: Machine) -> None:
    on_the_bus(here, 2)
    told = here.gpu_check()
    assert told.text == "2 GPUs on the PCI bus, and no NVIDIA driver"
    assert "install NVIDIA's driver" in told.remedy
    here.in_container()
    assert "--gpus all" in here.gpu_check().remedy


def test_a_driver_whose_gpus_the_container_does_not_see(here: Machine) -> None:
    driver(here)
    here.in_container()
    told = here.gpu_check()
    assert told.text == "driver 535.288.01 is loaded, and this process sees no GPU"
    assert "nvidia-container-toolkit" in told.remedy


def test_gpus_without_the_library(here: Machine) -> None:
    driver(here)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        put(here.root / "dev" / name, "")
    told = here.gpu_check()
    assert told.verdict == "note"
    assert told.text == "2 GPUs (driver 535.288.01), of which no energy is read"
    assert "NVIDIA_DRIVER_CAPABILITIES=utility" in told.remedy


def test_what_nvml_says_itself_comes_first(here: Machine) -> None:
    put(here.root / "dev/nvidia0", "")
    told = here.gpu_check(Refusal(source="nvml", reason="its version is 1", remedy="a newer one"))
    assert told.text.endswith("of which no energy is read: its version is 1")
    assert told.remedy == "a newer one"

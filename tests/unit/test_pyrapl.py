"""pyRAPL as a source: refused with a reason where it cannot work, and the real package where it is.

Its paths are fixed, so that only refusals can be had on a machine without RAPL. To see it read,
the names by which it opens files are replaced; everything else is its own code.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from jupyter_green.sources.pyrapl import PyRapl
from tests.simulators import machine
from tests.simulators.machine import RaplMachine, Zone, build_tree
from tests.simulators.pmu import Cpu, describe_cpus, names_for_pyrapl

SECOND_NS = 1_000_000_000
installed = pytest.mark.skipif(find_spec("pyRAPL") is None, reason="pyRAPL is not installed")


class Tree:
    """A machine that pyRAPL is shown instead of this one."""

    def __init__(self, root: Path, zones: tuple[Zone, ...], cpus: dict[int, Cpu]) -> None:
        self._machine = RaplMachine(root, zones)
        build_tree(root, zones)
        describe_cpus(root, cpus)
        for zone in zones:
            self.set(zone.key, "1000")

    def set(self, key: str, text: str) -> None:
        self._machine.energy_file(key).write_text(f"{text}\n")

    def remove(self, key: str) -> None:
        self._machine.energy_file(key).unlink()


def show(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source has odd escapes
        package = pytest.importorskip("pyRAPL")
    for name, value in names_for_pyrapl(root / "sys").items():
        monkeypatch.setattr(package.device_api, name, value, raising=False)


def tree(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    zones: tuple[Zone, ...],
    cpus: dict[int, Cpu] | None = None,
) -> Tree:
    show(root, monkeypatch)
    return Tree(root, zones, cpus or {0: Cpu(0)})


def found() -> PyRapl:
    source, _ = PyRapl.find("/sys")
    assert source is not None
    return source


def names(source: PyRapl) -> list[str]:
    return [info.name for info in source.counters]


# Refusals


def test_another_sysfs_is_refused(tmp_path: Path) -> None:
    source, refused = PyRapl.find(tmp_path)
    assert source is None
    assert len(refused) == 1
    assert refused[0].reason == f"pyRAPL reads /sys only, and sysfs_root is {tmp_path}"
    assert "cpu_source" in refused[0].remedy


def test_without_the_package_its_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyRAPL", None)
    source, refused = PyRapl.find("/sys/")
    assert source is None
    assert [(r.reason, r.remedy) for r in refused] == [
        ("the package pyRAPL is not installed here", "pip install 'jupyter-green[pyrapl]'")
    ]


@installed
@pytest.mark.skipif(Path("/sys/class/powercap/intel-rapl").exists(), reason="there is RAPL here")
def test_this_machine_has_no_rapl() -> None:
    source, refused = PyRapl.find("/sys")
    assert source is None
    assert refused
    assert all(refusal.reason.startswith("pyRAPL") for refusal in refused)


@installed
def test_several_dies_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, monkeypatch, machine.multi_die())
    source, refused = PyRapl.find("/sys")
    assert source is None
    assert [refusal.counter for refusal in refused] == ["package-0", "dram-0"]
    assert "several dies" in refused[0].reason


@installed
def test_packages_without_dram_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, monkeypatch, machine.dram_on_one_socket(), {0: Cpu(0), 1: Cpu(1)})
    source, refused = PyRapl.find("/sys")
    assert source is not None
    assert names(source) == ["package-0", "package-1", "dram-1"]
    assert [(r.counter, "no DRAM" in r.reason) for r in refused] == [("dram-0", True)]
    source.close()


@installed
def test_what_pyrapl_throws_becomes_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(tmp_path, monkeypatch)  # not even a list of CPUs
    source, refused = PyRapl.find("/sys")
    assert source is None
    assert "present" in refused[0].reason
    assert "No such file" in refused[0].reason
    assert "\n" not in refused[0].reason


@installed
def test_counters_that_only_root_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, monkeypatch, machine.one_socket())
    package = sys.modules["pyRAPL"].device_api

    def refuse(path: str, mode: str = "r") -> object:
        if path.endswith("energy_uj"):
            raise PermissionError(13, "Permission denied", path)
        return names_for_pyrapl(tmp_path / "sys")["open"](path, mode)  # type: ignore[operator]

    monkeypatch.setattr(package, "open", refuse)
    source, refused = PyRapl.find("/sys")
    assert source is None
    path = "/sys/class/powercap/intel-rapl/intel-rapl:0/energy_uj"
    assert refused[0].reason.startswith(f"{path} is readable by root only")
    assert refused[0].remedy.startswith(f"sudo chmod a+r {path}")


# Readings


@installed
def test_counters_and_their_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, monkeypatch, machine.two_sockets(), {0: Cpu(0), 1: Cpu(1)})
    source = found()
    assert names(source) == ["package-0", "dram-0", "package-1", "dram-1"]
    assert [info.range_uj for info in source.counters] == [
        machine.CLIENT_RANGE_UJ,
        machine.DRAM_RANGE_UJ,
    ] * 2
    assert [info.clock for info in source.counters] == ["socket-0"] * 2 + ["socket-1"] * 2
    assert not source.in_place
    source.close()


@installed
def test_readings_are_whole_microjoules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tree(tmp_path, monkeypatch, machine.one_socket())
    source = found()
    shown.set("package-0", str(machine.CLIENT_RANGE_UJ - 1))
    assert source.read(0) == {"package-0": machine.CLIENT_RANGE_UJ - 1, "dram-0": 1000}
    shown.set("package-0", "7")
    assert source.read(1) == {"package-0": 7, "dram-0": 1000}
    source.close()


@installed
@pytest.mark.parametrize("text", ["", "garbage", "-5", "nan"])
def test_what_is_no_reading_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    shown = tree(tmp_path, monkeypatch, machine.one_socket())
    source = found()
    shown.set("dram-0", text)
    assert source.read(0) == {"package-0": 1000}
    assert "pyRAPL" in source.problems["dram-0"].reason
    shown.set("dram-0", "2000")
    assert source.read(SECOND_NS // 2) == {"package-0": 1000}
    assert source.read(SECOND_NS) == {"package-0": 1000, "dram-0": 2000}
    assert not source.problems
    source.close()


@installed
def test_a_counter_that_is_there_and_unreadable_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tree(tmp_path, monkeypatch, machine.one_socket())
    shown.remove("dram-0")
    source = found()
    assert names(source) == ["package-0", "dram-0"]
    assert set(source.read(0)) == {"package-0"}
    assert "energy_uj: No such file" in source.problems["dram-0"].reason
    source.close()


@installed
def test_logging_is_left_as_it_was() -> None:
    code = (
        "import logging; from jupyter_green.sources.pyrapl import PyRapl; PyRapl.find('/sys'); "
        "print(logging.root.handlers, logging.root.manager.disable)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["[]", str(logging.NOTSET)]
    assert done.stderr == ""

"""A simulated energy PMU: its description in sysfs, and descriptors that count what it draws.

Also what else a tree under ``root/sys`` needs for those who look for the processor's packages.
"""

from __future__ import annotations

import builtins
import errno
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

TYPE = 23
SCALE = "2.3283064365386962890625e-10"
COUNTS_PER_J = 2**32

CODES = {
    "energy-cores": 1,
    "energy-pkg": 2,
    "energy-ram": 3,
    "energy-gpu": 4,
    "energy-psys": 5,
}


@dataclass(frozen=True)
class Cpu:
    """Where a CPU sits."""

    package: int = 0
    die: int = 0


@dataclass(frozen=True)
class _Counting:
    """One opened event. Its count lies in a file, so that a forked child sees it go on."""

    key: tuple[int, int]
    path: Path
    began_uj: int


class SimulatedPmu:
    """The PMU *power* of a machine under ``root/sys``, and the system calls that open it.

    ``cpus`` are those of the cpumask. As in Linux, an event counts from 0 when it is opened,
    and one that is out of order gives no bytes.
    """

    def __init__(self, root: Path, cpus: Mapping[int, Cpu], events: Iterable[str]) -> None:
        self.sysfs = root / "sys"
        self.directory = self.sysfs / "bus/event_source/devices/power"
        self.refuses: int | None = None
        """The errno with which every opening ends."""
        self.opened: list[tuple[int, int, int]] = []
        """Type, config and CPU of every opening that was asked for."""
        self.descriptors: list[int] = []
        """What every opening that worked gave."""
        self._files = root / "counts"
        self._files.mkdir()
        self._uj = {(CODES[event], cpu): 0 for event in events for cpu in cpus}
        self._spoilt: set[tuple[int, int]] = set()
        self._counting: list[_Counting] = []
        describe_cpus(root, cpus)
        self._describe(cpus, events)

    # -- the machine

    def draw(self, event: str, cpu: int, microjoules: int) -> None:
        """Use energy."""
        key = CODES[event], cpu
        self._uj[key] += microjoules
        for counting in self._counting:
            if counting.key == key:
                self._write(counting)

    def spoil(self, event: str, cpu: int) -> None:
        """Put the event out of order: what is open counts no more, and no more is opened."""
        key = CODES[event], cpu
        self._spoilt.add(key)
        for counting in self._counting:
            if counting.key == key:
                counting.path.write_bytes(b"")
        self._counting = [counting for counting in self._counting if counting.key != key]

    def mend(self, event: str, cpu: int) -> None:
        """Let the event be opened again."""
        self._spoilt.discard((CODES[event], cpu))

    # -- the system calls

    def open(self, type_: int, config: int, cpu: int) -> int:
        self.opened.append((type_, config, cpu))
        key = config, cpu
        if self.refuses is not None:
            raise OSError(self.refuses, os.strerror(self.refuses))
        if type_ != TYPE or key not in self._uj:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if key in self._spoilt:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        path = self._files / f"{len(self.opened)}"
        counting = _Counting(key, path, self._uj[key])
        self._counting.append(counting)
        self._write(counting)
        self.descriptors.append(os.open(path, os.O_RDONLY))
        return self.descriptors[-1]

    def read(self, descriptor: int) -> bytes:
        # A read of an event moves no position; a file's would.
        return os.pread(descriptor, 8, 0)

    # -- inner parts

    def _write(self, counting: _Counting) -> None:
        microjoules = self._uj[counting.key] - counting.began_uj
        count = microjoules * COUNTS_PER_J // 1_000_000
        counting.path.write_bytes(count.to_bytes(8, sys.byteorder))

    def _describe(self, cpus: Mapping[int, Cpu], events: Iterable[str]) -> None:
        put(self.directory / "type", str(TYPE))
        put(self.directory / "cpumask", ",".join(map(str, cpus)))
        put(self.directory / "format" / "event", "config:0-7")
        for event in events:
            put(self.directory / "events" / event, f"event=0x{CODES[event]:02x}")
            put(self.directory / "events" / f"{event}.unit", "Joules")
            put(self.directory / "events" / f"{event}.scale", SCALE)


def describe_cpus(root: Path, cpus: Mapping[int, Cpu]) -> None:
    """Write ``sys/devices/system/cpu``."""
    top = root / "sys/devices/system/cpu"
    put(top / "present", ",".join(map(str, cpus)))
    for number, cpu in cpus.items():
        put(top / f"cpu{number}/topology/physical_package_id", str(cpu.package))
        put(top / f"cpu{number}/topology/die_id", str(cpu.die))


def names_for_pyrapl(sysfs: Path) -> dict[str, object]:
    """What to put over the names in ``pyRAPL.device_api``, so that ``/sys`` is another directory.

    Its paths are literals inside functions, but it opens and looks for files by these names only.
    """

    def there(path: str) -> str:
        return path.replace("/sys", str(sysfs), 1)

    def open_there(path: str, mode: str = "r") -> TextIO:
        return builtins.open(there(path), mode, encoding="ascii")  # type: ignore[return-value]

    exists = SimpleNamespace(exists=lambda path: os.path.exists(there(path)))
    return {"open": open_there, "os": SimpleNamespace(path=exists)}


def put(path: Path, text: str) -> None:
    """One line in a file, as sysfs shows it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")

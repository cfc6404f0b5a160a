"""RAPL through Linux powercap: the processor's own energy counters, for Intel and AMD.

Facts from the kernel's ``Documentation/power/powercap/powercap.rst`` and
``drivers/powercap/intel_rapl_common.c``: each zone has a ``name`` and a counter ``energy_uj``
that moves about every millisecond and wraps at ``max_energy_range_uj``. *core* and *uncore* lie
inside their package, *psys* is the whole platform; only packages and *dram* may be added up.
AMD's counters (Linux 5.11) appear under Intel's names. ``intel-rapl-mmio`` shows packages a
second time that ``intel-rapl`` shows already.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo, Refusal
from jupyter_green.sources.counter import Problem

NAME = "rapl"

_CLASS = "/class/powercap/"
_RETRY_NS = 1_000_000_000
_READ_BYTES = 32  # a 64-bit number has 20 digits
_RESOLUTION_S = 0.001
_UW_PER_W = 1_000_000

_DEVICE = re.compile(r"intel-rapl[a-z-]*(?::\d+)*")
_PACKAGE = re.compile(r"package-(?P<number>\d+(?:-die-\d+)?)")
_PARTS = {"dram": "memory", "core": "cores", "uncore": "graphics and uncore"}
_COUNTED = ("package", "dram")

# Only to tell a wrap from a reset, hence generous: limits in sysfs are often 0, and peaks of a
# few milliseconds exceed them.
_LEAST_BOUND_W = {"dram": 400.0, "psys": 4000.0}
_LEAST_BOUND_ELSE_W = 1000.0
_PEAK_OVER_LIMIT = 4.0
_ABSURD_LIMIT_W = 1000.0  # of one package: an unset register, not a limit


class Rapl:
    """The counters of this machine's powercap zones. Made by :meth:`find`."""

    name = NAME
    in_place = True
    absolute = True

    def __init__(self, files: Iterable[CounterFile]) -> None:
        self._files = tuple(files)
        self._counters = tuple(file.info for file in self._files)
        self._closed = False
        self._live: tuple[tuple[str, int], ...] = ()
        self._problems: dict[str, Problem] = {}
        self._sort_out()

    @classmethod
    def find(cls, sysfs_root: str | os.PathLike[str]) -> tuple[Rapl | None, list[Refusal]]:
        """The RAPL of the machine whose sysfs is mounted at ``sysfs_root``, and what is refused.

        None without a package that can be read now. A counted zone that cannot be read beside
        a package that can stays among the counters, so that totals know what they miss.
        """
        if not hasattr(os, "pread"):
            return None, [_refuse("powercap exists on Linux only")]
        try:
            zones = _find_zones(sysfs_root)
        except UnreadableCounter as error:
            return None, [_refuse(error.reason, remedy=error.remedy)]
        files, refused = _open_once(zones)
        kept = [file for file in files if file.problem is None or file.info.counted]
        if not any(file.info.domain == "package" and file.problem is None for file in files):
            kept = []
        for file in files:
            if file not in kept:
                file.drop()
                refused.append(_refuse_file(file))
        return (cls(kept) if kept else None), refused

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return self._counters

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._problems

    def read(self, now_ns: int) -> dict[str, int]:
        """Raw microjoules by counter. A lost zone is looked for at most once a second."""
        # The hot path: one system call a zone, and nothing else that could be left out.
        pread = os.pread
        values: dict[str, int] = {}
        for name, descriptor in self._live:
            try:
                value = int(pread(descriptor, _READ_BYTES, 0))
            except (OSError, ValueError):
                continue
            if value >= 0:
                values[name] = value
        if len(values) < len(self._counters) and not self._closed:
            self._look_again(values, now_ns)
        return values

    def close(self) -> None:
        """Give the descriptors back. Closing twice is harmless."""
        self._closed = True
        self._live = ()
        for file in self._files:
            file.drop()
        closed = Problem("the source is closed")
        self._problems = {info.name: closed for info in self._counters}

    def _look_again(self, values: dict[str, int], now_ns: int) -> None:
        for file in self._files:
            if file.info.name not in values:
                value = file.try_again(now_ns)
                if value is not None:
                    values[file.info.name] = value
        self._sort_out()

    def _sort_out(self) -> None:
        self._live = tuple(
            (file.info.name, file.descriptor)
            for file in self._files
            if file.descriptor is not None and file.problem is None
        )
        self._problems = {
            file.info.name: file.problem for file in self._files if file.problem is not None
        }


class CounterFile:
    """One ``energy_uj``, its kept descriptor, and why it cannot be read now."""

    def __init__(self, info: CounterInfo, path: str) -> None:
        self.info = info
        self.path = path
        self.descriptor: int | None = None
        self.problem: Problem | None = None
        self._identity: tuple[int, int] | None = None
        self._retry_ns: int | None = None

    def try_again(self, now_ns: int) -> int | None:
        """Microjoules from a new descriptor; None, too, if that failed less than 1 s ago."""
        if self._retry_ns is not None and now_ns < self._retry_ns:
            return None
        value = self.reopen()
        self._retry_ns = now_ns + _RETRY_NS if value is None else None
        return value

    def reopen(self) -> int | None:
        """Microjoules; None leaves a problem.

        The descriptor of a zone that went never works again, even when the zone is back.
        """
        self.drop()
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY)
            self._identity = _identity(self.descriptor)
            value = _parse(os.pread(self.descriptor, _READ_BYTES, 0), self.path)
        except OSError as error:
            self.problem = _problem(error, self.path)
        except UnreadableCounter as error:
            self.problem = Problem(error.reason, error.remedy)
        else:
            self.problem = None
            return value
        return None

    def drop(self) -> None:
        """Close the descriptor."""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is None:
            return
        # This runs in the user's process. Code that closes descriptors wholesale may have got
        # our number for a file of its own, and that one must stay open.
        with contextlib.suppress(OSError):
            if _identity(descriptor) == self._identity:
                os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _parse(text: bytes, path: str) -> int:
    """The counter's value in microjoules."""
    if not text:
        raise UnreadableCounter(f"{path} is empty: the zone is gone")
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise UnreadableCounter(f"{path} holds no energy but {text!r}")
    return value


def _problem(error: OSError, path: str) -> Problem:
    if isinstance(error, PermissionError):
        reason = f"{path} is readable by root only (mode 0400) since Linux 5.10, CVE-2020-8694"
        return Problem(reason, _remedy(path))
    return Problem(f"{path}: {error.strerror}")


def _remedy(path: str) -> str:
    """The shell line that opens this zone and its likes, through the links of the class."""
    top, zone = path[: path.index(_CLASS) + len(_CLASS)], path[path.index(_CLASS) + len(_CLASS) :]
    return open_up(shlex.quote(top) + re.sub(r"(?::[0-9]+)+", ":*", zone))


def open_up(files: str) -> str:
    """The line that opens counters to everybody for now, and where to find the better one."""
    return (
        f"sudo chmod a+r {files}  # until reboot, for everybody; "
        "`jupyter green doctor`: for good, for a group"
    )


# --- the zones of a machine ---------------------------------------------------------------


@dataclass(frozen=True)
class _Zone:
    """One powercap zone as the kernel shows it."""

    key: str
    """The device's name, unique in the machine: ``intel-rapl:0:1``."""
    path: str
    kernel_name: str
    """The content of ``name``: package-0, dram, ..."""
    package: str | None
    """What follows ``package-`` in the package's name: ``0``, or ``0-die-1``."""

    @property
    def mmio(self) -> bool:
        return not self.key.startswith("intel-rapl:")

    @property
    def numbers(self) -> str:
        return self.key.partition(":")[2].replace(":", "-")

    @property
    def domain(self) -> str:
        if _PACKAGE.fullmatch(self.kernel_name):
            return "package"
        return self.kernel_name if self.kernel_name in (*_PARTS, "psys") else "other"


def package_limits_w(sysfs_root: str | os.PathLike[str]) -> list[float | None]:
    """The long-term (thermal) limit in watts of each package; None where there is none.

    These files are world-readable, also where the counters are not.
    """
    try:
        zones = _find_zones(sysfs_root)
    except UnreadableCounter:
        return []
    packages = {
        zone.kernel_name: zone
        for zone in sorted(zones, key=lambda zone: not zone.mmio)  # so that MSRs overwrite MMIO
        if zone.domain == "package"
    }
    return [_long_term_w(zone.path) for zone in packages.values()]


def _long_term_w(path: str) -> float | None:
    for entry in _list(path):
        if entry.endswith("_name") and _text(os.path.join(path, entry)) == "long_term":
            limit_file = entry.removesuffix("_name") + "_power_limit_uw"
            limit_w = (_number(os.path.join(path, limit_file)) or 0) / _UW_PER_W
            return limit_w if 0 < limit_w <= _ABSURD_LIMIT_W else None
    return None


def _find_zones(sysfs_root: str | os.PathLike[str]) -> list[_Zone]:
    """All zones in the order of their numbers.

    Raises:
        UnreadableCounter: there are none.
    """
    top = os.fspath(sysfs_root).rstrip("/") + _CLASS
    if not os.path.isdir(top):
        raise UnreadableCounter(
            f"no powercap tree at {top} (virtual machine, container or other processor)"
        )
    directories = _zone_directories(top)
    if not directories:
        raise UnreadableCounter(*_why_none(top))
    names = {key: _text(os.path.join(path, "name")) for key, path in directories.items()}
    return [
        _Zone(key, path, names[key] or "unnamed", _package_of(key, names))
        for key, path in sorted(directories.items(), key=lambda item: _order(item[0]))
    ]


def _zone_directories(top: str) -> dict[str, str]:
    """Each zone's directory by its device name.

    The class shows every zone once more as a flat link, so that most are met twice; and links
    back to the class make circles. Device names are unique, so one visit of each is enough.
    """
    found: dict[str, str] = {}
    waiting = [top]
    for directory in waiting:
        for entry in sorted(_list(directory)):
            path = os.path.join(directory, entry)
            if entry not in found and _DEVICE.fullmatch(entry) and os.path.isdir(path):
                found[entry] = path
                waiting.append(path)
    return {key: path for key, path in found.items() if ":" in key}


def _why_none(top: str) -> tuple[str, str]:
    if any(":" in entry for entry in _list(top) if _DEVICE.fullmatch(entry)):
        return (
            f"the zones in {top} lead nowhere: container runtimes hide them (CVE-2020-8694)",
            "mount the host's sysfs into the container and name it as sysfs_root, "
            "for example with: docker run -v /sys:/host/sys:ro",
        )
    return f"no RAPL zones in {top} (virtual machine or other processor)", ""


def _order(key: str) -> tuple[str, list[int]]:
    interface, *numbers = key.split(":")
    return interface, [int(number) for number in numbers]


def _package_of(key: str, names: Mapping[str, str | None]) -> str | None:
    while ":" in key:
        match = _PACKAGE.fullmatch(names.get(key) or "")
        if match:
            return match["number"]
        key = key.rpartition(":")[0]
    return None


# --- counters from zones ------------------------------------------------------------------


def _open_once(zones: Iterable[_Zone]) -> tuple[list[CounterFile], list[Refusal]]:
    """A file for each counter, opened, but one only for a zone that two interfaces show."""
    zones = list(zones)
    twins = dict(_named(zone for zone in zones if zone.mmio))
    files: list[CounterFile] = []
    refused: list[Refusal] = []
    for name, zone in _named(zone for zone in zones if not zone.mmio):
        file, twin = _open(name, zone), twins.pop(name, None)
        if twin is not None:
            file, refusal = _choose(file, zone, name, twin)
            refused.append(refusal)
        files.append(file)
    files += [_open(name, zone) for name, zone in twins.items()]
    return files, refused


def _choose(file: CounterFile, zone: _Zone, name: str, twin: _Zone) -> tuple[CounterFile, Refusal]:
    """The MMIO twin only where the zone itself cannot be read and the twin can."""
    if file.problem is not None:
        other = _open(name, twin)
        if other.problem is None:
            refusal = _refuse_file(file)
            return other, _refuse(refusal.reason, zone.key, refusal.remedy)
        other.drop()
    return file, _refuse(f"shows {name} a second time; it is counted once, by {zone.key}", twin.key)


def _open(name: str, zone: _Zone) -> CounterFile:
    file = CounterFile(_describe(name, zone), os.path.join(zone.path, "energy_uj"))
    file.reopen()
    return file


def _named(zones: Iterable[_Zone]) -> Iterator[tuple[str, _Zone]]:
    """Each zone of one interface with a name that no other has."""
    taken: set[str] = set()
    for zone in zones:
        name = _plain_name(zone)
        if name in taken and zone.domain == "psys":
            name = next(n for i in range(1, len(taken) + 1) if (n := f"psys-{i}") not in taken)
        elif name in taken:
            name = f"{name}-zone-{zone.numbers}"
        taken.add(name)
        yield name, zone


def _plain_name(zone: _Zone) -> str:
    if zone.domain not in _PARTS:
        return zone.kernel_name
    return f"{zone.kernel_name}-{zone.package or f'zone-{zone.numbers}'}"


def _describe(name: str, zone: _Zone) -> CounterInfo:
    within = f"package-{zone.package}" if zone.package is not None else None
    platform = zone.domain == "psys"
    return CounterInfo(
        name=name,
        domain=zone.domain,
        source=NAME,
        provenance="measured",
        # Server psys zones (Sapphire Rapids) step by 1 J, but the kernel publishes the unit
        # nowhere, so that no quantum can be given here.
        resolution_s=_RESOLUTION_S,
        counted=zone.domain in _COUNTED,
        part_of=within if zone.domain in ("core", "uncore") else None,
        clock=f"socket-{zone.package}" if within and not platform else name,
        range_uj=_number(os.path.join(zone.path, "max_energy_range_uj")) or None,
        max_power_w=_largest_plausible_w(zone),
        scope="platform" if platform else "machine",
        device=_device(zone),
    )


def _device(zone: _Zone) -> str:
    if zone.domain == "psys":
        return "whole platform"
    owner = f"package {zone.package.replace('-die-', ', die ')}" if zone.package else "processor"
    if zone.domain == "package":
        return owner
    return f"{_PARTS.get(zone.domain, zone.kernel_name)} of {owner}"


def _largest_plausible_w(zone: _Zone) -> float:
    limits_w = [
        (_number(os.path.join(zone.path, entry)) or 0) / _UW_PER_W
        for entry in _list(zone.path)
        if entry.startswith("constraint_") and entry.endswith(("_max_power_uw", "_power_limit_uw"))
    ]
    known_w = max((limit for limit in limits_w if limit <= _ABSURD_LIMIT_W), default=0.0)
    return max(_PEAK_OVER_LIMIT * known_w, _LEAST_BOUND_W.get(zone.domain, _LEAST_BOUND_ELSE_W))


# --- small things -------------------------------------------------------------------------


def _refuse(reason: str, counter: str | None = None, remedy: str = "") -> Refusal:
    return Refusal(source=NAME, counter=counter, reason=reason, remedy=remedy)


def _refuse_file(file: CounterFile) -> Refusal:
    problem = file.problem or Problem("no package can be read beside it")
    return _refuse(problem.reason, file.info.name, problem.remedy)


def _list(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def _number(path: str) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None

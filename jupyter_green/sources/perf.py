"""RAPL through Linux ``perf_event``: the processor's counters where powercap's files are closed.

Facts from ``man 2 perf_event_open``, the kernel's ``arch/x86/events/rapl.c`` and its
``Documentation/ABI/testing/sysfs-bus-event_source-devices-events``: the PMU *power* has an event
``energy-*`` for each domain, whose 64-bit count times ``scale`` (2**-32) is in ``unit`` (Joules).
``cpumask`` names one CPU of each package, or of each die where every die has counters of its own.
The kernel follows the 32-bit registers itself, so counts do not wrap (2**64 are 4.3 GJ).

An event counts from 0 when it is opened. It cannot be shared with a process that is not a child,
so each process has counts of its own, which differ by what was used before it opened them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo, Refusal
from jupyter_green.sources.counter import Problem
from jupyter_green.sources.cpu_table import parse_cpuinfo

NAME = "perf"

_PMU = "bus/event_source/devices/power"
_PARANOID = "sys/kernel/perf_event_paranoid"
_RETRY_NS = 1_000_000_000
_COUNT_BYTES = 8
_RESOLUTION_S = 0.001
_UJ_PER_J = 1_000_000

_DOMAINS = {
    "energy-pkg": "package",
    "energy-cores": "core",
    "energy-gpu": "uncore",  # powercap's name for the same register, PP1
    "energy-ram": "dram",
    "energy-psys": "psys",
}
_PARTS = {"core": "cores", "uncore": "graphics and uncore", "dram": "memory"}
_COUNTED = ("package", "dram")

# Nothing wraps here; this only keeps an absurd count out, hence generous.
_MAX_POWER_W = {"dram": 400.0, "psys": 4000.0}
_MAX_POWER_ELSE_W = 2000.0

# perf_event_attr as Linux 2.6.31 had it, which every later kernel takes: type, size, config, and
# 0 for the rest. A 0 also means: no sampling, nothing excluded, counting at once.
_ATTRIBUTES = struct.Struct("=IIQ48x")
_CALL_NUMBERS = {"x86_64": 298, "aarch64": 241}
_ALL_PROCESSES = -1
_NO_GROUP = -1
_FLAG_FD_CLOEXEC = 8

_ONE_FOR_A_PACKAGE = ("AuthenticAMD", "HygonGenuine")


class Opener(Protocol):
    """The two system calls that a count takes."""

    def open(self, type_: int, config: int, cpu: int) -> int:
        """A descriptor that counts one event from 0 on, of all processes on one CPU.

        Raises:
            OSError: as the kernel says it.
        """
        ...

    def read(self, descriptor: int) -> bytes:
        """The count now, in eight bytes; fewer where the event does not count any more."""
        ...


class SystemCalls:
    """The kernel's own."""

    def open(self, type_: int, config: int, cpu: int) -> int:
        import ctypes  # noqa: PLC0415 - not before it is needed

        machine = os.uname().machine if sys.platform == "linux" else sys.platform
        if machine not in _CALL_NUMBERS or sys.maxsize < 2**32:
            raise OSError(errno.ENOSYS, f"the number of this call is not known on {machine}")
        size = _ATTRIBUTES.size
        attributes = ctypes.create_string_buffer(_ATTRIBUTES.pack(type_, size, config), size)
        syscall = ctypes.CDLL(None, use_errno=True).syscall
        syscall.restype = ctypes.c_long
        syscall.argtypes = [ctypes.c_long, ctypes.c_void_p, *[ctypes.c_long] * 4]
        descriptor: int = syscall(
            _CALL_NUMBERS[machine],
            attributes,
            _ALL_PROCESSES,
            cpu,
            _NO_GROUP,
            _FLAG_FD_CLOEXEC,
        )
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return descriptor

    def read(self, descriptor: int) -> bytes:
        # Not pread: these descriptors have no position, and refuse to be given one.
        return os.read(descriptor, _COUNT_BYTES)


class Perf:
    """The counters of this machine's energy PMU. Made by :meth:`find`."""

    name = NAME
    # The kernel's and the recorder's counts begin at different times, so that one cannot go on
    # from the other. Also, the CPU of the counter has to be interrupted for each count.
    in_place = False
    absolute = False

    def __init__(self, readers: Iterable[PerfCounter]) -> None:
        self._readers = tuple(readers)
        self._counters = tuple(reader.info for reader in self._readers)
        self._closed = False
        self._problems: dict[str, Problem] = {}
        self._note_problems()

    @classmethod
    def find(
        cls,
        sysfs_root: str | os.PathLike[str],
        procfs_root: str | os.PathLike[str] = "/proc",
        opener: Opener | None = None,
    ) -> tuple[Perf | None, list[Refusal]]:
        """The energy PMU of the machine whose sysfs is mounted there, and what is refused.

        None without a package that can be counted now. A counted event that cannot beside a
        package that can stays among the counters, so that totals know what they miss.
        """
        try:
            pmu = _find_pmu(os.fspath(sysfs_root), os.fspath(procfs_root))
        except UnreadableCounter as error:
            return None, [_refuse(error.reason, remedy=error.remedy)]
        calls = opener or SystemCalls()
        readers = [
            PerfCounter(info, pmu, event, cpu, calls) for info, event, cpu in _describe_all(pmu)
        ]
        for reader in readers:
            reader.attempt()
        if not any(reader.info.domain == "package" and reader.works for reader in readers):
            return None, [*pmu.refused, *_refuse_all(readers)]
        kept = [reader for reader in readers if reader.works or reader.info.counted]
        dropped = [reader for reader in readers if reader not in kept]
        return cls(kept), [*pmu.refused, *map(_refuse_reader, dropped)]

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return self._counters

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._problems

    def read(self, now_ns: int) -> dict[str, int]:
        """Microjoules by counter, since it was opened. A lost one is tried again once a second."""
        if self._closed:
            return {}
        values: dict[str, int] = {}
        for reader in self._readers:
            value = reader.read(now_ns)
            if value is not None:
                values[reader.info.name] = value
        self._note_problems()
        return values

    def close(self) -> None:
        """Give the descriptors back. Closing twice is harmless."""
        self._closed = True
        for reader in self._readers:
            reader.drop()
        closed = Problem("the source is closed")
        self._problems = {info.name: closed for info in self._counters}

    def _note_problems(self) -> None:
        self._problems = {
            reader.info.name: reader.problem
            for reader in self._readers
            if reader.problem is not None
        }


class PerfCounter:
    """One event on one CPU, its kept descriptor, and why it cannot be counted now."""

    def __init__(
        self, info: CounterInfo, pmu: _Pmu, event: _Event, cpu: int, opener: Opener
    ) -> None:
        self.info = info
        self.problem: Problem | None = None
        self._pmu = pmu
        self._event = event
        self._cpu = cpu
        self._opener = opener
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._retry_ns: int | None = None

    @property
    def works(self) -> bool:
        return self.problem is None

    def read(self, now_ns: int) -> int | None:
        """Microjoules since the event was opened; None, too, if it failed less than 1 s ago."""
        if self._retry_ns is not None and now_ns < self._retry_ns:
            return None
        value = self.attempt()
        self._retry_ns = now_ns + _RETRY_NS if value is None else None
        return value

    def attempt(self) -> int | None:
        """Microjoules; None leaves a problem."""
        self.problem = None
        try:
            count = self._count(self._open_descriptor())
        except OSError as error:
            self.problem = self._explain(error)
        except UnreadableCounter as error:
            self.problem = Problem(error.reason)
        else:
            scale = self._event.uj_per_count
            return count * scale.numerator // scale.denominator
        self.drop()
        return None

    def drop(self) -> None:
        """Close the descriptor."""
        if self._still_ours():
            assert self._descriptor is not None
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = None

    def _open_descriptor(self) -> int:
        # A read takes bytes away from whatever is behind the number. Code in the user's process
        # that closes descriptors wholesale may have got our number for a socket of its own.
        if self._descriptor is None or not self._still_ours():
            self._descriptor = self._opener.open(self._pmu.type_, self._event.config, self._cpu)
            self._identity = _identity(self._descriptor)
        return self._descriptor

    def _still_ours(self) -> bool:
        """Not a file or socket, that is: all kinds of anonymous descriptors look the same."""
        try:
            return self._descriptor is not None and _identity(self._descriptor) == self._identity
        except OSError:
            return False

    def _count(self, descriptor: int) -> int:
        text = self._opener.read(descriptor)
        if len(text) != _COUNT_BYTES:
            raise UnreadableCounter(
                f"{self._event.name} on CPU {self._cpu} gave {len(text)} bytes for a count"
            )
        return int.from_bytes(text, sys.byteorder)

    def _explain(self, error: OSError) -> Problem:
        if isinstance(error, PermissionError):
            return _forbidden(error, self._pmu.paranoid())
        if error.errno == errno.ENOSYS:
            text = "a system without perf_event, or a container's filter that hides it"
            return Problem(f"perf_event_open: {error.strerror}; {text}")
        return Problem(f"{self._event.name} on CPU {self._cpu}: {error.strerror}")


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _forbidden(error: PermissionError, paranoid: int | None) -> Problem:
    """By ``Documentation/admin-guide/perf-security.rst`` and ``sysctl/kernel.rst``."""
    level = "unknown" if paranoid is None else paranoid
    reason = f"perf_event_open: {error.strerror}; kernel.perf_event_paranoid is {level}"
    if paranoid is not None and paranoid <= 0:
        return Problem(
            f"{reason}, which allows it: a container's filter or a security module does not",
            "start the container with: docker run --cap-add PERFMON  "
            "# it may then watch all CPUs of the machine, the system's kernel included",
        )
    return Problem(
        f"{reason}, and counting a whole CPU takes 0 or less, or CAP_PERFMON",
        "sudo sysctl kernel.perf_event_paranoid=0  "
        "# until reboot; all users may then watch all CPUs, the system's kernel included; "
        f"or: sudo setcap cap_perfmon=ep {os.path.realpath(sys.executable)}  "
        "# the same, for all who may run this Python (Linux 5.8 or newer)",
    )


# --- the PMU of a machine -----------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """One kind of energy that the PMU counts."""

    name: str
    """As in sysfs: energy-pkg."""
    config: int
    uj_per_count: Fraction
    """Microjoules; exact, or a count of years would drift."""

    @property
    def domain(self) -> str:
        return _DOMAINS[self.name]


@dataclass(frozen=True)
class _Pmu:
    """The PMU as sysfs shows it."""

    type_: int
    events: tuple[_Event, ...]
    packages: Mapping[int, str]
    """By the CPU to ask: what follows ``package-`` in the counter's name: 0, or 0-die-1."""
    refused: tuple[Refusal, ...]
    procfs_root: str

    def paranoid(self) -> int | None:
        """The system's ``kernel.perf_event_paranoid``; None where it cannot be read."""
        try:
            return int(_text(os.path.join(self.procfs_root, _PARANOID)))
        except (UnreadableCounter, ValueError):
            return None


def _find_pmu(sysfs_root: str, procfs_root: str) -> _Pmu:
    """The PMU of energy.

    Raises:
        UnreadableCounter: there is none, or it is not as it should be.
    """
    top = os.path.join(sysfs_root, _PMU)
    if not os.path.isdir(top):
        raise UnreadableCounter(
            f"no energy PMU at {top} (virtual machine, other processor or other system)"
        )
    events, refused = _find_events(os.path.join(top, "events"))
    packages, more = _find_packages(top, sysfs_root, procfs_root)
    type_ = _whole(os.path.join(top, "type"))
    return _Pmu(type_, events, packages, (*refused, *more), procfs_root)


def _find_events(directory: str) -> tuple[tuple[_Event, ...], list[Refusal]]:
    events: list[_Event] = []
    refused: list[Refusal] = []
    for name in _DOMAINS:
        path = os.path.join(directory, name)
        if os.path.exists(path):
            try:
                events.append(_Event(name, _config(path), _uj_per_count(path)))
            except UnreadableCounter as error:
                refused.append(_refuse(error.reason, counter=name))
    if not any(event.domain == "package" for event in events):
        why = refused[0].reason if refused else f"no energy-pkg in {directory}"
        raise UnreadableCounter(why)
    return tuple(events), refused


def _config(path: str) -> int:
    """The event's code, which is the lowest eight bits of ``config``."""
    text = _text(path)
    match = re.fullmatch(r"event=0x([0-9a-f]{1,2})", text)
    if match is None:
        raise UnreadableCounter(f"{path} holds no event but {text!r}")
    return int(match[1], 16)


def _uj_per_count(path: str) -> Fraction:
    unit, scale = _text(f"{path}.unit"), _text(f"{path}.scale")
    if unit != "Joules":
        raise UnreadableCounter(f"{path}.unit is {unit!r}, not 'Joules'")
    if not re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d{1,3})?", scale) or not Fraction(scale):
        raise UnreadableCounter(f"{path}.scale holds no scale but {scale!r}")
    return Fraction(scale) * _UJ_PER_J


def _find_packages(
    top: str, sysfs_root: str, procfs_root: str
) -> tuple[dict[int, str], list[Refusal]]:
    """By the CPU to ask: its package's number, with the die's where a package has several."""
    cpus = _cpus(os.path.join(top, "cpumask"))
    topology = os.path.join(sysfs_root, "devices", "system", "cpu", "cpu{}", "topology")
    package_of = {
        cpu: _whole(os.path.join(topology.format(cpu), "physical_package_id")) for cpu in cpus
    }
    packages = list(package_of.values())
    if len(set(packages)) == len(packages):
        return {cpu: str(package) for cpu, package in package_of.items()}, []
    if _vendor(procfs_root) in _ONE_FOR_A_PACKAGE:
        return _first_of_each(package_of)
    die_of = {cpu: _whole(os.path.join(topology.format(cpu), "die_id")) for cpu in cpus}
    return {cpu: f"{package_of[cpu]}-die-{die_of[cpu]}" for cpu in cpus}, []


def _first_of_each(package_of: Mapping[int, int]) -> tuple[dict[int, str], list[Refusal]]:
    """AMD's counters are those of the package, whatever lies in it (``rapl.c``).

    Linux 6.9 and some after it took its core complexes for dies, and show the package with each
    (corrected by "perf/x86/rapl: Fix the energy-pkg event for AMD CPUs").
    """
    packages: dict[int, str] = {}
    refused: list[Refusal] = []
    for cpu, package in package_of.items():
        if str(package) in packages.values():
            reason = f"shows package {package} once more, which is counted once"
            refused.append(_refuse(reason, counter=f"cpu {cpu}"))
        else:
            packages[cpu] = str(package)
    return packages, refused


def _vendor(procfs_root: str) -> str:
    try:
        # All of it takes milliseconds on a large machine; the first block says it already.
        return parse_cpuinfo(_text(os.path.join(procfs_root, "cpuinfo"), 8192)).get("vendor_id", "")
    except UnreadableCounter:
        return ""


def _cpus(path: str) -> list[int]:
    """The CPUs of a list as in ``0,28`` or ``0-1,4``."""
    text = _text(path)
    cpus: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise UnreadableCounter(f"{path} holds no CPUs but {text!r}")
        first = int(match[1])
        cpus += range(first, int(match[2] or first) + 1)
    return cpus


# --- counters from events -----------------------------------------------------------------


def _describe_all(pmu: _Pmu) -> list[tuple[CounterInfo, _Event, int]]:
    """Every counter with its event and its CPU, package by package."""
    found: list[tuple[CounterInfo, _Event, int]] = []
    for index, (cpu, package) in enumerate(pmu.packages.items()):
        for event in pmu.events:
            platform = f"psys-{index}" if index else "psys"
            name = platform if event.domain == "psys" else f"{event.domain}-{package}"
            found.append((_describe(name, event.domain, package), event, cpu))
    return found


def _describe(name: str, domain: str, package: str) -> CounterInfo:
    platform = domain == "psys"
    return CounterInfo(
        name=name,
        domain=domain,
        source=NAME,
        provenance="measured",
        # The registers' step is published nowhere: counts are in finer units than it.
        resolution_s=_RESOLUTION_S,
        counted=domain in _COUNTED,
        part_of=f"package-{package}" if domain in ("core", "uncore") else None,
        clock=name if platform else f"socket-{package}",
        max_power_w=_MAX_POWER_W.get(domain, _MAX_POWER_ELSE_W),
        scope="platform" if platform else "machine",
        device=_device(domain, package),
    )


def _device(domain: str, package: str) -> str:
    if domain == "psys":
        return "whole platform"
    owner = f"package {package.replace('-die-', ', die ')}"
    return owner if domain == "package" else f"{_PARTS[domain]} of {owner}"


# --- small things -------------------------------------------------------------------------


def _refuse(reason: str, counter: str | None = None, remedy: str = "") -> Refusal:
    return Refusal(source=NAME, counter=counter, reason=reason, remedy=remedy)


def _refuse_reader(reader: PerfCounter) -> Refusal:
    problem = reader.problem or Problem("no package can be counted beside it")
    reader.drop()
    return _refuse(problem.reason, reader.info.name, problem.remedy)


def _refuse_all(readers: Iterable[PerfCounter]) -> list[Refusal]:
    """One refusal, not one a counter, where all have the same reason: perf is forbidden."""
    refused = [_refuse_reader(reader) for reader in readers]
    reasons = {refusal.reason for refusal in refused}
    if len(reasons) == 1:
        return [_refuse(refused[0].reason, remedy=refused[0].remedy)]
    return refused


def _text(path: str, most: int = 4096) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(most).strip()
    except OSError as error:
        raise UnreadableCounter(f"{path}: {error.strerror}") from error


def _whole(path: str) -> int:
    text = _text(path)
    if not text.isdecimal():
        raise UnreadableCounter(f"{path} holds no number but {text!r}")
    return int(text)

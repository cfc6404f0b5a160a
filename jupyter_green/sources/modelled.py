"""A model of the CPU's energy, for machines whose sensors cannot be read.

Watts = idle + (max - idle) x utilisation, linear on purpose: its integral is then

    raw = idle_w x time + (max_w - idle_w) x busy seconds / CPUs,

a pure function of the monotonic clock and of the busy seconds that the kernel counts since boot.
So the model is a counter like any other, needs no sampling, and a new process continues it
unharmed. The watts come from the settings, else from the processor's thermal limit, else from a
table of servers. Published errors of such models reach 40 %, which is the band.

In a container the busy seconds are those of its control group (``cgroup-v2.rst`` and
``cgroup-v1/cpuacct.rst`` in the kernel's documentation), and idle watts count by its CPU quota.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo, Refusal
from jupyter_green.settings import Settings
from jupyter_green.sources import cpu_table
from jupyter_green.sources.counter import Problem
from jupyter_green.sources.rapl import package_limits_w

NAME = "modelled"
CPU = "cpu-model"
DRAM = "dram-model"

BAND = 0.4
IDLE_SHARE_OF_SET_MAX = 0.1
IDLE_SHARE_OF_LIMIT = 0.15
# CodeCarbon's methodology: 3 W for each 8 GB.
DRAM_W_PER_GIB = 0.375

_STAT_RESOLUTION_S = 0.01
_CGROUP_RESOLUTION_S = 0.001
_CLOCK_RESOLUTION_S = 1e-6
_NS_PER_S = 1_000_000_000
_UW_PER_W = 1_000_000
_GIB = 2**30
_NO_LIMIT_BYTES = 2**60  # cgroup v1 writes almost 2**63 where there is no limit
_TRIAL_READS = 3
_FAST_NS = 15_000  # a cell has two boundaries, and 0.03 ms for being tracked
_READ_BYTES = 512  # holds the first line of /proc/stat and of cpu.stat

_WHOLE_SERVER = "whole server, SPECpower via Cloud Carbon Footprint"


class Modelled:
    """``cpu-model`` and, where the watts are the processor's alone, ``dram-model``."""

    name = NAME
    absolute = True

    def __init__(
        self, cpu: CounterInfo, idle_w: float, busy_w: float, busy: Busy, dram: Dram | None = None
    ) -> None:
        """``idle_w``: drawn all the time; ``busy_w``: on top of it, by each CPU that is busy."""
        self._counters = (cpu,) if dram is None else (cpu, dram.info)
        # Whole microwatts and nanoseconds: only integers neither fall nor drift by rounding.
        self._idle_uw = round(idle_w * _UW_PER_W)
        self._busy_uw = round(busy_w * _UW_PER_W)
        self._dram_uw = round(dram.power_w * _UW_PER_W) if dram is not None else None
        self._busy = busy
        self._problems: dict[str, Problem] = {}
        self._closed = False
        self.in_place = self._reads_fast()

    def _reads_fast(self) -> bool:
        """The kernel sums up all CPUs for each read: microseconds on some, far more on many."""
        began_ns = time.perf_counter_ns()
        for _ in range(_TRIAL_READS):
            self.read(began_ns)
        return time.perf_counter_ns() - began_ns < _TRIAL_READS * _FAST_NS

    @classmethod
    def find(
        cls, settings: Settings, *, environ: Mapping[str, str] | None = None, root: str = "/"
    ) -> tuple[Modelled | None, list[Refusal]]:
        """The model of this machine, and what is refused.

        ``environ`` and ``root`` (of the file system) are where a container shows itself.
        """
        machine = _look_around(settings, os.environ if environ is None else environ, root)
        try:
            watts = _choose_watts(settings, machine)
        except UnreadableCounter as error:
            return None, [Refusal(source=NAME, reason=error.reason, remedy=error.remedy)]
        dram, refused = _choose_dram(settings, machine, watts)
        idle_w = settings.calibration * machine.idle_share * watts.idle_w
        busy_w = settings.calibration * (watts.max_w - watts.idle_w) / machine.cpus
        cpu = _describe_cpu(machine, watts.assumption + _adjustments(settings, machine))
        return cls(cpu, idle_w, busy_w, machine.busy(), dram), refused

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return self._counters

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._problems

    def read(self, now_ns: int) -> dict[str, int]:
        """Raw microjoules by counter at ``now_ns``."""
        if self._closed:
            return {}
        values: dict[str, int] = {}
        self._problems = {}
        try:
            work = self._idle_uw * now_ns + self._busy_uw * self._busy.busy_ns()
            values[CPU] = work // _NS_PER_S
        except UnreadableCounter as error:
            self._problems[CPU] = Problem(error.reason, error.remedy)
        if self._dram_uw is not None:
            values[DRAM] = self._dram_uw * now_ns // _NS_PER_S
        return values

    def close(self) -> None:
        """Give the descriptor back. Closing twice is harmless."""
        self._closed = True
        self._busy.close()
        closed = Problem("the source is closed")
        self._problems = {info.name: closed for info in self._counters}


def _describe_cpu(machine: _Machine, assumption: str) -> CounterInfo:
    return CounterInfo(
        name=CPU,
        domain="cpu",
        source=NAME,
        provenance="modelled",
        resolution_s=_CGROUP_RESOLUTION_S if machine.group else _STAT_RESOLUTION_S,
        clock=CPU,
        band=BAND,
        scope=machine.scope,
        device=machine.cpuinfo.get("model name", "processor"),
        assumption=assumption,
    )


# --- busy time ----------------------------------------------------------------------------


class Busy(Protocol):
    """Cumulative busy time, added up over all CPUs."""

    def busy_ns(self) -> int:
        """Nanoseconds since boot, or since the container's start.

        Raises:
            UnreadableCounter: not to be had now.
        """
        ...

    def close(self) -> None:
        """Give back descriptors."""
        ...


class BusyFile:
    """Busy time from a file of the kernel, on a kept descriptor."""

    def __init__(self, path: str, parse: Callable[[bytes], int]) -> None:
        self._path = path
        self._parse = parse
        self._descriptor: int | None = None

    def busy_ns(self) -> int:
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY)
            text = os.pread(self._descriptor, _READ_BYTES, 0)
        except OSError as error:
            self.close()
            raise UnreadableCounter(f"{self._path}: {error.strerror}") from error
        try:
            return self._parse(text)
        except ValueError:
            self.close()  # what is kept open may be gone; the next read opens it anew
            raise UnreadableCounter(f"{self._path} holds no CPU time but {text[:40]!r}") from None

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class BusyPsutil:
    """Busy time where there is no procfs: macOS, Windows."""

    def busy_ns(self) -> int:
        import psutil  # noqa: PLC0415 - not before it is needed

        try:
            times = psutil.cpu_times()
        except (psutil.Error, OSError, RuntimeError, TypeError, ValueError) as error:
            raise UnreadableCounter(f"psutil cannot read the CPU times: {error}") from error
        parts = ("user", "nice", "system", "irq", "softirq")
        return round(sum(getattr(times, part, 0.0) for part in parts) * _NS_PER_S)

    def close(self) -> None:
        """Nothing is kept open."""


# Each parser takes the file's beginning, gives nanoseconds, and raises ValueError.


def _stat_ns(text: bytes) -> int:
    """user + nice + system + irq + softirq: guests are in user, and what was stolen is not ours.

    Of a machine that lost a CPU the sum may be smaller than before.
    """
    word, *ticks = text.partition(b"\n")[0].split()
    if word != b"cpu":
        raise ValueError(word)
    user, nice, system, _idle, _iowait, irq, softirq = map(int, ticks[:7])
    return (user + nice + system + irq + softirq) * (_NS_PER_S // os.sysconf("SC_CLK_TCK"))


def _cpu_stat_ns(text: bytes) -> int:
    key, value = text.partition(b"\n")[0].split()
    if key != b"usage_usec":
        raise ValueError(key)
    return int(value) * 1000


# --- the machine, or the container ----------------------------------------------------------


@dataclass(frozen=True)
class _Group:
    """The control group of a container."""

    usage_path: str
    parse: Callable[[bytes], int]
    quota_cpus: float | None
    memory_bytes: int | None


@dataclass(frozen=True)
class _Machine:
    cpus: int
    """Logical CPUs."""
    cpuinfo: Mapping[str, str]
    stat_path: str | None
    memory_bytes: int | None
    limits_w: tuple[float | None, ...]
    group: _Group | None
    """None outside containers."""

    @property
    def scope(self) -> str:
        return "container" if self.group else "machine"

    @property
    def idle_share(self) -> float:
        """The share of the machine's idle watts that falls to the container."""
        if self.group is None or self.group.quota_cpus is None:
            return 1.0
        return min(1.0, self.group.quota_cpus / self.cpus)

    def busy(self) -> Busy:
        if self.group is not None:
            return BusyFile(self.group.usage_path, self.group.parse)
        return BusyFile(self.stat_path, _stat_ns) if self.stat_path else BusyPsutil()


def _look_around(settings: Settings, environ: Mapping[str, str], root: str) -> _Machine:
    stat_path = os.path.join(settings.procfs_root, "stat")
    group = _find_group(os.path.join(settings.sysfs_root, "fs", "cgroup"))
    if group is not None and group.quota_cpus is None and not _in_container(environ, root):
        group = None
    return _Machine(
        cpus=_count_cpus(stat_path),
        cpuinfo=cpu_table.parse_cpuinfo(_text(os.path.join(settings.procfs_root, "cpuinfo"), 8192)),
        stat_path=stat_path if os.path.exists(stat_path) else None,
        memory_bytes=_installed_bytes(os.path.join(settings.procfs_root, "meminfo")),
        limits_w=tuple(package_limits_w(settings.sysfs_root)),
        group=group,
    )


def _in_container(environ: Mapping[str, str], root: str) -> bool:
    marks = (os.path.join(root, ".dockerenv"), os.path.join(root, "run", ".containerenv"))
    return "KUBERNETES_SERVICE_HOST" in environ or any(map(os.path.exists, marks))


def _count_cpus(stat_path: str) -> int:
    lines = _text(stat_path).splitlines()
    return sum(line[:3] == "cpu" and line[3:4].isdigit() for line in lines) or os.cpu_count() or 1


def _installed_bytes(meminfo_path: str) -> int | None:
    for line in _text(meminfo_path, 4096).splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _find_group(top: str) -> _Group | None:
    """The control group mounted at ``top``; its own, since containers see no other there."""
    if os.path.exists(os.path.join(top, "cpu.stat")):
        # The root of a version 2 tree has no cpu.max: that is the machine, not a container.
        words = _text(os.path.join(top, "cpu.max")).split()
        memory = _positive(_text(os.path.join(top, "memory.max")))
        usage_path = os.path.join(top, "cpu.stat")
        return _Group(usage_path, _cpu_stat_ns, _cpus_of(words), memory) if words else None
    for name in ("cpuacct", "cpu,cpuacct"):
        usage_path = os.path.join(top, name, "cpuacct.usage")
        if os.path.exists(usage_path):
            memory = _positive(_text(os.path.join(top, "memory", "memory.limit_in_bytes")))
            return _Group(usage_path, int, _quota_v1(top), memory)
    return None


def _quota_v1(top: str) -> float | None:
    for name in ("cpu", "cpu,cpuacct"):
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [_text(os.path.join(top, name, file)) for file in files]
        if all(words):
            return _cpus_of(words)
    return None


def _cpus_of(words: list[str]) -> float | None:
    """CPUs from a quota and its period in microseconds; ``max`` and -1 are no quota."""
    quota_us, period_us = (_positive(word) for word in (*words, "", "")[:2])
    return quota_us / period_us if quota_us and period_us else None


# --- watts --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Watts:
    """Of the whole machine."""

    idle_w: float
    max_w: float
    assumption: str
    no_dram: str = ""
    """Why no DRAM is added to them."""


def _choose_watts(settings: Settings, machine: _Machine) -> _Watts:
    """From the settings, else the thermal limit, else the table.

    Raises:
        UnreadableCounter: a setting cannot be used.
    """
    if not (math.isfinite(settings.calibration) and settings.calibration > 0):
        raise UnreadableCounter(f"calibration is {settings.calibration}", "set a factor above 0")
    if settings.cpu_max_w is not None:
        return _set_watts(settings.cpu_idle_w, settings.cpu_max_w)
    watts = _limit_watts(machine) or _table_watts(machine)
    return watts if settings.cpu_idle_w is None else _set_idle(watts, settings.cpu_idle_w)


def _set_watts(idle_w: float | None, max_w: float) -> _Watts:
    where = "cpu_idle_w and cpu_max_w as set"
    if idle_w is None:
        idle_w = IDLE_SHARE_OF_SET_MAX * max_w
        where = f"cpu_max_w as set, idle taken as {IDLE_SHARE_OF_SET_MAX:.0%} of it"
    if not 0 <= idle_w <= max_w < math.inf:
        raise UnreadableCounter(
            f"cpu_idle_w is {idle_w:g} and cpu_max_w is {max_w:g}",
            "set 0 <= cpu_idle_w <= cpu_max_w, in watts",
        )
    return _Watts(
        idle_w,
        max_w,
        f"{_formula(idle_w, max_w)} ({where})",
        no_dram="the CPU's watts are used as they were set, and nothing is added to them",
    )


def _set_idle(watts: _Watts, idle_w: float) -> _Watts:
    if not 0 <= idle_w <= watts.max_w:
        raise UnreadableCounter(
            f"cpu_idle_w is {idle_w:g}, the busy CPU is taken to draw {watts.max_w:.3g} W",
            "set cpu_max_w as well, in watts",
        )
    formula = _formula(idle_w, watts.max_w)
    text = f"{formula} (cpu_idle_w as set, the most as in: {watts.assumption})"
    return replace(watts, idle_w=idle_w, assumption=text)


def _limit_watts(machine: _Machine) -> _Watts | None:
    known_w = [limit_w for limit_w in machine.limits_w if limit_w is not None]
    if not known_w:
        return None
    packages = len(machine.limits_w)
    max_w = sum(known_w) * packages / len(known_w)  # a package without a limit is like the others
    idle_w = IDLE_SHARE_OF_LIMIT * max_w
    return _Watts(
        idle_w,
        max_w,
        f"{_formula(idle_w, max_w)} (thermal limit of {packages} package{'s' * (packages > 1)}, "
        f"idle taken as {IDLE_SHARE_OF_LIMIT:.0%} of it)",
    )


def _table_watts(machine: _Machine) -> _Watts:
    table = cpu_table.rows()
    name = cpu_table.microarchitecture(machine.cpuinfo)
    if name in table:
        row, where = table[name], f"{name}, {_WHOLE_SERVER}"
        where += f"; {row.remark}" if row.remark else ""
    else:
        row = cpu_table.median_row(table.values())
        where = f"a guess, as this processor is not in the table: {row.remark}, {_WHOLE_SERVER}"
    return _Watts(
        row.idle_w * machine.cpus,
        row.max_w * machine.cpus,
        f"{_formula(row.idle_w, row.max_w)} per thread x {machine.cpus} "
        f"thread{'s' * (machine.cpus > 1)} ({where})",
        no_dram="the CPU's watts are those of whole servers and hold the DRAM already",
    )


def _formula(idle_w: float, max_w: float) -> str:
    return f"{idle_w:.3g} + {max_w - idle_w:.3g} W x utilisation"


def _adjustments(settings: Settings, machine: _Machine) -> str:
    """What else the counter holds, in words that go on from the assumption."""
    text = ""
    if machine.group is not None and machine.group.quota_cpus is None:
        text += "; busy time of this container, idle of the whole machine as there is no quota"
    elif machine.group is not None:
        text += (
            f"; busy time of this container, idle by its quota of {machine.group.quota_cpus:g} "
            f"of {machine.cpus} CPUs"
        )
    return text + _calibrated(settings)


def _calibrated(settings: Settings) -> str:
    return f"; x {settings.calibration:g} calibrated" if settings.calibration != 1 else ""


# --- memory -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dram:
    """Memory at constant watts."""

    info: CounterInfo
    power_w: float


def _choose_dram(
    settings: Settings, machine: _Machine, watts: _Watts
) -> tuple[Dram | None, list[Refusal]]:
    if watts.no_dram:
        return None, [Refusal(source=NAME, counter=DRAM, reason=watts.no_dram)]
    if machine.memory_bytes is None:
        reason = f"the size of the memory is not to be read in {settings.procfs_root}/meminfo"
        return None, [Refusal(source=NAME, counter=DRAM, reason=reason)]
    size, whose = machine.memory_bytes, "installed"
    if machine.group is not None and (machine.group.memory_bytes or _NO_LIMIT_BYTES) < size:
        size, whose = machine.group.memory_bytes or size, "allowed to this container"
    gib = size / _GIB
    text = f"{DRAM_W_PER_GIB} W per GiB (3 W per 8 GB, CodeCarbon) x {gib:.3g} GiB {whose}"
    info = CounterInfo(
        name=DRAM,
        domain="dram",
        source=NAME,
        provenance="modelled",
        resolution_s=_CLOCK_RESOLUTION_S,
        clock=DRAM,
        band=BAND,
        scope=machine.scope,
        device="memory",
        assumption=text + _calibrated(settings),
    )
    return Dram(info, settings.calibration * DRAM_W_PER_GIB * gib), []


# --- small things -------------------------------------------------------------------------


def _text(path: str, most: int = -1) -> str:
    """The file's beginning, or nothing. All of cpuinfo takes milliseconds on a large machine."""
    try:
        with open(path, "rb", buffering=0) as file:
            return (file.read(most) or b"").decode("utf-8", "replace")
    except OSError:
        return ""


def _positive(text: str) -> int | None:
    try:
        value = int(text)
    except ValueError:
        return None
    return value if value > 0 else None

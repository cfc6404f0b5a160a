"""A simulated RAPL machine: a fake powercap tree, moved by a process of its own, and its truth.

All times are nanoseconds of CLOCK_MONOTONIC, which on Linux is the clock of
``time.perf_counter_ns()`` and ``time.monotonic_ns()``. Energies are microjoules, powers are watts.
"""

from __future__ import annotations

import math
import os
import select
import struct
import subprocess
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .build import compile_c

CLIENT_RANGE_UJ = 262_143_328_850
SERVER_RANGE_UJ = 65_532_610_987
DRAM_RANGE_UJ = 65_712_999_613

_SOURCE = Path(__file__).with_name("rapl_machine.c")
_RECORD = struct.Struct("<qqdQII")
_ANSWER_TIMEOUT_S = 30.0
_NS_PER_S = 1_000_000_000
_NOBODY = "-"


class MachineError(RuntimeError):
    """The simulated machine refused a command, did not answer, or has ended."""


@dataclass(frozen=True)
class Zone:
    """One powercap zone. ``name`` is the kernel's, ``key`` is unique (default: the name)."""

    name: str
    watts: float = 0.0
    start_uj: int = 0
    range_uj: int = CLIENT_RANGE_UJ
    parent: str | None = None  # the key of the zone that this one is a part of
    max_power_uw: int | None = None  # None: the zone has no such file
    control_type: str = "intel-rapl"
    readable: bool = True  # False: mode 0400, as since Linux 5.10 (its owner and root still can)
    key: str = ""
    twin_of: str | None = None  # the key of a zone whose `power` and `square` hold here as well

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)
        if self.key.split() != [self.key]:
            raise ValueError(f"a zone's key is one word, not {self.key!r}")


@dataclass(frozen=True)
class Write:
    """One update of a counter: the value of the tick ``tick_ns``, in the file since ``t_ns``."""

    t_ns: int
    true_uj: float  # cumulative and unwrapped, from the zone's start value on
    raw_uj: int
    tick_ns: int


@dataclass(frozen=True)
class _Curve:
    """Power from ``since_ns`` on; constant when ``period_s`` is 0."""

    since_ns: int
    low_w: float
    high_w: float = 0.0
    period_s: float = 0.0
    duty: float = 0.0
    phase_s: float = 0.0

    def joules(self, t0_ns: int, t1_ns: int) -> float:
        low_j = self.low_w * (t1_ns - t0_ns) / _NS_PER_S
        if not self.period_s:
            return low_j
        return low_j + (self.high_w - self.low_w) * (self._high_s(t1_ns) - self._high_s(t0_ns))

    def _high_s(self, t_ns: int) -> float:
        position_s = self.phase_s + (t_ns - self.since_ns) / _NS_PER_S
        periods, rest_s = divmod(position_s, self.period_s)
        on_s = self.duty * self.period_s
        return periods * on_s + min(rest_s, on_s)


class RaplMachine:
    """A context manager: the tree stands under ``root/sys`` and counts while the context is open.

    The truth (``energy_uj``, ``writes``, ``largest_gap_s``) can still be asked for afterwards.
    """

    def __init__(
        self,
        root: Path,
        zones: Iterable[Zone],
        tick_s: float = 0.001,
        phase_s: float = 0.0,
    ) -> None:
        self.root = root
        self.zones = tuple(zones)
        self.tick_s = tick_s
        self.phase_s = phase_s
        self.sysfs = root / "sys"
        self._log = root / "machine"
        self._index = {zone.key: number for number, zone in enumerate(self.zones)}
        self._directories = _zone_directories(self.zones)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._known_until_ns = 0

    def __enter__(self) -> Self:
        build_tree(self.root, self.zones)
        self._log.mkdir()
        os.mkfifo(self.command_path)
        program = compile_c(_SOURCE)
        with (self._log / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [str(program), *self._arguments()],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        try:
            self._answer(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- the tree

    @property
    def command_path(self) -> Path:
        """The FIFO: whoever writes the line ``power package-0 80`` into it changes the power."""
        return self._log / "commands"

    @property
    def pid(self) -> int:
        """The number of the process that moves the counters."""
        return self._running().pid

    @property
    def stderr(self) -> str:
        """What the process has complained about so far."""
        return (self._log / "stderr").read_text(encoding="utf-8")

    def directory(self, key: str) -> Path:
        """A zone's directory under ``sys/devices``."""
        return self.root / self._directories[key]

    def energy_file(self, key: str) -> Path:
        """A zone's counter under ``sys/devices``."""
        return self.directory(key) / "energy_uj"

    # -- commands; each returns the time in ns at which it took effect

    def power(self, key: str, watts: float) -> int:
        """Draw ``watts`` from now on."""
        return self.command("power", key, watts)

    def square(
        self,
        key: str,
        low_w: float,
        high_w: float,
        period_s: float,
        duty: float = 0.5,
        phase_s: float = 0.0,
    ) -> int:
        """Alternate: high for ``duty`` of each period, then low; now is ``phase_s`` into one."""
        return self.command("square", key, low_w, high_w, period_s, duty, phase_s)

    def reset(self, key: str) -> int:
        """Let the counter restart at 0, as after a suspend. The energy goes on being drawn."""
        return self.command("reset", key)

    def stick(self, key: str) -> int:
        """Freeze the counter at its last value. The energy goes on being drawn."""
        return self.command("stick", key)

    def unstick(self, key: str) -> int:
        """End ``stick`` or ``garbage``: the counter jumps to where it would be without."""
        return self.command("unstick", key)

    def vanish(self, key: str) -> int:
        """Remove the counter's file; who has it open reads nothing from it."""
        return self.command("vanish", key)

    def restore(self, key: str) -> int:
        """Bring a vanished counter back, where it would be if it had never gone."""
        return self.command("restore", key)

    def garbage(self, key: str) -> int:
        """Let the file hold text that is no number, until ``unstick``."""
        return self.command("garbage", key)

    def sync(self) -> int:
        """Have the logs written out, and all commands obeyed that the FIFO held before."""
        self._known_until_ns = self.command("sync")
        return self._known_until_ns

    def command(self, verb: str, *words: str | float) -> int:
        """Send one command and wait until it has taken effect."""
        line = " ".join([verb, *(word if isinstance(word, str) else repr(word) for word in words)])
        process = self._running()
        assert process.stdin is not None
        with self._lock:
            try:
                process.stdin.write(f"{line}\n".encode())
            except BrokenPipeError:
                raise MachineError(f"the simulated machine has ended: {self.stderr}") from None
            try:
                return self._answer(process)
            except MachineError as error:
                raise MachineError(f"{line}: {error}") from None

    def close(self) -> None:
        """End the process. Closing twice is harmless."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_ANSWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise MachineError("the simulated machine did not end") from None
        finally:
            process.stdout.close()

    # -- the truth

    def energy_uj(self, key: str, t0_ns: int, t1_ns: int) -> float:
        """The energy in microjoules that the zone really drew between two times, exactly."""
        curves, start_ns, end_ns = self._curves(key)
        if not start_ns <= t0_ns <= t1_ns <= end_ns:
            raise ValueError(f"nothing is known outside {start_ns} to {end_ns} ns")
        ends = [*(curve.since_ns for curve in curves[1:]), t1_ns]
        windows = (
            (curve, max(t0_ns, curve.since_ns), min(t1_ns, end))
            for curve, end in zip(curves, ends, strict=True)
        )
        return 1e6 * math.fsum(curve.joules(a, b) for curve, a, b in windows if a < b)

    def writes(self, key: str) -> list[Write]:
        """All updates of the zone's counter so far, in the order of time."""
        self._sync_if_running()
        number = self._index[key]
        data = (self._log / "writes").read_bytes()
        return [
            Write(t_ns, true_uj, raw_uj, tick_ns)
            for t_ns, tick_ns, true_uj, raw_uj, zone, _ in _RECORD.iter_unpack(data)
            if zone == number
        ]

    def largest_gap_s(self, key: str, t0_ns: int, t1_ns: int) -> float:
        """The longest stretch in seconds between two updates, of all that touch the window."""
        times = [write.t_ns for write in self.writes(key)]
        return _largest_step_s(times, times, t0_ns, t1_ns)

    def largest_lag_s(self, key: str, t0_ns: int, t1_ns: int) -> float:
        """The greatest age in seconds that a value read in the window can have had."""
        writes = self.writes(key)
        times = [write.t_ns for write in writes]
        return _largest_step_s([write.tick_ns for write in writes], times, t0_ns, t1_ns)

    # -- inner parts

    def _arguments(self) -> list[str]:
        nanoseconds = (round(self.tick_s * _NS_PER_S), round(self.phase_s * _NS_PER_S))
        files = (self.command_path, self._log / "writes", self._log / "log")
        words = [*map(str, nanoseconds), *map(str, files)]
        for zone in self.zones:
            words += [zone.key, repr(float(zone.watts)), str(zone.start_uj), str(zone.range_uj)]
            words += ["444" if zone.readable else "400", zone.twin_of or _NOBODY]
            words += [str(self.energy_file(zone.key))]
        return words

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise MachineError("the simulated machine is not running")
        return self._process

    def _answer(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        verdict, _, rest = _read_line(process.stdout.fileno()).partition(" ")
        if not verdict:
            raise MachineError(f"the simulated machine has ended: {self.stderr}")
        if verdict != "ok":
            raise MachineError(rest)
        return int(rest)

    def _sync_if_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.sync()

    def _curves(self, key: str) -> tuple[list[_Curve], int, int]:
        """The zone's power curves, and the times between which they are known."""
        zone = self.zones[self._index[key]]
        self._sync_if_running()
        start_ns, end_ns = 0, self._known_until_ns
        curves: list[_Curve] = []
        for line in (self._log / "log").read_text(encoding="utf-8").splitlines():
            stamp, verb, *words = line.split()
            if verb == "start":
                start_ns = int(stamp)
                curves.append(_Curve(start_ns, zone.watts))
            elif verb == "end":
                end_ns = int(stamp)
            elif verb in ("power", "square") and words[0] == key:
                curves.append(_Curve(int(stamp), *map(float, words[1:])))
        return curves, start_ns, end_ns


def _largest_step_s(starts: list[int], times: list[int], t0_ns: int, t1_ns: int) -> float:
    first = max(bisect_right(times, t0_ns) - 1, 0)
    last = bisect_left(times, t1_ns)
    ends = [*times[first + 1 : last + 1]]
    if last == len(times):
        ends.append(t1_ns)  # no update has come since: the stretch is at least as long as this
    return max((b - a for a, b in zip(starts[first:], ends, strict=False)), default=0) / _NS_PER_S


def _read_line(descriptor: int) -> str:
    """One line without its end, or "" when there will be no more."""
    deadline = time.monotonic() + _ANSWER_TIMEOUT_S
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    text = b""
    while not text.endswith(b"\n"):
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise MachineError("the simulated machine does not answer")
        # One command is in flight at a time, so what comes belongs to its answer.
        part = os.read(descriptor, 4096)
        if not part:
            return ""
        text += part
    return text.decode().strip()


# -- the tree in the file system


def build_tree(root: Path, zones: Iterable[Zone]) -> None:
    """Write a powercap tree as Linux shows it, but for ``energy_uj``, the process's own file."""
    zones = tuple(zones)
    directories = _zone_directories(zones)
    flat = root / "sys/class/powercap"
    flat.mkdir(parents=True)
    for control_type in dict.fromkeys(zone.control_type for zone in zones):
        directory = _control_type_directory(control_type)
        _make_device(root, directory, {"enabled": "1"})
    for zone in zones:
        _make_device(root, directories[zone.key], _zone_files(zone))
        (root / directories[zone.key] / "device").symlink_to("..")


def _zone_files(zone: Zone) -> dict[str, str]:
    files = {
        "name": zone.name,
        "max_energy_range_uj": str(zone.range_uj),
        "enabled": "1",
        "constraint_0_name": "long_term",
        "constraint_0_power_limit_uw": str(zone.max_power_uw or 0),
        "constraint_0_time_window_us": "999424",
    }
    if zone.max_power_uw is not None:
        files["constraint_0_max_power_uw"] = str(zone.max_power_uw)
    return files


def _make_device(root: Path, directory: Path, files: dict[str, str]) -> None:
    """A device's directory, and its link among the flat ones of its class."""
    (root / directory).mkdir(parents=True)
    for name, text in {**files, "uevent": ""}.items():
        (root / directory / name).write_text(f"{text}\n" if text else "", encoding="utf-8")
    flat = Path("sys/class/powercap")
    # The kernel's links are relative, and `subsystem` makes a circle of them: walkers beware.
    (root / flat / directory.name).symlink_to(os.path.relpath(directory, flat))
    (root / directory / "subsystem").symlink_to(os.path.relpath(flat, directory))


def _control_type_directory(control_type: str) -> Path:
    return Path("sys/devices/virtual/powercap") / control_type


def _zone_directories(zones: tuple[Zone, ...]) -> dict[str, Path]:
    """Each key's directory below the root; zones are numbered in their order, as Linux does."""
    found: dict[str, Path] = {}
    children: dict[Path, int] = {}
    for zone in zones:
        if zone.key in found:
            raise ValueError(f"two zones have the key {zone.key!r}")
        if zone.parent is not None and zone.parent not in found:
            raise ValueError(f"the parent of {zone.key!r} must come before it")
        top = _control_type_directory(zone.control_type)
        above = top if zone.parent is None else found[zone.parent]
        number = children.get(above, 0)
        children[above] = number + 1
        found[zone.key] = above / f"{above.name}:{number}"
    return found


# -- ready-made machines


def one_socket() -> tuple[Zone, ...]:
    """A desktop: package-0 with core, uncore and dram."""
    return (
        Zone("package-0", watts=35.0, max_power_uw=95_000_000),
        Zone("core", watts=22.0, parent="package-0", key="core-0"),
        Zone("uncore", watts=1.5, parent="package-0", key="uncore-0"),
        Zone("dram", watts=3.0, parent="package-0", key="dram-0"),
    )


def two_sockets() -> tuple[Zone, ...]:
    """A server: two packages, each with its dram, on the shorter range of server counters."""
    return (
        _server_package("package-0", 80.0),
        _server_dram(0, 12.0),
        _server_package("package-1", 65.0),
        _server_dram(1, 9.0),
    )


def multi_die() -> tuple[Zone, ...]:
    """One socket with two dies, each a zone of its own, the second without dram."""
    return (
        _server_package("package-0-die-0", 70.0),
        _server_dram(0, 10.0, parent="package-0-die-0"),
        _server_package("package-0-die-1", 55.0),
    )


def dram_on_one_socket() -> tuple[Zone, ...]:
    """Two packages, of which only the second shows its dram."""
    return (
        _server_package("package-0", 80.0),
        _server_package("package-1", 65.0),
        _server_dram(1, 9.0),
    )


def with_psys() -> tuple[Zone, ...]:
    """A laptop: package-0 with core and uncore, and the whole platform as psys."""
    return (
        Zone("package-0", watts=15.0, max_power_uw=28_000_000),
        Zone("core", watts=9.0, parent="package-0", key="core-0"),
        Zone("uncore", watts=1.0, parent="package-0", key="uncore-0"),
        Zone("psys", watts=27.0, max_power_uw=65_000_000),
    )


def with_mmio_twin() -> tuple[Zone, ...]:
    """A laptop whose package is seen twice: through MSRs and through MMIO."""
    return (
        Zone("package-0", watts=15.0, max_power_uw=28_000_000),
        Zone("core", watts=9.0, parent="package-0", key="core-0"),
        Zone(
            "package-0",
            watts=15.0,
            max_power_uw=28_000_000,
            control_type="intel-rapl-mmio",
            key="mmio-package-0",
            twin_of="package-0",
        ),
    )


def amd_without_dram() -> tuple[Zone, ...]:
    """An AMD machine: package-0 and core under Intel's names, no dram and no power limit."""
    return (
        Zone("package-0", watts=45.0, range_uj=SERVER_RANGE_UJ),
        Zone("core", watts=18.0, range_uj=SERVER_RANGE_UJ, parent="package-0", key="core-0"),
    )


def _server_package(name: str, watts: float) -> Zone:
    return Zone(name, watts=watts, range_uj=CLIENT_RANGE_UJ, max_power_uw=205_000_000)


def _server_dram(number: int, watts: float, parent: str | None = None) -> Zone:
    return Zone(
        "dram",
        watts=watts,
        range_uj=DRAM_RANGE_UJ,
        parent=parent or f"package-{number}",
        max_power_uw=41_250_000,
        key=f"dram-{number}",
    )

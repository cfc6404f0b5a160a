"""RAPL through the package pyRAPL, for those who want its readings. Never used unless chosen.

Written for pyRAPL 0.2.3.1, which reads ``/sys/class/powercap/intel-rapl`` and no other place,
knows one die in a socket, leaves wraps and errors to its caller, and reads the sockets together,
all or none. So each counter has a ``pyRAPL.Sensor`` of its own here, errors become problems, and
the range comes from the counter's neighbour ``max_energy_range_uj``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from jupyter_green.errors import MissingPackage
from jupyter_green.events import CounterInfo, Refusal
from jupyter_green.optional import require
from jupyter_green.sources import rapl
from jupyter_green.sources.counter import Problem

NAME = "pyrapl"

_SYSFS = "/sys"
_POWERCAP = "/sys/class/powercap/intel-rapl"
_PIP_NAME = "'jupyter-green[pyrapl]'"
_RETRY_NS = 1_000_000_000
_RESOLUTION_S = 0.001

_DEVICES = {"package": "PKG", "dram": "DRAM"}
# Only to tell a wrap from a reset, hence generous.
_MAX_POWER_W = {"package": 1000.0, "dram": 400.0}


class PyRapl:
    """Package and DRAM of each socket, as pyRAPL reads them. Made by :meth:`find`."""

    name = NAME
    # It costs little more than our own reading, but is no code of ours: it stays out of the
    # user's process, once the recorder is there.
    in_place = False
    absolute = True

    def __init__(self, meters: Iterable[Meter]) -> None:
        self._meters = tuple(meters)
        self._counters = tuple(meter.info for meter in self._meters)
        self._process = os.getpid()
        self._closed = False
        self._problems: dict[str, Problem] = {}

    @classmethod
    def find(cls, sysfs_root: str | os.PathLike[str]) -> tuple[PyRapl | None, list[Refusal]]:
        """What pyRAPL reads here, and what is refused. None without a package that it can.

        A counter that is there and cannot be read stays among the others, so that totals know
        what they miss.
        """
        if os.path.normpath(os.fspath(sysfs_root)) != _SYSFS:
            reason = f"pyRAPL reads {_SYSFS} only, and sysfs_root is {os.fspath(sysfs_root)}"
            return None, [_refuse(reason, remedy="set cpu_source to rapl, which reads it there")]
        try:
            package = _load()
            sockets = _sockets(package)
        except MissingPackage:
            reason = "the package pyRAPL is not installed here"
            return None, [_refuse(reason, remedy=f"pip install {_PIP_NAME}")]
        except Exception as error:
            problem = _in_words(error)
            return None, [_refuse(problem.reason, remedy=problem.remedy)]
        meters = [Meter(package, domain, socket) for socket in sockets for domain in _DEVICES]
        opened = [meter for meter in meters if meter.open()]
        if not any(meter.domain == "package" for meter in opened):
            return None, [_refuse_meter(meter) for meter in meters]
        kept = [meter for meter in meters if not meter.absent]
        return cls(kept), [_refuse_meter(meter) for meter in meters if meter.absent]

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return self._counters

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._problems

    def read(self, now_ns: int) -> dict[str, int]:
        """Raw microjoules by counter. A lost one is looked for at most once a second."""
        if self._closed:
            return {}
        self._part_from_parent()
        values: dict[str, int] = {}
        for meter in self._meters:
            value = meter.read(now_ns)
            if value is not None:
                values[meter.name] = value
        self._problems = {
            meter.name: meter.problem for meter in self._meters if meter.problem is not None
        }
        return values

    def close(self) -> None:
        """Give the descriptors back. Closing twice is harmless."""
        self._closed = True
        for meter in self._meters:
            meter.drop()
        closed = Problem("the source is closed")
        self._problems = {info.name: closed for info in self._counters}

    def _part_from_parent(self) -> None:
        # pyRAPL rewinds its files to read them: a forked child that did so with the parent's
        # would move the position under the parent's feet.
        if os.getpid() != self._process:
            self._process = os.getpid()
            for meter in self._meters:
                meter.drop()


class Meter:
    """One counter, its ``pyRAPL.Sensor``, and why it cannot be read now."""

    def __init__(self, package: ModuleType, domain: str, socket: int) -> None:
        self.name = f"{domain}-{socket}"
        self.domain = domain
        self.problem: Problem | None = None
        self.absent = False
        """pyRAPL does not find such a counter."""
        self._package = package
        self._socket = socket
        self._device = package.Device[_DEVICES[domain]]
        self._sensor: Any = None
        self._retry_ns: int | None = None

    @property
    def info(self) -> CounterInfo:
        """What the counter is; its files must be open."""
        package = f"package {self._socket}"
        return CounterInfo(
            name=self.name,
            domain=self.domain,
            source=NAME,
            provenance="measured",
            resolution_s=_RESOLUTION_S,
            clock=f"socket-{self._socket}",
            range_uj=self._range_uj(),
            max_power_w=_MAX_POWER_W[self.domain],
            device=package if self.domain == "package" else f"memory of {package}",
        )

    def read(self, now_ns: int) -> int | None:
        """Raw microjoules; None leaves a problem, or one less than 1 s ago did."""
        if self._retry_ns is not None and now_ns < self._retry_ns:
            return None
        value = self._value() if self._sensor is not None or self.open() else None
        self._retry_ns = now_ns + _RETRY_NS if value is None else None
        return value

    def open(self) -> bool:
        """Make the sensor. False leaves a problem."""
        with _quiet():
            try:
                self._sensor = self._package.Sensor([self._device], [self._socket])
                self.problem = None
            except Exception as error:
                self.problem = self._explain(error)
        return self._sensor is not None

    def drop(self) -> None:
        """Close the sensor's files, which pyRAPL never does."""
        sensor, self._sensor = self._sensor, None
        for file in _files(sensor):
            with contextlib.suppress(OSError):
                file.close()

    def _value(self) -> int | None:
        try:
            # Package and DRAM of each socket in turn. Documented as joules, but they are
            # microjoules, as floats, which hold them exactly.
            value = int(self._sensor.energy()[2 * self._socket + self._device])
            if value < 0:
                raise ValueError(f"{self.name} is {value}")
        except Exception as error:
            self.problem = self._explain(error)
            self.drop()
            return None
        return value

    def _range_uj(self) -> int | None:
        for file in _files(self._sensor):
            path = os.path.join(os.path.dirname(file.name), "max_energy_range_uj")
            with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as text:
                return int(text.read()) or None
        return None

    def _explain(self, error: Exception) -> Problem:
        self.absent = isinstance(error, self._package.PyRAPLException)
        if not self.absent:
            return _in_words(error)
        if self.domain == "dram":
            return Problem(f"pyRAPL finds no DRAM of package {self._socket} in {_POWERCAP}")
        return Problem(
            f"pyRAPL finds no package {self._socket} in {_POWERCAP}, or several dies in it"
        )


def _files(sensor: Any) -> list[Any]:
    """The open counters of a sensor; pyRAPL gives no public way to them."""
    apis = sensor._device_api.values() if sensor is not None else ()
    return [file for api in apis for file in api._sys_files]


def _load() -> ModuleType:
    """The package pyRAPL.

    Raises:
        MissingPackage: it is not installed.
    """
    # Where pymongo or pandas is missing, it says so through the root logger, and thereby sets
    # up logging in the user's process.
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with _quiet():
            return require("pyRAPL", _PIP_NAME)
    finally:
        logging.disable(level)
        logging.root.handlers[:] = handlers


def _sockets(package: ModuleType) -> list[int]:
    with _quiet():
        found: list[int] = package.device_api.get_socket_ids()
    return sorted(found)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without its warnings: odd escapes in its source, and files that it leaves open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _in_words(error: Exception) -> Problem:
    """pyRAPL hands on whatever it meets."""
    if isinstance(error, PermissionError):
        return Problem(
            f"{error.filename} is readable by root only (mode 0400) since Linux 5.10, "
            "CVE-2020-8694",
            rapl.open_up(str(error.filename)),
        )
    if isinstance(error, OSError) and error.filename:
        return Problem(f"pyRAPL: {error.filename}: {error.strerror}")
    return Problem(" ".join(f"pyRAPL: {type(error).__name__}: {error}".split()))


def _refuse(reason: str, counter: str | None = None, remedy: str = "") -> Refusal:
    return Refusal(source=NAME, counter=counter, reason=reason, remedy=remedy)


def _refuse_meter(meter: Meter) -> Refusal:
    problem = meter.problem or Problem("no package can be read beside it")
    meter.drop()
    return _refuse(problem.reason, meter.name, problem.remedy)

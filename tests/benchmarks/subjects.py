"""The tools that are compared, behind one face, each inside a process of its own.

All of them read the same simulated RAPL machine. Ours has a setting for that. The peers have
their paths written into their code, so the constants (or default arguments) that hold them are
set to the simulated tree; what runs at the beginning and the end of a cell is the peers' own
code, untouched. None may use a network.

Nothing is imported at the top: the import of a tool is a part of its start.
"""

from __future__ import annotations

import builtins
import functools
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Step = Callable[[], object]

OURS = "jupyter_green"
NOTHING = "nothing"


class Subject:
    """One tool, ready to measure cells. Making it is its start."""

    package = ""
    distribution = ""
    files: tuple[str, ...] = ()
    """Keys of the simulated zones that are read at a cell's beginning, and again at its end."""

    def __init__(self, sysfs: Path) -> None:
        self.sysfs = sysfs

    def cell(self) -> tuple[Step, Step]:
        """What is called at the beginning and at the end of one cell."""
        raise NotImplementedError

    def watch(self) -> None:
        """Measure in the background as the tool does between cells, if it does."""

    def close(self) -> None:
        """End what was begun."""


class Nothing(Subject):
    """A shell without any tool."""

    def cell(self) -> tuple[Step, Step]:
        return _hooks()


class JupyterGreen(Subject):
    package = distribution = "jupyter_green"
    files = ("package-0", "core-0", "uncore-0", "dram-0")

    def __init__(self, sysfs: Path) -> None:
        super().__init__(sysfs)
        # Where the machine stands is in the configuration file of the benchmark's place.
        _shell().run_line_magic("load_ext", "jupyter_green")

    def cell(self) -> tuple[Step, Step]:
        return _hooks()

    def close(self) -> None:
        _shell().run_line_magic("unload_ext", "jupyter_green")


class CodeCarbon(Subject):
    package = distribution = "codecarbon"
    files = ("package-0", "dram-0")

    def __init__(self, sysfs: Path) -> None:
        super().__init__(sysfs)
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.core import cpu
        from codecarbon.external import hardware

        tree = str(sysfs / "class/powercap/intel-rapl/subsystem")
        cpu.is_rapl_available = functools.partial(cpu.is_rapl_available, tree)
        defaults = hardware.CPU.__init__.__defaults__ or ()
        hardware.CPU.__init__.__defaults__ = (tree, *defaults[1:])
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="FRA",
            log_level="error",
            save_to_file=False,
            rapl_include_dram=True,
            gpu_ids=[],
        )

    def cell(self) -> tuple[Step, Step]:
        return self._tracker.start_task, self._tracker.stop_task

    def watch(self) -> None:
        self._tracker.start()

    def close(self) -> None:
        self._tracker.stop()


class Zeus(Subject):
    package = distribution = "zeus"
    files = ("package-0", "dram-0")

    def __init__(self, sysfs: Path) -> None:
        super().__init__(sysfs)
        from zeus.device.cpu import rapl
        from zeus.monitor import ZeusMonitor

        rapl.RAPL_DIR = str(sysfs / "class/powercap/intel-rapl")
        self._monitor = ZeusMonitor(gpu_indices=[])

    def cell(self) -> tuple[Step, Step]:
        begin, end = self._monitor.begin_window, self._monitor.end_window
        return functools.partial(begin, "cell"), functools.partial(end, "cell")


class CarbonTracker(Subject):
    package = distribution = "carbontracker"

    def __init__(self, sysfs: Path) -> None:
        super().__init__(sysfs)
        from carbontracker.components.cpu import intel
        from carbontracker.emissions.intensity import intensity
        from carbontracker.tracker import CarbonTracker as Tracker

        intel.RAPL_DIR = f"{sysfs}/class/powercap/"
        # It asks the network where it is; without an answer it takes the world's mean.
        intensity.geocoder = SimpleNamespace(ip=lambda _who: SimpleNamespace(ok=False))
        self._tracker = Tracker(
            epochs=10**9, epochs_before_pred=0, components="cpu", ignore_errors=True, verbose=0
        )

    def cell(self) -> tuple[Step, Step]:
        return self._tracker.epoch_start, self._tracker.epoch_end

    def close(self) -> None:
        # Not stop(), which sums up all epochs and prints.
        self._tracker.tracker.stop()


class PyRapl(Subject):
    package = "pyRAPL"
    distribution = "pyRAPL"
    files = ("package-0", "dram-0")

    def __init__(self, sysfs: Path) -> None:
        super().__init__(sysfs)
        import pyRAPL
        from pyRAPL import device_api

        # Its paths are literals inside functions; only its start opens files.
        def there(path: str) -> str:
            return path.replace("/sys", str(sysfs), 1)

        def open_there(path: str, mode: str = "r") -> Any:
            return builtins.open(there(path), mode)

        device_api.open = open_there
        paths = SimpleNamespace(exists=lambda path: os.path.exists(there(path)))
        device_api.os = SimpleNamespace(path=paths)
        pyRAPL.setup()
        self._measurement = pyRAPL.Measurement

    def cell(self) -> tuple[Step, Step]:
        measurement = self._measurement("cell")
        return measurement.begin, measurement.end


SUBJECTS: dict[str, type[Subject]] = {
    OURS: JupyterGreen,
    "CodeCarbon": CodeCarbon,
    "Zeus": Zeus,
    "carbontracker": CarbonTracker,
    "pyRAPL": PyRapl,
    NOTHING: Nothing,
}
PEERS = tuple(name for name in SUBJECTS if name not in (OURS, NOTHING))


def make(name: str, sysfs: str) -> Subject:
    """Start a tool in this process."""
    return SUBJECTS[name](Path(sysfs))


def installed(name: str) -> bool:
    """Whether the tool can be compared here."""
    package = SUBJECTS[name].package
    return not package or importlib.util.find_spec(package) is not None


def version(name: str) -> str:
    """The installed version of a tool."""
    try:
        return importlib.metadata.version(SUBJECTS[name].distribution)
    except importlib.metadata.PackageNotFoundError:
        # Ours may be on the path without being installed.
        return str(getattr(importlib.import_module(SUBJECTS[name].package), "__version__", "?"))


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


def _hooks() -> tuple[Step, Step]:
    """IPython's own events around one cell, as ``run_cell`` triggers them."""
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

    info = ExecutionInfo("pass", True, False, True, "0f61b9d2-cell")
    result = ExecutionResult(info)
    trigger = _shell().events.trigger
    return (
        functools.partial(trigger, "pre_run_cell", info),
        functools.partial(trigger, "post_run_cell", result),
    )

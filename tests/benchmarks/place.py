"""Where a run happens: a simulated machine, directories of its own, and the processes in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.benchmarks.subjects import SUBJECTS
from tests.simulators.machine import RaplMachine, one_socket

PROJECT = Path(__file__).resolve().parents[2]
INSIDE = "tests.benchmarks.inside"


class SubjectFailed(RuntimeError):
    """A tool could not do what it was asked; the message ends with its own."""


@dataclass(frozen=True)
class Place:
    """Everything that the processes of one run share."""

    root: Path
    machine: RaplMachine
    environment: dict[str, str]

    @property
    def sysfs(self) -> str:
        return str(self.machine.sysfs)

    def files(self, name: str) -> list[str]:
        """The counters that a tool reads at one boundary of a cell."""
        return [str(self.machine.energy_file(key)) for key in SUBJECTS[name].files]


@contextmanager
def place() -> Iterator[Place]:
    """A machine with one socket and four zones, and an empty home."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with RaplMachine(root / "machine", one_socket()) as machine:
            _describe_cpu(machine.sysfs)
            yield Place(root, machine, _environment(root, machine.sysfs))


def _describe_cpu(sysfs: Path) -> None:
    """pyRAPL looks for the sockets here."""
    topology = sysfs / "devices/system/cpu/cpu0/topology"
    topology.mkdir(parents=True)
    (sysfs / "devices/system/cpu/present").write_text("0\n")
    (topology / "physical_package_id").write_text("0\n")


def _environment(root: Path, sysfs: Path) -> dict[str, str]:
    config = root / "config"
    config.mkdir()
    content = {"JupyterGreen": {"sysfs_root": str(sysfs)}}
    (config / "jupyter_green_config.json").write_text(json.dumps(content))
    variables = {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
        "IPYTHONDIR": str(root / "ipython"),
        "HOME": str(root),
        "MPLCONFIGDIR": str(root / "matplotlib"),
        "PYTHONPATH": str(PROJECT),
        # Everything is byte-compiled after its first import, as installed packages are.
        "PYTHONPYCACHEPREFIX": str(root / "pycache"),
    }
    without = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
    return {**without, **variables}


class Worker:
    """The parent's end of :mod:`tests.benchmarks.worker`."""

    def __init__(self, where: Place, name: str, *, started: bool = True) -> None:
        self.name = name
        self._complaints = where.root / f"{name}-{time.monotonic_ns()}.stderr"
        with self._complaints.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.worker", name, where.sysfs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=where.environment,
                cwd=where.root,
                encoding="utf-8",
            )
        if started:
            self.start()

    def start(self) -> None:
        """Start the tool."""
        self.ask("start", module="tests.benchmarks.worker")

    def ask(self, function: str, module: str = INSIDE, **arguments: Any) -> Any:
        """Have a function called inside; its result.

        Raises:
            SubjectFailed: it raised an error, or the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"call": f"{module}:{function}", **arguments}
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SubjectFailed(f"{self.name} ended: {self._complaints.read_text()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise SubjectFailed(f"{self.name}: {answer['error']}")
        return answer["result"]

    @property
    def tree(self) -> Tree:
        """The worker's process and all below it, as they are now."""
        process = psutil.Process(self._process.pid)
        return Tree(process, tuple(process.children(recursive=True)))

    def close(self) -> None:
        """End it. It is killed if it hangs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Tree:
    """A worker's own process (where a user's kernel would be) and the processes below it."""

    own: psutil.Process
    children: tuple[psutil.Process, ...]

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far: of the worker itself, and of all other processes."""
        return cpu_seconds(self.own.pid), sum(cpu_seconds(one.pid) for one in self.children)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, also of those that have ended."""
    if sys.platform == "linux":
        # The number of another process's CPU clock: see clock_getcpuclockid in the C library.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def for_each(names: list[str], problems: dict[str, str], do: Callable[[str], None]) -> None:
    """Do something with each tool; one that fails is out from then on, and said to be."""
    for name in names:
        if name in problems:
            continue
        try:
            do(name)
        except SubjectFailed as error:
            problems[name] = str(error).strip().splitlines()[-1]

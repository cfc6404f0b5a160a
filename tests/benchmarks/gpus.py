"""What NVIDIA devices add to our own cost: none, one and eight, all in use by the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from tests.benchmarks.background import MIB
from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import OURS
from tests.simulators.gpu import GIB, Gpu, GpuProcess, NvmlMachine

COUNTS = {"no GPU": 0, "1 GPU": 1, "8 GPUs": 8}
ASLEEP_S = 62.0
"""For so long nobody has run a cell when devices are looked at once a second."""
AWARE_S = 6.0
"""After which every device has been found to be in use, and its rhythm is known."""

MARKS = "marks of an empty cell (two), in the kernel"
LOG = "one mark: log(loss=..., step=...)"
WHOLE = "run_cell('pass'), all of it"
PER_MARK = "the recorder's CPU time for one mark"
IDLE, ASLEEP, RUNNING = "no cell runs", f"none for {ASLEEP_S:.0f} s", "a cell runs"
MEMORY = "memory of the recorder"
CALLS = "calls of each energy counter a second"
WAIT = "%%energy: from the end of a cell of 0.3 s to its line"

SIMULATED = (
    "The simulated library answers in a microsecond or two; a real driver's calls take longer, in "
    "the recorder's threads, and many of them wait instead of computing."
)
IN_KERNEL = "A kernel never calls NVML: what devices may change here is noise, and the processor."
COMPLETED = (
    "A boundary lies between two ticks of the counter, and is known when the ticks after it are in."
)
RECORDER = "CPU time of the process and all of its threads."


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone: the peers have no kernel to keep free."""
    table = Table("What GPUs add", reference=next(iter(COUNTS)))
    if OURS not in names:
        return table
    with _Devices(where, 1, "first"):
        pass  # byte-compiles the driver's binding, which would show as memory
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_Devices(where, n)) for name, n in COUNTS.items()}
        time.sleep(AWARE_S)
        for _ in range(effort.rounds):
            for name, one in workers.items():
                _marks(table, name, one, effort)
        for _ in range(effort.watch_rounds):
            _background(table, workers, effort)
        for name, one in workers.items():
            _memory(table, name, one)
        for _ in range(effort.waits):
            for name, one in workers.items():
                waited_ms = one.worker.ask("energy_line", in_cell_s=0.3) / 1e6
                table.add(WAIT, name, waited_ms, "ms", note=table.note(COMPLETED))
    return table


class _Devices:
    """A worker on a machine with so many devices, all of which it uses."""

    def __init__(self, where: Place, count: int, name: str = "") -> None:
        self.count = count
        self._name = name or str(count)
        self._stack = ExitStack()
        self._where = where

    def __enter__(self) -> _Devices:
        where, environment = self._where, dict(self._where.environment)
        environment["JUPYTER_DATA_DIR"] = str(where.root / f"data-{self._name}")
        self.machine: NvmlMachine | None = None
        if self.count:
            # Their ticks are spread, as those of real devices are.
            gpus = [Gpu(tick_phase_s=0.1 * index / self.count) for index in range(self.count)]
            path = where.root / f"gpus-{self._name}"
            self.machine = self._stack.enter_context(NvmlMachine(path, gpus))
            environment |= self.machine.environment
        self.worker = self._stack.enter_context(
            Worker(replace(where, environment=environment), OURS, started=False)
        )
        if self.machine is not None:
            using = [GpuProcess(self.worker.tree.own.pid, GIB, 50)]
            for index in range(self.count):
                self.machine.processes(index, using)
        self.worker.start()
        self.worker.ask("cells", count=20, in_cell_s=0.01, between_s=0.01)
        self.worker.ask("whole_cells", count=20)
        return self

    def __exit__(self, *how: object) -> None:
        self._stack.close()

    @property
    def recorder_s(self) -> float:
        """CPU seconds of the recorder so far."""
        _, children_s = self.worker.tree.cpu_s()
        return children_s

    @property
    def calls(self) -> float:
        """Calls of a device's counter so far, on the mean of all devices."""
        if self.machine is None:
            return 0.0
        return self.machine.calls("nvmlDeviceGetTotalEnergyConsumption") / self.count


def _marks(table: Table, name: str, one: _Devices, effort: Effort) -> None:
    worker, note = one.worker, table.note(IN_KERNEL)
    before_s = one.recorder_s
    marks_us = worker.ask("cells", count=effort.cells, in_cell_s=0, between_s=0)["median"] / 1e3
    log_us = worker.ask("log_calls", count=effort.cells) / 1e3
    whole_us = worker.ask("whole_cells", count=effort.cells) / 1e3
    time.sleep(1.0)  # the last boundaries are placed when their ticks are in
    marks = 5 * effort.cells  # two of each cell, and those of the log
    recorder_us = (one.recorder_s - before_s) / marks * 1e6
    table.add(MARKS, name, marks_us, "us", note=note)
    table.add(LOG, name, log_us, "us", note=note)
    table.add(WHOLE, name, whole_us, "us", note=note)
    table.add(PER_MARK, name, recorder_us, "us", note=table.note(SIMULATED))


def _background(table: Table, workers: dict[str, _Devices], effort: Effort) -> None:
    for one in workers.values():
        one.worker.ask("cells", count=3, in_cell_s=0.1, between_s=0.1)
    last_s = time.perf_counter()
    with _watched(table, workers, IDLE):
        time.sleep(effort.watch_s)
    time.sleep(max(0.0, last_s + ASLEEP_S - time.perf_counter()))
    with _watched(table, workers, ASLEEP):
        time.sleep(effort.watch_s)
    for one in workers.values():
        one.worker.ask("begin")
    with _watched(table, workers, RUNNING):
        time.sleep(effort.watch_s)
    for one in workers.values():
        one.worker.ask("end")


@contextmanager
def _watched(table: Table, workers: dict[str, _Devices], state: str) -> Iterator[None]:
    """All of them at the same time: CPU time is counted for each process."""
    time.sleep(1.0)  # what the beginning or the end of a cell causes is over
    before = {name: (time.perf_counter(), w.recorder_s, w.calls) for name, w in workers.items()}
    yield
    for name, one in workers.items():
        began_s, cpu_s, calls = before[name]
        took_s = time.perf_counter() - began_s
        per_minute = (one.recorder_s - cpu_s) * 60 / took_s
        what, note = f"{state}: the recorder's CPU", table.note(f"{RECORDER} {SIMULATED}")
        table.add(what, name, per_minute, "s/min", note=note)
        if one.count:
            table.add(f"{state}: {CALLS}", name, (one.calls - calls) / took_s, "/s")


def _memory(table: Table, name: str, one: _Devices) -> None:
    for measure in ("rss", "uss"):
        infos = [child.memory_full_info() for child in one.worker.tree.children]
        value = sum(getattr(info, measure) for info in infos) / MIB
        table.add(f"{MEMORY} ({measure.upper()})", name, value, "MiB")

"""Kernels on a simulated machine with NVIDIA devices, and their figures held against its truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_green.events import CellFinished, CellStarted, Stamped
from jupyter_green.sessions.bound import lag_bound_uj
from jupyter_green.sessions.model import Cell
from tests.simulators.gpu import GIB, Gpu, GpuProcess, NvmlMachine
from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel, Reply, running, until
from .truth import PACKAGE_AND_DRAM, TICK_S, lag_s, true_uj

CPU_W = 38.0
"""What package and DRAM draw."""
LEARNT_S = 2.0
"""Some twenty ticks: the rhythm of a counter is known."""
QUIET_S = 0.45
"""Ticks enough on both sides of a boundary."""
STRANGER = 1
"""A process that is there, and not the kernel's."""


@dataclass(frozen=True)
class Figure:
    """One device's energy in one cell, in microjoules."""

    index: int
    true_uj: float
    told_uj: float
    bound_uj: float
    naive_uj: float
    """The plain difference of what its counter showed."""

    @property
    def error(self) -> float:
        return self.told_uj / self.true_uj - 1

    @property
    def naive_error(self) -> float:
        return self.naive_uj / self.true_uj - 1

    @property
    def in_bound(self) -> bool:
        return abs(self.told_uj - self.true_uj) <= self.bound_uj

    def __str__(self) -> str:
        return (
            f"GPU {self.index}: true {self.true_uj / 1e6:.3f} J, error {self.error:+.3%} "
            f"(bound {self.bound_uj / self.true_uj:.3%}), naive {self.naive_error:+.1%}"
        )


@dataclass(frozen=True)
class Station:
    """A kernel, and both simulated machines that it runs on."""

    kernel: Kernel
    cpu: RaplMachine
    nvml: NvmlMachine
    counts: list[int] = field(default_factory=lambda: [0])

    # --- who uses what ---

    def use(self, *indices: int) -> None:
        """The kernel's process has a context on just these devices, from the next cell on."""
        own = GpuProcess(self.kernel.pid, GIB, 80)
        for index in range(len(self.nvml.gpus)):
            self.nvml.processes(index, [own] if index in indices else [])

    def settle(self) -> None:
        """Until the rhythms of the counters are known."""
        self.kernel.ok("1")
        time.sleep(LEARNT_S)

    # --- cells ---

    def run_all(self, *codes: str, pause_s: float = 0.0) -> list[Cell]:
        """Cells that must not fail; without a pause, one follows another at once."""
        if pause_s:
            replies = []
            for code in codes:
                replies.append(self.kernel.ok(code))
                time.sleep(pause_s)
        else:
            replies = [self.kernel.reply(one) for one in [self.kernel.send(c) for c in codes]]
        assert [reply.status for reply in replies] == ["ok"] * len(codes)
        self.kernel.cell(replies[-1])
        return [self.kernel.cell(reply) for reply in replies]

    def begin(self) -> str:
        """A cell that runs until ``end``."""
        self.counts[0] += 1
        n = self.counts[0]
        message = self.kernel.send(f"say('begun-{n}')\nwait_for('go-{n}')")
        until((self.kernel.home.work / f"begun-{n}").exists, what="the cell's begin")
        return message

    def end(self, message: str) -> Cell:
        """End it; what was recorded of it."""
        (self.kernel.home.work / f"go-{self.counts[0]}").touch()
        reply: Reply = self.kernel.reply(message)
        assert reply.status == "ok"
        assert reply.silent, reply.everything
        return self.kernel.cell(reply)

    # --- the truth ---

    def ends_ns(self, cell: Any) -> tuple[int, int]:
        return self.kernel.ns(cell.started_s), self.kernel.ns(cell.finished_s)

    def figure(self, cell: Cell, index: int) -> Figure:
        """What is told of a device, and what is true."""
        t0_ns, t1_ns = self.ends_ns(cell)
        name = f"gpu-{index}"
        naive_mj = self.nvml.counter_mj(index, t1_ns) - self.nvml.counter_mj(index, t0_ns)
        return Figure(
            index=index,
            true_uj=self.nvml.energy_uj(index, t0_ns, t1_ns),
            told_uj=cell.energy.uj[name],
            bound_uj=self.bound_uj(cell, [name]) + 2,  # of whole microjoules
            naive_uj=naive_mj * 1000,
        )

    def bound_uj(self, cell: Cell, names: Sequence[str]) -> float:
        """What is stated of these counters alone."""
        began, ended = self._stamps(cell)
        counters = self.kernel.session().counters
        band_uj = sum(counters[name].band * cell.energy.uj.get(name, 0) for name in names)
        return band_uj + lag_bound_uj(names, counters, (began.error_uj, ended.error_uj))

    def _stamps(self, cell: Cell) -> tuple[Stamped, Stamped]:
        events = [
            event
            for event in self.kernel.events()
            if isinstance(event, CellStarted | CellFinished) and event.number == cell.number
        ]
        began, ended = events
        return began, ended

    def true_total_uj(self, window: Any, *indices: int) -> float:
        """Of package, DRAM and these devices."""
        ends = self.ends_ns(window)
        devices_uj = sum(self.nvml.energy_uj(index, *ends) for index in indices)
        return true_uj(self.cpu, PACKAGE_AND_DRAM, *ends) + devices_uj

    def cpu_late_uj(self, window: Any) -> float:
        """What the simulated processor was late itself."""
        return CPU_W * max(0.0, lag_s(self.cpu, "package-0", *self.ends_ns(window)) - TICK_S) * 1e6

    def total_in_bound(self, window: Any, *indices: int) -> bool:
        """The truth lies within the stated bound around the total."""
        error_uj = abs(window.energy.total_uj - self.true_total_uj(window, *indices))
        return bool(error_uj <= window.energy.bound_uj + self.cpu_late_uj(window))

    def assert_cpu_right(self, cell: Cell) -> None:
        """Package and DRAM, whatever happens to the devices."""
        told_uj = sum(cell.energy.uj[name] for name in PACKAGE_AND_DRAM)
        truth_uj = true_uj(self.cpu, PACKAGE_AND_DRAM, *self.ends_ns(cell))
        slack_uj = CPU_W * 1e6 * 0.005 + self.cpu_late_uj(cell)
        assert abs(told_uj - truth_uj) <= slack_uj, (told_uj, truth_uj)


@contextmanager
def machines(place: Path, gpus: Sequence[Gpu]) -> Iterator[tuple[RaplMachine, NvmlMachine]]:
    """A processor with one socket, and devices."""
    with (
        RaplMachine(place / "machine", one_socket()) as cpu,
        NvmlMachine(place / "gpu", gpus) as nvml,
    ):
        yield cpu, nvml


@contextmanager
def station(
    place: Path,
    cards: Sequence[Gpu],
    *,
    argv: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    **settings: object,
) -> Iterator[Station]:
    """A kernel with the extension loaded, which sees these devices."""
    with (
        machines(place, cards) as (cpu, nvml),
        on(place, cpu, nvml, argv, environment, settings) as it,
    ):
        yield it


@contextmanager
def on(
    place: Path,
    cpu: RaplMachine,
    nvml: NvmlMachine,
    argv: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    settings: dict[str, object] | None = None,
) -> Iterator[Station]:
    """The same on machines that stand already."""
    home = Home(place / "home", sysfs_root=str(cpu.sysfs), **(settings or {}))
    seen = {**nvml.environment, **(environment or {})}
    try:
        with running(home, argv=argv, fifo=cpu.command_path, **seen) as kernel:
            kernel.ok(nvml.tools(), silent=True)
            yield Station(kernel, cpu, nvml)
    finally:
        home.close()

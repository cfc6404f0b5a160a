"""Devices that are held and do nothing, and what a card could do at a lower precision.

Whether a device works is read off its own counter: its idle power is what it draws between
cells (or drew in a baseline), and a window near that is idle. Of a device that never rises
clearly above it nothing is said, nor of one that other people's processes use as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jupyter_green.events import CounterInfo, ModelDescribed
from jupyter_green.insight.findings import (
    MOST_FACTS,
    Fact,
    Finding,
    about_cell,
    deliberate_cells,
    finding,
    matters,
    short,
)
from jupyter_green.insight.stretches import BETWEEN, Window, windows_of
from jupyter_green.sessions.model import Cell, OpenCell, Session
from jupyter_green.units import format_duration, format_energy, format_power, format_share, uj_to_j

WORKING = 1.5
"""From that many times its idle power on a device works ..."""
NEAR_IDLE = 0.25
"""... and up to that share of the way from its idle to its usual working power it is idle: clocks
stay up for some seconds after work, at a power above that of a long rest."""
FEWEST_WINDOWS = 3
"""About as many seconds of either are needed to know its idle power, and that it worked."""
LEAST_IDLE_S = 60.0
"""Less idle time between cells, in all, is a person who reads a result."""
LEAST_WAITING = 0.3
"""Of a cell's time that a device waits: a smaller share is the usual loading and saving."""

_TENSOR_CORES = re.compile(
    r"\b(?:V100|TITAN V|TITAN RTX|GV100|T4G?|A100|A800|A30|A40|A10G?|A16|A2|L4|L40S?|H100|H200|H20"
    r"|H800|GH200|B100|B200|GB200|GB300|B300|RTX|DGX)\b"
)
"""NVIDIA cards from Volta on that have tensor cores. GTX 16 and the small T cards have none."""
_FULL = frozenset({"fp32", "float32", "torch.float32", "32", "32-true", "single"})
_LOWER = re.compile(r"amp|mixed|half|bf16|fp16|float16|int8|fp8|tf32|quanti", re.IGNORECASE)


def held_devices(session: Session) -> Iterable[Finding]:
    """Devices that were held and did nothing: between cells, and in cells that used them."""
    for device in _devices(session):
        yield from _idle_device(session, device)
        yield from _waiting_device(session, device)


def _idle_device(session: Session, device: _Device) -> Iterable[Finding]:
    idle = [window for window in device.idle if window.owner == BETWEEN]
    seconds = sum(window.seconds for window in idle)
    held_uj = session.ledger.between.uj.get(device.name, 0)
    energy_uj = min(held_uj, sum(window.uj for window in idle))
    bound_uj = device.bound_uj(session, energy_uj)
    if seconds < LEAST_IDLE_S or not matters(session, energy_uj, bound_uj):
        return
    yield finding(
        session,
        kind="idle device",
        title="A device was held and idle between cells",
        energy_uj=energy_uj,
        bound_uj=bound_uj,
        evidence=[
            Fact(
                words=f"{format_power(uj_to_j(energy_uj) / seconds)} for "
                f"{format_duration(seconds)} between cells; "
                f"{format_power(device.working_w)} where it worked in cells",
                name=short(device.label),
            )
        ],
        remedy=(
            "run the cells in one go (jupyter green run NOTEBOOK), and shut the kernel down "
            "when it is not needed for a while: its context on the device ends only with it"
        ),
        provenance=[device.info.provenance],
    )


def _waiting_device(session: Session, device: _Device) -> Iterable[Finding]:
    deliberate = deliberate_cells(session)
    waits = {number: wait for number, wait in device.waits().items() if number not in deliberate}
    energy_uj = sum(wait.uj for wait in waits.values())
    bound_uj = device.bound_uj(session, energy_uj)
    if not matters(session, energy_uj, bound_uj):
        return
    yield finding(
        session,
        kind="waiting device",
        title="A device waited while cells that used it ran",
        energy_uj=energy_uj,
        bound_uj=bound_uj,
        evidence=[
            Fact(
                words=f"{format_power(_mean_w(waits.values()))} while it waited, "
                f"{format_power(device.working_w)} while it worked",
                name=short(device.label),
            ),
            *_dearest_waits(session, waits),
        ],
        remedy=(
            "load and prepare data while the device works (more workers, pinned memory, "
            "prefetching, a cached data set), or use larger batches; what needs no device "
            "belongs before it is first used"
        ),
        provenance=[device.info.provenance],
    )


def _dearest_waits(session: Session, waits: Mapping[int, _Wait]) -> Iterator[Fact]:
    cells: dict[int, Cell | OpenCell] = {cell.number: cell for cell in session.cells}
    cells |= {cell.number: cell for cell in session.open_cells}
    dearest = sorted(waits, key=lambda number: waits[number].uj, reverse=True)
    for number in dearest[:MOST_FACTS]:
        yield about_cell(cells[number], waits[number].words)


def full_precision(session: Session) -> Iterable[Finding]:
    """A model in fp32 on a card whose tensor cores compute lower precisions faster.

    Told only of what a card's own counter has measured; what the change saves is for a
    measurement to show, so the energy is that of the card while the model was used.
    """
    deliberate = deliberate_cells(session)
    models = _last_described(session)
    for name, info in _cards(session):
        used = {
            cell.number: (cell, model)
            for model in models
            if (model.precision or "").strip().casefold() in _FULL
            for cell in _cells_of(session, model)
            if cell.energy.uj.get(name) and cell.number not in deliberate
        }
        cells = [cell for cell, _ in used.values()]
        energy_uj = sum(cell.energy.uj[name] for cell in cells)
        bound_uj = sum(cell.energy.lag_uj for cell in cells) + info.band * energy_uj
        if not _TENSOR_CORES.search(info.device) or not matters(session, energy_uj, bound_uj):
            continue
        cells.sort(key=lambda cell: cell.energy.uj[name], reverse=True)
        yield finding(
            session,
            kind="full precision",
            title="A model ran in fp32 on a card with tensor cores",
            energy_uj=energy_uj,
            bound_uj=bound_uj,
            evidence=[
                Fact(words=f"{name} is one", name=short(info.device)),
                *(
                    about_cell(cell, f"{format_energy(cell.energy.uj[name])} of the card, fp32")
                    for cell in cells[: MOST_FACTS - 1]
                ),
            ],
            remedy=(
                "mixed precision (torch.autocast, bf16 or fp16), or TF32 "
                "(torch.set_float32_matmul_precision('high')), under a label of its own, and "
                "compare energy and metric"
            ),
            provenance=[info.provenance],
        )


# --- what a device does -------------------------------------------------------------------


@dataclass(frozen=True)
class _Wait:
    """The part of a cell in which a device waited."""

    uj: int
    waited_s: float
    seconds: float
    """Of the whole cell."""
    worked: int
    """Windows in which it worked."""

    @property
    def share(self) -> float:
        """Of the cell's time, of one."""
        return self.waited_s / self.seconds

    @property
    def words(self) -> str:
        spent, seconds = format_energy(self.uj), format_duration(self.seconds)
        return f"it waited for {format_share(self.share)} of {seconds}, {spent}"


@dataclass(frozen=True)
class _Device:
    """A device whose idle and working power are known."""

    name: str
    info: CounterInfo
    windows: Sequence[Window]
    idle_w: float
    """Of a long rest."""
    working_w: float
    """Median of the windows in cells in which it worked."""

    @property
    def label(self) -> str:
        return f"{self.name} {self.info.device}".strip()

    @property
    def idle(self) -> Iterator[Window]:
        return (window for window in self.windows if self._is_idle(window))

    def _is_idle(self, window: Window) -> bool:
        return window.power_w <= self.idle_w + NEAR_IDLE * (self.working_w - self.idle_w)

    def waits(self) -> dict[int, _Wait]:
        """By cell in which it worked and waited for ``LEAST_WAITING`` of the time or more."""
        cells: defaultdict[int, list[Window]] = defaultdict(list)
        for window in self.windows:
            if window.owner != BETWEEN:
                cells[window.owner].append(window)
        waits = {number: self._wait(windows) for number, windows in cells.items()}
        return {
            number: wait
            for number, wait in waits.items()
            if wait.share >= LEAST_WAITING and wait.worked >= FEWEST_WINDOWS
        }

    def _wait(self, windows: Sequence[Window]) -> _Wait:
        idle = [window for window in windows if self._is_idle(window)]
        seconds = sum(window.seconds for window in windows)
        waited_s = sum(window.seconds for window in idle)
        worked = sum(window.power_w >= WORKING * self.idle_w for window in windows)
        return _Wait(sum(window.uj for window in idle), waited_s, seconds, worked)

    def bound_uj(self, session: Session, energy_uj: int) -> float:
        """Counters lag at the ends of each stretch; theirs is in the session's own bound."""
        return session.total.lag_uj + self.info.band * energy_uj


def _mean_w(waits: Iterable[_Wait]) -> float:
    waits = list(waits)
    return uj_to_j(sum(wait.uj for wait in waits)) / sum(wait.waited_s for wait in waits)


def _devices(session: Session) -> Iterator[_Device]:
    for name, info in _cards(session):
        windows = windows_of(session, name)
        idle_w = _idle_w(session, name, windows)
        if idle_w is None:
            continue
        in_cells = [window.power_w for window in windows if window.owner != BETWEEN]
        worked = [power_w for power_w in in_cells if power_w >= WORKING * idle_w]
        if len(worked) >= FEWEST_WINDOWS:
            yield _Device(name, info, windows, idle_w, sorted(worked)[len(worked) // 2])


def _cards(session: Session) -> Iterator[tuple[str, CounterInfo]]:
    """Counted devices that the session used and nobody else did."""
    shared = {name for cell in session.cells for name in cell.devices_shared}
    for name, info in session.counters.items():
        used = info.counted and info.domain == "gpu" and session.total.uj.get(name)
        if used and name not in shared and info.provenance != "modelled":
            yield name, info


def _idle_w(session: Session, name: str, windows: Sequence[Window]) -> float | None:
    """The power at which it idles: between cells a low one, or that of a baseline."""
    between = [window.power_w for window in windows if window.owner == BETWEEN]
    if len(between) >= FEWEST_WINDOWS:
        return sorted(between)[len(between) // 5]
    measured = [baseline.power_w.get(name) for baseline in session.baselines]
    return next((watts for watts in reversed(measured) if watts), None)


# --- precision ----------------------------------------------------------------------------


def _last_described(session: Session) -> Iterable[ModelDescribed]:
    """What was said last of each run; without a run's name, of each cell."""
    models = {(m.run, None if m.run else m.cell): m for m in session.models if m.precision}
    return models.values()


def _cells_of(session: Session, model: ModelDescribed) -> Iterator[Cell]:
    """The cells that described the model or logged for its run, unless tagged otherwise."""
    logged = {m.cell for m in session.metrics if model.run is not None and m.run == model.run}
    for cell in session.cells:
        is_its = cell.number == model.cell or cell.number in logged
        if is_its and cell.owns_time and not _LOWER.search(cell.tags.technique or ""):
            yield cell

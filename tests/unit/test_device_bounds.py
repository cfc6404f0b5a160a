"""The energy of a card whose counter ticks ten times a second: right, and with a true bound.

A counter read naively misplaces up to a tick at each end of a cell. Here its ticks are found, and
the energy at a boundary is placed between them; what is left of the error is told.
"""

from __future__ import annotations

import random
import statistics
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest

from jupyter_green.events import CellFinished, CellStarted, CounterInfo
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.simulators.virtual import NS, Curve, VirtualCounter, VirtualMachine
from tests.unit.test_bounds import Load, World, covered, header, random_curve

TRIALS = 1000

Truth = Callable[[float], float]
"""Joules from time 0 to t."""


def info(name: str = "gpu-0") -> CounterInfo:
    return CounterInfo(
        name=name,
        domain="gpu",
        source="nvml",
        provenance="measured",
        resolution_s=0.1,
        quantum_uj=1000,
        centred=True,
        max_power_w=2000.0,
        scope="device",
    )


def quiet_machine(rng: random.Random, began_s: float, ended_s: float, domain: str) -> Truth:
    """The card idles, and the cell works: constant or square power."""
    curve = random_curve(rng, least_w=120, most_w=500)
    return Load(rng.uniform(20, 80), curve, began_s, ended_s).energy_j


def constant_load(rng: random.Random, began_s: float, ended_s: float, domain: str) -> Truth:
    """The card idles, and the cell draws one power."""
    watts = rng.uniform(120, 500)
    return Load(rng.uniform(20, 80), Curve(watts, watts), began_s, ended_s).energy_j


def busy_machine(rng: random.Random, began_s: float, ended_s: float, domain: str) -> Truth:
    """A load that knows nothing of the cell: somebody else works all the time."""
    return random_curve(rng, least_w=30, most_w=300).energy_j


@dataclass(frozen=True)
class Trial:
    """One random cell, as it is told and as it was. Energies in microjoules."""

    told_uj: float
    bound_uj: float
    true_uj: float
    naive_uj: float
    """The counter's difference between the boundaries, as a library that reads it finds it."""

    @property
    def error_uj(self) -> float:
        return abs(self.told_uj - self.true_uj)

    @property
    def relative(self) -> float:
        return self.error_uj / self.true_uj

    @property
    def naive_relative(self) -> float:
        return abs(self.naive_uj - self.true_uj) / self.true_uj


def trial(
    seed: int,
    world: World,
    jitter_s: float = 0.0,
    duration_s: float | None = None,
    idle_s: float = 0.0,
) -> Trial:
    """The card has been watched for some seconds, as after an import; then a cell runs."""
    rng = random.Random(seed)
    start_ns = 5 * NS
    began_ns = start_ns + round((idle_s + rng.uniform(2.5, 6)) * NS)
    drawn_s = 10 ** rng.uniform(-2, 1.3)
    ended_ns = began_ns + round((duration_s or drawn_s) * NS)
    counter = VirtualCounter(
        info(),
        world(rng, began_ns / NS, ended_ns / NS, "gpu"),
        tick_s=0.1 * (1 + rng.uniform(-1, 1) * 1e-3),
        tick_phase_s=rng.uniform(0, 0.1),
        jitter_s=jitter_s,
    )
    machine = VirtualMachine([], devices=[counter], seed=seed)
    machine.mark(header(machine), start_ns)
    machine.mark(CellStarted(t=0, number=1, cell="c"), began_ns, rng.randrange(2_000_000))
    machine.mark(CellFinished(t=0, number=1, status="ok"), ended_ns, rng.randrange(2_000_000))
    energy = folded(machine).cells[0].energy
    assert energy.total_uj is not None
    assert energy.missing == ()
    return Trial(
        energy.total_uj,
        energy.bound_uj,
        counter.true_uj(ended_ns / NS) - counter.true_uj(began_ns / NS),
        counter.raw_uj(ended_ns / NS) - counter.raw_uj(began_ns / NS),
    )


def folded(machine: VirtualMachine) -> Session:
    fold = Fold()
    for event in machine.settle():
        fold.feed(event)
    return fold.session()


def judged(name: str, world: World, jitter_s: float = 0.0) -> tuple[int, float]:
    """How many of the bounds hold, and how wide they are in errors."""
    trials = [trial(seed, world, jitter_s) for seed in range(TRIALS)]
    errors, bounds = [one.error_uj for one in trials], [one.bound_uj for one in trials]
    ratio = statistics.median(bounds) / statistics.median(errors)
    print(f"{name}: {covered(errors, bounds)} of {TRIALS}, width / error {ratio:.2f}")
    return covered(errors, bounds), ratio


def test_bound_covers_the_truth_and_is_narrow() -> None:
    hold, ratio = judged("quiet", quiet_machine)
    assert hold >= 0.95 * TRIALS
    assert ratio < 3


def test_bound_covers_the_truth_while_somebody_else_works() -> None:
    """Power may change at any time here, unseen between two ticks."""
    hold, _ = judged("busy", busy_machine)
    assert hold >= 0.93 * TRIALS


@pytest.mark.parametrize("jitter_ms", [0.5, 3.0])
def test_bound_covers_the_truth_where_the_ticks_are_irregular(jitter_ms: float) -> None:
    hold, _ = judged(f"jitter {jitter_ms} ms", quiet_machine, jitter_ms / 1000)
    assert hold >= 0.94 * TRIALS


@pytest.mark.parametrize(("duration_s", "limit", "naive"), [(1.0, 0.01, 0.02), (0.1, 0.1, 0.3)])
@pytest.mark.parametrize("world", [constant_load, quiet_machine])
def test_a_cell_among_quiet_is_nearly_exact(
    world: World, duration_s: float, limit: float, naive: float
) -> None:
    """A naive reading of the same counter, in the same cells, is far off."""
    trials = [trial(seed, world, duration_s=duration_s) for seed in range(300)]
    off = [one.relative for one in trials]
    naive_off = statistics.median(one.naive_relative for one in trials)
    print(
        f"{duration_s} s: median {statistics.median(off):.3%}, worst {max(off):.2%}, "
        f"naive {naive_off:.1%}"
    )
    assert sum(one < limit for one in off) >= 0.99 * len(off)
    assert statistics.median(off) < 0.003
    assert naive_off > naive


def test_a_cell_after_a_long_pause_is_as_exact() -> None:
    """The card is left alone meanwhile, but for a tick a second."""
    trials = [trial(seed, quiet_machine, duration_s=1.0, idle_s=90.0) for seed in range(100)]
    off = [one.relative for one in trials]
    print(f"after a pause: median {statistics.median(off):.3%}, worst {max(off):.2%}")
    assert sum(one < 0.01 for one in off) >= 0.99 * len(off)
    assert sum(one.error_uj <= one.bound_uj for one in trials) >= 0.94 * len(trials)


# Cells in quick succession

CELLS = 100


class Steps:
    """Power that is another in each stretch between two times."""

    def __init__(self, times_s: list[float], watts: list[float]) -> None:
        """``watts`` has one more: before the first of the times."""
        self._times_s = [0.0, *times_s]
        self._watts = watts
        gaps = [end - begin for begin, end in pairwise(self._times_s)]
        drawn = (w * gap for w, gap in zip(watts, gaps, strict=False))
        self._joules = [0.0, *accumulate(drawn)]

    def energy_j(self, t_s: float) -> float:
        here = bisect_right(self._times_s, t_s) - 1
        return self._joules[here] + self._watts[here] * (t_s - self._times_s[here])


def succession(seed: int, gap_s: float, jitter_s: float = 0.0) -> tuple[Session, list[float]]:
    """Cells of random lengths and powers, each right after the other; their true energies."""
    rng = random.Random(seed)
    machine_start_s = 5.0
    t_s = machine_start_s + 4.0
    times_s: list[float] = []
    for _ in range(CELLS):
        times_s += [t_s, t_s + rng.uniform(0.02, 2.0)]
        t_s = times_s[-1] + gap_s
    idle_w = rng.uniform(20, 80)
    watts = [idle_w]
    for _ in range(CELLS):
        watts += [rng.uniform(100, 500), idle_w]
    load = Steps(times_s, watts)
    counter = VirtualCounter(
        info(), load.energy_j, tick_s=0.1, tick_phase_s=rng.uniform(0, 0.1), jitter_s=jitter_s
    )
    machine = VirtualMachine([], devices=[counter], seed=seed)
    machine.mark(header(machine), machine.start_ns)
    for number, (began_s, ended_s) in enumerate(zip(times_s[::2], times_s[1::2], strict=True), 1):
        began = CellStarted(t=0, number=number, cell="c")
        machine.mark(began, round(began_s * NS), rng.randrange(300_000))
        ended = CellFinished(t=0, number=number, status="ok")
        machine.mark(ended, round(ended_s * NS), rng.randrange(300_000))
    true_uj = [
        (load.energy_j(end) - load.energy_j(begin)) * 1e6
        for begin, end in zip(times_s[::2], times_s[1::2], strict=True)
    ]
    return folded(machine), true_uj


@pytest.mark.parametrize("gap_s", [0.0004, 0.05])
def test_cells_in_quick_succession_are_within_their_bounds(gap_s: float) -> None:
    inside = cells = 0
    for seed in range(5):
        session, true_uj = succession(seed, gap_s)
        assert len(session.cells) == CELLS
        for cell, truth in zip(session.cells, true_uj, strict=True):
            assert cell.energy.total_uj is not None
            inside += abs(cell.energy.total_uj - truth) <= cell.energy.bound_uj
            cells += 1
    print(f"gap {gap_s} s: {inside} of {cells}")
    assert inside >= 0.95 * cells


def test_cells_and_what_lies_between_are_the_total() -> None:
    """To the microjoule, and the total is right to its own bound."""
    session, true_uj = succession(7, 0.0004)
    entries = session.ledger.entries.values()
    assert sum(entry.uj.get("gpu-0", 0) for entry in entries) == session.total.uj["gpu-0"]
    cells_uj = sum(cell.energy.uj["gpu-0"] for cell in session.cells)
    assert cells_uj == pytest.approx(sum(true_uj), rel=0.01)

"""The stated bound holds the truth in 95 % of random cells, and is no wider than it must be."""

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from jupyter_green.events import CellFinished, CellStarted, CounterInfo, SessionStarted
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Cell
from tests.simulators.virtual import NS, Curve, VirtualCounter, VirtualMachine

TRIALS = 1000


def info(name: str, clock: str, domain: str = "package") -> CounterInfo:
    return CounterInfo(
        name=name,
        domain=domain,
        source="rapl",
        provenance="measured",
        resolution_s=0.001,
        clock=clock,
        range_uj=262_143_328_850,
        max_power_w=1000.0,
    )


def random_curve(rng: random.Random, least_w: float = 2, most_w: float = 60) -> Curve:
    """Constant or square power of a load."""
    low_w = rng.uniform(least_w, most_w)
    if rng.random() < 0.5:
        return Curve(low_w, low_w)
    return Curve(
        low_w,
        low_w + rng.uniform(5, 250),
        period_s=10 ** rng.uniform(-0.7, 0.7),
        duty=rng.uniform(0.1, 0.9),
        phase_s=rng.uniform(0, 5),
    )


@dataclass(frozen=True)
class Load:
    """The power of a machine that idles, but for one cell (and, at times, for its neighbours)."""

    idle_w: float
    curve: Curve
    began_s: float
    ended_s: float

    def energy_j(self, t_s: float) -> float:
        inside_s = min(max(t_s, self.began_s), self.ended_s)
        work_j = self.curve.energy_j(inside_s) - self.curve.energy_j(self.began_s)
        return self.idle_w * t_s + work_j


World = Callable[[random.Random, float, float, str], Callable[[float], float]]
"""Makes the true energy of one counter, for a cell that runs between two times."""


def quiet_machine(
    rng: random.Random, began_s: float, ended_s: float, domain: str
) -> Callable[[float], float]:
    """The machine idles, and the cell works: constant or square power, memory a tenth of it."""
    curve = random_curve(rng, least_w=15, most_w=120)
    if domain == "dram":
        curve = Curve(curve.low_w / 10, curve.high_w / 10, curve.period_s, curve.duty)
    return Load(rng.uniform(1, 15), curve, began_s, ended_s).energy_j


def busy_machine(
    rng: random.Random, began_s: float, ended_s: float, domain: str
) -> Callable[[float], float]:
    """A load that knows nothing of the cell: somebody else works all the time."""
    return random_curve(rng).energy_j


def trial(seed: int, sockets: int, world: World) -> tuple[Cell, float]:
    """One random cell; its figure and its true energy in microjoules."""
    rng = random.Random(seed)
    start_ns = 5 * NS
    began_ns = start_ns + round(rng.uniform(0.05, 4) * NS)
    ended_ns = began_ns + round(10 ** rng.uniform(-2, 1.3) * NS)
    counters = []
    for socket in range(sockets):
        phase_s = rng.uniform(0, 0.001)
        for domain in ("package", "dram"):
            about = info(f"{domain}-{socket}", f"socket-{socket}", domain)
            energy_j = world(rng, began_ns / NS, ended_ns / NS, domain)
            counters.append(VirtualCounter(about, energy_j, tick_phase_s=phase_s))
    machine = VirtualMachine(counters)
    assert machine.start_ns == start_ns
    machine.mark(header(machine), start_ns)
    machine.mark(CellStarted(t=0, number=1, cell="c"), began_ns, rng.randrange(3_000_000))
    machine.mark(CellFinished(t=0, number=1, status="ok"), ended_ns, rng.randrange(3_000_000))
    fold = Fold()
    for event in machine.settle():
        fold.feed(event)
    truth_uj = sum(c.true_uj(ended_ns / NS) - c.true_uj(began_ns / NS) for c in counters)
    return fold.session().cells[0], truth_uj


def header(machine: VirtualMachine) -> SessionStarted:
    return SessionStarted(
        t=0.0,
        format="1.0",
        session="s",
        version="0",
        wall_s=0.0,
        host="h",
        boot_id="b",
        pid=1,
        process_started=0.0,
        counters=list(machine.source.counters),
    )


def errors_and_bounds(sockets: int, world: World) -> tuple[list[float], list[float]]:
    errors, bounds = [], []
    for seed in range(TRIALS):
        cell, truth_uj = trial(seed, sockets, world)
        assert cell.energy.total_uj is not None
        errors.append(abs(cell.energy.total_uj - truth_uj))
        bounds.append(cell.energy.bound_uj)
    return errors, bounds


def covered(errors: list[float], bounds: list[float]) -> int:
    return sum(error <= bound for error, bound in zip(errors, bounds, strict=True))


@pytest.mark.parametrize("sockets", [1, 2])
def test_bound_covers_the_truth_and_is_narrow(sockets: int) -> None:
    errors, bounds = errors_and_bounds(sockets, quiet_machine)
    ratio = statistics.median(bounds) / statistics.median(errors)
    print(f"{sockets} sockets: {covered(errors, bounds)} of {TRIALS}, width / error {ratio:.2f}")
    assert covered(errors, bounds) >= 0.95 * TRIALS
    assert ratio < 3


@pytest.mark.parametrize("sockets", [1, 2])
def test_bound_covers_the_truth_while_somebody_else_works(sockets: int) -> None:
    """Power may change at any time here; then the bound is wider, and must still be true."""
    errors, bounds = errors_and_bounds(sockets, busy_machine)
    assert covered(errors, bounds) >= 0.95 * TRIALS


def test_figures_are_right_to_one_update_at_each_end() -> None:
    for seed in range(200):
        cell, truth_uj = trial(seed, 1, quiet_machine)
        assert cell.energy.total_uj is not None
        most_w = 30 + 310 * 1.1
        assert abs(cell.energy.total_uj - truth_uj) <= 2 * 0.001 * most_w * 1e6
        if cell.duration_s >= 1 and truth_uj > 40e6:
            assert cell.energy.total_uj == pytest.approx(truth_uj, rel=0.005)

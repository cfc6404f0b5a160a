"""Measured energy held against what the simulated machine really drew."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_green.sessions.model import Cell, Energy, Session, Span
from tests.simulators.machine import RaplMachine

from .kernels import Kernel

NS_PER_S = 1_000_000_000
PACKAGE_AND_DRAM = ("package-0", "dram-0")
READING_NS = 400_000
"""The stamp's time lies in the middle of readings that may take so long in all."""
TICK_S = 0.001
GOOD_LAG_S = 0.0025
"""Half a percent of a second, at each end: a machine that lags more says nothing about it."""


def true_uj(machine: RaplMachine, keys: Sequence[str], t0_ns: int, t1_ns: int) -> float:
    return sum(machine.energy_uj(key, t0_ns, t1_ns) for key in keys)


def lag_s(machine: RaplMachine, key: str, *times_ns: int) -> float:
    """The greatest age of a value that was read at one of these times."""
    return max(machine.largest_lag_s(key, t - READING_NS, t + READING_NS) for t in times_ns)


class Check:
    """One window's error, and what it may be."""

    def __init__(
        self,
        kernel: Kernel,
        machine: RaplMachine,
        window: Cell | Span,
        peak_w: float,
        keys: Sequence[str] = PACKAGE_AND_DRAM,
    ) -> None:
        ends = kernel.ns(window.started_s), kernel.ns(window.finished_s)
        total = window.energy.total_uj
        assert total is not None
        self.window = window
        self.true_uj = true_uj(machine, keys, *ends)
        self.error_uj = abs(total - self.true_uj)
        self.lag_s = lag_s(machine, keys[0], *ends)
        self.one_update_uj = peak_w * (self.lag_s * 1e6 + 2 * READING_NS / 1000) + 2 * len(keys)
        self.excess_uj = peak_w * max(0.0, self.lag_s - TICK_S) * 1e6

    def assert_right(self) -> None:
        """To one update of the counters at each end; to half a percent from a second on."""
        print(self)  # shown where the test fails
        assert not self.window.energy.missing
        assert self.to_one_update, str(self)
        if self.window.duration_s >= 1 and self.lag_s <= GOOD_LAG_S:
            assert self.error_uj <= 0.005 * self.true_uj, str(self)

    @property
    def to_one_update(self) -> bool:
        return self.error_uj <= self.one_update_uj

    @property
    def in_bound(self) -> bool:
        """The truth lies in the stated bound, but for what the simulator was late itself."""
        return self.error_uj <= self.window.energy.bound_uj + self.excess_uj

    def __str__(self) -> str:
        return (
            f"{self.window.duration_s:.4f} s: true {self.true_uj / 1e6:.6f} J, "
            f"error {self.error_uj / 1e6:.6f} J, one update {self.one_update_uj / 1e6:.6f} J, "
            f"bound {self.window.energy.bound_uj / 1e6:.6f} J, lag {self.lag_s * 1e3:.3f} ms"
        )


def assert_honest(energy: Energy) -> None:
    """Whatever happened: nothing negative, and what is unknown says so."""
    assert all(uj >= 0 for uj in energy.uj.values())
    assert energy.total_uj is None or energy.total_uj >= 0
    assert energy.bound_uj >= 0


def assert_partition(session: Session) -> None:
    """The ledger's entries add up to the session's total, counter by counter."""
    entries = session.ledger.entries.values()
    for counter, total in session.total.uj.items():
        assert sum(entry.uj.get(counter, 0) for entry in entries) == total
    assert sum(entry.total_uj for entry in entries) == (session.total.total_uj or 0)

"""A budget of energy on the simulated machine: warned of, kept, and nothing lost by it."""

from __future__ import annotations

import time

import pytest

from jupyter_green.events import BudgetSet
from jupyter_green.report.text import render
from tests.simulators.machine import RaplMachine

from .kernels import Kernel, kill, until
from .truth import PACKAGE_AND_DRAM, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

LONG = 30


def used_j(kernel: Kernel) -> float:
    """As the kernel itself knows it: the journal may not be there yet."""
    ask = "__import__('jupyter_green').session().total.energy_j"
    return float(until(lambda: kernel.ask(ask), what="a first reading"))


BODIES = {
    "asleep": "time.sleep(30)",
    "at work": "while time.time(): pass",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_cell_is_interrupted_when_the_budget_is_used_up(
    kernel: Kernel, machine: RaplMachine, body: str
) -> None:
    """To 2 % of the budget, asleep or at work; the notebook goes on, and nothing is lost."""
    kernel.ok("before = 1")
    budget_j = round(used_j(kernel)) + 190
    kernel.ok(f"%green budget {budget_j} J --stop")
    reply = kernel.run(f"try:\n    {body}\nfinally:\n    stopped_ns = time.perf_counter_ns()")
    assert reply.status == "error"
    assert "KeyboardInterrupt" in reply.everything
    assert f"the budget of {budget_j} J is used up" in reply.everything
    assert "The cell is interrupted." in reply.everything
    cell = kernel.cell(reply)
    assert cell.status == "interrupted"
    # IPython lays out the traceback before it calls the cell finished.
    first_ns, stopped_ns = kernel.ns(kernel.session().trace.t[0]), kernel.ask("stopped_ns")
    truth_j = true_uj(machine, PACKAGE_AND_DRAM, first_ns, stopped_ns) / 1e6
    assert truth_j == pytest.approx(budget_j, rel=0.02)
    # The next cell runs: to go on is the user's decision.
    assert kernel.ask("before + 1") == 2
    kernel.ok("time.sleep(0.5)")
    assert f"of {budget_j} J are used" in kernel.ok("%green budget").everything
    assert kernel.session().ledger.entries["failed"].total_uj > 100e6
    (mark,) = [event for event in kernel.events() if isinstance(event, BudgetSet)]
    assert (mark.budget_uj, mark.stop) == (budget_j * 1_000_000, True)


def test_without_stop_there_are_two_warnings_below_the_cell(kernel: Kernel) -> None:
    # A first warning comes at four fifths of it.
    used = used_j(kernel)
    budget_j = round(1.4 * used) + 40
    assert f"may use {budget_j} J" in kernel.ok(f"%green budget {budget_j}J").everything
    reply = kernel.ok(f"time.sleep({(budget_j - used) / 35 + 0.5})")
    assert reply.everything.count("jupyter_green:") == 2
    assert f"of the budget of {budget_j} J" in reply.everything
    assert f"the budget of {budget_j} J is used up" in reply.everything
    assert "interrupted" not in reply.everything


def test_a_budget_that_was_dropped_or_raised_interrupts_nothing(kernel: Kernel) -> None:
    kernel.ok(f"%green budget {round(used_j(kernel)) + 30} J --stop")
    kernel.ok("%green budget off")
    assert "jupyter_green:" not in kernel.ok("time.sleep(1.5)").everything
    assert "No budget is set" in kernel.ok("%green budget").everything
    kernel.ok(f"%green budget {round(used_j(kernel)) + 30} J --stop")
    kernel.ok("%green budget 2 Wh --stop")
    assert "jupyter_green:" not in kernel.ok("time.sleep(1.5)").everything
    assert "of 2 Wh are used" in kernel.ok("%green budget").everything


def test_one_that_is_used_up_already_is_refused(kernel: Kernel) -> None:
    """It could not interrupt anything but the cell that sets it."""
    kernel.ok("time.sleep(0.5)")
    used_j(kernel)
    reply = kernel.run("%green budget 1 J --stop")
    assert "already, and a budget counts from its start" in reply.everything
    assert "No budget is set" in kernel.ok("%green budget").everything


def test_a_recorder_that_dies_is_replaced_and_keeps_the_budget(
    kernel: Kernel, machine: RaplMachine
) -> None:
    kernel.ok("1")
    budget_j = round(used_j(kernel)) + 200
    kernel.ok(f"%green budget {budget_j} J --stop")
    message = kernel.send(f"time.sleep({LONG})")
    time.sleep(1.0)
    before = kernel.recorder()
    kill(before.pid)
    kernel.recorder(other_than=before.pid)
    reply = kernel.reply(message)
    assert "KeyboardInterrupt" in reply.everything
    assert used_j(kernel) == pytest.approx(budget_j, rel=0.05)


@pytest.mark.parametrize(
    "words",
    ["50", "Wh", "50 Mh", "--stop", "50 Wh --stopp", "-3 J", "0 J", "nan J", "1e400 J", "5 J 3 Wh"],
)
def test_what_is_no_energy_is_refused_and_sets_nothing(kernel: Kernel, words: str) -> None:
    reply = kernel.run(f"%green budget {words}")
    assert "UsageError" in reply.everything
    assert "No budget is set" in kernel.ok("%green budget").everything


def test_a_budget_is_in_the_session_after_its_end(kernel: Kernel) -> None:
    kernel.ok("%green budget 50 Wh")
    kernel.shutdown()
    budget = kernel.session().budget
    assert budget is not None
    assert budget.budget_uj == 180_000_000_000
    assert render(kernel.session())

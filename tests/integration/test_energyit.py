"""%energyit and the idle baseline, against what the simulated machine really drew."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

import pytest

from tests.simulators.machine import RaplMachine

from .kernels import Kernel
from .truth import PACKAGE_AND_DRAM, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

IDLE_W = 38.0
"""Package and DRAM of the machine's usual draw."""
BODIES = {
    "1 us": "for _ in range(40): pass",
    "1 ms": "spin(0.001)",
    "1 s": "time.sleep(1)",
}


def true_j_per_loop(kernel: Kernel, machine: RaplMachine, loops: int) -> list[float]:
    """Of every run, in order."""
    spans = [span for span in kernel.session().spans if span.type == "trial"]
    return [
        true_uj(machine, PACKAGE_AND_DRAM, kernel.ns(s.started_s), kernel.ns(s.finished_s))
        / 1e6
        / loops
        for s in spans
    ]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_short_and_long_bodies(kernel: Kernel, machine: RaplMachine, body: str) -> None:
    kernel.ok(
        "def spin(s):\n    end = time.perf_counter() + s\n    while time.perf_counter() < end: pass"
    )
    reply = kernel.ok(f"%energyit -r 5 -o result {body}")
    loops, energies_j, energy_j, deviation_j = kernel.ask(
        "(result.loops, result.energies_j, result.energy_j, result.deviation_j)"
    )
    truth = true_j_per_loop(kernel, machine, loops)
    assert list(energies_j) == pytest.approx(truth, rel=0.02)
    assert energy_j == pytest.approx(statistics.fmean(truth), rel=0.02)
    # The counters themselves leave a hundredth of a run open at each end.
    assert deviation_j == pytest.approx(statistics.stdev(truth), abs=0.02 * energy_j)
    (line,) = [text for text in reply.shown if "per loop" in text]
    assert "mean ± std. dev. of 5 runs" in line
    assert line.endswith("measured")


def test_deviation_tells_of_bodies_that_differ(kernel: Kernel, machine: RaplMachine) -> None:
    """Every other run draws twice the power."""
    kernel.ok("calls = [0]")
    kernel.ok(
        "def body():\n    calls[0] += 1\n"
        "    draw('package-0', 35 if calls[0] % 2 else 105)\n    time.sleep(0.3)"
    )
    kernel.ok("%energyit -n 1 -r 6 -q -o result body()")
    truth = true_j_per_loop(kernel, machine, 1)
    deviation_j = kernel.ask("result.deviation_j")
    assert statistics.stdev(truth) > 0.2 * statistics.fmean(truth)
    assert deviation_j == pytest.approx(statistics.stdev(truth), rel=0.05)


def test_net_of_idle(kernel: Kernel, machine: RaplMachine) -> None:
    reply = kernel.ok("%green baseline 1.5")
    assert "Idle: 38" in reply.everything
    kernel.ok("draw('package-0', 95.0)")
    kernel.ok("%energyit -n 1 -r 2 -q -o result time.sleep(0.5)")
    kernel.ok("draw('package-0', 35.0)")
    energy_j, net_j, idle_w = kernel.ask("(result.energy_j, result.net_j, result.idle_w)")
    assert idle_w == pytest.approx(IDLE_W, rel=0.01)
    assert energy_j == pytest.approx(98.0 * 0.5, rel=0.02)
    assert net_j == pytest.approx(60.0 * 0.5, rel=0.02)
    (baseline,) = kernel.session().baselines
    assert set(baseline.power_w) == set(PACKAGE_AND_DRAM)


def test_a_busy_machine_is_no_baseline(kernel: Kernel) -> None:
    # A third of the processors; the share that makes a machine busy is a fifth.
    spin = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in range(1 + (os.cpu_count() or 1) // 3)]
    try:
        reply = kernel.ok("%green baseline 1.5")
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert "busy meanwhile: this machine was not idle." in reply.everything


def test_cell_form_with_set_up(kernel: Kernel) -> None:
    reply = kernel.ok("%%energyit -n 3 -r 2 -o result seen = []\nseen.append(1)\nlen(seen)")
    assert kernel.ask("result.loops") == 3
    assert "2 runs, 3 loops each" in reply.everything
    assert "below resolution" in reply.everything
    assert kernel.ask("'seen' in globals()") is False


@pytest.mark.parametrize(
    "line", ["", "-z 1 pass", "-n 0 pass", "-n x pass", "-r -5 pass", "-o 1a pass"]
)
def test_usage(kernel: Kernel, line: str) -> None:
    reply = kernel.run(f"%energyit {line}")
    assert reply.status == "error"
    assert "%energyit [-n LOOPS]" in reply.everything


@pytest.mark.parametrize("options", ["-n2 -r3", "-n 2 -r 3", "--loops 2 --runs=3"])
def test_ways_to_write_options(kernel: Kernel, options: str) -> None:
    kernel.ok(f"%energyit {options} -q -o result 'a -n b'.split()")
    assert kernel.ask("(result.loops, len(result.energies_j))") == (2, 3)


def test_error_in_the_body(kernel: Kernel) -> None:
    reply = kernel.run("%energyit 1/0")
    assert (reply.status, kernel.ok("1").status) == ("error", "ok")
    assert kernel.cell(reply).error == "ZeroDivisionError"


@pytest.mark.parametrize("seconds", ["0.1", "1000", "soon"])
def test_baselines_that_make_no_sense(kernel: Kernel, seconds: str) -> None:
    reply = kernel.run(f"%green baseline {seconds}")
    assert reply.status == "error"
    assert "%green baseline [S]" in reply.everything

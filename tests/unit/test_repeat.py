"""What runs have shown, and how many loops they have."""

from __future__ import annotations

import time

import pytest

from jupyter_green.errors import RecorderError
from jupyter_green.events import BaselineMeasured, CounterInfo
from jupyter_green.insight.repeated import not_in_baseline, told
from jupyter_green.studies.repeat import (
    SHORTEST_DEVICE_RUN_S,
    SHORTEST_RUN_S,
    enough_loops,
    shortest_run_s,
)
from tests.simulators.story import CORE, DRAM, MODEL, PACKAGE, Story

RUNS = [1, 2, 3]
CARD = CounterInfo(
    name="dram-0",
    domain="gpu",
    source="nvml",
    provenance="measured",
    resolution_s=0.1,
    centred=True,
    scope="device",
)
"""A device that draws the 2 W of the story's DRAM."""


def runs(*counters: CounterInfo, baseline: dict[str, float] | None = None) -> Story:
    """Three runs of 1, 2 and 3 seconds, at 12 W."""
    story = Story(*counters)
    if baseline is not None:
        story.feed(BaselineMeasured(duration_s=1.0, power_w=baseline, **story.stamp()))
    for number in RUNS:
        story.span(number, "work", float(number), type="trial")
    return story


def test_figures_are_per_loop() -> None:
    found = told(runs().session(), RUNS, loops=10)
    assert found.energies_j == pytest.approx([1.2, 2.4, 3.6])
    assert found.durations_s == pytest.approx([0.1, 0.2, 0.3])
    # Two counters, each up to a tenth of a joule late at both ends.
    assert 0.01 < found.bound_j < 0.04
    assert (found.missing, found.provenance) == ((), ("measured",))
    assert (found.power_w, found.deviation_j) == (pytest.approx(12.0), pytest.approx(1.2))


def test_net_of_idle() -> None:
    """Of the counters in the energy, and of these alone."""
    assert told(runs().session(), RUNS, 1).net_j is None
    story = runs(baseline={"package-0": 4.0, "dram-0": 1.0, "gpu-7": 90.0})
    assert told(story.session(), RUNS, 1).idle_w == 5.0
    assert told(story.session(), RUNS, 1).net_j == pytest.approx((12 - 5) * 2)


def test_a_baseline_of_a_machine_that_was_not_idle() -> None:
    """The runs took 12 W: what is below that of the idle machine is no figure."""
    found = told(runs(baseline={"package-0": 12.0, "dram-0": 1.0}).session(), RUNS, 1)
    assert found.below_idle
    assert found.net_j is None
    assert not told(runs(baseline={"package-0": 4.0, "dram-0": 1.0}).session(), RUNS, 1).below_idle


@pytest.mark.parametrize("baseline", [{"package-0": 4.0}, {"package-0": 4.0, "dram-0": 0.0}])
def test_a_device_that_was_used_after_the_baseline(baseline: dict[str, float]) -> None:
    """Its idle power is not known, and not zero."""
    session = runs(PACKAGE, CARD, baseline=baseline).session()
    assert not_in_baseline(session, RUNS) == ("dram-0",)
    assert told(session, RUNS, 1).net_j is None
    known = runs(PACKAGE, CARD, baseline={"package-0": 4.0, "dram-0": 1.5}).session()
    assert not_in_baseline(known, RUNS) == ()
    assert told(known, RUNS, 1).idle_w == 5.5


def test_without_a_baseline_nothing_is_said_to_be_outside_it() -> None:
    assert not_in_baseline(runs().session(), RUNS) == ()


def test_a_missing_counter() -> None:
    story = Story()
    story.feed(
        BaselineMeasured(duration_s=1.0, power_w={"package-0": 4.0, "dram-0": 1.0}, **story.stamp())
    )
    story.unread.add("dram-0")
    story.span(1, "work", 1.0, type="trial")
    found = told(story.session(), [1], 1)
    assert (found.missing, found.net_j) == (("dram-0",), None)
    assert found.energy_j == pytest.approx(10.0)


def test_no_energy_at_all() -> None:
    story = Story(PACKAGE, unread=["package-0"])
    story.span(1, "work", 1.0)
    with pytest.raises(RecorderError, match="a run has no energy"):
        told(story.session(), [1], 1)


def test_a_run_whose_end_is_not_known() -> None:
    with pytest.raises(RecorderError, match="run 9 has ended, but its end has not reached"):
        told(runs().session(), [1, 9], 1)


def test_how_long_a_run_is() -> None:
    assert shortest_run_s(runs().session()) == SHORTEST_RUN_S
    # Ten milliseconds between updates are a hundredth of a second.
    assert shortest_run_s(runs(MODEL).session()) == pytest.approx(1.0)
    assert shortest_run_s(runs(PACKAGE, CARD).session()) == SHORTEST_DEVICE_RUN_S
    with pytest.raises(RecorderError, match="no energy counter can be read here"):
        shortest_run_s(runs(CORE).session())
    assert shortest_run_s(runs(PACKAGE, DRAM).session()) == SHORTEST_RUN_S


def test_enough_loops() -> None:
    done = []

    def loop(loops: int) -> None:
        done.append(loops)
        time.sleep(0.001 * loops)

    loops = enough_loops(loop, 0.05)
    assert done[0] == 1
    assert done == sorted(set(done))
    assert loops == done[-1] <= 60
    assert enough_loops(lambda loops: time.sleep(0.02), 0.01) == 1

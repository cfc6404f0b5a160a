"""What the doctor sees of GPUs and says of them; ``tests/integration`` has whole machines."""

from __future__ import annotations

import threading
import time

import pytest
from msgspec import structs

from jupyter_green.doctor import gpu_checks
from jupyter_green.doctor.findings import Check, Examination, Gpu, Watched
from jupyter_green.doctor.gpus import GpuWatch
from jupyter_green.doctor.page import Page
from jupyter_green.doctor.surroundings import Gpus, Surroundings, Zones
from jupyter_green.doctor.watch import REST, now_ns
from jupyter_green.events import CounterInfo, DeviceState, Refusal
from jupyter_green.sources.counter import Problem

NS = 1_000_000_000
TICK_NS = 100_000_000

INFO = CounterInfo(
    name="gpu-0",
    domain="gpu",
    source="nvml",
    provenance="measured",
    resolution_s=0.1,
    centred=True,
    scope="device",
    device="A Card",
)
MODULE = structs.replace(INFO, name="module-0", domain="module", counted=False, scope="module")
POWERED = structs.replace(INFO, provenance="integrated", resolution_s=0.02)
USUAL = Gpu(
    counter="gpu-0",
    name="A Card",
    others=0,
    readings=20,
    readings_w=60.6,
    difference=0.01,
    call_s=20e-6,
)
HERE = Surroundings(
    container=False,
    kubernetes=False,
    hypervisor=False,
    vendor="",
    paranoid=None,
    zones=Zones(),
    gpus=Gpus(),
)


# --- what is seen -------------------------------------------------------------------------


class Card:
    """A device of 60 W that ticks every 100 ms, and whose driver takes its time."""

    name = "nvml"
    in_place = False
    absolute = True
    counters = (INFO,)

    def __init__(self, took_s: float = 0.0) -> None:
        self.took_s = took_s
        self.times_s: list[tuple[float, float]] = []
        self.problems: dict[str, Problem] = {}
        self.answers = threading.Event()
        self.answers.set()

    def read(self, now_ns: int) -> dict[str, int]:
        began_s = time.perf_counter()
        self.answers.wait()
        time.sleep(self.took_s)
        self.times_s.append((began_s, time.perf_counter()))
        return {"gpu-0": 6_000_000 * (time.perf_counter_ns() // TICK_NS)}

    def state(self) -> DeviceState:
        return DeviceState(processes=None)

    def is_visible(self, visible: str | None) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


def test_power_is_taken_from_tick_to_tick() -> None:
    """A second holds ten ticks, or nine or eleven: that would be 10 % of the power."""
    card = Card()
    watch = GpuWatch(card)
    watch.start(1.03, 1.0)
    watch.wait(now_ns() + 30 * NS)
    seen = watch.seen["gpu-0"]
    assert seen.power_w == pytest.approx(60.0, rel=0.02)
    assert seen.update_s == pytest.approx(0.1, rel=0.1)
    assert seen.step_uj == 6_000_000


def test_a_slow_driver_is_left_alone_most_of_the_time() -> None:
    card = Card(took_s=0.2)
    watch = GpuWatch(card)
    watch.start(1.0, 1.0)
    watch.wait(now_ns() + 30 * NS)
    gpu = watch.told(())
    assert gpu.call_s == pytest.approx(0.2, rel=0.5)
    assert gpu.difference is None
    assert gpu.not_compared
    dense = [
        later[0] - earlier[1]
        for earlier, later in zip(card.times_s, card.times_s[1:], strict=False)
    ]
    # A phase of the watch ends and the next begins without a rest.
    rested = [rest_s for rest_s in dense if rest_s >= REST * 0.2]
    assert len(dense) - len(rested) <= 3
    assert len(card.times_s) <= 8


def test_a_driver_that_never_answers_is_given_up() -> None:
    card = Card()
    card.answers.clear()
    watch = GpuWatch(card)
    try:
        watch.start(0.0, 0.0)
        watch.wait(now_ns())
        seen = watch.seen["gpu-0"]
        assert seen.power_w is None
        assert seen.problem is not None
        assert "not answered" in seen.problem.reason
    finally:
        card.answers.set()
        watch.wait(now_ns() + 30 * NS)


def test_what_does_not_list_its_processes() -> None:
    watch = GpuWatch(Card())
    watch.start(0.0, 0.0)
    watch.wait(now_ns() + 30 * NS)
    gpu = watch.told(())
    assert (gpu.used_by, gpu.others) == ((), None)
    assert "does not list" in gpu.hidden


# --- what is said of it -------------------------------------------------------------------


def told(gpu: Gpu, info: CounterInfo = INFO, **more: object) -> list[Check]:
    """All that is said, the driver first."""
    watched = Watched(counter=info, power_w=60.0)
    found = Examination(counters=(watched,), gpus=(gpu,), driver="580.1", **more)
    return list(gpu_checks.checks(found, HERE))


def test_all_is_well() -> None:
    driver, use, agreement = told(USUAL)
    assert {one.verdict for one in (driver, use, agreement)} == {"ok"}
    assert driver.text.startswith("driver 580.1; 1 x A Card; each counts in a session while")
    assert use.text == "nobody uses it now"
    assert agreement.text == (
        "60 W by its counter, 60.6 W by the mean of 20 power readings (+1.0 %); "
        "one reading takes 20 µs"
    )


@pytest.mark.parametrize(
    ("used_by", "others", "verdict", "text"),
    [
        (("a.ipynb",), 0, "ok", "used by a.ipynb alone"),
        (("a.ipynb", "b.ipynb"), 0, "ok", "used by a.ipynb, b.ipynb alone"),
        ((), 1, "ok", "used by 1 other process, and by no recorded notebook of yours"),
        (("a.ipynb",), 2, "note", "used by a.ipynb and by 2 other processes, whose energy is in"),
    ],
)
def test_who_uses_it(used_by: tuple[str, ...], others: int, verdict: str, text: str) -> None:
    _, use, _ = told(structs.replace(USUAL, used_by=used_by, others=others))
    assert use.verdict == verdict
    assert use.text.startswith(text)


@pytest.mark.parametrize("container", [False, True])
def test_who_uses_it_cannot_be_known(container: bool) -> None:
    _, use, _ = told(structs.replace(USUAL, others=None, hidden="it is dark"), container=container)
    assert use.verdict == "note"
    assert use.text.startswith("who uses it is not known: it is dark. It counts as used while")
    assert ("--pid=host" in use.remedy) == container


@pytest.mark.parametrize(
    ("difference", "verdict", "shown"),
    [
        (0.1, "ok", "(+10.0 %)"),
        (-0.1, "ok", "(-10.0 %)"),
        (0.11, "note", "(+11.0 %), more than 10 % apart"),
        (-0.586, "note", "(-58.6 %), more than 10 % apart"),
        (-0.0001, "ok", "(+0.0 %)"),
    ],
)
def test_counter_and_power_disagree(difference: float, verdict: str, shown: str) -> None:
    _, _, agreement = told(structs.replace(USUAL, difference=difference))
    assert agreement.verdict == verdict
    assert shown in agreement.text
    assert bool(agreement.remedy) == (verdict == "note")


def test_what_cannot_be_compared() -> None:
    _, _, agreement = told(structs.replace(USUAL, difference=None, not_compared="it is odd"))
    assert agreement.verdict == "ok"
    assert "not compared: it is odd" in agreement.text


@pytest.mark.parametrize(("call_s", "verdicts"), [(0.05, ["ok", "ok"]), (0.06, ["ok", "note"])])
def test_a_slow_driver(call_s: float, verdicts: list[str]) -> None:
    _, *of_gpu = told(structs.replace(USUAL, call_s=call_s))
    assert [one.verdict for one in of_gpu] == verdicts


def test_a_card_without_a_counter() -> None:
    _, _, powered = told(USUAL, POWERED)
    assert powered.verdict == "note"
    assert "no energy counter" in powered.text
    assert "about 20 ms" in powered.text


@pytest.mark.parametrize(("instances", "text"), [(1, "into 1 instance:"), (7, "into 7 instances:")])
def test_a_divided_card(instances: int, text: str) -> None:
    _, _, divided, _ = told(structs.replace(USUAL, instances=instances))
    assert divided.verdict == "note"
    assert text in divided.text


def test_a_module_is_beside_its_gpu() -> None:
    module = structs.replace(USUAL, counter="module-0")
    counters = (Watched(counter=INFO, power_w=60.0), Watched(counter=MODULE, power_w=180.0))
    found = Examination(counters=counters, gpus=(USUAL, module))
    driver, *_, last = gpu_checks.checks(found, HERE)
    assert "1 x A Card" in driver.text
    assert last.about == "module-0"
    assert "never added" in last.text
    assert [row.cells[-1] for row in Page.of(found).rows] == ["if used", "no"]


def test_a_lost_card_is_told_with_the_counters() -> None:
    found = Examination(counters=(Watched(counter=INFO, problem="it is lost"),), gpus=(USUAL,))
    (driver,) = gpu_checks.checks(found, HERE)
    assert driver.about == "NVIDIA"


def test_a_card_that_cannot_be_opened_beside_one_that_can() -> None:
    refusal = Refusal(source="nvml", counter="gpu-1", reason="it is lost", remedy="find it")
    driver, *_ = told(USUAL, refused=(refusal,))
    assert (driver.verdict, driver.remedy) == ("note", "find it")
    assert "not all can be read: it is lost" in driver.text


@pytest.mark.parametrize(
    ("gpus_counted", "text", "in_total"),
    [
        ("used", "have a context on it", "if used"),
        ("visible", "CUDA_VISIBLE_DEVICES", "if visible"),
    ],
)
def test_which_of_them_count(gpus_counted: str, text: str, in_total: str) -> None:
    driver, *_ = told(USUAL, gpus_counted=gpus_counted)
    assert text in driver.text
    watched = Watched(counter=INFO, power_w=60.0)
    (row,) = Page.of(Examination(counters=(watched,), gpus_counted=gpus_counted)).rows
    assert row.cells[-1] == in_total


def test_none_is_looked_for() -> None:
    refusal = Refusal(source="nvml", reason="gpus is none", by_choice=True)
    found = Examination(gpus_counted="none", refused=(refusal,))
    (only,) = gpu_checks.checks(found, HERE)
    assert (only.verdict, only.text) == ("ok", "not looked for: JupyterGreen.gpus is none")


def test_a_driver_that_is_not_loaded() -> None:
    refusal = Refusal(source="nvml", reason="it is not loaded", remedy="load it")
    (only,) = gpu_checks.checks(Examination(refused=(refusal,)), HERE)
    assert (only.verdict, only.remedy) == ("note", "load it")
    assert only.text == "no GPU is read: it is not loaded"

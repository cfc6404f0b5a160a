"""The trapezoidal rule, and what it must not invent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo
from jupyter_green.sources.integrated import Integrated

SECOND_NS = 1_000_000_000


class Sensor:
    """Shows the watts that it is told to; None: it fails."""

    def __init__(self) -> None:
        self.watts: float | None = 100.0
        self.closed = 0
        self.info = CounterInfo(
            name="gpu-0", domain="gpu", source="nvml", provenance="integrated", resolution_s=0.1
        )

    def power_w(self, now_ns: int) -> float:
        if self.watts is None:
            raise UnreadableCounter("GPU is lost", "restart the driver")
        return self.watts

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A sensor, its counter, and the time."""

    def __init__(self, longest_step_s: float = 5.0) -> None:
        self.sensor = Sensor()
        self.source = Integrated(self.sensor, longest_step_s)
        self.now_ns = 123 * SECOND_NS

    def read(self, after_s: float, watts: float | None) -> int | None:
        self.now_ns += round(after_s * SECOND_NS)
        self.sensor.watts = watts
        return self.source.read(self.now_ns).get("gpu-0")


def test_begins_at_zero_and_takes_the_name_of_its_sensor() -> None:
    bench = Bench()
    assert bench.read(0.0, 100.0) == 0
    assert bench.source.name == "nvml"
    assert bench.source.counters == (bench.sensor.info,)


def test_a_ramp_is_exact() -> None:
    bench = Bench()
    for number in range(11):
        value = bench.read(0.1 if number else 0.0, 10.0 * number)
    assert value == 50_000_000  # 0 to 100 W within a second


def test_steps_of_any_length_add_up() -> None:
    bench = Bench()
    bench.read(0.0, 75.0)
    for step_s in (0.1, 0.0, 1e-9, 1e-6, 0.25, 4.9, 5.0):
        value = bench.read(step_s, 75.0)
    assert value == int(75e6 * (0.1 + 1e-9 + 1e-6 + 0.25 + 4.9 + 5.0))
    assert bench.source.gaps == 0


def test_a_failure_is_no_energy_but_a_restart() -> None:
    bench = Bench()
    bench.read(0.0, 100.0)
    assert bench.read(1.0, 100.0) == 100_000_000
    assert bench.read(1.0, None) is None
    assert bench.source.problems["gpu-0"].reason == "GPU is lost"
    assert bench.source.problems["gpu-0"].remedy == "restart the driver"
    assert bench.read(1.0, 100.0) == 0
    assert not bench.source.problems
    assert bench.source.gaps == 1
    assert bench.read(1.0, 100.0) == 100_000_000


def test_too_long_a_step_is_a_restart() -> None:
    bench = Bench(longest_step_s=2.0)
    bench.read(0.0, 100.0)
    assert bench.read(2.0, 100.0) == 200_000_000
    assert bench.read(2.001, 100.0) == 0
    assert bench.source.gaps == 1
    assert bench.read(2.0, 50.0) == 150_000_000


def test_failing_from_the_start_is_no_gap() -> None:
    bench = Bench()
    assert bench.read(0.0, None) is None
    assert bench.read(1.0, 100.0) == 0
    assert bench.source.gaps == 0


def test_time_that_runs_backwards_is_a_restart() -> None:
    bench = Bench()
    bench.read(0.0, 100.0)
    assert bench.read(1.0, 100.0) == 100_000_000
    assert bench.read(-0.5, 100.0) == 0
    assert bench.source.gaps == 1


@pytest.mark.parametrize("watts", [-1.0, -1e-9, math.nan, math.inf, -math.inf])
def test_watts_that_cannot_be_are_unreadable(watts: float) -> None:
    bench = Bench()
    bench.read(0.0, 100.0)
    assert bench.read(1.0, watts) is None
    assert str(watts) in bench.source.problems["gpu-0"].reason


def test_close_closes_the_sensor() -> None:
    bench = Bench()
    bench.source.close()
    assert bench.sensor.closed == 1
    assert bench.read(1.0, 100.0) is None
    assert "closed" in bench.source.problems["gpu-0"].reason


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5 * SECOND_NS), st.floats(0, 2000, allow_nan=False, allow_infinity=False)
        ),
        min_size=1,
        max_size=50,
    )
)
def test_never_falls_and_is_the_sum_of_the_trapezia(steps: list[tuple[int, float]]) -> None:
    bench = Bench()
    values, truth_uj, before_w = [], 0.0, 0.0
    for number, (step_ns, watts) in enumerate(steps):
        bench.now_ns += step_ns
        value = bench.read(0.0, watts)
        assert value is not None
        values.append(value)
        truth_uj += (before_w + watts) / 2 * step_ns / 1000 if number else 0.0
        before_w = watts
    assert values == sorted(values)
    # Each reading is rounded to a microwatt, the result to a microjoule.
    assert values[-1] == pytest.approx(truth_uj, abs=1 + 5 * len(steps), rel=1e-9)

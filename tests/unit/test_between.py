"""The energy between two ticks: exact where power steps at the boundary, sound whatever comes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green.recorder.between import (
    HISTORY,
    JOINT_NS,
    POINTS_AFTER,
    STALE_NS,
    Curve,
    Placed,
    Point,
)

MS = 1_000_000
TICK_NS = 100 * MS
W = 0.001
"""Microjoules a nanosecond."""

Truth = Callable[[float], float]


def stepped(steps: list[tuple[int, float]], idle_w: float = 50.0) -> Truth:
    """Microjoules up to a time; each step is a time and the watts from then on."""
    bounds = [(0, idle_w), *steps, (10**15, 0.0)]

    def energy_uj(t_ns: float) -> float:
        return sum(
            watts * W * max(0.0, min(t_ns, end_ns) - begin_ns)
            for (begin_ns, watts), (end_ns, _) in pairwise(bounds)
        )

    return energy_uj


def curve_of(
    truth: Truth, changes: list[int], ticks: int = 20, phase_ns: int = 0, within_ns: int = 0
) -> Curve:
    """Every other change is a beginning, the first is one."""
    curve = Curve()
    for index, change in enumerate(changes):
        curve.change(change, begins=index % 2 == 0)
    for number in range(1, ticks + 1):
        t_ns = number * TICK_NS + phase_ns
        curve.add(Point(t_ns, within_ns, round(truth(t_ns))))
    return curve


def placed(curve: Curve, t_ns: int) -> Placed:
    found = curve.place(t_ns)
    assert found is not None
    return found


# What is exact


@pytest.mark.parametrize("offset_ms", [0, 1, 17, 50, 83, 99])
@pytest.mark.parametrize("watts", [0.0, 20.0, 50.0, 350.0])
def test_a_step_at_the_boundary_is_exact(offset_ms: int, watts: float) -> None:
    change = 1000 * MS + offset_ms * MS
    truth = stepped([(change, watts)])
    found = placed(curve_of(truth, [change]), change)
    assert found.uj == pytest.approx(truth(change), abs=1)
    assert found.error_uj <= 2


@pytest.mark.parametrize("length_ms", [7, 30, 95, 105, 205, 450])
def test_a_cell_among_quiet_is_exact(length_ms: int) -> None:
    """Even one between two ticks: the idle power before and after is carried to its ends."""
    begin, end = 1003 * MS, 1003 * MS + length_ms * MS
    truth = stepped([(begin, 300.0), (end, 50.0)])
    curve = curve_of(truth, [begin, end])
    cell_uj = placed(curve, end).uj - placed(curve, begin).uj
    assert cell_uj == pytest.approx(truth(end) - truth(begin), abs=3)


def test_a_straight_line_between_the_ticks_would_be_wrong() -> None:
    """It is what a library does that interpolates; here for comparison."""
    change = 1050 * MS
    truth = stepped([(change, 350.0)])
    curve = curve_of(truth, [change])
    line = (truth(1000 * MS) + truth(1100 * MS)) / 2
    assert abs(line - truth(change)) > 7e6
    assert placed(curve, change).uj == pytest.approx(truth(change), abs=1)


@pytest.mark.parametrize("moment_ms", [1000, 1013, 1050, 1099, 1100])
def test_between_changes_power_is_steady(moment_ms: int) -> None:
    truth = stepped([])
    found = placed(curve_of(truth, []), moment_ms * MS)
    assert found.uj == pytest.approx(truth(moment_ms * MS), abs=1)


def test_at_a_tick_its_energy_is_known() -> None:
    truth = stepped([])
    found = placed(curve_of(truth, []), 1000 * MS)
    assert found == Placed(truth(1000 * MS), 0.0)


# What is told of the error


def test_the_moment_of_a_tick_is_an_error_of_the_energy() -> None:
    """Within a millisecond at 50 W: 50 mJ, and a little more for the power's own error."""
    change = 1040 * MS
    exact = placed(curve_of(stepped([]), [change]), change)
    vague = placed(curve_of(stepped([]), [change], within_ns=MS), change)
    assert exact.error_uj < 1
    assert 50_000 <= vague.error_uj <= 100_000


def test_power_that_changed_untold_is_doubted() -> None:
    """It was another one between the two ticks before."""
    change = 1040 * MS
    steady = stepped([(change, 300.0)])
    drifting = stepped([(850 * MS, 120.0), (change, 300.0), (1250 * MS, 380.0)])
    sure = placed(curve_of(steady, [change]), change)
    doubtful = placed(curve_of(drifting, [change]), change)
    assert sure.error_uj < 2
    assert doubtful.error_uj > abs(doubtful.uj - drifting(change))
    assert doubtful.error_uj > 100_000


def test_sides_that_disagree_are_doubted() -> None:
    """Power rose 30 ms after the boundary, and not at it."""
    change, later = 1020 * MS, 1050 * MS
    truth = stepped([(later, 300.0)])
    found = placed(curve_of(truth, [change]), change)
    assert found.error_uj > 1e6
    assert abs(found.uj - truth(change)) <= found.error_uj


@pytest.mark.parametrize("gap_ns", [JOINT_NS // 12, JOINT_NS // 2])
def test_a_cell_that_follows_another_at_once(gap_ns: int) -> None:
    """Neither power tells of the moment in between, so that each boundary takes its own."""
    end, begin = 1040 * MS, 1040 * MS + gap_ns
    truth = stepped([(end, 60.0), (begin, 400.0)], idle_w=200.0)
    curve = curve_of(truth, [10 * MS, end, begin])
    for t_ns in (end, begin):
        found = placed(curve, t_ns)
        assert abs(found.uj - truth(t_ns)) <= found.error_uj + 2


# What is complete, and when


def test_a_boundary_is_complete_after_three_ticks() -> None:
    curve = Curve()
    for number in range(1, 20):
        assert curve.is_complete(1050 * MS) == (number - 1 >= 10 + POINTS_AFTER)
        curve.add(Point(number * TICK_NS, 0, number))


def test_a_tick_at_the_boundary_is_not_after_it() -> None:
    curve = Curve()
    for number in range(POINTS_AFTER):
        curve.add(Point(1000 * MS + number * TICK_NS, 0, number))
    assert not curve.is_complete(1000 * MS)
    assert curve.is_complete(1000 * MS - 1)


def test_before_the_first_tick_nothing_is_known() -> None:
    curve = curve_of(stepped([]), [])
    assert curve.place(TICK_NS - 1) is None
    assert curve.at_or_first_after(TICK_NS - 1) == pytest.approx(50 * W * TICK_NS)
    assert Curve().place(5) is None
    assert Curve().at_or_first_after(5) is None
    assert Curve().newest is None


def test_after_the_last_tick_power_is_carried_on_for_a_while() -> None:
    truth = stepped([])
    curve = curve_of(truth, [])
    last_ns = 20 * TICK_NS
    assert curve.newest == Point(last_ns, 0, round(truth(last_ns)))
    near, far = placed(curve, last_ns + TICK_NS), placed(curve, last_ns + STALE_NS)
    assert near.uj == pytest.approx(truth(last_ns + TICK_NS), abs=1)
    assert 0 < near.error_uj < far.error_uj
    assert curve.place(last_ns + STALE_NS + 1) is None


def test_after_a_change_nothing_is_carried_on() -> None:
    curve = curve_of(stepped([]), [20 * TICK_NS - 5])
    assert curve.place(20 * TICK_NS + 5 * MS) is None
    assert curve.place(20 * TICK_NS) is not None


def test_a_restarted_counter_carries_nothing_over() -> None:
    curve = curve_of(stepped([]), [])
    curve.clear()
    assert curve.place(20 * TICK_NS) is None
    curve.add(Point(30 * TICK_NS, 0, 5))
    assert curve.at_or_first_after(20 * TICK_NS) == 5
    assert placed(curve, 30 * TICK_NS).uj == 5


def test_ticks_out_of_order_are_left_out() -> None:
    curve = curve_of(stepped([]), [])
    before = placed(curve, 1950 * MS)
    curve.add(Point(20 * TICK_NS, 0, 10**15))
    curve.add(Point(19 * TICK_NS, 0, 10**15))
    assert placed(curve, 1950 * MS) == before


def test_a_tick_that_may_lie_on_either_side_of_a_change_does_not_count() -> None:
    change = 1001 * MS
    truth = stepped([(change, 300.0)])
    curve = Curve()
    curve.change(change, begins=True)
    for number in range(1, 21):
        vague = 2 * MS if number == 10 else 0
        curve.add(Point(number * TICK_NS, vague, round(truth(number * TICK_NS))))
    assert placed(curve, change).uj == pytest.approx(truth(change), abs=2)


def test_memory_is_bounded() -> None:
    curve = Curve()
    for number in range(1, 5 * HISTORY):
        curve.change(number * TICK_NS - 30 * MS, begins=number % 2 == 0)
        curve.add(Point(number * TICK_NS, 0, number))
    assert curve.place((4 * HISTORY - 2) * TICK_NS) is None
    assert curve.place((4 * HISTORY + 2) * TICK_NS) is not None
    assert len(curve._changes) <= HISTORY + 1


# Whatever comes

times = st.integers(0, 40).map(lambda n: n * 25 * MS) | st.integers(0, 1000 * MS)


@st.composite
def curves(draw: st.DrawFn) -> tuple[Curve, list[Point], list[int]]:
    """Ticks of a counter that never falls, and changes anywhere, some of them twice."""
    at = sorted(draw(st.lists(times, max_size=14)))
    uj, points = 0, []
    for t_ns in at:
        uj += draw(st.integers(0, 50_000_000))
        points.append(Point(t_ns, draw(st.integers(0, 20 * MS)), uj))
    changes = draw(st.lists(times, max_size=10))
    changes += draw(st.lists(st.sampled_from(changes), max_size=3)) if changes else []
    curve = Curve()
    split = draw(st.integers(0, len(changes)))
    for change in changes[:split]:
        curve.change(change, begins=draw(st.booleans()))
    for point in points:
        curve.add(point)
    for change in changes[split:]:
        curve.change(change, begins=draw(st.booleans()))
    kept: list[Point] = []
    for point in points:
        if not kept or point.t_ns > kept[-1].t_ns:
            kept.append(point)
    return curve, kept, changes


def is_clear(point: Point, changes: list[int]) -> bool:
    """The tick came certainly before or after each change; one at the very moment is after it."""
    first, last = point.t_ns - point.within_ns, point.t_ns + point.within_ns
    return not any(first < change <= last for change in changes)


@given(drawn=curves(), asked=st.lists(times, min_size=1, max_size=12))
@settings(max_examples=600, deadline=None)
def test_estimates_are_sound(drawn: tuple[Curve, list[Point], list[int]], asked: list[int]) -> None:
    """Between the ticks around them, in the order of time, with an error that can be true."""
    curve, points, changes = drawn
    last_uj = -math.inf
    for t_ns in sorted([*asked, *changes, *(point.t_ns for point in points)]):
        found = curve.place(t_ns)
        if found is None:
            continue
        assert math.isfinite(found.uj)
        assert 0 <= found.error_uj < math.inf
        assert found.uj >= last_uj - 1e-6, "energy never falls"
        last_uj = found.uj
        clear = [p for p in points if is_clear(p, changes)]
        after = bisect_right(clear, t_ns, key=lambda point: point.t_ns)
        if after:
            assert found.uj >= clear[after - 1].uj - 1e-6
        if after < len(clear):
            assert found.uj <= clear[after].uj + 1e-6


@given(drawn=curves(), asked=times)
@settings(max_examples=300, deadline=None)
def test_asking_changes_nothing(drawn: tuple[Curve, list[Point], list[int]], asked: int) -> None:
    curve, _, _ = drawn
    assert curve.place(asked) == curve.place(asked)
    first = curve.at_or_first_after(asked)
    assert first == curve.at_or_first_after(asked)
    if (found := curve.place(asked)) is not None:
        assert first == found.uj


@given(
    begin_ms=st.integers(500, 700),
    length_ms=st.integers(1, 900),
    phase_ms=st.integers(0, 99),
    idle_w=st.floats(5, 100),
    watts=st.floats(0, 700),
)
@settings(max_examples=200, deadline=None)
def test_any_cell_of_one_power_among_quiet_is_right(
    begin_ms: int, length_ms: int, phase_ms: int, idle_w: float, watts: float
) -> None:
    begin, end = begin_ms * MS, (begin_ms + length_ms) * MS
    truth = stepped([(begin, watts), (end, idle_w)], idle_w)
    curve = curve_of(truth, [begin, end], ticks=30, phase_ns=phase_ms * MS)
    for t_ns in (begin, end):
        found = placed(curve, t_ns)
        assert abs(found.uj - truth(t_ns)) <= found.error_uj + 3
    cell_uj = placed(curve, end).uj - placed(curve, begin).uj
    assert cell_uj == pytest.approx(truth(end) - truth(begin), abs=10)

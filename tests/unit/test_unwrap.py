"""From raw readings to cumulative energy, against random truths."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green.events import CounterInfo
from jupyter_green.recorder.unwrap import LATE_S, STUCK_S, Loss, Return, Track

NS = 1_000_000_000
RANGE_UJ = 262_143_328_850
MAX_W = 1000.0


def track(range_uj: int | None = RANGE_UJ, *, absolute: bool = True, **fields: object) -> Track:
    usual: dict[str, object] = {
        "name": "package-0",
        "domain": "package",
        "source": "rapl",
        "provenance": "measured",
        "resolution_s": 0.001,
        "range_uj": range_uj,
        "max_power_w": MAX_W,
    }
    info = CounterInfo(**{**usual, **fields})  # type: ignore[arg-type]
    return Track(info, absolute=absolute)


@dataclass(frozen=True)
class Walk:
    """True energy at the moments at which it is read, in order."""

    start_uj: int
    times_ns: list[int]
    truth_uj: list[int]

    def raw(self, index: int, range_uj: int | None) -> int:
        value = self.start_uj + self.truth_uj[index]
        return value % range_uj if range_uj else value


@st.composite
def walks(draw: st.DrawFn, longest_s: float = 60.0) -> Walk:
    """Steps of any length up to a minute, at any power up to the most plausible one."""
    steps = draw(
        st.lists(
            st.tuples(st.integers(1, round(longest_s * NS)), st.floats(0, 1)),
            min_size=1,
            max_size=60,
        )
    )
    times, truth = [NS], [0]
    for step_ns, power in steps:
        times.append(times[-1] + step_ns)
        truth.append(truth[-1] + int(step_ns / NS * MAX_W * power * 1e6))
    return Walk(draw(st.integers(0, RANGE_UJ - 1)), times, truth)


@given(walks(), st.sampled_from([RANGE_UJ, 65_532_610_987, None]))
def test_readings_in_order_follow_the_truth(walk: Walk, range_uj: int | None) -> None:
    one = track(range_uj, provenance="modelled")  # which may stand still
    values = [one.take(t_ns, walk.raw(index, range_uj)) for index, t_ns in enumerate(walk.times_ns)]
    lost = [change for change in one.changes if isinstance(change, Return)]
    if range_uj is None or range_uj == RANGE_UJ:
        assert lost == []
    first = values[0]
    assert first is not None
    if not lost:
        assert [v - first if v is not None else None for v in values] == walk.truth_uj
    else:
        # So long that it may have wrapped twice: at least, and it says so.
        assert all(
            v is not None and 0 <= v - first <= uj
            for v, uj in zip(values, walk.truth_uj, strict=True)
        )


@given(walks(longest_s=0.2), st.randoms(use_true_random=False))
def test_readings_out_of_order_never_look_like_wraps(walk: Walk, rng: object) -> None:
    """Two processes read; what one has read is heard of after what the other read later."""
    order = list(range(1, len(walk.times_ns)))
    for index in range(len(order) - 1):
        if rng.random() < 0.4:  # type: ignore[attr-defined]
            order[index], order[index + 1] = order[index + 1], order[index]
    one = track(provenance="modelled")
    first = one.take(walk.times_ns[0], walk.raw(0, RANGE_UJ))
    assert first is not None
    newest = 0
    for index in order:
        value = one.take(walk.times_ns[index], walk.raw(index, RANGE_UJ))
        assert value == first + walk.truth_uj[index]
        newest = max(newest, index)
    assert one.changes == []
    assert one.newest_ns == walk.times_ns[newest]


@given(
    st.lists(
        st.tuples(st.floats(0.0001, 0.3), st.floats(0, 1), st.floats(0, 0.09)),
        min_size=2,
        max_size=40,
    )
)
def test_reader_that_was_held_up_causes_no_reset(steps: list[tuple[float, float, float]]) -> None:
    """Each value may belong to a moment that is later than the time that stands at it."""
    points = [(1.0, 0.0)]
    for step_s, power, _ in steps:
        t_s, uj = points[-1]
        points.append((t_s + step_s, uj + step_s * MAX_W * power * 1e6))

    def truth(t_s: float) -> int:
        for (t0, e0), (t1, e1) in pairwise(points):
            if t_s <= t1:
                return int(e0 + (e1 - e0) * (t_s - t0) / (t1 - t0))
        return int(points[-1][1])

    one = track(provenance="modelled")
    highest = one.take(NS, 5_000_000_000)
    assert highest is not None
    for (t_s, _), (_, _, held_s) in zip(points[1:], steps, strict=True):
        value = one.take(round(t_s * NS), 5_000_000_000 + truth(t_s + held_s))
        assert value is not None
        assert value >= highest
        assert value - 5_000_000_000 <= truth(t_s + LATE_S)
        highest = max(highest, value)
    assert one.changes == []


@given(st.integers(0, RANGE_UJ - 1), st.integers(1, RANGE_UJ), st.floats(0.2, 10))
def test_step_is_either_plausible_or_a_hole(raw: int, step: int, after_s: float) -> None:
    """Whatever a counter does: nothing negative, and never more than the hardware can use."""
    one = track()
    first = one.take(NS, raw)
    assert first is not None
    second = one.take(NS + round(after_s * NS), (raw + step) % RANGE_UJ)
    assert second is not None
    assert 0 <= second - first <= MAX_W * (after_s + LATE_S) * 1e6
    if second - first != step % RANGE_UJ:
        assert [type(change) for change in one.changes] == [Loss, Return]
        assert second == first


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.floats(-0.5, 400), st.integers(0, 2 * RANGE_UJ)),
            st.tuples(st.just("fail"), st.floats(0, 10), st.just(0)),
            st.tuples(st.just("forget"), st.floats(0, 10), st.just(0)),
        ),
        max_size=80,
    ),
    st.sampled_from([RANGE_UJ, None]),
    st.sampled_from(["measured", "modelled"]),
    st.booleans(),
)
@settings(max_examples=300)
def test_nothing_that_happens_makes_energy_fall(
    happenings: list[tuple[str, float, int]],
    range_uj: int | None,
    provenance: str,
    absolute: bool,
) -> None:
    one = track(range_uj, absolute=absolute, provenance=provenance)
    t_ns, newest, lost, told_ns = 5 * NS, 0, False, 0
    for what, after_s, raw in happenings:
        at_ns = t_ns + round(after_s * NS)
        t_ns = max(t_ns, at_ns)
        if what == "fail":
            one.fail(at_ns, "gone")
        elif what == "forget":
            one.forget(at_ns, "asleep")
        else:
            before_ns = one.newest_ns
            value = one.take(at_ns, raw % range_uj if range_uj else raw)
            assert value is None or value >= 0
            if value is not None and at_ns >= before_ns:
                assert value >= newest
                newest = value
        # Losses and returns alternate, so that a reader always knows where it stands.
        for change in one.changes:
            assert isinstance(change, Return) == lost
            assert change.since_ns <= change.at_ns
            # They are told in the order of their times, so a return must not come before its loss.
            assert isinstance(change, Loss) or change.at_ns >= told_ns
            told_ns = change.at_ns
            lost = isinstance(change, Loss)
        one.changes.clear()
        assert lost == (one.loss is not None)


# --- one by one ---


def test_wrap_at_the_very_edge() -> None:
    one = track()
    assert one.take(NS, RANGE_UJ - 1) == RANGE_UJ - 1
    assert one.take(2 * NS, 0) == RANGE_UJ
    assert one.take(3 * NS, 7) == RANGE_UJ + 7
    assert one.changes == []


def test_failed_reading_is_no_wrap() -> None:
    one = track()
    one.take(NS, 1_000_000)
    one.fail(2 * NS, "gone", "bring it back")
    one.fail(3 * NS, "still gone")
    assert one.take(4 * NS, 31_000_000) == 31_000_000
    loss, back = one.changes
    assert isinstance(loss, Loss)
    assert isinstance(back, Return)
    assert (loss.since_ns, loss.at_ns, loss.reason) == (NS, 2 * NS, "gone")
    assert (back.since_ns, back.at_ns, back.lost) == (NS, 4 * NS, False)


def test_reset_goes_on_from_the_old_value() -> None:
    one = track()
    one.take(NS, 200_000_000_000)
    assert one.take(2 * NS, 3_000_000) == 200_000_000_000
    assert one.take(3 * NS, 53_000_000) == 200_050_000_000
    loss, back = one.changes
    assert isinstance(loss, Loss)
    assert isinstance(back, Return)
    assert "from 200000000000 to 3000000 µJ" in loss.reason
    assert back.lost
    again = track()
    again.resume(3 * NS, 200_050_000_000, back.offset_uj)
    assert again.take(4 * NS, 103_000_000) == 200_100_000_000
    assert again.changes == []


def test_stuck_counter_tells_its_raw_value() -> None:
    one = track(65_000_000_000)
    uj = 64_990_000_000
    for second in range(1, 30):
        one.take(second * NS, uj % 65_000_000_000)
        uj += 0 if second > 20 else 900_000_000
    (loss,) = one.changes
    assert isinstance(loss, Loss)
    assert loss.stuck
    assert "stood still at 17990 J".replace(" J", "000000 µJ") in loss.reason
    assert loss.at_ns - loss.since_ns > STUCK_S * NS


def test_few_readings_are_not_enough_to_call_it_stuck() -> None:
    one = track()
    one.take(NS, 5)
    for second in (10, 20, 30, 40):
        assert one.take(second * NS, 5) == 5
    assert one.changes == []


@pytest.mark.parametrize("raw", [40_000_000, 0])
def test_counter_of_one_process_begins_anew_after_a_failure(raw: int) -> None:
    one = track(None, provenance="integrated", absolute=False)
    one.take(NS, 30_000_000)
    one.fail(2 * NS, "gone")
    assert one.take(3 * NS, raw) == 30_000_000
    assert one.take(4 * NS, raw + 10) == 30_000_010
    (_, back) = one.changes
    assert isinstance(back, Return)
    assert back.lost


def test_counter_that_was_lost_before_must_move() -> None:
    one = track()
    one.resume(5 * NS, 7_000_000, 0)
    one.resume_lost(Loss(NS, 5 * NS, "it stood still"))
    assert one.take(6 * NS, 7_000_000) is None
    assert one.take(7 * NS, 8_000_000) == 8_000_000
    (back,) = one.changes
    assert isinstance(back, Return)
    assert (back.since_ns, back.lost) == (NS, True)


def test_line_between_readings() -> None:
    one = track()
    assert one.at(NS) is None
    one.take(NS, 10)
    one.take(2 * NS, 20)
    assert one.at(NS) == (10, 0)
    assert one.at(NS * 3 // 2) == (15, NS // 2)
    assert one.at(2 * NS) == (20, 0)
    assert one.at(2 * NS + 1) is None
    assert one.at(NS - 1) is None


def test_dense_readings_leave_the_history_long_enough() -> None:
    """Ten thousand cells in a second must not push out what lies twenty updates back."""
    one = track()
    for index in range(100_000):
        one.take(NS + index * 10_000, index * 500)
    assert one.at(NS * 2 - NS // 50) is not None
    watts = one.power_w(one.newest_ns)
    assert watts is not None
    assert watts == pytest.approx((50, 50), rel=0.05)


@pytest.mark.parametrize("raw", [0, 5_000_000, 40_000_000])
def test_counter_of_one_process_begins_anew_with_a_new_recorder(raw: int) -> None:
    one = track(None, absolute=False)
    one.resume(5 * NS, 30_000_000, 0)
    assert one.take(6 * NS, raw) == 30_000_000
    assert one.take(7 * NS, raw + 10) == 30_000_010
    loss, back = one.changes
    assert isinstance(loss, Loss)
    assert isinstance(back, Return)
    assert (loss.since_ns, back.since_ns, back.lost) == (5 * NS, 5 * NS, True)


def test_reading_from_before_the_failure_ends_no_loss() -> None:
    """A mark that was stamped before the recorder found the counter gone, and came after."""
    one = track()
    one.take(NS, 1_000_000)
    one.fail(3 * NS, "gone")
    assert one.take(2 * NS, 31_000_000) is None
    assert one.loss is not None
    assert one.take(4 * NS, 61_000_000) == 61_000_000

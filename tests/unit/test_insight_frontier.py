"""Curves of a metric over energy: what the panel's curves.test.ts and knee.test.ts say, too."""

import math
from typing import Any

import pytest

from jupyter_green.insight.frontier import Curve, Point, curves_of, find_knee
from jupyter_green.report.curves import best_curve
from jupyter_green.sessions.frames import standing_for
from jupyter_green.sessions.model import Metric


def metric(value: float, session_uj: int | None, **more: Any) -> Metric:
    usual: dict[str, Any] = {
        "name": "acc", "step": None, "run": "a", "direction": "higher", "source": "user",
        "cell": 1, "logged_s": 0.0, "cell_uj": session_uj,
    }  # fmt: skip
    return Metric(value=value, session_uj=session_uj, **{**usual, **more})


def curve(*metrics: Metric) -> Curve:
    (found,) = curves_of(metrics)
    return found


def saturating(count: int, rate: float) -> list[Point]:
    return [Point(index + 1, 1 - math.exp(-index * rate)) for index in range(count)]


def line(count: int) -> list[Point]:
    return [Point(index, index) for index in range(count)]


def test_a_curve_that_saturates_has_its_knee_where_it_bends() -> None:
    knee = find_knee(saturating(20, 0.5), False)

    assert knee is not None
    assert 3 <= knee.index <= 6
    assert knee.energy_share == (20 - (knee.index + 1)) / 20
    assert 0 < knee.gain < 0.2


def test_the_same_upside_down_where_lower_is_better() -> None:
    points = saturating(20, 0.5)
    falling = [Point(point.uj, 3 - point.value) for point in points]
    lower, higher = find_knee(falling, True), find_knee(points, False)

    assert lower is not None
    assert higher is not None
    assert lower.index == higher.index
    assert find_knee(falling, False) is None


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(line(20), id="a line"),
        pytest.param(saturating(5, 1), id="few points"),
        pytest.param([Point(n, 1.0) for n in range(20)], id="no gain"),
        pytest.param([Point(7, float(n)) for n in range(20)], id="no energy"),
        pytest.param([], id="nothing"),
        pytest.param(saturating(20, 0.1), id="much is still gained"),
    ],
)
def test_no_knee(points: list[Point]) -> None:
    assert find_knee(points, False) is None


def test_a_dip_after_the_best_costs_nothing() -> None:
    points = saturating(20, 0.5)
    points[15] = Point(16, 0.2)

    assert find_knee(points, False) == find_knee(saturating(20, 0.5), False)


def test_a_curve_starts_where_its_run_began() -> None:
    found = curve(
        metric(0.5, 30_000_000, cell_uj=10_000_000, step=1),
        metric(0.7, 50_000_000, cell_uj=30_000_000, step=2),
    )

    assert [point.uj for point in found.points] == [10_000_000, 30_000_000]
    assert found.best == Point(30_000_000, 0.7, 2)


def test_values_that_are_not_finite_or_have_no_energy_are_counted() -> None:
    found = curve(metric(math.nan, 1), metric(math.inf, 2), metric(0.5, None), metric(0.6, 3))

    assert (found.not_finite, found.without_energy) == (2, 1)
    assert [point.value for point in found.points] == [0.6]


@pytest.mark.parametrize(
    ("more", "count"),
    [
        pytest.param([{"run": "a"}, {"run": "b"}, {"run": "a"}], 2, id="runs apart"),
        pytest.param(
            [{"run": None, "step": 1, "cell": 1}, {"run": None, "step": 1, "cell": 2}],
            2,
            id="steps by cell",
        ),
        pytest.param([{"run": None, "cell": 1}, {"run": None, "cell": 2}], 1, id="single values"),
        pytest.param([{"name": "acc"}, {"name": "loss"}], 2, id="metrics apart"),
    ],
)
def test_runs(more: list[dict[str, Any]], count: int) -> None:
    found = curves_of(metric(index, index, **each) for index, each in enumerate(more))

    assert len(found) == count


@pytest.mark.parametrize(("direction", "best"), [("higher", 3), ("lower", 1), (None, 2)])
def test_the_direction_decides_what_is_best(direction: str | None, best: float) -> None:
    values = (metric(value, n, direction=direction) for n, value in enumerate((3, 1, 2)))
    found = curve(*values)

    assert found.best is not None
    assert found.best.value == best


def test_best_so_far() -> None:
    values = [metric(value, n, direction="lower") for n, value in enumerate((3, 1, 2, 0.5))]

    assert [point.value for point in curve(*values).best_so_far] == [3, 1, 1, 0.5]
    assert curve(metric(1, 1, direction=None), metric(0, 2)).best_so_far[-1].value == 0


def test_joules_for_each_point_gained() -> None:
    assert curve(metric(0.5, 0), metric(0.9, 80)).uj_per_point == pytest.approx(2)
    loss = curve(metric(3, 0, direction="lower"), metric(1, 80, direction="lower"))
    assert loss.uj_per_point == pytest.approx(40)
    assert curve(metric(0.5, 1)).uj_per_point is None
    assert curve(metric(0.5, 1, direction=None), metric(0.9, 80)).uj_per_point is None


def test_the_knee_of_a_curve() -> None:
    values = (0.5, 0.8, 0.9, 0.903, 0.904, 0.904, 0.904, 0.904)
    metrics = [metric(value, (n + 1) * 1_000_000) for n, value in enumerate(values)]
    knee = curve(*metrics).knee

    assert knee is not None
    assert (knee.index, knee.energy_share) == (2, 0.625)
    assert knee.gain == pytest.approx(0.004)
    unknown = [metric(value, n, direction=None) for n, value in enumerate(values)]
    assert curve(*unknown).knee is None


def runs_of(*told: tuple[str | None, int]) -> dict[str | None, list[int]]:
    """Microjoules of the points of each run; values were logged in this order in one cell."""
    metrics = [
        metric(0.5, uj, run=run, step=place, logged_s=float(place), cell_uj=uj - 100)
        for place, (run, uj) in enumerate(told)
    ]
    return {one.run: [point.uj for point in one.points] for one in curves_of(metrics)}


def test_of_runs_in_one_cell_each_begins_where_the_one_before_has_ended() -> None:
    told = runs_of(("a", 110), ("a", 120), ("b", 135), ("b", 150), ("c", 155))
    assert told == {"a": [10, 20], "b": [15, 30], "c": [5]}


def test_runs_that_go_on_at_once_begin_with_their_cell() -> None:
    assert runs_of(("a", 110), ("b", 120), ("a", 130), ("b", 140)) == {"a": [10, 30], "b": [20, 40]}
    assert runs_of((None, 110), ("b", 120)) == {None: [10], "b": [20]}


def test_a_run_of_another_cell_is_none_that_has_ended_before() -> None:
    first, second = (
        metric(0.5, 120, cell_uj=20),
        metric(0.5, 150, run="b", cell=2, cell_uj=20, logged_s=1.0),
    )
    assert [one.points[0].uj for one in curves_of([first, second])] == [20, 20]


def test_what_stands_for_a_cell() -> None:
    """As the panel's curves.test.ts has it."""

    def value(*own: Metric) -> float:
        return standing_for(own).value

    loss: dict[str, Any] = {"name": "loss", "direction": "lower"}
    unknown: dict[str, Any] = {"direction": None}
    assert value(metric(0.5, 1), metric(0.7, 2), metric(3, 3, **loss)) == 0.7
    assert value(metric(0.9, 1), metric(0.7, 2, run="b")) == 0.9
    assert value(metric(2, 1, **loss), metric(3, 2, run="b", **loss)) == 2
    assert value(metric(math.nan, 1), metric(0.7, 2, run="b")) == 0.7
    assert value(metric(0.9, 1, **unknown), metric(0.7, 2, run="b", **unknown)) == 0.7


def test_the_best_result_of_several_runs() -> None:
    found = [
        Curve("acc", run, 1, False, (Point(1, 0.1), Point(2, value)))
        for run, value in (("a", 0.9), ("b", 0.7))
    ]
    best = best_curve(found)
    assert best is not None
    assert best.run == "a"

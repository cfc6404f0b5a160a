"""Diminishing returns: the last stretch of a training, and a rule for when to stop.

The rule is scored on 300 seeded trainings that saturate, with noise; see the end of the file.
"""

import math
import random
from collections.abc import Sequence
from statistics import mean, median

import pytest

from jupyter_green.insight.frontier import Curve, Point
from jupyter_green.insight.returns import Stretch, diminishing, last_stretch

J = 1_000_000


def curve(values: Sequence[float], lower: bool | None = False, each_j: float = 10) -> Curve:
    points = tuple(
        Point(round((index + 1) * each_j * J), value, index) for index, value in enumerate(values)
    )
    return Curve(metric="accuracy", run="a", cell=1, lower=lower, points=points)


def points_of(values: Sequence[float]) -> list[Point]:
    return list(curve(values).points)


# --- the last stretch ---


def test_the_last_stretch_has_its_share_gain_and_joules_per_point() -> None:
    found = last_stretch(curve([0.5, 0.7, 0.8, 0.9, 0.9, 0.901, 0.9, 0.902]), 4)

    assert found is not None
    assert (found.count, found.energy_uj, found.share) == (4, 40 * J, 0.5)
    assert found.gained_points == pytest.approx(0.2)
    assert found.j_per_point == pytest.approx(200)
    assert found.sentence == "the last 4 epochs cost 50 % of the energy for +0.2 points"


def test_the_gain_is_that_of_the_best_so_far() -> None:
    found = last_stretch(curve([0.5, 0.9, 0.8, 0.7]), 2)

    assert found is not None
    assert found.gain == 0
    assert found.j_per_point is None
    assert found.sentence == "the last 2 epochs cost 50 % of the energy for no gain"


def test_a_loss_is_told_in_its_own_units() -> None:
    found = last_stretch(curve([4.0, 2.0, 1.5, 1.25], lower=True), 1)

    assert found is not None
    assert found.gain == 0.25
    assert found.j_per_point == pytest.approx(40)
    assert found.sentence == "the last epoch cost 25 % of the energy for a gain of 0.25"


def test_without_a_count_it_is_what_is_past_the_knee() -> None:
    run = curve([1 - math.exp(-index / 2) for index in range(20)])
    found = last_stretch(run)

    assert run.knee is not None
    assert found is not None
    assert found.count == 19 - run.knee.index
    assert found.share == pytest.approx(run.knee.energy_share)
    assert found.gain == pytest.approx(run.knee.gain)


@pytest.mark.parametrize(
    ("run", "count"),
    [
        pytest.param(curve([0.1 * index for index in range(8)]), None, id="no knee"),
        pytest.param(curve([0.1, 0.2, 0.3]), 3, id="nothing before it"),
        pytest.param(curve([0.1, 0.2, 0.3]), 0, id="no points"),
        pytest.param(curve([0.1, 0.2, 0.3]), -1, id="a negative count"),
        pytest.param(curve([0.1, 0.2, 0.3], lower=None), 1, id="no direction"),
        pytest.param(curve([0.1, 0.2, 0.3], each_j=0), 1, id="no energy"),
        pytest.param(curve([]), 1, id="nothing"),
    ],
)
def test_no_stretch(run: Curve, count: int | None) -> None:
    assert last_stretch(run, count) is None


def test_a_stretch_without_energy_of_its_own_is_no_division_by_nothing() -> None:
    found = Stretch(count=2, energy_uj=0, share=0.0, gain=0.1, is_fraction=True)

    assert found.j_per_point == 0
    assert found.sentence == "the last 2 epochs cost 0 % of the energy for +10 points"


# --- the stop rule ---


def stops_at(
    values: Sequence[float], lower: bool = False, patience: int = 5, least_gain: float = 0.002
) -> int | None:
    """Points after which the rule first says stop."""
    points = points_of(values)
    for seen in range(1, len(points) + 1):
        if diminishing(points[:seen], lower, patience, least_gain):
            return seen
    return None


def saturating(epochs: int, pace: float, noise: float = 0.0, seed: int = 0) -> list[float]:
    dice = random.Random(seed)
    return [
        0.5 + 0.4 * (1 - math.exp(-epoch / pace)) + dice.gauss(0, noise) for epoch in range(epochs)
    ]


def test_it_stops_when_the_gain_has_become_small() -> None:
    values = saturating(60, 4)
    stop = stops_at(values)

    # Five epochs gain 0.002 from where 0.4 exp(-t/4) (1 - exp(-5/4)) = 0.002: t = 19.8.
    assert stop is not None
    assert 25 <= stop <= 28


def test_the_same_for_a_loss() -> None:
    values = saturating(60, 4)
    losses = [2 - value for value in values]

    assert stops_at(losses, lower=True) == stops_at(values)
    assert stops_at(losses, lower=False, patience=20) == stops_at([2 - v for v in losses], True, 20)


def test_a_training_that_still_gains_goes_on() -> None:
    assert stops_at([0.5 + 0.003 * epoch for epoch in range(100)]) is None


def test_one_lucky_epoch_does_not_end_it() -> None:
    values = [0.5 + 0.003 * epoch for epoch in range(100)]
    values[7] = 0.99

    assert stops_at(values) is None


def test_unlucky_epochs_do_not_end_it() -> None:
    values = [0.5 + 0.003 * epoch for epoch in range(100)]
    for epoch in range(6, 100, 7):
        values[epoch] = math.nan if epoch % 2 else 0.1

    assert stops_at(values) is None


def test_a_least_number_of_epochs() -> None:
    assert stops_at([0.1, 0.9, *[0.9] * 30], patience=1) == 6
    assert stops_at([0.1, 0.9, *[0.9] * 30], patience=10) == 13


def test_what_has_not_begun_has_twice_the_patience() -> None:
    late = [0.1] * 9 + [0.1 + 0.05 * epoch for epoch in range(10)]

    assert stops_at(late) is None
    assert stops_at([0.1] * 40) == 12
    assert stops_at([math.nan] * 40) == 12


@pytest.mark.parametrize("values", [[], [0.5], [0.5] * 5])
def test_nothing_is_said_of_a_beginning(values: list[float]) -> None:
    assert not diminishing(points_of(values), False, 1, 0.0)


@pytest.mark.parametrize(
    ("patience", "least_gain", "message"),
    [
        (0, 0.1, "patience is 0"),
        (5, -0.1, "least_gain is -0.1"),
        (5, math.nan, "least_gain is nan"),
    ],
)
def test_bad_rules_are_refused(patience: int, least_gain: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diminishing([], False, patience, least_gain)


def test_it_holds_under_noise() -> None:
    """300 trainings: 60 to 120 epochs, paces of 3 to 12 epochs, a noise of 0.1 to 1 point.

    Told to stop where 8 epochs gain under 0.4 points. What matters is what is lost (true accuracy,
    without the noise, at the stop against that at the end) and what is saved (epochs not run).
    """
    lost, saved, ended = [], [], 0
    for seed in range(300):
        dice = random.Random(seed)
        epochs, pace, noise = dice.randint(60, 120), dice.uniform(3, 12), dice.uniform(0.001, 0.01)
        true = saturating(epochs, pace)
        stop = stops_at(saturating(epochs, pace, noise, seed), patience=8, least_gain=0.004)
        ended += stop is not None
        at = (stop or epochs) - 1
        lost.append(true[-1] - true[at])
        saved.append(1 - (at + 1) / epochs)
    print(
        f"stopped {ended}/300; lost: median {median(lost):.2%}, most {max(lost):.2%}; "
        f"saved: mean {mean(saved):.0%}"
    )
    assert ended >= 290
    assert sorted(lost)[round(0.95 * len(lost))] < 0.02
    assert mean(saved) > 0.4

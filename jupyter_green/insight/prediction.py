"""What a training will have used at its end, told from its first epochs.

The first epoch is left out of the level: caches, autotuning and compilation make it dearer, a
short one cheaper. The others are taken as ``level + noise``, and what remains as the level times
the epochs to come. Its interval has three parts:

- *noise*: Student's interval for the mean of the epochs to come, given that of those seen. Few
  epochs tell little of their spread, so it is shrunk: they count beside ``PRIOR_EPOCHS`` epochs
  with a spread of ``PRIOR_SPREAD`` of the level. Where neighbours are alike, a mean of them is
  worth less: the variance is multiplied by (1 + r) / (1 - r), r being the autocorrelation at one
  epoch, shrunk likewise.
- *room for what has not begun*: layers that are unfrozen later, larger images, growing data, a
  processor that gets warm, another process. Nothing in the first epochs tells of it, so it is a
  share of what remains: ``ROOM`` x the root of the share of epochs to come, as of a level that
  wanders, and more while hardly an epoch has settled.
- *a change that has begun*: where the slope of a straight line through the epochs is more than
  ``CLEAR_ERRORS`` standard errors, the level is that of their later half. The interval then reaches
  from what remains if the level goes back to what it was, to what remains if it goes on along the
  line.

The first two are independent and add in squares; the third extends one side or both. Evaluations,
checkpoints and stalls are part of the mean and of its spread, whatever their period.

The constants were chosen on 2400 simulated trainings of twelve kinds
(``tests/unit/test_prediction.py`` has them, and the scores on others and on recorded trainings).
``ROOM`` decides most. With 0.20, 92 % of the simulated ones ended within their interval (nothing
announces the changes in a third of them), but 29 of the 33 recorded on a busy machine; 0.24 is the
least with nine in ten of these as well. So the interval of a training that stays as it began is
wider than that one needs, and a change by much more than the room is not within it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

from jupyter_green.units import UJ_PER_J, format_energy, format_share

LEVEL = 0.9
"""Share of trainings that are to end within their interval."""
FROM_SHARE = 0.1
"""Share of the epochs after which a prediction is made."""
FEWEST_EPOCHS = 2
"""The first one alone tells nothing: it is the one that is left out."""

PRIOR_EPOCHS = 3
PRIOR_SPREAD = 0.03
PRIOR_NEIGHBOURS = 10
"""Epochs that say they are not alike, beside those that were seen."""
MOST_ALIKE = 0.9
ROOM = 0.24
CLEAR_ERRORS = 2.0
FEWEST_FOR_A_TREND = 3
FARTHEST_RISE = 1.5
"""How far up a line is followed, in levels: hardly a training grows more than that on average."""


@dataclass(frozen=True)
class Interval:
    """A figure at the end of the training: an estimate, and the bounds of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Prediction:
    """The energy and the duration of a whole training, its epochs so far included."""

    after: int
    """Epochs seen."""
    total: int
    """Epochs planned."""
    spent_j: float
    """Of the epochs seen."""
    energy_j: float
    low_j: float
    """Never below what is spent."""
    high_j: float
    duration: Interval | None = None
    """Seconds of all epochs; None: not known of every epoch seen."""
    level: float = LEVEL
    """Of the interval from ``low_j`` to ``high_j``, and of that of the duration."""

    @property
    def remaining_j(self) -> float:
        """Joules still to come."""
        return self.energy_j - self.spent_j

    @property
    def duration_s(self) -> float | None:
        """Seconds of all epochs, without what is between them."""
        return None if self.duration is None else self.duration.value

    @property
    def words(self) -> str:
        """``1.2 kJ in all (90 %: 1.0 kJ to 1.5 kJ), after 4 of 40 epochs``."""
        energy, low, high = (
            format_energy(joules * UJ_PER_J) for joules in (self.energy_j, self.low_j, self.high_j)
        )
        return (
            f"{energy} in all ({format_share(self.level)}: {low} to {high}), "
            f"after {self.after} of {self.total} epochs"
        )


def predict(
    energies_j: Sequence[float | None],
    total: int | None,
    durations_s: Sequence[float | None] = (),
    *,
    from_share: float = FROM_SHARE,
) -> Prediction | None:
    """The energy of a training of ``total`` epochs, from those of its epochs so far.

    The work grows with the epochs seen: whoever asks after each of very many, asks less often.

    Args:
        energies_j: joules of each epoch so far, in their order; None: unknown.
        total: epochs planned; None: not known.
        durations_s: seconds of the same epochs, for a prediction of the duration.
        from_share: share of the epochs that must have been seen.

    Returns:
        None where nothing can be told yet: :func:`reason_against` says why.
    """
    if total is None or reason_against(energies_j, total, from_share=from_share) is not None:
        return None
    known = [energy for energy in energies_j if energy is not None]
    energy = _at_the_end(known, total)
    times = [time for time in durations_s if _is_known(time)]
    timed = len(times) == len(durations_s) == len(known)
    return Prediction(
        after=len(known),
        total=total,
        spent_j=math.fsum(known),
        energy_j=energy.value,
        low_j=energy.low,
        high_j=energy.high,
        duration=_at_the_end([time for time in times if time is not None], total)
        if timed
        else None,
    )


def reason_against(
    energies_j: Sequence[float | None], total: int | None, *, from_share: float = FROM_SHARE
) -> str | None:
    """Why :func:`predict` tells nothing of these epochs; None: it does."""
    seen = len(energies_j)
    if total is None:
        return "it is not known how many epochs there will be"
    if seen > total:
        return f"{seen} epochs have run, of {total} that were planned"
    needed = first_told(total, from_share)
    if seen < needed:
        return f"too few epochs: {seen} of {total}, it is told from {needed} on"
    if not all(map(_is_known, energies_j)):
        return "the energy of an epoch is not known"
    if not any(energies_j[1:]):
        return "no energy has been counted yet: the epochs are too short for the counters"
    return None


def first_told(total: int, from_share: float = FROM_SHARE) -> int:
    """Epochs after which a training of so many is predicted."""
    # 0.07 x 100 is 7.000000000000001 to a computer, and not eight epochs.
    return max(FEWEST_EPOCHS, math.ceil(from_share * total - 1e-9))


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value >= 0


def _at_the_end(seen: Sequence[float], total: int) -> Interval:
    """The sum over all epochs, from two or more."""
    settled, to_come = seen[1:], total - len(seen)
    spent, count = math.fsum(seen), len(settled)
    past = _Past.of(settled)
    remaining = past.level * to_come
    spread = math.sqrt(past.variance * past.persistence * (1 / count + 1 / max(to_come, 1)))
    noise = _student(PRIOR_EPOCHS + count - 1) * spread * to_come
    room = ROOM * (1 + 1 / count) * math.sqrt(to_come / total) * remaining
    half = math.hypot(noise, room)
    changes = past.changes(to_come)
    low = remaining - half + to_come * min(0.0, *changes)
    high = remaining + half + to_come * max(0.0, *changes)
    return Interval(spent + remaining, spent + max(0.0, low), spent + high)


@dataclass(frozen=True)
class _Past:
    """What the settled epochs tell of those to come."""

    count: int
    level: float
    variance: float
    persistence: float
    """By how much neighbours that are alike make a mean less certain: 1 where they are not."""
    slope: float
    """Of a clear trend, by epoch, without the part that noise explains; 0: there is none."""

    @classmethod
    def of(cls, settled: Sequence[float]) -> _Past:
        count = len(settled)
        mean, middle = math.fsum(settled) / count, (count - 1) / 2
        off = [value - mean for value in settled]
        squares = math.fsum(value * value for value in off)
        variance = _variance(mean, squares, count - 1)
        steps = count * (count * count - 1) / 12
        moment = math.fsum((index - middle) * value for index, value in enumerate(off))
        slope = moment / steps if count >= FEWEST_FOR_A_TREND else 0.0
        left = _variance(mean, max(0.0, squares - slope * slope * steps), max(count - 2, 0))
        clear = slope * slope * steps / left if left > 0 else 0.0
        if clear <= CLEAR_ERRORS**2:
            return cls(count, mean, variance, _persistence(off, squares), 0.0)
        half = count // 2
        later = math.fsum(settled[-half:]) / half
        slope *= 1 - CLEAR_ERRORS**2 / clear
        return cls(count, later, variance, _persistence(off, squares), slope)

    def changes(self, to_come: int) -> tuple[float, float]:
        """What the mean level may differ by: back to where it was, and on as it goes."""
        on = self.slope * (self.count / 2 + to_come) / 2
        return -self.slope * self.count / 2, min(on, FARTHEST_RISE * self.level)


def _variance(mean: float, squares: float, freedom: int) -> float:
    """Shrunk towards the prior's."""
    prior = PRIOR_EPOCHS * (PRIOR_SPREAD * mean) ** 2
    return (prior + squares) / (PRIOR_EPOCHS + freedom)


def _persistence(off: Sequence[float], squares: float) -> float:
    """``(1 + r) / (1 - r)`` of the autocorrelation r of neighbours, shrunk towards none."""
    if squares <= 0:
        return 1.0
    alike = math.fsum(one * next_one for one, next_one in pairwise(off)) / squares
    r = max(0.0, min(alike, MOST_ALIKE)) * len(off) / (len(off) + PRIOR_NEIGHBOURS)
    return (1 + r) / (1 - r)


def _student(freedom: int) -> float:
    """Quantile of Student's t for a two-sided interval of ``LEVEL``.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5; from three degrees
    of freedom on it is right to 0.3 %.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )

"""Statistics of repeated measurements: pure functions on plain numbers.

Two samples are compared by Welch's t test and by a permutation test of the difference of their
means. No test for normality comes first: it would change the error of what follows it.
Differences are always *second minus first*. Where nothing can be computed a
:class:`~jupyter_green.errors.StatisticsError` says why; no function returns NaN.

Sources: Welch, "The generalization of 'Student's' problem when several different population
variances are involved", Biometrika 34 (1947); Satterthwaite, "An approximate distribution of
estimates of variance components", Biometrics Bulletin 2 (1946); Fieller, "Some problems in
interval estimation", J. R. Stat. Soc. B 16 (1954); Hedges, "Distribution theory for Glass's
estimator of effect size and related estimators", J. Educ. Stat. 6 (1981); Cliff, "Dominance
statistics", Psychol. Bull. 114 (1993); Phipson & Smyth, "Permutation p-values should never be
zero", Stat. Appl. Genet. Mol. Biol. 9 (2010); Holm, "A simple sequentially rejective multiple
test procedure", Scand. J. Stat. 6 (1979); Kruskal & Wallis, "Use of ranks in one-criterion
variance analysis", J. Am. Stat. Assoc. 47 (1952). Incomplete beta and gamma functions: NIST
Digital Library of Mathematical Functions, 8.4, 8.8 and 8.17.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist

from jupyter_green.errors import StatisticsError

ALPHA = 0.05
"""From below here on a difference counts as found, after Holm's correction."""
LEVEL = 0.95
"""Of every interval."""
MOST_SPLITS = 20_000
"""Up to so many ways to divide the values a permutation test goes through them all ..."""
SHUFFLES = 4_999
"""... and beyond it tries so many at random."""
MOST_VALUES = 100
"""In larger samples both tests say the same, and Welch's serves for both."""
LARGEST = 1e150
"""Beyond it squares are no numbers any more. Nobody measures that much."""
_STEPS = 10_000
_TINY = 1e-300

Sample = Sequence[float]


# --- one sample ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What repeats tell of a mean. All in the unit of the values."""

    count: int
    mean: float
    deviation: float | None
    """Sample standard deviation; None: of one value."""
    low: float | None
    """Interval of the mean (Student's t, 95 %); None: of one value."""
    high: float | None

    @property
    def variation(self) -> float | None:
        """Coefficient of variation: deviation over mean, of one; None where there is none."""
        if self.deviation is None or not self.mean:
            return None
        return self.deviation / abs(self.mean)


def estimate(values: Sample, level: float = LEVEL) -> Estimate:
    """Mean, deviation and interval of the mean.

    Raises:
        StatisticsError: no value, or one that is not finite.
    """
    centre = mean(values)
    if len(values) < 2:
        return Estimate(1, centre, None, None, None)
    spread = deviation(values)
    half = t_quantile((1 + level) / 2, len(values) - 1) * spread / math.sqrt(len(values))
    return Estimate(len(values), centre, spread, centre - half, centre + half)


def mean(values: Sample) -> float:
    """Arithmetic mean, exactly the value itself where all are equal.

    Raises:
        StatisticsError: no value, or one that is not finite.
    """
    _check(values, 1)
    # Rounding must not move the mean of equal values off them: they have no deviation.
    return min(max(math.fsum(values) / len(values), min(values)), max(values))


def deviation(values: Sample) -> float:
    """Sample standard deviation (n - 1); exactly 0 where all values are equal.

    Raises:
        StatisticsError: fewer than two values, or one that is not finite.
    """
    _check(values, 2)
    centre = mean(values)
    return math.hypot(*(value - centre for value in values)) / math.sqrt(len(values) - 1)


def variation(values: Sample) -> float:
    """Coefficient of variation: deviation over the absolute mean, of one.

    Raises:
        StatisticsError: fewer than two values, one that is not finite, or a mean of 0.
    """
    spread, centre = deviation(values), mean(values)
    if centre == 0:
        raise StatisticsError("a mean of 0 has no coefficient of variation")
    return spread / abs(centre)


# --- Student's t and chi squared ----------------------------------------------------------


def t_two_sided(t: float, degrees: float) -> float:
    """Probability that Student's t is at least so far from 0, to either side.

    Args:
        t: infinite is far from everything: 0.
        degrees: of freedom; need not be whole.

    Raises:
        StatisticsError: no degrees of freedom, or a ``t`` that is no number.
    """
    if math.isnan(t) or not (degrees > 0 and math.isfinite(degrees)):
        raise StatisticsError(f"t = {t:g} with {degrees:g} degrees of freedom has no probability")
    if math.isinf(t):
        return 0.0
    scaled = abs(t) / math.sqrt(degrees)
    if scaled > 1:
        # Its inverse, because the square of a large t may be more than a number can hold.
        small = (1 / scaled) ** 2
        x, rest = small / (1 + small), 1 / (1 + small)
    else:
        x, rest = 1 / (1 + scaled**2), scaled**2 / (1 + scaled**2)
    return _beta_share(x, rest, degrees / 2, 0.5)


def t_quantile(p: float, degrees: float) -> float:
    """The value below which Student's t lies with probability ``p``.

    Raises:
        StatisticsError: ``p`` is not between 0 and 1, or there are no degrees of freedom.
    """
    if not 0 < p < 1:
        raise StatisticsError(f"a quantile needs a probability between 0 and 1, not {p:g}")
    tail = min(p, 1 - p)
    if tail == 0.5:
        return 0.0
    # The tail is convex, and a normal one is lighter: Newton's steps come from one side only.
    t = -NormalDist().inv_cdf(tail)
    for _ in range(_STEPS):
        step = (t_two_sided(t, degrees) / 2 - tail) / _t_density(t, degrees)
        t += step
        if step <= 1e-13 * t:
            break
    return math.copysign(t, p - 0.5)


def chi_squared_beyond(x: float, degrees: int) -> float:
    """Probability that chi squared is ``x`` or more.

    For whole degrees of freedom it is a finite sum (DLMF 8.4.6, 8.4.8 and 8.8.2).

    Raises:
        StatisticsError: no degrees of freedom, or an ``x`` that is no number.
    """
    if degrees < 1 or math.isnan(x):
        raise StatisticsError(
            f"chi squared = {x:g} with {degrees} degrees of freedom has no probability"
        )
    if x <= 0:
        return 1.0
    half = x / 2
    if degrees % 2:
        order, beyond = 0.5, math.erfc(math.sqrt(half))
    else:
        order, beyond = 1.0, math.exp(-half)
    while order < degrees / 2:
        beyond += math.exp(order * math.log(half) - half - math.lgamma(order + 1))
        order += 1
    return min(1.0, beyond)


def _t_density(t: float, degrees: float) -> float:
    log = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    log -= math.log(degrees * math.pi) / 2
    return math.exp(log - (degrees + 1) / 2 * math.log1p(t * t / degrees))


def _beta_share(x: float, rest: float, a: float, b: float) -> float:
    """Regularised incomplete beta function (DLMF 8.17) of ``x``, with ``rest`` = 1 - x."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(rest, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22, by Lentz's method."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        before = value
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= c * d
        if abs(value - before) <= 1e-15 * abs(value):
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


# --- two samples --------------------------------------------------------------------------


@dataclass(frozen=True)
class Welch:
    """Welch's test of two means, and intervals of their difference and ratio."""

    difference: float
    """Second mean minus first."""
    t: float
    """Infinite where neither sample has any spread, and yet they differ."""
    degrees: float
    """Of freedom, after Welch and Satterthwaite."""
    p: float
    """Two-sided."""
    low: float
    """Interval of the difference."""
    high: float
    ratio: float | None
    """Second mean over the first; None: the first is not above 0."""
    ratio_low: float | None
    """Interval of the ratio (Fieller); infinite where the first mean is hardly known."""
    ratio_high: float | None


def welch(first: Sample, second: Sample, level: float = LEVEL) -> Welch:
    """Welch's t test, which does not assume that both samples vary alike.

    The interval of the ratio is Fieller's with Welch's degrees of freedom, so that it holds 1
    exactly where the interval of the difference holds 0. Two samples without any spread tell
    nothing of chance: equal ones have p = 1, and others p = 0 and intervals without a width.

    Raises:
        StatisticsError: fewer than two values a side, or one that is not finite.
    """
    _check(first, 2)
    _check(second, 2)
    means = mean(first), mean(second)
    errors = _standard_error(first), _standard_error(second)
    difference, error = means[1] - means[0], math.hypot(*errors)
    if error == 0:
        degrees, p = float(len(first) + len(second) - 2), float(difference == 0)
        t = math.copysign(math.inf, difference) if difference else 0.0
    else:
        share = (errors[0] / error) ** 2
        degrees = 1 / (share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1))
        t = difference / error
        p = t_two_sided(t, degrees)
    reach = t_quantile((1 + level) / 2, degrees)
    return Welch(
        difference=difference,
        t=t,
        degrees=degrees,
        p=p,
        low=difference - reach * error,
        high=difference + reach * error,
        **_ratio(means, errors, reach),
    )


def permutation_p(first: Sample, second: Sample, seed: int = 0) -> float:
    """Two-sided p-value of the difference of means, by dividing all values anew.

    It is the share of divisions whose difference is as large as the one seen or larger: of all,
    up to ``MOST_SPLITS`` (exact); else of ``SHUFFLES`` at random and the one seen, so that it
    is never 0 (Phipson & Smyth 2010).

    Raises:
        StatisticsError: an empty side, or a value that is not finite.
    """
    _check(first, 1)
    _check(second, 1)
    # In units of the largest, because the smallest numbers there are have hardly any digits.
    size = max(map(abs, (*first, *second))) or 1.0
    scaled = [value / size for value in (*first, *second)]
    centre = mean(scaled)
    values = [value - centre for value in scaled]
    # With the overall mean at 0 the sum of one side tells the difference of the means.
    least = abs(math.fsum(values[: len(first)]))
    # Sums of the same numbers in another order differ in their last digits.
    least -= 1e-12 * max(map(abs, values)) * len(values)
    if math.comb(len(values), len(first)) <= MOST_SPLITS:
        sums = [abs(sum(chosen)) for chosen in combinations(values, len(first))]
        return sum(one >= least for one in sums) / len(sums)
    source = random.Random(seed)
    seen = sum(abs(sum(source.sample(values, len(first)))) >= least for _ in range(SHUFFLES))
    return (seen + 1) / (SHUFFLES + 1)


def smallest_permutation_p(first: int, second: int) -> float:
    """The least p-value that a permutation test of so many values a side can have.

    With equal sides each division has a mirror image that is as extreme.
    """
    splits = math.comb(first + second, first)
    if splits > MOST_SPLITS:
        return 1 / (SHUFFLES + 1)
    return (2 if first == second else 1) / splits


def hedges_g(first: Sample, second: Sample) -> float:
    """Difference of the means in pooled standard deviations, corrected for small samples.

    With the exact correction of Hedges (1981). Without any spread: 0 for equal means, else
    infinite.

    Raises:
        StatisticsError: fewer than two values a side, or one that is not finite.
    """
    spreads = deviation(first), deviation(second)
    degrees = len(first) + len(second) - 2
    weighed = (
        math.sqrt(len(side) - 1) * spread
        for side, spread in zip((first, second), spreads, strict=True)
    )
    pooled = math.hypot(*weighed) / math.sqrt(degrees)
    difference = mean(second) - mean(first)
    if pooled == 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    log = math.lgamma(degrees / 2) - math.lgamma((degrees - 1) / 2)
    return difference / pooled * math.exp(log) / math.sqrt(degrees / 2)


def superiority(first: Sample, second: Sample) -> float:
    """Probability that a value of the second sample is above one of the first, ties halved.

    Raises:
        StatisticsError: an empty side, or a value that is not finite.
    """
    return (cliffs_delta(first, second) + 1) / 2


def cliffs_delta(first: Sample, second: Sample) -> float:
    """How often second values lie above first ones, less how often below; -1 to 1 (Cliff 1993).

    Raises:
        StatisticsError: an empty side, or a value that is not finite.
    """
    _check(first, 1)
    _check(second, 1)
    ordered = sorted(first)
    # Of the first ones: those below less those above.
    above = sum(bisect_left(ordered, b) + bisect_right(ordered, b) - len(first) for b in second)
    return above / (len(first) * len(second))


def _standard_error(values: Sample) -> float:
    return deviation(values) / math.sqrt(len(values))


def _ratio(
    means: tuple[float, float], errors: tuple[float, float], reach: float
) -> dict[str, float | None]:
    """Fieller's interval: the ratios whose difference from what was seen is within reach."""
    names = ("ratio", "ratio_low", "ratio_high")
    if not means[0] > 0:
        return dict.fromkeys(names)
    ratio = means[1] / means[0]
    own, other = (error / means[0] for error in errors)
    known = 1 - (reach * own) ** 2
    if not (known > 0 and math.isfinite(ratio)):
        return dict(zip(names, (ratio, -math.inf, math.inf), strict=True))
    half = reach * math.hypot(other * math.sqrt(known), own * ratio)
    low, high = (ratio - half) / known, (ratio + half) / known
    return dict(zip(names, (ratio, low, high), strict=True))


# --- the decision -------------------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """Two samples compared in every way, and whether a difference was found.

    ``pairs`` is how many comparisons were made beside each other: p-values are corrected for it.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    welch: Welch
    permutation_p: float
    g: float
    """Hedges' g, second minus first."""
    delta: float
    """Cliff's delta, second over first."""
    pairs: int
    p_adjusted: float
    """Welch's p after Holm's correction over the pairs."""
    permutation_adjusted: float

    @property
    def found(self) -> bool:
        """By Welch's test, and by the permutation test where it could find anything at all.

        With three values a side its least p-value is 0.1: there Welch's test decides alone, unless
        all values of each side are equal. That says nothing of chance, and few values of a
        coarse scale (a rounded accuracy) are often so.
        """
        least = smallest_permutation_p(len(self.first), len(self.second)) * self.pairs
        if least >= ALPHA:
            return self.p_adjusted < ALPHA and math.isfinite(self.welch.t)
        return self.p_adjusted < ALPHA and self.permutation_adjusted < ALPHA


def contrast(first: Sample, second: Sample, seed: int = 0) -> Contrast:
    """Compare two samples, for themselves alone.

    In more than ``MOST_VALUES`` the permutation test's p-value is Welch's.

    Raises:
        StatisticsError: fewer than two values a side, or one that is not finite.
    """
    tested = welch(first, second)
    is_small = len(first) + len(second) <= MOST_VALUES
    permuted = permutation_p(first, second, seed) if is_small else tested.p
    return Contrast(
        first=tuple(first),
        second=tuple(second),
        welch=tested,
        permutation_p=permuted,
        g=hedges_g(first, second),
        delta=cliffs_delta(first, second),
        pairs=1,
        p_adjusted=tested.p,
        permutation_adjusted=permuted,
    )


def together(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """Contrasts that are judged beside each other, their p-values corrected after Holm."""
    if not contrasts:
        return ()
    tested = holm([one.welch.p for one in contrasts])
    permuted = holm([one.permutation_p for one in contrasts])
    return tuple(
        replace(one, pairs=len(contrasts), p_adjusted=p, permutation_adjusted=q)
        for one, p, q in zip(contrasts, tested, permuted, strict=True)
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values corrected for their number, in their order (Holm 1979).

    Below a level are those that may be rejected with that chance of one false rejection at most.

    Raises:
        StatisticsError: one is not between 0 and 1.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise StatisticsError(f"a p-value lies between 0 and 1, not at {p:g}")
    adjusted, highest = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


# --- several samples ----------------------------------------------------------------------


@dataclass(frozen=True)
class KruskalWallis:
    """Whether one of several groups tends to larger values."""

    h: float
    """Corrected for ties."""
    degrees: int
    p: float
    """From chi squared, which is an approximation: at least five values a group."""
    eta_squared: float
    """Effect size: (H - k + 1) / (n - k) for k groups of n values in all (Tomczak & Tomczak, "The
    need to report effect size estimates revisited", Trends in Sport Sciences 1 (2014)). 0 or a
    little below for no effect. It measures how well ranks are separated, not a share of variance:
    two equal groups without any overlap have about 0.75."""


def kruskal_wallis(groups: Sequence[Sample]) -> KruskalWallis:
    """Kruskal and Wallis' test by ranks. All values equal: H = 0 and p = 1.

    Raises:
        StatisticsError: fewer than two groups, an empty one, no more values than groups, or a
            value that is not finite.
    """
    if len(groups) < 2:
        raise StatisticsError(f"groups are compared from two on, not {len(groups)}")
    for group in groups:
        _check(group, 1)
    pooled = [value for group in groups for value in group]
    count = len(pooled)
    if count <= len(groups):
        raise StatisticsError(f"{count} values in {len(groups)} groups: none has a second one")
    counted = Counter(pooled)
    rank_of = _ranks(counted)
    middle = (count + 1) / 2
    between = math.fsum(
        len(group) * (math.fsum(map(rank_of, group)) / len(group) - middle) ** 2 for group in groups
    )
    ties = sum(n**3 - n for n in counted.values()) / (count**3 - count)
    h = 0.0 if len(counted) == 1 else 12 * between / (count * (count + 1)) / (1 - ties)
    return KruskalWallis(
        h=h,
        degrees=len(groups) - 1,
        p=chi_squared_beyond(h, len(groups) - 1),
        eta_squared=(h - len(groups) + 1) / (count - len(groups)),
    )


def _ranks(counted: Counter[float]) -> Callable[[float], float]:
    """The rank of each value; equal ones share the mean of theirs."""

    def shared() -> Iterator[tuple[float, float]]:
        below = 0
        for value in sorted(counted):
            yield value, below + (counted[value] + 1) / 2
            below += counted[value]

    return dict(shared()).__getitem__


# --- what comes in ------------------------------------------------------------------------


def _check(values: Sample, least: int) -> None:
    if len(values) < least:
        raise StatisticsError(
            f"{len(values)} value{'s' * (len(values) != 1)} where at least {least} "
            f"{'is' if least == 1 else 'are'} needed: repeat the measurement"
        )
    for value in values:
        if not math.isfinite(value) or abs(value) > LARGEST:
            raise StatisticsError(f"a value is {value:g}: only finite numbers can be compared")

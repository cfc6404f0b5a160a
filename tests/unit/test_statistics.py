"""Our statistics against SciPy's, on random samples, and at the edges where SciPy gives NaN."""

import math
import random
import warnings
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jupyter_green.errors import StatisticsError
from jupyter_green.insight import statistics as ours

stats = pytest.importorskip("scipy.stats")

SEEDS = range(25)
finite = st.floats(-1e9, 1e9)
samples = st.lists(finite, min_size=2, max_size=8)
Noise = Callable[[random.Random], float]


def drawn(seed: int, *sizes: int, ties: bool = False) -> list[list[float]]:
    """Samples of different spreads; with ties, of few different values."""
    source = random.Random(seed)
    sides = [
        [source.gauss(100 + seed % 3, 1 + index) for _ in range(n)] for index, n in enumerate(sizes)
    ]
    return [[round(value / 2) * 2.0 for value in side] for side in sides] if ties else sides


# --- against SciPy ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_welch(seed: int) -> None:
    first, second = drawn(seed, 3 + seed % 5, 2 + seed % 7)
    theirs = stats.ttest_ind(second, first, equal_var=False)
    found = ours.welch(first, second)
    assert found.t == pytest.approx(theirs.statistic, rel=1e-10)
    assert found.degrees == pytest.approx(theirs.df, rel=1e-10)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    interval = theirs.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(interval, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_permutation_test(seed: int, ties: bool) -> None:
    # Whole numbers, whose sums have no rounding: SciPy's own misses a tie here and there.
    first, second = (
        [float(round(1000 * value)) for value in side]
        for side in drawn(seed, 3 + seed % 3, 4, ties=ties)
    )

    def statistic(a, b, axis=-1):  # type: ignore[no-untyped-def]
        return abs(a.mean(axis=axis) - b.mean(axis=axis))

    theirs = stats.permutation_test(
        (first, second), statistic, alternative="greater", n_resamples=math.inf, vectorized=True
    )
    assert ours.permutation_p(first, second) == pytest.approx(theirs.pvalue, rel=1e-12)


def test_permutations_at_random_are_near_the_exact_ones() -> None:
    first, second = drawn(3, 8, 8)
    second = [value - 1.0 for value in second]
    exact = ours.permutation_p(first, second)
    # One value more a side, far too many divisions; SciPy tells the truth of many of them.
    first, second = [*first, 101.0], [*second, 100.0]
    theirs = stats.permutation_test(
        (first, second),
        lambda a, b: abs(a.mean() - b.mean()),
        alternative="greater",
        n_resamples=math.inf,
        vectorized=False,
    )
    found = ours.permutation_p(first, second, seed=1)
    assert 0 < exact < 1
    assert found == pytest.approx(theirs.pvalue, abs=5 * math.sqrt(found / ours.SHUFFLES))
    assert ours.permutation_p(first, second, seed=1) == found
    assert (found * (ours.SHUFFLES + 1)) % 1 == pytest.approx(0, abs=1e-6)


def test_a_random_permutation_test_never_says_0() -> None:
    assert ours.permutation_p([0.0] * 10, [1.0] * 10) == pytest.approx(1 / 5_000, rel=3)


@pytest.mark.parametrize("degrees", [0.5, 1, 2, 3.7, 8, 30, 200.5, 1e5])
@pytest.mark.parametrize("p", [1e-9, 0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999])
def test_t(p: float, degrees: float) -> None:
    quantile = float(stats.t.ppf(p, degrees))
    assert ours.t_quantile(p, degrees) == pytest.approx(quantile, rel=1e-8, abs=1e-12)
    t = abs(quantile)
    assert ours.t_two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), rel=1e-9)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 20, 101])
@pytest.mark.parametrize("x", [0.0, 1e-6, 0.3, 2.0, 9.0, 60.0, 300.0])
def test_chi_squared(x: float, degrees: int) -> None:
    theirs = float(stats.chi2.sf(x, degrees))
    assert ours.chi_squared_beyond(x, degrees) == pytest.approx(theirs, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_kruskal_wallis(seed: int, ties: bool) -> None:
    groups = drawn(seed, 4, 5, 3 + seed % 4, *([6] if seed % 2 else []), ties=ties)
    theirs = stats.kruskal(*groups)
    found = ours.kruskal_wallis(groups)
    assert found.h == pytest.approx(theirs.statistic, rel=1e-10)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    count = sum(map(len, groups))
    assert found.eta_squared == pytest.approx(
        (theirs.statistic - len(groups) + 1) / (count - len(groups)), rel=1e-9
    )


def test_groups_that_do_not_overlap_have_an_eta_squared_of_three_quarters() -> None:
    """So the published 0.75 means that the ranks are separated, and not 75 % of the variance."""
    apart = ours.kruskal_wallis([[float(n) for n in range(500)], [1e6 + n for n in range(500)]])
    assert apart.eta_squared == pytest.approx(0.75, abs=0.001)


@pytest.mark.parametrize("seed", SEEDS)
def test_holm(seed: int) -> None:
    source = random.Random(seed)
    p_values = [round(source.random() ** 3, 2) for _ in range(1 + seed % 6)]
    adjusted = ours.holm(p_values)
    # By its definition: step down, and stop rejecting at the first that is too large.
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] * (len(p_values) - rank) > level:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


@pytest.mark.parametrize("seed", SEEDS)
def test_one_sample(seed: int) -> None:
    (values,) = drawn(seed, 2 + seed % 6)
    found = ours.estimate(values)
    spread = float(stats.tstd(values))
    assert (found.deviation, ours.deviation(values)) == (pytest.approx(spread),) * 2
    assert found.mean == pytest.approx(sum(values) / len(values))
    interval = stats.t.interval(0.95, len(values) - 1, found.mean, stats.sem(values))
    assert (found.low, found.high) == pytest.approx(interval)
    assert found.variation == pytest.approx(float(stats.variation(values, ddof=1)))
    assert found.variation == ours.variation(values)


@pytest.mark.parametrize("seed", SEEDS)
def test_effect_sizes(seed: int) -> None:
    first, second = drawn(seed, 4, 3 + seed % 4, ties=bool(seed % 2))
    pooled = math.sqrt(
        (
            sum((v - ours.mean(first)) ** 2 for v in first)
            + sum((v - ours.mean(second)) ** 2 for v in second)
        )
        / (len(first) + len(second) - 2)
    )
    if pooled:
        # Hedges' own approximation of the correction is good to a few thousandths.
        roughly = (ours.mean(second) - ours.mean(first)) / pooled
        roughly *= 1 - 3 / (4 * (len(first) + len(second)) - 9)
        assert ours.hedges_g(first, second) == pytest.approx(roughly, rel=0.01, abs=1e-12)
    u = stats.mannwhitneyu(second, first).statistic
    assert ours.superiority(first, second) == pytest.approx(u / len(first) / len(second))


# --- intervals hold what they say ---------------------------------------------------------


def test_intervals_cover_the_truth() -> None:
    """95 % of them, of differences and of ratios alike, also where the spreads differ."""
    source, held = random.Random(5), [0, 0]
    for _ in range(2000):
        first = [source.gauss(100, 3) for _ in range(5)]
        second = [source.gauss(70, 1) for _ in range(7)]
        found = ours.welch(first, second)
        assert found.ratio_low is not None
        assert found.ratio_high is not None
        held[0] += found.low <= -30 <= found.high
        held[1] += found.ratio_low <= 0.7 <= found.ratio_high
    assert [count / 2000 for count in held] == [pytest.approx(0.95, abs=0.015)] * 2


@given(
    st.lists(st.floats(1, 100), min_size=2, max_size=7),
    st.lists(st.floats(1, 100), min_size=2, max_size=7),
)
def test_both_intervals_and_p_agree(first: list[float], second: list[float]) -> None:
    found = ours.welch(first, second)
    assert found.ratio_low is not None
    assert found.ratio_high is not None
    if math.isfinite(found.ratio_low) and abs(found.p - 0.05) > 1e-6:
        assert (found.ratio_low <= 1 <= found.ratio_high) == (found.p > 0.05)
        assert (found.low <= 0 <= found.high) == (found.p > 0.05)


@given(samples, samples)
@example([0.0, 0.0], [0.0, 5e-324])
def test_the_other_way_round(first: list[float], second: list[float]) -> None:
    one, other = ours.contrast(first, second), ours.contrast(second, first)
    assert one.welch.p == pytest.approx(other.welch.p)
    assert one.welch.difference == -other.welch.difference
    assert one.permutation_p == pytest.approx(other.permutation_p)
    assert one.delta == -other.delta
    assert one.g == pytest.approx(-other.g)
    assert 0 <= one.welch.p <= 1
    assert 0 < one.permutation_p <= 1


@given(samples, st.floats(0.001, 1000))
@settings(max_examples=50)
def test_units_do_not_matter(values: list[float], factor: float) -> None:
    first, second = values, [value + 1.0 for value in reversed(values)]
    scaled = [[value * factor for value in side] for side in (first, second)]
    one, other = ours.welch(first, second), ours.welch(*scaled)
    assert one.p == pytest.approx(other.p, rel=1e-4, abs=1e-9)


# --- edges --------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e200])
@pytest.mark.parametrize(
    "function", [ours.welch, ours.permutation_p, ours.hedges_g, ours.cliffs_delta, ours.contrast]
)
def test_values_that_are_not_finite(function: Callable[..., object], wrong: float) -> None:
    for sides in (([1.0, wrong], [1.0, 2.0]), ([1.0, 2.0], [wrong, 2.0])):
        with pytest.raises(StatisticsError, match="only finite numbers"):
            function(*sides)
    with pytest.raises(StatisticsError):
        ours.kruskal_wallis([[1.0, 2.0], [wrong]])
    with pytest.raises(StatisticsError):
        ours.estimate([1.0, wrong])


@pytest.mark.parametrize("function", [ours.welch, ours.hedges_g, ours.contrast])
@pytest.mark.parametrize("sides", [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0])])
def test_too_few(function: Callable[..., object], sides: tuple[list[float], list[float]]) -> None:
    with pytest.raises(StatisticsError, match="at least 2 are needed"):
        function(*sides)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ours.mean([]),
        lambda: ours.estimate([]),
        lambda: ours.deviation([1.0]),
        lambda: ours.variation([-1.0, 1.0]),
        lambda: ours.permutation_p([], [1.0]),
        lambda: ours.superiority([1.0], []),
        lambda: ours.kruskal_wallis([[1.0, 2.0]]),
        lambda: ours.kruskal_wallis([[1.0, 2.0], []]),
        lambda: ours.kruskal_wallis([[1.0], [2.0]]),
        lambda: ours.holm([0.1, 1.5]),
        lambda: ours.holm([math.nan]),
        lambda: ours.t_quantile(1.0, 3),
        lambda: ours.t_quantile(0.9, 0),
        lambda: ours.t_two_sided(math.nan, 3),
        lambda: ours.chi_squared_beyond(1.0, 0),
    ],
)
def test_what_cannot_be_computed_is_said(call: Callable[[], object]) -> None:
    with pytest.raises(StatisticsError):
        call()


def test_one_value() -> None:
    assert ours.estimate([3.0]) == ours.Estimate(1, 3.0, None, None, None)
    assert ours.permutation_p([1.0], [2.0]) == 1.0
    assert ours.holm([]) == ()
    assert ours.together([]) == ()


def test_all_equal() -> None:
    one = ours.contrast([0.1] * 5, [0.1] * 6)
    assert (one.welch.t, one.welch.p, one.welch.low, one.welch.high) == (0, 1, 0, 0)
    assert (one.permutation_p, one.g, one.delta, one.found) == (1, 0, 0, False)
    assert (one.welch.ratio, one.welch.ratio_low, one.welch.ratio_high) == (1, 1, 1)
    told = ours.kruskal_wallis([[2.0] * 3, [2.0] * 4])
    assert (told.h, told.p) == (0, 1)
    assert ours.deviation([0.1] * 7) == 0


def test_constants_that_differ() -> None:
    one = ours.contrast([0.1] * 5, [0.3] * 5)
    assert (one.welch.t, one.welch.p, one.g, one.delta) == (math.inf, 0, math.inf, 1)
    assert one.permutation_p == pytest.approx(2 / 252)
    assert one.welch.low == one.welch.high == one.welch.difference
    assert one.found
    assert ours.contrast([0.3] * 5, [0.1] * 5).welch.t == -math.inf
    # Two or three values without spread tell nothing of chance.
    assert not ours.contrast([0.1] * 3, [0.3] * 3).found
    assert not ours.together([one] * 10)[0].found


def test_one_side_constant() -> None:
    first, second = [5.0] * 4, [6.0, 6.5, 7.0]
    found = ours.welch(first, second)
    assert found.degrees == 2
    assert found.p == pytest.approx(stats.ttest_1samp(second, 5.0).pvalue)


@pytest.mark.parametrize("size", [1e-160, 1e-9, 1e120])
def test_very_small_and_very_large(size: float) -> None:
    plain = ours.contrast([1.0, 2.0, 3.0, 2.5], [4.0, 5.0, 5.5, 4.4])
    scaled = ours.contrast(
        [size * value for value in plain.first], [size * value for value in plain.second]
    )
    assert scaled.welch.p == pytest.approx(plain.welch.p)
    assert scaled.permutation_p == plain.permutation_p
    assert scaled.g == pytest.approx(plain.g)


def test_a_first_mean_that_is_hardly_known_has_no_ratio() -> None:
    found = ours.welch([1.0, 100.0], [50.0, 51.0])
    assert (found.ratio_low, found.ratio_high) == (-math.inf, math.inf)
    assert ours.welch([-1.0, -2.0], [1.0, 2.0]).ratio is None
    assert ours.estimate([-1.0, 1.0]).variation is None


@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (3, 3), (3, 5), (4, 4), (9, 9)])
def test_the_least_p_of_a_permutation_test(sizes: tuple[int, int]) -> None:
    apart = [0.001 * n for n in range(sizes[0])], [1e3 + n * n for n in range(sizes[1])]
    found = ours.permutation_p(*apart)
    least = ours.smallest_permutation_p(*sizes)
    assert found == pytest.approx(least) if sizes != (9, 9) else least <= found < 0.001


# --- the decision -------------------------------------------------------------------------


def found(first: list[float], second: list[float]) -> bool:
    """Whether a difference is found; permutations only where they can still change that."""
    return ours.welch(first, second).p < ours.ALPHA and ours.contrast(first, second).found


NOISE: dict[str, Noise] = {
    "normal": lambda source: source.gauss(100, 1),
    "wide": lambda source: source.gauss(100, 20),
    "lognormal": lambda source: source.lognormvariate(0, 1),
    "outliers": lambda source: 100 + source.random() + 50 * (source.random() < 0.1),
}


@pytest.mark.parametrize("repeats", [3, 5, 10])
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_the_same_against_itself(noise: Noise, repeats: int) -> None:
    """A/A: at most 5 %, and the error of a thousand comparisons, claim a difference."""
    source = random.Random(20261121)
    claims = sum(
        found([noise(source) for _ in range(repeats)], [noise(source) for _ in range(repeats)])
        for _ in range(1000)
    )
    assert claims <= 65


@pytest.mark.parametrize("repeats", [2, 3, 4, 7])
@pytest.mark.parametrize("steps", [2, 3, 5])
def test_coarse_values_against_themselves(steps: int, repeats: int) -> None:
    """Accuracies on few examples: often all alike on a side, by chance."""
    source = random.Random(9)
    claims = sum(
        found(*([source.randrange(steps) / 50 for _ in range(repeats)] for _ in range(2)))
        for _ in range(1000)
    )
    assert claims <= 65


@pytest.mark.parametrize("repeats", [3, 5])
def test_techniques_that_are_alike_among_three_pairs(repeats: int) -> None:
    """Holm: in a thousand studies with three techniques that are all alike."""
    source, claims = random.Random(7), 0
    for _ in range(1000):
        sides = [[source.gauss(100, 2) for _ in range(repeats)] for _ in range(4)]
        if min(ours.welch(sides[0], side).p for side in sides[1:]) < ours.ALPHA:
            judged = ours.together([ours.contrast(sides[0], side) for side in sides[1:]])
            claims += any(one.found for one in judged)
    assert claims <= 65


@pytest.mark.parametrize(("percent", "power"), [(5, 0.99), (2, 0.70)])
def test_power(percent: float, power: float) -> None:
    """Five repeats a side with 1 % noise: how often a difference is found."""
    source = random.Random(11)
    times = sum(
        found(
            [source.gauss(100, 1) for _ in range(5)],
            [source.gauss(100 - percent, 1) for _ in range(5)],
        )
        for _ in range(500)
    )
    assert times / 500 >= power


def test_three_values_a_side_are_left_to_welch() -> None:
    """A permutation test of three against three can never reach 0.05."""
    assert ours.smallest_permutation_p(3, 3) == pytest.approx(0.1)
    assert ours.contrast([1.0, 1.1, 0.9], [2.0, 2.1, 1.9]).found


def test_permutations_have_a_say_where_they_can() -> None:
    """Welch's test sees a difference here that divisions do not bear out."""
    source = random.Random(1)
    for _ in range(20_000):
        first, second = ([source.gauss(0, 1) for _ in range(n)] for n in (4, 4))
        if ours.welch(first, second).p < 0.05 < ours.permutation_p(first, second):
            assert not ours.contrast(first, second).found
            return
    pytest.fail("no such samples")


def test_large_samples_are_left_to_welch() -> None:
    source = random.Random(2)
    sides = [[source.gauss(0, 1) for _ in range(n)] for n in (5_000, 4_000)]
    judged = ours.contrast(*sides)
    assert judged.permutation_p == judged.welch.p
    u = stats.mannwhitneyu(sides[1], sides[0]).statistic
    assert judged.delta == pytest.approx(2 * u / 2e7 - 1)


def test_more_pairs_need_more() -> None:
    one = ours.contrast([1.0, 1.2, 0.9, 1.1, 1.0], [1.2, 1.3, 1.1, 1.4, 1.25])
    assert one.found
    none = ours.contrast([1.0, 1.2, 0.9, 1.1, 1.0], [1.0, 1.2, 0.9, 1.1, 1.01])
    judged = ours.together([none, one, none, none, none, none])
    assert judged[1].p_adjusted == pytest.approx(6 * one.welch.p)
    assert (one.found, judged[1].found) == (True, False)


def test_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.contrast([1.0, 1.0], [1.0, 2.0])

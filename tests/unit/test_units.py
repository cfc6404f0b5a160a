"""Units: what people read must be right to the last digit that is shown."""

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jupyter_green import units

UJ = 1_000_000

FORMATTERS: dict[str, tuple[Callable[[float], str], dict[str, float]]] = {
    # Formatter, and the size of each unit in the formatter's argument.
    "energy": (
        units.format_energy,
        {
            "µJ": 1,
            "mJ": 1e3,
            "J": 1e6,
            "kJ": 1e9,
            "Wh": 3.6e9,
            "kWh": 3.6e12,
            "MWh": 3.6e15,
            "GWh": 3.6e18,
        },
    ),
    "kwh": (units.format_kwh, {"kWh": 3.6e12}),
    "power": (units.format_power, {"mW": 1e-3, "W": 1, "kW": 1e3}),
    "co2": (units.format_co2, {"µg": 1e-6, "mg": 1e-3, "g": 1, "kg": 1e3, "t": 1e6}),
    "duration": (units.format_duration, {"µs": 1e-6, "ms": 1e-3, "s": 1}),
    "share": (units.format_share, {"%": 0.01}),
}

READABLE = re.compile(r"(?P<bound>[<>])?(?P<number>-?\d+(\.\d*[1-9])?) (?P<unit>\S+)")
CLOCK = re.compile(r"-?(\d+:[0-5]\d:[0-5]\d h|\d+:[0-5]\d min)")

sizes = st.floats(min_value=1e-200, max_value=1e30)
quantities = st.one_of(st.just(0.0), sizes, sizes.map(lambda size: -size))


@given(st.integers(min_value=0, max_value=2**53))
def test_conversions_agree(energy_uj: int) -> None:
    assert math.isclose(units.uj_to_j(energy_uj) * UJ, energy_uj)
    assert math.isclose(units.uj_to_kwh(energy_uj) * 3.6e12, energy_uj)


def test_conversions_known() -> None:
    assert units.uj_to_j(1_500_000) == 1.5
    assert units.uj_to_kwh(3_600_000_000_000) == 1.0
    assert units.UJ_PER_KWH == 3_600_000_000_000


def test_co2_known() -> None:
    # A kilowatt-hour in Germany, in a data centre of average overhead.
    assert units.co2_g(units.UJ_PER_KWH, 344.1, pue=1.54) == pytest.approx(529.914)
    assert units.co2_g(units.UJ_PER_KWH, 344.1) == pytest.approx(344.1)


@given(st.integers(0, 2**53), st.integers(0, 2**53), st.floats(1, 2000), st.floats(1, 3))
def test_co2_is_linear(first: int, second: int, intensity: float, pue: float) -> None:
    apart = units.co2_g(first, intensity, pue) + units.co2_g(second, intensity, pue)
    assert math.isclose(apart, units.co2_g(first + second, intensity, pue), rel_tol=1e-9)


@pytest.mark.parametrize("name", FORMATTERS)
@given(value=quantities)
@example(value=1e-200)
@example(value=-1e-200)
@example(value=99_999.5)
def test_every_text_is_readable_and_true(name: str, value: float) -> None:
    formatter, sizes = FORMATTERS[name]
    text = formatter(value)
    if CLOCK.fullmatch(text):
        return
    match = READABLE.fullmatch(text)
    assert match, text
    shown = float(match["number"]) * sizes[match["unit"]]
    if match["bound"] == "<":
        assert 0 < value < shown
    elif match["bound"] == ">":
        assert shown < value < 0
    else:
        digits = 2 if name == "share" else 3
        tolerance = 0.5001 * 10 ** (1 - digits)
        assert shown == pytest.approx(value, rel=tolerance, abs=0)


@pytest.mark.parametrize("name", ["energy", "power", "co2"])
@given(value=quantities)
def test_sign_does_not_choose_the_unit(name: str, value: float) -> None:
    formatter, _ = FORMATTERS[name]
    text = formatter(abs(value))
    assume(value != 0 and not text.startswith("<"))
    assert formatter(-abs(value)) == f"-{text}"


@given(quantities)
def test_energy_numbers_stay_short(energy_uj: float) -> None:
    number, unit = units.format_energy(energy_uj).split()
    if unit != "GWh" and not number.startswith(("<", ">")):
        assert abs(float(number)) < (360 if unit == "kJ" else 1000)
    if unit not in ("µJ", "Wh") and energy_uj:
        assert abs(float(number)) >= 1
    if unit == "Wh":
        assert abs(float(number)) >= 99.9


@pytest.mark.parametrize(
    ("energy_uj", "text"),
    [
        (0, "0 J"),
        (1, "1 µJ"),
        (999, "999 µJ"),
        (999.6, "1 mJ"),
        (1_000, "1 mJ"),
        (12_400_000, "12.4 J"),
        (-12_400_000, "-12.4 J"),
        (999.4 * UJ, "999 J"),
        (999.9996 * UJ, "1 kJ"),
        (1_330 * UJ, "1.33 kJ"),
        (359_400 * UJ, "359 kJ"),
        (359_600 * UJ, "99.9 Wh"),
        (360_000 * UJ, "100 Wh"),
        # 999.4 Wh: rounding it in joules would give 0.999 kWh.
        (3_597_840 * UJ, "999 Wh"),
        (3_599_999 * UJ, "1 kWh"),
        (2.1 * units.UJ_PER_KWH, "2.1 kWh"),
        (999.9 * units.UJ_PER_KWH, "1 MWh"),
        (5e6 * units.UJ_PER_KWH, "5 GWh"),
        (5e12 * units.UJ_PER_KWH, "5000000 GWh"),
    ],
)
def test_energy_known(energy_uj: float, text: str) -> None:
    assert units.format_energy(energy_uj) == text


@pytest.mark.parametrize(
    ("energy_j", "bound_j", "text"),
    [
        (12.4, 0.3, "12.4 ± 0.3 J"),
        (12.4, 0.34, "12.40 ± 0.34 J"),
        (-12.4, 0.34, "-12.40 ± 0.34 J"),
        (12.4, 2.6, "12.4 ± 2.6 J"),
        (12.4, 5.0, "12.4 ± 5.0 J"),
        (1330.0, 21.0, "1.330 ± 0.021 kJ"),
        (100.0, 10.0, "100 ± 10 J"),
        # The bound is beyond what a value shows, and is not rounded to nothing.
        (12.4, 1e-6, "12.40 ± 0.01 J"),
        (12.4, 0.0, "12.4 ± 0 J"),
        # The bound is the larger one: its unit, or the bound would be 15000000 µJ.
        (1e-6, 15.0, "0 ± 15 J"),
        (-1e-6, 15.0, "0 ± 15 J"),
        (0.0, 0.034, "0 ± 34 mJ"),
        (0.0, 0.0, "0 ± 0 J"),
        (12.4, 0.341, "12.40 ± 0.35 J"),
        # 0.28 * 100 is 28.000000000000004.
        (12.4, 0.28, "12.40 ± 0.28 J"),
        (999.96, 0.3, "1.000 ± 0.001 kJ"),
        (12.4, 999.9, "0 ± 1 kJ"),
        (2.1 * units.J_PER_KWH, 0.4 * units.J_PER_KWH, "2.1 ± 0.4 kWh"),
    ],
)
def test_energy_with_bound_known(energy_j: float, bound_j: float, text: str) -> None:
    assert units.format_energy_with_bound(energy_j * UJ, bound_j * UJ) == text


BOUNDED = re.compile(r"(?P<value>-?\d+(\.\d+)?) ± (?P<bound>\d+(\.\d+)?) (?P<unit>\S+)")


@given(st.integers(-(2**53), 2**53), st.integers(0, 2**53))
def test_energy_with_bound_holds(energy_uj: int, bound_uj: int) -> None:
    text = units.format_energy_with_bound(energy_uj, bound_uj)
    match = BOUNDED.fullmatch(text)
    assert match, text
    size = FORMATTERS["energy"][1][match["unit"]]
    value, bound = float(match["value"]) * size, float(match["bound"]) * size
    assert (bound > 0) == (bound_uj > 0), text
    assert bound >= bound_uj * (1 - 1e-6), text
    # Rounding up adds a step at most: a tenth of the bound, or a thousandth of the value.
    assert bound <= bound_uj + max(bound_uj * 0.1001, abs(energy_uj) * 0.001001), text
    assert abs(value - energy_uj) <= max(0.0527 * bound_uj, 0.0005001 * abs(energy_uj)), text


@given(st.integers(1, 2**53), st.integers(1, 2**53))
def test_value_and_bound_have_the_same_decimals(energy_uj: int, bound_uj: int) -> None:
    match = BOUNDED.fullmatch(units.format_energy_with_bound(energy_uj, bound_uj))
    assert match
    fractions = [match[name].partition(".")[2] for name in ("value", "bound")]
    assert len(fractions[0]) == len(fractions[1])


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"),
        (-0.0, 3, "0"),
        (1234.5678, 3, "1235"),
        (12_345_678, 3, "12345678"),
        (999.6, 3, "1000"),
        (0.0001234, 3, "0.000123"),
        (0.00001234, 3, "0.0000123"),
        (1e-9, 3, "<0.000001"),
        (-1e-9, 3, ">-0.000001"),
        (9.9999e-7, 3, "0.000001"),
        (2.0, 3, "2"),
        (120.0, 2, "120"),
        (math.inf, 3, "inf"),
        (math.nan, 3, "nan"),
    ],
)
def test_number_known(value: float, digits: int, text: str) -> None:
    assert units.format_number(value, digits) == text


@pytest.mark.parametrize(
    ("power_w", "text"),
    [
        (0, "0 W"),
        (0.012, "12 mW"),
        (0.09996, "0.1 W"),
        (3.414, "3.41 W"),
        (62, "62 W"),
        (9_999.4, "9999 W"),
        (9_999.6, "10 kW"),
        (10_240, "10.2 kW"),
        (-62, "-62 W"),
    ],
)
def test_power_known(power_w: float, text: str) -> None:
    assert units.format_power(power_w) == text


@pytest.mark.parametrize(
    ("grams", "text"),
    [
        (0, "0 g"),
        (0.00008, "80 µg"),
        (0.0008, "0.8 mg"),
        (0.09996, "0.1 g"),
        (1.33, "1.33 g"),
        (999.7, "1 kg"),
        (2_400, "2.4 kg"),
        (552_000_000, "552 t"),
    ],
)
def test_co2_text_known(grams: float, text: str) -> None:
    assert units.format_co2(grams) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (350e-6, "350 µs"),
        (0.9999e-3, "1 ms"),
        (0.012, "12 ms"),
        (2.314, "2.31 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00 min"),
        (161, "2:41 min"),
        (3_599.4, "59:59 min"),
        (3_599.6, "1:00:00 h"),
        (3_920, "1:05:20 h"),
        (360_000, "100:00:00 h"),
        (-5, "-5 s"),
        (-161, "-2:41 min"),
        (math.inf, "inf s"),
    ],
)
def test_duration_known(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.71, "71 %"), (0.004, "0.4 %"), (0.0996, "10 %"), (1, "100 %"), (1.5, "150 %")],
)
def test_share_known(share: float, text: str) -> None:
    assert units.format_share(share) == text

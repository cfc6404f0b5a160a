"""Units of energy, power, time and emissions: conversion, and how a person reads them.

Inside the project energy travels as whole microjoules (``uj``), because integers add up
exactly. This module is the only place that turns them into other units or into text.

Text never holds an exponent, and the unit is chosen by the number as it is *shown*: 999.9996 J
rounds to ``1 kJ``, not to ``1000 J``.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from jupyter_green.errors import SettingError

UJ_PER_J = 1_000_000
J_PER_WH = 3_600
J_PER_KWH = 3_600_000
UJ_PER_KWH = J_PER_KWH * UJ_PER_J


class _Unit(NamedTuple):
    symbol: str
    size: float
    """In the base unit of the quantity (J, W, g or s)."""
    below: float
    """Shown numbers stay below this; from here on the next unit reads better."""


_ENERGY = (
    _Unit("µJ", 1e-6, 1000),
    _Unit("mJ", 1e-3, 1000),
    _Unit("J", 1.0, 1000),
    # 360 kJ are 100 Wh: what is that large gets compared with batteries and bills.
    _Unit("kJ", 1e3, 360),
    _Unit("Wh", float(J_PER_WH), 1000),
    _Unit("kWh", float(J_PER_KWH), 1000),
    _Unit("MWh", J_PER_KWH * 1e3, 1000),
    _Unit("GWh", J_PER_KWH * 1e6, math.inf),
)
_IN_WH = tuple(unit for unit in _ENERGY if unit.symbol.endswith("Wh"))
# MJ is a megajoule and mJ a millijoule: of these two the user would not see which was taken.
_SIZES = {
    "j": 1.0,
    "kj": 1e3,
    "wh": float(J_PER_WH),
    "kwh": float(J_PER_KWH),
    "joule": 1.0,
    "joules": 1.0,
}
_POWER = (_Unit("mW", 1e-3, 100), _Unit("W", 1.0, 10_000), _Unit("kW", 1e3, math.inf))
_CO2 = (
    _Unit("µg", 1e-6, 100),
    _Unit("mg", 1e-3, 100),
    _Unit("g", 1.0, 1000),
    _Unit("kg", 1e3, 1000),
    _Unit("t", 1e6, math.inf),
)
_DURATION = (_Unit("µs", 1e-6, 1000), _Unit("ms", 1e-3, 1000), _Unit("s", 1.0, 60))

# Nobody counts more zeros than these after the point.
_SMALLEST_SHOWN = 1e-6


def uj_to_j(energy_uj: float) -> float:
    """Microjoules to joules."""
    return energy_uj / UJ_PER_J


def uj_to_kwh(energy_uj: float) -> float:
    """Microjoules to kilowatt-hours."""
    return energy_uj / UJ_PER_KWH


def co2_g(energy_uj: float, g_per_kwh: float, pue: float = 1.0) -> float:
    """Grams of CO2 equivalent of an energy in microjoules.

    ``gCO2e = kWh x PUE x intensity`` (Green Algorithms, Lannelongue et al. 2021).
    """
    return uj_to_kwh(energy_uj) * pue * g_per_kwh


def format_number(value: float, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, as a person writes it.

    There is never an exponent. The digits before the point are all kept, zeros at the end of
    a fraction are not, and what is nearer to zero than a millionth is given as ``<0.000001``.
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return f"{value:.0f}"
    decimals = _decimals(value, digits)
    if round(abs(value), decimals) < _SMALLEST_SHOWN:
        return "<0.000001" if value > 0 else ">-0.000001"
    return _without_end_zeros(f"{value:.{decimals}f}")


def _decimals(value: float, digits: int) -> int:
    """How many decimals show that many significant digits of a value; never below zero."""
    return max(0, digits - 1 - _magnitude(value, digits))


def _magnitude(value: float, digits: int) -> int:
    """Power of ten of the first digit, once the value is rounded: 2 for 999 and 3 for 999.9."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _without_end_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _best_unit(value: float, units: tuple[_Unit, ...]) -> _Unit | None:
    """The first unit in which the number, as it will be shown, has not grown too long."""
    if not math.isfinite(value):
        return None
    for unit in units:
        scaled = abs(value) / unit.size
        if round(scaled, _decimals(scaled, 3)) < unit.below:
            return unit
    return None


def _format(value: float, units: tuple[_Unit, ...]) -> str:
    unit = _best_unit(value, units) or units[-1]
    return f"{format_number(value / unit.size)} {unit.symbol}"


def format_energy(energy_uj: float) -> str:
    """Microjoules as text from µJ to GWh: ``12.4 J``, ``1.33 kJ``, ``2.1 kWh``."""
    return _format(uj_to_j(energy_uj), _ENERGY) if energy_uj else "0 J"


def format_energy_with_bound(energy_uj: float, bound_uj: float) -> str:
    """``12.4 ± 0.3 J``: value and bound in one unit, with the same number of decimals.

    The bound decides: it shows two significant digits, unless the value then had more than
    four. It is rounded up, or it would not hold. The unit is that of the larger of the two.
    """
    energy_j, bound_j = uj_to_j(energy_uj), abs(uj_to_j(bound_uj))
    unit = _best_unit(max(abs(energy_j), bound_j), _ENERGY) or _ENERGY[-1]
    if energy_j == bound_j == 0:
        return "0 ± 0 J"
    value, bound = energy_j / unit.size, bound_j / unit.size
    if bound == 0:
        return f"{format_number(value, 4)} ± 0 {unit.symbol}"
    decimals = _decimals(bound, 2)
    if value:
        decimals = min(decimals, _decimals(value, 4))
    # A millionth of a step is float noise, and must not add a whole one.
    bound = max(1, math.ceil(bound * 10**decimals - 1e-6)) / 10**decimals
    # Adding zero turns the -0.0 that is left of a small negative value into 0.0.
    texts = [f"{round(number, decimals) + 0.0:.{decimals}f}" for number in (value, bound)]
    while "." in texts[0] and all(text.endswith("0") for text in texts):
        texts = [text[:-1].removesuffix(".") for text in texts]
    return f"{texts[0]} ± {texts[1]} {unit.symbol}"


def format_budget(energy_uj: float) -> str:
    """As people who set limits write it: ``12 J``, ``50 Wh``, ``1.2 kWh``."""
    joules = uj_to_j(energy_uj)
    return _format(joules, _IN_WH if joules >= J_PER_WH else _ENERGY) if energy_uj else "0 J"


def parse_energy(text: str) -> int:
    """``50 Wh``, ``1.5kWh``, ``300 J``: whole microjoules.

    Raises:
        SettingError: it is no energy with its unit.
    """
    match = re.fullmatch(
        r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµ]+)\s*", text, re.IGNORECASE
    )
    size = _SIZES.get(match[2].lower()) if match else None
    if match is None or size is None:
        raise SettingError(
            f"{text.strip()!r:.60} is no energy: give a number and its unit, as 300 J, 50 Wh or "
            "1.5 kWh"
        )
    joules = float(match[1]) * size
    if not joules < 1e9 * J_PER_KWH:
        raise SettingError(f"{text.strip()!r:.60} is more energy than can be counted here")
    return round(joules * UJ_PER_J)


def format_kwh(energy_uj: float) -> str:
    """Microjoules as kilowatt-hours, for totals that are compared with bills: ``0.0134 kWh``."""
    return f"{format_number(uj_to_kwh(energy_uj))} kWh"


def format_power(power_w: float) -> str:
    """Watts as text: ``62 W``, ``3.41 W``, ``12 mW``, ``10.2 kW``."""
    return _format(power_w, _POWER) if power_w else "0 W"


def format_co2(grams: float) -> str:
    """Grams of CO2 equivalent as text: ``80 µg``, ``0.8 mg``, ``1.33 g``, ``2.4 kg``."""
    return _format(grams, _CO2) if grams else "0 g"


def format_duration(seconds: float) -> str:
    """Seconds as text: ``350 µs``, ``12 ms``, ``2.31 s``, ``2:41 min``, ``1:05:20 h``."""
    if seconds == 0 or not math.isfinite(seconds):
        return f"{format_number(seconds)} s"
    if _best_unit(seconds, _DURATION):
        return _format(seconds, _DURATION)
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(round(abs(seconds)), 60)
    if minutes < 60:
        return f"{sign}{minutes}:{rest:02d} min"
    return f"{sign}{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def format_share(share: float) -> str:
    """A share of one as percent: ``71 %``, ``0.4 %``."""
    return f"{format_number(share * 100, 2)} %"

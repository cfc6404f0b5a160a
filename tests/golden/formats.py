"""How a person reads figures, as a table that every language's formatting is held to.

Each row of ``formats.json`` is a function of :mod:`jupyter_green.units`, its arguments, and the
text. What JSON has no number for is written as text: ``inf``, ``-inf`` and ``nan``.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any

from jupyter_green import units
from tests.golden.digest import HERE

PATH = HERE / "formats.json"

_MANTISSAS = (1, 1.5, 2.345, 9.994, 9.995, 9.9951, 9.9996, 3.6)
# Exact in binary, so that the digit that is cut is exactly a half.
_HALVES = (0.5, 1.5, 2.5, 0.125, 0.375, 0.0625, 1.125, 12.25, 12.75, 100.5, 101.5, 1023.5, 0.25)
_EDGES = (999.4, 999.5, 999.9996, 59.94, 59.95, 59.999, 60, 119.5, 120.5, 3599.5, 3600, 86399.6)
_NOT_FINITE = (math.inf, -math.inf, math.nan)
_QUANTITIES = (
    "format_kwh",
    "format_budget",
    "format_power",
    "format_co2",
    "format_duration",
    "format_share",
)


def cases() -> Iterator[list[Any]]:
    """All rows, always the same."""
    chance = random.Random(20)
    for name, arguments in (*_single(chance), *_bounds(chance)):
        told = [str(a) if isinstance(a, float) and not math.isfinite(a) else a for a in arguments]
        yield [name, told, getattr(units, name)(*arguments)]


def _single(chance: random.Random) -> Iterator[tuple[str, list[Any]]]:
    for value in _values(chance):
        yield "format_number", [value, 3]
        yield "format_energy", [value * 1e6]
    for value in _values(chance)[::3]:
        for name in _QUANTITIES:
            yield name, [value]
        for digits in (1, 2, 4):
            yield "format_number", [value, digits]
    for value in _NOT_FINITE:
        for name in ("format_number", "format_energy", *_QUANTITIES):
            yield name, [value]


def _values(chance: random.Random) -> list[float]:
    magnitudes = [m * 10.0**power for m, power in itertools.product(_MANTISSAS, range(-8, 14, 3))]
    sizes = [*magnitudes, *_HALVES, *_EDGES, 1e-300, 4.9e-7, 5e-7, 1e21, 1.2345e22, 8e300]
    sizes += [chance.uniform(0.1, 10) * 10 ** chance.uniform(-7, 15) for _ in range(60)]
    return [0, *sizes, *(-size for size in sizes[::5])]


def _bounds(chance: random.Random) -> Iterator[tuple[str, list[Any]]]:
    energies = (0, 1, 12, 999_960, 12_400_000, 999_999_999, 359_960_000_000, 7 * 10**15)
    bounds = (0, 0.4, 1, 25_000, 99_500, 300_000, 999_500, 62_500_000, 10**12)
    for energy_uj, bound_uj in itertools.product(energies, bounds):
        yield "format_energy_with_bound", [energy_uj, bound_uj]
    for _ in range(150):
        energy_uj = round(10 ** chance.uniform(0, 16))
        bound_uj = energy_uj * 10 ** chance.uniform(-7, 2)
        yield "format_energy_with_bound", [chance.choice([1, 1, 1, -1]) * energy_uj, bound_uj]

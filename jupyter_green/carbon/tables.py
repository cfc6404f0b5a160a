"""Carbon intensity of electricity by country, from the table that travels with the package.

Values are lifecycle, production-based annual averages in grams of CO2 equivalent per kWh; the
table and its source are described in ``jupyter_green/data/README.md``.
"""

from __future__ import annotations

import csv
import unicodedata
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from jupyter_green.errors import UnknownPlace
from jupyter_green.events import Intensity

ATTRIBUTION = (
    "Carbon intensity: Ember (2025); Energy Institute (2024), "
    "with processing by Our World in Data, CC BY 4.0."
)
"""The line that CC BY 4.0 asks for wherever a figure of this table is shown."""

WORLD = "WLD"
WORLD_NAME = "World average"

# What people call a country where the table has another name for it.
_ALIASES = {
    "Burma": "MMR",
    "Cabo Verde": "CPV",
    "Czech Republic": "CZE",
    "Great Britain": "GBR",
    "Holland": "NLD",
    "Ivory Coast": "CIV",
    "Russian Federation": "RUS",
    "Swaziland": "SWZ",
    "Timor-Leste": "TLS",
    "Türkiye": "TUR",
    "UK": "GBR",
    "United States of America": "USA",
    "Viet Nam": "VNM",
    "World": WORLD,
}


class Place(NamedTuple):
    """A country or territory for which an intensity is known."""

    name: str
    iso2: str
    iso3: str


class _Row(NamedTuple):
    place: Place
    intensity: Intensity


def intensity_of(place: str) -> Intensity:
    """Annual average intensity of a country, in gCO2e per kWh on the lifecycle basis.

    Args:
        place: ISO 3166-1 code of two or three letters, or English name; case does not matter.
            ``world`` gives the world average, which is never used unless asked for.

    Raises:
        UnknownPlace: the table has no such country; the message offers similar ones.
    """
    iso3 = _index().get(_folded(place))
    if iso3 is None:
        raise UnknownPlace(_unknown(place))
    return _rows()[iso3].intensity


def places() -> list[Place]:
    """Countries and territories by name, for completion and help. The world is not among them."""
    return sorted(row.place for iso3, row in _rows().items() if iso3 != WORLD)


@cache
def _rows() -> dict[str, _Row]:
    table = files("jupyter_green").joinpath("data", "country_intensity.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return {line["iso3"]: _row(line) for line in csv.DictReader(lines)}


def _row(line: dict[str, str]) -> _Row:
    is_world = line["iso3"] == WORLD
    name = WORLD_NAME if is_world else line["country"]
    # A doubtful figure must not travel without the doubt.
    note = f" ({line['note']})" if line["note"] else ""
    intensity = Intensity(
        g_per_kwh=float(line["gco2e_per_kwh"]),
        place=name,
        year=int(line["year"]),
        basis=line["basis"],
        source=f"{line['source']}{note}",
        # The average of the world stands in for a place that is not known.
        estimated=is_world,
    )
    return _Row(Place(name, line["iso2"], line["iso3"]), intensity)


@cache
def _index() -> dict[str, str]:
    """Every name and code that is understood, folded, with the ISO-3 code it stands for."""
    index = {_folded(alias): iso3 for alias, iso3 in _ALIASES.items()}
    for iso3, row in _rows().items():
        # The world has no code of two letters.
        index |= {_folded(key): iso3 for key in row.place if key}
    return index


def _folded(name: str) -> str:
    """Without case, accents, doubled blanks and a leading article."""
    plain = unicodedata.normalize("NFKD", name)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(letters.casefold().split()).removeprefix("the ")


def _unknown(place: str) -> str:
    similar = _similar(place)
    hint = f"; did you mean {' or '.join(similar)}?" if similar else "."
    return (
        f"no carbon intensity is known for the place {place!r}{hint} Give a country by its "
        "ISO 3166-1 code (FR or FRA) or English name (France), or 'world' for the world average"
    )


def _similar(place: str) -> list[str]:
    """Up to three countries whose code or name resembles what was given."""
    folded = _folded(place)
    # Someone who gives two or three letters means a code, and of just that length.
    is_code = len(folded) <= 3
    known = {
        key: iso3
        for key, iso3 in _index().items()
        if iso3 != WORLD and (len(key) == len(folded) if is_code else len(key) > 3)
    }
    found = dict.fromkeys(known[key] for key in get_close_matches(folded, known))
    return [f"{_rows()[iso3].place.name} ({iso3})" for iso3 in found]

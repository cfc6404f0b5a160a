"""Carbon intensity of electricity by place, from the tables that travel with the package.

Values are annual averages in grams of CO2 equivalent per kWh: of countries on the lifecycle
basis, of states of the USA and of some cloud regions on the direct one. The two must never be
mixed in one total, so each value carries its basis. The tables and their sources are described in
``jupyter_green/data/README.md``.
"""

from __future__ import annotations

import csv
import unicodedata
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from msgspec import structs

from jupyter_green.carbon.intensity import DIRECT, LIFECYCLE
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


class _Entry(NamedTuple):
    """A place, and what is known of it by basis; its own basis comes first."""

    label: str
    """As errors propose it."""
    names: tuple[str, ...]
    """Everything that it answers to, without its aliases."""
    by_basis: dict[str, Intensity]
    country: Place | None = None
    """Of a country: its codes."""


def intensity_of(place: str, basis: str | None = None) -> Intensity:
    """Annual average intensity of a place, in gCO2e per kWh.

    Args:
        place: a country by ISO 3166-1 code of two or three letters or English name, a state of the
            USA (``US-CA``, ``California``) or a cloud region (``aws:eu-west-3``); case does not
            matter. ``world`` gives the world average, which is never used unless asked for.
        basis: lifecycle or direct; None: the one that the place's own figure has, which for
            countries is lifecycle. On the lifecycle basis the country's value stands in for its
            states and cloud regions.

    Raises:
        UnknownPlace: the tables have no such place, or no such basis of it; the message offers
            what they have.
    """
    code = _index().get(_folded(place))
    if code is None:
        raise UnknownPlace(_unknown(place))
    entry = _entries()[code]
    if basis is None:
        return next(iter(entry.by_basis.values()))
    if basis not in entry.by_basis:
        raise UnknownPlace(
            f"no {basis} carbon intensity is known for the place {place!r}, only "
            f"{' and '.join(entry.by_basis)}; a cloud region of Google (gcp:europe-west9) or a "
            "state of the USA (US-CA) has a direct one, and every place a lifecycle one"
        )
    return entry.by_basis[basis]


def places() -> list[Place]:
    """Countries and territories by name, for completion and help. The world is not among them."""
    countries = (entry.country for code, entry in _entries().items() if code != WORLD)
    return sorted(country for country in countries if country is not None)


def country_of(place: str) -> Place | None:
    """The country that a place is, or None of a state, a cloud region and the world.

    Raises:
        UnknownPlace: the tables have no such place.
    """
    code = _index().get(_folded(place))
    if code is None:
        raise UnknownPlace(_unknown(place))
    return None if code == WORLD else _entries()[code].country


# --- the tables ---------------------------------------------------------------------------


@cache
def _entries() -> dict[str, _Entry]:
    """Every place by its code."""
    found = {line["iso3"]: _country(line) for line in _lines("country_intensity.csv")}
    usa = found["USA"].by_basis[LIFECYCLE]
    for line in _lines("us_states.csv"):
        found[f"US-{line['state_code']}"] = _state(line, usa)
    for line in _lines("cloud_regions.csv"):
        country = found[line["country_iso3"]].by_basis[LIFECYCLE]
        found[f"{line['provider']}:{line['region']}"] = _region(line, country)
    return found


def _lines(name: str) -> list[dict[str, str]]:
    table = files("jupyter_green").joinpath("data", name)
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def _country(line: dict[str, str]) -> _Entry:
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
    country = Place(name, line["iso2"], line["iso3"])
    return _Entry(f"{name} ({line['iso3']})", country, {intensity.basis: intensity}, country)


def _state(line: dict[str, str], usa: Intensity) -> _Entry:
    code = f"US-{line['state_code']}"
    label = f"{line['state'].replace(' Of ', ' of ')} ({code})"
    own = _published(label, line)
    return _Entry(label, (code, line["state"], label), _with_country(own, usa))


def _region(line: dict[str, str], country: Intensity) -> _Entry:
    code = f"{line['provider']}:{line['region']}"
    label = f"{line['location']} ({code})"
    own = _published(label, line, line["method"])
    return _Entry(label, (code, label), _with_country(own, country))


def _published(label: str, line: dict[str, str], method: str = "") -> Intensity:
    """What a row says. The basis is one word; its wording goes along with the source."""
    basis = DIRECT if line["basis"].startswith(DIRECT) else LIFECYCLE
    wording = line["basis"] if line["basis"] != basis else ""
    how = "; ".join(filter(None, (method, wording)))
    return Intensity(
        g_per_kwh=float(line["gco2e_per_kwh"]),
        place=label,
        year=int(line["year"]),
        basis=basis,
        source=f"{line['source']} ({how})" if how else line["source"],
    )


def _with_country(own: Intensity, country: Intensity) -> dict[str, Intensity]:
    if own.basis == LIFECYCLE:
        return {LIFECYCLE: own}
    stand_in = structs.replace(
        country, place=own.place, source=f"{country.source} (average of {country.place})"
    )
    return {own.basis: own, LIFECYCLE: stand_in}


# --- names --------------------------------------------------------------------------------


@cache
def _index() -> dict[str, str]:
    """Every name and code that is understood, folded, with the code of the place."""
    index = {_folded(alias): iso3 for alias, iso3 in _ALIASES.items()}
    for code, entry in _entries().items():
        # The world has no code of two letters. Georgia is a country before it is a state.
        for name in filter(None, entry.names):
            index.setdefault(_folded(name), code)
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
        "ISO 3166-1 code (FR or FRA) or English name (France), a state of the USA (US-CA), a "
        "cloud region (aws:eu-west-3), or 'world' for the world average"
    )


def _similar(place: str) -> list[str]:
    """Up to three places whose code or name resembles what was given."""
    folded = _folded(place)
    # Someone who gives two or three letters means a code, and of just that length.
    is_code = len(folded) <= 3
    known = {
        key: code
        for key, code in _index().items()
        if code != WORLD and (len(key) == len(folded) if is_code else len(key) > 3)
    }
    found = dict.fromkeys(known[key] for key in get_close_matches(folded, known))
    return [_entries()[code].label for code in found]

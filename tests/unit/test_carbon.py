"""Carbon intensity by country: the table as it ships, and what is said about a place."""

import csv
import re
from pathlib import Path

import pytest

import jupyter_green
from jupyter_green.carbon import tables
from jupyter_green.carbon.tables import intensity_of, places
from jupyter_green.errors import SettingError, UnknownPlace

DATA = Path(jupyter_green.__file__).parent / "data"


@pytest.mark.parametrize(
    ("place", "g_per_kwh"),
    [
        ("FRA", 44.2),
        ("DEU", 344.1),
        ("USA", 383.5),
        ("SWE", 35.8),
        ("IND", 708.3),
        ("CHN", 559.6),
        ("POL", 615.0),
        ("GBR", 210.9),
    ],
)
def test_published_values(place: str, g_per_kwh: float) -> None:
    assert intensity_of(place).g_per_kwh == pytest.approx(g_per_kwh, abs=0.051)


@pytest.mark.parametrize(
    "place", ["FR", "fr", "FRA", "Fra", "France", "FRANCE", "  france ", "france\n"]
)
def test_forms_of_a_place(place: str) -> None:
    assert intensity_of(place) == intensity_of("FRA")


@pytest.mark.parametrize(
    ("place", "iso3"),
    [
        ("UK", "GBR"),
        ("the Netherlands", "NLD"),
        ("Côte d'Ivoire", "CIV"),
        ("Réunion", "REU"),
        ("Türkiye", "TUR"),
        ("United  States of America", "USA"),
    ],
)
def test_other_names(place: str, iso3: str) -> None:
    assert intensity_of(place) == intensity_of(iso3)


def test_provenance() -> None:
    france = intensity_of("fr")
    assert (france.place, france.year, france.basis) == ("France", 2024, "lifecycle")
    assert france.source == "Ember Yearly Electricity Data via Our World in Data"
    assert not france.estimated


def test_every_place_resolves_to_itself() -> None:
    assert len(places()) == 211
    for place in places():
        found = [intensity_of(name) for name in place]
        assert [one.place for one in found] == [place.name] * 3
        assert found[0] == found[1] == found[2]


def test_what_an_intensity_names_can_be_asked_again() -> None:
    # A journal holds the name; a report is recomputed from it.
    for place in [*(place.name for place in places()), "world"]:
        assert intensity_of(intensity_of(place).place) == intensity_of(place)


def test_one_basis_only() -> None:
    found = [intensity_of(place.iso3) for place in places()]
    assert {one.basis for one in found} == {"lifecycle"}
    assert all(one.source and one.year and 2022 <= one.year <= 2024 for one in found)
    assert all(0 <= one.g_per_kwh < 1500 for one in found)


def test_the_shipped_table_keeps_its_provenance() -> None:
    with (DATA / "country_intensity.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 212
    needed = ("iso3", "country", "year", "basis", "method", "source", "licence")
    assert all(line[column] for line in lines for column in needed)


def test_a_doubtful_value_keeps_its_note() -> None:
    zero = intensity_of("Central African Republic")
    assert zero.g_per_kwh == 0
    assert "suspect" in zero.source


def test_places_are_sorted_for_people() -> None:
    names = [place.name for place in places()]
    assert names == sorted(names)
    assert ("France", "FR", "FRA") in places()


@pytest.mark.parametrize("name", ["WLD", "world", "World"])
def test_world_is_labelled(name: str) -> None:
    world = intensity_of(name)
    assert (world.place, world.g_per_kwh, world.year) == ("World average", 480.85, 2023)
    assert world.estimated


def test_world_is_never_proposed() -> None:
    assert "WLD" not in {place.iso3 for place in places()}
    with pytest.raises(UnknownPlace) as caught:
        intensity_of("Worlt")
    assert "did you mean" not in str(caught.value) or "WLD" not in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "Quebec", "Atlantis", "XX", "ZZZ", "FR-IDF", "the "])
def test_unknown_place(name: str) -> None:
    with pytest.raises(UnknownPlace) as caught:
        intensity_of(name)
    message = str(caught.value)
    assert repr(name) in message
    assert "ISO 3166-1" in message
    assert "France" in message
    assert isinstance(caught.value, SettingError)


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("Frnace", "France (FRA)"),
        ("Germny", "Germany (DEU)"),
        ("FRX", "(FRA)"),
        ("Korea", "South Korea (KOR)"),
    ],
)
def test_close_matches(name: str, proposed: str) -> None:
    with pytest.raises(UnknownPlace, match=f"did you mean .*{re.escape(proposed)}"):
        intensity_of(name)


def test_attribution() -> None:
    assert tables.ATTRIBUTION == (
        "Carbon intensity: Ember (2025); Energy Institute (2024), with processing by "
        "Our World in Data, CC BY 4.0."
    )


def test_the_data_readme_describes_every_file() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert tables.ATTRIBUTION in readme
    others = [path.name for path in DATA.iterdir() if path.suffix in (".csv", ".json")]
    assert "country_intensity.csv" in others
    assert [name for name in others if f"`{name}`" not in readme] == []

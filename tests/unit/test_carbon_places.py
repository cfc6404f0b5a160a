"""States of the USA and cloud regions, and what is known of one place on which basis."""

import csv
import re
from pathlib import Path

import pytest

import jupyter_green
from jupyter_green.carbon.tables import country_of, intensity_of, places
from jupyter_green.errors import UnknownPlace
from jupyter_green.report import text
from tests.simulators.story import training

DATA = Path(jupyter_green.__file__).parent / "data"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("place", "g_per_kwh", "year", "basis"),
    [
        # Paris and London, by country and by region.
        ("FR", 44.18, 2024, "lifecycle"),
        ("aws:eu-west-3", 44.18, 2024, "lifecycle"),
        ("azure:francecentral", 44.18, 2024, "lifecycle"),
        ("gcp:europe-west9", 16.3, 2024, "direct"),
        ("GB", 210.89, 2024, "lifecycle"),
        ("aws:eu-west-2", 210.89, 2024, "lifecycle"),
        ("azure:uksouth", 210.89, 2024, "lifecycle"),
        ("gcp:europe-west2", 105.94, 2024, "direct"),
        ("US-CA", 179.06, 2023, "direct"),
        ("US-TX", 349.8, 2023, "direct"),
    ],
)
def test_published_values(place: str, g_per_kwh: float, year: int, basis: str) -> None:
    found = intensity_of(place)
    assert found.g_per_kwh == pytest.approx(g_per_kwh, abs=0.006)
    assert (found.year, found.basis) == (year, basis)
    assert not found.estimated


@pytest.mark.parametrize(
    "place", ["US-CA", "us-ca", "California", "california", " US-CA ", "California (US-CA)"]
)
def test_forms_of_a_state(place: str) -> None:
    assert intensity_of(place).place == "California (US-CA)"


@pytest.mark.parametrize("place", ["aws:eu-west-3", "AWS:EU-WEST-3", "Paris (aws:eu-west-3)"])
def test_forms_of_a_region(place: str) -> None:
    assert intensity_of(place).place == "Paris (aws:eu-west-3)"


def test_every_row_is_found_as_it_is_published() -> None:
    states = {f"US-{row['state_code']}": row for row in rows("us_states.csv")}
    regions = {f"{row['provider']}:{row['region']}": row for row in rows("cloud_regions.csv")}
    assert (len(states), len(regions)) == (51, 143)
    for code, row in (states | regions).items():
        found = intensity_of(code)
        assert found.g_per_kwh == float(row["gco2e_per_kwh"])
        assert found.year == int(row["year"])
        assert row["basis"].startswith(found.basis)
        assert row["source"] in found.source
        # A journal holds the name and the basis; a report is recomputed from them.
        assert intensity_of(found.place) == found
        assert intensity_of(found.place, found.basis) == found


def test_countries_come_first() -> None:
    assert intensity_of("Georgia").place == "Georgia"
    assert intensity_of("Georgia").basis == "lifecycle"
    assert intensity_of("US-GA").place == "Georgia (US-GA)"
    assert intensity_of("DE").place == "Germany"
    assert len(places()) == 211


@pytest.mark.parametrize(
    ("place", "country"), [("US-CA", "USA"), ("gcp:europe-west9", "FRA"), ("aws:eu-west-2", "GBR")]
)
def test_the_country_stands_in_on_the_lifecycle_basis(place: str, country: str) -> None:
    found, average = intensity_of(place, "lifecycle"), intensity_of(country)
    assert (found.basis, found.year) == ("lifecycle", average.year)
    assert found.g_per_kwh == pytest.approx(average.g_per_kwh, abs=0.006)
    assert found.place == intensity_of(place).place


def test_a_stand_in_says_so() -> None:
    source = intensity_of("gcp:europe-west9", "lifecycle").source
    assert "average of France" in source
    assert "Our World in Data" in source  # its licence asks for the attribution


def test_every_place_has_a_lifecycle_value() -> None:
    codes = [f"{row['provider']}:{row['region']}" for row in rows("cloud_regions.csv")]
    assert {intensity_of(code, "lifecycle").basis for code in codes} == {"lifecycle"}


@pytest.mark.parametrize("place", ["FR", "aws:eu-west-3", "world"])
def test_a_basis_that_is_not_known_is_no_value(place: str) -> None:
    with pytest.raises(UnknownPlace, match=f"no direct .*{re.escape(place)}.*only lifecycle"):
        intensity_of(place, "direct")


def test_a_basis_that_does_not_exist() -> None:
    with pytest.raises(UnknownPlace, match="marginal"):
        intensity_of("US-CA", "marginal")


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("Californa", "California (US-CA)"),
        ("US-CAA", "(US-CA)"),
        ("eu-west-3", "(aws:eu-west-3)"),
        ("aws:eu-west3", "(aws:eu-west-3)"),
        ("gcp:europe-west99", "(gcp:europe-west9)"),
    ],
)
def test_close_matches(name: str, proposed: str) -> None:
    with pytest.raises(UnknownPlace, match=f"did you mean .*{re.escape(proposed)}"):
        intensity_of(name)


def test_the_message_names_all_forms() -> None:
    with pytest.raises(UnknownPlace, match=r"France.*US-CA.*aws:eu-west-3.*world"):
        intensity_of("Atlantis")


def test_country_of() -> None:
    france = country_of("france")
    assert france is not None
    assert france.iso2 == "FR"
    assert country_of("US-CA") is None
    assert country_of("gcp:europe-west9") is None
    assert country_of("world") is None
    with pytest.raises(UnknownPlace):
        country_of("Atlantis")


# --- what a report says of Paris and London -----------------------------------------------


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("FR", ("France 2024, 44.2 g/kWh", "lifecycle")),
        ("aws:eu-west-3", ("Paris (aws:eu-west-3) 2024, 44.2 g/kWh", "lifecycle")),
        ("gcp:europe-west9", ("Paris (gcp:europe-west9) 2024, 16.3 g/kWh", "direct")),
        ("GB", ("United Kingdom 2024, 211 g/kWh", "lifecycle")),
        ("azure:uksouth", ("London (azure:uksouth) 2024, 211 g/kWh", "lifecycle")),
        ("gcp:europe-west2", ("London (gcp:europe-west2) 2024, 106 g/kWh", "direct")),
    ],
)
def test_basis_and_year_are_printed(place: str, said: tuple[str, str]) -> None:
    report = text.render(training().with_intensity(intensity_of(place)))
    (line,) = [line for line in report.splitlines() if line.strip().startswith("CO2")]
    assert all(words in line for words in said), line

"""Which intensity the settings ask for, whom they ask live, and what the machine says itself."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from jupyter_green.carbon import cloud
from jupyter_green.carbon.choice import TOKEN_VARIABLE, provider, starting_intensity
from jupyter_green.carbon.electricity_maps import ElectricityMaps
from jupyter_green.carbon.tables import intensity_of
from jupyter_green.carbon.uk import UkCarbonIntensity
from jupyter_green.errors import IntensityUnavailable, UnknownPlace
from jupyter_green.settings import Settings

TOKEN = "s3cret"
WITH_TOKEN = {TOKEN_VARIABLE: TOKEN}
NOTHING: dict[str, str] = {}


def settings(**fields: object) -> Settings:
    return Settings(**{"data_dir": "/nowhere", "instance_data": "", **fields})  # type: ignore[arg-type]


def instance(path: Path, cloud_name: object = "gce", region: object = "europe-west9") -> str:
    file = path / "instance-data.json"
    file.write_text(json.dumps({"v1": {"cloud_name": cloud_name, "region": region}}))
    return str(file)


# --- from the start -----------------------------------------------------------------------


def test_nothing_is_set() -> None:
    assert starting_intensity(settings(), NOTHING) is None


def test_a_place_is_set() -> None:
    assert starting_intensity(settings(place="US-CA"), NOTHING) == intensity_of("US-CA")


def test_an_unknown_place() -> None:
    with pytest.raises(UnknownPlace):
        starting_intensity(settings(place="Atlantis"), NOTHING)


def test_the_cloud_region_comes_after_what_is_set(tmp_path: Path) -> None:
    file = instance(tmp_path)
    told = starting_intensity(settings(instance_data=file), NOTHING)
    assert told is not None
    # Nobody chose the place, so it counts on the common basis.
    assert (told.place, told.basis) == ("Paris (gcp:europe-west9)", "lifecycle")
    assert told.g_per_kwh == intensity_of("FR").g_per_kwh
    assert "this machine says" in told.source
    chosen = starting_intensity(settings(instance_data=file, place="DE"), NOTHING)
    assert chosen == intensity_of("DE")


def test_a_region_that_the_table_does_not_know(tmp_path: Path) -> None:
    file = instance(tmp_path, region="mars-west1")
    assert starting_intensity(settings(instance_data=file), NOTHING) is None


@pytest.mark.parametrize(
    ("fields", "place", "basis"),
    [
        ({"intensity_provider": "electricity_maps", "zone": "FR"}, "France", "lifecycle"),
        ({"intensity_provider": "electricity_maps", "place": "fra"}, "France", "lifecycle"),
        (
            {"intensity_provider": "electricity_maps", "zone": "US-CAL-CISO", "place": "US-CA"},
            "United States",
            "lifecycle",
        ),
        ({"intensity_provider": "uk"}, "London (gcp:europe-west2)", "direct"),
        ({"intensity_provider": "uk", "place": "GB"}, "London (gcp:europe-west2)", "direct"),
    ],
)
def test_what_stands_in_has_the_providers_basis(
    fields: Mapping[str, str], place: str, basis: str
) -> None:
    found = starting_intensity(settings(**fields), NOTHING)
    assert found is not None
    assert (found.place, found.basis) == (place, basis)
    assert basis == provider(settings(**fields), WITH_TOKEN).basis


@pytest.mark.parametrize("zone", [None, "XX", "ZZ-9"])
def test_nothing_stands_in_for_an_unknown_zone(zone: str | None) -> None:
    chosen = settings(intensity_provider="electricity_maps", zone=zone)
    assert starting_intensity(chosen, NOTHING) is None


# --- live ---------------------------------------------------------------------------------


def test_electricity_maps() -> None:
    chosen = settings(intensity_provider="electricity_maps", zone="DK-DK1")
    assert repr(provider(chosen, WITH_TOKEN)) == "<Electricity Maps, zone DK-DK1>"
    assert isinstance(provider(chosen, WITH_TOKEN), ElectricityMaps)


def test_the_zone_of_a_country() -> None:
    chosen = settings(intensity_provider="electricity_maps", place="France")
    assert "zone FR" in repr(provider(chosen, WITH_TOKEN))


@pytest.mark.parametrize("place", [None, "US-CA", "gcp:europe-west9", "Atlantis", "world"])
def test_no_zone(place: str | None) -> None:
    chosen = settings(intensity_provider="electricity_maps", place=place)
    with pytest.raises(IntensityUnavailable, match="set zone") as caught:
        provider(chosen, WITH_TOKEN)
    assert caught.value.refused


def test_uk() -> None:
    found = provider(settings(intensity_provider="uk"), NOTHING)
    assert isinstance(found, UkCarbonIntensity)
    assert "Great Britain" in repr(found)


def test_only_the_first_half_of_a_postcode_is_sent() -> None:
    assert repr(provider(settings(intensity_provider="uk", zone="SW1A 1AA"), NOTHING)).endswith(
        "SW1A>"
    )


# --- the token ----------------------------------------------------------------------------


def em(path: str = "") -> Settings:
    return settings(intensity_provider="electricity_maps", zone="FR", intensity_token_file=path)


def test_no_token() -> None:
    with pytest.raises(IntensityUnavailable, match=TOKEN_VARIABLE) as caught:
        provider(em(), NOTHING)
    assert caught.value.refused


def test_a_token_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    found = provider(em(str(file)), NOTHING)
    assert TOKEN not in repr(found)
    assert found._fetcher._headers["auth-token"] == TOKEN  # type: ignore[attr-defined]


def test_the_environment_comes_first(tmp_path: Path) -> None:
    found = provider(em(str(tmp_path / "missing")), WITH_TOKEN)
    assert found._fetcher._headers["auth-token"] == TOKEN  # type: ignore[attr-defined]


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(IntensityUnavailable, match="intensity_token_file"):
        provider(em(str(tmp_path / "missing")), NOTHING)


@pytest.mark.parametrize(
    "token", ["two words", "line\nbreak", "caf\u00e9", "x" * 600, "nul\0", "\x1b[31m"]
)
def test_what_cannot_be_a_token_is_not_shown(token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    for chosen, environ in ((em(), {TOKEN_VARIABLE: token}), (em(str(file)), NOTHING)):
        with pytest.raises(IntensityUnavailable) as caught:
            provider(chosen, environ)
        assert token not in str(caught.value)
        assert "one word" in str(caught.value)


def test_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    with pytest.raises(IntensityUnavailable):
        provider(em(str(file)), NOTHING)


# --- the cloud ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "region", "told"),
    [
        ("aws", "eu-west-3", "aws:eu-west-3"),
        ("azure", "francecentral", "azure:francecentral"),
        ("gce", "europe-west9", "gcp:europe-west9"),
        ("openstack", "paris", None),
        ("aws", None, None),
        ("aws", "", None),
        (["aws"], "eu-west-3", None),
        (None, None, None),
    ],
)
def test_cloud_init(tmp_path: Path, name: object, region: object, told: str | None) -> None:
    assert cloud.region(instance(tmp_path, name, region), NOTHING) == told


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"v1": 3}', "[" * 50_000, "\udcff"])
def test_a_damaged_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "instance-data.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert cloud.region(str(file), NOTHING) is None


def test_services_of_aws() -> None:
    environ = {"AWS_REGION": "eu-west-3", "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
    assert cloud.region("/nowhere", environ) == "aws:eu-west-3"


def test_a_laptop_that_works_with_aws() -> None:
    environ = {"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "eu-west-3"}
    assert cloud.region("/nowhere", environ) is None


def test_not_wanted(tmp_path: Path) -> None:
    environ = {"AWS_REGION": "eu-west-3", "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
    assert cloud.region("", environ) is None

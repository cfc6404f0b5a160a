"""What may be configured about carbon intensities, also by an administrator for all users."""

import json
from pathlib import Path

import pytest
from traitlets import TraitError

from jupyter_green.configurable import JupyterGreen, load_settings
from jupyter_green.settings import Settings

PASSWORD = "hunter2"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The administrator's directory; the user's own is empty."""
    for variable in ("JUPYTER_NO_CONFIG", "JUPYTER_CONFIG_PATH", "JUPYTER_PREFER_ENV_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "user"))
    monkeypatch.setattr("jupyter_core.paths.ENV_CONFIG_PATH", [])
    monkeypatch.setattr("jupyter_core.paths.SYSTEM_CONFIG_PATH", [str(tmp_path / "system")])
    return tmp_path / "system"


def write(directory: Path, **values: object) -> None:
    directory.mkdir()
    text = json.dumps({"JupyterGreen": values})
    (directory / "jupyter_green_config.json").write_text(text, encoding="utf-8")


def test_place_and_pue_for_the_whole_system(system: Path) -> None:
    write(system, place="gcp:europe-west9", pue=1.1)
    loaded = load_settings()
    assert (loaded.settings.place, loaded.settings.pue) == ("gcp:europe-west9", 1.1)
    assert loaded.problems == ()


def test_the_user_has_the_last_word(system: Path) -> None:
    write(system, place="gcp:europe-west9", pue=1.1)
    write(system.parent / "user", place="FR")
    settings = load_settings().settings
    assert (settings.place, settings.pue) == ("FR", 1.1)


def test_a_provider_for_the_whole_system(system: Path) -> None:
    write(
        system,
        intensity_provider="electricity_maps",
        zone="dk-dk1",
        intensity_url="https://carbon.example.org/maps/",
        intensity_token_file="/etc/jupyter/maps.token",
        intensity_interval_s=3600,
    )
    loaded = load_settings()
    assert loaded.problems == ()
    settings = loaded.settings
    assert settings.intensity_provider == "electricity_maps"
    assert settings.zone == "DK-DK1"
    assert settings.intensity_url == "https://carbon.example.org/maps/"
    assert settings.intensity_token_file == "/etc/jupyter/maps.token"
    assert settings.intensity_interval_s == 3600


def test_nobody_is_asked_unless_it_is_configured() -> None:
    assert Settings(data_dir="").intensity_provider == ""
    assert JupyterGreen().intensity_provider == ""


def test_no_setting_holds_a_token() -> None:
    assert not [name for name in Settings.__struct_fields__ if name.endswith("token")]


@pytest.mark.parametrize("name", ["electricitymaps", "watttime", "table"])
def test_unknown_provider(name: str) -> None:
    with pytest.raises(TraitError, match=f"electricity_maps or uk, not '{name}'"):
        JupyterGreen(intensity_provider=name)


@pytest.mark.parametrize("zone", ["FR/../x", "FR&token=1", "-", "é", "x" * 30, "FR\n\nX: y"])
def test_no_zone(zone: str) -> None:
    with pytest.raises(TraitError, match="zone must be"):
        JupyterGreen(zone=zone)


@pytest.mark.parametrize(("zone", "kept"), [(" fr ", "FR"), ("", None), (None, None)])
def test_zone(zone: str | None, kept: str | None) -> None:
    assert JupyterGreen(zone=zone).zone == kept


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org",
        "https://api.example.org:8443/v/",
        "http://127.0.0.1:8000",
        "http://localhost:8000/x",
        "http://[::1]:8000",
        "",
    ],
)
def test_addresses(url: str) -> None:
    assert JupyterGreen(intensity_url=url).intensity_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.org",
        "http://127.0.0.1.example.org",
        "ftp://api.example.org",
        "file:///etc/passwd",
        "api.example.org",
        "https://",
        "https://x:0/",
        "https://x:99999/",
        "https://[x/",
        f"https://me:{PASSWORD}@api.example.org",
        f"https://api.example.org/?key={PASSWORD}",
        f"https://api.example.org/#{PASSWORD}",
        "https://api.example.org/a b",
        "https://api.example.org/\r\nX: y",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(TraitError, match="intensity_url must be") as caught:
        JupyterGreen(intensity_url=url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("path", ["token", "./token"])
def test_the_tokens_file_is_absolute(path: str) -> None:
    with pytest.raises(TraitError, match="intensity_token_file must be an absolute path"):
        JupyterGreen(intensity_token_file=path)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e6, float("nan")])
def test_no_interval(seconds: float) -> None:
    with pytest.raises(TraitError, match="intensity_interval_s must be"):
        JupyterGreen(intensity_interval_s=seconds)

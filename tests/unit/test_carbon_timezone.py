"""A guess from the time zone."""

from pathlib import Path

import pytest

from jupyter_green.carbon.timezone import guess

TABLE = """\
# tzdb timezone descriptions
#XX\t+0000+00000\tComment/Zone
DE\t+5230+01322\tEurope/Berlin\tmost of Germany
FR\t+4852+00220\tEurope/Paris
GB\t+513030-0000731\tEurope/London
AQ\t-7750+16636\tAntarctica/McMurdo\tNew Zealand time
short
"""


@pytest.fixture
def zoneinfo(tmp_path: Path) -> Path:
    (tmp_path / "zone.tab").write_text(TABLE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("zone", "code"),
    [
        ("Europe/Paris", "FR"),
        (":Europe/London", "GB"),
        ("Europe/Berlin", "DE"),
        ("UTC", None),
        ("Etc/UTC", None),
        ("Antarctica/McMurdo", None),
        ("Comment/Zone", None),
        ("CET-1CEST", None),
        ("../../etc/passwd", None),
    ],
)
def test_zones(zone: str, code: str | None, zoneinfo: Path, tmp_path: Path) -> None:
    found = guess({"TZ": zone}, tmp_path / "missing", zoneinfo)
    assert (found and found.country.iso2) == code


def test_the_systems_zone(zoneinfo: Path, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Paris")
    found = guess({}, link, zoneinfo)
    assert found is not None
    assert found.zone == "Europe/Paris"
    assert found.hint("%green place") == (
        "A guess from the time zone Europe/Paris, used for nothing: France (%green place FR)."
    )


def test_nothing_tells(zoneinfo: Path, tmp_path: Path) -> None:
    assert guess({}, tmp_path / "missing", zoneinfo) is None
    assert guess({"TZ": "Europe/Paris"}, tmp_path / "missing", tmp_path / "missing") is None

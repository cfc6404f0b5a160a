"""The country that this machine's time zone suggests: a guess, shown as one, used for no figure.

A laptop travels, a container has UTC, and a server may keep the time of its headquarters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jupyter_green.carbon.tables import Place, country_of
from jupyter_green.errors import UnknownPlace

ZONEINFO = Path("/usr/share/zoneinfo")
LOCALTIME = Path("/etc/localtime")


class Guess(NamedTuple):
    """What the time zone suggests."""

    zone: str
    country: Place

    def hint(self, command: str) -> str:
        """The guess as an offer; ``command`` sets a place."""
        code = self.country.iso2 or self.country.iso3
        return (
            f"A guess from the time zone {self.zone}, used for nothing: {self.country.name} "
            f"({command} {code})."
        )


def guess(
    environ: Mapping[str, str] = os.environ,
    localtime: Path = LOCALTIME,
    zoneinfo: Path = ZONEINFO,
) -> Guess | None:
    """The country of the time zone; None where there is none (UTC) or no table tells it."""
    zone = environ.get("TZ", "").removeprefix(":") or _linked(localtime)
    code = _country_code(zone, zoneinfo / "zone.tab") if zone else None
    try:
        country = country_of(code) if code else None
    except UnknownPlace:
        return None
    return Guess(zone, country) if country is not None else None


def _linked(localtime: Path) -> str:
    """``Europe/Paris`` of ``/etc/localtime -> /usr/share/zoneinfo/Europe/Paris``."""
    try:
        return os.readlink(localtime).partition("zoneinfo/")[2]
    except OSError:
        return ""


def _country_code(zone: str, table: Path) -> str | None:
    """From tzdata's table: country code, coordinates and zone, with tabs between them."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        columns = line.split("\t")
        if len(columns) > 2 and columns[2] == zone and not line.startswith("#"):
            return columns[0]
    return None

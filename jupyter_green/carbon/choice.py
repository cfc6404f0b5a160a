"""Which carbon intensity the settings ask for: of the tables, and of whom live.

The place is, in this order: what the user or the administrator has set; the cloud region that the
machine names; else unset. Nothing here uses the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from jupyter_green.carbon import cloud
from jupyter_green.carbon.intensity import DIRECT, LIFECYCLE, Provider
from jupyter_green.carbon.tables import country_of, intensity_of
from jupyter_green.errors import IntensityUnavailable, UnknownPlace
from jupyter_green.events import Intensity
from jupyter_green.settings import Settings

TOKEN_VARIABLE = "ELECTRICITY_MAPS_TOKEN"
LONGEST_TOKEN = 512

_GB_DIRECT = "gcp:europe-west2"
"""London's grid is that of Great Britain, and its value in the table is direct, as the live ones
are: the lifecycle average of the country must not stand beside them."""


def starting_intensity(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> Intensity | None:
    """The table's value that is in force from the start; None: no place is set.

    Where a provider is configured, it is on that provider's basis, and in force until the first
    live value and whenever there is none.

    Raises:
        UnknownPlace: of the place that is set, the tables know nothing.
    """
    if settings.intensity_provider:
        return _stand_in(settings)
    if settings.place is not None:
        return intensity_of(settings.place)
    return _of_cloud(cloud.region(settings.instance_data, environ))


def provider(settings: Settings, environ: Mapping[str, str] = os.environ) -> Provider:
    """The live provider that is configured.

    Raises:
        IntensityUnavailable: something that it needs is not configured.
    """
    if settings.intensity_provider == "uk":
        from jupyter_green.carbon.uk import UkCarbonIntensity  # noqa: PLC0415  (on use)

        # Its second half would tell the very street.
        postcode = (settings.zone or "").partition(" ")[0]
        return UkCarbonIntensity(postcode, settings.intensity_url)
    from jupyter_green.carbon.electricity_maps import ElectricityMaps  # noqa: PLC0415

    zone = _zone(settings)
    if zone is None:
        raise IntensityUnavailable(
            "Electricity Maps cannot be asked without a zone: set zone (FR, US-CAL-CISO), or place "
            "to a country",
            refused=True,
        )
    return ElectricityMaps(zone, _token(settings, environ), settings.intensity_url)


def _of_cloud(region: str | None) -> Intensity | None:
    """Nobody has chosen this place, so it counts on the basis that all places have."""
    if region is None:
        return None
    try:
        intensity = intensity_of(region, LIFECYCLE)
    except UnknownPlace:
        return None  # a region that is newer than the table
    told = f"{intensity.source}; the region is what this machine says of itself"
    return structs.replace(intensity, source=told)


def _stand_in(settings: Settings) -> Intensity | None:
    if settings.intensity_provider == "uk":
        return intensity_of(_GB_DIRECT, DIRECT)
    zone = _zone(settings)
    try:
        # Zones are named after ISO 3166-1: US-CAL-CISO, DK-DK1.
        return intensity_of(zone.partition("-")[0], LIFECYCLE) if zone else None
    except UnknownPlace:
        return None


def _zone(settings: Settings) -> str | None:
    """The zone of Electricity Maps."""
    if settings.zone is not None or settings.place is None:
        return settings.zone
    try:
        country = country_of(settings.place)
    except UnknownPlace:
        return None
    return country.iso2 if country is not None else None


def _token(settings: Settings, environ: Mapping[str, str]) -> str:
    token = environ.get(TOKEN_VARIABLE, "").strip() or _token_of(settings.intensity_token_file)
    # The HTTP library shows a header that it refuses, so it must not get one.
    if not re.fullmatch(rf"[!-~]{{1,{LONGEST_TOKEN}}}", token):
        raise IntensityUnavailable(
            f"the token in {TOKEN_VARIABLE} or intensity_token_file is none: it must be one word "
            f"of at most {LONGEST_TOKEN} letters, digits and signs",
            refused=True,
        )
    return token


def _token_of(path: str) -> str:
    if not path:
        raise IntensityUnavailable(
            f"Electricity Maps needs a token: put it into the environment variable "
            f"{TOKEN_VARIABLE}, or name a file that holds it in intensity_token_file",
            refused=True,
        )
    try:
        with Path(path).open("rb") as file:
            return file.read(LONGEST_TOKEN * 2).decode("ascii", "replace").strip()
    except OSError as error:
        raise IntensityUnavailable(
            f"the token cannot be read from intensity_token_file: {error.strerror}", refused=True
        ) from None

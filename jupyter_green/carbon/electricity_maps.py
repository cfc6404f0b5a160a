"""Electricity Maps, API version 3: the whole world by zones; needs a token.

https://app.electricitymaps.com/developer-hub/api
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from jupyter_green.carbon.intensity import LIFECYCLE, Published
from jupyter_green.carbon.transport import Fetcher
from jupyter_green.events import Intensity

URL = "https://api.electricitymaps.com"


class _Answer(Struct):
    """What is used of the published shape."""

    zone: Annotated[str, Meta(max_length=40)]
    carbonIntensity: Annotated[float, Meta(ge=0, le=5000)]
    datetime: datetime
    emissionFactorType: str = LIFECYCLE
    isEstimated: bool = False
    estimationMethod: Annotated[str, Meta(max_length=80)] | None = None


class ElectricityMaps:
    """The present average intensity of one zone (``FR``, ``US-CAL-CISO``), hour by hour."""

    name = "Electricity Maps"
    basis = LIFECYCLE

    def __init__(self, zone: str, token: str, base_url: str = "") -> None:
        self._zone = zone
        headers = {"auth-token": token}
        self._fetcher = Fetcher(self.name, base_url or URL, headers, secret=token)

    def __repr__(self) -> str:
        return f"<{self.name}, zone {self._zone}>"

    def latest(self) -> Published:
        """See :class:`~jupyter_green.carbon.intensity.Provider`."""
        query = urlencode({"zone": self._zone, "emissionFactorType": self.basis})
        said = self._fetcher.get(f"/v3/carbon-intensity/latest?{query}")
        try:
            answer = msgspec.convert(said, _Answer)
        except msgspec.ValidationError as error:
            raise self._fetcher.unavailable(f"answered in another shape ({error})") from None
        if answer.emissionFactorType != self.basis:
            raise self._fetcher.unavailable(
                f"answered on the basis {answer.emissionFactorType!r}, not {self.basis!r}"
            )
        if answer.zone != self._zone:
            raise self._fetcher.unavailable(f"answered for {answer.zone!r}, not {self._zone!r}")
        # A time without its zone is meant as UTC.
        aware = answer.datetime.tzinfo is not None
        time = answer.datetime if aware else answer.datetime.replace(tzinfo=UTC)
        return Published(intensity=self._intensity(answer), time=time)

    def _intensity(self, answer: _Answer) -> Intensity:
        method = answer.estimationMethod or "no method is given"
        return Intensity(
            g_per_kwh=answer.carbonIntensity,
            place=answer.zone,
            year=answer.datetime.year,
            basis=self.basis,
            source=self.name + (f" (estimated: {method})" if answer.isEstimated else ""),
            estimated=answer.isEstimated,
        )

"""The Carbon Intensity API of Great Britain's system operator; free, without a token.

It counts what power stations emit directly, imports and the losses of the grid included.
https://carbon-intensity.github.io/api-definitions/
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct, field

from jupyter_green.carbon.intensity import DIRECT, Published
from jupyter_green.carbon.transport import Fetcher
from jupyter_green.events import Intensity

URL = "https://api.carbonintensity.org.uk"
COUNTRY = "Great Britain"

Grams = Annotated[float, Meta(ge=0, le=5000)]


class _Values(Struct):
    forecast: Grams | None = None
    actual: Grams | None = None
    """Of the half hour that runs it is often not known yet; regions have none."""


class _HalfHour(Struct):
    since: str = field(name="from")
    intensity: _Values


class _Region(Struct):
    shortname: Annotated[str, Meta(max_length=60)]
    data: Annotated[list[_HalfHour], Meta(min_length=1)]


class _National(Struct):
    data: Annotated[list[_HalfHour], Meta(min_length=1)]


class _Regional(Struct):
    data: Annotated[list[_Region], Meta(min_length=1)]


class UkCarbonIntensity:
    """The present intensity of Great Britain, or of the region of a postcode.

    Args:
        postcode: its first half (``SW1A``); empty: the whole of Great Britain.
    """

    name = "UK Carbon Intensity"
    basis = DIRECT

    def __init__(self, postcode: str = "", base_url: str = "") -> None:
        self._postcode = postcode
        self._fetcher = Fetcher(self.name, base_url or URL)

    def __repr__(self) -> str:
        return f"<{self.name}, {self._postcode or COUNTRY}>"

    def latest(self) -> Published:
        """See :class:`~jupyter_green.carbon.intensity.Provider`."""
        place, half_hour = self._region() if self._postcode else self._nation()
        values = half_hour.intensity
        g_per_kwh = values.actual if values.actual is not None else values.forecast
        if g_per_kwh is None:
            raise self._fetcher.unavailable("published neither an actual value nor a forecast")
        time = self._time(half_hour.since)
        what = "forecast" if values.actual is None else "actual"
        intensity = Intensity(
            g_per_kwh=g_per_kwh,
            place=place,
            year=time.year,
            basis=self.basis,
            source=f"{self.name} ({what})",
            estimated=values.actual is None,
        )
        return Published(intensity=intensity, time=time)

    def _nation(self) -> tuple[str, _HalfHour]:
        answer = self._converted(self._fetcher.get("/intensity"), _National)
        return COUNTRY, answer.data[0]

    def _region(self) -> tuple[str, _HalfHour]:
        path = f"/regional/postcode/{quote(self._postcode, safe='')}"
        answer = self._converted(self._fetcher.get(path), _Regional)
        region = answer.data[0]
        return f"{region.shortname}, {COUNTRY}", region.data[0]

    def _converted(self, said: Any, shape: type[Any]) -> Any:
        try:
            return msgspec.convert(said, shape)
        except msgspec.ValidationError as error:
            raise self._fetcher.unavailable(f"answered in another shape ({error})") from None

    def _time(self, since: str) -> datetime:
        try:
            # Without seconds, as in 2018-01-20T12:00Z.
            return datetime.strptime(since, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
        except ValueError:
            raise self._fetcher.unavailable(f"gave the time {since!r}") from None

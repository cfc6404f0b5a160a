"""What every provider of live carbon intensities does, and nothing about how.

A provider publishes what a kilowatt-hour costs the climate now, in one place. It is asked rarely,
on a thread of its own in the recorder's process, and only where the user has configured it.
``tests/contracts/test_intensity_contract.py`` holds every provider to the contract below.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from jupyter_green.events import Intensity

LIFECYCLE = "lifecycle"
"""Building the plants and supplying their fuel are counted."""
DIRECT = "direct"
"""Only what leaves the stack is counted. Never mixed with the lifecycle basis in one total."""


class Published(Struct, frozen=True, kw_only=True):
    """What a provider says about the present."""

    intensity: Intensity
    """With the year of its time, and its source in words (forecast or estimate among them)."""
    time: datetime
    """The beginning of the time it holds for, with its time zone."""


class Provider(Protocol):
    """One place's carbon intensity, as one service publishes it.

    - ``latest`` sends one request, or none where the configuration cannot be right, to one host; it
      follows no redirect, takes at most ``transport.DEADLINE_S`` seconds, and reads at most
      ``transport.MOST_BYTES`` bytes.
    - All values are on ``basis``; an answer on another one is an error, never a value.
    - Values are finite, not negative, in gCO2e per kWh, and say ``estimated`` where the service
      forecasts or estimates them.
    - Whatever goes wrong is an :class:`~jupyter_green.errors.IntensityUnavailable`, whose text
      holds no secret of the request.
    """

    @property
    def name(self) -> str:
        """Of the service, in words."""
        ...

    @property
    def basis(self) -> str:
        """lifecycle or direct, of all its values."""
        ...

    def latest(self) -> Published:
        """The intensity now.

        Raises:
            IntensityUnavailable: it cannot be had; says why, and when it is worth asking again.
        """
        ...

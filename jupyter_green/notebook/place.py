"""Sets the place whose electricity the machine uses: in this session, and for good."""

from __future__ import annotations

from typing import NamedTuple

from jupyter_green.configurable import remember
from jupyter_green.errors import SettingError
from jupyter_green.events import Intensity
from jupyter_green.recorder.tracker import Tracker


class Placed(NamedTuple):
    """What came of it."""

    intensity: Intensity | None
    kept: str
    """Where it is kept, or why it holds in this session only; a sentence."""


def set_place(tracker: Tracker, place: str | None) -> Placed:
    """Use the intensity of a place from here on; None: of no place.

    Raises:
        UnknownPlace: no intensity is known for it; nothing is changed.
    """
    intensity = tracker.set_place(place)
    try:
        return Placed(intensity, f"Kept in {remember('place', place)}.")
    except SettingError as error:
        return Placed(intensity, f"For this session only: {error}")
